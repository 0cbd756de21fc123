"""The procedural set as images, masks and concepts, painted when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biaskit.builders._shapes_objects import ACCENTS, JITTER, OBJECTS, Layer, parts_of
from biaskit.builders._shapes_scenes import GROUND, SCENERY, SCENES
from biaskit.concepts import CATEGORIES, Concepts
from biaskit.data import CORE, SPURIOUS

__all__ = ["COLORS", "DRAWS", "VALUES", "ShapesImages", "ShapesMasks", "ShapesPlanes", "concepts_of"]

#: Colors of an object: name -> red, green, blue in [0, 1].
COLORS = {
    "red": (0.87, 0.20, 0.20),
    "orange": ACCENTS["orange"],
    "yellow": (0.98, 0.84, 0.26),
    "green": (0.28, 0.68, 0.34),
    "blue": (0.20, 0.44, 0.86),
    "purple": (0.54, 0.30, 0.74),
    "pink": (0.96, 0.56, 0.72),
    "white": ACCENTS["white"],
}
#: How a material reflects light: what it has without any, what the light adds, highlight, bands of a metal, gray.
MATERIALS = {
    "matte": (0.70, 0.34, 0.0, 0.0, 0.0),
    "glossy": (0.62, 0.42, 0.85, 0.0, 0.0),
    "metal": (0.54, 0.36, 0.45, 0.62, 0.36),
}
TEXTURES = ("plain", "striped", "dotted", "checked")
#: The object's center from the image's, and half its extent, as shares of the side.
PLACE = {"left": -0.16, "center": 0.0, "right": 0.16}
EXTENT = {"small": 0.20, "medium": 0.25, "large": 0.31}
#: The attributes in the order of the table, each with all its values.
VALUES: dict[str, tuple[str, ...]] = {
    "color": tuple(COLORS),
    "material": tuple(MATERIALS),
    "texture": TEXTURES,
    "scene": tuple(SCENES),
    "position": tuple(PLACE),
    "size": tuple(EXTENT),
}
_COLOR, _MATERIAL, _TEXTURE, _SCENE, _POSITION, _SIZE = range(len(VALUES))
#: Uniform numbers of one image, which its twin shares: for its place, its paint, its parts and its scene.
_PLACED, _PAINTED = 8, 8
DRAWS = _PLACED + _PAINTED + JITTER + SCENERY
#: Samples of a pixel in each direction; odd, so that one of them is its center.
FINE = 3
#: Pixels whose layers are remembered, a byte each, and the byte of those that nobody has looked at.
_REMEMBERED, _UNSEEN = 2**28, 255
#: Samples painted together: their fields stay in the cache.
_TOGETHER = 2**18
#: Light from the upper left, and halfway between it and the viewer.
_LIGHT, _HALF = (-0.48, -0.60, 0.64), (-0.265, -0.331, 0.906)


def _places(
    values: dict[str, tuple[str, ...]], codes: npt.NDArray[np.int64], draws: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Where an object lies: from the image's x and y in [0, 1] to the object's own, and its paint's direction.

    Returns
    -------
    float32 array (N, 11)
        Center x, y and half extent as shares of the side; the two rows (for x, y, 1) of the map to the object's
        coordinates; direction of the texture (cosine and sine).
    """
    d = draws.astype(np.float64)
    extents = np.asarray([EXTENT[name] for name in values["size"]])[codes[:, _SIZE]]
    places = np.asarray([PLACE[name] for name in values["position"]])[codes[:, _POSITION]]
    extent = extents * (0.96 + 0.08 * d[:, 0])
    right = 0.5 + places + 0.03 * (d[:, 1] - 0.5)
    down = 0.56 + 0.10 * (d[:, 2] - 0.5)
    turn = np.deg2rad(24.0) * (d[:, 3] - 0.5)
    mirror = np.where(d[:, 4] < 0.5, -1.0, 1.0)
    wide = 0.92 + 0.16 * d[:, 5]
    cos, sin = np.cos(turn), np.sin(turn)
    across = np.stack([cos, sin, -cos * right - sin * down], axis=1) * (mirror / (extent * wide))[:, None]
    along = np.stack([-sin, cos, sin * right - cos * down], axis=1) * (wide / extent)[:, None]
    angle = np.pi * d[:, _PLACED]
    rest = np.stack([right, down, extent], axis=1)
    found = np.concatenate([rest, across, along, np.cos(angle)[:, None], np.sin(angle)[:, None]], axis=1)
    return found.astype(np.float32)


