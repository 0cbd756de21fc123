from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from biaskit.analyzers._attribution_pictures import enlarged, image_pixels
from biaskit.analyzers._groups import ALL
from biaskit.analyzers._slices import Slices, Told, agreement, find_slices, told, weakest
from biaskit.analyzers._unit_pictures import stacked, strip
from biaskit.attacks._options import checks_options
from biaskit.data import Dataset
from biaskit.results import Column, Picture, Result
from biaskit.rng import numpy_generator
from biaskit.stats import wilson
from biaskit.subject import Subject
from biaskit.taggers._embedding import Embedding
from biaskit.taggers._partition import SMALLEST, Method, Number, partition

__all__ = ["discover"]

Rows = npt.NDArray[np.int64]

COLUMNS = (
    Column("label", "the label; all = the slice found worst of every label, labels weighted alike in it and the rest",
           key=True),
    Column("slice", "1 = the slice of the label with the lowest accuracy in the half of the images that found it",
           key=True),
    Column("n", "held-out images of the slice"),
    Column("accuracy", "share of right answers in the slice, on images that took no part in finding it", "share",
           "higher"),
    Column("low", "95 % Wilson interval of the accuracy, this model and other images"),
    Column("high", "95 % Wilson interval of the accuracy, this model and other images"),
    Column("n_rest", "held-out images of the label outside the slice"),
    Column("rest", "share of right answers in the rest of the label", "share"),
    Column("difference", "accuracy in the slice minus that in the rest of its label", "points", "zero"),
    Column("difference_low", "95 % Newcombe interval of the difference, this model and other images"),
    Column("difference_high", "95 % Newcombe interval of the difference, this model and other images"),
    Column("p", "p of no difference, one model: Fisher's test, Holm over the slices found below their rest, which "
           "alone are tested; all: permutation within labels"),
    Column("n_found", "images of the slice in the half that found it"),
    Column("accuracy_found", "accuracy of the slice in the half that found it: too low, it was chosen for that",
           "share"),
)  # fmt: skip
#: The last column, before those of attributes.
MOSTLY = Column("mostly", "the commonest value in the slice of the attribute that the label's slices follow best")


