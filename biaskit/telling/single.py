"""One model in words: a comparison of one arm, and an audit."""

from __future__ import annotations

from collections.abc import Sequence

from biaskit.stats import ENOUGH
from biaskit.telling.numbers import ASCII, Numbers
from biaskit.telling.words import (
    ACCURACY,
    LOWEST,
    Result,
    Row,
    against_chance,
    brackets,
    headline,
    listed,
    meaning,
    picked,
    sides,
    title,
    told,
    words_of,
)

__all__ = ["alone", "audit", "gap_readings", "scope"]

MOST_TOLD = 3
"""Attributes beside the deciding one that have a sentence each; the table has all."""


def alone(result: Result, arm: str, numbers: Numbers) -> list[str]:
    """Describe the single arm of a comparison: its reliance and its accuracy, compared with nothing."""
    metric = result["reliance"]["metric"]
    row, accuracy = headline(result, metric, arm), headline(result, ACCURACY, arm)
    words = result["reliance"]["attribute_words"]
    if row is None:
        first = f"The {title(result, metric)} of {arm} could not be computed{_why(result, metric, arm)}."
    elif metric == "flip_rate":
        first = _flips(row, words, arm, numbers)
    else:
        first = f"The gap of {arm}, {sides(row, words)}, is {told(row, 'points', numbers)}."
    second = "One arm is compared with nothing."
    if accuracy is not None:
        second = f"Its accuracy is {told(accuracy, '%', numbers)}. {second}"
    return [first, second]


def audit(result: Result, numbers: Numbers = ASCII) -> list[str]:
    """Say what one model leans on: the flip rate, whether accuracy differs by the attribute, the accuracy last.

    Parameters
    ----------
    result : mapping
        The result of an audit.
    numbers : Numbers
        How numbers are written.

    Returns
    -------
    list of str
        Sentences about this model alone; "no difference larger than chance was found" is the most that a gap
        can be cleared of.
    """
    name = result["arms"][0]["name"]
    words = result["reliance"]["attribute_words"]
    accuracy, flips = headline(result, ACCURACY, name), headline(result, "flip_rate", name)
    found = []
    if flips is not None:
        found.append(_flips(flips, words, name, numbers))
    if words:
        gap = _gap_sentence(result, name, numbers)
        found.insert(0 if result["reliance"]["metric"] == "gap" else len(found), gap)
    found += _other_attributes(result, name, numbers)
    if accuracy is None:
        return [*found, f"The accuracy of {name} could not be computed."]
    lowest = headline(result, LOWEST, name)
    low = (
        f"The lowest group is {lowest['group']}: {told(lowest, '%', numbers)}, n {numbers.count(lowest['group_n'])}."
        if lowest is not None
        else "No group has enough images to tell its accuracy."
    )
    if found:
        return [*found, f"Its accuracy is {told(accuracy, '%', numbers)}. {low}"]
    return [
        f"{name} answers {told(accuracy, '%', numbers)} of the test images right.",
        f"{low} The data names no attribute: by anything but the label, accuracy stays unknown.",
    ]


def _flips(row: Row, words: str, name: str, numbers: Numbers) -> str:
    value, low, high = numbers.of(row["value"], "%", low=row["low"], high=row["high"])
    return f"Swapping the {words} changes {value} % of the answers of {name}{brackets(low, high)}."


def _why(result: Result, metric: str, name: str) -> str:
    """Give the reason why an arm has no value of a measure, as the end of a sentence."""
    if not result["reliance"]["attribute"]:
        return ": the data name no attribute"
    reasons = [r.get("reason") for r in result["headline"] if r["metric"] == metric and r["arm"] == name]
    made_by = "counterfactual_flips" if metric == "flip_rate" else ""
    reasons += [r["reason"] for r in result["failed"] if r["analyzer"] == made_by and r["arm"] == name]
    return next((f": {text}" for text in reasons if text), "")


def _gap_sentence(result: Result, name: str, numbers: Numbers) -> str:
    """Read the gap of the deciding attribute; of more than two values it speaks of the two it subtracts."""
    words = result["reliance"]["attribute_words"]
    whose = f"the accuracy of {name}"
    row = picked(result) or headline(result, "gap", name)
    if row is None:
        return f"Whether {whose} differs by {words} cannot be told{_why(result, 'gap', name)}."
    if row.get("p") is None:
        return f"By {words}, {sides(row, words)} is {told(row, 'points', numbers)}; chance was not estimated."
    two = len(result["data"]["attributes"].get(result["reliance"]["attribute"], [])) <= 2
    if row["p"] > result["alpha"]:
        by = f"By {words}" if two or row.get("picked") else f"Between {row['from']} and {row['to']} ({words})"
        return f"{by}, no difference in {whose} larger than chance was found."
    return (
        f"{whose[0].upper()}{whose[1:]} differs by {words} by more than chance: "
        f"{row['from']} minus {row['to']} is {told(row, 'points', numbers)}."
    )


