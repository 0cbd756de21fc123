"""From the tables of a result to sentences: every finding is a template filled with numbers, never prose by hand.

All functions are pure: they read the result dictionary (``result.json``, schema 1) and return text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from biaskit.telling import single
from biaskit.telling.chance import chance
from biaskit.telling.numbers import ASCII, Numbers
from biaskit.telling.pairs import Pair, pairs
from biaskit.telling.words import (
    ACCURACY,
    BETTER,
    IDENTICAL,
    NONE,
    OPEN,
    SAME,
    SIGN,
    WORSE,
    Result,
    Row,
    against_chance,
    beside,
    compared,
    draws,
    headline,
    kind,
    listed,
    meaning,
    sides,
    title,
    told,
)

__all__ = ["Pair", "decided_by", "gaps", "listed", "pairs", "verdict", "verdict_sentence"]

FEW = 4
"""More sentences than this and the lead keeps to the first arm; the table has the rest."""


def verdict(result: Result, numbers: Numbers = ASCII) -> list[str]:
    """Say who relies less on the shortcut, then how the arms compare in accuracy.

    Parameters
    ----------
    result : mapping
        The result of a comparison, or of an audit: then what this one model leans on.
    numbers : Numbers
        How numbers are written.

    Returns
    -------
    list of str
        Sentences; the last one is about accuracy, which never goes untold, and what else was judged.
    """
    arms = [a["name"] for a in result["arms"]]
    if result["kind"] == "audit":
        # Of a model that is no better than chance nothing else is to be read first.
        first = chance(result, numbers)
        return [*([first] if first else []), *single.audit(result, numbers)]
    if len(arms) == 1:
        return single.alone(result, arms[0], numbers)
    rows = compared(result, result["reliance"]["metric"])
    if len(result["seeds"]) < 3:
        count = "one seed" if len(result["seeds"]) == 1 else "two seeds"
        lead = [f"No verdict: {count} cannot tell a difference from luck."]
    elif not rows:
        lead = [f"No verdict: the {title(result, result['reliance']['metric'])} could not be compared."]
    else:
        lead = _reliance(result, rows)
    return [*lead, " ".join(_in_metric(result, name, arms, numbers) for name in beside(result))]


def verdict_sentence(result: Result, numbers: Numbers = ASCII) -> str:
    """Join the sentences of `verdict` into one line."""
    return " ".join(verdict(result, numbers))


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
        every = "both" if len(rows) == 2 else f"all {len(rows)}"
        return [f"No arm is shown to lean less on {on} than another: {every} comparisons are inconclusive."]
    if len(rows) > 1 and words == {SAME}:
        return [f"{listed(arms)} lean on {on} equally, as far as it matters."]
    groups = _groups(rows)
    rest: list[Row] = []
    if len(groups) > FEW:
        first = [r for r in rows if arms[0] in (r["arm"], r["against"])]
        rest = [r for r in rows if r not in first]
        groups = _groups(first)
    order = [BETTER, WORSE, SAME, OPEN, NONE]
    groups.sort(key=lambda g: order.index(g[0]))
    controls = {a["name"]: a["control"] for a in result["arms"]}
    sentences = []
    for index, group in enumerate(groups):
        sentences.append(_lead(group, on if index == 0 else "it", controls))
    if rest:
        settled = sum(kind(r) != OPEN for r in rest)
        sentences.append(f"Of the other {len(rest)} comparisons, {settled or 'none'} {_are(settled)} settled.")
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
    if word == NONE:
        return f"No verdict on {listed(arms)} against {listed(others)}: fewer than three seeds give different answers."
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


def _in_metric(result: Result, metric: str, arms: Sequence[str], numbers: Numbers) -> str:
    """Write the sentence about another judged metric that goes with the verdict on reliance: accuracy in any case."""
    rows = compared(result, metric)
    name = title(result, metric)
    first = f"{name[:1].upper()}{name[1:]}"
    more, less, same = ("more accurate", "less accurate", "as accurate as")
    if metric != ACCURACY:
        more, less, same = ("better", "worse", "as good as")
    values = [(a, headline(result, metric, a)) for a in arms]
    told = ", ".join(f"{a} {numbers.percent(r['value'])}" for a, r in values if r is not None)
    if len(arms) > FEW:
        every = sorted(r["value"] for _, r in values if r is not None)
        told = f"{numbers.percent(every[0])} to {numbers.percent(every[-1])}" if every else ""
    if len(result["seeds"]) < 3 or not rows:
        return f"{first} in {draws(result)}: {told}." if told else f"{first} could not be computed."
    groups = _groups(rows)
    if len(groups) > FEW:
        groups = _groups([r for r in rows if arms[0] in (r["arm"], r["against"])])
        told += f"; only against {arms[0]} here"
    parts = []
    for word, reason, subjects, others in sorted(groups, key=lambda g: [BETTER, WORSE, SAME, OPEN, NONE].index(g[0])):
        are = "is" if len(subjects) == 1 else "are"
        if reason == IDENTICAL:
            parts.append(f"{listed([*others, *subjects])} give identical answers")
        elif word in (BETTER, WORSE):
            parts.append(f"{listed(subjects)} {are} {more if word == BETTER else less} than {listed(others)}")
        elif word == SAME:
            parts.append(f"{listed(subjects)} {are} {same} {listed(others)}, as far as it matters")
        elif word == NONE:
            parts.append(f"there is no verdict on {listed(subjects)} against {listed(others)}")
        else:
            parts.append(f"whether {listed(subjects, 'or')} differs from {listed(others, 'or')} is inconclusive")
    return f"In {name} ({told}), {'; '.join(parts)}."


def decided_by(result: Result) -> str:
    """Name the measure that decides, what it is, and on how many paired seeds it rests."""
    metric = result["reliance"]["metric"]
    count = len(result["seeds"])
    seeds = "one seed" if count == 1 else f"{count} seeds"
    if result["kind"] == "audit":
        return single.scope(result)
    measure = f"by the {title(result, metric)}: {meaning(result)}"
    if len(result["arms"]) == 1:
        return f"Measured {measure}; {seeds}."
    return f"Decided {measure}. {seeds[0].upper()}{seeds[1:]} per arm, paired."


def gaps(result: Result, numbers: Numbers = ASCII) -> list[str]:
    """Say for each arm whether its gap is larger than chance: gap, interval, noise floor and p.

    Returns
    -------
    list of str
        One sentence per arm whose gap is defined; "no difference larger than chance was found" is the most
        that a large p can say. Of an audit, also the lowest and highest value of every attribute.
    """
    if result["kind"] == "audit":
        return single.gap_readings(result, numbers)
    words = result["reliance"]["attribute_words"]
    rows = [(a["name"], headline(result, "gap", a["name"])) for a in result["arms"]]
    beyond = "in these runs", "but other seeds may show none"
    return [
        f"{name}: the gap, {sides(row, words)}, is {told(row, 'points', numbers)}"
        f"{against_chance(row, result['alpha'], beyond, numbers)}."
        for name, row in rows
        if row is not None
    ]
