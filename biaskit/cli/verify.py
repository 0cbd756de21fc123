"""``biaskit verify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from biaskit.cli._common import guarded, say

__all__ = ["verify"]


@guarded
def verify(folder: Annotated[Path, typer.Argument(help="A built data set.")]) -> None:
    """Check every byte of a built data set; exit 2 names the first file that was changed."""
    from biaskit.disk import verify as check

    check(folder)
    say(f"{folder}: every file fits its checksum")
