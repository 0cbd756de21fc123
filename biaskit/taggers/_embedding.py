"""The space in which images are near to one another for a model: what enters its head, a layer, or its answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biaskit.features import find_layer
from biaskit.representation import entering_head, layer_vectors, vectors
from biaskit.subject import Subject

__all__ = ["LOGITS", "Embedding"]

Rows = npt.NDArray[np.int64]
Points = npt.NDArray[np.float32]
#: The name of the answers among the layers: every model has them.
LOGITS = "logits"


@dataclass(frozen=True, eq=False)
class Embedding:
    """Where a model puts images.

    Attributes
    ----------
    subject : Subject
    layer : str
        A full name, ``logits``, or empty for what goes into the head.
    about : str
        The same in words.
    """

    subject: Subject
    layer: str
    about: str

    @classmethod
    def of(cls, subject: Subject, layer: str = "") -> Embedding:
        """Resolve a layer's name once, on one image.

        Raises
        ------
        UnknownName, SpecError
            A layer that is not there, or one of several.
        UnsupportedModel
            Without a name: no linear layer is passed.
        """
        if layer == LOGITS:
            return cls(subject, layer, "the logits")
        if layer:
            full = find_layer(subject.model, layer)
            return cls(subject, full, f"what layer {full} gives, mean over positions")
        with torch.inference_mode():
            _, image = next(subject.batches(subject.rows[:1] if len(subject.rows) else np.zeros(1, np.int64)))
            name, _ = entering_head(subject.model, image)
        return cls(subject, layer, f"what goes into {name}")

    def batches(self, rows: Rows) -> Iterator[tuple[Rows, Points]]:
        """Rows and their places (B, D), a batch at a time."""
        for index, images in self.subject.batches(rows):
            with torch.inference_mode():
                found = self._places(images)
            yield index, found.cpu().numpy()

    def array(self, rows: Rows) -> Points:
        """The places of some rows, (len(rows), D), held at once."""
        return np.concatenate([found for _, found in self.batches(rows)])

    def _places(self, images: Tensor) -> Tensor:
        model = self.subject.model
        if self.layer == LOGITS:
            return vectors(model(images), LOGITS)
        if self.layer:
            return layer_vectors(model, images, [self.layer])[self.layer]
        return entering_head(model, images)[1]
