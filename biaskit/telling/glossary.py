"""The words of the report's glossary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from biaskit.telling.further import terms
from biaskit.telling.numbers import TYPOGRAPHIC

__all__ = ["glossary"]

Row = Mapping[str, Any]

BETTER = {"lower": " Lower is better.", "higher": " Higher is better.", "zero": " Nearer to 0 is better."}


def glossary(result: Row) -> list[tuple[str, str, str]]:
    """List the words of the page by name: id, name, meaning; those of the measures come from the result."""
    found = _shared(result) | ({} if result["kind"] == "audit" else _arms(result)) | terms(result)
    for metric in result["metrics"]:
        meaning = metric["meaning"]
        text = f"{meaning[:1].upper()}{meaning[1:].rstrip('.')}. In files: {metric['name']}."
        found[metric["name"]] = (metric["title"], text + BETTER.get(metric["better"], ""))
    return sorted(((id, name, text) for id, (name, text) in found.items()), key=lambda e: e[1].lower())


def _shared(result: Row) -> dict[str, tuple[str, str]]:
    """Words of every report; those about an attribute only where there is one."""
    audit = result["kind"] == "audit"
    covers = (
        "The model stays the same, the test images are drawn anew."
        if audit
        else "Seeds and test images are drawn anew. “Together”: all intervals that decide a verdict cover at once."
    )
    found = {
        "fingerprint": (
            "fingerprint",
            "A hash over everything that determines a result: data, card, code and seed. The same fingerprint means"
            " the same result.",
        ),
        "group": (
            "group",
            "All images with one label and one value of each attribute. A group too small to say anything reads"
            " “insufficient (n=7)”; none is dropped.",
        ),
        "equal": (
            "if equal, half-split",
            "Two ways to read a worst group, which is low by chance alone where groups are small. If equal: what it"
            f" would read if every group had the accuracy of the {'model' if audit else 'arm'}. Half-split: the worst"
            " group is found in one half of its images and read in the other.",
        ),
        "interval": (
            "interval",
            f"A range from a method that covers the true value in 95 of 100 repetitions. {covers}",
        ),
    }
    words = result["reliance"]["attribute_words"]
    if words:
        found["attribute"] = (
            "attribute",
            f"A property of the image that should not decide the answer; here the {words}.",
        )
        found["noise"] = (
            "noise floor",
            f"The gap to expect when the {words} plays no part: the mean absolute gap after its values are shuffled"
            " within each label. p is the share of shuffles with a gap at least as large as the one seen.",
        )
        found["twin"] = ("twin", f"The same image with another value of the {words}, nothing else changed.")
    return found


def _arms(result: Row) -> dict[str, tuple[str, str]]:
    """Words that a comparison of arms needs and an audit does not."""
    margin = result["margin"]
    size = TYPOGRAPHIC.points(margin) if margin is not None else "none was given"
    return {
        "arm": ("arm", "A recipe in a comparison. All arms share data, seeds and the rule that picks the checkpoint."),
        "control": (
            "control arm",
            "An arm with the perturbations of a method, but without its constraint. What the control gains, the method"
            " may not claim.",
        ),
        "detectable": (
            "detectable",
            "The smallest difference that this design would have found in 80 of 100 repetitions. A smaller one may"
            " exist and stay unseen. “Images” under “to settle”: the test set is too small for any number of seeds.",
        ),
        "margin": (
            "margin",
            f"The largest difference that does not matter, fixed before the run (--margin): {size}. The shaded band in"
            " the charts.",
        ),
        "paired": (
            "paired difference",
            "The difference between two arms seed by seed and image by image, then averaged. Luck that both arms share"
            " cancels.",
        ),
        "seed": (
            "seed",
            "One training: initial weights, order and perturbations are drawn anew. The data set is built once.",
        ),
        "verdict": (
            "verdict",
            "Better or worse: the difference is larger than luck, with Holm's correction over all verdicts. No relevant"
            " difference: it is shown to lie inside the margin. Inconclusive: neither. No verdict: fewer than 3 seeds.",
        ),
    }
