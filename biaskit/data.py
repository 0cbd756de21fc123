"""The Dataset: images and a table in the same order, with attributes, groups, twins and masks."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor

from biaskit.concepts import Concepts
from biaskit.errors import DataError
from biaskit.images import ArrayImages, Images, chunks

if TYPE_CHECKING:
    from biaskit.vision import VisionView

__all__ = ["CORE", "MAX_GROUPS", "RESERVED", "SPURIOUS", "TWIN", "Batch", "Dataset", "Source"]

#: The bits of a mask: pixels the answer should come from, and pixels the shortcut was planted in.
CORE, SPURIOUS = 1, 2
#: The split of the counterfactual copies; no metric of the test set reads it.
TWIN = "twin"
MAX_GROUPS = 100_000
#: Columns of the tables made from a data set: an attribute of the same name would be overwritten there.
RESERVED = frozenset(
    {"label", "split", "pair", "swapped", "arm", "seed", "row", "prediction", "confidence", "logits"}
    | {"n", "correct", "accuracy", "low", "high", "note", "train", "test", TWIN}
)


@dataclass(frozen=True)
class Source:
    """Images and labels before anything is planted.

    Attributes
    ----------
    images : Images
    labels : int64 array of shape (N,)
        Index into ``classes``.
    classes : tuple of str
    split : array of str, shape (N,)
        ``"train"`` or ``"test"``.
    name : str
    """

    images: Images
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    split: npt.NDArray[np.str_]
    name: str


@dataclass(frozen=True)
class Batch:
    """What a loss sees of one step.

    Attributes
    ----------
    images : Tensor (B, 3, H, W), float in [0, 1]
    perturbed : Tensor (B, 3, H, W) or None
        The same rows through the stage's perturbation; None where the stage has none.
    labels, groups, index : int64 Tensor (B,)
        ``index`` is the row in the data set, the same in every epoch.
    progress : float
        Share of the stage that is done, in [0, 1].
    generator : torch.Generator
        On the images' device, for everything random.
    """

    images: Tensor
    perturbed: Tensor | None
    labels: Tensor
    groups: Tensor
    index: Tensor
    progress: float
    generator: torch.Generator


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images with a table: label, one column per attribute, split, and the pairs of image and twin.

    Attributes
    ----------
    images : Images
        N images; see :mod:`biaskit.images`.
    table : DataFrame of N rows
        ``label`` and every attribute are categoricals with string categories; ``split`` is ``train``, ``test`` or
        ``twin``; ``pair`` is the row of the twin (of the original, for a twin), -1 without one; ``swapped`` names
        the attribute a twin differs in.
    card : mapping
        The bound data set card: where the data came from and what was planted.
    group_by : tuple of str
        The attributes that, with the label, make the groups.
    masks : Images, optional
        One channel; bit 1 marks core pixels, bit 2 pixels of the shortcut.
    concepts : Concepts, optional
        What can be seen where; its planes may be of another size than the images.

    Examples
    --------
    >>> data = Dataset.from_arrays(np.zeros((4, 8, 8), np.uint8), [0, 0, 1, 1], {"color": ["r", "b", "r", "r"]})
    >>> data.groups[["label", "color", "test"]].values.tolist()
    [['0', 'b', 1], ['0', 'r', 1], ['1', 'b', 0], ['1', 'r', 2]]
    """

    images: Images
    table: pd.DataFrame
    card: Mapping[str, Any] = field(default_factory=dict)
    group_by: tuple[str, ...] = ()
    masks: Images | None = None
    concepts: Concepts | None = None

    def __post_init__(self) -> None:
        if len(self.images) != len(self.table):
            raise DataError(f"{len(self.images):,} images but {len(self.table):,} rows in the table")
        if len(self.table) == 0:
            raise DataError("a data set without images")
        if self.masks is not None and (len(self.masks), *self.masks.shape[1:]) != (
            len(self.images),
            *self.images.shape[1:],
        ):
            raise DataError(f"masks {len(self.masks), self.masks.shape} do not fit images of {self.images.shape}")
        if self.concepts is not None and len(self.concepts) != len(self.images):
            raise DataError(f"concepts of {len(self.concepts):,} images for {len(self.images):,} images")
        for name in ("label", *self.attributes):
            column = self.table[name]
            if not isinstance(column.dtype, pd.CategoricalDtype):
                raise DataError(f"column {name!r} must be categorical; got {column.dtype}")
            missing = int(column.isna().sum())
            if missing:
                raise DataError(f"column {name!r} is empty in {missing:,} rows; give them a value or drop them")
        unknown = [name for name in self.group_by if name not in self.attributes]
        if unknown:
            raise DataError(f"groups by {unknown[0]!r}, but the attributes are {', '.join(self.attributes) or 'none'}")
        cells = math.prod(self.group_shape)
        if cells > MAX_GROUPS:
            widest = max(self.group_by, key=lambda name: len(self.table[name].cat.categories))
            raise DataError(
                f"label x {' x '.join(self.group_by)} makes {cells:,} groups, more than {MAX_GROUPS:,}; "
                f"leave an attribute out of the groups, {widest!r} first"
            )

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        splits = ", ".join(f"{len(self.rows(split)):,} {split}" for split in self.splits)
        shape = " x ".join(str(side) for side in self.images.shape)
        by = f" by {', '.join(self.group_by)}" if self.group_by else ""
        return f"<Dataset {self.name}: {splits}; images {shape}; {math.prod(self.group_shape)} groups{by}>"

    @property
    def classes(self) -> tuple[str, ...]:
        """The label's categories, in the order of the model's outputs."""
        return tuple(self.table["label"].cat.categories)

    @property
    def attributes(self) -> tuple[str, ...]:
        """Every attribute, also those outside the groups."""
        return tuple(name for name in self.table.columns if name not in ("label", "split", "pair", "swapped"))

    @property
    def name(self) -> str:
        """The card's name, ``"data"`` without one."""
        return str(self.card.get("name", "data"))

    @property
    def group_shape(self) -> tuple[int, ...]:
        """Number of labels, then of values of each grouping attribute."""
        return tuple(len(self.table[name].cat.categories) for name in ("label", *self.group_by))

    @cached_property
    def group_ids(self) -> npt.NDArray[np.int64]:
        """The flat group of every row: label first, then the attributes, last one fastest."""
        codes = tuple(self.table[name].cat.codes.to_numpy(np.int64) for name in ("label", *self.group_by))
        return np.ravel_multi_index(codes, self.group_shape).astype(np.int64)

    @cached_property
    def groups(self) -> pd.DataFrame:
        """The full product label x attributes with its count per split; empty groups keep their row."""
        columns = ["label", *self.group_by]
        frame = (
            pd.MultiIndex.from_product([self.table[name].cat.categories for name in columns], names=columns)
            .to_frame(index=False)
            .astype(object)
        )
        for split in self.splits:
            picked = self.group_ids[self.rows(split)]
            frame[split] = np.bincount(picked, minlength=len(frame))
        return frame

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits present, in the order train, test, twin, others."""
        present = list(self.table["split"].cat.categories)
        order = [name for name in ("train", "test", TWIN) if name in present]
        return tuple(order + [name for name in present if name not in order])

    def rows(self, split: str) -> npt.NDArray[np.int64]:
        """The rows of a split, in table order."""
        found = np.flatnonzero((self.table["split"] == split).to_numpy())
        if not len(found):
            raise DataError(f"{self.name} has no rows in split {split!r}; it has {', '.join(self.splits)}")
        return found.astype(np.int64)

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """Label of every row as an index into ``classes``."""
        return np.asarray(self.table["label"].cat.codes, dtype=np.int64)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over pixels, table, categories, groups and concepts: the same fingerprint means the same data."""
        digest = hashlib.sha256(repr((self.images.shape, self.group_by)).encode())
        for name in self.table.columns:
            column = self.table[name]
            if isinstance(column.dtype, pd.CategoricalDtype):
                digest.update(repr((name, list(column.cat.categories))).encode())
                digest.update(column.cat.codes.to_numpy(np.int32).tobytes())
            else:
                digest.update(name.encode() + column.to_numpy(np.int64).tobytes())
        for images in (self.images, self.masks):
            for chunk in chunks(images) if images is not None else ():
                digest.update(np.ascontiguousarray(chunk.numpy()).data)
        if self.concepts is not None:
            digest.update(repr((self.concepts.names, self.concepts.categories, self.concepts.planes.shape)).encode())
            for chunk in self.concepts.chunks():
                digest.update(np.ascontiguousarray(chunk.numpy()).data)
        return digest.hexdigest()

    def replace(self, **changes: Any) -> Dataset:
        """A copy with some fields changed."""
        return dataclasses.replace(self, **changes)

    def vision(self, split: str = "train", **options: Any) -> VisionView:
        """A torchvision ``VisionDataset`` over one split; see :class:`biaskit.vision.VisionView`."""
        from biaskit.vision import VisionView

        return VisionView(self, split=split, **options)

    @classmethod
    def from_arrays(
        cls,
        images: npt.ArrayLike | Tensor,
        labels: Sequence[Any] | npt.NDArray[Any],
        attributes: Mapping[str, Sequence[Any] | npt.NDArray[Any]] | None = None,
        *,
        split: Sequence[str] | str = "test",
        classes: Sequence[Any] | None = None,
        group_by: Sequence[str] | None = None,
        name: str = "data",
    ) -> Dataset:
        """A Dataset from the user's own arrays.

        Parameters
        ----------
        images : (N, H, W), (N, H, W, 3) or (N, 3, H, W)
            uint8, or floats in [0, 1], which are rounded to 8 bits.
        labels : length N
            Anything that ``str`` tells apart.
        attributes : mapping of name to length N
        split : one name for all rows, or length N
        classes : sequence, optional
            The labels in the order of the model's outputs; default: sorted (numbers by value).
        group_by : sequence of str, optional
            Default: all attributes.

        Raises
        ------
        DataError
            Lengths that differ, values outside [0, 1], empty cells, labels outside ``classes``.
        """
        pixels = as_pixels(images)
        count = len(pixels)
        columns: dict[str, Any] = {"label": categorical("labels", labels, count, classes)}
        for key, values in (attributes or {}).items():
            if key in RESERVED:
                raise DataError(f"an attribute cannot be called {key!r}: tables have a column of that name; rename it")
            columns[key] = categorical(key, values, count)
        columns["split"] = categorical("split", [split] * count if isinstance(split, str) else split, count)
        table = pd.DataFrame(columns).assign(pair=np.int64(-1), swapped="")
        table["swapped"] = pd.Categorical(table["swapped"], categories=[""])
        return cls(
            ArrayImages(pixels),
            table,
            {"name": name, "summary": "the user's own arrays"},
            tuple(attributes or ())
            if group_by is None
            else ((group_by,) if isinstance(group_by, str) else tuple(group_by)),
        )

    @classmethod
    def from_torch(
        cls,
        dataset: Any,
        attributes: Mapping[str, Sequence[Any] | npt.NDArray[Any]] | None = None,
        *,
        split: Sequence[str] | str = "test",
        classes: Sequence[Any] | None = None,
        group_by: Sequence[str] | None = None,
        name: str = "data",
    ) -> Dataset:
        """A Dataset from a map-style torch Dataset of ``(image, label)`` pairs.

        Images may be PIL images, tensors (C, H, W) or arrays (H, W, C), uint8 or floats in [0, 1]. Class names come
        from ``classes``, else from ``dataset.classes`` where labels are integers.
        """
        if not hasattr(dataset, "__len__") or not hasattr(dataset, "__getitem__"):
            raise DataError(f"{type(dataset).__name__} has no length or no items: pass a map-style torch Dataset")
        images: list[npt.NDArray[np.uint8]] = []
        labels: list[Any] = []
        for row in range(len(dataset)):
            item = dataset[row]
            if not isinstance(item, tuple | list) or len(item) < 2:
                raise DataError(f"item {row} is {type(item).__name__}; expected (image, label)")
            pixels = as_pixels(np.asarray(item[0])[None] if not isinstance(item[0], Tensor) else item[0][None])
            if images and pixels.shape != images[0].shape:
                raise DataError(
                    f"image {row} has shape {pixels.shape[1:]}, image 0 {images[0].shape[1:]}; "
                    "resize them in the data set's transform"
                )
            images.append(pixels)
            labels.append(item[1].item() if isinstance(item[1], Tensor) else item[1])
        if not images:
            raise DataError("a torch Dataset without items")
        # Integers count through the class names, unless the user's names are those integers themselves.
        names = getattr(dataset, "classes", None) if classes is None else list(classes)
        named = classes is not None and {str(label) for label in labels} <= {str(one) for one in classes}
        if names is not None and not named and all(isinstance(label, int | np.integer) for label in labels):
            outside = [label for label in labels if not 0 <= label < len(names)]
            if outside:
                raise DataError(f"label {outside[0]} has no name: the data set lists {len(names)} classes")
            labels, classes = [str(names[label]) for label in labels], [str(one) for one in names]
        return cls.from_arrays(
            np.concatenate(images), labels, attributes, split=split, classes=classes, group_by=group_by, name=name
        )


