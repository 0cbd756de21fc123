"""Differences of arms: every pair in every metric, and the verdicts of those that carry one."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from biaskit import stats
from biaskit.evidence import ArmEvidence, Ground
from biaskit.measures import SEMANTIC, metrics_of, per_image

__all__ = ["differences", "linear_difference"]


def differences(
    evidence: Sequence[ArmEvidence],
    ground: Ground,
    *,
    reference: str | None = None,
    margin: float | None = None,
    looks: int = 1,
) -> list[dict[str, Any]]:
    """Every pair of arms in every metric that can be compared; verdicts for the reliance metric and accuracy, and for
    SRVR and the confidence over a semantic map where these were asked for.

    The family of verdicts is these metrics times all pairs, fixed before looking; everything else shows its interval
    and no verdict word.
    """
    pairs = [
        (a, b) for a, b in itertools.combinations(evidence, 2) if reference is None or reference in (a.name, b.name)
    ]
    pairs = [(b, a) if b.name == reference else (a, b) for a, b in pairs]
    metrics = {metric.name: metric for metric in metrics_of(ground, evidence)}
    found: list[tuple[str, ArmEvidence, ArmEvidence, stats.Difference, dict[str, Any]]] = []
    for name in ("flip_rate", "average_accuracy", "gap", "worst_group_accuracy", *SEMANTIC, "nds", "ds"):
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
    wide = [per_image(one, name) for one in (a, b)]
    if wide[0] is None or wide[1] is None:
        return None
    rows = wide[0].columns.intersection(wide[1].columns)
    values = [one[rows].to_numpy(float) for one in wide if one is not None]
    if name != "ds":
        extra = {"unbounded": True} if name == "nds" else {}
        return stats.difference(values[0], values[1], None, None, a.seeds, b.seeds, floor=False), extra
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
