"""What ``data-audit`` prints: the answer, what goes with the label, how far that gets, what is there twice, files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from biaskit.cli._lines import Line, console, files_of, line, padded, print_lines, trimmed, wrapped
from biaskit.telling.data_audit import sentences
from biaskit.telling.numbers import ASCII, visible

__all__ = ["data_lines", "print_data_audit"]

Row = Mapping[str, Any]

MOST = 12
"""Attributes and groups that are printed; the tables have all."""


def print_data_audit(result: Row, folder: Path) -> None:
    """Print a finished data audit.

    Parameters
    ----------
    result : mapping
        The dictionary of ``result.json``, kind ``"data"``.
    folder : Path
        Where its files were written.
    """
    out, width = console()
    print_lines(data_lines(result, width, folder), out)


def data_lines(result: Row, width: int | None, folder: Path | None = None) -> list[Line]:
    """Lay out a data audit: sentences first; a reader who stops after any line has not been misled."""
    result = visible(result)
    lines = [one for text in sentences(result) for one in wrapped(text, width, style="bold")]
    for table in (_splits, _association, _ceiling, _duplicates):
        told = table(result)
        lines += [Line(), *told] if told else []
    lines += [Line(), *[one for text in result["notes"] for one in wrapped(f"note: {text}", width, indent=6)]]
    files = files_of(folder) if folder is not None else []
    return lines + [line("  ".join(row).rstrip()) for row in padded([list(one) for one in files], "lll")]


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]], align: str, rest: int = 0) -> list[Line]:
    """A table under its head; intervals are dim."""
    first, *cells = padded([list(head), *map(list, rows)], align)
    lines = [line("  ".join(first).rstrip(), "dim")]
    for row in cells:
        parts = [(text + "  ", "dim" if text.strip().startswith("[") else "") for text in row]
        lines.append(trimmed(parts))
    return [*lines, line(f"{ASCII.count(rest)} more in the tables", "dim")] if rest > 0 else lines


def _splits(result: Row) -> list[Line]:
    splits = result["data"]["splits"]
    rows = []
    for split, n in splits.items():
        counts = [row[split] for row in result["labels"]]
        groups = [row[split] for row in result["groups"]]
        never = sum(row["never_in_train"] and row[split] > 0 for row in result["groups"])
        known = "train" in splits and split != "train"
        rows.append(
            [
                split,
                ASCII.count(n),
                f"{ASCII.count(min(counts))} to {ASCII.count(max(counts))}",
                f"{sum(one > 0 for one in groups)} of {len(groups)}",
                ASCII.count(min((one for one in groups if one), default=0)),
                ASCII.count(never) if known else "-",
            ]
        )
    head = ["split", "n", "per label", "groups filled", "smallest", "never in train"]
    return _grid(head, rows, "lrrrrr")


def _between(row: Row, keys: tuple[str, str, str], unit: str, *, signed: bool = False) -> tuple[str, str]:
    if row[keys[0]] is None:
        return "-", ""
    value, low, high = ASCII.of(row[keys[0]], unit, low=row[keys[1]], high=row[keys[2]], signed=signed)
    return value, f"[{low}, {high}]" if low and high else ""


def _association(result: Row) -> list[Line]:
    every = sorted(result["association"], key=lambda row: -(row["v"] if row["v"] is not None else -1))
    shown = {row["attribute"] for row in every[: MOST * len(result["data"]["splits"])]}
    rows = []
    for row in result["association"]:
        if row["attribute"] not in shown:
            continue
        value, between = _between(row, ("v", "low", "high"), "")
        p = ASCII.p(row["p_holm"]).removeprefix("p ") if row["p_holm"] is not None else row["reason"]
        rows.append([row["attribute"], row["split"], ASCII.count(row["n"]), value, between, p])
    rest = len(result["association"]) - len(rows)
    head = ["goes with the label", "split", "n", "Cramer's V, corrected", "95 % each", "p, Holm"]
    return _grid(head, rows, "llrrll", rest) if rows else []


def _ceiling(result: Row) -> list[Line]:
    every = sorted(result["ceiling"], key=lambda row: -row["lift"])[:MOST]
    rows = []
    for row in every:
        value, between = _between(row, ("accuracy", "low", "high"), "%")
        lift, ends = _between(row, ("lift", "lift_low", "lift_high"), "points", signed=True)
        fair, limits = _between(row, ("balanced_accuracy", "balanced_low", "balanced_high"), "%")
        chance = f"chance {ASCII.of(row['chance'], '%')[0]}"
        rows.append(
            [row["attribute"], row["split"], ASCII.count(row["n"]), value, between, lift, ends, fair, limits, chance]
        )
    head = ["without a pixel", "on", "n", "right, %", "", "over one answer", "95 % each", "per label, %", "", ""]
    return _grid(head, rows, "llrrlrlrll", len(result["ceiling"]) - len(rows)) if rows else []


def _duplicates(result: Row) -> list[Line]:
    rows = []
    for row in result["duplicates"]:
        near = "-" if row["near"] is None else ASCII.count(row["near"])
        where = "the same split" if row["split"] == row["other"] else row["other"]
        cells = [ASCII.count(row["n"]), ASCII.count(row["exact"]), near, ASCII.count(row["other_label"])]
        rows.append([row["split"], f"in {where}", *cells])
    return _grid(["there twice", "", "n", "exact", "nearly", "other label"], rows, "llrrrr")
