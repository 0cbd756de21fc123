"""What stands on the page of a data audit, and the tables and the figure of its files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from biaskit.telling import tables
from biaskit.telling.data_audit import named, sentences
from biaskit.telling.gallery import grids, in_order
from biaskit.telling.numbers import TYPOGRAPHIC
from biaskit.telling.strips import Strips, forest
from biaskit.telling.tables import Cell, Head, Table, as_table, number, p_value

__all__ = ["CAPTION", "drawn", "page", "typeset"]

Row = Mapping[str, Any]

V = {"name": "v", "unit": ""}
RATE = {"name": "rate", "unit": "%"}
POINTS = {"name": "lift", "unit": "points", "better": "zero"}

CAPTION = (
    "How much more often a classifier that sees the attribute and no pixel is right than one answer for all."
    " Upright bar: the difference. Line: 95 % interval."
)


def page(result: Row) -> dict[str, Any]:
    """Gather everything the template shows."""
    told = sentences(result, TYPOGRAPHIC)
    made, figure = typeset(result), drawn(result)
    splits = result["data"]["splits"]
    gallery = grids(result["gallery"], [])
    sections = {
        "verdict": "Verdict",
        "association": "Association" if "association" in made else "",
        "ceiling": "Ceiling" if "ceiling" in made else "",
        "duplicates": "Duplicates",
        "groups": "Groups",
        "provenance": "Provenance",
        "glossary": "Glossary",
    }
    images = " · ".join(f"{TYPOGRAPHIC.count(n)} {split}" for split, n in splits.items())
    return {
        "result": result,
        "title": f"{result['data']['name']}, before any training",
        "meta": f"{images} · {result['created'][:10]}",
        "first": "verdict",
        "lead": told[:1],
        "others": told[1:],
        "told": list(result["notes"]),
        "tables": made,
        "figure": figure if figure.rows else None,
        "figure_caption": CAPTION,
        "gallery_grids": gallery,
        "facts": _facts(result),
        "sections": {id: name for id, name in sections.items() if name},
        "failures": {},
        "glossary": _glossary(result),
        "galleries": [gallery] if gallery else [],
        "pictures": in_order(gallery),
        "images": result["images"],
    }


def typeset(result: Row) -> dict[str, Table]:
    """Every table of a data audit that has rows, by the name of its file."""
    found = {
        "association": _association(result),
        "ceiling": _ceiling(result),
        "duplicates": _duplicates(result),
        "groups": _groups(result),
        "labels": _labels(result),
    }
    return {name: table for name, table in found.items() if table.rows}


def drawn(result: Row) -> Strips:
    """Draw what every attribute alone gives, split by split."""
    rows = result["ceiling"]
    plain = [
        {"estimate": row["lift"], "low": row["lift_low"], "high": row["lift_high"], "verdict": None}
        | {"arm": row["attribute"], "against": "", "seeds": 1, "low_together": None, "high_together": None}
        for row in rows
    ]
    strips = forest(plain, POINTS)
    words = [f"{named(result, row['attribute'])}, on {row['split']}" for row in rows]
    return replace(strips, rows=[replace(one, left=text, row={}) for one, text in zip(strips.rows, words, strict=True)])


def _first(rows: Sequence[Row], name: str) -> tuple[Sequence[Row], str]:
    """Keep a table readable, and say so where that leaves rows out."""
    if len(rows) <= tables.MOST:
        return rows, ""
    count = TYPOGRAPHIC.count(len(rows))
    return rows[: tables.MOST], f"The first {tables.MOST} of {count} rows; tables/{name}.csv has all."


def _association(result: Row) -> Table:
    kept, note = _first(result["association"], "association")
    rows = []
    for row in kept:
        value = {"value": row["v"], "low": row["low"], "high": row["high"], "reason": row["reason"]}
        cells = [Cell(named(result, row["attribute"])), Cell(row["split"]), number(V, value)]
        cells.append(number(V, {"value": row["uncorrected"], "reason": " "}))
        rows.append([*cells, p_value(row["p"]), p_value(row["p_holm"]), Cell(TYPOGRAPHIC.count(row["n"]))])
    heads = [
        Head("Attribute", False, "attribute"),
        Head("Split", False),
        Head("Cram\u00e9r's V", term="v"),
        Head("Uncorrected", term="uncorrected"),
        Head("p", term="p"),
        Head("p, Holm", term="p"),
        Head("n", term="n"),
    ]
    caption = "How strongly each attribute goes with the label, bias-corrected, with its 95 % interval"
    return Table("association", as_table(len(result["association"]), "association"), caption, heads, rows, note)


def _ceiling(result: Row) -> Table:
    kept, note = _first(result["ceiling"], "ceiling")
    rows = []
    for row in kept:
        cells = [Cell(named(result, row["attribute"])), Cell(row["split"], f"fitted on {row['fitted']}")]
        cells.append(number(RATE, {"value": row["accuracy"], "low": row["low"], "high": row["high"]}))
        cells.append(number(RATE, {"value": row["commonest"]}))
        cells.append(number(POINTS, {"value": row["lift"], "low": row["lift_low"], "high": row["lift_high"]}))
        cells.append(p_value(row["p_holm"]))
        ends = {"low": row["balanced_low"], "high": row["balanced_high"]}
        cells.append(number(RATE, {"value": row["balanced_accuracy"], **ends}))
        cells.append(number(RATE, {"value": row["chance"]}))
        rows.append([*cells, Cell(TYPOGRAPHIC.count(row["unseen"])), Cell(TYPOGRAPHIC.count(row["n"]))])
    heads = [
        Head("Attribute", False, "attribute"),
        Head("Read on", False),
        Head("Right, %", term="ceiling"),
        Head("One answer, %", term="commonest"),
        Head("Difference, points", term="interval"),
        Head("p, Holm", term="p"),
        Head("Mean over labels, %", term="balanced"),
        Head("Chance, %", term="balanced"),
        Head("Never fitted", term="unseen"),
        Head("n", term="n"),
    ]
    caption = "A classifier that sees the attributes and no pixel, with 95 % intervals"
    return Table("ceiling", as_table(len(result["ceiling"]), "classifier"), caption, heads, rows, note)


def _duplicates(result: Row) -> Table:
    rows = []
    for row in result["duplicates"]:
        where = "itself" if row["split"] == row["other"] else row["other"]
        near = Cell(TYPOGRAPHIC.count(row["near"])) if row["near"] is not None else Cell("", "not looked for")
        cells = [Cell(row["split"]), Cell(where), Cell(TYPOGRAPHIC.count(row["exact"])), near]
        rows.append([*cells, Cell(TYPOGRAPHIC.count(row["other_label"])), Cell(TYPOGRAPHIC.count(row["n"]))])
    heads = [
        Head("Images of", False),
        Head("In", False),
        Head("Pixel for pixel", term="exact"),
        Head("Nearly", term="near"),
        Head("With another label"),
        Head("n", term="n"),
    ]
    return Table("duplicates", as_table(len(rows), "pair of splits"), "Images that are there twice", heads, rows)


def _groups(result: Row) -> Table:
    by, splits = ["label", *result["data"]["group_by"]], list(result["data"]["splits"])
    order = sorted(result["groups"], key=lambda row: not row["never_in_train"])
    kept, note = _first(order, "groups")
    rows = []
    for row in kept:
        line = [Cell(str(row[name]) or "(empty name)") for name in by]
        line += [Cell(TYPOGRAPHIC.count(row[split])) for split in splits]
        rows.append([*line, Cell("never" if row["never_in_train"] else "")])
    heads = [*(Head(name.capitalize() if name == "label" else name, False) for name in by)]
    heads += [*(Head(split) for split in splits), Head("Seen in train", False)]
    if not any(row["never_in_train"] for row in kept):
        heads, rows = heads[:-1], [row[:-1] for row in rows]
    caption = "Images per group and split; those that train has never seen first"
    return Table("groups", as_table(len(result["groups"]), "group"), caption, heads, rows, note)


def _labels(result: Row) -> Table:
    splits = list(result["data"]["splits"])
    kept, note = _first(result["labels"], "labels")
    rows = [[Cell(row["label"]), *(Cell(TYPOGRAPHIC.count(row[split])) for split in splits)] for row in kept]
    heads = [Head("Label", False), *(Head(split) for split in splits)]
    return Table("labels", as_table(len(result["labels"]), "label"), "Images per label and split", heads, rows, note)


def _facts(result: Row) -> list[tuple[str, str]]:
    """List what somebody else needs to get the same numbers."""
    data = result["data"]

    def values(names: Sequence[str]) -> str:
        return f"{len(names)}: {', '.join(names[:12])}" + (", …" if len(names) > 12 else "")

    return [
        ("Data", data["name"] + (f": {data['summary']}" if data["summary"] else "")),
        ("Images", " x ".join(str(one) for one in data["shape"])),
        ("Labels", values(data["label"])),
        *((f"Attribute {name}", values(own)) for name, own in data["attributes"].items()),
        ("Near", f"pixels within {result['near']:g}, root mean square in [0, 1]"),
        ("Run", f"{result['created']}, {TYPOGRAPHIC.seconds(result['seconds'])}"),
        ("Fingerprint of the data", data["fingerprint"]),
        ("Versions", ", ".join(f"{name} {version}" for name, version in result["versions"].items())),
        ("Schema", str(result["schema_version"])),
    ]


def _glossary(result: Row) -> list[tuple[str, str, str]]:
    """Explain the words of the page: id, name, meaning."""
    found = {
        "attribute": ("attribute", "A property of an image that should not decide its label."),
        "balanced": (
            "mean over labels",
            "The share that is right, label by label, averaged; every label counts the same, in fitting as well. By"
            " chance it is one over the number of labels.",
        ),
        "ceiling": (
            "ceiling",
            "What a classifier gets right that answers the commonest label of train among images with the same"
            " attribute values. No classifier that sees these alone does better on images of the same mix. On train"
            " itself it is fitted on one half and read on the other: what the shortcut is worth to whoever learns.",
        ),
        "commonest": ("one answer", "Always answering the commonest label of train."),
        "exact": ("pixel for pixel", "Images whose pixels are all equal."),
        "fingerprint": ("fingerprint", "A hash over pixels and table. The same fingerprint means the same data."),
        "group": ("group", "All images with one label and one value of each attribute."),
        "interval": ("interval", "A range from a method that covers the true value in 95 of 100 draws of the images."),
        "n": ("n", "How many images a number rests on."),
        "near": (
            "near-duplicate",
            f"Two images whose pixels, in [0, 1], differ by at most {result['near']:g}, root mean square. Within one"
            " split they are not looked for.",
        ),
        "p": (
            "p",
            "How often chance alone would show as much or more. p, Holm: the same after correction for all attributes"
            " of a split.",
        ),
        "uncorrected": ("uncorrected", "Cram\u00e9r's V as it is often given; above 0 by chance alone."),
        "unseen": (
            "never fitted",
            "Images with attribute values that train does not have; they get the commonest label.",
        ),
        "v": (
            "Cram\u00e9r's V",
            "How strongly two columns go together: 0 where one tells nothing of the other, 1 where it gives it away."
            " Bias-corrected: less what chance alone would show.",
        ),
    }
    return [(id, *words) for id, words in found.items()]
