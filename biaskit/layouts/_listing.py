"""What a layout says: its images, and a row of text for each of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isfinite
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch

from biaskit.concepts import ArrayPlanes, Concepts
from biaskit.data import TWIN, Dataset
from biaskit.errors import DataError
from biaskit.images import ArrayImages, Images
from biaskit.sources._tree import split_name

__all__ = [
    "FILE_COLUMNS",
    "LABEL_COLUMNS",
    "Listing",
    "agree",
    "below",
    "named",
    "ordered",
    "own_attribute",
    "safe",
    "splits_of",
    "text_of",
]

#: What tables call the column of file names, and that of labels.
FILE_COLUMNS = ("file_name", "img_filename", "filename", "file", "filepath", "path", "image_path", "image", "img")
LABEL_COLUMNS = ("label", "y")


@dataclass(frozen=True)
class Listing:
    """What the files of a layout say, before any pixel is read.

    Attributes
    ----------
    root : Path
    layout : str
    keys : sequence of str
        One per image, no two alike: its path below the root, or what a parquet file calls it.
    table : DataFrame
        In the same order: ``label`` and ``split`` where the layout says them, and the attributes; text, None for an
        empty cell. Columns that are categorical already keep their categories.
    classes : tuple of str, optional
        The labels in the layout's own order.
    encoded : sequence of bytes, optional
        The images; default: the files of that path.
    card : mapping
    group_by : tuple of str, optional
        Default: every attribute of a few values.
    channels : 3 or 1
        What the images are decoded to.
    masks, concepts : optional
        In the order of the table.
    notes : tuple of str
        Sentences to pass on.
    left_out : mapping of str to str
        Names of files that were left out -> why; see :func:`agree`.
    """

    root: Path
    layout: str
    keys: Sequence[str]
    table: pd.DataFrame
    classes: tuple[str, ...] | None = None
    encoded: Sequence[bytes] | None = None
    card: Mapping[str, Any] = field(default_factory=dict)
    group_by: tuple[str, ...] | None = None
    channels: Literal[1, 3] = 3
    masks: Images | None = None
    concepts: Concepts | None = None
    notes: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)

    def take(self, kept: Sequence[int]) -> Listing:
        """The listing of some rows, given in order; a twin goes where its image goes."""
        rows = np.asarray(kept, np.int64)
        table = self.table
        if "pair" in table:
            pair = table["pair"].to_numpy(np.int64)
            stays = np.zeros(len(table) + 1, bool)  # the last place is that of pair -1
            stays[rows] = True
            lone = (table["split"] == TWIN).to_numpy() & ~stays[pair]
            rows = rows[~lone[rows]]
            place = np.full(len(table) + 1, -1, np.int64)
            place[rows] = np.arange(len(rows))
            table = table.assign(pair=place[pair])
        if len(rows) == len(self.keys):
            return self
        index = torch.from_numpy(rows)
        masks, concepts = self.masks, self.concepts
        if masks is not None:
            masks = ArrayImages(masks.gather(index).permute(0, 2, 3, 1).contiguous())
        if concepts is not None:
            planes = ArrayPlanes(concepts.gather(index).numpy().astype(np.uint16))
            concepts = dataclasses.replace(concepts, planes=planes)
        return dataclasses.replace(
            self,
            keys=[self.keys[row] for row in rows],
            table=table.iloc[rows].reset_index(drop=True),
            encoded=None if self.encoded is None else [self.encoded[row] for row in rows],
            masks=masks,
            concepts=concepts,
        )


def named(names: Sequence[str], most: int = 3) -> str:
    """The first few names, and how many more there are.

    Examples
    --------
    >>> named(["a.png", "b.png", "c.png", "d.png"])
    'a.png, b.png, c.png and 1 more'
    """
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def agree(
    lines: Sequence[str], files: Iterable[str], table: str, root: Path, *, drop: bool
) -> tuple[set[str], dict[str, str]]:
    """The names that a table and a folder both have, and those that only one has, each with the reason.

    Raises
    ------
    DataError
        A file with two lines; or, without ``drop``, a name that only one side has: both sides are counted and named.

    Examples
    --------
    >>> both, left_out = agree(["a.png", "b.png"], ["b.png", "c.png"], "attrs.csv", Path("photos"), drop=True)
    >>> sorted(both), left_out
    (['b.png'], {'a.png': 'named in attrs.csv, not in photos', 'c.png': 'has no line in attrs.csv'})
    """
    present, known = set(files), set(lines)
    if len(known) != len(lines):
        twice = pd.Series(lines)
        again = list(dict.fromkeys(twice[twice.duplicated()]))
        raise DataError(f"{table} has more than one line for {len(again):,} files ({named(again)}); keep one of them")
    absent = [name for name in lines if name not in present]
    without = sorted(present - known)
    if (absent or without) and not drop:
        sides = {"lines without a file": absent, "files without a line": without}
        said = "; ".join(f"{side}: {len(found):,} ({named(found)})" for side, found in sides.items() if found)
        remedy = "mend it, or give drop (--drop on the command line) to leave them out"
        raise DataError(f"{table} does not fit {root}: {said}; {remedy}")
    left_out = dict.fromkeys(absent, f"named in {table}, not in {root}")
    return present & known, left_out | dict.fromkeys(without, f"has no line in {table}")


def below(name: str, root: Path) -> str:
    """A file name of a table as a path below a folder, with ``/`` between the parts.

    Examples
    --------
    >>> below("./cats\\\\1.png", Path("photos"))
    'cats/1.png'
    """
    plain = name.strip().replace("\\", "/")
    for start in (f"{root.as_posix()}/", f"{root.resolve().as_posix()}/", "./"):
        plain = plain.removeprefix(start)
    return plain


def text_of(value: Any) -> str | None:
    """A cell as text, None where it is empty; whole numbers are written without a point.

    Examples
    --------
    >>> text_of(3.0), text_of(" red "), text_of(float("nan")), text_of(True)
    ('3', 'red', None, 'True')
    """
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip() or None


def ordered(values: Iterable[str]) -> tuple[str, ...]:
    """Different values in order: numbers by value, the rest by name.

    Examples
    --------
    >>> ordered(["10", "9", "9"]), ordered(["b", "a", "10"])
    (('9', '10'), ('10', 'a', 'b'))
    """
    found = set(values)
    try:
        numbers = {value: float(value) for value in found}
    except ValueError:
        return tuple(sorted(found))
    return tuple(sorted(found, key=lambda value: (numbers[value] if isfinite(numbers[value]) else inf, value)))


def safe(name: str) -> str:
    """A name as that of a folder on any system, different for different names: what cannot stand there becomes ``%``.

    Examples
    --------
    >>> safe("T-shirt/top"), safe(".."), safe("")
    ('T-shirt%2Ftop', '%2E%2E', '%')
    """
    last = len(name) - 1
    return (
        "".join(
            f"%{ord(one):02X}"
            if one in '/\\:*?"<>|%' or not one.isprintable() or (one in ". " and place in (0, last))
            else one
            for place, one in enumerate(name)
        )
        or "%"
    )


def splits_of(codes: Sequence[str | None]) -> list[str | None]:
    """The splits of a column: 0, 1, 2 are train, val and test, names are the usual ones; others stay as they are."""
    numbers = {"0": "train", "1": "val", "2": "test"}
    if all(code is None or code.isdecimal() for code in codes):
        return [None if code is None else numbers.get(code, code) for code in codes]
    return [None if code is None else split_name(code) or code for code in codes]


def own_attribute(dataset: Dataset, wanted: str | None, layout: str) -> str:
    """The attribute a layout with room for one is written by: the wanted one, else the first of the groups.

    Raises
    ------
    DataError
        The data set has no such attribute, or none at all.
    """
    known = (*dataset.group_by, *(one for one in dataset.attributes if one not in dataset.group_by))
    if wanted is not None and wanted not in known:
        raise DataError(f"{dataset.name} has no attribute {wanted!r}; it has {', '.join(known) or 'none'}")
    if not known:
        raise DataError(f"{dataset.name} has no attribute, which the layout {layout} is made of; take imagefolder")
    return wanted or known[0]
