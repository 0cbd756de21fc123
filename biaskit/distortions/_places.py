"""What the distortions share: random orders of a whole batch at once, and pixels taken from other places."""

from __future__ import annotations

import torch
from torch import Tensor

from biaskit.errors import DataError

__all__ = ["checked", "half_up", "orders", "taken"]


def checked(images: Tensor) -> Tensor:
    """The images, if they are a batch (B, C, H, W).

    Raises
    ------
    DataError
    """
    if images.ndim != 4:
        raise DataError(f"a distortion needs images (B, C, H, W); got shape {tuple(images.shape)}")
    return images


def half_up(amount: float) -> int:
    """The nearest integer, halves upwards: Python's ``round`` takes 0.5 down and 1.5 up.

    Examples
    --------
    >>> half_up(0.5), half_up(2.5), round(0.5), round(2.5)
    (1, 3, 0, 2)
    """
    return int(amount + 0.5)


def orders(count: int, items: int, moved: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """For each of ``count`` images which item comes to which place; ``moved`` of them, drawn, trade places uniformly.

    Returns
    -------
    Tensor of int64 (count, items)
        Place p receives item ``[image, p]``; what is not drawn stays.

    Examples
    --------
    >>> found = orders(2, 5, 5, torch.Generator().manual_seed(0), torch.device("cpu"))
    >>> found.sort(dim=1).values.tolist()
    [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]
    """
    # The order of random keys is a uniform permutation; 63 bits make a tie among a million of them a rarity.
    keys = torch.randint(2**63 - 1, (count, items), generator=generator, device=generator.device)
    drawn = keys.argsort(dim=1)[:, :moved].to(device)
    stay = torch.arange(items, device=device).repeat(count, 1)
    # The first of a random order are a random set in random order; their places are taken in ascending order.
    return stay.scatter_(1, drawn.sort(dim=1).values, drawn)


def taken(images: Tensor, inside: Tensor, source: Tensor) -> Tensor:
    """Images whose pixels at the places ``inside`` (n,) come from the places ``source`` (B, n) of the same image.

    Places count along the rows of the image. All channels move together.
    """
    count, channels, height, width = images.shape
    # Pixels as rows of channels: a view where images are channels last, as they are everywhere here.
    pixels = images.permute(0, 2, 3, 1).reshape(count, height * width, channels)
    moved = pixels.gather(1, source.unsqueeze(2).expand(-1, -1, channels))
    return pixels.index_copy(1, inside, moved).view(count, height, width, channels).permute(0, 3, 1, 2)
