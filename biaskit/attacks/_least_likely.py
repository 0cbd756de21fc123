from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from biaskit.attacks._common import answered, checked, evaluating, gradient, project
from biaskit.attacks._options import Epsilon, checks_options

__all__ = ["least_likely"]


@checks_options
def least_likely(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    generator: torch.Generator,
    *,
    epsilon: Epsilon = 8 / 255,
    step: Epsilon = 1 / 255,
    steps: Literal["published"] | Annotated[int, Field(ge=1)] = "published",
) -> Tensor:
    """Lead the model step by step to the answer that it holds least likely.

    ``y_LL = argmin_k F_k(x)``, then ``steps`` times
    ``x_{t+1} = clamp(x + clamp(x_t - step sign(d CE(F(x_t), y_LL) / dx) - x, -epsilon, epsilon), 0, 1)`` from
    ``x_0 = x``. The target is the model's own, so no label takes part.

    Parameters
    ----------
    model : nn.Module
        On [0, 1] pixels; run in eval mode and left as it was.
    images : Tensor (B, C, H, W), float in [0, 1]
    labels : Tensor (B,), integer
        Not read; every attack has it.
    generator : torch.Generator
        Not read; every attack has it.
    epsilon : float in [0, 1], or a fraction such as "8/255"
        In pixel units.
    step : float in [0, 1], or a fraction
        How far a step moves each pixel; one gray level, as published.
    steps : "published" or int
        Gradient passes; as published ``floor(min(e + 4, 1.25 e))`` with e = 255 epsilon, and one at least.

    Returns
    -------
    Tensor (B, C, H, W)
        In [0, 1] and within epsilon of the images, which are unchanged.

    Raises
    ------
    SpecError
        An epsilon or step outside [0, 1], or no step.
    DataError
        Images that are not float (B, C, H, W) in [0, 1], or labels that do not fit.
    UnsupportedModel
        No finite logits (B, K), or none that autograd leads from to the pixels.

    References
    ----------
    Kurakin et al., Adversarial Examples in the Physical World, arXiv 1607.02533, section 2.3. Dong et al., arXiv
    1901.09035, dissect networks on such images.

    Examples
    --------
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(1, 3, bias=False))
    >>> _ = model[1].weight.data.copy_(torch.tensor([[1.0], [0.0], [-1.0]]))
    >>> x = torch.full((1, 1, 1, 1), 0.5)  # least likely: the last label, which grows as the pixel darkens
    >>> round(float(x - least_likely(model, x, torch.tensor([0]), torch.Generator(), epsilon="8/255")) * 255, 3)
    8.0
    """
    passes = _published(epsilon) if steps == "published" else steps
    clean, _ = checked(images, labels)
    here = clean
    with evaluating(model):
        with torch.no_grad():
            targets = answered(model, clean).argmin(dim=1)
        for _ in range(passes):
            here = project(here - step * gradient(model, here, targets)[1].sign(), clean, epsilon)
    return here


def _published(epsilon: float) -> int:
    levels = round(255 * epsilon, 6)  # 8/255 is 8 levels, in spite of rounding
    return max(1, math.floor(min(levels + 4, 1.25 * levels)))
