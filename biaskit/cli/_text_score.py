"""What ``score`` prints when it has ended: the answer, gaps, extremes, values, probabilities, notes and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from biaskit.cli._lines import Line, console, files_of, line, padded, print_lines, trimmed, wrapped
from biaskit.telling import score
from biaskit.telling.numbers import ASCII, visible

__all__ = ["print_score", "score_lines"]

Row = Mapping[str, Any]

MOST_NOTES = 3
VALUES = 6
"""Attributes with more values than this are not printed value by value; the report has all."""
MOST_ROWS = 12
"""Rows of a table of probabilities that are printed."""
RATES = {"true_positive_rate": "TPR", "false_positive_rate": "FPR", "precision": "precision"}


def print_score(result: Row, folder: str | Path) -> None:
    """Print a finished score: the result to stdout, the hint to stderr.

    Parameters
    ----------
    result : mapping
        The dictionary of ``result.json``, kind ``"score"``.
    folder : str or Path
        Where its files were written.
    """
    out, width = console()
    print_lines(score_lines(result, width, files_of(folder)), out)
    err, _ = console(err=True)
    print_lines([line(f"hint: biaskit gate {folder} --policy policy.toml")], err)


def score_lines(result: Row, width: int | None, files: Sequence[tuple[str, str, str]] = ()) -> list[Line]:
    """Lay out a finished score.

    Parameters
    ----------
    result : mapping
        The dictionary of ``result.json``, kind ``"score"``.
    width : int or None
        Columns of the terminal; None for a pipe, where nothing is wrapped.
    files : sequence of (name, path, meaning)
        What was written, for the last lines.

    Returns
    -------
    list of Line
        The answer first; a reader who stops after any line has not been misled.
    """
    result = visible(result)
    told = score.sentences(result)
    lines = [one for text in told[:-1] for one in wrapped(text, width, style="bold")]
    lines += wrapped(told[-1], width)
    for block in (_gaps(result), _measures(result), _values(result), _calibration(result), _points(result)):
        lines += [Line(), *block] if block else []
    lines += [Line(), *wrapped(score.methods(result), width, style="dim"), Line()]
    for text in result["notes"][:MOST_NOTES]:
        lines += wrapped(f"note: {text}", width, indent=6)
    if len(result["notes"]) > MOST_NOTES:
        lines.append(line(f"note: {len(result['notes']) - MOST_NOTES} more in the report"))
    lines += [line("  ".join(row).rstrip()) for row in padded([list(one) for one in files], "lll")]
    return lines


def _grid(cells: Sequence[Sequence[str]], align: str, intervals: Sequence[int], left: int = 0) -> list[Line]:
    """Lay out a table with a head; intervals are dim, and so is what is left out."""
    first, *rest = padded(cells, align)
    lines = [line("  ".join(first).rstrip(), "dim")]
    for row in rest:
        lines.append(trimmed([(text + "  ", "dim" if at in intervals else "") for at, text in enumerate(row)]))
    return lines + ([line(f"{ASCII.count(left)} more in the report", "dim")] if left > 0 else [])


def _number(row: Row, unit: str, key: str = "value", ends: tuple[str, str] = ("low", "high")) -> list[str]:
    """Write a value and its interval."""
    if row[key] is None:
        return ["-", ""]
    value, low, high = ASCII.of(row[key], unit, low=row[ends[0]], high=row[ends[1]])
    return [value, f"[{low}, {high}]" if low and high else ""]


def _gaps(result: Row) -> list[Line]:
    cells = [["attribute", "gap, points", "95 %", "noise", "p, Holm", "reading"]]
    for row in result["gaps"]:
        noise = ASCII.of(row["noise"], "points")[0] if row["noise"] is not None else ""
        p = ASCII.p(row["p_holm"]).removeprefix("p ") if row["p_holm"] is not None else ""
        cells.append([row["attribute"], *_number(row, "points"), noise, p, score.reading(row, result["alpha"])])
    return _grid(cells, "lrlrrl", (2,)) if len(cells) > 1 else []


def _measures(result: Row) -> list[Line]:
    cells = [["measure", "value", "95 %", "by chance", "group"]]
    for metric in result["metrics"]:
        row = next((one for one in result["headline"] if one["metric"] == metric["name"]), None)
        if row is None:
            continue
        chance = ASCII.of(row["noise"], metric["unit"])[0] if row["noise"] is not None else ""
        size = f", n {ASCII.count(row['group_n'])}" if row["group_n"] and metric["name"] != "max_min_gap" else ""
        where = f"{row['group']}{size}" if row["group"] else row["reason"] or ""
        cells.append([f"{metric['title']}, {metric['unit']}", *_number(row, metric["unit"]), chance, where])
    return _grid(cells, "lrlrl", (2,))


def _values(result: Row) -> list[Line]:
    """Lay out the accuracy per value of every attribute alone; of many values the report has the table."""
    lines: list[Line] = []
    for attribute in result["data"]["group_by"]:
        rows = [row for row in result["attribute_values"] if row["attribute"] == attribute]
        if len(rows) > VALUES:
            continue
        cells = [[attribute, "n", "accuracy, %", "95 %"]]
        for row in rows:
            told = ["", row["note"]] if row["note"] else _number(row, "%", "accuracy")
            cells.append([row["value"] or "(empty name)", ASCII.count(row["n"]), *told])
        lines += [*([Line()] if lines else []), *_grid(cells, "lrrl", (3,))]
    return lines


def _calibration(result: Row) -> list[Line]:
    rows = [row for row in result["calibration"] if row["attribute"] in ("all", *result["data"]["group_by"])]
    if not rows:
        return []
    cells = [["probability that", "group", "n", "error, points", "95 %", "by chance", "stated, %", "seen, %"]]
    for row in rows[:MOST_ROWS]:
        if row["note"]:
            told = ["", row["note"], "", "", ""]
        else:
            told = _number(row, "points", "ece")
            told += [ASCII.of(row[key], "%")[0] for key in ("noise", "probability", "rate")]
        cells.append([row["event"], _group(row), ASCII.count(row["n"]), *told])
    return _grid(cells, "llrrlrrr", (4,), len(rows) - MOST_ROWS)


def _points(result: Row) -> list[Line]:
    rows = [row for row in result["operating_points"] if row["attribute"] in ("all", *result["data"]["group_by"])]
    if not rows:
        return []
    titles = [text for title in RATES.values() for text in (f"{title}, %", "95 %")]
    cells = [["probability that", "group", "threshold", *titles]]
    for row in rows[:MOST_ROWS]:
        told = [text for rate in RATES for text in _number(row, "%", rate, (f"{rate}_low", f"{rate}_high"))]
        cells.append([row["event"], _group(row), f"{row['threshold']:g}", *told])
    return _grid(cells, "llrrlrlrl", (4, 6, 8), len(rows) - MOST_ROWS)


def _group(row: Row) -> str:
    return "all" if row["attribute"] == "all" else f"{row['attribute']} {row['value']}"
