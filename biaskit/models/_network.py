"""What every network here begins with: pixels in [0, 1] become centered inputs."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

__all__ = ["Network", "Normalization", "drawn_for_relu"]


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


def drawn_for_relu(net: nn.Module) -> nn.Module:
    """The network with every convolution drawn so that activations neither fade nor grow with depth, bias 0.

    Torchvision's own drawing lets them fade, and a network without batch normalization then stays at chance for as many
    epochs as small data sets have.

    References
    ----------
    He et al., Delving Deep into Rectifiers, arXiv 1502.01852, equation 14.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return net
