"""Charts in panels side by side: the groups of every arm."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from biaskit.telling.numbers import TYPOGRAPHIC
from biaskit.telling.svg import escaped, ink, short, tag, ticks

__all__ = ["MOST_ROWS", "Panel", "groups", "standing"]

Row = Mapping[str, Any]

MOST_ROWS = 40
"""More rows than this would not be read: the lowest are drawn, the table has all."""


@dataclass(frozen=True)
class Panel:
    """One chart of a figure: what it shows, its drawing and size in pixels, what its axis measures.

    `lowest` names the lowest group, `cut` says that a band goes on beyond the axis.
    """

    name: str
    svg: str
    width: int
    height: int
    ink: str = "a0"
    lowest: str = ""
    measure: str = ""
    cut: bool = False


def standing(rows: Iterable[Row]) -> tuple[int, float]:
    """Rank a row of a chart or table, lowest accuracy first: groups too small to tell after the others, empty ones
    last; of several arms the mean of their lowest.

    Examples
    --------
    >>> standing([{"arm": "a", "accuracy": 0.9, "note": ""}, {"arm": "a", "accuracy": 0.7, "note": ""}])
    (0, 0.7)
    >>> standing([{"arm": "a", "accuracy": None, "note": "insufficient (n=0)"}])
    (2, 0.0)
    """
    known = [r for r in rows if r["accuracy"] is not None]
    enough = [r for r in known if not r["note"]]
    lowest: dict[str, float] = {}
    for row in enough or known:
        lowest[row["arm"]] = min(row["accuracy"], lowest.get(row["arm"], 1.0))
    if not lowest:
        return 2, 0.0
    return (0 if enough else 1), sum(lowest.values()) / len(lowest)


def groups(
    rows: Sequence[Row],
    arms: Sequence[str],
    by: Sequence[str],
    overall: Mapping[str, float],
    *,
    lowest_first: bool = False,
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
    lowest_first : bool
        Order the rows by their lowest accuracy, averaged over the arms; else as given.

    Returns
    -------
    list of Panel
        Labels with two values of one attribute share a row (hollow, filled); other groups have one row
        each. Beyond `MOST_ROWS` rows the lowest are drawn.
    """
    spots = list(dict.fromkeys(tuple(str(r[b]) for b in by) for r in rows))
    paired = len(spots) == 2
    lanes: dict[tuple[str, ...], dict[str, list[Row]]] = {}
    for row in rows:
        lane = (str(row["label"]),) if paired else (str(row["label"]), *(str(row[b]) for b in by))
        lanes.setdefault(lane, {}).setdefault(row["arm"], []).append(row)
    order = list(lanes)
    if lowest_first or len(order) > MOST_ROWS:
        order = sorted(order, key=lambda lane: standing(r for own in lanes[lane].values() for r in own))[:MOST_ROWS]
    # A group too small to tell anything would stretch the axis down to 0 for all others.
    drawn = [r for lane in order for own in lanes[lane].values() for r in own if not r["note"]]
    ends = [r[k] for r in drawn for k in ("accuracy", "low")]
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
    step = 27 if paired else 18
    names = [", ".join(lane) for lane, _ in lanes]
    sizes = [" / ".join(TYPOGRAPHIC.count(r["n"]) for r in own) for _, own in lanes]
    # One panel alone has room for longer names.
    most = min(16 if count > 1 else 28, max(map(len, names), default=1))
    width = 320 + 7 * max(0, most - 16)
    left = 22 + 6.6 * most
    right = width - 16 - 6.2 * max(map(len, sizes), default=1)
    bottom = 30 + step * len(lanes)

    def x(value: float) -> float:
        return left + (right - left) * (value - low) / (1 - low)

    parts = [tag("text", "n", class_="tick", x=width - 4, y=24, text_anchor="end")]
    for t in ticks(low, 1.0, 3 if right - left < 150 else 4):
        parts.append(tag("path", class_="grid", d=f"M{x(t):.1f} 30V{bottom}"))
        parts.append(tag("text", f"{t * 100:g}" + (" %" if t == 1 else ""), class_="tick", x=x(t), y=bottom + 16))
    if overall is not None and overall >= low:
        parts.append(tag("path", class_="mean", d=f"M{x(overall):.1f} 28V{bottom}"))
        text = f"all {TYPOGRAPHIC.of(overall, '%')[0]}"
        parts.append(tag("text", text, class_="tick halo", x=min(x(overall), right - 20), y=24))
    known = [r for _, own in lanes for r in own if r["accuracy"] is not None and not r["note"]]
    worst = min(known, key=lambda r: r["accuracy"], default=None)
    lowest = ""
    for i, (_, own) in enumerate(lanes):
        middle = 30 + step * (i + 0.5)
        name = tag("title", names[i]) + escaped(short(names[i], most))
        parts.append(f'<text class="lab" x="4" y="{middle + 4:.1f}">{name}</text>')
        parts.append(tag("text", sizes[i], class_="tick", x=width - 4, y=middle + 4, text_anchor="end"))
        blank = [row for row in own if row["accuracy"] is None or row["note"]]
        for k, row in enumerate(own):
            y = middle + (11 * (k - 0.5) if paired and len(own) == 2 else 0)
            if row in blank:
                # Of two in one row the words stand once, between them; the sizes stand at the end of the row.
                both = len(blank) == 2 and paired
                words = "insufficient" if both else row["note"] or "no images"
                at = {"x": left + 4, "y": (middle if both else y) + 4}
                if not both or k == 0:
                    parts.append(tag("text", words, class_="tick mut", text_anchor="start", **at))
                continue
            parts.append(_dot(row, x, y, low, hollow=paired and k == 0, ring=row is worst))
            if row is worst:
                value, a, b = TYPOGRAPHIC.of(row["accuracy"], "%", low=row["low"], high=row["high"])
                where = names[i] if not paired else ", ".join(str(v) for v in _group(row))
                lowest = (
                    f"{where}, {value} %" + (f" ({a} to {b})" if a and b else "") + f", n {TYPOGRAPHIC.count(row['n'])}"
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
    parts = [tag("title", f"{', '.join(map(str, _group(row)))}: {value} %" + (f" ({a} to {b})" if a else ""))]
    if row["low"] is not None and row["high"] is not None:
        parts.append(tag("path", class_="ivl thin", d=f"M{x(max(row['low'], low)):.1f} {y:.1f}H{x(row['high']):.1f}"))
    parts.append(tag("circle", class_="hol" if hollow else "mk", cx=x(row["accuracy"]), cy=y, r=3.6))
    if ring:
        parts.append(tag("circle", class_="ring", cx=x(row["accuracy"]), cy=y, r=7))
    return f"<g>{''.join(parts)}</g>"
