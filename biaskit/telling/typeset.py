"""The tables of a result as Markdown and LaTeX, to paste into a paper: written out, with n, seeds and intervals."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from biaskit.telling import analyses, data_page, further, gaps, score_page, study_page, tables
from biaskit.telling.markdown import escaped, laid_out
from biaskit.telling.numbers import visible
from biaskit.telling.tables import Cell, Table
from biaskit.telling.words import KINDS

__all__ = ["file_name", "latex", "markdown", "typeset"]

Row = Mapping[str, Any]

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "\N{MINUS SIGN}": "$-$",
    "\N{MIDDLE DOT}": r"\textperiodcentered{}",
    "\N{MULTIPLICATION SIGN}": r"$\times$",
} | {one: f"\\{one}" for one in "&%$#_{}"}
_INTERVAL = re.compile(r"(\S+) to (\S+)")


def typeset(result: Row) -> dict[str, str]:
    """Write the tables of a result.

    Parameters
    ----------
    result : mapping
        The dictionary of ``result.json``: of an audit, a comparison, a sweep or a study.

    Returns
    -------
    dict of str to str
        Text by file name: ``headline.md``, ``headline.tex``, and so on; of a result of another kind there are none.
    """
    result = visible(result)
    found = {}
    for name, table in _every(result).items():
        found[f"{name}.md"] = markdown(table)
        found[f"{name}.tex"] = latex(table, name)
    return found


def _every(result: Row) -> dict[str, Table]:
    """Lay out every table that has rows, by the name of the file beside it."""
    if result["kind"] == "study":
        return {file_name(name): table for name, table in study_page.item_tables(result).items() if table.rows}
    if result["kind"] == "score":
        return score_page.typeset(result)
    if result["kind"] == "data":
        return data_page.typeset(result)
    if result["kind"] not in KINDS:
        return {}
    found: dict[str, Table | None] = {
        "headline": tables.headline(result),
        "gaps": gaps.table(result),
        "differences": tables.differences(result, counts=True) if len(result["arms"]) > 1 else None,
        "groups": tables.groups(result),
        "attribute_values": tables.attribute_values(result),
        "continuity": tables.continuity(result),
        "runs": tables.runs(result) if result["runs"] else None,
        "data": tables.contingency(result),
    }
    for i, analysis in enumerate(analyses.further(result)):
        found[file_name(analysis["analyzer"])] = further.full_table(result, analysis, i)
    return {name: _told(table, result) for name, table in found.items() if table is not None and table.rows}


def _told(table: Table, result: Row) -> Table:
    """Say in the caption on how many seeds a table rests."""
    count = len(result["seeds"])
    words = "one model" if result["kind"] == "audit" else f"{count} seed{'' if count == 1 else 's'} per arm"
    return replace(table, caption=f"{table.caption}; {result['data']['name']}, {words}")


def file_name(name: str) -> str:
    """Make a file name of a name."""
    return re.sub(r"[^\w-]+", "-", name, flags=re.ASCII)[:80] or "table"


def _words(cell: Cell, escape: Callable[[str], str]) -> str:
    """Write a cell as text: a value with its interval in brackets, or the reason why there is none."""
    text, detail = escape(cell.text), escape(cell.detail)
    if text and (ends := _INTERVAL.fullmatch(cell.detail)):
        return f"{text} [{escape(ends[1])}, {escape(ends[2])}]"
    return f"{text} ({detail})" if text and detail else text or detail


def _rows(table: Table, escape: Callable[[str], str]) -> list[list[str]]:
    """Write every row, escaped; what explains the head of a row stands on the page alone."""
    return [[escape(row[0].text), *(_words(cell, escape) for cell in row[1:])] for row in table.rows]


def markdown(table: Table) -> str:
    """Write a table as Markdown, under its caption.

    Parameters
    ----------
    table : Table

    Returns
    -------
    str
        Minus signs are ASCII; nothing in a name can become markup or another column.

    Examples
    --------
    >>> from biaskit.telling.tables import Head
    >>> one = Table("t", "", "Accuracy", [Head("a|b", False), Head("n")], [[Cell("x"), Cell("5", "1 to 9")]])
    >>> print(markdown(one), end="")
    Accuracy.
    <BLANKLINE>
    | a\\|b | n |
    | --- | --- |
    | x | 5 [1, 9] |
    """
    parts = [f"{_plain(table.caption)}.", laid_out([_plain(head.text) for head in table.heads], _rows(table, _plain))]
    parts += [_plain(table.note)] if table.note else []
    return "\n\n".join(parts) + "\n"


def _plain(text: str) -> str:
    """Escape what Markdown would read as markup, with ASCII minus signs."""
    return escaped(text.replace("\N{MINUS SIGN}", "-"))


def latex(table: Table, name: str) -> str:
    r"""Write a table as LaTeX, for the package booktabs.

    Parameters
    ----------
    table : Table
    name : str
        For the label ``tab:name``.

    Returns
    -------
    str
        A floating ``table``; nothing in a name can become a command.

    Examples
    --------
    >>> print(tex("50 % of a_b \\input{x}"))
    50 \% of a\_b \textbackslash{}input\{x\}
    """
    columns = "".join("r" if head.numeric else "l" for head in table.heads)
    lines = ["% made by biaskit; needs \\usepackage{booktabs}", "\\begin{table}", "\\centering"]
    lines += [f"\\caption{{{tex(table.caption)}.}}", f"\\label{{tab:{re.sub(r'[^A-Za-z0-9]+', '-', name)}}}"]
    lines += [f"\\begin{{tabular}}{{{columns}}}", "\\toprule"]
    lines += [_line(tex(head.text) for head in table.heads), "\\midrule"]
    lines += [_line(row) for row in _rows(table, tex)]
    lines += ["\\bottomrule", "\\end{tabular}", *([f"\n{tex(table.note)}"] if table.note else []), "\\end{table}"]
    return "\n".join(lines) + "\n"


def _line(cells: Iterable[str]) -> str:
    # A bracket at the beginning of a row would be read as an option of the end of the row before it.
    return " & ".join("{}" + text if text.startswith("[") else text for text in cells) + r" \\"


def tex(text: str) -> str:
    """Escape what LaTeX would read as a command; between words a hyphen is a dash."""
    return "".join(_SPECIAL.get(one, one) for one in " ".join(text.split())).replace(" - ", " -- ")
