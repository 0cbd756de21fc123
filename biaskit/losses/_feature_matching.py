from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from biaskit.data import Batch, Dataset
from biaskit.features import deepest_map, with_features
from biaskit.losses._pairs import Gradient, full_precision, mixed_cross_entropy, stopped

__all__ = ["feature_matching"]

#: What a batch adds to the running mean, after the first ten, which count alike.
RATE = 0.1


class _FeatureMatching(nn.Module):
    needs_perturbation = True
    scale: Tensor
    steps: Tensor

    def __init__(self, alpha: float, beta: float, layer: str, gradient: Gradient) -> None:
        super().__init__()
        self.alpha, self.beta, self.layer, self.gradient = alpha, beta, layer, gradient
        self.register_buffer("scale", torch.zeros((), dtype=torch.float64))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, model: nn.Module, batch: Batch) -> Tensor:
        assert batch.perturbed is not None
        if not self.layer:
            # Outside of autocast, which would keep weights cast without a gradient for the forward that needs one.
            with torch.autocast(batch.images.device.type, enabled=False):
                self.layer = deepest_map(model, batch.images, at_least=1)
        # One batch, so that batch normalization sees one set of statistics.
        logits, inner = with_features(model, torch.cat([batch.images, batch.perturbed]), self.layer)
        images, perturbed = full_precision(logits).chunk(2)
        loss = mixed_cross_entropy(images, perturbed, batch.labels, 1.0 - self.alpha)
        left, right = full_precision(inner).chunk(2)
        self._follow(left)
        left, right = stopped(left, right, self.gradient)
        return loss + self.beta * (right - left).square().mean() / self.scale.clamp(min=1e-12).to(left.dtype)

    @torch.no_grad()
    def _follow(self, inner: Tensor) -> None:
        """Move the running mean of the features' squares by those of a batch."""
        self.steps += 1
        share = max(RATE, 1.0 / int(self.steps))
        self.scale.lerp_(inner.square().mean().to(self.scale.dtype), share)


def feature_matching(
    dataset: Dataset,
    *,
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.5,
    beta: Annotated[float, Field(ge=0)] = 1.0,
    layer: str = "",
    gradient: Gradient = "both",
) -> nn.Module:
    """Cross-entropy on images and their copies plus beta times the distance of what an inner layer makes of them.

    ``alpha CE(x) + (1 - alpha) CE(x*) + beta mean_i ||phi(x_i) - phi(x*_i)||^2 / S``, with S a running mean of
    ``||phi(x)||^2``. Divided by it, beta has no unit and fits any layer, and a network that makes its features smaller
    gains nothing. No gradient passes through S.

    Parameters
    ----------
    dataset : Dataset
        Not read; every loss has it.
    alpha : float in [0, 1]
        Weight of the images in the cross-entropy; the copies have the rest.
    beta : float
        Weight of the distance, as a share of the size of the features.
    layer : str
        The layer phi, by its full name or the end of one. Default: the last that gives a map, which is the last block
        of convolutions after its ReLU.
    gradient : {'both', 'clean', 'pair'}
        The branch that receives the gradient of the distance. The published formula stops none: both.

    Returns
    -------
    nn.Module
        ``forward(model, batch) -> scalar``. The running mean is a buffer, hence part of a checkpoint.

    Raises
    ------
    UnknownName
        No such layer; when the first batch comes.
    UnsupportedModel
        A network without maps, and no layer named.

    References
    ----------
    Dong et al., arXiv 1901.09035, equation 6. They give neither alpha and beta nor the distance: the division by the
    size of the features and the defaults are ours.

    Examples
    --------
    >>> batch = Batch(torch.ones(1, 3, 1, 1), torch.zeros(1, 3, 1, 1), torch.tensor([0]), torch.tensor([0]),
    ...               torch.tensor([0]), 0.0, torch.Generator())
    >>> model = nn.Sequential(nn.Identity(), nn.Flatten())
    >>> loss = feature_matching(None, alpha=1.0, beta=2.0, layer="0")
    >>> round(float(loss(model, batch)), 4)  # log 3 + 2 x 1
    3.0986
    """
    return _FeatureMatching(alpha, beta, layer, gradient)
