"""Studies: what their page, their Markdown, their figures and the terminal tell."""

from __future__ import annotations

import copy
import json
import re
from xml.etree import ElementTree

import pytest
from _example_result import HOSTILE, hostile_study, study
from _page import Reader, section

from biaskit.cli._text import files_of, print_study
from biaskit.cli._text_study import study_lines
from biaskit.telling import plots
from biaskit.telling import study as told
from biaskit.telling.markdown import study_markdown
from biaskit.telling.numbers import ASCII
from biaskit.telling.report import LARGEST, render, write_report


@pytest.fixture(scope="module")
def page():
    return render(study())


def real_study():
    """A study with what only real ones have: failures as rows, a ratio, a preset that leaves a measure out."""
    result = study()
    result |= {"about": "the digits in place of everything", "budget": "5 minutes", "notes": ["digits are 16 x 16"]}
    result["arms"].append(copy.deepcopy(result["arms"][0]) | {"data": "colormnist"})
    first, second = result["items"]
    first["rows"][0].update(value=None, low=None, high=None, n=0, seeds=0, reason="not measured in the preset smoke")
    second["failed"] = [
        {"arm": arm, "seed": seed, "analyzer": "attribution", "reason": "no layer"}
        for arm in "ab"
        for seed in (0, 1, 2)
    ]
    extra = {"expect": "lower", "margin": None, "unit": "ratio", "estimate": 0.356, "low": 0.21, "high": 0.41}
    result["claims"][0].update(extra, contrast="semcont / plain", published=None)
    result["claims"][1].update(expect="not lower", margin=0.01, unit="%")
    return result


# words


def test_the_title_names_what_stands_for_what():
    assert told.titled(study()) == "Semantic continuity (colordigits for CIFAR-100)"
    own = study()
    for item in own["items"]:
        item["substitute"] = False
    assert told.titled(own) == "Semantic continuity"
    assert told.summary(own) == "Of 3 claims 1 holds, 1 does not hold and 1 is inconclusive."
    own["items"][0]["substitute"] = True
    own["claims"].append(own["claims"][0] | {"item": "fig3"})
    assert told.summary(own).endswith("2 hold, 1 does not hold and 1 is inconclusive, some on a substitute.")
    assert told.summary(study(items=["fig3"])) == "The study makes no claim that was tested."


@pytest.mark.parametrize(
    ("value", "unit", "signed", "expected"),
    [
        (0.6699, "%", False, "66.99"),
        (0.0003, "%", True, "+0.03"),
        (-0.0301, "points", True, "-3.01"),
        (0.29, "%", False, "29"),
        (0.71, "ratio", True, "0.71"),
        ("about half", "%", False, "about half"),
        (None, "%", False, ""),
    ],
)
def test_published_numbers_keep_their_digits(value, unit, signed, expected):
    assert told.published(ASCII, value, unit, signed=signed) == expected


def test_a_failure_that_repeats_is_told_once():
    assert told.reasons(real_study()["items"][1]["failed"]) == [
        "attribution: no layer (a seed 0, a seed 1, a seed 2 and 3 more)"
    ]
    assert told.reasons(["text", {"arm": "", "seed": None, "analyzer": "x", "reason": "y"}]) == ["text", "x: y"]


# the page


def test_claims_come_first_and_say_it_in_words(page):
    source, text = section(page, "claims")
    assert re.findall(r'<section id="(\w+)"', page) == [
        "claims",
        "run",
        "item_table2",
        "item_fig3",
        "methods",
        "provenance",
        "glossary",
    ]
    assert "<h1>Semantic continuity (colordigits for CIFAR-100)</h1>" in page
    rows = source.split("<tbody")[1].split("<tr")[1:]
    assert len(rows) == 3
    for row, word in zip(rows, ("holds", "does not hold", "inconclusive"), strict=True):
        assert re.search(rf'<span class="v \w+">{word}</span> <small>on the substitute</small>', row)
    assert "+16.01 points +20.0 points +15.0 to +25.0 p 0.002, n 1,000 holds on the substitute" in text
    assert "undefined" in text
    assert "fewer than 3 seeds" in text
    assert "need not hold on the original" in text
    assert "on the substitute" not in section(render(original()), "claims")[1]


def original():
    result = study()
    for item in result["items"]:
        item["substitute"] = False
    return result


def test_what_was_run_is_told(page):
    text = section(page, "run")[1]
    for words in ("biaskit reproduce wu2021 --preset smoke", "Wu et al., arXiv 2011.09789", "Seeds 5: 0, 1, 2, 3, 4"):
        assert words in text
    real = section(render(real_study()), "run")[1]
    assert "Preset smoke: the digits in place of everything Budget of all items 5 minutes" in real
    assert "digits are 16 x 16" in real
    assert real.count("plain (2 epochs)") == 1


