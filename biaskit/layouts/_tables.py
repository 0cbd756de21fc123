"""Tables that name files: read as text, and joined to what a layout lists."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow

from biaskit.data import RESERVED
from biaskit.errors import DataError, nearest
from biaskit.layouts._listing import FILE_COLUMNS, LABEL_COLUMNS, Listing, agree, below, named, splits_of, text_of

__all__ = ["column_of", "read_table", "relabeled", "with_attributes"]

#: What stands for nothing in a table of text.
_EMPTY = ["", "NaN", "nan", "NA", "N/A", "n/a", "null", "NULL", "<NA>"]


def read_table(path: Path) -> pd.DataFrame:
    """A table of text, None for an empty cell; by the file's suffix csv, tsv, jsonl or parquet.

    Raises
    ------
    DataError
        A file that is not there, is no table, or has no lines; cells that belong to no column, two columns of one
        name.
    """
    suffix = path.suffix.lower()
    try:
        if suffix in (".csv", ".tsv"):
            frame = _separated(path, "," if suffix == ".csv" else "\t")
        elif suffix == ".jsonl":
            lines = path.read_text(encoding="utf-8-sig").splitlines()
            frame = pd.DataFrame([json.loads(line) for line in lines if line.strip()], dtype=object)
        elif suffix == ".parquet":
            frame = pd.read_parquet(path)
        else:
            raise DataError(f"{path} is no table that is read here; give a .csv, .tsv, .jsonl or .parquet file")
    except (OSError, ValueError, AttributeError, pyarrow.ArrowException) as error:
        raise DataError(f"{path} cannot be read as a table ({' '.join(str(error).split())[:200]})") from None
    if not len(frame):
        raise DataError(f"{path} has no lines")
    # The index that pandas writes has no name; it says nothing about an image.
    frame = frame.loc[:, [not re.match(r"\s*$|Unnamed: ", str(name)) for name in frame.columns]]
    names = [str(name).strip() for name in frame.columns]
    again = [name for place, name in enumerate(names) if name in names[:place]]
    if again:
        raise DataError(f"{path} has two columns {again[0]!r}; rename one of them")
    columns = {name: [text_of(value) for value in frame.iloc[:, place]] for place, name in enumerate(names)}
    return pd.DataFrame(columns, dtype=object)


def _separated(path: Path, separator: str) -> pd.DataFrame:
    """A file of separated values; its first line is read as the others are, so that no cell may be left over."""
    lines = pd.read_csv(path, sep=separator, header=None, dtype=str, na_filter=False, encoding="utf-8-sig")
    names = ["" if pd.isna(name) else str(name) for name in lines.iloc[0]]
    other = next((one for one in ";\t," if one in names[0]), None) if len(names) == 1 else None
    if other is not None:
        raise DataError(f"{path} is separated by {other!r}; write it with {separator!r} between the cells")
    frame = lines.iloc[1:].set_axis(names, axis=1)
    return frame.astype(object).where(~frame.isin(_EMPTY), None)


def column_of(frame: pd.DataFrame, wanted: str | None, usual: Sequence[str], what: str, table: str) -> str | None:
    """The column that was asked for, else the first of the usual names that is there, in any case; None without one.

    Raises
    ------
    DataError
        What was asked for is not there; the message has the nearest name.
    """
    if wanted is not None:
        if wanted in frame.columns:
            return wanted
        close = nearest(wanted, [str(name) for name in frame.columns])
        hint = f"did you mean {close[0]}?" if close else f"it has {named(list(frame.columns), 8)}"
        raise DataError(f"{table} has no column {wanted!r} for the {what}; {hint}")
    lower = {str(name).lower(): str(name) for name in reversed(frame.columns)}
    return next((lower[name] for name in usual if name in lower), None)


def relabeled(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """A table with a column as its label, in the first place; another that is called label gives way to it."""
    values = frame[column]
    rest = frame.drop(columns=[name for name in ("label", column) if name in frame])
    rest.insert(0, "label", values)
    return rest


def with_attributes(listing: Listing, frame: pd.DataFrame, table: str, *, label: str | None, drop: bool) -> Listing:
    """A listing with the columns of a table of attributes, whose lines are checked against the images both ways.

    The images are named in the first column called like one of ``FILE_COLUMNS``, else in the first column: by their
    path below the root, or by the file name alone where no two files share one. ``label`` names the column of labels;
    without it, a column called label or y counts where the layout itself has none. A column ``split`` counts likewise.

    Raises
    ------
    DataError
        The table names none of the images, or not all of them and others; a column that cannot be an attribute.
    """
    files = column_of(frame, None, FILE_COLUMNS, "files", table) or str(frame.columns[0])
    lines = _keys(frame, files, listing, table)
    both, left_out = agree(lines, listing.keys, table, listing.root, drop=drop)
    frame = frame.drop(columns=files).set_axis(pd.Index(lines))
    listing = listing.take([row for row, key in enumerate(listing.keys) if key in both])
    old = listing.table.copy()
    new = frame.loc[list(listing.keys)].reset_index(drop=True)

    own = column_of(new, label, LABEL_COLUMNS if "label" not in old else (), "labels", table)
    if own is not None:
        values = new.pop(own)
        old = relabeled(old.assign(**{own: values}), own)
        new = new.drop(columns="label", errors="ignore")
    if "split" in new and "split" not in old:
        old["split"] = splits_of(list(new.pop("split")))
    for name in [str(one) for one in new.columns]:
        if name in old.columns:
            said = splits_of(list(new[name])) if name == "split" else list(new[name])
            if said != [text_of(value) for value in old[name]]:
                hint = f"; to read it from the table, give label={name}" if name == "label" else "; rename one of them"
                raise DataError(f"{table} and {listing.root} say different things about {name!r}{hint}")
            new = new.drop(columns=name)
        elif name in RESERVED:
            raise DataError(f"{table}: an attribute cannot be called {name!r}, results have a column of that name")
    if not len(new.columns) and own is None:
        raise DataError(f"{table} has no column but {files!r}; add one column per attribute")
    order = [name for name in old.columns if name not in ("split", "pair", "swapped")]
    rest = [name for name in old.columns if name not in order]
    joined = pd.concat([old[order], new, old[rest]], axis=1)
    return dataclasses.replace(
        listing,
        table=joined,
        classes=listing.classes if own is None else None,
        group_by=None if listing.group_by is None else (*listing.group_by, *map(str, new.columns)),
        left_out={**listing.left_out, **left_out},
    )


def _keys(frame: pd.DataFrame, column: str, listing: Listing, table: str) -> list[str]:
    """The image of every line, by path or by name."""
    empty = [row for row, value in enumerate(frame[column]) if value is None]
    if empty:
        raise DataError(f"{table}: column {column!r} is empty in {len(empty):,} lines (first: line {empty[0] + 2})")
    paths = [below(str(value), listing.root) for value in frame[column]]
    known = set(listing.keys)
    if any(path in known for path in paths):
        return paths
    by_name: dict[str, list[str]] = {}
    for key in listing.keys:
        by_name.setdefault(key.rpartition("/")[2], []).append(key)
    if not any(path in by_name for path in paths):
        raise DataError(
            f"no line of {table} names an image of {listing.root}: its column {column!r} begins with {paths[0]}, "
            f"the images with {listing.keys[0]}"
        )
    shared = [path for path in paths if len(by_name.get(path, ())) > 1]
    if shared:
        raise DataError(
            f"{table} names {shared[0]}, which is {named(by_name[shared[0]], 2)}; write paths below {listing.root}"
        )
    return [by_name[path][0] if path in by_name else path for path in paths]
