"""What a model makes of natural and attacked images, a vector for each, for analyzers that hold it against words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biaskit.analyzers._units import KINDS
from biaskit.attacks._fgsm import fgsm
from biaskit.attacks._pgd import pgd
from biaskit.errors import UnsupportedModel
from biaskit.representation import entering_head, layer_vectors, vectors
from biaskit.rng import torch_generator
from biaskit.subject import Subject

__all__ = ["LOGITS", "Against", "kinds_of_images", "seen_by"]

Rows = npt.NDArray[np.int64]
Against = Literal["pgd", "fgsm", "none"]
#: The layer's name that stands for the model's answers.
LOGITS = "logits"
BATCH = 256


def kinds_of_images(attack: Against) -> tuple[str, ...]:
    """How images are shown."""
    return KINDS[:1] if attack == "none" else KINDS


def seen_by(
    subject: Subject, rows: Rows, kind: str, *, layer: str, attack: Against, epsilon: float, step: float, steps: int
) -> tuple[str, npt.NDArray[np.float32]]:
    """The name of the layer and its vectors (n, D) of natural images, or of attacked ones.

    Empty ``layer``: what enters the head, or the logits of a model without one.
    """
    found, name = list[Tensor](), layer
    for images in _images(subject, rows, kind, attack, epsilon, step, steps):
        with torch.no_grad():
            if layer == LOGITS:
                given = vectors(subject.model(images), LOGITS)
            elif layer:
                ((name, given),) = layer_vectors(subject.model, images, [layer]).items()
            else:
                try:
                    name, given = entering_head(subject.model, images)
                    name = f"what enters {name}"
                except UnsupportedModel:
                    name, given = LOGITS, subject.model(images).float()
        if not bool(given.isfinite().all()):
            raise UnsupportedModel(f"the model gives NaN or infinite features for {kind} images")
        found.append(given.cpu())
    return name, torch.cat(found).numpy()


def _images(
    subject: Subject, rows: Rows, kind: str, attack: Against, epsilon: float, step: float, steps: int
) -> Iterator[Tensor]:
    """Images (B, C, H, W), attacked where that is asked for."""
    labels = torch.from_numpy(subject.dataset.labels)
    generator = torch_generator(0, "class features", attack, device=subject.device)
    for part, images in subject.batches(rows, BATCH):
        if kind == KINDS[0]:
            yield images
            continue
        right = labels[torch.from_numpy(part)].to(images.device)
        if attack == "fgsm":
            yield fgsm(subject.model, images, right, generator, epsilon=epsilon)
        else:
            yield pgd(subject.model, images, right, generator, epsilon=epsilon, step=step, steps=steps)
