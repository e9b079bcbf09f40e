#!/usr/bin/python3
"""The bench kit: figures, verdicts and the page from made-up runs; groups that
count and kill; the floors; a small measurement from one end to the other.

time-limit: 300
"""

import contextlib
import html.parser
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from unittest import mock

import tap
from support import client, mail, pki

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))

import peers  # noqa: E402
from runner import (charts, findings, group, load, page, peer,  # noqa: E402
                    scenario, stats, measure, programs, summary, verdicts)

BUSY = "x = 0\nfor i in range(3000000): x += i"


def made_up(values):
    """Results as the runner writes them; `values`: (scenario, part, server,
    round) -> figures."""
    scenarios = scenario.read_all()
    kinds = {kind.name: kind for kind in peers.ALL}
    return {
        "format": 1, "command": "bench/run <made up>", "date": "2000-01-01",
        "commit": "0" * 40, "changed": False, "whole": True, "rounds": 2, "scale": 1,
        "counted_by": "nobody", "missing": {"exim": "not <here>"},
        "machine_after": {"load_average": [1, 1, 1]},
        "machine": {
            "processor": "a", "processors": 1, "hypervisor": True,
            "memory_gib": 1, "distribution": "b", "kernel": "c",
            "kernel_tls": False, "openssl": "d", "scratch_filesystem": "e",
            "sync_us": 1, "aes_128_gcm_gb_per_s": 1, "copy_gb_per_s": 1,
            "p256_signatures_per_s": 1, "load_average": [0, 0, 0],
            "mitigations": {"bug": "mitigated"}},
        "peers": {name: {"title": kinds[name].title, "auth": True,
                         "kind": kinds[name].kind, "notes": "",
                         "relays": kinds[name].sink,
                         "version": "1"} for name in {k[2]: 0 for k in values}},
        "scenarios": {name: measure.describe_scenario(scenarios[name])
                      for name in {k[0]: 0 for k in values}},
        "runs": [{"scenario": s, "part": p, "peer": n, "round": r,
                  "figures": figures, "result": {}}
                 for (s, p, n, r), figures in values.items()]}


class Figures(unittest.TestCase):
    def test_least_and_median(self):
        self.assertEqual(stats.least_and_median([3, 1, 2]), (1, 2))
        self.assertEqual(stats.least_and_median([]), (None, None))

    def test_ratios_are_made_round_by_round(self):
        above, below = {0: 10, 1: 30, 2: 5}, {0: 1, 1: 2, 3: 1}
        self.assertEqual(stats.pair_ratios(above, below), [10, 15])

    def test_ties_are_said(self):
        self.assertEqual(stats.describe([1.2, 1.25, 1.1]), "tie (1.20x)")
        self.assertEqual(stats.describe([0.9]), "tie (0.90x)")
        self.assertEqual(stats.describe([2, 3, 4]), "3.00x (2.00–4.00)")
        self.assertEqual(stats.describe([0.5]), "0.500x")
        self.assertEqual(stats.describe([]), "")

    def test_short_numbers(self):
        for value, words in ((0, "0"), (12345.6, "12,346"), (12.34, "12.3"),
                             (0.0213, "0.0213"), (0.5, "0.500")):
            self.assertEqual(stats.short(value), words)

    def test_figures_of_a_result(self):
        result = {"messages": 200, "bytes": 4e9, "seconds": 2,
                  "cost": {"cpu_us": 1000, "counted": "",
                           "system_calls_per_message": 3},
                  "latency_us": {"message": {"n": 200, "p50": 7, "p99": 9}}}
        found = load.figures(result, "message")
        self.assertEqual(found, {"rate": 100, "cost": 5, "p50": 7, "p99": 9,
                                 "system_calls_per_message": 3})
        self.assertEqual(load.figures(result, "gigabyte")["cost"], 250)
        self.assertEqual(load.figures({}, "message"), {})
        result["cost"]["counted"] = "cannot count here"
        self.assertNotIn("system_calls_per_message",
                         load.figures(result, "message"))


    def test_programs_of_a_result(self):
        told = {"connections": 10, "run": {
            "steering": {"ns": 4000, "times": 10},
            "shield": {"ns": 6000, "times": 20}}}
        result = {"handshakes_full": 8, "seconds": 2, "cost": {"cpu_us": 800},
                  "programs": told}
        found = load.figures(result, "handshake")
        self.assertEqual(found, {
            "rate": 4, "cost": 100, "steering_ns": 400, "steering_times": 1,
            "shield_ns": 600, "shield_times": 2, "share": 1})
        told["run"] = {}
        self.assertEqual(load.figures(result, "handshake"),
                         {"rate": 4, "cost": 100})
        told["connections"] = 0
        self.assertEqual(programs.figures(told, 0), {})


