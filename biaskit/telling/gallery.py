"""The pictures of analyzers as grids: a line per image, first what all arms share, then a column per arm."""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["PICTURE", "Grid", "Picture", "content", "grids", "in_order", "picture", "without_pictures"]

Row = Mapping[str, Any]

PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/]+=*")
"""The only form of picture that a page takes from a result."""
SMALL, LARGE = 112, 320
"""Pixels on the page: narrower pictures are enlarged by a whole factor up to about this, wider ones are shrunk."""
ACROSS = 930
"""Pixels on the page for all columns of a grid together, which then needs no scrolling on a wide screen."""
SHOWN = 4
"""Lines of a grid that are not folded."""
MOST_LINES = 24
"""Lines of a grid that stand in the page itself, where there is room; further ones lie beside it."""
FOLDER = "pictures"
"""Where pictures lie that do not stand in the page."""


@dataclass(frozen=True)
class Picture:
    """One picture with its size on the page; without `image` there was none, or none that a page may show.

    `file` is where it lies beside the page if it does not fit into it; no two pictures of a page share one.
    """

    image: str
    width: int
    height: int
    alt: str
    caption: str
    file: str


@dataclass(frozen=True)
class Grid:
    """One figure of an analyzer: the names of its columns, and per line its name and its pictures."""

    analyzer: str
    figure: str
    columns: list[str]
    rows: list[tuple[str, list[Picture | None]]]
    shown: int = SHOWN

    def beside(self, embedded: Container[str]) -> int:
        """Count the pictures that do not stand in the page."""
        every = (picture for _, line in self.rows for picture in line)
        return sum(1 for one in every if one is not None and one.image and one.file not in embedded)


def grids(entries: Sequence[Row], arms: Sequence[str], analyzer: str | None = None, *, place: str = "") -> list[Grid]:
    """Sort pictures into grids.

    Parameters
    ----------
    entries : sequence of mapping
        ``result["gallery"]``, or that of an item of a study.
    arms : sequence of str
        Names in order.
    analyzer : str, optional
        Only the pictures of this one.
    place : str
        What their file names begin with: a page that gathers several lists of entries gives each its own.

    Returns
    -------
    list of Grid
        In the order of the entries; an arm without a picture has an empty place.
    """
    figures: dict[tuple[str, str], list[Row]] = {}
    for entry in entries:
        figures.setdefault((entry["analyzer"], entry["figure"]), []).append(entry)
    found = []
    for number, ((maker, figure), own) in enumerate(figures.items(), 1):
        if analyzer is not None and maker != analyzer:
            continue
        shared = dict.fromkeys(e["column"] for e in own if e["shared"])
        named = {e["column"] for e in own if not e["shared"]}
        columns = [(name, True) for name in shared]
        columns += [(name, False) for name in dict.fromkeys([*arms, *named]) if name in named]
        lines: dict[str, dict[tuple[str, bool], Row]] = {}
        for entry in own:
            lines.setdefault(entry["row"], {})[(entry["column"], bool(entry["shared"]))] = entry
        large = max(SMALL, min(LARGE, ACROSS // max(1, len(columns)) - 18))
        rows = []
        for i, (row, cells) in enumerate(lines.items(), 1):
            line = []
            for k, column in enumerate(columns, 1):
                one = cells.get(column)
                file = f"{place}{_slug(maker)}-{number}-{i}-{k}"
                alt = f"{row}: {column[0]}, {figure}"
                drawn = picture(one["image"], file, alt, caption=one["caption"], large=large) if one else None
                line.append(drawn)
            rows.append((row, line))
        found.append(Grid(maker, figure, [name for name, _ in columns], rows))
    return found


def picture(
    image: str | None, file: str, alt: str, *, caption: str = "", small: int = SMALL, large: int = LARGE
) -> Picture:
    """Give a picture with its size on the page: small ones enlarged by a whole factor to about `small` pixels.

    Parameters
    ----------
    image : str or None
        A data URI of a PNG; anything else is shown as no picture.
    file : str
        Its name beside the page, without folder and ending.
    alt, caption : str
        What it shows, and a few words under it.
    small, large : int
        Pixels; wider pictures are shrunk to `large`.

    Returns
    -------
    Picture
    """
    image = image or ""
    size = _size(image) if PICTURE.fullmatch(image) else None
    where = f"{FOLDER}/{file}.png"
    if size is None:
        return Picture("", 0, 0, alt, caption, where)
    width, height = size
    factor = max(1, round(small / width)) if width < small else min(1.0, large / width)
    return Picture(image, round(width * factor), round(height * factor), alt, caption, where)


def in_order(every: Sequence[Grid]) -> list[Picture]:
    """List the pictures that may stand in a page: the first line of every grid, then the second of every grid.

    Where there is no room for all, each figure keeps its first lines.
    """
    lines = [grid.rows[i][1] for i in range(MOST_LINES) for grid in every if i < len(grid.rows)]
    return [one for line in lines for one in line if one is not None]


def content(image: str) -> bytes:
    """Give the bytes of a picture that `PICTURE` allows."""
    return base64.b64decode(image.partition(",")[2])


def without_pictures(result: Row) -> dict[str, Any]:
    """Copy a result with every picture left out, and nothing else: rows, answers and captions stay.

    Examples
    --------
    >>> without_pictures({"gallery": [1, 2], "sprite": {}, "seeds": [0]})
    {'gallery': [], 'sprite': None, 'seeds': [0], 'images': False}
    """

    def bare(example: Row) -> dict[str, Any]:
        answers = [{k: None if k in ("map", "twin_map") else v for k, v in a.items()} for a in example["answers"]]
        return {**example, "image": None, "twin": None, "answers": answers}

    found = dict(result) | ({"gallery": []} if "gallery" in result else {})
    if "sprite" in found:
        found["sprite"] = None
    if "examples" in found:
        found["examples"] = [bare(one) for one in result["examples"]]
    if "worst" in found:
        found["worst"] = {**result["worst"], "examples": [bare(one) for one in result["worst"]["examples"]]}
    if "items" in found:
        found["items"] = [{**item, "gallery": []} for item in result["items"]]
    return found | {"images": False}


def _slug(name: str) -> str:
    """Make a part of a file name of a name, whatever is in it."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower())[:40].strip("-") or "figure"


def _size(image: str) -> tuple[int, int] | None:
    """Read width and height from the head of a PNG; None where it is none."""
    try:
        whole = image.removeprefix("data:image/png;base64,")
        head = base64.b64decode(whole[:32], validate=True)
    except binascii.Error:
        return None
    if len(whole) % 4:
        return None
    if len(head) < 24 or head[1:4] != b"PNG":
        return None
    width, height = struct.unpack(">II", head[16:24])
    return (width, height) if width and height else None
