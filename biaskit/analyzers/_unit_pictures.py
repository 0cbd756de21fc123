"""Strips of images with the region that matters to a unit outlined."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from biaskit.analyzers._attribution_pictures import enlarged, image_pixels

__all__ = ["outlined", "stacked", "strip"]

Pixels = npt.NDArray[np.uint8]
#: An orange line with a dark one beside it is seen on any image.
_LINE, _BESIDE = (230, 120, 0), (0, 0, 0)
_GAP = 4


def outlined(image: Tensor, mask: Tensor) -> Pixels:
    """An image (C, H, W) in [0, 1], enlarged, with a line around a mask (H, W); what is outside is darker.

    Examples
    --------
    >>> outlined(torch.ones(3, 16, 16), torch.zeros(16, 16, dtype=torch.bool)).shape
    (96, 96, 3)
    """
    shown = torch.where(mask, image, 0.55 * image) if bool(mask.any()) else image
    pixels = enlarged(image_pixels(shown.cpu())).copy()
    inside = _grown(mask.cpu(), pixels.shape[0] // mask.shape[0])
    # Reflected at the border, which then is no edge of the mask.
    wide = max(1, math.ceil(min(pixels.shape[:2]) / 96))
    outer, line = (_around(inside, step * wide) for step in (2, 1))
    pixels[outer] = _BESIDE
    pixels[line] = _LINE
    return pixels


def strip(pictures: Sequence[Pixels]) -> Pixels:
    """Pictures of one height side by side."""
    gap = np.full((pictures[0].shape[0], _GAP, 3), 255, np.uint8)
    return np.concatenate([part for one in pictures for part in (gap, one)][1:], axis=1)


def stacked(strips: Sequence[Pixels]) -> Pixels:
    """Strips one below the other, the narrower ones filled up with white."""
    width = max(one.shape[1] for one in strips)
    filled = [np.pad(one, ((0, 0), (0, width - one.shape[1]), (0, 0)), constant_values=255) for one in strips]
    gap = np.full((_GAP, width, 3), 255, np.uint8)
    return np.concatenate([part for one in filled for part in (gap, one)][1:], axis=0)


def _grown(mask: Tensor, times: int) -> npt.NDArray[np.bool_]:
    found: npt.NDArray[np.bool_] = mask.numpy().repeat(times, axis=0).repeat(times, axis=1)
    return found


def _around(inside: npt.NDArray[np.bool_], wide: int) -> npt.NDArray[np.bool_]:
    """Pixels outside a region, at most so far from it."""
    flat = torch.from_numpy(inside)[None, None].float()
    near = F.max_pool2d(flat, 2 * wide + 1, stride=1, padding=wide)[0, 0].numpy() > 0
    found: npt.NDArray[np.bool_] = near & ~inside
    return found
