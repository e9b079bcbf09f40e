"""Sluice itself, as it comes: defaults but for the number of connections."""

import os
import pathlib
import subprocess
import tempfile

from runner import peer, programs
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


class Lanes(Discard):
    """465 is the bulk lane's, 587 the interactive one's."""
    name = "sluice-lanes"
    title = "Sluice, lanes and shield"
    special = True
    notes = ("As Sluice, with two lanes and a shield that meters: connections "
             "are steered by BPF programs. Lanes share the processors.")

    @classmethod
    def missing(cls):
        return programs.missing()

    def lanes(self):
        return {"bulk": {"workers": os.cpu_count()}, "desk": {"workers": 1}}

    def settings(self):
        return {**super().settings(), "workers": None, "lane": self.lanes(),
                "listeners": {"submissions": {"lane": "bulk"},
                              "submission": {"lane": "desk"}},
                "steering": {"pins": self.home / "steering"},
                "shield": {"pins": self.home / "shield", "syn_rate": 1000000,
                           "syn_burst": 1000000, "failures": 0,
                           "required": True}}

    def open(self):
        super().open()
        program = self.gate.log("steering")[-1]["program"]
        if program == "none":
            raise peer.Failed(f"{self.name}: no steering program here")

    def pid(self):
        return int((self.gate.folder / "sluiced.pid").read_text())

    def accepted(self):
        return self.gate.counters()["connections_accepted"]

    def port_of(self, options):
        implicit = "--tls" not in options or \
            options[options.index("--tls") + 1] == "implicit"
        return self.gate.implicit if implicit else self.gate.starttls


class LanesApart(Lanes):
    name = "sluice-lanes-apart"
    title = "Sluice, lanes on processors of their own"
    notes = ("As before; each lane has half of the processors, and so has the "
             "client that loads it.")

    @classmethod
    def missing(cls):
        if os.cpu_count() < 2:
            return "there is but one processor"
        return super().missing()

    def lanes(self):
        bulk, desk = halves()
        return {"bulk": {"cpus": bulk}, "desk": {"cpus": desk}}

    def place_of(self, options):
        bulk, desk = halves()
        mine = bulk if self.port_of(options) == self.gate.implicit else desk
        return ["taskset", "-c", ",".join(map(str, mine))]


def halves():
    """The processors, in two."""
    cpus = sorted(os.sched_getaffinity(0))
    return cpus[:len(cpus) // 2], cpus[len(cpus) // 2:]
