"""One epoch of semantic-continuity training: biaskit against torchvision transforms with a DataLoader.

    python benchmarks/bench_train.py [--images 4096] [--repeats 3] [--no-plain]

Both train ResNet-18 (7 x 7 stem, 28 x 28 pixels) with batches of 128, Adam and the same loss on the same images of
color MNIST; what is timed is the epoch. The DataLoader's number of workers is the best of 0, 1 and 2, found first.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent / "baselines"))
from timing import interleaved, machine_line, print_ratio, print_table
from train_torchvision import Trainer

import biaskit as bk
from biaskit._train import fit, machine, make_model
from biaskit.data import Dataset
from biaskit.recipes import bind_arms


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4096, help="training images per epoch, at most 60,000")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-plain", action="store_true", help="leave out training without perturbed copies")
    arguments = parser.parse_args()
    print(machine_line())

    built = bk.build("colormnist")
    rows = built.rows("train")[: arguments.images]
    pixels = built.images.gather(torch.from_numpy(rows)).permute(0, 2, 3, 1).contiguous().numpy()
    labels = built.labels[rows]
    data = _dataset(pixels, labels)
    recipes = ("semcont",) if arguments.no_plain else ("semcont", "plain")
    here = machine("cpu")
    precisions = ("bf16", "float32") if here.precision == "bf16" else ("float32",)
    arms: dict[str, Any] = {}
    for recipe in recipes:
        workers = _best_workers(pixels, labels, recipe)
        name = f"{recipe}, DataLoader"
        print(f"{name}: {workers} workers")
        arms[name] = Trainer(pixels, labels, pairs=recipe == "semcont", workers=workers).epoch
        for precision in precisions:
            arms[f"{recipe}, biaskit {precision}"] = _ours(recipe, data, replace(here, precision=precision))
    small = _dataset(pixels[:512], labels[:512])
    for recipe in recipes:
        for precision in precisions:
            _ours(recipe, small, replace(here, precision=precision))()
    seconds = interleaved(arms, arguments.repeats)
    print_table(seconds, count=len(rows))
    for precision in precisions:
        goal = "at least 1.8" if precision == "bf16" else "at least 1.3"
        for recipe in recipes:
            slow, fast = f"{recipe}, DataLoader", f"{recipe}, biaskit {precision}"
            target = goal if recipe == "semcont" else ""
            print_ratio(f"{recipe}, {precision}: times the DataLoader's rate", seconds, slow, fast, target)
        if len(recipes) == 2:
            name = f"one step of semcont over one of plain, {precision}"
            print_ratio(name, seconds, f"semcont, biaskit {precision}", f"plain, biaskit {precision}", "at most 2.1")


def _dataset(pixels: np.ndarray, labels: np.ndarray) -> Dataset:
    return Dataset.from_arrays(pixels, labels, split="train", classes=range(10))


def _ours(recipe: str, data: Dataset, where: Any) -> Any:
    # The same loss as the yardstick's: cross-entropy on the images alone, then the distance of the logits.
    changes = ["stage.0.loss.perturbed_share=0.0"] if recipe == "semcont" else []
    changes += ["model.name=resnet18", "stage.0.epochs=1", "stage.0.batch_size=128"]
    card = bind_arms([recipe], data, changes)[0].card
    model = make_model(card["model"], len(data.classes), data.images.shape, 0)
    return lambda: fit(model, data, card, seed=0, where=where)


def _best_workers(pixels: np.ndarray, labels: np.ndarray, recipe: str) -> int:
    """Of 0, 1 and 2 workers, the fastest over some 1,000 images."""
    seconds = {}
    for workers in (0, 1, 2):
        trainer = Trainer(pixels[:1024], labels[:1024], pairs=recipe == "semcont", workers=workers)
        started = time.perf_counter()
        trainer.epoch()
        seconds[workers] = time.perf_counter() - started
    return min(seconds, key=lambda workers: seconds[workers])


if __name__ == "__main__":
    main()
