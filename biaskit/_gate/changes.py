"""What changed between two models, or two arms over seeds, on the same images: the number of a relative rule."""

from __future__ import annotations

import dataclasses

import numpy as np
import numpy.typing as npt

from biaskit import stats
from biaskit._gate.answers import Answers
from biaskit._gate.disparities import no_gap, sides_of
from biaskit._gate.levels import Finding, default_by, flips_of, no_group, undefined
from biaskit.errors import DataError, SpecError
from biaskit.policy import Rule
from biaskit.rng import numpy_generator

__all__ = ["change"]

Floats = npt.NDArray[np.float64]

_IDENTICAL = "identical answers to every image"
#: A gap within this of 0 is one of 0: sums of shares, rounded.
_ROUNDING = 1e-12


def change(rule: Rule, now: Answers, before: Answers, min_n: int) -> Finding:
    """The metric of a rule now minus what it was before, paired on the images.

    Two single models: Bonett-Price for a rate, else normal over the images. Arms over seeds: over seeds and images,
    paired over their common seeds (`biaskit.stats.difference`).

    Parameters
    ----------
    rule : Rule
        Of a metric that can be paired.
    now, before : Answers
        To the same images.
    min_n : int
        Groups with fewer images are left out and named.

    Returns
    -------
    Finding

    Raises
    ------
    DataError
        The two answer other images.
    SpecError
        The rule names a column or a value that is not there.
    """
    if now.rows is None or before.rows is None or now.labels != before.labels:
        same = False
    else:
        same = np.array_equal(now.rows, before.rows)
    if not same or not np.array_equal(now.codes["label"], before.codes["label"]):
        raise DataError(f"{rule.told}: {now.name} and {before.name} answer other images; a difference needs the same")
    now, before = now.where(rule.where), before.where(rule.where)
    if rule.metric == "average_accuracy":
        return _average(now, before, min_n)
    if rule.metric == "gap":
        return _gap(rule, now, before, min_n)
    if rule.metric == "flip_rate":
        return _flips(rule, now, before, min_n)
    return _of_groups(rule, now, before, min_n)


def _told(d: stats.Difference, what: str = "", notes: tuple[str, ...] = ()) -> Finding:
    """A difference as the evidence of a rule."""
    notes += d.notes
    if d.identical:
        notes += (_IDENTICAL,)
    if d.seeds > 1:
        notes += (d.pairing,)
    return Finding(d.estimate, max(d.low, -1.0), min(d.high, 1.0), d.n, what, notes, d.reason)


def _difference(
    now: Answers,
    before: Answers,
    rows: npt.NDArray[np.bool_],
    c: Floats | None,
    strata: npt.NDArray[np.int64],
    *,
    turned: bool = False,
) -> stats.Difference:
    """Of a linear metric over some rows, c and strata being theirs.

    Turned, right is wrong before: where c sums to 0, as of a gap, that gives now plus before.
    """
    answers = before.answers[:, rows], now.answers[:, rows]
    x = before.correct[:, rows], now.correct[:, rows]
    x = (1.0 - x[0], x[1]) if turned else x
    return stats.difference(*x, c, strata, before.seeds, now.seeds, predictions=answers)


def _average(now: Answers, before: Answers, min_n: int) -> Finding:
    if now.n < max(min_n, 1):
        return undefined(f"{now.n} test images, fewer than min_n = {max(min_n, 1)}", now.n)
    strata = now.groups(["label", *now.group_by], 0).ids
    return _told(_difference(now, before, np.ones(now.n, bool), None, strata))


def _of_groups(rule: Rule, now: Answers, before: Answers, min_n: int) -> Finding:
    groups = now.groups(default_by(rule, now), min_n)
    least = 2 if rule.metric == "max_min_gap" else 1
    if len(groups) < least:
        return no_group(groups, min_n, least)
    rows = groups.ids >= 0
    ids = groups.ids[rows]
    if rule.metric == "mean_group_accuracy":
        return _told(_difference(now, before, rows, 1 / groups.n[ids] / len(groups), ids), "", groups.notes)
    if rule.metric == "group_accuracy":
        each = [
            _difference(now, before, groups.ids == group, None, np.zeros(int(groups.n[group]), np.int64))
            for group in range(len(groups))
        ]
        return _every_group(rule, each, groups.names, groups.notes)
    of = stats.worst_group_difference if rule.metric == "worst_group_accuracy" else stats.max_min_gap_difference
    splits = stats.half_splits(ids, numpy_generator(0, "half-splits"))
    answers = before.answers[:, rows], now.answers[:, rows]
    x = before.correct[:, rows], now.correct[:, rows]
    d = of(*x, ids, splits, before.seeds, now.seeds, predictions=answers)
    return _told(
        d, "", (*groups.notes, "half-split: groups are picked on one half of the images and read on the other")
    )


