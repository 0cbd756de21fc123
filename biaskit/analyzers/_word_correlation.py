from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from pydantic import Field

from biaskit.analyzers._class_features import Against, kinds_of_images, seen_by
from biaskit.attacks._options import Epsilon, checks_options
from biaskit.cca import HeldOut, Views
from biaskit.errors import DataError
from biaskit.results import Column, Result
from biaskit.rng import numpy_generator
from biaskit.subject import Subject
from biaskit.words import WORDNET, Words, class_words, one_hot, random_words

__all__ = ["word_correlation"]

COLUMNS = (
    Column("images", "natural, or attacked", key=True),
    Column("words", "whose vectors: the words, or one of the controls", key=True),
    Column("n", "test images, each held out of one fit"),
    Column("n_draws", "control vectors drawn; the row is their mean"),
    Column("first", "first canonical correlation, held out", "", "higher"),
    Column("low", "95 % interval over images (Fisher's z); of drawn controls the middle 95 % of the draws"),
    Column("high", "95 % interval over images (Fisher's z); of drawn controls the middle 95 % of the draws"),
    Column("mean", "mean of the canonical correlations, held out", "", "higher"),
    Column("excess", "mean correlation of the words less that of permuted ones", "", "higher"),
    Column("p", "share of maps drawn from all permutations that correlate at least as much, (1 + k) / (1 + draws)"),
)
THE_WORDS, PERMUTED, RANDOM, ONE_HOT = "the words", "permuted", "random", "one-hot"
#: Up to this p the words are said to carry meaning, and the labels that takes: four words have 24 permutations.
ALPHA, FEWEST = 0.05, 4


@checks_options
def word_correlation(
    subject: Subject,
    *,
    vectors: str = WORDNET,
    names: dict[str, str] | None = None,
    trust_pickle: bool = False,
    layer: str = "",
    attack: Against = "pgd",
    epsilon: Epsilon = 8 / 255,
    step: Epsilon = 2 / 255,
    steps: Annotated[int, Field(ge=1)] = 10,
    images: Annotated[int, Field(ge=10)] = 2000,
    dimensions: Annotated[int, Field(ge=1)] = 32,
    word_dimensions: Annotated[int, Field(ge=0)] = 3,
    kappa: Annotated[float, Field(ge=0)] = 0.01,
    folds: Annotated[int, Field(ge=2)] = 5,
    draws: Annotated[int, Field(ge=19)] = 199,
) -> Result:
    """Canonical correlation of features with the words of the labels, held out and beside its controls.

    With K classes whose words are independent, plain canonical correlations are those of linear discriminant analysis:
    *any* words give the same, also permuted ones, and what is measured is how well classes are told apart. Therefore
    the features are cut to ``dimensions`` principal components and the words to ``word_dimensions``, correlations are
    of images that were not fitted, and the same is done with the words given to other classes, with random vectors, and
    with a dimension per class. Meaning is claimed only where the words correlate more than permuted ones.

    Parameters
    ----------
    subject : Subject
        Needs the model, and its gradients for attacked images.
    vectors : "wordnet", or the path of a file in GloVe's format
    names : dict of label to synset, or to words of the file
    trust_pickle : bool
        Open a ``.kv`` file of gensim, which is a pickle.
    layer : str
        From the end of its name; ``"logits"``; empty: what enters the head.
    attack : "pgd", "fgsm" or "none"
    epsilon, step, steps
        Of the attack.
    images : int
        Test images, drawn once for all arms and seeds.
    dimensions : int
        Principal components of the features.
    word_dimensions : int
        Principal components of the centered words; 0 keeps all. Where they are as many as the labels less one, any
        words correlate alike, nothing is said of meaning, and ``excess`` and ``p`` are NaN.
    kappa : float
        Ridge in units of the mean eigenvalue.
    folds : int
    draws : int
        Permuted maps, and random vectors; with fewer than 19 no p could be as small as 0.05. Maps are drawn from all
        permutations, which may leave labels their word: only so is p what chance gives.

    Returns
    -------
    Result
        For natural and attacked images a row for the words and one per control. ``excess`` and ``p`` stand in the row
        of the words. A note says what is shown: meaning, or no more than that classes are told apart.

    Raises
    ------
    DataError
        Too few images for so many dimensions, a label without a word, fewer than four labels with images.
    UnsupportedModel
        NaN features, or no gradient.

    References
    ----------
    SCARL, Figure 1: 500 pairs of image and word, fitted and told on the same images, which correlate perfectly for
    noise where there are more dimensions than images. The held-out form and the controls are ours.
    """
    dataset = subject.dataset
    rows = subject.sample(images, "word_correlation")
    there, labels = np.unique(dataset.labels[rows], return_inverse=True)
    if len(there) < FEWEST:
        raise DataError(
            f"labels with images are {len(there)}, too few to tell their words from permuted ones; {FEWEST} or more"
        )
    words = _of(class_words(dataset, vectors, names=names, trust_pickle=trust_pickle), there)
    table, said = [], []
    for kind in kinds_of_images(attack):
        name, features = seen_by(
            subject, rows, kind, layer=layer, attack=attack, epsilon=epsilon, step=step, steps=steps
        )
        views = Views(
            features,
            dimensions=dimensions,
            kappa=kappa,
            folds=folds,
            generator=numpy_generator(0, "word_correlation", "folds"),
        )
        found = _rows(kind, views, words, labels, word_dimensions, draws)
        table += found
        said.append(_sentence(kind, found))
    columns = COLUMNS
    about = f"features: {name}, {min(dimensions, features.shape[1])} of {features.shape[1]} dimensions"
    rank = _rank(words)
    kept = f"{word_dimensions} of {rank}" if 0 < word_dimensions < rank else f"all {rank}"
    return Result(
        "word_correlation",
        pd.DataFrame(table, columns=[column.name for column in columns]),
        columns,
        {
            "vectors": vectors, "names": names, "trust_pickle": trust_pickle, "layer": layer, "attack": attack,
            "epsilon": epsilon, "step": step, "steps": steps, "images": images, "dimensions": dimensions,
            "word_dimensions": word_dimensions, "kappa": kappa, "folds": folds, "draws": draws,
        },
        notes=(*said, f"{about}; words: {words.source}, {kept} dimensions", *([words.note()] if words.note() else [])),
    )  # fmt: skip


