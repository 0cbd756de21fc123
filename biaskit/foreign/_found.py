"""What every way of finding a model gives: the network, and what is known of the images and classes it was made for."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from biaskit.runs import Run

__all__ = ["Found", "first_channels"]


@dataclass(frozen=True, eq=False)
class Found:
    """A network as it was found, before it is fitted to a data set.

    Attributes
    ----------
    net : nn.Module
        On the images it was made for: resized, normalized.
    name : str
        What it is called in a report.
    origin : str
        Where its weights come from, as a sentence.
    kind : str
        What it is: ``"torchvision"``, ``"ONNX"``, ...
    classes : tuple of str, optional
        The names of its outputs, where they are known.
    channels : int, optional
        Of the images it takes; None: whatever they have.
    size : (height, width), optional
        Of the images it takes; None: any.
    resize : int, optional
        Side that the shorter side is resized to before the center is cut out.
    interpolation : str
        ``"bilinear"`` or ``"bicubic"``.
    mean, std : tuple of float, optional
        Of the normalization in front of it; None: it takes numbers from 0 to 1.
    source : str
        Who says size, mean and std: ``"the weights IMAGENET1K_V2 say"``.
    fixed : bool
        No other size than ``size`` is possible.
    gradients : str
        Why it has no gradients; empty: it may have them.
    normalizes : bool
        Normalization is a part of it.
    digest : str
        SHA-256 of its file; empty: to be computed from its tensors.
    run : Run, optional
        The run of ours that it is the network of.
    """

    net: nn.Module
    name: str
    origin: str
    kind: str
    classes: tuple[str, ...] | None = None
    channels: int | None = None
    size: tuple[int, int] | None = None
    resize: int | None = None
    interpolation: str = "bilinear"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    source: str = ""
    fixed: bool = False
    gradients: str = ""
    normalizes: bool = False
    digest: str = ""
    run: Run | None = None


def first_channels(net: nn.Module) -> int | None:
    """The channels that the first convolution takes, 1 or 3; None where none says so.

    Examples
    --------
    >>> first_channels(nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten()))
    1
    """
    convolution = next((one for one in net.modules() if isinstance(one, nn.Conv2d)), None)
    if convolution is not None:
        channels = int(convolution.in_channels)
    else:
        # In TorchScript a convolution is no nn.Conv2d any more, its weight still has four dimensions.
        weight = next((one for one in net.parameters() if one.ndim == 4), None)
        channels = int(weight.shape[1]) if weight is not None else 0
    return channels if channels in (1, 3) else None
