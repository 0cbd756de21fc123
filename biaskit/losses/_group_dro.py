from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from biaskit.data import Batch, Dataset
from biaskit.losses._pairs import full_precision

__all__ = ["group_dro"]


class _GroupDRO(nn.Module):
    weights: Tensor
    penalty: Tensor

    def __init__(self, sizes: Tensor, step: float, adjustment: float) -> None:
        super().__init__()
        self.step = step
        there = (sizes > 0).float()
        self.register_buffer("weights", there / there.sum())
        self.register_buffer("penalty", adjustment * there / sizes.clamp(min=1).float().sqrt(), persistent=False)

    def forward(self, model: nn.Module, batch: Batch) -> Tensor:
        losses = F.cross_entropy(full_precision(model(batch.images)), batch.labels, reduction="none")
        seen = torch.zeros_like(self.weights, dtype=losses.dtype).index_add(0, batch.groups, torch.ones_like(losses))
        means = torch.zeros_like(seen).index_add(0, batch.groups, losses) / seen.clamp(min=1.0)
        self._follow(means.detach(), seen > 0)
        return (self.weights.to(losses.dtype) * means).sum()

    @torch.no_grad()
    def _follow(self, means: Tensor, seen: Tensor) -> None:
        """Move the weights towards the groups of a batch whose loss is high; those it lacks only share the sum."""
        grown = self.weights * torch.where(seen, self.step * (means + self.penalty), 0.0).exp()
        self.weights.copy_(grown / grown.sum())


def group_dro(
    dataset: Dataset,
    *,
    step: Annotated[float, Field(ge=0)] = 0.01,
    adjustment: Annotated[float, Field(ge=0)] = 0.0,
) -> nn.Module:
    """Cross-entropy of the groups, weighted by weights that grow where the loss is high: the worst group's in the end.

    ``sum_g q_g L_g`` with L_g the mean cross-entropy of a batch's rows of group g. Before that, each group of the batch
    grows by ``q_g <- q_g exp(step (L_g + adjustment / sqrt(n_g)))``, and the weights are divided by their sum. They
    begin equal and receive no gradient.

    Parameters
    ----------
    dataset : Dataset
        Its groups (label x attributes) and their training rows n_g; a group without any has the weight 0.
    step : float, per nat
        How fast the weights move; 0.01 as in the experiments of the paper. 0 is the mean over groups.
    adjustment : float, nats
        C of the generalization adjustment: small groups count as if their loss were ``C / sqrt(n_g)`` higher.

    Returns
    -------
    nn.Module
        ``forward(model, batch) -> scalar``, nats. The weights are a buffer, hence part of a checkpoint.

    Raises
    ------
    DataError
        No training rows.

    References
    ----------
    Sagawa et al., Distributionally Robust Neural Networks for Group Shifts, arXiv 1911.08731, algorithm 1 and section
    3.3. There a step is on one group that is drawn; here, as in the authors' experiments, on all groups of a batch.

    Examples
    --------
    >>> from biaskit import testing
    >>> loss = group_dro(testing.tiny(), step=1.0)  # left on red and blue, right on red and blue
    >>> batch = Batch(torch.zeros(2, 3, 1, 1), None, torch.tensor([0, 1]), torch.tensor([0, 3]), torch.arange(2), 0.0,
    ...               torch.Generator())
    >>> answer = torch.tensor([[0.0, 0.0], [0.0, 0.0]])
    >>> round(float(loss(lambda x: answer, batch)), 4)  # both groups lose log 2, so 2 x 2 / (2 + 2 + 1 + 1) of it
    0.4621
    >>> loss.weights.tolist()[0] == 2 * loss.weights.tolist()[1]
    True
    """
    train = dataset.group_ids[dataset.rows("train")]
    sizes = np.bincount(train, minlength=int(np.prod(dataset.group_shape)))
    return _GroupDRO(torch.from_numpy(sizes), step, adjustment)
