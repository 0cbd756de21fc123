"""The gap of every attribute: its words, its table, and how it lies around 0."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from biaskit.telling.numbers import TYPOGRAPHIC
from biaskit.telling.strips import Strips, forest
from biaskit.telling.tables import Cell, Head, Table, as_table, number, p_value
from biaskit.telling.words import words_of

__all__ = ["CAPTION", "between", "differs", "drawn", "table"]

Row = Mapping[str, Any]

CAPTION = (
    "Accuracy on one value minus accuracy on the other, at the same mix of labels. Upright bar: the gap. Line: 95 %"
    " interval. A gap can be larger than 0 by chance alone: noise floor and p stand in the table."
)


def between(row: Row) -> str:
    """Say what is subtracted from what.

    Examples
    --------
    >>> between({"from": "red", "to": "blue", "picked": True, "values": 4})
    'red minus blue, the highest and the lowest of 4'
    """
    if row["from"] == row["to"]:
        return f"{row['from']} alone"
    sides = f"{row['from']} minus {row['to']}"
    return f"{sides}, the highest and the lowest of {row['values']}" if row["picked"] else sides


def differs(result: Row, row: Row) -> str:
    """Read one gap: larger than chance or not; the deciding attribute, fixed before looking, by its own p."""
    p = row["p"] if row["attribute"] == result["reliance"]["attribute"] else row["p_holm"]
    if p is None:
        return ""
    return "larger than chance" if p <= result["alpha"] else "not larger than chance"


def table(result: Row) -> Table | None:
    """The gap of every attribute of every arm; None where the result has none."""
    found = result.get("gaps") or []
    metric = {"name": "gap", "unit": "points"}
    several = len(result["arms"]) > 1
    together = len({row["attribute"] for row in found}) > 1
    rows = []
    for row in found:
        count = TYPOGRAPHIC.count(row["n"]) if row["n"] else "0"
        line = [Cell(words_of(result, row["attribute"])), Cell(between(row)), number(metric, row)]
        line.append(number(metric, {"value": row["noise"], "reason": "none"}))
        line += [p_value(row["p"]), *([p_value(row["p_holm"])] if together else []), Cell(count)]
        rows.append(([Cell(row["arm"])] if several else []) + line)
    heads = [Head("Arm", False, "arm")] if several else []
    heads += [
        Head("Attribute", False, "attribute"),
        Head("Between", False, "gap_of"),
        Head("Gap, points", term="gap_of"),
        Head("Noise floor, points", term="noise"),
        Head("p", term="p"),
        *([Head("p, Holm", term="p")] if together else []),
        Head("n", term="n"),
    ]
    mean = ", mean over seeds" if len(result["seeds"]) > 1 else ""
    caption = f"The gap of every attribute{mean}, with its 95 % interval"
    return Table("gaps", as_table(len(rows), "gap"), caption, heads, rows) if rows else None


def drawn(result: Row) -> Strips:
    """Draw the gap of every attribute of one model, around 0; several arms have their forest of differences."""
    rows = result.get("gaps") or []
    if len(result["arms"]) > 1:
        return Strips([], "")
    metric = {"name": "gap", "unit": "points", "better": "zero"}
    plain = [
        {**row, "estimate": row["value"], "verdict": None, "against": "", "low_together": None, "high_together": None}
        for row in rows
    ]
    strips = forest(plain, metric)
    words = [f"{words_of(result, r['attribute'])}: {between(r)}" for r in rows if r["value"] is not None]
    return replace(strips, rows=[replace(one, left=text, row={}) for one, text in zip(strips.rows, words, strict=True)])
