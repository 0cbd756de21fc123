"""A table of predictions: read in pieces, counted, scored and told."""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
from _page import Reader, section

import biaskit as bk
from biaskit import counting, stats
from biaskit.cells import read_cells, write_cells
from biaskit.cli import main
from biaskit.cli._text_score import score_lines
from biaskit.errors import DataError
from biaskit.metrics import count_groups
from biaskit.stats._intervals import spread_interval
from biaskit.telling import score as telling
from biaskit.telling.report import render


def table(rows=4_000, seed=0, worse=0.15):
    """Three labels, two attributes; the answers are worse for the women of it, whatever their age."""
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, rows)
    sex, age = (
        np.array(["f", "m"])[rng.integers(0, 2, rows)],
        np.array(["old", "young", "mid"])[rng.integers(0, 3, rows)],
    )
    wrong = rng.random(rows) < 0.1 + worse * (sex == "f")
    answer = np.where(wrong, (label + 1) % 3, label)
    return pd.DataFrame({"y": label, "p": answer, "sex": sex, "age": age})


def stated(rows=4_000, seed=0):
    """Two classes and a probability that is right on average, too sure for the women."""
    rng = np.random.default_rng(seed)
    sex = np.array(["f", "m"])[rng.integers(0, 2, rows)]
    score = rng.random(rows)
    true = np.where(sex == "f", 0.5 + 0.4 * (score - 0.5), score)
    label = (rng.random(rows) < true).astype(int)
    return pd.DataFrame({"y": label, "p": (score >= 0.5).astype(int), "sex": sex, "score": score, "rest": 1 - score})


NAMES = {"label": "y", "prediction": "p"}


@pytest.fixture(scope="module")
def found():
    return bk.score(table(), attributes=["sex", "age"], name="mine", **NAMES)


@pytest.fixture(scope="module")
def judged():
    return bk.score(
        stated(), attributes=["sex"], probabilities={"0": "rest", "1": "score"}, thresholds=[0.3, 0.5], **NAMES
    )


def same(a, b):
    assert (a.labels, a.classes, a.attributes) == (b.labels, b.classes, b.attributes)
    np.testing.assert_array_equal(a.n, b.n)
    np.testing.assert_array_equal(a.correct, b.correct)
    np.testing.assert_array_equal(a.rates().n, b.rates().n)


# ----------------------------------------------------------------------------------------------- the numbers


def test_the_counts_are_those_of_the_table(found):
    same(found.counts, count_groups(table(), ["sex", "age"], "y", "p"))
    assert found.counts.n.sum() == 4_000


def test_every_number_is_that_of_its_statistic(found):
    counts = found.counts
    gap = found["gaps"].set_index("attribute").loc["sex"]
    correct, n = counts.by_label("sex")
    order = np.argsort(-n.sum(0), kind="stable")
    expected = stats.attribute_gap(correct[:, order], n[:, order])
    assert (gap["value"], gap["low"], gap["high"]) == (expected.estimate, expected.low, expected.high)
    assert abs(gap["value"]) == pytest.approx(0.15, abs=0.03)
    assert {gap["from"], gap["to"]} == {"f", "m"}
    assert gap["p"] == pytest.approx(1e-4)
    assert gap["noise"] == pytest.approx(0.009, abs=0.003)
    assert not gap["picked"]
    age = found["gaps"].set_index("attribute").loc["age"]
    assert age["picked"]
    assert age["p_holm"] > 0.05
    np.testing.assert_allclose(found["gaps"]["p_holm"], stats.holm(found["gaps"]["p"].to_numpy()))
    assert found["gaps"]["attribute"].tolist() == ["sex", "age", "sex x age"]


def test_headline_by_hand():
    one = pd.DataFrame({"label": list("aabb") * 20, "prediction": list("aabc") * 20, "s": list("xyxy") * 20})
    found = bk.score(one, attributes=["s"])
    value = found.table.set_index("metric")["value"]
    assert value["average_accuracy"] == value["mean_group_accuracy"] == 0.75
    assert (value["worst_group_accuracy"], value["max_min_gap"]) == (0.0, 1.0)
    worst = found.table.set_index("metric").loc["worst_group_accuracy"]
    assert (worst["group"], worst["group_n"]) == ("b, y", 20)
    low, high = stats.wilson(60, 80)
    first = found.table.iloc[0]
    assert (first["low"], first["high"], first["n"]) == (low, high, 80)
    values = found["attribute_values"].set_index("value")
    assert values["accuracy"].to_dict() == {"x": 1.0, "y": 0.5}
    labels = found["labels"].set_index("label")
    assert labels["value"].to_dict() == {"a": 0.0, "b": 1.0}
    assert labels["p"].to_dict()["b"] < 1e-4 < labels["p"].to_dict()["a"]


def test_parity_has_intervals_and_its_rates(found):
    parity = found["parity"].set_index(["attribute", "metric"])
    row = parity.loc[("sex", "equalized_odds_difference")]
    expected = found.counts.equalized_odds_difference(["sex"])
    assert (row["value"], row["class"]) == (expected.value, expected.positive)
    assert row["low"] <= row["value"] <= row["high"]
    rates = found["rates"]
    part = rates[(rates["attribute"] == "sex") & (rates["class"] == row["class"])]
    spread = np.ptp(part["true_positive_rate"]), np.ptp(part["false_positive_rate"])
    assert max(spread) == pytest.approx(row["value"])
    assert (part["true_positive_rate_low"] < part["true_positive_rate"]).all()


