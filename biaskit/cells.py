"""``cells.parquet``: how often each label was answered by each class in each group, and nothing else.

Every group metric follows from these counts, so a folder of ``biaskit score`` needs no row of the table it was made of.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet

from biaskit.errors import DataError
from biaskit.metrics import GroupCounts

__all__ = ["CELLS", "read_cells", "write_cells"]

#: The name of the file in a folder of results.
CELLS = "cells.parquet"
#: The newest layout this version reads.
_FORMAT = 1
_KEY = b"biaskit_cells"


def write_cells(counts: GroupCounts, path: Path) -> None:
    """Write the counts as one table: label, prediction, each attribute, n; a row per cell that occurs.

    Parquet keeps only the categories that occur, so the lists of all labels, classes and values stand in the schema's
    metadata, as JSON under ``biaskit_cells``: a group without rows comes back empty, not lost.

    Parameters
    ----------
    counts : GroupCounts
    path : Path
        The file.
    """
    columns: dict[str, Any] = {}
    names = {"label": counts.labels, "prediction": counts.classes, **counts.attributes}
    for place, (name, values) in enumerate(names.items()):
        codes = pyarrow.array(counts.cells[:, place], pyarrow.int32())
        columns[name] = pyarrow.DictionaryArray.from_arrays(codes, pyarrow.array(values, pyarrow.string()))
    columns["n"] = pyarrow.array(counts.counts, pyarrow.int64())
    about = {
        "format": _FORMAT,
        "labels": counts.labels,
        "classes": counts.classes,
        "attributes": counts.attributes,
    }
    table = pyarrow.table(columns).replace_schema_metadata({_KEY: json.dumps(about).encode()})
    pyarrow.parquet.write_table(table, path)


def read_cells(path: str | Path) -> GroupCounts:
    """Read a file of counts.

    Parameters
    ----------
    path : str or Path
        ``cells.parquet``, or the folder it stands in.

    Returns
    -------
    GroupCounts
        As it was written: same order of labels, classes and values, empty groups included.

    Raises
    ------
    DataError
        The file is not there, is no file of counts, was written by a newer version, or contradicts itself.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> from biaskit.metrics import count_groups
    >>> table = pd.DataFrame({"label": [0, 0, 1], "color": list("rbr"), "prediction": [0, 1, 1]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_cells(count_groups(table, ["color"]), Path(folder) / "cells.parquet")
    ...     counts = read_cells(folder)
    >>> counts.n.tolist(), counts.average_accuracy == 2 / 3
    ([[1, 1], [0, 1]], True)
    """
    path = Path(path) / CELLS if Path(path).is_dir() else Path(path)
    if not path.is_file():
        raise DataError(f"{path} is not there; biaskit score --out FOLDER writes it")
    try:
        table = pyarrow.parquet.read_table(path)
        about = json.loads((table.schema.metadata or {})[_KEY])
        if about["format"] > _FORMAT:
            raise DataError(
                f"{path} has layout {about['format']}, this biaskit reads up to {_FORMAT}; update biaskit, "
                "or score the table again with this version"
            )
        labels, classes = tuple(about["labels"]), tuple(about["classes"])
        attributes = {str(name): tuple(values) for name, values in about["attributes"].items()}
        found = []
        for name, values in {"label": labels, "prediction": classes, **attributes}.items():
            place = {value: code for code, value in enumerate(values)}
            found.append(np.array([place[one] for one in table.column(name).to_pylist()], np.int64))
        counts = table.column("n").to_numpy().astype(np.int64)
    except (OSError, KeyError, TypeError, ValueError, pyarrow.ArrowException) as error:
        raise DataError(
            f"{path} is no file of counts as biaskit score writes it ({type(error).__name__}: {error}); "
            "score the table again"
        ) from None
    if classes[: len(labels)] != labels or (counts < 1).any():
        raise DataError(f"{path} contradicts itself; score the table again")
    return GroupCounts(labels, classes, attributes, np.stack(found, axis=1), counts)
