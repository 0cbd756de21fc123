from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from biaskit.distortions._places import checked, orders, taken
from biaskit.errors import DataError

__all__ = ["block_size", "puzzle"]


def puzzle(
    images: Tensor,
    generator: torch.Generator,
    *,
    grid: Annotated[int, Field(ge=1)] = 4,
    moved: Annotated[int, Field(ge=0)] | None = None,
) -> Tensor:
    """Cut every image into blocks and put them together in random order.

    Within its block every shape is still there; how the parts make a whole is gone.

    Parameters
    ----------
    images : Tensor (B, C, H, W)
        An image keeps its size: where a side is no multiple of ``grid``, the rest of ``H mod grid`` rows and ``W mod
        grid`` columns stays in place as a rim, shared between the two edges, and the blocks are cut from within.
    generator : torch.Generator
        Draws one permutation per image.
    grid : int
        Blocks per side, ``grid * grid`` in all. 1 changes nothing.
    moved : int, optional
        Only so many blocks, drawn for each image, trade places; by default all. As in any uniform permutation a block
        may come back to its own place; below 2 nothing changes.

    Returns
    -------
    Tensor (B, C, H, W)
        A new one of the same type.

    Raises
    ------
    DataError
        More blocks per side than pixels, or more moved than there are.

    References
    ----------
    Wu et al., arXiv 2011.09789, Figures 9 and 10; blocks as in Zhang & Zhu, arXiv 1905.09797.

    Examples
    --------
    >>> x = torch.arange(16.0).view(1, 1, 4, 4)
    >>> puzzle(x, torch.Generator().manual_seed(1), grid=2)[0, 0].tolist()
    [[8.0, 9.0, 2.0, 3.0], [12.0, 13.0, 6.0, 7.0], [10.0, 11.0, 0.0, 1.0], [14.0, 15.0, 4.0, 5.0]]
    """
    count, _, height, width = checked(images).shape
    high, wide = block_size(grid, moved, height, width)
    rim, edge = (height - grid * high) // 2, (width - grid * wide) // 2
    places = torch.arange(height * width, device=images.device).view(height, width)
    # (grid, grid, high, wide) -> one line of places per block.
    cut = places[rim : rim + grid * high, edge : edge + grid * wide].unfold(0, high, high).unfold(1, wide, wide)
    blocks = cut.reshape(grid * grid, high * wide)
    order = orders(count, len(blocks), len(blocks) if moved is None else moved, generator, images.device)
    return taken(images, blocks.flatten(), blocks[order].flatten(1))


def block_size(grid: int, moved: int | None, height: int, width: int) -> tuple[int, int]:
    """Height and width of a block in pixels.

    Raises
    ------
    DataError
    """
    if grid < 1 or grid > min(height, width):
        raise DataError(f"a puzzle of {grid} x {grid} blocks needs as many pixels; the image has {height} x {width}")
    if moved is not None and not 0 <= moved <= grid * grid:
        raise DataError(f"{moved} of {grid * grid} blocks cannot be moved; take 0 to {grid * grid}")
    return height // grid, width // grid
