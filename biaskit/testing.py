"""Models that read one thing and nothing else, and a tiny data set, for tests of analyzers: ours and the user's."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from biaskit.builders._background_color import background_color
from biaskit.data import Dataset, Source
from biaskit.images import ArrayImages

__all__ = ["constant", "reads", "tiny"]

_SIDE = 8


def tiny(
    *, per_group: int = 4, train: tuple[float, float] = (0.5, 0.5), test: tuple[float, float] = (0.5, 0.5)
) -> Dataset:
    """Two labels on red or blue, 8 x 8: a white square in the left half is ``left``, in the right half ``right``.

    Parameters
    ----------
    per_group : int
        Images per label and split is twice this.
    train, test : pair of float
        Shares of red and blue.

    Examples
    --------
    >>> tiny().groups["test"].sum()
    np.int64(16)
    """
    count = 4 * per_group
    labels = np.tile([0, 1], count)
    pixels = np.zeros((len(labels), _SIDE, _SIDE, 1), np.uint8)
    pixels[labels == 0, 2:6, 0:3] = 255
    pixels[labels == 1, 2:6, 5:8] = 255
    split = np.repeat(["train", "test"], count)
    source = Source(ArrayImages(pixels), labels.astype(np.int64), ("left", "right"), split, "tiny")
    data = background_color(source, np.random.default_rng(0), train=train, test=test)
    planted = {"attribute": "color", "regime": "shift"}
    return data.replace(card={"name": "tiny", "builder": [planted], "words": {"color": "background color"}})


class _Reads(nn.Module):
    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what
        self.scale = nn.Parameter(torch.tensor(10.0))

    def forward(self, images: Tensor) -> Tensor:
        if self.what == "label":
            # Green is bright in the white square alone: the background has none.
            green = images[:, 1]
            score = green[:, :, _SIDE // 2 :].mean(dim=(1, 2)) - green[:, :, : _SIDE // 2].mean(dim=(1, 2))
        else:
            score = (images[:, 2] - images[:, 0]).mean(dim=(1, 2))
        return torch.stack([-score, score], dim=1) * self.scale


class _Constant(nn.Module):
    def __init__(self, answer: int, classes: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.nn.functional.one_hot(torch.tensor(answer), classes).float())

    def forward(self, images: Tensor) -> Tensor:
        return self.logits.expand(len(images), -1)


def reads(what: Literal["label", "background"]) -> nn.Module:
    """A model for :func:`tiny` that reads the square (accuracy 1, flip rate 0) or the background (flip rate 1).

    The one that reads the background answers ``left`` on red and ``right`` on blue.

    Examples
    --------
    >>> red = torch.zeros(1, 3, 8, 8)
    >>> red[:, 0] = 1.0
    >>> int(reads("background")(red).argmax())
    0
    """
    return _Reads(what)


def constant(answer: int = 0, classes: int = 2) -> nn.Module:
    """A model that always gives the same answer: flip rate 0, and worthless.

    Examples
    --------
    >>> constant(1)(torch.zeros(2, 3, 8, 8)).argmax(dim=1).tolist()
    [1, 1]
    """
    return _Constant(answer, classes)
