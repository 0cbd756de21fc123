from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from biaskit.distortions._places import checked, half_up
from biaskit.errors import DataError

__all__ = ["channel_shift", "shift_pixels"]


def channel_shift(
    images: Tensor, generator: torch.Generator, *, shift: Annotated[float, Field(ge=0)] = 1 / 8
) -> Tensor:
    """Shift red and green against blue, so that the three channels no longer lie on each other.

    With ``N = shift * S`` pixels, S the shorter side, red moves N down and N to the right, green ``floor(N / 2)``,
    blue stays. What leaves on one side comes back on the other, so every value of a channel is kept; the shapes are
    all there, three times.

    Parameters
    ----------
    images : Tensor (B, 3, H, W)
    generator : torch.Generator
        Unused: nothing is drawn.
    shift : float
        Share of the shorter side; N is rounded, halves upwards. The paper takes 1/32, 1/16, 1/8 and 1/4. 0 changes
        nothing, and on square images neither does 2, where red has gone around twice and green once.

    Returns
    -------
    Tensor (B, 3, H, W)
        A new one of the same type.

    Raises
    ------
    DataError
        Images without three channels, or so small that the shift is less than half a pixel.

    References
    ----------
    Wu et al., arXiv 2011.09789, Figures 5 and 6. That green moves by a whole number below N / 2 is ours; it matters at
    odd N.

    Examples
    --------
    >>> x = torch.zeros(1, 3, 4, 4)
    >>> x[:, :, 0, 0] = 1.0  # a white pixel in the corner
    >>> (channel_shift(x, torch.Generator(), shift=0.5)[0] == 1).nonzero().tolist()
    [[0, 2, 2], [1, 1, 1], [2, 0, 0]]
    """
    if checked(images).shape[1] != 3:
        raise DataError(f"a shift between channels needs images (B, 3, H, W); got shape {tuple(images.shape)}")
    pixels = shift_pixels(shift, *images.shape[2:])
    red, green, blue = images.unbind(1)
    half = pixels // 2
    moved = [red.roll((pixels, pixels), (1, 2)), green.roll((half, half), (1, 2)), blue]
    return torch.stack(moved, dim=3).permute(0, 3, 1, 2)


def shift_pixels(shift: float, height: int, width: int) -> int:
    """N, in pixels.

    Raises
    ------
    DataError
        A negative shift, or one that comes to nothing on so small an image.
    """
    side = min(height, width)
    if shift < 0:
        raise DataError(f"a shift is a share of the side, at least 0; got {shift:g}")
    if 0 < shift * side < 0.5:
        least = 0.5 / side
        raise DataError(f"a shift by {shift:g} of {side} pixels is less than half a pixel; take at least {least:g}")
    return half_up(shift * side)
