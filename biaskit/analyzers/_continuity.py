from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from pydantic import Field
from torch import Tensor

from biaskit.errors import DataError
from biaskit.perturbations._photometric import AMOUNTS, Level, Operation, change
from biaskit.results import Column, Result
from biaskit.subject import Subject

__all__ = ["continuity", "neighbor_distances"]

COLUMNS = (
    Column("perturbation", "what was changed; all = the sum over the perturbations", key=True),
    Column("level", "strength, 1 to 4 (Wu et al., Table 1)", key=True),
    Column("amount", "what the level adds, multiplies or turns by", key=True),
    Column("n", "images"),
    Column("n_neighbors", "images with another image of their class to compare with"),
    Column("ds", "squared distance between the logits of image and copy, mean over images", "logit^2", "lower"),
    Column("nds", "DS over the mean DS between the image and the others of its class, mean", "", "lower"),
    Column("discontinuity_rate", "share of (copy, other image of the class) with the copy further away", "", "lower"),
)


def continuity(
    subject: Subject,
    *,
    operations: Annotated[tuple[Operation, ...], Field(min_length=1)] = ("brightness", "contrast", "saturation", "hue"),
    levels: Annotated[tuple[Level, ...], Field(min_length=1)] = (1, 2, 3, 4),
    images: Annotated[int, Field(ge=2)] = 2000,
) -> Result:
    """How far the logits move when the meaning does not.

    ``DS(x, x') = sum_k (F_k(x') - F_k(x))^2``. DS grows with the scale of the logits, so two scale-free numbers stand
    beside it: ``nDS = DS(x, x') / mean_B DS(x, x_B)`` over the other images x_B of the class of x, and the
    discontinuity rate ``P[DS(x, x') > DS(x, x_B)]``, the event of the paper's Figure 1.

    Parameters
    ----------
    subject : Subject
        Needs the model.
    operations : tuple of 'brightness', 'contrast', 'saturation', 'hue'
    levels : tuple of 1, 2, 3, 4
    images : int
        Test images looked at, drawn once for all arms and seeds.

    Returns
    -------
    Result
        A row per perturbation and level, and per level one row ``all``: the sum of DS over the perturbations (the
        paper's scalar), the means of the others. ``samples`` has ``row``, ``level``, ``ds`` (the sum) and ``nds`` per
        image.

    References
    ----------
    Wu et al., arXiv 2011.09789, equation 4, Table 1, Figures 1 and 3; nDS and the rate are ours.
    """
    rows = subject.sample(images, "continuity")
    labels = subject.dataset.labels[rows]
    logits = subject.logits_of(rows)
    typical, neighbors = neighbor_distances(logits, labels)
    table, samples = [], []
    for level in levels:
        sums = torch.zeros(len(rows))
        ratios, rates = [], []
        for operation in operations:
            amount = AMOUNTS[operation][level - 1]
            moved = _perturbed_logits(subject, rows, operation, amount)
            distance = (moved - logits).square().sum(dim=1)
            # A class whose images share one answer has no distance to divide by: declared, not infinite.
            ratio = torch.where(typical > 0, distance / typical, torch.nan).numpy()
            further = _further(distance, neighbors)
            sums += distance
            ratios.append(ratio)
            rates.append(further)
            table.append(_row(operation, level, amount, distance.numpy(), ratio, further))
        ratio, further = np.mean(ratios, axis=0), np.mean(rates, axis=0)
        table.append(_row("all", level, np.nan, sums.numpy(), ratio, further))
        samples.append(pd.DataFrame({"row": rows, "level": level, "ds": sums.numpy(), "nds": ratio}))
    return Result(
        "continuity",
        pd.DataFrame(table, columns=[column.name for column in COLUMNS]),
        COLUMNS,
        {"operations": operations, "levels": levels, "images": images},
        pd.concat(samples, ignore_index=True),
    )


def neighbor_distances(logits: Tensor, labels: npt.NDArray[np.int64]) -> tuple[Tensor, list[Tensor]]:
    """Per image the mean DS to the other images of its class, and all these distances, sorted.

    Returns
    -------
    typical : Tensor (n,)
        NaN for the only image of a class.
    neighbors : list of n Tensors
        The distances to the others of the class in ascending order; empty for the only image of one.
    """
    typical = torch.full((len(logits),), torch.nan)
    neighbors: list[Tensor] = [torch.empty(0)] * len(logits)
    for label in np.unique(labels):
        mine = torch.from_numpy(np.flatnonzero(labels == label))
        if len(mine) < 2:
            continue
        one = logits[mine].double()
        for part in torch.split(torch.arange(len(mine)), 512):
            squared = torch.cdist(one[part], one, compute_mode="donot_use_mm_for_euclid_dist").square()
            squared[torch.arange(len(part)), part] = -1.0
            ordered = squared.sort(dim=1).values[:, 1:].float()
            typical[mine[part]] = ordered.mean(dim=1)
            for row, distances in zip(mine[part].tolist(), ordered, strict=True):
                neighbors[row] = distances
    return typical, neighbors


@torch.inference_mode()
def _perturbed_logits(subject: Subject, rows: npt.NDArray[np.int64], operation: Operation, amount: float) -> Tensor:
    model, found = subject.model, []
    for _, images in subject.batches(rows):
        channels = images.shape[1]
        changed = change(images.expand(-1, 3, -1, -1), operation, amount)[:, :channels]
        found.append(model(changed).float().cpu())
    return torch.cat(found)


def _further(distance: Tensor, neighbors: list[Tensor]) -> npt.NDArray[np.float64]:
    """Per image the share of its neighbors that are nearer than the copy; NaN without neighbors."""
    return np.asarray(
        [
            float(torch.searchsorted(others, one)) / len(others) if len(others) else np.nan
            for one, others in zip(distance, neighbors, strict=True)
        ]
    )


def _row(
    operation: str,
    level: int,
    amount: float,
    distance: npt.NDArray[np.float32],
    ratio: npt.NDArray[np.float64],
    further: npt.NDArray[np.float64],
) -> dict[str, object]:
    if len(distance) == 0:
        raise DataError("no test images to perturb")
    known = np.isfinite(ratio)
    return {
        "perturbation": operation,
        "level": level,
        "amount": amount,
        "n": len(distance),
        "n_neighbors": int(known.sum()),
        "ds": float(np.mean(distance)),
        "nds": float(np.mean(ratio[known])) if known.any() else np.nan,
        "discontinuity_rate": float(np.nanmean(further)) if np.isfinite(further).any() else np.nan,
    }
