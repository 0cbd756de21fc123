"""NLTK's WordNet, for what is not embedded. Importing NLTK takes seconds, so it waits until it is needed."""

from __future__ import annotations

import io
import warnings
from functools import cache
from pathlib import Path
from typing import Any

from biaskit.errors import DataError
from biaskit.home import home

__all__ = ["fetch", "hypernyms", "reader", "senses", "synset_at"]

#: The version whose ids ImageNet and the embedded table use; another one has other ids for the same nouns.
VERSION = "3.0"


@cache
def reader() -> Any:
    """NLTK's reader over the first WordNet in ``nltk.data.path`` or ``BIASKIT_HOME/data/nltk_data``.

    Raises
    ------
    DataError
        There is none, it cannot be read, or it is not WordNet 3.0.
    """
    import nltk
    from nltk.corpus.reader import WordNetCorpusReader

    own = str(_own())
    if own not in nltk.data.path:
        # NLTK opens nothing outside these folders.
        nltk.data.path.append(own)
    try:
        place = nltk.data.find("corpora/wordnet")
    except LookupError:
        raise DataError(
            "NLTK finds no WordNet: run `biaskit fetch wordnet`, or set NLTK_DATA to a folder with corpora/wordnet"
        ) from None
    try:
        with warnings.catch_warnings():
            # Without the other languages NLTK says so; we ask for none.
            warnings.simplefilter("ignore")
            wordnet = WordNetCorpusReader(place, None)
            version = wordnet.get_version()
    except Exception as error:  # what NLTK raises over damaged files is anything: an OSError, a KeyError, its own
        raise DataError(
            f"the WordNet at {place} cannot be read ({type(error).__name__}: {error}); "
            "delete it and run `biaskit fetch wordnet`"
        ) from error
    if version != VERSION:
        raise DataError(
            f"the WordNet at {place} is version {version}; the ids are those of {VERSION}: "
            "put NLTK's package 'wordnet' there, or run `biaskit fetch wordnet` and point NLTK_DATA elsewhere"
        )
    return wordnet


def synset_at(number: int) -> Any:
    """The noun of an id as NLTK's Synset, or None."""
    with warnings.catch_warnings():
        # None says it; NLTK warns as well.
        warnings.simplefilter("ignore")
        return reader().synset_from_pos_and_offset("n", number)


def hypernyms(number: int) -> tuple[int, ...]:
    """What a noun is a kind or an instance of, in the order of WordNet's file.

    NLTK keeps these in a set, whose order changes from one process to the next, so the line is read once more:
    id, file, type, number of words, two fields per word, number of pointers, four fields per pointer.
    """
    nouns = _nouns()
    nouns.seek(number)
    fields = nouns.readline().split()
    first = 4 + 2 * int(fields[3], 16)
    pointers = range(first + 1, first + 1 + 4 * int(fields[first]), 4)
    return tuple(int(fields[one + 1]) for one in pointers if fields[one] in ("@", "@i"))


@cache
def _nouns() -> Any:
    return reader().open("data.noun")


def senses(word: str) -> list[Any]:
    """The nouns of a word, in WordNet's order, without those of a word it may be a form of."""
    found = reader().synsets(word, "n")
    return [one for one in found if word in (lemma.lower() for lemma in one.lemma_names())]


def fetch() -> Path:
    """Download WordNet 3.0 through NLTK into ``BIASKIT_HOME/data/nltk_data``, unless NLTK has it already.

    Returns
    -------
    Path
        Where it is.

    Raises
    ------
    DataError
        The download failed, or left nothing that can be read.
    """
    try:
        return Path(str(reader().root))
    except DataError:
        pass
    import nltk

    target = _own()
    remedy = (
        "check the network and try again, or put the folder corpora/wordnet of nltk_data there yourself; "
        "the nouns of the built-in data sets need no download"
    )
    try:
        target.mkdir(parents=True, exist_ok=True)
        # Its messages would stand beside our one line.
        done = nltk.download("wordnet", str(target), quiet=True, raise_on_error=True, print_error_to=io.StringIO())
    except (OSError, ValueError) as error:
        raise DataError(f"WordNet could not be downloaded to {target}: {error}; {remedy}") from None
    if not done:
        raise DataError(f"WordNet could not be downloaded to {target}; {remedy}")
    return Path(str(reader().root))


def _own() -> Path:
    return home() / "data" / "nltk_data"
