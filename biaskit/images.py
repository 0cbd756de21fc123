"""Images as everything else sees them: a length, a shape, and ``gather(index)``."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from biaskit.errors import DataError

__all__ = [
    "IN_MEMORY",
    "MOST_SIDE",
    "ArrayImages",
    "EncodedImages",
    "Images",
    "as_array",
    "chunks",
    "fitted",
    "open_images",
]

#: Sets up to this many bytes are held in memory; larger ones stay on disk or are rendered when asked for.
IN_MEMORY = 4 * 2**30
#: Images are resized to this side at most: larger ones are a slip of the hand that would take all memory.
MOST_SIDE = 4096
#: Images that one thread decodes at a time; handing over single small images would cost as much as decoding
#: them.
_PORTION = 16
#: Pixels of a resized image, before the cut: where Pillow refuses to decode one. Only a strip comes near.
_MOST_PIXELS = 178_956_970


@runtime_checkable
class Images(Protocol):
    """The one way to pixels: ``shape`` is (C, H, W), ``gather`` gives uint8 (B, C, H, W), channels last."""

    @property
    def shape(self) -> tuple[int, int, int]: ...

    def __len__(self) -> int: ...

    def gather(self, index: Tensor) -> Tensor: ...


class ArrayImages:
    """Images held as one uint8 array (N, H, W, C): in memory, on a device, or a memory map.

    A memory map of a whole file is pickled as the file's name, so that workers map it again.

    Parameters
    ----------
    pixels : uint8 array or Tensor of shape (N, H, W, C), C = 1 or 3

    Examples
    --------
    >>> images = ArrayImages(np.zeros((5, 4, 4, 3), np.uint8))
    >>> len(images), images.shape, tuple(images.gather(torch.tensor([0, 2])).shape)
    (5, (3, 4, 4), (2, 3, 4, 4))
    """

    def __init__(self, pixels: npt.NDArray[np.uint8] | Tensor) -> None:
        dtype = pixels.dtype
        if pixels.ndim != 4 or pixels.shape[3] not in (1, 3) or dtype not in (np.uint8, torch.uint8):
            raise DataError(f"images need shape (N, H, W, 1 or 3) and dtype uint8; got {tuple(pixels.shape)}, {dtype}")
        self._pixels: Any = pixels
        if isinstance(pixels, np.ndarray) and not isinstance(pixels, np.memmap):
            self._pixels = torch.from_numpy(np.ascontiguousarray(pixels) if pixels.flags.writeable else pixels.copy())

    def __len__(self) -> int:
        return int(self._pixels.shape[0])

    @property
    def shape(self) -> tuple[int, int, int]:
        _, height, width, channels = self._pixels.shape
        return int(channels), int(height), int(width)

    def gather(self, index: Tensor) -> Tensor:
        if isinstance(self._pixels, np.memmap):
            order = index.cpu().numpy()
            picked = torch.from_numpy(np.ascontiguousarray(self._pixels[order]))
        else:
            picked = self._pixels.index_select(0, index.to(self._pixels.device))
        return picked.permute(0, 3, 1, 2)

    def to(self, device: torch.device | str) -> ArrayImages:
        """The same images on a device; a memory map stays where it is."""
        if isinstance(self._pixels, np.memmap):
            return self
        return ArrayImages(self._pixels.to(device))

    def __getstate__(self) -> dict[str, Any]:
        pixels = self._pixels
        if isinstance(pixels, np.memmap) and pixels.flags.c_contiguous and pixels.filename is not None:
            file = Path(pixels.filename)
            if file.is_file() and file.stat().st_size == pixels.offset + pixels.nbytes:
                return {"file": (str(file), pixels.offset, pixels.shape)}
        return {"_pixels": pixels}

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "file" in state:
            file, offset, shape = state["file"]
            state = {"_pixels": np.memmap(file, np.uint8, "r", offset=offset, shape=shape)}
        self.__dict__.update(state)


class EncodedImages:
    """Encoded images, as files or as their bytes, decoded in parallel when asked for.

    The pixels are those of Pillow, ``Image.open(file).convert("RGB")``; with a size also those of torchvision's
    ``Resize(resize)`` and ``CenterCrop(size)`` of a PIL image.

    Parameters
    ----------
    encoded : sequence of Path, or of bytes
        JPEG, PNG and whatever else Pillow reads.
    size : int, optional
        Side in pixels: the shorter side is resized (bilinear) and the center is cut out. Without it every image must
        have the size of the first.
    resize : int, optional
        What the shorter side is resized to before the cut, at least ``size``, which is the default.
    channels : 3 or 1
        RGB, or the gray value.
    names : sequence of str, optional
        What messages call the images; default: the paths.
    first : int
        The image whose size is that of the set.

    Raises
    ------
    DataError
        No images; one that cannot be decoded, is gray of more than 8 bits (of colors Pillow keeps the upper 8), or is
        of another size than the first. The message names it.

    Examples
    --------
    >>> stream = io.BytesIO()
    >>> Image.new("RGB", (6, 4), "red").save(stream, "png")
    >>> images = EncodedImages([stream.getvalue()], size=2)
    >>> images.shape, images.gather(torch.tensor([0]))[0, :, 0, 0].tolist()
    ((3, 2, 2), [255, 0, 0])
    """

    def __init__(
        self,
        encoded: Sequence[Path] | Sequence[bytes],
        *,
        size: int | None = None,
        resize: int | None = None,
        channels: Literal[1, 3] = 3,
        names: Sequence[str] | None = None,
        first: int = 0,
    ) -> None:
        if not encoded:
            raise DataError("a set of images without an image")
        self._encoded: list[Path | bytes] = list(encoded)
        self._names = names
        self._size = size
        self._resize = resize
        self._mode = "RGB" if channels == 3 else "L"
        self._first = first
        self._pool: ThreadPoolExecutor | None = None
        self._owner = 0
        self._shape: tuple[int, int, int] | None = None
        (width, height), _ = self._decode(first)
        self._shape = (channels, height, width)

    def __len__(self) -> int:
        return len(self._encoded)

    @property
    def shape(self) -> tuple[int, int, int]:
        assert self._shape is not None
        return self._shape

    def gather(self, index: Tensor) -> Tensor:
        rows: list[int] = index.tolist()
        channels, height, width = self.shape
        pixels = np.empty((len(rows), height, width, channels), np.uint8)
        self._fill(pixels, rows, None)
        return torch.from_numpy(pixels).permute(0, 3, 1, 2)

    def decode_all(self, pixels: npt.NDArray[np.uint8]) -> None:
        """Write every image into ``pixels``, uint8 (N, H, W, C)."""
        self._fill(pixels, range(len(self)), None)

    def unreadable(self, pixels: npt.NDArray[np.uint8] | None = None) -> dict[int, str]:
        """The rows of images that cannot be decoded, each with the reason; all images are looked at.

        Parameters
        ----------
        pixels : uint8 array (N, H, W, C), optional
            Is filled on the way; the rows of unreadable images are left as they are.
        """
        bad: dict[int, str] = {}
        self._fill(pixels, range(len(self)), bad)
        return dict(sorted(bad.items()))

    def _fill(
        self, pixels: npt.NDArray[np.uint8] | None, rows: Sequence[int], bad: MutableMapping[int, str] | None
    ) -> None:
        """Decode rows into ``pixels``; what cannot be decoded is an error, or goes into ``bad``."""

        def decode(start: int) -> None:
            for place in range(start, min(start + _PORTION, len(rows))):
                try:
                    _, found = self._decode(rows[place])
                except _Unreadable as error:
                    if bad is None:
                        raise
                    bad[rows[place]] = error.reason
                else:
                    # Not numpy's copy: it lets another thread go first, and waiting for that one costs a tenth.
                    if pixels is not None:
                        memoryview(pixels[place]).cast("B")[:] = found

        for _ in self._threads().map(decode, range(0, len(rows), _PORTION)):
            pass  # asking for each result raises what a thread raised

    def _threads(self) -> ThreadPoolExecutor:
        # Threads do not survive a fork: a worker process starts its own.
        if self._pool is None or self._owner != os.getpid():
            self._pool = ThreadPoolExecutor(max_workers=min(32, os.cpu_count() or 1))
            self._owner = os.getpid()
        return self._pool

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_pool": None}

    def _name(self, row: int) -> str:
        return self._names[row] if self._names is not None else str(self._encoded[row])

    def _decode(self, row: int) -> tuple[tuple[int, int], bytes]:
        """Width and height of one image, and its pixels, line by line."""
        encoded = self._encoded[row]
        file = io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded
        try:
            with Image.open(file) as opened:
                if opened.mode.startswith(("I", "F")):
                    raise DataError(f"{self._name(row)} has more than 8 bits per pixel ({opened.mode}); convert it")
                image = opened if opened.mode == self._mode else opened.convert(self._mode)
                image = fitted(image, self._size, self._resize)
                (width, height), pixels = image.size, image.tobytes()
        except (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError) as error:
            reason = str(error).partition("<")[0].rstrip() if isinstance(encoded, bytes) else str(error)
            raise _Unreadable(self._name(row), reason) from None
        if self._shape is not None and (height, width) != self._shape[1:]:
            other = "the first image" if self._first == 0 else self._name(self._first)
            raise DataError(
                f"{self._name(row)} is {width} x {height} pixels, {other} "
                f"{self._shape[2]} x {self._shape[1]}; give size=N to resize and crop all of them"
            )
        return (width, height), pixels


class _Unreadable(DataError):
    """An image that cannot be decoded."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(
            f"{name}: not a readable image ({reason}); repair or remove it, or leave it out with skip_corrupt"
        )
        self.reason = reason


