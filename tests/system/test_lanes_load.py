"""A lane that is full is nobody else's trouble: 465 is saturated by sluice-load,
587 serves all who come. In a network namespace of this program's own.
time-limit: 240"""

import contextlib
import re
import subprocess
import unittest

import tap
from support import gateway, load, namespace

BULK_SESSIONS = 8
CROWD = 4 * BULK_SESSIONS  # connections that want to be served at 465
CONNECTIONS, MESSAGES, PER_CONNECTION = 4, 300, 5
LANES = {"bulk": {"workers": 1, "sessions": BULK_SESSIONS},
         "desk": {"workers": 1}}


class Place:
    """What setUpModule made: a folder on a bpffs."""
    pins = None


def setUpModule():
    if namespace.missing():
        raise unittest.SkipTest(namespace.missing())
    Place.pins = namespace.set_up()


def tearDownModule():
    if Place.pins:
        namespace.tear_down(Place.pins)


class Saturated(unittest.TestCase):
    def gate(self, program):
        gate = gateway.Gateway(
            lane=LANES, listeners={"submissions": {"lane": "bulk"},
                                   "submission": {"lane": "desk"}},
            steering={"pins": Place.pins / program, "program": program},
            route={"default": {"next_hop": "discard"}})
        self.addCleanup(gate.close)
        return gate

    @staticmethod
    def accepted(gate, lane):
        """Its connections by the list of lanes; without a program it has
        none."""
        found = re.search(rf"^{lane} +0 +\d+ +\d+ +(\d+) +\d+ +(\d+)$",
                          gate.control("lane", "list").stdout, re.M)
        return [int(number) for number in found.groups()] if found else []

    @staticmethod
    def is_full(gate):
        return gate.counters()["connections_now"] == BULK_SESSIONS

    @contextlib.contextmanager
    def crowd(self, gate):
        """Keeps every session of the bulk lane busy, and more waiting."""
        process = subprocess.Popen(
            load.command(f"{load.HOST}:{gate.implicit}", "--connections",
                         CROWD, "--duration", 600, *load.login(gate)),
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            gate.wait_for(lambda: self.is_full(gate) and
                          gate.counters()["messages_accepted"])
            yield process
        finally:
            process.kill()
            process.wait()

    def check(self, program):
        gate = self.gate(program)
        had = gate.log("steering")[0]["program"]
        if (had == "none") != (program == "none"):
            self.skipTest(f"no steering program here: {had}")
        with self.crowd(gate) as crowd:
            before = self.accepted(gate, "desk")
            report = load.run(
                f"{load.HOST}:{gate.starttls}", "--tls", "starttls",
                "--connections", CONNECTIONS, "--per-connection",
                PER_CONNECTION, "--messages", MESSAGES, *load.login(gate))
            self.assertIsNone(crowd.poll())
            gate.wait_for(lambda: self.is_full(gate))  # with 465's alone
            after = self.accepted(gate, "desk")
        self.assertEqual(report.failures(), {})
        self.assertEqual(report["messages"], MESSAGES)
        for first, last in zip(before, after):  # steered, and accepted
            self.assertEqual(last - first, report["connections"])
        gate.stop()
        desk = [line for line in gate.log("session")
                if line["lane"] == "desk" and line.get("user")]
        self.assertEqual(len(desk), report["connections"])
        self.assertEqual(sum(line["messages"] for line in desk), MESSAGES)
        self.assertEqual({line["listener"] for line in desk}, {"submission"})

    def test_with_a_program(self):
        self.check("auto")

    def test_without_one(self):
        self.check("none")


if __name__ == "__main__":
    namespace.enter()
    tap.main()
