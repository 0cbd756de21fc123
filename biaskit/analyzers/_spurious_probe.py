from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from pydantic import Field

from biaskit.analyzers._linear_probe import Strata, probe, standardized, strata
from biaskit.attacks._options import checks_options
from biaskit.errors import SpecError
from biaskit.features import find_layer
from biaskit.representation import layer_vectors, layers_with_weights
from biaskit.results import Column, Result
from biaskit.rng import numpy_generator
from biaskit.subject import Subject

__all__ = ["spurious_probe"]

Points = npt.NDArray[np.float32]

COLUMNS = (
    Column("depth", "place of the layer among those that are probed, from the image on", key=True),
    Column("layer", "whose output is read, mean over positions", key=True),
    Column("target", "what a linear probe reads: the label, or an attribute", key=True),
    Column("given", "what is mixed alike among all values of the target, so that it cannot stand in for it", key=True),
    Column("n", "test images, each answered by the probe of the half it is not in"),
    Column("balanced_accuracy", "share of right answers, every value of target and given weighted alike", "share"),
    Column("low", "95 % Wilson interval on Kish's n, this model and other images"),
    Column("high", "95 % Wilson interval on Kish's n, this model and other images"),
    Column("chance", "what always the commonest answer gives, and every probe that knows what is given alone", "share"),
    Column("permuted", "the same probe fitted to targets that were shuffled among images alike in what is given; mean",
           "share"),
)  # fmt: skip


@checks_options
def spurious_probe(
    subject: Subject,
    *,
    layers: tuple[str, ...] = (),
    most: Annotated[int, Field(ge=2)] = 8,
    images: Annotated[int, Field(ge=4)] = 2000,
    permutations: Annotated[int, Field(ge=0)] = 5,
) -> Result:
    """Measure how well a linear probe reads the attribute, and the label, from each layer.

    The probe is a multinomial logistic regression on the standardized output of a layer. Test images are halved at
    random; the probe of either half answers the other. Where attribute and label go together, a layer that holds one of
    them seems to hold the other too. Hence every value of the target counts with the same mix of the other, ``given``:
    with the cells (target t, given g) ``balanced accuracy = mean over t and g of (right_tg / n_tg)``, and images are
    weighted by ``1 / n_tg`` in the fit. What a layer knows of ``given`` alone is then worth chance, one over the number
    of values, as is the majority answer.

    Parameters
    ----------
    subject : Subject
        Needs the model.
    layers : tuple of str
        From the end of their names, from the image on. Empty: the model is opened, blocks into their parts, until it
        has five layers with weights or more, and these are taken; the last gives the logits.
    most : int
        Layers taken where none is named, evenly over the depth, the first and the last among them.
    images : int
        Test images, both halves together, drawn once for all arms and seeds.
    permutations : int
        Shuffled targets that the probe is fitted to for the second line of chance, of which the mean is taken: a layer
        that holds one thing clearly gets almost all or almost nothing of a single one right. The time grows by each; 0
        leaves the line out as NaN.

    Returns
    -------
    Result
        A row per layer and target: each grouping attribute given the label, and the label given each of them; without
        attributes the label alone. ``samples`` has for every image whether the probe was right. Values of which a kind
        of image is there less than twice are left out, and the notes name them; where nothing is left, NaN.

    Raises
    ------
    UnknownName, SpecError
        A layer that is not there, one of several, or one named twice.
    UnsupportedModel
        A model that has no layers with weights, or a layer that gives no numbers.

    Notes
    -----
    That a probe can read the attribute does not say that the answers rest on it, and a network that was never trained
    lets colors be read as well: where a layer stands against the others, and the label against the attribute, tells
    more than one number. scikit-learn's L2 penalty at C = 1 and L-BFGS, not tuned on the images that are scored.

    References
    ----------
    Alain & Bengio, Understanding intermediate layers using linear classifier probes, arXiv 1610.01644; the shuffled
    targets after the control tasks of Hewitt & Liang, arXiv 1909.03368, section 2. The standardization is ours.

    Examples
    --------
    A model that sees the square, whose color is the label, and is blind to the frame:

    >>> from biaskit import testing
    >>> subject = Subject(testing.looks_at("square"), testing.framed(per_group=10), device="cpu")
    >>> found = spurious_probe(subject).table
    >>> found[["layer", "target", "given", "balanced_accuracy", "chance"]].values.tolist()
    [['blocks', 'frame', 'label', 0.5, 0.5], ['blocks', 'label', 'frame', 1.0, 0.5]]
    """
    dataset = subject.dataset
    rows = subject.sample(images, "spurious_probe")
    subject.logits_of(rows[:1])  # Says what is wrong with a model that cannot take these images.
    names, about = _layers(subject, rows, layers, most)
    points = _points(subject, rows, names)
    codes = {"label": dataset.labels[rows]}
    codes |= {one: np.asarray(dataset.table[one].cat.codes, np.int64)[rows] for one in dataset.group_by}
    pairs = [*((one, "label") for one in dataset.group_by), *(("label", one) for one in dataset.group_by)]
    table, samples, notes = [], [], [about]
    for target, given in pairs or [("label", "")]:
        cells = strata(codes[target], codes[given] if given else np.zeros(len(rows), np.int64))
        notes += _said(cells, target, given, subject)
        for depth, name in enumerate(names, 1):
            key = {"depth": depth, "layer": name, "target": target, "given": given}
            row, right = _row(points[name], cells, permutations, f"{target} {given}")
            table.append({**key, **row})
            samples.append(pd.DataFrame({"row": rows[cells.rows], **key, "correct": right}))
    options: dict[str, Any] = {"layers": layers, "most": most, "images": images, "permutations": permutations}
    return Result(
        "spurious_probe",
        pd.DataFrame(table, columns=[column.name for column in COLUMNS]),
        COLUMNS,
        options,
        pd.concat(samples, ignore_index=True),
        notes=tuple(notes),
    )


