"""A data set of rendered objects: its images, its masks, and the same objects from any other pose."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from biaskit.data import CORE
from biaskit.errors import SpecError, UnknownName
from biaskit.render import render

__all__ = ["AZIMUTH", "ELEVATION", "PoseImages", "PoseMasks", "PoseSpace"]

#: Degrees of the domain: all around, and from a little below to straight above.
AZIMUTH, ELEVATION = (0.0, 360.0), (-10.0, 90.0)


@dataclass(frozen=True, eq=False)
class PoseImages:
    """Objects rendered when they are asked for; the same numbers give the same bytes.

    Attributes
    ----------
    size : int
        Side in pixels.
    kinds : tuple of str
        The object of each label.
    labels : int64 Tensor (N,)
    jitter : float Tensor (N, 4)
    poses : float Tensor (N, 2)
        Azimuth and elevation in degrees.
    """

    size: int
    kinds: tuple[str, ...]
    labels: Tensor
    jitter: Tensor
    poses: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int, int]:
        return (3, self.size, self.size)

    def gather(self, index: Tensor) -> Tensor:
        index = index.to(self.labels.device)
        found = self.at(index, self.poses[index])
        return found.mul(255.0).round_().clamp_(0, 255).to(torch.uint8).contiguous(memory_format=torch.channels_last)

    def at(self, index: Tensor, poses: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] of rows (B,) from poses (B, 2), differentiable in the poses."""
        kinds = [self.kinds[one] for one in self.labels[index].tolist()]
        return render(kinds, self.jitter[index].to(poses), poses[:, 0], poses[:, 1], size=self.size)

    def to(self, device: torch.device | str) -> PoseImages:
        """The same objects, rendered on a device."""
        moved = {name: getattr(self, name).to(device) for name in ("labels", "jitter", "poses")}
        return replace(self, **moved)


@dataclass(frozen=True, eq=False)
class PoseMasks:
    """The object: pixels that it covers at least half; nothing is planted in the picture."""

    images: PoseImages

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        return (1, *self.images.shape[1:])

    def gather(self, index: Tensor) -> Tensor:
        # The darkest side of an object is half as bright as white: a quarter is half of a pixel of it.
        return (self.images.gather(index)[:, :1] >= 64).to(torch.uint8) * CORE


@dataclass(frozen=True, eq=False)
class PoseSpace:
    """The objects of a data set from any azimuth and elevation: a :class:`biaskit.semantic.Space`.

    Attributes
    ----------
    images : PoseImages
    ranges : mapping of str to (low, high)
    """

    images: PoseImages
    ranges: Mapping[str, tuple[float, float]]

    @property
    def units(self) -> Mapping[str, str]:
        return dict.fromkeys(self.ranges, "degrees")

    @property
    def note(self) -> str:
        fixed = [name for name in ("azimuth", "elevation") if name not in self.ranges]
        return f"every object keeps the {fixed[0]} of its image" if fixed else ""

    def restricted(self, parameters: Sequence[str], ranges: Mapping[str, tuple[float, float]]) -> PoseSpace:
        """The same with some of the parameters, or other ranges, in the order given.

        Raises
        ------
        UnknownName, SpecError
            Another parameter, or one twice; a range that is empty, not finite, or over the top.
        """
        unknown = [name for name in (*parameters, *ranges) if name not in self.ranges]
        if unknown:
            raise UnknownName("semantic parameter", unknown[0], self.ranges)
        twice = [name for name in parameters if list(parameters).count(name) > 1]
        if twice:
            raise SpecError(f"the semantic parameter {twice[0]} stands twice")
        chosen = {name: ranges.get(name, self.ranges[name]) for name in parameters}
        for name, (low, high) in chosen.items():
            if not -math.inf < low < high < math.inf:
                raise SpecError(f"{name}: the range {low:g} to {high:g} is empty or not finite; expected low < high")
        low, high = chosen.get("elevation", ELEVATION)
        if low < -90 or high > 90:
            raise SpecError(f"elevation: the range {low:g} to {high:g} goes over the top; -90 is below and 90 above")
        return PoseSpace(self.images, chosen)

    def neutral(self, rows: Tensor) -> Tensor:
        """The points at which the rows are as they are stored."""
        poses = self.images.poses[rows.to(self.images.poses.device)]
        at = {"azimuth": poses[:, 0], "elevation": poses[:, 1]}
        return torch.stack([(at[name] - low) / (high - low) for name, (low, high) in self.ranges.items()], dim=1)

    def show(self, rows: Tensor, u: Tensor) -> Tensor:
        """Images (m, 3, H, W) of rows (m,) at points (m, n); an azimuth beyond the circle comes round."""
        images = self.images if self.images.labels.device == u.device else self.images.to(u.device)
        rows = rows.to(u.device)
        poses = dict(zip(("azimuth", "elevation"), images.poses[rows].to(u).unbind(1), strict=True))
        for place, (name, (low, high)) in enumerate(self.ranges.items()):
            poses[name] = low + (high - low) * u[:, place]
        both = torch.stack([poses["azimuth"], poses["elevation"].clamp(-90.0, 90.0)], dim=1)
        return images.at(rows, both)
