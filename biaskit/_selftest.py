"""``bk.selftest``: plant what is known, at strengths from 0 to 1, and see that every measure of bias says so."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from biaskit import stats
from biaskit._assemble import clean_json, versions
from biaskit._audit import audit, collect
from biaskit._build import build
from biaskit._compare import compare
from biaskit.ceiling import ceiling
from biaskit.data import Dataset
from biaskit.describe import counted
from biaskit.evidence import Ground
from biaskit.measures import headline
from biaskit.rng import numpy_generator
from biaskit.telling.selftest import drawing, sentence
from biaskit.testing import graded, leans

__all__ = ["SelfTest", "selftest"]

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
SEEDS = 3
#: Numbers that are exact by hand may differ by rounding.
_ROUNDING = 1e-6

Row = dict[str, Any]


@dataclass(frozen=True)
class _Measure:
    """A measure of bias and what it must be.

    ``truth`` gives its value at a strength; where only its growth is known it is None, and ``proportional`` says that
    it is the strength times its value at 1.
    """

    name: str
    title: str
    unit: str
    truth: Callable[[float], float] | None = None
    proportional: bool = False
    #: Whether it must be nothing at strength 0; what a trained network flips by chance it flips without a shortcut too.
    null: bool = True


_MODEL = (
    _Measure("flip_rate", "flip rate", "%", lambda s: s),
    _Measure("gap", "gap, aligned - conflicting", "points", lambda s: s),
    _Measure("worst_group_accuracy", "worst group", "%", lambda s: 1 - s),
    _Measure("mean_group_accuracy", "mean over groups", "%", lambda s: 1 - s / 2),
    _Measure("max_min_gap", "best - worst group", "points", lambda s: s),
    _Measure("demographic_parity_difference", "demographic parity difference", "points", lambda s: s),
    _Measure("equalized_odds_difference", "equalized odds difference", "points", lambda s: s),
    _Measure("ds", "DS under hue", "logit^2", proportional=True),
    _Measure("nds", "nDS under hue", ""),
    _Measure("discontinuity_rate", "discontinuity rate under hue", "%"),
    _Measure("spurious_share", "attribution on the shortcut", "%", lambda s: s),
)
_DATA = (
    _Measure("association", "Cramer's V", "", lambda s: s),
    _Measure("ceiling", "attributes alone - one answer", "points", lambda s: s / 2),
)
_TRAINED = (
    _Measure("flip_rate", "flip rate", "%", null=False),
    _Measure("gap", "gap, aligned - conflicting", "points"),
)
#: Sweep -> what is planted, and its measures.
SWEEPS = {
    "model": ("share of images on which a model reads the background", _MODEL),
    "data": ("how far the background goes with the label", _DATA),
    "trained": ("how far the background goes with the label in train", _TRAINED),
}


@dataclass(frozen=True, eq=False, repr=False)
class SelfTest:
    """What every measure said of what was planted.

    Attributes
    ----------
    result : dict
        ``rows`` (a row per sweep, measure and strength: ``value, low, high, n, expected``) and ``checks`` (a row per
        sweep and measure: whether it is null at 0, rises, and is what it must be; None where that is not known).
    """

    result: dict[str, Any]

    def __repr__(self) -> str:
        return f"<SelfTest: {sentence(self.result)}>"

    @property
    def table(self) -> pd.DataFrame:
        """A row per sweep, measure and strength."""
        return pd.DataFrame(self.result["rows"])

    @property
    def checks(self) -> pd.DataFrame:
        """A row per sweep and measure."""
        return pd.DataFrame(self.result["checks"])

    @property
    def failed(self) -> list[str]:
        """Measures that did not follow what was planted."""
        return [f"{row['title']} ({row['sweep']})" for row in self.result["checks"] if not row["passed"]]

    @property
    def passed(self) -> bool:
        """Whether every measure followed what was planted."""
        return not self.failed

    def figure(self) -> str:
        """Every measure over the strength as one SVG document."""
        return drawing(self.result)


def selftest(*, full: bool = False, device: str | None = None) -> SelfTest:
    """Plant a shortcut at strengths 0, 0.25, 0.5, 0.75 and 1, and measure it.

    Three sweeps. *model*: models that read the background on a known share of every group
    (:func:`biaskit.testing.leans`), so that flip rate, gap and worst group are known to the last image. *data*: tables
    in which the background goes with the label to a known degree. *trained*: small networks that learn digits whose
    color goes with the label more and more, three seeds each; with ``full`` alone (about a minute on one core; the
    runs are stored).

    A measure passes if it is null at 0, never falls as the strength grows, ends clear of where it began, and is what
    it must be where that is known. Of trained networks the intervals decide: null is an interval with 0 in it, and a
    step falls where two intervals are apart.

    Parameters
    ----------
    full : bool
    device : str, optional

    Returns
    -------
    SelfTest

    Examples
    --------
    >>> found = selftest(device="cpu")
    >>> found.failed
    []
    >>> found.table.query("metric == 'flip_rate'")["value"].round(6).tolist()
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    started = time.perf_counter()
    rows = [*_models(device), *_tables(), *(_trained(device) if full else [])]
    checks = [
        _check(sweep, one, rows) for sweep, (_, measures) in SWEEPS.items() for one in measures if _any(sweep, rows)
    ]
    result = {
        "kind": "selftest",
        "full": full,
        "strengths": list(STRENGTHS),
        "planted": {sweep: what for sweep, (what, _) in SWEEPS.items() if _any(sweep, rows)},
        "rows": rows,
        "checks": checks,
        "seconds": round(time.perf_counter() - started, 1),
        "versions": versions(),
    }
    return SelfTest(clean_json(result))


