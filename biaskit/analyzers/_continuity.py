from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from pydantic import Field
from torch import Tensor

from biaskit.analyzers._continuity_pictures import Condition, class_views, perturbed, triples
from biaskit.analyzers._groups import ALL
from biaskit.analyzers._neighborhoods import Floats, Neighborhoods, neighborhoods
from biaskit.analyzers._views import View
from biaskit.errors import DataError
from biaskit.evaluation import EVAL_BATCH
from biaskit.features import finite
from biaskit.perturbations._photometric import AMOUNTS, Level, Operation
from biaskit.results import Column, Result
from biaskit.subject import Subject

__all__ = ["continuity"]

#: What changes color alone.
COLORFUL = ("saturation", "hue")

COLUMNS = (
    Column("perturbation", "what was changed; all = the sum of DS, the mean of the others", key=True),
    Column("level", "strength, 1 to 4 (Wu et al., Table 1)", key=True),
    Column("amount", "what the level adds, multiplies or turns by", key=True),
    Column("n", "images"),
    Column("n_neighbors", "images with another of their class whose logits differ; what follows DS is over these"),
    Column("ds", "squared distance between the logits of image and copy, mean over images", "logit^2", "lower"),
    Column("nds", "DS over the mean DS between the image and the others of its class, mean", "", "lower"),
    Column(
        "discontinuity_rate", "share of (copy, other image of the class) with the copy further away", "share", "lower"
    ),
    Column("median_rank", "place of the copy among the others of its class by distance, 1 = nearest", "", "lower"),
    Column(
        "nearest", "share of images that no other image of their class is nearer to than the copy", "share", "higher"
    ),
)
#: The columns of the samples.
SAMPLES = ("row", "perturbation", "level", "ds", "nds", "discontinuity_rate", "nearest")


def continuity(
    subject: Subject,
    *,
    operations: Annotated[tuple[Operation, ...], Field(min_length=1)] = ("brightness", "contrast", "saturation", "hue"),
    levels: Annotated[tuple[Level, ...], Field(min_length=1)] = (1, 2, 3, 4),
    images: Annotated[int, Field(ge=2)] = 2000,
    examples: Annotated[int, Field(ge=0)] = 3,
    views: tuple[View, ...] = ("pca",),
    view_label: str = "",
) -> Result:
    """How far the logits move when the meaning does not.

    ``DS(x, x') = sum_k (F_k(x') - F_k(x))^2``. DS grows with the scale of the logits, so numbers without a scale
    stand beside it, against the other images x_B of the class of x: ``nDS = DS(x, x') / mean_B DS(x, x_B)``; the
    discontinuity rate ``P[DS(x, x') > DS(x, x_B)]``, the event of the paper's Figure 1; and the rank of the copy
    among the x_B. The rate is a mean and can come from a few images alone: the median rank and the share of copies
    that are the nearest of all tell of the others.

    Parameters
    ----------
    subject : Subject
        Needs the model.
    operations : tuple of 'brightness', 'contrast', 'saturation', 'hue'
    levels : tuple of 1, 2, 3, 4
    images : int
        Test images looked at, drawn once for all arms and seeds.
    examples : int
        Triples of image, copy and nearest other image of the class that are shown: those with the largest
        ``DS(x, x') / DS(x, x_B)`` above 1, and as many drawn at random of the rest, at the lowest level.
    views : tuple of 'pca', 'tsne', 'umap'
        How the logits of one class, an image of it and its copies at the lowest level are drawn on a plane; t-SNE at
        perplexity 30, UMAP (needs ``biaskit[umap]``) with 15 neighbors, both less where the class is small. They are
        pictures: what they suggest, the rank counts.
    view_label : str
        The class drawn; empty for the first one with three images. Of its images the first is the one that is
        perturbed, the same for every arm.

    Returns
    -------
    Result
        A row per perturbation and level, and per level one row ``all``: the sum of DS over the perturbations (the
        paper's scalar), the mean of nDS and of the shares, the median rank over all copies. ``samples`` has ``row``,
        ``perturbation``, ``level``, ``ds``, ``nds``, ``discontinuity_rate`` and ``nearest`` per image. An image alone
        in its class, or in one whose images share their logits, has NaN for all but ``ds``; ``n_neighbors`` counts the
        others.

    Raises
    ------
    MissingExtra
        The view ``umap`` without umap-learn.
    SpecError
        A ``view_label`` that the data set does not have.

    References
    ----------
    Wu et al., arXiv 2011.09789, equation 4, Table 1, Figures 1 to 3; nDS, rate and ranks are ours.

    Examples
    --------
    A model that answers by the color of the background: of the other 7 images of a class 3 have the same color and
    logits. A slight turn of the hue moves red, and not blue; a large one takes both further than these 3.

    >>> from biaskit import testing
    >>> subject = Subject(testing.reads("background"), testing.tiny(), device="cpu")
    >>> table = continuity(subject, operations=("hue",), levels=(1, 4)).table
    >>> table[table["perturbation"] == "hue"][["level", "n", "median_rank", "nearest"]].values.tolist()
    [[1.0, 16.0, 2.5, 0.5], [4.0, 16.0, 4.0, 0.0]]
    """
    operations, levels = tuple(dict.fromkeys(operations)), tuple(dict.fromkeys(levels))
    gray = [one for one in operations if one in COLORFUL] if subject.dataset.images.shape[0] == 1 else []
    asked, operations = operations, tuple(one for one in operations if one not in gray)
    if not operations:
        raise DataError(f"gray images have no color to change: {', '.join(asked)} leaves them as they are")
    rows = subject.sample(images, "continuity")
    conditions = [(operation, level) for level in levels for operation in operations]
    lowest = [place for place, (_, level) in enumerate(conditions) if level == min(levels)]
    mildest = [conditions[place] for place in lowest]
    logits = subject.logits_of(rows)
    plane = class_views(subject, rows, mildest, views, view_label)
    copies = _distances(subject, rows, logits, conditions)
    found = neighborhoods(logits, subject.dataset.labels[rows], copies)
    shown = triples(subject, rows, found.under(lowest), copies[:, lowest].numpy(), mildest, examples), plane
    parts = list(_parts(conditions, copies.numpy(), found))
    return Result(
        "continuity",
        pd.DataFrame([line for line, _ in parts], columns=[column.name for column in COLUMNS]),
        COLUMNS,
        {
            "operations": asked,
            "levels": levels,
            "images": images,
            "examples": examples,
            "views": views,
            "view_label": view_label,
        },
        pd.concat([each.assign(row=rows) for _, each in parts], ignore_index=True)[list(SAMPLES)],
        tuple(picture for pictures, _ in shown for picture in pictures),
        (
            *(f"left out: {one}, which leaves gray images as they are" for one in gray),
            *(note for _, notes in shown for note in notes),
        ),
    )


