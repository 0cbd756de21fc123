"""Word vectors of the names of classes: from a file, or, embedded and offline, from WordNet.

>>> words = wordnet_vectors(["dog.n.01", "cat.n.01", "car.n.01"])
>>> bool(words.vectors[0] @ words.vectors[1] > words.vectors[0] @ words.vectors[2])
True
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from biaskit.data import Dataset
from biaskit.errors import BiaskitError, DataError, MissingExtra, SpecError
from biaskit.wordnet._distances import Kind, distances
from biaskit.wordnet._labels import synsets_of

__all__ = [
    "WORDNET",
    "Words",
    "class_words",
    "one_hot",
    "permuted",
    "random_words",
    "read_vectors",
    "wordnet_vectors",
]

#: The name of the embedded vectors.
WORDNET = "wordnet"
#: What keeps the parts of a name apart.
_BETWEEN = re.compile(r"[\s_\-/]+")
#: Characters of a line that is no line of word vectors any more: a file without line ends is not read into memory.
_LONGEST = 1_000_000

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Words:
    """A vector for each class.

    Attributes
    ----------
    names : tuple of str
        The classes.
    vectors : float32 array (K, q)
    source : str
        Where they come from: ``"wordnet"``, the name of a file, ``"permuted wordnet"``.
    read_as : mapping of str to tuple of str
        Class -> the words whose mean its vector is, where these differ from its name.
    """

    names: tuple[str, ...]
    vectors: Floats
    source: str
    read_as: Mapping[str, tuple[str, ...]]

    @property
    def similarity(self) -> npt.NDArray[np.float64]:
        """Cosines of the centered vectors, (K, K); NaN for a vector that is the mean of all."""
        return cosines(self.vectors)

    def note(self) -> str:
        """Say what names were read as."""
        if not self.read_as:
            return ""
        said = [f"{name} as {' and '.join(parts)}" for name, parts in self.read_as.items()]
        return f"names read otherwise than they are written: {', '.join(said)}"


def cosines(vectors: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Cosines (K, K) between centered rows.

    Examples
    --------
    >>> cosines([[0.0, 0.0], [2.0, 0.0], [1.0, 3.0]]).round(2)[0].tolist()
    [1.0, 0.0, -0.71]
    """
    rows = np.asarray(vectors, np.float64)
    rows = rows - rows.mean(axis=0)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        rows = rows / np.where(length > 1e-12, length, np.nan)
    return np.asarray(rows @ rows.T)


def class_words(
    dataset: Dataset,
    vectors: str | Path = WORDNET,
    *,
    names: Mapping[str, str] | None = None,
    trust_pickle: bool = False,
) -> Words:
    """The vector of each label of a data set, in the order of ``dataset.classes``.

    Parameters
    ----------
    dataset : Dataset
    vectors : "wordnet", or the path of a file
        As :func:`wordnet_vectors` or :func:`read_vectors`.
    names : mapping of str to str, optional
        Label -> a synset for WordNet, the words to look up for a file; what is not given is the label itself, and for
        a file, where that is not in it, the noun of WordNet that it stands for.
    trust_pickle : bool
        Open a ``.kv`` file of gensim.

    Raises
    ------
    DataError
        A label without a word, or a file that cannot be read.

    Examples
    --------
    >>> from biaskit import build
    >>> class_words(build("colordigits")).vectors.shape
    (10, 10)
    """
    source = str(dataset.card.get("source", {}).get("name", ""))
    if not source:
        source = str(next((one.get("name", "") for one in dataset.card.get("builder", [])), ""))
    if str(vectors) == WORDNET:
        try:
            synsets = synsets_of(dataset.classes, source=source, mapping=names)
        except BiaskitError as error:
            raise type(error)(str(error).replace("with mapping=", "with the option names=")) from None
        return replace(wordnet_vectors(synsets), names=dataset.classes)
    instead = _nouns(dataset.classes, source)
    return read_vectors(vectors, dataset.classes, names=names, instead=instead, trust_pickle=trust_pickle)


def wordnet_vectors(synsets: Sequence[str], *, kind: Kind = "tree", tau: float = 4.0, dimensions: int = 0) -> Words:
    """Spectral vectors of the distances in WordNet: ``E E' = exp(-D / tau)``.

    A kernel of a tree's distances is positive definite for every ``tau``; with ``kind="dag"`` small negative
    eigenvalues are cut off. Rows have length 1, and their inner products are the kernel.

    Parameters
    ----------
    synsets : sequence of str
        Names or ids.
    kind : "tree" or "dag"
        Paths along first hypernyms, or along all.
    tau : float
        Edges after which the kernel has fallen to 1/e.
    dimensions : int
        The strongest so many; 0 keeps all, K at most.

    Examples
    --------
    >>> words = wordnet_vectors(["dog.n.01", "cat.n.01"], tau=4.0)
    >>> round(float(words.vectors[0] @ words.vectors[1]), 3)  # exp(-4 / 4)
    0.368
    """
    if not tau > 0:
        raise SpecError(f"tau {tau:g}: a distance scale is above 0")
    if len(set(synsets)) < len(synsets):
        twice = next(one for one in synsets if list(synsets).count(one) > 1)
        raise DataError(f"{twice} stands for two classes; their vectors would be the same")
    kernel = np.exp(-distances(list(synsets), kind=kind) / tau)
    values, basis = np.linalg.eigh(kernel)
    order = np.argsort(-values)[: dimensions or None]
    found = basis[:, order] * np.sqrt(values[order].clip(min=0.0))
    # Signs of eigenvectors are arbitrary: the largest entry of each is positive.
    found *= np.where(found[np.abs(found).argmax(axis=0), np.arange(found.shape[1])] < 0, -1.0, 1.0)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return Words(tuple(synsets), found.astype(np.float32), WORDNET, {})


