"""A Subject is a model with a data set: what every analyzer looks at."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from biaskit.data import TWIN, Dataset
from biaskit.errors import DataError, UnsupportedModel
from biaskit.evaluation import EVAL_BATCH, evaluate
from biaskit.features import finite
from biaskit.rng import numpy_generator, scoped

__all__ = ["Subject", "one_tensor"]

#: Images that are shown twice to see whether the answers stay.
_TWICE = 16


#: What a model raises that cannot take the images.
_REFUSED = (RuntimeError, ValueError, TypeError, IndexError, AttributeError)


def one_tensor(given: Any) -> Tensor:
    """What a model gave, if it is one floating-point tensor.

    Parameters
    ----------
    given : Any
        The output of a forward pass.

    Returns
    -------
    Tensor

    Raises
    ------
    UnsupportedModel
        A tuple, a dictionary, class numbers: the message says what it is and what is expected.

    Examples
    --------
    >>> one_tensor((torch.zeros(2, 5), torch.zeros(2, 8)))
    Traceback (most recent call last):
    ...
    biaskit.errors.UnsupportedModel: the model gives a tuple of (2, 5), (2, 8); give a module whose output is the logits
    """
    if isinstance(given, Tensor) and given.is_floating_point():
        return given
    if isinstance(given, Tensor):
        what = f"{given.dtype} of shape {tuple(given.shape)}, which are no logits"
    elif isinstance(given, Mapping):
        what = f"a {type(given).__name__} with {', '.join(map(str, given))}"
    elif isinstance(given, tuple | list):
        parts = [str(tuple(one.shape)) if isinstance(one, Tensor) else type(one).__name__ for one in given]
        what = f"a {type(given).__name__} of {', '.join(parts)}"
    else:
        what = f"a {type(given).__name__}"
    raise UnsupportedModel(f"the model gives {what}; give a module whose output is the logits")


class Subject:
    """A model x a data set, with the logits computed once for all analyzers.

    Parameters
    ----------
    model : nn.Module or None
        On [0, 1] pixels, logits (B, K) out; None where only stored logits are there.
    dataset : Dataset
    logits : Tensor (rows outside train, K), optional
        Taken as they are instead of a forward pass.
    device : str

    Raises
    ------
    DataError
        Stored logits that do not fit the data set.
    UnsupportedModel
        A program of ``torch.export``, which has no eval mode.
    """

    def __init__(
        self, model: nn.Module | None, dataset: Dataset, *, logits: Tensor | None = None, device: str = "cpu"
    ) -> None:
        self.dataset = dataset
        self.device = device
        #: Rows that were not trained on: every split but train.
        self.rows: npt.NDArray[np.int64] = np.flatnonzero((dataset.table["split"] != "train").to_numpy())
        try:
            self._model = model.to(device).eval() if model is not None else None
        except NotImplementedError as error:
            raise UnsupportedModel(
                f"{type(model).__name__} cannot be put in eval mode ({error}); give the nn.Module it was made from"
            ) from error
        if logits is not None:
            if logits.shape != (len(self.rows), len(dataset.classes)):
                raise DataError(
                    f"{tuple(logits.shape)} logits for {len(self.rows):,} images and {len(dataset.classes)} labels"
                )
            self.logits = logits

    @property
    def model(self) -> nn.Module:
        """The network in eval mode on ``device``."""
        if self._model is None:
            raise UnsupportedModel("only stored predictions are there; this analyzer needs the model itself")
        return self._model

    @cached_property
    def logits(self) -> Tensor:
        """Logits (len(rows), K), float32 on the CPU."""
        try:
            found = evaluate(self.model, self.dataset, self.rows, self.device)
            self._check_images()
        except _REFUSED as error:
            self._check_answer()
            channels, height, width = self.dataset.images.shape
            raise UnsupportedModel(
                f"the model cannot take float images (B, {channels}, {height}, {width}) in [0, 1]: "
                f"{str(error).partition(chr(10))[0]}"
            ) from error
        if found.ndim != 2 or found.shape[1] != len(self.dataset.classes):
            raise UnsupportedModel(
                f"the model gives outputs of shape {tuple(found.shape[1:])} per image; expected one logit for each of "
                f"the {len(self.dataset.classes)} labels"
            )
        return finite(found, "images")

    def _check_images(self) -> None:
        """Refuse a model that changes the images it is given: analyzers compare its answers with what they gave."""
        with torch.inference_mode():
            _, images = next(self.batches(self.rows[:1]))
            before = images.clone()
            self.model(images)
        if not torch.equal(images, before):
            raise UnsupportedModel(
                "the model changes its images in place, as images.sub_(mean) does; write images = images - mean"
            )

    def _check_answer(self) -> None:
        """Refuse a model whose answer to an image is something else than one tensor of logits."""
        with contextlib.suppress(*_REFUSED), torch.inference_mode():
            _, images = next(self.batches(self.rows[:1]))
            one_tensor(self.model(images))

    @cached_property
    def steady(self) -> bool:
        """Whether the model gives the same answers to the same few images twice; dropout that is always on does not.

        Yes where only stored answers are there.
        """
        if self._model is None or not len(self.rows):
            return True
        # Both passes inside one block: a seed for each would draw the same dropout twice.
        with scoped(0), torch.inference_mode():
            _, images = next(self.batches(self.rows[:_TWICE]))
            once, twice = self.model(images).float(), self.model(images).float()
        # Kernels on a device may sum in any order.
        return bool((once - twice).abs().max() <= 1e-3 * once.abs().max())

    def logits_of(self, rows: npt.NDArray[np.int64]) -> Tensor:
        """The stored logits of some rows of the data set."""
        return self.logits[torch.from_numpy(np.searchsorted(self.rows, rows))]

    def predictions(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The predicted label codes of some rows."""
        return self.logits_of(rows).argmax(dim=1).numpy()

    def test(self) -> npt.NDArray[np.int64]:
        """The rows that metrics read: the split ``test``."""
        return self.dataset.rows("test")

    def sample(self, images: int, purpose: str) -> npt.NDArray[np.int64]:
        """At most so many test rows in table order, drawn once for all arms and seeds."""
        rows = self.test()
        if len(rows) <= images:
            return rows
        return np.sort(numpy_generator(0, purpose).choice(rows, images, replace=False))

    def batches(
        self, rows: npt.NDArray[np.int64], size: int = EVAL_BATCH
    ) -> Iterator[tuple[npt.NDArray[np.int64], Tensor]]:
        """Rows and their images (B, C, H, W), float in [0, 1] on ``device``, a batch at a time."""
        for index in torch.split(torch.from_numpy(rows), size):
            yield index.numpy(), self.dataset.images.gather(index).to(self.device).float().div_(255.0)

    def twins(self, attribute: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Test rows and, in the same order, their twins in which only the attribute differs."""
        table = self.dataset.table
        if TWIN not in self.dataset.splits:
            raise DataError(f"{self.dataset.name} has no twins; only sets that a builder planted have them")
        found = np.flatnonzero(((table["split"] == TWIN) & (table["swapped"] == attribute)).to_numpy())
        if not len(found):
            raise DataError(f"{self.dataset.name} has no twins for the attribute {attribute!r}")
        return table["pair"].to_numpy(np.int64)[found], found
