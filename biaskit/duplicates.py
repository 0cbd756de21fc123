"""Images that are there twice: pixel for pixel, or saved anew, with pixels that hardly differ.

Every image is read once. What is kept of it is a digest of its pixels and a thumbnail of 8 x 8. Means lie closer
together than what they are means of, so images whose thumbnails are far apart cannot be near; only the nearest
thumbnails are looked at in full. All pairs are never held, and most thumbnails are never compared: they are sorted
along the direction in which they differ most, and two that lie further apart on it than the radius cannot be near.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch.nn import functional as F

from biaskit.data import Dataset
from biaskit.describe import png
from biaskit.images import CHUNK, Images

__all__ = ["NEAR", "Sketches", "duplicates", "nearest", "pictures", "seen_before", "sketches"]

#: Sides of a thumbnail.
_SIDE = 8
#: Images whose pixels, in [0, 1], differ by at most this, root mean square, are near-duplicates. Saving as JPEG at a
#: quality of 75 moves digits by .02 and small photos by .03; no two images of MNIST's 10,000 and 60,000 are as close.
NEAR = 0.03
#: Thumbnails are rounded, and their cells may overlap: what is looked at lies within this times the radius, and more.
_WIDER, _ROUNDED = 1.25, 0.002
#: Thumbnails compared at a time: some 50 MB of distances.
_BLOCK, _OTHERS = 512, 16_384
#: Thumbnails that fix the direction of sorting.
_SAMPLE = 10_000
#: Pairs in a picture.
_SHOWN = 12

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sketches:
    """What is kept of images.

    Attributes
    ----------
    digests : uint8 array (N, 16)
        Equal for equal pixels.
    thumbnails : uint8 array (N, d)
        8 x 8 means of the pixels, channel by channel; images with a shorter side keep it.
    """

    digests: Bytes
    thumbnails: Bytes


def duplicates(
    dataset: Dataset, splits: Sequence[str], near: float = NEAR
) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """Images of one split that an earlier one has as well; of the same split only those that are equal.

    Parameters
    ----------
    dataset : Dataset
    splits : sequence of str
        In this order.
    near : float
        Largest root mean square difference of the pixels, in [0, 1], of near-duplicates; 0 looks for equal pixels
        alone. Of each image only the one with the nearest thumbnail is measured.

    Returns
    -------
    list of dict
        Per split and earlier split (or itself): ``n``, ``exact``, ``near`` (None within a split, where they are not
        looked for), and ``other_label``, how many of these have another label there.
    DataFrame
        A row per image of a later split that an earlier one has: ``split, row, label, other, other_row, other_label,
        exact, distance``; of several the first equal one, or that of the nearest thumbnail.

    Examples
    --------
    >>> pixels = np.zeros((3, 4, 4), np.uint8)
    >>> pixels[1] = 255
    >>> data = Dataset.from_arrays(pixels, [0, 1, 1], split=["train", "train", "test"])
    >>> counts, pairs = duplicates(data, ["train", "test"])
    >>> counts[-1]
    {'split': 'test', 'other': 'train', 'n': 1, 'exact': 1, 'near': 0, 'other_label': 1}
    """
    rows = {split: dataset.rows(split) for split in splits}
    kept = {split: sketches(dataset.images, rows[split]) for split in splits}
    names = np.asarray(dataset.classes, dtype=object)
    counts: list[dict[str, Any]] = []
    tables = []
    for number, split in enumerate(splits):
        first = seen_before(kept[split].digests)
        again = np.flatnonzero(first != np.arange(len(first)))
        differ = dataset.labels[rows[split][again]] != dataset.labels[rows[split][first[again]]]
        place = {"split": split, "other": split, "n": len(first)}
        counts.append({**place, "exact": len(again), "near": None, "other_label": int(differ.sum())})
        for other in splits[:number]:
            index, exact = _candidates(kept[split], kept[other], near)
            distance = _distances(dataset.images, rows[split], rows[other], index)
            index = np.where(distance <= near, index, -1)
            found = np.flatnonzero(index >= 0)
            mine, theirs = rows[split][found], rows[other][index[found]]
            columns = {
                "split": split,
                "row": mine,
                "label": names[dataset.labels[mine]],
                "other": other,
                "other_row": theirs,
                "other_label": names[dataset.labels[theirs]],
                "exact": exact[found],
                "distance": distance[found],
            }
            tables.append(pd.DataFrame(columns, index=range(len(found))))
            same, differ = int(exact.sum()), dataset.labels[mine] != dataset.labels[theirs]
            seen = {"exact": same, "near": len(found) - same, "other_label": int(differ.sum())}
            counts.append({**place, "other": other, **seen})
    return counts, pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def _candidates(mine: Sketches, theirs: Sketches, near: float) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """For every image the one of another split that may be its like, -1 for none; whether its pixels are equal."""
    first = seen_before(np.concatenate([theirs.digests, mine.digests]))[len(theirs.digests) :]
    exact = first < len(theirs.digests)
    index = np.where(exact, first, -1)
    if near > 0:
        rest = np.flatnonzero(~exact)
        index[rest], _ = nearest(mine.thumbnails[rest], theirs.thumbnails, _WIDER * near + _ROUNDED)
    return index, exact


def _distances(images: Images, mine: Ints, theirs: Ints, index: Ints) -> Floats:
    """Root mean square difference of the pixels of images and their candidates; infinite where there is none."""
    found = np.full(len(index), np.inf)
    there = np.flatnonzero(index >= 0)
    for start in range(0, len(there), CHUNK):
        some = there[start : start + CHUNK]
        pair = (images.gather(torch.from_numpy(rows)).float() for rows in (mine[some], theirs[index[some]]))
        gaps = next(pair) - next(pair)
        found[some] = gaps.square().mean(dim=(1, 2, 3)).sqrt().numpy() / 255
    return found


def pictures(dataset: Dataset, pairs: pd.DataFrame) -> list[dict[str, Any]]:
    """The first pairs as pictures for a report: a line per pair, a column per split.

    Near-duplicates come first, the furthest apart of them first: equal pixels need no look.
    """
    shown = pairs.sort_values("distance", ascending=False, kind="stable").head(_SHOWN) if len(pairs) else pairs
    found = []
    for one in shown.to_dict("records"):
        index = torch.tensor([one["row"], one["other_row"]])
        pixels = dataset.images.gather(index).permute(0, 2, 3, 1).numpy()
        far = "equal pixels" if one["exact"] else f"distance {one['distance']:.3f}"
        line = {"analyzer": "duplicates", "figure": "in two splits, nearly equal ones first"}
        line["row"] = f"{one['split']} {one['row']}, {far}"
        for column, label, image in zip(("split", "other"), ("label", "other_label"), pixels, strict=True):
            drawn = np.ascontiguousarray(image if image.shape[2] == 3 else image.repeat(3, axis=2))
            uri = "data:image/png;base64," + base64.b64encode(png(drawn)).decode()
            found.append({**line, "column": one[column], "shared": True, "caption": one[label], "image": uri})
    return found


def sketches(images: Images, rows: Ints) -> Sketches:
    """Read some images once and keep a digest and a thumbnail of each.

    Parameters
    ----------
    images : Images
    rows : int array (N,)

    Returns
    -------
    Sketches

    Examples
    --------
    >>> from biaskit.images import ArrayImages
    >>> images = ArrayImages(np.arange(3 * 16 * 16 * 1, dtype=np.uint8).reshape(3, 16, 16, 1))
    >>> found = sketches(images, np.array([0, 2]))
    >>> found.digests.shape, found.thumbnails.shape
    ((2, 16), (2, 64))
    """
    channels, height, width = images.shape
    size = (min(_SIDE, height), min(_SIDE, width))
    digests = np.empty((len(rows), 16), np.uint8)
    thumbnails = np.empty((len(rows), channels * size[0] * size[1]), np.uint8)
    for start in range(0, len(rows), CHUNK):
        index = torch.from_numpy(rows[start : start + CHUNK])
        pixels = images.gather(index).contiguous()
        for place, one in enumerate(pixels.numpy(), start):
            digests[place] = np.frombuffer(hashlib.blake2b(one.tobytes(), digest_size=16).digest(), np.uint8)
        small = F.adaptive_avg_pool2d(pixels.float(), size).round_().to(torch.uint8)
        thumbnails[start : start + len(index)] = small.flatten(1).numpy()
    return Sketches(digests, thumbnails)


def seen_before(digests: Bytes) -> Ints:
    """For every image the first one with the same pixels: itself, where none is before it.

    Examples
    --------
    >>> seen_before(np.array([[1, 1], [2, 2], [1, 1]], np.uint8)).tolist()
    [0, 1, 0]
    """
    whole = np.ascontiguousarray(digests).view([("", np.uint8, digests.shape[1])]).ravel()
    _, first, group = np.unique(whole, return_index=True, return_inverse=True)
    return np.asarray(first[group.ravel()], np.int64)


def nearest(thumbnails: Bytes, others: Bytes, radius: float) -> tuple[Ints, Floats]:
    """For every thumbnail the nearest of the others within a radius.

    ``distance = sqrt(mean_d ((a_d - b_d) / 255)^2)``. Of any unit vector u, ``|u a - u b| <= |a - b|``: along the first
    principal axis only a window of the others can lie within the radius, and only that is compared.

    Parameters
    ----------
    thumbnails : uint8 array (N, d)
    others : uint8 array (M, d)
    radius : float
        In [0, 1].

    Returns
    -------
    index : int array (N,)
        Into the others; -1 where none is within the radius.
    distance : float array (N,)
        NaN there.

    Examples
    --------
    >>> others = np.array([[0, 0], [10, 13]], np.uint8)
    >>> index, distance = nearest(np.array([[10, 10], [90, 90]], np.uint8), others, radius=0.05)
    >>> index.tolist(), distance.round(4).tolist()
    ([1, -1], [0.0083, nan])
    """
    index, distance = np.full(len(thumbnails), -1, np.int64), np.full(len(thumbnails), np.nan)
    if not len(thumbnails) or not len(others):
        return index, distance
    # Around a whole center all products are whole numbers, exact in float32 up to 2^24; the winner is measured again.
    limit = radius * 255 * math.sqrt(others.shape[1])
    center = others[:: max(1, len(others) // _SAMPLE)].mean(0).round()
    axis = _axis(others, center)
    places, own = ((one.astype(np.float32) - center.astype(np.float32)) @ axis for one in (others, thumbnails))
    order, turn = np.argsort(places, kind="stable"), np.argsort(own, kind="stable")
    places, slack = places[order], limit + 1.0
    for start in range(0, len(turn), _BLOCK):
        mine = turn[start : start + _BLOCK]
        block = thumbnails[mine].astype(np.float32) - center.astype(np.float32)
        low, high = np.searchsorted(places, [own[mine[0]] - slack, own[mine[-1]] + slack])
        best, winner = np.full(len(mine), np.inf, np.float32), np.full(len(mine), -1, np.int64)
        for first in range(int(low), int(high), _OTHERS):
            there = order[first : min(first + _OTHERS, int(high))]
            other = others[there].astype(np.float32) - center.astype(np.float32)
            squares = (other**2).sum(1) - 2 * block @ other.T
            nearer = squares.argmin(1)
            least = squares[np.arange(len(mine)), nearer]
            better = least < best
            best[better], winner[better] = least[better], there[nearer[better]]
        found = np.flatnonzero(winner >= 0)
        gaps = thumbnails[mine[found]].astype(np.float64) - others[winner[found]]
        exact = np.sqrt((gaps**2).mean(1)) / 255
        close = exact <= radius
        index[mine[found[close]]], distance[mine[found[close]]] = winner[found[close]], exact[close]
    return index, distance


def _axis(others: Bytes, center: Floats) -> npt.NDArray[np.float32]:
    """The unit vector along which a sample of thumbnails varies most."""
    some = others[:: max(1, len(others) // _SAMPLE)].astype(np.float64) - center
    values, vectors = np.linalg.eigh(some.T @ some)
    return np.asarray(vectors[:, values.argmax()], np.float32)