def _of(words: Words, there: npt.NDArray[np.int64]) -> Words:
    """The words of some classes."""
    return replace(words, names=tuple(words.names[one] for one in there), vectors=words.vectors[there])


def _scores(words: Words, dimensions: int) -> npt.NDArray[np.float64]:
    """The centered words in their principal components, (K, d)."""
    centered = words.vectors.astype(np.float64) - words.vectors.mean(axis=0)
    u, s, _ = np.linalg.svd(centered, full_matrices=False)
    kept = int((s > 1e-6 * s[0]).sum())
    return np.asarray((u * s)[:, : min(dimensions, kept) if dimensions else kept])


def _rank(words: Words) -> int:
    return int(_scores(words, 0).shape[1])


def _rows(
    kind: str, views: Views, words: Words, labels: npt.NDArray[np.int64], dimensions: int, draws: int
) -> list[dict[str, Any]]:
    """The words and their controls, on one kind of images."""

    def against(scores: npt.NDArray[np.float64]) -> HeldOut:
        return views.against(scores[labels])

    generator = numpy_generator(0, "word_correlation", "controls")
    scores = _scores(words, dimensions)
    real = against(scores)
    shuffled = [against(generator.permutation(scores)) for _ in range(draws)]
    drawn = [against(_scores(random_words(words, generator), dimensions)) for _ in range(draws)]
    apart = against(_scores(one_hot(words.names), 0))
    null = np.asarray([one.mean for one in shuffled])
    told = nothing = {"excess": np.nan, "p": np.nan}
    # Words that span all differences of the classes are any words; features that do not vary correlate with none.
    if scores.shape[1] < len(words.names) - 1 and np.isfinite(real.mean):
        p = (1 + int((null >= real.mean - 1e-12).sum())) / (1 + draws)
        told = {"excess": real.mean - float(null.mean()), "p": p}
    return [
        _row(kind, THE_WORDS, [real], len(labels)) | told,
        _row(kind, PERMUTED, shuffled, len(labels)) | nothing,
        _row(kind, RANDOM, drawn, len(labels)) | nothing,
        _row(kind, ONE_HOT, [apart], len(labels)) | nothing,
    ]


def _row(kind: str, words: str, found: list[HeldOut], n: int) -> dict[str, Any]:
    first = np.asarray([one.first for one in found])
    low, high = (found[0].low, found[0].high) if len(found) == 1 else np.quantile(first, [0.025, 0.975])
    means = float(np.mean([one.mean for one in found]))
    head = {"images": kind, "words": words, "n": n, "n_draws": len(found) if len(found) > 1 else 0}
    return head | {"first": float(first.mean()), "low": float(low), "high": float(high), "mean": means}


def _sentence(kind: str, rows: list[dict[str, Any]]) -> str:
    """What these numbers show, and what they do not."""
    real, shuffled, apart = rows[0], rows[1], rows[3]
    if np.isnan(real["mean"]):
        return f"{kind} images: the features do not vary, so nothing correlates with them"
    numbers = f"mean correlation {real['mean']:.2f}, with permuted words {shuffled['mean']:.2f}"
    if np.isfinite(real["p"]):
        numbers += f", p {real['p']:.3f}"
    if not (real["low"] > 0 or apart["low"] > 0):
        return f"{kind} images: neither meaning nor separate classes are shown ({numbers})"
    if np.isnan(real["p"]):
        return (
            f"{kind} images: classes are told apart; of meaning nothing can be said, because the words keep as many "
            f"dimensions as the labels less one, and so any words correlate alike ({numbers}); lower word_dimensions"
        )
    if real["p"] <= ALPHA and real["excess"] > 0:
        return f"{kind} images: features follow the meaning of the words beyond telling classes apart ({numbers})"
    return f"{kind} images: classes are told apart, but no more by these words than by permuted ones ({numbers})"
