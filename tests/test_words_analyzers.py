"""Features against words: models whose features are the words, other words, or noise."""

from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import nn

from biaskit import testing
from biaskit.analyzers import class_similarity, word_correlation
from biaskit.analyzers._class_similarity import mantel
from biaskit.data import Dataset
from biaskit.errors import DataError, SpecError
from biaskit.subject import Subject
from biaskit.words import wordnet_vectors

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
SYNSETS = ["airplane.n.01", "car.n.01", "bird.n.01", "cat.n.01", "deer.n.01", "dog.n.01", "frog.n.01", "horse.n.01",
           "ship.n.01", "truck.n.01"]  # fmt: skip


class Planted(nn.Module):
    """Features are a vector of the class, which the image shows as a gray value, and noise that hangs on its pixels."""

    def __init__(self, vectors, noise):
        super().__init__()
        self.vectors = torch.as_tensor(vectors, dtype=torch.float32)
        self.noise = noise
        self.head = nn.Linear(self.vectors.shape[1], 10)

    def forward(self, images):
        label = (images[:, 0, 0, 0] * 255 / 20).round().long().clamp(0, 9)
        speckle = (images[:, 1].flatten(1)[:, : self.vectors.shape[1]] - 0.5) * self.noise
        return self.head(self.vectors[label] + speckle)


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(10), 60)
    pixels = rng.integers(0, 256, (600, 8, 8, 3)).astype(np.uint8)
    pixels[:, 0, 0, 0] = labels * 20
    return Dataset.from_arrays(pixels, [NAMES[one] for one in labels], name="planted")


def planted(noise, order=None):
    vectors = wordnet_vectors(SYNSETS).vectors
    return Planted(vectors if order is None else vectors[order], noise)


def look(analyzer, model, data, **options):
    return analyzer(Subject(model, data), attack="none", images=600, **options)


def test_features_that_are_the_words_agree_with_them(data):
    found = look(class_similarity, planted(0.5), data, draws=999)
    row = found.table.iloc[0]
    assert row["spearman"] > 0.9
    assert row["p"] <= 0.005
    assert row["low"] > 0.8
    assert row["n_pairs"] == 45
    assert {one.column for one in found.pictures} == {"", "the words"}


def test_features_of_other_words_do_not(data):
    order = np.roll(np.arange(10), 3)
    row = look(class_similarity, planted(0.5, order), data, draws=999).table.iloc[0]
    assert row["p"] > 0.05


def test_separate_classes_are_not_taken_for_meaning(data):
    # Vectors as far from each other as can be: any words correlate with them.
    apart = Planted(np.eye(10), 0.3)
    found = look(word_correlation, apart, data, dimensions=9, draws=99)
    rows = found.table.set_index("words")
    assert rows.loc["the words", "first"] > 0.9
    assert rows.loc["permuted", "first"] > 0.9
    assert rows.loc["the words", "p"] > 0.05
    assert "no more by these words than by permuted ones" in found.notes[0]


def test_what_only_the_words_tell_is_meaning(data):
    # Features hold the two strongest dimensions of the words and much noise: permuted words fit them worse.
    centered = wordnet_vectors(SYNSETS).vectors
    centered = centered - centered.mean(axis=0)
    u, s, _ = np.linalg.svd(centered, full_matrices=False)
    model = Planted((u * s)[:, :2] * 2, 1.0)
    found = look(word_correlation, model, data, dimensions=2, word_dimensions=2, draws=99)
    row = found.table.iloc[0]
    assert row["excess"] > 0.1
    assert row["p"] <= 0.05
    assert "follow the meaning" in found.notes[0]


def test_noise_is_neither(data):
    found = look(word_correlation, planted(500.0), data, dimensions=8, draws=99)
    assert abs(found.table["first"].iloc[0]) < 0.2
    assert "neither" in found.notes[0]


def test_features_that_do_not_vary_have_no_p(data):
    model = planted(0.0)
    model.vectors = torch.ones(10, 10)
    found = look(word_correlation, model, data, dimensions=8, draws=19)
    assert found.table["words"].tolist() == ["the words", "permuted", "random", "one-hot"]
    assert found.table[["first", "low", "mean", "excess", "p"]].isna().all(axis=None)
    assert "do not vary" in found.notes[0]
    assert look(class_similarity, model, data, draws=99).table[["spearman", "p", "low"]].isna().all(axis=None)


def test_words_that_tell_all_classes_apart_say_nothing_of_meaning(data):
    for given in (0, 9, 99):
        found = look(word_correlation, planted(0.5), data, dimensions=9, word_dimensions=given, draws=19)
        rows = found.table.set_index("words")
        assert rows.loc["the words", "mean"] == pytest.approx(rows.loc["permuted", "mean"], abs=0.01)
        assert rows.loc["the words", ["excess", "p"]].isna().all()
        assert "of meaning nothing can be said" in found.notes[0]
        assert "all 9 dimensions" in found.notes[1]


