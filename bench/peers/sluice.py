"""Sluice itself, as it comes: defaults but for the number of connections."""

import pathlib
import subprocess
import tempfile

from runner import peer
from support import gateway

DISCARD = {"default": {"next_hop": "discard"}}


class Discard(peer.Peer):
    name = "sluice"
    title = "Sluice"
    auth = True
    route = DISCARD
    listener = {}
    notes = ("250 after the sync; checks the password, adds the trace header, "
             "writes a log; drops the message afterwards.")

    @classmethod
    def version(cls):
        return subprocess.run([gateway.program("sluiced"), "--version"],
                              text=True, check=True,
                              stdout=subprocess.PIPE).stdout.strip()

    def settings(self):
        return {"workers": 0, "route": self.route, "listener": self.listener,
                "certificate": {"ecdsa": {
                    "chain": peer.pki.folder() / "ecdsa.pem",
                    "key": peer.pki.folder() / "ecdsa-key.pem"}},
                "limits": {"sessions": max(4096, self.capacity + 100)},
                "timeouts": {"command": "1h", "drain": "5s"}}

    def open(self):
        before = tempfile.tempdir
        tempfile.tempdir = str(self.home)
        try:
            self.gate = gateway.Gateway(start=False,
                                        prefix=self.group.prefix(),
                                        **self.settings())
        finally:
            tempfile.tempdir = before
        self.gate.start()
        self.process = self.gate.process
        self.port = self.gate.implicit

    def close(self):
        self.gate.close()


class Relay(Discard):
    name = "sluice-relay"
    twin = True
    title = "Sluice, relaying"
    sink = True
    notes = "As Sluice; passes each message on to the sink, in clear."

    def settings(self):
        return {**super().settings(), "route": {"default": {
            "next_hop": f"smtp://127.0.0.1:{self.sink_port}", "tls": "none",
            "connections": 16}}}


class Userspace(Discard):
    name = "sluice-userspace"
    title = "Sluice, userspace records"
    listener = {"ktls": "off"}
    notes = "As Sluice; OpenSSL makes the TLS records, though the kernel could."

    @classmethod
    def missing(cls):
        known = pathlib.Path("/proc/sys/net/ipv4/tcp_available_ulp")
        if known.exists() and "tls" in known.read_text().split():
            return None
        return "this kernel makes no TLS records: Sluice is this already"
