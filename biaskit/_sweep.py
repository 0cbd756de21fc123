"""``bk.sweep``: one recipe over the values of one of its options."""

from __future__ import annotations

import dataclasses
import re
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from biaskit._build import as_dataset
from biaskit._compare import Comparison, Progress, command_line, compare_arms, seed_list
from biaskit._train import machine
from biaskit.data import Dataset
from biaskit.errors import SpecError
from biaskit.recipes import Arm, bind_arms
from biaskit.specs import toml_value

__all__ = ["parse_param", "sweep", "swept_arms"]


def sweep(
    recipe: str,
    param: str,
    values: Sequence[Any],
    data: Dataset | str | Path,
    *,
    seeds: int | Sequence[int] = 5,
    analyzers: Sequence[str] | Mapping[str, Mapping[str, Any]] | None = None,
    set: Sequence[str] = (),
    margin: float | None = None,
    device: str | None = None,
    deterministic: bool = False,
    command: str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Comparison:
    """Train one recipe with several values of one option; every value is an arm, the first is the reference.

    Runs are those of :func:`biaskit.compare`: a value that equals the card's own shares its stored runs.

    Parameters
    ----------
    recipe : str
        The name of a shipped recipe card, or the path of a TOML file.
    param : str
        A dotted key of the card: ``"stage.0.loss.alpha"``.
    values : sequence
        Two or more, all different. The others are compared with the first, Holm over all of them.
    data : Dataset, or a folder or name for :func:`biaskit.load`
    seeds, analyzers, margin, device, deterministic, command, progress
        As in :func:`biaskit.compare`.
    set : sequence of str
        Changes that hold for every value, ``KEY=VALUE``.

    Returns
    -------
    Comparison
        Its ``result`` has ``kind`` ``"sweep"`` and the key ``sweep``: a row per value and metric.

    Raises
    ------
    UnknownName, SpecError, DataError, StoreError
    """
    started = time.time()
    data = as_dataset(data)
    arms = swept_arms(recipe, param, values, data, set)
    text = f"{param}={','.join(_toml(value) for value in values)}"
    found = compare_arms(
        arms,
        data,
        seed_list(seeds),
        analyzers,
        reference=arms[0].name,
        margin=margin,
        where=machine(device, deterministic=deterministic),
        command=command or command_line("sweep", [recipe], data, seeds, set, param=text, margin=margin),
        started=started,
        progress=progress,
        kind="sweep",
    )
    found.result["sweep"] = _told(recipe, param, values, found.result)
    return found


def swept_arms(recipe: str, param: str, values: Sequence[Any], data: Dataset, set: Sequence[str] = ()) -> list[Arm]:
    """An arm per value, bound and named after it: ``"semcont alpha=0.1"``.

    Raises
    ------
    SpecError
        Fewer than two values, a value twice, or one that does not fit the option.
    """
    if len(values) < 2:
        raise SpecError(f"--param {param}: a sweep needs two values or more, for example {param}=0,0.1,1")
    arms: list[Arm] = []
    for value in values:
        one = bind_arms([recipe], data, [*set, f"{param}={_toml(value)}"])[0]
        arm = dataclasses.replace(one, name=f"{one.name} {_leaf(param)}={_word(value)}")
        twin = next((other for other in arms if _same(other, arm)), None)
        if twin is not None:
            raise SpecError(f"--param {param}: the values of {twin.name} and {arm.name} are the same training")
        arms.append(arm)
    return arms


def parse_param(text: str) -> tuple[str, list[Any]]:
    """``KEY=VALUE,VALUE,...`` as the key and its values; each is TOML, else a string.

    Examples
    --------
    >>> parse_param("stage.0.loss.alpha=0,0.1,1")
    ('stage.0.loss.alpha', [0, 0.1, 1])
    >>> parse_param('stage.0.perturbation.operations=["hue"],["hue","contrast"]')
    ('stage.0.perturbation.operations', [['hue'], ['hue', 'contrast']])
    >>> parse_param("model.name=resnet18,resnet_small")
    ('model.name', ['resnet18', 'resnet_small'])
    """
    key, equals, right = text.partition("=")
    if not equals or not key.strip() or not right.strip():
        raise SpecError(f"--param {text!r} is not KEY=VALUE,VALUE,..., for example stage.0.loss.alpha=0,0.1,1")
    if ":" in key:
        raise SpecError(f"--param {text!r}: a sweep has one recipe; write {key.rpartition(':')[2]}=...")
    try:
        values: list[Any] = tomllib.loads(f"values = [{right}]")["values"]
    except tomllib.TOMLDecodeError:
        values = [toml_value(one) for one in right.split(",")]
    return key.strip(), values


def _told(recipe: str, param: str, values: Sequence[Any], result: Mapping[str, Any]) -> dict[str, Any]:
    """What result.json holds beside a comparison: every metric against the value."""
    names = [arm["name"] for arm in result["arms"]]
    metrics = {metric["name"]: metric for metric in result["metrics"]}
    value_of = dict(zip(names, values, strict=True))
    rows = [
        {
            "arm": row["arm"],
            "value": value_of[row["arm"]],
            "metric": row["metric"],
            "title": metrics[row["metric"]]["title"],
            "unit": metrics[row["metric"]]["unit"],
            "estimate": row["value"],
            **{key: row[key] for key in ("low", "high", "n", "seeds")},
        }
        for row in result["headline"]
    ]
    order = list(metrics)
    rows.sort(key=lambda row: (order.index(row["metric"]), names.index(row["arm"])))
    return {"recipe": recipe, "param": param, "values": list(values), "arms": names, "rows": rows}


def _same(one: Arm, other: Arm) -> bool:
    """Whether two arms have a name, or a training, in common."""
    return one.name == other.name or all(one.card[key] == other.card[key] for key in ("model", "stage"))


def _leaf(param: str) -> str:
    """The word of a key that tells it: ``alpha`` of ``stage.0.loss.alpha``, ``model`` of ``model.name``."""
    parts = [part for part in param.split(".") if not part.isdecimal()]
    return parts[-2] if parts[-1] == "name" and len(parts) > 1 else parts[-1]


def _word(value: Any) -> str:
    """A value as part of a name: short, and fit for the name of a file."""
    if isinstance(value, list | tuple):
        return "+".join(_word(one) for one in value)[:60]
    text = f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)
    return re.sub(r"[^\w.+-]+", "_", text)[:60]


def _toml(value: Any) -> str:
    """A value as it is written in TOML."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list | tuple):
        return f"[{', '.join(_toml(one) for one in value)}]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {_toml(one)}" for key, one in value.items()) + " }"
    return str(value)
