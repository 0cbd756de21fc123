"""Networks on [0, 1] pixels; normalization is their first layer."""

from biaskit.registry import lazy

__all__ = ["alexnet", "inception_small", "resnet18", "resnet_small", "vgg16"]

__getattr__ = lazy(__name__, __all__)
