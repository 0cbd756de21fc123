"""What a study measures and finds: a number of an arm, and whether a published claim holds, with its uncertainty."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from biaskit import stats
from biaskit._differences import linear_difference
from biaskit.errors import SpecError
from biaskit.evidence import ArmEvidence, Ground, measures_of, seed_interval
from biaskit.studycard import Claim, Measure

__all__ = ["Measured", "contrast", "conditions", "distribution", "findings", "measure"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """A number of an arm with its 95 % interval.

    Attributes
    ----------
    value, low, high : float
    n : int
        Images.
    seeds : int
    over : str
        What the interval speaks of: ``"seeds and images"``, or ``"seeds"`` where an analyzer keeps no samples.
    reason : str
        Why there is no number; empty where there is one.
    """

    value: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    n: int = 0
    seeds: int = 0
    over: str = ""
    reason: str = ""


def measure(arm: ArmEvidence, what: Measure, ground: Ground) -> Measured:
    """A number of an arm, over seeds and images where the analyzer keeps a line per image."""
    per_image, groups = _table(arm, what, ground)
    if per_image is None:
        return _over_seeds(arm, what)
    if not per_image.shape[1]:
        return Measured(seeds=len(arm.seeds), reason="no test images of this kind")
    values = per_image.to_numpy(float)
    if _binary(values) and not what.relative_to:
        rate = stats.arm_rate(values, None, groups)
    else:
        rate = stats.arm_contrast(values, np.full(values.shape[1], 1 / values.shape[1]), groups, floor=False)
    least, most = what.limits or ((0.0, 1.0) if what.unit == "%" and not what.relative_to else (-np.inf, np.inf))
    # A t interval knows no bounds; what is never negative has one.
    least = max(least, 0.0) if what.relative_to or float(values.min()) >= 0 else least
    low, high = max(rate.low, least), min(rate.high, most)
    return Measured(rate.estimate, low, high, values.shape[1], len(values), "seeds and images")


def contrast(what: Measure, a: ArmEvidence, b: ArmEvidence, ground: Ground) -> stats.Difference:
    """Arm a minus arm b; of a measure that is compared as a ratio, on the log scale.

    Over seeds and images where a line per image is kept, else over seeds alone.
    """
    if what.metric and not what.where:
        found = linear_difference(what.metric, b, a, ground)
        return found if found is not None else _undefined("these data have no twins to flip")
    tables = [_table(arm, what, ground)[0] for arm in (b, a)]
    if tables[0] is None and tables[1] is None and not what.ratio:
        sides = [_per_seed(arm, what) for arm in (b, a)]
        reason = sides[0][2] or sides[1][2]
        if reason:
            return _undefined(reason)
        n = min(sides[0][1], sides[1][1])
        return stats.seed_difference(sides[0][0], sides[1][0], b.seeds, a.seeds, n=n)
    if tables[0] is None or tables[1] is None:
        missing = a.name if tables[1] is None else b.name
        return _undefined(f"{what.analyzer} gives no {what.column} per image for {missing}")
    shared = tables[0].columns.intersection(tables[1].columns)
    if not len(shared):
        return _undefined("the arms have no such images in common")
    values = [one[shared].to_numpy(float) for one in tables if one is not None]
    if what.ratio:
        return stats.log_ratio(values[0], values[1], None, b.seeds, a.seeds).difference
    floor = not what.relative_to and _binary(values[0]) and _binary(values[1])
    return stats.difference(values[0], values[1], None, None, b.seeds, a.seeds, floor=floor)


def findings(
    claims: Sequence[Claim],
    measures: Mapping[str, Measure],
    evidence: Mapping[str, ArmEvidence],
    ground: Ground,
    *,
    looks: int = 1,
) -> list[dict[str, Any]]:
    """What may be said of the claims of one item: ``holds``, ``does not hold`` or ``inconclusive``.

    The family is all claims of the item. ``higher`` and ``lower`` hold where the whole interval that covers together
    with those of the other claims (Bonferroni, 5 % over all looks) lies on that side of 0, and do not hold where it
    lies on the other. ``not lower`` is the same with 0 moved by the margin: a larger loss is ruled out, or shown.
    Everything else, and anything from fewer than three seeds, is inconclusive. What is said here is never more than
    Holm's p, which stands beside it, allows.

    Returns
    -------
    list of dict
        One per claim: estimate, the interval that holds together with the others, p after Holm, finding, reason.
    """
    differences = [contrast(measures[one.measure], evidence[one.arm], evidence[one.than], ground) for one in claims]
    moved = [_moved(d, _shift(one)) for d, one in zip(differences, claims, strict=True)]
    ways = ["higher" if one.expect in ("higher", "not lower") else "lower" for one in claims]
    verdicts = stats.judge(moved, ways, None, looks) if claims else []  # type: ignore[arg-type]
    words = {"better": "holds", "worse": "does not hold"}
    found = []
    for one, d, verdict in zip(claims, differences, verdicts, strict=True):
        what = measures[one.measure]
        shown = verdict.low > 0 or verdict.high < 0
        ends = [d.estimate, verdict.low - _shift(one), verdict.high - _shift(one)]
        if what.ratio:
            ends = [float(np.exp(end)) for end in ends]
        elif what.unit == "%" and not what.relative_to:
            ends = [ends[0], max(ends[1], -1.0), min(ends[2], 1.0)]
        found.append(
            {
                "claim": one.claim,
                "contrast": f"{one.arm} {'/' if what.ratio else '-'} {one.than}",
                "measure": what.title,
                "expect": one.expect,
                "margin": one.margin or None,
                "unit": "ratio" if what.ratio else what.unit,
                "estimate": ends[0],
                "low": ends[1],
                "high": ends[2],
                "p_holm": verdict.p_holm,
                "finding": words.get(verdict.word, "inconclusive") if shown else "inconclusive",
                "n": d.n,
                "seeds": d.seeds,
                "reason": verdict.reason.replace("predictions", "values"),
            }
        )
    return found


def conditions(arm: ArmEvidence, what: Measure, key: str) -> list[Any]:
    """The values of a key column in the table of an analyzer, in ascending order."""
    found = arm.results.get(what.analyzer)
    if found is None:
        return []
    if key not in found.table:
        raise SpecError(f"{what.analyzer} has no column {key}; it has {', '.join(map(str, found.table))}")
    part = _part(found.table, what, {name: value for name, value in what.where.items() if name != key})
    return sorted(dict.fromkeys(part[key].tolist()))


def _table(arm: ArmEvidence, what: Measure, ground: Ground) -> tuple[pd.DataFrame | None, Any]:
    """The measure per seed and image, and the strata of the images; None where no line per image is kept."""
    if what.metric == "average_accuracy":
        kept = _rows_where(ground, what)
        return pd.DataFrame(arm.correct(ground)[:, kept], columns=kept), ground.groups[kept]
    if what.metric == "flip_rate":
        flips = arm.flips()
        return (None if flips is None else pd.DataFrame(flips)), None
    top = _condition(arm, what, what.where)
    if top is None or not what.relative_to:
        return top, None
    base = _condition(arm, what, {**what.where, **what.relative_to})
    if base is None:
        return None, None
    shared = top.columns.intersection(base.columns)
    # A ratio of two means over the same images, written as a mean over images: its exact value, and the linear part
    # of how each image moves it.
    above, below = top[shared].to_numpy(float), base[shared].to_numpy(float)
    means = below.mean(axis=1, keepdims=True)
    if not len(shared) or (means == 0).any():
        return None, None
    left = above.mean(axis=1, keepdims=True) / means
    return pd.DataFrame(left + (above - left * below) / means, index=top.index, columns=shared), None


def _rows_where(ground: Ground, what: Measure) -> npt.NDArray[np.int64]:
    """Places among the test images that have the attributes asked for; none where the data have no such attribute."""
    part = ground.dataset.table.iloc[ground.test]
    kept = np.ones(len(part), bool)
    for key, value in what.where.items():
        wanted = [str(one) for one in (value if isinstance(value, list) else [value])]
        kept &= part[key].astype(str).isin(wanted).to_numpy() if key in part else False
    return np.flatnonzero(kept)


def _condition(arm: ArmEvidence, what: Measure, where: Mapping[str, Any]) -> pd.DataFrame | None:
    """Seeds x images in one condition; where a key has several values, the mean over them."""
    found = arm.results.get(what.analyzer)
    if found is None or found.samples is None or what.column not in found.samples:
        return None
    for key, value in where.items():
        _fits(found.samples, what, key, value)
    lists = [[(key, one) for one in (value if isinstance(value, list) else [value])] for key, value in where.items()]
    tables = []
    for combination in itertools.product(*lists):
        try:
            tables.append(arm.per_image(what.analyzer, what.column, **dict(combination)))
        except ValueError as error:
            raise SpecError(f"{what.title}: {dict(combination)} is not one condition of {what.analyzer}") from error
    known = [one for one in tables if one is not None]
    if len(known) < len(tables) or not known:
        return None
    shared = known[0].columns
    for one in known[1:]:
        shared = shared.intersection(one.columns)
    # As numbers: the sum of two answers "right" is 2, where two truth values would only be true again.
    return sum((one[shared].astype(float) for one in known[1:]), start=known[0][shared].astype(float)) / len(known)


def _fits(part: pd.DataFrame, what: Measure, key: str, value: Any) -> Any:
    if key not in part:
        raise SpecError(f"{what.analyzer} has no column {key}; it has {', '.join(map(str, part))}")
    return part[key].isin(value if isinstance(value, list) else [value])


def _part(table: pd.DataFrame, what: Measure, where: Mapping[str, Any]) -> pd.DataFrame:
    """The rows of a table in one condition."""
    for key, value in where.items():
        table = table[_fits(table, what, key, value)]
    return table


def _over_seeds(arm: ArmEvidence, what: Measure) -> Measured:
    """From the analyzer's table alone: a mean and a t interval over seeds; of one seed the analyzer's own interval."""
    values, n, reason = _per_seed(arm, what)
    if reason:
        return Measured(seeds=len(arm.seeds), reason=reason)
    value, low, high = seed_interval(values)
    if len(values) == 1 and not what.relative_to:
        low, high = _own_interval(arm, what)
    least, most = what.limits or ((0.0, 1.0) if what.unit == "%" and not what.relative_to else (-np.inf, np.inf))
    return Measured(value, max(low, least), min(high, most), n, len(values), "seeds")


def _per_seed(arm: ArmEvidence, what: Measure) -> tuple[Floats, int, str]:
    """A number of an analyzer's table for every seed, the n it rests on, and why there is none."""
    nothing = np.empty(0)
    if what.metric:
        return nothing, 0, "these data have no twins to flip"
    found = arm.results.get(what.analyzer)
    if found is None:
        return nothing, 0, f"{what.analyzer} could not run"
    if what.column not in measures_of(found) or any(isinstance(one, list) for one in what.where.values()):
        return nothing, 0, f"{what.analyzer} gives no {what.column} in this condition"
    parts = []
    for where in [what.where, *([{**what.where, **what.relative_to}] if what.relative_to else [])]:
        part = _part(found.table, what, where)
        if sorted(part["seed"]) != sorted(arm.seeds):
            return nothing, 0, f"{what.analyzer} has {len(part)} rows in this condition for {len(arm.seeds)} seeds"
        parts.append(part.set_index("seed").loc[list(arm.seeds)])
    values = parts[0][what.column].to_numpy(float)
    if what.relative_to:
        below = parts[1][what.column].to_numpy(float)
        values = np.divide(values, below, out=np.full_like(values, np.nan), where=below != 0)
    undefined = int((~np.isfinite(values)).sum())
    if undefined:
        return nothing, 0, f"{what.analyzer} leaves {what.column} undefined for {undefined} of {len(values)} seeds"
    return values, int(parts[0]["n"].min()) if "n" in parts[0] else 0, ""


