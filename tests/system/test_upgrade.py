"""Another program takes over: nobody is refused, no session breaks, nothing
that was acknowledged is lost or delivered twice (P1); and a program that does
not come up changes nothing.
time-limit: 300"""

import collections
import os
import random
import signal
import socket
import struct
import subprocess
import threading
import time
import unittest

import tap
from support import gateway, mail, sink, successor

UPGRADES = 20
SEED = int(os.environ.get("SLUICE_UPGRADE_SEED") or
           time.time_ns() % 1_000_000)
ROUNDS = 5  # of killing


class Upgrade(unittest.TestCase):
    def start(self, **options):
        gate = successor.Gateway(**options)
        self.addCleanup(gate.close)
        return gate

    def test_sessions_go_on(self):
        """One in the middle of a message keeps its process; new ones are
        served by the new program; the old one leaves after its last."""
        gate = self.start()
        old = gate.connect()
        old.envelope(["across@example.net"])
        old.command("DATA", 354)
        data = mail.plain()
        old.send(data[:50])
        before = set(gate.pids("gateway").values())
        gate.upgrade()
        self.assertFalse(before & set(gate.pids("gateway").values()))
        draining = {p["pid"] for p in gate.status()["processes"]
                    if p["state"] == "draining"}
        self.assertLessEqual(draining, before)
        gate.deliver("new@example.net")
        self.assertIsNone(gate.elders[0].poll())
        old.send(data[50:] + b".\r\n")
        old.expect(250)
        old.submit("after@example.net", data)
        self.assertIsNone(gate.elders[0].poll())
        old.quit()
        self.assertEqual(gate.await_elders(), [0])
        for stored in gate.maildir.wait_for(
                ["across@example.net", "after@example.net"]).values():
            mail.check_arrived(stored, data)
        self.assertEqual(gate.status()["generation"], 2)
        self.assertEqual(gate.stop(), 0)
        self.assertEqual(gate.strays(), [])
        self.assertEqual(gate.pid() if gate.pid() else 0, 0)

    def test_many_in_a_row_under_load(self):
        gate = self.start()
        load = successor.Load(gate)
        try:
            for _ in range(UPGRADES):
                gate.upgrade()
        finally:
            load.end()
        self.assertEqual(load.failures, [])
        self.assertGreater(len(load.acknowledged), UPGRADES)
        gate.maildir.wait_for(load.acknowledged)
        self.assertEqual(gate.await_elders(), [0] * UPGRADES)
        gate.stop()
        copies = {name: len(stored)
                  for name, stored in gate.maildir.scan().items()}
        print(f"# {UPGRADES} upgrades, {len(load.acknowledged)} mails")
        self.assertEqual(copies, dict.fromkeys(load.acknowledged, 1))

    def test_next_hop_gets_each_mail_once(self):
        """The relays share a spool, one after the other."""
        with sink.Sink() as hop:
            route = {"next_hop": hop.url(),
                     "tls_ca": gateway.pki.folder() / "ca.pem"}
            gate = self.start(route={"default": route})
            load = successor.Load(gate)
            try:
                for _ in range(5):
                    gate.upgrade()
                    arrived = len(hop.messages)
                    hop.wait_for(arrived + 5)
            finally:
                load.end()
            self.assertEqual(load.failures, [])
            hop.wait_for(len(load.acknowledged))
            gate.stop()
            copies = collections.Counter(
                name for message in hop.messages for name in
                message.recipients)
            self.assertEqual(copies, dict.fromkeys(load.acknowledged, 1))

    def test_single_connections(self):
        """Nobody waits in a queue that nobody serves: one client at a time,
        so that none is helped by the next."""
        gate = self.start()
        late = []
        for _ in range(8):
            asked = threading.Thread(target=gate.upgrade)
            asked.start()
            while asked.is_alive():
                began = time.monotonic()
                gate.connect("starttls", login=False, timeout=5).quit()
                late.append(time.monotonic() - began)
            asked.join()
        self.assertLess(max(late), 4)

    def test_named_program_of_another_version(self):
        """Its counters go on where they mean the same, or begin anew."""
        gate = self.start()
        gate.deliver("one@example.net")
        gate.upgrade(gate.patched("newer", b"sluiced 0.1.0",
                                  b"sluiced 0.1.9"))
        gate.deliver("two@example.net")
        self.assertEqual(gate.counters()["messages_accepted"], 2)
        gate.upgrade(gate.patched("newest", b"\0AUTH_BUSY\0",
                                  b"\0AUTH_BUSX\0"))
        gate.deliver("three@example.net")
        self.assertLessEqual(gate.counters()["messages_accepted"], 1)
        self.assertIn("auth_busx", gate.counters())
        self.assertEqual(gate.await_elders(), [0, 0])

    def test_signal_and_reload(self):
        """SIGUSR2 asks for it, too; both can be reloaded."""
        gate = self.start()
        gate.process.send_signal(signal.SIGHUP)
        gate.wait_for_log("reloaded")
        gate.process.send_signal(signal.SIGUSR2)
        gate.wait_for_log("took-over")
        gate.follow()
        self.assertEqual(gate.await_elders(), [0])
        gate.process.send_signal(signal.SIGHUP)
        gate.wait_for_log("reloaded", since=gate.log_text().index("took-over"))
        self.assertEqual(gate.status()["generation"], 4)
        gate.deliver()

    def serial(self, gate):
        with gate.connect() as session:
            return session.socket.getpeercert()["serialNumber"]

    def test_configuration_is_read_anew(self):
        gate = self.start()
        first = self.serial(gate)
        extra = gateway.free_ports(1)[0]
        gate.configure(certificate={"main": gate.certificate("renewed")})
        text = gate.config_path.read_text()
        gate.config_path.write_text(text.replace(
            f'"127.0.0.1:{gate.starttls}"',
            f'"127.0.0.1:{gate.starttls}", "127.0.0.1:{extra}"'))
        gate.upgrade()
        # One that came while the old worker left may still be the old one's.
        gate.wait_for(lambda: self.serial(gate) != first)
        gate.starttls = extra
        gate.deliver(style="starttls")

    def test_stop_takes_the_old_one_along(self):
        """Whoever stops the new one finds the spool free."""
        gate = self.start()
        sessions = []
        for _ in range(3):
            sessions.append(gate.connect())
            gate.upgrade()
        self.assertTrue(all(elder.poll() is None for elder in gate.elders))
        self.assertEqual(gate.stop(), 0)
        self.assertEqual(gate.strays(), [])
        for session in sessions:
            self.assertTrue(session.read().startswith("421 4.3.2"))
        self.assertEqual(gate.await_elders(), [0] * 3)
        gate.start()
        gate.deliver()

    def test_old_ones_are_bounded(self):
        """Sessions of programs long ago, or that have had their time, are
        told 421."""
        gate = self.start(timeouts={"drain": "3s"})
        session = gate.connect()
        for _ in range(4):
            self.assertIsNone(gate.process.poll())
            gate.upgrade()
        session.command("NOOP", 250)
        self.assertTrue(session.read().startswith("421 4.3.2"))
        gate = self.start(timeouts={"retire": "1s", "drain": "5s"})
        session = gate.connect()
        gate.upgrade()
        session.command("NOOP", 250)
        self.assertTrue(session.read().startswith("421 4.3.2"))
        self.assertEqual(gate.await_elders(), [0])

    def test_systemd_is_told(self):
        gate = successor.Gateway(start=False)
        self.addCleanup(gate.close)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
            heard.bind(str(gate.folder / "notify"))
            heard.settimeout(10)
            os.environ["NOTIFY_SOCKET"] = str(gate.folder / "notify")
            self.addCleanup(os.environ.pop, "NOTIFY_SOCKET")
            gate.start()
            self.assertEqual(heard.recv(100), b"READY=1")
            gate.upgrade()
            self.assertEqual({heard.recv(100), heard.recv(100)},
                             {b"MAINPID=%d" % gate.process.pid, b"READY=1"})
            gate.stop()
            self.assertEqual(heard.recv(100), b"STOPPING=1")


