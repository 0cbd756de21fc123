"""A Subject is a model with a data set: what every analyzer looks at."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from torch import Tensor, nn

from biaskit._train import evaluate
from biaskit.data import TWIN, Dataset
from biaskit.errors import DataError, UnsupportedModel

__all__ = ["Column", "Result", "Subject"]


@dataclass(frozen=True)
class Column:
    """A declared column of a result.

    Attributes
    ----------
    name, meaning, unit : str
    better : str
        ``"higher"``, ``"lower"``, ``"zero"`` (nearer to it) or ``""``.
    """

    name: str
    meaning: str
    unit: str = ""
    better: str = ""


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
        One row per image, so that statistics over images can be computed again.
    """

    analyzer: str
    table: pd.DataFrame
    columns: tuple[Column, ...]
    options: dict[str, Any] = field(default_factory=dict)
    samples: pd.DataFrame | None = None


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
    """

    def __init__(
        self, model: nn.Module | None, dataset: Dataset, *, logits: Tensor | None = None, device: str = "cpu"
    ) -> None:
        self.dataset = dataset
        self.device = device
        #: Rows that were not trained on: every split but train.
        self.rows: npt.NDArray[np.int64] = np.flatnonzero((dataset.table["split"] != "train").to_numpy())
        self._model = model.to(device).eval() if model is not None else None
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
        except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
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
        if not bool(torch.isfinite(found).all()):
            bad = int((~torch.isfinite(found)).any(dim=1).sum())
            raise UnsupportedModel(f"the model gives NaN or infinite logits for {bad:,} of {len(found):,} images")
        return found

    def logits_of(self, rows: npt.NDArray[np.int64]) -> Tensor:
        """The stored logits of some rows of the data set."""
        return self.logits[torch.from_numpy(np.searchsorted(self.rows, rows))]

    def predictions(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """The predicted label codes of some rows."""
        return self.logits_of(rows).argmax(dim=1).numpy()

    def test(self) -> npt.NDArray[np.int64]:
        """The rows that metrics read: the split ``test``."""
        return self.dataset.rows("test")

    def twins(self, attribute: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Test rows and, in the same order, their twins in which only the attribute differs."""
        table = self.dataset.table
        if TWIN not in self.dataset.splits:
            raise DataError(f"{self.dataset.name} has no twins; only sets that a builder planted have them")
        found = np.flatnonzero(((table["split"] == TWIN) & (table["swapped"] == attribute)).to_numpy())
        if not len(found):
            raise DataError(f"{self.dataset.name} has no twins for the attribute {attribute!r}")
        return table["pair"].to_numpy(np.int64)[found], found
