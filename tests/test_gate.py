"""The gate: intervals known by hand or from scipy, what they say of a limit, and the files of a build."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import torch
import typer
from _answered import Channel, audited, cells, compared, dataset, stored
from _shared import answered, evidence, leaning
from scipy.stats import binomtest
from typer.testing import CliRunner

import biaskit as bk
from biaskit import stats, testing
from biaskit._audit import audit_result
from biaskit._differences import differences
from biaskit._gate.answers import Answers
from biaskit._gate.changes import change
from biaskit._gate.levels import worst_group_accuracy
from biaskit.cells import write_cells
from biaskit.cli import app
from biaskit.errors import BiaskitError, DataError, SpecError
from biaskit.evidence import Ground
from biaskit.measures import headline
from biaskit.metrics import count_groups
from biaskit.policy import METRICS, Rule
from biaskit.rng import numpy_generator
from biaskit.runs import prediction_table
from biaskit.telling.gate import MOST_BYTES, github_commands, job_summary, junit

ROOT = Path(__file__).parent.parent
COUNTS = {"left_blue": (50, 50), "left_red": (45, 50), "right_blue": (49, 50), "right_red": (97, 100)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An audit of 250 images in four groups; the lowest is left, red with 45 of 50."""
    return audited(tmp_path_factory.mktemp("gate") / "audit", dataset(cells(**COUNTS)))


def judged(folder, **rule):
    """The one row of a policy of one rule."""
    baseline = rule.pop("baseline", None)
    return bk.gate(folder, {"version": 1, "rule": [rule]}, baseline=baseline).result["rules"][0]


def exact(k, n, error=0.05):
    found = binomtest(k, n).proportion_ci(1 - error, method="exact")
    return found.low, found.high


def interval(row):
    return pytest.approx((row["low"], row["high"]), abs=1e-9)


# numbers of one model


def test_average_accuracy_is_exact(folder):
    row = judged(folder, metric="average_accuracy", min=0.5)
    assert (row["value"], row["n"], row["unit"], row["result"]) == (241 / 250, 250, "%", "pass")
    assert exact(241, 250) == interval(row)


def test_worst_group_pays_for_all_groups_where_it_argues_for_failing(folder):
    row = judged(folder, metric="worst_group_accuracy", min=0.5)
    assert (row["value"], row["of"], row["n"]) == (0.9, "left, red", 50)
    assert (exact(45, 50)[0], exact(45, 50, 0.05 / 4)[1]) == interval(row)
    assert row["low"] == pytest.approx(0.78186, abs=1e-5)  # Clopper-Pearson of 45 of 50, as tables have it


@pytest.mark.parametrize(
    ("limit", "result"), [(0.7818, "pass"), (0.7819, "inconclusive"), (0.97, "inconclusive"), (0.98, "fail")]
)
def test_a_minimum_passes_by_the_lower_end_and_fails_by_the_upper(folder, limit, result):
    assert judged(folder, metric="worst_group_accuracy", min=limit)["result"] == result


def test_a_maximum_passes_by_the_upper_end_and_fails_by_the_lower(folder):
    low, high = exact(241, 250)
    for limit, result in ((high, "pass"), (high - 1e-6, "inconclusive"), (low, "inconclusive"), (low - 1e-6, "fail")):
        assert judged(folder, metric="average_accuracy", max=limit)["result"] == result


def test_mean_group_accuracy_rests_on_the_effective_n(folder):
    row = judged(folder, metric="mean_group_accuracy", min=0.5)
    p = (1 + 0.9 + 0.98 + 0.97) / 4
    n = 16 / (1 / 50 + 1 / 50 + 1 / 50 + 1 / 100)
    assert row["value"] == pytest.approx(p)
    assert stats.clopper_pearson(p * n, n) == interval(row)


def test_groups_can_be_picked_and_merged(folder):
    row = judged(folder, metric="group_accuracy", by=["color"], where={"label": "left"}, min=0.5)
    assert (row["value"], row["of"], row["n"]) == (0.9, "red", 50)
    assert (exact(45, 50)[0], exact(45, 50, 0.05 / 2)[1]) == interval(row)
    row = judged(folder, metric="group_accuracy", by=["color"], where={"label": ["right", "left"]}, min=0.5)
    assert (row["of"], row["n"], row["value"]) == ("red", 150, 142 / 150)
    assert judged(folder, metric="average_accuracy", where={"color": "red"}, min=0.5)["n"] == 150


def test_a_maximum_of_every_group_is_hardest_on_the_highest(folder):
    row = judged(folder, metric="group_accuracy", max=0.99)
    assert (row["of"], row["value"], row["result"]) == ("left, blue", 1.0, "inconclusive")
    assert (exact(50, 50, 0.05 / 4)[0], 1.0) == interval(row)


def test_max_min_gap_is_that_of_the_statistics(folder):
    row = judged(folder, metric="max_min_gap", max=0.5)
    known = stats.max_min_gap([50, 45, 49, 97], [50, 50, 50, 100], np.random.default_rng(0))
    assert (known.low, known.high) == interval(row)
    assert (row["value"], row["of"], row["unit"]) == (pytest.approx(0.1), "left, blue - left, red", "points")


def test_gap_is_the_known_answer_whatever_its_sign(tmp_path):
    # Newcombe of 45/50 - 930/950: [-.19279, -.02132].
    found = audited(tmp_path / "out", dataset(cells(left_red=(45, 50), left_blue=(930, 950), right_red=(9, 9))))
    row = judged(found, metric="gap", max=0.2)
    assert row["value"] == pytest.approx(930 / 950 - 45 / 50)
    assert (row["low"], row["high"]) == pytest.approx((0.02132, 0.19279), abs=1e-5)
    assert (row["of"], row["n"], row["result"]) == ("blue - red", 1000, "pass")
    assert row["notes"] == ["left out, without images of every side: right"]
    # An interval around 0 holds sizes from 0 up to its farther end.
    even = audited(tmp_path / "even", dataset(cells(left_red=(45, 50), left_blue=(46, 50))))
    row = judged(even, metric="gap", attribute="color", max=0.2)
    signed = stats.attribute_gap([[46, 45]], [[50, 50]])
    assert (0.0, max(-signed.low, signed.high)) == interval(row)


def test_gap_is_aligned_minus_conflicting_where_the_attribute_follows_the_label(tmp_path):
    train = pd.DataFrame({"label": ["left", "right"] * 20, "color": ["red", "blue"] * 19 + ["blue", "red"]})
    table = cells(left_red=(50, 50), left_blue=(30, 50), right_red=(35, 50), right_blue=(48, 50))
    found = audited(tmp_path / "out", dataset(table, train=train))
    row = judged(found, metric="gap", max=0.2)
    told = next(r for r in json.loads((found / "result.json").read_text())["headline"] if r["metric"] == "gap")
    assert (told["from"], told["to"]) == ("aligned", "conflicting")
    assert row["of"] == "aligned - conflicting"
    assert row["value"] == pytest.approx(told["value"]) == pytest.approx((98 - 65) / 100)
    assert (told["low"], told["high"]) == interval(row)
    assert row["result"] == "fail"


