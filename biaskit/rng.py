"""Randomness is passed in. Code that can only read the global generators runs inside :func:`scoped`."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

__all__ = ["derive", "numpy_generator", "scoped", "torch_generator"]


def derive(seed: int, *purpose: str | int) -> int:
    """A 63-bit seed for one purpose, so that streams of one run never overlap.

    Examples
    --------
    >>> derive(0, "order") == derive(0, "order"), derive(0, "order") == derive(0, "init")
    (True, False)
    """
    text = "\x1f".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def numpy_generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """A numpy generator for one purpose of a seed."""
    return np.random.default_rng(derive(seed, *purpose))


def torch_generator(seed: int, *purpose: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator for one purpose of a seed, on a device."""
    return torch.Generator(device=device).manual_seed(derive(seed, *purpose))


@contextmanager
def scoped(seed: int) -> Iterator[None]:
    """Seed the global generators of Python, numpy and torch inside the block and restore them after it.

    Examples
    --------
    >>> before = torch.get_rng_state()
    >>> with scoped(0):
    ...     _ = torch.rand(3)
    >>> bool((before == torch.get_rng_state()).all())
    True
    """
    python, legacy = random.getstate(), np.random.get_state()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        try:
            random.seed(seed)
            np.random.seed(seed % 2**32)
            torch.manual_seed(seed)
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)
