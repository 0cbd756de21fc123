"""Figures as SVG text, drawn from the tables of a result alone; no plotting library, no files read.

Every figure has two forms: parts that the report puts between its own words (colored through CSS variables), and
one standalone file with its own style that reads well on a light and on a dark page. Values that are undefined are
left out of the drawing and said in words. Text from the data is escaped, and shortened only where the full text
stands in a tooltip.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import escape

from biaskit._numbers import TYPOGRAPHIC, shown

__all__ = [
    "Panel", "Strips", "chart_css", "continuity", "forest", "groups", "key", "seeds", "standalone", "tag",
]  # fmt: skip

Row = Mapping[str, Any]

LIGHT = {
    "bg": "#ffffff", "fg": "#1b1f24", "faint": "#646c77", "line": "#d4d8dd", "axis": "#8b929c", "zone": "#e4e8ed",
    "good": "#00694f", "bad": "#a3210f", "neu": "#4a515b", "a0": "#4a515b", "a1": "#5f6670", "a2": "#b3540a",
    "a3": "#0a63b0", "a4": "#9a2ff0", "a5": "#4a2208", "a6": "#d4187f",
}  # fmt: skip
DARK = {
    "bg": "#14171b", "fg": "#e8ebef", "faint": "#939ca8", "line": "#343a42", "axis": "#6b737e", "zone": "#262c34",
    "good": "#5fd0ac", "bad": "#ff9280", "neu": "#b6bec8", "a0": "#b6bec8", "a1": "#a3abb6", "a2": "#f29a4a",
    "a3": "#6db5f5", "a4": "#9b68f0", "a5": "#f5e05a", "a6": "#e8407f",
}  # fmt: skip
INKS = {"better": "good", "worse": "bad", "same": "neu", "open": "neu", "bare": "neu"} | {
    f"a{i}": f"a{i}" for i in range(7)
}
CLASSES = {"better": "better", "worse": "worse", "no relevant difference": "same", "inconclusive": "open"}
MARKERS = (
    '<circle class="mk" r="4"/>',
    '<path class="mk" d="M-3.6 -3.6h7.2v7.2h-7.2z"/>',
    '<path class="mk" d="M0 -5l5 5l-5 5l-5 -5z"/>',
    '<path class="mk" d="M0 -4.6l4.8 8.4h-9.6z"/>',
    '<path class="mk" d="M0 4.6l4.8 -8.4h-9.6z"/>',
    '<path class="mk" d="M-1.4 -4.6h2.8v3.2h3.2v2.8h-3.2v3.2h-2.8v-3.2h-3.2v-2.8h3.2z"/>',
)
MOST_ROWS = 40
"""More rows than this would not be read: the lowest are drawn, the table has all."""


@dataclass(frozen=True)
class Panel:
    """One chart of a figure: what it shows, its drawing, and its size in pixels."""

    name: str
    svg: str
    width: int
    height: int
    ink: str = "a0"
    lowest: str = ""


@dataclass(frozen=True)
class Strip:
    """One row of a forest: its words (left, right) and its drawing, as wide as the page lets it be."""

    left: str
    right: str
    interval: str
    ink: str
    svg: str
    row: Row = field(default_factory=dict)


@dataclass(frozen=True)
class Strips:
    """Rows over one common axis."""

    rows: list[Strip]
    axis: str


# -------------------------------------------------------------------------------------------------- small parts


def tag(name: str, text: str | None = None, **attributes: Any) -> str:
    """Write one element with everything in it escaped; ``class_`` and ``text_anchor`` become ``class`` and so on.

    Examples
    --------
    >>> tag("text", "<b>", x=1.0, text_anchor="end")
    '<text x="1" text-anchor="end">&lt;b&gt;</text>'
    """
    parts = [name]
    for key_, value in attributes.items():
        if isinstance(value, float):
            value = f"{value:.2f}".rstrip("0").rstrip(".")
        parts.append(f'{key_.rstrip("_").replace("_", "-")}="{_escaped(str(value), quote=True)}"')
    return f"<{' '.join(parts)}/>" if text is None else f"<{' '.join(parts)}>{_escaped(text)}</{name}>"


def _escaped(text: str, quote: bool = False) -> str:
    """Escape for XML; control characters, which XML cannot hold at all, become the replacement character."""
    text = "".join(c if c >= " " and c not in "\x7f\ufffe\uffff" else "\ufffd" for c in text)
    return escape(text, {'"': "&quot;"} if quote else {})


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"


def ink(index: int, count: int) -> str:
    """Give the color class of an arm by its place on the command line; beyond six arms one ink serves all."""
    return f"a{index + 1}" if count <= len(MARKERS) else "a0"


def key(index: int, count: int) -> str:
    """Draw the marker of an arm, to stand before its name."""
    marker = MARKERS[index if count <= len(MARKERS) else 0]
    return f'<svg class="key {ink(index, count)}" viewBox="-7 -7 14 14" width="14" height="14" aria-hidden="true">{marker}</svg>'


def _ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Choose round numbers within [low, high].

    Examples
    --------
    >>> _ticks(-4.2, 1.3)
    [-4.0, -3.0, -2.0, -1.0, 0.0, 1.0]
    """
    span = max(high - low, 1e-12)
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if span / (s * power) <= most + 1)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) + 0.0 for i in range(first, last + 1)]


