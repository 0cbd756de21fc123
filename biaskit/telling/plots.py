"""Figures as SVG text, drawn from the tables of a result alone; no plotting library, no files read.

Every figure has two forms: parts that the report puts between its own words, colored through CSS variables,
and one standalone file with its own style that reads well on a light and on a dark page. Values that are
undefined are left out of the drawing and said in words. Text from the data is escaped, and shortened only
where the full text stands in a tooltip.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from biaskit.telling import analyses, data_page, further, gaps, score, study, sweep
from biaskit.telling.curves import continuity, cut_words, own_axes
from biaskit.telling.histograms import histograms, histograms_caption
from biaskit.telling.numbers import TYPOGRAPHIC, visible
from biaskit.telling.panels import MOST_ROWS, Panel, groups
from biaskit.telling.strips import Strips, forest, seeds
from biaskit.telling.svg import CLASSES, DARK, LIGHT, chart_css, escaped, key, short, tag

__all__ = [
    "CLASSES",
    "Panel",
    "Strips",
    "chart_css",
    "continuity",
    "continuity_caption",
    "figures",
    "forest",
    "forest_caption",
    "group_panels",
    "groups",
    "groups_caption",
    "key",
    "metric_forest",
    "readable",
    "seeds",
    "spots",
    "standalone",
]

Row = Mapping[str, Any]

RATES = ("%", "points")
"""Units in which a margin is given."""
SEEDS_CAPTION = "Every dot is one run. Above it the mean over the seeds with its 95 % interval over seeds and images."


def continuity_caption(result: Row) -> str:
    """Say what the curves are, and what they are not."""
    text = "nDS over the levels of each perturbation; 1 would be as far as another image of the same label."
    if own_axes(result["continuity"], [a["name"] for a in result["arms"]]):
        text += " Every panel has an axis of its own."
    if result["kind"] == "audit":
        return f"{text} Of this model on these images, without an interval."
    band = " Band: 95 % t interval over seeds." if len(result["seeds"]) > 1 else ""
    band += cut_words(continuity(result["continuity"], [a["name"] for a in result["arms"]]))
    return f"{text}{band} A recipe trained on this very quantity only shows that its constraint was met."


def readable(rows: Sequence[Row], arms: Sequence[str], most: int) -> list[Row]:
    """Keep the pairs a reader can take in: all, or those with the first arm where there are too many."""
    rows = list(rows)
    if len(rows) <= most:
        return rows
    return [r for r in rows if arms[0] in (r["arm"], r["against"])][:most]


def metric_forest(result: Row, metric: Row, rows: Sequence[Row]) -> Strips:
    """Draw the differences of one metric of a result, better on the right wherever there is a better side."""
    if any(r.get("ratio") for r in rows):
        return Strips([], "")
    values = [r["value"] for r in result["headline"] if r["metric"] == metric["name"] and r["value"] is not None]
    mirrored = metric["better"] == "lower" or (metric["better"] == "zero" and all(v >= 0 for v in values))
    margin = result["margin"] if metric["unit"] in RATES else None
    return forest(rows, metric, margin=margin, mirrored=mirrored)


def forest_caption(result: Row, rows: Sequence[Row]) -> str:
    """Say how to read a forest of these differences."""
    ruled = [r for r in rows if r["verdict"]]
    text = "Dot: mean paired difference." if ruled else "Upright bar: mean paired difference."
    if 0 < len(ruled) < len(rows):
        text += " Upright bar in its place: a measure that carries no verdict."
    text += " Thick line: 95 % interval."
    if any(r["low_together"] is not None for r in ruled):
        text += " Thin line: the interval that holds for all verdicts together; clear of zero, it settles the pair."
    if ruled:
        text += " Filled: settled. Hollow: inconclusive."
    banded = {m["name"] for m in result["metrics"] if m["unit"] in RATES}
    if result["margin"] is not None and any(r["metric"] in banded for r in rows):
        text += f" Band: the margin, differences under {TYPOGRAPHIC.points(result['margin'])}."
    return text


def _places(result: Row) -> list[str]:
    by = result["data"]["group_by"]
    return list(dict.fromkeys(", ".join(str(r[b]) for b in by) for r in result["groups"]))


def spots(result: Row) -> str:
    """Say what hollow and filled dots are, where two values share a row."""
    places = _places(result)
    return f"\u25cb {short(places[0], 14)} \u25cf {short(places[1], 14)}" if len(places) == 2 else ""


def group_panels(result: Row) -> list[Panel]:
    """Draw the groups of a result."""
    overall = {r["arm"]: r["value"] for r in result["headline"] if r["metric"] == "average_accuracy"}
    names = [a["name"] for a in result["arms"]]
    if not result["groups"]:
        return []
    by = result["data"]["group_by"]
    return groups(result["groups"], names, by, overall, lowest_first=result["kind"] == "audit")


def groups_caption(result: Row) -> str:
    """Say how to read the dots, and which rows are drawn."""
    audit = result["kind"] == "audit"
    text = f"Accuracy per group{', lowest first' if audit else ''}. Line: 95 % interval."
    text += f" Dashed: the accuracy of {'all test images' if audit else 'the arm'}. n: test images."
    text += " Each line speaks of its own group; the interval of the worst group is another: it covers whichever is"
    text += " lowest, over all groups at once."
    places, labels = len(_places(result)), len({r["label"] for r in result["groups"]})
    lanes = labels if places == 2 else labels * places
    if lanes > MOST_ROWS:
        text += f" Drawn are the {MOST_ROWS} rows lowest on average over the arms, of {lanes}; the table has more."
    return text


def figures(result: Row) -> dict[str, str]:
    """Draw every figure of a result as a standalone SVG file.

    Parameters
    ----------
    result : mapping
        The dictionary of ``result.json``.

    Returns
    -------
    dict of str to str
        SVG documents by file name, without ending: ``differences-flip_rate``, ``seeds-flip_rate``,
        ``groups``, ``continuity``, the name of each further analyzer with curves, with ``-histogram`` how its
        units scatter, ``sweep``; of a study the names of its items with curves. What the result cannot fill is left
        out.
    """
    result = visible(result)
    if result["kind"] == "study":
        return _study_figures(result)
    if result["kind"] == "score":
        return _score_figures(result)
    if result["kind"] == "data":
        figure = data_page.drawn(result)
        title = f"What the attributes alone give on {result['data']['name']}"
        return {"ceiling": standalone(figure, title, data_page.CAPTION)} if figure.rows else {}
    names = [a["name"] for a in result["arms"]]
    found: dict[str, str] = {}
    on = f"on {result['data']['name']}"
    for metric in result["metrics"]:
        title = metric["title"]
        rows = [r for r in result["differences"] if r["metric"] == metric["name"]]
        drawn = metric_forest(result, metric, rows)
        if drawn.rows:
            found[f"differences-{metric['name']}"] = standalone(
                drawn, f"{title}: differences between arms {on}", forest_caption(result, rows)
            )
        scatter = seeds(result["runs"], result["headline"], metric, names)
        if scatter.rows and result["kind"] != "audit":
            found[f"seeds-{metric['name']}"] = standalone(scatter, f"{title}: every run {on}", SEEDS_CAPTION)
    around = gaps.drawn(result)
    if around.rows:
        found["gaps"] = standalone(around, f"The gap of every attribute {on}", gaps.CAPTION)
    panels = group_panels(result)
    if panels:
        caption = f"{groups_caption(result)} {spots(result)}".strip()
        found["groups"] = standalone(panels, f"Accuracy per group {on}", caption)
    curves = continuity(result["continuity"], names)
    if curves:
        title = f"nDS per perturbation and level {on}"
        found["continuity"] = standalone(curves, title, continuity_caption(result))
    for analysis in analyses.further(result):
        panels, left = further.drawn(result, analysis)
        title = f"{analyses.named(analysis['analyzer'])} {on}"
        if panels:
            found[_file(analysis["analyzer"])] = standalone(
                panels, title, further.drawn_caption(result, analysis, panels, left)
            )
        if units := histograms(result, analysis):
            caption = histograms_caption(result, analysis)
            found[f"{_file(analysis['analyzer'])}-histogram"] = standalone(units, f"{title}: the units", caption)
    if result["kind"] == "sweep":
        panels = sweep.panels(result)
        if panels:
            found["sweep"] = standalone(panels, f"{result['sweep']['recipe']} {on}", sweep.caption(result))
    return found


def _study_figures(result: Row) -> dict[str, str]:
    """Draw the curves of every item of a study."""
    found = {}
    for item in result["items"]:
        panels = study.panels(result, item)
        if panels:
            found[_file(item["name"])] = standalone(panels, item["title"], study.panels_caption(result, item))
    return found


def _score_figures(result: Row) -> dict[str, str]:
    """Draw the gaps, groups and probabilities of a score."""
    found = {name: standalone(*one) for name, one in score.drawings(result).items()}
    around = gaps.drawn(result)
    if around.rows:
        title = f"The gap of every attribute of {result['data']['name']}"
        found["gaps"] = standalone(around, title, gaps.CAPTION)
    return found


def _file(name: str) -> str:
    """Make a file name of a name."""
    return re.sub(r"[^\w-]+", "-", name, flags=re.ASCII)


def standalone(figure: Strips | Sequence[Panel], title: str, caption: str = "", *, columns: int = 3) -> str:
    """Put a figure into one SVG file of its own, with its style inside.

    Parameters
    ----------
    figure : Strips or sequence of Panel
        What `forest`, `seeds`, `groups` or `continuity` gave.
    title, caption : str
        One line each, above and below.
    columns : int
        Panels side by side.

    Returns
    -------
    str
        A complete SVG document, readable on light and dark pages.

    Examples
    --------
    >>> standalone([], "nothing").startswith("<svg xmlns=")
    True
    """
    body: list[str] = []
    if isinstance(figure, Strips):
        width, y = 720, 56
        for strip in figure.rows:
            words = strip.right + (f" ({strip.interval})" if strip.interval else "")
            if strip.row.get("verdict") and strip.row["seeds"] >= 3:
                words += f"  {strip.row['verdict']}"
            left = tag("title", strip.left) + escaped(short(strip.left, 56))
            body.append(f'<text x="0" y="{y + 12}">{left}</text>')
            body.append(tag("text", words, x="100%", y=y + 12, text_anchor="end"))
            body.append(f'<svg y="{y + 18}" width="100%" height="30">{strip.svg}</svg>')
            y += 54
        body.append(f'<svg y="{y}" width="100%" height="36">{figure.axis}</svg>')
        y += 44
    else:
        columns = max(1, min(columns, len(figure)))
        step = max((panel.width for panel in figure), default=320) + 30
        width, y = max(420, columns * step - 30), 52
        for start in range(0, len(figure), columns):
            line = figure[start : start + columns]
            for i, panel in enumerate(line):
                name = tag("title", panel.name) + escaped(short(panel.name, 40))
                body.append(f'<text class="lab" x="{step * i + 4}" y="{y}">{name}</text>')
                body.append(
                    f'<svg x="{step * i}" y="{y + 8}" width="{panel.width}" height="{panel.height}">{panel.svg}</svg>'
                )
            y += max(p.height for p in line) + 32
    most = width // 7
    lines = _wrapped(caption, most)
    texts = [f'<text class="lab" x="0" y="20">{tag("title", title)}{escaped(short(title, most))}</text>']
    texts += [
        tag("text", line, class_="tick", x=0, y=y + 12 + 17 * i, text_anchor="start") for i, line in enumerate(lines)
    ]
    height = y + 24 + 17 * len(lines)
    dark = "@media (prefers-color-scheme: dark) {\n" + _literal(DARK) + "\n}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width + 32}"'
        f' height="{height + 20}"><style>{_literal(LIGHT)}\n{dark}</style><rect class="page" width="100%"'
        f' height="100%"/><svg class="chart" x="16" y="8" width="{width}"'
        f' height="{height}">{"".join(texts)}{"".join(body)}</svg></svg>\n'
    )


def _literal(colors: Mapping[str, str]) -> str:
    return chart_css(colors.__getitem__) + f"\n.page {{ fill: {colors['bg']}; }}"


def _wrapped(text: str, most: int) -> list[str]:
    """Break a caption at words; SVG text does not break by itself."""
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + len(word) < most:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
