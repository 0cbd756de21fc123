"""Canonical correlation of features with word vectors: regularized, held out, and cheap to repeat under controls.

>>> rng = np.random.default_rng(0)
>>> common = rng.standard_normal((400, 1))
>>> features = np.hstack([common + rng.standard_normal((400, 1)), rng.standard_normal((400, 3))])
>>> words = common + rng.standard_normal((400, 1))
>>> round(float(correlations(features, words)[0]), 1)  # the truth is 1/2
0.5
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from biaskit.errors import DataError

__all__ = ["HeldOut", "Views", "correlations"]

Floats = npt.NDArray[np.float64]
#: Below this share of the largest, a singular value is a direction that the data do not have.
_FLAT = 1e-9
#: The largest correlation that an interval is made for.
_PERFECT = 1.0 - 1e-12


def correlations(x: npt.ArrayLike, w: npt.ArrayLike, kappa: float = 0.0) -> Floats:
    """Canonical correlations (min(rank x, rank w),) of the rows of two matrices, largest first.

    ``rho`` are the singular values of ``Ux' Uw`` with ``X = Ux S Vx'`` centered and every singular value shrunk by
    ``s / sqrt(s^2 + n kappa m)``, where ``m`` is the mean eigenvalue of the covariance: 0 is plain CCA.

    Parameters
    ----------
    x : array (n, p)
    w : array (n, q)
    kappa : float
        In units of the mean eigenvalue.

    Raises
    ------
    DataError
        Rows that do not pair; fewer rows than columns, where noise alone correlates perfectly; NaN.

    References
    ----------
    Hotelling, Relations between two sets of variates, Biometrika 28:321, 1936; with ridge, Vinod 1976.
    """
    one, other = np.asarray(x, np.float64), np.asarray(w, np.float64)
    _pair(one, other)
    widest = max(one.shape[1], other.shape[1])
    if len(one) <= widest:
        raise DataError(
            f"{len(one):,} rows for {widest} columns: with fewer rows than dimensions noise alone correlates "
            "perfectly; take more images or fewer dimensions"
        )
    (u, shrunk, _), (v, shrunk_w, _) = _white(one, kappa), _white(other, kappa)
    found = np.linalg.svd((u * shrunk).T @ (v * shrunk_w), compute_uv=False)
    return np.asarray(found.clip(0.0, 1.0))


def _pair(x: Floats, w: Floats) -> None:
    if x.ndim != 2 or w.ndim != 2 or len(x) != len(w):
        raise DataError(f"features {x.shape} and words {w.shape} have no rows in common")
    if not (np.isfinite(x).all() and np.isfinite(w).all()):
        raise DataError("features or words hold NaN or infinite numbers")


def _white(rows: Floats, kappa: float) -> tuple[Floats, Floats, Floats]:
    """Left singular vectors of the centered rows, their shrinking, and the map (columns, rank) that whitens rows."""
    centered = rows - rows.mean(axis=0)
    u, s, vt = np.linalg.svd(centered, full_matrices=False)
    kept = s > _FLAT * max(float(s[0]) if len(s) else 0.0, 1e-300)
    u, s, vt = u[:, kept], s[kept], vt[kept]
    ridge = kappa * float((s**2).mean()) if len(s) else 0.0
    shrunk = s / np.sqrt(s**2 + ridge)
    return u, shrunk, vt.T * (shrunk / s)


@dataclass(frozen=True)
class HeldOut:
    """Correlations on rows that the directions were not fitted to.

    Attributes
    ----------
    rho : float array (k,)
        By component, in the order of the fit; may be negative where there is nothing.
    low, high : float
        95 % interval of the first, Fisher's z over all held-out rows.
    """

    rho: Floats
    low: float
    high: float

    @property
    def first(self) -> float:
        return float(self.rho[0]) if len(self.rho) else np.nan

    @property
    def mean(self) -> float:
        return float(self.rho.mean()) if len(self.rho) else np.nan


class Views:
    """Features cut into folds and whitened once, to be held against many word matrices.

    Parameters
    ----------
    features : array (n, p)
    dimensions : int
        Principal components kept, found on the rows of a fold that are fitted.
    kappa : float
        As in :func:`correlations`.
    folds : int
    generator : numpy Generator
        Draws the folds.

    Raises
    ------
    DataError
        Fewer fitted rows than twice the dimensions: held-out correlations would say nothing.
    """

    def __init__(
        self, features: npt.ArrayLike, *, dimensions: int, kappa: float, folds: int, generator: np.random.Generator
    ) -> None:
        x = np.asarray(features, np.float64).reshape(len(np.asarray(features)), -1)
        _pair(x, x)
        self.count, self.kappa = len(x), kappa
        self._folds = list(self._cut(x, min(dimensions, x.shape[1]), folds, generator))

    def _cut(
        self, x: Floats, dimensions: int, folds: int, generator: np.random.Generator
    ) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Floats, Floats]]:
        order = generator.permutation(len(x))
        for part in np.array_split(order, folds):
            fitted = np.setdiff1d(order, part)
            if len(fitted) < 2 * dimensions or len(part) < 4:
                raise DataError(
                    f"{len(x):,} rows in {folds} folds for {dimensions} dimensions are too few: noise alone would "
                    f"correlate; take {-(-2 * dimensions * folds // (folds - 1)):,} images or more, or fewer dimensions"
                )
            mean = x[fitted].mean(axis=0)
            _, _, vt = np.linalg.svd(x[fitted] - mean, full_matrices=False)
            low = (x - mean) @ vt[:dimensions].T
            u, shrunk, white = _white(low[fitted], self.kappa)
            yield fitted, part, u * shrunk, low[part] @ white

    def against(self, words: npt.ArrayLike) -> HeldOut:
        """The held-out correlations with word vectors (n, q), a row for each image."""
        w = np.asarray(words, np.float64)
        if len(w) != self.count:
            raise DataError(f"{len(w):,} word vectors for {self.count:,} images")
        pairs: list[tuple[Floats, Floats]] = []
        for fitted, part, view, held in self._folds:
            u, shrunk, white = _white(w[fitted], self.kappa)
            left, _, right = np.linalg.svd(view.T @ (u * shrunk), full_matrices=False)
            pairs.append((_standard(held @ left), _standard((w[part] - w[fitted].mean(axis=0)) @ white @ right.T)))
        count = min((one.shape[1] for one, _ in pairs), default=0)
        rho = np.mean([(one[:, :count] * other[:, :count]).mean(axis=0) for one, other in pairs], axis=0)
        low, high = _fisher(float(rho[0]), self.count) if count else (np.nan, np.nan)
        return HeldOut(np.asarray(rho), low, high)


def _standard(rows: Floats) -> Floats:
    """Columns of mean 0 and variance 1; a constant one stays 0 and correlates with nothing."""
    centered = rows - rows.mean(axis=0)
    spread = centered.std(axis=0)
    return np.asarray(centered / np.where(spread > 1e-12, spread, 1.0))


def _fisher(rho: float, n: int) -> tuple[float, float]:
    if n < 5 or not np.isfinite(rho):
        return np.nan, np.nan
    # Rounding may carry a perfect correlation to 1 or beyond, where z has no end.
    z, half = np.arctanh(np.clip(rho, -_PERFECT, _PERFECT)), 1.959964 / np.sqrt(n - 3)
    return float(np.tanh(z - half)), float(np.tanh(z + half))
