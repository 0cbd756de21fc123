"""Folders of domains with folders of classes, as in DomainBed: ``art/dog/1.png``."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from biaskit.data import TWIN, Dataset
from biaskit.errors import DataError
from biaskit.layouts._listing import Listing, own_attribute, safe
from biaskit.layouts._write import write_images
from biaskit.sources._tree import Tree, split_name

__all__ = ["fits", "read", "write"]

#: Where the domains are: a folder of their own, since DomainBed takes every folder beside them for one more.
_IMAGES = "images"


def fits(tree: Tree) -> bool:
    """Whether every image lies two folders deep, and two domains or more have the same two classes or more.

    They may all stand in one folder ``images``, as `write` puts them, with ``twin`` beside it.
    """
    paths = _below(tree)
    if any(path.count("/") != 2 for path in paths):
        return False
    classes: dict[str, set[str]] = {}
    for path in paths:
        domain, name, _ = path.split("/")
        classes.setdefault(domain, set()).add(name)
    splits = [split_name(domain) for domain in classes]
    if "train" in splits or all(splits):
        return False
    first = next(iter(classes.values()))
    return len(classes) > 1 and len(first) > 1 and all(one == first for one in classes.values())


def _inside(tree: Tree) -> bool:
    """Whether the domains stand in the folder that `write` makes for them."""
    return _IMAGES in tree.folders and {*tree.folders} <= {_IMAGES, TWIN} and all("/" in one for one in tree.images)


def _below(tree: Tree) -> list[str]:
    """The path of every image from its domain on; those of the folder ``twin`` are no images of a domain."""
    if not _inside(tree):
        return list(tree.images)
    return [path.removeprefix(f"{_IMAGES}/") for path in tree.images if path.startswith(f"{_IMAGES}/")]


def read(tree: Tree, *, label: str | None = None, drop: bool = False) -> Listing:
    """``root/DOMAIN/CLASS/1.png``, or ``root/images/DOMAIN/CLASS/1.png``; the domain is the attribute ``domain``.

    Raises
    ------
    DataError
        An image that does not lie two folders deep.
    """
    if label is not None:
        raise DataError(f"{tree.root} names labels in its folders; leave label out")
    paths = _below(tree)
    start = f"{_IMAGES}/" if _inside(tree) else ""
    other = [path for path in paths if path.count("/") != 2]
    if other:
        raise DataError(f"{tree.root / (start + other[0])} does not lie in DOMAIN/CLASS/; move it there, or out")
    parts = [path.split("/") for path in paths]
    table = pd.DataFrame({"label": [one[1] for one in parts], "domain": [one[0] for one in parts]}, dtype=object)
    notes = [f"{tree.root} was read as {start}DOMAIN/CLASS/, with the attribute domain"]
    if len(paths) < len(tree.images):
        left = len(tree.images) - len(paths)
        notes.append(f"{left:,} images in {TWIN}/ were left out: nothing says which images they are copies of")
    keys = [start + path for path in paths]
    return Listing(tree.root, "domainbed", keys, table, tuple(sorted(set(table["label"]))), notes=tuple(notes))


def write(dataset: Dataset, folder: Path, *, attribute: str | None = None) -> list[str]:
    """``images/VALUE/LABEL/0.png`` for every value of an attribute, of all splits together; twins in ``twin/``.

    Returns
    -------
    list of str
        The path of every image.

    Raises
    ------
    DataError
        No attribute.
    """
    name = own_attribute(dataset, attribute, "domainbed")
    columns = (dataset.table[one].astype(str) for one in ("split", name, "label"))
    width = len(str(len(dataset) - 1))
    keys = [
        f"{TWIN if split == TWIN else _IMAGES}/{safe(value)}/{safe(label)}/{row:0{width}d}.png"
        for row, (split, value, label) in enumerate(zip(*columns, strict=True))
    ]
    write_images(dataset, folder, keys)
    return keys
