"""Slices of labels: found on one half of the images, and counted on the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import fisher_exact

from biaskit.rng import numpy_generator
from biaskit.stats import AttributeGap, attribute_gap, attribute_test, holm, newcombe, wilson
from biaskit.taggers._partition import Partition

__all__ = ["Slices", "Told", "Weakest", "agreement", "find_slices", "halves", "told", "weakest"]

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Points = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Slices:
    """In which slice of its label every image is.

    Attributes
    ----------
    labels : int array (n,)
    correct : bool array (n,)
    held : bool array (n,)
        Whether an image was held out: it took part neither in finding slices nor in putting them in order.
    place : int array (n,)
        0 for the slice of its label that was answered worst in the half that found it.
    number : int array (K,)
        Slices of each label; 0 for a label without images.
    """

    labels: Ints
    correct: Bools
    held: Bools
    place: Ints
    number: Ints

    def counts(self, held: bool) -> tuple[Ints, Ints]:
        """Right answers and images of every label and slice in one half, both (K, slices)."""
        shape = len(self.number), max(int(self.number.max()), 1)
        mine = self.held == held
        cells = np.ravel_multi_index((self.labels[mine], self.place[mine]), shape)
        size = np.bincount(cells, minlength=shape[0] * shape[1])
        right = np.bincount(cells[self.correct[mine]], minlength=shape[0] * shape[1])
        return right.reshape(shape), size.reshape(shape)


@dataclass(frozen=True)
class Told:
    """One slice on the images that were held out, beside the rest of its label.

    Attributes
    ----------
    label, place : int
    n, n_rest : int
    accuracy, low, high : float
        Of the slice, with Wilson's 95 % interval.
    rest : float
        Accuracy of the other slices of the label together.
    difference, difference_low, difference_high : float
        Slice minus rest, with Newcombe's 95 % interval; NaN where one side has no images.
    p : float
        Fisher's exact test of slice against rest, Holm over all slices that are proposed; NaN for the others.
    n_found : int
    found, found_rest : float
        Accuracy of the slice and of the rest in the half that found it.
    """

    label: int
    place: int
    n: int
    n_rest: int
    accuracy: float
    low: float
    high: float
    rest: float
    difference: float
    difference_low: float
    difference_high: float
    p: float
    n_found: int
    found: float
    found_rest: float

    @property
    def proposed(self) -> bool:
        """Whether the half that found the slice answers it worse than the rest of its label."""
        return self.found < self.found_rest


@dataclass(frozen=True, eq=False)
class Weakest:
    """The slices found worst, of all labels together, against the rest of these labels, at the same mix of labels.

    Attributes
    ----------
    gap : AttributeGap
        On the held-out images; its values are the slice found worst (0) and the rest of the label (1).
    n, n_rest : int
        Held-out images on both sides, of the labels that enter.
    p : float
        Of shuffling who is in the slice among the images of each label.
    n_found : int
    found : float
        Accuracy of those slices, standardized likewise, in the half that found them.
    """

    gap: AttributeGap
    n: int
    n_rest: int
    p: float
    n_found: int
    found: float


def halves(labels: Ints) -> Bools:
    """Half of the images of each label at random, the smaller half of an odd number: those that are held out.

    Examples
    --------
    >>> held = halves(np.asarray([0] * 7 + [1] * 4))
    >>> held[:7].sum(), held[7:].sum()
    (np.int64(3), np.int64(2))
    """
    held = np.zeros(len(labels), bool)
    generator = numpy_generator(0, "discover", "halves")
    for label in np.unique(labels):
        mine = generator.permutation(np.flatnonzero(labels == label))
        held[mine[(len(mine) + 1) // 2 :]] = True
    return held


def find_slices(
    points: Points, labels: Ints, correct: Bools, classes: int, divide: Callable[[Points, int], Partition]
) -> Slices:
    """Divide the images of every label by one half of them, and put the slices in the order of their accuracy there.

    Parameters
    ----------
    points : array (n, D)
        Where the model puts the images.
    labels, correct : array (n,)
    classes : int
        K.
    divide : callable
        ``divide(points, label)`` gives the partition of the points of one label.
    """
    held = halves(labels)
    place, number = np.zeros(len(labels), np.int64), np.zeros(classes, np.int64)
    for label in np.unique(labels):
        mine = labels == label
        made = divide(points[mine & ~held], int(label))
        codes = made.assign(points[mine])
        finding, right = ~held[mine], correct[mine]
        size = np.bincount(codes[finding], minlength=made.number)
        hits = np.bincount(codes[finding & right], minlength=made.number)
        # The least accurate first; of equal ones the largest; one that no image of this half is in comes last.
        rate = np.divide(hits, size, out=np.full(made.number, np.inf), where=size > 0)
        order = np.empty(made.number, np.int64)
        order[np.lexsort((-size, rate))] = np.arange(made.number)
        place[mine], number[label] = order[codes], made.number
    return Slices(labels, correct, held, place, number)


def told(slices: Slices) -> list[Told]:
    """Every slice on the held-out images, label by label, the one that was found worst first."""
    cells = [(label, place) for label, number in enumerate(slices.number) for place in range(number)]
    sides = {}
    for held in (True, False):
        right, size = slices.counts(held)
        sides[held] = [_sides(right[label], size[label], place) for label, place in cells]
    proposed = [_rate(*own) < _rate(*rest) for own, rest in sides[False]]
    # One that is proposed and has no held-out image is a member of the family all the same: it was asked for.
    p = np.full(len(cells), np.nan)
    p[proposed] = holm([_fisher(*both) for both, asked in zip(sides[True], proposed, strict=True) if asked])
    rows = []
    for number, (label, place) in enumerate(cells):
        (own, rest), (own_found, rest_found) = sides[True][number], sides[False][number]
        ends = wilson(*own)
        low, high = newcombe(_rate(*own), ends, _rate(*rest), wilson(*rest))
        rows.append(
            Told(
                label=label,
                place=place,
                n=own[1],
                n_rest=rest[1],
                accuracy=_rate(*own),
                low=float(ends[0]),
                high=float(ends[1]),
                rest=_rate(*rest),
                difference=_rate(*own) - _rate(*rest),
                difference_low=float(low),
                difference_high=float(high),
                p=float(p[number]),
                n_found=own_found[1],
                found=_rate(*own_found),
                found_rest=_rate(*rest_found),
            )
        )
    return rows


def weakest(slices: Slices) -> Weakest:
    """Put the slices found worst together over all labels that are divided."""
    split = slices.number > 1
    # One line of nothing where no label is divided: the gap is then undefined, with its reason.
    lines = np.flatnonzero(split) if split.any() else np.zeros(1, np.int64)
    (k, n), (k_found, n_found) = (
        [np.stack([one[lines, 0], one[lines, 1:].sum(axis=1)], axis=1) for one in slices.counts(held)]
        for held in (True, False)
    )
    gap = attribute_gap(k, n)
    entering = [number for number in range(len(n)) if number not in gap.left_out]
    p = attribute_test(k, n, numpy_generator(0, "discover", "test")).p
    found = float(attribute_gap(k_found, n_found).rates[0])
    size = n[entering].sum(axis=0)
    return Weakest(gap, int(size[0]), int(size[1]), p, int(n_found[entering, 0].sum()), found)


def agreement(slices: Slices, values: Ints, label: int) -> float:
    """How far the slices of a label are those of an attribute: the adjusted Rand index on the held-out images.

    1: the same division; 0: what chance alone gives. NaN where slices or values are not divided at all.

    Parameters
    ----------
    slices : Slices
    values : int array (n,)
        The attribute's value of every image.
    label : int

    References
    ----------
    Hubert & Arabie 1985, J Classif 2:193.
    """
    from sklearn.metrics import adjusted_rand_score

    mine = slices.held & (slices.labels == label)
    place, value = slices.place[mine], values[mine]
    if len(np.unique(place)) < 2 or len(np.unique(value)) < 2:
        return float("nan")
    return float(adjusted_rand_score(value, place))


def _sides(right: Ints, size: Ints, place: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Right answers and images of a slice, and of the rest of its label."""
    own = int(right[place]), int(size[place])
    return own, (int(right.sum()) - own[0], int(size.sum()) - own[1])


def _fisher(own: tuple[int, int], rest: tuple[int, int]) -> float:
    """Fisher's exact p of equal rates; NaN where one side has no images."""
    if not own[1] or not rest[1]:
        return float("nan")
    return float(fisher_exact(np.asarray([[k, n - k] for k, n in (own, rest)])).pvalue)


def _rate(right: int, n: int) -> float:
    return right / n if n else float("nan")
