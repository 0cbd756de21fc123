"""Features against words: models whose features are the words, other words, or noise."""

import numpy as np
import pytest
import torch
from torch import nn

from biaskit import testing
from biaskit.analyzers import class_similarity, word_correlation
from biaskit.analyzers._class_similarity import mantel
from biaskit.data import Dataset
from biaskit.errors import DataError
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


def test_attacked_images_get_rows_of_their_own(data):
    small = nn.Sequential(nn.Flatten(), nn.Linear(192, 16), nn.ReLU(), nn.Linear(16, 10))
    found = word_correlation(Subject(small, data), images=600, dimensions=8, draws=9, steps=2)
    assert found.table["images"].unique().tolist() == ["natural", "adversarial"]
    assert len(found.table) == 8


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
    with pytest.raises(DataError, match="2 labels are too few"):
        word_correlation(Subject(testing.reads("label"), testing.tiny()))
    with pytest.raises(DataError, match="from 4 labels on"):
        class_similarity(Subject(testing.reads("label"), testing.tiny()))
    odd = data.replace(table=data.table.assign(label=data.table["label"].cat.rename_categories({"cat": "qqxyz"})))
    with pytest.raises(DataError, match="qqxyz"):
        look(word_correlation, planted(0.5), odd)
    with pytest.raises(DataError, match="too few"):
        word_correlation(Subject(planted(0.5), data), attack="none", images=12, dimensions=10)