def _label(value: float, step: float, signed: bool = False) -> str:
    digits = max(0, -math.floor(math.log10(step) + 1e-9)) if step < 1 else 0
    if digits and abs(step * 10**digits - round(step * 10**digits)) > 1e-6:
        digits += 1
    return TYPOGRAPHIC.fixed(value, digits, signed=signed)


# ------------------------------------------------------------------------------------------------ forest, seeds


@dataclass(frozen=True)
class _Scale:
    """From a value to a place in percent of the width; `mirrored` puts small values on the right."""

    low: float
    high: float
    mirrored: bool

    def __call__(self, value: float) -> str:
        share = (value - self.low) / (self.high - self.low)
        return f"{3 + 94 * (1 - share if self.mirrored else share):.2f}%"


def _scale(values: Sequence[float], mirrored: bool) -> _Scale:
    low, high = min(values), max(values)
    pad = 0.04 * (high - low) or 1e-3
    return _Scale(low - pad, high + pad, mirrored)


def _line(at: str, height: int, css: str) -> str:
    return f'<line class="{css}" x1="{at}" x2="{at}" y1="0" y2="{height}"/>'


def _ground(scale: _Scale, ticks: Sequence[float], height: int, margin: float | None, zero: bool) -> str:
    """Draw what all rows share: the margin band, the grid and the zero line."""
    parts = []
    if margin is not None:
        left, right = sorted(float(scale(v).rstrip("%")) for v in (-margin, margin))
        parts.append(f'<rect class="zone" x="{left:.2f}%" y="0" width="{right - left:.2f}%" height="{height}"/>')
    parts += [_line(scale(t), height, "grid") for t in ticks if t or not zero]
    if zero:
        parts.append(_line(scale(0.0), height, "zero"))
    return "".join(parts)


def _whisker(scale: _Scale, low: float, high: float, y: int, css: str, cap: int) -> str:
    a, b = scale(low), scale(high)
    ends = "".join(f'<line class="{css}" x1="{e}" x2="{e}" y1="{y - cap}" y2="{y + cap}"/>' for e in (a, b) if cap)
    return f'<line class="{css}" x1="{a}" x2="{b}" y1="{y}" y2="{y}"/>{ends}'


def _at(at: str, y: int, inner: str) -> str:
    """Place a drawing around a point whose x is in percent."""
    return f'<svg x="{at}" y="{y}" width="1" height="1" overflow="visible">{inner}</svg>'


