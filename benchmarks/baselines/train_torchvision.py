"""Semantic-continuity training as one writes it today with torchvision transforms and a DataLoader.

    python benchmarks/baselines/train_torchvision.py IMAGES.npz [--plain] [--workers 2]

The file holds ``images`` (N, 28, 28, 3) uint8 and ``labels`` (N,), as baselines/build_pil.py writes it. Every image
gets one of four perturbations at one of four levels; ResNet-18, ``CE(F(x), y) + alpha mean ||F(x') - F(x)||^2``, Adam,
float32. This script is a fixed yardstick: it is not edited in a commit that changes the fast path.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision.models import resnet18
from torchvision.transforms import functional as T

MEAN = STD = (0.5, 0.5, 0.5)


def perturb(image: Tensor) -> Tensor:
    """Brightness, contrast, saturation or hue of one image (3, H, W), at level 1 to 4."""
    operation = random.choice(("brightness", "contrast", "saturation", "hue"))
    level = random.randint(1, 4)
    if operation == "brightness":
        return (image + level * 16 / 255).clamp(0.0, 1.0)
    if operation == "contrast":
        return T.adjust_contrast(image, 1.0 + 0.25 * level)
    if operation == "saturation":
        return T.adjust_saturation(image, 1.0 + 0.25 * level)
    return T.adjust_hue(image, 0.1 * level)


class Images(Dataset):
    """Normalized images, with a perturbed copy each where ``pairs`` is asked for."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, pairs: bool) -> None:
        self.images, self.labels, self.pairs = images, labels, pairs

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, ...]:
        image = T.to_tensor(self.images[index])
        label = int(self.labels[index])
        if not self.pairs:
            return T.normalize(image, MEAN, STD), label
        return T.normalize(image, MEAN, STD), T.normalize(perturb(image), MEAN, STD), label


class Trainer:
    """A network, its optimizer and a loader; ``epoch()`` goes through the images once."""

    def __init__(
        self, images: np.ndarray, labels: np.ndarray, *, pairs: bool, workers: int, alpha: float = 0.1, seed: int = 0
    ) -> None:
        torch.manual_seed(seed)
        random.seed(seed)
        self.model = resnet18(num_classes=10)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3)
        self.loader = DataLoader(Images(images, labels, pairs), batch_size=128, shuffle=True, num_workers=workers)
        self.pairs, self.alpha = pairs, alpha

    def epoch(self) -> float:
        """Train for one epoch; returns the mean loss."""
        self.model.train()
        total = 0.0
        for batch in self.loader:
            if self.pairs:
                clean, perturbed, labels = batch
                logits, others = self.model(clean), self.model(perturbed)
                loss = F.cross_entropy(logits, labels) + self.alpha * (others - logits).square().sum(dim=1).mean()
            else:
                clean, labels = batch
                loss = F.cross_entropy(self.model(clean), labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.item() * len(labels)
        return total / len(self.loader.dataset)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--plain", action="store_true", help="cross-entropy alone, without perturbed copies")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    stored = np.load(arguments.file)
    trainer = Trainer(stored["images"], stored["labels"], pairs=not arguments.plain, workers=arguments.workers)
    for epoch in range(arguments.epochs):
        started = time.perf_counter()
        loss = trainer.epoch()
        rate = len(stored["labels"]) / (time.perf_counter() - started)
        print(f"epoch {epoch + 1}: loss {loss:.4f}, {rate:.0f} images/s")


if __name__ == "__main__":
    main()
