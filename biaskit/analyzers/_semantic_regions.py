from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from pydantic import Field

from biaskit.analyzers._groups import group_columns, grouped
from biaskit.analyzers._semantic_pictures import heat_picture
from biaskit.analyzers._semantic_space import Confident, space_of
from biaskit.attacks._options import checks_options
from biaskit.errors import DataError, UnsupportedModel
from biaskit.regions import Inside, Regions, find_regions, srvr
from biaskit.regions._bounds import Method
from biaskit.regions._search import SEARCHED
from biaskit.regions._sobol import sobol
from biaskit.results import Column, Picture, Result
from biaskit.rng import numpy_generator
from biaskit.semantic import Padding, Space
from biaskit.subject import Subject

__all__ = ["semantic_regions"]

Rows = npt.NDArray[np.int64]

MEASURES = (
    Column("n", "test images"),
    Column("n_regions", "starting points, over all images"),
    Column("n_wrong", "starting points where the model is wrong already; nothing grows there and their volume is 0"),
    Column("n_collapsed", "regions that shrank to nothing"),
    Column("n_unfinished", "regions that still moved when the steps were over; take more steps"),
    Column("n_nan", "starting points left out because the model gave NaN"),
    Column("srvr", "semantic robustness volume ratio: mean share of the domain that regions cover", "share", "higher"),
    Column("low", "95 % bootstrap interval over images: this model, other images; none below ten images"),
    Column("high", "95 % bootstrap interval over images: this model, other images; none below ten images"),
    Column("volume", "the same over starting points where the model is right", "share", "higher"),
    Column("start", "mean confidence at the starting points", "share", "higher"),
    Column("confidence", "mean confidence inside the regions, at Sobol points", "share", "higher"),
    Column("variance", "mean variance of the confidence inside a region", "", "lower"),
    Column("holes", "share of the points inside regions with less confidence than the level", "share", "lower"),
    Column("satisfied", "share of the regions with enough mean confidence and little variance", "share", "higher"),
)
#: With a larger share of regions that still move SRVR depends on the steps, and says so.
MOVING = 0.1
#: The methods that read the slope of the confidence.
SLOPED: tuple[Method, ...] = ("oir_w", "trap")
#: The released code's setting; its rate and its first box are in degrees.
PUBLISHED: dict[str, Any] = {
    "rate": 0.1,
    "half_width": 1e-5,
    "steps": 800,
    "alpha": 0.05,
    "beta": 0.0009,
    "lam": 0.1,
    "grad_sign": -1,
    "face_means": False,
    "project": False,
}


