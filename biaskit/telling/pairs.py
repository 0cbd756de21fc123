"""The pairs of arms in words: the verdict on reliance, its size, and what else was judged beside it."""

from __future__ import annotations

from dataclasses import dataclass

from biaskit.telling.numbers import ASCII, Numbers
from biaskit.telling.words import (
    IDENTICAL,
    NONE,
    OPEN,
    SAME,
    SIGN,
    Result,
    Row,
    beside,
    draws,
    headline,
    interval,
    kind,
    signed_span,
    title,
)

__all__ = ["Pair", "pairs"]


@dataclass(frozen=True)
class Pair:
    """One comparison of two arms in words: `verdict` is the word, `text` the evidence, accuracy included."""

    arm: str
    against: str
    verdict: str
    text: str


def pairs(result: Result, numbers: Numbers = ASCII) -> list[Pair]:
    """Write one entry per pair of arms: the verdict on reliance, its size, and what else was judged beside it."""
    metric = result["reliance"]["metric"]
    found = {(r["metric"], r["arm"], r["against"]): r for r in result["differences"]}
    entries = []
    for row in result["differences"]:
        if row["metric"] != metric:
            continue
        key = row["arm"], row["against"]
        parts = [_size(result, row, numbers)]
        for name in beside(result):
            parts.append(_beside(title(result, name), found.get((name, *key)), result["margin"], numbers))
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
        span = f" ({signed_span(numbers, ends)})" if ends else ""
        return f"Any difference is smaller than {numbers.points(margin)}{span}."
    flips = result["reliance"]["metric"] == "flip_rate"
    text = _open(numbers, ends, flips) if word == OPEN and ends else _moved(result, row, ends, numbers)
    if SIGN in (row["reason"] or ""):
        text += " The gap has changed sign, so smaller or larger says nothing about reliance."
    if word == OPEN and row["detectable"] is not None:
        text += f" A difference of about {numbers.about(row['detectable'], '%')} would likely have been found."
    return text


def _moved(result: Result, row: Row, ends: tuple[float, float] | None, numbers: Numbers) -> str:
    """Say by how much swapping changes more or fewer answers, or from where to where the gap went."""
    words = result["reliance"]["attribute_words"]
    draw = f"In {draws(result)}: " if kind(row) == NONE else ""
    if result["reliance"]["metric"] == "flip_rate":
        size = _directed(numbers, row["estimate"], ends, "fewer", "more", of=" of its answers")
        first = f"swapping the {words} changes {size}."
        return draw + (first if draw else first[0].upper() + first[1:])
    metric = result["reliance"]["metric"]
    before, after = headline(result, metric, row["against"]), headline(result, metric, row["arm"])
    span = f", {signed_span(numbers, ends)}" if ends else ""
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
        return f"{size} points {word}{of} ({signed_span(numbers, ends)})"
    told = numbers.of(estimate, "points", low=ends[0], high=ends[1], signed=True)
    size, low, high = (text.lstrip(f"+{numbers.minus}") for text in told)
    near, far = (low, high) if estimate > 0 else (high, low)
    return f"{size} points {word}{of} ({near} to {far} {word})"


def _beside(name: str, row: Row | None, margin: float | None, numbers: Numbers) -> str:
    """Write the clause of a pair about a metric that stands beside reliance, accuracy first."""
    first = name[:1].upper() + name[1:]
    if row is None or row["estimate"] is None:
        return f"{first} could not be compared."
    word, ends = kind(row), interval(row, margin)
    if IDENTICAL in (row["reason"] or ""):
        return f"{first} is the same."
    if word == SAME:
        return f"In {name} there is no relevant difference" + (f" ({signed_span(numbers, ends)})." if ends else ".")
    if word == OPEN:
        return f"Whether {name} differs is inconclusive" + (f" ({signed_span(numbers, ends)} points)." if ends else ".")
    return f"{first} is {_directed(numbers, row['estimate'], ends, 'lower', 'higher')}."
