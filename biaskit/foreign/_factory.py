"""``package.module:factory``: the user's own code gives the model."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from biaskit.errors import UnsupportedModel
from biaskit.foreign._files import fit_weights, read_weights
from biaskit.foreign._found import Found, first_channels
from biaskit.rng import scoped

__all__ = ["made_by"]


def made_by(spec: str, weights: Path | None, *, trust_pickle: bool) -> Found:
    """A module from the user's code: ``factory()``, a class that needs no arguments, or a module that is there.

    The current folder is looked at first, as ``python -m`` does.

    Raises
    ------
    UnsupportedModel
        Code that cannot be imported, fails, or gives no module.
    """
    place, _, name = spec.partition(":")
    with _importable():
        try:
            made: Any = importlib.import_module(place)
            for part in name.split("."):
                made = getattr(made, part)
        except (Exception, SystemExit) as error:  # the user's code may raise anything
            raise UnsupportedModel(
                f"{spec}: {type(error).__name__}: {error}; expected package.module:factory, importable from here"
            ) from None
        if not isinstance(made, nn.Module):
            if not callable(made):
                raise UnsupportedModel(f"{spec} is a {type(made).__name__}; expected a function that gives the model")
            try:
                with scoped(0):
                    made = made()
            except (Exception, SystemExit) as error:  # the user's code may raise anything
                raise UnsupportedModel(
                    f"{spec}() failed: {type(error).__name__}: {error}; it is called without arguments"
                ) from None
    if not isinstance(made, nn.Module):
        raise UnsupportedModel(f"{spec}() gives a {type(made).__name__}; expected a torch nn.Module")
    origin = f"the model is as {spec} gives it; no --weights were named"
    if weights is not None:
        fit_weights(made, read_weights(weights, trust_pickle=trust_pickle), weights)
        origin = f"the model is made by {spec}, its weights are {weights.name}"
    return Found(made, spec, origin, "factory", channels=first_channels(made))


@contextmanager
def _importable() -> Iterator[None]:
    """The current folder in front of what can be imported."""
    here = os.getcwd()
    sys.path.insert(0, here)
    try:
        yield
    finally:
        if here in sys.path:
            sys.path.remove(here)
