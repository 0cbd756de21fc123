from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from biaskit.data import Source
from biaskit.errors import DataError
from biaskit.images import EncodedImages
from biaskit.rng import numpy_generator
from biaskit.sources._tree import SUFFIXES, walk

_SPLITS = ("train", "test", "val")


def folder(
    root: Path | None = None,
    *,
    size: Annotated[int, Field(ge=1)] | None = None,
    val_as_test: bool = False,
    test_share: Annotated[float, Field(gt=0, lt=1)] | None = None,
    seed: int = 0,
) -> Source:
    """A folder of image files: root/train/CLASS/*.png and root/test/CLASS/*.png, or root/CLASS/*.png.

    Files are sorted by path, so that the same folder gives the same rows everywhere; subfolders of a class
    belong to it, hidden files and files that are no images by their suffix are left out.

    Parameters
    ----------
    root : Path
        The folder.
    size : int, optional
        Side in pixels: the shorter side is resized to it and the center is cut out. Without it all images
        must have one size.
    val_as_test : bool
        Read root/val as the test set where there is no root/test, as in ImageNet's layout.
    test_share : float, optional
        For root/CLASS/*.png: the share of every class that is drawn as test set, at least one image and not
        all.
    seed : int
        Of that draw.

    Returns
    -------
    Source
        Images (3, H, W), decoded when asked for; classes in order of their names.

    Raises
    ------
    DataError
        No folder, no split, a class that train and test do not share, a class without images, or an image
        that cannot be read.
    """
    if root is None or not root.is_dir():
        raise DataError(f"source folder needs --root, a folder of images; got {root or 'none'}")
    found = _classes(root)
    if found and set(found) <= set(_SPLITS):
        if test_share is not None:
            raise DataError(f"{root} has its own split ({', '.join(found)}); leave test_share out")
        paths, names, split = _listed_by_split(root, found, val_as_test)
    elif test_share is None:
        raise DataError(
            f"{root} holds {', '.join(found[:6]) or 'no folders'}; expected {root}/train/<class>/ and "
            f"{root}/test/<class>/, or give test_share=0.2 to draw a test set"
        )
    else:
        paths, names = _files(root, found)
        split = _drawn(names, test_share, seed, root)
    classes = sorted(set(names))
    labels = np.searchsorted(np.array(classes), np.array(names)).astype(np.int64)
    return Source(EncodedImages(paths, size=size), labels, tuple(classes), split, root.resolve().name)


def _classes(place: Path) -> list[str]:
    return sorted(entry.name for entry in place.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _files(place: Path, classes: list[str]) -> tuple[list[Path], list[str]]:
    """Image files with the class of each."""
    paths: list[Path] = []
    names: list[str] = []
    for name in classes:
        inside = [place / name / path for path in walk(place / name).images]
        if not inside:
            raise DataError(f"{place / name} holds no images ({', '.join(sorted(SUFFIXES))}); fill or remove it")
        paths += inside
        names += [name] * len(inside)
    return paths, names


def _listed_by_split(
    root: Path, found: list[str], val_as_test: bool
) -> tuple[list[Path], list[str], npt.NDArray[np.str_]]:
    held = "test" if "test" in found else "val"
    if "train" not in found or held not in found:
        raise DataError(f"{root} holds {', '.join(found)}; expected both train and test")
    if held == "val" and not val_as_test:
        raise DataError(f"{root} holds val but no test; give val_as_test=true to test on val, or rename it")
    train, test = _classes(root / "train"), _classes(root / held)
    if train != test:
        differs = sorted(set(train) ^ set(test))[0]
        where = "train" if differs in train else held
        raise DataError(f"class {differs} of {root} is in {where} alone; train and {held} need the same classes")
    if not train:
        raise DataError(f"{root}/train holds no class folders; expected {root}/train/<class>/1.png")
    first, first_names = _files(root / "train", train)
    second, second_names = _files(root / held, test)
    split = np.repeat(["train", "test"], [len(first), len(second)])
    return first + second, first_names + second_names, split


def _drawn(names: list[str], share: float, seed: int, root: Path) -> npt.NDArray[np.str_]:
    """A test set drawn class by class, so that the shares of the classes are equal on both sides."""
    rng = numpy_generator(seed, "folder", "test_share")
    listed = np.array(names)
    split = np.full(len(names), "train", dtype="<U5")
    for name in np.unique(listed):
        rows = np.flatnonzero(listed == name)
        if len(rows) < 2:
            raise DataError(f"{root / str(name)} holds a single image; a class needs two, to train and to test")
        count = min(max(1, round(share * len(rows))), len(rows) - 1)
        split[rng.permutation(rows)[:count]] = "test"
    return split
