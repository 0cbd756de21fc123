"""A Dataset as torchvision's data sets are: PIL image in, label out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from PIL import Image
from torch import Tensor
from torchvision.datasets import VisionDataset

from biaskit.data import Dataset

__all__ = ["VisionView"]


class VisionView(VisionDataset):  # type: ignore[misc]
    """One split of a Dataset as a torchvision ``VisionDataset``.

    An item is ``(image, label)``: a PIL image (mode L with one channel, else RGB) through ``transform``, and
    an integer through ``target_transform``. It can be pickled, so that a ``DataLoader`` may use workers.

    Parameters
    ----------
    dataset : Dataset
    split : str
        ``"train"``, ``"test"`` or ``"twin"``.
    transform, target_transform : callable, optional
        As in torchvision.
    transforms : callable, optional
        Of image and label together, instead of the other two; as in torchvision.
    return_metadata : bool
        Give ``(image, label, metadata)``, as WILDS does: metadata is an int64 Tensor with the code of every
        attribute and the label last. ``metadata_fields`` names the entries.

    Raises
    ------
    DataError
        The data set has no such split.

    Examples
    --------
    >>> data = Dataset.from_arrays(np.zeros((2, 4, 4), np.uint8), ["cat", "dog"], {"color": ["red", "blue"]})
    >>> view = VisionView(data, "test", return_metadata=True)
    >>> image, label, metadata = view[1]
    >>> image.size, label, metadata.tolist(), view.metadata_fields
    ((4, 4), 1, [0, 1], ['color', 'y'])
    """

    def __init__(
        self,
        dataset: Dataset,
        split: str = "train",
        *,
        transform: Callable[[Any], Any] | None = None,
        target_transform: Callable[[Any], Any] | None = None,
        transforms: Callable[[Any, Any], Any] | None = None,
        return_metadata: bool = False,
    ) -> None:
        super().__init__(None, transforms=transforms, transform=transform, target_transform=target_transform)
        self.dataset = dataset
        self.split = split
        self.return_metadata = return_metadata
        self.rows = dataset.rows(split)
        self.metadata_fields = [*dataset.attributes, "y"]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Any:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Several items at once: a ``DataLoader`` asks for its batches here, one gather for all images."""
        rows = torch.as_tensor(self.rows[np.asarray(indices, np.int64)])
        gathered = self.dataset.images.gather(rows).permute(0, 2, 3, 1).cpu().numpy()
        return [self._item(pixels, int(index)) for pixels, index in zip(gathered, indices, strict=True)]

    def _item(self, pixels: npt.NDArray[np.uint8], index: int) -> Any:
        image: Any = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))
        label: Any = self.targets[index]
        if self.transforms is not None:
            image, label = self.transforms(image, label)
        return (image, label, self.metadata_array[index]) if self.return_metadata else (image, label)

    @property
    def classes(self) -> list[str]:
        """The names of the labels."""
        return list(self.dataset.classes)

    @property
    def class_to_idx(self) -> dict[str, int]:
        """Name of a label -> the label."""
        return {name: place for place, name in enumerate(self.dataset.classes)}

    @cached_property
    def targets(self) -> list[int]:
        """The label of every item, before ``target_transform``."""
        return [int(label) for label in self.dataset.labels[self.rows]]

    @property
    def attributes(self) -> pd.DataFrame:
        """The attributes of every item, one categorical column each."""
        return self.dataset.table.loc[:, list(self.dataset.attributes)].iloc[self.rows].reset_index(drop=True)

    @property
    def groups(self) -> npt.NDArray[np.int64]:
        """The flat group of every item: label first, then the grouping attributes, the last one fastest."""
        return self.dataset.group_ids[self.rows]

    @cached_property
    def metadata_array(self) -> Tensor:
        """int64 Tensor (N, attributes + 1): the code of every attribute, and the label last."""
        attributes = self.attributes
        codes = [attributes[name].cat.codes.to_numpy(np.int64) for name in attributes.columns]
        return torch.from_numpy(np.stack([*codes, np.asarray(self.targets, np.int64)], axis=1))

    def extra_repr(self) -> str:
        return f"Data: {self.dataset.name}\nSplit: {self.split}"
