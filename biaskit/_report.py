"""The report: one HTML file that loads nothing and sends nothing, made from ``result.json`` alone."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from biaskit import _notes, plots, sentences
from biaskit import _report_tables as tables
from biaskit._numbers import TYPOGRAPHIC, shown, visible
from biaskit.errors import DataError

__all__ = ["render", "report", "write_report"]

Row = Mapping[str, Any]

SCHEMA = 1
"""The newest layout of ``result.json`` this version reads."""
LARGEST = 2_000_000
"""No report is larger, in bytes; example images are left out before anything else."""
MAIN = ("flip_rate", "average_accuracy", "gap", "worst_group_accuracy", "nds")
SHOWN_PAIRS = 8
SHOWN_ROWS = 15
ANALYZERS = {
    "group_accuracy": "groups",
    "parity": "numbers",
    "counterfactual_flips": "twins",
    "continuity": "continuity",
}
UNITS = {"lower": "lower is better", "higher": "higher is better", "zero": "nearer to 0 is better"}
PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/]+=*")


def write_report(folder: str | Path) -> Path:
    """Write ``report.html`` into a folder of results.

    Parameters
    ----------
    folder : str or Path
        What ``compare`` or an audit wrote; ``result.json`` in it is all that is read.

    Returns
    -------
    Path
        The report.

    Raises
    ------
    DataError
        There is no readable ``result.json``, or a newer version wrote it.
    """
    folder = Path(folder)
    source = folder / "result.json"
    try:
        result = json.loads(source.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{folder} has no result.json; name the folder that compare wrote (--out)") from None
    except (ValueError, OSError) as error:
        raise DataError(f"{source} cannot be read ({error}); run the comparison again") from None
    version = result.get("schema_version") if isinstance(result, dict) else None
    if not isinstance(version, int):
        raise DataError(f"{source} has no schema_version; it is no result of biaskit")
    if version > SCHEMA:
        raise DataError(
            f"{source} has schema_version {version}, this biaskit reads up to {SCHEMA}; update biaskit, "
            "or run the comparison again with this version"
        )
    path = folder / "report.html"
    path.write_text(render(result), encoding="utf-8", newline="\n")
    return path


def report(folder: str | Path) -> Path:
    """Write ``report.html`` into a folder of results; see `write_report`."""
    return write_report(folder)


def render(result: Row) -> str:
    """Make the report of a result: one self-contained HTML page of at most 2 MB.

    Parameters
    ----------
    result : mapping
        The dictionary of ``result.json``, schema 1.

    Returns
    -------
    str
        HTML. Names from the data are escaped; a Content-Security-Policy allows nothing but the page's own
        style, script and embedded images.

    Raises
    ------
    DataError
        The page stays larger than 2 MB even without example images.
    """
    result = visible(result)
    here = Path(__file__).parent
    style = (here / "report.css").read_text(encoding="utf-8") + plots.chart_css(lambda role: f"var(--{role})")
    script = (here / "report.js").read_text(encoding="utf-8")
    # Escaping is always on, whatever the template is called; undefined names are errors, not blanks.
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    ids = {entry[0] for entry in tables.glossary(result)}
    environment.filters |= {"svg": Markup, "linked": _linker(result, ids), "first_upper": _upper}
    template = environment.from_string((here / "report.html.j2").read_text(encoding="utf-8"))
    page = _page(result) | {
        "known": ids,
        "style": Markup(style),
        "script": Markup(script),
        "style_hash": _sha(style),
        "script_hash": _sha(script),
    }
    examples = page["examples"]
    for count in range(len(examples), -1, -1):
        page["examples"] = examples[:count]
        html = template.render(page)
        if len(html.encode()) <= LARGEST:
            return html
        page["twins_caption"] = f"{count - 1} of {len(examples)} examples: this file is kept below 2 MB."
    raise DataError(
        f"the report would be {len(html.encode()):,} bytes, more than {LARGEST:,}; compare fewer arms at once"
    )


def _sha(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _upper(text: str) -> str:
    return text if text[1:2].isupper() else text[:1].upper() + text[1:]  # nDS stays nDS


def _linker(result: Row, ids: set[str]) -> Any:
    """Make the filter that escapes a sentence and links each known word to its definition, once."""
    words = {"interval": "interval", "margin": "margin", "paired difference": "paired", "verdicts": "verdict"}
    words |= {"twin": "twin", "noise floor": "noise"} | {m["title"]: m["name"] for m in result["metrics"]}
    known = {str(escape(word)): id for word, id in words.items() if id in ids and word}
    pattern = re.compile(r"\b(" + "|".join(map(re.escape, sorted(known, key=len, reverse=True))) + r")\b")

    def linked(text: str) -> Markup:
        seen = set()

        def link(match: re.Match[str]) -> str:
            word = match[0]
            if word in seen:
                return word
            seen.add(word)
            id = escape(known[word])
            return f'<a class="t" href="#g-{id}" aria-describedby="d-{id}">{word}</a>'

        return Markup(pattern.sub(link, str(escape(text))))

    return linked


# ------------------------------------------------------------------------------------------------- the page


def _page(result: Row) -> dict[str, Any]:
    """Gather everything the template shows."""
    names = [a["name"] for a in result["arms"]]
    told = sentences.verdict(result, TYPOGRAPHIC)
    data, count = result["data"], len(result["seeds"])
    title = sentences.listed(names) if len(names) <= 4 else f"{len(names)} arms"
    test = data["splits"].get("test", 0)
    seeds = f"{count} seed{'s' if count != 1 else ''} per arm"
    groups = len({(r["label"], *(r[b] for b in data["group_by"])) for r in result["groups"]})
    meta = (
        f"{seeds} · {TYPOGRAPHIC.count(test)} test images · {TYPOGRAPHIC.count(groups)} groups ·"
        f" {result['created'][:10]}"
    )
    over = "test images" if count == 1 else "seeds and"
    line = "One draw" if count == 1 else f"Mean over {count} seeds"
    over = (
        f"{over} {TYPOGRAPHIC.count(test)} test images" if count > 1 else f"{TYPOGRAPHIC.count(test)} {over}"
    )
    page = {
        "result": result,
        "title": f"{title} on {data['name']}",
        "meta": meta,
        "lead": told[:-1],
        "accuracy": told[-1],
        "decided": sentences.decided_by(result),
        "pairs": _pairs(result),
        "shown_pairs": SHOWN_PAIRS,
        "classes": plots.CLASSES,
        "settle": _notes.settle(result, TYPOGRAPHIC),
        "hint": _hint(result),
        "rests": _notes.rests_on(result, TYPOGRAPHIC),
        "numbers_line": f"{line}, with its 95 % interval over {over}.",
        "main": [{**m, "direction": _direction(m)} for m in _main(result)],
        "arms": [_arm(result, i, a) for i, a in enumerate(result["arms"])],
        "measures": tables.measures(result),
        "gaps": sentences.gaps(result, TYPOGRAPHIC),
        "group_table": tables.groups(result),
        "value_table": tables.attribute_values(result),
        "run_table": tables.runs(result),
        "curve_table": tables.continuity(result),
        "contingency": tables.contingency(result),
        "arm_table": tables.arms(result),
        "cards": [
            (a["name"], json.dumps(a["card"], indent=1, ensure_ascii=False))
            for a in result["arms"]
            if a["card"]
        ],
        "sprite": (
            result["sprite"] if result["sprite"] and PICTURE.fullmatch(result["sprite"]["image"]) else None
        ),
        "data_facts": _data_facts(data),
        "facts": _facts(result),
        "glossary": tables.glossary(result),
    }
    failures = _failures(result)
    return (
        page
        | _figures(result, names)
        | _twins(result)
        | {
            "failures": failures,
            "sections": _sections(result, failures),
        }
    )


def _sections(result: Row, failures: Mapping[str, list[str]]) -> dict[str, str]:
    """Name the sections that have something to say, in reading order; a failed analyzer keeps its section."""
    every = {
        "verdict": True,
        "numbers": True,
        "differences": len(result["arms"]) > 1,
        "groups": True,
        "seeds": True,
        "twins": bool(result["examples"]) or "twins" in failures,
        "continuity": bool(result["continuity"]) or "continuity" in failures,
        "failed": "failed" in failures,
        "data": True,
        "provenance": True,
        "glossary": True,
    }
    return {id: _upper(id) for id, wanted in every.items() if wanted}


def _failures(result: Row) -> dict[str, list[str]]:
    """Sort the reasons of failed analyzers into their sections; a reason that repeats is told once."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for row in result["failed"]:
        section = ANALYZERS.get(row["analyzer"], "failed")
        where = row["arm"] + (f" seed {row['seed']}" if row["seed"] is not None else "")
        found.setdefault((section, row["analyzer"], row["reason"]), []).append(where)
    told: dict[str, list[str]] = {}
    for (section, analyzer, reason), places in found.items():
        more = f" and {len(places) - 3} more" if len(places) > 3 else ""
        told.setdefault(section, []).append(f"{analyzer}: {reason} ({', '.join(places[:3])}{more})")
    return told


