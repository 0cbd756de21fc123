from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from pydantic import Field
from torch import Tensor

from biaskit.analyzers._occlusion import discrepancy, region, size_for
from biaskit.analyzers._unit_pictures import outlined, stacked, strip
from biaskit.analyzers._units import KINDS, Show, Strongest, least_likely_attack, map_layer
from biaskit.attacks._options import Epsilon, checks_options
from biaskit.errors import SpecError
from biaskit.results import Column, Picture, Result
from biaskit.rng import numpy_generator, torch_generator
from biaskit.subject import Subject

__all__ = ["top_images"]

Rows = npt.NDArray[np.int64]

COLUMNS = (
    Column("images", "natural, or led step by step to the least likely answer", key=True),
    Column("n", "units that respond to natural images at all"),
    Column("n_dead", "units whose strongest response is the same for every natural image"),
    Column("share", "share of a unit's top images with the commonest label of its natural ones", "share", "higher"),
    Column("chance", "the same of as many images drawn at random", "share"),
    Column("labels", "different labels among a unit's top images", "", "lower"),
)
#: Share of the pixels that a picture marks.
MARKED = 0.2
#: Draws for what chance gives.
DRAWS = 2000


@dataclass(frozen=True, eq=False)
class _Found:
    """The top images of every unit, of one kind: places (U, k) in order, and how strongly they excite it."""

    kind: str
    show: Show
    rows: Rows
    values: npt.NDArray[np.float32]


@checks_options
def top_images(
    subject: Subject,
    *,
    layer: str = "",
    top: Annotated[int, Field(ge=2)] = 9,
    epsilon: Epsilon = 4 / 255,
    step: Epsilon = 1 / 255,
    steps: Literal["published"] | Annotated[int, Field(ge=1)] = "published",
    images: Annotated[int, Field(ge=2)] = 1000,
    units: tuple[Annotated[int, Field(ge=0)], ...] = (),
    pictures: Annotated[int, Field(ge=0)] = 3,
    marked: Annotated[int, Field(ge=1)] = 3,
    occluder: Annotated[int, Field(ge=0)] = 0,
    stride: Annotated[int, Field(ge=0)] = 0,
) -> Result:
    """The images that excite each unit of a layer most, natural and attacked, and the part of them that does it.

    An image excites a unit by the largest value of its map, ``m_n(x)``. If a unit stands for one label, its top images
    share it; on attacked images it may be excited by images of any label. What excites it in an image is found by the
    discrepancy map: an occluder of random noise slides over the image, every pixel gets the mean of ``|m_n(x) - m_n(x
    occluded)|`` over the places of the occluder that cover it, and a fifth of the pixels is marked.

    Parameters
    ----------
    subject : Subject
        Needs the model.
    layer : str
        From the end of its name: ``layer3``. Empty: the deepest layer whose map is at least 4 x 4.
    top : int
        Images per unit.
    epsilon, step : float in [0, 1], or a fraction such as "4/255"
        How far ``least_likely`` may move a pixel, and by one step does. An epsilon of 0 leaves attacked images out.
    steps : "published" or int
        Steps; as published ``floor(min(e + 4, 1.25 e))`` with e = 255 epsilon.
    images : int
        Test images looked at, drawn once for all arms and seeds.
    units : tuple of int
        Units that are shown. Empty: those whose m_n varies most over natural images (standard deviation).
    pictures : int
        How many are shown where none is named.
    marked : int
        Top images of each that are shown, natural above and attacked below; every one costs a forward pass per place of
        the occluder.
    occluder, stride : int
        Side of the occluder and its stride, in pixels. 0: 5 and 2, for images from 112 pixels on 11 and 3.

    Returns
    -------
    Result
        Natural and adversarial, the mean over units of ``share`` (of a unit's top images that have the label commonest
        among its natural ones; of equally common ones the first), with what chance gives, and of how many different
        labels are among them. ``details`` has every unit's images by ``rank``, with ``row``, ``label`` and
        ``activation``.

    Raises
    ------
    UnknownName, SpecError
        A layer or a unit that is not there, an occluder larger than the image.
    UnsupportedModel
        A layer without a map.

    References
    ----------
    Dong et al., arXiv 1901.09035, Figures 3 and 4, which show images and no numbers; the shares are ours. Zhou et al.,
    arXiv 1412.6856, section 3.2, for the discrepancy map. The occluder for small images is ours.

    Examples
    --------
    >>> from biaskit import testing
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 1, 1, bias=False), torch.nn.Flatten(), torch.nn.Linear(64, 2))
    >>> _ = net[0].weight.data.copy_(torch.tensor([1.0, -1.0, -1.0])[None, :, None, None])  # red and nothing else
    >>> found = top_images(Subject(net, testing.tiny()), top=8, epsilon=0.0, pictures=0)
    >>> sorted(set(testing.tiny().table["color"][found.details["row"]]))
    ['red']
    """
    full, about = map_layer(subject, layer)
    side, pace = size_for(min(subject.dataset.images.shape[1:]))
    side, pace = occluder or side, stride or pace
    rows = subject.sample(images, "top_images")
    shape = subject.dataset.images.shape
    clean = Show(subject.model, subject.dataset.images, shape, full, subject.device)
    natural, spread = _ranked(KINDS[0], clean, rows, top)
    found = [natural]
    if epsilon:
        attack = least_likely_attack(subject.model, epsilon, step, steps)
        shown = Show(subject.model, subject.dataset.images, shape, full, subject.device, attack)
        found.append(_ranked(KINDS[1], shown, rows, top)[0])
    outside = [one for one in units if one >= len(spread)]
    if outside:
        raise SpecError(f"top_images: units: no unit {outside[0]}; {full} has units 0 to {len(spread) - 1}")
    alive = spread > 0.0
    order = np.argsort(-spread, kind="stable")
    chosen = tuple(dict.fromkeys(units)) or tuple(int(one) for one in order[:pictures] if alive[one])
    labels = subject.dataset.labels
    main = _commonest(labels[natural.rows])
    table = [_row(one, labels, rows, main, alive) for one in found]
    options: dict[str, Any] = {
        "layer": layer,
        "top": top,
        "epsilon": epsilon,
        "step": step,
        "steps": steps,
        "images": images,
        "units": units,
        "pictures": pictures,
        "marked": marked,
        "occluder": occluder,
        "stride": stride,
    }
    return Result(
        "top_images",
        pd.DataFrame(table, columns=[column.name for column in COLUMNS]),
        COLUMNS,
        options,
        pictures=_pictures(subject, found, chosen, marked, side, pace),
        notes=(about, f"top {natural.rows.shape[1]} of {len(rows):,} images; the occluder has {side} x {side} pixels"),
        details=pd.concat([_details(one, subject) for one in found], ignore_index=True),
    )


