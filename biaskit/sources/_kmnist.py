from __future__ import annotations

from pathlib import Path

from biaskit.data import Source
from biaskit.sources._idx import read_idx


def kmnist(root: Path | None = None) -> Source:
    """Kuzushiji-MNIST: cursive Japanese characters, 60,000 to train and 10,000 to test, 28 x 28 pixels.

    Read from the packed files (``.gz``), which are checked by the MD5 that torchvision publishes; for the
    unpacked ones there is no published checksum.

    Parameters
    ----------
    root : Path, optional
        Folder of ``KMNIST/raw/*-ubyte.gz``, torchvision's layout; searched before ``BIASKIT_DATA`` and
        ``BIASKIT_HOME/data``. Where none holds the files they are downloaded into the last.

    Returns
    -------
    Source
        70,000 images (1, 28, 28), train first; classes "o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re",
        "wo".

    Raises
    ------
    DataError
        A file is altered, or missing without a network.

    References
    ----------
    Clanuwat et al., Deep Learning for Classical Japanese Literature, arXiv 1812.01718.
    """
    from torchvision.datasets import KMNIST

    return read_idx("kmnist", KMNIST, KMNIST.classes, root)
