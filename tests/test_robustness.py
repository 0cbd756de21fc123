"""Accuracy under attack on models whose answer is known by hand, and checks that fire where they should."""

from __future__ import annotations

import dataclasses
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import biaskit as bk
from biaskit import _audit, testing
from biaskit.analyzers import _substitute, robustness
from biaskit.analyzers._attacked import Bench, Outcome
from biaskit.analyzers._robustness_checks import _falls, _fools_more, _weaker, in_255, misuse
from biaskit.analyzers._substitute import substitute_for
from biaskit.data import Dataset
from biaskit.errors import DataError, MissingExtra, SpecError, UnsupportedModel
from biaskit.evidence import ArmEvidence
from biaskit.subject import Subject

SIDE, PIXELS = 4, 48
EPSILONS = (2 / 255, 8 / 255, 20 / 255)
# The pixels of F: any signs and sizes do.
WEIGHT = torch.from_numpy(np.random.default_rng(5).choice([-1, 1], PIXELS) * np.linspace(0.5, 1.5, PIXELS)).float()


class Linear(nn.Module):
    """Two labels, ``F = (-s, s)`` with ``s = w (x - 1/2)``: the box of epsilon moves s by epsilon |w|_1 and no more."""

    def __init__(self, scale=1.0):
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(WEIGHT.clone())

    def score(self, images):
        return (images - 0.5).permute(0, 2, 3, 1).flatten(1) @ self.weight

    def forward(self, images):
        score = self.score(images)
        return self.scale * torch.stack([-score, score], dim=1)


class Steps(Linear):
    """The same after rounding the pixels, which cuts the gradient."""

    def forward(self, images):
        return super().forward((images * 255).round() / 255)


def planted(n=300, train=400, wrong=0.1, seed=0):
    """Images near gray that lean by up to 25 gray levels to the side of their label; some labels are wrong."""
    rng = np.random.default_rng(seed)
    total = n + train
    sides = rng.integers(0, 2, total)
    lean = rng.uniform(0, 25, total) * (2 * sides - 1)
    pixels = 127.5 + lean[:, None] * np.sign(WEIGHT.numpy()) + rng.normal(size=(total, PIXELS))
    labels = np.where(rng.random(total) < wrong, 1 - sides, sides)
    color = np.where(labels == 1, "red", rng.choice(["red", "blue"], total))  # no blue image of the second label
    split = np.repeat(["train", "test"], [train, n]) if train else np.repeat("test", n)
    return Dataset.from_arrays(
        pixels.round().reshape(total, SIDE, SIDE, 3).astype(np.uint8),
        labels,
        {"color": color},
        split=split,
        classes=(0, 1),
    )


DATA = planted()
TEST = DATA.rows("test")


def expected(epsilon, data=DATA):
    """Per test image: is its score on the side of its label, by more than the box can move it?"""
    rows = data.rows("test")
    pixels = data.images.gather(torch.from_numpy(rows)).permute(0, 2, 3, 1).flatten(1).numpy() / 255
    weight = WEIGHT.double().numpy()
    score = (pixels - 0.5) @ weight
    return (2 * data.labels[rows] - 1) * score > epsilon * np.abs(weight).sum()


def table(result, label="all"):
    found = result.table
    return found[found["label"] == label]


def accuracies(result):
    """(attack, epsilon in gray levels) -> accuracy over all images."""
    rows = table(result)
    names = zip(rows["attack"], (rows["epsilon"] * 255).round().astype(int), strict=True)
    return dict(zip(names, rows["accuracy"], strict=True))


@pytest.fixture(scope="module")
def honest():
    return robustness(Subject(Linear(), DATA), epsilons=EPSILONS)


@pytest.fixture(scope="module")
def masked():
    # Softmax in float32 is exactly one-hot here, and the gradient of the loss exactly zero.
    return robustness(Subject(Linear(scale=1e6), DATA), epsilons=EPSILONS, restarts=0)


# Known answers


def test_shares_of_a_linear_model(honest):
    found = accuracies(honest)
    clean = expected(0.0)
    assert 0.8 < clean.mean() < 0.95
    assert found["clean", 0] == pytest.approx(clean.mean())
    shares = [expected(epsilon).mean() for epsilon in EPSILONS]
    assert shares[0] > shares[1] > shares[2] > 0.05, "the data tell the epsilons apart"
    for epsilon, share in zip(EPSILONS, shares, strict=True):
        assert found["pgd", round(epsilon * 255)] == pytest.approx(share)
    # A linear loss is climbed by one step: more steps and starts find no more.
    assert found["pgd-strong", 8] == found["fgsm", 8] == pytest.approx(shares[1])
    assert found["large", 128] == 0.0
    assert found["noise", 8] > found["pgd", 8] + 0.1
    assert found["transfer", 8] >= found["pgd", 8]


