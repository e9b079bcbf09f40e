"""The operator's tool: passwords without a daemon, and a running daemon over
its control socket. time-limit: 120"""

import errno
import json
import os
import pty
import select
import subprocess
import time
import unittest
import warnings

import tap
from support import gateway

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import crypt

NAME = "alice@example.org"


def run(*arguments, given=""):
    return subprocess.run([gateway.program("sluicectl"), *arguments],
                          input=given, text=True, capture_output=True,
                          timeout=30)


class Passwords(unittest.TestCase):
    def line(self, *arguments, given="swordfish\n"):
        done = run("passwd", *arguments, NAME, given=given)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, "")
        self.assertRegex(done.stdout, r"\A[^\n]*\n\Z")
        head, hashed = done.stdout.rstrip("\n").split("{crypt}")
        self.assertEqual(head, NAME + ":")
        return hashed

    def refused(self, *arguments, given="swordfish\n", status=1):
        done = run("passwd", *arguments, given=given)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertNotIn("swordfish", done.stderr)
        return done.stderr

    def test_each_scheme_verifies(self):
        for scheme, cost, prefix in (("yescrypt", "1", "$y$j75$"),
                                     ("sha512crypt", "2000",
                                      "$6$rounds=2000$"),
                                     ("bcrypt", "4", "$2b$04$")):
            with self.subTest(scheme=scheme):
                hashed = self.line("--scheme", scheme, "--cost", cost)
                self.assertTrue(hashed.startswith(prefix), hashed)
                self.assertEqual(crypt.crypt("swordfish", hashed), hashed)
                self.assertNotEqual(crypt.crypt("Swordfish", hashed), hashed)

    def test_defaults(self):
        self.assertTrue(self.line().startswith("$y$j9T$"))
        self.assertTrue(self.line("--scheme", "sha512crypt")
                        .startswith("$6$rounds=100000$"))
        self.assertTrue(self.line("--scheme", "bcrypt").startswith("$2b$10$"))

    def test_salted(self):
        self.assertNotEqual(self.line("--cost", "1"), self.line("--cost", "1"))

    def test_bytes_are_taken_as_they_are(self):
        password = " caf\u00e9: two words "
        hashed = self.line("--cost", "1", given=password + "\nmore\n")
        self.assertEqual(crypt.crypt(password, hashed), hashed)

    def test_line_without_end(self):
        hashed = self.line("--cost", "1", given="swordfish")
        self.assertEqual(crypt.crypt("swordfish", hashed), hashed)

    def test_length(self):
        hashed = self.line("--cost", "1", given="x" * 511 + "\n")
        self.assertEqual(crypt.crypt("x" * 511, hashed), hashed)
        self.assertIn("too long", self.refused(NAME, given="x" * 512 + "\n"))
        self.line("--scheme", "bcrypt", "--cost", "4", given="x" * 72)
        self.assertIn("72", self.refused("--scheme", "bcrypt", NAME,
                                         given="x" * 73))

    def test_nothing_to_hash(self):
        for given in ("", "\n", "\nswordfish\n"):
            self.assertIn("empty", self.refused(NAME, given=given))
        self.assertIn("NUL", self.refused(NAME, given="sword\0fish\n"))

    def test_names(self):
        for name in ("", "a:b", "a b", "a\nb", "#a"):
            with self.subTest(name=name):
                self.assertIn("name", self.refused(name))

    def test_costs(self):
        for scheme, cost in (("yescrypt", "12"), ("sha512crypt", "999"),
                             ("bcrypt", "3"), ("bcrypt", "32")):
            with self.subTest(scheme=scheme, cost=cost):
                self.assertIn("cost", self.refused("--scheme", scheme,
                                                   "--cost", cost, NAME))
        self.refused("--cost", "much", NAME, status=2)
        self.refused("--cost", "0", NAME, status=2)
        self.refused("--scheme", "md5", NAME, status=2)

    def test_password_is_no_argument(self):
        """Nor is it shown when somebody tries (`refused` looks for it)."""
        self.assertIn("too many", self.refused(NAME, "swordfish", status=2))


class Terminal(unittest.TestCase):
    """A person types; the terminal must not show it."""

    def setUp(self):
        self.ours, theirs = pty.openpty()
        self.addCleanup(os.close, self.ours)
        self.shown = b""
        self.process = subprocess.Popen(
            [gateway.program("sluicectl"), "passwd", "--cost", "1", NAME],
            stdin=theirs, stderr=theirs, stdout=subprocess.PIPE, text=True,
            start_new_session=True,
            preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)))
        os.close(theirs)
        self.addCleanup(self.process.stdout.close)
        self.addCleanup(self.end)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def wait_for(self, text, seconds=10):
        """Reads what the terminal shows until it holds `text`."""
        deadline = time.monotonic() + seconds
        while text not in self.shown:
            self.assertLess(time.monotonic(), deadline, self.shown)
            if select.select([self.ours], [], [], 0.1)[0]:
                try:
                    self.shown += os.read(self.ours, 4096)
                except OSError as error:
                    if error.errno != errno.EIO:
                        raise
                    self.fail(f"the terminal was closed: {self.shown!r}")

    def type(self, prompt, text):
        self.wait_for(prompt)
        os.write(self.ours, text)

    def test_asked_twice_without_echo(self):
        self.type(b"Password:", b"swordfish\n")
        self.type(b"Again:", b"swordfish\n")
        hashed = self.process.stdout.read().rstrip("\n").split("{crypt}")[1]
        self.assertEqual(self.process.wait(10), 0)
        self.assertEqual(crypt.crypt("swordfish", hashed), hashed)
        self.assertNotIn(b"swordfish", self.shown)

    def test_not_the_same(self):
        self.type(b"Password:", b"swordfish\n")
        self.type(b"Again:", b"swordfisch\n")
        self.wait_for(b"not the same")
        self.assertEqual(self.process.wait(10), 1)
        self.assertEqual(self.process.stdout.read(), "")

    def test_interrupted(self):
        """Control-C ends it at once."""
        self.type(b"Password:", b"sword\x03")
        self.assertEqual(self.process.wait(10), 130)
        self.assertEqual(self.process.stdout.read(), "")


