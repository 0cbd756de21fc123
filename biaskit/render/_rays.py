"""Rays through pixels, marched to the surface by signed distances; shading and coverage, differentiable in the pose."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from biaskit.errors import DataError
from biaskit.render._objects import JITTER, OBJECTS, Solid

__all__ = ["render"]

#: Distance of the camera from the origin and half of its view angle; an object of size 1 fills two thirds of the image.
DISTANCE, HALF_ANGLE = 2.732, 15.0
#: No object reaches further from the origin.
REACH = 0.85
#: Steps of a ray, and how near to the surface it stops, in pixels.
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
        In [0, 1].

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
    gray = azimuth.new_empty(count, size, size)
    parts: list[tuple[Tensor, Tensor]] = []
    for kind in dict.fromkeys(kinds):
        rows = torch.tensor([place for place, one in enumerate(kinds) if one == kind], device=azimuth.device)
        for some in torch.split(rows, max(1, TOGETHER // size**2)):
            parts.append((some, _seen(OBJECTS[kind], jitter[some], azimuth[some], elevation[some], size)))
    if parts:
        order = torch.cat([rows for rows, _ in parts])
        gray = torch.cat([image for _, image in parts])[torch.argsort(order)]
    return gray[:, None].expand(-1, 3, -1, -1)


def _seen(solid: Solid, jitter: Tensor, azimuth: Tensor, elevation: Tensor, size: int) -> Tensor:
    """Brightness (B, size, size) of one kind of object."""
    eye, rays = _camera(azimuth, elevation, size)
    count = len(azimuth)
    which = torch.arange(count, device=eye.device).repeat_interleave(size * size)
    flat = rays.reshape(-1, 3)
    # A ray that passes the sphere around the object shows background.
    along = -(eye[which] * flat).sum(1)
    passing = (eye[which] + along[:, None] * flat).square().sum(1).detach()
    kept = (passing < REACH**2).nonzero().flatten()
    which, flat, along = which[kept], flat[kept], along[kept].detach()
    own = jitter[which]
    width = 2.0 * math.tan(math.radians(HALF_ANGLE)) / size
    half = 0.5 * width
    with torch.no_grad():
        place = _march(solid, eye.detach()[which], flat.detach(), own, along, width)
        point = (eye[which] + place[:, None] * flat).detach()
        hit = solid(point, own) + half * place <= NEAR * width * place
        # How fast a ray comes nearer; grazing rays are held back.
        slope = (_normal(solid, point, own) * flat.detach()).sum(1).clamp_max(-0.1)
    point = eye[which] + place[:, None] * flat
    # Half a pixel below the surface, so that a contour through the middle of a pixel covers half of it.
    away = solid(point, own) + half * place
    # Along with the pose the point stays on the surface, which its normal is read from.
    point = torch.where(hit[:, None], point - (away / slope)[:, None] * flat, point)
    cover = torch.where(hit, torch.ones_like(away), (1.0 - away / (width * place)).clamp(0.0, 1.0))
    light = 0.5 + 0.5 * _normal(solid, point, own)[:, 1].clamp_min(0.0)
    image = eye.new_zeros(count * size * size)
    return image.index_put((kept,), cover * light).reshape(count, size, size)


def _camera(azimuth: Tensor, elevation: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The eye (B, 3) and the direction (B, size, size, 3) of every pixel's ray, of length 1."""
    a, e = torch.deg2rad(azimuth), torch.deg2rad(elevation)
    back = torch.stack([e.cos() * a.sin(), e.sin(), -e.cos() * a.cos()], dim=1)
    # The way the eye moves with the elevation: upright in the image, also straight from above.
    up = torch.stack([-e.sin() * a.sin(), e.cos(), e.sin() * a.cos()], dim=1)
    right = torch.linalg.cross(up, back)
    span = math.tan(math.radians(HALF_ANGLE))
    steps = (torch.arange(size, dtype=azimuth.dtype, device=azimuth.device) + 0.5) / size * 2.0 - 1.0
    across, down = steps.view(1, 1, size, 1) * span, steps.view(1, size, 1, 1) * span
    one = (slice(None), None, None)
    rays = -back[one] + across * right[one] - down * up[one]
    return DISTANCE * back, rays / rays.square().sum(-1, keepdim=True).sqrt()


def _march(solid: Solid, eye: Tensor, rays: Tensor, jitter: Tensor, along: Tensor, width: float) -> Tensor:
    """How far each ray goes: to the surface, or to where it passes it most nearly."""
    here, end = along - REACH, along + REACH
    nearest, found = torch.full_like(here, math.inf), here.clone()
    open_ = torch.arange(len(here), device=here.device)
    place = here
    for _ in range(STEPS):
        away = solid(eye[open_] + place[:, None] * rays[open_], jitter[open_]) + 0.5 * width * place
        share = away / place
        closer = share < nearest[open_]
        nearest[open_] = torch.where(closer, share, nearest[open_])
        found[open_] = torch.where(closer, place, found[open_])
        going = (share > NEAR * width) & (place < end[open_])
        if not bool(going.any()):
            break
        place = (place + away.clamp_min(NEAR * width))[going]
        open_ = open_[going]
    return found


def _normal(solid: Solid, point: Tensor, jitter: Tensor) -> Tensor:
    """The direction in which the distance grows, from four points around each."""
    total = torch.zeros_like(point)
    for corner in ((1.0, -1.0, -1.0), (-1.0, -1.0, 1.0), (-1.0, 1.0, -1.0), (1.0, 1.0, 1.0)):
        step = point.new_tensor(corner)
        total = total + step * solid(point + _AROUND * step, jitter)[:, None]
    return total / total.square().sum(1, keepdim=True).clamp_min(1e-12).sqrt()