@checks_options
def semantic_regions(
    subject: Subject,
    *,
    parameters: Annotated[tuple[str, ...], Field(min_length=1)] = ("rotation", "scale"),
    methods: tuple[Method, ...] = ("level", "naive", "oir_b", "oir_w"),
    levels: Annotated[tuple[Annotated[float, Field(gt=0, lt=1)], ...], Field(min_length=1)] = (0.5, 0.3, 0.7, 0.9),
    setting: Literal["normalized", "published"] = "normalized",
    ranges: dict[str, tuple[float, float]] | None = None,
    padding: Padding = "reflection",
    images: Annotated[int, Field(ge=1)] = 16,
    starts: Annotated[int, Field(ge=1)] = 4,
    steps: Annotated[int, Field(ge=1)] = 400,
    rate: Annotated[float, Field(gt=0)] = 0.02,
    miss: Annotated[float, Field(ge=0, le=1)] = 0.5,
    variance: Annotated[float, Field(ge=0)] = 0.05,
    samples: Annotated[int, Field(ge=2)] = 64,
    pictures: Annotated[int, Field(ge=0)] = 3,
    batch: Annotated[int, Field(ge=1)] = 256,
) -> Result:
    """How far an object may turn, shift, shrink or change color before the model loses it: regions and their volume.

    From starting points spread over the domain a box grows while the confidence in the label stays up; SRVR is the
    mean share of the domain that boxes cover. No method promises what is inside, so every box is looked into
    afterwards. ``level`` stops where the mean confidence on a face is the level, and is the one to compare models by:
    the others mix confidence with the number of steps.

    Parameters
    ----------
    subject : Subject
        Needs the model; ``oir_w`` and ``trap`` need its gradients, and are left out with a note where it gives none.
    parameters : tuple of str
        As in :func:`biaskit.analyzers.semantic_map`, any number; above eight the faces are sampled, and methods that
        read corners are refused.
    methods : tuple of naive, oir_b, oir_w, trap, level
        A comparison's verdict is on the first of them, at the first level.
    levels : tuple of float
        Of ``level``: a region for each, for the curve of SRVR over the level. The first is also the confidence below
        which a point is a hole, and under which a start is no start for ``level``.
    setting : "normalized" or "published"
        Shares of the ranges, means over faces, projection to the domain; or as the released code has it, in physical
        units and without projection, where ``steps`` and ``rate`` are not read.
    ranges, padding
        As in :func:`biaskit.analyzers.semantic_map`.
    images : int
        Objects, drawn once for all arms and seeds.
    starts : int
        Scrambled Sobol points per image, the same for every image.
    steps, rate
        At most so many steps of so much of the range.
    miss, variance : float
        A region satisfies where its mean confidence is at least ``1 - miss`` and its variance at most ``variance``.
    samples : int
        Points that are looked at inside every region.
    pictures : int
        Images whose map is shown with their regions (two parameters).
    batch : int
        Images shown to the model at a time.

    Returns
    -------
    Result
        A row per method, level and group. ``details`` has every region: its bounds in physical units, status,
        confidence at the start, volume, what is inside, and its trace, the volume at ten steps on the way; ``samples``
        the mean volume of every image.

    Raises
    ------
    UnknownName, SpecError
        A parameter that the data set does not have; ``oir_w`` or ``trap`` above eight parameters.
    DataError
        No test images.

    References
    ----------
    Hamdi & Ghanem, Towards Analyzing Semantic Robustness of Deep Neural Networks, ECCV 2020, sections 4 and 5. The
    published volumes count what lies outside the domain; these do not. ``level``, groups and intervals are ours.

    Examples
    --------
    >>> from biaskit import testing
    >>> subject = Subject(testing.constant(0), testing.tiny())  # sure of left whatever it sees
    >>> found = semantic_regions(subject, parameters=["hue"], methods=["level"], levels=[0.5], pictures=0)
    >>> found.table.set_index("label")["srvr"].loc[["left", "right"]].round(2).tolist()
    [1.0, 1.0, 0.0, 0.0]
    """
    dataset = subject.dataset
    space = space_of(dataset, parameters, ranges or {}, padding)
    rows = subject.sample(images, "semantic_regions")
    if not len(rows):
        raise DataError("no test images to move")
    numbers, n = torch.from_numpy(np.repeat(rows, starts)), len(parameters)
    u0 = sobol(starts, n, 0).repeat(len(rows), 1).to(subject.device)
    confident = Confident(subject, space, numbers)
    given = {"batch": batch, **({"steps": steps, "rate": rate} if setting == "normalized" else PUBLISHED)}
    if setting == "published":
        given["lengths"] = [high - low for low, high in space.ranges.values()]
    table, details, means = [], [], []
    shown: Regions | None = None
    lacking: dict[str, str] = {}
    for method, level in _asked(methods, levels):
        try:
            found = find_regions(confident, u0, method=method, level=level, **given, least=_least(method, level))
        except UnsupportedModel as error:
            # A model without gradients loses the methods that need them, not the others.
            if method not in SLOPED or set(methods) <= set(SLOPED):
                raise
            lacking[method] = str(error)
            continue
        inside = found.inside(confident, samples=samples, level=level, batch=batch)
        every = _details(found, inside, numbers.numpy(), starts, space, inside.satisfied(miss, variance))
        every.insert(0, "method", method)
        every.insert(1, "level", level)
        details.append(every)
        means.append(every.groupby("row", sort=False)["volume"].mean().reset_index().assign(method=method, level=level))
        for keys, mine in grouped(dataset, rows):
            part = every[np.repeat(mine, starts)]
            table.append({"method": method, "level": level, **keys, **_row(part, int(mine.sum()))})
        if method == "level" and level == levels[0]:
            shown = found
    columns = (
        Column("method", "how the bounds move", key=True),
        Column("level", "the confidence that counts as enough", key=True),
        *group_columns(dataset),
        *MEASURES,
    )
    options = {
        "parameters": parameters, "methods": methods, "levels": levels, "setting": setting, "ranges": ranges,
        "padding": padding, "images": images, "starts": starts, "steps": steps, "rate": rate, "miss": miss,
        "variance": variance, "samples": samples, "pictures": pictures, "batch": batch,
    }  # fmt: skip
    return Result(
        "semantic_regions",
        pd.DataFrame(table, columns=[column.name for column in columns]),
        columns,
        options,
        pd.concat(means, ignore_index=True),
        tuple(_pictures(subject, confident, space, rows, starts, shown, pictures, batch)),
        (
            *_notes(space, given, len(rows), starts),
            *_unfinished(details),
            *(f"{name} left out: {why}" for name, why in lacking.items()),
        ),
        details=pd.concat(details, ignore_index=True)[
            ["method", "level", *details[0].columns.drop(["method", "level"])]
        ],
    )


