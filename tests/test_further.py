"""Further analyzers, pictures and sweeps: what a report, its figures and the terminal tell of them."""

from __future__ import annotations

import copy
import itertools
import re

import pytest
from _example_result import RED, example, further, swept
from _page import Reader, section

from biaskit.cli._text import comparison_lines, print_sweep
from biaskit.telling import analyses, curves, gallery, numbers, plots, sweep
from biaskit.telling.report import LARGEST, render


@pytest.fixture(scope="module")
def page():
    return render(further())


def analysis(name, result=None):
    return next(a for a in (result or further())["analyses"] if a["analyzer"] == name)


# what is chosen of a table


def test_a_result_of_an_older_version_still_renders():
    old = example()
    assert "analyses" not in old
    assert "gallery" not in old
    assert "analyzer_" not in render(old)
    assert [line.text for line in comparison_lines(old, None)] == [
        line.text for line in comparison_lines(old | {"analyses": [], "gallery": []}, None)
    ]


def test_chance_is_a_dashed_line_at_its_height():
    points = [
        {"panel": "p", "arm": arm, "x": x, "y": y, "low": None, "high": None, "chance": 0.5}
        for arm in ("a", "b")
        for x, y in ((1, 1.0), (2, 0.75))
    ]
    axis = curves.Axis("depth", "accuracy", "share")
    (panel,) = curves.curves(points, ["a", "b"], axis)
    dashed = re.search(r'<path class="mean" d="M([^"]+)"', panel.svg)[1]
    heights = {float(pair.split()[1]) for pair in dashed.split("L")}
    line = [float(pair.split()[1]) for pair in re.search(r'<path class="ln" d="M([^"]+)"', panel.svg)[1].split("L")]
    assert len(heights) == 1
    # 0.75 lies halfway between 1 and 0.5.
    assert line[1] - line[0] == pytest.approx(heights.pop() - line[1], abs=0.2)
    (bare,) = curves.curves([{**p, "chance": None} for p in points], ["a", "b"], axis)
    assert 'class="mean"' not in bare.svg


def test_known_analyzers_are_not_repeated(page):
    ids = re.findall(r'<section id="(analyzer_\w+)"', page)
    assert ids == [f"analyzer_{n}" for n in ("robustness", "semantic_reliance", "transfer", "attribution")]


def test_rows_about_all_images_are_kept():
    result = further()
    rows = analyses.overall(result, analysis("robustness"))
    assert len(rows) == 3 * 6
    assert {r["label"] for r in rows} == {"all"}
    no_total = copy.deepcopy(analysis("robustness"))
    no_total["rows"] = [r for r in no_total["rows"] if r["label"] != "all"]
    assert analyses.overall(result, no_total) == no_total["rows"], "without such rows all are kept"


def test_lines_name_what_differs_and_nothing_else():
    result = further()
    lines = analyses.lines(result, analysis("robustness"))
    assert [dict(one.keys) for one in lines[:2]] == [
        {"attack": "clean", "epsilon": "0", "steps": "0"},
        {"attack": "pgd", "epsilon": "1/255", "steps": "10"},
    ]
    short = analyses.lines(result, analysis("robustness"), short=True)
    assert dict(short[1].keys) == {"attack": "pgd", "epsilon": "1/255"}, "the steps follow from the attack"
    one = copy.deepcopy(analysis("robustness"))
    one["rows"] = [r for r in one["rows"] if r["attack"] == "pgd"]
    assert analyses.constants(one, analyses.overall(result, one)) == "attack pgd, steps 10"
    assert [name for name, _ in analyses.lines(result, one)[0].keys] == ["epsilon"]


def test_measures_with_a_better_side_come_first_and_undefined_ones_are_left_out():
    names = [c["name"] for c in analyses.measures(analysis("attribution"))]
    assert names == ["core_share", "core_chance", "gradient_norm"]
    shuffled = copy.deepcopy(analysis("attribution"))
    shuffled["columns"].reverse()
    assert analyses.measures(shuffled)[0]["name"] == "core_share"
    found = analyses.lines(further(), analysis("transfer"))
    assert [(o.measure["name"], dict(o.keys)["mode"]) for o in found] == [
        ("accuracy", "probe"), ("accuracy", "finetune"), ("flip_rate", "probe"),
    ], "nobody has a flip rate of finetune"  # fmt: skip


