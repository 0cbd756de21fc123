"""What every sentence is made of: rows picked from a result, verdict words, and small pieces of text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from biaskit.telling.numbers import Numbers

Result = Mapping[str, Any]
Row = Mapping[str, Any]

KINDS = ("audit", "comparison", "sweep")
"""Results in the layout of a comparison."""
BETTER, WORSE, SAME, OPEN, NONE = "better", "worse", "no relevant difference", "inconclusive", "no verdict"
IDENTICAL, SIGN = "identical predictions", "changed sign"  # what `reason` contains in the two special cases
ACCURACY = "average_accuracy"
LOWEST = "worst_group_accuracy"


def listed(names: Iterable[str], word: str = "and") -> str:
    """Join names the way a sentence does; of more than six the first five are told.

    Examples
    --------
    >>> listed(["plain", "aug", "semcont"])
    'plain, aug and semcont'
    """
    names = list(names)
    if len(names) > 6:
        names = [*names[:5], f"{len(names) - 5} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"


def kind(row: Row) -> str:
    """Give the verdict word of a difference; below three seeds there is none, whatever was computed."""
    return NONE if row["seeds"] < 3 else cast("str", row["verdict"])


def compared(result: Result, metric: str) -> list[Row]:
    """Give the differences of one metric that carry a verdict, in the order of the result."""
    return [r for r in result["differences"] if r["metric"] == metric and r["verdict"] and r["estimate"] is not None]


def headline(result: Result, metric: str, arm: str) -> Row | None:
    """Give the headline row of one arm, or None where there is none or its value is undefined."""
    rows = (r for r in result["headline"] if r["metric"] == metric and r["arm"] == arm)
    return next((r for r in rows if r["value"] is not None), None)


def picked(result: Result) -> Row | None:
    """Give the gap of the deciding attribute where it is the largest of several: the test then speaks of all values.

    Beside it the gap of the headline, of two values fixed beforehand, says little.
    """
    decided = result["reliance"]["attribute"]
    rows = (r for r in result.get("gaps") or [] if r["attribute"] == decided and r["picked"])
    return next((r for r in rows if r["value"] is not None), None)


def interval(row: Row, margin: float | None) -> tuple[float, float] | None:
    """Choose the interval to tell beside a verdict: the joint one, or the pair's own, whichever shows the
    verdict.

    Holm's step-down rule and the two one-sided tests can settle a pair whose joint interval does not; telling
    that interval would contradict the verdict. None where neither shows it.
    """
    word = kind(row)
    for low, high in ((row["low_together"], row["high_together"]), (row["low"], row["high"])):
        if low is None or high is None:
            continue
        clear = low > 0 or high < 0
        inside = margin is not None and -margin <= low and high <= margin
        if {BETTER: clear, WORSE: clear, SAME: inside}.get(word, True):
            return low, high
    return None


def title(result: Result, metric: str) -> str:
    """Give the name of a metric as people read it."""
    return next((cast("str", m["title"]) for m in result["metrics"] if m["name"] == metric), metric)


def beside(result: Result) -> list[str]:
    """List the metrics that are judged beside reliance: accuracy in any case, then what else was asked for."""
    told = [m["name"] for m in result["metrics"] if m["verdict"]]
    return [ACCURACY, *(name for name in told if name not in (result["reliance"]["metric"], ACCURACY))]


def words_of(result: Result, attribute: str) -> str:
    """Name an attribute as people read it."""
    return str(result["data"].get("words", {}).get(attribute, attribute))


def brackets(low: str, high: str) -> str:
    return f" ({low} to {high})" if low and high else ""


def sides(row: Row, words: str) -> str:
    """Say which accuracies a gap subtracts."""
    if row.get("from") and row.get("to"):
        return f"accuracy on {row['from']} minus accuracy on {row['to']}"
    return f"the difference in accuracy by {words}"


def meaning(result: Result) -> str:
    """Say what the deciding measure is."""
    metric, words = result["reliance"]["metric"], result["reliance"]["attribute_words"]
    if metric == "flip_rate":
        return f"the share of test images whose answer changes when only the {words} is swapped"
    row: Row = next((r for r in result["headline"] if r["metric"] == metric), {})
    return sides(row, words) if metric == "gap" else f"the measure of reliance on the {words}"


def told(row: Row, unit: str, numbers: Numbers, key: str = "value") -> str:
    """Write a value with its unit and interval: ``93.8 % (91.9 to 95.2)``."""
    value, low, high = numbers.of(row[key], unit, low=row["low"], high=row["high"])
    return f"{value} {unit}{brackets(low, high)}"


def against_chance(row: Row, alpha: float, beyond: tuple[str, str], numbers: Numbers, after: str = "") -> str:
    """Say how a gap stands against the noise floor, as the end of a sentence.

    The shuffles speak of the answers at hand, the interval of others too: where they disagree, `beyond` says what
    each speaks of. `after` is said of p.
    """
    if row.get("noise") is None or row.get("p") is None:
        return ""
    chance = f"chance alone gives about {numbers.of(row['noise'], 'points')[0]}, {numbers.p(row['p'])}{after}"
    if row["p"] > alpha:
        return f"; no difference larger than chance was found ({chance})"
    if row["low"] is not None and row["low"] <= 0 <= row["high"]:
        return f"; larger than chance {beyond[0]} ({chance}), {beyond[1]}"
    return f"; larger than chance ({chance})"


def signed_span(numbers: Numbers, ends: tuple[float, float]) -> str:
    _, low, high = numbers.of(0.0, "points", low=ends[0], high=ends[1], signed=True)
    return f"{low} to {high}"


def stored(result: Result, numbers: Numbers) -> str:
    """Say how many runs were there before, as the end of a sentence about time; empty where none was."""
    before = [run for run in result.get("runs", []) if run["stored"]]
    if not before:
        return ""
    were, own = ("was", "its") if len(before) == 1 else ("were", "their")
    known = [run["seconds"] for run in before if run["seconds"] is not None]
    size = f", {numbers.seconds(sum(known))}," if known else ""
    runs = numbers.counted(len(result["runs"]), "run")
    return f"; {numbers.count(len(before))} of {runs} {were} stored before, {own} training{size} is not in it"


def draws(result: Result) -> str:
    return {1: "this one draw", 2: "these two draws"}.get(len(result["seeds"]), "these draws")
