"""``bk.audit``: every analyzer over one subject; one that fails is an entry with its reason."""

from __future__ import annotations

import dataclasses
import functools
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from biaskit import stats
from biaskit._assemble import assemble
from biaskit._build import as_dataset, load
from biaskit._train import machine
from biaskit.broden import broden_fingerprint
from biaskit.data import TWIN, Dataset
from biaskit.disk import disk_errors, files_named, plain
from biaskit.errors import BiaskitError, DataError, UnsupportedModel
from biaskit.evidence import ArmEvidence, Ground
from biaskit.foreign import ForeignModel, open_model
from biaskit.output import write_result
from biaskit.recipes import Arm, fingerprint, source_fingerprint
from biaskit.registry import bind, find
from biaskit.results import Column, Picture, Result
from biaskit.runs import Run, prediction_table
from biaskit.subject import Subject

__all__ = [
    "DEFAULT_ANALYZERS",
    "Audit",
    "analyze_run",
    "applicable",
    "audit",
    "audit_result",
    "collect",
    "resolve_analyzers",
]

DEFAULT_ANALYZERS = ("group_accuracy", "parity", "counterfactual_flips", "continuity")
UNSTEADY = (
    "the model gives different answers to the same images: something in it draws at random in eval mode, such as "
    "dropout that is always on; the numbers vary from one audit to the next"
)


@dataclass(frozen=True, eq=False, repr=False)
class Audit(Mapping[str, Result]):
    """The results of one subject, by analyzer.

    Attributes
    ----------
    results : mapping of name to Result
    failed : mapping of name to str
        Analyzers that could not run, with the reason.
    subject : Subject
    name : str
    run : Run or None
        Of ours, if the model is one.
    foreign : ForeignModel or None
        The model as it was opened, with what was assumed of it.
    """

    results: Mapping[str, Result]
    failed: Mapping[str, str]
    subject: Subject
    name: str = "model"
    run: Run | None = None
    seconds: float = 0.0
    foreign: ForeignModel | None = None
    command: str = ""

    def __getitem__(self, key: str) -> Result:
        name = key.replace("-", "_")
        if name in self.failed:
            raise DataError(f"{name} could not run: {self.failed[name]}")
        if name not in self.results:
            raise KeyError(f"{key}: this audit ran {', '.join(self.results)}")
        return self.results[name]

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and key.replace("-", "_") in self.results

    def __repr__(self) -> str:
        failed = f"; failed: {', '.join(self.failed)}" if self.failed else ""
        return f"<Audit of {self.name} on {self.subject.dataset.name}: {', '.join(self.results) or 'nothing'}{failed}>"

    def __iter__(self) -> Iterator[str]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    @property
    def predictions(self) -> pd.DataFrame:
        """One row per image outside train: row, split, pair, label, attributes, prediction, confidence, logits."""
        return prediction_table(self.subject.dataset, self.subject.rows, self.subject.logits)

    def save(self, folder: str | Path, *, images: bool = True) -> Path:
        """Write result.json, predictions.parquet, report.html, methods.md, tables/ and figures/.

        Without ``images`` no file holds a picture.
        """
        return write_result(Path(folder), audit_result(self, images=images), self.predictions, self.tables())

    def tables(self) -> dict[str, pd.DataFrame]:
        """Analyzer -> its table, and ``<analyzer>_units`` -> that of its units."""
        found = {name: result.table for name, result in self.results.items()}
        units = {f"{name}_units": one.details for name, one in self.results.items() if one.details is not None}
        return found | units