def _axis(scale: _Scale, ticks: Sequence[float], unit: str, what: str, ends: tuple[str, str], signed: bool) -> str:
    factor = 100 if unit in ("%", "points") else 1
    step = (ticks[1] - ticks[0]) * factor if len(ticks) > 1 else 1.0
    texts = [tag("text", _label(t * factor, step, signed), class_="tick", x=scale(t), y=13) for t in ticks]
    texts.append(tag("text", ends[0], class_="tick", x="0", y=31, text_anchor="start"))
    texts.append(tag("text", what, class_="tick", x="50%", y=31))
    texts.append(tag("text", ends[1], class_="tick", x="100%", y=31, text_anchor="end"))
    return f'<svg class="strip chart" width="100%" height="36" aria-hidden="true">{"".join(texts)}</svg>'


def forest(rows: Sequence[Row], metric: Row, *, margin: float | None = None, mirrored: bool = False) -> Strips:
    """Draw the differences of one metric: dot, interval, and beyond it the interval that holds for all verdicts.

    Parameters
    ----------
    rows : sequence of mapping
        Rows of ``result["differences"]`` of one metric; those without a number are left out.
    metric : mapping
        Its entry of ``result["metrics"]``.
    margin : float, optional
        Half-width of the band of differences that do not matter, in the unit of the rows.
    mirrored : bool
        Put negative differences on the right, where better belongs when lower is better.

    Returns
    -------
    Strips
        Rows in the order given, over one axis that holds zero.
    """
    rows = [r for r in rows if r["estimate"] is not None]
    if not rows:
        return Strips([], "")
    names = ("estimate", "low", "high", "low_together", "high_together")
    values = [r[n] for r in rows for n in names if r.get(n) is not None]
    scale = _scale([*values, 0.0, *((-margin, margin) if margin else ())], mirrored)
    ticks = _ticks(scale.low, scale.high)
    ground = _ground(scale, ticks, 24, margin, zero=True)
    strips = []
    for row in rows:
        word = row["verdict"] if row["verdict"] and row["seeds"] >= 3 else None
        css = CLASSES.get(word or "", "bare")
        parts = [ground]
        if row.get("low_together") is not None and row.get("high_together") is not None:
            parts.append(_whisker(scale, row["low_together"], row["high_together"], 12, "joint", 3))
        if row["low"] is not None and row["high"] is not None:
            parts.append(_whisker(scale, row["low"], row["high"], 12, "ivl", 0))
        dot = '<path class="mk" d="M-1.5 -6h3v12h-3z"/>' if css == "bare" else '<circle class="mk" r="5"/>'
        parts.append(_at(scale(row["estimate"]), 12, dot))
        value, low, high = shown(TYPOGRAPHIC, metric, row, key="estimate")
        svg = f'<svg class="strip {css}" width="100%" height="24" aria-hidden="true">{"".join(parts)}</svg>'
        between = f"{row['arm']} against {row['against']}"
        strips.append(Strip(between, value, f"{low} to {high}" if low and high else "", css, svg, row))
    ends = _ends(metric["better"], mirrored)
    unit = "difference in points" if metric["unit"] else "difference"
    return Strips(strips, _axis(scale, ticks, metric["unit"], unit, ends, signed=True))


def _ends(better: str, mirrored: bool) -> tuple[str, str]:
    """Name the ends of an axis of differences; without a direction they are only lower and higher."""
    left, right = "\N{LEFTWARDS ARROW} ", " \N{RIGHTWARDS ARROW}"
    if better == "higher" or mirrored:
        return left + "worse", "better" + right
    return left + "lower", "higher" + right