def test_groups_by_hand(honest):
    labels, color = DATA.labels[TEST], DATA.table["color"].astype(str).to_numpy()[TEST]
    for attack, epsilon in (("clean", 0.0), ("pgd", 8 / 255), ("pgd-strong", 8 / 255)):
        mine = honest.table[honest.table["attack"].eq(attack) & honest.table["epsilon"].eq(epsilon)]
        assert list(zip(mine["label"], mine["color"], strict=True)) == [
            ("all", "all"), ("0", "blue"), ("0", "red"), ("1", "blue"), ("1", "red"),
        ]  # fmt: skip
        right = expected(epsilon)
        for row in mine.iloc[1:].to_dict("records"):
            group = (labels == int(row["label"])) & (color == row["color"])
            assert row["n"] == group.sum()
            if group.any():
                assert row["accuracy"] == pytest.approx(right[group].mean())
                assert row["low"] < row["accuracy"] < row["high"]
            else:
                assert np.isnan([row["accuracy"], row["low"], row["high"]]).all()
    assert (honest.table["n"] == 0).sum() == 3
    checks = honest.table[~honest.table["attack"].isin(["clean", "pgd", "pgd-strong"])]
    assert (checks["label"] == "all").all()
    assert (table(honest)["n"] == len(TEST)).all()


def test_samples_are_the_table_image_by_image(honest):
    assert not honest.samples.duplicated(["row", "attack", "epsilon"]).any()
    means = honest.samples.groupby(["attack", "epsilon"])["correct"].mean()
    whole = table(honest).set_index(["attack", "epsilon"])["accuracy"]
    np.testing.assert_allclose(means.reindex(whole.index), whole)
    arm = ArmEvidence("one", (0,), np.zeros((1, 0)), None, None, {"robustness": _seeded(honest)})
    wide = arm.per_image("robustness", "correct", attack="pgd", epsilon=8 / 255)
    assert wide.columns.tolist() == TEST.tolist()
    np.testing.assert_array_equal(wide.to_numpy(bool)[0], expected(8 / 255))


def _seeded(result):
    return dataclasses.replace(result, samples=result.samples.assign(seed=0), table=result.table.assign(seed=0))


def test_clean_is_what_the_subject_answered(honest):
    subject = Subject(Linear(), DATA)
    clean = honest.samples[honest.samples["attack"] == "clean"].set_index("row")["correct"]
    np.testing.assert_array_equal(clean.loc[TEST], subject.predictions(TEST) == DATA.labels[TEST])


def test_a_square_that_clipping_protects():
    # The square is 12 of 32 pixels of its half: 12/32 (1 - e) against e, as dark pixels cannot get darker.
    subject = Subject(testing.reads("label"), testing.tiny())
    found = [
        accuracies(robustness(subject, epsilon=f"{level}/255", step="20/255", epsilons=(), checks=False))["pgd", level]
        for level in (69, 70)
    ]
    assert found == [1.0, 0.0]  # e = 3/11 = 69.5/255


def test_a_sample_is_drawn_once_and_numbers_repeat():
    first, again = (robustness(Subject(Linear(), DATA), images=50, epsilons=(), restarts=1) for _ in range(2))
    assert (table(first)["n"] == 50).all()
    assert first.samples.equals(again.samples)
    assert first.table.equals(again.table)
    assert first.notes == again.notes
    other = robustness(Subject(Linear(scale=2.0), DATA), images=50, epsilons=(), restarts=0, checks=False)
    assert other.samples["row"].unique().tolist() == first.samples["row"].unique().tolist()


# Only what is needed


def test_images_already_wrong_are_not_attacked():
    bench = Bench(Subject(Linear(), DATA), TEST, 0.25)
    seen = []

    def attack(images, labels):
        seen.append((len(images), (bench.model(images).argmax(dim=1) == labels).all().item()))
        return 1.0 - images  # turns every answer

    right = bench.clean.correct
    outcome = bench.run("turn", attack, right, epsilon=1.0)
    assert sum(size for size, _ in seen) == right.sum() < len(TEST)
    assert max(size for size, _ in seen) <= 256 < right.sum()
    assert all(all_right for _, all_right in seen)
    assert outcome.accuracy == 0.0
    np.testing.assert_array_equal(outcome.moved, right)
    left = bench.run("nothing", lambda images, labels: images, right, epsilon=0.0)
    np.testing.assert_array_equal(left.correct, right)
    assert not left.moved.any()