def _asked(methods: tuple[Method, ...], levels: tuple[float, ...]) -> list[tuple[Method, float]]:
    """Every method at the first level; ``level`` at all of them."""
    return [(one, level) for one in dict.fromkeys(methods) for level in (levels if one == "level" else levels[:1])]


def _least(method: Method, level: float) -> float:
    """Where ``level`` can only shrink nothing is searched; the other methods begin anywhere."""
    return level if method == "level" else 0.0


def _details(
    found: Regions, inside: Inside, rows: Rows, starts: int, space: Space, satisfied: npt.NDArray[np.bool_]
) -> pd.DataFrame:
    """A row per region."""
    frame = pd.DataFrame({"row": rows, "start": np.tile(np.arange(1, starts + 1), len(rows) // starts)})
    for axis, (name, (low, high)) in enumerate(space.ranges.items()):
        for which, at in (("start", found.start), ("low", found.lower), ("high", found.upper)):
            frame[f"{name}_{which}"] = low + (high - low) * at[:, axis].double().cpu().numpy()
    frame["status"] = list(found.status)
    frame["at_start"] = found.confidence.double().cpu().numpy()
    frame["volume"], frame["confidence"], frame["variance"] = found.volume, inside.mean, inside.variance
    frame["holes"], frame["lowest"], frame["steps"] = inside.holes, inside.lowest, found.steps.cpu().numpy()
    return frame.assign(satisfied=satisfied, trace=_traces(found))


def _traces(found: Regions, most: int = 10) -> list[str]:
    """The volume of every region on its way, at up to ten evenly spaced steps, the last one final; empty where none was
    searched."""
    chosen = np.unique(np.linspace(0, len(found.trace) - 1, most).round().astype(int))
    frames = found.trace[chosen].double().clamp(0, 1)
    volumes = (frames[:, :, 1] - frames[:, :, 0]).clamp_min(0).prod(2).cpu().numpy()
    searched = [one in SEARCHED for one in found.status]
    return [" ".join(f"{one:.3g}" for one in way) if was else "" for way, was in zip(volumes.T, searched, strict=True)]


def _row(part: pd.DataFrame, n: int) -> dict[str, Any]:
    """The measures of one group."""
    generator = numpy_generator(0, "semantic_regions")
    ratio = srvr(part["volume"].to_numpy(float), part["row"].to_numpy(), generator=generator)
    searched = part[part["status"].isin(SEARCHED)]
    grown = searched[searched["status"] != "collapsed"]
    return {
        "n": n,
        "n_regions": len(part),
        "n_wrong": int((part["status"] == "wrong at the start").sum()),
        "n_collapsed": int((part["status"] == "collapsed").sum()),
        "n_unfinished": int((part["status"] == "unfinished").sum()),
        "n_nan": ratio.undefined,
        "srvr": ratio.value,
        "low": ratio.low,
        "high": ratio.high,
        "volume": searched["volume"].mean(),
        "start": part["at_start"].mean(),
        "confidence": grown["confidence"].mean(),
        "variance": grown["variance"].mean(),
        "holes": grown["holes"].mean(),
        "satisfied": grown["satisfied"].mean() if len(grown) else np.nan,
    }


def _notes(space: Space, given: dict[str, Any], images: int, starts: int) -> list[str]:
    axes = ", ".join(
        f"{name} from {low:g} to {high:g} {space.units[name]}" for name, (low, high) in space.ranges.items()
    )
    units = "in these units, unbounded by the domain, as published" if "lengths" in given else "in shares of the ranges"
    said = f"{images:,} images x {starts} starts; {axes}; at most {given['steps']} steps of {given['rate']:g} {units}"
    return [said] + ([space.note] if space.note else [])


def _unfinished(details: list[pd.DataFrame]) -> list[str]:
    """Say of which method so many regions still moved that its SRVR is that of the steps it was given."""
    found = []
    for one in details:
        searched = one["status"].isin(SEARCHED)
        moving = int((one["status"] == "unfinished").sum())
        if moving > MOVING * int(searched.sum()):
            where = f"{one['method'].iloc[0]}, level {one['level'].iloc[0]:g}"
            found.append(
                f"{where}: {moving:,} of {int(searched.sum()):,} regions still moved when the steps were over, so "
                "their volumes are those of so many steps; take more steps or a higher rate"
            )
    return found


@torch.inference_mode()
def _pictures(
    subject: Subject, confident: Confident, space: Space, rows: Rows, starts: int, found: Regions | None, count: int,
    batch: int, points: int = 21,
) -> list[Picture]:  # fmt: skip
    """The map of some images with their regions of method ``level`` drawn in, and thinly how they grew."""
    if found is None or len(space.ranges) != 2:
        return []
    axes = torch.linspace(0.0, 1.0, points)
    grid = torch.cartesian_prod(axes, axes).to(subject.device)
    across, up = space.ranges.items()
    pictures = []
    for place, row in enumerate(rows[:count]):
        jobs = torch.full((len(grid),), place * starts)
        values = [
            confident(some, u) for some, u in zip(torch.split(jobs, batch), torch.split(grid, batch), strict=True)
        ]
        heat = torch.cat(values).double().cpu().numpy().reshape(points, points).T
        mine = slice(place * starts, (place + 1) * starts)
        bounds = torch.cat([found.lower[mine], found.upper[mine]], dim=1)
        grown = [one in ("found", "unfinished") for one in found.status[mine]]
        boxes = [tuple(one) for one, is_grown in zip(bounds.tolist(), grown, strict=True) if is_grown]
        frames = found.trace[np.unique(np.linspace(0, len(found.trace) - 1, 6).round().astype(int))[:-1], mine]
        way = [tuple(one) for one in frames[:, torch.tensor(grown)].clamp(0, 1).flatten(0, 1).flatten(1).tolist()]
        label = subject.dataset.classes[subject.dataset.labels[row]]
        words = f"{len(boxes)} of {starts} starts have a region"
        picture = heat_picture(np.nan_to_num(heat), across, up, space.units, boxes, way)
        pictures.append(Picture("semantic regions", f"image {row}, label {label}", picture, caption=words))
    return pictures
