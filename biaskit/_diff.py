"""``bk.diff``: what changed between two stored trainings or results, and in which groups that shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.stats import fisher_exact

from biaskit import stats
from biaskit._assemble import clean_json
from biaskit._sides import Side, open_side
from biaskit.errors import DataError
from biaskit.metrics import MAX_GROUPS
from biaskit.runs import Run
from biaskit.telling.diff import sentences

__all__ = ["Diff", "diff"]

Row = dict[str, Any]
Mask = npt.NDArray[np.bool_]

#: Largest adjusted p at which a group is said to have changed.
ALPHA = 0.05


@dataclass(frozen=True, eq=False, repr=False)
class Diff:
    """What changed from A to B.

    Attributes
    ----------
    result : dict
        ``a`` and ``b`` (what they are), ``card``, ``data`` and ``code`` (a row per key that differs), ``overall``,
        ``groups``, ``notes``.
    """

    result: dict[str, Any]

    def __repr__(self) -> str:
        return f"<Diff: {' '.join(self.sentences)}>"

    @property
    def sentences(self) -> list[str]:
        """What changed, in words."""
        return sentences(self.result)

    @property
    def changes(self) -> pd.DataFrame:
        """Every key that differs: ``part`` (card, data or code), ``key``, ``a``, ``b``; None where it is not there."""
        rows = [{"part": part, **row} for part in ("card", "data", "code") for row in self.result[part]]
        return pd.DataFrame(rows, columns=["part", "key", "a", "b"], dtype=object)

    @property
    def groups(self) -> pd.DataFrame:
        """Accuracy per group on both sides, B minus A with its interval, p by Holm, and ``change``.

        Label and attributes are the index: an attribute may be called like a column.
        """
        rows = self.result["groups"]
        index = pd.MultiIndex.from_frame(pd.DataFrame([row["group"] for row in rows], dtype=object))
        return pd.DataFrame([{key: one for key, one in row.items() if key != "group"} for row in rows], index=index)


def diff(
    a: Run | str | Path,
    b: Run | str | Path,
    *,
    arm: str | Sequence[str] | None = None,
    by: Sequence[str] | None = None,
) -> Diff:
    """What changed from one stored run or result to another: card, data, code, and in which groups accuracy did.

    Where both saw the same images, groups are compared image by image: two single models by Bonett-Price and the exact
    test of McNemar, seeds by the interval over seeds and images of :func:`biaskit.stats.difference`. On other images
    single models are compared as independent (Newcombe, Fisher); several seeds are not. ``change`` is a word only where
    p, by Holm over the groups of ten images or more, is at most 0.05.

    Parameters
    ----------
    a, b : Run, or a path or name
        The folder of a run, the name of one in ``biaskit runs list``, or a folder that ``compare``, ``sweep`` or an
        audit wrote.
    arm : str, or a pair of them, optional
        Which arm of a result; of a pair the second is that of ``b``. Needed where a result has several.
    by : sequence of str, optional
        The attributes that, with the label, make the groups. Default: those of the result, else every attribute.

    Returns
    -------
    Diff

    Raises
    ------
    DataError
        Something that is no run and no result, an arm or an attribute that is not there, too many groups.

    References
    ----------
    Bonett & Price 2012, JEBS 37:479; McNemar 1947, Psychometrika 12:153; Newcombe 1998, Stat Med 17:873; Holm 1979.
    """
    names = [arm, arm] if arm is None or isinstance(arm, str) else list(arm)
    names = names * 2 if len(names) == 1 else names
    if len(names) != 2:
        raise DataError(f"arm names one arm, or one for each side; got {', '.join(map(str, names))}")
    sides = first, second = open_side(a, names[0]), open_side(b, names[1])
    attributes = _attributes(first, second, by)
    same = first.fingerprint == second.fingerprint
    if same and not _same_rows(first, second):
        raise DataError(f"{first.name} and {second.name} name the same data but hold other test images; run them again")
    overall, groups = _accuracy(first, second, attributes, same)
    result = {
        "kind": "diff",
        **_about(first, second),
        "by": list(attributes),
        "same_images": same,
        "card": _changes(first.card, second.card),
        "data": _changes(*_shared(first.data, second.data)) + _changes(*(_counts(one, attributes) for one in sides)),
        "code": _changes(*_shared(first.code, second.code)),
        "overall": overall,
        "groups": groups,
        "notes": _notes(first, second, same),
    }
    return Diff(clean_json(result))


def _about(a: Side, b: Side) -> Row:
    """What the sides are called: where that is the same, by their folders as well."""
    suffixes = ["", ""]
    if a.name == b.name:
        folders = [Path(a.where).name, Path(b.where).name]
        suffixes = [f" ({one})" for one in (folders if folders[0] != folders[1] else [a.where, b.where])]
    return {
        key: {
            "name": side.name + suffix,
            "where": side.where,
            "arm": side.arm,
            "seeds": list(side.seeds),
            "data": side.fingerprint,
        }
        for key, side, suffix in zip("ab", (a, b), suffixes, strict=True)
    }


def _attributes(a: Side, b: Side, by: Sequence[str] | None) -> tuple[str, ...]:
    """The attributes of the groups, which both sides have."""
    shared = [name for name in a.attributes if name in b.attributes]
    if by is not None:
        missing = [name for name in by if name not in shared]
        if missing:
            known = ", ".join(shared) or "none"
            raise DataError(f"no attribute {missing[0]!r} on both sides; they share {known}")
        if len(set(by)) < len(by):
            raise DataError(f"by names an attribute twice: {', '.join(by)}")
        return tuple(by)
    stated = a.group_by if a.group_by is not None else b.group_by
    if stated is not None:
        return tuple(name for name in stated if name in shared)
    # A run does not say; what has one value makes no groups.
    return tuple(name for name in shared if a.table[name].nunique() > 1 or b.table[name].nunique() > 1)


def _same_rows(a: Side, b: Side) -> bool:
    return np.array_equal(a.rows, b.rows) and np.array_equal(a.labels, b.labels)


def _shared(a: Mapping[str, Any], b: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The entries that both know: a run records less than a result, which is no change."""
    return {key: a[key] for key in a if key in b}, {key: b[key] for key in a if key in b}


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested plain data as dotted keys; a list of plain values is one value."""
    if isinstance(value, Mapping):
        inside = value.items()
    elif isinstance(value, list | tuple) and any(isinstance(one, Mapping) for one in value):
        inside = enumerate(value)  # type: ignore[assignment]
    else:
        return {prefix: list(value) if isinstance(value, tuple) else value}
    found: dict[str, Any] = {}
    for key, one in inside:
        found |= _flat(one, f"{prefix}.{key}" if prefix else str(key))
    return found


def _changes(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[Row]:
    """Every dotted key whose value differs, in the order of A, then what only B has."""
    first, second = _flat(a), _flat(b)
    keys = [*first, *(key for key in second if key not in first)]
    found = []
    for key in keys:
        left, right = first.get(key), second.get(key)
        if left != right:
            found.append({"key": key, "a": left, "b": right})
    return found


def _counts(side: Side, attributes: Sequence[str]) -> dict[str, Any]:
    """Test images per group, which tell where data of other fingerprints differ."""
    names = side.table[["label", *attributes]].astype(str).agg(", ".join, axis=1)
    return {"test images": {str(name): int(n) for name, n in names.value_counts(sort=False).sort_index().items()}}


def _notes(a: Side, b: Side, same: bool) -> list[str]:
    found = [note for side in (a, b) for note in side.notes]
    if not same:
        found.append("the data differ, so no image is known to be the same: groups are compared as other images")
    if not (a.code.get("module") and b.code.get("module")):
        found.append("of the code only versions are known: these runs were stored without the sources of their modules")
    return list(dict.fromkeys(found))


def _accuracy(a: Side, b: Side, attributes: Sequence[str], same: bool) -> tuple[Row, list[Row]]:
    """Accuracy over all test images, and of every group of the full product."""
    values = {name: _merged(a.categories[name], b.categories[name]) for name in ("label", *attributes)}
    cells = 1
    for known in values.values():
        cells *= len(known)
    if cells > MAX_GROUPS:
        raise DataError(
            f"label x {' x '.join(attributes)} makes {cells:,} groups, more than {MAX_GROUPS:,}; name fewer"
        )
    codes = [_codes(side, values) for side in (a, b)]
    keys = (
        pd.MultiIndex.from_product(list(values.values()), names=list(values)).to_frame(index=False).to_dict("records")
    )
    rows: list[Row] = []
    for number, key in enumerate(keys):
        mine = codes[0] == number, codes[1] == number
        rows.append({"group": {str(name): value for name, value in key.items()}, **_compared(a, b, mine, same)})
    # A group with too few images is not tested: how many it has was known before anyone looked.
    family = [row for row in rows if not row["note"]]
    for row, p in zip(family, stats.holm([row["p"] for row in family]), strict=True):
        row["p_holm"] = float(p)
        if p <= ALPHA:
            row["change"] = "higher" if row["difference"] > 0 else "lower"
    everything = np.ones(len(a.labels), bool), np.ones(len(b.labels), bool)
    return _compared(a, b, everything, same), rows


def _merged(a: Sequence[str], b: Sequence[str]) -> list[str]:
    return [*a, *(one for one in b if one not in set(a))]


def _codes(side: Side, values: Mapping[str, Sequence[str]]) -> npt.NDArray[np.int64]:
    """The flat group of every test image."""
    codes = [pd.Index(known).get_indexer(pd.Index(side.table[name].astype(str))) for name, known in values.items()]
    return np.ravel_multi_index(tuple(codes), tuple(len(known) for known in values.values())).astype(np.int64)


def _compared(a: Side, b: Side, mine: tuple[Mask, Mask], same: bool) -> Row:
    """Accuracy of some images on both sides, and B minus A."""
    right = [side.correct[:, those] for side, those in zip((a, b), mine, strict=True)]
    n = [one.shape[1] for one in right]
    rates = [float(one.mean()) if one.size else float("nan") for one in right]
    few = min(n)
    row: Row = {"n_a": n[0], "n_b": n[1], "accuracy_a": rates[0], "accuracy_b": rates[1]}
    row["difference"] = rates[1] - rates[0]
    low, high, p, reason = _ends(a, b, right, same) if few else (np.nan, np.nan, np.nan, "no images")
    note = f"insufficient (n={few})" if few < stats.ENOUGH else reason
    return {**row, "low": low, "high": high, "p": p, "p_holm": float("nan"), "change": "", "note": note}


def _ends(a: Side, b: Side, right: Sequence[npt.NDArray[np.float64]], same: bool) -> tuple[float, float, float, str]:
    """Interval and p of B minus A, and why there is none."""
    if same:
        found = stats.difference(right[0], right[1], None, None, a.seeds, b.seeds)
        return max(found.low, -1.0), min(found.high, 1.0), found.p, found.reason
    if max(len(one) for one in right) > 1:
        return np.nan, np.nan, np.nan, "several seeds on other images: no interval"
    (k_a, n_a), (k_b, n_b) = ((int(one.sum()), one.shape[1]) for one in right)
    low, high = stats.newcombe(k_b / n_b, stats.wilson(k_b, n_b), k_a / n_a, stats.wilson(k_a, n_a))
    counts = np.array([[k_a, n_a - k_a], [k_b, n_b - k_b]])
    return float(low), float(high), float(fisher_exact(counts).pvalue), ""
