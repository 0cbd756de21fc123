"""``biaskit fetch``."""

from __future__ import annotations

import typer

from biaskit.cli._common import guarded, say

__all__ = ["app"]

app = typer.Typer(help="Download what is not embedded.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _root() -> None:
    """Download what is not embedded."""


@app.command()
@guarded
def wordnet() -> None:
    """Download WordNet 3.0 through NLTK; the nouns of the built-in data sets work without it."""
    from biaskit.wordnet import fetch

    say(f"WordNet 3.0 is in {fetch()}")
