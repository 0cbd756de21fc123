"""What every network here begins with: pixels in [0, 1] become centered inputs."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

__all__ = ["Network", "Normalization"]


class Normalization(nn.Module):
    """``(x - 0.5) / 0.5``: [0, 1] becomes [-1, 1], so that attacks and perturbations work on pixels.

    The constants are buffers, hence part of a checkpoint. They suit data whose channel means are unknown; the
    batch normalization behind the first convolution takes up the rest.

    Examples
    --------
    >>> Normalization()(torch.tensor([0.0, 0.5, 1.0]).expand(1, 3, 1, 3))[0, 0, 0].tolist()
    [-1.0, 0.0, 1.0]
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: float = 0.5, std: float = 0.5) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((3, 1, 1), mean))
        self.register_buffer("std", torch.full((3, 1, 1), std))

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.std


class Network(nn.Sequential):
    """``normalize``, then ``net``.

    Attributes
    ----------
    min_size : int
        Smallest image side, in pixels, that the network is meant for.
    """

    def __init__(self, net: nn.Module, min_size: int) -> None:
        super().__init__(OrderedDict(normalize=Normalization(), net=net))
        self.min_size = min_size
