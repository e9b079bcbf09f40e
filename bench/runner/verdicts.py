"""The targets of bench/targets.toml beside what was measured."""

import dataclasses
import pathlib
import statistics
import tomllib

from . import stats

FILE = pathlib.Path(__file__).resolve().parents[1] / "targets.toml"


@dataclasses.dataclass
class Verdict:
    text: str
    measured: str
    verdict: str  # met, missed, missed by less than a tie, not measured


def place(text):
    """scenario[/part]/server/figure"""
    words = text.split("/")
    return (words[0], words[1] if len(words) == 4 else ""), *words[-2:]


def judge_one(target, summary):
    """A ratio of two figures, or a `value`, which is a memory in bytes."""
    if "ratio" in target:
        above, below = (place(text) for text in target["ratio"])
        found = summary.ratios(above, below)
        shown = stats.describe_exact(found)
    else:
        found = list(summary.rounds(*place(target["value"])).values())
        shown = f"{stats.short(statistics.median(found) / 1024)} KiB" \
            if found else ""
    if not found:
        return Verdict(target["text"], "", "not measured")
    middle = statistics.median(found)
    met = middle >= target["least"] if "least" in target else \
        middle <= target["most"]
    word = "met" if met else "missed"
    # Asked for no more than the other, and no more within a tie.
    if not met and "ratio" in target and 1 <= target.get("most", 0) and \
            stats.is_tie(middle):
        word = "missed by less than a tie"
    return Verdict(target["text"], shown, word)


def judge(summary, file=FILE):
    """Nothing when none of them was measured."""
    rows = [judge_one(target, summary)
            for target in tomllib.loads(file.read_text())["targets"]]
    return rows if any(row.measured for row in rows) else []