def test_curves_run_over_the_key_with_the_most_places():
    axis, points, left = analyses.charted(further(), analysis("robustness"))
    assert (axis.x, axis.y, axis.unit, left) == ("epsilon", "accuracy", "share", 0)
    assert {p["panel"] for p in points} == {"pgd"}, "the steps follow from the attack"
    plain = [p for p in points if p["arm"] == "plain"]
    assert [p["x_text"] for p in plain] == ["0", "1/255", "2/255", "4/255", "8/255", "16/255"]
    assert plain[0]["y"] == 0.95, "the clean images are where the curve begins"
    axis, points, _ = analyses.charted(further(), analysis("semantic_reliance"))
    assert axis.x == "amount"
    assert list(dict.fromkeys(p["panel"] for p in points)) == ["channel_shift", "center_shuffle", "puzzle"]
    assert len({p["x"] for p in points if p["panel"] == "puzzle"}) == 4, "three grids and the unchanged images"
    assert analyses.charted(further(), analysis("transfer")) is None


def test_an_amount_labels_its_level():
    columns = [{"name": n, "unit": "", "better": "", "meaning": "", "key": True, "measure": False} for n in "plaz"]
    measure = {"name": "m", "unit": "", "better": "lower", "meaning": "", "key": False, "measure": True}
    rows = [
        {"arm": "a", "p": p, "l": lv, "a": None if p == "all" else lv * size, "z": "same", "n": 3, "m": 0.1 * lv}
        for p, size in (("hue", 0.1), ("contrast", 1.25), ("all", 1))
        for lv in (1, 2, 3)
    ]
    one = {"analyzer": "x", "columns": [*columns, measure], "rows": rows, "notes": []}
    axis, points, _ = analyses.charted(further(), one)
    assert axis.x == "l", "all has levels and no amount"
    assert list(dict.fromkeys(p["panel"] for p in points)) == ["hue", "contrast", "all"]
    one["rows"] = [r for r in rows if r["p"] != "all"]
    axis, points, _ = analyses.charted(further(), one)
    assert axis.x == "a", "of two that say the same the later"
    assert list(dict.fromkeys(p["panel"] for p in points)) == ["hue", "contrast"]


def test_many_panels_are_bounded():
    one = copy.deepcopy(analysis("semantic_reliance"))
    one["rows"] = [r | {"distortion": f"d{i}"} for i in range(12) for r in one["rows"] if r["distortion"] == "puzzle"]
    _, points, left = analyses.charted(further(), one)
    assert len({p["panel"] for p in points}) == analyses.MOST_PANELS
    assert left == 12 - analyses.MOST_PANELS


# the page


def test_a_section_shows_a_short_table_and_folds_the_rest(page):
    source, text = section(page, "analyzer_semantic_reliance")
    visible, folded = source.split("<details>")
    rows = re.findall(r"<tr>(.*?)</tr>", visible.split("<tbody>")[1])
    assert len(rows) == 15
    assert sum("accuracy" in r for r in rows) == 8, "each measure has its share"
    assert "15 of 24 rows" in text
    assert "All 36 rows as a table" in folded
    first = Reader("<table><tr>" + rows[0] + "</tr></table>").text
    assert first == "accuracy, % lower is better none unchanged 500 95.0 93.0 to 97.0" + 2 * " 95.0 93.0 to 97.0"


def test_a_failed_check_is_never_folded(page):
    source, text = section(page, "analyzer_robustness")
    assert '<p class="fail"><b>Check failed</b>, large epsilon: PGD leaves 31 % right (semcont)</p>' in source
    assert source.index("Check failed") < source.index("<details>")
    assert "All other checks of the attack passed. " in f"{text} ", "a note of all arms names none"
    one = {"notes": [{"arm": "aug", "note": "a sentence."}, {"arm": "aug", "note": "the check fails"}]}
    assert analyses.noted(one, ["plain", "aug"]) == [(True, "the check fails (aug)"), (False, "a sentence (aug).")]
    assert 'class="fail"' not in section(page, "analyzer_transfer")[0]


