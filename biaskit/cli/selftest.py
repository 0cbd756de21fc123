"""``biaskit selftest``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from biaskit.cli._common import AsJson, Device, fail, guarded, say

__all__ = ["selftest"]


@guarded
def selftest(
    full: Annotated[bool, typer.Option("--full", help="Also train small networks on what is planted.")] = False,
    figure: Annotated[Path | None, typer.Option(help="Write the curves to an SVG file.")] = None,
    device: Device = None,
    json: AsJson = False,
) -> None:
    """Plant a shortcut at strengths from 0 to 1: every measure of bias must be null at 0 and grow from there."""
    from biaskit._selftest import selftest as run
    from biaskit.disk import disk_errors

    found = run(full=full, device=device)
    if figure is not None:
        with disk_errors(figure):
            figure.write_text(found.figure(), encoding="utf-8")
    if json:
        import json as writer

        writer.dump(found.result, sys.stdout, indent=1)
        say()
    else:
        from biaskit.cli._text_selftest import print_selftest

        print_selftest(found.result, figure)
    if not found.passed:
        # Nothing the user gave can cause this.
        fail(f"{', '.join(found.failed)} did not follow what was planted; please report the lines above")
        raise typer.Exit(70)
