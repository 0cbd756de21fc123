"""What ``compare`` prints when it has ended, and what an audit says: the answer, numbers, notes and files.

The lines are made first, as text with a style per piece, and printed by one thin function: a terminal, a
pipe and a test see the same characters.
"""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from biaskit.stats import ENOUGH
from biaskit.telling import notes, sentences
from biaskit.telling.numbers import ASCII, shown, visible
from biaskit.telling.panels import standing

__all__ = ["Line", "comparison_lines", "files_of", "hint_lines", "print_comparison", "print_lines"]

Row = Mapping[str, Any]

WIDE = 100
"""Below this many columns an interval goes to a line of its own."""
BLOCK = 3
"""Arms side by side."""
MOST_NOTES = 3
LOWEST = 5
"""Groups of an audit that are told."""
MOST_PAIRS = 6
"""More pairs than this and only those with the first arm are printed."""
TABLE = ("flip_rate", "average_accuracy", "gap", "worst_group_accuracy", "nds", "ds")
BETTER = {"lower": "lower", "higher": "higher", "zero": "near 0"}
STYLES = {"better": "#009e73", "worse": "#d55e00"}


@dataclass(frozen=True)
class Line:
    """One line of output: pieces of text, each with a rich style or none."""

    parts: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        """The characters, which are the same whether styled or not."""
        return "".join(text for text, _ in self.parts)


def _line(text: str = "", style: str = "") -> Line:
    return Line(((text, style),) if text else ())


def print_comparison(result: Row, folder: str | Path) -> None:
    """Print a finished comparison: the result to stdout, the hint to stderr.

    Parameters
    ----------
    result : mapping
        The dictionary of ``result.json``.
    folder : str or Path
        Where its files were written.
    """
    out = Console(file=sys.stdout, markup=False, highlight=False, soft_wrap=True)
    width = out.width if sys.stdout.isatty() else None
    print_lines(comparison_lines(result, width, files_of(folder)), out)
    err = Console(file=sys.stderr, markup=False, highlight=False, soft_wrap=True)
    print_lines(hint_lines(result, err.width if sys.stderr.isatty() else None), err)


def print_lines(lines: Iterable[Line], console: Console) -> None:
    """Write lines as they are; only a terminal that wants color gets the styles."""
    for line in lines:
        console.print(Text.assemble(*line.parts), soft_wrap=True)


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
    lines = [one for text in told[:-1] for one in _wrapped(text, width, style="bold")]
    lines += [*_wrapped(told[-1], width), Line()]
    lines += _numbers_table(result, width)
    count = result["data"]["splits"].get("test", 0)
    lines += [
        *_wrapped(f"{notes.methods(result)}; {ASCII.count(count)} test images", width, style="dim"),
        Line(),
    ]
    if len(result["arms"]) > 1:
        lines += [*_differences_table(result, width), Line()]
    if result["kind"] == "audit":
        lines += [*_lowest_table(result), Line()]
    for level, text in notes.rests_on(result):
        if level == "failed":
            lines += _wrapped(f"failed: {text}", width, indent=8, style=STYLES["worse"])
    said = notes.notes(result)
    for text in said[:MOST_NOTES]:
        lines += _wrapped(f"note: {text}", width, indent=6)
    if len(said) > MOST_NOTES:
        lines.append(_line(f"note: {len(said) - MOST_NOTES} more in the report"))
    if result["kind"] == "audit":
        lines += [one for level, text in notes.rests_on(result) if level == "ok" for one in _wrapped(text, width)]
    lines += [_line("  ".join(row).rstrip()) for row in _padded([list(f) for f in files], "lll")]
    return lines


def hint_lines(result: Row, width: int | None) -> list[Line]:
    """Lay out the one hint, a line to paste with its cost; it goes to stderr."""
    result = visible(result)
    hint = notes.hint(result)
    if hint is None:
        return []
    cost = [f"{hint['new_runs']} new runs"] if hint.get("new_runs") else []
    cost += [ASCII.seconds(hint["seconds"])] if hint.get("seconds") else []
    text = f"hint: {hint['text']}" + (f" ({', '.join(cost)})" if cost else "") + ":"
    return [*_wrapped(text, width, indent=6), _line(f"      {hint['command']}")]


def files_of(folder: str | Path) -> list[tuple[str, str, str]]:
    """List what a folder of results holds, in the order of need."""
    folder = Path(folder)
    tables = sorted(p.stem for p in (folder / "tables").glob("*.csv"))
    figures = len(list((folder / "figures").glob("*.svg")))
    every = [
        ("report", folder / "report.html", ""),
        ("tables", folder / "tables", f"{len(tables)} files: {', '.join(tables)}" if tables else ""),
        ("figures", folder / "figures", f"{figures} files"),
        ("predictions", folder / "predictions.parquet", "every number above can be computed from it"),
        ("result", folder / "result.json", "schema 1"),
    ]
    return [(name, str(path), text) for name, path, text in every if path.exists()]


