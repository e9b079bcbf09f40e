"""Few runs, honestly: least and median, ratios of runs that stood next to each
other, and a tie said to be one."""

import statistics

TIE = 1.3  # ratios nearer to 1 than this say nothing


def least_and_median(values):
    """None, None without values."""
    if not values:
        return None, None
    return min(values), statistics.median(values)


def pair_ratios(above, below):
    """{round: value} twice; the ratio of each round that both have."""
    return [above[turn] / below[turn] for turn in sorted(above)
            if below.get(turn)]


def is_tie(ratio):
    return 1 / TIE < ratio < TIE


def describe(ratios):
    """A few words: "3.1x (2.9-3.4)", "tie (1.08x)", or "" without any."""
    if not ratios:
        return ""
    middle = statistics.median(ratios)
    if is_tie(middle):
        return f"tie ({middle:.2f}x)"
    return describe_exact(ratios)


def describe_exact(ratios):
    """The same where a tie counts, too."""
    if not ratios:
        return ""
    text = f"{short(statistics.median(ratios))}x"
    if len(ratios) > 1:
        text += f" ({short(min(ratios))}–{short(max(ratios))})"
    return text


def short(number):
    """Three significant digits, without an exponent."""
    if number == 0:
        return "0"
    size = abs(number)
    for limit, digits in ((100, 0), (10, 1), (1, 2), (0.1, 3), (0.01, 4)):
        if size >= limit:
            return f"{number:,.{digits}f}"
    return f"{number:.2g}"
