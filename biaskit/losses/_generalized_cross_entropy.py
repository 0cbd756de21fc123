from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from biaskit.data import Batch, Dataset
from biaskit.losses._pairs import full_precision

__all__ = ["generalized_cross_entropy"]


def truncated(losses: Tensor, q: float) -> Tensor:
    """``(1 - p^q) / q`` from the cross-entropies ``-log p``, (B,)."""
    return -(-q * losses).expm1() / q


class _GeneralizedCrossEntropy(nn.Module):
    def __init__(self, q: float) -> None:
        super().__init__()
        self.q = q

    def forward(self, model: nn.Module, batch: Batch) -> Tensor:
        losses = F.cross_entropy(full_precision(model(batch.images)), batch.labels, reduction="none")
        return truncated(losses, self.q).mean()


def generalized_cross_entropy(dataset: Dataset, *, q: Annotated[float, Field(gt=0, le=1)] = 0.7) -> nn.Module:
    """Cross-entropy that gives up on what is hard: a network trained with it leans on its shortcut the more.

    ``mean_i (1 - p_i^q) / q`` with p the probability of the label. Its gradient is that of the cross-entropy times
    ``p^q``, so that rows which the network already gets right count most. q near 0 is the cross-entropy, 1 the mean
    absolute error.

    Parameters
    ----------
    dataset : Dataset
        Not read; every loss has it.
    q : float in (0, 1]
        How much less a hard row counts; 0.7 as published.

    Returns
    -------
    nn.Module
        ``forward(model, batch) -> scalar``, between 0 and 1 / q.

    References
    ----------
    Zhang and Sabuncu, Generalized Cross Entropy Loss, arXiv 1805.07836, the loss L_q; it trains the biased network of
    Nam et al., Learning from Failure, arXiv 2007.02561, section 3.

    Examples
    --------
    >>> import torch
    >>> batch = Batch(torch.zeros(1, 3, 1, 1), None, torch.tensor([0]), torch.tensor([0]), torch.tensor([0]), 0.0,
    ...               torch.Generator())
    >>> loss = generalized_cross_entropy(None, q=0.5)
    >>> round(float(loss(lambda x: torch.zeros(1, 4), batch)), 4)  # 2 (1 - sqrt(1 / 4))
    1.0
    """
    return _GeneralizedCrossEntropy(q)
