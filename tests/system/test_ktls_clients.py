"""Real clients, OpenSSL's and GnuTLS's, against records that the kernel makes:
every cipher of both TLS versions, and none of them can tell. time-limit: 300"""

import shutil
import subprocess
import unittest

import tap
from support import gateway, ktls, mail

# OpenSSL's name by GnuTLS's, which is that of the log but for its hyphens.
CIPHERS = {
    "1.3": {"AES-128-GCM": "TLS_AES_128_GCM_SHA256",
            "AES-256-GCM": "TLS_AES_256_GCM_SHA384",
            "CHACHA20-POLY1305": "TLS_CHACHA20_POLY1305_SHA256"},
    "1.2": {"AES-128-GCM": "ECDHE-ECDSA-AES128-GCM-SHA256",
            "AES-256-GCM": "ECDHE-ECDSA-AES256-GCM-SHA384",
            "CHACHA20-POLY1305": "ECDHE-ECDSA-CHACHA20-POLY1305"}}
STYLES = ("implicit", "starttls")


def needs(program):
    return unittest.skipUnless(shutil.which(program),
                               f"{program} is not installed")


def every_cipher():
    """(version, cipher, OpenSSL's name, style): the styles in turn."""
    for version, ciphers in CIPHERS.items():
        for n, (cipher, name) in enumerate(ciphers.items()):
            yield version, cipher, name, STYLES[n % 2]


@unittest.skipIf(ktls.MISSING, ktls.HAS_NOT)
class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gate = gateway.Gateway(any_ktls_kernel=True,
                                   listener={"ktls": "require"})
        cls.addClassCleanup(cls.gate.close)
        cls.mail = mail.with_attachment()
        cls.file = cls.gate.folder / "mail.eml"
        cls.file.write_bytes(cls.mail)

    def setUp(self):
        self.gate.wait_until_idle()

    def run_client(self, *command, **options):
        done = subprocess.run([str(word) for word in command], timeout=60,
                              capture_output=True, cwd=self.gate.folder,
                              **options)
        self.assertEqual(done.returncode, 0, (done.stdout + done.stderr)
                         .decode(errors="replace")[-2000:])

    def deliver(self, suite, style, *command, text=b""):
        """The client sends the mail; the kernel counts the connection. `suite`
        is (version, cipher), or empty where the client chooses."""
        client = command[0]
        with self.subTest(client=client, style=style, suite=suite):
            to = "-".join([client, style, *suite]) + "@example.net"
            seen = self.gate.sessions()
            with ktls.made_by_kernel(1):
                self.run_client(*(str(word).replace("RECIPIENT", to)
                                  for word in command),
                                input=text.replace(b"RECIPIENT", to.encode()))
            line = self.gate.wait_for_session(seen)
            self.assertEqual((line["records"], line["messages"]), ("kernel", 1))
            for wanted, told in zip(suite, (line["tls"], line["cipher"])):
                self.assertIn(wanted.replace("-", "_"), told)
            mail.check_arrived(self.gate.maildir.wait_for([to])[to], self.mail)

    def talk(self):
        """All of a session, as a client would type it."""
        return b"".join([
            b"EHLO client.test\r\nAUTH PLAIN ", gateway.token().encode(),
            b"\r\nMAIL FROM:<demo@example.org>\r\nRCPT TO:<RECIPIENT>\r\n",
            b"BDAT %d LAST\r\n" % len(self.mail), self.mail, b"QUIT\r\n"])

    @needs("curl")
    def test_curl(self):
        for version, cipher, name, style in every_cipher():
            scheme = "smtps" if style == "implicit" else "smtp"
            choice = ["--tls13-ciphers", name] if version == "1.3" else \
                ["--tls-max", "1.2", "--ciphers", name]
            self.deliver(
                (version, cipher), style, "curl", "-sS", "--ssl-reqd", *choice,
                "--cacert", self.gate.ca, "--user",
                f"{gateway.USER}:{gateway.PASSWORD}", "--mail-from",
                gateway.USER, "--mail-rcpt", "RECIPIENT", "-T", self.file,
                f"{scheme}://localhost:{self.gate.port(style)}")

    @needs("openssl")
    def test_s_client(self):
        for version, cipher, name, style in every_cipher():
            choice = ["-tls1_3", "-ciphersuites", name] \
                if version == "1.3" else ["-tls1_2", "-cipher", name]
            start = ["-starttls", "smtp"] if style == "starttls" else []
            self.deliver(
                (version, cipher), style, "openssl", "s_client", "-quiet",
                "-verify_return_error", "-CAfile", self.gate.ca, *choice,
                *start, "-connect", f"localhost:{self.gate.port(style)}",
                text=self.talk())

    @needs("gnutls-cli")
    def test_gnutls(self):
        for version, cipher, _, style in every_cipher():
            start = ["--starttls-proto=smtp"] if style == "starttls" else []
            self.deliver(
                (version, cipher), style, "gnutls-cli", "--x509cafile",
                self.gate.ca, *start, "--priority",
                f"NORMAL:-VERS-ALL:+VERS-TLS{version}:-CIPHER-ALL:+{cipher}",
                "-p", self.gate.port(style), "localhost", text=self.talk())

    @needs("msmtp")
    def test_msmtp(self):
        for style in STYLES:
            start = "off" if style == "implicit" else "on"
            self.deliver(
                (), style, "msmtp", "--file=/dev/null",
                "--host=localhost", f"--port={self.gate.port(style)}",
                "--auth=plain", f"--user={gateway.USER}",
                f"--passwordeval=printf %s '{gateway.PASSWORD}'", "--tls=on",
                f"--tls-starttls={start}", f"--tls-trust-file={self.gate.ca}",
                f"--from={gateway.USER}", "RECIPIENT",
                text=self.mail.replace(b"\r\n", b"\n"))

    @needs("swaks")
    def test_swaks(self):
        """It ends its data with a CRLF of its own."""
        file = self.gate.folder / "swaks.eml"
        file.write_bytes(self.mail.removesuffix(b"\r\n"))
        for style, tls in (
                ("implicit", ["--tls-on-connect", "--tls-protocol", "tlsv1_2",
                              "--tls-cipher", CIPHERS["1.2"]["AES-256-GCM"]]),
                ("starttls", ["--tls"])):
            suite = ("1.2", "AES-256-GCM") if style == "implicit" else ()
            self.deliver(
                suite, style, "swaks", "--server", "localhost", "--port",
                self.gate.port(style), *tls, "--tls-verify", "--tls-ca-path",
                self.gate.ca, "--auth", "PLAIN", "--auth-user", gateway.USER,
                "--auth-password", gateway.PASSWORD, "--from", gateway.USER,
                "--to", "RECIPIENT", "--data", f"@{file}")


if __name__ == "__main__":
    tap.main()
