"""What stands beside the verdict: what it rests on, how it is to be read, what would settle what is open."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from biaskit.telling.numbers import ASCII, Numbers
from biaskit.telling.words import BETTER, LOWEST, OPEN, Result, Row, compared, headline, kind, listed, title

__all__ = ["hint", "methods", "notes", "rests_on", "settle"]


def settle(result: Result, numbers: Numbers = ASCII) -> list[str]:
    """Say what would turn the open pairs into a verdict: more seeds, more images, or neither."""
    if len(result["arms"]) == 1:
        return ["A second arm: how much is much can only be told beside another recipe."]
    if len(result["seeds"]) < 3:
        return ["At least 3 seeds, better 5. Below that a difference and luck look the same."]
    rows = compared(result, result["reliance"]["metric"])
    if not rows:
        return [f"The {title(result, result['reliance']['metric'])} of at least two arms."]
    still = [r for r in rows if kind(r) == OPEN and not r["reason"]]
    if not still:
        return [f"Every comparison of the {title(result, result['reliance']['metric'])} that can be settled is."]
    by_seeds = sorted((r for r in still if r["seeds_needed"]), key=lambda r: r["seeds_needed"])
    by_images = sorted(
        (r for r in still if not r["seeds_needed"] and r["images_needed"]), key=lambda r: r["images_needed"]
    )
    neither = [r for r in still if not r["seeds_needed"] and not r["images_needed"]]
    sentences = []
    if by_seeds:
        count = by_seeds[0]["seeds_needed"]
        sentences.append(
            f"About {numbers.count(count)} seeds would settle {_versus(by_seeds[0])}, if the spread stays as"
            " it is." + _more(by_seeds)
        )
    if by_images:
        count = by_images[0]["images_needed"]
        sentences.append(
            f"No number of seeds would settle {_versus(by_images[0])}; about {numbers.count(count)} test"
            " images would." + _more(by_images)
        )
    if neither:
        sentences.append(
            f"Neither seeds nor images within reach would settle {_versus(neither[0])}: "
            "if there is a difference, it is too small for this design." + _more(neither)
        )
    if by_seeds:
        sentences.append(
            "Decide the number beforehand: adding seeds until a verdict appears makes false verdicts more likely."
        )
    return sentences


def hint(result: Result) -> dict[str, Any] | None:
    """Give the command that would settle the first open pair, and its cost; None where there is none.

    Returns
    -------
    dict or None
        ``text``, ``command``, ``new_runs`` and ``seconds``. The command keeps all arms: with other arms
        the family of verdicts, and so the number of seeds, would be another one.
    """
    if result.get("hint"):
        return dict(result["hint"])
    arms, have = len(result["arms"]), len(result["seeds"])
    if arms < 2:
        return None
    rows = [r for r in compared(result, result["reliance"]["metric"]) if kind(r) == OPEN and not r["reason"]]
    rows = sorted((r for r in rows if r["seeds_needed"]), key=lambda r: r["seeds_needed"])
    if have < 3:
        seeds, text = 5, "take 5 seeds: below three a difference and luck look the same"
    elif rows and rows[0]["seeds_needed"] > have:
        seeds = rows[0]["seeds_needed"]
        text = f"about {seeds} seeds would settle {rows[0]['arm']} - {rows[0]['against']}; fix the number first"
    else:
        return None
    words = shlex.split(result["command"])
    if "--seeds" in words[:-1]:
        words[words.index("--seeds") + 1] = str(seeds)
    elif any(w.startswith("--seeds=") for w in words):
        words = [f"--seeds={seeds}" if w.startswith("--seeds=") else w for w in words]
    else:
        words += ["--seeds", str(seeds)]
    new_runs = arms * (seeds - have)
    known = [r["seconds"] for r in result["runs"] if r["seconds"] is not None]
    cost = new_runs * sum(known) / len(known) if known else None
    return {"text": text, "command": shlex.join(words), "new_runs": new_runs, "seconds": cost}


def _versus(row: Row) -> str:
    return f"{row['arm']} against {row['against']}"


def _more(rows: Sequence[Row]) -> str:
    """Point to the pairs that were not named."""
    extra = len(rows) - 1
    if not extra:
        return ""
    return f" {extra} more open comparison{'s need' if extra > 1 else ' needs'} as much or more (see Differences)."


def methods(result: Result, numbers: Numbers = ASCII) -> str:
    """Say what the numbers are: mean, interval, checkpoint rule.

    Examples
    --------
    >>> methods({"seeds": [0, 1, 2, 3, 4], "arms": [1, 2], "checkpoint": "last epoch"})
    'mean of 5 seeds, 95 % interval over seeds and images; checkpoint: last epoch, all arms'
    """
    if result.get("kind") == "audit":
        rule = f"; checkpoint: {result['checkpoint']}" if result["runs"] else ""
        return f"one model, 95 % interval over test images{rule}"
    count = len(result["seeds"])
    seeds = (
        "1 seed, 95 % interval over images"
        if count == 1
        else f"mean of {count} seeds, 95 % interval over seeds and images"
    )
    arms = ", all arms" if len(result["arms"]) > 1 else ""
    return f"{seeds}; checkpoint: {result['checkpoint']}{arms}"


def rests_on(result: Result, numbers: Numbers = ASCII) -> list[tuple[str, str]]:
    """List what the result rests on: ``("note", text)`` for what changes how it reads, then ``("ok", text)``.

    Returns
    -------
    list of tuple
        Notes first: control arm, repeated seeds, worst group, looks, failures, then those of ``result["notes"]`` and
        ``result["checks"]``; no text twice. Of an audit: ``("failed", text)`` for each analyzer that gave nothing,
        then groups that are too small, then what ran on how many images.
    """
    if result["kind"] == "audit":
        entries = [*_unanswered(result), *_hue(result), *_small(result, numbers), *_ran(result, numbers)]
    else:
        entries = [
            *_controls(result),
            *_repeated(result),
            *_hue(result),
            *_worst(result, numbers),
            *_looks(result),
            *_finished(result),
        ]
    entries += [("note", text) for text in result.get("notes", [])]
    entries += [(check["level"], check["text"]) for check in result.get("checks", [])]
    if len(result["arms"]) > 1:
        entries.append(("ok", f"one rule picks the checkpoint of every arm: {result['checkpoint']}"))
    unique = list(dict.fromkeys(entries))
    order = ["failed", "note", "ok"]
    return sorted(unique, key=lambda e: order.index(e[0]))


def notes(result: Result, numbers: Numbers = ASCII) -> list[str]:
    """List only what changes how the result reads, most important first."""
    return [text for level, text in rests_on(result, numbers) if level == "note"]


def _controls(result: Result) -> list[tuple[str, str]]:
    """Leave an arm only what it gains beyond its control, and miss a control that is not there."""
    names = {a["name"] for a in result["arms"]}
    treated: dict[str, list[str]] = {}
    for arm in result["arms"]:
        if arm["control"]:
            treated.setdefault(arm["control"], []).append(arm["name"])
    entries = []
    for control, arms in treated.items():
        if control not in names:
            add = f"what {listed(arms)} {'adds of its' if len(arms) == 1 else 'add of their'} own cannot be told"
            entries.append(("note", f"{control}, the control arm of {listed(arms)}, is missing: {add}"))
            continue
        rows = compared(result, result["reliance"]["metric"])
        gains = any(r["arm"] == control and r["against"] not in arms and kind(r) == BETTER for r in rows)
        if gains:
            gain, their = ("gains", "its") if len(arms) == 1 else ("gain", "their")
            text = f"only what {listed(arms)} {gain} beyond {control}, {their} control arm, is {their} own"
            entries.append(("note", text))
        else:
            entries.append(("ok", f"the control arm of {listed(arms)} is present: {control}"))
    return entries


def _hue(result: Result) -> list[tuple[str, str]]:
    """Say when a perturbation undoes the very shortcut that is measured."""
    arms = result.get("hue") or []
    words = result["reliance"]["attribute_words"]
    if not arms or "color" not in words.lower():
        return []
    return [("note", f"hue is one of the perturbations of {listed(arms)} and undoes part of a {words} shortcut")]


def _worst(result: Result, numbers: Numbers) -> list[tuple[str, str]]:
    """Say when the worst group is too small for any number of seeds."""
    rows = [r for r in result["differences"] if r["metric"] == "worst_group_accuracy"]
    shares = [r["image_share"] for r in rows if r["image_share"] is not None]
    sizes = [r["group_n"] for r in result["headline"] if r["metric"] == "worst_group_accuracy" and r.get("group_n")]
    if not sizes or not shares or max(shares) <= 0.5:
        return []
    return [
        (
            "note",
            (
                f"the worst group rests on {numbers.counted(min(sizes), 'image')}; more seeds will not settle it,"
                " more images would"
            ),
        )
    ]


def _looks(result: Result) -> list[tuple[str, str]]:
    """Count the looks: every one is another chance of a false verdict, which the error rate pays for."""
    looks = result["looks"]
    if len(result["arms"]) == 1:
        return []
    if len(looks) <= 1:
        return [("ok", "first look: these seeds were evaluated once")]
    return [
        (
            "note",
            (
                f"look {len(looks)} (at {listed(map(str, looks))} seeds): the error rate is divided by the"
                " number of looks"
            ),
        )
    ]


def _finished(result: Result) -> list[tuple[str, str]]:
    """Say which runs or analyzers failed, or that all finished."""
    failed = result["failed"]
    if not failed:
        count = len(result["arms"]) * len(result["seeds"])
        return [("ok", f"all {count} runs finished; seeds, data and test images are shared")] if count > 1 else []
    first = failed[0]
    where = f"{first['analyzer']} ({first['arm']}" + (f", seed {first['seed']})" if first["seed"] is not None else ")")
    more = f"; {len(failed) - 1} more failed" if len(failed) > 1 else ""
    return [("note", f"{where} failed: {first['reason']}{more}")]


def _repeated(result: Result) -> list[tuple[str, str]]:
    """Name the seeds left out because they repeat another run: they are no evidence of their own."""
    return [("note", text) for text in result.get("repeated", [])]


# ---------------------------------------------------------------------------------------------------- audits


def _unanswered(result: Result) -> list[tuple[str, str]]:
    """Name each analyzer that gave nothing, with its reason."""
    return [("failed", f"{row['analyzer']}: {row['reason']}") for row in result["failed"]]


def _small(result: Result, numbers: Numbers) -> list[tuple[str, str]]:
    """Say which groups are too small to tell, and how low the lowest would be by chance alone."""
    entries = []
    by = ["label", *result["data"]["group_by"]]
    few = [r for r in result["groups"] if r["note"]]
    if few:
        every = "; ".join(f"{', '.join(str(r[b]) for b in by)} (n={r['n']})" for r in few[:3])
        every += f"; and {len(few) - 3} more" if len(few) > 3 else ""
        share = f"{len(few)} of {numbers.count(len(result['groups']))} groups"
        entries.append(
            (
                "note",
                f"{share} have too few test images to tell: {every}",
            )
        )
    lowest = headline(result, LOWEST, result["arms"][0]["name"])
    if lowest is not None and lowest.get("if_equal") is not None:
        entries.append(
            (
                "note",
                f"some group is lowest by chance alone: with all groups equal it would read about"
                f" {numbers.percent(lowest['if_equal'])}, here {numbers.percent(lowest['value'])}"
                f" ({lowest['group']}, n {numbers.count(lowest['group_n'])})",
            )
        )
    return entries


def _ran(result: Result, numbers: Numbers) -> list[tuple[str, str]]:
    """Say what was measured, on how many images."""
    present = {r["metric"] for r in result["headline"]}
    proof = {
        "group_accuracy": bool(result["groups"]),
        "parity": "demographic_parity_difference" in present,
        "counterfactual_flips": any(r.get("right_to_wrong") is not None for r in result["headline"]),
        "continuity": bool(result["continuity"]),
    }
    failed = {r["analyzer"] for r in result["failed"]}
    proof |= {one["analyzer"]: True for one in result.get("analyses", []) if one["analyzer"] not in proof}
    ran = [name for name, there in proof.items() if there and name not in failed]
    data = result["data"]
    groups = numbers.counted(len(result["groups"]), "group")
    images = f"{numbers.counted(data['splits'].get('test', 0), 'test image')} in {groups}"
    twins = numbers.counted(data["splits"]["twin"], "twin") if data["twins"] else "no twins"
    return [("ok", f"{images}, {twins}"), *([("ok", f"ran: {', '.join(ran)}")] if ran else [])]
