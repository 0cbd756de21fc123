"""A loss: cross-entropy against softened labels."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from biaskit import Batch, Dataset

__all__ = ["smoothed_cross_entropy"]


class _Smoothed(nn.Module):
    def __init__(self, smoothing: float) -> None:
        super().__init__()
        self.smoothing = smoothing

    def forward(self, model: nn.Module, batch: Batch) -> Tensor:
        return F.cross_entropy(model(batch.images).float(), batch.labels, label_smoothing=self.smoothing)


def smoothed_cross_entropy(dataset: Dataset, *, smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1) -> nn.Module:
    """Cross-entropy against ``(1 - smoothing)`` on the label and the rest spread evenly over all labels.

    Parameters
    ----------
    dataset : Dataset
        Every loss is given it; this one does not read it.
    smoothing : float in [0, 1)

    Returns
    -------
    nn.Module
        ``forward(model, batch) -> scalar``. Parameters of a loss join the optimizer, its buffers the checkpoint.

    References
    ----------
    Szegedy et al., Rethinking the Inception Architecture, arXiv 1512.00567, section 7.
    """
    return _Smoothed(smoothing)