def open_images(
    encoded: Sequence[Path] | Sequence[bytes],
    *,
    size: int | None = None,
    resize: int | None = None,
    channels: Literal[1, 3] = 3,
    names: Sequence[str] | None = None,
    skip: bool = False,
) -> tuple[Images, dict[int, str]]:
    """Encoded images, decoded once into memory where they take up to :data:`IN_MEMORY` bytes, else when asked for.

    Parameters
    ----------
    encoded, size, resize, channels, names
        As of :class:`EncodedImages`.
    skip : bool
        Leave out images that cannot be decoded. One of another size is an error nevertheless.

    Returns
    -------
    images : Images
        Without the rows that are left out.
    skipped : dict of int to str
        Row -> reason.

    Raises
    ------
    DataError
        As :class:`EncodedImages`; or no image can be decoded.

    Examples
    --------
    >>> stream = io.BytesIO()
    >>> Image.new("RGB", (6, 4), "red").save(stream, "png")
    >>> images, skipped = open_images([b"GIF", stream.getvalue()], names=["a.gif", "b.png"], skip=True)
    >>> len(images), skipped
    (1, {0: 'cannot identify image file'})
    """
    options: Any = {"size": size, "resize": resize, "channels": channels}
    lazy: EncodedImages | None = None
    for first in range(max(1, len(encoded))):
        try:
            lazy = EncodedImages(encoded, **options, names=names, first=first)
            break
        except _Unreadable as error:
            if not skip:
                raise
            last = error
    if lazy is None:
        raise DataError(f"none of the {len(encoded):,} images can be read; {last}")
    depth, height, width = lazy.shape
    fits = len(lazy) * depth * height * width <= IN_MEMORY
    pixels = np.empty((len(lazy), height, width, depth), np.uint8) if fits else None
    bad: dict[int, str] = {}
    if skip:
        bad = lazy.unreadable(pixels)
    elif pixels is not None:
        lazy.decode_all(pixels)
    kept = [row for row in range(len(lazy)) if row not in bad]
    if pixels is not None:
        return ArrayImages(pixels[kept] if bad else pixels), bad
    if not bad:
        return lazy, bad
    left: Any = [encoded[row] for row in kept]
    return EncodedImages(left, **options, names=[names[row] for row in kept] if names is not None else None), bad


