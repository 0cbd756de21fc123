"""The pictures of ``continuity``: images, copies and neighbors, and the logits of a class on a plane."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biaskit.analyzers._neighborhoods import Floats, Neighborhoods
from biaskit.analyzers._views import View, check_views, on_a_plane, scatter
from biaskit.errors import SpecError, nearest
from biaskit.features import finite
from biaskit.perturbations._photometric import AMOUNTS, Level, Operation, change
from biaskit.results import Picture
from biaskit.rng import numpy_generator
from biaskit.subject import Subject

__all__ = ["Condition", "class_views", "perturbed", "triples"]

Condition = tuple[Operation, Level]
Shown = tuple[list[Picture], list[str]]
#: A class is drawn from so many images on.
_ENOUGH = 3
_NAMES = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}
#: Small images are shown at least so large.
_SIDE = 64


def perturbed(images: Tensor, operation: Operation, level: Level) -> Tensor:
    """Images (B, C, H, W) under one operation at one level; gray ones stay of one channel."""
    return change(images.expand(-1, 3, -1, -1), operation, AMOUNTS[operation][level - 1])[:, : images.shape[1]]


def triples(
    subject: Subject,
    rows: npt.NDArray[np.int64],
    found: Neighborhoods,
    ds: Floats,
    conditions: Sequence[Condition],
    each: int,
) -> Shown:
    """Image, its copy that went furthest, and the nearest other image of its class, where that one is nearer.

    Parameters
    ----------
    found : Neighborhoods
        Of these conditions.
    ds : float array (n, conditions)
    conditions : sequence of (operation, level)
        Of one level.
    each : int
        How many of the largest ratio, and how many at random among the rest.
    """
    if each == 0:
        return [], []
    level, furthest = conditions[0][1], ds.max(axis=1)
    apart = np.flatnonzero((found.rank > 1.0).any(axis=1))
    if not len(apart):
        what = "perturbed copy is further from its image than another image of the class"
        return [], [f"no example of discontinuity: at level {level} no {what}"]
    with np.errstate(divide="ignore"):  # another image with the same logits: infinitely further
        ratio = furthest[apart] / found.distance[apart]
    largest = apart[np.argsort(-ratio, kind="stable")[:each]]
    drawn = numpy_generator(0, "triples").permutation(np.setdiff1d(apart, largest))[:each]
    places = {"largest ratio": largest, "at random": drawn}
    pictures = []
    for name, place in [
        (f"{rule}, {number}", one) for rule, some in places.items() for number, one in enumerate(some, 1)
    ]:
        worst, other = int(ds[place].argmax()), int(found.nearest[place])
        operation, label = conditions[worst][0], subject.dataset.classes[subject.dataset.labels[rows[place]]]
        images = subject.dataset.images.gather(torch.from_numpy(rows[[place, other]]))
        copy = perturbed(images[:1].float().div(255.0), operation, level).mul(255.0).round().to(torch.uint8)
        pixels = _side_by_side(torch.cat([images[:1], copy, images[1:]]))
        caption = (
            f"image {rows[place]} ({label}), DS {_short(ds[place, worst])} to its copy ({operation}, level {level}), "
            f"{_short(found.distance[place])} to image {rows[other]} ({label})"
        )
        pictures.append(Picture("discontinuity", name, pixels, caption=caption))
    return pictures, []


def class_views(
    subject: Subject,
    rows: npt.NDArray[np.int64],
    conditions: Sequence[Condition],
    views: Sequence[View],
    wanted: str,
) -> Shown:
    """The logits of one class on a plane: an image, its copies, all its others."""
    classes, labels = subject.dataset.classes, subject.dataset.labels[rows]
    check_views(views)
    if wanted and wanted not in classes:
        close = ", ".join(nearest(wanted, classes) or classes[:6])
        raise SpecError(f"view_label: {subject.dataset.name} has no label {wanted!r}; nearest: {close}")
    if not views:
        return [], []
    counts = np.bincount(labels, minlength=len(classes))
    label = classes.index(wanted) if wanted else int(np.argmax(counts >= _ENOUGH))
    if counts[label] < _ENOUGH:
        which = f"{wanted} has {counts[label]}" if wanted else "no label has so many"
        return [], [f"no view of a class: it needs {_ENOUGH} of the images looked at, and {which}"]
    mine = rows[labels == label]
    with torch.inference_mode():
        ((_, image),) = subject.batches(mine[:1])
        copies = finite(subject.model(torch.cat([perturbed(image, *one) for one in conditions])).float()).cpu()
    clean = subject.logits_of(mine)
    points = torch.cat([clean[:1], copies, clean[1:]]).detach().double().numpy()
    if not np.ptp(points, axis=0).any():
        return [], [f"no view of the class {classes[label]}: all its images have the same logits"]
    caption = (
        f"blue square: the image; orange triangles: its {len(copies)} copies at level {conditions[0][1]}; gray: "
        f"{len(mine) - 1:,} other images labeled {classes[label]}"
    )
    row = f"image {mine[0]}, label {classes[label]}"
    return [
        Picture(f"logits, {_NAMES[view]}", row, scatter(on_a_plane(points, view), len(copies)), caption=caption)
        for view in dict.fromkeys(views)
    ], []


def _side_by_side(images: Tensor) -> npt.NDArray[np.uint8]:
    """Images (B, C, H, W), uint8, as one picture with white between them."""
    larger = -(-_SIDE // images.shape[2])
    pixels = images.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy().repeat(larger, axis=1).repeat(larger, axis=2)
    gap = np.full((pixels.shape[1], max(4, pixels.shape[2] // 16), 3), 255, np.uint8)
    return np.concatenate([part for one in pixels for part in (one, gap)][:-1], axis=1)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
