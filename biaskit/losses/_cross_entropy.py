from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from biaskit.data import Batch, Dataset
from biaskit.losses._pairs import full_precision, mixed_cross_entropy, pair_logits

__all__ = ["cross_entropy"]


class _CrossEntropy(nn.Module):
    def __init__(self, perturbed_share: float) -> None:
        super().__init__()
        self.perturbed_share = perturbed_share
        self.needs_perturbation = perturbed_share > 0.0

    def forward(self, model: nn.Module, batch: Batch) -> Tensor:
        if not self.needs_perturbation:
            return F.cross_entropy(full_precision(model(batch.images)), batch.labels)
        images, perturbed = pair_logits(model, batch)
        return mixed_cross_entropy(images, perturbed, batch.labels, self.perturbed_share)


def cross_entropy(dataset: Dataset, *, perturbed_share: Annotated[float, Field(ge=0, le=1)] = 0.0) -> nn.Module:
    """Cross-entropy on the images and, with a share above 0, on their perturbed copies.

    ``(1 - s) CE(F(x), y) + s CE(F(P(x)), y)``. With s = 0.5 this is the control arm ``aug``: the perturbations and
    the compute of the continuity constraint, without the constraint.

    Parameters
    ----------
    dataset : Dataset
        Not read; every loss has it.
    perturbed_share : float in [0, 1]
        Weight s of the perturbed copies.

    Returns
    -------
    nn.Module
        ``forward(model, batch) -> scalar``, nats.

    Examples
    --------
    >>> import torch
    >>> batch = Batch(torch.zeros(2, 3, 1, 1), None, torch.tensor([0, 1]), torch.zeros(2, dtype=torch.long),
    ...               torch.arange(2), 0.0, torch.Generator())
    >>> round(float(cross_entropy(None)(lambda x: torch.zeros(len(x), 10), batch)), 4)  # log 10
    2.3026
    """
    return _CrossEntropy(perturbed_share)
