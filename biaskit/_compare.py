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

from biaskit import stats
from biaskit._assemble import assemble
from biaskit._audit import DEFAULT_ANALYZERS, Audit, analyze_run, collect, resolve_analyzers
from biaskit._build import as_dataset
from biaskit._train import Machine, Tick, machine
from biaskit.data import TWIN, Dataset
from biaskit.errors import DataError, SpecError
from biaskit.looks import record_look
from biaskit.measures import ArmEvidence, Ground, metrics_of
from biaskit.output import write_result
from biaskit.recipes import Arm, bind_arms, fingerprint
from biaskit.runs import Run, train_arm

__all__ = ["Comparison", "Progress", "compare", "differences", "linear_difference", "run_all"]


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
        """What ``save`` writes as tables/*.csv."""
        names = ("headline", "differences", "groups", "attribute_values", "continuity", "runs", "failed")
        found = {name: pd.DataFrame(self.result[name]) for name in names if self.result[name]}
        found["data"] = pd.DataFrame(self.result["data"]["contingency"])
        return found

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
        Changes, ``[ARM:]KEY=VALUE``.
    reference : str, optional
        Compare every arm with this one instead of all pairs, which makes a smaller family.
    margin : float, optional
        The largest difference in rates that does not matter, in [0, 1]; fixed before looking.
    device : str, optional
    deterministic : bool
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
    bound = bind_arms(arms, data, set)
    numbers = _seed_list(seeds)
    wanted = resolve_analyzers(_applicable(data) if analyzers is None else analyzers)
    names = [arm.name for arm in bound]
    if reference is not None and reference not in names:
        raise SpecError(f"--reference {reference}: not among the arms {', '.join(names)}")
    if margin is not None and not (isinstance(margin, float | int) and 0 < margin < 1):
        raise SpecError(f"--margin {margin}: a difference of rates lies between 0 and 1; 0.005 is half a point")
    ground = Ground(data)
    where = machine(device, deterministic=deterministic)
    runs, audits = run_all(bound, data, numbers, wanted, where, progress)

    evidence = [collect(arm.name, numbers, audits, ground) for arm in bound]
    look = fingerprint([data.fingerprint, sorted(fingerprint(_essence(arm)) for arm in bound), reference, margin])
    looks = record_look(look, len(numbers)) if len(bound) > 1 and len(numbers) >= 3 else [len(numbers)]
    rows = differences(evidence, ground, reference=reference, margin=margin, looks=len(looks))
    failed = [
        {"arm": name, "seed": seed, "analyzer": analyzer, "reason": reason}
        for (name, seed), one in audits.items()
        for analyzer, reason in one.failed.items()
    ]
    result = assemble(
        kind="comparison",
        arms=bound,
        evidence=evidence,
        ground=ground,
        differences=rows,
        runs=[(runs[name, seed], collect(name, [seed], audits, ground)) for name in names for seed in numbers],
        failed=failed,
        looks=looks,
        margin=margin,
        reference=reference,
        where=where,
        command=command or _command(arms, data, seeds, set, reference, margin),
        seconds=time.time() - started,
    )
    predictions = pd.concat(
        [runs[name, seed].predictions.assign(arm=name, seed=seed) for name in names for seed in numbers],
        ignore_index=True,
    )
    order = ["arm", "seed", *(column for column in predictions.columns if column not in ("arm", "seed"))]
    predictions["arm"] = pd.Categorical(predictions["arm"], categories=names)
    return Comparison(result, data, audits, predictions[order])


