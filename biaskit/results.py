"""What an analyzer gives back: a tidy table with declared columns, per-image values, pictures and notes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["Column", "Picture", "Result"]


@dataclass(frozen=True)
class Column:
    """A declared column of a result.

    Attributes
    ----------
    name, meaning, unit : str
        The unit ``"share"`` is a number in [0, 1] that people read in percent.
    better : str
        ``"higher"``, ``"lower"``, ``"zero"`` (nearer to it) or ``""``.
    key : bool
        Whether the column says what a row is about. Every other number that is no count (``n``, ``n_...``) and no end
        of an interval (``low``, ``high``, ``..._low``, ``..._high``) is a measure, and is averaged over seeds.
    """

    name: str
    meaning: str
    unit: str = ""
    better: str = ""
    key: bool = False


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture for the gallery of a report.

    Pictures of one figure stand in a grid: a line per ``row``, first the columns that all arms share, then a column per
    arm.

    Attributes
    ----------
    figure : str
        ``"integrated gradients"``.
    row : str
        What the line shows: ``"image 17, label 3"``; the same text in every arm stands in one line.
    pixels : uint8 array (H, W, 3)
    column : str
        A column of its own, such as ``"image"``, which is the same for all arms; empty for the arm's own.
    caption : str
        A few words under the picture.
    """

    figure: str
    row: str
    pixels: npt.NDArray[np.uint8]
    column: str = ""
    caption: str = ""


@dataclass(frozen=True, eq=False)
class Result:
    """What an analyzer found.

    Attributes
    ----------
    analyzer : str
    table : DataFrame
        Tidy, key columns first, ``n`` always, intervals ``low`` and ``high``.
    columns : tuple of Column
        Every column of the table, in order.
    options : dict
        The bound options, defaults included.
    samples : DataFrame or None
        Per image (``row``) and condition, so that statistics over images can be computed again.
    pictures : tuple of Picture
    notes : tuple of str
        What a reader must know beside the numbers: the layer that was taken, a check that failed.
    reads : mapping of name to str
        Other data sets it rests on, each with its fingerprint; a stored result counts only while they are the same.
    details : DataFrame or None
        One row per unit of the network, region or point and condition; written to ``tables/<analyzer>_units.csv``.
    """

    analyzer: str
    table: pd.DataFrame
    columns: tuple[Column, ...]
    options: dict[str, Any] = field(default_factory=dict)
    samples: pd.DataFrame | None = None
    pictures: tuple[Picture, ...] = ()
    notes: tuple[str, ...] = ()
    reads: Mapping[str, str] = field(default_factory=dict)
    details: pd.DataFrame | None = None
