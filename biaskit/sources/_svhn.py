from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from biaskit.data import Source
from biaskit.sources._files import File, Part, assemble, locate


def svhn(root: Path | None = None) -> Source:
    """Street View House Numbers: digits in photographs, 73,257 to train and 26,032 to test, 32 x 32 pixels.

    The files are checked by the MD5 that torchvision publishes. The ``extra`` split is left out.

    Parameters
    ----------
    root : Path, optional
        Folder of ``train_32x32.mat`` and ``test_32x32.mat``, torchvision's layout; searched before
        ``BIASKIT_DATA`` and ``BIASKIT_HOME/data``. Where none holds the files they are downloaded into the
        last.

    Returns
    -------
    Source
        99,289 images (3, 32, 32), train first; classes "0" to "9".

    Raises
    ------
    DataError
        A file is altered, or missing without a network.

    References
    ----------
    Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning, NIPS workshop 2011.
    """
    from torchvision.datasets import SVHN

    listed = [SVHN.split_list[split] for split in ("train", "test")]
    files = [[File(file, md5)] for _, file, md5 in listed]

    def fetch(aside: Path) -> None:
        for split in ("train", "test"):
            SVHN(aside, split, download=True)

    place, _ = locate("svhn", files, root, [url for url, _, _ in listed], fetch)
    train, test = SVHN(place, "train"), SVHN(place, "test")
    return assemble("svhn", _part(train), _part(test), [str(digit) for digit in range(10)])


def _part(split: Any) -> Part:
    return np.ascontiguousarray(split.data.transpose(0, 2, 3, 1)), np.asarray(split.labels, np.int64)
