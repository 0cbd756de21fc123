"""Changes of images that destroy the meaning."""

from biaskit.registry import lazy

__all__ = ["center_shuffle", "channel_shift", "puzzle"]

__getattr__ = lazy(__name__, __all__)
