"""``torchvision:NAME[@WEIGHTS]``: a model with the sizes, normalization and classes of its weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from biaskit.disk import sha256
from biaskit.errors import DataError, SpecError, UnknownName, UnsupportedModel
from biaskit.foreign._files import fit_weights, other_outputs, read_weights
from biaskit.foreign._found import Found
from biaskit.rng import scoped

__all__ = ["torchvision_model"]


def torchvision_model(spec: str, weights: Path | None, *, trust_pickle: bool) -> Found:
    """A classification model of torchvision.

    Parameters
    ----------
    spec : str
        ``"resnet50"`` or ``"resnet50@IMAGENET1K_V2"``.
    weights : Path, optional
        A file in place of a download. A file of torchvision's own name is those weights; it is checked against the
        digest in its name. Of any other file, size, mean and std are those of the weights named, or of the default
        ones, and its classes have no names.
    trust_pickle : bool

    Raises
    ------
    UnknownName, SpecError
        No such model or weights.
    UnsupportedModel
        Weights that do not fit, or cannot be downloaded.
    """
    from torchvision import models

    name, _, tag = spec.partition("@")
    known = models.list_models(module=models)
    if name.lower() not in known:
        raise UnknownName("torchvision model", name, known)
    offered = {one.name: one for one in models.get_model_weights(name)}
    if tag and tag != "DEFAULT" and tag not in offered:
        raise SpecError(f"torchvision:{spec}: {name} has the weights {', '.join(offered)}")
    usual = models.get_model_weights(name).DEFAULT
    wanted = offered.get(tag, usual)
    said = [wanted] if weights is None or tag else [one for one in offered.values() if _is_file_of(one, weights)]
    if weights is None:
        state, origin = _downloaded(wanted, name), f"the weights are {wanted.name} of torchvision"
    else:
        state = read_weights(weights, trust_pickle=trust_pickle)
        origin = f"the weights are {weights.name}" + (f", {said[0].name} of torchvision" if said else "")
    described = said[0] if said else usual
    net = _net(name, state, official=bool(said))
    fit_weights(net, state, weights or Path(described.url).name)
    how = described.transforms()
    return Found(
        net,
        name,
        origin,
        "torchvision",
        classes=tuple(described.meta.get("categories", ())) if said else None,
        channels=3,
        size=(how.crop_size[0], how.crop_size[0]),
        resize=how.resize_size[0],
        interpolation=how.interpolation.value,
        mean=tuple(how.mean),
        std=tuple(how.std),
        source=f"the weights {described.name} say"
        if said
        else f"{described.name} says, which these weights may not be for",
    )


def _net(name: str, state: Mapping[str, Tensor], *, official: bool) -> nn.Module:
    """The network, with as many outputs as the weights have; what it is initialized to does not matter."""
    from torchvision import models

    with scoped(0):
        net: nn.Module = models.get_model(name, weights=None)
        outputs = other_outputs(net, state)
        if outputs is not None:
            net = models.get_model(name, weights=None, num_classes=outputs)
    if official and hasattr(net, "transform_input"):
        # Inception and GoogLeNet were trained on another normalization, and turn ours into it with these weights.
        setattr(net, "transform_input", True)  # noqa: B010, an attribute that not every network has
    return net


def _is_file_of(weights: Any, path: Path) -> bool:
    """Whether a file has the name that torchvision gives these weights; its digest must then be the one in the name."""
    if Path(weights.url).name != path.name:
        return False
    stated = re.search(r"-([0-9a-f]{8,})\.", path.name)
    if stated and path.is_file() and not sha256(path).startswith(stated[1]):
        raise DataError(f"{path} is damaged: its digest is not {stated[1]}...; download {weights.url} again")
    return True


def _downloaded(weights: Any, name: str) -> dict[str, Tensor]:
    """Weights from torch's cache, or from the network."""
    try:
        state: dict[str, Tensor] = weights.get_state_dict(progress=False, check_hash=True, weights_only=True)
    except (OSError, RuntimeError) as error:
        raise UnsupportedModel(
            f"the weights {weights.name} of {name} are not in torch's cache and cannot be downloaded "
            f"({str(error).partition(chr(10))[0]}); get {weights.url} elsewhere and say --weights FILE"
        ) from None
    return state
