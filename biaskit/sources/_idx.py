"""MNIST and the data sets published in its format."""

from __future__ import annotations

import gzip
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from biaskit.data import Source
from biaskit.sources._files import File, Part, assemble, locate

__all__ = ["read_idx"]


def read_idx(
    name: str,
    dataset: Any,
    classes: Sequence[str],
    root: Path | None,
    unpacked: Mapping[str, File] | None = None,
) -> Source:
    """A Source from the four idx files of one of torchvision's MNIST-like data sets.

    Parameters
    ----------
    name : str
        Of the source.
    dataset : class
        A subclass of ``torchvision.datasets.MNIST``; its ``resources`` name the packed files and their MD5.
    classes : sequence of str
    root : Path or None
    unpacked : mapping, optional
        The unpacked files, where their checksums are known; read in preference to the packed ones.
    """
    folder = f"{dataset.__name__}/raw"
    files = []
    for packed, md5 in dataset.resources:
        form = File(f"{folder}/{packed}", md5)
        plain = (unpacked or {}).get(packed.removesuffix(".gz"))
        files.append([form] if plain is None else [plain, form])
    urls = [mirror + dataset.resources[0][0] for mirror in dataset.mirrors]
    _, paths = locate(name, files, root, urls, lambda aside: dataset(aside, download=True))
    train_images, train_labels, test_images, test_labels = paths
    return assemble(name, _part(train_images, train_labels), _part(test_images, test_labels), classes)


def _part(images: Path, labels: Path) -> Part:
    # An idx file is a header, 4 bytes and 4 for every dimension, and then the values.
    values = _values(labels)[8:].astype(np.int64)
    return _values(images)[16:].reshape(len(values), 28, 28, 1), values


def _values(path: Path) -> npt.NDArray[np.uint8]:
    if path.suffix == ".gz":
        return np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8)
    return np.fromfile(path, np.uint8)
