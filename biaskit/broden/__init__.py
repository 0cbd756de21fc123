"""Data sets in the layout of Broden: images, segmentations as png files, and what their numbers mean as csv files."""

from biaskit.broden._read import broden_fingerprint, open_broden
from biaskit.broden._write import check_broden, write_broden

__all__ = ["broden_fingerprint", "check_broden", "open_broden", "write_broden"]
