"""Data sets on disk: written whole or not at all, and checked byte for byte."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import tomli_w
from numpy.lib import format as npy

from biaskit.concepts import ArrayPlanes, Concepts
from biaskit.data import Dataset
from biaskit.describe import png, sprite
from biaskit.errors import DataError, StoreError
from biaskit.images import IN_MEMORY, ArrayImages, Images, chunks
from biaskit.specs import read_toml

__all__ = [
    "FILES",
    "FORMAT",
    "check_format",
    "check_replaceable",
    "disk_errors",
    "files_named",
    "new_folder",
    "open_dataset",
    "read_planes",
    "save_dataset",
    "sha256",
    "verify",
    "with_categories",
    "write_planes",
    "written_card",
]

#: The newest folder layout this version reads.
FORMAT = 1
_CHECKSUMS = "checksums.json"
#: Files that are flushed to the disk at a time.
_FLUSHES = 16
#: What a data set folder holds.
FILES = (_CHECKSUMS, "card.toml", "concepts.npy", "images.npy", "masks.npy", "preview.png", "table.parquet")


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what the disk says into one line: full, not writable, not there."""
    try:
        yield
    except OSError as error:
        reasons = {
            errno.ENOSPC: "no space left on the device; free some, or write elsewhere with --out",
            errno.EDQUOT: "the disk quota is used up; free some, or write elsewhere with --out",
            errno.EFBIG: "the file would be larger than allowed here; raise the limit, or write elsewhere with --out",
            errno.EACCES: "not writable; choose another folder with --out",
            errno.EPERM: "not writable; choose another folder with --out",
            errno.EROFS: "the file system is read-only; choose another folder with --out",
            errno.EISDIR: "a folder stands where a file belongs; remove it",
            errno.EEXIST: "a part of the path is a file; choose another folder with --out",
            errno.ENOTDIR: "a part of the path is a file; choose another folder with --out",
            errno.ENAMETOOLONG: "the name is too long; choose another folder with --out",
        }
        reason = reasons.get(error.errno or 0)
        if reason is None:
            raise
        raise StoreError(f"{path}: {reason}") from None


def check_replaceable(path: Path, holds: Sequence[str]) -> None:
    """Whether a folder may be written as a whole: it is not there, is empty, or holds what we write and nothing else.

    Parameters
    ----------
    path : Path
    holds : sequence of str
        Names of the files and folders of its kind; the first one is always among them.

    Raises
    ------
    StoreError
        It is a file, the current folder, a mount point, or holds something of somebody else's.
    """
    with disk_errors(path):
        if path.exists() and not path.is_dir():
            raise StoreError(f"{path} is a file; choose another folder with --out")
        if not path.is_dir():
            return
        if path.is_mount() or path.resolve() == Path.cwd():
            raise StoreError(
                f"{path} is the current folder or a mount point, which cannot be replaced as a whole; "
                "choose a folder inside it with --out"
            )
        present = sorted(one.name for one in path.iterdir())
        other = [name for name in present if name not in holds]
        if other or (present and holds[0] not in present):
            raise StoreError(
                f"{path} holds other files ({(other or present)[0]}); choose an empty or a new folder with --out"
            )


