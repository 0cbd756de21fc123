"""What stands on the page of a score, and the tables of its files: sentences, gaps, groups, labels, probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from biaskit.telling import gaps, methods, score, tables
from biaskit.telling.numbers import TYPOGRAPHIC
from biaskit.telling.svg import short
from biaskit.telling.tables import Cell, Head, Table, as_table, number, p_value

__all__ = ["page", "typeset"]

Row = Mapping[str, Any]

RATE = {"name": "rate", "unit": "%"}
POINTS = {"name": "difference", "unit": "points"}
PARITY = {
    "demographic_parity_difference": "demographic parity difference",
    "equalized_odds_difference": "equalized odds difference",
    "equal_opportunity_difference": "equal opportunity difference",
}
EXTREMES = {"worst_group_accuracy": "worst group", "max_min_gap": "best - worst group"}


def page(result: Row) -> dict[str, Any]:
    """Gather everything the template shows."""
    told = score.sentences(result, TYPOGRAPHIC)
    made = typeset(result)
    data = result["data"]
    groups = TYPOGRAPHIC.counted(len(result["groups"]), "group")
    rows = TYPOGRAPHIC.counted(data["rows"], "row")
    gap_figure = gaps.drawn(result)
    sections = {
        "verdict": "Verdict",
        "numbers": "Numbers",
        "attributes": "Attributes" if result["gaps"] else "",
        "groups": "Groups",
        "labels": "Labels" if result["labels"] else "",
        "parity": "Parity" if result["parity"] else "",
        "calibration": "Calibration" if result["calibration"] else "",
        "thresholds": "Thresholds" if result["calibration"] else "",
        "methods": "Methods",
        "provenance": "Provenance",
        "glossary": "Glossary",
    }
    return {
        "result": result,
        "title": f"{data['name']}: {groups}" if result["gaps"] else data["name"],
        "meta": " · ".join([rows, groups, result["created"][:10]]),
        "first": "verdict",
        "lead": told[:-1],
        "accuracy": told[-1],
        "told": list(result["notes"]),
        "methods_line": score.methods(result, TYPOGRAPHIC),
        "tables": made,
        "gaps": gap_figure if gap_figure.rows else None,
        "gaps_caption": gaps.CAPTION,
        "panels": score.group_panels(result),
        "groups_caption": score.GROUPS_CAPTION,
        "reliability": score.reliability_panels(result),
        "reliability_caption": score.RELIABILITY_CAPTION,
        "curves_panels": score.curve_panels(result),
        "curves_caption": score.CURVES_CAPTION,
        "facts": _facts(result),
        "sections": {id: name for id, name in sections.items() if name},
        "failures": {},
        "glossary": _glossary(result),
        "methods": score.paragraphs(result, TYPOGRAPHIC),
        "references": methods.references(result),
        "galleries": [],
        "pictures": [],
        "images": True,
    }


def typeset(result: Row) -> dict[str, Table]:
    """Every table of a score that has rows, by the name of its file."""
    # The tables of an audit say the same things; a score has no seeds.
    audit = {**result, "kind": "audit", "seeds": [0]}
    groups, values = tables.groups(audit), tables.attribute_values(audit)
    found = {
        "headline": _headline(result),
        "gaps": gaps.table(audit),
        "extremes": _extremes(result),
        "groups": replace(groups, caption="Accuracy per group in %, with its 95 % interval, lowest first; n rows"),
        "attribute_values": replace(
            values, caption="Accuracy per attribute value in %, with its 95 % interval; n rows"
        ),
        "labels": _labels(result),
        "parity": _parity(result),
        "calibration": _calibration(result),
        "operating_points": _points(result),
    }
    return {name: table for name, table in found.items() if table is not None and table.rows}


def _headline(result: Row) -> Table:
    rows = []
    for metric in result["metrics"]:
        row = next((one for one in result["headline"] if one["metric"] == metric["name"]), None)
        cells = [Cell(f"{metric['title']}, {metric['unit']}", metric["meaning"], term=metric["name"])]
        cells.append(number(metric, row))
        cells.append(number(metric, {"value": (row or {}).get("half_split"), "reason": " "}))
        cells.append(number(metric, {"value": (row or {}).get("noise"), "reason": " "}))
        where = (row or {}).get("group") or ""
        size = f"n {TYPOGRAPHIC.count(row['group_n'])}" if row and where and metric["name"] != "max_min_gap" else ""
        rows.append([*cells, Cell(where, size if where else " ")])
    heads = [
        Head("Measure", False),
        Head("Value", term="interval"),
        Head("Half-split", term="half"),
        Head("By chance alone", term="noise_extreme"),
        Head("Group", False, "group"),
    ]
    count = TYPOGRAPHIC.counted(result["data"]["rows"], "row")
    return Table("headline", as_table(len(rows), "measure"), f"Headline, with its 95 % interval; {count}", heads, rows)


def _extremes(result: Row) -> Table:
    rows = []
    for row in result["extremes"]:
        metric = {"name": row["metric"], "unit": "%" if row["metric"] == "worst_group_accuracy" else "points"}
        cells = [Cell(row["attribute"]), Cell(f"{EXTREMES[row['metric']]}, {metric['unit']}"), number(metric, row)]
        cells.append(number(metric, {"value": row["half_split"], "reason": " "}))
        cells.append(number(metric, {"value": row["noise"], "reason": " "}))
        rows.append([*cells, Cell(row["group"] or "none")])
    heads = [
        Head("Attribute", False, "attribute"),
        Head("Measure", False),
        Head("Value", term="interval"),
        Head("Half-split", term="half"),
        Head("By chance alone", term="noise_extreme"),
        Head("Group", False, "group"),
    ]
    caption = "Worst group and best minus worst over label x attribute, one attribute at a time"
    return Table("extremes", as_table(len(rows), "extreme"), caption, heads, rows)


def _labels(result: Row) -> Table:
    kept, note = _first(result["labels"], "labels")
    rows = []
    for row in kept:
        sides = f"{row['from']} minus {row['to']}" if row["from"] else ""
        cells = [Cell(row["attribute"]), Cell(row["label"]), Cell(sides, "" if sides else row["reason"] or " ")]
        cells.append(number(POINTS, row))
        rows.append([*cells, p_value(row["p"]), Cell(TYPOGRAPHIC.count(row["n"]))])
    heads = [
        Head("Attribute", False, "attribute"),
        Head("Label", False),
        Head("Between", False),
        Head("Gap, points", term="interval"),
        Head("p, Holm", term="p"),
        Head("n", term="n"),
    ]
    caption = "The gap of every attribute within each label; p after Holm's correction over the labels"
    return Table("labels", as_table(len(result["labels"]), "gap"), caption, heads, rows, note)


def _parity(result: Row) -> Table:
    rows = []
    for row in result["parity"]:
        cells = [Cell(row["attribute"]), Cell(PARITY[row["metric"]], term=row["metric"])]
        cells.append(number(POINTS, {**row, "reason": "no class is known in two groups"}))
        # Of thousands of classes the first; tables/parity.csv has all.
        undefined = f"unknown for {short(row['undefined'], 200)}" if row["undefined"] else ""
        rows.append([*cells, Cell(row["class"] or "none", undefined), Cell(TYPOGRAPHIC.count(row["n"]))])
    heads = [
        Head("Attribute", False, "attribute"),
        Head("Measure", False),
        Head("Difference, points", term="interval"),
        Head("Class", False),
        Head("n", term="n"),
    ]
    caption = "Largest difference between the groups of an attribute over all classes, with its 95 % interval"
    return Table("parity", as_table(len(rows), "difference"), caption, heads, rows)


def _calibration(result: Row) -> Table:
    kept, note = _first(result["calibration"], "calibration")
    rows = []
    for row in kept:
        cells = [Cell(row["event"]), Cell(row["attribute"]), Cell(row["value"])]
        if row["note"]:
            cells += [Cell("", row["note"]), Cell("", " "), Cell("", " "), Cell("", " ")]
        else:
            cells.append(number(POINTS, {"value": row["ece"], "low": row["low"], "high": row["high"]}))
            cells += [number(metric, {"value": row[key]}) for metric, key in _STATED]
        rows.append([*cells, Cell(TYPOGRAPHIC.count(row["n"]))])
    heads = [
        Head("Probability that", False, "event"),
        Head("Attribute", False, "attribute"),
        Head("Value", False),
        Head("Calibration error, points", term="ece"),
        Head("By chance alone, points", term="ece_noise"),
        Head("Stated, %"),
        Head("Seen, %"),
        Head("n", term="n"),
    ]
    caption = "Expected calibration error per group, with its 95 % interval"
    return Table("calibration", as_table(len(result["calibration"]), "group"), caption, heads, rows, note)


_STATED = ((POINTS, "noise"), (RATE, "probability"), (RATE, "rate"))
_POINTS = ("true_positive_rate", "false_positive_rate", "precision", "selection_rate")


def _points(result: Row) -> Table:
    kept, note = _first(result["operating_points"], "operating_points")
    rows = []
    for row in kept:
        cells = [Cell(row["event"]), Cell(row["attribute"]), Cell(row["value"]), Cell(f"{row['threshold']:g}")]
        for name in _POINTS:
            ends = {"value": row[name], "low": row[f"{name}_low"], "high": row[f"{name}_high"]}
            cells.append(number(RATE, {**ends, "reason": "no such rows"}))
        rows.append([*cells, Cell(TYPOGRAPHIC.count(row["n"]))])
    heads = [
        Head("Probability that", False, "event"),
        Head("Attribute", False, "attribute"),
        Head("Value", False),
        Head("Threshold"),
        *(Head(f"{name.replace('_', ' ').capitalize()}, %", term=name) for name in _POINTS),
        Head("n", term="n"),
    ]
    caption = "What is selected at each threshold, with 95 % intervals"
    count = len(result["operating_points"])
    return Table("operating-points", as_table(count, "operating point"), caption, heads, rows, note)


def _first(rows: Sequence[Row], name: str) -> tuple[Sequence[Row], str]:
    """Keep a table readable, and say so where that leaves rows out."""
    if len(rows) <= tables.MOST:
        return rows, ""
    count = TYPOGRAPHIC.count(len(rows))
    return rows[: tables.MOST], f"The first {tables.MOST} of {count} rows; tables/{name}.csv has all."


def _facts(result: Row) -> list[tuple[str, str]]:
    """List what somebody else needs to get the same numbers."""
    data, options = result["data"], result["options"]

    def values(names: Sequence[str]) -> str:
        return f"{len(names)}: {', '.join(names[:12])}" + (", …" if len(names) > 12 else "")

    chosen = options["probabilities"]
    stated = ", ".join(f"{key}: {one}" for key, one in chosen.items()) if isinstance(chosen, Mapping) else chosen
    return [
        ("Rows", TYPOGRAPHIC.count(data["rows"])),
        ("Columns", f"label {options['label']}, prediction {options['prediction']}"),
        ("Labels", values(data["label"])),
        *((f"Attribute {name}", values(own)) for name, own in data["attributes"].items()),
        *([("Probabilities", stated)] if stated else []),
        ("Run", f"{result['created']}, {TYPOGRAPHIC.seconds(result['seconds'])}"),
        ("Fingerprint of the counts", data["fingerprint"]),
        ("Versions", ", ".join(f"{name} {version}" for name, version in result["versions"].items())),
        ("Schema", str(result["schema_version"])),
    ]


def _glossary(result: Row) -> list[tuple[str, str, str]]:
    """Explain the words of the page: id, name, meaning."""
    found = {
        "attribute": ("attribute", "A property that should not decide whether an answer is right."),
        "fingerprint": ("fingerprint", "A hash over all counts. The same fingerprint means the same numbers."),
        "gap_of": (
            "gap",
            "Accuracy on one value of an attribute minus accuracy on another, both at the same mix of labels; of more"
            " than two values the highest minus the lowest. Nearer to 0 is better. In files: gaps.",
        ),
        "group": (
            "group",
            "All rows with one label and one value of each attribute. A group too small to say anything reads"
            " “insufficient (n=7)”; none is dropped.",
        ),
        "group_accuracy": ("group accuracy", "The share of right answers among the rows of a group."),
        "half": (
            "half-split",
            "The worst group is found in one half of its rows and read in the other: a minimum that was picked by"
            " looking is low by chance alone, this one is not.",
        ),
        "interval": (
            "interval",
            "A range from a method that covers the true value in 95 of 100 repetitions. The model stays the same, the"
            " rows are drawn anew.",
        ),
        "n": ("n", "How many rows a number rests on."),
        "noise": (
            "noise floor",
            "The gap to expect when the attribute plays no part: the mean absolute gap after its values are shuffled"
            " within each label.",
        ),
        "noise_extreme": (
            "by chance alone",
            "What the worst group, or best minus worst, would read if every group had the accuracy of all rows.",
        ),
        "p": (
            "p",
            "The share of shuffles within labels that show a gap at least as large. p, Holm: the same after correction"
            " for all that was asked together, so that at most one report in twenty has any false one.",
        ),
    }
    if result["parity"]:
        found |= {
            "demographic_parity_difference": (
                PARITY["demographic_parity_difference"],
                "Largest difference between groups in how often a class is predicted, each class against the rest.",
            ),
            "equalized_odds_difference": (
                PARITY["equalized_odds_difference"],
                "Largest difference between groups in true or false positive rate, each class against the rest.",
            ),
            "equal_opportunity_difference": (
                PARITY["equal_opportunity_difference"],
                "Largest difference between groups in how often a class is recognized.",
            ),
        }
    if result["calibration"]:
        found |= {
            "event": (
                "event",
                "What a probability is of: that the label is a class, or that the prediction is right.",
            ),
            "ece": (
                "calibration error",
                "How far the stated probability lies from how often the event happened, bin by bin, weighted by the"
                " rows of the bin. Lower is better. In files: ece.",
            ),
            "ece_noise": (
                "calibration error by chance",
                "What a perfectly calibrated model would show on as many rows: small groups look worse than they are.",
            ),
            "true_positive_rate": ("true positive rate", "Of the rows where the event happened, the share selected."),
            "false_positive_rate": (
                "false positive rate",
                "Of the rows where the event did not happen, the share selected.",
            ),
            "precision": ("precision", "Of the rows selected, the share where the event happened."),
            "selection_rate": ("selection rate", "The share of rows at or above the threshold."),
        }
    for metric in result["metrics"]:
        meaning = metric["meaning"]
        text = f"{meaning[:1].upper()}{meaning[1:].rstrip('.')}. In files: {metric['name']}."
        found[metric["name"]] = (metric["title"], text)
    return sorted(((id, name, text) for id, (name, text) in found.items()), key=lambda entry: entry[1].lower())
