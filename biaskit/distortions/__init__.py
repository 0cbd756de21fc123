"""Changes of images that destroy the meaning."""

from biaskit.registry import lazy

__all__ = []

__getattr__ = lazy(__name__, __all__)
