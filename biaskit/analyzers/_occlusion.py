"""What an occluder of random noise takes from a unit, place by place."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from biaskit.errors import SpecError

__all__ = ["discrepancy", "region", "size_for"]

#: Copies of an image, and their pixels, that are shown at a time.
_COPIES, _PIXELS = 512, 2**20
#: From this side on images are large.
_LARGE = 112


def size_for(side: int) -> tuple[int, int]:
    """Side and stride of the occluder for images of a side: 11 and 3 for large ones, 5 and 2 below.

    Examples
    --------
    >>> size_for(32), size_for(224)
    ((5, 2), (11, 3))
    """
    return (11, 3) if side >= _LARGE else (5, 2)


def discrepancy(
    measure: Callable[[Tensor], Tensor], image: Tensor, generator: torch.Generator, size: int, stride: int
) -> Tensor:
    """How much a number that is read off an image changes when a patch is covered by noise, averaged per pixel.

    ``D(p) = |m(x) - m(x covered at p)|``; a pixel gets the mean of D over the patches that cover it. The noise is
    uniform, drawn once per image. The last patch of a row or column ends at the border.

    Parameters
    ----------
    measure : callable
        Images (B, C, H, W) to numbers (B,).
    image : Tensor (C, H, W), float in [0, 1]
    generator : torch.Generator
        On the CPU.
    size, stride : int
        Of the occluder, in pixels.

    Returns
    -------
    Tensor (H, W)

    Raises
    ------
    SpecError
        An occluder larger than the image.

    References
    ----------
    Zhou et al., Object Detectors Emerge in Deep Scene CNNs, arXiv 1412.6856, section 3.2.

    Examples
    --------
    >>> image = torch.zeros(1, 4, 4)
    >>> found = discrepancy(lambda x: (x[:, 0, 0, 0] > 0).float(), image, torch.Generator().manual_seed(0), 2, 2)
    >>> found.tolist()[0], found.tolist()[3]
    ([1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0])
    """
    channels, height, width = image.shape
    if size > min(height, width):
        raise SpecError(f"an occluder of {size} x {size} pixels does not fit images of {height} x {width}")
    noise = torch.rand((channels, size, size), generator=generator).to(image.device)
    inside = torch.arange(size, device=image.device)
    tops, lefts = _starts(height, size, stride), _starts(width, size, stride)
    corner = torch.cartesian_prod(tops, lefts).to(image.device)
    # The pixels (patches, size, size) of every patch, as places in the flat image.
    places = (corner[:, 0, None, None] + inside[:, None]) * width + corner[:, 1, None, None] + inside
    total, covered = image.new_zeros(height * width), image.new_zeros(height * width)
    clean = measure(image[None])
    for some in torch.split(places.flatten(1), min(_COPIES, max(1, _PIXELS // (height * width)))):
        copies = image.flatten(1).expand(len(some), -1, -1).clone()
        copies.scatter_(2, some[:, None].expand(-1, channels, -1), noise.flatten(1).expand(len(some), -1, -1))
        change = (measure(copies.view(-1, *image.shape)) - clean).abs().to(total.dtype)
        total.index_add_(0, some.flatten(), change[:, None].expand_as(some).flatten())
        covered.index_add_(0, some.flatten(), total.new_ones(some.numel()))
    return (total / covered).view(height, width)


def region(values: Tensor, share: float) -> Tensor:
    """The pixels (H, W) of the largest values, so large a share of them; none where nothing is above 0.

    Examples
    --------
    >>> region(torch.tensor([[0.0, 1.0], [2.0, 3.0]]), 0.5).tolist()
    [[False, False], [True, True]]
    """
    count = max(1, round(share * values.numel()))
    kept = torch.zeros(values.numel(), dtype=torch.bool, device=values.device)
    kept[values.flatten().sort(descending=True, stable=True).indices[:count]] = True
    return kept.view_as(values) & (values > 0.0)


def _starts(side: int, size: int, stride: int) -> Tensor:
    return torch.tensor(sorted({*range(0, side - size + 1, stride), side - size}))
