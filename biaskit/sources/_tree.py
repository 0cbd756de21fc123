"""The files below a folder, looked at once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from biaskit.errors import DataError

__all__ = ["SPLITS", "SUFFIXES", "Tree", "split_name", "walk"]

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
#: What folders, files and columns call the three splits.
SPLITS = {
    "train": ("train", "training", "tr"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_CALLED = {word: split for split, words in SPLITS.items() for word in words}


@dataclass(frozen=True)
class Tree:
    """A folder and the files in it, as paths below it with ``/`` between the parts, in order.

    Attributes
    ----------
    root : Path
    images : tuple of str
        Files with the suffix of an image.
    others : tuple of str
        All other files.
    """

    root: Path
    images: tuple[str, ...]
    others: tuple[str, ...]

    @cached_property
    def folders(self) -> tuple[str, ...]:
        """The folders directly in it that hold images."""
        return tuple(sorted({path.partition("/")[0] for path in self.images if "/" in path}))


def walk(root: Path) -> Tree:
    """Look at every file below a folder; hidden files and folders are left out, links are followed.

    Raises
    ------
    DataError
        A folder that cannot be read, or one that holds itself through a link; an image whose path is no UTF-8 text.
    """
    images: list[str] = []
    others: list[str] = []

    def look(folder: Path, start: str, above: tuple[tuple[int, int], ...]) -> None:
        try:
            about = folder.stat()
            with os.scandir(folder) as found:
                entries = sorted((one for one in found if not one.name.startswith(".")), key=lambda one: one.name)
        except OSError as error:
            raise DataError(f"{folder} cannot be read ({error.strerror}); check its permissions") from None
        here = (about.st_dev, about.st_ino)
        if here in above:
            raise DataError(f"{folder} is a link to a folder it stands in; remove the link")
        for entry in entries:
            if entry.is_dir():
                look(folder / entry.name, f"{start}{entry.name}/", (*above, here))
            elif os.path.splitext(entry.name)[1].lower() in SUFFIXES:
                # A link to nothing is an image that cannot be read, which is said; pipes and devices are none.
                if entry.is_file() or (entry.is_symlink() and not os.path.exists(entry.path)):
                    images.append(_text(start + entry.name, root))
            elif entry.is_file():
                others.append(start + entry.name)

    look(root, "", ())
    return Tree(root, tuple(sorted(images)), tuple(sorted(others)))


def _text(path: str, root: Path) -> str:
    """A path that tables and reports can hold."""
    try:
        path.encode()
    except UnicodeEncodeError:
        raise DataError(f"{root / path}: the name of a file or folder is no UTF-8 text; rename it") from None
    return path


def split_name(word: str) -> str | None:
    """``train``, ``val`` or ``test`` for the usual names of the splits, None for anything else.

    Examples
    --------
    >>> split_name("validation"), split_name("Test"), split_name("cats")
    ('val', 'test', None)
    """
    return _CALLED.get(word.lower())
