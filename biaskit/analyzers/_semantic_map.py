from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from pydantic import Field
from scipy.stats import t as student

from biaskit.analyzers._groups import ALL, group_columns, grouped
from biaskit.analyzers._semantic_pictures import curve_picture, heat_picture, small_heat_picture
from biaskit.analyzers._semantic_space import Confident, space_of
from biaskit.attacks._options import checks_options
from biaskit.errors import DataError, SpecError, UnsupportedModel
from biaskit.results import Column, Picture, Result
from biaskit.semantic import Padding, Space
from biaskit.subject import Subject

__all__ = ["MEAN_OF_ARMS", "maps_of_arms", "semantic_map"]

Rows = npt.NDArray[np.int64]

#: The column of the mean over the networks of a comparison.
MEAN_OF_ARMS = "mean of the arms (DSM)"
MEASURES = (
    Column("n", "test images, each at every point of the grid"),
    Column("n_wrong", "of them, images that are wrong as they are"),
    Column("start", "confidence in the label on the images as they are", "share", "higher"),
    Column("confidence", "mean confidence in the label over the grid", "share", "higher"),
    Column("low", "95 % t interval over images: this model, other images"),
    Column("high", "95 % t interval over images: this model, other images"),
    Column("accuracy", "share of right answers over images and points", "share", "higher"),
    Column("least", "mean confidence at the worst point of the grid; lower than elsewhere by construction", "share"),
    Column("where", "the worst point, in physical units"),
    Column("below", "share of the points where the mean confidence is below one half", "share", "lower"),
)


@checks_options
def semantic_map(
    subject: Subject,
    *,
    parameters: Annotated[tuple[str, ...], Field(min_length=1, max_length=2)] = ("rotation", "scale"),
    points: Annotated[int, Field(ge=2)] = 13,
    ranges: dict[str, tuple[float, float]] | None = None,
    padding: Padding = "reflection",
    images: Annotated[int, Field(ge=1)] = 200,
    pictures: Annotated[int, Field(ge=0)] = 3,
    batch: Annotated[int, Field(ge=1)] = 256,
) -> Result:
    """The confidence in the label over a grid of one or two semantic parameters: the network semantic map.

    Every image is shown at every point of the grid; ``NSM(u) = mean over images of f(u)`` with ``f`` the softmax
    probability of the label. The mean over the networks of a comparison is the data set semantic map (DSM).

    Parameters
    ----------
    subject : Subject
        Needs the model.
    parameters : one or two of rotation, translate_x, translate_y, scale, hue, brightness, contrast, saturation
        Of rendered objects: azimuth, elevation.
    points : int
        Points along each parameter, ends included.
    ranges : dict of (low, high), optional
        Physical ranges other than those of :data:`biaskit.semantic.PARAMETERS`.
    padding : "reflection", "border" or "zeros"
        What lies outside a moved image. It is part of what is measured.
    images : int
        Test images looked at, drawn once for all arms and seeds.
    pictures : int
        Labels that get a heat map of their own: those with the lowest mean confidence.
    batch : int
        Images shown to the model at a time.

    Returns
    -------
    Result
        A row ``all`` and one per group. ``details`` has the mean confidence, the accuracy and n of every group at every
        point; ``samples`` the mean over the grid of every image.

    Raises
    ------
    UnknownName, SpecError
        A parameter that the data set does not have; a range that is empty.
    UnsupportedModel
        NaN logits at some point.

    References
    ----------
    Hamdi & Ghanem, Towards Analyzing Semantic Robustness of Deep Neural Networks, ECCV 2020, section 3 (NSM, DSM).
    Plain images in place of renderings are ours.

    Examples
    --------
    >>> from biaskit import testing
    >>> subject = Subject(testing.reads("background"), testing.tiny())
    >>> table = semantic_map(subject, parameters=["brightness"], points=3, pictures=0).table
    >>> table[["label", "n"]].values.tolist()[0]
    ['all', 16]
    """
    dataset = subject.dataset
    space = space_of(dataset, parameters, ranges or {}, padding)
    rows = subject.sample(images, "semantic_map")
    if not len(rows):
        raise DataError("no test images to move")
    if points ** len(parameters) * len(rows) > 10**8:
        raise SpecError(f"points: {points ** len(parameters):,} points of {len(rows):,} images are too many")
    axes = torch.linspace(0.0, 1.0, points)
    grid = torch.cartesian_prod(*[axes] * len(parameters)).reshape(-1, len(parameters))
    confident = Confident(subject, space, torch.from_numpy(rows))
    confidence, right = _over_grid(confident, grid, len(rows), subject.device, batch)
    here = torch.from_numpy(rows)
    start, at_start = _answers(confident, torch.arange(len(rows)), space.neutral(here), subject.device, batch)
    physical = _physical(space, grid)
    table, details = [], []
    for keys, mine in grouped(dataset, rows):
        table.append({**keys, **_row(confidence[mine], right[mine], start[mine], at_start[mine], space, physical)})
        details.append(_cells(keys, confidence[mine], right[mine], space, physical))
    columns = (*group_columns(dataset), *MEASURES)
    notes = [f"{len(grid):,} points: {_axes(space, points)}"] + ([space.note] if space.note else [])
    samples = pd.DataFrame(
        {"row": rows, "start": start, "confidence": confidence.mean(axis=1), "accuracy": right.mean(axis=1)}
    )
    return Result(
        "semantic_map",
        pd.DataFrame(table, columns=[column.name for column in columns]),
        columns,
        {
            "parameters": parameters,
            "points": points,
            "ranges": ranges,
            "padding": padding,
            "images": images,
            "pictures": pictures,
            "batch": batch,
        },
        samples,
        tuple(_pictures(subject, rows, confidence, space, points, pictures)),
        tuple(notes),
        details=pd.concat(details, ignore_index=True),
    )


