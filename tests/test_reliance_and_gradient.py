"""Reliance on meaning and the steepness of logits, on models whose answers are known by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats as reference
from torch import nn

from biaskit import testing
from biaskit.analyzers import _input_gradient, input_gradient, semantic_reliance
from biaskit.analyzers._input_gradient import krylov_singular_value, typical_distance
from biaskit.analyzers._semantic_reliance import paired_ratio_interval
from biaskit.data import Dataset
from biaskit.distortions import channel_shift
from biaskit.errors import DataError, SpecError, UnsupportedModel
from biaskit.registry import bind
from biaskit.subject import Subject

TINY = testing.tiny(per_group=12)
NOTHING = {"shifts": (), "shares": (), "grids": (), "moved": ()}


def noise(count=40, classes=3, size=8, channels=3, attributes=None):
    """Random images with random labels."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (count, size, size, channels)).astype(np.uint8)
    return Dataset.from_arrays(
        pixels, np.arange(count) % classes, attributes or {"side": np.repeat(["a", "b"], count // 2)}
    )


def at(result, distortion, amount, **where):
    """The one row of a table."""
    table = result.table
    for key, value in {"distortion": distortion, "amount": amount, **where}.items():
        table = table[table[key] == value]
    assert len(table) == 1
    return table.iloc[0]


# Reliance on meaning


@pytest.mark.parametrize("model", [testing.constant(0), testing.reads("background")])
def test_what_survives_the_distortion_keeps_every_answer(model):
    # The mean color of an image, and a constant, are blind to where the pixels are.
    result = semantic_reliance(Subject(model, TINY))
    assert (result.table["accuracy"] == 0.5).all()
    assert (result.table["retained"] == 1.0).all()
    assert result.table["n"].tolist() == [48] * len(result.table)
    rest = result.table[result.table["distortion"] != "none"]
    assert (rest["retained_low"] < 1.0).all()
    assert (rest["retained_high"] > 1.0).all()


def test_a_model_that_reads_the_square_fails_as_computed_by_hand():
    # Green shows the square: columns 0 to 2 are left, 5 to 7 right. Green moves half as far as red.
    # By 2 columns: 2 to 4 is still mostly left, 7, 0, 1 has become left. By 4: both have changed sides.
    result = semantic_reliance(
        Subject(testing.reads("label"), TINY), **NOTHING | {"shifts": (0.25, 0.5, 1.0)}, by_group=True
    )
    expected = {0.25: (1.0, 1.0), 0.5: (1.0, 0.0), 1.0: (0.0, 0.0)}  # by 1: 1 to 3 and 6, 7, 0 stay where they were
    for shift, accuracies in expected.items():
        row = at(result, "channel_shift", shift, label="all")
        assert (row["n"], row["accuracy"], row["retained"]) == (48, np.mean(accuracies), np.mean(accuracies))
        for label, accuracy in zip(("left", "right"), accuracies, strict=True):
            for color in ("red", "blue"):
                row = at(result, "channel_shift", shift, label=label, color=color)
                assert (row["n"], row["accuracy"], row["retained"]) == (12, accuracy, accuracy)
                np.testing.assert_allclose((row["low"], row["high"]), reference_wilson(12 * accuracy, 12), atol=1e-12)
    none = at(result, "none", 0.0, label="all")
    assert none[["accuracy", "retained", "retained_low", "retained_high"]].tolist() == [1.0, 1.0, 1.0, 1.0]
    assert at(result, "channel_shift", 1.0, label="all")["retained_low"] == 0.0
    lost = result.samples[(result.samples["distortion"] == "channel_shift") & ~result.samples["correct"]]
    labels = TINY.labels[lost[lost["amount"] == 0.5]["row"]]
    assert labels.tolist() == [1] * 24


def reference_wilson(k, n):
    found = reference.binomtest(int(k), n).proportion_ci(method="wilson")
    return found.low, found.high


def test_strengths_and_what_an_image_is_too_small_for():
    result = semantic_reliance(Subject(testing.reads("label"), TINY), grids=(2, 3, 8, 9))
    assert result.table["strength"].tolist() == [
        *("unchanged", "1 px", "1 px", "2 px", "2 x 2 px", "4 x 4 px", "6 x 6 px", "8 x 8 px"),
        *("2 x 2 blocks", "3 x 3 blocks", "8 x 8 blocks", "4 of 16 blocks", "8 of 16 blocks", "12 of 16 blocks"),
    ]
    assert len(result.notes) == 3
    assert result.notes[0] == "a constant answer (left) is right in 0.500 of these 48 images"
    assert "channel_shift 0.03125: a shift by 0.03125 of 8 pixels is less than half a pixel" in result.notes[1]
    assert "puzzle 9: a puzzle of 9 x 9 blocks needs as many pixels" in result.notes[2]
    with pytest.raises(DataError, match="left out: puzzle 9"):
        semantic_reliance(Subject(testing.reads("label"), TINY), **NOTHING | {"grids": (9,)})
    with pytest.raises(DataError, match="give shifts, shares, grids or moved"):
        semantic_reliance(Subject(testing.reads("label"), TINY), **NOTHING)
    with pytest.raises(SpecError, match="a puzzle of 2 x 2 has 4 blocks"):
        semantic_reliance(Subject(testing.reads("label"), TINY), moved=(4, 5), moved_grid=2)


@pytest.mark.parametrize(
    "given", [{"shares": [1.5]}, {"shares": [0.0]}, {"shifts": [-0.1]}, {"grids": [1]}, {"moved": [1]}]
)
def test_amounts_are_checked_when_bound(given):
    with pytest.raises(SpecError, match=next(iter(given))):
        bind(semantic_reliance, given, "study")


class Recorder(nn.Module):
    """Answers by the mean color and keeps what it was shown."""

    def __init__(self, scale):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))
        self.seen = []

    def forward(self, images):
        self.seen.append(images.clone())
        return images.mean(dim=(2, 3))[:, :2] * self.scale


