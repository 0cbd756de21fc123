"""Do stated probabilities mean what they say? The expected calibration error, its interval and its noise floor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri
from scipy.stats import binom

from biaskit.errors import DataError

__all__ = ["CalibrationError", "calibration_error"]


@dataclass(frozen=True)
class CalibrationError:
    """The expected calibration error of one model on one group.

    Attributes
    ----------
    estimate : float
        As seen: too high by construction, because chance moves every bin away from 0.
    low, high : float
        Interval of the error of this model on other rows, in the same bins.
    noise : float
        What a perfectly calibrated model would show on rows with these probabilities, by chance alone.
    n : int
        Rows.
    """

    estimate: float
    low: float
    high: float
    noise: float
    n: int


def calibration_error(
    n: ArrayLike, hits: ArrayLike, stated: ArrayLike, squares: float, level: float = 0.95
) -> CalibrationError:
    """Expected calibration error: how far the stated probability lies from the rate of the event, bin by bin.

    ``ECE = sum_b |hits_b - stated_b| / N``. Its bias is upward and at most about the noise floor, so the interval is
    ``[ECE - noise - z s, ECE + z s]`` within [0, 1], with ``s^2 = (sum (y - p)^2 - N ECE^2 + z^2) / N^2``: the
    spread of a mean of N signed residuals, the ``z^2`` so that no interval has zero width. The noise floor is
    the mean absolute deviation of a binomial count in every bin, ``sum_b E|Bin(n_b, p_b) - n_b p_b| / N``.

    Parameters
    ----------
    n : array_like of int (B,)
        Rows per bin.
    hits : array_like of int (B,)
        Rows per bin in which the event happened.
    stated : array_like of float (B,)
        Sum of the stated probabilities per bin.
    squares : float
        Sum over all rows of ``(event - probability)^2``.
    level : float
        Coverage.

    Returns
    -------
    CalibrationError
        All NaN without rows.

    Raises
    ------
    DataError
        Hits or sums of probabilities lie outside 0 .. n.

    References
    ----------
    Guo et al. 2017, arXiv 1706.04599, eq. 3; bias-aware intervals as in Armstrong & Kolesár 2020, Quant Econ 11:1;
    mean absolute deviation of a binomial: de Moivre 1730, Diaconis & Zabell 1991, Stat Sci 6:284.

    Examples
    --------
    >>> found = calibration_error([50, 50], [30, 45], [40.0, 45.0], 16.5)
    >>> found.estimate, round(found.low, 3), round(found.high, 3), round(found.noise, 3)
    (0.1, 0.0, 0.186, 0.039)
    """
    size, right = np.asarray(n, np.float64), np.asarray(hits, np.float64)
    total = np.asarray(stated, np.float64)
    if np.any((right < 0) | (right > size) | (total < 0) | (total > size * (1 + 1e-9))):
        raise DataError("hits and summed probabilities must lie between 0 and n in every bin")
    rows = float(size.sum())
    if not rows:
        return CalibrationError(np.nan, np.nan, np.nan, np.nan, 0)
    z = float(ndtri((1 + level) / 2))
    estimate = float(np.abs(right - total).sum() / rows)
    noise = float(_deviation(size, np.clip(total / np.maximum(size, 1), 0, 1)).sum() / rows)
    spread = z * float(np.sqrt(max(squares - rows * estimate**2, 0.0) + z**2)) / rows
    return CalibrationError(
        estimate, max(0.0, estimate - noise - spread), min(1.0, estimate + spread), noise, int(rows)
    )


def _deviation(n: NDArray[np.float64], p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean absolute deviation of Binomial(n, p): ``2 (m + 1) (1 - p) P(X = m + 1)`` with ``m = floor(n p)``."""
    m = np.floor(n * p)
    found: NDArray[np.float64] = 2 * (m + 1) * (1 - p) * binom.pmf(m + 1, n, p)
    return found
