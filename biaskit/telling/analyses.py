"""What further analyzers found, whichever they are: their lines, curves and notes, from declared columns alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from biaskit.telling.curves import Axis
from biaskit.telling.numbers import ASCII, RATES, TYPOGRAPHIC, Numbers, fraction, in_words
from biaskit.telling.words import listed

__all__ = [
    "FAILED",
    "PASSED",
    "KNOWN",
    "Line",
    "charted",
    "constants",
    "fair",
    "further",
    "keys",
    "label",
    "lines",
    "measures",
    "named",
    "noted",
    "overall",
    "points",
    "told",
    "value",
]

Row = Mapping[str, Any]

KNOWN = ("group_accuracy", "parity", "counterfactual_flips", "continuity")
"""Analyzers whose numbers have sections of their own."""
ALL = "all"
CHANCE = "chance"
"""The column of what chance alone gives."""
MOST_PANELS = 9
"""More panels than this would not be read; the table has all."""
FAILED = re.compile(r"\b((check )?fail(s|ed|ure)?)\b", re.IGNORECASE)
"""What a note says when a check did not pass."""
PASSED = re.compile(r"\bcheck passed\b", re.IGNORECASE)
"""What it says when one found nothing wrong."""


@dataclass(frozen=True)
class Line:
    """One measure under one condition: the row of every arm.

    Attributes
    ----------
    measure : mapping
        The declared column.
    keys : tuple of (column name, text)
        The condition: what differs between the lines.
    n : int or None
    rows : mapping of arm to row
    """

    measure: Row
    keys: tuple[tuple[str, str], ...]
    n: int | None
    rows: dict[str, Row] = field(default_factory=dict)


def further(result: Row) -> list[Row]:
    """List the analyses without a section of their own; a result of an older version has none."""
    return [one for one in result.get("analyses", []) if one["analyzer"] not in KNOWN and one["rows"]]


def named(text: str) -> str:
    """Write a name as words.

    Examples
    --------
    >>> named("adversarial_accuracy")
    'adversarial accuracy'
    """
    return {"srvr": "SRVR"}.get(text) or text.replace("_", " ")


def measures(analysis: Row) -> list[Row]:
    """List the columns that are measured: those with a better side first, as declared."""
    found = [c for c in analysis["columns"] if c["measure"]]
    return [c for c in found if c["better"]] + [c for c in found if not c["better"]]


def overall(result: Row, analysis: Row) -> list[Row]:
    """Keep the rows about all images; an analysis without any keeps all its rows."""
    names = {"label", *result["data"]["group_by"], *result["data"]["attributes"]}
    groups = [c["name"] for c in analysis["columns"] if c["key"] and c["name"] in names]
    return [r for r in analysis["rows"] if all(r[g] == ALL for g in groups)] or list(analysis["rows"])


def _distinct(rows: Iterable[Row], column: str) -> list[Any]:
    return list(dict.fromkeys(r[column] for r in rows))


def keys(analysis: Row, rows: Sequence[Row]) -> list[Row]:
    """List the key columns in which these rows differ."""
    return [c for c in analysis["columns"] if c["key"] and len(_distinct(rows, c["name"])) > 1]


def constants(analysis: Row, rows: Sequence[Row], numbers: Numbers = ASCII) -> str:
    """Say which key columns have one value in all of these rows, other than all images."""
    found = []
    for column in analysis["columns"]:
        values = _distinct(rows, column["name"]) if column["key"] else []
        if len(values) == 1 and values[0] not in (ALL, "", None):
            found.append(f"{named(column['name'])} {value(column, values[0], numbers)}")
    return ", ".join(found)


def value(column: Row, found: Any, numbers: Numbers = ASCII) -> str:
    """Write the value of a key column: a pixel distance as a fraction of 255, where it is one.

    Examples
    --------
    >>> value({"name": "epsilon", "unit": ""}, 8 / 255), value({"name": "amount", "unit": ""}, 0.25)
    ('8/255', '0.25')
    """
    if found is None:
        return ""
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        return str(found)
    if pixels := fraction(column["name"], found):
        return pixels
    if column["unit"] == "share":
        return f"{found * 100:.4g} %"
    return f"{found:.4g}".replace("-", numbers.minus)


def lines(result: Row, analysis: Row, numbers: Numbers = ASCII, *, short: bool = False) -> list[Line]:
    """Put the rows about all images together: a line per measure and condition, with a row for every arm.

    ``short`` leaves out the numeric keys that the others settle, such as the amount beside its level.
    """
    rows = overall(result, analysis)
    differing = keys(analysis, rows)
    differing = _needed(rows, differing) if short else differing
    found: dict[tuple[Any, ...], Line] = {}
    for measure in measures(analysis):
        for row in rows:
            where = tuple(row[c["name"]] for c in differing)
            texts = tuple((named(c["name"]), value(c, row[c["name"]], numbers)) for c in differing)
            line = found.setdefault((measure["name"], *where), Line(measure, texts, row.get("n")))
            line.rows.setdefault(row["arm"], row)
    return [one for one in found.values() if any(r.get(one.measure["name"]) is not None for r in one.rows.values())]


def fair(every: Sequence[Line], most: int) -> list[Line]:
    """Keep at most so many lines: of measures with a better side where there are any, of each alike, in their order.

    Examples
    --------
    >>> a, b, c = [Line({"name": name, "better": better}, (), 1) for name, better in (("a", "lower"), ("b", "lower"),
    ...                                                                               ("c", ""))]
    >>> [one.measure["name"] for one in fair([a, a, a, b, c], 3)]
    ['a', 'a', 'b']
    """
    if len(every) <= most:
        return list(every)
    sided = [one for one in every if one.measure["better"]]
    if sided and len(sided) < len(every):
        return fair(sided, most)
    names = list(dict.fromkeys(one.measure["name"] for one in every))[:most]
    left = {name: sum(one.measure["name"] == name for one in every) for name in names}
    share = dict.fromkeys(names, 0)
    for _ in range(most):
        open_ = [name for name in names if share[name] < left[name]]
        if open_:
            share[min(open_, key=lambda name: share[name])] += 1
    kept = []
    for one in every:
        if share.get(one.measure["name"], 0) > 0:
            share[one.measure["name"]] -= 1
            kept.append(one)
    return kept


def noted(analysis: Row, arms: Sequence[str]) -> list[tuple[bool, str]]:
    """List the notes, each once with the arms it speaks of, failed checks first.

    Returns
    -------
    list of (bool, str)
        Whether a check failed, and the words.
    """
    found: dict[str, list[str]] = {}
    for entry in analysis["notes"]:
        found.setdefault(entry["note"], []).append(entry["arm"])
    told = []
    for text, own in found.items():
        where = "" if set(own) >= set(arms) else f" ({listed(dict.fromkeys(own))})"
        whole = f"{text[:-1]}{where}." if where and text.endswith(".") else text + where
        told.append((bool(FAILED.search(text)), whole))
    return sorted(told, key=lambda entry: not entry[0])


def charted(result: Row, analysis: Row) -> tuple[Axis, list[dict[str, Any]], int] | None:
    """Choose what to draw: the first measure with a better side over the numeric key with the most places.

    Returns
    -------
    tuple or None
        The axis, the points for `curves`, and how many panels are left out; None where no key has several places.
    """
    rows = overall(result, analysis)
    for measure in measures(analysis):
        known = [r for r in rows if r.get(measure["name"]) is not None]
        found = _best(analysis, known)
        if not found:
            continue
        x, rest = found
        drawn = points(known, measure, x, rest)
        names = list(dict.fromkeys(p["panel"] for p in drawn))
        kept = [p for p in drawn if p["panel"] in names[:MOST_PANELS]]
        title = named(x["name"])
        return Axis(title, named(measure["name"]), measure["unit"], texts=title), kept, len(names[MOST_PANELS:])
    return None


def _best(analysis: Row, rows: Sequence[Row]) -> tuple[Row, list[Row]] | None:
    """Choose the key below and the keys that make the panels; of equals the later, which is the more concrete."""
    differing = keys(analysis, rows)
    best: tuple[float, Row, list[Row]] | None = None
    for x in (c for c in differing if _numeric(rows, c["name"])):
        rest = [c for c in differing if c is not x]
        for column in reversed(rest):
            fewer = [c for c in rest if c is not column]
            if _labels(rows, column, x, fewer) and _unique(rows, [x, *fewer]):
                rest = fewer
        panels = _places(rows, x, rest)
        places = sum(map(len, panels.values())) / len(panels)
        if max(map(len, panels.values())) > 1 and (best is None or places >= best[0]):
            best = places, x, rest
    return best[1:] if best else None


def _places(rows: Sequence[Row], x: Row, rest: Sequence[Row]) -> dict[tuple[Any, ...], set[Any]]:
    """List the places that each panel has."""
    found: dict[tuple[Any, ...], set[Any]] = {}
    for row in rows:
        if row[x["name"]] is not None:
            found.setdefault(tuple(row[c["name"]] for c in rest), set()).add(row[x["name"]])
    return found


def _labels(rows: Sequence[Row], column: Row, x: Row, others: Sequence[Row]) -> bool:
    """Say whether a key only labels x, as an amount does a level: x settles it, and it differs from place to place."""
    words = [c for c in others if not _numeric(rows, c["name"])]
    known = [r for r in rows if r[column["name"]] is not None]
    values = _places(known, column, [*words, x])
    groups, places = _places(known, column, words), _places(known, x, words)
    settled = all(len(own) == 1 for own in values.values())
    return settled and sum(map(len, groups.values())) > sum(map(len, places.values())) / 2


def _unique(rows: Sequence[Row], columns: Sequence[Row]) -> bool:
    """Say whether these keys tell the rows of an arm apart."""
    return len({(r["arm"], *(r[c["name"]] for c in columns)) for r in rows}) == len(rows)


def _numeric(rows: Sequence[Row], column: str) -> bool:
    values = [v for v in _distinct(rows, column) if v is not None]
    return bool(values) and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)


def points(rows: Sequence[Row], measure: Row, x: Row, rest: Sequence[Row]) -> list[dict[str, Any]]:
    """Make points of rows, for `curves`.

    What chance alone gives goes with every point of a table that has a column for it. A condition whose one place is
    0 is where nothing was done yet: every curve begins there. Another one with a single place is no curve and is left
    out.
    """
    name = measure["name"]
    panels: dict[str, list[dict[str, Any]]] = {}
    rest = _needed(rows, rest)
    for row in rows:
        if row[x["name"]] is None:
            continue
        words = [(c, value(c, row[c["name"]], TYPOGRAPHIC)) for c in rest]
        parts = [f"{named(c['name'])} {word}" if _numeric(rows, c["name"]) else word for c, word in words]
        panel = ", ".join(p for p in parts if p) or named(name)
        panels.setdefault(panel, []).append(
            {
                "panel": panel,
                "arm": row["arm"],
                "x": row[x["name"]],
                "x_text": value(x, row[x["name"]], TYPOGRAPHIC),
                "y": row[name],
                "low": row.get(f"{name}_low"),
                "high": row.get(f"{name}_high"),
                "chance": row.get(CHANCE) if name != CHANCE else None,
            }
        )
    starts = [own for own in panels.values() if {p["x"] for p in own} == {0}]
    first = starts[0] if len(starts) == 1 else []
    found = []
    for panel, own in panels.items():
        places = {p["x"] for p in own}
        if len(places) > 1:
            found += ([{**p, "panel": panel} for p in first] if 0 not in places else []) + own
    return found


def _needed(rows: Sequence[Row], columns: Sequence[Row]) -> list[Row]:
    """Leave out the numeric keys that the others settle: an attack that always takes 10 steps need not say so."""
    kept = list(columns)
    for column in [c for c in reversed(columns) if _numeric(rows, c["name"])]:
        fewer = [c for c in kept if c is not column]
        if len({tuple(r[c["name"]] for c in fewer) for r in rows}) == len(
            {tuple(r[c["name"]] for c in kept) for r in rows}
        ):
            kept = fewer
    return kept


def label(measure: Row) -> str:
    """Name a measure with its unit: ``adversarial accuracy, %``."""
    unit = in_words(measure["unit"])
    return named(measure["name"]) + (f", {unit}" if unit else "")


def told(numbers: Numbers, measure: Row, row: Row) -> tuple[str, str, str]:
    """Write one measure of a row: value, low end, high end; all empty where it is undefined."""
    name, unit = measure["name"], measure["unit"]
    if row.get(name) is None:
        return "", "", ""
    ends = {k: row.get(f"{name}_{k}") for k in ("low", "high")}
    if unit == "share":
        ends = {k: None if v is None else min(max(v, 0.0), 1.0) for k, v in ends.items()}
    if ends["low"] == ends["high"]:
        # Seeds that agree to the last digit make no interval: it would claim to know what it does not.
        ends = {"low": None, "high": None}
    if unit in RATES:
        return numbers.of(row[name], unit, low=ends["low"], high=ends["high"])
    return numbers.sized(row[name], low=ends["low"], high=ends["high"])
