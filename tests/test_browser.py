"""Reports in a real browser: silent, still, within the width of the screen, sortable, explained and printable."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from _browser import WIDTHS, browse, needs_browser, visit
from _example_result import several
from test_report import CASES

import biaskit as bk
from biaskit.data import Dataset
from biaskit.telling.report import render

SHOWN = (
    "usual", "hostile", "twelve arms", "200 groups", "audit", "audit of attributes", "audit without attributes",
    "further", "sweep",
)  # fmt: skip
STUDIES = ("study", "hostile study")


@pytest.fixture(scope="module")
def pages():
    return {name: render(CASES[name]()) for name in (*SHOWN, *STUDIES)}


@pytest.mark.smoke
@needs_browser
def test_in_a_browser_nothing_is_said_loaded_or_scrolled_sideways(tmp_path, pages):
    seen, console = visit(tmp_path, {n: pages[n] for n in SHOWN})
    assert console == []
    assert len(seen) == len(SHOWN) * len(WIDTHS)
    for title, wide, room, requests, sorters, tip in seen:
        assert wide <= room, f"{title} scrolls sideways: {wide} in {room}"
        assert requests == 0, title
        assert sorters > 15, f"the script ran in {title}"
        assert tip is True, f"a definition shows on focus in {title}"


@needs_browser
def test_a_study_is_silent_in_a_browser_too(tmp_path, pages):
    seen, console = visit(tmp_path, {n: pages[n] for n in STUDIES})
    assert console == []
    for title, wide, room, requests, sorters, tip in seen:
        assert wide <= room, f"{title} scrolls sideways: {wide} in {room}"
        assert requests == 0, title
        assert sorters > 5, f"the script ran in {title}"
        assert tip is True, f"a definition shows on focus in {title}"


@needs_browser
def test_the_browser_test_would_notice(tmp_path, pages):
    bad = pages["usual"].replace("</main>", '<p style="width: 3000px">x</p><script>alert(1)</script></main>')
    loud = "<!doctype html><p id=w>x</p><img src='http://127.0.0.1:9/x.png'><style>#w { width: 3000px }</style>"
    seen, console = visit(tmp_path, {"bad": bad, "loud": loud})
    assert console, "the policy refuses the injected script, and the console says so"
    assert all(wide > room for title, wide, room, *_ in seen if title.startswith("loud"))
    assert all(wide <= room for title, wide, room, *_ in seen if title.startswith("bad")), "inline style was refused"
    assert all(requests > 0 for title, _, _, requests, *_ in seen if title.startswith("loud"))


@needs_browser
def test_tables_sort_definitions_show_and_print_opens_what_is_folded(tmp_path):
    script = """function (f) { var d = f.contentDocument, w = f.contentWindow, tip = d.querySelector("#tip");
      function column(i) { return Array.from(d.querySelectorAll("#t-groups tbody tr"), function (r) {
        return parseFloat(r.cells[i].textContent); }); }
      var heads = d.querySelectorAll("#t-groups thead th"), last = heads.length - 1;
      heads[last].querySelector(".sortb").click();
      var up = column(last), sorted = heads[last].getAttribute("aria-sort");
      var live = d.querySelector("#live").textContent;
      heads[last].querySelector(".sortb").click();
      var down = column(last), silent = [];
      d.querySelectorAll("a.t").forEach(function (a) {
        a.dispatchEvent(new w.MouseEvent("mouseenter"));
        if (tip.hidden || tip.textContent.trim().length < 10) { silent.push(a.textContent); } });
      d.dispatchEvent(new w.KeyboardEvent("keydown", {key: "Escape", bubbles: true}));
      var folded = d.querySelectorAll("details:not([open])").length;
      w.dispatchEvent(new w.Event("beforeprint"));
      var left = d.querySelectorAll("details:not([open])").length;
      w.dispatchEvent(new w.Event("afterprint"));
      return {up: up, down: down, sorted: sorted, live: live, silent: silent, hidden: tip.hidden,
        links: d.querySelectorAll("a.t").length, folded: folded, left: left,
        again: d.querySelectorAll("details:not([open])").length}; }"""
    (seen,), console = browse(tmp_path, {"audit": render(several())}, [1280], script)
    assert console == []
    assert seen["up"] == sorted(seen["up"]) != seen["down"] == sorted(seen["up"], reverse=True)
    assert len(seen["up"]) == 20
    assert seen["sorted"] == "ascending"
    assert seen["live"] == "Sorted by plain, ascending"
    assert seen["silent"] == []
    assert seen["links"] > 30
    assert seen["hidden"], "Escape hides the definition"
    assert seen["folded"] > 2
    assert (seen["left"], seen["again"]) == (0, seen["folded"])


@needs_browser
def test_wide_tables_fit_and_no_name_is_broken(tmp_path):
    rng = np.random.default_rng(0)
    label, pixels = rng.integers(0, 2, 300), rng.integers(0, 256, (300, 4, 4), dtype=np.uint8)
    attributes = {"background": label, "lighting_condition": rng.integers(0, 3, 300)}
    data = Dataset.from_arrays(pixels, label, attributes, split=["train"] * 200 + ["test"] * 100)
    table = pd.DataFrame({"y": label, "p": label, "region": rng.choice(["north_america", "south"], 300)})
    table["rest"] = rng.random(300)
    table["score"] = 1 - table["rest"]
    stated = {"0": "rest", "1": "score"}
    found = bk.score(table, label="y", prediction="p", attributes=["region"], probabilities=stated, thresholds=[0.5])
    found.save(tmp_path / "score")
    pages = {"data": render(bk.data_audit(data).result), "score": (tmp_path / "score" / "report.html").read_text()}
    # A name without a space that takes several lines was broken within a word.
    script = """function (f) { var d = f.contentDocument;
      d.querySelectorAll("details").forEach(function (e) { e.open = true; });
      return {cut: Array.from(d.querySelectorAll(".scroll")).filter(function (e) {
          return e.scrollWidth > e.clientWidth; }).map(function (e) { return e.getAttribute("aria-label"); }),
        unnamed: Array.from(d.querySelectorAll(".sort thead th")).filter(function (e) {
          return !e.textContent.replace("\u2195", "").trim(); }).length,
        broken: Array.from(d.querySelectorAll("tbody th bdi, td.l bdi")).filter(function (e) {
          return !/\\s/.test(e.textContent) && e.getClientRects().length > 1; }).length}; }"""
    seen, console = browse(tmp_path, pages, [1280, 1600], script)
    assert console == []
    assert seen == [{"cut": [], "unnamed": 0, "broken": 0}] * 4
