from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from biaskit.attacks._common import answered, checked, evaluating, gradient
from biaskit.attacks._options import Epsilon, checks_options
from biaskit.errors import SpecError

__all__ = ["targeted_l2"]

#: Adam's usual ones.
BETAS = (0.9, 0.999)


@checks_options
def targeted_l2(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    generator: torch.Generator,
    *,
    target: Literal["least_likely", "second"] | Annotated[int, Field(ge=0)] = "least_likely",
    confidence: Annotated[float, Field(gt=0, lt=1)] = 0.9,
    weight: Annotated[float, Field(gt=0)] = 0.1,
    rate: Epsilon = 1 / 255,
    steps: Annotated[int, Field(ge=1)] = 50,
    rounds: Annotated[int, Field(ge=1)] = 12,
) -> Tensor:
    """Search the nearest image, in Euclidean distance, that the model takes for a target.

    ``min over x' in [0, 1] of ||x' - x||_2 + lambda CE(F(x'), target)`` by Adam on the pixels, from x' = x. Lambda
    starts at ``weight`` and doubles after every ``steps`` steps; an image is finished as soon as ``p(target)`` reaches
    the confidence, so that it gets no larger lambda than it needs.

    Parameters
    ----------
    model : nn.Module
        On [0, 1] pixels; run in eval mode and left as it was.
    images : Tensor (B, C, H, W), float in [0, 1]
    labels : Tensor (B,), integer
        Not read: targets are chosen from the model's answers alone.
    generator : torch.Generator
        Not read; every attack has it.
    target : {'least_likely', 'second'} or int
        The label to reach: the least or the second most likely one of each image, or the same label for all, by its
        place among the logits.
    confidence : float in (0, 1)
        The probability at which an image is finished.
    weight : float
        Lambda of the first round; a larger one is faster and ends farther away.
    rate : float in [0, 1], or a fraction such as "1/255"
        Adam's rate: about how far a step moves a pixel.
    steps : int
        Gradient passes per round. Each round goes on from the image of the last, so 200 came no nearer than 50 (a
        plainly trained ``colordigits`` network, 48 images, 2026-11-20: mean distance 1.02 and 1.03, four times the
        time).
    rounds : int
        Rounds at most. With 12, lambda ends at 2048 times the weight.

    Returns
    -------
    Tensor (B, C, H, W)
        In [0, 1]. An image that no round brings to the target is returned unchanged, at distance 0: predict on the
        result to see what succeeded. The images given are unchanged.

    Raises
    ------
    SpecError
        A target that is no label of the model, a confidence, weight or rate outside its range, or no step or round.
    DataError
        Images that are not float (B, C, H, W) in [0, 1], or labels that do not fit.
    UnsupportedModel
        No finite logits (B, K), or none that autograd leads from to the pixels.

    References
    ----------
    Dong et al., arXiv 1901.09035, section 3: the objective. Optimizer, confidence and the doubling are ours; they are
    not published.

    Examples
    --------
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2, bias=False))
    >>> _ = model[1].weight.data.copy_(torch.tensor([[0.0], [10.0]]))
    >>> x = torch.full((1, 1, 1, 1), 0.8)  # p(first) = 0.0003; it is 0.3 where the pixel is log(0.7 / 0.3) / 10
    >>> found = targeted_l2(model, x, torch.tensor([1]), torch.Generator(), target=0, confidence=0.3)
    >>> abs(float(found) - 0.0847) < 0.005
    True
    """
    clean, _ = checked(images, labels)
    if not len(clean):
        return clean
    with evaluating(model):
        goals = _targets(model, clean, target)
        found, searching = clean.clone(), torch.arange(len(clean), device=clean.device)
        here = clean
        for turn in range(rounds):
            pull = weight * 2.0**turn
            first = second = torch.zeros_like(here)  # Adam's moments, anew for each lambda
            for number in range(1, steps + 1):
                logits, slope = gradient(model, here, goals[searching])
                reached = _probability(logits, goals[searching]) >= confidence
                found[searching[reached]], far = here[reached], ~reached
                searching = searching[far]
                if not len(searching):
                    return found
                here, slope, first, second = here[far], slope[far], first[far], second[far]
                slope = _direction(here - clean[searching]) + pull * slope
                first = BETAS[0] * first + (1 - BETAS[0]) * slope
                second = BETAS[1] * second + (1 - BETAS[1]) * slope.square()
                scale = (second / (1 - BETAS[1] ** number)).sqrt_().add_(1e-8)
                here = (here - rate / (1 - BETAS[0] ** number) * first / scale).clamp_(0.0, 1.0)
        with torch.no_grad():
            reached = _probability(answered(model, here), goals[searching]) >= confidence
        found[searching[reached]] = here[reached]
        return found


@torch.no_grad()
def _targets(model: nn.Module, images: Tensor, target: str | int) -> Tensor:
    """The label (B,) that each image shall get."""
    logits = answered(model, images)
    classes = logits.shape[1]
    if isinstance(target, int):
        if target >= classes:
            raise SpecError(f"targeted_l2: target = {target}, and the model has the labels 0 to {classes - 1}")
        return torch.full((len(images),), target, device=images.device)
    if target == "least_likely":
        return logits.argmin(dim=1)
    return logits.topk(2, dim=1).indices[:, 1]


def _probability(logits: Tensor, labels: Tensor) -> Tensor:
    return logits.float().softmax(dim=1).gather(1, labels[:, None]).squeeze(1)


def _direction(change: Tensor) -> Tensor:
    """The gradient of each image's distance; 0 where there is none yet."""
    length: Tensor = torch.linalg.vector_norm(change, dim=(1, 2, 3), keepdim=True)
    return change / length.clamp_min(1e-12)
