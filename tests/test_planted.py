"""Planted strength: every measure of bias is null where nothing is planted, and grows with what is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from _shared import answered, at_home, dataset_card, evidence, leaning
from torch import nn

import biaskit as bk
from biaskit import stats
from biaskit._audit import audit_result
from biaskit._differences import differences
from biaskit.data import Dataset
from biaskit.evidence import Ground
from biaskit.images import ArrayImages
from biaskit.measures import headline

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)


class Mixed(nn.Module):
    """Reads the brightness of the green channel, and the color with a given strength."""

    def __init__(self, strength):
        super().__init__()
        self.strength = nn.Parameter(torch.tensor(strength))

    def forward(self, images):
        shape = images[:, 1].mean((1, 2)) - 0.5
        color = (images[:, 2] - images[:, 0]).mean((1, 2))
        score = (1 - self.strength) * shape + self.strength * color
        return torch.stack([-score, score], dim=1)


def painted(per_group=60):
    """`answered`, with the label drawn into the green channel at a strength of the image's own."""
    data = answered(per_group)
    n = len(data.rows("test"))
    rng = np.random.default_rng(0)
    signal = np.tile(rng.uniform(0.02, 0.5, n), 3)  # a twin has the signal of its image
    label, color = (data.table[name].cat.codes.to_numpy() for name in ("label", "color"))
    pixels = np.zeros((3 * n, 2, 2, 3), np.uint8)
    pixels[..., 1] = np.rint(255 * (0.5 + np.where(label == 1, signal, -signal)))[:, None, None]
    pixels[..., 0] = np.where(color == 0, 255, 100)[:, None, None]
    pixels[..., 2] = np.where(color == 1, 255, 100)[:, None, None]
    # In train the color follows the label, so the two sides of the gap are aligned and conflicting.
    follows = data.table["color"].cat.codes.to_numpy().copy()
    follows[data.rows("train")] = label[data.rows("train")]
    table = data.table.assign(color=pd.Categorical.from_codes(follows, categories=["red", "blue"]))
    card = {"name": "painted", "builder": [{"attribute": "color", "regime": "correlated"}]}
    return Dataset(ArrayImages(pixels), table, card, ("color",))


@pytest.fixture(scope="module")
def sweep():
    data = painted()
    found = {}
    for strength in STRENGTHS:
        audit = bk.audit(Mixed(strength), data, device="cpu")
        found[strength] = {row["metric"]: row for row in audit_result(audit)["headline"]}
    return found


@pytest.mark.parametrize(
    ("metric", "null", "whole"),
    [
        ("flip_rate", 0.0, 1.0),
        ("gap", 0.0, 1.0),
        ("max_min_gap", 0.0, 1.0),
        ("worst_group_accuracy", 1.0, 0.0),
        ("mean_group_accuracy", 1.0, 0.5),
        ("demographic_parity_difference", 0.0, 1.0),
        ("equalized_odds_difference", 0.0, 1.0),
    ],
)
def test_a_model_that_reads_more_and_more_color(sweep, metric, null, whole):
    values = [sweep[strength][metric]["value"] for strength in STRENGTHS]
    assert values[0] == pytest.approx(null, abs=1e-12)
    assert values[-1] == pytest.approx(whole, abs=1e-12)
    steps = np.diff(values) * np.sign(whole - null)
    assert (steps >= -1e-12).all()
    assert (steps > 0.01).sum() >= 2


def test_the_interval_of_the_gap_leaves_zero(sweep):
    null, most = sweep[0.0]["gap"], sweep[0.5]["gap"]
    assert null["low"] < 0 < null["high"]
    assert null["p"] == 1.0
    assert most["low"] > 0
    assert most["p"] < 0.001
    assert most["value"] > 3 * most["noise"] > 0


class Hued(Mixed):
    """Reads the value of HSV, which no turn of the hue changes, and the color with a given strength."""

    def forward(self, images):
        shape = images.amax((1, 2, 3)) - 0.5
        color = (images[:, 2] - images[:, 0]).mean((1, 2))
        score = (1 - self.strength) * shape + self.strength * color
        return torch.stack([-score, score], dim=1)