def test_the_strong_attack_takes_what_is_left(honest):
    class Wells(Linear):
        """A bump of the score near the clean image, so that one start often goes the wrong way."""

        def score(self, images):
            score = super().score(images)
            return score + 0.3 * torch.sin(9 * score)

    result = robustness(Subject(Wells(), DATA), epsilons=(), checks=False, steps=1, step=4 / 255, restarts=4)
    correct = {name: part["correct"].to_numpy() for name, part in result.samples.groupby("attack", sort=False)}
    assert (correct["pgd-strong"] <= correct["pgd"]).all()
    assert correct["pgd-strong"].sum() < correct["pgd"].sum()
    assert any("overstates robustness" in note for note in result.notes)
    # A strong attack that starts anywhere and takes one tiny step misses images that PGD had found: they stay found.
    weak = robustness(Subject(Linear(), DATA), epsilons=(), checks=False, steps=10, strong_steps=1, restarts=1)
    found = {name: part["correct"].to_numpy() for name, part in weak.samples.groupby("attack", sort=False)}
    bench = Bench(Subject(Linear(), DATA), TEST, 0.25)
    assert bench.climb("pgd-strong", 8 / 255, 1).correct.sum() > found["pgd"].sum()
    assert (found["pgd-strong"] <= found["pgd"]).all()
    without = robustness(Subject(Linear(), DATA), epsilons=(), checks=False, restarts=0)
    assert set(without.table["attack"]) == {"clean", "pgd"}
    assert without.notes == ()


def test_an_epsilon_of_the_curve_that_is_the_headline_is_not_repeated(honest):
    rows = table(honest)
    assert (rows["attack"] == "pgd").sum() == 3
    assert not rows.duplicated(["attack", "epsilon"]).any()


# Checks


def test_an_honest_model_passes(honest):
    assert honest.notes[0] == "All 6 checks of the attack passed."
    assert sum(note.startswith("Check passed") for note in honest.notes) == 6
    assert "does not rise with epsilon" in " ".join(honest.notes)


def failed(result):
    return {note.split(",")[1].split(":")[0].strip() for note in result.notes if note.startswith("Check failed")}


def test_a_saturated_softmax_is_found_out(masked):
    found = accuracies(masked)
    assert found["pgd", 8] > expected(8 / 255).mean() + 0.1, "the attack itself sees robustness"
    assert {"large epsilon", "gradient", "transfer"} <= failed(masked)
    assert "do not read the accuracy under attack as robustness" in masked.notes[0]
    assert masked.notes[0].startswith(f"{len(failed(masked))} of 6 checks failed (large epsilon, gradient")


def test_a_cut_graph_is_found_out():
    result = robustness(Subject(Steps(), DATA), epsilons=(), restarts=0)
    assert {"large epsilon", "gradient", "transfer"} <= failed(result)
    assert result.notes[0].startswith(f"{len(failed(result))} of 5 checks failed"), "one epsilon is no curve"
    assert "at epsilon 128/255" in result.notes[1]


def test_the_large_epsilon_starts_at_the_image():
    # Noise of half the range would turn answers of any model, and hide that its gradients lead nowhere.
    bench = Bench(Subject(Linear(scale=1e6), DATA), TEST, 0.25)
    assert bench.climb("large", 128 / 255, 10).accuracy < bench.clean.accuracy - 0.1
    curve = [bench.climb("pgd", 8 / 255, 10)]
    large = misuse(bench, curve, 10)[0][-1]
    assert (large.attack, large.restarts, large.accuracy) == ("large", 0, bench.clean.accuracy)


def test_a_constant_model_keeps_its_accuracy_and_the_sentence_says_why():
    result = robustness(Subject(testing.constant(1), DATA), epsilons=EPSILONS)
    share = float((DATA.labels[TEST] == 1).mean())
    assert set(table(result)["accuracy"]) == {share}
    assert failed(result) == {"large epsilon", "gradient"}
    assert "either the model ignores its input or its gradients are masked" in " ".join(result.notes)


