"""Models that read one thing and nothing else, and a tiny data set, for tests of analyzers: ours and the user's."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from biaskit.builders._background_color import background_color
from biaskit.concepts import ArrayPlanes, Concepts
from biaskit.data import CORE, SPURIOUS, TWIN, Dataset, Source, coded
from biaskit.images import ArrayImages

__all__ = ["constant", "framed", "graded", "leans", "looks_at", "reads", "tiny"]

_SIDE = 8
#: Of :func:`framed`: the side of the images, and where the square begins and ends, on purpose on no multiple of 2 or 4.
_FRAME, _SQUARE = 16, (5, 12)
#: Of :func:`graded`: the darkest square, of 255, and how many grays there are.
_DARKEST, _GRAYS = 141, 100


def tiny(
    *,
    per_group: int = 4,
    train: tuple[float, float] = (0.5, 0.5),
    test: tuple[float, float] = (0.5, 0.5),
    concepts: bool = False,
) -> Dataset:
    """Two labels on red or blue, 8 x 8: a white square in the left half is ``left``, in the right half ``right``.

    Parameters
    ----------
    per_group : int
        Images per label and split is twice this.
    train, test : pair of float
        Shares of red and blue.
    concepts : bool
        Also with the concepts red and blue of the background, and square.

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
    data = data.replace(card={"name": "tiny", "builder": [planted], "words": {"color": "background color"}})
    return data.replace(concepts=_concepts(data)) if concepts else data


def _concepts(data: Dataset) -> Concepts:
    """Those of :func:`tiny`: a plane of colors and one of objects."""
    assert data.masks is not None
    masks = data.masks.gather(torch.arange(len(data)))[:, 0].numpy()
    colors = data.table["color"].cat.codes.to_numpy(np.uint8)[:, None, None] + 1
    planes = np.stack([(masks & SPURIOUS > 0) * colors, (masks & CORE > 0) * 3], axis=1).astype(np.uint8)
    return Concepts(ArrayPlanes(planes), ("red", "blue", "square"), ("color", "color", "object"))


def framed(*, per_group: int = 2) -> Dataset:
    """Two labels at 16 x 16: a red or blue square, which is the label, in a red or blue frame, which is not.

    Its masks are exact: the 7 x 7 pixels of the square are core, the others the shortcut. Every image is a test image.

    Parameters
    ----------
    per_group : int
        Images per label and color of the frame, all alike.

    Returns
    -------
    Dataset

    Examples
    --------
    >>> framed().groups["test"].tolist()
    [2, 2, 2, 2]
    """
    labels, frames = np.tile([0, 0, 1, 1], per_group), np.tile([0, 1, 0, 1], per_group)
    inside = _inside().numpy()
    colors = np.asarray([[204, 0, 0], [0, 0, 204]], np.uint8)
    pixels = np.where(inside[None, :, :, None], colors[labels][:, None, None], colors[frames][:, None, None])
    masks = np.broadcast_to(np.where(inside, CORE, SPURIOUS).astype(np.uint8)[None, :, :, None], (*pixels.shape[:3], 1))
    words = np.asarray(["red", "blue"])
    data = Dataset.from_arrays(pixels, words[labels], {"frame": words[frames]}, classes=["red", "blue"], name="framed")
    return data.replace(masks=ArrayImages(masks.copy()))


def graded() -> Dataset:
    """The images of :func:`tiny` with squares in a hundred grays, each gray once in every group, for :func:`leans`.

    400 test images in four equal groups with their twins, and masks. In train (20 images) red goes with ``left`` and
    blue with ``right``, so groups are aligned or conflicting.

    Returns
    -------
    Dataset

    Examples
    --------
    >>> graded().groups[["test", "train"]].values.tolist()
    [[100, 10], [100, 0], [100, 0], [100, 10]]
    """
    gray = np.tile(np.arange(_GRAYS), 4)
    label, color = np.repeat([0, 0, 1, 1], _GRAYS), np.repeat([0, 1, 0, 1], _GRAYS)
    train = np.repeat([0, 1], 10)
    n, t = len(gray), len(train)
    table = pd.DataFrame(
        {
            "label": coded(np.concatenate([train, label, label]), ["left", "right"]),
            "color": coded(np.concatenate([train, color, 1 - color]), ["red", "blue"]),
            "split": coded(np.repeat([0, 1, 2], [t, n, n]), ["train", "test", TWIN]),
            "pair": np.concatenate([np.full(t, -1), np.arange(t + n, t + 2 * n), np.arange(t, t + n)]),
            "swapped": coded(np.repeat([0, 0, 1], [t, n, n]), ["", "color"]),
        }
    )
    level = _DARKEST + np.concatenate([np.zeros(t, np.int64), gray, gray])
    labels, colors = table["label"].cat.codes.to_numpy(), table["color"].cat.codes.to_numpy()
    square = np.zeros((len(table), _SIDE, _SIDE), bool)
    square[labels == 0, 2:6, 0:3] = square[labels == 1, 2:6, 5:8] = True
    pixels = (square * level[:, None, None])[..., None].repeat(3, axis=3).astype(np.uint8)
    # As the builder of color backgrounds paints: one channel is at its largest everywhere, the others have the gray.
    pixels[np.arange(len(table)), ..., 2 * colors] = 255
    masks = np.where(square, CORE, SPURIOUS).astype(np.uint8)[..., None]
    planted = {"attribute": "color", "regime": "correlated"}
    card = {"name": "graded", "builder": [planted], "words": {"color": "background color"}}
    return Dataset(ArrayImages(pixels), table, card, ("color",), ArrayImages(masks))


