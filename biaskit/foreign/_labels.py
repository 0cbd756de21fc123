"""Which outputs of a model stand for which label of the data: by a map, by name, or in order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from biaskit.errors import DataError, nearest

__all__ = ["LabelMap", "as_label_map", "label_places", "read_label_map"]

#: Pairs of a class of the model, by its name or its number, and a label of the data.
LabelMap = Sequence[tuple[str, str]]
Places = list[list[int]]
REMEDY = "name the classes with --labels map.csv (columns model,label; model is a class by name or number)"


def label_places(
    labels: Sequence[str],
    outputs: int,
    classes: Sequence[str] | None = None,
    mapped: LabelMap | None = None,
    where: str = "labels",
) -> tuple[Places, str]:
    """The outputs that stand for each label, and what was assumed, as a sentence.

    Parameters
    ----------
    labels : sequence of str
        Of the data.
    outputs : int
        Logits that the model gives.
    classes : sequence of str, optional
        Their names, where they are known.
    mapped : sequence of (class, label), optional
        What the user says; it goes before names and order.
    where : str
        The map's file, for messages.

    Returns
    -------
    places : list of list of int
    sentence : str

    Raises
    ------
    DataError
        A label without an output, a class or a label that does not exist, more labels than outputs.

    Examples
    --------
    >>> label_places(["dog", "cat"], 3, ["Cat", "Dog", "tree"])
    ([[1], [0]], 'the 2 labels are matched by name; the other class of the model is left out')
    """
    if mapped is not None:
        places = _by_map(labels, outputs, classes, mapped, where)
        several = [f"{label}: {len(place)}" for label, place in zip(labels, places, strict=True) if len(place) > 1]
        shown = f" ({_some(several)}; their logits are joined by logsumexp)" if several else ""
        said = f"{sum(map(len, places))} of the model's {outputs:,} classes stand for the {len(labels)} labels{shown}"
        return places, f"{said}, as {where} says{_rest(outputs, places)}"
    if classes is not None:
        places = _by_name(labels, classes)
        if list(labels) == list(classes):
            return places, f"the {len(labels)} labels are the model's classes"
        return places, f"the {len(labels)} labels are matched by name{_rest(outputs, places)}"
    if outputs != len(labels):
        few = "one output; a model of two labels needs two logits" if outputs == 1 else f"{outputs:,} outputs"
        raise DataError(f"the data has {len(labels)} labels ({_some(labels)}), the model {few}; {REMEDY}")
    said = f"the model's outputs are the labels in this order: {_some(labels)}"
    return [[place] for place in range(outputs)], f"{said}; if not, say so with --labels map.csv (columns model,label)"


def read_label_map(path: str | Path) -> list[tuple[str, str]]:
    """The rows of a CSV file with the columns ``model`` and ``label``.

    Raises
    ------
    DataError
        No such file, no such columns, or an empty cell.
    """
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", skipinitialspace=True)
    except (OSError, ValueError) as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else str(error).partition("\n")[0]
        raise DataError(f"--labels {path}: {reason}") from None
    # pandas calls a second column of a name `name.1`, and takes the first cell of a line with too many as its index.
    table.columns = [str(name).strip() for name in table.columns]
    columns = [re.sub(r"\.\d+$", "", name) for name in table.columns]
    if columns.count("model") != 1 or columns.count("label") != 1:
        raise DataError(f"{path} needs the columns model,label, each once; it has {', '.join(columns) or 'none'}")
    if not isinstance(table.index, pd.RangeIndex):
        raise DataError(f"{path}: its lines have more cells than its head has names; take the trailing commas out")
    rows = [(a.strip(), b.strip()) for a, b in zip(table["model"], table["label"], strict=True)]
    empty = next((line for line, row in enumerate(rows, start=2) if not all(row)), None)
    if empty is not None:
        raise DataError(f"{path}, line {empty}: a class and a label are needed, or no line at all")
    return rows


def _by_map(labels: Sequence[str], outputs: int, classes: Sequence[str] | None, mapped: LabelMap, where: str) -> Places:
    found: dict[int, str] = {}
    for name, label in mapped:
        if label not in labels:
            raise DataError(f"{where}: {label!r} is no label of the data; {_nearest(label, labels)}")
        place = _place(name, outputs, classes, where)
        if found.setdefault(place, label) != label:
            raise DataError(f"{where}: the class {name!r} stands for {found[place]!r} and for {label!r}")
    places = [sorted(place for place, of in found.items() if of == label) for label in labels]
    lacking = [label for label, place in zip(labels, places, strict=True) if not place]
    if lacking:
        raise DataError(f"{where} names no class for {_labels(lacking)}; add a line for each")
    return places


def _place(name: str, outputs: int, classes: Sequence[str] | None, where: str) -> int:
    """The output that a class of the map means: by its name, else by its number."""
    named = _matches(name, classes or ())
    if len(named) > 1:
        raise DataError(f"{where}: {_ambiguous(name, named)}; write the number")
    if named:
        return named[0]
    if re.fullmatch(r"\d+", name):
        if int(name) < outputs:
            return int(name)
        raise DataError(f"{where}: class {name}, but the model's outputs are 0 to {outputs - 1:,}")
    hint = _nearest(name, classes) if classes else f"its classes have no names here, write numbers, 0 to {outputs - 1}"
    raise DataError(f"{where}: the model has no class {name!r}; {hint}")


def _by_name(labels: Sequence[str], classes: Sequence[str]) -> Places:
    found = [_matches(label, classes) for label in labels]
    lacking = [label for label, place in zip(labels, found, strict=True) if not place]
    if lacking:
        raise DataError(
            f"no class of the model is called as {_labels(lacking)} ({_nearest(lacking[0], classes)}); {REMEDY}"
        )
    for label, place in zip(labels, found, strict=True):
        if len(place) > 1:
            raise DataError(f"{_ambiguous(label, place)}; {REMEDY}")
    taken: dict[int, str] = {}
    for label, (only,) in zip(labels, found, strict=True):
        if only in taken:
            raise DataError(f"the labels {taken[only]!r} and {label!r} both read as the class {classes[only]!r}")
        taken[only] = label
    return found


def _matches(name: str, classes: Sequence[str]) -> list[int]:
    """The classes of this very name, else those that differ only in case, blanks, hyphens and underscores."""
    same = [place for place, one in enumerate(classes) if one == name]
    return same or [place for place, one in enumerate(classes) if _plain(one) == _plain(name)]


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()


def _ambiguous(name: str, places: Sequence[int]) -> str:
    return f"{name!r} may be the classes {', '.join(map(str, places))} of the model, which have the same name"


def _rest(outputs: int, places: Sequence[Sequence[int]]) -> str:
    left = outputs - sum(len(one) for one in places)
    if not left:
        return ""
    return f"; the other {f'{left:,} classes of the model are' if left > 1 else 'class of the model is'} left out"


def _nearest(name: str, known: Iterable[str]) -> str:
    listed = list(known)
    close = nearest(name, listed)
    return f"nearest: {', '.join(close)}" if close else f"there are {_some(listed)}"


def _labels(names: Sequence[str]) -> str:
    return f"the label{'s' if len(names) > 1 else ''} {_some(names)}"


def _some(names: Sequence[str], most: int = 8) -> str:
    """The first few of many names."""
    listed = list(names)
    return ", ".join(listed[:most]) + (f" and {len(listed) - most:,} more" if len(listed) > most else "")


def as_label_map(given: str | Path | Mapping[str | int, str] | None) -> tuple[LabelMap | None, str]:
    """A map as the user gives it, a file or a mapping, and what messages call it."""
    if given is None:
        return None, ""
    if isinstance(given, Mapping):
        return [(str(name), str(label)) for name, label in given.items()], "labels"
    return read_label_map(given), Path(given).name
