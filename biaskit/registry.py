"""What there is of each kind, found by name, and the binding of options to signatures.

A built-in is listed in its subpackage's ``__all__``; a third party's comes through an entry point of the group
``biaskit.<kind>s``. Listing reads one-line summaries from source text, so it imports neither torch nor plugins.
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.metadata
import inspect
import json
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from biaskit.errors import SpecError, UnknownName, nearest, plural
from biaskit.specs import CARDS, plain_words

__all__ = ["KINDS", "bind", "find", "lazy", "names", "options", "plural", "singular"]

#: kind -> the subpackage that holds the built-ins
KINDS = {
    "source": "biaskit.sources",
    "builder": "biaskit.builders",
    "perturbation": "biaskit.perturbations",
    "distortion": "biaskit.distortions",
    "attack": "biaskit.attacks",
    "loss": "biaskit.losses",
    "tagger": "biaskit.taggers",
    "analyzer": "biaskit.analyzers",
    "model": "biaskit.models",
}


def lazy(package: str, exported: Sequence[str]) -> Callable[[str], Any]:
    """The ``__getattr__`` of a subpackage: ``name`` lives in the private module ``_name``."""

    def __getattr__(name: str) -> Any:
        if name not in exported:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(f"{package}._{name}"), name)

    return __getattr__


def singular(kind: str) -> str:
    """``"losses"`` and ``"loss"`` both give ``"loss"``; cards are kinds too."""
    known = [*CARDS, *KINDS]
    found = next((one for one in known if kind in (one, plural(one))), None)
    if found is None:
        raise UnknownName("kind", kind, [plural(one) for one in known])
    return found


def names(kind: str) -> dict[str, str]:
    """Every name of a kind with its one-line summary, built-ins first; nothing of them is imported.

    Examples
    --------
    >>> "background_color" in names("builder")
    True
    """
    folder = _folder(KINDS[kind])
    return {
        name: f"from {plugin.dist.name if plugin.dist else plugin.value}" if plugin else _summary(folder, name)
        for name, plugin in _known(kind).items()
    }


def find(kind: str, name: str) -> Callable[..., Any]:
    """The function registered under a name; ``-`` and ``_`` are equal.

    Raises
    ------
    UnknownName
        With the nearest names.
    """
    wanted = name.replace("-", "_")
    known = _known(kind)
    if wanted not in known:
        raise UnknownName(kind, name, known)
    plugin = known[wanted]
    found = plugin.load() if plugin else getattr(importlib.import_module(KINDS[kind]), wanted)
    return typing.cast("Callable[..., Any]", found)


def options(function: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """The keyword-only parameters of a function: name -> (type, default); ``...`` where there is no default."""
    hints = typing.get_type_hints(function, include_extras=True)
    return {
        name: (hints.get(name, Any), ... if parameter.default is parameter.empty else parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }


def bind(function: Callable[..., Any], given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Check options against a function's keyword-only signature and fill in the defaults.

    The check is pydantic's strict JSON mode: TOML arrays become tuples, integers may stand for floats, nothing else
    is converted, and an unknown key is refused.

    Parameters
    ----------
    function : callable
        Its keyword-only parameters are the options.
    given : mapping
        As read from a card, ``--set`` or a call.
    where : str
        Names the place in error messages: ``"mine.toml: stage.0.loss"``.

    Returns
    -------
    dict
        Every option of the function, defaults included.

    Raises
    ------
    SpecError
        Unknown key, wrong type, or a value outside its range.

    Examples
    --------
    >>> def blur(images, *, radius: float = 1.0): ...
    >>> bind(blur, {"radius": 2}, "card.toml: perturbation")
    {'radius': 2.0}
    """
    model = _options_model(function)
    known = model.model_fields
    name = getattr(function, "__name__", str(function))
    for key in given:
        if key not in known:
            close = nearest(key, known)
            hint = f"did you mean {close[0]}?" if close else f"it has {', '.join(known) or 'no options'}"
            raise SpecError(f"{where}.{key} is no option of {name}; {hint}")
    try:
        bound = model.model_validate_json(json.dumps(dict(given), allow_nan=False))
    except ValidationError as error:
        raise SpecError(first_problem(error, where)) from None
    except (TypeError, ValueError) as error:
        raise SpecError(f"{where}: {error}; options are plain TOML values") from None
    return {key: getattr(bound, key) for key in known}


@functools.cache
def _options_model(function: Callable[..., Any]) -> type[BaseModel]:
    """The options of a function as a pydantic model, which takes longer to make than to use."""
    strict = ConfigDict(strict=True, extra="forbid")
    return create_model("Options", __config__=strict, **options(function))  # type: ignore[call-overload, no-any-return]


def first_problem(error: Any, where: str) -> str:
    """The first of pydantic's findings as one line: place, problem, what was given."""
    problem = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in problem["loc"])
    given = problem.get("input")
    shown = f"; got {json.dumps(given, default=str)[:80]}" if problem["type"] != "missing" else ""
    message = plain_words(problem["msg"])
    return f"{where}.{place}: {message}{shown}" if place else f"{where}: {message}{shown}"


def _known(kind: str) -> dict[str, importlib.metadata.EntryPoint | None]:
    """Every name of a kind; None stands for a built-in."""
    found: dict[str, importlib.metadata.EntryPoint | None] = dict.fromkeys(_exported(KINDS[kind]))
    for entry in _installed(f"biaskit.{plural(kind)}"):
        name = entry.name.replace("-", "_")
        if name in found:
            other = found[name]
            raise SpecError(
                f"{kind} {name!r} is defined twice: by {other.value if other else 'biaskit'} and by {entry.value} "
                f"({entry.dist.name if entry.dist else 'unknown package'}); rename or uninstall one"
            )
        found[name] = entry
    return found


@functools.cache
def _installed(group: str) -> tuple[importlib.metadata.EntryPoint, ...]:
    """The entry points of a group; reading those of every installed package takes a while, so once per process."""
    return tuple(importlib.metadata.entry_points(group=group))


def _folder(package: str) -> Path:
    return Path(__file__).parent / package.rpartition(".")[2]


def _exported(package: str) -> list[str]:
    """``__all__`` of a subpackage, read as text."""
    for node in ast.parse((_folder(package) / "__init__.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return [str(name) for name in ast.literal_eval(node.value)]
    raise SpecError(f"{package} has no __all__")


def _summary(folder: Path, name: str) -> str:
    """The first line of a built-in's docstring, read as text."""
    for node in ast.parse((folder / f"_{name}.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return (ast.get_docstring(node) or "").partition("\n")[0].rstrip(".")
    raise SpecError(f"{folder.name}/_{name}.py does not define {name}")
