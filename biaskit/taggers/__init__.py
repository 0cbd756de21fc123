"""What marks or sorts the rows of a data set by what a model makes of them, one value per row."""

from biaskit.registry import lazy

__all__ = ["clusters", "misclassified"]

__getattr__ = lazy(__name__, __all__)
