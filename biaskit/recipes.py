"""From a recipe card to an arm: bound to a data set's budget, with every option spelled out."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import biaskit._train as loop
from biaskit._build import bind_component
from biaskit.data import Dataset
from biaskit.disk import plain
from biaskit.errors import SpecError, nearest
from biaskit.registry import find
from biaskit.rng import derive
from biaskit.specs import (
    RecipeCard,
    Training,
    apply_override,
    card_keys,
    card_path,
    has_key,
    load_card,
    parse_override,
    read_toml,
)

__all__ = ["Arm", "bind_arms", "code_fingerprint", "fingerprint", "source_fingerprint"]

#: What may make the second copy of each image of a stage.
COPIES = ("perturbation", "attack")


@dataclass(frozen=True)
class Arm:
    """A recipe in a comparison.

    Attributes
    ----------
    name : str
    card : dict
        The bound card: every option with its value, the budget filled in from the data set.
    changes : tuple of str
        What ``--set`` changed, as ``key=value``.
    """

    name: str
    card: Mapping[str, Any]
    changes: tuple[str, ...] = ()

    @property
    def control(self) -> str:
        """The arm that has the same perturbations and compute without the constraint; empty if none is named."""
        return str(self.card.get("control", ""))


def bind_arms(names: Sequence[str] | Mapping[str, str], dataset: Dataset, set: Sequence[str] = ()) -> list[Arm]:
    """Bind recipes to a data set, with the user's changes.

    A change without a prefix reaches every arm that has its key and must fit at least one; ``ARM:`` limits it to one.
    A mapping gives each arm a name of its own for its recipe, which may then stand there more than once.

    Raises
    ------
    UnknownName, SpecError
    """
    if not names:
        raise SpecError("name at least one recipe, for example: biaskit compare plain aug semcont")
    raw: dict[str, tuple[dict[str, Any], str]] = {}
    for own, name in names.items() if isinstance(names, Mapping) else ((None, name) for name in names):
        path = card_path("recipe", name)
        called = own or path.stem
        if called in raw:
            raise SpecError(f"the arm {called} is named twice")
        raw[called] = (read_toml(path), path.name)
    bound = {name: _bind(content, where, dataset) for name, (content, where) in raw.items()}
    changes: dict[str, list[str]] = {name: [] for name in raw}
    for text in set:
        prefix, key, value = parse_override(text)
        wanted = [name for name in raw if prefix in ("", name)]
        if not wanted:
            raise SpecError(f"--set {text!r}: no arm {prefix!r} in this comparison ({', '.join(raw)})")
        fits = [name for name in wanted if _fits(bound[name], key)]
        if not fits:
            known = sorted({one for name in wanted for one in card_keys(bound[name])})
            close = nearest(key, known)
            hint = f"did you mean {close[0]}?" if close else f"keys: {', '.join(known)}"
            raise SpecError(f"--set {text!r}: no arm has the key {key}; {hint}")
        for name in fits:
            content, where = raw[name]
            base = {**content, "model": bound[name]["model"]} if key.startswith("model.") else content
            if key == "model.name":
                base = {**content, "model": {}}
            raw[name] = (apply_override(base, key, value), where)
            bound[name] = _bind(raw[name][0], where, dataset)
            changes[name].append(f"{key}={value}")
    return [Arm(name, bound[name], tuple(changes[name])) for name in raw]


def code_fingerprint(card: Mapping[str, Any]) -> str:
    """SHA-256 over the source text of the loop and of every function the card names, helpers of its package included.

    A stored run is used again only while the code that made it is the same.
    """
    functions = [find("model", card["model"]["name"])]
    for stage in card["stage"]:
        functions.append(find("loss", stage["loss"]["name"]))
        functions += [find(kind, stage[kind]["name"]) for kind in COPIES if kind in stage]

    def beside(module: str, other: str) -> bool:
        package = module.rpartition(".")[0]
        return package != "biaskit" and other.rpartition(".")[0] == package

    return source_fingerprint([loop.fit, derive, *functions], beside)


def source_fingerprint(functions: Sequence[Callable[..., Any]], follows: Callable[[str, str], bool]) -> str:
    """SHA-256 over the source text of functions' modules, and of those they take names from as far as it matters.

    Parameters
    ----------
    functions : sequence of callable
    follows : callable
        ``(module, other) -> bool``: whether what ``module`` takes from ``other`` counts.
    """
    pending, texts = [function.__module__ for function in functions], {}
    while pending:
        name = pending.pop()
        if name in texts or name == "__main__":
            continue
        module = importlib.import_module(name)
        texts[name] = inspect.getsource(module)
        taken = {
            one.__name__ if inspect.ismodule(one) else str(getattr(one, "__module__", ""))
            for one in vars(module).values()
        }
        pending += [other for other in taken if other and other != name and follows(name, other)]
    return hashlib.sha256("".join(texts[name] for name in sorted(texts)).encode()).hexdigest()


def fingerprint(content: Any) -> str:
    """SHA-256 of plain data, by its sorted JSON."""
    return hashlib.sha256(json.dumps(plain(content), sort_keys=True).encode()).hexdigest()


def _fits(card: Mapping[str, Any], key: str) -> bool:
    """Whether a bound card has a key or a place for it: what a stage may leave out is missing from its bound form."""
    stage, _, name = key.rpartition(".")
    optional = has_key(card, stage) and stage.count(".") == 1 and name in ("clip", *COPIES)
    return has_key(card, key) or (optional and stage.startswith("stage."))


def _bind(content: Mapping[str, Any], where: str, dataset: Dataset) -> dict[str, Any]:
    """A card with defaults and the data set's budget filled in."""
    card: RecipeCard = load_card("recipe", content, where)
    budget = Training.model_validate_json(json.dumps(dataset.card.get("training", {})))
    bound: dict[str, Any] = plain(card.model_dump(mode="json"))
    bound["model"] = plain(bind_component("model", card.model or budget.model, f"{where}: model"))
    bound["stage"] = []
    for number, stage in enumerate(card.stage):
        place = f"{where}: stage.{number}"
        one = plain(stage.model_dump(mode="json"))
        one["loss"] = plain(bind_component("loss", stage.loss, f"{place}.loss"))
        for kind in COPIES:
            if (component := getattr(stage, kind)) is not None:
                one[kind] = plain(bind_component(kind, component, f"{place}.{kind}"))
        one["epochs"] = stage.epochs or budget.epochs
        one["batch_size"] = stage.batch_size or budget.batch_size
        one["optimizer"] = (stage.optimizer or budget.optimizer).model_dump()
        bound["stage"].append(one)
    return bound
