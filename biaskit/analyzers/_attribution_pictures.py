"""Attribution maps as pixels that people can read, color-blind ones included."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

__all__ = ["enlarged", "heat", "image_pixels", "signed"]

Pixels = npt.NDArray[np.uint8]
#: For the label and against it: an orange and a blue that everybody tells apart, on white.
_FOR, _AGAINST = (0.80, 0.33, 0.0), (0.0, 0.36, 0.65)
#: A picture is enlarged by a whole number until its sides have so many pixels.
_SIDE = 96


def enlarged(pixels: Pixels) -> Pixels:
    """Every pixel as a square, so that a small image can be seen.

    Examples
    --------
    >>> enlarged(np.zeros((16, 16, 3), np.uint8)).shape
    (96, 96, 3)
    """
    times = max(1, math.ceil(_SIDE / min(pixels.shape[:2])))
    return pixels.repeat(times, axis=0).repeat(times, axis=1)


def image_pixels(image: Tensor) -> Pixels:
    """An image (C, H, W) in [0, 1]."""
    return _pixels(image.expand(3, -1, -1).permute(1, 2, 0))


def signed(values: Tensor) -> Pixels:
    """A map (H, W) on white: orange speaks for the label, blue against it; full at the 99th percentile of ``|a|``."""
    strength = _strength(values)[..., None]
    color = torch.where(values[..., None] > 0, torch.tensor(_FOR), torch.tensor(_AGAINST))
    return _pixels(1.0 + strength * (color - 1.0))


def heat(values: Tensor, image: Tensor) -> Pixels:
    """A map (H, W) over its image in gray: orange for the label, blue against it."""
    strength = 0.85 * _strength(values)[..., None]
    gray = 0.25 + 0.6 * image.mean(dim=0)[..., None].expand(-1, -1, 3)
    color = torch.where(values[..., None] >= 0, torch.tensor(_FOR), torch.tensor(_AGAINST))
    return _pixels(gray + strength * (color - gray))


def _strength(values: Tensor) -> Tensor:
    strength = values.float().abs().nan_to_num(0.0, 0.0, 0.0)  # what is no number speaks neither for nor against
    full = float(strength.flatten().quantile(0.99)) or float(strength.max()) or 1.0
    return (strength / full).clamp(max=1.0)


def _pixels(values: Tensor) -> Pixels:
    found: Pixels = (values.clamp(0.0, 1.0) * 255.0).round().to(torch.uint8).numpy()
    return found
