from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from biaskit.distortions._places import checked, half_up, orders, taken
from biaskit.errors import DataError

__all__ = ["Mode", "center_shuffle", "center_size"]

Mode = Literal["side", "area", "pixels"]


def center_shuffle(
    images: Tensor,
    generator: torch.Generator,
    *,
    share: Annotated[float, Field(ge=0, le=1)] = 0.5,
    mode: Mode = "side",
) -> Tensor:
    """Shuffle the pixels in the center of every image.

    One uniform permutation per image, the same for its channels: colors and their counts stay, shapes in the center are
    gone.

    Parameters
    ----------
    images : Tensor (B, C, H, W)
    generator : torch.Generator
        Draws one permutation per image.
    share : float
        How much is shuffled, in [0, 1]; the paper takes 0.25, 0.5, 0.75 and 1. 0 changes nothing.
    mode : "side", "area" or "pixels"
        The paper says "25 to 100 % of the central part", which can be read in three ways. ``"side"``: the center has
        this share of either side. ``"area"``: this share of the area, hence its root of either side. ``"pixels"``: the
        center has half of either side, and this share of its pixels, drawn for each image, trade places.

    Returns
    -------
    Tensor (B, C, H, W)
        A new one of the same type.

    Raises
    ------
    DataError
        A share outside [0, 1], or of less than two pixels.

    References
    ----------
    Wu et al., arXiv 2011.09789, Figures 7 and 8.

    Examples
    --------
    >>> x = torch.arange(16.0).view(1, 1, 4, 4)
    >>> found = center_shuffle(x, torch.Generator().manual_seed(0), share=0.5)[0, 0]
    >>> (found != x).nonzero().amin(0).tolist(), sorted(found[1:3, 1:3].flatten().tolist())  # the rim stays
    ([0, 0, 1, 1], [5.0, 6.0, 9.0, 10.0])
    """
    count, _, height, width = checked(images).shape
    high, wide, moved = center_size(share, mode, height, width)
    top, left = (height - high) // 2, (width - wide) // 2
    places = torch.arange(height * width, device=images.device).view(height, width)
    inside = places[top : top + high, left : left + wide].flatten()
    return taken(images, inside, inside[orders(count, len(inside), moved, generator, images.device)])


def center_size(share: float, mode: Mode, height: int, width: int) -> tuple[int, int, int]:
    """Height and width of the center in pixels, and how many of its pixels are shuffled.

    Raises
    ------
    DataError
    """
    if not 0 <= share <= 1:
        raise DataError(f"a share of the center lies in [0, 1]; got {share:g}")
    if mode == "pixels":
        high, wide = height // 2, width // 2
        moved = half_up(share * high * wide)
    else:
        side = share if mode == "side" else share**0.5
        high, wide = half_up(side * height), half_up(side * width)
        moved = high * wide
    if share > 0 and moved < 2:
        raise DataError(f"a share of {share:g} ({mode}) in the center of {height} x {width} pixels has none to shuffle")
    return high, wide, moved