def test_gap_between_many_values_is_highest_minus_lowest(tmp_path):
    counts = {"left_a": (40, 50), "left_b": (45, 50), "left_c": (30, 50)}
    found = audited(tmp_path / "out", dataset(cells(**counts, right_a=(10, 10))))
    row = judged(found, metric="gap", max=0.2)
    known = stats.attribute_gap([[40, 45, 30]], [[50, 50, 50]])
    assert (row["value"], row["of"]) == (pytest.approx(0.3), "b - c")
    assert (known.low, known.high) == interval(row)


@pytest.mark.parametrize("metric", [name for name in METRICS if name.endswith("_difference")])
def test_parity_is_that_of_the_counts(folder, metric):
    row = judged(folder, metric=metric, max=0.5)
    known = getattr(count_groups(cells(**COUNTS), ["color"]), metric)()
    assert (known.low, known.high) == interval(row)
    assert (row["value"], row["of"]) == (pytest.approx(known.value), f"label {known.positive}")


def test_flip_rate_is_exact(tmp_path):
    table = cells(left_blue=(50, 50), left_red=(50, 50))
    after = ["right"] * 7 + ["left"] * 93
    found = audited(tmp_path / "out", dataset(table, twins=[after], classes=["left", "right"]))
    row = judged(found, metric="flip_rate", max=0.1)
    assert (row["value"], row["n"], row["result"]) == (0.07, 100, "inconclusive")
    assert exact(7, 100) == interval(row)
    row = judged(found, metric="flip_rate", attribute="color", where={"color": "blue"}, max=0.4)
    assert (row["value"], row["n"], row["result"]) == (7 / 50, 50, "pass")


def test_a_limit_at_the_truth_is_seldom_decided():
    # Ten groups of 100 at .8, held against .8: either verdict would be an error, of at most 2.5 % each.
    rng, rule = np.random.default_rng(0), Rule(metric="worst_group_accuracy", min=0.8)
    codes = np.repeat(np.arange(10), 2)
    passed = failed = 0
    for _ in range(400):
        k = rng.binomial(100, 0.8, 10)
        weights = np.stack([k, 100 - k], axis=1).ravel()
        answers = np.where(np.arange(20) % 2 == 0, codes, (codes + 1) % 10)[None]
        names = tuple(map(str, range(10)))
        made = Answers("m", (0,), names, names, {}, (), "", {"label": codes}, answers, weights)
        row = worst_group_accuracy(rule, made, 0)
        passed, failed = passed + (row.low >= 0.8), failed + (row.high < 0.8)
    assert passed <= 4
    assert failed <= 14


# too few images


def test_groups_below_min_n_are_left_out_and_named(tmp_path):
    found = audited(tmp_path / "out", dataset(cells(left_red=(90, 100), left_blue=(3, 3), right_red=(95, 100))))
    row = judged(found, metric="worst_group_accuracy", min=0.5)
    assert row["low"] == pytest.approx(exact(3, 3)[0])  # three right of three say little
    assert (row["value"], row["of"], row["result"]) == (0.9, "left, red", "inconclusive")
    assert row["notes"] == [
        "1 of 4 groups have no test image: nothing is known of them",
        "would pass with about 6 images of left, blue if the accuracy stays (3 now)",
    ]
    row = judged(found, metric="worst_group_accuracy", min=0.5, min_n=10)
    assert row["result"] == "pass"
    assert row["notes"][0] == "left out, fewer than 10 images: left, blue (n=3)"
    policy = {"version": 1, "min_n": 10, "rule": [{"metric": "worst_group_accuracy", "min": 0.5}]}
    assert bk.gate(found, policy).verdict == "pass"


@pytest.mark.parametrize("metric", list(METRICS))
def test_without_a_group_of_min_n_nothing_is_decided(tmp_path, metric):
    table = cells(left_red=(9, 10), left_blue=(9, 10), right_red=(9, 10), right_blue=(9, 10))
    found = audited(tmp_path / "out", dataset(table, twins=[list(table["prediction"])]))
    limit = {"min": 0.0} if METRICS[metric].better == "higher" else {"max": 1.0}
    assert judged(found, metric=metric, **limit)["result"] == "pass"
    outcome = bk.gate(found, {"version": 1, "min_n": 1000, "rule": [{"metric": metric, **limit}]})
    assert (outcome.verdict, outcome.exit_code) == ("inconclusive", 3)
    row = outcome.result["rules"][0]
    assert row["low"] is None
    assert row["reason"]


def test_groups_too_small_for_a_number_keep_their_interval(tmp_path):
    found = audited(tmp_path / "out", dataset(cells(left_red=(5, 5), right_red=(0, 5))))
    row = judged(found, metric="worst_group_accuracy", min=0.9)
    assert row["value"] is None
    assert row["high"] == pytest.approx(exact(0, 5, 0.05 / 2)[1])
    assert (row["result"], "fewer than 10" in row["reason"]) == ("fail", True)


def test_an_attribute_of_one_value_has_no_gap(tmp_path):
    found = audited(tmp_path / "out", dataset(cells(left_red=(50, 50), right_red=(40, 50))))
    row = judged(found, metric="gap", max=0.5)
    assert (row["result"], row["reason"]) == ("inconclusive", "one attribute value only")


def test_a_gap_without_large_groups_says_so(folder, pair):
    row = judged(folder, metric="gap", max=0.5, min_n=5000)
    assert (row["result"], row["reason"]) == ("inconclusive", "no group has 5000 images or more")
    row = judged(folder, metric="gap", max=0.5, min_n=60)  # right, red alone has 100
    assert row["reason"] == "no label has 60 images or more on every side"
    row = judged(pair[0], metric="gap", max=0.5, min_n=5000, against="baseline", baseline=pair[1])
    assert row["reason"] == "no group has 5000 images or more"


def test_what_would_settle_it(folder):
    (note,) = judged(folder, metric="worst_group_accuracy", min=0.8)["notes"]
    needed = int(re.fullmatch(r"would pass with about (\d+) images of left, red .*\(50 now\)", note)[1])
    assert stats.clopper_pearson(0.9 * needed, needed)[0] >= 0.8
    assert stats.clopper_pearson(0.9 * needed * 0.9, needed * 0.9)[0] < 0.8
    (note,) = judged(folder, metric="worst_group_accuracy", min=0.92)["notes"]
    assert note == (
        "of 3 groups the interval reaches below the limit: left, red (n=50), right, blue (n=50), right, red (n=100)"
    )


