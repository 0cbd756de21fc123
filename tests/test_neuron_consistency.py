"""Consistency on units whose answer is known: by hand, in closed form, or from a literal count."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import torch
from _shared import at_home, shared_home, small
from scipy.stats import norm
from torch import nn

import biaskit as bk
from biaskit import testing
from biaskit._audit import _read, _write
from biaskit.analyzers import _activation, neuron_consistency
from biaskit.analyzers._activation import thresholds_of
from biaskit.analyzers._consistency import consistency, correlation, excess_interval
from biaskit.attacks import fgsm
from biaskit.data import Dataset
from biaskit.errors import DataError, SpecError, UnknownName, UnsupportedModel
from biaskit.features import features
from biaskit.models import resnet_small
from biaskit.rng import scoped
from biaskit.subject import Subject
from biaskit.telling.histograms import histograms, histograms_caption
from biaskit.wordnet import distances

NAMES = ["dog.n.01", "cat.n.01", "truck.n.01", "car.n.01"]
APART = distances(NAMES)
MEANT = {str(label): name for label, name in enumerate(NAMES)}


def related(size=5, seed=0):
    """A matrix of the form of A: symmetric, in (0, 1], ones on its diagonal."""
    places = np.random.default_rng(seed).normal(size=(size, 2))
    return np.exp(-np.square(places[:, None] - places).sum(axis=2))


def labeled(pixels, labels, **more):
    return Dataset.from_arrays(pixels, [str(one) for one in labels], classes=["0", "1", "2", "3"], **more)


class Units(nn.Module):
    """Units that are linear in the mean color of the image, and a head on them."""

    def __init__(self, weights, bias=None):
        super().__init__()
        weights = torch.as_tensor(weights, dtype=torch.float32)
        self.unit = nn.Conv2d(3, len(weights), 1, bias=bias is not None)
        self.head = nn.Linear(len(weights), 4)
        with torch.no_grad():
            self.unit.weight.copy_(weights[:, :, None, None])
            self.head.weight.copy_(torch.linspace(-1, 1, 4 * len(weights)).view(4, -1).sin())
            self.head.bias.zero_()
            if bias is not None:
                self.unit.bias.copy_(torch.as_tensor(bias))

    def forward(self, images):
        return self.head(self.unit(images).mean(dim=(2, 3)))


def noise(count=120, side=4, seed=0):
    rng = np.random.default_rng(seed)
    return labeled(rng.integers(0, 256, (count, side, side, 3)).astype(np.uint8), np.arange(count) % 4)


def measured(subject, **options):
    return neuron_consistency(subject, **{"synsets": MEANT, "sigmas": (), "quantiles": (), **options})


def at(table, **where):
    for key, value in where.items():
        table = table[table[key] == value]
    assert len(table) == 1
    return table.iloc[0]


# The quadratic form


def test_one_label_is_consistent_and_equal_shares_are_the_mean_of_a():
    a, images = related(), np.full(5, 100)
    counts = np.asarray([[7, 4, 0], [0, 0, 3], [0, 4, 0], [0, 4, 3], [0, 0, 3]])
    found = consistency(a, counts, images)
    chosen = [[0, 2, 3], [1, 3, 4]]
    expected = [1.0, *(a[np.ix_(one, one)].mean() for one in chosen)]
    np.testing.assert_allclose(found.plug_in, expected)
    assert found.unbiased[0] == 1.0
    # Where only equal labels are related, what is left is the sum of squares.
    p = counts / counts.sum(axis=0)
    np.testing.assert_allclose(consistency(np.eye(5), counts, images).plug_in, np.square(p).sum(axis=0))


def test_the_unbiased_estimate_is_the_mean_over_pairs_of_images():
    a, labels = related(), [0, 0, 3, 1, 4, 3, 0]
    pairs = [a[one, other] for one, other in itertools.permutations(labels, 2)]
    found = consistency(a, np.bincount(labels, minlength=5)[:, None], np.full(5, 9))
    assert found.unbiased[0] == pytest.approx(np.mean(pairs), abs=1e-12)


def test_the_estimate_is_unbiased_where_the_plug_in_is_not():
    a, p, m = related(seed=3), np.asarray([0.4, 0.3, 0.15, 0.1, 0.05]), 5
    truth = p @ a @ p
    counts = np.random.default_rng(0).multinomial(m, p, size=40_000).T
    found = consistency(a, counts, np.full(5, 100))
    error = found.unbiased.std() / np.sqrt(counts.shape[1])
    assert found.unbiased.mean() == pytest.approx(truth, abs=4 * error)
    assert found.plug_in.mean() == pytest.approx(truth * (1 - 1 / m) + 1 / m, abs=4 * error)
    assert found.plug_in.mean() - truth > 50 * error


def test_the_null_is_the_mean_over_every_shuffle_of_the_labels():
    a, labels = related(3), np.asarray([0, 0, 1, 2, 2, 2, 1])
    images = np.bincount(labels)
    for m in (2, 3, 5):
        chosen = [labels[list(one)] for one in itertools.combinations(range(len(labels)), m)]
        counts = np.stack([np.bincount(one, minlength=3) for one in chosen], axis=1)
        found = consistency(a, counts, images)
        assert found.unbiased.mean() == pytest.approx(found.null, abs=1e-12)
        assert found.excess.mean() == pytest.approx(0.0, abs=1e-12)
        # The plug-in of units that know nothing depends on m.
        assert found.plug_in.mean() == pytest.approx(found.null * (1 - 1 / m) + 1 / m, abs=1e-12)


def test_the_order_of_the_labels_is_of_no_meaning():
    a, rng = related(), np.random.default_rng(0)
    counts, order = rng.integers(0, 6, (5, 8)), rng.permutation(5)
    images = counts.max(axis=1) + 10
    first, second = consistency(a, counts, images), consistency(a[np.ix_(order, order)], counts[order], images[order])
    np.testing.assert_allclose(first.unbiased, second.unbiased)
    assert first.null == pytest.approx(second.null)


def test_units_with_fewer_than_two_images_have_no_consistency():
    found = consistency(related(2), np.asarray([[0, 1, 2], [0, 0, 0]]), np.asarray([5, 5]))
    np.testing.assert_array_equal(found.active, [0, 1, 2])
    np.testing.assert_array_equal(found.unbiased, [np.nan, np.nan, 1.0])
    np.testing.assert_array_equal(found.plug_in, [np.nan, np.nan, 1.0])


def test_normalized_is_one_for_one_label():
    found = consistency(related(2), np.asarray([[3, 1], [0, 1]]), np.asarray([5, 5]))
    assert found.normalized[0] == pytest.approx(1.0)
    assert found.normalized[1] < 0.0 < found.null < 1.0


@pytest.mark.parametrize(("kernel", "expected"), [("gauss", np.exp(-9 / 8)), ("laplace", np.exp(-1.5))])
def test_correlation_is_its_formula(kernel, expected):
    found = correlation(np.asarray([[0, 3], [3, 0]]), 2.0, kernel)
    np.testing.assert_allclose(found, [[1.0, expected], [expected, 1.0]])


def test_the_interval_is_a_jackknife_over_blocks():
    a, rng = related(), np.random.default_rng(0)
    counts, images = rng.integers(0, 4, (6, 5, 7)), rng.integers(4, 9, (6, 5))

    def mean(kept):
        return consistency(a, counts[kept].sum(axis=0), images[kept].sum(axis=0)).excess.mean()

    without = np.asarray([mean(np.arange(6) != block) for block in range(6)])
    error = np.sqrt(5 / 6 * np.square(without - without.mean()).sum())
    low, high = excess_interval(a, counts, images)
    assert (high + low) / 2 == pytest.approx(mean(np.arange(6)))
    assert (high - low) / 2 == pytest.approx(2.5706 * error, rel=1e-4)


def test_blocks_without_images_are_none():
    a, rng = related(), np.random.default_rng(0)
    counts, images = rng.integers(1, 4, (3, 5, 7)), rng.integers(4, 9, (3, 5))
    empty = np.zeros((7, 5, 7), np.int64)
    expected = excess_interval(a, counts, images)
    assert excess_interval(a, np.concatenate([counts, empty]), np.concatenate([images, empty[..., 0]])) == expected


@pytest.mark.parametrize("kernel", ["gauss", "laplace"])
def test_a_sigma_at_the_end_of_the_scale_is_a_limit(kernel):
    apart = np.asarray([[0, 3], [3, 0]])
    assert correlation(apart, 1e-200, kernel).tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert correlation(apart, 1e300, kernel).tolist() == [[1.0, 1.0], [1.0, 1.0]]


def test_the_interval_covers_what_other_images_would_give():
    """Units that respond to noise share their images: the true excess is 0 in every draw."""
    a, rng = related(4), np.random.default_rng(0)
    covered = 0
    for _ in range(200):
        labels, blocks = rng.integers(0, 4, 400), rng.integers(0, 10, 400)
        common = rng.normal(size=(400, 1))
        active = common + rng.normal(size=(400, 12)) > 2.5
        counts = np.zeros((10, 4, 12), int)
        np.add.at(counts, (blocks, labels), active)
        images = np.zeros((10, 4), int)
        np.add.at(images, (blocks, labels), 1)
        low, high = excess_interval(a, counts, images)
        covered += low <= 0.0 <= high
    assert covered >= 180


# Thresholds and counts


def test_a_threshold_leaves_the_share_above_it():
    held = torch.rand(200, 3, generator=torch.Generator().manual_seed(0))
    found = thresholds_of(held, (0.005, 0.01, 0.05, 0.333))
    assert (held[None] > found[:, None]).sum(dim=1).tolist() == [[1] * 3, [2] * 3, [10] * 3, [66] * 3]
    # Of equally strong images none is chosen over another.
    assert thresholds_of(torch.ones(50, 1), (0.1,)).tolist() == [[1.0]]


@pytest.mark.parametrize("requantile", [False, True])
def test_every_number_is_a_literal_count(requantile):
    data, model = noise(), Units([[1, 0, 0], [0, 1, -1], [-1, -1, 2]]).eval()
    found = measured(Subject(model, data), quantile=0.3, epsilon="2/255", sigma=2.0, requantile=requantile)
    images = data.images.gather(torch.arange(120)).float() / 255.0
    moved = fgsm(model, images, torch.as_tensor(data.labels), torch.Generator(), epsilon=2 / 255)
    natural, adversarial = (features(model, one, "unit").detach().amax(dim=(2, 3)) for one in (images, moved))
    a = np.exp(-np.square(APART) / 8.0)
    reference = {"natural": natural, "adversarial": adversarial if requantile else natural}
    for kind, strength in (("natural", natural), ("adversarial", adversarial)):
        means = []
        for unit in range(3):
            threshold = sorted(reference[kind][:, unit].tolist())[-37]
            labels = [data.labels[i] for i in range(120) if strength[i, unit] > threshold]
            pairs = [a[one, other] for one, other in itertools.permutations(labels, 2)]
            row = at(found.details, images=kind, unit=unit)
            assert row["activated"] == len(labels)
            assert row["threshold"] == pytest.approx(threshold)
            assert row["consistency"] == pytest.approx(np.mean(pairs))
            assert row["plug_in"] == pytest.approx(np.mean([a[i, j] for i in labels for j in labels]))
            commonest = np.bincount(labels, minlength=4)
            assert (row["top_label"], row["top_share"]) == (str(commonest.argmax()), commonest.max() / len(labels))
            means.append(np.mean(pairs))
        row = at(found.table, images=kind, quantile="0.3")
        null = np.mean([a[i, j] for i, j in itertools.permutations(data.labels, 2)])
        assert row[["n", "n_units", "n_dead"]].tolist() == [120, 3, 0]
        assert row["null"] == pytest.approx(null)
        assert row["consistency"] == pytest.approx(np.mean(means))
        assert row["excess"] == pytest.approx(np.mean(means) - null)
        assert row["low"] < row["excess"] < row["high"]
    same = np.array_equal(*(found.details.loc[found.details["images"] == one, "threshold"] for one in reference))
    assert same != requantile


def test_adversarial_images_count_with_their_own_labels_at_the_thresholds_of_the_natural_ones():
    """Two gray levels; FGSM lifts or lowers all pixels, so which images pass the threshold is known by hand."""
    pixels = np.repeat(np.asarray([60, 100, 140, 180], np.uint8), 6)[:, None, None, None].repeat(3, axis=3)
    data = labeled(pixels, np.arange(24) // 6)
    model = Units([[1 / 3, 1 / 3, 1 / 3]])
    with torch.no_grad():  # answers 0 below a mean of .5 and 1 above: FGSM moves every image toward .5, and beyond
        model.head.weight.copy_(torch.tensor([[-1.0], [1.0], [0.0], [0.0]]))
        model.head.bias.copy_(torch.tensor([0.5, -0.5, -9.0, -9.0]))
    found = measured(Subject(model, data), quantile=0.5, epsilon=100 / 255)
    natural, adversarial = (at(found.details, images=kind, unit=0) for kind in ("natural", "adversarial"))
    assert natural["threshold"] == adversarial["threshold"] == pytest.approx(100 / 255)
    assert natural["activated"] == 12  # 140 and 180
    # 60 -> 160 and 100 -> 200 pass, 140 -> 40 and 180 -> 80 do not.
    assert adversarial["activated"] == 12
    assert adversarial["top_label"] == "0"
    assert adversarial["consistency"] == pytest.approx((5 + 6 * np.exp(-(APART[0, 1] ** 2) / 8)) / 11)


def test_a_linear_unit_on_gaussian_clusters_is_as_in_closed_form():
    """P(active | label) = Phi((w mu - T) / (s |w|)); more images than thresholds are read off."""
    rng = np.random.default_rng(0)
    centers = np.asarray([[0.35, 0.5, 0.5], [0.5, 0.6, 0.4], [0.6, 0.45, 0.55], [0.55, 0.35, 0.65]])
    labels, s = np.arange(24_000) % 4, 0.1
    values = centers[labels] + s * rng.normal(size=(len(labels), 3))
    data = labeled(np.rint(values.clip(0, 1) * 255).astype(np.uint8)[:, None, None], labels)
    weights = np.asarray([[1.0, 0.13, 0.07], [-1.0, 1.1, 0.53], [0.31, -0.8, 0.23]])  # no two images tie
    found = measured(
        Subject(Units(weights), data), quantile=0.05, sigma=4.0, kernel="laplace", adversarial=False, images=24_000
    )
    a = np.exp(-APART / 4.0)
    for unit, w in enumerate(weights):
        row = found.details.iloc[unit]
        p = norm.cdf((centers @ w - row["threshold"]) / (s * np.linalg.norm(w)))
        assert row["activated"] == pytest.approx(6_000 * p.sum(), rel=0.12)
        p /= p.sum()
        assert row["consistency"] == pytest.approx(p @ a @ p, abs=0.02)
    assert at(found.table, quantile="0.05")["n"] == 24_000


def test_a_unit_that_responds_to_noise_is_at_the_null():
    rng = np.random.default_rng(1)
    labels = rng.choice(4, 4_000, p=[0.5, 0.3, 0.1, 0.1])
    pixels = np.zeros((4_000, 1, 1, 3), np.uint8)
    pixels[:, 0, 0, 0], pixels[:, 0, 0, 1] = 40 * labels, rng.integers(0, 256, 4_000)
    pixels[:, 0, 0, 2] = rng.integers(0, 256, 4_000)
    blind = Units(np.column_stack([np.zeros(20), np.cos(np.arange(20)), np.sin(np.arange(20))]))
    row = at(measured(Subject(blind, labeled(pixels, labels)), quantile=0.05, adversarial=False).table, quantile="0.05")
    assert row["low"] < 0.0 < row["high"]
    assert abs(row["excess"]) < 0.01 < row["plug_in"] - row["consistency"] + 0.01
    sees = measured(Subject(Units([[1.0, 0, 0]]), labeled(pixels, labels)), quantile=0.05, adversarial=False).table
    assert at(sees, quantile="act>0")["consistency"] < 1.0


def test_positive_activations_and_the_sweeps():
    data, model = noise(), Units([[1, 0, 0], [-1, 0, 0]], bias=[-0.9, 0.0])
    found = neuron_consistency(Subject(model, data), synsets=MEANT, adversarial=False, quantile=0.1)
    keys = found.table[["sigma", "quantile"]].values.tolist()
    assert keys == [[one, "0.1"] for one in (2.0, 1.0, 1.5, 2.5, 4.0)] + [
        [2.0, one] for one in ("0.005", "0.05", "act>0")
    ]
    positive = at(found.table, quantile="act>0")
    brightest = data.images.gather(torch.arange(120))[:, 0].flatten(1).amax(dim=1)
    # The second unit is above 0 on no image, the first where a pixel is brighter than .9.
    assert positive[["n_units", "n_dead", "activated"]].tolist() == [1, 1, int((brightest > 0.9 * 255).sum())]
    # Further labels count the more, the wider sigma is.
    assert found.table[:5].sort_values("sigma")["consistency"].is_monotonic_increasing


def test_a_quantile_that_is_given_twice_is_one_row():
    found = measured(Subject(Units([[1, 0, 0]]), noise()), quantiles=(0.5, 0.1, 0.5), quantile=0.1, adversarial=False)
    assert not found.table.duplicated(["images", "sigma", "quantile"]).any()


def test_labels_of_one_noun_say_nothing():
    same = dict.fromkeys(MEANT, "dog.n.01")
    found = neuron_consistency(Subject(Units([[1, 0, 0]]), noise()), synsets=same, adversarial=False, quantile=0.1)
    assert "All labels are the same noun: consistency is 1 whatever a unit responds to." in found.notes


def test_dead_units_are_counted_and_left_out():
    # A unit that is 0 on every image never exceeds its own quantile.
    found = measured(Subject(Units([[1, 0, 0], [0, 0, 0]]), noise()), quantile=0.1, adversarial=False)
    row = at(found.table, quantile="0.1")
    assert row[["n_units", "n_dead", "activated"]].tolist() == [1, 1, 12]
    assert row["consistency"] == found.details["consistency"][0]
    assert np.isnan(found.details["consistency"][1])
    assert found.details["top_label"].tolist()[1] == ""
    assert "On natural images 1 of 2 units are activated by fewer than two, and left out." in found.notes


def test_too_few_images_give_no_number_and_say_so():
    found = measured(Subject(Units([[1, 0.13, 0.07]]), noise()), quantile=0.01, adversarial=False)
    assert found.details["activated"].tolist() == [1]
    row = at(found.table, quantile="0.01")
    assert row[["n", "n_units", "n_dead"]].tolist() == [120, 0, 1]
    assert row[["activated", "consistency", "plug_in", "excess", "low", "high", "normalized"]].isna().all()
    assert any("1 per unit: too few for any consistency" in note for note in found.notes)


def test_what_is_held_does_not_grow_with_the_images(monkeypatch):
    seen = []

    def spied(held, shares):
        seen.append(len(held))
        return thresholds_of(held, shares)

    monkeypatch.setattr(_activation, "REFERENCE", 512)
    monkeypatch.setattr(_activation, "thresholds_of", spied)
    data = noise(3_000, side=1)
    subject = Subject(Units([[1, 0, 0], [0, 1, 0]]), data)
    for images in (512, 1_000, 3_000):
        found = measured(subject, quantile=0.1, images=images)
        assert at(found.table, images="natural", quantile="0.1")["n"] == images
    assert seen == [512, 512, 512]  # the adversarial images are counted at these thresholds
    natural = found.details[found.details["images"] == "natural"]
    assert natural["activated"].between(200, 400).all()  # .1 of 3,000, at thresholds from 512
    # Images that stand in the order of their brightness: the first 512 would give a threshold below all others.
    ordered = np.sort(data.images.gather(torch.arange(3_000)).flatten(1)[:, 0].numpy())
    dark_first = labeled(ordered[:, None, None, None].repeat(3, axis=3), np.arange(3_000) % 4)
    found = measured(Subject(Units([[1, 0, 0]]), dark_first), quantile=0.1, adversarial=False)
    assert 200 < found.details["activated"][0] < 400
    found = _activation.activity(subject, "unit", data.rows("test"), (0.1,))
    assert found.counts.shape == (2, _activation.BLOCKS, 4, 2)
    assert found.images.sum() == 3_000


def test_the_default_layer_is_the_last_map_behind_its_relu():
    with scoped(0):
        net = resnet_small(4, width=4).eval()
    found = measured(Subject(net, noise(side=8)), quantile=0.1, adversarial=False)
    assert found.notes[0] == "The units are the 16 channels of layer net.layer3."
    assert (found.details["threshold"] >= 0).all()
    assert measured(Subject(net, noise(side=8)), quantile=0.1, adversarial=False, layer="layer1").notes[0] == (
        "The units are the 4 channels of layer net.layer1."
    )
    # A linear layer has units as well.
    assert "4 channels of layer net.fc" in measured(Subject(net, noise(side=8)), layer="fc", adversarial=False).notes[0]


# Bad input


def test_a_layer_that_does_not_exist_names_the_nearest():
    with pytest.raises(UnknownName, match="no layer 'unti'; nearest: unit"):
        measured(Subject(Units([[1, 0, 0]]), noise()), layer="unti")


def test_labels_without_a_synset_name_the_option():
    with pytest.raises(DataError, match=r"label '0' .* with the option synsets=\{"):
        neuron_consistency(Subject(Units([[1, 0, 0]]), noise()))
    with pytest.raises(SpecError, match="'5', which is no class"):
        neuron_consistency(Subject(Units([[1, 0, 0]]), noise()), synsets={**MEANT, "5": "dog.n.01"})


def test_one_label_alone_has_no_consistency():
    data = labeled(np.zeros((20, 2, 2, 3), np.uint8), [1] * 20)
    with pytest.raises(DataError, match="test images have one label"):
        measured(Subject(Units([[1, 0, 0]]), data))


def test_layers_without_units_are_refused():
    tokens = nn.Sequential(
        OrderedDict(conv=nn.Conv2d(3, 2, 1), flat=nn.Flatten(2), rest=nn.Flatten(), head=nn.Linear(32, 4))
    )
    with pytest.raises(UnsupportedModel, match=r"layer 'flat' gives \(120, 2, 16\)"):
        measured(Subject(tokens, noise()), layer="flat")
    broken = Units([[float("nan"), 0, 0]])
    with pytest.raises(UnsupportedModel, match="NaN"):
        measured(Subject(broken, noise()), adversarial=False)
    with pytest.raises(UnsupportedModel, match="no convolutional layer"):
        measured(Subject(nn.Sequential(nn.Flatten(), nn.Linear(48, 4)), noise()))


def test_an_audit_keeps_the_reason():
    found = bk.audit(testing.reads("label"), testing.tiny(), analyzers=["neuron_consistency"], device="cpu")
    # With WordNet or without it, the remedy is named.
    assert "with the option synsets=" in found.failed["neuron_consistency"]


# Results: details, files and histograms


def test_a_stored_result_comes_back_with_its_units(tmp_path):
    found = measured(Subject(Units([[1, 0, 0], [0, 0, 0]]), noise()), quantile=0.1)
    stem = tmp_path / "analyses" / "neuron_consistency-1"
    _write(stem, found)
    again = _read(stem, "neuron_consistency")
    pd.testing.assert_frame_equal(again.details, found.details)
    pd.testing.assert_frame_equal(again.table, found.table)
    bare = bk.Result("a", found.table, found.columns)
    _write(tmp_path / "analyses" / "a-1", bare)
    assert _read(tmp_path / "analyses" / "a-1", "a").details is None


@pytest.fixture(scope="module")
def compared():
    with at_home(shared_home()):
        wanted = {"neuron_consistency": {"quantile": 0.05, "images": 400}}
        return bk.compare(["plain", "aug"], small(), seeds=2, analyzers=wanted)


def test_a_comparison_writes_every_unit_of_every_run(compared, tmp_path):
    table = pd.read_csv(compared.save(tmp_path / "out") / "tables" / "neuron_consistency_units.csv")
    assert list(table.columns[:4]) == ["arm", "seed", "images", "unit"]
    # width 4: the last block has 16 channels; 2 arms, 2 seeds, natural and adversarial
    assert len(table) == 16 * 2 * 2 * 2
    assert not table.duplicated(["arm", "seed", "images", "unit"]).any()
    one = next(iter(compared.audits.values()))
    assert len(one.tables()["neuron_consistency_units"]) == 16 * 2


def test_histograms_are_drawn_from_the_result_alone(compared):
    (analysis,) = (one for one in compared.result["analyses"] if one["analyzer"] == "neuron_consistency")
    units = pd.concat(
        [one.results["neuron_consistency"].details.assign(arm=arm) for (arm, _), one in compared.audits.items()]
    )
    assert {one["measure"] for one in analysis["histograms"]} == {"consistency", "excess"}
    edges = {tuple(one["edges"]) for one in analysis["histograms"] if one["measure"] == "consistency"}
    assert len(edges) == 1  # the same bins for every arm
    for one in analysis["histograms"]:
        own = units[(units["arm"] == one["arm"]) & (units["images"] == one["images"])][one["measure"]].dropna()
        assert one["n"] == sum(one["counts"]) == len(own)
        if len(own):
            assert one["mean"] == pytest.approx(own.mean())
    panels = histograms(compared.result, analysis)
    assert [panel.name for panel in panels] == ["natural", "adversarial"]
    for panel in panels:
        drawing = ElementTree.fromstring(panel.svg)
        words = " ".join(drawing.itertext())
        assert "plain, n" in words
        assert "aug, n" in words
        assert "nan" not in panel.svg
    assert "all seeds together" in histograms_caption(compared.result, analysis)
    older = {key: value for key, value in analysis.items() if key != "histograms"}
    assert histograms(compared.result, older) == []
    assert histograms_caption(compared.result, older) == ""
