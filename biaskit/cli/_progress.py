"""Progress on stderr: a bar on a terminal; elsewhere a line per run, or per epoch of a single run.

Loss and time only, no test number.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from biaskit.cli._common import say
from biaskit.telling.numbers import ASCII

if TYPE_CHECKING:
    from biaskit._compare import Progress
    from biaskit._train import Machine, Tick
    from biaskit.data import Dataset
    from biaskit.recipes import Arm

__all__ = ["Reporter", "plan_line"]


class Reporter:
    """Shows a training or a comparison while it runs; a context manager."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.finished = 0
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Reporter:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            self._bar = Progress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.fields[note]}", markup=False),
                TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("starting", total=float(self.total), note="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def interrupted(self) -> str:
        """What a user who stops it wants to know."""
        runs = f"{self.finished} of {ASCII.counted(self.total, 'run')}"
        return f"{runs} {'is' if self.total == 1 else 'are'} stored; the same command goes on from there"

    def tick(self, arm: str, seed: int, number: int = 1) -> Callable[[Tick], None]:
        """A callback for one training."""
        last: Tick | None = None

        def show(one: Tick) -> None:
            nonlocal last
            if self._bar is None:
                # An epoch has ended when a later one gives a sign; those shorter than a tenth of a second give none.
                if self.total == 1 and last is not None and (one.stage, one.epoch) != (last.stage, last.epoch):
                    say(_epoch_line(last), err=True)
                last = one
                return
            part = (one.epoch + one.done) / one.epochs
            self._bar.update(
                self._task,
                completed=number - 1 + part,
                description=f"run {number} of {self.total}  {arm}  seed {seed}  epoch {one.epoch + 1} of {one.epochs}",
                note=f"loss {one.loss:.3f}  {one.images_per_second:,.0f} images/s",
            )

        return show

    def __call__(self, one: Progress) -> None:
        """A callback for a comparison."""
        if one.tick is not None:
            self.tick(one.arm, one.seed, one.number)(one.tick)
        elif one.run is not None:
            self.finished += 1
            if self._bar is None:
                width = len(str(self.total))
                head = f"run {one.number:>{width}} of {self.total}   {one.arm:<12} seed {one.seed}"
                if one.run.stored:
                    say(f"{head}   stored", err=True)
                else:
                    epochs, loss = len(one.run.history), float(one.run.history["loss"].iloc[-1])
                    passes = ASCII.counted(epochs, "epoch")
                    say(f"{head}   {passes}   {one.run.seconds:5.1f} s   loss {loss:.3f}", err=True)
            else:
                self._bar.update(self._task, completed=one.number)
        elif self._bar is None and one.state == "measured":
            width = len(str(one.total))
            say(f"measured {one.number:>{width}} of {one.total}   {one.arm} seed {one.seed}", err=True)
        elif self._bar is not None and one.state == "measuring":
            if one.number == 1:
                self._bar.reset(self._task, total=float(self.total))
            self._bar.update(
                self._task,
                completed=one.number - 1,
                description=f"measuring {one.number} of {self.total}",
                note=f"{one.arm}  seed {one.seed}",
            )


def _epoch_line(one: Tick) -> str:
    """What was seen last of an epoch that has ended."""
    stage = f"stage {one.stage}, " if one.stage else ""
    speed = f"{one.images_per_second:,.0f} images/s"
    return f"{stage}epoch {one.epoch + 1:>{len(str(one.epochs))}} of {one.epochs}   loss {one.loss:.3f}   {speed}"


def plan_line(data: Dataset, arms: Sequence[Arm], where: Machine, total: int) -> str:
    """What is about to run, in a line."""
    splits = ", ".join(f"{len(data.rows(split)):,} {split}" for split in data.splits if split != "twin")
    networks = ", ".join(sorted({arm.card["model"]["name"] for arm in arms}))
    lengths = sorted({sum(stage["epochs"] for stage in arm.card["stage"]) for arm in arms})
    epochs = ASCII.counted(lengths[0], "epoch") if len(lengths) == 1 else f"{lengths[0]} to {lengths[-1]} epochs"
    return (
        f"{data.name} {data.fingerprint[:8]}, {splits}; {ASCII.counted(total, 'run')} "
        f"({', '.join(arm.name for arm in arms)}); {networks}, {epochs}, {where.device}, {where.precision}"
    )
