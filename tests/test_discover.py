"""Slices that nobody named: clusters within labels, found on one half of the images and told on the other."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import fisher_exact
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score
from torch import nn
from torch.nn import functional as F

import biaskit as bk
from biaskit import testing
from biaskit.analyzers import discover
from biaskit.analyzers._slices import Slices, agreement, find_slices, halves, told, weakest
from biaskit.errors import SpecError, UnknownName, UnsupportedModel
from biaskit.stats import attribute_gap, holm, newcombe, wilson
from biaskit.subject import Subject
from biaskit.taggers import clusters
from biaskit.taggers._embedding import Embedding
from biaskit.taggers._partition import Partition, partition

CORRELATED = ['builder.0.regime="correlated"', "builder.0.train=[0.95]", "builder.0.test=[0.5]"]


@pytest.fixture(scope="module")
def digits():
    """The embedded digits whose color goes with the label in train, and is half and half in test."""
    return bk.build("colordigits", set=CORRELATED)


class ReadsColor(nn.Module):
    """Answers 0 to 4 on red and 5 to 9 on blue, by the shape among these; what goes into its head is both, mixed."""

    def __init__(self, data):
        super().__init__()
        train = data.rows("train")
        shapes = self.shape(data.images.gather(torch.from_numpy(train)).float() / 255).numpy()
        fitted = LogisticRegression(max_iter=500).fit(shapes, data.labels[train])
        rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(32, 17)))[0]
        sides = np.repeat([20.0, -20.0], 5)[:, None]
        self.mix, self.head = nn.Linear(17, 32, bias=False), nn.Linear(32, 10)
        with torch.no_grad():
            self.mix.weight.copy_(torch.from_numpy(rotation))
            self.head.weight.copy_(torch.from_numpy(np.concatenate([sides, fitted.coef_], axis=1) @ rotation.T))
            self.head.bias.copy_(torch.from_numpy(fitted.intercept_))

    @staticmethod
    def shape(images):
        # Green is in the digit alone, whatever the color around it.
        return F.adaptive_avg_pool2d(images[:, 1:2], 4).flatten(1)

    def forward(self, images):
        color = images[:, 0].mean(dim=(1, 2)) - images[:, 2].mean(dim=(1, 2))
        return self.head(self.mix(torch.cat([color[:, None], self.shape(images)], dim=1)))


class Thirds:
    """Divides a line at two places, whatever the points."""

    number = 3

    def assign(self, points):
        return np.clip((points[:, 0] * 3).astype(np.int64), 0, 2)


# The statistics


def test_halves_are_of_every_label():
    labels = np.repeat([0, 1, 2], [9, 4, 1])
    held = halves(labels)
    assert [int(held[labels == one].sum()) for one in range(3)] == [4, 2, 0]
    np.testing.assert_array_equal(held, halves(labels))


def test_the_slice_that_was_worst_where_it_was_found_comes_first():
    labels, held = np.zeros(600, np.int64), halves(np.zeros(600, np.int64))
    points = np.tile([0.1, 0.5, 0.9], 200)[:, None].astype(np.float32)
    # Where slices are found the middle is worst; on the held-out images it is best.
    worst = np.where(held, 0.1, 0.5)
    right = ~np.isclose(points[:, 0], worst, atol=0.01)
    found = find_slices(points, labels, right, 2, lambda *_: Thirds())
    assert found.number.tolist() == [3, 0]
    assert set(found.place[points[:, 0] == 0.5]) == {0}
    rows = told(found)
    assert [one.place for one in rows] == [0, 1, 2]
    assert (rows[0].found, rows[0].accuracy) == (0.0, 1.0)
    assert [one.proposed for one in rows] == [True, False, False]
    assert np.isnan([one.p for one in rows[1:]]).all()


def test_slices_are_made_without_the_held_out_images():
    labels, points = np.repeat([0, 1], 30), np.arange(60.0)[:, None]
    seen = []
    find_slices(points, labels, labels == 0, 2, lambda own, label: seen.append((label, own[:, 0])) or Partition(1))
    held = halves(labels)
    assert [label for label, _ in seen] == [0, 1]
    np.testing.assert_array_equal(np.concatenate([own for _, own in seen]), points[~held, 0])


def counted(table):
    """Slices from counts: (label, place, held) -> (right, wrong)."""
    parts = [
        (label, place, held, answer)
        for (label, place, held), both in table.items()
        for answer, count in zip((True, False), both, strict=True)
        for _ in range(count)
    ]
    label, place, held, right = (np.asarray(one) for one in zip(*parts, strict=True))
    number = np.bincount(np.unique(np.stack([label, place]), axis=1)[0], minlength=int(label.max()) + 1)
    return Slices(label, right.astype(bool), held.astype(bool), place, number)


TWO = {
    (0, 0, False): (10, 20), (0, 1, False): (45, 5), (0, 0, True): (12, 18), (0, 1, True): (44, 6),
    (1, 0, False): (20, 10), (1, 1, False): (28, 2), (1, 0, True): (22, 8), (1, 1, True): (27, 3),
}  # fmt: skip


def test_slices_are_told_by_the_formulas():
    rows = told(counted(TWO))
    fisher = [fisher_exact([[12, 18], [44, 6]]).pvalue, fisher_exact([[22, 8], [27, 3]]).pvalue]
    assert [one.p for one in rows if one.proposed] == pytest.approx(holm(fisher))
    first = rows[0]
    assert (first.n, first.n_rest, first.n_found) == (30, 50, 30)
    assert (first.accuracy, first.rest, first.found) == (0.4, 0.88, pytest.approx(1 / 3))
    assert (first.low, first.high) == pytest.approx(wilson(12, 30))
    assert first.difference == pytest.approx(-0.48)
    ends = newcombe(0.4, wilson(12, 30), 0.88, wilson(44, 50))
    assert (first.difference_low, first.difference_high) == pytest.approx(ends)


def test_all_labels_are_put_together_at_the_same_mix():
    found = weakest(counted(TWO))
    gap = attribute_gap([[12, 44], [22, 27]], [[30, 50], [30, 30]])
    assert found.gap.estimate == gap.estimate
    # Labels are 80 and 60 of 140 held-out images.
    assert found.gap.rates.tolist() == pytest.approx(
        [(80 * 12 / 30 + 60 * 22 / 30) / 140, (80 * 44 / 50 + 60 * 27 / 30) / 140]
    )
    assert (found.n, found.n_rest, found.n_found) == (60, 80, 60)
    assert found.found == pytest.approx((80 * 10 / 30 + 60 * 20 / 30) / 140)
    assert found.p < 0.01


def test_an_undivided_label_says_nothing():
    found = counted({(0, 0, False): (3, 1), (0, 0, True): (2, 1)})
    (row,) = told(found)
    assert (row.n, row.n_rest) == (3, 0)
    assert np.isnan([row.rest, row.difference, row.difference_low, row.p]).all()
    whole = weakest(found)
    assert (whole.n, whole.n_found) == (0, 0)
    assert np.isnan([whole.gap.estimate, whole.p, whole.found]).all()
    assert np.isnan(agreement(found, np.zeros(7, np.int64), 0))


def test_a_slice_without_held_out_images_stays_in_the_family():
    rows = told(counted({**TWO, (2, 0, False): (1, 9), (2, 1, False): (9, 1), (2, 1, True): (5, 5)}))
    asked = [one for one in rows if one.proposed]
    assert [one.n for one in asked] == [30, 30, 0]
    fisher = [fisher_exact([[12, 18], [44, 6]]).pvalue, fisher_exact([[22, 8], [27, 3]]).pvalue, np.nan]
    np.testing.assert_allclose([one.p for one in asked], holm(fisher))


def test_slices_of_noise_are_no_worse_on_held_out_images():
    """A model that is right on 80 % of the images whatever they are: what was found worst was so by chance."""
    generator = np.random.default_rng(0)
    before, after, false = [], [], 0
    for _ in range(200):
        labels = np.repeat(np.arange(4), 60)
        right = generator.random(240) < 0.8
        found = find_slices(generator.random((240, 1)), labels, right, 4, lambda *_: Thirds())
        rows = told(found)
        before += [one.found - one.found_rest for one in rows if one.place == 0]
        after += [one.difference for one in rows if one.place == 0]
        false += any(one.p <= 0.05 for one in rows)
    assert np.mean(before) < -0.1, "the half that finds them overstates"
    assert abs(np.nanmean(after)) < 0.02
    assert false / 200 <= 0.08


def test_agreement_is_the_adjusted_rand_index_of_held_out_images():
    found = counted(TWO)
    values = np.random.default_rng(0).integers(0, 2, len(found.labels))
    mine = found.held & (found.labels == 0)
    assert agreement(found, values, 0) == pytest.approx(adjusted_rand_score(values[mine], found.place[mine]))
    assert agreement(found, 1 - found.place, 1) == 1.0


# Clusters


def blobs(sizes, seed=0, apart=8.0):
    centers = np.eye(len(sizes), 5) * apart
    return np.repeat(centers, sizes, axis=0) + np.random.default_rng(seed).normal(size=(sum(sizes), 5))


@pytest.mark.parametrize("method", ["kmeans", "gaussian"])
def test_the_number_of_clusters_is_found(method):
    for sizes in ([80, 40], [80, 60, 40], [50, 40, 30, 20]):
        found = partition(blobs(sizes), method=method)
        assert found.number == len(sizes)
        codes = found.assign(blobs(sizes, seed=1))
        np.testing.assert_array_equal(codes, np.repeat(np.arange(len(sizes)), sizes))  # the largest first
    assert partition(blobs([100]), method="gaussian").number == 1


def test_the_number_of_clusters_is_limited():
    assert partition(blobs([80, 60, 40]), number=2).number == 2
    assert partition(blobs([80, 60, 40]), most=2).number == 2
    assert partition(blobs([20, 10]), number=5).number == 3, "one for ten points"
    assert partition(blobs([10, 9])).number == 1
    assert partition(np.ones((50, 3))).number == 1
    assert partition(np.repeat([[0.0], [1.0]], 40, axis=0), number=4).number == 2, "two places make two clusters"
    assert Partition(1).assign(np.ones((3, 2))).tolist() == [0, 0, 0]


def test_features_that_do_not_vary_change_nothing():
    points = blobs([60, 40]).astype(np.float32)
    noise = 5 + 1e-7 * np.random.default_rng(2).normal(size=(100, 40))
    more = np.concatenate([points, noise.astype(np.float32)], axis=1)
    np.testing.assert_array_equal(partition(points).assign(points), partition(more).assign(more))


def test_clusters_are_one_value_per_row_and_can_be_an_attribute():
    digits = bk.build("colordigits", set=[*CORRELATED, "builder.0.train=[0.75]"])
    subject, state = Subject(ReadsColor(digits), digits), torch.get_rng_state()
    found = clusters(subject, number=2)
    assert torch.equal(torch.get_rng_state(), state)
    pd.testing.assert_series_equal(found, clusters(subject, number=2))
    assert (found.name, len(found)) == ("clusters", len(digits))
    assert list(found.cat.categories) == ["1", "2"]
    assert isinstance(found.index, pd.RangeIndex)
    colors = digits.table["color"]
    for label in digits.classes:
        mine = (digits.table["label"] == label).to_numpy()
        assert adjusted_rand_score(colors[mine], found[mine]) > 0.95, label
        # In train three of four have the color that goes with the label: that is the larger cluster.
        train = mine & (digits.table["split"] == "train").to_numpy()
        assert set(colors[train & (found == "1").to_numpy()]) == {"red" if int(label) < 5 else "blue"}
    as_attribute = digits.replace(table=digits.table.assign(cluster=found), group_by=("cluster",))
    assert len(as_attribute.groups) == 20


def test_clusters_are_made_from_train_and_all_rows_are_sorted_into_them():
    data = testing.tiny(per_group=20, train=(1.0, 0.0))
    model = testing.reads("background")
    # All of train is red: alike to the model, so that no cluster is made, and what is blue in test goes into the one.
    assert set(clusters(Subject(model, data), layer="logits")) == {"1"}
    only = bk.Dataset.from_arrays(data.images.gather(torch.arange(len(data))).numpy(), data.labels)
    assert set(clusters(Subject(model, only), layer="logits")) == {"1", "2"}, "without train of any rows"


def test_clusters_of_a_label_that_train_lacks():
    data = testing.tiny(per_group=20)
    table = data.table.copy()
    table.loc[data.rows("train"), "label"] = "left"
    found = clusters(Subject(testing.reads("background"), data.replace(table=table)), layer="logits", number=2)
    assert set(found[table["label"] == "right"]) == {"1"}
    assert set(found[table["label"] == "left"]) == {"1", "2"}


# The space


def test_what_goes_into_the_head_a_layer_and_the_answers():
    data, model = testing.tiny(), nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 2))
    subject, rows = Subject(model, data), data.rows("test")
    images = data.images.gather(torch.from_numpy(rows)).float() / 255
    with torch.no_grad():
        maps, answers = model[0](images), model(images)
    np.testing.assert_allclose(Embedding.of(subject).array(rows), maps.flatten(1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(Embedding.of(subject, "0").array(rows), maps.mean(dim=(2, 3)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(Embedding.of(subject, "logits").array(rows), answers, rtol=1e-5, atol=1e-6)
    assert Embedding.of(subject).about == "what goes into 2"


def test_a_model_without_a_head_can_be_asked_for_its_answers():
    subject = Subject(testing.reads("background"), testing.tiny())
    with pytest.raises(UnsupportedModel, match='take its answers with layer = "logits"'):
        discover(subject)
    with pytest.raises(UnknownName, match="no layer 'body'"):
        discover(Subject(nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), testing.tiny()), layer="body")
    assert len(discover(subject, layer="logits").table) == 3


# The analyzer


def test_the_table_of_a_model_that_reads_the_background():
    data = testing.tiny(per_group=20)
    result = discover(Subject(testing.reads("background"), data), layer="logits", number=2)
    table = result.table.set_index(["label", "slice"])
    rows = data.rows("test")
    held = halves(data.labels[rows])
    frame = data.table.iloc[rows][held]
    n = frame.groupby(["label", "color"], observed=True).size()
    for label, wrong, right in (("left", "blue", "red"), ("right", "red", "blue")):
        first, second = table.loc[(label, 1)], table.loc[(label, 2)]
        assert (first["n"], first["n_rest"]) == (n[label, wrong], n[label, right])
        assert (first["accuracy"], first["rest"], first["difference"]) == (0.0, 1.0, -1.0)
        assert (second["accuracy"], second["difference"]) == (1.0, 1.0)
        assert first["mostly"] == f"color {wrong} (100 %)"
        assert first["ari_color"] == second["ari_color"] == 1.0
        assert first["p"] < 0.001
        assert np.isnan(second["p"])
    whole = table.loc[("all", 1)]
    assert (whole["n"] + whole["n_rest"], whole["accuracy"], whole["difference"]) == (40, 0.0, -1.0)
    assert whole["difference_high"] < -0.6
    assert whole["p"] <= 0.001
    assert result.samples["row"].tolist() == rows[held].tolist()
    assert (result.samples["correct"] == (result.samples["slice"] == 2)).all()
    assert "2 of 4 slices are below" in result.notes[1]
    assert "on the held-out images 2 of these are" in result.notes[1]


def test_a_model_that_is_right_everywhere_has_no_weak_slice():
    result = discover(Subject(testing.reads("label"), testing.tiny(per_group=20)), layer="logits", number=2)
    assert result.table["p"].iloc[1:].isna().all()
    assert not result.pictures
    assert set(result.table["accuracy"].dropna()) == {1.0}


def test_the_color_is_found_where_nobody_labelled_it(digits):
    """Half of the test digits have the other color: a model that reads it is wrong on these, and no label says why."""
    hidden = digits.replace(table=digits.table.drop(columns="color"), group_by=())
    result = discover(Subject(ReadsColor(digits), hidden), pictures=2, shown=4)
    assert "mostly" in result.table
    assert not [one for one in result.table if one.startswith("ari_")]
    told_of = discover(Subject(ReadsColor(digits), digits), number=2)
    table = told_of.table
    assert (table["ari_color"] > 0.95).all()
    assert table["difference"].iloc[0] < -0.7
    assert table["p"].iloc[0] <= 0.001
    wrong = table[(table["slice"] == 1) & (table["label"] != "all")].set_index("label")["mostly"]
    for label in digits.classes:
        assert wrong[label].startswith("color blue" if int(label) < 5 else "color red"), label
    assert any(note.startswith("The slices and color: adjusted Rand index 1.00") for note in told_of.notes)
    assert result.table["difference"].iloc[0] < -0.5


def test_the_color_is_found_in_a_trained_network(digits):
    run = bk.train("plain", digits, seed=0, set=["stage.0.epochs=1"])
    result = bk.audit(run, digits, analyzers={"discover": {"number": 2}})["discover"]
    whole = result.table.iloc[0]
    assert whole["ari_color"] > 0.6
    assert whole["difference_high"] < 0
    assert whole["p"] <= 0.01


def test_pictures_show_held_out_images_of_the_slice_and_of_the_rest():
    data = testing.tiny(per_group=20)
    result = discover(Subject(testing.reads("background"), data), layer="logits", number=2, pictures=1, shown=3)
    (one,) = result.pictures
    assert one.figure == "slices"
    assert one.caption in (
        "label left, slice 1: 0 % right, 100 % in the rest of the label, below; color blue (100 %)",
        "label right, slice 1: 0 % right, 100 % in the rest of the label, below; color red (100 %)",
    )
    assert one.pixels.shape == (2 * 96 + 4, 3 * 96 + 2 * 4, 3)
    above, below = one.pixels[0, 0], one.pixels[-1, 0]
    assert sorted([above.argmax(), below.argmax()]) == [0, 2], "one is on red and the other on blue"


def test_small_labels_are_not_divided_and_named():
    result = discover(Subject(testing.reads("background"), testing.tiny()), layer="logits")
    assert result.table["slice"].tolist() == [1, 1, 1]
    assert result.table["difference"].isna().all()
    assert result.notes[-1].startswith("Not divided: 2 of 2 labels (left, right), because fewer than 20")


def test_options_are_checked():
    subject = Subject(testing.reads("background"), testing.tiny())
    for wrong in ({"number": 1}, {"most": 1}, {"method": "dbscan"}, {"components": 0}):
        with pytest.raises(SpecError, match=next(iter(wrong))):
            discover(subject, layer="logits", **wrong)


def test_no_more_images_than_asked_for():
    subject = Subject(testing.reads("background"), testing.tiny(per_group=20))
    result = discover(subject, layer="logits", images=30)
    assert "on 1" in result.notes[0]
    assert len(result.samples) in (14, 15)
