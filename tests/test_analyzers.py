"""Analyzers on models whose answers are known by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch
from _shared import answered, at_home, evidence, small
from scipy.stats import hypergeom
from torch import nn

import biaskit as bk
from biaskit import testing
from biaskit._audit import DEFAULT_ANALYZERS, audit_result
from biaskit.analyzers import counterfactual_flips, group_accuracy, parity
from biaskit.builders import background_color, patch
from biaskit.contrast import Contrast
from biaskit.data import Dataset, Source
from biaskit.errors import DataError, UnknownName, UnsupportedModel
from biaskit.evidence import Ground
from biaskit.images import ArrayImages
from biaskit.measures import group_rows, headline, permuted_gap
from biaskit.subject import Subject
from biaskit.telling.report import render

TINY = testing.tiny(per_group=12)


def looked_at(model, data=TINY):
    return Subject(model, data)


def numbers(model, data=TINY):
    """metric -> row of the headline of an audit."""
    return {row["metric"]: row for row in audit_result(bk.audit(model, data, device="cpu"))["headline"]}


def correlated(strength=0.5):
    """The tiny set with the color following the label in train: left is red."""
    data = testing.tiny(per_group=12)
    labels = data.labels[: len(data) - len(data.rows("twin"))]
    source = Source(
        ArrayImages(np.zeros((len(labels), 8, 8, 1), np.uint8)),
        labels,
        data.classes,
        np.repeat(["train", "test"], len(labels) // 2),
        "x",
    )
    built = background_color(source, np.random.default_rng(0), regime="correlated", train=(1.0,), test=(strength,))
    return built.replace(card={"name": "x", "builder": [{"attribute": "color", "regime": "correlated"}]})


# Answers known by hand


@pytest.mark.parametrize(
    ("model", "accuracy", "flips", "worst", "spread", "parity_gap", "odds"),
    [
        (testing.reads("label"), 1.0, 0.0, 1.0, 0.0, 0.0, 0.0),
        (testing.reads("background"), 0.5, 1.0, 0.0, 1.0, 1.0, 1.0),
        (testing.constant(0), 0.5, 0.0, 0.0, 1.0, 0.0, 0.0),
    ],
)
def test_headline_by_hand(model, accuracy, flips, worst, spread, parity_gap, odds):
    found = numbers(model)
    values = {name: row["value"] for name, row in found.items()}
    assert (
        values["average_accuracy"] == values["mean_group_accuracy"] == values["adjusted_average_accuracy"] == accuracy
    )
    assert values["flip_rate"] == flips
    assert values["worst_group_accuracy"] == worst
    assert values["max_min_gap"] == spread
    assert values["gap"] == 0.0  # on left it is what it loses on right
    assert values["demographic_parity_difference"] == parity_gap
    assert values["equalized_odds_difference"] == odds
    assert {row["n"] for name, row in found.items() if name != "nds"} == {48}
    for name in ("average_accuracy", "flip_rate", "worst_group_accuracy", "max_min_gap", "gap"):
        assert found[name]["low"] - 1e-12 <= found[name]["value"] <= found[name]["high"] + 1e-12
        assert found[name]["low"] < found[name]["high"]


@pytest.mark.parametrize(("what", "gap"), [("label", 0.0), ("background", 1.0)])
def test_gap_where_the_color_follows_the_label(what, gap):
    data = correlated()
    model = testing.reads("background") if what == "background" else None
    test = data.rows("test")
    answers = Subject(model, data).predictions(test) if model else data.labels[test]
    arm = evidence(data, what, answers[None], answers[None])
    row = next(row for row in headline(arm, Ground(data)) if row["metric"] == "gap")
    assert row["value"] == pytest.approx(gap, abs=1e-12)
    assert (row["from"], row["to"]) == ("aligned", "conflicting")
    assert row["p"] == pytest.approx(1.0 if gap == 0 else 1e-4)


def test_gap_by_hand():
    # left: red 40/50, blue 30/50; right: red 50/50, blue 45/50; both labels weigh a half: (0.2 + 0.1) / 2
    data = answered(50)
    labels, color = (data.table[name].cat.codes.to_numpy()[data.rows("test")] for name in ("label", "color"))
    answers = labels.copy()
    for label, value, wrong in ((0, 0, 10), (0, 1, 20), (1, 1, 5)):
        mine = np.flatnonzero((labels == label) & (color == value))[:wrong]
        answers[mine] = 1 - answers[mine]
    arm = evidence(data, "x", answers[None], answers[None])
    found = {row["metric"]: row for row in headline(arm, Ground(data))}
    assert found["gap"]["value"] == pytest.approx(0.15)
    assert (found["gap"]["from"], found["gap"]["to"]) == ("red", "blue")
    assert found["average_accuracy"]["value"] == pytest.approx(165 / 200)
    assert found["worst_group_accuracy"]["value"] == pytest.approx(0.6)
    assert (found["worst_group_accuracy"]["group"], found["worst_group_accuracy"]["group_n"]) == ("left, blue", 50)
    assert found["worst_group_accuracy"]["times"] == 1
    assert found["worst_group_accuracy"]["if_equal"] == pytest.approx(0.77, abs=0.02)
    assert found["max_min_gap"]["value"] == pytest.approx(0.4)
    groups = pd.DataFrame(group_rows(arm, Ground(data)))
    assert groups[["label", "color", "n"]].to_numpy().tolist() == [
        ["left", "red", 50],
        ["left", "blue", 50],
        ["right", "red", 50],
        ["right", "blue", 50],
    ]
    assert groups["accuracy"].tolist() == pytest.approx([0.8, 0.6, 1.0, 0.9])


@pytest.mark.parametrize("right", [(9, 5), (5, 9), (7, 7)])
def test_permutation_of_a_gap_agrees_with_enumeration(right):
    """One label, ten images a side: the correct ones on a side are hypergeometric, and both tails count."""
    scores = np.concatenate([np.arange(10) < one for one in right]).astype(float)
    side = np.repeat([1, -1], 10)
    gap = Contrast("color", "red", "blue", side, side / 10, ())
    p, floor = permuted_gap(scores, np.zeros(20, int), gap, np.random.default_rng(0), 20_000)
    drawn = np.arange(11)
    chance = hypergeom(20, sum(right), 10).pmf(drawn)
    statistic = np.abs(drawn - (sum(right) - drawn)) / 10
    assert p == pytest.approx(chance[statistic >= abs(right[0] - right[1]) / 10 - 1e-9].sum(), abs=0.01)
    assert floor == pytest.approx(chance @ statistic, rel=0.02)


def test_permutation_stays_within_the_label():
    # One label is always right and red, the other always wrong and blue: no label has both, so nothing to permute.
    side = np.repeat([1, -1], 10)
    nothing = Contrast("color", "red", "blue", side, np.zeros(20), ("left", "right"))
    assert np.isnan(permuted_gap((side > 0).astype(float), side, nothing, np.random.default_rng(0))).all()
    # With a mixed pair of labels the gap is all label: every permutation within labels gives 0 again.
    labels, mixed = np.repeat([0, 1], 20), np.concatenate([side[::-1], side])
    gap = Contrast("color", "red", "blue", mixed, mixed / 20, ())
    p, floor = permuted_gap(labels.astype(float), labels, gap, np.random.default_rng(0))
    assert (p, floor) == pytest.approx((1.0, 0.0), abs=1e-9)


def test_group_accuracy_keeps_empty_and_small_groups():
    data = Dataset.from_arrays(
        np.zeros((14, 8, 8), np.uint8), ["a"] * 13 + ["b"], {"color": ["red"] * 3 + ["blue"] * 10 + ["red"]}
    )
    table = group_accuracy(Subject(testing.constant(0), data)).table.set_index(["label", "color"])
    assert table["n"].to_dict() == {("a", "blue"): 10, ("a", "red"): 3, ("b", "blue"): 0, ("b", "red"): 1}
    assert np.isnan(table.loc[("b", "blue"), ["accuracy", "low", "high"]].to_numpy(float)).all()
    assert table["note"].tolist() == ["", "insufficient (n=3)", "insufficient (n=0)", "insufficient (n=1)"]
    assert table["accuracy"].tolist()[:2] == [1.0, 1.0]
    assert (table["correct"].sum(), table.loc[("b", "red"), "accuracy"]) == (13, 0.0)


def test_flips_by_hand():
    table = counterfactual_flips(looked_at(testing.reads("background")), untrained=0).table.set_index("label")
    assert table.loc["all", ["n", "flip_rate", "right_to_wrong", "wrong_to_right"]].tolist() == [48, 1.0, 0.5, 0.5]
    assert table["n"].tolist() == [48, 24, 24]
    assert table["wrong_to_wrong"].tolist() == [0.0] * 3
    assert (table.loc["all", "n_untrained"], np.isnan(table.loc["all", "untrained"])) == (0, True)
    assert table.loc["all", "low"] == pytest.approx(48 / (48 + 1.959964**2), abs=1e-6)  # Wilson at 48 of 48


def test_flips_from_one_wrong_answer_to_another():
    # Three labels, all images "left"; the answer turns from "right" on red to "third" on blue.
    data = answered(10, ("left", "right", "third"))
    logits = torch.zeros(len(data.table) - len(data.rows("train")), 3)
    blue = data.table["color"].cat.codes.to_numpy()[len(data.rows("train")) :]
    logits[np.arange(len(logits)), 1 + blue.astype(int)] = 1.0
    table = counterfactual_flips(Subject(None, data, logits=logits)).table.set_index("label")
    row = table.loc["left", ["flip_rate", "right_to_wrong", "wrong_to_right", "wrong_to_wrong"]]
    assert row.tolist() == [1.0, 0.0, 0.0, 1.0]
    row = table.loc["right", ["flip_rate", "right_to_wrong", "wrong_to_right", "wrong_to_wrong"]]
    assert row.tolist() == [1.0, 0.5, 0.5, 0.0]
    assert table.loc["all", "n_untrained"] == 0  # stored answers alone have no network to draw anew


def test_untrained_network_is_drawn_anew():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(3 * 64, 10)
            nn.init.zeros_(self.head.weight)

        def forward(self, images):
            return self.head(images.flatten(1))

    net = Net()
    state = torch.get_rng_state()
    found = counterfactual_flips(Subject(net, small()), untrained=20).table.iloc[0]
    assert found["flip_rate"] == 0.0
    assert found["n_untrained"] == 20
    assert found["untrained"] > 0.0
    assert not net.head.weight.any()
    assert torch.equal(state, torch.get_rng_state())


def test_two_shortcuts_are_counted_apart():
    source = Source(
        ArrayImages(np.zeros((80, 8, 8, 1), np.uint8)),
        np.tile([0, 1], 40),
        ("left", "right"),
        np.repeat(["train", "test"], 40),
        "x",
    )
    rng = np.random.default_rng(0)
    first = background_color(source, rng, train=(0.5, 0.5), test=(0.5, 0.5))
    data = patch(first, rng, regime="shift", train=(0.5, 0.5), test=(0.5, 0.5))
    builders = [{"attribute": "color", "regime": "shift"}, {"attribute": "patch", "regime": "shift"}]
    data = data.replace(card={"name": "two", "builder": builders})
    table = counterfactual_flips(Subject(testing.reads("background"), data), untrained=0).table
    whole = table[table["label"] == "all"].set_index("attribute")
    assert whole["flip_rate"].to_dict() == {"color": 1.0, "patch": 0.0}
    row = numbers(testing.reads("background"), data)["flip_rate"]
    assert row["value"] == 1.0
    assert row["right_to_wrong"] + row["wrong_to_right"] == 1.0  # of the color alone


def test_parity_names_the_label():
    table = parity(looked_at(testing.reads("background"))).table
    assert table["attribute"].tolist() == ["color"]
    assert table["demographic_parity_label"].iloc[0] in ("left", "right")
    assert table[["equalized_odds_difference", "equal_opportunity_difference"]].to_numpy().tolist() == [[1.0, 1.0]]


# Audits


def test_what_cannot_run_is_an_entry_with_its_reason():
    data = Dataset.from_arrays(np.zeros((20, 8, 8, 3), np.uint8), [0, 1] * 10)
    # Of the default, what these data cannot serve is left out; by name it fails.
    default = bk.audit(testing.constant(0), data, device="cpu")
    assert (list(default.results), dict(default.failed)) == (["group_accuracy", "continuity"], {})
    page = render(audit_result(default))
    assert "<b>failed</b>" not in page
    assert 'id="twins"' not in page
    audit = bk.audit(testing.constant(0), data, analyzers=DEFAULT_ANALYZERS, device="cpu")
    assert sorted(audit.results) == ["continuity", "group_accuracy"]
    assert sorted(audit.failed) == ["counterfactual_flips", "parity"]
    assert "no attribute to compare" in audit.failed["parity"]
    assert "has no twins" in audit.failed["counterfactual_flips"]
    with pytest.raises(DataError, match="parity could not run: data has no attribute"):
        audit["parity"]
    assert "parity" not in audit
    assert "group-accuracy" in audit
    result = audit_result(audit)
    assert [row["analyzer"] for row in result["failed"]] == ["parity", "counterfactual_flips"]
    assert {row["metric"] for row in result["headline"]} >= {"average_accuracy", "ds"}
    assert "flip_rate" not in {row["metric"] for row in result["headline"]}


def test_names_and_options_are_checked_before_anything_runs():
    with pytest.raises(UnknownName, match="no analyzer 'grup_accuracy'; nearest: group_accuracy"):
        bk.audit(testing.constant(0), TINY, analyzers=["grup_accuracy"])
    with pytest.raises(bk.SpecError, match="levle is no option of continuity; did you mean levels"):
        bk.audit(testing.constant(0), TINY, analyzers={"continuity": {"levle": [1]}})
    with pytest.raises(bk.SpecError, match="operations"):
        bk.audit(testing.constant(0), TINY, analyzers={"continuity": {"operations": []}})


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (testing.constant(0, classes=5), r"outputs of shape \(5,\) per image; expected one logit for each of the 2"),
        (nn.Identity(), r"outputs of shape \(3, 8, 8\)"),
        (nn.Sequential(nn.Flatten(), nn.Linear(192, 2), nn.Threshold(1e9, float("nan"))), "NaN or infinite logits"),
    ],
)
def test_models_that_do_not_answer(model, message):
    with pytest.raises(UnsupportedModel, match=message):
        _ = looked_at(model).logits
    assert "group_accuracy" in bk.audit(model, TINY, device="cpu").failed


def test_stored_answers_are_of_the_data_they_were_given_on(tmp_path):
    with at_home(tmp_path):
        run = bk.train("plain", small(), device="cpu")
        swapped = small().table.assign(color=small().table["color"].cat.rename_categories(["crimson", "azure"]))
        inverted = ArrayImages(255 - small().images.gather(torch.arange(len(small()))).permute(0, 2, 3, 1))
        other = small().replace(table=swapped, images=inverted)
        here, there = (bk.audit(run, data, analyzers=["group_accuracy"], device="cpu") for data in (small(), other))
    np.testing.assert_array_equal(
        np.stack(here.predictions["logits"].to_list()), np.stack(run.predictions["logits"].to_list())
    )
    fresh = Subject(run.model, other).logits
    assert not torch.equal(fresh, here.subject.logits)
    torch.testing.assert_close(there.subject.logits, fresh)
    with pytest.raises(DataError, match="logits for"):
        Subject(None, small(), logits=torch.zeros(3, 10))


def test_subject_reads_test_rows_only():
    subject = looked_at(testing.reads("label"))
    assert set(TINY.table["split"].iloc[subject.test()].astype(str)) == {"test"}
    images, twins = subject.twins("color")
    table = TINY.table
    assert (table["label"].to_numpy()[images] == table["label"].to_numpy()[twins]).all()
    assert (table["color"].astype(str).to_numpy()[images] != table["color"].astype(str).to_numpy()[twins]).all()
    with pytest.raises(DataError, match="no twins for the attribute 'shape'"):
        subject.twins("shape")
    with pytest.raises(UnsupportedModel, match="needs the model itself"):
        _ = Subject(None, TINY).model


def test_audit_folder_can_be_recomputed(tmp_path):
    audit = bk.audit(testing.reads("background"), TINY, device="cpu", name="by color")
    folder = audit.save(tmp_path / "out")
    table = pd.read_parquet(folder / "predictions.parquet")
    test = table[table["split"] == "test"]
    assert (test["prediction"].astype(str) == test["label"].astype(str)).mean() == 0.5
    assert {path.name for path in folder.iterdir()} >= {"result.json", "tables", "figures", "report.html"}
    assert dataclasses.asdict(audit["parity"].columns[0])["name"] == "attribute"
