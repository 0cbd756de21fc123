from __future__ import annotations

from typing import Literal

import torchvision
from torch import nn

from biaskit.models._network import Network


def alexnet(classes: int, *, stem: Literal["imagenet", "small"] = "imagenet") -> Network:
    """AlexNet from scratch, torchvision's layers.

    Parameters
    ----------
    classes : int
        Number of outputs.
    stem : "imagenet" or "small"
        ``"imagenet"``: 11 x 11 convolution of stride 4, the published network, for 63 x 63 pixels and more.
        ``"small"``: 5 x 5 convolution of stride 1, a head on 2 x 2 positions, and 1,024 hidden units in place of 4,096;
        28 x 28 pixels end in a 2 x 2 map, 48 x 48 in 5 x 5, with a twelfth of the weights.

    Returns
    -------
    Network
        On (B, 3, H, W) in [0, 1]; logits (B, classes). Layers ``net.features``, head ``net.classifier.6``; ``min_size``
        63 with the imagenet stem and 15 with the small one.

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
        return Network(torchvision.models.alexnet(weights=None, num_classes=classes), min_size=63)
    net = torchvision.models.alexnet(weights=None, num_classes=classes)
    net.features[0] = nn.Conv2d(3, 64, kernel_size=5, padding=2)
    net.avgpool = nn.AdaptiveAvgPool2d(2)
    net.classifier[1] = nn.Linear(256 * 2 * 2, 1024)
    net.classifier[4] = nn.Linear(1024, 1024)
    net.classifier[6] = nn.Linear(1024, classes)
    return Network(net, min_size=15)
