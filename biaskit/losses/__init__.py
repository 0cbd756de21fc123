"""Training losses, factories of modules with ``forward(model, batch) -> scalar``."""

from biaskit.registry import lazy

__all__ = [
    "cross_entropy",
    "feature_matching",
    "generalized_cross_entropy",
    "group_dro",
    "lff",
    "scarl",
    "semantic_continuity",
    "trades",
]

__getattr__ = lazy(__name__, __all__)
