"""Studies by name: their cards read and checked, their items found; no data and no torch."""

from __future__ import annotations

from biaskit.errors import SpecError, UnknownName
from biaskit.registry import names
from biaskit.specs import card_names, card_path, load_card, read_toml
from biaskit.studycard import Item, StudyCard

__all__ = ["find_study", "study_card", "study_names"]


def study_card(name: str) -> StudyCard:
    """The card of a study: a path that ends in .toml, or a shipped one.

    Raises
    ------
    UnknownName, SpecError
        Also where it names an analyzer that is not there.
    """
    path = card_path("study", name)
    card: StudyCard = load_card("study", read_toml(path), path.name)
    named = {f"measure.{title}.analyzer": one.analyzer for title, one in card.measure.items() if one.analyzer}
    named |= {f"analyzers of item {item.name}": one for item in card.item for one in item.analyzers}
    named |= {f"preset.{title}.analyzers": one for title, preset in card.preset.items() for one in preset.analyzers}
    known = names("analyzer")
    for place, one in named.items():
        if one not in known:
            raise SpecError(f"{path.name}: {place}: {UnknownName('analyzer', one, known)}")
    return card


def study_names(name: str) -> dict[str, str]:
    """A study and its items, each as ``reproduce`` takes it, with a line about it."""
    card = study_card(name)
    return {name: card.summary} | {f"{name}-{item.name}": item.title for item in card.item}


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
        card = study_card(one)
        if wanted == one:
            return card, card.item
        item = next((item for item in card.item if item.name == wanted[len(one) + 1 :]), None)
        if item is None:
            raise UnknownName("study", name, study_names(one))
        return card, [item]
    raise UnknownName("study", name, [full for one in known for full in study_names(one)])
