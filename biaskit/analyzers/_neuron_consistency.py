from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from biaskit.analyzers._activation import Activity, Change, activity
from biaskit.analyzers._consistency import Floats, Kernel, consistency, correlation, excess_interval
from biaskit.attacks._fgsm import fgsm
from biaskit.attacks._options import Epsilon, checks_options
from biaskit.data import Dataset
from biaskit.errors import DataError, SpecError
from biaskit.features import deepest_map, find_layer
from biaskit.results import Column, Result
from biaskit.rng import torch_generator
from biaskit.subject import Subject
from biaskit.wordnet import distances, synsets_of

__all__ = ["neuron_consistency"]

#: How the rule of a positive activation is written among the quantiles.
POSITIVE = "act>0"

COLUMNS = (
    Column("images", "natural, or adversarial: moved by FGSM; the label is always that of the natural image", key=True),
    Column("sigma", "how fast the correlation of two labels falls with their distance in WordNet", key=True),
    Column(
        "quantile",
        "share of the natural images that activate a unit, its strongest; act>0 = those on which it is above 0",
        key=True,
    ),
    Column("n", "images"),
    Column("n_units", "units that at least two images activate, over which means are taken"),
    Column("n_dead", "units that fewer than two images activate, left out"),
    Column("activated", "images that activate a unit, mean over units"),
    Column("consistency", "mean correlation of the labels of two activating images, mean over units", "", "higher"),
    Column("plug_in", "p'Ap of the shares p of the labels, biased upward where few images activate; mean over units"),
    Column("null", "consistency of units that respond to images at random"),
    Column("excess", "consistency minus null, mean over units", "", "higher"),
    Column("low", "95 % jackknife interval of the excess over images, this model and its thresholds"),
    Column("high", "95 % jackknife interval of the excess over images, this model and its thresholds"),
    Column("normalized", "excess over its largest possible value, 1 - null; mean over units", "", "higher"),
)


