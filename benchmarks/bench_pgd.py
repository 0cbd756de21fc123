"""PGD evaluation of a trained network: biaskit, which leaves an image once it is wrong, against torchattacks.

    python benchmarks/bench_pgd.py --python /path/to/python-with-torchattacks
        [--on colordigits] [--recipe plain] [--images 800] [--steps 20] [--repeats 5]

Both attack the same network and images with the same epsilon, step and steps, from the images themselves (no random
start), with 256 images at most in the network at once and the same number of threads, and count what is still answered
right. The baseline runs in an interpreter of its own and takes turns with ours; what is timed is the attack and the
count, not the start of a program. See benchmarks/README.md for its environment.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

sys.path.insert(0, str(Path(__file__).parent))
from timing import interleaved, machine_line, print_ratio, print_table

import biaskit as bk
from biaskit.attacks import pgd

BASELINE = Path(__file__).parent / "baselines" / "pgd_torchattacks.py"
BATCH = 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", required=True, help="an interpreter that has torchattacks and biaskit")
    parser.add_argument("--on", default="colordigits", help="data set; the recipe is trained on it once, and kept")
    parser.add_argument("--recipe", default="plain")
    parser.add_argument("--images", type=int, default=800, help="test images, at most")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--epsilon", type=float, default=8.0, help="of 255 gray levels")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    print(machine_line())

    data = bk.build(arguments.on)
    run = bk.train(arguments.recipe, data, seed=0, device="cpu")
    model = run.model.eval()
    rows = torch.from_numpy(data.rows("test")[: arguments.images])
    pixels, labels = data.images.gather(rows), torch.from_numpy(data.labels)[rows]
    epsilon, step = arguments.epsilon / 255, arguments.epsilon / 4 / 255
    images = pixels.float().div(255)

    def ours() -> float:
        attacked = pgd(
            model, images, labels, torch.Generator(),
            epsilon=epsilon, step=step, steps=arguments.steps, random_start=False, early_exit=True,
        )  # fmt: skip
        with torch.no_grad():
            pairs = zip(attacked.split(BATCH), labels.split(BATCH), strict=True)
            right = sum(int((model(here).argmax(dim=1) == truth).sum()) for here, truth in pairs)
        return right / len(labels)

    with tempfile.TemporaryDirectory() as folder:
        pictures, weights = Path(folder) / "images.npz", Path(folder) / "weights.safetensors"
        array = pixels.permute(0, 2, 3, 1).contiguous().numpy()
        np.savez(pictures, images=array, labels=labels.numpy(), classes=len(data.classes))
        save_file({key: one.contiguous() for key, one in model.state_dict().items()}, weights)
        options = {
            "model": run.card["model"]["name"],
            "epsilon": repr(epsilon),
            "step": repr(step),
            "steps": str(arguments.steps),
            "batch": str(BATCH),
            "rounds": str(arguments.repeats + 1),
            "threads": str(torch.get_num_threads()),
        }
        command = [arguments.python, str(BASELINE), str(pictures), str(weights), "--wait"]
        command += [word for name, value in options.items() for word in (f"--{name}", value)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            accuracies = {"biaskit": ours(), "torchattacks": _round(other)["accuracy"]}  # and both are warm
            inside: list[float] = []
            arms = {"torchattacks": lambda: inside.append(_round(other)["seconds"]), "biaskit": ours}
            seconds = interleaved(arms, arguments.repeats)
            seconds["torchattacks"] = inside  # its own clock: without the line that starts a round
    with torch.no_grad():
        clean = float((model(images).argmax(dim=1) == labels).float().mean())
    print(
        f"{arguments.recipe} on {arguments.on}, {len(labels):,} images, epsilon {arguments.epsilon:g}/255, "
        f"{arguments.steps} steps: {100 * clean:.2f} % right as they are"
    )
    print_table(seconds, count=len(labels))
    for name, share in accuracies.items():
        print(f"{name}: {100 * share:.2f} % right under attack")
    apart = 100 * abs(accuracies["biaskit"] - accuracies["torchattacks"])
    print(f"apart: {apart:.2f} points (target at most 0.2)")
    print_ratio("times torchattacks' rate", seconds, "torchattacks", "biaskit", "at least 2")


def _round(other: subprocess.Popen[str]) -> dict[str, float]:
    """One round of the baseline."""
    assert other.stdin is not None
    assert other.stdout is not None
    other.stdin.write("go\n")
    other.stdin.flush()
    line = other.stdout.readline()
    if not line:
        raise SystemExit(f"the baseline ended: {' '.join(map(str, other.args))}")
    found: dict[str, float] = json.loads(line)
    return found


if __name__ == "__main__":
    main()