class Verdicts(unittest.TestCase):
    def judge(self, postfix, floor):
        values = {("S2", "", name, 0): {"cost": cost} for name, cost in (
            ("sluice", 20), ("postfix", postfix), ("floor-log", floor))}
        rows = verdicts.judge(summary.Summary(made_up(values)))
        return {row.text: row.verdict for row in rows}

    def test_met_missed_tied_and_not_measured(self):
        rows = self.judge(postfix=1000, floor=18)
        texts = list(rows)
        self.assertEqual([rows[text] for text in texts[:4]],
                         ["met", "tie (over by less than 1.3x)", "missed",
                          "not measured"])
        rows = self.judge(postfix=700, floor=20)
        self.assertEqual([rows[text] for text in texts[:2]],
                         ["missed", "met"])

    def test_targets_name_what_there_is(self):
        scenarios = scenario.read_all()
        for target in verdicts.tomllib.loads(
                verdicts.FILE.read_text())["targets"]:
            if "noted" in target:
                self.assertEqual(len(verdicts.noted(target["noted"])), 1)
                continue
            for text in target.get("ratio", [target.get("value")]):
                (name, part), server, figure = verdicts.place(text)
                self.assertIn(part, [p.name for p in scenarios[name].parts])
                self.assertTrue(peers.by_name(server), text)
                self.assertIn(figure, ("cost", "memory", "p99", "share"))
                wanted = scenarios[name].peers
                self.assertTrue(not wanted or server in wanted, text)


class Scenarios(unittest.TestCase):
    def test_all_are_read_in_order(self):
        self.assertEqual(list(scenario.read_all()),
                         [f"S{n}" for n in range(1, 12)])

    def test_a_process_per_client_limits_connections(self):
        idle = scenario.read_all()["S5"].parts[0]
        self.assertEqual(idle.limited(1000).connections(), 1000)
        self.assertEqual(idle.limited(10 ** 6).connections(), 10000)

    def test_a_mistake_is_told_with_its_file(self):
        good = (ROOT / "bench/scenarios/S1.toml").read_text()
        for bad in (good.replace("unit = ", "units = "),
                    good.replace('"message"', '"mail"'),
                    good.replace("load = ", "loads = "),
                    good.split("[[parts]]")[0]):
            with tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder) / "S1.toml"
                path.write_text(bad)
                with self.assertRaisesRegex(scenario.Wrong, str(path)):
                    scenario.read(path)


class Outside(html.parser.HTMLParser):
    """Collects what a page would fetch, and its text."""

    def __init__(self):
        super().__init__()
        self.found, self.words = [], []

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs
                       if name in ("src", "href") and value[:1] != "#"]
        if tag in ("script", "link", "iframe"):
            self.found.append(tag)

    def handle_data(self, data):
        self.words.append(data)


