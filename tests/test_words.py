"""Word vectors: identities of the kernel, files in all their shapes, controls, and what is missing."""

import sys
from types import ModuleType

import numpy as np
import pytest

from biaskit import build
from biaskit.data import Dataset
from biaskit.errors import DataError, MissingExtra, SpecError
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


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffcat 1 2\ndog 3 4\n",  # the byte order mark of some editors
        "cat 1 2\r\n\r\ndog 3 4 \r\n",
        "\ncat 1 2\n\n\ndog 3 4\n\n",
        "cat 1 2\n. . . 9 9\nat name@domain.com 9 9\n\u00a0 9 9\nx\u0085y 9 9\ndog 3 4\n",  # as glove.840B has them
        "cat 1 2\nlion nan 9\nlion 9 9\ndog 3 4\n",  # what is not asked for does not matter
    ],
)
def test_files_in_all_their_shapes(file, text):
    assert read_vectors(file(text), ["cat", "dog"]).vectors.tolist() == [[1, 2], [3, 4]]


def test_a_word_with_a_space_is_found_whole(file):
    words = read_vectors(file("pickup 9 9\ntruck 9 9\npickup truck 1 2\n"), ["pickup truck"])
    assert words.vectors.tolist() == [[1, 2]]
    assert words.read_as == {}


@pytest.mark.parametrize("name", ["sea lion", "sea_lion", "sea-lion", "Sea Lion", "SEA_LION"])
def test_names_of_several_words(file, name):
    assert read_vectors(file("sea-lion 1 1\nsea 3 0\nlion 0 3\n"), [name]).vectors.tolist() == [[1, 1]]
    assert read_vectors(file("sea 3 0\nlion 0 4\n"), [name]).vectors.tolist() == [[1.5, 2]]
    with pytest.raises(DataError, match=f"no word for 1 of 1 classes: {name}"):
        read_vectors(file("sea 3 0\n"), [name])


def test_a_file_without_line_ends_is_not_read_whole(file, monkeypatch):
    monkeypatch.setattr("biaskit.words._LONGEST", 100)
    with pytest.raises(DataError, match="line 2: 100 characters and no end"):
        read_vectors(file("cat 1 2\ndog" + " 3" * 1000), ["cat"])


def test_labels_that_are_numbers_are_read_as_their_nouns(file):
    digits = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    path = file("".join(f"{word} {number} 1\n" for number, word in enumerate(digits)))
    words = class_words(build("colordigits"), path)
    assert words.vectors[:, 0].tolist() == list(range(10))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cat 1 2\ndog 1\n", "line 2: 1 numbers, 2 are expected"),
        ("cat 1 2\ndog 1 2 3\n", "line 2: 3 numbers, 2 are expected"),
        ("1 3\ncat 1 2\n", "line 2: 2 numbers, 3 are expected"),
        ("3 2\ncat 1 2\ndog 1 2\n", "says 3 2, words and width, and 2 words follow"),
        ("dog 1 2\ncat 1 2\ncat 3 4\n", "line 3: 'cat' again, after line 2"),
        ("cat\t1\t2\n", "line 1: no numbers; expected a word and its numbers with spaces"),
        ("cat 1 1e39\n", "line 1: a number that is not finite"),
        ("cat 0 0\n", "line 1: a vector of zeros"),
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
    with pytest.raises(DataError, match="cat and dog have the same vector"):
        read_vectors(file("cat 1 2\n"), ["cat", "dog"], names={"dog": "cat"})
    with pytest.raises(DataError, match="no classes"):
        read_vectors(file("cat 1\n"), [])
    labels = ["cat", "qqxyz"] * 2
    odd = Dataset.from_arrays(np.zeros((4, 8, 8, 3), np.uint8), labels)
    with pytest.raises(DataError, match="with the option names="):
        class_words(odd)
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


class KeyedVectors:
    """What biaskit uses of gensim's."""

    def __init__(self, vectors, key_to_index):
        self.vectors, self.key_to_index = vectors, key_to_index

    def __getitem__(self, word):
        return np.asarray(self.vectors.get(word, [7.0, 7.0]), np.float32)  # as fastText's: a vector for any word

    def __contains__(self, word):
        return True


def keyed(monkeypatch, given):
    """A module in the place of gensim, whose files hold what is given."""
    module = ModuleType("gensim.models")
    module.KeyedVectors = type("KeyedVectors", (), {"load": staticmethod(lambda path, mmap: given)})
    monkeypatch.setitem(sys.modules, "gensim", ModuleType("gensim"))
    monkeypatch.setitem(sys.modules, "gensim.models", module)


def test_a_file_of_gensim(file, monkeypatch):
    path = file("x", "words.kv")
    keyed(monkeypatch, KeyedVectors({"cat": [1, 2], "sea": [3, 0], "lion": [0, 4]}, {"cat": 0, "sea": 1, "lion": 2}))
    words = read_vectors(path, ["Cat", "sea lion"], trust_pickle=True)
    assert words.vectors.tolist() == [[1, 2], [1.5, 2]]
    with pytest.raises(DataError, match="no word for 1 of 1 classes: zebra"):
        read_vectors(path, ["zebra"], trust_pickle=True)
    keyed(monkeypatch, KeyedVectors({"cat": [np.nan, 2]}, {"cat": 0}))
    with pytest.raises(DataError, match=r"words.kv, 'cat': a number that is not finite"):
        read_vectors(path, ["cat"], trust_pickle=True)
    keyed(monkeypatch, object())
    with pytest.raises(DataError, match=r"of a model save its vectors: model\.wv\.save"):
        read_vectors(path, ["cat"], trust_pickle=True)


def test_a_file_of_gensim_without_gensim(file, monkeypatch):
    monkeypatch.setitem(sys.modules, "gensim.models", None)
    with pytest.raises(MissingExtra, match=r"biaskit\[gensim\]"):
        read_vectors(file("x", "words.kv"), ["cat"], trust_pickle=True)


def test_gensims_own_files(tmp_path):
    gensim = pytest.importorskip("gensim.models", reason="gensim is an extra")
    vectors = gensim.KeyedVectors(2)
    vectors.add_vectors(["cat", "sea_lion", "Frog"], np.asarray([[1, 2], [3, 4], [5, 6]], np.float32))
    vectors.save(str(tmp_path / "words.kv"))
    vectors.save_word2vec_format(str(tmp_path / "words.txt"))
    for name in ("words.kv", "words.txt"):
        words = read_vectors(tmp_path / name, ["Cat", "sea lion", "Frog"], trust_pickle=True)
        assert words.vectors.tolist() == [[1, 2], [3, 4], [5, 6]]
    text = [["cat", "dog", "truck"]] * 20
    model = gensim.FastText(text, vector_size=4, min_count=1, workers=1)
    model.wv.save(str(tmp_path / "fast.kv"))
    assert np.allclose(read_vectors(tmp_path / "fast.kv", ["dog"], trust_pickle=True).vectors[0], model.wv["dog"])
    with pytest.raises(DataError, match="zebra"):
        read_vectors(tmp_path / "fast.kv", ["zebra"], trust_pickle=True)
    model.save(str(tmp_path / "model.kv"))
    with pytest.raises(DataError, match="of a model save its vectors"):
        read_vectors(tmp_path / "model.kv", ["dog"], trust_pickle=True)
