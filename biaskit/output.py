"""The folder of a comparison, an audit or a study: written whole, and recomputable from the predictions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from biaskit.cells import CELLS, write_cells
from biaskit.disk import new_folder
from biaskit.metrics import GroupCounts
from biaskit.telling.analyses import further
from biaskit.telling.markdown import study_markdown
from biaskit.telling.methods import methods_markdown
from biaskit.telling.plots import figures
from biaskit.telling.report import write_report
from biaskit.telling.typeset import file_name, typeset
from biaskit.telling.words import KINDS

__all__ = ["FILES", "write_result"]

#: What a folder of results holds.
FILES = (
    "result.json", "predictions.parquet", "cells.parquet", "tables", "figures", "pictures", "report.html",
    "methods.md", "study.md", "gate.xml", "gate.md",
)  # fmt: skip
#: Lists of a result that become tables of their own, where no table of that name is given.
LISTS = ("headline", "gaps", "groups", "attribute_values", "differences")


def write_result(
    folder: Path,
    result: Mapping[str, Any],
    predictions: pd.DataFrame | None,
    tables: Mapping[str, pd.DataFrame],
    *,
    cells: GroupCounts | None = None,
) -> Path:
    """Write a folder of results: it appears whole or not at all.

    Parameters
    ----------
    folder : Path
    result : mapping
        For ``result.json``, and for all that is told of it: ``report.html`` with ``pictures/``, ``figures/*.svg``,
        ``methods.md``, ``tables/*.md`` and ``tables/*.tex``; of a study also ``study.md``.
    predictions, cells : DataFrame or None, GroupCounts or None
        A row per image, or the counts of equal rows: what every number is computed from.
    tables : mapping of name to DataFrame
        For ``tables/*.csv``; the lists of the result are added.

    Returns
    -------
    Path
        The folder.
    """
    with new_folder(folder, holds=FILES) as work:
        (work / "result.json").write_text(json.dumps(result, indent=1, allow_nan=False), encoding="utf-8")
        if predictions is not None:
            predictions.to_parquet(work / "predictions.parquet", index=False)
        if cells is not None:
            write_cells(cells, work / CELLS)
        (work / "tables").mkdir()
        for title, table in (_lists(result) | dict(tables)).items():
            nested = [name for name in table if table[name].astype(object).map(_nested).any()]
            flat = table.drop(columns=nested)
            flat.to_csv(work / "tables" / f"{title}.csv", index=False)
        for title, text in typeset(result).items():
            (work / "tables" / title).write_text(text, encoding="utf-8")
        (work / "figures").mkdir()
        for name, drawing in figures(result).items():
            (work / "figures" / f"{name}.svg").write_text(drawing, encoding="utf-8")
        if methods := methods_markdown(result):
            (work / "methods.md").write_text(methods, encoding="utf-8")
        if result["kind"] == "study":
            (work / "study.md").write_text(study_markdown(result), encoding="utf-8")
        write_report(work)
    return folder


def _lists(result: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """The lists of a result as tables; each has a written-out form of the same name beside it."""
    found = {name: pd.DataFrame(result[name]) for name in LISTS if result.get(name)}
    if result["kind"] in KINDS:
        found["data"] = pd.DataFrame(result["data"]["contingency"])
        found |= {file_name(one["analyzer"]): pd.DataFrame(one["rows"]) for one in further(result)}
    return found


def _nested(value: Any) -> bool:
    return isinstance(value, dict | list)
