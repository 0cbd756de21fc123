"""What the benchmarks share: interleaved repeats, medians, and the line that says where they were measured."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path


def machine_line() -> str:
    """Processor, cores, load, torch and its threads, date."""
    import torch

    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    bf16 = "bf16" if torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported() else "no bf16"
    return (
        f"{_processor()}, {os.cpu_count()} cores, {bf16}; load {load:.1f} before; Python {platform.python_version()}, "
        f"torch {torch.__version__}, {torch.get_num_threads()} threads; {date.today():%Y-%m-%d}"
    )


def interleaved(arms: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, list[float]]:
    """Seconds of every arm, measured A B A B ..., so that whatever slows the machine slows all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(repeats):
        for name, run in arms.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def print_table(seconds: Mapping[str, list[float]], *, count: int | None = None, unit: str = "images") -> None:
    """Minimum, median and maximum of each arm, with the rate at the median."""
    width = max(len(name) for name in seconds)
    rate = f"{unit + '/s':>12}" if count else ""
    print(f"{'':{width}}  {'n':>3} {'min s':>9} {'median s':>9} {'max s':>9}{rate}")
    for name, found in seconds.items():
        middle = statistics.median(found)
        rate = f"{count / middle:>12,.0f}" if count else ""
        print(f"{name:{width}}  {len(found):>3} {min(found):>9.3f} {middle:>9.3f} {max(found):>9.3f}{rate}")


def print_ratio(name: str, seconds: Mapping[str, list[float]], above: str, below: str, target: str = "") -> None:
    """Ratio of medians, with the range of the ratios within the single rounds."""
    ratio = statistics.median(seconds[above]) / statistics.median(seconds[below])
    rounds = [a / b for a, b in zip(seconds[above], seconds[below], strict=True)]
    print(
        f"{name}: {ratio:.2f} (rounds {min(rounds):.2f} to {max(rounds):.2f}{f'; target {target}' if target else ''})"
    )


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
