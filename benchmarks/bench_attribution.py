"""Memory of the analyzer ``attribution`` over few and over many images: it must not grow with their number.

    python benchmarks/bench_attribution.py [--images 250 1000] [--lime-images 25 100] [--repeats 3] [--steps 16]

Every measurement is a process of its own: it makes the same data set, draws the same network and explains its share of
the images. Told are the bytes of all tensors that are alive between two batches, before the last one, which is what the
analyzer holds; and the largest resident memory (getrusage; Linux and macOS), which counts besides what allocators and
kernels keep for later, and grows with the length of a process. Growth is told per image, beside the size of one map: an
analyzer that kept every map would need six of them and more.
"""

from __future__ import annotations

import argparse
import gc
import json
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
        print(json.dumps(memory(**json.loads(arguments.one))))
        return
    print(machine_line())
    plans = [(GRADIENTS, arguments.images)]
    if all(arguments.lime_images):
        plans.append((("lime",), arguments.lime_images))
    total = max(max(pair) for _, pair in plans)
    for methods, (few, many) in plans:
        given = {"methods": methods, "total": total, "steps": arguments.steps, "model": arguments.model}
        found: dict[int, list[tuple[float, float]]] = {few: [], many: []}
        for _ in range(arguments.repeats):
            for images, rounds in found.items():
                rounds.append(_process({**given, "images": images}))
        for what, place in (("peak resident memory", 0), ("tensors alive before the last batch", 1)):
            values = {images: [one[place] for one in rounds] for images, rounds in found.items()}
            _tell(f"{' and '.join(methods)}, {what}", values, few, many)


def memory(*, methods: list[str], images: int, total: int, steps: int, model: str) -> tuple[float, float]:
    """Largest resident memory of this process, and the tensors that are alive before its last batch, MB."""
    import numpy as np

    from biaskit._train import make_model
    from biaskit.analyzers import attribution
    from biaskit.data import Dataset
    from biaskit.subject import Subject

    held = [float("nan")]

    class Watched(Subject):
        def batches(self, rows, size=256):  # type: ignore[no-untyped-def]
            for one in super().batches(rows, size):
                held.append(_alive())
                yield one

    pixels = np.random.default_rng(0).integers(0, 256, (total, SIDE, SIDE, 3), dtype=np.uint8)
    data = Dataset.from_arrays(pixels, np.arange(total) % CLASSES, classes=range(CLASSES))
    network = make_model({"name": model}, CLASSES, data.images.shape, 0)
    attribution(Watched(network, data), methods=tuple(methods), images=images, lime_images=images, steps=steps)
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (2**20 if sys.platform == "darwin" else 2**10), held[-1]


def _alive() -> float:
    """All tensors that can be reached, each storage once, in MB."""
    import torch

    gc.collect()
    found = {}
    for one in gc.get_objects():
        if type(one) in (torch.Tensor, torch.nn.Parameter):
            found[one.untyped_storage().data_ptr()] = one.untyped_storage().nbytes()
    return sum(found.values()) / 2**20


def _process(given: dict[str, object]) -> tuple[float, float]:
    command = [sys.executable, __file__, "--one", json.dumps(given)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    peak, held = json.loads(done.stdout.splitlines()[-1])
    return peak, held


def _tell(name: str, found: dict[int, list[float]], few: int, many: int) -> None:
    print(f"{name}\n{'images':>8}  {'n':>3} {'min MB':>9} {'median MB':>9} {'max MB':>9}")
    for images, rounds in found.items():
        print(
            f"{images:>8,}  {len(rounds):>3} {min(rounds):>9.1f} {statistics.median(rounds):>9.1f} {max(rounds):>9.1f}"
        )
    apart = [above - below for below, above in zip(found[few], found[many], strict=True)]
    growth = statistics.median(found[many]) - statistics.median(found[few])
    each = SIDE * SIDE * 4 / 1024
    print(
        f"growth from {few:,} to {many:,} images: {growth:+.1f} MB (rounds {min(apart):+.1f} to {max(apart):+.1f}), "
        f"{growth * 1024 / (many - few):+.1f} KB per image; one float map per image is {each:.0f} KB"
    )


if __name__ == "__main__":
    main()
