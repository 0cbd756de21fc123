"""The units of a layer as images are shown to them: natural or attacked, batch by batch, and the strongest kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from biaskit.attacks._least_likely import least_likely
from biaskit.errors import DataError, UnsupportedModel
from biaskit.features import deepest_map, features, find_layer
from biaskit.images import Images
from biaskit.subject import Subject

__all__ = ["KINDS", "Attack", "Show", "Strongest", "least_likely_attack", "map_layer", "seen"]

Rows = npt.NDArray[np.int64]
Attack = Callable[[Tensor], Tensor]
Steps = Literal["published"] | int
#: How images are shown.
KINDS = ("natural", "adversarial")
#: Images shown at a time, at most, and their pixels: 20 images of 224 x 224.
BATCH, PIXELS = 128, 2**20
#: The default layer has at least so many positions a side.
SMALLEST_MAP = 4


@dataclass(frozen=True, eq=False)
class Show:
    """Images shown to a network, and what a layer makes of them.

    Attributes
    ----------
    model : nn.Module
    images : Images
    shape : tuple of int
        (C, H, W) that the network takes; images of another size are resized (bilinear, anti-aliased), and gray and
        color are brought to its channels.
    layer : str
    device : str
    attack : callable, optional
        Images (B, C, H, W) to attacked images.
    """

    model: nn.Module
    images: Images
    shape: tuple[int, int, int]
    layer: str
    device: str
    attack: Attack | None = None

    def batches(self, rows: Rows) -> Iterator[tuple[Rows, Tensor]]:
        """Rows and their images (B, C, H, W) as the network gets them, on ``device``."""
        size = min(BATCH, max(1, PIXELS // (self.shape[1] * self.shape[2])))
        for index in torch.split(torch.from_numpy(rows), size):
            found = seen(self.images.gather(index).to(self.device), self.shape)
            yield index.numpy(), self.attack(found) if self.attack is not None else found

    def maps(self, rows: Rows) -> Iterator[tuple[Rows, Tensor, Tensor]]:
        """Rows, their images, and the layer's maps (B, U, h, w)."""
        for part, images in self.batches(rows):
            yield part, images, self.of(images)

    def of(self, images: Tensor) -> Tensor:
        """The layer's maps of images (B, C, H, W) as the network gets them.

        Raises
        ------
        UnsupportedModel
            A layer whose output is no map, or one with NaN.
        """
        with torch.no_grad():
            found = features(self.model, images, self.layer).float()
        if found.ndim != 4:
            sides = " x ".join(str(side) for side in found.shape[1:])
            raise UnsupportedModel(
                f"layer {self.layer!r} gives {sides} per image; units are read from maps (channels, height, width): "
                "leave `layer` empty to take the deepest"
            )
        if not bool(torch.isfinite(found).all()):
            raise UnsupportedModel(
                f"layer {self.layer!r} gives NaN or infinite values; nothing can be said of its units"
            )
        return found


class Strongest:
    """The images that excite each unit most, of all that were shown.

    Parameters
    ----------
    keep : int

    Attributes
    ----------
    values : float Tensor (U, k)
        ``m_n(x)``, strongest first; of equal ones the first shown. k is ``keep``, or the number of images shown.
    rows : int64 Tensor (U, k)
    """

    def __init__(self, keep: int) -> None:
        self.keep = keep
        self.values, self.rows = torch.empty(0, 0), torch.empty(0, 0, dtype=torch.int64)

    def add(self, rows: Rows, values: Tensor) -> None:
        """Values (B, U) of some rows."""
        values = values.T.cpu()
        here = torch.from_numpy(rows).expand(len(values), -1)
        if self.values.numel():
            values, here = torch.cat([self.values, values], dim=1), torch.cat([self.rows, here], dim=1)
        ranked = values.sort(dim=1, descending=True, stable=True)
        self.values = ranked.values[:, : self.keep]
        self.rows = here.gather(1, ranked.indices[:, : self.keep])


def seen(pixels: Tensor, shape: tuple[int, int, int]) -> Tensor:
    """uint8 images (B, C, H, W) as floats in [0, 1] of the shape (C, H, W) that a network takes.

    Examples
    --------
    >>> seen(torch.full((1, 3, 8, 8), 255, dtype=torch.uint8), (1, 4, 4)).unique().tolist()
    [1.0]
    """
    images = pixels.float().div_(255.0)
    if images.shape[1] != shape[0]:
        images = images.mean(dim=1, keepdim=True).expand(-1, shape[0], -1, -1)
    if images.shape[2:] != shape[1:]:
        images = F.interpolate(images, shape[1:], mode="bilinear", antialias=True).clamp_(0.0, 1.0)
    return images


def map_layer(subject: Subject, layer: str) -> tuple[str, str]:
    """The full name of a layer with maps, by default the deepest of at least 4 x 4, and a sentence about it.

    Raises
    ------
    UnknownName, SpecError
        A layer that is not there, or one of several.
    UnsupportedModel
        A layer without a map.
    """
    rows = subject.test()[:1]
    if not len(rows):
        raise DataError(f"{subject.dataset.name} has no test images")
    subject.logits_of(rows)  # Says what is wrong with a model that cannot take these images.
    _, image = next(subject.batches(rows))
    full = find_layer(subject.model, layer) if layer else deepest_map(subject.model, image, SMALLEST_MAP)
    _, units, height, width = Show(subject.model, subject.dataset.images, _shape(image), full, "").of(image).shape
    chosen = "as asked for" if layer else f"the deepest of at least {SMALLEST_MAP} x {SMALLEST_MAP}"
    return full, f"the units are the {units} channels of {full}, a map of {height} x {width}, {chosen}"


def least_likely_attack(model: nn.Module, epsilon: float, step: float, steps: Steps) -> Attack:
    """Iterative steps toward the answer that the model holds least likely; no label takes part."""

    def attack(images: Tensor) -> Tensor:
        labels = torch.zeros(len(images), dtype=torch.int64)
        return least_likely(model, images, labels, torch.Generator(), epsilon=epsilon, step=step, steps=steps)

    return attack


def _shape(images: Tensor) -> tuple[int, int, int]:
    _, channels, height, width = images.shape
    return channels, height, width
