"""Folders of results whose every answer a test makes up: the three channels of a pixel hold those of three models."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import torch
from torch import nn

import biaskit as bk
from biaskit._audit import audit_result
from biaskit.data import Dataset, categorical
from biaskit.images import ArrayImages

LEVEL = 20


class Channel(nn.Module):
    """Answers what one color channel of the pixel says: level 20 x the class."""

    def __init__(self, channel, classes):
        super().__init__()
        self.channel = channel
        self.levels = nn.Parameter(torch.arange(classes) * LEVEL / 255.0)

    def forward(self, images):
        return -((images[:, self.channel].mean(dim=(1, 2))[:, None] - self.levels) ** 2) * 1e3


def cells(**counts):
    """Rows of groups: ``left_red=(45, 50)`` is 50 images, the first 45 answered right; two labels, one attribute."""
    rows = []
    for name, (right, n) in counts.items():
        label, color = name.split("_")
        other = "right" if label == "left" else "left"
        rows += [(label, color, label if place < right else other) for place in range(n)]
    return pd.DataFrame(rows, columns=["label", "color", "prediction"])


def dataset(table, *others, attributes=("color",), train=None, twins=None, classes=None, name="made", regime=None):
    """A data set on which the model of channel 0 answers the column ``prediction``, and that of 1 and 2 ``others``.

    Parameters
    ----------
    table : DataFrame
        label, attributes, prediction: the test images.
    others : sequences of str
        What further models answer to them.
    train : DataFrame, optional
        label and attributes of training images.
    twins : sequence of sequences of str, optional
        What each model answers to the twins, in which the first attribute has its next value.
    """
    answers = [list(table["prediction"]), *map(list, others)]
    classes = classes or sorted({*table["label"], *(one for given in answers for one in given)})
    parts = [] if train is None else [train.assign(split="train", prediction=train["label"])]
    first, count = sum(map(len, parts)), len(table)
    parts.append(table.assign(split="test"))
    if twins is not None:
        swapped = table.assign(split="twin")
        values = sorted(set(table[attributes[0]]))
        swapped[attributes[0]] = [values[(values.index(one) + 1) % len(values)] for one in table[attributes[0]]]
        parts.append(swapped)
    rows = pd.concat(parts, ignore_index=True)
    pixels = np.zeros((len(rows), 1, 1, 3), np.uint8)
    for channel, given in enumerate(answers):
        pixels[first : first + count, 0, 0, channel] = [classes.index(one) * LEVEL for one in given]
        if twins is not None:
            pixels[first + count :, 0, 0, channel] = [classes.index(one) * LEVEL for one in twins[channel]]
    made = {"label": categorical("label", rows["label"].tolist(), len(rows), classes)}
    made |= {one: categorical(one, rows[one].tolist(), len(rows)) for one in attributes}
    made["split"] = categorical("split", rows["split"].tolist(), len(rows))
    pair, swapped = np.full(len(rows), -1), [""] * len(rows)
    if twins is not None:
        images = np.arange(first, first + count)
        pair[images], pair[images + count] = images + count, images
        swapped = [""] * (first + count) + [attributes[0]] * count
    made["pair"] = pair.astype(np.int64)
    made["swapped"] = pd.Categorical(swapped, categories=["", *attributes[:1]])
    planted = [{"attribute": attributes[0], **({"regime": regime} if regime else {})}] if attributes and regime else []
    return Dataset(ArrayImages(pixels), pd.DataFrame(made), {"name": name, "builder": planted}, tuple(attributes))


def stored(folder, result, predictions):
    """A folder with what a gate reads, without the report."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    predictions.to_parquet(folder / "predictions.parquet", index=False)
    return folder


def audited(folder, data, channel=0, analyzers=("group_accuracy",)):
    """The folder of an audit of the model of a channel."""
    found = bk.audit(Channel(channel, len(data.classes)), data, analyzers=list(analyzers), device="cpu", name="model")
    return stored(folder, audit_result(found), found.predictions)


def compared(folder, data, arms):
    """The folder of a comparison whose arms are channels, one per seed: ``{"plain": [0, 1, 2]}``."""
    parts = []
    for arm, channels in arms.items():
        for seed, channel in enumerate(channels):
            one = bk.audit(Channel(channel, len(data.classes)), data, analyzers=["group_accuracy"], device="cpu")
            parts.append(one.predictions.assign(arm=arm, seed=seed))
    result = audit_result(one) | {"kind": "comparison", "arms": [{"name": arm} for arm in arms], "seeds": [0, 1, 2]}
    return stored(folder, result, pd.concat(parts, ignore_index=True))
