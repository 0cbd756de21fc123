from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from biaskit.data import Batch, Dataset
from biaskit.losses._pairs import mixed_cross_entropy, pair_logits

__all__ = ["divergence", "trades"]


def divergence(images: Tensor, perturbed: Tensor) -> Tensor:
    """``mean_i KL(p(x_i) || p(x'_i))`` of two sets of logits (B, K).

    Examples
    --------
    >>> import torch
    >>> round(float(divergence(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]]))), 4)
    0.1201
    """
    return F.kl_div(
        F.log_softmax(perturbed, dim=1), F.log_softmax(images, dim=1), reduction="batchmean", log_target=True
    )


class _Trades(nn.Module):
    needs_perturbation = True

    def __init__(self, beta: float, perturbed_share: float) -> None:
        super().__init__()
        self.beta, self.perturbed_share = beta, perturbed_share

    def forward(self, model: nn.Module, batch: Batch) -> Tensor:
        images, perturbed = pair_logits(model, batch)
        loss = mixed_cross_entropy(images, perturbed, batch.labels, self.perturbed_share)
        return loss + self.beta * divergence(images, perturbed)


def trades(
    dataset: Dataset,
    *,
    beta: Annotated[float, Field(ge=0)] = 6.0,
    perturbed_share: Annotated[float, Field(ge=0, le=1)] = 0.0,
) -> nn.Module:
    """Cross-entropy plus beta times how far the answer to the attacked copy is from that to the image.

    ``CE(F(x), y) + beta mean_i KL(p(x_i) || p(x'_i))``; the gradient passes through both sides.

    Parameters
    ----------
    dataset : Dataset
        Not read; every loss has it.
    beta : float
        6 as published.
    perturbed_share : float in [0, 1]
        Weight of the attacked copies in the cross-entropy; 0 as published, 1 as the code of SCARL has it.

    Returns
    -------
    nn.Module
        ``forward(model, batch) -> scalar``.

    References
    ----------
    Zhang et al., Theoretically Principled Trade-off between Robustness and Accuracy, arXiv 1901.08573, equation 5.

    Examples
    --------
    >>> import torch
    >>> batch = Batch(torch.zeros(1, 2, 1, 1), torch.tensor([1.0, 0.0]).view(1, 2, 1, 1), torch.tensor([0]),
    ...               torch.tensor([0]), torch.tensor([0]), 0.0, torch.Generator())
    >>> round(float(trades(None, beta=6.0)(nn.Flatten(), batch)), 4)  # log 2 + 6 x 0.1201
    1.4138
    """
    return _Trades(beta, perturbed_share)
