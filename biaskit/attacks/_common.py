"""What the attacks share: pixel units, a model held still, one gradient, and the ball they stay in."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import torch
from pydantic import BeforeValidator, Field
from torch import Tensor, nn
from torch.nn import functional as F

from biaskit.errors import DataError, SpecError
from biaskit.features import finite

__all__ = ["Epsilon", "amount", "checked", "evaluating", "gradient", "noise", "predicted", "project"]


def _parse(value: object) -> float:
    """A number of pixel units in [0, 1], also written as a fraction; ValueError says how to write it."""
    number = value
    if isinstance(value, str):
        above, slash, below = value.partition("/")
        try:
            number = float(above) / float(below) if slash else None
        except (ValueError, ZeroDivisionError):
            number = None
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise ValueError('expected a number in [0, 1] or a fraction such as "8/255"')
    if not 0.0 <= number <= 1.0:
        written = f"{value:g}" if isinstance(value, int | float) and 1.0 < value <= 255.0 else "8"
        raise ValueError(f'pixels are in [0, 1]; for {written} of 255 gray levels write "{written}/255"')
    return float(number)


#: An amount in pixel units, where 1 is the distance of black and white: a number in [0, 1], or a fraction as text.
Epsilon = Annotated[float, BeforeValidator(_parse), Field(ge=0, le=1)]


def amount(value: object, name: str) -> float:
    """An :data:`Epsilon` given by a call rather than a card.

    Raises
    ------
    SpecError

    Examples
    --------
    >>> amount("8/255", "epsilon") == amount(8 / 255, "epsilon")
    True
    """
    try:
        return _parse(value)
    except ValueError as error:
        raise SpecError(f"{name} = {value!r}: {error}") from None


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
        if math.isnan(low) or math.isnan(high):
            raise DataError("attacks take images in [0, 1], and there is NaN in these")
        if low < 0.0 or high > 1.0:
            remedy = "divide by 255" if high > 2.0 and low >= 0.0 else "put the normalization inside the model"
            raise DataError(f"attacks take images in [0, 1], these are in [{low:g}, {high:g}]; {remedy}")
    # A caller may be in inference mode, whose tensors autograd refuses; copies made outside of it are ordinary.
    with torch.inference_mode(False):
        return images.detach().clone(), labels.to(images.device, torch.int64, copy=True)


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


def gradient(model: nn.Module, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Logits (B, K), and the gradient (B, C, H, W) of each image's cross-entropy at its own pixels.

    A sum over the batch, so that neither its size nor an image's neighbors scale the gradient. Only the images receive
    one; nothing is added to the parameters' ``grad``.
    """
    images = images.detach().requires_grad_()
    logits = finite(model(images).to(images.dtype))
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < logits.shape[1]:
        raise DataError(
            f"labels from {int(labels.min())} to {int(labels.max())}, but the model tells {logits.shape[1]} labels "
            f"apart, 0 to {logits.shape[1] - 1}"
        )
    (found,) = torch.autograd.grad(F.cross_entropy(logits, labels, reduction="sum"), images)
    return logits.detach(), found


@torch.no_grad()
def predicted(model: nn.Module, images: Tensor) -> Tensor:
    """The labels (B,) that the model answers; none for an empty batch, which some networks refuse."""
    if not len(images):
        return torch.empty(0, dtype=torch.int64, device=images.device)
    answers: Tensor = finite(model(images)).argmax(dim=1)
    return answers


def noise(images: Tensor, epsilon: float, generator: torch.Generator) -> Tensor:
    """Images moved by uniform noise in [-epsilon, epsilon], back in [0, 1]."""
    drawn = torch.rand(images.shape, generator=generator, device=generator.device, dtype=images.dtype)
    return (images + drawn.to(images.device).mul_(2.0).sub_(1.0).mul_(epsilon)).clamp_(0.0, 1.0)


def project(images: Tensor, clean: Tensor, epsilon: float) -> Tensor:
    """The nearest images in [0, 1] that differ from the clean ones by at most epsilon in every pixel."""
    return (clean + (images - clean).clamp_(-epsilon, epsilon)).clamp_(0.0, 1.0)
