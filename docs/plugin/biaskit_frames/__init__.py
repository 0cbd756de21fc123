"""A builder, a loss and an analyzer for biaskit: colored frames, label smoothing, and how sure a model is."""

from biaskit_frames.builder import frame
from biaskit_frames.confidence import confidence
from biaskit_frames.loss import smoothed_cross_entropy

__all__ = ["confidence", "frame", "smoothed_cross_entropy"]
