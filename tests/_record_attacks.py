"""What torchattacks makes of a small network, recorded: it pins an old requests, so it is no dependency of the tests.

In an environment of its own with torch, numpy and torchattacks: ``python tests/_record_attacks.py`` writes
``recorded_attacks.npz`` beside this file. Recorded on 2026-11-20 with torchattacks 3.5.1, torch 2.15.0 on a CPU. All in
float64: an attack's steps hang on signs of gradients alone, and no rounding of another machine turns one of those.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

FILE = Path(__file__).with_name("recorded_attacks.npz")


def network(weights):
    """Convolution, batch normalization with statistics of its own, dropout, and five labels."""
    net = _layers().double()
    net.load_state_dict({name: torch.from_numpy(weights[name]) for name in net.state_dict()})
    return net


def _layers():
    parts = (nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Softplus(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(64, 5))
    return nn.Sequential(*parts)


def start():
    """Weights, images and labels; eight images, so that a mean over them is a sum divided exactly."""
    rng = np.random.default_rng(0)
    weights = {
        name: np.asarray(0) if one.ndim == 0 else rng.normal(0, 0.5, tuple(one.shape))
        for name, one in _layers().state_dict().items()
    }
    weights["1.running_var"] = rng.uniform(0.1, 0.5, 4)
    colors = rng.integers(0, 200, (8, 3, 1, 1))  # images that differ, so that the answers do
    images = (colors + rng.integers(0, 56, (8, 3, 6, 6))) / 255
    with torch.no_grad():
        weights["5.bias"] -= network(weights).eval()(torch.from_numpy(images)).mean(dim=0).numpy()
    return {**weights, "images": images, "labels": rng.integers(0, 5, 8)}


def main():
    import torchattacks

    found = start()
    images, labels = torch.from_numpy(found["images"]), torch.from_numpy(found["labels"])
    net = network(found).eval()
    answers = net(images).argmax(dim=1)
    print("answers", answers.tolist(), "labels", labels.tolist())
    iterated = torchattacks.BIM(net, eps=8 / 255, alpha=1 / 255, steps=10)
    iterated.set_mode_targeted_least_likely(quiet=True)
    made = {
        "pgd": torchattacks.PGD(net, eps=8 / 255, alpha=2 / 255, steps=10, random_start=False)(images, labels),
        "fgsm_true": torchattacks.FGSM(net, eps=8 / 255)(images, labels),
        "fgsm_predicted": torchattacks.FGSM(net, eps=8 / 255)(images, answers),
        # It leaves the label that it is given out of the search for the least likely one: the answer never is.
        "least_likely": iterated(images, answers),
    }
    np.savez_compressed(FILE, **found, **{name: one.numpy() for name, one in made.items()})
    print(FILE, FILE.stat().st_size, "bytes; torchattacks", torchattacks.__version__, "torch", torch.__version__)


if __name__ == "__main__":
    main()
