"""Worst-group accuracy and max-min gap: extremes, which chance alone makes look worse than they are.

The point estimate is a half-split: the worst group is found in one half of the images and read in the other.
The interval takes the interval of every group and pays for having looked at all of them.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from biaskit.errors import DataError
from biaskit.stats._arms import korn_graubard
from biaskit.stats._attribute import ENOUGH
from biaskit.stats._halves import Kind, by_group, split_counts, split_images
from biaskit.stats._intervals import Ends, clopper_pearson, spread_interval, worst_interval
from biaskit.stats._pair import Difference, Pair, checked

__all__ = [
    "Extreme", "arm_max_min_gap", "arm_worst_group", "max_min_gap", "max_min_gap_difference",
    "worst_group", "worst_group_difference",
]  # fmt: skip

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Extreme:
    """Worst-group accuracy or max-min gap.

    Attributes
    ----------
    observed : float
        As seen, over the groups with at least ten images: too low for the worst group, too high for the gap.
    estimate : float
        Half-split estimate, without that bias.
    low, high : float
        Interval of the true value, over all groups it keeps.
    worst, best : int
        Ids of the groups observed lowest and highest; of an arm, most often over its seeds. -1 where there is
        none.
    n : int
        Images of the worst group.
    insufficient : tuple of int
        Groups with fewer than ten images: in the interval, not in the estimates.
    left_out : tuple of int
        Groups below ``min_n``: in nothing.
    reason : str
        Why the estimates are NaN; empty where they are not.
    """

    observed: float
    estimate: float
    low: float
    high: float
    worst: int
    best: int
    n: int
    insufficient: tuple[int, ...]
    left_out: tuple[int, ...]
    reason: str = ""


def worst_group(
    correct: ArrayLike,
    n: ArrayLike,
    rng: np.random.Generator,
    splits: int = 50,
    min_n: int = 0,
    level: float = 0.95,
) -> Extreme:
    """Worst-group accuracy of one model.

    Interval ``[min_g low_g(a), min_g high_g(a / G)]`` of Clopper-Pearson ends with ``a = (1 - level) / 2``;
    point estimate by half-split, from the counts alone (a hypergeometric draw).

    Parameters
    ----------
    correct, n : array_like of int (G,)
        Counts per group; empty groups count for nothing.
    rng : numpy.random.Generator
        For the splits.
    splits : int
        Random halvings; 50 leave about a tenth of the estimate's own spread.
    min_n : int
        Groups with fewer images are left out altogether. Groups under ten images never enter the estimates,
        but widen the interval unless this leaves them out.
    level : float
        Coverage.

    Returns
    -------
    Extreme

    Raises
    ------
    DataError
        Shapes differ, or correct lies outside 0 .. n.

    References
    ----------
    Berger 1982, Technometrics 24:295; Clopper & Pearson 1934.

    Examples
    --------
    >>> wga = worst_group([90, 95, 3], [100, 100, 3], np.random.default_rng(0))
    >>> wga.observed, wga.worst, wga.insufficient, round(wga.low, 2)
    (0.9, 0, (2,), 0.29)
    """
    return _one_model("worst", correct, n, rng, splits, min_n, level)


def max_min_gap(
    correct: ArrayLike,
    n: ArrayLike,
    rng: np.random.Generator,
    splits: int = 50,
    min_n: int = 0,
    level: float = 0.95,
) -> Extreme:
    """Highest minus lowest group accuracy of one model.

    Interval: low ``max(0, max_g low_g(a / 2G) - min_g high_g(a / 2G))``, high the largest Newcombe limit of
    any pair.

    Parameters
    ----------
    correct, n, rng, splits, min_n, level
        As in `worst_group`.

    Returns
    -------
    Extreme
        The half-split estimate may be a little below 0 where there is no gap.

    Examples
    --------
    >>> gap = max_min_gap([90, 90], [100, 100], np.random.default_rng(0))
    >>> gap.observed, gap.low
    (0.0, 0.0)
    """
    return _one_model("gap", correct, n, rng, splits, min_n, level)


def arm_worst_group(
    x: ArrayLike, groups: ArrayLike, splits: NDArray[np.bool_], min_n: int = 0, level: float = 0.95
) -> Extreme:
    """Worst-group accuracy of one arm over its seeds.

    The bounds of `worst_group` on the intervals of `arm_rate`; point estimates are means over seeds.

    Parameters
    ----------
    x : array_like of 0/1 (S, n)
    groups : array_like of int (n,)
        Group id of each image.
    splits : ndarray of bool (splits, n)
        From `half_splits`.
    min_n, level
        As in `worst_group`.

    Returns
    -------
    Extreme

    Examples
    --------
    >>> from biaskit.stats import half_splits
    >>> groups = np.repeat([0, 1], 20)
    >>> x = np.r_[np.zeros(4), np.ones(36)] * np.ones((3, 1))
    >>> wga = arm_worst_group(x, groups, half_splits(groups, np.random.default_rng(0)))
    >>> round(wga.observed, 6), round(wga.estimate, 6), wga.worst, wga.n
    (0.8, 0.8, 0, 20)
    """
    return _one_arm("worst", x, groups, splits, min_n, level)


def arm_max_min_gap(
    x: ArrayLike, groups: ArrayLike, splits: NDArray[np.bool_], min_n: int = 0, level: float = 0.95
) -> Extreme:
    """Max-min gap of one arm over its seeds; see `arm_worst_group` and `max_min_gap`.

    Parameters
    ----------
    x, groups, splits, min_n, level
        As in `arm_worst_group`.

    Returns
    -------
    Extreme

    Examples
    --------
    >>> from biaskit.stats import half_splits
    >>> groups = np.repeat([0, 1], 20)
    >>> x = np.r_[np.zeros(4), np.ones(36)] * np.ones((3, 1))
    >>> round(arm_max_min_gap(x, groups, half_splits(groups, np.random.default_rng(0))).observed, 6)
    0.2
    """
    return _one_arm("gap", x, groups, splits, min_n, level)


def worst_group_difference(
    a: ArrayLike,
    b: ArrayLike,
    groups: ArrayLike,
    splits: NDArray[np.bool_],
    seeds_a: Sequence[Hashable] | None = None,
    seeds_b: Sequence[Hashable] | None = None,
    *,
    predictions: tuple[ArrayLike, ArrayLike] | None = None,
) -> Difference:
    """Difference b - a of two arms in worst-group accuracy.

    ``e -+ (h + bias)``: e the difference of half-split estimates per seed, h as in `difference` with the
    groups weighted by how often each arm found them worst, bias the distance between e and the observed
    difference. p solves ``h(p) = max(0, |e| - bias)``.

    Parameters
    ----------
    a, b : array_like of 0/1 (S_a, n), (S_b, n)
    groups : array_like of int (n,)
        Group id of each image; groups under ten images do not enter.
    splits : ndarray of bool (splits, n)
        From `half_splits`, the same for all comparisons.
    seeds_a, seeds_b, predictions
        As in `difference`.

    Returns
    -------
    Difference
        `bias` holds the bias term; a and b are half-split estimates.

    References
    ----------
    Armstrong & Kolesár 2020, Quant Econ 11:1 (bias-aware intervals).

    Examples
    --------
    >>> from biaskit.stats import half_splits
    >>> rng = np.random.default_rng(0)
    >>> groups = np.repeat([0, 1], 500)
    >>> low, high = np.where(groups == 0, 0.6, 0.9), np.where(groups == 0, 0.8, 0.9)
    >>> a, b = rng.random((5, 1000)) < low, rng.random((5, 1000)) < high
    >>> d = worst_group_difference(a, b, groups, half_splits(groups, rng))
    >>> d.low < 0.2 < d.high, d.p < 0.01
    (True, True)
    """
    return _extreme_difference("worst", Pair.of(a, b, seeds_a, seeds_b, predictions), groups, splits)


def max_min_gap_difference(
    a: ArrayLike,
    b: ArrayLike,
    groups: ArrayLike,
    splits: NDArray[np.bool_],
    seeds_a: Sequence[Hashable] | None = None,
    seeds_b: Sequence[Hashable] | None = None,
    *,
    predictions: tuple[ArrayLike, ArrayLike] | None = None,
) -> Difference:
    """Difference b - a of two arms in max-min gap; see `worst_group_difference`.

    Parameters
    ----------
    a, b, groups, splits, seeds_a, seeds_b, predictions
        As in `worst_group_difference`.

    Returns
    -------
    Difference

    Examples
    --------
    >>> from biaskit.stats import half_splits
    >>> rng = np.random.default_rng(0)
    >>> groups = np.repeat([0, 1], 500)
    >>> a, b = rng.random((5, 1000)) < np.where(groups == 0, 0.6, 0.9), rng.random((5, 1000)) < 0.9
    >>> d = max_min_gap_difference(a, b, groups, half_splits(groups, rng))
    >>> d.low < -0.3 < d.high
    True
    """
    return _extreme_difference("gap", Pair.of(a, b, seeds_a, seeds_b, predictions), groups, splits)


def _one_model(
    kind: Kind,
    correct: ArrayLike,
    n: ArrayLike,
    rng: np.random.Generator,
    splits: int,
    min_n: int,
    level: float,
) -> Extreme:
    k, size = np.asarray(correct).ravel().astype(np.int64), np.asarray(n).ravel().astype(np.int64)
    if k.shape != size.shape or np.any((k < 0) | (k > size)):
        raise DataError(f"correct lies between 0 and n in every group; got {k.size} and {size.size} groups")
    kept, sure = _groups(size, min_n)
    half = size[sure] // 2
    first = rng.hypergeometric(k[sure], (size - k)[sure], half, size=(splits, half.size)) if sure.size else None
    read = None
    if first is not None:
        read = split_counts(kind, first[..., None], (k[sure] - first)[..., None], half, size[sure] - half)[0]

    def ends(tail: float) -> tuple[Array, Array]:
        low, high = clopper_pearson(k[kept], size[kept], 1 - 2 * tail)
        return low, high

    rates = (k / np.maximum(size, 1))[None]
    return _extreme(kind, rates, size, kept, sure, read, ends, (1 - level) / 2, min_n)


def _one_arm(
    kind: Kind, x: ArrayLike, groups: ArrayLike, splits: NDArray[np.bool_], min_n: int, level: float
) -> Extreme:
    table, codes = checked(x, "x"), _codes(groups, splits)
    size = np.bincount(codes)
    kept, sure = _groups(size, min_n)
    seeds = len(table)
    rates = by_group(table, codes, size.size) / np.maximum(size, 1)
    var_seed = rates.var(0, ddof=1) / seeds if seeds > 1 else np.full(size.size, np.nan)
    mean = table.mean(0)
    rest = (mean - rates.mean(0)[codes]) ** 2
    noise = table.var(0, ddof=1) / seeds if seeds > 1 else np.zeros_like(mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        var_image = np.bincount(codes, rest) / (size - 1) / size - np.bincount(codes, noise) / size**2
    p, var_image = np.clip(rates.mean(0), 0, 1), np.maximum(var_image, 0)

    def ends(tail: float) -> tuple[Array, Array]:
        level = 1 - 2 * tail
        if seeds == 1:
            low, high = clopper_pearson((p * size)[kept], size[kept], level)
        else:
            low, high = korn_graubard(p[kept], var_seed[kept], var_image[kept], size[kept], seeds, level)
        return low, high

    read = split_images(kind, table, codes, splits, sure)[0] if sure.size else None
    return _extreme(kind, rates, size, kept, sure, read, ends, (1 - level) / 2, min_n)


def _extreme(
    kind: Kind,
    rates: Array,
    size: NDArray[np.int64],
    kept: NDArray[np.int64],
    sure: NDArray[np.int64],
    read: Array | None,
    ends: Ends,
    tail: float,
    min_n: int,
) -> Extreme:
    """Put the pieces together; rates are (S, G)."""
    left_out = tuple(int(g) for g in np.flatnonzero((size > 0) & (size < min_n)))
    insufficient = tuple(int(g) for g in np.setdiff1d(kept, sure))
    low = high = np.nan
    if kept.size and kind == "worst":
        low, high = worst_interval(ends, kept.size, tail)
    elif kept.size:
        low, high = spread_interval(rates.mean(0)[kept], ends, tail)
    if read is None or (kind == "gap" and sure.size < 2):
        reason = "no group has enough images" if read is None else "one group only"
        return Extreme(np.nan, np.nan, low, high, -1, -1, 0, insufficient, left_out, reason)
    of = rates[:, sure]
    worst, best = (int(sure[_most_often(one)]) for one in (of.argmin(1), of.argmax(1)))
    observed = float((of.min(1) if kind == "worst" else np.ptp(of, axis=1)).mean())
    return Extreme(observed, float(read.mean()), low, high, worst, best, int(size[worst]), insufficient, left_out)


def _extreme_difference(kind: Kind, arms: Pair, groups: ArrayLike, splits: NDArray[np.bool_]) -> Difference:
    codes = _codes(groups, splits)
    if codes.size != arms.a.shape[1]:
        raise DataError(f"one group per image: got {codes.size} for {arms.a.shape[1]} images")
    size = np.bincount(codes)
    sure = _groups(size, 0)[1]
    if sure.size < (1 if kind == "worst" else 2):
        return arms.undefined("too few groups have enough images")
    values, images, observed, floors = [], [], [], []
    used = np.isin(codes, sure)
    strata = np.searchsorted(sure, codes[used])
    for x in (arms.a, arms.b):
        value, low, high = split_images(kind, x, codes, splits, sure)
        rates = by_group(x, codes, size.size)[:, sure] / size[sure]
        observed.append(float((rates.min(1) if kind == "worst" else np.ptp(rates, axis=1)).mean()))
        share = low if kind == "worst" else high - low
        images.append(x[:, used] * (share / size[sure])[strata])
        values.append(value)
        sides = (low,) if kind == "worst" else (low, high)
        floors.append([float(1 / (2 * (1 / (side**2 / size[sure]).sum() + 2) ** 2)) for side in sides])
    # An arm that finds its worst group in fewer images is the less certain one: its floor counts.
    floor = sum(max(pair) for pair in zip(*floors, strict=True))
    bias = abs((observed[1] - observed[0]) - float(values[1].mean() - values[0].mean()))
    scale = np.ones(int(used.sum()))
    return arms.combine((values[0], values[1]), (images[0], images[1]), scale, strata, floor, bias)


def _groups(size: NDArray[np.int64], min_n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ids of the groups in the interval, and of those that also have enough images for a point estimate."""
    kept = np.flatnonzero((size > 0) & (size >= min_n))
    return kept, kept[size[kept] >= ENOUGH]


def _codes(groups: ArrayLike, splits: NDArray[np.bool_]) -> NDArray[np.int64]:
    codes = np.asarray(groups).ravel().astype(np.int64)
    if splits.shape[1:] != codes.shape:
        raise DataError(f"splits are for {splits.shape[1]} images, groups for {codes.size}")
    return codes


def _most_often(ids: NDArray[np.int64]) -> int:
    return int(np.bincount(ids).argmax())
