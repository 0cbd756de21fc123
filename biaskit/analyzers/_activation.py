"""Which images activate the units of a layer: streamed, with thresholds from natural images, in memory that does not
grow with their number."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biaskit.errors import UnsupportedModel
from biaskit.evaluation import EVAL_BATCH
from biaskit.features import features
from biaskit.rng import numpy_generator
from biaskit.subject import Subject

__all__ = ["BLOCKS", "REFERENCE", "Activity", "Change", "activity", "strengths", "thresholds_of"]

#: Images whose activations are held to read the thresholds off them; all further ones are only counted.
REFERENCE = 40 * EVAL_BATCH
#: Blocks of images that intervals leave out in turn.
BLOCKS = 10

Rows = npt.NDArray[np.int64]
#: Images (B, C, H, W) and their labels (B,) to changed images.
Change = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Activity:
    """How often the images of each label activate each unit.

    Attributes
    ----------
    thresholds : float32 Tensor (T, U)
        A unit is activated by what is above its threshold.
    counts : int array (T, BLOCKS, K, U)
        Activating images by threshold, block of images and label.
    images : int array (BLOCKS, K)
        All images by block and label.
    """

    thresholds: Tensor
    counts: npt.NDArray[np.int64]
    images: npt.NDArray[np.int64]

    @property
    def units(self) -> int:
        return int(self.counts.shape[-1])


def strengths(output: Tensor, layer: str) -> Tensor:
    """How strongly a layer's units respond to each image, (B, U): the largest value of each channel's map.

    Examples
    --------
    >>> strengths(torch.tensor([[[[0.0, 3.0]], [[1.0, 2.0]]]]), "conv").tolist()
    [[3.0, 2.0]]

    Raises
    ------
    UnsupportedModel
        An output that has no units in its second place, or one with NaN.
    """
    if output.ndim != 2 and output.ndim < 4:
        raise UnsupportedModel(
            f"layer {layer!r} gives {tuple(output.shape)}; units are read from (B, U) or from maps (B, U, H, W)"
        )
    found = output.amax(dim=tuple(range(2, output.ndim))) if output.ndim > 2 else output
    if not bool(torch.isfinite(found).all()):
        raise UnsupportedModel(f"layer {layer!r} gives NaN or infinite values; nothing can be said of its units")
    return found.float().cpu()


def thresholds_of(held: Tensor, shares: tuple[float, ...]) -> Tensor:
    """The value that the strongest share of the images is above, for every unit: (len(shares), U) of (N, U).

    Of N images ``floor(share N)`` are above it, fewer where several are as strong.

    Examples
    --------
    >>> thresholds_of(torch.tensor([[1.0], [4.0], [3.0], [2.0]]), (0.25, 0.5)).tolist()
    [[3.0], [2.0]]
    """
    places = [min(int(share * len(held) + 1e-9), len(held) - 1) for share in shares]
    # Lines of units side by side: the sort runs over memory in order.
    strongest = held.T.contiguous().topk(max(places) + 1, dim=1).values
    return torch.stack([strongest[:, place] for place in places])


def activity(
    subject: Subject,
    layer: str,
    rows: Rows,
    shares: tuple[float, ...],
    *,
    change: Change | None = None,
    thresholds: Tensor | None = None,
) -> Activity:
    """Count, in one pass over the images, how often each label activates each unit.

    Parameters
    ----------
    subject : Subject
    layer : str
        A full name.
    rows : int array
        Test rows.
    shares : tuple of float
        Of the images that activate a unit; a threshold each, followed by the threshold 0.
    change : callable, optional
        What is done to the images first.
    thresholds : Tensor (len(shares) + 1, U), optional
        Taken as they are. Without them they are read off these images: all of them, or ``REFERENCE`` drawn ones.

    Returns
    -------
    Activity
    """
    generator = numpy_generator(0, "activation")
    order, blocks = np.arange(len(rows)), generator.permutation(len(rows)) % BLOCKS
    if thresholds is None and len(rows) > REFERENCE:
        first = np.sort(generator.choice(len(rows), REFERENCE, replace=False))
        order = np.concatenate([first, np.setdiff1d(order, first)])
    labels = subject.dataset.labels[rows]
    classes = len(subject.dataset.classes)
    places = torch.from_numpy((blocks * classes + labels)[order])
    held: list[Tensor] = []
    counts: Tensor | None = None
    done = 0
    for found in _stream(subject, layer, rows[order], change):
        here = places[done : done + len(found)]
        done += len(found)
        if thresholds is None:
            held.append(found)
            if done < min(REFERENCE, len(rows)):
                continue
            found, here = torch.cat(held), places[:done]
            held.clear()
            thresholds = torch.cat([thresholds_of(found, shares), torch.zeros(1, found.shape[1])])
        if counts is None:
            counts = torch.zeros(len(thresholds), BLOCKS * classes, found.shape[1], dtype=torch.int32)
        for one, threshold in zip(counts, thresholds, strict=True):
            one.index_add_(0, here, (found > threshold).int())
    assert counts is not None
    assert thresholds is not None
    per_label = np.bincount(places.numpy(), minlength=BLOCKS * classes).reshape(BLOCKS, classes)
    return Activity(thresholds, counts.view(len(thresholds), BLOCKS, classes, -1).numpy(), per_label)


def _stream(subject: Subject, layer: str, rows: Rows, change: Change | None) -> Iterator[Tensor]:
    """How strongly the units respond to the images, (B, U) a batch at a time."""
    for index, images in subject.batches(rows):
        if change is not None:
            labels = torch.from_numpy(subject.dataset.labels[index]).to(images.device)
            images = change(images, labels)
        with torch.inference_mode():
            found = strengths(features(subject.model, images, layer), layer)
        yield found.clone()
