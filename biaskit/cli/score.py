"""``biaskit score``."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from biaskit.cli._common import AsJson, Out, guarded, say, typed

__all__ = ["score"]


@guarded
def score(
    table: Annotated[Path, typer.Argument(help="A .parquet, .csv or .tsv file with a row per answer.")],
    label: Annotated[str, typer.Option(help="Column of the right answer.")] = "label",
    prediction: Annotated[str, typer.Option(help="Column of the answer that was given.")] = "prediction",
    attribute: Annotated[
        list[str] | None, typer.Option(help="Column that makes groups; give it once per attribute.")
    ] = None,
    probability: Annotated[
        list[str] | None,
        typer.Option(help="Column of the probability of the prediction; or CLASS=COLUMN, once per class."),
    ] = None,
    threshold: Annotated[
        list[float] | None, typer.Option(help="Operating point of the probabilities; default 0.5.")
    ] = None,
    bins: Annotated[int, typer.Option(min=1, help="Bins of equal width that calibration is read in.")] = 15,
    min_n: Annotated[
        int, typer.Option("--min-n", min=0, help="Groups with fewer rows are left out of the extremes.")
    ] = 0,
    keep_missing: Annotated[
        bool, typer.Option("--keep-missing", help="Rows without a value of an attribute are a group of their own.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="What the predictions are called in the report.")] = None,
    out: Out = None,
    json: AsJson = False,
) -> None:
    """Group metrics, gaps and tests of any model from a table of its predictions, images or not."""
    from biaskit._score import score as measure
    from biaskit.disk import check_replaceable
    from biaskit.errors import SpecError
    from biaskit.output import FILES

    if threshold and not probability:
        raise SpecError("--threshold is a limit of probabilities; name their column with --probability")
    if out:
        check_replaceable(Path(out), FILES)
    found = measure(
        table,
        label=label,
        prediction=prediction,
        attributes=attribute or (),
        probabilities=parse_probabilities(probability or []),
        thresholds=threshold or (0.5,),
        bins=bins,
        min_n=min_n,
        missing="group" if keep_missing else "error",
        name=name,
        command=typed(),
    )
    result = found.result
    folder = found.save(Path(out) if out else _default_out(result))
    if json:
        import json as writer

        writer.dump(result, sys.stdout, indent=1)
        say()
        return
    from biaskit.cli._text_score import print_score

    print_score(result, folder)


def parse_probabilities(words: list[str]) -> str | dict[str, str] | None:
    """``--probability COLUMN``, or ``--probability CLASS=COLUMN`` once per class.

    Examples
    --------
    >>> parse_probabilities(["confidence"]), parse_probabilities(["0=p0", "1=p1"])
    ('confidence', {'0': 'p0', '1': 'p1'})
    """
    from biaskit.errors import SpecError

    if not words:
        return None
    if len(words) == 1 and "=" not in words[0]:
        return words[0]
    found: dict[str, str] = {}
    for word in words:
        name, equals, column = word.partition("=")
        if not equals or not name or not column:
            raise SpecError(f"--probability {word!r}: of several each is CLASS=COLUMN, such as yes=p_yes")
        if name in found:
            raise SpecError(f"--probability names class {name!r} twice")
        found[name] = column
    return found


def _default_out(result: dict[str, Any]) -> Path:
    from biaskit.recipes import fingerprint

    stem = re.sub(r"[^\w-]+", "-", result["data"]["name"].partition(".")[0], flags=re.ASCII)[:60]
    key = fingerprint([result["data"]["fingerprint"], result["options"]])
    return Path(f"biaskit-score-{stem}-{key[:8]}")
