from __future__ import annotations

from collections import OrderedDict
from typing import Literal

import torchvision
from torch import nn

from biaskit.errors import SpecError
from biaskit.models._network import Network, drawn_for_relu


def alexnet(
    classes: int, *, stem: Literal["imagenet", "small", "narrow"] = "imagenet", batch_norm: bool = False
) -> Network:
    """AlexNet from scratch, torchvision's layers.

    Parameters
    ----------
    classes : int
        Number of outputs.
    stem : "imagenet", "small" or "narrow"
        ``"imagenet"``: 11 x 11 convolution of stride 4, the published network, for 63 x 63 pixels and more.
        ``"small"``: 5 x 5 convolution of stride 1, a head on 2 x 2 positions, and 1,024 hidden units in place of 4,096;
        28 x 28 pixels end in a 2 x 2 map, 48 x 48 in 5 x 5, with a twelfth of the weights; the convolutions are drawn
        as VGG's are, since with torchvision's drawing the network stays at chance for a long time. ``"narrow"``: the
        small one with half of its channels and a quarter of its work.
    batch_norm : bool
        Batch normalization behind every convolution of the small stems. The published network has none, and hardly
        begins to learn from attacked images.

    Returns
    -------
    Network
        On (B, 3, H, W) in [0, 1]; logits (B, classes). Layers ``net.features``, head ``net.classifier.6``; ``min_size``
        63 with the imagenet stem and 15 with the others.

    Raises
    ------
    SpecError
        Batch normalization with the imagenet stem, which is torchvision's.

    References
    ----------
    Krizhevsky, One Weird Trick for Parallelizing Convolutional Neural Networks, arXiv 1404.5997: torchvision's variant
    of the network of 2012.

    Examples
    --------
    >>> sum(weights.numel() for weights in alexnet(10, stem="small").parameters())
    4560714
    """
    if stem == "imagenet":
        if batch_norm:
            raise SpecError('alexnet: batch_norm: torchvision\'s network has none; take stem = "small" or "narrow"')
        return Network(torchvision.models.alexnet(weights=None, num_classes=classes), min_size=63)
    share = 2 if stem == "narrow" else 1
    first, second, third, fourth = (channels // share for channels in (64, 192, 384, 256))
    hidden = 1024 // share

    def convolution(channels: int, wider: int, size: int) -> list[nn.Module]:
        norm = [nn.BatchNorm2d(wider)] if batch_norm else []
        return [nn.Conv2d(channels, wider, size, padding=size // 2), *norm, nn.ReLU(inplace=True)]

    net = nn.Sequential(
        OrderedDict(
            features=nn.Sequential(
                *convolution(3, first, 5),
                nn.MaxPool2d(kernel_size=3, stride=2),
                *convolution(first, second, 5),
                nn.MaxPool2d(kernel_size=3, stride=2),
                *convolution(second, third, 3),
                *convolution(third, fourth, 3),
                *convolution(fourth, fourth, 3),
                nn.MaxPool2d(kernel_size=3, stride=2),
            ),
            avgpool=nn.AdaptiveAvgPool2d(2),
            flatten=nn.Flatten(),
            classifier=nn.Sequential(
                nn.Dropout(),
                nn.Linear(fourth * 2 * 2, hidden),
                nn.ReLU(inplace=True),
                nn.Dropout(),
                nn.Linear(hidden, hidden),
                nn.ReLU(inplace=True),
                nn.Linear(hidden, classes),
            ),
        )
    )
    return Network(drawn_for_relu(net), min_size=15)
