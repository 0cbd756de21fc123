"""The pictures of ``continuity``: images, copies and neighbors, and the logits of a class on a plane."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, ImageDraw, ImageFont
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
#: What stands above the three pictures of a triple; the letters are a sixth of a picture high, so that they fit.
_WORDS = ("original", "perturbed", "neighbor")
_LETTERS = 6


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
        ratio = np.log(furthest[apart] / found.distance[apart]).round(6)  # so that ties stay in the order of images
    # Of two images that are each other's nearest the one with the larger ratio stands for both, drawn or not.
    ordered = _unmirrored(apart[np.argsort(-ratio, kind="stable")], found.nearest)
    drawn = numpy_generator(0, "triples").permutation(np.sort(ordered[each:]))[:each]
    places = {"largest ratio": ordered[:each], "at random": drawn}
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
            f"original: image {rows[place]}, {label}; perturbed: {operation}, level {level}, "
            f"DS {_short(ds[place, worst])}, rank {found.rank[place, worst]:,.0f}; "
            f"neighbor: image {rows[other]}, {label}, DS {_short(found.distance[place])}"
        )
        pictures.append(Picture("discontinuity", name, pixels, caption=caption))
    return pictures, []


def _unmirrored(places: npt.NDArray[np.int64], nearest: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The same places without those whose neighbor stands before them with the two exchanged."""
    before: set[tuple[int, int]] = set()
    kept = []
    for one in places:
        if (int(nearest[one]), int(one)) not in before:
            before.add((int(one), int(nearest[one])))
            kept.append(one)
    return np.array(kept, np.int64)


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
    """Three images (3, C, H, W), uint8, as one picture with white between them and above each what it is."""
    larger = -(-_SIDE // images.shape[2])
    pixels = images.expand(-1, 3, -1, -1).permute(0, 2, 3, 1).numpy().repeat(larger, axis=1).repeat(larger, axis=2)
    _, height, width, _ = pixels.shape
    gap, letters = max(4, width // 16), max(width, _SIDE) // _LETTERS
    step = max(width, _SIDE) + gap
    image = Image.new("RGB", (3 * step - gap, height + letters + 4), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(letters)
    for place, (word, one) in enumerate(zip(_WORDS, pixels, strict=True)):
        draw.text((place * step, 0), word, fill=(60, 64, 70), font=font)
        image.paste(Image.fromarray(one), (place * step, letters + 4))
    return np.asarray(image)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
