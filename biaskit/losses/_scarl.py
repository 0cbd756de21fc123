from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from biaskit.data import Batch, Dataset
from biaskit.errors import DataError, UnsupportedModel
from biaskit.features import head
from biaskit.losses._pairs import full_precision, mixed_cross_entropy
from biaskit.losses._trades import divergence
from biaskit.rng import numpy_generator
from biaskit.words import WORDNET, Words, class_words, one_hot, permuted, random_words

__all__ = ["information", "scarl", "structure"]

Source = Literal["words", "permuted", "random", "one-hot"]
#: The temperature of the bound begins as in the released code; at 0.1 its gradient at the features is 7 to 40 times
#: that of the cross-entropy, and a training of few epochs learns little else.
START = 0.5
#: The learned temperature of the bound stays in this range.
COLDEST, WARMEST = 0.01, 1.0


def information(views: Tensor, words: Tensor, labels: Tensor, prior: Tensor, temperature: Tensor) -> Tensor:
    """``-E log q(w_y | z)`` with ``q(w_k | z) = softmax_k(v . t_k / tau + log pi_k)``.

    The entropy of the words minus this is a lower bound of the information that features hold of words (Barber and
    Agakov), tight where q is the true posterior.

    Parameters
    ----------
    views : Tensor (B, q)
        Of length 1.
    words : Tensor (K, q)
        Of length 1.
    labels : Tensor (B,)
    prior : Tensor (K,)
        Shares of the labels.
    temperature : scalar Tensor

    Examples
    --------
    >>> eye = torch.eye(2)
    >>> share = torch.full((2,), 0.5)
    >>> round(float(information(eye, eye, torch.tensor([0, 1]), share, torch.tensor(1.0))), 4)  # log(1 + 1/e)
    0.3133
    """
    return F.cross_entropy(views @ words.T / temperature + prior.clamp_min(1e-12).log(), labels)


def structure(views: Tensor, labels: Tensor, words: Tensor) -> Tensor:
    """How differently classes lie to each other in the features and in the words.

    Cosines between centered class means, of the classes that the batch has twice or more, are standardized over pairs,
    and so are those of their words; the loss is the mean squared difference. It is 0 for features that are the words
    turned, shifted and scaled.

    Parameters
    ----------
    views : Tensor (B, q)
    labels : Tensor (B,)
    words : Tensor (K, d)

    Returns
    -------
    scalar Tensor
        0 with fewer than three such classes, which have no pairs to compare.
    """
    count = torch.bincount(labels, minlength=len(words))
    there = (count >= 2).nonzero().flatten()
    if len(there) < 3:
        return views.sum() * 0.0
    members = F.one_hot(labels, len(words))[:, there].to(views.dtype)
    means = members.T @ views / count[there, None].to(views.dtype)
    return (_standard(_cosines(means)) - _standard(_cosines(words[there].to(views.dtype)))).square().mean()


def _cosines(rows: Tensor) -> Tensor:
    """Cosines of centered rows, the pairs above the diagonal."""
    unit = F.normalize(rows - rows.mean(dim=0), dim=1)
    above = torch.triu_indices(len(rows), len(rows), 1, device=rows.device)
    return (unit @ unit.T)[above[0], above[1]]


def _standard(values: Tensor) -> Tensor:
    centered = values - values.mean()
    return centered / centered.square().mean().clamp_min(1e-12).sqrt()


