from __future__ import annotations

import torch
from torch import Tensor

from biaskit.perturbations._photometric import Level, Sign, at_level


def contrast(images: Tensor, generator: torch.Generator, *, level: Level = 1, sign: Sign = "+") -> Tensor:
    """Move every pixel away from the image's mean gray value.

    ``x' = clamp(f x + (1 - f) m, 0, 1)`` with ``f = 1 + level / 4`` and m the mean of
    ``0.2989 R + 0.587 G + 0.114 B`` over the image; torchvision's ``adjust_contrast`` within 1e-6.

    Parameters
    ----------
    images : Tensor (B, 3, H, W), float in [0, 1]
    generator : torch.Generator
        Read only with ``sign="random"``.
    level : 1, 2, 3 or 4
        Factors 1.25, 1.5, 1.75 and 2.
    sign : "+" or "random"
        ``"random"`` lowers the contrast of half of the images, drawn one by one, by 1/f. The paper lists
        raising alone.

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
    >>> x = torch.tensor([0.25, 0.75]).expand(1, 3, 1, 2)
    >>> [round(value, 3) for value in contrast(x, torch.Generator(), level=2)[0, 0, 0].tolist()]
    [0.125, 0.875]
    """
    return at_level(images, generator, "contrast", level, sign)
