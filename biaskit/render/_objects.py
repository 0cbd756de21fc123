"""Ten kinds of objects as signed distances: negative inside, and outside at most the way to the surface.

An object stands upright (y is up), its longest side is about 1, and four numbers in [-1, 1] change its proportions.
All parts of one sort are looked at in one go: axis-parallel boxes together, and a turned body by all edges of its
profile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["JITTER", "OBJECTS", "ROUND", "Solid"]

#: Numbers that make one instance of a kind different from the next.
JITTER = 4
#: Kinds that look the same from every azimuth.
ROUND = ("bottle", "cone", "doughnut", "vase")

Length = float | Tensor
Place = tuple[Length, Length, Length]
#: Edges of boxes are a little rounded, so that every point of their surface has a normal.
_ROUNDING = 0.008


@dataclass(frozen=True)
class Solid:
    """One kind of object.

    Attributes
    ----------
    lengths : callable
        Jitter (B, 4) -> what distances are computed from (C, B), once per object.
    distance : callable
        Points (3, S, M) and lengths (C, M) -> signed distances (S, M): S points of each of M rays.
    low, high : tuple of float
        Corners of an upright box that no instance leaves.
    core : float
        So far below its surface the thinnest part of the object is still there.
    """

    lengths: Callable[[Tensor], Tensor]
    distance: Callable[[Tensor, Tensor], Tensor]
    low: tuple[float, float, float]
    high: tuple[float, float, float]
    core: float


def _vary(jitter: Tensor, place: int, middle: float, share: float = 0.2) -> Tensor:
    """A length of its own for every instance: the middle, and up to a share more or less."""
    return middle * (1.0 + share * jitter[:, place])


def _rows(jitter: Tensor, values: list[Length]) -> Tensor:
    """Lengths (C, B), one of its own per instance or the same for all."""
    return torch.stack([jitter[:, 0] * 0.0 + one for one in values])


def _boxes(jitter: Tensor, *boxes: tuple[Place, Place]) -> Tensor:
    """Centers and half sides (6 K, B) of boxes, in the order in which :func:`_to_boxes` reads them."""
    centers = [box[0][axis] for axis in range(3) for box in boxes]
    return _rows(jitter, [*centers, *(box[1][axis] - _ROUNDING for axis in range(3) for box in boxes)])


def _to_boxes(p: Tensor, lengths: Tensor) -> Tensor:
    """To the nearest of some boxes."""
    center, half = lengths.view(2, 3, -1, 1, lengths.shape[1])
    q = (p[:, None] - center).abs() - half
    outside = q.clamp_min(0.0).square().sum(0).clamp_min(1e-12).sqrt()
    nearest: Tensor = (outside + q.amax(0).clamp_max(0.0)).amin(0)
    return nearest - _ROUNDING


def _profile(jitter: Tensor, *corners: tuple[Length, Length]) -> Tensor:
    """The edges (6 K, B) of a profile: a line of corners (radius, height) that begins and ends on the axis."""
    at = torch.stack([_rows(jitter, list(corner)) for corner in corners])
    start, way = at[:-1], at[1:] - at[:-1]
    inverse = 1.0 / way.square().sum(1).clamp_min(1e-12)
    level = way[:, 1].abs() < 1e-9
    slope = torch.where(level, 0.0, way[:, 0] / torch.where(level, 1.0, way[:, 1]))
    return torch.cat([start[:, 0], start[:, 1], way[:, 0], way[:, 1], inverse, slope])


def _around(p: Tensor) -> Tensor:
    """How far from the axis."""
    return (p[0].square() + p[2].square()).clamp_min(1e-12).sqrt()


def _to_lathe(r: Tensor, y: Tensor, lengths: Tensor) -> Tensor:
    """To a body turned about y, by the nearest edge of its profile."""
    r0, y0, dr, dy, inverse, slope = lengths.view(6, -1, 1, lengths.shape[1])
    u, v = r - r0, y - y0
    part = (torch.addcmul(u * dr, v, dy) * inverse).clamp(0.0, 1.0)
    across, along = torch.addcmul(u, part, dr, value=-1.0), torch.addcmul(v, part, dy, value=-1.0)
    nearest = torch.addcmul(across.square(), along, along).amin(0).clamp_min(1e-12).sqrt()
    # Inside, a line outwards crosses the profile once, or once more than it comes back.
    crossed = ((v >= 0) ^ (v >= dy)) & (u < v * slope)
    odd = crossed[0]
    for one in crossed[1:]:
        odd = odd ^ one
    return torch.where(odd, -nearest, nearest)


def _to_ring(p: Tensor, axis: int, x: Length, large: Length, small: Length) -> Tensor:
    """To a torus about one axis, moved along x."""
    q = [p[0] - x, p[1], p[2]]
    along = q.pop(axis)
    around = (q[0].square() + q[1].square()).clamp_min(1e-12).sqrt() - large
    return (around.square() + along.square()).clamp_min(1e-12).sqrt() - small


def _to_egg(p: Tensor, half: Tensor) -> Tensor:
    """To an ellipsoid (half axes (3, M)); the distance is a bound."""
    q = p / half[:, None]
    k0 = q.square().sum(0).clamp_min(1e-12).sqrt()
    steep = (q / half[:, None]).square().sum(0).clamp_min(1e-12).sqrt()
    return k0 * (k0 - 1.0) / steep


def _to_turned(p: Tensor, lengths: Tensor) -> Tensor:
    return _to_lathe(_around(p), p[1], lengths)


def _airplane(j: Tensor) -> Tensor:
    body, span = _vary(j, 0, 0.075), _vary(j, 1, 0.42, 0.12)
    parts = _boxes(
        j,
        ((0.06, 0.0, 0.0), (_vary(j, 2, 0.085), 0.016, span)),
        ((-0.42, 0.02, 0.0), (0.05, 0.014, span * 0.4)),
        ((-0.43, _vary(j, 3, 0.1), 0.0), (0.055, 0.1, 0.014)),
    )
    return torch.cat([_rows(j, [0.5, body, body]), parts])


def _to_airplane(p: Tensor, lengths: Tensor) -> Tensor:
    return torch.minimum(_to_egg(p, lengths[:3]), _to_boxes(p, lengths[3:]))


def _bench(j: Tensor) -> Tensor:
    deep, tall = _vary(j, 0, 0.17), _vary(j, 1, 0.14)
    return _boxes(
        j,
        ((0.0, 0.0, 0.0), (0.5, 0.028, deep)),
        ((0.0, 0.06 + tall, -deep), (0.5, tall, 0.024)),
        ((_vary(j, 2, 0.4, 0.1), -0.14, 0.0), (0.03, 0.14, deep * 0.9)),
    )


def _bottle(j: Tensor) -> Tensor:
    wide, neck, shoulder = _vary(j, 0, 0.15), _vary(j, 1, 0.05), _vary(j, 2, 0.1)
    body = ((0.0, -0.5), (wide, -0.5), (wide, shoulder), (neck, shoulder + 0.16))
    return _profile(j, *body, (neck, 0.42), (neck * 1.3, 0.42), (neck * 1.3, 0.5), (0.0, 0.5))


def _chair(j: Tensor) -> Tensor:
    wide, deep, tall = _vary(j, 0, 0.21), _vary(j, 1, 0.21), _vary(j, 2, 0.24)
    leg = 0.21 * (1 + 0.1 * j[:, 3])
    return _boxes(
        j,
        ((0.0, 0.0, 0.0), (wide, 0.024, deep)),
        ((0.0, tall, -deep + 0.02), (wide, tall, 0.02)),
        ((wide - 0.025, -leg, deep - 0.025), (0.022, leg, 0.022)),
        ((wide - 0.025, -leg, 0.025 - deep), (0.022, leg, 0.022)),
    )


def _cone(j: Tensor) -> Tensor:
    top = 0.5 + 0.05 * j[:, 1]
    return _profile(j, (0.0, -0.45), (_vary(j, 0, 0.34), -0.45), (0.01, top), (0.0, top))


def _cube(j: Tensor) -> Tensor:
    half = _vary(j, 0, 0.3, 0.15)
    return _boxes(j, ((0.0, 0.0, 0.0), (half, half, half)))


def _cup(j: Tensor) -> Tensor:
    wide, tall, taper = _vary(j, 0, 0.25, 0.15), _vary(j, 1, 0.27), 0.85 + 0.1 * j[:, 2]
    wall = 0.035
    # The hollow narrows as the outside does, a little more slowly, and ends above the brim.
    low, high = -tall + 2 * wall, tall + 0.2
    brim = (wide - wall) * (taper + (1 - taper) * (tall - low) / (high - low))
    outside = ((0.0, -tall), (wide * taper, -tall), (wide, tall))
    profile = _profile(j, *outside, (brim, tall), ((wide - wall) * taper, low), (0.0, low))
    return torch.cat([_rows(j, [wide, _vary(j, 3, 0.14)]), profile])


def _to_cup(p: Tensor, lengths: Tensor) -> Tensor:
    r, profile = _around(p), lengths[2:]
    handle = _to_ring(p, 2, lengths[0], lengths[1], 0.03)
    # The handle ends at the wall: what it has within the outside, which is the second edge, is cut off.
    r0, y0, dr, dy, inverse, _ = profile.view(6, -1, profile.shape[1])[:, 1]
    within = ((p[1] - y0) * dr - (r - r0) * dy) * inverse.sqrt()
    return torch.minimum(_to_lathe(r, p[1], profile), torch.maximum(handle, within))


def _doughnut(j: Tensor) -> Tensor:
    return _rows(j, [_vary(j, 0, 0.32, 0.1), _vary(j, 1, 0.13)])


def _table(j: Tensor) -> Tensor:
    deep, top = _vary(j, 0, 0.3), _vary(j, 1, 0.22)
    return _boxes(
        j,
        ((0.0, top, 0.0), (0.5, 0.026, deep)),
        ((0.44 + 0.03 * j[:, 2], (top - 0.32) / 2, deep - 0.05), (0.026, (top + 0.32) / 2, 0.026)),
    )


def _vase(j: Tensor) -> Tensor:
    foot, belly, neck = _vary(j, 0, 0.14), _vary(j, 1, 0.27), _vary(j, 2, 0.09)
    middle = -0.12 + 0.06 * j[:, 3]
    return _profile(j, (0.0, -0.5), (foot, -0.5), (belly, middle), (neck, 0.22), (neck * 1.9, 0.5), (0.0, 0.5))


def _to_furniture(p: Tensor, lengths: Tensor) -> Tensor:
    """To boxes that stand on both sides of x = 0."""
    return _to_boxes(torch.stack([p[0].abs(), p[1], p[2]]), lengths)


def _to_table(p: Tensor, lengths: Tensor) -> Tensor:
    return _to_boxes(torch.stack([p[0].abs(), p[1], p[2].abs()]), lengths)


def _to_doughnut(p: Tensor, lengths: Tensor) -> Tensor:
    return _to_ring(p, 1, 0.0, lengths[0], lengths[1])


#: Name, a noun of WordNet, to its solid.
OBJECTS: Mapping[str, Solid] = {
    "airplane": Solid(_airplane, _to_airplane, (-0.5, -0.1, -0.48), (0.5, 0.22, 0.48), 0.008),
    "bench": Solid(_bench, _to_furniture, (-0.5, -0.28, -0.23), (0.5, 0.4, 0.21), 0.014),
    "bottle": Solid(_bottle, _to_turned, (-0.18, -0.5, -0.18), (0.18, 0.5, 0.18), 0.024),
    "chair": Solid(_chair, _to_furniture, (-0.26, -0.47, -0.26), (0.26, 0.58, 0.26), 0.012),
    "cone": Solid(_cone, _to_turned, (-0.41, -0.45, -0.41), (0.41, 0.55, 0.41), 0.1),
    "cube": Solid(_cube, _to_boxes, (-0.35, -0.35, -0.35), (0.35, 0.35, 0.35), 0.1),
    "cup": Solid(_cup, _to_cup, (-0.29, -0.33, -0.29), (0.49, 0.33, 0.29), 0.01),
    "doughnut": Solid(_doughnut, _to_doughnut, (-0.51, -0.16, -0.51), (0.51, 0.16, 0.51), 0.06),
    "table": Solid(_table, _to_table, (-0.5, -0.32, -0.37), (0.5, 0.3, 0.37), 0.015),
    "vase": Solid(_vase, _to_turned, (-0.33, -0.5, -0.33), (0.33, 0.5, 0.33), 0.04),
}
