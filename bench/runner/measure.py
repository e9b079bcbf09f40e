"""The order in which servers are measured, and what is kept of it.

Scenario after scenario; within one, round after round; within a round, server
after server, the other way round every second time: so what is compared was
measured minutes apart at most, and drift hits everyone alike. A server is
started for each scenario and round and stopped after it. One that fails has
that written down, and the others go on.
"""

import collections
import datetime
import json
import math
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

from . import group, load, machine, peer, programs, scenario

ROOT = pathlib.Path(__file__).resolve().parents[2]
FORMAT = 1
TRIES = 2  # of what a server has not done even once
AROUND_SECONDS = 1.5  # of each part: it starts, grows quiet, stops


def git(*arguments):
    """Its answer, or "" outside a clone."""
    if not shutil.which("git"):
        return ""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True,
                          text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def skipped(one, kind):
    """Where no mail is sent, what becomes of it makes no difference."""
    if one.peers or kind.special:
        return kind.name not in one.peers
    return kind.twin and (one.unit in ("handshake", "connection") or
                          kind.sink and not one.relays)


def order(scenarios, peers, rounds):
    """[(scenario, server, round)]"""
    return [(one, kind, turn) for one in scenarios for turn in range(rounds)
            for kind in (peers if turn % 2 == 0 else peers[::-1])
            if not skipped(one, kind)]


class Plan:
    def __init__(self, scenarios, peers, rounds, scale):
        """`scale` stretches or shortens each measurement."""
        self.scenarios = list(scenarios)
        self.peers = list(peers)
        self.rounds = rounds
        self.scale = scale
        self.steps = order(self.scenarios, self.peers, rounds)
        self.step = 0
        self.runs = []
        self.sinks = []
        self.best = {}  # rates that had to be measured for another scenario
        self.tries = collections.Counter()  # without a figure
        self.whole = False
        self.began = time.monotonic()

    # -- progress

    def expected(self, steps):
        """Seconds, but for a factor which the steps that are done tell."""
        return sum(self.seconds(one) + load.WARM_UP + AROUND_SECONDS
                   for one, _, _ in steps for _ in one.parts)

    def say(self, text):
        gone = time.monotonic() - self.began
        done = self.step - 1
        left = self.expected(self.steps[done:])
        if done:
            left *= gone / self.expected(self.steps[:done])
        print(f"[{self.step}/{len(self.steps)}, {gone / 60:.0f} min, about "
              f"{math.ceil(left / 60)} min left] {text}", file=sys.stderr,
              flush=True)

    # -- measuring

    def run(self, save):
        """`save` is called with the plan after each scenario's last step."""
        for self.step, (one, kind, turn) in enumerate(self.steps, 1):
            self.measure(one, kind, turn)
            self.whole = self.step == len(self.steps)
            if self.whole or self.steps[self.step][0] is not one:
                save(self)

    def had_failures(self):
        return any(trouble_of(run["result"]) for run in self.runs)

    def measure(self, one, kind, turn):
        """All parts of a scenario against one server."""
        parts = [part.limited(kind.most) for part in one.parts
                 if self.tries[one, part.name, kind] < TRIES]
        if not parts:
            return
        self.say(f"{one.name} {kind.name}")
        try:
            with peer.open_peer(kind, max(part.connections()
                                          for part in parts)) as server:
                for part in parts:
                    figures = self.keep(one, part, kind, turn,
                                        self.part(one, part, server))
                    self.tries[one, part.name, kind] += not figures
                if kind.sink and parts[-1].beside:
                    load.drain(server)
            if kind.sink:
                self.keep_sink(one, kind, turn, server)
        except Exception as error:  # whatever it is, the others go on
            for part in parts:
                self.tries[one, part.name, kind] += 1
            self.keep(one, scenario.Part(()), kind, turn, {
                "error": f"{type(error).__name__}: {error}"[:1000]})

    def part(self, one, part, server):
        rate = part.share * self.best_rate(part.rate_of, server) \
            if part.rate_of else 0.0
        try:
            if not part.programs or programs.missing():
                return load.run(server, part, self.seconds(one), rate)
            told = {}
            with programs.timed(server, told):
                result = load.run(server, part, self.seconds(one), rate)
            return {**result, **told}
        except load.Failed as error:
            return {"error": str(error)[:1000]}

    def seconds(self, one):
        return max(round(one.seconds * self.scale, 1), 0.5)

    def best_rate(self, name, server):
        """What the server reached, by the median; measured now if it was
        not."""
        kind = type(server)
        known = [run["figures"]["rate"] for run in self.runs
                 if run["scenario"] == name and run["peer"] == kind.name and
                 "rate" in run["figures"]]
        if known:
            return statistics.median(known)
        if (name, kind) not in self.best:
            other = scenario.read_all()[name]
            result = load.run(server, other.parts[0], self.seconds(other))
            self.best[name, kind] = load.figures(result, other.unit)["rate"]
        return self.best[name, kind]

    def keep(self, one, part, kind, turn, result):
        figures = {} if "error" in result else \
            load.figures(result, one.unit)
        self.runs.append({"scenario": one.name, "part": part.name,
                          "peer": kind.name, "round": turn,
                          "figures": figures, "result": result})
        trouble = trouble_of(result)
        if trouble:
            self.say(f"{one.name} {kind.name} {part.name}: {trouble}")
        return figures

    def keep_sink(self, one, kind, turn, server):
        """What a server took on, the sink behind it must have got."""
        told = {"acknowledged": server.acknowledged,
                "received": server.received}
        self.sinks.append({"scenario": one.name, "peer": kind.name,
                           "round": turn, **told})
        if told["received"] < told["acknowledged"]:
            self.keep(one, scenario.Part(()), kind, turn, {
                "error": "{acknowledged} messages were acknowledged, and the "
                "sink behind it got {received}".format(**told)})