def test_every_arm_sees_the_same_distorted_images_and_no_state_is_touched():
    one, other = Recorder(1.0), Recorder(-3.0)
    state = torch.get_rng_state()
    results = [semantic_reliance(Subject(model, TINY), images=20, mode="pixels") for model in (one, other)]
    assert torch.equal(torch.get_rng_state(), state)
    assert len(one.seen) == len(other.seen) > 10
    assert all(torch.equal(a, b) for a, b in zip(one.seen, other.seen, strict=True))
    assert not torch.equal(one.seen[-1], one.seen[-2])
    assert (results[0].samples.groupby(["distortion", "amount"]).size() == 20).all()
    assert results[0].options["mode"] == "pixels"
    first = results[0].samples[results[0].samples["distortion"] == "none"]
    assert first["row"].tolist() == Subject(one, TINY).sample(20, "semantic_reliance").tolist()


def test_pictures_show_every_strength_and_do_not_depend_on_the_model():
    one, other = (semantic_reliance(Subject(model, TINY)).pictures for model in (Recorder(1.0), testing.constant()))
    assert len(one) == len(other) == 2 * ((1 + 2) + (1 + 4) + (1 + 3) + (1 + 3))  # two shifts come to one pixel
    assert all(np.array_equal(a.pixels, b.pixels) and a.column for a, b in zip(one, other, strict=True))
    assert list(dict.fromkeys(picture.figure for picture in one)) == [
        *("channel shift", "center shuffle", "puzzle", "puzzle moved")
    ]
    row = one[0].row
    number = int(row.split()[1].rstrip(","))
    assert row == f"image {number}, label {TINY.classes[TINY.labels[number]]}"
    mine = {
        picture.column: picture.pixels for picture in one if (picture.figure, picture.row) == ("channel shift", row)
    }
    assert list(mine) == ["image", "1 px", "2 px"]
    image = TINY.images.gather(torch.tensor([number]))
    np.testing.assert_array_equal(mine["image"], image[0].permute(1, 2, 0))
    moved = channel_shift(image, torch.Generator(), shift=0.25)[0].permute(1, 2, 0)
    np.testing.assert_array_equal(mine["2 px"], moved)
    assert semantic_reliance(Subject(testing.constant(), TINY), pictures=0).pictures == ()


def test_gray_images_have_no_channels_to_shift():
    data = noise(channels=1, classes=2)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    result = semantic_reliance(Subject(model, data))
    assert "channel_shift" not in set(result.table["distortion"])
    assert sum("gray images" in note for note in result.notes) == 3
    assert result.pictures[0].pixels.shape == (8, 8, 3)


