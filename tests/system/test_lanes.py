"""Lanes: which workers serve whom, what an operator changes at run time, and
what is left where the kernel does not help. Everything happens in a network
namespace of this program's own, with a BPF file system of its own.
time-limit: 240"""

import os
import pathlib
import re
import signal
import subprocess
import unittest

import tap
from support import gateway, mail, namespace, steered

WITHOUT_LOOKUP = ["setpriv", "--bounding-set", "-net_admin,-sys_admin"]
WITHOUT_BPF = ["setpriv", "--bounding-set", "-net_admin,-sys_admin,-bpf"]
UNIT = pathlib.Path(__file__).resolve().parents[2] / "packaging/sluice.service"
LANES = {"bulk": {"workers": 2}, "desk": {"workers": 2}}


class Namespace:
    """What setUpModule made: addresses, and a folder on a bpffs, or why not."""
    pins = None
    unsteered = None


def setUpModule():
    if namespace.missing():
        raise unittest.SkipTest(namespace.missing())
    Namespace.pins = namespace.set_up()
    with gateway.Gateway(lane=LANES, listener={"lane": "bulk"},
                         steering={"pins": Namespace.pins / "probe"}) as gate:
        if gate.log("steering")[0]["program"] != "sk_lookup":
            Namespace.unsteered = \
                f"no sk_lookup here: {gate.log('no-sk_lookup')}"


def tearDownModule():
    if Namespace.pins:
        namespace.tear_down(Namespace.pins)


class Lanes(steered.Lanes, unittest.TestCase):
    def gate(self, steering=None, **options):
        """A gateway with the lanes bulk (465-like) and desk (587-like)."""
        if Namespace.unsteered:
            self.skipTest(Namespace.unsteered)
        pins = Namespace.pins / self.id().rpartition(".")[2]
        options.setdefault("lane", LANES)
        gate = gateway.Gateway(
            listeners={"submissions": {"lane": "bulk"},
                       "submission": {"lane": "desk"}},
            steering={"pins": pins, **(steering or {})}, **options)
        self.addCleanup(gate.close)
        return gate

    def program(self, gate):
        return gate.log("steering")[-1]["program"]

    def refused(self, gate, text, *words):
        done = gate.control("lane", *words)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(text, done.stderr)

    def assert_agree(self, gate, at_first):
        """The program and the workers count alike; how many since then. The
        program alone sees a SYN that was sent again on a slow machine."""
        accepted, again = 0, 0
        for name, counts in self.workers(gate).items():
            came = counts[3] - at_first[name][3]
            accepted += came
            again += counts[1] - at_first[name][1] - came
            self.assertGreaterEqual(counts[1] - at_first[name][1], came, name)
        self.assertLessEqual(again, namespace.resent_syns())
        return accepted

    def reload(self, gate, **options):
        since = len(gate.log_text())
        gate.configure(
            listeners={"submissions": {"lane": "bulk"},
                       "submission": {"lane": "desk"}},
            steering={"pins":
                      Namespace.pins / self.id().rpartition(".")[2]},
            **options)
        self.assertEqual(gate.control("reload").returncode, 0)
        gate.wait_for_log('"reloaded"', since=since)


