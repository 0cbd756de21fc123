from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from biaskit.perturbations._photometric import Level, Operation, Sign, by_rows, draw_amounts, in_one_pass

ALL: tuple[Operation, ...] = ("brightness", "contrast", "saturation", "hue")


def color(
    images: Tensor,
    generator: torch.Generator,
    *,
    operations: Annotated[tuple[Operation, ...], Field(min_length=1)] = ALL,
    levels: Annotated[tuple[Level, ...], Field(min_length=1)] = (1, 2, 3, 4),
    sign: Sign = "+",
) -> Tensor:
    """Change brightness, contrast, saturation or hue, one of them per image.

    Operation and level are drawn uniformly and independently for every image.

    Parameters
    ----------
    images : Tensor (B, 3, H, W), float in [0, 1]
    generator : torch.Generator
        On the images' device.
    operations : tuple of "brightness", "contrast", "saturation", "hue"
        The paper draws one of the four; leave ``"hue"`` out where the shortcut is a color.
    levels : tuple of 1, 2, 3, 4
        The paper does not say how strong; all levels by default.
    sign : "+" or "random"
        ``"random"`` goes the other way in half of the images: darker, lower contrast (1/f), faded (1/f),
        turned back.

    Returns
    -------
    Tensor (B, 3, H, W)
        In [0, 1]; the input is unchanged.

    Raises
    ------
    DataError
        Images that are not float (B, 3, H, W).

    References
    ----------
    Wu et al., An Experimental Study of Semantic Continuity for Deep Learning Models, arXiv 2011.09789, Table
    1.

    Examples
    --------
    >>> x = torch.zeros(1000, 3, 1, 1)
    >>> bright = color(x, torch.Generator().manual_seed(0), levels=(2,)) * 255  # black: only brightness shows
    >>> sorted(set(bright.flatten().tolist())), 200 < int((bright[:, 0] > 0).sum()) < 300
    ([0.0, 32.0], True)
    """
    draws = (len(images),)
    picked = torch.randint(len(operations), draws, generator=generator, device=generator.device).to(images.device)
    amounts = draw_amounts(picked, generator, operations, levels, sign)
    # Row counts on the host would make every step wait for the GPU; there, neutral work is cheaper than
    # waiting.
    return (in_one_pass if images.is_cuda else by_rows)(images, operations, picked, amounts)
