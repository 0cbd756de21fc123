"""A gate in words: a line per rule for a terminal, JUnit XML, annotations and a summary for continuous integration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from biaskit.telling.markdown import escaped
from biaskit.telling.numbers import ASCII, RATES, in_words, visible

__all__ = ["MOST_BYTES", "cells", "github_commands", "in_order", "job_summary", "junit", "notes", "summary"]

Row = Mapping[str, Any]

ORDER = ("fail", "inconclusive", "pass")
"""Results in the order of need."""
HEADS = ("rule", "evidence", "limit", "result")
MOST_ANNOTATIONS = 10
"""GitHub shows no more of a kind for a step."""
MOST_BYTES = 1024 * 1024 - 1
"""GitHub refuses the summaries of a step from 1 MiB on."""
MOST_NOTES = 3
"""Notes of a rule on a terminal; the files have all."""


def summary(result: Row) -> str:
    """Say in one sentence what came out.

    Examples
    --------
    >>> summary({"rules": [{"result": "pass"}, {"result": "inconclusive"}]})
    'Inconclusive: 1 of 2 rules cannot be decided from this evidence; none fails.'
    """
    results = [row["result"] for row in result["rules"]]
    total = ASCII.counted(len(results), "rule")
    failed, open_ = results.count("fail"), results.count("inconclusive")
    if failed:
        rest = f"; {open_} cannot be decided from this evidence" if open_ else ""
        return f"Fail: {failed} of {total} {'fails' if failed == 1 else 'fail'}{rest}."
    if open_:
        return f"Inconclusive: {open_} of {total} cannot be decided from this evidence; none fails."
    return f"Pass: the evidence satisfies {'the rule' if len(results) == 1 else f'all {total}'}."


def in_order(result: Row) -> list[Row]:
    """Give the rules in the order of need, and else of the policy."""
    return sorted(result["rules"], key=lambda row: ORDER.index(row["result"]))


def cells(row: Row) -> list[str]:
    """Write a rule as its name, its evidence, its limit and its result."""
    return [row["name"], evidence(row), limit(row), row["result"]]


def evidence(row: Row) -> str:
    """Write the number of a rule with its interval and n, or why there is none."""
    n = f"n {ASCII.count(row['n'])}"
    if row["low"] is None or row["high"] is None:
        return f"{row['reason'] or 'undefined'}, {n}" if row["n"] else row["reason"] or "undefined"
    signed = bool(row["against"])
    ends = {"low": row["low"], "high": row["high"], "signed": signed}
    # Without a value of its own an interval is told by its ends, in the same digits.
    known = row["low"] if row["value"] is None else row["value"]
    value, low, high = ASCII.of(known, row["unit"], **ends) if row["unit"] in RATES else ASCII.sized(known, **ends)
    words = in_words(row["unit"], difference=signed)
    told = row["reason"] if row["value"] is None else f"{value} {words}".rstrip()
    interval = f"[{low}, {high}]" if row["value"] is not None else f"{words} [{low}, {high}]".lstrip()
    seeds = f"{row['seeds']} seeds" if row["seeds"] > 1 else ""
    return ", ".join(part for part in (f"{told} {interval}", row["of"], n, seeds) if part)


def limit(row: Row) -> str:
    """Write the limit of a rule as it was given."""
    scale = 100.0 if row["unit"] in RATES else 1.0
    words = in_words(row["unit"], difference=bool(row["against"]))
    number = f"{row['limit_value'] * scale:.6g} {words}".rstrip()
    against = f" against {row['against']}" if row["against"] else ""
    return f"{'at least' if row['limit'] == 'min' else 'at most'} {number}{against}"


def notes(result: Row, most: int | None = None) -> list[str]:
    """Give what must be known beside the numbers, rules in the order of need; of each rule at most so many."""
    found = [f"{row['name']}: {text}" for row in in_order(result) for text in row["notes"][:most]]
    return [*found, *result["notes"]]


def junit(result: Row) -> str:
    """Write JUnit XML: a rule that fails is a failure, one that cannot be decided an error, so that neither passes.

    Parameters
    ----------
    result : mapping
        ``Gate.result``.

    Returns
    -------
    str
    """
    result = visible(result)
    counts = {word: sum(row["result"] == word for row in result["rules"]) for word in ORDER}
    totals = {"tests": str(len(result["rules"])), "failures": str(counts["fail"])}
    totals |= {"errors": str(counts["inconclusive"]), "skipped": "0"}
    root = ElementTree.Element("testsuites", {"name": "biaskit gate", **totals})
    suite = ElementTree.SubElement(root, "testsuite", {"name": result["policy"], **totals})
    for row in result["rules"]:
        case = ElementTree.SubElement(
            suite, "testcase", {"classname": f"biaskit.{result['policy']}", "name": row["name"]}
        )
        text = _sentence(row)
        if row["result"] != "pass":
            kind = "failure" if row["result"] == "fail" else "error"
            ElementTree.SubElement(case, kind, {"type": row["result"], "message": text}).text = text
        ElementTree.SubElement(case, "system-out").text = "\n".join([text, *row["notes"]])
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def github_commands(result: Row) -> list[str]:
    """Write the workflow commands of GitHub Actions for the rules that do not pass, worst first, ten at most.

    Examples
    --------
    >>> row = {"name": "floor", "result": "fail", "value": 0.5, "low": 0.4, "high": 0.6, "n": 90, "of": "", "unit": "%"}
    >>> row |= {"against": "", "limit": "min", "limit_value": 0.8, "reason": "", "seeds": 1}
    >>> github_commands({"rules": [row]})
    ['::error title=biaskit floor::fail: 50.0 %25 [40.0, 60.0], n 90, limit at least 80 %25']
    """
    rows = [row for row in in_order(visible(result)) if row["result"] != "pass"]
    shown = rows if len(rows) <= MOST_ANNOTATIONS else rows[: MOST_ANNOTATIONS - 1]
    found = [_command(row["result"], f"biaskit {row['name']}", _sentence(row)) for row in shown]
    rest = rows[len(shown) :]
    if rest:
        text = f"{len(rest)} more rules do not pass; the summary of the job lists all"
        found.append(_command(rest[0]["result"], "biaskit gate", text))
    return found


def job_summary(result: Row, most: int = MOST_BYTES) -> str:
    """Write the outcome as Markdown: the sentence, every rule, passed ones included, and the notes.

    Parameters
    ----------
    result : mapping
        ``Gate.result``.
    most : int
        Bytes it may take; lines that do not fit are left out from the end, and counted.

    Returns
    -------
    str
        Names are escaped: none can become markup, a link or another column.
    """
    result = visible(result)
    about = f"Policy {result['policy']} on {result['folder']}"
    about += f", baseline {result['baseline']}" if result["baseline"] else ""
    lines = [f"## biaskit gate: {result['verdict']}", "", escaped(summary(result)), "", escaped(about), ""]
    lines += [_line(HEADS), _line(["---"] * len(HEADS))]
    lines += [_line([escaped(text) for text in cells(row)]) for row in in_order(result)]
    lines += [
        "",
        "95 % intervals; a rule passes where all of its interval satisfies the limit, and fails where none does.",
    ]
    told = notes(result)
    if told:
        lines += ["", *(f"- {escaped(text)}" for text in told)]
    return _fitted(lines, most)


def _fitted(lines: Sequence[str], most: int) -> str:
    """Join lines within so many bytes."""
    sizes = [len(line.encode()) + 1 for line in lines]
    if sum(sizes) <= most:
        return "\n".join(lines) + "\n"
    kept, left = 0, most - 60
    while kept < len(lines) and sizes[kept] <= left:
        left -= sizes[kept]
        kept += 1
    return "\n".join([*lines[:kept], "", f"{len(lines) - kept:,} more lines do not fit here."]) + "\n" if kept else ""


def _line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _sentence(row: Row) -> str:
    return f"{row['result']}: {evidence(row)}, limit {limit(row)}"


def _command(result: str, title: str, text: str) -> str:
    """Write a workflow command; what would end it or its title early is escaped."""
    for sign, code in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A")):
        title, text = title.replace(sign, code), text.replace(sign, code)
    title = title.replace(":", "%3A").replace(",", "%2C")
    return f"::{'error' if result == 'fail' else 'warning'} title={title}::{text}"
