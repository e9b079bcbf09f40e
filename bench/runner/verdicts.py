"""The targets of bench/targets.toml beside what was measured."""

import dataclasses
import pathlib
import re
import statistics
import tomllib

from . import stats

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILE = ROOT / "bench/targets.toml"
COST = ROOT / "kernel-notes/COST.md"
UNITS = {"memory": (1024, "KiB"), "share": (1, "%")}  # of a `value`


@dataclasses.dataclass
class Verdict:
    name: str
    text: str
    measured: str
    verdict: str  # met, missed, tie (missed by less), not measured


def place(text):
    """scenario[/part]/server/figure"""
    words = text.split("/")
    return (words[0], words[1] if len(words) == 4 else ""), *words[-2:]


def noted(row):
    """[KiB] of a row of the table of idle connections in COST.md."""
    found = re.search(rf"^\| {re.escape(row)} +\| *([\d.]+)", COST.read_text(),
                      re.M)
    return [float(found[1])] if found else []


def measured(target, summary):
    """([value], how it is shown)"""
    if "ratio" in target:
        above, below = (place(text) for text in target["ratio"])
        found = summary.ratios(above, below)
        return found, stats.describe_exact(found)
    if "noted" in target:
        found = noted(target["noted"])
        where = "KiB, in kernel-notes/COST.md"
    else:
        key, server, figure = place(target["value"])
        divisor, where = UNITS[figure]
        found = [value / divisor for value in
                 summary.rounds(key, server, figure).values()]
    return found, f"{stats.short(statistics.median(found))} {where}" \
        if found else ""


def judge_one(target, summary):
    found, shown = measured(target, summary)
    if not found:
        return Verdict(target["name"], target["text"], "", "not measured")
    middle = statistics.median(found)
    met = middle >= target["least"] if "least" in target else \
        middle <= target["most"]
    word = "met" if met else "missed"
    # Asked for no more than the other, and no more within a tie.
    if not met and "ratio" in target and 1 <= target.get("most", 0) and \
            stats.is_tie(middle):
        word = "tie (over by less than 1.3x)"
    return Verdict(target["name"], target["text"], shown, word)


def judge(summary, file=FILE):
    """Nothing when none of them was measured in this run."""
    targets = tomllib.loads(file.read_text())["targets"]
    rows = [judge_one(target, summary) for target in targets]
    here = any(row.measured for row, target in zip(rows, targets)
               if "noted" not in target)
    return rows if here else []