def _layers(subject: Subject, rows: npt.NDArray[np.int64], wanted: Sequence[str], most: int) -> tuple[list[str], str]:
    """The full names of the layers, and a sentence about them."""
    if wanted:
        names = [find_layer(subject.model, one) for one in wanted]
        twice = [one for one in names if names.count(one) > 1]
        if twice:
            raise SpecError(f"spurious_probe: layers names {twice[0]} twice")
        return names, f"Probed are the layers asked for: {', '.join(names)}."
    _, image = next(subject.batches(rows[:1]))
    known = layers_with_weights(subject.model, image)
    places = np.unique(np.linspace(0, len(known) - 1, min(most, len(known))).round().astype(int))
    names = [known[place] for place in places]
    part = f"{len(names)} of {len(known)}" if len(names) < len(known) else "all"
    return names, f"Probed are {part} layers with weights: {', '.join(names)}."


def _points(subject: Subject, rows: npt.NDArray[np.int64], names: Sequence[str]) -> dict[str, Points]:
    """What the layers give for each image, (n, D) each, in one pass over the images."""
    found: dict[str, list[Points]] = {name: [] for name in names}
    for _, images in subject.batches(rows):
        with torch.inference_mode():
            for name, one in layer_vectors(subject.model, images, names).items():
                found[name].append(one.cpu().numpy())
    return {name: np.concatenate(parts) for name, parts in found.items()}


def _row(points: Points, cells: Strata, permutations: int, purpose: str) -> tuple[dict[str, float], npt.NDArray[Any]]:
    """The numbers of one layer and target, and which images the probe answers right."""
    if not len(cells.rows):
        nothing = dict.fromkeys(("balanced_accuracy", "low", "high", "chance", "permuted"), np.nan)
        return {"n": 0, **nothing}, np.zeros(0, bool)
    mine = points[cells.rows]
    right = probe(mine, cells, cells.target) == cells.target
    value, low, high = standardized(right, cells)
    generator = numpy_generator(0, "spurious_probe", "shuffled", purpose)
    shuffled = [
        standardized(probe(mine, cells, cells.shuffled(generator)) == cells.target, cells)[0]
        for _ in range(permutations)
    ]
    return {
        "n": len(cells.rows),
        "balanced_accuracy": value,
        "low": low,
        "high": high,
        "chance": 1.0 / len(np.unique(cells.target)),
        "permuted": float(np.mean(shuffled)) if shuffled else np.nan,
    }, right


def _said(cells: Strata, target: str, given: str, subject: Subject) -> Iterator[str]:
    """What is left out of the probes of one target."""
    if not len(cells.rows):
        without = f" with every {given}" if given else ""
        yield f"{target} cannot be read: no two of its values have two test images each{without}."
    for name, out in ((given, cells.given_out), (target, cells.target_out)):
        if len(cells.rows) and out:
            names = subject.dataset.table[name].cat.categories
            listed = ", ".join(str(names[one]) for one in out[:5]) + (", ..." if len(out) > 5 else "")
            yield f"{target} is read without the images whose {name} is {listed}: fewer than two of some kind."
