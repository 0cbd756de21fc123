"""Small parts of the figures: escaped SVG elements, colors and markers, round ticks, the style rules."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape

from biaskit.telling.numbers import TYPOGRAPHIC

__all__ = [
    "CLASSES",
    "DARK",
    "LIGHT",
    "MARKERS",
    "chart_css",
    "escaped",
    "ink",
    "key",
    "short",
    "tag",
    "tick_label",
    "ticks",
]

LIGHT = {
    "bg": "#ffffff",
    "fg": "#1b1f24",
    "faint": "#646c77",
    "line": "#d4d8dd",
    "axis": "#8b929c",
    "zone": "#e4e8ed",
    "good": "#00694f",
    "bad": "#a3210f",
    "neu": "#4a515b",
    "a0": "#4a515b",
    "a1": "#5f6670",
    "a2": "#b3540a",
    "a3": "#0a63b0",
    "a4": "#9a2ff0",
    "a5": "#4a2208",
    "a6": "#d4187f",
}
DARK = {
    "bg": "#14171b",
    "fg": "#e8ebef",
    "faint": "#939ca8",
    "line": "#343a42",
    "axis": "#6b737e",
    "zone": "#262c34",
    "good": "#5fd0ac",
    "bad": "#ff9280",
    "neu": "#b6bec8",
    "a0": "#b6bec8",
    "a1": "#a3abb6",
    "a2": "#f29a4a",
    "a3": "#6db5f5",
    "a4": "#9b68f0",
    "a5": "#f5e05a",
    "a6": "#e8407f",
}
INKS = {"better": "good", "worse": "bad", "same": "neu", "open": "neu", "bare": "neu"} | {
    f"a{i}": f"a{i}" for i in range(7)
}
CLASSES = {"better": "better", "worse": "worse", "no relevant difference": "same", "inconclusive": "open"}
MARKERS = (
    '<circle class="mk" r="4"/>',
    '<path class="mk" d="M-3.6 -3.6h7.2v7.2h-7.2z"/>',
    '<path class="mk" d="M0 -5l5 5l-5 5l-5 -5z"/>',
    '<path class="mk" d="M0 -4.6l4.8 8.4h-9.6z"/>',
    '<path class="mk" d="M0 4.6l4.8 -8.4h-9.6z"/>',
    '<path class="mk" d="M-1.4 -4.6h2.8v3.2h3.2v2.8h-3.2v3.2h-2.8v-3.2h-3.2v-2.8h3.2z"/>',
)


def tag(name: str, text: str | None = None, **attributes: Any) -> str:
    """Write one element with everything in it escaped; ``class_`` and ``text_anchor`` become ``class`` and
    so on.

    Examples
    --------
    >>> tag("text", "<b>", x=1.0, text_anchor="end")
    '<text x="1" text-anchor="end">&lt;b&gt;</text>'
    """
    parts = [name]
    for key_, value in attributes.items():
        if isinstance(value, float):
            value = f"{value:.2f}".rstrip("0").rstrip(".")
        parts.append(f'{key_.rstrip("_").replace("_", "-")}="{escaped(str(value), quote=True)}"')
    return f"<{' '.join(parts)}/>" if text is None else f"<{' '.join(parts)}>{escaped(text)}</{name}>"


def escaped(text: str, quote: bool = False) -> str:
    """Escape for XML; control characters, which XML cannot hold at all, become the replacement character."""
    text = "".join(c if c >= " " and c not in "\x7f\ufffe\uffff" else "\ufffd" for c in text)
    return escape(text, {'"': "&quot;"} if quote else {})


def short(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "\N{HORIZONTAL ELLIPSIS}"


def ink(index: int, count: int) -> str:
    """Give the color class of an arm by its place on the command line; beyond six arms one ink serves all."""
    return f"a{index + 1}" if count <= len(MARKERS) else "a0"


def key(index: int, count: int) -> str:
    """Draw the marker of an arm, to stand before its name."""
    marker = MARKERS[index if count <= len(MARKERS) else 0]
    return (
        f'<svg class="key {ink(index, count)}" viewBox="-7 -7 14 14" width="14" height="14"'
        f' aria-hidden="true">{marker}</svg>'
    )


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """Choose round numbers within [low, high].

    Examples
    --------
    >>> ticks(-4.2, 1.3)
    [-4.0, -3.0, -2.0, -1.0, 0.0, 1.0]
    """
    span = max(high - low, 1e-12)
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(s * power for s in (1, 2, 2.5, 5, 10) if span / (s * power) <= most + 1)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) + 0.0 for i in range(first, last + 1)]


def tick_label(value: float, step: float, signed: bool = False) -> str:
    digits = next(d for d in range(9) if d == 8 or abs(step * 10**d - round(step * 10**d)) < 1e-6 * step * 10**d)
    return TYPOGRAPHIC.fixed(value, digits, signed=signed)


def chart_css(color: Callable[[str], str]) -> str:
    """Write the style rules of all figures.

    Parameters
    ----------
    color : callable
        From the name of a role (``"fg"``, ``"a1"``) to a CSS color: a variable in the report, a literal in
        a file, because many programs that read SVG know no variables.

    Returns
    -------
    str
        CSS.
    """
    c = color
    rules = [
        (".chart { font-family: system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', Arial, sans-serif; }"),
        f".chart text {{ fill: {c('fg')}; font-size: 13px; unicode-bidi: isolate; }}",
        f".chart text.tick {{ fill: {c('faint')}; font-size: 12px; text-anchor: middle; }}",
        (".chart text[text-anchor=end] { text-anchor: end; } .chart text[text-anchor=start] { text-anchor: start; }"),
        (".chart text.lab { font-weight: 600; font-size: 12px; } .chart text.c { font-size: 12px; font-weight: 600; }"),
        ".strip { overflow: visible; }",
        (f".chart text.halo {{ paint-order: stroke; stroke: {c('bg')}; stroke-width: 4px; stroke-linejoin: round; }}"),
        f"line.grid, path.grid {{ stroke: {c('line')}; fill: none; }} .zone {{ fill: {c('zone')}; }}",
        f".zero {{ stroke: {c('fg')}; }} .mean {{ stroke: {c('axis')}; stroke-dasharray: 3 3; fill: none; }}",
        f".ring {{ fill: none; stroke: {c('fg')}; stroke-width: 1.3; }}",
        ".ivl { fill: none; stroke-width: 3; } .ivl.thin { stroke-width: 1.5; opacity: .75; }",
        ".joint { stroke-width: 1.2; } .mk { stroke-width: 2; } .ln { fill: none; stroke-width: 2; }",
        f".hol {{ fill: {c('bg')}; stroke-width: 1.8; }} .band {{ opacity: .16; }}",
        f".one {{ stroke: {c('bg')}; stroke-width: 1; opacity: .85; }}",
    ]
    for css, role in INKS.items():
        paint = c(role)
        stroked = ", ".join(f".{css} .{part}" for part in ("ivl", "joint", "mk", "ln", "hol"))
        filled = ", ".join(f".{css} .{part}" for part in ("mk", "band", "one"))
        rules.append(f"{stroked} {{ stroke: {paint}; }} {filled} {{ fill: {paint}; }}")
        rules.append(f".chart .{css} text.c {{ fill: {paint}; }}")
    rules.append(f".open .mk {{ fill: {c('bg')}; }}")
    return "\n".join(rules)
