"""Measurements of a subject, each a tidy table."""

from biaskit.registry import lazy

__all__ = [
    "attribution",
    "continuity",
    "counterfactual_flips",
    "group_accuracy",
    "input_gradient",
    "parity",
    "robustness",
    "semantic_reliance",
    "transfer",
]

__getattr__ = lazy(__name__, __all__)
