"""``biaskit report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from biaskit.cli._common import guarded, say

__all__ = ["report"]


@guarded
def report(folder: Annotated[Path, typer.Argument(help="What compare or an audit wrote.")]) -> None:
    """Write report.html anew from a folder of results; it is one file and loads nothing."""
    from biaskit.telling.report import report as write

    path = write(folder)
    say(f"report   {path}  {path.stat().st_size / 1e3:.0f} kB")
