from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from biaskit.attacks._common import Epsilon, amount, checked, evaluating, gradient, noise, predicted, project
from biaskit.errors import SpecError

__all__ = ["pgd"]

#: (images, gradient, clean images) -> images one step further
Climb = Callable[[Tensor, Tensor, Tensor], Tensor]


def pgd(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    generator: torch.Generator,
    *,
    epsilon: Epsilon = 8 / 255,
    step: Epsilon = 2 / 255,
    steps: Annotated[int, Field(ge=1)] = 10,
    restarts: Annotated[int, Field(ge=1)] = 1,
    random_start: bool = True,
    early_exit: bool = False,
) -> Tensor:
    """Climb the loss inside the box of half width epsilon around each image: projected gradient descent.

    ``x_0 = clamp(x + U(-epsilon, epsilon), 0, 1)``, then ``steps`` times
    ``x_{t+1} = clamp(x + clamp(x_t + step sign(d CE(F(x_t), y) / dx) - x, -epsilon, epsilon), 0, 1)``.

    Parameters
    ----------
    model : nn.Module
        On [0, 1] pixels; run in eval mode and left as it was.
    images : Tensor (B, C, H, W), float in [0, 1]
    labels : Tensor (B,), integer
        The true labels.
    generator : torch.Generator
        Draws the starts; not read without a random start.
    epsilon : float in [0, 1], or a fraction such as "8/255"
        In pixel units; the paper attacks with 8/255.
    step : float in [0, 1], or a fraction
        How far a step moves each pixel.
    steps : int
        Gradient passes per start; 10 overstate robustness, so judge a model by 50 and several starts.
    restarts : int
        Starts per image. Of several, the last image of the start with the highest loss is returned; with early exit
        the first that fools the model.
    random_start : bool
        Where an attack always starts at the image, a model can be flat there alone.
    early_exit : bool
        For evaluation: an image is attacked no further once the model gets it wrong, which is several times faster and
        finds at least as much. Training takes the last step instead, whatever the model says to it.

    Returns
    -------
    Tensor (B, C, H, W)
        In [0, 1] and within epsilon of the images, which are unchanged. Predict on them to see what succeeded.

    Raises
    ------
    SpecError
        An epsilon or step outside [0, 1], no step, or restarts that would all be the same.
    DataError
        Images that are not float (B, C, H, W) in [0, 1], or labels that do not fit.

    References
    ----------
    Madry et al., arXiv 1706.06083. Wu et al., arXiv 2011.09789, section 4.2, train and attack with 10 steps of 2/255;
    they do not say how the attack starts.

    Examples
    --------
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))
    >>> _ = model[1].weight.data.copy_(torch.tensor([[1.0, -3.0], [0.0, 0.0]]))
    >>> x = torch.full((1, 1, 1, 2), 0.5)
    >>> attacked = pgd(model, x, torch.tensor([0]), torch.Generator(), epsilon=0.1, step=0.05)
    >>> margin = (model(x) - model(attacked)).detach()[0, 0]  # falls by epsilon times the sum of |w|
    >>> round(float(margin), 4)
    0.4
    """
    radius, stride = amount(epsilon, "epsilon"), amount(step, "step")
    if steps < 1 or restarts < 1:
        raise SpecError(f"pgd: steps = {steps}, restarts = {restarts}: both are at least 1")
    if restarts > 1 and not random_start:
        raise SpecError(f"pgd: {restarts} restarts without a random start are the same one; set random_start = true")
    clean, truth = checked(images, labels)

    def climb(here: Tensor, slope: Tensor, origin: Tensor) -> Tensor:
        return project(here + stride * slope.sign(), origin, radius)

    with evaluating(model):
        # Noise for every image, even where some have left: what one draws does not hang on the fate of the others.
        starts = (noise(clean, radius, generator) if random_start else clean for _ in range(restarts))
        if early_exit:
            return _until_wrong(model, starts, clean, truth, steps, climb)
        return _all_the_way(model, starts, clean, truth, steps, climb)


def _all_the_way(
    model: nn.Module, starts: Iterable[Tensor], clean: Tensor, labels: Tensor, steps: int, climb: Climb
) -> Tensor:
    """The last image of each start; of several, per image the one with the highest loss."""
    found, highest = None, None
    for here in starts:
        for _ in range(steps):
            here = climb(here, gradient(model, here, labels)[1], clean)
        if found is None:
            found = here
            continue
        if highest is None:  # nothing is compared, so nothing computed, while there is one start alone
            highest = _losses(model, found, labels)
        loss = _losses(model, here, labels)
        found = torch.where((loss > highest)[:, None, None, None], here, found)
        highest = torch.maximum(loss, highest)
    assert found is not None
    return found


def _until_wrong(
    model: nn.Module, starts: Iterable[Tensor], clean: Tensor, labels: Tensor, steps: int, climb: Climb
) -> Tensor:
    """Each image as it was when the model got it wrong, else its last; those still right go on as a smaller batch."""
    found = clean.clone()
    standing = torch.ones(len(clean), dtype=torch.bool, device=clean.device)  # what nothing has fooled yet
    for whole in starts:
        rows = _batch(standing)
        here = whole[rows]
        for _ in range(steps):
            if not len(rows):
                return found
            logits, slope = gradient(model, here, labels[rows])
            standing = _keep(found, standing, rows, here, logits.argmax(dim=1) == labels[rows])
            left = _batch(standing, rows)
            if len(left) < len(rows):
                kept = torch.isin(rows, left)
                rows, here, slope = rows[kept], here[kept], slope[kept]
            here = climb(here, slope, clean[rows])
        if len(rows):
            standing = _keep(found, standing, rows, here, predicted(model, here) == labels[rows])
    return found


def _keep(found: Tensor, standing: Tensor, rows: Tensor, here: Tensor, right: Tensor) -> Tensor:
    """Write down where the standing rows of a batch are, and return who stands on."""
    mine = standing[rows]
    found[rows[mine]] = here[mine]
    after = standing.clone()
    after[rows] &= right
    return after


def _batch(standing: Tensor, rows: Tensor | None = None) -> Tensor:
    """The rows to compute: those that stand, and as many others as make the size one of a few.

    A processor prepares a convolution anew for every size of a batch, which costs it more than the images saved by
    an exact fit: sizes are three quarters of each other.
    """
    rows = torch.arange(len(standing), device=standing.device) if rows is None else rows
    mine = standing[rows]
    needed, size = int(mine.sum()), len(standing)
    while 3 * size // 4 >= max(1, needed):
        size = 3 * size // 4
    if not needed or size >= len(rows):
        return rows[:0] if not needed else rows
    return torch.cat([rows[mine], rows[~mine][: size - needed]]).sort().values


@torch.no_grad()
def _losses(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(model(images).to(images.dtype), labels, reduction="none")
