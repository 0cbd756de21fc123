"""The charts: forest, every run, groups and continuity, drawn from rows of a result."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from biaskit._numbers import TYPOGRAPHIC, shown
from biaskit._svg import CLASSES, MARKERS, escaped, ink, short, tag, tick_label, ticks

__all__ = ["MOST_ROWS", "Panel", "Strip", "Strips", "continuity", "forest", "groups", "seeds"]

Row = Mapping[str, Any]

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


# ---------------------------------------------------------------------- forest, seeds


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


def _ground(scale: _Scale, marks_at: Sequence[float], height: int, margin: float | None, zero: bool) -> str:
    """Draw what all rows share: the margin band, the grid and the zero line."""
    parts = []
    if margin is not None:
        left, right = sorted(float(scale(v).rstrip("%")) for v in (-margin, margin))
        parts.append(
            f'<rect class="zone" x="{left:.2f}%" y="0" width="{right - left:.2f}%" height="{height}"/>'
        )
    parts += [_line(scale(t), height, "grid") for t in marks_at if t or not zero]
    if zero:
        parts.append(_line(scale(0.0), height, "zero"))
    return "".join(parts)


def _whisker(scale: _Scale, low: float, high: float, y: int, css: str, cap: int) -> str:
    a, b = scale(low), scale(high)
    ends = "".join(
        f'<line class="{css}" x1="{e}" x2="{e}" y1="{y - cap}" y2="{y + cap}"/>' for e in (a, b) if cap
    )
    return f'<line class="{css}" x1="{a}" x2="{b}" y1="{y}" y2="{y}"/>{ends}'


def _at(at: str, y: int, inner: str) -> str:
    """Place a drawing around a point whose x is in percent."""
    return f'<svg x="{at}" y="{y}" width="1" height="1" overflow="visible">{inner}</svg>'


def _axis(
    scale: _Scale, marks_at: Sequence[float], unit: str, what: str, ends: tuple[str, str], signed: bool
) -> str:
    factor = 100 if unit in ("%", "points") else 1
    step = (marks_at[1] - marks_at[0]) * factor if len(marks_at) > 1 else 1.0
    texts = [
        tag("text", tick_label(t * factor, step, signed), class_="tick", x=scale(t), y=13) for t in marks_at
    ]
    texts.append(tag("text", ends[0], class_="tick", x="0", y=31, text_anchor="start"))
    texts.append(tag("text", what, class_="tick", x="50%", y=31))
    texts.append(tag("text", ends[1], class_="tick", x="100%", y=31, text_anchor="end"))
    return f'<svg class="strip chart" width="100%" height="36" aria-hidden="true">{"".join(texts)}</svg>'


def forest(
    rows: Sequence[Row], metric: Row, *, margin: float | None = None, mirrored: bool = False
) -> Strips:
    """Draw the differences of one metric: dot, interval, and beyond it the interval that holds for all
    verdicts.

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
    marks_at = ticks(scale.low, scale.high)
    ground = _ground(scale, marks_at, 24, margin, zero=True)
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
        # The words tell the interval that decides, as the verdict's sentence does.
        joint = {"low": row.get("low_together"), "high": row.get("high_together")} if word else {}
        told = {**row, **joint} if joint.get("low") is not None and joint.get("high") is not None else row
        value, low, high = shown(TYPOGRAPHIC, metric, told, key="estimate")
        svg = f'<svg class="strip {css}" width="100%" height="24" aria-hidden="true">{"".join(parts)}</svg>'
        between = f"{row['arm']} against {row['against']}"
        strips.append(Strip(between, value, f"{low} to {high}" if low and high else "", css, svg, row))
    ends = _ends(metric["better"], mirrored)
    unit = "difference in points" if metric["unit"] else "difference"
    return Strips(strips, _axis(scale, marks_at, metric["unit"], unit, ends, signed=True))


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
    marks_at = ticks(scale.low, scale.high)
    strips = []
    for index, arm in enumerate(arms):
        if not runs[arm]:
            continue
        css, parts = ink(index, len(arms)), [_ground(scale, marks_at, 30, None, zero=False)]
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
    return Strips(strips, _axis(scale, marks_at, metric["unit"], metric["unit"], ("", ""), signed=False))


# ----------------------------------------------------------------------------------------------------- groups


