"""``bk.sweep``: one recipe over the values of one of its options."""

from __future__ import annotations

import dataclasses
import math
import re
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from biaskit._asked import analyzer_options, toml_text
from biaskit._build import as_dataset
from biaskit._compare import Comparison, Progress, command_line, compare_arms, seed_list
from biaskit._train import machine
from biaskit.data import Dataset
from biaskit.errors import SpecError
from biaskit.recipes import Arm, bind_arms
from biaskit.specs import toml_value
from biaskit.telling.numbers import fraction

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
        Changes that hold for every value, ``KEY=VALUE``; options of analyzers as ``analyzer.NAME.OPTION=VALUE``.

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
    changes, options = analyzer_options(set)
    arms = swept_arms(recipe, param, values, data, changes)
    text = f"{param}={','.join(toml_text(value) for value in values)}"
    found = compare_arms(
        arms,
        data,
        seed_list(seeds),
        analyzers,
        options=options,
        reference=arms[0].name,
        margin=margin,
        where=machine(device, deterministic=deterministic),
        command=command or command_line("sweep", [recipe], data, seeds, analyzers, set, param=text, margin=margin),
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
    UnknownName, SpecError
        Fewer than two values, a value twice, one that does not fit the option, or two that would have one name.
    """
    if len(values) < 2:
        raise SpecError(f"--param {param}: a sweep needs two values or more, for example {param}=0,0.1,1")
    bind_arms([recipe], data, set)  # what is wrong with recipe or --set is said in their own words
    arms: list[Arm] = []
    words = [_word(param, value) for value in values]
    for value, word in zip(values, words, strict=True):
        one = _bound(recipe, param, value, data, set)
        said = _word(param, value, exact=True) if words.count(word) > 1 else word
        arm = dataclasses.replace(one, name=f"{one.name} {_leaf(param)}={said}")
        for other, earlier in zip(arms, values, strict=False):
            both = f"{toml_text(earlier)} and {toml_text(value)}"
            if other.training == arm.training:
                raise SpecError(f"--param {param}: the values {both} are the same training; leave one out")
            if other.name == arm.name:
                raise SpecError(f"--param {param}: {both} would both be called {arm.name}; sweep one of them")
        arms.append(arm)
    return arms


def _bound(recipe: str, param: str, value: Any, data: Dataset, set: Sequence[str]) -> Arm:
    """The recipe with one value; what is wrong with it is said of ``--param``, as which it was given."""
    text = f"{param}={toml_text(value)}"
    if not _finite(value):
        raise SpecError(f"--param {text}: a value to train with is finite")
    try:
        return bind_arms([recipe], data, [*set, text])[0]
    except SpecError as error:
        said = str(error).replace(f"--set {text!r}", f"--param {text}").replace(f"--set {param}:", f"--param {param}:")
        raise SpecError(said.replace("no arm has the key", "the recipe has no key")) from None


def _finite(value: Any) -> bool:
    """Whether a value holds no NaN and no infinity."""
    if isinstance(value, Mapping):
        return all(_finite(one) for one in value.values())
    if isinstance(value, list | tuple):
        return all(_finite(one) for one in value)
    return not isinstance(value, float) or math.isfinite(value)


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


def _leaf(param: str) -> str:
    """The word of a key that tells it: ``alpha`` of ``stage.0.loss.alpha``, ``model`` of ``model.name``."""
    parts = [part for part in param.split(".") if not part.isdecimal()]
    return parts[-2] if parts[-1] == "name" and len(parts) > 1 else parts[-1]


def _word(param: str, value: Any, *, exact: bool = False) -> str:
    """A value as part of a name: short, or where that is the name of another value, exact; fit for a file."""
    if isinstance(value, list | tuple):
        return "+".join(_word(param, one, exact=exact) for one in value)[:60]
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if isinstance(value, float):
        text = fraction(param, value) or (text if exact else f"{value:g}")
    return re.sub(r"[^\w.+-]+", "_", text)[:60]
