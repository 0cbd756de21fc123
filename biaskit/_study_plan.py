"""What a study is about to do: its card found, data built, arms and analyzers bound, nothing trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from biaskit._asked import analyzer_options
from biaskit._audit import resolve_analyzers
from biaskit._build import as_dataset, build
from biaskit._find_study import find_study
from biaskit._sweep import swept_arms
from biaskit.data import Dataset
from biaskit.errors import BiaskitError, DataError, SpecError, nearest
from biaskit.recipes import Arm, bind_arms, fingerprint
from biaskit.specs import parse_override
from biaskit.studycard import Item, Preset, StudyCard

__all__ = ["DEFAULT_PRESET", "Plan", "plan_study", "training_key"]

#: The preset that needs no download and no patience.
DEFAULT_PRESET = "smoke"


@dataclass(frozen=True, eq=False)
class Plan:
    """What a study is about to do: everything is bound and checked, nothing is trained.

    Attributes
    ----------
    card : StudyCard
    preset : str
    items : list of Item
    data : mapping of role to Dataset
    labels : mapping of role to str
        What titles call the data.
    same : mapping of role to bool
        Whether the data are the paper's.
    arms : mapping of (role, arm) to Arm
    sweeps : mapping of item to list of Arm
    analyzers : mapping of item to (analyzer to options)
    """

    card: StudyCard
    preset: str
    items: list[Item]
    data: dict[str, Dataset] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    same: dict[str, bool] = field(default_factory=dict)
    arms: dict[tuple[str, str], Arm] = field(default_factory=dict)
    sweeps: dict[str, list[Arm]] = field(default_factory=dict)
    analyzers: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)

    @property
    def size(self) -> Preset:
        return self.card.preset[self.preset]

    def here(self, item: Item) -> list[str]:
        """The arms of an item that the preset has, as the card writes them."""
        presets = {arm.called: arm.presets for arm in self.card.arm}
        return [name for name in item.arms if not presets[name] or self.preset in presets[name]]

    def arms_of(self, item: Item) -> list[Arm]:
        return [*(self.arms[item.data, name] for name in self.here(item)), *self.sweeps.get(item.name, [])]

    def trainings(self) -> list[tuple[Arm, str]]:
        """Every arm that is to be trained, with the role of its data; the same training stands there once."""
        found: dict[str, tuple[Arm, str]] = {}
        for item in self.items:
            for arm in self.arms_of(item):
                found.setdefault(training_key(arm, self.data[item.data]), (arm, item.data))
        return list(found.values())


def plan_study(
    study: str,
    *,
    preset: str = DEFAULT_PRESET,
    on: Dataset | str | Path | None = None,
    set: Sequence[str] = (),
) -> Plan:
    """Bind everything that a study needs: data, arms, analyzers."""
    card, items = find_study(study)
    if preset not in card.preset:
        close = nearest(preset, card.preset)
        hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(card.preset)}"
        raise SpecError(f"--preset {preset}: {card.name} has no such preset; {hint}")
    cards = {arm.called: arm for arm in card.arm}
    known = {_stem(name) for name in cards}
    set, options = analyzer_options(set)
    used = list(dict.fromkeys(name for item in items for name in item.analyzers))
    for name in options:
        if name not in used:
            has = ", ".join(nearest(name, used) or used) or "none"
            raise SpecError(f"--set analyzer.{name}: {study} does not use the analyzer {name}; it has: {has}")
    for text in set:
        prefix = parse_override(text)[0]
        if prefix and prefix not in known:
            raise SpecError(f"--set {text!r}: no arm {prefix!r} in {card.name}; it has {', '.join(sorted(known))}")
    plan = Plan(card, preset, items)
    for item in items:
        given = {name: plan.size.analyzers.get(name, {}) | options.get(name, {}) for name in item.analyzers}
        plan.analyzers[item.name] = resolve_analyzers(given)
        if item.data not in plan.data:
            _add_data(plan, item.data, on)
    for role, data in plan.data.items():
        mine = [item for item in items if item.data == role]
        names = list(dict.fromkeys(name for item in mine for name in plan.here(item)))
        swept = list(dict.fromkeys(item.sweep.recipe for item in mine if item.sweep))
        changes = [*plan.size.set, *set]
        # By the name that the card writes: a recipe of the user's own is written as a path and called by its stem.
        every = list(dict.fromkeys([*names, *swept]))
        arms = {_stem(name): cards[name].recipe for name in every}
        if len(arms) < len(every):
            raise SpecError(f"{card.name}: two arms are called {max(arms, key=[_stem(one) for one in every].count)}")
        own = [f"{_stem(name)}:{text}" for name in every for text in cards[name].set]
        bound = bind_arms(arms, data, _reaching([*own, *changes], list(arms))) if arms else []
        plan.arms.update({(role, written): arm for written, arm in zip(every, bound, strict=True)})
        for item in mine:
            if item.sweep is not None:
                one = item.sweep
                reaching = _reaching(changes, [one.recipe])
                plan.sweeps[item.name] = swept_arms(one.recipe, one.param, one.values, data, reaching)
    for item in items:
        there = [arm.name for arm in plan.arms_of(item)]
        if not there:
            raise SpecError(f"{card.name}: the preset {preset} has no arm of {item.name}")
        left_out = {name for name in item.arms if name not in plan.here(item)}
        for claim in item.claim:
            for name in {claim.arm, claim.than} - {*there} - left_out:
                raise SpecError(f"{card.name}: a claim of {item.name} names the arm {name}; it has {', '.join(there)}")
    return plan


def _stem(name: str) -> str:
    """What an arm is called that is written as the path of a card."""
    return Path(name).stem if name.endswith(".toml") else name


def _add_data(plan: Plan, role: str, on: Dataset | str | Path | None) -> None:
    """The data of a role: the user's, or the preset's."""
    if on is not None:
        plan.data[role] = as_dataset(on)
        plan.labels[role], plan.same[role] = plan.data[role].name, False
        return
    given = plan.size.data[role]
    try:
        plan.data[role] = build(given.card, set=given.set)
    except BiaskitError as error:
        raise DataError(f"preset {plan.preset} of {plan.card.name} needs {given.label}: {error}") from None
    plan.labels[role], plan.same[role] = given.label, given.same


def _reaching(changes: Sequence[str], arms: Sequence[str]) -> list[str]:
    """The changes that speak of these arms: a preset names arms that an item may not have."""
    found = []
    for text in changes:
        prefix, colon, _ = text.partition("=")[0].rpartition(":")
        if not colon or prefix.strip() in arms:
            found.append(text)
    return found


def training_key(arm: Arm, data: Dataset) -> str:
    """What two arms have in common that are one training, whatever they are called."""
    return fingerprint([data.fingerprint, *arm.training.values()])
