"""Representations: what enters the head, and what the layers on the way there give, one vector per image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from biaskit.errors import UnsupportedModel
from biaskit.features import find_layer, hooked, passed

__all__ = ["entering_head", "layer_vectors", "layers_with_weights", "scaling", "vectors"]

Floats = npt.NDArray[np.float64]

#: A feature that varies by less than this share of its mean, or of the feature that varies most, holds rounding errors.
_ROUNDING = 1e-6


def vectors(output: Any, what: str) -> Tensor:
    """What a layer gave for B images as one vector each, (B, D): the mean over positions.

    Parameters
    ----------
    output : Tensor
        (B, D) is taken as it is; of maps (B, D, H, W) the mean over places, of tokens (B, T, D) over tokens, and of
        maps with channels last (B, H, W, D), which are told by their equal sides, over places again.
    what : str
        Names the layer in messages.

    Returns
    -------
    Tensor (B, D), float32

    Raises
    ------
    UnsupportedModel
        No tensor with a place for the images, or NaN.

    Examples
    --------
    >>> vectors(torch.tensor([[[[0.0, 1.0], [2.0, 3.0]]]]), "conv").tolist()
    [[1.5]]
    >>> vectors(torch.ones(2, 7, 7, 96), "stage").shape
    torch.Size([2, 96])
    """
    if not isinstance(output, Tensor) or output.ndim < 2:
        given = tuple(output.shape) if isinstance(output, Tensor) else f"a {type(output).__name__}"
        raise UnsupportedModel(f"layer {what!r} gives {given}; expected numbers for each image, (B, D) or (B, D, H, W)")
    found = output.detach().float()
    last = found.ndim == 4 and found.shape[1] == found.shape[2] != found.shape[3]
    if found.ndim == 3 or last:
        found = found.flatten(1, -2).mean(dim=1)
    elif found.ndim > 2:
        found = found.flatten(2).mean(dim=2)
    else:
        found = found.clone()  # A layer behind may write over what this one gave.
    if not bool(torch.isfinite(found).all()):
        raise UnsupportedModel(f"layer {what!r} gives NaN or infinite values; nothing can be said of what it holds")
    return found


def entering_head(model: nn.Module, images: Tensor) -> tuple[str, Tensor]:
    """The full name of the last linear layer that the images pass, and what goes into it.

    Of a model that ends in other classes than those of the data, behind which answers are gathered, it is that model's
    own head.

    Parameters
    ----------
    model : nn.Module
        Its mode is left as it is.
    images : Tensor (B, C, H, W), float in [0, 1]

    Returns
    -------
    name : str
    entering : Tensor (B, D), float32
        As :func:`vectors`.

    Raises
    ------
    UnsupportedModel
        No linear layer is passed.

    Examples
    --------
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> name, entering = entering_head(net, torch.zeros(5, 1, 2, 2))
    >>> name, entering.shape
    ('3', torch.Size([5, 3]))
    """
    found: list[tuple[str, Tensor]] = []

    def keep(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
            found[:] = [(name, vectors(inputs[0], name))]

        return hook

    handles = [
        module.register_forward_pre_hook(keep(name))
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
    ]
    try:
        model(images)
    finally:
        for handle in handles:
            handle.remove()
    if not found:
        raise UnsupportedModel(
            f"{type(model).__name__} has no linear layer whose input could be looked at; name a layer with `layer`, or "
            'take its answers with layer = "logits"'
        )
    return found[0]


def layer_vectors(model: nn.Module, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
    """What several layers give for a batch of images, in one pass, one vector per image as :func:`vectors`.

    Parameters
    ----------
    model : nn.Module
        Its mode is left as it is.
    images : Tensor (B, C, H, W), float in [0, 1]
    layers : sequence of str
        Each as in :func:`biaskit.features.find_layer`.

    Returns
    -------
    dict of full name to Tensor (B, D)
        In the order given; of a layer that is passed several times, the last.

    Raises
    ------
    UnknownName, SpecError
        A layer that is not there, or one of several.
    UnsupportedModel
        A layer that is never passed, or one that gives no numbers.

    Examples
    --------
    >>> net = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(inplace=True), nn.Flatten())
    >>> {name: tuple(one.shape) for name, one in layer_vectors(net, torch.zeros(3, 1, 4, 4), ["0", "2"]).items()}
    {'0': (3, 2), '2': (3, 32)}
    """
    names = [find_layer(model, one) for one in layers]
    found: dict[str, Tensor] = {}

    def keep(name: str, module: nn.Module, output: Any) -> None:
        found[name] = vectors(output, name)

    with hooked({name: model.get_submodule(name) for name in names}, keep):
        model(images)
    missing = [name for name in names if name not in found]
    if missing:
        raise UnsupportedModel(f"layer {missing[0]!r} is passed by no image; leave it out")
    return {name: found[name] for name in names}


def layers_with_weights(model: nn.Module, images: Tensor, at_least: int = 5) -> tuple[str, ...]:
    """The layers of a model, coarse before fine, in the order in which images pass them.

    The model is opened level by level, blocks into their parts, until it has so many layers with weights (a parameter
    of two dimensions or more: convolutions and linear layers, not normalizations) or nothing is left to open.

    Parameters
    ----------
    model : nn.Module
        Its mode and its statistics are left as they are.
    images : Tensor (B, C, H, W), float in [0, 1]
        One is enough.
    at_least : int
        Five opens a residual network into its stem, its stages and its head.

    Returns
    -------
    tuple of str
        Full names of those that give numbers for each image.

    Raises
    ------
    UnsupportedModel
        No such layer.

    Examples
    --------
    >>> block = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    >>> net = nn.Sequential(block, nn.Flatten(), nn.Linear(16, 2))
    >>> layers_with_weights(net, torch.zeros(1, 3, 4, 4)), layers_with_weights(net, torch.zeros(1, 3, 4, 4), 2)
    (('0.0', '2'), ('0', '2'))
    """
    order: dict[str, None] = {}

    def look(name: str, module: nn.Module, output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim > 1 and len(output) == 1:
            order.pop(name, None)
            order[name] = None

    passed(model, images, look)
    parts: list[tuple[str, nn.Module]] = [("", model)]
    while sum(_has_weights(one) for _, one in parts) < at_least:
        opened = [
            inner
            for name, one in parts
            for inner in (
                [(f"{name}.{child}".lstrip("."), part) for child, part in one.named_children()]
                if _has_weights(one) and any(True for _ in one.children())
                else [(name, one)]
            )
        ]
        if len(opened) == len(parts) and all(a is b for (_, a), (_, b) in zip(opened, parts, strict=True)):
            break
        parts = opened
    weighted = {name for name, one in parts if _has_weights(one)}
    found = tuple(name for name in order if name in weighted)
    if not found:
        raise UnsupportedModel(
            f"{type(model).__name__} has no layer with weights that gives numbers for each image; name the layers with "
            "`layers`"
        )
    return found


def scaling(found: npt.NDArray[np.floating[Any]]) -> tuple[Floats, Floats]:
    """Mean and factor of every feature, so that ``(x - mean) * factor`` has mean 0 and standard deviation 1.

    Parameters
    ----------
    found : array (n, D)

    Returns
    -------
    mean, factor : float array (D,)
        The factor is 0 where a feature does not vary, or by rounding errors alone, which would otherwise be blown up.

    Examples
    --------
    >>> mean, factor = scaling(np.asarray([[0.0, 7.0], [4.0, 7.0]]))
    >>> mean.tolist(), factor.tolist()
    ([2.0, 7.0], [0.5, 0.0])
    """
    mean, spread = found.mean(axis=0, dtype=np.float64), found.std(axis=0, dtype=np.float64)
    varies = spread > _ROUNDING * np.maximum(spread.max(), np.abs(mean))
    return mean, np.divide(1.0, spread, out=np.zeros_like(spread), where=varies)


def _has_weights(module: nn.Module) -> bool:
    return any(one.ndim > 1 for one in module.parameters())
