from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Annotated

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from pydantic import Field
from scipy.stats import t as student
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import one_hot

from biaskit.analyzers._groups import group_columns, grouped
from biaskit.attacks._common import evaluating
from biaskit.errors import DataError, UnsupportedModel
from biaskit.registry import bind
from biaskit.results import Column, Result
from biaskit.rng import torch_generator
from biaskit.subject import Subject

__all__ = ["input_gradient", "krylov_singular_value", "typical_distance"]

#: Pixels (height x width) and images of one pass: the graph of the second derivative holds three times the activations
#: of a forward pass.
_PIXELS, _IMAGES = 2**18, 64

#: Quantity -> its meaning and unit; each is measured per image.
QUANTITIES = {
    "logit_gradient": ("L2 norm of the gradient of the label's logit, mean", "logit / pixel L2"),
    "loss_gradient": ("L2 norm of the gradient of the cross-entropy, mean", "nat / pixel L2"),
    "lipschitz": ("largest singular value of the Jacobian of the logits, mean", "logit / pixel L2"),
    "relative_gradient": ("logit_gradient over logit_scale, mean; NaN where all images share their logits", ""),
    "relative_lipschitz": ("lipschitz over logit_scale, mean; NaN where all images share their logits", ""),
}
SCALE = Column("logit_scale", "typical distance between the logits of two images", "logit")


def input_gradient(
    subject: Subject,
    *,
    images: Annotated[int, Field(ge=2)] = 500,
    steps: Annotated[int, Field(ge=1)] = 10,
) -> Result:
    """How steeply the logits change with the pixels.

    Per image x with label y, in pixels of [0, 1]: ``||grad F_y(x)||``, ``||grad CE(F(x), y)||``, and the largest
    singular value of the Jacobian ``dF/dx``, which is the exact Lipschitz constant of the logits' linearization: no
    direction changes them faster, and to first order ``DS(x, x + d) <= lipschitz^2 ||d||^2``. The theory of semantic
    continuity says that training for it makes these smaller.

    A network whose logits are twice as large has twice the gradient and gives the same answers. The relative columns
    divide by the logit scale, the root of the mean DS between two of the images: of them alone one can say that a model
    is smoother. The gradient of the loss has no such form; it also vanishes where the model is sure. None of the
    numbers is a proof of robustness, since a model may hide its gradients.

    Parameters
    ----------
    subject : Subject
        Needs the model; with more labels than ``steps`` it must be twice differentiable.
    images : int
        Test images looked at, drawn once for all arms and seeds.
    steps : int
        Up to so many labels the Jacobian J is written out, a backward pass per label, and the value is exact. With more
        labels it is the best in a Krylov space of so many dimensions, from products with ``J J^T`` alone: a lower
        bound, with its residual in a note.

    Returns
    -------
    Result
        A row for all images and for every group of label and attributes. Per quantity the mean, the 95 % t interval
        over images (this model and other images), and the median. ``samples`` has ``row`` and the quantities.

    Raises
    ------
    SpecError
        An option outside its range.
    DataError
        No test images.
    UnsupportedModel
        The model has no gradient although its logits change (``no_grad``, rounding), or no second derivative.

    References
    ----------
    Wu et al., arXiv 2011.09789, for the claim; the quantities and their scale-free forms are ours.

    Examples
    --------
    >>> from biaskit import testing
    >>> table = input_gradient(Subject(testing.reads("background"), testing.tiny())).table
    >>> round(float(table["logit_gradient"][0]), 4)  # logit 10 * mean(blue - red): 10 / 64 in each of 128 pixel values
    1.7678
    """
    options = bind(input_gradient, {"images": images, "steps": steps}, "input_gradient")
    dataset, rows = subject.dataset, subject.sample(images, "input_gradient")
    if not len(rows):
        raise DataError("no test images to take a gradient at")
    scale = typical_distance(subject.logits_of(rows))
    found, residual = _measure(subject, rows, steps)
    if scale > 0 and not found["lipschitz"].any():
        raise UnsupportedModel(
            "the logits differ between images, but their gradient is 0 everywhere: something in the model stops it "
            "(torch.no_grad, detach, rounding); take that out"
        )
    for name, over in (("relative_gradient", "logit_gradient"), ("relative_lipschitz", "lipschitz")):
        found[name] = found[over] / scale if scale > 0 else np.full(len(rows), np.nan)
    table: list[dict[str, object]] = []
    for names, mine in grouped(dataset, rows):
        row: dict[str, object] = {**names, "n": int(mine.sum())}
        for name in QUANTITIES:
            row |= _summary(name, found[name][mine])
        table.append({**row, SCALE.name: scale})
    columns = (*group_columns(dataset), Column("n", "test images"), *_columns(), SCALE)
    logits = len(dataset.classes)
    note = (
        f"lipschitz is a lower bound from {steps} Krylov steps for {logits} logits; the largest residual of its square "
        f"is {residual:.1%}"
    )
    return Result(
        "input_gradient",
        pd.DataFrame(table, columns=[column.name for column in columns]),
        columns,
        options,
        pd.DataFrame({"row": rows, **{name: found[name] for name in QUANTITIES}}),
        notes=(note,) if steps < logits else (),
    )


