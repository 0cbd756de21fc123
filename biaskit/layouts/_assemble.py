"""From what a layout says to a Dataset: attributes and the test set are settled, cells checked, images decoded."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from biaskit.data import RESERVED, TWIN, Dataset
from biaskit.errors import DataError, nearest
from biaskit.images import Images, open_images
from biaskit.layouts._listing import Listing, named, ordered
from biaskit.sources._tree import split_name

__all__ = ["MOST_VALUES", "assembled"]

#: A column of more different values than this is no attribute unless it is asked for: it is an id, or a caption.
MOST_VALUES = 100


def assembled(
    listing: Listing,
    *,
    size: int | None,
    resize: int | None,
    split: str | None,
    group_by: Sequence[str] | None,
    drop: bool,
    skip_corrupt: bool,
) -> Dataset:
    """The Dataset of a listing; :func:`biaskit.layouts.open_data` tells of the options.

    Raises
    ------
    DataError
    """
    if "label" not in listing.table:
        raise DataError(
            f"{listing.root} has no labels: expected a folder for each of two classes or more, or a table with a "
            "column label or y; another column is named by label of open_data, or --label of biaskit convert"
        )
    if size is not None and (listing.masks is not None or listing.concepts is not None):
        note = f"the masks and concepts of {listing.root} were left out: they do not fit images resized to {size}"
        listing = dataclasses.replace(listing, masks=None, concepts=None, notes=(*listing.notes, note))
    classes = listing.classes or ordered(str(one) for one in listing.table["label"].dropna())
    listing = _tested(_without_lone_twins(listing), split)
    listing = _filled(_with_columns(listing, group_by), drop=drop)
    images, bad = _opened(listing, size, resize, skip=skip_corrupt)
    skipped = {listing.keys[row]: reason for row, reason in bad.items()}
    listing = listing.take([row for row in range(len(listing.keys)) if row not in bad])
    if len(listing.keys) != len(images):  # the twin of a skipped image goes as well
        images, _ = _opened(listing, size, resize, skip=False)
    groups = tuple(group_by) if group_by is not None else listing.group_by
    if groups is None:
        groups = tuple(_attributes(listing.table))
    # What is missing comes first: a terminal shows the first few notes alone.
    notes = [*listing.card.get("notes", ()), *_missing(listing, skipped), *listing.notes, *_alone(listing, groups)]
    told = {key: one for key, one in listing.card.items() if key != "concepts" or listing.concepts is not None}
    name = listing.root.resolve().name
    card = {
        **(told or {"name": name, "summary": f"read from a folder of the layout {listing.layout}"}),
        **({"skipped": skipped} if skipped else {}),
        **({"left_out": dict(listing.left_out)} if listing.left_out else {}),
        **({"notes": list(dict.fromkeys(notes))} if notes else {}),
    }
    return Dataset(images, _table(listing, classes), card, groups, listing.masks, listing.concepts)


def _attributes(table: pd.DataFrame) -> list[str]:
    return [str(name) for name in table.columns if name not in ("label", "split", "pair", "swapped")]


def _without_lone_twins(listing: Listing) -> Listing:
    """Without the rows of a split twin whose originals are not told: they are copies of test images."""
    if "pair" in listing.table or "split" not in listing.table:
        return listing
    twins = (listing.table["split"] == TWIN).to_numpy()
    if not twins.any():
        return listing
    note = f"{int(twins.sum()):,} images of the split twin were left out: nothing says which images they are copies of"
    return dataclasses.replace(listing.take(np.flatnonzero(~twins).tolist()), notes=(*listing.notes, note))


def _tested(listing: Listing, wanted: str | None) -> Listing:
    """The listing with a split ``test``: the wanted one, else its own, else val, else all images."""
    table = listing.table
    if "split" not in table:
        if wanted is not None:
            raise DataError(f"{listing.root} tells of no splits; leave split={wanted} out")
        note = f"{listing.root} tells of no splits: all its images are test images"
        return dataclasses.replace(listing, table=table.assign(split="test"), notes=(*listing.notes, note))
    if wanted is None and "pair" in table:
        return listing
    splits = table["split"].astype(object)
    empty = int(splits.isna().sum())
    if empty:
        raise DataError(f"the split is empty for {empty:,} images of {listing.root}; give them one")
    have = list(dict.fromkeys(splits))
    notes = listing.notes
    if wanted is None:
        if "test" in have:
            return listing
        if "val" not in have:
            raise DataError(
                f"{listing.root} has no split test but {', '.join(have)}; name the one to test on with split"
            )
        wanted = "val"
        notes = (*notes, f"{listing.root} has no split test: val was taken")
    elif wanted not in have and (split_name(wanted) or wanted) not in have:
        raise DataError(f"{listing.root} has no split {wanted!r}; its splits are {', '.join(have)}")
    wanted = wanted if wanted in have else split_name(wanted)
    # Twins are those of the split test.
    kept = splits.isin([wanted, "train", *([TWIN] if wanted == "test" else [])]).to_numpy()
    if not kept.all():
        others = [one for one in have if one not in set(splits[kept])]
        notes = (*notes, f"{int((~kept).sum()):,} images of other splits ({named(others)}) were left out")
    found = listing.take(np.flatnonzero(kept).tolist())
    renamed = found.table["split"].astype(object).replace(wanted, "test")
    return dataclasses.replace(found, table=found.table.assign(split=renamed), notes=notes)


def _with_columns(listing: Listing, group_by: Sequence[str] | None) -> Listing:
    """The listing with the columns that are attributes; others are left out, and said.

    A column is left out that results have a name for, or that has too many values, or that is empty in places while
    the groups are made of others.
    """
    table = listing.table
    have = _attributes(table)
    for name in group_by or ():
        if name not in have:
            close = nearest(name, have)
            hint = f"did you mean {close[0]}?" if close else f"its attributes are {named(have, 8) or 'none'}"
            raise DataError(f"{listing.root} has no attribute {name!r} to group by; {hint}")
    notes = listing.notes
    for name in have:
        if isinstance(table[name].dtype, pd.CategoricalDtype) or name in (group_by or ()):
            continue
        values = table[name].nunique()
        if name in RESERVED:
            why = "results have a column of that name"
        elif values > MOST_VALUES:
            why = f"it has {values:,} different values, and was not named in group_by"
        elif group_by is not None and table[name].isna().any():
            why = "it is empty for some images, and was not named in group_by"
        else:
            continue
        table = table.drop(columns=name)
        notes = (*notes, f"the column {name} was left out: {why}")
    groups = listing.group_by
    if groups is not None:
        groups = tuple(name for name in groups if name in table)
    return dataclasses.replace(listing, table=table, notes=notes, group_by=groups)


def _filled(listing: Listing, *, drop: bool) -> Listing:
    """The listing without empty cells: an error, or with ``drop`` the images are left out."""
    table = listing.table
    left_out = dict(listing.left_out)
    keep = np.ones(len(table), bool)
    for name in ("label", *_attributes(table)):
        empty = table[name].isna().to_numpy()
        if not empty.any():
            continue
        keys = [listing.keys[row] for row in np.flatnonzero(empty).tolist()]
        if not drop:
            raise DataError(
                f"{name} is empty for {len(keys):,} images of {listing.root} ({named(keys)}); "
                "fill it in, or give drop (--drop on the command line) to leave them out"
            )
        left_out.update(dict.fromkeys(keys, f"{name} is empty"))
        keep &= ~empty
    if not keep.any():
        raise DataError(f"{listing.root} has no image left: {named([*left_out])}")
    return dataclasses.replace(listing.take(np.flatnonzero(keep).tolist()), left_out=left_out)


def _opened(listing: Listing, size: int | None, resize: int | None, *, skip: bool) -> tuple[Images, dict[int, str]]:
    encoded: Any = listing.encoded or [listing.root / key for key in listing.keys]
    names = [str(listing.root / key) for key in listing.keys]
    return open_images(encoded, size=size, resize=resize, channels=listing.channels, names=names, skip=skip)


def _missing(listing: Listing, skipped: dict[str, str]) -> list[str]:
    """How many images were skipped, and how many were left out for which reason."""
    notes = []
    if skipped:
        notes.append(f"{len(skipped):,} images could not be read and were skipped: {named(list(skipped))}")
    reasons: dict[str, list[str]] = {}
    for key, why in listing.left_out.items():
        reasons.setdefault(why, []).append(key)
    if reasons:
        told = (f"{why}: {len(keys):,} ({named(keys)})" for why, keys in reasons.items())
        notes.append(f"left out: {'; '.join(told)}")
    return notes


def _alone(listing: Listing, groups: Sequence[str]) -> list[str]:
    """The attributes that are the same for every image."""
    found = {name: listing.table[name].unique() for name in groups}
    return [
        f"{name} is {values[0]} for every image: there is no other group to compare with"
        for name, values in found.items()
        if len(values) == 1
    ]


def _table(listing: Listing, classes: Sequence[str]) -> pd.DataFrame:
    """The table of a Dataset; columns that are categorical already keep their categories."""
    found = listing.table
    columns: dict[str, Any] = {}
    for name in ("label", *_attributes(found), "split"):
        column = found[name]
        if isinstance(column.dtype, pd.CategoricalDtype):
            columns[name] = column
            continue
        order = classes if name == "label" else ordered(column)
        columns[name] = pd.Categorical(column, categories=list(order))
    table = pd.DataFrame(columns)
    if "pair" in found:
        return table.assign(pair=found["pair"].to_numpy(np.int64), swapped=found["swapped"])
    blank: Any = pd.Categorical([""] * len(found), categories=[""])
    return table.assign(pair=np.int64(-1), swapped=blank)
