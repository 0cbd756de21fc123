"""One pass over a table of predictions: its cells of label x prediction x attributes, and those of probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from biaskit.calibration import ALL, MAX_SIZE, PREDICTION, Stated
from biaskit.counting import Codes, Tally
from biaskit.errors import DataError
from biaskit.metrics import GroupCounts, check_attributes, check_size

__all__ = ["Reading", "columns_of"]

#: Probabilities that rounding has moved out of [0, 1] by less than this are moved back.
_SLACK = 1e-6
#: Those of all classes, rounded for a table, sum to 1 but for this.
_ROUNDED = 0.05
#: Predictions that are no label: more different ones than this are numbers, or names of rows.
_MOST_OUTSIDE = 5_000

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def columns_of(
    label: str,
    prediction: str,
    attributes: Sequence[str],
    probabilities: str | Mapping[str, str] | None,
    missing: str,
) -> list[Codes]:
    """The columns that are read as codes: label, prediction, then the attributes."""
    if isinstance(attributes, str):
        raise DataError(f"attributes is a list of columns; got the text {attributes!r}")
    if missing not in ("error", "group"):
        raise DataError(f"missing = {missing!r}: choose 'error' or 'group'")
    every = [label, prediction, *attributes]
    _check_names(every, probabilities)
    check_attributes(attributes)
    twice = next((one for one in every if every.count(one) > 1), None)
    if twice is not None:
        raise DataError(f"column {twice!r} is named twice; label, prediction and attributes are different columns")
    if ALL in attributes:
        raise DataError(f"attribute {ALL!r} is called like the rows of the result tables that are about all; rename it")
    return [Codes(one, whole=place < 2) for place, one in enumerate(every)]


def _check_names(columns: Sequence[Any], probabilities: Any) -> None:
    """Whether columns are named by text, which is what tables of all kinds have."""
    stated = list(probabilities.values()) if isinstance(probabilities, Mapping) else [probabilities or ""]
    if isinstance(probabilities, Mapping) and not probabilities:
        raise DataError("probabilities names no class; leave it out, or give a column per class")
    if isinstance(probabilities, Mapping) and len({str(name) for name in probabilities}) < len(probabilities):
        raise DataError(f"probabilities names a class twice: {', '.join(map(repr, probabilities))}")
    wrong = next((one for one in (*columns, *stated) if not isinstance(one, str)), None)
    if wrong is not None:
        raise DataError(f"{wrong!r} is no name of a column; columns are named by text, such as {str(wrong)!r:.40}")


class Reading:
    """One pass over a table: its cells of label x prediction x attributes, and those of its probabilities."""

    def __init__(
        self, columns: Sequence[Codes], probabilities: str | Mapping[str, str] | None, edges: Floats, bins: int
    ) -> None:
        self.columns, self.edges, self.bins = columns, edges, bins
        given = {PREDICTION: probabilities} if isinstance(probabilities, str) else dict(probabilities or {})
        self.classes = [str(name) for name in given]
        self.numbers = list(given.values())
        self.whole = isinstance(probabilities, str)
        self.cells, self.stated = Tally(), Tally(sums=2)
        #: Column of probabilities -> how many are none, and the first of them with its row.
        self.outside: dict[str, tuple[int, int, float]] = {}
        #: Whether every predicted class has a column of probabilities.
        self.covered = bool(given)
        #: Rows in which the probabilities of the classes sum to more, and to less than 1.
        self.above = self.below = 0

    def add(self, batch: Any, start: int, where: str) -> None:
        """Count the rows of a batch, the first of which is row ``start``."""
        codes = [one.of(batch.column(one.name), start) for one in self.columns]
        sizes = {one.name: len(one.texts) for one in self.columns}
        label, prediction, *attributes = self.columns
        check_size(sizes[label.name], {one.name: sizes[one.name] for one in attributes})
        if len(codes[0]):
            self.cells.add(codes)
        if not self.numbers or not len(codes[0]):
            return
        values = np.stack([self._probabilities(batch, name, start, where) for name in self.numbers])
        # Codes of label and prediction number their own values: compared are the texts behind them.
        places = {text: code for code, text in enumerate(label.texts)}
        right = np.array([places.get(text, -1) for text in prediction.texts], np.int64)[codes[1]] == codes[0]
        if self.whole:
            self._state(0, values[0], right, codes[2:])
            return
        total = values.sum(0)
        self.above += int((total > 1 + _ROUNDED).sum())
        self.below += int((total < 1 - _ROUNDED).sum())
        for event, name in enumerate(self.classes):
            self._state(event, values[event], codes[0] == places.get(name, -1), codes[2:])
        own = np.array([self.classes.index(one) if one in self.classes else -1 for one in prediction.texts], np.int64)
        chosen = own[codes[1]]
        self.covered = self.covered and bool((chosen >= 0).all())
        if self.covered:
            self._state(len(self.classes), values[chosen, np.arange(len(chosen))], right, codes[2:])

    def _state(self, event: int, p: Floats, happened: NDArray[np.bool_], groups: Sequence[Ints]) -> None:
        step = np.searchsorted(self.edges, p, side="right") - 1
        keys = [np.full(len(p), event), step, happened.astype(np.int64), *groups]
        self.stated.add(keys, [p, p * p])

    def _probabilities(self, batch: Any, name: str, start: int, where: str) -> Floats:
        found: Floats
        try:
            found = batch.column(name).cast("float64").to_numpy(zero_copy_only=False)
        except (ValueError, NotImplementedError) as error:
            raise DataError(f"{where}: column {name!r} is no column of probabilities ({error})") from None
        bad = ~((found >= -_SLACK) & (found <= 1 + _SLACK))
        if bad.any():
            first = int(bad.argmax())
            count, row, value = self.outside.get(name, (0, start + first, float(found[first])))
            self.outside[name] = count + int(bad.sum()), row, value
            found = np.where(bad, 0.0, found)
        clipped: Floats = np.clip(found, 0.0, 1.0)
        return clipped

    def refuse(self, rows: int, where: str, missing: str) -> None:
        """What is wrong with the rows, counted over all of them."""
        for place, one in enumerate(self.columns):
            if one.missing and (place < 2 or missing == "error"):
                remedy = "fill them, or drop these rows"
                if place >= 2:
                    remedy += "; as a group of their own: missing='group' (--keep-missing)"
                raise DataError(
                    f"{where}: column {one.name!r} has no value in {one.missing:,} of {rows:,} rows, the first is row "
                    f"{one.first:,} (counted from 0); {remedy}"
                )
        for name, (count, row, value) in self.outside.items():
            what = "missing" if np.isnan(value) else f"{value:g}"
            raise DataError(
                f"{where}: column {name!r} holds no probability in {count:,} of {rows:,} rows, the first is row "
                f"{row:,} (counted from 0): {what}; probabilities lie in [0, 1]"
            )

    def finished(self, ordered: frozenset[str], where: str) -> tuple[GroupCounts, Stated | None]:
        """The counts, values in their order."""
        sorted_ = [one.sorted(keep=one.name in ordered) for one in self.columns]
        (labels, new), (answered, codes), *rest = sorted_
        known = set(labels)
        if not known & set(answered):
            raise DataError(
                f"{where}: no prediction is a label: {self.columns[1].name!r} holds {', '.join(answered[:5])}, "
                f"{self.columns[0].name!r} holds {', '.join(labels[:5])}; write both the same way"
            )
        classes = (*labels, *(one for one in answered if one not in known))
        outside = classes[len(labels) :]
        if len(outside) > _MOST_OUTSIDE:
            raise DataError(
                f"{where}: column {self.columns[1].name!r} holds {len(outside):,} values that are no label, such as "
                f"{', '.join(outside[:3])}; name the column of the answers, or write all that are no label as one"
            )
        place = {text: code for code, text in enumerate(classes)}
        renamed = {0: new, 1: np.array([place[text] for text in answered], np.int64)[codes]}
        renamed |= {2 + at: one for at, (_, one) in enumerate(rest)}
        cells, n, _ = self.cells.cells(renamed)
        values = {one.name: texts for one, (texts, _) in zip(self.columns[2:], rest, strict=True)}
        counts = GroupCounts(labels, classes, values, cells, n)
        if not self.numbers:
            return counts, None
        unknown = [one for one in self.classes if one not in known] if not self.whole else []
        if unknown:
            raise DataError(f"{where}: probabilities of class {unknown[0]!r}, but the labels are {', '.join(labels)}")
        return counts, self._stated({3 + at: one for at, (_, one) in enumerate(rest)}, values)

    def _stated(self, renamed: Mapping[int, Ints], values: dict[str, tuple[str, ...]]) -> Stated:
        classes = [] if self.whole else [f"label is {name}" for name in self.classes]
        events = [*classes, *([PREDICTION] if self.covered else [])]
        size = len(events) * int(np.prod([len(one) for one in values.values()])) * len(self.edges)
        if size > MAX_SIZE:
            raise DataError(
                f"{len(events):,} probabilities in these groups at {len(self.edges)} steps are {size:,} counts, more "
                f"than {MAX_SIZE:,}; name fewer classes or attributes"
            )
        cells, n, (total, squares) = self.stated.cells(renamed)
        kept = cells[:, 0] < len(events)
        return Stated(tuple(events), values, self.edges, self.bins, cells[kept], n[kept], total[kept], squares[kept])