@dataclass(frozen=True, eq=False)
class ShapesImages:
    """Images painted when they are asked for; the same numbers give the same bytes, whatever else is in the batch.

    Attributes
    ----------
    size : int
        Side in pixels.
    kinds : tuple of str
        The objects by label.
    values : dict of str to tuple of str
        The values of each attribute by code.
    labels, codes : int64 Tensor (N,) and (N, 6)
    draws, places : float Tensor (N, DRAWS) and (N, 11)
    known : uint8 Tensor (N, size, size) or None
        What each pixel shows, of the images that were looked at; 255 in the others. None in a set too large for it.
    """

    size: int
    kinds: tuple[str, ...]
    values: dict[str, tuple[str, ...]]
    labels: Tensor
    codes: Tensor
    draws: Tensor
    places: Tensor
    known: Tensor | None

    @classmethod
    def drawn(
        cls,
        size: int,
        kinds: tuple[str, ...],
        values: dict[str, tuple[str, ...]],
        labels: npt.NDArray[np.int64],
        codes: npt.NDArray[np.int64],
        draws: npt.NDArray[np.float32],
    ) -> ShapesImages:
        """The images of a table: what depends on a whole image alone is computed here, once."""
        small = len(labels) * size**2 <= _REMEMBERED
        known = torch.full((len(labels), size, size), _UNSEEN, dtype=torch.uint8) if small else None
        places = torch.from_numpy(_places(values, codes, draws))
        table = torch.from_numpy(labels), torch.from_numpy(codes), torch.from_numpy(draws)
        return cls(size, kinds, values, *table, places, known)

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        return (3, self.size, self.size)

    def to(self, device: torch.device | str) -> ShapesImages:
        """The same images, painted on a device."""
        moved = {name: getattr(self, name).to(device) for name in ("labels", "codes", "draws", "places")}
        return replace(self, **moved, known=self.known.to(device) if self.known is not None else None)

    def gather(self, index: Tensor) -> Tensor:
        index = index.to(self.labels.device)
        canvas = torch.empty(len(index), 3, self.size, self.size, device=index.device)
        for code, rows in _portions(self.codes[index, _SCENE], self.size):
            canvas[rows] = self._scene(code, index[rows])
        painted = torch.empty(len(index), self.size, self.size, 3, dtype=torch.uint8, device=index.device)
        for label, rows in _portions(self.labels[index], self.size):
            picture = self._object(canvas[rows], label, index[rows])
            painted[rows] = picture.mul_(255.0).round_().clamp_(0.0, 255.0).to(torch.uint8).permute(0, 2, 3, 1)
        return painted.permute(0, 3, 1, 2)

    def seen(self, index: Tensor) -> Tensor:
        """The layer that most of a pixel shows, int64 (B, H, W): from 1, and 0 where most of it is background.

        Painting an image tells it as well, so after that it is only looked up.
        """
        index = index.to(self.labels.device)
        found = torch.full((len(index), self.size, self.size), _UNSEEN, device=index.device)
        if self.known is not None:
            found = self.known[index].long()
        unseen = (found == _UNSEEN).flatten(1).any(dim=1).nonzero()[:, 0]
        for label, rows in _portions(self.labels[index[unseen]], self.size):
            some = unseen[rows]
            layers, _, _ = self._layers(label, index[some])
            found[some] = self._remembered(index[some], _sampled([one.inside for one in layers]))
        return found

    def _remembered(self, index: Tensor, counts: Sequence[Tensor]) -> Tensor:
        found = _majority(counts)
        if self.known is not None:
            self.known[index] = found.to(torch.uint8)
        return found

    @cached_property
    def coats(self) -> list[list[int]]:
        """By label and layer: 1 where a part has the object's own color, 0 where it has one of its own."""
        return [[int(not color) for _, color in parts_of(kind)] for kind in self.kinds]

    def at(self, index: Tensor, seen: Tensor, numbers: Sequence[Sequence[int]]) -> Tensor:
        """What stands in ``numbers``, by label and layer, for what each pixel shows; 0 on the background."""
        table = torch.zeros(len(numbers), 1 + max(map(len, numbers)), dtype=torch.long, device=seen.device)
        for label, row in enumerate(numbers):
            table[label, 1 : 1 + len(row)] = torch.tensor(row)
        found = table[self.labels[index.to(table.device)]].gather(1, seen.flatten(1))
        return found.view_as(seen)

    def _numbers(self, index: Tensor, first: int, count: int) -> list[Tensor]:
        return list(self.draws[index, first : first + count].T[:, :, None, None])

    def _axes(self, fine: int) -> tuple[Tensor, Tensor]:
        """Centers of samples: x (1, 1, W) and y (1, H, 1)."""
        steps = (torch.arange(self.size * fine, device=self.draws.device) + 0.5) / (self.size * fine)
        return steps[None, None, :], steps[None, :, None]

    def _scene(self, code: int, index: Tensor) -> Tensor:
        x, y = self._axes(1)
        numbers = self._numbers(index, DRAWS - SCENERY, SCENERY)
        picture = SCENES[self.values["scene"][code]](x, y, numbers, self.size)
        return (picture * (0.92 + 0.12 * numbers[0][:, None])).clamp_(0.0, 1.0)

    def _layers(self, label: int, index: Tensor) -> tuple[list[Layer], Tensor, Tensor]:
        """The layers at every sample, and the object's own coordinates at the center of every pixel."""
        x, y = self._axes(FINE)
        to = list(self.places[index].T[:, :, None, None])
        right, down = (to[3] * x + to[5]) + to[4] * y, (to[6] * x + to[8]) + to[7] * y
        layers = OBJECTS[self.kinds[label]](right, down, self._numbers(index, _PLACED + _PAINTED, JITTER))
        return layers, _centers(right), _centers(down)

    def _object(self, picture: Tensor, label: int, index: Tensor) -> Tensor:
        """Paint the objects of one kind over their backgrounds (B, 3, H, W)."""
        layers, right, down = self._layers(label, index)
        counts = _sampled([one.inside for one in layers])
        self._remembered(index, counts)
        shares = [one.float() / FINE**2 for one in counts]
        cover = _sum(shares)
        pixels = self.places[index, 2, None, None] * self.size
        coat = self._coat(index, right, down, pixels)
        # What each layer adds to a pixel; the coat once, as bright as its parts together.
        bare = [
            share[:, None] * (one.tone * torch.tensor(ACCENTS[one.color], device=share.device)[None, :, None, None])
            for share, one in zip(shares, layers, strict=True)
            if one.color
        ]
        coated = _sum([share * one.tone for share, one in zip(shares, layers, strict=True) if not one.color])
        paint = _sum([coated[:, None] * coat, *bare])
        depth = torch.zeros_like(cover)
        for one in layers:
            inside = _centers(one.inside)
            depth = torch.where(inside < 0, -inside, depth)
        lit = self._lit(paint, cover, depth * pixels, index)
        picture = picture * (1.0 - self._shadow(index))[:, None]
        return picture * (1.0 - cover)[:, None] + lit

    def _coat(self, index: Tensor, right: Tensor, down: Tensor, pixels: Tensor) -> Tensor:
        """The object's color with its pattern (B, 3, H, W): lighter or darker stripes, dots or checks."""
        d = self._numbers(index, _PLACED, _PAINTED)
        colors = torch.tensor([COLORS[name] for name in self.values["color"]], device=right.device)
        color = colors[self.codes[index, _COLOR]][:, :, None, None] * (0.92 + 0.14 * d[1])[:, None]
        color = (color + 0.07 * (torch.stack([d[2], d[3], d[4]], dim=1) - 0.5)).clamp(0.0, 1.0)
        other = torch.where(_gray(color)[:, None] > 0.74, color * 0.52, color + 0.72 * (1.0 - color))
        cos, sin = (self.places[index, one, None, None] for one in (9, 10))
        # A period of four pixels at least.
        period = torch.maximum(0.40 + 0.14 * d[5], 4.0 / pixels)
        along = (right * cos + down * sin) / period + d[6]
        across = (down * cos - right * sin) / period + d[7]
        first, second = (_zigzag(one) - 0.5 for one in (along, across))
        wide = period * pixels
        stripes = (first * wide * 0.5 + 0.5).clamp(0.0, 1.0)
        checks = 0.5 + 0.5 * (first * wide).clamp(-1.0, 1.0) * (second * wide).clamp(-1.0, 1.0)
        row = (along * 1.2).floor()
        a, b = along * 1.2 - row - 0.5, across * 1.2 + 0.5 * row
        b = b - b.floor() - 0.5
        dots = ((0.34 - (a.square() + b.square()).sqrt()) * wide / 1.2 + 0.5).clamp(0.0, 1.0)
        patterns = {"plain": torch.zeros_like(dots), "striped": stripes, "dotted": dots, "checked": checks}
        chosen = patterns[self.values["texture"][0]]
        for code, name in enumerate(self.values["texture"]):
            chosen = torch.where(self.codes[index, _TEXTURE, None, None] == code, patterns[name], chosen)
        return color + chosen[:, None] * (other - color)

    def _lit(self, paint: Tensor, cover: Tensor, depth: Tensor, index: Tensor) -> Tensor:
        """Paint in the light: the object is a dome whose parts have round edges, its material reflects."""
        table = torch.tensor([MATERIALS[name] for name in self.values["material"]], device=paint.device)
        base, direct, shine, band, gray = table[self.codes[index, _MATERIAL]].T[:, :, None, None]
        x, y = self._axes(1)
        middle_x, middle_y, extent = self.places[index, :3].T[:, :, None, None]
        round_ = (extent * self.size * 0.18).clamp_min(1.8)
        share = (depth / round_).clamp(0.0, 1.0)
        height = (share * (2.0 - share)).sqrt()
        edge = torch.nn.functional.pad(height, (1, 1, 1, 1))
        rise = 0.33 * round_
        dome_x, dome_y = ((x - middle_x) / extent).clamp(-1.0, 1.0), ((y - middle_y) / extent).clamp(-1.0, 1.0)
        normal_x = 0.55 * dome_x - (edge[:, 1:-1, 2:] - edge[:, 1:-1, :-2]) * rise
        normal_y = 0.55 * dome_y - (edge[:, 2:, 1:-1] - edge[:, :-2, 1:-1]) * rise
        length = (normal_x.square() + normal_y.square() + 1.0).sqrt()
        toward = ((normal_x * _LIGHT[0] + normal_y * _LIGHT[1] + _LIGHT[2]) / length).clamp_min(0.0)
        glance = ((normal_x * _HALF[0] + normal_y * _HALF[1] + _HALF[2]) / length).clamp(0.0, 1.0)
        for _ in range(5):
            glance = glance.square()
        sheen = _wave(0.9 * normal_y / length + 0.35 * normal_x / length + 0.45) - 0.5
        bright = (base + direct * toward + band * sheen) * (0.74 + 0.26 * height)
        paint = paint + gray[:, None] * (_gray(paint)[:, None] - paint)
        highlight = shine * glance * cover
        return torch.minimum(paint * bright[:, None] + highlight[:, None], cover[:, None])

    def _shadow(self, index: Tensor) -> Tensor:
        """How much darker the ground below an object is."""
        names = self.values["scene"]
        dark = torch.tensor([GROUND.get(name, 0.42) for name in names], device=self.draws.device)[
            self.codes[index, _SCENE]
        ]
        x, y = self._axes(1)
        middle_x, middle_y, extent = self.places[index, :3].T[:, :, None, None]
        across, along = (x - middle_x) / extent, (y - middle_y - 0.93 * extent) / (0.2 * extent)
        shadow: Tensor = dark[:, None, None] * (1.0 - across.square() - along.square()).clamp_min(0.0)
        return shadow