def test_undefined_cells_say_so(page):
    text = section(page, "analyzer_transfer")[1]
    assert "flip rate, % lower is better probe 180 undefined (n=180) 10.0 5.0 to 15.0" in text
    without = further()
    analysis("transfer", without)["rows"] = [r for r in analysis("transfer", without)["rows"] if r["arm"] != "aug"]
    assert "not measured" in section(render(without), "analyzer_transfer")[1]


def test_one_seed_has_no_interval():
    source, text = section(render(further(seeds=1)), "analyzer_robustness")
    assert "over seeds" not in text
    assert 'class="band"' not in source
    assert "95.0 95.0 95.0" in text


def test_a_failed_analyzer_tells_it_in_its_own_section():
    result = further()
    result["failed"] = [{"arm": "aug", "seed": 1, "analyzer": "robustness", "reason": "no gradient"}]
    assert "failed robustness: no gradient (aug seed 1)" in section(render(result), "analyzer_robustness")[1]


def test_shares_stay_between_nothing_and_all():
    measure = {"name": "x", "unit": "share"}
    assert analyses.told(numbers.ASCII, measure, {"x": 0.99, "x_low": 0.9, "x_high": 1.08}) == ("99.0", "90.0", "100.0")
    assert analyses.told(numbers.ASCII, measure, {"x": None}) == ("", "", "")


@pytest.mark.parametrize(
    ("value", "low", "high", "expected"),
    [
        (1234.567, 1201.0, 1269.4, ("1,235", "1,201", "1,269")),
        (0.2, -50.0, 51.0, ("0.2", "-50.0", "51.0")),
        (12.34, 12.1, 12.6, ("12.34", "12.10", "12.60")),
        (0.0123456, None, None, ("0.0123", "", "")),
        (0.0, None, None, ("0", "", "")),
        (2.5e7, None, None, ("2.5e+07", "", "")),
    ],
)
def test_numbers_have_the_digits_their_interval_is_worth(value, low, high, expected):
    assert numbers.ASCII.sized(value, low=low, high=high) == expected


def test_seeds_that_agree_make_no_interval():
    measure = {"name": "x", "unit": "share"}
    assert analyses.told(numbers.ASCII, measure, {"x": 0.5, "x_low": 0.5, "x_high": 0.5}) == ("50.0", "", "")


def test_many_notes_are_folded_but_no_failed_check():
    result = further()
    notes = [{"arm": "plain", "note": f"check failed: {i}"} for i in range(7)]
    notes += [{"arm": "plain", "note": f"passed {i}"} for i in range(7)]
    analysis("robustness", result)["notes"] = notes
    source, text = section(render(result), "analyzer_robustness")
    assert source.split("<details>")[0].count("failed</b>: ") == 7
    assert "2 more notes" in text


def test_measures_are_explained_once(page):
    ids = re.findall(r'<div id="g-(a\d+-\w+)"', page)
    assert len(ids) == len(set(ids)) == 24, "every measure, what it rests on, and what tells its rows apart"
    assert "Share right as they are and under the attack. In files: accuracy of robustness. Higher is better." in page


# curves


def points(*values, panel="p", arm="a", **ends):
    return [
        {"panel": panel, "arm": arm, "x": i, "y": v, "low": None, "high": None, **ends} for i, v in enumerate(values)
    ]


def heights(panel):
    return [float(y) for y in re.findall(r"translate\(\S+ ([\d.]+)\)", panel.svg)]


def test_an_axis_of_rates_ends_at_one_and_begins_where_values_are():
    (panel,) = curves.curves(points(0.95, 0.4), ["a"], curves.Axis("x", "y", "share"))
    assert heights(panel) == pytest.approx([168 - 154 * 0.95, 168 - 154 * 0.4], abs=0.1)
    (panel,) = curves.curves(points(0.95, 0.97), ["a"], curves.Axis("x", "y", "share"))
    assert heights(panel)[0] - heights(panel)[1] > 20, "values near 100 % are told apart"
    (panel,) = curves.curves(points(-2.0, 1.0), ["a"], curves.Axis("x", "y"))
    assert all(14 <= y <= 168 for y in heights(panel))


