"""``biaskit train``."""

from __future__ import annotations

import shlex
from typing import Annotated

import typer

from biaskit.cli._common import Deterministic, Device, On, Sets, complete_recipes, guarded, say, set_words

__all__ = ["train"]


@guarded
def train(
    recipe: Annotated[str, typer.Argument(help="A recipe by name, or a .toml file.", autocompletion=complete_recipes)],
    on: On = None,
    seed: Annotated[int, typer.Option(min=0, help="Varies initialization, order and perturbations.")] = 0,
    set: Sets = None,
    device: Device = None,
    deterministic: Deterministic = False,
) -> None:
    """Train one recipe with one seed; a run that is stored already is not trained again."""
    from biaskit._build import DEFAULT, build, load
    from biaskit._train import machine
    from biaskit.cli._progress import Reporter, plan_line
    from biaskit.recipes import bind_arms
    from biaskit.runs import train_arm
    from biaskit.telling.numbers import ASCII

    data = load(on) if on else build(DEFAULT)
    (arm,) = bind_arms([recipe], data, set or ())
    where = machine(device, deterministic=deterministic)
    say(f"{plan_line(data, [arm], where, 1)}; seed {seed}", err=True)
    with Reporter(1) as reporter:
        run = train_arm(arm, data, seed, where, reporter.tick(arm.name, seed))
    loss = float(run.history["loss"].iloc[-1])
    state = "stored already" if run.stored else f"trained in {run.seconds:.1f} s"
    epochs = ASCII.counted(len(run.history), "epoch")
    say(f"{run.arm}, seed {run.seed}, on {data.name}: {state}; {epochs}, last loss {loss:.4f}")
    say(f"run      {run.folder}  run.json  model.safetensors  history.csv  predictions.parquet")
    again = shlex.join(["biaskit", "compare", recipe, "--on", on or DEFAULT, *set_words(set)])
    say(f"hint: {again} measures it over several seeds", err=True)
