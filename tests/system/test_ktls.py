"""Records made by the kernel: who makes them is said, and mail cannot tell the
difference. Runs whole where the kernel has kTLS (the virtual machines), and
shows the way back to userspace where it has not. time-limit: 400"""

import os
import platform
import re
import socket
import ssl
import subprocess
import tempfile
import time
import unittest

import tap
from support import client, gateway, mail

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
SUITES = [(V13, None, "TLS_AES_128_GCM_SHA256"),
          (V12, "ECDHE-ECDSA-AES128-GCM-SHA256", "AES_128_GCM"),
          (V12, "ECDHE-ECDSA-AES256-GCM-SHA384", "AES_256_GCM"),
          (V12, "ECDHE-ECDSA-CHACHA20-POLY1305", "CHACHA20_POLY1305")]
SIZES = (0, 1, 16384, 300_000)
TCP_ULP = 31


def ktls_error():
    """None where a socket can be given the ULP "tls"; else its errno."""
    with socket.create_server(("127.0.0.1", 0)) as server, \
            socket.create_connection(server.getsockname()) as probe:
        try:
            probe.setsockopt(socket.IPPROTO_TCP, TCP_ULP, b"tls")
        except OSError as error:
            return error.errno
    return None


MISSING = ktls_error()
HAS_NOT = f"this kernel has no kTLS: {os.strerror(MISSING or 0)}"
REKEYS = tuple(map(int, re.findall(r"\d+", platform.release())[:2])) >= (6, 14)


class Bytes:
    """A TLS client whose records a test may hold back, join or damage."""

    def __init__(self, gate, version=V13):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        settings = client.context(gate.ca, version)
        self.tls = settings.wrap_bio(self.incoming, self.outgoing,
                                     server_hostname="localhost")
        self.socket = socket.create_connection(
            ("127.0.0.1", gate.implicit), 30)

    def feed(self):
        data = self.socket.recv(65536)
        self.incoming.write(data) if data else self.incoming.write_eof()

    def handshake(self, behind=b""):
        """With `behind` in the same segment as our Finished."""
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.socket.sendall(self.outgoing.read())
                self.feed()
        if behind:
            self.tls.write(behind)
        self.socket.sendall(self.outgoing.read())

    def read_until(self, wanted):
        text = b""
        while wanted not in text:
            try:
                text += self.tls.read(65536) or b""
            except ssl.SSLWantReadError:
                self.feed()
        return text

    def sealed(self, data):
        self.tls.write(data)
        return bytearray(self.outgoing.read())

    def close(self):
        self.socket.close()


class WithGateway(unittest.TestCase):
    settings = {}

    @classmethod
    def setUpClass(cls):
        cls.gate = gateway.Gateway(**cls.settings)
        cls.addClassCleanup(cls.gate.close)

    def last_session(self, seconds=20):
        """The log line of the session that ends next."""
        seen = len(self.gate.log("session")) if self.before is None \
            else self.before
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            lines = self.gate.log("session")
            if len(lines) > seen:
                return lines[-1]
            time.sleep(0.05)
        raise AssertionError(f"no session ended:\n{self.gate.tail()}")

    def setUp(self):
        self.before = None

    def count_sessions(self):
        self.before = len(self.gate.log("session"))


