"""``bk.score``: group metrics, gaps, intersections and tests of any model, from a table of its predictions alone."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from biaskit import _score_tables as made
from biaskit._assemble import SCHEMA, clean_json, versions
from biaskit._score_reading import Reading, columns_of
from biaskit.calibration import GRID, PREDICTION, Stated, steps
from biaskit.counting import MISSING, open_table
from biaskit.errors import DataError
from biaskit.measures import Metric
from biaskit.metrics import GroupCounts
from biaskit.output import write_result
from biaskit.recipes import fingerprint

__all__ = ["Score", "score"]

_METRICS = (
    Metric("average_accuracy", "accuracy", "%", "higher", "share of right answers among the rows as they are mixed"),
    Metric(
        "worst_group_accuracy",
        "worst group",
        "%",
        "higher",
        "lowest accuracy of any group of label and attributes with at least ten rows; low by chance alone where "
        "groups are small",
    ),
    Metric("mean_group_accuracy", "mean over groups", "%", "higher", "accuracy with every group counted the same"),
    Metric(
        "max_min_gap",
        "best - worst group",
        "points",
        "lower",
        "highest minus lowest accuracy of any group with at least ten rows; above 0 by chance alone",
    ),
)


@dataclass(frozen=True, eq=False, repr=False)
class Score:
    """What the predictions of one model say about its groups.

    Attributes
    ----------
    name : str
        What the predictions are called in the report.
    counts : GroupCounts
        Label x prediction x attributes: every number but those of probabilities follows from it.
    stated : Stated or None
        The probabilities, counted; None where the table has none.
    tables : mapping of str to DataFrame
        ``headline``, ``groups``, ``attribute_values``, ``gaps``, ``labels``, ``extremes``, ``parity``, ``rates``; with
        probabilities ``calibration``, ``reliability``, ``operating_points``, ``threshold_curves``.
    notes : tuple of str
        What a reader must know beside the numbers.
    options : dict
        As they were given, defaults included.
    """

    name: str
    counts: GroupCounts
    stated: Stated | None
    tables: Mapping[str, pd.DataFrame]
    notes: tuple[str, ...]
    options: dict[str, Any]
    command: str
    seconds: float

    def __getitem__(self, table: str) -> pd.DataFrame:
        if table not in self.tables:
            raise DataError(f"no table {table!r} in this score; it has {', '.join(self.tables)}")
        return self.tables[table]

    def __iter__(self) -> Iterator[str]:
        return iter(self.tables)

    def __repr__(self) -> str:
        rows, groups = int(self.counts.n.sum()), self.counts.n.size
        return f"<Score of {self.name}: {rows:,} rows, {groups:,} groups; {', '.join(self.tables)}>"

    @property
    def table(self) -> pd.DataFrame:
        """The headline: accuracy, mean over groups, worst group, best minus worst, each with its interval."""
        return self.tables["headline"]

    @property
    def result(self) -> dict[str, Any]:
        """What result.json holds: kind ``score``, in the layout of an audit where the two say the same."""
        counts, arm = self.counts, {"arm": self.name}
        tables = {name: table.to_dict("records") for name, table in self.tables.items()}
        result = {
            "schema_version": SCHEMA,
            "kind": "score",
            "command": self.command,
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "seconds": round(self.seconds, 1),
            "arms": [{"name": self.name, "summary": "the predictions that were scored"}],
            "data": {
                "name": self.name,
                "rows": int(counts.n.sum()),
                "label": list(counts.labels),
                "classes": list(counts.classes),
                "attributes": {name: list(values) for name, values in counts.attributes.items()},
                "group_by": list(counts.attributes),
                "fingerprint": _fingerprint(counts),
            },
            "options": self.options,
            "alpha": 0.05,
            "metrics": [vars(one) for one in _METRICS],
            "headline": [arm | row for row in tables["headline"]],
            "groups": [arm | row for row in tables["groups"]],
            "attribute_values": [arm | row for row in tables["attribute_values"]],
            "gaps": [arm | row for row in tables["gaps"]],
            **{name: tables[name] for name in ("labels", "extremes", "parity")},
            **{name: tables.get(name, []) for name in ("calibration", "reliability", "operating_points")},
            "threshold_curves": _curves(self.tables.get("threshold_curves")),
            "notes": list(self.notes),
            "versions": versions(),
        }
        cleaned: dict[str, Any] = clean_json(result)
        return cleaned

    def save(self, folder: str | Path) -> Path:
        """Write result.json, cells.parquet, tables, figures and report.html; the folder appears whole or not at all."""
        return write_result(Path(folder), self.result, None, self.tables, cells=self.counts)


def score(
    table: pd.DataFrame | str | Path,
    *,
    label: str = "label",
    prediction: str = "prediction",
    attributes: Sequence[str] = (),
    probabilities: str | Mapping[str, str] | None = None,
    thresholds: Sequence[float] = (0.5,),
    bins: int = 15,
    min_n: int = 0,
    missing: Literal["error", "group"] = "error",
    name: str | None = None,
    command: str | None = None,
) -> Score:
    """Measure any model by a table of its predictions, images or not.

    The table is read a million rows at a time and kept as counts, so memory does not grow with it.

    Parameters
    ----------
    table : DataFrame, or path of a .parquet, .csv or .tsv file
        One row per answer.
    label, prediction : str
        Columns of the right and the given answer. A prediction that is no label counts as wrong.
    attributes : sequence of str
        Columns that, with the label, make the groups. Each is judged alone and all together; categoricals keep their
        categories, used or not.
    probabilities : str or mapping of class to str, optional
        A column: the probability that the model gave to its prediction. A mapping: per class the column of the
        probability that the label is this one; of two classes one is enough.
    thresholds : sequence of float
        Of the operating points: what is selected by ``probability >= threshold``.
    bins : int
        Bins of equal width in [0, 1] that calibration is read in; 15 as in Guo et al.
    min_n : int
        Groups with fewer rows are left out of worst group and best minus worst; by default they widen the intervals.
    missing : {"error", "group"}
        Rows without a value of an attribute: refused, or a group of their own, ``(missing)``.
    name : str, optional
        What the predictions are called; default the name of the file.
    command : str, optional
        What repeats this, for the report.

    Returns
    -------
    Score

    Raises
    ------
    DataError
        A column is missing or has missing values, probabilities lie outside [0, 1], no prediction is a label, or
        there are more than 100,000 groups.

    References
    ----------
    Guo et al. 2017, arXiv 1706.04599 (calibration); intervals and tests: `biaskit.stats`.

    Examples
    --------
    >>> table = pd.DataFrame({"label": [0, 0, 1, 1] * 30, "color": list("rbrb") * 30, "prediction": [0, 1, 1, 1] * 30})
    >>> found = score(table, attributes=["color"])
    >>> found["gaps"][["attribute", "value", "from", "to", "p"]].values.tolist()
    [['color', -0.5, 'b', 'r', 0.0001]]
    >>> found.table.set_index("metric")["value"].to_dict()["worst_group_accuracy"]
    0.0
    """
    started = time.perf_counter()
    if not len(thresholds):
        raise DataError("thresholds is empty: operating points need one, such as 0.5")
    columns = columns_of(label, prediction, attributes, probabilities, missing)
    reading = Reading(columns, probabilities, steps(bins, thresholds), bins)
    opened = open_table(table, [one.name for one in columns], reading.numbers)
    start = 0
    for batch in opened.batches:
        reading.add(batch, start, opened.name)
        start += batch.num_rows
    if not start:
        raise DataError(f"{opened.name} has no rows")
    reading.refuse(start, opened.name, missing)
    counts, stated = reading.finished(opened.ordered, opened.name)
    tables = {
        "headline": made.headline(counts, min_n),
        "groups": counts.accuracy_table(),
        "attribute_values": made.attribute_values(counts),
        "gaps": made.gaps(counts),
        "labels": made.label_gaps(counts),
        "extremes": made.extremes(counts, min_n),
        "parity": made.parity(counts),
        "rates": made.rates(counts),
    }
    if stated is not None:
        tables |= {
            "calibration": stated.calibration(),
            "reliability": stated.reliability(),
            "operating_points": stated.points(thresholds),
            "threshold_curves": stated.points(GRID, combined=False),
        }
    options = {
        "label": label,
        "prediction": prediction,
        "attributes": list(attributes),
        "probabilities": dict(zip(reading.classes, reading.numbers, strict=True))
        if isinstance(probabilities, Mapping)
        else probabilities,
        "thresholds": list(thresholds),
        "bins": bins,
        "min_n": min_n,
        "missing": missing,
    }
    called = name or (Path(table).name if isinstance(table, str | Path) else "predictions")
    said = command or f"bk.score({called}, label={label!r}, prediction={prediction!r}, attributes={list(attributes)!r})"
    notes = (*_doubts(counts, reading, stated), *_notes(counts, reading))
    return Score(_told(called), counts, stated, tables, notes, options, _told(said), time.perf_counter() - started)


def _notes(counts: GroupCounts, reading: Reading) -> Iterator[str]:
    """What the counts themselves do not say."""
    sizes = counts.n.reshape(len(counts.labels), -1).sum(1)
    answers = np.bincount(counts.cells[:, 1], counts.counts, len(counts.classes)).astype(np.int64)
    outside = answers[len(counts.labels) :]
    if outside.any():
        shown = ", ".join(repr(one) for one in counts.classes[len(counts.labels) :][:3])
        yield f"{int(outside.sum()):,} predictions are no label of the table ({shown}); they count as wrong"
    never = [name for name, n, seen in zip(counts.labels, sizes, answers, strict=False) if n and not seen]
    if never:
        more = f" and {len(never) - 5} more" if len(never) > 5 else ""
        yield f"never predicted: {', '.join(never[:5])}{more}"
    for name in counts.attributes:
        there = [value for value, n in zip(counts.attributes[name], counts.by_label(name)[1].sum(0), strict=True) if n]
        if len(there) == 1:
            yield f"{name} has one value only, {there[0]}: nothing to compare it with"
    for one in reading.columns[2:]:
        if one.missing:
            yield f"{one.missing:,} rows without a value of {one.name} are the group {MISSING}"
    empty = int((counts.n == 0).sum())
    if empty:
        yield f"{empty:,} of {counts.n.size:,} groups have no rows; they keep their line, without a number"
    if not reading.covered and len(reading.classes) > 1:
        yield "some predicted classes have no column of probabilities: how sure the answers were is not judged"


def _doubts(counts: GroupCounts, reading: Reading, stated: Stated | None) -> Iterator[str]:
    """What speaks against these being the probabilities that they are said to be."""
    if stated is None:
        return
    rows, labels = int(counts.n.sum()), len(counts.labels)
    every = not reading.whole and set(reading.classes) == set(counts.labels)
    off = reading.above + (reading.below if every else 0)
    if off:
        yield f"in {off:,} of {rows:,} rows the probabilities of the classes do not sum to 1; they are read as they are"
    # A model that can only answer with these labels gives one of them an even share at least.
    if stated.events[-1:] != (PREDICTION,) or len(counts.classes) > labels or labels < 2:
        return
    ends = np.append(stated.steps[1:], 1.0)
    low = (stated.cells[:, 0] == len(stated.events) - 1) & (ends[stated.cells[:, 1]] <= 1 / labels + 1e-9)
    few = int(stated.n[low].sum())
    if few:
        what = "the columns may be those of other classes"
        if reading.whole:
            what = f"{reading.numbers[0]} may be that of one class, which is written CLASS=COLUMN"
        yield f"in {few:,} of {rows:,} rows the prediction has a probability below 1/{labels}: {what}"


def _told(text: str) -> str:
    """A name that a file can hold: what the system could not read as text stands as its code."""
    return text.encode("utf-8", "backslashreplace").decode()


def _curves(table: pd.DataFrame | None) -> list[dict[str, Any]]:
    """The curves as one entry per event and group, which is what a figure draws."""
    if table is None:
        return []
    kept = ["threshold", "true_positive_rate", "true_positive_rate_low", "true_positive_rate_high"]
    kept += ["false_positive_rate", "false_positive_rate_low", "false_positive_rate_high", "selection_rate"]
    found = []
    for (event, attribute, value), part in table.groupby(["event", "attribute", "value"], sort=False):
        keys = {"event": event, "attribute": attribute, "value": value, "n": int(part["n"].iloc[0])}
        found.append(keys | {name: part[name].round(6).tolist() for name in kept})
    return found


def _fingerprint(counts: GroupCounts) -> str:
    """A hash over all counts: two tables with the same one give the same report."""
    lists = [counts.labels, counts.classes, counts.attributes, counts.cells.tolist(), counts.counts.tolist()]
    return fingerprint(lists)
