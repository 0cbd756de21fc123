"""The command line: one thin file per command over the plain function."""

from __future__ import annotations

import io
import sys
import traceback

import typer

from biaskit.cli.audit import audit
from biaskit.cli.build import build
from biaskit.cli.compare import compare
from biaskit.cli.convert import convert
from biaskit.cli.data_audit import data_audit
from biaskit.cli.diff import diff
from biaskit.cli.fetch import app as fetch
from biaskit.cli.gate import gate
from biaskit.cli.list import list_
from biaskit.cli.plan import plan
from biaskit.cli.report import report
from biaskit.cli.reproduce import reproduce
from biaskit.cli.runs import app as runs
from biaskit.cli.score import score
from biaskit.cli.selftest import selftest
from biaskit.cli.show import show
from biaskit.cli.sweep import sweep
from biaskit.cli.train import train
from biaskit.cli.verify import verify

__all__ = ["app", "main"]

app = typer.Typer(
    name="biaskit",
    help="Does a vision model rely on a shortcut, does a training recipe make it better, and how sure are we?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(build)
app.command()(convert)
app.command()(verify)
app.command()(train)
app.command()(compare)
app.command()(audit)
app.command()(sweep)
app.command()(reproduce)
app.command()(plan)
app.command()(report)
app.command()(score)
app.command()(diff)
app.command()(gate)
app.command("data-audit")(data_audit)
app.command()(selftest)
app.command("list")(list_)
app.command()(show)
app.add_typer(runs, name="runs")
app.add_typer(fetch, name="fetch")


def _version(value: bool) -> None:
    if value:
        from biaskit import __version__

        typer.echo(f"biaskit {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Does a vision model rely on a shortcut, does a training recipe make it better, and how sure are we?"""


def main() -> None:
    """Run the command line: 0 finished, 2 bad input, 130 interrupted, 141 nobody read on, 70 an error of our own."""
    for stream in (sys.stdout, sys.stderr):
        # Names in an alphabet that a log cannot hold (LC_ALL=C, Windows) stand as codes; no exit code is lost to them.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(prog_name="biaskit")
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        sys.exit(130)
    except Exception:
        traceback.print_exc()
        typer.echo("error: this is a fault of biaskit, not of your input; please report the lines above", err=True)
        sys.exit(70)
