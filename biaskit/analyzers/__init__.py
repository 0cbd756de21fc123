"""Measurements of a subject, each a tidy table."""

from biaskit.registry import lazy

__all__ = ["continuity", "counterfactual_flips", "group_accuracy", "parity"]

__getattr__ = lazy(__name__, __all__)