@checks_options
def discover(
    subject: Subject,
    *,
    layer: str = "",
    method: Method = "kmeans",
    number: Number = 0,
    most: Annotated[int, Field(ge=2)] = 5,
    components: Annotated[int, Field(ge=1)] = 10,
    images: Annotated[int, Field(ge=4)] = 10_000,
    pictures: Annotated[int, Field(ge=0)] = 6,
    shown: Annotated[int, Field(ge=1)] = 6,
) -> Result:
    """Find slices of each label on which the model is weak, without any attribute.

    Images of a label that the model tells apart all the same differ in something else. Within each label one half of
    the test images, drawn at random, is clustered by what goes into the model's head, and the clusters are put in the
    order of their accuracy. The other half, sorted into the same clusters, says how much lower the accuracy of a slice
    is than that of the rest of its label: slices were chosen without it, so that its intervals and tests hold as for
    groups that were named in advance. A slice that was bad by chance alone is no worse there.

    Parameters
    ----------
    subject : Subject
        Needs the model.
    layer : str
        Another layer, from the end of its name, of whose maps the mean over positions is taken; or ``logits``. Empty:
        what goes into the last linear layer.
    method : {"kmeans", "gaussian"}
        k-means, or a mixture of Gaussians with diagonal covariances.
    number : int
        Slices of each label. 0: chosen for each label by the silhouette (k-means, at least 2) or by BIC (gaussian).
    most : int
        Slices of a label where their number is chosen. There is never more than one for ten images that find them.
    components : int
        Principal components of the standardized features in which clusters are looked for.
    images : int
        Test images, both halves together, drawn once for all arms and seeds.
    pictures : int
        Slices that are shown: those found below the rest of their label, furthest first.
    shown : int
        Held-out images of each, drawn at random; below them as many of the rest of the label.

    Returns
    -------
    Result
        A row per label and slice, slice 1 the one found worst. Before them ``all``: the slices 1 of all labels together
        against the rest, both with the same mix of labels. For each attribute of the data set ``ari_<attribute>`` is
        the adjusted Rand index of the label's slices and the attribute on the held-out images: 1 where the slices are
        the attribute's values, 0 by chance; for ``all`` the mean over labels. ``samples`` has every held-out image's
        ``slice`` and whether its answer is ``correct``.

    Raises
    ------
    UnknownName, SpecError
        A layer that is not there, or one of several; an option outside its range.
    UnsupportedModel
        Without ``layer``, a model that has no linear layer.

    References
    ----------
    Clusters within a class: Sohoni et al., arXiv 2011.12945, section 4.1. That slices are found on one part of the data
    and told on another: Eyuboglu et al., Domino, arXiv 2203.14960, section 3. Tests, intervals and the standardized
    row for all labels are ours.

    Examples
    --------
    >>> from biaskit import testing
    >>> subject = Subject(testing.reads("background"), testing.tiny(per_group=20), device="cpu")
    >>> found = discover(subject, layer="logits", number=2, pictures=0).table
    >>> found[["label", "slice", "accuracy", "difference", "ari_color", "mostly"]].values.tolist()[1:3]
    [['left', 1, 0.0, -1.0, 1.0, 'color blue (100 %)'], ['left', 2, 1.0, 1.0, 1.0, 'color red (100 %)']]
    """
    dataset = subject.dataset
    rows = subject.sample(images, "discover")
    labels = dataset.labels[rows]
    correct = subject.predictions(rows) == labels
    embedding = Embedding.of(subject, layer)
    found = find_slices(
        embedding.array(rows),
        labels,
        correct,
        len(dataset.classes),
        lambda points, label: partition(
            points,
            method=method,
            number=number,
            most=most,
            components=components,
            purpose=f"discover {label}",
        ),
    )
    every = told(found)
    codes = {one: np.asarray(dataset.table[one].cat.codes, np.int64)[rows] for one in dataset.attributes}
    follows = {name: [agreement(found, own, label) for label in range(len(dataset.classes))]
               for name, own in codes.items()}  # fmt: skip
    mostly = [_mostly(dataset, found, one, codes, follows) for one in every]
    table = [_overall(found, follows), *(_row(dataset, *one, follows) for one in zip(every, mostly, strict=True))]
    columns = (
        *COLUMNS,
        MOSTLY,
        *(
            Column(f"ari_{one}", f"adjusted Rand index of the label's slices and {one}: 1 = the same, 0 = by chance")
            for one in follows
        ),
    )
    options: dict[str, Any] = {
        "layer": layer,
        "method": method,
        "number": number,
        "most": most,
        "components": components,
        "images": images,
        "pictures": pictures,
        "shown": shown,
    }
    return Result(
        "discover",
        pd.DataFrame(table, columns=[column.name for column in columns]),
        columns,
        options,
        pd.DataFrame({"row": rows[found.held], "slice": found.place[found.held] + 1, "correct": correct[found.held]}),
        pictures=_pictures(subject, rows, found, every, mostly, pictures, shown),
        notes=tuple(_notes(embedding.about, dataset, found, every, follows)),
    )


