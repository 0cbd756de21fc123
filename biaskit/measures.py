"""The metrics of one arm, over its seeds and images, from stored answers alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from biaskit import stats
from biaskit.contrast import Contrast, contrast
from biaskit.evidence import ArmEvidence, Ground, seed_interval
from biaskit.rng import numpy_generator

__all__ = [
    "SEMANTIC",
    "Metric",
    "attribute_gaps",
    "attribute_values",
    "group_rows",
    "headline",
    "metrics_of",
    "permuted_gap",
    "per_image",
]

Floats = npt.NDArray[np.float64]
#: Smallest and largest value of the metrics that are no rates.
LIMITS = {"gap": (-1.0, 1.0), "nds": (0.0, np.inf), "ds": (0.0, np.inf)}
#: Draws of the permutation test and of the noise floor.
DRAWS = 9_999
FLOOR_DRAWS = 199


@dataclass(frozen=True)
class Metric:
    """A row of the result: its name in files, its title, unit, direction and meaning."""

    name: str
    title: str
    unit: str
    better: str
    meaning: str
    verdict: bool = False


#: Metrics of analyzers that are compared like accuracy where they were asked for: the analyzer, its column per image,
#: and the columns of the condition; the first one that was asked for is the one that arms are compared by.
SEMANTIC = {
    "srvr": ("semantic_regions", "volume", ("method", "level")),
    "map_confidence": ("semantic_map", "confidence", ()),
}

_ASKED = (
    Metric(
        "srvr",
        "SRVR",
        "%",
        "higher",
        "semantic robustness volume ratio: mean share of the domain that regions cover, by the first method and level",
        True,
    ),
    Metric(
        "map_confidence",
        "confidence over the map",
        "%",
        "higher",
        "mean confidence in the label over the grid of the semantic map",
        True,
    ),
)

_MORE = (
    Metric(
        "worst_group_accuracy",
        "worst group",
        "%",
        "higher",
        "lowest accuracy of any group, as the mean over seeds; low by chance alone where groups are small",
    ),
    Metric("mean_group_accuracy", "mean over groups", "%", "higher", "accuracy with every group counted the same"),
    Metric(
        "adjusted_average_accuracy",
        "accuracy, train mix",
        "%",
        "higher",
        "accuracy with the groups weighted as in train",
    ),
    Metric(
        "max_min_gap",
        "best - worst group",
        "points",
        "lower",
        "highest minus lowest accuracy of any group, as means over seeds; above 0 by chance alone",
    ),
    Metric(
        "nds",
        "nDS, level 1",
        "",
        "lower",
        "distance of the logits under the mildest perturbations, over the distance to another image of the class",
    ),
    Metric(
        "ds",
        "DS, level 1",
        "logit^2",
        "lower",
        "squared distance of the logits, summed over the perturbations at level 1; "
        "differences are ratios of geometric means",
    ),
    Metric(
        "discontinuity_rate",
        "discontinuity rate",
        "%",
        "lower",
        "share of pairs in which the perturbed copy is further from its image than another image of the class",
    ),
    Metric(
        "demographic_parity_difference",
        "demographic parity difference",
        "points",
        "lower",
        "largest difference between attribute values in how often a label is answered, each label against the rest",
    ),
    Metric(
        "equalized_odds_difference",
        "equalized odds difference",
        "points",
        "lower",
        "largest difference between attribute values in true or false positive rate, each label against the rest",
    ),
)


def metrics_of(ground: Ground, arms: Sequence[ArmEvidence] = ()) -> list[Metric]:
    """The metrics in the order of display; those that carry verdicts are marked.

    Those of :data:`SEMANTIC` are there where these arms were measured in them.
    """
    gap, decides = ground.gap, ground.reliance
    words = ground.dataset.card.get("words", {}).get(ground.attribute or "", ground.attribute)
    found = []
    if ground.twins is not None:
        meaning = f"share of test images whose answer changes when only the {words} is swapped; 0 is best"
        found.append(Metric("flip_rate", "flip rate", "%", "lower", meaning, decides == "flip_rate"))
    found.append(
        Metric(
            "average_accuracy", "accuracy", "%", "higher", "share of right answers on the test set as it is mixed", True
        )
    )
    if gap is not None:
        meaning = f"accuracy on {gap.plus} minus accuracy on {gap.minus}, standardized over labels; 0 is best"
        found.append(Metric("gap", f"gap, {gap.plus} - {gap.minus}", "points", "zero", meaning, decides == "gap"))
    asked = [one for one in _ASKED if any(per_image(arm, one.name) is not None for arm in arms)]
    return [*found, *asked, *_MORE]


def headline(arm: ArmEvidence, ground: Ground) -> list[dict[str, Any]]:
    """Every metric of one arm: value, interval, n, and what belongs to it."""
    correct = arm.correct(ground)
    rows = [*_flip_row(arm, ground), _row("average_accuracy", stats.arm_rate(correct, None, ground.groups))]
    if ground.gap is not None:
        rows.append(_gap_row(correct, ground, ground.gap))
    rows.append(_worst_row(correct, ground))
    rows.append(_row("mean_group_accuracy", stats.arm_rate(correct, ground.group_weights, ground.groups)))
    weights = ground.train_weights
    if weights is not None:
        rows.append(_row("adjusted_average_accuracy", stats.arm_rate(correct, weights / weights.sum(), ground.groups)))
    rows.append(_spread_row(correct, ground))
    for name in ("nds", "ds", *SEMANTIC):
        values = per_image(arm, name)
        if values is not None:
            c = np.full(values.shape[1], 1 / values.shape[1])
            rows.append(_row(name, stats.arm_contrast(values.to_numpy(float), c, floor=False)))
    for analyzer, column in (
        ("continuity", "discontinuity_rate"),
        ("parity", "demographic_parity_difference"),
        ("parity", "equalized_odds_difference"),
    ):
        if analyzer in arm.results:
            rows.append(_over_seeds(arm.results[analyzer].table, column))
    return [{"arm": arm.name, "seeds": len(arm.seeds), **_possible(row)} for row in rows]


def per_image(arm: ArmEvidence, metric: str) -> pd.DataFrame | None:
    """nDS or DS at level 1, or a metric of :data:`SEMANTIC` in the first condition that was asked for: seeds x rows.

    None where its analyzer was not run.
    """
    if metric not in SEMANTIC:
        return arm.per_image("continuity", metric, perturbation="all", level=1)
    analyzer, column, keys = SEMANTIC[metric]
    found = arm.results.get(analyzer)
    if found is None or found.samples is None or not len(found.samples):
        return None
    return arm.per_image(analyzer, column, **{key: found.samples[key].iloc[0] for key in keys})


def _possible(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose interval ends where its metric does: a t interval knows no bounds, a rate does."""
    least, most = LIMITS.get(row["metric"], (0.0, 1.0))
    return {**row, "low": max(row["low"], least), "high": min(row["high"], most)}