class Report(unittest.TestCase):
    def setUp(self):
        values = {}
        for turn in range(2):
            for name, cost in (("sluice", 20), ("floor-log", 21),
                               ("postfix", 900), ("haproxy", 30),
                               ("sluice-relay", 50), ("postfix-relay", 1000)):
                values["S2", "", name, turn] = {
                    "cost": cost + turn, "rate": 1e6 / cost, "p50": 100,
                    "p90": 200, "p99": 3000, "p999": 4000}
        self.results = made_up(values)

    def text(self):
        parser = Outside()
        parser.feed(page.render(self.results))
        return parser, " ".join(parser.words)

    def test_the_page_stands_alone(self):
        parser, _ = self.text()
        self.assertEqual(parser.found, [])

    def test_classes_are_kept_apart(self):
        _, words = self.text()
        self.assertIn("other class", words)
        self.assertIn("tie (1.05x)", words)
        drawn = re.findall(r"<svg.*?</svg>", page.render(self.results), re.S)
        self.assertTrue(drawn)
        for chart in drawn:
            if 'class="bar' in chart:
                self.assertFalse("Postfix" in chart and "HAProxy" in chart)

    def test_relaying_is_set_beside_relaying(self):
        _, words = self.text()
        self.assertIn("19.8x (19.6–20.0)", words)

    def test_lanes_have_tables_of_their_own(self):
        values = {("S11", "full", "sluice-lanes", 0): {
            "cost": 300, "steering_ns": 456, "shield_ns": 583, "share": 0.35}}
        for part, p99 in (("idle", 2000), ("saturated", 3000)):
            values["S10", part, "sluice-lanes-apart", 0] = {
                "p50": 1, "p90": 2, "p99": p99, "p999": p99, "storm": 16683}
        self.results = made_up(values)
        _, words = self.text()
        for told in ("456", "583", "0.350 %", "1.50x", "16,683", "met"):
            self.assertIn(told, words)

    def test_strangers_words_are_escaped(self):
        self.assertIn("not &lt;here&gt;", page.render(self.results))
        self.results["runs"][0]["result"] = {"error": "<b>broken</b>"}
        self.assertIn("&lt;b&gt;broken", page.render(self.results))

    def test_bars_begin_at_zero_in_proportion(self):
        drawn = charts.bars([("a", 10.0, 10.0, "peer"), ("b", 40.0, 20.0,
                                                         "peer")], "axis")
        bars = re.findall(r'<rect x="([\d.]+)" y="\d+" width="([\d.]+)"', drawn)
        self.assertEqual(bars[0][0], bars[1][0])
        self.assertAlmostEqual(float(bars[1][1]) / float(bars[0][1]), 4, 1)
        self.assertIn(">0</text>", drawn)

    def test_ticks_cover_the_values(self):
        self.assertEqual(charts.linear_ticks(9.3), [0, 2, 4, 6, 8, 10])
        self.assertEqual(charts.log_ticks(0.5, 20), [0.1, 1, 10, 100])


class Findings(unittest.TestCase):
    def read(self, text):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "FINDINGS.md"
            path.write_text(text)
            return findings.read(path)

    def test_sections_become_html(self):
        sections = self.read("# All\n\nNot shown.\n\n## S2-floor: a `b` <c>\n\n"
                             "One\nparagraph.\n\n    10 %  x\n\n    20 %  y\n\n"
                             "- a\n- b\n\n## S1-exim\n\nTwo.\n")
        self.assertEqual(findings.render(sections), (
            '<h3 id="finding-S2-floor">S2-floor: a <code>b</code> &lt;c&gt;</h3>'
            '<p>One\nparagraph.</p>'
            '<pre class="wide">    10 %  x\n\n    20 %  y</pre>'
            '<ul><li>a</li><li>b</li></ul>'
            '<h3 id="finding-S1-exim">S1-exim</h3><p>Two.</p>'))

    def test_they_explain_targets(self):
        row = verdicts.Verdict("S2-floor", "", "2x", "missed")
        self.assertEqual(page.Page.why(row, {"finding-S2-floor"}),
                         '<a href="#finding-S2-floor">why</a>')
        self.assertEqual(page.Page.why(row, set()), "not explained yet")

    def test_those_of_the_tree_name_targets(self):
        names = {target["name"] for target in verdicts.tomllib.loads(
            verdicts.FILE.read_text())["targets"]}
        for heading, _ in findings.read():
            self.assertIn(re.match(r"[\w-]*", heading)[0], names)


class FakeServer(peer.Peer):
    """Neither started nor stopped; what a load does to it is made up."""
    name, title, sink = "fake", "Fake", True

    def __init__(self, received):
        self.acknowledged, self.received = 0, received