def read_vectors(
    path: str | Path,
    classes: Sequence[str],
    *,
    names: Mapping[str, str] | None = None,
    instead: Mapping[str, str] | None = None,
    trust_pickle: bool = False,
) -> Words:
    """The vectors of some names in a file in the format of GloVe: a word and its numbers in each line.

    The file is read once, line by line, and only the words that are needed are kept. A first line of two numbers (the
    head of word2vec's and fastText's text format) says how many words of which width follow; empty lines are passed
    over; ``.kv`` files are gensim's KeyedVectors. A name of several words is looked up whole (``pickup_truck``), then
    is the mean of its words; lower case where the file has no other.

    Parameters
    ----------
    path : path
    classes : sequence of str
    names : mapping of str to str, optional
        Class -> the words to look up.
    instead : mapping of str to str, optional
        Class -> what is looked up where the class itself is not in the file.
    trust_pickle : bool
        Open a ``.kv`` file: it is a pickle, which can run any code.

    Raises
    ------
    DataError
        A line of another width or without numbers, or a word that is wanted there twice or with a vector of zeros,
        with the number of the line; a file with fewer words than its head says; a class without a word, with all such
        classes; two classes of the same vector.
    MissingExtra
        A ``.kv`` file without gensim.
    """
    if not classes:
        raise DataError("there are no classes to look up words for")
    file = Path(path).expanduser()
    if not file.is_file():
        raise DataError(f"no file {file}: word vectors are a text file such as glove.6B.50d.txt, or {WORDNET!r}")
    given = dict(names or {})
    foreign = [one for one in given if one not in classes]
    if foreign:
        raise SpecError(f"names: {foreign[0]!r} is no class; the classes are {', '.join(list(classes)[:8])}")
    options = {
        one: [given[one]] if one in given else [one, *([instead[one]] if instead and one in instead else [])]
        for one in classes
    }
    wanted = {form for ways in options.values() for way in ways for group in _ways(way) for form in group}
    held = _keyed(file, wanted, trust_pickle) if file.suffix == ".kv" else dict(_lines(file, wanted))
    vectors, read_as, missing = [], {}, []
    for one, ways in options.items():
        words = next((group for way in ways for group in _ways(way) if all(form in held for form in group)), None)
        if words is None:
            missing.append(one)
            continue
        vectors.append(np.mean([held[word] for word in words], axis=0))
        if words != (one,):
            read_as[one] = words
    if missing:
        raise DataError(
            f"{file.name} has no word for {len(missing)} of {len(classes)} classes: {', '.join(missing[:8])}"
            f"{', ...' if len(missing) > 8 else ''}; say which words stand for them with names={{{missing[0]!r}: ...}}"
        )
    found = np.stack(vectors).astype(np.float32)
    _, first, where = np.unique(found, axis=0, return_index=True, return_inverse=True)
    same = np.flatnonzero(first[where.reshape(-1)] != np.arange(len(found)))
    if len(same):
        one, other = classes[int(first[where.reshape(-1)[same[0]]])], classes[int(same[0])]
        raise DataError(
            f"{file.name}: {one} and {other} have the same vector, and nothing could tell their words apart; say which "
            f"words stand for them with names={{{other!r}: ...}}"
        )
    return Words(tuple(classes), found, file.name, read_as)


def permuted(words: Words, generator: np.random.Generator) -> Words:
    """The same vectors given to other classes; no class keeps its own.

    The control that tells meaning from mere distinctness: the vectors are as different from each other as before.
    """
    count = len(words.names)
    if count < 2:
        raise DataError("one class has no other to exchange its word with")
    while True:
        order = generator.permutation(count)
        if (order != np.arange(count)).all():
            return replace(words, vectors=words.vectors[order], source=f"permuted {words.source}", read_as={})


def random_words(words: Words, generator: np.random.Generator) -> Words:
    """Gaussian vectors of the same width and mean length."""
    drawn = generator.standard_normal(words.vectors.shape)
    drawn *= np.linalg.norm(words.vectors, axis=1).mean() / np.linalg.norm(drawn, axis=1).mean()
    return replace(words, vectors=drawn.astype(np.float32), source="random", read_as={})


