"""Attribution maps of a batch: integrated gradients, Grad-CAM and LIME, computed by captum in bounded memory.

Every function takes images (B, C, H, W) and the label codes (B,) whose output is explained, and gives maps (B, H, W)
in float32 on the CPU: one number per pixel, summed over channels. No map depends on the other images of the batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from captum._utils.models.linear_model import SkLearnRidge
from captum.attr import IntegratedGradients, LayerAttribution, LayerGradCam, LimeBase
from torch import Tensor, nn

from biaskit.errors import UnsupportedModel
from biaskit.features import finite
from biaskit.rng import scoped, torch_generator

__all__ = [
    "COMPLETE",
    "FINER",
    "cells_of",
    "completed",
    "completeness_error",
    "grad_cam",
    "integrated_gradients",
    "lime",
    "pass_size",
]

#: Pixels of one pass through the model, and the most images.
_PIXELS, _IMAGES = 2**18, 256
#: Integrated gradients that miss the difference of the logits by more are computed again, with more steps.
COMPLETE, FINER = 0.02, 4
#: Width of LIME's kernel on the cosine distance between masks.
KERNEL_WIDTH = 0.25
#: Strength of LIME's ridge, beside sums of weights of a hundred and more: it settles which solution is taken where a
#: cell is shown in no mask or in all, and shrinks nothing. At 1, the custom, weight leaks to cells that do not matter.
RIDGE = 1e-3
#: A response that varies less than this over all masks is constant up to rounding.
_CONSTANT = 1e-6


def pass_size(images: Tensor) -> int:
    """How many images of this size go through the model at once.

    Examples
    --------
    >>> [pass_size(torch.empty(0, 3, side, side)) for side in (16, 64, 999)]
    [256, 64, 1]
    """
    return min(_IMAGES, max(1, _PIXELS // (images.shape[2] * images.shape[3])))


def integrated_gradients(model: nn.Module, images: Tensor, targets: Tensor, steps: int) -> Tensor:
    """``x_i / m * sum_k dF_y((k - 1/2)/m x) / dx_i``: from a black image, along the logit, by the midpoint rule.

    Parameters
    ----------
    model : nn.Module
    images : Tensor (B, C, H, W)
        At most ``pass_size(images)``.
    targets : int64 Tensor (B,)
    steps : int
        m.

    Returns
    -------
    Tensor (B, H, W)
        Signed; they add up to ``F_y(x) - F_y(0)`` as far as the steps suffice.

    Raises
    ------
    UnsupportedModel
        The model cannot be differentiated.

    References
    ----------
    Sundararajan et al., Axiomatic attribution for deep networks, ICML 2017, equation 3.

    Examples
    --------
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 1, bias=False))
    >>> _ = net[1].weight.data.copy_(torch.tensor([[1.0, -2.0, 0.0, 4.0]]))
    >>> integrated_gradients(net, torch.full((1, 1, 2, 2), 0.5), torch.tensor([0]), 4).tolist()
    [[[0.5, -1.0], [0.0, 2.0]]]
    """
    # Adding nothing: a logit that does not depend on the image has the gradient zero, which autograd calls an error.
    explainer = IntegratedGradients(lambda x: model(x) + 0.0 * x.flatten(1).sum(dim=1, keepdim=True))
    with _differentiated("the image"):
        found: Tensor = explainer.attribute(
            images, target=targets, n_steps=steps, method="riemann_middle", internal_batch_size=pass_size(images)
        )
    return found.detach().sum(dim=1).float().cpu()


def completed(model: nn.Module, images: Tensor, targets: Tensor, maps: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Integrated gradients, computed again with four times the steps where they miss completeness by 2 % or more.

    Returns
    -------
    maps : Tensor (B, H, W)
    error : Tensor (B,)
        As in :func:`completeness_error`, of these maps.
    """
    error = completeness_error(model, images, targets, maps)
    rough = error >= COMPLETE
    if bool(rough.any()):
        there = rough.to(images.device)
        maps = maps.clone()
        maps[rough] = integrated_gradients(model, images[there], targets[there], FINER * steps)
        error[rough] = completeness_error(model, images[there], targets[there], maps[rough])
    return maps, error


@torch.no_grad()
def completeness_error(model: nn.Module, images: Tensor, targets: Tensor, maps: Tensor) -> Tensor:
    """``|sum(IG) - (F_y(x) - F_y(0))| / |F_y(x) - F_y(0)|`` per image, (B,); NaN where the logit does not differ."""
    target = targets[:, None]
    here, black = (model(one).gather(1, target)[:, 0].double().cpu() for one in (images, torch.zeros_like(images)))
    moved = here - black
    # Logits that differ in the last bits of a float32 are the same.
    differs = moved.abs() > 1e-6 * torch.maximum(here.abs(), black.abs())
    return torch.where(differs, (maps.double().sum(dim=(1, 2)) - moved).abs() / moved.abs(), torch.nan)


