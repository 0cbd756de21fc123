"""Rays through pixels, marched to the surface by signed distances; shading and coverage, differentiable in the pose."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from biaskit.errors import DataError
from biaskit.render._objects import JITTER, OBJECTS, Solid

__all__ = ["render"]

#: Distance of the camera from the origin and half of its view angle; an object of size 1 fills two thirds of the image.
DISTANCE, HALF_ANGLE = 2.732, 15.0
#: No object reaches further from the origin.
REACH = 0.85
#: Steps of a ray, and how near to the surface it stops, as a share of the way from no cover to whole.
STEPS, NEAR = 32, 0.05
#: Rays marched together: their numbers stay in the cache.
TOGETHER = 2**17
#: A normal is read from the distances this far around a point.
_AROUND = 2e-3


def render(kinds: Sequence[str], jitter: Tensor, azimuth: Tensor, elevation: Tensor, *, size: int) -> Tensor:
    """Objects seen from poses: white, before black, lit from above.

    The camera stands at ``d (cos e sin a, sin e, -cos e cos a)``, looks at the origin and sees 30 degrees; brightness
    is ``0.5 + 0.5 max(0, n . up)``. A pixel is covered by as much as its ray is nearer to the object than its own
    width, which smooths contours and lets the gradient in azimuth and elevation pass through shading and contour alike.

    Parameters
    ----------
    kinds : sequence of str, length B
        Keys of :data:`biaskit.render.OBJECTS`.
    jitter : Tensor (B, 4)
        Proportions, each in [-1, 1].
    azimuth, elevation : Tensor (B,), degrees
    size : int
        Side of the images, in pixels.

    Returns
    -------
    Tensor (B, 3, size, size)
        In [0, 1]; NaN where the pose is not a number.

    Raises
    ------
    DataError
        A kind that does not exist, or numbers that do not fit.

    References
    ----------
    Camera and light as in the renderings of Hamdi & Ghanem, ECCV 2020. Hart, Sphere tracing, The Visual Computer
    12:527, 1996.
    """
    count = len(kinds)
    if jitter.shape != (count, JITTER) or azimuth.shape != (count,) or elevation.shape != (count,):
        raise DataError(
            f"{count} objects need {count} poses and ({count}, {JITTER}) proportions; got {tuple(azimuth.shape)}, "
            f"{tuple(elevation.shape)} and {tuple(jitter.shape)}"
        )
    unknown = next((one for one in kinds if one not in OBJECTS), None)
    if unknown is not None:
        raise DataError(f"no object {unknown!r}; there are {', '.join(OBJECTS)}")
    # Objects of one kind stand side by side, and as many are seen together as stay in the cache.
    order = sorted(range(count), key=lambda place: kinds[place])
    parts = [azimuth.new_empty(0, size, size)]
    each = max(1, TOGETHER // size**2)
    for start in range(0, count, each):
        some = order[start : start + each]
        rows = torch.tensor(some, device=azimuth.device)
        scene = _scene([kinds[place] for place in some], jitter[rows])
        parts.append(_seen(scene, azimuth[rows], elevation[rows], size))
    gray = torch.cat(parts)[torch.argsort(torch.tensor(order, device=azimuth.device))] if count else parts[0]
    # A pose that is not a number is not a black image.
    known = (azimuth + elevation + jitter.sum(1)).isfinite()
    gray = torch.where(known[:, None, None], gray, torch.nan)
    return gray[:, None].expand(-1, 3, -1, -1)


@dataclass(frozen=True, eq=False)
class _Scene:
    """Objects, or the rays that look at them, side by side by kind.

    Attributes
    ----------
    solids : list of Solid
        The kinds.
    lengths : list of Tensor (C, M)
        Of each kind, a column per object or ray.
    around : Tensor (7, M)
        The corners of the box around each object, and its core.
    """

    solids: list[Solid]
    lengths: list[Tensor]
    around: Tensor

    def distance(self, points: Tensor) -> Tensor:
        """Signed distances (S, M) of points (3, S, M)."""
        if not self.solids:
            return points.new_zeros(points.shape[1:])
        sides = torch.split(points, [own.shape[1] for own in self.lengths], dim=2)
        own = zip(self.solids, sides, self.lengths, strict=True)
        return torch.cat([solid.distance(side, lengths) for solid, side, lengths in own], dim=1)

    def pick(self, columns: Tensor) -> _Scene:
        """The same with these columns, in rising order."""
        counts = torch.tensor([0, *(own.shape[1] for own in self.lengths)], device=columns.device)
        first = counts.cumsum(0)
        ends = torch.searchsorted(columns, first).tolist()
        found = [
            (solid, _pick(own, columns[low:high] - begin))
            for solid, own, begin, low, high in zip(
                self.solids, self.lengths, first.tolist(), ends, ends[1:], strict=False
            )
            if high > low
        ]
        return _Scene([solid for solid, _ in found], [own for _, own in found], _pick(self.around, columns))


def _scene(kinds: Sequence[str], jitter: Tensor) -> _Scene:
    """Objects in the order of their kinds."""
    counts = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
    solids = [OBJECTS[kind] for kind in counts]
    own = zip(solids, torch.split(jitter, list(counts.values())), strict=True)
    around = jitter.new_tensor([(*OBJECTS[kind].low, *OBJECTS[kind].high, OBJECTS[kind].core) for kind in kinds]).T
    return _Scene(solids, [solid.lengths(one) for solid, one in own], around)


def _seen(scene: _Scene, azimuth: Tensor, elevation: Tensor, size: int) -> Tensor:
    """Brightness (B, size, size) of the objects of a scene."""
    eye, rays = _camera(azimuth, elevation, size)
    flat = rays.flatten(1)
    half = math.tan(math.radians(HALF_ANGLE)) / size
    with torch.no_grad():
        pixel, end = _meeting(scene.around, eye, rays, half)
        which = pixel // size**2
        share, place = _march(scene.pick(which), _pick(eye, which), _pick(flat, pixel), end, half)
        # What the object does not cover at all stays black, whatever its light.
        some = (share < 1.0).nonzero().flatten()
        pixel, which, share, place = (_pick(one, some) for one in (pixel, which, share, place))
    look, hit = scene.pick(which), share <= NEAR
    eye, ray = _pick(eye, which), _pick(flat, pixel)
    point = eye + place * ray
    with torch.no_grad():
        # How fast a ray comes nearer; grazing rays are held back.
        slope = (_normal(look, point) * ray).sum(0).clamp_max(-0.1)
    # A little below the surface, so that a contour through the middle of a pixel covers half of it.
    rim = torch.minimum(half * place, look.around[6])
    away = look.distance(point[:, None])[0] + rim
    # Along with the pose the point stays on the surface, which its normal is read from.
    point = torch.where(hit, point - (away / slope) * ray, point)
    cover = torch.where(hit, torch.ones_like(away), (1.0 - away / (rim + half * place)).clamp(0.0, 1.0))
    light = 0.5 + 0.5 * _normal(look, point)[1].clamp_min(0.0)
    image = eye.new_zeros(len(azimuth) * size * size)
    return image.index_copy(0, pixel, cover * light).reshape(len(azimuth), size, size)


def _camera(azimuth: Tensor, elevation: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The eye (3, B) and the direction (3, B, size * size) of every pixel's ray, of length 1."""
    a, e = torch.deg2rad(azimuth), torch.deg2rad(elevation)
    back = torch.stack([e.cos() * a.sin(), e.sin(), -e.cos() * a.cos()])
    # The way the eye moves with the elevation: upright in the image, also straight from above.
    up = torch.stack([-e.sin() * a.sin(), e.cos(), e.sin() * a.cos()])
    right = torch.linalg.cross(up, back, dim=0)
    span = math.tan(math.radians(HALF_ANGLE))
    steps = (torch.arange(size, dtype=azimuth.dtype, device=azimuth.device) + 0.5) / size * 2.0 - 1.0
    across, down = steps.repeat(size) * span, steps.repeat_interleave(size) * span
    rays = -back[..., None] + across * right[..., None] - down * up[..., None]
    return DISTANCE * back, rays / (1.0 + across.square() + down.square()).sqrt()


