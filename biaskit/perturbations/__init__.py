"""Changes that keep the meaning of an image, per sample and batched."""

from biaskit.registry import lazy

__all__ = ["brightness", "color", "contrast", "hue", "saturation"]

__getattr__ = lazy(__name__, __all__)