def seeds(rows: Sequence[Row], headline: Sequence[Row], metric: Row, arms: Sequence[str]) -> Strips:
    """Draw the value of every single run, one row per arm, over the arm's mean and interval.

    Parameters
    ----------
    rows : sequence of mapping
        ``result["runs"]``: arm, seed and a column of the metric's name.
    headline : sequence of mapping
        ``result["headline"]``, for mean and interval.
    metric : mapping
        Its entry of ``result["metrics"]``.
    arms : sequence of str
        Names in order.

    Returns
    -------
    Strips
        Arms whose runs have no value are left out.
    """
    name = metric["name"]
    runs = {a: [r for r in rows if r["arm"] == a and r.get(name) is not None] for a in arms}
    means = {r["arm"]: r for r in headline if r["metric"] == name and r["value"] is not None}
    values = [r[name] for own in runs.values() for r in own]
    if not values:
        return Strips([], "")
    values += [m[k] for m in means.values() for k in ("value", "low", "high") if m[k] is not None]
    scale = _scale(values, mirrored=False)
    ticks = _ticks(scale.low, scale.high)
    strips = []
    for index, arm in enumerate(arms):
        if not runs[arm]:
            continue
        css, parts = ink(index, len(arms)), [_ground(scale, ticks, 30, None, zero=False)]
        mean = means.get(arm)
        text = low = high = ""
        if mean is not None:
            text, low, high = shown(TYPOGRAPHIC, metric, mean)
            if mean["low"] is not None and mean["high"] is not None:
                parts.append(_whisker(scale, mean["low"], mean["high"], 9, "ivl", 4))
            parts.append(_at(scale(mean["value"]), 9, MARKERS[index if len(arms) <= len(MARKERS) else 0]))
        for run in runs[arm]:
            own, _, _ = shown(TYPOGRAPHIC, metric, {"value": run[name]})
            title = tag("title", f"seed {run['seed']}: {own}")
            dot = f'<circle class="one" r="3.4">{title}</circle>'
            parts.append(_at(scale(run[name]), 22, dot))
        svg = f'<svg class="strip {css}" width="100%" height="30" aria-hidden="true">{"".join(parts)}</svg>'
        strips.append(Strip(arm, text, f"{low} to {high}" if low and high else "", css, svg))
    return Strips(strips, _axis(scale, ticks, metric["unit"], metric["unit"], ("", ""), signed=False))


# ----------------------------------------------------------------------------------------------------- groups


def groups(rows: Sequence[Row], arms: Sequence[str], by: Sequence[str], overall: Mapping[str, float]) -> list[Panel]:
    """Draw the accuracy of every group with its interval, one panel per arm over one common axis.

    Parameters
    ----------
    rows : sequence of mapping
        ``result["groups"]``.
    arms : sequence of str
        Names in order.
    by : sequence of str
        The attributes that make the groups.
    overall : mapping
        Accuracy per arm, drawn as a vertical line.

    Returns
    -------
    list of Panel
        Labels with two values of one attribute share a row (hollow, filled); other groups have one row each. Beyond
        `MOST_ROWS` rows the lowest on average over the arms are drawn.
    """
    spots = list(dict.fromkeys(tuple(str(r[b]) for b in by) for r in rows))
    paired = len(spots) == 2
    lanes: dict[tuple[str, ...], dict[str, list[Row]]] = {}
    for row in rows:
        lane = (str(row["label"]),) if paired else (str(row["label"]), *(str(row[b]) for b in by))
        lanes.setdefault(lane, {}).setdefault(row["arm"], []).append(row)
    order = list(lanes)
    if len(order) > MOST_ROWS:

        def average(lane: tuple[str, ...]) -> float:
            known = [r["accuracy"] for own in lanes[lane].values() for r in own if r["accuracy"] is not None]
            return sum(known) / len(known) if known else math.inf

        order = sorted(order, key=average)[:MOST_ROWS]
    ends = [r[k] for lane in order for own in lanes[lane].values() for r in own for k in ("accuracy", "low")]
    low = min([e for e in ends if e is not None], default=0.0)
    low = max(0.0, math.floor(low * 20) / 20 if low > 0.8 else math.floor(low * 10) / 10)
    return [
        _dots([(lane, lanes[lane].get(arm, [])) for lane in order], arm, i, len(arms), low, paired, overall.get(arm))
        for i, arm in enumerate(arms)
    ]


