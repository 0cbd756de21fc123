"""Which noun of WordNet a label stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

from biaskit.errors import BiaskitError, DataError, SpecError, nearest
from biaskit.specs import read_toml
from biaskit.wordnet import _nltk
from biaskit.wordnet._distances import asked, find, name_of
from biaskit.wordnet._table import LABELS, table

__all__ = ["synsets_of", "tables"]

#: Candidates an error lists.
_SHOWN = 8


def synsets_of(classes: Sequence[str], source: str = "", mapping: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The noun of WordNet that each label of a data set stands for.

    A label is looked up in the mapping that is given, then in the table of its source, then in WordNet itself: it is
    a synset's id or name, or a noun with one meaning only. Nothing is guessed: a number is a digit only where the
    source says so, because in other data sets it is the index of a class.

    Parameters
    ----------
    classes : sequence of str
        Labels, in the order of the model's outputs.
    source : str
        The source of the images: ``cifar10``, ``cifar100``, ``digits``, ``mnist``, ``svhn``, ``fashionmnist``,
        ``imagenet`` or ``shapes``. With another one, or none, the classes decide where they are exactly those of a
        table.
    mapping : mapping of str to str, optional
        Label -> synset, for what the tables do not hold or what they hold otherwise.

    Returns
    -------
    tuple of str
        Names of synsets such as ``dog.n.01``, one per class.

    Raises
    ------
    DataError
        No noun fits a label, or several do: the message lists candidates, with their glosses where NLTK has WordNet.
    SpecError
        The mapping names a label that is no class, or a synset that does not exist; a text in place of a list.

    Examples
    --------
    >>> synsets_of(["airplane", "automobile"], source="cifar10")
    ('airplane.n.01', 'car.n.01')
    >>> synsets_of(["goldfish", "n02084071", "ray"], mapping={"ray": "ray.n.07"})
    ('goldfish.n.01', 'dog.n.01', 'ray.n.07')
    """
    if isinstance(classes, str):
        raise SpecError(f'classes is one text, not a list of labels: write ["{classes}"]')
    given = dict(mapping or {})
    labels = [str(one) for one in classes]
    for label in given:
        if label not in labels:
            close = nearest(label, labels)
            hint = f"nearest: {', '.join(close)}" if close else f"the first classes are {', '.join(labels[:6])}"
            raise SpecError(f"the mapping names {label!r}, which is no class; {hint}")
    listed = {**_listed(source, labels), **given}
    found = {label: find(listed[label]) if label in listed else _only(label) for label in labels}
    unsettled = [label for label in found if found[label] is None]
    if unsettled:
        raise DataError(_told(unsettled))
    return tuple(name_of(number) for label in labels if (number := found[label]) is not None)


@cache
def tables() -> dict[str, dict[str, str]]:
    """Source -> label -> synset, as ``labels.toml`` has it."""
    content = read_toml(LABELS)
    of: dict[str, dict[str, str]] = content["synsets"]
    return {**of, **{name: of[other] for name, other in content["same"].items()}}


def _listed(source: str, labels: Sequence[str]) -> Mapping[str, str]:
    """The table of a source; without one, the table whose labels are exactly these, unless they are numbers."""
    if source in tables():
        return tables()[source]
    if all(label.isdigit() for label in labels):
        return {}
    return next((one for one in tables().values() if one.keys() == set(labels)), {})


def _only(label: str) -> int | None:
    """The one synset that a label can stand for without anybody saying so."""
    try:
        return find(label)
    except SpecError:
        pass
    word = _word(label)
    if word.isdigit():
        return None
    known = table()
    if word in known.counts:
        return known.senses[word][1] if known.counts[word] == 1 else None
    try:
        senses = asked(label, _nltk.senses, word)
    except DataError as error:
        raise DataError(f'{error}; or say which noun label {label!r} is, with mapping={{"{label}": ...}}') from None
    return int(senses[0].offset()) if len(senses) == 1 else None


def _word(label: str) -> str:
    """A label as WordNet writes words: ``great white shark`` is ``great_white_shark``."""
    return "_".join(label.lower().split())


def _told(labels: Sequence[str]) -> str:
    """Why the first of these labels has no synset, which ones it may be, and what to do."""
    label = labels[0]
    word = _word(label)
    more = f" (and for {len(labels) - 1} more: {', '.join(labels[1:6])})" if len(labels) > 1 else ""
    remedy = f'give one with mapping={{"{label}": ...}}{more}'
    if word.isdigit():
        return f"label {label!r} may be a digit or the index of a class: say source='digits', or {remedy}"
    several = _candidates(word)
    if several:
        return f"label {label!r} is more than one noun of WordNet: {_list(several)}; {remedy}"
    # `aquarium_fish` is a fish, and a typo is near what was meant.
    parts = [word.split("_")[-1], *nearest(word, table().senses)]
    close = [one for part in dict.fromkeys(parts) for one in _candidates(part)]
    return f"label {label!r} is no noun of WordNet; candidates: {_list(close) if close else 'none'}; {remedy}"


def _candidates(word: str) -> list[str]:
    """The nouns of a word, with their glosses where NLTK has WordNet, else those that are embedded."""
    try:
        return [f"{one.name()} ({one.definition()})" for one in _nltk.senses(word)]
    except BiaskitError:
        pass
    held = [name_of(one) for _, one in sorted(table().senses.get(word, {}).items())]
    count = table().counts.get(word, 0)
    return held if len(held) == count else [*held, f"all {count} with `biaskit fetch wordnet`"]


def _list(candidates: Sequence[str]) -> str:
    more = f"; {len(candidates) - _SHOWN} more" if len(candidates) > _SHOWN else ""
    return "; ".join(candidates[:_SHOWN]) + more
