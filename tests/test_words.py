"""Word vectors: identities of the kernel, files in all their shapes, controls, and what is missing."""

import numpy as np
import pytest

from biaskit import build
from biaskit.errors import DataError, SpecError
from biaskit.wordnet import distances
from biaskit.words import class_words, one_hot, permuted, random_words, read_vectors, wordnet_vectors

CIFAR = ["airplane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
SYNSETS = ["airplane.n.01", "car.n.01", "bird.n.01", "cat.n.01", "deer.n.01", "dog.n.01", "frog.n.01", "horse.n.01",
           "ship.n.01", "truck.n.01"]  # fmt: skip


@pytest.mark.parametrize("kind", ["tree", "dag"])
@pytest.mark.parametrize("tau", [1.0, 4.0])
def test_inner_products_are_the_kernel(kind, tau):
    words = wordnet_vectors(SYNSETS, kind=kind, tau=tau)
    kernel = np.exp(-distances(SYNSETS, kind=kind) / tau)
    assert words.vectors @ words.vectors.T == pytest.approx(kernel, abs=1e-5)


def test_the_spectrum_of_cifar10():
    # methods.md D5: tau 4, dag, eigenvalues .39 to 2.16.
    values = np.linalg.eigvalsh(np.exp(-distances(SYNSETS, kind="dag") / 4.0))
    assert [round(float(one), 2) for one in (values[0], values[-1])] == [0.39, 2.16]


def test_fewer_dimensions_are_the_strongest():
    few = wordnet_vectors(SYNSETS, dimensions=3)
    assert few.vectors.shape == (10, 3)
    assert np.linalg.norm(few.vectors, axis=1) == pytest.approx(np.ones(10), abs=1e-6)


def test_a_data_set_has_the_words_of_its_labels():
    words = class_words(build("colordigits"))
    assert words.names == tuple("0123456789")
    assert words.similarity.shape == (10, 10)


@pytest.fixture
def file(tmp_path):
    def write(text, name="words.txt"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


def test_a_file_of_glove(file):
    path = file("the 9 9\ncat 1 0\ndog 0 1\npickup 2 0\ntruck 0 4\nzero 5 5\n")
    words = read_vectors(path, ["Cat", "dog", "pickup truck"])
    assert words.vectors.tolist() == [[1, 0], [0, 1], [1, 2]]
    assert words.read_as == {"Cat": ("cat",), "pickup truck": ("pickup", "truck")}
    assert "pickup truck as pickup and truck" in words.note()
    assert read_vectors(path, ["0"], names={"0": "zero"}).vectors.tolist() == [[5, 5]]
    whole = file("sea_lion 1 1\nsea 3 0\nlion 0 3\n", "whole.txt")
    assert read_vectors(whole, ["sea lion"]).vectors.tolist() == [[1, 1]]


def test_the_head_of_word2vec_is_passed_over(file):
    assert read_vectors(file("2 3\ncat 1 2 3\ndog 4 5 6\n"), ["dog"]).vectors.tolist() == [[4, 5, 6]]


def test_labels_that_are_numbers_are_read_as_their_nouns(file):
    digits = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    path = file("".join(f"{word} {number} 1\n" for number, word in enumerate(digits)))
    words = class_words(build("colordigits"), path)
    assert words.vectors[:, 0].tolist() == list(range(10))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat 1 2\ndog 1\n", "line 2: 1 numbers, the first line has 2"),
        ("cat 1 2\n 3 4\n", "line 2: numbers without a word"),
        ("cat 1 x\n", "line 1: could not convert"),
        ("cat 1 nan\n", "line 1: a number that is not finite"),
        ("dog 1 2\n", "no word for 1 of 1 classes: cat; say which words"),
        ("", "no word for 1 of 1"),
    ],
)
def test_files_that_do_not_do(file, text, message):
    with pytest.raises(DataError, match=message):
        read_vectors(file(text), ["cat"])


def test_other_bad_input(file, tmp_path):
    with pytest.raises(DataError, match="no file"):
        read_vectors(tmp_path / "none.txt", ["cat"])
    with pytest.raises(DataError, match="pickle"):
        read_vectors(file("x", "words.kv"), ["cat"])
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not UTF-8"):
        read_vectors(tmp_path / "binary.txt", ["cat"])
    with pytest.raises(SpecError, match="no class"):
        read_vectors(file("cat 1\n"), ["cat"], names={"dog": "cat"})
    with pytest.raises(SpecError, match="above 0"):
        wordnet_vectors(SYNSETS, tau=0.0)
    with pytest.raises(DataError, match="two classes"):
        wordnet_vectors(["dog.n.01", "dog.n.01"])


def test_controls():
    words, rng = wordnet_vectors(SYNSETS), np.random.default_rng(0)
    other = permuted(words, rng)
    assert sorted(map(tuple, other.vectors.tolist())) == sorted(map(tuple, words.vectors.tolist()))
    assert not (other.vectors == words.vectors).all(axis=1).any()
    drawn = random_words(words, rng)
    assert drawn.vectors.shape == words.vectors.shape
    assert np.linalg.norm(drawn.vectors, axis=1).mean() == pytest.approx(1.0, abs=1e-5)
    flat = one_hot(CIFAR).similarity
    assert flat[~np.eye(10, dtype=bool)] == pytest.approx(np.full(90, -1 / 9))
    with pytest.raises(DataError, match="one class"):
        permuted(one_hot(["cat"]), rng)
