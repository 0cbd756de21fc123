from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from biaskit.builders._colors import palette
from biaskit.builders._planting import Named, Regime, Shares, plant
from biaskit.data import Dataset, Source

__all__ = ["patch"]


@dataclass(frozen=True)
class _Patch:
    pointwise: ClassVar[bool] = False
    count: int
    color: Tensor
    size: float

    def place(self, height: int, width: int) -> Tensor:
        """Where the mark of each value lies: boolean (values, 1, H, W), clockwise from the top left corner."""
        side = max(1, round(self.size * min(height, width)))
        down, right = height - side, width - side
        marks = torch.zeros((self.count, 1, height, width), dtype=torch.bool)
        for number in range(self.count):
            step = 4.0 * number / self.count
            edge, along = int(step), step - int(step)
            top, left = (
                (0, along * right),
                (along * down, right),
                (down, (1 - along) * right),
                ((1 - along) * down, 0),
            )[edge]
            y, x = round(top), round(left)
            marks[number, 0, y : y + side, x : x + side] = True
        return marks

    def __call__(self, images: Tensor, value: Tensor, codes: Tensor, phase: Tensor) -> Tensor:
        marks = self.place(images.shape[2], images.shape[3])[codes]
        return torch.where(marks, self.color[:, :, None, None], images)

    def marks(self, value: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        marks = self.place(value.shape[2], value.shape[3])[codes]
        return marks, marks


def patch(
    source: Source | Dataset,
    rng: np.random.Generator,
    *,
    attribute: Named = "patch",
    values: tuple[str, ...] = ("left", "right"),
    regime: Regime = "correlated",
    train: Shares = (0.95,),
    test: Shares = (0.5,),
    own: tuple[str, ...] = (),
    size: Annotated[float, Field(gt=0, le=0.5)] = 0.15,
    color: str = "white",
) -> Dataset:
    """Put a small square at the border; its position is the attribute, and no perturbation of colors touches it.

    The values lie evenly along the border, clockwise from the top left corner: two values give the top left and the
    bottom right corner, four the corners.

    Parameters
    ----------
    source, rng, attribute, values, regime, train, test, own
        As in :func:`biaskit.builders.background_color`; the names of the values are free.
    size : float in (0, 0.5]
        Side of the square as a share of the image's shorter side; at least one pixel.
    color : str

    Returns
    -------
    Dataset
        Masks: spurious is the square; core (v > 0.5) loses the pixels under it.

    Examples
    --------
    >>> from biaskit.images import ArrayImages
    >>> black = Source(ArrayImages(np.zeros((2, 8, 8, 1), np.uint8)), np.array([0, 1]), ("0", "1"),
    ...                np.array(["train", "test"]), "tiny")
    >>> data = patch(black, np.random.default_rng(0), train=(1.0,), test=(1.0,))
    >>> data.images.gather(torch.tensor([0, 1]))[:, 0].nonzero().tolist()
    [[0, 0, 0], [1, 7, 7]]
    """
    return plant(
        source,
        rng,
        _Patch(len(values), palette((color,)), size),
        attribute=attribute,
        values=values,
        regime=regime,
        train=train,
        test=test,
        own=own,
    )