class Steered(Lanes):
    def test_listener_and_source(self):
        gate = self.gate(lane={**LANES, "desk": {
            "workers": 2, "sources": ["10.9.1.0/24"]}})
        self.assertEqual(self.program(gate), "sk_lookup")
        self.assertEqual(self.lane_of(gate, "implicit"), "bulk")
        self.assertEqual(self.lane_of(gate, "starttls"), "desk")
        self.assertEqual(self.lane_of(gate, "implicit", source="10.9.1.1"),
                         "desk")
        labels = {(line["listener"], line["peer"]): line["lane"]
                  for line in gate.log("session")}
        self.assertEqual(labels["submissions", "10.9.0.1"], "bulk")
        self.assertEqual(labels["submissions", "10.9.1.1"], "desk")
        self.assertEqual(labels["submission", "10.9.0.1"], "desk")
        data = mail.plain()
        with gate.connect(source="10.9.1.1") as session:
            session.submit("you@example.net", data)
            session.quit()
        mail.check_arrived(
            gate.maildir.wait_for(["you@example.net"])["you@example.net"], data)

    def test_addresses(self):
        """Several addresses of either family, and those that stand for all."""
        if Namespace.unsteered:
            self.skipTest(Namespace.unsteered)
        gate = gateway.Gateway(start=False)
        self.addCleanup(gate.close)
        gate.configure(
            lane={"bulk": {"workers": 2}, "desk": {
                "workers": 1, "sources": ["fd00:9:1::/48"]}},
            listeners={
                "submissions": {"lane": "bulk", "address": [
                    f"127.0.0.1:{gate.implicit}", f"10.9.2.1:{gate.implicit}",
                    f"[fd00:9::1]:{gate.implicit}"]},
                "submission": {"lane": "desk", "address": [
                    f"0.0.0.0:{gate.starttls}", f"[::]:{gate.starttls}"]}},
            steering={"pins": Namespace.pins / "addresses"})
        gate.start()
        for host, style, source, lane in (
                ("10.9.2.1", "implicit", None, "bulk"),
                ("fd00:9::1", "implicit", "fd00:9::1", "bulk"),
                ("fd00:9::1", "implicit", "fd00:9:1::1", "desk"),
                ("10.9.2.1", "starttls", None, "desk"),
                ("fd00:9::1", "starttls", "fd00:9::1", "desk")):
            with self.subTest(host=host, style=style, source=source):
                before = self.workers(gate)
                with gate.connect(style, login=False, host=host,
                                  source=source) as session:
                    session.quit()
                moved = [name for name, counts in self.workers(gate).items()
                         if counts[1] != before[name][1]]
                self.assertEqual({name.partition("/")[0] for name in moved},
                                 {lane})

    def test_counters_agree(self):
        """The kernel's, the workers' own and the totals say the same."""
        gate = self.gate()
        # The first came, perhaps, before the program was told of the lanes.
        at_first, first = self.workers(gate), gate.counters()
        self.came(gate, "implicit", 12)
        self.came(gate, "starttls", 7)
        self.reload(gate, lane=LANES)
        self.came(gate, "implicit", 5)
        accepted = self.assert_agree(gate, at_first)
        totals = gate.counters()
        self.assertEqual(accepted, sum(
            totals[name] - first[name]
            for name in ("connections_accepted", "connections_refused")))
        self.assertEqual(accepted, 24)

    def test_load(self):
        """Sessions that stay open send the next ones to the other worker."""
        gate = self.gate()
        open_sessions = [gate.connect(login=False) for _ in range(8)]
        counts = [self.workers(gate)[f"bulk/{i}"] for i in (0, 1)]
        self.assertEqual(sum(c[0] for c in counts), 8)
        self.assertLessEqual(abs(counts[0][0] - counts[1][0]), 2, counts)
        for session in open_sessions:
            session.close()

    def state(self, gate, name):
        return [p["state"] for p in gate.status()["processes"]
                if p["name"] == name and p["state"] != "gone"][-1]

    def test_dead_worker(self):
        """One that waits for its restart gets no new connections."""
        gate = self.gate()
        for _ in range(7):  # it waits longer each time, for slow machines, too
            pid = gate.wait_for(lambda: gate.pids().get("gateway-0"))
            os.kill(pid, signal.SIGKILL)
            gate.wait_for(lambda: gate.pids().get("gateway-0") != pid)
            came = self.came(gate)
            if self.state(gate, "gateway-0") == "waiting":
                break
        else:
            self.fail("always too late")
        self.assertEqual(came, {"bulk/1": 8})
        gate.wait_for(lambda: gate.pids().get("gateway-0"))
        self.lane(gate, "drain", "bulk/1")
        self.assertEqual(list(self.came(gate)), ["bulk/0"])

    def test_operator(self):
        gate = self.gate(lane={**LANES, "desk": {
            "workers": 2, "sources": ["10.9.1.1"]}})
        self.assertEqual(self.lane_of(gate, source="10.9.2.1"), "bulk")
        self.lane(gate, "assign", "10.9.2.0/24", "desk")
        self.assertEqual(self.lane_of(gate, source="10.9.2.1"), "desk")
        self.lane(gate, "assign", "10.9.1.1", "bulk")
        self.assertEqual(self.lane_of(gate, source="10.9.1.1"), "bulk")
        self.lane(gate, "drain", "bulk/0")
        self.assertEqual(list(self.came(gate)), ["bulk/1"])
        self.refused(gate, "no other worker", "drain", "bulk/1")
        gate.restart()
        self.assertIn("10.9.2.0/24 desk (assigned)", self.lane(gate, "list"))
        self.assertEqual(self.lane_of(gate, source="10.9.2.1"), "desk")
        self.assertEqual(list(self.came(gate)), ["bulk/1"])
        self.lane(gate, "weigh", "bulk/0", "100")
        self.lane(gate, "weigh", "bulk/1", "0")
        self.assertEqual(list(self.came(gate)), ["bulk/0"])
        self.lane(gate, "release", "10.9.2.0/24")
        self.assertEqual(self.lane_of(gate, source="10.9.2.1"), "bulk")
        self.lane(gate, "release", "10.9.1.1")  # back to what is configured
        self.assertEqual(self.lane_of(gate, source="10.9.1.1"), "desk")
        self.assertEqual(len(gate.log("lane-assigned")), 2)

    def test_operator_mistakes(self):
        gate = self.gate()
        self.refused(gate, 'no lane "none"', "assign", "10.0.0.0/8", "none")
        self.refused(gate, "bits beyond", "assign", "10.0.0.1/8", "bulk")
        self.refused(gate, "nobody assigned", "release", "10.0.0.0/8")
        self.refused(gate, "bulk/0 to bulk/1", "drain", "bulk/2")
        self.refused(gate, "bulk/0 to bulk/1", "drain", "bulk")
        self.refused(gate, 'no lane "x"', "drain", "x/0")
        self.refused(gate, "0 to 100", "weigh", "bulk/0", "101")
        self.refused(gate, "lane list", "assign", "10.0.0.0/8")
        self.refused(gate, "lane list", "nonsense")

    def test_reload(self):
        """Sources come and go; what needs a restart is refused."""
        gate = self.gate()
        self.assertEqual(self.lane_of(gate, source="10.9.1.1"), "bulk")
        self.reload(gate, lane={**LANES, "desk": {
            "workers": 2, "sources": ["10.9.1.0/24"]}})
        self.assertEqual(self.lane_of(gate, source="10.9.1.1"), "desk")
        self.reload(gate, lane=LANES)
        self.assertEqual(self.lane_of(gate, source="10.9.1.1"), "bulk")
        gate.configure(listener={"lane": "bulk"}, lane=LANES)
        done = gate.control("reload")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("needs a restart", done.stderr)

    def test_processors(self):
        cpu = min(os.sched_getaffinity(0))
        gate = self.gate(lane={"bulk": {"workers": 1, "cpus": [cpu]},
                               "desk": {"workers": 1}})
        pids = gate.pids("gateway")
        self.assertEqual(os.sched_getaffinity(pids["gateway-0"]), {cpu})
        self.assertEqual(os.sched_getaffinity(pids["gateway-1"]),
                         os.sched_getaffinity(0))

    def test_sessions_of_a_lane(self):
        """One lane's limit is not the other's."""
        gate = self.gate(lane={"bulk": {"workers": 1, "sessions": 3},
                               "desk": {"workers": 1}})
        bills = {line["sessions"] for line in gate.log("memory-bill")
                 if "sessions" in line}
        self.assertEqual(bills, {3, 4096})

    def test_other_version(self):
        """What another version pinned is replaced, and said."""
        pins = Namespace.pins / "test_other_version"
        pins.mkdir()
        subprocess.run(["bpftool", "map", "create", pins / "settings", "type",
                        "array", "key", "4", "value", "8", "entries", "1",
                        "name", "settings"], check=True)
        subprocess.run(["bpftool", "map", "update", "pinned",
                        pins / "settings", "key", "0", "0", "0", "0", "value",
                        "77", "0", "0", "0", "0", "0", "0", "0"], check=True)
        gate = self.gate()
        line = gate.log("steering-pins-replaced")[0]
        self.assertEqual(line["their_version"], 77)
        self.assertEqual(self.lane_of(gate), "bulk")

    def test_capabilities_of_the_unit(self):
        """What packaging/sluice.service leaves the daemon is enough."""
        kept = re.findall(r"CAP_(\w+)", "".join(re.findall(
            r"^CapabilityBoundingSet=(.*)$", UNIT.read_text(), re.M)
            ).replace("CAP_", " CAP_"))
        gate = self.gate(prefix=["setpriv", "--bounding-set", "-all" + "".join(
            f",+{name.lower()}" for name in kept)])
        self.assertEqual(self.program(gate), "sk_lookup")
        self.assertEqual(gate.log("steering-not-pinned"), [])
        self.assertEqual(self.lane_of(gate), "bulk")

    def test_second_daemon(self):
        gate = self.gate()
        second = gateway.Gateway(
            start=False, lane=LANES, listener={"lane": "bulk"},
            steering={"pins": Namespace.pins / "test_second_daemon"})
        self.addCleanup(second.close)
        done = subprocess.run(second.command(), capture_output=True, text=True,
                              timeout=20)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"sluice.conf:\d+: steering: another "
                                      r"daemon has its maps")
        self.assertEqual(self.lane_of(gate), "bulk")

    def test_nothing_stays(self):
        """What a killed daemon attached goes with it, not with the last of
        its workers."""
        gate = self.gate()
        workers = gate.pids("gateway").values()
        session = gate.connect()
        session.envelope(["you@example.net"])
        session.command("DATA", 354)
        gate.process.kill()
        gate.process.wait(10)
        links = subprocess.run(["bpftool", "link", "list"], check=True,
                               capture_output=True, text=True).stdout
        inode = os.stat("/proc/self/ns/net").st_ino
        self.assertNotIn(f"netns_ino {inode}", links)
        self.assertTrue(any(os.path.exists(f"/proc/{pid}")
                            for pid in workers), "too late to tell")
        session.close()


