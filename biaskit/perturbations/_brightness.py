from __future__ import annotations

import torch
from torch import Tensor

from biaskit.perturbations._photometric import Level, Sign, at_level


def brightness(images: Tensor, generator: torch.Generator, *, level: Level = 1, sign: Sign = "+") -> Tensor:
    """Add a constant to every pixel.

    ``x' = clamp(x + level * 16/255, 0, 1)``: additive, unlike torchvision's ``adjust_brightness``.

    Parameters
    ----------
    images : Tensor (B, 3, H, W), float in [0, 1]
    generator : torch.Generator
        Read only with ``sign="random"``.
    level : 1, 2, 3 or 4
        16, 32, 48 or 64 of 255 gray levels.
    sign : "+" or "random"
        ``"random"`` darkens half of the images, drawn one by one. The paper lists brightening alone.

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
    >>> x = torch.zeros(1, 3, 2, 2)
    >>> float(brightness(x, torch.Generator(), level=4).max() * 255)
    64.0
    """
    return at_level(images, generator, "brightness", level, sign)
