"""What ``diff`` prints: the answer, the groups that changed most, then every key that differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from biaskit.cli._lines import Line, console, line, padded, print_lines, trimmed, wrapped
from biaskit.telling.diff import group_name, sentences
from biaskit.telling.numbers import ASCII, fraction, visible

__all__ = ["diff_lines", "print_diff"]

Row = Mapping[str, Any]

MOST_GROUPS, MOST_KEYS = 12, 40
"""Rows that are printed; ``--json`` has all."""
STYLES = {"higher": "#009e73", "lower": "#d55e00"}


def print_diff(result: Row) -> None:
    """Print what a diff found.

    Parameters
    ----------
    result : mapping
        What :class:`biaskit.Diff` holds.
    """
    out, width = console()
    print_lines(diff_lines(result, width), out)


def diff_lines(result: Row, width: int | None) -> list[Line]:
    """Lay out a diff: sentences first; a reader who stops after any line has not been misled."""
    result = visible(result)
    lines = [one for text in sentences(result) for one in wrapped(text, width, style="bold")]
    lines += [Line(), *_groups(result)]
    keys = [(part, row) for part in ("card", "data", "code") for row in result[part]]
    if keys:
        cells = [["changed", "key", "a", "b"]]
        cells += [[part, row["key"], _value(row, "a"), _value(row, "b")] for part, row in keys[:MOST_KEYS]]
        first, *rest = padded(cells, "llll")
        lines += [Line(), line("  ".join(first).rstrip(), "dim")]
        lines += [line("  ".join(row).rstrip()) for row in rest]
        if len(keys) > MOST_KEYS:
            lines.append(line(f"{len(keys) - MOST_KEYS} more with --json", "dim"))
    lines += [Line(), *[one for text in result["notes"] for one in wrapped(f"note: {text}", width, indent=6)]]
    where = [[side, result[side]["name"], result[side]["where"]] for side in ("a", "b")]
    return [*lines, *[line("  ".join(row).rstrip()) for row in padded(where, "lll")]]


def _value(row: Row, side: str) -> str:
    value = row[side]
    if value is None:
        return "-"
    return fraction(row["key"], value) or str(value)


def _groups(result: Row) -> list[Line]:
    """All images, then the groups: those that changed, then the others by the size of the change."""
    told = [row for row in result["groups"] if row["difference"] is not None]
    told.sort(key=lambda row: (not row["change"], bool(row["note"]), -abs(row["difference"])))
    rows = [("all", result["overall"]), *((group_name(row), row) for row in told[:MOST_GROUPS])]
    cells = [[" x ".join(["label", *result["by"]]), "n", "a, %", "b, %", "points", "95 % each", "p, Holm", ""]]
    for name, row in rows:
        change, low, high = ASCII.of(row["difference"], "points", low=row["low"], high=row["high"], signed=True)
        n = ASCII.count(row["n_a"]) if row["n_a"] == row["n_b"] else f"{row['n_a']:,} / {row['n_b']:,}"
        rates = [ASCII.of(row[key], "%")[0] for key in ("accuracy_a", "accuracy_b")]
        between = f"[{low}, {high}]" if low and high else ""
        p = ASCII.p(row["p_holm"]).removeprefix("p ") if row["p_holm"] is not None else ""
        cells.append([name, n, *rates, change, between, p, row["change"] or row["note"]])
    first, *rest = padded(cells, "lrrrrlll")
    lines = [line("  ".join(first).rstrip(), "dim")]
    for (_, row), texts in zip(rows, rest, strict=True):
        styles = ["", "", "", "", "", "dim", "", STYLES.get(row["change"], "")]
        lines.append(trimmed([(text + "  ", style) for text, style in zip(texts, styles, strict=True)]))
    left = len(result["groups"]) - len(rows) + 1
    return [*lines, line(f"{left} more with --json", "dim")] if left else lines
