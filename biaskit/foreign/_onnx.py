"""ONNX: run by onnxruntime, an optional extra; it gives answers and no gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from biaskit.disk import sha256
from biaskit.errors import DataError, MissingExtra, UnsupportedModel
from biaskit.foreign._found import Found
from biaskit.foreign._pixels import InBatches

__all__ = ["onnx_file"]

_DTYPES = {"tensor(float)": torch.float32, "tensor(float16)": torch.float16, "tensor(double)": torch.float64}


class _Session(nn.Module):
    """An ONNX graph as a module: numpy in, numpy out, on the CPU."""

    def __init__(self, session: Any, dtype: torch.dtype, *, channels_last: bool) -> None:
        super().__init__()
        self._session, self._dtype, self._channels_last = session, dtype, channels_last
        self._input, self._output = session.get_inputs()[0].name, session.get_outputs()[0].name

    def __deepcopy__(self, memo: dict[int, Any]) -> _Session:
        # It has nothing that a copy could change, and a session cannot be copied.
        return self

    def forward(self, images: Tensor) -> Tensor:
        given = images.detach().to("cpu", self._dtype)
        given = given.permute(0, 2, 3, 1) if self._channels_last else given
        try:
            (found,) = self._session.run([self._output], {self._input: given.contiguous().numpy()})
        except Exception as error:  # the errors of onnxruntime share no base of their own
            reason = str(error).strip().partition("\n")[0]
            raise UnsupportedModel(
                f"the ONNX model cannot take images {tuple(images.shape)} ({reason}); see --size"
            ) from None
        return torch.from_numpy(found).to(images.device)


def onnx_file(path: Path) -> Found:
    """An ONNX model of one input, images (B, C, H, W) or (B, H, W, C), and one output.

    Raises
    ------
    MissingExtra
        onnxruntime is not installed.
    DataError
        The file cannot be read.
    UnsupportedModel
        Other inputs or outputs.
    """
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtra(f"{path.name} needs onnxruntime: pip install 'biaskit[onnx]'") from None
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # the errors of onnxruntime share no base of their own
        raise DataError(f"{path}: onnxruntime cannot read it ({str(error).strip().partition(chr(10))[0]})") from None
    inputs, outputs = session.get_inputs(), session.get_outputs()
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        raise UnsupportedModel(f"{path} takes {_listed(inputs)}; expected one input, images (B, C, H, W)")
    if len(outputs) != 1:
        raise UnsupportedModel(
            f"{path} gives {_listed(outputs)}; expected one output, the logits: export it with them alone"
        )
    if inputs[0].type not in _DTYPES:
        raise UnsupportedModel(f"{path} takes {inputs[0].type}; expected floating-point pixels")
    # A dimension that may be any has a name, or none, in place of a number.
    batch, *sides = [side if isinstance(side, int) and side > 0 else None for side in inputs[0].shape]
    channels_last = sides[0] not in (1, 3) and sides[2] in (1, 3)
    height, width, channels = sides if channels_last else (*sides[1:], sides[0])
    size = (height, width) if height is not None and width is not None else None
    net: nn.Module = _Session(session, _DTYPES[inputs[0].type], channels_last=channels_last)
    return Found(
        InBatches(net, batch) if batch is not None else net,
        path.stem,
        f"{path.name} is run by onnxruntime {onnxruntime.__version__} on the CPU",
        "ONNX",
        channels=channels,
        size=size,
        source="the ONNX model takes no other",
        fixed=size is not None,
        gradients="ONNX gives answers alone; open the torch model it was exported from",
        digest=sha256(path),
    )


def _listed(values: Any) -> str:
    return ", ".join(f"{one.name} {one.shape}" for one in values) or "nothing"