def differences(
    evidence: Sequence[ArmEvidence],
    ground: Ground,
    *,
    reference: str | None = None,
    margin: float | None = None,
    looks: int = 1,
) -> list[dict[str, Any]]:
    """Every pair of arms in every metric that can be compared; verdicts for the reliance metric and accuracy.

    The family of verdicts is both metrics times all pairs, fixed before looking; everything else shows its interval
    and no verdict word.
    """
    pairs = [
        (a, b) for a, b in itertools.combinations(evidence, 2) if reference is None or reference in (a.name, b.name)
    ]
    pairs = [(b, a) if b.name == reference else (a, b) for a, b in pairs]
    metrics = {metric.name: metric for metric in metrics_of(ground)}
    found: list[tuple[str, ArmEvidence, ArmEvidence, stats.Difference, dict[str, Any]]] = []
    for name in ("flip_rate", "average_accuracy", "gap", "worst_group_accuracy", "nds", "ds"):
        if name not in metrics:
            continue
        for a, b in pairs:
            one = _difference(name, a, b, ground)
            if one is not None:
                found.append((name, a, b, *one))
    judged = [entry for entry in found if metrics[entry[0]].verdict]
    verdicts = dict(
        zip(
            [id(entry[3]) for entry in judged],
            stats.judge([entry[3] for entry in judged], [metrics[entry[0]].better for entry in judged], margin, looks),  # type: ignore[misc]
            strict=True,
        )
    )
    return [
        {
            "metric": name,
            "arm": b.name,
            "against": a.name,
            **_row(d, extra),
            **_verdict(d, verdicts.get(id(d)), len(judged), margin, 0.05 / looks),
        }
        for name, a, b, d, extra in found
    ]


def linear_difference(name: str, a: ArmEvidence, b: ArmEvidence, ground: Ground) -> stats.Difference | None:
    """Arm b minus arm a in the flip rate, the average accuracy or the gap; None where the data cannot give it."""
    correct, strata, c = (a.correct(ground), b.correct(ground)), ground.groups, None
    answers = a.answers, b.answers
    if name == "flip_rate":
        flips = a.flips(), b.flips()
        if flips[0] is None or flips[1] is None or ground.twins is None:
            return None
        correct, strata = (flips[0], flips[1]), ground.dataset.group_ids[ground.twins[0]]
        answers = a.pair_answers(), b.pair_answers()
    elif name == "gap":
        if ground.gap is None or not np.any(ground.gap.coefficients):
            return None
        c = ground.gap.coefficients
    return stats.difference(*correct, c, strata, a.seeds, b.seeds, predictions=answers)


def _difference(
    name: str, a: ArmEvidence, b: ArmEvidence, ground: Ground
) -> tuple[stats.Difference, dict[str, Any]] | None:
    if name in ("flip_rate", "average_accuracy", "gap"):
        linear = linear_difference(name, a, b, ground)
        return None if linear is None else (linear, {})
    if name == "worst_group_accuracy":
        tables, answers = (a.correct(ground), b.correct(ground)), (a.answers, b.answers)
        found = stats.worst_group_difference(
            *tables, ground.groups, ground.splits, a.seeds, b.seeds, predictions=answers
        )
        return found, {}
    wide = a.per_image("continuity", name, level=1), b.per_image("continuity", name, level=1)
    if wide[0] is None or wide[1] is None:
        return None
    rows = wide[0].columns.intersection(wide[1].columns)
    values = [one[rows].to_numpy(float) for one in wide if one is not None]
    if name == "nds":
        return stats.difference(values[0], values[1], None, None, a.seeds, b.seeds, floor=False), {"unbounded": True}
    ratio = stats.log_ratio(values[0], values[1], None, a.seeds, b.seeds)
    return ratio.difference, {"estimate": ratio.ratio, "low": ratio.low, "high": ratio.high, "ratio": True}


def _row(d: stats.Difference, extra: Mapping[str, Any]) -> dict[str, Any]:
    rates = not extra.get("ratio") and not extra.get("unbounded")
    return {
        "estimate": d.estimate,
        "low": max(d.low, -1.0) if rates else d.low,
        "high": min(d.high, 1.0) if rates else d.high,
        "seeds": d.seeds,
        "n": d.n,
        "image_share": d.image_share,
        "pairing": d.pairing,
        "note": "; ".join(d.notes),
        **extra,
    }


