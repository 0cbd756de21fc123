"""Charts of curves in panels side by side: a measure over the levels of something, a line with its band per arm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from biaskit.telling.numbers import RATES, TYPOGRAPHIC, in_words
from biaskit.telling.panels import Panel
from biaskit.telling.svg import MARKERS, escaped, short, tag, tick_label, ticks

__all__ = ["Axis", "continuity", "curves", "cut_words", "own_axes"]

Row = Mapping[str, Any]

FAR = 4
"""Panels whose largest values differ by more than this factor do not share an axis."""
FLAT = 0.1
"""No axis of nDS ends below this: smaller distances are to look as small as they are."""
WHOLE = ("%", "share")
"""Units of numbers that end at 0 and 1; points do not."""
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 320, 210, 44, 168, 14
CHARACTER, BOLD = 6.6, 7.4
"""Pixels that one character takes below the places and in the labels of the lines."""


@dataclass(frozen=True)
class Axis:
    """What the axes of a figure are.

    Attributes
    ----------
    x, y : str
        What is below and what is drawn.
    unit : str
        Of y; those of `RATES` are drawn in percent and end at 0 and 1.
    texts : str
        What stands below where every place has a text of its own (``x_text`` of the points).
    least : float
        No axis ends below this, and if it is not 0, every axis begins at 0.
    """

    x: str
    y: str
    unit: str = ""
    texts: str = ""
    least: float = 0.0


@dataclass(frozen=True)
class _Span:
    """The ends of an axis, and from a value to its pixel."""

    low: float
    high: float

    def __call__(self, value: float) -> float:
        inside = min(max(value, self.low), self.high)
        return BOTTOM - (BOTTOM - TOP) * (inside - self.low) / (self.high - self.low)


def continuity(rows: Sequence[Row], arms: Sequence[str]) -> list[Panel]:
    """Draw nDS over the levels of each perturbation, with its interval as a band.

    Parameters
    ----------
    rows : sequence of mapping
        ``result["continuity"]``.
    arms : sequence of str
        Names in order.

    Returns
    -------
    list of Panel
        See `curves`.
    """
    axis = Axis("level", "nDS", texts="amount", least=FLAT)
    return curves(_distances(rows), arms, axis)


def _distances(rows: Sequence[Row]) -> list[Row]:
    """Make points of the rows of ``result["continuity"]``."""
    return [
        {
            "panel": str(r["perturbation"]),
            "arm": r["arm"],
            "x": r["level"],
            "x_text": _text(r["amount"]),
            "y": r["nds"],
            "low": r.get("nds_low"),
            "high": r.get("nds_high"),
        }
        for r in rows
        if r.get("nds") is not None
    ]


def _text(value: Any) -> str:
    return "" if value is None else f"{value:.3g}" if isinstance(value, (int, float)) else str(value)


def curves(points: Sequence[Row], arms: Sequence[str], axis: Axis) -> list[Panel]:
    """Draw lines with their bands, a panel for each ``panel`` of the points.

    Parameters
    ----------
    points : sequence of mapping
        ``panel``, ``arm``, ``x`` (a number; places are evenly spaced in its order), ``y``, ``low`` and ``high`` (None
        where there is no interval), ``x_text``, what to write below in place of x, and ``chance``, what chance alone
        gives there, drawn dashed (the mean over the arms).
    arms : sequence of str
        Names in order; up to six share a panel, beyond that each arm has a panel of its own with one line per
        ``panel``.
    axis : Axis

    Returns
    -------
    list of Panel
        All with the same axes, unless `own_axes` says that one would hide another. A band that goes far beyond the
        lines, as that of two seeds may, is drawn to the edge.
    """
    if not points:
        return []
    names = list(dict.fromkeys(p["panel"] for p in points))
    cells: dict[tuple[str, str], list[Row]] = {}
    for point in points:
        cells.setdefault((point["panel"], point["arm"]), []).append(point)
    if len(arms) <= len(MARKERS):
        split = [(n, [(a, i, cells.get((n, a), [])) for i, a in enumerate(arms)]) for n in names]
    else:
        split = [(a, [(n, -1, cells.get((n, a), [])) for n in names]) for a in arms]
        split = [(a, series) for a, series in split if any(own for _, _, own in series)]
    own = own_axes(points, arms, axis)
    panels = []
    for name, every in split:
        series = [one for one in every if one[2]]
        drawn = [p for _, _, own_points in series for p in own_points] if own else points
        panels.append(_panel(name, series, axis, _span(drawn, axis)))
    return panels


def own_axes(points: Sequence[Row], arms: Sequence[str], axis: Axis | None = None) -> bool:
    """Say whether each panel has an axis of its own: on a common one the smallest would lie flat on the floor.

    Panels of arms keep a common axis, because arms are what they compare; so do rates, whose axis is known.

    Parameters
    ----------
    points : sequence of mapping
        As for `curves`; rows of ``result["continuity"]`` without `axis`.
    arms : sequence of str
    axis : Axis, optional
    """
    if axis is None:
        points, axis = _distances(points), Axis("level", "nDS", least=FLAT)
    tops: dict[str, float] = {}
    for point in points:
        top = max(_ends(point, axis), default=0.0)
        tops[point["panel"]] = max(abs(top), tops.get(point["panel"], axis.least))
    if len(arms) > len(MARKERS) or axis.unit in RATES or not tops:
        return False
    return max(tops.values()) > FAR * min(tops.values())


def _ends(point: Row, axis: Axis) -> list[float]:
    """Give the value of a point and the ends of its interval, within what the unit allows."""
    known = [float(point[k]) for k in ("y", "low", "high", "chance") if point.get(k) is not None]
    return [min(max(v, 0.0), 1.0) for v in known] if axis.unit in WHOLE else known


def _span(points: Sequence[Row], axis: Axis) -> _Span:
    """Choose the ends of an axis: 0 is on it unless all values are far from it.

    An interval may widen it to twice the range of the values, not more: two seeds give intervals of any width.
    """
    values = [float(p["y"]) for p in points]
    ends = [v for p in points for v in _ends(p, axis)]
    low, high = min(values), max(values)
    # Negative values pull the floor down; values that are all large lift it. What is never negative stays above 0,
    # whatever a t interval says of it.
    room = max(high - low, abs(high), 1e-9)
    top = max(min(max(ends), high + room), axis.least)
    if axis.unit in WHOLE and top > 0.9:
        top = 1.0
    floor = max(min(ends), low - room)
    if low >= 0 and axis.unit != "points":
        floor = max(floor, 0.0)
    if floor >= 0 and (axis.least or floor < 0.5 * top):
        floor = 0.0
    marks = ticks(floor, max(top, floor + 1e-9), 4)
    step = marks[1] - marks[0] if len(marks) > 1 else 0.0
    if floor and step:
        floor = math.floor(floor / step + 1e-9) * step
    return _Span(floor, top if top > floor else floor + 1.0)


def _panel(name: str, series: Sequence[tuple[str, int, Sequence[Row]]], axis: Axis, y: _Span) -> Panel:
    """Draw one panel of lines with direct labels."""
    texts = {(p["x"], p.get("x_text") or "") for _, _, own in series for p in own}
    places = sorted({x for x, _ in texts})
    # Several things in one panel, or the mean over all, have no amount in common.
    named = bool(axis.texts) and len(texts) == len(places) and all(text for _, text in texts)
    right = WIDTH - 10 - BOLD * min(12, max((len(s[0]) for s in series), default=1))

    def at(place: Any) -> float:
        return LEFT + (right - LEFT) * (places.index(place) + 0.5) / len(places)

    words = {x: short(text, 8) if named else short(_text(x), 8) for x, text in texts}
    parts = [*_grid(axis, y, right), *_below(axis.texts if named else axis.x, places, words, at, right)]
    labels = []
    chance = {
        x: [p["chance"] for _, _, own in series for p in own if p["x"] == x and p.get("chance") is not None]
        for x in places
    }
    known_chance = {x: sum(values) / len(values) for x, values in chance.items() if values}
    if len(known_chance) > 1:
        line = "L".join(f"{at(x):.1f} {y(value):.1f}" for x, value in known_chance.items())
        parts.append(f'<path class="mean" d="M{line}">{tag("title", "chance")}</path>')
    for label, index, points in series:
        own = sorted(points, key=lambda p: places.index(p["x"]))
        css = f"a{index + 1}"
        known = [p for p in own if p.get("low") is not None and p.get("high") is not None]
        if len(known) > 1:
            upper = [f"{at(p['x']):.1f} {y(p['high']):.1f}" for p in known]
            lower = [f"{at(p['x']):.1f} {y(p['low']):.1f}" for p in reversed(known)]
            parts.append(f'<g class="{css}"><path class="band" d="M{"L".join([*upper, *lower])}z"/></g>')
        line = "L".join(f"{at(p['x']):.1f} {y(p['y']):.1f}" for p in own)
        marks = []
        for p in own:
            told = TYPOGRAPHIC.of(p["y"], axis.unit)[0]
            title = tag("title", f"{label}, {words[p['x']]}: {told}")
            marks.append(
                f'<g transform="translate({at(p["x"]):.1f} {y(p["y"]):.1f})">{title}{MARKERS[max(index, 0)]}</g>'
            )
        parts.append(f'<g class="{css}"><path class="ln" d="M{line}"/>{"".join(marks)}</g>')
        labels.append((y(own[-1]["y"]), label, css))
    for place, label, css in _apart(labels):
        text = tag("title", label) + escaped(short(label, 12))
        parts.append(f'<g class="{css}"><text class="c" x="{right + 4:.1f}" y="{place + 4:.1f}">{text}</text></g>')
    what = f"{name}: {axis.y} over {len(places)} levels for {', '.join(s[0] for s in series)}"
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    svg = f'<svg class="chart" {size} role="img">{tag("title", what)}{"".join(parts)}</svg>'
    unit = in_words(axis.unit)
    cut = any(_cut(p, axis, y) for _, _, own in series for p in own)
    return Panel(name, svg, WIDTH, HEIGHT, measure=axis.y + (f", {unit}" if unit else ""), cut=cut)


def _cut(point: Row, axis: Axis, y: _Span) -> bool:
    """Say whether an interval goes on beyond the axis, other than into what cannot be."""
    ends = _ends(point, axis)
    return max(ends) > y.high + 1e-9 or (y.low != 0 and min(ends) < y.low - 1e-9)


def cut_words(panels: Sequence[Panel]) -> str:
    """Say that a band is cut, where one is."""
    return " A band that reaches the edge of its panel goes on beyond it." if any(p.cut for p in panels) else ""


def _grid(axis: Axis, y: _Span, right: float) -> list[str]:
    """Draw the lines across and their numbers."""
    scale = 100.0 if axis.unit in RATES else 1.0
    marks_at = ticks(y.low, y.high, 4)
    step = (marks_at[1] - marks_at[0]) * scale if len(marks_at) > 1 else 1.0
    parts = []
    for t in marks_at:
        parts.append(tag("path", class_="grid", d=f"M{LEFT} {y(t):.1f}H{right:.1f}"))
        parts.append(tag("text", tick_label(t * scale, step), class_="tick", x=LEFT - 6, y=y(t) + 4, text_anchor="end"))
    return parts


def _below(title: str, places: Sequence[Any], words: Mapping[Any, str], at: Any, right: float) -> list[str]:
    """Write what stands below the places, as many as there is room for, and what they are."""
    widest = CHARACTER * max(len(w) for w in words.values()) + 6
    every = max(1, math.ceil(widest * len(places) / (right - LEFT)))
    parts = [
        tag("text", words[place].replace("-", "\N{MINUS SIGN}"), class_="tick", x=at(place), y=BOTTOM + 17)
        for place in places[::every]
    ]
    return [*parts, tag("text", title, class_="tick", x=(LEFT + right) / 2, y=BOTTOM + 35)]


def _apart(labels: list[tuple[float, str, str]], least: float = 14) -> list[tuple[float, str, str]]:
    """Move labels apart until they no longer overlap: upward, and down again from the upper edge."""
    placed: list[tuple[float, str, str]] = []
    for y, text, css in sorted(labels, reverse=True):
        placed.append((min(y, placed[-1][0] - least) if placed else y, text, css))
    lowered: list[tuple[float, str, str]] = []
    for y, text, css in reversed(placed):
        floor = lowered[-1][0] + least if lowered else 6.0
        lowered.append((max(y, floor), text, css))
    return lowered
