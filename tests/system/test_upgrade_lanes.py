"""Upgrades with lanes and a shield: the kernel's programs and what they know go
from one version to the next, or back, without a connection refused or let
through. In a network namespace of this program's own.
time-limit: 300"""

import json
import os
import socket
import subprocess
import unittest

import tap
from support import gateway, mail, namespace, steered, successor

BAD, ASSIGNED, OTHER = "10.9.1.1", "10.9.2.1", "10.9.0.1"
UPGRADES = 20
LANES = {"bulk": {"workers": 1}, "desk": {"workers": 1}}
LISTENERS = {"submissions": {"lane": "bulk"}, "submission": {"lane": "desk"}}
WITHOUT_LOOKUP = ["setpriv", "--bounding-set", "-net_admin,-sys_admin"]
WITHOUT_BPF = ["setpriv", "--bounding-set", "-net_admin,-sys_admin,-bpf"]
# Takes all that is handed over, does what follows, and dies.
TAKER = successor.FAKE + """
fds = []
pair.setblocking(False)
while True:
    try:
        _, more, _, _ = socket.recv_fds(pair, 16384, 64)
    except BlockingIOError:
        break
    fds += more
"""
# The listeners stand unshielded.
UNSHIELD = TAKER + """
for fd in fds:
    try:
        socket.socket(fileno=fd).setsockopt(
            socket.SOL_SOCKET, 27, struct.pack("i", 0))  # SO_DETACH_BPF
    except OSError:
        pass
os._exit(1)
"""


class Place:
    pins = None
    unsteered = None


def setUpModule():
    if namespace.missing():
        raise unittest.SkipTest(namespace.missing())
    Place.pins = namespace.set_up()
    with gateway.Gateway(lane=LANES, listeners=LISTENERS,
                         steering={"pins": Place.pins / "probe"},
                         shield={"pins": Place.pins / "shield"}) as gate:
        if not gate.log("shield") or \
                gate.log("steering")[0]["program"] != "sk_lookup":
            Place.unsteered = f"{gate.log('no-sk_lookup')} " \
                              f"{gate.log('no-shield')}"


def tearDownModule():
    if Place.pins:
        namespace.tear_down(Place.pins)


def is_refused(port):
    try:
        socket.create_connection(("127.0.0.1", port), 10).close()
    except ConnectionRefusedError:
        return True
    return False


class Case(steered.Lanes, steered.Shield, unittest.TestCase):
    def gate(self, program="sk_lookup", **options):
        if Place.unsteered:
            self.skipTest(f"no sk_lookup or no shield: {Place.unsteered}")
        self.options = {"lane": LANES, "listeners": LISTENERS,
                        "steering": {"pins": self.pins()},
                        "shield": {"pins": self.pins("shield")}, **options}
        gate = successor.Gateway(**self.options)
        self.addCleanup(gate.close)
        self.assertEqual(gate.log("steering")[0]["program"], program)
        return gate

    def pins(self, kind="lanes"):
        return Place.pins / f"{self.id().rpartition('.')[2]}-{kind}"

    def configure(self, gate, **options):
        gate.configure(**{key: value for key, value in self.options.items()
                          if key != "prefix"} | options)

    def bpftool(self, *words):
        return subprocess.run(["bpftool", "-j", "map", *words], check=True,
                              capture_output=True, text=True).stdout

    def set_version(self, pins, number):
        """As if maps of another version were in use."""
        value = json.loads(self.bpftool("dump", "pinned",
                                        pins / "settings"))[0]["value"]
        self.bpftool("update", "pinned", pins / "settings", "key", "hex",
                     "0", "0", "0", "0", "value", "hex", f"{number:x}",
                     *(byte[2:] for byte in value[1:]))

    def check_lanes(self, gate):
        """As the operator assigned, and else by listener."""
        self.assertEqual(self.lane_of(gate, "implicit", 3), "bulk")
        self.assertEqual(self.lane_of(gate, "starttls", 3), "desk")
        self.assertEqual(self.lane_of(gate, "implicit", 3, ASSIGNED), "desk")

    def check(self, gate):
        self.check_lanes(gate)
        self.check_shield(gate)

    def check_shield(self, gate):
        # Closed, or TCP would ask again, and be counted again.
        self.assert_shut(gate, BAD).close()

    def change(self, gate):
        """What an operator says is nowhere but in the maps."""
        self.lane(gate, "assign", ASSIGNED, "desk")
        self.shield(gate, "add", BAD, "3600")

    def finish(self, gate, load, upgrades):
        """Nobody felt anything."""
        load.end()
        self.assertEqual(load.failures, [])
        self.assertGreater(len(load.acknowledged), upgrades)
        gate.maildir.wait_for(load.acknowledged)
        self.assertEqual(set(gate.await_elders()), {0})
        gate.stop()
        copies = {name: len(stored)
                  for name, stored in gate.maildir.scan().items()
                  if name.startswith(load.title)}
        print(f"# {upgrades} upgrades, {len(load.acknowledged)} mails")
        self.assertEqual(copies, dict.fromkeys(load.acknowledged, 1))

    def under_load(self, gate, upgrades, check):
        load = successor.Load(gate)
        try:
            for _ in range(upgrades):
                gate.upgrade()
                check()
        finally:
            load.end()
        self.finish(gate, load, upgrades)


