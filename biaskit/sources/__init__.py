"""Where images and labels come from, before anything is planted."""

from biaskit.registry import lazy

__all__ = ["cifar10", "cifar100", "digits", "fashionmnist", "folder", "kmnist", "mnist", "parquet", "svhn"]

__getattr__ = lazy(__name__, __all__)
