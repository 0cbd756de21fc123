"""``biaskit list``."""

from __future__ import annotations

from typing import Annotated

import typer

from biaskit.cli._common import guarded, say

__all__ = ["list_"]


@guarded
def list_(
    kind: Annotated[
        str | None,
        typer.Argument(help="datasets, recipes, studies, builders, perturbations, losses, taggers, analyzers, ..."),
    ] = None,
) -> None:
    """List what there is, a line each; everything without a kind."""
    from biaskit._find_study import study_names
    from biaskit.registry import KINDS, names, plural, singular
    from biaskit.specs import CARDS, card_names

    kinds = [singular(kind)] if kind else [*CARDS, *KINDS]
    for number, one in enumerate(kinds):
        found = card_names(one) if one in CARDS else names(one)
        if one == "study":
            found = {item: text for study in found for item, text in study_names(study).items()}
        if len(kinds) > 1:
            if number:
                say()
            say(plural(one), style="bold")
        width = max((len(name) for name in found), default=0)
        for name, summary in found.items():
            say(f"{name:<{width}}  {summary}")
