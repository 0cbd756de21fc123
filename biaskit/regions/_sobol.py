"""Scrambled Sobol points, which fill a cube more evenly than random ones."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["sobol"]


def sobol(count: int, dimensions: int, seed: int) -> Tensor:
    """So many points (count, dimensions) of the unit cube; the same seed, the same points.

    Examples
    --------
    >>> points = sobol(64, 2, 0)
    >>> points.shape, bool(((points.mean(0) - 0.5).abs() < 0.02).all())
    (torch.Size([64, 2]), True)
    """
    engine: Any = torch.quasirandom.SobolEngine
    points: Tensor = engine(dimensions, scramble=True, seed=seed).draw(count)
    return points
