"""A study in words and numbers: what a paper published beside what was measured, claim by claim."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from biaskit.telling.analyses import value
from biaskit.telling.curves import Axis, curves, cut_words
from biaskit.telling.numbers import ASCII, RATES, TYPOGRAPHIC, Numbers, in_words
from biaskit.telling.panels import Panel
from biaskit.telling.words import listed, stored

__all__ = [
    "FINDINGS",
    "claims",
    "expected",
    "failures",
    "finding",
    "measured",
    "panels",
    "every_note",
    "panels_caption",
    "published",
    "ran",
    "stand_ins",
    "reasons",
    "row_label",
    "summary",
    "titled",
    "unit_of",
]

Row = Mapping[str, Any]

FINDINGS = ("holds", "does not hold", "inconclusive")
RATIO = "ratio"
"""Unit of a claim about one arm over another: written without a sign."""
COUNTED = {"holds": ("holds", "hold"), "does not hold": ("does not hold", "do not hold")}


def titled(result: Row) -> str:
    """Give the title of a study, which names the data that stand for the paper's.

    Examples
    --------
    >>> titled({"title": "Semantic continuity", "items": [
    ...     {"original": "CIFAR-100", "data": "colordigits", "substitute": True, "title": ""}]})
    'Semantic continuity (colordigits for CIFAR-100)'
    """
    missing = [f"{data} for {original}" for data, original in stand_ins(result) if original not in result["title"]]
    return f"{result['title']} ({listed(missing)})" if missing else str(result["title"])


def stand_ins(result: Row) -> list[tuple[str, str]]:
    """Which data stand for which of the paper's; what a longer name of the same data holds is said once.

    Examples
    --------
    >>> stand_ins({"items": [
    ...     {"original": "ImageNet", "data": "shapes", "substitute": True},
    ...     {"original": "ImageNet and Broden", "data": "shapes", "substitute": True}]})
    [('shapes', 'ImageNet and Broden')]
    """
    pairs = list(dict.fromkeys((i["data"], i["original"]) for i in result["items"] if i["substitute"]))
    longer = {
        (data, one) for data, one in pairs for other, more in pairs if data == other and one != more and one in more
    }
    return [pair for pair in pairs if pair not in longer]


def ran(result: Row, numbers: Numbers = ASCII) -> list[tuple[str, str]]:
    """List what was run: arms, seeds, data, budget, machine."""
    machine = result["machine"]
    arms = []
    for arm in result["arms"]:
        length = f" ({numbers.counted(arm['epochs'], 'epoch')})" if arm.get("epochs") else ""
        arms.append(arm["name"] + length)
    models = dict.fromkeys(a["model"] for a in result["arms"] if a.get("model"))
    data = []
    for one in result["data"]:
        splits = ", ".join(f"{numbers.count(n)} {split}" for split, n in one["splits"].items())
        called = one.get("label") or one["name"]
        name = called if called == one["name"] else f"{called} ({one['name']})"
        data.append(f"{name}: {one['summary']}; {splits}")
    facts = [
        ("Paper", result.get("paper") or ""),
        ("Preset", ": ".join(t for t in (result["preset"], result.get("about")) if t)),
        ("Budget of all items", result.get("budget") or ""),
        ("Arms", ", ".join(dict.fromkeys(arms))),
        ("Model", ", ".join(models)),
        ("Seeds", f"{len(result['seeds'])}: {', '.join(map(str, result['seeds']))}"),
        ("Data", "; ".join(dict.fromkeys(data))),
        ("Machine", ", ".join(str(machine[k]) for k in ("system", "device", "precision") if machine.get(k))),
        ("Time", f"{numbers.seconds(result['seconds'])}, {result['created'][:10]}{stored(result, numbers)}"),
    ]
    return [(name, text) for name, text in facts if text]


def claims(result: Row) -> list[tuple[Row, Row]]:
    """Pair every claim with its item, in the order of the study; a claim of an item is told once."""
    items = {item["name"]: item for item in result["items"]}
    return [(claim, items.get(claim["item"], {})) for claim in result["claims"]]


def finding(claim: Row, item: Row) -> str:
    """Say what was found, and on what: a finding on other data than the paper's is one on the substitute.

    Examples
    --------
    >>> finding({"finding": "holds"}, {"substitute": True})
    'holds on the substitute'
    >>> finding({"finding": "inconclusive"}, {"substitute": False})
    'inconclusive'
    """
    return f"{claim['finding']}{' on the substitute' if item.get('substitute') else ''}"


def summary(result: Row) -> str:
    """Count the findings in one sentence.

    Examples
    --------
    >>> item = {"name": "table2", "substitute": True}
    >>> summary({"items": [item], "claims": [{"item": "table2", "finding": "holds"}] * 2})
    'Of 2 claims 2 hold, on the substitute.'
    """
    pairs = claims(result)
    if not pairs:
        return "The study makes no claim that was tested."
    found = [claim["finding"] for claim, _ in pairs]
    parts = []
    for word in FINDINGS:
        count = found.count(word)
        one, many = COUNTED.get(word, (f"is {word}", f"are {word}"))
        parts += [f"{count} {one if count == 1 else many}"] if count else []
    substitutes = [bool(item.get("substitute")) for _, item in pairs]
    where = "" if not any(substitutes) else ", on the substitute" if all(substitutes) else ", some on a substitute"
    return f"Of {ASCII.counted(len(pairs), 'claim')} {listed(parts)}{where}."


def unit_of(claim: Row, item: Row) -> str:
    """Find the unit of a claim's measure among the rows of its item."""
    if claim.get("unit"):
        return str(claim["unit"])
    return next((str(r["unit"]) for r in item.get("rows", []) if r["measure"] == claim["measure"]), "")