def test_a_wild_interval_does_not_flatten_the_lines():
    near = points(0.1, 0.3)
    wild = [{**p, "low": p["y"] - 50, "high": p["y"] + 50} for p in near]
    (panel,) = curves.curves(wild, ["a"], curves.Axis("x", "y"))
    assert abs(heights(panel)[0] - heights(panel)[1]) > 30
    band = re.search(r'class="band" d="M(.*?)z"', panel.svg)[1]
    assert all(14 <= float(pair.split()[1]) <= 168 for pair in band.split("L"))


def test_a_band_that_is_cut_is_said_and_what_is_never_negative_begins_at_zero():
    wild = [{**p, "low": p["y"] - 50, "high": p["y"] + 50} for p in points(0.1, 0.3)]
    (panel,) = curves.curves(wild, ["a"], curves.Axis("x", "y"))
    assert panel.cut
    assert ">\N{MINUS SIGN}" not in panel.svg
    assert "goes on beyond it" in curves.cut_words([panel])
    near = [{**p, "low": p["y"] - 0.2, "high": p["y"] + 0.2} for p in points(0.1, 0.3)]
    (panel,) = curves.curves(near, ["a"], curves.Axis("x", "y"))
    assert not panel.cut, "what lies below 0 cannot be"
    assert curves.cut_words([panel]) == ""
    (panel,) = curves.curves(near, ["a"], curves.Axis("x", "y", "points"))
    assert ">\N{MINUS SIGN}" in panel.svg, "a difference may be negative"


def test_labels_stay_inside_and_apart():
    drawn = [p for i in range(6) for p in points(1.0, 1.0, arm=f"arm {i}")]
    (panel,) = curves.curves(drawn, [f"arm {i}" for i in range(6)], curves.Axis("x", "y", "share"))
    places = sorted(float(y) for y in re.findall(r'class="c" x="\S+" y="([\d.]+)"', panel.svg))
    assert places[0] >= 8
    assert min(b - a for a, b in itertools.pairwise(places)) >= 13.9


def test_places_too_many_to_label_are_labelled_in_part():
    drawn = [{**p, "x_text": f"{p['x']}/255"} for p in points(*[i / 40 for i in range(33)])]
    (panel,) = curves.curves(drawn, ["a"], curves.Axis("x", "y", texts="x"))
    assert 3 <= len(re.findall(r">\d+/255</text>", panel.svg)) <= 7


# pictures


def test_pictures_stand_in_a_grid_shared_columns_first(page):
    source, text = section(page, "analyzer_attribution")
    head = re.search(r'<table class="pics">.*?<thead>(.*?)</thead>', source, re.DOTALL)[1]
    assert Reader("<table>" + head + "</table>").text == "image image plain aug semcont"
    assert source.count("<img") == 6 * 4
    assert source.split("<details>")[0].count("<img") == 4 * 4, "the rest is folded"
    assert 'width="112" height="112" alt="image 0, label 0: plain, integrated gradients"' in source
    assert text.count("core 0.61") == 18
    assert "triples" in section(page, "continuity")[1].lower(), "a known analyzer shows its own"
    assert "the view shows class 3" in section(page, "continuity")[1]


def test_a_missing_or_foreign_picture_leaves_its_place_empty():
    entries = [e for e in further()["gallery"] if e["column"] != "aug" or e["row"].startswith("image 1")]
    (grid, _) = gallery.grids(entries, ["plain", "aug", "semcont"])
    assert grid.columns == ["image", "plain", "aug", "semcont"]
    assert [p is None for p in grid.rows[0][1]] == [False, False, True, False]
    start = "data:image/png;base64,"
    foreign = [
        "https://example.invalid/x.png",
        'x" onerror="alert(1)',
        "",
        f"{start}AAAA",
        f"{start}A",
        f"{start}" + "A" * 40,
    ]
    for bad in [*foreign, RED + '" onerror="alert(1)']:
        (one,) = gallery.grids([entries[0] | {"image": bad}], [])
        assert one.rows[0][1][0].image == ""
    big = gallery.grids([entries[0] | {"image": RED}], [])[0].rows[0][1][0]
    assert (big.width, big.height) == (112, 112)