def audit(
    model: nn.Module | Run | ForeignModel | str | Path,
    data: Dataset | str | Path,
    *,
    analyzers: Sequence[str] | Mapping[str, Mapping[str, Any]] | None = None,
    device: str | None = None,
    name: str | None = None,
    command: str | None = None,
    progress: Callable[[str], None] | None = None,
) -> Audit:
    """Measure one model on one data set.

    Parameters
    ----------
    model : nn.Module, Run, ForeignModel, str or path
        A module takes float images (B, 3, H, W) in [0, 1] and gives logits (B, K) in the order of ``data.classes``;
        normalization is its own business. Any other model, such as ``"torchvision:resnet50"`` or a file, is opened by
        :func:`biaskit.open_model`, which has the options.
    data : Dataset, or a folder or name for :func:`biaskit.load`
    analyzers : sequence of str, or mapping of name to options
        Default: group_accuracy, continuity, with attributes parity, with twins counterfactual_flips.
    device : str, optional
    name : str, optional
        What the model is called in the report.
    command : str, optional
        The command line that asked for it, for the record.
    progress : callable, optional
        Called with the name of each analyzer before it runs.

    Returns
    -------
    Audit

    Raises
    ------
    UnknownName, SpecError
        An analyzer or an option that does not exist; checked before anything runs.
    UnsupportedModel
        Neither a model nor the name of one.

    Examples
    --------
    >>> from biaskit import testing
    >>> data = testing.tiny()
    >>> found = audit(testing.reads("label"), data, analyzers=["group_accuracy"], device="cpu")
    >>> found["group_accuracy"].table["accuracy"].tolist()
    [1.0, 1.0, 1.0, 1.0]
    """
    asked = None if analyzers is None else resolve_analyzers(analyzers)
    data = as_dataset(data)
    wanted = resolve_analyzers(applicable(data)) if asked is None else asked
    where = machine(device).device
    if isinstance(model, str | Path):
        model = open_model(model, dataset=data)
    foreign = model if isinstance(model, ForeignModel) else None
    run = model if isinstance(model, Run) else foreign.run if foreign is not None else None
    if run is not None and run.data == data.fingerprint:
        # Stored answers belong to the images of the training's own data set; on any other the network answers anew.
        subject: Subject = _LazySubject(run, data, where)
    elif isinstance(model, ForeignModel):
        subject = Subject(model.module, data, device=where)
    elif isinstance(model, Run | nn.Module):
        subject = Subject(model.model if isinstance(model, Run) else model, data, device=where)
    else:
        raise UnsupportedModel(
            f"audit needs a torch module, a Run or what open_model takes; got {type(model).__name__}"
        )
    started = time.perf_counter()
    given = foreign.name if foreign is not None else run.arm if run is not None else type(model).__name__
    # What is made elsewhere may fail in ways of its own: a step without a derivative, a kernel that is not there.
    refused = (BiaskitError, RuntimeError) if foreign is not None else BiaskitError
    results, failed = {}, {}
    for one, options in wanted.items():
        if progress is not None:
            progress(one)
        try:
            results[one] = find("analyzer", one)(subject, **options)
        except refused as error:
            failed[one] = _reason(error)
    seconds = time.perf_counter() - started
    return Audit(results, failed, subject, name or given, run, seconds, foreign, command or "")


def _reason(error: Exception) -> str:
    """Of our own errors the message; of others also the kind, and the first line alone."""
    if isinstance(error, BiaskitError):
        return str(error)
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def audit_result(one: Audit, *, images: bool = True) -> dict[str, Any]:
    """What result.json of an audit holds: the layout of a comparison with one arm and no differences.

    Without ``images`` it holds no pixel of the data: no examples as pictures, no galleries.
    """
    ground = Ground(one.subject.dataset)
    seed = one.run.seed if one.run else 0
    evidence = collect(one.name, [seed], {(one.name, seed): one}, ground)
    arm = Arm(one.name, one.run.card if one.run else _card(one))
    found = assemble(
        kind="audit",
        arms=[arm],
        evidence=[evidence],
        ground=ground,
        differences=[],
        runs=[(dataclasses.replace(one.run, arm=one.name), evidence)] if one.run else [],
        failed=[{"arm": one.name, "seed": seed, "analyzer": name, "reason": why} for name, why in one.failed.items()],
        looks=[1],
        margin=None,
        reference=None,
        where=one.run.where if one.run else machine(one.subject.device),
        command=one.command or f"bk.audit({one.name}, {ground.dataset.name})",
        seconds=one.seconds,
        subjects=[one.subject],
        images=images,
    )
    # What was left out or taken for something when the data were read, then the same of the model.
    notes = [*ground.dataset.card.get("notes", []), *(one.foreign.assumptions if one.foreign else ())]
    notes += [] if one.subject.steady else [UNSTEADY]
    return {**found, "notes": notes} if notes else found


