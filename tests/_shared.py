"""What the tests of training and comparing share: small cards, and one set of trained runs."""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import biaskit as bk
from biaskit.data import Batch, Dataset, categorical
from biaskit.evidence import ArmEvidence
from biaskit.images import ArrayImages
from biaskit.results import Result

ARMS = ("plain", "aug", "semcont")
SEEDS = 3

CARD = """
version = 1
name = "smalldigits"
summary = "digits at 8 x 8 on red or blue"
words = {{ label = "digit", color = "background color" }}
reliance = "{reliance}"

[source]
name = "digits"
size = 8

[[builder]]
name = "background_color"
regime = "{regime}"
train = {train}
test = {test}

[training]
model = {{ name = "resnet_small", width = 4 }}
epochs = {epochs}
batch_size = 64
optimizer = {{ name = "adam", lr = 0.01 }}
"""

RECIPE = """
version = 1
summary = "{summary}"

[[stage]]
loss = {loss}
{more}
"""


def dataset_card(
    folder, regime="shift", train="[0.95, 0.05]", test="[0.5, 0.5]", epochs=1, reliance="flip_rate", name="smalldigits"
):
    """A data set card of the embedded digits at 8 x 8 that trains in a tenth of a second."""
    path = Path(folder) / f"{name}.toml"
    text = CARD.format(regime=regime, train=train, test=test, epochs=epochs, reliance=reliance)
    path.write_text(text, encoding="utf-8")
    return str(path)


def recipe_card(folder, name, loss='{ name = "cross_entropy" }', more="", summary="a test"):
    """A recipe card with one stage, or several in ``more``."""
    path = Path(folder) / f"{name}.toml"
    path.write_text(RECIPE.format(loss=loss, more=more, summary=summary), encoding="utf-8")
    return str(path)


@functools.cache
def shared_home():
    """One ``BIASKIT_HOME`` for the runs that several modules look at."""
    folder = tempfile.mkdtemp(prefix="biaskit-tests-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@contextmanager
def at_home(folder):
    before = os.environ.get("BIASKIT_HOME")
    os.environ["BIASKIT_HOME"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["BIASKIT_HOME"]
        else:
            os.environ["BIASKIT_HOME"] = before


@functools.cache
def small(epochs=1):
    """The small data set."""
    return bk.build(dataset_card(shared_home(), epochs=epochs))


@functools.cache
def comparison():
    """Three recipes over three seeds, trained once for all tests."""
    with at_home(shared_home()):
        return bk.compare(ARMS, small(), seeds=SEEDS)


def batch(images, perturbed, labels, progress=1.0):
    count = torch.arange(len(labels))
    return Batch(images, perturbed, torch.as_tensor(labels), count * 0, count, progress, torch.Generator())


def answered(per_group=50, classes=("left", "right")):
    """A data set of one-pixel images in four equal groups, with twins, for answers that a test makes up."""
    n = 2 * len(classes) * per_group
    label = np.tile(np.arange(len(classes)), n // len(classes))
    color = np.repeat([0, 1], n // 2)
    table = pd.DataFrame(
        {
            "label": pd.Categorical.from_codes(np.tile(label, 3), categories=list(classes)),
            "color": pd.Categorical.from_codes(np.concatenate([color, color, 1 - color]), categories=["red", "blue"]),
            "split": categorical("split", ["train"] * n + ["test"] * n + ["twin"] * n, 3 * n),
            "pair": np.concatenate([np.full(n, -1), np.arange(2 * n, 3 * n), np.arange(n, 2 * n)]),
            "swapped": pd.Categorical([""] * 2 * n + ["color"] * n, categories=["", "color"]),
        }
    )
    pixels = np.zeros((3 * n, 1, 1, 3), np.uint8)
    pixels[np.arange(3 * n), 0, 0, table["color"].cat.codes.to_numpy() * 2] = 255
    card = {"name": "answered", "builder": [{"attribute": "color", "regime": "shift"}]}
    return Dataset(ArrayImages(pixels), table, card, ("color",))


def evidence(data, name, answers, after, seeds=None, continuity=None):
    """An arm that answered ``answers`` to the test images of `answered` and ``after`` to their twins."""
    seeds = tuple(range(len(answers))) if seeds is None else tuple(seeds)
    results = {} if continuity is None else {"continuity": Result("continuity", pd.DataFrame(), (), samples=continuity)}
    return ArmEvidence(name, seeds, np.asarray(answers), np.asarray(answers), np.asarray(after), results)


def leaning(data, rng, strength, seeds=3, mistakes=0.05):
    """Answers of an arm that goes by the color on a share of the images and by the label on the others."""
    labels = data.labels[data.rows("test")]
    color = data.table["color"].cat.codes.to_numpy()[data.rows("test")]
    image = rng.random(len(labels))
    before, after = [], []
    for _ in range(seeds):
        leans = (image + 0.05 * rng.normal(size=len(image))) < strength
        wrong = rng.random(len(image)) < mistakes
        read = np.where(wrong, 1 - labels, labels)
        before.append(np.where(leans, color, read))
        after.append(np.where(leans, 1 - color, read))
    return np.stack(before), np.stack(after)