class Reduced(Lanes):
    SOURCES = {**LANES, "desk": {"workers": 2, "sources": ["10.9.1.0/24"]}}

    def test_not_pinned(self):
        gate = self.gate(steering={"pins": "/tmp/sluice-no-bpffs"})
        line = gate.log("steering-not-pinned")[0]
        self.assertIn("mount -t bpf", line["cure"])
        self.assertFalse(os.path.exists("/tmp/sluice-no-bpffs"))
        self.assertEqual(self.lane_of(gate), "bulk")

    def test_without_net_admin(self):
        """sk_reuseport steers within the group, sources too."""
        gate = self.gate(prefix=WITHOUT_LOOKUP, lane=self.SOURCES)
        self.assertEqual(self.program(gate), "sk_reuseport")
        self.assertIn("CAP_NET_ADMIN", gate.log("no-sk_lookup")[0]["cure"])
        at_first = self.workers(gate)
        self.assertEqual(self.lane_of(gate, "implicit"), "bulk")
        self.assertEqual(self.lane_of(gate, "starttls"), "desk")
        self.assertEqual(self.lane_of(gate, "implicit", source="10.9.1.1"),
                         "desk")
        self.assertEqual(self.assert_agree(gate, at_first), 24)
        self.reload(gate, lane=self.SOURCES)
        self.assertEqual(self.lane_of(gate, "implicit"), "bulk")

    def test_without_bpf(self):
        """Lanes by listener are left; that sources are not is said."""
        gate = self.gate(prefix=WITHOUT_BPF, lane=self.SOURCES)
        self.assertEqual(self.program(gate), "none")
        self.assertEqual(len(gate.log("no-sk_lookup")), 1)
        self.assertEqual(len(gate.log("no-sk_reuseport")), 1)
        self.assertEqual(len(gate.log("sources-not-told-apart")), 1)
        self.assertIn("program: none", self.lane(gate, "list"))
        self.refused(gate, "no steering program", "assign", "10.0.0.0/8",
                     "bulk")
        for style, lane in (("implicit", "bulk"), ("starttls", "desk")):
            for _ in range(6):
                with gate.connect(style, login=False,
                                  source="10.9.1.1") as session:
                    session.quit()
        gate.stop()
        lanes = {(line["listener"], line["lane"])
                 for line in gate.log("session")}
        self.assertEqual(lanes, {("submissions", "bulk"),
                                 ("submission", "desk")})

    def test_required(self):
        """What is named and cannot be had keeps the daemon from starting."""
        for program, prefix in (("lookup", WITHOUT_LOOKUP),
                                ("reuseport", WITHOUT_BPF)):
            with self.subTest(program=program):
                gate = gateway.Gateway(
                    start=False, prefix=prefix, lane=LANES,
                    listener={"lane": "bulk"},
                    steering={"pins": Namespace.pins / "required",
                              "program": program})
                self.addCleanup(gate.close)
                done = subprocess.run(gate.command(), capture_output=True,
                                      text=True, timeout=20)
                self.assertEqual(done.returncode, 1)
                self.assertRegex(done.stderr,
                                 rf"sluice.conf:\d+: steering: no "
                                 rf"sk_{program} program can be had: ")

    def test_none_wanted(self):
        gate = self.gate(steering={"program": "none"})
        self.assertEqual(self.program(gate), "none")
        self.assertEqual(gate.log("no-sk_lookup"), [])
        gate.deliver()


class Without(unittest.TestCase):
    def test_no_lanes(self):
        """Nothing is loaded that nobody asked for."""
        with gateway.Gateway() as gate:
            self.assertEqual(gate.log("steering"), [])
            done = gate.control("lane", "list")
            self.assertEqual(done.stdout, "no lanes are configured\n")
            refused = gate.control("lane", "assign", "10.0.0.0/8", "x")
            self.assertIn("no lanes are configured", refused.stderr)
            gate.deliver()
            self.assertEqual({line["lane"] for line in gate.log("session")},
                             {"default"})

    def test_unknown_processor(self):
        gate = gateway.Gateway(start=False, listener={"lane": "bulk"},
                               lane={"bulk": {"cpus": [1000]}})
        self.addCleanup(gate.close)
        done = subprocess.run(gate.command("--check"), capture_output=True,
                              text=True, timeout=20)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"sluice.conf:\d+: lane \"bulk\": "
                                      r"`cpus`: processor 1000 is not there")


if __name__ == "__main__":
    namespace.enter()
    tap.main()
