"""Whether a map stays where it is under perturbations, and which images a perturbation leaves as they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biaskit.analyzers._attribution_scores import cosine
from biaskit.analyzers._continuity_pictures import perturbed
from biaskit.perturbations._photometric import Operation
from biaskit.subject import Subject

__all__ = ["stability", "unchanged", "unchanged_notes"]

Rows = npt.NDArray[np.int64]
#: Images are 8-bit: a copy that is nowhere further away than half a level is stored as the same image.
_SAME = 0.5 / 255.0
#: Images whose copies are held at a time.
_BATCH = 64


def unchanged(subject: Subject, rows: Rows, operations: Sequence[Operation]) -> dict[Operation, Rows]:
    """The rows whose images an operation at level 1 leaves as they are: color ones on gray images, for example.

    A map of such a copy is the same map, which says nothing of the model.
    """
    found: dict[Operation, list[Rows]] = {one: [rows[:0]] for one in operations}
    for part, images in subject.batches(rows, _BATCH):
        for one, same in found.items():
            moved = (perturbed(images, one, 1) - images).abs().amax(dim=(1, 2, 3)) > _SAME
            same.append(part[~moved.cpu().numpy()])
    return {one: np.concatenate(same) for one, same in found.items()}


def unchanged_notes(same: Mapping[Operation, Rows], count: int) -> list[str]:
    """A sentence for every operation that leaves some of so many images as they are."""
    return [
        f"left out of stability: {one}, which leaves {len(rows):,} of {count:,} images as they are"
        for one, rows in same.items()
        if len(rows)
    ]


def stability(
    explain: Callable[[Tensor, Tensor, Rows], Tensor],
    images: Tensor,
    targets: Tensor,
    rows: Rows,
    maps: Tensor,
    same: Mapping[Operation, Rows],
) -> Tensor:
    """Cosine of each map and that of a perturbed copy, (B,), mean over the operations that change the image.

    NaN where there is none, and where one of the maps is zero everywhere.

    Parameters
    ----------
    explain : callable
        (images, targets, rows) to maps.
    images : Tensor (B, C, H, W)
    targets : int64 Tensor (B,)
    rows : int64 array (B,)
    maps : Tensor (B, H, W)
        Of the images as they are.
    same : mapping
        As from :func:`unchanged`.
    """
    total, count = torch.zeros(len(maps), dtype=torch.float64), torch.zeros(len(maps))
    for one, left in same.items():
        moved = torch.from_numpy(~np.isin(rows, left))
        if bool(moved.any()):
            there = moved.to(images.device)
            others = explain(perturbed(images[there], one, 1), targets[there], rows[moved.numpy()])
            total[moved] += cosine(maps[moved], others)
            count += moved
    return total / count
