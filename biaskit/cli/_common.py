"""What the commands share: how errors become one line, and the options that mean the same everywhere."""

from __future__ import annotations

import functools
import os
import shlex
import sys
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import typer

__all__ = [
    "AllSets",
    "Analyzers",
    "AsJson",
    "Deterministic",
    "Device",
    "Images",
    "Margin",
    "On",
    "Out",
    "Seeds",
    "Sets",
    "complete_recipes",
    "fail",
    "guarded",
    "named",
    "say",
    "set_words",
    "typed",
]

Function = TypeVar("Function", bound=Callable[..., Any])


def complete_recipes(incomplete: str) -> list[str]:
    """Shell completion of recipe names."""
    from biaskit.specs import card_names

    return [name for name in card_names("recipe") if name.startswith(incomplete)]


def complete_datasets(incomplete: str) -> list[str]:
    """Shell completion of data set names."""
    from biaskit.specs import card_names

    return [name for name in card_names("dataset") if name.startswith(incomplete)]


On = Annotated[
    str | None,
    typer.Option(
        "--on", help="Data set: a folder or a name. Default: colordigits, built in.", autocompletion=complete_datasets
    ),
]
Sets = Annotated[
    list[str] | None, typer.Option("--set", help="Change a card: [ARM:]KEY=VALUE, such as stage.0.loss.alpha=0.5.")
]
AllSets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Change a card, [ARM:]KEY=VALUE such as stage.0.loss.alpha=0.5, or what an analyzer does, "
        "analyzer.NAME.OPTION=VALUE such as analyzer.robustness.images=50.",
    ),
]
Out = Annotated[str | None, typer.Option("--out", help="Folder to write; it appears whole or not at all.")]
Device = Annotated[str | None, typer.Option("--device", help="cpu, cuda or mps. Default: what is there.")]
Seeds = Annotated[str, typer.Option(help="A number of seeds, or a list such as 0,1,2.")]
Analyzers = Annotated[
    str | None,
    typer.Option(help="Names with commas; default: all but the slow ones. Options: --set analyzer.NAME.OPTION=VALUE."),
]
Margin = Annotated[
    float | None, typer.Option(help="The largest difference that does not matter: 0.005 is half a point.")
]
Split = Annotated[
    str | None, typer.Option("--split", help="The split that is the test set. Default: test, else val, else all.")
]
Attributes = Annotated[
    str | None,
    typer.Option("--attributes", help="For a folder of images: a CSV with a line per file and a column per attribute."),
]
Drop = Annotated[
    bool, typer.Option("--drop", help="Leave out files without attributes, and attributes without a file.")
]
SkipCorrupt = Annotated[
    bool, typer.Option("--skip-corrupt", help="Leave out images that cannot be decoded; they are counted and named.")
]
Images = Annotated[bool, typer.Option("--images/--no-images", help="Pictures of the data in the report, or none.")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout instead of text.")]
Deterministic = Annotated[bool, typer.Option("--deterministic", help="Bit-equal repetitions on CUDA, at some cost.")]


def named(analyzers: str | None) -> list[str] | None:
    """The analyzers of ``--analyzers``; None for the default."""
    return [one.strip() for one in analyzers.split(",")] if analyzers else None


def set_words(changes: list[str] | None) -> list[str]:
    """``--set`` as it was given, for a command that repeats it."""
    return [word for change in changes or () for word in ("--set", change)]


def typed() -> str:
    """The command line as it was typed, without what only changes how it is printed."""
    return shlex.join(["biaskit", *(word for word in sys.argv[1:] if word != "--json")])


def say(text: str = "", *, err: bool = False, style: str = "") -> None:
    """One line as it is: no markup, no wrapping, color only on a terminal that wants it."""
    stream = sys.stderr if err else sys.stdout
    color = {"red": "31", "bold": "1", "dim": "2"}.get(style)
    if color and stream.isatty() and "NO_COLOR" not in os.environ:
        text = f"\x1b[{color}m{text}\x1b[0m"
    print(text, file=stream, flush=True)


def fail(message: str) -> None:
    """The one red line of a user's error."""
    from biaskit.telling.numbers import visible

    say("error: " + visible(" ".join(message.split())), err=True, style="red")


def guarded(function: Function) -> Function:
    """Turn what a user can cause into one line and exit 2, and Ctrl-C into exit 130."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        from biaskit.errors import BiaskitError

        try:
            return function(*args, **kwargs)
        except BiaskitError as error:
            fail(str(error))
            raise typer.Exit(2) from None
        except KeyboardInterrupt as interrupt:
            say(f"interrupted{f': {interrupt}' if str(interrupt) else ''}", err=True)
            raise typer.Exit(130) from None
        except BrokenPipeError:
            # Nobody reads on (`biaskit list | head -1`): what is still buffered goes nowhere, so leaving is quiet.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(141) from None

    return wrapper  # type: ignore[return-value]