def as_pixels(images: npt.ArrayLike | Tensor) -> npt.NDArray[np.uint8]:
    """Any usual layout and range of images as uint8 (N, H, W, C)."""
    array = images.detach().cpu().numpy() if isinstance(images, Tensor) else np.asarray(images)
    if array.ndim == 3:
        array = array[..., None]
    if array.ndim != 4:
        raise DataError(f"images need shape (N, H, W), (N, H, W, C) or (N, C, H, W); got {array.shape}")
    if array.shape[3] not in (1, 3) and array.shape[1] in (1, 3):
        array = array.transpose(0, 2, 3, 1)
    if array.shape[3] not in (1, 3):
        raise DataError(f"images need 1 or 3 channels; got shape {array.shape}")
    if array.dtype == np.uint8:
        return array
    if not np.issubdtype(array.dtype, np.floating):
        raise DataError(f"images need dtype uint8 or floats in [0, 1]; got {array.dtype}")
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    if not (low >= 0.0 and high <= 1.0):
        raise DataError(f"float images run from {low:g} to {high:g}; expected [0, 1], before any normalization")
    return np.rint(array * 255.0).astype(np.uint8)


def coded(codes: npt.ArrayLike, categories: Sequence[str]) -> pd.Categorical:
    """A categorical column from its codes."""
    dtype: Any = pd.CategoricalDtype(list(categories))
    return pd.Categorical.from_codes(np.asarray(codes, np.int64), dtype=dtype)


