"""A linear probe whose target cannot be guessed from something else that goes with it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from biaskit.representation import scaling
from biaskit.rng import numpy_generator
from biaskit.stats import kish, wilson

__all__ = ["Strata", "probe", "standardized", "strata"]

Ints = npt.NDArray[np.int64]
#: Inverse strength of the L2 penalty, on the sum of the losses, and the most steps of the solver.
C, STEPS = 1.0, 500


@dataclass(frozen=True, eq=False)
class Strata:
    """The images that a target can be read from, in the cells of target and given.

    Attributes
    ----------
    rows : int array (n,)
        Places of the images that are kept among those that were given.
    target, given : int array (n,)
    cell : int array (n,)
        Numbered without gaps.
    half : bool array (n,)
        Which of two probes an image is fitted in; every cell is in both.
    given_out, target_out : tuple of int
        Values whose images are left out, so that every value of the target has at least two images with every value of
        given: of the one or of the other, whichever leaves more images.
    """

    rows: Ints
    target: Ints
    given: Ints
    cell: Ints
    half: npt.NDArray[np.bool_]
    given_out: tuple[int, ...] = ()
    target_out: tuple[int, ...] = ()

    @property
    def size(self) -> Ints:
        """Images of each cell."""
        return np.bincount(self.cell)

    def shuffled(self, generator: np.random.Generator) -> Ints:
        """The target, shuffled among images that are alike in given and half: no cell of a half loses or wins any."""
        found = self.target.copy()
        for value in np.unique(self.given):
            for half in (False, True):
                mine = np.flatnonzero((self.given == value) & (self.half == half))
                found[mine] = self.target[generator.permutation(mine)]
        return found


def strata(target: Ints, given: Ints) -> Strata:
    """Keep the images in which the target can be read, and halve every cell of target and given at random.

    Parameters
    ----------
    target, given : int array (N,)
        Codes.

    Returns
    -------
    Strata
        Without images where nothing can be read: a target of one value, or no cell complete.

    Examples
    --------
    >>> found = strata(np.asarray([0, 0, 1, 1, 0, 0, 0]), np.asarray([0, 0, 0, 0, 1, 1, 1]))
    >>> found.rows.tolist(), found.given_out, found.size.tolist()
    ([0, 1, 2, 3], (1,), [2, 2])
    """
    values, codes = np.unique(target, return_inverse=True)
    others, places = np.unique(given, return_inverse=True)
    counts = np.zeros((len(others), len(values)), np.int64)
    np.add.at(counts, (places, codes), 1)
    # A target of one value is no target.
    by_given = np.asarray((counts >= 2).all(axis=1) & (len(values) > 1))
    by_target = np.asarray((counts >= 2).all(axis=0))
    by_target &= by_target.sum() > 1
    keep = by_given[places]
    less_targets = int(by_target[codes].sum()) > int(keep.sum())
    rows = np.flatnonzero(by_target[codes] if less_targets else keep)
    cell = np.unique(places[rows] * len(values) + codes[rows], return_inverse=True)[1]
    half = np.zeros(len(rows), bool)
    generator = numpy_generator(0, "linear probe", "halves")
    for one in range(int(cell.max()) + 1 if len(cell) else 0):
        mine = generator.permutation(np.flatnonzero(cell == one))
        half[mine[: len(mine) // 2]] = True
    out = values[~by_target] if less_targets else others[~by_given]
    left_out = tuple(int(one) for one in out)
    return Strata(
        rows, target[rows], given[rows], cell, half, () if less_targets else left_out, left_out if less_targets else ()
    )


def probe(points: npt.NDArray[np.floating[Any]], cells: Strata, target: Ints) -> Ints:
    """What the probe of the other half answers to every image.

    Parameters
    ----------
    points : array (n, D)
        Of the images that are kept.
    cells : Strata
    target : int array (n,)
        What the probes are fitted to; every cell of it weighs the same in the fit.

    Returns
    -------
    int array (n,)
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    answers = np.empty(len(target), np.int64)
    for half in (False, True):
        fit = cells.half == half
        mean, factor = scaling(points[fit])
        standard = (points - mean) * factor
        own = np.unique(np.stack([cells.given[fit], target[fit]]), axis=1, return_inverse=True)[1].ravel()
        weight = 1.0 / np.bincount(own)[own]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            fitted = LogisticRegression(C=C, max_iter=STEPS).fit(
                standard[fit], target[fit], sample_weight=weight / weight.mean()
            )
        answers[~fit] = fitted.predict(standard[~fit])
    return answers


def standardized(right: npt.NDArray[np.bool_], cells: Strata) -> tuple[float, float, float]:
    """Mean over the cells of the share of right answers, with its 95 % interval.

    Wilson's interval on Kish's effective n, ``1 / sum(c^2 / n)`` with the same weight c for every cell.

    Returns
    -------
    value, low, high : float

    Examples
    --------
    >>> cells = strata(np.repeat([0, 1], [10, 90]), np.zeros(100, np.int64))
    >>> value, low, high = standardized(np.arange(100) < 55, cells)
    >>> value, round(low, 3), round(high, 3)
    (0.75, 0.589, 0.862)
    """
    size = cells.size
    rates = np.bincount(cells.cell[right], minlength=len(size)) / size
    n = float(kish(np.full(len(size), 1.0 / len(size)), size))
    low, high = wilson(float(rates.mean()) * n, n)
    return float(rates.mean()), float(low), float(high)
