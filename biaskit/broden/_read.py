"""Reading the layout of Broden: csv files first, pixels when they are asked for."""

from __future__ import annotations

import csv
import hashlib
import math
import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from biaskit.concepts import Concepts, ordered
from biaskit.errors import DataError
from biaskit.images import Images

__all__ = ["HEAD", "broden_fingerprint", "open_broden"]

#: The columns of index.csv before the categories.
HEAD = ("image", "split", "ih", "iw", "sh", "sw")

#: One of the categories of a label in label.csv: ``color(289)``.
_COUNTED = re.compile(r"([^()]*[^()\s])\((\d+)\)")
#: A label that holds of the whole image, or the png with one label per pixel; 0 where there is none.
_Item = int | str


@dataclass(frozen=True)
class _Row:
    """A line of index.csv: its number, the image, and an item per plane."""

    number: int
    image: str
    items: tuple[_Item, ...]


@dataclass(frozen=True)
class _Index:
    """What index.csv says: the lines, the sides of images and of segmentations, and how many labels there are."""

    folder: Path
    rows: tuple[_Row, ...]
    image: tuple[int, int]
    segmentation: tuple[int, int]
    labels: int

    def place(self, row: int) -> str:
        return f"{self.folder / 'index.csv'}, row {self.rows[row].number}"

    def read(self, row: int, name: str, side: tuple[int, int]) -> npt.NDArray[np.uint8]:
        """The pixels (H, W, 3) of a file below ``images``."""
        path = self.folder / "images" / name
        try:
            with Image.open(path) as opened:
                pixels = np.array(opened.convert("RGB"))
        except FileNotFoundError:
            raise DataError(f"{self.place(row)}: {path} is missing") from None
        except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
            raise DataError(f"{self.place(row)}: {path} is not a readable image ({error})") from None
        if pixels.shape[:2] != side:
            raise DataError(
                f"{self.place(row)}: {path} is {pixels.shape[0]} x {pixels.shape[1]} pixels high and wide, "
                f"the row says {side[0]} x {side[1]}"
            )
        return pixels


class _BrodenImages:
    """The images of an index, decoded when asked for."""

    def __init__(self, index: _Index) -> None:
        self._index = index

    def __len__(self) -> int:
        return len(self._index.rows)

    @property
    def shape(self) -> tuple[int, int, int]:
        return 3, *self._index.image

    def gather(self, index: Tensor) -> Tensor:
        found = torch.empty((len(index), *self._index.image, 3), dtype=torch.uint8)

        def decode(place: int, row: int) -> None:
            found[place] = torch.from_numpy(self._index.read(row, self._index.rows[row].image, self._index.image))

        _in_threads(decode, index.tolist())
        return found.permute(0, 3, 1, 2)


class _BrodenPlanes:
    """The labels of an index, decoded when asked for: red + 256 green of the png, or one label for all pixels."""

    def __init__(self, index: _Index) -> None:
        self._index = index

    def __len__(self) -> int:
        return len(self._index.rows)

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self._index.rows[0].items), *self._index.segmentation

    def gather(self, index: Tensor) -> Tensor:
        found = np.zeros((len(index), *self.shape), np.int32)

        def decode(place: int, row: int) -> None:
            for plane, item in zip(found[place], self._index.rows[row].items, strict=True):
                if isinstance(item, int):
                    plane[:] = item
                    continue
                pixels = self._index.read(row, item, self._index.segmentation)
                if pixels[..., 2].any():
                    raise DataError(
                        f"{self._index.place(row)}: {self._index.folder / 'images' / item} has blue in it, and a label "
                        "is red + 256 green; gray images and palettes hold their numbers otherwise: write them anew"
                    )
                plane[:] = pixels[..., 0] + 256 * pixels[..., 1].astype(np.int32)
                if plane.max() > self._index.labels:
                    raise DataError(
                        f"{self._index.place(row)}: {self._index.folder / 'images' / item} has a pixel of label "
                        f"{plane.max()}, but label.csv lists 1 to {self._index.labels}"
                    )

        _in_threads(decode, index.tolist())
        return torch.from_numpy(found)


