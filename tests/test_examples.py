"""The gap of every attribute, and the worst examples: picked by a stated rule, with numbers worked out by hand."""

from __future__ import annotations

import base64
import io
import json
import re

import numpy as np
import pytest
import torch
from _shared import answered, comparison, evidence
from PIL import Image
from torch import nn

import biaskit as bk
from biaskit import testing
from biaskit._examples import LARGEST, twin_examples, worst_examples
from biaskit.data import Dataset
from biaskit.evidence import Ground
from biaskit.measures import attribute_gaps, headline
from biaskit.stats import attribute_gap, attribute_test
from biaskit.subject import Subject

# ---------------------------------------------------------------------- gaps


def one_model(labels, attributes, right, **options):
    """The evidence of one model that is right where it is said to be, on test images alone."""
    pixels = np.zeros((len(labels), 2, 2, 3), np.uint8)
    data = Dataset.from_arrays(pixels, labels, attributes, **options)
    truth = data.labels[data.rows("test")]
    answers = np.where(right, truth, 1 - truth)[None]
    return data, evidence(data, "m", answers, answers)


def drawn(seed=0, n=1200):
    rng = np.random.default_rng(seed)
    labels = np.tile([0, 1], n // 2)
    shade = rng.choice(["a", "b", "c", "d"], n)
    side = rng.choice(["left", "right"], n)
    right = rng.random(n) > np.where(shade == "c", 0.25, 0.05)
    return labels, {"side": side, "shade": shade, "room": np.full(n, "hall")}, right


def test_two_values_give_the_gap_of_the_headline():
    labels, attributes, right = drawn()
    data, arm = one_model(labels, attributes, right, group_by=("side",))
    ground = Ground(data)
    row = attribute_gaps(arm, ground)[0]
    head = next(r for r in headline(arm, ground) if r["metric"] == "gap")
    assert row["attribute"] == ground.attribute == "side"
    for name in ("value", "low", "high", "n", "noise", "p", "from", "to"):
        assert row[name] == head[name], name
    assert not row["picked"]
    sides = np.asarray(
        [[right[(labels == y) & (attributes["side"] == s)].mean() for s in ("left", "right")] for y in (0, 1)]
    )
    assert row["value"] == pytest.approx((sides[:, 0] - sides[:, 1]).mean(), abs=1e-12)


def test_more_values_give_the_largest_gap_with_the_test_of_an_extreme():
    labels, attributes, right = drawn()
    data, arm = one_model(labels, attributes, right, group_by=("side",))
    rows = {row["attribute"]: row for row in attribute_gaps(arm, Ground(data))}
    assert next(iter(rows)) == "side"
    assert set(rows) == {"side", "shade", "room"}, "attributes outside the groups are shown too"
    row = rows["shade"]
    n = np.asarray([[((labels == y) & (attributes["shade"] == v)).sum() for v in "abcd"] for y in (0, 1)])
    k = np.asarray([[right[(labels == y) & (attributes["shade"] == v)].sum() for v in "abcd"] for y in (0, 1)])
    expected = attribute_gap(k, n)
    assert (row["value"], row["low"], row["high"]) == (expected.estimate, expected.low, expected.high)
    assert row["picked"]
    assert row["to"] == "c"
    assert row["from"] == "abcd"[expected.values[0]]
    assert row["p"] == pytest.approx(attribute_test(k, n, np.random.default_rng(1)).p, abs=0.002)
    assert row["p"] == 1e-4
    assert row["p_holm"] == pytest.approx(3e-4)
    assert row["n"] == 1200
    assert rows["room"]["reason"] == "every test image is hall"
    assert np.isnan(rows["room"]["value"])
    assert np.isnan(rows["room"]["p_holm"])


def test_no_difference_is_seldom_called_one():
    rng = np.random.default_rng(3)
    hits = 0
    for seed in range(40):
        labels, attributes, _ = drawn(seed, 600)
        data, arm = one_model(labels, attributes, rng.random(600) > 0.1, group_by=("side",))
        hits += any(row["p_holm"] <= 0.05 for row in attribute_gaps(arm, Ground(data)))
    assert hits <= 6, "5 % over all attributes of a data set together"


def test_arms_over_seeds_subtract_what_was_fixed_beforehand():
    result = comparison().result
    assert {(r["arm"], r["attribute"]) for r in result["gaps"]} == {(a, "color") for a in ("plain", "aug", "semcont")}
    for row in result["gaps"]:
        head = next(r for r in result["headline"] if r["metric"] == "gap" and r["arm"] == row["arm"])
        assert row["value"] == head["value"]
        assert not row["picked"]


# ---------------------------------------------------------------------- worst examples


def sure(data, table):
    """A subject with given logits: row of the data set -> logits."""
    rows = np.flatnonzero((data.table["split"] != "train").to_numpy())
    return Subject(None, data, logits=torch.tensor([table[int(row)] for row in rows], dtype=torch.float32))


def case(group="left, red", wrong=((0, 3.0), (7, 2.0), (1, 9.0), (3, 4.0), (20, 1.0))):
    """Four groups of ten; some rows of the test set are answered wrong, each with a margin between the logits."""
    data = answered(per_group=10)
    labels, table = data.labels, {}
    test = data.rows("test")
    for row in np.flatnonzero((data.table["split"] != "train").to_numpy()):
        logits = [0.0, 0.0]
        logits[labels[row]] = 0.5
        table[int(row)] = logits
    for place, margin in wrong:
        row = int(test[place])
        logits = [0.0, 0.0]
        logits[1 - labels[row]] = margin
        table[row] = logits
    subject = sure(data, table)
    answers = subject.predictions(test)[None]
    ground = Ground(data)
    arm = evidence(data, "m", answers, subject.predictions(ground.twins[1])[None])
    return data, ground, arm, subject, worst_examples([arm], ground, [subject], group, images=False)


def test_the_rule_of_the_worst_examples():
    _, ground, _, _, found = case()
    test = ground.test
    # left is 0 and even, red comes first: rows 0, 2, .. 18 of the test set are left on red.
    shown = [(e["row"], e["rule"].removeprefix("wrong with the highest confidence ")) for e in found["examples"]]
    inside, others = "in the lowest group", "of all other test images"
    assert shown == [(int(test[p]), r) for p, r in ((0, inside), (1, others), (3, others), (7, others))]
    assert (found["wrong"], found["n"], found["group"], found["arm"], found["seed"]) == (5, 40, "left, red", "m", 0)
    first = found["examples"][0]
    assert first["label"] == "left"
    assert first["value"] == {"color": "red"}
    assert first["twin_value"] == {"color": "blue"}
    answer = first["answers"][0]
    assert (answer["prediction"], answer["correct"]) == ("right", False)
    assert answer["confidence"] == pytest.approx(1 / (1 + np.exp(-3.0)), abs=1e-6)
    assert (answer["twin_prediction"], answer["twin_correct"]) == ("left", True)
    assert answer["twin_confidence"] == pytest.approx(1 / (1 + np.exp(-0.5)), abs=1e-6)
    assert answer["map"] is answer["twin_map"] is None
    assert first["image"] is first["twin"] is None


def test_no_group_to_tell_and_nothing_wrong():
    found = case(group="")[-1]
    assert [e["rule"] for e in found["examples"]] == ["wrong with the highest confidence of all test images"] * 3
    right = case(wrong=())[-1]
    assert right["examples"] == []
    assert right["wrong"] == 0


def test_stored_answers_have_pictures_but_no_attribution():
    _, ground, arm, subject, _ = case()
    found = worst_examples([arm], ground, [subject], "left, red", images=True)
    (note,) = found["notes"]
    assert note.startswith("m has no attribution: only stored predictions are there")
    assert found["examples"][0]["image"].startswith("data:image/png;base64,")


def pixels_of(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB")).astype(int)


def test_the_pixels_that_speak_for_an_answer_are_marked():
    # A model that reads the square answers wrong nowhere: of one that reads the frame the frame must be marked.
    data = testing.framed()
    result = bk.audit(testing.looks_at("frame"), data, analyzers=["group_accuracy"], device="cpu", name="framer")
    from biaskit._audit import audit_result

    found = audit_result(result)["worst"]
    assert found["notes"] == []
    assert found["wrong"] == 4
    assert found["examples"][0]["answers"][0]["confidence"] == pytest.approx(0.5 + 0.4 * 0.8, abs=0.01)
    drawn_ = pixels_of(found["examples"][0]["answers"][0]["map"])
    colored = np.abs(drawn_ - drawn_.mean(axis=2, keepdims=True)).sum(axis=2)
    square = np.zeros((16, 16), bool)
    square[5:12, 5:12] = True
    assert colored[~square].mean() > 50
    assert colored[square].mean() < 5
    image = pixels_of(found["examples"][0]["image"])
    row = found["examples"][0]["row"]
    assert np.array_equal(image, data.images.gather(torch.tensor([row]))[0].permute(1, 2, 0).numpy())


class Flat(nn.Module):
    """Answers that no pixel has a derivative for."""

    def forward(self, images):
        return torch.stack([images.detach().mean(dim=(1, 2, 3)), torch.full((len(images),), 0.4)], dim=1)


class Broken(nn.Module):
    """A step without a derivative, as models from elsewhere have."""

    def forward(self, images):
        if images.requires_grad:
            raise RuntimeError("no derivative here\nand a second line")
        return torch.stack([images.mean(dim=(1, 2, 3)), torch.full((len(images),), 0.4)], dim=1)


@pytest.mark.parametrize(("model", "why"), [(Flat(), "no pixel has a gradient"), (Broken(), "no derivative here")])
def test_a_model_without_gradients_is_audited_all_the_same(model, why, tmp_path):
    folder = bk.audit(model, testing.tiny(per_group=6), analyzers=["group_accuracy"], device="cpu", name="m").save(
        tmp_path / "out"
    )
    found = json.loads((folder / "result.json").read_text())["worst"]
    assert found["wrong"] > 0
    assert len(found["notes"]) == 1
    assert why in found["notes"][0]
    assert "second line" not in found["notes"][0]
    assert found["examples"][0]["answers"][0]["map"] is None
    assert found["examples"][0]["image"]


def test_large_pictures_are_made_smaller():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 200, 300, 3)).astype(np.uint8)
    data = Dataset.from_arrays(pixels, [0, 1] * 4, {"a": ["x", "x", "y", "y"] * 2})
    ground, model = Ground(data), testing.constant(0)
    subject = Subject(model, data)
    answers = subject.predictions(ground.test)[None]
    found = worst_examples([evidence(data, "m", answers, answers)], ground, [subject], "", images=True)
    assert pixels_of(found["examples"][0]["image"]).shape == (64, LARGEST, 3)


