"""What the tests of sources share."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from biaskit.data import Source
from biaskit.images import Images

DATA = os.environ.get("BIASKIT_DATA", "")


def needs(path):
    found = bool(DATA) and (Path(DATA) / path).exists()
    return pytest.mark.skipif(not found, reason=f"{path} is not below BIASKIT_DATA ({DATA or 'not set'})")


def pixels(source, rows=None):
    index = torch.arange(len(source.images)) if rows is None else torch.as_tensor(rows)
    return source.images.gather(index)


def check(source, shape, counts):
    assert isinstance(source, Source)
    assert isinstance(source.images, Images)
    assert source.images.shape == shape
    assert len(source.images) == len(source.labels) == len(source.split) == sum(counts.values())
    assert {split: int((source.split == split).sum()) for split in counts} == counts
    assert source.labels.dtype == np.int64
    assert set(source.labels) <= set(range(len(source.classes)))
    assert all(type(name) is str for name in source.classes)
