"""The stored answers of arms, over their seeds and images, and what all arms share; a single model is one seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import t as student

from biaskit import stats
from biaskit.contrast import Contrast, contrast
from biaskit.data import TWIN, Dataset
from biaskit.results import Result
from biaskit.rng import numpy_generator
from biaskit.specs import DatasetCard

__all__ = ["ArmEvidence", "Ground", "measures_of", "seed_interval"]

Floats = npt.NDArray[np.float64]


class Ground:
    """What all arms share: the test images, their groups, the sides of the gap, the halves of the half-split."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.test = dataset.rows("test")
        self.labels = dataset.labels[self.test]
        self.groups = dataset.group_ids[self.test]
        self.attribute = _reliance_attribute(dataset)

    @cached_property
    def gap(self) -> Contrast | None:
        """The gap of the deciding attribute; None without attributes."""
        return contrast(self.dataset, self.attribute) if self.attribute else None

    @cached_property
    def splits(self) -> npt.NDArray[np.bool_]:
        return stats.half_splits(self.groups, numpy_generator(0, "half-splits"))

    @cached_property
    def twins(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]] | None:
        """Test rows and the rows of their twins under the deciding attribute."""
        table = self.dataset.table
        if TWIN not in self.dataset.splits:
            return None
        found = np.flatnonzero(((table["split"] == TWIN) & (table["swapped"] == self.attribute)).to_numpy())
        return (table["pair"].to_numpy(np.int64)[found], found) if len(found) else None

    @property
    def reliance(self) -> str:
        """The deciding metric: the flip rate where twins exist and the card does not say otherwise, else the gap."""
        wanted = self.dataset.card.get("reliance", DatasetCard.model_fields["reliance"].default)
        return "flip_rate" if self.twins is not None and wanted == "flip_rate" else "gap"

    @cached_property
    def group_names(self) -> list[str]:
        columns = ["label", *self.dataset.group_by]
        return [", ".join(str(one) for one in row) for row in self.dataset.groups[columns].itertuples(index=False)]

    @cached_property
    def group_size(self) -> npt.NDArray[np.int64]:
        """Test images per group, (groups,)."""
        return np.bincount(self.groups, minlength=len(self.group_names))

    def group_counts(self, correct: Floats) -> npt.NDArray[np.int64]:
        """Right answers per seed and group, (S, groups), from those per seed and test image, (S, n)."""
        counts = [np.bincount(self.groups, weights=one, minlength=len(self.group_names)) for one in correct]
        return np.stack(counts).astype(np.int64)

    @cached_property
    def train_weights(self) -> Floats | None:
        """Per test image the weight that gives its group its share of train; None if a trained group has no image."""
        if "train" not in self.dataset.splits:
            return None
        train = np.bincount(self.dataset.group_ids[self.dataset.rows("train")], minlength=len(self.group_names))
        test = self.group_size
        if ((train > 0) & (test == 0)).any():
            return None
        return np.asarray((train / train.sum() / np.maximum(test, 1))[self.groups])

    @cached_property
    def group_weights(self) -> Floats:
        """Per test image the weight that gives every group with images the same share."""
        test = self.group_size
        return np.asarray(1.0 / test[self.groups] / (test > 0).sum())


