"""Images as PNG files, several at a time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from biaskit.data import Dataset
from biaskit.errors import DataError

__all__ = ["as_image", "column_clash", "write_images"]

#: Images that are painted or decoded at a time.
_CHUNK = 256


def as_image(pixels: npt.NDArray[np.uint8]) -> Image.Image:
    """Pixels (H, W, C) as a picture, gray with one channel."""
    return Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))


def column_clash(dataset: Dataset, columns: Sequence[str]) -> None:
    """Refuse attributes that are called like a column of the layout.

    Raises
    ------
    DataError
    """
    taken = [name for name in dataset.attributes if name in columns]
    if taken:
        raise DataError(f"an attribute called {taken[0]!r} would be written over a column of the layout; rename it")


def write_images(dataset: Dataset, folder: Path, keys: Sequence[str]) -> None:
    """Write every image of a data set as a PNG file, ``keys`` giving their paths below the folder."""
    for place in sorted({key.rpartition("/")[0] for key in keys}):
        (folder / place).mkdir(parents=True, exist_ok=True)

    def save(row: int, pixels: npt.NDArray[np.uint8]) -> None:
        as_image(pixels).save(folder / keys[row], "PNG")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for part in torch.split(torch.arange(len(dataset)), _CHUNK):
            pixels = dataset.images.gather(part).cpu().permute(0, 2, 3, 1).numpy()
            for _ in pool.map(save, part.tolist(), pixels):
                pass  # asking for each result raises what a thread raised