def test_continuity_feels_the_color():
    rng = np.random.default_rng(0)
    value, color = rng.integers(60, 250, 80), rng.integers(0, 2, 80)
    pixels = np.zeros((80, 2, 2, 3), np.uint8)
    pixels[...] = (value // 5)[:, None, None, None]
    pixels[np.arange(80), ..., 2 * color] = value[:, None, None]
    data = Dataset.from_arrays(pixels, value > 150, {"color": color})
    tables = [bk.audit(Hued(s), data, device="cpu")["continuity"].table for s in (0.0, 0.2, 0.4, 0.6)]
    rows = [table.query("perturbation == 'hue' and level == 2").iloc[0] for table in tables]
    for measure in ("ds", "nds", "discontinuity_rate"):
        values = [row[measure] for row in rows]
        assert values[0] == pytest.approx(0.0, abs=1e-9)
        assert (np.diff(values) > 0).all(), (measure, values)


def test_the_difference_grows_with_what_is_planted():
    data = answered(50)
    ground = Ground(data)
    plain = evidence(data, "plain", *leaning(data, np.random.default_rng(0), 0.5, seeds=5))
    found = []
    for strength in (0.5, 0.4, 0.3, 0.1, 0.0):
        other = evidence(data, "x", *leaning(data, np.random.default_rng(1), strength, seeds=5))
        rows = {row["metric"]: row for row in differences([plain, other], ground)}
        found.append([rows[metric]["estimate"] for metric in ("flip_rate", "average_accuracy")])
        assert rows["flip_rate"]["estimate"] == pytest.approx(strength - 0.5, abs=0.1)
    flips, accuracy = np.transpose(found)
    assert (np.diff(flips) < 0).all()
    assert (np.diff(accuracy) > 0).all()
    assert abs(flips[0]) < 0.1


def test_chance_alone_is_not_called_bias():
    """Eighty models with the same accuracy everywhere: the gap's interval leaves 0 and p is small at most as often
    as they may; the observed worst group is below the truth, the half-split is not."""
    data = answered(40)
    ground = Ground(data)
    labels, rng = data.labels[data.rows("test")], np.random.default_rng(0)
    outside, small_p, observed, half, floors = 0, 0, [], [], []
    for _ in range(80):
        answers = np.where(rng.random(len(labels)) < 0.85, labels, 1 - labels)[None]
        rows = {row["metric"]: row for row in headline(evidence(data, "x", answers, answers), ground)}
        outside += not rows["gap"]["low"] <= 0 <= rows["gap"]["high"]
        small_p += rows["gap"]["p"] <= 0.05
        observed.append(rows["worst_group_accuracy"]["value"])
        half.append(rows["worst_group_accuracy"]["half_split"])
        floors.append(rows["worst_group_accuracy"]["if_equal"])
        assert rows["flip_rate"]["value"] == 0.0
    assert outside <= 10
    assert small_p <= 10
    assert np.mean(observed) < 0.82
    assert np.mean(half) == pytest.approx(0.85, abs=0.015)
    assert np.mean(floors) == pytest.approx(np.mean(observed), abs=0.01)
    assert stats.ENOUGH == 10


def test_training_picks_up_what_is_planted(tmp_path):
    """The same digits and network; only how often the color goes with the digit differs."""
    found = {}
    with at_home(tmp_path):
        for strength in (0.5, 0.8, 0.99):
            card = dataset_card(tmp_path, "correlated", f"[{strength}]", "[0.5]", epochs=4, name=f"d{strength}")
            run = bk.train("plain", bk.build(card), device="cpu")
            audit = bk.audit(run, bk.build(card), device="cpu")
            found[strength] = {row["metric"]: row["value"] for row in audit_result(audit)["headline"]}
    flips, gaps = ([found[strength][metric] for strength in found] for metric in ("flip_rate", "gap"))
    assert flips[0] < 0.3
    assert abs(gaps[0]) < 0.1
    assert flips[0] < flips[1] < flips[2]
    assert gaps[0] < gaps[1] < gaps[2]
    assert gaps[2] > 0.3