def _other_attributes(result: Result, name: str, numbers: Numbers) -> list[str]:
    """Say by which other attributes accuracy differs; they share one error rate, the deciding one was fixed before."""
    others = [r for r in result.get("gaps") or [] if r["attribute"] != result["reliance"]["attribute"]]
    told_ = [r for r in others if r["p_holm"] is not None]
    differ = [r for r in told_ if r["p_holm"] <= result["alpha"]]
    found = [
        f"The accuracy of {name} differs by {words_of(result, r['attribute'])} by more than chance:"
        f" {r['from']} minus {r['to']} is {told(r, 'points', numbers)}."
        for r in differ[:MOST_TOLD]
    ]
    if differ[MOST_TOLD:]:
        found.append(f"It also differs by {listed(words_of(result, r['attribute']) for r in differ[MOST_TOLD:])}.")
    same = [words_of(result, r["attribute"]) for r in told_ if r not in differ]
    if same:
        found.append(f"By {listed(same, 'or')}, no difference in accuracy larger than chance was found.")
    return found


def gap_readings(result: Result, numbers: Numbers = ASCII) -> list[str]:
    """Tell the gap of an audit, then for every other attribute its own, then the lowest and the highest values."""
    name = result["arms"][0]["name"]
    found = []
    row = headline(result, "gap", name)
    decided = result["reliance"]["attribute"]
    if row is not None and picked(result) is None:
        found.append(_gap(result, row, "The gap", result["reliance"]["attribute_words"], numbers))
    gaps = {one["attribute"]: one for one in result.get("gaps") or []}
    for attribute, one in gaps.items():
        if attribute == decided and not one["picked"]:
            continue
        words = words_of(result, attribute)
        if one["value"] is None:
            found.append(f"Whether accuracy differs by {words} cannot be told: {one['reason']}.")
            continue
        # The deciding attribute was fixed before looking; the others share one error rate.
        alone_ = attribute == decided or len(gaps) == 1
        adjusted = one if alone_ else {**one, "p": one["p_holm"]}
        after = "" if alone_ else " after Holm"
        found.append(_gap(result, adjusted, f"By {words}, the gap", words, numbers, after))
    by: dict[str, list[Row]] = {}
    for value in result["attribute_values"]:
        by.setdefault(value["attribute"], []).append(value)
    for attribute, values in by.items():
        own = gaps.get(attribute)
        told_ = row if own is None and attribute == decided else own
        tested = told_ is not None and told_.get("p") is not None and (len(values) <= 2 or bool(told_.get("picked")))
        found += _extremes(words_of(result, attribute), values, tested, numbers)
    return found


def _gap(result: Result, row: Row, begin: str, words: str, numbers: Numbers, after: str = "") -> str:
    """Tell one gap: what it subtracts, its size, and how it stands against chance."""
    left = f", over the labels that have both (without {listed(row['left_out'])})" if row.get("left_out") else ""
    if row.get("picked"):
        begin += f" between the highest and the lowest of {row['values']} values"
    text = f"{begin}, {sides(row, words)}{left}, is {told(row, 'points', numbers)}"
    beyond = "on these images", "though its interval reaches 0"
    return f"{text}{against_chance(row, result['alpha'], beyond, numbers, after)}."


def _extremes(words: str, values: Sequence[Row], tested: bool, numbers: Numbers) -> list[str]:
    """Name the lowest and the highest value of an attribute, and say so where chance was not asked."""
    known = sorted((v for v in values if v["accuracy"] is not None and v["n"] >= ENOUGH), key=lambda v: v["accuracy"])
    few = [f"{v['value']} (n={v['n']})" for v in values if v not in known]
    if not known:
        return []
    ends = [
        f"{v['value']} {told(v, '%', numbers, 'accuracy')}, n {numbers.count(v['n'])}" for v in (known[0], known[-1])
    ]
    text = f"By {words}: lowest {ends[0]}; highest {ends[1]}." if len(known) > 1 else f"By {words}: {ends[0]}."
    if len(known) > 1 and known[-1]["accuracy"] - known[0]["accuracy"] < 1e-9:
        text = f"By {words}: {numbers.percent(known[0]['accuracy'])} on every value."
    if not tested and len(known) > 1:
        text += " Whether these two differ by more than chance was not tested."
    if few:
        text += f" Insufficient: {listed(few)}."
    return [text]


def scope(result: Result) -> str:
    """Name the measure of an audit, and what its intervals speak of."""
    metric = result["reliance"]["metric"]
    ends = "Intervals speak of this model on other images; another training may answer differently."
    if not any(r["metric"] == metric for r in result["headline"]):
        return ends
    if metric == "gap" and picked(result) is not None:
        words = result["reliance"]["attribute_words"]
        return f"Measured by the largest gap between values of {words}, at the same mix of labels. {ends}"
    return f"Measured by the {title(result, metric)}: {meaning(result)}. {ends}"