@checks_options
def neuron_consistency(
    subject: Subject,
    *,
    layer: str = "",
    synsets: dict[str, str] | None = None,
    sigma: Annotated[float, Field(gt=0)] = 2.0,
    sigmas: tuple[Annotated[float, Field(gt=0)], ...] = (1.0, 1.5, 2.5, 4.0),
    quantile: Annotated[float, Field(gt=0, lt=1)] = 0.01,
    quantiles: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.005, 0.05),
    kind: Literal["dag", "tree"] = "dag",
    kernel: Kernel = "gauss",
    epsilon: Epsilon = 8 / 255,
    adversarial: bool = True,
    requantile: bool = False,
    images: Annotated[int, Field(ge=2)] = 10_000,
) -> Result:
    """Whether the images that activate a unit have labels that are near to one another in WordNet.

    A unit is activated by an image if the largest value of its map is above the unit's threshold, which is the
    ``1 - quantile`` quantile over the natural images, for natural and adversarial images alike. With the distances d of
    the labels' synsets, ``A = exp(-d^2 / (2 sigma^2))`` and p the shares of the labels among the m images that activate
    the unit, its consistency is ``p'Ap``: 1 for a unit that responds to one label. From few images that comes out too
    large, by up to 1/m. The mean of A over pairs of two different images has no such bias: it is the consistency given
    here, and the plug-in stands beside it. The null is the same mean over all images: exactly what units have, on
    average, that know no label.

    Parameters
    ----------
    subject : Subject
        Needs the model.
    layer : str
        Whose channels are the units; a full name, or the end of one. Default: the last layer that gives a map, which is
        the last block of convolutions after its ReLU. The notes name it.
    synsets : mapping of label to synset, optional
        Of labels that are not known, or are meant otherwise: ``{"tabby" = "tabby.n.01"}``.
    sigma : float
        How far relation reaches: at 2, labels at distance 2 (siblings) have .61, at 4 (cousins) .14.
    sigmas : tuple of float
        Also computed, at ``quantile``.
    quantile : float in (0, 1)
        Share of the natural images that activate a unit.
    quantiles : tuple of float
        Also computed, at ``sigma``, as is the rule that an activation above 0 is enough.
    kind : {'dag', 'tree'}
        Shortest way over any common hypernym, or over the first hypernyms alone, whose distances are a metric.
    kernel : {'gauss', 'laplace'}
        ``exp(-d^2 / (2 sigma^2))`` or ``exp(-d / sigma)``; the second with ``tree`` has no negative eigenvalue.
    epsilon : float in [0, 1], or a fraction such as "8/255"
        How far FGSM moves each pixel, away from what the model answers.
    adversarial : bool
        Measure on adversarial images too; that takes three times as long again.
    requantile : bool
        Read the thresholds for adversarial images off these, so that as many of them activate a unit.
    images : int
        Test images, drawn once for all arms and seeds. Thresholds are read off at most 10,240 of them.

    Returns
    -------
    Result
        One row per kind of images, sigma and quantile, means over the units. ``details`` has a row for every unit and
        kind of images at ``sigma`` and ``quantile``, with its threshold, the images m that activate it and the label
        that most of them have. A unit that fewer than two images activate is NaN there, counted, and in no mean.

    Raises
    ------
    UnknownName
        No such layer; with the nearest.
    DataError
        A label that no synset fits, with candidates; one label alone.
    UnsupportedModel
        No layer with maps; a layer without units, or with NaN.
    SpecError
        An option outside its range; a synset that does not exist, or one for a label that does not.

    References
    ----------
    Dong et al., arXiv 1901.09035, section 3.1 and Table 1: the plug-in over the last convolution; they give neither
    sigma nor the rule of activation. The unbiased estimate, the null and the interval are ours.

    Examples
    --------
    >>> from biaskit import testing
    >>> subject = Subject(testing.looks_at("square"), testing.framed(per_group=10), device="cpu")
    >>> found = neuron_consistency(subject, synsets={"red": "dog.n.01", "blue": "truck.n.01"})
    >>> found.notes[0]
    'The units are the 2 channels of layer blocks.'
    >>> found.table[found.table["quantile"] == "act>0"].set_index("images")["consistency"].round(4).to_dict()
    {'natural': 1.0, 'adversarial': 0.4872}
    """
    dataset = subject.dataset
    rows = subject.sample(images, "neuron_consistency")
    if len(np.unique(dataset.labels[rows])) < 2:
        raise DataError(f"{dataset.name}: consistency is about different labels, and its test images have one label")
    apart = distances(_named(dataset, synsets), kind=kind)
    probe = next(iter(subject.batches(rows[:1])))[1]
    full = find_layer(subject.model, layer) if layer else deepest_map(subject.model, probe, at_least=1)

    shares = tuple(dict.fromkeys((quantile, *quantiles)))
    found = {"natural": activity(subject, full, rows, shares)}
    if adversarial:
        held = None if requantile else found["natural"].thresholds
        found["adversarial"] = activity(subject, full, rows, shares, change=_fgsm(subject, epsilon), thresholds=held)

    related = {one: correlation(apart, one, kernel) for one in sorted({sigma, *sigmas})}
    # What was asked for stands first; then one thing is varied at a time, sigma and the rule of activation.
    conditions = [(sigma, 0), *((one, 0) for one in related if one != sigma)]
    conditions += [(sigma, place) for place in range(1, len(shares) + 1)]
    rules = [*(f"{one:g}" for one in shares), POSITIVE]
    table = [
        {"images": name, "sigma": width, "quantile": rules[place], **_row(related[width], one, place)}
        for width, place in conditions
        for name, one in found.items()
    ]
    details = pd.concat(
        [_units(related[sigma], one, dataset.classes).assign(images=name) for name, one in found.items()],
        ignore_index=True,
    )
    options: dict[str, Any] = {
        "layer": layer,
        "synsets": synsets,
        "sigma": sigma,
        "sigmas": sigmas,
        "quantile": quantile,
        "quantiles": quantiles,
        "kind": kind,
        "kernel": kernel,
        "epsilon": epsilon,
        "adversarial": adversarial,
        "requantile": requantile,
        "images": images,
    }
    return Result(
        "neuron_consistency",
        pd.DataFrame(table, columns=[column.name for column in COLUMNS]),
        COLUMNS,
        options,
        notes=tuple(_notes(full, details, len(rows), quantile, apart)),
        details=details[["images", *details.columns.drop("images")]],
    )


