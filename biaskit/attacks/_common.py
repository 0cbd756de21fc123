"""What the attacks share: a model held still, its answers, one gradient, and the ball they stay in."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from biaskit.errors import DataError, UnsupportedModel
from biaskit.features import finite

__all__ = ["answered", "checked", "evaluating", "gradient", "noise", "predicted", "project"]

#: Rounding may carry a pixel so far out of [0, 1].
ROUNDING = 1e-6


def checked(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Copies of images and labels that autograd can take, after a look at shape, type and range.

    Raises
    ------
    DataError
        Images that are not float (B, C, H, W) in [0, 1], or labels that are not one integer for each.
    """
    if images.ndim != 4 or not images.is_floating_point():
        raise DataError(
            f"attacks take float images (B, C, H, W) in [0, 1], not {images.dtype} of shape {tuple(images.shape)}"
        )
    if labels.shape != images.shape[:1] or labels.is_floating_point():
        raise DataError(
            f"{len(images):,} images need as many integer labels, not {labels.dtype} of shape {tuple(labels.shape)}"
        )
    if images.numel():
        low, high = (float(one) for one in images.aminmax())
        if not math.isfinite(low + high):
            what = "NaN" if math.isnan(low) else "inf"
            raise DataError(f"attacks take images in [0, 1], and there is {what} in these")
        if low < -ROUNDING or high > 1.0 + ROUNDING:
            remedy = "divide by 255" if high > 2.0 and low >= 0.0 else "put the normalization inside the model"
            raise DataError(f"attacks take images in [0, 1], these are in [{low:.7g}, {high:.7g}]; {remedy}")
    # A caller may be in inference mode, whose tensors autograd refuses; copies made outside of it are ordinary.
    with torch.inference_mode(False):
        return images.detach().clone().clamp_(0.0, 1.0), labels.to(images.device, torch.int64, copy=True)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Every module in eval mode and gradients on; afterwards each module's own flag is as it was.

    The flags are set one by one: ``model.eval()`` runs code of the model that may be anything, and is refused by
    exported programs; ``model.train()`` afterwards would unfreeze what the caller had frozen.
    """
    before = [module for module in model.modules() if module.training]
    with torch.inference_mode(False), torch.enable_grad():
        try:
            for module in before:
                module.training = False
            yield
        finally:
            for module in before:
                module.training = True


def answered(model: nn.Module, images: Tensor) -> Tensor:
    """The logits (B, K) of a model that may write over what it is given: it gets a copy.

    Raises
    ------
    UnsupportedModel
        Anything but finite logits of two labels or more.
    """
    logits = model(images.clone())
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != len(images) or logits.shape[1] < 2:
        got = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
        raise UnsupportedModel(
            f"attacks need logits (B, K), one for each of two labels or more; for {len(images):,} images the model "
            f"gives {got}. Wrap it in a module that returns the logits alone"
        )
    return finite(logits)


def gradient(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (B, K), and the gradient (B, C, H, W) of each image's cross-entropy at its own pixels.

    A sum over the batch, so that neither its size nor an image's neighbors scale the gradient. Only the images receive
    one; nothing is added to the parameters' ``grad``.

    Raises
    ------
    DataError
        Labels that the model does not tell apart.
    UnsupportedModel
        Also where autograd finds no way from the logits back to the pixels.
    """
    images = images.detach().requires_grad_()
    logits = answered(model, images).to(images.dtype)
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < logits.shape[1]:
        raise DataError(
            f"labels from {int(labels.min())} to {int(labels.max())}, but the model tells {logits.shape[1]} labels "
            f"apart, 0 to {logits.shape[1] - 1}"
        )
    loss = F.cross_entropy(logits, labels, reduction="sum")
    found = torch.autograd.grad(loss, images, allow_unused=True)[0] if loss.requires_grad else None
    if found is None:
        raise UnsupportedModel(
            "the model's logits have no gradient at the pixels: it does not read them, or cuts the graph (no_grad, "
            "detach, numpy). Attacks follow that gradient"
        )
    return logits.detach(), found


@torch.no_grad()
def predicted(model: nn.Module, images: Tensor) -> Tensor:
    """The labels (B,) that the model answers; none for an empty batch, which some networks refuse."""
    if not len(images):
        return torch.empty(0, dtype=torch.int64, device=images.device)
    return answered(model, images).argmax(dim=1)


def noise(images: Tensor, epsilon: float, generator: torch.Generator) -> Tensor:
    """Images moved by uniform noise in [-epsilon, epsilon], back in [0, 1]."""
    drawn = torch.rand(images.shape, generator=generator, device=generator.device, dtype=images.dtype)
    return (images + drawn.to(images.device).mul_(2.0).sub_(1.0).mul_(epsilon)).clamp_(0.0, 1.0)


def project(images: Tensor, clean: Tensor, epsilon: float) -> Tensor:
    """The nearest images in [0, 1] that differ from the clean ones by at most epsilon in every pixel."""
    return (clean + (images - clean).clamp_(-epsilon, epsilon)).clamp_(0.0, 1.0)
