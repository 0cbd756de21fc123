"""A shortcut: the color of a frame around the image."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pandas as pd
import torch
from pydantic import Field

from biaskit import ArrayImages, DataError, Dataset, Source

__all__ = ["frame"]

Share = Annotated[float, Field(ge=0, le=1)]
COLORS = {"red": (204, 0, 0), "blue": (0, 0, 204)}


def frame(
    source: Source | Dataset,
    rng: np.random.Generator,
    *,
    width: Annotated[int, Field(ge=1, le=8)] = 1,
    train: Share = 0.95,
    test: Share = 0.5,
) -> Dataset:
    """Put a red or a blue frame around every image; the frame tells nothing about the label.

    Parameters
    ----------
    source : Source
        What the card's source gave. A Dataset, which an earlier builder made, is refused: it may have twins and masks
        that this builder knows nothing of.
    rng : numpy Generator
        Everything random comes from here, so that the same card and seed give the same bytes.
    width : int, pixels
    train, test : float in [0, 1]
        Share of red frames.

    Returns
    -------
    Dataset
        With a twin of every test image, which has the other frame: flip rates are read from it.
    """
    if isinstance(source, Dataset):
        raise DataError("frame draws on the images of a source: make it the first builder of the card")
    tested = np.flatnonzero(source.split != "train")
    blue = np.zeros(len(source.labels), bool)
    for rows, red in ((np.flatnonzero(source.split == "train"), train), (tested, test)):
        blue[rng.permutation(rows)[round(red * len(rows)) :]] = True

    # Rows of the source, then a twin of every test row.
    base = np.concatenate([np.arange(len(blue)), tested])
    color = np.concatenate([blue, ~blue[tested]]).astype(int)
    pixels = source.images.gather(torch.from_numpy(base)).numpy().transpose(0, 2, 3, 1)
    pixels = np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:3], 3)))
    edge = np.ones(pixels.shape[1:3], bool)
    edge[width:-width, width:-width] = False
    pixels[:, edge] = np.asarray(list(COLORS.values()), np.uint8)[color][:, None]

    twins = np.arange(len(blue), len(base))
    pair = np.full(len(base), -1)
    pair[tested], pair[twins] = twins, tested
    split = np.concatenate([source.split.astype(object), ["twin"] * len(tested)])
    table = pd.DataFrame(
        {
            "label": pd.Categorical.from_codes(source.labels[base], list(source.classes)),
            "frame": pd.Categorical.from_codes(color, list(COLORS)),
            "split": pd.Categorical(split),
            "pair": pair,
            "swapped": pd.Categorical.from_codes((np.arange(len(base)) >= len(blue)).astype(int), ["", "frame"]),
        }
    )
    return Dataset(ArrayImages(pixels), table, group_by=("frame",))
