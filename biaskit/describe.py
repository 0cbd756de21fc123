"""What a data set holds: counts, how label and attribute go together, and one picture of each group."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from PIL import Image

from biaskit import stats
from biaskit.data import TWIN, Dataset
from biaskit.rng import numpy_generator

__all__ = ["association", "codes_of", "contingency", "counted", "png", "sprite"]

Ints = npt.NDArray[np.int64]

#: Test images of each label that stand for a data set without attributes.
_WITHOUT_GROUPS = 5


def contingency(dataset: Dataset) -> pd.DataFrame:
    """Rows per split and group, twins left out; columns: split, label, attributes, n."""
    splits = [split for split in dataset.splits if split != TWIN]
    keys = ["label", *dataset.group_by]
    frames = [dataset.groups[keys].assign(split=split, n=dataset.groups[split]) for split in splits]
    return pd.concat(frames, ignore_index=True)[["split", *keys, "n"]]


def codes_of(dataset: Dataset, rows: Ints, names: Sequence[str]) -> Ints:
    """The combination of attribute values of some rows as one number."""
    codes = tuple(dataset.table[name].cat.codes.to_numpy(np.int64)[rows] for name in names)
    return np.ravel_multi_index(codes, _shape(dataset, names)).astype(np.int64)


def _shape(dataset: Dataset, names: Sequence[str]) -> tuple[int, ...]:
    return tuple(len(dataset.table[name].cat.categories) for name in names)


def counted(dataset: Dataset, rows: Ints, names: Sequence[str]) -> Ints:
    """Images per combination of values and label, (combinations, labels)."""
    labels, cells = len(dataset.classes), int(np.prod(_shape(dataset, names)))
    flat = codes_of(dataset, rows, names) * labels + dataset.labels[rows]
    return np.bincount(flat, minlength=cells * labels).reshape(cells, labels).astype(np.int64)


def association(dataset: Dataset, attributes: Sequence[str] | None = None) -> pd.DataFrame:
    """Cramer's V between the label and attributes, bias-corrected: :func:`biaskit.stats.association`, split by split.

    Parameters
    ----------
    dataset : Dataset
    attributes : sequence of str, optional
        Default: those that make the groups.

    Returns
    -------
    DataFrame
        One row per split and attribute, twins left out: split, attribute, v with low and high, uncorrected, p, n,
        reason.

    Examples
    --------
    >>> from biaskit import testing
    >>> association(testing.graded())[["split", "attribute", "v"]].values.tolist()
    [['train', 'color', 1.0], ['test', 'color', 0.0]]
    """
    found = []
    for split in (split for split in dataset.splits if split != TWIN):
        rows = dataset.rows(split)
        for attribute in dataset.group_by if attributes is None else attributes:
            counts = counted(dataset, rows, (attribute,)).T
            one = stats.association(counts, numpy_generator(0, "association", split, attribute))
            found.append({"split": split, "attribute": attribute, **vars(one)})
    return pd.DataFrame(found, columns=["split", "attribute", *stats.Association.__dataclass_fields__])


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
