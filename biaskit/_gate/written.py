"""What a gate reads of ``result.json``: whether it is there, whoever may have edited the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from biaskit.errors import DataError

__all__ = ["check_written"]


class _Arm(BaseModel):
    name: str


class _Data(BaseModel):
    name: str = ""
    fingerprint: str = ""
    # Of a score these stand in its counts.
    label: list[str] = []
    attributes: dict[str, list[str]] = {}
    group_by: list[str] = []


class _Column(BaseModel):
    name: str
    key: bool
    measure: bool
    unit: str


class _Row(BaseModel):
    arm: str


class _Analysis(BaseModel):
    analyzer: str
    columns: list[_Column]
    rows: list[_Row]


class _Failed(BaseModel):
    analyzer: str
    arm: str
    reason: str


class _Result(BaseModel):
    data: _Data
    arms: list[_Arm] = []
    seeds: list[int] | None = None
    analyses: list[_Analysis] = []
    failed: list[_Failed] = []


def check_written(result: Mapping[str, Any], folder: str | Path) -> None:
    """Refuse a result that lacks what a gate reads of it.

    Raises
    ------
    DataError
        With the first part that is missing or of another kind.
    """
    try:
        _Result.model_validate(result)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(f"{folder} is not as biaskit wrote it ({where}: {first['msg']}); make it again") from None
