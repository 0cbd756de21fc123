"""Group metrics against tables computed by hand, scikit-learn and fairlearn."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest
from fairlearn import metrics as fair
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, recall_score

from biaskit.errors import DataError
from biaskit.metrics import count_groups, to_metric_frame
from biaskit.stats import wilson


def categorical(values, categories):
    return pd.Categorical(values, categories=categories)


@pytest.fixture
def small():
    """Twelve images; (1, blue) has none. By hand: 0/red 3 of 4, 0/blue 1 of 2, 1/red 5 of 6."""
    label = ["0"] * 6 + ["1"] * 6
    color = ["red"] * 4 + ["blue"] * 2 + ["red"] * 6
    answer = list("0001") + list("01") + list("111110")
    return pd.DataFrame(
        {
            "label": categorical(label, ["0", "1"]),
            "color": categorical(color, ["red", "blue"]),
            "prediction": categorical(answer, ["0", "1"]),
        }
    )


@pytest.fixture
def random_table():
    rng = np.random.default_rng(0)
    n = 4_000
    label = rng.integers(0, 3, n)
    color, place = rng.integers(0, 2, n), rng.integers(0, 3, n)
    wrong = rng.random(n) < 0.1 + 0.1 * color + 0.05 * place
    prediction = np.where(wrong, rng.integers(0, 3, n), label)
    return pd.DataFrame({"label": label, "color": color, "place": place, "prediction": prediction})


def test_accuracy_table_by_hand(small):
    table = count_groups(small, ["color"]).accuracy_table()
    assert table[["label", "color", "n", "correct"]].to_numpy().tolist() == [
        ["0", "red", 4, 3],
        ["0", "blue", 2, 1],
        ["1", "red", 6, 5],
        ["1", "blue", 0, 0],
    ]
    np.testing.assert_allclose(table["accuracy"], [3 / 4, 1 / 2, 5 / 6, np.nan])
    np.testing.assert_allclose(table["low"], wilson([3, 1, 5, 0], [4, 2, 6, 0])[0])
    np.testing.assert_allclose(table["high"], wilson([3, 1, 5, 0], [4, 2, 6, 0])[1])
    assert table["note"].tolist() == [f"insufficient (n={n})" for n in (4, 2, 6, 0)]


def test_averages_by_hand(small):
    counts = count_groups(small, ["color"])
    assert counts.average_accuracy == 9 / 12
    assert counts.mean_group_accuracy == pytest.approx((3 / 4 + 1 / 2 + 5 / 6) / 3)
    assert counts.adjusted_average_accuracy([[80, 10], [10, 0]]) == pytest.approx(0.8 * 0.75 + 0.1 * 0.5 + 0.1 * 5 / 6)
    assert np.isnan(counts.adjusted_average_accuracy([[80, 10], [5, 5]])), "a training group without test images"
    with pytest.raises(DataError, match=r"shape of the groups \(2, 2\); got \(4,\)"):
        counts.adjusted_average_accuracy([1, 1, 1, 1])


def test_worst_group_is_named_with_its_n(small):
    counts = count_groups(small, ["color"])
    worst = counts.worst_group_accuracy(min_n=1)
    assert (worst.accuracy, worst.group, worst.n) == (0.5, {"label": "0", "color": "blue"}, 2)
    worst = counts.worst_group_accuracy(min_n=3)
    assert worst.group == {"label": "0", "color": "red"}
    assert worst.insufficient == ({"label": "0", "color": "blue"},)
    nothing = counts.worst_group_accuracy()
    assert np.isnan(nothing.accuracy)
    assert len(nothing.insufficient) == 3


def test_marginal_tables(random_table):
    counts = count_groups(random_table, ["color", "place"])
    by = counts.accuracy_table(["place", "label"])
    right = random_table["label"] == random_table["prediction"]
    expected = right.groupby([random_table["place"], random_table["label"]]).agg(["size", "sum", "mean"])
    np.testing.assert_array_equal(by["n"], expected["size"])
    np.testing.assert_array_equal(by["correct"], expected["sum"])
    np.testing.assert_allclose(by["accuracy"], expected["mean"])
    correct, n = counts.by_label("place")
    assert n.shape == (3, 3)
    np.testing.assert_array_equal(correct.T.ravel(), expected["sum"])
    with pytest.raises(DataError, match="no attribute 'shade'"):
        counts.accuracy_table(["shade"])


def test_agrees_with_scikit_learn(random_table):
    t = random_table
    counts = count_groups(t, ["color"])
    assert counts.average_accuracy == accuracy_score(t["label"], t["prediction"])
    matrix = np.zeros((3, 3), int)
    np.add.at(matrix, (counts.cells[:, 0], counts.cells[:, 1]), counts.counts)
    np.testing.assert_array_equal(matrix, confusion_matrix(t["label"], t["prediction"]))
    recalls = counts.rates([])["true_positive_rate"]
    np.testing.assert_allclose(recalls, recall_score(t["label"], t["prediction"], average=None))
    assert recalls.mean() == pytest.approx(balanced_accuracy_score(t["label"], t["prediction"]))


@pytest.mark.parametrize("attributes", [["color"], ["place"], ["color", "place"]])
def test_agrees_with_fairlearn(random_table, attributes):
    t = random_table
    counts = count_groups(t, ["color", "place"])
    measured = {
        fair.demographic_parity_difference: counts.demographic_parity_difference(attributes),
        fair.equal_opportunity_difference: counts.equal_opportunity_difference(attributes),
        fair.equalized_odds_difference: counts.equalized_odds_difference(attributes),
    }
    for function, disparity in measured.items():
        expected = [function(t["label"] == c, t["prediction"] == c, sensitive_features=t[attributes]) for c in range(3)]
        np.testing.assert_allclose(disparity.per_class, expected, err_msg=function.__name__)
        assert disparity.value == pytest.approx(max(expected))
        assert disparity.positive == str(int(np.argmax(expected)))
        assert disparity.undefined == ()


def test_perfect_classifier_is_not_unfair():
    """Group b has no positives of class 1: its true positive rate is unknown, not 0."""
    t = pd.DataFrame({"label": [0, 0, 1, 1, 0, 0], "group": list("aaaabb"), "prediction": [0, 0, 1, 1, 0, 0]})
    counts = count_groups(t, ["group"])
    rates = counts.rates()
    row = rates[(rates["class"] == "1") & (rates["group"] == "b")].iloc[0]
    assert row["positives"] == 0
    assert np.isnan(row["true_positive_rate"])
    odds = counts.equalized_odds_difference()
    assert np.isnan(odds.value)
    assert odds.undefined == ("0", "1")
    assert np.isnan(counts.equal_opportunity_difference().per_class["1"])
    assert counts.equal_opportunity_difference().per_class["0"] == 0
    there = fair.equalized_odds_difference(t["label"], t["prediction"], sensitive_features=t["group"])
    assert there == 1.0, "what fairlearn says; if this changes, the docs should too"


def test_empty_attribute_values_stay_but_do_not_count():
    t = pd.DataFrame(
        {
            "label": categorical(list("0101"), list("01")),
            "color": categorical(list("rrbb"), list("rbg")),
            "prediction": categorical(list("0100"), list("01")),
        }
    )
    counts = count_groups(t, ["color"])
    assert (counts.accuracy_table(["color"])["n"] == [2, 2, 0]).all()
    assert counts.demographic_parity_difference().value == 0.5
    assert counts.rates()["selection_rate"].isna().sum() == 2


def test_classes_that_no_image_has():
    t = pd.DataFrame({"label": ["cat", "dog"], "color": ["r", "b"], "prediction": ["cat", "wolf"]})
    counts = count_groups(t, ["color"])
    assert counts.labels == ("cat", "dog")
    assert counts.classes == ("cat", "dog", "wolf")
    assert counts.n.shape == (2, 2)
    assert counts.average_accuracy == 0.5
    assert counts.demographic_parity_difference().per_class.to_dict() == {"cat": 1.0, "dog": 0.0, "wolf": 1.0}


def test_missing_values_name_column_and_count(small):
    for column in ("color", "label", "prediction"):
        t = small.copy()
        t.loc[[1, 5], column] = None
        with pytest.raises(DataError, match=f"column '{column}' has 2 missing values of 12"):
            count_groups(t, ["color"])
    with pytest.raises(DataError, match="no column shade"):
        count_groups(small, ["shade"])
    with pytest.raises(DataError, match="attribute 'n' has the name of a result column"):
        count_groups(small.rename(columns={"color": "n"}), ["n"])


def test_too_many_groups_says_what_to_drop():
    n = 60_000
    t = pd.DataFrame({"label": np.arange(n) % 2, "prediction": 0, "shade": np.arange(n), "color": 0})
    with pytest.raises(DataError, match="drop attribute 'shade'"):
        count_groups(t, ["shade", "color"])


def test_sparse_and_dense_counting_agree(random_table, monkeypatch):
    dense = count_groups(random_table, ["color", "place"])
    monkeypatch.setattr("biaskit.metrics._DENSE", 0)
    sparse = count_groups(random_table, ["color", "place"])
    np.testing.assert_array_equal(dense.cells, sparse.cells)
    np.testing.assert_array_equal(dense.counts, sparse.counts)


def test_no_rows_give_nan():
    t = pd.DataFrame(
        {
            "label": categorical([], ["0", "1"]),
            "color": categorical([], ["r"]),
            "prediction": categorical([], ["0", "1"]),
        }
    )
    counts = count_groups(t, ["color"])
    assert np.isnan(counts.average_accuracy)
    assert np.isnan(counts.mean_group_accuracy)
    assert counts.accuracy_table()["n"].tolist() == [0, 0]
    assert np.isnan(counts.equalized_odds_difference().value)


def test_metric_frame_is_the_one_of_the_rows(random_table):
    t = random_table.astype(str)
    ours = to_metric_frame(t, ["color", "place"])
    theirs = fair.MetricFrame(
        metrics={"accuracy": accuracy_score},
        y_true=t["label"],
        y_pred=t["prediction"],
        sensitive_features=t[["color", "place"]],
    )
    pd.testing.assert_frame_equal(ours.by_group, theirs.by_group, check_dtype=False)
    assert ours.overall["accuracy"] == pytest.approx(theirs.overall["accuracy"])
    controlled = to_metric_frame(t, ["color", "place"], control=["place"], balanced=balanced_accuracy_score)
    theirs = fair.MetricFrame(
        metrics={"balanced": balanced_accuracy_score},
        y_true=t["label"],
        y_pred=t["prediction"],
        sensitive_features=t[["color"]],
        control_features=t[["place"]],
    )
    pd.testing.assert_frame_equal(controlled.by_group, theirs.by_group, check_dtype=False)
    with pytest.raises(DataError, match="not a control feature"):
        to_metric_frame(t, ["color"], control=["color"])


def test_a_million_rows_are_quick():
    rng, n = np.random.default_rng(0), 1_000_000
    sizes = {"label": 10, "prediction": 10, "color": 2, "place": 5}
    t = pd.DataFrame(
        {
            name: pd.Categorical.from_codes(rng.integers(0, k, n), [str(i) for i in range(k)])
            for name, k in sizes.items()
        }
    )
    start = time.perf_counter()
    counts = count_groups(t, ["color", "place"])
    counts.accuracy_table()
    counts.equalized_odds_difference()
    counts.to_metric_frame()
    # About 0.3 s on one core; a MetricFrame over the rows takes ten times that.
    assert time.perf_counter() - start < 3
    assert counts.n.sum() == n