def trouble_of(result):
    """A few words, or ""."""
    said = [result["error"]] if "error" in result else []
    said += [f"{one['n']} x {one['stage']} {one['code'] or ''} {one['reason']}"
             for one in result.get("failures", [])[:3]]
    if not result.get("cost", {}).get("settled", True):
        said.append(f"still busy {load.SETTLE_SECONDS} s later: its cost is "
                    "not all of it")
    return "; ".join(said)


def describe_peer(kind):
    return {"title": kind.title, "kind": kind.kind, "auth": kind.auth,
            "relays": kind.sink, "notes": kind.notes, "version": kind.version()}


def describe_scenario(one):
    return {"title": one.title, "question": one.question, "text": one.text,
            "unit": one.unit, "seconds": one.seconds, "parts": [
                {"name": part.name, "load": " ".join(part.load),
                 "beside": " ".join(part.beside), "rate_of": part.rate_of,
                 "share": part.share, "bytes": part.size_bytes}
                for part in one.parts]}


def why_missing(kind):
    """Why it cannot be measured here, or None."""
    why = kind.missing()
    if why:
        return why
    for name in ("sluice-load", "sluice-sink")[:1 + kind.sink]:
        path = peer.gateway.program(name)
        if not pathlib.Path(path).exists():
            return f"{path} is missing: run 'make'"
    return None


def usable(kinds):
    """Those that can run here; and {name: why} of the others."""
    there, missing = [], {}
    for kind in kinds:
        why = why_missing(kind)
        if why:
            missing[kind.name] = why
            print(f"leaving out {kind.name}: {why}", file=sys.stderr)
        else:
            there.append(kind)
    return there, missing


def results(plan, command, missing, facts):
    """What is written to a file, as one table."""
    probe = group.open_group("probe")
    how = probe.how
    probe.close()
    return {
        "format": FORMAT, "command": command,
        "date": datetime.date.today().isoformat(),
        "commit": git("rev-parse", "HEAD"),
        # What is published may be written anew by this very run.
        "changed": bool(git("status", "--porcelain", "--untracked-files=no",
                            "--", ".", ":!bench/results")),
        "machine": facts, "machine_after": {
            "load_average": machine.describe_load()},
        "whole": plan.whole, "counted_by": how, "rounds": plan.rounds, "scale": plan.scale,
        "peers": {kind.name: describe_peer(kind) for kind in plan.peers},
        "missing": missing,
        "scenarios": {one.name: describe_scenario(one)
                      for one in plan.scenarios},
        "sinks": plan.sinks, "runs": plan.runs}


def write(path, table):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(table, indent=1) + "\n")
