"""What a study is about to do: its card found, data built, arms and analyzers bound, nothing trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from biaskit._audit import resolve_analyzers
from biaskit._build import as_dataset, build
from biaskit._sweep import swept_arms
from biaskit.data import Dataset
from biaskit.errors import BiaskitError, DataError, SpecError, UnknownName, nearest
from biaskit.recipes import Arm, bind_arms, fingerprint
from biaskit.specs import card_names, card_path, load_card, parse_override, read_toml
from biaskit.studycard import Item, Preset, StudyCard

__all__ = ["DEFAULT_PRESET", "Plan", "find_study", "plan_study", "training_key"]

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

    def arms_of(self, item: Item) -> list[Arm]:
        return [*(self.arms[item.data, name] for name in item.arms), *self.sweeps.get(item.name, [])]

    def trainings(self) -> list[tuple[Arm, str]]:
        """Every arm that is to be trained, with the role of its data; the same training stands there once."""
        found: dict[str, tuple[Arm, str]] = {}
        for item in self.items:
            for arm in self.arms_of(item):
                found.setdefault(training_key(arm, self.data[item.data]), (arm, item.data))
        return list(found.values())


def find_study(name: str) -> tuple[StudyCard, list[Item]]:
    """The card and the items that a name means: ``wu2021``, ``wu2021-table2``, ``mine.toml``, ``mine.toml-table2``.

    Raises
    ------
    UnknownName, SpecError
    """
    known = [*card_names("study")] if ".toml" not in name else [name.partition(".toml")[0] + ".toml"]
    wanted = name if ".toml" in name else name.replace("_", "-")
    for one in known:
        if wanted != one and not wanted.startswith(f"{one}-"):
            continue
        path = card_path("study", one)
        card: StudyCard = load_card("study", read_toml(path), path.name)
        if wanted == one:
            return card, card.item
        item = next((item for item in card.item if item.name == wanted[len(one) + 1 :]), None)
        if item is None:
            raise UnknownName("study", name, [one, *(f"{one}-{item.name}" for item in card.item)])
        return card, [item]
    names = []
    for one in known:
        path = card_path("study", one)
        names += [one, *(f"{one}-{item['name']}" for item in read_toml(path)["item"])]
    raise UnknownName("study", name, names)


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
    known = {Path(arm.recipe).stem for arm in card.arm}
    for text in set:
        prefix = parse_override(text)[0]
        if prefix and prefix not in known:
            raise SpecError(f"--set {text!r}: no arm {prefix!r} in {card.name}; it has {', '.join(sorted(known))}")
    plan = Plan(card, preset, items)
    for item in items:
        given = {name: plan.size.analyzers.get(name, {}) for name in item.analyzers}
        plan.analyzers[item.name] = resolve_analyzers(given)
        if item.data not in plan.data:
            _add_data(plan, item.data, on)
    for role, data in plan.data.items():
        mine = [item for item in items if item.data == role]
        names = list(dict.fromkeys(name for item in mine for name in item.arms))
        swept = list(dict.fromkeys(item.sweep.recipe for item in mine if item.sweep))
        changes = [*plan.size.set, *set]
        every = list(dict.fromkeys([*names, *swept]))
        # By the name that the card writes: a recipe of the user's own is written as a path and called by its stem.
        for written, arm in zip(every, bind_arms(every, data, _reaching(changes, every)), strict=True):
            plan.arms[role, written] = arm
        for item in mine:
            if item.sweep is not None:
                one = item.sweep
                reaching = _reaching(changes, [one.recipe])
                plan.sweeps[item.name] = swept_arms(one.recipe, one.param, one.values, data, reaching)
    for item in items:
        there = [arm.name for arm in plan.arms_of(item)]
        for claim in item.claim:
            for name in {claim.arm, claim.than} - {*there}:
                raise SpecError(f"{card.name}: a claim of {item.name} names the arm {name}; it has {', '.join(there)}")
    return plan


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
    return fingerprint([data.fingerprint, arm.card["model"], arm.card["stage"]])