def _dots(
    lanes: Sequence[tuple[tuple[str, ...], Sequence[Row]]],
    arm: str,
    index: int,
    count: int,
    low: float,
    paired: bool,
    overall: float | None,
) -> Panel:
    """Draw one panel: a lane per row, hollow and filled dots where two values share it."""
    width, step = 320, 27 if paired else 18
    names = [", ".join(lane) for lane, _ in lanes]
    sizes = [" / ".join(TYPOGRAPHIC.count(r["n"]) for r in own) for _, own in lanes]
    most = min(16, max(map(len, names), default=1))
    left = 14 + 6.6 * most
    right = width - 16 - 6.2 * max(map(len, sizes), default=1)
    bottom = 30 + step * len(lanes)

    def x(value: float) -> float:
        return left + (right - left) * (value - low) / (1 - low)

    parts = [tag("text", "n", class_="tick", x=width - 4, y=24, text_anchor="end")]
    for t in _ticks(low, 1.0, 3 if right - left < 150 else 4):
        parts.append(tag("path", class_="grid", d=f"M{x(t):.1f} 30V{bottom}"))
        parts.append(tag("text", f"{t * 100:g}" + (" %" if t == 1 else ""), class_="tick", x=x(t), y=bottom + 16))
    if overall is not None and overall >= low:
        parts.append(tag("path", class_="mean", d=f"M{x(overall):.1f} 28V{bottom}"))
        text = f"all {TYPOGRAPHIC.of(overall, '%')[0]}"
        parts.append(tag("text", text, class_="tick halo", x=min(x(overall), right - 20), y=24))
    known = [r for _, own in lanes for r in own if r["accuracy"] is not None and r["n"] >= 10]
    worst = min(known, key=lambda r: r["accuracy"], default=None)
    lowest = ""
    for i, (_, own) in enumerate(lanes):
        middle = 30 + step * (i + 0.5)
        name = tag("title", names[i]) + _escaped(_short(names[i], most))
        parts.append(f'<text class="lab" x="4" y="{middle + 4:.1f}">{name}</text>')
        parts.append(tag("text", sizes[i], class_="tick", x=width - 4, y=middle + 4, text_anchor="end"))
        for k, row in enumerate(own):
            y = middle + (11 * (k - 0.5) if paired and len(own) == 2 else 0)
            if row["accuracy"] is None:
                parts.append(tag("text", row["note"] or "no images", class_="tick mut", x=left + 4, y=y + 4, text_anchor="start"))
                continue
            parts.append(_dot(row, x, y, low, hollow=paired and k == 0, ring=row is worst))
            if row is worst:
                value, a, b = TYPOGRAPHIC.of(row["accuracy"], "%", low=row["low"], high=row["high"])
                where = names[i] if not paired else ", ".join(str(v) for v in _group(row))
                lowest = f"{where}, {value} %" + (f" ({a} to {b})" if a and b else "") + f", n {TYPOGRAPHIC.count(row['n'])}"
    title = f"{arm}: accuracy per group with interval." + (f" Lowest: {lowest}." if lowest else "")
    height, css = bottom + 24, ink(index, count)
    svg = (
        f'<svg class="chart {css}" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">'
        f"{tag('title', title)}{''.join(parts)}</svg>"
    )
    return Panel(arm, svg, width, height, css, lowest)


def _group(row: Row) -> list[Any]:
    """Give the label and the attribute values of a group row."""
    return [v for k, v in row.items() if k not in ("arm", "n", "accuracy", "low", "high", "note")]


