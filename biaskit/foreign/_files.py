"""What a file of a model is, and weights from files: tensors alone, unless pickles are trusted."""

from __future__ import annotations

import json
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from biaskit.errors import DataError, UnsupportedModel

__all__ = ["Kind", "about_ours", "fit_weights", "kind_of", "other_outputs", "read_pickle", "read_weights"]

Kind = Literal["safetensors", "onnx", "program", "torchscript", "pickle", "unknown"]
#: Where checkpoints of other tools keep the weights.
_NESTED = ("state_dict", "model_state_dict", "model", "net", "weights")
#: What wrappers put before every name.
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.")
TRUST = "if you trust whoever made it, say --trust-pickle; better, have it written as .safetensors"


def kind_of(path: Path) -> Kind:
    """What a file is, by its suffix where that is enough and else by what is in it.

    Raises
    ------
    DataError
        The file cannot be read.
    """
    suffixes: dict[str, Kind] = {".safetensors": "safetensors", ".onnx": "onnx"}
    if path.suffix in suffixes:
        return suffixes[path.suffix]
    try:
        if not zipfile.is_zipfile(path):
            with path.open("rb") as stream:
                return "pickle" if stream.read(1) == b"\x80" else "unknown"
        with zipfile.ZipFile(path) as archive:
            members = {name.partition("/")[2] or name for name in archive.namelist()}
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    if "archive_format" in members or "serialized_exported_program.json" in members:
        return "program"
    if "constants.pkl" in members:
        return "torchscript"
    return "pickle" if "data.pkl" in members else "unknown"


def read_weights(path: Path, *, trust_pickle: bool) -> dict[str, Tensor]:
    """The tensors of a file by name.

    Checkpoints that keep them one level deeper, and names with the prefix of a wrapper, are taken as they are here;
    :func:`fit_weights` sees to the names.

    Raises
    ------
    DataError
        No such file, a damaged one, or one that holds no tensors.
    UnsupportedModel
        A pickle that holds more than tensors, and is not trusted.
    """
    if not path.is_file():
        raise DataError(f"--weights {path}: no such file")
    kind = kind_of(path)
    if kind == "safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise DataError(f"{path}: not a readable .safetensors file ({error})") from None
    if kind != "pickle":
        raise DataError(f"--weights {path} is no file of weights ({kind}); give .safetensors, or a state dict in .pt")
    content = read_pickle(path, trust_pickle=trust_pickle)
    if isinstance(content, nn.Module):
        return content.state_dict()
    found = _tensors(content)
    if found is None:
        raise DataError(f"{path} holds a {type(content).__name__} without weights; expected a state dict")
    return found


def read_pickle(path: Path, *, trust_pickle: bool) -> Any:
    """The content of a file of ``torch.save``: tensors in plain containers, more only if the pickle is trusted.

    Raises
    ------
    DataError
        A damaged file.
    UnsupportedModel
        It holds more, and is not trusted.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        if not trust_pickle:
            raise UnsupportedModel(
                f"{path} is a pickle that holds more than tensors; reading it may run any code; {TRUST}"
            ) from None
    except Exception as error:  # damaged bytes make the reader fail in any way
        raise DataError(f"{path} cannot be read ({_first_line(error)})") from None
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:  # whatever the pickled code raises, such as a module that is not installed
        raise UnsupportedModel(f"{path} cannot be unpickled: {type(error).__name__}: {_first_line(error)}") from None


def about_ours(path: Path) -> dict[str, Any] | None:
    """What a checkpoint of ours says of itself: model, classes, shape; None for any other .safetensors file.

    Raises
    ------
    DataError
        The file is damaged.
    """
    try:
        with safe_open(path, "pt") as stream:
            about = json.loads((stream.metadata() or {}).get("biaskit", "null"))
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(f"{path}: not a readable .safetensors file ({error})") from None
    known = isinstance(about, dict) and {"model", "classes", "shape"} <= set(about)
    return about if known else None


def fit_weights(net: nn.Module, weights: Mapping[str, Tensor], path: Path | str) -> nn.Module:
    """Put weights into a network; every tensor must have its place and its size.

    Raises
    ------
    UnsupportedModel
        Naming the first tensor that does not fit.

    Examples
    --------
    >>> net = fit_weights(nn.Linear(1, 1), {"module.weight": torch.ones(1, 1), "module.bias": torch.zeros(1)}, "w")
    >>> net.weight.item()
    1.0
    """
    wanted = net.state_dict()
    given = _renamed(weights, wanted)
    # Counters of batch normalization came later than some checkpoints; no answer depends on them.
    missing = [name for name in wanted if name not in given and not name.endswith("num_batches_tracked")]
    extra = [name for name in given if name not in wanted]
    if missing or extra:
        said = [f"{len(missing):,} tensors are missing (first: {missing[0]})"] if missing else []
        said += [f"{len(extra):,} have no place (first: {extra[0]})"] if extra else []
        raise UnsupportedModel(f"{path} does not fit {type(net).__name__}: {', '.join(said)}")
    for name, tensor in given.items():
        if tensor.shape != wanted[name].shape:
            raise UnsupportedModel(
                f"{path} does not fit {type(net).__name__}: {name} is {tuple(tensor.shape)} in the file and "
                f"{tuple(wanted[name].shape)} in the model"
            )
    net.load_state_dict(given, strict=False)
    return net


def other_outputs(net: nn.Module, weights: Mapping[str, Tensor]) -> int | None:
    """How many outputs weights are for, if the number of outputs is all in which they differ from a network.

    Examples
    --------
    >>> other_outputs(nn.Linear(3, 1000), {"weight": torch.ones(12, 3), "bias": torch.ones(12)})
    12
    """
    mine = net.state_dict()
    differing = {
        (int(mine[name].shape[0]), int(one.shape[0]))
        for name, one in _renamed(weights, mine).items()
        if name in mine and one.shape != mine[name].shape and one.ndim and mine[name].ndim
    }
    return differing.pop()[1] if len(differing) == 1 else None


def _renamed(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    found = dict(weights)
    for prefix in _PREFIXES:
        if not any(name.startswith(prefix) for name in wanted) and all(name.startswith(prefix) for name in found):
            found = {name.removeprefix(prefix): tensor for name, tensor in found.items()}
    return found


def _tensors(content: Any) -> dict[str, Tensor] | None:
    """The state dict in what a checkpoint holds."""
    if not isinstance(content, Mapping):
        return None
    if content and all(isinstance(one, Tensor) for one in content.values()):
        return {str(name): one for name, one in content.items()}
    nested = [content[name] for name in _NESTED if isinstance(content.get(name), Mapping)]
    return _tensors(nested[0]) if nested else None


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
