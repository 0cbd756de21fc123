"""``bk.compare``: several arms over several seeds, and what may be said of their differences."""

from __future__ import annotations

import itertools
import operator
import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from biaskit._asked import Asked, analyzer_options, analyzer_words, with_options
from biaskit._assemble import assemble
from biaskit._audit import Audit, analyze_run, applicable, collect, resolve_analyzers
from biaskit._build import as_dataset
from biaskit._differences import differences
from biaskit._train import Machine, Tick, machine
from biaskit.data import Dataset
from biaskit.errors import DataError, SpecError
from biaskit.evidence import Ground
from biaskit.looks import record_look
from biaskit.output import write_result
from biaskit.recipes import Arm, bind_arms, fingerprint
from biaskit.runs import Run, train_arm

__all__ = [
    "Comparison",
    "Progress",
    "command_line",
    "compare",
    "compare_arms",
    "failures",
    "measure_all",
    "run_all",
    "seed_list",
    "train_all",
]


@dataclass(frozen=True)
class Progress:
    """Where a comparison is.

    Attributes
    ----------
    number, total : int
        This run among all.
    arm : str
    seed : int
    state : str
        ``"training"``, ``"trained"``, ``"stored"``, ``"measuring"`` or ``"measured"``.
    tick : Tick or None
        While training.
    run : Run or None
        Once it is there.
    """

    number: int
    total: int
    arm: str
    seed: int
    state: str
    tick: Tick | None = None
    run: Run | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Comparison:
    """The audits of several arms over seeds, with statistics and verdicts.

    Attributes
    ----------
    result : dict
        What ``result.json`` holds: see docs/result.md.
    dataset : Dataset
    audits : mapping of (arm, seed) to Audit
    predictions : DataFrame
        One row per arm, seed and image outside train.
    """

    result: dict[str, Any]
    dataset: Dataset
    audits: Mapping[tuple[str, int], Audit]
    predictions: pd.DataFrame

    def __repr__(self) -> str:
        arms = ", ".join(arm["name"] for arm in self.result["arms"])
        return f"<Comparison of {arms} on {self.dataset.name}, {len(self.result['seeds'])} seeds: {self.sentence}>"

    @property
    def table(self) -> pd.DataFrame:
        """Arms x metrics: value with its 95 % interval, n and seeds."""
        return pd.DataFrame(self.result["headline"])[["arm", "metric", "value", "low", "high", "n", "seeds"]]

    @property
    def differences(self) -> pd.DataFrame:
        """Every pair of arms in every metric: estimate, interval and, where one is given, the verdict."""
        return pd.DataFrame(self.result["differences"])

    @property
    def verdicts(self) -> pd.DataFrame:
        """The differences that carry a verdict."""
        return pd.DataFrame(self.result["verdicts"])

    @property
    def groups(self) -> pd.DataFrame:
        """Accuracy of every group per arm, empty groups included."""
        return pd.DataFrame(self.result["groups"])

    @property
    def sentence(self) -> str:
        """The verdict in words."""
        from biaskit.telling.sentences import verdict_sentence

        return verdict_sentence(self.result)

    def tables(self) -> dict[str, pd.DataFrame]:
        """What ``save`` writes as tables/*.csv; ``<analyzer>_units`` has a row for every arm, seed and unit."""
        names = ("headline", "differences", "groups", "attribute_values", "continuity", "runs", "failed")
        found = {name: pd.DataFrame(self.result[name]) for name in names if self.result[name]}
        found["data"] = pd.DataFrame(self.result["data"]["contingency"])
        units: dict[str, list[pd.DataFrame]] = {}
        for (arm, seed), one in self.audits.items():
            for name, result in one.results.items():
                if result.details is not None:
                    keyed = result.details.assign(arm=arm, seed=seed)
                    order = ["arm", "seed", *result.details.columns]
                    units.setdefault(f"{name}_units", []).append(keyed[order])
        return found | {name: pd.concat(parts, ignore_index=True) for name, parts in units.items()}

    def to_metric_frame(self, arm: str, seed: int | None = None, **metrics: Any) -> Any:
        """The test answers of one run (default: of the first seed) as a fairlearn ``MetricFrame``.

        A MetricFrame is about one model: for other seeds call it again. ``metrics`` are those of
        :func:`biaskit.metrics.to_metric_frame`.
        """
        from biaskit.metrics import to_metric_frame

        chosen = seed if seed is not None else self.result["seeds"][0]
        frame = self.predictions
        part = frame[(frame["arm"] == arm) & (frame["seed"] == chosen) & (frame["split"] == "test")]
        if part.empty:
            raise DataError(f"no predictions of arm {arm!r}, seed {chosen}; arms: {', '.join(frame['arm'].unique())}")
        return to_metric_frame(part, list(self.dataset.group_by), **metrics)

    def save(self, folder: str | Path) -> Path:
        """Write result.json, predictions.parquet, tables/*.csv, figures/*.svg and report.html."""
        return write_result(Path(folder), self.result, self.predictions, self.tables())


