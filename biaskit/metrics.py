"""Group metrics of one model, all from one pass that counts label x prediction x groups."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from biaskit.errors import DataError
from biaskit.stats import ENOUGH, largest_spread, wilson

__all__ = [
    "MAX_GROUPS",
    "Disparity",
    "GroupCounts",
    "WorstGroup",
    "check_attributes",
    "check_size",
    "count_groups",
    "ratio",
    "to_metric_frame",
]

#: Labels x attribute values; beyond this no table can be read.
MAX_GROUPS = 100_000
#: Up to here the cells of label x prediction x groups are counted in one array.
_DENSE = 2**24
#: Columns of the result tables, which no attribute may be called.
_RESERVED = {"label", "class", "n", "correct", "accuracy", "low", "high", "note", "positives", "negatives"} | {
    "prediction",
    "arm",
}

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class WorstGroup:
    """The group with the lowest observed accuracy.

    Attributes
    ----------
    accuracy : float
        NaN where no group has enough images.
    group : dict of str
        Its label and attribute values.
    n : int
        Its images.
    insufficient : tuple of dict
        Groups that have images, but too few to be the worst.
    """

    accuracy: float
    group: dict[str, str]
    n: int
    insufficient: tuple[dict[str, str], ...]


@dataclass(frozen=True, eq=False)
class Disparity:
    """Largest difference of a rate between groups, one class against the rest.

    Attributes
    ----------
    value : float
        The maximum over classes; NaN where no class has it.
    positive : str
        The class that attains it; empty where there is none.
    per_class : Series of float
        Difference by class; NaN where fewer than two groups have the rate.
    undefined : tuple of str
        Classes without a difference. They are not 0: nothing is known about them.
    low, high : float
        95 % interval of the true maximum, this model and other images (`biaskit.stats.largest_spread`).
    """

    value: float
    positive: str
    per_class: pd.Series[float]
    undefined: tuple[str, ...]
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True, eq=False)
class GroupCounts:
    """How often each label was answered by each class, in each combination of attribute values.

    Attributes
    ----------
    labels : tuple of str
        The L labels.
    classes : tuple of str
        The P classes that can be predicted: the labels, then any others.
    attributes : dict of tuple of str
        Values of each attribute, in the order of the columns.
    cells : ndarray of int (m, 2 + attributes)
        Codes of the cells that occur: label, prediction, attribute values.
    counts : ndarray of int (m,)
        Images per cell.

    Examples
    --------
    >>> table = pd.DataFrame({"label": [0, 0, 1, 1], "color": list("rbrb"), "prediction": [0, 1, 1, 1]})
    >>> counts = count_groups(table, ["color"])
    >>> counts.average_accuracy
    0.75
    >>> counts.accuracy_table(["color"])[["color", "n", "accuracy"]].values.tolist()
    [['b', 2, 0.5], ['r', 2, 1.0]]
    """

    labels: tuple[str, ...]
    classes: tuple[str, ...]
    attributes: dict[str, tuple[str, ...]]
    cells: Ints
    counts: Ints

    @cached_property
    def n(self) -> Ints:
        """Images per group, (L, values of the first attribute, ...)."""
        return self._sum([0, *range(2, self.cells.shape[1])], self.counts)

    @cached_property
    def correct(self) -> Ints:
        """Images answered with their label, in the shape of `n`."""
        right = self.cells[:, 0] == self.cells[:, 1]
        return self._sum([0, *range(2, self.cells.shape[1])], np.where(right, self.counts, 0))

    def accuracy_table(self, by: Sequence[str] | None = None) -> pd.DataFrame:
        """Accuracy of every group, the empty ones included.

        Parameters
        ----------
        by : sequence of str, optional
            ``label`` and attributes that make the groups; default all of them.

        Returns
        -------
        DataFrame
            The columns of ``by``, then n, correct, accuracy, low, high (Wilson, 95 %), note. Without images
            the rate is NaN; under ten the note reads ``insufficient (n=..)``.
        """
        names = ["label", *self.attributes] if by is None else list(by)
        n, correct = (self._onto(names, values).ravel() for values in (self.n, self.correct))
        frame = self._keys(names)
        frame["n"], frame["correct"] = n, correct
        frame["accuracy"] = ratio(correct, n)
        frame["low"], frame["high"] = wilson(correct, n)
        frame["note"] = [f"insufficient (n={one})" if one < ENOUGH else "" for one in n]
        return frame

    def by_label(self, *attributes: str) -> tuple[Ints, Ints]:
        """Correct and n as (labels, values of the attribute): what the tests of `biaskit.stats` take.

        Of several attributes the second axis holds every combination of their values, those of the last one fastest.
        """
        names = ["label", *attributes]
        shape = (len(self.labels), -1)
        return self._onto(names, self.correct).reshape(shape), self._onto(names, self.n).reshape(shape)

    @property
    def average_accuracy(self) -> float:
        """Share of right answers at the mix of this table."""
        return float(ratio(self.correct.sum(), self.n.sum()))

    @property
    def mean_group_accuracy(self) -> float:
        """Unweighted mean over the groups that have images; also known as unbiased accuracy."""
        there = self.n > 0
        return float((self.correct[there] / self.n[there]).mean()) if there.any() else math.nan

    def adjusted_average_accuracy(self, train: ArrayLike) -> float:
        """Accuracy at the mix of the training groups.

        Parameters
        ----------
        train : array_like, shape of `n`
            Images, or shares, of each group in training.

        Returns
        -------
        float
            NaN where a group of the training set has no image here.

        Raises
        ------
        DataError
            Another shape, or nothing in it.

        References
        ----------
        Sagawa et al. 2020, arXiv 1911.08731, appendix C.1.
        """
        weights = np.asarray(train, np.float64)
        if weights.shape != self.n.shape or not weights.sum() > 0:
            raise DataError(f"training shares need the shape of the groups {self.n.shape}; got {weights.shape}")
        used = weights > 0
        return float((weights[used] * ratio(self.correct[used], self.n[used])).sum() / weights.sum())

    def worst_group_accuracy(self, min_n: int = ENOUGH) -> WorstGroup:
        """Lowest observed accuracy of any group, with the group and its n.

        Observed minima are too low by construction; `biaskit.stats.worst_group` estimates without that bias.

        Parameters
        ----------
        min_n : int
            Smaller groups are named, but cannot be the worst. 1 is the minimum over non-empty groups.

        Returns
        -------
        WorstGroup
        """
        n, names = self.n.ravel(), ["label", *self.attributes]
        rates = np.where(n >= max(min_n, 1), ratio(self.correct.ravel(), n), np.inf)
        keys = self._keys(names)

        def named(row: int) -> dict[str, str]:
            return {name: str(keys[name].iloc[row]) for name in names}

        few = tuple(named(int(row)) for row in np.flatnonzero((n > 0) & (n < min_n)))
        worst = int(rates.argmin()) if rates.size else 0
        if not rates.size or np.isinf(rates[worst]):
            return WorstGroup(math.nan, {}, 0, few)
        return WorstGroup(float(rates[worst]), named(worst), int(n[worst]), few)

    def rates(self, attributes: Sequence[str] | None = None) -> pd.DataFrame:
        """Rates of each class against the rest, in each combination of attribute values.

        Parameters
        ----------
        attributes : sequence of str, optional
            Default all.

        Returns
        -------
        DataFrame
            class, the attributes, n, selection_rate, positives, true_positive_rate, negatives,
            false_positive_rate; a rate without denominator is NaN.
        """
        names = list(self.attributes) if attributes is None else list(attributes)
        axes = [1, *(2 + list(self.attributes).index(name) for name in self._known(names))]
        right = self.cells[:, 0] == self.cells[:, 1]
        selected = self._sum(axes, self.counts)
        hits = self._sum(axes, np.where(right, self.counts, 0))
        positives = np.zeros_like(selected)
        positives[: len(self.labels)] = self._onto(["label", *names], self.n)
        n = np.broadcast_to(selected.sum(0), selected.shape)
        frame = self._keys(["class", *names])
        frame["n"] = n.ravel()
        frame["selection_rate"] = ratio(selected, n).ravel()
        frame["positives"] = positives.ravel()
        frame["true_positive_rate"] = ratio(hits, positives).ravel()
        frame["negatives"] = (n - positives).ravel()
        frame["false_positive_rate"] = ratio(selected - hits, n - positives).ravel()
        return frame

    def demographic_parity_difference(self, attributes: Sequence[str] | None = None) -> Disparity:
        """Largest difference between groups in how often a class is predicted, over all classes.

        Parameters
        ----------
        attributes : sequence of str, optional
            Whose values make the groups; default all.

        Returns
        -------
        Disparity
        """
        return self._disparity(attributes, {"selection_rate": "n"})

    def equal_opportunity_difference(self, attributes: Sequence[str] | None = None) -> Disparity:
        """Largest difference between groups in how often a class is recognized, over all classes.

        Parameters
        ----------
        attributes : sequence of str, optional
            Whose values make the groups; default all.

        Returns
        -------
        Disparity
            A group without images of the class has no such rate and does not enter.
        """
        return self._disparity(attributes, {"true_positive_rate": "positives"})

    def equalized_odds_difference(self, attributes: Sequence[str] | None = None) -> Disparity:
        """The larger of the differences in true and false positive rate between groups, over all classes.

        Parameters
        ----------
        attributes : sequence of str, optional
            Whose values make the groups; default all.

        Returns
        -------
        Disparity
            NaN for a class where either difference is unknown; fairlearn reports 1.0 for a perfect classifier
            when a group has no positives.
        """
        kinds = {"true_positive_rate": "positives", "false_positive_rate": "negatives"}
        return self._disparity(attributes, kinds)

    def to_metric_frame(self, control: Sequence[str] = (), **metrics: Callable[..., Any]) -> Any:
        """A fairlearn ``MetricFrame`` over the weighted cells: exact, whatever the number of rows.

        Parameters
        ----------
        control : sequence of str
            Attributes that become control features; all others are sensitive features.
        **metrics : callable
            ``name=function(y_true, y_pred, sample_weight=...)``; default
            ``accuracy=sklearn.metrics.accuracy_score``.

        Returns
        -------
        fairlearn.metrics.MetricFrame
        """
        from fairlearn.metrics import MetricFrame
        from sklearn.metrics import accuracy_score

        chosen = metrics or {"accuracy": accuracy_score}
        self._known(control)
        columns = {
            name: np.array(values, object)[self.cells[:, 2 + i]]
            for i, (name, values) in enumerate(self.attributes.items())
        }
        sensitive = pd.DataFrame({name: values for name, values in columns.items() if name not in control})
        if sensitive.empty:
            raise DataError("a MetricFrame needs an attribute that is not a control feature")
        classes = np.array(self.classes, object)
        return MetricFrame(
            metrics=chosen,
            y_true=classes[self.cells[:, 0]],
            y_pred=classes[self.cells[:, 1]],
            sensitive_features=sensitive,
            control_features=pd.DataFrame({name: columns[name] for name in control}) if control else None,
            sample_params={name: {"sample_weight": self.counts} for name in chosen},
        )

    def _disparity(self, attributes: Sequence[str] | None, kinds: Mapping[str, str]) -> Disparity:
        """The largest spread of rates, ``kinds``: name of the rate -> name of its denominator."""
        frame = self.rates(attributes)
        worst = np.full(len(self.classes), -np.inf)
        parts, wholes = [], []
        for kind, base in kinds.items():
            rates, n = (frame[one].to_numpy(np.float64).reshape(len(self.classes), -1) for one in (kind, base))
            known = ~np.isnan(rates)
            spread = np.where(known, rates, -np.inf).max(1) - np.where(known, rates, np.inf).min(1)
            worst = np.maximum(worst, np.where(known.sum(1) >= 2, spread, np.nan))
            parts.append(np.rint(np.where(known, rates, 0) * n))
            wholes.append(n)
        per_class = pd.Series(worst, index=pd.Index(self.classes, name="class"))
        undefined = tuple(str(name) for name in per_class.index[per_class.isna()])
        if len(undefined) == len(self.classes):
            return Disparity(math.nan, "", per_class, undefined)
        there = ~np.isnan(worst)
        right, n = (np.concatenate([one[there] for one in every]) for every in (parts, wholes))
        low, high = largest_spread(right, n)
        value, positive = float(np.nanmax(worst)), self.classes[int(np.nanargmax(worst))]
        return Disparity(value, positive, per_class, undefined, low, high)

    def _known(self, names: Sequence[str]) -> Sequence[str]:
        for name in names:
            if name not in self.attributes:
                raise DataError(f"no attribute {name!r}; the table was counted over {', '.join(self.attributes)}")
        return names

    def _size(self, axis: int) -> int:
        return [len(self.labels), len(self.classes), *map(len, self.attributes.values())][axis]

    def _sum(self, axes: Sequence[int], weights: Ints) -> Ints:
        """Weights of the cells summed onto some of their axes."""
        shape = tuple(self._size(axis) for axis in axes)
        flat = np.ravel_multi_index(tuple(self.cells[:, axis] for axis in axes), shape)
        # Sums of counts stay exact in float64 up to 2^53 images.
        return np.bincount(flat, weights, minlength=math.prod(shape)).astype(np.int64).reshape(shape)

    def _onto(self, names: Sequence[str], values: Ints) -> Ints:
        """An array over all groups summed onto some of its axes, in the order of the names."""
        every = ["label", *self.attributes]
        self._known([name for name in names if name != "label"])
        axes = [every.index(name) for name in names]
        rest = tuple(axis for axis in range(len(every)) if axis not in axes)
        summed = values.sum(rest) if rest else values
        kept = [axis for axis in range(len(every)) if axis in axes]
        out: Ints = np.transpose(summed, [kept.index(axis) for axis in axes])
        return out

    def _keys(self, names: Sequence[str]) -> pd.DataFrame:
        """All combinations of the names' values as categoricals, the last name fastest."""
        values = {"label": self.labels, "class": self.classes, **self.attributes}
        sizes = [len(values[name]) for name in names]
        codes: Any = np.indices(sizes).reshape(len(names), -1)
        columns = {
            name: pd.Categorical.from_codes(codes[i], pd.Index(values[name], dtype=object))
            for i, name in enumerate(names)
        }
        return pd.DataFrame(columns)


