"""What an operator can read, and what nobody may: log lines, secrets, core
dumps, privileges of the processes. time-limit: 60"""

import base64
import os
import pathlib
import pwd
import re
import subprocess
import time
import unittest

import tap
from support import gateway, mail

LOUD = {"log": {"level": "debug", "format": "json"}}
SESSION = {"session", "listener", "peer", "tls", "cipher", "user", "messages",
           "bytes_in", "bytes_out", "duration_ms", "ended"}
MESSAGE = {"id", "peer", "user", "from", "recipients", "bytes", "receive_ms",
           "commit_ms", "result"}
EVERY = {"time", "level", "process", "event"}


def status(pid, key):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return re.search(rf"^{key}:[ \t]*(.*)$", text, re.M)[1]


class Lines(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gate = gateway.Gateway(**LOUD)
        cls.before = len(cls.gate.log("session"))
        with cls.gate.connect("starttls") as session:
            cls.queued = [session.submit(f"{n}@example.net", mail.plain())
                          for n in range(3)]
            session.quit()
        cls.forge()
        cls.gate.maildir.wait_for([f"{n}@example.net" for n in range(3)])
        cls.status = cls.gate.stop()

    @classmethod
    def tearDownClass(cls):
        cls.gate.close()

    @classmethod
    def forge(cls):
        """A peer that tries to write log lines, and passwords that must not
        get there however they are given."""
        encoded = base64.b64encode(b"\0demo@example.org\0hunter2").decode()
        with cls.gate.connect(login=False) as session:
            session.send(b"EHLO x\x1b[2J\"},{\"event\":\"forged\\n\r\n")
            session.read()
            for line in (f"AUTH PLAIN {encoded}", "AUTH LOGIN",
                         base64.b64encode(b"\"}\n{\"event\":\"forged\"").decode(),
                         base64.b64encode(b"hunter2").decode(),
                         "AUTH BOGUS hunter2", "hunter2",
                         "MAIL FROM:<\"a\\\"}\"@example.org>"):
                session.send(line.encode() + b"\r\n")
                session.read()

    def test_every_line_is_json(self):
        lines = self.gate.log_text().splitlines()
        self.assertGreater(len(lines), 5)
        self.assertEqual(len(self.gate.log()), len(lines))
        for line in self.gate.log():
            self.assertLessEqual(EVERY, set(line), line)
            self.assertRegex(line["time"],
                             r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertNotEqual(line["event"], "forged")

    def test_session(self):
        ours = [line for line in self.gate.log("session")
                if line.get("messages") == 3]
        self.assertEqual(len(ours), 1)
        self.assertLessEqual(SESSION, set(ours[0]))
        self.assertEqual((ours[0]["listener"], ours[0]["tls"], ours[0]["user"]),
                         ("submission", "TLSv1.3", gateway.USER))
        self.assertIn("127.0.0.1", ours[0]["peer"])
        ids = [line["session"] for line in self.gate.log("session")]
        self.assertEqual(len(ids), len(set(ids)))

    def test_message(self):
        messages = self.gate.log("message")
        self.assertEqual(len(messages), 3)
        for line, reply in zip(messages, self.queued):
            self.assertLessEqual(MESSAGE, set(line))
            self.assertEqual((line["result"], line["recipients"]),
                             ("durable", 1))
            self.assertIn(f"queued as {line['id']}", reply)

    def test_deliveries(self):
        """The id that the client was told finds the delivery, too."""
        text = self.gate.log_text()
        for reply in self.queued:
            number = re.search(r"queued as (\S+)", reply)[1]
            lines = [line for line in text.splitlines() if number in line]
            self.assertGreaterEqual(len(lines), 2, lines)

    def test_no_secret(self):
        text = self.gate.log_text()
        for password in (gateway.PASSWORD, "hunter2"):
            self.assertNotIn(password, text)
            for framed in (password, f"\0{gateway.USER}\0{password}",
                           f"\0demo@example.org\0{password}"):
                encoded = base64.b64encode(framed.encode()).decode()
                self.assertNotIn(encoded.rstrip("=")[:-1], text)
        self.assertNotIn("$y$", text)
        self.assertNotIn("PRIVATE KEY", text)

    def test_exit(self):
        self.assertEqual(self.status, 0)


class TextFormat(unittest.TestCase):
    def test_lines(self):
        with gateway.Gateway(log={"format": "text", "level": "debug"}) as gate:
            with gate.connect() as session:
                session.submit("a@example.net", mail.plain())
                session.quit()
            gate.stop()
            for line in gate.log_text().splitlines():
                self.assertRegex(line, r"^\d{4}-\S+Z [a-z]+ [a-z0-9-]+: \S")


class Processes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gate = gateway.Gateway(workers=2)
        cls.children = cls.gate.pids()
        deadline = time.monotonic() + 5  # a child needs a moment to settle
        while time.monotonic() < deadline and "0" in [
                status(pid, "NoNewPrivs") for pid in cls.children.values()]:
            time.sleep(0.02)

    @classmethod
    def tearDownClass(cls):
        cls.gate.close()

    def test_which_there_are(self):
        self.assertLessEqual({"gateway-0", "gateway-1"}, set(self.children))
        self.assertTrue(any(name.startswith("relay") for name in self.children))
        self.assertEqual(int((self.gate.folder / "sluiced.pid").read_text()),
                         self.gate.process.pid)

    @unittest.skipIf(os.geteuid(), "only root has privileges to drop")
    def test_unprivileged(self):
        user = pwd.getpwnam(gateway.worker_user())
        for name, pid in self.children.items():
            with self.subTest(name):
                self.assertEqual(status(pid, "Uid").split(),
                                 [str(user.pw_uid)] * 4)
                self.assertEqual(status(pid, "Gid").split(),
                                 [str(user.pw_gid)] * 4)
                self.assertEqual(status(pid, "Groups").split(), [])
                self.assertEqual(int(status(pid, "CapPrm"), 16), 0)
                self.assertEqual(int(status(pid, "CapEff"), 16), 0)

    def test_no_new_privileges(self):
        for name, pid in self.children.items():
            self.assertEqual(status(pid, "NoNewPrivs"), "1", name)

    def test_no_core_dumps(self):
        """Neither by limit nor by attachment: keys are in this memory."""
        for name, pid in self.gate.all_pids().items():
            with self.subTest(name):
                limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
                self.assertRegex(limits, r"Max core file size\s+0\s+0\s")
                owner = os.stat(f"/proc/{pid}/environ").st_uid
                self.assertEqual(owner, 0, "a dumpable process")

    def test_descriptors(self):
        """A worker holds no file of the supervisor's it has no use for."""
        for name, pid in self.children.items():
            files = [os.readlink(entry.path)
                     for entry in os.scandir(f"/proc/{pid}/fd")]
            for path in files:
                self.assertNotIn("key.pem", path, name)
                self.assertFalse(path.endswith("/users"), name)

    def test_control_socket_is_private(self):
        mode = (self.gate.folder / "control").stat().st_mode
        self.assertEqual(mode & 0o007, 0)

    @unittest.skipIf(os.geteuid(), "only root can become somebody else")
    def test_control_socket_refuses_others(self):
        code = ("import os, socket, sys; os.setgroups([]); os.setgid(12345); "
                "os.setuid(12345); s = socket.socket(socket.AF_UNIX); "
                "sys.exit(s.connect_ex(sys.argv[1]) == 0)")
        done = subprocess.run(["/usr/bin/python3", "-c", code,
                               str(self.gate.folder / "control")])
        self.assertEqual(done.returncode, 0)


if __name__ == "__main__":
    tap.main()