def _own_interval(arm: ArmEvidence, what: Measure) -> tuple[float, float]:
    """The interval over images that an analyzer gives of one model."""
    part = _part(arm.analysis(what.analyzer), what, what.where)
    return float(part[f"{what.column}_low"].iloc[0]), float(part[f"{what.column}_high"].iloc[0])


def distribution(arm: ArmEvidence, what: Measure, bins: int) -> list[dict[str, Any]]:
    """The share of the units of a network in each of ``bins`` equal parts of [0, 1]: mean over seeds, t interval.

    Units without a number are in no bin and in no share.
    """
    found = arm.results.get(what.analyzer)
    if found is None or found.details is None or what.column not in found.details:
        return []
    # Units are kept in one condition alone; the keys that tell it apart are not among their columns.
    keys = {key: value for key, value in what.where.items() if key in found.details}
    part = _part(found.details, what, keys)
    known = part[np.isfinite(part[what.column].astype(float))]
    edges = np.linspace(0.0, 1.0, bins + 1)
    shares = []
    for _, one in known.groupby("seed"):
        counts = np.histogram(np.clip(one[what.column].to_numpy(float), 0.0, 1.0), edges)[0]
        shares.append(counts / counts.sum())
    points = []
    for place, column in enumerate(np.asarray(shares).T):
        y, low, high = seed_interval(column)
        points.append(
            {
                "x": float(edges[place : place + 2].mean()),
                "y": y,
                "low": max(low, 0.0),
                "high": min(high, 1.0),
                "n": len(known),
                "seeds": len(shares),
            }
        )
    return points


def _shift(claim: Claim) -> float:
    """How far 0 is moved: ``not lower`` by the margin up, ``not higher`` by it down."""
    return {"not lower": claim.margin, "not higher": -claim.margin}.get(claim.expect, 0.0)


def _moved(d: stats.Difference, shift: float) -> stats.Difference:
    """The difference plus a constant, with the p of its distance from 0."""
    if not shift or d.reason:
        return d
    estimate = d.estimate + shift
    p = d.p_at(estimate) if d.seeds > 1 else d.p
    return dataclasses.replace(d, estimate=estimate, low=d.low + shift, high=d.high + shift, p=p, identical=False)


def _undefined(reason: str) -> stats.Difference:
    nan = float("nan")
    return stats.Difference(
        nan, nan, nan, nan, nan, nan, nan, nan, nan, 0, (0, 0), 0, nan, "", reason=reason
    )  # fmt: skip


def _binary(values: Floats) -> bool:
    return bool(np.isin(values, (0.0, 1.0)).all())
