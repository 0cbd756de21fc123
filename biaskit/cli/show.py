"""``biaskit show``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from biaskit.cli._common import guarded, say

__all__ = ["show"]


@guarded
def show(
    name: Annotated[str, typer.Argument(help="A data set, a recipe, a study, or anything that biaskit list names.")],
) -> None:
    """Show a card, or the options of a builder, perturbation, loss, analyzer, model or source, with their defaults."""
    from biaskit.errors import UnknownName
    from biaskit.registry import KINDS, names
    from biaskit.specs import CARDS, card_names

    wanted = name.replace("-", "_")
    found = False
    everything: list[str] = []
    for kind in CARDS:
        for one in card_names(kind):
            everything.append(one)
            if one.replace("-", "_") == wanted:
                found = True
                _card(kind, one)
    if name.endswith(".toml"):
        from biaskit.specs import card_path, read_toml

        content = read_toml(card_path("recipe", name))
        _card("recipe" if "stage" in content else "study" if "item" in content else "dataset", name)
        return
    for kind in KINDS:
        for one in names(kind):
            everything.append(one)
            if one == wanted:
                found = True
                _function(kind, one)
    if not found:
        raise UnknownName("entry", name, everything)


def _card(kind: str, name: str) -> None:
    from biaskit.specs import card_path, load_card, read_toml

    path = card_path(kind, name)
    card = load_card(kind, read_toml(path), path.name)
    say(f"{card.name}, {kind}, version {card.version}: {card.summary}", style="bold")
    if card.paper:
        say(f"paper    {card.paper}")
    if kind == "recipe":
        if card.control:
            say(f"control  {card.control}")
        for number, stage in enumerate(card.stage):
            for part in ("loss", "perturbation", "attack"):
                if (component := getattr(stage, part)) is not None:
                    _component(part, component, f"stage.{number}.{part}")
            rest = stage.model_dump(exclude={"loss", "perturbation", "attack"})
            say()
            say(f"stage.{number}")
            for key, value in _flat(rest):
                empty = "none" if key == "clip" else "as the data set says"
                say(f"  {key:<24} {empty if value is None else value}")
        say()
        named = name if name.endswith(".toml") else card.name
        arms = dict.fromkeys(one for one in ("plain", card.control, named) if one)
        say(f"try      biaskit compare {' '.join(arms)}" + (" aug" if len(arms) == 1 else ""))
    elif kind == "study":
        _study(card, name)
    else:
        _component("source", card.source, "source")
        for number, builder in enumerate(card.builder):
            _component("builder", builder, f"builder.{number}")
        say()
        budget = card.training
        step = f"{budget.optimizer.name} {budget.optimizer.lr:g}"
        say(f"training  {budget.model.name}, {budget.epochs} epochs, batches of {budget.batch_size}, {step}")
        say(f"decides   {card.reliance}")
        for split, attributes in card.counts.items():
            for attribute, counts in attributes.items():
                say(f"counts    {split}, {attribute}: " + ", ".join(f"{value} {n:,}" for value, n in counts.items()))
        say()
        say(f"try      biaskit build {name if name.endswith('.toml') else card.name}")
    say(f"card     {path}")


def _study(card: Any, name: str) -> None:
    say()
    for arm in card.arm:
        say(f"arm      {arm.recipe:<16} {arm.paper or 'ours'}")
    say()
    for title, preset in card.preset.items():
        data = ", ".join(dict.fromkeys(one.label for one in preset.data.values()))
        say(f"preset   {title:<16} {data}; {preset.seeds} seeds; {preset.budget}")
    say()
    for item in card.item:
        say(f"item     {item.name:<16} {item.title}; on {item.original}")
    say()
    say(f"try      biaskit reproduce {name if name.endswith('.toml') else card.name}-{card.item[0].name}")


def _component(kind: str, component: Any, place: str) -> None:
    from biaskit._build import bind_component
    from biaskit.registry import find, options

    bound = bind_component(kind, component, place)
    say()
    say(f"{place}  {bound.pop('name')}")
    kinds = options(find(kind, component.name))
    for key, value in bound.items():
        say(f"  {key:<24} {_text(value):<28} {_range(kinds[key][0])}")


def _function(kind: str, name: str) -> None:
    import inspect

    from biaskit.registry import find, options

    function = find(kind, name)
    say(f"{name}, {kind}", style="bold")
    say(inspect.getdoc(function) or "")
    found = options(function)
    if found:
        say()
        say(f"{'option':<20} {'default':<36} range")
        for key, (hint, default) in found.items():
            say(f"{key:<20} {'required' if default is ... else _text(default):<36} {_range(hint)}")
    say()


def _flat(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, one in value.items():
        found.extend(_flat(one, f"{prefix}{key}.") if isinstance(one, Mapping) else [(f"{prefix}{key}", one)])
    return found


def _text(value: Any) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(str(one) for one in value) or "none"
    return str(value) if value != "" else "none"


def _range(hint: Any) -> str:
    """A type with its limits in words."""
    import types
    import typing

    if typing.get_origin(hint) is typing.Annotated:
        base, *limits = typing.get_args(hint)
        said = []
        for limit in [inner for outer in limits for inner in getattr(outer, "metadata", [outer])]:
            for name, words in (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below")):
                if hasattr(limit, name):
                    said.append(f"{words} {getattr(limit, name)}")
        return ", ".join([_range(base), *said])
    if typing.get_origin(hint) is typing.Literal:
        return " or ".join(str(one) for one in typing.get_args(hint))
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        parts = [one for one in typing.get_args(hint) if one is not type(None)]
        return " or ".join([*map(_range, parts), *(["none"] if len(parts) < len(typing.get_args(hint)) else [])])
    if typing.get_origin(hint) is tuple:
        return f"list of ({_range(typing.get_args(hint)[0])})"
    return {"str": "text", "int": "whole number", "float": "number", "bool": "true or false"}.get(
        getattr(hint, "__name__", ""), str(hint)
    )
