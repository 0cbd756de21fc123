"""``biaskit sweep``."""

from __future__ import annotations

import re
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
from biaskit.cli.compare import parse_seeds

__all__ = ["sweep"]


@guarded
def sweep(
    recipe: Annotated[str, typer.Argument(help="A recipe by name, or a .toml file.", autocompletion=complete_recipes)],
    param: Annotated[list[str], typer.Option(help="The option and its values: stage.0.loss.alpha=0,0.1,1.")],
    on: On = None,
    seeds: Seeds = "5",
    analyzers: Analyzers = None,
    set: AllSets = None,
    margin: Margin = None,
    out: Out = None,
    device: Device = None,
    deterministic: Deterministic = False,
    json: AsJson = False,
) -> None:
    """Train one recipe with several values of an option: what does the option change, and how sure is that?"""
    from biaskit._asked import analyzer_options, analyzer_words
    from biaskit._build import DEFAULT, build, load
    from biaskit._sweep import parse_param, swept_arms
    from biaskit._sweep import sweep as run_sweep
    from biaskit._train import machine
    from biaskit.cli._progress import Reporter, plan_line
    from biaskit.disk import check_replaceable
    from biaskit.errors import SpecError
    from biaskit.output import FILES
    from biaskit.recipes import fingerprint

    if len(param) > 1:
        raise SpecError("--param is given twice: a sweep changes one option; fix the other with --set, or repeat it")
    key, values = parse_param(param[0])
    numbers = parse_seeds(seeds)
    data = load(on) if on else build(DEFAULT)
    if out:
        check_replaceable(Path(out), FILES)
    arms = swept_arms(recipe, key, values, data, analyzer_options(set or ())[0])
    total = len(arms) * (numbers if isinstance(numbers, int) else len(numbers))
    say(plan_line(data, arms, machine(device, deterministic=deterministic), total), err=True)
    with Reporter(total) as reporter:
        try:
            found = run_sweep(
                recipe,
                key,
                values,
                data,
                seeds=numbers,
                analyzers=named(analyzers),
                set=set or (),
                margin=margin,
                device=device,
                deterministic=deterministic,
                command=typed(),
                progress=reporter,
            )
        except KeyboardInterrupt:
            raise KeyboardInterrupt(reporter.interrupted()) from None
    result: dict[str, Any] = found.result
    mark = fingerprint([result["data"]["fingerprint"], [arm["fingerprint"] for arm in result["arms"]], numbers])[:8]
    name = re.sub(r"[^\w.-]+", "-", f"{Path(recipe).stem}-{key.rpartition('.')[2]}")
    folder = Path(out) if out else Path(f"biaskit-sweep-{name}-{mark}")
    found.save(folder)
    if json:
        import json as writer

        writer.dump(result, sys.stdout, indent=1)
        say()
        return
    from biaskit.cli._text import print_sweep

    print_sweep(result, folder)
    if on is None:
        words = [recipe, "--param", param[0], "--on", "colormnist", *analyzer_words(named(analyzers)), *set_words(set)]
        again = shlex.join(["biaskit", "sweep", *words])
        say(f"on real MNIST: biaskit build colormnist && {again}", err=True)