def _dot(row: Row, x: Callable[[float], float], y: float, low: float, *, hollow: bool, ring: bool) -> str:
    """Draw one group: interval, dot, and a ring around the lowest."""
    value, a, b = TYPOGRAPHIC.of(row["accuracy"], "%", low=row["low"], high=row["high"])
    note = f"; {row['note']}" if row["note"] else ""
    parts = [tag("title", f"{', '.join(map(str, _group(row)))}: {value} %" + (f" ({a} to {b})" if a else "") + note)]
    if row["low"] is not None and row["high"] is not None:
        parts.append(tag("path", class_="ivl thin", d=f"M{x(max(row['low'], low)):.1f} {y:.1f}H{x(row['high']):.1f}"))
    parts.append(tag("circle", class_="hol" if hollow else "mk", cx=x(row["accuracy"]), cy=y, r=3.6))
    if ring:
        parts.append(tag("circle", class_="ring", cx=x(row["accuracy"]), cy=y, r=7))
    return f"<g>{''.join(parts)}</g>"


# ------------------------------------------------------------------------------------------------- continuity


def continuity(rows: Sequence[Row], arms: Sequence[str], *, metric: str = "nds") -> list[Panel]:
    """Draw a distance over the levels of each perturbation, with its interval as a band.

    Parameters
    ----------
    rows : sequence of mapping
        ``result["continuity"]``.
    arms : sequence of str
        Names in order; up to six share a panel per perturbation, beyond that each arm has a panel of its own with
        one line per perturbation.
    metric : str
        ``"nds"`` or ``"ds"``.

    Returns
    -------
    list of Panel
        All with the same axes.
    """
    rows = [r for r in rows if r.get(metric) is not None]
    if not rows:
        return []
    perturbations = list(dict.fromkeys(str(r["perturbation"]) for r in rows))
    top = max(r[k] for r in rows for k in (metric, f"{metric}_high") if r.get(k) is not None) or 1.0
    if len(arms) <= len(MARKERS):
        split = [
            (p, [(a, i, [r for r in rows if r["perturbation"] == p and r["arm"] == a]) for i, a in enumerate(arms)])
            for p in perturbations
        ]
    else:
        split = [
            (a, [(p, -1, [r for r in rows if r["perturbation"] == p and r["arm"] == a]) for p in perturbations])
            for a in arms
        ]
    return [_lines(name, [s for s in series if s[2]], metric, top) for name, series in split]