def test_a_model_that_is_never_right_has_nothing_to_check():
    data = DATA.replace(table=DATA.table.assign(label=DATA.table["label"].cat.set_categories(["0", "1", "2"])))
    result = robustness(Subject(testing.constant(2, 3), data), epsilons=EPSILONS)
    assert set(table(result)["accuracy"]) == {0.0}
    assert result.notes[0].startswith("No image is answered right as it is")


def outcome(correct, epsilon=8 / 255):
    correct = np.asarray(correct, bool)
    return Outcome("pgd", epsilon, 10, 1, correct, ~correct)


def test_what_chance_allows():
    # Five against none: p = 2 / 2^5 = .0625; six against none .03125.
    base = np.ones(20, bool)
    for count, more in ((5, False), (6, True)):
        other = base.copy()
        other[:count] = False
        assert _fools_more(other, base, 0.05) is more
        assert not _fools_more(base, other, 0.05)
        assert _weaker("noise", outcome(other), outcome(base), "noise leaves").passed is not more


def test_a_curve_that_rises():
    good, bad = np.arange(100) < 80, np.arange(100) < 60
    falling = [outcome(bad, 8 / 255), outcome(good, 2 / 255)]
    assert _falls(falling).passed
    rising = _falls([outcome(good, 8 / 255), outcome(bad, 2 / 255)])
    assert not rising.passed
    assert "from 60.0 % at 2/255 to 80.0 % at 8/255" in str(rising)


def test_epsilons_are_written_as_people_write_them():
    assert [in_255(one) for one in (0.0, 8 / 255, 0.3, 1.0)] == ["0/255", "8/255", "0.3", "255/255"]


# The substitute


def test_a_substitute_learns_answers_and_not_labels():
    turned = pd.Categorical.from_codes(1 - DATA.table["label"].cat.codes, categories=DATA.classes)
    flipped = DATA.replace(table=DATA.table.assign(label=turned))
    subject = Subject(Linear(), DATA)
    network, n = substitute_for(subject, 2000)
    other, _ = substitute_for(Subject(Linear(), flipped), 2000)
    images = DATA.images.gather(torch.from_numpy(TEST)).float() / 255
    with torch.no_grad():
        assert torch.equal(network(images), other(images))
        agreed = (network(images).argmax(dim=1).numpy() == subject.predictions(TEST)).mean()
    assert n == 400
    assert agreed > 0.9


def test_a_substitute_without_train_and_of_large_images(monkeypatch):
    monkeypatch.setattr(_substitute, "STEPS", 3)
    data = planted(train=0, n=60)
    assert substitute_for(Subject(Linear(), data), 50)[1] == 50
    pixels = np.random.default_rng(0).integers(0, 256, (20, 96, 80, 3)).astype(np.uint8)
    subject = Subject(testing.constant(0), Dataset.from_arrays(pixels, [0, 1] * 10))
    network, n = substitute_for(subject, 2000)
    assert n == 20
    assert network(torch.rand(2, 3, 96, 80)).shape == (2, 2)


# Bad input


def test_epsilon_in_gray_levels():
    subject = Subject(Linear(), DATA)
    with pytest.raises(SpecError, match=r'write "8/255"'):
        robustness(subject, epsilon=8)
    with pytest.raises(SpecError, match=r'write "4/255"'):
        robustness(subject, epsilons=(4.0,))
    with pytest.raises(SpecError, match=r'write "8/255"'):
        bk.audit(Linear(), DATA, analyzers={"robustness": {"epsilon": 8}})
    audit = bk.audit(
        Linear(), DATA, analyzers={"robustness": {"epsilon": "8/255", "epsilons": ["2/255"], "checks": False}}
    )
    assert audit["robustness"].options["epsilon"] == 8 / 255
    assert set(audit["robustness"].table["epsilon"]) == {0.0, 2 / 255, 8 / 255}


def test_no_images():
    with pytest.raises(DataError, match="no test images to attack"):
        Bench(Subject(Linear(), DATA), np.empty(0, np.int64), 0.25)


def test_nothing_is_attacked_with_an_epsilon_or_step_of_zero():
    subject = Subject(Linear(), DATA)
    for name in ("epsilon", "step"):
        for zero in (0, 0.0, "0/255"):
            with pytest.raises(SpecError, match=rf"^robustness\.{name}: must be greater than 0"):
                robustness(subject, **{name: zero})
    curve = robustness(subject, epsilons=(0.0,), restarts=0, checks=False)
    found = accuracies(curve)
    assert found["pgd", 0] == found["clean", 0] > found["pgd", 8]


