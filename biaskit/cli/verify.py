"""``biaskit verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from biaskit.cli._common import guarded, say

__all__ = ["verify"]


@guarded
def verify(
    data: Annotated[str, typer.Argument(help="A built data set: a folder, or a name built into BIASKIT_HOME.")],
) -> None:
    """Check every byte of a built data set; exit 2 names the first file that was changed."""
    from biaskit.disk import verify as check
    from biaskit.home import home

    folder = Path(data)
    if not folder.is_dir() and (home() / "data" / data).is_dir():
        folder = home() / "data" / data
    check(folder)
    say(f"{folder}: every file fits its checksum")
