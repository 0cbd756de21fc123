"""CIFAR-10 and CIFAR-100 in torchvision's layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from biaskit.data import Source
from biaskit.sources._files import File, Part, assemble, locate

__all__ = ["read_cifar"]


def read_cifar(name: str, dataset: Any, root: Path | None) -> Source:
    """A Source from ``torchvision.datasets.CIFAR10`` or ``CIFAR100``, whose files are checked first.

    The files are Python pickles: none is opened before its MD5 equals the one torchvision publishes.
    """
    listed = [*dataset.train_list, *dataset.test_list, (dataset.meta["filename"], dataset.meta["md5"])]
    files = [[File(f"{dataset.base_folder}/{file}", md5)] for file, md5 in listed]
    place, _ = locate(name, files, root, [dataset.url], lambda aside: dataset(aside, download=True))
    train, test = dataset(place, train=True), dataset(place, train=False)
    return assemble(name, _part(train), _part(test), train.classes)


def _part(split: Any) -> Part:
    return np.asarray(split.data, np.uint8), np.asarray(split.targets, np.int64)
