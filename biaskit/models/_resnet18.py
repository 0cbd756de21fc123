from __future__ import annotations

from typing import Literal

import torchvision
from torch import nn

from biaskit.models._network import Network
from biaskit.models._small_maps import use_small_maps


def resnet18(classes: int, *, stem: Literal["imagenet", "small"] = "imagenet") -> Network:
    """ResNet-18 from scratch, torchvision's layers.

    Parameters
    ----------
    classes : int
        Number of outputs.
    stem : "imagenet" or "small"
        ``"imagenet"``: 7 x 7 convolution of stride 2 and max-pooling, the published network; 28 x 28 pixels
        end in a 1 x 1 map. ``"small"``: 3 x 3 convolution of stride 1 and no pooling, usual at 32 x 32 pixels
        and needed where attributions are scored; 28 x 28 pixels end in a 4 x 4 map, at thirteen times the
        work.

    Returns
    -------
    Network
        On (B, 3, H, W) in [0, 1]; logits (B, classes). Layers ``net.layer1`` to ``net.layer4``, head
        ``net.fc``; ``min_size`` 16 with the imagenet stem, which leaves a quarter of the side, and 8 with the
        small one.

    References
    ----------
    He et al., Deep Residual Learning for Image Recognition, CVPR 2016, Table 1; the small stem as in its
    section 4.2.

    Examples
    --------
    >>> sum(weights.numel() for weights in resnet18(10).parameters())
    11181642
    """
    net = torchvision.models.resnet18(weights=None, num_classes=classes)
    if stem == "small":
        net.conv1 = nn.Conv2d(3, 64, kernel_size=3, padding=1, bias=False)
        nn.init.kaiming_normal_(net.conv1.weight, mode="fan_out", nonlinearity="relu")
        net.maxpool = nn.Identity()
    use_small_maps(net)
    return Network(net, min_size=16 if stem == "imagenet" else 8)
