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
from biaskit.evaluation import evaluate
from biaskit.registry import find
from biaskit.rng import derive
from biaskit.rows import epoch_order
from biaskit.specs import (
    STAGE_PARTS,
    RecipeCard,
    Stage,
    Training,
    apply_override,
    card_keys,
    card_path,
    has_key,
    load_card,
    parse_override,
    read_toml,
)

__all__ = ["Arm", "bind_arms", "code_fingerprint", "code_modules", "fingerprint", "source_fingerprint"]

#: Keys that a bound stage has where it says something of its own: cards of before they were there stay what they were.
UNSAID = ("rows", "sampling", "upweight", "trainable", "fresh")


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

    @property
    def training(self) -> dict[str, Any]:
        """What of the card determines the training: all but names and words."""
        always = {"model": self.card.get("model"), "stage": self.card.get("stage", [])}
        return always | {key: self.card[key] for key in ("holdout",) if key in self.card}


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
            raw[name] = (apply_override(_base(content, bound[name], key), key, value), where)
            bound[name] = _bind(raw[name][0], where, dataset)
            changes[name].append(f"{key}={value}")
    return [Arm(name, bound[name], tuple(changes[name])) for name in raw]


def _base(content: Mapping[str, Any], bound: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The content that a change is made to: beside one option of a network or an optimizer the others stay.

    Both may come from the data set's budget, and would be lost if the card named one option alone. Another name begins
    anew, because its options are others.
    """
    place = key.split(".")
    if place[0] == "model":
        return {**content, "model": {} if place == ["model", "name"] else bound["model"]}
    if len(place) == 4 and place[0] == "stage" and place[2] == "optimizer" and place[3] != "name":
        stages = [dict(stage) for stage in content["stage"]]
        stages[int(place[1])]["optimizer"] = bound["stage"][int(place[1])]["optimizer"]
        return {**content, "stage": stages}
    return dict(content)


def code_fingerprint(card: Mapping[str, Any]) -> str:
    """SHA-256 over the source text of the loop and of every function the card names, helpers of its package included.

    A stored run is used again only while the code that made it is the same.
    """
    return _digest(_code_texts(card))


def code_modules(card: Mapping[str, Any]) -> dict[str, str]:
    """The modules behind :func:`code_fingerprint`, each with the SHA-256 of its source: where two trainings differ."""
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in sorted(_code_texts(card).items())}


def _code_texts(card: Mapping[str, Any]) -> dict[str, str]:
    """Module -> source text of the loop and of every function the card names."""
    functions = [find("model", card["model"]["name"])]
    for stage in card["stage"]:
        functions += [find(kind, stage[key]["name"]) for key, kind in STAGE_PARTS.items() if key in stage]

    def beside(module: str, other: str) -> bool:
        package = module.rpartition(".")[0]
        words = other == "biaskit.words" or other.startswith("biaskit.wordnet")
        return words or (package != "biaskit" and other.rpartition(".")[0] == package)

    return _source_texts([loop.fit, epoch_order, evaluate, derive, *functions], beside)


def source_fingerprint(functions: Sequence[Callable[..., Any]], follows: Callable[[str, str], bool]) -> str:
    """SHA-256 over the source text of functions' modules, and of those they take names from as far as it matters.

    Parameters
    ----------
    functions : sequence of callable
    follows : callable
        ``(module, other) -> bool``: whether what ``module`` takes from ``other`` counts.
    """
    return _digest(_source_texts(functions, follows))


def _digest(texts: Mapping[str, str]) -> str:
    return hashlib.sha256("".join(texts[name] for name in sorted(texts)).encode()).hexdigest()


def _source_texts(functions: Sequence[Callable[..., Any]], follows: Callable[[str, str], bool]) -> dict[str, str]:
    """Module -> source text, of the functions' modules and of what they rest on."""
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
    return texts


def fingerprint(content: Any) -> str:
    """SHA-256 of plain data, by its sorted JSON."""
    return hashlib.sha256(json.dumps(plain(content), sort_keys=True).encode()).hexdigest()


def _fits(card: Mapping[str, Any], key: str) -> bool:
    """Whether a bound card has a key or a place for it: what a stage may leave out is missing from its bound form."""
    stage, _, name = key.rpartition(".")
    optional = has_key(card, stage) and stage.count(".") == 1 and name in Stage.model_fields
    return has_key(card, key) or key == "holdout" or (optional and stage.startswith("stage."))


def _bind(content: Mapping[str, Any], where: str, dataset: Dataset) -> dict[str, Any]:
    """A card with defaults and the data set's budget filled in."""
    card: RecipeCard = load_card("recipe", content, where)
    budget = Training.model_validate_json(json.dumps(dataset.card.get("training", {})))
    bound: dict[str, Any] = plain(card.model_dump(mode="json"))
    bound["model"] = plain(bind_component("model", card.model or budget.model, f"{where}: model"))
    bound["stage"] = []
    for number, stage in enumerate(card.stage):
        place = f"{where}: stage.{number}"
        unsaid = {key for key in UNSAID if getattr(stage, key) == Stage.model_fields[key].default}
        one = plain(stage.model_dump(mode="json", exclude=unsaid))
        for key, kind in STAGE_PARTS.items():
            if (component := getattr(stage, key)) is not None:
                one[key] = plain(bind_component(kind, component, f"{place}.{key}"))
        one["epochs"] = stage.epochs or budget.epochs
        one["batch_size"] = stage.batch_size or budget.batch_size
        one["optimizer"] = (stage.optimizer or budget.optimizer).model_dump()
        bound["stage"].append(one)
    return bound
