"""How the faces of a box move: the gradients of every method with respect to its bounds.

A box has the lower corner ``a``, the upper corner ``b``, sides ``r = b - a``; descent moves ``a <- a - rate * da``.
Everything is written in means over faces, which integrals over faces divided by the face's area are; with corners alone
the mean is the trapezoid rule, exact where the confidence is multilinear.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from biaskit.regions._sobol import sobol

__all__ = ["CORNERS_UP_TO", "Method", "Settings", "descent"]

Method = Literal["naive", "oir_b", "oir_w", "trap", "level"]
#: Up to so many dimensions a box is looked at in its corners; beyond, in random points of its faces.
CORNERS_UP_TO = 8
#: (job, points) -> confidence, and its gradient in the points where asked for.
Evaluate = Callable[[Tensor, bool], tuple[Tensor, Tensor | None]]


@dataclass(frozen=True)
class Settings:
    """What a method is told.

    Attributes
    ----------
    method : str
    alpha : float
        OIR_B: how much larger the outer box is, as a share of every side.
    beta : float
        OIR_W: weight of the rim.
    lam : float
        Naive and TRAP: price of size.
    level : float
        Level: the confidence that a face has in the mean when it stops.
    grad_sign : 1 or -1
        OIR_W: the sign of the confidence's gradient; -1 as the released code has it.
    face_means : bool
        Whether a face moves by its mean (True) or by its integral, as published.
    points : int
        Random points per face above eight dimensions.
    """

    method: Method
    alpha: float
    beta: float
    lam: float
    level: float
    grad_sign: Literal[1, -1]
    face_means: bool
    points: int


def descent(evaluate: Evaluate, a: Tensor, b: Tensor, settings: Settings, step: int) -> tuple[Tensor, Tensor]:
    """The gradients (da, db), each (J, n), of the loss of a method.

    Parameters
    ----------
    evaluate : callable
        Points (J, P, n) to confidences (J, P), and gradients (J, P, n) where the flag asks for them.
    a, b : Tensor (J, n)
    settings : Settings
    step : int
        Draws the random points of a step above eight dimensions.

    References
    ----------
    Hamdi & Ghanem, Towards Analyzing Semantic Robustness of Deep Neural Networks, ECCV 2020: naive, OIR_B, OIR_W and
    TRAP. The published n-dimensional naive gradient has the sign of its last term turned round, and that of OIR_W in
    one dimension one sign; here they are as derived, and checked by finite differences. ``level`` is ours.
    """
    n = a.shape[1]
    r = b - a
    area = torch.exp(r.clamp_min(1e-30).log().sum(1, keepdim=True) - r.clamp_min(1e-30).log())
    if settings.method in ("oir_w", "trap"):
        da, db = _with_slopes(evaluate, a, b, settings)
    else:
        low, up = _face_means(evaluate, a, b, settings.points, step)
        if settings.method == "oir_b":
            rim = settings.alpha * r / 2
            outer_low, outer_up = _face_means(evaluate, a - rim, b + rim, settings.points, step)
            grown, half = (1 + settings.alpha) ** (n - 1), settings.alpha / 2
            da = 2 * low - grown * ((1 + half) * outer_low + half * outer_up)
            db = -2 * up + grown * ((1 + half) * outer_up + half * outer_low)
        else:
            asked = settings.level if settings.method == "level" else 0.0
            da, db = low - asked, asked - up
    if not settings.face_means:
        da, db = da * area, db * area
    if settings.method in ("naive", "trap"):
        da, db = da - settings.lam * r, db + settings.lam * r
    return da, db


@lru_cache(maxsize=16)
def _codes(n: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """The corners of the unit cube, (2^n, n)."""
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=n)), dtype=dtype, device=device)


def _corners(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Codes (2^n, n) and corners (J, 2^n, n)."""
    codes = _codes(a.shape[1], a.dtype, a.device)
    return codes, a[:, None] + codes * (b - a)[:, None]


def _face_means(evaluate: Evaluate, a: Tensor, b: Tensor, points: int, step: int) -> tuple[Tensor, Tensor]:
    """The mean confidence on every lower and every upper face, (J, n) each."""
    count, n = a.shape
    if n <= CORNERS_UP_TO:
        codes, corners = _corners(a, b)
        values, _ = evaluate(corners, False)
        return values @ (1 - codes) / 2 ** (n - 1), values @ codes / 2 ** (n - 1)
    inside = sobol(points, n, step).to(a)
    # Every face takes the same points, with its own coordinate at its end.
    faces = inside.expand(2, n, points, n).clone()
    for axis in range(n):
        faces[0, axis, :, axis], faces[1, axis, :, axis] = 0.0, 1.0
    placed = a[:, None] + faces.reshape(1, -1, n) * (b - a)[:, None]
    values, _ = evaluate(placed, False)
    means = values.reshape(count, 2, n, points).mean(3)
    return means[:, 0], means[:, 1]


def _with_slopes(evaluate: Evaluate, a: Tensor, b: Tensor, settings: Settings) -> tuple[Tensor, Tensor]:
    """OIR_W and TRAP, which read the gradient of the confidence in the corners; per area of a face."""
    n, r = a.shape[1], b - a
    codes, corners = _corners(a, b)
    values, slopes = evaluate(corners, True)
    assert slopes is not None
    slopes = settings.grad_sign * slopes if settings.method == "oir_w" else slopes
    at_low, at_up = 1 - codes, codes  # (2^n, n)
    sum_low, sum_up = values @ at_low, values @ at_up
    own_low, own_up = (slopes * at_low).sum(1), (slopes * at_up).sum(1)
    share = 1 / 2**n
    if settings.method == "trap":
        whole = values.sum(1, keepdim=True)
        return share * (whole - r * own_low), -share * (whole + r * own_up)
    beta = settings.beta
    gamma = 2 - beta * (2 * n - 1)
    # How much the other sides' slopes say about a face: of side i with sign, summed over i other than the face's own.
    signed = slopes * (at_low - at_up) * r[:, None]
    others = signed.sum(2, keepdim=True) - signed
    cross_low, cross_up = (others * at_low).sum(1), -(others * at_up).sum(1)
    da = gamma * sum_low - beta * sum_up + beta * (r * own_low + cross_low)
    db = -(gamma * sum_up - beta * sum_low) + beta * (r * own_up + cross_up)
    return share * da, share * db
