from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from pydantic import Field
from scipy.stats import t as student
from torch import Tensor, nn

from biaskit.analyzers import _attribution_scores as scores
from biaskit.analyzers._attribution_methods import (
    COMPLETE,
    FINER,
    completed,
    grad_cam,
    integrated_gradients,
    lime,
    pass_size,
)
from biaskit.analyzers._attribution_pictures import enlarged, heat, image_pixels, signed
from biaskit.analyzers._attribution_stability import stability, unchanged, unchanged_notes
from biaskit.analyzers._groups import group_columns, grouped
from biaskit.data import CORE, SPURIOUS, Dataset
from biaskit.errors import DataError, SpecError, UnsupportedModel
from biaskit.features import deepest_map, features, find_layer, redraw
from biaskit.perturbations._photometric import Operation
from biaskit.registry import bind
from biaskit.results import Column, Picture, Result
from biaskit.rng import numpy_generator, scoped
from biaskit.stats import wilson
from biaskit.subject import Subject

__all__ = ["attribution"]

Method = Literal["integrated_gradients", "grad_cam", "lime"]
Explain = Callable[[nn.Module, Tensor, Tensor, npt.NDArray[np.int64]], Tensor]
Rows = npt.NDArray[np.int64]

TITLES: Mapping[str, str] = {
    "integrated_gradients": "integrated gradients",
    "grad_cam": "grad-cam",
    "lime": "lime",
}
_SAID: Mapping[str, str] = {
    "integrated_gradients": "integrated gradients are",
    "grad_cam": "Grad-CAM is",
    "lime": "LIME is",
}
#: A smaller map says nothing about where.
SMALLEST_MAP = 4
#: Images whose maps are held at a time.
BATCH = 64

_SCORES = (
    Column("core_share", "share of |attribution| on the pixels that the answer should come from", "share", "higher"),
    Column("core_chance", "share of the pixels that are core: what a constant map gets", "share"),
    Column("pointing", "share of images whose strongest pixel is a core one; ties count in part", "share", "higher"),
    Column("spurious_share", "share of |attribution| on the pixels of the shortcut", "share", "lower"),
    Column("spurious_chance", "share of the pixels that are the shortcut's: what a constant map gets", "share"),
    Column("total_variation", "roughness: differences of neighboring pixels of |a| / max |a|, per pixel"),
    Column("gini", "concentration of |attribution|: 0 = evenly spread, 1 = in one pixel"),
    Column("deletion", "area under the label's probability while the strongest pixels are taken away", "", "lower"),
    Column("insertion", "area under the label's probability while the strongest pixels are put in", "", "higher"),
    Column(
        "stability",
        "cosine of the map and that of a perturbed copy, level 1, mean over the perturbations that change the image",
        "",
        "higher",
    ),
    Column("randomized", "rank correlation with the map of the same network drawn anew; 1 = blind to it", "", "lower"),
    Column("completeness", "miss of the sum of integrated gradients, over the difference of the logits", "", "lower"),
)
#: Count -> the score whose images it counts, and what is said of these images.
_COUNTS: Mapping[str, tuple[str, str]] = {
    "n_map": ("gini", "images whose map is not zero everywhere"),
    "n_core": ("core_share", "of these, images with core pixels"),
    "n_spurious": ("spurious_share", "of these, images with pixels of the shortcut"),
    "n_deletion": ("deletion", "images with a map and a probability all along the way"),
    "n_insertion": ("insertion", "images with a map and a probability all along the way"),
    "n_stability": ("stability", "images that a perturbation changes, with no map that is zero everywhere"),
    "n_randomized": ("randomized", "images whose map and that of the network drawn anew both vary"),
    "n_completeness": ("completeness", "images whose logit differs from that of a black image"),
}
#: Score -> its smallest and largest value.
_LIMITS = {"total_variation": (0.0, np.inf), "completeness": (0.0, np.inf), "stability": (-1, 1), "randomized": (-1, 1)}


