"""The shield: who is denied, who is metered, who is let alone, in a network
namespace of this program's own. time-limit: 240"""

import ctypes
import os
import socket
import subprocess
import unittest

import tap
from support import gateway, namespace, steered

BAD, OTHER = "10.9.1.1", "10.9.2.1"
WITHOUT_BPF = ["setpriv", "--bounding-set", "-net_admin,-sys_admin,-bpf"]
SO_GET_FILTER = 26
PIDFD_GETFD = 438


class Place:
    pins = None
    unshielded = None


def setUpModule():
    if namespace.missing():
        raise unittest.SkipTest(namespace.missing())
    Place.pins = namespace.set_up()
    with gateway.Gateway(shield={"pins": Place.pins / "probe"}) as gate:
        if not gate.log("shield"):
            Place.unshielded = f"no shield here: {gate.log('no-shield')}"


def tearDownModule():
    if Place.pins:
        namespace.tear_down(Place.pins)


class Shield(steered.Shield, unittest.TestCase):
    def gate(self, prefix=(), **shield):
        if Place.unshielded:
            self.skipTest(Place.unshielded)
        pins = Place.pins / self.id().rpartition(".")[2]
        gate = gateway.Gateway(prefix=prefix,
                               shield={"pins": pins, **shield})
        self.addCleanup(gate.close)
        return gate

    def guess(self, gate, source=BAD):
        """One wrong password."""
        with gate.connect(login=False, source=source) as session:
            with self.assertRaises(AssertionError):
                session.login(gateway.USER, "a guess")

    def break_off(self, gate, source=BAD):
        """Half a handshake; returns when the worker has seen its end."""
        before = gate.counters()["handshakes_failed"]
        with socket.create_connection(("127.0.0.1", gate.implicit), 10,
                                      (source, 0)) as half:
            half.sendall(b"\x16\x03\x01\x02\x00\x01")
            half.shutdown(socket.SHUT_WR)
            while half.recv(4096):
                pass
        gate.wait_for(
            lambda: gate.counters()["handshakes_failed"] > before)

    def assert_open(self, gate, source=OTHER):
        with gate.connect(source=source) as session:
            session.quit()

    def test_passwords(self):
        gate = self.gate(failures=3, deny_time="1h")
        with gate.connect(source=BAD) as earlier:
            for _ in range(3):
                self.guess(gate)
            line = gate.wait_for_log('"denied"')
            self.assertIn(BAD, line)
            self.assertIn("authentication", line)
            waiting = self.assert_shut(gate, BAD)
            self.assertIn(f"{BAD} denied (failed authentications), 3",
                          self.shield(gate, "explain", BAD))
            self.assert_open(gate)
            earlier.quit()  # who is in stays in
        self.shield(gate, "remove", BAD)
        self.assertTrue(steered.is_through(waiting, 20), "TCP asks again by itself")
        self.assert_open(gate, BAD)
        self.assertEqual(len(gate.log("denied")), 1)

    def test_half_handshakes(self):
        gate = self.gate(failures=3)
        for _ in range(3):
            self.break_off(gate)
        self.assertIn("handshake", gate.wait_for_log('"denied"'))
        self.assert_shut(gate, BAD)
        self.assert_open(gate)

    def test_allowed(self):
        """The list that always wins: neither denied nor metered."""
        gate = self.gate(failures=2, syn_rate=1, syn_burst=1,
                         allow=["10.9.1.0/24", "127.0.0.1"], deny=[BAD])
        for _ in range(4):
            self.guess(gate)
        self.guess(gate, OTHER)
        self.assertEqual(self.shield(gate, "explain", BAD),
                         "allowed by the configuration\n")
        self.assert_open(gate, BAD)
        self.assertEqual(gate.log("denied"), [])
        self.assertGreaterEqual(self.counts(gate)["allowed"], 5)

    def test_configured(self):
        gate = self.gate(deny=["10.9.1.0/24"])
        waiting = self.assert_shut(gate, BAD)
        self.assertIn("10.9.1.0/24 denied (configured), until it is removed",
                      self.shield(gate, "explain", BAD))
        gate.configure(shield={"pins": Place.pins / "test_configured"})
        self.assertEqual(gate.control("reload").returncode, 0)
        self.assertTrue(steered.is_through(waiting, 20))
        self.assert_open(gate, BAD)

    def test_flood(self):
        """One source that floods SYNs is held to its rate, others are not."""
        gate = self.gate(syn_rate=1, syn_burst=4, allow=["127.0.0.1"])
        flood = [steered.begin(gate.implicit, BAD) for _ in range(50)]
        counts = self.counts(gate)
        self.assertGreaterEqual(counts["metered"], 40)
        self.assertGreaterEqual(counts["passed"], 5)
        self.assert_open(gate, OTHER)
        for connection in flood:
            connection.close()

    def test_operator(self):
        gate = self.gate()
        self.shield(gate, "add", "10.9.1.0/24", "3600")
        self.assert_shut(gate, BAD)
        self.assertRegex(self.shield(gate, "explain", BAD),
                         r"^10.9.1.0/24 denied \(added\), 3[56]\d\d s left$")
        self.assertEqual(self.shield(gate, "explain", OTHER), "not denied\n")
        gate.restart()
        self.assertIn("10.9.1.0/24 denied (added)", self.shield(gate, "list"))
        self.assert_shut(gate, BAD)
        self.shield(gate, "remove", "10.9.1.0/24")
        self.assert_open(gate, BAD)
        for words, text in ((("add", "10.9.1.1/24"), "bits beyond"),
                            (("add", BAD, "0"), "how many seconds"),
                            (("remove", BAD), "not denied"),
                            (("nonsense",), "shield list")):
            refused = gate.control("shield", *words)
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn(text, refused.stderr)

    def test_entries(self):
        """As many are denied as may be, and no more; it is said."""
        gate = self.gate(failures=1, entries=1)
        self.guess(gate)
        gate.wait_for_log('"denied"')
        self.guess(gate, OTHER)
        self.assertIn(OTHER, gate.wait_for_log('"not-denied"'))
        self.assert_shut(gate, BAD)
        self.assert_open(gate, OTHER)

    def test_accepted_sockets_have_no_filter(self):
        gate = self.gate()
        with gate.connect(source=BAD):
            connected = [taken for pid in gate.pids("gateway").values()
                         for taken in sockets_of(pid)]
            self.assertTrue(connected)
            for taken in connected:
                # With a program on it: EACCES.
                taken.getsockopt(socket.SOL_SOCKET, SO_GET_FILTER, 4)
                taken.close()

    def test_without_bpf(self):
        gate = self.gate(prefix=WITHOUT_BPF)
        line = gate.log("no-shield")[0]
        self.assertIn("CAP_BPF", line["cure"])
        refused = gate.control("shield", "list")
        self.assertIn("the log of the start", refused.stderr)
        self.guess(gate)
        gate.deliver()

    def test_required(self):
        gate = gateway.Gateway(start=False, prefix=WITHOUT_BPF, shield={
            "pins": Place.pins / "required", "required": True})
        self.addCleanup(gate.close)
        done = subprocess.run(gate.command(), capture_output=True, text=True,
                              timeout=20)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"sluice.conf:\d+: shield: it is "
                                      r"required and cannot be had: ")

    def test_no_block(self):
        with gateway.Gateway() as gate:
            self.assertEqual(gate.log("shield"), [])
            self.assertIn("add a block `shield'",
                          gate.control("shield", "list").stderr)


def sockets_of(pid):
    """Copies of a process's connected TCP sockets."""
    libc = ctypes.CDLL(None, use_errno=True)
    pidfd = os.pidfd_open(pid)
    found = []
    for entry in os.listdir(f"/proc/{pid}/fd"):
        fd = libc.syscall(PIDFD_GETFD, pidfd, int(entry), 0)
        if fd >= 0 and is_connected(fd):
            found.append(socket.socket(fileno=fd))
        elif fd >= 0:
            os.close(fd)
    os.close(pidfd)
    return found


def is_connected(fd):
    """A TCP connection: no pipe, no listener."""
    try:
        copy = socket.socket(fileno=os.dup(fd))
        with copy:
            return copy.family == socket.AF_INET and bool(copy.getpeername())
    except OSError:
        return False


if __name__ == "__main__":
    namespace.enter()
    tap.main()