def test_largest_spread_covers_the_true_maximum():
    rng = np.random.default_rng(0)
    true = np.array([[0.9, 0.9, 0.9], [0.5, 0.6, 0.55], [0.2, 0.2, 0.2]])
    hits = total = 0
    for _ in range(300):
        low, high = stats.largest_spread(rng.binomial(200, true), np.full(true.shape, 200))
        hits += low <= 0.1 <= high
        total += 1
    assert hits / total >= 0.95


def test_the_widest_pair_is_found_without_looking_at_all_pairs():
    rng = np.random.default_rng(0)
    for groups in (2, 3, 5, 40):
        for _ in range(50):
            n = rng.integers(1, 40, groups)
            k = rng.binomial(n, rng.random(groups))
            low, high = stats.clopper_pearson(k, n)
            p = k / n
            limits = p[:, None] - p + np.hypot((high - p)[:, None], p - low)
            np.fill_diagonal(limits, 0)
            found = spread_interval(p, lambda tail, k=k, n=n: stats.clopper_pearson(k, n, 1 - 2 * tail))
            assert found[1] == pytest.approx(min(limits.max(), 1))


def test_largest_spread_where_nothing_is_known():
    assert np.isnan(stats.largest_spread([[5, 0]], [[10, 0]])).all()


def test_min_n_leaves_small_groups_out_of_the_extremes():
    small = pd.concat([table(400), pd.DataFrame({"y": [0] * 3, "p": [1] * 3, "sex": ["x"] * 3, "age": ["old"] * 3})])
    kept, left = (bk.score(small, attributes=["sex"], min_n=n, **NAMES).table.iloc[2] for n in (0, 10))
    assert kept["metric"] == "worst_group_accuracy"
    assert kept["low"] < 0.01 < left["low"]


def test_a_group_too_small_says_so(found):
    tiny = bk.score(table(40), attributes=["sex", "age"], **NAMES)
    notes = tiny["groups"]["note"]
    assert notes.str.startswith("insufficient (n=").any()
    assert not found["groups"]["note"].any()


# ------------------------------------------------------------------------------------------------ the files


@pytest.mark.parametrize("batch", [7, 1_000, 2**20])
@pytest.mark.parametrize("kind", ["parquet", "text", "dictionary", "csv", "csv.gz", "tsv", "frame", "float"])
def test_every_way_to_store_a_table_gives_the_same_counts(tmp_path, monkeypatch, kind, batch):
    monkeypatch.setattr(counting, "BATCH", batch)
    monkeypatch.setattr(counting, "_DENSE", 10 if batch == 7 else 2**22)
    monkeypatch.setattr(counting, "_WAITING", 50)
    one = table(500 if batch == 7 else 3_000)
    path = tmp_path / f"table.{kind if '.' in kind or kind in ('csv', 'tsv') else 'parquet'}"
    if kind == "frame":
        path = one
    elif kind.startswith(("csv", "tsv")):
        one.to_csv(path, index=False, sep="\t" if kind == "tsv" else ",")
    else:
        kinds = {"parquet": {}, "text": {"y": str, "p": str}, "float": {"y": float, "p": float}}
        written = one.astype("category") if kind == "dictionary" else one.astype(kinds[kind])
        written.to_parquet(path, index=False, row_group_size=333)
    found = bk.score(path, attributes=["sex", "age"], **NAMES)
    same(found.counts, count_groups(one, ["sex", "age"], "y", "p"))


def test_categories_keep_their_order_and_their_empty_groups():
    one = table(100)
    one["sex"] = pd.Categorical(one["sex"], ["unknown", "m", "f"])
    found = bk.score(one, attributes=["sex"], **NAMES)
    assert found.counts.attributes["sex"] == ("unknown", "m", "f")
    assert (found.counts.n[:, 0] == 0).all()
    assert any("groups have no rows" in note for note in found.notes)
    empty = found["groups"][found["groups"]["sex"] == "unknown"]
    assert empty["accuracy"].isna().all()


def test_numbers_are_sorted_as_numbers():
    one = pd.DataFrame({"label": ["10", "9", "2"] * 5, "prediction": ["10", "9", "2"] * 5})
    assert bk.score(one).counts.labels == ("2", "9", "10")