def grad_cam(model: nn.Module, images: Tensor, targets: Tensor, layer: str) -> Tensor:
    """``relu(sum_c w_c A_c)``, w_c the mean gradient of the logit over the map A_c; bilinear to the image's size.

    Parameters
    ----------
    model : nn.Module
    images : Tensor (B, C, H, W)
        At most ``pass_size(images)``.
    targets : int64 Tensor (B,)
    layer : str
        The full name of a layer that gives maps A (B, c, h, w).

    Returns
    -------
    Tensor (B, H, W)
        Not negative.

    Raises
    ------
    UnsupportedModel
        The logits do not come from that layer.

    References
    ----------
    Selvaraju et al., Grad-CAM, ICCV 2017, equations 1 and 2.

    Examples
    --------
    >>> net = nn.Sequential(nn.Conv2d(1, 1, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    >>> _ = net[0].weight.data.fill_(1.0), net[0].bias.data.zero_()
    >>> image = torch.tensor([[[[1.0, 0.0], [0.0, 3.0]]]])
    >>> grad_cam(net, image, torch.tensor([0]), "0").tolist()
    [[[0.25, 0.0], [0.0, 0.75]]]
    """
    explainer = LayerGradCam(model, model.get_submodule(layer))
    with _differentiated(f"layer {layer!r}"):
        found = explainer.attribute(images, target=targets, relu_attributions=True)
    whole: Tensor = LayerAttribution.interpolate(found, tuple(images.shape[2:]), interpolate_mode="bilinear")
    return whole.detach()[:, 0].float().cpu()


@contextmanager
def _differentiated(by: str) -> Iterator[None]:
    """Say what stops autograd as what it is, a model that has no such gradient."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        reason = str(error).partition("\n")[0]
        raise UnsupportedModel(f"no gradient of the logits with respect to {by}: {reason}") from error


def cells_of(height: int, width: int, side: int) -> Tensor:
    """The number of the cell that every pixel is in, (H, W): a grid of ``side x side``, at most as many as pixels.

    Examples
    --------
    >>> cells_of(4, 4, 2).tolist()
    [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]
    """
    down = torch.arange(height) * side // height
    across = torch.arange(width) * side // width
    return down[:, None] * side + across


def lime(
    model: nn.Module,
    images: Tensor,
    targets: Tensor,
    rows: Sequence[int],
    *,
    masks: int,
    cells: int,
) -> Tensor:
    """The weights of a linear regression of the label's probability on which cells of the image are shown.

    Every mask z shows each cell with probability 1/2 and paints the others in the image's mean color; it counts with
    weight ``exp(-d^2 / 0.25^2)``, d the cosine distance between z and the mask that shows everything. The masks of an
    image are drawn from its row number: they are the same for every model and for a perturbed copy.

    Parameters
    ----------
    model : nn.Module
    images : Tensor (B, C, H, W)
    targets : int64 Tensor (B,)
    rows : sequence of int
        The images' rows in the data set.
    masks : int
        Masks per image, more than there are cells.
    cells : int
        Cells along each side, at most as many as pixels.

    Returns
    -------
    Tensor (B, H, W)
        The weight of the cell at each of its pixels, signed; all zero where the probability does not depend on the
        mask.

    Raises
    ------
    UnsupportedModel
        NaN or infinite logits for images with hidden cells.

    References
    ----------
    Ribeiro et al., "Why should I trust you?", KDD 2016, algorithm 1; the grid and the numbers are ours.
    """
    of_pixel = cells_of(images.shape[2], images.shape[3], cells).to(images.device)
    number = int(of_pixel.max()) + 1
    found = []
    for image, target, row in zip(images, targets.tolist(), rows, strict=True):
        response = _Response(model, target)
        explainer = LimeBase(response, SkLearnRidge(alpha=RIDGE), _weight, _masks, True, _show, None)
        # The loader of the regression takes a seed of its own from the global generator.
        with scoped(0):
            weights = explainer.attribute(
                image[None],
                n_samples=masks,
                perturbations_per_eval=pass_size(images),
                mean=image.mean(dim=(1, 2), keepdim=True)[None],
                of_pixel=of_pixel,
                number=number,
                generator=torch_generator(0, "lime", int(row)),
                count=masks,
            )
        constant = response.high - response.low < _CONSTANT
        found.append(torch.zeros(of_pixel.shape) if constant else weights.flatten().float().cpu()[of_pixel.cpu()])
    return torch.stack(found) if found else torch.empty(0, *of_pixel.shape)


class _Response:
    """The probability of one label, and the smallest and the largest that was given."""

    def __init__(self, model: nn.Module, target: int) -> None:
        self.model, self.target = model, target
        self.low, self.high = math.inf, -math.inf

    def __call__(self, images: Tensor) -> Tensor:
        found: Tensor = finite(self.model(images).float()).softmax(dim=1)[:, self.target]
        self.low, self.high = min(self.low, float(found.min())), max(self.high, float(found.max()))
        return found


def _masks(image: Tensor, *, number: int, generator: torch.Generator, count: int, **more: object) -> Iterator[Tensor]:
    drawn = torch.randint(2, (count, number), generator=generator)
    yield from torch.split(drawn.to(image.device), 1)


def _show(mask: Tensor, image: Tensor, *, mean: Tensor, of_pixel: Tensor, **more: object) -> Tensor:
    return torch.where(mask[0][of_pixel].bool(), image, mean)


def _weight(image: Tensor, shown: Tensor, mask: Tensor, **more: object) -> float:
    # The cosine of the angle between a mask with k of F cells and the full one is sqrt(k / F).
    distance = 1.0 - math.sqrt(float(mask.float().mean()))
    return math.exp(-(distance**2) / KERNEL_WIDTH**2)
