"""A folder of results, read: what a report, a gate and a diff begin with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from biaskit.errors import DataError

__all__ = ["SCHEMA", "read_result"]

SCHEMA = 1
"""The newest layout of ``result.json`` this version reads."""


def read_result(folder: str | Path) -> dict[str, Any]:
    """Read the ``result.json`` of a folder.

    Parameters
    ----------
    folder : str or Path
        What ``audit``, ``compare``, ``sweep`` or ``score`` wrote.

    Returns
    -------
    dict

    Raises
    ------
    DataError
        There is no readable ``result.json``, or a newer version wrote it.
    """
    source = Path(folder) / "result.json"
    named = "name the folder that audit, compare, sweep or score wrote (--out)"
    try:
        result = json.loads(source.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        if Path(folder).is_file():
            raise DataError(f"{folder} is a file; name its folder: {Path(folder).parent}") from None
        lacks = f"{folder} has no result.json" if Path(folder).is_dir() else f"no folder {folder}"
        raise DataError(f"{lacks}; {named}") from None
    except (ValueError, OSError) as error:
        raise DataError(f"{source} cannot be read ({error}); make the folder again") from None
    version = result.get("schema_version") if isinstance(result, dict) else None
    if not isinstance(version, int):
        raise DataError(f"{source} has no schema_version; it is no result of biaskit")
    if version > SCHEMA:
        raise DataError(
            f"{source} has schema_version {version}, this biaskit reads up to {SCHEMA}; update biaskit, "
            "or make the folder again with this version"
        )
    found: dict[str, Any] = result
    return found
