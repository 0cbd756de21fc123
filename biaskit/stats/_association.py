"""How strongly two columns go together, from a table of counts: Cramer's V with its interval and test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2, random_table

from biaskit.errors import DataError

__all__ = ["Association", "association", "independence"]

Floats = NDArray[np.float64]

#: Cells drawn at once.
_CHUNK = 4_000_000
#: Below this expected count of any cell the chi-squared distribution is not trusted.
_EXPECTED = 5.0
#: Images drawn as if the two columns were independent: a table without an exception gets an interval of its own.
_DOUBT = 4.0


@dataclass(frozen=True)
class Association:
    """Cramer's V of one table of counts.

    Attributes
    ----------
    v : float
        Corrected for what chance alone gives: 0 where the columns are no more tied than that, 1 where one gives the
        other. NaN with a `reason`.
    low, high : float
        95 % interval: other images of the same kind.
    uncorrected : float
        V without the correction, which is above 0 by chance.
    p : float
        Of independence.
    n : int
    reason : str
        Why there is no V; empty where there is one.
    """

    v: float
    low: float
    high: float
    uncorrected: float
    p: float
    n: int
    reason: str = ""


def association(counts: ArrayLike, rng: np.random.Generator, draws: int = 1_999, level: float = 0.95) -> Association:
    """Cramer's V of a table of counts, bias-corrected, with a bootstrap interval and a test of independence.

    ``V = sqrt(phi2 / min(r' - 1, c' - 1))`` with ``phi2 = max(0, chi2 / n - (r - 1)(c - 1) / (n - 1))`` and
    ``r' = r - (r - 1)^2 / (n - 1)``, c' alike. The interval takes quantiles over tables drawn from the observed one:
    how far their chi2 / n scatters around its mean, laid around the corrected value, because a drawn table carries the
    chance of its own drawing as well. Four images are drawn as if the columns were independent, without which a table
    that has no exception would have an interval of no width. Of tables of 2 x 2 to 100 x 2 with 50 to 1,000 images it
    covered the true V in .92 to 1.0 (400 each), and left 0 where nothing was tied in at most .007.

    Parameters
    ----------
    counts : array_like of int (r, c)
        Empty rows and columns are left out.
    rng : numpy.random.Generator
    draws : int
        Tables drawn for the interval; as many for p where an expected count is below 5 and the chi-squared
        distribution would not do.
    level : float
        Coverage.

    Returns
    -------
    Association

    Raises
    ------
    DataError
        No table, or counts below 0.

    References
    ----------
    Bergsma 2013, J Korean Stat Soc 42:323 (the correction); Patefield 1981, Appl Stat 30:91 (tables of given margins).

    Examples
    --------
    >>> found = association([[95, 5], [5, 95]], np.random.default_rng(0))
    >>> round(found.v, 2), found.low < 0.9 < found.high, found.p < 1e-30
    (0.9, True, True)
    >>> association([[50, 50]], np.random.default_rng(0)).reason
    'one value only'
    """
    table = _filled(counts)
    n = int(table.sum())
    # The most that phi2 can be, less what chance gives; 0 where there are as many values as images.
    most = min(one - (one - 1) ** 2 / max(n - 1, 1) for one in table.shape) - 1
    if most < 1e-9:
        nan = float("nan")
        reason = "no images" if not n else "one value only" if min(table.shape) < 2 else "as many values as images"
        return Association(nan, nan, nan, nan, nan, n, reason)
    phi2 = float(_phi2(table[None].astype(np.float64))[0])
    chance = (table.shape[0] - 1) * (table.shape[1] - 1) / max(n - 1, 1)
    drawn = np.concatenate([_phi2(one) for one in _redrawn(table, rng, draws)])
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2]) - drawn.mean() + max(phi2 - chance, 0.0)
    v, bottom, top = np.sqrt(np.clip([phi2 - chance, low, high], 0.0, most) / most).tolist()
    plain = float(np.sqrt(phi2 / (min(table.shape) - 1)))
    return Association(v, min(bottom, v), max(top, v), plain, _p(table, phi2, rng, draws), n)


def independence(counts: ArrayLike, rng: np.random.Generator, draws: int = 1_999) -> float:
    """p of independence of the rows and columns of a table of counts: that of `association`, without its interval.

    Parameters
    ----------
    counts, rng, draws
        As in `association`.

    Returns
    -------
    float
        NaN where a row or a column alone has all the images.

    Raises
    ------
    DataError
        No table, or counts below 0.

    Examples
    --------
    >>> round(independence([[30, 20], [20, 30]], np.random.default_rng(0)), 4)  # chi2 = 4, one degree of freedom
    0.0455
    """
    table = _filled(counts)
    if min(table.shape) < 2:
        return float("nan")
    return _p(table, float(_phi2(table[None].astype(np.float64))[0]), rng, draws)


def _filled(counts: ArrayLike) -> NDArray[np.int64]:
    """The table without empty rows and columns."""
    table = np.asarray(counts)
    if table.ndim != 2 or (table < 0).any():
        raise DataError(f"an association needs a table of counts; got shape {table.shape}")
    filled: NDArray[np.int64] = table[table.sum(1) > 0][:, table.sum(0) > 0].astype(np.int64)
    return filled


def _phi2(tables: Floats) -> Floats:
    """chi2 / n of each of several tables (b, r, c): ``sum O^2 / (R C) - 1``; an empty row or column adds nothing."""
    rows, columns = tables.sum(2, keepdims=True), tables.sum(1, keepdims=True)
    shares = tables**2 / np.maximum(rows, 1) / np.maximum(columns, 1)
    found: Floats = np.maximum(shares.sum((1, 2)) - 1, 0)
    return found


def _redrawn(table: NDArray[np.int64], rng: np.random.Generator, draws: int) -> Iterator[Floats]:
    """Tables (b, r, c) drawn from the observed shares, mixed with a little independence."""
    n = table.sum()
    independent = np.outer(table.sum(1), table.sum(0)) / n
    shares = (table + _DOUBT * independent / n).ravel() / (n + _DOUBT)
    shares /= shares.sum()
    step = max(1, _CHUNK // table.size)
    for start in range(0, draws, step):
        drawn = rng.multinomial(n, shares, size=min(step, draws - start))
        yield drawn.reshape(-1, *table.shape).astype(np.float64)


def _p(table: NDArray[np.int64], phi2: float, rng: np.random.Generator, draws: int) -> float:
    """Of independence: chi-squared, or where a cell expects too few, tables with the same margins."""
    n = table.sum()
    rows, columns = table.sum(1), table.sum(0)
    if np.outer(rows, columns).min() / n >= _EXPECTED:
        return float(chi2.sf(phi2 * n, (len(rows) - 1) * (len(columns) - 1)))
    hits, step = 0, max(1, _CHUNK // table.size)
    for start in range(0, draws, step):
        drawn = random_table.rvs(rows, columns, size=min(step, draws - start), random_state=rng)
        hits += int((_phi2(drawn.astype(np.float64)) >= phi2 - 1e-12).sum())
    return (1 + hits) / (draws + 1)
