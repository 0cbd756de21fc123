"""Color MNIST as one writes it today: torchvision reads MNIST, a loop colors one PIL image after the other.

    python benchmarks/baselines/build_pil.py MNIST_ROOT OUT [--limit N]

``rgb = v white + (1 - v) b`` with b red for 95 % of the training images and blue for 95 % of the test images, exact
counts by a seeded permutation, and for every test image a twin in the other color. This script is a fixed yardstick:
it is not edited in a commit that changes the fast path.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from torchvision.datasets import MNIST

WHITE = np.array([1.0, 1.0, 1.0], np.float32)
BACKGROUNDS = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], np.float32)


def color(image: Image.Image, background: np.ndarray) -> Image.Image:
    """One gray image on a colored background."""
    value = np.asarray(image, np.float32)[:, :, None] / 255.0
    rgb = value * WHITE + (1.0 - value) * background
    return Image.fromarray((rgb * 255.0).round().astype(np.uint8))


def build(root: Path, limit: int | None = None) -> dict[str, dict[str, np.ndarray]]:
    """Images, labels and colors of ``train``, ``test`` and ``twin``.

    ``limit`` keeps the first N images of train and N // 6 of test.
    """
    rng = np.random.default_rng(0)
    found = {}
    for split, share in (("train", 0.05), ("test", 0.95)):
        source = MNIST(str(root), train=split == "train", download=False)
        count = len(source) if limit is None else min(len(source), limit if split == "train" else limit // 6)
        blue = rng.permutation(np.arange(count) < round(share * count)).astype(int)
        images, twins, labels = [], [], []
        for row in range(count):
            image, label = source[row]
            images.append(np.asarray(color(image, BACKGROUNDS[blue[row]])))
            if split == "test":
                twins.append(np.asarray(color(image, BACKGROUNDS[1 - blue[row]])))
            labels.append(label)
        found[split] = {"images": np.stack(images), "labels": np.array(labels), "color": blue}
        if twins:
            found["twin"] = {"images": np.stack(twins), "labels": np.array(labels), "color": 1 - blue}
    return found


def save(found: dict[str, dict[str, np.ndarray]], out: Path) -> None:
    """Write ``{train,test,twin}.npz``."""
    out.mkdir(parents=True, exist_ok=True)
    for split, arrays in found.items():
        np.savez(out / f"{split}.npz", **arrays)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder that holds MNIST/raw")
    parser.add_argument("out", type=Path)
    parser.add_argument("--limit", type=int)
    arguments = parser.parse_args()
    found = build(arguments.root, arguments.limit)
    save(found, arguments.out)
    print(sum(len(arrays["images"]) for arrays in found.values()), "images")


if __name__ == "__main__":
    main()
