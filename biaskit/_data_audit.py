"""``bk.data_audit``: what can be known of a shortcut, and of leaks, before anything is trained."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from biaskit import stats
from biaskit._assemble import SCHEMA, clean_json, versions
from biaskit._build import as_dataset
from biaskit.ceiling import ceiling
from biaskit.data import TWIN, Dataset
from biaskit.describe import association
from biaskit.duplicates import NEAR, duplicates, pictures
from biaskit.errors import DataError
from biaskit.output import write_result
from biaskit.telling.data_audit import sentences
from biaskit.telling.gallery import without_pictures

__all__ = ["DataAudit", "data_audit"]

#: Pairs of duplicates that result.json holds; tables/pairs.csv has all.
_LISTED = 1000

Row = dict[str, Any]


@dataclass(frozen=True, eq=False, repr=False)
class DataAudit:
    """What a data set says before any training.

    Attributes
    ----------
    result : dict
        What ``result.json`` holds; see docs/result.md.
    dataset : Dataset
    pairs : DataFrame
        One row per image that an earlier split has as well, or nearly.
    """

    result: dict[str, Any]
    dataset: Dataset
    pairs: pd.DataFrame

    def __repr__(self) -> str:
        return f"<DataAudit of {self.dataset.name}: {' '.join(sentences(self.result))}>"

    @property
    def sentences(self) -> list[str]:
        """What was found, in words."""
        return sentences(self.result)

    @property
    def association(self) -> pd.DataFrame:
        """Cramer's V of the label with every attribute in every split."""
        return pd.DataFrame(self.result["association"])

    @property
    def ceiling(self) -> pd.DataFrame:
        """How far the attributes alone get: a classifier that sees no pixel."""
        return pd.DataFrame(self.result["ceiling"])

    @property
    def groups(self) -> pd.DataFrame:
        """Images per group and split; the full product, empty groups included."""
        return pd.DataFrame(self.result["groups"])

    @property
    def duplicates(self) -> pd.DataFrame:
        """Per pair of splits, how many images are there twice."""
        return pd.DataFrame(self.result["duplicates"])

    def tables(self) -> dict[str, pd.DataFrame]:
        """What ``save`` writes as tables/*.csv."""
        found = {name: pd.DataFrame(self.result[name]) for name in ("labels", "groups", "association", "ceiling")}
        return found | {"duplicates": self.duplicates, "pairs": self.pairs}

    def save(self, folder: str | Path, *, images: bool = True) -> Path:
        """Write result.json, report.html, tables/ and figures/; without ``images`` no file holds a picture."""
        result = self.result if images else without_pictures(self.result)
        return write_result(Path(folder), result, None, self.tables())


