"""How a number looks: one place for percent, points, p and intervals, for the terminal and for pages."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["ASCII", "RATES", "TYPOGRAPHIC", "Numbers", "fraction", "fractions", "in_words", "shown", "visible"]

RATES = ("%", "points", "share")
"""Units of numbers in [0, 1] that people read times 100."""

NARROW = 0.002
"""An interval of a rate narrower than 0.2 points gets one decimal more, value and interval alike."""
NEAR = 0.0005
"""Ends of a rate's interval nearer to zero than this are written as 0.0."""
INVISIBLE = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff\\ufffe\\uffff]"
)
"""Characters that steer terminals, break lines or turn the direction of the text around them."""


@dataclass(frozen=True)
class Numbers:
    """Formats numbers; `minus` is the one character in which terminal and page differ.

    Parameters
    ----------
    minus : str
        The minus sign: ``"-"`` for terminal and files, U+2212 for pages.

    Examples
    --------
    >>> ASCII.of(-0.0236, "points", low=-0.0298, high=-0.0173, signed=True)
    ('-2.4', '-3.0', '-1.7')
    >>> ASCII.of(0.0371, "", low=0.033, high=0.041)
    ('0.037', '0.033', '0.041')
    >>> ASCII.p(0.0004), ASCII.p(0.0021), ASCII.p(0.2389)
    ('p < 0.001', 'p 0.002', 'p 0.24')
    """

    minus: str

    def fixed(self, value: float, digits: int, *, signed: bool = False) -> str:
        """Write `value` with `digits` decimals, a thousands comma, and never a signed zero."""
        text = f"{abs(value):,.{digits}f}"
        if not any(c in "123456789" for c in text):
            return text
        return (self.minus if value < 0 else "+" if signed else "") + text

    def significant(self, value: float, *, signed: bool = False) -> str:
        """Write `value` with two significant digits, for quantities without a natural scale such as DS."""
        if value == 0:
            return "0"
        power = math.floor(math.log10(abs(value)))
        if -4 <= power < 5:
            return self.fixed(round(value, 1 - power), max(0, 1 - power), signed=signed)
        sign = self.minus if value < 0 else "+" if signed else ""
        return f"{sign}{abs(value):.1e}"

    def of(
        self,
        value: float,
        unit: str,
        *,
        low: float | None = None,
        high: float | None = None,
        signed: bool = False,
        significant: bool = False,
    ) -> tuple[str, str, str]:
        """Write a value and the ends of its interval with the same decimals; a missing end is ``""``.

        Parameters
        ----------
        value : float
            The number itself, a rate in [0, 1] where `unit` is ``"%"`` or ``"points"``.
        unit : str
            One of `RATES`, which are multiplied by 100, or another.
        low, high : float, optional
            Ends of the interval.
        signed : bool
            Write the plus sign too, as differences do.
        significant : bool
            Two significant digits in place of fixed decimals.

        Returns
        -------
        tuple of str
            Value, low end, high end.
        """
        rate = unit in RATES
        scale = 100.0 if rate else 1.0
        narrow = rate and low is not None and high is not None and high - low < NARROW
        # An interval of a difference that is clear of zero must not look as if it touched it.
        clear = rate and signed and low is not None and high is not None and low * high > 0
        touches = clear and low is not None and high is not None and min(abs(low), abs(high)) < NEAR
        digits = (2 if narrow or touches else 1) if rate else 3

        def one(x: float | None) -> str:
            if x is None:
                return ""
            if significant:
                return self.significant(x * scale, signed=signed)
            return self.fixed(x * scale, digits, signed=signed)

        return one(value), one(low), one(high)

    def sized(
        self, value: float, *, low: float | None = None, high: float | None = None, signed: bool = False
    ) -> tuple[str, str, str]:
        """Write a quantity of any scale, with as many decimals as its interval is worth: two digits of its width.

        Examples
        --------
        >>> ASCII.sized(1234.567, low=1201.0, high=1269.4), ASCII.sized(0.0123456)
        (('1,235', '1,201', '1,269'), ('0.0123', '', ''))
        """
        known = [abs(x) for x in (value, low, high) if x]
        if not known or not 1e-4 <= max(known) < 1e6:
            value_, low_, high_ = ("" if x is None else self.significant(x, signed=signed) for x in (value, low, high))
            return value_, low_, high_
        width = high - low if low is not None and high is not None else 0.0
        digits = 2 - math.floor(math.log10(known[0]))
        if width > 0:
            # A value that is small beside its interval keeps a digit or two of its own.
            worth = 1 - math.floor(math.log10(width))
            digits = min(max(worth, digits - 1), worth + 2) if value else worth
        digits = min(max(digits, 0), 6)
        value_, low_, high_ = ("" if x is None else self.fixed(x, digits, signed=signed) for x in (value, low, high))
        return value_, low_, high_

    def percent(self, value: float) -> str:
        """Write a rate: ``95.4 %``."""
        return self.of(value, "%")[0] + " %"

    def points(self, value: float) -> str:
        """Write a size that was given, not measured, with the digits it was given: ``0.5 points``, ``1 point``."""
        text = f"{value * 100:.6g}"
        return f"{text} point{'' if text == '1' else 's'}"

    def about(self, value: float, unit: str) -> str:
        """Write an uncertain size with two significant digits and its unit: ``0.52 points``."""
        return f"{self.significant(abs(value) * 100)} points" if unit else self.significant(abs(value))

    def p(self, value: float) -> str:
        """Write a p-value: two decimals, three below 0.01, and ``p < 0.001`` below that."""
        if value < 0.001:
            return "p < 0.001"
        return f"p {value:.3f}" if value < 0.01 else f"p {value:.2f}"

    def count(self, value: float) -> str:
        """Write a count with a thousands comma: ``10,000``."""
        return self.fixed(value, 0)

    def counted(self, value: float, what: str) -> str:
        """Write a count with what it counts: ``1 epoch``, ``10,000 test images``."""
        return f"{self.count(value)} {what}{'' if value == 1 else 's'}"

    def seconds(self, value: float) -> str:
        """Write a duration: ``40 s``, ``1 min 12 s``, ``2 h 5 min``."""
        if value < 10:
            return f"{value:.1f} s"
        whole = round(value)
        if whole < 60:
            return f"{whole} s"
        if whole < 3600:
            return f"{whole // 60} min" + (f" {whole % 60} s" if whole % 60 else "")
        return f"{whole // 3600} h" + (f" {whole % 3600 // 60} min" if whole % 3600 // 60 else "")


ASCII = Numbers("-")
TYPOGRAPHIC = Numbers("\N{MINUS SIGN}")


def fraction(name: str, value: Any) -> str:
    """Write how far a pixel moves as the fraction of 255 that it is; empty where it is none, or short as it is.

    Parameters
    ----------
    name : str
        What the number is, with or without the keys above it: epsilons and the steps of attacks are read this way.
    value : object

    Examples
    --------
    >>> fraction("epsilon", 8 / 255), fraction("stage.0.attack.step", 2 / 255)
    ('8/255', '2/255')
    >>> fraction("epsilon", 0.2), fraction("epsilon", 0.0314), fraction("stage.0.optimizer.lr", 8 / 255)
    ('', '', '')
    """
    word = name.rpartition(".")[2]
    if not ("epsilon" in word or word == "step") or isinstance(value, bool) or not isinstance(value, (int, float)):
        return ""
    steps = value * 255
    whole = round(steps) if math.isfinite(steps) else 0
    if not 0 < whole < 255 or abs(steps - whole) > 1e-6 or value == round(value, 3):
        return ""
    return f"{whole}/255"


def fractions(card: Any, name: str = "") -> Any:
    """Copy a card with every pixel distance as the fraction it is, which a card may write as well.

    Examples
    --------
    >>> fractions({"attack": {"name": "pgd", "epsilon": 8 / 255, "steps": 10}})
    {'attack': {'name': 'pgd', 'epsilon': '8/255', 'steps': 10}}
    """
    if isinstance(card, Mapping):
        return {key: fractions(one, str(key)) for key, one in card.items()}
    if isinstance(card, (list, tuple)):
        return [fractions(one, name) for one in card]
    return fraction(name, card) or card


def in_words(unit: str, *, difference: bool = False) -> str:
    """Name a unit as it stands beside numbers: a ``share`` is read in percent, a difference of rates in points.

    Examples
    --------
    >>> in_words("share"), in_words("%", difference=True), in_words("logit^2")
    ('%', 'points', 'logit^2')
    """
    if difference and unit in RATES:
        return "points"
    return "%" if unit == "share" else unit


def shown(
    numbers: Numbers, metric: Mapping[str, Any], row: Mapping[str, Any], *, key: str = "value"
) -> tuple[str, str, str]:
    """Write one row of a result: value, low end, high end; all empty where the value is null.

    Parameters
    ----------
    numbers : Numbers
        The alphabet.
    metric : mapping
        The metric's entry of ``result["metrics"]``.
    row : mapping
        A row with `key`, ``low`` and ``high``.
    key : str
        ``"value"`` of an arm, or ``"estimate"`` of a difference, which is written with its sign.

    Returns
    -------
    tuple of str
        Value, low end, high end.
    """
    if row.get(key) is None:
        return "", "", ""
    return numbers.of(
        row[key],
        metric["unit"],
        low=row.get("low"),
        high=row.get("high"),
        signed=key == "estimate" and not row.get("ratio"),
        significant=metric["name"] == "ds",
    )


def visible(value: Any) -> Any:
    r"""Copy a result with every control character in its texts, keys included, written out as ``\x1b``.

    Names come from data and end on terminals and pages: one that moves the cursor or turns the direction
    of writing would change what its neighbors seem to say.

    Examples
    --------
    >>> visible({"label": ["cat", "\x1b[2Jdog"]})
    {'label': ['cat', '\\x1b[2Jdog']}
    """
    if isinstance(value, str):
        return INVISIBLE.sub(lambda found: found[0].encode("unicode_escape").decode(), value)
    if isinstance(value, Mapping):
        return {visible(key): visible(one) for key, one in value.items()}
    if isinstance(value, list):
        return [visible(one) for one in value]
    return value
