"""What stands on the page of a study: claims first, then item by item what was published and what was measured."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from biaskit.telling import methods, study
from biaskit.telling.analyses import FAILED
from biaskit.telling.gallery import grids, in_order
from biaskit.telling.numbers import TYPOGRAPHIC, fractions, in_words
from biaskit.telling.tables import Cell, Head, Table, as_table

__all__ = ["item_tables", "page"]

Row = Mapping[str, Any]

SHOWN = 15
"""Rows of an item that are not folded."""
CLASSES = {"holds": "better", "does not hold": "worse", "inconclusive": "open"}
"""Colors that repeat what the words say."""


def page(result: Row) -> dict[str, Any]:
    """Gather everything the template shows."""
    items = [_item(result, item, i) for i, item in enumerate(result["items"])]
    more = f" and {len(result['data']) - 3} more" if len(result["data"]) > 3 else ""
    data = ", ".join(dict.fromkeys(d.get("label") or d["name"] for d in result["data"][:3])) + more
    seeds = f"{TYPOGRAPHIC.counted(len(result['seeds']), 'seed')} per arm"
    sections = {"claims": "Claims", "run": "What was run"} | {i["id"]: i["name"] for i in items}
    return {
        "result": result,
        "title": study.titled(result),
        "meta": f"preset {result['preset']} \u00b7 {seeds} \u00b7 {data} \u00b7 {result['created'][:10]}",
        "first": "claims",
        "summary": study.summary(result),
        "substitutes": _substitutes(result),
        "claims": _claims(result),
        "claim_classes": CLASSES,
        "items": items,
        "facts": study.ran(result, TYPOGRAPHIC),
        "told": list(result.get("notes", [])),
        "arms": _arms(result),
        "versions": ", ".join(f"{name} {version}" for name, version in result["versions"].items()),
        "fingerprints": ", ".join(dict.fromkeys(f"{d['name']} {d['fingerprint']}" for d in result["data"])),
        "cards": [
            (a["name"], json.dumps(fractions(a["card"]), indent=1, ensure_ascii=False))
            for a in result["arms"]
            if a.get("card")
        ],
        "failures": {},
        "sections": sections | {"methods": "Methods", "provenance": "Provenance", "glossary": "Glossary"},
        "glossary": _glossary(result),
        "galleries": [item["gallery"] for item in items if item["gallery"]],
        "pictures": in_order([grid for item in items for grid in item["gallery"]]),
        "images": result.get("images", True),
        "methods": methods.paragraphs(result, TYPOGRAPHIC),
        "references": methods.references(result),
        "examples": [],
    }


def _substitutes(result: Row) -> str:
    """Say which data stand for the paper's, and what that means for the findings."""
    stand = [f"{data} for {original}" for data, original in study.stand_ins(result)]
    if not stand:
        return ""
    return (
        f"Other data than the paper\u2019s: {', '.join(stand)}. A claim that holds on the substitute need not hold on"
        " the original, nor the other way round."
    )


def _claims(result: Row) -> list[dict[str, Any]]:
    """Give every claim with the number that decided it."""
    found = []
    for claim, item in study.claims(result):
        unit = study.unit_of(claim, item)
        words = in_words(unit, difference=True)
        shown = study.published(TYPOGRAPHIC, claim["published"], unit, signed=True)
        value, low, high = study.measured(TYPOGRAPHIC, claim, unit, key="estimate")
        found.append(
            {
                "claim": claim["claim"],
                "item": claim["item"],
                "where": study.expected(claim, TYPOGRAPHIC),
                "published": f"{shown} {words}".strip() if shown else "",
                "measured": f"{value} {words}".strip() if value else "",
                "interval": f"{low} to {high}" if low and high else "",
                "p": TYPOGRAPHIC.p(claim["p_holm"]) if claim.get("p_holm") is not None else "",
                "finding": claim["finding"],
                "full": study.finding(claim, item),
                "reason": claim.get("reason") or "",
                "n": TYPOGRAPHIC.count(claim["n"]) if claim.get("n") else "",
                "seeds": claim.get("seeds"),
            }
        )
    return found


def item_tables(result: Row) -> dict[str, Table]:
    """Lay out every item by its name: published beside measured, with n, seeds and intervals."""
    return {str(item["name"]): _table(item, i) for i, item in enumerate(result["items"])}


def _item(result: Row, item: Row, index: int) -> dict[str, Any]:
    """Give one item: its table, curves, pictures, notes and failures."""
    arms = [a["name"] for a in result["arms"]]
    table = _table(item, index)
    return {
        "id": f"item_{item['name'] if re.fullmatch(r'[A-Za-z0-9_]+', item['name']) else index}",
        "name": _short(item["name"]),
        "title": item["title"],
        "about": item["about"],
        "short": replace(table, id=f"rows-{index}", rows=table.rows[:SHOWN]) if table.rows else None,
        "full": replace(table, caption=f"{table.caption}; all rows") if len(table.rows) > SHOWN else None,
        "panels": study.panels(result, item),
        "caption": study.panels_caption(result, item),
        "gallery": grids(item["gallery"], arms, place=f"item{index + 1}-"),
        "broken": [text for text in item["notes"] if FAILED.search(text)],
        "notes": [text for text in item["notes"] if not FAILED.search(text)],
        "failed": study.reasons(item["failed"]),
    }


