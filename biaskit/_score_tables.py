"""The tables of a score: everything that follows from the counts of label x prediction x attributes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from biaskit import stats
from biaskit.calibration import ALL, margins
from biaskit.metrics import GroupCounts
from biaskit.rng import numpy_generator

__all__ = ["attribute_values", "extremes", "gaps", "headline", "label_gaps", "parity", "rates"]

#: Draws of the permutation tests, and of a table so large that they would take minutes.
DRAWS, LEAST_DRAWS = 9_999, 499
#: Cells drawn for one test: up to 1,000 groups take all draws.
_CELLS = 10_000_000
_FLOOR_DRAWS = 999
_PARITY = ("demographic_parity_difference", "equalized_odds_difference", "equal_opportunity_difference")
_RATES = {"selection_rate": "n", "true_positive_rate": "positives", "false_positive_rate": "negatives"}

Ints = NDArray[np.int64]


def headline(counts: GroupCounts, min_n: int) -> pd.DataFrame:
    """Accuracy, mean over groups, worst group and best minus worst over every label x attributes.

    Returns
    -------
    DataFrame
        metric, value, low, high, n; of the extremes also half_split, group, group_n, noise (what chance alone would
        show), reason.
    """
    n, correct = counts.n.ravel(), counts.correct.ravel()
    filled = n[n > 0]
    effective = float(stats.kish(np.ones(len(filled)), filled))
    rows: list[dict[str, Any]] = []
    for metric, value, size in (
        ("average_accuracy", counts.average_accuracy, float(n.sum())),
        ("mean_group_accuracy", counts.mean_group_accuracy, effective),
    ):
        low, high = stats.wilson(value * size, size)
        row = {"metric": metric, "value": value, "low": float(low), "high": float(high), "n": int(n.sum())}
        rows.append({**row, "half_split": np.nan, "group": "", "group_n": 0, "noise": np.nan, "reason": ""})
    names = _names(counts, tuple(counts.attributes))
    shape = (len(counts.labels), -1)
    rows += _extremes(correct.reshape(shape), n.reshape(shape), names, ALL, min_n)
    columns = ["metric", "value", "low", "high", "n", "half_split", "group", "group_n", "noise", "reason"]
    return pd.DataFrame(rows, columns=columns)


def attribute_values(counts: GroupCounts) -> pd.DataFrame:
    """Accuracy per value of every attribute, and per combination of all of them, labels as they are mixed.

    Returns
    -------
    DataFrame
        attribute, value, n, correct, accuracy, low, high (Wilson), note.
    """
    parts = []
    for title, own in margins(list(counts.attributes)):
        # An attribute may itself be called "value".
        frame = counts.accuracy_table(own)
        parts.append(frame.assign(attribute=title, value=_values(counts, own)))
    columns = ["attribute", "value", "n", "correct", "accuracy", "low", "high", "note"]
    return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)


def gaps(counts: GroupCounts) -> pd.DataFrame:
    """Whether each attribute matters: the standardized gap, its permutation test and its noise floor.

    Returns
    -------
    DataFrame
        attribute, values (how many it has), from, to (what is subtracted from what), picked (whether by looking: the
        highest and the lowest), value, low, high, n, noise, p, p_holm (over the attributes), p_label (of the largest
        gap of any label), draws, left_out (labels that lack a value), reason.
    """
    rows = []
    for title, own in margins(list(counts.attributes)):
        correct, n, values = _ordered(counts, own)
        gap = stats.attribute_gap(correct, n)
        test = stats.attribute_test(correct, n, numpy_generator(0, "permutation", title), _draws(n.size))
        rows.append(
            {
                "attribute": title,
                "values": len(values),
                **_between(gap, values),
                "picked": int((n.sum(0) > 0).sum()) > 2,
                "value": gap.estimate,
                "low": gap.low,
                "high": gap.high,
                "n": int(n.sum()),
                "noise": test.floor,
                "p": test.p,
                "p_holm": np.nan,
                "p_label": test.p_label,
                "draws": test.draws,
                "left_out": ", ".join(counts.labels[one] for one in gap.left_out if n[one].sum()),
                "reason": gap.reason,
            }
        )
    columns = ["attribute", "values", "from", "to", "picked", "value", "low", "high", "n", "noise", "p", "p_holm"]
    frame = pd.DataFrame(rows, columns=[*columns, "p_label", "draws", "left_out", "reason"])
    known = frame["p"].notna().to_numpy()
    if known.any():
        frame.loc[known, "p_holm"] = stats.holm(frame.loc[known, "p"].to_numpy(np.float64))
    return frame


def label_gaps(counts: GroupCounts) -> pd.DataFrame:
    """In which labels each attribute matters.

    Returns
    -------
    DataFrame
        attribute, label, from, to, value, low, high, n, p (Holm over the labels of the attribute), reason.
    """
    rows = []
    for title, own in margins(list(counts.attributes)):
        correct, n, values = _ordered(counts, own)
        p = stats.label_tests(correct, n, numpy_generator(0, "labels", title), _draws(n.size))
        for label, name in enumerate(counts.labels):
            gap = stats.attribute_gap(correct[label][None], n[label][None])
            rows.append(
                {
                    "attribute": title,
                    "label": name,
                    **_between(gap, values),
                    "value": gap.estimate,
                    "low": gap.low,
                    "high": gap.high,
                    "n": int(n[label].sum()),
                    "p": p[label],
                    "reason": gap.reason,
                }
            )
    columns = ["attribute", "label", "from", "to", "value", "low", "high", "n", "p", "reason"]
    return pd.DataFrame(rows, columns=columns)


def extremes(counts: GroupCounts, min_n: int) -> pd.DataFrame:
    """Worst group and best minus worst over label x each attribute, one attribute at a time.

    Returns
    -------
    DataFrame
        attribute, metric (worst_group_accuracy, max_min_gap), value, low, high, n, half_split, group, group_n, noise,
        reason.
    """
    rows = []
    for title, own in margins(list(counts.attributes)):
        rows += _extremes(*counts.by_label(*own), _names(counts, own), title, min_n)
    columns = ["attribute", "metric", "value", "low", "high", "n", "half_split", "group", "group_n", "noise", "reason"]
    return pd.DataFrame(rows, columns=columns)


def parity(counts: GroupCounts) -> pd.DataFrame:
    """Demographic parity, equalized odds and equal opportunity, each class against the rest, per attribute.

    Returns
    -------
    DataFrame
        attribute, metric, value, low, high, n, class (that attains it), undefined (classes without such a difference).
    """
    rows = []
    for title, own in margins(list(counts.attributes)):
        for metric in _PARITY:
            found = getattr(counts, metric)(own)
            row = {"attribute": title, "metric": metric, "value": found.value, "low": found.low, "high": found.high}
            undefined = ", ".join(found.undefined)
            rows.append({**row, "n": int(counts.n.sum()), "class": found.positive, "undefined": undefined})
    columns = ["attribute", "metric", "value", "low", "high", "n", "class", "undefined"]
    return pd.DataFrame(rows, columns=columns)


def rates(counts: GroupCounts) -> pd.DataFrame:
    """The rates that parity compares, of every class in every value of each attribute.

    Returns
    -------
    DataFrame
        attribute, value, class, n, positives, negatives; then, each with ``_low`` and ``_high`` (Wilson):
        selection_rate, true_positive_rate, false_positive_rate.
    """
    parts = []
    for title, own in margins(list(counts.attributes)):
        frame = counts.rates(own)
        values = _values(counts, own)
        found = pd.DataFrame({"attribute": title, "value": values * len(counts.classes), "class": frame["class"]})
        found[["n", "positives", "negatives"]] = frame[["n", "positives", "negatives"]]
        for name, base in _RATES.items():
            rate, n = frame[name].to_numpy(np.float64), frame[base].to_numpy(np.float64)
            low, high = stats.wilson(np.rint(np.nan_to_num(rate) * n), n)
            found[name], found[f"{name}_low"], found[f"{name}_high"] = rate, low, high
        parts.append(found)
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def _extremes(correct: Ints, n: Ints, names: Sequence[str], title: str, min_n: int) -> list[dict[str, Any]]:
    """The two extremes over the groups of a table of label x attribute."""
    rng = numpy_generator(0, "halves", title)
    floor = stats.noise_floor(correct, n, numpy_generator(0, "floor", title), _floor_draws(n.size))
    worst = stats.worst_group(correct.ravel(), n.ravel(), rng, min_n=min_n)
    gap = stats.max_min_gap(correct.ravel(), n.ravel(), rng, min_n=min_n)
    group, best = ((names[one] if one >= 0 else "") for one in (gap.worst, gap.best))
    rows = []
    for metric, found, noise, text in (
        ("worst_group_accuracy", worst, floor.worst, names[worst.worst] if worst.worst >= 0 else ""),
        ("max_min_gap", gap, floor.gap, f"{best}; {group}" if best else ""),
    ):
        rows.append(
            {
                "attribute": title,
                "metric": metric,
                "value": found.observed,
                "low": found.low,
                "high": found.high,
                "n": int(n.sum()),
                "half_split": found.estimate,
                "group": text,
                "group_n": found.n,
                "noise": noise,
                "reason": found.reason,
            }
        )
    return rows


def _between(gap: stats.AttributeGap, values: Sequence[str]) -> dict[str, str]:
    first, second = (values[one] for one in gap.values) if gap.values else ("", "")
    return {"from": first, "to": second}


def _draws(cells: int) -> int:
    return max(LEAST_DRAWS, min(DRAWS, _CELLS // max(cells, 1)))


def _floor_draws(cells: int) -> int:
    return max(99, min(_FLOOR_DRAWS, _CELLS // max(cells, 1) // 10))


def _ordered(counts: GroupCounts, own: Sequence[str]) -> tuple[Ints, Ints, list[str]]:
    """Correct, n and values of a margin by label, the commoner value first.

    The gap of two values is then that of the commoner minus the rarer one.
    """
    correct, n = counts.by_label(*own)
    order = np.argsort(-n.sum(0), kind="stable")
    values = _values(counts, own)
    return correct[:, order], n[:, order], [values[place] for place in order]


def _values(counts: GroupCounts, own: Sequence[str]) -> list[str]:
    """The values of a margin as one text each, in the order of `GroupCounts.by_label`."""
    values = pd.MultiIndex.from_product([counts.attributes[one] for one in own])
    return [", ".join(map(str, one)) for one in values]


def _names(counts: GroupCounts, own: Sequence[str]) -> list[str]:
    """What the groups of label x margin are called."""
    values = _values(counts, own) if own else []
    return [f"{label}, {value}" for label in counts.labels for value in values] or list(counts.labels)