def test_a_number_is_the_same_however_it_is_written(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("label,prediction,version\n1.0,1,1.0\n0.0,0,1\n1.0,0,2.0\n", encoding="utf-8")
    found = bk.score(path, attributes=["version"])
    assert found.counts.labels == found.counts.classes == ("0", "1")
    assert found.counts.correct.sum() == 2
    assert found.counts.attributes["version"] == ("1.0", "1", "2.0")


def test_decimals_are_the_numbers_they_stand_for(tmp_path):
    one, path = table(60), tmp_path / "t.parquet"
    columns = {name: pyarrow.array(one[name]) for name in one}
    columns["y"] = columns["y"].cast(pyarrow.decimal128(24, 2))
    columns["p"] = columns["p"].cast(pyarrow.decimal128(24, 4))
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    same(bk.score(path, attributes=["sex"], **NAMES).counts, count_groups(one, ["sex"], "y", "p"))


def test_large_numbers_keep_their_order_and_their_length(tmp_path):
    one = pd.DataFrame({"label": np.array([2**63 + 1, 2**63, 2**63 - 1], np.uint64), "s": [1e300, 1e300, 2.0]})
    found = bk.score(one.assign(prediction=one["label"]), attributes=["s"]).counts
    assert found.labels == ("9223372036854775807", "9223372036854775808", "9223372036854775809")
    assert found.attributes["s"] == ("2", "1e+300")
    path = tmp_path / "t.csv"
    path.write_text(f"label,prediction\n{10**400 + 1},{10**400 + 1}\n{10**400},7\n", encoding="utf-8")
    assert [text[-1] for text in bk.score(path).counts.labels] == ["0", "1"]
    refused("a column holds values of several types, or of one unknown", table(3).assign(y=[2**70, 1, 2], p=1))


def test_ranges_of_numbers_are_groups():
    one = table(90).assign(age=pd.cut(np.arange(90), [-1, 29, 79, 100]))
    found = bk.score(one, attributes=["age"], **NAMES).counts
    assert found.attributes["age"] == ("(-1, 29]", "(29, 79]", "(79, 100]")
    assert found.n.sum(0).tolist() == [30, 50, 10]


def test_reading_holds_a_batch_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(counting, "BATCH", 1_000)
    path = tmp_path / "t.parquet"
    table(10_000).to_parquet(path, index=False)
    sizes = [batch.num_rows for batch in counting.open_table(path, ["y", "sex"]).batches]
    assert max(sizes) <= 1_000
    assert sum(sizes) == 10_000


def test_waiting_cells_are_put_together(monkeypatch):
    monkeypatch.setattr(counting, "_WAITING", 10)
    tally = counting.Tally(sums=1)
    rng = np.random.default_rng(0)
    seen = np.zeros((6, 4))
    for _ in range(50):
        a, b = rng.integers(0, 6, 30), rng.integers(0, 4, 30)
        tally.add([a, b], [np.ones(30) * 0.5])
        np.add.at(seen, (a, b), 1)
    assert len(tally._parts) < 20
    codes, n, (sums,) = tally.cells()
    np.testing.assert_array_equal(n, seen[tuple(codes.T)])
    np.testing.assert_allclose(sums, n / 2)
    assert n.sum() == 1_500


def test_cells_come_back_as_they_were(found, tmp_path):
    write_cells(found.counts, tmp_path / "cells.parquet")
    back = read_cells(tmp_path)
    same(found.counts, back)
    np.testing.assert_array_equal(found.counts.cells, back.cells)
    plain = pd.read_parquet(tmp_path / "cells.parquet")
    assert list(plain) == ["label", "prediction", "sex", "age", "n"]
    assert plain["n"].sum() == 4_000


def test_cells_keep_what_has_no_rows(tmp_path):
    one = pd.DataFrame(
        {
            "label": pd.Categorical(list("ab"), list("abc")),
            "prediction": pd.Categorical(list("ax"), list("axz")),
            "s": pd.Categorical(["v", "v"], ["u", "v"]),
        }
    )
    write_cells(count_groups(one, ["s"]), tmp_path / "cells.parquet")
    back = read_cells(tmp_path / "cells.parquet")
    assert (back.labels, back.classes, back.attributes) == (tuple("abc"), tuple("abcxz"), {"s": ("u", "v")})
    assert back.n.tolist() == [[0, 1], [0, 1], [0, 0]]


def test_cells_of_another_hand_are_refused(tmp_path):
    with pytest.raises(DataError, match="is not there; biaskit score --out"):
        read_cells(tmp_path)
    pd.DataFrame({"label": ["a"], "prediction": ["a"], "n": [1]}).to_parquet(tmp_path / "cells.parquet")
    with pytest.raises(DataError, match="no file of counts"):
        read_cells(tmp_path)
    write_cells(count_groups(table(50), ["sex"], "y", "p"), tmp_path / "cells.parquet")
    read = pyarrow.parquet.read_table(tmp_path / "cells.parquet")
    about = json.loads(read.schema.metadata[b"biaskit_cells"])
    for change, match in (({"format": 9}, "update biaskit"), ({"labels": ["5", "6"]}, "no file of counts|contradicts")):
        told = json.dumps(about | change).encode()
        pyarrow.parquet.write_table(read.replace_schema_metadata({b"biaskit_cells": told}), tmp_path / "x.parquet")
        with pytest.raises(DataError, match=match):
            read_cells(tmp_path / "x.parquet")


# --------------------------------------------------------------------------------------------- bad input


def refused(match, data=None, **options):
    with pytest.raises(DataError, match=match):
        bk.score(table(60) if data is None else data, **NAMES | options)


def test_a_missing_column_names_the_nearest(tmp_path):
    refused("no column 'sexx'; nearest: sex; it has y, p, sex, age", attributes=["sexx"])
    path = tmp_path / "t.csv"
    table(10).to_csv(path, index=False)
    refused("t.csv has no column 'answer'", path, prediction="answer")
    table(10).to_parquet(tmp_path / "t.parquet")
    refused("t.parquet has no column 'scores'", tmp_path / "t.parquet", probabilities="scores")


def test_spaces_around_a_column_are_seen(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("label, prediction\n0, 0\n", encoding="utf-8")
    with pytest.raises(
        DataError, match=r"no column 'prediction'; nearest: ' prediction'; it has label, ' prediction'$"
    ):
        bk.score(path)


def test_what_is_no_table_or_no_column_is_said():
    refused("a Series is no table; give a DataFrame", table(9)["y"])
    refused("~nobody-of-this-name/t.csv is not there .*in full", "~nobody-of-this-name/t.csv")
    refused("3 is no name of a column; columns are named by text, such as '3'", attributes=[3])
    refused("is no name of a column", probabilities=["score"])
    refused("names a class twice: 0, '0'", probabilities={0: "a", "0": "b"})
    one = stated(60)
    by_number, by_text = (bk.score(one, probabilities={name: "score"}, **NAMES).result for name in (1, "1"))
    assert by_number["options"] == by_text["options"]
    assert by_number["calibration"] == by_text["calibration"]


@pytest.mark.parametrize("name", ["attribute", "value", "metric", "event", "threshold", "worst_group_accuracy", "n_a"])
def test_an_attribute_called_like_a_column_or_a_measure(name, tmp_path):
    one = stated(400).rename(columns={"sex": name})
    found = bk.score(one, attributes=[name], probabilities={"1": "score"}, **NAMES)
    plain = bk.score(stated(400), attributes=["sex"], probabilities={"1": "score"}, **NAMES)
    for title in ("attribute_values", "calibration", "rates", "parity"):
        pd.testing.assert_frame_equal(found[title], plain[title].replace({"attribute": {"sex": name}}))
    assert found["gaps"]["value"].tolist() == plain["gaps"]["value"].tolist()
    assert found["groups"][name].tolist() == plain["groups"]["sex"].tolist()
    folder = found.save(tmp_path / "out")
    assert read_cells(folder).attributes == {name: ("f", "m")}
    rule = {"metric": "gap", "attribute": name, "max": 1.0}
    assert bk.gate(folder, {"version": 1, "rule": [rule]}).verdict == "pass"


def test_an_attribute_called_all_is_refused():
    refused("'all' is called like the rows", table(60).rename(columns={"sex": "all"}), attributes=["all"])


def test_numbers_in_place_of_answers_are_refused():
    rng = np.random.default_rng(0)
    one = pd.DataFrame({"label": rng.integers(0, 2, 6_000), "prediction": rng.random(6_000)})
    one.loc[:9, "prediction"] = 1.0
    with pytest.raises(DataError, match=r"'prediction' holds 5,990 values that are no label, such as 0\.0.*answers"):
        bk.score(one)


def test_text_that_is_not_utf_8_is_said(tmp_path):
    raw = pyarrow.array([b"f", b"\xff"] * 30)
    text = pyarrow.StringArray.from_buffers(60, *raw.buffers()[1:])
    one, path = table(60), tmp_path / "t.parquet"
    columns = {name: pyarrow.array(one[name]) for name in ("y", "p")} | {"sex": text}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    refused("'sex' holds text that is not UTF-8", path, attributes=["sex"])
    for place, content in (("value", "y,p,sex\n0,0,\xfc\n"), ("head", "y,p,\xfc\n0,0,f\n")):
        path = tmp_path / f"{place}.csv"
        path.write_bytes(content.encode("latin-1"))
        refused("(?i)utf-?8", path, attributes=["sex"])


def test_a_name_that_no_file_can_hold_stands_as_its_code(tmp_path):
    found = bk.score(table(60), name="a\udcff", command="biaskit score a\udcff", **NAMES)
    folder = found.save(tmp_path / "out")
    assert found.name == "a\\udcff"
    assert "a\\udcff" in (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["frame", "parquet", "csv"])
def test_missing_values_are_counted_and_the_first_is_named(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(counting, "BATCH", 16)
    one = table(60)
    one.loc[[17, 40, 41], "sex"] = None
    path = one if kind == "frame" else tmp_path / f"t.{kind}"
    if kind == "csv":
        one.to_csv(path, index=False)
    elif kind == "parquet":
        one.to_parquet(path)
    refused(r"'sex' has no value in 3 of 60 rows, the first is row 17 .*--keep-missing", path, attributes=["sex"])
    found = bk.score(path, attributes=["sex"], missing="group", **NAMES)
    assert found.counts.attributes["sex"] == ("f", "m", "(missing)")
    assert found.counts.n.sum(0)[2] == 3
    assert any("3 rows without a value of sex" in note for note in found.notes)


def test_missing_numbers_are_missing_too(tmp_path):
    one = table(60).assign(grade=np.where(np.arange(60) == 5, np.nan, 2.5))
    refused("'grade' has no value in 1 of 60 rows, the first is row 5", one, attributes=["grade"])
    path = tmp_path / "t.parquet"
    values = pyarrow.array(one["grade"].to_numpy(), from_pandas=False)
    columns = {name: pyarrow.array(one[name]) for name in ("y", "p")} | {"grade": values}
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    refused("the first is row 5", path, attributes=["grade"])


def test_labels_and_predictions_are_never_missing():
    one = table(60)
    one["p"] = one["p"].astype(object)
    one.loc[3, "p"] = None
    refused(
        "'p' has no value in 1 of 60 rows, the first is row 3 .*fill them, or drop these rows$", one, missing="group"
    )


def test_a_group_of_missing_values_is_never_mixed_up():
    one = table(60)
    one.loc[2, "sex"], one.loc[3, "sex"] = None, "(missing)"
    refused("beside missing values; rename it", one, attributes=["sex"], missing="group")


def test_predictions_that_are_no_label_count_as_wrong():
    one = table(300).astype({"p": str})
    one.loc[:19, "p"] = "unknown"
    found = bk.score(one, attributes=["sex"], **NAMES)
    assert found.counts.classes == ("0", "1", "2", "unknown")
    assert any(note.startswith("20 predictions are no label of the table ('unknown')") for note in found.notes)
    assert found.counts.correct.sum() == (one["y"].astype(str) == one["p"]).sum()


def test_a_label_that_is_never_predicted_is_named():
    one = table(300)
    one["p"] = one["p"].replace(2, 1)
    assert "never predicted: 2" in bk.score(one, **NAMES).notes


def test_nothing_in_common_is_an_error():
    refused("no prediction is a label: 'p' holds yes, 'y' holds 0, 1, 2", table(60).assign(p="yes"))


def test_one_value_only_is_said():
    found = bk.score(table(300).assign(sex="f"), attributes=["sex"], **NAMES)
    assert "sex has one value only, f: nothing to compare it with" in found.notes
    assert np.isnan(found["gaps"]["value"].iloc[0])
    assert found["gaps"]["reason"].iloc[0] == "one attribute value only"
    assert "cannot be told: one attribute value only" in " ".join(telling.sentences(found.result))


def test_without_attributes_the_labels_remain():
    found = bk.score(table(), **NAMES)
    assert len(found["groups"]) == 3
    assert found["gaps"].empty
    assert "No attribute was named" in " ".join(telling.sentences(found.result))
    assert render(found.result)


def test_a_model_at_chance_says_so_first():
    rng = np.random.default_rng(0)
    one = pd.DataFrame({"y": rng.integers(0, 2, 500), "p": rng.integers(0, 2, 500), "s": rng.integers(0, 2, 500)})
    found = bk.score(one, attributes=["s"], **NAMES)
    assert telling.sentences(found.result)[0].startswith("Accuracy is below chance: ")
    assert "chance: " not in telling.sentences(bk.score(table(), **NAMES).result)[0]


def test_wrong_options_and_tables_are_refused(tmp_path):
    refused("has no rows", table(0))
    refused("is not there", tmp_path / "none.parquet")
    refused("a folder", tmp_path)
    (tmp_path / "t.xlsx").write_bytes(b"x")
    refused("neither .parquet nor .csv", tmp_path / "t.xlsx")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 and then nothing")
    refused("not a readable parquet file", tmp_path / "t.parquet")
    refused("attributes is a list of columns", attributes="sex")
    refused("named twice", attributes=["sex", "sex"])
    refused("has the name of a result column", table(60).rename(columns={"sex": "accuracy"}), attributes=["accuracy"])
    refused("choose 'error' or 'group'", missing="drop")
    refused("more than 100,000 values", table(110_000).assign(id=range(110_000)), attributes=["id"])
    many = table(60_000).assign(id=np.arange(60_000) % 50_000)
    refused("150,000 groups are more than 100,000; drop attribute 'id'", many, attributes=["id"])
    refused("expected text or numbers", table(60).assign(sex=[["f"]] * 60), attributes=["sex"])
    twice = table(60)
    twice.columns = ["y", "p", "sex", "sex"]
    refused("2 columns 'sex'", twice, attributes=["sex"])
    (tmp_path / "bad.csv").write_bytes(b"y,p\n0,0\n1,1,1\n")
    refused("bad.csv", tmp_path / "bad.csv")


# ------------------------------------------------------------------------------------------- probabilities


def test_calibration_against_ten_lines(judged):
    one, rows = stated(), judged["calibration"].set_index(["event", "attribute", "value"])
    for sex in ("f", "m"):
        mine = one[one["sex"] == sex]
        expected = 0.0
        for k in range(15):
            inside = mine[(mine["score"] >= k / 15) & (mine["score"] < (k + 1) / 15)]
            if len(inside):
                expected += len(inside) / len(mine) * abs(inside["y"].mean() - inside["score"].mean())
        row = rows.loc[("label is 1", "sex", sex)]
        assert row["ece"] == pytest.approx(expected)
        assert row["n"] == len(mine)
        assert row["rate"] == pytest.approx(mine["y"].mean())
        assert row["probability"] == pytest.approx(mine["score"].mean())
        assert row["low"] <= row["ece"] <= row["high"]
    assert rows.loc[("label is 1", "sex", "f")]["low"] > 0.05
    assert rows.loc[("label is 1", "sex", "m")]["low"] == 0


def test_the_probability_of_the_prediction_follows_from_those_of_the_classes(judged):
    one = stated()
    alone = bk.score(
        one.assign(sure=np.maximum(one["score"], one["rest"])), attributes=["sex"], probabilities="sure", **NAMES
    )
    assert alone["calibration"]["event"].unique().tolist() == ["prediction is right"]
    mine = judged["calibration"][judged["calibration"]["event"] == "prediction is right"]
    np.testing.assert_allclose(mine["ece"], alone["calibration"]["ece"])


def test_operating_points_and_curves_against_scikit_learn(judged):
    from sklearn.metrics import confusion_matrix, precision_score

    one, points = stated(), judged["operating_points"].set_index(["event", "value", "threshold"])
    for sex in ("f", "m"):
        for threshold in (0.3, 0.5):
            mine = one[one["sex"] == sex]
            chosen = mine["score"] >= threshold
            (tn, fp), (fn, tp) = confusion_matrix(mine["y"], chosen)
            row = points.loc[("label is 1", sex, threshold)]
            assert row["true_positive_rate"] == pytest.approx(tp / (tp + fn))
            assert row["false_positive_rate"] == pytest.approx(fp / (fp + tn))
            assert row["precision"] == pytest.approx(precision_score(mine["y"], chosen))
            assert row["true_positive_rate_low"] == pytest.approx(stats.wilson(tp, tp + fn)[0])
    curves = judged["threshold_curves"].set_index(["event", "value", "threshold"])
    assert curves.loc[("label is 1", "all", 0.0)]["true_positive_rate"] == 1
    assert curves.loc[("label is 1", "all", 0.37)]["selected"] == (one["score"] >= 0.37).sum()


def test_a_threshold_counts_those_who_state_exactly_it():
    one = pd.DataFrame({"label": [0, 1] * 20, "prediction": [0, 1] * 20, "s": [0.3, 1.0] * 20})
    points = bk.score(one, probabilities={"1": "s"}, thresholds=[0.3, 0.31, 1.0])["operating_points"]
    assert points["selected"].tolist() == [40, 20, 20]


def test_reliability_keeps_bins_without_rows(judged):
    one = pd.DataFrame({"label": [0, 1] * 20, "prediction": [0, 1] * 20, "s": [0.3, 0.9] * 20})
    table = bk.score(one, probabilities="s", bins=10)["reliability"]
    assert len(table) == 10
    assert table["n"].tolist() == [0, 0, 0, 20, 0, 0, 0, 0, 0, 20]
    assert np.isnan(table["rate"][0])


def test_probabilities_that_are_none_are_refused():
    one = stated(100)
    one.loc[[3, 9], "score"] = [3.25, np.nan]
    with pytest.raises(DataError, match=r"'score' holds no probability in 2 of 100 rows, the first is row 3.*3.25"):
        bk.score(one, probabilities={"1": "score"}, **NAMES)
    with pytest.raises(DataError, match="probabilities of class 'yes', but the labels are 0, 1"):
        bk.score(stated(100), probabilities={"yes": "score"}, **NAMES)
    with pytest.raises(DataError, match="threshold 5 is outside"):
        bk.score(stated(100), probabilities="score", thresholds=[5], **NAMES)
    with pytest.raises(DataError, match="at least one bin"):
        bk.score(stated(100), probabilities="score", bins=0, **NAMES)
    with pytest.raises(DataError, match="names no class"):
        bk.score(stated(100), probabilities={}, **NAMES)
    with pytest.raises(DataError, match="no column of probabilities"):
        bk.score(stated(100), probabilities="sex", **NAMES)


def test_bins_and_thresholds_have_bounds():
    refused("bins = 1001: calibration needs", stated(60), probabilities="score", bins=1001)
    refused("thresholds is empty", stated(60), probabilities="score", thresholds=[])


def test_probabilities_that_do_not_sum_to_one_are_told():
    one = stated(100)
    one.loc[:6, "rest"] = 1.0
    told = "rows the probabilities of the classes do not sum to 1; they are read as they are"
    off = int((one["score"][:7] > 0.05).sum())
    both = bk.score(one, probabilities={"0": "rest", "1": "score"}, **NAMES).notes
    assert f"in {off} of 100 {told}" in both
    assert not any(told in note for note in bk.score(one, probabilities={"1": "score"}, **NAMES).notes)
    # Of some classes a sum below 1 is as it should be, one above is not.
    three = table(90).assign(a=0.2, b=[0.2] * 80 + [0.9] * 10)
    assert f"in 10 of 90 {told}" in bk.score(three, probabilities={"0": "a", "1": "b"}, **NAMES).notes
    all_three = bk.score(three.assign(c=0.6), probabilities={"0": "a", "1": "b", "2": "c"}, **NAMES).notes
    assert f"in 10 of 90 {told}" in all_three
    too_low = bk.score(three.assign(c=0.1), probabilities={"0": "a", "1": "b", "2": "c"}, **NAMES).notes
    assert f"in 90 of 90 {told}" in too_low


def test_the_probability_of_a_class_in_place_of_the_prediction_is_told():
    one = stated(100)
    below = int((one["score"] < 0.5).sum())
    notes = bk.score(one, probabilities="score", **NAMES).notes
    assert notes[0] == (
        f"in {below} of 100 rows the prediction has a probability below 1/2: score may be that of one class, which is "
        "written CLASS=COLUMN"
    )
    swapped = bk.score(one, probabilities={"0": "score", "1": "rest"}, **NAMES).notes
    assert swapped[0].endswith("below 1/2: the columns may be those of other classes")
    sure = one.assign(sure=np.maximum(one["score"], one["rest"]))
    assert not bk.score(sure, probabilities="sure", **NAMES).notes
    # A model with more classes than there are labels may be right with less.
    wider = sure.assign(sure=0.1, p=["1"] * 90 + ["cat"] * 10)
    assert not any("below 1/" in note for note in bk.score(wider, probabilities="sure", **NAMES).notes)


def test_rounding_is_no_error():
    one = stated(100)
    one["score"] = (one["score"] > 0.5) * (1 + 1e-7)
    assert bk.score(one, probabilities={"1": "score"}, **NAMES)["calibration"]["n"].iloc[0] == 100


def test_a_predicted_class_without_probabilities_is_said():
    one = table(300).assign(p0=0.5, p1=0.25)
    found = bk.score(one, probabilities={"0": "p0", "1": "p1"}, **NAMES)
    assert found["calibration"]["event"].unique().tolist() == ["label is 0", "label is 1"]
    assert any("how sure the answers were is not judged" in note for note in found.notes)


@pytest.mark.parametrize(("truth", "claims"), [("calibrated", 0.03), ("too sure", None), ("rare", 0.03)])
def test_the_calibration_interval_covers(truth, claims):
    """The true error in these bins lies inside in 95 of 100; without one, hardly ever is one claimed."""
    rng = np.random.default_rng(1)
    p = np.linspace(0.03, 0.97, 12) if truth != "rare" else np.array([0.002, 0.01, 0.05])
    rate = 0.5 + 0.6 * (p - 0.5) if truth == "too sure" else p
    size = np.full(len(p), 60)
    true, inside, claimed, seen, floor = float(np.abs(rate - p).mean()), 0, 0, [], []
    for _ in range(1_000):
        hits = rng.binomial(size, rate)
        squares = float((hits * (1 - p) ** 2 + (size - hits) * p**2).sum())
        found = stats.calibration_error(size, hits, size * p, squares)
        inside += found.low - 1e-12 <= true <= found.high
        claimed += found.low > 0
        seen.append(found.estimate)
        floor.append(found.noise)
    assert inside >= 950
    if claims is not None:
        assert claimed <= 1_000 * claims
        assert np.mean(seen) == pytest.approx(np.mean(floor), rel=0.1)
    else:
        assert claimed >= 900


def test_an_interval_of_perfect_answers_has_a_width():
    found = stats.calibration_error([20], [20], [20.0], 0.0)
    assert (found.estimate, found.noise, found.low) == (0, 0, 0)
    assert found.high == pytest.approx(1.96**2 / 20, abs=1e-3)
    assert np.isnan(stats.calibration_error([0], [0], [0.0], 0.0).estimate)


# ------------------------------------------------------------------------------------------------ telling


def test_sentences(found):
    told = telling.sentences(found.result)
    assert told[0].startswith("Accuracy differs by sex by more than chance: ")
    assert any(text.startswith("By age, no difference in accuracy larger than chance was found") for text in told)
    assert told[-1].startswith("Accuracy is ")
    assert "The lowest group is" in told[-1]
    for word in ("fair", "unbiased", "significant"):
        assert word not in " ".join(told).lower()


def test_the_terminal_tells_the_answer_first(found, judged):
    lines = [line.text for line in score_lines(found.result, None)]
    assert lines[0].startswith("Accuracy differs by sex")
    text = "\n".join(lines)
    assert "larger than chance" in text
    assert "worst group, %" in text
    assert text.isascii()
    assert "nan" not in text.lower()
    probabilities = "\n".join(line.text for line in score_lines(judged.result, 100))
    assert "prediction is right" in probabilities
    assert "threshold" in probabilities


def test_the_report_has_every_section(judged, found):
    page = render(judged.result)
    seen = Reader(page)
    for id in ("verdict", "numbers", "attributes", "groups", "labels", "parity", "calibration", "thresholds"):
        assert f'<section id="{id}"' in page
    assert "image" not in seen.text.lower().replace("images or not", "")
    assert "calibration error" in section(page, "calibration")[1].lower()
    without = render(found.result)
    assert 'id="calibration"' not in without
    assert len(page.encode()) < 2_000_000


def test_hostile_names_stay_text(tmp_path):
    evil = '"><img src=x onerror=alert(1)></script>|\x1b[2J\u202e[red]'
    one = table(300)
    one[["y", "p"]] = one[["y", "p"]].replace({0: evil, 1: "b", 2: "c"})
    one = one.rename(columns={"sex": "<b>sex", "age": "a|ge"})
    found = bk.score(one, attributes=["<b>sex", "a|ge"], **NAMES)
    folder = found.save(tmp_path / "out")
    page = (folder / "report.html").read_text()
    assert "<img src=x" not in page
    assert "onerror" not in {key for key, _ in Reader(page).attributes}
    for drawing in (folder / "figures").glob("*.svg"):
        ET.parse(drawing)
    lines = "\n".join(line.text for line in score_lines(found.result, 80))
    assert "\x1b" not in lines
    assert "\u202e" not in lines
    assert read_cells(folder).labels[0] == evil or evil in read_cells(folder).labels


def test_many_groups_and_classes_fit(tmp_path):
    rng = np.random.default_rng(0)
    n = 20_000
    label = rng.integers(0, 40, n)
    one = pd.DataFrame({"y": label, "p": np.where(rng.random(n) < 0.8, label, 0), "site": rng.integers(0, 30, n)})
    found = bk.score(one.assign(sure=rng.random(n)), attributes=["site"], probabilities="sure", **NAMES)
    page = render(found.result)
    assert len(page.encode()) < 2_000_000
    assert "more in the table" in page


# ------------------------------------------------------------------------------------------------ the folder


def test_the_folder_holds_everything(judged, tmp_path):
    folder = judged.save(tmp_path / "out")
    names = {path.name for path in folder.iterdir()}
    assert {"result.json", "cells.parquet", "tables", "figures", "report.html", "methods.md"} <= names
    assert "predictions.parquet" not in names
    result = json.loads((folder / "result.json").read_text())
    assert result["kind"] == "score"
    tables = {path.stem for path in (folder / "tables").glob("*.csv")}
    assert tables >= {"headline", "groups", "gaps", "labels", "parity", "rates", "calibration", "operating_points"}
    for name in ("headline", "gaps", "calibration"):
        assert (folder / "tables" / f"{name}.md").is_file()
        assert "\\begin{tabular}" in (folder / "tables" / f"{name}.tex").read_text()
    assert {path.stem for path in (folder / "figures").glob("*.svg")} == {
        "groups", "gaps", "reliability", "threshold_curves",
    }  # fmt: skip
    for drawing in (folder / "figures").glob("*.svg"):
        ET.parse(drawing)
    same(read_cells(folder), judged.counts)
    assert bk.report(folder) == folder / "report.html"
    assert pd.read_csv(folder / "tables" / "gaps.csv")["attribute"].tolist() == ["sex"]


def test_a_score_is_a_mapping_of_tables(found):
    assert repr(found).startswith("<Score of mine: 4,000 rows, 18 groups; headline, groups")
    assert set(found) == set(found.tables)
    with pytest.raises(DataError, match="no table 'gap' in this score"):
        found["gap"]


def test_the_same_table_gives_the_same_score(found):
    again = bk.score(table(), attributes=["sex", "age"], name="mine", **NAMES)
    for name in found:
        pd.testing.assert_frame_equal(found[name], again[name])
    assert found.result["data"]["fingerprint"] == again.result["data"]["fingerprint"]


# -------------------------------------------------------------------------------------------- the command line


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["biaskit", "score", *(str(word) for word in words)])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        written = capsys.readouterr()
        return code, written.out, written.err

    return call


def test_the_command(run, tmp_path):
    stated(500).to_csv(tmp_path / "t.csv", index=False)
    words = ["t.csv", "--label", "y", "--prediction", "p", "--attribute", "sex"]
    code, out, err = run(*words, "--probability", "1=score", "--threshold", "0.7", "--out", "made")
    assert code == 0, err
    assert "by sex" in out.lower()
    assert "cells" in out
    assert err.startswith("hint: biaskit gate made --policy policy.toml")
    assert (tmp_path / "made" / "cells.parquet").is_file()
    result = json.loads((tmp_path / "made" / "result.json").read_text())
    assert result["command"].startswith("biaskit score t.csv")
    assert result["options"]["thresholds"] == [0.7]
    code, out, err = run(*words, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["kind"] == "score"
    assert len(list(tmp_path.glob("biaskit-score-t-*"))) == 1


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["none.csv"], "none.csv is not there"),
        (["t.csv", "--threshold", "0.3"], "--threshold is a limit of probabilities"),
        (["t.csv", "--label", "z"], "no column 'z'"),
        (["t.csv", "--label", "y", "--prediction", "p", "--probability", "a", "--probability", "b"], "CLASS=COLUMN"),
        (["t.csv", "--label", "y", "--prediction", "p", "--probability", "1=a", "--probability", "1=b"], "twice"),
    ],
)
def test_the_command_refuses_in_one_line(run, tmp_path, words, text):
    stated(50).to_csv(tmp_path / "t.csv", index=False)
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert text in err


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no folder here in which not even the owner can write")
def test_a_folder_that_cannot_be_made_is_one_line(run, tmp_path):
    stated(50).to_csv(tmp_path / "t.csv", index=False)
    code, out, err = run("t.csv", "--label", "y", "--prediction", "p", "--out", "/proc/made")
    assert (code, out) == (2, "")
    assert err == "error: /proc/made cannot be made there; choose another folder with --out\n"
