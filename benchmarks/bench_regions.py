"""Regions of 64 starting points as one batch against one at a time, and with a network against the passes they take.

    python benchmarks/bench_regions.py [--starts 64] [--repeats 3] [--steps 200]

On a closed-form confidence the search itself is timed; with a network (resnet_small on drawn objects) the analyzer
semantic_regions is held against the forward, and for OIR_W backward, passes over as many images as it asked for, and
rendering is told beside. A map of 120 x 34 poses likewise.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from timing import machine_line

import biaskit as bk
from biaskit._train import make_model
from biaskit.analyzers._semantic_space import Confident, space_of
from biaskit.regions import find_regions
from biaskit.subject import Subject


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=64)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    print(machine_line())
    centers = torch.rand(arguments.starts, 2, generator=torch.Generator().manual_seed(0)) * 0.6 + 0.2

    def bump(jobs: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        return torch.exp(-((u - centers[jobs]) ** 2).sum(1) / 0.02)

    def together() -> None:
        find_regions(bump, centers, steps=arguments.steps)

    def alone() -> None:
        for place in range(arguments.starts):
            find_regions(lambda jobs, u, p=place: bump(jobs + p, u), centers[place : place + 1], steps=arguments.steps)

    _tell(
        f"{arguments.starts} starts, closed form: one at a time / one batch",
        _ratios(alone, together, arguments.repeats),
    )

    data = bk.build("pose-shapes", set=["builder.0.train_images=10", "builder.0.test_images=64"])
    subject = Subject(make_model({"name": "resnet_small"}, 10, data.images.shape, 0), data)
    rows = torch.from_numpy(subject.test()[:32])
    for parameters in (("rotation", "scale"), ("azimuth", "elevation")):
        space = space_of(data, parameters, {}, "reflection")
        for method in ("level", "oir_w"):
            shares = [_with_network(subject, space, rows, method) for _ in range(arguments.repeats)]
            name = f"{method} over {' and '.join(parameters)}"
            _tell(f"{name}: search / its passes and its images", [one[0] for one in shares])
            _tell(f"{name}: images / passes", [one[1] for one in shares])
    space = space_of(data, ("azimuth", "elevation"), {}, "reflection")
    _tell(
        "map of 120 x 34 poses: map / its passes and its images",
        [_map(subject, space) for _ in range(arguments.repeats)],
    )


def _with_network(subject: Subject, space: object, rows: torch.Tensor, method: str) -> tuple[float, float]:
    """Time of a search over its passes and images, and of the images over the passes."""
    confident = Confident(subject, space, rows)  # type: ignore[arg-type]
    starts = torch.rand(len(rows), 2, generator=torch.Generator().manual_seed(1)) * 0.5 + 0.25
    slopes = method == "oir_w"
    asked: list[tuple[torch.Tensor, torch.Tensor]] = []

    def watched(jobs: torch.Tensor, u: torch.Tensor) -> torch.Tensor:
        asked.append((jobs, u.detach()))
        return confident(jobs, u)

    whole = _seconds(lambda: find_regions(watched, starts, method=method, steps=10, batch=256))
    images = passes = 0.0
    for place, (jobs, u) in enumerate(asked):
        graph = slopes and place > 0  # the first look at the starts takes no gradient
        at = u.clone().requires_grad_(graph)
        began = time.perf_counter()
        with torch.set_grad_enabled(graph):
            shown = space.show(rows[jobs], at)  # type: ignore[attr-defined]
        images += time.perf_counter() - began
        began = time.perf_counter()
        with torch.set_grad_enabled(graph):
            share = subject.model(shown).softmax(1)[:, 0]
        if graph:
            torch.autograd.grad(share.sum(), at)
        passes += time.perf_counter() - began
    return whole / (images + passes), images / passes


def _map(subject: Subject, space: object) -> float:
    from biaskit.analyzers._semantic_map import _over_grid

    grid = torch.cartesian_prod(torch.linspace(0, 1, 120), torch.linspace(0, 1, 34))
    confident = Confident(subject, space, torch.from_numpy(subject.test()[:1]))  # type: ignore[arg-type]
    whole = _seconds(lambda: _over_grid(confident, grid, 1, "cpu", 256))

    def parts() -> None:
        with torch.inference_mode():
            for u in torch.split(grid, 256):
                rows = torch.full((len(u),), int(subject.test()[0]))
                subject.model(space.show(rows, u))  # type: ignore[attr-defined]

    return whole / _seconds(parts)


def _seconds(what: Callable[[], object]) -> float:
    began = time.perf_counter()
    what()
    return time.perf_counter() - began


def _ratios(slow: Callable[[], object], fast: Callable[[], object], repeats: int) -> list[float]:
    fast()
    return [_seconds(slow) / _seconds(fast) for _ in range(repeats)]


def _tell(what: str, ratios: list[float]) -> None:
    print(f"{what}: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}, n {len(ratios)})")


if __name__ == "__main__":
    main()
