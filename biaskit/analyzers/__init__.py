"""Measurements of a subject, each a tidy table."""

from biaskit.registry import lazy

__all__ = [
    "attribution",
    "continuity",
    "counterfactual_flips",
    "dissection",
    "group_accuracy",
    "input_gradient",
    "neuron_consistency",
    "parity",
    "robustness",
    "semantic_reliance",
    "top_images",
    "transfer",
]

__getattr__ = lazy(__name__, __all__)
