"""``bk.reproduce``: the tables and figures of a paper again, published beside measured, claim by claim."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from biaskit._assemble import SCHEMA, clean_json, gallery, machine_facts, versions
from biaskit._audit import collect
from biaskit._compare import Progress, failures, measure_all, seed_list, train_all
from biaskit._findings import conditions, distribution, findings, measure
from biaskit._study_plan import DEFAULT_PRESET, Plan, plan_study, training_key
from biaskit._train import Machine, machine
from biaskit.data import Dataset
from biaskit.disk import plain
from biaskit.evidence import ArmEvidence, Ground
from biaskit.looks import record_look
from biaskit.output import write_result
from biaskit.recipes import Arm, fingerprint
from biaskit.runs import Run
from biaskit.studycard import Claim, Item, Measure

__all__ = ["Study", "reproduce"]


@dataclass(frozen=True, eq=False, repr=False)
class Study:
    """The tables and figures of a paper, measured again.

    Attributes
    ----------
    result : dict
        What ``result.json`` holds: see docs/result.md.
    predictions : DataFrame
        One row per data set, arm, seed and image outside train.
    units : mapping of name to DataFrame
        ``<analyzer>_units`` -> one row per item, arm, seed and unit of the network.
    """

    result: dict[str, Any]
    predictions: pd.DataFrame
    units: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    def __repr__(self) -> str:
        found = ", ".join(f"{row['item']}: {row['finding']}" for row in self.result["claims"])
        return f"<Study {self.result['study']}, preset {self.result['preset']}: {found or 'no claims'}>"

    @property
    def claims(self) -> pd.DataFrame:
        """Every claim with its finding."""
        return pd.DataFrame(self.result["claims"])

    @property
    def table(self) -> pd.DataFrame:
        """Every item, arm and measure: published, and measured with its 95 % interval."""
        return pd.DataFrame(_flat(self.result, "rows"))

    def tables(self) -> dict[str, pd.DataFrame]:
        """What ``save`` writes as tables/*.csv."""
        found = {name: pd.DataFrame(_flat(self.result, name)) for name in ("rows", "curves", "failed")}
        found |= {"claims": self.claims, "runs": pd.DataFrame(self.result["runs"])}
        return {name: table for name, table in [*found.items(), *self.units.items()] if len(table)}

    def save(self, folder: str | Path) -> Path:
        """Write result.json, study.md, predictions.parquet, tables/*.csv, figures/*.svg and report.html."""
        return write_result(Path(folder), self.result, self.predictions, self.tables())


def reproduce(
    study: str,
    *,
    preset: str = DEFAULT_PRESET,
    seeds: int | Sequence[int] | None = None,
    on: Dataset | str | Path | None = None,
    set: Sequence[str] = (),
    device: str | None = None,
    deterministic: bool = False,
    command: str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Study:
    """Run a published table or figure again and say of each claim whether it holds, and how sure that is.

    Parameters
    ----------
    study : str
        ``"wu2021-table2"`` for one item, ``"wu2021"`` for all, or the path of a study card.
    preset : str
        A size that the card offers; ``"smoke"`` needs no download.
    seeds : int or sequence of int, optional
        Default: the preset's. Below three every finding is inconclusive.
    on : Dataset, or a folder or name for :func:`biaskit.load`, optional
        Own data in place of the preset's, for every item; findings are then on a substitute.
    set : sequence of str
        Changes to the recipes, ``[ARM:]KEY=VALUE``, and to analyzers, ``analyzer.NAME.OPTION=VALUE``, after the
        preset's own.
    device, deterministic, command, progress
        As in :func:`biaskit.compare`.

    Returns
    -------
    Study

    Raises
    ------
    UnknownName, SpecError, DataError, StoreError
        Everything is bound, and every data set is there, before anything is trained.
    """
    started = time.time()
    plan = plan_study(study, preset=preset, on=on, set=set)
    numbers = seed_list(plan.size.seeds if seeds is None else seeds)
    where = machine(device, deterministic=deterministic)
    tell = progress or (lambda _: None)
    trainings = plan.trainings()
    found = train_all([(arm, plan.data[role]) for arm, role in trainings], numbers, where, tell)
    order = [(arm, role, seed) for seed in numbers for arm, role in trainings]
    keys = [(training_key(arm, plan.data[role]), seed) for arm, role, seed in order]
    runs = dict(zip(keys, found, strict=True))
    items, units = [], list[tuple[str, pd.DataFrame]]()
    for item in plan.items:
        told, evidence = _item(plan, item, runs, numbers, where, tell)
        items.append(told)
        units += _units(item, evidence)
    words = command or _command(study, preset, seeds, on, set)
    result = _result(plan, items, order, found, numbers, where, words, time.time() - started)
    frames = [
        run.predictions.assign(data=plan.data[role].name, arm=arm.name, seed=seed)
        for (arm, role, seed), run in zip(order, found, strict=True)
    ]
    predictions = pd.concat(frames, ignore_index=True)
    first = ["data", "arm", "seed"]
    by_name = {name: pd.concat([one for other, one in units if other == name], ignore_index=True) for name, _ in units}
    return Study(result, predictions[[*first, *(one for one in predictions if one not in first)]], by_name)


def _item(
    plan: Plan,
    item: Item,
    runs: Mapping[tuple[str, int], Run],
    seeds: Sequence[int],
    where: Machine,
    tell: Callable[[Progress], None],
) -> tuple[dict[str, Any], dict[str, ArmEvidence]]:
    """One table or figure: measured, judged and told; and the evidence of its arms."""
    arms, data = plan.arms_of(item), plan.data[item.data]
    ground = Ground(data)
    mine = {(arm.name, seed): runs[training_key(arm, data), seed] for arm in arms for seed in seeds}
    audits = measure_all(mine, data, plan.analyzers[item.name], where, tell)
    evidence = {arm.name: collect(arm.name, seeds, audits, ground) for arm in arms}
    substitute = not plan.same[item.data]
    title = f"{item.title} ({plan.labels[item.data]} for {item.original})" if substitute else item.title
    measures = plan.card.measure
    there = [one for one in item.claim if _in_preset(measures[one.measure], plan.preset)]
    there = [one for one in there if {one.arm, one.than} <= {*evidence}]
    if there and len(seeds) >= 3:
        key = [plan.card.name, item.name, data.fingerprint, sorted(training_key(arm, data) for arm in arms)]
        looks = len(record_look(fingerprint(key), len(seeds)))
    else:
        looks = 1
    judged = iter(findings(there, measures, evidence, ground, looks=looks))
    claims = [next(judged) if one in there else _not_here(one, measures[one.measure], plan) for one in item.claim]
    # An item that names no figures shows none.
    figures = tuple(item.figures)
    told = {
        "name": item.name,
        "title": title,
        "about": item.about,
        "original": item.original,
        "data": plan.labels[item.data],
        "substitute": substitute,
        "looks": looks,
        "analyzers": {name: plain(options) for name, options in plan.analyzers[item.name].items()},
        "rows": [row for name in item.measures for row in _rows(item, name, measures[name], evidence, ground, plan)],
        "curves": [point for curve in item.curve for point in _curve(plan, item, curve, evidence, ground)],
        "claims": [
            {"item": item.name, "published": _published(item, one, measures[one.measure]), **row}
            for one, row in zip(item.claim, claims, strict=True)
        ],
        "gallery": [one for one in gallery(list(evidence.values())) if one["figure"].startswith(figures)],
        "notes": [*item.notes, *_notes(evidence)],
        "failed": failures(audits),
    }
    return told, evidence


def _units(item: Item, evidence: Mapping[str, ArmEvidence]) -> list[tuple[str, pd.DataFrame]]:
    """Every table of units of one item, with the item and the arm in front."""
    found = []
    for arm, one in evidence.items():
        for analyzer, result in one.results.items():
            if result.details is not None:
                table = result.details.copy()
                table.insert(0, "item", item.name)
                table.insert(1, "arm", arm)
                found.append((f"{analyzer}_units", table))
    return found


def _notes(evidence: Mapping[str, ArmEvidence]) -> list[str]:
    """What analyzers say beside their numbers, each sentence once with the arms it is about."""
    said: dict[str, list[str]] = {}
    for name, one in evidence.items():
        for text in [*one.repeated, *(text for result in one.results.values() for text in result.notes)]:
            said.setdefault(text, []).append(name)
    return [text if len(names) == len(evidence) else f"{', '.join(names)}: {text}" for text, names in said.items()]


def _rows(
    item: Item, name: str, what: Measure, evidence: Mapping[str, ArmEvidence], ground: Ground, plan: Plan
) -> list[dict[str, Any]]:
    """A measure of every arm, beside what was published; a published number that this preset cannot meet stays."""
    published = item.published.get(name, {})
    found = []
    for arm in dict.fromkeys([*item.arms, *evidence]):
        one = evidence.get(arm)
        here = one is not None and _in_preset(what, plan.preset)
        if not here and arm not in published:
            continue
        row = {
            "arm": arm,
            "measure": what.title,
            "unit": what.unit,
            "better": what.better,
            "published": published.get(arm),
            "published_on": item.published_on if arm in published else "",
        }
        if one is not None and here:
            found.append(row | vars(measure(one, what, ground)))
        else:
            reason = f"not measured in the preset {plan.preset}"
            found.append(row | {"value": None, "low": None, "high": None, "n": 0, "seeds": 0, "reason": reason})
    return found


def _curve(
    plan: Plan, item: Item, curve: Any, evidence: Mapping[str, ArmEvidence], ground: Ground
) -> list[dict[str, Any]]:
    """The points of a curve: a measure of every arm at every value of a key column, or of every swept arm."""
    what = plan.card.measure[curve.measure]
    if not _in_preset(what, plan.preset):
        return []
    head = {"panel": curve.panel, "x_title": curve.x_title, "y_title": what.title, "unit": what.unit}
    found = []
    if curve.bins:
        head |= {"y_title": "share of the units", "unit": "%"}
        for name, one in evidence.items():
            found += [head | {"arm": name} | point for point in distribution(one, what, curve.bins)]
        return found
    if not curve.x:
        assert item.sweep is not None
        values = dict(zip((arm.name for arm in plan.sweeps[item.name]), item.sweep.values, strict=True))
        for name, value in values.items():
            found.append(head | {"arm": item.sweep.recipe, "x": value} | _ends(measure(evidence[name], what, ground)))
        return found
    for name, one in evidence.items():
        for value in conditions(one, what, curve.x):
            at = what.model_copy(update={"where": {**what.where, curve.x: value}})
            found.append(head | {"arm": name, "x": value} | _ends(measure(one, at, ground)))
    return found


def _ends(one: Any) -> dict[str, Any]:
    return {"y": one.value, "low": one.low, "high": one.high, "n": one.n, "seeds": one.seeds}


def _in_preset(what: Measure, preset: str) -> bool:
    return not what.presets or preset in what.presets


def _not_here(claim: Claim, what: Measure, plan: Plan) -> dict[str, Any]:
    """A claim about something that a preset leaves out: never hidden."""
    return {
        "claim": claim.claim,
        "contrast": f"{claim.arm} {'/' if what.ratio else '-'} {claim.than}",
        "measure": what.title,
        "expect": claim.expect,
        "margin": claim.margin or None,
        "unit": "ratio" if what.ratio else what.unit,
        **dict.fromkeys(("estimate", "low", "high", "p_holm")),
        "finding": "inconclusive",
        "n": 0,
        "seeds": 0,
        "reason": f"not measured in the preset {plan.preset}",
    }


def _published(item: Item, claim: Claim, what: Measure) -> float | None:
    """The published difference or ratio, where both numbers are."""
    numbers = item.published.get(claim.measure, {})
    a, b = numbers.get(claim.arm), numbers.get(claim.than)
    if a is None or b is None:
        return None
    return round(a / b if what.ratio else a - b, 10)


def _result(
    plan: Plan,
    items: list[dict[str, Any]],
    order: Sequence[tuple[Arm, str, int]],
    runs: Sequence[Run],
    seeds: Sequence[int],
    where: Machine,
    command: str,
    seconds: float,
) -> dict[str, Any]:
    """Put everything together; undefined numbers become None."""
    called = {arm.called: arm.paper for arm in plan.card.arm}
    arms = []
    for arm, role in plan.trainings():
        arms.append(
            {
                "name": arm.name,
                "data": plan.labels[role],
                "summary": arm.card["summary"],
                "paper": called.get(arm.name, ""),
                "changes": list(arm.changes),
                "card": plain(arm.card),
                "epochs": sum(stage["epochs"] for stage in arm.card["stage"]),
                "model": arm.card["model"]["name"],
            }
        )
    result: dict[str, Any] = {
        "schema_version": SCHEMA,
        "kind": "study",
        "study": plan.card.name,
        "preset": plan.preset,
        "title": plan.card.summary,
        "about": plan.size.summary,
        "budget": plan.size.budget,
        "paper": plan.card.paper,
        "command": command,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(seconds, 1),
        "machine": machine_facts(where),
        "versions": versions(),
        "checkpoint": "last epoch",
        "data": [_data(data, role, plan) for role, data in plan.data.items()],
        "arms": arms,
        "seeds": list(seeds),
        "items": items,
        "claims": [claim for item in items for claim in item["claims"]],
        "notes": plan.size.notes,
        "runs": [
            {
                "data": plan.labels[role],
                "arm": arm.name,
                "seed": seed,
                "loss": float(run.history["loss"].iloc[-1]),
                "seconds": run.seconds,
                "stored": run.stored,
                "fingerprint": run.fingerprint,
            }
            for (arm, role, seed), run in zip(order, runs, strict=True)
        ],
    }
    cleaned: dict[str, Any] = clean_json(result)
    return cleaned


def _data(data: Dataset, role: str, plan: Plan) -> dict[str, Any]:
    return {
        "role": role,
        "name": data.name,
        "label": plan.labels[role],
        "same": plan.same[role],
        "summary": str(data.card.get("summary", "")),
        "changes": list(data.card.get("set", [])),
        "fingerprint": data.fingerprint,
        "shape": list(data.images.shape),
        "splits": {split: len(data.rows(split)) for split in data.splits},
    }


def _flat(result: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    return [{"item": item["name"], **row} for item in result["items"] for row in item[key]]


def _command(
    study: str,
    preset: str,
    seeds: int | Sequence[int] | None,
    on: Dataset | str | Path | None,
    set: Sequence[str],
) -> str:
    """The command line that would do the same."""
    words = ["biaskit", "reproduce", study, "--preset", preset]
    if seeds is not None:
        words += ["--seeds", str(seeds) if isinstance(seeds, int) else ",".join(map(str, seeds))]
    if on is not None:
        words += ["--on", on.name if isinstance(on, Dataset) else str(on)]
    for text in set:
        words += ["--set", text]
    return shlex.join(words)
