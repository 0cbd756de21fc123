"""Searches for small changes of an image that change the answer."""

from biaskit.registry import lazy

__all__ = ["fgsm", "least_likely", "pgd", "targeted_l2", "trades"]

__getattr__ = lazy(__name__, __all__)