def typical_distance(logits: Tensor) -> float:
    """Root of the mean squared distance between the logits (n, K) of two different images; NaN below two.

    Examples
    --------
    >>> typical_distance(torch.tensor([[0.0, 0.0], [3.0, 4.0]])), typical_distance(torch.full((9, 2), 0.1))
    (5.0, 0.0)
    """
    if len(logits) < 2:
        return float("nan")
    # The mean over pairs is twice the variance.
    distance = float((2 * logits.double().var(dim=0, correction=1).sum()).sqrt())
    # Logits that differ in the last bits of a float32 are the same: their distance is no scale.
    return distance if distance > 1e-6 * float(logits.abs().max()) else 0.0


def krylov_singular_value(
    product: Callable[[Tensor], Tensor], start: Tensor, steps: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The largest singular value of a matrix J for each image, from products ``v -> J J^T v`` alone.

    Rayleigh-Ritz in the Krylov space of ``start``: orthonormal v_1, v_2, ... from the products, then the largest
    eigenvalue of the small matrix ``v_i . J J^T v_j``.

    Parameters
    ----------
    product : callable
        (B, K) to (B, K).
    start : Tensor (B, K)
        Random; must not be orthogonal to the singular vector.
    steps : int

    Returns
    -------
    value : array (B,)
        At most the true one; equal to it where ``steps >= K``.
    residual : array (B,)
        ``||J J^T u - value^2 u|| / value^2`` of the unit vector u that attains it; 0 where the value is.

    Examples
    --------
    >>> scales = torch.tensor([[3.0, 2.0, 1.0]])
    >>> value, residual = krylov_singular_value(lambda v: v * scales**2, torch.ones(1, 3), steps=3)
    >>> round(float(value[0]), 5)
    3.0
    """
    vector = _unit(start.double(), torch.zeros(1))
    basis, images = [], []
    for _ in range(min(steps, start.shape[1])):
        image = product(vector.to(start.dtype)).double()
        rounding = 1e-12 * image.norm(dim=1, keepdim=True)
        basis.append(vector)
        images.append(image)
        space = torch.stack(basis, dim=1)
        for _ in range(2):  # once leaves rounding behind, twice is enough
            image = image - torch.einsum("bt,btk->bk", torch.einsum("btk,bk->bt", space, image), space)
        vector = _unit(image, rounding)
    space, moved = torch.stack(basis, dim=1), torch.stack(images, dim=1)
    small = torch.einsum("bik,bjk->bij", space, moved)
    values, vectors = torch.linalg.eigh((small + small.mT) / 2)
    top, weights = values[:, -1].clamp(min=0.0), vectors[:, :, -1]
    off = torch.einsum("bt,btk->bk", weights, moved) - top[:, None] * torch.einsum("bt,btk->bk", weights, space)
    residual = torch.where(top > 0, off.norm(dim=1) / top, 0.0)
    return top.sqrt().numpy(), residual.numpy()


def _unit(vectors: Tensor, least: Tensor) -> Tensor:
    """Each line over its norm; one that is nothing but rounding, where the space is used up, becomes 0."""
    norm = vectors.norm(dim=1, keepdim=True)
    return torch.where(norm > least, vectors / norm, 0.0)


def _measure(
    subject: Subject, rows: npt.NDArray[np.int64], steps: int
) -> tuple[dict[str, npt.NDArray[np.float64]], float]:
    """The three quantities in logits, per image, and the largest residual."""
    dataset, device = subject.dataset, subject.device
    generator = torch_generator(0, "input_gradient")
    _, height, width = dataset.images.shape
    size = max(1, min(_IMAGES, _PIXELS // (height * width)))
    parts: dict[str, list[npt.NDArray[np.float64]]] = {"logit_gradient": [], "loss_gradient": [], "lipschitz": []}
    worst = 0.0
    # The fused attention kernels have no second derivative; the plain one gives the same numbers.
    with evaluating(subject.model), sdpa_kernel(SDPBackend.MATH):
        for batch, images in subject.batches(rows, size):
            near = _Linearized(subject.model, images)
            label = one_hot(torch.from_numpy(dataset.labels[batch]).to(device), len(dataset.classes)).to(images.dtype)
            parts["logit_gradient"].append(_norms(near.pulled(label)))
            parts["loss_gradient"].append(_norms(near.pulled(near.logits.detach().softmax(dim=1) - label)))
            if label.shape[1] <= steps:
                value = near.largest_singular_value()
            else:
                start = torch.randn(label.shape, generator=generator)
                value, residual = krylov_singular_value(near.gram, start, steps)
                worst = max(worst, float(residual.max()))
            parts["lipschitz"].append(value)
    return {name: np.concatenate(values) for name, values in parts.items()}, worst


class _Linearized:
    """Products with the Jacobian J (K x pixels) of the logits at each image of a batch."""

    def __init__(self, model: nn.Module, images: Tensor) -> None:
        self.images = images.detach().requires_grad_()
        self.logits = model(self.images).to(images.dtype)

    def pulled(self, vectors: Tensor, create_graph: bool = False) -> Tensor:
        """``J^T v``, (B, K) to (B, C, H, W)."""
        if not self.logits.requires_grad:
            return torch.zeros_like(self.images)
        (found,) = torch.autograd.grad(
            self.logits, self.images, vectors, retain_graph=True, create_graph=create_graph, materialize_grads=True
        )
        return found

    def largest_singular_value(self) -> npt.NDArray[np.float64]:
        """Of J itself, one row after the other, (B,)."""
        unit = torch.eye(self.logits.shape[1], dtype=self.logits.dtype, device=self.logits.device)
        rows = torch.stack([self.pulled(one.expand_as(self.logits)).flatten(1).double() for one in unit], dim=1)
        squares = torch.linalg.eigvalsh(rows @ rows.mT)[:, -1]
        return np.asarray(squares.clamp(min=0.0).sqrt().cpu().numpy())

    def gram(self, vectors: Tensor) -> Tensor:
        """``J J^T v``, (B, K) to (B, K), on the CPU; J is never formed."""
        vector, pulled = self._linear
        vectors = vectors.to(self.logits.device)
        back = self.pulled(vectors)
        found = torch.zeros_like(vectors)
        if pulled.requires_grad:
            try:
                (found,) = torch.autograd.grad(pulled, vector, back, retain_graph=True, materialize_grads=True)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:
                raise _once_only(vectors, str(error).partition("\n")[0]) from error
        # v . J J^T v = ||J^T v||^2. A step that has no second derivative may drop out without a word.
        squared = back.flatten(1).square().sum(dim=1)
        if bool(((vectors * found).sum(dim=1) - squared).abs().gt(0.02 * squared).any()):
            raise _once_only(vectors, "a part of it has no second derivative")
        return found.cpu()

    @cached_property
    def _linear(self) -> tuple[Tensor, Tensor]:
        """v and ``J^T v`` as a function of it: linear, so its derivative by v, applied to u, is ``J u``."""
        vector = torch.zeros_like(self.logits).requires_grad_()
        return vector, self.pulled(vector, create_graph=True)


def _once_only(vectors: Tensor, reason: str) -> UnsupportedModel:
    return UnsupportedModel(
        f"the model cannot be differentiated twice: {reason}; with steps = {vectors.shape[1]}, the number of labels, "
        "once is enough"
    )


def _norms(images: Tensor) -> npt.NDArray[np.float64]:
    return np.asarray(images.detach().flatten(1).double().norm(dim=1).cpu().numpy())


def _columns() -> tuple[Column, ...]:
    found: list[Column] = []
    for name, (meaning, unit) in QUANTITIES.items():
        found += [
            Column(name, meaning, unit, "lower"),
            Column(f"{name}_low", "95 % t interval over images, this model"),
            Column(f"{name}_high", "95 % t interval over images, this model"),
            Column(f"{name}_median", "the same, median over images", unit, "lower"),
        ]
    return tuple(found)


def _summary(name: str, values: npt.NDArray[np.float64]) -> dict[str, float]:
    n = len(values)
    mean = float(values.mean()) if n else np.nan
    half = float(student.ppf(0.975, n - 1) * values.std(ddof=1) / np.sqrt(n)) if n > 1 else np.nan
    median = float(np.median(values)) if n else np.nan
    low = max(mean - half, 0.0) if n > 1 else np.nan  # a t interval knows no bounds, a norm does
    return {name: mean, f"{name}_low": low, f"{name}_high": mean + half, f"{name}_median": median}
