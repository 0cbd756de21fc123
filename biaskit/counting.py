"""A table of predictions, read a million rows at a time: columns as codes, and sums per cell."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.csv
import pyarrow.parquet
from numpy.typing import NDArray

from biaskit.errors import DataError, nearest
from biaskit.metrics import MAX_GROUPS

__all__ = ["MISSING", "Codes", "Table", "Tally", "check_columns", "open_table"]

#: What rows without a value are called, where they are a group of their own.
MISSING = "(missing)"
#: Rows that are in memory at once.
BATCH = 2**20
#: Bytes of a CSV file that are parsed at once.
_BLOCK = 2**24
#: Up to here the cells of a batch are counted in one array.
_DENSE = 2**22
#: Cells that wait before equal ones are put together.
_WAITING = 2**20
#: Floats from here on are no names of classes: 1e300 is not to be written in 301 digits.
_LARGEST = 2.0**64
_WHOLE = re.compile(r"(-?(?:0|[1-9]\d*))\.0+")

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Table:
    """A table that is read from its beginning to its end, once.

    Attributes
    ----------
    name : str
        Of the file, or ``the table``.
    batches : iterator of pyarrow.RecordBatch
        The columns that were asked for.
    ordered : set of str
        Columns whose values have an order of their own: categoricals.
    """

    name: str
    batches: Iterator[Any]
    ordered: frozenset[str] = frozenset()


def open_table(table: pd.DataFrame | str | Path, columns: Sequence[str], numbers: Sequence[str] = ()) -> Table:
    """Open a table for reading.

    Parameters
    ----------
    table : DataFrame, or path of a .parquet, .csv or .tsv file
        A CSV file is UTF-8 with a head; it may be compressed (.csv.gz).
    columns : sequence of str
        What is read of it.
    numbers : sequence of str
        Further columns, which hold numbers.

    Returns
    -------
    Table

    Raises
    ------
    DataError
        The file is not there or cannot be read, or a column is missing; the message has the nearest names.
    """
    if isinstance(table, pd.DataFrame):
        return _frame(table, [*columns, *numbers])
    if not isinstance(table, str | Path):
        raise DataError(f"a {type(table).__name__} is no table; give a DataFrame, or the path of a file")
    try:
        path = Path(table).expanduser()
    except RuntimeError as error:
        raise DataError(f"{table} is not there ({error}); write its path in full") from None
    if not path.is_file():
        raise DataError(f"{path} is {'a folder' if path.is_dir() else 'not there'}; name a .parquet or .csv file")
    endings = [one.lower() for one in path.suffixes[-2:]]
    if endings[-1:] in ([".parquet"], [".pq"]):
        return _parquet(path, [*columns, *numbers])
    if {".csv", ".tsv"} & set(endings):
        return _csv(path, columns, numbers, "\t" if ".tsv" in endings else ",")
    raise DataError(f"{path.name} is neither .parquet nor .csv nor .tsv; write the table as one of these")


def check_columns(wanted: Sequence[str], there: Sequence[Any], where: str) -> None:
    """Refuse a column that is missing or there twice, with the nearest names."""
    known = [str(one) for one in there]
    for name in wanted:
        if name not in known:
            close = nearest(name, known)
            listed = f"nearest: {', '.join(map(_shown, close))}; " if close else ""
            more = f" and {len(known) - 12} more" if len(known) > 12 else ""
            some = ", ".join(map(_shown, known[:12]))
            raise DataError(f"{where} has no column {name!r}; {listed}it has {some}{more}")
        if known.count(name) > 1:
            raise DataError(f"{where} has {known.count(name)} columns {name!r}; rename all but one")


def _shown(name: str) -> str:
    """The name of a column; in quotes where spaces around it would not be seen."""
    return name if name == name.strip() and name else repr(name)


def _frame(table: pd.DataFrame, columns: Sequence[str]) -> Table:
    check_columns(columns, list(table.columns), "the table")
    try:
        own = table.rename(columns=str)[list(dict.fromkeys(columns))]
        read = pyarrow.Table.from_pandas(own.assign(**_ranges(own)), preserve_index=False)
    except (pyarrow.ArrowException, OverflowError, TypeError, ValueError) as error:
        told = "; ".join(error.args) if all(isinstance(one, str) for one in error.args) else error
        raise DataError(f"a column holds values of several types, or of one unknown ({told}); make them text") from None
    ordered = frozenset(one.name for one in read.schema if pyarrow.types.is_dictionary(one.type))
    return Table("the table", iter(read.to_batches(max_chunksize=BATCH)), ordered)


def _ranges(table: pd.DataFrame) -> dict[str, pd.Series[Any]]:
    """Columns of ranges, as ``pandas.cut`` makes them, with each range as its text."""
    kinds = {str(name): table[name].dtype for name in table}
    found = {name: kind for name, kind in kinds.items() if isinstance(kind, pd.CategoricalDtype)}
    ranged = [name for name, kind in found.items() if isinstance(kind.categories, pd.IntervalIndex)]
    return {name: table[name].cat.rename_categories(list(map(str, found[name].categories))) for name in ranged}


def _parquet(path: Path, columns: Sequence[str]) -> Table:
    try:
        with pyarrow.parquet.ParquetFile(path) as opened:
            schema = opened.schema_arrow
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{path} is not a readable parquet file ({error}); write it again") from None
    check_columns(columns, schema.names, path.name)
    kinds = {name: schema.field(name).type for name in columns}
    ordered = frozenset(name for name, kind in kinds.items() if pyarrow.types.is_dictionary(kind))
    # Text is decoded into codes, never into ten million strings.
    text = [one for one, kind in kinds.items() if pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)]

    def batches() -> Iterator[Any]:
        with pyarrow.parquet.ParquetFile(path, read_dictionary=text, pre_buffer=False, buffer_size=2**20) as opened:
            yield from _told(opened.iter_batches(BATCH, columns=list(dict.fromkeys(columns))), path)

    return Table(path.name, batches(), ordered)


def _csv(path: Path, columns: Sequence[str], numbers: Sequence[str], delimiter: str) -> Table:
    reading = pyarrow.csv.ReadOptions(block_size=_BLOCK)
    parsing = pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True)
    try:
        with pyarrow.csv.open_csv(path, reading, parsing) as opened:
            names = opened.schema.names
    except (OSError, UnicodeError, pyarrow.ArrowException) as error:
        raise DataError(f"{path} is not a readable table ({error}); it needs a head, and UTF-8") from None
    check_columns([*columns, *numbers], names, path.name)
    text = pyarrow.dictionary(pyarrow.int32(), pyarrow.string())
    kinds = dict.fromkeys(columns, text) | dict.fromkeys(numbers, pyarrow.float64())
    converting = pyarrow.csv.ConvertOptions(column_types=kinds, include_columns=list(kinds), strings_can_be_null=True)

    def batches() -> Iterator[Any]:
        try:
            with pyarrow.csv.open_csv(path, reading, parsing, converting) as opened:
                yield from _told(opened, path)
        except pyarrow.ArrowException as error:
            raise DataError(f"{path} cannot be read: {error}") from None

    return Table(path.name, batches())


def _told(batches: Any, path: Path) -> Iterator[Any]:
    """The batches, with what is wrong in the middle of a file as an error of ours."""
    try:
        yield from batches
    except (OSError, UnicodeError, pyarrow.ArrowException) as error:
        raise DataError(f"{path} cannot be read to its end: {error}") from None


@dataclass
class Codes:
    """One column as codes: a value gets the next one when it is first seen.

    Attributes
    ----------
    name : str
    whole : bool
        Whether ``1.0`` in a text is the number 1, which other columns may write without its zero.
    missing : int
        Rows without a value, so far.
    first : int
        The first of them, counted from 0.
    """

    name: str
    whole: bool = False
    missing: int = 0
    first: int = -1
    _places: dict[str, int] = field(default_factory=dict)
    _values: list[Any] = field(default_factory=list)

    @property
    def texts(self) -> list[str]:
        """The values by their codes; rows without a value are `MISSING`."""
        return list(self._places)

    def of(self, values: Any, start: int) -> Ints:
        """Codes of the next rows, the first of which is row ``start``."""
        try:
            coded = values if pyarrow.types.is_dictionary(values.type) else values.dictionary_encode()
            count = len(coded.dictionary)
        except pyarrow.ArrowException:
            raise DataError(f"column {self.name!r} is {values.type}; expected text or numbers") from None
        if max(count, len(self._places)) > MAX_GROUPS:
            raise DataError(f"column {self.name!r} has more than {MAX_GROUPS:,} values; a group needs many rows")
        try:
            local = [self._code(one) for one in coded.dictionary.to_pylist()]
        except UnicodeDecodeError as error:
            raise DataError(f"column {self.name!r} holds text that is not UTF-8 ({error}); write it again") from None
        indices = coded.indices
        if coded.null_count:
            local.append(self._code(None))
            indices = indices.cast("int32").fill_null(count)
        found: Ints = np.array(local, np.int64)[indices.to_numpy(zero_copy_only=False)]
        if None in self._values:
            absent = found == self._values.index(None)
            if self.first < 0 and absent.any():
                self.first = start + int(absent.argmax())
            self.missing += int(absent.sum())
        return found

    def sorted(self, *, keep: bool) -> tuple[tuple[str, ...], Ints]:
        """The values in their order, which ``keep`` leaves as it came, and the new code of every code.

        Numbers are sorted as numbers, text as text; rows without a value come last.
        """
        order, texts = list(range(len(self._values))), self.texts
        if not keep:
            values: list[Any] = [_number(one) for one in self._values]
            if any(one is None and raw is not None for one, raw in zip(values, self._values, strict=True)):
                values = [None if raw is None else text for text, raw in zip(texts, self._values, strict=True)]
            order.sort(key=lambda code: (values[code] is None, 0 if values[code] is None else values[code]))
        elif None in self._values:
            order.append(order.pop(self._values.index(None)))
        new = np.empty(len(order), np.int64)
        new[order] = np.arange(len(order))
        return tuple(texts[code] for code in order), new

    def _code(self, value: Any) -> int:
        if isinstance(value, float) and math.isnan(value):
            value = None
        text = MISSING if value is None else self._text(value)
        code = self._places.setdefault(text, len(self._places))
        if code == len(self._values):
            self._values.append(value)
        elif text == MISSING and (value is None) != (self._values[code] is None):
            raise DataError(f"column {self.name!r} holds the text {MISSING!r} beside missing values; rename it")
        return code

    def _text(self, value: Any) -> str:
        if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST:
            return str(int(value))
        text = str(value)
        # Text and decimals alike: a column of prices writes 1 as 1.00.
        return found[1] if self.whole and (found := _WHOLE.fullmatch(text)) else text


def _number(value: Any) -> float | None:
    """What a value is worth as a number; None where it is none."""
    try:
        # Whole numbers stay whole: no float tells 2**63 from the next.
        if isinstance(value, int) or str(value).lstrip("-").isdecimal():
            return int(value)
        found = float(value)
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


class Tally:
    """Sums over the rows of each cell; a cell is one combination of codes, and only those that occur take memory.

    Examples
    --------
    >>> tally = Tally(sums=1)
    >>> tally.add([np.array([0, 1, 1]), np.array([2, 0, 0])], [np.array([0.5, 0.25, 0.5])])
    >>> codes, counts, sums = tally.cells()
    >>> codes.tolist(), counts.tolist(), sums.tolist()
    ([[0, 2], [1, 0]], [1, 2], [[0.5, 0.75]])
    """

    def __init__(self, sums: int = 0) -> None:
        self._sums = sums
        self._parts: list[tuple[Ints, Floats]] = []
        self._waiting = 0

    def add(self, codes: Sequence[Ints], weights: Sequence[Floats] = ()) -> None:
        """Count rows, one array per column of codes, and sum their weights."""
        if not len(codes[0]):
            return
        part = _summed(codes, [None, *weights])
        self._parts.append(part)
        self._waiting += len(part[0])
        if self._waiting > _WAITING:
            merged = self._merged({})
            # Where most cells are different ones, the next look comes later.
            self._parts, self._waiting = [merged], -len(merged[0])

    def cells(self, renamed: Mapping[int, Ints] | None = None) -> tuple[Ints, Ints, Floats]:
        """The cells (m, columns) in order, their counts (m,) and sums (sums, m).

        ``renamed`` gives the new codes of some columns.
        """
        if not self._parts:
            return np.empty((0, 0), np.int64), np.empty(0, np.int64), np.empty((self._sums, 0))
        codes, values = self._merged(renamed or {})
        return codes, values[0].astype(np.int64), values[1:]

    def _merged(self, renamed: Mapping[int, Ints]) -> tuple[Ints, Floats]:
        codes = np.concatenate([one for one, _ in self._parts])
        values = np.concatenate([one for _, one in self._parts], axis=1)
        columns = [renamed[at][codes[:, at]] if at in renamed else codes[:, at] for at in range(codes.shape[1])]
        return _summed(columns, list(values))


def _summed(codes: Sequence[Ints], weights: Sequence[Floats | None]) -> tuple[Ints, Floats]:
    """Cells that occur, in order, and the sum of each weight there; None weighs every row 1."""
    shape = [int(one.max()) + 1 for one in codes]
    flat = codes[0].astype(np.int64)
    for one, size in zip(codes[1:], shape[1:], strict=True):
        flat = flat * size + one
    if math.prod(shape) <= _DENSE:
        counted = np.bincount(flat)
        there = np.flatnonzero(counted)
        sums = [counted[there] if one is None else np.bincount(flat, one)[there] for one in weights]
    else:
        there, place = np.unique(flat, return_inverse=True)
        sums = [np.bincount(place, one) for one in weights]
    cells = np.stack(np.unravel_index(there, tuple(shape)), axis=1).astype(np.int64)
    return cells, np.stack(sums).astype(np.float64)
