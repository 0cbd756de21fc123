"""Cards: everything that is data rather than code, as TOML that is complete alone.

A dataset card says where images come from, what is planted in them and how long to train on them; a recipe card says
how to train; a study card holds the tables and figures of a paper. Shipped cards are found by name, the user's by path.
"""

from __future__ import annotations

import copy
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from biaskit.errors import SpecError, UnknownName, nearest
from biaskit.policy import Policy, Rule
from biaskit.studycard import Claim, Curve, Item, Measure, Preset, StudyArm, StudyCard, StudyData, Sweep

__all__ = [
    "CARDS",
    "CARD_VERSION",
    "STAGE_PARTS",
    "Component",
    "DatasetCard",
    "RecipeCard",
    "Stage",
    "apply_override",
    "card_keys",
    "card_names",
    "card_path",
    "check_card",
    "has_key",
    "load_card",
    "parse_override",
    "plain_words",
    "read_toml",
    "toml_value",
]

#: The newest card format this version reads.
CARD_VERSION = 1

_STRICT = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


#: A card's name is the name of a folder as well.
Name = Annotated[str, Field(pattern=r"^\w[\w .+-]*$", max_length=100)]


class Component(BaseModel):
    """A registered function by name, with its options beside it."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)
    name: str

    @property
    def options(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class Labels(BaseModel):
    """What happens to the source's labels before anything is planted."""

    model_config = _STRICT
    merge: dict[str, list[str]] = {}
    noise: Annotated[float, Field(ge=0, le=1)] = 0.0
    noise_splits: tuple[str, ...] = ("train",)


class Optimizer(BaseModel):
    """The step rule of a stage."""

    model_config = _STRICT
    name: Literal["adam", "adamw", "sgd"] = "adam"
    lr: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 0.0
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9


class Training(BaseModel):
    """The budget of a data set: which network, how long, which steps. A recipe that says its own overrides it."""

    model_config = _STRICT
    model: Component = Component(name="resnet_small")
    epochs: PositiveInt = 10
    batch_size: PositiveInt = 128
    optimizer: Optimizer = Optimizer()


class DatasetCard(BaseModel):
    """A data set as data. Without a ``source`` its first builder draws the images."""

    model_config = _STRICT
    version: Annotated[int, Field(ge=1)]
    name: Name
    summary: str
    paper: str = ""
    words: dict[str, str] = {}
    reliance: Literal["flip_rate", "gap"] = "flip_rate"
    source: Component | None = None
    labels: Labels = Labels()
    limit: dict[str, PositiveInt] = {}
    builder: list[Component] = []
    training: Training = Training()
    counts: dict[str, dict[str, dict[str, int]]] = {}


class Stage(BaseModel):
    """One part of a training: a loss, what it trains, the rows it sees, as they are and changed, and for how long.

    Attributes
    ----------
    rows : {'train', 'holdout'}
        The training rows without the card's holdout, or the holdout.
    sampling : {'rows', 'groups'}
        Every row once an epoch, or as many draws with every group as likely as any other.
    upweight : dict
        Tag of an earlier stage -> how often a row that it marks stands among the rows.
    trainable : {'all', 'head'}
        The whole network, or its last linear layer on features that stay as they are.
    fresh : bool
        Whether what is trained begins with new weights.
    tag : Component, optional
        A tagger that marks rows by what the network makes of them when the stage has ended.
    """

    model_config = _STRICT
    loss: Component
    perturbation: Component | None = None
    attack: Component | None = None
    rows: Literal["train", "holdout"] = "train"
    sampling: Literal["rows", "groups"] = "rows"
    upweight: dict[str, PositiveInt] = {}
    trainable: Literal["all", "head"] = "all"
    fresh: bool = False
    tag: Component | None = None
    epochs: PositiveInt | None = None
    batch_size: PositiveInt | None = None
    optimizer: Optimizer | None = None
    schedule: Literal["constant", "cosine"] = "cosine"
    clip: PositiveFloat | None = None

    @model_validator(mode="after")
    def _one_copy(self) -> Stage:
        if self.perturbation is not None and self.attack is not None:
            raise ValueError("a stage has a perturbation or an attack, not both; make them two stages")
        return self


#: Keys of a stage that name something registered -> its kind.
STAGE_PARTS = {"loss": "loss", "perturbation": "perturbation", "attack": "attack", "tag": "tagger"}


