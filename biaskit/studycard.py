"""The card of a study: the tables and figures of a paper as data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveInt, field_validator, model_validator

from biaskit.amounts import fraction
from biaskit.errors import nearest

__all__ = ["Claim", "Curve", "Item", "Measure", "Preset", "StudyArm", "StudyCard", "StudyData", "Sweep"]

_STRICT = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def _number(value: Any) -> Any:
    """``"8/255"`` as the number it is."""
    found = fraction(value) if isinstance(value, str) else None
    return value if found is None else found


class Measure(BaseModel):
    """A number of an arm in a study: one that every data set has, or a column of an analyzer in one condition."""

    model_config = _STRICT
    title: str
    unit: Literal["%", "points", "logit^2", ""] = ""
    better: Literal["higher", "lower", ""] = ""
    metric: Literal["average_accuracy", "flip_rate", ""] = ""
    analyzer: str = ""
    column: str = ""
    where: dict[str, Any] = {}
    #: Smallest and largest value it can have, where its unit does not say so.
    limits: tuple[float, float] | None = None
    #: The condition whose mean it is divided by: what is left of it.
    relative_to: dict[str, Any] = {}
    #: Arms are compared by the ratio of their geometric means.
    ratio: bool = False
    #: The presets that have it; empty: all.
    presets: list[str] = []

    @field_validator("where", "relative_to")
    @classmethod
    def _fractions(cls, given: dict[str, Any]) -> dict[str, Any]:
        return {
            key: [_number(one) for one in value] if isinstance(value, list) else _number(value)
            for key, value in given.items()
        }

    @model_validator(mode="after")
    def _one_source(self) -> Measure:
        if bool(self.metric) == bool(self.analyzer) or bool(self.analyzer) != bool(self.column):
            raise ValueError("a measure names a metric, or an analyzer with its column")
        return self


class StudyData(BaseModel):
    """The data set of a role in a preset; ``same`` where it is the paper's own."""

    model_config = _STRICT
    card: str
    label: str
    same: bool = False
    set: list[str] = []


class Preset(BaseModel):
    """A size of a study: data, budget, seeds, options of the analyzers."""

    model_config = _STRICT
    summary: str
    budget: str
    seeds: PositiveInt = 3
    data: dict[str, StudyData]
    set: list[str] = []
    analyzers: dict[str, dict[str, Any]] = {}
    notes: list[str] = []


class StudyArm(BaseModel):
    """A recipe in a study, changed by ``set``, and what the paper calls it; empty: it is ours."""

    model_config = _STRICT
    recipe: str
    #: What items call it; empty: as the recipe is written.
    name: str = ""
    paper: str = ""
    set: list[str] = []
    #: The presets that have it; empty: all.
    presets: list[str] = []

    @property
    def called(self) -> str:
        return self.name or self.recipe


class Sweep(BaseModel):
    """An arm for every value of one key of a recipe."""

    model_config = _STRICT
    recipe: str
    param: str
    values: Annotated[list[Any], Field(min_length=2)]


class Curve(BaseModel):
    """A measure against a key column of its analyzer, or against the swept value where ``x`` is empty.

    With ``bins`` it is the distribution of the measure's column over the units of a network instead.
    """

    model_config = _STRICT
    panel: str
    measure: str
    x: str = ""
    x_title: str
    bins: Annotated[int, Field(ge=2)] | None = None


class Claim(BaseModel):
    """What a paper says of two arms; ``margin`` is the loss that still counts as none."""

    model_config = _STRICT
    claim: str
    measure: str
    arm: str
    than: str
    expect: Literal["higher", "lower", "not lower", "not higher"]
    margin: NonNegativeFloat = 0.0

    @model_validator(mode="after")
    def _margin_fits(self) -> Claim:
        if self.expect.startswith("not ") != (self.margin > 0):
            raise ValueError("'not lower' and 'not higher' need a margin above 0, the others have none")
        return self


class Item(BaseModel):
    """A table or a figure of a paper."""

    model_config = _STRICT
    name: Annotated[str, Field(pattern=r"^[a-z]+[0-9]*[a-z]?$")]
    title: str
    about: str
    data: str
    original: str
    arms: list[str] = []
    sweep: Sweep | None = None
    analyzers: list[str] = []
    measures: list[str] = []
    published: dict[str, dict[str, float]] = {}
    published_on: str = ""
    curve: list[Curve] = []
    claim: list[Claim] = []
    #: Beginnings of the names of the gallery's figures.
    figures: list[str] = []
    notes: list[str] = []


class StudyCard(BaseModel):
    """The tables and figures of a paper as data: arms, data, analyzers, published numbers and claims."""

    model_config = _STRICT
    version: Annotated[int, Field(ge=1)]
    name: str
    summary: str
    paper: str
    arm: Annotated[list[StudyArm], Field(min_length=1)]
    measure: dict[str, Measure] = {}
    preset: dict[str, Preset]
    item: Annotated[list[Item], Field(min_length=1)]

    @model_validator(mode="after")
    def _names_fit(self) -> StudyCard:
        arms = {arm.called for arm in self.arm}
        if len(arms) < len(self.arm):
            every = [arm.called for arm in self.arm]
            raise ValueError(f"two arms are called {next(one for one in every if every.count(one) > 1)}")
        twice = [
            item.name for number, item in enumerate(self.item) if item.name in {o.name for o in self.item[:number]}
        ]
        if twice:
            raise ValueError(f"two items are called {twice[0]}")
        for item in self.item:
            used = {*item.measures, *item.published}
            used |= {one.measure for one in item.curve} | {one.measure for one in item.claim}
            swept = {item.sweep.recipe} if item.sweep else set()
            for what, names, known in (
                ("measure", used, set(self.measure)),
                ("arm", {*item.arms, *swept}, arms),
                ("published arm", {name for one in item.published.values() for name in one}, set(item.arms)),
            ):
                if item.sweep is None and not all(one.x or one.bins for one in item.curve):
                    raise ValueError(f"a curve of item {item.name} names no x, and the item sweeps nothing")
                missing = {self.measure[name].analyzer for name in used & set(self.measure)} - {"", *item.analyzers}
                if missing:
                    wrong, close = min(missing), _close(min(missing), item.analyzers)
                    raise ValueError(f"item {item.name} measures {wrong}, which is not among its analyzers{close}")
                if names - known:
                    wrong, close = min(names - known), _close(min(names - known), known)
                    raise ValueError(f"item {item.name} names the {what} {wrong}, which is not there{close}")
        limited = [("measure", title, one.presets) for title, one in self.measure.items()]
        limited += [("arm", arm.called, arm.presets) for arm in self.arm]
        for kind, title, presets in limited:
            if set(presets) - set(self.preset):
                wrong = min(set(presets) - set(self.preset))
                close = _close(wrong, self.preset)
                raise ValueError(f"{kind} {title} names the preset {wrong}, which is not there{close}")
        for item in self.item:
            for name, preset in self.preset.items():
                if item.data not in preset.data:
                    raise ValueError(f"preset {name} has no data for the role {item.data} of item {item.name}")
        return self


def _close(name: str, known: Iterable[str]) -> str:
    """The nearest names, as the end of a sentence."""
    close = nearest(name, known)
    return f"; nearest: {', '.join(close)}" if close else ""
