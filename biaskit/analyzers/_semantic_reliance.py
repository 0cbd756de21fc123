from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from pydantic import Field
from scipy.special import ndtr, ndtri
from torch import Tensor

from biaskit.analyzers._groups import group_columns, grouped
from biaskit.data import Dataset
from biaskit.distortions._center_shuffle import Mode, center_shuffle, center_size
from biaskit.distortions._channel_shift import channel_shift, shift_pixels
from biaskit.distortions._puzzle import block_size, puzzle
from biaskit.errors import DataError, SpecError
from biaskit.features import finite
from biaskit.results import Column, Picture, Result
from biaskit.rng import numpy_generator, torch_generator
from biaskit.stats import wilson
from biaskit.subject import Subject

__all__ = ["paired_ratio_interval", "semantic_reliance"]

KEYS = (
    Column("distortion", "what was done to the images; none = as they are", key=True),
    Column("amount", "shift or share as a fraction, blocks per side, or blocks moved", key=True),
    Column("strength", "the amount in pixels or blocks of these images", key=True),
)
MEASURES = (
    Column("n", "test images"),
    Column("accuracy", "share of right answers; on distorted images lower is more semantic", "share", "lower"),
    Column("low", "95 % Wilson interval, this model and other images"),
    Column("high", "95 % Wilson interval, this model and other images"),
    Column("retained", "accuracy over accuracy on the images as they are; lower is more semantic", "", "lower"),
    Column("retained_low", "95 % Bonett-Price interval of two rates on the same images"),
    Column("retained_high", "95 % Bonett-Price interval of two rates on the same images"),
)


def semantic_reliance(
    subject: Subject,
    *,
    shifts: tuple[Annotated[float, Field(gt=0)], ...] = (1 / 32, 1 / 16, 1 / 8, 1 / 4),
    shares: tuple[Annotated[float, Field(gt=0, le=1)], ...] = (0.25, 0.5, 0.75, 1.0),
    mode: Mode = "side",
    grids: tuple[Annotated[int, Field(ge=2)], ...] = (2, 4, 8),
    moved: tuple[Annotated[int, Field(ge=2)], ...] = (4, 8, 12),
    moved_grid: Annotated[int, Field(ge=2)] = 4,
    images: Annotated[int, Field(ge=1)] = 2000,
    by_group: bool = False,
    pictures: Annotated[int, Field(ge=0)] = 2,
) -> Result:
    """How many answers stay right when the meaning of the images is destroyed.

    Colors and textures survive the three distortions, shapes do not: a model that goes by the meaning must fail, so
    *lower* is *more semantic*. A model that was never right cannot fail; the accuracy retained, ``accuracy(distorted) /
    accuracy(as they are)``, stands beside it, and a constant answer retains everything. A shortcut that survives, such
    as the color of a background, keeps accuracy up as well: that is what the number is for. Draws are the same for all
    arms and seeds.

    Parameters
    ----------
    subject : Subject
        Needs the model.
    shifts : tuple of float
        `channel_shift`: shares of the side. Here and below an empty tuple leaves the distortion out.
    shares : tuple of float
        `center_shuffle`: shares of the center, read as ``mode`` says.
    mode : "side", "area" or "pixels"
    grids : tuple of int
        `puzzle`: blocks per side.
    moved : tuple of int
        `puzzle` of which only so many blocks are moved, reported as ``puzzle_moved`` (the paper's Figure 10).
    moved_grid : int
        Blocks per side of that puzzle.
    images : int
        Test images looked at, drawn once for all arms and seeds.
    by_group : bool
        Also a row for every group of label and attributes, per strength: many rows, and the place to see that what
        stays right is the group in which a shortcut points to the label.
    pictures : int
        Images shown under every strength.

    Returns
    -------
    Result
        A row per distortion and amount, and first one for ``none``. ``samples`` has ``row``, ``distortion``,
        ``amount`` and ``correct``. ``retained`` is NaN where nothing is right on the images as they are. Amounts that
        come to nothing on images of this size are left out, with a note.

    Raises
    ------
    DataError
        Nothing can be done to images of this size.
    SpecError
        More blocks moved than there are.

    References
    ----------
    Wu et al., arXiv 2011.09789, Figures 5 to 10; the retained accuracy is ours. Bonett & Price 2006, Stat Med 25:3039,
    for its interval.

    Examples
    --------
    >>> from biaskit import testing
    >>> subject = Subject(testing.reads("background"), testing.tiny())  # red and blue survive
    >>> table = semantic_reliance(subject, grids=(2,)).table
    >>> table[["distortion", "strength", "accuracy", "retained"]].values.tolist()[:2]
    [['none', 'unchanged', 0.5, 1.0], ['channel_shift', '1 px', 0.5, 1.0]]
    """
    if any(count > moved_grid**2 for count in moved):
        raise SpecError(f"moved = {list(moved)}: a puzzle of {moved_grid} x {moved_grid} has {moved_grid**2} blocks")
    dataset, rows = subject.dataset, subject.sample(images, "semantic_reliance")
    if not len(rows):
        raise DataError("no test images to distort")
    asked = _asked(shifts, shares, mode, grids, moved, moved_grid)
    conditions, notes = _possible(asked, dataset.images.shape)
    labels = dataset.labels[rows]
    before = subject.predictions(rows) == labels
    table = _rows(dataset, rows, _UNCHANGED, before, before, by_group)
    samples = [_sample(rows, _UNCHANGED, before)]
    for condition in conditions:
        after = _answers(subject, rows, condition) == labels
        table += _rows(dataset, rows, condition, before, after, by_group)
        samples.append(_sample(rows, condition, after))
    columns = (*KEYS, *(group_columns(dataset) if by_group else ()), *MEASURES)
    counts = np.bincount(labels)
    constant = f"a constant answer ({dataset.classes[counts.argmax()]}) is right in {counts.max() / len(rows):.3f}"
    return Result(
        "semantic_reliance",
        pd.DataFrame(table, columns=[column.name for column in columns]),
        columns,
        {
            "shifts": shifts,
            "shares": shares,
            "mode": mode,
            "grids": grids,
            "moved": moved,
            "moved_grid": moved_grid,
            "images": images,
            "by_group": by_group,
            "pictures": pictures,
        },
        pd.concat(samples, ignore_index=True),
        tuple(_pictures(dataset, rows, conditions, pictures)),
        (f"{constant} of these {len(rows):,} images", *notes),
    )


