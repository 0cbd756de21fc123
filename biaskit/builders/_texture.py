from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from biaskit.builders._planting import Named, Regime, Share, Shares, plant
from biaskit.data import Dataset, Source

__all__ = ["texture"]


@dataclass(frozen=True)
class _Texture:
    pointwise: ClassVar[bool] = False
    count: int
    wavelength: float
    strength: float

    def __call__(self, images: Tensor, value: Tensor, codes: Tensor, phase: Tensor) -> Tensor:
        height, width = images.shape[2:]
        angle = math.pi * (0.5 - torch.arange(self.count) / self.count)[codes][:, None, None]
        y, x = torch.arange(height)[:, None], torch.arange(width)[None, :]
        along = x * torch.cos(angle) + y * torch.sin(angle)
        wave = 0.5 + 0.5 * torch.sin(2 * math.pi * (along / self.wavelength + phase[:, None, None]))
        return images + (1.0 - value) * self.strength * wave[:, None]

    def marks(self, value: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        return value < 0.25, torch.zeros_like(value, dtype=torch.bool)


def texture(
    source: Source | Dataset,
    rng: np.random.Generator,
    *,
    attribute: Named = "texture",
    values: tuple[str, ...] = ("horizontal", "vertical"),
    regime: Regime = "correlated",
    train: Shares = (0.95,),
    test: Shares = (0.5,),
    own: tuple[str, ...] = (),
    wavelength: Annotated[float, Field(ge=2)] = 4.0,
    strength: Share = 0.6,
) -> Dataset:
    """Fill the background with stripes whose orientation is the attribute.

    ``rgb = x + (1 - v) s (1 + sin(2 pi (d / wavelength + phase))) / 2`` with d the distance across the stripes. K
    values turn them in steps of 180/K degrees, horizontal first. The phase is drawn per image and kept by its twin.

    Parameters
    ----------
    source, rng, attribute, values, regime, train, test, own
        As in :func:`biaskit.builders.background_color`; the names of the values are free.
    wavelength : float, pixels, at least 2
    strength : float in [0, 1]
        Brightness s of the stripes.

    Returns
    -------
    Dataset
        Masks: core v > 0.5, spurious v < 0.25.

    Examples
    --------
    >>> from biaskit.images import ArrayImages
    >>> black = Source(ArrayImages(np.zeros((2, 8, 8, 1), np.uint8)), np.array([0, 1]), ("0", "1"),
    ...                np.array(["train", "test"]), "tiny")
    >>> data = texture(black, np.random.default_rng(0), train=(1.0,), test=(1.0,))
    >>> first, second = data.images.gather(torch.tensor([0, 1]))[:, 0].float()
    >>> float(first.std(dim=1).max()), float(second.std(dim=0).max())  # along a stripe nothing changes
    (0.0, 0.0)
    """
    return plant(
        source,
        rng,
        _Texture(len(values), wavelength, strength),
        attribute=attribute,
        values=values,
        regime=regime,
        train=train,
        test=test,
        own=own,
    )
