"""Regions of semantic parameters in which a model stays confident, grown from starting points, all in one batch.

>>> import torch
>>> from biaskit.regions import find_regions
>>> bump = lambda job, u: torch.exp(-((u - 0.5) ** 2).sum(1) / (2 * 0.1**2))
>>> found = find_regions(bump, torch.tensor([[0.5]]), method="level", level=0.5)
>>> round((found.upper - found.lower).item() / 2, 3)  # 0.1 sqrt(2 ln 2)
0.118
"""

from biaskit.regions._search import METHODS, Confidence, Inside, Regions, find_regions
from biaskit.regions._volume import Srvr, srvr

__all__ = ["METHODS", "Confidence", "Inside", "Regions", "Srvr", "find_regions", "srvr"]