def test_time_tells_what_it_does_not_hold():
    result = study()
    result["runs"] = [{"stored": stored, "seconds": 40.0} for stored in (True, True, False)]
    time = dict(told.ran(result))["Time"]
    assert time.endswith("; 2 of 3 runs were stored before, their training, 1 min 20 s, is not in it")
    assert time in study_markdown(result)
    assert time in section(render(result), "run")[1]
    result["runs"] = [{"stored": True, "seconds": None}]
    assert dict(told.ran(result))["Time"].endswith("; 1 of 1 run was stored before, its training is not in it")
    result["runs"] = [{"stored": False, "seconds": 40.0}]
    assert "stored" not in dict(told.ran(result))["Time"]


def test_one_is_not_many():
    result = real_study()
    for arm in result["arms"]:
        arm["epochs"] = 1
    assert "(1 epoch)" in dict(told.ran(result))["Arms"]
    assert not re.search(r"\b1 (epochs|runs|seeds|points|rows|arms)\b", study_markdown(result))
    claim = {"contrast": "a - b", "measure": "accuracy", "expect": "not lower", "margin": 0.01, "unit": "%"}
    assert told.expected(claim).endswith("not lower by more than 1 point")


def test_cards_show_pixel_distances_as_fractions():
    result = study()
    result["arms"][0]["card"] = {"stage": [{"attack": {"name": "pgd", "epsilon": 8 / 255, "step": 2 / 255}}]}
    page = Reader(render(result)).text
    assert '"epsilon": "8/255"' in page
    assert "0.0313" not in page


def test_published_stands_beside_measured(page):
    source, text = section(page, "item_table2")
    assert "clean accuracy, % plain 66.99 90.0 87.0 to 93.0 1,000 5" in text
    assert "adv-semcont not published 84.0 81.0 to 87.0" in text
    assert "Table 2: published (CIFAR-100) beside measured on colordigits, which stands for CIFAR-100" in text
    two = study()
    two["items"][0]["rows"][0]["published_on"] = "ImageNet"
    assert "plain 66.99 ImageNet 90.0" in section(render(two), "item_table2")[1], "several are told row by row"
    assert source.count('scope="row"') == 8
    assert "the paper does not say whether the attack starts at random" in text
    real = render(real_study())
    assert "not measured in the preset smoke" in section(real, "item_table2")[1]
    claims = section(real, "claims")[1]
    assert "semcont / plain, adversarial accuracy: expected lower not published 0.36 ratio 0.21 to 0.41" in claims
    assert "expected not lower by more than 1 point " in claims


def test_what_nobody_published_takes_no_column():
    result = study()
    for row in result["items"][0]["rows"]:
        row.update(published=None, published_on="", low=row["value"], high=row["value"])
    text = section(render(result), "item_table2")[1]
    assert "Published" not in text
    assert "Table 2: measured on colordigits, which stands for CIFAR-100, with its 95 % interval" in text
    assert "clean accuracy, % plain 90.0 1,000 5" in text, "seeds that agree make no interval"
    lines = [line.text for line in study_lines(result, None)]
    assert any(re.fullmatch("clean accuracy, % +plain +90.0", line) for line in lines)


def test_figures_of_a_study(page):
    source, text = section(page, "item_fig3")
    assert "failed adv-semcont: no runs" in text
    assert source.count('<svg class="chart"') == 2
    assert "DS, logit^2, over level. Band: 95 % interval" in text
    assert source.count("<img") == 2 * 6 * 5
    found = plots.figures(study())
    assert set(found) == {"fig3"}
    assert ElementTree.fromstring(found["fig3"]).tag.endswith("svg")
    assert set(plots.figures(hostile_study())) == {re.sub(r"[^\w-]+", "-", HOSTILE[1], flags=re.ASCII)}


def test_long_tables_are_folded():
    result = study(items=["table2"])
    result["items"][0]["rows"] = result["items"][0]["rows"] * 5
    source, _ = section(render(result), "item_table2")
    visible, folded = source.split("<details>")
    assert visible.count('scope="row"') == 15
    assert folded.count('scope="row"') == 40
    assert "All 40 rows" in folded


