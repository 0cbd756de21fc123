"""The pictures of analyzers as grids: a line per image, first what all arms share, then a column per arm."""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["PICTURE", "Grid", "Picture", "grids"]

Row = Mapping[str, Any]

PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/]+=*")
"""The only form of picture that a page takes from a result."""
SMALL, LARGE = 112, 320
"""Pixels on the page: narrower pictures are enlarged by a whole factor up to about this, wider ones are shrunk."""
SHOWN = 4
"""Lines of a grid that are not folded."""


@dataclass(frozen=True)
class Picture:
    """One picture with its size on the page; without `image` there was none, or none that a page may show."""

    image: str
    width: int
    height: int
    alt: str
    caption: str


@dataclass(frozen=True)
class Grid:
    """One figure of an analyzer: the names of its columns, and per line its name and its pictures."""

    analyzer: str
    figure: str
    columns: list[str]
    rows: list[tuple[str, list[Picture | None]]]
    shown: int = SHOWN


def grids(entries: Sequence[Row], arms: Sequence[str], analyzer: str | None = None) -> list[Grid]:
    """Sort pictures into grids.

    Parameters
    ----------
    entries : sequence of mapping
        ``result["gallery"]``, or that of an item of a study.
    arms : sequence of str
        Names in order.
    analyzer : str, optional
        Only the pictures of this one.

    Returns
    -------
    list of Grid
        In the order of the entries; an arm without a picture has an empty place.
    """
    figures: dict[tuple[str, str], list[Row]] = {}
    for entry in entries:
        if analyzer is None or entry["analyzer"] == analyzer:
            figures.setdefault((entry["analyzer"], entry["figure"]), []).append(entry)
    found = []
    for (maker, figure), own in figures.items():
        shared = dict.fromkeys(e["column"] for e in own if e["shared"])
        named = {e["column"] for e in own if not e["shared"]}
        columns = [(name, True) for name in shared]
        columns += [(name, False) for name in dict.fromkeys([*arms, *named]) if name in named]
        lines: dict[str, dict[tuple[str, bool], Row]] = {}
        for entry in own:
            lines.setdefault(entry["row"], {})[(entry["column"], bool(entry["shared"]))] = entry
        rows = [(row, [_picture(cells.get(column), figure, row) for column in columns]) for row, cells in lines.items()]
        found.append(Grid(maker, figure, [name for name, _ in columns], rows))
    return found


def _picture(entry: Row | None, figure: str, row: str) -> Picture | None:
    """Give a picture with its size on the page."""
    if entry is None:
        return None
    image = entry["image"] or ""
    size = _size(image) if PICTURE.fullmatch(image) else None
    alt = f"{row}: {entry['column']}, {figure}"
    if size is None:
        return Picture("", 0, 0, alt, entry["caption"])
    width, height = size
    factor = max(1, round(SMALL / width)) if width < SMALL else min(1.0, LARGE / width)
    return Picture(image, round(width * factor), round(height * factor), alt, entry["caption"])


def _size(image: str) -> tuple[int, int] | None:
    """Read width and height from the head of a PNG; None where it is none."""
    try:
        head = base64.b64decode(image.removeprefix("data:image/png;base64,")[:32], validate=True)
    except binascii.Error:
        return None
    if len(head) < 24 or head[1:4] != b"PNG":
        return None
    width, height = struct.unpack(">II", head[16:24])
    return (width, height) if width and height else None