def fitted(image: Image.Image, size: int | None, resize: int | None = None) -> Image.Image:
    """The image with its shorter side resized to ``resize``, center-cropped to a square; as it is without a size.

    Sides are rounded as torchvision's ``Resize`` and ``CenterCrop`` round them, so that the pixels are theirs.
    """
    short = size if resize is None else resize
    if size is None or short is None:
        return image
    width, height = image.size
    if min(width, height) != short:
        long = int(short * max(width, height) / min(width, height))
        wide, high = (short, long) if width <= height else (long, short)
        if short * long > _MOST_PIXELS:
            raise ValueError(f"{width} x {height} pixels would become {wide} x {high}")
        image = image.resize((wide, high), Image.Resampling.BILINEAR)
    left, top = round((image.width - size) / 2), round((image.height - size) / 2)
    return image if image.size == (size, size) else image.crop((left, top, left + size, top + size))


#: Images rendered or copied at a time: few enough to stay in the cache.
CHUNK = 512


def chunks(images: Images, size: int = CHUNK) -> Iterator[Tensor]:
    """All images in order, ``size`` at a time, as uint8 (B, H, W, C)."""
    for start in range(0, len(images), size):
        index = torch.arange(start, min(start + size, len(images)))
        yield images.gather(index).permute(0, 2, 3, 1).contiguous()


def as_array(images: Images) -> ArrayImages:
    """The images held in memory, rendered or decoded once."""
    if isinstance(images, ArrayImages):
        return images
    channels, height, width = images.shape
    # numpy asks Linux for huge pages, torch does not: touching new memory then takes a quarter of the time. What is
    # left of it is shared between threads, as the rendering is.
    pixels = torch.from_numpy(np.empty((len(images), height, width, channels), np.uint8))

    step = 4 * CHUNK

    def fill(start: int) -> None:
        index = torch.arange(start, min(start + step, len(images)))
        pixels[start : start + step] = images.gather(index).permute(0, 2, 3, 1)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(fill, range(0, len(images), step)):
            pass
    return ArrayImages(pixels)