def test_options_of_a_direct_call():
    subject = Subject(Linear(), DATA)
    for wrong, message in (
        ({"steps": True}, r"robustness\.steps: .*integer"),
        ({"restarts": 1.5}, r"robustness\.restarts: .*integer"),
        ({"checks": "no"}, r"robustness\.checks: .*boolean"),
        ({"epsilons": ("8/255", "x")}, r"robustness\.epsilons\.1: expected a number"),
        ({"epsilons": 0.1}, r"robustness\.epsilons: "),
        ({"epsilons": (float("nan"),)}, r"robustness\.epsilons: expected a finite number"),
        ({"norm": "l2"}, "norm is no option of robustness"),
    ):
        with pytest.raises(SpecError, match=message):
            robustness(subject, **wrong)
    given = {"epsilon": np.float64(8 / 255), "epsilons": [np.float32(0.0625)], "checks": False, "restarts": 0}
    assert robustness(subject, images=np.int64(20), **given).options["epsilons"] == (0.0625,)


def test_a_model_that_writes_over_its_input_is_refused_with_the_remedy():
    class Overwriting(Linear):
        def forward(self, images):
            score = images.sub_(0.5).permute(0, 2, 3, 1).flatten(1) @ self.weight
            return torch.stack([-score, score], dim=1)

    with pytest.raises(UnsupportedModel, match="write images = images - mean"):
        robustness(Subject(Overwriting(), DATA), epsilons=EPSILONS)


def test_pgd_gets_several_batches_and_the_model_one():
    seen = []

    class Counting(Linear):
        def forward(self, images):
            seen.append(len(images))
            return super().forward(images)

    bench = Bench(Subject(Counting(), planted(n=700, train=0)), np.arange(700), 0.25)
    whole = bench.clean.correct.sum()
    assert whole > 512
    seen.clear()
    attacked = bench.climb("pgd", 8 / 255, 10)
    assert seen[:3] == [256, 256, 256]
    assert max(seen) == 256
    assert len({size for size in seen if size < 256}) < 12
    np.testing.assert_array_equal(attacked.correct, expected(8 / 255, bench.subject.dataset))


# AutoAttack


def test_autoattack_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyautoattack", None)
    called = []
    monkeypatch.setattr(Bench, "run", lambda *args, **kwargs: called.append(1))
    with pytest.raises(MissingExtra, match=r"pip install 'biaskit\[autoattack\]'"):
        robustness(Subject(Linear(), DATA), autoattack=True)
    assert not called, "minutes of other attacks come after the look"


@pytest.mark.parametrize("classes", [2, 5])
def test_autoattack_finds_what_there_is(classes):
    pytest.importorskip("pyautoattack", reason="needs the extra autoattack")
    model, data = Linear(), planted(n=40, train=0)
    if classes > 2:
        data = data.replace(table=data.table.assign(label=data.table["label"].cat.set_categories(list("01234"))))
        two = model
        model = nn.Sequential(two, nn.ConstantPad1d((0, classes - 2), -5.0))
    before, state = sys.gettrace(), torch.get_rng_state()

    def debugger(frame, event, argument):
        return None

    sys.settrace(debugger)
    try:
        result = robustness(
            Subject(model, data), epsilon=8 / 255, epsilons=(), checks=False, restarts=0, steps=1, step=0.5 / 255,
            autoattack=True,
        )  # fmt: skip
        assert sys.gettrace() is debugger
    finally:
        sys.settrace(before)
    found = accuracies(result)
    assert found["autoattack", 8] == pytest.approx(expected(8 / 255, data).mean())
    assert found["pgd", 8] > found["autoattack", 8], "one short step leaves work for AutoAttack"
    assert all(one.grad is None and one.requires_grad for one in model.parameters())
    assert torch.equal(state, torch.get_rng_state())
    assert ("was left out" in result.notes[-1]) is (classes == 2)


def test_a_stored_run_gives_gradients_after_an_analyzer_that_needs_none():
    data = bk.build("colordigits", set=["training.epochs=1", "limit.train=100"])
    run = bk.train("plain", data, seed=0)
    wanted = {
        "continuity": {"images": 20, "examples": 0},
        "robustness": {"images": 8, "checks": False, "restarts": 0, "epsilons": []},
        "input_gradient": {"images": 8},
    }
    audit = bk.audit(run, data, analyzers=wanted)
    assert audit.failed == {}
    stored = _audit.analyze_run(run, data, _audit.resolve_analyzers(wanted), "cpu")
    assert stored.failed == {}
