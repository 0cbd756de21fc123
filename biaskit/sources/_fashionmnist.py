from __future__ import annotations

from pathlib import Path

from biaskit.data import Source
from biaskit.sources._idx import read_idx


def fashionmnist(root: Path | None = None) -> Source:
    """Fashion-MNIST: articles of clothing, 60,000 to train and 10,000 to test, 28 x 28 pixels.

    Read from the packed files (``.gz``), which are checked by the MD5 that torchvision publishes; for the
    unpacked ones there is no published checksum.

    Parameters
    ----------
    root : Path, optional
        Folder of ``FashionMNIST/raw/*-ubyte.gz``, torchvision's layout; searched before ``BIASKIT_DATA`` and
        ``BIASKIT_HOME/data``. Where none holds the files they are downloaded into the last.

    Returns
    -------
    Source
        70,000 images (1, 28, 28), train first; classes "T-shirt/top" to "Ankle boot".

    Raises
    ------
    DataError
        A file is altered, or missing without a network.

    References
    ----------
    Xiao et al., Fashion-MNIST, arXiv 1708.07747.
    """
    from torchvision.datasets import FashionMNIST

    return read_idx("fashionmnist", FashionMNIST, FashionMNIST.classes, root)
