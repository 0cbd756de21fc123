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
        What ``compare`` or an audit wrote.

    Returns
    -------
    dict

    Raises
    ------
    DataError
        There is no readable ``result.json``, or a newer version wrote it.
    """
    source = Path(folder) / "result.json"
    try:
        result = json.loads(source.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{folder} has no result.json; name the folder that compare wrote (--out)") from None
    except (ValueError, OSError) as error:
        raise DataError(f"{source} cannot be read ({error}); run the comparison again") from None
    version = result.get("schema_version") if isinstance(result, dict) else None
    if not isinstance(version, int):
        raise DataError(f"{source} has no schema_version; it is no result of biaskit")
    if version > SCHEMA:
        raise DataError(
            f"{source} has schema_version {version}, this biaskit reads up to {SCHEMA}; update biaskit, "
            "or run the comparison again with this version"
        )
    found: dict[str, Any] = result
    return found
