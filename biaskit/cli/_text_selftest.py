"""What ``selftest`` prints: whether every measure followed what was planted, and what each of them was."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from biaskit.cli._lines import Line, console, line, padded, print_lines, trimmed, wrapped
from biaskit.telling.numbers import ASCII, in_words
from biaskit.telling.selftest import sentence

__all__ = ["print_selftest", "selftest_lines"]

Row = Mapping[str, Any]

WORDS = {True: "yes", False: "NO", None: "-"}


def print_selftest(result: Row, figure: Path | None) -> None:
    """Print a finished self-test.

    Parameters
    ----------
    result : mapping
        What :class:`biaskit.SelfTest` holds.
    figure : Path or None
        Where the curves were written.
    """
    out, width = console()
    print_lines(selftest_lines(result, width, figure), out)


def selftest_lines(result: Row, width: int | None, figure: Path | None = None) -> list[Line]:
    """Lay out a self-test."""
    lines = [*wrapped(sentence(result), width, style="bold"), Line()]
    strengths = result["strengths"]
    cells = [["planted", *(f"{one:g}" for one in strengths), "null at 0", "rises", "as known"]]
    for check in result["checks"]:
        rows = [r for r in result["rows"] if (r["sweep"], r["metric"]) == (check["sweep"], check["metric"])]
        unit = in_words(rows[0]["unit"])
        name = f"{check['sweep']}: {check['title']}" + (f", {unit}" if unit else "")
        values = [ASCII.of(row["value"], row["unit"])[0] if row["value"] is not None else "-" for row in rows]
        cells.append([name, *values, *(WORDS[check[key]] for key in ("null", "rises", "known"))])
    first, *rest = padded(cells, "l" + "r" * len(strengths) + "lll")
    lines.append(line("  ".join(first).rstrip(), "dim"))
    for texts in rest:
        lines.append(trimmed([(text + "  ", "#d55e00" if text.strip() == "NO" else "") for text in texts]))
    lines.append(Line())
    for sweep, what in result["planted"].items():
        lines += wrapped(f"{sweep}: the strength is {what}", width, indent=len(sweep) + 2, style="dim")
    if not result["full"]:
        lines.append(line("networks were not trained: biaskit selftest --full", "dim"))
    return [*lines, line(f"figure   {figure}")] if figure else lines
