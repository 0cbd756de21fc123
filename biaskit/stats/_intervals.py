"""Intervals of one or two rates; everything broadcasts, and no images (n = 0) give NaN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betainccinv, betaincinv, ndtri
from scipy.stats import binom

from biaskit.errors import DataError

__all__ = [
    "bonett_price", "clopper_pearson", "kish", "largest_spread", "mcnemar", "newcombe", "spread_interval",
    "wilson", "worst_interval",
]  # fmt: skip

#: A float64 array, or a float64 scalar where every input was one.
Floats = Any
Interval = tuple[Floats, Floats]
#: Gives the intervals of all groups for a one-sided error.
Ends = Callable[[float], tuple[NDArray[np.float64], NDArray[np.float64]]]


def wilson(successes: ArrayLike, n: ArrayLike, level: float = 0.95) -> Interval:
    """Score interval of a rate, the one to show beside it.

    ``(p + z^2/2n -+ z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n)``: the rates that a normal test at ``1 -
    level`` does not reject. It hardly ever overstates a group, but its upper end can lie below a nearly
    perfect one; where an end decides something, take `clopper_pearson`.

    Parameters
    ----------
    successes, n : array_like
        Counts that broadcast; an effective n (`kish`) need not be whole.
    level : float
        Coverage of the two-sided interval.

    Returns
    -------
    low, high : ndarray or float
        In [0, 1]; NaN where n is 0.

    Raises
    ------
    DataError
        Fewer than 0 or more than n successes.

    References
    ----------
    Wilson 1927, JASA 22:209.

    Examples
    --------
    >>> [round(float(end), 5) for end in wilson(45, 50)]
    [0.7864, 0.95652]
    """
    k, size = _counts(successes, n)
    z = ndtri((1 + level) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = k / size
        center = p + z**2 / (2 * size)
        spread = z * np.sqrt(np.maximum(p * (1 - p), 0) / size + z**2 / (4 * size**2))
        scale = 1 + z**2 / size
        # Exact where rounding is not: nothing right gives a lower end of 0, everything right an upper end of 1.
        low = np.where(k == 0, 0.0 * p, (center - spread) / scale)
        high = np.where(k == size, 1.0 * p, (center + spread) / scale)
        return np.clip(low, 0, 1)[()], np.clip(high, 0, 1)[()]


def clopper_pearson(successes: ArrayLike, n: ArrayLike, level: float = 0.95) -> Interval:
    """Exact interval of a rate, for gates and extremes: each end errs at most ``(1 - level) / 2``.

    ``low = BetaInv(a; k, n - k + 1)``, ``high = BetaInv(1 - a; k + 1, n - k)`` with ``a = (1 - level) / 2``;
    low is 0 at k = 0, high is 1 at k = n.

    Parameters
    ----------
    successes, n : array_like
        Counts that broadcast; need not be whole.
    level : float
        Coverage of the two-sided interval.

    Returns
    -------
    low, high : ndarray or float
        In [0, 1]; NaN where n is 0.

    Raises
    ------
    DataError
        Fewer than 0 or more than n successes.

    References
    ----------
    Clopper & Pearson 1934, Biometrika 26:404.

    Examples
    --------
    >>> [round(float(end), 5) for end in clopper_pearson(10, 10)]
    [0.6915, 1.0]
    """
    k, size = _counts(successes, n)
    tail = (1 - level) / 2
    with np.errstate(invalid="ignore"):
        low = np.where(k > 0, betaincinv(k, size - k + 1, tail), 0.0)
        high = np.where(k < size, betainccinv(k + 1, size - k, tail), 1.0)
    empty = ~(size > 0)
    return np.where(empty, np.nan, low)[()], np.where(empty, np.nan, high)[()]


def newcombe(p1: ArrayLike, ends1: Interval, p2: ArrayLike, ends2: Interval) -> Interval:
    """Interval of ``p1 - p2`` for two rates on different images, from their own intervals.

    ``d - sqrt((p1 - l1)^2 + (u2 - p2)^2)`` to ``d + sqrt((u1 - p1)^2 + (p2 - l2)^2)``.

    Parameters
    ----------
    p1, p2 : array_like
        The rates.
    ends1, ends2 : tuple of array_like
        Their (low, high), `wilson` as a rule; the level of these is the level of the result.

    Returns
    -------
    low, high : ndarray or float
        In [-1, 1].

    References
    ----------
    Newcombe 1998, Stat Med 17:873, method 10.

    Examples
    --------
    >>> low, high = newcombe(56 / 70, wilson(56, 70), 48 / 80, wilson(48, 80))
    >>> round(float(low), 5), round(float(high), 5)
    (0.05243, 0.33387)
    """
    first, second = np.asarray(p1, np.float64), np.asarray(p2, np.float64)
    (l1, u1), (l2, u2) = ends1, ends2
    gap = first - second
    return (gap - np.hypot(first - l1, u2 - second))[()], (gap + np.hypot(u1 - first, second - l2))[()]


def kish(weights: ArrayLike, n: ArrayLike) -> Floats:
    """Effective n of a weighted average of group rates: ``(sum c_g)^2 / sum(c_g^2 / n_g)``, last axis.

    Parameters
    ----------
    weights : array_like
        c_g; a group of weight 0 does not count.
    n : array_like
        Images per group; an empty group with a weight makes the average undefined: 0.

    Returns
    -------
    ndarray or float
        The n of a plain rate with the same variance.

    References
    ----------
    Kish 1965, Survey Sampling, section 11.7.

    Examples
    --------
    >>> round(float(kish([0.5, 0.5], [50, 950])), 1)
    190.0
    """
    c, size = np.broadcast_arrays(np.asarray(weights, np.float64), np.asarray(n, np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(c == 0, 0.0, c**2 / size)
        return (c.sum(-1) ** 2 / terms.sum(-1))[()]


def bonett_price(b: ArrayLike, c: ArrayLike, n: ArrayLike, level: float = 0.95) -> Interval:
    """Interval of the difference of two rates on the same images: twins, or two single models.

    ``(p1 - p2) -+ z sqrt((p1 + p2 - (p1 - p2)^2) / (n + 2))`` with ``p1 = (b + 1)/(n + 2)``, ``p2 = (c +
    1)/(n + 2)``.

    Parameters
    ----------
    b, c : array_like
        Images that only the first, only the second has right; the difference is ``(b - c) / n``.
    n : array_like
        All images.
    level : float
        Coverage of the two-sided interval.

    Returns
    -------
    low, high : ndarray or float
        In [-1, 1]; NaN where n is 0.

    References
    ----------
    Bonett & Price 2012, JEBS 37:479.

    Examples
    --------
    >>> [round(float(end), 4) for end in bonett_price(20, 8, 100)]
    [0.0149, 0.2204]
    """
    size = np.asarray(n, np.float64)
    first, second = (np.asarray(b, np.float64) + 1) / (size + 2), (np.asarray(c, np.float64) + 1) / (size + 2)
    gap = first - second
    spread = ndtri((1 + level) / 2) * np.sqrt((first + second - gap**2) / (size + 2))
    gap = np.where(size > 0, gap, np.nan)
    return np.clip(gap - spread, -1, 1)[()], np.clip(gap + spread, -1, 1)[()]


def mcnemar(b: ArrayLike, c: ArrayLike) -> Floats:
    """Exact two-sided p of equal rates on the same images: is b of b + c a fair coin?

    Parameters
    ----------
    b, c : array_like
        Discordant counts; none at all give p = 1.

    Returns
    -------
    ndarray or float
        p in (0, 1].

    References
    ----------
    McNemar 1947, Psychometrika 12:153; the exact form is the sign test.

    Examples
    --------
    >>> round(float(mcnemar(1, 9)), 5)
    0.02148
    """
    first, second = np.asarray(b), np.asarray(c)
    return np.minimum(1.0, 2 * binom.cdf(np.minimum(first, second), first + second, 0.5))[()]


def worst_interval(ends: Ends, groups: int, tail: float = 0.025) -> tuple[float, float]:
    """Interval of the lowest of several true rates: ``[min_g low_g(tail), min_g high_g(tail / G)]``.

    The lower end needs no correction (the minimum exceeds it unless the one group that is the minimum fails);
    the upper end does, because any of G groups can set it.

    Parameters
    ----------
    ends : callable
        ``ends(tail)`` gives (low, high), each (G,), that err at most ``tail`` of the time on their side.
    groups : int
        G.
    tail : float
        Error per side.

    Returns
    -------
    low, high : float

    References
    ----------
    Berger 1982, Technometrics 24:295 (intersection-union).

    Examples
    --------
    >>> low, high = worst_interval(lambda tail: clopper_pearson([45, 90], [50, 100], 1 - 2 * tail), 2)
    >>> round(low, 4), round(high, 4)
    (0.7819, 0.9562)
    """
    return float(ends(tail)[0].min()), float(ends(tail / groups)[1].min())


def spread_interval(p: ArrayLike, ends: Ends, tail: float = 0.025) -> tuple[float, float]:
    """Interval of the highest minus the lowest of several true rates.

    ``low = max(0, max_g low_g(tail / 2G) - min_g high_g(tail / 2G))``; high is the largest of Newcombe's
    upper limits over all ordered pairs.

    Parameters
    ----------
    p : array_like (G,)
        Observed rates.
    ends : callable
        As in `worst_interval`.
    tail : float
        Error per side.

    Returns
    -------
    low, high : float
        NaN for fewer than two groups.

    References
    ----------
    Berger 1982; Newcombe 1998, Stat Med 17:873.

    Examples
    --------
    >>> ends = lambda tail: clopper_pearson([45, 90], [50, 100], 1 - 2 * tail)
    >>> low, high = spread_interval([0.9, 0.9], ends)
    >>> low, round(high, 4)
    (0.0, 0.1287)
    """
    rates = np.asarray(p, np.float64)
    if rates.size < 2:
        return float("nan"), float("nan")
    low, high = ends(tail / (2 * rates.size))
    bottom = max(0.0, float(low.max() - high.min()))
    low, high = ends(tail)
    above, below, top = high - rates, rates - low, 0.0
    first, second = _foremost(rates, above), _foremost(-rates, below)
    step = max(1, 4_000_000 // second.size)
    for start in range(0, first.size, step):
        part = first[start : start + step, None]
        limits = rates[part] - rates[second] + np.hypot(above[part], below[second])
        top = max(top, float(np.where(part == second, 0.0, limits).max()))
    return bottom, min(top, 1.0)


def _foremost(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.int64]:
    """Points that at most one other exceeds in both: the largest of what grows with x and y is among any two of them.

    Two rounds, because the best partner of a group may be the one that exceeds it.
    """
    left, found = np.arange(x.size), []
    for _ in range(2):
        order = left[np.lexsort((-y[left], -x[left]))]
        ahead = np.maximum.accumulate(y[order])
        front = order[np.r_[True, y[order][1:] > ahead[:-1]][: order.size]]
        found.append(front)
        left = np.setdiff1d(left, front)
    return np.concatenate(found)


def largest_spread(successes: ArrayLike, n: ArrayLike, level: float = 0.95) -> tuple[float, float]:
    """Interval of the largest spread of any of several rates, such as the selection rates of every class.

    ``max_r (max_g p_rg - min_g p_rg)``. The upper end is the largest of the rates' own: the one that attains the
    maximum lies below its own in all but ``(1 - level) / 2`` of cases. The lower end could be set by any of R
    rates, so each errs at most an R-th of that.

    Parameters
    ----------
    successes, n : array_like (R, G)
        Counts per rate and group; a group without n lacks that rate.
    level : float
        Coverage.

    Returns
    -------
    low, high : float
        NaN where no rate is known in two groups.

    References
    ----------
    As `spread_interval`, rate by rate.

    Examples
    --------
    >>> low, high = largest_spread([[45, 90], [80, 20]], [[50, 100], [100, 100]])
    >>> round(low, 4), round(high, 4)
    (0.3421, 0.7037)
    """
    k, size = _counts(successes, n)
    known = (size > 0).sum(1) >= 2
    tail, found = (1 - level) / 2, []
    for own, whole in zip(k[known], size[known], strict=True):
        there = whole > 0
        right, all_ = own[there], whole[there]
        ends = _exact(right, all_)
        low = spread_interval(right / all_, ends, tail / int(known.sum()))[0]
        found.append((low, spread_interval(right / all_, ends, tail)[1]))
    if not found:
        return float("nan"), float("nan")
    return max(low for low, _ in found), max(high for _, high in found)


def _exact(k: NDArray[np.float64], n: NDArray[np.float64]) -> Ends:
    """Clopper-Pearson ends of these counts, by their one-sided error."""

    def ends(tail: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        low, high = clopper_pearson(k, n, 1 - 2 * tail)
        return low, high

    return ends


def _counts(successes: ArrayLike, n: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    k, size = np.broadcast_arrays(np.asarray(successes, np.float64), np.asarray(n, np.float64))
    if np.any((k < 0) | (k > size)):
        at = np.flatnonzero((k < 0) | (k > size))[0]
        raise DataError(f"{k.flat[at]:g} successes of n = {size.flat[at]:g}: successes must lie between 0 and n")
    return k, size
