"""A small renderer: ten kinds of objects as signed distances, seen from any azimuth and elevation, batched.

>>> import torch
>>> from biaskit.render import render
>>> image = render(["cube"], torch.zeros(1, 4), torch.tensor([30.0]), torch.tensor([20.0]), size=32)
>>> image.shape, bool(image[0, 0, 0, 0] == 0), bool(image[0, 0, 16, 16] > 0.4)
(torch.Size([1, 3, 32, 32]), True, True)
"""

from biaskit.render._objects import JITTER, OBJECTS, ROUND
from biaskit.render._rays import render

__all__ = ["JITTER", "OBJECTS", "ROUND", "render"]
