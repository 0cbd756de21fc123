"""The examples of a report: images beside their twins, what was answered to both, and which pixels spoke for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from biaskit.telling import sentences
from biaskit.telling.gallery import Picture, picture
from biaskit.telling.numbers import TYPOGRAPHIC

__all__ = ["pictures", "twins", "worst"]

Row = Mapping[str, Any]

SMALL = 60
"""Pixels on the page of a picture of an example."""


def twins(result: Row) -> dict[str, Any]:
    """Give the examples with their twins, in the order of the result, which a rule has chosen."""
    examples = [_example(e, f"twin-{i}", result) for i, e in enumerate(result["examples"], 1)]
    rules = sentences.listed(dict.fromkeys(e["rule"] for e in examples)) if examples else ""
    of = ", of the first seed" if len(result["seeds"]) > 1 else ""
    caption = (
        f"Predicted label{of}, with its confidence where it is known; wrong answers are underlined. Examples by rule:"
        f" {rules}. Nobody chose them by hand."
    )
    return {"examples": examples, "twins_caption": caption + _maps(result, examples)}


def worst(result: Row) -> dict[str, Any]:
    """Give the wrong answers of the highest confidence; a result of an older version has none."""
    found = result.get("worst")
    if not found:
        return {"worst": None}
    examples = [_example(e, f"worst-{i}", result) for i, e in enumerate(found["examples"], 1)]
    whose = "" if result["kind"] == "audit" else f" by {found['arm']} (seed {found['seed']})"
    wrong = f"{TYPOGRAPHIC.count(found['wrong'])} of {TYPOGRAPHIC.counted(found['n'], 'test image')}"
    told = f"{wrong} {'was' if found['wrong'] == 1 else 'were'} answered wrong{whose}."
    caption = f"The wrong answers{whose} with the highest confidence"
    if found["group"]:
        caption += f": first those in the lowest group ({found['group']}), then those of all other test images"
    caption += ". Nobody chose them by hand. Wrong answers are underlined; beside each its confidence."
    return {
        "worst": {
            "examples": examples,
            "told": told,
            "caption": caption + _maps(result, examples),
            "notes": list(found["notes"]),
        }
    }


def pictures(examples: Sequence[Row]) -> list[Picture]:
    """List every picture of some examples, in reading order."""
    found = []
    for example in examples:
        for side in example["sides"]:
            found += [side["picture"], *(answer["map"] for answer in side["answers"])]
    return [one for one in found if one is not None]


def _maps(result: Row, examples: Sequence[Row]) -> str:
    """Say what the attributions are, where there are any."""
    drawn = any(answer["map"] for e in examples for side in e["sides"] for answer in side["answers"])
    steps = (result.get("worst") or {}).get("steps")
    if not drawn or not steps:
        return ""
    return (
        f" Above each answer the pixels that spoke for it: integrated gradients ({steps} steps, from a black image) of"
        " the answer that was given, orange for it and blue against it, over the image in gray."
    )


def _example(e: Row, file: str, result: Row) -> dict[str, Any]:
    """Give one example: its image and, where there is one, its twin, with the answers to both."""
    value = _values(e["value"])
    sides = [_side(e, "image", value, "", f"{file}-image")]
    if e.get("twin_value") is not None:
        sides.append(_side(e, "twin", _values(e["twin_value"]), "twin_", f"{file}-twin"))
    flips = [a["seeds_flipped"] for a in e["answers"] if a.get("seeds_flipped") is not None]
    of = next((a["seeds"] for a in e["answers"] if a.get("seeds")), 0)
    return {
        "label": _group(e["label"], value),
        "where": f"test image {TYPOGRAPHIC.count(e['row'])}",
        "rule": _rule(e, of),
        "answers": e["answers"],
        "sides": sides,
        "pictured": result.get("images", True),
        "flips": flips if of > 1 and len(flips) == len(e["answers"]) else [],
        "of": of,
    }


def _values(values: Row) -> str:
    return ", ".join(str(v) for v in values.values())


def _group(label: str, value: str) -> str:
    """Name a group as everywhere: the label, then the values."""
    return f"{label}, {value}" if value else label


def _side(e: Row, name: str, value: str, prefix: str, file: str) -> dict[str, Any]:
    """Give the image or the twin: its picture, and what every arm answered to it."""
    what = _group(e["label"], value)
    image = e[name]
    answers = []
    for i, answer in enumerate(e["answers"], 1):
        told = f"the pixels that spoke for {answer[f'{prefix}prediction']} to {answer['arm']}: {what}"
        drawn = answer.get(f"{prefix}map")
        confidence = answer.get(f"{prefix}confidence")
        answers.append(
            {
                "prediction": answer[f"{prefix}prediction"],
                "correct": answer[f"{prefix}correct"],
                "confidence": f"{confidence:.2f}" if confidence is not None else "",
                "map": picture(drawn, f"{file}-{i}", told, small=SMALL) if drawn else None,
            }
        )
    return {
        "name": name,
        "value": value,
        "picture": picture(image, file, what, small=SMALL) if image else None,
        "answers": answers,
    }


def _rule(example: Row, seeds: int) -> str:
    """Name the rule that picked an example; of a single seed an answer changes or not, there is no most."""
    rule: str = example["rule"]
    return rule.removeprefix("most ") if seeds == 1 else rule