@dataclass(frozen=True, eq=False)
class ArmEvidence:
    """The stored answers of one arm.

    Attributes
    ----------
    name : str
    seeds : tuple of int
    answers : int array (S, n)
        Predicted label codes of the test rows.
    twin_answers : int array (S, m) or None
        Of the twins of ``ground.twins``.
    twin_before : int array (S, m) or None
        Of their originals.
    results : mapping of analyzer to Result
        Of all seeds in one: table and samples with a ``seed`` column; options and pictures of the first seed.
    repeated : tuple of str
        Seeds left out because they repeat another: a copied run, or a seed that nothing uses.
    """

    name: str
    seeds: tuple[int, ...]
    answers: npt.NDArray[np.int64]
    twin_before: npt.NDArray[np.int64] | None
    twin_answers: npt.NDArray[np.int64] | None
    results: Mapping[str, Result] = field(default_factory=dict)
    repeated: tuple[str, ...] = ()

    def correct(self, ground: Ground) -> Floats:
        return np.asarray(self.answers == ground.labels, dtype=float)

    def flips(self) -> Floats | None:
        if self.twin_answers is None or self.twin_before is None:
            return None
        return np.asarray(self.twin_answers != self.twin_before, dtype=float)

    def pair_answers(self) -> npt.NDArray[np.int64]:
        """Answers to image and twin, (S, m, 2)."""
        assert self.twin_before is not None
        assert self.twin_answers is not None
        return np.stack([self.twin_before, self.twin_answers], axis=-1)

    def per_image(self, analyzer: str, column: str, **where: Any) -> pd.DataFrame | None:
        """A column of an analyzer's samples, seeds x rows, over the images where every seed has a number.

        ``where`` picks the condition, such as ``level=1``; None where nothing fits it or the analyzer was not run.
        """
        found = self.results.get(analyzer)
        if found is None or found.samples is None or column not in found.samples:
            return None
        part = found.samples
        for key, value in where.items():
            part = part[part[key] == value]
        wide = part.pivot(index="seed", columns="row", values=column).reindex(list(self.seeds)).dropna(axis=1)
        return wide if wide.size else None

    def analysis(self, analyzer: str) -> pd.DataFrame:
        """An analyzer's table over seeds: the key columns, counts, and per measure its mean and 95 % t interval.

        A measure ``x`` becomes ``x``, ``x_low`` and ``x_high``. Of one seed there is no such interval: the analyzer's
        own stands there, over images, where it gives one.
        """
        found = self.results[analyzer]
        names = [column.name for column in found.columns]
        keys = [column.name for column in found.columns if column.key]
        values = measures_of(found)
        shares = {column.name for column in found.columns if column.unit == "share"}
        counts = [name for name in names if name == "n" or name.startswith("n_")]
        # `low` and `high` belong to the measure before them.
        ends = {name: (f"{name}_low", f"{name}_high") for name in values if f"{name}_low" in names}
        if "low" in names:
            ends[names[names.index("low") - 1]] = ("low", "high")
        rows = []
        grouped = found.table.groupby(keys, sort=False, dropna=False, observed=True) if keys else [((), found.table)]
        for key, part in grouped:
            row = dict(zip(keys, key, strict=True)) | {name: int(part[name].min()) for name in counts}
            for name in values:
                mean, low, high = seed_interval(part[name].to_numpy(float))
                if len(part) == 1 and name in ends:
                    low, high = (float(part[end].iloc[0]) for end in ends[name])
                elif name in shares:
                    low, high = max(low, 0.0), min(high, 1.0)
                row[name], row[f"{name}_low"], row[f"{name}_high"] = mean, low, high
            rows.append(row)
        return pd.DataFrame(rows)


def measures_of(result: Result) -> list[str]:
    """The columns that are measured: numbers that are neither keys nor counts nor ends of intervals."""
    return [
        column.name
        for column in result.columns
        if not column.key
        and pd.api.types.is_numeric_dtype(result.table[column.name])
        and column.name not in ("n", "low", "high")
        and not column.name.startswith("n_")
        and not column.name.endswith(("_low", "_high"))
    ]


def seed_interval(values: Sequence[float] | Floats) -> tuple[float, float, float]:
    """Mean over seeds and its 95 % t interval; NaN ends below two seeds."""
    known = np.asarray(values, float)
    known = known[np.isfinite(known)]
    if len(known) < 2:
        return (float(known[0]) if len(known) else np.nan), np.nan, np.nan
    h = float(student.ppf(0.975, len(known) - 1) * known.std(ddof=1) / np.sqrt(len(known)))
    return float(known.mean()), float(known.mean()) - h, float(known.mean()) + h


def _reliance_attribute(dataset: Dataset) -> str | None:
    planted = [one.get("attribute") for one in dataset.card.get("builder", [])]
    return next((name for name in [*planted, *dataset.group_by] if name in dataset.group_by), None)
