"""The words of the report's glossary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from biaskit.telling.further import terms
from biaskit.telling.numbers import TYPOGRAPHIC

__all__ = ["glossary"]

Row = Mapping[str, Any]

BETTER = {"lower": " Lower is better.", "higher": " Higher is better.", "zero": " Nearer to 0 is better."}


DISTANCES = {
    "nds": (
        "nDS",
        "How far the logits move under a perturbation, over how far they are from another image of the same label."
        " Lower is better.",
    ),
    "ds": ("DS", "The squared distance that the logits move under a perturbation. Lower is better."),
    "discontinuity_rate": (
        "discontinuity rate",
        "The share of pairs in which the perturbed copy is further from its image than another image of the same"
        " label. Lower is better.",
    ),
}
"""Distances whose tables show every level, also where no measure of the headline explains them."""


def glossary(result: Row) -> list[tuple[str, str, str]]:
    """List the words of the page by name: id, name, meaning; those of the measures come from the result."""
    found = _shared(result) | ({} if result["kind"] == "audit" else _arms(result)) | terms(result)
    found |= DISTANCES if result["continuity"] else {}
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
        "confidence": ("confidence", "The probability that the model itself gives to its answer, from 0 to 1."),
        "group_accuracy": (
            "group accuracy",
            "The share of right answers among the test images of a group, or of a value of an attribute.",
        ),
        "level": (
            "level, amount",
            "How strongly an image is perturbed: level 1 is the mildest. The amount is the setting of the perturbation"
            " at that level, in its own unit.",
        ),
        "n": ("n", "How many test images a number rests on."),
        "p": (
            "p",
            "How often luck alone would show a difference at least as large."
            + (
                " p, Holm: the same after Holm's correction for all that was asked together with it."
                if not audit or len(result.get("gaps") or []) > 1
                else ""
            ),
        ),
        "split": ("split", "A part of the data: train is learned from, test is measured on. Numbers count images."),
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
    if any(a.get("map") for e in (result.get("worst") or {}).get("examples", []) for a in e["answers"]):
        found["attribution"] = (
            "integrated gradients",
            "How much each pixel moved the model towards its answer, on the way from a black image to this one"
            " (Sundararajan et al., 2017). It shows where, not why.",
        )
    if result["data"]["association"]:
        found["v"] = (
            "Cram\u00e9r's V",
            "How strongly an attribute goes with the label, from 0 (not at all) to 1 (one gives the other away)."
            " Bias-corrected: less what chance alone would show. p: how often independent draws would show as much.",
        )
    if result.get("gaps"):
        found["gap_of"] = (
            "gap of an attribute",
            "Accuracy on one value minus accuracy on the other, at the same mix of labels. Aligned and conflicting:"
            " images whose value is the one that goes with their label in training, and the others. Of more than two"
            " values, the two that were picked are named.",
        )
    if any(r.get("right_to_wrong") is not None for r in result["headline"]):
        found["direction"] = (
            "right to wrong, wrong to right",
            "The two parts of the flip rate: answers that the swap turned wrong, and answers that it turned right. In"
            " files: right_to_wrong, wrong_to_right.",
        )
    if any(r.get("untrained") is not None for r in result["headline"]):
        found["untrained"] = ("untrained", "The same measure on the same network before any training.")
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
            "An arm that does all that another does but the one thing that is tested. What the control gains, the other"
            " may not claim.",
        ),
        "detectable": (
            "detectable",
            "The smallest difference that this design would have found in 80 of 100 repetitions. A smaller one may"
            " exist and stay unseen. “Images” under “to settle”: the test set is too small for any number of seeds.",
        ),
        "look": (
            "look",
            "Every number of seeds at which the same comparison was evaluated. Each look is another chance of a false"
            " verdict; the error rate is divided by their number.",
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
        "epochs": ("epochs", "How often training went through the training images."),
        "parameters": ("parameters", "How many numbers a network learns."),
        "seconds": ("seconds", "How long the training of a run took."),
        "stored": (
            "stored, new",
            "A run that was finished before is taken from the store and not computed again.",
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
