"""From the tables of a comparison to sentences: every finding is a template filled with numbers, never
prose by hand.

All functions are pure: they read the result dictionary (``result.json``, schema 1) and return text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from biaskit._numbers import ASCII, Numbers

__all__ = ["Pair", "decided_by", "gaps", "listed", "pairs", "verdict", "verdict_sentence"]

Result = Mapping[str, Any]
Row = Mapping[str, Any]

BETTER, WORSE, SAME, OPEN, NONE = "better", "worse", "no relevant difference", "inconclusive", "no verdict"
IDENTICAL, SIGN = "identical predictions", "changed sign"  # what `reason` contains in the two special cases
ACCURACY = "average_accuracy"
FEW = 4
"""More sentences than this and the lead keeps to the first arm; the table has the rest."""


@dataclass(frozen=True)
class Pair:
    """One comparison of two arms in words: `verdict` is the word, `text` the evidence, accuracy included."""

    arm: str
    against: str
    verdict: str
    text: str


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
    return [
        r
        for r in result["differences"]
        if r["metric"] == metric and r["verdict"] and r["estimate"] is not None
    ]


def headline(result: Result, metric: str, arm: str) -> Row | None:
    """Give the headline row of one arm, or None where there is none or its value is undefined."""
    rows = (r for r in result["headline"] if r["metric"] == metric and r["arm"] == arm)
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


# ---------------------------------------------------------------------------------------------- the verdict


def verdict(result: Result, numbers: Numbers = ASCII) -> list[str]:
    """Say who relies less on the shortcut, then how the arms compare in accuracy.

    Parameters
    ----------
    result : mapping
        The result of a comparison.
    numbers : Numbers
        How numbers are written.

    Returns
    -------
    list of str
        Sentences; the last one is about accuracy, which never goes untold.
    """
    arms = [a["name"] for a in result["arms"]]
    if len(arms) == 1:
        return _alone(result, arms[0], numbers)
    rows = compared(result, result["reliance"]["metric"])
    if len(result["seeds"]) < 3:
        count = "one seed" if len(result["seeds"]) == 1 else "two seeds"
        lead = [f"No verdict: {count} cannot tell a difference from luck."]
    elif not rows:
        lead = [f"No verdict: the {title(result, result['reliance']['metric'])} could not be compared."]
    else:
        lead = _reliance(result, rows)
    return [*lead, _accuracy(result, arms, numbers)]


def verdict_sentence(result: Result, numbers: Numbers = ASCII) -> str:
    """Join the sentences of `verdict` into one line."""
    return " ".join(verdict(result, numbers))


def _alone(result: Result, arm: str, numbers: Numbers) -> list[str]:
    """Describe a single arm: its reliance and its accuracy, compared with nothing."""
    metric = result["reliance"]["metric"]
    row, accuracy = headline(result, metric, arm), headline(result, ACCURACY, arm)
    words = result["reliance"]["attribute_words"]
    if row is None:
        first = f"The {title(result, metric)} of {arm} could not be computed."
    elif metric == "flip_rate":
        value, low, high = numbers.of(row["value"], "%", low=row["low"], high=row["high"])
        first = f"Swapping the {words} changes {value} % of the answers of {arm}{_brackets(low, high)}."
    else:
        value, low, high = numbers.of(row["value"], "points", low=row["low"], high=row["high"])
        first = f"The gap of {arm}, {_sides(row, words)}, is {value} points{_brackets(low, high)}."
    second = "One arm is compared with nothing."
    if accuracy is not None:
        value, low, high = numbers.of(accuracy["value"], "%", low=accuracy["low"], high=accuracy["high"])
        second = f"Its accuracy is {value} %{_brackets(low, high)}. {second}"
    return [first, second]


Group = tuple[str, str, list[str], list[str]]  # verdict, reason, arms, the arms they are compared with


def _groups(rows: Sequence[Row]) -> list[Group]:
    """Gather the pairs that say the same: the same verdict and reason against the same arms."""
    against: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        reason = next((r for r in (IDENTICAL, SIGN) if r in (row["reason"] or "")), "")
        against.setdefault((kind(row), reason, row["arm"]), []).append(row["against"])
    gathered: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for (word, reason, arm), others in against.items():
        gathered.setdefault((word, reason, tuple(others)), []).append(arm)
    return [(word, reason, arms, list(others)) for (word, reason, others), arms in gathered.items()]


def _reliance(result: Result, rows: Sequence[Row]) -> list[str]:
    """Write the lead: settled pairs first, grouped; with many arms only those against the first."""
    on = f"the {result['reliance']['attribute_words']}"
    arms = [a["name"] for a in result["arms"]]
    words = {kind(r) for r in rows}
    if len(rows) > 1 and words == {OPEN} and not any(r["reason"] for r in rows):
        return [
            f"No arm is shown to lean less on {on} than another: all {len(rows)} comparisons are"
            " inconclusive."
        ]
    if len(rows) > 1 and words == {SAME}:
        return [f"{listed(arms)} lean on {on} equally, as far as it matters."]
    groups = _groups(rows)
    rest: list[Row] = []
    if len(groups) > FEW:
        first = [r for r in rows if arms[0] in (r["arm"], r["against"])]
        rest = [r for r in rows if r not in first]
        groups = _groups(first)
    order = [BETTER, WORSE, SAME, OPEN]
    groups.sort(key=lambda g: order.index(g[0]))
    controls = {a["name"]: a["control"] for a in result["arms"]}
    sentences = []
    for index, group in enumerate(groups):
        sentences.append(_lead(group, on if index == 0 else "it", controls))
    if rest:
        settled = sum(kind(r) != OPEN for r in rest)
        sentences.append(
            f"Of the other {len(rest)} comparisons, {settled or 'none'} {_are(settled)} settled."
        )
    return sentences


def _are(count: int) -> str:
    return "is" if count < 2 else "are"


def _lead(group: Group, on: str, controls: Mapping[str, str | None]) -> str:
    """Write one grouped sentence of the lead."""
    word, reason, arms, others = group
    both = {1: "", 2: " both"}.get(len(arms), " all")
    lean = "leans" if len(arms) == 1 else "lean"
    control = len(arms) == len(others) == 1 and controls.get(arms[0]) == others[0]
    if reason == IDENTICAL:
        return f"{listed([*others, *arms])} gave identical answers, so nothing can be told apart."
    if reason == SIGN:
        whose = "that" if len(others) == 1 else "those"
        return (
            f"Whether {listed(arms)} {lean} less on {on} than {listed(others, 'or')} is inconclusive: "
            f"the gap has changed sign against {whose} of {listed(others, 'or')}."
        )
    if word in (BETTER, WORSE):
        amount = "less" if word == BETTER else "more"
        tail = ", its control arm" if control else ""
        return f"{listed(arms)}{both} {lean} {amount} on {on} than {listed(others)}{tail}."
    if word == SAME:
        if len(arms) == len(others) == 1:
            return f"{listed([*arms, *others])} lean on {on} equally, as far as it matters."
        return f"{listed(arms)} {lean} on {on} as much as {listed(others)}, as far as it matters."
    if control:
        return f"Whether {arms[0]} adds anything to {others[0]} is inconclusive."
    return f"Whether {listed(arms, 'or')} leans less on {on} than {listed(others, 'or')} is inconclusive."


def _accuracy(result: Result, arms: Sequence[str], numbers: Numbers) -> str:
    """Write the sentence about accuracy that goes with every verdict on reliance."""
    rows = compared(result, ACCURACY)
    values = [(a, headline(result, ACCURACY, a)) for a in arms]
    told = ", ".join(f"{a} {numbers.percent(r['value'])}" for a, r in values if r is not None)
    if len(arms) > FEW:
        every = sorted(r["value"] for _, r in values if r is not None)
        told = f"{numbers.percent(every[0])} to {numbers.percent(every[-1])}" if every else ""
    if len(result["seeds"]) < 3 or not rows:
        return f"Accuracy in {_draws(result)}: {told}." if told else "Accuracy could not be computed."
    groups = _groups(rows)
    if len(groups) > FEW:
        groups = _groups([r for r in rows if arms[0] in (r["arm"], r["against"])])
        told += f"; only against {arms[0]} here"
    parts = []
    for word, reason, subjects, others in sorted(
        groups, key=lambda g: [BETTER, WORSE, SAME, OPEN].index(g[0])
    ):
        are = "is" if len(subjects) == 1 else "are"
        if reason == IDENTICAL:
            parts.append(f"{listed([*others, *subjects])} give identical answers")
        elif word in (BETTER, WORSE):
            amount = "more" if word == BETTER else "less"
            parts.append(f"{listed(subjects)} {are} {amount} accurate than {listed(others)}")
        elif word == SAME:
            parts.append(f"{listed(subjects)} {are} as accurate as {listed(others)}, as far as it matters")
        else:
            parts.append(
                f"whether {listed(subjects, 'or')} differs from {listed(others, 'or')} is inconclusive"
            )
    return f"In accuracy ({told}), {'; '.join(parts)}."


def _draws(result: Result) -> str:
    return {1: "this one draw", 2: "these two draws"}.get(len(result["seeds"]), "these draws")


def title(result: Result, metric: str) -> str:
    """Give the name of a metric as people read it."""
    return next((cast("str", m["title"]) for m in result["metrics"] if m["name"] == metric), metric)


def _brackets(low: str, high: str) -> str:
    return f" ({low} to {high})" if low and high else ""


def _sides(row: Row, words: str) -> str:
    """Say which accuracies a gap subtracts."""
    if row.get("from") and row.get("to"):
        return f"accuracy on {row['from']} minus accuracy on {row['to']}"
    return f"the difference in accuracy by {words}"


def decided_by(result: Result) -> str:
    """Name the measure that decides, what it is, and on how many paired seeds it rests."""
    metric = result["reliance"]["metric"]
    words = result["reliance"]["attribute_words"]
    if metric == "flip_rate":
        what = f"the share of test images whose answer changes when only the {words} is swapped"
    else:
        row: Row = next((r for r in result["headline"] if r["metric"] == metric), {})
        what = _sides(row, words) if metric == "gap" else f"the measure of reliance on the {words}"
    count = len(result["seeds"])
    seeds = "one seed" if count == 1 else f"{count} seeds"
    if len(result["arms"]) == 1:
        return f"Measured by the {title(result, metric)}: {what}; {seeds}."
    return f"Decided by the {title(result, metric)}: {what}. {seeds[0].upper()}{seeds[1:]} per arm, paired."


# ---------------------------------------------------------------------------------------------- the pairs


def pairs(result: Result, numbers: Numbers = ASCII) -> list[Pair]:
    """Write one entry per pair of arms: the verdict on reliance, its size, and the accuracy beside it."""
    metric = result["reliance"]["metric"]
    accuracy = {(r["arm"], r["against"]): r for r in result["differences"] if r["metric"] == ACCURACY}
    entries = []
    for row in result["differences"]:
        if row["metric"] != metric:
            continue
        key = row["arm"], row["against"]
        parts = [_size(result, row, numbers), _accuracy_of(accuracy.get(key), result["margin"], numbers)]
        entries.append(Pair(*key, kind(row) if row["verdict"] else NONE, " ".join(p for p in parts if p)))
    return entries


def _size(result: Result, row: Row, numbers: Numbers) -> str:
    """Write the size of a difference in the deciding metric."""
    if row["estimate"] is None:
        return f"No number: {row['reason'] or 'the difference is undefined'}."
    if IDENTICAL in (row["reason"] or ""):
        return "Both arms gave identical predictions on every image and seed."
    word, margin = kind(row), result["margin"]
    ends = interval(row, margin)
    if word == SAME:
        span = f" ({_signed(numbers, ends)})" if ends else ""
        return f"Any difference is smaller than {numbers.points(margin)}{span}."
    flips = result["reliance"]["metric"] == "flip_rate"
    text = _open(numbers, ends, flips) if word == OPEN and ends else _moved(result, row, ends, numbers)
    if SIGN in (row["reason"] or ""):
        text += " The gap has changed sign, so smaller or larger says nothing about reliance."
    if word == OPEN and row["detectable"] is not None:
        text += (
            f" A difference of about {numbers.about(row['detectable'], '%')} would likely have been found."
        )
    return text


def _moved(result: Result, row: Row, ends: tuple[float, float] | None, numbers: Numbers) -> str:
    """Say by how much swapping changes more or fewer answers, or from where to where the gap went."""
    words = result["reliance"]["attribute_words"]
    draw = f"In {_draws(result)}: " if kind(row) == NONE else ""
    if result["reliance"]["metric"] == "flip_rate":
        size = _directed(numbers, row["estimate"], ends, "fewer", "more", of=" of its answers")
        first = f"swapping the {words} changes {size}."
        return draw + (first if draw else first[0].upper() + first[1:])
    metric = result["reliance"]["metric"]
    before, after = headline(result, metric, row["against"]), headline(result, metric, row["arm"])
    span = f", {_signed(numbers, ends)}" if ends else ""
    size = numbers.of(row["estimate"], "points", signed=True)[0]
    if before is None or after is None:
        return f"{draw}The gap differs by {size} points{span}."
    old, new = numbers.of(before["value"], "points")[0], numbers.of(after["value"], "points")[0]
    return f"{draw}The gap goes from {old} to {new} points (difference {size}{span})."


def _open(numbers: Numbers, ends: tuple[float, float], flips: bool) -> str:
    """Say what an inconclusive interval leaves possible."""
    _, low, high = numbers.of(0.0, "points", low=ends[0], high=ends[1], signed=True)
    if not flips:
        return f"Anything from {low} to {high} points is possible."
    sides = [
        (text.lstrip(f"+{numbers.minus}"), "fewer" if end < 0 else "more")
        for text, end in zip((low, high), ends, strict=True)
    ]
    if sides[0][1] == sides[1][1]:
        near, far = sorted(sides, key=lambda s: float(s[0]))
        return f"Anything from {near[0]} to {far[0]} points {far[1]} is possible."
    return f"Anything from {sides[0][0]} points {sides[0][1]} to {sides[1][0]} {sides[1][1]} is possible."


def _directed(
    numbers: Numbers, estimate: float, ends: tuple[float, float] | None, less: str, more: str, of: str = ""
) -> str:
    """Write a difference with a word for its direction: ``2.4 points fewer (1.7 to 3.0 fewer)``."""
    word = less if estimate < 0 else more
    if ends is None:
        return f"{numbers.of(abs(estimate), 'points')[0]} points {word}{of}"
    if (ends[0] < 0) != (ends[1] < 0) and ends[0] != 0:
        size, _, _ = numbers.of(abs(estimate), "points", low=ends[0], high=ends[1])
        return f"{size} points {word}{of} ({_signed(numbers, ends)})"
    low, high = sorted(map(abs, ends))
    size, near, far = numbers.of(abs(estimate), "points", low=low, high=high)
    return f"{size} points {word}{of} ({near} to {far} {word})"


def _signed(numbers: Numbers, ends: tuple[float, float]) -> str:
    _, low, high = numbers.of(0.0, "points", low=ends[0], high=ends[1], signed=True)
    return f"{low} to {high}"


def _accuracy_of(row: Row | None, margin: float | None, numbers: Numbers) -> str:
    """Write the accuracy clause of a pair."""
    if row is None or row["estimate"] is None:
        return "Accuracy could not be compared."
    word, ends = kind(row), interval(row, margin)
    if IDENTICAL in (row["reason"] or ""):
        return "Accuracy is the same."
    if word == SAME:
        return "In accuracy there is no relevant difference" + (
            f" ({_signed(numbers, ends)})." if ends else "."
        )
    if word == OPEN:
        return "Whether accuracy differs is inconclusive" + (
            f" ({_signed(numbers, ends)} points)." if ends else "."
        )
    return f"Accuracy is {_directed(numbers, row['estimate'], ends, 'lower', 'higher')}."


# ---------------------------------------------------------------------------------------------- the gap


def gaps(result: Result, numbers: Numbers = ASCII) -> list[str]:
    """Say for each arm whether its gap is larger than chance: gap, interval, noise floor and p.

    Returns
    -------
    list of str
        One sentence per arm whose gap is defined; "no difference larger than chance was found" is the most
        that a large p can say.
    """
    sentences = []
    for arm in result["arms"]:
        row = headline(result, "gap", arm["name"])
        if row is None:
            continue
        value, low, high = numbers.of(row["value"], "points", low=row["low"], high=row["high"])
        text = (
            f"{arm['name']}: the gap, {_sides(row, result['reliance']['attribute_words'])}, is {value} points"
        )
        text += _brackets(low, high)
        if row.get("noise") is not None and row.get("p") is not None:
            noise = numbers.of(row["noise"], "points")[0]
            chance = f"chance alone gives about {noise}, {numbers.p(row['p'])}"
            # The shuffles speak of these trainings, the interval of others too: both may be told, apart.
            spans = row["low"] is not None and row["low"] <= 0 <= row["high"]
            if row["p"] > result["alpha"]:
                text += f"; no difference larger than chance was found ({chance})"
            elif spans:
                text += f"; larger than chance in these runs ({chance}), but other seeds may show none"
            else:
                text += f"; larger than chance ({chance})"
        sentences.append(text + ".")
    return sentences
