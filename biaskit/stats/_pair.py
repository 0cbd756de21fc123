"""Two arms side by side: which seeds meet, what varies over seeds and over images, and the difference."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import ndtri, stdtrit

from biaskit.errors import DataError
from biaskit.stats._intervals import Floats, bonett_price, mcnemar

__all__ = ["Difference", "Pair", "distinct_seeds", "half_width"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Difference:
    """Metric of arm b minus metric of arm a.

    Attributes
    ----------
    estimate, low, high, p : float
        Difference, 95 % interval over seeds and images, two-sided p.
    a, b : float
        The metric of each arm over the seeds used.
    se_seed, se_image : float
        Standard errors of the two sources. ``se_seed`` is NaN where an arm has one seed: everything then
        speaks of these models and other images only (`scope`).
    df : float
        Degrees of freedom of ``se_seed``; Welch's are not whole.
    seeds : int
        Seeds of the arm with fewer; `seeds_each` has both.
    n : int
        Images that count.
    image_share : float
        Share of the squared half-width that comes from the images. Near 1: more images help, not more seeds.
    pairing : str
        In words which seeds were used and how.
    bias : float
        Extra half-width of a worst-group difference; 0 for linear metrics.
    seed_variances : tuple of float
        Variance over seeds: of the paired differences, or of both arms where seeds are not shared.
    discordant : tuple of int or None
        Single models only: images that b alone and a alone has right, and n; the interval is Bonett-Price's.
    identical : bool
        The arms agree on every image and seed.
    notes : tuple of str
        Seeds that were counted once because they repeat another.
    reason : str
        Why the numbers are NaN; empty where they are not.

    Notes
    -----
    `half_width` and `interval` give other levels than 95 %.
    """

    estimate: float
    low: float
    high: float
    p: float
    a: float
    b: float
    se_seed: float
    se_image: float
    df: float
    seeds: int
    seeds_each: tuple[int, int]
    n: int
    image_share: float
    pairing: str
    bias: float = 0.0
    seed_variances: tuple[float, ...] = ()
    discordant: tuple[int, int, int] | None = None
    identical: bool = False
    notes: tuple[str, ...] = ()
    reason: str = ""

    @property
    def scope(self) -> str:
        """``"recipes"``, or ``"models"`` where an arm has one seed."""
        return "recipes" if self.seeds > 1 else "models"

    def half_width(self, alpha: float = 0.05) -> float:
        """Half-width of the two-sided ``1 - alpha`` interval, the bias term included."""
        return float(half_width(alpha, self.se_seed**2, self.se_image**2, self.df)) + self.bias

    def interval(self, alpha: float = 0.05) -> tuple[float, float]:
        """The two-sided ``1 - alpha`` interval."""
        if self.discordant is not None:
            low, high = bonett_price(*self.discordant, level=1 - alpha)
            return float(low), float(high)
        h = self.half_width(alpha)
        return self.estimate - h, self.estimate + h

    def p_at(self, distance: float) -> float:
        """Two-sided p of an estimate this far from the tested value: where the half-width is the distance."""
        return _solve(abs(distance) - self.bias, self.se_seed**2, self.se_image**2, self.df)


def half_width(alpha: ArrayLike, var_seed: ArrayLike, var_image: ArrayLike, df: ArrayLike) -> Floats:
    """Half-width over seeds and images: ``h^2 = t_{df, 1 - alpha/2}^2 V_seed + z_{1 - alpha/2}^2 V_image``.

    Parameters
    ----------
    alpha : array_like
        Two-sided error, in (0, 1].
    var_seed, var_image : array_like
        Squared standard errors. NaN for V_seed (one seed) leaves the images alone.
    df : array_like
        Degrees of freedom of V_seed.

    Returns
    -------
    ndarray or float

    References
    ----------
    Howe 1974, JASA 69:789; Zou & Donner 2008, Stat Med 27:1693.

    Examples
    --------
    >>> round(float(half_width(0.05, 0.0052083, 0.005, 2)), 4)
    0.34
    """
    tail, v_seed = np.asarray(alpha, np.float64) / 2, np.asarray(var_seed, np.float64)
    t = stdtrit(np.asarray(df, np.float64), tail)
    seeds = np.where(np.isnan(v_seed) | (v_seed == 0), 0.0, t**2 * v_seed)
    return np.sqrt(seeds + ndtri(tail) ** 2 * np.asarray(var_image, np.float64))[()]


def distinct_seeds(answers: ArrayLike, seeds: Sequence[Hashable]) -> tuple[list[int], list[str]]:
    """Rows of an arm that do not repeat an earlier one: a copied run, or an unused seed, counts once.

    Parameters
    ----------
    answers : array_like (S, n)
        Predicted classes, or better logits or confidences: those of two real trainings never agree
        everywhere. Not the 0/1 of right and wrong, which may well agree on few images.
    seeds : sequence (S,)
        Names for the notes.

    Returns
    -------
    kept : list of int
        Rows to keep.
    notes : list of str
        One line per dropped row.

    Examples
    --------
    >>> distinct_seeds([[0, 1], [1, 1], [0, 1]], [0, 1, 2])
    ([0, 1], ['seed 2 has the predictions of seed 0 and was not counted'])
    """
    rows = np.asarray(answers)
    kept: list[int] = []
    notes: list[str] = []
    for row in range(len(rows)):
        same = next((one for one in kept if np.array_equal(rows[one], rows[row])), None)
        if same is None:
            kept.append(row)
        else:
            notes.append(f"seed {seeds[row]} has the predictions of seed {seeds[same]} and was not counted")
    return kept, notes


@dataclass(frozen=True, eq=False)
class Pair:
    """Two arms on the same images after the choice of seeds; `combine` makes the `Difference` of a metric.

    Attributes
    ----------
    a, b : ndarray (S_a, n), (S_b, n)
        Rows correspond where `paired`.
    paired : bool
    pairing : str
    notes : tuple of str
    identical : bool
    """

    a: Array
    b: Array
    paired: bool
    pairing: str
    notes: tuple[str, ...]
    identical: bool

    @classmethod
    def of(
        cls,
        a: ArrayLike,
        b: ArrayLike,
        seeds_a: Sequence[Hashable] | None,
        seeds_b: Sequence[Hashable] | None,
        predictions: tuple[ArrayLike, ArrayLike] | None,
    ) -> Pair:
        """Check the tables, count repeated seeds once, and match the seeds. See `difference`."""
        xa, xb = checked(a, "a"), checked(b, "b")
        if xa.shape[1] != xb.shape[1]:
            raise DataError(f"arms must answer the same images; got {xa.shape[1]} and {xb.shape[1]}")
        if (seeds_a is None) != (seeds_b is None):
            raise DataError("name the seeds of both arms or of neither")
        names: list[list[Hashable]] = [
            list(range(len(xa)) if seeds_a is None else seeds_a),
            list(range(len(xb)) if seeds_b is None else seeds_b),
        ]
        for x, own, arm in zip((xa, xb), names, "ab", strict=True):
            if len(own) != len(x) or len(set(own)) != len(own):
                raise DataError(f"arm {arm} has {len(x)} rows and seeds {own}; one seed per row, none twice")
        answers = [np.asarray(one) for one in (predictions or (xa, xb))]
        if answers[0].shape[:2] != xa.shape or answers[1].shape[:2] != xb.shape:
            raise DataError(
                f"predictions {answers[0].shape}, {answers[1].shape} do not fit values {xa.shape}, {xb.shape}"
            )
        rows, notes = [list(range(len(xa))), list(range(len(xb)))], []
        if predictions is not None:
            for i, arm in enumerate("ab"):
                rows[i], repeats = distinct_seeds(answers[i], names[i])
                notes += [f"arm {arm}: {note}" for note in repeats]
        seen = [[names[i][row] for row in rows[i]] for i in (0, 1)]
        common = [seed for seed in seen[0] if seed in set(seen[1])]
        paired = set(seen[0]) == set(seen[1]) or len(common) >= 3
        if paired:
            rows = [[names[i].index(seed) for seed in common] for i in (0, 1)]
            pairing = f"paired over {len(common)} common seeds"
        else:
            pairing = f"independent seeds, {len(rows[0])} and {len(rows[1])}; {len(common)} in common"
        first, second = answers[0][rows[0]], answers[1][rows[1]]
        identical = np.array_equal(first, second)
        return cls(xa[rows[0]], xb[rows[1]], paired, pairing, tuple(notes), identical)

    def combine(
        self,
        values: tuple[Array, Array],
        images: tuple[Array, Array],
        scale: Array,
        strata: NDArray[np.int64],
        floor: float,
        bias: float = 0.0,
        discordant: tuple[int, int, int] | None = None,
    ) -> Difference:
        """The difference of a metric.

        Parameters
        ----------
        values : pair of ndarray (S,)
            The metric of each seed, arm a and arm b.
        images : pair of ndarray (S, n)
            What each image contributes to it.
        scale : ndarray (n,)
            Its coefficients, for strata of one image.
        strata : ndarray of int (n,)
        floor : float
            Least V_image.
        bias : float
            Added to every half-width.
        discordant : tuple of int, optional
            For two single models: use Bonett-Price and McNemar.
        """
        (va, vb), (ya, yb) = values, images
        estimate, seeds = float(vb.mean() - va.mean()), min(len(va), len(vb))
        variances: tuple[float, ...] = ()
        parts: tuple[Array, ...]
        if seeds == 1:
            var_seed = df = float("nan")
            parts = (yb.mean(0, keepdims=True) - ya.mean(0, keepdims=True),)
        elif self.paired:
            variances = (float((vb - va).var(ddof=1)),)
            var_seed, df = variances[0] / seeds, float(seeds - 1)
            parts = (yb - ya,)
        else:
            variances = (float(va.var(ddof=1)), float(vb.var(ddof=1)))
            var_seed, df = welch(variances[0], variances[1], (len(va), len(vb)))
            parts = (yb, -ya)
        var_image = at_least(image_variance(parts, scale, strata), floor)
        if np.isnan(var_image):
            return self.undefined("one image has no spread")
        h = float(half_width(0.05, var_seed, var_image, df))
        share = float(ndtri(0.025) ** 2 * var_image / h**2) if h > 0 else np.nan
        low, high = estimate - h - bias, estimate + h + bias
        p = _solve(abs(estimate) - bias, var_seed, var_image, df)
        if discordant is not None:
            low, high = bonett_price(*discordant)
            p = float(mcnemar(*discordant[:2]))
        return Difference(
            estimate, float(low), float(high), 1.0 if self.identical else p,
            float(va.mean()), float(vb.mean()), float(np.sqrt(var_seed)), float(np.sqrt(var_image)), df,
            seeds, (len(va), len(vb)), ya.shape[1], share,
            self.pairing, bias, variances, discordant, self.identical, self.notes,
        )  # fmt: skip

    def undefined(self, reason: str) -> Difference:
        """A difference that cannot be computed."""
        nan, each = float("nan"), (len(self.a), len(self.b))
        return Difference(
            nan, nan, nan, nan, nan, nan, nan, nan, nan, min(each), each, 0, nan,
            self.pairing, notes=self.notes, reason=reason,
        )  # fmt: skip


def welch(var_a: float, var_b: float, seeds: tuple[int, int]) -> tuple[float, float]:
    """V_seed and degrees of freedom of two independent arms."""
    first, second = var_a / seeds[0], var_b / seeds[1]
    total = first + second
    if total == 0:
        return 0.0, float(min(seeds) - 1)
    return total, total**2 / (first**2 / (seeds[0] - 1) + second**2 / (seeds[1] - 1))


def image_variance(parts: Sequence[Array], scale: Array, strata: NDArray[np.int64]) -> float:
    """V_image before the floor: spread of contributions within strata, less what seeds scatter on an image.

    Parameters
    ----------
    parts : sequence of ndarray (S, n)
        Contributions whose means over seeds add up; one part where seeds are paired, one per arm where not.
    scale : ndarray (n,)
    strata : ndarray of int (n,)
    """
    spread = sum(part.mean(0) for part in parts)
    raw = _within_strata(np.asarray(spread), scale, strata)
    noise = sum(float(part.var(0, ddof=1).sum()) / len(part) for part in parts if len(part) > 1)
    return max(raw - noise, 0.0)


def _within_strata(v: Array, scale: Array, strata: NDArray[np.int64]) -> float:
    """``sum_g n_g / (n_g - 1) sum_i (v_i - mean_g)^2``; a stratum of one borrows the others' variance."""
    n = np.bincount(strata)
    total = np.bincount(strata, v)
    deviation = v - (total / np.maximum(n, 1))[strata]
    squares = np.bincount(strata, deviation**2)
    many = n > 1
    raw = float((squares[many] * n[many] / (n[many] - 1)).sum())
    alone = n[strata] == 1
    if alone.any():
        # On the scale of the values themselves, because coefficients differ between strata.
        unit = np.where(scale != 0, v / np.where(scale != 0, scale, 1), 0.0)
        codes = strata if not alone.all() else np.zeros_like(strata)
        size = np.bincount(codes)
        rest = unit - (np.bincount(codes, unit) / np.maximum(size, 1))[codes]
        freedom = int((size[size > 1] - 1).sum())
        raw += float((scale[alone] ** 2).sum() * (rest**2).sum() / freedom) if freedom else np.nan
    return raw


