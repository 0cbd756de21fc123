"""A score in words and charts: what a table of predictions says about its groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from biaskit.stats import ENOUGH
from biaskit.telling.chance import chance
from biaskit.telling.numbers import ASCII, TYPOGRAPHIC, Numbers
from biaskit.telling.panels import Panel, groups
from biaskit.telling.svg import MARKERS, escaped, ink, short, tag
from biaskit.telling.words import ACCURACY, LOWEST, headline, listed, told

__all__ = [
    "CURVES_CAPTION",
    "GROUPS_CAPTION",
    "RELIABILITY_CAPTION",
    "curve_panels",
    "drawings",
    "events",
    "group_panels",
    "methods",
    "paragraphs",
    "reading",
    "reliability_panels",
    "sentences",
    "works",
    "worst",
]

Row = Mapping[str, Any]
#: A line of a chart: its name and its points (x, y, low, high).
Line = tuple[str, Sequence[tuple[float, float, float | None, float | None]]]

SAID = 4
"""Attributes with a sentence of their own; of more the table tells."""
DRAWN = 3
"""Events that are drawn; the tables have all."""
SIDE, LEFT, TOP = 220, 44, 16
GROUPS_CAPTION = (
    "Accuracy per group, lowest first. Line: 95 % interval of this group alone; the interval of the worst group speaks"
    " of whichever is lowest. Dashed: the accuracy of all rows. n: rows."
)
RELIABILITY_CAPTION = (
    "How often it happened against the probability that was stated, bin by bin. Line: 95 % interval. Dashed: where"
    " stated and seen agree. Bins under ten rows are left out."
)
CURVES_CAPTION = (
    "What would be selected if everything at or above a threshold were: the share of the rows where the event happened"
    " (true positive rate) and where it did not (false positive rate). Line: 95 % interval at every tenth."
)


def sentences(result: Row, numbers: Numbers = ASCII) -> list[str]:
    """Say what the predictions show: at chance or not, which attributes matter, accuracy and the lowest group last.

    Parameters
    ----------
    result : mapping
        The dictionary of ``result.json``, kind ``"score"``.
    numbers : Numbers
        How numbers are written.

    Returns
    -------
    list of str
        "No difference larger than chance was found" is the most that an attribute can be cleared of.
    """
    accuracy = headline(result, ACCURACY, result["arms"][0]["name"])
    at_chance = chance(result, numbers, of="row", remedy="")
    found = [at_chance] if at_chance else []
    differ = [row for row in result["gaps"] if row["p_holm"] is not None and row["p_holm"] <= result["alpha"]]
    same = [row for row in result["gaps"] if row["p_holm"] is not None and row["p_holm"] > result["alpha"]]
    for row in differ[:SAID]:
        found.append(
            f"Accuracy differs by {row['attribute']} by more than chance: {row['from']} minus {row['to']} is "
            f"{told(row, 'points', numbers)}."
        )
    if len(differ) > SAID:
        found.append(f"It differs by {listed([row['attribute'] for row in differ[SAID:]])} too.")
    if same:
        names = listed([row["attribute"] for row in same])
        found.append(f"By {names}, no difference in accuracy larger than chance was found.")
    for row in result["gaps"]:
        if row["p"] is None:
            found.append(f"Whether accuracy differs by {row['attribute']} cannot be told: {row['reason']}.")
    if not result["gaps"]:
        found.append("No attribute was named: by anything but the label, accuracy stays unknown.")
    if accuracy is None:
        return [*found, "The accuracy could not be computed."]
    right = f"Accuracy is {told(accuracy, '%', numbers)}, n {numbers.count(accuracy['n'])}."
    return [*found, f"{right} {worst(result, numbers)}"]


def worst(result: Row, numbers: Numbers = ASCII) -> str:
    """Say which group is the lowest, beside what chance alone would show."""
    row = headline(result, LOWEST, result["arms"][0]["name"])
    if row is None:
        return f"No group has {ENOUGH} rows or more: none has an accuracy to tell."
    equal = f"; were all groups equal, the lowest would read about {numbers.percent(row['noise'])}"
    size = f"n {numbers.count(row['group_n'])}{equal if row['noise'] is not None else ''}"
    return f"The lowest group is {row['group']}: {told(row, '%', numbers)}, {size}."


def reading(row: Row, alpha: float) -> str:
    """Say how the gap of an attribute stands against chance."""
    if row["p_holm"] is None:
        return str(row["reason"])
    return "larger than chance" if row["p_holm"] <= alpha else "not larger than chance"


def methods(result: Row, numbers: Numbers = ASCII) -> str:
    """Say in one line how the numbers were made."""
    rows, draws = numbers.counted(result["data"]["rows"], "row"), [row["draws"] for row in result["gaps"]]
    tests = f"; p by {numbers.count(min(draws))} shuffles within labels, Holm over attributes" if draws else ""
    return f"{rows}; 95 % intervals: this model, other rows{tests}"


def paragraphs(result: Row, numbers: Numbers = ASCII) -> list[tuple[str, str]]:
    """Write the paragraphs of a paper: how it was measured, and what was found."""
    data = result["data"]
    by = listed([str(one) for one in data["group_by"]]) if data["group_by"] else ""
    ways = [
        f"We scored {numbers.counted(data['rows'], 'prediction')} of {len(data['label'])} labels"
        + (f", grouped by {by}." if by else "."),
        "Intervals of rates are Wilson's (1927) at 95 %; those of the worst group and of the largest difference take"
        " Clopper-Pearson ends of every group and hold for whichever is the lowest (Berger 1982).",
    ]
    if result["gaps"]:
        ways.append(
            "The gap of an attribute subtracts accuracies standardized over the labels (Newcombe's interval, 1998, on"
            " Kish's effective n); its p permutes the attribute within each label, with Holm's correction over the"
            " attributes."
        )
    if result["calibration"]:
        ways.append(
            f"The expected calibration error uses {result['options']['bins']} bins of equal width (Guo et al. 2017);"
            " beside it stands what a perfectly calibrated model would show by chance."
        )
    return [("Methods", " ".join(ways)), ("Results", " ".join(sentences(result, numbers)))]


def works(result: Row) -> list[str]:
    """Name the works that the paragraphs rest on, as `biaskit.telling.methods` lists them."""
    tests = ["newcombe", "phipson", "holm"] if result["gaps"] else []
    return ["wilson", "berger", *tests, *(["guo"] if result["calibration"] else [])]


def events(result: Row) -> list[str]:
    """List what the probabilities are of, in the order of the table."""
    return list(dict.fromkeys(row["event"] for row in result["calibration"]))


def group_panels(result: Row) -> list[Panel]:
    """Draw the accuracy of every group, the lowest first."""
    arm, by = result["arms"][0]["name"], result["data"]["group_by"]
    overall = {row["arm"]: row["value"] for row in result["headline"] if row["metric"] == ACCURACY}
    return groups(result["groups"], [arm], by, overall, lowest_first=True) if result["groups"] else []


def reliability_panels(result: Row) -> list[Panel]:
    """Draw how often each event happened at each stated probability: a panel per event and attribute."""
    found = []
    for event in events(result)[:DRAWN]:
        mine = [row for row in result["reliability"] if row["event"] == event and row["n"]]
        for attribute in _alone(result):
            lines: dict[str, list[tuple[float, float, float | None, float | None]]] = {}
            for row in mine:
                if row["attribute"] == attribute and row["n"] >= ENOUGH:
                    point = (row["probability"], row["rate"], row["low"], row["high"])
                    lines.setdefault(row["value"], []).append(point)
            if lines:
                title = f"{event}, by {attribute}" if attribute != "all" else f"{event}, all rows"
                found.append(_square(title, list(lines.items()), "stated probability", "rate", diagonal=True))
    return found


def curve_panels(result: Row) -> list[Panel]:
    """Draw true and false positive rate over the threshold: two panels per event and attribute."""
    found = []
    for event in events(result)[:DRAWN]:
        for attribute in _alone(result):
            mine = [c for c in result["threshold_curves"] if c["event"] == event and c["attribute"] == attribute]
            for rate, words in (
                ("true_positive_rate", "true positive rate"),
                ("false_positive_rate", "false positive rate"),
            ):
                lines: list[Line] = []
                for one in mine:
                    ends = zip(one["threshold"], one[rate], one[f"{rate}_low"], one[f"{rate}_high"], strict=True)
                    points = [point for point in ends if point[1] is not None]
                    if points and one["n"] >= ENOUGH:
                        lines.append((one["value"], points))
                if lines:
                    title = f"{event}, by {attribute}" if attribute != "all" else f"{event}, all rows"
                    found.append(_square(title, lines, "threshold", words, every=10))
    return found


def drawings(result: Row) -> dict[str, tuple[list[Panel], str, str]]:
    """List every chart of panels by file name: the panels, their title and caption."""
    on = f"of {result['data']['name']}"
    every = {
        "groups": (group_panels(result), f"Accuracy per group {on}", GROUPS_CAPTION),
        "reliability": (reliability_panels(result), f"Stated and seen {on}", RELIABILITY_CAPTION),
        "threshold_curves": (curve_panels(result), f"Rates over the threshold {on}", CURVES_CAPTION),
    }
    return {name: one for name, one in every.items() if one[0]}


def _alone(result: Row) -> list[str]:
    """The attributes that are drawn, each alone; all rows where there is none."""
    return list(result["data"]["group_by"]) or ["all"]


def _square(name: str, lines: Sequence[Line], x: str, y: str, *, diagonal: bool = False, every: int = 0) -> Panel:
    """Draw lines over the unit square: a marker with its interval per point, or one at every tenth.

    Of more than six lines the first six are drawn; the table has all.
    """
    kept = list(lines)[: len(MARKERS)]
    bottom = TOP + SIDE

    def at(horizontal: float, vertical: float) -> tuple[float, float]:
        return LEFT + SIDE * horizontal, bottom - SIDE * vertical

    parts = []
    for step in range(0, 11, 2):
        value = step / 10
        level = at(0, value)[1]
        parts.append(tag("path", class_="grid", d=f"M{LEFT} {level:.1f}H{LEFT + SIDE}"))
        parts.append(tag("text", f"{value:g}", class_="tick", x=LEFT - 6, y=level + 4, text_anchor="end"))
        parts.append(tag("text", f"{value:g}", class_="tick", x=at(value, 0)[0], y=bottom + 16))
    if diagonal:
        parts.append(tag("path", class_="mean", d=f"M{LEFT} {bottom}L{LEFT + SIDE} {TOP}"))
    parts.append(tag("text", x, class_="tick", x=LEFT + SIDE / 2, y=bottom + 34))
    for place, (label, points) in enumerate(kept):
        marker, drawn = MARKERS[place], []
        path = "L".join("{:.1f} {:.1f}".format(*at(point[0], point[1])) for point in points)
        drawn.append(tag("path", class_="ln", d=f"M{path}"))
        for number, (across, up, low_, high_) in enumerate(points):
            if every and number % every:
                continue
            if low_ is not None and high_ is not None:
                (where, start), (_, end) = at(across, low_), at(across, high_)
                drawn.append(tag("path", class_="ivl thin", d=f"M{where:.1f} {start:.1f}V{end:.1f}"))
            where, level = at(across, up)
            says = tag("title", f"{label}: {x} {across:.2f}, {y} {TYPOGRAPHIC.of(up, '%')[0]} %")
            drawn.append(f'<g transform="translate({where:.1f} {level:.1f})">{says}{marker}</g>')
        row = bottom + 54 + 18 * place
        drawn.append(f'<g transform="translate({LEFT + 6} {row - 4})">{marker}</g>')
        text = tag("title", label) + escaped(short(label, 30))
        drawn.append(f'<text x="{LEFT + 18}" y="{row}">{text}</text>')
        parts.append(f'<g class="{ink(place, len(kept))}">{"".join(drawn)}</g>')
    width, height = LEFT + SIDE + 20, bottom + 54 + 18 * len(kept)
    if len(lines) > len(kept):
        parts.append(
            tag(
                "text",
                f"{len(lines) - len(kept)} more in the table",
                class_="tick",
                x=LEFT,
                y=height,
                text_anchor="start",
            )
        )
        height += 18
    title = f"{name}: {y} over {x}, {listed([label for label, _ in kept])}."
    svg = (
        f'<svg class="chart a0" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">'
        f"{tag('title', title)}{''.join(parts)}</svg>"
    )
    return Panel(name, svg, width, height, measure=y)
