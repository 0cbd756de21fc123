"""PGD over a set of images as one runs it today with torchattacks: every image, every step.

    python benchmarks/baselines/pgd_torchattacks.py IMAGES.npz WEIGHTS.safetensors [--steps 10] [--rounds 3]

The file holds ``images`` (N, H, W, 3) uint8 and ``labels`` (N,); the weights are those of a network that biaskit knows
by name, the only thing taken from it. Each round prints a line of JSON: seconds and the share still answered right.
With ``--wait`` a round starts when a line is read, so that another program can take turns with this one. It is run by
an interpreter of its own, because torchattacks asks for a version of requests from 2021. This script is a fixed
yardstick: it is not edited in a commit that changes the fast path.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torchattacks
from safetensors.torch import load_file

from biaskit.registry import find


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--model", default="resnet_small")
    parser.add_argument("--epsilon", type=float, default=8 / 255)
    parser.add_argument("--step", type=float, default=2 / 255)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--wait", action="store_true")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    stored = np.load(arguments.images)
    images = torch.from_numpy(stored["images"]).permute(0, 3, 1, 2).float().div(255)
    labels = torch.from_numpy(stored["labels"])
    state = load_file(arguments.weights)
    model = find("model", arguments.model)(int(stored["classes"]))
    model.load_state_dict(state)
    model.to(memory_format=torch.channels_last).eval()
    attack = torchattacks.PGD(
        model, eps=arguments.epsilon, alpha=arguments.step, steps=arguments.steps, random_start=False
    )
    for _ in range(arguments.rounds):
        if arguments.wait and not sys.stdin.readline():
            return
        started = time.perf_counter()
        right = 0
        for here, truth in zip(images.split(arguments.batch), labels.split(arguments.batch), strict=True):
            attacked = attack(here, truth)
            with torch.no_grad():
                right += int((model(attacked).argmax(dim=1) == truth).sum())
        seconds = time.perf_counter() - started
        print(json.dumps({"seconds": seconds, "accuracy": right / len(labels)}), flush=True)


if __name__ == "__main__":
    main()