class Upgrade(Case):
    def test_one_after_the_other(self):
        """Lanes, what was assigned, who is denied and all counts go on; the
        session of the first program, too."""
        gate = self.gate(lane={"bulk": {"workers": 2},
                               "desk": {"workers": 1}})
        session = gate.connect()
        self.change(gate)
        self.lane(gate, "weigh", "bulk/0", "0")
        self.check(gate)
        counts = self.counts(gate)
        for _ in range(3):
            before = self.workers(gate)
            gate.upgrade()
            after = self.workers(gate)
            self.assertEqual({name: row[1:] for name, row in before.items()},
                             {name: row[1:] for name, row in after.items()})
            self.assertIn(f"{ASSIGNED} desk (assigned)",
                          self.lane(gate, "list"))
            self.assertEqual(list(self.came(gate)), ["bulk/1"])
            self.check(gate)
        self.assertRegex(self.shield(gate, "explain", BAD),
                         r"denied \(added\), 3[56]\d\d s left")
        self.assertGreaterEqual(self.counts(gate)["denied"],
                                counts["denied"] + 3)
        rows = self.workers(gate).values()
        self.assertEqual([row[2] for row in rows], [0] * 3)
        session.submit("across@example.net", mail.plain())
        session.quit()
        self.assertEqual(gate.await_elders(), [0] * 3)
        self.check(gate)
        self.lane(gate, "release", ASSIGNED)
        self.shield(gate, "remove", BAD)
        self.assertEqual(self.lane_of(gate, source=ASSIGNED), "bulk")
        gate.connect(source=BAD).quit()
        gate.restart()
        self.assertEqual(gate.log("steering-pins-replaced"), [])
        self.assertEqual(list(self.came(gate, n=4)), ["bulk/1"])

    def test_many_in_a_row_under_load(self):
        gate = self.gate()
        self.change(gate)
        self.under_load(gate, UPGRADES, lambda: self.check_shield(gate))

    def test_failures_are_counted_on(self):
        """The new one's workers report, and the old one's sessions still
        do."""
        gate = self.gate(shield={"pins": self.pins("shield"), "failures": 2})
        old = [gate.connect(login=False, source=BAD) for _ in range(2)]
        gate.upgrade()
        for session in old:
            with self.assertRaises(AssertionError):
                session.login(gateway.USER, "a guess")
            session.close()
        gate.wait_for_log('"denied"')
        self.assert_shut(gate, BAD)
        for _ in range(2):
            with gate.connect(login=False, source=ASSIGNED) as session:
                with self.assertRaises(AssertionError):
                    session.login(gateway.USER, "a guess")
        gate.wait_for(lambda: len(gate.log("denied")) == 2)
        self.assert_shut(gate, ASSIGNED)

    def test_configuration_is_read_anew(self):
        """What a reload can change, and a listener that comes or goes."""
        gate = self.gate()
        extra = gateway.free_ports(1)[0]
        self.configure(
            gate, lane={"bulk": LANES["bulk"],
                        "desk": {"workers": 1, "sources": [ASSIGNED]}},
            listeners={"submissions": LISTENERS["submissions"],
                       "submission": {"lane": "desk", "address": [
                           f"127.0.0.1:{gate.starttls}",
                           f"127.0.0.1:{extra}"]}},
            shield={"pins": self.pins("shield"), "deny": [BAD]})
        gate.upgrade()
        self.check(gate)
        gate.starttls, first = extra, gate.starttls
        self.check_lanes(gate)
        self.configure(gate, shield={"pins": self.pins("shield")})
        gate.upgrade()
        gate.connect(source=BAD).quit()
        self.assertEqual(self.lane_of(gate, source=ASSIGNED), "bulk")
        gate.wait_for(lambda: is_refused(first))

    def test_range(self):
        """Nobody listens there: programs lead to listeners elsewhere."""
        gate = self.gate()
        self.configure(gate, listeners={
            "submissions": {"lane": "bulk", "address": [
                f"127.0.0.1:{gate.implicit}", f"10.9.0.0/16:{gate.implicit}"]},
            "submission": LISTENERS["submission"]})
        for _ in range(2):
            gate.upgrade()
            for host in (OTHER, ASSIGNED):
                with gate.connect(login=False, host=host) as session:
                    session.quit()

    def test_killed(self):
        """Nothing stays of a chain of programs."""
        gate = self.gate()
        for _ in range(2):
            gate.upgrade()
        gate.await_elders()
        gate.kill()
        links = subprocess.run(["bpftool", "link", "list"], check=True,
                               capture_output=True, text=True).stdout
        inode = os.stat("/proc/self/ns/net").st_ino
        self.assertNotIn(f"netns_ino {inode}", links)
        gate.await_children()
        gate.start()
        self.assertEqual(self.lane_of(gate), "bulk")


