"""Histograms of the units of a network: how a measure scatters over them, a step line per arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from biaskit.telling.analyses import label, measures, value
from biaskit.telling.numbers import TYPOGRAPHIC
from biaskit.telling.panels import Panel
from biaskit.telling.svg import escaped, short, tag, tick_label, ticks

__all__ = ["histograms", "histograms_caption"]

Row = Mapping[str, Any]

WIDTH, HEIGHT, LEFT, RIGHT, BOTTOM, LINE = 320, 210, 44, 310, 168, 15
MOST = 6
"""More lines than this in one panel would not be told apart."""


def histograms(result: Row, analysis: Row) -> list[Panel]:
    """Draw how the first measure of an analysis scatters over the units.

    Parameters
    ----------
    result, analysis : mapping
        The dictionary of ``result.json`` and one of its ``analyses``.

    Returns
    -------
    list of Panel
        One for each condition, with a line per arm; beyond six arms one for each condition and arm. All have the same
        axes. None where the analysis has no units.
    """
    rows = _rows(analysis)
    if not rows:
        return []
    arms = [a["name"] for a in result["arms"]]
    highest = max(max(_shares(row)) for row in rows)
    panels: dict[str, list[Row]] = {}
    for row in rows:
        parts = [value(c, row[c["name"]], TYPOGRAPHIC) for c in analysis["columns"] if c["key"] and c["name"] in row]
        parts += [row["arm"]] if len(arms) > MOST else []
        panels.setdefault(", ".join(parts), []).append(row)
    measure = next(c for c in measures(analysis) if c["name"] == rows[0]["measure"])
    return [_panel(name, own, arms, label(measure), highest) for name, own in panels.items()]


def histograms_caption(result: Row, analysis: Row) -> str:
    """Say what the lines are."""
    rows = _rows(analysis)
    if not rows:
        return ""
    over = ", all seeds together" if len(result["seeds"]) > 1 else ""
    return (
        f"Share of the units by their {rows[0]['measure'].replace('_', ' ')}{over}. Dashed: mean. "
        "Units without a value are left out; n counts the others."
    )


def _rows(analysis: Row) -> list[Row]:
    """Give the histograms of the first measure; a result of an older version has none."""
    rows = [row for row in analysis.get("histograms", []) if row["n"]]
    return [row for row in rows if row["measure"] == rows[0]["measure"]]


def _shares(row: Row) -> list[float]:
    return [count / row["n"] for count in row["counts"]]


def _panel(name: str, rows: Sequence[Row], arms: Sequence[str], measure: str, highest: float) -> Panel:
    """Draw one panel of step lines, with the arms named above them."""
    edges: list[float] = rows[0]["edges"]
    top = 8 + LINE * len(rows)

    def x(place: float) -> float:
        return LEFT + (RIGHT - LEFT) * (place - edges[0]) / (edges[-1] - edges[0])

    def y(share: float) -> float:
        return BOTTOM - (BOTTOM - top) * share / highest

    parts = []
    for t in ticks(0.0, highest, 4):
        parts.append(tag("path", class_="grid", d=f"M{LEFT} {y(t):.1f}H{RIGHT}"))
        text = f"{t * 100:g}" + (" %" if t == 0 else "")
        parts.append(tag("text", text, class_="tick", x=LEFT - 6, y=y(t) + 4, text_anchor="end"))
    marks = ticks(edges[0], edges[-1], 4)
    step = marks[1] - marks[0] if len(marks) > 1 else 1.0
    parts += [tag("text", tick_label(t, step), class_="tick", x=x(t), y=BOTTOM + 17) for t in marks]
    parts.append(tag("text", measure, class_="tick", x=(LEFT + RIGHT) / 2, y=BOTTOM + 35))
    for place, row in enumerate(rows):
        css = f"a{arms.index(row['arm']) + 1}" if len(arms) <= MOST else "a0"
        tops = [f"V{y(share):.1f}H{x(right):.1f}" for share, right in zip(_shares(row), edges[1:], strict=True)]
        words = f"{row['arm']}, n {TYPOGRAPHIC.count(row['n'])}"
        mean, named = x(row["mean"]), f'x="{RIGHT}" y="{LINE * (place + 1) - 3}" text-anchor="end"'
        parts.append(
            f'<g class="{css}">{tag("title", words)}<path class="ln" d="M{x(edges[0]):.1f} {y(0):.1f}{"".join(tops)}'
            f'V{y(0):.1f}"/><path class="ln" stroke-dasharray="3 3" d="M{mean:.1f} {top}V{BOTTOM}"/>'
            f'<text class="c" {named}>{escaped(short(words, 30))}</text></g>'
        )
    what = f"{name}: share of the units by {measure}, for {', '.join(row['arm'] for row in rows)}"
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    svg = f'<svg class="chart" {size} role="img">{tag("title", what)}{"".join(parts)}</svg>'
    return Panel(name, svg, WIDTH, HEIGHT, measure=measure)
