from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch.nn.functional import interpolate

from biaskit.data import Source
from biaskit.images import ArrayImages

#: Images of each class, the last in file order, that are the test set.
_TEST = 80


def digits(root: Path | None = None, *, size: Annotated[int, Field(ge=8, le=512)] = 16) -> Source:
    """Embedded handwritten digits: 1,797 images of 8 x 8 pixels, no download.

    Gray values 0..16 are scaled to 0..255 and enlarged bilinearly. The split is fixed: of every class the
    last 80 images in file order are the test set (800 images), the others train (997).

    Parameters
    ----------
    root : Path, optional
        Not read: the images come with scikit-learn.
    size : int
        Side in pixels, at least 8. The default 16 leaves a convolutional network room for two halvings.

    Returns
    -------
    Source
        1,797 images (1, size, size), classes "0" to "9".

    References
    ----------
    Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository, 1998.

    Examples
    --------
    >>> source = digits()
    >>> source.images.shape, len(source.images), int((source.split == "test").sum())
    ((1, 16, 16), 1797, 800)
    """
    from sklearn.datasets import load_digits

    loaded = load_digits()
    labels = loaded.target.astype(np.int64)
    small = torch.from_numpy(loaded.images.astype(np.float32) * (255.0 / 16.0))[:, None]
    large = interpolate(small, (size, size), mode="bilinear", align_corners=False)
    pixels = large.round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    split = np.full(len(labels), "train", dtype="<U5")
    for label in range(10):
        split[np.flatnonzero(labels == label)[-_TEST:]] = "test"
    return Source(ArrayImages(pixels), labels, tuple(str(label) for label in range(10)), split, "digits")