def _in_threads(decode: Callable[[int, int], None], rows: Sequence[int]) -> None:
    with ThreadPoolExecutor(min(32, os.cpu_count() or 1)) as pool:
        for _ in pool.map(decode, range(len(rows)), rows):
            pass  # asking for each result raises what a thread raised


def open_broden(folder: str | Path, split: Literal["all", "train", "val"] = "all") -> tuple[Images, Concepts]:
    """Images and concepts of a folder in the layout of Broden; pixels are read when they are asked for.

    Parameters
    ----------
    folder : path
        Holds ``index.csv`` (columns image, split, ih, iw, sh, sw, then one per category), ``label.csv`` and
        ``images/``. A cell of a category is empty or lists items with ``;`` between them: the number of a label that
        holds of the whole image, or a png below ``images`` whose pixels are label ``red + 256 green``, 0 for none, and
        have no blue.
    split : {'all', 'train', 'val'}
        The rows to take.

    Returns
    -------
    Images
        (3, ih, iw), in the order of index.csv.
    Concepts
        Planes of (sh, sw), of every category as many as the row with most items in it has. The category of a label is
        the one it covers most of: by ``c_<category>.csv`` where there is one, else by the images that label.csv counts
        in parentheses.

    Raises
    ------
    DataError
        A file or column that is missing, a label that label.csv does not list, or sizes that differ; the message names
        the file and the row, which counts the lines below the head from 1. What is inside a png is found when its
        pixels are asked for.

    References
    ----------
    Bau et al., Network Dissection, arXiv 1704.05796, and the files of its data set Broden.

    Examples
    --------
    >>> import tempfile
    >>> from biaskit import testing, write_broden
    >>> data = testing.tiny(concepts=True)
    >>> with tempfile.TemporaryDirectory() as place:
    ...     write_broden(data, Path(place) / "tiny")
    ...     images, concepts = open_broden(Path(place) / "tiny")
    ...     len(images), concepts.names, bool((concepts.gather(torch.arange(16)) == data.concepts.gather(
    ...         torch.from_numpy(data.rows("test")))).all())
    (16, ('red', 'blue', 'square'), True)
    """
    root = Path(folder)
    names, categories = _labels(root)
    index = _index(root, len(names), split)
    return _BrodenImages(index), Concepts(_BrodenPlanes(index), names, categories)


