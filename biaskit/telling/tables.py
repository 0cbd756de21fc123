"""The tables of the report: from rows of a result to cells of text, and the words of its glossary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from biaskit.stats import ENOUGH
from biaskit.telling.numbers import TYPOGRAPHIC, fraction, shown
from biaskit.telling.panels import standing
from biaskit.telling.svg import CLASSES
from biaskit.telling.words import picked

__all__ = [
    "Cell",
    "Head",
    "Table",
    "arms",
    "as_table",
    "attribute_values",
    "contingency",
    "continuity",
    "differences",
    "groups",
    "headline",
    "main_measures",
    "measures",
    "number",
    "p_value",
    "runs",
]

Row = Mapping[str, Any]
MOST = 500
"""Rows of a table in the page; the files beside it hold all."""


@dataclass(frozen=True)
class Cell:
    """A cell: what counts, and smaller beside it what belongs to it; without `text`, `detail` is the reason.

    `more` are further lines, each with the term it leads to; `term` leads from a row's head to the glossary.
    """

    text: str
    detail: str = ""
    css: str = ""
    more: Sequence[tuple[str, str]] = ()
    term: str = ""


@dataclass(frozen=True)
class Head:
    """A column head; `term` leads to the glossary."""

    text: str
    numeric: bool = True
    term: str = ""


@dataclass(frozen=True)
class Table:
    """A table of the page: the first cell of a row is its head."""

    id: str
    summary: str
    caption: str
    heads: list[Head]
    rows: list[list[Cell]] = field(default_factory=list)
    note: str = ""


def as_table(count: int, what: str) -> str:
    """What a folded table is called: ``All 3 rows as a table``."""
    return f"All {TYPOGRAPHIC.counted(count, what)} as a table" if count != 1 else f"The {what} as a table"


def number(metric: Row, row: Row | None, *, key: str = "value") -> Cell:
    """Write a value with its interval, or nothing with the reason."""
    if row is None:
        return Cell("", "not measured")
    value, low, high = shown(TYPOGRAPHIC, metric, row, key=key)
    if not value:
        return Cell("", row.get("reason") or row.get("note") or f"undefined (n={row.get('n', 0)})")
    return Cell(value, f"{low} to {high}" if low and high else "")


def _first(rows: list[Row], name: str) -> tuple[list[Row], str]:
    """Keep a table readable, and say so where that leaves rows out."""
    if len(rows) <= MOST:
        return rows, ""
    return rows[:MOST], f"The first {MOST} of {TYPOGRAPHIC.count(len(rows))} rows; tables/{name}.csv has all."


def _mean(result: Row) -> str:
    return ", mean over seeds" if len(result["seeds"]) > 1 else ""


def _unit(metric: Row) -> str:
    return f", {metric['unit']}" if metric["unit"] else ""


def measures(result: Row) -> Table:
    """Every measure of every arm."""
    found = {(r["metric"], r["arm"]): r for r in result["headline"]}
    rows = []
    for metric in result["metrics"]:
        cells = [Cell(metric["title"] + _unit(metric), metric["meaning"], term=metric["name"])]
        rows.append(cells + [number(metric, found.get((metric["name"], a["name"]))) for a in result["arms"]])
    heads = [Head("Measure", numeric=False), *(Head(a["name"]) for a in result["arms"])]
    per = "" if result["kind"] == "audit" else " per arm"
    caption = f"Every measure{per}, with its 95 % interval"
    return Table("measures", as_table(len(rows), "measure"), caption, heads, rows)


MAIN = ("flip_rate", "average_accuracy", "gap", "worst_group_accuracy", "nds")
"""Measures that have a column of their own."""


def main_measures(result: Row) -> list[Row]:
    """Choose the measures that get a column of their own."""
    present = {r["metric"] for r in result["headline"]} - ({"gap"} if picked(result) else set())
    return [m for m in result["metrics"] if (m["name"] in MAIN or m["verdict"]) and m["name"] in present]


def headline(result: Row) -> Table:
    """Lay out arms x measures with n and seeds, as a paper prints them."""
    found = {(r["metric"], r["arm"]): r for r in result["headline"]}
    chosen, rows = main_measures(result), []
    for arm in result["arms"]:
        own = [found.get((m["name"], arm["name"])) for m in chosen]
        n = max((r["n"] for r in own if r is not None), default=0)
        seeds = max((r["seeds"] for r in own if r is not None), default=len(result["seeds"]))
        line = [Cell(arm["name"]), *(number(m, r) for m, r in zip(chosen, own, strict=True))]
        rows.append([*line, Cell(TYPOGRAPHIC.count(n)), Cell(str(seeds))])
    heads = [Head("Model" if result["kind"] == "audit" else "Arm", False)]
    heads += [Head(m["title"] + _unit(m), term=m["name"]) for m in chosen]
    caption = f"Headline numbers{_mean(result)}, with 95 % intervals; n test images"
    return Table("headline", "", caption, [*heads, Head("n", term="n"), Head("Seeds", term="seed")], rows)


def differences(result: Row, *, counts: bool = False) -> Table:
    """Every difference of two arms, with what was decided on and what would settle it; `counts` adds n and seeds."""
    metrics = {m["name"]: m for m in result["metrics"]}
    kept, note = _first([r for r in result["differences"] if r["metric"] in metrics], "differences")
    rows = []
    for row in kept:
        metric = metrics[row["metric"]]
        ratio = ", ratio" if row.get("ratio") else _unit(metric).replace("%", "points")
        title = Cell(metric["title"] + ratio, term=metric["name"])
        cells = [title, Cell(f"{row['arm']} against {row['against']}")]
        cells.append(number(metric, row, key="estimate"))
        joint = {"estimate": 0.0, "low": row["low_together"], "high": row["high_together"]}
        _, low, high = shown(TYPOGRAPHIC, metric, joint, key="estimate")
        cells.append(Cell(f"{low} to {high}") if low and high else Cell("", "none" if row["verdict"] else ""))
        cells.append(p_value(row["p"]))
        cells.append(p_value(row["p_holm"]))
        least = row["detectable"]
        cells.append(
            Cell(TYPOGRAPHIC.about(least, metric["unit"]).removesuffix(" points")) if least is not None else Cell("")
        )
        cells.append(_needed(row))
        word = row["verdict"] and (row["verdict"] if row["seeds"] >= 3 else "no verdict")
        cells.append(Cell(word or "", row["reason"] or "", CLASSES.get(word or "", "open") if word else ""))
        cells += [Cell(TYPOGRAPHIC.count(row["n"] or 0)), Cell(str(row["seeds"]))] if counts else []
        rows.append(cells)
    heads = [
        Head("Measure", False),
        Head("Arms", False),
        Head("Difference", term="paired"),
        Head("Together", term="interval"),
        Head("p", term="p"),
        Head("p, Holm", term="p"),
        Head("Detectable", term="detectable"),
        Head("To settle", term="detectable"),
        Head("Verdict", False, "verdict"),
    ]
    heads += [Head("n", term="n"), Head("Seeds", term="seed")] if counts else []
    caption = (
        "Differences between arms with their own 95 % interval; together: the interval that holds for all"
        " verdicts at once, empty where no verdict was asked"
    )
    return Table("differences", as_table(len(result["differences"]), "difference"), caption, heads, rows, note)


def p_value(value: float | None) -> Cell:
    return Cell("") if value is None else Cell(TYPOGRAPHIC.p(value).removeprefix("p "))


def _needed(row: Row) -> Cell:
    """Say what would settle a difference that is open."""
    if row["verdict"] != "inconclusive":
        return Cell("")
    if row["seeds_needed"]:
        return Cell(TYPOGRAPHIC.counted(row["seeds_needed"], "seed"))
    if row["images_needed"]:
        return Cell(TYPOGRAPHIC.counted(row["images_needed"], "image"))
    return Cell("", "" if row["reason"] else "not within reach")


def groups(result: Row) -> Table:
    """Accuracy of every group, one column per arm; beyond `MOST` groups the lowest ones."""
    by = result["data"]["group_by"]
    cells: dict[tuple[Any, ...], dict[str, Row]] = {}
    for row in result["groups"]:
        cells.setdefault((row["label"], *(row[b] for b in by)), {})[row["arm"]] = row
    keys, note = list(cells), ""
    if result["kind"] == "audit" or len(keys) > MOST:
        keys = sorted(keys, key=lambda key: standing(cells[key].values()))[:MOST]
    if len(cells) > MOST:
        note = f"The {MOST} lowest of {TYPOGRAPHIC.count(len(cells))} groups; tables/groups.csv has all."
    rows = []
    for key in keys:
        n = next(iter(cells[key].values()))["n"]
        line = [*(Cell(str(v) or "(empty name)") for v in key), Cell(TYPOGRAPHIC.count(n))]
        rows.append(line + [_rate(cells[key].get(a["name"])) for a in result["arms"]])
    heads = [
        Head("Label", False),
        *(Head(b, False) for b in by),
        Head("n", term="n"),
        *(Head(a["name"], term="group_accuracy") for a in result["arms"]),
    ]
    order = ", lowest first" if result["kind"] == "audit" else ""
    caption = f"Accuracy per group in %{_mean(result)}, with its 95 % interval{order}; n test images"
    return Table("groups", as_table(len(cells), "group"), caption, heads, rows, note)


def _rate(row: Row | None) -> Cell:
    """Write an accuracy; a group too small to say anything says so before its interval."""
    if row is None:
        return Cell("", "not measured")
    if row["accuracy"] is None:
        return Cell("", row.get("note") or "no test images")
    value, low, high = TYPOGRAPHIC.of(row["accuracy"], "%", low=row["low"], high=row["high"])
    between = f"{low} to {high}" if low and high else ""
    return Cell("", f"{row['note']}, {between}") if row.get("note") else Cell(value, between)


def attribute_values(result: Row) -> Table:
    """Accuracy per value of every attribute, one column per arm."""
    cells: dict[tuple[str, str], dict[str, Row]] = {}
    for row in result["attribute_values"]:
        cells.setdefault((row["attribute"], row["value"]), {})[row["arm"]] = row
    rows = []
    for key, own in list(cells.items())[:MOST]:
        line = [*map(Cell, key), Cell(TYPOGRAPHIC.count(next(iter(own.values()))["n"]))]
        small = {"note": f"insufficient (n={line[-1].text})"} if next(iter(own.values()))["n"] < ENOUGH else {}
        rows.append(line + [_rate({**own[a["name"]], **small} if a["name"] in own else None) for a in result["arms"]])
    heads = [
        Head("Attribute", False),
        Head("Value", False),
        Head("n", term="n"),
        *(Head(a["name"], term="group_accuracy") for a in result["arms"]),
    ]
    caption = f"Accuracy per attribute value in %{_mean(result)}, with its 95 % interval; n test images"
    note = (
        ""
        if len(cells) <= MOST
        else f"The first {MOST} of {TYPOGRAPHIC.count(len(cells))} values; tables/attribute_values.csv has all."
    )
    return Table("values", "Accuracy per attribute value as a table", caption, heads, rows, note)


def runs(result: Row) -> Table:
    """Every run with its numbers and fingerprint."""
    named = [m for m in result["metrics"] if any(r.get(m["name"]) is not None for r in result["runs"])]
    kept, note = _first(result["runs"], "runs")
    rows = []
    for run in kept:
        cells = [Cell(run["arm"]), Cell(str(run["seed"]))]
        cells += [number(m, {"value": run.get(m["name"]), "note": "undefined"}) for m in named]
        cells.append(Cell(TYPOGRAPHIC.fixed(run["seconds"], 1)) if run["seconds"] is not None else Cell(""))
        cells += [Cell("stored" if run["stored"] else "new"), Cell(str(run["fingerprint"])[:12])]
        rows.append(cells)
    heads = [
        Head("Arm", False),
        Head("Seed", term="seed"),
        *(Head(m["title"] + _unit(m), term=m["name"]) for m in named),
    ]
    heads += [Head("Seconds", term="seconds"), Head("Run", False, "stored"), Head("Fingerprint", False, "fingerprint")]
    return Table("runs", as_table(len(result["runs"]), "run"), "Every run, seed by seed", heads, rows, note)


def continuity(result: Row) -> Table:
    """Distances per arm, perturbation and level."""
    nds, ds = {"name": "nds", "unit": ""}, {"name": "ds", "unit": ""}
    kept, note = _first(result["continuity"], "continuity")
    rows = []
    for row in kept:
        cells = [
            Cell(row["arm"]),
            Cell(str(row["perturbation"])),
            Cell(str(row["level"])),
            Cell(_amount(row["amount"])),
        ]
        for metric in (nds, ds):
            name = metric["name"]
            ends = {
                "value": row.get(name),
                "low": row.get(f"{name}_low"),
                "high": row.get(f"{name}_high"),
                "n": row["n"],
            }
            cells.append(number(metric, ends))
        cells.append(number({"name": "rate", "unit": "%"}, {"value": row.get("discontinuity_rate"), "n": row["n"]}))
        rows.append([*cells, Cell(TYPOGRAPHIC.count(row["n"]))])
    heads = [
        Head("Model" if result["kind"] == "audit" else "Arm", False),
        Head("Perturbation", False),
        Head("Level", term="level"),
        Head("Amount", term="level"),
        Head("nDS", term="nds"),
        Head("DS", term="ds"),
        Head("Discontinuity rate, %", term="discontinuity_rate"),
        Head("n", term="n"),
    ]
    over = f"{_mean(result)}, 95 % t interval over seeds" if _mean(result) else ""
    caption = f"Distances per perturbation and level{over}"
    return Table("continuity", as_table(len(result["continuity"]), "setting"), caption, heads, rows, note)


def _amount(value: Any) -> str:
    return (
        TYPOGRAPHIC.significant(value)
        if isinstance(value, float) and value
        else str(value if value is not None else "")
    )


def contingency(result: Row) -> Table:
    """How many images each group has, one column per split."""
    by = result["data"]["group_by"]
    splits = list(dict.fromkeys(r["split"] for r in result["data"]["contingency"]))
    cells: dict[tuple[Any, ...], dict[str, int]] = {}
    for row in result["data"]["contingency"]:
        cells.setdefault((row["label"], *(row[b] for b in by)), {})[row["split"]] = row["n"]
    rows = [
        [
            *(Cell(str(v) or "(empty name)") for v in key),
            *(Cell(TYPOGRAPHIC.count(own.get(s, 0))) for s in splits),
        ]
        for key, own in list(cells.items())[:MOST]
    ]
    note = (
        ""
        if len(cells) <= MOST
        else f"The first {MOST} of {TYPOGRAPHIC.count(len(cells))} groups; tables/data.csv has all."
    )
    heads = [Head("Label", False), *(Head(b, False) for b in by), *(Head(s, term="split") for s in splits)]
    return Table("data", "Images per group as a table", "Images per group and split, as built", heads, rows, note)


def _change(text: str) -> str:
    """Write a change ``key=value`` with a pixel distance as the fraction it is."""
    key, _, value = text.partition("=")
    try:
        return f"{key}={fraction(key, float(value)) or value}"
    except ValueError:
        return text


def arms(result: Row) -> Table:
    """What each arm is."""
    rows = []
    for arm in result["arms"]:
        cells = [
            Cell(arm["name"], arm["summary"]),
            Cell(arm["paper"] or "", "" if arm["paper"] else "none named"),
        ]
        cells += [Cell(arm["control"] or "", "" if arm["control"] else "none"), Cell(arm["model"])]
        cells.append(
            Cell(TYPOGRAPHIC.count(arm["parameters"])) if arm["parameters"] is not None else Cell("", "not known")
        )
        cells.append(Cell(str(arm["epochs"])) if arm["epochs"] is not None else Cell("", "not trained"))
        cells.append(Cell("; ".join(map(_change, arm["changes"])) or "none"))
        rows.append([*cells, Cell(str(arm["fingerprint"])[:12])])
    heads = [
        Head("Arm", False, "arm"),
        Head("Paper", False),
        Head("Control arm", False, "control"),
        Head("Model", False),
        Head("Parameters", term="parameters"),
        Head("Epochs", term="epochs"),
        Head("Changes", False),
        Head("Fingerprint", False, "fingerprint"),
    ]
    return Table("arms", as_table(len(rows), "arm"), "What each arm is", heads, rows)
