"""Everything biaskit raises on purpose. Each message says what is wrong, where, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "BiaskitError",
    "DataError",
    "MissingExtra",
    "SpecError",
    "StoreError",
    "UnknownName",
    "UnsupportedModel",
    "nearest",
    "plural",
]

#: So many names are listed where none of them is near.
_FEW = 12


class BiaskitError(Exception):
    """Base of every error a user can cause; the command line turns it into one line and exit 2."""


class SpecError(BiaskitError):
    """A card or an option is wrong: the message names the file, the key and what fits."""


class UnknownName(BiaskitError):
    """A name that is not registered; the message carries the nearest names, or all of them where they are few.

    Parameters
    ----------
    kind : str
        What was looked up, in the singular: ``"recipe"``.
    name : str
        The name as it was written.
    known : iterable of str
        Every name that would have been found.

    Examples
    --------
    >>> str(UnknownName("recipe", "semcon", ["plain", "semcont"]))
    "no recipe 'semcon'; nearest: semcont (all: biaskit list recipes)"
    >>> str(UnknownName("attack", "zzz", ["fgsm", "pgd"]))
    "no attack 'zzz'; there are fgsm, pgd"
    >>> str(UnknownName("recipe", "zzz", [f"mine{number}" for number in range(50)]))
    "no recipe 'zzz', nor one of a like name; see: biaskit list recipes"
    """

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        where = {
            "folder or dataset": "biaskit list datasets",
            "kind": "biaskit list",
            "entry": "biaskit list",
            "layer": "biaskit.features.layers(model)",
            "torchvision model": "torchvision.models.list_models()",
            "timm model": "timm.list_models()",
            "semantic parameter": "biaskit.semantic.PARAMETERS",
        }
        listing = where.get(kind, f"biaskit list {plural(kind)}")
        close = nearest(name, names)
        if close:
            hint = f"; nearest: {', '.join(close)} (all: {listing})"
        elif not names:
            hint = f"; none is installed (all: {listing})"
        elif len(names) <= _FEW:
            hint = f"; there are {', '.join(names)}"
        else:
            hint = f", nor one of a like name; see: {listing}"
        super().__init__(f"no {kind} {name!r}{hint}")


class DataError(BiaskitError):
    """Images, labels, attributes or files that do not fit: expected and got."""


class StoreError(BiaskitError):
    """The disk or the run store said no: full, locked, not writable, or made by a newer version."""


class UnsupportedModel(BiaskitError):
    """A model that lacks what was asked of it; the message says how to name the missing part."""


class MissingExtra(BiaskitError):
    """An optional dependency that is not installed; the message is the pip command."""


def nearest(name: str, known: Iterable[str]) -> list[str]:
    """Up to three names a typo may have meant."""
    return difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)


def plural(kind: str) -> str:
    """The plural of a kind: ``"loss"`` gives ``"losses"``.

    Examples
    --------
    >>> plural("study"), plural("loss"), plural("recipe")
    ('studies', 'losses', 'recipes')
    """
    if kind.endswith("y"):
        return f"{kind[:-1]}ies"
    return f"{kind}{'es' if kind.endswith('s') else 's'}"
