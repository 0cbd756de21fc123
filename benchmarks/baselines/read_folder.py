"""A folder of images as one reads it today: torchvision lists it, a loop opens one PIL image after the other.

    python benchmarks/baselines/read_folder.py FOLDER [--size 224 --resize 256]

This script is a fixed yardstick: it is not edited in a commit that changes the fast path.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image
from torchvision.datasets import ImageFolder
from torchvision.transforms import CenterCrop, Compose, Resize


def read(folder: Path, size: int | None = None, resize: int | None = None) -> tuple[np.ndarray, list[int]]:
    """All pixels (N, H, W, 3) and the labels."""
    found = ImageFolder(str(folder))
    fit = Compose([Resize(resize or size), CenterCrop(size)]) if size else None
    pixels = None
    for row, (path, _) in enumerate(found.samples):
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        array = np.asarray(image if fit is None else fit(image))
        if pixels is None:
            pixels = np.empty((len(found), *array.shape), np.uint8)
        pixels[row] = array
    assert pixels is not None
    return pixels, found.targets


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int)
    parser.add_argument("--resize", type=int)
    arguments = parser.parse_args()
    pixels, labels = read(arguments.folder, arguments.size, arguments.resize)
    print(pixels.shape, len(set(labels)), "classes")


if __name__ == "__main__":
    main()