class RecipeCard(BaseModel):
    """A training recipe as data; ``holdout`` is the share of every group's training rows that is cut from train."""

    model_config = _STRICT
    version: Annotated[int, Field(ge=1)]
    name: Name
    summary: str
    paper: str = ""
    control: str = ""
    model: Component | None = None
    holdout: Annotated[float, Field(gt=0, lt=1)] | None = None
    stage: Annotated[list[Stage], Field(min_length=1)]

    @model_validator(mode="after")
    def _what_stages_need_of_each_other(self) -> RecipeCard:
        tags: set[str] = set()
        for number, stage in enumerate(self.stage):
            if stage.rows == "holdout" and self.holdout is None:
                raise ValueError(f'stage.{number}.rows is "holdout", but nothing is held out; add holdout = 0.1')
            for name in stage.upweight:
                if name not in tags:
                    raise ValueError(
                        f"stage.{number}.upweight.{name}: no earlier stage is tagged with it (tags: "
                        f'{", ".join(sorted(tags)) or "none"}); add to one of them: tag = {{ name = "{name}" }}'
                    )
            if stage.tag is not None:
                tags.add(stage.tag.name.replace("-", "_"))
        return self


#: kind of card -> its folder and model
CARDS: dict[str, tuple[str, type[DatasetCard] | type[RecipeCard] | type[StudyCard]]] = {
    "dataset": ("datasets", DatasetCard),
    "recipe": ("recipes", RecipeCard),
    "study": ("studies", StudyCard),
}


def card_names(kind: str) -> dict[str, str]:
    """Every shipped card of a kind with its summary."""
    return {path.stem: str(read_toml(path).get("summary", "")) for path in sorted(_shipped(kind).glob("*.toml"))}


def card_path(kind: str, name: str) -> Path:
    """The file of a card: a path that ends in .toml, else the shipped card of that name (``-`` equals ``_``)."""
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise SpecError(f"no file {name}; write the path of a {kind} card, or the name of a shipped one")
        return path
    for path in _shipped(kind).glob("*.toml"):
        if path.stem.replace("-", "_") == name.replace("-", "_"):
            return path
    raise UnknownName(kind, name, (path.stem for path in _shipped(kind).glob("*.toml")))


def load_card(kind: str, content: Mapping[str, Any], where: str) -> Any:
    """Check the content of a card; the error names the file and the key.

    Parameters
    ----------
    kind : {'dataset', 'recipe', 'study'}
    content : mapping
        As read from TOML.
    where : str
        The file, for messages.

    Raises
    ------
    SpecError
        An unknown key (with the nearest one), a wrong type, or a card of a newer version.
    """
    return check_card(CARDS[kind][1], content, where)


def check_card(model: type[BaseModel], content: Mapping[str, Any], where: str) -> Any:
    """Check content against a pydantic model that has ``version`` and ``name``; see :func:`load_card`."""
    version = content.get("version")
    if isinstance(version, int) and version > CARD_VERSION:
        raise SpecError(
            f"{where}: card version {version} is newer than {CARD_VERSION}, which this biaskit reads; update it"
        )
    try:
        return model.model_validate_json(json.dumps({"name": Path(where).stem, **content}))
    except (TypeError, ValueError) as error:
        if not isinstance(error, ValidationError):
            raise SpecError(f"{where}: {error}; cards hold plain TOML values") from None
        raise SpecError(_first_problem(error, where, model)) from None