class Refused(unittest.TestCase):
    """A session of the old program goes on, new ones are served by it."""

    def setUp(self):
        self.gate = successor.Gateway()
        self.addCleanup(self.gate.close)
        self.session = self.gate.connect()

    def refused(self, wanted, *path):
        self.assertIn(wanted, self.gate.refused(*path))
        self.check_unchanged()

    def check_unchanged(self):
        gate = self.gate
        self.assertEqual(gate.pid(), gate.process.pid)
        self.session.submit(f"{os.urandom(4).hex()}@example.net", mail.plain())
        gate.deliver(f"{os.urandom(4).hex()}@example.net")
        self.assertEqual(gate.status()["generation"], 1)
        states = collections.Counter(
            p["state"] for p in gate.status()["processes"])
        states.pop("gone", None)
        self.assertEqual(states, {"running": 3})

    def test_one_that_leaves_at_once(self):
        self.refused("before it was ready", self.gate.program(
            "quitter", "#!/bin/sh\nexit 3\n"))
        self.gate.upgrade()

    def test_one_that_never_gets_ready(self):
        program = self.gate.program("sleeper", "#!/bin/sh\nexec sleep 600\n")
        answer = subprocess.run(
            [gateway.program("sluicectl"), "-s",
             str(self.gate.folder / "control"), "upgrade", str(program)],
            text=True, capture_output=True, timeout=60)
        self.assertIn("not ready in time", answer.stderr)
        self.check_unchanged()
        self.gate.upgrade()

    def test_second_upgrade_and_reload_meanwhile(self):
        program = self.gate.program("sleeper", "#!/bin/sh\nexec sleep 600\n")
        with subprocess.Popen(
                [gateway.program("sluicectl"), "-s",
                 str(self.gate.folder / "control"), "upgrade", str(program)],
                stderr=subprocess.PIPE, text=True) as asked:
            self.gate.wait_for_log("upgrading")
            self.refused("an upgrade is under way")
            self.assertIn("an upgrade is under way",
                          self.gate.control("reload").stderr)
            self.assertEqual(self.gate.stop(), 0)
            asked.communicate()
        self.assertNotEqual(asked.returncode, 0)
        self.assertEqual(self.gate.strays(), [])

    def test_one_that_talks_nonsense(self):
        for name, line in {
                "noise": 'pair.send(b"x" * 100)',
                "other": "say(3, version=3)",
                "huge": 'pair.send(b"x" * 100000)',
                "unknown": "say(77)"}.items():
            self.refused("nonsense", self.gate.program(
                name, f"{successor.FAKE}{line}\n"
                "pair.recv(100); time.sleep(1)\n"))

    def test_one_that_says_why(self):
        """In whatever version it speaks."""
        self.refused("the stars are wrong", self.gate.program(
            "astrologer",
            successor.FAKE + 'say(4, b"the stars are wrong\\n", 9)\n'))

    def test_configuration_with_mistakes(self):
        good = self.gate.config_path.read_text()
        self.gate.config_path.write_text(good + "\nnonsense = 1\n")
        self.refused(f"{self.gate.config_path}:{good.count(chr(10)) + 2}")
        for key, value in (("workers", "3"), ("pid_file", '"/tmp/x"'),
                           ("control", '"/tmp/x"')):
            lines = [line for line in good.splitlines()
                     if not line.startswith(key + " ")]
            self.gate.config_path.write_text(
                "\n".join([f"{key} = {value}", *lines]) + "\n")
            self.refused("needs a restart")
        self.gate.config_path.write_text(good)
        self.gate.upgrade()

    def test_gateway_that_dies_early(self):
        """The program comes up, its workers do not."""
        good = self.gate.config_path.read_text()
        port = gateway.free_ports(1)[0]
        with socket.create_server(("127.0.0.1", port)):
            self.gate.config_path.write_text(good.replace(
                f'"127.0.0.1:{self.gate.starttls}"',
                f'"127.0.0.1:{self.gate.starttls}", "127.0.0.1:{port}"'))
            self.refused("another program listens there")
        self.gate.config_path.write_text(good)

    @unittest.skipIf(gateway.SANITIZED, "sanitizers need all address space")
    def test_workers_that_do_not_come_up(self):
        """The supervisor alone fits the memory that it is given."""
        real = gateway.program("sluiced")
        self.refused("gateways die", self.gate.program(
            "poor", f'#!/bin/sh\nulimit -v 150000\nexec {real} "$@"\n'))

    def test_memory_of_another_layout(self):
        other = struct.pack("<3I", 2, 256, 3)
        self.refused("shares memory in another way", self.gate.patched(
            "other", successor.LAYOUT, other))

    def test_lanes_and_shield(self):
        """To have some is a change."""
        good = self.gate.config_path.read_text()
        self.gate.config_path.write_text(
            good.replace("pid_file", 'steering { program = "none" }\n'
                         'lane "bulk" { workers = 2 }\npid_file', 1).replace(
                         'tls = "', 'lane = "bulk"\ntls = "'))
        self.refused("needs a restart")
        self.gate.config_path.write_text(good + "\nshield { }\n")
        self.refused("shield: to begin")

    def test_file_that_may_not_run(self):
        gate = self.gate
        self.refused("No such file", gate.folder / "nowhere")
        self.refused("no program", gate.folder)
        plain = gate.program("plain", "no program\n")
        self.refused("Exec format error", plain)
        plain.chmod(0o644)
        self.refused("Permission denied", plain)
        loose = gate.program("loose")
        loose.chmod(0o775)
        self.refused("others than root", loose)

    @unittest.skipIf(os.geteuid(), "needs root, to be somebody else")
    def test_who_may_name_a_program(self):
        """Not the workers' user: it would run as root."""
        def ask(line):
            script = ("import os, socket, sys\n"
                      "os.setgroups([]); os.setgid(1); os.setuid(1)\n"
                      "s = socket.socket(socket.AF_UNIX)\n"
                      "s.connect(sys.argv[1]); s.send(sys.argv[2].encode())\n"
                      "print(s.recv(1000).decode())\n")
            return subprocess.run(
                ["/usr/bin/python3", "-c", script,
                 str(self.gate.folder / "control"), line + "\n"],
                text=True, capture_output=True, timeout=20).stdout
        self.assertIn("not permitted: only root", ask("upgrade /bin/true"))
        self.check_unchanged()
        self.assertTrue(ask("upgrade").startswith("ok"))
        self.gate.follow()
        self.session.quit()
        self.gate.deliver("last@example.net")


