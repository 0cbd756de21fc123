"""Inner layers of a network: their names, their activations, the deepest map, the head, and drawing them anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from biaskit.errors import SpecError, UnknownName, UnsupportedModel

__all__ = ["deepest_map", "features", "find_layer", "head", "layers", "redraw", "with_features"]

#: Poolings to a fixed size: a small map is copied to a larger one there, which adds positions but no information.
_TO_A_SIZE = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def layers(model: nn.Module) -> tuple[str, ...]:
    """The full names of all layers, as the model registers them.

    Parameters
    ----------
    model : nn.Module

    Returns
    -------
    tuple of str
        Empty for a model that has no sub-modules.

    Examples
    --------
    >>> layers(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.ReLU())))
    ('0', '1', '1.0')
    """
    return tuple(name for name, _ in model.named_modules() if name)


def find_layer(model: nn.Module, name: str) -> str:
    """The full name of a layer from its end: ``layer4`` finds ``net.layer4``.

    Parameters
    ----------
    model : nn.Module
    name : str
        A full name, or the last parts of one. Of several that end so, the one with the fewest parts is meant:
        ``conv1`` is ``net.conv1`` and not ``net.layer1.conv1``.

    Returns
    -------
    str

    Raises
    ------
    UnknownName
        With the nearest names.
    SpecError
        Several layers end so.
    UnsupportedModel
        The model has no layers that could be named, or is TorchScript.

    Examples
    --------
    >>> find_layer(nn.Sequential(nn.Sequential(nn.ReLU(), nn.ReLU())), "1")
    '0.1'
    """
    known = _named(model)
    if name in known:
        return name
    ending = [one for one in known if one.endswith(f".{name}")]
    shortest = [one for one in ending if one.count(".") == min(other.count(".") for other in ending)]
    if not shortest:
        raise UnknownName("layer", name, known)
    if len(shortest) > 1:
        raise SpecError(f"layer {name!r} may be {' or '.join(shortest)}; write more of its name")
    return shortest[0]


def features(model: nn.Module, images: Tensor, layer: str) -> Tensor:
    """What a layer gives for a batch of images.

    The gradient passes through it, and the model's mode (train or eval) is left as it is: losses on inner activations
    need both.

    Parameters
    ----------
    model : nn.Module
    images : Tensor (B, C, H, W), float in [0, 1]
    layer : str
        As in :func:`find_layer`.

    Returns
    -------
    Tensor (B, ...)
        As the layer gave it, before any later layer works on it in place; of a layer that is passed several times,
        the last.

    Raises
    ------
    UnknownName
        No such layer.
    UnsupportedModel
        A layer that is never passed, one whose output is no tensor, or one of TorchScript.

    Examples
    --------
    >>> net = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False), nn.ReLU(inplace=True))
    >>> _ = net[1].weight.data.copy_(-torch.eye(2))
    >>> features(net, torch.ones(1, 2, 1, 1), "1").tolist()
    [[-1.0, -1.0]]
    """
    return with_features(model, images, layer)[1]


def with_features(model: nn.Module, images: Tensor, layer: str) -> tuple[Any, Tensor]:
    """What the model gives for a batch of images, and beside it what a layer gave on the way, as :func:`features`.

    Examples
    --------
    >>> net = nn.Sequential(nn.Flatten(), nn.ReLU())
    >>> [one.tolist() for one in with_features(net, torch.full((1, 1, 1, 2), -1.0), "0")]
    [[[0.0, 0.0]], [[-1.0, -1.0]]]
    """
    full = find_layer(model, layer)
    found: list[Any] = []

    def keep(name: str, module: nn.Module, output: Any) -> None:
        # A copy: an activation in place behind the layer would write over what the layer gave.
        found[:] = [output.clone() if isinstance(output, Tensor) else output]

    module = model.get_submodule(full)
    _open(module, f"layer {full!r}")
    with hooked({full: module}, keep):
        given = model(images)
    if not found or not isinstance(found[0], Tensor):
        why = f"gives a {type(found[0]).__name__}, not a tensor" if found else "is passed by no image"
        raise UnsupportedModel(f"layer {full!r} {why}; the layers are {_some(layers(model))}")
    return given, found[0]


def deepest_map(model: nn.Module, images: Tensor, at_least: int = 4) -> str:
    """The deepest layer, behind the first convolution, whose output is a map of at least so many positions a side.

    Parameters
    ----------
    model : nn.Module
        Its mode and its statistics are left as they are.
    images : Tensor (B, C, H, W), float in [0, 1]
        The size of a map depends on that of the images; one image is enough.
    at_least : int
        Smallest height and width.

    Returns
    -------
    str
        The layer that is left last: ``net.layer3`` and not ``net.layer3.relu``. Poolings to a fixed size do not
        count.

    Raises
    ------
    UnsupportedModel
        No convolution, or only smaller maps.

    Examples
    --------
    >>> net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(6), nn.Flatten())
    >>> deepest_map(net, torch.zeros(1, 3, 8, 8))
    '1'
    """
    found: list[str] = []
    sizes: list[tuple[int, int]] = []
    pooled: list[Any] = []
    convolved = False

    def look(name: str, module: nn.Module, output: Any) -> None:
        nonlocal convolved
        convolved = convolved or isinstance(module, _CONVOLUTIONS)
        if isinstance(module, _TO_A_SIZE):
            pooled.append(output)
        if any(output is one for one in pooled) or not convolved or not isinstance(output, Tensor) or output.ndim != 4:
            return
        sizes.append((output.shape[2], output.shape[3]))
        if min(sizes[-1]) >= at_least:
            found.append(name)

    passed(model, images[:1], look)
    if not found:
        largest = max(sizes, default=None)
        why = f"its largest is {largest[0]} x {largest[1]}" if largest else "no convolutional layer is passed"
        raise UnsupportedModel(
            f"the model has no map of at least {at_least} x {at_least} for images of {images.shape[2]} x "
            f"{images.shape[3]}: {why}; name a layer with `layer`, or take larger images"
        )
    return found[-1]


def head(model: nn.Module, classes: int, images: Tensor | None = None) -> str:
    """The linear layer that gives the logits.

    Parameters
    ----------
    model : nn.Module
        Its mode and its statistics are left as they are.
    classes : int
        Outputs of the head.
    images : Tensor (B, C, H, W), float in [0, 1], optional
        With them the layer is found by a forward pass: the last one passed whose output is the model's own. Without
        them it is the last linear layer registered with so many outputs.

    Returns
    -------
    str
        Its full name.

    Raises
    ------
    UnsupportedModel
        No such layer.

    Examples
    --------
    >>> head(nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 2)), 2)
    '3'
    """
    linear = {name: module for name, module in model.named_modules() if name and isinstance(module, nn.Linear)}
    fitting: list[str] = [name for name, module in linear.items() if module.out_features == classes]
    if images is not None:
        last: dict[str, Tensor] = {}

        def keep(name: str, module: nn.Module, output: Any) -> None:
            if name in fitting:
                last[name] = output

        logits = passed(model, images[:1], keep)
        fitting = [name for name, output in last.items() if output is logits or torch.equal(output, logits)]
    if not fitting:
        raise UnsupportedModel(
            f"no linear layer gives the {classes} logits; the linear layers are "
            f"{_some([f'{name} ({module.out_features} outputs)' for name, module in linear.items()])}. Name the layer "
            "to replace, or end the model in an nn.Linear"
        )
    return fitting[-1]


@torch.no_grad()
def redraw(model: nn.Module) -> int:
    """Draw every parameter of a network anew, layer by layer, each in its own initialization.

    Parameters
    ----------
    model : nn.Module
        Changed in place; the global generator is read, so call it inside :func:`biaskit.rng.scoped`.

    Returns
    -------
    int
        Layers that were drawn anew; those that cannot (no ``reset_parameters``) keep their parameters.

    Examples
    --------
    >>> redraw(nn.Sequential(nn.Linear(2, 2), nn.ReLU()))
    1
    """
    drawn = 0
    for module in model.modules():
        reset = getattr(module, "reset_parameters", None)
        if callable(reset):
            reset()
            drawn += 1
    return drawn


def _named(model: nn.Module) -> tuple[str, ...]:
    known = layers(model)
    if not known:
        raise UnsupportedModel(
            f"{type(model).__name__} has no sub-modules, so none of its layers can be named; build it from nn.Modules"
        )
    _open(model, "the model")
    return known


def _open(module: nn.Module, what: str) -> None:
    """Refuse TorchScript: a scripted module takes no hook, and the layers inside a traced one never call theirs."""
    if isinstance(module, torch.jit.ScriptModule):
        raise UnsupportedModel(
            f"{what} is TorchScript ({type(module).__name__}), whose layers cannot be looked at; give the nn.Module "
            "that it was made from"
        )


def passed(model: nn.Module, images: Tensor, look: Callable[[str, nn.Module, Any], None]) -> Any:
    """The output of a forward pass in eval mode, after ``look(name, layer, output)`` of every layer passed."""
    _named(model)
    modes = {module: module.training for module in model.modules()}
    seen = {name: one for name, one in model.named_modules() if name and not isinstance(one, torch.jit.ScriptModule)}
    model.eval()
    try:
        with torch.no_grad(), hooked(seen, look):
            return model(images)
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def hooked(modules: dict[str, nn.Module], look: Callable[[str, nn.Module, Any], None]) -> Iterator[None]:
    """Call ``look`` for every pass through one of the modules; nothing of it is left behind."""

    def hook(name: str) -> Callable[[nn.Module, Any, Any], None]:
        return lambda module, inputs, output: look(name, module, output)

    handles = []
    try:
        for name, module in modules.items():
            handles.append(module.register_forward_hook(hook(name)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _some(names: list[str] | tuple[str, ...]) -> str:
    """The last few names, which are the deepest."""
    return ("..., " if len(names) > 8 else "") + ", ".join(names[-8:]) if names else "none"


def finite(logits: Tensor, what: str = "changed images") -> Tensor:
    """Logits (B, K) as they are, if every one of them is a number.

    The largest of a row with NaN is no answer, and a distance to one is no distance: without this look, NaN would count
    as label 0, or as no distance at all.

    Raises
    ------
    UnsupportedModel
        NaN or infinite logits, which a model may give on changed images alone.

    Examples
    --------
    >>> finite(torch.tensor([[0.0, 1.0]])).tolist()
    [[0.0, 1.0]]
    """
    if not bool(torch.isfinite(logits).all()):
        bad = int((~torch.isfinite(logits)).flatten(1).any(dim=1).sum())
        raise UnsupportedModel(
            f"the model gives NaN or infinite logits for {bad:,} of {len(logits):,} {what}; "
            "nothing can be said of its answers there"
        )
    return logits