def read_toml(path: Path) -> dict[str, Any]:
    """A TOML file as a dict; a syntax error names the file and the line."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: not TOML: {error}") from None
    except OSError as error:
        raise SpecError(f"{path}: cannot be read: {error.strerror}") from None


def parse_override(text: str) -> tuple[str, str, Any]:
    """``[ARM:]KEY=VALUE`` as (arm or "", key, value); the value is TOML, else a string.

    Examples
    --------
    >>> parse_override("semcont:stage.0.loss.alpha=0.5")
    ('semcont', 'stage.0.loss.alpha', 0.5)
    >>> parse_override("model.name=resnet18")
    ('', 'model.name', 'resnet18')
    """
    left, equals, right = text.partition("=")
    arm, colon, key = left.rpartition(":")
    if not equals or not key.strip():
        raise SpecError(f"--set {text!r} is not [ARM:]KEY=VALUE, for example stage.0.loss.alpha=0.5")
    return arm.strip() if colon else "", key.strip(), toml_value(right)


def toml_value(text: str) -> Any:
    """A value as TOML, else the text itself.

    Examples
    --------
    >>> toml_value("0.5"), toml_value("[1, 2]"), toml_value("resnet18")
    (0.5, [1, 2], 'resnet18')
    """
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text.strip()


def has_key(card: Mapping[str, Any], key: str) -> bool:
    """Whether a dotted key leads somewhere in a bound card."""
    here: Any = card
    for part in key.split("."):
        if isinstance(here, Mapping) and part in here:
            here = here[part]
        elif isinstance(here, Sequence) and not isinstance(here, str) and part.isdecimal() and int(part) < len(here):
            here = here[int(part)]
        else:
            return False
    return True


def card_keys(card: Any, prefix: str = "") -> list[str]:
    """Every dotted key of a bound card that leads to a value.

    Examples
    --------
    >>> card_keys({"model": {"name": "resnet18"}, "stage": [{"epochs": 2}]})
    ['model.name', 'stage.0.epochs']
    """
    found = []
    for key, value in card.items() if isinstance(card, Mapping) else enumerate(card):
        branch = isinstance(value, Mapping) or (
            isinstance(value, list) and any(isinstance(one, Mapping) for one in value)
        )
        found.extend(card_keys(value, f"{prefix}{key}.") if branch else [f"{prefix}{key}"])
    return found


def apply_override(card: Mapping[str, Any], key: str, value: Any) -> dict[str, Any]:
    """A copy of a card's content with one dotted key set; tables on the way are made where they are missing.

    Raises
    ------
    SpecError
        The key names an entry of a list that the card leaves to its default.
    """
    changed = copy.deepcopy(dict(card))
    here: Any = changed
    parts = key.split(".")
    for place, part in enumerate(parts):
        step: Any = int(part) if isinstance(here, list) else part
        if isinstance(here, list) and step >= len(here):
            parent = ".".join(parts[:place])
            raise SpecError(f"--set {key}: the card does not write {parent} out; set the whole list: {parent}=[...]")
        if place == len(parts) - 1:
            here[step] = value
        else:
            if isinstance(here, dict) and not isinstance(here.get(part), dict | list):
                here[part] = [] if parts[place + 1].isdecimal() else {}
            here = here[step]
    return changed


def plain_words(message: str) -> str:
    """What pydantic says, as the words of a line that already names the key.

    Examples
    --------
    >>> plain_words("Input should be greater than 0"), plain_words("Value error, 3 is odd")
    ('must be greater than 0', '3 is odd')
    """
    return message.removeprefix("Value error, ").replace("Input should", "must", 1)


#: Key of a card -> the table that stands there.
_TABLES: dict[str, type[BaseModel]] = {
    "stage": Stage,
    "optimizer": Optimizer,
    "labels": Labels,
    "training": Training,
    "arm": StudyArm,
    "measure": Measure,
    "preset": Preset,
    "data": StudyData,
    "item": Item,
    "sweep": Sweep,
    "curve": Curve,
    "claim": Claim,
    "rule": Rule,
}


def _first_problem(error: ValidationError, where: str, card: type[BaseModel]) -> str:
    problems = error.errors(include_url=False)
    # A key that is not known is the likelier reason for another that is missing.
    problem = next((one for one in problems if one["type"] == "extra_forbidden"), problems[0])
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        known = _keys_beside(problem["loc"], card)
        kind = "policy" if card is Policy else "card"
        close = nearest(str(problem["loc"][-1]), known)
        return f"{where}: {key} is no key of a {kind}; " + (
            f"did you mean {close[0]}?" if close else f"expected one of {', '.join(known)}"
        )
    if problem["type"] == "missing":
        return f"{where}: {key} is missing"
    if problem["type"] == "value_error":  # our own, complete as it is
        return ": ".join(part for part in (where, key, plain_words(problem["msg"])) if part)
    if problem["type"] == "list_type" and key in _TABLES and isinstance(problem.get("input"), Mapping):
        return f"{where}: {key}: there may be several of these tables; write [[{key}]] in place of [{key}]"
    given = str(problem.get("input"))[:60]
    words = plain_words(problem["msg"])
    return f"{where}: {key}: {words[0].lower()}{words[1:]}; got {given!r}"


def _keys_beside(place: tuple[int | str, ...], card: type[BaseModel]) -> list[str]:
    """The keys that may stand where an unknown one was found."""
    named = [str(part) for part in place[:-1] if str(part) in _TABLES]
    return sorted((_TABLES[named[-1]] if named else card).model_fields)


def _shipped(kind: str) -> Path:
    """The folder of shipped cards: inside the package in a wheel, beside it in a checkout."""
    folder = CARDS[kind][0]
    here = Path(__file__).resolve().parent
    shipped = here / "_shipped" / folder
    if shipped.is_dir():
        return shipped
    checkout = here.parent
    project = checkout / "pyproject.toml"
    if project.is_file() and 'name = "biaskit"' in project.read_text(encoding="utf-8"):
        return checkout / folder
    raise SpecError(f"the shipped {folder} are missing from this installation; install biaskit again")