def test_nothing_right_at_first_leaves_the_ratio_undefined():
    wrong = testing.constant(1)
    labels = np.zeros(16, np.int64)
    labels[8:] = 1
    data = Dataset.from_arrays(np.zeros((16, 8, 8, 3), np.uint8), labels, {"side": np.repeat(["a", "b"], 8)})
    result = semantic_reliance(Subject(wrong, data), by_group=True)
    row = at(result, "puzzle", 4.0, label="0", side="a")
    assert (row["n"], row["accuracy"]) == (8, 0.0)
    assert row[["retained", "retained_low", "retained_high"]].isna().all()
    empty = at(result, "puzzle", 4.0, label="0", side="b")
    assert empty["n"] == 0
    assert empty[["accuracy", "low", "high", "retained"]].isna().all()


def test_the_table_follows_from_the_samples():
    data = noise(classes=2, count=200)
    model = nn.Sequential(nn.Flatten(), Linear(classes=2))
    result = semantic_reliance(Subject(model, data))
    before = result.samples[result.samples["distortion"] == "none"]["correct"].to_numpy()
    for _, line in result.table.iloc[1:].iterrows():
        mine = (result.samples["distortion"] == line["distortion"]) & (result.samples["amount"] == line["amount"])
        after = result.samples[mine]["correct"].to_numpy()
        cells = [int((before & after).sum()), int((before & ~after).sum()), int((~before & after).sum())]
        assert min(cells) > 0
        assert line["n"] == len(after) == 200
        assert line["accuracy"] == pytest.approx(after.mean())
        assert line["retained"] == pytest.approx(after.mean() / before.mean())
        assert (line["retained_low"], line["retained_high"]) == pytest.approx(paired_ratio_interval(*cells))
        assert line["retained_low"] < line["retained"] < line["retained_high"]


# The interval of a ratio on the same images


def test_paired_ratio_against_a_published_table():
    # Fagerland, Lydersen & Laake 2017, Statistical Analysis of Contingency Tables, chapter 8: 65 / 75 of 161 patients.
    assert paired_ratio_interval(59, 16, 6) == pytest.approx((0.7579, 0.9910), abs=5e-5)


def test_paired_ratio_is_the_delta_interval_where_there_is_much():
    both, first, second = 40_000, 20_000, 5_000
    ratio = (both + second) / (both + first)
    error = 1.959964 * np.sqrt((first + second) / ((both + first) * (both + second)))
    expected = (ratio * np.exp(-error), ratio * np.exp(error))
    assert paired_ratio_interval(both, first, second) == pytest.approx(expected, rel=1e-4)


def test_paired_ratio_covers_as_it_says():
    rng = np.random.default_rng(0)
    for p in ([0.30, 0.50, 0.05], [0.05, 0.80, 0.02], [0.6, 0.02, 0.02]):
        truth = (p[0] + p[2]) / (p[0] + p[1])
        draws = rng.multinomial(100, [*p, 1 - sum(p)], size=2000)[:, :3]
        ends = np.array([paired_ratio_interval(*map(int, one)) for one in draws])
        assert ((ends[:, 0] <= truth) & (truth <= ends[:, 1])).mean() > 0.94


def test_paired_ratio_at_the_edge():
    assert np.isnan(paired_ratio_interval(0, 0, 7)).all()
    low, high = paired_ratio_interval(0, 50, 0)
    assert low == 0.0
    assert 0.0 < high < 0.2


# The steepness of the logits


class Linear(nn.Module):
    """``F(x) = c (W x + b)``."""

    def __init__(self, classes=3, pixels=192, scale=1.0):
        super().__init__()
        rng = np.random.default_rng(1)
        self.weight = nn.Parameter(torch.from_numpy(rng.normal(size=(classes, pixels))).float() / 10)
        self.bias = nn.Parameter(torch.from_numpy(rng.normal(size=classes)).float())
        self.scale = scale

    def forward(self, images):
        return self.scale * (images.flatten(1) @ self.weight.T + self.bias)


def test_a_linear_model_is_as_steep_as_its_weights():
    data, model = noise(), Linear()
    found = input_gradient(Subject(model, data))
    w = model.weight.detach().double().numpy()
    images = data.images.gather(torch.arange(40)).numpy().reshape(40, -1) / 255.0
    rows = found.samples["row"].to_numpy()
    labels, logits = data.labels[rows], images[rows] @ w.T + model.bias.detach().double().numpy()
    np.testing.assert_allclose(found.samples["logit_gradient"], np.linalg.norm(w, axis=1)[labels], rtol=1e-5)
    np.testing.assert_allclose(found.samples["lipschitz"], np.linalg.svd(w)[1][0], rtol=1e-5)
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True) - np.eye(3)[labels]
    np.testing.assert_allclose(found.samples["loss_gradient"], np.linalg.norm(shares @ w, axis=1), rtol=1e-4)
    pairs = [np.sum((a - b) ** 2) for i, a in enumerate(logits) for j, b in enumerate(logits) if i != j]
    scale = np.sqrt(np.mean(pairs))
    assert found.table["logit_scale"].tolist() == pytest.approx([scale] * len(found.table), rel=1e-5)
    np.testing.assert_allclose(found.samples["relative_lipschitz"] * scale, found.samples["lipschitz"], rtol=1e-5)
    np.testing.assert_allclose(found.samples["relative_gradient"] * scale, found.samples["logit_gradient"], rtol=1e-5)


