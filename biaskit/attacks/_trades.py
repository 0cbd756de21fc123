from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from biaskit.attacks._common import answered, checked, evaluating, project
from biaskit.attacks._options import Epsilon, checks_options
from biaskit.errors import UnsupportedModel

__all__ = ["trades"]


@checks_options
def trades(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    generator: torch.Generator,
    *,
    epsilon: Epsilon = 8 / 255,
    step: Epsilon = 2 / 255,
    steps: Annotated[int, Field(ge=1)] = 10,
    start: Annotated[float, Field(ge=0)] = 0.001,
) -> Tensor:
    """Move the answer as far as possible from that to the image itself: the inner maximization of TRADES.

    ``x_0 = x + start N(0, 1)``, then ``steps`` times ``x_{t+1} = clamp(x + clamp(x_t + step sign(d KL(p(x) || p(x_t)) /
    dx_t) - x, -epsilon, epsilon), 0, 1)``. No label is read, so what it finds need not be wrong.

    Parameters
    ----------
    model : nn.Module
        On [0, 1] pixels; run in eval mode and left as it was.
    images : Tensor (B, C, H, W), float in [0, 1]
    labels : Tensor (B,), integer
        Not read; every attack has them.
    generator : torch.Generator
        Draws the starts.
    epsilon, step : float in [0, 1], or a fraction such as "8/255"
    steps : int
    start : float
        Standard deviation of the first noise: at the image itself the divergence has no slope.

    Returns
    -------
    Tensor (B, C, H, W)
        In [0, 1] and within epsilon of the images, which are unchanged.

    Raises
    ------
    SpecError
        An epsilon or step outside [0, 1], no step.
    DataError
        Images that are not float (B, C, H, W) in [0, 1].
    UnsupportedModel
        No finite logits (B, K), or none that autograd leads from to the pixels.

    References
    ----------
    Zhang et al., Theoretically Principled Trade-off between Robustness and Accuracy, arXiv 1901.08573, algorithm 1 and
    the authors' setting on CIFAR-10, with 2/255 in place of 0.003 * 255 / 255 = 0.007 as step.

    Examples
    --------
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))
    >>> _ = model[1].weight.data.copy_(torch.tensor([[1.0, -3.0], [0.0, 0.0]]))
    >>> x = torch.full((1, 1, 1, 2), 0.5)
    >>> moved = trades(model, x, torch.tensor([0]), torch.Generator().manual_seed(0), epsilon=0.1, step=0.05)
    >>> [round(one, 4) for one in (moved - x).abs().flatten().tolist()]
    [0.1, 0.1]
    """
    clean, _ = checked(images, labels)
    with evaluating(model):
        with torch.no_grad():
            wanted = F.softmax(answered(model, clean).to(clean.dtype), dim=1)
        drawn = torch.randn(clean.shape, generator=generator, device=generator.device, dtype=clean.dtype)
        here = project(clean + start * drawn.to(clean.device), clean, epsilon)
        for _ in range(steps):
            here = here.detach().requires_grad_()
            said = F.log_softmax(answered(model, here).to(clean.dtype), dim=1)
            apart = F.kl_div(said, wanted, reduction="sum")
            slope = torch.autograd.grad(apart, here, allow_unused=True)[0] if apart.requires_grad else None
            if slope is None:
                raise UnsupportedModel(
                    "the model's logits have no gradient at the pixels: it does not read them, or cuts the graph"
                )
            here = project(here.detach() + step * slope.sign(), clean, epsilon)
    return here.detach()
