"""Opening a folder of JPEGs: ``bk.open_data`` against a PIL loop over torchvision's listing, pixel for pixel the same.

    python benchmarks/bench_folder.py [--images 10000] [--side 400] [--repeats 3] [--size 224 --resize 256]

The files are made here: smooth shapes with grain, a few hundred different ones, written again
and again under other names. Both arms give all pixels in memory and the labels; biaskit's also the table and the card.
They read from the page cache: every file was read once before.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent / "baselines"))
from read_folder import read
from timing import interleaved, machine_line, print_ratio, print_table

import biaskit as bk

DIFFERENT = 300


def picture(rng: np.random.Generator, side: int) -> bytes:
    """A JPEG of smooth shapes with grain, about as large as a photograph of that side."""
    coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    grain = rng.normal(0, 12, (side, side, 1))
    stream = io.BytesIO()
    Image.fromarray(np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=85)
    return stream.getvalue()


def make(root: Path, count: int, side: int) -> float:
    """Write the files in ten classes; returns the mean size of a file in bytes."""
    rng = np.random.default_rng(0)
    blobs = [picture(rng, side) for _ in range(min(DIFFERENT, count))]
    for label in range(10):
        (root / f"class {label}").mkdir(parents=True)
    for number in range(count):
        (root / f"class {number % 10}" / f"{number:06d}.jpg").write_bytes(blobs[number % len(blobs)])
    return float(np.mean([len(one) for one in blobs]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--size", type=int, default=224, help="0: images as they are")
    parser.add_argument("--resize", type=int, default=256)
    arguments = parser.parse_args()
    print(machine_line())
    options = {"size": arguments.size, "resize": arguments.resize} if arguments.size else {}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "photos"
        mean = make(root, arguments.images, arguments.side)
        print(
            f"{arguments.images:,} JPEGs of {arguments.side} x {arguments.side}, {mean / 1000:.0f} kB each; {options}"
        )
        expected, labels = read(root, **options)
        data = bk.open_data(root, **options)
        got = data.images.gather(torch.arange(len(data))).permute(0, 2, 3, 1).numpy()
        assert np.array_equal(got, expected), "the pixels differ"
        assert data.labels.tolist() == labels, "the labels differ"
        print("pixels and labels are equal")
        del expected, got, data
        arms = {"PIL loop": lambda: read(root, **options), "biaskit": lambda: bk.open_data(root, **options)}
        seconds = interleaved(arms, arguments.repeats)
    print_table(seconds, count=arguments.images)
    print_ratio("a folder of JPEGs: times the loop's rate", seconds, "PIL loop", "biaskit", "at least 1.7 on two cores")


if __name__ == "__main__":
    main()
