"""Paths between nouns, up to a common hypernym and down again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from biaskit.errors import DataError, SpecError, nearest
from biaskit.wordnet import _nltk
from biaskit.wordnet._table import table

__all__ = ["Kind", "asked", "distances", "find", "name_of", "paths"]

Kind = Literal["dag", "tree"]

#: More steps than any path has, and twice it is still an int16.
_FAR = 10_000
_ID = re.compile(r"n(\d{8})")
_NAME = re.compile(r"(.+)\.n\.(\d{2,3})")


def distances(synsets: Sequence[str], kind: Kind = "dag") -> npt.NDArray[np.int64]:
    r"""Number of steps between nouns of WordNet, up to a common hypernym and down again.

    .. math:: D_{ij} = \min_s \, (U_{is} + U_{js})

    where :math:`U_{is}` counts the shortest way up from noun i to s: 2 between siblings, 0 only for the same noun.

    Parameters
    ----------
    synsets : sequence of str
        K nouns, as ids (``n02084071``) or names (``dog.n.01``) of WordNet 3.0.
    kind : {'dag', 'tree'}
        ``dag`` follows every hypernym, which is NLTK's ``shortest_path_distance``. It is no metric: by way of a noun
        with several hypernyms a detour may be shorter. ``tree`` follows the first hypernym of each noun alone: a
        metric, and never below ``dag``.

    Returns
    -------
    (K, K) array of int64
        Symmetric, zero on the diagonal.

    Raises
    ------
    SpecError
        A synset that WordNet does not have, with the nearest ones; a text in place of a list.
    DataError
        A synset that is not embedded, and NLTK finds no WordNet.

    References
    ----------
    Dong, Bao, Su, Zhu, arXiv 1901.09035, Section 3, which names the distance "WordNet tree" and does not say how
    several hypernyms count; hence both kinds.

    Examples
    --------
    >>> distances(["airplane.n.01", "ship.n.01", "car.n.01", "truck.n.01"]).tolist()
    [[0, 5, 8, 8], [5, 0, 7, 7], [8, 7, 0, 2], [8, 7, 2, 0]]
    >>> distances(["n02084071", "cat.n.01", "truck.n.01"], kind="tree")[0].tolist()
    [0, 4, 18]
    """
    if isinstance(synsets, str):
        raise SpecError(f'synsets is one text, not a list of synsets: write ["{synsets}"]')
    if kind not in get_args(Kind):
        raise SpecError(f"kind = {kind!r} must be one of {', '.join(get_args(Kind))}")
    return paths([find(one) for one in synsets], _hypernyms if kind == "dag" else _first_hypernym)


def paths(nodes: Sequence[int], above: Callable[[int], Iterable[int]]) -> npt.NDArray[np.int64]:
    """The shortest up-then-down paths between nodes of a graph that has one root.

    Parameters
    ----------
    nodes : sequence of int
    above : callable
        The nodes one step above a node.

    Returns
    -------
    (K, K) array of int64

    Examples
    --------
    >>> paths([3, 2, 1], {3: (1, 2), 2: (1,), 1: ()}.get).tolist()
    [[0, 1, 1], [1, 0, 1], [1, 1, 0]]
    """
    climbs = [_climb(node, above) for node in nodes]
    row = {node: number for number, node in enumerate(dict.fromkeys(node for steps in climbs for node in steps))}
    ways = [(np.array([row[node] for node in steps]), np.array(list(steps.values()), np.int16)) for steps in climbs]
    up = np.full((len(row), len(nodes)), _FAR, np.int16)
    for column, (rows, steps) in enumerate(ways):
        up[rows, column] = steps
    found = np.empty((len(nodes), len(nodes)), np.int64)
    # Only what is above a node can be common to it and another: some fifteen rows of thousands.
    for column, (rows, steps) in enumerate(ways):
        found[column] = (up[rows] + steps[:, None]).min(axis=0)
    return found


def find(text: str) -> int:
    """The number of a synset given as an id or a name.

    Raises
    ------
    SpecError
        It is neither, or WordNet does not have it.

    Examples
    --------
    >>> find("n02084071"), find("dog.n.01"), find("domestic_dog.n.01")
    (2084071, 2084071, 2084071)
    """
    known = table()
    written = str(text).strip().lower().replace(" ", "_")
    if match := _ID.fullmatch(written):
        number = int(match[1])
        if number in known.names or asked(text, _nltk.synset_at, number) is not None:
            return number
        raise SpecError(f"no synset {text!r} in WordNet 3.0, where an id is n and the eight digits of a noun's offset")
    if match := _NAME.fullmatch(written):
        word, sense = match[1], int(match[2])
        if sense in known.senses.get(word, ()):
            return known.senses[word][sense]
        count = known.counts.get(word)
        # Where the table counts the nouns of a word and this is none of them, there is nothing to ask NLTK for.
        if count is None or 1 <= sense <= count:
            senses = asked(text, _nltk.senses, word)
            if 1 <= sense <= len(senses):
                return int(senses[sense - 1].offset())
            count = len(senses)
        raise SpecError(f"no synset {text!r} in WordNet 3.0{_near(word, count)}")
    raise SpecError(f"{text!r} is no noun of WordNet: write an id such as n02084071 or a name such as dog.n.01")


def asked(text: str, ask: Callable[[Any], Any], what: object) -> Any:
    """NLTK's answer; an error says what it was asked for, and what the table has of that kind."""
    try:
        return ask(what)
    except DataError as error:
        raise DataError(f"{text!r} is not embedded{_near(str(what), 0)}; {error}") from None


def name_of(number: int) -> str:
    """The name of a synset that exists: ``dog.n.01``."""
    return table().names.get(number) or str(_nltk.synset_at(number).name())


def _hypernyms(number: int) -> tuple[int, ...]:
    """What a noun is a kind or an instance of, in WordNet's order."""
    known = table().hypernyms.get(number)
    return _nltk.hypernyms(number) if known is None else known


def _first_hypernym(number: int) -> tuple[int, ...]:
    return _hypernyms(number)[:1]


def _climb(node: int, above: Callable[[int], Iterable[int]]) -> dict[int, int]:
    """Everything above a node and itself, with the fewest steps to it."""
    steps = {node: 0}
    level, height = [node], 0
    while level:
        height += 1
        level = list(dict.fromkeys(one for below in level for one in above(below) if one not in steps))
        steps.update(dict.fromkeys(level, height))
    return steps


def _near(word: str, count: int) -> str:
    """What a name that is not there may have meant."""
    if count == 1:
        return f"; {word!r} has one noun, {word}.n.01"
    if count:
        return f"; {word!r} has {count} nouns, {word}.n.01 to {word}.n.{count:02d}"
    close = nearest(word, table().senses)
    names = [table().names[one] for near in close for one in table().senses[near].values()]
    return f"; nearest: {', '.join(dict.fromkeys(names))}" if names else ""
