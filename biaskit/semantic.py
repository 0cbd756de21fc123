"""Semantic transforms of plain images: a point of the unit cube turns, shifts, scales and recolors a picture.

Every parameter has a physical range; ``u`` in [0, 1] runs through it. The transforms are batched tensor code on the
images' device, and differentiable in ``u``: an image per row, a point per image.

>>> turn = SemanticTransform(["rotation", "brightness"])
>>> turn.physical(torch.tensor([[0.5, 1.0]])).tolist()
[[0.0, 0.25]]
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from biaskit.errors import SpecError, UnknownName
from biaskit.perturbations._photometric import GRAY

__all__ = ["PARAMETERS", "Padding", "Parameter", "SemanticTransform", "Space"]

#: What stands where a moved image shows nothing: its mirror image, its border drawn out, or black.
Padding = Literal["reflection", "border", "zeros"]


@dataclass(frozen=True)
class Parameter:
    """One axis of the space of transforms.

    Attributes
    ----------
    name, unit, meaning : str
    low, high : float
        The physical range that [0, 1] is mapped to.
    neutral : float
        The physical value that changes nothing.
    period : float
        The physical length after which everything repeats; 0 without one.
    """

    name: str
    low: float
    high: float
    unit: str
    meaning: str
    neutral: float = 0.0
    period: float = 0.0


#: The axes there are, in the order in which they act: where a pixel lies first, then its color.
PARAMETERS: Mapping[str, Parameter] = {
    one.name: one
    for one in (
        Parameter("rotation", -180.0, 180.0, "degrees", "turn about the center, counterclockwise", period=360.0),
        Parameter("translate_x", -0.25, 0.25, "share of the width", "shift to the right"),
        Parameter("translate_y", -0.25, 0.25, "share of the height", "shift down"),
        Parameter("scale", -1.0, 1.0, "log2", "the picture grows by 2 to this power"),
        Parameter("hue", -0.5, 0.5, "turns", "turn of the color in the plane of I and Q of YIQ", period=1.0),
        Parameter("brightness", -0.25, 0.25, "of full brightness", "added to every channel"),
        Parameter("contrast", 0.0, 2.0, "factor", "distance from the image's mean gray value", neutral=1.0),
        Parameter("saturation", 0.0, 2.0, "factor", "distance from the pixel's gray value", neutral=1.0),
    )
}
_PLACES = ("rotation", "translate_x", "translate_y", "scale")
#: Half sides of the image beyond which no position is looked up.
_FAR = 1000.0
#: Color television's Y, I and Q of red, green and blue (NTSC): hue is an angle in the plane of I and Q.
_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


class Space(Protocol):
    """Images of some rows of a data set at points of a unit cube: transformed, or rendered anew.

    Attributes
    ----------
    ranges : mapping of str to (low, high)
        Column of the points -> the name and the physical range of its parameter.
    units : mapping of str to str
    note : str
        What a reader must know, such as the padding.
    """

    @property
    def ranges(self) -> Mapping[str, tuple[float, float]]: ...

    @property
    def units(self) -> Mapping[str, str]: ...

    @property
    def note(self) -> str: ...

    def neutral(self, rows: Tensor) -> Tensor:
        """The points (m, n) at which the rows are as they are stored."""

    def show(self, rows: Tensor, u: Tensor) -> Tensor:
        """Images (m, 3, H, W) in [0, 1] of rows (m,) at points (m, n), on the points' device."""


