from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from biaskit.data import Batch, Dataset
from biaskit.losses._pairs import Gradient, mixed_cross_entropy, pair_logits, stopped

__all__ = ["semantic_continuity"]


class _SemanticContinuity(nn.Module):
    needs_perturbation = True

    def __init__(self, alpha: float, warmup: float, gradient: Gradient, perturbed_share: float) -> None:
        super().__init__()
        self.alpha, self.warmup, self.gradient, self.perturbed_share = alpha, warmup, gradient, perturbed_share

    def forward(self, model: nn.Module, batch: Batch) -> Tensor:
        images, perturbed = pair_logits(model, batch)
        loss = mixed_cross_entropy(images, perturbed, batch.labels, self.perturbed_share)
        left, right = stopped(images, perturbed, self.gradient)
        distance = (right - left).square().sum(dim=1).mean()
        grown = min(1.0, batch.progress / self.warmup) if self.warmup > 0.0 else 1.0
        return loss + self.alpha * grown * distance


def semantic_continuity(
    dataset: Dataset,
    *,
    alpha: Annotated[float, Field(ge=0)] = 1.0,
    warmup: Annotated[float, Field(ge=0, le=1)] = 0.0,
    gradient: Gradient = "both",
    perturbed_share: Annotated[float, Field(ge=0, le=1)] = 0.0,
) -> nn.Module:
    """Cross-entropy plus alpha times the squared distance between the logits of an image and its perturbed copy.

    ``CE + alpha mean_i DS(x_i, P(x_i))`` with ``DS(x, x') = sum_k (F_k(x') - F_k(x))^2``: a sum over the K logits, so
    alpha is K times smaller than that of a mean-squared-error penalty of equal strength.

    Parameters
    ----------
    dataset : Dataset
        Not read; every loss has it.
    alpha : float, per squared logit
        Weight of the distance; 1.0 as published.
    warmup : float in [0, 1]
        Share of the stage over which alpha grows linearly from 0. At the start DS can be far above the
        cross-entropy, and the network then learns to answer nothing.
    gradient : {'both', 'clean', 'pair'}
        The branch that receives the gradient of DS. The published formula stops none: both. The three are different
        objectives.
    perturbed_share : float in [0, 1]
        Weight of the perturbed copies in the cross-entropy; 0 as in equation 5, 0.5 for the loss of ``aug``.

    Returns
    -------
    nn.Module
        ``forward(model, batch) -> scalar``.

    References
    ----------
    Wu et al., arXiv 2011.09789, equations 4 and 5.

    Examples
    --------
    >>> import torch
    >>> batch = Batch(torch.zeros(1, 3, 1, 1), torch.ones(1, 3, 1, 1), torch.tensor([0]), torch.tensor([0]),
    ...               torch.tensor([0]), 0.0, torch.Generator())
    >>> loss = semantic_continuity(None, alpha=2.0)
    >>> round(float(loss(lambda x: x.mean(dim=(2, 3)), batch)), 4)  # log 3 + 2 (1 + 1 + 1)
    7.0986
    """
    return _SemanticContinuity(alpha, warmup, gradient, perturbed_share)