def _main(result: Row) -> list[Row]:
    """Choose the measures that get a column of their own."""
    wanted = [m for m in result["metrics"] if m["name"] in MAIN or m["verdict"]]
    present = {r["metric"] for r in result["headline"]}
    return [m for m in wanted if m["name"] in present]


def _direction(metric: Row) -> str:
    return ", ".join(p for p in (metric["unit"], UNITS.get(metric["better"], "")) if p)


def _pairs(result: Row) -> list[sentences.Pair]:
    """Order the pairs by how much they say: settled ones first where there are too many to read."""
    pairs = sentences.pairs(result, TYPOGRAPHIC) if len(result["arms"]) > 1 else []
    order = [sentences.BETTER, sentences.WORSE, sentences.SAME, sentences.OPEN, sentences.NONE]
    return sorted(pairs, key=lambda p: order.index(p.verdict)) if len(pairs) > SHOWN_PAIRS else pairs


def _hint(result: Row) -> dict[str, str] | None:
    hint = _notes.hint(result)
    if hint is None:
        return None
    parts = [f"{hint['new_runs']} new runs"] if hint.get("new_runs") else []
    parts += [f"about {TYPOGRAPHIC.seconds(hint['seconds'])}"] if hint.get("seconds") else []
    return {"command": hint["command"], "cost": ", ".join(parts)}


