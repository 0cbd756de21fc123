"""Gray sets are painted by table; the table must give the bytes of the arithmetic."""

import numpy as np
import pytest
import torch

from biaskit.builders import background_color, foreground_color
from biaskit.builders._planting import Rendered, _marked, _painted
from biaskit.data import Source
from biaskit.images import ArrayImages


@pytest.fixture
def every_level():
    """600 images that hold every gray level many times."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (600, 28, 28, 1), dtype=np.uint8)
    split = np.where(np.arange(600) < 400, "train", "test")
    return Source(ArrayImages(pixels), np.arange(600) % 2, ("0", "1"), split, "noise")


def literal(images: Rendered, index):
    base, layers = images.base.gather(images.rows[index]), images.layers
    codes = [layer.codes[index] for layer in layers]
    return _painted(base, layers, codes, [layer.phase[index] for layer in layers]), _marked(base, layers, codes)


@pytest.mark.parametrize("both", [False, True])
def test_the_table_is_the_arithmetic(every_level, both):
    data = background_color(every_level, np.random.default_rng(1), values=("red", "#123456"))
    if both:
        data = foreground_color(data, np.random.default_rng(2), attribute="ink", train=(0.5,), test=(0.5,))
    index = torch.randperm(len(data), generator=torch.Generator().manual_seed(0))
    assert isinstance(data.images, Rendered)
    assert data.images.shades is not None
    images, masks = literal(data.images, index)
    assert torch.equal(data.images.gather(index), images)
    assert data.images.gather(index).is_contiguous(memory_format=torch.channels_last)
    assert data.masks is not None
    assert torch.equal(data.masks.gather(index), masks)


def test_odd_widths_and_small_sets_are_painted_pixel_by_pixel(every_level):
    odd = np.zeros((600, 5, 5, 1), np.uint8)
    source = Source(ArrayImages(odd), every_level.labels, every_level.classes, every_level.split, "odd")
    data = background_color(source, np.random.default_rng(0))
    assert isinstance(data.images, Rendered)
    assert data.images.shades is None
    index = torch.arange(10)
    assert torch.equal(data.images.gather(index), literal(data.images, index)[0])
