"""Differences between groups that a rule limits: best minus worst, the gap of an attribute, parity metrics."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from biaskit import stats
from biaskit._gate.answers import Answers, Groups, one_of
from biaskit._gate.levels import TAIL, Finding, Rates, default_by, no_group, rates_of, undefined
from biaskit.errors import SpecError
from biaskit.policy import Rule

__all__ = ["gap", "max_min_gap", "no_gap", "parity", "sides_of"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def max_min_gap(rule: Rule, answers: Answers, min_n: int) -> Finding:
    groups = answers.groups(default_by(rule, answers), min_n)
    if len(groups) < 2:
        return no_group(groups, min_n, least=2)
    rates = rates_of(answers, answers.correct, groups.ids, len(groups))
    low, high = stats.spread_interval(rates.p, rates.ends, TAIL)
    enough = np.flatnonzero(groups.n >= stats.ENOUGH)
    n = int(groups.n.sum())
    if len(enough) < 2:
        reason = f"fewer than two groups have {stats.ENOUGH} images, too few to tell a difference"
        return Finding(np.nan, low, high, n, "", groups.notes, reason)
    top, bottom = (int(enough[one]) for one in (rates.p[enough].argmax(), rates.p[enough].argmin()))
    what = f"{groups.names[top]} - {groups.names[bottom]}"
    return Finding(float(rates.p[top] - rates.p[bottom]), low, high, n, what, groups.notes)


def gap(rule: Rule, answers: Answers, min_n: int) -> Finding:
    sides, names, notes = sides_of(rule, answers, min_n)
    kept, shape = sides >= 0, (len(answers.labels), len(names))
    cells = answers.codes["label"][kept] * shape[1] + sides[kept]
    weights = answers.weights[kept]
    n = np.bincount(cells, weights, minlength=shape[0] * shape[1]).reshape(shape).astype(np.int64)
    share = stats.gap_weights(n)
    used = np.flatnonzero(share.any(axis=0))
    there = n.sum(axis=1) > 0
    lost = [answers.labels[one] for one in np.flatnonzero(there & ~share.any(axis=1))] if len(used) else []
    if lost:
        notes += (f"left out, without images of every side: {', '.join(lost[:6])}{', ...' if lost[6:] else ''}",)
    images = int(n[share > 0].sum())
    if answers.single:
        right = np.bincount(cells, weights * answers.correct[0, kept], minlength=n.size).reshape(shape)
        found = stats.attribute_gap(right.astype(np.int64), n)
        if found.reason:
            return no_gap(n, min_n, images, notes, found.reason)
        value, low, high, pair = found.estimate, found.low, found.high, found.values
    else:
        if not len(used):
            return no_gap(n, min_n, images, notes)
        value, low, high, pair = _gap_over_seeds(answers, sides, share, n, used)
    first, second = names[pair[0]], names[pair[1]]
    what = f"{first} - {second}" if value >= 0 else f"{second} - {first}"
    # Its size, whichever side is the better one: an interval over 0 holds sizes from 0 on.
    size = (low, high) if low >= 0 else (-high, -low) if high <= 0 else (0.0, max(-low, high))
    return Finding(abs(value), size[0], size[1], images, what, notes)


def no_gap(n: Ints, min_n: int, images: int, notes: tuple[str, ...], reason: str = "") -> Finding:
    """No label has both sides, n being (labels, sides): because small ones were left out, or of itself."""
    if notes:
        kept = "no label has {} images or more on every side" if n.any() else "no group has {} images or more"
        return undefined(kept.format(min_n), images, notes)
    return undefined(reason or "no label has images of every side", images)


def sides_of(rule: Rule, answers: Answers, min_n: int) -> tuple[Ints, list[str], tuple[str, ...]]:
    """What a gap compares: the side of each row, -1 for neither, their names, and notes.

    Aligned and conflicting where the attribute follows the label in train, else its values. A label's side with fewer
    than ``min_n`` images is left out.
    """
    attribute = rule.attribute or answers.attribute
    if not attribute:
        raise SpecError(f"gap needs an attribute; there are {', '.join(answers.attributes) or 'none'}")
    names = list(answers.attributes[one_of(attribute, answers.attributes, "attribute")])
    codes, labels = answers.codes[attribute], answers.codes["label"]
    own = answers.follows.get(attribute)
    if own is not None:
        names = ["aligned", "conflicting"]
        codes = np.where(own[labels] < 0, -1, np.where(codes == own[labels], 0, 1))
    cells = np.where(codes < 0, len(answers.labels) * len(names), labels * len(names) + codes)
    n = np.bincount(cells, answers.weights, minlength=len(answers.labels) * len(names) + 1)
    few = np.flatnonzero((n[:-1] > 0) & (n[:-1] < min_n))
    told = [f"{answers.labels[one // len(names)]}, {names[one % len(names)]} (n={int(n[one])})" for one in few]
    notes = (f"left out, fewer than {min_n} images: {', '.join(told[:6])}" + (", ..." if told[6:] else ""),)
    return np.where((codes >= 0) & (n[cells] >= min_n), codes, -1), names, notes if told else ()


def _gap_over_seeds(
    answers: Answers, sides: Ints, share: Floats, n: Ints, used: Ints
) -> tuple[float, float, float, tuple[int, ...]]:
    """Of two sides the signed difference; of more the highest minus the lowest, which were picked by looking."""
    labels = answers.codes["label"]
    inside = (sides >= 0) & (share[labels, sides] > 0)
    c = np.where(inside, share[labels, sides] / np.maximum(n[labels, sides], 1), 0.0)
    strata = labels * share.shape[1] + sides
    if len(used) == 2:
        signed = np.where(sides == used[0], c, -c)
        rate = stats.arm_contrast(answers.correct, signed, strata)
        return rate.estimate, rate.low, rate.high, (int(used[0]), int(used[1]))
    members = [np.flatnonzero(inside & (sides == side)) for side in used]

    def ends(tail: float) -> tuple[Floats, Floats]:
        level = 1 - 2 * tail
        found = [stats.arm_rate(answers.correct[:, one], c[one], strata[one], level) for one in members]
        return np.array([one.low for one in found]), np.array([one.high for one in found])

    p = np.array([float((answers.correct[:, one] @ c[one]).mean()) for one in members])
    low, high = stats.spread_interval(p, ends, TAIL)
    return float(np.ptp(p)), low, high, (int(used[p.argmax()]), int(used[p.argmin()]))


def parity(rule: Rule, answers: Answers, min_n: int) -> Finding:
    by = rule.by or list(answers.group_by)
    if not by or "label" in by:
        raise SpecError(f"{rule.metric} compares the values of attributes; name some of them in by")
    groups = answers.groups(by, min_n)
    if len(groups) < 2:
        return no_group(groups, min_n, least=2)
    n = int(groups.n.sum())
    if answers.single:
        inside = answers.taken(groups.ids >= 0)
        found = getattr(inside.counts(by), rule.metric)(by)
        value, low, high, label, unknown = found.value, found.low, found.high, found.positive, list(found.undefined)
    else:
        value, low, high, label, unknown = _parity_over_seeds(rule.metric, answers, groups)
    if not label:
        return undefined("no label has the rate in two groups", n, groups.notes)
    notes = groups.notes
    if unknown:
        notes += (f"left out, without a rate in two groups: {', '.join(unknown[:6])}{', ...' if unknown[6:] else ''}",)
    return Finding(value, low, high, n, f"label {label}", notes)


def _parity_over_seeds(metric: str, answers: Answers, groups: Groups) -> tuple[float, float, float, str, list[str]]:
    """The largest spread of any rate: each lower end errs at most an R-th of the time, R rates being looked at."""
    spreads: dict[str, list[Rates]] = {}
    unknown = []
    for code, label in enumerate(answers.classes):
        rates = [_within(answers, code, rows, groups.ids) for rows in _bases(metric, answers.codes["label"] == code)]
        if any(one is None for one in rates):
            unknown.append(label)
        else:
            spreads[label] = [one for one in rates if one is not None]
    every = [one for rates in spreads.values() for one in rates]
    if not every:
        return np.nan, np.nan, np.nan, "", unknown
    low = max(stats.spread_interval(one.p, one.ends, TAIL / len(every))[0] for one in every)
    high = max(stats.spread_interval(one.p, one.ends, TAIL)[1] for one in every)
    values = {label: max(float(np.ptp(one.p)) for one in rates) for label, rates in spreads.items()}
    worst = max(values, key=lambda label: values[label])
    return values[worst], low, high, worst, unknown


def _bases(metric: str, mine: npt.NDArray[np.bool_]) -> Iterator[npt.NDArray[np.bool_]]:
    """The rows that the rates of a class are taken over: all, those of the class, or each of these and the rest."""
    if metric == "demographic_parity_difference":
        yield np.ones(len(mine), bool)
    else:
        yield mine
    if metric == "equalized_odds_difference":
        yield ~mine


def _within(answers: Answers, code: int, rows: npt.NDArray[np.bool_], ids: Ints) -> Rates | None:
    """How often a class is answered in each group that has such rows; None where fewer than two have them."""
    there = np.unique(ids[rows & (ids >= 0)])
    if len(there) < 2:
        return None
    own = np.where(rows & np.isin(ids, there), np.searchsorted(there, ids), -1)
    return rates_of(answers, answers.answers == code, own, len(there))
