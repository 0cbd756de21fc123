"""``timm:NAME``: a model of timm, an optional extra, with the sizes, normalization and classes of its weights."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

from torch import nn

from biaskit.errors import MissingExtra, UnknownName, UnsupportedModel
from biaskit.foreign._files import fit_weights, other_outputs, read_weights
from biaskit.foreign._found import Found
from biaskit.rng import scoped

__all__ = ["timm_model"]


def timm_model(name: str, weights: Path | None, *, trust_pickle: bool) -> Found:
    """A model of timm.

    Parameters
    ----------
    name : str
        ``"resnet50"``, or with the tag of its weights ``"resnet50.a1_in1k"``.
    weights : Path, optional
        A file in place of a download; its size, mean and std are taken to be those of the model's own weights.
    trust_pickle : bool

    Raises
    ------
    MissingExtra
        timm is not installed.
    UnknownName
    UnsupportedModel
        Weights that do not fit, or cannot be downloaded.
    """
    try:
        timm: Any = importlib.import_module("timm")
    except ImportError:
        raise MissingExtra(f"timm:{name} needs timm: pip install 'biaskit[timm]'") from None
    if not timm.is_model(name):
        raise UnknownName("timm model", name.partition(".")[0], timm.list_models())
    net: Any
    with scoped(0):
        if weights is None:
            net = _pretrained(timm, name)
        else:
            state = read_weights(weights, trust_pickle=trust_pickle)
            net = timm.create_model(name, pretrained=False)
            outputs = other_outputs(net, state)
            if outputs is not None:
                net = timm.create_model(name, pretrained=False, num_classes=outputs)
            fit_weights(net, state, weights)
    own: dict[str, Any] = net.pretrained_cfg or {}
    how = timm.data.resolve_model_data_config(net)
    tag = f"{name.partition('.')[0]}.{own['tag']}" if own.get("tag") else name
    channels, height, width = how["input_size"]
    # The shorter side is resized a little larger than what is cut out of it.
    resize = math.floor(min(height, width) / how["crop_pct"]) if how["crop_mode"] == "center" else None
    return Found(
        net,
        name,
        f"the weights are {tag} of timm" if weights is None else f"the weights are {weights.name}",
        "timm",
        classes=_classes(timm, net) if weights is None else None,
        channels=channels,
        size=(height, width),
        resize=resize,
        interpolation="bilinear" if how["interpolation"] == "bilinear" else "bicubic",
        mean=tuple(how["mean"]),
        std=tuple(how["std"]),
        source=f"the weights {tag} say" if weights is None else f"{tag} says, which these weights may not be for",
    )


def _pretrained(timm: Any, name: str) -> nn.Module:
    """A model with its weights from the cache of timm, or from the network."""
    try:
        net: nn.Module = timm.create_model(name, pretrained=True)
    except Exception as error:  # timm, the hub and its transport raise errors of their own
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UnsupportedModel(
            f"the weights of timm:{name} are not in the cache and cannot be downloaded ({reason}); get them "
            "elsewhere and say --weights FILE"
        ) from None
    return net


def _classes(timm: Any, net: Any) -> tuple[str, ...] | None:
    """The names of the outputs: those the weights carry, else those of the part of ImageNet they were made for."""
    carried = (net.pretrained_cfg or {}).get("label_names")
    if carried and len(carried) == net.num_classes:
        return tuple(map(str, carried))
    subset = timm.data.infer_imagenet_subset(net)
    if not subset:
        return None
    told = timm.data.ImageNetInfo(subset)
    # Of several words for a class, the first.
    return tuple(told.index_to_description(place).partition(",")[0] for place in range(net.num_classes))
