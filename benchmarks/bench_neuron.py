"""The analyzer ``neuron_consistency`` against the forward passes it is made of.

    python benchmarks/bench_neuron.py [--images 10000] [--repeats 3] [--classes 10] [--stem imagenet]

On natural images there is one pass of ResNet-18 per image; the baseline is that pass over the same pixels and in the
same batches, without looking at a layer. With adversarial images there are the step of FGSM, which is two passes and
the gradient, and another pass; the baseline has them too. All take turns; the goal is a ratio of at most 1.2.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from timing import interleaved, machine_line, print_ratio, print_table

from biaskit._train import make_model
from biaskit.analyzers import neuron_consistency
from biaskit.attacks import fgsm
from biaskit.data import Dataset
from biaskit.evaluation import EVAL_BATCH
from biaskit.subject import Subject
from biaskit.wordnet import synsets_of


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--classes", type=int, choices=(10, 100, 1000), default=10)
    parser.add_argument("--stem", choices=("imagenet", "small"), default="imagenet", help="small: 13 times the work")
    parser.add_argument("--natural", action="store_true", help="leave the adversarial images out")
    arguments = parser.parse_args()
    print(machine_line())

    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (arguments.images, 28, 28, 3), dtype=np.uint8)
    names = {10: "cifar10", 100: "cifar100", 1000: "imagenet"}
    synsets = _synsets(names[arguments.classes])
    data = Dataset.from_arrays(pixels, np.resize(synsets, arguments.images), classes=synsets)
    model = make_model({"name": "resnet18", "stem": arguments.stem}, len(synsets), data.images.shape, 0).eval()

    def passes(adversarial: bool) -> None:
        for part in torch.split(torch.arange(len(data)), EVAL_BATCH):
            images = data.images.gather(part).float().div_(255.0)
            with torch.inference_mode():
                model(images)
            if adversarial:
                moved = fgsm(model, images, torch.from_numpy(data.labels[part.numpy()]), torch.Generator())
                with torch.inference_mode():
                    model(moved)

    def ours(adversarial: bool) -> None:
        neuron_consistency(Subject(model, data), images=arguments.images, adversarial=adversarial)

    kinds = {"natural": False} if arguments.natural else {"natural": False, "natural and adversarial": True}
    for kind, adversarial in kinds.items():
        bare, full = f"passes, {kind}", f"neuron_consistency, {kind}"
        seconds = interleaved(
            {bare: lambda: passes(adversarial), full: lambda: ours(adversarial)},  # noqa: B023
            arguments.repeats,
        )
        print_table(seconds, count=len(data))
        print_ratio(f"{full}: times its passes", seconds, full, bare, "at most 1.2")


def _synsets(source: str) -> list[str]:
    """Different synsets as labels, so that no table is needed to read them."""
    from biaskit.wordnet._labels import tables

    labels = list(tables()[source])
    return list(dict.fromkeys(synsets_of(labels, source=source)))


if __name__ == "__main__":
    main()
