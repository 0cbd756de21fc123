"""How far the copies of an image are, measured against the other images of its class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["Floats", "Neighborhoods", "neighborhoods"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
#: Distances held at a time: 32 MB in float64, whatever the size of a class.
_ELEMENTS = 2**22
#: Distances that differ by less than this share are equal: logits have the digits of float32, and sums their order.
_EQUAL = 2.0**-23


@dataclass(frozen=True, eq=False)
class Neighborhoods:
    """What every one of n images sees of the others of its class.

    Attributes
    ----------
    known : bool array (n,)
        Whether there is another image of the class, and one whose logits differ.
    typical : float array (n,), logit^2
        Mean DS to the others; NaN where not known.
    nearest : int array (n,)
        Position of the nearest other image; -1 where not known.
    distance : float array (n,), logit^2
        DS to it; NaN where not known.
    rank : float array (n, M)
        1 + the number of others that are nearer than each of M copies; NaN where not known.
    rate : float array (n, M)
        The share of others that are nearer; NaN where not known.
    """

    known: npt.NDArray[np.bool_]
    typical: Floats
    nearest: Integers
    distance: Floats
    rank: Floats
    rate: Floats

    def under(self, copies: Sequence[int]) -> Neighborhoods:
        """The same with some of the copies alone."""
        return replace(self, rank=self.rank[:, copies], rate=self.rate[:, copies])


def neighborhoods(logits: Tensor, labels: Integers, copies: Tensor) -> Neighborhoods:
    """Compare the distances of copies with those of the other images of the class, one class after the other.

    Parameters
    ----------
    logits : Tensor (n, K)
    labels : int array (n,)
    copies : Tensor (n, M), logit^2
        DS between every image and each of its M copies; float64, as float32 ends at logits of 1.8e19.

    Examples
    --------
    Three images on a line at 0, 1 and 3, all of one class; the copies are 2 away, so DS = 4.

    >>> found = neighborhoods(torch.tensor([[0.0], [1.0], [3.0]]), np.zeros(3, int), torch.full((3, 1), 4.0))
    >>> found.typical.tolist(), found.nearest.tolist(), found.rank[:, 0].tolist()
    ([5.0, 2.5, 6.5], [1, 0, 1], [2.0, 2.0, 1.0])
    """
    n = len(logits)
    typical, distance, nearest = np.full(n, np.nan), np.full(n, np.nan), np.full(n, -1, np.int64)
    rank, rate = np.full(copies.shape, np.nan), np.full(copies.shape, np.nan)
    for label in np.unique(labels):
        mine = np.flatnonzero(labels == label)
        others = len(mine) - 1
        if others == 0:
            continue
        points = logits[torch.from_numpy(mine)].double()
        for part in torch.split(torch.arange(len(mine)), max(1, _ELEMENTS // len(mine))):
            here = mine[part.numpy()]
            squared = torch.cdist(points[part], points, compute_mode="donot_use_mm_for_euclid_dist").square()
            mean = (squared.sum(dim=1) / others).numpy()
            # An image is no neighbor of itself. All stays in float64, which holds the square of every float32.
            squared[torch.arange(len(part)), part] = torch.inf
            nearer = _nearer(squared, copies[torch.from_numpy(here)])
            least = squared.min(dim=1)
            apart = mean > 0.0
            here = here[apart]
            typical[here] = mean[apart]
            distance[here] = least.values.numpy()[apart]
            nearest[here] = mine[least.indices.numpy()[apart]]
            rank[here], rate[here] = 1.0 + nearer[apart], nearer[apart] / others
    return Neighborhoods(nearest >= 0, typical, nearest, distance, rank, rate)


def _nearer(squared: Tensor, copies: Tensor) -> Integers:
    """Per row, how many of the distances are below that of each copy, (rows, M)."""
    limits = copies.double() * (1 - _EQUAL)
    return torch.stack([(squared < one[:, None]).sum(dim=1) for one in limits.unbind(dim=1)], dim=1).numpy()
