"""A realistic result dictionary for the tests of sentences, report and terminal.

Everything in it is invented: a random generator draws which image each run answers rightly and which
answers a swapped color changes; the numbers of the dictionary are then computed from those answers, so that
they agree with each other. The intervals are plain (seeds and images in quadrature) and stand for those of
`biaskit.stats`.
"""

from __future__ import annotations

import base64
import copy
import itertools
import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import stats


def _png(width: int, height: int, color: tuple[int, int, int]) -> str:
    """Make a picture of one color, small enough to write by hand."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = (b"\0" + bytes(color) * width) * height
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + body).decode()


RED, BLUE = _png(28, 28, (214, 40, 40)), _png(28, 28, (40, 60, 214))
HOSTILE = [
    "</script><script>alert(1)</script>",
    '"><img src=x onerror="alert(1)">',
    "\u05e9\u05dc\u05d5\u05dd \u202eevil",
    "x" * 300,
    "[red]",
    "=HYPERLINK(1)",
    "line\nbreak \x1b[31m",
    "{{ 7 * 7 }}",
    "]]><b>&amp;",
    "",
]
METRICS: list[dict[str, Any]] = [
    {"name": n, "title": t, "unit": u, "better": b, "meaning": m, "verdict": v}
    for n, t, u, b, m, v in [
        (
            "flip_rate",
            "flip rate",
            "%",
            "lower",
            "Share of test images whose answer changes with the twin.",
            True,
        ),
        (
            "average_accuracy",
            "accuracy",
            "%",
            "higher",
            "Share of right answers on the test set as mixed.",
            True,
        ),
        (
            "mean_group_accuracy",
            "mean group accuracy",
            "%",
            "higher",
            "Mean of the accuracies of all groups.",
            False,
        ),
        ("gap", "gap", "points", "zero", "Accuracy on one value minus accuracy on the other.", False),
        ("worst_group_accuracy", "worst group", "%", "higher", "The lowest accuracy of any group.", False),
        ("nds", "nDS, level 1", "", "lower", "Distance of logits under a harmless change.", False),
        ("ds", "DS, level 1", "", "lower", "Squared distance of logits.", False),
    ]
]
FLIPS = {"plain": 0.039, "aug": 0.016, "semcont": 0.014}
ERRORS = {"plain": 0.046, "aug": 0.022, "semcont": 0.022}


def example(
    arms: Sequence[str] = ("plain", "aug", "semcont"),
    seeds: int = 5,
    labels: Sequence[str] = tuple("0123456789"),
    colors: Sequence[str] = ("red", "blue"),
    images: int = 4000,
    metric: str = "flip_rate",
) -> dict[str, Any]:
    """Draw invented answers and compute a result from them."""
    rng = np.random.default_rng(7)
    label = np.arange(images) % len(labels)
    color = (rng.random(images) > 0.05).astype(int) if len(colors) > 1 else np.zeros(images, int)
    if len(colors) > 2:
        color = rng.integers(0, len(colors), images)
    hard = rng.exponential(1, images)
    right, flip = {}, {}
    for k, arm in enumerate(arms):
        luck = rng.normal(1, 0.08, (seeds, 1))
        minority = 1 + 0.5 * (color == 0) * (k == 0)
        right[arm] = rng.random((seeds, images)) > ERRORS.get(arm, 0.03 + 0.002 * k) * hard * luck * minority
        flip[arm] = rng.random((seeds, images)) < FLIPS.get(arm, 0.03 - 0.001 * k) * hard * luck
    one = np.ones(images) / images
    sides = [color == len(colors) - 1, color == 0]
    contrast = sides[0] / max(sides[0].sum(), 1) - sides[1] / max(sides[1].sum(), 1)
    weights = {"flip_rate": one, "average_accuracy": one, "mean_group_accuracy": one, "gap": contrast}
    headline: list[dict[str, Any]] = []
    groups: list[dict[str, Any]] = []
    values: list[dict[str, Any]] = []
    cells: dict[tuple[int, int], np.ndarray] = {
        (y, c): (label == y) & (color == c) for y in range(len(labels)) for c in range(len(colors))
    }
    for k, arm in enumerate(arms):
        for name, weight in weights.items():
            answers = flip[arm] if name == "flip_rate" else right[arm]
            value, half = _interval(answers, weight)
            low, high = value - half, value + half
            if name != "gap":
                low, high = max(low, 0.0), min(high, 1.0)
            extra: dict[str, Any] = {}
            if name == "flip_rate":
                to_wrong = float((flip[arm] & right[arm]).mean())
                extra = {"right_to_wrong": to_wrong, "wrong_to_right": value - to_wrong, "untrained": 0.31}
            if name == "gap":
                p = float(2 * stats.norm.sf(abs(value) / max(half / 2, 1e-9)))
                extra = {
                    "noise": half / 2.4,
                    "p": p,
                    "p_max_label": None,
                    "from": colors[-1],
                    "to": colors[0],
                }
            headline.append(_row(arm, name, value, low, high, images, seeds) | extra)
        worst = (2.0, "", 0)
        for (y, c), chosen in cells.items():
            n = int(chosen.sum())
            row: dict[str, Any] = {"arm": arm, "label": labels[y], "color": colors[c], "n": n, "note": ""}
            if n == 0:
                groups.append(row | {"accuracy": None, "low": None, "high": None, "note": "no test images"})
                continue
            value = float(right[arm][:, chosen].mean())
            low, high = _wilson(value, n)
            row["note"] = f"insufficient (n={n})" if n < 10 else ""
            groups.append(row | {"accuracy": value, "low": low, "high": high})
            if n >= 10:
                worst = min(worst, (value, f"{labels[y]}, {colors[c]}", n))
        for c, name in enumerate(colors):
            n = int((color == c).sum())
            value = float(right[arm][:, color == c].mean()) if n else None
            low, high = _wilson(value, n) if value is not None else (None, None)
            values.append(_value(arm, name, value, low, high, n))
        low, high = _wilson(worst[0], max(worst[2], 1)) if worst[2] else (None, None)
        headline.append(
            _row(arm, "worst_group_accuracy", worst[0] if worst[2] else None, low, high, images, seeds)
            | {
                "group": worst[1],
                "group_n": worst[2],
                "times": 4,
                "half_split": 0.95,
                "if_equal": 0.94,
                "reason": "",
            }
        )
        level = 0.081 * 0.5**k
        headline.append(_row(arm, "nds", level, level * 0.94, level * 1.06, images, seeds))
        headline.append(_row(arm, "ds", level * 40, level * 36, level * 44, images, seeds))
    differences = _differences(arms, right, flip, contrast, metric)
    runs = [
        {
            "arm": arm,
            "seed": s,
            "flip_rate": float(flip[arm][s].mean()),
            "average_accuracy": float(right[arm][s].mean()),
            "gap": float((right[arm][s] * contrast).sum()),
            "worst_group_accuracy": min(float(right[arm][s][v].mean()) for v in cells.values() if v.any()),
            "nds": 0.081 * 0.5**k * (1 + 0.03 * (s - 2)),
            "seconds": 7.1 + k,
            "fingerprint": f"{k:02x}{s:02x}9be4a1",
            "stored": s < 3,
            "deterministic": True,
        }
        for k, arm in enumerate(arms)
        for s in range(seeds)
    ]
    continuity = [
        {
            "arm": arm,
            "perturbation": name,
            "level": lv,
            "amount": amount * lv,
            "n": images,
            "nds": v,
            "nds_low": v * 0.93,
            "nds_high": v * 1.07,
            "ds": 40 * v,
            "ds_low": 37 * v,
            "ds_high": 43 * v,
            "discontinuity_rate": min(1.0, v / 3),
        }
        for k, arm in enumerate(arms)
        for name, amount, size in (("brightness", 16, 1.0), ("contrast", 1.25, 1.3), ("hue", 0.1, 2.4))
        for lv in (1, 2, 3, 4)
        for v in [0.03 * size * lv * 0.6**k]
    ]
    control = {"semcont": "aug"}
    return {
        "schema_version": 1,
        "kind": "comparison",
        "command": f"biaskit compare {' '.join(arms)} --on colormnist --seeds {seeds}",
        "created": "2026-11-20T08:14:00Z",
        "seconds": 812.3,
        "arms": [
            {
                "name": a,
                "summary": f"the {a} recipe",
                "paper": "",
                "control": control.get(a),
                "is_control_of": [b for b, c in control.items() if c == a and b in arms],
                "changes": [],
                "fingerprint": f"c41d{k:04x}77",
                "card": {"version": 1, "stage": [{"epochs": 2}]},
                "model": "resnet18",
                "parameters": 11173962,
                "epochs": 2,
            }
            for k, a in enumerate(arms)
        ],
        "data": {
            "name": "colormnist",
            "summary": "digits on a red or blue background",
            "paper": "",
            "source": "mnist",
            "regime": "shift",
            "fingerprint": "5d0c91e7a3f2",
            "shape": [3, 28, 28],
            "splits": {"train": 6000, "test": images, "twin": images},
            "label": list(labels),
            "attributes": {"color": list(colors)},
            "group_by": ["color"],
            "masks": True,
            "twins": True,
            "contingency": [
                {"split": split, "label": labels[y], "color": colors[c], "n": int(v.sum())}
                for split in ("train", "test")
                for (y, c), v in cells.items()
            ],
            "association": [
                {"split": "train", "attribute": "color", "v": 0.011, "p": 0.64, "n": 6000}
                | {"low": 0.0, "high": 0.04, "uncorrected": 0.035, "reason": ""},
                {"split": "test", "attribute": "color", "v": 0.033, "p": 0.30, "n": images}
                | {"low": 0.0, "high": 0.07, "uncorrected": 0.051, "reason": ""},
            ],
        },
        "reliance": {"metric": metric, "attribute": "color", "attribute_words": "background color"},
        "metrics": [m | {"verdict": m["name"] in (metric, "average_accuracy")} for m in METRICS],
        "seeds": list(range(seeds)),
        "checkpoint": "last epoch",
        "margin": 0.005,
        "alpha": 0.05,
        "looks": [seeds],
        "headline": headline,
        "groups": groups,
        "attribute_values": values,
        "gaps": [_gap_of(arm, colors, headline, seeds) for arm in arms],
        "worst": _worst(arms, labels, colors, images),
        "differences": differences,
        "verdicts": [
            {"contrast": f"{r['arm']} - {r['against']}", "n_seeds": r["seeds"]}
            | {k: r[k] for k in ("metric", "estimate", "low", "high", "verdict")}
            for r in differences
            if r["verdict"]
        ],
        "continuity": continuity,
        "runs": runs,
        "failed": [],
        "examples": [
            {
                "row": 4071 + i,
                "label": labels[i % len(labels)],
                "image": BLUE,
                "twin": RED,
                "swapped": "color",
                "rule": "most changed under plain" if i < 2 else "drawn at random",
                "value": {"color": colors[-1]},
                "twin_value": {"color": colors[0]},
                "answers": [
                    {
                        "arm": a,
                        "prediction": labels[i % len(labels)],
                        "confidence": 0.71,
                        "correct": True,
                        "twin_prediction": labels[(i + 1) % len(labels)],
                        "twin_confidence": 0.88,
                        "twin_correct": False,
                    }
                    for a in arms
                ],
            }
            for i in range(4)
        ],
        "sprite": {"image": _png(280, 56, (120, 60, 160)), "alt": "one image of each group"},
        "untrained": {"flip_rate": 0.31},
        "checks": [{"level": "ok", "text": "train and test share no image"}],
        "notes": ["hue is one of the perturbations and undoes part of a red/blue shortcut"],
        "hint": {
            "text": "about 8 seeds would settle semcont - aug; fix the number first",
            "command": "biaskit compare aug semcont --on colormnist --seeds 8",
            "new_runs": 6,
            "seconds": 62.0,
        },
        "versions": {"biaskit": "0.1.0", "python": "3.11.9", "torch": "2.15.0"},
        "machine": {
            "system": "Linux",
            "cores": 4,
            "device": "cpu",
            "precision": "32",
            "threads": 1,
            "deterministic": True,
        },
    }


def _gap_of(arm: str, colors: Sequence[str], headline: list[dict[str, Any]], seeds: int) -> dict[str, Any]:
    """The gap of the one attribute, as the headline has it."""
    row = next(r for r in headline if r["metric"] == "gap" and r["arm"] == arm)
    kept = {name: row[name] for name in ("value", "low", "high", "n", "noise", "p", "from", "to")}
    more = {"values": len(colors), "picked": False, "seeds": seeds, "p_holm": row["p"], "left_out": [], "reason": ""}
    return {"arm": arm, "attribute": "color", **kept, **more}


def _worst(arms: Sequence[str], labels: Sequence[str], colors: Sequence[str], images: int) -> dict[str, Any]:
    """Wrong answers of high confidence, with attributions."""
    examples = []
    for i in range(4):
        said = labels[(i + 1) % len(labels)]
        answer = {"prediction": said, "confidence": 0.99 - 0.01 * i, "correct": False, "map": RED}
        both = answer | {f"twin_{key}": value for key, value in answer.items()}
        rule = "wrong with the highest confidence " + ("in the lowest group" if i < 2 else "of all other test images")
        examples.append(
            {
                "row": 17 + i,
                "label": labels[i % len(labels)],
                "rule": rule,
                "swapped": "color",
                "value": {"color": colors[0]},
                "twin_value": {"color": colors[-1]},
                "image": RED,
                "twin": BLUE,
                "answers": [{"arm": arm} | both for arm in arms],
            }
        )
    about = {"arm": arms[0], "seed": 0, "group": f"{labels[0]}, {colors[0]}", "wrong": 71, "n": images, "steps": 32}
    return about | {"examples": examples, "notes": []}


def hostile() -> dict[str, Any]:
    """Labels, values and arms whose names try to be markup, formulas or control codes, or are far too long."""
    result = further(arms=HOSTILE[:3], labels=HOSTILE, colors=HOSTILE[4:6], images=2000)
    result["analyses"][1]["analyzer"] = HOSTILE[1]
    result["analyses"][1]["notes"] = [{"arm": HOSTILE[2], "note": f"check failed: {HOSTILE[0]}"}]
    result["analyses"][2]["columns"][0]["meaning"] = HOSTILE[0]
    for row in result["analyses"][2]["rows"]:
        row["distortion"] = HOSTILE[1] + row["distortion"]
    for entry in result["gallery"]:
        entry |= {"figure": HOSTILE[0] + entry["figure"], "row": HOSTILE[1] + entry["row"], "caption": HOSTILE[3]}
    result["gallery"][3]["image"] = 'x" onerror="alert(1)'
    result["data"]["summary"] = HOSTILE[0]
    result["notes"] = HOSTILE[:3]
    result["command"] = "biaskit compare '" + HOSTILE[1] + "'"
    result["reliance"]["attribute_words"] = HOSTILE[1]
    result["failed"] = [{"arm": HOSTILE[1], "seed": 0, "analyzer": "continuity", "reason": HOSTILE[0]}]
    result["worst"] |= {"group": HOSTILE[1], "notes": [f"{HOSTILE[0]} has no attribution: {HOSTILE[1]}"]}
    result["worst"]["examples"][0]["answers"][0]["map"] = 'x" onerror="alert(1)'
    return result


def audit(
    labels: Sequence[str] = tuple("0123456789"), colors: Sequence[str] = ("red", "blue"), images: int = 4000
) -> dict[str, Any]:
    """What an audit of one module writes: one arm, one seed, no runs, no differences."""
    result = example(arms=["plain"], seeds=1, labels=labels, colors=colors, images=images)
    result |= {"kind": "audit", "command": "bk.audit(plain, colormnist)", "margin": None, "looks": [1], "hint": None}
    result |= {"differences": [], "verdicts": [], "runs": [], "notes": [], "checks": [], "repeated": []}
    arm = result["arms"][0]
    arm |= {"summary": "the model that was audited", "card": {"summary": "the model that was audited"}}
    arm |= {"parameters": None, "epochs": None}
    for row in result["continuity"]:
        row.update(nds_low=None, nds_high=None, ds_low=None, ds_high=None)
    for entry in result["examples"]:
        for answer in entry["answers"]:
            answer.update(seeds_flipped=1, seeds=1)
    return result


def several() -> dict[str, Any]:
    """An audit of data with three attributes: one decides, one has four values, one has one."""
    result = audit()
    first = result["gaps"][0]
    cloth = first | {"attribute": "cloth", "values": 4, "from": "silk", "to": "wool", "picked": True}
    cloth |= {"value": 0.061, "low": 0.02, "high": 0.11, "noise": 0.021, "p": 0.001, "p_holm": 0.003}
    none = {"value": None, "low": None, "high": None, "noise": None, "p": None, "p_holm": None, "n": 0}
    room = first | {"attribute": "room", "values": 1, "from": "hall", "to": "hall"} | none
    result["gaps"] += [cloth, room | {"reason": "every test image is hall"}]
    result["data"]["words"] = {"cloth": "cloth of the coat"}
    return result


def bare_audit() -> dict[str, Any]:
    """An audit of data without attributes, and so without twins, gap or parity."""
    result = audit(colors=("only",))
    result["headline"] = [r for r in result["headline"] if r["metric"] not in ("flip_rate", "gap")]
    for row in result["headline"]:
        if row.get("group"):
            row["group"] = row["group"].removesuffix(", only")
    result |= {"groups": [{k: v for k, v in r.items() if k != "color"} for r in result["groups"]]}
    result |= {"attribute_values": [], "gaps": [], "examples": [], "sprite": None}
    for entry in result["worst"]["examples"]:
        entry |= {"value": {}, "twin_value": None, "twin": None, "swapped": None}
        entry["answers"] = [{k: v for k, v in a.items() if not k.startswith("twin_")} for a in entry["answers"]]
    result["reliance"] = {"metric": "gap", "attribute": "", "attribute_words": ""}
    result["data"] |= {"attributes": {}, "group_by": [], "twins": False, "association": []}
    result["failed"] = [
        {"arm": "plain", "seed": 0, "analyzer": "parity", "reason": "photos has no attribute to compare"},
        {"arm": "plain", "seed": 0, "analyzer": "counterfactual_flips", "reason": "photos has no twins"},
        {"arm": "plain", "seed": 0, "analyzer": "mine", "reason": "broke"},
    ]
    return result


def further(arms: Sequence[str] = ("plain", "aug", "semcont"), seeds: int = 5, **options: Any) -> dict[str, Any]:
    """A comparison in which other analyzers ran too, with pictures: as of today, with `analyses` and `gallery`."""
    result = example(arms=arms, seeds=seeds, **options)
    colors, labels = result["data"]["attributes"]["color"], result["data"]["label"]
    result["analyses"] = [
        _known_analysis(arms),
        _robustness(arms, labels, colors, seeds),
        _reliance(arms),
        _transfer(arms),
    ]
    result["gallery"] = [
        {
            "analyzer": "attribution" if figure != "triples" else "continuity",
            "figure": figure,
            "row": f"image {row}, label {labels[row % len(labels)]}",
            "column": column,
            "shared": column == "image",
            "caption": "core 0.61" if column != "image" else "",
            "image": (BLUE if column == "image" else RED),
        }
        for figure in ("integrated gradients", "triples")
        for row in range(6)
        for column in ("image", *arms)
    ]
    result["analyses"].append(_attribution(arms))
    return result


def _column(name: str, meaning: str, unit: str = "", better: str = "", kind: str = "measure") -> dict[str, Any]:
    entry = {"name": name, "meaning": meaning, "unit": unit, "better": better}
    return entry | {"key": kind == "key", "measure": kind == "measure"}


def _seeded(name: str, value: float, half: float | None) -> dict[str, Any]:
    ends = (None, None) if half is None else (value - half, value + half)
    return {name: value, f"{name}_low": ends[0], f"{name}_high": ends[1]}


def _known_analysis(arms: Sequence[str]) -> dict[str, Any]:
    """What continuity says beside its own section: which class its pictures show."""
    columns = [
        _column("perturbation", "what was changed", kind="key"),
        _column("nds", "relative distance", "", "lower"),
    ]
    rows = [{"arm": a, "perturbation": "all", "n": 9, **_seeded("nds", 0.1, 0.01)} for a in arms]
    notes = [{"arm": a, "note": "the view shows class 3"} for a in arms]
    return {"analyzer": "continuity", "options": {}, "columns": columns, "rows": rows, "notes": notes}


def _robustness(arms: Sequence[str], labels: Sequence[str], colors: Sequence[str], seeds: int) -> dict[str, Any]:
    """Accuracy under attack: several epsilons of one attack, a clean row, groups, and a check that failed."""
    columns = [
        _column("attack", "what was done to the images; clean = nothing", kind="key"),
        _column("epsilon", "how far a pixel may move, of 1", kind="key"),
        _column("steps", "gradient passes", kind="key"),
        _column("label", "the label; all = every image", kind="key"),
        _column("color", "attribute; all = every image", kind="key"),
        _column("n", "images", kind="count"),
        _column("accuracy", "share right as they are and under the attack", "share", "higher"),
    ]
    half = 0.02 if seeds > 1 else None
    rows = []
    groups = [("all", "all", 500), *((label, color, 25) for label in labels for color in colors)]
    for k, arm in enumerate(arms):
        for attack, epsilon, steps in (("clean", 0.0, 0), *(("pgd", e / 255, 10) for e in (1, 2, 4, 8, 16))):
            for label, color, n in groups if epsilon in (0.0, 8 / 255) else groups[:1]:
                value = 0.95 * 0.8 ** (epsilon * 255 / (k + 1))
                key = {"arm": arm, "attack": attack, "epsilon": epsilon, "steps": steps, "label": label, "color": color}
                rows.append({**key, "n": n, **_seeded("accuracy", value, half)})
    notes = [{"arm": arms[-1], "note": "Check failed, large epsilon: PGD leaves 31 % right"}]
    notes += [{"arm": arm, "note": "All other checks of the attack passed."} for arm in arms]
    return {"analyzer": "robustness", "options": {}, "columns": columns, "rows": rows, "notes": notes}


def _reliance(arms: Sequence[str]) -> dict[str, Any]:
    """Three distortions with several amounts, a text that follows the amount, and an unchanged row."""
    columns = [
        _column("distortion", "what was done to the images; none = as they are", kind="key"),
        _column("amount", "shift or share as a fraction", kind="key"),
        _column("strength", "the amount in pixels", kind="key"),
        _column("n", "images", kind="count"),
        _column("accuracy", "share of right answers; lower is more semantic", "share", "lower"),
        _column("retained", "accuracy over accuracy on the images as they are", "", "lower"),
    ]
    steps = [("none", 0.0, "unchanged")]
    steps += [("channel_shift", a, f"{round(a * 32)} px") for a in (1 / 32, 1 / 16, 1 / 8, 1 / 4)]
    steps += [("center_shuffle", a, f"{round(a * 32)} x {round(a * 32)} px") for a in (0.25, 0.5, 0.75, 1.0)]
    steps += [("puzzle", g, f"{g} x {g} blocks") for g in (2, 4, 8)]
    rows = []
    for k, arm in enumerate(arms):
        for place, (distortion, amount, strength) in enumerate(steps):
            value = max(0.1, 0.95 - 0.06 * place * (k + 1))
            key = {"arm": arm, "distortion": distortion, "amount": amount, "strength": strength, "n": 500}
            rows.append(key | _seeded("accuracy", value, 0.02) | _seeded("retained", value / 0.95, 0.03))
    return {"analyzer": "semantic_reliance", "options": {}, "columns": columns, "rows": rows, "notes": []}


def _transfer(arms: Sequence[str]) -> dict[str, Any]:
    """Two modes, nothing to draw, and a measure that is undefined for one of them."""
    columns = [
        _column("mode", "probe or finetune", kind="key"),
        _column("n", "images", kind="count"),
        _column("accuracy", "share of right answers", "share", "higher"),
        _column("flip_rate", "share of pairs with two answers", "share", "lower"),
    ]
    rows = []
    for k, arm in enumerate(arms):
        for mode in ("probe", "finetune"):
            flips = (
                _seeded("flip_rate", 0.1, 0.05)
                if mode == "probe"
                else dict.fromkeys(("flip_rate", "flip_rate_low", "flip_rate_high"))
            )
            rows.append({"arm": arm, "mode": mode, "n": 180, **_seeded("accuracy", 0.8 + 0.01 * k, 0.05), **flips})
    rows[0].update(flip_rate=None, flip_rate_low=None, flip_rate_high=None)
    return {"analyzer": "transfer", "options": {}, "columns": columns, "rows": rows, "notes": []}


def _attribution(arms: Sequence[str]) -> dict[str, Any]:
    columns = [
        _column("method", "how the map is made", kind="key"),
        _column("label", "the label; all = every image", kind="key"),
        _column("color", "attribute; all = every image", kind="key"),
        _column("n", "images", kind="count"),
        _column("core_share", "share of the map on the core", "share", "higher"),
        _column("core_chance", "what a constant map gets", "share"),
        _column("gradient_norm", "length of the gradient", "logit"),
    ]
    rows = [
        {"arm": arm, "method": method, "label": "all", "color": "all", "n": 200}
        | _seeded("core_share", 0.6, 0.1)
        | _seeded("core_chance", 0.2, 0.0)
        | _seeded("gradient_norm", 1234.5, 700.0)
        for arm in arms
        for method in ("integrated_gradients", "grad_cam")
    ]
    return {"analyzer": "attribution", "options": {}, "columns": columns, "rows": rows, "notes": []}


def swept(values: Sequence[Any] = (0, 0.1, 0.3, 1, 3, 10)) -> dict[str, Any]:
    """A sweep of one option of a recipe, an arm per value."""
    result = example(arms=[f"semcont alpha={v}" for v in values], images=2000)
    metrics = [("average_accuracy", "accuracy", "%"), ("ds", "DS, level 1", "logit^2"), ("nds", "nDS, level 1", "")]
    result["kind"] = "sweep"
    result["command"] = "biaskit sweep semcont --param stage.0.loss.alpha=" + ",".join(map(str, values))
    result["sweep"] = {
        "recipe": "semcont",
        "param": "stage.0.loss.alpha",
        "values": list(values),
        "arms": [a["name"] for a in result["arms"]],
        "rows": [
            {"arm": arm["name"], "value": v, "metric": name, "title": title, "unit": unit, "n": 2000, "seeds": 5}
            | {"estimate": size, "low": size * 0.9, "high": min(size * 1.1, 0.99) if unit == "%" else size * 1.1}
            for k, (v, arm) in enumerate(zip(values, result["arms"], strict=True))
            for name, title, unit in metrics
            for size in [{"average_accuracy": 0.95 - 0.01 * k, "ds": 40 / (k + 1), "nds": 0.3 / (k + 1)}[name]]
        ],
    }
    return result


def study(items: Sequence[str] = ("table2", "fig3"), seeds: int = 5) -> dict[str, Any]:
    """A study of two items on a substitute: a table with claims, and a figure of curves and pictures."""
    arms = ("plain", "semcont", "adv", "adv-semcont")
    published = {"plain": (0.6699, 0.0934), "semcont": (0.6701, 0.1601), "adv": (0.638, 0.443)}
    rows = [
        {"arm": arm, "measure": measure, "unit": "%", "better": "higher", "value": value, "low": value - 0.03}
        | {"published": published.get(arm, (None, None))[m], "published_on": "CIFAR-100", "high": value + 0.03}
        | {"n": 1000, "seeds": seeds}
        for m, measure in enumerate(("clean accuracy", "adversarial accuracy"))
        for k, arm in enumerate(arms)
        for value in [0.9 - 0.02 * k if m == 0 else 0.1 + 0.2 * k]
    ]
    findings = ("holds", "does not hold", "inconclusive")
    claims = [
        {"item": "table2", "claim": f"{arm} is more robust than plain", "contrast": f"{arm} - plain"}
        | {"measure": "adversarial accuracy", "published": published.get(arm, (0, None))[1], "estimate": 0.2}
        | {"low": 0.15, "high": 0.25, "p_holm": 0.002, "finding": word, "n": 1000, "seeds": seeds, "reason": ""}
        for arm, word in zip(arms[1:], findings, strict=True)
    ]
    claims[-1].update(estimate=None, low=None, high=None, p_holm=None, reason="fewer than 3 seeds")
    curves = [
        {"panel": panel, "x_title": "level", "y_title": "DS", "unit": "logit^2", "arm": arm, "x": x, "y": y}
        | {"low": y * 0.9, "high": y * 1.1}
        for panel in ("brightness", "contrast")
        for k, arm in enumerate(arms)
        for x in (1, 2, 3, 4)
        for y in [10.0 * x / (k + 1)]
    ]
    every = [
        {"name": "table2", "title": "Table 2: robust accuracy (colordigits for CIFAR-100)", "rows": rows}
        | {"about": "Accuracy on clean and attacked images.", "curves": [], "claims": claims, "gallery": []}
        | {"failed": [], "notes": ["the paper does not say whether the attack starts at random"]},
        {"name": "fig3", "title": "Figure 3: distance over levels (colordigits for CIFAR-100)", "rows": []}
        | {"about": "Distance of the logits over the levels.", "curves": curves, "claims": [], "notes": []}
        | {"gallery": further(arms=arms, images=400)["gallery"], "failed": ["adv-semcont: no runs"]},
    ]
    base = example(arms=arms, seeds=seeds, images=400)
    return {
        "schema_version": 1,
        "kind": "study",
        "study": "wu2021",
        "preset": "smoke",
        "title": "Semantic continuity",
        "paper": "Wu et al., arXiv 2011.09789",
        "command": "biaskit reproduce wu2021 --preset smoke",
        **{k: base[k] for k in ("created", "seconds", "versions", "checkpoint")},
        "machine": base["machine"],
        "data": [{k: base["data"][k] for k in ("name", "summary", "fingerprint", "shape", "splits")}],
        "arms": [{k: a[k] for k in ("name", "summary", "paper", "card", "epochs", "model")} for a in base["arms"]],
        "seeds": list(range(seeds)),
        "items": [
            one | {"original": "CIFAR-100", "data": "colordigits", "substitute": True}
            for one in every
            if one["name"] in items
        ],
        "claims": claims if "table2" in items else [],
    }


def hostile_study() -> dict[str, Any]:
    """A study whose every text tries to be markup."""
    result = study()
    result |= {"title": HOSTILE[0], "command": HOSTILE[1], "paper": HOSTILE[3]}
    for k, item in enumerate(result["items"]):
        item |= {"name": HOSTILE[k], "title": HOSTILE[k + 1], "about": HOSTILE[7], "notes": [HOSTILE[8]]}
        item["failed"] = [HOSTILE[0]]
        for row in [*item["rows"], *item["claims"]]:
            row["measure"] = HOSTILE[2]
        for row in item["gallery"]:
            row |= {"figure": HOSTILE[1], "row": HOSTILE[0], "caption": HOSTILE[2]}
        for row in item["curves"]:
            row |= {"panel": HOSTILE[1] + row["panel"], "x_title": HOSTILE[0], "y_title": HOSTILE[7]}
    for claim in result["claims"]:
        claim |= {"item": HOSTILE[0], "claim": HOSTILE[1], "contrast": HOSTILE[3], "reason": HOSTILE[6]}
    return result


def settled(result: dict[str, Any], **verdicts: str) -> dict[str, Any]:
    """Copy a result and set reliance verdicts by hand: ``settled(result, aug_plain="worse")``."""
    result = copy.deepcopy(result)
    for row in result["differences"]:
        word = verdicts.get(f"{row['arm']}_{row['against']}")
        if word is None or row["metric"] != result["reliance"]["metric"]:
            continue
        size = {"better": -0.024, "worse": 0.012, "no relevant difference": 0.0004}.get(word, -0.0022)
        half = {"better": 0.0064, "worse": 0.006, "no relevant difference": 0.0034}.get(word, 0.0036)
        row.update(verdict=word, reason="", estimate=size, low=size - half * 0.8, high=size + half * 0.8)
        row.update(low_together=size - half, high_together=size + half)
        row.update(seeds_needed=8 if word == "inconclusive" else None, images_needed=None)
    return result


def _row(arm: str, metric: str, value: Any, low: Any, high: Any, n: int, seeds: int) -> dict[str, Any]:
    return {"arm": arm, "metric": metric, "value": value, "low": low, "high": high, "n": n, "seeds": seeds}


def _value(arm: str, value: str, accuracy: Any, low: Any, high: Any, n: int) -> dict[str, Any]:
    row = {"arm": arm, "attribute": "color", "value": value, "n": n}
    return row | {"accuracy": accuracy, "low": low, "high": high}


def _wilson(p: float, n: int) -> tuple[float, float]:
    z = 1.95996
    middle, half = p + z * z / 2 / n, z * np.sqrt(p * (1 - p) / n + z * z / 4 / n / n)
    return float((middle - half) / (1 + z * z / n)), float((middle + half) / (1 + z * z / n))


def _interval(x: np.ndarray, weight: np.ndarray, alpha: float = 0.05) -> tuple[float, float]:
    """Mean and half-width of a linear metric: seeds (t) and images (normal) in quadrature."""
    per_seed = x @ weight
    image = float(((x.mean(0) - x.mean()) ** 2 * weight**2).sum())
    seed = float(per_seed.var(ddof=1) / len(x)) if len(x) > 1 else 0.0
    t = float(stats.t.ppf(1 - alpha / 2, len(x) - 1)) if len(x) > 1 else 0.0
    return float(per_seed.mean()), float(np.hypot(t * seed**0.5, stats.norm.ppf(1 - alpha / 2) * image**0.5))


def _differences(
    arms: Sequence[str],
    right: dict[str, np.ndarray],
    flip: dict[str, np.ndarray],
    contrast: np.ndarray,
    metric: str,
) -> list[dict[str, Any]]:
    rows = []
    pairs = list(itertools.combinations(arms, 2))
    for name in ("flip_rate", "average_accuracy", "gap", "worst_group_accuracy", "nds"):
        for against, arm in pairs:
            x = (flip if name == "flip_rate" else right)[arm] * 1.0 - (flip if name == "flip_rate" else right)[against]
            weight = contrast if name == "gap" else np.ones(x.shape[1]) / x.shape[1]
            if name == "worst_group_accuracy":
                weight = np.where(contrast < 0, 1, 0) / max((contrast < 0).sum(), 1)
            estimate, half = _interval(x, weight)
            if name == "nds":
                estimate = 0.081 * (0.5 ** arms.index(arm) - 0.5 ** arms.index(against))
                half = abs(estimate) * 0.1
            _, joint = _interval(x, weight, 0.05 / (2 * len(pairs)))
            row: dict[str, Any] = {
                "metric": name,
                "arm": arm,
                "against": against,
                "estimate": estimate,
                "low": estimate - half,
                "high": estimate + half,
                "seeds": len(x),
                "n": x.shape[1],
                "image_share": 0.8 if name == "worst_group_accuracy" else 0.3,
                "p": None,
                "p_holm": None,
                "low_together": None,
                "high_together": None,
                "verdict": None,
                "reason": "",
                "detectable": None,
                "seeds_needed": None,
                "images_needed": None,
                "new_runs": None,
            }
            if name in (metric, "average_accuracy"):
                low, high = estimate - joint, estimate + joint
                word = "inconclusive"
                if low >= -0.005 and high <= 0.005:
                    word = "no relevant difference"
                elif low > 0 or high < 0:
                    word = "better" if (estimate > 0) == (name == "average_accuracy") else "worse"
                reason = "needs 3 seeds" if len(x) < 3 else ""
                p = float(2 * stats.norm.sf(abs(estimate) / max(half / 1.96, 1e-9)))
                row.update(low_together=low, high_together=high, p=p, p_holm=min(1.0, p * 6), reason=reason)
                row.update(verdict=word if not reason else "inconclusive", detectable=joint * 1.4)
                if word == "inconclusive":
                    row.update(seeds_needed=8, new_runs=6)
            rows.append(row)
    return rows
