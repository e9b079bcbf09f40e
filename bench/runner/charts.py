"""Charts as SVG text, for a page that needs nothing else. Colours are the
page's CSS classes, so they follow its light or dark dress.

Bars begin at zero. A logarithmic axis says that it is one.
"""

import html
import math

from .stats import short

FONT = 13
ROW = 26          # height of a bar's row
GLYPH = 6.9       # width of a character, generously
TOP, BOTTOM = 8, 44


def text(x, y, words, anchor="start", kind="label"):
    return (f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" '
            f'class="{kind}">{html.escape(words)}</text>')


def line(x1, y1, x2, y2, kind="grid"):
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
            f'class="{kind}"/>')


def picture(width, height, parts, about):
    return (f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
            f'style="max-width:{width:.0f}px" aria-label="{html.escape(about)}">'
            + "".join(parts) + "</svg>")


# ---- axes -------------------------------------------------------------------

def linear_ticks(most, wanted=5):
    """0 and round numbers up to beyond the most."""
    if most <= 0:
        return [0, 1]
    rough = most / wanted
    power = 10 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough)
    return [i * step for i in range(math.ceil(most / step - 1e-9) + 1)]


def log_ticks(least, most):
    """Powers of ten around the values."""
    low = math.floor(math.log10(least))
    high = math.ceil(math.log10(most) + 1e-9)
    return [10.0 ** i for i in range(low, max(high, low + 1) + 1)]


def log_place(value, ticks, start, length):
    low, high = math.log10(ticks[0]), math.log10(ticks[-1])
    return start + (math.log10(value) - low) / (high - low) * length


