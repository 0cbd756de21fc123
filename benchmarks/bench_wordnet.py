"""Distances between the 1,000 classes of ImageNet against the same pairs through NLTK.

    python benchmarks/bench_wordnet.py [--pairs 1000] [--repeats 5]

NLTK's ``shortest_path_distance`` is asked for a sample of the pairs, from synsets it has read before, and compared per
pair; all 499,500 take it minutes. NLTK needs its WordNet (``NLTK_DATA``), ours is embedded. Both take turns; the goals
are 0.2 s for the whole matrix and a ratio of at least 500.
"""

from __future__ import annotations

import argparse
import statistics

import numpy as np
from timing import interleaved, machine_line, print_table

from biaskit.wordnet import distances
from biaskit.wordnet._labels import tables
from biaskit.wordnet._nltk import synset_at


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    print(machine_line())

    classes = tuple(tables()["imagenet"].values())
    draws = np.random.default_rng(0).integers(0, len(classes), (arguments.pairs, 2))
    pairs = [(synset_at(int(classes[one][1:])), synset_at(int(classes[other][1:]))) for one, other in draws]
    sampled = distances(classes)[draws[:, 0], draws[:, 1]]

    def nltk() -> list[int]:
        return [one.shortest_path_distance(other) for one, other in pairs]

    if nltk() != sampled.tolist():
        raise SystemExit("the two do not agree: nothing to compare")
    seconds = interleaved({"NLTK, sample": nltk, "biaskit, matrix": lambda: distances(classes)}, arguments.repeats)
    print_table(seconds)
    whole = len(classes) * (len(classes) - 1) / 2
    each = [
        (slow / len(pairs)) / (fast / whole)
        for slow, fast in zip(seconds["NLTK, sample"], seconds["biaskit, matrix"], strict=True)
    ]
    print(f"matrix of {len(classes):,}: {statistics.median(seconds['biaskit, matrix']):.3f} s (target at most 0.2)")
    print(
        f"times faster per pair: {statistics.median(each):,.0f} (rounds {min(each):,.0f} to {max(each):,.0f}; "
        "target at least 500)"
    )


if __name__ == "__main__":
    main()