def attribution(
    subject: Subject,
    *,
    methods: Annotated[tuple[Method, ...], Field(min_length=1)] = ("integrated_gradients", "grad_cam", "lime"),
    images: Annotated[int, Field(ge=1)] = 100,
    lime_images: Annotated[int, Field(ge=1)] = 12,
    pictures: Annotated[int, Field(ge=0)] = 4,
    layer: str = "",
    steps: Annotated[int, Field(ge=1)] = 64,
    masks: Annotated[int, Field(ge=2)] = 1000,
    cells: Annotated[int, Field(ge=2)] = 8,
    operations: tuple[Operation, ...] = ("brightness", "contrast", "saturation", "hue"),
) -> Result:
    """Where in the image an answer comes from, and whether the maps that say so can be trusted.

    What is explained is always the true label: its logit for integrated gradients (from a black image, midpoint rule)
    and Grad-CAM, its probability for LIME (linear regression on a grid of cells, hidden ones in the image's mean
    color). Integrated gradients that do not add up to the difference of the logits within 2 % are computed again with
    four times the steps.

    An image is explained once as it is, once per perturbation and once on the network drawn anew. With the default
    options that costs 6 x 64 gradients by integrated gradients and 6 x 1000 forward passes by LIME: with
    ``resnet_small`` at 16 x 16 pixels 0.15 and 1 second on one core. Grad-CAM is nearly free.

    Parameters
    ----------
    subject : Subject
        Needs the model. Scores on masks need a data set with masks and are NaN without.
    methods : tuple of 'integrated_gradients', 'grad_cam', 'lime'
    images : int
        Test images explained, drawn once for all arms and seeds.
    lime_images : int
        How many of them LIME explains.
    pictures : int
        How many of them are shown: the first of every label, then the second, and so on.
    layer : str
        Where Grad-CAM looks, from the end of its name: ``layer3``. Empty: the deepest layer whose map is at least
        4 x 4.
    steps : int
        Points on the path of integrated gradients.
    masks : int
        Masks of an image in LIME, more than there are cells.
    cells : int
        LIME's cells along each side of the image, at most as many as pixels.
    operations : tuple of 'brightness', 'contrast', 'saturation', 'hue'
        Perturbations (level 1) under which a map should stay. Of an image those count that change it: a gray one has
        no color to change. Without any ``stability`` is NaN.

    Returns
    -------
    Result
        Per method a row ``all`` and a row per group: the mean of every score over the images where it is defined,
        with 95 % intervals over images (t; Wilson for ``pointing``). ``n_map`` counts maps that are not zero
        everywhere, for ``total_variation`` and ``gini``; every other score has a count of its own, ``n_core`` and
        ``n_spurious`` also for pointing and chance. ``samples`` has ``row``, ``method`` and every score.
        ``completeness`` is about integrated gradients alone. A method that the model does not allow has NaN, and a
        note says why.

    Raises
    ------
    UnknownName, SpecError
        A layer that is not there, or one of several; an option outside its range; no more masks than cells.
    DataError
        More cells than pixels.
    UnsupportedModel
        A named layer without a map of 4 x 4; a model that allows none of the methods: no such layer, no gradient, NaN
        for images with hidden cells.

    References
    ----------
    Wu et al., arXiv 2011.09789, Figures 11 to 13, which show maps and no numbers. Adebayo et al., Sanity checks for
    saliency maps, NeurIPS 2018 (network drawn anew).
    """
    options = {
        "methods": methods,
        "images": images,
        "lime_images": lime_images,
        "pictures": pictures,
        "layer": layer,
        "steps": steps,
        "masks": masks,
        "cells": cells,
        "operations": operations,
    }
    options = bind(attribution, options, "attribution")
    wanted = tuple(dict.fromkeys(methods))
    if "lime" in wanted:
        _enough(subject.dataset.images.shape, masks, cells)
    rows = subject.sample(images, "attribution")
    subject.logits_of(rows)  # Says what is wrong with a model that cannot take these images.
    few = np.sort(numpy_generator(0, "attribution", "lime").permutation(rows)[:lime_images])
    where, said, refused = _map_layer(subject, rows, layer, wanted)
    explain: dict[str, Explain] = {
        "integrated_gradients": lambda model, x, y, _: integrated_gradients(model, x, y, steps),
        "grad_cam": lambda model, x, y, _: grad_cam(model, x, y, where),
        "lime": lambda model, x, y, of: lime(model, x, y, of.tolist(), masks=masks, cells=cells),
    }
    untrained = copy.deepcopy(subject.model)
    with scoped(0):
        drawn = redraw(untrained)
    shown = _first_of_labels(subject.dataset, few if "lime" in wanted else rows, pictures)
    same = unchanged(subject, rows, tuple(dict.fromkeys(operations)))
    look = functools.partial(_explained, subject, untrained=untrained if drawn else None, same=same, shown=shown)
    table, samples, panels, notes = [], [], [], list[str]()
    for method in wanted:
        mine, gradients = few if method == "lime" else rows, method == "integrated_gradients"
        found, maps = _scored([]), dict[int, Tensor]()
        try:
            if method not in refused:
                found, maps = look(mine, explain[method], steps=steps if gradients else 0)
                notes += [_complete(found, steps)] if gradients else []
        except UnsupportedModel as error:
            refused[method], found, maps = error, _scored([]), {}
        samples.append(found.assign(method=method))
        panels += _panels(subject, method, maps, found)
        table += _rows(subject.dataset, mine[: len(found)], found, method)
    if len(refused) == len(wanted):
        raise refused[wanted[0]]
    notes += [f"{_SAID[method]} not defined: {error}" for method, error in refused.items()]
    notes += [] if "grad_cam" in refused else said
    notes += unchanged_notes(same, len(rows))
    if subject.dataset.masks is None:
        notes.append("the data set has no masks: core_share, spurious_share and pointing are not defined")
    if not drawn:
        notes.append("no layer of the model can be drawn anew (reset_parameters): randomized is not defined")
    columns = _columns(subject.dataset)
    return Result(
        "attribution",
        pd.DataFrame(table, columns=[column.name for column in columns]),
        columns,
        options,
        pd.concat(samples, ignore_index=True),
        tuple(panels),
        ("the true label is explained: its logit, and by LIME its probability", *notes),
    )


