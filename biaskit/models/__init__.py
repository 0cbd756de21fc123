"""Networks on [0, 1] pixels; normalization is their first layer."""

from biaskit.registry import lazy

__all__ = ["resnet18", "resnet_small"]

__getattr__ = lazy(__name__, __all__)
