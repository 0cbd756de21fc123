from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from pydantic import Field
from scipy.stats import rankdata
from torch import Tensor, nn

from biaskit.analyzers._class_features import LOGITS, Against, kinds_of_images, seen_by
from biaskit.analyzers._semantic_pictures import matrix_picture
from biaskit.attacks._options import Epsilon, checks_options
from biaskit.errors import DataError, SpecError, UnsupportedModel
from biaskit.features import hooked
from biaskit.results import Column, Picture, Result
from biaskit.rng import numpy_generator
from biaskit.subject import Subject, one_tensor
from biaskit.words import WORDNET, class_words, cosines

__all__ = ["class_similarity", "mantel"]

Floats = npt.NDArray[np.float64]

COLUMNS = (
    Column("images", "natural, or attacked", key=True),
    Column("against", "what the similarity of the classes is held against", key=True),
    Column("n", "test images"),
    Column("n_classes", "labels with images"),
    Column("n_pairs", "pairs of labels that are compared"),
    Column("spearman", "rank correlation over pairs of labels, of centered class means", "", "higher"),
    Column("low", "middle 95 % over bootstrap draws of images within labels; of one image nothing can be drawn"),
    Column("high", "middle 95 % over bootstrap draws of images within labels; of one image nothing can be drawn"),
    Column("p", "Mantel: share of relabelings that agree at least as well, (1 + k) / (1 + draws)"),
    Column("uncentered", "the same of plain inner products, as published; all positive behind a ReLU", ""),
)
#: Bootstrap draws of images, and the labels a comparison needs.
BOOTSTRAP, FEWEST = 200, 4


@checks_options
def class_similarity(
    subject: Subject,
    *,
    vectors: str = WORDNET,
    names: dict[str, str] | None = None,
    trust_pickle: bool = False,
    layer: str = "",
    beside: str = "",
    beside_weights: str = "",
    attack: Against = "pgd",
    epsilon: Epsilon = 8 / 255,
    step: Epsilon = 2 / 255,
    steps: Annotated[int, Field(ge=1)] = 10,
    images: Annotated[int, Field(ge=10)] = 2000,
    draws: Annotated[int, Field(ge=99)] = 9999,
    pictures: bool = True,
) -> Result:
    """Whether classes that are alike in meaning are alike in the features: similarity of classes against words.

    ``S_kl = m_k . m_l`` with ``m_k`` the mean over the images of label k of features of length 1; centered, it is the
    cosine of ``m_k - mean m``. It is compared with the cosines of the words, and with closeness in WordNet, by
    Spearman's rank correlation over the pairs of labels; labels are exchanged to say what chance gives (Mantel).

    Parameters
    ----------
    subject : Subject
        Needs the model, and its gradients for attacked images.
    vectors, names, trust_pickle, layer
        As in :func:`biaskit.analyzers.word_correlation`.
    beside : str
        Another model to compare with, such as ``"timm:vit_base_patch32_clip_224.openai"``: what it makes of the same
        natural images, as :func:`biaskit.foreign.open_model` names models. Its features enter its head; of a model
        without one they are what it gives.
    beside_weights : str
        A file with its weights, in place of a download.
    attack, epsilon, step, steps, images
        As in :func:`biaskit.analyzers.word_correlation`.
    draws : int
        Relabelings of the Mantel test.
    pictures : bool
        The class x class heat maps.

    Returns
    -------
    Result
        A row per kind of images and comparison. Labels without images are left out and counted.

    Raises
    ------
    DataError
        Fewer than four labels with images, a label without a word.
    UnsupportedModel
        NaN features, or no gradient.

    References
    ----------
    SCARL, Figure 2, which shows matrices. Mantel, Cancer Research 27:209, 1967. Centering, intervals and the test are
    ours.
    """
    dataset = subject.dataset
    rows = subject.sample(images, "class_similarity")
    labels = dataset.labels[rows]
    there = np.flatnonzero(np.bincount(labels, minlength=len(dataset.classes)) > 0)
    if len(there) < FEWEST:
        raise DataError(f"{len(there)} labels have images; similarities can be compared from {FEWEST} labels on")
    words = class_words(dataset, vectors, names=names, trust_pickle=trust_pickle)
    others: dict[str, Floats] = {"the words": words.similarity[np.ix_(there, there)]}
    if vectors != WORDNET:
        others[WORDNET] = class_words(dataset).similarity[np.ix_(there, there)]
    notes = [one for one in (words.note(),) if one]
    if beside:
        others[beside], said = _beside(subject, rows, labels, there, beside, beside_weights)
        notes.append(said)
    table, shown = [], dict[str, Floats]()
    for kind in kinds_of_images(attack):
        name, features = seen_by(
            subject, rows, kind, layer=layer, attack=attack, epsilon=epsilon, step=step, steps=steps
        )
        means = _class_means(features, labels, there)
        shown[kind] = cosines(means)
        boot = list(_bootstrap(features, labels, there))
        for against, other in others.items():
            table.append(
                {"images": kind, "against": against, "n": len(rows), "n_classes": len(there)}
                | _agreement(means, boot, other, draws)
            )
    notes.insert(0, f"features: {name}")
    classes = [dataset.classes[one] for one in there]
    return Result(
        "class_similarity",
        pd.DataFrame(table, columns=[column.name for column in COLUMNS]),
        COLUMNS,
        {
            "vectors": vectors, "names": names, "trust_pickle": trust_pickle, "layer": layer, "beside": beside,
            "beside_weights": beside_weights, "attack": attack, "epsilon": epsilon, "step": step, "steps": steps,
            "images": images, "draws": draws, "pictures": pictures,
        },
        pictures=tuple(_pictures(shown, others, classes)) if pictures else (),
        notes=tuple(notes),
    )  # fmt: skip


