"""The dict behind result.json: everything a comparison or an audit says, and what it rests on."""

from __future__ import annotations

import importlib.metadata
import math
import os
import platform
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

import biaskit
from biaskit._examples import data_uri, twin_examples, worst_examples
from biaskit._train import Machine
from biaskit.analyzers._semantic_map import MEAN_OF_ARMS, maps_of_arms
from biaskit.data import TWIN
from biaskit.describe import association, contingency, sprite
from biaskit.disk import plain
from biaskit.evidence import ArmEvidence, Ground, measures_of, seed_interval
from biaskit.measures import (
    SEMANTIC,
    attribute_gaps,
    attribute_values,
    group_rows,
    headline,
    metrics_of,
    per_image,
)
from biaskit.recipes import Arm, fingerprint
from biaskit.results import Result
from biaskit.runs import Run
from biaskit.specs import card_names
from biaskit.stats import ENOUGH
from biaskit.subject import Subject

__all__ = ["SCHEMA", "assemble", "clean_json", "gallery", "machine_facts", "versions"]

#: The newest layout of result.json.
SCHEMA = 1
_VERSIONS = ("torch", "torchvision", "fairlearn", "numpy", "scipy", "pandas")


def assemble(
    *,
    kind: str,
    arms: Sequence[Arm],
    evidence: Sequence[ArmEvidence],
    ground: Ground,
    differences: list[dict[str, Any]],
    runs: Sequence[tuple[Run, ArmEvidence]],
    failed: list[dict[str, Any]],
    looks: list[int],
    margin: float | None,
    reference: str | None,
    where: Machine,
    command: str,
    seconds: float,
    subjects: Sequence[Subject],
    images: bool = True,
) -> dict[str, Any]:
    """Put everything together; undefined numbers become None.

    ``subjects`` are the first seed of every arm, for the examples; without ``images`` nothing holds a pixel.
    """
    dataset = ground.dataset
    seeds = sorted({run.seed for run, _ in runs}) or list(evidence[0].seeds)
    heads = [row for one in evidence for row in headline(one, ground)]
    present = {row["metric"] for row in heads}
    metrics = [vars(metric) for metric in metrics_of(ground, evidence) if metric.name in present]
    words = dataset.card.get("words", {})
    attribute = ground.attribute or ""
    lowest = next(row["group"] for row in heads if row["metric"] == "worst_group_accuracy")
    result = {
        "schema_version": SCHEMA,
        "kind": kind,
        "command": command,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(seconds, 1),
        "arms": [_arm(arm, arms, [run for run, _ in runs]) for arm in arms],
        "data": _data(ground),
        "reliance": {
            "metric": ground.reliance,
            "attribute": attribute,
            "attribute_words": words.get(attribute, attribute),
            "label_words": words.get("label", "label"),
        },
        "metrics": metrics,
        "seeds": seeds,
        "checkpoint": "last epoch",
        "margin": margin,
        "reference": reference,
        "alpha": 0.05,
        "looks": looks,
        "headline": heads,
        "groups": [row for one in evidence for row in group_rows(one, ground)],
        "gaps": [row for one in evidence for row in attribute_gaps(one, ground)],
        "attribute_values": [row for one in evidence for row in attribute_values(one, ground)],
        "differences": differences,
        "verdicts": [_short_verdict(row) for row in differences if row["verdict"] is not None],
        "continuity": [row for one in evidence for row in _continuity(one)],
        "analyses": _analyses(evidence),
        "gallery": gallery(evidence) if images else [],
        "runs": [_run(run, one, ground) for run, one in runs],
        "failed": failed,
        "repeated": [f"{one.name}: {text}" for one in evidence for text in one.repeated],
        "examples": twin_examples(evidence, ground, subjects, images=images),
        "worst": worst_examples(evidence, ground, subjects, lowest, images=images),
        "sprite": _sprite(ground) if images else None,
        "images": images,
        "hue": _uses_hue(arms),
        "versions": versions(),
        "machine": machine_facts(where),
    }
    cleaned: dict[str, Any] = clean_json(result)
    return cleaned