def categorical(
    name: str, values: Sequence[Any] | npt.NDArray[Any], count: int, categories: Iterable[Any] | None = None
) -> pd.Categorical:
    """A column with string categories; numbers are ordered by value, the rest by name."""
    given = list(values.tolist() if isinstance(values, np.ndarray | Tensor | pd.Series) else values)
    if len(given) != count:
        raise DataError(f"{name}: {len(given):,} values for {count:,} images")
    if any(isinstance(value, list | tuple) or getattr(value, "ndim", 0) for value in given):
        raise DataError(f"{name}: one value per image, not a list of them; of one-hot rows take argmax(axis=1)")
    # Numbers of numpy and torch become Python's own, which sort by value and are written without their type.
    listed = [value.item() if isinstance(value, np.generic | Tensor) else value for value in given]
    empty = np.flatnonzero(pd.isna(np.fromiter(listed, object, count)))
    if len(empty):
        raise DataError(
            f"{name} is empty in {len(empty):,} rows (first: row {empty[0]}); give them a value or drop them"
        )
    if categories is None:
        unique = set(listed)
        numeric = all(isinstance(value, int | float) for value in unique)
        categories = sorted(unique) if numeric else sorted({str(value) for value in unique})
    order = [str(value) for value in categories]
    if len(set(order)) != len(order):
        raise DataError(f"{name}: two categories are written the same: {order}")
    texts, known = [str(value) for value in listed], set(order)
    outside = next((row for row, text in enumerate(texts) if text not in known), None)
    if outside is not None:
        raise DataError(
            f"{name}: {texts[outside]!r} (row {outside}) is not among {', '.join(order[:8])}"
            f"{', ...' if len(order) > 8 else ''}"
        )
    column: Any = pd.Categorical(texts, categories=order)
    found: pd.Categorical = column
    return found
