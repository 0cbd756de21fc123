"""Measurements of a subject, each a tidy table."""

from biaskit.registry import lazy

__all__ = [
    "attribution",
    "class_similarity",
    "continuity",
    "counterfactual_flips",
    "discover",
    "dissection",
    "group_accuracy",
    "input_gradient",
    "neuron_consistency",
    "parity",
    "robustness",
    "semantic_map",
    "semantic_regions",
    "semantic_reliance",
    "spurious_probe",
    "top_images",
    "transfer",
    "word_correlation",
]

__getattr__ = lazy(__name__, __all__)
