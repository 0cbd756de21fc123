"""What changed between two runs or results, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from biaskit.telling.numbers import ASCII, Numbers, visible
from biaskit.telling.words import listed

__all__ = ["group_name", "sentences"]

Row = Mapping[str, Any]


def sentences(result: Row, numbers: Numbers = ASCII) -> list[str]:
    """Say how the accuracy changed, in which groups, and what changed beside it.

    Parameters
    ----------
    result : mapping
        What :class:`biaskit.Diff` holds.
    numbers : Numbers
        The alphabet.

    Returns
    -------
    list of str
    """
    result = visible(result)
    return [_overall(result, numbers), _groups(result, numbers), _changed(result, numbers)]


def group_name(row: Row) -> str:
    """Name a group by its label and attribute values."""
    return ", ".join(str(one) or "(empty name)" for one in row["group"].values())


def _overall(result: Row, numbers: Numbers) -> str:
    row = result["overall"]
    a, b = result["a"]["name"], result["b"]["name"]
    rates = f"{numbers.percent(row['accuracy_a'])} to {numbers.percent(row['accuracy_b'])}"
    start = f"From {a} to {b}, accuracy goes from {rates}"
    if row["low"] is None:
        return f"{start} (no interval: {row['note']})."
    change, low, high = numbers.of(row["difference"], "points", low=row["low"], high=row["high"], signed=True)
    scope = "; two single models, which say nothing of other seeds" if _single(result) else ""
    return f"{start}: {change} points ({low} to {high}){scope}."


def _single(result: Row) -> bool:
    return min(len(result["a"]["seeds"]), len(result["b"]["seeds"])) == 1


def _groups(result: Row, numbers: Numbers) -> str:
    told = [row for row in result["groups"] if row["p_holm"] is not None]
    if not told:
        return "No group has enough images to tell whether it changed."
    parts = []
    for word in ("lower", "higher"):
        names = [group_name(row) for row in told if row["change"] == word]
        if names:
            parts.append(
                f"{word} in {numbers.count(len(names))} of {numbers.counted(len(told), 'group')}: {listed(names)}"
            )
    if not parts:
        return f"In none of {numbers.counted(len(told), 'group')} is a change larger than chance shown."
    text = "; ".join(parts)
    return f"Accuracy is {text}."


def _changed(result: Row, numbers: Numbers) -> str:
    parts = [(part, len(result[part])) for part in ("card", "data", "code")]
    changed = [f"{numbers.counted(count, 'key')} of the {part}" for part, count in parts if count]
    same = [f"the {part}" for part, count in parts if not count]
    told = f"Changed: {listed(changed)}" if changed else ""
    kept = f"{listed(same)} {'is' if len(same) == 1 else 'are'} the same" if same else ""
    text = "; ".join(one for one in (told, kept) if one)
    return f"{text[0].upper()}{text[1:]}."
