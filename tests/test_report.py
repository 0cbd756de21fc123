"""The report: complete, escaped, small, and silent in a browser."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shutil
import subprocess
from xml.etree import ElementTree

import pytest
from _example_result import HOSTILE, audit, bare_audit, example, further, hostile, hostile_study, study, swept
from _page import Reader

from biaskit.errors import DataError
from biaskit.telling import plots
from biaskit.telling.report import LARGEST, render, write_report

CHROMIUM = next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)
WIDTHS = (320, 360, 420, 768, 1024, 1280, 1600, 1920)
SHOWN = ("usual", "hostile", "twelve arms", "200 groups", "audit", "audit without attributes", "further", "sweep")
STUDIES = ("study", "hostile study")


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
    assert all(v.startswith(("data:", "#")) for v in sources)
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
    assert seen.tags.count("img") == Reader(pages["further"]).tags.count("img") - 1, "one picture is no PNG"


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
        "twins",
        "continuity",
        "data",
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
    for section in ("seeds", "differences"):
        assert f'<section id="{section}"' not in page
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


def test_an_image_that_is_no_png_is_not_shown():
    result = example()
    result["examples"][0]["image"] = 'x" onerror="alert(1)'
    result["sprite"]["image"] = "https://example.invalid/x.png"
    page = render(result)
    assert "no picture" in page
    assert "example.invalid" not in page


def test_a_report_stays_below_its_limit():
    result = example()
    heavy = "data:image/png;base64," + "A" * 900_000
    for entry in result["examples"]:
        entry["image"] = heavy
    page = render(result)
    assert len(page.encode()) <= LARGEST
    assert "2 of 4 examples" in page or "1 of 4 examples" in page
    result["arms"][0]["card"] = {"text": "A" * LARGEST}
    with pytest.raises(DataError, match="compare fewer arms"):
        render(result)


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


# ---------------------------------------------------------------------- in a real browser


def visit(tmp_path, pages):
    """Open pages in frames of several widths; give back what they measure and the console."""
    frames = "".join(
        f'<iframe title="{html.escape(name)} {width}" width="{width}" height="900"'
        f' srcdoc="{html.escape(page)}"></iframe>'
        for name, page in pages.items()
        for width in WIDTHS
    )
    script = """
      addEventListener("load", function () { document.body.textContent = JSON.stringify(
        Array.from(document.querySelectorAll("iframe"), function (f) { var d = f.contentDocument;
          d.querySelectorAll("details").forEach(function (e) { e.open = true; });
          var links = d.querySelectorAll("a.t");
          if (links.length) { links[0].focus(); }
          return [f.title, d.documentElement.scrollWidth, d.documentElement.clientWidth,
            f.contentWindow.performance.getEntriesByType("resource").length,
            d.querySelectorAll(".sortb").length, d.querySelector("#tip") ? !d.querySelector("#tip").hidden
            : null]; })); });
    """
    host = tmp_path / "host.html"
    host.write_text(f"<!doctype html><meta charset=utf-8><body>{frames}<script>{script}</script>", encoding="utf-8")
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--enable-logging=stderr",
        "--window-size=2000,1200",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--dump-dom",
        host.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    found = re.search(r"<body>(\[.*\])</body>", done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    return json.loads(html.unescape(found[1])), [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
def test_in_a_browser_nothing_is_said_loaded_or_scrolled_sideways(tmp_path, pages):
    seen, console = visit(tmp_path, {n: pages[n] for n in SHOWN})
    assert console == []
    assert len(seen) == len(SHOWN) * len(WIDTHS)
    for title, wide, room, requests, sorters, tip in seen:
        assert wide <= room, f"{title} scrolls sideways: {wide} in {room}"
        assert requests == 0, title
        assert sorters > 15, f"the script ran in {title}"
        assert tip is True, f"a definition shows on focus in {title}"


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
def test_a_study_is_silent_in_a_browser_too(tmp_path, pages):
    seen, console = visit(tmp_path, {n: pages[n] for n in STUDIES})
    assert console == []
    for title, wide, room, requests, sorters, tip in seen:
        assert wide <= room, f"{title} scrolls sideways: {wide} in {room}"
        assert requests == 0, title
        assert sorters > 5, f"the script ran in {title}"
        assert tip is True, f"a definition shows on focus in {title}"


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
def test_the_browser_test_would_notice(tmp_path, pages):
    bad = pages["usual"].replace("</main>", '<p style="width: 3000px">x</p><script>alert(1)</script></main>')
    loud = "<!doctype html><p id=w>x</p><img src='http://127.0.0.1:9/x.png'><style>#w { width: 3000px }</style>"
    seen, console = visit(tmp_path, {"bad": bad, "loud": loud})
    assert console, "the policy refuses the injected script, and the console says so"
    assert all(wide > room for title, wide, room, *_ in seen if title.startswith("loud"))
    assert all(wide <= room for title, wide, room, *_ in seen if title.startswith("bad")), "inline style was refused"
    assert all(requests > 0 for title, _, _, requests, *_ in seen if title.startswith("loud"))
