"""Images as everything else sees them: a length, a shape, and ``gather(index)``."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from biaskit.errors import DataError

__all__ = ["IN_MEMORY", "ArrayImages", "EncodedImages", "Images", "as_array", "chunks"]

#: Sets up to this many bytes are held in memory; larger ones stay on disk or are rendered when asked for.
IN_MEMORY = 4 * 2**30
#: Images that one thread decodes at a time; handing over single small images would cost as much as decoding
#: them.
_PORTION = 16


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

    Parameters
    ----------
    encoded : sequence of Path, or of bytes
        JPEG, PNG and whatever else Pillow reads; decoded to RGB.
    size : int, optional
        Side in pixels: the shorter side is resized to it (bilinear) and the center is cut out. Without it
        every image must have the size of the first.
    names : sequence of str, optional
        What messages call the images; default: the paths.

    Raises
    ------
    DataError
        No images; one that cannot be decoded, has more than 8 bits per channel, or is of another size than
        the first. The message names it.

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
        names: Sequence[str] | None = None,
    ) -> None:
        if not encoded:
            raise DataError("a set of images without an image")
        self._encoded: list[Path | bytes] = list(encoded)
        self._names = names
        self._size = size
        self._pool: ThreadPoolExecutor | None = None
        self._owner = 0
        self._shape: tuple[int, int, int] | None = None
        first = self._decode(0)
        self._shape = (3, int(first.shape[0]), int(first.shape[1]))

    def __len__(self) -> int:
        return len(self._encoded)

    @property
    def shape(self) -> tuple[int, int, int]:
        assert self._shape is not None
        return self._shape

    def gather(self, index: Tensor) -> Tensor:
        rows: list[int] = index.tolist()
        _, height, width = self.shape
        pixels = np.empty((len(rows), height, width, 3), np.uint8)

        def decode(start: int) -> None:
            for place in range(start, min(start + _PORTION, len(rows))):
                pixels[place] = self._decode(rows[place])

        for _ in self._threads().map(decode, range(0, len(rows), _PORTION)):
            pass  # asking for each result raises what a thread raised
        return torch.from_numpy(pixels).permute(0, 3, 1, 2)

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

    def _decode(self, row: int) -> npt.NDArray[np.uint8]:
        encoded = self._encoded[row]
        file = io.BytesIO(encoded) if isinstance(encoded, bytes) else encoded
        try:
            with Image.open(file) as opened:
                if opened.mode.startswith(("I", "F")):
                    raise DataError(f"{self._name(row)} has more than 8 bits per pixel ({opened.mode}); convert it")
                pixels = np.asarray(fitted(opened.convert("RGB"), self._size))
        except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError) as error:
            reason = str(error).partition("<")[0].rstrip() if isinstance(encoded, bytes) else str(error)
            raise DataError(f"{self._name(row)}: not a readable image ({reason}); repair or remove it") from None
        if self._shape is not None and pixels.shape[:2] != self._shape[1:]:
            raise DataError(
                f"{self._name(row)} is {pixels.shape[1]} x {pixels.shape[0]} pixels, the first image "
                f"{self._shape[2]} x {self._shape[1]}; give size=N to resize and crop all of them"
            )
        return pixels


def fitted(image: Image.Image, size: int | None) -> Image.Image:
    """The image resized (shorter side) and center-cropped to a square; as it is without a size."""
    if size is None or image.size == (size, size):
        return image
    width, height = image.size
    scale = size / min(width, height)
    wide, high = max(size, round(width * scale)), max(size, round(height * scale))
    image = image.resize((wide, high), Image.Resampling.BILINEAR)
    left, top = (image.width - size) // 2, (image.height - size) // 2
    return image.crop((left, top, left + size, top + size))


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
