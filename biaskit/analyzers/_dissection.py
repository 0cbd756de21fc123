from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from biaskit.analyzers._dissection_counts import Best, Overlap, best_labels, thresholds
from biaskit.analyzers._unit_pictures import outlined, stacked, strip
from biaskit.analyzers._units import KINDS, Show, Strongest, least_likely_attack, map_layer
from biaskit.attacks._options import Epsilon, checks_options
from biaskit.broden import broden_fingerprint, open_broden
from biaskit.concepts import Concepts
from biaskit.errors import DataError
from biaskit.images import Images
from biaskit.results import Column, Picture, Result
from biaskit.rng import numpy_generator
from biaskit.subject import Subject

__all__ = ["dissection"]

Rows = npt.NDArray[np.int64]

COLUMNS = (
    Column("images", "natural, or led step by step to the least likely answer", key=True),
    Column("category", "of the concept; all = any", key=True),
    Column("n", "units of the layer"),
    Column(
        "detectors", "share of units whose best concept is of the category, with an IoU above the threshold", "share"
    ),
    Column("unique", "different concepts that these units detect"),
    Column("iou", "IoU with the unit's best concept of the category, mean over units", "", "higher"),
)


@dataclass(frozen=True, eq=False)
class _Material:
    """The images that are shown, and what can be seen in them."""

    images: Images
    concepts: Concepts
    rows: Rows
    reads: Mapping[str, str]
    note: str


@dataclass(frozen=True, eq=False)
class _Found:
    """Of one kind of images: the best concept of every unit, and the images that excite it most."""

    kind: str
    show: Show
    best: Best
    strongest: Strongest
    active: npt.NDArray[np.int64]