# against a baseline


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Of 100 images the new model alone has 20 right, the old one alone 8, both 60, neither 12."""
    place = tmp_path_factory.mktemp("pair")
    # 50 red, 50 blue; the label is always left.
    now = ["left"] * 20 + ["right"] * 8 + ["left"] * 60 + ["right"] * 12
    before = ["right"] * 20 + ["left"] * 8 + ["left"] * 60 + ["right"] * 12
    table = pd.DataFrame({"label": "left", "color": ["red"] * 50 + ["blue"] * 50, "prediction": now})
    data = dataset(table, before, classes=["left", "right"], twins=[["left"] * 100, ["right"] * 100])
    return audited(place / "now", data), audited(place / "before", data, 1)


def test_change_of_accuracy_is_bonett_price(pair):
    row = judged(pair[0], metric="average_accuracy", against="baseline", max_drop=0.05, baseline=pair[1])
    assert (row["value"], row["unit"], row["result"]) == (pytest.approx(0.12), "points", "pass")
    assert (row["low"], row["high"]) == pytest.approx((0.0149, 0.2204), abs=1e-4)


@pytest.mark.parametrize(
    ("limit", "result"),
    [
        ({"max_drop": 0.0}, "pass"),
        ({"min_gain": 0.0}, "pass"),
        ({"min_gain": 0.1}, "inconclusive"),
        ({"min_gain": 0.23}, "fail"),
        ({"min": 0.014}, "pass"),
        ({"max": 0.23}, "pass"),
        ({"max": 0.01}, "fail"),
    ],
)
def test_limits_of_a_change(pair, limit, result):
    assert judged(pair[0], metric="average_accuracy", against="baseline", baseline=pair[1], **limit)["result"] == result


def test_a_drop_fails(pair):
    row = judged(pair[1], metric="average_accuracy", against="baseline", max_drop=0.01, baseline=pair[0])
    assert (row["result"], row["value"]) == ("fail", pytest.approx(-0.12))


def test_change_of_every_group_is_held_against_the_limit_one_by_one(pair):
    rule = {"metric": "group_accuracy", "by": ["color"], "against": "baseline", "baseline": pair[1]}
    row = judged(pair[0], **rule, max_drop=0.2)
    # red: 20 won, 8 lost of 50; blue: nothing changed.
    alone, together = stats.bonett_price(0, 0, 50), stats.bonett_price(0, 0, 50, 1 - 0.05 / 2)
    assert (alone[0], together[1]) == interval(row)
    assert (row["of"], row["value"], row["result"]) == ("blue", 0.0, "pass")
    row = judged(pair[0], **rule, max=0.6)
    alone, together = stats.bonett_price(20, 8, 50), stats.bonett_price(20, 8, 50, 1 - 0.05 / 2)
    assert (together[0], alone[1]) == interval(row)
    assert (row["of"], row["value"]) == ("red", pytest.approx(0.24))


def test_change_of_the_flip_rate(pair):
    row = judged(pair[0], metric="flip_rate", against="baseline", max=0.0, baseline=pair[1])
    # Now 20 answers flip; before 68 did. They differ on all but the 12 that neither has right: 0 on 20 + 60, 8 each.
    now = np.repeat([0, 1, 0, 1], [20, 8, 60, 12])
    before = np.repeat([0, 1, 1, 0], [20, 8, 60, 12])
    known = stats.bonett_price(int((now > before).sum()), int((now < before).sum()), 100)
    assert known == interval(row)
    assert (row["value"], row["result"]) == (pytest.approx((now - before).mean()), "pass")


def test_change_of_group_extremes_is_that_of_the_statistics(pair):
    rng = numpy_generator(0, "half-splits")
    ids = np.repeat([1, 0], 50)
    now = np.repeat([1, 0, 1, 0], [20, 8, 60, 12])[None]
    before = np.repeat([0, 1, 1, 0], [20, 8, 60, 12])[None]
    splits = stats.half_splits(ids, rng)
    for metric, of in (
        ("worst_group_accuracy", stats.worst_group_difference),
        ("max_min_gap", stats.max_min_gap_difference),
    ):
        row = judged(pair[0], metric=metric, by=["color"], against="baseline", max=1.0, baseline=pair[1])
        known = of(before, now, ids, splits)
        assert row["value"] == pytest.approx(known.estimate)
        assert (max(known.low, -1), min(known.high, 1)) == interval(row)


def test_change_of_mean_group_accuracy_and_of_a_gap(pair):
    row = judged(pair[0], metric="mean_group_accuracy", by=["color"], against="baseline", min=-1, baseline=pair[1])
    assert row["value"] == pytest.approx((12 / 50 + 0) / 2)
    # Red went from 30 to 42 of 50, blue stayed at 38: the gap blue - red of 16 points became red - blue of 8.
    row = judged(pair[0], metric="gap", against="baseline", max=0.5, baseline=pair[1])
    assert (row["of"], row["result"]) == ("red - blue", "pass")
    assert row["value"] == pytest.approx(0.08 - 0.16)
    assert "the gap changed sign: before it was blue - red" in row["notes"]
    # b - a = .24 is above 0 and b + a = -.08, so |b| - |a| = b + a, as long as b - a is the larger; which is not known.
    c, now = np.repeat([1 / 50, -1 / 50], 50), np.repeat([1, 0, 1, 0], [20, 8, 60, 12])[None]
    before = np.repeat([0, 1, 1, 0], [20, 8, 60, 12])[None]
    u, v = (stats.difference(one, now, c).interval(0.025) for one in (before, 1 - before))
    assert 0 < u[0] < -v[0] < u[1]
    assert v == interval(row)


def gap_answers(right, side):
    """Answers to images of one label, red then blue, from who is right."""
    n = right.shape[1]
    codes = {"label": np.zeros(n, np.int64), "color": side}
    values, names = {"color": ("red", "blue")}, ("left", "right")
    answers, rows = np.where(right, 0, 1), np.arange(n)
    return Answers("m", tuple(range(len(right))), names, names, values, (), "color", codes, answers, rows * 0 + 1, rows)


def gap_change(rng, before, now, n, seeds=1):
    """The change of a gap of models that are right so often on n red and n blue images, and alike on most."""
    side, own = np.repeat([0, 1], n), rng.random(2 * n)

    def drawn(rates):
        level = np.where(rng.random((seeds, 2 * n)) < 0.6, own, rng.random((seeds, 2 * n)))
        return gap_answers(level < np.array(rates)[side], side)

    return change(Rule(metric="gap", against="baseline", max=0.05), drawn(now), drawn(before), 0)


@pytest.mark.parametrize(
    ("before", "now", "seeds"),
    [
        ((0.8, 0.8), (0.9, 0.78), 1),  # 0 became 12
        ((0.9, 0.8), (0.8, 0.8), 1),  # 10 became 0
        ((0.9, 0.7), (0.75, 0.85), 1),  # 20 became -10
        ((0.8, 0.8), (0.9, 0.78), 3),
    ],
)
def test_the_interval_of_the_change_of_a_gap_holds_the_truth_across_zero(before, now, seeds):
    rng, runs = np.random.default_rng(0), 300
    true = abs(now[0] - now[1]) - abs(before[0] - before[1])
    found = [gap_change(rng, before, now, 200, seeds) for _ in range(runs)]
    assert sum(one.low <= true <= one.high for one in found) >= 0.95 * runs


def test_a_gap_that_grew_from_nothing_fails():
    # Red and blue 80 % each, to the image, so the gap before is 0 up to rounding; now 90 % and 78 %.
    n, side = 3000, np.repeat([0, 1], 3000)
    before, now = (np.concatenate([np.arange(n) < k for k in one])[None] for one in ((2400, 2400), (2700, 2340)))
    rule = Rule(metric="gap", against="baseline", max=0.05)
    found = change(rule, gap_answers(now, side), gap_answers(before, side), 0)
    assert (found.value, found.what) == (pytest.approx(0.12), "red - blue")
    assert found.low > 0.05
    back = change(rule, gap_answers(before, side), gap_answers(now, side), 0)
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low))
    # A rounding error before is no change of sign.
    assert not any("sign" in note for note in found.notes + back.notes)


def test_a_gap_that_keeps_its_sign_may_shrink(tmp_path):
    before = cells(left_red=(100, 200), left_blue=(190, 200))
    now = ["left"] * 160 + ["right"] * 40 + ["left"] * 190 + ["right"] * 10
    data = dataset(before, now, classes=["left", "right"])
    old, new = audited(tmp_path / "old", data), audited(tmp_path / "new", data, 1)
    row = judged(new, metric="gap", against="baseline", max=-0.1, baseline=old)
    assert row["value"] == pytest.approx(0.15 - 0.45)
    assert row["of"] == "blue - red"
    known = stats.difference(
        np.repeat([1, 0, 1, 0], [100, 100, 190, 10])[None],
        np.repeat([1, 0, 1, 0], [160, 40, 190, 10])[None],
        np.repeat([-1 / 200, 1 / 200], 200),
    )
    assert (known.low, known.high) == interval(row)
    assert row["result"] == "pass"
    # The other way round it grew.
    assert judged(old, metric="gap", against="baseline", max=0.1, baseline=new)["result"] == "fail"


def test_the_same_model_twice_is_not_proof_of_no_drop_at_all(pair):
    for metric in ("average_accuracy", "group_accuracy"):
        row = judged(pair[0], metric=metric, against="baseline", max_drop=0.0, baseline=pair[0])
        assert (row["value"], row["result"]) == (0.0, "inconclusive")
        assert "identical answers to every image" in row["notes"]


def test_other_images_are_an_error(pair, folder):
    rule = {"metric": "average_accuracy", "against": "baseline", "max_drop": 0.1}
    with pytest.raises(DataError, match=r"are about other data \(fingerprints \w{8} and \w{8}\)"):
        judged(pair[0], **rule, baseline=folder)
    with pytest.raises(SpecError, match=r'^rule "not worse": it compares with a baseline; name its folder'):
        judged(pair[0], **rule, name="not worse")


def test_rows_that_do_not_fit_are_an_error(pair, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "result.json").write_text((pair[1] / "result.json").read_text())
    table = pd.read_parquet(pair[1] / "predictions.parquet")
    table[table["row"] != 3].to_parquet(other / "predictions.parquet", index=False)
    with pytest.raises(DataError, match="answer other images"):
        judged(pair[0], metric="average_accuracy", against="baseline", max_drop=0.1, baseline=other)


def test_a_baseline_that_no_rule_reads_is_told(folder):
    outcome = bk.gate(folder, {"version": 1, "rule": [{"metric": "average_accuracy", "min": 0.5}]}, baseline=folder)
    assert outcome.result["notes"] == [f'no rule compares with {folder}: a rule does with against = "baseline"']


# arms over seeds


@pytest.fixture(scope="module")
def leaning_arms(tmp_path_factory):
    """Two arms that lean on the color, one more than the other: what a comparison says of them, and its folder."""
    data, rng = answered(50), np.random.default_rng(3)
    arms = [evidence(data, name, *leaning(data, rng, strength)) for name, strength in (("more", 0.3), ("less", 0.1))]
    ground = Ground(data)
    parts = []
    for arm in arms:
        for place, seed in enumerate(arm.seeds):
            rows = np.concatenate([data.rows("test"), data.rows("twin")])
            codes = np.concatenate([arm.answers[place], arm.twin_answers[place]])
            table = prediction_table(data, rows, torch.eye(2)[torch.from_numpy(codes)])
            parts.append(table.assign(arm=arm.name, seed=seed))
    result = audit_result(bk.audit(testing.constant(0), data, analyzers=[], device="cpu"))
    result |= {"kind": "comparison", "arms": [{"name": arm.name} for arm in arms], "seeds": [0, 1, 2]}
    place = stored(tmp_path_factory.mktemp("leaning") / "out", result, pd.concat(parts, ignore_index=True))
    heads = {(row["arm"], row["metric"]): row for arm in arms for row in headline(arm, ground)}
    return place, heads, differences(arms, ground)


@pytest.mark.parametrize(
    "metric", ["average_accuracy", "worst_group_accuracy", "mean_group_accuracy", "max_min_gap", "flip_rate"]
)
def test_arms_read_as_the_comparison_does(leaning_arms, metric):
    place, heads, _ = leaning_arms
    for arm in ("more", "less"):
        row = judged(place, metric=metric, arm=arm, max=0.5)
        told = heads[arm, metric]
        assert (told["low"], told["high"]) == interval(row)
        assert (row["value"], row["seeds"]) == (pytest.approx(told["value"]), 3)


def test_the_gap_of_an_arm_is_the_size_of_that_of_the_comparison(leaning_arms):
    place, heads, _ = leaning_arms
    told, row = heads["more", "gap"], judged(place, metric="gap", arm="more", max=0.5)
    assert row["value"] == pytest.approx(abs(told["value"]))
    assert row["high"] == pytest.approx(max(abs(told["low"]), abs(told["high"])))


@pytest.mark.parametrize("metric", ["average_accuracy", "worst_group_accuracy", "flip_rate"])
def test_arms_differ_as_the_comparison_says(leaning_arms, metric):
    place, _, told = leaning_arms
    row = judged(place, metric=metric, arm="less", against="more", max=1.0)
    known = next(one for one in told if (one["metric"], one["arm"], one["against"]) == (metric, "less", "more"))
    assert row["value"] == pytest.approx(known["estimate"])
    assert (known["low"], known["high"]) == interval(row)
    assert "paired over 3 common seeds" in row["notes"]


@pytest.fixture(scope="module")
def arms(tmp_path_factory):
    """Two arms over three seeds that are channels, so their answers are known."""
    rng = np.random.default_rng(1)
    label = np.tile(["left", "right"], 60)
    answers = [np.where(rng.random(120) < 0.9, label, label[::-1]).tolist() for _ in range(3)]
    table = pd.DataFrame({"label": label, "color": np.repeat(["a", "b", "c"], 40), "prediction": answers[0]})
    data = dataset(table, *answers[1:], classes=["left", "right"])
    return compared(tmp_path_factory.mktemp("arms") / "out", data, {"one": [0, 1, 2], "two": [1, 1, 2]}), table, answers


def test_parity_and_gap_of_an_arm_rest_on_its_groups_over_seeds(arms):
    place, table, answers = arms
    colors = table["color"].to_numpy()
    chosen = np.stack([np.asarray(one) == "left" for one in answers]).astype(float)
    rates = [chosen[:, colors == color] for color in "abc"]

    def ends(tail):
        found = [stats.arm_rate(x, level=1 - 2 * tail) for x in rates]
        return np.array([one.low for one in found]), np.array([one.high for one in found])

    p = [x.mean() for x in rates]
    low, high = stats.spread_interval(p, ends, 0.025 / 2)[0], stats.spread_interval(p, ends, 0.025)[1]
    row = judged(place, metric="demographic_parity_difference", arm="one", max=1.0)
    assert (low, high) == interval(row)
    assert row["value"] == pytest.approx(max(p) - min(p))
    row = judged(place, metric="gap", arm="one", max=1.0)
    correct = np.stack([np.asarray(one) == table["label"].to_numpy() for one in answers])
    each = [correct[:, colors == color].mean() for color in "abc"]  # as many of each label in every color
    assert row["value"] == pytest.approx(max(each) - min(each))
    assert 0 <= row["low"] <= row["value"] <= row["high"]
    assert judged(place, metric="equalized_odds_difference", arm="one", max=1.0)["result"] == "pass"


def test_a_seed_that_repeats_another_counts_once(arms):
    row = judged(arms[0], metric="average_accuracy", arm="two", against="one", max=1.0)
    assert row["seeds"] == 2


def test_an_arm_has_to_be_named(arms):
    with pytest.raises(SpecError, match="has the arms one, two: say which one"):
        judged(arms[0], metric="average_accuracy", min=0.5)
    with pytest.raises(SpecError, match=r"no arm in .* 'onne'; nearest: one"):
        judged(arms[0], metric="average_accuracy", arm="onne", min=0.5)
    with pytest.raises(SpecError, match="one is compared with itself"):
        judged(arms[0], metric="average_accuracy", arm="one", against="one", min=0)


# a score, analyzers


@pytest.fixture
def score(tmp_path):
    place = tmp_path / "score"
    place.mkdir()
    about = {"schema_version": 1, "kind": "score", "data": {"name": "loans.csv"}}
    (place / "result.json").write_text(json.dumps(about))
    write_cells(count_groups(cells(**COUNTS), ["color"]), place / "cells.parquet")
    return place


@pytest.mark.parametrize("metric", [name for name in METRICS if name != "flip_rate"])
def test_counts_say_what_the_images_say(score, folder, metric):
    limit = {"min": 0.5} if METRICS[metric].better == "higher" else {"max": 0.5}
    assert judged(folder, metric=metric, **limit) == judged(score, metric=metric, **limit)


def test_counts_have_no_images_to_pair(score):
    with pytest.raises(SpecError, match="no twins"):
        judged(score, metric="flip_rate", max=0.5)
    with pytest.raises(DataError, match="holds counts and no answer to a single image"):
        judged(score, metric="average_accuracy", against="baseline", min=0, baseline=score)


@pytest.fixture(scope="module")
def analyzed(tmp_path_factory):
    found = bk.audit(
        testing.reads("background"),
        testing.tiny(per_group=10),
        analyzers=["group_accuracy", "counterfactual_flips", "parity"],
        device="cpu",
    )
    return stored(tmp_path_factory.mktemp("analyzed") / "out", audit_result(found), found.predictions)


def test_measure_of_an_analyzer(analyzed):
    condition = {"attribute": "color", "label": "all"}
    rule = {"analyzer": "counterfactual-flips", "column": "flip_rate", "where": condition}
    row = judged(analyzed, **rule, max=0.1)
    assert (row["value"], row["result"], row["metric"]) == (1.0, "fail", "counterfactual-flips.flip_rate")
    assert interval(row) == tuple(pytest.approx(float(end)) for end in stats.wilson(40, 40))
    assert judged(analyzed, **rule, max=0.1, min_n=1000)["result"] == "inconclusive"


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"analyzer": "continuity", "column": "nds"}, "continuity was not run; it ran group_accuracy"),
        ({"analyzer": "parity", "column": "demographic_parity_difference"}, "has no interval here"),
        (
            {"analyzer": "group_accuracy", "column": "acuracy"},
            "no measure of group_accuracy 'acuracy'; nearest: accuracy",
        ),
        (
            {"analyzer": "group_accuracy", "column": "accuracy"},
            r"has 4 such rows; where has to say which: label \(left",
        ),
        (
            {"analyzer": "group_accuracy", "column": "accuracy", "where": {"label": "lft"}},
            "no label in group_accuracy 'lft'; nearest: left",
        ),
        (
            {"analyzer": "group_accuracy", "column": "accuracy", "where": {"colour": "red"}},
            "no key of group_accuracy 'colour'; nearest: color",
        ),
    ],
)
def test_an_analyzer_that_cannot_answer(analyzed, rule, message):
    with pytest.raises(SpecError, match=message):
        judged(analyzed, **rule, min=0.5)


def test_an_analyzer_that_failed_leaves_its_rule_open(analyzed, tmp_path):
    result = json.loads((analyzed / "result.json").read_text())
    result["failed"] = [{"arm": result["arms"][0]["name"], "seed": 0, "analyzer": "nice", "reason": "no gradients"}]
    (tmp_path / "result.json").write_text(json.dumps(result))
    row = judged(tmp_path, analyzer="nice", column="x", min=0.5)
    assert (row["result"], row["reason"]) == ("inconclusive", "nice could not run: no gradients")


# policies and folders that are wrong


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"metric": "acuracy", "min": 1}, "no metric 'acuracy'; nearest: "),
        ({"metirc": "average_accuracy", "min": 1}, "rule.0.metirc is no key of a policy; did you mean metric?"),
        ({"min": 0.5}, "a rule names a metric, or an analyzer with its column"),
        ({"metric": "gap", "analyzer": "a", "column": "b", "max": 0.5}, "a rule names a metric, or an analyzer"),
        ({"metric": "gap"}, "this one has none"),
        ({"metric": "gap", "min": 0.1, "max": 0.5}, "this one has min and max; several limits are several rules"),
        ({"metric": "average_accuracy", "min": 80}, "min = 80: rates lie between 0 and 1; 0.8 is 80 %"),
        ({"metric": "average_accuracy", "by": ["color"], "min": 0.8}, "average_accuracy takes no by; it takes where"),
        ({"metric": "worst_group_accuracy", "attribute": "color", "min": 0.8}, "takes no attribute"),
        ({"metric": "average_accuracy", "max_drop": 0.1}, 'say against what, such as against = "baseline"'),
        ({"metric": "gap", "against": "baseline", "max_drop": 0.1}, "less is better, so it has no max_drop"),
        (
            {"metric": "equalized_odds_difference", "against": "baseline", "max": 0.1},
            "no interval of a difference on the same images",
        ),
        ({"analyzer": "a", "column": "b", "against": "baseline", "max": 0.1}, "no interval of a difference"),
        ({"metric": "average_accuracy", "min": "0.8"}, "rule.0.min: must be a valid number"),
        ({"metric": "average_accuracy", "min": 0.8, "name": "::error::"}, "rule.0.name"),
        ({"metric": "average_accuracy", "min": 0.8, "where": {"shape": "round"}}, "no column to group by 'shape'"),
        (
            {"metric": "average_accuracy", "min": 0.8, "where": {"color": "rad"}},
            "no value of color 'rad'; nearest: red",
        ),
        ({"metric": "group_accuracy", "min": 0.8, "by": ["colour"]}, "no column to group by 'colour'; nearest: color"),
        ({"metric": "gap", "max": 0.8, "attribute": "colour"}, "no attribute 'colour'; nearest: color"),
        ({"metric": "flip_rate", "max": 0.8}, "these data have no twins"),
        ({"metric": "demographic_parity_difference", "max": 0.8, "by": ["label"]}, "compares the values of attributes"),
        (
            {"metric": "demographic_parity_difference", "max": 0.8, "by": ["color", "color"]},
            "by names a column twice: color, color",
        ),
        ({"metric": "group_accuracy", "min": 0.8, "by": ["label", "label"]}, "by names a column twice"),
    ],
)
def test_a_wrong_rule_is_named(folder, rule, message):
    with pytest.raises(SpecError, match=re.escape(message)):
        judged(folder, **rule)


def test_what_the_evidence_lacks_is_said_with_the_rule(folder):
    for rule, message in (
        ({"metric": "gap", "attribute": "size"}, "no attribute 'size'; there are color"),
        ({"metric": "group_accuracy", "by": ["gender"]}, "no column to group by 'gender'; there are label, color"),
    ):
        with pytest.raises(SpecError, match=re.escape(f'rule "mine": {message}')):
            judged(folder, **rule, max=0.5, name="mine")


def test_a_wrong_policy_is_named(folder, tmp_path):
    rule = {"metric": "average_accuracy", "min": 0.5}
    for policy, message in (
        ({"version": 1, "rule": [rule, {**rule, "min": 0.6}]}, 'two rules are called "average_accuracy"'),
        ({"version": 1, "rule": rule}, "rule: there may be several of these tables; write [[rule]] in place of [rule]"),
        ({"version": 2, "rule": [rule]}, "card version 2 is newer than 1"),
        ({"rule": [rule]}, "policy: version is missing"),
        ({"version": 1, "rule": []}, "policy: rule"),
    ):
        with pytest.raises(SpecError, match=re.escape(message)):
            bk.gate(folder, policy)
    with pytest.raises(SpecError, match="cannot be read"):
        bk.gate(folder, tmp_path / "gone.toml")


def test_a_wrong_folder_is_named(folder, tmp_path):
    rule = {"metric": "average_accuracy", "min": 0.5}
    kinds = "name the folder that audit, compare, sweep or score wrote"
    with pytest.raises(DataError, match=rf"has no result\.json; {kinds}"):
        judged(tmp_path, **rule)
    with pytest.raises(DataError, match=f"no folder .*gone; {kinds}"):
        judged(tmp_path / "gone", **rule)
    with pytest.raises(DataError, match=r"result\.json is a file; name its folder: .*audit$"):
        judged(folder / "result.json", **rule)
    result = json.loads((folder / "result.json").read_text())
    (tmp_path / "result.json").write_text(json.dumps(result))
    with pytest.raises(DataError, match=r"predictions\.parquet is not there"):
        judged(tmp_path, **rule)
    table = pd.read_parquet(folder / "predictions.parquet")
    table.drop(columns="pair").to_parquet(tmp_path / "predictions.parquet")
    with pytest.raises(DataError, match="does not say which image is the twin of which"):
        judged(tmp_path, **rule)
    table.assign(color="green").to_parquet(tmp_path / "predictions.parquet")
    with pytest.raises(DataError, match=r"column 'color' holds 'green', which result\.json does not list"):
        judged(tmp_path, **rule)
    table.drop(columns="prediction").to_parquet(tmp_path / "predictions.parquet")
    with pytest.raises(DataError, match="is not as biaskit wrote it"):
        judged(tmp_path, **rule)
    (tmp_path / "predictions.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="is not as biaskit wrote it"):
        judged(tmp_path, **rule)
    (tmp_path / "result.json").write_text(json.dumps({**result, "kind": "study"}))
    with pytest.raises(DataError, match="holds a study; a gate reads the folders of audit"):
        judged(tmp_path, **rule)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("arms", "x"), ("arms", [{}]), ("data", []), ("seeds", 1), ("analyses", None), ("analyses", [{}]),
        ("analyses", [{"analyzer": "a", "columns": None, "rows": []}]), ("failed", [1]),
    ],
)  # fmt: skip
def test_a_result_that_was_edited_is_named(folder, tmp_path, part, value):
    result = json.loads((folder / "result.json").read_text())
    (tmp_path / "result.json").write_text(json.dumps({**result, part: value}))
    for rule in ({"metric": "average_accuracy"}, {"analyzer": "group_accuracy", "column": "accuracy"}):
        with pytest.raises(DataError, match=rf"is not as biaskit wrote it \({part}"):
            judged(tmp_path, **rule, min=0.5)
    with pytest.raises(DataError, match=rf"is not as biaskit wrote it \({part}"):
        judged(folder, metric="average_accuracy", against="baseline", max_drop=0.1, baseline=tmp_path)


def test_data_without_attributes_have_groups_of_labels(tmp_path):
    table = pd.DataFrame({"label": ["left"] * 50 + ["right"] * 50, "prediction": ["left"] * 95 + ["right"] * 5})
    found = audited(tmp_path / "out", dataset(table, attributes=()))
    assert judged(found, metric="worst_group_accuracy", min=0.5)["of"] == "right"
    for metric in ("gap", "demographic_parity_difference", "flip_rate"):
        with pytest.raises(BiaskitError, match=r"attribute|twins"):
            judged(found, metric=metric, max=0.5)


# the command line and the files of a build


POLICY = """
version = 1

