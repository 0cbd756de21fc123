"""One side of a diff: a stored run, or an arm of a stored result, with its card, data, code and test answers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from biaskit import stats
from biaskit.errors import DataError, nearest
from biaskit.home import home
from biaskit.runs import Run, find_run, open_run, run_names
from biaskit.telling.stored import read_result

__all__ = ["Side", "open_side"]

#: Columns of predictions.parquet that are no attributes.
_OWN = ("arm", "seed", "row", "split", "pair", "label", "prediction", "confidence", "logits")
#: What a result says of its data that can be told from another's.
_DATA = (
    "name",
    "summary",
    "source",
    "seed",
    "changes",
    "planted",
    "shape",
    "splits",
    "label",
    "attributes",
    "group_by",
)
_KINDS = ("comparison", "sweep", "audit")
_WHERE = ("precision", "threads", "deterministic")


@dataclass(frozen=True, eq=False)
class Side:
    """A model, or one recipe over several seeds, with what it rests on.

    Attributes
    ----------
    name, where, arm : str
        What it is called, the folder it was read from, and its arm.
    seeds : tuple of int
        Those that count: one that repeats another is left out, and named in the notes.
    card, data, code : mapping
        ``code`` has versions, the machine, and the SHA-256 of each ``module`` where the run recorded them.
    fingerprint : str
        Of the data.
    group_by : tuple of str or None
        The attributes of the groups; None where nothing says.
    categories : mapping of name to list of str
        The values of label and attributes.
    table : DataFrame (n rows)
        Label and attributes of the test images, in the order of ``rows``.
    rows : int array (n,)
    labels : array of str (n,)
    correct : float array (S, n)
    notes : tuple of str
    """

    name: str
    where: str
    arm: str
    seeds: tuple[int, ...]
    card: Mapping[str, Any]
    data: Mapping[str, Any]
    code: Mapping[str, Any]
    fingerprint: str
    group_by: tuple[str, ...] | None
    categories: Mapping[str, list[str]]
    table: pd.DataFrame
    rows: npt.NDArray[np.int64]
    labels: npt.NDArray[np.str_]
    correct: npt.NDArray[np.float64]
    notes: tuple[str, ...]

    @property
    def attributes(self) -> list[str]:
        """Every attribute of the test images."""
        return [str(name) for name in self.table if name != "label"]


def open_side(where: Run | str | Path, arm: str | None = None) -> Side:
    """Read a run or an arm of a result.

    Parameters
    ----------
    where : Run, or a path or name
        See :func:`biaskit.diff`.
    arm : str, optional

    Returns
    -------
    Side

    Raises
    ------
    DataError
        Nothing of the kind is there.
    """
    if isinstance(where, Run):
        return _of_run(where, arm)
    try:
        path = Path(where).expanduser()
    except RuntimeError as error:
        raise DataError(f"{where}: {error}") from None
    if (path / "run.json").is_file():
        return _of_run(open_run(path), arm)
    if (path / "result.json").is_file():
        return _of_result(path, arm)
    if path.is_dir():
        raise DataError(f"{path} holds no run.json and no result.json: it is neither a run nor a result")
    return _of_run(open_run(_stored(str(where))), arm)


def _stored(name: str) -> Path:
    """The folder of a stored run by its name, or the beginning of it."""
    folder = find_run(name)
    if folder is not None:
        return folder
    close = nearest(name, run_names())
    hint = f"nearest: {', '.join(close)} (all: biaskit runs list)" if close else "see: biaskit runs list"
    raise DataError(f"no folder and no stored run {name!r}; {hint}")


def _of_run(run: Run, arm: str | None) -> Side:
    if arm is not None and arm != run.arm:
        raise DataError(f"{run.folder} is a run of {run.arm}, not of {arm}; leave the arm out")
    with _as_written(run.folder):
        about = json.loads((run.folder / "run.json").read_text(encoding="utf-8"))
        predictions = run.predictions[run.predictions["split"] == "test"]
        attributes = [str(name) for name in run.predictions if name not in _OWN]
        categories = {name: sorted(set(run.predictions[name].astype(str))) for name in attributes}
        facts = {"name": about["data"]["name"], "shape": list(run.shape), "label": list(run.classes)}
        return _side(
            predictions.assign(seed=run.seed),
            {"label": list(run.classes), **categories},
            name=f"{run.arm}, seed {run.seed}",
            where=str(run.folder),
            arm=run.arm,
            card=run.card,
            data={
                **facts,
                "fingerprint": run.data,
                **{key: about["data"][key] for key in ("card",) if key in about["data"]},
            },
            code=_code([about], about["where"]),
            group_by=None,
        )


@contextmanager
def _as_written(folder: Path) -> Iterator[None]:
    """Tell a folder that lacks something, or holds something else there, from a fault of ours."""
    try:
        yield
    except (OSError, IndexError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f"{folder} is not as biaskit wrote it ({type(error).__name__}: {error}); run it again"
        ) from None


def _code(runs: Sequence[Mapping[str, Any]], machine: Mapping[str, Any]) -> dict[str, Any]:
    """Versions, the machine, and the sources of the modules where the runs agree on them."""
    found: dict[str, Any] = {key: runs[0][key] for key in ("biaskit", "torch") if runs and key in runs[0]}
    sources = [run.get("code") for run in runs]
    if sources and sources[0] and all(one == sources[0] for one in sources):
        found["module"] = {name: digest[:12] for name, digest in sources[0].items()}
    return found | {"where": {key: machine.get(key) for key in _WHERE}}


def _of_result(folder: Path, arm: str | None) -> Side:
    result = read_result(folder)
    with _as_written(folder):
        kind = result["kind"]
        if kind not in _KINDS:
            raise DataError(
                f"{folder} holds a {kind}, which has no arms on one data set; a diff reads what compare wrote"
            )
        arms = {str(one["name"]): one for one in result["arms"]}
        chosen = _arm(folder, list(arms), arm)
        predictions = _predictions(folder, chosen)
        data = result["data"]
        runs = [_run_of(one["fingerprint"]) for one in result["runs"] if one["arm"] == chosen]
        code = _code([one for one in runs if one is not None], result["machine"])
        return _side(
            predictions,
            {name: list(map(str, values)) for name, values in {"label": data["label"], **data["attributes"]}.items()},
            name=chosen if len(arms) == 1 else f"{folder.name}: {chosen}",
            where=str(folder),
            arm=chosen,
            card=arms[chosen]["card"],
            data={key: data[key] for key in (*_DATA, "fingerprint") if key in data},
            code=code | result["versions"],
            group_by=tuple(data["group_by"]),
        )


def _arm(folder: Path, names: Sequence[str], arm: str | None) -> str:
    if arm is None and len(names) == 1:
        return names[0]
    if arm is None:
        raise DataError(f"{folder} has the arms {', '.join(names)}; say which with --arm {names[0]}")
    if arm not in names:
        raise DataError(f"{folder} has no arm {arm!r}; it has {', '.join(names)}")
    return arm


def _run_of(fingerprint: str) -> dict[str, Any] | None:
    """What a run of a result recorded, if it is still stored."""
    path = home() / "runs" / fingerprint[:16] / "run.json"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if found.get("fingerprint") == fingerprint else None


def _predictions(folder: Path, arm: str) -> pd.DataFrame:
    """The test answers of an arm with their seeds; logits, which are large, are not read."""
    from pyarrow import parquet

    path = folder / "predictions.parquet"
    known = parquet.read_schema(path).names
    frame = pd.read_parquet(path, columns=[name for name in known if name not in ("logits", "confidence")])
    if "arm" in frame:
        frame = frame[frame["arm"].astype(str) == arm]
    frame = frame[frame["split"] == "test"]
    return frame if "seed" in frame else frame.assign(seed=0)


def _side(predictions: pd.DataFrame, categories: Mapping[str, list[str]], *, name: str, **rest: Any) -> Side:
    """Put the answers of all seeds in one order and leave out the seeds that repeat another."""
    seeds = [int(seed) for seed in predictions["seed"].unique()]
    parts = [predictions[predictions["seed"] == seed].sort_values("row", kind="stable") for seed in seeds]
    if not parts or not len(parts[0]):
        raise DataError(f"{name} has no answers to test images")
    rows = parts[0]["row"].to_numpy(np.int64)
    if any(not np.array_equal(one["row"], rows) for one in parts):
        raise DataError(f"the seeds of {name} answered different images; run it again")
    attributes = [str(one) for one in predictions if one not in _OWN and one in categories]
    table = parts[0][["label", *attributes]].astype(str).reset_index(drop=True)
    answers = np.stack([one["prediction"].astype(str).to_numpy(dtype=str) for one in parts])
    kept, notes = stats.distinct_seeds(answers, seeds)
    labels = table["label"].to_numpy(dtype=str)
    return Side(
        name=name,
        seeds=tuple(seeds[one] for one in kept),
        fingerprint=str(rest["data"]["fingerprint"]),
        categories=categories,
        table=table,
        rows=rows,
        labels=labels,
        correct=(answers[kept] == labels).astype(np.float64),
        notes=tuple(f"{name}: {note}" for note in notes),
        **rest,
    )
