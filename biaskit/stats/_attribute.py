"""Does an attribute matter to one model? Standardized gap, permutation test and noise floors, from counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import fisher_exact

from biaskit.errors import DataError
from biaskit.stats._intervals import clopper_pearson, kish, newcombe, spread_interval, wilson
from biaskit.stats._verdicts import holm

__all__ = [
    "ENOUGH", "AttributeGap", "AttributeTest", "NoiseFloor", "attribute_gap", "attribute_test", "gap_weights",
    "label_gaps", "label_tests", "noise_floor",
]  # fmt: skip

#: A group of fewer images has no point estimate: it reads ``insufficient (n=..)``.
ENOUGH = 10

#: Cells drawn at once, so that 9,999 draws of a thousand labels stay within some 100 MB.
_CHUNK = 4_000_000


@dataclass(frozen=True, eq=False)
class AttributeGap:
    """The standardized gap of an attribute for one model, and its interval over images.

    Attributes
    ----------
    estimate : float
        Two values: rate of the first minus rate of the second, signed. More: highest minus lowest rate.
    low, high : float
        Interval for this model and other images.
    values : tuple of int
        The two columns that are compared, (minuend, subtrahend).
    rates, n_effective : ndarray (A,)
        Standardized rate of each value and its Kish n; NaN where the value has no images.
    left_out : tuple of int
        Labels that lack a value of the attribute and so do not enter.
    reason : str
        Why the gap is NaN; empty where it is not.
    """

    estimate: float
    low: float
    high: float
    values: tuple[int, ...]
    rates: NDArray[np.float64]
    n_effective: NDArray[np.float64]
    left_out: tuple[int, ...]
    reason: str = ""


@dataclass(frozen=True)
class AttributeTest:
    """Permutation of the attribute within label.

    Attributes
    ----------
    p : float
        Of the absolute standardized gap: the headline.
    p_label : float
        Of the largest gap of any label.
    floor : float
        The absolute standardized gap that chance alone gives on these counts, mean over the same draws.
    draws : int
    reason : str
        Why p is NaN; empty where it is not.
    """

    p: float
    p_label: float
    floor: float
    draws: int
    reason: str = ""


@dataclass(frozen=True)
class NoiseFloor:
    """What the extremes over all groups would be by chance alone.

    Attributes
    ----------
    gap, worst : float
        Mean max-min gap and mean worst-group accuracy if every group had the overall accuracy.
    gap_within, worst_within : float
        The same if only the attribute were irrelevant: label differences stay.
    standardized : float
        Mean absolute standardized gap if every group had the overall accuracy.
    insufficient : tuple of int
        Flat ids of groups under ten images, left out.
    """

    gap: float
    worst: float
    gap_within: float
    worst_within: float
    standardized: float
    insufficient: tuple[int, ...]


def gap_weights(n: ArrayLike) -> NDArray[np.float64]:
    """Weights of the groups in each standardized rate: the label's share of images, summing to 1 per value.

    Parameters
    ----------
    n : array_like (L, A)
        Images per label and attribute value.

    Returns
    -------
    ndarray (L, A)
        ``w_y`` in the columns that have images; 0 for a label that lacks one of these values. All 0 where no
        label has every value, or where only one value has images.

    Examples
    --------
    >>> gap_weights([[30, 10], [10, 30], [5, 0]]).tolist()
    [[0.5, 0.5], [0.5, 0.5], [0.0, 0.0]]
    """
    size = np.asarray(n)
    present = size.sum(0) > 0
    complete = (size[:, present] > 0).all(1)
    weights = np.zeros(size.shape)
    if present.sum() >= 2 and complete.any():
        share = np.where(complete, size.sum(1), 0)
        weights[:, present] = (share / share.sum())[:, None]
    return weights


def attribute_gap(correct: ArrayLike, n: ArrayLike, level: float = 0.95) -> AttributeGap:
    """Gap between attribute values at the same mix of labels, for one model.

    ``p_a = sum_y w_y correct_ya / n_ya`` with w_y the label's share; two values: ``p_0 - p_1`` with
    Newcombe's interval on Kish's n; more values: the highest minus the lowest, with the interval of an
    extreme, because the two were picked by looking.

    Parameters
    ----------
    correct, n : array_like of int (L, A)
        Counts per label and attribute value. Order the values so that the sign means something: the commoner
        first.
    level : float
        Coverage.

    Returns
    -------
    AttributeGap

    Raises
    ------
    DataError
        Shapes differ, or correct lies outside 0 .. n.

    References
    ----------
    Kish 1965; Newcombe 1998, Stat Med 17:873.

    Examples
    --------
    >>> gap = attribute_gap([[45, 930]], [[50, 950]])
    >>> round(gap.estimate, 5), round(gap.low, 5), round(gap.high, 5)
    (-0.07895, -0.19279, -0.02132)
    """
    k, size = _table(correct, n)
    weights = gap_weights(size)
    used = np.flatnonzero(weights.any(0))
    left_out = tuple(int(y) for y in np.flatnonzero(~weights.any(1)))
    rates, effective = np.full(size.shape[1], np.nan), np.full(size.shape[1], np.nan)
    if not used.size:
        return AttributeGap(np.nan, np.nan, np.nan, (), rates, effective, left_out, _why(size))
    kept = weights.any(1)
    rates[used] = np.clip((weights * k / np.maximum(size, 1))[:, used].sum(0), 0, 1)
    effective[used] = kish(weights[kept][:, used].T, size[kept][:, used].T)
    p, m = rates[used], effective[used]
    if used.size == 2:
        low, high = wilson(p * m, m, level)
        ends = newcombe(p[0], (low[0], high[0]), p[1], (low[1], high[1]))
        pair = (int(used[0]), int(used[1]))
    else:
        ends = spread_interval(p, lambda tail: clopper_pearson(p * m, m, 1 - 2 * tail), (1 - level) / 2)
        pair = (int(used[p.argmax()]), int(used[p.argmin()]))
    estimate = float(rates[pair[0]] - rates[pair[1]])
    return AttributeGap(estimate, float(ends[0]), float(ends[1]), pair, rates, effective, left_out)


def attribute_test(correct: ArrayLike, n: ArrayLike, rng: np.random.Generator, draws: int = 9_999) -> AttributeTest:
    """Test whether an attribute matters to one model, by shuffling it among the images of each label.

    A shuffle within a label is a multivariate hypergeometric draw of its correct counts, so the cost does not
    depend on the number of images. ``p = (1 + #{T* >= T}) / (draws + 1)``.

    Parameters
    ----------
    correct, n : array_like of int (L, A)
        Counts per label and attribute value.
    rng : numpy.random.Generator
    draws : int
        9,999 resolve p to 0.0001.

    Returns
    -------
    AttributeTest

    References
    ----------
    Phipson & Smyth 2010, SAGMB 9:39 (the added one).

    Examples
    --------
    >>> test = attribute_test([[40, 930], [50, 940]], [[50, 950], [50, 950]], np.random.default_rng(0))
    >>> test.p < 0.01 and test.p_label < 0.01
    True
    """
    k, size = _table(correct, n)
    weights = gap_weights(size)
    if not weights.any():
        return AttributeTest(np.nan, np.nan, np.nan, draws, _why(size))
    observed = _standardized(k[None], size, weights)[0]
    compared = (size > 0).sum(1) >= 2
    largest = label_gaps(k, size)[compared].max()
    hits = label_hits = 0
    total = 0.0
    for drawn in _within(k, size, draws, rng):
        statistic = _standardized(drawn, size, weights)
        hits += int((statistic >= observed - 1e-12).sum())
        label_hits += int((label_gaps(drawn, size)[:, compared].max(1) >= largest - 1e-12).sum())
        total += float(statistic.sum())
    return AttributeTest((1 + hits) / (draws + 1), (1 + label_hits) / (draws + 1), total / draws, draws)


def label_gaps(correct: ArrayLike, n: ArrayLike) -> NDArray[np.float64]:
    """Highest minus lowest rate over the attribute values, label by label.

    Parameters
    ----------
    correct : array_like of int (..., L, A)
    n : array_like of int (L, A)

    Returns
    -------
    ndarray (..., L)
        NaN for a label with fewer than two values.

    Examples
    --------
    >>> label_gaps([[9, 5], [4, 0]], [[10, 10], [5, 0]]).round(6).tolist()
    [0.4, nan]
    """
    size = np.asarray(n)
    rates, there = np.asarray(correct) / np.maximum(size, 1), size > 0
    gaps = np.where(there, rates, -np.inf).max(-1) - np.where(there, rates, np.inf).min(-1)
    return np.where(there.sum(-1) >= 2, gaps, np.nan)


def label_tests(correct: ArrayLike, n: ArrayLike, rng: np.random.Generator, draws: int = 9_999) -> NDArray[np.float64]:
    """In which label does the attribute matter? p per label after Holm; `attribute_test` is the headline.

    Two values: Fisher's exact test; more: the permutation test of that label alone.

    Parameters
    ----------
    correct, n : array_like of int (L, A)
    rng : numpy.random.Generator
    draws : int

    Returns
    -------
    ndarray (L,)
        NaN for a label with fewer than two values.

    Examples
    --------
    >>> label_tests([[10, 10], [10, 2]], [[10, 10], [10, 10]], np.random.default_rng(0)).round(4).tolist()
    [1.0, 0.0014]
    """
    k, size = _table(correct, n)
    p = np.full(len(size), np.nan)
    for y in np.flatnonzero((size > 0).sum(1) >= 2):
        values = size[y] > 0
        right, count = k[y, values], size[y, values]
        if right.size == 2:
            p[y] = fisher_exact(np.stack([right, count - right])).pvalue
        else:
            p[y] = attribute_test(right[None], count[None], rng, draws).p
    there = ~np.isnan(p)
    p[there] = holm(p[there])
    return p


def noise_floor(correct: ArrayLike, n: ArrayLike, rng: np.random.Generator, draws: int = 999) -> NoiseFloor:
    """Max-min gap and worst-group accuracy that chance alone gives on groups of these sizes.

    Parameters
    ----------
    correct, n : array_like of int (L, A)
        Counts per label and attribute value (several attributes: their product, flattened). Groups under ten
        images are left out.
    rng : numpy.random.Generator
    draws : int
        999 fix a floor of 9 points to about 0.1.

    Returns
    -------
    NoiseFloor

    Examples
    --------
    >>> floor = noise_floor(np.full((10, 1), 90), np.full((10, 1), 100), np.random.default_rng(0))
    >>> round(floor.gap, 2), round(floor.worst, 2)
    (0.09, 0.85)
    """
    k, size = _table(correct, n)
    kept = size >= ENOUGH
    insufficient = tuple(int(g) for g in np.flatnonzero(~kept & (size > 0)))
    if not kept.any():
        return NoiseFloor(np.nan, np.nan, np.nan, np.nan, np.nan, insufficient)
    k, size = np.where(kept, k, 0), np.where(kept, size, 0)
    weights = gap_weights(size)
    means = []
    for chunks in (_overall(k, size, draws, rng), _within(k, size, draws, rng)):
        total = np.zeros(3)
        for drawn in chunks:
            rates = drawn[:, kept] / size[kept]
            low = rates.min(1)
            gap = _standardized(drawn, size, weights) if weights.any() else np.full(len(low), np.nan)
            total += [(rates.max(1) - low).sum(), low.sum(), gap.sum()]
        means.append([float(one) for one in total / draws])
    overall, within = means
    return NoiseFloor(overall[0], overall[1], within[0], within[1], overall[2], insufficient)


def _table(correct: ArrayLike, n: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    k, size = np.asarray(correct), np.asarray(n)
    if k.shape != size.shape or k.ndim != 2:
        raise DataError(f"correct and n are tables of label x attribute; got shapes {k.shape} and {size.shape}")
    if np.any((k < 0) | (k > size)):
        raise DataError("correct must lie between 0 and n in every group")
    return k.astype(np.int64), size.astype(np.int64)


def _why(size: NDArray[np.int64]) -> str:
    if not size.any():
        return "no images"
    if (size.sum(0) > 0).sum() < 2:
        return "one attribute value only"
    return "no label has images of every attribute value"


def _chunks(draws: int, cells: int) -> Iterator[int]:
    step = max(1, _CHUNK // max(cells, 1))
    for start in range(0, draws, step):
        yield min(step, draws - start)


def _within(
    k: NDArray[np.int64], size: NDArray[np.int64], draws: int, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Correct counts (b, L, A), the attribute shuffled within label: value by value, all labels at once."""
    for b in _chunks(draws, size.size):
        out = np.empty((b, *size.shape), np.int64)
        rest, left = size.sum(1), np.broadcast_to(k.sum(1), (b, len(k)))
        for a in range(size.shape[1] - 1):
            rest = rest - size[:, a]
            out[:, :, a] = rng.hypergeometric(size[:, a], rest, left)
            left = left - out[:, :, a]
        out[:, :, -1] = left
        yield out


def _overall(
    k: NDArray[np.int64], size: NDArray[np.int64], draws: int, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """Correct counts (b, L, A) with all images shuffled over all groups."""
    for b in _chunks(draws, size.size):
        flat = rng.multivariate_hypergeometric(size.ravel(), int(k.sum()), size=b, method="marginals")
        yield flat.reshape(b, *size.shape)


def _standardized(k: NDArray[np.int64], size: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """|standardized gap|, that is max - min of the standardized rates, for each draw."""
    used = weights.any(0)
    rates = np.einsum("bya,ya->ba", k, weights / np.maximum(size, 1))[:, used]
    spread: NDArray[np.float64] = rates.max(1) - rates.min(1)
    return spread