def group_rows(arm: ArmEvidence, ground: Ground) -> list[dict[str, Any]]:
    """Every group of the full product, empty ones included: mean over seeds with its interval."""
    correct = arm.correct(ground)
    columns = ["label", *ground.dataset.group_by]
    found = []
    for number, names in enumerate(ground.dataset.groups[columns].to_dict("records")):
        mine = ground.groups == number
        rate = stats.arm_rate(correct[:, mine]) if mine.any() else None
        n = int(mine.sum())
        note = "" if n >= stats.ENOUGH else f"insufficient (n={n})"
        named = {str(key): value for key, value in names.items()}
        found.append({"arm": arm.name, **named, "n": n, **_interval(rate), "note": note})
    return found


def attribute_values(arm: ArmEvidence, ground: Ground) -> list[dict[str, Any]]:
    """Accuracy per value of every grouping attribute."""
    correct, table = arm.correct(ground), ground.dataset.table.iloc[ground.test]
    found = []
    for attribute in ground.dataset.group_by:
        for value in table[attribute].cat.categories:
            mine = (table[attribute] == value).to_numpy()
            rate = stats.arm_rate(correct[:, mine], None, ground.groups[mine]) if mine.any() else None
            found.append(
                {"arm": arm.name, "attribute": attribute, "value": str(value), "n": int(mine.sum()), **_interval(rate)}
            )
    return found