def _every_group(rule: Rule, each: list[stats.Difference], names: list[str], notes: tuple[str, ...]) -> Finding:
    """The group that a limit is hardest on; the end of its interval that argues for it pays for all groups."""
    alone, together = ([d.interval(alpha) for d in each] for alpha in (0.05, 0.05 / len(each)))
    estimates = np.array([d.estimate for d in each])
    if rule.bound[0] == "min":
        low, high = min(low for low, _ in alone), min(high for _, high in together)
        place = int(estimates.argmin())
    else:
        low, high = max(low for low, _ in together), max(high for _, high in alone)
        place = int(estimates.argmax())
    notes += tuple(dict.fromkeys(note for d in each for note in d.notes))
    notes += (_IDENTICAL,) if all(d.identical for d in each) else ()
    return Finding(float(estimates[place]), max(low, -1.0), min(high, 1.0), each[place].n, names[place], notes)


def _gap(rule: Rule, now: Answers, before: Answers, min_n: int) -> Finding:
    """How much larger the gap is, whatever its sign was and is: ``|b| - |a|`` of the signed gaps before and now."""
    sides, names, notes = sides_of(rule, now, min_n)
    labels, shape = now.codes["label"], (len(now.labels), len(names))
    inside = sides >= 0
    n = np.zeros(shape, np.int64)
    np.add.at(n, (labels[inside], sides[inside]), 1)
    share = stats.gap_weights(n)
    used = np.flatnonzero(share.any(axis=0))
    images = int(n[share > 0].sum())
    if not len(used):
        return no_gap(n, min_n, images, notes)
    if len(used) > 2:
        attribute = rule.attribute or now.attribute
        raise SpecError(
            f"a gap between more than two values has no interval of its change; take "
            f'metric = "max_min_gap" with by = ["{attribute}"]'
        )
    inside &= share[labels, sides] > 0
    c = (share[labels, sides] / np.maximum(n[labels, sides], 1) * np.where(sides == used[0], 1, -1))[inside]
    strata = (labels * shape[1] + sides)[inside]
    d = _difference(now, before, inside, c, strata)
    if d.reason:
        return undefined(d.reason, images, notes)
    total = _difference(now, before, inside, c, strata, turned=True)
    low, high = _size_interval(d, total)
    ahead = d.b if abs(d.b) > _ROUNDING else d.a
    first, second = (used[0], used[1]) if ahead >= 0 else (used[1], used[0])
    if min(abs(d.a), abs(d.b)) > _ROUNDING and d.a * d.b < 0:
        notes += (f"the gap changed sign: before it was {names[second]} - {names[first]}",)
    told = _told(d, f"{names[first]} - {names[second]}", notes)
    return dataclasses.replace(told, value=abs(d.b) - abs(d.a), low=max(low, -1.0), high=min(high, 1.0))


def _size_interval(difference: stats.Difference, total: stats.Difference) -> tuple[float, float]:
    """The 95 % interval of ``|b| - |a|`` from the differences that estimate ``u = b - a`` and ``v = b + a``.

    Since ``b^2 - a^2 = u v`` and ``|a| + |b| = max(|u|, |v|)``, ``|b| - |a| = sign(u v) min(|u|, |v|)``, which is
    ``f = max(min(u, v), -max(u, v))``: u or -u where the gap keeps its sign, v or -v where it changes. f of all u and
    v from two intervals lies between its values at the corners, for it is monotone in each while the other stays.

    Either end may err 2.5 % of the time. Where the intervals say which of |u| and |v| is the smaller, f is that one
    up to its sign, and its own interval will do. Where they do not, a or b may be 0 and |u| = |v|: f is missed where
    both intervals lie on its far side from 0, or where one of the two lies on the near side, so each interval is
    allowed half of the error.
    """
    u, v = difference.interval(0.025), total.interval(0.025)
    if _farthest(u) <= _nearest(v):
        u = difference.interval(0.05)
    elif _farthest(v) <= _nearest(u):
        v = total.interval(0.05)
    corners = [max(min(one, other), -max(one, other)) for one in u for other in v]
    return min(corners), max(corners)


def _farthest(ends: tuple[float, float]) -> float:
    return max(-ends[0], ends[1])


def _nearest(ends: tuple[float, float]) -> float:
    return max(ends[0], -ends[1], 0.0)


def _flips(rule: Rule, now: Answers, before: Answers, min_n: int) -> Finding:
    (after, of), (earlier, _) = flips_of(rule, now), flips_of(rule, before)
    if len(of) < max(min_n, 1):
        return undefined(f"{len(of)} twins, fewer than min_n = {max(min_n, 1)}", len(of))
    strata = now.groups(["label", *now.group_by], 0).ids[of]
    return _told(stats.difference(earlier, after, None, strata, before.seeds, now.seeds))