def count_groups(
    table: pd.DataFrame, attributes: Sequence[str], label: str = "label", prediction: str = "prediction"
) -> GroupCounts:
    """Count a table of answers once; every metric of `GroupCounts` follows from the counts.

    Parameters
    ----------
    table : DataFrame
        One row per image. Categorical columns keep their categories, used or not, in their order; others get
        their sorted values. Categoricals are also several times faster.
    attributes : sequence of str
        Columns that, with the label, make the groups.
    label, prediction : str
        The other two columns.

    Returns
    -------
    GroupCounts

    Raises
    ------
    DataError
        A column is missing or has missing values, or there are more than 100,000 groups.

    Examples
    --------
    >>> table = pd.DataFrame({"label": [0, 0, 1], "color": list("rbr"), "prediction": [0, 1, 1]})
    >>> worst = count_groups(table, ["color"]).worst_group_accuracy(min_n=1)
    >>> worst.accuracy, worst.group, worst.n
    (0.0, {'label': '0', 'color': 'b'}, 1)
    """
    names = [label, prediction, *attributes]
    missing = [name for name in names if name not in table.columns]
    if missing:
        raise DataError(f"no column {', '.join(missing)}; the table has {', '.join(map(str, table.columns))}")
    check_attributes(attributes)
    coded = {name: _codes(table[name]) for name in names}
    labels, answered = coded[label][1], coded[prediction][1]
    values = {name: coded[name][1] for name in attributes}
    check_size(len(labels), {name: len(one) for name, one in values.items()})
    classes = (*labels, *(one for one in answered if one not in set(labels)))
    place = {name: code for code, name in enumerate(classes)}
    predicted = np.array([place[one] for one in answered], np.int64)[coded[prediction][0]]
    shape = (len(labels), len(classes), *(len(one) for one in values.values()))
    codes = (coded[label][0], predicted, *(coded[name][0] for name in attributes))
    flat = np.ravel_multi_index(codes, shape) if len(table) else np.zeros(0, np.int64)
    if math.prod(shape) <= _DENSE:
        counts = np.bincount(flat, minlength=1)
        occurring = np.flatnonzero(counts)
        counts = counts[occurring]
    else:
        occurring, counts = np.unique(flat, return_counts=True)
    cells = np.stack(np.unravel_index(occurring, shape), axis=1).reshape(-1, len(shape))
    return GroupCounts(labels, classes, values, cells.astype(np.int64), counts.astype(np.int64))


