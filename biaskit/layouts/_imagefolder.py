"""Folders of classes, and the Hugging Face imagefolder: ``train/cat/1.png`` with ``train/metadata.jsonl``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from biaskit.data import TWIN, Dataset
from biaskit.errors import DataError
from biaskit.layouts._listing import FILE_COLUMNS, LABEL_COLUMNS, Listing, agree, below, named, safe, splits_of
from biaskit.layouts._tables import column_of, read_table, relabeled
from biaskit.layouts._write import column_clash, write_images
from biaskit.sources._tree import Tree, split_name

__all__ = ["metadata", "read", "write"]

#: The metadata files of the imagefolder convention; their column of file names is the first of FILE_COLUMNS.
_METADATA = frozenset({"metadata.csv", "metadata.jsonl", "metadata.parquet"})


def metadata(tree: Tree) -> list[str]:
    """The metadata files of a folder."""
    return [path for path in tree.others if path.rpartition("/")[2] in _METADATA]


def read(tree: Tree, *, label: str | None = None, drop: bool = False) -> Listing:
    """``root/SPLIT/CLASS/*.png`` or ``root/CLASS/*.png``, with the columns of ``metadata.csv|jsonl|parquet`` if any.

    A metadata file stands in the root or in folders of it; its column ``file_name`` is relative to where it stands. The
    label is its column ``label``, else the folder of the class. Subfolders of a class belong to it.

    Raises
    ------
    DataError
        Folders of splits beside others; metadata that does not fit the images, both ways.
    """
    tables = metadata(tree)
    splits = _split_folders(tree)
    if tables:
        return _with_metadata(tree, tables, splits, label=label, drop=drop)
    if label is not None:
        raise DataError(f"{tree.root} has no metadata file with a column {label!r}; its classes are its folders")
    found = [_class(path, splits) for path in tree.images]
    outside = [path for path, name in zip(tree.images, found, strict=True) if name is None]
    if outside and len(outside) < len(tree.images):
        raise DataError(
            f"{tree.root} holds folders of classes, and {len(outside):,} images in none of them ({named(outside)}); "
            "move them into one, or out"
        )
    table = pd.DataFrame(index=range(len(tree.images)))
    classes = _classes(found)
    if classes:
        table["label"] = found
    if splits:
        table["split"] = splits_of([path.partition("/")[0] for path in tree.images])
    deeper = next((path for path in tree.images if path.count("/") > 1 + splits), "") if classes else ""
    inside = f"folders in that of a class, such as {deeper.rpartition('/')[0]}, were taken as part of it"
    return Listing(tree.root, "imagefolder", tree.images, table, classes, notes=(inside,) if deeper else ())


def _classes(found: Sequence[str | None]) -> tuple[str, ...] | None:
    """The classes in the order of ImageFolder; None where the folders are none of classes, as one alone is not."""
    known = {one for one in found if one is not None}
    return tuple(sorted(known)) if len(known) > 1 and None not in found else None


def _split_folders(tree: Tree) -> bool:
    """Whether the folders in the root are those of splits, not of classes."""
    known = [name for name in tree.folders if split_name(name) or name == TWIN]
    other = [name for name in tree.folders if name not in known]
    if "train" in map(split_name, known) and other:
        raise DataError(
            f"{tree.root} holds folders of splits ({named(known)}) beside others ({named(other)}); move the others out"
        )
    return bool(known) and not other


def _class(path: str, splits: bool) -> str | None:
    """The folder that names an image's class."""
    parts = path.split("/")[1 if splits else 0 :]
    return parts[0] if len(parts) > 1 else None


def _with_metadata(tree: Tree, tables: list[str], splits: bool, *, label: str | None, drop: bool) -> Listing:
    frames = []
    for name in tables:
        frame = read_table(tree.root / name)
        files = column_of(frame, None, FILE_COLUMNS[:1], "files", name)
        if files is None:
            raise DataError(f"{tree.root / name} has no column file_name; it has {named(list(frame.columns), 8)}")
        folder = name.rpartition("/")[0]
        start = f"{folder}/" if folder else ""
        empty = int(frame[files].isna().sum())
        if empty:
            raise DataError(f"{tree.root / name}: column {files!r} is empty in {empty:,} lines; name the files")
        frame.index = pd.Index([start + below(str(value), tree.root / folder) for value in frame.pop(files)])
        frames.append(frame)
    table = pd.concat(frames)
    said = tables[0] if len(tables) == 1 else f"the {len(tables)} metadata files"
    both, left_out = agree(list(table.index), tree.images, said, tree.root, drop=drop)
    keys = [path for path in tree.images if path in both]
    table = table.loc[keys].astype(object).where(table.loc[keys].notna(), None)
    own = column_of(table, label, LABEL_COLUMNS, "labels", said)
    found = [_class(path, splits) for path in keys]
    classes = _classes(found) if own is None else None
    if own is not None:
        table = relabeled(table, own)
    elif classes:
        table.insert(0, "label", found)
    if "split" in table:
        table["split"] = splits_of(list(table["split"]))
    elif splits:
        table["split"] = splits_of([path.partition("/")[0] for path in keys])
    return Listing(tree.root, "imagefolder", keys, table.reset_index(drop=True), classes, left_out=left_out)


def write(dataset: Dataset, folder: Path, *, attribute: str | None = None) -> list[str]:
    """``SPLIT/LABEL/000000.png``, and in every split a ``metadata.jsonl`` with file_name, label and the attributes.

    torchvision's ``ImageFolder`` reads a split by its folders, Hugging Face's ``imagefolder`` the splits train, val and
    test by their metadata.

    Returns
    -------
    list of str
        The path of every image.
    """
    column_clash(dataset, FILE_COLUMNS[:1])
    splits, labels = (dataset.table[name].astype(str) for name in ("split", "label"))
    width = len(str(len(dataset) - 1))
    inside = [f"{safe(label)}/{row:0{width}d}.png" for row, label in enumerate(labels)]
    keys = [f"{safe(split)}/{name}" for split, name in zip(splits, inside, strict=True)]
    write_images(dataset, folder, keys)
    columns = {name: dataset.table[name].astype(str).tolist() for name in ("label", *dataset.attributes)}
    for split in dataset.splits:
        rows = dataset.rows(split)
        with (folder / safe(split) / "metadata.jsonl").open("w", encoding="utf-8", newline="\n") as stream:
            for row in rows:
                line = {"file_name": inside[row], **{name: values[row] for name, values in columns.items()}}
                stream.write(json.dumps(line, ensure_ascii=False) + "\n")
    return keys