@torch.inference_mode()
def _answers(
    confident: Confident, jobs: torch.Tensor, u: torch.Tensor, device: str, batch: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Confidence and whether the answer is right, of jobs (m,) at points (m, n)."""
    shares, right = [], []
    for some, part in zip(torch.split(jobs, batch), torch.split(u, batch), strict=True):
        share, correct = confident.answers(some, part.to(device))
        if not bool(share.isfinite().all()):
            at = [round(one, 3) for one in part[int((~share.isfinite()).nonzero()[0])].tolist()]
            raise UnsupportedModel(f"the model gives NaN at the point {at} of the unit cube")
        shares.append(share.float().cpu())
        right.append(correct.cpu())
    return torch.cat(shares).numpy(), torch.cat(right).numpy()


def _over_grid(
    confident: Confident, grid: torch.Tensor, count: int, device: str, batch: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Confidence and correctness, images x points; a few images at a time, each at every point."""
    parts = []
    for jobs in torch.split(torch.arange(count), max(1, batch // len(grid))):
        parts.append(_answers(confident, jobs.repeat_interleave(len(grid)), grid.repeat(len(jobs), 1), device, batch))
    confidence, right = (np.concatenate(one).reshape(count, len(grid)) for one in zip(*parts, strict=True))
    return confidence, right


def _physical(space: Space, grid: torch.Tensor) -> npt.NDArray[np.float64]:
    ends = np.asarray(list(space.ranges.values()), np.float64)
    return np.asarray(ends[:, 0] + grid.double().numpy() * (ends[:, 1] - ends[:, 0]))


def _axes(space: Space, points: int) -> str:
    return " x ".join(
        f"{points} of {name} from {low:g} to {high:g} {space.units[name]}" for name, (low, high) in space.ranges.items()
    )


def _row(
    confidence: npt.NDArray[np.float32],
    right: npt.NDArray[np.bool_],
    start: npt.NDArray[np.float32],
    at_start: npt.NDArray[np.bool_],
    space: Space,
    physical: npt.NDArray[np.float64],
) -> dict[str, Any]:
    n = len(confidence)
    found: dict[str, Any] = {"n": n, "n_wrong": int((~at_start).sum())}
    if not n:
        nothing = ("start", "confidence", "low", "high", "accuracy", "least", "below")
        return found | dict.fromkeys(nothing, np.nan) | {"where": ""}
    each, cells = confidence.mean(axis=1, dtype=np.float64), confidence.mean(axis=0, dtype=np.float64)
    half = student.ppf(0.975, n - 1) * each.std(ddof=1) / np.sqrt(n) if n > 1 else np.nan
    worst = int(cells.argmin())
    place = ", ".join(f"{name} {value:.3g}" for name, value in zip(space.ranges, physical[worst], strict=True))
    return found | {
        "start": float(start.mean()),
        "confidence": float(each.mean()),
        "low": float(max(0.0, each.mean() - half)) if n > 1 else np.nan,
        "high": float(min(1.0, each.mean() + half)) if n > 1 else np.nan,
        "accuracy": float(right.mean()),
        "least": float(cells[worst]),
        "where": place,
        "below": float((cells < 0.5).mean()),
    }


def _cells(
    keys: dict[str, str],
    confidence: npt.NDArray[np.float32],
    right: npt.NDArray[np.bool_],
    space: Space,
    physical: npt.NDArray[np.float64],
) -> pd.DataFrame:
    """A row per point of the grid, for one group; none for a group without images."""
    n = len(confidence)
    values = {f"{name} ({space.units[name]})": physical[:, axis] for axis, name in enumerate(space.ranges)}
    if not n:
        values = {name: one[:0] for name, one in values.items()}
    means = confidence.mean(axis=0, dtype=np.float64) if n else np.empty(0)
    rates = right.mean(axis=0) if n else np.empty(0)
    return pd.DataFrame({**values, "n": n, "confidence": means, "accuracy": rates}).assign(**keys)[
        [*keys, *values, "n", "confidence", "accuracy"]
    ]


def _pictures(
    subject: Subject, rows: Rows, confidence: npt.NDArray[np.float32], space: Space, points: int, count: int
) -> list[Picture]:
    """A heat map, or a curve, of all images and of the labels that fare worst."""
    if not count:
        return []
    labels = subject.dataset.labels[rows]
    means = {code: confidence[labels == code].mean() for code in np.unique(labels)}
    worst = sorted(means, key=lambda code: (means[code], code))[:count]
    parts = [(ALL, np.ones(len(rows), bool))] + [(subject.dataset.classes[one], labels == one) for one in sorted(worst)]
    found = []
    for name, mine in parts:
        mean = confidence[mine].mean(axis=0, dtype=np.float64)
        pixels = _drawn(mean, list(space.ranges.items()), space.units, points)
        caption = f"mean {mean.mean():.2f}, n {int(mine.sum())}"
        found.append(Picture("semantic map", _named(name), pixels, caption=caption))
    return found


def _named(label: str) -> str:
    return "all images" if label == ALL else f"label {label}"


def _drawn(
    mean: npt.NDArray[np.float64], sides: list[tuple[str, tuple[float, float]]], units: Mapping[str, str], points: int
) -> npt.NDArray[np.uint8]:
    """The mean over the grid, first parameter slowest, as a curve or a heat map."""
    if len(sides) == 1:
        return curve_picture(mean, sides[0], units[sides[0][0]])
    return heat_picture(mean.reshape(points, points).T, sides[0], sides[1], units)


def maps_of_arms(results: Mapping[str, Result]) -> list[tuple[str, Picture]]:
    """The maps of several networks side by side, each the mean over its seeds, and first their mean.

    Parameters
    ----------
    results : mapping of arm to Result
        Of ``semantic_map``, the seeds joined.

    Returns
    -------
    list of (arm, Picture)
        Of all images and of the labels with the lowest mean over the arms; first, as :data:`MEAN_OF_ARMS`, the mean
        over the networks, which is the data set semantic map (DSM).
    """
    first = next(iter(results.values()))
    points, count = first.options["points"], first.options["pictures"]
    tables = {arm: one.details for arm, one in results.items() if one.details is not None}
    if not count or not tables:
        return []
    columns = list(next(iter(tables.values())).columns)
    axes = columns[columns.index("n") - len(first.options["parameters"]) : columns.index("n")]
    maps: dict[str, dict[str, npt.NDArray[np.float64]]] = {}
    n: dict[str, int] = {}
    for arm, table in tables.items():
        weighed = table.assign(sum=table["confidence"] * table["n"])
        # Groups are labels x attributes; a label's map is that of all its images.
        for label, part in weighed[weighed["n"] > 0].groupby("label", sort=False):
            sums = part.groupby(axes)[["sum", "n"]].sum()
            maps.setdefault(str(label), {})[arm] = (sums["sum"] / sums["n"]).to_numpy(float)
            n[str(label)] = int(sums["n"].iloc[0]) // table["seed"].nunique()
    means = {label: np.mean(list(one.values()), axis=0) for label, one in maps.items()}
    worst = sorted((label for label in maps if label != ALL), key=lambda label: (means[label].mean(), label))[:count]
    sides, units = [], {}
    for axis in axes:
        name, unit = axis[:-1].split(" (", 1)
        values = next(iter(tables.values()))[axis]
        sides.append((name, (float(values.min()), float(values.max()))))
        units[name] = unit
    found = []
    for label in [ALL, *sorted(worst)]:
        for arm, mean in {MEAN_OF_ARMS: means[label], **maps[label]}.items():
            caption = f"mean {mean.mean():.2f}, n {n[label]}"
            if len(sides) == 2:
                pixels = small_heat_picture(mean.reshape(points, points).T, *sides)
                read = f"across {sides[0][0]}, up {sides[1][0]}; confidence from 0, dark, to 1, light"
                caption += f"; {read}" if arm == MEAN_OF_ARMS else ""
            else:
                pixels = _drawn(mean, sides, units, points)
            found.append((arm, Picture("semantic map", _named(label), pixels, caption=caption)))
    return found