def _arm(result: Row, index: int, arm: Row) -> dict[str, Any]:
    """Give one row of the headline table."""
    cells = {}
    for metric in _main(result):
        row = next(
            (r for r in result["headline"] if r["metric"] == metric["name"] and r["arm"] == arm["name"]), None
        )
        cell = tables.number(metric, row)
        cells[metric["name"]] = tables.Cell(
            cell.text, cell.detail, more=_more(metric, row) if row and cell.text else []
        )
    key = plots.key(index, len(result["arms"]))
    return {"name": arm["name"], "summary": arm["summary"], "key": key, "cells": cells}


def _more(metric: Row, row: Row) -> list[str]:
    """Say what belongs to a number beside its interval: noise floor, worst group, direction of the flips."""

    def value(key: str) -> str:
        return shown(TYPOGRAPHIC, metric, {"value": row[key]})[0]

    def has(*keys: str) -> bool:
        return all(row.get(k) is not None for k in keys)

    lines = []
    if has("right_to_wrong", "wrong_to_right"):
        lines += [f"{value('right_to_wrong')} right to wrong", f"{value('wrong_to_right')} wrong to right"]
    if has("untrained"):
        lines.append(f"untrained {value('untrained')}")
    if has("noise", "p"):
        lines.append(f"noise {value('noise')}, {TYPOGRAPHIC.p(row['p'])}")
    if row.get("group"):
        times = f" in {row['times']} of {row['seeds']}" if has("times") and row["seeds"] > 1 else ""
        lines.append(f"{row['group']}{times}, n {TYPOGRAPHIC.count(row['group_n'])}")
    if has("if_equal"):
        lines.append(f"if equal {value('if_equal')}")
    if has("half_split"):
        lines.append(f"half-split {value('half_split')}")
    return lines


def _figures(result: Row, names: Sequence[str]) -> dict[str, Any]:
    """Draw the charts, each with its caption."""
    panels = plots.group_panels(result)
    forests, left_out = [], 0
    for metric in _main(result):
        rows = [r for r in result["differences"] if r["metric"] == metric["name"]]
        kept = plots.readable(rows, names, SHOWN_ROWS)
        left_out = max(left_out, len(rows) - len(kept))
        figure = plots.metric_forest(result, metric, kept)
        if figure.rows:
            forests.append({"metric": metric, "direction": UNITS.get(metric["better"], ""), "figure": figure})
    scatter = [
        {
            "metric": m,
            "direction": m["unit"],
            "figure": plots.seeds(result["runs"], result["headline"], m, names),
        }
        for m in _main(result)
    ]
    return {
        "forests": forests,
        "left_out": f"{left_out} more pairs per measure stand in the table." if left_out else "",
        "forest_caption": plots.forest_caption(result),
        "differences": tables.differences(result),
        "panels": [{"panel": p, "key": plots.key(i, len(panels))} for i, p in enumerate(panels)],
        "spots": plots.spots(result),
        "groups_caption": plots.groups_caption(result),
        "scatter": [s for s in scatter if s["figure"].rows],
        "seeds_caption": plots.SEEDS_CAPTION,
        "curves": plots.continuity(result["continuity"], names),
        "curves_caption": plots.CONTINUITY_CAPTION,
    }