# ------------------------------------------------------------------------------------------------ the tables


@dataclass(frozen=True)
class _Entry:
    """A row of the table of arms: per arm a value and what follows it, an interval or words."""

    label: str
    cells: Mapping[str, tuple[str, str]]
    better: str = ""


def _numbers_table(result: Row, width: int | None) -> list[Line]:
    """Lay out measures x arms, three arms side by side."""
    names = [a["name"] for a in result["arms"]]
    entries = [e for m in result["metrics"] if m["name"] in TABLE for e in _entries(result, m)]
    narrow = width is not None and width < WIDE
    for size in range(BLOCK, 0, -1):
        blocks = [_block(entries, names[i : i + size], narrow=narrow) for i in range(0, len(names), size)]
        if width is None or all(cell_len(line.text) <= width for block in blocks for line in block):
            break
    return [line for i, block in enumerate(blocks) for line in ([Line()] if i else []) + block]


def _block(entries: Sequence[_Entry], arms: Sequence[str], *, narrow: bool) -> list[Line]:
    """Lay out one block: values right, intervals left behind them or on the line below."""
    value = {a: max([len(e.cells[a][0]) for e in entries if a in e.cells], default=0) for a in arms}
    value = {a: max(value[a], 5) for a in arms}
    rest = {a: max([cell_len(e.cells[a][1]) for e in entries if a in e.cells], default=0) for a in arms}
    label = max([len("measure"), *(cell_len(e.label) for e in entries)])
    size = {a: max(cell_len(a), max(value[a], rest[a]) if narrow else value[a] + 1 + rest[a]) for a in arms}
    lines = [
        _line(
            (_pad("measure", label) + "  " + "  ".join(_pad(a, size[a]) for a in arms) + "  better").rstrip(),
            "dim",
        )
    ]
    for entry in entries:
        cells = [(size[a], value[a], *entry.cells.get(a, ("", ""))) for a in arms]
        first: list[tuple[str, str]] = [(_pad(entry.label, label), "")]
        second: list[tuple[str, str]] = [(" " * label, "")]
        bare = not any(number for _, _, number, _ in cells)
        for room, wide, number, words in cells:
            if bare:
                first.append(("  " + _pad(words, room), "dim"))
            elif narrow:
                first.append(("  " + _pad(number.rjust(wide), room), ""))
                second.append(("  " + _pad(words, room), "dim"))
            else:
                first += [("  " + number.rjust(wide) + " ", ""), (_pad(words, room - wide - 1), "dim")]
        first.append((f"  {entry.better}", "dim"))
        lines.append(_trimmed(first))
        if narrow and not bare and any(words for *_, words in cells):
            lines.append(_trimmed(second))
    return lines


def _entries(result: Row, metric: Row) -> list[_Entry]:
    """Give the rows of one measure: its value, then what belongs to it."""
    rows = {r["arm"]: r for r in result["headline"] if r["metric"] == metric["name"]}
    if not rows:
        return []
    unit = f", {metric['unit']}" if metric["unit"] else ""
    cells = {arm: _value(metric, row) for arm, row in rows.items()}
    entries = [_Entry(metric["title"] + unit, cells, BETTER.get(metric["better"], ""))]
    if metric["name"] == "average_accuracy":
        entries += _values(result, metric)
    if metric["name"] == "gap" and any(_has(r, "noise", "p") for r in rows.values()):
        noise = {
            a: (ASCII.of(r["noise"], "points")[0], ASCII.p(r["p"])) for a, r in rows.items() if _has(r, "noise", "p")
        }
        entries.append(_Entry("  noise, p", noise))
    if metric["name"] == "worst_group_accuracy":
        where = {a: ("", f"{r['group']}, n {ASCII.count(r['group_n'])}") for a, r in rows.items() if r.get("group")}
        equal = {a: (ASCII.of(r["if_equal"], "%")[0], "") for a, r in rows.items() if _has(r, "if_equal")}
        entries += [_Entry("  lowest", where)] if where else []
        entries += [_Entry("  if equal", equal)] if equal else []
    return entries


def _has(row: Row, *keys: str) -> bool:
    return all(row.get(key) is not None for key in keys)


def _value(metric: Row, row: Row) -> tuple[str, str]:
    """Write a value and its interval, or the reason why there is none."""
    value, low, high = shown(ASCII, metric, row)
    if not value:
        return "-", row.get("reason") or "undefined"
    return value, f"[{low}, {high}]" if low and high else ""


