"""A study as Markdown: tables that a repository can keep and a reviewer can read as text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from biaskit.telling import study
from biaskit.telling.analyses import PASSED
from biaskit.telling.numbers import ASCII, in_words, visible

__all__ = ["escaped", "laid_out", "study_markdown"]

Row = Mapping[str, Any]

_MARKUP = re.compile(
    r"(?P<ends>\[-?[\d.,]+, -?[\d.,]+\](?![(\[:]))"
    r"|[\\`*\[\]|#~]|(?<![^\W_])_|_(?![^\W_])|<(?=[A-Za-z/!?])|&(?=#?\w+;)"
)
"""The ends of an interval, an underscore within a word, and a sign that opens no tag or entity are no markup: such text
pastes as it reads."""


def study_markdown(result: Row) -> str:
    r"""Write a study as Markdown: what was run, the claims, then every item with published beside measured.

    Parameters
    ----------
    result : mapping
        The dictionary of ``result.json``, kind ``"study"``.

    Returns
    -------
    str
        Numbers in ASCII. Names from the data are escaped: none can become markup, a link or another column.

    Examples
    --------
    >>> escaped("a|b <b> [x](y) `c`")
    'a\\|b &lt;b> \\[x\\](y) \\`c\\`'
    >>> escaped("resnet_small 4.1 % [2.0, 6.3], p < 0.001, _so_ R&D &lt;")
    'resnet_small 4.1 % [2.0, 6.3], p < 0.001, \\_so\\_ R&D \\&lt;'
    """
    result = visible(result)
    parts = [f"# {escaped(study.titled(result))}", escaped(study.summary(result))]
    facts = [*study.ran(result), ("Command", f"`{result['command'].replace('`', chr(39))}`")]
    facts += [("Note", text) for text in result.get("notes", [])]
    parts.append("\n".join(f"- {name}: {text if name == 'Command' else escaped(text)}" for name, text in facts))
    if result["claims"]:
        parts += ["## Claims", _claims(result)]
    for item in result["items"]:
        parts += [f"## {escaped(item['title'])}", escaped(item["about"])]
        parts.append(_rows(item) if item["rows"] else "")
        # Checks that passed are told in one note each arm; what each of them saw stands in result.json and the report.
        told = [text for text in item["notes"] if not PASSED.search(text)]
        notes = [f"- note: {escaped(text)}" for text in told]
        failed = [f"- failed: {escaped(text)}" for text in study.reasons(item["failed"])]
        parts.append("\n".join(failed + notes))
    return "\n\n".join(part for part in parts if part) + "\n"


def escaped(text: str) -> str:
    """Escape what Markdown would read as markup."""

    def one(found: re.Match[str]) -> str:
        # A reader that knows no backslash would still take "<script" for a tag.
        return found[0] if found["ends"] else "&lt;" if found[0] == "<" else f"\\{found[0]}"

    return _MARKUP.sub(one, " ".join(text.split()))


def _claims(result: Row) -> str:
    """Lay out the claims, each with the interval that decided it."""
    rows = []
    for claim, item in study.claims(result):
        unit = study.unit_of(claim, item)
        words = in_words(unit, difference=True)
        shown = study.published(ASCII, claim["published"], unit, signed=True)
        found = study.finding(claim, item) + (f" ({claim['reason']})" if claim.get("reason") else "")
        cells = [escaped(claim["item"]), escaped(claim["claim"]), escaped(f"{shown} {words}" if shown else "")]
        rows.append([*cells, _measured(claim, unit, "estimate", words), escaped(found)])
    return laid_out(["item", "claim", "published", "measured", "finding"], rows)


def _rows(item: Row) -> str:
    """Lay out one item."""
    rows = []
    for row in item["rows"]:
        shown = study.published(ASCII, row["published"], row["unit"])
        on = row["published_on"] if shown and row.get("published_on") else ""
        count = ASCII.count(row["n"]) if row["n"] is not None else ""
        seeds = str(row["seeds"]) if row["seeds"] is not None else ""
        cells = [escaped(text) for text in (study.row_label(row), row["arm"], shown, on)]
        rows.append([*cells, _measured(row, row["unit"], "value", ""), count, seeds])
    return laid_out(["measure", "arm", "published", "on", "measured", "n", "seeds"], rows)


def _measured(row: Row, unit: str, key: str, words: str) -> str:
    """Write a value with its interval, or why there is none."""
    value, low, high = study.measured(ASCII, row, unit, key=key)
    if not value:
        return escaped(row.get("reason") or "undefined")
    return f"{value} {escaped(words)}".rstrip() + (f" [{low}, {high}]" if low and high else "")


def laid_out(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out a table of escaped texts; columns that are empty in every row are left out."""
    kept = [i for i in range(len(heads)) if any(row[i] for row in rows)]
    lines = [[heads[i] for i in kept], ["---"] * len(kept), *([row[i] for i in kept] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