def test_twin_examples_carry_confidence_and_flips():
    _, ground, arm, subject, _ = case()
    found = twin_examples([arm], ground, [subject], images=False)
    assert [e["rule"] for e in found] == ["most changed under m"] * 3 + ["drawn at random"] * 3
    changed = [e["answers"][0] for e in found[:3]]
    assert [(a["seeds_flipped"], a["seeds"]) for a in changed] == [(1, 1)] * 3
    assert [e["row"] for e in found[:3]] == [int(ground.test[p]) for p in (0, 1, 3)], "ties go to the lower row"
    assert changed[0]["confidence"] == pytest.approx(1 / (1 + np.exp(-3.0)), abs=1e-6)


# ---------------------------------------------------------------------- folders


def test_a_folder_holds_what_a_paper_needs(tmp_path):
    result = bk.audit(testing.reads("background"), testing.tiny(per_group=8), device="cpu", name="reader")
    folder = result.save(tmp_path / "with")
    tables = {one.name for one in (folder / "tables").iterdir()}
    assert {"headline.csv", "headline.md", "headline.tex", "gaps.csv", "gaps.md", "gaps.tex", "groups.tex"} <= tables
    assert (folder / "methods.md").read_text(encoding="utf-8").startswith("## Methods\n\nWe audited one model, reader")
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png") > 4
    assert 'id="worst"' in page

    bare = result.save(tmp_path / "without", images=False)
    told = (bare / "result.json").read_text(encoding="utf-8")
    assert "data:image" not in told
    assert json.loads(told)["images"] is False
    assert "data:image" not in (bare / "report.html").read_text(encoding="utf-8")
    assert not (bare / "pictures").exists()
    same = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert [e["row"] for e in same["worst"]["examples"]] == [e["row"] for e in json.loads(told)["worst"]["examples"]]


def test_a_comparison_shows_every_arm():
    found = comparison().result["worst"]
    assert found["arm"] == "plain"
    for example in found["examples"]:
        assert [a["arm"] for a in example["answers"]] == ["plain", "aug", "semcont"]
        assert example["answers"][0]["correct"] is False
        assert all(a["map"] and a["twin_map"] for a in example["answers"])
    assert re.match("data:image/png", found["examples"][0]["twin"])
