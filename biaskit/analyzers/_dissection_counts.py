"""Where units are active and what is there: thresholds from a stream of activations, and counts of shared pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from biaskit.analyzers._units import Show
from biaskit.concepts import Concepts
from biaskit.errors import DataError

__all__ = ["Best", "Overlap", "best_labels", "thresholds"]

Rows = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
#: Bytes of activations kept for the thresholds, and of upsampled maps looked at together: few enough for the cache.
KEPT, LOOKED_AT = 2**29, 2**23


def thresholds(show: Show, rows: Rows, quantile: float) -> tuple[Tensor, int]:
    """The value that a share of a unit's activations, over all images and positions, is above: exact, in one pass.

    Only the strongest ``floor(quantile N) + 1`` of the N activations are kept at a time. Where even these were more
    than ``KEPT`` bytes, every second image is looked at, or every third, and so on.

    Parameters
    ----------
    show : Show
    rows : int array
    quantile : float

    Returns
    -------
    Tensor (U,)
        T, with ``floor(quantile N)`` activations above it; fewer where several are equal to it.
    int
        Every how many-th image was looked at.

    Raises
    ------
    DataError
        No activation would be above it.
    """
    (_, _, first), every = next(show.maps(rows[:1])), 1
    _, units, height, width = first.shape
    while units * 4 * _above(quantile, len(rows[::every]) * height * width) > KEPT:
        every += 1
    count = _above(quantile, len(rows[::every]) * height * width)
    if not count:
        raise DataError(
            f"quantile {quantile:g} of {len(rows) * height * width:,} activations per unit ({len(rows):,} images at "
            f"{height} x {width} positions) is none; take more images or a larger quantile"
        )
    strongest = torch.empty(units, 0, device=first.device)
    for _, _, maps in show.maps(rows[::every]):
        joined = torch.cat([strongest, maps.transpose(0, 1).flatten(1)], dim=1)
        strongest = joined.topk(min(count + 1, joined.shape[1]), dim=1, sorted=False).values
    return strongest.amin(dim=1), every


def _above(quantile: float, activations: int) -> int:
    return math.floor(quantile * activations + 1e-9)


class Overlap:
    """Pixels that are in the masks of units, of labels, and of both, over all images shown.

    Parameters
    ----------
    limits : float Tensor (U,)
        A unit's mask is where its map, brought to the size of the planes (bilinear), is above its threshold.
    concepts : Concepts
    lite : bool
        Which images count for the mask of a unit, beside the labels of a category: those that have a label of the
        category somewhere, or (lite) only those that have one under the mask.

    Attributes
    ----------
    both : int64 Tensor (U, L + 1)
        Pixels of mask and label; the first column is no label.
    area : int64 Tensor (U, C)
        Pixels of the mask over the images that count for the category.
    labeled : int64 Tensor (L + 1,)
        Pixels of each label over all images.
    images : int64 Tensor (U,)
        Images in which the unit is active anywhere.
    """

    def __init__(self, limits: Tensor, concepts: Concepts, lite: bool) -> None:
        self.limits, self.lite, device = limits, lite, limits.device
        units, labels, self.used = len(limits), len(concepts.names), concepts.used
        codes = [self.used.index(one) for one in concepts.categories]
        # The category of every label; no label has one of its own behind the others.
        self.category = torch.tensor([len(self.used), *codes], device=device)
        self.both = torch.zeros(units, labels + 1, dtype=torch.int64, device=device)
        self.area = torch.zeros(units, len(self.used), dtype=torch.int64, device=device)
        self.labeled = torch.zeros(labels + 1, dtype=torch.int64, device=device)
        self.images = torch.zeros(units, dtype=torch.int64, device=device)

    def add(self, maps: Tensor, labels: Tensor) -> None:
        """Maps (B, U, h, w) and the label numbers (B, P, H, W) of the same images."""
        high, wide = labels.shape[2:]
        flat = _once(labels).flatten(2)
        self.labeled += torch.bincount(flat.flatten(), minlength=len(self.labeled))
        # Bilinear values lie between those they are made of: what is nowhere above its limit stays so.
        active = (maps.amax(dim=(2, 3)) > self.limits).nonzero()
        self.images += torch.bincount(active[:, 1], minlength=len(self.limits))
        there = self._categories(torch.arange(len(flat), device=flat.device), flat, len(flat))
        down, across = _between(maps.shape[2], high, maps.device), _between(maps.shape[3], wide, maps.device)
        for pairs in torch.split(active, max(1, LOOKED_AT // (4 * high * wide))):
            image, unit = pairs.unbind(dim=1)
            large = down.T @ maps[image, unit] @ across
            pair, pixel = (large > self.limits[unit][:, None, None]).flatten(1).nonzero().unbind(dim=1)
            under = flat[image[pair], :, pixel]
            cells = unit[pair][:, None] * len(self.labeled) + under
            self.both += torch.bincount(cells.flatten(), minlength=self.both.numel()).view_as(self.both)
            counted = self._categories(pair, under, len(pairs)) if self.lite else there[image]
            area = torch.bincount(pair, minlength=len(pairs))
            self.area.index_add_(0, unit, area[:, None] * counted)

    def _categories(self, of: Tensor, labels: Tensor, count: int) -> Tensor:
        """Which categories (count, C) have a label among those (N, ...) that belong to each of ``count`` things."""
        width = len(self.used) + 1
        cells = of.view(-1, *[1] * (labels.ndim - 1)) * width + self.category[labels]
        return torch.bincount(cells.flatten(), minlength=count * width).view(count, width)[:, :-1] > 0

    def iou(self) -> Floats:
        """``both / (area + labeled - both)`` of every unit and label, (U, L); NaN for a label that no pixel has."""
        both, labeled = self.both[:, 1:].double(), self.labeled[1:].double()
        area = self.area[:, self.category[1:]].double()
        found = both / (area + labeled - both)
        found[:, labeled == 0] = torch.nan
        shares: Floats = found.cpu().numpy()
        return shares


def _once(labels: Tensor) -> Tensor:
    """Labels (B, P, H, W) where a pixel that has one in several planes has it in the first of them alone.

    A door is an object and a part of a house; counted twice, its IoU could be 2.
    """
    planes = list(labels.unbind(dim=1))
    for place in range(1, len(planes)):
        for before in planes[:place]:
            planes[place] = planes[place].masked_fill(planes[place] == before, 0)
    return torch.stack(planes, dim=1)


def _between(few: int, many: int, device: torch.device) -> Tensor:
    """The weights (few, many) of linear interpolation between pixel centers; a product takes a third of the time."""
    found: Tensor = F.interpolate(torch.eye(few, device=device)[None], many, mode="linear", align_corners=False)[0]
    return found


@dataclass(frozen=True, eq=False)
class Best:
    """What each unit fits best.

    Attributes
    ----------
    label : int array (U,)
        The label's place in the names; -1 where the unit shares no pixel with any.
    iou : float array (U,)
    within : float array (U, C)
        The best of each category; NaN for one that no pixel has.
    """

    label: npt.NDArray[np.int64]
    iou: Floats
    within: Floats


def best_labels(iou: Floats, categories: tuple[str, ...], used: tuple[str, ...]) -> Best:
    """The label that each unit fits best; of equal ones the first.

    Examples
    --------
    >>> best = best_labels(np.asarray([[0.1, 0.3], [0.0, 0.0]]), ("color", "object"), ("color", "object"))
    >>> best.label.tolist(), best.iou.tolist()
    ([1, -1], [0.3, 0.0])
    """
    known = np.where(np.isnan(iou), -1.0, iou)
    label = known.argmax(axis=1)
    most = known.max(axis=1)
    columns = [known[:, [one == category for one in categories]].max(axis=1) for category in used]
    within = np.stack(columns, axis=1)
    return Best(np.where(most > 0.0, label, -1), np.maximum(most, 0.0), np.where(within < 0.0, np.nan, within))
