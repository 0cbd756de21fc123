"""Half-splits: find the worst group in one half of the images, read it in the other."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

__all__ = ["half_splits"]

Array = NDArray[np.float64]
Counts = NDArray[np.int64] | NDArray[np.float64]
Kind = Literal["worst", "gap"]


def half_splits(groups: ArrayLike, rng: np.random.Generator, splits: int = 20) -> NDArray[np.bool_]:
    """Random halves of the images within each group, the same for all arms, seeds and comparisons.

    Parameters
    ----------
    groups : array_like of int (n,)
        Group id of each image.
    rng : numpy.random.Generator
    splits : int

    Returns
    -------
    ndarray of bool (splits, n)
        True: first half. Of an odd group the first half is the smaller.

    Examples
    --------
    >>> half_splits([0, 0, 1, 1, 1], np.random.default_rng(0), splits=1).sum()
    np.int64(2)
    """
    codes = np.asarray(groups)
    n = np.bincount(codes)
    order = np.argsort(codes, kind="stable")
    start = np.repeat(np.cumsum(n) - n, n)
    # Position of each image in its group; sorting random keys within groups shuffles them.
    within = np.arange(codes.size) - start
    first = within < np.repeat(n // 2, n)
    out = np.empty((splits, codes.size), bool)
    for split in range(splits):
        shuffled = np.argsort(codes[order] + rng.random(codes.size), kind="stable")
        out[split, order[shuffled]] = first
    return out


def by_group(x: Array, codes: NDArray[np.int64], count: int) -> Array:
    """Sums per group, (S, G)."""
    return np.stack([np.bincount(codes, row, minlength=count) for row in x])


def split_images(
    kind: Kind, x: Array, codes: NDArray[np.int64], splits: NDArray[np.bool_], sure: NDArray[np.int64]
) -> tuple[Array, Array, Array]:
    """Half-split value of each seed; share of (split, half, seed) in which each group was worst, and best."""
    size = np.bincount(codes)
    count, images = size.size, np.arange(codes.size)
    at = np.nonzero(splits)
    members = csr_array(
        (np.ones(at[0].size), (at[0] * count + codes[at[1]], images[at[1]])),
        (len(splits) * count, codes.size),
    )
    first = np.asarray(members @ x.T).reshape(len(splits), count, len(x))[:, sure]
    total = by_group(x, codes, count).T[sure]
    half = size[sure] // 2
    return split_counts(kind, first, total - first, half, size[sure] - half)


def split_counts(
    kind: Kind,
    first: Counts,
    second: Counts,
    n1: NDArray[np.int64],
    n2: NDArray[np.int64],
) -> tuple[Array, Array, Array]:
    """Find in one half, read in the other, both ways; counts are (splits, G, S). Ties share the reading."""
    halves: tuple[Array, Array] = (first / n1[:, None], second / n2[:, None])
    value, low, high = np.zeros(first.shape[2]), np.zeros(first.shape[1]), np.zeros(first.shape[1])
    for found, read in (halves, halves[::-1]):
        worst = _shares(found == found.min(1, keepdims=True))
        best = _shares(found == found.max(1, keepdims=True))
        pick = worst if kind == "worst" else best - worst
        value += (pick * read).sum(1).mean(0) / 2
        low += worst.mean((0, 2)) / 2
        high += best.mean((0, 2)) / 2
    return value, low, high


def _shares(chosen: NDArray[np.bool_]) -> Array:
    share: Array = chosen / chosen.sum(1, keepdims=True)
    return share
