"""``biaskit plan``."""

from __future__ import annotations

import math
import shlex
from typing import Annotated

import typer

from biaskit.cli._common import Deterministic, Device, On, Sets, complete_recipes, guarded, say, set_words

__all__ = ["plan"]


@guarded
def plan(
    first: Annotated[str, typer.Argument(help="A recipe.", autocompletion=complete_recipes)],
    second: Annotated[str, typer.Argument(help="Another recipe.", autocompletion=complete_recipes)],
    on: On = None,
    effect: Annotated[
        float, typer.Option(min=0.0001, max=0.5, help="The difference to find: 0.01 is one point.")
    ] = 0.01,
    pilot: Annotated[int, typer.Option(min=2, help="Seeds of the pilot.")] = 2,
    set: Sets = None,
    device: Device = None,
    deterministic: Deterministic = False,
) -> None:
    """From a pilot of two seeds: how many seeds and test images would show a given difference of two recipes?"""
    from biaskit._build import DEFAULT, build, load
    from biaskit._plan import IMAGE_SEEDS
    from biaskit._plan import plan as make
    from biaskit.cli._progress import Reporter
    from biaskit.telling.numbers import ASCII

    data = load(on) if on else build(DEFAULT)
    with Reporter(2 * pilot) as reporter:
        found = make(
            first,
            second,
            data,
            effect=effect,
            pilot=pilot,
            set=set or (),
            device=device,
            deterministic=deterministic,
            progress=reporter,
        )
    n = int(found["n"].iloc[0])
    say(f"To find a difference of {ASCII.points(effect)} between {first} and {second} with 80 % probability:")
    say()
    say(f"{'measure':<20} {'seeds':>7}   {'test images':>12}   smallest difference found with 3, 5, 10, 20 seeds")
    for row in found.to_dict("records"):
        seeds, images = ("none" if math.isnan(row[key]) else f"{int(row[key]):,}" for key in ("seeds", "images"))
        found_with = ", ".join(f"{100 * row[f'detectable_{count}']:.1f}" for count in (3, 5, 10, 20))
        say(f"{row['title']:<20} {seeds:>7}   {images:>12}   {found_with} points")
    say()
    say(f"seeds: with these {n:,} test images. test images: with {IMAGE_SEEDS} seeds; none = no number would do")
    say(f"note: two verdicts, Holm at 5 %; the spread is estimated from {pilot} seeds, so take these numbers as rough")
    best = float(found["seeds"].max())
    if not math.isnan(best):
        words = ["biaskit", "compare", first, second, "--on", on or DEFAULT, *set_words(set), "--seeds", str(int(best))]
        say(f"hint: {shlex.join(words)}", err=True)