def _meeting(around: Tensor, eye: Tensor, rays: Tensor, half: float) -> tuple[Tensor, Tensor]:
    """The pixels whose rays come near the box around the object, and how far away they leave it, (M,) each."""
    margin = half * (DISTANCE + REACH)
    inverse = 1.0 / torch.where(rays.abs() < 1e-9, 1e-9, rays)
    first, last = (around[:3] - margin - eye)[..., None] * inverse, (around[3:6] + margin - eye)[..., None] * inverse
    enter, leave = torch.minimum(first, last).amax(0).flatten(), torch.maximum(first, last).amin(0).flatten()
    pixel = (enter < leave).nonzero().flatten()
    return pixel, _pick(leave, pixel)


def _march(look: _Scene, eye: Tensor, ray: Tensor, end: Tensor, half: float) -> tuple[Tensor, Tensor]:
    """How each ray ends, (M,) each: what is missing until its pixel is covered wholly, and how far away that is.

    A ray ends on the surface, or where it passes it most nearly on its way to ``end``.
    """
    place = -(eye * ray).sum(0) - REACH
    nearest, found = torch.full_like(place, math.inf), place.clone()
    open_ = torch.arange(len(place), device=place.device)
    share, at = nearest, place
    for step in range(STEPS):
        rim = torch.minimum(half * place, look.around[6])
        away = look.distance(torch.addcmul(eye, ray, place)[:, None])[0] + rim
        now = away / torch.add(rim, place, alpha=half)
        closer = now < share
        share, at = torch.where(closer, now, share), torch.where(closer, place, at)
        going = (now > NEAR) & (place < end)
        # A ray that has ended stays where it is until those that go on are few enough to be picked out.
        place = torch.where(going, place + away.clamp_min(2 * NEAR * half), place)
        if step % 2 == 0 and step < STEPS - 1:
            continue
        kept = going.nonzero().flatten()
        if len(kept) < 0.8 * len(place) or step == STEPS - 1:
            nearest.index_copy_(0, open_, share)
            found.index_copy_(0, open_, at)
            if not len(kept):
                break
            look = look.pick(kept)
            open_, eye, ray, end, place, share, at = (
                _pick(one, kept) for one in (open_, eye, ray, end, place, share, at)
            )
    return nearest, found


def _pick(values: Tensor, columns: Tensor) -> Tensor:
    """These columns, several times faster than by an index."""
    return values.index_select(values.ndim - 1, columns)


def _normal(look: _Scene, point: Tensor) -> Tensor:
    """The direction (3, M) in which the distance grows, from four points around each."""
    corners = point.new_tensor(((1.0, -1.0, -1.0), (-1.0, -1.0, 1.0), (-1.0, 1.0, -1.0), (1.0, 1.0, 1.0))).T[..., None]
    total = (corners * look.distance(point[:, None] + _AROUND * corners)).sum(1)
    return total / total.square().sum(0).clamp_min(1e-12).sqrt()
