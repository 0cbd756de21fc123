"""How near to one another the labels are that activate a unit: the quadratic form p'Ap, without its bias and beside
chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

__all__ = ["Consistency", "Floats", "Kernel", "consistency", "correlation", "excess_interval"]

Floats = npt.NDArray[np.float64]
Kernel = Literal["gauss", "laplace"]


@dataclass(frozen=True, eq=False)
class Consistency:
    """What the labels of the activating images say of every unit.

    Attributes
    ----------
    active : float array (U,)
        Images m that activate the unit.
    plug_in : array (U,)
        ``p'Ap``, p the shares of the labels among them; NaN where m < 2.
    unbiased : array (U,)
        Mean of A over pairs of two different images among them; NaN where m < 2.
    null : float
        The same mean over all images: what a unit gets, on average, that is activated by images drawn at random.
    """

    active: Floats
    plug_in: Floats
    unbiased: Floats
    null: float

    @property
    def excess(self) -> Floats:
        """What a unit has beyond chance, (U,)."""
        return self.unbiased - self.null

    @property
    def normalized(self) -> Floats:
        """The excess as a share of what is possible, (U,); 1 where all images have one label."""
        return self.excess / (1.0 - self.null) if self.null < 1.0 else np.full_like(self.unbiased, np.nan)


def correlation(distances: npt.NDArray[np.int64], sigma: float, kernel: Kernel = "gauss") -> Floats:
    """``exp(-d^2 / (2 sigma^2))`` or ``exp(-d / sigma)`` of a matrix of distances.

    Examples
    --------
    >>> correlation(np.asarray([[0, 2], [2, 0]]), 2.0).round(4).tolist()
    [[1.0, 0.6065], [0.6065, 1.0]]
    """
    # The square of a sigma may be beyond what a float holds; what a ratio beyond it gives is 0.
    with np.errstate(over="ignore"):
        ratio = distances.astype(np.float64) / sigma
        return np.asarray(np.exp(-np.square(ratio) / 2.0 if kernel == "gauss" else -ratio))


def consistency(related: Floats, counts: npt.NDArray[np.int64], images: npt.NDArray[np.int64]) -> Consistency:
    """The consistency of every unit from how often images of each label activate it.

    With the counts c of a unit and ``m = sum c``: plug-in ``c'Ac / m^2``, unbiased ``(c'Ac - m) / (m (m - 1))``. The
    plug-in counts the m pairs of an image with itself: of units that know no label, with the null c0, it gives
    ``c0 (1 - 1/m) + 1/m`` on average. The null is the same mean over all images, which is exactly the expectation of
    the unbiased estimate when labels are shuffled, whatever m is.

    Parameters
    ----------
    related : array (K, K)
        The matrix A; symmetric, with ones on the diagonal.
    counts : int array (K, U)
        Activating images of each label.
    images : int array (K,)
        All images of each label.

    Examples
    --------
    >>> found = consistency(np.eye(2), np.asarray([[2, 4], [2, 0]]), np.asarray([10, 10]))
    >>> found.plug_in.tolist(), found.unbiased.round(4).tolist(), round(found.null, 4)
    ([0.5, 1.0], [0.3333, 1.0], 0.4737)
    """
    c = counts.astype(np.float64)
    return _estimates(c.sum(axis=0), _form(related, c), _null(related, images.astype(np.float64)))


def excess_interval(
    related: Floats, counts: npt.NDArray[np.int64], images: npt.NDArray[np.int64]
) -> tuple[float, float]:
    """A 95 % interval of the mean excess over units: this network with its thresholds, other images.

    The delete-a-block jackknife: the images stand in G random blocks, the mean excess is computed without each of them,
    and ``(G - 1) / G`` times the sum of the squared deviations is its variance, read with t of G - 1 degrees of
    freedom. Units share the images, so their scatter alone would say nothing of other images.

    Parameters
    ----------
    related : array (K, K)
    counts : int array (G, K, U)
        Activating images of each label, by block.
    images : int array (G, K)
        All images of each label, by block; a block without images is none.

    Returns
    -------
    low, high : float
        NaN where a block less leaves no unit with two activating images.
    """
    # Of fewer images than blocks some are empty: to leave one out changes nothing, and makes the interval too narrow.
    full = images.sum(axis=1) > 0
    counts, images, blocks = counts[full], images[full], int(full.sum())
    c, n = counts.astype(np.float64), images.astype(np.float64)
    whole, everything = c.sum(axis=0), n.sum(axis=0)
    spread, form = related @ whole, _form(related, whole)
    without = np.empty(blocks)
    for block in range(blocks):
        left = whole.sum(axis=0) - c[block].sum(axis=0)
        # (c - g)'A(c - g), from products that are there already.
        pairs = form - 2.0 * (c[block] * spread).sum(axis=0) + _form(related, c[block])
        without[block] = _mean(_estimates(left, pairs, _null(related, everything - n[block])).excess)
    center = _mean(_estimates(whole.sum(axis=0), form, _null(related, everything)).excess)
    error = np.sqrt((blocks - 1) / blocks * np.square(without - without.mean()).sum())
    half = float(student.ppf(0.975, blocks - 1) * error)
    return center - half, center + half


def _form(related: Floats, counts: Floats) -> Floats:
    """``c'Ac`` of every column, (U,)."""
    return np.asarray((counts * (related @ counts)).sum(axis=0))


def _null(related: Floats, images: Floats) -> float:
    """Mean of A over all pairs of two different images; NaN below two."""
    n = float(images.sum())
    return (float(images @ related @ images) - n) / (n * (n - 1.0)) if n > 1 else float("nan")


def _estimates(active: Floats, form: Floats, null: float) -> Consistency:
    with np.errstate(divide="ignore", invalid="ignore"):
        plug_in = np.where(active > 1, form / np.square(active), np.nan)
        unbiased = np.where(active > 1, (form - active) / (active * (active - 1.0)), np.nan)
    return Consistency(active, plug_in, unbiased, null)


def _mean(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")