def _values(result: Row, metric: Row) -> list[_Entry]:
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
    return [_Entry(f"  {value}, n {ASCII.count(n)}", cells) for (value, n), cells in found.items()]


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
        return [_line("no group has enough images to tell its accuracy")]
    padded = _padded(cells, "lrrl")
    lines = [_line("  ".join(padded[0]).rstrip(), "dim")]
    lines += [_trimmed([("  ".join(row[:3]) + "  ", ""), (row[3], "dim")]) for row in padded[1:]]
    if len(every) > len(told):
        lines.append(_line(f"{len(every) - len(told)} more in the report", "dim"))
    return lines


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
            _line(
                f"{len(pairs) - len({(r['arm'], r['against']) for r in kept})} more pairs in the report",
                "dim",
            )
        )
    title = next((m["title"] for m in result["metrics"] if m["name"] == result["reliance"]["metric"]), "")
    margin = result["margin"]
    rule = f"; differences under {ASCII.points(margin)} do not matter (--margin)" if margin is not None else ""
    decides = f"the {title} decides" if title else "accuracy decides: these data have no attribute to lean on"
    return lines + _wrapped(f"{decides}{rule}", width, style="dim")


def _difference(metric: Row, row: Row, *, joint: bool) -> list[str]:
    """Write one difference: measure, arms, mean, interval, verdict."""
    unit = ", geometric ratio" if row.get("ratio") else ", points" if metric["unit"] in ("%", "points") else ""
    unit = ", half-split" + unit if row["metric"] == "worst_group_accuracy" else unit
    ends = {"low": row["low_together"], "high": row["high_together"]} if joint else {}
    value, low, high = shown(ASCII, metric, {**row, **ends}, key="estimate")
    word = row["verdict"] or ""
    if word and row["seeds"] < 3:
        word = f"no verdict ({row['seeds']} seed{'s' if row['seeds'] > 1 else ''})"
    elif row["reason"]:
        word = f"{word} ({row['reason']})"
    between = f"[{low}, {high}]" if low and high else "" if value else row["reason"] or "undefined"
    return [metric["title"] + unit, f"{row['arm']} - {row['against']}", value or "-", between, word]


def _grid(cells: Sequence[Sequence[str]], rows: Sequence[Row], width: int | None) -> list[Line]:
    """Lay out a table with a head; the verdict word repeats its meaning as color.

    Where the names of the arms are too long for the terminal they come last: only they break over its edge.
    """
    padded = _padded(cells, "llrll")
    styles = [
        ["", "", "", "dim", STYLES.get(row["verdict"] or "", "") if row["seeds"] >= 3 else ""][: len(padded[0])]
        for row in rows
    ]
    if width is not None and any(cell_len("  ".join(texts).rstrip()) > width for texts in padded):
        padded = [[texts[0], *texts[2:], texts[1]] for texts in padded]
        styles = [[one[0], *one[2:], one[1]] for one in styles]
    lines = [_line("  ".join(padded[0]).rstrip(), "dim")]
    for texts, own in zip(padded[1:], styles, strict=True):
        lines.append(_trimmed([(text + "  ", style) for text, style in zip(texts, own, strict=True)]))
    return lines


# ---------------------------------------------------------------------------------------------------- layout


def _pad(text: str, width: int) -> str:
    """Pad to a width in terminal cells, which a wide character takes two of."""
    return text + " " * (width - cell_len(text))


def _padded(rows: Sequence[Sequence[str]], align: str) -> list[list[str]]:
    """Pad every column to its widest text, left or right."""
    if not rows:
        return []
    sizes = [max(cell_len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return [
        [
            _pad(t, n) if how == "l" else " " * (n - cell_len(t)) + t
            for t, n, how in zip(row, sizes, align, strict=False)
        ]
        for row in rows
    ]


def _trimmed(parts: Sequence[tuple[str, str]]) -> Line:
    """Make a line without blanks at its end."""
    kept = list(parts)
    while kept and not kept[-1][0].strip():
        kept.pop()
    if kept:
        kept[-1] = (kept[-1][0].rstrip(), kept[-1][1])
    return Line(tuple(part for part in kept if part[0]))


def _wrapped(text: str, width: int | None, *, indent: int = 0, style: str = "") -> list[Line]:
    """Break a sentence at words on a terminal; a pipe gets it in one line."""
    if width is None:
        return [_line(text, style)]
    wrapped = textwrap.wrap(
        text, max(width, 20), subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )
    return [_line(one, style) for one in wrapped]
