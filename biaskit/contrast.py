"""The two sides of a gap: which images an attribute should help, and which it should hurt."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from biaskit import stats
from biaskit.data import Dataset
from biaskit.rng import numpy_generator

__all__ = ["Contrast", "contrast", "own_values"]

#: Largest p of independence in train at which an attribute is said to follow the label.
ALPHA = 0.05
#: Tables drawn where counts are too small for chi-squared: enough to tell a p on either side of ``ALPHA``.
_DRAWS = 499


@dataclass(frozen=True, eq=False)
class Contrast:
    """A gap as coefficients over the test images.

    Attributes
    ----------
    attribute : str
    plus, minus : str
        Names of the two sides: two values, or ``aligned`` and ``conflicting``.
    side : int array (n,)
        +1, -1, or 0 for an image on neither side, in the order of the test rows.
    coefficients : float array (n,)
        ``w_y / n_(y, side)`` with the sign of the side and w_y the label's share: accuracies are standardized over
        labels before they are subtracted.
    left_out : tuple of str
        Labels that lack one side and so do not enter.
    """

    attribute: str
    plus: str
    minus: str
    side: npt.NDArray[np.int64]
    coefficients: npt.NDArray[np.float64]
    left_out: tuple[str, ...]


def contrast(dataset: Dataset, attribute: str) -> Contrast:
    """The gap that this data set is about.

    Where the attribute follows the label in train (:func:`own_values`), the sides are *aligned* (the value most common
    with the label in train) and *conflicting*. Else they are the commonest and the rarest training value; without a
    training split, the first and the last category.
    """
    table = dataset.table
    codes = np.asarray(table[attribute].cat.codes, dtype=np.int64)
    values = list(table[attribute].cat.categories)
    labels, test = dataset.labels, dataset.rows("test")
    own, order = _training_values(dataset, attribute, codes, labels)
    if own is not None:
        side = np.where(codes[test] == own[labels[test]], 1, -1)
        side[own[labels[test]] < 0] = 0
        plus, minus = "aligned", "conflicting"
    else:
        first, last = order
        side = np.select([codes[test] == first, codes[test] == last], [1, -1], 0)
        plus, minus = values[first], values[last]
    coefficients, left_out = _standardized(labels[test], side, len(dataset.classes))
    return Contrast(attribute, plus, minus, side, coefficients, tuple(dataset.classes[one] for one in left_out))


def _training_values(
    dataset: Dataset, attribute: str, codes: npt.NDArray[np.int64], labels: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.int64] | None, tuple[int, int]]:
    """The own value of each label if the attribute follows it, and the commonest and rarest value."""
    count = len(dataset.table[attribute].cat.categories)
    # A third party's builder may have neither option: what it planted is read from the counts.
    regimes = {one.get("attribute"): one.get("regime") for one in dataset.card.get("builder", [])}
    if "train" not in dataset.splits:
        return None, (0, count - 1)
    train = dataset.rows("train")
    counts = np.zeros((len(dataset.classes), count), np.int64)
    np.add.at(counts, (labels[train], codes[train]), 1)
    total = counts.sum(axis=0)
    # With a tie the first category counts as the commoner, so the two sides always differ.
    return own_values(counts, regimes.get(attribute)), (int(total.argmax()), int(count - 1 - total[::-1].argmin()))


def own_values(counts: npt.NDArray[np.int64], regime: str | None = None) -> npt.NDArray[np.int64] | None:
    """The value of an attribute that is most common with each label in train, if the attribute follows the label.

    It does where that is what was planted. Where nothing is known of that, it does if labels differ in their most
    common value and this is more than chance: p of independence in train (:func:`biaskit.stats.independence`) at most
    0.05.

    Parameters
    ----------
    counts : int array (labels, values)
        Training images.
    regime : str, optional
        What was planted: ``"correlated"`` follows the label; None: it is read from the counts.

    Returns
    -------
    int array (labels,) or None
        -1 for a label without training images; None where the attribute does not follow the label.

    Examples
    --------
    >>> own_values(np.array([[95, 5], [5, 95]])).tolist()
    [0, 1]
    >>> own_values(np.array([[95, 5], [95, 5]])) is None, own_values(np.array([[51, 49], [49, 51]])) is None
    (True, True)
    """
    present = counts.sum(axis=1) > 0
    if regime is None:
        follows = len(set(counts[present].argmax(axis=1).tolist())) > 1
        follows = follows and stats.independence(counts, numpy_generator(0, "contrast"), _DRAWS) <= ALPHA
    else:
        follows = regime == "correlated"
    return np.where(present, counts.argmax(axis=1), -1).astype(np.int64) if follows else None


def _standardized(
    labels: npt.NDArray[np.int64], side: npt.NDArray[np.int64], classes: int
) -> tuple[npt.NDArray[np.float64], list[int]]:
    """Coefficients of the standardized gap, and the labels that lack a side."""
    plus = np.bincount(labels[side > 0], minlength=classes)
    minus = np.bincount(labels[side < 0], minlength=classes)
    complete = (plus > 0) & (minus > 0)
    present = (plus + minus) > 0
    share = np.where(complete, plus + minus, 0).astype(float)
    weight = share / share.sum() if share.sum() else share
    coefficients = np.zeros(len(labels))
    for sign, n in ((1, plus), (-1, minus)):
        mine = (side == sign) & complete[labels]
        coefficients[mine] = sign * weight[labels[mine]] / n[labels[mine]]
    return coefficients, np.flatnonzero(present & ~complete).tolist()