def to_metric_frame(
    table: pd.DataFrame, attributes: Sequence[str], control: Sequence[str] = (), **metrics: Callable[..., Any]
) -> Any:
    """A table of answers as a fairlearn ``MetricFrame``, built from its counts.

    Parameters
    ----------
    table, attributes
        As in `count_groups`.
    control, **metrics
        As in `GroupCounts.to_metric_frame`.

    Returns
    -------
    fairlearn.metrics.MetricFrame

    Examples
    --------
    >>> table = pd.DataFrame({"label": [0, 0, 1], "color": list("rbr"), "prediction": [0, 1, 1]})
    >>> frame = to_metric_frame(table, ["color"])
    >>> frame.by_group["accuracy"].to_dict()
    {'b': 0.0, 'r': 1.0}
    """
    return count_groups(table, attributes).to_metric_frame(control, **metrics)


def check_attributes(names: Sequence[str]) -> None:
    """Refuse an attribute that is called like a column of the result tables."""
    taken = sorted(_RESERVED & set(names))
    if taken:
        raise DataError(f"attribute {taken[0]!r} has the name of a result column; rename it")


def check_size(labels: int, values: Mapping[str, int]) -> None:
    """Refuse more groups than a table can hold; ``values`` is the number of values of each attribute."""
    groups = labels * math.prod(values.values())
    if groups <= MAX_GROUPS:
        return
    longest = max(values, key=lambda name: values[name], default="")
    remedy = (
        f"drop attribute {longest!r} ({values[longest]:,} values) or merge its values" if longest else "merge labels"
    )
    raise DataError(f"{groups:,} groups are more than {MAX_GROUPS:,}; {remedy}")


def _codes(column: pd.Series[Any]) -> tuple[Ints, tuple[str, ...]]:
    """Integer codes and the names they stand for."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes, values = column.cat.codes.to_numpy(), column.cat.categories
    else:
        codes, values = pd.factorize(column, sort=True)
    absent = int((codes < 0).sum())
    if absent:
        raise DataError(
            f"column {column.name!r} has {absent} missing values of {len(column)}; "
            "fill them with a value of their own or drop these rows"
        )
    return codes.astype(np.int64, copy=False), tuple(str(one) for one in values)


def ratio(part: ArrayLike, whole: ArrayLike) -> Floats:
    """Part of whole, NaN where there is no whole."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.true_divide(part, whole), np.float64)