def _verdict(
    d: stats.Difference, verdict: stats.Verdict | None, family: int, margin: float | None, alpha: float
) -> dict[str, Any]:
    keys = (
        "p",
        "p_holm",
        "low_together",
        "high_together",
        "verdict",
        "detectable",
        "seeds_needed",
        "images_needed",
        "new_runs",
    )
    if verdict is None:
        return {**dict.fromkeys(keys), "reason": d.reason}
    effect = margin if margin is not None else abs(d.estimate)
    asked = verdict.word == "inconclusive" and not verdict.reason and effect > 0
    needed = stats.seeds_needed(d, effect, family, alpha=alpha) if asked else None
    return {
        "p": d.p,
        "p_holm": verdict.p_holm,
        "low_together": max(verdict.low, -1.0),
        "high_together": min(verdict.high, 1.0),
        "verdict": verdict.word,
        "reason": verdict.reason,
        "beyond_margin": verdict.beyond_margin,
        "detectable": verdict.smallest_detectable,
        "seeds_needed": needed,
        "images_needed": stats.images_needed(d, effect, family, alpha=alpha) if asked else None,
        "new_runs": 2 * max(0, needed - d.seeds) if needed is not None else None,
    }


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
    total = len(arms) * len(seeds)
    runs: dict[tuple[str, int], Run] = {}
    audits: dict[tuple[str, int], Audit] = {}
    for number, (seed, arm) in enumerate(itertools.product(seeds, arms), 1):

        def tick(one: Tick, number: int = number, arm: Arm = arm, seed: int = seed) -> None:
            tell(Progress(number, total, arm.name, seed, "training", one))

        run = runs[arm.name, seed] = train_arm(arm, data, seed, where, tick)
        tell(Progress(number, total, arm.name, seed, "stored" if run.stored else "trained", run=run))
    for number, (seed, arm) in enumerate(itertools.product(seeds, arms), 1):
        tell(Progress(number, total, arm.name, seed, "measuring"))
        audits[arm.name, seed] = analyze_run(runs[arm.name, seed], data, wanted, where.device)
        tell(Progress(number, total, arm.name, seed, "measured"))
    return runs, audits


def _applicable(data: Dataset) -> list[str]:
    """The default analyzers that this data set can serve: parity needs an attribute, flips need twins."""
    lacking = set() if data.group_by else {"parity"}
    lacking |= set() if TWIN in data.splits else {"counterfactual_flips"}
    return [name for name in DEFAULT_ANALYZERS if name not in lacking]


def _seed_list(seeds: int | Sequence[int]) -> list[int]:
    try:
        listed: Any = range(operator.index(cast("int", seeds))) if np.ndim(seeds) == 0 else seeds
        numbers = [operator.index(seed) for seed in listed]
    except TypeError:
        raise SpecError(f"seeds must be a whole number or a list of them; got {seeds!r}") from None
    if not numbers or len(set(numbers)) != len(numbers) or min(numbers) < 0:
        raise SpecError(f"seeds must be a number of at least 1, or different numbers from 0 on; got {seeds}")
    return numbers


def _essence(arm: Arm) -> Any:
    return [arm.card["model"], arm.card["stage"]]


def _command(
    arms: Sequence[str],
    data: Dataset,
    seeds: int | Sequence[int],
    set: Sequence[str],
    reference: str | None,
    margin: float | None,
) -> str:
    """The command line that would do the same."""
    words = ["biaskit", "compare", *arms, "--on", data.name]
    words += ["--seeds", str(seeds) if isinstance(seeds, int) else ",".join(map(str, seeds))]
    for text in set:
        words += ["--set", text]
    words += ["--reference", reference] if reference else []
    words += ["--margin", str(margin)] if margin is not None else []
    return shlex.join(words)
