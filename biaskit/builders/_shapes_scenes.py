"""The backgrounds of the procedural set, painted a batch at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

__all__ = ["GROUND", "SCENERY", "SCENES"]

#: Uniform numbers a scene is varied by.
SCENERY = 40

Color = tuple[float, float, float]


def _between(low: float, high: float, share: Tensor) -> Tensor:
    return low + (high - low) * share


def _rgb(color: Color, like: Tensor) -> Tensor:
    return torch.tensor(color, device=like.device)[None, :, None, None]


def _fraction(value: Tensor) -> Tensor:
    return value - value.floor()


def _triangle(value: Tensor) -> Tensor:
    """A zigzag of period 1 between 0 (at whole numbers) and 1."""
    return 1.0 - (2.0 * _fraction(value) - 1.0).abs()


def _wave(value: Tensor) -> Tensor:
    """A smooth wave of period 1 between 0 and 1, of sums and products alone."""
    part = _triangle(value)
    return part * part * (3.0 - 2.0 * part)


def _gradient(y: Tensor, top: Color, bottom: Color, reach: Tensor | float = 1.0) -> Tensor:
    share = (y / reach).clamp(0.0, 1.0)[:, None]
    upper = _rgb(top, y)
    return upper + share * (_rgb(bottom, y) - upper)


def _over(picture: Tensor, cover: Tensor, color: Color | Tensor) -> Tensor:
    """Paint with a color where ``cover`` (B, H, W) is 1, thinner where it is less."""
    paint = _rgb(color, picture) if isinstance(color, tuple) else color
    return picture + cover[:, None] * (paint - picture)


def _below(y: Tensor, line: Tensor, side: int) -> Tensor:
    """1 below a line, the share of the pixel on it."""
    return ((y - line) * side + 0.5).clamp(0.0, 1.0)


def _disk(x: Tensor, y: Tensor, right: Tensor, down: Tensor, radius: Tensor | float, side: int) -> Tensor:
    away = ((x - right).square() + (y - down).square()).sqrt()
    return ((radius - away) * side + 0.5).clamp(0.0, 1.0)


def _glow(x: Tensor, y: Tensor, right: Tensor, down: Tensor, radius: float) -> Tensor:
    share = (1.0 - ((x - right).square() + (y - down).square()) / (radius * radius)).clamp_min(0.0)
    return share * share


def _cloud(x: Tensor, y: Tensor, right: Tensor, down: Tensor, size: Tensor) -> Tensor:
    found = torch.zeros((), device=x.device)
    for aside, above, share in ((0.0, 0.0, 1.0), (-0.75, 0.22, 0.62), (0.8, 0.26, 0.55)):
        across = (x - right - aside * size) / (share * size)
        along = (y - down - above * size * 0.5) / (share * size * 0.62)
        found = torch.maximum(found, (1.25 - across.square() - along.square()).clamp(0.0, 0.9))
    return found


def _sky(x: Tensor, y: Tensor, p: Sequence[Tensor], side: int) -> Tensor:
    picture = _gradient(y, (0.22, 0.50, 0.86), (0.74, 0.90, 0.98))
    for number in range(5):
        where = _between(-0.05, 1.05, _fraction(p[2] + 0.31 * number)), _between(0.06, 0.94, p[3 + number])
        picture = _over(picture, _cloud(x, y, *where, _between(0.10, 0.20, p[9 + number])), (0.99, 0.99, 1.0))
    return picture


def _meadow(x: Tensor, y: Tensor, p: Sequence[Tensor], side: int) -> Tensor:
    picture = _gradient(y, (0.42, 0.72, 0.94), (0.88, 0.95, 0.96), 0.65)
    cloud = _cloud(x, y, _between(0.1, 0.9, p[2]), _between(0.08, 0.22, p[3]), _between(0.09, 0.16, p[4]))
    picture = _over(picture, cloud, (1.0, 1.0, 1.0))
    far = _between(0.50, 0.60, p[5]) - 0.09 * _wave(x * 1.3 + p[6])
    picture = _over(picture, _below(y, far, side), (0.47, 0.66, 0.36))
    near = _between(0.62, 0.72, p[7]) - 0.08 * _wave(x * 0.9 + p[8])
    blades = 0.88 + 0.16 * _wave(x * 17.0 + y * 5.0 + p[9])
    picture = _over(
        picture, _below(y, near, side), _gradient(y, (0.50, 0.80, 0.30), (0.24, 0.56, 0.20)) * blades[:, None]
    )
    for number in range(10):
        flower = _disk(x, y, p[10 + number], _between(0.78, 0.98, p[20 + number]), 0.016, side)
        picture = _over(picture, flower, ((1.0, 0.96, 0.90), (0.98, 0.82, 0.24), (0.90, 0.36, 0.44))[number % 3])
    return picture


def _sea(x: Tensor, y: Tensor, p: Sequence[Tensor], side: int) -> Tensor:
    horizon = _between(0.40, 0.52, p[2])
    picture = _gradient(y, (0.52, 0.78, 0.92), (0.96, 0.92, 0.80), horizon)
    sun = _between(0.12, 0.88, p[3])
    picture = _over(picture, _disk(x, y, sun, horizon - _between(0.02, 0.20, p[4]), 0.075, side), (1.0, 0.86, 0.48))
    water = _below(y, horizon, side)
    picture = _over(picture, water, _gradient(y, (0.10, 0.62, 0.70), (0.03, 0.26, 0.48)))
    # Crests lie closer together towards the horizon.
    depth = (y - horizon).clamp_min(0.0)
    rows = 14.0 * depth / (0.35 + depth) + 0.35 * _wave(x * 2.0 + p[5]) + p[6]
    crest = (0.30 - _fraction(rows)).clamp_min(0.0) / 0.30 * _wave(x * 3.0 + 0.37 * rows.floor() + p[7])
    return _over(picture, water * crest * 0.75, (0.90, 0.98, 0.98))


def _desert(x: Tensor, y: Tensor, p: Sequence[Tensor], side: int) -> Tensor:
    picture = _gradient(y, (0.96, 0.66, 0.40), (0.99, 0.90, 0.66), 0.55)
    picture = _over(picture, _disk(x, y, p[2], _between(0.10, 0.28, p[3]), 0.08, side), (1.0, 0.97, 0.82))
    tones = ((0.87, 0.64, 0.40), (0.93, 0.74, 0.46), (0.97, 0.82, 0.56))
    for number, tone in enumerate(tones):
        phase = p[4 + number] + x * _between(0.7, 1.2, p[7 + number])
        line = 0.50 + 0.15 * number + _between(-0.04, 0.04, p[10 + number]) - 0.12 * _wave(phase)
        # The lee side is in the shade.
        shade = 0.84 + 0.16 * _wave(phase + 0.25 + (y - line) * 0.5)
        picture = _over(picture, _below(y, line, side), _rgb(tone, x) * shade[:, None])
    return picture


def _night(x: Tensor, y: Tensor, p: Sequence[Tensor], side: int) -> Tensor:
    picture = _gradient(y, (0.03, 0.04, 0.16), (0.20, 0.18, 0.42))
    moon = _between(0.10, 0.90, p[2]), _between(0.08, 0.24, p[3])
    picture = _over(picture, _glow(x, y, *moon, 0.30) * 0.35, (0.80, 0.84, 1.0))
    round_, cut = _disk(x, y, *moon, 0.085, side), _disk(x, y, moon[0] + 0.045, moon[1] - 0.02, 0.075, side)
    picture = _over(picture, round_ * (1.0 - cut), (0.99, 0.96, 0.82))
    for number in range(16):
        star = _disk(x, y, p[4 + number], 0.78 * p[20 + number], 0.008 + 0.004 * (number % 4), side)
        picture = _over(picture, star * (0.55 + 0.15 * (number % 4)), (1.0, 1.0, 0.94))
    line = _between(0.76, 0.86, p[36]) - 0.10 * _wave(x * 1.1 + p[37]) - 0.03 * _wave(x * 2.7 + p[38])
    return _over(picture, _below(y, line, side), (0.05, 0.08, 0.14))


def _snowfield(x: Tensor, y: Tensor, p: Sequence[Tensor], side: int) -> Tensor:
    picture = _gradient(y, (0.62, 0.70, 0.80), (0.86, 0.89, 0.93), 0.65)
    far = _between(0.50, 0.60, p[2]) - 0.10 * _wave(x * 1.2 + p[3])
    picture = _over(picture, _below(y, far, side), (0.76, 0.82, 0.91))
    near = _between(0.64, 0.74, p[4]) - 0.08 * _wave(x * 0.8 + p[5])
    picture = _over(picture, _below(y, near, side), _gradient(y - 0.5, (1.0, 1.0, 1.0), (0.84, 0.89, 0.97), 0.5))
    for number in range(16):
        flake = _disk(x, y, p[6 + number], p[22 + number], 0.012 + 0.004 * (number % 3), side)
        picture = _over(picture, flake * 0.95, (1.0, 1.0, 1.0))
    return picture


def _forest(x: Tensor, y: Tensor, p: Sequence[Tensor], side: int) -> Tensor:
    picture = _gradient(y, (0.70, 0.84, 0.80), (0.90, 0.94, 0.84), 0.6)
    rows = (
        (0.50, 5.0, 0.22, (0.44, 0.64, 0.54)),
        (0.62, 4.0, 0.30, (0.22, 0.44, 0.34)),
        (0.78, 3.0, 0.36, (0.09, 0.27, 0.20)),
    )
    for number, (base, trees, height, color) in enumerate(rows):
        along = x * trees + p[2 + number]
        high = height * (0.65 + 0.5 * _fraction(along.floor() * 0.618 + p[5 + number]))
        crown = _triangle(along)
        # Branches: a finer zigzag at the edge of each tree.
        line = base - high * crown + 0.03 * _triangle(y * 16.0 + p[8 + number])
        picture = _over(picture, _below(y, line, side), color)
    floor = _between(0.86, 0.92, p[11]) - 0.03 * _wave(x * 1.5 + p[12])
    return _over(
        picture, _below(y, floor, side), _rgb((0.36, 0.30, 0.18), x) * (0.8 + 0.3 * _wave(x * 9.0 + y * 13.0))[:, None]
    )


def _city(x: Tensor, y: Tensor, p: Sequence[Tensor], side: int) -> Tensor:
    picture = _gradient(y, (0.44, 0.36, 0.62), (0.99, 0.72, 0.56), 0.75)
    for number, (many, base, tall, color) in enumerate(
        ((8.0, 0.58, 0.34, (0.50, 0.42, 0.60)), (6.0, 0.72, 0.40, (0.24, 0.23, 0.38)))
    ):
        across = x * many + p[2 + number]
        block = across.floor()
        roof = base - tall * _fraction(block * 0.618 + p[4 + number] + 0.13 * block.square())
        wall = _below(y, roof, side)
        picture = _over(picture, wall, color)
        if number:
            column, row = _fraction(across) * 3.0, y * 15.0
            lit = _fraction((block * 3.0 + column.floor()) * 0.367 + row.floor() * 0.713 + p[6]) < 0.5
            pane = ((_fraction(column) - 0.5).abs() < 0.27) & ((_fraction(row) - 0.5).abs() < 0.27)
            window = (lit & pane & (y > roof + 0.02) & (y < 0.86)).float()
            picture = _over(picture, window, (1.0, 0.86, 0.50))
    road = _below(y, torch.full_like(p[2], 0.86), side)
    picture = _over(picture, road, (0.30, 0.30, 0.34))
    dash = ((y - 0.93).abs() < 0.012) & (_fraction(x * 4.0 + p[7]) < 0.55)
    return _over(picture, dash.float(), (0.94, 0.92, 0.84))


def _mountain(x: Tensor, y: Tensor, p: Sequence[Tensor], side: int) -> Tensor:
    picture = _gradient(y, (0.36, 0.60, 0.86), (0.92, 0.93, 0.92), 0.7)
    peaks = (
        (p[2], 0.42, 0.34),
        (_fraction(p[2] + _between(0.30, 0.45, p[3])), 0.30, 0.28),
        (_fraction(p[2] + 0.68), 0.36, 0.30),
    )
    for number, (where, high, wide) in enumerate(peaks):
        away = x - where
        jag = 0.025 * _triangle(x * 9.0 + p[4 + number]) + 0.012 * _triangle(x * 23.0 + p[7])
        top = _between(0.16, 0.30, p[8 + number])
        line = top + away.abs() * (high / wide * 1.35) + jag
        rock = _below(y, line, side)
        dark = _rgb((0.34, 0.36, 0.46), x)
        sides = dark + ((away + 0.3 * (y - top) * (_triangle(y * 7.0 + p[11]) - 0.5)) < 0).float()[:, None] * 0.16
        picture = _over(picture, rock, sides)
        snow = _below(-y, -(top + 0.13 + 0.06 * _triangle(x * 8.0 + p[12 + number])), side)
        bright = 0.80 + 0.19 * (away < 0).float()
        picture = _over(picture, rock * snow, bright[:, None].expand(-1, 3, -1, -1))
    line = _between(0.70, 0.80, p[15]) - 0.05 * _wave(x * 1.2 + p[16])
    return _over(picture, _below(y, line, side), _gradient(y, (0.36, 0.52, 0.34), (0.24, 0.40, 0.24)))


def _room(x: Tensor, y: Tensor, p: Sequence[Tensor], side: int) -> Tensor:
    warm, cool = _rgb((0.93, 0.83, 0.70), x), _rgb((0.72, 0.82, 0.80), x)
    paper = warm + p[2][:, None] * (cool - warm)
    stripe = 0.94 + 0.06 * (_fraction(x * 8.0 + p[3]) < 0.5).float()
    picture = (paper * stripe[:, None]).expand(-1, -1, y.shape[1], -1)
    # A window at one side, its frame and its cross.
    center = torch.where(p[4] < 0.5, _between(0.14, 0.26, p[5]), _between(0.74, 0.86, p[5]))
    across, along = (x - center).abs(), (y - _between(0.22, 0.30, p[6])).abs()
    frame = ((0.135 - across).minimum(0.175 - along) * side + 0.5).clamp(0.0, 1.0)
    glass = ((0.110 - across).minimum(0.150 - along) * side + 0.5).clamp(0.0, 1.0)
    cross = ((0.012 - across).maximum(0.012 - along) * side + 0.5).clamp(0.0, 1.0)
    picture = _over(picture, frame, (0.98, 0.97, 0.94))
    picture = _over(picture, glass * (1.0 - cross), _gradient(y, (0.42, 0.68, 0.92), (0.84, 0.93, 0.97), 0.5))
    edge = _between(0.66, 0.74, p[7])
    picture = _over(picture, _below(y, edge, side), (0.97, 0.96, 0.93))
    # Planks spread towards the viewer.
    depth = (y - edge).clamp_min(0.0) + 0.25
    gap = _triangle((x - 0.5) / depth * 1.3 + p[8])
    planks = _rgb((0.64, 0.43, 0.26), x) * (0.72 + 0.28 * (gap * 9.0).clamp(0.0, 1.0))[:, None]
    return _over(picture, _below(y, edge + 0.04, side), planks)


#: The scenes by name: each paints (B, 3, H, W) in [0, 1] from x (1, 1, W), y (1, H, 1) and SCENERY numbers (B, 1, 1).
SCENES: dict[str, Callable[[Tensor, Tensor, Sequence[Tensor], int], Tensor]] = {
    "sky": _sky,
    "meadow": _meadow,
    "sea": _sea,
    "desert": _desert,
    "night": _night,
    "snowfield": _snowfield,
    "forest": _forest,
    "city": _city,
    "mountain": _mountain,
    "room": _room,
}
#: How dark an object's shadow on the ground is in each scene.
GROUND = {"sky": 0.0, "sea": 0.18, "night": 0.0, "snowfield": 0.24}
