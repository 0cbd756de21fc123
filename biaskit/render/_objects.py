"""Ten kinds of objects as signed distances: negative inside, and outside at most the way to the surface.

An object stands upright (y is up), its longest side is about 1, and four numbers in [-1, 1] change its proportions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

__all__ = ["JITTER", "OBJECTS", "ROUND"]

#: Numbers that make one instance of a kind different from the next.
JITTER = 4
#: Kinds that look the same from every azimuth.
ROUND = ("bottle", "cone", "doughnut", "vase")

Length = float | Tensor
#: (points (M, 3), jitter (M, 4)) -> signed distances (M,)
Solid = Callable[[Tensor, Tensor], Tensor]


def _vary(jitter: Tensor, place: int, middle: float, share: float = 0.2) -> Tensor:
    """A length of its own for every instance: the middle, and up to a share more or less."""
    return middle * (1.0 + share * jitter[:, place])


def _box(p: Tensor, center: tuple[Length, Length, Length], half: tuple[Length, Length, Length]) -> Tensor:
    """A box with edges that are a little rounded, so that every point of its surface has a normal."""
    rounding = 0.008
    q = torch.stack([(p[:, axis] - center[axis]).abs() - half[axis] + rounding for axis in range(3)], dim=1)
    outside = q.clamp_min(0.0).square().sum(1).clamp_min(1e-12).sqrt()
    return outside + q.amax(1).clamp_max(0.0) - rounding


def _frustum(p: Tensor, low: Length, high: Length, below: Length, above: Length, x: Length = 0.0) -> Tensor:
    """A cone cut off, round about y: radius ``below`` at y = ``low`` and ``above`` at y = ``high``."""
    half = (high - low) / 2
    y = p[:, 1] - (high + low) / 2
    r = ((p[:, 0] - x).square() + p[:, 2].square()).clamp_min(1e-12).sqrt()
    # Distance to the caps, then to the slanted side; the nearer of the two counts.
    cap_r = torch.where(y < 0, torch.as_tensor(below, dtype=p.dtype), torch.as_tensor(above, dtype=p.dtype))
    to_cap = torch.stack([(r - cap_r).clamp_min(0.0), y.abs() - half], dim=1)
    ends = (torch.as_tensor(one, dtype=p.dtype, device=p.device) for one in (above - below, 2 * half))
    slope = torch.stack([one.expand_as(y) for one in ends], dim=1)
    away = torch.stack([above - r, half - y], dim=1)
    part = ((away * slope).sum(1) / slope.square().sum(1).clamp_min(1e-12)).clamp(0.0, 1.0)
    to_side = torch.stack([r - above, y - half], dim=1) + slope * part[:, None]
    inside = (to_side[:, 0] < 0) & (to_cap[:, 1] < 0)
    nearest = torch.minimum(to_cap.square().sum(1), to_side.square().sum(1)).clamp_min(1e-12).sqrt()
    return torch.where(inside, -nearest, nearest)


def _ring(p: Tensor, center: tuple[Length, Length, Length], large: Length, small: Length, axis: int) -> Tensor:
    """A torus about one axis."""
    q = [p[:, one] - center[one] for one in range(3)]
    along = q.pop(axis)
    around = (q[0].square() + q[1].square()).clamp_min(1e-12).sqrt() - large
    return (around.square() + along.square()).clamp_min(1e-12).sqrt() - small


def _egg(p: Tensor, center: tuple[Length, Length, Length], half: tuple[Length, Length, Length]) -> Tensor:
    """An ellipsoid; the distance is a bound."""
    q = torch.stack([(p[:, axis] - center[axis]) / half[axis] for axis in range(3)], dim=1)
    steep = torch.stack([(p[:, axis] - center[axis]) / (half[axis] * half[axis]) for axis in range(3)], dim=1)
    k0 = q.square().sum(1).clamp_min(1e-12).sqrt()
    return k0 * (k0 - 1.0) / steep.square().sum(1).clamp_min(1e-12).sqrt()


def _union(*parts: Tensor) -> Tensor:
    return torch.stack(parts).amin(0)


def _legs(p: Tensor, x: Length, z: Length, top: Length, bottom: Length, half: float) -> Tensor:
    """Four legs at once: the object is the same on both sides of x = 0 and of z = 0."""
    folded = torch.stack([p[:, 0].abs(), p[:, 1], p[:, 2].abs()], dim=1)
    return _box(folded, (x, (top + bottom) / 2, z), (half, (top - bottom) / 2, half))


def _airplane(p: Tensor, j: Tensor) -> Tensor:
    body, span = _vary(j, 0, 0.075), _vary(j, 1, 0.42, 0.12)
    return _union(
        _egg(p, (0.0, 0.0, 0.0), (0.5, body, body)),
        _box(p, (0.06, 0.0, 0.0), (_vary(j, 2, 0.085), 0.016, span)),
        _box(p, (-0.42, 0.02, 0.0), (0.05, 0.014, span * 0.4)),
        _box(p, (-0.43, _vary(j, 3, 0.1), 0.0), (0.055, 0.1, 0.014)),
    )


def _bench(p: Tensor, j: Tensor) -> Tensor:
    deep, tall = _vary(j, 0, 0.17), _vary(j, 1, 0.14)
    folded = torch.stack([p[:, 0].abs(), p[:, 1], p[:, 2]], dim=1)
    return _union(
        _box(p, (0.0, 0.0, 0.0), (0.5, 0.028, deep)),
        _box(p, (0.0, 0.06 + tall, -deep), (0.5, tall, 0.024)),
        _box(folded, (_vary(j, 2, 0.4, 0.1), -0.14, 0.0), (0.03, 0.14, deep * 0.9)),
    )


def _bottle(p: Tensor, j: Tensor) -> Tensor:
    wide, neck, shoulder = _vary(j, 0, 0.15), _vary(j, 1, 0.05), _vary(j, 2, 0.1)
    return _union(
        _frustum(p, -0.5, shoulder, wide, wide),
        _frustum(p, shoulder, shoulder + 0.16, wide, neck),
        _frustum(p, shoulder + 0.16, 0.5, neck, neck),
        _frustum(p, 0.42, 0.5, neck * 1.3, neck * 1.3),
    )


def _chair(p: Tensor, j: Tensor) -> Tensor:
    wide, deep, tall = _vary(j, 0, 0.21), _vary(j, 1, 0.21), _vary(j, 2, 0.24)
    return _union(
        _box(p, (0.0, 0.0, 0.0), (wide, 0.024, deep)),
        _box(p, (0.0, tall, -deep + 0.02), (wide, tall, 0.02)),
        _legs(p, wide - 0.025, deep - 0.025, 0.0, -0.42 * (1 + 0.1 * j[:, 3]), 0.022),
    )


def _cone(p: Tensor, j: Tensor) -> Tensor:
    return _frustum(p, -0.45, 0.5 + 0.05 * j[:, 1], _vary(j, 0, 0.34), 0.01 + 0.0 * j[:, 0])


def _cube(p: Tensor, j: Tensor) -> Tensor:
    half = _vary(j, 0, 0.3, 0.15)
    return _box(p, (0.0, 0.0, 0.0), (half, half, half))


def _cup(p: Tensor, j: Tensor) -> Tensor:
    wide, tall, taper = _vary(j, 0, 0.25, 0.15), _vary(j, 1, 0.27), 0.85 + 0.1 * j[:, 2]
    wall = 0.035
    solid = _frustum(p, -tall, tall, wide * taper, wide)
    hollow = _frustum(p, -tall + 2 * wall, tall + 0.2, (wide - wall) * taper, wide - wall)
    handle = _ring(p, (wide, 0.0, 0.0), _vary(j, 3, 0.14), 0.03, axis=2)
    return _union(torch.maximum(solid, -hollow), torch.maximum(handle, -solid))


def _doughnut(p: Tensor, j: Tensor) -> Tensor:
    return _ring(p, (0.0, 0.0, 0.0), _vary(j, 0, 0.32, 0.1), _vary(j, 1, 0.13), axis=1)


def _table(p: Tensor, j: Tensor) -> Tensor:
    deep = _vary(j, 0, 0.3)
    top = _vary(j, 1, 0.22)
    return _union(
        _box(p, (0.0, top, 0.0), (0.5, 0.026, deep)),
        _legs(p, 0.44 + 0.03 * j[:, 2], deep - 0.05, top, -0.32 + 0.0 * top, 0.026),
    )


def _vase(p: Tensor, j: Tensor) -> Tensor:
    foot, belly, neck = _vary(j, 0, 0.14), _vary(j, 1, 0.27), _vary(j, 2, 0.09)
    middle = -0.12 + 0.06 * j[:, 3]
    return _union(
        _frustum(p, -0.5, middle, foot, belly),
        _frustum(p, middle, 0.22, belly, neck),
        _frustum(p, 0.22, 0.5, neck, neck * 1.9),
    )


#: Name, a noun of WordNet, to its solid.
OBJECTS: Mapping[str, Solid] = {
    "airplane": _airplane,
    "bench": _bench,
    "bottle": _bottle,
    "chair": _chair,
    "cone": _cone,
    "cube": _cube,
    "cup": _cup,
    "doughnut": _doughnut,
    "table": _table,
    "vase": _vase,
}
