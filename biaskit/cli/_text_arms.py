"""Tables with a column per arm: of the measures, of what further analyzers found, of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len

from biaskit.cli._lines import Line, line, pad, trimmed, wrapped
from biaskit.telling import analyses, sweep
from biaskit.telling.numbers import ASCII

__all__ = ["BETTER", "Entry", "blocks", "further_lines", "sweep_table"]

Row = Mapping[str, Any]

WIDE = 100
"""Below this many columns an interval goes to a line of its own."""
BLOCK = 3
"""Arms side by side."""
MOST_ROWS = 12
"""Rows of one analyzer; the report has all."""
BETTER = {"lower": "lower", "higher": "higher", "zero": "near 0"}


@dataclass(frozen=True)
class Entry:
    """A row of a table of arms: per arm a value and what follows it, an interval or words."""

    label: str
    cells: Mapping[str, tuple[str, str]]
    better: str = ""


def blocks(head: str, entries: Sequence[Entry], columns: Sequence[str], width: int | None) -> list[Line]:
    """Lay out rows x arms, three arms side by side, or fewer where the terminal has no room."""
    narrow = width is not None and width < WIDE
    for size in range(BLOCK, 0, -1):
        parts = [_block(head, entries, columns[i : i + size], narrow=narrow) for i in range(0, len(columns), size)]
        if width is None or all(cell_len(one.text) <= width for part in parts for one in part):
            break
    return [one for i, part in enumerate(parts) for one in ([Line()] if i else []) + part]


def _block(head: str, entries: Sequence[Entry], arms: Sequence[str], *, narrow: bool) -> list[Line]:
    """Lay out one block: values right, intervals left behind them or on the line below."""
    value = {a: max([len(e.cells[a][0]) for e in entries if a in e.cells], default=0) for a in arms}
    value = {a: max(value[a], 5) for a in arms}
    rest = {a: max([cell_len(e.cells[a][1]) for e in entries if a in e.cells], default=0) for a in arms}
    label = max([cell_len(head), *(cell_len(e.label) for e in entries)])
    size = {a: max(cell_len(a), max(value[a], rest[a]) if narrow else value[a] + 1 + rest[a]) for a in arms}
    lines = [
        line(
            (pad(head, label) + "  " + "  ".join(pad(a, size[a]) for a in arms) + "  better").rstrip(),
            "dim",
        )
    ]
    for entry in entries:
        cells = [(size[a], value[a], *entry.cells.get(a, ("", ""))) for a in arms]
        first: list[tuple[str, str]] = [(pad(entry.label, label), "")]
        second: list[tuple[str, str]] = [(" " * label, "")]
        bare = not any(number for _, _, number, _ in cells)
        for room, wide, number, words in cells:
            if bare:
                first.append(("  " + pad(words, room), "dim"))
            elif narrow:
                first.append(("  " + pad(number.rjust(wide), room), ""))
                second.append(("  " + pad(words, room), "dim"))
            else:
                first += [("  " + number.rjust(wide) + " ", ""), (pad(words, room - wide - 1), "dim")]
        first.append((f"  {entry.better}", "dim"))
        lines.append(trimmed(first))
        if narrow and not bare and any(words for *_, words in cells):
            lines.append(trimmed(second))
    return lines


def further_lines(result: Row, width: int | None) -> list[Line]:
    """Lay out a short table for each analyzer without a section of its own, failed checks below it."""
    arms = [a["name"] for a in result["arms"]]
    lines: list[Line] = []
    for analysis in analyses.further(result):
        every = analyses.lines(result, analysis, short=True)
        kept = analyses.fair(every, MOST_ROWS)
        sizes = {one.n for one in kept}
        entries = [_entry(one, arms, tell=len(sizes) > 1) for one in kept]
        lines += blocks(analyses.named(analysis["analyzer"]), entries, arms, width)
        facts = [analyses.constants(analysis, analyses.overall(result, analysis))]
        facts += [f"n {ASCII.count(n)}" for n in sizes if len(sizes) == 1 and n is not None]
        more = len(every) - len(kept)
        facts += [f"{ASCII.counted(more, 'more row')} in the report"] if more else []
        lines += wrapped("; ".join(one for one in facts if one), width, style="dim") if any(facts) else []
        for failed, text in analyses.noted(analysis, arms):
            if failed:
                lines += wrapped(f"note: {analyses.named(analysis['analyzer'])}: {text}", width, indent=6)
        lines.append(Line())
    return lines


def _entry(one: analyses.Line, arms: Sequence[str], *, tell: bool) -> Entry:
    """Give the row of one measure under one condition."""
    words = [text if not text[:1].isdigit() else f"{name} {text}" for name, text in one.keys if text]
    words += [f"n {ASCII.count(one.n)}"] if tell and one.n is not None else []
    cells = {}
    for arm in arms:
        row = one.rows.get(arm)
        value, low, high = analyses.told(ASCII, one.measure, row) if row is not None else ("", "", "")
        missing = "not measured" if row is None else "undefined"
        cells[arm] = (value, f"[{low}, {high}]" if low and high else "") if value else ("-", missing)
    label = ", ".join([analyses.label(one.measure), *words])
    return Entry(label, cells, BETTER.get(one.measure["better"], ""))


def sweep_table(result: Row, width: int | None) -> list[Line]:
    """Lay out measures x values of the parameter."""
    values, rows = sweep.listing(result)
    entries = [Entry(label, cells, BETTER.get(better, "")) for label, better, cells in rows]
    name = sweep.parameter(result)
    named = [Entry(e.label, {f"{name} {v}": cell for v, cell in e.cells.items()}, e.better) for e in entries]
    return blocks("measure", named, [f"{name} {v}" for v in values], width)