@contextmanager
def new_folder(path: Path, *, holds: Sequence[str]) -> Iterator[Path]:
    """A folder that appears whole: work in the yielded one, which is renamed to ``path`` at the end.

    One that is there already is replaced if :func:`check_replaceable` allows it.
    """
    check_replaceable(path, holds)
    with disk_errors(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            work = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
        except FileNotFoundError:
            raise StoreError(f"{path} cannot be made there; choose another folder with --out") from None
        try:
            yield work
            _sync(work)
            work.chmod(0o755)
            if path.is_dir():
                old = Path(tempfile.mkdtemp(prefix=f".{path.name}-old-", dir=path.parent))
                os.replace(path, old / path.name)
                os.replace(work, path)
                shutil.rmtree(old, ignore_errors=True)
            else:
                os.replace(work, path)
        finally:
            shutil.rmtree(work, ignore_errors=True)


def save_dataset(dataset: Dataset, folder: Path) -> None:
    """Write images, masks, concepts, table, card, preview and checksums; the same data gives the same bytes."""
    with new_folder(folder, holds=FILES) as work:
        _write_npy(work / "images.npy", dataset.images)
        write_planes(dataset, work)
        dataset.table.to_parquet(work / "table.parquet", index=False)
        (work / "card.toml").write_text(tomli_w.dumps(written_card(dataset)), encoding="utf-8")
        (work / "preview.png").write_bytes(png(sprite(dataset, twins=True), scale=4))
        sums = {path.name: {"bytes": path.stat().st_size, "sha256": sha256(path)} for path in sorted(work.iterdir())}
        (work / _CHECKSUMS).write_text(_as_json(sums), encoding="utf-8")


def written_card(dataset: Dataset) -> dict[str, Any]:
    """The card as it is written: with the layout's number, the groups, and the categories that a table may lose."""
    concepts = dataset.concepts
    told = {"names": list(concepts.names), "categories": list(concepts.categories)} if concepts is not None else {}
    return {
        **{key: one for key, one in plain(dataset.card).items() if key != "concepts"},
        **({"concepts": told} if told else {}),
        "format": FORMAT,
        "group_by": list(dataset.group_by),
        "categories": {
            name: [str(value) for value in dataset.table[name].cat.categories]
            for name in ("label", *dataset.attributes, "split", "swapped")
        },
    }


def check_format(card: Mapping[str, Any], folder: Path) -> None:
    """Refuse what a newer version wrote.

    Raises
    ------
    DataError
    """
    if int(card.get("format", 0)) > FORMAT:
        raise DataError(
            f"{folder} has layout {card['format']}, built by a newer biaskit ({card.get('biaskit', '?')}); "
            f"this one reads up to {FORMAT}: update it, or build the set again"
        )


def with_categories(table: pd.DataFrame, card: Mapping[str, Any], where: Path) -> pd.DataFrame:
    """A table as it was read, with the categories of the card that stands in ``where``.

    Raises
    ------
    DataError
        A value that the card does not list.
    """
    categories: dict[str, list[str]] = card["categories"]
    table = table.copy()
    for name, values in categories.items():
        column = table[name].astype(str)
        outside = sorted(set(column.unique()) - set(values))
        if outside:
            raise DataError(f"{where.parent}: column {name!r} holds {outside[0]!r}, which {where.name} does not list")
        table[name] = pd.Categorical(column, categories=values)
    return table


def open_dataset(folder: Path) -> Dataset:
    """Read a data set folder; its categories come from the card and are checked against the table.

    Raises
    ------
    DataError
        The folder is not a data set, was built by a newer version, or its parts do not fit each other.
    """
    if not (folder / "card.toml").is_file():
        content = "is empty" if folder.is_dir() and not any(folder.iterdir()) else "has no card.toml"
        raise DataError(f"{folder} {content}: not a built data set; build one with: biaskit build NAME --out {folder}")
    for name in ("images.npy", "table.parquet"):
        if not (folder / name).is_file():
            raise DataError(f"{folder}: {name} is missing; build the set again")
    card = read_toml(folder / "card.toml")
    try:
        check_format(card, folder)
        table = with_categories(pd.read_parquet(folder / "table.parquet"), card, folder / "card.toml")
        images = _read_npy(folder / "images.npy")
        return Dataset(images, table, card, tuple(card["group_by"]), *read_planes(folder, card))
    except (AttributeError, EOFError, KeyError, TypeError, ValueError, pyarrow.ArrowException) as error:
        raise DataError(f"{folder} cannot be read ({error}); run: biaskit verify {folder}") from None


def verify(folder: Path) -> None:
    """Compare every file of a data set with its checksum.

    Raises
    ------
    DataError
        Naming the first file that was changed, is missing, or was added.
    """
    path = folder / _CHECKSUMS
    if not path.is_file():
        reason = f"has no {_CHECKSUMS}: not a built data set" if folder.is_dir() else "is not there"
        raise DataError(f"{folder} {reason}; build one with: biaskit build NAME --out {folder}")
    # Bytes, not text: reading text takes a carriage return for a line feed.
    content = path.read_bytes()
    try:
        sums: dict[str, dict[str, Any]] = json.loads(content)
        altered = _as_json(sums).encode() != content or not all(isinstance(one, dict) for one in sums.values())
    except (ValueError, AttributeError):
        altered = True
    if altered:
        raise DataError(f"{path} was changed; build the set again")
    present = {one.name for one in folder.iterdir()} - {_CHECKSUMS}
    for name in sorted(present | set(sums)):
        if name not in sums:
            raise DataError(f"{folder / name} is not part of the data set; remove it")
        if not (folder / name).is_file():
            raise DataError(f"{folder / name} is missing; build the set again")
        size = (folder / name).stat().st_size
        if size != sums[name].get("bytes") or sha256(folder / name) != sums[name].get("sha256"):
            raise DataError(f"{folder / name} was changed: it does not fit its checksum; build the set again")


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def files_named(options: Any) -> dict[str, str]:
    """Path -> SHA-256 of every file that some option names, such as one of word vectors: its bytes decide too.

    A text counts as a path where it has a folder or a suffix; a recipe called as a file in the current folder does not.

    Examples
    --------
    >>> files_named({"loss": {"name": "scarl", "vectors": "wordnet"}})
    {}
    """
    if isinstance(options, Mapping):
        options = list(options.values())
    if isinstance(options, list | tuple):
        return {path: digest for one in options for path, digest in files_named(one).items()}
    if not isinstance(options, str | Path) or len(str(options)) > 4096 or "\0" in str(options):
        return {}
    path = Path(options)
    if not (path.suffix or len(path.parts) > 1):
        return {}
    try:
        path = path.expanduser()
        return {str(options): sha256(path)} if path.is_file() else {}
    except (OSError, RuntimeError):  # not readable, or nobody's home: whoever opens it says so
        return {}


def plain(value: Any) -> Any:
    """Nested containers as TOML and JSON take them: dicts, lists, no None."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items() if one is not None}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


def _write_npy(path: Path, images: Images) -> None:
    """Sequentially, never through a growing memory map: a full disk there kills the process."""
    channels, height, width = images.shape
    shape = (len(images), height, width) if channels == 1 else (len(images), height, width, channels)
    with path.open("wb") as stream:
        npy.write_array_header_1_0(stream, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for chunk in chunks(images):
            stream.write(np.ascontiguousarray(chunk.numpy()).data)


def _read_npy(path: Path) -> ArrayImages:
    large = path.stat().st_size > IN_MEMORY
    pixels = np.load(path, mmap_mode="r" if large else None, allow_pickle=False)
    return ArrayImages(pixels[..., None] if pixels.ndim == 3 else pixels)


def write_planes(dataset: Dataset, folder: Path, start: str = "") -> None:
    """Write ``masks.npy`` and ``concepts.npy`` where the data set has them; ``start`` begins their names."""
    if dataset.masks is not None:
        _write_npy(folder / f"{start}masks.npy", dataset.masks)
    if dataset.concepts is not None:
        _write_concepts(folder / f"{start}concepts.npy", dataset.concepts)


def read_planes(folder: Path, card: Mapping[str, Any], start: str = "") -> tuple[ArrayImages | None, Concepts | None]:
    """Masks and concepts as :func:`write_planes` wrote them.

    Raises
    ------
    DataError
        The card tells of concepts, and there are none.
    """
    masks = folder / f"{start}masks.npy"
    return _read_npy(masks) if masks.is_file() else None, _read_concepts(folder / f"{start}concepts.npy", card)


def _write_concepts(path: Path, concepts: Concepts) -> None:
    """Label numbers (N, P, H, W), one byte each where that is enough."""
    descr = "|u1" if len(concepts.names) < 256 else "<u2"
    shape = (len(concepts), *concepts.planes.shape)
    with path.open("wb") as stream:
        npy.write_array_header_1_0(stream, {"descr": descr, "fortran_order": False, "shape": shape})
        for chunk in concepts.chunks():
            stream.write(np.ascontiguousarray(chunk.numpy().astype(descr)).data)


def _read_concepts(path: Path, card: Mapping[str, Any]) -> Concepts | None:
    if "concepts" not in card:
        return None
    if not path.is_file():
        raise DataError(f"{path.parent}: {path.name} is missing; build the set again")
    large = path.stat().st_size > IN_MEMORY
    labels = np.load(path, mmap_mode="r" if large else None, allow_pickle=False)
    told = card["concepts"]
    return Concepts(ArrayPlanes(labels), tuple(told["names"]), tuple(told["categories"]))


def _as_json(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True) + "\n"


def _sync(folder: Path) -> None:
    """Have every file written for good; the disk takes what several threads ask for in one go, ten times as fast."""

    def flush(path: Path) -> None:
        with path.open("rb") as stream:
            os.fsync(stream.fileno())

    with ThreadPoolExecutor(_FLUSHES) as pool:
        for _ in pool.map(flush, (path for path in folder.rglob("*") if path.is_file())):
            pass  # asking for each result raises what a thread raised