@torch.inference_mode()
def _distances(
    subject: Subject, rows: npt.NDArray[np.int64], logits: Tensor, conditions: Sequence[Condition]
) -> Tensor:
    """DS between every image and its copy under every condition, (rows, conditions), float64 on the CPU."""
    model, found = subject.model, []
    for (_, images), clean in zip(subject.batches(rows), torch.split(logits, EVAL_BATCH), strict=True):
        moved = torch.stack([finite(model(perturbed(images, *one)).float()) for one in conditions], dim=1)
        found.append((moved.cpu().double() - clean.double()[:, None]).square().sum(dim=2))
    return torch.cat(found)


def _parts(
    conditions: Sequence[Condition], ds: Floats, found: Neighborhoods
) -> Iterator[tuple[dict[str, object], pd.DataFrame]]:
    """Per level, for every perturbation and for all: a line of the table and the values per image."""
    known = found.known
    values = {
        "nds": ds / found.typical[:, None],
        "discontinuity_rate": found.rate,
        "nearest": np.where(known[:, None], found.rank == 1.0, np.nan),
    }
    for level in dict.fromkeys(level for _, level in conditions):
        here = [place for place, one in enumerate(conditions) if one[1] == level]
        for name, places in [*((conditions[place][0], [place]) for place in here), (ALL, here)]:
            key = {"perturbation": name, "level": level}
            means = {measure: one[:, places].mean(axis=1) for measure, one in values.items()}
            each = pd.DataFrame({**key, "ds": ds[:, places].sum(axis=1), **means})
            line: dict[str, object] = {
                **key,
                "amount": np.nan if name == ALL else AMOUNTS[conditions[places[0]][0]][level - 1],
                "n": len(ds),
                "n_neighbors": int(known.sum()),
                "ds": each["ds"].mean(),
                **{measure: each[measure].mean() for measure in values},  # of those that have a number
                "median_rank": float(np.median(found.rank[known][:, places])) if known.any() else np.nan,
            }
            yield line, each