def _ranked(kind: str, show: Show, rows: Rows, top: int) -> tuple[_Found, npt.NDArray[np.float64]]:
    """The top images of every unit, and the standard deviation (U,) of m_n over all of them."""
    strongest, counted = Strongest(top), 0
    mean, squares = torch.zeros(1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    for part, _, maps in show.maps(rows):
        values = maps.amax(dim=(2, 3)).cpu()
        strongest.add(part, values)
        # Around the mean so far: a sum of squares alone loses what little varies far from 0.
        here = values.double()
        shift = here.mean(dim=0) - mean
        total = counted + len(here)
        squares = squares + here.var(dim=0, correction=0) * len(here) + shift.square() * counted * len(here) / total
        mean, counted = mean + shift * len(here) / total, total
    found = _Found(kind, show, strongest.rows.numpy(), strongest.values.numpy())
    return found, (squares / counted).sqrt().numpy()


def _commonest(labels: Rows) -> Rows:
    """The commonest label of each line (U, k); of equally common ones the one that comes first.

    Examples
    --------
    >>> _commonest(np.asarray([[2, 1, 1], [2, 1, 0]])).tolist()
    [1, 2]
    """
    times = (labels[:, :, None] == labels[:, None, :]).sum(axis=2)
    found: Rows = labels[np.arange(len(labels)), times.argmax(axis=1)]
    return found


def _row(found: _Found, labels: Rows, rows: Rows, main: Rows, alive: npt.NDArray[np.bool_]) -> dict[str, Any]:
    mine = labels[found.rows[alive]]
    count = int(alive.sum())
    different = np.asarray([len(np.unique(one)) for one in mine])
    return {
        "images": found.kind,
        "n": count,
        "n_dead": len(alive) - count,
        "share": float((mine == main[alive, None]).mean()) if count else np.nan,
        "chance": _chance(found.kind, labels[rows], main[alive], found.rows.shape[1]) if count else np.nan,
        "labels": float(different.mean()) if count else np.nan,
    }


def _chance(kind: str, labels: Rows, main: Rows, top: int) -> float:
    """What images drawn at random give: of natural ones the commonest label among them, else a label's own share."""
    if kind != KINDS[0]:
        return float(np.mean([(labels == one).mean() for one in main]))
    generator = numpy_generator(0, "top_images", "chance")
    drawn = np.stack([labels[generator.choice(len(labels), top, replace=False)] for _ in range(DRAWS)])
    return float((drawn == _commonest(drawn)[:, None]).mean())


def _details(found: _Found, subject: Subject) -> pd.DataFrame:
    units, top = found.rows.shape
    names = np.asarray(subject.dataset.classes, dtype=object)
    return pd.DataFrame(
        {
            "unit": np.repeat(np.arange(units), top),
            "images": found.kind,
            "rank": np.tile(np.arange(1, top + 1), units),
            "row": found.rows.ravel(),
            "label": names[subject.dataset.labels[found.rows.ravel()]],
            "activation": found.values.ravel(),
        }
    )


def _pictures(
    subject: Subject, found: Sequence[_Found], units: Sequence[int], marked: int, side: int, pace: int
) -> tuple[Picture, ...]:
    """A picture per unit: its top images with what excites it marked, a line for each kind of images."""
    pictures = []
    for place, unit in enumerate(units, 1):
        strips, said = [], []
        for one in found:
            rows = one.rows[unit, :marked]
            shown = [image for _, batch in one.show.batches(rows) for image in batch]
            strips.append(strip([_marked(one.show, image, unit, side, pace) for image in shown]))
            names = [subject.dataset.classes[label] for label in subject.dataset.labels[rows]]
            said.append(f"{one.kind}: {', '.join(names)}")
        pictures.append(
            Picture(
                "top images", f"unit shown {place}", stacked(strips), caption=f"unit {unit}; {'; below, '.join(said)}"
            )
        )
    return tuple(pictures)


def _marked(show: Show, image: Tensor, unit: int, side: int, pace: int) -> npt.NDArray[np.uint8]:
    def excitement(images: Tensor) -> Tensor:
        return show.of(images)[:, unit].amax(dim=(1, 2))

    generator = torch_generator(0, "top_images", "occluder")
    values = discrepancy(excitement, image, generator, side, pace)
    return outlined(image, region(values, MARKED))
