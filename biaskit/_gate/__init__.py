"""``bk.gate``: does a finished audit, comparison or score satisfy a policy, and is the evidence enough to say so?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from biaskit._gate.answers import Answers, Evidence, one_of
from biaskit._gate.changes import change
from biaskit._gate.disparities import gap, max_min_gap, parity
from biaskit._gate.levels import (
    Finding,
    average_accuracy,
    flip_rate,
    group_accuracy,
    mean_group_accuracy,
    undefined,
    worst_group_accuracy,
)
from biaskit.amounts import fraction
from biaskit.disk import disk_errors
from biaskit.errors import DataError, SpecError, StoreError
from biaskit.policy import METRICS, Policy, Rule
from biaskit.specs import check_card, read_toml
from biaskit.telling.gate import job_summary, junit, summary
from biaskit.telling.stored import SCHEMA

__all__ = ["EXIT_CODES", "FILES", "Gate", "gate"]

#: What the command line exits with; 2 is bad usage or bad input.
EXIT_CODES = {"pass": 0, "fail": 1, "inconclusive": 3}
#: What ``Gate.save`` writes.
FILES = ("gate.xml", "gate.md")
#: The name of the other folder in a rule.
_BASELINE = "baseline"
#: Metrics that read ``by``, ``where`` and ``attribute`` of their rule.
_MEASURED: dict[str, Callable[[Rule, Answers, int], Finding]] = {
    "average_accuracy": average_accuracy,
    "mean_group_accuracy": mean_group_accuracy,
    "worst_group_accuracy": worst_group_accuracy,
    "group_accuracy": group_accuracy,
    "max_min_gap": max_min_gap,
    "gap": gap,
    "flip_rate": flip_rate,
    "demographic_parity_difference": parity,
    "equalized_odds_difference": parity,
    "equal_opportunity_difference": parity,
}


@dataclass(frozen=True, eq=False, repr=False)
class Gate:
    """The outcome of every rule of a policy.

    Attributes
    ----------
    result : dict
        ``verdict``, ``exit_code``, ``folder``, ``baseline``, ``policy``, ``summary`` (the outcome in a sentence),
        ``data``, ``notes``, and ``rules``: a row per rule with its number, interval, limit and ``result``.
    """

    result: dict[str, Any]

    def __repr__(self) -> str:
        told = ", ".join(f"{row['name']} {row['result']}" for row in self.result["rules"])
        return f"<Gate of {self.result['folder']}: {self.verdict} ({told})>"

    @property
    def verdict(self) -> str:
        """``"pass"``, ``"fail"``, or ``"inconclusive"`` where no rule fails and one cannot be decided."""
        return str(self.result["verdict"])

    @property
    def exit_code(self) -> int:
        """0, 1, or 3."""
        return EXIT_CODES[self.verdict]

    @property
    def table(self) -> pd.DataFrame:
        """A row per rule, in the order of the policy: name, metric, value, low, high, n, limit, result, ..."""
        return pd.DataFrame(self.result["rules"])

    def save(self, folder: str | Path) -> list[Path]:
        """Write ``gate.xml`` (JUnit) and ``gate.md`` (a summary) into a folder, each whole or not at all.

        Returns
        -------
        list of Path
            Both files.
        """
        folder = Path(folder)
        texts = dict(zip(FILES, (junit(self.result), job_summary(self.result)), strict=True))
        with disk_errors(folder):
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except FileNotFoundError:
                raise StoreError(f"{folder} cannot be made there; choose another folder with --out") from None
            parts = [folder / f".{name}.part" for name in texts]
            try:
                for part, text in zip(parts, texts.values(), strict=True):
                    part.write_text(text, encoding="utf-8", newline="\n")
                for part, name in zip(parts, texts, strict=True):
                    part.replace(folder / name)
            finally:
                for part in parts:
                    part.unlink(missing_ok=True)
        return [folder / name for name in texts]


def gate(folder: str | Path, policy: str | Path | Mapping[str, Any], *, baseline: str | Path | None = None) -> Gate:
    """Hold the evidence of a folder against a policy, rule by rule.

    A rule passes where the end of its 95 % interval that argues against it still satisfies the limit, fails where the
    other end violates it, and is inconclusive otherwise: of ``min = L`` it passes if ``low >= L`` and fails if
    ``high < L``. An interval of the lowest or highest of G groups pays for having looked at all of them: for a
    minimum over groups ``low = min_g low_g(.025)`` and ``high = min_g high_g(.025 / G)``.

    Parameters
    ----------
    folder : str or Path
        What an audit, ``compare``, ``sweep`` or ``score`` wrote.
    policy : str, Path or mapping
        A TOML file, or its content: ``version = 1`` and ``[[rule]]`` tables; see docs/gate.md.
    baseline : str or Path, optional
        The folder that rules with ``against = "baseline"`` compare with, on the same images.

    Returns
    -------
    Gate

    Raises
    ------
    SpecError
        The policy is wrong, or names what the folder does not have.
    DataError
        A folder that cannot be read, or whose images differ from those of the baseline.

    References
    ----------
    Clopper & Pearson 1934, Biometrika 26:404; Berger 1982, Technometrics 24:295; Bonett & Price 2012, JEBS 37:479.

    Examples
    --------
    >>> import tempfile
    >>> from biaskit import testing
    >>> from biaskit._audit import audit
    >>> found = audit(testing.reads("background"), testing.tiny(per_group=20), analyzers=["group_accuracy"])
    >>> rules = [{"metric": "worst_group_accuracy", "min": 0.8}, {"metric": "average_accuracy", "min": 0.3}]
    >>> with tempfile.TemporaryDirectory() as place:
    ...     gate(found.save(f"{place}/out"), {"version": 1, "rule": rules}).table["result"].tolist()
    ['fail', 'pass']
    """
    rules = _policy(policy)
    evidence = Evidence(folder)
    other = Evidence(baseline) if baseline is not None else None
    rows = [_named(rule, rules, evidence, other) for rule in rules.rule]
    results = {row["result"] for row in rows}
    verdict = next(word for word in ("fail", "inconclusive", "pass") if word in results)
    notes = []
    if other is not None and not any(rule.against == _BASELINE for rule in rules.rule):
        notes.append(f'no rule compares with {baseline}: a rule does with against = "{_BASELINE}"')
    return Gate(
        {
            "schema_version": SCHEMA,
            "kind": "gate",
            "verdict": verdict,
            "exit_code": EXIT_CODES[verdict],
            "folder": str(folder),
            "baseline": str(baseline) if baseline is not None else None,
            "policy": rules.name,
            "summary": summary({"rules": rows}),
            "data": str(evidence.result.get("data", {}).get("name", "")),
            "rules": rows,
            "notes": notes,
        }
    )


def _policy(given: str | Path | Mapping[str, Any]) -> Policy:
    if isinstance(given, Mapping):
        return check_card(Policy, given, "policy")  # type: ignore[no-any-return]
    return check_card(Policy, read_toml(Path(given)), str(given))  # type: ignore[no-any-return]


def _named(rule: Rule, policy: Policy, evidence: Evidence, baseline: Evidence | None) -> dict[str, Any]:
    """One rule judged; what is wrong with it is said with its name."""
    try:
        return _row(rule, policy, evidence, baseline)
    except SpecError as error:
        raise SpecError(f"{rule.told}: {error}") from None


def _row(rule: Rule, policy: Policy, evidence: Evidence, baseline: Evidence | None) -> dict[str, Any]:
    """One rule with its evidence and what may be said of it."""
    min_n = policy.min_n if rule.min_n is None else rule.min_n
    arm = evidence.arm(rule.arm)
    way, limit = rule.bound
    if rule.analyzer:
        found, unit, seeds = _of_analyzer(rule, evidence, arm, min_n)
    else:
        answers = evidence.answers(arm)
        seeds = len(answers.seeds)
        if rule.against:
            before = _against(rule, evidence, baseline, arm)
            found, unit = change(rule, answers, before, min_n), "points"
            seeds = min(seeds, len(before.seeds))
        else:
            part = answers.where(rule.where)
            found, unit = _MEASURED[rule.metric](rule, part, min_n), METRICS[rule.metric].unit
    return {
        "name": rule.called,
        "metric": rule.measured,
        "arm": arm,
        "against": rule.against,
        "value": _number(found.value),
        "low": _number(found.low),
        "high": _number(found.high),
        "n": found.n,
        "seeds": seeds,
        "of": found.what,
        "unit": unit,
        "limit": way,
        "limit_value": limit,
        "result": _judged(way, limit, found.low, found.high),
        "reason": found.reason,
        "notes": list(dict.fromkeys(found.notes)),
    }


def _judged(way: str, limit: float, low: float, high: float) -> str:
    """What an interval says of a limit; one that is not known says nothing."""
    if math.isnan(low) or math.isnan(high):
        return "inconclusive"
    if way == "min":
        return "pass" if low >= limit else "fail" if high < limit else "inconclusive"
    return "pass" if high <= limit else "fail" if low > limit else "inconclusive"


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _against(rule: Rule, evidence: Evidence, baseline: Evidence | None, arm: str) -> Answers:
    """The answers that a rule compares with.

    Raises
    ------
    SpecError
        No baseline was given, or it has no such arm.
    DataError
        It is about other data.
    """
    if rule.against != _BASELINE:
        other = one_of(rule.against, evidence.arms, f'arm in {evidence.folder} to compare with ("baseline" apart):')
        if other == arm:
            raise SpecError(f"{arm} is compared with itself")
        return evidence.answers(other)
    if baseline is None:
        raise SpecError("it compares with a baseline; name its folder with --baseline")
    for one in (evidence, baseline):
        if one.kind == "score":
            raise DataError(
                f"{rule.told}: {one.folder} holds counts and no answer to a single image, and a difference is paired "
                "image by image; give two audits of the same images"
            )
    if not evidence.fingerprint or evidence.fingerprint != baseline.fingerprint:
        raise DataError(
            f"{rule.told}: {evidence.folder} and {baseline.folder} are about other data (fingerprints "
            f"{evidence.fingerprint[:8] or 'unknown'} and {baseline.fingerprint[:8] or 'unknown'}); a difference is "
            "paired on the same images: audit both models on one data set"
        )
    return baseline.answers(arm if arm in baseline.arms else baseline.arm(""))


def _of_analyzer(rule: Rule, evidence: Evidence, arm: str, min_n: int) -> tuple[Finding, str, int]:
    """A measure of an analyzer in the one condition that ``where`` leaves."""
    name = rule.analyzer.replace("-", "_")
    failed = [one for one in evidence.result.get("failed", []) if one["analyzer"] == name and one["arm"] == arm]
    seeds = len(evidence.result.get("seeds") or [0])
    if failed:
        return undefined(f"{name} could not run: {failed[0]['reason']}"), "", seeds
    ran = {one["analyzer"]: one for one in evidence.result.get("analyses", [])}
    if name not in ran:
        raise SpecError(
            f"{name} was not run; it ran {', '.join(ran) or 'no analyzer'}: audit again with --analyzers {name}"
        )
    columns = {one["name"]: one for one in ran[name]["columns"]}
    measures = {key: one for key, one in columns.items() if one["measure"]}
    column = measures[one_of(rule.column, measures, f"measure of {name}")]
    keys = [key for key, one in columns.items() if one["key"]]
    row = _one_row(rule, [one for one in ran[name]["rows"] if one["arm"] == arm], keys)
    what = ", ".join(str(row[key]) for key in keys if key in rule.where)
    n, unit = int(row.get("n") or 0), str(column["unit"])
    if n < min_n:
        return undefined(f"{n} images, fewer than min_n = {min_n}", n), unit, seeds
    value, low, high = (row.get(key) for key in (rule.column, f"{rule.column}_low", f"{rule.column}_high"))
    if value is None:
        return undefined(f"{rule.column} is undefined there", n), unit, seeds
    if low is None or high is None:
        raise SpecError(
            f"{rule.measured} has no interval here, so no limit can be held against it; take a measure "
            "that has one, or an arm over several seeds (biaskit compare)"
        )
    return Finding(float(value), float(low), float(high), n, what), unit, seeds


def _one_row(rule: Rule, rows: list[dict[str, Any]], keys: list[str]) -> dict[str, Any]:
    """The one row of an analyzer that has the values of ``where``."""
    left = rows
    for key, wanted in rule.where.items():
        one_of(key, keys, f"key of {rule.analyzer}")
        listed = list(dict.fromkeys(str(row[key]) for row in left))
        left = [row for row in left if _same(row[key], wanted)]
        if not left:
            one_of(str(wanted), listed, f"{key} in {rule.analyzer}")
            raise SpecError(f"no row of {rule.analyzer} has {key} = {wanted}")
    if len(left) == 1:
        return left[0]
    several = {key: list(dict.fromkeys(str(row[key]) for row in left)) for key in keys}
    open_keys = [f"{key} ({', '.join(values[:4])}{', ...' if values[4:] else ''})" for key, values in several.items()
                 if len(values) > 1]  # fmt: skip
    raise SpecError(f"{rule.analyzer} has {len(left)} such rows; where has to say which: {', '.join(open_keys)}")


def _same(found: Any, wanted: Any) -> bool:
    """Whether a cell is what a rule names: the same text or number, a pixel distance also as a fraction."""
    if str(found) == str(wanted):
        return True
    try:
        number = fraction(wanted) if isinstance(wanted, str) else float(wanted)
        return number is not None and math.isclose(float(found), number, rel_tol=1e-9)
    except (TypeError, ValueError):
        return False