@checks_options
def dissection(
    subject: Subject,
    *,
    concepts: str = "",
    layer: str = "",
    quantile: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.005,
    threshold: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.04,
    lite: bool = False,
    epsilon: Epsilon = 4 / 255,
    step: Epsilon = 1 / 255,
    steps: Literal["published"] | Annotated[int, Field(ge=1)] = "published",
    images: Annotated[int, Field(ge=1)] = 1000,
    pictures: Annotated[int, Field(ge=0)] = 6,
    top: Annotated[int, Field(ge=1)] = 5,
) -> Result:
    """Which units of a layer see a concept that has a name, and whether they still do when the image is attacked.

    The mask of a unit is where its map, brought to the size of the segmentations, is above T, which a share
    ``quantile`` of its activations on all natural images and positions exceeds. Over all images
    ``IoU = sum |mask and label| / (sum' |mask| + sum |label| - sum |mask and label|)``, where sum' runs over the images
    that have a label of the concept's category at all. A unit detects its best concept if their IoU is above
    ``threshold``. On attacked images T stays that of natural images, and the labels those of the clean image.

    Parameters
    ----------
    subject : Subject
        Needs the model.
    concepts : str
        A folder in the layout of Broden. Empty: the test images and concepts of the subject's own data set, such as
        ``shapes``.
    layer : str
        From the end of its name: ``layer3``. Empty: the deepest layer whose map is at least 4 x 4.
    quantile : float
        Share of the activations that are above T.
    threshold : float
        Smallest IoU of a detector.
    lite : bool
        Count a mask only on images where it covers a label of the category, as the later NetDissect-Lite does: larger
        IoU throughout.
    epsilon, step : float in [0, 1], or a fraction such as "4/255"
        How far ``least_likely`` may move a pixel, and by one step does. An epsilon of 0 leaves attacked images out.
    steps : "published" or int
        Steps; as published ``floor(min(e + 4, 1.25 e))`` with e = 255 epsilon.
    images : int
        Images looked at, drawn once for all arms and seeds.
    pictures : int
        Detectors that are shown: those of largest IoU on natural images.
    top : int
        Images of each that are shown, with its mask outlined.

    Returns
    -------
    Result
        Natural and adversarial, over all categories and for each: the share of detectors, how many different concepts
        they detect, and the mean IoU. ``details`` has for every unit its best ``label``, ``category``, ``iou``, whether
        it is a ``detector``, its ``threshold``, and the images ``n`` in which it is active anywhere.

    Raises
    ------
    DataError
        No concepts, a folder that is not in the layout of Broden, or too few activations for the quantile.
    UnknownName, SpecError
        A layer that is not there, or one of several.
    UnsupportedModel
        A layer without a map.

    References
    ----------
    Bau et al., Network Dissection, arXiv 1704.05796, section 2, with its own code's counting of mask pixels (``lite``
    for the other). Dong et al., arXiv 1901.09035, Table 2: detectors on natural and attacked images. Bilinear
    interpolation is between the areas of pixels, where the original anchors it at the centers of receptive fields.
    Epsilon is ours; the paper names none.

    Examples
    --------
    >>> from biaskit import testing
    >>> data = testing.tiny(concepts=True)
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 1, 1, bias=False), torch.nn.Flatten(), torch.nn.Linear(64, 2))
    >>> _ = net[0].weight.data.copy_(torch.ones(1, 3, 1, 1))  # brightest: the white square, 12 of 64 pixels
    >>> dissection(Subject(net, data), quantile=0.2, epsilon=0.0).details[["label", "iou"]].values.tolist()
    [['square', 1.0]]
    """
    full, about = map_layer(subject, layer)
    material = _material(subject, concepts, images)
    shape = subject.dataset.images.shape
    notes = [about, material.note]
    clean = Show(subject.model, material.images, shape, full, subject.device)
    limits, every = thresholds(clean, material.rows, quantile)
    if every > 1:
        notes.append(f"thresholds are read off one in {every} images")
    found = [_dissected(KINDS[0], clean, material, limits, lite, top)]
    if epsilon:
        attack = least_likely_attack(subject.model, epsilon, step, steps)
        shown = Show(subject.model, material.images, shape, full, subject.device, attack)
        found.append(_dissected(KINDS[1], shown, material, limits, lite, top))
    for one in found:
        dead = int((one.active == 0).sum())
        if dead:
            notes.append(f"{dead} of {len(limits)} units are active in no {one.kind} image: their IoU is 0")
    options = {
        "concepts": concepts,
        "layer": layer,
        "quantile": quantile,
        "threshold": threshold,
        "lite": lite,
        "epsilon": epsilon,
        "step": step,
        "steps": steps,
        "images": images,
        "pictures": pictures,
        "top": top,
    }
    table = [row for one in found for row in _rows(one, material.concepts, threshold)]
    details = [_units(one, material.concepts, threshold, limits) for one in found]
    return Result(
        "dissection",
        pd.DataFrame(table, columns=[column.name for column in COLUMNS]),
        COLUMNS,
        options,
        pictures=_pictures(found, material.concepts, threshold, limits, pictures),
        notes=tuple(notes),
        reads=material.reads,
        details=pd.concat(details, ignore_index=True),
    )


def _material(subject: Subject, folder: str, images: int) -> _Material:
    data = subject.dataset
    if folder:
        shown, concepts = open_broden(Path(folder).expanduser())
        rows = np.arange(len(shown))
        if len(rows) > images:
            rows = np.sort(numpy_generator(0, "dissection").choice(rows, images, replace=False))
        reads = {folder: broden_fingerprint(Path(folder).expanduser())}
        _, height, width = data.images.shape
        how = "" if shown.shape[1:] == (height, width) else f", shown to the network at {height} x {width}"
        note = f"{len(rows):,} of {len(shown):,} images of {folder}, {shown.shape[1]} x {shown.shape[2]}{how}"
        return _Material(shown, concepts, rows, reads, note)
    if data.concepts is None:
        raise DataError(
            f"{data.name} has no concepts to dissect with: take the data set shapes, or give a folder in the layout of "
            "Broden as the option `concepts`"
        )
    rows = subject.sample(images, "dissection")
    note = f"{len(rows):,} of {len(subject.test()):,} test images"
    return _Material(data.images, data.concepts, rows, {}, note)


