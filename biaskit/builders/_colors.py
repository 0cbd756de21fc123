"""Names of colors and their red, green and blue in [0, 1]."""

from __future__ import annotations

import torch
from torch import Tensor

from biaskit.errors import SpecError, nearest

__all__ = ["COLORS", "palette"]

COLORS = {
    "red": (1.0, 0.0, 0.0),
    "green": (0.0, 1.0, 0.0),
    "blue": (0.0, 0.0, 1.0),
    "yellow": (1.0, 1.0, 0.0),
    "magenta": (1.0, 0.0, 1.0),
    "cyan": (0.0, 1.0, 1.0),
    "orange": (1.0, 0.5, 0.0),
    "purple": (0.5, 0.0, 1.0),
    "lime": (0.5, 1.0, 0.0),
    "pink": (1.0, 0.5, 0.75),
    "brown": (0.6, 0.3, 0.1),
    "white": (1.0, 1.0, 1.0),
    "gray": (0.5, 0.5, 0.5),
    "black": (0.0, 0.0, 0.0),
}


def palette(names: tuple[str, ...]) -> Tensor:
    """Colors by name or as ``#rrggbb``: float tensor (len(names), 3).

    Examples
    --------
    >>> palette(("red", "#0000ff")).tolist()
    [[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]
    """
    return torch.tensor([_color(name) for name in names])


def _color(name: str) -> tuple[float, ...]:
    if name in COLORS:
        return COLORS[name]
    digits = name.removeprefix("#")
    if name.startswith("#") and len(digits) == 6 and all(c in "0123456789abcdefABCDEF" for c in digits):
        return tuple(int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4))
    close = nearest(name, COLORS)
    raise SpecError(f"no color {name!r}; write #rrggbb or one of {', '.join(close or COLORS)}")
