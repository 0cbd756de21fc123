"""Parquet files in the Hugging Face image convention: ``train-00000-of-00001.parquet`` with image, label and more."""

from __future__ import annotations

import io
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from biaskit.data import Dataset
from biaskit.errors import DataError
from biaskit.layouts._listing import Listing, named, safe, splits_of, text_of
from biaskit.layouts._write import as_image, column_clash
from biaskit.sources._parquet import declared_names, label_codes, read_rows
from biaskit.sources._tree import Tree, split_name

__all__ = ["fits", "read", "write"]

#: ``train-00000-of-00002``: the split is what stands before the numbers.
_SHARD = re.compile(r"(.+?)[-_.]\d+(?:-of-\d+)?$")
#: Rows of a file that are encoded and written at a time.
_CHUNK = 1024


def fits(tree: Tree) -> bool:
    """Whether a folder holds parquet files and no images, or parquet files with images and a picture or two."""
    found = _files(tree)
    return bool(found) and (not tree.images or _image_column(tree.root / found[0]) is not None)


def _files(tree: Tree) -> list[str]:
    """The parquet files of a folder, or of its folder ``data``, as in a downloaded repository."""
    found = [path for path in tree.others if path.endswith(".parquet") and path != "biaskit.parquet"]
    return [path for path in found if "/" not in path] or [
        path for path in found if path.startswith("data/") and path.count("/") == 1
    ]


def read(tree: Tree, *, label: str | None = None, drop: bool = False) -> Listing:
    """A column of images, a column of labels, and every other column an attribute.

    The images are in the column ``image``, else in the only one that holds a struct of bytes and path. The split is
    the beginning of the file's name; where no file is called like a split, all of them are one set.

    Raises
    ------
    DataError
        No files or no column of images; the errors of the source ``parquet``.
    """
    import pyarrow.parquet

    found = _files(tree)
    if not found:
        raise DataError(f"{tree.root} holds no parquet files")
    encoded: list[bytes] = []
    keys: list[str] = []
    labels: list[Any] = []
    frames: list[pd.DataFrame] = []
    names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    for number, file in enumerate(found):
        path = tree.root / file
        image = _image_column(path)
        if image is None:
            have = named(pyarrow.parquet.read_schema(path).names, 8)
            raise DataError(f"{path} has no column 'image' but {have}; call the column of encoded images so")
        rows = read_rows(path, image, label or "label", more=True)
        if number and rows.classes != names:
            raise DataError(f"{path.name} and {Path(found[0]).name} name different classes; align them")
        names = rows.classes
        own = len(set(rows.paths) - {""}) == len(rows.paths) and not set(rows.paths) & set(keys)
        keys += rows.paths if own else [f"{file} row {row}" for row in range(len(rows.encoded))]
        encoded += rows.encoded
        labels += [rows.labels] if len(rows.labels) else []
        frame, left = _others(rows.table, image, label or "label")
        frames.append(frame.assign(split=_SHARD.sub(r"\1", path.stem)))
        notes = (f"the columns {named(left)} of {tree.root} hold no plain values and were left out",) if left else ()
    if not encoded:
        raise DataError(f"the parquet files of {tree.root} hold no rows")
    codes, classes = label_codes(labels, names, label or "label")
    table = pd.concat(frames, ignore_index=True)
    table.insert(0, "label", [classes[code] for code in codes])
    splits = table.pop("split")
    if any(split_name(one) for one in splits.unique()):
        table["split"] = splits_of(list(splits))
    table = table.astype(object).where(table.notna(), None)
    return Listing(tree.root, "parquet", keys, table, classes, encoded, notes=notes)


def _image_column(path: Path) -> str | None:
    """The column of images: ``image``, else the only struct of bytes; None without one."""
    import pyarrow
    import pyarrow.parquet

    try:
        schema = pyarrow.parquet.read_schema(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{path} is not a readable parquet file ({error}); download it again") from None
    structs = [
        str(field.name)
        for field in schema
        if pyarrow.types.is_struct(field.type) and "bytes" in [one.name for one in field.type]
    ]
    if "image" in schema.names:
        return "image"
    return structs[0] if len(structs) == 1 else None


def _others(table: Any, image: str, label: str) -> tuple[pd.DataFrame, list[str]]:
    """The other columns as text, codes by their declared names; and the columns that hold lists or structs."""
    import pyarrow

    columns: dict[str, list[str | None]] = {}
    left = []
    for field in table.schema:
        if field.name in (image, label):
            continue
        if pyarrow.types.is_nested(field.type) or pyarrow.types.is_binary(field.type):
            left.append(field.name)
            continue
        names = declared_names(table.schema, field.name)
        values = table.column(field.name).to_pylist()
        if names is not None and pyarrow.types.is_integer(field.type):
            # A code of -1 is the convention for "not labeled".
            values = [names[value] if value is not None and 0 <= value < len(names) else None for value in values]
        columns[field.name] = [text_of(value) for value in values]
    return pd.DataFrame(columns, index=range(len(table)), dtype=object), left


def write(dataset: Dataset, folder: Path, *, attribute: str | None = None) -> list[str]:
    """``SPLIT-00000-of-00001.parquet`` with image (bytes and path), label and attributes, the last two as ClassLabel.

    Returns
    -------
    list of str
        What the files call every image.
    """
    import pyarrow
    import pyarrow.parquet

    column_clash(dataset, ("image",))
    columns = ("label", *dataset.attributes)
    features: dict[str, Any] = {"image": {"_type": "Image"}}
    features |= {name: {"names": list(dataset.table[name].cat.categories), "_type": "ClassLabel"} for name in columns}
    kinds = [
        ("image", pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])),
        *((name, pyarrow.int64()) for name in columns),
    ]
    schema = pyarrow.schema(kinds, metadata={"huggingface": json.dumps({"info": {"features": features}})})
    width = len(str(len(dataset) - 1))
    keys = [f"{safe(split)}/{row:0{width}d}.png" for row, split in enumerate(dataset.table["split"].astype(str))]
    with ThreadPoolExecutor() as pool:
        for split in dataset.splits:
            path = folder / f"{safe(split)}-00000-of-00001.parquet"
            with pyarrow.parquet.ParquetWriter(path, schema) as writer:
                for part in torch.split(torch.from_numpy(dataset.rows(split)), _CHUNK):
                    rows = part.numpy()
                    blobs = pool.map(_png, dataset.images.gather(part).cpu().permute(0, 2, 3, 1).numpy())
                    images = [{"bytes": blob, "path": keys[row]} for blob, row in zip(blobs, rows, strict=True)]
                    codes = {name: dataset.table[name].cat.codes.to_numpy(np.int64)[rows] for name in columns}
                    writer.write_table(pyarrow.table({"image": images, **codes}, schema=schema))
    return keys


def _png(pixels: Any) -> bytes:
    stream = io.BytesIO()
    as_image(pixels).save(stream, "PNG")
    return stream.getvalue()