def test_scaling_the_logits_scales_the_norms_and_not_the_relative_ones():
    one, five = (input_gradient(Subject(Linear(scale=scale), noise())).samples for scale in (1.0, 5.0))
    for name in ("logit_gradient", "lipschitz"):
        np.testing.assert_allclose(five[name], 5 * one[name], rtol=1e-5)
    for name in ("relative_gradient", "relative_lipschitz"):
        np.testing.assert_allclose(five[name], one[name], rtol=1e-5)


def test_a_constant_model_has_no_gradient_and_nothing_to_relate_it_to():
    row = input_gradient(Subject(testing.constant(), TINY)).table.iloc[0]
    assert row[["logit_gradient", "loss_gradient", "lipschitz", "logit_scale"]].tolist() == [0.0] * 4
    assert row[["relative_gradient", "relative_lipschitz", "relative_lipschitz_median"]].isna().all()
    assert row["n"] == 48


def network(classes=3):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            *(nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2)),
            *(nn.Conv2d(8, 8, 3), nn.SiLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(32, classes)),
        )


def jacobian(model, data, rows):
    images = data.images.gather(torch.tensor(rows)).float() / 255
    return np.stack(
        [
            torch.autograd.functional.jacobian(lambda x: model.eval()(x[None])[0], one).flatten(1).numpy()
            for one in images
        ]
    )


@pytest.mark.parametrize(("classes", "steps"), [(3, 3), (3, 10), (12, 11)])
def test_a_network_against_its_whole_jacobian(classes, steps):
    data, model = noise(classes=classes), network(classes)
    found = input_gradient(Subject(model, data), steps=steps)
    rows = found.samples["row"].to_numpy()
    expected = jacobian(model, data, rows)
    singular = np.linalg.svd(expected, compute_uv=False)[:, 0]
    np.testing.assert_allclose(found.samples["lipschitz"], singular, rtol=1e-4)
    gradient = expected[np.arange(len(rows)), data.labels[rows]]
    np.testing.assert_allclose(found.samples["logit_gradient"], np.linalg.norm(gradient, axis=1), rtol=1e-4)


def test_few_steps_give_a_lower_bound_and_a_note():
    data, model = noise(classes=12), network(12)
    exact = input_gradient(Subject(model, data), steps=12)
    assert exact.notes == ()
    few = input_gradient(Subject(model, data), steps=2)
    assert "a lower bound from 2 Krylov steps for 12 logits; the largest residual" in few.notes[0]
    share = few.samples["lipschitz"] / exact.samples["lipschitz"]
    assert (share <= 1 + 1e-6).all()
    assert 0.7 < share.mean() < 0.9999


def test_a_krylov_space_that_is_used_up_does_no_harm():
    # Rank 1: after one product there is nothing new.
    u = torch.tensor([[1.0, 2.0, 2.0]])
    value, residual = krylov_singular_value(lambda v: (v * u).sum(1, keepdim=True) * u, torch.tensor([[1.0, 0, 0]]), 3)
    assert value == pytest.approx([3.0], abs=1e-6)
    assert residual == pytest.approx([0.0], abs=1e-6)
    value, residual = krylov_singular_value(torch.zeros_like, torch.ones(2, 5), 4)
    assert (value.tolist(), residual.tolist()) == ([0.0, 0.0], [0.0, 0.0])


