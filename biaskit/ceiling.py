"""How far a classifier gets that sees the attributes of an image and none of its pixels: what a shortcut can give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from biaskit import stats
from biaskit.data import Dataset
from biaskit.describe import codes_of, counted
from biaskit.rng import numpy_generator

__all__ = ["ceiling"]

Ints = npt.NDArray[np.int64]
Row = dict[str, Any]


def ceiling(dataset: Dataset, splits: Sequence[str]) -> list[Row]:
    """What the attributes alone get right: each by itself, and those of the groups together.

    The classifier is a table: among the images of train with the same values, the commonest label (of a tie the
    first). No classifier that sees these attributes alone does better on images of the same mix. Values that train
    does not have get the commonest label of all, and are counted. On train itself, which says what the shortcut is
    worth to whoever learns, and where there is no split ``train``, it is fitted on one half, drawn once, and read on
    the other, both ways.

    Parameters
    ----------
    dataset : Dataset
    splits : sequence of str
        Each of them is read.

    Returns
    -------
    list of dict
        Per split and attribute: ``fitted`` on what; ``accuracy`` with its Wilson interval; ``commonest``, the accuracy
        of always answering the commonest label of train; ``lift``, their difference on the same images (Bonett-Price),
        with p (McNemar, by Holm over the attributes of a split); ``balanced_accuracy``, the mean over labels where
        every label counts the same in fitting as well, beside ``chance``; ``unseen``, images with values that were
        never fitted.

    Examples
    --------
    >>> labels, split = [0] * 9 + [1] + [0, 1], ["train"] * 10 + ["test"] * 2
    >>> color = ["red"] * 9 + ["blue"] + ["red", "blue"]
    >>> data = Dataset.from_arrays(np.zeros((12, 2, 2), np.uint8), labels, {"color": color}, split=split)
    >>> row = ceiling(data, ["train", "test"])[1]
    >>> row["accuracy"], row["commonest"], row["balanced_accuracy"]
    (1.0, 0.5, 1.0)
    """
    sets: list[tuple[str, ...]] = [(name,) for name in dataset.attributes]
    if len(dataset.group_by) > 1:
        sets.append(dataset.group_by)
    found = []
    for split in splits:
        rows, train = dataset.rows(split), "train" in splits and split != "train"
        mine = []
        for names in sets:
            answers, same, unseen = _answers(dataset, rows, names, train)
            fair, _, _ = _answers(dataset, rows, names, train, balanced=True)
            scores = _scores(dataset.labels[rows], answers, same, fair, len(dataset.classes))
            fitted = "train" if train else "the other half"
            place = {"attribute": " x ".join(names), "split": split, "fitted": fitted, "n": len(rows)}
            mine.append({**place, **scores, "unseen": int(unseen.sum())})
        for row, p in zip(mine, stats.holm([row["p"] for row in mine]), strict=True):
            found.append({**row, "p_holm": float(p)})
    return found


def _answers(
    dataset: Dataset, rows: Ints, names: tuple[str, ...], train: bool, *, balanced: bool = False
) -> tuple[Ints, Ints, npt.NDArray[np.bool_]]:
    """Answers of the look-up and of the commonest label, and which images have values that were never fitted."""
    if train:
        plan = [(dataset.rows("train"), np.arange(len(rows)))]
    else:
        half = numpy_generator(0, "halves").permutation(len(rows)) % 2 == 0
        plan = [(rows[half], np.flatnonzero(~half)), (rows[~half], np.flatnonzero(half))]
    answers, same, unseen = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64), np.zeros(len(rows), bool)
    codes = codes_of(dataset, rows, names)
    for fitted, told in plan:
        counts = counted(dataset, fitted, names).astype(float)
        commonest = int(counts.sum(0).argmax())
        weighed = counts / np.maximum(counts.sum(0), 1) if balanced else counts
        guess = np.where(counts.sum(1) > 0, weighed.argmax(1), commonest)
        answers[told], same[told] = guess[codes[told]], commonest
        unseen[told] = counts.sum(1)[codes[told]] == 0
    return answers, same, unseen


def _scores(labels: Ints, answers: Ints, same: Ints, fair: Ints, classes: int) -> Row:
    """Accuracy of the look-up beside that of one answer for all, and its mean over labels beside chance."""
    n, right, base = len(labels), answers == labels, same == labels
    low, high = stats.wilson(right.sum(), n)
    only, lost = int((right & ~base).sum()), int((base & ~right).sum())
    lift = stats.bonett_price(only, lost, n)
    size = np.bincount(labels, minlength=classes)
    there = size > 0
    recall = np.bincount(labels[fair == labels], minlength=classes)[there] / size[there]
    effective = float(stats.kish(np.full(int(there.sum()), 1 / there.sum()), size[there]))
    ends = stats.wilson(recall.mean() * effective, effective)
    return {
        "accuracy": float(right.mean()),
        "low": float(low),
        "high": float(high),
        "commonest": float(base.mean()),
        "lift": (only - lost) / n,
        "lift_low": float(lift[0]),
        "lift_high": float(lift[1]),
        "p": float(stats.mcnemar(only, lost)),
        "balanced_accuracy": float(recall.mean()),
        "balanced_low": float(ends[0]),
        "balanced_high": float(ends[1]),
        "chance": 1 / int(there.sum()),
    }
