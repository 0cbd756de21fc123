"""Peak memory of the analyzer ``attribution`` over few and over many images: it must not grow with their number.

    python benchmarks/bench_attribution.py [--images 250 1000] [--lime-images 25 100] [--repeats 3] [--steps 16]

Every measurement is a process of its own, because a peak never falls: it makes the same data set, draws the same
network, explains its share of the images and prints its largest resident memory (getrusage; Linux and macOS). Growth
is told per image, beside the size of one map: an analyzer that kept every map would need six of them and more. Some
tens of MB in all are what the allocator keeps, and vary between rounds.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys

from timing import machine_line

SIDE, CLASSES = 32, 10
GRADIENTS = ("integrated_gradients", "grad_cam")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs=2, default=(250, 1000), help="explained by the gradient methods")
    parser.add_argument("--lime-images", type=int, nargs=2, default=(25, 100), help="explained by LIME; 0 0 for none")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=16, help="of integrated gradients: time, not memory")
    parser.add_argument("--model", default="resnet_small")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(peak(**json.loads(arguments.one)))
        return
    print(machine_line())
    plans = [(GRADIENTS, arguments.images)]
    if all(arguments.lime_images):
        plans.append((("lime",), arguments.lime_images))
    total = max(max(pair) for _, pair in plans)
    for methods, (few, many) in plans:
        given = {"methods": methods, "total": total, "steps": arguments.steps, "model": arguments.model}
        peaks: dict[int, list[float]] = {few: [], many: []}
        for _ in range(arguments.repeats):
            for images, found in peaks.items():
                found.append(_process({**given, "images": images}))
        _tell(" and ".join(methods), peaks, few, many)


def peak(*, methods: list[str], images: int, total: int, steps: int, model: str) -> float:
    """Largest resident memory of this process, MB, after the analyzer ran over so many of ``total`` images."""
    import numpy as np

    from biaskit._train import make_model
    from biaskit.analyzers import attribution
    from biaskit.data import Dataset
    from biaskit.subject import Subject

    pixels = np.random.default_rng(0).integers(0, 256, (total, SIDE, SIDE, 3), dtype=np.uint8)
    data = Dataset.from_arrays(pixels, np.arange(total) % CLASSES, classes=range(CLASSES))
    network = make_model({"name": model}, CLASSES, data.images.shape, 0)
    attribution(Subject(network, data), methods=tuple(methods), images=images, lime_images=images, steps=steps)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (2**20 if sys.platform == "darwin" else 2**10)


def _process(given: dict[str, object]) -> float:
    command = [sys.executable, __file__, "--one", json.dumps(given)]
    # glibc keeps what is freed, the more the longer a process runs, unless large blocks are mapped one by one.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "131072"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return float(done.stdout.split()[-1])


def _tell(name: str, peaks: dict[int, list[float]], few: int, many: int) -> None:
    print(f"{name}, peak resident memory\n{'images':>8}  {'n':>3} {'min MB':>9} {'median MB':>9} {'max MB':>9}")
    for images, found in peaks.items():
        print(f"{images:>8,}  {len(found):>3} {min(found):>9.1f} {statistics.median(found):>9.1f} {max(found):>9.1f}")
    rounds = [above - below for below, above in zip(peaks[few], peaks[many], strict=True)]
    growth = statistics.median(peaks[many]) - statistics.median(peaks[few])
    each = SIDE * SIDE * 4 / 1024
    print(
        f"growth from {few:,} to {many:,} images: {growth:+.1f} MB (rounds {min(rounds):+.1f} to {max(rounds):+.1f}), "
        f"{growth * 1024 / (many - few):+.1f} KB per image; one float map per image is {each:.0f} KB"
    )


if __name__ == "__main__":
    main()