def compare(
    arms: str | Sequence[str],
    data: Dataset | str | Path,
    *,
    seeds: int | Sequence[int] = 5,
    analyzers: Sequence[str] | Mapping[str, Mapping[str, Any]] | None = None,
    set: Sequence[str] = (),
    reference: str | None = None,
    margin: float | None = None,
    device: str | None = None,
    deterministic: bool = False,
    images: bool = True,
    command: str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Comparison:
    """Train recipes over several seeds and say which one relies on the shortcut less, and how sure that is.

    Parameters
    ----------
    arms : sequence of str
        Recipes; the first is the one the others are read against in pictures.
    data : Dataset, or a folder or name for :func:`biaskit.load`
        Built once; a seed varies initialization, order and perturbations.
    seeds : int or sequence of int
        A number n means 0 to n - 1. Below three there is no verdict. A call with more seeds goes on from the stored
        runs, and counts as another look.
    analyzers : sequence of str, or mapping of name to options
        Default: group_accuracy, continuity, with attributes parity, with twins counterfactual_flips.
    set : sequence of str
        Changes, ``[ARM:]KEY=VALUE``; options of analyzers as ``analyzer.NAME.OPTION=VALUE``.
    reference : str, optional
        Compare every arm with this one instead of all pairs, which makes a smaller family.
    margin : float, optional
        The largest difference in rates that does not matter, in [0, 1]; fixed before looking.
    device : str, optional
    deterministic : bool
    images : bool
        Keep pictures in the result; without, it holds no pixel of the data.
    command : str, optional
        The command line that asked for it, for the record.
    progress : callable, optional

    Returns
    -------
    Comparison

    Raises
    ------
    UnknownName, SpecError, DataError, StoreError
    """
    started = time.time()
    data = as_dataset(data)
    arms = [arms] if isinstance(arms, str) else arms
    numbers = seed_list(seeds)
    changes, options = analyzer_options(set)
    asked = command or command_line("compare", arms, data, seeds, analyzers, set, reference=reference, margin=margin)
    return compare_arms(
        bind_arms(arms, data, changes),
        data,
        numbers,
        analyzers,
        options=options,
        reference=reference,
        margin=margin,
        where=machine(device, deterministic=deterministic),
        command=asked,
        started=started,
        progress=progress,
        images=images,
    )


def compare_arms(
    arms: Sequence[Arm],
    data: Dataset,
    seeds: Sequence[int],
    analyzers: Asked,
    *,
    options: dict[str, dict[str, Any]],
    reference: str | None,
    margin: float | None,
    where: Machine,
    command: str,
    started: float,
    progress: Callable[[Progress], None] | None,
    kind: str = "comparison",
    images: bool = True,
) -> Comparison:
    """As :func:`compare`, for arms that are bound already."""
    wanted = resolve_analyzers(with_options(applicable(data) if analyzers is None else analyzers, options))
    names = [arm.name for arm in arms]
    if reference is not None and reference not in names:
        raise SpecError(f"--reference {reference}: not among the arms {', '.join(names)}")
    if margin is not None and not (isinstance(margin, float | int) and 0 < margin < 1):
        raise SpecError(f"--margin {margin}: a difference of rates lies between 0 and 1; 0.005 is half a point")
    ground = Ground(data)
    runs, audits = run_all(arms, data, seeds, wanted, where, progress)

    evidence = [collect(arm.name, seeds, audits, ground) for arm in arms]
    look = fingerprint([data.fingerprint, sorted(fingerprint(_essence(arm)) for arm in arms), reference, margin])
    looks = record_look(look, len(seeds)) if len(arms) > 1 and len(seeds) >= 3 else [len(seeds)]
    result = assemble(
        kind=kind,
        arms=arms,
        evidence=evidence,
        ground=ground,
        differences=differences(evidence, ground, reference=reference, margin=margin, looks=len(looks)),
        runs=[(runs[name, seed], collect(name, [seed], audits, ground)) for name in names for seed in seeds],
        failed=failures(audits),
        looks=looks,
        margin=margin,
        reference=reference,
        where=where,
        command=command,
        seconds=time.time() - started,
        subjects=[audits[one.name, one.seeds[0]].subject for one in evidence],
        images=images,
    )
    predictions = pd.concat(
        [runs[name, seed].predictions.assign(arm=name, seed=seed) for name in names for seed in seeds],
        ignore_index=True,
    )
    order = ["arm", "seed", *(column for column in predictions.columns if column not in ("arm", "seed"))]
    predictions["arm"] = pd.Categorical(predictions["arm"], categories=names)
    return Comparison(result, data, audits, predictions[order])


def failures(audits: Mapping[tuple[str, int], Audit]) -> list[dict[str, Any]]:
    """Every analyzer that could not run, with the reason."""
    return [
        {"arm": name, "seed": seed, "analyzer": analyzer, "reason": reason}
        for (name, seed), one in audits.items()
        for analyzer, reason in one.failed.items()
    ]


def run_all(
    arms: Sequence[Arm],
    data: Dataset,
    seeds: Sequence[int],
    wanted: Mapping[str, Mapping[str, Any]],
    where: Machine,
    progress: Callable[[Progress], None] | None,
) -> tuple[dict[tuple[str, int], Run], dict[tuple[str, int], Audit]]:
    """Train, then measure: no number of the test set before the last run has ended."""
    tell = progress or (lambda _: None)
    runs = train_all([(arm, data) for arm in arms], seeds, where, tell)
    named = {(arm.name, seed): run for (arm, seed), run in zip(_pairs(arms, seeds), runs, strict=True)}
    return named, measure_all(named, data, wanted, where, tell)


def train_all(
    arms: Sequence[tuple[Arm, Dataset]], seeds: Sequence[int], where: Machine, tell: Callable[[Progress], None]
) -> list[Run]:
    """Every arm on its data with every seed, seed after seed; what is stored is taken."""
    runs = []
    total = len(arms) * len(seeds)
    for number, (seed, (arm, data)) in enumerate(itertools.product(seeds, arms), 1):

        def tick(one: Tick, number: int = number, arm: Arm = arm, seed: int = seed) -> None:
            tell(Progress(number, total, arm.name, seed, "training", one))

        run = train_arm(arm, data, seed, where, tick)
        tell(Progress(number, total, arm.name, seed, "stored" if run.stored else "trained", run=run))
        runs.append(run)
    return runs


def measure_all(
    runs: Mapping[tuple[str, int], Run],
    data: Dataset,
    wanted: Mapping[str, Mapping[str, Any]],
    where: Machine,
    tell: Callable[[Progress], None],
) -> dict[tuple[str, int], Audit]:
    """Every analyzer over every run, by (arm, seed)."""
    audits = {}
    for number, ((name, seed), run) in enumerate(runs.items(), 1):
        tell(Progress(number, len(runs), name, seed, "measuring"))
        audits[name, seed] = analyze_run(run, data, wanted, where.device)
        tell(Progress(number, len(runs), name, seed, "measured"))
    return audits


def _pairs(arms: Sequence[Arm], seeds: Sequence[int]) -> list[tuple[Arm, int]]:
    return [(arm, seed) for seed, arm in itertools.product(seeds, arms)]


def seed_list(seeds: int | Sequence[int]) -> list[int]:
    """``3`` as 0, 1, 2; a list as it is, if its entries differ."""
    try:
        listed: Any = range(operator.index(cast("int", seeds))) if np.ndim(seeds) == 0 else seeds
        numbers = [operator.index(seed) for seed in listed]
    except TypeError:
        raise SpecError(f"seeds must be a whole number or a list of them; got {seeds!r}") from None
    if not numbers or len(set(numbers)) != len(numbers) or min(numbers) < 0:
        raise SpecError(f"seeds must be a number of at least 1, or different numbers from 0 on; got {seeds}")
    return numbers


def _essence(arm: Arm) -> Any:
    return list(arm.training.values())


def command_line(
    name: str,
    arms: Sequence[str],
    data: Dataset,
    seeds: int | Sequence[int],
    analyzers: Asked,
    set: Sequence[str],
    **more: Any,
) -> str:
    """The command line that would do the same; ``more`` are options that are left out where they are None."""
    words = ["biaskit", name, *arms, "--on", data.name]
    words += ["--seeds", str(seeds) if isinstance(seeds, int) else ",".join(map(str, seeds))]
    words += analyzer_words(analyzers)
    for text in set:
        words += ["--set", text]
    for option, value in more.items():
        words += [f"--{option}", str(value)] if value not in (None, "") else []
    return shlex.join(words)
