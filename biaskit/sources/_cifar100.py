from __future__ import annotations

from pathlib import Path

from biaskit.data import Source
from biaskit.sources._cifar import read_cifar


def cifar100(root: Path | None = None) -> Source:
    """CIFAR-100: photographs of 100 kinds of things, 50,000 to train and 10,000 to test, 32 x 32 pixels.

    The unpacked files are checked by the MD5 that torchvision publishes.

    Parameters
    ----------
    root : Path, optional
        Folder of ``cifar-100-python/``, torchvision's layout; searched before ``BIASKIT_DATA`` and
        ``BIASKIT_HOME/data``. Where none holds the files they are downloaded into the last.

    Returns
    -------
    Source
        60,000 images (3, 32, 32), train first; the 100 fine classes.

    Raises
    ------
    DataError
        A file is altered, or missing without a network.

    References
    ----------
    Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """
    from torchvision.datasets import CIFAR100

    return read_cifar("cifar100", CIFAR100, root)
