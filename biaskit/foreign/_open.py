"""``open_model``: find a model by what the user writes, and fit it to a data set without a guess that is not told."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from biaskit.data import Dataset
from biaskit.errors import BiaskitError, SpecError, UnsupportedModel
from biaskit.foreign._factory import made_by
from biaskit.foreign._files import kind_of, read_pickle
from biaskit.foreign._found import Found, first_channels
from biaskit.foreign._labels import as_label_map, label_places
from biaskit.foreign._onnx import onnx_file
from biaskit.foreign._own import checkpoint, run_folder
from biaskit.foreign._pixels import OnPixels, Preparation
from biaskit.foreign._programs import exported, scripted
from biaskit.foreign._timm import timm_model
from biaskit.foreign._torchvision import torchvision_model
from biaskit.images import MOST_SIDE
from biaskit.rng import scoped
from biaskit.runs import Run, find_run
from biaskit.subject import one_tensor

__all__ = ["ForeignModel", "find_model", "fit_model", "open_model", "preparation"]

FORMS = (
    "a run's folder or its name in biaskit runs list, a .safetensors checkpoint of biaskit, "
    "torchvision:NAME[@WEIGHTS], timm:NAME, package.module:factory, a .pt2, .pt or .onnx file"
)
#: Images that show how many outputs a model has, and of what kind they are.
_PROBED = 4

Numbers = float | Sequence[float]


@dataclass(frozen=True, eq=False, repr=False)
class ForeignModel:
    """A model made elsewhere, ready for :func:`biaskit.audit`.

    Attributes
    ----------
    module : nn.Module
        On float images (B, C, H, W) in [0, 1] of the data's size; logits (B, K) in the order of the data's labels.
    name : str
    assumptions : tuple of str
        What was assumed of weights, sizes, normalization and labels; an audit prints all of it.
    digest : str
        SHA-256 of the weights, of how images reach them, and of the map of labels.
    facts : mapping
        The parts of the digest one by one, for the record: ``kind``, ``weights`` (SHA-256), ``size`` of the images that
        reach the network, ``scaled``, ``cut``, ``interpolation``, ``channels``, ``mean``, ``std``, ``outputs``
        (logits or probabilities) and ``labels`` (SHA-256 of which outputs stand for which label).
    run : Run, optional
        The run of ours that it is, as it was trained.
    """

    module: nn.Module
    name: str
    assumptions: tuple[str, ...]
    digest: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    run: Run | None = None

    def __repr__(self) -> str:
        return f"<ForeignModel {self.name} {self.digest[:8]}: {'; '.join(self.assumptions)}>"


def open_model(
    spec: str | Path,
    *,
    dataset: Dataset,
    weights: str | Path | None = None,
    size: int | None = None,
    mean: Numbers | None = None,
    std: Numbers | None = None,
    labels: str | Path | Mapping[str | int, str] | None = None,
    trust_pickle: bool = False,
    name: str | None = None,
) -> ForeignModel:
    """Open any model for the audit of a data set.

    Parameters
    ----------
    spec : str or path
        A run's folder, or its name in ``biaskit runs list``; a ``.safetensors`` checkpoint of biaskit;
        ``torchvision:NAME[@WEIGHTS]``; ``timm:NAME``; ``package.module:factory``; a program of ``torch.export``
        (``.pt2``), TorchScript (``.pt``) or ONNX file.
    dataset : Dataset
        Its image size and labels are what the model is fitted to.
    weights : path, optional
        For torchvision, timm and factories: ``.safetensors``, or a state dict written by ``torch.save``.
    size : int, optional
        Side of the images that the model takes, in pixels; others are resized (shorter side) and cut to the center.
        Default: what the weights or the file say, else the images as they are.
    mean, std : float or three floats, optional
        ``(x - mean) / std`` for pixels x from 0 to 1. Default: what the weights say, else no normalization.
    labels : path or mapping, optional
        A CSV file with the columns ``model`` (class, by name or number) and ``label``. Several classes of one label
        are joined by logsumexp, classes that are not named are left out. Default: by name where the classes have
        names, else in order, where there are as many outputs as labels.
    trust_pickle : bool
        Read pickles that hold more than tensors, which may run any code.
    name : str, optional
        What the model is called in the report.

    Returns
    -------
    ForeignModel

    Raises
    ------
    SpecError, UnknownName
        Something that names no model, or options that do not fit.
    DataError
        Files that cannot be read, labels without a class.
    UnsupportedModel
        A model that gives no logits, a pickle that is not trusted, weights that do not fit or cannot be downloaded.
    MissingExtra
        timm or onnxruntime is not installed.

    Examples
    --------
    >>> from biaskit import testing
    >>> opened = open_model("biaskit.testing:constant", dataset=testing.tiny())
    >>> opened.assumptions[-1].partition(";")[0]
    "the model's outputs are the labels in this order: left, right"
    """
    found = find_model(spec, weights=weights, trust_pickle=trust_pickle)
    return fit_model(found, dataset, size=size, mean=mean, std=std, labels=labels, name=name)


def find_model(spec: str | Path, *, weights: str | Path | None = None, trust_pickle: bool = False) -> Found:
    """The network that a spec names, before it is fitted to a data set; parameters as in :func:`open_model`."""
    text, path = str(spec), Path(spec).expanduser()
    if not path.exists():
        path = find_run(text) or path
    file = Path(weights).expanduser() if weights is not None else None
    if path.exists():
        if file is not None:
            raise SpecError(f"--weights: {text} has its own; leave --weights out, or name the network in its place")
        return run_folder(path) if path.is_dir() else _file(path, trust_pickle=trust_pickle)
    kind, colon, rest = text.partition(":")
    if colon and rest and kind in ("torchvision", "timm"):
        given = torchvision_model if kind == "torchvision" else timm_model
        return given(rest, file, trust_pickle=trust_pickle)
    if colon and re.fullmatch(r"[\w.]+:[\w.]+", text):
        return made_by(text, file, trust_pickle=trust_pickle)
    if path.suffix or "/" in text or "\\" in text:
        raise SpecError(f"no file or folder {text}; a model is {FORMS}")
    raise SpecError(f"{text!r} names no model; expected {FORMS}" + _suggestion(text))


def fit_model(
    found: Found,
    dataset: Dataset,
    *,
    size: int | None = None,
    mean: Numbers | None = None,
    std: Numbers | None = None,
    labels: str | Path | Mapping[str | int, str] | None = None,
    name: str | None = None,
    read: str = "",
) -> ForeignModel:
    """A network that was found, on the images and labels of a data set; parameters as in :func:`open_model`.

    ``read`` says what was done to the images when they were read, where that gave them the size the network takes.
    """
    mapped, where = as_label_map(labels)
    prepare, said = preparation(found, dataset.images.shape, size, mean, std)
    if read and prepare.scaled is None and prepare.cut is None:
        said[0] = read
    outputs, probabilities = _probe(found.net, prepare, dataset)
    classes = found.classes if found.classes is not None and len(found.classes) == outputs else None
    places, matched = label_places(dataset.classes, outputs, classes, mapped, where)
    if probabilities:
        said.append("the outputs are probabilities (none is below 0, their sum is 1), so their logarithm is taken")
    module = OnPixels(
        found.net, prepare, places, outputs=outputs, probabilities=probabilities, gradients=found.gradients
    )
    weights = found.digest or _of_tensors(found.net)
    plain = repr(prepare) == repr(Preparation()) and module.member is None and not probabilities
    return ForeignModel(
        module.eval(),
        name or found.name,
        (found.origin, *said, matched),
        _digest(weights, prepare, places, probabilities),
        _facts(found, weights, prepare, dataset, places, probabilities),
        found.run if plain else None,
    )


def _file(path: Path, *, trust_pickle: bool) -> Found:
    """A model in one file."""
    kind = kind_of(path)
    if kind == "safetensors":
        return checkpoint(path)
    if kind == "onnx":
        return onnx_file(path)
    if kind == "program":
        return exported(path, trust_pickle=trust_pickle)
    if kind == "torchscript":
        return scripted(path)
    if kind == "unknown":
        raise SpecError(f"{path} is no model that is known here; a model is {FORMS}")
    content = read_pickle(path, trust_pickle=trust_pickle)
    if not isinstance(content, nn.Module):
        raise UnsupportedModel(
            f"{path} holds weights alone; name the network they are for, such as torchvision:resnet18 or "
            f"package.module:factory, with --weights {path}"
        )
    return Found(
        content,
        path.stem,
        f"{path.name} is a pickled module, as you trust it",
        "pickle",
        channels=first_channels(content),
    )


def _suggestion(text: str) -> str:
    """A network of torchvision that was named without its kind."""
    from torchvision import models

    known = models.list_models(module=models)
    return f"; did you mean torchvision:{text}?" if text.lower() in known else ""


def preparation(
    found: Found,
    shape: tuple[int, int, int],
    size: int | None = None,
    mean: Numbers | None = None,
    std: Numbers | None = None,
) -> tuple[Preparation, list[str]]:
    """How images of a shape (C, H, W) reach a network, and that in words; parameters as in :func:`open_model`."""
    scaled, cut, sized = _sides(found, shape, size)
    channels, colored = _channels(found.channels, shape[0])
    numbers = _normalization(found, mean, std)
    said = [sized, *([colored] if colored else [])]
    if numbers is not None:
        who = "as you say" if mean is not None else f"as {found.source}"
        lists = [", ".join(f"{one:g}" for one in values) for values in numbers]
        said.append(f"pixels are normalized by mean {lists[0]} and std {lists[1]}, {who}")
    elif not found.normalizes:
        said.append("pixels go in as numbers from 0 to 1, without normalization; --mean and --std give one")
    mean_, std_ = numbers or (None, None)
    return Preparation(scaled, cut, found.interpolation, channels, mean_, std_), said


def _sides(
    found: Found, shape: tuple[int, int, int], size: int | None
) -> tuple[tuple[int, int] | None, tuple[int, int, int, int] | None, str]:
    """What images are resized to, what is cut out of that, and both in words."""
    _, height, width = shape
    if size is not None and not 1 <= size <= MOST_SIDE:
        raise SpecError(f"--size {size}: expected a side in pixels, 1 to {MOST_SIDE:,}")
    if size is not None and found.fixed and found.size != (size, size):
        raise SpecError(f"--size {size}: {found.name} takes images of {_by(found.size)} alone; leave --size out")
    wanted = (size, size) if size is not None else found.size
    shorter = found.resize if size is None else size
    who = "as you say" if size is not None else f"as {found.source}" if found.source else ""
    if wanted is None:
        return None, None, f"images go in as they are, {_by((height, width))} pixels; --size N resizes them"
    if wanted == (height, width):
        return None, None, f"images go in as they are, {_by(wanted)} pixels"
    # The shorter side as the weights say, and no side shorter than what is cut out.
    # Fractions of a pixel are cut off, as torchvision does.
    scale = Fraction(shorter or 0, min(height, width))
    scale = max(scale, Fraction(wanted[0], height), Fraction(wanted[1], width))
    scaled = (int(height * scale), int(width * scale))
    top, left = round((scaled[0] - wanted[0]) / 2), round((scaled[1] - wanted[1]) / 2)
    cut = None if scaled == wanted else (top, left, *wanted)
    middle = "" if cut is None else f" and cut to the central {_by(wanted)}"
    resized = f"images of {_by((height, width))} pixels are resized to {_by(scaled)} ({found.interpolation}){middle}"
    return (None if scaled == (height, width) else scaled), cut, f"{resized}, {who}"


def _by(size: tuple[int, int] | None) -> str:
    """Height and width as they are written: ``28 x 28``."""
    return f"{size[0]} x {size[1]}" if size is not None else "any size"


def _channels(wanted: int | None, there: int) -> tuple[str, str]:
    """What happens to the channels, for the tensors and in words."""
    if wanted in (None, there):
        return "as they are", ""
    if there == 1 and wanted == 3:
        return "to three", "gray images are repeated in the three channels that the model takes"
    if there == 3 and wanted == 1:
        return "to gray", "colors become gray (0.299 red + 0.587 green + 0.114 blue): the model takes one channel"
    raise UnsupportedModel(f"the model takes images of {wanted} channels, the data has {there}")


def _normalization(
    found: Found, mean: Numbers | None, std: Numbers | None
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    if (mean is None) != (std is None):
        raise SpecError(f"--{'mean' if mean is None else 'std'} is missing: normalization needs both --mean and --std")
    if mean is None or std is None:
        return (found.mean, found.std) if found.mean is not None and found.std is not None else None
    if found.normalizes:
        raise SpecError("--mean and --std: normalization is a part of this network; leave them out")
    both = [tuple(map(float, np.atleast_1d(values))) for values in (mean, std)]
    for option, values in zip(("mean", "std"), both, strict=True):
        if len(values) not in (1, found.channels or 3):
            raise SpecError(f"--{option}: {len(values)} numbers; expected one, or one for each channel")
        if not all(0.0 <= one <= 1.0 for one in values):
            raise SpecError(f"--{option} {values}: pixels run from 0 to 1 here; of numbers for 0 to 255 take 1/255")
    if not all(both[1]):
        raise SpecError("--std 0: nothing can be divided by it")
    return both[0], both[1]


@torch.no_grad()
def _probe(net: nn.Module, prepare: Preparation, dataset: Dataset) -> tuple[int, bool]:
    """How many outputs the network has, and whether they are probabilities; from its answers to a few images."""
    rows = np.flatnonzero((dataset.table["split"] != "train").to_numpy())
    index = torch.from_numpy(rows if len(rows) else np.arange(len(dataset)))[:_PROBED]
    images = prepare(dataset.images.gather(index).float().div_(255.0))
    try:
        net.eval()
        with scoped(0):
            answers = one_tensor(net(images))
    except BiaskitError:
        raise
    except Exception as error:  # the forward pass of any model, which may raise anything
        raise UnsupportedModel(
            f"the model cannot take float images {tuple(images.shape)}: {type(error).__name__}: "
            f"{str(error).strip().partition(chr(10))[0]}; --size N gives it others"
        ) from None
    if answers.ndim != 2 or len(answers) != len(images):
        raise UnsupportedModel(
            f"the model gives outputs of shape {tuple(answers.shape)} for {len(images)} images; expected logits "
            f"({len(images)}, classes)"
        )
    if answers.device != images.device:
        raise UnsupportedModel(f"the model gives its outputs on {answers.device} for images on {images.device}")
    return int(answers.shape[1]), _are_probabilities(answers)


def _are_probabilities(answers: Tensor) -> bool:
    if answers.shape[1] < 2 or not bool(torch.isfinite(answers).all()):
        return False
    return bool((answers >= 0).all()) and bool(((answers.double().sum(dim=1) - 1).abs() < 1e-3).all())


def _digest(weights: str, prepare: Preparation, places: Sequence[Sequence[int]], probabilities: bool) -> str:
    digest = hashlib.sha256(repr((repr(prepare), [list(one) for one in places], probabilities)).encode())
    digest.update(weights.encode())
    return digest.hexdigest()


def _facts(
    found: Found,
    weights: str,
    prepare: Preparation,
    dataset: Dataset,
    places: Sequence[Sequence[int]],
    probabilities: bool,
) -> dict[str, Any]:
    """What the digest is made of, each by its name: two records that differ say in what."""
    cut, scaled = prepare.cut, prepare.scaled
    mean, std = (None if one is None else one.flatten().tolist() for one in (prepare.mean, prepare.std))
    named = repr([(label, list(place)) for label, place in zip(dataset.classes, places, strict=True)])
    return {
        "kind": found.kind,
        "weights": weights,
        "size": list(cut[2:] if cut is not None else scaled or dataset.images.shape[1:]),
        "scaled": None if scaled is None else list(scaled),
        "cut": None if cut is None else list(cut),
        "interpolation": None if scaled is None else prepare.interpolation,
        "channels": prepare.channels,
        "mean": mean,
        "std": std,
        "outputs": "probabilities" if probabilities else "logits",
        "labels": hashlib.sha256(named.encode()).hexdigest(),
    }


def _of_tensors(net: nn.Module) -> str:
    """SHA-256 over the names, types, shapes and bytes of all tensors of a network."""
    digest = hashlib.sha256()
    for name, tensor in sorted(net.state_dict().items()):
        if isinstance(tensor, Tensor):
            digest.update(repr((name, str(tensor.dtype), tuple(tensor.shape))).encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
