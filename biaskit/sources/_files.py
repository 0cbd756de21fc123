"""Published data sets as files: looked for, verified, or downloaded."""

from __future__ import annotations

import hashlib
import os
import tempfile
import threading
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError

import numpy as np
import numpy.typing as npt

from biaskit.data import Source
from biaskit.errors import DataError
from biaskit.home import home
from biaskit.images import ArrayImages

__all__ = ["File", "Forms", "Part", "assemble", "locate", "places"]

#: Seconds after which a server that does not answer counts as no network.
PATIENCE = 4.0

#: Pixels (N, H, W, C) and labels of one split.
Part = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]


@dataclass(frozen=True)
class File:
    """One file below a root.

    Attributes
    ----------
    path : str
        ``"MNIST/raw/train-images-idx3-ubyte"``.
    digest : str
        Hexadecimal SHA-256 (64 digits) or MD5 (32 digits), whichever is published.
    size : int, optional
        In bytes.
    """

    path: str
    digest: str
    size: int | None = None


#: One file in the forms it may come in, such as unpacked or packed; the first one found is read.
Forms = Sequence[File]


def places(root: Path | None) -> list[Path]:
    """The folders that are searched: ``root``, the environment's ``BIASKIT_DATA``, ``BIASKIT_HOME/data``."""
    given = [root, os.environ.get("BIASKIT_DATA") or None, home() / "data"]
    return [Path(place).expanduser() for place in given if place is not None]


def locate(
    name: str, files: Sequence[Forms], root: Path | None, urls: Sequence[str], fetch: Callable[[Path], object]
) -> tuple[Path, list[Path]]:
    """The first folder that holds every file, and the files, verified; they are downloaded where none does.

    Parameters
    ----------
    name : str
        Of the data set, for messages.
    files : sequence of Forms
    root : Path or None
        Searched first; see :func:`places`.
    urls : sequence of str
        One of them must answer before a download begins.
    fetch : callable
        Downloads all files below the folder it is given.

    Raises
    ------
    DataError
        A file is truncated or altered; or one is missing and cannot be downloaded.
    """
    searched = places(root)
    for place in searched:
        found = [_first(place, forms) for forms in files]
        if all(found):
            return place, [_verified(path, file) for path, file in (pair for pair in found if pair)]
    target = home() / "data"
    reason = _silence(urls)
    if reason:
        nearest = max(searched, key=lambda place: sum(_first(place, forms) is not None for forms in files))
        missing = [forms[-1].path for forms in files if _first(nearest, forms) is None]
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise DataError(
            f"{name} is not in {' or '.join(str(place) for place in searched)}, and there is no network "
            f"({reason}): {missing[0]}{more} is missing; put it into one of these folders, "
            "set BIASKIT_DATA to another, or use colordigits, which is built in"
        )
    _download(name, files, target, fetch)
    return target, [_verified(*pair) for pair in (_first(target, forms) for forms in files) if pair]


def assemble(name: str, train: Part, test: Part, classes: Sequence[str]) -> Source:
    """A Source from its two splits, train first."""
    split = np.repeat(["train", "test"], [len(train[1]), len(test[1])])
    return Source(
        ArrayImages(np.concatenate([train[0], test[0]])),
        np.concatenate([train[1], test[1]]).astype(np.int64),
        tuple(classes),
        split,
        name,
    )


def _first(place: Path, forms: Forms) -> tuple[Path, File] | None:
    """The first form of a file that exists in a folder."""
    return next(((place / form.path, form) for form in forms if (place / form.path).is_file()), None)


def _verified(path: Path, file: File) -> Path:
    remedy = "delete it, and it is downloaded again"
    try:
        size = path.stat().st_size
        if file.size is not None and size != file.size:
            raise DataError(f"{path} has {size:,} bytes, expected {file.size:,}: it is truncated or altered; {remedy}")
        with path.open("rb") as opened:
            kind = "sha256" if len(file.digest) == 64 else "md5"
            digest = hashlib.file_digest(opened, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); check its permissions") from None
    if digest != file.digest:
        raise DataError(f"{path} is altered: expected {kind} {file.digest}, got {digest}; {remedy}")
    return path


def _download(name: str, files: Sequence[Forms], target: Path, fetch: Callable[[Path], object]) -> None:
    """Download aside and move complete files into place: an interruption leaves nothing half there."""
    try:
        target.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=target) as aside:
            fetch(Path(aside))
            for file in (form for forms in files for form in forms):
                if (Path(aside) / file.path).is_file():
                    (target / file.path).parent.mkdir(parents=True, exist_ok=True)
                    os.replace(Path(aside) / file.path, target / file.path)
    except (OSError, RuntimeError, EOFError, HTTPException) as error:
        raise DataError(
            f"{name} could not be downloaded to {target}: {error}; try again, put the files there yourself, "
            "or use colordigits, which is built in"
        ) from error
    absent = [forms[-1].path for forms in files if _first(target, forms) is None]
    if absent:
        raise DataError(f"the download of {name} came without {absent[0]}; put that file below {target} yourself")


def _silence(urls: Sequence[str]) -> str:
    """Why no server answers, or an empty string when one does.

    Asked in a thread of its own: looking up a name has no time limit. urllib goes through a proxy where one
    is set.
    """
    outcome = [f"no answer within {PATIENCE:g} s"]

    def ask() -> None:
        for url in urls:
            try:
                request = urllib.request.Request(url, method="HEAD", headers={"User-Agent": "biaskit"})
                urllib.request.urlopen(request, timeout=PATIENCE / len(urls)).close()
            except HTTPError:
                pass  # a refusal is an answer
            except (OSError, HTTPException) as error:
                reason = getattr(error, "reason", error)
                outcome[0] = str(getattr(reason, "strerror", None) or reason)
                continue
            outcome[0] = ""
            return

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(PATIENCE)
    return outcome[0]