def one_hot(names: Sequence[str]) -> Words:
    """A dimension per class: every class as far from every other."""
    return Words(tuple(names), np.eye(len(names), dtype=np.float32), "one-hot", {})


def _nouns(classes: Sequence[str], source: str) -> dict[str, str]:
    """Class -> the noun of WordNet it stands for, where it stands for one."""
    found = {}
    for one in classes:
        try:
            found[one] = synsets_of([one], source=source)[0].rpartition(".n.")[0]
        except DataError:
            continue
    return found


def _ways(name: str) -> Iterator[tuple[str, ...]]:
    """How a name may be written in a file, best first: whole in its own case and in lower case, then word by word."""
    parts = [part for part in _BETWEEN.split(name.strip()) if part]
    for text in dict.fromkeys((name, name.lower())):
        yield (text,)
    for joint in ("_", "-", "") if len(parts) > 1 else ():
        yield (joint.join(parts).lower(),)
    if len(parts) > 1:
        yield tuple(parts)
        yield tuple(part.lower() for part in parts)


def _lines(file: Path, wanted: set[str]) -> Iterator[tuple[str, Floats]]:
    """The wanted words of a text file; every line is held against the width of the first, or of the head."""
    width, told, count, seen = 0, "", 0, dict[str, int]()
    try:
        with file.open(encoding="utf-8-sig") as stream:
            for number, line in enumerate(iter(partial(stream.readline, _LONGEST), ""), 1):
                if len(line) == _LONGEST:
                    raise DataError(f"{file}, line {number}: {_LONGEST:,} characters and no end; these are no vectors")
                parts = [part for part in line.rstrip("\r\n").split(" ") if part]
                if not parts:
                    continue
                if number == 1 and len(parts) == 2 and all(part.isdecimal() for part in parts):
                    told, width = " ".join(parts), int(parts[1])
                    continue
                count += 1
                word, numbers = _entry(["", *parts] if line.startswith(" ") else parts, width, file, number)
                width = len(numbers)
                if word not in wanted:
                    continue
                if word in seen:
                    raise DataError(f"{file}, line {number}: {word!r} again, after line {seen[word]}; leave one")
                seen[word] = number
                yield word, _numbers(numbers, f"{file}, line {number}")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{file} is not UTF-8 text ({error.reason}); word vectors are expected as text, or as a file .kv of gensim"
        ) from None
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from None
    if told and count != int(told.partition(" ")[0]):
        raise DataError(
            f"{file}: its first line says {told}, words and width, and {count:,} words follow; is it whole?"
        )


def _entry(parts: list[str], width: int, file: Path, number: int) -> tuple[str, list[str]]:
    """A line's word and its numbers, as texts; ``width`` is 0 in the first line.

    Some files have words with spaces: what stands before the last ``width`` parts is one, unless it ends in a number.
    """
    there = len(parts) - 1
    if there > width > 0 and not _is_number(parts[there - width]):
        return " ".join(parts[: there - width + 1]), parts[there - width + 1 :]
    if there < 1:
        raise DataError(f"{file}, line {number}: no numbers; expected a word and its numbers with spaces between them")
    if width and there != width:
        raise DataError(f"{file}, line {number}: {there} numbers, {width} are expected from the first line")
    if not parts[0]:
        raise DataError(f"{file}, line {number}: numbers without a word")
    return parts[0], parts[1:]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers(given: Sequence[Any] | npt.NDArray[Any], where: str) -> Floats:
    """A word's vector; ``where`` it stands is said of one that cannot be used."""
    try:
        with np.errstate(over="ignore"):
            found = np.asarray([float(one) for one in given]).astype(np.float32)
    except ValueError as error:
        raise DataError(f"{where}: {error}") from None
    if not np.isfinite(found).all():
        raise DataError(f"{where}: a number that is not finite")
    if not found.any():
        raise DataError(f"{where}: a vector of zeros, which has no direction")
    return found


def _keyed(file: Path, wanted: set[str], trust_pickle: bool) -> dict[str, Floats]:
    if not trust_pickle:
        raise DataError(
            f"{file} is a pickle, which can run any code; say trust_pickle=True if you know where it comes from, or "
            "save it as text with gensim's save_word2vec_format"
        )
    try:
        from gensim.models import KeyedVectors
    except ImportError:
        raise MissingExtra(f"{file.name} is a file of gensim: pip install 'biaskit[gensim]'") from None
    read: Callable[..., Any] = KeyedVectors.load
    try:
        vectors = read(str(file), mmap="r")
        # fastText's vectors would make up one for any word: only those of its vocabulary are words of the file.
        known = {word: vectors[word] for word in wanted if word in vectors.key_to_index}
    except Exception as error:  # an unpickler fails in any way, and may give any object
        raise DataError(
            f"{file} is no file of gensim's KeyedVectors ({error}); of a model save its vectors: model.wv.save(...)"
        ) from None
    return {word: _numbers(found, f"{file}, {word!r}") for word, found in known.items()}