def test_a_p_of_word_correlation_counts_all_maps(data):
    # Of the 24 maps of four labels two fit as well as the words do: they themselves, and one that swaps two alike.
    four = data.replace(table=data.table.assign(split=np.where(data.labels < 4, "test", "train")))
    row = look(word_correlation, planted(0.3), four, dimensions=1, word_dimensions=1, draws=499).table.iloc[0]
    assert row["mean"] > 0.9
    assert row["p"] == pytest.approx(2 / 24, abs=0.03)


def test_labels_without_images_are_left_out(data):
    few = data.replace(table=data.table.assign(split=np.where(data.labels < 5, "test", "train")))
    found = look(word_correlation, planted(0.5), few, dimensions=4, word_dimensions=2, draws=19)
    assert found.table["n"].tolist() == [300] * 4
    assert "2 of 4 dimensions" in found.notes[1]
    fewer = data.replace(table=data.table.assign(split=np.where(data.labels < 3, "test", "train")))
    with pytest.raises(DataError, match="labels with images are 3, too few"):
        look(word_correlation, planted(0.5), fewer, dimensions=4)


def test_one_image_of_a_label_has_no_interval(data):
    one = data.replace(table=data.table.assign(split=np.where(np.arange(600) % 60 == 0, "test", "train")))
    row = look(class_similarity, planted(0.0), one, draws=99).table.iloc[0]
    assert row["spearman"] == pytest.approx(1.0)
    assert np.isnan(row["low"])


def test_attacked_images_get_rows_of_their_own(data):
    small = nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.ReLU(), nn.Linear(16, 10))
    found = word_correlation(Subject(small, data), images=600, dimensions=8, draws=19, steps=2)
    assert found.table["images"].unique().tolist() == ["natural", "adversarial"]
    assert len(found.table) == 8


class Tower(nn.Module):
    """A model of features alone: no head, and a linear layer inside a block that sees tokens."""

    def __init__(self):
        super().__init__()
        self.inner, self.planted = nn.Linear(1, 3), planted(0.0)

    def forward(self, images):
        label = (images[:, 0, 0, 0] * 255 / 20).round().long().clamp(0, 9)
        return self.planted.vectors[label] + 0.0 * self.inner(images[:, :1].flatten(2).mT).sum()


def tower():
    return Tower()


def classifier():
    return planted(0.0)


@pytest.mark.parametrize(("made", "told"), [("tower", "what it gives"), ("classifier", "what enters 1.head")])
def test_another_model_stands_beside(data, made, told):
    spec = f"test_words_analyzers:{made}"
    found = look(class_similarity, planted(0.0), data, beside=spec, draws=99)
    row = found.table.set_index("against").loc[spec]
    assert row["spearman"] == pytest.approx(1.0)  # both are the words themselves
    assert f"{spec}: {told}" in found.notes[1]
    assert {one.column for one in found.pictures} == {"", "the words", spec}


def test_a_model_that_cannot_stand_beside(data):
    with pytest.raises(SpecError, match=r"beside: no file or folder nets/none\.pt"):
        look(class_similarity, planted(0.0), data, beside="nets/none.pt", draws=99)
    with pytest.raises(SpecError, match=r"beside: beside_weights: .* has its own"):
        look(class_similarity, planted(0.0), data, beside=__file__, beside_weights="x.pt", draws=99)


def test_mantel_is_exact_on_few_labels():
    rng = np.random.default_rng(0)
    one, other = (two + two.T for two in rng.standard_normal((2, 5, 5)))
    above = np.triu_indices(5, 1)
    rhos = [spearmanr(one[np.ix_(order, order)][above], other[above])[0] for order in map(list, permutations(range(5)))]
    rho, p = mantel(one, other, 9999, rng)
    assert rho == pytest.approx(rhos[0])
    assert p == pytest.approx(np.mean(np.asarray(rhos) >= rhos[0] - 1e-12), abs=0.015)


def test_mantel_knows_chance():
    rng, ps = np.random.default_rng(0), []
    for _ in range(200):
        one, other = (rng.standard_normal((8, 8)) for _ in range(2))
        ps.append(mantel(one + one.T, other + other.T, 199, rng)[1])
    assert 0.02 <= np.mean(np.asarray(ps) <= 0.05) <= 0.09
    # Nothing that is drawn agrees as well as a matrix with itself, and the matrix itself counts.
    assert mantel(one + one.T, one + one.T, 99, rng) == (pytest.approx(1.0), pytest.approx(0.01))
    assert np.isnan(mantel(np.ones((5, 5)), one[:5, :5], 99, rng)[0])


def test_too_few_labels_and_labels_without_a_word(data):
    with pytest.raises(DataError, match="labels with images are 2, too few"):
        word_correlation(Subject(testing.reads("label"), testing.tiny()))
    with pytest.raises(DataError, match="from 4 labels on"):
        class_similarity(Subject(testing.reads("label"), testing.tiny()))
    odd = data.replace(table=data.table.assign(label=data.table["label"].cat.rename_categories({"cat": "qqxyz"})))
    with pytest.raises(DataError, match="qqxyz"):
        look(word_correlation, planted(0.5), odd)
    with pytest.raises(DataError, match="too few"):
        word_correlation(Subject(planted(0.5), data), attack="none", images=12, dimensions=10)
