"""The objects of the procedural set: which parts they have, and where each part lies.

A part is a function of the plane that is negative inside it, close to a distance near its border; x grows to the right,
y downwards, and every object fits in the square [-1, 1]. Only sums, products, quotients, roots and comparisons are
used: they are rounded the same way whatever the batch, so an image does not depend on its neighbors.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["ACCENTS", "JITTER", "OBJECTS", "Layer", "parts_of"]

#: Colors that belong to a part, whatever the color of the object: name -> red, green, blue in [0, 1].
ACCENTS = {
    "orange": (0.96, 0.56, 0.16),
    "white": (0.95, 0.94, 0.91),
    "brown": (0.47, 0.30, 0.18),
    "gray": (0.50, 0.56, 0.63),
    "black": (0.15, 0.15, 0.18),
}
#: Uniform numbers an object is varied by.
JITTER = 8


class Layer(NamedTuple):
    """One coat of paint, over what is below it.

    Attributes
    ----------
    part : str
    color : str
        A name of ``ACCENTS``; empty where the part has the object's own color.
    tone : float
        Factor of the color: parts of one color are told apart by it.
    inside : Tensor
        Negative inside the part.
    """

    part: str
    color: str
    tone: float
    inside: Tensor


def _between(low: float, high: float, share: Tensor) -> Tensor:
    return low + (high - low) * share


def _box(x: Tensor, y: Tensor, width: Tensor | float, height: Tensor | float) -> Tensor:
    """Half sides ``width`` and ``height``."""
    return torch.maximum(x.abs() - width, y.abs() - height)


def _rounded(x: Tensor, y: Tensor, width: Tensor | float, height: Tensor | float, radius: float) -> Tensor:
    right, down = x.abs() - (width - radius), y.abs() - (height - radius)
    outside = (right.clamp_min(0.0).square() + down.clamp_min(0.0).square()).sqrt()
    return outside + torch.maximum(right, down).clamp_max(0.0) - radius


def _circle(x: Tensor, y: Tensor, radius: Tensor | float) -> Tensor:
    return (x.square() + y.square()).sqrt() - radius


def _ellipse(x: Tensor, y: Tensor, a: Tensor | float, b: Tensor | float) -> Tensor:
    """Zero on the ellipse of half axes a and b; a distance to first order there."""
    right, down = x / a, y / b
    first = (right.square() + down.square()).sqrt()
    second = ((right / a).square() + (down / b).square()).sqrt()
    return first * (first - 1.0) / (second + 1e-6)


def _line(x: Tensor, y: Tensor, start: tuple[float, float], end: tuple[float, float], thickness: float) -> Tensor:
    """A segment with round ends."""
    right, down = end[0] - start[0], end[1] - start[1]
    along = ((x - start[0]) * right + (y - start[1]) * down) / (right * right + down * down)
    along = along.clamp(0.0, 1.0)
    return _circle(x - start[0] - along * right, y - start[1] - along * down, thickness)


def _wedge(
    x: Tensor, y: Tensor, top: Tensor | float, bottom: Tensor | float, above: Tensor | float, below: Tensor | float
) -> Tensor:
    """Between y = top and y = bottom, of half width ``above`` there and ``below`` here: triangle or trapezoid."""
    slope = (torch.as_tensor(below) - above) / (torch.as_tensor(bottom) - top)
    side = (x.abs() - above - (y - top) * slope) / (1.0 + slope * slope).sqrt()
    return torch.maximum(side, torch.maximum(top - y, y - bottom))


def _any(*parts: Tensor) -> Tensor:
    found = parts[0]
    for part in parts[1:]:
        found = torch.minimum(found, part)
    return found


def _all(*parts: Tensor) -> Tensor:
    found = parts[0]
    for part in parts[1:]:
        found = torch.maximum(found, part)
    return found


def _house(x: Tensor, y: Tensor, p: Sequence[Tensor]) -> list[Layer]:
    width, eave = _between(0.54, 0.74, p[0]), _between(-0.28, 0.02, p[1])
    peak, over = _between(-0.97, -0.78, p[2]), _between(0.10, 0.22, p[3])
    aside = _between(-0.18, 0.18, p[4])
    wall = _box(x, y - (eave + 0.92) / 2, width, (0.92 - eave) / 2)
    roof = _wedge(x, y, peak, eave, 0.0, width + over)
    chimney = _box(x - 0.36, y - (peak + eave) / 2, 0.10, (eave - peak) / 2)
    door = _box(x - aside, y - 0.65, 0.13, 0.28)
    side = width / 2 + 0.12
    height = (eave + 0.92) / 2 - 0.08
    left, right = x + side - aside / 3, x - side - aside / 3
    windows = _any(_box(left, y - height, 0.12, 0.13), _box(right, y - height, 0.12, 0.13))
    return [
        Layer("chimney", "brown", 1.0, chimney),
        Layer("wall", "", 1.0, wall),
        Layer("roof", "", 0.66, roof),
        Layer("door", "brown", 0.9, door),
        Layer("window", "gray", 1.0, windows),
    ]


def _tree(x: Tensor, y: Tensor, p: Sequence[Tensor]) -> list[Layer]:
    """Of two kinds: a round crown, or that of a conifer."""
    radius, wide = _between(0.44, 0.56, p[1]), _between(0.30, 0.42, p[2])
    ball = _any(
        _circle(x, y + 0.38, radius),
        _circle(x + _between(0.30, 0.46, p[3]), y - _between(-0.12, 0.06, p[4]), 0.40),
        _circle(x - _between(0.30, 0.46, p[5]), y - _between(-0.12, 0.06, p[6]), 0.40),
    )
    cone = _any(
        _wedge(x, y, -0.97, -0.42, 0.0, wide),
        _wedge(x, y, -0.74, 0.02, 0.0, wide + 0.16),
        _wedge(x, y, -0.42, 0.50, 0.0, wide + 0.30),
    )
    crown = torch.where(p[0] < 0.5, ball, cone)
    trunk = _wedge(x, y, 0.0, 0.95, _between(0.08, 0.12, p[7]), _between(0.12, 0.19, p[7]))
    return [Layer("trunk", "brown", 1.0, trunk), Layer("crown", "", 1.0, crown)]


def _car(x: Tensor, y: Tensor, p: Sequence[Tensor]) -> list[Layer]:
    top, back = _between(-0.62, -0.42, p[0]), _between(-0.22, 0.10, p[1])
    above, below = _between(0.30, 0.46, p[2]), _between(0.58, 0.70, p[3])
    body = _rounded(x, y - 0.22, 0.96, _between(0.25, 0.30, p[4]), 0.17)
    cabin = _wedge(x - back, y, top, 0.12, above, below)
    glass = _wedge(x - back, y, top + 0.11, -0.06, above - 0.05, above + 0.10)
    windows = torch.maximum(glass, 0.05 - (x - back).abs())
    radius, apart = _between(0.20, 0.26, p[5]), _between(0.48, 0.58, p[6])
    right = x.abs() - apart
    return [
        Layer("body", "", 1.0, torch.minimum(body, cabin)),
        Layer("window", "gray", 1.15, windows),
        Layer("wheel", "black", 1.0, _circle(right, y - 0.46, radius)),
        Layer("wheel", "gray", 1.3, _circle(right, y - 0.46, radius * 0.42)),
    ]


def _fish(x: Tensor, y: Tensor, p: Sequence[Tensor]) -> list[Layer]:
    length, height = _between(0.62, 0.72, p[0]), _between(0.32, 0.48, p[1])
    body = _ellipse(x - 0.24, y, length, height)
    spread, notch = _between(0.45, 0.70, p[2]), _between(0.12, 0.30, p[3])
    tail = _all((y.abs() - (-0.26 - x) * spread - 0.02) / 1.15, -0.97 - x, -(x + 0.97 - (notch - y.abs() * 0.55)))
    fin = _all(_ellipse(x - 0.10, y + height * 0.85, 0.36, _between(0.22, 0.34, p[4])), y)
    below = _all(_ellipse(x - 0.14, y - height * 0.9, 0.20, 0.20), -y)
    eye = _between(0.50, 0.60, p[5])
    return [
        Layer("tail", "", 0.72, tail),
        Layer("fin", "", 0.60, torch.minimum(fin, below)),
        Layer("body", "", 1.0, body),
        Layer("eye", "white", 1.0, _circle(x - eye, y + 0.10, 0.115)),
        Layer("eye", "black", 1.0, _circle(x - eye - 0.02, y + 0.10, 0.06)),
    ]


def _cup(x: Tensor, y: Tensor, p: Sequence[Tensor]) -> list[Layer]:
    above, below = _between(0.52, 0.64, p[0]), _between(0.30, 0.54, p[1])
    top, mouth = _between(-0.72, -0.45, p[2]), _between(0.10, 0.17, p[3])
    left = x + 0.14
    bowl = _any(_wedge(left, y, top, 0.62, above, below), _ellipse(left, y - 0.60, below, 0.12))
    middle = (top + 0.50) / 2
    ring = _circle(x - above + 0.16, (y - middle) * 0.92, _between(0.27, 0.34, p[4]))
    handle = ring.abs() - 0.075
    saucer = _ellipse(left, y - 0.72, _between(0.72, 0.84, p[5]), 0.15)
    return [
        Layer("saucer", "white", 1.0, saucer),
        Layer("handle", "", 0.74, handle),
        Layer("bowl", "", 1.0, bowl),
        Layer("rim", "", 0.86, _ellipse(left, y - top, above, mouth)),
        Layer("rim", "brown", 0.8, _ellipse(left, y - top, above - 0.10, mouth - 0.055)),
    ]


def _umbrella(x: Tensor, y: Tensor, p: Sequence[Tensor]) -> list[Layer]:
    wide, high = _between(0.84, 0.96, p[0]), _between(0.66, 0.88, p[1])
    waves = x / wide * 2.0
    part = waves - waves.floor()
    scallop = _between(0.10, 0.18, p[2]) * 4.0 * part * (1.0 - part)
    dome = _ellipse(x, y, wide, high)
    canopy = torch.maximum(dome, (y + scallop - 0.06) * 0.85)
    # The middle panel narrows towards the top as a meridian does.
    meridian = (1.0 - (y / high).square()).clamp_min(0.0).sqrt() * wide
    panel = torch.maximum(canopy, x.abs() - _between(0.36, 0.5, p[3]) * meridian)
    end = _between(0.62, 0.74, p[4])
    shaft = _box(x, y - (end - 0.97) / 2, 0.055, (end + 0.97) / 2)
    hook = torch.maximum(_circle(x - 0.15, y - end, 0.15).abs() - 0.07, end - y)
    return [
        Layer("shaft", "gray", 1.0, shaft),
        Layer("handle", "brown", 1.0, hook),
        Layer("canopy", "", 0.74, canopy),
        Layer("canopy", "", 1.0, panel),
    ]


def _mushroom(x: Tensor, y: Tensor, p: Sequence[Tensor]) -> list[Layer]:
    wide, high = _between(0.62, 0.95, p[0]), _between(0.62, 0.95, p[1])
    base, thick = _between(-0.05, 0.16, p[2]), _between(0.15, 0.26, p[3])
    stem = _any(
        _wedge(x, y, base, 0.85, thick * 0.85, thick * _between(1.0, 1.35, p[4])),
        _ellipse(x, y - 0.80, thick * 1.35, 0.15),
    )
    cap = torch.maximum(_ellipse(x, y - base, wide, high), y - base)
    gill = _ellipse(x, y - base, wide, _between(0.12, 0.20, p[5]))
    ring = _ellipse(x, y - base - 0.30, thick * 1.35, 0.07)
    return [
        Layer("stem", "white", 1.0, stem),
        Layer("ring", "white", 0.82, ring),
        Layer("gill", "", 0.55, gill),
        Layer("cap", "", 1.0, cap),
    ]


def _sailboat(x: Tensor, y: Tensor, p: Sequence[Tensor]) -> list[Layer]:
    deck, foot = _between(0.40, 0.52, p[0]), _between(0.26, 0.36, p[0])
    hull = _wedge(x, y, deck, 0.90, _between(0.80, 0.95, p[1]), _between(0.42, 0.62, p[2]))
    mast = _box(x + 0.08, y - (deck - 0.96) / 2, 0.045, (deck + 0.96) / 2)
    long, short = _between(0.55, 0.85, p[3]), _between(0.42, 0.66, p[4])
    top, lower = _between(-0.95, -0.80, p[5]), _between(-0.75, -0.45, p[6])
    right, left = x - 0.0, -0.16 - x
    main = _all(-right, y - foot, (right * (foot - top) - (y - top) * long) / _norm(foot - top, long))
    jib = _all(-left, y - foot, (left * (foot - lower) - (y - lower) * short) / _norm(foot - lower, short))
    return [
        Layer("mast", "brown", 0.8, mast),
        Layer("hull", "brown", 1.15, hull),
        Layer("sail", "", 1.0, main),
        Layer("sail", "", 0.76, jib),
    ]


def _norm(one: Tensor, other: Tensor) -> Tensor:
    return (one.square() + other.square()).sqrt()


def _butterfly(x: Tensor, y: Tensor, p: Sequence[Tensor]) -> list[Layer]:
    side = x.abs()
    right, down = side - _between(0.44, 0.50, p[0]), y + _between(0.28, 0.40, p[1])
    upper = _ellipse(0.8 * right - 0.6 * down, 0.6 * right + 0.8 * down, _between(0.46, 0.54, p[2]), 0.34)
    right, down = side - _between(0.34, 0.42, p[3]), y - _between(0.36, 0.46, p[4])
    lower = _ellipse(0.8 * right + 0.6 * down, 0.8 * down - 0.6 * right, _between(0.34, 0.44, p[5]), 0.28)
    spot = _circle(side - 0.56, y + 0.38, _between(0.10, 0.17, p[6]))
    feeler = _line(side, y, (0.03, -0.42), (0.26, -0.90), 0.045)
    return [
        Layer("antenna", "black", 1.0, feeler),
        Layer("wing", "", 0.70, lower),
        Layer("wing", "", 1.0, upper),
        Layer("wing", "", 0.55, spot),
        Layer("body", "black", 1.0, _ellipse(x, y - 0.02, 0.095, _between(0.50, 0.60, p[7]))),
    ]


def _rocket(x: Tensor, y: Tensor, p: Sequence[Tensor]) -> list[Layer]:
    wide, reach = _between(0.33, 0.44, p[0]), _between(0.54, 0.74, p[1])
    radius = (0.94 + wide.square()) / (2.0 * wide)
    hull = torch.maximum(_circle(x.abs() + radius - wide, y + 0.0, radius), y - 0.60)
    start = _between(0.0, 0.24, p[2])
    slope = (reach - wide * 0.6) / (0.78 - start)
    fin = _all(start - y, y - 0.78, (x.abs() - wide * 0.6 - (y - start) * slope) / (1.0 + slope * slope).sqrt())
    fin = torch.maximum(fin, (0.60 - y - x.abs()) * 0.7)
    flame = _wedge(x, y, 0.55, _between(0.88, 0.98, p[3]), wide * 0.62, 0.0)
    nose = torch.maximum(hull, y + _between(0.38, 0.52, p[4]))
    window = _circle(x, y + _between(0.02, 0.16, p[5]), _between(0.12, 0.16, p[6]))
    return [
        Layer("fin", "", 0.66, fin),
        Layer("flame", "orange", 1.0, flame),
        Layer("fuselage", "", 1.0, hull),
        Layer("nose", "", 0.66, nose),
        Layer("window", "white", 1.0, window),
        Layer("window", "gray", 1.0, window + 0.05),
    ]


#: The objects in the order of their labels: a name of WordNet -> its parts as (x, y, JITTER uniform numbers) sees them.
OBJECTS: dict[str, Callable[[Tensor, Tensor, Sequence[Tensor]], list[Layer]]] = {
    "house": _house,
    "tree": _tree,
    "car": _car,
    "fish": _fish,
    "cup": _cup,
    "umbrella": _umbrella,
    "mushroom": _mushroom,
    "sailboat": _sailboat,
    "butterfly": _butterfly,
    "rocket": _rocket,
}


@cache
def parts_of(name: str) -> tuple[tuple[str, str], ...]:
    """The layers of an object as (part, color), the color empty for its own."""
    point = torch.zeros(1, 1, 1)
    return tuple((one.part, one.color) for one in OBJECTS[name](point, point, [point + 0.5] * JITTER))
