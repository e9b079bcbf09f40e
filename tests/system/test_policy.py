"""Secure or not at all (P3): what comes before TLS, who may log in and send as
whom, versions, ciphers, certificates and tickets of TLS. time-limit: 120"""

import base64
import re
import shutil
import socket
import ssl
import statistics
import subprocess
import time
import unittest

import tap
from support import client, gateway, mail

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
CIPHERS_12 = [f"ECDHE-{key}-{cipher}" for key in ("ECDSA", "RSA") for cipher in
              ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")]
CIPHERS_13 = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
              "TLS_CHACHA20_POLY1305_SHA256")


class WithGateway(unittest.TestCase):
    options = {}

    @classmethod
    def setUpClass(cls):
        cls.gate = gateway.Gateway(**cls.options)

    @classmethod
    def tearDownClass(cls):
        cls.gate.close()

    def connect(self, style="implicit", **options):
        session = self.gate.connect(style, **options)
        self.addCleanup(session.close)
        return session

    def clear(self):
        """A session on the STARTTLS port, before TLS."""
        session = client.Client(self.gate.starttls)
        self.addCleanup(session.close)
        session.expect(220)
        return session


class BeforeTls(WithGateway):
    def test_nothing_but_starttls(self):
        session = self.clear()
        offered = session.hello()
        self.assertIn("STARTTLS", offered)
        self.assertNotIn("AUTH", offered)
        for line in ("MAIL FROM:<demo@example.org>", "RCPT TO:<a@example.net>",
                     "DATA", "BDAT 0 LAST"):
            session.command(line, 530)
        token = base64.b64encode(f"\0{gateway.USER}\0{gateway.PASSWORD}"
                                 .encode()).decode()
        said = session.command(f"AUTH PLAIN {token}", 5)
        self.assertRegex(said, "^53[08] ")
        session.command("NOOP", 250)

    def test_starttls_is_not_offered_twice(self):
        session = self.connect("starttls", login=False)
        self.assertNotIn("STARTTLS", session.hello())
        session.command("STARTTLS", 503)
        self.assertNotIn("STARTTLS", self.connect(login=False).hello())

    def test_commands_behind_starttls(self):
        """What comes in clear behind STARTTLS is never run inside TLS
        (CVE-2011-0411): it is refused, and the connection ends."""
        session = self.clear()
        session.hello()
        session.send(b"STARTTLS\r\nNOOP\r\n")
        session.expect("554 5.5.1")
        self.assertEqual(session.read(), "")

    def test_commands_before_the_handshake(self):
        """The same after the 220 was read: no TLS, and no answer in clear."""
        session = self.clear()
        session.hello()
        session.command("STARTTLS", 220)
        session.send(b"NOOP\r\n")
        session.tls = client.context(self.gate.ca)
        with self.assertRaises((ssl.SSLError, ConnectionError)):
            session.start_tls()

    def test_hello_is_forgotten(self):
        """RFC 3207 4.2: state from before TLS is gone."""
        session = self.clear()
        session.hello()
        session.command("STARTTLS", 220)
        session.tls = client.context(self.gate.ca)
        session.start_tls()
        session.command(f"AUTH PLAIN {base64.b64encode(b'x').decode()}", 503)


class Login(WithGateway):
    options = {"limits": {"errors": 200, "idle_commands": 500}}

    def test_no_mail_before_auth(self):
        for style in ("implicit", "starttls"):
            session = self.connect(style, login=False)
            for line in ("MAIL FROM:<demo@example.org>", "DATA",
                         "RCPT TO:<a@example.net>"):
                said = session.command(line, 5)
                self.assertRegex(said, "^(530 5.7.0|503 5.5.1) ")

    def test_wrong_password(self):
        session = self.connect(login=False)
        for user, password in ((gateway.USER, "wrong"), ("nobody", "wrong"),
                               (gateway.USER, gateway.PASSWORD + " "),
                               (gateway.USER, gateway.PASSWORD[:-1]),
                               (gateway.USER.upper(), gateway.PASSWORD)):
            with self.assertRaisesRegex(AssertionError, "535 5.7.8"):
                session.login(user, password)
        session.login(gateway.USER, gateway.PASSWORD)

    def test_login_mechanism(self):
        session = self.connect(login=False)

        def encoded(text):
            return base64.b64encode(text.encode()).decode()
        session.command("AUTH LOGIN", 334)
        session.command(encoded(gateway.USER), 334)
        session.command(encoded("wrong"), 535)
        session.command(f"AUTH LOGIN {encoded(gateway.USER)}", 334)
        session.command(encoded(gateway.PASSWORD), 235)
        session.command("AUTH PLAIN AAAA", 503)

    def test_bad_exchanges(self):
        session = self.connect(login=False)
        session.command("AUTH PLAIN ****", 501)
        session.command("AUTH PLAIN", 334)
        session.command("*", 501)
        session.command("AUTH CRAM-MD5", 504)
        session.command(f"AUTH PLAIN {'A' * 20000}", 50)
        session.command("NOOP", 250)

    def test_unknown_user_takes_as_long(self):
        """Reported; only a gross difference (no hash computed) fails."""
        def median(user):
            times = []
            for number in range(9):
                began = time.monotonic()
                with self.assertRaises(client.Refused):
                    session.login(user, f"wrong{number}")
                times.append(time.monotonic() - began)
            return statistics.median(times)
        session = self.connect(login=False)
        known, unknown = median(gateway.USER), median("no-such-user")
        print(f"# wrong password: known user {known * 1e3:.2f} ms, unknown "
              f"user {unknown * 1e3:.2f} ms")
        self.assertGreater(unknown, known / 5)
        self.assertGreater(known, unknown / 5)


