"""SRVR: how much of the domain the regions cover, with an interval over objects."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import norm
from scipy.stats import t as student

from biaskit.errors import DataError, SpecError

__all__ = ["FEWEST", "Srvr", "srvr"]

#: Below so many objects a bootstrap interval of volumes, most of which are small and few large, covers too seldom: 83 %
#: of the time with four objects, 93 % with ten.
FEWEST = 10


@dataclass(frozen=True)
class Srvr:
    """Semantic robustness volume ratio.

    Attributes
    ----------
    value, low, high : float
        Mean share of the domain, with a 95 % interval over other objects; NaN ends with fewer than ten objects.
    regions, objects : int
        That entered.
    undefined : int
        Regions that are not a number, left out.
    """

    value: float
    low: float
    high: float
    regions: int
    objects: int
    undefined: int


def srvr(
    volumes: npt.ArrayLike, objects: npt.ArrayLike, *, draws: int = 2000, generator: np.random.Generator | None = None
) -> Srvr:
    """Mean volume of regions, objects weighing the same, with a bootstrap interval over objects.

    Starting points of one object are not independent, so objects are drawn, each with all its regions. With few objects
    percentiles of the bootstrap are too narrow; they are taken further out, as far as a t interval is than a normal
    one. Below ten objects there is no interval.

    Parameters
    ----------
    volumes : array (J,)
        Shares of the domain; NaN where undefined.
    objects : array (J,)
        Which object each region belongs to.
    draws : int
    generator : numpy Generator, optional
        Default: seed 0.

    Raises
    ------
    DataError
        Volumes and objects of different lengths.
    SpecError
        No draws.

    References
    ----------
    Hamdi & Ghanem, ECCV 2020, section 5 (SRVR, without interval). Hesterberg, What Teachers Should Know About the
    Bootstrap, The American Statistician 69:371, 2015, section 4.3 (expanded percentiles).

    Examples
    --------
    >>> found = srvr([0.1, 0.3, 0.2, 0.4], [0, 0, 1, 1])
    >>> round(found.value, 3), found.objects
    (0.25, 2)
    """
    size, of = np.asarray(volumes, np.float64), np.asarray(objects)
    if size.shape != of.shape or size.ndim != 1:
        raise DataError(f"{size.shape} volumes of {of.shape} objects; expected one object per volume")
    if draws < 1:
        raise SpecError(f"{draws} draws; expected at least one")
    known = np.isfinite(size)
    names, place = np.unique(of[known], return_inverse=True)
    count = len(names)
    undefined = int((~known).sum())
    if not count:
        return Srvr(np.nan, np.nan, np.nan, 0, 0, undefined)
    each = np.bincount(place, weights=size[known]) / np.bincount(place)
    value = float(each.mean())
    if count < FEWEST:
        return Srvr(value, np.nan, np.nan, int(known.sum()), count, undefined)
    draw = np.random.default_rng(0) if generator is None else generator
    means = each[draw.integers(0, count, (draws, count))].mean(axis=1)
    tail = float(norm.cdf(-np.sqrt(count / (count - 1)) * student.ppf(0.975, count - 1)))
    low, high = np.quantile(means, [tail, 1 - tail])
    return Srvr(value, float(low), float(high), int(known.sum()), count, undefined)