def broden_fingerprint(folder: str | Path) -> str:
    """SHA-256 over the csv files of a Broden folder, and over size and time of every file below ``images``.

    The pixels of Broden are gigabytes; a file that was written again has another time.
    """
    root = Path(folder)
    digest = hashlib.sha256()
    for path in sorted(root.glob("*.csv")):
        digest.update(path.name.encode() + path.read_bytes())
    for path in sorted((root / "images").rglob("*")):
        about = path.stat()
        digest.update(f"{path.relative_to(root)} {about.st_size} {about.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _table(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """The lines of a csv file below its head, counted from 1."""
    if not path.is_file():
        raise DataError(f"{path} is missing; a folder in the layout of Broden has index.csv, label.csv and images/")
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            lines = csv.DictReader(stream)
            head = tuple(lines.fieldnames or ())
            missing = [name for name in columns if name not in head]
            if missing:
                raise DataError(f"{path} has no column {missing[0]!r}; it has {', '.join(head) or 'none'}")
            twice = [name for name in head if head.count(name) > 1]
            if twice:
                raise DataError(f"{path} has two columns {twice[0]!r}; list all items of a category in one")
            for number, line in enumerate(lines, 1):
                if None in line or None in line.values():
                    raise DataError(f"{path}, row {number}: not one cell for each of the {len(head)} columns")
                yield number, line
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} is not a csv file in UTF-8 ({error})") from None


def _whole(text: str, path: Path, number: int, column: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise DataError(f"{path}, row {number}: {column} is {text!r}; expected a whole number")
    return int(text)


def _share(text: str, path: Path, number: int) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0.0 <= found < math.inf:
        raise DataError(f"{path}, row {number}: coverage is {text!r}; expected a number, 0 or larger")
    return found


def _labels(root: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of all labels, and the category that each covers most of."""
    path = root / "label.csv"
    names: dict[str, int] = {}
    counted: list[dict[str, int]] = []
    for number, line in _table(path, ("number", "name", "category")):
        if _whole(line["number"], path, number, "number") != number:
            raise DataError(f"{path}, row {number}: label {line['number']}; expected labels 1, 2, 3, ... in order")
        name = line["name"]
        if not name.strip():
            raise DataError(f"{path}, row {number}: label {number} has no name")
        if name in names:
            raise DataError(f"{path}, row {number}: {name!r} is the name of label {names[name]} too")
        listed = [_COUNTED.fullmatch(one.strip()) for one in line["category"].split(";") if one.strip()]
        if not listed or None in listed:
            raise DataError(f"{path}, row {number}: category is {line['category']!r}; expected such as 'color(289)'")
        names[name] = number
        counted.append({one[1].strip(): int(one[2]) for one in listed if one})
    if not names:
        raise DataError(f"{path} lists no label")
    covered: list[dict[str, float]] = [{} for _ in names]
    for category in sorted({one for each in counted for one in each}):
        codes = root / f"c_{category}.csv"
        for number, line in _table(codes, ("number", "coverage")) if codes.is_file() else ():
            label = _whole(line["number"], codes, number, "number")
            if not 1 <= label <= len(names):
                raise DataError(f"{codes}, row {number}: label {label}, but label.csv lists 1 to {len(names)}")
            covered[label - 1][category] = _share(line["coverage"], codes, number)
    return tuple(names), tuple(_most(counts, shares) for counts, shares in zip(counted, covered, strict=True))


def _most(counts: dict[str, int], shares: dict[str, float]) -> str:
    """The category of a label with the most pixels, with the most images where a file of pixels is missing."""
    if all(category in shares for category in counts):
        return max(counts, key=lambda one: shares[one])
    return max(counts, key=lambda one: counts[one])


def _index(root: Path, labels: int, split: str) -> _Index:
    """index.csv with its items checked against label.csv and the files that are there."""
    path = root / "index.csv"
    found: list[tuple[int, str, list[list[_Item]]]] = []
    sides: tuple[int, ...] = ()
    splits: set[str] = set()
    for number, line in _table(path, HEAD):
        splits.add(line["split"])
        if split not in ("all", line["split"]):
            continue
        mine = tuple(_whole(line[name], path, number, name) for name in HEAD[2:])
        sides = sides or mine
        if 0 in mine:
            raise DataError(f"{path}, row {number}: ih, iw, sh, sw are {mine}; a side is 1 at least")
        if mine != sides:
            raise DataError(
                f"{path}, row {number}: ih, iw, sh, sw are {mine}, of the rows before {sides}; bring all images to "
                "one size"
            )
        where = f"{path}, row {number}"
        if not (root / "images" / line["image"]).is_file():
            raise DataError(f"{where}: {root / 'images' / line['image']} is missing")
        categories = ordered(tuple(name for name in line if name not in HEAD))
        found.append((number, line["image"], [_items(line[one], root, labels, where) for one in categories]))
    if not found:
        wanted = f" in split {split!r}; it has {', '.join(sorted(splits))}" if splits else ""
        raise DataError(f"{path} has no rows{wanted}")
    most = [max(len(cells[column]) for _, _, cells in found) for column in range(len(found[0][2]))]
    if not sum(most):
        raise DataError(f"{path}: no image has a label in any category")
    rows = []
    for number, image, cells in found:
        padded = [[*items, *[0] * (width - len(items))] for items, width in zip(cells, most, strict=True)]
        rows.append(_Row(number, image, tuple(item for items in padded for item in items)))
    return _Index(root, tuple(rows), (sides[0], sides[1]), (sides[2], sides[3]), labels)


def _items(cell: str, root: Path, labels: int, where: str) -> list[_Item]:
    items: list[_Item] = []
    for text in filter(None, (one.strip() for one in cell.split(";"))):
        if text.isascii() and text.isdigit():
            if int(text) > labels:
                raise DataError(f"{where}: label {text}, but label.csv lists 1 to {labels}")
            items.append(int(text))
            continue
        if not (root / "images" / text).is_file():
            raise DataError(f"{where}: {root / 'images' / text} is missing")
        items.append(text)
    return items