def _twins(result: Row) -> dict[str, Any]:
    """Give the examples with their twins, in the order of the result, which a rule has chosen."""
    examples = []
    for e in result["examples"]:
        value = ", ".join(str(v) for v in e["value"].values())
        other = ", ".join(str(v) for v in e["twin_value"].values())
        sides = []
        for name, words, picture, prefix in (
            ("image", value, e["image"], ""),
            ("twin", other, e["twin"], "twin_"),
        ):
            answers = [_answer(a, prefix) for a in e["answers"]]
            image = picture if PICTURE.fullmatch(picture or "") else None
            sides.append(
                {
                    "name": name,
                    "value": words,
                    "image": image,
                    "alt": f"{e['label']} on {words}",
                    "answers": answers,
                }
            )
        flips = [a["seeds_flipped"] for a in e["answers"] if a.get("seeds_flipped") is not None]
        of = next((a["seeds"] for a in e["answers"] if a.get("seeds")), 0)
        examples.append(
            {
                "label": f"{e['label']} on {value}",
                "where": f"test image {TYPOGRAPHIC.count(e['row'])}",
                "rule": e["rule"],
                "answers": e["answers"],
                "sides": sides,
                "flips": flips if len(flips) == len(e["answers"]) else [],
                "of": of,
            }
        )
    rules = sentences.listed(dict.fromkeys(e["rule"] for e in examples)) if examples else ""
    caption = (
        f"Predicted label, of the first seed; wrong answers are underlined. Examples by rule: {rules}. Nobody"
        " chose them by hand."
    )
    return {"examples": examples, "twins_caption": caption}


def _answer(answer: Row, prefix: str) -> dict[str, Any]:
    confidence = answer.get(f"{prefix}confidence")
    return {
        "prediction": answer[f"{prefix}prediction"],
        "correct": answer[f"{prefix}correct"],
        "confidence": f"{confidence:.2f}" if confidence is not None else "",
    }


def _data_facts(data: Row) -> list[tuple[str, str]]:
    """List what the data set is."""

    def values(names: Sequence[str]) -> str:
        return f"{len(names)}: {', '.join(names[:12])}" + (", …" if len(names) > 12 else "")

    facts = [
        ("Name", data["name"]),
        ("What", data["summary"]),
        ("Paper", data["paper"]),
        ("Source", data["source"]),
    ]
    facts.append(("Regime", data["regime"]))
    facts.append(("Shape", " \N{MULTIPLICATION SIGN} ".join(map(str, data["shape"]))))
    facts.append(
        ("Images", ", ".join(f"{TYPOGRAPHIC.count(n)} {split}" for split, n in data["splits"].items()))
    )
    facts.append(("Labels", values(data["label"])))
    facts += [(f"Attribute {name}", values(names)) for name, names in data["attributes"].items()]
    for row in data["association"]:
        v = (
            f"{TYPOGRAPHIC.fixed(row['v'], 3)} ({TYPOGRAPHIC.p(row['p'])})"
            if row["v"] is not None
            else "undefined"
        )
        facts.append(
            (
                f"Cramér's V, {row['split']}",
                f"{row['attribute']} with the label: {v}, n {TYPOGRAPHIC.count(row['n'])}",
            )
        )
    facts.append(
        (
            "Twins, masks",
            f"{'twins' if data['twins'] else 'no twins'}, {'masks' if data['masks'] else 'no masks'}",
        )
    )
    facts.append(("Changes", "; ".join(data.get("changes", []))))
    facts.append(("Fingerprint", data["fingerprint"]))
    return [(name, text) for name, text in facts if text]


def _threads(count: int | None) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _facts(result: Row) -> list[tuple[str, str]]:
    """List what somebody else needs to get the same numbers."""
    machine, looks = result["machine"], result["looks"]
    margin = result["margin"]
    facts = [
        ("Run", f"{result['created']}, {TYPOGRAPHIC.seconds(result['seconds'])}"),
        ("Seeds", ", ".join(map(str, result["seeds"]))),
        ("Method", _notes.methods(result)),
        ("Margin", TYPOGRAPHIC.points(margin) if margin is not None else "none given"),
        (
            "Verdicts",
            (
                f"at most {100 * result['alpha']:g} % false, Holm over all of them; looks so far:"
                f" {', '.join(map(str, looks))} seeds"
            ),
        ),
        ("Reference", result.get("reference") or ""),
        (
            "Machine",
            (
                f"{machine['system']}, {machine['device']}, {machine['precision']},"
                f" {_threads(machine['threads'])}"
            ),
        ),
        ("Bit-equal repeats", "yes" if machine["deterministic"] else "not promised on this machine"),
        ("Versions", ", ".join(f"{name} {version}" for name, version in result["versions"].items())),
        ("Schema", str(result["schema_version"])),
    ]
    return [(name, text) for name, text in facts if text]
