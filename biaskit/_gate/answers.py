"""The answers behind a folder of results: per seed and image from an audit or a comparison, counted from a score."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow
import pyarrow.parquet

from biaskit import stats
from biaskit._gate.written import check_written
from biaskit.cells import read_cells
from biaskit.contrast import own_values
from biaskit.data import TWIN
from biaskit.errors import DataError, SpecError, nearest
from biaskit.metrics import GroupCounts
from biaskit.telling.stored import read_result

__all__ = ["Answers", "Evidence", "Groups", "Twins", "one_of"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

KINDS = ("audit", "comparison", "sweep", "score")


@dataclass(frozen=True, eq=False)
class Twins:
    """The answers to the twins of one or several attributes.

    Attributes
    ----------
    of : int array (k,)
        Place of the original among the rows.
    answers : int array (S, k)
    codes : mapping of attribute to int array (k,)
        Their values; the attribute in which a twin differs from its original is the one that was swapped.
    """

    of: Ints
    answers: Ints
    codes: Mapping[str, Ints]


@dataclass(frozen=True, eq=False)
class Groups:
    """The rows by the values of some columns; a group that is left out has no row.

    Attributes
    ----------
    ids : int array (m,)
        From 0 without holes; -1: left out.
    names : list of str
    n : int array (G,)
        Images.
    notes : tuple of str
        Which groups are left out or empty.
    """

    ids: Ints
    names: list[str]
    n: Ints
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, eq=False)
class Answers:
    """What a model, or an arm over its seeds, answered to the test images.

    Attributes
    ----------
    name : str
    seeds : tuple of int
    labels, classes : tuple of str
        The labels; these and whatever else was answered.
    attributes : mapping of str to tuple of str
        Each with its values.
    group_by : tuple of str
        The attributes that, with the label, make the groups.
    attribute : str
        The one that a gap and a flip rate are about where a rule names none; empty: it has to.
    codes : mapping of str to int array (m,)
        Of ``label`` and every attribute.
    answers : int array (S, m)
        Codes of ``classes``.
    weights : int array (m,)
        Images that a row stands for: 1, of a score as many as its cell counts.
    rows : int array (m,) or None
        Which images these are; None of a score.
    follows : mapping of attribute to int array (labels,)
        Where an attribute follows the label in train: the value of each label, -1 for none.
    twins : Twins or None
    notes : tuple of str
        Seeds that were counted once because they repeat another.
    """

    name: str
    seeds: tuple[int, ...]
    labels: tuple[str, ...]
    classes: tuple[str, ...]
    attributes: Mapping[str, tuple[str, ...]]
    group_by: tuple[str, ...]
    attribute: str
    codes: Mapping[str, Ints]
    answers: Ints
    weights: Ints
    rows: Ints | None = None
    follows: Mapping[str, Ints] = field(default_factory=dict)
    twins: Twins | None = None
    notes: tuple[str, ...] = ()

    @property
    def single(self) -> bool:
        """Whether this is one model, of which counts say everything."""
        return len(self.answers) == 1

    @cached_property
    def correct(self) -> Floats:
        """(S, m)."""
        return np.asarray(self.answers == self.codes["label"], np.float64)

    @property
    def n(self) -> int:
        """Test images."""
        return int(self.weights.sum())

    def counts(self, attributes: Sequence[str]) -> GroupCounts:
        """Of a single model: label x prediction x some attributes."""
        columns = [self.codes["label"], self.answers[0], *(self.codes[name] for name in attributes)]
        values = {name: self.attributes[name] for name in attributes}
        return GroupCounts(self.labels, self.classes, values, np.stack(columns, axis=1), self.weights)

    def values(self, column: str) -> tuple[str, ...]:
        """The values of ``label`` or an attribute.

        Raises
        ------
        SpecError
            There is no such column.
        """
        known = {"label": self.labels, **self.attributes}
        return known[one_of(column, known, "column to group by")]

    def where(self, wanted: Mapping[str, Any]) -> Answers:
        """Only the rows with these values; a list allows each of them.

        Raises
        ------
        SpecError
            A column or a value that is not there.
        """
        kept = np.ones(len(self.weights), bool)
        for column, given in wanted.items():
            values = self.values(column)
            listed = [str(one) for one in (given if isinstance(given, list) else [given])]
            codes = [values.index(one_of(one, values, f"value of {column}")) for one in listed]
            kept &= np.isin(self.codes[column], codes)
        return self if kept.all() else self.taken(kept)

    def taken(self, kept: Bools) -> Answers:
        """Only some of the rows, and the twins of these."""
        twins = self.twins
        if twins is not None:
            mine = kept[twins.of]
            place = np.cumsum(kept) - 1
            codes = {name: one[mine] for name, one in twins.codes.items()}
            twins = Twins(place[twins.of[mine]], twins.answers[:, mine], codes)
        return dataclasses.replace(
            self,
            codes={name: one[kept] for name, one in self.codes.items()},
            answers=self.answers[:, kept],
            weights=self.weights[kept],
            rows=None if self.rows is None else self.rows[kept],
            twins=twins,
        )

    def groups(self, by: Sequence[str], min_n: int) -> Groups:
        """The rows by the values of these columns; groups of fewer than ``min_n`` images are left out and named."""
        every = [self.values(column) for column in by]
        shape = tuple(len(values) for values in every)
        flat = np.ravel_multi_index(tuple(self.codes[column] for column in by), shape)
        there, ids = np.unique(flat, return_inverse=True)
        n = np.bincount(ids, self.weights, minlength=len(there)).astype(np.int64)
        places = np.stack(np.unravel_index(there, shape), axis=1) if len(there) else np.zeros((0, len(by)), np.int64)
        names = [", ".join(values[code] for values, code in zip(every, one, strict=True)) for one in places]
        kept = n >= max(min_n, 1)
        few = [f"{name} (n={size})" for name, size, big in zip(names, n, kept, strict=True) if not big]
        notes = [f"left out, fewer than {min_n} images: {_some(few)}"] if few else []
        empty = int(np.prod(shape)) - len(there)
        if empty:
            notes.append(f"{empty} of {int(np.prod(shape))} groups have no test image: nothing is known of them")
        renumbered = np.where(kept, np.cumsum(kept) - 1, -1)
        return Groups(
            renumbered[ids].astype(np.int64),
            [name for name, big in zip(names, kept, strict=True) if big],
            n[kept],
            tuple(notes),
        )


def one_of(name: str, known: Mapping[str, Any] | Sequence[str], what: str) -> str:
    """The name, if it is one of those known.

    Raises
    ------
    SpecError
        It is not; with the nearest names.
    """
    if name in known:
        return name
    close = nearest(name, known)
    some = f"nearest: {', '.join(close)}" if close else f"there are {_some(list(known))}" if known else "there is none"
    raise SpecError(f"no {what} {name!r}; {some}")


def _some(names: Sequence[str], most: int = 6) -> str:
    """Join names; of many the first."""
    told = ", ".join(names[:most])
    return f"{told} and {len(names) - most} more" if len(names) > most else told


class Evidence:
    """A folder of results of one kind: the answers of each of its arms, and the tables of its analyzers.

    Parameters
    ----------
    folder : str or Path
        What ``audit``, ``compare``, ``sweep`` or ``score`` wrote.

    Raises
    ------
    DataError
        It is no such folder.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.result = read_result(folder)
        self.kind = str(self.result.get("kind"))
        if self.kind not in KINDS:
            raise DataError(f"{folder} holds a {self.kind}; a gate reads the folders of {', '.join(KINDS)}")
        check_written(self.result, folder)
        self._read: dict[str, Answers] = {}

    @cached_property
    def arms(self) -> tuple[str, ...]:
        """The arms by name; of an audit or a score its one model."""
        return tuple(str(arm["name"]) for arm in self.result.get("arms") or [{"name": "model"}])

    @property
    def fingerprint(self) -> str:
        """Of the data."""
        return str(self.result.get("data", {}).get("fingerprint", ""))

    def arm(self, name: str) -> str:
        """The arm of this name; without one the only arm.

        Raises
        ------
        SpecError
            There is no such arm, or there are several to choose from.
        """
        if name:
            return one_of(name, self.arms, f"arm in {self.folder}:")
        if len(self.arms) > 1:
            raise SpecError(f'{self.folder} has the arms {_some(self.arms)}: say which one, arm = "{self.arms[0]}"')
        return self.arms[0]

    def answers(self, arm: str) -> Answers:
        """The answers of an arm; read once."""
        if arm not in self._read:
            try:
                self._read[arm] = self._counted(arm) if self.kind == "score" else self._per_image(arm)
            except (KeyError, TypeError, ValueError, AttributeError, OSError, pyarrow.ArrowException) as error:
                reason = f"{type(error).__name__}: {error}"
                raise DataError(f"{self.folder} is not as biaskit wrote it ({reason}); make it again") from None
        return self._read[arm]

    def _counted(self, arm: str) -> Answers:
        counts = read_cells(self.folder)
        names = ["label", "prediction", *counts.attributes]
        codes = {name: counts.cells[:, place] for place, name in enumerate(names)}
        answers = codes.pop("prediction")[None]
        by = tuple(counts.attributes)
        only = by[0] if len(by) == 1 else ""
        return Answers(
            arm, (0,), counts.labels, counts.classes, counts.attributes, by, only, codes, answers, counts.counts
        )

    @cached_property
    def _table(self) -> pd.DataFrame:
        """The predictions without confidence and logits."""
        path = self.folder / "predictions.parquet"
        if not path.is_file():
            raise DataError(f"{path} is not there, and every rule is judged from it; make the folder again")
        columns = [name for name in pyarrow.parquet.read_schema(path).names if name not in ("confidence", "logits")]
        table = pd.read_parquet(path, columns=columns)
        if "pair" not in table or table["pair"].isna().any():
            raise DataError(
                f"{path} does not say which image is the twin of which: an older biaskit wrote it, or trained some of "
                "its runs; remove these with: biaskit runs clean, and make the folder again"
            )
        return table

    def _per_image(self, arm: str) -> Answers:
        data = self.result["data"]
        table = self._table
        if "arm" in table:
            table = table[table["arm"].astype(str) == arm]
        seeds = sorted(table["seed"].unique().tolist()) if "seed" in table else [0]
        parts = [table[table["seed"] == seed] if "seed" in table else table for seed in seeds]
        parts = [part.sort_values("row", kind="stable") for part in parts]
        first = parts[0]
        if any(not np.array_equal(first["row"], part["row"]) for part in parts) or not first["row"].is_unique:
            raise DataError(f"{self.folder / 'predictions.parquet'}: the seeds of {arm} answer other images each")
        values = {"label": data["label"], **data["attributes"]}
        codes = {name: self._codes(first[name], listed) for name, listed in values.items()}
        answers = np.stack([self._codes(part["prediction"], data["label"]) for part in parts])
        test, twin = (np.flatnonzero((first["split"] == split).to_numpy()) for split in ("test", TWIN))
        if not len(test):
            raise DataError(f"{self.folder / 'predictions.parquet'} has no test images")
        kept, notes = stats.distinct_seeds(answers[:, test], seeds)
        answers = answers[kept]
        rows = first["row"].to_numpy(np.int64)
        twins = None
        if len(twin):
            of = np.searchsorted(rows[test], first["pair"].to_numpy(np.int64)[twin])
            swapped = {name: one[twin] for name, one in codes.items() if name != "label"}
            twins = Twins(of.astype(np.int64), answers[:, twin], swapped)
        return Answers(
            arm,
            tuple(seeds[one] for one in kept),
            tuple(data["label"]),
            tuple(data["label"]),
            {name: tuple(listed) for name, listed in data["attributes"].items()},
            tuple(data["group_by"]),
            str(self.result["reliance"]["attribute"]),
            {name: one[test] for name, one in codes.items()},
            answers[:, test],
            np.ones(len(test), np.int64),
            rows[test],
            _followed(data),
            twins,
            tuple(notes),
        )

    def _codes(self, column: pd.Series[Any], values: Sequence[str]) -> Ints:
        place = {value: code for code, value in enumerate(values)}
        written, texts = pd.factorize(column.astype(str))
        found = np.array([place.get(str(one), -1) for one in texts], np.int64)[written]
        outside = np.flatnonzero(found < 0)
        if len(outside):
            raise DataError(
                f"{self.folder / 'predictions.parquet'}: column {column.name!r} holds {column.iloc[outside[0]]!r}, "
                "which result.json does not list; make the folder again"
            )
        return found


def _followed(data: Mapping[str, Any]) -> dict[str, Ints]:
    """The attributes that follow the label in train, from the contingency table of a result."""
    train = pd.DataFrame(data["contingency"])
    train = train[train["split"] == "train"]
    regimes = {one["attribute"]: one.get("regime") for one in data.get("planted", [])}
    found = {}
    for attribute in data["group_by"] if len(train) else ():
        values = data["attributes"][attribute]
        counts = np.zeros((len(data["label"]), len(values)), np.int64)
        places = (train["label"].map(list(data["label"]).index), train[attribute].map(list(values).index))
        np.add.at(counts, places, train["n"].to_numpy(np.int64))
        own = own_values(counts, regimes.get(attribute))
        if own is not None:
            found[attribute] = own
    return found
