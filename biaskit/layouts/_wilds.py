"""One table beside the images, as in WILDS, group_DRO and SubpopBench: ``metadata.csv`` with y, split 0, 1, 2."""

from __future__ import annotations

import csv
from pathlib import Path

import pandas as pd

from biaskit.data import Dataset
from biaskit.errors import DataError
from biaskit.layouts._listing import FILE_COLUMNS, LABEL_COLUMNS, Listing, agree, below, named, safe, splits_of
from biaskit.layouts._tables import column_of, read_table, relabeled
from biaskit.layouts._write import column_clash, write_images
from biaskit.sources._tree import Tree

__all__ = ["fits", "read", "write"]

#: The columns of the layout; the attributes stand behind them.
_COLUMNS = ("img_filename", "y", "split")
_NUMBERS = {"train": 0, "val": 1, "test": 2}


def fits(tree: Tree) -> bool:
    """Whether the folder itself holds a table of the layout; one with ``file_name`` is an imagefolder's."""
    return any(FILE_COLUMNS[0] not in _head(tree.root / name) for name in _tables(tree))


def _head(path: Path) -> list[str]:
    """The names of a table's columns."""
    with path.open(encoding="utf-8-sig", errors="replace", newline="") as stream:
        return [name.strip() for name in next(csv.reader(stream), [])]


def _tables(tree: Tree) -> list[str]:
    return [path for path in tree.others if "/" not in path and path.startswith("metadata") and path.endswith(".csv")]


def read(tree: Tree, *, label: str | None = None, drop: bool = False) -> Listing:
    """``metadata*.csv`` in the root, with the file, the label y, the split 0, 1, 2, and an attribute per column.

    Files are named below the root, or below the one folder in it that holds them.

    Raises
    ------
    DataError
        No table or several; no column of files or labels; a table that does not fit the images, both ways.
    """
    tables = _tables(tree)
    if len(tables) != 1:
        raise DataError(f"{tree.root} holds {named(tables) or 'no metadata.csv'}; expected one table, metadata.csv")
    name = tables[0]
    frame = read_table(tree.root / name)
    files = column_of(frame, None, FILE_COLUMNS, "files", name)
    own = column_of(frame, label, LABEL_COLUMNS[::-1], "labels", name)
    if files is None or own is None:
        usual = FILE_COLUMNS if files is None else LABEL_COLUMNS
        have = named([str(one) for one in frame.columns], 8)
        raise DataError(f"{tree.root / name} has no column {' or '.join(usual)}; it has {have}")
    empty = int(frame[files].isna().sum())
    if empty:
        raise DataError(f"{tree.root / name}: column {files!r} is empty in {empty:,} lines; name the files")
    lines = _placed([below(str(value), tree.root) for value in frame.pop(files)], tree)
    both, left_out = agree(lines, tree.images, name, tree.root, drop=drop)
    gone = "label" in frame and own != "label"
    notes = (f"labels are the column {own} of {name}; its column label was left out",) if gone else ()
    frame = relabeled(frame, own)
    if "split" in frame:
        frame["split"] = splits_of(list(frame["split"]))
    kept = [row for row, key in enumerate(lines) if key in both]
    table = frame.iloc[kept].reset_index(drop=True)
    return Listing(tree.root, "wilds", [lines[row] for row in kept], table, notes=notes, left_out=left_out)


def _placed(lines: list[str], tree: Tree) -> list[str]:
    """File names as paths below the root, where all of them stand in one folder that the table does not name."""
    known = set(tree.images)
    first = next((line for line in lines if line), "")
    if not first or any(line in known for line in lines):
        return lines
    starts = [path[: -len(first)] for path in tree.images if path.endswith(f"/{first}")]
    return [starts[0] + line for line in lines] if len(starts) == 1 else lines


def write(dataset: Dataset, folder: Path, *, attribute: str | None = None) -> list[str]:
    """``metadata.csv`` with img_filename, y, split and the attributes as codes, and ``images/SPLIT/0.png``.

    Splits other than train, val and test have the numbers from 3 on, which the tools of this layout leave out.

    Returns
    -------
    list of str
        The path of every image.
    """
    column_clash(dataset, _COLUMNS)
    splits = dataset.table["split"].astype(str)
    others = [name for name in dataset.splits if name not in _NUMBERS]
    numbers = {**_NUMBERS, **{name: 3 + place for place, name in enumerate(others)}}
    width = len(str(len(dataset) - 1))
    keys = [f"images/{safe(split)}/{row:0{width}d}.png" for row, split in enumerate(splits)]
    write_images(dataset, folder, keys)
    table = pd.DataFrame({"img_filename": keys, "y": dataset.labels, "split": splits.map(numbers).astype(int)})
    for name in dataset.attributes:
        table[name] = dataset.table[name].cat.codes.to_numpy()
    table.to_csv(folder / "metadata.csv", index=False, quoting=csv.QUOTE_MINIMAL, lineterminator="\n")
    return keys