def _lines(name: str, series: Sequence[tuple[str, int, Sequence[Row]]], metric: str, top: float) -> Panel:
    """Draw one panel of lines with direct labels."""
    width, height, left, bottom = 320, 210, 44, 168
    amounts = {r["level"]: r["amount"] for _, _, own in series for r in own}
    levels = sorted(amounts)
    right = width - 14 - 6.6 * min(12, max((len(s[0]) for s in series), default=1))

    def x(level: Any) -> float:
        return left + (right - left) * (levels.index(level) + 0.5) / len(levels)

    def y(value: float) -> float:
        return bottom - (bottom - 14) * value / top

    ticks = _ticks(0.0, top, 4)
    parts = []
    for t in ticks:
        parts.append(tag("path", class_="grid", d=f"M{left} {y(t):.1f}H{right:.1f}"))
        parts.append(tag("text", _label(t, ticks[1] - ticks[0]), class_="tick", x=left - 6, y=y(t) + 4, text_anchor="end"))
    for level in levels:
        amount = amounts[level]
        text = f"{amount:.4g}" if isinstance(amount, (int, float)) else _short(str(amount), 8)
        parts.append(tag("text", text.replace("-", "\N{MINUS SIGN}"), class_="tick", x=x(level), y=bottom + 17))
    parts.append(tag("text", "amount", class_="tick", x=(left + right) / 2, y=bottom + 35))
    labels = []
    for label, index, own in series:
        own = sorted(own, key=lambda r: levels.index(r["level"]))
        css = f"a{index + 1}"
        known = [r for r in own if r.get(f"{metric}_low") is not None and r.get(f"{metric}_high") is not None]
        if len(known) > 1:
            upper = [f"{x(r['level']):.1f} {y(r[f'{metric}_high']):.1f}" for r in known]
            lower = [f"{x(r['level']):.1f} {y(r[f'{metric}_low']):.1f}" for r in reversed(known)]
            parts.append(f'<g class="{css}"><path class="band" d="M{"L".join([*upper, *lower])}z"/></g>')
        points = "L".join(f"{x(r['level']):.1f} {y(r[metric]):.1f}" for r in own)
        marks = []
        for r in own:
            title = tag("title", f"{label}, {r['amount']}: {TYPOGRAPHIC.of(r[metric], '')[0]}")
            place = f"translate({x(r['level']):.1f} {y(r[metric]):.1f})"
            marks.append(f'<g transform="{place}">{title}{MARKERS[max(index, 0)]}</g>')
        parts.append(f'<g class="{css}"><path class="ln" d="M{points}"/>{"".join(marks)}</g>')
        labels.append((y(own[-1][metric]), label, css))
    for place, label, css in _apart(labels):
        name_ = tag("title", label) + _escaped(_short(label, 12))
        parts.append(f'<g class="{css}"><text class="c" x="{right + 4:.1f}" y="{place + 4:.1f}">{name_}</text></g>')
    title = tag("title", f"{name}: {metric} over {len(levels)} levels for {', '.join(s[0] for s in series)}")
    svg = f'<svg class="chart" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">{title}'
    return Panel(name, f"{svg}{''.join(parts)}</svg>", width, height)


def _apart(labels: list[tuple[float, str, str]], least: float = 14) -> list[tuple[float, str, str]]:
    """Move labels upward until they no longer overlap."""
    placed: list[tuple[float, str, str]] = []
    for y, text, css in sorted(labels, reverse=True):
        placed.append((min(y, placed[-1][0] - least) if placed else y, text, css))
    return placed


# ------------------------------------------------------------------------------------------ style, standalone


def chart_css(color: Callable[[str], str]) -> str:
    """Write the style rules of all figures.

    Parameters
    ----------
    color : callable
        From the name of a role (``"fg"``, ``"a1"``) to a CSS color: a variable in the report, a literal in a file,
        because many programs that read SVG know no variables.

    Returns
    -------
    str
        CSS.
    """
    c = color
    rules = [
        ".chart { font-family: system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif; }",
        f".chart text {{ fill: {c('fg')}; font-size: 13px; unicode-bidi: isolate; }}",
        f".chart text.tick {{ fill: {c('faint')}; font-size: 12px; text-anchor: middle; }}",
        ".chart text[text-anchor=end] { text-anchor: end; } .chart text[text-anchor=start] { text-anchor: start; }",
        ".chart text.lab { font-weight: 600; font-size: 12px; } .chart text.c { font-size: 12px; font-weight: 600; }",
        ".strip { overflow: visible; }",
        f".chart text.halo {{ paint-order: stroke; stroke: {c('bg')}; stroke-width: 4px; stroke-linejoin: round; }}",
        f"line.grid, path.grid {{ stroke: {c('line')}; fill: none; }} .zone {{ fill: {c('zone')}; }}",
        f".zero {{ stroke: {c('fg')}; }} .mean {{ stroke: {c('axis')}; stroke-dasharray: 3 3; fill: none; }}",
        f".ring {{ fill: none; stroke: {c('fg')}; stroke-width: 1.3; }}",
        ".ivl { fill: none; stroke-width: 3; } .ivl.thin { stroke-width: 1.5; opacity: .75; }",
        ".joint { stroke-width: 1.2; } .mk { stroke-width: 2; } .ln { fill: none; stroke-width: 2; }",
        f".hol {{ fill: {c('bg')}; stroke-width: 1.8; }} .band {{ opacity: .16; }}",
        f".one {{ stroke: {c('bg')}; stroke-width: 1; opacity: .85; }}",
    ]
    for css, role in INKS.items():
        paint = c(role)
        stroked = ", ".join(f".{css} .{part}" for part in ("ivl", "joint", "mk", "ln", "hol"))
        filled = ", ".join(f".{css} .{part}" for part in ("mk", "band", "one"))
        rules.append(f"{stroked} {{ stroke: {paint}; }} {filled} {{ fill: {paint}; }}")
        rules.append(f".chart .{css} text.c {{ fill: {paint}; }}")
    rules.append(f".open .mk {{ fill: {c('bg')}; }}")
    return "\n".join(rules)


