"""The search: every starting point of every object at once, bounded in steps and in memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from biaskit.errors import DataError, SpecError, UnsupportedModel, nearest
from biaskit.regions._bounds import CORNERS_UP_TO, Method, Settings, descent
from biaskit.regions._sobol import sobol

__all__ = ["METHODS", "Confidence", "Inside", "Regions", "find_regions"]

METHODS: tuple[Method, ...] = get_args(Method)
#: (job (m,), points (m, n)) -> confidence (m,) in [0, 1], differentiable in the points for OIR_W and TRAP.
Confidence = Callable[[Tensor, Tensor], Tensor]
Status = Literal["found", "unfinished", "collapsed", "wrong at the start", "not a number"]
#: The jobs that have a box.
SEARCHED = ("found", "unfinished", "collapsed")
#: No side is shorter than this share of its range.
NARROWEST = 1e-3
#: A region that moves less than this, and less than this share of itself, in so many steps stands still: the published
#: setting grows from boxes of a hundred-thousandth of a degree.
_STILL, _SLOW, _PATIENCE = 1e-6, 1e-3, 5
#: A box that is so many times its range out of the domain runs away, to where parameters mean nothing, and is stopped.
_AWAY = 10.0
#: Frames of a trace.
_FRAMES = 50


@dataclass(frozen=True)
class Inside:
    """What Sobol samples inside the regions say; no method promises it.

    Attributes
    ----------
    mean, variance, lowest : float array (J,)
        Of the confidence; NaN where there is no region.
    holes : float array (J,)
        Share of the samples below ``level``.
    samples : int
    level : float
    """

    mean: npt.NDArray[np.float64]
    variance: npt.NDArray[np.float64]
    lowest: npt.NDArray[np.float64]
    holes: npt.NDArray[np.float64]
    samples: int
    level: float

    def satisfied(self, miss: float, variance: float) -> npt.NDArray[np.bool_]:
        """Whether the mean is at least ``1 - miss`` and the variance at most ``variance``; never where undefined."""
        return np.asarray((self.mean >= 1 - miss) & (self.variance <= variance))


@dataclass(frozen=True, eq=False)
class Regions:
    """One box per job.

    Attributes
    ----------
    lower, upper : Tensor (J, n)
        NaN where nothing was searched.
    start : Tensor (J, n)
    confidence : Tensor (J,)
        At the start.
    status : tuple of str
        ``"found"``; ``"unfinished"``: it still moved when the steps were over, or left the domain by ten times its
        range; ``"collapsed"``: every side is as short as can be; ``"wrong at the start"``: not searched;
        ``"not a number"``: the confidence was NaN on the way.
    steps : Tensor (J,)
        Steps that were taken.
    trace : Tensor (frames, J, 2, n)
        Bounds on the way, at most fifty frames, the last one final.
    """

    lower: Tensor
    upper: Tensor
    start: Tensor
    confidence: Tensor
    status: tuple[Status, ...]
    steps: Tensor
    trace: Tensor

    @property
    def volume(self) -> npt.NDArray[np.float64]:
        """Share of the domain that each box covers, (J,): 0 where it collapsed or the start was wrong, else NaN.

        Volume outside the domain does not count; the published table counts it.
        """
        sides = (self.upper.clamp(0, 1) - self.lower.clamp(0, 1)).clamp_min(0)
        found = sides.double().prod(1).cpu().numpy()
        nothing = [one in ("collapsed", "wrong at the start") for one in self.status]
        return np.where(nothing, 0.0, np.where([one == "not a number" for one in self.status], np.nan, found))

    @torch.no_grad()
    def inside(self, f: Confidence, *, samples: int = 256, level: float = 0.5, batch: int = 4096) -> Inside:
        """Look at so many points of each box: what the confidence is between its corners.

        Raises
        ------
        SpecError
            Fewer than two samples, or no batch.
        """
        if samples < 2 or batch < 1:
            raise SpecError(f"{samples} samples in batches of {batch}: a variance needs two, and a batch one")
        count, n = self.lower.shape
        unit = sobol(samples, n, 0).to(self.lower)
        kept = torch.tensor([one in SEARCHED for one in self.status], device=self.lower.device)
        found = np.full((4, count), np.nan)
        each = max(1, batch // samples)
        for rows in torch.split(kept.nonzero().flatten(), each) if bool(kept.any()) else ():
            a, b = self.lower[rows], self.upper[rows]
            points = a[:, None] + unit * (b - a)[:, None]
            values = _asked(f, rows.repeat_interleave(samples), points.reshape(-1, n)).reshape(len(rows), samples)
            values, low = values.double(), values.double().amin(1)
            # A share of points of which some are not a number is none either.
            holes = torch.where(low.isnan(), torch.nan, (values < level).double().mean(1))
            parts = (values.mean(1), values.var(1), low, holes)
            found[:, rows.cpu().numpy()] = torch.stack(parts).cpu().numpy()
        return Inside(found[0], found[1], found[2], found[3], samples, level)


def find_regions(
    f: Confidence,
    starts: Tensor,
    *,
    method: Method = "level",
    steps: int = 800,
    rate: float = 0.005,
    half_width: float = 0.01,
    alpha: float = 0.05,
    beta: float | None = None,
    lam: float = 0.1,
    level: float = 0.5,
    grad_sign: Literal[1, -1] = -1,
    face_means: bool = True,
    project: bool = True,
    lengths: Sequence[float] | None = None,
    least: float = 0.0,
    points: int = 16,
    batch: int = 4096,
) -> Regions:
    """Grow a box around every starting point by gradient descent on its bounds.

    Every method moves faces by what the confidence is on them: ``naive`` outwards by the mean, inwards by ``lam`` times
    the side; ``level`` by the mean less ``level``, so that it stops where the mean of a face is just that; ``oir_b``
    compares the box with one larger by ``alpha``; ``oir_w`` with its rim, weighted by ``beta``; ``trap`` is the
    trapezoid rule of the published paper, which diverges, as a diagnostic.

    Parameters
    ----------
    f : callable
        Job numbers (m,) and points (m, n) to confidences (m,).
    starts : Tensor (J, n)
        In [0, 1].
    method : str
    steps : int
    rate : float
        In shares of a range.
    half_width : float
        Of the first box.
    alpha, lam, level : float
    beta : float, optional
        Of ``oir_w``, below ``2 / (2n - 1)``; default half of ``1 / (2n - 1)``.
    grad_sign : 1 or -1
        Of ``oir_w``: with 1, as derived, the box grows as long as there is any confidence; with -1, as the released
        code has it, it stops at the top of a slope.
    face_means : bool
        Divide by the area of the face. Without, as published, boxes of three and more dimensions never grow.
    project : bool
        Keep the box in the domain and the start in the box. Without, as the released code does, boxes leave the domain.
    lengths : sequence of float, optional
        The ranges in physical units, such as ``(360.0, 100.0)`` degrees: ``rate``, ``half_width``, ``lam`` and areas
        are then in these units, as published, and no longer in shares of the ranges.
    least : float
        Jobs that begin with less confidence are not searched, and say so.
    points : int
        Random points per face above eight dimensions.
    batch : int
        Points that ``f`` is asked for at a time.

    Returns
    -------
    Regions

    Raises
    ------
    SpecError
        An option outside its range; ``oir_w`` or ``trap`` above eight dimensions, where they have no random form.
    DataError
        Starts outside [0, 1], NaN, of another shape, or none; a confidence of another shape.
    UnsupportedModel
        ``oir_w`` or ``trap`` of a confidence without a gradient.

    References
    ----------
    Hamdi & Ghanem, Towards Analyzing Semantic Robustness of Deep Neural Networks, ECCV 2020, section 4. Their setting
    is ``rate=0.1, half_width=1e-5, steps=800, alpha=0.05, beta=0.0009, lam=0.1, face_means=False, project=False,
    lengths=(360.0, 100.0)``. ``level``, face means and shares of the ranges are ours.

    Examples
    --------
    >>> plateau = lambda job, u: ((u > 0.25) & (u < 0.75)).all(1).float()
    >>> found = find_regions(plateau, torch.full((1, 3), 0.5))
    >>> [round(value, 1) for value in (found.upper - found.lower)[0].tolist()]
    [0.5, 0.5, 0.5]
    """
    n = starts.shape[1] if starts.ndim == 2 else 0
    if lengths is not None and not (len(lengths) == n and all(0 < one < math.inf for one in lengths)):
        raise SpecError(f"lengths {list(lengths)}: expected {n} numbers above 0")
    numbers = {"rate": rate, "alpha": alpha, "lam": lam, "level": level, "grad_sign": grad_sign}
    strange = [name for name, one in numbers.items() if not math.isfinite(one)]
    if strange or alpha <= 0 or lam < 0 or grad_sign not in (1, -1):
        said = ", ".join(f"{name} {one:g}" for name, one in numbers.items())
        raise SpecError(f"{said}: expected finite numbers, alpha above 0, lam from 0, and 1 or -1 for grad_sign")
    share = half_width / min(lengths) if lengths is not None else half_width
    _check(starts, method, steps=steps, rate=rate, half_width=share, n=n, points=points, batch=batch)
    beta = 0.5 / (2 * n - 1) if beta is None else beta
    if method == "oir_w" and not 0 <= beta < 2 / (2 * n - 1):
        raise SpecError(f"beta {beta:g}: in {n} dimensions oir_w needs 0 <= beta < {2 / (2 * n - 1):g}")
    settings = Settings(method, alpha, beta, lam, level, grad_sign, face_means, points)
    # The first box of the published setting is narrower than a single float tells apart at 360 degrees.
    u0, dtype = starts.detach().double(), starts.dtype
    size = torch.ones_like(u0[:1]) if lengths is None else u0.new_tensor(lengths)[None]
    with torch.no_grad():
        confidence = _in_parts(f, torch.arange(len(u0), device=u0.device), u0, batch, dtype)
    # Bounds in the units of the search; what is looked at, projected and given back is in shares of the ranges.
    a, b = u0 * size - half_width, u0 * size + half_width
    if project:
        a, b = _projected(a, b, u0, size)
    bad, wrong = ~confidence.isfinite(), confidence < least
    open_, away = ~bad & ~wrong, torch.zeros_like(bad)
    still, taken = torch.zeros(len(u0), dtype=torch.long, device=u0.device), torch.zeros_like(open_, dtype=torch.long)
    every, frames = max(1, -(-steps // _FRAMES)), [torch.stack([a, b], dim=1) / size]
    for step in range(steps):
        jobs = open_.nonzero().flatten()
        if not len(jobs):
            break
        da, db = descent(_evaluator(f, jobs, batch, size, dtype, inside=project), a[jobs], b[jobs], settings, step)
        lost = ~(da.isfinite() & db.isfinite()).all(1)
        new_a, new_b = a[jobs] - rate * da.nan_to_num(0, 0, 0), b[jobs] - rate * db.nan_to_num(0, 0, 0)
        if project:
            new_a, new_b = _projected(new_a, new_b, u0[jobs], size)
        moved = torch.maximum((new_a - a[jobs]).abs(), (new_b - b[jobs]).abs()) / size
        rests = ((moved < _STILL) & (moved <= _SLOW * (b[jobs] - a[jobs]).abs() / size)).all(1)
        a[jobs], b[jobs] = new_a, new_b
        taken[jobs] += 1
        still[jobs] = torch.where(rests, still[jobs] + 1, 0)
        bad[jobs] |= lost
        away[jobs] = ((new_a / size < -_AWAY) | (new_b / size > 1 + _AWAY)).any(1)
        open_[jobs] = ~lost & ~away[jobs] & (still[jobs] < _PATIENCE)
        if step % every == every - 1:
            frames.append(torch.stack([a, b], dim=1) / size)
    a, b = a / size, b / size
    frames.append(torch.stack([a, b], dim=1))
    collapsed = ((b - a) <= NARROWEST * (1 + 1e-3)).all(1)
    status = np.full(len(u0), "found", dtype=object)
    # The later ones weigh more.
    for words, which in (
        ("unfinished", open_ | away),
        ("collapsed", collapsed),
        ("wrong at the start", wrong),
        ("not a number", bad),
    ):
        status[which.cpu().numpy()] = words
    hidden = (bad | wrong)[:, None]
    lower, upper = a.masked_fill(hidden, torch.nan), b.masked_fill(hidden, torch.nan)
    lower, upper, trace = lower.to(dtype), upper.to(dtype), torch.stack(frames).to(dtype)
    return Regions(lower, upper, u0.to(dtype), confidence.to(dtype), tuple(status.tolist()), taken, trace)


def _check(
    starts: Tensor, method: str, *, steps: int, rate: float, half_width: float, n: int, points: int, batch: int
) -> None:
    if method not in METHODS:
        close = nearest(method, METHODS)
        raise SpecError(f"method {method!r}: " + (f"did you mean {close[0]}?" if close else f"one of {METHODS}"))
    if starts.ndim != 2 or not n or not len(starts) or not starts.is_floating_point():
        raise DataError(f"starts need shape (jobs, dimensions) and floats; got {tuple(starts.shape)}, {starts.dtype}")
    outside = ~((starts >= 0) & (starts <= 1)).all(1)
    if bool(outside.any()):
        row = int(outside.nonzero()[0])
        raise DataError(f"start {row} is {starts[row].tolist()}; every coordinate lies in [0, 1]")
    if steps < 1 or points < 1 or batch < 1 or not rate > 0 or not 0 < half_width <= 0.5:
        raise SpecError("steps, points, batch and rate are above 0, and half_width is in (0, 0.5] of a range")
    if n > CORNERS_UP_TO and method in ("oir_w", "trap"):
        raise SpecError(
            f"{method} reads all {2**n:,} corners of a box of {n} dimensions, more than {2**CORNERS_UP_TO}; take "
            "level, naive or oir_b, which look at random points of the faces"
        )


def _projected(a: Tensor, b: Tensor, u0: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """The box in the domain, around its start, and no side shorter than allowed."""
    a, b = torch.minimum(a / size, u0).clamp(0, 1), torch.maximum(b / size, u0).clamp(0, 1)
    small = (u0 - NARROWEST / 2).clamp(0, 1 - NARROWEST)
    short = b - a < NARROWEST
    return torch.where(short, small, a) * size, torch.where(short, small + NARROWEST, b) * size


def _evaluator(
    f: Confidence, jobs: Tensor, batch: int, size: Tensor, dtype: torch.dtype, *, inside: bool
) -> Callable[[Tensor, bool], tuple[Tensor, Tensor | None]]:
    """``f`` over points (J, P, n) of the given jobs; with ``inside`` a point beyond the domain is taken at its edge."""

    def evaluate(points: Tensor, slopes: bool) -> tuple[Tensor, Tensor | None]:
        count, each, n = points.shape
        flat = points.reshape(-1, n) / size
        flat = flat.clamp(0, 1) if inside else flat
        numbers = jobs.repeat_interleave(each)
        if not slopes:
            with torch.no_grad():
                return _in_parts(f, numbers, flat, batch, dtype).reshape(count, each), None
        values, found = [], []
        with torch.enable_grad():
            for some, part in zip(torch.split(numbers, batch), torch.split(flat, batch), strict=True):
                at = part.to(dtype).detach().requires_grad_(True)
                value = _asked(f, some, at)
                slope = torch.autograd.grad(value.sum(), at, allow_unused=True)[0] if value.requires_grad else None
                if slope is None:
                    raise UnsupportedModel(
                        "oir_w and trap read the gradient of the confidence in the semantic parameters, and this one "
                        "has none; take level, naive or oir_b"
                    )
                values.append(value.detach().double())
                found.append(slope.double() / size)
        return torch.cat(values).reshape(count, each), torch.cat(found).reshape(count, each, n)

    return evaluate


def _in_parts(f: Confidence, jobs: Tensor, points: Tensor, batch: int, dtype: torch.dtype) -> Tensor:
    parts = zip(torch.split(jobs, batch), torch.split(points, batch), strict=True)
    return torch.cat([_asked(f, some, part.to(dtype)).detach().double() for some, part in parts])


def _asked(f: Confidence, jobs: Tensor, points: Tensor) -> Tensor:
    value = f(jobs, points)
    if value.shape != jobs.shape:
        raise DataError(f"{len(jobs)} points need a confidence each, of shape ({len(jobs)},); got {tuple(value.shape)}")
    return value