class Container(unittest.TestCase):
    def test_first_process_stays(self):
        """Nobody would be left if it went."""
        command = ["unshare", "--pid", "--fork", "--mount-proc"]
        if subprocess.run([*command, "true"], capture_output=True).returncode:
            self.skipTest("no process namespaces here")
        gate = successor.Gateway(prefix=command)
        self.addCleanup(gate.close)
        self.assertIn("replace the container", gate.refused())
        gate.deliver()
        gate.control("stop")
        self.assertEqual(gate.process.wait(10), 0)


class Killed(unittest.TestCase):
    """Whoever is killed, whenever: what was acknowledged is delivered."""

    def start(self):
        gate = successor.Gateway(timeouts={"drain": "2s"})
        self.addCleanup(gate.close)
        return gate

    def recover(self, gate, load):
        """Starts it again if it is down; then all must be there."""
        load.end()
        if gate.process.poll() is not None:
            gate.start()
        gate.deliver(f"{os.urandom(4).hex()}@example.net")
        gate.maildir.wait_for(load.acknowledged, 30)

    def serves(self, gate, process, since):
        """Whether it came so far, or left."""
        while process.poll() is None:
            if '"took-over"' in gate.log_text()[since:]:
                return True
            time.sleep(0.01)
        return False

    def test_new_one_while_it_comes_up(self):
        chance = random.Random(SEED)
        print(f"# seed {SEED}")
        gate = self.start()
        for _ in range(ROUNDS):
            load = successor.Load(gate, pause=0.01)
            since = len(gate.log_text())
            asked = subprocess.Popen(
                [gateway.program("sluicectl"), "-s",
                 str(gate.folder / "control"), "upgrade"],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            line = gate.wait_for_log('"upgrading"', since=since)
            pid = int(line.split('"pid":')[1].split(",")[0].rstrip("}"))
            time.sleep(chance.uniform(0, 0.15))
            os.kill(pid, signal.SIGKILL)
            asked.communicate()
            os.waitpid(pid, 0)
            if asked.returncode == 0:  # it served already
                gate.process.wait(20)
            self.recover(gate, load)
            self.assertEqual(gate.pid(), gate.process.pid)

    def test_old_one_while_the_new_one_comes_up(self):
        """Started again at once, whatever the new one is about to do."""
        chance = random.Random(SEED)
        gate = self.start()
        for _ in range(ROUNDS):
            load = successor.Load(gate, pause=0.01)
            since = len(gate.log_text())
            gate.process.send_signal(signal.SIGUSR2)
            line = gate.wait_for_log('"upgrading"', since=since)
            pid = int(line.split('"pid":')[1].split(",")[0].rstrip("}"))
            time.sleep(chance.uniform(0, 0.15))
            gate.process.kill()
            gate.process.wait()
            new = successor.Process(pid)
            if self.serves(gate, new, since):
                gate.elders.append(gate.process)
                gate.process = new
            self.recover(gate, load)

    def test_old_one_with_sessions_left(self):
        gate = self.start()
        session = gate.connect()
        gate.upgrade()
        session.command("NOOP", 250)
        gate.elders[0].kill()
        self.assertTrue(session.read().startswith("421 4.3.2"))
        session.close()
        gate.elders.clear()
        while len(gate.strays()) > 4:  # the old one's workers leave
            time.sleep(0.01)
        gate.deliver()
        gate.upgrade()
        gate.deliver("again@example.net")

    def test_new_one_with_sessions_of_the_old_left(self):
        gate = self.start()
        session = gate.connect()
        session.submit("you@example.net", mail.plain())
        gate.upgrade()
        gate.kill()
        self.assertTrue(session.read().startswith("421 4.3.2"))
        self.assertEqual(gate.await_elders(), [0])
        gate.start()
        gate.maildir.wait_for(["you@example.net"])
        gate.deliver("again@example.net")


if __name__ == "__main__":
    tap.main()