[[rule]]
name = "floor"
metric = "worst_group_accuracy"
min = {floor}

[[rule]]
metric = "average_accuracy"
min = 0.5
"""


@pytest.fixture
def call(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
        monkeypatch.delenv(name, raising=False)

    def run(*words):
        return CliRunner().invoke(app, ["gate", *map(str, words)])

    return run


def policy_file(tmp_path, floor):
    path = tmp_path / "policy.toml"
    path.write_text(POLICY.format(floor=floor), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("floor", "code", "first"),
    [
        (0.7, 0, "Pass: the evidence satisfies all 2 rules."),
        (0.99, 1, "Fail: 1 of 2 rules fails."),
        (0.9, 3, "Inconclusive: 1 of 2 rules cannot be decided from this evidence; none fails."),
    ],
)
def test_exit_codes(call, folder, tmp_path, floor, code, first):
    done = call(folder, "--policy", policy_file(tmp_path, floor), "--out", "files")
    assert done.exit_code == code, done.output
    lines = done.stdout.splitlines()
    assert lines[0] == first
    assert re.search(r"^floor +90\.0 % \[78\.2, 97\.\d\], left, red, n 50 +at least [79]\d? % ", done.stdout, re.M)
    assert re.search(r"^average_accuracy +96\.4 % \[93\.\d, 98\.\d\], n 250 +at least 50 % +pass$", done.stdout, re.M)
    assert lines[-1] == "written  files/gate.xml (JUnit)   files/gate.md (job summary)"
    assert sorted(path.name for path in (tmp_path / "files").iterdir()) == ["gate.md", "gate.xml"]


def test_a_failure_counts_more_than_an_open_rule(folder):
    rules = [
        {"name": word, "metric": "worst_group_accuracy", "min": limit}
        for word, limit in (("passes", 0.7), ("open", 0.9), ("fails", 0.99))
    ]
    for chosen, verdict, code in ((rules, "fail", 1), (rules[:2], "inconclusive", 3), (rules[:1], "pass", 0)):
        outcome = bk.gate(folder, {"version": 1, "rule": chosen})
        assert (outcome.verdict, outcome.exit_code) == (verdict, code)
        assert outcome.table["name"].tolist() == [rule["name"] for rule in chosen]
    assert "passes pass, open inconclusive" in repr(outcome) or repr(outcome).endswith("(passes pass)>")


def test_bad_input_is_one_line_and_writes_nothing(call, folder, tmp_path):
    path = tmp_path / "policy.toml"
    path.write_text(POLICY.format(floor=0.99) + '\n[[rule]]\nmetric = "flip_rate"\nmax = 0.1\n', encoding="utf-8")
    done = call(folder, "--policy", path, "--out", "files")
    assert done.exit_code == 2  # although another rule fails
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith('error: rule "flip_rate": these data have no twins')
    assert not (tmp_path / "files").exists()
    assert call(folder).exit_code == 2
    assert call(folder, "--policy", "gone.toml").exit_code == 2
    (tmp_path / "file").write_text("mine")
    done = call(folder, "--policy", policy_file(tmp_path, 0.7), "--out", "file")
    assert done.exit_code == 2
    assert (tmp_path / "file").read_text() == "mine"


def test_files_stand_whole_or_not_at_all(folder, tmp_path, monkeypatch):
    outcome = bk.gate(folder, {"version": 1, "rule": [{"metric": "average_accuracy", "min": 0.5}]})
    outcome.save(tmp_path)
    before = (tmp_path / "gate.xml").read_text()

    def full(self, *_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(BiaskitError, match="no space left"):
        outcome.save(tmp_path)
    monkeypatch.undo()
    assert (tmp_path / "gate.xml").read_text() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gate.md", "gate.xml"]


def test_files_go_into_the_folder_and_with_it(call, tmp_path):
    data = dataset(cells(left_red=(45, 50), right_red=(50, 50)))
    found = bk.audit(Channel(0, 2), data, analyzers=["group_accuracy"], device="cpu")
    place = found.save(tmp_path / "audit")
    assert call(place, "--policy", policy_file(tmp_path, 0.7)).exit_code == 0
    assert {"gate.xml", "gate.md"} <= {path.name for path in place.iterdir()}
    found.save(place)  # a new audit takes the place of the old one, and of what was said of it
    assert not (place / "gate.xml").exists()


def test_json_is_one_object(call, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    done = call(folder, "--policy", policy_file(tmp_path, 0.9), "--out", "files", "--json")
    assert done.exit_code == 3
    told = json.loads(done.stdout)
    assert (told["verdict"], told["exit_code"], told["kind"]) == ("inconclusive", 3, "gate")
    assert told["rules"][1]["result"] == "pass"
    assert told["summary"] == "Inconclusive: 1 of 2 rules cannot be decided from this evidence; none fails."
    assert done.stderr.startswith("::warning title=biaskit floor::inconclusive: 90.0 %25 [")


def test_on_github_rules_become_annotations_and_a_summary(call, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    (tmp_path / "summary.md").write_text("earlier\n")
    done = call(folder, "--policy", policy_file(tmp_path, 0.99), "--out", "files")
    assert done.exit_code == 1
    commands = [line for line in done.stdout.splitlines() if line.startswith("::")]
    assert len(commands) == 1
    assert commands[0].startswith("::error title=biaskit floor::fail: 90.0 %25 [78.2, 97")
    summary = (tmp_path / "summary.md").read_text()
    assert summary.startswith("earlier\n## biaskit gate: fail\n")
    assert "| average_accuracy | 96.4 % " in summary
    assert summary == "earlier\n" + (tmp_path / "files" / "gate.md").read_text()


def test_a_summary_that_cannot_be_written_leaves_the_verdict(call, folder, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    for target, why in ((tmp_path / "gone" / "summary.md", "No such file"), (tmp_path, "a folder stands where a file")):
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(target))
        for floor, code in ((0.99, 1), (0.7, 0)):
            done = call(folder, "--policy", policy_file(tmp_path, floor), "--out", "files")
            assert done.exit_code == code
            (line,) = done.stderr.splitlines()
            assert line.startswith("warning: no job summary: ")
            assert why in line
            assert done.stdout.count("::error title=") == code


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="no folder here in which not even the owner can write")
def test_a_folder_that_cannot_be_made_is_one_line(call, folder, tmp_path):
    done = call(folder, "--policy", policy_file(tmp_path, 0.7), "--out", "/proc/made")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == "error: /proc/made cannot be made there; choose another folder with --out\n"


def test_names_that_a_log_cannot_hold_cost_no_exit_code(tmp_path):
    table = pd.DataFrame({"label": ["m\xe4nnlich", "\u5973"] * 50, "prediction": ["m\xe4nnlich", "\u5973"] * 50})
    bk.score(table).save(tmp_path / "score")
    (tmp_path / "policy.toml").write_text('version = 1\n[[rule]]\nmetric = "worst_group_accuracy"\nmin = 0.999\n')
    words = [sys.executable, "-c", "from biaskit.cli import main; main()", "gate", "score", "--policy", "policy.toml"]
    surroundings = {**os.environ, "PYTHONIOENCODING": "ascii", "GITHUB_ACTIONS": "true"}
    done = subprocess.run(words, cwd=tmp_path, env=surroundings, capture_output=True, check=False)
    assert done.returncode == 3, done.stderr
    assert b"m\\xe4nnlich" in done.stdout


def test_junit_reads_as_failing_where_a_rule_does_not_pass(folder):
    rules = [
        {"name": word, "metric": "worst_group_accuracy", "min": limit}
        for word, limit in (("passes", 0.7), ("open", 0.9), ("fails", 0.99))
    ]
    root = ElementTree.fromstring(junit(bk.gate(folder, {"version": 1, "rule": rules}).result))
    (suite,) = root.findall("testsuite")
    assert {key: suite.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "3", "failures": "1", "errors": "1", "skipped": "0",
    }  # fmt: skip
    found = {case.get("name"): [part.tag for part in case] for case in suite.findall("testcase")}
    assert found == {
        "passes": ["system-out"],
        "open": ["error", "system-out"],
        "fails": ["failure", "system-out"],
    }
    assert suite.find("testcase[@name='fails']/failure").get("message").startswith("fail: 90.0 % [78.2, ")


HOSTILE = "a|b <b>&[x](y)\x1b[2J\x00\r\n::error::owned % `c` " + "\N{RIGHT-TO-LEFT OVERRIDE}]]>"


def test_hostile_names_stay_text(tmp_path):
    table = pd.DataFrame({"label": ["ok"] * 20 + [HOSTILE] * 20, "prediction": ["ok"] * 40})
    found = audited(tmp_path / "out", dataset(table, attributes=()))
    result = bk.gate(found, {"version": 1, "rule": [{"metric": "worst_group_accuracy", "min": 0.5}]}).result
    root = ElementTree.fromstring(junit(result))
    assert "a|b <b>&[x](y)" in root.find(".//failure").text
    (command,) = github_commands(result)
    assert "\n" not in command
    assert "\r" not in command
    assert command.count("::") == 4  # two of its own, two in the name, after which nothing is a command
    summary = job_summary(result)
    (row,) = [line for line in summary.splitlines() if line.startswith("| worst")]
    assert len(re.findall(r"(?<!\\)\|", row)) == 5
    assert "<b>" not in summary
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", summary)


def test_ten_annotations_at_most_and_a_summary_that_fits(folder):
    rules = [{"name": f"r{i}", "metric": "worst_group_accuracy", "min": 0.9} for i in range(12)]
    rules += [{"name": f"f{i}", "metric": "worst_group_accuracy", "min": 0.99} for i in range(3)]
    result = bk.gate(folder, {"version": 1, "rule": rules}).result
    found = github_commands(result)
    assert len(found) == 10
    assert [one.split()[0] for one in found[:4]] == ["::error"] * 3 + ["::warning"]
    assert found[-1] == "::warning title=biaskit gate::6 more rules do not pass; the summary of the job lists all"
    many = {**result, "rules": [{**row, "name": f"{row['name']}{'x' * 90}"} for row in result["rules"] * 400]}
    text = job_summary(many)
    assert len(text.encode()) <= MOST_BYTES < 1024**2
    assert re.search(r"\n[\d,]+ more lines do not fit here\.\n$", text)
    assert text.count("| fail |") == 1200  # what fails comes first
    assert job_summary(result, 10) == ""


# docs/gate.md


TEXT = (ROOT / "docs" / "gate.md").read_text(encoding="utf-8")


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", TEXT, re.S)


def test_the_policy_of_the_docs_is_one(tmp_path):
    table = cells(left_red=(480, 500), left_blue=(490, 500), right_red=(480, 500), right_blue=(485, 500))
    train = pd.DataFrame({"label": ["left", "right"] * 20, "color": ["red"] * 38 + ["blue"] * 2})
    data = dataset(table, list(table["prediction"]), train=train, twins=[list(table["prediction"])] * 2)
    wanted = ["group_accuracy", "counterfactual_flips"]
    now, before = audited(tmp_path / "now", data, 0, wanted), audited(tmp_path / "old", data, 1, wanted)
    policy, *others = blocks("toml")
    (tmp_path / "policy.toml").write_text(policy)
    outcome = bk.gate(now, tmp_path / "policy.toml", baseline=before)
    assert outcome.verdict == "pass", outcome.table
    for number, more in enumerate(others):
        path = tmp_path / f"more{number}.toml"
        path.write_text(f"version = 1\n{more}")
        assert [row["result"] for row in bk.gate(now, path, baseline=before).result["rules"]] == ["pass"]


def test_every_metric_and_key_is_in_the_docs():
    for name in (*METRICS, *Rule.model_fields):
        assert f"`{name}`" in TEXT, name


def test_the_workflow_of_the_docs_runs_commands_that_exist():
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    (text,) = blocks("yaml")
    workflow = yaml.safe_load(text)
    (job,) = workflow["jobs"].values()
    commands = typer.main.get_command(app).commands
    seen = []
    for step in job["steps"]:
        for line in step.get("run", "").replace("\\\n", " ").splitlines():
            words = shlex.split(line.split("||")[0])
            if words[:1] != ["biaskit"]:
                continue
            command = commands[words[1]]
            options = {name for parameter in command.params for name in getattr(parameter, "opts", ())}
            assert {word for word in words if word.startswith("--")} <= options, line
            seen.append(words[1])
    assert seen == ["audit", "audit", "gate"]
    assert workflow["permissions"] == {"contents": "read"}