class Refused(Case):
    def refused(self, gate, text, *path):
        self.assertIn(text, gate.refused(*path))
        self.assertEqual(gate.status()["generation"], 1)
        self.check(gate)

    def test_it_does_not_come_up(self):
        """Not even one that took the shield off before it died."""
        gate = self.gate()
        self.change(gate)
        session = gate.connect()
        self.refused(gate, "before it was ready",
                     gate.program("quitter", "#!/bin/sh\nexit 3\n"))
        self.refused(gate, "before it was ready",
                     gate.program("vandal", UNSHIELD))
        if not gateway.SANITIZED:
            self.refused(gate, "gateways die", gate.program(
                "poor", "#!/bin/sh\nulimit -v 150000\n"
                f'exec {gateway.program("sluiced")} "$@"\n'))
        session.submit("across@example.net", mail.plain())
        session.quit()
        gate.upgrade()
        self.check(gate)

    def test_changes_meanwhile(self):
        gate = self.gate()
        self.change(gate)
        program = gate.program("slow", successor.FAKE + "pair.recv(1)\n"
                               "open('go').read()\n")
        os.mkfifo(gate.folder / "go")
        with subprocess.Popen(
                [gateway.program("sluicectl"), "-s",
                 str(gate.folder / "control"), "upgrade", str(program)],
                stderr=subprocess.PIPE, text=True) as asked:
            gate.wait_for_log("upgrading")
            for words in (("weigh", "bulk/0", "50"), ("release", ASSIGNED)):
                done = gate.control("lane", *words)
                self.assertIn("an upgrade is under way", done.stderr)
            (gate.folder / "go").write_text("")
            asked.communicate()
        self.assertNotEqual(asked.returncode, 0)
        self.check(gate)
        self.lane(gate, "weigh", "bulk/0", "50")

    def test_maps_of_another_version(self):
        gate = self.gate()
        self.change(gate)
        for kind, what in (("lanes", "steering"), ("shield", "shield")):
            self.set_version(self.pins(kind), 77)
            answer = gate.refused()
            self.assertRegex(answer, rf"sluice.conf:\d+: {what}: the running "
                                     r"version's maps are of another version")
            self.check(gate)
        gate.upgrade()
        self.check(gate)

    def test_changes_that_need_a_restart(self):
        gate = self.gate()
        self.change(gate)
        for text, options in {
                "lanes, their workers": {"lane": {
                    "bulk": {"workers": 1}, "desk": {"workers": 2}}},
                "the lane of a": {"listeners": {
                    "submissions": {"lane": "bulk"},
                    "submission": {"lane": "bulk"}}},
                "steering: a change": {"steering": {"program": "none"}},
                "shield: to begin": {"shield": {}}}.items():
            self.configure(gate, **options)
            self.refused(gate, text)
            self.refused(gate, "needs a restart")
        self.configure(gate)
        gate.upgrade()
        self.check(gate)


class Reduced(Case):
    def test_not_pinned(self):
        """The maps go on all the same."""
        gate = self.gate(steering={"pins": "/tmp/sluice-no-bpffs"},
                         shield={"pins": "/tmp/sluice-no-bpffs"})
        self.assertTrue(gate.log("steering-not-pinned"))
        self.change(gate)
        self.under_load(gate, 3, lambda: self.check_shield(gate))

    def test_reuseport(self):
        gate = self.gate("sk_reuseport", prefix=WITHOUT_LOOKUP)
        self.change(gate)
        self.assertIn("before it was ready", gate.refused(
            gate.program("quitter", "#!/bin/sh\nexit 3\n")))
        self.check(gate)
        for _ in range(2):
            gate.upgrade()
            self.check(gate)
        self.under_load(gate, 3, lambda: self.check_shield(gate))

    def test_plain(self):
        """Lanes by listener alone, and no shield."""
        gate = self.gate("none", prefix=WITHOUT_BPF)
        self.under_load(gate, 3, lambda: None)
        lanes = {(line["listener"], line["lane"])
                 for line in gate.log("session")}
        self.assertEqual(lanes, {("submissions", "bulk"),
                                 ("submission", "desk")})


if __name__ == "__main__":
    namespace.enter()
    tap.main()