class _Scarl(nn.Module):
    needs_perturbation = True
    words: Tensor
    prior: Tensor

    def __init__(
        self,
        words: np.ndarray[Any, Any],
        prior: np.ndarray[Any, Any],
        *,
        beta: float,
        information: float,
        structure: float,
        perturbed_share: float,
        hidden: int,
    ) -> None:
        super().__init__()
        self.beta, self.information, self.structure = beta, information, structure
        self.perturbed_share, self.hidden = perturbed_share, hidden
        self.register_buffer("words", F.normalize(torch.from_numpy(words).float(), dim=1))
        self.register_buffer("prior", torch.from_numpy(prior).float())
        self.log_temperature = nn.Parameter(torch.tensor(math.log(START)))
        self.head = ""

    def attach(self, model: nn.Module) -> None:
        """Make the projector for the features of a network, before its parameters join the optimizer."""
        self.head = head(model, len(self.prior))
        last = model.get_submodule(self.head)
        if not isinstance(last, nn.Linear):
            raise UnsupportedModel(f"scarl reads what enters the head, and {self.head} is a {type(last).__name__}")
        width = self.words.shape[1]
        self.projector = nn.Sequential(
            nn.Linear(last.in_features, self.hidden),
            nn.BatchNorm1d(self.hidden),
            nn.ReLU(),
            nn.Linear(self.hidden, width),
        )

    def forward(self, model: nn.Module, batch: Batch) -> Tensor:
        assert batch.perturbed is not None
        if len(batch.labels) < 2:
            raise DataError(
                "scarl normalizes features over a batch, and this one has a single image; enlarge batch_size"
            )
        entering: list[Tensor] = []
        hook = model.get_submodule(self.head).register_forward_pre_hook(lambda _, given: entering.append(given[0]))
        try:
            logits = full_precision(model(torch.cat([batch.images, batch.perturbed])))
        finally:
            hook.remove()
        images, perturbed = logits.chunk(2)
        loss = mixed_cross_entropy(images, perturbed, batch.labels, self.perturbed_share)
        loss = loss + self.beta * divergence(images, perturbed)
        attacked = entering[-1][len(images) :]
        views = F.normalize(full_precision(self.projector(attacked)), dim=1)
        if self.information:
            # The parameter itself is kept in range: clamping what is made of it would leave it no gradient to return.
            with torch.no_grad():
                self.log_temperature.clamp_(math.log(COLDEST), math.log(WARMEST))
            temperature = self.log_temperature.exp()
            loss = loss + self.information * information(views, self.words, batch.labels, self.prior, temperature)
        if self.structure:
            grown = math.exp(-5.0 * (1.0 - batch.progress) ** 2)
            loss = loss + self.structure * grown * structure(views, batch.labels, self.words)
        return loss


def scarl(
    dataset: Dataset,
    *,
    vectors: str = WORDNET,
    names: dict[str, str] | None = None,
    trust_pickle: bool = False,
    words: Source = "words",
    information: Annotated[float, Field(ge=0)] = 1.0,
    structure: Annotated[float, Field(ge=0)] = 1.0,
    beta: Annotated[float, Field(ge=0)] = 6.0,
    perturbed_share: Annotated[float, Field(ge=0, le=1)] = 1.0,
    hidden: Annotated[int, Field(ge=1)] = 64,
) -> nn.Module:
    """TRADES plus two terms that tie features of attacked images to the words of their labels.

    ``CE(F(x'), y) + beta KL(p(x) || p(x')) + information L_MI + structure exp(-5 (1 - t)^2) L_st``: a bound of the
    mutual information between features and words, and the agreement of the classes' arrangement with that of their
    words. Features enter the head; a projector takes them to the width of the words, which stay as they are. Where the
    words of all labels differ, their information is that of the labels: the words act through where classes lie, and
    only a comparison with permuted words shows whether they do.

    Parameters
    ----------
    dataset : Dataset
        Its labels, for their words and their shares in train.
    vectors : "wordnet", or the path of a file in GloVe's format
    names : dict of label to synset, or to words of the file
    trust_pickle : bool
        Open a ``.kv`` file of gensim, which is a pickle.
    words : "words", "permuted", "random" or "one-hot"
        Control arms: the same vectors given to other labels, random ones, a dimension per label.
    information, structure : float
        Weights of the two terms.
    beta : float
        Of the divergence.
    perturbed_share : float in [0, 1]
        Weight of the attacked copies in the cross-entropy; 1 as released, where TRADES has 0.
    hidden : int
        Width of the projector; 64 as released.

    Returns
    -------
    nn.Module
        ``forward(model, batch) -> scalar``. Before the first batch ``attach(model)`` makes the projector, whose
        parameters join the optimizer with the temperature, and which is thrown away after training.

    Raises
    ------
    DataError
        A label without a word; a data set without train; while training, a batch of one image.
    UnsupportedModel
        A network without a linear head.

    References
    ----------
    SCARL, as far as its released code says it. The released bound's positive part has next to no gradient at its
    constant of 0.01; here it is the one of Barber and Agakov over all labels, which needs no negatives. The released
    text projector, which can throw the meaning of words away, is left out, and the structure is that of cosines in
    place of relational distances.

    Examples
    --------
    >>> from biaskit import build
    >>> loss = scarl(build("colordigits"), words="one-hot")
    >>> loss.words.shape
    torch.Size([10, 10])
    """
    found: Words = class_words(dataset, vectors, names=names, trust_pickle=trust_pickle)
    generator = numpy_generator(0, "scarl", "words")
    if words == "permuted":
        found = permuted(found, generator)
    elif words == "random":
        found = random_words(found, generator)
    elif words == "one-hot":
        found = one_hot(found.names)
    labels = dataset.labels[dataset.rows("train")]
    if not len(labels):
        raise DataError(f"{dataset.name} has no rows to train on")
    shares = np.bincount(labels, minlength=len(dataset.classes)) / len(labels)
    return _Scarl(
        found.vectors, shares, beta=beta, information=information, structure=structure,
        perturbed_share=perturbed_share, hidden=hidden,
    )  # fmt: skip
