"""Mistakes of the operator, and broken disks: one clear line that names the
place and the cure, exit status not 0, nothing lost. time-limit: 120"""

import os
import re
import subprocess
import unittest

import tap
from support import disk, gateway, mail, sink

NO_DISK = disk.missing()


class Mistakes(unittest.TestCase):
    """Each mistake is told by --check and at start, in the same words."""

    def setUp(self):
        self.gate = gateway.Gateway(start=False)
        self.addCleanup(self.gate.close)

    def told(self, *arguments):
        done = subprocess.run(self.gate.command(*arguments), text=True,
                              capture_output=True, timeout=20)
        return done.returncode, done.stdout + done.stderr

    def expect(self, *wanted, check=True):
        """Exit status 1 and one line that holds all of `wanted`."""
        for arguments in ((), ("--check",)) if check else ((),):
            status, text = self.told(*arguments)
            with self.subTest(arguments=arguments):
                self.assertEqual(status, 1, text)
                lines = [line for line in text.splitlines()
                         if all(word in line for word in wanted)]
                self.assertEqual(len(lines), 1, text)
                self.assertNotIn("assert", text.lower())

    def replace(self, old, new):
        text = self.gate.config_path.read_text()
        self.assertIn(old, text)
        self.gate.config_path.write_text(text.replace(old, new, 1))

    def line_of(self, needle):
        """file:line of the first line with `needle`."""
        lines = self.gate.config_path.read_text().splitlines()
        number = next(n for n, line in enumerate(lines, 1) if needle in line)
        return f"{self.gate.config_path}:{number}"

    def test_nothing_wrong(self):
        status, text = self.told("--check")
        self.assertEqual(status, 0, text)

    def test_no_such_file(self):
        self.gate.config_path.unlink()
        self.expect("sluice.conf", "No such file")

    def test_unknown_key(self):
        self.replace("hostname =", "hostnaem = \"x\"\nhostname =")
        self.expect(self.line_of("hostnaem"), "hostnaem")

    def test_syntax(self):
        self.replace("spool {", "spool {{")
        self.expect(self.line_of("spool {{"))

    def test_all_mistakes_at_once(self):
        self.replace("limits {" if "limits {" in
                     self.gate.config_path.read_text() else "retry {",
                     "limits { hops = 0 }\nretry {")
        self.replace("hostname = \"gateway.test\"", "hostname = \"a b\"")
        status, text = self.told("--check")
        self.assertEqual(status, 1)
        self.assertIn("hops", text)
        self.assertIn("hostname", text)

    def test_missing_certificate(self):
        chain = self.gate.folder / "missing.pem"
        self.gate.configure(certificate={"main": {
            "chain": chain, "key": self.gate.pki / "ecdsa-key.pem"}})
        self.expect(str(self.gate.config_path), str(chain), "No such file")

    def test_key_of_another_certificate(self):
        self.gate.configure(certificate={"main": {
            "chain": self.gate.pki / "ecdsa.pem",
            "key": self.gate.pki / "renewed-key.pem"}})
        self.expect(str(self.gate.config_path), "main", "key")

    def test_not_a_certificate(self):
        junk = self.gate.folder / "junk.pem"
        junk.write_text("not PEM\n")
        self.gate.configure(certificate={"main": {
            "chain": junk, "key": self.gate.pki / "ecdsa-key.pem"}})
        self.expect(str(self.gate.config_path), "PEM")

    def test_directory_for_a_key(self):
        self.gate.configure(certificate={"main": {
            "chain": self.gate.pki / "ecdsa.pem", "key": self.gate.folder}})
        self.expect(str(self.gate.config_path), str(self.gate.folder))

    def test_unreadable_certificate(self):
        """Root can read every file, so it is somebody else who starts it."""
        key = self.gate.folder / "secret.pem"
        key.touch(mode=0)
        self.gate.configure(certificate={"main": {
            "chain": self.gate.pki / "ecdsa.pem", "key": key}})
        if os.geteuid() == 0:
            self.gate.prefix = ["setpriv", "--reuid=65534", "--regid=65534",
                                "--clear-groups"]
        self.expect(str(key), "Permission denied")

    def test_bad_users_line(self):
        users = self.gate.folder / "users"
        users.write_text(users.read_text() + "# fine\nsomeone without a hash\n")
        self.expect(f"{users}:3")

    def test_password_in_clear(self):
        users = self.gate.folder / "users"
        users.write_text("someone: swordfish\n")
        status, text = self.told("--check")
        self.assertEqual(status, 1)
        self.assertIn(f"{users}:1", text)
        self.assertIn("sluicectl passwd", text)
        self.assertNotIn("swordfish", text)

    def test_bad_senders_line(self):
        senders = self.gate.folder / "senders"
        senders.write_text("just words\n")
        self.expect(f"{senders}:1")

    def test_impossible_limits(self):
        for limits in ({"sessions": 0}, {"message_size": "1K"},
                       {"recipients": 100000, "envelope_size": "4K"},
                       {"header_size": "1M", "message_size": "64K"}):
            with self.subTest(**limits):
                self.gate.configure(limits=limits)
                status, text = self.told("--check")
                self.assertEqual(status, 1, text)
                self.assertRegex(text, re.escape(str(self.gate.config_path)) +
                                 r":\d+: ")
                self.assertIn(next(iter(limits)), text)

    def test_limits_beyond_this_machine(self):
        """Memory is known at start: what cannot be had is said then."""
        self.gate.configure(limits={"sessions": 1000000, "messages": 1000000,
                                    "buffer_size": "64M"})
        status, text = self.told()
        self.assertNotEqual(status, 0)
        self.assertRegex(text.lower(), "memory")

    def test_no_default_route(self):
        self.gate.configure(route={"some": {
            "next_hop": "discard", "domains": ["example.net"]}})
        self.expect(str(self.gate.config_path), "default")

    def test_bad_next_hop(self):
        self.gate.configure(route={"default": {"next_hop": "smpt://x:25"}})
        self.expect(self.line_of("smpt"), "smpt")

    def test_unknown_user(self):
        if os.geteuid():
            self.skipTest("only root becomes somebody else")
        self.gate.configure(user="no-such-user")
        self.expect("no-such-user", "useradd")

    def test_port_in_use(self):
        with sink.Sink(tls="none", port=self.gate.starttls):
            self.expect(f"127.0.0.1:{self.gate.starttls}",
                        "in use", check=False)

    def test_missing_spool(self):
        self.gate.configure(spool={"directory": "/dev/null/spool"})
        self.expect("/dev/null/spool", check=False)


