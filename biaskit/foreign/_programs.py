"""Programs: ``torch.export`` (.pt2) and TorchScript (.pt)."""

from __future__ import annotations

import io
import json
import logging
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from biaskit.disk import sha256
from biaskit.errors import DataError, UnsupportedModel
from biaskit.foreign._files import TRUST
from biaskit.foreign._found import Found, first_channels
from biaskit.foreign._pixels import InBatches
from biaskit.subject import one_tensor

__all__ = ["exported", "scripted"]

#: What a program may call: operators of torch, never any other function that a name could reach.
_OPERATOR = re.compile(
    r"torch\.ops\.(aten|prims|torchvision|higher_order)\.(?!from_file)[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)?"
    r"|torch\.sym_[a-z_]+|torch\._sym_[a-z]+|math\.[a-z]+"
    r"|_operator\.(getitem|add|sub|mul|truediv|floordiv|mod|pow|neg|pos|and_|or_|not_|eq|ne|lt|le|gt|ge)"
)
#: What the size of a tensor may be written as, names aside: numbers, arithmetic, calls.
_EXPRESSION = re.compile(r"([\w\s+\-*/%(),<>=&|~]|\.(?![A-Za-z_]))*")
#: Its names: symbols, classes of sympy, and what symbols are assumed to be. It is evaluated when it is read.
_NAME = re.compile(r"[su]\d+|[A-Z][A-Za-z]*|positive|negative|nonnegative|nonpositive|integer|real|finite|even|odd")
#: Tensors as plain bytes; other objects of an archive are pickles.
_PLAIN = re.compile(r"(weight|tensor)_\d+")


class _Program(nn.Module):
    """An exported program, which has one mode alone and refuses to be put into another."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def train(self, mode: bool = True) -> _Program:
        self.training = mode
        return self

    def forward(self, images: Tensor) -> Tensor:
        return one_tensor(self.net(images))


def exported(path: Path, *, trust_pickle: bool) -> Found:
    """A program of ``torch.export.save``.

    A fixed batch size is kept to (:class:`~biaskit.foreign._pixels.InBatches`), a fixed image size goes into the
    result.

    Raises
    ------
    UnsupportedModel
        A part of the archive is a pickle and not trusted; several inputs; exported in train mode.
    DataError
        The archive cannot be read.
    """
    if not trust_pickle:
        refuse_code(path)
    try:
        with _quietly():
            program = torch.export.load(path)
            net: nn.Module = program.module()
    except Exception as error:  # damaged archives and other versions make the reader fail in any way
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise DataError(
            f"{path}: not a program that torch {torch.__version__} reads ({reason}); export it again with this version"
        ) from None
    inputs = [node for node in program.graph.nodes if node.name in set(program.graph_signature.user_inputs)]
    if len(inputs) != 1:
        raise UnsupportedModel(f"{path} takes {len(inputs)} inputs; expected one, a batch of images")
    if _trains(program.graph):
        raise UnsupportedModel(
            f"{path} was exported in train mode, so that its answers depend on chance or on the batch; call "
            "model.eval() before torch.export.export"
        )
    shape = [int(side) if isinstance(side, int) else None for side in inputs[0].meta["val"].shape]
    if len(shape) != 4:
        raise UnsupportedModel(f"{path} takes an input of {len(shape)} dimensions; expected images (B, C, H, W)")
    batch, channels, height, width = shape
    size = (height, width) if height is not None and width is not None else None
    whole: nn.Module = _Program(net)
    return Found(
        InBatches(whole, batch) if batch is not None else whole,
        path.stem,
        f"{path.name} is a program of torch.export",
        "torch.export",
        channels=channels,
        size=size,
        source="the program takes no other",
        fixed=size is not None,
        digest=sha256(path),
    )


def scripted(path: Path) -> Found:
    """A TorchScript archive; its code runs in torch's own interpreter and is no Python pickle.

    Raises
    ------
    DataError
        The archive cannot be read.
    """
    try:
        with _quietly():
            net: nn.Module = torch.jit.load(str(path), map_location="cpu")  # type: ignore[no-untyped-call]
    except (RuntimeError, ValueError, OSError) as error:
        raise DataError(f"{path}: not a readable TorchScript file ({_last_line(error)})") from None
    origin, channels = f"{path.name} is TorchScript", first_channels(net)
    return Found(net, path.stem, origin, "TorchScript", channels=channels, digest=sha256(path))


@contextmanager
def _quietly() -> Iterator[None]:
    """Without torch's remarks on formats: what cannot be read is an error here."""
    logger = logging.getLogger("torch.export")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def refuse_code(path: Path) -> None:
    """Refuse an archive of ``torch.export`` whose reading would run code: pickles, and names beyond torch's operators.

    Raises
    ------
    UnsupportedModel
    DataError
        The archive is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive, _quietly():
            for name in archive.namelist():
                if "aotinductor" in name:
                    raise UnsupportedModel(
                        f"{path} holds compiled code ({name}), which would run when it is read; {TRUST}"
                    )
                if name.endswith((".pt", ".json")):
                    _check_member(path, name.partition("/")[2] or name, archive.read(name))
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None


def _check_member(path: Path, name: str, content: bytes) -> None:
    if name.endswith(".pt"):
        try:
            if content:
                torch.load(io.BytesIO(content), weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError):
            raise UnsupportedModel(f"{path}: {name} in it is a pickle that holds more than tensors; {TRUST}") from None
        return
    for key, value in _entries(json.loads(content)):
        if key == "use_pickle" and value is True:
            raise UnsupportedModel(f"{path}: {name} in it names weights that are pickled; {TRUST}")
        if key == "path_name" and not _PLAIN.fullmatch(str(value)):
            raise UnsupportedModel(f"{path}: {value} in it is an object, not a tensor, and is pickled; {TRUST}")
        # `target` of a node; other entries of that name (a buffer's) are no nodes and lack `inputs`.
        if key == "node" and not _OPERATOR.fullmatch(str(value)):
            raise UnsupportedModel(f"{path} calls {value!r}, which is no operator of torch; {TRUST}")
        if key == "expr_str" and not _is_arithmetic(str(value)):
            raise UnsupportedModel(f"{path}: the size {value!r} in it is no arithmetic; {TRUST}")


def _is_arithmetic(text: str) -> bool:
    """Whether an expression does nothing but count.

    Examples
    --------
    >>> _is_arithmetic("2*Symbol('s34', positive=True, integer=True)"), _is_arithmetic("exec(chr(112))")
    (True, False)
    """
    bare = re.sub(r"'[A-Za-z]\w*'", "", text)
    names = re.findall(r"(?<![\w.])[A-Za-z_]\w*", bare)
    return bool(_EXPRESSION.fullmatch(bare)) and all(_NAME.fullmatch(name) for name in names)


def _entries(content: Any) -> Iterator[tuple[str, Any]]:
    """All keys with their values, at any depth; the target of a node under the key ``node``."""
    if isinstance(content, list):
        for one in content:
            yield from _entries(one)
    elif isinstance(content, dict):
        for key, value in content.items():
            yield ("node" if key == "target" and "inputs" in content else key), value
            yield from _entries(value)


def _trains(graph: Any) -> bool:
    """Whether an operator of the graph is in train mode: dropout, or normalization by the batch."""
    for node in graph.nodes:
        schema = getattr(node.target, "_schema", None)
        if node.op != "call_function" or schema is None:
            continue
        given = dict(zip((one.name for one in schema.arguments), node.args, strict=False)) | dict(node.kwargs)
        if given.get("train") is True or given.get("training") is True:
            return True
    return False


def _last_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1] if lines else type(error).__name__