def attribute_gaps(arm: ArmEvidence, ground: Ground) -> list[dict[str, Any]]:
    """The gap of every attribute, inside the groups and outside, the deciding one first.

    Two values, or *aligned* and *conflicting* where the attribute follows the label: accuracy on the one side minus
    accuracy on the other, standardized over labels, as in the headline. More values of a single model: the highest
    minus the lowest, with the interval and the test of an extreme, because the two were picked by looking. More
    values of an arm over seeds: the commonest minus the rarest, which were picked beforehand.

    Returns
    -------
    list of dict
        One per attribute: ``from`` and ``to`` (what is subtracted from what), ``values`` (how many it has), value,
        interval, n, noise floor, p of the permutation within labels, ``p_holm`` over the attributes, ``picked``
        (whether the two were picked by looking), and the reason where there is no number.
    """
    correct, dataset = arm.correct(ground), ground.dataset
    found = []
    for attribute in sorted(dataset.attributes, key=lambda name: name != ground.attribute):
        sides = contrast(dataset, attribute)
        count = len(dataset.table[attribute].cat.categories)
        follows = (sides.plus, sides.minus) == ("aligned", "conflicting")
        picked = count > 2 and not follows and len(arm.seeds) == 1
        row = _largest_gap(correct[0], ground, attribute) if picked else _gap_row(correct, ground, sides)
        row |= {"arm": arm.name, "attribute": attribute, "values": count, "picked": picked, "seeds": len(arm.seeds)}
        found.append(_possible({"p": np.nan, "noise": np.nan, "reason": "", **row}))
    for row, p in zip(found, stats.holm([row["p"] for row in found]) if found else (), strict=True):
        row["p_holm"] = float(p)
    order = ("arm", "attribute", "values", "from", "to", "picked", "value", "low", "high", "n", "seeds", "noise", "p")
    return [{key: row[key] for key in (*order, "p_holm", "left_out", "reason")} for row in found]


def _largest_gap(correct: Floats, ground: Ground, attribute: str) -> dict[str, Any]:
    """The highest minus the lowest rate of an attribute of one model, at the same mix of labels."""
    column = ground.dataset.table[attribute].iloc[ground.test]
    names, codes = list(column.cat.categories), column.cat.codes.to_numpy(np.int64)
    shape = (len(ground.dataset.classes), len(names))
    cells = ground.labels * shape[1] + codes
    n = np.bincount(cells, minlength=shape[0] * shape[1]).reshape(shape)
    right = np.bincount(cells, weights=correct, minlength=n.size).reshape(shape).astype(np.int64)
    gap = stats.attribute_gap(right, n)
    test = stats.attribute_test(right, n, numpy_generator(0, "permutation"), DRAWS)
    high, low = (names[one] for one in gap.values) if gap.values else ("highest", "lowest")
    return {
        "metric": "gap",
        "from": high,
        "to": low,
        "left_out": [ground.dataset.classes[one] for one in gap.left_out],
        "value": gap.estimate,
        "low": gap.low,
        "high": gap.high,
        "n": int(n.sum()),
        "noise": test.floor,
        "p": test.p,
        "reason": gap.reason,
    }


def permuted_gap(
    scores: Floats, labels: npt.NDArray[np.int64], gap: Contrast, rng: np.random.Generator, draws: int = DRAWS
) -> tuple[float, float]:
    """p and noise floor of a gap, by shuffling the sides within each label.

    ``scores`` is each image's mean over the seeds, so the test speaks of these trainings. The scores of a label take
    few values; which of them fall on one side of a shuffle is a multivariate hypergeometric draw.

    Returns
    -------
    p : float
        ``(1 + #{|T*| >= |T| - 1e-12}) / (draws + 1)``.
    floor : float
        Mean of ``|T*|``: the gap that chance alone gives.
    """
    if not np.any(gap.coefficients):
        return float("nan"), float("nan")
    total = np.zeros(draws)
    for label in np.unique(labels[gap.coefficients != 0]):
        mine = (labels == label) & (gap.coefficients != 0)
        plus, minus = int((mine & (gap.side > 0)).sum()), int((mine & (gap.side < 0)).sum())
        values, counts = np.unique(scores[mine].round(12), return_counts=True)
        drawn = rng.multivariate_hypergeometric(counts, plus, size=draws) @ values
        weight = float(gap.coefficients[mine & (gap.side > 0)].sum())
        total += weight * (drawn / plus - (float(counts @ values) - drawn) / minus)
    seen = abs(float(scores @ gap.coefficients))
    return float((1 + (np.abs(total) >= seen - 1e-12).sum()) / (draws + 1)), float(np.abs(total).mean())


