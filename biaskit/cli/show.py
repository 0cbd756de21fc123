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
    """Show a card, or the options of a builder, loss, tagger, analyzer, model and so on, with their defaults."""
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
        found = _item(name, everything)
    if not found:
        raise UnknownName("entry", name, everything)


def _item(name: str, everything: list[str]) -> bool:
    """Show an item of a study, if the name is one; else add the names of all items to those that are known."""
    from biaskit._find_study import find_study, study_names
    from biaskit.specs import card_names
    from biaskit.telling.numbers import ASCII
    from biaskit.telling.study import expected, published, row_label

    items = [one for study in card_names("study") for one in list(study_names(study))[1:]]
    if name.replace("_", "-") not in items and ".toml-" not in name:
        everything += items
        return False
    card, (item,) = find_study(name)
    study = name.replace("_", "-") if ".toml" not in name else name
    say(f"{study}, item of {card.name}: {item.title}", style="bold")
    say(item.about)
    say()
    swept = [f"{item.sweep.recipe} with {item.sweep.param} = {_text(item.sweep.values)}"] if item.sweep else []
    say(f"original  {item.original}")
    say(f"arms      {', '.join([*item.arms, *swept])}")
    say(f"measured  {_text(item.analyzers)}")
    say()
    _presets(card, [item.data])
    say()
    for one in item.measures:
        what = card.measure[one]
        numbers = [f"{arm} {published(ASCII, v, what.unit)}" for arm, v in item.published.get(one, {}).items()]
        on = f"; published on {item.published_on}: {', '.join(numbers)}" if numbers else ""
        say(f"measure  {row_label({'measure': what.title, 'unit': what.unit})}{on}")
    for claim in item.claim:
        what = card.measure[claim.measure]
        compared = {"contrast": f"{claim.arm} {'/' if what.ratio else '-'} {claim.than}", "measure": what.title}
        say(f"claim    {claim.claim}: {expected({**vars(claim), **compared, 'unit': what.unit})}")
    for note in item.notes:
        say(f"note     {note}")
    say()
    say(f"try      biaskit reproduce {study}")
    return True


def _card(kind: str, name: str) -> None:
    from biaskit._find_study import study_card
    from biaskit.specs import STAGE_PARTS, card_path, load_card, read_toml
    from biaskit.telling.numbers import ASCII

    path = card_path(kind, name)
    card: Any = study_card(name) if kind == "study" else load_card(kind, read_toml(path), path.name)
    say(f"{card.name}, {kind}, version {card.version}: {card.summary}", style="bold")
    if card.paper:
        say(f"paper    {card.paper}")
    if kind == "recipe":
        if card.control:
            say(f"control  {card.control}")
        if card.holdout is not None:
            say(f"holdout  {card.holdout:g} of the training rows of every group")
        for number, stage in enumerate(card.stage):
            for part, registered in STAGE_PARTS.items():
                if (component := getattr(stage, part)) is not None:
                    _component(registered, component, f"stage.{number}.{part}")
            rest = stage.model_dump(exclude=set(STAGE_PARTS))
            say()
            say(f"stage.{number}")
            for key, value in _flat(rest):
                empty = "none" if key == "clip" else "as the data set says"
                said = str(value).lower() if isinstance(value, bool) else value
                say(f"  {key:<24} {empty if value is None else said}")
        say()
        named = name if name.endswith(".toml") else card.name
        arms = dict.fromkeys(one for one in ("plain", card.control, named) if one)
        say(f"try      biaskit compare {' '.join(arms)}" + (" aug" if len(arms) == 1 else ""))
    elif kind == "study":
        _study(card, name)
    else:
        if card.source is not None:
            _component("source", card.source, "source")
        for number, builder in enumerate(card.builder):
            _component("builder", builder, f"builder.{number}")
        say()
        budget = card.training
        step = f"{budget.optimizer.name} {budget.optimizer.lr:g}"
        epochs = ASCII.counted(budget.epochs, "epoch")
        say(f"training  {budget.model.name}, {epochs}, batches of {budget.batch_size}, {step}")
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
        changes = f" ({arm.recipe}; {', '.join(arm.set)})" if arm.set else ""
        say(f"arm      {arm.called:<16} {arm.paper or 'ours'}{changes}")
    say()
    _presets(card, list(dict.fromkeys(item.data for item in card.item)))
    say()
    study = name if name.endswith(".toml") else card.name
    width = max(len(study) + 1 + len(item.name) for item in card.item)
    for item in card.item:
        say(f"item     {f'{study}-{item.name}':<{width}}  {item.title}; on {item.original} ({item.data})")
    say()
    say(f"try      biaskit reproduce {study}-{card.item[0].name}")


def _presets(card: Any, roles: list[str]) -> None:
    """What each preset takes for the data of these roles."""
    from biaskit.telling.numbers import ASCII

    for title, preset in card.preset.items():
        say(f"preset   {title:<16} {ASCII.counted(preset.seeds, 'seed')}; {preset.budget}")
        for role in roles:
            data = preset.data[role]
            named = data.label if data.label == data.card else f"{data.label} ({data.card})"
            changes = f", with {'; '.join(data.set)}" if data.set else ""
            stands = "as in the paper" if data.same else "in place of the paper's"
            say(f"         {role:<16} {named}{changes}; {stands}")


def _component(kind: str, component: Any, place: str) -> None:
    from biaskit._build import bind_component
    from biaskit.registry import find, options

    bound = bind_component(kind, component, place)
    say()
    say(f"{place}  {bound.pop('name')}")
    kinds = options(find(kind, component.name))
    for key, value in bound.items():
        say(f"  {key:<24} {_text(value, key):<28} {_range(kinds[key][0])}")


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
            say(f"{key:<20} {'required' if default is ... else _text(default, key):<36} {_range(hint)}")
    say()


def _flat(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    for key, one in value.items():
        found.extend(_flat(one, f"{prefix}{key}.") if isinstance(one, Mapping) else [(f"{prefix}{key}", one)])
    return found


def _text(value: Any, key: str = "") -> str:
    from biaskit.telling.numbers import fractions

    value = fractions(value, key)
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
