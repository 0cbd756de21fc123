from __future__ import annotations

import torch
from torch import Tensor

from biaskit.perturbations._photometric import Level, Sign, at_level


def hue(images: Tensor, generator: torch.Generator, *, level: Level = 1, sign: Sign = "+") -> Tensor:
    """Turn the color wheel: red becomes orange, then yellow, then green.

    ``H' = (H + level / 10) mod 1`` in HSV, saturation and value unchanged; torchvision's ``adjust_hue``
    within 2e-6. Gray pixels stay as they are. Where the shortcut is a color, this perturbation changes the
    shortcut itself: leave it out of a recipe that is to be judged fairly.

    Parameters
    ----------
    images : Tensor (B, 3, H, W), float in [0, 1]
    generator : torch.Generator
        Read only with ``sign="random"``.
    level : 1, 2, 3 or 4
        Tenths of a turn: 36, 72, 108 or 144 degrees.
    sign : "+" or "random"
        ``"random"`` turns half of the images, drawn one by one, the other way. The paper lists one way alone.

    Returns
    -------
    Tensor (B, 3, H, W)
        In [0, 1], without gradient; the input is unchanged.

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
    >>> red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    >>> [round(value, 3) for value in hue(red, torch.Generator(), level=2).flatten().tolist()]
    [0.8, 1.0, 0.0]
    """
    return at_level(images, generator, "hue", level, sign)