class SemanticTransform:
    """Images and points of the unit cube to images, differentiable in the points.

    Geometric parameters act first, in one resampling (bilinear): output position ``x`` shows input position
    ``2^-s R(-rotation) (x - t)``, measured in pixels from the center. Then hue, saturation, contrast, brightness.

    Parameters
    ----------
    parameters : sequence of str, or mapping of str to (low, high)
        Names of :data:`PARAMETERS`, with ranges of their own or the default ones, in the order of the columns of ``u``.
    padding : "reflection", "border" or "zeros"
        What stands where the moved image shows nothing. Black corners are a cue that networks read; mirrored ones are
        less of one. It is part of what is measured: results state it.
    clamp : bool
        Keep pixels in [0, 1]. The gradient passes as if nothing had been cut off, so that a search does not stall on
        saturated pixels.

    Raises
    ------
    UnknownName, SpecError
        A parameter that does not exist, or twice; none at all; a range that is empty or not finite; a padding that does
        not exist.

    References
    ----------
    The role of the renderer in Hamdi & Ghanem, Towards Analyzing Semantic Robustness of Deep Neural Networks, ECCV
    2020, section 3; these parameters of plain images are ours.

    Examples
    --------
    >>> brighter = SemanticTransform({"brightness": (0.0, 0.5)})
    >>> brighter(torch.full((1, 3, 2, 2), 0.25), torch.tensor([[0.5]]))[0, 0].tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """

    def __init__(
        self,
        parameters: Sequence[str] | Mapping[str, tuple[float, float]],
        *,
        padding: Padding = "reflection",
        clamp: bool = True,
    ) -> None:
        if isinstance(parameters, str):
            parameters = [parameters]
        names = list(parameters)
        if not names:
            raise SpecError(f"no semantic parameter; choose among {', '.join(PARAMETERS)}")
        for name in names:
            if name not in PARAMETERS:
                raise UnknownName("semantic parameter", name, PARAMETERS)
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise SpecError(f"the semantic parameter {twice} stands twice")
        if padding not in get_args(Padding):
            raise SpecError(f"padding {padding!r}: expected one of {', '.join(get_args(Padding))}")
        ranges = parameters if isinstance(parameters, Mapping) else {}
        for name, (low, high) in ranges.items():
            if not (math.isfinite(low) and math.isfinite(high) and low < high):
                raise SpecError(f"{name}: the range {low:g} to {high:g} is empty or not finite; expected low < high")
            if name in ("contrast", "saturation") and low < 0:
                raise SpecError(f"{name}: a factor of {low:g} turns colors into their opposite; begin at 0 or above")
        defaults = {name: (PARAMETERS[name].low, PARAMETERS[name].high) for name in names}
        #: Column of ``u`` -> the name and physical range of its parameter.
        self.ranges: dict[str, tuple[float, float]] = {**defaults, **ranges}
        self.padding: Padding = padding
        self.clamp = clamp

    def __repr__(self) -> str:
        return f"<SemanticTransform {self.ranges}, padding {self.padding}>"

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters, in the order of the columns of ``u``."""
        return tuple(self.ranges)

    @property
    def neutral(self) -> Tensor:
        """The point (n,) at which nothing changes; outside [0, 1] where the ranges leave it out."""
        return self.unit({name: PARAMETERS[name].neutral for name in self.ranges})

    def unit(self, values: Mapping[str, float]) -> Tensor:
        """The point (n,) of physical values; what is not given is neutral.

        Raises
        ------
        UnknownName
            A value of a parameter that this transform does not have.
        """
        for name in values:
            if name not in self.ranges:
                raise UnknownName("semantic parameter", name, self.ranges)
        found = []
        for name, (low, high) in self.ranges.items():
            found.append((values.get(name, PARAMETERS[name].neutral) - low) / (high - low))
        return torch.tensor(found)

    def physical(self, u: Tensor) -> Tensor:
        """Physical values (B, n) of points (B, n) of the unit cube."""
        ends = u.new_tensor(list(self.ranges.values()))
        return ends[:, 0] + u * (ends[:, 1] - ends[:, 0])

    def __call__(self, images: Tensor, u: Tensor) -> Tensor:
        """Transform each image at its point.

        Parameters
        ----------
        images : Tensor (B, 3, H, W), float in [0, 1]
        u : Tensor (B, n)
            One point per image, in [0, 1]; other values go on beyond the ranges.

        Returns
        -------
        Tensor (B, 3, H, W)
        """
        if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
            raise SpecError(f"expected float images (B, 3, H, W); got {tuple(images.shape)}, {images.dtype}")
        if u.shape != (len(images), len(self.ranges)):
            raise SpecError(
                f"{len(images)} images and {len(self.ranges)} parameters need points of shape "
                f"({len(images)}, {len(self.ranges)}); got {tuple(u.shape)}"
            )
        if not len(images):
            return images
        values = dict(zip(self.ranges, self.physical(u.to(images)).unbind(1), strict=True))
        if any(name in values for name in _PLACES):
            images = _moved(images, values, self.padding)
        if "hue" in values:
            images = _turned(images, values["hue"])
        if "saturation" in values:
            gray = _gray(images)
            images = gray + _spread(values["saturation"]) * (images - gray)
        if "contrast" in values:
            mean = _gray(images).mean((2, 3), keepdim=True)
            images = mean + _spread(values["contrast"]) * (images - mean)
        if "brightness" in values:
            images = images + _spread(values["brightness"])
        if self.clamp:
            images = images + (images.clamp(0.0, 1.0) - images).detach()
        return images


def _moved(images: Tensor, values: Mapping[str, Tensor], padding: Padding) -> Tensor:
    """Rotation, shift and scale as one resampling."""
    count, _, height, width = images.shape
    zero = images.new_zeros(count)
    angle = torch.deg2rad(values.get("rotation", zero))
    shrink = torch.exp2(-values.get("scale", zero))
    # Positions run from -1 to 1 over each side, and y runs down.
    right, down = 2.0 * values.get("translate_x", zero), 2.0 * values.get("translate_y", zero)
    cos, sin = shrink * torch.cos(angle), shrink * torch.sin(angle)
    aspect = height / width
    rows = (
        torch.stack([cos, -sin * aspect, -cos * right + sin * aspect * down], dim=1),
        torch.stack([sin / aspect, cos, -sin / aspect * right - cos * down], dim=1),
    )
    grid = affine_grid(torch.stack(rows, dim=1), list(images.shape), align_corners=False)
    # Positions far outside, or none, crash the resampling: they are held at a distance, and no number stays none.
    known = grid.isfinite().flatten(1).all(1).view(-1, 1, 1, 1)
    held = grid.nan_to_num(0.0, _FAR, -_FAR).clamp(-_FAR, _FAR)
    found = grid_sample(images, held, mode="bilinear", padding_mode=padding, align_corners=False)
    return torch.where(known, found, torch.nan)


def _turned(images: Tensor, turns: Tensor) -> Tensor:
    """Hue as a rotation in the plane of I and Q: linear, smooth, of period 1, and the identity on gray."""
    forth = torch.tensor(_YIQ, dtype=torch.float64)
    back, forth = torch.linalg.inv(forth).to(images), forth.to(images)
    angle = 2.0 * math.pi * turns
    cos, sin, one, zero = torch.cos(angle), torch.sin(angle), torch.ones_like(angle), torch.zeros_like(angle)
    rows = [torch.stack(row, dim=1) for row in ((one, zero, zero), (zero, cos, -sin), (zero, sin, cos))]
    change = back @ torch.stack(rows, dim=1) @ forth
    return torch.einsum("bij,bjhw->bihw", change, images)


def _gray(images: Tensor) -> Tensor:
    return (images * images.new_tensor(GRAY).view(1, 3, 1, 1)).sum(1, keepdim=True)


def _spread(amount: Tensor) -> Tensor:
    return amount.view(-1, 1, 1, 1)
