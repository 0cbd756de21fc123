"""What a data set holds: counts, how label and attribute go together, and one picture of each group."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from PIL import Image
from scipy.stats import chi2_contingency

from biaskit.data import TWIN, Dataset

__all__ = ["association", "contingency", "cramers_v", "png", "sprite"]

#: Test images of each label that stand for a data set without attributes.
_WITHOUT_GROUPS = 5


def contingency(dataset: Dataset) -> pd.DataFrame:
    """Rows per split and group, twins left out; columns: split, label, attributes, n."""
    splits = [split for split in dataset.splits if split != TWIN]
    keys = ["label", *dataset.group_by]
    frames = [dataset.groups[keys].assign(split=split, n=dataset.groups[split]) for split in splits]
    return pd.concat(frames, ignore_index=True)[["split", *keys, "n"]]


def cramers_v(counts: npt.ArrayLike) -> tuple[float, float]:
    """Cramer's V of a table of counts and the p-value of the chi-squared test of independence.

    ``V = sqrt(chi2 / (n min(rows - 1, columns - 1)))``, without bias correction: 0 for independence, 1 where one
    gives the other. NaN where fewer than two rows or columns are filled.

    Examples
    --------
    >>> v, p = cramers_v([[50, 0], [0, 50]])
    >>> round(v, 3), p < 1e-20
    (1.0, True)
    """
    table = np.asarray(counts, dtype=float)
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    if min(table.shape) < 2:
        return float("nan"), float("nan")
    result: Any = chi2_contingency(table, correction=False)
    return float(np.sqrt(result.statistic / (table.sum() * (min(table.shape) - 1)))), float(result.pvalue)


def association(dataset: Dataset) -> pd.DataFrame:
    """Cramer's V between the label and each grouping attribute; columns: split, attribute, v, p, n."""
    found = []
    for split in (split for split in dataset.splits if split != TWIN):
        part = dataset.table.iloc[dataset.rows(split)]
        for attribute in dataset.group_by:
            counts = pd.crosstab(part["label"], part[attribute], dropna=False).to_numpy()
            v, p = cramers_v(counts)
            found.append({"split": split, "attribute": attribute, "v": v, "p": p, "n": len(part)})
    return pd.DataFrame(found, columns=["split", "attribute", "v", "p", "n"])


def sprite(dataset: Dataset, *, twins: bool = False) -> npt.NDArray[np.uint8]:
    """One test image of each group: a column per label, a row per combination of attribute values.

    Where the labels alone make the groups, the first few test images of each.

    Parameters
    ----------
    twins : bool
        Below them the twins of the same images, each under its original's place.

    Returns
    -------
    uint8 array (height, width, 3)
        An empty group stays gray.
    """
    tested = dataset.rows("test")
    if not dataset.group_by:
        labels = dataset.labels[tested]
        turn = pd.Series(labels).groupby(labels).cumcount().to_numpy()
        shown = turn < _WITHOUT_GROUPS
        return _canvas(dataset, labels[shown] * _WITHOUT_GROUPS + turn[shown], tested[shown], _WITHOUT_GROUPS)
    present, first = np.unique(dataset.group_ids[tested], return_index=True)
    values = int(np.prod(dataset.group_shape[1:], dtype=int))
    upper = _canvas(dataset, present, tested[first], values)
    if not twins or TWIN not in dataset.splits:
        return upper
    lower = _canvas(dataset, present, dataset.table["pair"].to_numpy(np.int64)[tested[first]], values)
    return np.concatenate([upper, np.full((3, upper.shape[1], 3), 255, np.uint8), lower])


def _canvas(
    dataset: Dataset, groups: npt.NDArray[np.int64], rows: npt.NDArray[np.int64], values: int
) -> npt.NDArray[np.uint8]:
    pixels = dataset.images.gather(torch.from_numpy(rows)).permute(0, 2, 3, 1).numpy()
    labels = dataset.group_shape[0]
    _, height, width = dataset.images.shape
    canvas = np.full((values * (height + 1) - 1, labels * (width + 1) - 1, 3), 160, np.uint8)
    for group, image in zip(groups, pixels, strict=True):
        label, value = divmod(int(group), values)
        top, left = value * (height + 1), label * (width + 1)
        canvas[top : top + height, left : left + width] = image
    return canvas


def png(pixels: npt.NDArray[np.uint8], scale: int = 1) -> bytes:
    """Pixels (H, W, 3) as a PNG file, each pixel ``scale`` wide."""
    image = Image.fromarray(pixels)
    if scale > 1:
        image = image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return stream.getvalue()
