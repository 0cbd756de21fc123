"""Images that show what the numbers say, each picked by a rule: answers that change with a twin, and the worst ones."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from biaskit.analyzers._attribution_methods import integrated_gradients, pass_size
from biaskit.analyzers._attribution_pictures import heat, image_pixels
from biaskit.describe import png
from biaskit.errors import BiaskitError
from biaskit.evidence import ArmEvidence, Ground
from biaskit.rng import numpy_generator
from biaskit.subject import Subject

__all__ = ["data_uri", "twin_examples", "worst_examples"]

Rows = npt.NDArray[np.int64]

#: Examples of each rule.
EACH = 3
#: Points on the path of integrated gradients: enough for a picture, half of what the scores of `attribution` take.
STEPS = 32
#: Images whose probabilities are held at a time.
PART = 2**15
#: A picture of an example is at most so wide and high; larger ones are made smaller.
LARGEST = 96


def twin_examples(
    evidence: Sequence[ArmEvidence], ground: Ground, subjects: Sequence[Subject], *, images: bool
) -> list[dict[str, Any]]:
    """Images beside their twins: those whose answers change most under the first arm, and as many drawn at random.

    "Most" counts the seeds in which the answer changes; ties go to the lower row. Answers shown are of the first seed.
    """
    first = evidence[0]
    flips = first.flips()
    if flips is None or ground.twins is None:
        return []
    changed = flips.sum(axis=0)
    top = [one for one in np.argsort(-changed, kind="stable")[:EACH] if changed[one] > 0]
    rest = np.setdiff1d(np.arange(len(changed)), top)
    drawn = numpy_generator(0, "examples").permutation(rest)[:EACH]
    rules = [(place, f"most changed under {first.name}") for place in top] + [
        (place, "drawn at random") for place in drawn
    ]
    rows = ground.twins[0][[place for place, _ in rules]] if rules else np.empty(0, np.int64)
    found = _told(rows, [rule for _, rule in rules], evidence, ground, subjects, images=images)[0]
    for (place, _), example in zip(rules, found, strict=True):
        for arm, answer in zip(evidence, example["answers"], strict=True):
            assert arm.twin_before is not None
            assert arm.twin_answers is not None
            answer["seeds_flipped"] = int((arm.twin_before[:, place] != arm.twin_answers[:, place]).sum())
            answer["seeds"] = len(arm.seeds)
    return found


def worst_examples(
    evidence: Sequence[ArmEvidence],
    ground: Ground,
    subjects: Sequence[Subject],
    lowest: str,
    *,
    images: bool,
) -> dict[str, Any]:
    """The wrong answers that were given with the highest confidence: in the lowest group, then among all others.

    Parameters
    ----------
    evidence : sequence of ArmEvidence
        The first arm picks, by the answers of its first seed; all arms are shown.
    ground : Ground
    subjects : sequence of Subject
        The first seed of every arm, in the same order.
    lowest : str
        The name of the group with the lowest accuracy; empty where no group has enough images to tell.
    images : bool
        With pictures: the image, its twin where there is one, and integrated gradients of the answers given.

    Returns
    -------
    dict
        ``arm``, ``seed``, ``group``, how many of ``n`` answers are ``wrong``, ``examples``, ``steps`` of integrated
        gradients, and ``notes``: why an arm has no attribution.
    """
    first = evidence[0]
    wrong = first.answers[0] != ground.labels
    confidence = _confidence(subjects[0], ground.test)
    order = np.argsort(-confidence, kind="stable")
    order = order[wrong[order]]
    group = ground.groups == ground.group_names.index(lowest) if lowest else np.zeros(len(wrong), bool)
    inside = order[group[order]][:EACH]
    others = np.asarray([one for one in order if one not in inside][:EACH], np.int64)
    sure = "wrong with the highest confidence"
    rules = [f"{sure} in the lowest group"] * len(inside)
    rules += [f"{sure} of all {'other ' if len(inside) else ''}test images"] * len(others)
    rows = ground.test[np.concatenate([inside, others])]
    examples, notes = _told(rows, rules, evidence, ground, subjects, images=images)
    return {
        "arm": first.name,
        "seed": first.seeds[0],
        "group": lowest,
        "wrong": int(wrong.sum()),
        "n": len(wrong),
        "steps": STEPS,
        "examples": examples,
        "notes": notes,
    }


def data_uri(pixels: npt.NDArray[np.uint8]) -> str:
    """A picture (H, W, 3) as a data URI of a PNG."""
    return "data:image/png;base64," + b64encode(png(np.ascontiguousarray(pixels))).decode()


def _confidence(subject: Subject, rows: Rows) -> npt.NDArray[np.float64]:
    """The probability of the answer that was given to each row."""
    # In parts: the probabilities of all images at once would take twice the memory of their logits.
    parts = np.array_split(rows, len(rows) // PART + 1)
    found = [subject.logits_of(part).double().softmax(dim=1).amax(dim=1).numpy() for part in parts]
    return np.asarray(np.concatenate(found))


def _told(
    rows: Rows,
    rules: Sequence[str],
    evidence: Sequence[ArmEvidence],
    ground: Ground,
    subjects: Sequence[Subject],
    *,
    images: bool,
) -> tuple[list[dict[str, Any]], list[str]]:
    """Examples of some rows, with their twins, and what every arm answered to both; and why there are no maps."""
    dataset = ground.dataset
    twin_of = dict(zip(*(one.tolist() for one in ground.twins), strict=True)) if ground.twins is not None else {}
    shown = [int(one) for row in rows for one in (row, twin_of.get(int(row))) if one is not None]
    pixels = dataset.images.gather(torch.tensor(shown, dtype=torch.int64)) if images else torch.empty(0)
    places = {row: place for place, row in enumerate(shown)}
    answers, notes = [], list[str]()
    for arm, subject in zip(evidence, subjects, strict=True):
        codes = subject.predictions(np.asarray(shown, np.int64))
        maps, why = _maps(subject, np.asarray(shown, np.int64), codes) if images else (None, "")
        notes += [f"{arm.name} has no attribution: {why}"] if why else []
        confidence = _confidence(subject, np.asarray(shown, np.int64))
        answers.append((arm.name, codes, confidence, maps))

    def picture(row: int | None) -> str | None:
        return _small(image_pixels(pixels[places[row]].float() / 255.0)) if images and row is not None else None

    def answer(row: int | None, label: str, prefix: str) -> list[dict[str, Any]]:
        if row is None:
            return [{} for _ in answers]
        place, found = places[row], []
        for _, codes, confidence, maps in answers:
            said = dataset.classes[codes[place]]
            drawn = _small(heat(maps[place], pixels[place].float() / 255.0)) if maps is not None else None
            words = {"prediction": said, "confidence": float(confidence[place]), "correct": said == label}
            found.append({prefix + key: value for key, value in (words | {"map": drawn}).items()})
        return found

    table, examples = dataset.table, []
    for row, rule in zip((int(one) for one in rows), rules, strict=True):
        twin, label = twin_of.get(row), str(table["label"].iloc[row])
        own, other = answer(row, label, ""), answer(twin, label, "twin_")
        examples.append(
            {
                "row": row,
                "label": label,
                "rule": rule,
                "swapped": ground.attribute if twin is not None else None,
                "value": {name: table[name].iloc[row] for name in dataset.group_by},
                "twin_value": {name: table[name].iloc[twin] for name in dataset.group_by} if twin is not None else None,
                "image": picture(row),
                "twin": picture(twin),
                "answers": [
                    {"arm": name} | mine | its for (name, *_), mine, its in zip(answers, own, other, strict=True)
                ],
            }
        )
    return examples, notes


def _maps(subject: Subject, rows: Rows, codes: Rows) -> tuple[Tensor | None, str]:
    """Integrated gradients of the answers given, (len(rows), H, W), or why there are none."""
    if not len(rows):
        return None, ""
    found = []
    try:
        size = pass_size(torch.empty(0, *subject.dataset.images.shape))
        for start, (_, batch) in zip(range(0, len(rows), size), subject.batches(rows, size), strict=True):
            targets = torch.from_numpy(codes[start : start + size]).to(batch.device)
            found.append(integrated_gradients(subject.model, batch, targets, STEPS))
    except (BiaskitError, RuntimeError) as error:
        # An audit does not fail for its pictures.
        return None, str(error).partition("\n")[0]
    maps = torch.cat(found)
    if not bool(maps.any()):
        return None, "no pixel has a gradient"
    return maps, ""


def _small(pixels: npt.NDArray[np.uint8]) -> str:
    """A picture of an example, made smaller if it is large."""
    height, width = pixels.shape[:2]
    factor = LARGEST / max(height, width)
    if factor < 1:
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        pixels = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))
    return data_uri(pixels)