def test_groups_means_medians_and_intervals():
    side = np.repeat(["a", "b"], 20)
    side[::3] = "a"  # label 0 never stands on side b
    data = noise(attributes={"side": side})
    found = input_gradient(Subject(network(), data))
    assert found.table[["label", "side"]].to_numpy().tolist() == [
        *(["all", "all"], ["0", "a"], ["0", "b"], ["1", "a"], ["1", "b"], ["2", "a"], ["2", "b"])
    ]
    values = found.samples["loss_gradient"]
    rows = found.samples["row"].to_numpy()
    for _, line in found.table.iterrows():
        mine = np.ones(len(rows), bool)
        if line["label"] != "all":
            mine = (data.labels[rows] == int(line["label"])) & (side[rows] == line["side"])
        assert line["n"] == mine.sum()
        if not mine.any():
            assert line[["loss_gradient", "loss_gradient_low", "loss_gradient_median"]].isna().all()
            continue
        own = values[mine]
        assert line["loss_gradient"] == pytest.approx(own.mean())
        assert line["loss_gradient_median"] == pytest.approx(own.median())
        low, high = reference.t.interval(0.95, len(own) - 1, own.mean(), reference.sem(own))
        assert (line["loss_gradient_low"], line["loss_gradient_high"]) == pytest.approx((max(low, 0.0), high))
    assert (found.table["n"] == 0).sum() == 1


def test_the_size_of_a_pass_changes_nothing(monkeypatch):
    data, model = noise(), network()
    whole = input_gradient(Subject(model, data))
    monkeypatch.setattr(_input_gradient, "_IMAGES", 3)
    seen = []
    model.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    subject = Subject(model, data)
    np.testing.assert_allclose(input_gradient(subject).table["lipschitz"], whole.table["lipschitz"], rtol=1e-5)
    assert max(seen[1:]) == 3  # the first one is that of the stored logits
    assert not model.training
    assert all(one.grad is None for one in model.parameters())


class Detached(Linear):
    def forward(self, images):
        return super().forward(images.detach())


class Rounded(Linear):
    def forward(self, images):
        return super().forward((images * 255).round() / 255)


class Silent(Linear):
    @torch.no_grad()
    def forward(self, images):
        return super().forward(images)


@pytest.mark.parametrize("model", [Detached, Rounded, Silent])
@pytest.mark.parametrize("steps", [2, 10])
def test_a_model_that_stops_the_gradient_is_refused(model, steps):
    with pytest.raises(UnsupportedModel, match="gradient is 0 everywhere"):
        input_gradient(Subject(model(), noise()), steps=steps)


@pytest.mark.parametrize("given", [{"images": 1}, {"steps": 0}])
def test_options_outside_their_range(given):
    with pytest.raises(SpecError, match=f"^input_gradient.{next(iter(given))}"):
        input_gradient(Subject(Linear(), noise()), **given)


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        return grad * 2


class OnceDifferentiable(Linear):
    def forward(self, images):
        return super().forward(Once.apply(images))


class PartlyOnce(Linear):
    def forward(self, images):
        return super().forward(Once.apply(images)) + super().forward(images)


def test_one_derivative_is_enough_for_few_labels():
    model, data = OnceDifferentiable(), noise()
    expected = 2 * np.linalg.svd(model.weight.detach().numpy())[1][0]
    assert input_gradient(Subject(model, data)).table["lipschitz"][0] == pytest.approx(expected, rel=1e-5)
    for other in (model, PartlyOnce()):
        with pytest.raises(UnsupportedModel, match=r"differentiated twice: .* with steps = 3"):
            input_gradient(Subject(other, data), steps=2)


class Attention(nn.Module):
    """Four patches that look at each other."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.patches = nn.Conv2d(3, 8, 4, 4)
            self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
            self.head = nn.Linear(8, 5)

    def forward(self, images):
        return self.head(self.block(self.patches(images).flatten(2).mT).mean(dim=1))


def test_attention_has_its_second_derivative():
    data, model = noise(classes=5), Attention()
    exact, krylov = (input_gradient(Subject(model, data), steps=steps).samples["lipschitz"] for steps in (5, 4))
    np.testing.assert_allclose(krylov, exact, rtol=0.02)


def test_typical_distance_is_the_mean_over_pairs():
    logits = torch.randn(30, 4, generator=torch.Generator().manual_seed(0)) + 100
    pairs = torch.cdist(logits.double(), logits.double()).square()
    assert typical_distance(logits) == pytest.approx(float((pairs.sum() / (30 * 29)).sqrt()), rel=1e-6)
    assert np.isnan(typical_distance(logits[:1]))
    same = torch.tensor([[1.0, 2.0], [1.0 + 1.2e-7, 2.0]])
    assert same[0, 0] != same[1, 0]
    assert typical_distance(same) == 0.0, "rounding is no distance"
