"""``biaskit report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from biaskit.cli._common import Images, guarded, say

__all__ = ["report"]


@guarded
def report(
    folder: Annotated[Path, typer.Argument(help="What compare or an audit wrote.")], images: Images = True
) -> None:
    """Write report.html anew from a folder of results; it is one file and loads nothing."""
    from biaskit.telling.report import report as write

    path = write(folder, images=images)
    say(f"report   {path}  {path.stat().st_size / 1e3:.0f} kB")
    beside = sorted((folder / "pictures").glob("*.png"))
    if beside:
        say(f"pictures {folder / 'pictures'}  {len(beside):,} that do not fit into it")
