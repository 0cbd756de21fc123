"""What stands on the page of a report: everything the template shows, gathered from the result."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from biaskit.telling import analyses, examples, further, gaps, methods, notes, plots, sentences, sweep, tables
from biaskit.telling.facts import data_facts, facts
from biaskit.telling.gallery import Grid, Picture, grids, in_order, picture
from biaskit.telling.glossary import glossary
from biaskit.telling.numbers import TYPOGRAPHIC, fractions, shown
from biaskit.telling.words import BETTER, NONE, OPEN, SAME, WORSE

__all__ = ["page", "upper"]

Row = Mapping[str, Any]

SHOWN_PAIRS = 8
SHOWN_ROWS = 15
ANALYZERS = {
    "group_accuracy": "groups",
    "parity": "numbers",
    "counterfactual_flips": "twins",
    "continuity": "continuity",
}
UNITS = {"lower": "lower is better", "higher": "higher is better", "zero": "nearer to 0 is better"}


def page(result: Row) -> dict[str, Any]:
    """Gather everything the template shows."""
    names = [a["name"] for a in result["arms"]]
    told = sentences.verdict(result, TYPOGRAPHIC)
    data, audit = result["data"], result["kind"] == "audit"
    found = {
        "result": result,
        "title": f"{_subject(result)} on {data['name']}",
        "meta": _meta(result),
        "audit": audit,
        "lead": [_bound(text) for text in told[:-1]],
        "accuracy": _bound(told[-1]),
        "decided": sentences.decided_by(result),
        "pairs": _pairs(result),
        "shown_pairs": SHOWN_PAIRS,
        "classes": plots.CLASSES,
        "settle": [] if audit else notes.settle(result, TYPOGRAPHIC),
        "hint": _hint(result),
        "rests": notes.rests_on(result, TYPOGRAPHIC),
        "numbers_line": _numbers_line(result),
        "main": [{**m, "direction": _direction(m)} for m in tables.main_measures(result)],
        "arms": [_arm(result, i, a) for i, a in enumerate(result["arms"])],
        "measures": tables.measures(result),
        "gaps": [_bound(text) for text in sentences.gaps(result, TYPOGRAPHIC)],
        "gap_table": gaps.table(result),
        "gap_figure": gaps.drawn(result),
        "gap_caption": gaps.CAPTION,
        "group_table": tables.groups(result),
        "value_table": tables.attribute_values(result),
        "run_table": tables.runs(result),
        "curve_table": tables.continuity(result),
        "contingency": tables.contingency(result),
        "arm_table": None if audit else tables.arms(result),
        "cards": [
            (a["name"], json.dumps(fractions(a["card"]), indent=1, ensure_ascii=False))
            for a in result["arms"]
            if a["card"].get("stage") or not audit
        ],
        "sprite": _sprite(result),
        "sprite_caption": _sprite_caption(result["data"]),
        "images": result.get("images", True),
        "methods": [(heading, _bound(text)) for heading, text in methods.paragraphs(result, TYPOGRAPHIC)],
        "references": methods.references(result),
        "data_facts": data_facts(data),
        "facts": facts(result),
        "glossary": glossary(result),
    }
    more = further.sections(result)
    failures = _failures(result, {one["analyzer"]: one["id"] for one in more})
    found |= (
        _figures(result, names)
        | examples.twins(result)
        | examples.worst(result)
        | _known(result, names)
        | {
            "first": "verdict",
            "further": more,
            "failures": failures,
            "sections": _sections(result, failures, {one["id"]: one["name"] for one in more}),
        }
    )
    found |= {"galleries": _galleries(found)}
    return found | {"pictures": _pictures(found)}


def _sprite(result: Row) -> Picture | None:
    """Give the picture with one image of each group; None where there is none that a page may show."""
    sprite = result["sprite"]
    found = picture(sprite["image"], "groups", sprite["alt"]) if sprite else None
    return found if found and found.image else None


def _sprite_caption(data: Row) -> str:
    """Name the columns and rows of that picture."""

    def some(names: Sequence[str]) -> str:
        return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")

    columns = f"Columns, from the left: {some(data['label'])}"
    by = data["group_by"]
    if not by:
        return f"The first test images of each label. {columns}."
    values = [" ".join(one) for one in itertools.product(*(data["attributes"][name] for name in by))]
    rows = f"rows, from the top: {some(values)} ({' and '.join(by)})"
    gray = any(row["split"] == "test" and not row["n"] for row in data["contingency"])
    return f"One test image of each group. {columns}; {rows}.{' Gray: no test image.' if gray else ''}"


def _pictures(page: Row) -> list[Picture]:
    """List the pictures in the order in which they are given room: examples, one of each group, then analyzers."""
    shown = [*(page["worst"] or {"examples": []})["examples"], *page["examples"]]
    sprite = [page["sprite"]] if page["sprite"] else []
    return [*examples.pictures(shown), *sprite, *in_order([grid for grids in page["galleries"] for grid in grids])]


def _subject(result: Row) -> str:
    """Name what was compared, audited or swept."""
    names = [a["name"] for a in result["arms"]]
    if result["kind"] == "sweep":
        return f"{result['sweep']['recipe']}, {len(result['sweep']['values'])} values of {sweep.parameter(result)},"
    return sentences.listed(names) if len(names) <= 4 else f"{len(names)} arms"


def _known(result: Row, names: Sequence[str]) -> dict[str, Any]:
    """Give the notes and pictures of the analyzers with sections of their own, by section."""
    told: dict[str, list[tuple[bool, str]]] = {}
    pictures: dict[str, list[Any]] = {}
    for analysis in result.get("analyses", []):
        if analysis["analyzer"] in ANALYZERS:
            told.setdefault(ANALYZERS[analysis["analyzer"]], []).extend(analyses.noted(analysis, names))
    for analyzer, section in ANALYZERS.items():
        pictures.setdefault(section, []).extend(grids(result.get("gallery", []), names, analyzer))
    return {"section_notes": told, "section_gallery": pictures}


def _galleries(page: Row) -> list[list[Grid]]:
    """List every grid of pictures on the page."""
    own = [grids for grids in page["section_gallery"].values() if grids]
    return own + [one["gallery"] for one in page["further"] if one["gallery"]]


def _meta(result: Row) -> str:
    """Say how much evidence there is, under the title."""
    data, count = result["data"], len(result["seeds"])
    groups = len({(r["label"], *(r[b] for b in data["group_by"])) for r in result["groups"]})
    parts = [] if result["kind"] == "audit" else [f"{TYPOGRAPHIC.counted(count, 'seed')} per arm"]
    parts.append(TYPOGRAPHIC.counted(data["splits"].get("test", 0), "test image"))
    return " · ".join([*parts, TYPOGRAPHIC.counted(groups, "group"), result["created"][:10]])


def _numbers_line(result: Row) -> str:
    """Say what the numbers are means and intervals of."""
    count = len(result["seeds"])
    images = TYPOGRAPHIC.counted(result["data"]["splits"].get("test", 0), "test image")
    if result["kind"] == "audit":
        return f"One model, with its 95 % interval over {images}: this model, other images."
    if count == 1:
        return f"One draw, with its 95 % interval over {images}."
    return f"Mean over {count} seeds, with its 95 % interval over seeds and {images}."


def _sections(result: Row, failures: Mapping[str, list[str]], more: Mapping[str, str]) -> dict[str, str]:
    """Name the sections that have something to say, in reading order; a failed analyzer keeps its section."""
    every = {
        "verdict": True,
        "sweep": result["kind"] == "sweep",
        "numbers": True,
        "differences": len(result["arms"]) > 1,
        "groups": True,
        "seeds": result["kind"] != "audit",
        "worst": bool(result.get("worst")),
        "twins": bool(result["examples"]) or "twins" in failures,
        "continuity": bool(result["continuity"]) or "continuity" in failures,
        **dict.fromkeys(more, True),
        "failed": "failed" in failures,
        "data": True,
        "methods": True,
        "provenance": True,
        "glossary": True,
    }
    named = {"worst": "examples", **more}
    return {id: upper(named.get(id, id)) for id, wanted in every.items() if wanted}


def _failures(result: Row, own: Mapping[str, str]) -> dict[str, list[str]]:
    """Sort the reasons of failed analyzers into their sections; a reason that repeats is told once."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for row in result["failed"]:
        section = {**ANALYZERS, **own}.get(row["analyzer"], "failed")
        where = row["arm"] + (f" seed {row['seed']}" if row["seed"] is not None else "")
        found.setdefault((section, row["analyzer"], row["reason"]), []).append(where)
    told: dict[str, list[str]] = {}
    for (section, analyzer, reason), places in found.items():
        if result["kind"] == "audit":
            told.setdefault(section, []).append(f"{analyzer}: {reason}")
            continue
        more = f" and {len(places) - 3} more" if len(places) > 3 else ""
        told.setdefault(section, []).append(f"{analyzer}: {reason} ({', '.join(places[:3])}{more})")
    return told


