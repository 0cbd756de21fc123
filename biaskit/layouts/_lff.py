"""Folders of aligned and conflicting images, as in LfF and DisEnt: ``5pct/align/3/17_3_0.png``."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd

from biaskit.data import Dataset
from biaskit.errors import DataError
from biaskit.layouts._listing import Listing, named, own_attribute, safe
from biaskit.layouts._write import write_images
from biaskit.sources._tree import Tree, split_name, walk

__all__ = ["read", "shares", "write"]

_SIDES = ("align", "conflict")
#: ``17_3_0.png``: a name of any kind, the label, the attribute.
_NAME = re.compile(r".*_(\d+)_(\d+)$")


def shares(tree: Tree) -> list[str]:
    """The folders, such as ``5pct``, that hold ``align`` and ``conflict``; "" where it is the root itself.

    A folder that is called so may hold one of the two alone.
    """
    sides: dict[str, set[str]] = {}
    for path in tree.images:
        parts = path.split("/")[:-1]
        for place in range(min(2, len(parts))):
            if parts[place] in _SIDES:
                sides.setdefault("/".join(parts[:place]), set()).add(parts[place])
    called = {name: name or tree.root.resolve().name for name in sides}
    return sorted(name for name in sides if len(sides[name]) == len(_SIDES) or called[name].endswith("pct"))


def read(tree: Tree, *, label: str | None = None, drop: bool = False) -> Listing:
    """``5pct/align|conflict/LABEL/N_LABEL_ATTRIBUTE.png``, with ``valid`` beside them and ``test`` beside ``5pct``.

    The root is the folder of ``5pct`` or, where there are others like it, ``5pct`` itself. Label and attribute are the
    last two numbers of the file's name; the attribute is called ``a``.

    Raises
    ------
    DataError
        Several percentages, or a file name without the two numbers.
    """
    if label is not None:
        raise DataError(f"{tree.root} names labels in its file names; leave label out")
    found = shares(tree)
    if len(found) != 1:
        raise DataError(f"{tree.root} holds {named(found, 6) or 'no folders align and conflict'}; name one of them")
    if not found[0]:
        found = [tree.root.resolve().name]
        tree = _with_neighbors(tree)
    train = {f"{found[0]}/{side}/" for side in _SIDES}
    keys, rows, strange = [], [], []
    for path in tree.images:
        top, _, rest = path.partition("/")
        match = _NAME.match(path.rpartition(".")[0])
        split = split_name(rest.partition("/")[0] if top == found[0] else top) or top
        if any(path.startswith(one) for one in train):
            split = "train"
        if match is None or split == found[0]:
            strange.append(path)
            continue
        keys.append(path)
        rows.append((*match.groups(), split))
    if strange:
        raise DataError(
            f"{tree.root}: {len(strange):,} images are not of this layout ({named(strange)}); expected "
            f"{found[0]}/align/LABEL/N_LABEL_ATTRIBUTE.png, {found[0]}/valid/ and test/"
        )
    table = pd.DataFrame(rows, columns=["label", "a", "split"], dtype=object)
    return Listing(tree.root, "lff", keys, table)


def _with_neighbors(tree: Tree) -> Tree:
    """The training set together with the folders valid and test beside it, as paths below the folder of all three."""
    root = tree.root.resolve()
    images = [f"{root.name}/{path}" for path in tree.images]
    for name in ("valid", "test"):
        if (root.parent / name).is_dir():
            images += [f"{name}/{path}" for path in walk(root.parent / name).images]
    return Tree(root.parent, tuple(images), ())


def write(dataset: Dataset, folder: Path, *, attribute: str | None = None) -> list[str]:
    """Train as ``PERCENT/align|conflict/LABEL/``, val as ``PERCENT/valid/``, test and all others as ``SPLIT/LABEL/``.

    A training image is aligned where its attribute has the value most common with its label in train. Files are named
    ``ROW_LABEL_ATTRIBUTE.png`` with the codes of both; PERCENT is the share of conflicting images.

    Returns
    -------
    list of str
        The path of every image.

    Raises
    ------
    DataError
        No attribute, or no split train.
    """
    name = own_attribute(dataset, attribute, "lff")
    if "train" not in dataset.splits:
        raise DataError(f"{dataset.name} has no split train, which the layout lff is made for; take imagefolder")
    labels, codes = dataset.labels, dataset.table[name].cat.codes.to_numpy(np.int64)
    train = dataset.rows("train")
    counts = np.zeros((len(dataset.classes), len(dataset.table[name].cat.categories)), np.int64)
    np.add.at(counts, (labels[train], codes[train]), 1)
    aligned = codes == counts.argmax(axis=1)[labels]
    share = f"{100 * (1 - aligned[train].mean()):.3g}pct"
    width = len(str(len(dataset) - 1))
    keys = []
    for row, split in enumerate(dataset.table["split"].astype(str)):
        file = f"{row:0{width}d}_{labels[row]}_{codes[row]}.png"
        if split == "train":
            keys.append(f"{share}/{_SIDES[0] if aligned[row] else _SIDES[1]}/{labels[row]}/{file}")
        elif split == "val":
            keys.append(f"{share}/valid/{file}")
        else:
            keys.append(f"{safe(split)}/{labels[row]}/{file}")
    write_images(dataset, folder, keys)
    return keys
