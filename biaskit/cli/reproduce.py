"""``biaskit reproduce``."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from biaskit.cli._common import AllSets, AsJson, Deterministic, Device, Out, complete_datasets, guarded, say, typed
from biaskit.cli.compare import parse_seeds

__all__ = ["reproduce"]


def complete_studies(incomplete: str) -> list[str]:
    """Shell completion of studies and their items."""
    from biaskit._find_study import study_names
    from biaskit.specs import card_names

    return [one for name in card_names("study") for one in study_names(name) if one.startswith(incomplete)]


@guarded
def reproduce(
    study: Annotated[
        str,
        typer.Argument(help="wu2021-table2, wu2021 for all of it, or a .toml file.", autocompletion=complete_studies),
    ],
    preset: Annotated[str, typer.Option(help="smoke: embedded data, minutes; cpu: an hour; gpu: full size.")] = "smoke",
    seeds: Annotated[str | None, typer.Option(help="A number of seeds, or a list. Default: the preset's.")] = None,
    on: Annotated[
        str | None,
        typer.Option("--on", help="Own data in place of the preset's.", autocompletion=complete_datasets),
    ] = None,
    set: AllSets = None,
    out: Out = None,
    device: Device = None,
    deterministic: Deterministic = False,
    json: AsJson = False,
) -> None:
    """Run the tables and figures of a paper again: which of its claims hold, and how sure is that?"""
    from biaskit._studies import reproduce as run_study
    from biaskit._study_plan import plan_study
    from biaskit._train import machine
    from biaskit.cli._progress import Reporter
    from biaskit.disk import check_replaceable
    from biaskit.output import FILES
    from biaskit.telling.numbers import ASCII

    folder = Path(out) if out else Path(f"biaskit-{re.sub(r'[^a-zA-Z0-9_.-]+', '-', Path(study).name)}-{preset}")
    check_replaceable(folder, FILES)
    numbers = parse_seeds(seeds) if seeds else None
    plan = plan_study(study, preset=preset, on=on, set=set or ())
    many = numbers if numbers is not None else plan.size.seeds
    total = len(plan.trainings()) * (many if isinstance(many, int) else len(many))
    where = machine(device, deterministic=deterministic)
    data = ", ".join(dict.fromkeys(f"{plan.labels[role]} {one.fingerprint[:8]}" for role, one in plan.data.items()))
    items = ", ".join(item.name for item in plan.items)
    head = f"{plan.card.name}, preset {preset}: {items}; {data}; {ASCII.counted(total, 'run')}"
    say(f"{head}; {where.device}, {where.precision}; budget: {plan.size.budget}", err=True)
    with Reporter(total) as reporter:
        try:
            found = run_study(
                study,
                preset=preset,
                seeds=numbers,
                on=on,
                set=set or (),
                device=device,
                deterministic=deterministic,
                command=typed(),
                progress=reporter,
            )
        except KeyboardInterrupt:
            raise KeyboardInterrupt(reporter.interrupted()) from None
    found.save(folder)
    if json:
        import json as writer

        writer.dump(found.result, sys.stdout, indent=1)
        say()
        return
    from biaskit.cli._text import print_study

    print_study(found.result, folder)
