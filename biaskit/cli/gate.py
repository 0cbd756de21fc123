"""``biaskit gate``."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from biaskit.cli._common import AsJson, guarded, say

if TYPE_CHECKING:
    from biaskit.cli._lines import Line

__all__ = ["gate"]


@guarded
def gate(
    folder: Annotated[Path, typer.Argument(help="What audit, compare, sweep or score wrote.")],
    policy: Annotated[Path, typer.Option(help="A TOML file with [[rule]] tables; see docs/gate.md.")],
    baseline: Annotated[
        Path | None, typer.Option(help='The folder that rules with against = "baseline" compare with.')
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for gate.xml and gate.md. Default: the folder itself.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Hold a result against a policy: exit 0 pass, 1 fail, 2 bad usage or input, 3 not enough evidence to decide."""
    from biaskit._gate import gate as judge
    from biaskit.cli._lines import console, print_lines
    from biaskit.telling.gate import github_commands

    found = judge(folder, policy, baseline=baseline)
    written = found.save(out or folder)
    on_github = os.environ.get("GITHUB_ACTIONS") == "true"
    if on_github:
        _append_summary(found.result)
    if json:
        import json as writer

        writer.dump(found.result, sys.stdout, indent=1, allow_nan=False)
        say()
    else:
        to, width = console()
        print_lines(gate_lines(found.result, written, width), to)
    # stdout is where GitHub reads commands; with --json it holds one object and nothing else.
    for command in github_commands(found.result) if on_github else ():
        say(command, err=json)
    if found.exit_code:
        raise typer.Exit(found.exit_code)


def gate_lines(result: dict[str, Any], written: list[Path], width: int | None) -> list[Line]:
    """The answer, every rule with its evidence, notes, files."""
    from biaskit.cli._lines import Line, line, padded, trimmed, wrapped
    from biaskit.telling.gate import HEADS, MOST_NOTES, cells, in_order, notes, summary
    from biaskit.telling.numbers import visible

    styles = {"pass": "#009e73", "fail": "#d55e00"}
    result = visible(result)
    rows = in_order(result)
    head, *table = padded([HEADS, *(cells(row) for row in rows)], "llll")
    lines = [*wrapped(summary(result), width, style="bold"), Line(), line("  ".join(head).rstrip(), "dim")]
    for row, texts in zip(rows, table, strict=True):
        lines.append(trimmed([("  ".join(texts[:3]) + "  ", ""), (texts[3], styles.get(row["result"], ""))]))
    lines.append(line("95 % intervals: passed where all of it satisfies the limit, failed where none does", "dim"))
    lines.append(Line())
    for text in notes(result, MOST_NOTES):
        lines += wrapped(f"note: {text}", width, indent=6)
    kinds = dict(zip((path.name for path in written), ("JUnit", "job summary"), strict=True))
    told = "   ".join(f"{path} ({kinds[path.name]})" for path in written)
    return [*lines, line(f"written  {told}")]


def _append_summary(result: dict[str, Any]) -> None:
    """Add the rules to the summary of the job; what earlier steps wrote there stays and counts."""
    from biaskit.disk import disk_errors
    from biaskit.errors import StoreError
    from biaskit.telling.gate import MOST_BYTES, job_summary

    target = os.environ.get("GITHUB_STEP_SUMMARY")
    if not target:
        return
    path = Path(target)
    try:
        with disk_errors(path):
            taken = path.stat().st_size if path.is_file() else 0
            with path.open("a", encoding="utf-8", newline="\n") as stream:
                stream.write(job_summary(result, MOST_BYTES - taken))
    except (StoreError, FileNotFoundError) as error:
        # The rules are judged, and that decides the build; a page that cannot be written does not.
        say(f"warning: no job summary: {error}", err=True)