def side_floor(c: Array) -> float:
    """Least V_image of a 0/1 metric: ``sum over the sides of the contrast of 1 / (2 (n_eff + 2)^2)``."""
    floor = 0.0
    for side in (c[c > 0], c[c < 0]):
        if side.size:
            n = side.sum() ** 2 / (side**2).sum()
            floor += float(side.sum() ** 2 / (2 * (n + 2) ** 2))
    return floor


def at_least(variance: float, floor: float) -> float:
    """The larger of the two; a single image has no variance of its own and takes the floor."""
    return float(np.fmax(variance, floor)) if floor else variance


def checked(x: ArrayLike, name: str) -> Array:
    """x as seeds by images, finite."""
    table = np.asarray(x, np.float64)
    if table.ndim != 2 or not len(table):
        raise DataError(f"{name} is a table of seeds by images; got shape {table.shape}")
    bad = int((~np.isfinite(table)).sum())
    if bad:
        raise DataError(f"{name} has {bad} values that are missing or infinite; leave these images out of both arms")
    return table


def _solve(distance: float, var_seed: float, var_image: float, df: float) -> float:
    """The alpha at which the half-width is the distance: 1 at 0, 1e-12 at the least."""
    if np.isnan(distance) or np.isnan(var_image):
        return float("nan")
    if distance <= 0:
        return 1.0
    seeds = 0.0 if np.isnan(var_seed) else var_seed

    def excess(alpha: float) -> float:
        t = stdtrit(df, alpha / 2) if seeds else 0.0
        return float((t * t * seeds + ndtri(alpha / 2) ** 2 * var_image) ** 0.5) - distance

    if excess(1e-12) <= 0:
        return 1e-12
    return float(brentq(excess, 1e-12, 1.0))
