"""Which training rows a stage sees, how often each of them, and in which order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biaskit.data import Dataset
from biaskit.errors import BiaskitError, DataError
from biaskit.rng import numpy_generator

__all__ = ["epoch_order", "held_out", "stage_rows"]

Rows = npt.NDArray[np.int64]


def held_out(dataset: Dataset, share: float, seed: int) -> Rows:
    """Training rows that are kept from the first stages: about the same share of every group.

    Of a group with n training rows ``round(share n)`` are held out, but at least one and at most n - 1; a group of a
    single row stays in train. Which rows these are follows from the data, the share and the seed alone, so that every
    arm of a seed keeps the same ones, and those of a smaller share are among those of a larger one.

    Parameters
    ----------
    dataset : Dataset
    share : float in (0, 1)
    seed : int
        Of the run.

    Returns
    -------
    int64 array
        Rows of the data set, ascending.

    Raises
    ------
    DataError
        Every group has a single training row.

    Examples
    --------
    >>> data = Dataset.from_arrays(np.zeros((7, 2, 2), np.uint8), [0, 0, 0, 0, 1, 1, 2], split="train")
    >>> data.labels[held_out(data, 0.5, seed=0)].tolist()
    [0, 0, 1]
    """
    rows = dataset.rows("train")
    rows = rows[numpy_generator(seed, "holdout").permutation(len(rows))]
    groups = dataset.group_ids[rows]
    by_group = np.argsort(groups, kind="stable")
    rows, groups = rows[by_group], groups[by_group]
    sizes = np.bincount(groups)
    place = np.arange(len(rows)) - (sizes.cumsum() - sizes)[groups]
    taken = np.clip(np.floor(share * sizes + 0.5), 1, None).astype(np.int64).clip(max=sizes - 1)
    held = np.sort(rows[place < taken[groups]])
    if not len(held):
        raise DataError(f"{dataset.name}: every group has one training row, so none can be held out; leave holdout out")
    return held


def stage_rows(dataset: Dataset, stage: Mapping[str, Any], held: Rows, tags: Mapping[str, Tensor]) -> Tensor:
    """The rows that make an epoch of a stage, each as often as it stands there.

    Parameters
    ----------
    dataset : Dataset
    stage : mapping
        A bound stage; its keys ``rows`` and ``upweight`` are read.
    held : int64 array
        The rows of the holdout; empty without one.
    tags : mapping of str to bool Tensor (N,)
        What the taggers of earlier stages have marked.

    Returns
    -------
    int64 Tensor
        A row that a tag of ``upweight`` marks stands there so many times; of two tags, their product.

    Raises
    ------
    BiaskitError
        A tag marks none of the rows, or all of them, and so weighs nothing against anything.
    """
    train = dataset.rows("train")
    picked = held if stage.get("rows") == "holdout" else np.setdiff1d(train, held, assume_unique=True)
    rows = torch.from_numpy(picked)
    times = torch.ones(len(rows), dtype=torch.int64)
    for name, factor in stage.get("upweight", {}).items():
        marked = tags[name][rows]
        count = int(marked.sum())
        if count in (0, len(rows)):
            longer = "more" if count else "fewer"
            raise BiaskitError(
                f"{name} marks {'all' if count else 'none'} of the {len(rows):,} rows of the stage, so upweight.{name} "
                f"changes nothing; train the stage that is tagged for {longer} epochs, with --set stage.0.epochs=..."
            )
        times[marked] *= factor
    return rows.repeat_interleave(times)


def epoch_order(rows: Tensor, groups: Tensor | None, generator: torch.Generator) -> Tensor:
    """The rows of one epoch in the order in which they are seen.

    Parameters
    ----------
    rows : int64 Tensor (n,)
        As of :func:`stage_rows`.
    groups : int64 Tensor (n,), optional
        The group of each. With them n rows are drawn with replacement: a group first, every group that is there with
        the same chance, then one of its rows. Without them every row is seen once.
    generator : torch.Generator
        On the CPU.

    Returns
    -------
    int64 Tensor (n,)

    Examples
    --------
    >>> rows, groups = torch.arange(1000), (torch.arange(1000) < 10).long()
    >>> seen = epoch_order(rows, groups, torch.Generator().manual_seed(0))
    >>> len(seen), bool(abs((seen < 10).double().mean() - 0.5) < 0.05)
    (1000, True)
    """
    if groups is None:
        return rows[torch.randperm(len(rows), generator=generator)]
    by_group = groups.argsort(stable=True)
    sizes = groups.bincount()
    sizes = sizes[sizes > 0]  # in the order of by_group
    drawn = torch.randint(len(sizes), (len(rows),), generator=generator)
    place = (torch.rand(len(rows), generator=generator, dtype=torch.float64) * sizes[drawn]).long()
    return rows[by_group[(sizes.cumsum(0) - sizes)[drawn] + place]]
