"""What is asked of analyzers: options in ``--set analyzer.NAME.OPTION=VALUE`` or in a call, and back as a command."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from biaskit.errors import SpecError, UnknownName
from biaskit.registry import names
from biaskit.specs import parse_override

__all__ = ["Asked", "analyzer_options", "analyzer_words", "toml_text", "with_options"]

#: Names, or names with options; None stands for the default.
Asked = Sequence[str] | Mapping[str, Mapping[str, Any]] | None
Options = dict[str, dict[str, Any]]


def analyzer_options(set: Sequence[str]) -> tuple[list[str], Options]:
    """Tell the changes of cards from the options of analyzers.

    Returns
    -------
    changes : list of str
        What is left for cards, as it was.
    options : dict
        Analyzer to option to value; of an option that is given twice the last value.

    Examples
    --------
    >>> analyzer_options(["stage.0.epochs=2", "analyzer.robustness.images=50", "analyzer.robustness.epsilon=4/255"])
    (['stage.0.epochs=2'], {'robustness': {'images': 50, 'epsilon': '4/255'}})
    """
    changes: list[str] = []
    options: Options = {}
    for text in set:
        arm, key, value = parse_override(text)
        first, _, rest = key.partition(".")
        if first != "analyzer":
            changes.append(text)
            continue
        name, dot, option = rest.partition(".")
        if not (name and dot and option):
            raise SpecError(
                f"--set {text!r} is not analyzer.NAME.OPTION=VALUE, for example analyzer.robustness.images=50"
            )
        if arm:
            raise SpecError(f"--set {text!r}: every arm is measured alike; leave {arm}: out")
        options.setdefault(name.replace("-", "_"), {})[option] = value
    return changes, options


def with_options(asked: Sequence[str] | Mapping[str, Mapping[str, Any]], options: Options) -> Options:
    """Analyzers with their options, those of ``--set`` over those of a call.

    Raises
    ------
    UnknownName, SpecError
        Options of an analyzer that is not there, or that was not asked for.
    """
    asked = [asked] if isinstance(asked, str) else asked
    given = asked if isinstance(asked, Mapping) else {name: {} for name in asked}
    found: Options = {name.replace("-", "_"): dict(own) for name, own in given.items()}
    for name, own in options.items():
        if name not in found:
            if name not in names("analyzer"):
                raise UnknownName("analyzer", name, names("analyzer"))
            raise SpecError(
                f"--set analyzer.{name}.{next(iter(own))}: {name} is not among the analyzers asked for "
                f"({', '.join(found) or 'none'}); name it with --analyzers too"
            )
        found[name] |= own
    return found


def analyzer_words(asked: Asked) -> list[str]:
    """The words of a command that ask for the same; none for the default.

    Examples
    --------
    >>> analyzer_words({"robustness": {"images": 50}, "parity": {}})
    ['--analyzers', 'robustness,parity', '--set', 'analyzer.robustness.images=50']
    """
    if asked is None:
        return []
    asked = [asked] if isinstance(asked, str) else asked
    words = ["--analyzers", ",".join(asked)]
    for name, own in asked.items() if isinstance(asked, Mapping) else ():
        for option, value in own.items():
            words += ["--set", f"analyzer.{name}.{option}={toml_text(value)}"]
    return words


def toml_text(value: Any) -> str:
    """A value as it is written in TOML.

    Examples
    --------
    >>> toml_text({"name": "pgd", "steps": [1, 2.5], "early": True})
    '{ name = "pgd", steps = [1, 2.5], early = true }'
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, list | tuple):
        return f"[{', '.join(toml_text(one) for one in value)}]"
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key} = {toml_text(one)}" for key, one in value.items()) + " }"
    return str(value)