def data_audit(data: Dataset | str | Path, *, near: float = NEAR, command: str | None = None) -> DataAudit:
    """Look at a data set before any training: what gives the label away, what leaks, which groups are missing.

    *Association*: Cramer's V of the label with every attribute, split by split, with its interval
    (:func:`biaskit.stats.association`). *Ceiling*: what a classifier that sees the attributes and no pixel gets right;
    it answers the commonest label of train among the images with the same values, and stands beside one answer for
    all. *Duplicates*: images of one split that an earlier one has as well, pixel for pixel or nearly.
    *Groups*: the full product of label and attributes, with those that train has never shown.

    Parameters
    ----------
    data : Dataset, or a folder or name for :func:`biaskit.load`
    near : float in [0, 1]
        Two images are near-duplicates if their pixels, in [0, 1], differ by at most this, root mean square. 0 looks
        for equal pixels alone.
    command : str, optional
        The command line that asked for it, for the record.

    Returns
    -------
    DataAudit

    Raises
    ------
    DataError
        ``near`` is no distance, or the data cannot be read.

    References
    ----------
    Bergsma 2013, J Korean Stat Soc 42:323; Bonett & Price 2012, JEBS 37:479, for the difference to the commonest
    label; Barz & Denzler 2020, arXiv 1902.00423, for what duplicates across splits do to a score.

    Examples
    --------
    >>> from biaskit import testing
    >>> found = data_audit(testing.graded())
    >>> found.association[["split", "attribute", "v"]].values.tolist()
    [['train', 'color', 1.0], ['test', 'color', 0.0]]
    >>> found.ceiling[["attribute", "split", "n", "accuracy"]].values.tolist()
    [['color', 'train', 20, 1.0], ['color', 'test', 400, 0.5]]
    >>> found.duplicates[["split", "other", "exact"]].values.tolist()
    [['train', 'train', 18], ['test', 'test', 0], ['test', 'train', 2]]
    """
    if not 0 <= near <= 1:
        raise DataError(f"near = {near:g}: a distance of pixels in [0, 1] lies between 0 and 1; 0.03 is the default")
    started = time.perf_counter()
    dataset = as_dataset(data)
    splits = [split for split in dataset.splits if split != TWIN]
    twice, pairs = duplicates(dataset, splits, near)
    result: Row = {
        "schema_version": SCHEMA,
        "kind": "data",
        "command": command or shlex.join(["biaskit", "data-audit", dataset.name]),
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "data": _facts(dataset, splits),
        "labels": _labels(dataset, splits),
        "groups": _groups(dataset, splits),
        "association": _association(dataset, splits),
        "ceiling": ceiling(dataset, splits),
        "near": near,
        "duplicates": twice,
        "pairs": pairs.head(_LISTED).to_dict("records"),
        "gallery": pictures(dataset, pairs),
        "images": True,
        "notes": _notes(dataset, splits),
        "versions": versions(),
    }
    result["seconds"] = round(time.perf_counter() - started, 1)
    return DataAudit(clean_json(result), dataset, pairs)


def _facts(dataset: Dataset, splits: Sequence[str]) -> Row:
    return {
        "name": dataset.name,
        "summary": dataset.card.get("summary", ""),
        "fingerprint": dataset.fingerprint,
        "shape": list(dataset.images.shape),
        "splits": {split: len(dataset.rows(split)) for split in splits},
        "label": list(dataset.classes),
        "attributes": {name: list(dataset.table[name].cat.categories) for name in dataset.attributes},
        "group_by": list(dataset.group_by),
        "words": dict(dataset.card.get("words", {})),
    }


def _notes(dataset: Dataset, splits: Sequence[str]) -> list[str]:
    found = list(dataset.card.get("notes", []))
    if not dataset.attributes:
        found.append("the data have no attribute: nothing is said of shortcuts, and groups are labels")
    if "train" not in splits:
        found.append("there is no split train: no group can be missing from it, and no image of it can be tested")
    return found


def _labels(dataset: Dataset, splits: Sequence[str]) -> list[Row]:
    """Images per label and split."""
    counts = {
        split: np.bincount(dataset.labels[dataset.rows(split)], minlength=len(dataset.classes)) for split in splits
    }
    return [{"label": label, **{s: int(counts[s][code]) for s in splits}} for code, label in enumerate(dataset.classes)]


def _groups(dataset: Dataset, splits: Sequence[str]) -> list[Row]:
    """Images per group and split, and whether a group is tested that was never trained."""
    names = ["label", *dataset.group_by]
    found = []
    for row in dataset.groups.to_dict("records"):
        counts = {split: int(row[split]) for split in splits}
        later = sum(n for split, n in counts.items() if split != "train")
        never = "train" in counts and counts["train"] == 0 and later > 0
        found.append({**{str(name): row[name] for name in names}, **counts, "never_in_train": never})
    return found


def _association(dataset: Dataset, splits: Sequence[str]) -> list[Row]:
    """V of the label with every attribute; p by Holm over the attributes of a split."""
    every = association(dataset, list(dataset.attributes)).to_dict("records")
    found = []
    for split in splits:
        mine = [{str(key): value for key, value in row.items()} for row in every if row["split"] == split]
        for row, p in zip(mine, stats.holm([row["p"] for row in mine]), strict=True):
            found.append({**row, "p_holm": float(p)})
    return found
