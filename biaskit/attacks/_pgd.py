from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from biaskit.attacks._common import answered, checked, evaluating, gradient, noise, predicted, project
from biaskit.attacks._options import Epsilon, checks_options
from biaskit.errors import SpecError

__all__ = ["pgd"]

#: Images that go through the model at once with early exit, however many are given.
BATCH = 256
#: (images, gradient, clean images) -> images one step further
Climb = Callable[[Tensor, Tensor, Tensor], Tensor]


@checks_options
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
        finds at least as much. Of any number of images 256 go through the model at once, and one that leaves makes room
        for the next: give many. Training takes the last step instead, whatever the model says to it.

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
    UnsupportedModel
        No finite logits (B, K), or none that autograd leads from to the pixels.

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
    if restarts > 1 and not random_start:
        raise SpecError(f"pgd.restarts: {restarts} without a random start are the same one; set random_start = true")
    clean, truth = checked(images, labels)

    def climb(here: Tensor, slope: Tensor, origin: Tensor) -> Tensor:
        return project(here + step * slope.sign(), origin, epsilon)

    with evaluating(model):
        # Noise for every image, even where some have left: what one draws does not hang on the fate of the others.
        starts = (noise(clean, epsilon, generator) if random_start else clean.clone() for _ in range(restarts))
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
    """Each image as it was when the model got it wrong, else its last."""
    found = clean.clone()
    standing = torch.arange(len(clean), device=clean.device)  # what nothing has fooled yet
    for here in starts:
        if not len(standing):
            break
        still = _from_one_start(model, here, clean, labels, standing, steps, climb)
        found[standing] = here[standing]
        standing = still
    return found


def _from_one_start(
    model: nn.Module, here: Tensor, clean: Tensor, labels: Tensor, rows: Tensor, steps: int, climb: Climb
) -> Tensor:
    """Move some rows of ``here``, each until the model gets it wrong or all steps are made; those still right after it.

    An image that leaves makes room for the next one that waits, so that the model sees full batches to the end.
    """
    full = min(len(rows), BATCH)
    active, waiting = rows[:full], rows[full:]
    made, through = torch.zeros_like(labels), []
    while len(active):
        logits, slope = gradient(model, *(whole[_filled(active, full)] for whole in (here, labels)))
        right = logits[: len(active)].argmax(dim=1) == labels[active]
        active, slope = active[right], slope[: len(active)][right]
        here[active] = climb(here[active], slope, clean[active])
        made[active] += 1
        last = made[active] == steps
        through.append(active[last])
        active = active[~last]
        room = full - len(active)
        active, waiting = torch.cat([active, waiting[:room]]), waiting[room:]
    # The answer to the last step is not known yet; it takes no gradient.
    parts = torch.split(torch.cat(through), full)
    return torch.cat([part[predicted(model, here[part]) == labels[part]] for part in parts])


def _filled(rows: Tensor, full: int) -> Tensor:
    """Rows, the first of them repeated until their number is one of few: four to each doubling, and the full batch.

    A processor prepares a convolution anew for every size of a batch, which costs it more than some images do.
    """
    step = max(1, 2 ** (len(rows) - 1).bit_length() // 8)
    size = min(full, -(-len(rows) // step) * step)
    return torch.cat([rows, rows[:1].expand(size - len(rows))])


@torch.no_grad()
def _losses(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(answered(model, images).to(images.dtype), labels, reduction="none")