def groups(
    rows: Sequence[Row], arms: Sequence[str], by: Sequence[str], overall: Mapping[str, float]
) -> list[Panel]:
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
        Labels with two values of one attribute share a row (hollow, filled); other groups have one row
        each. Beyond `MOST_ROWS` rows the lowest on average over the arms are drawn.
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
        _dots(
            [(lane, lanes[lane].get(arm, [])) for lane in order],
            arm,
            i,
            len(arms),
            low,
            paired,
            overall.get(arm),
        )
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
    left = 22 + 6.6 * most
    right = width - 16 - 6.2 * max(map(len, sizes), default=1)
    bottom = 30 + step * len(lanes)

    def x(value: float) -> float:
        return left + (right - left) * (value - low) / (1 - low)

    parts = [tag("text", "n", class_="tick", x=width - 4, y=24, text_anchor="end")]
    for t in ticks(low, 1.0, 3 if right - left < 150 else 4):
        parts.append(tag("path", class_="grid", d=f"M{x(t):.1f} 30V{bottom}"))
        parts.append(
            tag("text", f"{t * 100:g}" + (" %" if t == 1 else ""), class_="tick", x=x(t), y=bottom + 16)
        )
    if overall is not None and overall >= low:
        parts.append(tag("path", class_="mean", d=f"M{x(overall):.1f} 28V{bottom}"))
        text = f"all {TYPOGRAPHIC.of(overall, '%')[0]}"
        parts.append(tag("text", text, class_="tick halo", x=min(x(overall), right - 20), y=24))
    known = [r for _, own in lanes for r in own if r["accuracy"] is not None and r["n"] >= 10]
    worst = min(known, key=lambda r: r["accuracy"], default=None)
    lowest = ""
    for i, (_, own) in enumerate(lanes):
        middle = 30 + step * (i + 0.5)
        name = tag("title", names[i]) + escaped(short(names[i], most))
        parts.append(f'<text class="lab" x="4" y="{middle + 4:.1f}">{name}</text>')
        parts.append(tag("text", sizes[i], class_="tick", x=width - 4, y=middle + 4, text_anchor="end"))
        for k, row in enumerate(own):
            y = middle + (11 * (k - 0.5) if paired and len(own) == 2 else 0)
            if row["accuracy"] is None:
                parts.append(
                    tag(
                        "text",
                        row["note"] or "no images",
                        class_="tick mut",
                        x=left + 4,
                        y=y + 4,
                        text_anchor="start",
                    )
                )
                continue
            parts.append(_dot(row, x, y, low, hollow=paired and k == 0, ring=row is worst))
            if row is worst:
                value, a, b = TYPOGRAPHIC.of(row["accuracy"], "%", low=row["low"], high=row["high"])
                where = names[i] if not paired else ", ".join(str(v) for v in _group(row))
                lowest = (
                    f"{where}, {value} %"
                    + (f" ({a} to {b})" if a and b else "")
                    + f", n {TYPOGRAPHIC.count(row['n'])}"
                )
    title = f"{arm}: accuracy per group with interval." + (f" Lowest: {lowest}." if lowest else "")
    height, css = bottom + 24, ink(index, count)
    svg = (
        f'<svg class="chart {css}" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        ' role="img">'
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
    parts = [
        tag(
            "title", f"{', '.join(map(str, _group(row)))}: {value} %" + (f" ({a} to {b})" if a else "") + note
        )
    ]
    if row["low"] is not None and row["high"] is not None:
        parts.append(
            tag("path", class_="ivl thin", d=f"M{x(max(row['low'], low)):.1f} {y:.1f}H{x(row['high']):.1f}")
        )
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
        Names in order; up to six share a panel per perturbation, beyond that each arm has a panel of its
        own with one line per perturbation.
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
            (
                p,
                [
                    (a, i, [r for r in rows if r["perturbation"] == p and r["arm"] == a])
                    for i, a in enumerate(arms)
                ],
            )
            for p in perturbations
        ]
    else:
        split = [
            (
                a,
                [
                    (p, -1, [r for r in rows if r["perturbation"] == p and r["arm"] == a])
                    for p in perturbations
                ],
            )
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

    marks_at = ticks(0.0, top, 4)
    parts = []
    for t in marks_at:
        parts.append(tag("path", class_="grid", d=f"M{left} {y(t):.1f}H{right:.1f}"))
        parts.append(
            tag(
                "text",
                tick_label(t, marks_at[1] - marks_at[0]),
                class_="tick",
                x=left - 6,
                y=y(t) + 4,
                text_anchor="end",
            )
        )
    for level in levels:
        amount = amounts[level]
        text = f"{amount:.4g}" if isinstance(amount, (int, float)) else short(str(amount), 8)
        parts.append(
            tag("text", text.replace("-", "\N{MINUS SIGN}"), class_="tick", x=x(level), y=bottom + 17)
        )
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
            shift = f"translate({x(r['level']):.1f} {y(r[metric]):.1f})"
            marks.append(f'<g transform="{shift}">{title}{MARKERS[max(index, 0)]}</g>')
        parts.append(f'<g class="{css}"><path class="ln" d="M{points}"/>{"".join(marks)}</g>')
        labels.append((y(own[-1][metric]), label, css))
    for place, label, css in _apart(labels):
        name_ = tag("title", label) + escaped(short(label, 12))
        parts.append(
            f'<g class="{css}"><text class="c" x="{right + 4:.1f}" y="{place + 4:.1f}">{name_}</text></g>'
        )
    title = tag("title", f"{name}: {metric} over {len(levels)} levels for {', '.join(s[0] for s in series)}")
    svg = (
        f'<svg class="chart" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        f' role="img">{title}'
    )
    return Panel(name, f"{svg}{''.join(parts)}</svg>", width, height)


def _apart(labels: list[tuple[float, str, str]], least: float = 14) -> list[tuple[float, str, str]]:
    """Move labels upward until they no longer overlap."""
    placed: list[tuple[float, str, str]] = []
    for y, text, css in sorted(labels, reverse=True):
        placed.append((min(y, placed[-1][0] - least) if placed else y, text, css))
    return placed