def test_pictures_of_analyzers_lie_beside_a_page_that_is_too_large():
    result = further()
    head = RED[len("data:image/png;base64,") :][:44]
    for entry in result["gallery"]:
        entry["image"] = "data:image/png;base64," + head + "A" * 60_000
    page = render(result)
    assert len(page.encode()) <= LARGEST
    beside = [int(n) for n in re.findall(r"(\d+) pictures of this figure lie beside this file", page)]
    assert len(beside) == 2
    assert sum(beside) == page.count('href="pictures/') < len(result["gallery"])
    assert abs(beside[0] - beside[1]) <= 4, "every figure keeps about as many"
    assert page.count('<figure class="twin"') == 4 + 4, "the examples stay"


# sweeps


def test_a_sweep_shows_its_measures_against_the_parameter():
    result = swept()
    page = render(result)
    source, text = section(page, "sweep")
    assert re.findall(r'<section id="(\w+)"', page)[:3] == ["verdict", "sweep", "numbers"]
    assert "<h1>semcont, 6 values of alpha, on colormnist</h1>" in page
    assert "How does it change with alpha?" in text
    assert source.count('<svg class="chart"') == 3
    assert "stage.0.loss.alpha = 0, 0.1, 0.3, 1, 3, 10" in text
    (panel, *_) = sweep.panels(result)
    xs = [float(x) for x in re.findall(r"translate\(([\d.]+) ", panel.svg)]
    steps = [b - a for a, b in itertools.pairwise(xs)]
    assert max(steps) - min(steps) < 0.2, "values stand evenly, whatever lies between them"
    assert "95.0 85.5 to 99.0" in text
    (back, *_) = sweep.panels(swept(values=(10, 1, 0)))
    assert re.findall(r'y="185">(\d+)<', back.svg) == ["10", "1", "0"], "in the order given"
    assert "sweep" in plots.figures(result)
    assert "robustness" in plots.figures(further())


def test_a_sweep_draws_the_main_measures_and_lists_all():
    result = swept()
    result["sweep"]["rows"] += [
        r | {"metric": "parity", "title": "parity"} for r in result["sweep"]["rows"] if r["metric"] == "nds"
    ]
    assert [p.name for p in sweep.panels(result)] == ["accuracy, %", "DS, level 1, logit^2", "nDS, level 1"]
    assert "In the table: 1 more measure." in sweep.caption(result)
    assert [h.text for h in sweep.table(result).heads][-1] == "parity"
    for param, word in {"stage.0.loss.alpha": "alpha", "model.name": "model", "stage.1.epochs": "epochs"}.items():
        assert sweep.parameter({"sweep": {"param": param}}) == word


def test_a_sweep_on_the_terminal(tmp_path, capsys):
    print_sweep(swept(), tmp_path)
    out = capsys.readouterr().out
    assert "measure               alpha 0               alpha 0.1             alpha 0.3             better" in out
    assert out.index("alpha 0.1") < out.index("difference ")
    assert out.count("accuracy, %  ") == 2
    words = swept(values=("both", "clean", "pair"))
    assert any("alpha both" in line.text for line in comparison_lines(words, None))


# the terminal


@pytest.mark.parametrize("width", [100, None])
def test_further_tables_on_the_terminal(width):
    lines = [line.text for line in comparison_lines(further(), width)]
    start = next(i for i, line in enumerate(lines) if line.startswith("robustness "))
    assert lines[start - 2].startswith("the flip rate decides")
    assert re.match(r"accuracy, %, pgd, epsilon 8/255 +15.9 \[13.9, 17.9\] +38.9 \[36.9", lines[start + 5])
    end = lines.index("", start)
    assert lines[start + 7 : end] == [
        "n 500",
        "note: robustness: Check failed, large epsilon: PGD leaves 31 % right (semcont)",
    ]
    table = lines[next(i for i, line in enumerate(lines) if line.startswith("semantic reliance ")) :]
    assert sum(line.startswith(("accuracy, %, ", "retained, ")) for line in table[: table.index("")]) == 12
    assert "n 500; 12 more rows in the report" in table
    assert not any(line.startswith("continuity") for line in lines)
    assert all(line.isascii() for line in lines)
    notes = [i for i, line in enumerate(lines) if line.startswith("note: only what semcont gains beyond aug")]
    assert notes[0] > lines.index("n 200"), "notes come after the tables"
