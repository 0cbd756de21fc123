"""Options of a direct call, checked as those of a card are, and the unit that amounts are given in."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable
from typing import Annotated, Any, ParamSpec, TypeVar

import numpy as np
from pydantic import BeforeValidator, Field

from biaskit.amounts import fraction
from biaskit.errors import SpecError
from biaskit.registry import bind

__all__ = ["Epsilon", "checks_options"]

P = ParamSpec("P")
R = TypeVar("R")


def _parse(value: object) -> float:
    """A number of pixel units in [0, 1], also written as a fraction; ValueError says how to write it."""
    number = fraction(value) if isinstance(value, str) else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise ValueError('expected a number in [0, 1] or a fraction such as "8/255"')
    if not 0.0 <= number <= 1.0:
        written = f"{value:g}" if isinstance(value, int | float) and 1.0 < value <= 255.0 else "8"
        raise ValueError(f'pixels are in [0, 1]; for {written} of 255 gray levels write "{written}/255"')
    return float(number)


#: An amount in pixel units, where 1 is the distance of black and white: a number in [0, 1], or a fraction as text.
Epsilon = Annotated[float, BeforeValidator(_parse), Field(ge=0, le=1)]


def checks_options(function: Callable[P, R]) -> Callable[P, R]:
    """Bind the keyword-only options of every call as :func:`biaskit.registry.bind` does those of a card.

    The function gets every option in its own type: a fraction as the number it is, numbers of numpy as Python's. A
    wrong one is a SpecError that names the function and the option.

    Examples
    --------
    >>> @checks_options
    ... def shift(images, *, epsilon: Epsilon = 0.0):
    ...     return images + epsilon
    >>> shift(1, epsilon="51/255"), shift(1, epsilon=np.float64(0.2))
    (1.2, 1.2)
    """
    name = function.__name__
    parameters = inspect.signature(function).parameters
    others = {key for key, one in parameters.items() if one.kind is not one.KEYWORD_ONLY}

    @functools.wraps(function)
    def call(*arguments: P.args, **given: P.kwargs) -> R:
        chosen = {key: _plain(value, f"{name}.{key}") for key, value in given.items() if key not in others}
        rest: Any = {key: value for key, value in given.items() if key in others}
        return function(*arguments, **rest, **bind(function, chosen, name))

    return call


def _plain(value: object, where: str) -> Any:
    """A value as a card would hold it."""

    def scalar(one: object) -> Any:
        if isinstance(one, np.generic):
            return one.item()
        raise TypeError

    try:
        return json.loads(json.dumps(value, allow_nan=False, default=scalar))
    except (TypeError, ValueError):
        given = repr(value)[:80]
        raise SpecError(f"{where}: expected a finite number, a text, or a list of them; got {given}") from None
