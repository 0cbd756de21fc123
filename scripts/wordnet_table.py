"""Write ``biaskit/wordnet/synsets.tsv``, the part of WordNet 3.0 that works offline, from NLTK's copy.

    python scripts/wordnet_table.py

It holds the synsets that ``biaskit/wordnet/labels.toml`` names and everything above them: ids, words and hypernyms.
The same WordNet gives the same bytes. NLTK looks for it in its data folders (``NLTK_DATA`` adds one); the WordNet
license stands beside the table.
"""

from __future__ import annotations

import tomllib
from typing import Any

from biaskit.wordnet._nltk import hypernyms, reader, senses, synset_at
from biaskit.wordnet._table import LABELS, ROWS

HEAD = """\
# From WordNet 3.0, Copyright 2006 by Princeton University, under the license beside this file; written by
# scripts/wordnet_table.py. Tabs part the id of a noun, the ids of its hypernyms and instance hypernyms in
# WordNet's order, and its words as word:sense/senses. The first word and its sense make the name: dog.n.01.
"""


def listed() -> set[str]:
    """Every synset of ``labels.toml``, as it is written there."""
    tables = tomllib.loads(LABELS.read_text(encoding="utf-8"))["synsets"]
    return {synset for labels in tables.values() for synset in labels.values()}


def words(synset: Any) -> str:
    """The words of a synset, each with the number of this sense and of all nouns it is."""
    entries = []
    for word in dict.fromkeys(lemma.lower() for lemma in synset.lemma_names()):
        all_of_it = senses(word)
        entries.append(f"{word}:{all_of_it.index(synset) + 1}/{len(all_of_it)}")
    return " ".join(entries)


def rows(wordnet: Any) -> str:
    """The whole file."""
    found: dict[int, tuple[int, ...]] = {}
    waiting = [int(one[1:]) if ".n." not in one else int(wordnet.synset(one).offset()) for one in listed()]
    while waiting:
        number = waiting.pop()
        if number not in found:
            found[number] = hypernyms(number)
            waiting += found[number]
    lines = (
        f"{number:08d}\t{' '.join(f'{one:08d}' for one in found[number])}\t{words(synset_at(number))}\n"
        for number in sorted(found)
    )
    return HEAD + "".join(lines)


def main() -> None:
    text = rows(reader())
    ROWS.write_text(text, encoding="ascii", newline="\n")
    print(f"{ROWS}: {text.count(chr(10)) - HEAD.count(chr(10)):,} synsets, {len(text):,} bytes")


if __name__ == "__main__":
    main()