def _card(one: Audit) -> dict[str, Any]:
    """What stands for a recipe where the model was trained elsewhere."""
    card: dict[str, Any] = {"summary": "the model that was audited"}
    if one.foreign is not None:
        card["model"] = {"name": one.foreign.name, "digest": one.foreign.digest, **one.foreign.facts}
    return card


def collect(name: str, seeds: Sequence[int], audits: Mapping[tuple[str, int], Audit], ground: Ground) -> ArmEvidence:
    """The answers of one arm as arrays over seeds and images; a seed that repeats another counts once, and is named."""
    answers, before, after = [], [], []
    found: dict[str, list[tuple[int, Result]]] = {}
    kept, repeated = stats.distinct_seeds(
        np.stack([audits[name, seed].subject.predictions(ground.test) for seed in seeds]), list(seeds)
    )
    seeds = [seeds[place] for place in kept]
    for seed in seeds:
        subject = audits[name, seed].subject
        answers.append(subject.predictions(ground.test))
        if ground.twins is not None:
            before.append(subject.predictions(ground.twins[0]))
            after.append(subject.predictions(ground.twins[1]))
        for analyzer, result in audits[name, seed].results.items():
            found.setdefault(analyzer, []).append((seed, result))
    return ArmEvidence(
        name,
        tuple(seeds),
        np.stack(answers),
        np.stack(before) if before else None,
        np.stack(after) if after else None,
        {analyzer: _over_seeds(parts) for analyzer, parts in found.items()},
        tuple(repeated),
    )


def _over_seeds(parts: Sequence[tuple[int, Result]]) -> Result:
    """The results of several seeds as one, with a ``seed`` column; the pictures are the first seed's."""
    tables = [result.table.assign(seed=seed) for seed, result in parts]
    samples = [result.samples.assign(seed=seed) for seed, result in parts if result.samples is not None]
    details = [result.details.assign(seed=seed) for seed, result in parts if result.details is not None]
    return dataclasses.replace(
        parts[0][1],
        table=pd.concat(tables, ignore_index=True),
        samples=pd.concat(samples, ignore_index=True) if samples else None,
        details=pd.concat(details, ignore_index=True) if details else None,
        notes=_merged([(seed, result.notes) for seed, result in parts]),
    )


def _merged(notes: Sequence[tuple[int, Sequence[str]]]) -> tuple[str, ...]:
    """The notes of all seeds: what every seed says, numbers aside, once in the words of the first; the rest by seed."""
    said: dict[str, list[tuple[int, str]]] = {}
    for seed, texts in notes:
        for text in dict.fromkeys(texts):
            said.setdefault(re.sub(r"[\d.,]+", "#", text), []).append((seed, text))
    found = []
    for places in said.values():
        seeds = list(dict.fromkeys(seed for seed, _ in places))
        if len(seeds) == len(notes):
            found.append(places[0][1])
        else:
            found.append(f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}: {places[0][1]}")
    return tuple(found)


def applicable(data: Dataset) -> list[str]:
    """The default analyzers that this data set can serve: parity needs an attribute, flips need twins."""
    lacking = set() if data.group_by else {"parity"}
    lacking |= set() if TWIN in data.splits else {"counterfactual_flips"}
    return [name for name in DEFAULT_ANALYZERS if name not in lacking]


