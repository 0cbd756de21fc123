from __future__ import annotations

import copy
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from biaskit.data import Batch, Dataset
from biaskit.losses._generalized_cross_entropy import truncated
from biaskit.losses._pairs import full_precision

__all__ = ["lff"]


class _Followed(nn.Module):
    """A running mean of the loss of every row, and how high it is beside the highest of the row's label."""

    mean: Tensor
    seen: Tensor
    labels: Tensor

    def __init__(self, labels: Tensor, classes: int, decay: float) -> None:
        super().__init__()
        self.classes, self.decay = classes, decay
        self.register_buffer("mean", torch.zeros(len(labels)))
        self.register_buffer("seen", torch.zeros(len(labels), dtype=torch.bool))
        self.register_buffer("labels", labels, persistent=False)

    @torch.no_grad()
    def forward(self, losses: Tensor, index: Tensor) -> Tensor:
        losses = losses.detach().to(self.mean.dtype)
        # The first loss of a row is its mean.
        self.mean[index] = torch.where(self.seen[index], self.mean[index].lerp(losses, 1.0 - self.decay), losses)
        self.seen[index] = True
        highest = self.mean.new_zeros(self.classes).scatter_reduce_(0, self.labels, self.mean, "amax")
        return self.mean[index] / highest[self.labels[index]].clamp(min=1e-8)


class _LfF(nn.Module):
    biased: nn.Module

    def __init__(self, labels: Tensor, classes: int, q: float, decay: float) -> None:
        super().__init__()
        self.q = q
        self.biased_losses = _Followed(labels, classes, decay)
        self.losses = _Followed(labels, classes, decay)

    def attach(self, model: nn.Module) -> None:
        """Make the biased network, which begins as a copy of the one that is trained."""
        self.biased = copy.deepcopy(model)

    def forward(self, model: nn.Module, batch: Batch) -> Tensor:
        biased, mine = (
            F.cross_entropy(full_precision(net(batch.images)), batch.labels, reduction="none")
            for net in (self.biased, model)
        )
        failed, left = self.biased_losses(biased, batch.index), self.losses(mine, batch.index)
        weights = (failed / (failed + left).clamp(min=1e-8)).to(mine.dtype)
        loss: Tensor = truncated(biased, self.q).mean() + (weights * mine).mean()
        return loss


def lff(
    dataset: Dataset,
    *,
    q: Annotated[float, Field(gt=0, le=1)] = 0.7,
    decay: Annotated[float, Field(ge=0, lt=1)] = 0.7,
) -> nn.Module:
    """Learning from Failure: cross-entropy with the most weight on the rows that a second, biased network gets wrong.

    ``mean_i (1 - p_B^q) / q + mean_i W_i CE(F(x_i), y_i)`` with ``W = l_B / (l_B + l_D)``. The biased network B learns
    from the first term alone and leans on what is easy; l_B and l_D are running means of the cross-entropy of a row
    under B and under the network that is trained, each divided by the highest of all rows of the same label. No
    gradient passes through W.

    Parameters
    ----------
    dataset : Dataset
        Its labels and the number of its rows; attributes are not read.
    q : float in (0, 1]
        Of :func:`generalized_cross_entropy`, the loss of B; 0.7 as published.
    decay : float in [0, 1)
        What of the running mean of a row stays when the row is seen again; 0.7 as published.

    Returns
    -------
    nn.Module
        ``forward(model, batch) -> scalar``. Before the first batch, ``attach(model)`` makes B, whose parameters are
        those of this module: they join the optimizer, and like the running means they are part of what is saved to go
        on from.

    References
    ----------
    Nam et al., Learning from Failure, arXiv 2007.02561, algorithm 1 and section 3; running means and the division by
    the highest of the label are those of the authors' experiments. There B begins with weights of its own, here with
    those of the network.

    Examples
    --------
    >>> from biaskit import testing
    >>> data = testing.tiny()
    >>> batch = Batch(torch.zeros(1, 3, 1, 1), None, torch.tensor([0]), torch.tensor([0]), torch.tensor([0]), 0.0,
    ...               torch.Generator())
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(3, 2, bias=False))
    >>> loss = lff(data, q=1.0)
    >>> loss.attach(model)
    >>> round(loss(model, batch).item(), 4)  # (1 - 1/2) + 1/2 log 2
    0.8466
    """
    return _LfF(torch.from_numpy(dataset.labels), len(dataset.classes), q, decay)
