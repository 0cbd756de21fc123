from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from biaskit.builders._colors import palette
from biaskit.builders._planting import Named, Regime, Shares, plant
from biaskit.data import Dataset, Source

__all__ = ["background_color"]


@dataclass(frozen=True)
class _Background:
    pointwise: ClassVar[bool] = True
    colors: Tensor

    def __call__(self, images: Tensor, value: Tensor, codes: Tensor, phase: Tensor) -> Tensor:
        return images + (1.0 - value) * self.colors[codes][:, :, None, None]

    def marks(self, value: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        return value < 0.25, torch.zeros_like(value, dtype=torch.bool)


def background_color(
    source: Source | Dataset,
    rng: np.random.Generator,
    *,
    attribute: Named = "color",
    values: tuple[str, ...] = ("red", "blue"),
    regime: Regime = "shift",
    train: Shares = (0.95, 0.05),
    test: Shares = (0.05, 0.95),
    own: tuple[str, ...] = (),
) -> Dataset:
    """Color the background: what is dark in the image takes the color of its attribute.

    ``rgb = x + (1 - v) b`` with v the brightness (the V of HSV) and b the color. For a gray image x = v this is the
    color MNIST of Wu et al.: red gives (1, v, v), blue (v, v, 1).

    Parameters
    ----------
    source : Source or Dataset
        A Dataset gets this as a further shortcut.
    rng : numpy Generator
    attribute : str
        Name of the planted column.
    values : tuple of str
        Colors by name or as ``#rrggbb``.
    regime : {'shift', 'correlated'}
        *shift*: the color is independent of the label and only its mix differs between splits. *correlated*: a row
        has its label's own color with a given strength.
    train, test : tuple of float in [0, 1]
        *shift*: the share of each value. *correlated*: the strength; several for ``train`` make environments.
    own : tuple of str
        *correlated*: the value that belongs to each label, in label order; default: labels in equal blocks.

    Returns
    -------
    Dataset
        With a twin of every test image (split ``twin``) and masks: core v > 0.5, spurious v < 0.25; pixels between
        them are neither.

    References
    ----------
    Wu et al., An Experimental Study of Semantic Continuity for Deep Learning Models, arXiv 2011.09789, section 4.4.

    Examples
    --------
    >>> from biaskit.images import ArrayImages
    >>> black = Source(ArrayImages(np.zeros((4, 2, 2, 1), np.uint8)), np.array([0, 1, 0, 1]), ("0", "1"),
    ...                np.array(["train", "train", "test", "test"]), "tiny")
    >>> data = background_color(black, np.random.default_rng(0), train=(1.0, 0.0), test=(0.0, 1.0))
    >>> data.table["color"].tolist()
    ['red', 'red', 'blue', 'blue', 'red', 'red']
    >>> data.images.gather(torch.tensor([0]))[0, :, 0, 0].tolist()
    [255, 0, 0]
    """
    return plant(
        source,
        rng,
        _Background(palette(values)),
        attribute=attribute,
        values=values,
        regime=regime,
        train=train,
        test=test,
        own=own,
    )
