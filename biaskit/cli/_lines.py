"""Lines of text with a style per piece: made first, then printed by one thin function.

A terminal, a pipe and a test see the same characters.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

__all__ = ["Line", "console", "files_of", "line", "pad", "padded", "print_lines", "trimmed", "wrapped"]


@dataclass(frozen=True)
class Line:
    """One line of output: pieces of text, each with a rich style or none."""

    parts: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        """The characters, which are the same whether styled or not."""
        return "".join(text for text, _ in self.parts)


def line(text: str = "", style: str = "") -> Line:
    return Line(((text, style),) if text else ())


def console(*, err: bool = False) -> tuple[Console, int | None]:
    """Give the console of stdout or stderr, and its columns; None where nobody looks and nothing is to be wrapped."""
    stream = sys.stderr if err else sys.stdout
    found = Console(file=stream, markup=False, highlight=False, soft_wrap=True)
    return found, found.width if stream.isatty() else None


def print_lines(lines: Iterable[Line], to: Console) -> None:
    """Write lines as they are; only a terminal that wants color gets the styles."""
    for one in lines:
        to.print(Text.assemble(*one.parts), soft_wrap=True)


def files_of(folder: str | Path) -> list[tuple[str, str, str]]:
    """List what a folder of results holds, in the order of need."""
    folder = Path(folder)
    tables = sorted(p.stem for p in (folder / "tables").glob("*.csv"))
    figures = len(list((folder / "figures").glob("*.svg")))
    every = [
        ("report", folder / "report.html", ""),
        ("text", folder / "study.md", "the same tables as Markdown"),
        ("methods", folder / "methods.md", "paragraphs and references for a paper"),
        ("tables", folder / "tables", f"{len(tables)} files: {', '.join(tables)}" if tables else ""),
        ("figures", folder / "figures", f"{figures} files"),
        ("predictions", folder / "predictions.parquet", "every number above can be computed from it"),
        ("cells", folder / "cells.parquet", "the counts: every number of groups can be computed from it"),
        ("result", folder / "result.json", "schema 1"),
    ]
    return [(name, str(path), text) for name, path, text in every if path.exists()]


def pad(text: str, width: int) -> str:
    """Pad to a width in terminal cells, which a wide character takes two of."""
    return text + " " * (width - cell_len(text))


def padded(rows: Sequence[Sequence[str]], align: str) -> list[list[str]]:
    """Pad every column to its widest text, left or right."""
    if not rows:
        return []
    sizes = [max(cell_len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        [pad(t, n) if how == "l" else " " * (n - cell_len(t)) + t for t, n, how in zip(row, sizes, align, strict=False)]
        for row in rows
    ]


def trimmed(parts: Sequence[tuple[str, str]]) -> Line:
    """Make a line without blanks at its end."""
    kept = list(parts)
    while kept and not kept[-1][0].strip():
        kept.pop()
    if kept:
        kept[-1] = (kept[-1][0].rstrip(), kept[-1][1])
    return Line(tuple(part for part in kept if part[0]))


def wrapped(text: str, width: int | None, *, indent: int = 0, style: str = "") -> list[Line]:
    """Break a sentence at words on a terminal; a pipe gets it in one line."""
    if width is None:
        return [line(text, style)]
    pieces = textwrap.wrap(
        text, max(width, 20), subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )
    return [line(one, style) for one in pieces]