class Senders(WithGateway):
    def test_map(self):
        session = self.connect()
        for sender in ("demo@example.org", "Anyone@EXAMPLE.org", ""):
            session.command(f"MAIL FROM:<{sender}>", 250)
            session.command("RSET", 250)
        for sender in ("demo@example.com", "demo@sub.example.org",
                       "demo@notexample.org", "x@example.org.evil.test"):
            said = session.command(f"MAIL FROM:<{sender}>", 550)
            self.assertIn("5.7.1", said)

    def test_refused_sender_sends_nothing(self):
        session = self.connect()
        session.command("MAIL FROM:<x@example.com>", 550)
        session.command("RCPT TO:<a@example.net>", 503)
        session.command("DATA", 503)


class Versions(WithGateway):
    def handshake(self, style="implicit", **options):
        with self.connect(style, login=False, tls=client.context(
                self.gate.ca, **options)) as session:
            return session.socket.version(), session.socket.cipher()[0], \
                session.socket.getpeercert()

    def test_each_cipher_of_tls12(self):
        for cipher in CIPHERS_12:
            with self.subTest(cipher):
                self.assertEqual(
                    self.handshake(version=V12, ciphers=cipher)[:2],
                    ("TLSv1.2", cipher))

    def test_each_cipher_of_tls13(self):
        """Python cannot choose among them: openssl s_client does."""
        for cipher in CIPHERS_13:
            with self.subTest(cipher):
                told = s_client(self.gate, "-tls1_3", "-ciphersuites", cipher)
                self.assertIn(f"Cipher is {cipher}", told)
                self.assertIn("250", told)

    def test_old_and_weak_are_refused(self):
        for options in ({"version": ssl.TLSVersion.TLSv1_1,
                         "ciphers": "DEFAULT@SECLEVEL=0"},
                        {"version": ssl.TLSVersion.TLSv1,
                         "ciphers": "DEFAULT@SECLEVEL=0"},
                        {"version": V12, "ciphers": "AES128-SHA"},
                        {"version": V12, "ciphers": "AES128-GCM-SHA256"},
                        {"version": V12, "ciphers": "ECDHE-RSA-AES128-SHA"},
                        {"version": V12, "ciphers": "aNULL:@SECLEVEL=0"}):
            for style in ("implicit", "starttls"):
                with self.subTest(style, **options), \
                        self.assertRaises((ssl.SSLError, ConnectionError)):
                    self.handshake(style, **options)
        self.gate.deliver("after-weak@example.net")

    def test_certificate_by_key_type(self):
        bits = {}
        for key in ("ECDSA", "RSA"):
            with self.connect(login=False, tls=client.context(
                    self.gate.ca, V12, f"ECDHE-{key}-AES128-GCM-SHA256")) as s:
                bits[key] = len(s.socket.getpeercert(True))
        self.assertGreater(bits["RSA"], bits["ECDSA"] + 200)


class Tls13Only(WithGateway):
    options = {"listener": {"tls12": False}}

    def test_tls12_is_refused(self):
        for style in ("implicit", "starttls"):
            with self.assertRaises((ssl.SSLError, ConnectionError)):
                self.connect(style, tls=client.context(self.gate.ca, V12))
            self.assertEqual(self.connect(style).socket.version(), "TLSv1.3")