def resolve_analyzers(analyzers: Sequence[str] | Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Analyzer -> bound options; unknown names and options are errors before anything runs."""
    analyzers = [analyzers] if isinstance(analyzers, str) else analyzers
    given = analyzers if isinstance(analyzers, Mapping) else {name: {} for name in analyzers}
    return {
        name.replace("-", "_"): bind(find("analyzer", name), options, f"analyzer {name}")
        for name, options in given.items()
    }


def analyze_run(run: Run, data: Dataset, wanted: Mapping[str, Mapping[str, Any]], device: str) -> Audit:
    """An audit of a stored run; each result is kept beside the run and never computed twice."""
    subject = _LazySubject(run, data, device)
    results, failed = {}, {}
    for name, options in wanted.items():
        function = find("analyzer", name)
        files = files_named(options)
        kept = [_code(function), options, *([files] if files else [])]
        stem = run.folder / "analyses" / f"{name}-{fingerprint(kept)[:12]}"
        stored = _read(stem, name)
        if stored is not None:
            results[name] = stored
            continue
        try:
            results[name] = function(subject, **options)
        except BiaskitError as error:
            failed[name] = str(error)
            continue
        _write(stem, results[name])
    return Audit(results, failed, subject, run.arm, run)


@functools.cache
def _code(function: Callable[..., Any]) -> str:
    """The source of an analyzer and of everything of this package it rests on."""
    return source_fingerprint([function], lambda _, other: other.startswith("biaskit."))


class _LazySubject(Subject):
    """A Subject whose network is read from the run only if an analyzer asks for it."""

    def __init__(self, run: Run, data: Dataset, device: str) -> None:
        super().__init__(None, data, device=device)
        self.logits = run.logits(self.rows)
        self._run = run

    @property
    def model(self) -> nn.Module:
        if self._model is None:
            # The first analyzer to ask may be in inference mode; weights made there could never give a gradient.
            with torch.inference_mode(False):
                self._model = self._run.model.to(self.device).eval()
        return self._model


def _write(stem: Path, result: Result) -> None:
    """The table last: a result counts as stored once it is there."""
    with disk_errors(stem):
        stem.parent.mkdir(exist_ok=True)
        if result.samples is not None:
            result.samples.to_parquet(stem.with_suffix(".samples"), index=False)
        if result.details is not None:
            result.details.to_parquet(stem.with_suffix(".details"), index=False)
        about = {
            "columns": [vars(column) for column in result.columns],
            "options": plain(result.options),
            "notes": list(result.notes),
            "reads": dict(result.reads),
            "pictures": [
                {key: value for key, value in vars(one).items() if key != "pixels"} for one in result.pictures
            ],
        }
        if result.pictures:
            with stem.with_suffix(".npz").open("wb") as stream:
                np.savez_compressed(stream, *(one.pixels for one in result.pictures))
        stem.with_suffix(".json").write_text(json.dumps(about), encoding="utf-8")
        part = stem.with_suffix(".part")
        result.table.to_parquet(part, index=False)
        part.replace(stem.with_suffix(".parquet"))


def _read(stem: Path, name: str) -> Result | None:
    if not stem.with_suffix(".parquet").is_file():
        return None
    try:
        about = json.loads(stem.with_suffix(".json").read_text(encoding="utf-8"))
        samples, details = stem.with_suffix(".samples"), stem.with_suffix(".details")
        pictures: list[Picture] = []
        if about["pictures"]:
            with np.load(stem.with_suffix(".npz"), allow_pickle=False) as stored:
                for number, words in enumerate(about["pictures"]):
                    pictures.append(Picture(**{**words, "pixels": stored[f"arr_{number}"]}))
        if any(_fingerprint(other) != seen for other, seen in about["reads"].items()):
            return None
        return Result(
            name,
            pd.read_parquet(stem.with_suffix(".parquet")),
            tuple(Column(**column) for column in about["columns"]),
            about["options"],
            pd.read_parquet(samples) if samples.is_file() else None,
            tuple(pictures),
            tuple(about["notes"]),
            about["reads"],
            pd.read_parquet(details) if details.is_file() else None,
        )
    except (OSError, ValueError, KeyError, BiaskitError):
        return None


@functools.lru_cache
def _fingerprint(name: str) -> str:
    """The fingerprint of a data set by name, or of a Broden folder; read once per process."""
    if (Path(name).expanduser() / "index.csv").is_file():
        return broden_fingerprint(Path(name).expanduser())
    return load(name).fingerprint
