"""Semantic maps and regions as pictures: confidence from dark to light in one hue that everybody can read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

__all__ = ["curve_picture", "heat_picture", "matrix_picture", "small_heat_picture"]

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
Side = tuple[str, tuple[float, float]]

#: From no confidence to full: lightness grows evenly, so that it reads the same in gray and for every eye.
_RAMP = np.asarray([(16, 22, 58), (24, 62, 114), (20, 106, 150), (58, 150, 168), (132, 192, 178), (222, 232, 190)])
_INK, _GRID, _LINE = (27, 31, 36), (214, 219, 225), (10, 88, 160)
#: The plot and its margins, in pixels.
_PLOT, _LEFT, _BOTTOM, _TOP, _RIGHT = 200, 54, 40, 8, 14
#: The scale beside a map, and the room for its numbers.
_SCALE, _NUMBERS = 10, 44


def _colors(values: Floats) -> Pixels:
    at = np.clip(values, 0.0, 1.0) * (len(_RAMP) - 1)
    low = np.minimum(at.astype(int), len(_RAMP) - 2)
    part = (at - low)[..., None]
    found: Pixels = np.rint(_RAMP[low] * (1 - part) + _RAMP[low + 1] * part).astype(np.uint8)
    return found


def heat_picture(
    values: Floats,
    across: Side,
    up: Side,
    units: Mapping[str, str],
    boxes: Sequence[tuple[float, float, float, float]] = (),
    way: Sequence[tuple[float, float, float, float]] = (),
) -> Pixels:
    """A map (points up, points across) in [0, 1], the first row at the bottom, with its axes and the scale of colors.

    ``boxes`` are regions (left, bottom, right, top) in shares of the domain; ``way`` those they went through, thin.
    """
    plot = Image.fromarray(_colors(values[::-1])).resize((_PLOT, _PLOT), Image.Resampling.NEAREST)
    canvas = _canvas(_SCALE + _NUMBERS)
    draw = ImageDraw.Draw(canvas)
    canvas.paste(plot, (_LEFT, _TOP))
    _scale(canvas)
    for box in way:
        draw.rectangle(_corners(box), outline=(200, 200, 200), width=1)
    for box in boxes:
        draw.rectangle(_corners(box), outline=(255, 255, 255), width=3)
        draw.rectangle(_corners(box), outline=(179, 84, 10), width=1)
    _axis_across(draw, across, units[across[0]])
    _axis_up(canvas, up)
    return np.asarray(canvas)


def small_heat_picture(values: Floats, across: Side, up: Side) -> Pixels:
    """The same for many side by side, which a page shows small: the ends of the axes in large figures and no words."""
    font, left, bottom = ImageFont.load_default(22), 58, 30
    canvas = Image.new("RGB", (left + _PLOT + 4, 4 + _PLOT + bottom), "white")
    canvas.paste(Image.fromarray(_colors(values[::-1])).resize((_PLOT, _PLOT), Image.Resampling.NEAREST), (left, 4))
    draw = ImageDraw.Draw(canvas)
    for at, value, anchor in ((left, across[1][0], "lt"), (left + _PLOT, across[1][1], "rt")):
        draw.text((at, _PLOT + 8), f"{value:g}", fill=_INK, font=font, anchor=anchor)
    for height, value, anchor in ((4 + _PLOT, up[1][0], "rb"), (4, up[1][1], "rt")):
        draw.text((left - 6, height), f"{value:g}", fill=_INK, font=font, anchor=anchor)
    return np.asarray(canvas)


def _corners(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    left, bottom, right, top = box
    return _LEFT + left * _PLOT, _TOP + (1 - top) * _PLOT, _LEFT + right * _PLOT, _TOP + (1 - bottom) * _PLOT


def curve_picture(values: Floats, across: Side, unit: str) -> Pixels:
    """A confidence (points,) over one parameter."""
    canvas = _canvas()
    draw = ImageDraw.Draw(canvas)
    for share in (0.0, 0.5, 1.0):
        height = _TOP + (1 - share) * _PLOT
        draw.line((_LEFT, height, _LEFT + _PLOT, height), fill=_GRID)
    places = np.linspace(0, 1, len(values))
    line = [(_LEFT + x * _PLOT, _TOP + (1 - y) * _PLOT) for x, y in zip(places, np.clip(values, 0, 1), strict=True)]
    draw.line(line, fill=_LINE, width=2)
    _axis_across(draw, across, unit)
    _axis_up(canvas, ("confidence", (0.0, 1.0)))
    return np.asarray(canvas)


def _canvas(more: int = 0) -> Image.Image:
    return Image.new("RGB", (_LEFT + _PLOT + _RIGHT + more, _TOP + _PLOT + _BOTTOM), "white")


def _scale(canvas: Image.Image) -> None:
    """The colors from no confidence, at the bottom, to full; the same in every map."""
    left, font, draw = _LEFT + _PLOT + _RIGHT, ImageFont.load_default(12), ImageDraw.Draw(canvas)
    bar = _colors(np.linspace(1, 0, _PLOT)[:, None]).repeat(_SCALE, axis=1)
    canvas.paste(Image.fromarray(bar), (left, _TOP))
    for share, text, anchor in ((0.0, "0", "lb"), (0.5, "0.5", "lm"), (1.0, "1", "lt")):
        draw.text((left + _SCALE + 4, _TOP + (1 - share) * _PLOT), text, fill=_INK, font=font, anchor=anchor)
    words = Image.new("RGB", (_PLOT, 16), "white")
    ImageDraw.Draw(words).text((_PLOT / 2, 8), "confidence", fill=_INK, font=font, anchor="mm")
    canvas.paste(words.rotate(90, expand=True), (left + _SCALE + 26, _TOP))


def _axis_across(draw: ImageDraw.ImageDraw, side: Side, unit: str) -> None:
    (name, (low, high)), font = side, ImageFont.load_default(12)
    base = _TOP + _PLOT
    for share, value, anchor in ((0.0, low, "lt"), (0.5, (low + high) / 2, "mt"), (1.0, high, "rt")):
        draw.line((_LEFT + share * _PLOT, base, _LEFT + share * _PLOT, base + 4), fill=_INK)
        draw.text((_LEFT + share * _PLOT, base + 6), f"{value:g}", fill=_INK, font=font, anchor=anchor)
    draw.text((_LEFT + _PLOT / 2, base + 22), f"{name}, {unit}", fill=_INK, font=font, anchor="mt")


def _axis_up(canvas: Image.Image, side: Side) -> None:
    (name, (low, high)), font = side, ImageFont.load_default(12)
    draw = ImageDraw.Draw(canvas)
    for share, value in ((0.0, low), (0.5, (low + high) / 2), (1.0, high)):
        height = _TOP + (1 - share) * _PLOT
        draw.line((_LEFT - 4, height, _LEFT, height), fill=_INK)
        anchor = "rb" if share == 0.0 else "rt" if share == 1.0 else "rm"
        draw.text((_LEFT - 6, height), f"{value:g}", fill=_INK, font=font, anchor=anchor)
    words = Image.new("RGB", (_PLOT, 16), "white")
    ImageDraw.Draw(words).text((_PLOT / 2, 8), name, fill=_INK, font=font, anchor="mm")
    canvas.paste(words.rotate(90, expand=True), (2, _TOP))


def matrix_picture(values: Floats, names: Sequence[str]) -> Pixels:
    """A symmetric matrix of correlations in [-1, 1]: orange where alike, blue where opposite, white at 0.

    The diagonal, which is 1 by definition, is gray. Names stand at the left, as many as fit.
    """
    count = len(names)
    cell = max(2, min(20, 240 // count))
    strength = np.clip(np.nan_to_num(values), -1.0, 1.0)[..., None]
    toward = np.where(strength > 0, np.asarray([179.0, 84.0, 10.0]), np.asarray([10.0, 88.0, 160.0]))
    colors = 255.0 + np.abs(strength) * (toward - 255.0)
    colors[np.arange(count), np.arange(count)] = 225.0
    grid = np.rint(colors).astype(np.uint8).repeat(cell, axis=0).repeat(cell, axis=1)
    font = ImageFont.load_default(max(7, min(12, cell - 2)))
    shown = [name if len(name) <= 12 else f"{name[:11]}\u2026" for name in names] if cell >= 9 else []
    left = 4 + max((int(font.getlength(name)) for name in shown), default=0) + (4 if shown else 0)
    canvas = Image.new("RGB", (left + grid.shape[1] + 4, grid.shape[0] + 8), "white")
    canvas.paste(Image.fromarray(grid), (left, 4))
    draw = ImageDraw.Draw(canvas)
    for place, name in enumerate(shown):
        draw.text((left - 4, 4 + (place + 0.5) * cell), name, fill=_INK, font=font, anchor="rm")
    return np.asarray(canvas)
