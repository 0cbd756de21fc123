"""What ``compare`` prints when it has ended, and what an audit says: the answer, numbers, notes and files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.cells import cell_len

from biaskit.cli._lines import Line, console, files_of, line, padded, print_lines, trimmed, wrapped
from biaskit.cli._text_arms import BETTER, Entry, blocks, further_lines, sweep_table
from biaskit.cli._text_study import print_study
from biaskit.stats import ENOUGH
from biaskit.telling import notes, sentences
from biaskit.telling.gaps import between, differs
from biaskit.telling.numbers import ASCII, shown, visible
from biaskit.telling.panels import standing
from biaskit.telling.words import picked, words_of

__all__ = [
    "Line",
    "comparison_lines",
    "files_of",
    "hint_lines",
    "print_comparison",
    "print_lines",
    "print_study",
    "print_sweep",
]

Row = Mapping[str, Any]

MOST_NOTES = 3
LOWEST = 5
"""Groups of an audit that are told."""
MOST_PAIRS = 6
"""More pairs than this and only those with the first arm are printed."""
SEMANTIC = ("srvr", "map_confidence")
TABLE = ("flip_rate", "average_accuracy", "gap", "worst_group_accuracy", *SEMANTIC, "nds", "ds")
STYLES = {"better": "#009e73", "worse": "#d55e00"}


def print_comparison(result: Row, folder: str | Path) -> None:
    """Print a finished comparison: the result to stdout, the hint to stderr.

    Parameters
    ----------
    result : mapping
        The dictionary of ``result.json``.
    folder : str or Path
        Where its files were written.
    """
    out, width = console()
    print_lines(comparison_lines(result, width, files_of(folder)), out)
    err, width = console(err=True)
    print_lines(hint_lines(result, width), err)


def print_sweep(result: Row, folder: str | Path) -> None:
    """Print a finished sweep: as a comparison, with the measures against the parameter in place of arm by arm.

    Parameters
    ----------
    result : mapping
        The dictionary of ``result.json``, kind ``"sweep"``.
    folder : str or Path
        Where its files were written.
    """
    print_comparison(result, folder)


def comparison_lines(result: Row, width: int | None, files: Sequence[tuple[str, str, str]] = ()) -> list[Line]:
    """Lay out a finished comparison, or an audit.

    Parameters
    ----------
    result : mapping
        The dictionary of ``result.json``.
    width : int or None
        Columns of the terminal; None for a pipe, where nothing is wrapped.
    files : sequence of (name, path, meaning)
        What was written, for the last lines.

    Returns
    -------
    list of Line
        The verdict first; a reader who stops after any line has not been misled.
    """
    result = visible(result)
    told = sentences.verdict(result)
    lines = [one for text in told[:-1] for one in wrapped(text, width, style="bold")]
    lines += [*wrapped(told[-1], width), Line()]
    lines += sweep_table(result, width) if result["kind"] == "sweep" else _numbers_table(result, width)
    count = result["data"]["splits"].get("test", 0)
    lines += [
        *wrapped(f"{notes.methods(result)}; {ASCII.counted(count, 'test image')}", width, style="dim"),
        Line(),
    ]
    if len(result["arms"]) > 1:
        lines += [*_differences_table(result, width), Line()]
    if result["kind"] == "audit":
        lines += [*_lowest_table(result), Line(), *_gaps_table(result)]
    lines += further_lines(result, width)
    for level, text in notes.rests_on(result):
        if level == "failed":
            lines += wrapped(f"failed: {text}", width, indent=8, style=STYLES["worse"])
    said = notes.notes(result)
    for text in said[:MOST_NOTES]:
        lines += wrapped(f"note: {text}", width, indent=6)
    if len(said) > MOST_NOTES:
        lines.append(line(f"note: {len(said) - MOST_NOTES} more in the report"))
    if result["kind"] == "audit":
        lines += [one for level, text in notes.rests_on(result) if level == "ok" for one in wrapped(text, width)]
    lines += [line("  ".join(row).rstrip()) for row in padded([list(f) for f in files], "lll")]
    return lines


def hint_lines(result: Row, width: int | None) -> list[Line]:
    """Lay out the one hint, a line to paste with its cost; it goes to stderr."""
    result = visible(result)
    hint = notes.hint(result)
    if hint is None:
        return []
    cost = [ASCII.counted(hint["new_runs"], "new run")] if hint.get("new_runs") else []
    cost += [ASCII.seconds(hint["seconds"])] if hint.get("seconds") else []
    text = f"hint: {hint['text']}" + (f" ({', '.join(cost)})" if cost else "") + ":"
    return [*wrapped(text, width, indent=6), line(f"      {hint['command']}")]


# ------------------------------------------------------------------------------------------------ the tables


def _numbers_table(result: Row, width: int | None) -> list[Line]:
    """Lay out measures x arms, three arms side by side."""
    # The gap of two values fixed beforehand says little beside the largest one, which has a table of its own.
    chosen = [m for m in result["metrics"] if m["name"] in TABLE and not (m["name"] == "gap" and picked(result))]
    entries = [e for m in chosen for e in _entries(result, m)]
    return blocks("measure", entries, [a["name"] for a in result["arms"]], width)


def _entries(result: Row, metric: Row) -> list[Entry]:
    """Give the rows of one measure: its value, then what belongs to it."""
    rows = {r["arm"]: r for r in result["headline"] if r["metric"] == metric["name"]}
    if not rows:
        return []
    unit = f", {metric['unit']}" if metric["unit"] else ""
    cells = {arm: _value(metric, row) for arm, row in rows.items()}
    # Most are over the whole test set, whose size stands below; what rests on a few of its images says so.
    sizes = {row["n"] for row in rows.values()}
    few = metric["name"] in SEMANTIC and len(sizes) == 1
    label = metric["title"] + unit + (f", n {ASCII.count(sizes.pop())}" if few else "")
    entries = [Entry(label, cells, BETTER.get(metric["better"], ""))]
    if metric["name"] == "average_accuracy":
        entries += _values(result, metric)
    if metric["name"] == "gap" and any(_has(r, "noise", "p") for r in rows.values()):
        noise = {
            a: (ASCII.of(r["noise"], "points")[0], ASCII.p(r["p"])) for a, r in rows.items() if _has(r, "noise", "p")
        }
        entries.append(Entry("  noise, p", noise))
    if metric["name"] == "worst_group_accuracy":
        where = {a: ("", f"{r['group']}, n {ASCII.count(r['group_n'])}") for a, r in rows.items() if r.get("group")}
        equal = {a: (ASCII.of(r["if_equal"], "%")[0], "") for a, r in rows.items() if _has(r, "if_equal")}
        entries += [Entry("  lowest", where)] if where else []
        entries += [Entry("  if equal", equal)] if equal else []
    return entries


def _has(row: Row, *keys: str) -> bool:
    return all(row.get(key) is not None for key in keys)


def _value(metric: Row, row: Row) -> tuple[str, str]:
    """Write a value and its interval, or the reason why there is none."""
    value, low, high = shown(ASCII, metric, row)
    if not value:
        return "-", row.get("reason") or "undefined"
    return value, f"[{low}, {high}]" if low and high else ""


def _values(result: Row, metric: Row) -> list[Entry]:
    """Give the accuracy of each value of the deciding attribute; of many values the report has the table."""
    rows = [r for r in result["attribute_values"] if r["attribute"] == result["reliance"]["attribute"]]
    found: dict[tuple[str, int], dict[str, tuple[str, str]]] = {}
    for row in rows:
        cell = _value(metric, {"value": row["accuracy"], "low": row["low"], "high": row["high"], "reason": "no images"})
        if row["n"] < ENOUGH:
            cell = "", f"insufficient (n={row['n']})"
        found.setdefault((row["value"], row["n"]), {})[row["arm"]] = cell
    if len(found) > 6:
        return []
    return [Entry(f"  {value}, n {ASCII.count(n)}", cells) for (value, n), cells in found.items()]


def _lowest_table(result: Row) -> list[Line]:
    """Lay out the lowest groups of an audit, the lowest first."""
    by = ["label", *result["data"]["group_by"]]
    every = sorted(result["groups"], key=lambda row: standing([row]))
    told = [row for row in every if standing([row])[0] == 0][:LOWEST]
    cells = [["lowest groups", "n", "accuracy, %", "95 % each"]]
    for row in told:
        value, low, high = ASCII.of(row["accuracy"], "%", low=row["low"], high=row["high"])
        name = ", ".join(str(row[b]) for b in by)
        cells.append([name, ASCII.count(row["n"]), value, f"[{low}, {high}]" if low and high else ""])
    if not told:
        return [line("no group has enough images to tell its accuracy")]
    first, *rest = padded(cells, "lrrl")
    lines = [line("  ".join(first).rstrip(), "dim")]
    lines += [trimmed([("  ".join(row[:3]) + "  ", ""), (row[3], "dim")]) for row in rest]
    if len(every) > len(told):
        lines.append(line(f"{len(every) - len(told)} more in the report", "dim"))
    return lines


def _gaps_table(result: Row) -> list[Line]:
    """Lay out the gap of every attribute of an audit; of a single one the numbers above have it already."""
    rows = result.get("gaps") or []
    if len(rows) < 2 and not any(row["picked"] for row in rows):
        return []
    metric = {"name": "gap", "unit": "points"}
    cells = [["gap, points", "between", "value", "95 %", "noise", "p, Holm", "reading"]]
    for row in rows:
        value, ends = _value(metric, row)
        noise = ASCII.of(row["noise"], "points")[0] if row["noise"] is not None else ""
        p = ASCII.p(row["p_holm"]).removeprefix("p ") if row["p_holm"] is not None else ""
        cells.append([words_of(result, row["attribute"]), between(row), value, ends, noise, p, differs(result, row)])
    first, *rest = padded(cells, "llrlrrl")
    lines = [line("  ".join(first).rstrip(), "dim")]
    lines += [trimmed([("  ".join(row[:3]) + "  ", ""), ("  ".join(row[3:]), "dim")]) for row in rest]
    return [*lines, Line()]


def _differences_table(result: Row, width: int | None) -> list[Line]:
    """Lay out the differences: those with a verdict and joint interval, then the others with their own."""
    metrics = {m["name"]: m for m in result["metrics"]}
    first = result["arms"][0]["name"]
    rows = [r for r in result["differences"] if r["metric"] in TABLE and r["metric"] in metrics]
    pairs = {(r["arm"], r["against"]) for r in rows}
    few = len(pairs) <= MOST_PAIRS
    kept = [r for r in rows if few or first in (r["arm"], r["against"])]
    ruled = [r for r in kept if r["verdict"]]
    others = [r for r in kept if not r["verdict"]]
    lines = []
    if ruled:
        cells = [_difference(metrics[r["metric"]], r, joint=True) for r in ruled]
        lines += _grid([["difference", "arms", "mean", "95 % together", "verdict"], *cells], ruled, width)
    if others:
        cells = [_difference(metrics[r["metric"]], r, joint=False)[:4] for r in others]
        lines += [Line()] if ruled else []
        lines += _grid([["difference", "arms", "mean", "95 % each"], *cells], others, width)
    if not few:
        lines.append(
            line(
                f"{ASCII.counted(len(pairs - {(r['arm'], r['against']) for r in kept}), 'more pair')} in the report",
                "dim",
            )
        )
    title = next((m["title"] for m in result["metrics"] if m["name"] == result["reliance"]["metric"]), "")
    margin = result["margin"]
    rule = f"; differences under {ASCII.points(margin)} do not matter (--margin)" if margin is not None else ""
    decides = f"the {title} decides" if title else "accuracy decides: these data have no attribute to lean on"
    return lines + wrapped(f"{decides}{rule}", width, style="dim")


def _difference(metric: Row, row: Row, *, joint: bool) -> list[str]:
    """Write one difference: measure, arms, mean, interval, verdict."""
    unit = ", geometric ratio" if row.get("ratio") else ", points" if metric["unit"] in ("%", "points") else ""
    unit = ", half-split" + unit if row["metric"] == "worst_group_accuracy" else unit
    joined = {"low": row["low_together"], "high": row["high_together"]} if joint else {}
    value, low, high = shown(ASCII, metric, {**row, **joined}, key="estimate")
    word = row["verdict"] or ""
    if word and row["seeds"] < 3:
        word = f"no verdict ({row['seeds']} seed{'s' if row['seeds'] > 1 else ''})"
    elif row["reason"]:
        word = f"{word} ({row['reason']})"
    ends = f"[{low}, {high}]" if low and high else "" if value else row["reason"] or "undefined"
    return [metric["title"] + unit, f"{row['arm']} - {row['against']}", value or "-", ends, word]


def _grid(cells: Sequence[Sequence[str]], rows: Sequence[Row], width: int | None) -> list[Line]:
    """Lay out a table with a head; the verdict word repeats its meaning as color.

    Where the names of the arms are too long for the terminal they come last: only they break over its edge.
    """
    table = padded(cells, "llrll")
    styles = [
        ["", "", "", "dim", STYLES.get(row["verdict"] or "", "") if row["seeds"] >= 3 else ""][: len(table[0])]
        for row in rows
    ]
    if width is not None and any(cell_len("  ".join(texts).rstrip()) > width for texts in table):
        table = [[texts[0], *texts[2:], texts[1]] for texts in table]
        styles = [[one[0], *one[2:], one[1]] for one in styles]
    lines = [line("  ".join(table[0]).rstrip(), "dim")]
    for texts, own in zip(table[1:], styles, strict=True):
        lines.append(trimmed([(text + "  ", style) for text, style in zip(texts, own, strict=True)]))
    return lines