def _enough(shape: tuple[int, int, int], masks: int, cells: int) -> None:
    """Refuse a grid that the image or the masks are too few for."""
    _, height, width = shape
    if cells > min(height, width):
        raise DataError(
            f"attribution.cells: {cells} x {cells} cells are more than images of {width} x {height} have pixels; "
            f"take at most {min(height, width)}"
        )
    if masks <= cells**2:
        raise SpecError(
            f"attribution.masks: {masks} masks cannot tell {cells} x {cells} = {cells**2} cells apart; take more masks "
            "than cells, better ten times as many"
        )


def _map_layer(
    subject: Subject, rows: Rows, layer: str, methods: Sequence[str]
) -> tuple[str, list[str], dict[str, UnsupportedModel]]:
    """The layer of Grad-CAM, what is to be said about it, and why there is none."""
    if "grad_cam" not in methods:
        return "", [], {}
    _, image = next(subject.batches(rows[:1]))
    try:
        full = find_layer(subject.model, layer) if layer else deepest_map(subject.model, image, SMALLEST_MAP)
    except UnsupportedModel as error:
        if layer:
            raise
        return "", [], {"grad_cam": error}
    with torch.no_grad():
        shape = features(subject.model, image, full).shape[1:]
    if len(shape) != 3 or min(shape[1:]) < SMALLEST_MAP:
        sides = " x ".join(str(side) for side in shape)
        raise UnsupportedModel(
            f"layer {full!r} gives {sides} per image; Grad-CAM needs maps (channels, height, width) of at least "
            f"{SMALLEST_MAP} x {SMALLEST_MAP}: leave `layer` empty to take the deepest"
        )
    chosen = "as asked for" if layer else f"the deepest of at least {SMALLEST_MAP} x {SMALLEST_MAP}"
    return full, [f"Grad-CAM looks at {full}, a map of {shape[1]} x {shape[2]}, {chosen}"], {}


def _explained(
    subject: Subject,
    rows: Rows,
    explain: Explain,
    *,
    untrained: nn.Module | None,
    same: Mapping[Operation, Rows],
    shown: Rows,
    steps: int,
) -> tuple[pd.DataFrame, dict[int, Tensor]]:
    """Every score of every image, and the maps of those that are shown; nothing else outlives its batch."""
    dataset, parts = subject.dataset, list[pd.DataFrame]()
    kept: dict[int, Tensor] = {}
    labels = torch.from_numpy(dataset.labels)
    size = min(BATCH, pass_size(torch.empty(0, *dataset.images.shape)))
    for part, batch in subject.batches(rows, size):
        targets = labels[torch.from_numpy(part)].to(batch.device)
        maps = explain(subject.model, batch, targets, part)
        found: dict[str, Tensor] = {}
        # Like with like: the maps of copies are as coarse as this one, which is refined after that.
        found["stability"] = stability(functools.partial(explain, subject.model), batch, targets, part, maps, same)
        if untrained is not None:
            found["randomized"] = scores.rank_correlation(maps, explain(untrained, batch, targets, part))
        if steps:
            maps, found["completeness"] = completed(subject.model, batch, targets, maps, steps)
        found |= _on_masks(dataset, part, maps)
        found["total_variation"], found["gini"] = scores.total_variation(maps), scores.gini(maps)
        found["deletion"], found["insertion"] = scores.curves(subject.model, batch, targets, maps)
        parts.append(pd.DataFrame({"row": part, **{name: one.numpy() for name, one in found.items()}}))
        kept |= {int(row): one for row, one in zip(part, maps, strict=True) if row in shown}
    return _scored(parts), kept


