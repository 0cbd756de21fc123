"""The embedded part of WordNet: ids, words and hypernyms, written by ``scripts/wordnet_table.py``.

A row of ``synsets.tsv`` is an id, the ids of its hypernyms in WordNet's order, and its words as
``word:sense/senses``: 'dog:1/7' is the first of the seven nouns 'dog'. The first word and its sense make the name.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["LABELS", "ROWS", "Table", "table"]

ROWS = Path(__file__).with_name("synsets.tsv")
LABELS = Path(__file__).with_name("labels.toml")


@dataclass(frozen=True)
class Table:
    """What is embedded; a synset with everything above it, never a part of that.

    Attributes
    ----------
    hypernyms : dict of int to tuple of int
        What a synset is a kind or an instance of, in WordNet's order.
    names : dict of int to str
        ``dog.n.01``.
    senses : dict of str to dict of int to int
        Word -> number of the sense -> synset, of the senses that are embedded.
    counts : dict of str to int
        How many nouns a word is in WordNet, embedded or not.
    """

    hypernyms: dict[int, tuple[int, ...]]
    names: dict[int, str]
    senses: dict[str, dict[int, int]]
    counts: dict[str, int]


@cache
def table() -> Table:
    """The embedded table, read once."""
    found = Table({}, {}, {}, {})
    for line in ROWS.read_text(encoding="ascii").splitlines():
        if line.startswith("#"):
            continue
        number, above, words = line.split("\t")
        synset = int(number)
        found.hypernyms[synset] = tuple(int(one) for one in above.split())
        for entry in words.split():
            word, _, place = entry.rpartition(":")
            sense, _, senses = place.partition("/")
            found.names.setdefault(synset, f"{word}.n.{int(sense):02d}")
            found.senses.setdefault(word, {})[int(sense)] = synset
            found.counts[word] = int(senses)
    return found
