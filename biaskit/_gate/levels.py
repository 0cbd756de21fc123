"""The number of a rule and its interval: of one model exact (Clopper-Pearson), of an arm over seeds and images.

What is lowest among groups pays for having looked at all of them; see ``biaskit.stats``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from biaskit import stats
from biaskit._gate.answers import Answers, Groups, one_of
from biaskit.errors import SpecError
from biaskit.policy import Rule

__all__ = [
    "TAIL", "Finding", "Rates", "average_accuracy", "default_by", "flip_rate", "flips_of", "group_accuracy",
    "mean_group_accuracy", "no_group", "rates_of", "undefined", "worst_group_accuracy",
]  # fmt: skip

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

#: Error on either side of an interval: 95 % between them.
TAIL = 0.025
#: No rule is decided by more images than this, so none is told to collect them.
_MOST_IMAGES = 10_000_000


@dataclass(frozen=True)
class Finding:
    """What the evidence says of the number of a rule.

    Attributes
    ----------
    value, low, high : float
        NaN where there is none.
    n : int
        Images it rests on; of a group, its own.
    what : str
        The group, or what is subtracted from what.
    notes : tuple of str
    reason : str
        Why there is no number.
    """

    value: float
    low: float
    high: float
    n: int
    what: str = ""
    notes: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Rates:
    """A rate per group: p and n, (G,), and ``ends(tail)``, which err at most ``tail`` of the time on their side."""

    p: Floats
    n: Ints
    ends: Callable[[float], tuple[Floats, Floats]]


def undefined(reason: str, n: int = 0, notes: tuple[str, ...] = ()) -> Finding:
    """No number, and why."""
    return Finding(np.nan, np.nan, np.nan, n, "", notes, reason)


def default_by(rule: Rule, answers: Answers) -> list[str]:
    """The columns that make the groups of a rule."""
    return rule.by or ["label", *answers.group_by]


def no_group(groups: Groups, min_n: int, least: int = 1) -> Finding:
    """No group, or only one where two are needed, has the images that a rule asks for."""
    who = "no group has" if not len(groups) else f"fewer than {least} groups have"
    return undefined(f"{who} {max(min_n, 1)} images or more", int(groups.n.sum()), groups.notes)


def rates_of(answers: Answers, events: npt.NDArray[Any], ids: Ints, count: int) -> Rates:
    """The rate of an event, (S, m), in each of ``count`` groups that all have rows; ids of -1 are left out."""
    kept = ids >= 0
    weights = answers.weights[kept]
    n = np.bincount(ids[kept], weights, minlength=count).astype(np.int64)
    seen = np.stack([np.bincount(ids[kept], weights * one[kept], minlength=count) for one in events])
    if len(events) == 1:

        def exact(tail: float) -> tuple[Floats, Floats]:
            low, high = stats.clopper_pearson(seen[0], n, 1 - 2 * tail)
            return low, high

        return Rates(seen[0] / n, n, exact)
    order = np.argsort(ids, kind="stable")[int((~kept).sum()) :]
    members = np.split(order, np.cumsum(np.bincount(ids[kept], minlength=count))[:-1])

    def over_seeds(tail: float) -> tuple[Floats, Floats]:
        found = [stats.arm_rate(events[:, mine], level=1 - 2 * tail) for mine in members]
        return np.array([one.low for one in found]), np.array([one.high for one in found])

    return Rates(seen.mean(axis=0) / n, n, over_seeds)


def average_accuracy(rule: Rule, answers: Answers, min_n: int) -> Finding:
    n = answers.n
    if n < max(min_n, 1):
        return undefined(f"{n} test images, fewer than min_n = {max(min_n, 1)}", n)
    if not answers.single:
        strata = answers.groups(["label", *answers.group_by], 0).ids
        rate = stats.arm_rate(answers.correct, None, strata)
        return Finding(rate.estimate, rate.low, rate.high, n)
    rates = rates_of(answers, answers.correct, np.zeros(len(answers.weights), np.int64), 1)
    low, high = rates.ends(TAIL)
    return Finding(float(rates.p[0]), float(low[0]), float(high[0]), n, "", _nearly(rule, rates, low, ["all"]))


def mean_group_accuracy(rule: Rule, answers: Answers, min_n: int) -> Finding:
    groups = answers.groups(default_by(rule, answers), min_n)
    if not len(groups):
        return no_group(groups, min_n)
    n = int(groups.n.sum())
    if answers.single:
        p = float(rates_of(answers, answers.correct, groups.ids, len(groups)).p.mean())
        effective = float(stats.kish(np.ones(len(groups)), groups.n))
        low, high = stats.clopper_pearson(p * effective, effective)
        return Finding(p, float(low), float(high), n, "", groups.notes)
    kept = groups.ids >= 0
    ids = groups.ids[kept]
    rate = stats.arm_rate(answers.correct[:, kept], 1 / groups.n[ids] / len(groups), ids)
    return Finding(rate.estimate, rate.low, rate.high, n, "", groups.notes)


def worst_group_accuracy(rule: Rule, answers: Answers, min_n: int) -> Finding:
    return _extreme(rule, answers, min_n, "min")


def group_accuracy(rule: Rule, answers: Answers, min_n: int) -> Finding:
    """The group that a limit is hardest on: the lowest for a minimum, the highest for a maximum."""
    return _extreme(rule, answers, min_n, rule.bound[0])


def _extreme(rule: Rule, answers: Answers, min_n: int, way: Literal["min", "max"]) -> Finding:
    groups = answers.groups(default_by(rule, answers), min_n)
    if not len(groups):
        return no_group(groups, min_n)
    rates = rates_of(answers, answers.correct, groups.ids, len(groups))
    if way == "min":
        low, high = stats.worst_interval(rates.ends, len(groups), TAIL)
    else:
        below, above = rates.ends(TAIL / len(groups)), rates.ends(TAIL)
        low, high = float(below[0].max()), float(above[1].max())
    enough = np.flatnonzero(groups.n >= stats.ENOUGH)
    notes = groups.notes
    if answers.single:
        notes += _nearly(rule, rates, rates.ends(TAIL)[0], groups.names)
    if not len(enough):
        reason = f"every group has fewer than {stats.ENOUGH} images, too few to tell an accuracy"
        return Finding(np.nan, low, high, int(groups.n.sum()), "", notes, reason)
    place = int(enough[rates.p[enough].argmin() if way == "min" else rates.p[enough].argmax()])
    return Finding(float(rates.p[place]), low, high, int(groups.n[place]), groups.names[place], notes)


def flip_rate(rule: Rule, answers: Answers, min_n: int) -> Finding:
    flips, _ = flips_of(rule, answers)
    n = flips.shape[1]
    if n < max(min_n, 1):
        return undefined(f"{n} twins, fewer than min_n = {max(min_n, 1)}", n)
    if answers.single:
        low, high = stats.clopper_pearson(flips[0].sum(), n)
        return Finding(float(flips[0].mean()), float(low), float(high), n)
    rate = stats.arm_rate(flips)
    return Finding(rate.estimate, rate.low, rate.high, n)


def flips_of(rule: Rule, answers: Answers) -> tuple[Floats, Ints]:
    """Whether each answer changes with the attribute, (S, k), and the places of these images among the rows.

    Raises
    ------
    SpecError
        These data have no such twins.
    """
    attribute = rule.attribute or answers.attribute
    twins = answers.twins
    if twins is None or not attribute:
        raise SpecError("these data have no twins, so they have no flip rate; gate on a gap instead")
    one_of(attribute, answers.attributes, "attribute")
    swapped = twins.codes[attribute] != answers.codes[attribute][twins.of]
    if not swapped.any() and len(swapped):
        raise SpecError(f"no twin differs in {attribute}; there are twins of another attribute only")
    of = twins.of[swapped]
    return np.asarray(answers.answers[:, of] != twins.answers[:, swapped], np.float64), of


def _nearly(rule: Rule, rates: Rates, low: Floats, names: list[str]) -> tuple[str, ...]:
    """For a minimum that the evidence leaves open: which groups reach below it, or how many images would settle it."""
    way, limit = rule.bound
    short = np.flatnonzero(low < limit)
    if way != "min" or not len(short) or (rates.ends(TAIL / len(names))[1] < limit).any():
        return ()
    if len(short) > 1:
        told = [f"{names[one]} (n={rates.n[one]})" for one in short[np.argsort(rates.n[short], kind="stable")]]
        some = ", ".join(told[:3]) + (f" and {len(told) - 3} more" if told[3:] else "")
        return (f"of {len(short)} groups the interval reaches below the limit: {some}",)
    p, n = float(rates.p[short[0]]), int(rates.n[short[0]])
    needed = _images(p, n, limit)
    where = f" of {names[short[0]]}" if len(names) > 1 else ""
    return (f"would pass with about {needed:,} images{where} if the accuracy stays ({n:,} now)",) if needed else ()


def _images(p: float, n: int, limit: float) -> int:
    """How many images would lift the lower end of a rate to a limit; two digits, 0 where none would."""

    def reaches(size: int) -> bool:
        return bool(stats.clopper_pearson(p * size, size)[0] >= limit)

    if p <= limit or not reaches(_MOST_IMAGES):
        return 0
    least, most = n, _MOST_IMAGES
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (least, middle) if reaches(middle) else (middle, most)
    step = 10 ** max(len(str(most)) - 2, 0)
    return int(-(-most // step) * step)
