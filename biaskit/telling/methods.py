"""What a paper says of a result: how it was measured, what was found, and whom to cite, filled in from the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from biaskit.telling import score, sentences, study
from biaskit.telling.markdown import escaped
from biaskit.telling.numbers import ASCII, Numbers, visible
from biaskit.telling.words import KINDS, listed, meaning, title

__all__ = ["methods_markdown", "paragraphs", "references"]

Row = Mapping[str, Any]

DRAWS = 9_999
"""Draws of the permutation test."""
WORKS = {
    "holm": "Holm, S. (1979). A simple sequentially rejective multiple test procedure. Scand. J. Stat. 6, 65-70.",
    "howe": "Howe, W. G. (1974). Approximate confidence limits on the mean of X + Y where X and Y are two tabled"
    " independent random variables. J. Am. Stat. Assoc. 69, 789-794.",
    "korn": "Korn, E. L. and Graubard, B. I. (1998). Confidence intervals for proportions with small expected number"
    " of positive counts estimated from survey data. Surv. Methodol. 24, 193-201.",
    "wilson": "Wilson, E. B. (1927). Probable inference, the law of succession, and statistical inference."
    " J. Am. Stat. Assoc. 22, 209-212.",
    "newcombe": "Newcombe, R. G. (1998). Interval estimation for the difference between independent proportions."
    " Stat. Med. 17, 873-890.",
    "berger": "Berger, R. L. (1982). Multiparameter hypothesis testing and acceptance sampling. Technometrics 24,"
    " 295-300.",
    "phipson": "Phipson, B. and Smyth, G. K. (2010). Permutation p-values should never be zero. Stat. Appl. Genet."
    " Mol. Biol. 9, 39.",
    "guo": "Guo, C., Pleiss, G., Sun, Y. and Weinberger, K. Q. (2017). On calibration of modern neural networks. ICML.",
    "schuirmann": "Schuirmann, D. J. (1987). A comparison of the two one-sided tests procedure and the power approach"
    " for assessing the equivalence of average bioavailability. J. Pharmacokinet. Biopharm. 15, 657-680.",
    "sundararajan": "Sundararajan, M., Taly, A. and Yan, Q. (2017). Axiomatic attribution for deep networks. ICML.",
}
"""What the procedures come from."""


def paragraphs(result: Row, numbers: Numbers = ASCII) -> list[tuple[str, str]]:
    """Write the paragraphs of a paper: what was measured and how, and what was found.

    Parameters
    ----------
    result : mapping
        The dictionary of ``result.json``: of an audit, a comparison, a sweep or a study.
    numbers : Numbers
        How numbers are written.

    Returns
    -------
    list of (heading, text)
        Sentences filled in from the result alone; of a result of another kind there are none.
    """
    if result["kind"] == "study":
        return [("Methods", " ".join(_study(result, numbers)))]
    if result["kind"] == "score":
        return score.paragraphs(result, numbers)
    if result["kind"] not in KINDS:
        return []
    ways = _audit(result, numbers) if result["kind"] == "audit" else _comparison(result, numbers)
    ways += _tests(result, numbers) + _made(result)
    found = sentences.verdict(result, numbers)
    if result["kind"] != "audit":
        found += [f"{p.arm} against {p.against}: {p.text}" for p in sentences.pairs(result, numbers)]
    found += sentences.gaps(result, numbers)
    return [("Methods", " ".join(ways)), ("Results", " ".join(found))]


def references(result: Row) -> list[str]:
    """List the works that the paragraphs rest on; the papers of data and recipes first."""
    if result["kind"] == "study":
        return [str(result["paper"])] if result.get("paper") else []
    if result["kind"] == "score":
        return [WORKS[name] for name in score.works(result)]
    if result["kind"] not in KINDS:
        return []
    papers = [result["data"].get("paper"), *(a.get("paper") for a in result["arms"])]
    names = ["wilson", "newcombe"] if result["kind"] == "audit" else ["korn", "howe", "holm"]
    names += ["schuirmann"] if result["margin"] is not None else []
    names += ["berger"] if any(r["metric"] == "worst_group_accuracy" for r in result["headline"]) else []
    names += ["phipson"] if any(r.get("p") is not None for r in result["headline"]) else []
    names += ["sundararajan"] if _mapped(result) else []
    return list(dict.fromkeys([str(one) for one in papers if one])) + [WORKS[name] for name in names]


def methods_markdown(result: Row) -> str:
    """Write the paragraphs as Markdown, for ``methods.md``; empty where there is nothing to say."""
    result = visible(result)
    parts = [f"## {heading}\n\n{escaped(text)}" for heading, text in paragraphs(result)]
    works = references(result)
    if parts and works:
        parts.append("## References\n\n" + "\n".join(f"- {escaped(work)}" for work in works))
    return "\n\n".join(parts) + "\n" if parts else ""


def _comparison(result: Row, numbers: Numbers) -> list[str]:
    """Say how arms were compared."""
    names, count = [a["name"] for a in result["arms"]], len(result["seeds"])
    several = len(names) > 1
    what = f"We compared {listed(names)}" if several else f"We trained {names[0]}"
    each = f"{numbers.counted(count, 'training')} per arm (seed {', '.join(map(str, result['seeds']))})"
    found = [f"{what} on {_data(result, numbers)}, with {each} on one build of the data."]
    found += [_arms(result, numbers)]
    metric = result["reliance"]["metric"]
    if result["reliance"]["attribute_words"]:
        on = result["reliance"]["attribute_words"]
        found.append(f"Reliance on the {on} is measured by the {title(result, metric)}: {meaning(result)}.")
    if count > 1:
        found.append(
            "Rates are means over seeds; their 95 % intervals speak of other seeds and of other images of the same"
            " groups (Clopper-Pearson on an effective number of images; Korn and Graubard, 1998)."
        )
    else:
        found.append("Intervals are at 95 % and speak of this training on other images of the same groups.")
    if several and count >= 2:
        found.append(
            "Differences between arms are paired by seed and image; their 95 % intervals add a t interval over seeds"
            " and a normal interval over images in quadrature (Howe, 1974)."
        )
    if several and count >= 3:
        found.append(_verdicts(result, numbers))
    return found


def _verdicts(result: Row, numbers: Numbers) -> str:
    """Say how verdicts were reached."""
    asked = [r for r in result["differences"] if r["verdict"]]
    measures = listed(dict.fromkeys(title(result, r["metric"]) for r in asked)) if asked else "the deciding measures"
    looks = result["looks"]
    text = (
        f"Verdicts on {measures} keep the chance of any false one at {100 * result['alpha']:g} % over all"
        f" {numbers.counted(len(asked), 'comparison')} (Holm, 1979)"
    )
    if len(looks) > 1:
        text += f", divided by the {len(looks)} looks taken, at {listed(map(str, looks))} seeds"
    if result["margin"] is not None:
        text += (
            f"; differences shown to be smaller than {numbers.points(result['margin'])}, a margin fixed before the"
            " run, are called equal (two one-sided tests; Schuirmann, 1987)"
        )
    return f"{text}."


def _arms(result: Row, numbers: Numbers) -> str:
    """Say what was trained, for how long, and which checkpoint was taken."""
    models = dict.fromkeys(_network(a, numbers) for a in result["arms"])
    lengths = dict.fromkeys(a["epochs"] for a in result["arms"])
    text = f"Every arm trained {next(iter(models))}" if len(models) == 1 else f"The networks were {listed(models)}"
    if len(lengths) == 1 and next(iter(lengths)):
        text += f" for {numbers.counted(next(iter(lengths)), 'epoch')}"
    elif any(lengths):
        each = [f"{a['name']} {a['epochs']}" for a in result["arms"] if a["epochs"]]
        text += f"; epochs: {', '.join(each)}"
    changed = [f"{a['name']} with {', '.join(a['changes'])}" for a in result["arms"] if a["changes"]]
    text += f"; changed from its recipe: {'; '.join(changed)}" if changed else ""
    return f"{text}; the checkpoint is the {result['checkpoint']}{' of every arm' if len(result['arms']) > 1 else ''}."


def _network(arm: Row, numbers: Numbers) -> str:
    """Name a network with its size."""
    size = f" ({numbers.counted(arm['parameters'], 'parameter')})" if arm["parameters"] is not None else ""
    return f"{arm['model']}{size}"


def _audit(result: Row, numbers: Numbers) -> list[str]:
    """Say how one model was measured."""
    arm = result["arms"][0]
    size = f" ({numbers.counted(arm['parameters'], 'parameter')})" if arm["parameters"] is not None else ""
    return [
        f"We audited one model, {arm['name']}{size}, on {_data(result, numbers)}.",
        "Intervals are at 95 % and speak of this model on other images of the same groups: Wilson (1927) for rates,"
        " Newcombe (1998) for differences of rates on different images.",
    ]


def _data(result: Row, numbers: Numbers) -> str:
    """Describe the data set in a clause."""
    data = result["data"]
    splits = [
        f"{numbers.count(data['splits'][s])} {words}"
        for s, words in (("train", "training"), ("test", "test"))
        if data["splits"].get(s)
    ]
    images = f"{listed(splits)} images" if splits else ""
    groups = len({(r["label"], *(r[b] for b in data["group_by"])) for r in result["groups"]})
    by = " x ".join(["label", *data["group_by"]])
    parts = [data["summary"], images, f"{numbers.counted(groups, 'group')} of {by}" if groups else ""]
    twins = data["splits"].get("twin")
    parts += [f"a counterfactual twin of {numbers.counted(twins, 'test image')}"] if twins else []
    parts += [f"changed by {', '.join(data['changes'])}"] if data.get("changes") else []
    return f"{data['name']} ({'; '.join(p for p in parts if p)})"


def _tests(result: Row, numbers: Numbers) -> list[str]:
    """Say how gaps were tested, and how the worst group was read; only what the result holds."""
    found = []
    gaps = [r for r in result.get("gaps") or [] if r["p"] is not None]
    if gaps or any(r.get("p") is not None for r in result["headline"]):
        text = (
            "A gap between values of an attribute is standardized to the same mix of labels and tested by shuffling the"
            f" attribute within each label ({numbers.count(DRAWS)} draws; Phipson and Smyth, 2010)"
        )
        several = len({r["attribute"] for r in gaps}) > 1
        found.append(f"{text}{', with Holm over the attributes' if several else ''}.")
    if any(r["metric"] == "worst_group_accuracy" and r["value"] is not None for r in result["headline"]):
        found.append(
            "The interval of the worst group covers whichever group is lowest (intersection-union, Bonferroni over the"
            " groups; Berger, 1982); its value leaves out groups of fewer than ten images."
        )
    if _mapped(result):
        found.append(
            f"Pixels are attributed by integrated gradients from a black image ({result['worst']['steps']} steps;"
            " Sundararajan et al., 2017)."
        )
    return found


def _mapped(result: Row) -> bool:
    """Say whether the examples have attributions."""
    shown: Sequence[Row] = (result.get("worst") or {}).get("examples", [])
    return any(answer.get("map") for example in [*shown, *result["examples"]] for answer in example["answers"])


def _made(result: Row) -> list[str]:
    """Say what it was computed with."""
    versions, machine = result["versions"], result["machine"]
    made = f"biaskit {versions['biaskit']}" + (f" with torch {versions['torch']}" if "torch" in versions else "")
    where = f"{machine['device']}, {machine['precision']}"
    return [f"Everything was computed by {made} on {where}; the fingerprint of the data is {_print(result)}."]


def _print(result: Row) -> str:
    return str(result["data"]["fingerprint"])[:16]


def _study(result: Row, numbers: Numbers) -> list[str]:
    """Say how a study was run."""
    names = [a["name"] for a in result["arms"]]
    data = dict.fromkeys(d.get("label") or d["name"] for d in result["data"])
    found = [
        f"We ran {study.titled(result)} at the preset {result['preset']}: {numbers.counted(len(names), 'arm')} on"
        f" {listed(data) if data else 'no data'}, {numbers.counted(len(result['seeds']), 'seed')} each;"
        f" the checkpoint is the {result['checkpoint']}."
    ]
    stand = [f"{data} stands for {original}" for data, original in study.stand_ins(result)]
    found += [f"{'; '.join(stand)}, so numbers are not comparable, directions may be."] if stand else []
    if result["claims"]:
        found.append(
            f"Claims hold or do not where the interval of the measured difference, which covers together with those"
            f" of the other claims of its item (Bonferroni at {100 * result.get('alpha', 0.05):g} % over all looks),"
            " lies on one side."
        )
    versions = result["versions"]
    made = f"biaskit {versions['biaskit']}" + (f" with torch {versions['torch']}" if "torch" in versions else "")
    return [*found, f"Computed by {made} on {result['machine']['device']}."]
