"""Real clients deliver a mail with an attachment over implicit TLS and over
STARTTLS, and every byte arrives (P2, P3). time-limit: 180"""

import os
import shutil
import smtplib
import subprocess
import unittest

import tap
from support import client, gateway, mail, postfix

STYLES = ("implicit", "starttls")
NODE = """
const [port, secure, user, pass, ca, file, to] = process.argv.slice(1);
const fs = require("fs");
require("nodemailer").createTransport({
  host: "127.0.0.1", port: +port, secure: secure === "implicit",
  requireTLS: true, auth: { user, pass },
  tls: { ca: fs.readFileSync(ca), servername: "localhost" },
}).sendMail({ envelope: { from: user, to }, raw: fs.readFileSync(file) },
  (error) => { if (error) { console.error(error); process.exit(1); } });
"""


def needs(program):
    return unittest.skipUnless(shutil.which(program),
                               f"{program} is not installed")


def has_ssleay():
    return subprocess.run(["perl", "-MNet::SSLeay", "-e", "1"],
                          capture_output=True).returncode == 0


def has_nodemailer():
    return bool(shutil.which("node")) and subprocess.run(
        ["node", "-e", "require('nodemailer')"], capture_output=True,
        env={**os.environ, "NODE_PATH": "/usr/share/nodejs"}).returncode == 0


class Clients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gate = gateway.Gateway()
        cls.mail = mail.with_attachment()
        cls.file = cls.gate.folder / "mail.eml"
        cls.file.write_bytes(cls.mail)

    @classmethod
    def tearDownClass(cls):
        cls.gate.close()

    def run_client(self, *command, **options):
        done = subprocess.run([str(word) for word in command], timeout=60,
                              capture_output=True, cwd=self.gate.folder,
                              **options)
        self.assertEqual(done.returncode, 0, (done.stdout + done.stderr)
                         .decode(errors="replace")[-2000:])

    def each_style(self, name):
        """Yields (style, port, recipient), then looks for the mail."""
        for style in STYLES:
            with self.subTest(client=name, style=style):
                recipient = f"{name}-{style}@example.net"
                yield style, self.gate.port(style), recipient
                got = self.gate.maildir.wait_for([recipient])
                mail.check_arrived(got[recipient], self.mail)

    @needs("curl")
    def test_curl(self):
        for style, port, recipient in self.each_style("curl"):
            url = f"smtps://localhost:{port}" if style == "implicit" \
                else f"smtp://localhost:{port}"
            self.run_client(
                "curl", "-sS", "--ssl-reqd", "--cacert", self.gate.ca, "--user",
                f"{gateway.USER}:{gateway.PASSWORD}", "--mail-from",
                gateway.USER, "--mail-rcpt", recipient, "-T", self.file, url)

    @needs("swaks")
    @unittest.skipUnless(has_ssleay(), "swaks lacks Net::SSLeay")
    def test_swaks(self):
        """swaks ends its data with a CRLF of its own."""
        file = self.gate.folder / "swaks.eml"
        file.write_bytes(self.mail.removesuffix(b"\r\n"))
        for style, port, recipient in self.each_style("swaks"):
            tls = ["--tls-on-connect"] if style == "implicit" else ["--tls"]
            for mechanism in ("PLAIN", "LOGIN"):
                to = recipient if mechanism == "PLAIN" else \
                    f"login-{recipient}"
                self.run_client(
                    "swaks", "--server", "localhost", "--port", port, *tls,
                    "--tls-verify", "--tls-ca-path", self.gate.ca, "--auth",
                    mechanism, "--auth-user", gateway.USER, "--auth-password",
                    gateway.PASSWORD, "--from", gateway.USER, "--to", to,
                    "--data", f"@{file}")
                self.gate.maildir.wait_for([to])

    @needs("msmtp")
    def test_msmtp(self):
        for style, port, recipient in self.each_style("msmtp"):
            start = "off" if style == "implicit" else "on"
            self.run_client(
                "msmtp", "--file=/dev/null", "--host=localhost",
                f"--port={port}", "--auth=plain", f"--user={gateway.USER}",
                "--passwordeval=printf %s "
                f"'{gateway.PASSWORD}'", "--tls=on", f"--tls-starttls={start}",
                f"--tls-trust-file={self.gate.ca}", f"--from={gateway.USER}",
                recipient, input=self.mail.replace(b"\r\n", b"\n"))

    def test_smtplib(self):
        for style, port, recipient in self.each_style("smtplib"):
            tls = client.context(self.gate.ca)
            if style == "implicit":
                session = smtplib.SMTP_SSL("localhost", port, context=tls)
            else:
                session = smtplib.SMTP("localhost", port)
                session.starttls(context=tls)
            with session:
                session.login(gateway.USER, gateway.PASSWORD)
                session.sendmail(gateway.USER, [recipient], self.mail)

    @unittest.skipUnless(has_nodemailer(), "nodemailer is not installed")
    def test_nodemailer(self):
        for style, port, recipient in self.each_style("nodemailer"):
            self.run_client(
                "node", "-e", NODE, "--", port, style, gateway.USER,
                gateway.PASSWORD, self.gate.ca, self.file, recipient,
                env={**os.environ, "NODE_PATH": "/usr/share/nodejs"})

    @unittest.skipIf(postfix.missing(), str(postfix.missing()))
    def test_postfix(self):
        for style, port, recipient in self.each_style_relayed():
            with postfix.Postfix(port, style, self.gate.ca) as relay, \
                    smtplib.SMTP("127.0.0.1", relay.port) as session:
                session.sendmail(gateway.USER, [recipient], self.mail)
                try:
                    self.gate.maildir.wait_for([recipient], 30)
                except AssertionError:
                    self.fail(relay.log())

    def each_style_relayed(self):
        """Postfix puts a Received field of its own on top."""
        for style in STYLES:
            with self.subTest(client="postfix", style=style):
                recipient = f"postfix-{style}@example.net"
                yield style, self.gate.port(style), recipient
                stored = self.gate.maildir.wait_for([recipient])[recipient]
                rest = stored[mail.TRACE.match(stored).end():]
                theirs = mail.RECEIVED.match(rest)
                self.assertIn(b"with ESMTP", theirs[0])
                self.assertEqual(rest[theirs.end():], self.mail)


if __name__ == "__main__":
    tap.main()