@unittest.skipIf(NO_DISK, str(NO_DISK))
class Disks(unittest.TestCase):
    def refuses(self, gate, *wanted):
        self.addCleanup(gate.close)
        gate.spawn()
        self.assertNotEqual(gate.process.wait(20), 0)
        lines = [line for line in gate.log_text().splitlines()
                 if all(word in line for word in wanted)]
        self.assertEqual(len(lines), 1, gate.log_text())

    def test_full_at_start(self):
        """A disk with no room at all is told at start, not with the first
        mail."""
        gate = disk.SmallDisk(size="64k", full=True, start=False)
        self.refuses(gate, str(gate.folder / "spool"), "No space")

    def test_read_only_at_start(self):
        gate = disk.SmallDisk(mount_options=",ro", start=False)
        self.refuses(gate, str(gate.folder / "spool"), "Read-only")

    def test_one_mebibyte(self):
        """With little room it starts; mail that does not fit is refused for
        now, what fits is delivered."""
        with disk.SmallDisk(size="1m", limits={
                "message_size": "4M"}) as gate:
            with gate.connect() as session:
                session.submit("small@example.net", mail.plain())
                session.envelope(["large@example.net"])
                session.data(mail.plain(size=3 << 20), 452)
                session.submit("again@example.net", mail.plain())
            gate.maildir.wait_for(["small@example.net", "again@example.net"])
            self.assertNotIn("large@example.net", gate.maildir.mails)