def clean_json(value: Any) -> Any:
    """Plain JSON values: NaN and infinities become None, numpy scalars Python's."""
    if isinstance(value, Mapping):
        return {str(key): clean_json(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [clean_json(one) for one in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _arm(arm: Arm, arms: Sequence[Arm], runs: Sequence[Run]) -> dict[str, Any]:
    mine = [run for run in runs if run.arm == arm.name]
    stages = arm.card.get("stage", [])
    return {
        "name": arm.name,
        "summary": arm.card.get("summary", ""),
        "paper": arm.card.get("paper", ""),
        "control": arm.control or None,
        "control_present": arm.control in {one.name for one in arms} if arm.control else None,
        "is_control_of": [one.name for one in arms if one.control == arm.name],
        "changes": list(arm.changes),
        "fingerprint": fingerprint(list(arm.training.values())),
        "card": plain(arm.card),
        "model": arm.card.get("model", {}).get("name", arm.name),
        "parameters": mine[0].parameters if mine else None,
        "epochs": sum(stage["epochs"] for stage in stages) or None,
        "perturbations": sorted({stage["perturbation"]["name"] for stage in stages if "perturbation" in stage}),
    }


def _data(ground: Ground) -> dict[str, Any]:
    dataset, card = ground.dataset, ground.dataset.card
    # A builder that draws its own images may tie no attribute to the label.
    planted = [one for one in card.get("builder", []) if one.get("attribute")]
    return {
        "name": dataset.name,
        "summary": card.get("summary", ""),
        "paper": card.get("paper", ""),
        "source": card.get("source", {}).get("name", ""),
        "seed": card.get("seed"),
        "changes": list(card.get("set", [])),
        "built_in": dataset.name in card_names("dataset") and card.get("source", {}).get("name") == "digits",
        "regime": planted[0]["regime"] if planted else "",
        "planted": plain(planted),
        "words": dict(card.get("words", {})),
        "fingerprint": dataset.fingerprint,
        "shape": list(dataset.images.shape),
        "splits": {split: len(dataset.rows(split)) for split in dataset.splits},
        "label": list(dataset.classes),
        "attributes": {name: list(dataset.table[name].cat.categories) for name in dataset.attributes},
        "group_by": list(dataset.group_by),
        "masks": dataset.masks is not None,
        "twins": TWIN in dataset.splits,
        "contingency": contingency(dataset).to_dict("records"),
        "association": association(dataset).to_dict("records"),
    }


def _continuity(arm: ArmEvidence) -> list[dict[str, Any]]:
    """Means over seeds with t intervals over seeds, per perturbation and level."""
    if "continuity" not in arm.results:
        return []
    table = arm.results["continuity"].table
    found = []
    for (perturbation, level), part in table.groupby(["perturbation", "level"], sort=False):
        row: dict[str, Any] = {
            "arm": arm.name,
            "perturbation": perturbation,
            "level": level,
            "amount": part["amount"].iloc[0],
            "n": part["n"].iloc[0],
        }
        for name in ("nds", "ds", "discontinuity_rate"):
            row[name], row[f"{name}_low"], row[f"{name}_high"] = seed_interval(part[name].to_numpy(float))
        found.append(row)
    return found


def _analyses(evidence: Sequence[ArmEvidence]) -> list[dict[str, Any]]:
    """Every analyzer that ran: its columns, and its table over seeds for each arm."""
    names = dict.fromkeys(name for one in evidence for name in one.results)
    found = []
    for name in names:
        arms = [one for one in evidence if name in one.results]
        first = arms[0].results[name]
        measured = measures_of(first)
        found.append(
            {
                "analyzer": name,
                "options": plain(first.options),
                "columns": [{**vars(column), "measure": column.name in measured} for column in first.columns],
                "rows": [{"arm": one.name, **row} for one in arms for row in one.analysis(name).to_dict("records")],
                "notes": [{"arm": one.name, "note": note} for one in arms for note in one.results[name].notes],
                "histograms": _histograms({one.name: one.results[name] for one in arms}),
            }
        )
    return found


def _histograms(results: Mapping[str, Result], bins: int = 20) -> list[dict[str, Any]]:
    """How the units of every arm scatter, all seeds together, in each measure that the table has the mean of."""
    tables = {arm: one.details for arm, one in results.items() if one.details is not None and "unit" in one.details}
    found: list[dict[str, Any]] = []
    if not tables:
        return found
    columns = next(iter(results.values())).columns
    for column in columns:
        there = all(column.name in table and table[column.name].dtype.kind in "fiu" for table in tables.values())
        if column.key or not column.better or not there:
            continue
        values = np.concatenate([[], *(table[column.name].dropna().to_numpy(float) for table in tables.values())])
        if not len(values):
            continue
        edges = np.histogram_bin_edges(values, bins)
        for arm, table in tables.items():
            keys = [one.name for one in columns if one.key and one.name in table]
            for key, part in table.groupby(keys, sort=False) if keys else [((), table)]:
                known = part[column.name].dropna().to_numpy(float)
                found.append(
                    {"measure": column.name, "arm": arm, **dict(zip(keys, key, strict=True)), "n": len(known)}
                    | {"mean": known.mean() if len(known) else None, "edges": edges.tolist()}
                    | {"counts": np.histogram(known, edges)[0].tolist()}
                )
    return found


def gallery(evidence: Sequence[ArmEvidence]) -> list[dict[str, Any]]:
    """The pictures of the first seed of every arm, maps of all seeds; columns that all arms share are taken once."""
    found: dict[tuple[str, ...], dict[str, Any]] = {}
    maps = {one.name: one.results["semantic_map"] for one in evidence if "semantic_map" in one.results}
    for arm, picture in maps_of_arms(maps) if len(maps) > 1 else ():
        place = {"analyzer": "semantic_map", "figure": picture.figure, "row": picture.row}
        entry = {**place, "column": arm, "shared": arm == MEAN_OF_ARMS, "caption": picture.caption}
        found[(*place.values(), arm)] = {**entry, "image": data_uri(picture.pixels)}
    for one in evidence:
        for name, result in one.results.items():
            for picture in () if name == "semantic_map" and len(maps) > 1 else result.pictures:
                place = {"analyzer": name, "figure": picture.figure, "row": picture.row}
                column = picture.column or one.name
                entry = {**place, "column": column, "shared": bool(picture.column), "caption": picture.caption}
                key = (*place.values(), column)
                if key not in found:
                    found[key] = {**entry, "image": data_uri(picture.pixels)}
    return list(found.values())


def _run(run: Run, arm: ArmEvidence, ground: Ground) -> dict[str, Any]:
    """One run's metrics: the same functions, over one seed."""
    correct = arm.correct(ground)[0]
    flips = arm.flips()
    enough = ground.group_size >= ENOUGH
    rates = ground.group_counts(correct[None])[0, enough] / ground.group_size[enough]
    nds = per_image(arm, "nds")
    gap = ground.gap
    return {
        "arm": run.arm,
        "seed": run.seed,
        "flip_rate": flips[0].mean() if flips is not None else None,
        "average_accuracy": correct.mean(),
        "gap": correct @ gap.coefficients if gap is not None and np.any(gap.coefficients) else None,
        "worst_group_accuracy": rates.min() if enough.any() else None,
        "nds": nds.iloc[0].mean() if nds is not None else None,
        **{name: one.iloc[0].mean() for name in SEMANTIC if (one := per_image(arm, name)) is not None},
        "loss": float(run.history["loss"].iloc[-1]),
        "seconds": run.seconds,
        "fingerprint": run.fingerprint,
        "stored": run.stored,
        "deterministic": run.where.deterministic,
    }


def _sprite(ground: Ground) -> dict[str, str] | None:
    dataset = ground.dataset
    picture = sprite(dataset)
    if picture.nbytes > 3_000_000:
        return None
    columns = " x ".join(dataset.group_by) or "no attribute"
    alt = f"One test image of each group: a column per label ({', '.join(dataset.classes[:12])}), a row per {columns}."
    return {"image": data_uri(picture), "alt": alt}


def _uses_hue(arms: Sequence[Arm]) -> list[str]:
    """Arms whose perturbations turn the hue."""
    return [
        arm.name
        for arm in arms
        if any(
            stage.get("perturbation", {}).get("name") == "hue"
            or "hue" in stage.get("perturbation", {}).get("operations", ())
            for stage in arm.card.get("stage", [])
        )
    ]


def versions() -> dict[str, str]:
    """Of biaskit, Python and the packages that numbers depend on."""
    found = {"biaskit": biaskit.__version__, "python": platform.python_version()}
    return found | {name: importlib.metadata.version(name) for name in _VERSIONS}


def _short_verdict(row: Mapping[str, Any]) -> dict[str, Any]:
    """A verdict with the interval that decided it: the one that holds together with the others."""
    ends = {"low": row["low_together"], "high": row["high_together"]}
    contrast = f"{row['arm']} - {row['against']}"
    kept = {"contrast": contrast, "metric": row["metric"], "estimate": row["estimate"]}
    return {**kept, **ends, "n_seeds": row["seeds"], "verdict": row["verdict"]}


def machine_facts(where: Machine) -> dict[str, Any]:
    """Where it ran."""
    return {
        **vars(where),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count(),
        "device": _device_name(where.device),
    }


def _device_name(device: str) -> str:
    return torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else device