@unittest.skipUnless(MISSING, "this kernel has kTLS")
class Without(unittest.TestCase):
    def test_preferred(self):
        """P6: done in userspace, and the operator is told why."""
        with gateway.Gateway() as gate:
            gate.deliver()
            gate.wait_for_log('"event":"records","by":"userspace"')
            line = gate.wait_for_log('"user":"demo@example.org"')
            gate.wait_for_log('"records":"userspace"')
            self.assertIn('"offload":"no-ulp"', gate.log_text(), line)
            self.assertGreater(gate.counters()["offload_no_ulp"], 0)
            self.assertEqual(gate.counters()["offload_kernel"], 0)

    def test_required(self):
        gate = gateway.Gateway(start=False, listener={"ktls": "require"})
        self.addCleanup(gate.close)
        done = subprocess.run(gate.command(), text=True, capture_output=True,
                              timeout=20)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("requires kTLS", done.stderr)
        self.assertIn("modprobe tls", done.stderr)

    def test_card_preferred(self):
        """TLS as cards take it, though there is none, and a word about it."""
        with gateway.Gateway(listener={"nic": "prefer"}) as gate:
            gate.deliver()
            gate.wait_for_log('"event":"no-tls-offload"')
            gate.wait_for_log('"user":"demo@example.org"')
            line = [x for x in gate.log("session") if x["user"]][-1]
            self.assertEqual(line["tls"], "TLSv1.2")
            self.assertIn("AES_128_GCM", line["cipher"])
            self.assertEqual(line["nic"], "unknown")

    def test_card_required(self):
        gate = gateway.Gateway(start=False, listener={"nic": "require"})
        self.addCleanup(gate.close)
        done = subprocess.run(gate.command(), text=True, capture_output=True,
                              timeout=20)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("requires TLS offload", done.stderr)

    def test_required_of_a_next_hop(self):
        gate = gateway.Gateway(start=False, route={"default": {
            "next_hop": "smtp://127.0.0.1:2525", "ktls": "require"}})
        self.addCleanup(gate.close)
        done = subprocess.run(gate.command(), text=True, capture_output=True,
                              timeout=20)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn('route "default" requires kTLS', done.stderr)


@unittest.skipIf(MISSING, HAS_NOT)
class Kernel(WithGateway):
    settings = {"any_ktls_kernel": True}

    def submit(self, style, sizes, **options):
        sent = {}
        with self.gate.connect(style, tls=client.context(self.gate.ca,
                                                         **options)) as s:
            for size in sizes:
                for framing in ("data", "bdat"):
                    to = f"{os.urandom(6).hex()}@example.net"
                    sent[to] = mail.plain(size=size)
                    s.submit(to, sent[to], framing)
            self.count_sessions()
            s.quit()
        line = self.last_session()
        self.assertEqual(line["records"], "kernel", line)
        self.assertEqual(line["ended"], "BYE", line)
        for to, data in self.gate.maildir.wait_for(sent, 60).items():
            mail.check_arrived(data, sent[to])
        return line

    def test_every_suite(self):
        for version, ciphers, name in SUITES:
            for style in ("implicit", "starttls"):
                with self.subTest(style, suite=name):
                    line = self.submit(style, SIZES[:3], version=version,
                                       ciphers=ciphers)
                    self.assertIn(name, line["cipher"])

    def test_sizes(self):
        self.submit("implicit", SIZES + (16 << 20,))

    def test_corpus(self):
        sent = {}
        with self.gate.connect() as session:
            for n, (name, data) in enumerate(mail.corpus()):
                if data and not mail.expected_refusal(data):
                    sent[f"corpus-{n}@example.net"] = data
                    session.submit(f"corpus-{n}@example.net", data)
            session.quit()
        for to, data in self.gate.maildir.wait_for(sent, 120).items():
            mail.check_arrived(data, sent[to])

    def test_talks_behind_its_finished(self):
        """What comes with the Finished is read, here or by the kernel."""
        for version in (V13, V12):
            with self.subTest(version=version):
                peer = Bytes(self.gate, version)
                self.addCleanup(peer.close)
                peer.handshake(b"EHLO early.test\r\n")
                self.assertIn(b"AUTH PLAIN", peer.read_until(b"250 HELP"))
                self.count_sessions()
                peer.socket.sendall(peer.sealed(b"QUIT\r\n"))
                peer.read_until(b"221 ")
                self.assertIn(self.last_session()["records"],
                              ("kernel", "userspace"))

    def test_close_notify(self):
        with self.gate.connect(login=False) as session:
            session.socket.suppress_ragged_eofs = False
            session.command("QUIT", 221)
            self.assertEqual(session.socket.recv(10), b"")

    def test_truncated_body_is_no_message(self):
        """FIN without close_notify in DATA: nothing is delivered (P4)."""
        with self.gate.connect() as session:
            session.envelope(["truncated@example.net"])
            session.command("DATA", 354)
            session.send(mail.plain(size=100_000))
            self.count_sessions()
        self.assertEqual(self.last_session()["records"], "kernel")
        self.gate.deliver("after-truncated@example.net")
        self.assertNotIn("truncated@example.net", self.gate.maildir.scan())

    def test_damaged_record(self):
        for at in (2, 7, -1):
            with self.subTest(octet=at):
                peer = Bytes(self.gate)
                self.addCleanup(peer.close)
                peer.handshake()
                peer.read_until(b"220 ")
                record = peer.sealed(b"EHLO damaged.test\r\n")
                record[at] ^= 1
                self.count_sessions()
                peer.socket.sendall(record)
                line = self.last_session()
                self.assertEqual(line["records"], "kernel")
                self.assertEqual(line["messages"], 0)
        self.gate.deliver("after-damage@example.net")

    def test_key_update(self):
        """Goes on where the kernel can change keys, else ends in order."""
        for letter in (b"k", b"K"):
            with self.subTest(letter):
                told = self.s_client(letter)
                self.assertRegex(told, "\n221 2.0.0 " if REKEYS else
                                 "\n421 4.3.2 ")
        self.gate.deliver("after-key-update@example.net")

    def s_client(self, letter):
        """What it printed. Its input stays open: its end would end it."""
        command = ["openssl", "s_client", "-connect",
                   f"127.0.0.1:{self.gate.implicit}", "-CAfile",
                   str(self.gate.ca), "-crlf", "-tls1_3"]
        with tempfile.TemporaryFile() as told, \
                subprocess.Popen(command, bufsize=0, stdout=told,
                                 stdin=subprocess.PIPE,
                                 stderr=subprocess.STDOUT) as process:
            for line in (b"EHLO k.test\n", letter + b"\n", b"NOOP\n",
                         b"quit\n"):
                time.sleep(2)
                try:
                    process.stdin.write(line)
                except BrokenPipeError:
                    break
            try:
                process.wait(20)
            finally:
                process.kill()
            told.seek(0)
            return told.read().decode()


