"""Searches for small changes of an image that change the answer."""

from biaskit.registry import lazy

__all__ = []

__getattr__ = lazy(__name__, __all__)
