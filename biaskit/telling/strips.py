"""Charts of rows over one common axis: the forest of differences, and every run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from biaskit.telling.numbers import TYPOGRAPHIC, shown
from biaskit.telling.svg import CLASSES, MARKERS, ink, tag, tick_label, ticks

__all__ = ["Strip", "Strips", "forest", "seeds"]

Row = Mapping[str, Any]


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
        parts.append(f'<rect class="zone" x="{left:.2f}%" y="0" width="{right - left:.2f}%" height="{height}"/>')
    parts += [_line(scale(t), height, "grid") for t in marks_at if t or not zero]
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


def _axis(scale: _Scale, marks_at: Sequence[float], unit: str, what: str, ends: tuple[str, str], signed: bool) -> str:
    factor = 100 if unit in ("%", "points") else 1
    step = (marks_at[1] - marks_at[0]) * factor if len(marks_at) > 1 else 1.0
    texts = [tag("text", tick_label(t * factor, step, signed), class_="tick", x=scale(t), y=13) for t in marks_at]
    texts.append(tag("text", ends[0], class_="tick", x="0", y=31, text_anchor="start"))
    texts.append(tag("text", what, class_="tick", x="50%", y=31))
    texts.append(tag("text", ends[1], class_="tick", x="100%", y=31, text_anchor="end"))
    return f'<svg class="strip chart" width="100%" height="36" aria-hidden="true">{"".join(texts)}</svg>'


def forest(rows: Sequence[Row], metric: Row, *, margin: float | None = None, mirrored: bool = False) -> Strips:
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
