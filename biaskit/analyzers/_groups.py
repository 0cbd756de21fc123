"""What analyzers that report per group share: who is in which group of the full product."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from biaskit.data import Dataset
from biaskit.results import Column

__all__ = ["ALL", "group_columns", "grouped"]

#: The value of every key column in the row that is about all images.
ALL = "all"


def group_columns(dataset: Dataset) -> tuple[Column, ...]:
    """The key columns of a table per group."""
    return (
        Column("label", "the label; all = every image", key=True),
        *(Column(name, "attribute; all = every image", key=True) for name in dataset.group_by),
    )


def grouped(dataset: Dataset, rows: npt.NDArray[np.int64]) -> Iterator[tuple[dict[str, str], npt.NDArray[np.bool_]]]:
    """All images first, then every group of labels x attributes: its key columns, and which of ``rows`` are in it.

    Empty groups are there too, with no image marked.
    """
    names = ["label", *dataset.group_by]
    yield dict.fromkeys(names, ALL), np.ones(len(rows), bool)
    ids = dataset.group_ids[rows]
    for number, values in enumerate(dataset.groups[names].itertuples(index=False)):
        yield dict(zip(names, map(str, values), strict=True)), ids == number