def _flip_row(arm: ArmEvidence, ground: Ground) -> list[dict[str, Any]]:
    flips = arm.flips()
    if flips is None:
        return []
    row = _row("flip_rate", stats.arm_rate(flips))
    if "counterfactual_flips" in arm.results:
        table = arm.results["counterfactual_flips"].table
        # The first row of an attribute is that of all labels; other shortcuts of the data set are not mixed in.
        whole = table[table["attribute"] == ground.attribute].groupby("seed").first()
        for name in ("right_to_wrong", "wrong_to_right", "untrained"):
            row[name] = float(whole[name].mean())
    return [row]


def _gap_row(correct: Floats, ground: Ground, gap: Contrast) -> dict[str, Any]:
    row: dict[str, Any] = {"metric": "gap", "from": gap.plus, "to": gap.minus, "left_out": list(gap.left_out)}
    if not np.any(gap.coefficients):
        reason = f"no label has test images both {gap.plus} and {gap.minus}"
        if gap.plus == gap.minus:
            reason = f"every test image is {gap.plus}"
        return {**row, "value": np.nan, "low": np.nan, "high": np.nan, "n": 0, "reason": reason}
    rate = stats.arm_contrast(correct, gap.coefficients, ground.groups)
    p, noise = permuted_gap(correct.mean(axis=0), ground.labels, gap, numpy_generator(0, "permutation"))
    return {**row, **_row("gap", rate), "p": p, "noise": noise}


def _worst_row(correct: Floats, ground: Ground) -> dict[str, Any]:
    """The group of the lowest mean over seeds: the same mean, and so the same group, as in the table of groups."""
    worst = stats.arm_worst_group(correct, ground.groups, ground.splits)
    size, counts = ground.group_size, ground.group_counts(correct)
    rates = np.where(size >= stats.ENOUGH, counts / np.maximum(size, 1), np.inf)
    means = rates.mean(axis=0)
    lowest = int(means.argmin())
    known = bool(np.isfinite(means[lowest]))
    shape = (len(ground.dataset.classes), -1)
    floors = [
        stats.noise_floor(one.reshape(shape), size.reshape(shape), numpy_generator(0, "floor", seed), FLOOR_DRAWS).worst
        for seed, one in enumerate(counts)
    ]
    return {
        "metric": "worst_group_accuracy",
        "value": float(means[lowest]) if known else np.nan,
        "low": worst.low,
        "high": worst.high,
        "n": len(ground.test),
        "half_split": worst.estimate,
        "group": ground.group_names[lowest] if known else "",
        "group_n": int(size[lowest]) if known else 0,
        "times": int((rates.argmin(axis=1) == lowest).sum()) if known else 0,
        "if_equal": float(np.mean(floors)),
        "insufficient": [ground.group_names[one] for one in worst.insufficient],
        "reason": worst.reason,
    }


def _spread_row(correct: Floats, ground: Ground) -> dict[str, Any]:
    """Highest minus lowest of the groups' means over seeds."""
    spread = stats.arm_max_min_gap(correct, ground.groups, ground.splits)
    enough = ground.group_size >= stats.ENOUGH
    means = ground.group_counts(correct).mean(axis=0)[enough] / ground.group_size[enough]
    value = float(means.max() - means.min()) if len(means) > 1 else np.nan
    ends = {"low": spread.low, "high": spread.high, "half_split": spread.estimate}
    return {"metric": "max_min_gap", "value": value, **ends, "n": len(ground.test)}


def _over_seeds(table: pd.DataFrame, column: str) -> dict[str, Any]:
    part = table
    if column == "discontinuity_rate":
        part = table[(table["perturbation"] == "all") & (table["level"] == 1)]
    value, low, high = seed_interval(part[column].to_numpy(float))
    n = int(part["n"].iloc[0]) if len(part) else 0
    return {"metric": column, "value": value, "low": low, "high": high, "n": n, "over": "seeds"}


def _row(metric: str, rate: stats.Rate) -> dict[str, Any]:
    return {"metric": metric, "value": rate.estimate, "low": rate.low, "high": rate.high, "n": rate.n}


def _interval(rate: stats.Rate | None) -> dict[str, float]:
    if rate is None:
        return {"accuracy": np.nan, "low": np.nan, "high": np.nan}
    return {"accuracy": rate.estimate, "low": rate.low, "high": rate.high}
