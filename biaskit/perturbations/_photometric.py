"""The arithmetic of the four photometric perturbations, batched, with one amount per image.

Every function takes float images (B, 3, H, W) in [0, 1] and leaves them unchanged; amounts are a float or a
Tensor (B,). Images are expected channels last, and stay so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

from biaskit.errors import DataError

__all__ = [
    "AMOUNTS",
    "Amount",
    "Level",
    "Operation",
    "Sign",
    "add_brightness",
    "at_level",
    "by_rows",
    "change",
    "draw_amounts",
    "in_one_pass",
    "rotate_hue",
    "scale_contrast",
    "scale_saturation",
]

Operation = Literal["brightness", "contrast", "saturation", "hue"]
Level = Literal[1, 2, 3, 4]
Sign = Literal["+", "random"]
Amount = float | Tensor

#: Operation -> its amount at level 1, 2, 3, 4: added brightness (16/255 a level), factors, turns of the color
#: wheel.
AMOUNTS: Mapping[Operation, tuple[float, float, float, float]] = MappingProxyType(
    {
        "brightness": (16 / 255, 32 / 255, 48 / 255, 64 / 255),
        "contrast": (1.25, 1.5, 1.75, 2.0),
        "saturation": (1.25, 1.5, 1.75, 2.0),
        "hue": (0.1, 0.2, 0.3, 0.4),
    }
)
#: The amount that changes nothing.
NEUTRAL: Mapping[Operation, float] = MappingProxyType(
    {"brightness": 0.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0}
)
#: Weights of red, green and blue in the gray value, ITU-R BT.601 as torchvision rounds them.
GRAY = (0.2989, 0.587, 0.114)
#: Pixels of one pass of the hue rotation on a CPU: its temporary planes then stay in the cache.
_PASS = 2**18


def add_brightness(images: Tensor, amount: Amount) -> Tensor:
    """``x + amount``, clamped to [0, 1]. torchvision's ``adjust_brightness`` multiplies instead.

    Examples
    --------
    >>> add_brightness(torch.full((1, 3, 1, 1), 0.5), 0.25).flatten().tolist()
    [0.75, 0.75, 0.75]
    """
    return (images + _per_image(images, amount)).clamp_(0.0, 1.0)


def scale_contrast(images: Tensor, factor: Amount) -> Tensor:
    """``factor * x + (1 - factor) * m``, clamped, with ``m`` the mean gray value of the image.

    Equal to torchvision's ``adjust_contrast`` within 1e-6: the mean is taken per channel first, which reads
    the image once.

    Examples
    --------
    >>> x = torch.tensor([0.25, 0.75]).expand(1, 3, 1, 2)  # mean gray value 0.5 * 0.9999
    >>> [round(value, 3) for value in scale_contrast(x, 1.5)[0, 0, 0].tolist()]
    [0.125, 0.875]
    """
    ratio = _per_image(images, factor)
    return (ratio * images + (1.0 - ratio) * _gray(images.mean((2, 3)).unbind(1)).view(-1, 1, 1, 1)).clamp_(0.0, 1.0)


def scale_saturation(images: Tensor, factor: Amount) -> Tensor:
    """``factor * x + (1 - factor) * g(x)``, clamped, with ``g`` the gray value of the pixel.

    Equal to torchvision's ``adjust_saturation`` bit for bit. The result carries no gradient.

    Examples
    --------
    >>> scale_saturation(torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1), 0.0).flatten().tolist()[0]
    0.2989000082015991
    """
    return _by_planes(_saturated, images, _per_image(images, factor))


def rotate_hue(images: Tensor, turns: Amount) -> Tensor:
    """Turn the hue of HSV: ``H <- (H + turns) mod 1``; saturation and value stay.

    Equal to torchvision's ``adjust_hue`` within 2e-6 (1e-6 from each side of the exact value). The result
    carries no gradient.

    HSV is never formed. With M and m the largest and smallest channel and c = M - m, the hue in units of c is
    a distance q along a circle of length 6c, zero at red; it needs no division, so gray pixels (c = 0) are no
    special case. The turn is folded into the zero point of each third of the circle, which keeps q in [-4c,
    4c], and each channel is then ``clamp(||q - center| - 3c| - c, 0, c) + m`` with the centers 0, 2c and -2c.

    Parameters
    ----------
    images : Tensor (B, 3, H, W), float in [0, 1]
    turns : float or Tensor (B,)
        In [-0.5, 0.5]; 1/3 takes red to green, -1/3 red to blue.

    Examples
    --------
    >>> red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    >>> rotate_hue(red, -1 / 3).flatten().round(decimals=5).tolist()
    [0.0, 0.0, 1.0]
    """
    return _by_planes(_turned, images, _per_image(images, turns))


@torch.no_grad()
def _by_planes(function: Callable[[Tensor, Tensor], Tensor], images: Tensor, amount: Tensor) -> Tensor:
    """Run ``function(planes, amounts)`` in place on a copy with one plane per channel, (3, B, H, W).

    Arithmetic between channels is vectorized on planes only; on a CPU a few images at a time stay in the
    cache.
    """
    step = len(images) if images.is_cuda else max(1, _PASS // (images.shape[2] * images.shape[3]))
    changed = torch.empty_like(images)
    for start in range(0, len(images), step):
        rows = slice(start, start + step)
        planes = torch.empty_like(images[rows].transpose(0, 1), memory_format=torch.contiguous_format)
        changed[rows] = function(planes.copy_(images[rows].transpose(0, 1)), amount[rows, 0]).transpose(0, 1)
    return changed


def _saturated(planes: Tensor, factor: Tensor) -> Tensor:
    rest = _gray(planes).mul_(1.0 - factor)
    return planes.mul_(factor).add_(rest).clamp_(0.0, 1.0)


def _turned(planes: Tensor, turns: Tensor) -> Tensor:
    red, green, blue = planes
    sixths = 6.0 * turns
    high = torch.maximum(red, green).maximum(blue)
    low = torch.minimum(red, green).minimum(blue)
    chroma = high - low
    # q where blue, green or red is the largest; red wins a tie with green or blue, green one with blue. lerp_
    # with weights 0 and 1 selects exactly, and four times as fast as a boolean mask on a CPU.
    around = (red - green).addcmul_(chroma, _wrapped(sixths + 4.0))
    largest = torch.eq(green, high, out=torch.empty_like(high))
    around.lerp_((blue - red).addcmul_(chroma, _wrapped(sixths + 2.0)), largest)
    torch.eq(red, high, out=largest)
    around.lerp_((green - blue).addcmul_(chroma, _wrapped(sixths)), largest)
    torch.abs(around, out=red)
    torch.sub(around, chroma, alpha=2.0, out=green).abs_()
    torch.add(around, chroma, alpha=2.0, out=blue).abs_()
    planes.sub_(chroma, alpha=3.0).abs_().add_(low - chroma)
    return torch.clamp(planes, low, high, out=planes)


def _wrapped(sixths: Tensor) -> Tensor:
    """The same place on a circle of length 6, in [-3, 3)."""
    return torch.remainder(sixths + 3.0, 6.0) - 3.0


def _gray(planes: Iterable[Tensor]) -> Tensor:
    red, green, blue = planes
    return (GRAY[0] * red).add_(GRAY[1] * green).add_(GRAY[2] * blue)


_FUNCTIONS: Mapping[Operation, Callable[[Tensor, Amount], Tensor]] = {
    "brightness": add_brightness,
    "contrast": scale_contrast,
    "saturation": scale_saturation,
    "hue": rotate_hue,
}


def change(images: Tensor, operation: Operation, amount: Amount) -> Tensor:
    """One operation, with one amount for all images or one per image; ``AMOUNTS`` has those of the levels.

    Examples
    --------
    >>> x = torch.full((2, 3, 1, 1), 0.5)
    >>> change(x, "brightness", torch.tensor([0.0, 0.25]))[:, 0, 0, 0].tolist()
    [0.5, 0.75]
    """
    return _FUNCTIONS[operation](images, amount)


def at_level(images: Tensor, generator: torch.Generator, operation: Operation, level: Level, sign: Sign) -> Tensor:
    """One operation at one level; with ``sign="random"`` half of the images, drawn, go the other way."""
    picked = torch.zeros(len(images), dtype=torch.long, device=images.device)
    return change(images, operation, draw_amounts(picked, generator, (operation,), (level,), sign))


def draw_amounts(
    picked: Tensor,
    generator: torch.Generator,
    operations: tuple[Operation, ...],
    levels: tuple[Level, ...],
    sign: Sign,
) -> Tensor:
    """The amount of each image: a level drawn uniformly, of the operation ``operations[picked]``."""
    table = _table(operations, levels, picked.device)
    level = _draw(len(levels), picked, generator) if len(levels) > 1 else torch.zeros_like(picked)
    side = _draw(2, picked, generator) if sign == "random" else torch.zeros_like(picked)
    return table[side, picked, level]


def by_rows(images: Tensor, operations: tuple[Operation, ...], picked: Tensor, amounts: Tensor) -> Tensor:
    """Each image through its own operation; each operation computed for its rows alone."""
    order = torch.argsort(picked, stable=True)
    counts = torch.bincount(picked, minlength=len(operations)).tolist()
    # Rows are moved as (B, H, W, 3): index_select copies whole images there, and index_copy_ is ten times
    # slower.
    sorted_images = images.permute(0, 2, 3, 1).index_select(0, order).permute(0, 3, 1, 2)
    grouped = torch.split(sorted_images, counts)
    shares = torch.split(amounts.index_select(0, order), counts)
    parts = [change(part, operation, share) for operation, part, share in zip(operations, grouped, shares, strict=True)]
    return torch.cat(parts).permute(0, 2, 3, 1).index_select(0, torch.argsort(order)).permute(0, 3, 1, 2)


def in_one_pass(images: Tensor, operations: tuple[Operation, ...], picked: Tensor, amounts: Tensor) -> Tensor:
    """The same over all rows, each operation neutral where another was drawn: no count leaves the device."""
    changed = images
    for place, operation in enumerate(operations):
        amount = torch.where(picked == place, amounts, NEUTRAL[operation])
        changed = change(changed, operation, amount)
    return changed


@lru_cache(maxsize=64)
def _table(operations: tuple[Operation, ...], levels: tuple[Level, ...], device: torch.device) -> Tensor:
    """Amounts (2, operations, levels): as listed, the other way. Cached: a copy to a device waits for it."""
    listed = [[AMOUNTS[operation][level - 1] for level in levels] for operation in operations]
    # A factor turns into its reciprocal: 1 - (f - 1) would take contrast 2 to 0, an image without content.
    other = [
        [1.0 / value if NEUTRAL[operation] == 1.0 else -value for value in row]
        for operation, row in zip(operations, listed, strict=True)
    ]
    return torch.tensor([listed, other], device=device)


def _draw(high: int, like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randint(high, like.shape, generator=generator, device=generator.device).to(like.device)


def _per_image(images: Tensor, amount: Amount) -> Tensor:
    if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
        raise DataError(f"a perturbation needs float images (B, 3, H, W); got {tuple(images.shape)}, {images.dtype}")
    if not isinstance(amount, Tensor):
        amount = torch.full((len(images),), amount, dtype=images.dtype, device=images.device)
    if amount.shape != images.shape[:1]:
        raise DataError(f"{len(images)} images need one amount each; got amounts of shape {tuple(amount.shape)}")
    return amount.to(images).view(-1, 1, 1, 1)