class Usage(unittest.TestCase):
    COMMANDS = ("status", "metrics", "reload", "stop", "log-level", "passwd",
                "check")

    def test_help(self):
        done = run("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for command in self.COMMANDS:
            self.assertIn(f"\n{command}", done.stdout)
            one = run(command, "--help")
            self.assertEqual((one.returncode, one.stderr), (0, ""))
            self.assertTrue(one.stdout.startswith(
                f"usage: sluicectl {command}"), one.stdout)

    def test_version(self):
        done = run("--version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"\Asluicectl \d+\.\d+\S*\n\Z")

    def test_wrong_usage(self):
        for arguments in ((), ("dance",), ("status", "now"), ("--loud",),
                          ("status", "--cost", "3"), ("passwd",),
                          ("reload", "--json"), ("log-level",), ("check",),
                          ("-s", "a", "-c", "b", "status")):
            with self.subTest(arguments=arguments):
                done = run(*arguments)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertEqual(done.stdout, "")
                self.assertNotEqual(done.stderr, "")

    def test_no_daemon(self):
        done = run("-s", "/nonexistent/control", "status")
        self.assertEqual(done.returncode, 1)
        self.assertIn("/nonexistent/control", done.stderr)
        self.assertIn("is sluiced running", done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1)

    def test_full_disk(self):
        with open("/dev/full", "w", encoding="ascii") as full:
            done = subprocess.run(
                [gateway.program("sluicectl"), "passwd", "--cost", "1", NAME],
                input="x\n", text=True, stdout=full, stderr=subprocess.PIPE,
                timeout=30)
        self.assertEqual(done.returncode, 1)
        self.assertIn("standard output", done.stderr)


class Running(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.gate = gateway.Gateway()

    @classmethod
    def tearDownClass(cls):
        cls.gate.close()

    def tell(self, *arguments, status=0):
        done = self.gate.control(*arguments)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout if status == 0 else done.stderr

    def test_status(self):
        text = self.tell("status")
        self.assertTrue(text.startswith("sluice "), text)
        self.assertIn("queue: 0 waiting", text)
        data = json.loads(self.tell("status", "--json"))
        for process in data["processes"]:
            self.assertIn(f"{process['name']} ", text)
            self.assertIn(f" {process['pid']} ", text)
            os.kill(process["pid"], 0)
        self.assertGreaterEqual(len(data["processes"]), 3)

    def test_metrics(self):
        text = self.tell("metrics")
        values = dict(line.rsplit(" ", 1) for line in text.splitlines()
                      if not line.startswith("#") and "{" not in line)
        totals = self.gate.counters()
        self.assertEqual(len(values), len(totals))
        self.assertIn("sluice_queue_now", values)
        self.assertGreaterEqual(
            int(values["sluice_connections_accepted_total"]), 2)

    def test_by_configuration(self):
        done = run("-c", str(self.gate.config_path), "status")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue(done.stdout.startswith("sluice "))

    def test_check_is_the_daemons(self):
        path = str(self.gate.config_path)
        ours = run("check", "-c", path)
        theirs = subprocess.run(self.gate.command("--check"), text=True,
                                capture_output=True, timeout=30)
        self.assertEqual(ours.returncode, 0, ours.stderr)
        self.assertEqual((ours.stdout, ours.stderr),
                         (theirs.stdout, theirs.stderr))

    def test_log_level(self):
        self.tell("log-level", "warning")
        self.tell("log-level", "info")
        self.assertIn("unknown request",
                      self.tell("log-level", "loud", status=1))

    def test_reload(self):
        before = json.loads(self.tell("status", "--json"))["generation"]
        self.tell("reload")
        after = json.loads(self.tell("status", "--json"))["generation"]
        self.assertGreater(after, before)

    def test_reload_with_a_mistake(self):
        good = self.gate.config_path.read_text()
        self.addCleanup(self.gate.config_path.write_text, good)
        self.gate.config_path.write_text(good + "colour = \"red\"\n")
        line = len(good.splitlines()) + 1
        self.assertIn(f"sluice.conf:{line}: ", self.tell("reload", status=1))
        self.tell("status")

    def test_stop(self):
        with gateway.Gateway() as gate:
            self.assertEqual(gate.control("stop").returncode, 0)
            self.assertEqual(gate.process.wait(20), 0)

    @unittest.skipIf(os.geteuid(), "only root becomes somebody else")
    def test_stranger(self):
        """The socket's mode keeps others out, and the tool says who may."""
        done = subprocess.run(
            [gateway.program("sluicectl"), "-s",
             str(self.gate.folder / "control"), "status"], text=True,
            capture_output=True, timeout=20, user=54321, group=54321,
            extra_groups=[])
        self.assertEqual(done.returncode, 1)
        self.assertIn("root", done.stderr)


if __name__ == "__main__":
    tap.main()
