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
    """Whether every image lies two folders deep, and two domains or more have the same two classes or more."""
    splits = [split_name(folder) for folder in tree.folders]
    if any(path.count("/") != 2 for path in tree.images) or "train" in splits or all(splits):
        return False
    classes: dict[str, set[str]] = {}
    for path in tree.images:
        domain, name, _ = path.split("/")
        classes.setdefault(domain, set()).add(name)
    first = classes[tree.folders[0]]
    return len(classes) > 1 and len(first) > 1 and all(one == first for one in classes.values())


def read(tree: Tree, *, label: str | None = None, drop: bool = False) -> Listing:
    """``root/DOMAIN/CLASS/1.png``; the domain is the attribute ``domain``.

    Raises
    ------
    DataError
        An image that does not lie two folders deep.
    """
    if label is not None:
        raise DataError(f"{tree.root} names labels in its folders; leave label out")
    other = [path for path in tree.images if path.count("/") != 2]
    if other:
        raise DataError(f"{tree.root / other[0]} does not lie in DOMAIN/CLASS/; move it there, or out")
    parts = [path.split("/") for path in tree.images]
    table = pd.DataFrame({"label": [one[1] for one in parts], "domain": [one[0] for one in parts]}, dtype=object)
    note = f"{tree.root} was read as DOMAIN/CLASS/, with the attribute domain"
    return Listing(tree.root, "domainbed", tree.images, table, tuple(sorted(set(table["label"]))), notes=(note,))


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