def expected(claim: Row, numbers: Numbers = ASCII) -> str:
    """Say what was compared and what the paper lets expect.

    Examples
    --------
    >>> expected({"contrast": "adv - plain", "measure": "accuracy", "expect": "not lower", "margin": 0.01, "unit": "%"})
    'adv - plain, accuracy: expected not lower by more than 1 point'
    """
    text = ", ".join(t for t in (claim.get("contrast"), claim["measure"]) if t)
    if not claim.get("expect"):
        return text
    margin = claim.get("margin")
    size = numbers.points(margin) if margin and claim.get("unit") in RATES else f"{margin:g}" if margin else ""
    return f"{text}: expected {claim['expect']}" + (f" by more than {size}" if size else "")


def published(numbers: Numbers, value: Any, unit: str, *, signed: bool = False) -> str:
    """Write a published number with the digits it was printed with, and nothing where none was printed.

    Examples
    --------
    >>> published(ASCII, 0.6699, "%"), published(ASCII, -0.0301, "%", signed=True), published(ASCII, None, "%")
    ('66.99', '-3.01', '')
    """
    if value is None or isinstance(value, str):
        return value or ""
    shown = round(value * 100, 6) if unit in RATES else value
    sign = numbers.minus if shown < 0 else "+" if signed and shown > 0 and unit != RATIO else ""
    return f"{sign}{abs(shown):.6g}"


def measured(numbers: Numbers, row: Row, unit: str, *, key: str = "value") -> tuple[str, str, str]:
    """Write what was measured: value, low end, high end; all empty where it is undefined."""
    if row.get(key) is None:
        return "", "", ""
    signed = key == "estimate" and unit != RATIO
    low, high = row.get("low"), row.get("high")
    if low == high:
        # Seeds that agree to the last digit make no interval: it would claim to know what it does not.
        low = high = None
    if unit in RATES:
        return numbers.of(row[key], unit, low=low, high=high, signed=signed)
    return numbers.sized(row[key], low=low, high=high, signed=signed)


def panels(result: Row, item: Row) -> list[Panel]:
    """Draw the curves of an item, panel by panel; a text below a place is written as it is.

    Parameters
    ----------
    result, item : mapping
        Curves are rows with ``panel``, ``x_title``, ``y_title``, ``unit``, ``arm``, ``x`` (a number or a text), ``y``,
        ``low`` and ``high``; those of one measure share their axes.
    """
    arms = [a["name"] for a in result["arms"]]
    kinds: dict[tuple[str, str, str], list[Row]] = {}
    for row in item["curves"]:
        if row["y"] is not None:
            kinds.setdefault((row["x_title"], row["y_title"], row["unit"]), []).append(row)
    found = []
    for (x_title, y_title, unit), rows in kinds.items():
        names = [a for a in [*arms, *dict.fromkeys(r["arm"] for r in rows)] if any(r["arm"] == a for r in rows)]
        words = [str(x) for x in dict.fromkeys(r["x"] for r in rows)]
        numeric = all(isinstance(r["x"], (int, float)) for r in rows)
        points = [
            {
                "panel": str(r["panel"]) or y_title,
                "arm": r["arm"],
                "x": r["x"] if numeric else words.index(str(r["x"])),
                "x_text": value({"name": x_title, "unit": ""}, r["x"], TYPOGRAPHIC),
                "y": r["y"],
                "low": r["low"],
                "high": r["high"],
            }
            for r in rows
        ]
        found += curves(points, list(dict.fromkeys(names)), Axis(x_title, y_title, unit, texts=x_title))
    return found


def panels_caption(result: Row, item: Row) -> str:
    """Say what the curves of an item are."""
    axes = dict.fromkeys((r["y_title"], in_words(r["unit"]), r["x_title"]) for r in item["curves"])
    told = listed(f"{y}{f', {unit},' if unit else ''} over {x}" for y, unit, x in axes) if axes else ""
    banded = any(r["low"] is not None for r in item["curves"])
    band = " Band: 95 % interval." + cut_words(panels(result, item)) if banded else ""
    return f"{told[:1].upper()}{told[1:]}.{band}" if told else ""


def row_label(row: Row) -> str:
    """Name the measure of a row with its unit."""
    unit, measure = in_words(row["unit"]), str(row["measure"])
    return f"{measure}, {unit}" if unit and unit not in measure.split() else measure


def failures(result: Row) -> Sequence[str]:
    """List what failed, item by item."""
    return list(dict.fromkeys(f"{i['name']}: {text}" for i in result["items"] for text in reasons(i["failed"])))


def reasons(entries: Sequence[Any]) -> list[str]:
    """Give the words of failed entries; one that repeats over seeds and arms is told once, with its count."""
    found: dict[str, list[str]] = {}
    for entry in entries:
        if isinstance(entry, str):
            found.setdefault(entry, [])
            continue
        where = [str(entry["arm"])] if entry.get("arm") else []
        where += [f"seed {entry['seed']}"] if entry.get("seed") is not None else []
        found.setdefault(f"{entry['analyzer']}: {entry['reason']}", []).append(" ".join(where))
    told = []
    for text, places in found.items():
        more = f" and {len(places) - 3} more" if len(places) > 3 else ""
        told.append(f"{text} ({', '.join(places[:3])}{more})" if any(places) else text)
    return told


def every_note(result: Row) -> list[str]:
    """List the notes of the preset and of all items, each once."""
    return list(dict.fromkeys([*result.get("notes", []), *(text for i in result["items"] for text in i["notes"])]))
