"""The sections of a report about further analyzers: a short table, curves, notes, pictures, and all numbers folded."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from biaskit.telling import analyses
from biaskit.telling.curves import Axis, curves, cut_words
from biaskit.telling.gallery import grids
from biaskit.telling.histograms import histograms, histograms_caption
from biaskit.telling.numbers import TYPOGRAPHIC
from biaskit.telling.panels import Panel
from biaskit.telling.tables import MOST, Cell, Head, Table, as_table

__all__ = ["drawn", "drawn_caption", "full_table", "sections", "short_table", "terms"]

Row = Mapping[str, Any]

SHOWN = 15
"""Rows that are not folded."""
TITLES = {
    "robustness": "How much does it take to fool it?",
    "semantic_reliance": "Does it look at shapes, or at pixels?",
    "attribution": "Which pixels does it look at?",
    "neuron_consistency": "Do its units stand for one thing?",
    "dissection": "Do its units see concepts that have a name?",
    "top_images": "What excites its units?",
    "input_gradient": "How steep is it around an image?",
    "transfer": "Does what it learned serve other tasks?",
    "semantic_map": "Where does it stay sure when an object moves?",
    "semantic_regions": "How far may an object move before it is lost?",
    "word_correlation": "Do its features carry what the names of the labels mean?",
    "class_similarity": "Are its labels arranged as their meanings are?",
    "discover": "Where is it weak, without anyone naming the attribute?",
    "spurious_probe": "Which layers hold the attribute, and which the label?",
}
DIRECTIONS = {"lower": "lower is better", "higher": "higher is better", "zero": "nearer to 0 is better"}


def sections(result: Row) -> list[dict[str, Any]]:
    """Gather a section for each analyzer that the page has none for."""
    arms = [a["name"] for a in result["arms"]]
    found = []
    for i, analysis in enumerate(analyses.further(result)):
        name = analysis["analyzer"]
        panels, left = drawn(result, analysis)
        notes = analyses.noted(analysis, arms)
        found.append(
            {
                "id": f"analyzer_{name if re.fullmatch(r'[A-Za-z_]+', name) else i}",
                "analyzer": name,
                "name": analyses.named(name),
                "title": analysis.get("title") or TITLES.get(name, "What else was measured?"),
                "short": short_table(result, analysis, i),
                "full": full_table(result, analysis, i),
                "panels": panels,
                "caption": drawn_caption(result, analysis, panels, left),
                "histograms": histograms(result, analysis),
                "histograms_caption": histograms_caption(result, analysis),
                "broken": [text for failed, text in notes if failed],
                "notes": [text for failed, text in notes if not failed],
                "gallery": grids(result.get("gallery", []), arms, name),
            }
        )
    return found


def terms(result: Row) -> dict[str, tuple[str, str]]:
    """Explain every number of the further analyzers, and what tells their rows apart: id to name and meaning."""
    found = {}
    for i, analysis in enumerate(analyses.further(result)):
        for column in [c for c in analysis["columns"] if c["measure"] or c["key"] or _counts(c)]:
            if not column["meaning"].strip():
                continue
            meaning = column["meaning"].rstrip(".")
            better = f" {DIRECTIONS[column['better']].capitalize()}." if column["better"] else ""
            text = f"{meaning[:1].upper()}{meaning[1:]}. In files: {column['name']} of {analysis['analyzer']}.{better}"
            name = f"{analyses.named(column['name'])} ({analyses.named(analysis['analyzer'])})"
            found[_term(i, column)] = name, text
    return found


def _counts(column: Row) -> bool:
    """Say whether a column counts what the numbers of a row rest on."""
    name: str = column["name"]
    return name == "n" or name.startswith("n_")


def _n(index: int, analysis: Row) -> Head:
    """Head the column n with what this analyzer counts."""
    declared = next((c for c in analysis["columns"] if c["name"] == "n"), None)
    return Head("n", term=_term(index, declared) if declared else "n")


def _term(index: int, column: Row) -> str:
    return f"a{index}-" + re.sub(r"[^A-Za-z0-9_]", "-", column["name"])


def short_table(result: Row, analysis: Row, index: int) -> Table:
    """Lay out what was measured over all images: a row per measure and condition, a column per arm."""
    arms = [a["name"] for a in result["arms"]]
    every = analyses.lines(result, analysis, TYPOGRAPHIC, short=True)
    kept = analyses.fair(every, SHOWN)
    rows: list[list[Cell]] = []
    for line in kept:
        text = analyses.label(line.measure)
        again = bool(rows) and rows[-1][0].text == text
        better = "" if again else DIRECTIONS.get(line.measure["better"], "")
        head = Cell(text, better, css="again" if again else "", term=_term(index, line.measure))
        rows.append([head, *(Cell(text) for _, text in line.keys), _count(line.n)])
        rows[-1] += [_cell(line.measure, line.rows.get(arm)) for arm in arms]
    declared = {analyses.named(c["name"]): _term(index, c) for c in analysis["columns"] if c["key"]}
    keys = [Head(name, numeric=False, term=declared[name]) for name, _ in kept[0].keys] if kept else []
    heads = [Head("Measure", numeric=False), *keys, _n(index, analysis), *(Head(arm) for arm in arms)]
    held = analyses.constants(analysis, analyses.overall(result, analysis), TYPOGRAPHIC)
    over = ", mean over seeds with its 95 % t interval" if len(result["seeds"]) > 1 else ""
    caption = f"{_upper(analyses.named(analysis['analyzer']))} over all images{f', {held}' if held else ''}{over}"
    note = f"{len(kept)} of {len(every)} rows; the table below has all." if len(every) > len(kept) else ""
    return Table(f"short-{index}", "", caption, heads, rows, note)


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _cell(measure: Row, row: Row | None) -> Cell:
    if row is None:
        return Cell("", "not measured")
    value, low, high = analyses.told(TYPOGRAPHIC, measure, row)
    if not value:
        return Cell("", f"undefined (n={row.get('n') or 0})")
    return Cell(value, f"{low} to {high}" if low and high else "")


def _count(n: int | None) -> Cell:
    return Cell(TYPOGRAPHIC.count(n)) if n is not None else Cell("", "not counted")


def full_table(result: Row, analysis: Row, index: int) -> Table:
    """Lay out every row of an analyzer: of every arm, condition and group."""
    keys = [c for c in analysis["columns"] if c["key"]]
    measures = [c for c in analysis["columns"] if c["measure"]]
    counts = [c for c in analysis["columns"] if _counts(c) and c["name"] != "n"]
    rows = []
    for row in analysis["rows"][:MOST]:
        line = [Cell(row["arm"]), *(Cell(analyses.value(c, row[c["name"]], TYPOGRAPHIC)) for c in keys)]
        line.append(_count(row.get("n")))
        line += [_cell(c, row) for c in measures]
        rows.append(line + [_count(row.get(c["name"])) for c in counts])
    heads = [
        Head("Model" if result["kind"] == "audit" else "Arm", numeric=False),
        *(Head(analyses.named(c["name"]), numeric=False, term=_term(index, c)) for c in keys),
        _n(index, analysis),
        *(Head(analyses.label(c), term=_term(index, c)) for c in measures),
        *(Head(analyses.named(c["name"]), term=_term(index, c)) for c in counts),
    ]
    total = len(analysis["rows"])
    note = f"The first {MOST} of {TYPOGRAPHIC.count(total)} rows; result.json has all." if total > MOST else ""
    words = analyses.named(analysis["analyzer"])
    return Table(f"analysis-{index}", as_table(total, "row"), f"Every row of {words}", heads, rows, note)


def drawn(result: Row, analysis: Row) -> tuple[list[Panel], int]:
    """Draw the curves of an analyzer; none where no key has several places."""
    found = analyses.charted(result, analysis)
    if found is None:
        return [], 0
    axis, points, left = found
    return curves(points, [a["name"] for a in result["arms"]], axis), left


def drawn_caption(result: Row, analysis: Row, panels: Sequence[Panel], left: int) -> str:
    """Say what the curves are."""
    found = analyses.charted(result, analysis)
    if found is None or not panels:
        return ""
    axis: Axis = found[0]
    measure = next(c for c in analyses.measures(analysis) if analyses.named(c["name"]) == axis.y)
    better = f"; {DIRECTIONS[measure['better']]}" if measure["better"] else ""
    band = " Band: 95 % t interval over seeds." if len(result["seeds"]) > 1 else ""
    band += " Dashed: what chance alone gives." if any(p.get("chance") is not None for p in found[1]) else ""
    band += cut_words(panels)
    more = f" In the table: {TYPOGRAPHIC.counted(left, 'more panel')}." if left else ""
    return f"{_upper(analyses.label(measure))}, over {axis.x}, all images{better}.{band}{more}"
