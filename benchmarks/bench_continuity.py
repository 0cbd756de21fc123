"""The analyzer ``continuity`` against the forward passes it is made of.

    python benchmarks/bench_continuity.py [--images 10000] [--repeats 3] [--classes 10] [--stem imagenet]

Per image there is one pass of ResNet-18 for the image itself and one for each of 16 copies, four perturbations at four
levels. The baseline is these 17 passes over the same pixels and in the same batches, without perturbing, comparing or
drawing anything. Both take turns; the goal is a ratio of at most 1.15.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from timing import interleaved, machine_line, print_ratio, print_table

from biaskit._train import make_model
from biaskit.analyzers import continuity
from biaskit.data import Dataset
from biaskit.evaluation import EVAL_BATCH
from biaskit.subject import Subject

PASSES = 17


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--classes", type=int, default=10, help="fewer classes: more neighbors per image")
    parser.add_argument("--stem", choices=("imagenet", "small"), default="imagenet", help="small: 13 times the work")
    arguments = parser.parse_args()
    print(machine_line())

    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (arguments.images, 28, 28, 3), dtype=np.uint8)
    data = Dataset.from_arrays(pixels, np.arange(arguments.images) % arguments.classes)
    model = make_model({"name": "resnet18", "stem": arguments.stem}, arguments.classes, data.images.shape, 0).eval()

    @torch.inference_mode()
    def bare() -> None:
        for part in torch.split(torch.arange(len(data)), EVAL_BATCH):
            images = data.images.gather(part).float().div_(255.0)
            for _ in range(PASSES):
                model(images)

    def ours() -> None:
        continuity(Subject(model, data), images=arguments.images)

    name = f"{PASSES} forward passes"
    seconds = interleaved({name: bare, "continuity": ours}, arguments.repeats)
    print_table(seconds, count=PASSES * len(data))
    print_ratio("continuity: times its forward passes", seconds, "continuity", name, "at most 1.15")


if __name__ == "__main__":
    main()
