from __future__ import annotations

from pathlib import Path

from biaskit.data import Source
from biaskit.sources._files import File
from biaskit.sources._idx import read_idx

_UNPACKED = {
    file.path.rpartition("/")[2]: file
    for file in (
        File(
            "MNIST/raw/train-images-idx3-ubyte",
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            47_040_016,
        ),
        File(
            "MNIST/raw/train-labels-idx1-ubyte",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            60_008,
        ),
        File(
            "MNIST/raw/t10k-images-idx3-ubyte",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            7_840_016,
        ),
        File(
            "MNIST/raw/t10k-labels-idx1-ubyte",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            10_008,
        ),
    )
}


def mnist(root: Path | None = None) -> Source:
    """MNIST: handwritten digits, 60,000 to train and 10,000 to test, 28 x 28 pixels.

    The unpacked files are checked by size and SHA-256 (torchvision itself accepts a flipped byte there),
    packed ones (``.gz``) by the MD5 that torchvision publishes.

    Parameters
    ----------
    root : Path, optional
        Folder of ``MNIST/raw/*-ubyte``, torchvision's layout; searched before ``BIASKIT_DATA`` and
        ``BIASKIT_HOME/data``. Where none holds the files they are downloaded into the last.

    Returns
    -------
    Source
        70,000 images (1, 28, 28) in the original order, train first; classes "0" to "9".

    Raises
    ------
    DataError
        A file is truncated or altered, or missing without a network.

    References
    ----------
    LeCun et al., Gradient-Based Learning Applied to Document Recognition, Proceedings of the IEEE, 1998.
    """
    from torchvision.datasets import MNIST

    return read_idx("mnist", MNIST, [str(digit) for digit in range(10)], root, _UNPACKED)
