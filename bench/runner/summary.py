"""A run's figures by what they belong to."""

from . import stats


class Summary:
    def __init__(self, results):
        self.values = {}
        for run in results["runs"]:
            key = (run["scenario"], run["part"])
            for figure, value in run["figures"].items():
                self.values.setdefault((key, run["peer"], figure), {})[
                    run["round"]] = value

    def rounds(self, key, peer, figure):
        """{round: value}."""
        return self.values.get((key, peer, figure), {})

    def pair(self, key, peer, figure):
        """Least and median."""
        return stats.least_and_median(
            list(self.rounds(key, peer, figure).values()))

    def ratios(self, above, below):
        """Round by round; both are (key, peer, figure)."""
        return stats.pair_ratios(self.rounds(*above), self.rounds(*below))
