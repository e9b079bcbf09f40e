"""SIGHUP, SIGTERM and processes that die: sessions and mails go on (P1).
time-limit: 120"""

import os
import signal
import subprocess
import threading
import time
import unittest

import tap
from support import gateway, mail, sink


def serial(session):
    return session.socket.getpeercert()["serialNumber"]


class Reload(unittest.TestCase):
    def start(self, **options):
        gate = gateway.Gateway(**options)
        self.addCleanup(gate.close)
        return gate

    def reload(self, gate, wanted):
        since = len(gate.log_text())
        gate.process.send_signal(signal.SIGHUP)
        return gate.wait_for_log(wanted, since=since)

    def test_new_certificate(self):
        """A live session goes on under the old certificate, in the middle of
        a message even; new sessions get the new one."""
        gate = self.start()
        old = gate.connect()
        old.envelope(["across@example.net"])
        old.command("DATA", 354)
        data = mail.plain()
        old.send(data[:50])
        first = serial(old)
        gate.configure(certificate={"main": gate.certificate("renewed")})
        self.reload(gate, "reloaded")
        deadline = time.monotonic() + 10
        while True:
            with gate.connect() as new:
                if serial(new) != first:
                    break
            self.assertLess(time.monotonic(), deadline, "old certificate")
        old.send(data[50:] + b".\r\n")
        old.expect(250)
        old.submit("after@example.net", data)
        old.quit()
        for stored in gate.maildir.wait_for(
                ["across@example.net", "after@example.net"]).values():
            mail.check_arrived(stored, data)

    def test_broken_configuration_changes_nothing(self):
        gate = self.start()
        session = gate.connect()
        good = gate.config_path.read_text()
        gate.config_path.write_text(good + "\nnonsense = 1\n")
        line = self.reload(gate, "nonsense")
        self.assertIn(f"{gate.config_path}:{good.count(chr(10)) + 2}", line)
        session.submit("old@example.net", mail.plain())
        gate.deliver("new@example.net")
        gate.config_path.write_text(good)
        self.reload(gate, "reloaded")
        gate.deliver("third@example.net")

    def test_broken_certificate_changes_nothing(self):
        gate = self.start()
        with gate.connect() as session:
            first = serial(session)
        gate.configure(certificate={"main": {
            "chain": gate.pki / "renewed.pem",
            "key": gate.pki / "ecdsa-key.pem"}})
        line = self.reload(gate, "reload-refused")
        self.assertIn("the key does not match", line)
        with gate.connect() as session:
            self.assertEqual(serial(session), first)
        gate.deliver()

    def test_users(self):
        gate = self.start()
        users = gate.folder / "users"
        users.write_text(users.read_text() +
                         gateway.passwd("new@example.org", "secret two"))
        with gate.connect(login=False) as session:
            with self.assertRaises(AssertionError):
                session.login("new@example.org", "secret two")
        self.reload(gate, "reloaded")
        deadline = time.monotonic() + 10
        while True:
            try:
                with gate.connect(login=False) as session:
                    session.login("new@example.org", "secret two")
                break
            except AssertionError:
                self.assertLess(time.monotonic(), deadline)

    def test_many_reloads_under_load(self):
        """No connection is refused while configurations change hands."""
        gate = self.start()
        failures, over = [], threading.Event()

        def submit():
            number = 0
            while not over.is_set():
                number += 1
                try:
                    with gate.connect() as session:
                        session.submit(f"load-{number}@example.net",
                                       mail.plain())
                        session.quit()
                except (OSError, AssertionError) as error:
                    failures.append(repr(error))
        thread = threading.Thread(target=submit)
        thread.start()
        for _ in range(10):
            gate.process.send_signal(signal.SIGHUP)
            time.sleep(0.2)
        over.set()
        thread.join()
        self.assertEqual(failures, [])


class Drain(unittest.TestCase):
    def test_open_transaction_finishes(self):
        with gateway.Gateway() as gate:
            idle, busy = gate.connect(), gate.connect("starttls")
            busy.envelope(["busy@example.net"])
            busy.command("DATA", 354)
            data = mail.plain()
            busy.send(data[:40])
            gate.process.send_signal(signal.SIGTERM)
            self.assertTrue(idle.read().startswith("421 4.3.2"))
            self.assertEqual(idle.read(), "")
            time.sleep(0.3)
            busy.send(data[40:] + b".\r\n")
            busy.expect(250)
            self.assertTrue(busy.read().startswith("421 4.3.2"))
            self.assertEqual(gate.process.wait(20), 0)
            gate.start()
            stored = gate.maildir.wait_for(["busy@example.net"])
            mail.check_arrived(stored["busy@example.net"], data)

    def test_time_limit(self):
        """A client that never ends its message is not waited for for ever."""
        with gateway.Gateway(timeouts={"drain": "2s"}) as gate:
            with gate.connect() as session:
                session.envelope(["never@example.net"])
                session.command("DATA", 354)
                began = time.monotonic()
                self.assertEqual(gate.stop(15), 0)
            self.assertLess(time.monotonic() - began, 10)
            gate.start()
            gate.deliver()
            self.assertNotIn("never@example.net", gate.maildir.mails)

    def test_idle_stops_at_once(self):
        with gateway.Gateway() as gate:
            began = time.monotonic()
            self.assertEqual(gate.stop(), 0)
            self.assertLess(time.monotonic() - began, 3)

    def test_second_start(self):
        """A second daemon on the same spool refuses to start, with a line."""
        with gateway.Gateway() as gate:
            second = subprocess.run(gate.command(), capture_output=True,
                                    text=True, timeout=20)
            self.assertNotEqual(second.returncode, 0)
            self.assertIn(str(gate.folder), second.stderr)
            gate.deliver()


class Restarts(unittest.TestCase):
    def kill(self, gate, role):
        """Kills one process; returns when another has its place."""
        name, pid = sorted(gate.pids(role).items())[0]
        since = len(gate.log_text())
        os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 10
        while True:
            try:
                if gate.pids(role).get(name, pid) != pid:
                    break
            except AssertionError:
                pass
            self.assertLess(time.monotonic(), deadline, "not restarted")
            time.sleep(0.05)
        self.assertIn(name, gate.wait_for_log(name, since=since))

    def test_worker(self):
        with gateway.Gateway(workers=2) as gate:
            for _ in range(3):
                self.kill(gate, "gateway")
                gate.deliver(f"{os.urandom(4).hex()}@example.net")

    def test_relay(self):
        with gateway.Gateway() as gate:
            for _ in range(3):
                self.kill(gate, "relay")
                gate.deliver(f"{os.urandom(4).hex()}@example.net")

    def test_supervisor(self):
        """Workers do not outlive it; started again it takes up everything,
        over what the dead one left behind."""
        with sink.Sink(script={"MAIL": ["451 later"] * 50}) as hop:
            route = {"next_hop": hop.url(),
                     "tls_ca": gateway.pki.folder() / "ca.pem"}
            with gateway.Gateway(route={"default": route}) as gate:
                with gate.connect() as session:
                    session.submit("you@example.net", mail.plain())
                gate.kill()
                gate.await_children()
                self.assertTrue((gate.folder / "sluiced.pid").exists())
                hop.script.clear()
                gate.start()
                hop.wait_for(1)


if __name__ == "__main__":
    tap.main()
