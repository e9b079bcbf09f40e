"""The order in which servers are measured, and what is kept of it.

Scenario after scenario; within one, round after round; within a round, server
after server, the other way round every second time: so what is compared was
measured minutes apart at most, and drift hits everyone alike. A server is
started for each scenario and round and stopped after it. One that fails has
that written down, and the others go on.
"""

import datetime
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

from . import group, load, machine, peer, scenario

ROOT = pathlib.Path(__file__).resolve().parents[2]
FORMAT = 1


def git(*arguments):
    """Its answer, or "" outside a clone."""
    if not shutil.which("git"):
        return ""
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True,
                          text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


class Plan:
    def __init__(self, scenarios, peers, rounds, scale):
        """`scale` stretches or shortens each measurement."""
        self.scenarios = list(scenarios)
        self.peers = list(peers)
        self.rounds = rounds
        self.scale = scale
        self.runs = []
        self.steps = rounds * len(self.peers) * len(self.scenarios)
        self.step = 0
        self.whole = False
        self.began = time.monotonic()

    # -- progress

    def say(self, text):
        gone = time.monotonic() - self.began
        left = ""
        if self.step > 1:
            rest = gone / (self.step - 1) * (self.steps - self.step + 1)
            left = f", about {rest / 60:.0f} min left"
        print(f"[{self.step}/{self.steps}{left}] {text}", file=sys.stderr,
              flush=True)

    # -- measuring

    def run(self):
        for one in self.scenarios:
            for turn in range(self.rounds):
                order = self.peers if turn % 2 == 0 else self.peers[::-1]
                for kind in order:
                    self.step += 1
                    if not skipped(one, kind):
                        self.measure(one, kind, turn)
        self.whole = True

    def had_failures(self):
        return any("error" in run["result"] or run["result"].get("failed")
                   for run in self.runs)

    def measure(self, one, kind, turn):
        """All parts of a scenario against one server."""
        self.say(f"{one.name} {kind.name}")
        parts = [part.limited(kind.most) for part in one.parts]
        capacity = max(part.connections() for part in parts)
        try:
            with peer.open_peer(kind, capacity) as server:
                for part in parts:
                    self.keep(one, part, kind, turn, self.part(
                        one, part, server))
        except (peer.Failed, load.Failed, AssertionError, OSError) as error:
            self.keep(one, scenario.Part(()), kind, turn,
                      {"error": str(error)[:1000]})

    def part(self, one, part, server):
        seconds = max(round(one.seconds * self.scale, 1), 0.5)
        rate = 0.0
        if part.rate_of:
            rate = part.share * self.best_rate(part.rate_of, server)
        return load.run(server, part, seconds, rate)

    def best_rate(self, name, server):
        """What the server reached, by the median; measured now if it was
        not."""
        kind = type(server)
        known = [run["figures"]["rate"] for run in self.runs
                 if run["scenario"] == name and run["peer"] == kind.name and
                 "rate" in run["figures"]]
        if known:
            return statistics.median(known)
        other = scenario.read_all()[name]
        result = load.run(server, other.parts[0],
                          max(other.seconds * self.scale, 0.5))
        return load.figures(result, other.unit)["rate"]

    def keep(self, one, part, kind, turn, result):
        figures = {} if "error" in result else \
            load.figures(result, one.unit)
        self.runs.append({"scenario": one.name, "part": part.name,
                          "peer": kind.name, "round": turn,
                          "figures": figures, "result": result})
        trouble = result.get("error") or result.get("failed") and \
            f"{result['failed']} failures: {result['failures'][:3]}"
        if trouble:
            self.say(f"{one.name} {kind.name}: {trouble}")


def skipped(one, kind):
    """Where no mail is sent, what becomes of it makes no difference."""
    return kind.twin and one.unit in ("handshake", "connection")


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
        "changed": bool(git("status", "--porcelain", "--untracked-files=no")),
        "machine": facts, "machine_after": {
            "load_average": machine.describe_load()},
        "whole": plan.whole, "counted_by": how, "rounds": plan.rounds, "scale": plan.scale,
        "peers": {kind.name: describe_peer(kind) for kind in plan.peers},
        "missing": missing,
        "scenarios": {one.name: describe_scenario(one)
                      for one in plan.scenarios},
        "runs": plan.runs}


def write(path, table):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(table, indent=1) + "\n")