def test_curves_over_words_and_over_pixel_distances():
    result = study(items=["fig3"])
    item = result["items"][0]
    item["curves"] = [c | {"x": {1: "low", 2: "mid", 3: "high", 4: "top"}[c["x"]]} for c in item["curves"]]
    ((svg, *_), _) = ([p.svg for p in told.panels(result, item)], None)
    assert re.findall(r">(low|mid|high|top)</text>", svg) == ["low", "mid", "high", "top"], "in the order given"
    item["curves"] = [c | {"x": i * 4 / 255, "x_title": "epsilon"} for i, c in enumerate(item["curves"][:4])]
    assert re.findall(r">(\d+/255)</text>", told.panels(result, item)[0].svg)
    item["curves"] = [c | {"y": None} for c in item["curves"]]
    assert told.panels(result, item) == []


def test_a_hostile_study_is_text():
    page = render(hostile_study())
    seen = Reader(page)
    for name in (HOSTILE[0], HOSTILE[1], "{{ 7 * 7 }}"):
        assert name in seen.text
    assert seen.tags.count("img") == 2 * 5, "rows of the same name are one"
    assert "\u202e" not in page


def test_a_study_stays_below_its_limit():
    result = study()
    for entry in result["items"][1]["gallery"]:
        entry["image"] = entry["image"][:66] + "A" * 60_000
    page = render(result)
    assert len(page.encode()) <= LARGEST
    beside = re.findall(r"(\d+) pictures? of this figure lies? beside this file", page)
    assert page.count('href="pictures/item2-') == sum(map(int, beside)) > 0


def test_write_report_of_a_study(tmp_path):
    (tmp_path / "result.json").write_text(json.dumps(real_study()))
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert page == render(real_study())
    assert "biaskit study" in page


# Markdown


def test_markdown():
    text = study_markdown(real_study())
    assert text.startswith("# Semantic continuity (colordigits for CIFAR-100)\n\nOf 3 claims ")
    assert "- Command: `biaskit reproduce wu2021 --preset smoke`" in text
    assert "- Note: digits are 16 x 16" in text
    lines = text.splitlines()
    at = lines.index("| measure | arm | published | on | measured | n | seeds |")
    assert lines[at + 1] == "| --- | --- | --- | --- | --- | --- | --- |"
    assert (
        lines[at + 2] == "| clean accuracy, % | plain | 66.99 | CIFAR-100 | not measured in the preset smoke | 0 | 0 |"
    )
    assert lines[at + 3] == "| clean accuracy, % | semcont | 67.01 | CIFAR-100 | 88.0 [85.0, 91.0] | 1,000 | 5 |"
    assert (
        "| table2 | adv is more robust than plain | +44.3 points | +20.0 points [+15.0, +25.0] "
        "| does not hold on the substitute |"
    ) in lines
    assert "- failed: attribution: no layer (a seed 0, a seed 1, a seed 2 and 3 more)" in lines
    assert text.isascii()


def test_markdown_cannot_be_steered():
    text = study_markdown(hostile_study())
    assert "<script" not in text
    assert [line for line in text.splitlines() if "<img" in line] == [f"- Command: `{HOSTILE[1]}`"]
    for line in text.splitlines():
        if line.startswith("| "):
            cells = len(re.findall(r"(?<!\\)\|", line))
            assert cells in (6, 8), line
    piped = study()
    piped["items"][0]["rows"][0]["arm"] = "a|b *c* [d](e)"
    assert r"| a\|b \*c\* \[d\](e) |" in study_markdown(piped)
    empty = study(items=["fig3"])
    assert "## Claims" not in study_markdown(empty)


# the terminal


def test_a_study_on_the_terminal(tmp_path, capsys):
    for name in ("report.html", "study.md"):
        (tmp_path / name).write_text("x")
    print_study(real_study(), tmp_path)
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[0] == "Of 3 claims 1 holds, 1 does not hold and 1 is inconclusive, on the substitute."
    assert lines[1] == "Semantic continuity (colordigits for CIFAR-100)"
    assert re.match(r"holds on the substitute +table2 +0.36 ratio  \[0.21, 0.41\] +semcont is more", lines[4])
    assert any(re.match(r"clean accuracy, % +semcont +67.01 +88.0  \[85.0, 91.0\]", line) for line in lines)
    assert any(line.endswith("not measured in the preset smoke") for line in lines)
    assert "failed: fig3: attribution: no layer (a seed 0, a seed 1, a seed 2 and 3 more)" in lines
    assert out.index("failed: ") < out.index("note: digits are 16 x 16") < out.index("\nreport ")
    assert [name for name, _, _ in files_of(tmp_path)] == ["report", "text"]
    assert out.isascii()


def test_an_item_prints_its_first_rows():
    result = study(items=["table2"])
    result["items"][0]["rows"] = result["items"][0]["rows"] * 2
    lines = [line.text for line in study_lines(result, 100)]
    assert "4 more in the report" in lines
    assert not any(c < " " for line in study_lines(hostile_study(), None) for c in line.text)
