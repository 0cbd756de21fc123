"""What can be seen where in an image: concepts in categories, as planes of label numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biaskit.errors import DataError

__all__ = ["CATEGORIES", "MOST_LABELS", "ArrayPlanes", "Concepts", "Planes", "ordered"]

#: The categories of Broden, in the order of its index.
CATEGORIES = ("color", "object", "material", "part", "scene", "texture")
#: Label numbers are two bytes on disk, 0 among them.
MOST_LABELS = 2**16 - 1
#: Images whose planes are looked at together.
_CHUNK = 256


@runtime_checkable
class Planes(Protocol):
    """The one way to labels of pixels: ``shape`` is (P, H, W), ``gather`` gives integers (B, P, H, W), 0 unlabeled."""

    @property
    def shape(self) -> tuple[int, int, int]: ...

    def __len__(self) -> int: ...

    def gather(self, index: Tensor) -> Tensor: ...


class ArrayPlanes:
    """Planes held as one array (N, P, H, W), in memory or as a memory map.

    Parameters
    ----------
    labels : uint8 or uint16 array of shape (N, P, H, W)
        Label numbers from 1; 0 where nothing is labeled.

    Raises
    ------
    DataError
        Another shape or type.

    Examples
    --------
    >>> planes = ArrayPlanes(np.full((5, 2, 4, 4), 3, np.uint8))
    >>> len(planes), planes.shape, planes.gather(torch.tensor([1]))[0, 0, 0, 0].item()
    (5, (2, 4, 4), 3)
    """

    def __init__(self, labels: npt.NDArray[Any]) -> None:
        if labels.ndim != 4 or labels.dtype not in (np.uint8, np.uint16):
            raise DataError(
                f"concept planes need shape (N, P, H, W) and dtype uint8 or uint16; got {labels.shape}, {labels.dtype}"
            )
        self._labels = labels

    def __len__(self) -> int:
        return len(self._labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        _, planes, height, width = self._labels.shape
        return planes, height, width

    def gather(self, index: Tensor) -> Tensor:
        return torch.from_numpy(self._labels[index.cpu().numpy()].astype(np.int32))


@dataclass(frozen=True, eq=False)
class Concepts:
    """Labels of pixels with their names and categories.

    Attributes
    ----------
    planes : Planes
        One pixel has one label per plane; what holds of a whole image fills a plane of it.
    names : tuple of str
        ``names[number - 1]`` is that of label ``number``.
    categories : tuple of str
        The category of each label; usually some of :data:`CATEGORIES`.

    Raises
    ------
    DataError
        Names and categories that do not fit, a name that is blank or given twice, or no label.

    Examples
    --------
    >>> concepts = Concepts(ArrayPlanes(np.ones((2, 1, 4, 4), np.uint8)), ("red",), ("color",))
    >>> len(concepts), concepts.used
    (2, ('color',))
    """

    planes: Planes
    names: tuple[str, ...]
    categories: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.categories):
            raise DataError(f"{len(self.names)} labels but {len(self.categories)} categories; every label needs one")
        if not 0 < len(self.names) <= MOST_LABELS:
            raise DataError(f"{len(self.names):,} labels; concepts need one at least and {MOST_LABELS:,} at most")
        seen: set[str] = set()
        for number, (name, category) in enumerate(zip(self.names, self.categories, strict=True), 1):
            if not name.strip() or not category.strip():
                raise DataError(f"label {number} has no {'category' if name.strip() else 'name'}; give it one")
            if name in seen:
                raise DataError(f"two labels are called {name!r}; give one another name")
            seen.add(name)

    def __len__(self) -> int:
        return len(self.planes)

    @property
    def used(self) -> tuple[str, ...]:
        """The categories that have a label."""
        return ordered(self.categories)

    def chunks(self, size: int = _CHUNK) -> Iterator[Tensor]:
        """The planes of all images in order, int32 (B, P, H, W).

        Raises
        ------
        DataError
            A number that is no label.
        """
        for index in torch.split(torch.arange(len(self)), size):
            yield self.gather(index)

    def gather(self, index: Tensor) -> Tensor:
        """The planes of some images on the CPU, int32 (B, P, H, W).

        Raises
        ------
        DataError
            A number that is no label.
        """
        found = self.planes.gather(index).cpu().to(torch.int32)
        outside = (found < 0) | (found > len(self.names))
        if bool(outside.any()):
            place = int(outside.flatten(1).any(dim=1).nonzero()[0])
            number = int(found[place][outside[place]][0])
            raise DataError(
                f"image {int(index[place])} has a pixel of label {number}, but there are labels 1 to {len(self.names)}"
            )
        return found


def ordered(categories: tuple[str, ...]) -> tuple[str, ...]:
    """Each category once: Broden's in its order, then others by name.

    Examples
    --------
    >>> ordered(("shape", "object", "color", "object"))
    ('color', 'object', 'shape')
    """
    others = sorted(set(categories) - set(CATEGORIES))
    return (*(one for one in CATEGORIES if one in categories), *others)
