"""Arms over several seeds on the same test images: the rate of one arm, the difference of two.

Both look at a table x of seeds by images. What varies from seed to seed and what varies from image to image
are estimated apart and their half-widths are added in quadrature (Howe 1974): the result speaks of other
seeds and other images of the same groups.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from biaskit.errors import DataError
from biaskit.stats._intervals import Floats, clopper_pearson, newcombe, wilson
from biaskit.stats._pair import Difference, Pair, at_least, checked, half_width, image_variance, side_floor

__all__ = [
    "Rate",
    "Ratio",
    "arm_contrast",
    "arm_rate",
    "difference",
    "image_coefficients",
    "korn_graubard",
    "log_ratio",
    "seed_difference",
]

#: DS at or below this counts as "the image did not change".
DS_FLOOR = 1e-8


@dataclass(frozen=True)
class Rate:
    """A metric of one arm, with its interval over seeds and images.

    Attributes
    ----------
    estimate, low, high : float
    se_seed, se_image : float
        Standard errors of the two sources; ``se_seed`` is NaN for one seed, and the interval then speaks of
        this one model and other images only.
    seeds, n : int
        Seeds, and images that count.
    """

    estimate: float
    low: float
    high: float
    se_seed: float
    se_image: float
    seeds: int
    n: int


@dataclass(frozen=True)
class Ratio:
    """Ratio of geometric means of DS, arm b over arm a.

    Attributes
    ----------
    ratio, low, high : float
        exp of the difference of logs; NaN with `difference.reason` where too many images do not change at
        all.
    difference : Difference
        On the log scale, fit for `judge`.
    mean_a, mean_b : float
        Arithmetic means of DS, the published number; no verdict rests on them.
    at_floor : tuple of float
        Share of images of each arm whose DS is at most 1e-8.
    """

    ratio: float
    low: float
    high: float
    difference: Difference
    mean_a: float
    mean_b: float
    at_floor: tuple[float, float]


def image_coefficients(weights: ArrayLike, groups: ArrayLike) -> NDArray[np.float64]:
    """Coefficients c_i of a linear metric from the weights c_g of its groups: ``c_i = c_g / n_g``.

    Parameters
    ----------
    weights : array_like (G,)
        Average accuracy n_g / N, mean group accuracy 1 / G, adjusted average the training shares, one group 1
        there; a gap +weights on one side and -weights on the other.
    groups : array_like of int (n,)
        Group id of each image, 0 .. G - 1.

    Returns
    -------
    ndarray (n,)

    Raises
    ------
    DataError
        A group with a weight has no images.

    Examples
    --------
    >>> image_coefficients([0.5, -0.5], [0, 0, 1, 1, 1, 1]).tolist()
    [0.25, 0.25, -0.125, -0.125, -0.125, -0.125]
    """
    w = np.asarray(weights, np.float64).ravel()
    codes = np.asarray(groups)
    n = np.bincount(codes, minlength=w.size)
    empty = np.flatnonzero((n[: w.size] == 0) & (w != 0))
    if n.size > w.size or empty.size:
        raise DataError(f"{w.size} weights for group ids up to {n.size - 1}; weighted groups without images: {empty}")
    per_image: NDArray[np.float64] = (w / np.maximum(n, 1))[codes]
    return per_image


def arm_rate(
    x: ArrayLike, weights: ArrayLike | None = None, groups: ArrayLike | None = None, level: float = 0.95
) -> Rate:
    """Rate of one arm over its seeds: Clopper-Pearson on an effective n (Korn-Graubard).

    ``n_eff = min(p (1 - p) z^2 / h^2, S n)`` with h of `half_width`; at p = 0 or 1 n_eff is n. One seed:
    Wilson on Kish's n.

    Parameters
    ----------
    x : array_like of 0/1 (S, n)
        Right or wrong (flipped or not) per seed and image.
    weights : array_like (n,), optional
        Coefficients that sum to 1 (`image_coefficients`); default all images alike.
    groups : array_like of int (n,), optional
        Strata of the weights; default one.
    level : float
        Coverage.

    Returns
    -------
    Rate

    Raises
    ------
    DataError
        Values outside [0, 1], or shapes that do not fit.

    References
    ----------
    Korn & Graubard 1998, Surv Methodol 24:193.

    Examples
    --------
    >>> rate = arm_rate([[1, 1, 1, 0], [1, 1, 0, 0], [1, 1, 1, 1]])
    >>> rate.estimate, round(rate.low, 3), round(rate.high, 3)
    (0.75, 0.039, 1.0)
    """
    table = checked(x, "x")
    if np.any((table < 0) | (table > 1)):
        raise DataError("a rate needs values in [0, 1]; for other values take arm_contrast")
    count = table.shape[1]
    c = np.full(count, 1 / max(count, 1)) if weights is None else _coefficients(weights, count)
    used, c, strata = _used(c, groups)
    table = table[:, used]
    if not c.size:
        return Rate(np.nan, np.nan, np.nan, np.nan, np.nan, len(table), 0)
    if abs(c.sum() - 1) > 1e-6 or np.any(c < 0):
        raise DataError("weights of a rate are not negative and sum to 1; for a gap take arm_contrast")
    seeds, n = len(table), float(1 / (c**2).sum())
    by_seed = table @ c
    p = float(np.clip(by_seed.mean(), 0, 1))
    if seeds == 1:
        low, high = wilson(p * n, n, level)
        se_image = float(np.sqrt(image_variance((table * c,), c, strata)))
        return Rate(p, float(low), float(high), np.nan, se_image, 1, c.size)
    var_seed = float(by_seed.var(ddof=1) / seeds)
    var_image = image_variance((table * c,), c, strata)
    low, high = korn_graubard(p, var_seed, var_image, n, seeds, level)
    return Rate(p, float(low), float(high), var_seed**0.5, var_image**0.5, seeds, c.size)


def korn_graubard(
    p: ArrayLike, var_seed: ArrayLike, var_image: ArrayLike, n: ArrayLike, seeds: int, level: float
) -> tuple[Floats, Floats]:
    """Clopper-Pearson on the n that explains the half-width; broadcasts over groups. See `arm_rate`."""
    rate, size = np.asarray(p, np.float64), np.asarray(n, np.float64)
    h2 = half_width(1 - level, var_seed, var_image, seeds - 1) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        effective = np.minimum(rate * (1 - rate) * ndtri((1 - level) / 2) ** 2 / h2, seeds * size)
    # A group without spread says nothing about n_eff; its images stay what they are.
    effective = np.where((rate <= 0) | (rate >= 1) | np.isnan(effective), size, effective)
    return clopper_pearson(rate * effective, effective, level)


def arm_contrast(
    x: ArrayLike,
    coefficients: ArrayLike,
    groups: ArrayLike | None = None,
    floor: bool = True,
    level: float = 0.95,
) -> Rate:
    """A linear metric of one arm, such as a gap: `difference` with the other arm at 0.

    Parameters
    ----------
    x : array_like (S, n)
        Per-image numbers.
    coefficients : array_like (n,)
        c_i, see `image_coefficients`.
    groups : array_like of int (n,), optional
        Strata; default the two sides of the contrast.
    floor : bool
        Off for values that are not 0/1.
    level : float
        Coverage.

    Returns
    -------
    Rate
        One seed and 0/1 values: a gap has Newcombe's interval on Kish's n.

    Examples
    --------
    >>> gap = arm_contrast([[1, 1, 1, 0], [1, 1, 0, 0]], [0.5, 0.5, -0.5, -0.5])
    >>> gap.estimate, gap.seeds, gap.n
    (0.75, 2, 4)
    """
    table = checked(x, "x")
    used, c, strata = _used(_coefficients(coefficients, table.shape[1]), groups)
    table = table[:, used]
    if not c.size:
        return Rate(np.nan, np.nan, np.nan, np.nan, np.nan, len(table), 0)
    seeds, by_seed = len(table), table @ c
    estimate = float(by_seed.mean())
    if seeds == 1 and floor and (c > 0).any() and (c < 0).any():
        parts = []
        for side in (c > 0, c < 0):
            w = np.abs(c[side])
            p, n = float(np.clip(table[0, side] @ w / w.sum(), 0, 1)), float(w.sum() ** 2 / (w**2).sum())
            parts.append((p, wilson(p * n, n, level)))
        low, high = newcombe(*parts[0], *parts[1])
        se_image = float(np.sqrt(image_variance((table * c,), c, strata)))
        return Rate(estimate, float(low), float(high), np.nan, se_image, 1, c.size)
    var_seed = float(by_seed.var(ddof=1) / seeds) if seeds > 1 else np.nan
    var_image = at_least(image_variance((table * c,), c, strata), side_floor(c) if floor else 0.0)
    h = float(half_width(1 - level, var_seed, var_image, seeds - 1))
    return Rate(estimate, estimate - h, estimate + h, var_seed**0.5, var_image**0.5, seeds, c.size)


def difference(
    a: ArrayLike,
    b: ArrayLike,
    coefficients: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    seeds_a: Sequence[Hashable] | None = None,
    seeds_b: Sequence[Hashable] | None = None,
    *,
    predictions: tuple[ArrayLike, ArrayLike] | None = None,
    floor: bool = True,
) -> Difference:
    """Difference b - a of two arms in a linear metric, over seeds and images.

    ``d -+ h(0.05)``, ``h(alpha)^2 = t^2 V_seed + z^2 V_image``: V_seed from the metric of each seed (paired
    where the arms share seeds, else Welch's), V_image from the per-image differences within groups, less what
    seeds scatter on a single image, and not below 1.4 images. p solves ``h(p) = |d|``.

    Parameters
    ----------
    a, b : array_like (S_a, n), (S_b, n)
        Per-image numbers of the same images in the same order: right/wrong, flipped or not, log DS.
    coefficients : array_like (n,), optional
        c_i of the metric (`image_coefficients`); default the average over all images.
    groups : array_like of int (n,), optional
        Images vary within these; default the two sides of the contrast. A group of one image borrows the
        pooled variance.
    seeds_a, seeds_b : sequence, optional
        Seed of each row. Equal lists, or three seeds in common, are compared seed by seed; anything else as
        independent arms. Default: rows are seeds 0, 1, 2, ...
    predictions : pair of array_like, optional
        What the arms answered, (S_a, n) and (S_b, n). With it a seed that repeats another of its arm counts
        once.
    floor : bool
        Off for values that are not 0/1, such as log DS.

    Returns
    -------
    Difference

    Raises
    ------
    DataError
        Other images per arm, other numbers of seeds than rows, or values that are not finite.

    References
    ----------
    Howe 1974, JASA 69:789; Welch 1947, Biometrika 34:28; Hillis 2007, Stat Med 26:596; Bonett & Price 2012.

    Examples
    --------
    >>> rows = lambda text: [[int(digit) for digit in row] for row in text.split()]
    >>> d = difference(rows("11100110 11001110 11100100"), rows("11111110 11101110 11110111"))
    >>> round(d.estimate, 2), round(d.half_width(), 5), round(d.p, 5)
    (0.25, 0.34004, 0.09289)
    """
    arms = Pair.of(a, b, seeds_a, seeds_b, predictions)
    count = arms.a.shape[1]
    c = np.full(count, 1 / max(count, 1)) if coefficients is None else _coefficients(coefficients, count)
    used, c, strata = _used(c, groups)
    if not c.size:
        return arms.undefined("no images")
    xa, xb = arms.a[:, used], arms.b[:, used]
    discordant = None
    if len(xa) == len(xb) == 1 and floor and np.ptp(c) < 1e-12 and abs(c.sum() - 1) < 1e-6:
        discordant = (int((xb > xa).sum()), int((xb < xa).sum()), c.size)
    least = side_floor(c) if floor else 0.0
    return arms.combine((xa @ c, xb @ c), (xa * c, xb * c), c, strata, least, discordant=discordant)


def seed_difference(
    a: ArrayLike,
    b: ArrayLike,
    seeds_a: Sequence[Hashable] | None = None,
    seeds_b: Sequence[Hashable] | None = None,
    *,
    n: int = 0,
) -> Difference:
    """Difference b - a of a number that each seed has once, over seeds alone: paired t, or Welch's.

    For what is no mean over images, such as the consistency of units: it speaks of other seeds on the same images.

    Parameters
    ----------
    a, b : array_like (S_a,), (S_b,)
    seeds_a, seeds_b : sequence, optional
        As in `difference`.
    n : int
        Images or units that each number rests on, handed through.

    Returns
    -------
    Difference
        NaN with a reason for one seed.

    Raises
    ------
    DataError
        Other numbers of seeds than values, or values that are not finite.

    Examples
    --------
    >>> d = seed_difference([0.1, 0.2, 0.35], [0.2, 0.35, 0.4])
    >>> round(d.estimate, 2), round(d.low, 4), round(d.high, 4), round(d.p, 4)
    (0.1, -0.0242, 0.2242, 0.0742)
    """
    columns = [np.asarray(one, np.float64).reshape(-1, 1) for one in (a, b)]
    arms = Pair.of(columns[0], columns[1], seeds_a, seeds_b, None)
    if min(len(arms.a), len(arms.b)) < 2:
        return arms.undefined("one seed says nothing of other seeds")
    # No spread over images is claimed: two that contribute nothing have none.
    still = np.zeros((len(arms.a), 2)), np.zeros((len(arms.b), 2))
    found = arms.combine((arms.a[:, 0], arms.b[:, 0]), still, np.ones(2), np.zeros(2, np.int64), 0.0)
    return dataclasses.replace(found, n=n)


def log_ratio(
    ds_a: ArrayLike,
    ds_b: ArrayLike,
    groups: ArrayLike | None = None,
    seeds_a: Sequence[Hashable] | None = None,
    seeds_b: Sequence[Hashable] | None = None,
) -> Ratio:
    """Ratio of the geometric means of DS, b over a: unit-free, and linear on the log scale.

    ``log(max(DS, 1e-8))`` per image, then `difference` without floor.

    Parameters
    ----------
    ds_a, ds_b : array_like (S, n)
        Distance scores, 0 or more.
    groups, seeds_a, seeds_b
        As in `difference`.

    Returns
    -------
    Ratio
        NaN where more than 10 % of an arm's scores are at the floor: such a ratio would speak of the floor.

    Raises
    ------
    DataError
        Negative or missing scores.

    Examples
    --------
    >>> scores = np.exp(np.random.default_rng(0).normal(size=(3, 50)))
    >>> ratio = log_ratio(scores, scores * [[0.4], [0.5], [0.625]])
    >>> round(ratio.ratio, 3), round(ratio.difference.df, 1)
    (0.5, 2.0)
    """
    tables = [checked(ds, name) for ds, name in ((ds_a, "ds_a"), (ds_b, "ds_b"))]
    if any((table < 0).any() for table in tables):
        raise DataError("distance scores are 0 or more; got a negative one")
    at_floor = float((tables[0] <= DS_FLOOR).mean()), float((tables[1] <= DS_FLOOR).mean())
    logs = [np.log(np.maximum(table, DS_FLOOR)) for table in tables]
    if max(at_floor) > 0.1:
        arms = Pair.of(logs[0], logs[1], seeds_a, seeds_b, None)
        result = arms.undefined("the perturbation leaves these images unchanged")
    else:
        result = difference(logs[0], logs[1], None, groups, seeds_a, seeds_b, floor=False)
    ends = [float(np.exp(one)) for one in (result.estimate, result.low, result.high)]
    return Ratio(ends[0], ends[1], ends[2], result, float(tables[0].mean()), float(tables[1].mean()), at_floor)


def _coefficients(c: ArrayLike, count: int) -> NDArray[np.float64]:
    values = np.asarray(c, np.float64).ravel()
    if values.size != count or not np.isfinite(values).all():
        raise DataError(f"one finite coefficient per image: got {values.size} for {count} images")
    return values


def _used(
    c: NDArray[np.float64], groups: ArrayLike | None
) -> tuple[NDArray[np.bool_] | slice, NDArray[np.float64], NDArray[np.int64]]:
    """Images that count, their coefficients and their strata from 0; without groups the sides are strata."""
    strata = np.sign(c) if groups is None else np.asarray(groups).ravel()
    if strata.size != c.size:
        raise DataError(f"one group per image: got {strata.size} for {c.size} images")
    used = c != 0
    if used.all():
        return slice(None), c, np.unique(strata, return_inverse=True)[1]
    return used, c[used], np.unique(strata[used], return_inverse=True)[1]