def _scored(parts: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The row and every score of the images of some batches, or of none."""
    wide = pd.concat([pd.DataFrame({"row": np.empty(0, np.int64)}), *parts], ignore_index=True)
    return wide.reindex(columns=["row", *(column.name for column in _SCORES)]).astype({"row": np.int64})


def _on_masks(dataset: Dataset, rows: Rows, maps: Tensor) -> dict[str, Tensor]:
    """What depends on masks; nothing without them."""
    if dataset.masks is None:
        return {}
    bits = dataset.masks.gather(torch.from_numpy(rows))[:, 0].cpu()
    core, spurious = (bits & CORE) > 0, (bits & SPURIOUS) > 0
    # Chance of the images that have a share: like with like.
    flat = torch.where(scores.gini(maps).isnan()[:, None, None], torch.nan, torch.ones_like(maps))
    return {
        "core_share": scores.share(maps, core),
        "core_chance": scores.share(flat, core),
        "pointing": scores.pointing(maps, core),
        "spurious_share": scores.share(maps, spurious),
        "spurious_chance": scores.share(flat, spurious),
    }


def _columns(dataset: Dataset) -> tuple[Column, ...]:
    """Keys, counts, then every score with its interval."""
    counts = (Column("n", "images explained"), *(Column(name, meaning) for name, (_, meaning) in _COUNTS.items()))
    ends = "95 % interval over images: this model, other images"
    measured = [
        column
        for one in _SCORES
        for column in (one, Column(f"{one.name}_low", ends, one.unit), Column(f"{one.name}_high", ends, one.unit))
    ]
    return (Column("method", "how the map is made", key=True), *group_columns(dataset), *counts, *measured)


def _rows(dataset: Dataset, rows: Rows, found: pd.DataFrame, method: str) -> list[dict[str, Any]]:
    """A row for all images and one per group."""
    table = []
    for keys, mine in grouped(dataset, rows):
        part = found[mine]
        row: dict[str, Any] = {"method": method, **keys, "n": len(part)}
        row |= {name: int(part[score].notna().sum()) for name, (score, _) in _COUNTS.items()}
        for score in _SCORES:
            ends = _interval(part[score.name].dropna().to_numpy(float), score.name)
            row |= dict(zip((score.name, f"{score.name}_low", f"{score.name}_high"), ends, strict=True))
        table.append(row)
    return table


def _interval(values: npt.NDArray[np.float64], score: str) -> tuple[float, float, float]:
    """Mean over images and its 95 % interval, within what the score can be; NaN where there are too few images."""
    n = len(values)
    if n == 0:
        return np.nan, np.nan, np.nan
    mean = float(values.mean())
    if score == "pointing":
        low, high = wilson(values.sum(), n)
        return mean, float(low), float(high)
    if n == 1:
        return mean, np.nan, np.nan
    half = float(student.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n))
    least, most = _LIMITS.get(score, (0.0, 1.0))
    return mean, max(mean - half, least), min(mean + half, most)


def _complete(found: pd.DataFrame, steps: int) -> str:
    known = found["completeness"].dropna().to_numpy(float)
    if len(known) and found["gini"].isna().all():
        raise UnsupportedModel(
            "the logits differ from those of a black image, but their gradient is 0 everywhere: something in the model "
            "stops it (torch.no_grad, detach, rounding); take that out"
        )
    if not len(known):
        return "completeness of integrated gradients is not defined: no logit differs from that of a black image"
    return (
        f"integrated gradients miss the difference of the logits by {np.median(known):.1%} (median), by less than "
        f"{COMPLETE:.0%} in {(known < COMPLETE).mean():.0%} of {len(known):,} images, with {steps} steps and "
        f"{FINER * steps} where these do not suffice"
    )


def _first_of_labels(dataset: Dataset, rows: Rows, count: int) -> Rows:
    """The first row of every label, then the second, until there are enough."""
    order = pd.Series(dataset.labels[rows]).groupby(dataset.labels[rows]).cumcount().to_numpy()
    return rows[np.lexsort((dataset.labels[rows], order))[:count]]


def _panels(subject: Subject, method: str, maps: Mapping[int, Tensor], found: pd.DataFrame) -> list[Picture]:
    """The image, and its map, of every row that is shown."""
    dataset, panels = subject.dataset, []
    shares = found.set_index("row")["core_share"]
    for row, values in maps.items():
        of = dataset.table.iloc[row]
        name = ", ".join([f"image {row}", *(f"{key} {of[key]}" for key in ("label", *dataset.group_by))])
        image = dataset.images.gather(torch.tensor([row]))[0].cpu().float() / 255.0
        drawn = signed(values) if method == "integrated_gradients" else heat(values, image)
        share = float(shares[row])
        caption = f"{share:.0%} on the core" if np.isfinite(share) else ""
        panels.append(Picture(TITLES[method], name, enlarged(image_pixels(image)), "image"))
        panels.append(Picture(TITLES[method], name, enlarged(drawn), caption=caption))
    return panels
