"""``biaskit runs``."""

from __future__ import annotations

from typing import Annotated

import typer

from biaskit.cli._common import guarded, say

__all__ = ["app"]

app = typer.Typer(help="Stored runs: list them, or remove them.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
@guarded
def list_() -> None:
    """List the finished runs, oldest first."""
    from biaskit.home import home
    from biaskit.runs import stored_runs
    from biaskit.telling.numbers import ASCII

    found = list(stored_runs())
    if not found:
        say(f"no runs in {home() / 'runs'}")
        return
    say(f"{'arm':<16} {'seed':>4}  {'data':<22} {'seconds':>8} {'MB':>7}  {'finished':<20}  run")
    for one in found:
        say(
            f"{one['arm']:<16} {one['seed']:>4}  {one['data']['name']:<22} {one['seconds']:>8.1f} "
            f"{one['bytes'] / 1e6:>7.1f}  {one['finished']:<20}  {one['folder'].name}"
        )
    say(f"{ASCII.counted(len(found), 'run')}, {sum(one['bytes'] for one in found) / 1e6:.0f} MB in {home() / 'runs'}")


@app.command()
@guarded
def clean(
    unfinished: Annotated[bool, typer.Option("--unfinished", help="Only what an interruption left behind.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Remove stored runs; one that is being trained is left alone."""
    from biaskit.home import home
    from biaskit.runs import clean as remove

    what = "what interruptions left" if unfinished else "all stored runs"
    if not yes and not typer.confirm(f"Remove {what} in {home() / 'runs'}?"):
        raise typer.Exit(0)
    removed, size = remove(unfinished_only=unfinished)
    say(f"removed {removed} entries, {size / 1e6:.0f} MB")