def mantel(one: Floats, other: Floats, draws: int, generator: np.random.Generator) -> tuple[float, float]:
    """Spearman's correlation of two symmetric matrices over their pairs, and how often relabeling agrees as well.

    Examples
    --------
    >>> near = np.exp(-np.abs(np.subtract.outer(np.arange(6.0), np.arange(6.0))))
    >>> rho, p = mantel(near, near, 999, np.random.default_rng(0))
    >>> round(rho, 3), p < 0.02
    (1.0, True)
    """
    count = len(one)
    above = np.triu_indices(count, 1)
    if not (np.isfinite(one[above]).all() and np.isfinite(other[above]).all()):
        return np.nan, np.nan
    ranks = np.zeros((count, count))
    ranks[above] = _standard(rankdata(one[above]))
    ranks += ranks.T
    fixed = _standard(rankdata(other[above]))
    if not fixed.any() or not ranks.any():
        return np.nan, np.nan
    rho = float(ranks[above] @ fixed)
    orders = np.argsort(generator.random((draws, count)), axis=1)
    least = 0
    for part in np.array_split(orders, max(1, draws * len(fixed) // 10**6)):
        drawn = ranks[part[:, above[0]], part[:, above[1]]] @ fixed
        least += int((drawn >= rho - 1e-12).sum())
    return rho, (1 + least) / (1 + draws)


def _standard(values: Floats) -> Floats:
    """Of mean 0 and length 1, so that products are correlations; 0 where nothing varies."""
    centered = values - values.mean()
    length = np.linalg.norm(centered)
    return np.asarray(centered / length if length > 0 else np.zeros_like(centered))


def _class_means(
    features: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], there: npt.NDArray[np.int64]
) -> Floats:
    """The mean of each label's features of length 1, (K, D)."""
    length = np.linalg.norm(features, axis=1, keepdims=True)
    unit = (features / np.where(length > 0, length, 1.0)).astype(np.float64)
    return np.stack([unit[labels == one].mean(axis=0) for one in there])


def _bootstrap(
    features: npt.NDArray[np.float32], labels: npt.NDArray[np.int64], there: npt.NDArray[np.int64]
) -> Iterator[Floats]:
    """Class means of images drawn anew within every label; none where a label's one image would always be drawn."""
    generator = numpy_generator(0, "class_similarity", "bootstrap")
    places = [np.flatnonzero(labels == one) for one in there]
    if min(map(len, places)) < 2:
        return
    for _ in range(BOOTSTRAP):
        drawn = np.concatenate([generator.choice(one, len(one)) for one in places])
        yield _class_means(features[drawn], labels[drawn], there)


def _agreement(means: Floats, boot: list[Floats], other: Floats, draws: int) -> dict[str, Any]:
    generator = numpy_generator(0, "class_similarity", "mantel")
    rho, p = mantel(cosines(means), other, draws, generator)
    plain, _ = mantel(means @ means.T, other, 1, generator)
    spread = [mantel(cosines(one), other, 1, generator)[0] for one in boot]
    low, high = np.quantile(spread, [0.025, 0.975]) if spread and np.isfinite(spread).all() else (np.nan, np.nan)
    pairs = len(means) * (len(means) - 1) // 2
    return {"n_pairs": pairs, "spearman": rho, "low": float(low), "high": float(high), "p": p, "uncentered": plain}


def _beside(
    subject: Subject,
    rows: npt.NDArray[np.int64],
    labels: npt.NDArray[np.int64],
    there: npt.NDArray[np.int64],
    spec: str,
    weights: str,
) -> tuple[Floats, str]:
    """The similarity of the classes in the features of another model, and what was assumed of it."""
    from biaskit.foreign import find_model, preparation

    try:
        found = find_model(spec, weights=weights or None)
    except (SpecError, UnsupportedModel) as error:
        raise type(error)(f"beside: {str(error).replace('--weights', 'beside_weights')}") from None
    prepare, said = preparation(found, subject.dataset.images.shape)
    model = nn.Sequential(prepare, found.net).to(subject.device).eval()
    other = Subject(model, subject.dataset, device=subject.device)
    _, few = next(other.batches(rows[:2]))
    layer = "" if _ends_in_head(model, few) else LOGITS
    name, features = seen_by(other, rows, "natural", layer=layer, attack="none", epsilon=0.0, step=0.0, steps=1)
    name = name if name != LOGITS else "what it gives"
    return cosines(_class_means(features, labels, there)), f"{spec}: {name}; {'; '.join(said)}"


def _ends_in_head(model: nn.Module, images: Tensor) -> bool:
    """Whether the last linear layer gives what the model gives; in a tower of features it lies inside a block."""
    shapes: list[torch.Size] = []
    linear: dict[str, nn.Module] = {name: one for name, one in model.named_modules() if isinstance(one, nn.Linear)}
    with torch.no_grad(), hooked(linear, lambda _name, _module, output: shapes.append(output.shape)):
        given = one_tensor(model(images))
    return bool(shapes) and shapes[-1] == given.shape


def _pictures(shown: Mapping[str, Floats], others: Mapping[str, Floats], classes: list[str]) -> Iterator[Picture]:
    for kind, matrix in shown.items():
        yield Picture("class similarity", f"{kind} images", matrix_picture(matrix, classes))
    for against, matrix in others.items():
        # What the words say is the same for every arm.
        yield Picture(
            "class similarity", f"{next(iter(shown))} images", matrix_picture(matrix, classes), column=against
        )