def _direction(metric: Row) -> str:
    return ", ".join(p for p in (metric["unit"], UNITS.get(metric["better"], "")) if p)


def _pairs(result: Row) -> list[sentences.Pair]:
    """Order the pairs by how much they say: settled ones first where there are too many to read."""
    pairs = sentences.pairs(result, TYPOGRAPHIC) if len(result["arms"]) > 1 else []
    order = [BETTER, WORSE, SAME, OPEN, NONE]
    return sorted(pairs, key=lambda p: order.index(p.verdict)) if len(pairs) > SHOWN_PAIRS else pairs


def _hint(result: Row) -> dict[str, str] | None:
    hint = notes.hint(result)
    if hint is None:
        return None
    parts = [TYPOGRAPHIC.counted(hint["new_runs"], "new run")] if hint.get("new_runs") else []
    parts += [f"about {TYPOGRAPHIC.seconds(hint['seconds'])}"] if hint.get("seconds") else []
    return {"command": hint["command"], "cost": ", ".join(parts)}


def _arm(result: Row, index: int, arm: Row) -> dict[str, Any]:
    """Give one row of the headline table."""
    cells = {}
    for metric in tables.main_measures(result):
        row = next((r for r in result["headline"] if r["metric"] == metric["name"] and r["arm"] == arm["name"]), None)
        cell = tables.number(metric, row)
        cells[metric["name"]] = tables.Cell(
            cell.text, cell.detail, more=_more(metric, row) if row and cell.text else []
        )
    key = plots.key(index, len(result["arms"]))
    return {"name": arm["name"], "summary": arm["summary"], "key": key, "cells": cells}