def number(value):
    """A tick's label."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:g}"


def column(labels):
    return max(len(label) for label in labels) * GLYPH + 12


# ---- bars -------------------------------------------------------------------

def bars(rows, axis, width=560):
    """Rows are (label, value, least, kind); the bar is the value, a tick on it
    the least run. Rows without a value say so."""
    left = column([row[0] for row in rows])
    right = 74
    ticks = linear_ticks(max((row[1] or 0) for row in rows))
    span = width - left - right
    height = TOP + ROW * len(rows) + BOTTOM
    base = TOP + ROW * len(rows)
    parts = []
    for tick in ticks:
        x = left + tick / ticks[-1] * span
        parts += [line(x, TOP, x, base),
                  text(x, base + 16, number(tick), "middle", "tick")]
    parts.append(text(left + span / 2, base + 36, axis, "middle", "axis"))
    for i, (label, value, least, kind) in enumerate(rows):
        y = TOP + ROW * i
        parts.append(text(left - 8, y + ROW / 2 + 4.5, label, "end"))
        if value is None:
            parts.append(text(left + 6, y + ROW / 2 + 4.5, "not measured",
                              "start", "tick"))
            continue
        length = value / ticks[-1] * span
        parts.append(f'<rect x="{left:.1f}" y="{y + 4}" width="{length:.1f}" '
                     f'height="{ROW - 8}" class="bar {kind}"><title>'
                     f"{html.escape(label)}: {short(value)}</title></rect>")
        if least is not None and least < value:
            x = left + least / ticks[-1] * span
            parts.append(line(x, y + 4, x, y + ROW - 4, "least"))
        parts.append(text(left + length + 6, y + ROW / 2 + 4.5, short(value),
                          "start", "value"))
    parts.append(line(left, TOP, left, base, "zero"))
    return picture(width, height, parts, axis)


# ---- percentiles ------------------------------------------------------------

PERCENTILES = (("p50", "50 %"), ("p90", "90 %"), ("p99", "99 %"),
               ("p999", "99.9 %"))


def percentiles(rows, axis, width=760):
    """Rows are (label, {p50: value, ...}, kind): a line from the median to the
    slowest thousandth, on a logarithmic axis."""
    values = [v for _, told, _ in rows for v in told.values() if v > 0]
    if not values:
        return ""
    left, right, top = column([row[0] for row in rows]), 30, TOP + 22
    span = width - left - right
    ticks = log_ticks(min(values), max(values))
    base = top + ROW * len(rows)
    parts = legend(left, TOP + 8)
    for tick in ticks:
        x = log_place(tick, ticks, left, span)
        parts += [line(x, top, x, base),
                  text(x, base + 16, number(tick), "middle", "tick")]
    parts.append(text(left + span / 2, base + 36, axis, "middle", "axis"))
    for i, (label, told, kind) in enumerate(rows):
        y = top + ROW * i + ROW / 2
        parts.append(text(left - 8, y + 4.5, label, "end"))
        places = [(key, log_place(told[key], ticks, left, span))
                  for key, _ in PERCENTILES if told.get(key)]
        if places:
            parts.append(line(places[0][1], y, places[-1][1], y,
                              f"range {kind}"))
        parts += [mark(x, y, key, kind, f"{label}, {key}: {short(told[key])}")
                  for key, x in places]
    return picture(width, base + BOTTOM, parts, axis)


def mark(x, y, key, kind, about):
    title = f"<title>{html.escape(about)}</title>"
    if key == "p50":
        return f'<circle cx="{x:.1f}" cy="{y}" r="5.5" class="dot {kind}">' \
               f"{title}</circle>"
    if key == "p90":
        return f'<circle cx="{x:.1f}" cy="{y}" r="3.5" class="dot {kind}">' \
               f"{title}</circle>"
    half = 7 if key == "p99" else 4
    return f'<line x1="{x:.1f}" y1="{y - half}" x2="{x:.1f}" ' \
           f'y2="{y + half}" class="mark {kind}">{title}</line>'


def legend(x, y):
    parts = []
    for key, words in PERCENTILES:
        parts += [mark(x, y, key, "peer", words),
                  text(x + 11, y + 4.5, words, "start", "tick")]
        x += 11 + len(words) * GLYPH + 22
    return parts


# ---- lines ------------------------------------------------------------------

def curves(series, x_axis, y_axis, width=760):
    """Series are (label, [(x, y), ...], kind, dashed): both axes logarithmic,
    each line named at its end."""
    points = [p for _, line_points, _, _ in series for p in line_points]
    if not points:
        return ""
    left, right = 66, column([row[0] for row in series])
    span, rise = width - left - right, 360
    base = TOP + rise
    y_ticks = log_ticks(min(y for _, y in points), max(y for _, y in points))
    sizes = sorted({x for x, _ in points})
    x_ticks = [sizes[0] / 1.15, sizes[-1] * 1.15]
    parts = []
    for tick in y_ticks:
        y = base - log_place(tick, y_ticks, 0, rise)
        parts += [line(left, y, left + span, y),
                  text(left - 8, y + 4.5, number(tick), "end", "tick")]
    for size in sizes:
        x = log_place(size, x_ticks, left, span)
        parts += [line(x, TOP, x, base),
                  text(x, base + 16, bytes_text(size), "middle", "tick")]
    parts += [text(left + span / 2, base + 36, x_axis, "middle", "axis"),
              f'<text transform="translate(14 {TOP + rise / 2}) rotate(-90)" '
              f'text-anchor="middle" class="axis">{html.escape(y_axis)}</text>']
    ends = []
    for label, line_points, kind, dashed in series:
        places = [(log_place(x, x_ticks, left, span),
                   base - log_place(y, y_ticks, 0, rise))
                  for x, y in line_points]
        if not places:
            continue
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{path}" class="curve {kind}'
                     f'{" dashed" if dashed else ""}"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" '
                  f'class="dot {kind}"/>' for x, y in places]
        ends.append([places[-1][1], places[-1], label, kind])
    return picture(width, base + BOTTOM,
                   parts + end_labels(ends, left + span, base), x_axis)


def end_labels(ends, x, base):
    """Beside the lines' ends, moved apart where they would overlap."""
    ends.sort(key=lambda end: end[0])
    for i in range(1, len(ends)):
        ends[i][0] = max(ends[i][0], ends[i - 1][0] + FONT + 3)
    spill = (ends[-1][0] - base) if ends else 0
    if spill > 0:
        for end in ends:
            end[0] -= spill
    parts = []
    for y, (px, py), label, kind in ends:
        parts += [line(px + 4, py, x + 8, y, "lead"),
                  text(x + 11, y + 4.5, label, "start", f"label {kind}-text")]
    return parts


def bytes_text(size):
    for limit, unit in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= limit:
            return f"{size / limit:g} {unit}"
    return f"{size} B"
