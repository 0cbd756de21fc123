"""What plants a shortcut in a source."""

from biaskit.registry import lazy

__all__ = ["background_color", "foreground_color", "patch", "pose_shapes", "shapes", "texture"]

__getattr__ = lazy(__name__, __all__)