def paired_ratio_interval(both: int, only_first: int, only_second: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of ``p2 / p1`` for two rates on the same images: a hybrid of two Wilson intervals.

    Parameters
    ----------
    both, only_first, only_second : int
        Images right both times, only the first, only the second time. Those never right do not matter to the ratio.
    level : float

    Returns
    -------
    low, high : float
        NaN where nothing was right the first time.

    References
    ----------
    Bonett & Price 2006, Stat Med 25:3039.

    Examples
    --------
    >>> [round(end, 4) for end in paired_ratio_interval(59, 16, 6)]  # the ratio is 65 / 75
    [0.7579, 0.991]
    """
    first, second = both + only_first, both + only_second
    if first == 0:
        return np.nan, np.nan
    n = both + only_first + only_second
    # The width of the log ratio, shared out between the two intervals in proportion to their own widths.
    ratio = np.sqrt((only_first + only_second + 2) / ((first + 1) * (second + 1)))
    own = sum(np.sqrt((1 - (right + 1) / (n + 2)) / (right + 1)) for right in (first, second))
    part = 2 * ndtr(ndtri((1 + level) / 2) * ratio / own) - 1
    (low1, high1), (low2, high2) = wilson(first, n, part), wilson(second, n, part)
    return float(low2 / high1), float(high2 / low1)


@dataclass(frozen=True)
class _Condition:
    """A distortion at one amount; ``strength`` says it in pixels or blocks, or raises where it comes to nothing."""

    distortion: str
    amount: float
    change: Callable[[Tensor, torch.Generator], Tensor]
    strength: Callable[[int, int], str]


_UNCHANGED = _Condition("none", 0.0, lambda images, _: images, lambda *_: "unchanged")


def _shift_text(shift: float, height: int, width: int) -> str:
    return f"{shift_pixels(shift, height, width)} px"


def _center_text(share: float, mode: Mode, height: int, width: int) -> str:
    high, wide, pixels = center_size(share, mode, height, width)
    return f"{pixels} of {high} x {wide} px" if mode == "pixels" else f"{high} x {wide} px"


def _puzzle_text(grid: int, moved: int | None, height: int, width: int) -> str:
    block_size(grid, moved, height, width)
    return f"{grid} x {grid} blocks" if moved is None else f"{moved} of {grid * grid} blocks"


def _asked(
    shifts: tuple[float, ...],
    shares: tuple[float, ...],
    mode: Mode,
    grids: tuple[int, ...],
    moved: tuple[int, ...],
    moved_grid: int,
) -> Iterator[_Condition]:
    for shift in shifts:
        yield _Condition("channel_shift", shift, partial(channel_shift, shift=shift), partial(_shift_text, shift))
    for share in shares:
        change = partial(center_shuffle, share=share, mode=mode)
        yield _Condition("center_shuffle", share, change, partial(_center_text, share, mode))
    for grid in grids:
        yield _Condition("puzzle", grid, partial(puzzle, grid=grid), partial(_puzzle_text, grid, None))
    for count in moved:
        change = partial(puzzle, grid=moved_grid, moved=count)
        yield _Condition("puzzle_moved", count, change, partial(_puzzle_text, moved_grid, count))


def _possible(asked: Iterator[_Condition], shape: tuple[int, int, int]) -> tuple[list[_Condition], list[str]]:
    """The conditions that images of this shape can take, and a note for each that they cannot."""
    found, notes = [], []
    channels, height, width = shape
    for condition in asked:
        try:
            condition.strength(height, width)
            if condition.distortion == "channel_shift" and channels != 3:
                raise DataError("gray images have no channels to shift against each other")
            found.append(condition)
        except DataError as error:
            notes.append(f"left out: {condition.distortion} {condition.amount:g}: {error}")
    if not found:
        raise DataError("; ".join(notes) or "every distortion was left out; give shifts, shares, grids or moved")
    return found, notes


@torch.inference_mode()
def _answers(subject: Subject, rows: npt.NDArray[np.int64], condition: _Condition) -> npt.NDArray[np.int64]:
    # Drawn on the CPU, so that every device sees the same distorted images.
    generator = torch_generator(0, "semantic_reliance", condition.distortion, repr(condition.amount))
    model = subject.model
    found = [
        finite(model(condition.change(images, generator))).argmax(dim=1).cpu() for _, images in subject.batches(rows)
    ]
    return np.asarray(torch.cat(found).numpy())


def _rows(
    dataset: Dataset,
    rows: npt.NDArray[np.int64],
    condition: _Condition,
    before: npt.NDArray[np.bool_],
    after: npt.NDArray[np.bool_],
    by_group: bool,
) -> list[dict[str, object]]:
    keys: dict[str, object] = {
        "distortion": condition.distortion,
        "amount": float(condition.amount),
        "strength": condition.strength(*dataset.images.shape[1:]),
    }
    # The first of the groups are all images.
    parts = list(grouped(dataset, rows)) if by_group else [({}, np.ones(len(rows), bool))]
    found = [{**keys, **names, **_rates(before[mine], after[mine])} for names, mine in parts]
    if condition is _UNCHANGED:  # 1 by definition, not by estimate
        for one in found:
            one["retained_low"] = one["retained_high"] = one["retained"]
    return found


def _rates(before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_]) -> dict[str, float]:
    n, first, second = len(before), int(before.sum()), int(after.sum())
    both = int((before & after).sum())
    low, high = wilson(second, n)
    ends = paired_ratio_interval(both, first - both, second - both)
    return {
        "n": n,
        "accuracy": second / n if n else np.nan,
        "low": float(low),
        "high": float(high),
        "retained": second / first if first else np.nan,
        "retained_low": ends[0],
        "retained_high": ends[1],
    }


def _sample(rows: npt.NDArray[np.int64], condition: _Condition, correct: npt.NDArray[np.bool_]) -> pd.DataFrame:
    keys = {"distortion": condition.distortion, "amount": float(condition.amount)}
    return pd.DataFrame({"row": rows, **keys, "correct": correct})


def _pictures(
    dataset: Dataset, rows: npt.NDArray[np.int64], conditions: list[_Condition], count: int
) -> Iterator[Picture]:
    """A few images as they are and under every strength; none of it depends on the model."""
    if count == 0:
        return
    picked = np.sort(numpy_generator(0, "semantic_reliance", "pictures").permutation(rows)[:count])
    plain = dataset.images.gather(torch.from_numpy(picked))
    for figure in dict.fromkeys(condition.distortion for condition in conditions):
        shown = {"image": plain}  # amounts that come to the same strength share a column
        for condition in (one for one in conditions if one.distortion == figure):
            generator = torch_generator(0, "semantic_reliance", "pictures", figure, repr(condition.amount))
            shown[condition.strength(*plain.shape[2:])] = condition.change(plain, generator)
        for place, row in enumerate(picked):
            title = f"image {row}, label {dataset.classes[dataset.labels[row]]}"
            for column, images in shown.items():
                pixels = images[place].expand(3, -1, -1).permute(1, 2, 0).contiguous().numpy()
                yield Picture(figure.replace("_", " "), title, pixels, column)
