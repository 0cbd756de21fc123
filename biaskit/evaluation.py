"""The logits of a network, batch by batch: the one forward pass that training, subjects and taggers share."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from biaskit.data import Dataset

__all__ = ["EVAL_BATCH", "evaluate"]

#: Images per forward pass where no gradient is kept.
EVAL_BATCH = 256


@torch.inference_mode()
def evaluate(model: nn.Module, dataset: Dataset, rows: np.ndarray[Any, Any], device: str) -> Tensor:
    """Logits (len(rows), K) in float32 on the CPU; eval mode, batch by batch."""
    model.eval()
    index = torch.from_numpy(rows)
    found = [
        model(dataset.images.gather(part).to(device).float().div_(255.0)).float().cpu()
        for part in torch.split(index, EVAL_BATCH)
    ]
    return torch.cat(found)
