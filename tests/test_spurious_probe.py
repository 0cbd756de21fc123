"""What a linear probe reads from each layer, and what it must not be credited with."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.preprocessing import StandardScaler
from torch import nn
from torchvision.models import resnet18

import biaskit as bk
from biaskit import testing
from biaskit.analyzers import spurious_probe
from biaskit.analyzers._linear_probe import probe, standardized, strata
from biaskit.errors import SpecError, UnknownName, UnsupportedModel
from biaskit.models import resnet_small
from biaskit.representation import entering_head, layer_vectors, layers_with_weights, scaling, vectors
from biaskit.rng import scoped
from biaskit.stats import kish, wilson
from biaskit.subject import Subject


def correlated(n=2000, share=0.95, seed=0):
    """A label, and an attribute that goes with it."""
    generator = np.random.default_rng(seed)
    label = generator.integers(0, 2, n)
    return label, np.where(generator.random(n) < share, label, 1 - label)


def linear():
    """A network whose layer ``1`` holds all that `testing.tiny` has."""
    with scoped(0):
        return nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.Linear(16, 2))


# The probe


def test_what_holds_the_label_alone_does_not_read_the_attribute():
    label, attribute = correlated()
    points = np.eye(2)[label] + 0.01 * np.random.default_rng(1).normal(size=(2000, 2))
    naive = strata(attribute, np.zeros_like(label))
    right = probe(points[naive.rows], naive, naive.target) == naive.target
    assert standardized(right, naive)[0] > 0.9, "the label stands in for it"
    given = strata(attribute, label)
    right = probe(points[given.rows], given, given.target) == given.target
    assert standardized(right, given)[0] == pytest.approx(0.5, abs=0.08)


def test_what_holds_both_reads_both():
    label, attribute = correlated()
    points = np.stack([label, attribute], axis=1) + 0.01 * np.random.default_rng(1).normal(size=(2000, 2))
    for target, given in ((label, attribute), (attribute, label)):
        cells = strata(target, given)
        assert standardized(probe(points[cells.rows], cells, cells.target) == cells.target, cells)[0] == 1.0


def test_the_probe_is_that_of_scikit_learn():
    generator = np.random.default_rng(0)
    target = generator.choice(3, 300, p=[0.6, 0.3, 0.1])
    points = generator.normal(size=(300, 4)) + 0.5 * np.eye(3, 4)[target]
    cells = strata(target, np.zeros_like(target))
    np.testing.assert_array_equal(cells.rows, np.arange(300))
    answers = probe(points, cells, target)
    for half in (False, True):
        fit = cells.half == half
        scaler = StandardScaler().fit(points[fit])
        other = LogisticRegression(class_weight="balanced", max_iter=500).fit(
            scaler.transform(points[fit]), target[fit]
        )
        np.testing.assert_array_equal(answers[~fit], other.predict(scaler.transform(points[~fit])))
    value, low, high = standardized(answers == target, cells)
    assert value == pytest.approx(balanced_accuracy_score(target, answers))
    n = kish(np.ones(3) / 3, np.bincount(target))
    assert (low, high) == pytest.approx(wilson(value * n, n))


def test_every_cell_is_in_both_halves():
    label, attribute = correlated(400)
    cells = strata(attribute, label)
    for one in range(4):
        inside = cells.half[cells.cell == one]
        assert inside.sum() == len(inside) // 2
    assert cells.size.tolist() == [int(((label == g) & (attribute == t)).sum()) for g in (0, 1) for t in (0, 1)]


def test_shuffled_targets_keep_the_counts_of_every_stratum_and_half():
    label, attribute = correlated(400)
    cells = strata(attribute, label)
    moved = cells.shuffled(np.random.default_rng(0))
    assert not np.array_equal(moved, cells.target)
    for given in (0, 1):
        for half in (False, True):
            mine = (cells.given == given) & (cells.half == half)
            np.testing.assert_array_equal(np.bincount(moved[mine]), np.bincount(cells.target[mine]))


def test_what_cannot_be_read_is_left_out():
    # Given 2 has no target 1: its images are left out, or those of target 1 where these are fewer.
    target, given = np.tile([0, 0, 1, 1], 3), np.repeat([0, 1, 2], 4)
    target[8:] = 0
    found = strata(target, given)
    assert (found.given_out, found.target_out, len(found.rows)) == ((2,), (), 8)
    rare = strata(np.asarray([*np.tile([0, 1], 10), 2]), np.zeros(21, np.int64))
    assert (rare.given_out, rare.target_out, len(rare.rows)) == ((), (2,), 20)
    for nothing in (strata(np.zeros(8, np.int64), np.arange(8) % 2), strata(np.arange(8) % 2, np.arange(8) % 2)):
        assert len(nothing.rows) == 0


# Layers


def test_layers_of_networks_from_coarse_to_fine():
    image = torch.zeros(1, 3, 32, 32)
    assert layers_with_weights(resnet18(), image) == (
        "conv1", "layer1", "layer2", "layer3", "layer4", "fc",
    )  # fmt: skip
    assert layers_with_weights(resnet_small(10), image) == tuple(
        f"net.{one}" for one in ("conv1", "layer1", "layer2", "layer3", "fc")
    )
    blocks = nn.Sequential(*(nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.ReLU()) for _ in range(6)))
    plain = nn.Sequential(blocks, nn.Sequential(nn.Flatten(), nn.Linear(3 * 32**2, 2)))
    assert layers_with_weights(plain, image) == (*(f"0.{one}" for one in range(6)), "1.1")


def test_layers_that_nothing_passes_are_no_layers():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.second, self.first, self.idle = nn.Linear(3, 2), nn.Conv2d(3, 3, 1), nn.Linear(5, 5)

        def forward(self, images):
            return self.second(self.first(images).mean(dim=(2, 3)))

    assert layers_with_weights(Net(), torch.zeros(1, 3, 4, 4)) == ("first", "second")
    with pytest.raises(UnsupportedModel, match="passed by no image"):
        layer_vectors(Net(), torch.zeros(1, 3, 4, 4), ["idle"])


def test_vectors_are_means_over_positions():
    values = torch.arange(24.0).view(2, 3, 2, 2)
    assert vectors(values, "a").tolist() == values.mean(dim=(2, 3)).tolist()
    tokens = torch.arange(24.0).view(2, 4, 3)
    assert vectors(tokens, "a").tolist() == tokens.mean(dim=1).tolist()
    last = torch.rand(2, 5, 5, 3)
    torch.testing.assert_close(vectors(last, "a"), last.mean(dim=(1, 2)))
    for wrong in (torch.ones(3), (torch.ones(2, 2),)):
        with pytest.raises(UnsupportedModel, match="expected numbers for each image"):
            vectors(wrong, "a")
    with pytest.raises(UnsupportedModel, match="NaN"):
        vectors(torch.full((1, 1), torch.nan), "a")


def test_layers_are_read_before_they_are_written_over():
    net = nn.Sequential(
        nn.Conv2d(3, 2, 1), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(32, 4), nn.ReLU(inplace=True)
    )
    images = torch.rand(5, 3, 4, 4)
    with torch.no_grad():
        found = layer_vectors(net, images, ["0", "3"])
        torch.testing.assert_close(found["0"], net[0](images).mean(dim=(2, 3)))
        torch.testing.assert_close(found["3"], net[:4](images))
        name, entering = entering_head(net, images)
    assert name == "3"
    torch.testing.assert_close(entering, net[:3](images))
    assert not any(one._forward_hooks or one._forward_pre_hooks for one in net.modules())


def test_scaling_leaves_rounding_errors_alone():
    found = np.stack([np.asarray([1.0, 3.0]), np.asarray([5.0, 5.0 + 1e-6])], axis=1)
    mean, factor = scaling(found)
    assert mean.tolist() == pytest.approx([2.0, 5.0])
    assert factor.tolist() == [1.0, 0.0]


# The analyzer


def test_a_model_that_sees_the_square_or_the_frame():
    for what, label, frame in (("square", 1.0, 0.5), ("frame", 0.5, 1.0)):
        subject = Subject(testing.looks_at(what), testing.framed(per_group=10))
        table = spurious_probe(subject).table.set_index("target")
        assert table["layer"].tolist() == ["blocks", "blocks"]
        assert table["balanced_accuracy"].to_dict() == {"frame": frame, "label": label}
        assert table["given"].to_dict() == {"frame": "label", "label": "frame"}
        assert table["n"].tolist() == [40, 40]
        assert (table["chance"] == 0.5).all()


def test_the_color_is_read_everywhere_and_the_digit_late():
    data = bk.build("colordigits")
    with scoped(0):
        model = resnet_small(10)
    before = {name: one.clone() for name, one in model.state_dict().items()}
    result = spurious_probe(Subject(model, data), images=400)
    table = result.table
    colors, labels = (table[table["target"] == one] for one in ("color", "label"))
    assert (colors["balanced_accuracy"].iloc[:3] > 0.95).all()
    assert (colors["low"] > 0.5).iloc[:3].all()
    assert (colors["chance"] == 0.5).all()
    assert (labels["chance"] == 0.1).all()
    assert (abs(labels["permuted"] - 0.1) < 0.08).all()
    assert (abs(colors["permuted"] - 0.5) < 0.15).all()
    assert colors["depth"].tolist() == list(range(1, len(colors) + 1))
    assert (table["low"] <= table["balanced_accuracy"]).all()
    assert (table["balanced_accuracy"] <= table["high"]).all()
    assert all(torch.equal(before[name], one) for name, one in model.state_dict().items())
    per_image = result.samples.groupby(["depth", "target"])["correct"].mean()
    assert len(per_image) == len(table)
    assert len(result.samples) == table["n"].sum()


def test_layers_can_be_named_and_bounded():
    data, net = testing.tiny(), nn.Sequential(*(nn.Conv2d(3, 3, 1) for _ in range(9)), nn.Flatten(), nn.Linear(192, 2))
    subject = Subject(net, data)
    named = spurious_probe(subject, layers=("4", "0"), permutations=0)
    assert named.table["layer"].tolist() == ["4", "0", "4", "0"]
    assert named.table["permuted"].isna().all()
    assert named.notes[0] == "Probed are the layers asked for: 4, 0."
    some = spurious_probe(subject, most=3, permutations=0)
    assert some.table["layer"].tolist()[:3] == ["0", "4", "10"]
    assert some.notes[0] == "Probed are 3 of 10 layers with weights: 0, 4, 10."
    with pytest.raises(SpecError, match="layers names 4 twice"):
        spurious_probe(subject, layers=("4", "4"))
    with pytest.raises(UnknownName, match="no layer 'fc'"):
        spurious_probe(subject, layers=("fc",))
    with pytest.raises(UnsupportedModel, match="no sub-modules"):
        spurious_probe(Subject(testing.reads("label"), data))


def test_without_attributes_the_label_alone():
    data = testing.tiny(per_group=10)
    plain = bk.Dataset.from_arrays(data.images.gather(torch.arange(len(data))).numpy(), data.labels)
    table = spurious_probe(Subject(linear(), plain), layers=("1",)).table
    assert table[["target", "given", "balanced_accuracy"]].values.tolist() == [["label", "", 1.0]]


def test_an_attribute_with_one_value_is_no_target():
    data = testing.tiny(test=(1.0, 0.0))
    result = spurious_probe(Subject(linear(), data), layers=("1",))
    table = result.table.set_index("target")
    assert table.loc["color", "n"] == 0
    assert table.loc["color", ["balanced_accuracy", "low", "chance", "permuted"]].isna().all()
    assert table.loc["label", "balanced_accuracy"] == 1.0
    assert "color cannot be read: no two of its values have two test images each with every label." in result.notes


def test_images_that_are_left_out_are_named():
    data = testing.tiny(per_group=10)
    table = data.table.copy()
    test = data.rows("test")
    table.loc[test[data.labels[test] == 1], "color"] = "red"
    result = spurious_probe(Subject(linear(), data.replace(table=table)), layers=("1",), permutations=0)
    said = "color is read without the images whose label is right: fewer than two of some kind."
    assert said in result.notes
    assert result.table.set_index("target").loc["color", "n"] == 20