class Order(unittest.TestCase):
    def plan(self, name="S1", rounds=3):
        return measure.Plan([scenario.read_all()[name]], [FakeServer], rounds,
                            1)

    def run_plan(self, plan, answer, received=10):
        """`answer` stands in for the load."""
        @contextlib.contextmanager
        def opened(*_):
            yield FakeServer(received)
        saved = []
        with mock.patch.object(peer, "open_peer", opened), \
                mock.patch.object(load, "run", answer), \
                mock.patch.object(load, "drain", lambda _: None):
            plan.run(lambda plan: saved.append(plan.whole))
        return saved

    @staticmethod
    def good(server, *_):
        server.acknowledged += 10
        return {"messages": 10, "seconds": 1}

    def test_the_sink_must_have_got_what_was_acknowledged(self):
        plan = self.plan()
        self.assertEqual(self.run_plan(plan, self.good), [True])
        self.assertFalse(plan.had_failures())
        plan = self.plan()
        self.run_plan(plan, self.good, received=9)
        self.assertTrue(plan.had_failures())
        self.assertIn("10 messages were acknowledged, and the sink behind it "
                      "got 9", plan.runs[-1]["result"]["error"])
        self.assertEqual(plan.sinks[0]["received"], 9)

    def test_what_a_server_cannot_do_is_tried_twice(self):
        tried = []

        def answer(server, part, *_):
            tried.append(part.name)
            if part.name == "full":
                raise load.Failed("no")
            server.acknowledged += 10
            return {"handshakes_full": 10, "seconds": 1}
        plan = self.plan("S6")
        self.run_plan(plan, answer)
        self.assertEqual(tried.count("full"), measure.TRIES)
        self.assertEqual(tried.count("resumed"), 3)
        self.assertTrue(plan.had_failures())

    def test_who_takes_no_part(self):
        scenarios = scenario.read_all()
        kinds = [peers.sluice.Discard, peers.sluice.Relay, peers.floor.Log]

        def order(name):
            return [kind.name for _, kind, _ in measure.order(
                [scenarios[name]], kinds, 2)]
        self.assertEqual(order("S1"), ["sluice", "sluice-relay", "floor-log",
                                       "floor-log", "sluice-relay", "sluice"])
        self.assertEqual(order("S5"), ["sluice", "sluice"])
        self.assertEqual(order("S7"), ["sluice", "floor-log", "floor-log",
                                       "sluice"])
        kinds.append(peers.sluice.Lanes)
        self.assertEqual(order("S11"), ["sluice", "sluice-lanes",
                                        "sluice-lanes", "sluice"])
        self.assertEqual(order("S10"), ["sluice-lanes"] * 2)
        self.assertNotIn("sluice-lanes", order("S1"))


class Groups(unittest.TestCase):
    """A child that worked and ended is counted; an orphan is killed."""

    def run_in(self, made):
        script = f"{sys.executable} -c '{BUSY}'; (sleep 1000 & echo $!); " \
                 "exec sleep 1000"
        process = subprocess.Popen([*made.prefix(), "sh", "-c", script],
                                   text=True, stdout=subprocess.PIPE)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        if isinstance(made, group.Tree):
            made.own(process.pid)
        stray = int(process.stdout.readline())
        self.addCleanup(self.end, stray)
        self.assertIn(stray, made.pids())
        used = self.used(made, process.pid)
        made.close()
        self.assertGreater(used, 0.02)
        deadline = time.monotonic() + 10
        while self.lives(stray):
            self.assertLess(time.monotonic(), deadline, "a stray outlived it")
            time.sleep(0.01)

    def end(self, pid):
        if self.lives(pid):
            os.kill(pid, signal.SIGKILL)

    @staticmethod
    def lives(pid):
        try:
            told = pathlib.Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return False
        return told.rsplit(")", 1)[1].split()[0] != "Z"

    @staticmethod
    def used(made, pid):
        if isinstance(made, group.Cgroup):
            told = (made.folder / "cpu.stat").read_text()
            return int(re.search(r"usage_usec (\d+)", told)[1]) / 1e6
        ticks = 0
        for one in [pid, *made.pids()]:
            # The shell that began the stray may be gone by now.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                told = pathlib.Path(f"/proc/{one}/stat").read_text()
                ticks += sum(map(int, told.rsplit(")", 1)[1].split()[11:15]))
        return ticks / os.sysconf("SC_CLK_TCK")

    def test_cgroup(self):
        made = group.open_group("test")
        if not isinstance(made, group.Cgroup):
            self.skipTest("no cgroup v2 can be written here")
        folder = made.folder
        self.run_in(made)
        self.assertFalse(folder.exists())

    def test_tree(self):
        self.run_in(group.Tree())


