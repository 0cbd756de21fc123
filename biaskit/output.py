"""The folder of a comparison, an audit or a study: written whole, and recomputable from the predictions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from biaskit.disk import new_folder
from biaskit.telling.markdown import study_markdown
from biaskit.telling.plots import figures
from biaskit.telling.report import write_report

__all__ = ["FILES", "write_result"]

#: What a folder of results holds.
FILES = ("result.json", "predictions.parquet", "tables", "figures", "report.html", "study.md")


def write_result(
    folder: Path, result: Mapping[str, Any], predictions: pd.DataFrame, tables: Mapping[str, pd.DataFrame]
) -> Path:
    """Write result.json, predictions.parquet, tables/*.csv, figures/*.svg and report.html; of a study also study.md."""
    with new_folder(folder, holds=FILES) as work:
        (work / "result.json").write_text(json.dumps(result, indent=1, allow_nan=False), encoding="utf-8")
        predictions.to_parquet(work / "predictions.parquet", index=False)
        (work / "tables").mkdir()
        for title, table in tables.items():
            nested = [name for name in table if table[name].astype(object).map(_nested).any()]
            flat = table.drop(columns=nested)
            flat.to_csv(work / "tables" / f"{title}.csv", index=False)
        (work / "figures").mkdir()
        for name, drawing in figures(result).items():
            (work / "figures" / f"{name}.svg").write_text(drawing, encoding="utf-8")
        if result["kind"] == "study":
            (work / "study.md").write_text(study_markdown(result), encoding="utf-8")
        write_report(work)
    return folder


def _nested(value: Any) -> bool:
    return isinstance(value, dict | list)
