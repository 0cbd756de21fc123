"""``biaskit diff``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from biaskit.cli._common import AsJson, guarded, say

__all__ = ["diff"]


@guarded
def diff(
    a: Annotated[str, typer.Argument(help="A stored run (its folder, or its name in biaskit runs list), or a result.")],
    b: Annotated[str, typer.Argument(help="What to hold against it.")],
    arm: Annotated[
        list[str] | None, typer.Option(help="Which arm of a result; twice, if A and B are to give different ones.")
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="Attributes with commas that make the groups; default: those of the data.")
    ] = None,
    json: AsJson = False,
) -> None:
    """What changed between two runs or results: card, data, code, and in which groups accuracy did."""
    from biaskit._diff import diff as compare

    names = None if by is None else [one.strip() for one in by.split(",") if one.strip()]
    found = compare(a, b, arm=arm or None, by=names)
    if json:
        import json as writer

        writer.dump(found.result, sys.stdout, indent=1)
        say()
        return
    from biaskit.cli._text_diff import print_diff

    print_diff(found.result)