class Programs(unittest.TestCase):
    """Steering and shield are found, and run as often as they must."""

    def test_they_are_timed(self):
        if missing := peers.sluice.Lanes.missing():
            self.skipTest(missing)
        told, n = {}, 20
        with peer.open_peer(peers.sluice.Lanes, 10) as server:
            with programs.timed(server, told):
                for _ in range(n):
                    server.gate.connect(login=False).quit()
        self.assertEqual(told["programs"]["connections"], n)
        run = told["programs"]["run"]
        self.assertEqual(set(run), {"steering", "shield"})
        for name, took in run.items():
            self.assertGreaterEqual(took["times"], n, name)
            self.assertGreater(took["ns"], 0, name)


class Floors(unittest.TestCase):
    def talk(self, server):
        body = mail.plain(size=40000) + b".\r\n..dots\r\r\n"
        with client.Client(server.port,
                           client.context(pki.folder() / "ca.pem")) as session:
            session.expect(220)
            session.hello()
            session.login("any", "body")
            session.submit("you@example.net", body)
            session.submit("you@example.net", body, "bdat")
            session.send(b"NOOP\r\n" * 3000)
            for _ in range(3000):
                session.expect(250)
            session.quit()
        return body

    def test_discard(self):
        with peer.open_peer(peers.floor.Discard, 1) as server:
            self.talk(server)

    def test_the_log_holds_each_body_when_250_is_said(self):
        with peer.open_peer(peers.floor.Log, 1) as server:
            body = self.talk(server)
            logs = b"".join(path.read_bytes() for path in
                            (server.home / "log").iterdir())
        pieces, at = b"", 0
        while at < len(logs):
            length = int.from_bytes(logs[at + 4:at + 8], "little")
            pieces += logs[at + 8:at + 8 + length]
            at += 8 + length
        self.assertEqual(pieces, client.stuffed(body) + body)


class Measurement(unittest.TestCase):
    def test_from_one_end_to_the_other(self):
        with tempfile.TemporaryDirectory() as folder:
            base = pathlib.Path(folder) / "out"
            done = subprocess.run(
                [ROOT / "bench/run", "--peers", "sluice,floor-log",
                 "--scenarios", "S1", "--rounds", "2", "--scale", "0.1",
                 "--output", base], capture_output=True, text=True,
                check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            told = json.loads(base.with_suffix(".json").read_text())
            shown = base.with_suffix(".html").read_text()
        order = [run["peer"] for run in told["runs"]
                 if run["scenario"] == "S1"]
        self.assertEqual(order, ["sluice", "floor-log", "floor-log", "sluice"])
        for run in told["runs"]:
            self.assertEqual(run["result"]["failed"], 0, run)
            self.assertGreater(run["figures"]["cost"], 0)
            self.assertGreater(run["figures"]["rate"], 0)
            self.assertEqual(run["result"]["tls"]["version"], "TLSv1.3")
        self.assertGreater(told["machine"]["sync_us"], 0)
        self.assertTrue(told["whole"])
        self.assertIn("Floor: log", shown)

    def test_told_to_stop_it_reports_what_it_has_and_leaves_nothing(self):
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            base = pathlib.Path(folder) / "out"
            process = subprocess.Popen(
                [ROOT / "bench/run", "--peers", "floor-log", "--scenarios",
                 "S2", "--output", base], text=True,
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                env={**os.environ, "SLUICE_BENCH_SCRATCH": folder})
            with process.stderr as said:
                said.readline()  # it has begun
                while not list(pathlib.Path(folder).glob("sluice-bench-*/log")):
                    self.assertIsNone(process.poll())
                    time.sleep(0.01)
                process.terminate()
                said.read()
            self.assertEqual(process.wait(), 128 + signal.SIGTERM)
            told = json.loads(base.with_suffix(".json").read_text())
            self.assertFalse(told["whole"])
            self.assertIn("stopped before its end",
                          base.with_suffix(".html").read_text())
            self.assertEqual({path.name for path in
                              pathlib.Path(folder).iterdir()},
                             {"out.json", "out.html"})


if __name__ == "__main__":
    tap.main()
