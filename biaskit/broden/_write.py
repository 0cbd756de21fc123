"""Writing the layout of Broden."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tomli_w
import torch
from PIL import Image

from biaskit.broden._read import HEAD
from biaskit.concepts import CATEGORIES, Concepts, ordered
from biaskit.data import TWIN, Dataset
from biaskit.disk import check_replaceable, new_folder
from biaskit.errors import DataError

__all__ = ["check_broden", "write_broden"]

_LABEL = ("number", "name", "category", "frequency", "coverage", "syns")
_CATEGORY = ("name", "first", "last", "count", "frequency")
_CODES = ("code", "number", "name", "frequency", "coverage")
#: Our own file: a folder without it is somebody else's Broden, and is never replaced.
_OURS = "card.toml"
#: What a category may be called: it is a column, part of file names, and stands before parentheses.
_PLAIN = re.compile(r"[\w-]+(?: [\w-]+)*")
#: Images written at a time.
_CHUNK = 64


def check_broden(dataset: Dataset, folder: str | Path) -> Concepts:
    """The concepts of a data set, after a look at whether they may be written to a folder.

    Raises
    ------
    DataError
        A data set without concepts, or with a category whose name cannot be that of a column and a file.
    StoreError
        A folder that holds other files.
    """
    if dataset.concepts is None:
        raise DataError(f"{dataset.name} has no concepts to write; the data set shapes has them")
    for category in dataset.concepts.used:
        if category in HEAD or not _PLAIN.fullmatch(category):
            raise DataError(
                f"category {category!r} cannot be a column and a file of Broden's layout: give it a name of letters, "
                f"digits, -, _ and single spaces that is none of {', '.join(HEAD)}"
            )
    check_replaceable(Path(folder), _holds(dataset.concepts))
    return dataset.concepts


def _holds(concepts: Concepts) -> tuple[str, ...]:
    codes = (f"c_{category}.csv" for category in ordered((*CATEGORIES, *concepts.used)))
    return (_OURS, "category.csv", "images", "index.csv", "label.csv", *codes)


def write_broden(dataset: Dataset, folder: str | Path, *, split: str = "test") -> None:
    """Write images and concepts of a data set in the layout of Broden; the folder appears whole or not at all.

    Segmentations have the size of the data set's planes. A plane that one label fills is written as the number of that
    label, and one that holds labels of several categories as a png in the column of each.

    Parameters
    ----------
    dataset : Dataset
        With concepts.
    folder : path
        New, empty, or one that this function wrote.
    split : str
        A split of the data set, whose rows are written in table order; ``"all"`` for all of them but twins. Broden
        calls rows ``train`` or, all others, ``val``.

    Raises
    ------
    DataError
        A data set without concepts, or without rows in the split.
    StoreError
        A folder that holds other files, or a disk that is full.
    """
    concepts = check_broden(dataset, folder)
    splits = dataset.table["split"].astype(str).to_numpy()
    rows = np.flatnonzero(splits != TWIN) if split == "all" else dataset.rows(split)
    columns = ordered((*CATEGORIES, *concepts.used))
    with new_folder(Path(folder), holds=_holds(concepts)) as work:
        counts = _Counts(concepts)
        (work / "images").mkdir()
        _, height, width = dataset.images.shape
        with (work / "index.csv").open("w", encoding="utf-8", newline="") as stream:
            index = csv.writer(stream, lineterminator="\n")
            index.writerow((*HEAD, *columns))
            for part in torch.split(torch.from_numpy(rows), _CHUNK):
                pixels = dataset.images.gather(part).cpu().expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy()
                for row, image, planes in zip(part.tolist(), pixels, concepts.gather(part).numpy(), strict=True):
                    stem = f"{row:06d}"
                    Image.fromarray(np.ascontiguousarray(image)).save(work / "images" / f"{stem}.png")
                    cells = _written(planes, concepts, work / "images", stem)
                    counts.add(planes)
                    kind = "train" if splits[row] == "train" else "val"
                    sides = (height, width, *planes.shape[1:])
                    index.writerow((f"{stem}.png", kind, *sides, *(";".join(cells.get(one, ())) for one in columns)))
        counts.write(work)
        card = {"name": dataset.name, "split": split, "fingerprint": dataset.fingerprint, "layout": "Broden"}
        (work / _OURS).write_text(tomli_w.dumps(card), encoding="utf-8")


def _written(planes: npt.NDArray[np.int32], concepts: Concepts, folder: Path, stem: str) -> dict[str, list[str]]:
    """The items of an image by category; its png files are written."""
    cells: dict[str, list[str]] = {}
    for plane in planes:
        present = np.unique(plane)
        labels = present[present > 0]
        for category in ordered(tuple(concepts.categories[label - 1] for label in labels)):
            mine = [label for label in labels if concepts.categories[label - 1] == category]
            items = cells.setdefault(category, [])
            if len(present) == 1:
                items.append(str(int(present[0])))
                continue
            kept = np.where(np.isin(plane, mine), plane, 0)
            name = f"{stem}_{category}{f'_{len(items) + 1}' if items else ''}.png"
            colors = np.stack([kept % 256, kept // 256, np.zeros_like(kept)], axis=-1).astype(np.uint8)
            Image.fromarray(colors).save(folder / name)
            items.append(name)
    return cells


class _Counts:
    """In how many images each label is, and how many whole images its pixels make."""

    def __init__(self, concepts: Concepts) -> None:
        self._concepts = concepts
        self._images = np.zeros(len(concepts.names) + 1, np.int64)
        self._coverage = np.zeros(len(concepts.names) + 1)

    def add(self, planes: npt.NDArray[np.int32]) -> None:
        pixels = np.bincount(planes.ravel(), minlength=len(self._images))
        self._images += pixels > 0
        self._coverage += pixels / (planes.shape[1] * planes.shape[2])

    def write(self, folder: Path) -> None:
        of = list(zip(self._concepts.names, self._concepts.categories, strict=True))
        images, coverage = self._images[1:], self._coverage[1:]
        lines: list[tuple[Any, ...]] = [
            (number + 1, name, f"{category}({images[number]})", images[number], f"{coverage[number]:.6f}", "")
            for number, (name, category) in enumerate(of)
        ]
        _write(folder / "label.csv", _LABEL, lines)
        lines = []
        for category in self._concepts.used:
            mine = np.asarray([number for number, (_, one) in enumerate(of) if one == category])
            lines.append((category, mine[0] + 1, mine[-1] + 1, len(mine), images[mine].sum()))
            mine = mine[np.lexsort((-coverage[mine], -images[mine]))]
            codes = [
                (code, number + 1, of[number][0], images[number], f"{coverage[number]:.6f}")
                for code, number in enumerate(mine, 1)
            ]
            _write(folder / f"c_{category}.csv", _CODES, codes)
        _write(folder / "category.csv", _CATEGORY, sorted(lines, key=lambda line: int(line[1])))


def _write(path: Path, head: Sequence[str], lines: Sequence[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(lines)
