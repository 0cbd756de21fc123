"""Numbers that people write as a fraction: "8/255" is eight of 255 gray levels."""

from __future__ import annotations

import math
import re

__all__ = ["fraction"]

_FRACTION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*/\s*(\d+(?:\.\d+)?)\s*", re.ASCII)


def fraction(text: str) -> float | None:
    """The number that a text writes as a fraction; None where it is none.

    Raises
    ------
    ValueError
        A denominator of 0, or a number too large to hold.

    Examples
    --------
    >>> fraction("51 / 255"), fraction("top/left")
    (0.2, None)
    """
    found = _FRACTION.fullmatch(text)
    if found is None:
        return None
    above, below = map(float, found.groups())
    if below == 0.0 or math.isinf(above) or math.isinf(below):
        raise ValueError(f'{text[:40]} is no number; write a fraction such as "8/255"')
    return above / below
