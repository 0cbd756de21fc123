from __future__ import annotations

from collections import OrderedDict
from typing import Annotated

from pydantic import Field
from torch import nn
from torchvision.models.resnet import BasicBlock

from biaskit.models._network import Network


def resnet_small(classes: int, *, width: Annotated[int, Field(ge=1, le=1024)] = 16) -> Network:
    """A residual network for 16 x 16 to 32 x 32 pixels that trains in seconds on a CPU.

    A 3 x 3 stem and three stages of one block each, of ``width``, ``2 width`` and ``4 width`` channels at
    full, half and quarter resolution; the mean over positions; a linear head.

    Parameters
    ----------
    classes : int
        Number of outputs.
    width : int
        Channels of the first stage. With the default of 16 the network has some 78,000 weights, 4 times as
        many for every doubling.

    Returns
    -------
    Network
        On (B, 3, H, W) in [0, 1]; logits (B, classes). Layers ``net.layer1`` to ``net.layer3``, head
        ``net.fc``; ``min_size`` 4, where the last map is a single pixel.

    References
    ----------
    He et al., Deep Residual Learning for Image Recognition, CVPR 2016, section 4.2: its CIFAR network with n
    = 1.

    Examples
    --------
    >>> sum(weights.numel() for weights in resnet_small(10).parameters())
    78042
    """
    net = nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(3, width, kernel_size=3, padding=1, bias=False),
            bn1=nn.BatchNorm2d(width),
            relu=nn.ReLU(inplace=True),
            layer1=BasicBlock(width, width),
            layer2=_halving(width, 2 * width),
            layer3=_halving(2 * width, 4 * width),
            pool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            fc=nn.Linear(4 * width, classes),
        )
    )
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return Network(net, min_size=4)


def _halving(channels: int, wider: int) -> BasicBlock:
    shortcut = nn.Sequential(nn.Conv2d(channels, wider, kernel_size=1, stride=2, bias=False), nn.BatchNorm2d(wider))
    return BasicBlock(channels, wider, stride=2, downsample=shortcut)
