"""The policy of a gate as data: rules that a finished audit, comparison or score has to satisfy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, field_validator, model_validator

from biaskit.errors import nearest

__all__ = ["METRICS", "Policy", "PolicyMetric", "Rule"]

_STRICT = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
_LIMITS = ("min", "max", "max_drop", "min_gain")


@dataclass(frozen=True)
class PolicyMetric:
    """A metric of a rule: what it is, its unit and direction, and the keys that say which part of the data.

    Attributes
    ----------
    meaning, unit : str
    better : str
        ``"higher"`` or ``"lower"``.
    keys : tuple of str
        Of ``by``, ``attribute`` and ``where``, those it takes.
    paired : bool
        Whether two models on the same images have an interval of the difference.
    """

    meaning: str
    unit: str
    better: Literal["higher", "lower"]
    keys: tuple[str, ...]
    paired: bool = True


_GROUPS = ("by", "where")
METRICS = {
    "average_accuracy": PolicyMetric("share of right answers", "%", "higher", ("where",)),
    "mean_group_accuracy": PolicyMetric("accuracy with every group counted the same", "%", "higher", _GROUPS),
    "worst_group_accuracy": PolicyMetric("lowest accuracy of any group", "%", "higher", _GROUPS),
    "group_accuracy": PolicyMetric("accuracy of every group: the limit holds for each of them", "%", "higher", _GROUPS),
    "max_min_gap": PolicyMetric("highest minus lowest accuracy of any group", "points", "lower", _GROUPS),
    "gap": PolicyMetric(
        "difference in accuracy between the values of an attribute, standardized over labels, whatever its sign; "
        "without an attribute the gap that the audit itself reports",
        "points",
        "lower",
        ("attribute", "where"),
    ),
    "flip_rate": PolicyMetric(
        "share of test images whose answer changes when only the attribute is swapped",
        "%",
        "lower",
        ("attribute", "where"),
    ),
    "demographic_parity_difference": PolicyMetric(
        "largest difference between groups in how often a label is answered", "points", "lower", ("by",), False
    ),
    "equalized_odds_difference": PolicyMetric(
        "largest difference between groups in true or false positive rate", "points", "lower", ("by",), False
    ),
    "equal_opportunity_difference": PolicyMetric(
        "largest difference between groups in true positive rate", "points", "lower", ("by",), False
    ),
}


class Rule(BaseModel):
    """One limit for one number: a metric, or a measure of an analyzer in one condition."""

    model_config = _STRICT
    name: Annotated[str, Field(pattern=r"^(\w[\w .+-]*)?$", max_length=100)] = ""
    metric: str = ""
    analyzer: str = ""
    column: str = ""
    #: Part of the data, or the condition of an analyzer's row; a list allows each of its values.
    where: dict[str, Any] = {}
    #: Columns whose values make the groups; empty: the label and every grouping attribute.
    by: list[str] = []
    attribute: str = ""
    arm: str = ""
    #: ``"baseline"``, or another arm of the same folder: the limit is then one of the difference.
    against: str = ""
    min: float | None = None
    max: float | None = None
    max_drop: NonNegativeFloat | None = None
    min_gain: NonNegativeFloat | None = None
    #: Groups with fewer images are left out and named; empty: the policy's.
    min_n: NonNegativeInt | None = None

    @field_validator("metric")
    @classmethod
    def _known(cls, metric: str) -> str:
        if metric and metric not in METRICS:
            close = nearest(metric, METRICS)
            told = f"nearest: {', '.join(close)}" if close else f"there are {', '.join(METRICS)}"
            raise ValueError(f"no metric {metric!r}; {told}; a measure of an analyzer needs analyzer and column")
        return metric

    @model_validator(mode="after")
    def _fits(self) -> Rule:
        if bool(self.metric) == bool(self.analyzer) or bool(self.analyzer) != bool(self.column):
            raise ValueError("a rule names a metric, or an analyzer with its column")
        given = [name for name in _LIMITS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"a rule has one limit ({', '.join(_LIMITS)}), this one has "
                f"{' and '.join(given) if given else 'none'}; several limits are several rules"
            )
        keys = METRICS[self.metric].keys if self.metric else ("where",)
        for key in ("by", "attribute", "where"):
            if getattr(self, key) and key not in keys:
                raise ValueError(f"{self.measured} takes no {key}; it takes {' and '.join(keys)}")
        if len(set(self.by)) < len(self.by):
            raise ValueError(f"by names a column twice: {', '.join(self.by)}")
        if self.against:
            self._check_difference(given[0])
        elif given[0] in ("max_drop", "min_gain"):
            raise ValueError(f'{given[0]} is a limit of a difference: say against what, such as against = "baseline"')
        elif self.metric:
            self._check_range(given[0], 0.0)
        return self

    def _check_difference(self, key: str) -> None:
        if not self.metric or not METRICS[self.metric].paired:
            raise ValueError(
                f"{self.measured} has no interval of a difference on the same images; leave against out and give it "
                "a limit of its own"
            )
        if key in ("max_drop", "min_gain") and METRICS[self.metric].better == "lower":
            raise ValueError(
                f"of {self.metric} less is better, so it has no {key}; max = 0.02 allows it to grow by 2 points, "
                "max = -0.02 asks it to fall by as much"
            )
        self._check_range(key, -1.0)

    def _check_range(self, key: str, least: float) -> None:
        value = getattr(self, key)
        if not least <= value <= 1.0:
            raise ValueError(f"{key} = {value:g}: rates lie between {least:g} and 1; 0.8 is 80 %")

    @property
    def measured(self) -> str:
        """The metric, or the analyzer and its column."""
        return self.metric or f"{self.analyzer}.{self.column}"

    @property
    def called(self) -> str:
        return self.name or "_".join(part for part in (self.measured, self.attribute, self.arm) if part)

    @property
    def told(self) -> str:
        """The rule as messages name it."""
        return f'rule "{self.called}"'

    @property
    def bound(self) -> tuple[Literal["min", "max"], float]:
        """The side and the value of the limit, of a difference: rule's arm minus the other."""
        if self.max is not None:
            return "max", self.max
        if self.max_drop is not None:
            return "min", -self.max_drop
        limit = self.min if self.min is not None else self.min_gain
        assert limit is not None  # a rule has one limit
        return "min", limit


class Policy(BaseModel):
    """The rules of a gate, judged one by one; ``min_n`` is that of every rule that does not say its own."""

    model_config = _STRICT
    version: Annotated[int, Field(ge=1)]
    name: str
    summary: str = ""
    min_n: NonNegativeInt = 0
    rule: Annotated[list[Rule], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_differ(self) -> Policy:
        every = [rule.called for rule in self.rule]
        twice = next((one for one in every if every.count(one) > 1), None)
        if twice:
            raise ValueError(f'two rules are called "{twice}"; give each a name of its own')
        return self
