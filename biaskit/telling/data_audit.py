"""A data audit in sentences: what gives the label away, how far that gets, what is missing, what is there twice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from biaskit.telling.numbers import ASCII, Numbers, visible
from biaskit.telling.words import listed

__all__ = ["sentences"]

Row = Mapping[str, Any]

ALPHA = 0.05


def sentences(result: Row, numbers: Numbers = ASCII) -> list[str]:
    """Say what was found, the shortcut first.

    Parameters
    ----------
    result : mapping
        The dictionary of ``result.json``, kind ``"data"``.
    numbers : Numbers
        The alphabet.

    Returns
    -------
    list of str
        Association, ceiling, groups and duplicates, one sentence each; what the data cannot say is left out.
    """
    result = visible(result)
    found = [_tied(result, numbers), _ceiling(result, numbers), _missing(result, numbers), _twice(result, numbers)]
    return [text for text in found if text]


def named(result: Row, attribute: str) -> str:
    """Name an attribute, or several of them, as the data set's card does."""
    words = result["data"]["words"]
    return " and ".join(words.get(one, one) for one in attribute.split(" x "))


def _known(rows: Sequence[Row], splits: Sequence[str]) -> tuple[str, list[Row]]:
    """The rows that have a number, of the first split with any."""
    for split in splits:
        mine = [row for row in rows if row["split"] == split and row["p_holm"] is not None]
        if mine:
            return split, mine
    return "", []


def _tied(result: Row, numbers: Numbers) -> str:
    split, rows = _known(result["association"], list(result["data"]["splits"]))
    if not rows:
        return ""
    label = result["data"]["words"].get("label", "label")
    tied = sorted((row for row in rows if row["p_holm"] <= ALPHA), key=lambda row: -row["v"])
    if not tied:
        none = f"none of {len(rows)} attributes goes" if len(rows) > 1 else f"the {_name(result, rows[0])} does not go"
        return f"In {split}, {none} with the {label} by more than chance (n {numbers.count(rows[0]['n'])})."
    first, rest = tied[0], tied[1:]
    value, low, high = numbers.of(first["v"], "", low=first["low"], high=first["high"])
    others = listed(_name(result, row) for row in rest) if rest else ""
    more = f"; so {'do' if len(rest) > 1 else 'does'} {others}"
    measure = "Cramer's V" if numbers == ASCII else "Cram\u00e9r's V"
    return (
        f"In {split}, the {_name(result, first)} goes with the {label}: {measure} {value} ({low} to {high}), "
        f"n {numbers.count(first['n'])}{more if rest else ''}."
    )


def _name(result: Row, row: Row) -> str:
    return named(result, row["attribute"])


def _ceiling(result: Row, numbers: Numbers) -> str:
    rows = result["ceiling"]
    if not rows:
        return ""
    paying = [row for row in rows if row["p_holm"] <= ALPHA and row["lift"] > 0]
    if not paying:
        names = list(dict.fromkeys(row["attribute"] for row in rows))
        which = f"the {_name(result, rows[0])}" if len(names) == 1 else "the attributes"
        return f"Without a pixel, from {which} alone, no classifier was seen to beat one answer for all."
    best = max(paying, key=lambda row: row["lift"])
    parts = []
    for row in (row for row in rows if row["attribute"] == best["attribute"]):
        value, low, high = numbers.of(row["accuracy"], "%", low=row["low"], high=row["high"])
        one = numbers.percent(row["commonest"])
        parts.append(f"{value} % of {row['split']} ({low} to {high}; one answer for all {one})")
    return f"Without a pixel, from the {_name(result, best)} alone, a classifier is right in {listed(parts)}."


def _missing(result: Row, numbers: Numbers) -> str:
    if "train" not in result["data"]["splits"]:
        return ""
    by = ["label", *result["data"]["group_by"]]
    never = [row for row in result["groups"] if row["never_in_train"]]
    tested = [row for row in result["groups"] if any(row[s] for s in result["data"]["splits"] if s != "train")]
    groups = f"{numbers.counted(len(tested), 'group')} that {'is' if len(tested) == 1 else 'are'} tested"
    if not never:
        each = "the" if len(tested) == 1 else "each of the"
        return f"Train has seen {each} {groups}." if len(by) > 1 and tested else ""
    # Names of groups have commas in them, so that each stands in brackets among others.
    names = [", ".join(str(row[name]) for name in by) for row in never]
    first = listed(names if len(names) == 1 or len(by) == 1 else (f"({name})" for name in names))
    were = "was" if len(never) == 1 else "were"
    return f"{numbers.count(len(never))} of the {groups} {were} never seen in train: {first}."


def _twice(result: Row, numbers: Numbers) -> str:
    rows = [row for row in result["duplicates"] if row["split"] != row["other"]]
    told = []
    for row in rows:
        if not (row["exact"] or row["near"]):
            continue
        parts = [f"{numbers.count(row['exact'])} pixel for pixel"] if row["exact"] else []
        parts += [f"{numbers.count(row['near'])} nearly"] if row["near"] else []
        wrong = f", {numbers.count(row['other_label'])} with another label" if row["other_label"] else ""
        told.append(
            f"of {numbers.counted(row['n'], row['split'] + ' image')}, {' and '.join(parts)} are in {row['other']} "
            f"as well{wrong}"
        )
    if told:
        text = "; ".join(told)
        return f"{text[0].upper()}{text[1:]}."
    if not rows:
        return ""
    nearly = ", not even nearly" if result["near"] else ""
    return f"No image is in two splits{nearly}."
