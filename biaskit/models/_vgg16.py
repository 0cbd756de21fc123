from __future__ import annotations

from collections import OrderedDict
from typing import Literal

import torchvision
from torch import nn
from torchvision.models.vgg import cfgs, make_layers

from biaskit.models._network import Network, drawn_for_relu


def vgg16(
    classes: int, *, stem: Literal["imagenet", "small", "narrow"] = "imagenet", batch_norm: bool = False
) -> Network:
    """VGG-16 from scratch, torchvision's layers.

    Parameters
    ----------
    classes : int
        Number of outputs.
    stem : "imagenet", "small" or "narrow"
        ``"imagenet"``: the published network; 32 x 32 pixels end in a 1 x 1 map, of which its head makes 7 x 7 equal
        ones. ``"small"``: without the last pooling, the mean over positions, and 512 hidden units in place of 4,096,
        usual at 32 x 32 pixels; 28 x 28 pixels end in a 1 x 1 map, 48 x 48 in 3 x 3, with a ninth of the weights.
        ``"narrow"``: the small one with half of its channels and a quarter of its work.
    batch_norm : bool
        Batch normalization behind every convolution. The published network has none, and is slow to begin learning.

    Returns
    -------
    Network
        On (B, 3, H, W) in [0, 1]; logits (B, classes). Layers ``net.features``, head ``net.classifier.6``; ``min_size``
        32 with the imagenet stem and 16 with the others.

    References
    ----------
    Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image Recognition, arXiv 1409.1556, Table
    1, network D.

    Examples
    --------
    >>> sum(weights.numel() for weights in vgg16(10, stem="small").parameters())
    15245130
    """
    if stem == "imagenet":
        make = torchvision.models.vgg16_bn if batch_norm else torchvision.models.vgg16
        return Network(make(weights=None, num_classes=classes), min_size=32)
    share = 2 if stem == "narrow" else 1
    width = 512 // share
    layers = [one // share if isinstance(one, int) else one for one in cfgs["D"]]
    # Torchvision's own class would first draw a head of 120 million weights.
    net = nn.Sequential(
        OrderedDict(
            features=make_layers(layers, batch_norm=batch_norm)[:-1],
            avgpool=nn.AdaptiveAvgPool2d(1),
            flatten=nn.Flatten(),
            classifier=nn.Sequential(
                nn.Linear(width, width),
                nn.ReLU(inplace=True),
                nn.Dropout(),
                nn.Linear(width, width),
                nn.ReLU(inplace=True),
                nn.Dropout(),
                nn.Linear(width, classes),
            ),
        )
    )
    return Network(drawn_for_relu(net), min_size=16)
