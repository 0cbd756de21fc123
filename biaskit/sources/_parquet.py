from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from biaskit.data import Source
from biaskit.errors import DataError
from biaskit.images import open_images
from biaskit.sources._files import places


def parquet(
    root: Path | None = None,
    *,
    image: str = "image",
    label: str = "label",
    size: Annotated[int, Field(ge=1)] | None = None,
    folder: str = "",
) -> Source:
    """Parquet files in the Hugging Face image convention: train*.parquet and test*.parquet.

    The image column is a struct of ``bytes`` (an encoded image) and ``path``, or bytes alone. Class names are
    those of the ``ClassLabel`` feature in the schema's ``huggingface`` metadata; without it, string labels
    name themselves and integer labels are written as numbers. Where there is no test file,
    ``validation*.parquet`` is the test set.

    Images are decoded into memory once where they take up to 4 GiB, else when asked for; the encoded bytes
    are held in memory either way.

    Parameters
    ----------
    root : Path
        Folder of the files, which may stand in its subfolder ``data``, as in a downloaded repository.
    image, label : str
        Names of the columns.
    size : int, optional
        Side in pixels: the shorter side is resized to it and the center is cut out. Without it all images
        must have one size.
    folder : str
        For cards: the name of a folder that is looked for under ``root``, ``BIASKIT_DATA`` and ``BIASKIT_HOME/data``.
        Without it, ``root`` is the folder itself.

    Returns
    -------
    Source
        Images (3, H, W), train first; files in order of their names, rows in order.

    Raises
    ------
    DataError
        No files, a missing column or one of another type, an empty cell, a label without a class name, files
        that disagree about class names, or an image that cannot be decoded.

    References
    ----------
    Hugging Face Datasets, features ``Image`` and ``ClassLabel``.
    """
    root = _root(root, folder)
    files = _files(root)
    encoded: list[bytes] = []
    names: list[str] = []
    labels: list[npt.NDArray[Any]] = []
    declared: tuple[Path, tuple[str, ...] | None] | None = None
    counts = {"train": 0, "test": 0}
    for split, paths in files.items():
        for path in paths:
            rows = read_rows(path, image, label)
            if declared is not None and declared[1] != rows.classes:
                raise DataError(
                    f"{path.name} and {declared[0].name} name different classes in their metadata; align them"
                )
            declared = (path, rows.classes)
            encoded += rows.encoded
            names += [f"{path.name} row {row}" for row in range(len(rows.encoded))]
            labels += [rows.labels] if len(rows.labels) else []
            counts[split] += len(rows.encoded)
    empty = [split for split, count in counts.items() if count == 0]
    if empty:
        raise DataError(f"the {empty[0]} files of {root} hold no rows")
    codes, known = label_codes(labels, declared[1] if declared else None, label)
    split_column = np.repeat(list(counts), list(counts.values()))
    images, _ = open_images(encoded, size=size, names=names)
    return Source(images, codes, known, split_column, root.resolve().name)


@dataclass(frozen=True)
class Rows:
    """What one file holds.

    Attributes
    ----------
    encoded : list of bytes
        The images.
    paths : list of str
        What the image column calls them, empty where it does not.
    labels : array of integers or of str
    classes : tuple of str, optional
        The declared names of integer labels.
    table : pyarrow.Table
        The whole file, for its other columns.
    """

    encoded: list[bytes]
    paths: list[str]
    labels: npt.NDArray[Any]
    classes: tuple[str, ...] | None
    table: Any


def _root(root: Path | None, folder: str) -> Path:
    if folder:
        searched = [place / folder for place in places(root)]
        found = next((one for one in searched if one.is_dir()), None)
        if found is None:
            raise DataError(
                f"no folder {folder} of train*.parquet and test*.parquet; looked in "
                f"{', '.join(str(one) for one in searched)}; name the folder above it with --root or BIASKIT_DATA"
            )
        return found
    if root is None or not root.is_dir():
        raise DataError(
            f"source parquet needs --root, a folder of train*.parquet and test*.parquet; got {root or 'none'}"
        )
    return root


def _files(root: Path) -> dict[str, list[Path]]:
    place = next((one for one in (root, root / "data") if one.is_dir() and any(one.glob("*.parquet"))), root)
    found = {split: sorted(place.glob(f"{split}*.parquet")) for split in ("train", "test", "validation")}
    held = found["test"] or found["validation"]
    if not found["train"] or not held:
        listed = ", ".join(sorted(path.name for path in place.glob("*.parquet"))[:6]) or "no parquet files"
        raise DataError(f"{place} holds {listed}; expected train*.parquet and test*.parquet (or validation*.parquet)")
    return {"train": found["train"], "test": held}


def read_rows(path: Path, image: str, label: str, *, more: bool = False) -> Rows:
    """Read one file: images and labels, and with ``more`` every other column.

    Raises
    ------
    DataError
        As :func:`parquet`.
    """
    import pyarrow
    import pyarrow.compute
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as opened:
            schema = opened.schema_arrow
            for role, column in (("image", image), ("label", label)):
                if column not in schema.names:
                    listed = ", ".join(schema.names)
                    raise DataError(f"{path.name} has no column {column!r} but {listed}; give {role}=NAME")
            table = opened.read(columns=None if more else sorted({image, label}))
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{path} is not a readable parquet file ({error}); download it again") from None
    pixels, paths = table.column(image), [""] * len(table)
    if pyarrow.types.is_struct(pixels.type) and "bytes" in [field.name for field in pixels.type]:
        if "path" in [field.name for field in pixels.type]:
            paths = [one or "" for one in pyarrow.compute.struct_field(pixels, "path").to_pylist()]
        pixels = pyarrow.compute.struct_field(pixels, "bytes")
    if not (pyarrow.types.is_binary(pixels.type) or pyarrow.types.is_large_binary(pixels.type)):
        raise DataError(f"{path.name}: column {image!r} is {pixels.type}; expected struct<bytes: binary, path: string>")
    for column, values in ((image, pixels), (label, table.column(label))):
        if values.null_count:
            raise DataError(f"{path.name}: column {column!r} is empty in {values.null_count:,} rows; fill or drop them")
    labels = np.array(table.column(label).to_pylist())
    if len(labels) and labels.dtype.kind not in "iuU":
        raise DataError(f"{path.name}: column {label!r} is {table.column(label).type}; labels are integers or strings")
    return Rows(pixels.to_pylist(), paths, labels, declared_names(schema, label), table)


def declared_names(schema: Any, column: str) -> tuple[str, ...] | None:
    """The names of a column's codes in the schema's metadata; None where there are none."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(str(name) for name in features[column]["names"])
    except (KeyError, TypeError, ValueError):
        return None


def label_codes(
    labels: list[npt.NDArray[Any]], classes: tuple[str, ...] | None, label: str
) -> tuple[npt.NDArray[np.int64], tuple[str, ...]]:
    """The labels of all files as indices into the class names.

    Raises
    ------
    DataError
        Integers in some files and strings in others, or an integer without a name.
    """
    if len({values.dtype.kind == "U" for values in labels}) > 1:
        raise DataError(f"column {label!r} holds integers in some files and strings in others; align them")
    values = np.concatenate(labels)
    if values.dtype.kind in "iu" and classes is not None:
        outside = values[(values < 0) | (values >= len(classes))]
        if len(outside):
            raise DataError(f"{label} {outside[0]} has no name: the metadata lists {len(classes)} classes")
        return values.astype(np.int64), classes
    unique, codes = np.unique(values, return_inverse=True)
    return codes.astype(np.int64), tuple(str(value) for value in unique)