def standalone(figure: Strips | Sequence[Panel], title: str, caption: str = "", *, columns: int = 3) -> str:
    """Put a figure into one SVG file of its own, with its style inside.

    Parameters
    ----------
    figure : Strips or sequence of Panel
        What `forest`, `seeds`, `groups` or `continuity` gave.
    title, caption : str
        One line each, above and below.
    columns : int
        Panels side by side.

    Returns
    -------
    str
        A complete SVG document, readable on light and dark pages.

    Examples
    --------
    >>> standalone([], "nothing").startswith("<svg xmlns=")
    True
    """
    body: list[str] = []
    if isinstance(figure, Strips):
        width, y = 720, 56
        for strip in figure.rows:
            words = strip.right + (f" ({strip.interval})" if strip.interval else "")
            if strip.row.get("verdict") and strip.row["seeds"] >= 3:
                words += f"  {strip.row['verdict']}"
            left = tag("title", strip.left) + _escaped(_short(strip.left, 56))
            body.append(f'<text x="0" y="{y + 12}">{left}</text>')
            body.append(tag("text", words, x="100%", y=y + 12, text_anchor="end"))
            body.append(f'<svg y="{y + 18}" width="100%" height="30">{strip.svg}</svg>')
            y += 54
        body.append(f'<svg y="{y}" width="100%" height="36">{figure.axis}</svg>')
        y += 44
    else:
        columns = max(1, min(columns, len(figure)))
        width, y = max(320, columns * 350 - 30), 52
        for start in range(0, len(figure), columns):
            line = figure[start : start + columns]
            for i, panel in enumerate(line):
                name = tag("title", panel.name) + _escaped(_short(panel.name, 40))
                body.append(f'<text class="lab" x="{350 * i + 4}" y="{y}">{name}</text>')
                body.append(f'<svg x="{350 * i}" y="{y + 8}" width="{panel.width}" height="{panel.height}">{panel.svg}</svg>')
            y += max(p.height for p in line) + 32
    most = width // 7
    lines = _wrapped(caption, most)
    texts = [f'<text class="lab" x="0" y="20">{tag("title", title)}{_escaped(_short(title, most))}</text>']
    texts += [tag("text", line, class_="tick", x=0, y=y + 12 + 17 * i, text_anchor="start") for i, line in enumerate(lines)]
    height = y + 24 + 17 * len(lines)
    dark = "@media (prefers-color-scheme: dark) {\n" + _literal(DARK) + "\n}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width + 32}" height="{height + 20}">'
        f"<style>{_literal(LIGHT)}\n{dark}</style>"
        f'<rect class="page" width="100%" height="100%"/>'
        f'<svg class="chart" x="16" y="8" width="{width}" height="{height}">{"".join(texts)}{"".join(body)}</svg></svg>\n'
    )


def _literal(colors: Mapping[str, str]) -> str:
    return chart_css(colors.__getitem__) + f"\n.page {{ fill: {colors['bg']}; }}"


def _wrapped(text: str, most: int) -> list[str]:
    """Break a caption at words; SVG text does not break by itself."""
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + len(word) < most:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
