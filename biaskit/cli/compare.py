"""``biaskit compare``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from biaskit.cli._common import (
    AllSets,
    Analyzers,
    AsJson,
    Deterministic,
    Device,
    Images,
    Margin,
    On,
    Out,
    Seeds,
    complete_recipes,
    guarded,
    named,
    say,
    set_words,
    typed,
)

__all__ = ["compare"]


@guarded
def compare(
    arms: Annotated[
        list[str], typer.Argument(help="Recipes by name, or .toml files.", autocompletion=complete_recipes)
    ],
    on: On = None,
    seeds: Seeds = "5",
    analyzers: Analyzers = None,
    set: AllSets = None,
    reference: Annotated[str | None, typer.Option(help="Compare every arm with this one, not all pairs.")] = None,
    margin: Margin = None,
    out: Out = None,
    device: Device = None,
    deterministic: Deterministic = False,
    images: Images = True,
    json: AsJson = False,
) -> None:
    """Train recipes over several seeds: which one leans on the shortcut less, and how sure is that?"""
    from biaskit._asked import analyzer_options, analyzer_words
    from biaskit._build import DEFAULT, build, load
    from biaskit._compare import compare as run_comparison
    from biaskit._train import machine
    from biaskit.cli._progress import Reporter, plan_line
    from biaskit.disk import check_replaceable
    from biaskit.output import FILES
    from biaskit.recipes import bind_arms

    numbers = parse_seeds(seeds)
    data = load(on) if on else build(DEFAULT)
    total = len(arms) * (numbers if isinstance(numbers, int) else len(numbers))
    if out:
        check_replaceable(Path(out), FILES)
    bound = bind_arms(arms, data, analyzer_options(set or ())[0])
    where = machine(device, deterministic=deterministic)
    say(plan_line(data, bound, where, total), err=True)
    with Reporter(total) as reporter:
        try:
            comparison = run_comparison(
                arms,
                data,
                seeds=numbers,
                analyzers=named(analyzers),
                set=set or (),
                reference=reference,
                margin=margin,
                device=device,
                deterministic=deterministic,
                images=images,
                command=typed(),
                progress=reporter,
            )
        except KeyboardInterrupt:
            raise KeyboardInterrupt(reporter.interrupted()) from None
    folder = Path(out) if out else _default_out(comparison)
    comparison.save(folder)
    if json:
        import json as writer

        writer.dump(comparison.result, sys.stdout, indent=1)
        say()
        return
    from biaskit.cli._text import print_comparison

    print_comparison(comparison.result, folder)
    if on is None:
        words = [*arms, "--on", "colormnist", *analyzer_words(named(analyzers)), *set_words(set)]
        again = shlex.join(["biaskit", "compare", *words])
        say(f"on real MNIST: biaskit build colormnist && {again}", err=True)


def parse_seeds(text: str) -> int | list[int]:
    """``5`` or ``0,1,2``, checked before anything is read or trained."""
    from biaskit._compare import seed_list
    from biaskit.errors import SpecError

    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise SpecError(f"--seeds {text!r} is neither a number nor a list such as 0,1,2") from None
    seed_list(numbers if "," in text else numbers[0])
    return numbers[0] if "," not in text else numbers


def _default_out(comparison: Any) -> Path:
    from biaskit.recipes import fingerprint

    result = comparison.result
    key = fingerprint([result["data"]["fingerprint"], [arm["fingerprint"] for arm in result["arms"]], result["seeds"]])
    return Path(f"biaskit-{'-'.join(arm['name'] for arm in result['arms'])[:60]}-{key[:8]}")