def _short(name: str) -> str:
    """Write the name of an item as people do.

    Examples
    --------
    >>> _short("table2"), _short("fig13")
    ('Table 2', 'Fig 13')
    """
    found = re.fullmatch(r"([a-z]+?)[_-]?(\d+.*)", name)
    text = f"{found[1]} {found[2]}" if found else name
    return text[:1].upper() + text[1:]


def _table(item: Row, index: int) -> Table:
    """Lay out what was published beside what was measured."""
    rows: list[list[Cell]] = []
    on = list(dict.fromkeys(str(r["published_on"]) for r in item["rows"] if r.get("published_on")))
    for row in item["rows"]:
        measure = study.row_label(row)
        shown = study.published(TYPOGRAPHIC, row["published"], row["unit"])
        value, low, high = study.measured(TYPOGRAPHIC, row, row["unit"])
        between = f"{low} to {high}" if low and high else ""
        rows.append(
            [
                Cell(measure, css="again" if rows and rows[-1][0].text == measure else ""),
                Cell(row["arm"]),
                Cell(shown, str(row["published_on"]) if len(on) > 1 else "") if shown else Cell("", "not published"),
                Cell(value, between) if value else Cell("", row.get("reason") or "undefined"),
                Cell(TYPOGRAPHIC.count(row["n"])) if row.get("n") is not None else Cell("", "not counted"),
                Cell(str(row["seeds"])) if row.get("seeds") is not None else Cell("", "none"),
            ]
        )
    heads = [
        Head("Measure", False),
        Head("Arm", False, "arm"),
        Head("Published", term="published"),
        Head("Measured", term="interval"),
        Head("n"),
        Head("Seeds", term="seed"),
    ]
    where = f" ({on[0]})" if len(on) == 1 else ""
    name, ends = _short(item["name"]), ", with its 95 % interval"
    data = f"{item['data']}{f', which stands for {one}' if (one := item['original']) and item['substitute'] else ''}"
    if not any(row["published"] is not None for row in item["rows"]):
        heads, rows = [*heads[:2], *heads[3:]], [[*row[:2], *row[3:]] for row in rows]
        return Table(f"item-{index}", as_table(len(rows), "row"), f"{name}: measured on {data}{ends}", heads, rows)
    caption = f"{name}: published{where} beside measured on {data}{ends}"
    return Table(f"item-{index}", as_table(len(rows), "row"), caption, heads, rows)


def _arms(result: Row) -> Table:
    """What each arm is."""
    rows = [
        [
            Cell(arm["name"], arm["summary"]),
            Cell(str(arm.get("data") or ""), "" if arm.get("data") else "not named"),
            Cell(arm.get("paper") or "", "" if arm.get("paper") else "none named"),
            Cell(str(arm.get("model") or ""), "" if arm.get("model") else "not named"),
            Cell(str(arm["epochs"])) if arm.get("epochs") is not None else Cell("", "not trained"),
        ]
        for arm in result["arms"]
    ]
    heads = [
        *(Head("Arm", False, "arm"), Head("Data", False), Head("In the paper", False), Head("Model", False)),
        Head("Epochs"),
    ]
    return Table("arms", as_table(len(rows), "arm"), "What each arm is", heads, rows)


def _glossary(result: Row) -> list[tuple[str, str, str]]:
    """Explain the words of the page: id, name, meaning."""
    found = [
        ("arm", "arm", "A recipe in a comparison. All arms share data, seeds and the rule that picks the checkpoint."),
        (
            "finding",
            "finding",
            "Holds: the measured difference lies on the side that the paper claims, by more than luck. Does not hold:"
            " it lies on the other side by more than luck, or is shown to be too small to matter. Inconclusive:"
            " neither could be shown.",
        ),
        (
            "interval",
            "interval",
            "A range from a method that covers the true value in 95 of 100 repetitions. Seeds and test images are drawn"
            " anew.",
        ),
        ("published", "published", "The number that the paper prints, with its digits, on the data it names."),
        ("seed", "seed", "One training: initial weights, order and perturbations are drawn anew."),
    ]
    if any(item["substitute"] for item in result["items"]):
        found.append(
            (
                "substitute",
                "substitute",
                "Data that stand for the paper\u2019s, which are too large, not free, or not there. Numbers are not"
                " comparable; the direction of a difference may be.",
            )
        )
    return sorted(found, key=lambda entry: entry[1])
