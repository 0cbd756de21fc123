"""What the losses share: one forward for images and their perturbed copies."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from biaskit.data import Batch

__all__ = ["Gradient", "full_precision", "mixed_cross_entropy", "pair_logits", "stopped"]

#: The branch of a pair that receives the gradient of their distance.
Gradient = Literal["both", "clean", "pair"]


def full_precision(logits: Tensor) -> Tensor:
    """Logits in float32 at least, whatever the network computes in: a loss summed in bf16 loses its small terms."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def pair_logits(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Logits (B, K) of the images and of their perturbed copies, in float32 at least.

    Both go through the network as one batch, so that batch normalization sees one set of statistics: two forwards
    would put its noise into every distance between the halves.
    """
    assert batch.perturbed is not None
    images, perturbed = full_precision(model(torch.cat([batch.images, batch.perturbed]))).chunk(2)
    return images, perturbed


def mixed_cross_entropy(images: Tensor, perturbed: Tensor, labels: Tensor, share: float) -> Tensor:
    """``(1 - share) CE(images) + share CE(perturbed)``; a part with weight 0 is not computed."""
    if share == 0.0:
        return F.cross_entropy(images, labels)
    if share == 1.0:
        return F.cross_entropy(perturbed, labels)
    return (1.0 - share) * F.cross_entropy(images, labels) + share * F.cross_entropy(perturbed, labels)


def stopped(images: Tensor, perturbed: Tensor, gradient: Gradient) -> tuple[Tensor, Tensor]:
    """The two sides of a distance; the one that is not to receive its gradient is cut off from it."""
    left = images if gradient != "pair" else images.detach()
    right = perturbed if gradient != "clean" else perturbed.detach()
    return left, right
