"""Stated probabilities per group: calibration, operating points and threshold curves, from one pass that counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from biaskit.errors import DataError
from biaskit.metrics import ratio
from biaskit.stats import ENOUGH, calibration_error, wilson

__all__ = ["ALL", "GRID", "MAX_SIZE", "PREDICTION", "Stated", "margins", "steps"]

#: The attribute of the rows that are about all rows of the table.
ALL = "all"
#: The event that the prediction is right.
PREDICTION = "prediction is right"
#: Thresholds of the curves.
GRID = np.round(np.linspace(0, 1, 101), 12)
#: Events x groups x steps; beyond this no memory holds the counts.
MAX_SIZE = 2**22

#: More bins than this have no rows to speak of.
_MOST_BINS = 1_000

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def steps(bins: int, thresholds: Sequence[float]) -> Floats:
    """The steps at which probabilities are counted: ends of the bins, the grid of the curves, and the thresholds.

    Parameters
    ----------
    bins : int
        Bins of equal width that calibration is read in.
    thresholds : sequence of float
        Of the operating points.

    Returns
    -------
    ndarray (B,)
        From 0 to 1; the last step holds those who state exactly 1. So ``probability >= threshold`` is exact.

    Raises
    ------
    DataError
        Fewer than one bin or more than 1,000, or a threshold outside [0, 1].

    Examples
    --------
    >>> len(steps(10, [0.5])), len(steps(15, [0.123]))
    (101, 112)
    """
    if not 1 <= bins <= _MOST_BINS:
        raise DataError(f"bins = {bins}: calibration needs at least one bin, and at most {_MOST_BINS:,}")
    outside = [one for one in thresholds if not 0 <= one <= 1]
    if outside:
        raise DataError(f"threshold {outside[0]:g} is outside [0, 1]: thresholds are probabilities")
    return np.unique(np.round(np.concatenate([GRID, np.linspace(0, 1, bins + 1), list(thresholds)]), 12))


def margins(attributes: Sequence[str]) -> list[tuple[str, tuple[str, ...]]]:
    """The ways to make groups of attributes: each alone and, of several, all of them together.

    Examples
    --------
    >>> margins(["sex", "age"])
    [('sex', ('sex',)), ('age', ('age',)), ('sex x age', ('sex', 'age'))]
    """
    found: list[tuple[str, tuple[str, ...]]] = [(name, (name,)) for name in attributes]
    if len(attributes) > 1:
        found.append((" x ".join(attributes), tuple(attributes)))
    return found


@dataclass(frozen=True, eq=False)
class Stated:
    """How often each event happened at each stated probability, in each combination of attribute values.

    Attributes
    ----------
    events : tuple of str
        What the probabilities are of: ``label is yes``, or ``prediction is right``.
    attributes : dict of tuple of str
        Values of each attribute, in the order of the columns.
    steps : ndarray (B,)
        From `steps`: a row counts at the last one that is not above its probability.
    bins : int
        Bins of equal width that calibration is read in.
    cells : ndarray of int (m, 3 + attributes)
        Codes of the cells that occur: event, step, whether it happened, attribute values.
    n : ndarray of int (m,)
        Rows per cell.
    total, squares : ndarray (m,)
        Sums over them of the probability p and of p squared.

    Examples
    --------
    >>> stated = Stated(
    ...     ("label is yes",), {}, steps(10, []), 10, np.array([[0, 20, 0], [0, 20, 1], [0, 80, 1]]),
    ...     np.array([15, 5, 20]), np.array([3.0, 1.0, 16.0]), np.array([0.6, 0.2, 12.8]),
    ... )
    >>> stated.calibration()[["n", "probability", "rate", "ece"]].round(3).values.tolist()
    [[40.0, 0.5, 0.625, 0.125]]
    >>> stated.points([0.5])[["true_positive_rate", "false_positive_rate", "precision"]].values.tolist()
    [[0.8, 0.0, 1.0]]
    """

    events: tuple[str, ...]
    attributes: dict[str, tuple[str, ...]]
    steps: Floats
    bins: int
    cells: Ints
    n: Ints
    total: Floats
    squares: Floats

    @cached_property
    def _groups(self) -> list[tuple[str, list[str], tuple[str, ...]]]:
        """Every margin: its name, its values, the attributes that make it; all rows first."""
        found: list[tuple[str, list[str], tuple[str, ...]]] = [(ALL, [ALL], ())]
        for name, own in margins(list(self.attributes)):
            values = pd.MultiIndex.from_product([self.attributes[one] for one in own])
            found.append((name, [", ".join(map(str, one)) for one in values], own))
        return found

    @property
    def _edges(self) -> Floats:
        """Ends of the bins that calibration is read in."""
        return np.round(np.linspace(0, 1, self.bins + 1), 12)

    def _binned(self, own: Sequence[str]) -> tuple[Ints, Floats]:
        """Rows and summed probabilities as (events, values of a margin, bins, whether it happened)."""
        starts = np.searchsorted(self.steps, self._edges[:-1])
        n, total = (np.add.reduceat(self._onto(own, one), starts, axis=2) for one in (self.n, self.total))
        return n, total

    def calibration(self) -> pd.DataFrame:
        """The calibration error of every group, with its interval and what chance alone would show.

        Returns
        -------
        DataFrame
            event, attribute, value, n, probability (mean stated), rate (of the event), difference (rate minus
            probability), ece, low, high, noise, note.
        """
        rows = []
        for name, values, own in self._groups:
            n, total = self._binned(own)
            # (1 - p)^2 where the event happened, p^2 where it did not.
            residuals = self._onto(own, self.squares).sum((2, 3)) + (n - 2 * total)[..., 1].sum(2)
            for event, value in np.ndindex(n.shape[:2]):
                size, stated = n[event, value], total[event, value]
                residual = float(residuals[event, value])
                found = calibration_error(size.sum(1), size[:, 1], stated.sum(1), residual)
                mean, rate = ratio(stated.sum(), found.n), ratio(size[:, 1].sum(), found.n)
                rows.append(
                    {
                        "event": self.events[event],
                        "attribute": name,
                        "value": values[value],
                        "n": found.n,
                        "probability": float(mean),
                        "rate": float(rate),
                        "difference": float(rate - mean),
                        "ece": found.estimate,
                        "low": found.low,
                        "high": found.high,
                        "noise": found.noise,
                        "note": f"insufficient (n={found.n})" if found.n < ENOUGH else "",
                    }
                )
        return pd.DataFrame(rows)

    def reliability(self) -> pd.DataFrame:
        """How often the event happened in every bin of stated probabilities, in every group; bins without rows too.

        Returns
        -------
        DataFrame
            event, attribute, value, bin_low, bin_high, n, probability (mean stated), rate, low, high (Wilson).
        """
        edges, parts = self._edges, []
        for name, values, own in self._groups:
            size, total = self._binned(own)
            n, hits, stated = size.sum(3), size[..., 1], total.sum(3)
            low, high = wilson(hits, n)
            columns = {
                "bin_low": np.broadcast_to(edges[:-1], n.shape),
                "bin_high": np.broadcast_to(edges[1:], n.shape),
                "n": n,
                "probability": ratio(stated, n),
                "rate": ratio(hits, n),
                "low": low,
                "high": high,
            }
            parts.append(self._frame(name, values, columns))
        return pd.concat(parts, ignore_index=True)

    def points(self, thresholds: ArrayLike, *, combined: bool = True) -> pd.DataFrame:
        """What would be selected at a threshold, ``probability >= threshold``, in every group.

        Parameters
        ----------
        thresholds : array_like
            Among the `steps`.
        combined : bool
            Whether the combinations of several attributes get rows too.

        Returns
        -------
        DataFrame
            event, attribute, value, threshold, n, selected, positives (rows where the event happened), negatives;
            then, each with ``_low`` and ``_high`` (Wilson): selection_rate, true_positive_rate, false_positive_rate,
            precision. A rate without a denominator is NaN.
        """
        wanted = np.asarray(thresholds, np.float64)
        first = np.searchsorted(self.steps, np.round(wanted, 12))
        parts = []
        for name, values, own in self._groups:
            if len(own) > 1 and not combined:
                continue
            size = self._onto(own, self.n)
            above = size[:, :, ::-1].cumsum(2)[:, :, ::-1][:, :, first]
            whole = np.broadcast_to(size.sum(2, keepdims=True), above.shape)
            chosen, n = above.sum(3), whole.sum(3)
            columns: dict[str, Any] = {
                "threshold": np.broadcast_to(wanted, n.shape),
                "n": n,
                "selected": chosen,
                "positives": whole[..., 1],
                "negatives": whole[..., 0],
            }
            rates = {
                "selection_rate": (chosen, n),
                "true_positive_rate": (above[..., 1], whole[..., 1]),
                "false_positive_rate": (above[..., 0], whole[..., 0]),
                "precision": (above[..., 1], chosen),
            }
            for rate, (part, of) in rates.items():
                columns[rate] = ratio(part, of)
                columns[f"{rate}_low"], columns[f"{rate}_high"] = wilson(part, of)
            parts.append(self._frame(name, values, columns))
        return pd.concat(parts, ignore_index=True)

    def _frame(self, name: str, values: Sequence[str], columns: dict[str, Any]) -> pd.DataFrame:
        """A row per event, value and step, from arrays of that shape."""
        shape = next(iter(columns.values())).shape
        event, value, _ = (one.ravel() for one in np.indices(shape))
        keys = {
            "event": np.array(self.events, object)[event],
            "attribute": name,
            "value": np.array(values, object)[value],
        }
        return pd.DataFrame(keys | {column: np.asarray(one).ravel() for column, one in columns.items()})

    def _onto(self, own: Sequence[str], weights: NDArray[Any]) -> NDArray[Any]:
        """Weights of the cells as (events, values of a margin, steps, whether it happened)."""
        names = list(self.attributes)
        sizes = [len(self.attributes[one]) for one in own]
        columns = [self.cells[:, 0], *(self.cells[:, 3 + names.index(one)] for one in own)]
        shape = (len(self.events), *sizes, len(self.steps), 2)
        flat = np.ravel_multi_index((*columns, self.cells[:, 1], self.cells[:, 2]), shape)
        summed = np.bincount(flat, weights, minlength=int(np.prod(shape)))
        found = np.rint(summed).astype(np.int64) if weights.dtype.kind == "i" else summed
        return found.reshape(len(self.events), -1, len(self.steps), 2)