@unittest.skipIf(MISSING, HAS_NOT)
class Policies(unittest.TestCase):
    def test_off(self):
        with gateway.Gateway(listener={"ktls": "off"}) as gate:
            gate.deliver()
            gate.wait_for_log('"records":"userspace"')
            self.assertIn('"offload":"off"', gate.log_text())
            self.assertGreater(gate.counters()["offload_off"], 0)

    def test_required(self):
        with gateway.Gateway(listener={"ktls": "require"},
                             any_ktls_kernel=True) as gate:
            gate.deliver()
            self.assertGreater(gate.counters()["offload_kernel"], 0)

    def test_card_preferred(self):
        """There is none: the kernel says that its software does it all."""
        with gateway.Gateway(listener={"nic": "prefer"},
                             any_ktls_kernel=True) as gate:
            gate.deliver()
            gate.wait_for_log('"user":"demo@example.org"')
            line = [x for x in gate.log("session") if x["user"]][-1]
            self.assertEqual((line["tls"], line["records"], line["nic"]),
                             ("TLSv1.2", "kernel", "software"))
            counters = gate.counters()
            self.assertEqual(counters["nic_software"],
                             counters["offload_kernel"])
            self.assertEqual(counters["nic_unmet"], 0)
            self.assertFalse(gate.log("no-tls-offload"))

    def test_card_required(self):
        """The client is told; nothing of it is taken."""
        gate = gateway.Gateway(start=False, listener={"nic": "require"},
                               any_ktls_kernel=True)
        self.addCleanup(gate.close)
        gate.spawn()
        gate.wait_for_log('"event":"serving"')
        for style in ("implicit", "starttls"):
            with self.subTest(style), self.assertRaisesRegex(
                    client.Refused, "requires TLS offload"):
                gate.connect(style).quit()
        self.assertEqual(gate.counters()["nic_unmet"], 2)
        with self.assertRaises(ssl.SSLError):
            gate.connect("implicit", tls=client.context(gate.ca, V13))


if __name__ == "__main__":
    tap.main()
