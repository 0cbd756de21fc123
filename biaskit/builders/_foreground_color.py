from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from biaskit.builders._colors import palette
from biaskit.builders._planting import Named, Regime, Shares, plant
from biaskit.data import Dataset, Source

__all__ = ["foreground_color"]


@dataclass(frozen=True)
class _Foreground:
    pointwise: ClassVar[bool] = True
    colors: Tensor

    def __call__(self, images: Tensor, value: Tensor, codes: Tensor, phase: Tensor) -> Tensor:
        return images * self.colors[codes][:, :, None, None]

    def marks(self, value: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        return value > 0.5, torch.zeros_like(value, dtype=torch.bool)


def foreground_color(
    source: Source | Dataset,
    rng: np.random.Generator,
    *,
    attribute: Named = "color",
    values: tuple[str, ...] = ("red", "green"),
    regime: Regime = "correlated",
    train: Shares = (0.9,),
    test: Shares = (0.1,),
    own: tuple[str, ...] = (),
) -> Dataset:
    """Color the object: the image is multiplied by the color of its attribute.

    ``rgb = x f``. On a gray digit this is the color MNIST of Arjovsky et al. and of the ReBias and LfF studies.
    The shortcut and the object share their pixels, so both mask bits stand on v > 0.5.

    Parameters
    ----------
    source, rng, attribute, values, regime, train, test, own
        As in :func:`biaskit.builders.background_color`.

    Returns
    -------
    Dataset

    Examples
    --------
    >>> from biaskit.images import ArrayImages
    >>> white = Source(ArrayImages(np.full((2, 2, 2, 1), 255, np.uint8)), np.array([0, 1]), ("0", "1"),
    ...                np.array(["train", "test"]), "tiny")
    >>> data = foreground_color(white, np.random.default_rng(0), train=(1.0,), test=(1.0,))
    >>> data.images.gather(torch.tensor([1]))[0, :, 0, 0].tolist()
    [0, 255, 0]
    """
    return plant(
        source,
        rng,
        _Foreground(palette(values)),
        attribute=attribute,
        values=values,
        regime=regime,
        train=train,
        test=test,
        own=own,
    )