class Names(unittest.TestCase):
    def test_by_name(self):
        pki = gateway.pki.folder()
        certificates = {name: {"chain": pki / f"{name}.pem",
                               "key": pki / f"{name}-key.pem"}
                        for name in ("ecdsa", "other")}
        with gateway.Gateway(certificate=certificates) as gate:
            for name, wanted in (("localhost", "localhost"),
                                 ("other.test", "other.test"),
                                 ("OTHER.test", "other.test"),
                                 ("unknown.test", "localhost"),
                                 (None, "localhost")):
                with self.subTest(name):
                    tls = client.context(gate.ca)
                    tls.check_hostname = False
                    with gate.connect(login=False, tls=tls, name=name) as s:
                        names = s.socket.getpeercert()["subjectAltName"]
                    self.assertIn(("DNS", wanted), names)


class Tickets(unittest.TestCase):
    def resumes(self, gate, version):
        tls = client.context(gate.ca, version)
        with gate.connect(tls=tls) as first:
            first.command("NOOP", 250)
            kept = first.socket.session
            if kept is None or not kept.has_ticket:
                return False
            with gate.connect(tls=tls, session=kept) as second:
                second.submit("resumed@example.net", mail.plain())
                return second.socket.session_reused

    def test_on_and_off(self):
        for options, wanted in (({}, True), ({"tickets": 0}, False),
                                ({"resumption": False}, False)):
            with gateway.Gateway(listener=options) as gate:
                self.assertEqual(self.resumes(gate, V13), wanted, options)
                if "tickets" not in options:
                    self.assertEqual(self.resumes(gate, V12), wanted, options)

    def test_any_worker_resumes(self):
        """Ticket keys are shared: whichever worker takes the connection."""
        with gateway.Gateway(workers=4) as gate:
            for _ in range(12):
                self.assertTrue(self.resumes(gate, V13))
            self.assertGreaterEqual(gate.counters()["handshakes_resumed"], 12)


def talk(command, lines, quiet_s=20):
    """Runs a TLS client and says a line each time a reply has come."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    heard = b""
    deadline = time.monotonic() + quiet_s
    try:
        for line, wanted in lines:
            while not re.search(wanted, heard):
                piece = process.stdout.read1(65536)
                if not piece or time.monotonic() > deadline:
                    raise AssertionError(heard.decode(errors="replace"))
                heard += piece
            process.stdin.write(line)
            process.stdin.flush()
        process.stdin.close()
        return (heard + process.stdout.read()).decode(errors="replace")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def s_client(gate, *options, style="implicit"):
    address = f"localhost:{gate.port(style)}"
    command = ["openssl", "s_client", "-connect", address, "-crlf",
               "-verify_return_error", "-CAfile", str(gate.ca), "-servername",
               "localhost", *options]
    first = rb"\n220 "
    if style == "starttls":
        command += ["-starttls", "smtp"]
        first = rb"\n250 "
    return talk(command, [(b"EHLO client.test\n", first),
                          (b"quit\n", rb"AUTH PLAIN"), (b"", rb"\n221 ")])


class OtherClients(WithGateway):
    def test_openssl(self):
        for style in ("implicit", "starttls"):
            for version in ("-tls1_2", "-tls1_3"):
                with self.subTest(style, version=version):
                    told = s_client(self.gate, version, style=style)
                    self.assertIn("Verification: OK", told)
                    self.assertIn("221 ", told)

    @unittest.skipUnless(shutil.which("gnutls-cli"),
                         "gnutls-cli is not installed")
    def test_gnutls(self):
        for style in ("implicit", "starttls"):
            for priority in ("NORMAL", "NORMAL:-VERS-TLS1.3"):
                with self.subTest(style, priority=priority):
                    command = ["gnutls-cli", "--crlf", "--x509cafile",
                               str(self.gate.ca), "--priority", priority,
                               "--port", str(self.gate.port(style)),
                               "localhost"]
                    first = rb"220 "
                    if style == "starttls":
                        command.insert(1, "--starttls-proto=smtp")
                        first = rb"Handshake was completed"
                    told = talk(command, [(b"EHLO client.test\n", first),
                                          (b"QUIT\n", rb"AUTH PLAIN"),
                                          (b"", rb"221 ")])
                    self.assertIn("The certificate is trusted", told)
                    self.assertIn("221 ", told)


class Refused(WithGateway):
    def test_clear_close_before_tls(self):
        """A client that hangs up instead of a handshake costs nothing."""
        for _ in range(50):
            socket.create_connection((gateway.HOST, self.gate.implicit)).close()
        self.gate.deliver()


if __name__ == "__main__":
    tap.main()
