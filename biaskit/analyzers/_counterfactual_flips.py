from __future__ import annotations

import copy
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from biaskit.errors import UnsupportedModel
from biaskit.evaluation import evaluate
from biaskit.features import redraw
from biaskit.results import Column, Result
from biaskit.rng import numpy_generator, scoped
from biaskit.stats import wilson
from biaskit.subject import Subject

__all__ = ["counterfactual_flips"]

COLUMNS = (
    Column("attribute", "what was swapped", key=True),
    Column("label", "the images' label; all = every image", key=True),
    Column("n", "pairs of image and twin"),
    Column("flip_rate", "share of images whose answer changes when only the attribute does", "", "lower"),
    Column("low", "95 % Wilson interval, this model and other images"),
    Column("high", "95 % Wilson interval, this model and other images"),
    Column("right_to_wrong", "share that turns from right to wrong", "", "lower"),
    Column("wrong_to_right", "share that turns from wrong to right", "", ""),
    Column("wrong_to_wrong", "share that turns from one wrong answer to another", "", ""),
    Column("n_untrained", "pairs shown to the untrained network"),
    Column("untrained", "flip rate of the same network before training", "", ""),
)


def counterfactual_flips(subject: Subject, *, untrained: Annotated[int, Field(ge=0)] = 1000) -> Result:
    """How many answers change when the attribute, and nothing else, changes.

    Every test image has a twin that differs in one attribute alone; the flip rate is the share of pairs with two
    different answers. It is a causal measure of reliance: 0 for a model that ignores the attribute. A constant model
    has 0 as well, so it never stands without accuracy.

    Parameters
    ----------
    subject : Subject
        On a data set with twins.
    untrained : int
        Pairs on which the same network is read before training (all its parameters drawn anew), the baseline that
        shows how far the swap moves a network that has learned nothing. 0 leaves it out; without the model it is NaN.

    Returns
    -------
    Result
        A row per attribute and label, and ``all``. ``samples`` has ``row`` (the test image), ``attribute`` and
        ``flipped`` per pair.

    Raises
    ------
    DataError
        The data set has no twins.
    """
    dataset = subject.dataset
    table, samples = [], []
    attributes = [name for name in dataset.table["swapped"].cat.categories if name]
    for attribute in attributes or list(dataset.group_by[:1]) or ["attribute"]:
        images, twins = subject.twins(attribute)
        labels = dataset.labels[images]
        before, after = subject.predictions(images), subject.predictions(twins)
        untrained_rate, pairs = _untrained(subject, images, twins, untrained)
        for code in (-1, *range(len(dataset.classes))):
            mine = np.ones(len(labels), bool) if code < 0 else labels == code
            row = _row(labels[mine], before[mine], after[mine])
            name = "all" if code < 0 else dataset.classes[code]
            baseline = (pairs, untrained_rate) if code < 0 else (0, np.nan)
            table.append(
                {"attribute": attribute, "label": name, **row, "n_untrained": baseline[0], "untrained": baseline[1]}
            )
        samples.append(pd.DataFrame({"row": images, "attribute": attribute, "flipped": before != after}))
    return Result(
        "counterfactual_flips",
        pd.DataFrame(table, columns=[column.name for column in COLUMNS]),
        COLUMNS,
        {"untrained": untrained},
        pd.concat(samples, ignore_index=True),
    )


def _row(
    labels: npt.NDArray[np.int64], before: npt.NDArray[np.int64], after: npt.NDArray[np.int64]
) -> dict[str, float]:
    n, flipped = len(labels), before != after
    low, high = wilson(flipped.sum(), n)
    right, right_after = before == labels, after == labels
    shares = {
        "flip_rate": flipped,
        "right_to_wrong": right & ~right_after,
        "wrong_to_right": ~right & right_after,
        "wrong_to_wrong": flipped & ~right & ~right_after,
    }
    means = {name: float(one.mean()) if n else np.nan for name, one in shares.items()}
    return {"n": n, "flip_rate": means.pop("flip_rate"), "low": float(low), "high": float(high), **means}


def _untrained(
    subject: Subject, images: npt.NDArray[np.int64], twins: npt.NDArray[np.int64], pairs: int
) -> tuple[float, int]:
    if pairs == 0:
        return float("nan"), 0
    try:
        model = copy.deepcopy(subject.model)
    except UnsupportedModel:
        return float("nan"), 0
    with scoped(0):
        if not redraw(model):
            # No layer can be drawn anew, as in ONNX or a program: its answers would be those of the model itself.
            return float("nan"), 0
    picked = numpy_generator(0, "untrained").permutation(len(images))[:pairs]
    answers = [evaluate(model, subject.dataset, rows[picked], subject.device).argmax(dim=1) for rows in (images, twins)]
    return float((answers[0] != answers[1]).float().mean()), len(picked)
