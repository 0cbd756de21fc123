"""A small network that has learned a model's answers: through it, an attacker reaches a model without its gradients."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from biaskit.attacks._common import predicted
from biaskit.rng import derive, numpy_generator, scoped, torch_generator
from biaskit.subject import Subject

__all__ = ["Substitute", "substitute_for"]

#: Larger images are averaged down to this side: the cost is the same for every size.
SIDE = 32
STEPS, BATCH, RATE = 150, 64, 3e-3


class Substitute(nn.Module):
    """Three convolutions and a linear layer on [0, 1] pixels, without a part that behaves otherwise in training."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, padding=1, stride=2),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1, stride=2),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(4),
            nn.Flatten(),
        )
        self.head = nn.Linear(32 * 16, classes)

    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.head(self.body(reduced(images) - 0.5))
        return found


def reduced(images: Tensor) -> Tensor:
    """Images averaged down to at most 32 x 32."""
    height, width = images.shape[2:]
    return F.adaptive_avg_pool2d(images, (min(height, SIDE), min(width, SIDE)))


def substitute_for(subject: Subject, images: int, seed: int = 0) -> tuple[Substitute, int]:
    """Train a substitute on what the model answers to some images: no label and no gradient of the model is used.

    The images are those of the split ``train``; where there is none, the test images themselves.

    Returns
    -------
    network : Substitute
        In eval mode on the subject's device.
    n : int
        Images that were learned from.

    References
    ----------
    Papernot et al., Practical Black-Box Attacks against Machine Learning, arXiv 1602.02697, without its augmentation.
    """
    known = subject.dataset.rows("train") if "train" in subject.dataset.splits else subject.test()
    rows = numpy_generator(seed, "substitute", "images").permutation(known)[:images]
    pixels, answers = _questions(subject, rows)
    with scoped(derive(seed, "substitute", "init")):
        network = Substitute(pixels.shape[1], len(subject.dataset.classes)).to(subject.device)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE, fused=True)
    generator = torch_generator(seed, "substitute", "order")
    with torch.enable_grad():
        for step in range(STEPS):
            for group in optimizer.param_groups:
                group["lr"] = RATE * (1 - step / STEPS)
            index = torch.randint(len(rows), (BATCH,), generator=generator).to(pixels.device)
            loss = F.cross_entropy(network(pixels[index]), answers[index])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return network.eval(), len(rows)


@torch.no_grad()
def _questions(subject: Subject, rows: npt.NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Images, averaged down so that they fit in memory whatever their size, and what the model answers to them."""
    pixels, answers = [], []
    for _, images in subject.batches(rows):
        pixels.append(reduced(images).contiguous())
        answers.append(predicted(subject.model, images))
    return torch.cat(pixels), torch.cat(answers)