def _any(sweep: str, rows: Sequence[Row]) -> bool:
    return any(row["sweep"] == sweep for row in rows)


def _row(sweep: str, measure: _Measure, strength: float, found: Row) -> Row:
    place = {"sweep": sweep, "metric": measure.name, "title": measure.title, "unit": measure.unit, "strength": strength}
    expected = measure.truth(strength) if measure.truth else None
    return {**place, **{key: found[key] for key in ("value", "low", "high", "n")}, "expected": expected}


def _models(device: str | None) -> list[Row]:
    """Models that read the background on a known share of the images."""
    data = graded()
    ground = Ground(data)
    count = len(ground.test)
    analyzers: dict[str, dict[str, Any]] = {
        "group_accuracy": {},
        "parity": {},
        "counterfactual_flips": {"untrained": 0},
        "continuity": {"operations": ["hue"], "levels": [1], "examples": 0, "views": []},
        "attribution": {
            "methods": ["integrated_gradients"], "images": count, "steps": 16, "pictures": 0, "operations": [],
        },
    }  # fmt: skip
    rows = []
    for strength in STRENGTHS:
        one = audit(leans(strength), data, analyzers=analyzers, device=device)
        heads = {row["metric"]: row for row in headline(collect("model", [0], {("model", 0): one}, ground), ground)}
        table = one["attribution"].table.iloc[0]
        ends = {"low": table["spurious_share_low"], "high": table["spurious_share_high"]}
        heads["spurious_share"] = {"value": table["spurious_share"], **ends, "n": table["n_spurious"]}
        rows += [_row("model", measure, strength, heads[measure.name]) for measure in _MODEL]
    # What is proportional has its scale from the model that reads nothing else.
    whole = {row["metric"]: row["value"] for row in rows if row["strength"] == STRENGTHS[-1]}
    for row in rows:
        if next(one for one in _MODEL if one.name == row["metric"]).proportional:
            row["expected"] = row["strength"] * whole[row["metric"]]
    return rows


def _tables() -> list[Row]:
    """Data in which the background goes with the label: of each label's images, (1 + strength) / 2 have its color."""
    rows = []
    for strength in STRENGTHS:
        own = round(200 * (1 + strength) / 2)
        label = np.repeat([0, 1], 200)
        color = np.concatenate([np.arange(200) >= own, np.arange(200) < own]).astype(int)
        split = ["train"] * 400 + ["test"] * 400
        data = Dataset.from_arrays(
            np.zeros((800, 1, 1), np.uint8), np.tile(label, 2), {"color": np.tile(color, 2)}, split=split
        )
        tied = stats.association(counted(data, data.rows("train"), ("color",)), numpy_generator(0, "selftest"))
        told = next(row for row in ceiling(data, ["train", "test"]) if row["split"] == "test")
        found = {
            "association": {"value": tied.v, "low": tied.low, "high": tied.high, "n": tied.n},
            "ceiling": {"value": told["lift"], "low": told["lift_low"], "high": told["lift_high"], "n": told["n"]},
        }
        rows += [_row("data", measure, strength, found[measure.name]) for measure in _DATA]
    return rows


def _trained(device: str | None) -> list[Row]:
    """Small networks on digits whose color goes with the label in train, and with nothing in test."""
    rows = []
    for strength in STRENGTHS:
        changes = [
            "builder.0.regime=correlated",
            f"builder.0.train=[{0.5 + strength / 2}]",
            "builder.0.test=[0.5]",
            "source.size=8",
            "training.epochs=4",
            "training.model.width=8",
        ]
        data = build("colordigits", set=changes)
        analyzers = ["group_accuracy", "counterfactual_flips"]
        found = compare(["plain"], data, seeds=SEEDS, analyzers=analyzers, device=device).result["headline"]
        heads = {row["metric"]: row for row in found}
        rows += [_row("trained", measure, strength, heads[measure.name]) for measure in _TRAINED]
    return rows


def _check(sweep: str, measure: _Measure, rows: Sequence[Row]) -> Row:
    """Whether a measure followed what was planted."""
    mine = [row for row in rows if row["sweep"] == sweep and row["metric"] == measure.name]
    first, last = mine[0], mine[-1]
    falling = first["expected"] is not None and last["expected"] < first["expected"]
    exact = sweep != "trained"
    steps = list(itertools.pairwise(mine))
    up, down = ("low", "high") if not falling else ("high", "low")
    sign = -1 if falling else 1
    if exact:
        nothing = first["expected"] if measure.truth else 0.0
        null = abs(first["value"] - nothing) <= _ROUNDING
        rises = all(sign * (b["value"] - a["value"]) >= -_ROUNDING for a, b in steps)
    else:
        null = first["low"] <= 0 <= first["high"]
        rises = all(b["high"] >= a["low"] for a, b in steps)
    clear = sign * (_end(last, up) - _end(first, down)) > 0
    known = None
    if all(row["expected"] is not None for row in mine):
        # V is an estimate: its interval must hold the truth. All else is the truth itself.
        inside = measure.name == "association"
        known = all(
            row["low"] <= row["expected"] <= row["high"] if inside else abs(row["value"] - row["expected"]) <= _ROUNDING
            for row in mine
        )
    checks = {"null": null if measure.null else None, "rises": rises and clear, "known": known}
    passed = all(one is not False for one in checks.values())
    return {"sweep": sweep, "metric": measure.name, "title": measure.title, **checks, "passed": passed}


def _end(row: Row, key: str) -> float:
    """An end of the interval, or the value where one model has none."""
    return float(row["value"] if row[key] is None or np.isnan(row[key]) else row[key])