def _row(dataset: Dataset, one: Told, mostly: str, follows: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    return {
        "label": dataset.classes[one.label],
        "slice": one.place + 1,
        "n": one.n,
        "accuracy": one.accuracy,
        "low": one.low,
        "high": one.high,
        "n_rest": one.n_rest,
        "rest": one.rest,
        "difference": one.difference,
        "difference_low": one.difference_low,
        "difference_high": one.difference_high,
        "p": one.p,
        "n_found": one.n_found,
        "accuracy_found": one.found,
        "mostly": mostly,
        **{f"ari_{name}": values[one.label] for name, values in follows.items()},
    }


def _overall(found: Slices, follows: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """The row of all labels: standardized rates, each with Kish's n."""
    one = weakest(found)
    rate, size = float(one.gap.rates[0]), float(one.gap.n_effective[0])
    low, high = wilson(rate * size, size) if one.n else (np.nan, np.nan)
    return {
        "label": ALL,
        "slice": 1,
        "n": one.n,
        "accuracy": rate,
        "low": float(low),
        "high": float(high),
        "n_rest": one.n_rest,
        "rest": float(one.gap.rates[1]),
        "difference": one.gap.estimate,
        "difference_low": one.gap.low,
        "difference_high": one.gap.high,
        "p": one.p,
        "n_found": one.n_found,
        "accuracy_found": one.found,
        "mostly": "",
        **{f"ari_{name}": _mean(values) for name, values in follows.items()},
    }


def _mean(values: Sequence[float]) -> float:
    """The mean of what is known; NaN where nothing is."""
    known = [one for one in values if np.isfinite(one)]
    return float(np.mean(known)) if known else float("nan")


def _mostly(
    dataset: Dataset, found: Slices, one: Told, codes: Mapping[str, Rows], follows: Mapping[str, Sequence[float]]
) -> str:
    """``color blue (97 %)``: what most held-out images of a slice have in common, among what is annotated."""
    known = {name: values[one.label] for name, values in follows.items() if np.isfinite(values[one.label])}
    if not known or not one.n:
        return ""
    name = max(known, key=lambda key: known[key])
    mine = found.held & (found.labels == one.label) & (found.place == one.place)
    times = np.bincount(codes[name][mine])
    value = dataset.table[name].cat.categories[int(times.argmax())]
    return f"{name} {value} ({100 * times.max() / one.n:.0f} %)"


def _pictures(
    subject: Subject,
    rows: Rows,
    found: Slices,
    every: Sequence[Told],
    mostly: Sequence[str],
    count: int,
    shown: int,
) -> tuple[Picture, ...]:
    """A picture per slice: held-out images of it, and below them some of the rest of its label."""
    order = sorted(
        (place for place, one in enumerate(every) if one.proposed and one.n),
        key=lambda place: every[place].found - every[place].found_rest,
    )
    pictures = []
    for number, place in enumerate(order[:count], 1):
        one = every[place]
        mine = found.held & (found.labels == one.label)
        sides = [mine & (found.place == one.place), mine & (found.place != one.place)]
        strips = [strip(_some(subject, rows[side], shown, number)) for side in sides if side.any()]
        name = subject.dataset.classes[one.label]
        said = f"label {name}, slice {one.place + 1}: {_percent(one.accuracy)} right"
        if one.n_rest:
            said += f", {_percent(one.rest)} in the rest of the label, below"
        said += f"; {mostly[place]}" if mostly[place] else ""
        pictures.append(Picture("slices", f"slice shown {number}", stacked(strips), caption=said))
    return tuple(pictures)


def _some(subject: Subject, rows: Rows, shown: int, number: int) -> list[npt.NDArray[np.uint8]]:
    generator = numpy_generator(0, "discover", "pictures", number)
    drawn = np.sort(generator.choice(rows, min(shown, len(rows)), replace=False))
    return [enlarged(image_pixels(image.cpu())) for _, batch in subject.batches(drawn) for image in batch]


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _notes(
    about: str, dataset: Dataset, found: Slices, every: Sequence[Told], follows: Mapping[str, Sequence[float]]
) -> Iterator[str]:
    held = int(found.held.sum())
    finding = len(found.held) - held
    yield f"Slices are clusters of {about}, found on {finding:,} test images and told on {held:,} others."
    family = [one for one in every if one.proposed]
    lower = sum(one.p <= 0.05 and one.difference < 0 for one in family)
    yield (
        f"{len(family)} of {len(every)} slices are below the rest of their label where they were found; "
        f"on the held-out images {lower} of these are, at 5 % by Holm's p over all of them."
    )
    for name, values in follows.items():
        mean = _mean(values)
        if np.isfinite(mean):
            yield f"The slices and {name}: adjusted Rand index {mean:.2f}, mean over labels (1 = the same, 0 = chance)."
    whole = [dataset.classes[label] for label in np.flatnonzero(found.number == 1)]
    if whole:
        names = ", ".join(whole[:5]) + (", ..." if len(whole) > 5 else "")
        yield (
            f"Not divided: {len(whole)} of {len(dataset.classes)} labels ({names}), because fewer than {2 * SMALLEST} "
            "of their images find slices or because these look alike to the model."
        )