def _portions(codes: Tensor, size: int) -> list[tuple[int, Tensor]]:
    """Rows with the same code, some at a time."""
    together = max(1, _TOGETHER // (size * FINE) ** 2)
    return [
        (code, rows)
        for code in sorted(set(codes.tolist()))
        for rows in torch.split((codes == code).nonzero()[:, 0], together)
    ]


def _centers(field: Tensor) -> Tensor:
    return field[:, FINE // 2 :: FINE, FINE // 2 :: FINE]


def _sum(fields: Sequence[Tensor]) -> Tensor:
    """A sum in a fixed order."""
    found = fields[0]
    for one in fields[1:]:
        found = found + one
    return found


def _gray(colors: Tensor) -> Tensor:
    """The brightness of colors (B, 3, H, W)."""
    return 0.30 * colors[:, 0] + 0.59 * colors[:, 1] + 0.11 * colors[:, 2]


def _zigzag(value: Tensor) -> Tensor:
    return 1.0 - (2.0 * (value - value.floor()) - 1.0).abs()


def _wave(value: Tensor) -> Tensor:
    part = _zigzag(value)
    return part * part * (3.0 - 2.0 * part)


def _sampled(inside: Sequence[Tensor]) -> list[Tensor]:
    """How many of a pixel's FINE x FINE samples show each layer, int32 (B, H, W) each.

    Four bits per layer hold a count of nine, so all layers are counted in one sum.
    """
    top = torch.zeros(inside[0].shape, dtype=torch.int32, device=inside[0].device)
    for number, one in enumerate(inside):
        top = top.masked_fill_(one < 0, 1 << (4 * number))
    count = _sum([top[:, down::FINE, right::FINE] for down in range(FINE) for right in range(FINE)])
    return [(count >> (4 * number)) & 15 for number in range(len(inside))]


def _majority(counts: Sequence[Tensor]) -> Tensor:
    """The commonest layer from 1, the upper one of two; 0 where less than half of the samples show the object."""
    most, found = torch.zeros_like(counts[0]), torch.zeros_like(counts[0], dtype=torch.long)
    for number, count in enumerate(counts):
        better = (count >= most) & (count > 0)
        most, found = torch.where(better, count, most), found.masked_fill_(better, number + 1)
    return found.masked_fill_(_sum(counts) * 2 < FINE**2, 0)


@dataclass(frozen=True, eq=False)
class ShapesMasks:
    """Core is the object; the shortcut is where the attribute that is tied to the label can be seen.

    The background for the scene, the parts in the object's own color for color and texture, the object for the
    material; no pixels for position and size, which are seen in none.
    """

    images: ShapesImages
    attribute: str

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        return (1, self.images.size, self.images.size)

    def gather(self, index: Tensor) -> Tensor:
        seen = self.images.seen(index)
        core = seen > 0
        marked = torch.zeros_like(core)
        if self.attribute == "scene":
            marked = ~core
        elif self.attribute == "material":
            marked = core
        elif self.attribute in ("color", "texture"):
            marked = self.images.at(index, seen, self.images.coats) > 0
        return (core.to(torch.uint8) * CORE + marked.to(torch.uint8) * SPURIOUS)[:, None]


@dataclass(frozen=True, eq=False)
class ShapesPlanes:
    """What can be seen where: one plane for each category of :data:`biaskit.concepts.CATEGORIES`.

    Color, object, material and part are those of the pixel, on the object alone; the scene is that of the whole image;
    the texture lies on the parts in the object's own color.
    """

    images: ShapesImages

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        return (len(CATEGORIES), self.images.size, self.images.size)

    @cached_property
    def labels(self) -> tuple[tuple[str, str], ...]:
        """Every label as (category, name), in the order of their numbers."""
        values, kinds = self.images.values, self.images.kinds
        layers = [layer for kind in kinds for layer in parts_of(kind)]
        colors = [*values["color"], *(name for name in ACCENTS if name in {color for _, color in layers})]
        names = {**values, "color": colors, "object": kinds, "part": [part for part, _ in layers]}
        return tuple((category, name) for category in CATEGORIES for name in dict.fromkeys(names[category]))

    def gather(self, index: Tensor) -> Tensor:
        images = self.images
        index = index.to(images.labels.device)
        number = {label: place + 1 for place, label in enumerate(self.labels)}
        layers = [parts_of(kind) for kind in images.kinds]
        seen = images.seen(index)
        own = {
            name: torch.tensor([number[name, value] for value in images.values[name]], device=index.device)[
                images.codes[index, place], None, None
            ]
            for place, name in enumerate(VALUES)
            if name in CATEGORIES
        }
        object_ = torch.tensor([number["object", kind] for kind in images.kinds], device=index.device)
        core, coat = seen > 0, images.at(index, seen, images.coats) > 0
        accent = images.at(index, seen, [[number.get(("color", color), 0) for _, color in one] for one in layers])
        planes = {
            "color": torch.where(coat, own["color"], accent),
            "object": core * object_[images.labels[index], None, None],
            "material": core * own["material"],
            "part": images.at(index, seen, [[number["part", part] for part, _ in one] for one in layers]),
            "scene": own["scene"].expand_as(seen),
            "texture": coat * own["texture"],
        }
        return torch.stack([planes[category] for category in CATEGORIES], dim=1).to(torch.int16)


def concepts_of(images: ShapesImages) -> Concepts:
    """The concepts of a procedural set."""
    planes = ShapesPlanes(images)
    return Concepts(planes, tuple(name for _, name in planes.labels), tuple(category for category, _ in planes.labels))
