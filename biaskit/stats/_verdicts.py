"""From differences to words: Holm, equivalence, what could have been seen, how much more would settle it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import chdtri, ndtr, ndtri, stdtrit

from biaskit.errors import DataError
from biaskit.stats._pair import Difference, welch

__all__ = ["Verdict", "holm", "images_needed", "judge", "seeds_needed", "smallest_detectable", "tost"]

Better = Literal["higher", "lower", "zero"]
Word = Literal["better", "worse", "no relevant difference", "inconclusive"]

#: More seeds than this is no plan.
_MOST_SEEDS = 100_000


@dataclass(frozen=True)
class Verdict:
    """What may be said of arm b against arm a.

    Attributes
    ----------
    word : str
        ``better``, ``worse``, ``no relevant difference`` or ``inconclusive``; never "no difference".
    reason : str
        Why it is inconclusive where that is not just a matter of power; else empty.
    p_holm : float
        p of the difference, Holm over the family.
    p_tost : float
        p of "the difference is at least the margin", Holm over the family; NaN without a margin.
    low, high : float
        Interval that covers together with the others of the family (Bonferroni).
    smallest_detectable : float
        Difference that would have been found with 80 % probability; from the spread alone.
    beyond_margin : bool
        better or worse, and the whole interval lies beyond the margin.
    """

    word: Word
    reason: str
    p_holm: float
    p_tost: float
    low: float
    high: float
    smallest_detectable: float
    beyond_margin: bool

    def __str__(self) -> str:
        return f"{self.word} ({self.reason})" if self.reason else self.word


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Adjusted p-values: the i-th smallest times ``M - i + 1``, made monotone, at most 1.

    Parameters
    ----------
    p : array_like (M,)
        NaN counts as a member of the family and stays NaN.

    Returns
    -------
    ndarray (M,)

    References
    ----------
    Holm 1979, Scand J Stat 6:65.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p, np.float64)
    order = np.argsort(np.where(np.isnan(values), np.inf, values))
    steps = np.where(np.isnan(values), 1.0, values)[order] * np.arange(values.size, 0, -1)
    adjusted = np.empty(values.size)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return np.where(np.isnan(values), np.nan, adjusted)


def tost(difference: Difference, margin: float) -> float:
    """p of two one-sided tests that the true difference lies inside ``-margin .. margin``.

    Parameters
    ----------
    difference : Difference
    margin : float
        Largest difference that does not matter, in the metric's unit.

    Returns
    -------
    float
        The larger of both; small: the difference is smaller than the margin.

    References
    ----------
    Schuirmann 1987, J Pharmacokinet Biopharm 15:657.

    Examples
    --------
    >>> from biaskit.stats import difference
    >>> same = difference(np.eye(3, 400), np.eye(3, 400, 3))
    >>> tost(same, 0.05) < 0.05 < tost(same, 0.001)
    True
    """
    if not margin > 0:
        raise DataError(f"a margin is larger than 0; got {margin}")
    inside = margin - abs(difference.estimate)
    one_sided = difference.p_at(inside) / 2
    return one_sided if inside >= 0 else 1 - one_sided


def smallest_detectable(difference: Difference, verdicts: int = 1, power: float = 0.8, alpha: float = 0.05) -> float:
    """True difference that these seeds and images would find; from spread alone, so print "about".

    ``sqrt(m^2 V_seed + (z_{1 - a/2} + z_power)^2 V_image)`` (plus the bias term) with ``a = alpha /
    verdicts``, where m solves ``mean over q ~ chi2_df of Phi(m - t_{1 - a/2, df} sqrt(q / df)) = power``.

    Parameters
    ----------
    difference : Difference
        Its spread is used, never its estimate.
    verdicts : int
        Size of the family.
    power : float
    alpha : float

    Returns
    -------
    float
        NaN for one seed.

    Examples
    --------
    >>> from biaskit.stats import difference
    >>> d = difference([[1, 0, 1, 0]] * 2 + [[1, 0, 0, 0]], [[1, 1, 1, 0]] * 3)
    >>> smallest_detectable(d, verdicts=2) > smallest_detectable(d)
    True
    """
    a = alpha / verdicts
    m = _multiplier(difference.df, a, power)
    image = _image_multiplier(a, power) ** 2 * difference.se_image**2
    return float(np.sqrt(m**2 * difference.se_seed**2 + image)) + difference.bias


def seeds_needed(
    difference: Difference, effect: float, verdicts: int = 1, power: float = 0.8, alpha: float = 0.05
) -> int | None:
    """Seeds per arm that would find an effect on these images, if the spread stays as it is.

    Parameters
    ----------
    difference : Difference
        A pilot of two seeds or more.
    effect : float
        True difference to be found; its sign does not matter.
    verdicts, power, alpha
        As in `smallest_detectable`.

    Returns
    -------
    int or None
        At least 3. None where no number of seeds would do (the images alone leave more doubt than that), or
        none up to 100,000.

    Raises
    ------
    DataError
        The pilot has one seed and so no spread over seeds.

    Examples
    --------
    >>> from biaskit.stats import difference
    >>> rng = np.random.default_rng(0)
    >>> d = difference(rng.random((3, 900)) < 0.90, rng.random((3, 900)) < 0.92)
    >>> seeds_needed(d, 0.03), seeds_needed(d, 1e-9)
    (5, None)
    """
    a = alpha / verdicts
    room = max(abs(effect) - difference.bias, 0.0) ** 2 - (_image_multiplier(a, power) * difference.se_image) ** 2
    spread = _seed_spread(difference)

    def enough(seeds: int) -> bool:
        var_seed, df = _projected(spread, seeds)
        return bool(_multiplier(df, a, power) ** 2 * var_seed <= room)

    if room <= 0:
        return None
    high = 3
    while not enough(high):
        high *= 2
        if high > _MOST_SEEDS:
            return None
    low = max(2, high // 2)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def images_needed(
    difference: Difference, effect: float, verdicts: int = 1, power: float = 0.8, alpha: float = 0.05
) -> int | None:
    """Test images, in the same mix of groups, that would find an effect with these seeds.

    Parameters
    ----------
    difference, effect, verdicts, power, alpha
        As in `seeds_needed`.

    Returns
    -------
    int or None
        Images that count for the metric, now `difference.n`. None where no number of images would do.

    Raises
    ------
    DataError
        The pilot has one seed.

    Examples
    --------
    >>> from biaskit.stats import difference
    >>> rng = np.random.default_rng(0)
    >>> d = difference(rng.random((9, 900)) < 0.90, rng.random((9, 900)) < 0.92)
    >>> images_needed(d, 1e-9) is None
    True
    """
    _seed_spread(difference)
    a = alpha / verdicts
    room = max(abs(effect) - difference.bias, 0.0) ** 2
    room -= (_multiplier(difference.df, a, power) * difference.se_seed) ** 2
    if room <= 0:
        return None
    return int(np.ceil(difference.n * (_image_multiplier(a, power) * difference.se_image) ** 2 / room))


def judge(
    differences: Sequence[Difference],
    better: Sequence[Better],
    margin: float | Sequence[float | None] | None = None,
    looks: int = 1,
    alpha: float = 0.05,
) -> list[Verdict]:
    """Verdicts of a family of differences: at most one run in twenty says anything false.

    In this order: fewer than three seeds, identical arms or an undefined difference are inconclusive; a
    difference shown to lie inside the margin is not relevant; a difference with Holm's p at most ``alpha /
    looks`` is better or worse; everything else is inconclusive.

    Parameters
    ----------
    differences : sequence of Difference
        All that will get a verdict, fixed before looking: metrics x pairs of arms.
    better : sequence of {"higher", "lower", "zero"}
        Direction of each metric; "zero" is a signed gap, better where arm b is nearer to 0.
    margin : float or sequence, optional
        Largest difference that does not matter, in the unit of each metric; None for none.
    looks : int
        How often verdicts were or will be looked at while seeds are added.
    alpha : float
        Error of the family over all looks.

    Returns
    -------
    list of Verdict

    References
    ----------
    Holm 1979; Schuirmann 1987.

    Examples
    --------
    >>> from biaskit.stats import difference
    >>> rng = np.random.default_rng(0)
    >>> d = difference(rng.random((5, 900)) < 0.80, rng.random((5, 900)) < 0.95)
    >>> [str(verdict) for verdict in judge([d, d], ["higher", "lower"])]
    ['better', 'worse']
    """
    family = len(differences)
    margins = [margin] * family if margin is None or isinstance(margin, int | float) else list(margin)
    if not len(better) == len(margins) == family:
        raise DataError(f"{family} differences need as many directions and margins; got {len(better)}, {len(margins)}")
    if not set(better) <= {"higher", "lower", "zero"} or looks < 1:
        raise DataError(f"better is higher, lower or zero and looks at least 1; got {sorted(set(better))}, {looks}")
    level = alpha / looks
    p_holm = holm([d.p for d in differences])
    p_tost = holm([np.nan if one is None else tost(d, one) for d, one in zip(differences, margins, strict=True)])
    verdicts = []
    for i, d in enumerate(differences):
        low, high = d.interval(level / family)
        word, reason = _word(d, better[i], float(p_holm[i]), float(p_tost[i]), level)
        beyond = word in ("better", "worse") and margins[i] is not None and max(low, -high) > (margins[i] or 0.0)
        least = smallest_detectable(d, family, alpha=level)
        verdicts.append(Verdict(word, reason, float(p_holm[i]), float(p_tost[i]), low, high, least, beyond))
    return verdicts


def _word(d: Difference, better: Better, p: float, p_tost: float, level: float) -> tuple[Word, str]:
    """The rules in their order."""
    if d.reason:
        return "inconclusive", d.reason
    if d.identical:
        return "inconclusive", "identical predictions"
    if d.seeds < 3:
        return "inconclusive", "needs 3 seeds"
    if p_tost <= level:
        return "no relevant difference", ""
    if not p <= level:
        return "inconclusive", ""
    if better == "zero":
        # Towards zero and past it by more than it was away is no improvement, but no plain worsening either.
        if d.estimate * d.a >= 0:
            return "worse", ""
        return ("better", "") if abs(d.b) < abs(d.a) else ("inconclusive", "the gap changed sign")
    return ("better", "") if (d.estimate > 0) == (better == "higher") else ("worse", "")


@lru_cache(maxsize=4096)
def _multiplier(df: float, alpha: float, power: float) -> float:
    """m: standard errors over seeds an effect must be to be found (scipy's noncentral t gives NaN here)."""
    if np.isnan(df):
        return float("nan")
    ratio = np.sqrt(chdtri(df, (np.arange(4_000) + 0.5) / 4_000) / df)
    t = -float(stdtrit(df, alpha / 2))
    return float(brentq(lambda m: float(ndtr(m - t * ratio).mean()) - power, 0.0, t * float(ratio.max()) + 10))


def _image_multiplier(alpha: float, power: float) -> float:
    return float(ndtri(1 - alpha / 2) + ndtri(power))


def _seed_spread(difference: Difference) -> tuple[float, ...]:
    if not difference.seed_variances:
        raise DataError("one seed shows no spread over seeds; run at least two per arm, then plan")
    return difference.seed_variances


def _projected(spread: tuple[float, ...], seeds: int) -> tuple[float, float]:
    """V_seed and its degrees of freedom with this many seeds per arm."""
    if len(spread) == 2:
        return welch(spread[0], spread[1], (seeds, seeds))
    return spread[0] / seeds, float(seeds - 1)
