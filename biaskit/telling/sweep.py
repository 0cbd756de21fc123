"""A sweep: every measure against the parameter that was varied, as curves, a table and a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from biaskit.telling.curves import Axis, curves, cut_words
from biaskit.telling.numbers import ASCII, TYPOGRAPHIC, Numbers, fraction, in_words, shown
from biaskit.telling.panels import Panel
from biaskit.telling.tables import Cell, Head, Table, number

__all__ = ["caption", "listing", "panels", "parameter", "table"]

Row = Mapping[str, Any]

DRAWN = ("flip_rate", "average_accuracy", "gap", "worst_group_accuracy", "nds", "ds")
"""Measures that are drawn and printed, where a sweep has any of them; its table has all."""


def parameter(result: Row) -> str:
    """Name the parameter by its last word, which is enough beside the full key in the caption.

    Examples
    --------
    >>> parameter({"sweep": {"param": "stage.0.loss.alpha"}})
    'alpha'
    """
    parts = [part for part in str(result["sweep"]["param"]).split(".") if not part.isdecimal()]
    return parts[-2] if parts[-1] == "name" and len(parts) > 1 else parts[-1]


def _value(result: Row, value: Any, numbers: Numbers) -> str:
    """Write a value of the parameter: with six digits, or with all where another value has the same six."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value).lower() if isinstance(value, bool) else str(value)
    if pixels := fraction(result["sweep"]["param"], value):
        return pixels
    short = f"{value:g}"
    others = [v for v in result["sweep"]["values"] if isinstance(v, (int, float)) and v != value]
    return (repr(value) if any(f"{v:g}" == short for v in others) else short).replace("-", numbers.minus)


def _titles(result: Row, *, drawn: bool = False) -> dict[str, Row]:
    """List the measures of a sweep in order, each by its first row."""
    found: dict[str, Row] = {}
    for row in result["sweep"]["rows"]:
        found.setdefault(row["metric"], row)
    main = {name: row for name, row in found.items() if name in DRAWN}
    return main if drawn and main else found


def _metric(row: Row) -> dict[str, Any]:
    return {"name": row["metric"], "unit": row["unit"]}


def panels(result: Row) -> list[Panel]:
    """Draw every measure over the values, which stand side by side in the order they were given.

    Returns
    -------
    list of Panel
        One per measure, each with its own axis: their units differ.
    """
    sweep = result["sweep"]
    places = {_value(result, v, TYPOGRAPHIC): i for i, v in enumerate(sweep["values"])}
    found = []
    for name, first in _titles(result, drawn=True).items():
        unit = in_words(first["unit"])
        title = first["title"] + (f", {unit}" if unit and unit not in first["title"] else "")
        own = [
            {
                "panel": title,
                "arm": sweep["recipe"],
                "x": places[_value(result, r["value"], TYPOGRAPHIC)],
                "x_text": _value(result, r["value"], TYPOGRAPHIC),
                "y": r["estimate"],
                "low": r["low"],
                "high": r["high"],
            }
            for r in sweep["rows"]
            if r["metric"] == name and r["estimate"] is not None
        ]
        word = parameter(result)
        found += curves(own, [sweep["recipe"]], Axis(word, first["title"], first["unit"], texts=word))
    return found


def caption(result: Row) -> str:
    """Say what the curves are."""
    sweep = result["sweep"]
    values = ", ".join(_value(result, v, TYPOGRAPHIC) for v in sweep["values"])
    band = " Band: 95 % interval." if len(result["seeds"]) > 1 else ""
    band += cut_words(panels(result))
    rest = len(_titles(result)) - len(_titles(result, drawn=True))
    more = f" In the table: {ASCII.counted(rest, 'more measure')}." if rest else ""
    return (
        f"{sweep['recipe']} against {sweep['param']} = {values}; the values stand side by side,"
        f" whatever lies between them.{band} Every panel has an axis of its own.{more}"
    )


def table(result: Row) -> Table:
    """Every measure at every value."""
    sweep, titles = result["sweep"], _titles(result)
    cells = {(_value(result, r["value"], TYPOGRAPHIC), r["metric"]): r for r in sweep["rows"]}
    rows = []
    for value in dict.fromkeys(_value(result, v, TYPOGRAPHIC) for v in sweep["values"]):
        line = [Cell(value)]
        for name, first in titles.items():
            row = cells.get((value, name))
            line.append(number(_metric(first), None if row is None else {**row, "value": row["estimate"]}))
        rows.append(line)
    heads = [Head(parameter(result), numeric=False)]
    for name, first in titles.items():
        unit = in_words(first["unit"])
        heads.append(Head(first["title"] + (f", {unit}" if unit else ""), term=name))
    text = f"Every measure of {sweep['recipe']} per value of {sweep['param']}, with its 95 % interval"
    return Table("sweep", "The sweep as a table", text, heads, rows)


def listing(result: Row) -> tuple[list[str], list[tuple[str, str, dict[str, tuple[str, str]]]]]:
    """List the sweep for a terminal: the values as text, and per measure its label, direction and cells by value."""
    sweep = result["sweep"]
    better = {m["name"]: m["better"] for m in result["metrics"]}
    lines = []
    for name, first in _titles(result, drawn=True).items():
        cells = {}
        for row in (r for r in sweep["rows"] if r["metric"] == name):
            value, low, high = shown(ASCII, _metric(first), {**row, "value": row["estimate"]})
            between = f"[{low}, {high}]" if low and high else ""
            cells[_value(result, row["value"], ASCII)] = (value, between) if value else ("-", "undefined")
        unit = in_words(first["unit"])
        lines.append((first["title"] + (f", {unit}" if unit else ""), better.get(name, ""), cells))
    return [_value(result, v, ASCII) for v in sweep["values"]], lines
