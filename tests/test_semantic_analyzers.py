"""Semantic maps and regions of models whose answer to a parameter is known."""

import math
import re

import numpy as np
import pytest
import torch
from torch import nn

from biaskit import testing
from biaskit._audit import _over_seeds
from biaskit._differences import differences
from biaskit.analyzers import semantic_map, semantic_regions
from biaskit.analyzers._semantic_map import MEAN_OF_ARMS, maps_of_arms
from biaskit.analyzers._semantic_pictures import small_heat_picture
from biaskit.data import Dataset
from biaskit.errors import DataError, SpecError, UnknownName, UnsupportedModel
from biaskit.evidence import ArmEvidence, Ground
from biaskit.measures import headline
from biaskit.subject import Subject

SLOPE, SHIFT = 12.0, 1.0


class Logistic(nn.Module):
    """Probability of label 0: sigmoid(SLOPE * (mean - 0.5) + shift), of the mean pixel."""

    def __init__(self, shift=SHIFT):
        super().__init__()
        self.shift = shift

    def forward(self, images):
        z = SLOPE * (images.mean((1, 2, 3)) - 0.5) + self.shift
        return torch.stack([z, torch.zeros_like(z)], dim=1)


def gray(count=4, value=128, classes=2, size=8):
    pixels = np.full((count, size, size, 3), value, np.uint8)
    return Dataset.from_arrays(pixels, [0] * count, {"side": ["l", "r"] * (count // 2)}, classes=range(classes))


def expected(brightness, value=128 / 255, shift=SHIFT):
    return 1 / (1 + math.exp(-(SLOPE * (value + brightness - 0.5) + shift)))


def test_the_map_of_a_logistic_model_is_its_curve():
    found = semantic_map(Subject(Logistic(), gray()), parameters=["brightness"], points=5, pictures=1)
    cells = found.details[found.details["label"] == "all"]
    assert cells["brightness (of full brightness)"].tolist() == pytest.approx([-0.25, -0.125, 0.0, 0.125, 0.25])
    curve = [expected(one) for one in cells["brightness (of full brightness)"]]
    assert cells["confidence"].tolist() == pytest.approx(curve, abs=1e-5)
    head = found.table.iloc[0]
    assert head["confidence"] == pytest.approx(np.mean(curve), abs=1e-5)
    assert head["start"] == pytest.approx(expected(0.0), abs=1e-5)
    assert head["least"] == pytest.approx(curve[0], abs=1e-5)
    assert head["where"] == "brightness -0.25"
    assert head["below"] == pytest.approx(np.mean([one < 0.5 for one in curve]))
    assert head["accuracy"] == pytest.approx(np.mean([one > 0.5 for one in curve]))
    assert found.pictures[0].pixels.shape[2] == 3


def test_groups_without_images_keep_their_row():
    table = semantic_map(Subject(Logistic(), gray()), parameters=["hue", "scale"], points=3, pictures=0).table
    assert table["n"].tolist() == [4, 2, 2, 0, 0]
    assert table["confidence"].isna().tolist() == [False, False, False, True, True]


def test_the_level_bound_of_a_logistic_model_is_known():
    levels = (0.5, 0.7)
    found = semantic_regions(
        Subject(Logistic(), gray()), parameters=["brightness"], methods=["level"], levels=levels, steps=2000, starts=3
    )
    for level, part in found.details.groupby("level"):
        bound = (math.log(level / (1 - level)) - SHIFT) / SLOPE + 0.5 - 128 / 255
        grown = part[part["status"].isin(["found", "unfinished"])]
        assert len(grown)
        assert grown["brightness_low"].to_numpy() == pytest.approx(max(bound, -0.25), abs=2e-3)
        assert grown["brightness_high"].to_numpy() == pytest.approx(0.25, abs=1e-6)
        for trace, volume in grown[["trace", "volume"]].values.tolist():
            way = [float(one) for one in trace.split()]
            assert len(way) == 10
            assert way == sorted(way), "on a slope a region only grows"
            assert way[0] <= 0.021 + 1e-6, "it begins with 0.01 to either side"
            assert way[-1] == pytest.approx(volume, rel=6e-3)
        wrong = part[part["status"] == "wrong at the start"]
        assert set(wrong["trace"]) <= {""}
        assert (wrong["brightness_start"] < bound).all()
        assert (wrong["volume"] == 0).all()
    head = found.table[(found.table["label"] == "all")].set_index("level")
    assert head.loc[0.5, "srvr"] > head.loc[0.7, "srvr"]
    assert head.loc[0.5, "n_regions"] == 12


def test_the_curve_over_the_level_does_not_rise():
    found = semantic_regions(
        Subject(Logistic(), gray()), parameters=["brightness", "contrast"], methods=["level"], levels=[0.2, 0.5, 0.8],
        pictures=0,
    )  # fmt: skip
    curve = found.table[found.table["label"] == "all"].sort_values("level")["srvr"].to_numpy()
    assert (np.diff(curve) <= 1e-9).all()


def test_a_start_that_is_wrong_is_counted_and_said():
    found = semantic_regions(Subject(testing.constant(1), gray()), parameters=["hue"], methods=["level"], pictures=0)
    head = found.table.iloc[0]
    assert head["n_wrong"] == head["n_regions"] == 16
    assert head["srvr"] == 0.0
    assert np.isnan(head["volume"])
    assert np.isnan(head["holes"])


def test_a_radial_picture_does_not_feel_a_turn():
    place = torch.linspace(-1, 1, 16)
    radius = (place[:, None] ** 2 + place[None] ** 2).sqrt()
    pixels = ((1 - radius.clamp(max=1)) * 255).to(torch.uint8)[None, :, :, None].expand(2, -1, -1, 3).numpy()
    data = Dataset.from_arrays(pixels.copy(), [0, 0], classes=[0, 1])
    found = semantic_map(Subject(Logistic(), data), parameters=["rotation"], points=9, padding="zeros", pictures=0)
    cells = found.details[found.details["label"] == "all"]["confidence"]
    assert np.ptp(cells) < 0.02


def test_every_method_and_the_published_setting_run():
    subject = Subject(Logistic(), gray())
    methods = ["naive", "oir_b", "oir_w", "trap", "level"]
    for setting in ("normalized", "published"):
        found = semantic_regions(
            subject, parameters=["brightness", "scale"], methods=methods, levels=[0.5], setting=setting, starts=2,
            images=2, steps=20, pictures=1,
        )  # fmt: skip
        assert found.table["method"].unique().tolist() == methods
    assert "as published" in found.notes[0]
    assert len(found.pictures) == 1


def test_nine_parameters_need_sampled_faces():
    subject = Subject(Logistic(), gray())
    eight = ["rotation", "translate_x", "translate_y", "scale", "hue", "brightness", "contrast", "saturation"]
    found = semantic_regions(subject, parameters=eight, methods=["level"], images=1, starts=2, steps=3, pictures=0)
    assert found.table["n_regions"].iloc[0] == 2


def test_what_cannot_be_is_said():
    subject = Subject(Logistic(), gray())
    with pytest.raises(UnknownName, match="nearest: rotation"):
        semantic_map(subject, parameters=["rotatoin"])
    with pytest.raises(UnknownName):
        semantic_map(subject, parameters=["azimuth"])
    with pytest.raises(SpecError, match="not among the parameters"):
        semantic_map(subject, parameters=["hue"], ranges={"scale": (0.0, 1.0)})
    with pytest.raises(SpecError, match="low < high"):
        semantic_map(subject, parameters=["hue"], ranges={"hue": (0.5, 0.0)})
    with pytest.raises(SpecError, match="twice"):
        semantic_map(subject, parameters=["hue", "hue"])
    with pytest.raises(DataError, match="no rows in split"):
        semantic_map(Subject(Logistic(), Dataset.from_arrays(np.zeros((2, 8, 8, 3)), [0, 1], split="train")))


class Nan(nn.Module):
    def forward(self, images):
        z = Logistic()(images)
        return torch.where(images.mean((1, 2, 3))[:, None] > 0.6, torch.nan, z)


def test_nan_is_declared():
    subject = Subject(Nan(), gray())
    with pytest.raises(UnsupportedModel, match="NaN at the point"):
        semantic_map(subject, parameters=["brightness"], points=5, pictures=0)
    found = semantic_regions(subject, parameters=["brightness"], methods=["level"], levels=[0.5], pictures=0)
    assert found.table["n_nan"].iloc[0] > 0
    assert set(found.details["status"]) <= {"not a number", "wrong at the start", "found", "unfinished"}


def arm_of(name, shifts, data, **options):
    """An arm whose seeds are logistic models with these shifts, evaluated over brightness."""
    parts = []
    for seed, shift in enumerate(shifts):
        subject = Subject(Logistic(shift), data)
        regions = semantic_regions(
            subject, parameters=["brightness"], methods=["level"], levels=[0.5, 0.7], steps=60, pictures=0, **options
        )
        parts.append((seed, {"semantic_regions": regions, "semantic_map": semantic_map(subject, **MAP)}))
    results = {
        key: _over_seeds([(seed, one[key]) for seed, one in parts]) for key in ("semantic_regions", "semantic_map")
    }
    nothing = np.zeros((len(shifts), len(data)), np.int64)
    return ArmEvidence(name, tuple(range(len(shifts))), nothing, None, None, results)


MAP = {"parameters": ["brightness"], "points": 5, "pictures": 1}


def test_arms_are_compared_in_srvr_and_in_confidence_over_the_map():
    data = gray()
    arms = [arm_of("dark", (-2.0, -2.1, -1.9), data), arm_of("light", (1.0, 1.2, 0.8), data)]
    ground = Ground(data)
    found = {row["metric"]: row for row in differences(arms, ground)}
    heads = {
        one.name: one.results["semantic_regions"].table.query("label == 'all' and level == 0.5")["srvr"] for one in arms
    }
    row = found["srvr"]
    assert row["arm"] == "light"
    assert row["estimate"] == pytest.approx(heads["light"].mean() - heads["dark"].mean())
    assert row["verdict"] == "better"
    assert row["seeds"] == 3
    assert row["n"] == 4
    curves = {
        one.name: [np.mean([expected(b, shift=shift) for b in np.linspace(-0.25, 0.25, 5)]) for shift in shifts]
        for one, shifts in zip(arms, ((-2.0, -2.1, -1.9), (1.0, 1.2, 0.8)), strict=True)
    }
    row = found["map_confidence"]
    assert row["estimate"] == pytest.approx(np.mean(curves["light"]) - np.mean(curves["dark"]), abs=1e-5)
    assert row["verdict"] == "better"
    # Accuracy, SRVR and the map are one family: Holm over three.
    assert found["average_accuracy"]["verdict"] is not None
    headline_rows = {one["metric"]: one for one in headline(arms[0], ground)}
    assert headline_rows["srvr"]["value"] == pytest.approx(heads["dark"].mean())


def test_maps_of_arms_begin_with_their_mean():
    data = gray()
    arms = {one.name: one.results["semantic_map"] for one in (arm_of("a", (0.0, 1.0), data), arm_of("b", (3.0,), data))}
    pictures = maps_of_arms(arms)
    assert [(arm, one.row) for arm, one in pictures] == [
        (MEAN_OF_ARMS, "all images"), ("a", "all images"), ("b", "all images"),
        (MEAN_OF_ARMS, "label 0"), ("a", "label 0"), ("b", "label 0"),
    ]  # fmt: skip
    means = [np.mean([expected(b, shift=s) for b in np.linspace(-0.25, 0.25, 5)]) for s in (0.0, 1.0, 3.0)]
    mine = {arm: one.caption for arm, one in pictures if one.row == "label 0"}
    assert mine["a"] == f"mean {(means[0] + means[1]) / 2:.2f}, n 4"
    assert mine[MEAN_OF_ARMS] == f"mean {((means[0] + means[1]) / 2 + means[2]) / 2:.2f}, n 4"


def test_regions_that_still_move_are_told():
    def said(steps):
        found = semantic_regions(
            Subject(Logistic(), gray()), parameters=["brightness"], methods=["level"], levels=[0.5], steps=steps,
            rate=0.05, pictures=0,
        )  # fmt: skip
        return [one for one in found.notes if "still moved" in one]

    (note,) = said(3)
    assert re.match(r"level, level 0.5: (\d+) of \1 regions still moved", note)
    assert said(600) == []


def test_a_model_without_gradients_loses_the_methods_that_need_them():
    subject = Subject(testing.constant(0), gray())
    found = semantic_regions(subject, parameters=["hue"], methods=["level", "oir_w"], levels=[0.5], pictures=0)
    assert set(found.table["method"]) == {"level"}
    assert any(one.startswith("oir_w left out: ") for one in found.notes)
    with pytest.raises(UnsupportedModel):
        semantic_regions(subject, parameters=["hue"], methods=["oir_w"], pictures=0)


def test_a_small_map_has_its_first_row_below_and_dark_where_nothing_is_sure():
    pixels = small_heat_picture(np.asarray([[0.0, 0.5], [0.5, 1.0]]), ("azimuth", (0, 360)), ("elevation", (-10, 90)))
    below_left, above_right = pixels[4 + 195, 58 + 5], pixels[4 + 5, 58 + 195]
    assert below_left.tolist() == [16, 22, 58]
    assert above_right.tolist() == [222, 232, 190]
