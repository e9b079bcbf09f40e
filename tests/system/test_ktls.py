"""Records made by the kernel: who makes them is said, and mail cannot tell the
difference. Runs whole where the kernel has kTLS (the virtual machines), and
shows the way back to userspace where it has not. time-limit: 300"""

import os
import socket
import ssl
import subprocess
import unittest

import tap
from support import client, console, gateway, ktls, mail

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
SUITES = [(V13, None, "TLS_AES_128_GCM_SHA256"),
          (V12, "ECDHE-ECDSA-AES128-GCM-SHA256", "AES_128_GCM"),
          (V12, "ECDHE-ECDSA-AES256-GCM-SHA384", "AES_256_GCM"),
          (V12, "ECDHE-ECDSA-CHACHA20-POLY1305", "CHACHA20_POLY1305")]
SIZES = (0, 1, 16384, 300_000)
LARGEST = 64 << 20


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


def nameless(size):
    """A mail to an address of its own."""
    return f"{os.urandom(6).hex()}@example.net", mail.plain(size=size)


@unittest.skipUnless(ktls.MISSING, "this kernel has kTLS")
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


@unittest.skipIf(ktls.MISSING, ktls.HAS_NOT)
class Kernel(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gate = gateway.Gateway(any_ktls_kernel=True,
                                   limits={"message_size": LARGEST + 65536})
        cls.addClassCleanup(cls.gate.close)

    def setUp(self):
        self.gate.wait_until_idle()

    def submit(self, style, sizes, framings=("data", "bdat"), **options):
        """In one session; its line of the log."""
        sent, seen = {}, self.gate.sessions()
        tls = client.context(self.gate.ca, **options)
        with ktls.made_by_kernel(1):
            session = self.gate.connect(style, tls=tls, timeout=60)
            for size in sizes:
                for framing in framings:
                    to, data = nameless(size)
                    sent[to] = data
                    session.submit(to, data, framing)
            session.quit()
        line = self.gate.wait_for_session(seen)
        self.assertEqual((line["records"], line["ended"]), ("kernel", "BYE"))
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
        self.submit("implicit", SIZES)

    def test_largest(self):
        self.submit("implicit", (LARGEST,), ("bdat",))

    def test_corpus(self):
        """Each mail over one of the ports, by DATA and by BDAT in turn."""
        sent = {}
        with ktls.made_by_kernel(2):
            sessions = [self.gate.connect(style, timeout=60)
                        for style in ("implicit", "starttls")]
            for n, (_, data) in enumerate(mail.corpus()):
                if data and not mail.expected_refusal(data):
                    sent[f"corpus-{n}@example.net"] = data
                    sessions[n % 2].submit(f"corpus-{n}@example.net", data,
                                           ("data", "bdat")[n // 2 % 2])
            for session in sessions:
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
                seen = self.gate.sessions()
                peer.socket.sendall(peer.sealed(b"QUIT\r\n"))
                peer.read_until(b"221 ")
                self.assertIn(self.gate.wait_for_session(seen)["records"],
                              ("kernel", "userspace"))

    def test_close_notify(self):
        with ktls.made_by_kernel(1), \
                self.gate.connect(login=False) as session:
            session.socket.suppress_ragged_eofs = False
            session.command("QUIT", 221)
            self.assertEqual(session.socket.recv(10), b"")

    def test_resumed(self):
        """Tickets are records, too: none is lost, none counted twice."""
        for version in (V13, V12):
            with self.subTest(version=version), ktls.made_by_kernel(3):
                tls, session = client.context(self.gate.ca, version), None
                for turn in range(3):
                    with self.gate.connect(tls=tls, session=session) as talk:
                        self.assertEqual(talk.socket.session_reused, turn > 0)
                        to, data = nameless(20_000)
                        talk.submit(to, data)
                        session = talk.socket.session
                        talk.command("QUIT", 221)
                    got = self.gate.maildir.wait_for([to])[to]
                    mail.check_arrived(got, data)

    def test_truncated_body_is_no_message(self):
        """FIN without close_notify in DATA: nothing is delivered (P4)."""
        seen = self.gate.sessions()
        with ktls.made_by_kernel(1), self.gate.connect() as session:
            session.envelope(["truncated@example.net"])
            session.command("DATA", 354)
            session.send(mail.plain(size=100_000))
        self.assertEqual(self.gate.wait_for_session(seen)["records"], "kernel")
        self.gate.deliver("after-truncated@example.net")
        self.assertNotIn("truncated@example.net", self.gate.maildir.scan())

    def test_damaged_record(self):
        for at in (2, 7, -1):
            with self.subTest(octet=at), \
                    ktls.made_by_kernel(1, damaged=at != 2):
                peer = Bytes(self.gate)
                self.addCleanup(peer.close)
                peer.handshake()
                peer.read_until(b"220 ")
                record = peer.sealed(b"EHLO damaged.test\r\n")
                record[at] ^= 1
                seen = self.gate.sessions()
                peer.socket.sendall(record)
                line = self.gate.wait_for_session(seen)
                self.assertEqual(line["records"], "kernel")
                self.assertEqual(line["messages"], 0)
        self.gate.deliver("after-damage@example.net")

    def test_key_update(self):
        """Goes on where the kernel can change keys, else ends in order."""
        for letter in (b"k", b"K"):
            with self.subTest(letter), ktls.made_by_kernel(1), \
                    console.Console("openssl", "s_client", "-connect",
                                    f"127.0.0.1:{self.gate.implicit}",
                                    "-CAfile", self.gate.ca, "-tls1_3"
                                    ) as typed:
                typed.say(b"EHLO k.test\r\n")
                typed.wait_for("^250 HELP")
                typed.say(letter + b"\n")
                typed.wait_for("^KEYUPDATE")
                if ktls.REKEYS:
                    typed.say(b"NOOP\r\n")
                    typed.wait_for("^250 2.0.0")
                    typed.say(b"quit\r\n")
                typed.wait_for("^221 2.0.0" if ktls.REKEYS else "^421 4.3.2")
        self.gate.deliver("after-key-update@example.net")


@unittest.skipIf(ktls.MISSING, ktls.HAS_NOT)
class Policies(unittest.TestCase):
    def test_off(self):
        with gateway.Gateway(listener={"ktls": "off"}) as gate, \
                ktls.made_by_kernel(0):
            gate.deliver()
            gate.wait_for_log('"records":"userspace"')
            self.assertIn('"offload":"off"', gate.log_text())
            self.assertGreater(gate.counters()["offload_off"], 0)

    def test_required(self):
        with gateway.Gateway(listener={"ktls": "require"},
                             any_ktls_kernel=True) as gate:
            with ktls.made_by_kernel(1):
                gate.deliver()
            self.assertGreater(gate.counters()["offload_kernel"], 0)

    def test_card_preferred(self):
        """There is none: the kernel says that its software does it all."""
        with gateway.Gateway(listener={"nic": "prefer"},
                             any_ktls_kernel=True) as gate:
            with ktls.made_by_kernel(1):
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
