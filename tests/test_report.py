"""The report: complete, escaped, small, and silent in a browser."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from _example_result import (
    HOSTILE,
    audit,
    bare_audit,
    example,
    further,
    hostile,
    hostile_study,
    several,
    study,
    swept,
)
from _page import Reader, section

from biaskit._examples import data_uri
from biaskit.errors import DataError
from biaskit.telling import gallery, plots
from biaskit.telling.report import LARGEST, MOST_LINES, laid_out, render, write_report


def empty_group():
    result = example()
    for row in result["groups"]:
        if row["label"] == "3" and row["color"] == "red":
            row.update(n=0, accuracy=None, low=None, high=None, note="no test images")
        if row["label"] == "4" and row["color"] == "red":
            row.update(n=7, note="insufficient (n=7)")
    for row in result["headline"]:
        if row["metric"] == "gap":
            row.update(value=None, low=None, high=None, noise=None, p=None, reason="no label has both values")
    for row in result["differences"]:
        if row["metric"] == "gap":
            row.update(estimate=None, low=None, high=None, reason="no label has both values")
    return result


LISTS = (
    "groups",
    "attribute_values",
    "headline",
    "differences",
    "verdicts",
    "continuity",
    "runs",
    "examples",
)
EMPTY = {name: [] for name in LISTS} | {"sprite": None, "hint": None}
CASES = {
    "usual": example,
    "hostile": hostile,
    "one arm": lambda: example(arms=["plain"]),
    "twelve arms": lambda: example(arms=[f"arm {i}" for i in range(12)], images=2000),
    "two groups": lambda: example(labels=["cat"]),
    "200 groups": lambda: example(labels=[f"c{i}" for i in range(10)], colors=[f"v{i}" for i in range(20)]),
    "one seed": lambda: example(seeds=1),
    "gap decides": lambda: example(metric="gap"),
    "empty group": empty_group,
    "nothing ran": lambda: example() | EMPTY,
    "audit": audit,
    "audit of attributes": several,
    "audit without attributes": bare_audit,
    "audit of few images": lambda: audit(images=60) | {"repeated": ["plain: seed 1 repeats seed 0"]},
    "audit where nothing ran": lambda: bare_audit() | EMPTY,
    "further": further,
    "further, one seed": lambda: further(seeds=1),
    "further, eight arms": lambda: further(arms=[f"arm {i}" for i in range(8)], images=1000),
    "sweep": swept,
    "sweep of words": lambda: swept(values=("both", "clean", "pair")),
    "study": study,
    "hostile study": hostile_study,
    "study without claims": lambda: study(items=["fig3"]),
    "study, one seed": lambda: study(seeds=1),
}


@pytest.fixture(scope="module")
def pages():
    return {name: render(make()) for name, make in CASES.items()}


@pytest.mark.parametrize("name", CASES)
def test_every_report_is_whole_closed_and_harmless(pages, name):
    page = pages[name]
    seen = Reader(page)
    assert len(page.encode()) <= LARGEST
    assert seen.tags.count("script") == 1
    assert seen.tags.count("h1") == 1
    names = {key for key, _ in seen.attributes}
    assert "style" not in names, "the policy refuses style attributes"
    assert not [key for key in names if key.startswith("on")]
    sources = [v for k, v in seen.attributes if k in ("src", "href")]
    assert all(re.fullmatch(r"data:.*|#.*|pictures/[a-z0-9-]+\.png", v) for v in sources)
    ids = [v for k, v in seen.attributes if k == "id"]
    assert len(ids) == len(set(ids))
    targets = {v[1:] for k, v in seen.attributes if k == "href" and v.startswith("#")}
    targets |= {v for k, v in seen.attributes if k in ("aria-describedby", "aria-labelledby")}
    assert targets <= set(ids), "every link inside the page leads somewhere"
    told = seen.text
    assert not re.search(r"\b(unfair|unbiased|significant\w*|colour|nan|undefined variable)\b", told, re.IGNORECASE)
    assert not re.search(r"\bNone\b", told)


@pytest.mark.parametrize("name", ["usual", "hostile"])
def test_the_policy_names_exactly_the_style_and_script_of_the_page(pages, name):
    page = pages[name]
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', page)[1]
    for kind in ("style", "script"):
        body = re.search(rf"<{kind}>(.*?)</{kind}>", page, re.DOTALL)[1]
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in html.unescape(policy)
    assert policy.startswith("default-src &#39;none&#39;") or policy.startswith("default-src 'none'")


def test_hostile_names_stay_text(pages):
    seen = Reader(pages["hostile"])
    for name in (HOSTILE[0], HOSTILE[1], "[red]", "{{ 7 * 7 }}", "=HYPERLINK(1)"):
        assert name in seen.text
    assert "\u202e" not in pages["hostile"]
    assert seen.tags.count("img") == Reader(pages["further"]).tags.count("img") - 2, "two pictures are no PNG"


def test_empty_cells_carry_their_reason(pages):
    text = Reader(pages["empty group"]).text
    assert "no test images" in text
    assert "insufficient (n=7), " in text
    assert "no label has both values" in text


def test_sections_follow_what_the_result_holds(pages):
    def sections(name):
        return re.findall(r'<section id="(\w+)"', pages[name])

    assert sections("usual") == [
        "verdict",
        "numbers",
        "differences",
        "groups",
        "seeds",
        "worst",
        "twins",
        "continuity",
        "data",
        "methods",
        "provenance",
        "glossary",
    ]
    assert "differences" not in sections("one arm")
    assert "twins" not in sections("nothing ran")
    assert "<b>failed</b> continuity: &lt;/script&gt;" in pages["hostile"]
    failed = example() | {"continuity": [], "examples": []}
    failed["failed"] = [
        {"arm": "aug", "seed": s, "analyzer": a, "reason": f"{a} broke"}
        for a in ("continuity", "attribution")
        for s in range(5)
    ]
    page = render(failed)
    assert "continuity broke" in page.split('<section id="continuity"')[1].split("</section>")[0]
    assert "attribution broke (aug seed 0, aug seed 1, aug seed 2 and 2 more)" in page.split('<section id="failed"')[1]


def test_an_audit_reads_as_an_audit(pages):
    page, text = pages["audit"], Reader(pages["audit"]).text
    assert "<h1>plain on colormnist</h1>" in page
    for id in ("seeds", "differences"):
        assert f'<section id="{id}"' not in page
    for heading in ("How does the model do?", "What was it tested on?", "What it rests on"):
        assert heading in text
    assert not re.search(r"\b(arms?|Arms?|per seed|verdicts)\b", text.split("What does each word mean?")[0])
    for word in ("What would settle it", "control arm", "paired difference", "seeds per", "All 1 runs", "Holm"):
        assert word not in text
    bare = Reader(pages["audit without attributes"]).text
    rests = bare.split("What it rests on")[1]
    assert rests.index("failed parity: photos has no attribute") < rests.index("ok 4,000 test images in 10 groups")
    assert "background color" not in bare.split("How smoothly")[0].replace("flip rate", "")


def test_an_audit_lists_its_lowest_groups_first(pages):
    body = pages["audit"].split('id="t-groups"')[1].split("</table>")[0]
    rates = [float(x) for x in re.findall(r"<td><bdi>([\d.]+)</bdi> <span", body)]
    assert len(rates) == 20
    assert rates == sorted(rates)
    lowest = {}
    for row in audit()["groups"]:
        lowest[row["label"]] = min(row["accuracy"], lowest.get(row["label"], 1.0))
    lanes = re.findall(r'class="lab"[^>]*><title>(\d)</title>', plots.group_panels(audit())[0].svg)
    assert [lowest[lane] for lane in lanes] == sorted(lowest.values())
    few = audit(images=60)
    panel = plots.group_panels(few)[0].svg
    assert panel.count("insufficient") >= 10
    assert "60 %" not in panel
    assert plots.group_panels(audit())[0].width == 320


def test_small_distances_have_an_axis_of_their_own_and_stay_small():
    row = {"arm": "a", "level": 1, "amount": None, "n": 9, "nds_low": None, "nds_high": None}
    rows = [row | {"perturbation": p, "nds": v} for p, v in (("hue", 30.0), ("contrast", 0.5), ("noise", 0.001))]
    panels = {p.name: p.svg for p in plots.continuity(rows, ["a"])}

    def height(name):
        return float(re.search(r"translate\(\S+ ([\d.]+)\)", panels[name])[1])

    assert height("hue") == height("contrast") == 14
    assert height("noise") > 160, "a thousandth is not blown up"
    assert "None" not in "".join(panels.values())
    near = [r | {"nds": 0.5 + i / 10} for i, r in enumerate(rows)]
    assert len({tuple(re.findall(r'class="grid" d="(.*?)"', p.svg)) for p in plots.continuity(near, ["a"])}) == 1


def test_numbers_of_the_page_are_those_of_the_result(pages):
    result = example()
    row = next(r for r in result["headline"] if r["metric"] == "average_accuracy" and r["arm"] == "plain")
    cell = f"<b>{100 * row['value']:.1f}</b> <small>{100 * row['low']:.1f} to {100 * row['high']:.1f}</small>"
    assert cell in pages["usual"]
    assert f"{row['n']:,} test images" in pages["usual"]
    assert "noise" in Reader(pages["usual"]).text
    for entry in result["metrics"]:
        assert f'id="g-{entry["name"]}"' in pages["usual"], "every measure has its definition"


def test_the_picture_of_the_groups_says_what_its_rows_are(pages):
    words = Reader(pages["usual"]).text
    assert "Columns, from the left: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9; rows, from the top: red, blue (color)." in words
    assert "Gray:" not in words
    result = example(labels=["cat", "dog"])
    result["data"] |= {"group_by": ["color", "room"], "attributes": {"color": ["red", "blue"], "room": ["in", "out"]}}
    for row in result["data"]["contingency"]:
        row |= {"room": "in", "n": 0}
    for row in result["groups"]:
        row["room"] = "in"
    words = Reader(render(result)).text
    assert "rows, from the top: red in, red out, blue in, blue out (color and room). Gray: no test image." in words
    result["data"] |= {"group_by": [], "attributes": {}}
    assert "The first test images of each label. Columns, from the left: cat, dog." in Reader(render(result)).text


def test_the_two_intervals_of_a_worst_group_are_told_apart(pages):
    for name in ("usual", "audit"):
        words = Reader(pages[name]).text
        assert "the interval of the worst group is another: it covers whichever is lowest, over all groups at" in words


def test_an_image_that_is_no_png_is_not_shown():
    result = example()
    result["examples"][0]["image"] = 'x" onerror="alert(1)'
    result["sprite"]["image"] = "https://example.invalid/x.png"
    page = render(result)
    assert "no picture" in page
    assert "example.invalid" not in page


def noise(side):
    """A picture that no compression makes smaller: its bytes are drawn at random."""
    rng = np.random.default_rng(side)
    return data_uri(rng.integers(0, 256, (side, side, 3), dtype=np.uint8))


def heavy():
    """Examples and galleries of some 4 MB, in pictures of 100 kB."""
    result = further()
    for number, entry in enumerate(result["gallery"]):
        entry["image"] = noise(160 + number)
    result["worst"]["examples"][0]["image"] = noise(159)
    return result


def test_what_does_not_fit_lies_beside_the_page_and_is_linked(tmp_path):
    result = heavy()
    page, beside = laid_out(result)
    assert 0.9 * LARGEST < len(page.encode()) <= LARGEST, "the room is used"
    assert result["worst"]["examples"][0]["image"] in page, "examples come first"
    seen = Reader(page)
    links = [v for k, v in seen.attributes if k == "href" and v.startswith("pictures/")]
    assert sorted(links) == sorted(beside)
    embedded = [v for k, v in seen.attributes if k == "src"]
    every = {e["image"] for e in result["gallery"]}
    outside = {base64.b64encode(data).decode() for data in beside.values()}
    assert outside == {image.partition(",")[2] for image in every - set(embedded)}
    assert "of this figure lie beside this file" in seen.text
    assert "is complete" not in seen.text
    assert "Larger pictures lie beside it" in seen.text
    kept = [e["row"] for e in result["gallery"] if e["image"] in embedded]
    assert set(kept) >= {f"image {i}, label {i}" for i in range(2)}, "each figure keeps its first lines"

    (tmp_path / "result.json").write_text(json.dumps(result))
    write_report(tmp_path)
    assert {f"pictures/{one.name}" for one in (tmp_path / "pictures").iterdir()} == set(beside)
    write_report(tmp_path, images=False)
    assert not (tmp_path / "pictures").exists(), "pictures of an earlier page are gone"
    (tmp_path / "result.json").write_text(json.dumps(example()))
    write_report(tmp_path)
    assert not (tmp_path / "pictures").exists()
    assert "is complete" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_gallery_of_many_lines_is_bounded():
    result = further()
    first = result["gallery"][0]
    result["gallery"] = [first | {"row": f"image {i}", "column": "image"} for i in range(MOST_LINES + 50)]
    page, beside = laid_out(result)
    assert len(beside) == MOST_LINES + 50 - gallery.MOST_LINES
    assert Reader(page).text.count("Linked are the first 200 of 250 lines") == 1
    assert len([v for k, v in Reader(page).attributes if k == "href" and v.startswith("pictures/")]) == 200 - 24


def test_without_pictures_no_pixel_is_there():
    for make in (further, audit, study):
        page, beside = laid_out(make(), images=False)
        assert "data:image" not in page
        assert "<img" not in page
        assert beside == {}
        assert "It was made without pictures." in page
    _, text = section(render(further(), images=False), "worst")
    assert "pixels" not in text.split("Nobody")[0]
    assert "0.99" in text, "answers stay"
    assert gallery.without_pictures(gallery.without_pictures(further())) == gallery.without_pictures(further())


def test_a_report_too_large_without_pictures_is_refused():
    result = example()
    result["arms"][0]["card"] = {"text": "A" * LARGEST}
    with pytest.raises(DataError, match="compare fewer arms"):
        render(result)


# what every reader sees first, and asks next


def test_the_worst_examples_stand_beside_their_twins(pages):
    source, text = section(pages["audit"], "worst")
    assert "71 of 4,000 test images were answered wrong." in text
    assert text.count("wrong with the highest confidence in the lowest group") == 2
    assert text.count("wrong with the highest confidence of all other test images") == 2
    assert "integrated gradients (32 steps, from a black image) of the answer that was given" in text
    assert source.count("<img") == 4 * 2 * 2, "image and twin, each with the pixels that spoke for the answer"
    bare = section(pages["audit without attributes"], "worst")[0]
    assert bare.count("<img") == 4 * 2
    assert "twin" not in Reader("<section " + bare + "</section>").text
    assert section(pages["usual"], "worst")[0].count("<img") == 4 * 2 * (1 + 3)
    right = audit()
    right["worst"] |= {"examples": [], "wrong": 0}
    assert "0 of 4,000 test images were answered wrong." in section(render(right), "worst")[1]


def test_an_audit_shows_the_gap_of_every_attribute():
    page = render(several())
    source, text = section(page, "numbers")
    assert "cloth of the coat silk minus wool, the highest and the lowest of 4 +6.1" not in text, "gaps have no sign +"
    assert "cloth of the coat silk minus wool, the highest and the lowest of 4 6.1 2.0 to 11.0 2.1 0.001 0.003" in text
    assert "room hall alone every test image is hall none" in text
    assert source.count('class="strip bare"') == 2, "a gap that is not defined is not drawn"
    told = section(page, "groups")[1]
    assert (
        "By cloth of the coat, the gap between the highest and the lowest of 4 values, accuracy on silk minus accuracy"
        " on wool, is 6.1 points (2.0 to 11.0); larger than chance (chance alone gives about 2.1, p 0.003 after Holm)."
    ) in told
    assert "Whether accuracy differs by room cannot be told: every test image is hall." in told
    lead = "differs by cloth of the coat by more than chance: silk minus wool is 6.1 points (2.0 to 11.0)."
    assert lead in section(page, "verdict")[1]
    assert "gaps" in plots.figures(several())
    assert "gaps" not in plots.figures(example()), "several arms have their forest of differences"


class Cells(HTMLParser):
    """The tables of a page: whether each number has a definition, in the head of its column or of its row."""

    def __init__(self, page):
        super().__init__()
        self.missing, self.seen, self.table = [], 0, None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "table":
            kind = (given.get("class") or "").split()
            self.table = {"id": given.get("id"), "heads": [], "sorted": "sort" in kind}
        elif self.table is None:
            return
        elif tag == "tr":
            self.row, self.place = False, -1
        elif tag in ("th", "td"):
            self.place += 1
            self.cell, self.words, self.defined = given, "", False
            if given.get("scope") == "col":
                self.table["heads"].append([False, ""])
        elif tag == "a" and given.get("aria-describedby"):
            self.defined = True

    def handle_data(self, data):
        if self.table is not None:
            self.words = getattr(self, "words", "") + data

    def handle_endtag(self, tag):
        if tag == "table":
            self.table = None
        elif self.table is not None and self.table["sorted"] and tag in ("th", "td"):
            if self.cell.get("scope") == "col":
                self.table["heads"][-1] = [self.defined, self.words]
            elif tag == "th":
                self.row = self.defined
            elif "l" not in (self.cell.get("class") or "").split() and re.search(r"\d", self.words):
                self.seen += 1
                head, name = self.table["heads"][self.place]
                if not (head or self.row or self.defined):
                    self.missing.append((self.table["id"], name, self.words))


@pytest.mark.parametrize("name", [name for name in CASES if "study" not in name])
def test_every_number_has_its_definition(pages, name):
    found = Cells(pages[name])
    assert found.missing == []
    assert found.seen >= 20


def test_write_report(tmp_path):
    with pytest.raises(DataError, match=r"no result\.json"):
        write_report(tmp_path)
    (tmp_path / "result.json").write_text("{")
    with pytest.raises(DataError, match="cannot be read"):
        write_report(tmp_path)
    (tmp_path / "result.json").write_text("[]")
    with pytest.raises(DataError, match="no result of biaskit"):
        write_report(tmp_path)
    (tmp_path / "result.json").write_text(json.dumps(example() | {"schema_version": 2}))
    with pytest.raises(DataError, match="schema_version 2"):
        write_report(tmp_path)
    (tmp_path / "result.json").write_text(json.dumps(example()))
    path = write_report(tmp_path)
    assert path == tmp_path / "report.html"
    assert path.read_text(encoding="utf-8") == render(example())


@pytest.mark.parametrize("name", CASES)
def test_figures_are_svg_files_of_their_own(name):
    result = CASES[name]()
    found = plots.figures(result)
    for drawing in found.values():
        root = ElementTree.fromstring(drawing)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert "var(--" not in drawing, "many readers of SVG know no variables"
        assert "prefers-color-scheme: dark" in drawing
        assert "nan" not in drawing
    if name == "usual":
        assert {"differences-flip_rate", "seeds-flip_rate", "groups", "continuity"} <= set(found)
        assert found["seeds-flip_rate"].count('class="one"') == 15, "every run is a dot"
        assert found["groups"].count("<circle") == 3 * (20 + 1), "every group is a dot, and one ring per arm"
    if name == "nothing ran":
        assert found == {}


def test_better_is_on_the_right():
    result = example()
    metric = next(m for m in result["metrics"] if m["name"] == "flip_rate")
    rows = [
        dict(r, estimate=e, low=e - 0.01, high=e + 0.01)
        for r, e in zip(result["differences"][:2], (-0.03, 0.03), strict=True)
    ]
    figure = plots.forest(rows, metric, margin=0.005, mirrored=True)
    first, second = (float(re.search(r'<svg x="([\d.]+)%"', s.svg)[1]) for s in figure.rows)
    assert first > second