def _named(dataset: Dataset, synsets: dict[str, str] | None) -> tuple[str, ...]:
    """The synsets of the labels; what is wrong with one names the option of the analyzer."""
    # A card without a source has a builder that draws its own images, and its labels are known by that name.
    origins = [dataset.card.get("source"), *dataset.card.get("builder", [])]
    source = next((str(one["name"]) for one in origins if one and "name" in one), "")
    try:
        return synsets_of(dataset.classes, source=source, mapping=synsets)
    except (DataError, SpecError) as error:
        raise type(error)(str(error).replace("with mapping=", "with the option synsets=")) from None


def _fgsm(subject: Subject, epsilon: float) -> Change:
    generator = torch_generator(0, "neuron_consistency", device=subject.device)
    return lambda images, labels: fgsm(subject.model, images, labels, generator, epsilon=epsilon)


def _row(related: Floats, one: Activity, place: int) -> dict[str, float]:
    """Means over the units that at least two images activate, and the interval of the excess."""
    units = consistency(related, one.counts[place].sum(axis=0), one.images.sum(axis=0))
    low, high = excess_interval(related, one.counts[place], one.images)
    live = units.active > 1

    def mean(values: Floats) -> float:
        return float(values[live].mean()) if live.any() else np.nan

    return {
        "n": int(one.images.sum()),
        "n_units": int(live.sum()),
        "n_dead": int((~live).sum()),
        "activated": mean(units.active),
        "consistency": mean(units.unbiased),
        "plug_in": mean(units.plug_in),
        "null": units.null,
        "excess": mean(units.excess),
        "low": low,
        "high": high,
        "normalized": mean(units.normalized),
    }


def _units(related: Floats, one: Activity, classes: tuple[str, ...]) -> pd.DataFrame:
    """A row per unit at the first threshold."""
    counts = one.counts[0].sum(axis=0)
    units = consistency(related, counts, one.images.sum(axis=0))
    top, live = counts.argmax(axis=0), units.active > 0
    with np.errstate(invalid="ignore"):
        share = counts.max(axis=0) / units.active
    return pd.DataFrame(
        {
            "unit": np.arange(len(units.active)),
            "threshold": one.thresholds[0].numpy(),
            "activated": units.active.astype(np.int64),
            "consistency": units.unbiased,
            "plug_in": units.plug_in,
            "excess": units.excess,
            "top_label": [classes[label] if known else "" for label, known in zip(top, live, strict=True)],
            "top_share": np.where(live, share, np.nan),
        }
    )


def _notes(
    layer: str, details: pd.DataFrame, images: int, quantile: float, apart: npt.NDArray[np.int64]
) -> Iterator[str]:
    natural = details[details["images"] == "natural"]
    yield f"The units are the {len(natural)} channels of layer {layer}."
    distant = np.unique(apart[~np.eye(len(apart), dtype=bool)])
    if distant.tolist() == [0]:
        yield "All labels are the same noun: consistency is 1 whatever a unit responds to."
    elif len(apart) > 2 and len(distant) == 1:
        yield f"All labels are equally far apart, {distant[0]} steps: consistency says only how few labels a unit has."
    expected = int(quantile * images + 1e-9)
    if expected < 10:
        yield (
            f"{quantile:g} of {images:,} images are {expected} per unit"
            + (": too few for any consistency." if expected < 2 else ": the numbers of single units say little.")
            + " Take more images or a larger quantile."
        )
    for kind, part in details.groupby("images", sort=False):
        dead = int((part["activated"] < 2).sum())
        if dead:
            yield f"On {kind} images {dead} of {len(part)} units are activated by fewer than two, and left out."