def _more(metric: Row, row: Row) -> list[tuple[str, str]]:
    """Say what belongs to a number beside its interval: noise floor, worst group, direction of the flips.

    Returns
    -------
    list of (text, term)
        The term leads to the glossary.
    """

    def value(key: str) -> str:
        return shown(TYPOGRAPHIC, metric, {"value": row[key]})[0]

    def has(*keys: str) -> bool:
        return all(row.get(k) is not None for k in keys)

    lines = []
    if has("right_to_wrong", "wrong_to_right"):
        lines.append((f"{value('right_to_wrong')} right to wrong", "direction"))
        lines.append((f"{value('wrong_to_right')} wrong to right", "direction"))
    if has("untrained"):
        lines.append((f"untrained {value('untrained')}", "untrained"))
    if has("noise", "p"):
        lines.append((f"noise {value('noise')}, {TYPOGRAPHIC.p(row['p'])}", "noise"))
    if row.get("group"):
        times = f", lowest in {row['times']} of {row['seeds']}" if has("times") and row["seeds"] > 1 else ""
        lines.append((f"{row['group']}{times}, n {TYPOGRAPHIC.count(row['group_n'])}", "group"))
    if has("if_equal"):
        lines.append((f"if equal {value('if_equal')}", "equal"))
    if has("half_split"):
        lines.append((f"half-split {value('half_split')}", "equal"))
    return lines


def _figures(result: Row, names: Sequence[str]) -> dict[str, Any]:
    """Draw the charts, each with its caption."""
    panels = plots.group_panels(result)
    forests, left_out = [], 0
    for metric in tables.main_measures(result):
        rows = [r for r in result["differences"] if r["metric"] == metric["name"]]
        kept = plots.readable(rows, names, SHOWN_ROWS)
        left_out = max(left_out, len(rows) - len(kept))
        figure = plots.metric_forest(result, metric, kept)
        if figure.rows:
            forests.append({"metric": metric, "direction": UNITS.get(metric["better"], ""), "figure": figure})
    scatter = [
        {
            "metric": m,
            "direction": m["unit"],
            "figure": plots.seeds(result["runs"], result["headline"], m, names),
        }
        for m in tables.main_measures(result)
    ]
    return {
        "forests": forests,
        "left_out": f"In the table: {TYPOGRAPHIC.counted(left_out, 'more pair')} per measure." if left_out else "",
        "forest_caption": plots.forest_caption(result, result["differences"]),
        "differences": tables.differences(result),
        "panels": [{"panel": p, "key": plots.key(i, len(panels))} for i, p in enumerate(panels)],
        "spots": plots.spots(result),
        "groups_caption": plots.groups_caption(result),
        "scatter": [s for s in scatter if s["figure"].rows],
        "seeds_caption": plots.SEEDS_CAPTION,
        "continuity_panels": plots.continuity(result["continuity"], names),
        "curves_caption": plots.continuity_caption(result),
    } | (
        {
            "sweep_name": sweep.parameter(result),
            "sweep_panels": sweep.panels(result),
            "sweep_caption": sweep.caption(result),
            "sweep_table": sweep.table(result),
        }
        if result["kind"] == "sweep"
        else {}
    )


def _bound(text: str) -> str:
    """Keep a number and what belongs to it on one line."""
    return re.sub(r"(?<=\d) (?=%)|(?<=\bn) (?=\d)", "\N{NO-BREAK SPACE}", text)


def upper(text: str) -> str:
    return text if text[1:2].isupper() else text[:1].upper() + text[1:]  # nDS stays nDS