class Rot(unittest.TestCase):
    """Bytes that change on disk while messages wait."""

    def queue(self, n):
        """A stopped gateway with n messages for a next hop that is down."""
        port = gateway.free_ports(1)[0]
        gate = gateway.Gateway(workers=1, route={"default": {
            "next_hop": f"smtp://localhost:{port}",
            "tls_ca": gateway.pki.folder() / "ca.pem"}})
        self.addCleanup(gate.close)
        with gate.connect() as session:
            for number in range(n):
                session.submit(f"{number}@example.net",
                               mail.plain(body=f"mark-{number}-\r\n"))
            session.quit()
        self.assertEqual(gate.stop(), 0)
        return gate, port

    def segment(self, gate):
        paths = [p for p in (gate.folder / "spool").rglob("*.seg")
                 if b"mark-2-" in p.read_bytes()]
        self.assertEqual(len(paths), 1)
        return paths[0]

    def delivered(self, gate, port, n):
        with sink.Sink(port=port) as hop:
            gate.start()
            hop.wait_for(n)
            return sorted(message.recipients[0] for message in hop.messages)

    def damage(self, path, find, change):
        data = bytearray(path.read_bytes())
        at = data.index(find)
        data[at:at + len(find)] = change
        path.write_bytes(data)

    def test_rotten_body(self):
        """One changed byte: that message is not delivered as if it were good,
        the others are, and one line says which segment."""
        gate, port = self.queue(5)
        path = self.segment(gate)
        self.damage(path, b"mark-2-", b"mark-X-")
        since = len(gate.log_text())
        self.assertEqual(self.delivered(gate, port, 4), [
            f"{n}@example.net" for n in (0, 1, 3, 4)])
        lines = [line for line in gate.log_text()[since:].splitlines()
                 if path.stem in line and '"level":"error"' in line]
        self.assertEqual(len(lines), 1, gate.tail())
        self.assertTrue(path.exists(), "the damaged segment was removed")

    def test_rotten_length(self):
        """A frame whose header is damaged: the frames behind it are found."""
        gate, port = self.queue(5)
        path = self.segment(gate)
        data = bytearray(path.read_bytes())
        at = data.rindex(b"mark-1-") + len(b"mark-1-")
        end = data.index(b"demo@example.org", at)
        data[(at + 64) & ~7:end] = b"\xff" * (end - ((at + 64) & ~7))
        path.write_bytes(data)
        got = self.delivered(gate, port, 3)
        self.assertLessEqual({"0@example.net", "3@example.net",
                              "4@example.net"}, set(got))
        self.assertNotIn("2@example.net", got)

    def test_torn_end(self):
        """A segment that was cut in its last message, as by a crash."""
        gate, port = self.queue(3)
        path = self.segment(gate)
        data = path.read_bytes()
        path.write_bytes(data[:data.rindex(b"mark-2-")])
        self.assertEqual(self.delivered(gate, port, 2),
                         ["0@example.net", "1@example.net"])

    def test_strange_files(self):
        """What does not belong there neither stops nor confuses anything."""
        gate, port = self.queue(2)
        spool = gate.folder / "spool"
        for folder in [spool, *(p for p in spool.iterdir() if p.is_dir())]:
            (folder / "README").write_text("hello\n")
            (folder / "0000000000000abc.seg").write_bytes(b"junk" * 100)
            (folder / "0000000000000abd.seg").touch()
            (folder / "0000000000000abe.log").write_bytes(b"junk" * 100)
        self.assertEqual(self.delivered(gate, port, 2),
                         ["0@example.net", "1@example.net"])
        self.assertTrue((spool / "README").exists())


if __name__ == "__main__":
    tap.main()
