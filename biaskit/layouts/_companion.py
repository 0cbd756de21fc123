"""What the layouts of other tools have no place for: ``biaskit.toml`` and ``biaskit.parquet`` beside the images.

The first holds the card, the categories and the groups, the second the table, twins and their images included. Masks
and concepts stand in files of their own. The tools of the layout see none of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow
import tomli_w

from biaskit.data import Dataset
from biaskit.disk import check_format, read_planes, sha256, with_categories, write_planes, written_card
from biaskit.errors import DataError
from biaskit.layouts._listing import Listing, agree
from biaskit.layouts._parquet import read as read_parquet
from biaskit.layouts._write import column_clash
from biaskit.sources._tree import Tree
from biaskit.specs import read_toml

__all__ = ["CARD", "FILES", "holds", "read", "write"]

CARD, TABLE, _START = "biaskit.toml", "biaskit.parquet", "biaskit-"
FILES = (CARD, TABLE, f"{_START}masks.npy", f"{_START}concepts.npy")
#: The column of the image's path; no attribute is called so.
_FILE = "biaskit:file"


def holds(folder: Path) -> tuple[str, ...]:
    """The names of what :func:`write` and the layout's own writer left in a folder, the card first."""
    if not (folder / CARD).is_file():
        return (CARD,)
    return (CARD, *(str(name) for name in read_toml(folder / CARD).get("layout", {}).get("holds", ())))


def write(dataset: Dataset, folder: Path, layout: str, keys: Sequence[str]) -> None:
    """Write card, table, masks and concepts beside the images of a layout that is written already.

    Parameters
    ----------
    dataset : Dataset
    folder : Path
    layout : str
    keys : sequence of str
        The path of every image.

    Raises
    ------
    DataError
        An attribute is called as the column of paths.
    """
    column_clash(dataset, (_FILE,))
    pictures = set(keys)
    tables = [
        path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).as_posix() not in pictures
    ]
    sums = {path.relative_to(folder).as_posix(): sha256(path) for path in sorted(tables)}
    dataset.table.assign(**{_FILE: list(keys)}).to_parquet(folder / TABLE, index=False)
    write_planes(dataset, folder, _START)
    names = sorted({*(one.name for one in folder.iterdir()), CARD})
    told = {"name": layout, "channels": dataset.images.shape[0], "holds": names, "sha256": sums}
    (folder / CARD).write_text(tomli_w.dumps({**written_card(dataset), "layout": told}), encoding="utf-8")


def read(tree: Tree, *, drop: bool = False) -> Listing:
    """The listing of a folder that :func:`write` completed: the data set as it was before.

    Raises
    ------
    DataError
        A file of the layout was changed since, images are missing or were added, or a part of the set is missing.
    """
    card = read_toml(tree.root / CARD)
    remedy = f"delete {CARD} and {TABLE} to read the rest as any other folder"
    try:
        check_format(card, tree.root)
        told: dict[str, Any] = card["layout"]
        for name, digest in told["sha256"].items():
            if not (tree.root / name).is_file() or sha256(tree.root / name) != digest:
                raise DataError(f"{tree.root / name} was changed or removed since it was written; {remedy}")
        table = with_categories(pd.read_parquet(tree.root / TABLE), card, tree.root / CARD)
        keys = [str(key) for key in table.pop(_FILE)]
        group_by, channels = tuple(card["group_by"]), told["channels"]
        masks, concepts = read_planes(tree.root, card, _START)
    except (AttributeError, KeyError, TypeError, ValueError, OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{tree.root} cannot be read ({error}); {remedy}") from None
    encoded = None
    present: Sequence[str] = tree.images
    if told["name"] == "parquet":
        listing = read_parquet(tree)
        blobs = dict(zip(listing.keys, listing.encoded or (), strict=True))
        present = listing.keys
        encoded = [blobs.get(key, b"") for key in keys]
    both, left_out = agree(keys, present, TABLE, tree.root, drop=drop)
    for part in (masks, concepts):
        if part is not None and len(part) != len(keys):
            raise DataError(f"{tree.root} holds masks or concepts of {len(part):,} images and {len(keys):,} images")
    listing = Listing(
        tree.root,
        str(told["name"]),
        keys,
        table,
        tuple(table["label"].cat.categories),
        encoded,
        {key: value for key, value in card.items() if key != "layout"},
        group_by,
        channels,
        masks,
        concepts,
        left_out=left_out,
    )
    return listing.take([row for row, key in enumerate(keys) if key in both])