def _inside() -> Tensor:
    """Where the square of :func:`framed` is, (16, 16)."""
    found = torch.zeros(_FRAME, _FRAME, dtype=torch.bool)
    found[slice(*_SQUARE), slice(*_SQUARE)] = True
    return found


class _LooksAt(nn.Module):
    """Red and blue averaged over blocks of 4 x 4 pixels, with all pixels but the ones it looks at set to zero first."""

    seen: Tensor

    def __init__(self, what: str) -> None:
        super().__init__()
        self.register_buffer("seen", (_inside() if what == "square" else ~_inside()).float())
        self.blocks = nn.Conv2d(3, 2, kernel_size=4, stride=4, bias=False)
        with torch.no_grad():
            self.blocks.weight.zero_()
            self.blocks.weight[0, 0] = self.blocks.weight[1, 2] = 1.0 / 16.0

    def forward(self, images: Tensor) -> Tensor:
        red, blue = (self.blocks(images * self.seen).sum(dim=(2, 3)) * 16.0 / self.seen.sum()).unbind(dim=1)
        # The probability, not the logit, is linear in the pixels.
        return torch.stack([0.5 + 0.4 * (red - blue), 0.5 + 0.4 * (blue - red)], dim=1).log()


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


class _Leans(nn.Module):
    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.scale = nn.Parameter(torch.tensor(10.0))

    def forward(self, images: Tensor) -> Tensor:
        # The least channel has the gray of the square and nothing of the background, whatever its hue.
        gray = images.amin(dim=1)
        label = gray[:, :, _SIDE // 2 :].mean(dim=(1, 2)) - gray[:, :, : _SIDE // 2].mean(dim=(1, 2))
        # No square reaches the top row: what is read there does not depend on the gray.
        background = (images[:, 2, 0] - images[:, 0, 0]).mean(dim=1)
        # A ratio, so that a darker copy of an image is read as the image is.
        level = gray.amax(dim=(1, 2)) / images.amax(dim=(1, 2, 3)).clamp_min(1e-6)
        leaning = level * 255.0 < _DARKEST - 0.5 + _GRAYS * self.share
        score = torch.where(leaning, background, label)
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


def leans(share: float) -> nn.Module:
    """A model for :func:`graded` that reads the background on a known share of every group, the square on the others.

    It leans where the square is dark. Its flip rate and the accuracy on aligned minus that on conflicting groups are
    the share; its worst group is right in ``1 - share``.

    Parameters
    ----------
    share : float in [0, 1]
        In steps of 0.01.

    Examples
    --------
    >>> data = graded()
    >>> rows = data.rows("test")
    >>> images = data.images.gather(torch.from_numpy(rows)).float() / 255
    >>> right = leans(0.25)(images).argmax(dim=1).numpy() == data.labels[rows]
    >>> [round(float(right[data.group_ids[rows] == group].mean()), 2) for group in range(4)]
    [1.0, 0.75, 0.75, 1.0]
    """
    return _Leans(share)


def looks_at(what: Literal["square", "frame"]) -> nn.Module:
    """A model for :func:`framed` that sees the square alone, or the frame alone, whatever the image.

    The probability of ``blue`` is ``0.5 + 0.4 (mean blue - mean red)`` over the pixels it looks at: 0.82 for blue. It
    has one layer, ``blocks``, a convolution whose map has 4 x 4 positions, so that what Grad-CAM and LIME must find can
    be worked out by hand: they spread what a block or cell contains over all of it.

    Examples
    --------
    >>> blue = torch.zeros(1, 3, 16, 16)
    >>> blue[:, 2, 5:12, 5:12] = 0.8
    >>> round(looks_at("square")(blue).softmax(dim=1)[0, 1].item(), 4)
    0.82
    """
    return _LooksAt(what)


def constant(answer: int = 0, classes: int = 2) -> nn.Module:
    """A model that always gives the same answer: flip rate 0, and worthless.

    Examples
    --------
    >>> constant(1)(torch.zeros(2, 3, 8, 8)).argmax(dim=1).tolist()
    [1, 1]
    """
    return _Constant(answer, classes)