def _dissected(kind: str, show: Show, material: _Material, limits: Tensor, lite: bool, top: int) -> _Found:
    overlap, strongest = Overlap(limits, material.concepts, lite), Strongest(top)
    for rows, _, maps in show.maps(material.rows):
        labels = material.concepts.gather(torch.from_numpy(rows))
        overlap.add(maps, labels.to(maps.device, torch.int64))
        strongest.add(rows, maps.amax(dim=(2, 3)))
    best = best_labels(overlap.iou(), material.concepts.categories, overlap.used)
    return _Found(kind, show, best, strongest, overlap.images.cpu().numpy())


def _rows(found: _Found, concepts: Concepts, threshold: float) -> list[dict[str, Any]]:
    """Over all categories, then for each; one that no pixel of these images has is NaN."""
    best, units = found.best, len(found.best.label)
    detects = best.iou > threshold
    of = np.asarray([*concepts.categories, ""])[best.label]
    rows = []
    for category in ("all", *concepts.used):
        mine = detects if category == "all" else detects & (of == category)
        iou = best.iou if category == "all" else best.within[:, concepts.used.index(category)]
        known = not np.isnan(iou).any()
        rows.append(
            {
                "images": found.kind,
                "category": category,
                "n": units,
                "detectors": mine.sum() / units if known else np.nan,
                "unique": float(len(np.unique(best.label[mine]))) if known else np.nan,
                "iou": float(iou.mean()),
            }
        )
    return rows


def _units(found: _Found, concepts: Concepts, threshold: float, limits: Tensor) -> pd.DataFrame:
    label = found.best.label
    return pd.DataFrame(
        {
            "unit": np.arange(len(label)),
            "images": found.kind,
            "label": np.asarray([*concepts.names, ""], dtype=object)[label],
            "category": np.asarray([*concepts.categories, ""], dtype=object)[label],
            "iou": found.best.iou,
            "detector": found.best.iou > threshold,
            "threshold": limits.cpu().numpy(),
            "n": found.active,
        }
    )


def _pictures(
    found: Sequence[_Found], concepts: Concepts, threshold: float, limits: Tensor, count: int
) -> tuple[Picture, ...]:
    """The best detectors on natural images; a line of images for each kind."""
    best = found[0].best
    order = np.argsort(-best.iou, kind="stable")
    chosen = [int(unit) for unit in order[:count] if best.iou[unit] > threshold]
    pictures = []
    for place, unit in enumerate(chosen, 1):
        strips = [strip(_masked(one, unit, limits)) for one in found]
        said = [f"{one.kind}: {_named(one.best, unit, concepts)}" for one in found]
        caption = f"unit {unit}; {'; below, '.join(said)}"
        pictures.append(Picture("detectors", f"detector {place}", stacked(strips), caption=caption))
    return tuple(pictures)


def _masked(found: _Found, unit: int, limits: Tensor) -> list[npt.NDArray[np.uint8]]:
    """The images that excite a unit most, its mask outlined."""
    shown = []
    rows = found.strongest.rows[unit].numpy()
    for _, images, maps in found.show.maps(rows):
        large = F.interpolate(maps[:, unit, None], images.shape[2:], mode="bilinear", align_corners=False)[:, 0]
        shown += [outlined(image, mask) for image, mask in zip(images, large > limits[unit], strict=True)]
    return shown


def _named(best: Best, unit: int, concepts: Concepts) -> str:
    label = int(best.label[unit])
    if label < 0:
        return "no concept"
    return f"{concepts.names[label]} ({concepts.categories[label]}), IoU {best.iou[unit]:.2f}"
