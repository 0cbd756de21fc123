from __future__ import annotations

from collections import OrderedDict
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from biaskit.models._network import Network, drawn_for_relu


class _Inception(nn.Module):
    """Four ways through a block, side by side: 1 x 1; 3 x 3; two of 3 x 3; pooling; each behind a 1 x 1."""

    def __init__(self, channels: int, each: int) -> None:
        super().__init__()
        half = max(1, each // 2)
        self.one = _convolution(channels, each, 1)
        self.three = nn.Sequential(_convolution(channels, half, 1), _convolution(half, each, 3))
        self.five = nn.Sequential(
            _convolution(channels, half, 1), _convolution(half, each, 3), _convolution(each, each, 3)
        )
        self.pool = nn.Sequential(nn.AvgPool2d(3, stride=1, padding=1), _convolution(channels, each, 1))

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([self.one(images), self.three(images), self.five(images), self.pool(images)], dim=1)


def _convolution(channels: int, wider: int, size: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, wider, size, padding=size // 2, bias=False), nn.BatchNorm2d(wider), nn.ReLU(inplace=True)
    )


def inception_small(classes: int, *, width: Annotated[int, Field(ge=2, le=256)] = 16) -> Network:
    """A network of Inception blocks for 16 x 16 to 64 x 64 pixels, where Inception v3 needs 75.

    A 3 x 3 stem and three blocks of four branches, of ``width``, ``1.5 width`` and ``2 width`` channels a branch, with
    pooling between them; the mean over positions; a linear head.

    Parameters
    ----------
    classes : int
        Number of outputs.
    width : int
        Channels of a branch of the first block.

    Returns
    -------
    Network
        On (B, 3, H, W) in [0, 1]; logits (B, classes). Layers ``net.block1`` to ``net.block3``, head ``net.fc``;
        ``min_size`` 8.

    References
    ----------
    Szegedy et al., Rethinking the Inception Architecture for Computer Vision, arXiv 1512.00567, Figure 5: its block of
    35 x 35 maps; the rest is cut down.

    Examples
    --------
    >>> sum(weights.numel() for weights in inception_small(10).parameters())
    50618
    """
    widths = [width, width * 3 // 2, 2 * width]
    net = nn.Sequential(
        OrderedDict(
            stem=_convolution(3, width, 3),
            block1=_Inception(width, widths[0]),
            pool1=nn.MaxPool2d(2),
            block2=_Inception(4 * widths[0], widths[1]),
            pool2=nn.MaxPool2d(2),
            block3=_Inception(4 * widths[1], widths[2]),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            fc=nn.Linear(4 * widths[2], classes),
        )
    )
    return Network(drawn_for_relu(net), min_size=8)
