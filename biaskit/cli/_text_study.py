"""What ``reproduce`` prints when it has ended: findings first, then published beside measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from biaskit.cli._lines import Line, console, files_of, line, padded, print_lines, trimmed, wrapped
from biaskit.telling import study
from biaskit.telling.numbers import ASCII, in_words, visible

__all__ = ["print_study", "study_lines"]

Row = Mapping[str, Any]

MOST_ROWS = 12
"""Rows of one item; the report has all."""
MOST_NOTES = 3
STYLES = {"holds": "#009e73", "does not hold": "#d55e00"}


def print_study(result: Row, folder: str | Path) -> None:
    """Print a finished study.

    Parameters
    ----------
    result : mapping
        The dictionary of ``result.json``, kind ``"study"``.
    folder : str or Path
        Where its files were written.
    """
    out, width = console()
    print_lines(study_lines(result, width, files_of(folder)), out)


def study_lines(result: Row, width: int | None, files: Sequence[tuple[str, str, str]] = ()) -> list[Line]:
    """Lay out a finished study: what holds, then item by item what was published and measured.

    Parameters
    ----------
    result : mapping
        The dictionary of ``result.json``, kind ``"study"``.
    width : int or None
        Columns of the terminal; None for a pipe, where nothing is wrapped.
    files : sequence of (name, path, meaning)
        What was written, for the last lines.

    Returns
    -------
    list of Line
    """
    result = visible(result)
    lines = [
        *wrapped(study.summary(result), width, style="bold"),
        *wrapped(study.titled(result), width, style="dim"),
        Line(),
    ]
    if result["claims"]:
        lines += [*_claims(result), Line()]
    for item in result["items"]:
        if item["rows"]:
            lines += [*wrapped(item["title"], width), *_rows(item), Line()]
    for text in study.failures(result):
        lines += wrapped(f"failed: {text}", width, indent=8, style=STYLES["does not hold"])
    notes = study.every_note(result)
    for text in notes[:MOST_NOTES]:
        lines += wrapped(f"note: {text}", width, indent=6)
    if len(notes) > MOST_NOTES:
        lines.append(line(f"note: {len(notes) - MOST_NOTES} more in the report"))
    return lines + [line("  ".join(row).rstrip()) for row in padded([list(f) for f in files], "lll")]


def _claims(result: Row) -> list[Line]:
    """Lay out the claims; their sentences come last, as only they may break over the edge of a terminal."""
    cells = [["finding", "item", "published", "measured", "95 %", "claim"]]
    styles = [""]
    for claim, item in study.claims(result):
        unit = study.unit_of(claim, item)
        words = in_words(unit, difference=True)
        shown = study.published(ASCII, claim["published"], unit, signed=True)
        value, low, high = study.measured(ASCII, claim, unit, key="estimate")
        text = claim["claim"] + (f" ({claim['reason']})" if claim.get("reason") else "")
        cells.append(
            [
                study.finding(claim, item),
                claim["item"],
                f"{shown} {words}".rstrip() if shown else "",
                f"{value} {words}".rstrip() if value else "-",
                f"[{low}, {high}]" if low and high else "",
                text,
            ]
        )
        styles.append(STYLES.get(claim["finding"], ""))
    return _table(cells, "llrrll", styles, dim=(4,))


def _rows(item: Row) -> list[Line]:
    """Lay out one item: measure, arm, published, measured."""
    cells = [["measure", "arm", "published", "measured", "95 %"]]
    for row in item["rows"][:MOST_ROWS]:
        value, low, high = study.measured(ASCII, row, row["unit"])
        between = f"[{low}, {high}]" if low and high else "" if value else row.get("reason") or "undefined"
        shown = study.published(ASCII, row["published"], row["unit"])
        cells.append([study.row_label(row), row["arm"], shown, value or "-", between])
    align, dim = "llrrl", 4
    if not any(row[2] for row in cells[1:]):
        cells, align, dim = [[*row[:2], *row[3:]] for row in cells], "llrl", 3
    lines = _table(cells, align, [""] * len(cells), dim=(dim,))
    more = len(item["rows"]) - MOST_ROWS
    return [*lines, line(f"{more} more in the report", "dim")] if more > 0 else lines


def _table(cells: Sequence[Sequence[str]], align: str, styles: Sequence[str], *, dim: Sequence[int]) -> list[Line]:
    """Lay out a table with a dim head; the first column of a row carries its style."""
    first, *rest = padded(cells, align)
    lines = [line("  ".join(first).rstrip(), "dim")]
    for texts, style in zip(rest, styles[1:], strict=True):
        own = [style if i == 0 else "dim" if i in dim else "" for i in range(len(texts))]
        lines.append(trimmed([(text + "  ", one) for text, one in zip(texts, own, strict=True)]))
    return lines
