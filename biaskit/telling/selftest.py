"""The self-test in a sentence and as curves: what was planted, and what every measure made of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from biaskit.telling.curves import Axis, curves
from biaskit.telling.numbers import ASCII, Numbers, in_words
from biaskit.telling.panels import Panel
from biaskit.telling.plots import standalone

__all__ = ["drawing", "panels", "sentence"]

Row = Mapping[str, Any]

SEEN, PLANTED = "seen", "planted"


def sentence(result: Row, numbers: Numbers = ASCII) -> str:
    """Say whether every measure followed what was planted."""
    checks = result["checks"]
    failed = [row["title"] for row in checks if not row["passed"]]
    if failed:
        every = numbers.counted(len(checks), "measure")
        return f"{numbers.count(len(failed))} of {every} did not follow what was planted: {', '.join(failed)}."
    known = sum(row["known"] is True for row in checks)
    return (
        f"All {numbers.counted(len(checks), 'measure')} followed what was planted; "
        f"{numbers.count(known)} of them are known beforehand, and agree."
    )


def panels(result: Row) -> list[Panel]:
    """Draw every measure over the strength, beside what was planted where that is known."""
    found = []
    for check in result["checks"]:
        rows = [r for r in result["rows"] if (r["sweep"], r["metric"]) == (check["sweep"], check["metric"])]
        unit = in_words(rows[0]["unit"])
        name = f"{check['sweep']}: {check['title']}" + (f", {unit}" if unit else "")
        points = []
        for row in rows:
            place = {"panel": name, "x": row["strength"], "x_text": f"{row['strength']:g}"}
            points.append({**place, "arm": SEEN, "y": row["value"], "low": row["low"], "high": row["high"]})
            if row["expected"] is not None:
                points.append({**place, "arm": PLANTED, "y": row["expected"], "low": None, "high": None})
        axis = Axis("planted strength", check["title"], rows[0]["unit"], texts="planted strength")
        found += curves(points, [SEEN, PLANTED], axis)
    return found


def drawing(result: Row) -> str:
    """Put all curves into one SVG document."""
    about = "; ".join(f"{sweep}: {what}" for sweep, what in result["planted"].items())
    caption = f"Strength is, {about}. Band: 95 % interval. Every panel has an axis of its own."
    return standalone(panels(result), "What is planted and what is measured", caption)
