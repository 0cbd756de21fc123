"""The data that a model is transferred to: loaded by name, drawn, and brought to the size of the model's images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from biaskit._build import load
from biaskit.data import Dataset
from biaskit.evidence import Ground
from biaskit.images import CHUNK, ArrayImages, Images
from biaskit.rng import numpy_generator

__all__ = ["Target", "target"]

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Target:
    """What is used of a data set, at the size of the model's images.

    Attributes
    ----------
    name : str
        As it was asked for.
    dataset : Dataset
        The training images that were drawn, then the test images, then the twins of those; 3 channels.
    rows : int64 array (len(dataset),)
        Where each stands in the data set as it is stored.
    note : str
        What was drawn and resized.
    fingerprint : str
        Of the data set as it is stored.
    """

    name: str
    dataset: Dataset
    rows: Rows
    note: str
    fingerprint: str

    @property
    def outside(self) -> Rows:
        """The test images, then their twins."""
        return np.flatnonzero((self.dataset.table["split"] != "train").to_numpy())


def target(name: str, shape: tuple[int, int, int], train: int, test: int) -> Target:
    """Load a data set by name and bring it to a shape (3, H, W), at most so many images of its train and test.

    Raises
    ------
    DataError, UnknownName
        Of :func:`biaskit.load`; a set without a split train or test.
    """
    data = load(name)
    parts = {split: _drawn(data, split, most) for split, most in (("train", train), ("test", test))}
    ground = Ground(data)
    images, twins = ground.twins if ground.twins is not None else (np.empty(0, np.int64),) * 2
    kept = np.isin(images, parts["test"])
    images, twins = images[kept], twins[kept]
    rows = np.concatenate([parts["train"], parts["test"], twins])
    table = data.table.iloc[rows].reset_index(drop=True)
    table["pair"] = _pairs(rows, images, twins)
    small = data.replace(images=_resized(data.images, rows, shape), table=table, masks=None, concepts=None)
    drawn = " and ".join(f"{len(parts[split]):,} of {len(data.rows(split)):,} {split}" for split in ("train", "test"))
    common = np.bincount(small.labels[small.rows("test")]).max() / len(parts["test"])
    notes = [
        f"{name}: {drawn} images",
        _how(data.images.shape, shape),
        f"the commonest label is {common:.1%} of test",
        f"flips swap {ground.attribute}" if len(twins) else "no twins, so no flips",
    ]
    return Target(name, small, rows, "; ".join(one for one in notes if one), data.fingerprint)


def _drawn(data: Dataset, split: str, most: int) -> Rows:
    """At most so many rows of a split in table order, the same for every model."""
    rows = data.rows(split)
    if len(rows) <= most:
        return rows
    return np.sort(numpy_generator(0, "transfer", split).choice(rows, most, replace=False))


def _pairs(rows: Rows, images: Rows, twins: Rows) -> Rows:
    """The partner of each of some rows, by its place among them; -1 without one."""
    place = np.full(int(rows.max()) + 1, -1, np.int64)
    place[rows] = np.arange(len(rows))
    pairs = np.full(len(rows), -1, np.int64)
    pairs[place[images]], pairs[place[twins]] = place[twins], place[images]
    return pairs


def _resized(images: Images, rows: Rows, shape: tuple[int, int, int]) -> ArrayImages:
    """Some images at a shape (3, H, W), gray repeated; on the CPU, where every machine gives the same bytes."""
    _, height, width = shape
    pixels = torch.empty((len(rows), height, width, 3), dtype=torch.uint8)
    for part, index in zip(torch.split(pixels, CHUNK), torch.split(torch.from_numpy(rows), CHUNK), strict=True):
        found = images.gather(index).cpu()
        if found.shape[2:] != (height, width):
            found = F.interpolate(found.float(), (height, width), mode="bilinear", antialias=True).round_()
        part.copy_(found.permute(0, 2, 3, 1))  # one channel is copied to all three
    return ArrayImages(pixels)


def _how(before: tuple[int, int, int], after: tuple[int, int, int]) -> str:
    said = [] if before[1:] == after[1:] else [f"resized from {before[2]} x {before[1]} to {after[2]} x {after[1]}"]
    if before[0] == 1:
        said.append("gray, repeated for three channels")
    return ", ".join(said)
