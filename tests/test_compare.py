"""Comparisons: the statistics called by hand on the same answers, the family of verdicts, and what is written."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from _shared import ARMS, SEEDS, answered, at_home, comparison, evidence, leaning, recipe_card, shared_home, small
from fairlearn.metrics import MetricFrame
from sklearn.metrics import accuracy_score

import biaskit as bk
from biaskit import runs, stats
from biaskit._differences import differences
from biaskit._plan import plan
from biaskit.contrast import contrast
from biaskit.errors import SpecError, StoreError, UnknownName
from biaskit.evidence import Ground
from biaskit.looks import record_look
from biaskit.measures import headline
from biaskit.recipes import bind_arms

DATA = answered(50)
GROUND = Ground(DATA)


@pytest.fixture
def home():
    with at_home(shared_home()):
        yield


def arm(name, strength, seed=0, **options):
    return evidence(DATA, name, *leaning(DATA, np.random.default_rng(seed), strength, **options))


def table(rows):
    return pd.DataFrame(rows).set_index(["metric", "arm", "against"])


# Statistics


def test_differences_are_those_of_the_statistics():
    a, b = arm("a", 0.6), arm("b", 0.1, seed=1)
    found = table(differences([a, b], GROUND))
    labels = DATA.labels[DATA.rows("test")]
    correct = [(one.answers == labels).astype(float) for one in (a, b)]
    flips = [(one.twin_answers != one.answers).astype(float) for one in (a, b)]
    gap = contrast(DATA, "color").coefficients
    expected = {
        "flip_rate": stats.difference(flips[0], flips[1], groups=GROUND.groups),
        "average_accuracy": stats.difference(correct[0], correct[1], groups=GROUND.groups),
        "gap": stats.difference(correct[0], correct[1], gap, GROUND.groups),
        "worst_group_accuracy": stats.worst_group_difference(*correct, GROUND.groups, GROUND.splits),
    }
    for metric, d in expected.items():
        row = found.loc[(metric, "b", "a")]
        assert row[["estimate", "low", "high", "seeds", "n"]].tolist() == pytest.approx(
            [d.estimate, d.low, d.high, 3, 200]
        )
    judged = [expected["flip_rate"], expected["average_accuracy"]]
    verdicts = stats.judge(judged, ["lower", "higher"])
    for metric, d, verdict in zip(("flip_rate", "average_accuracy"), judged, verdicts, strict=True):
        row = found.loc[(metric, "b", "a")]
        assert row[["p", "p_holm", "low_together", "high_together", "detectable"]].tolist() == pytest.approx(
            [d.p, verdict.p_holm, verdict.low, verdict.high, verdict.smallest_detectable]
        )
        assert row["verdict"] == verdict.word == "better"
    assert found.loc[("flip_rate", "b", "a"), "estimate"] == pytest.approx(flips[1].mean() - flips[0].mean())
    for metric in ("gap", "worst_group_accuracy"):
        assert found.loc[(metric, "b", "a"), ["p", "p_holm", "verdict", "detectable"]].isna().all()


def test_the_family_is_two_metrics_times_all_pairs():
    arms = [arm("a", 0.50), arm("b", 0.42, seed=1), arm("c", 0.35, seed=2)]
    found = table(differences(arms, GROUND))
    judged = found[found["verdict"].notna()]
    assert sorted(set(judged.index.get_level_values("metric"))) == ["average_accuracy", "flip_rate"]
    assert [(b, a) for _, b, a in judged.index[:3]] == [("b", "a"), ("c", "a"), ("c", "b")]
    assert len(judged) == 6
    np.testing.assert_allclose(judged["p_holm"], stats.holm(judged["p"].to_numpy(float)))
    assert (judged["p_holm"] > judged["p"]).any()


def test_a_reference_makes_a_smaller_family():
    arms = [arm("a", 0.50), arm("b", 0.42, seed=1), arm("c", 0.35, seed=2)]
    found = table(differences(arms, GROUND, reference="b"))
    judged = found[found["verdict"].notna()]
    assert {(b, a) for _, b, a in found.index} == {("a", "b"), ("c", "b")}
    np.testing.assert_allclose(judged["p_holm"], stats.holm(judged["p"].to_numpy(float)))
    whole = table(differences(arms, GROUND))
    one = ("flip_rate", "c", "b")
    assert found.loc[one, "estimate"] == whole.loc[one, "estimate"]
    assert found.loc[("flip_rate", "a", "b"), "estimate"] == -whole.loc[("flip_rate", "b", "a"), "estimate"]
    assert found.loc[one, "low_together"] > whole.loc[one, "low_together"]


@pytest.mark.parametrize("seeds", [1, 2])
def test_below_three_seeds_there_is_no_verdict(seeds):
    found = table(differences([arm("a", 0.9, seeds=seeds), arm("b", 0.1, seed=1, seeds=seeds)], GROUND))
    row = found.loc[("flip_rate", "b", "a")]
    assert (row["verdict"], row["reason"]) == ("inconclusive", "needs 3 seeds")
    assert row["low"] < row["estimate"] < row["high"]
    assert row["estimate"] == pytest.approx(-0.8, abs=0.1)
    assert row["seeds_needed"] is None or np.isnan(row["seeds_needed"])


def test_each_look_takes_its_part_of_the_error():
    arms = [arm("a", 0.50), arm("b", 0.40, seed=1)]
    one, two = (table(differences(arms, GROUND, looks=looks)) for looks in (1, 2))
    key = ("flip_rate", "b", "a")
    assert two.loc[key, "p_holm"] == one.loc[key, "p_holm"]
    assert two.loc[key, "low_together"] < one.loc[key, "low_together"]
    assert two.loc[key, "detectable"] > one.loc[key, "detectable"]
    strict = [
        looks for looks in range(1, 40) if table(differences(arms, GROUND, looks=looks)).loc[key, "verdict"] == "better"
    ]
    assert strict == list(range(1, int(0.05 / one.loc[key, "p_holm"]) + 1))


def test_identical_arms_say_so():
    a = arm("a", 0.5)
    found = table(differences([a, evidence(DATA, "b", a.answers, a.twin_answers)], GROUND))
    for metric in ("flip_rate", "average_accuracy"):
        row = found.loc[(metric, "b", "a")]
        assert row[["estimate", "p", "p_holm"]].tolist() == [0.0, 1.0, 1.0]
        assert (row["verdict"], row["reason"]) == ("inconclusive", "identical predictions")
        assert row["low"] < 0 < row["high"]


def test_a_repeated_seed_counts_once():
    a, b = arm("a", 0.5, seeds=4), arm("b", 0.4, seed=1, seeds=4)
    a.answers[3], a.twin_answers[3] = a.answers[0], a.twin_answers[0]
    row = table(differences([a, b], GROUND)).loc[("average_accuracy", "b", "a")]
    assert row["seeds"] == 3
    assert "seed 3 has the predictions of seed 0" in row["note"]


def test_a_margin_asks_for_equivalence():
    a, b = arm("a", 0.30, seeds=5), arm("b", 0.30, seeds=5, mistakes=0.1)
    for margin, word in ((0.1, "no relevant difference"), (0.001, "inconclusive"), (None, "inconclusive")):
        rows = table(differences([a, b], GROUND, margin=margin))
        assert rows.loc[("flip_rate", "b", "a"), "verdict"] == word
    far = table(differences([arm("a", 0.9, seeds=5), arm("b", 0.1, seed=1, seeds=5)], GROUND, margin=0.1))
    assert far.loc[("flip_rate", "b", "a"), "beyond_margin"]


def test_what_would_settle_it():
    def scattered(name, strengths):
        parts = [leaning(DATA, np.random.default_rng(seed), one, seeds=1) for seed, one in enumerate(strengths)]
        return evidence(DATA, name, *(np.concatenate(part) for part in zip(*parts, strict=True)))

    arms = [scattered("a", (0.3, 0.5, 0.7)), scattered("b", (0.25, 0.55, 0.55))]
    flips = [(one.answers != one.twin_answers).astype(float) for one in arms]
    d = stats.difference(*flips, None, GROUND.groups)
    row = table(differences(arms, GROUND, margin=0.15)).loc[("flip_rate", "b", "a")]
    assert row["verdict"] == "inconclusive"
    assert row["seeds_needed"] == stats.seeds_needed(d, 0.15, 2) > 3
    assert row["new_runs"] == 2 * (row["seeds_needed"] - 3)
    found = table(differences(arms, GROUND)).loc[("flip_rate", "b", "a")]
    assert found["estimate"] == pytest.approx(-1 / 20, abs=0.05)
    assert found["detectable"] > abs(found["estimate"])


def test_the_gap_decides_where_the_card_says_so():
    data = DATA.replace(card={**DATA.card, "reliance": "gap"})
    found = table(differences([arm("a", 0.5), arm("b", 0.1, seed=1)], Ground(data)))
    assert set(found[found["verdict"].notna()].index.get_level_values("metric")) == {"gap", "average_accuracy"}


def continuous(name, values, rows, seeds=3):
    """An arm whose continuity was measured: nds as given, ds five times it."""
    parts = [
        pd.DataFrame({"row": rows, "ds": 5 * np.nan_to_num(values, nan=1.0), "nds": values, "seed": seed})
        for seed in range(seeds)
    ]
    for seed, part in enumerate(parts):
        part[["ds", "nds"]] *= 1 + 0.1 * seed
        part[["perturbation", "level"]] = "all", 1
    a = arm(name, 0.5, seed=len(name))
    return evidence(DATA, name, a.answers, a.twin_answers, continuity=pd.concat(parts, ignore_index=True))


def test_continuity_is_compared_image_by_image():
    rows, nds = np.arange(200, 260), np.linspace(0.1, 1.0, 60)
    gone_a, gone_b = nds.copy(), 0.5 * nds
    gone_a[0], gone_b[59] = np.nan, np.nan  # a class of equal answers in one arm, another one in the other
    found = table(differences([continuous("a", gone_a, rows), continuous("b", gone_b, rows)], GROUND))
    row = found.loc[("nds", "b", "a")]
    assert row["n"] == 58
    assert row["estimate"] == pytest.approx(-0.5 * 1.1 * nds[1:59].mean())
    assert row["high"] < 0
    ratio = found.loc[("ds", "b", "a")]
    logs = [np.log(np.nan_to_num(one, nan=1.0)) for one in (gone_a, gone_b)]
    assert (ratio["n"], ratio["ratio"]) == (60, True)
    assert ratio["estimate"] == pytest.approx(np.exp((logs[1] - logs[0]).mean()))


# A comparison that was trained


def test_one_arm_has_numbers_and_no_differences(home):
    one = bk.compare(["plain"], small(), seeds=SEEDS)
    assert one.result["differences"] == one.result["verdicts"] == []
    assert one.differences.empty
    assert set(one.table["arm"]) == {"plain"}
    whole = comparison().table
    pd.testing.assert_frame_equal(one.table, whole[whole["arm"] == "plain"].reset_index(drop=True))


def test_two_names_for_one_recipe(home, tmp_path):
    same = recipe_card(tmp_path, "mine", more='schedule = "cosine"')
    one = bk.compare([same, "plain"], small(), seeds=SEEDS)
    rows = one.differences[one.differences["verdict"].notna()]
    assert rows["reason"].tolist() == ["identical predictions"] * 2
    assert [run["arm"] for run in one.result["runs"]] == ["mine"] * 3 + ["plain"] * 3
    assert all(run["stored"] for run in one.result["runs"] if run["arm"] == "plain")
    assert [arm["parameters"] for arm in one.result["arms"]] == [one.result["arms"][0]["parameters"]] * 2


def test_set_with_and_without_an_arm(home):
    arms = bind_arms(ARMS, small(), ["stage.0.loss.alpha=0.7", "aug:stage.0.epochs=2", "stage.0.clip=1.0"])
    by_name = {arm.name: arm for arm in arms}
    assert by_name["semcont"].card["stage"][0]["loss"]["alpha"] == 0.7
    assert [by_name[name].card["stage"][0]["epochs"] for name in ARMS] == [1, 2, 1]
    assert [arm.card["stage"][0]["clip"] for arm in arms] == [1.0] * 3
    assert by_name["plain"].changes == ("stage.0.clip=1.0",)
    assert by_name["semcont"].changes == ("stage.0.loss.alpha=0.7", "stage.0.clip=1.0")
    assert by_name["aug"].changes == ("stage.0.epochs=2", "stage.0.clip=1.0")
    assert by_name["semcont"].control == "aug"


def test_one_option_of_an_optimizer_leaves_the_others():
    data = bk.build("colordigits", set=["training.optimizer.name=sgd", "training.optimizer.lr=0.05"])
    before, after, other = (
        bind_arms(["plain"], data, changes)[0].card["stage"][0]["optimizer"]
        for changes in ([], ["stage.0.optimizer.weight_decay=0.1"], ["stage.0.optimizer.name=adamw"])
    )
    assert (before["name"], before["lr"]) == ("sgd", 0.05)
    assert after == {**before, "weight_decay": 0.1}
    assert (other["name"], other["lr"]) == ("adamw", 0.001)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stage.0.loss.aplha=1", "no arm has the key stage.0.loss.aplha; did you mean stage.0.loss.alpha"),
        ("jtt:stage.0.epochs=1", "no arm 'jtt' in this comparison"),
        ("plain:stage.0.loss.alpha=1", "no arm has the key stage.0.loss.alpha"),
        ("stage.0.epochs", r"is not \[ARM:\]KEY=VALUE"),
        ("stage.0.epochs=many", "stage.0.epochs"),
        ("stage.0.loss.alpha=-1", "greater than or equal to 0"),
        ("stage.5.epochs=1", "no arm has the key stage.5.epochs"),
        ("stage.0.epochs=0", "greater than 0"),
    ],
)
def test_set_that_does_not_fit(text, message):
    with pytest.raises(SpecError, match=message) as error:
        bind_arms(ARMS, small(), [text])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"seeds": 0}, SpecError, "seeds must be"),
        ({"seeds": [1, 1]}, SpecError, "seeds must be"),
        ({"seeds": [-1, 0]}, SpecError, "seeds must be"),
        ({"margin": 5}, SpecError, "--margin 5: a difference of rates lies between 0 and 1"),
        ({"reference": "jtt"}, SpecError, "--reference jtt: not among the arms plain, aug"),
        ({"analyzers": ["flips"]}, UnknownName, "no analyzer 'flips'"),
        ({"arms": ["plain", "plain"]}, SpecError, "plain is named twice"),
        ({"arms": []}, SpecError, "name at least one recipe"),
        ({"arms": ["plian"]}, UnknownName, "no recipe 'plian'; nearest: plain"),
    ],
)
def test_what_is_asked_is_checked_before_training(monkeypatch, options, error, message):
    monkeypatch.setattr(runs, "fit", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(error, match=message):
        bk.compare(options.pop("arms", ["plain", "aug"]), small(), **options)


def test_looks_are_counted(home, tmp_path):
    with at_home(tmp_path):
        seen = [
            bk.compare(["plain", "aug"], small(), seeds=seeds, analyzers=["counterfactual_flips"]) for seeds in (3, 4)
        ]
        again = bk.compare(["aug", "plain"], small(), seeds=3, analyzers=["counterfactual_flips"])
        few = bk.compare(["plain", "aug"], small(), seeds=2, analyzers=["counterfactual_flips"])
        other = bk.compare(["plain", "aug"], small(), seeds=3, margin=0.01, analyzers=["counterfactual_flips"])
    assert [one.result["looks"] for one in seen] == [[3], [3, 4]]
    assert again.result["looks"] == [4, 3]
    assert few.result["looks"] == [2]
    assert other.result["looks"] == [3]
    stored = [run["stored"] for run in seen[1].result["runs"]]
    assert stored == [True] * 3 + [False] + [True] * 3 + [False]


def test_a_count_of_looks_that_cannot_be_read(tmp_path):
    with at_home(tmp_path):
        assert record_look("a", 3) == [3]
        assert record_look("a", 5) == [3, 5]
        (tmp_path / "looks.json").write_text("[torn")
        with pytest.raises(StoreError, match="remove it"):
            record_look("a", 6)


def test_progress_tells_everything_but_the_result(home, tmp_path):
    told = []
    with at_home(tmp_path):
        bk.compare(["plain", "aug"], small(), seeds=2, analyzers=["group_accuracy"], progress=told.append)
    ends = [(one.number, one.arm, one.seed, one.state) for one in told if one.state != "training"]
    order = [("plain", 0), ("aug", 0), ("plain", 1), ("aug", 1)]
    assert ends[:4] == [(number, *pair, "trained") for number, pair in enumerate(order, 1)]
    # Nothing of the test set is measured before the last run has ended.
    assert ends[4:] == [
        (number, *pair, state) for number, pair in enumerate(order, 1) for state in ("measuring", "measured")
    ]


# What is written


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return comparison().save(tmp_path_factory.mktemp("saved") / "out")


def test_the_folder_is_complete(folder):
    result = json.loads((folder / "result.json").read_text(), parse_constant=pytest.fail)
    assert result == comparison().result
    assert result["schema_version"] == 1
    assert result["seeds"] == [0, 1, 2]
    assert result["checkpoint"] == "last epoch"
    assert {path.name for path in folder.iterdir()} == {
        "result.json", "predictions.parquet", "tables", "figures", "report.html", "methods.md",
    }  # fmt: skip
    tables = {path.stem: pd.read_csv(path) for path in (folder / "tables").glob("*.csv")}
    assert set(tables) == {
        "headline", "gaps", "differences", "groups", "attribute_values", "continuity", "runs", "data",
    }  # fmt: skip
    for ending in ("md", "tex"):
        assert {path.stem for path in (folder / "tables").glob(f"*.{ending}")} == set(tables)
    assert len(tables["groups"]) == 3 * 20
    assert tables["data"]["n"].sum() == 997 + 800
    keys = {"contrast", "metric", "estimate", "low", "high", "n_seeds", "verdict"}
    assert all(set(row) == keys for row in result["verdicts"])
    assert len(result["verdicts"]) == 6
    assert result["command"] == "biaskit compare plain aug semcont --on smalldigits --seeds 3"


def test_every_column_of_predictions(folder):
    frame = pd.read_parquet(folder / "predictions.parquet")
    assert list(frame.columns) == [
        "arm", "seed", "row", "split", "pair", "label", "color", "prediction", "confidence", "logits",
    ]  # fmt: skip
    assert len(frame) == 3 * SEEDS * 1600
    assert frame.groupby(["arm", "seed"], observed=True).size().unique().tolist() == [1600]
    assert set(frame["split"]) == {"test", "twin"}
    logits = np.stack(frame["logits"].to_list())
    assert logits.shape == (len(frame), 10)
    np.testing.assert_array_equal(frame["prediction"].astype(int), logits.argmax(1))


def test_the_headline_follows_from_the_predictions(folder):
    frame = pd.read_parquet(folder / "predictions.parquet")
    result = json.loads((folder / "result.json").read_text())
    train = {row["color"]: row["n"] for row in result["data"]["contingency"] if row["split"] == "train"}
    assert train  # the mix of train is in the result, for the adjusted average
    mix = {(row["label"], row["color"]): row["n"] for row in result["data"]["contingency"] if row["split"] == "train"}
    values = {(row["arm"], row["metric"]): row for row in result["headline"]}
    for name in ARMS:
        per_seed, by_group = [], []
        for _, run in frame[frame["arm"] == name].groupby("seed"):
            test, twin = run[run["split"] == "test"], run[run["split"] == "twin"]
            right = test["prediction"].astype(str) == test["label"].astype(str)
            flipped = test["prediction"].astype(str).to_numpy() != twin["prediction"].astype(str).to_numpy()
            groups = right.groupby([test["label"], test["color"]]).mean()
            sizes = right.groupby([test["label"], test["color"]]).size()
            by_group.append(groups[sizes >= 10])
            by_label = groups.unstack()
            rates = {value: part["prediction"].value_counts(normalize=True) for value, part in test.groupby("color")}
            shares = np.array([mix[key] for key in groups.index], float)
            per_seed.append(
                {
                    "flip_rate": flipped.mean(),
                    "average_accuracy": right.mean(),
                    "gap": (by_label["red"] - by_label["blue"]).mean(),  # every label has 80 test images
                    "worst_group_accuracy": groups[sizes >= 10].min(),
                    "mean_group_accuracy": groups.mean(),
                    "adjusted_average_accuracy": (groups * shares).sum() / shares.sum(),
                    "demographic_parity_difference": (rates["red"] - rates["blue"]).abs().max(),
                }
            )
        means = pd.DataFrame(per_seed).mean()
        # The extremes are those of the means over seeds: the numbers that stand in the table of groups.
        overall = pd.concat(by_group, axis=1).mean(axis=1)
        means["worst_group_accuracy"], means["max_min_gap"] = overall.min(), np.ptp(overall)
        worst = values[name, "worst_group_accuracy"]
        assert worst["low"] <= worst["value"] <= worst["high"]
        assert worst["group"] == ", ".join(overall.idxmin())
        for metric, value in means.items():
            assert values[name, metric]["value"] == pytest.approx(value, abs=1e-9), (name, metric)
            assert values[name, metric]["seeds"] == SEEDS
        for seed, one in enumerate(per_seed):
            row = next(row for row in result["runs"] if (row["arm"], row["seed"]) == (name, seed))
            assert row["average_accuracy"] == pytest.approx(one["average_accuracy"])
            assert row["flip_rate"] == pytest.approx(one["flip_rate"])
            assert row["gap"] == pytest.approx(one["gap"])
            assert row["worst_group_accuracy"] == pytest.approx(one["worst_group_accuracy"])
    for row in result["differences"]:
        if row["metric"] in ("flip_rate", "average_accuracy", "gap"):
            both = [values[name, row["metric"]]["value"] for name in (row["arm"], row["against"])]
            assert row["estimate"] == pytest.approx(both[0] - both[1], abs=1e-9)


def test_nds_follows_from_its_samples():
    one = comparison()
    for name in ARMS:
        samples = pd.concat([one.audits[name, seed]["continuity"].samples for seed in range(SEEDS)])
        level = samples[(samples["level"] == 1) & (samples["perturbation"] == "all")]
        row = next(r for r in one.result["headline"] if (r["arm"], r["metric"]) == (name, "nds"))
        complete = level.groupby("row")["nds"].transform(lambda values: values.notna().all())
        assert row["value"] == pytest.approx(level[complete]["nds"].mean(), rel=1e-6)
        ds = next(r for r in one.result["headline"] if (r["arm"], r["metric"]) == (name, "ds"))
        assert ds["value"] == pytest.approx(level["ds"].mean(), rel=1e-6)
        assert (ds["n"], ds["seeds"]) == (800, 3)
        parts = [r for r in one.result["continuity"] if (r["arm"], r["level"]) == (name, 1)]
        whole = next(r["ds"] for r in parts if r["perturbation"] == "all")
        assert whole == pytest.approx(sum(r["ds"] for r in parts if r["perturbation"] != "all"), rel=1e-5)


def test_the_metric_frame_is_fairlearns():
    one = comparison()
    frame = one.to_metric_frame("aug", 1)
    part = one.predictions.query("arm == 'aug' and seed == 1 and split == 'test'")
    direct = MetricFrame(
        metrics={"accuracy": accuracy_score},
        y_true=part["label"].astype(str).to_numpy(),
        y_pred=part["prediction"].astype(str).to_numpy(),
        sensitive_features=part["color"].astype(str).to_numpy(),
    )
    assert frame.overall["accuracy"] == pytest.approx(direct.overall["accuracy"])
    assert frame.by_group["accuracy"].to_dict() == pytest.approx(direct.by_group["accuracy"].to_dict())
    assert one.to_metric_frame("aug").overall["accuracy"] != frame.overall["accuracy"]
    with pytest.raises(bk.DataError, match="no predictions of arm 'jtt'"):
        one.to_metric_frame("jtt")


def test_examples_show_what_was_answered():
    result, predictions = comparison().result, comparison().predictions
    assert {example["rule"] for example in result["examples"]} == {"most changed under plain", "drawn at random"}
    for example in result["examples"]:
        assert example["value"] != example["twin_value"]
        assert example["image"].startswith("data:image/png;base64,")
        assert example["image"] != example["twin"]
        for answer in example["answers"]:
            row = predictions.query(f"arm == '{answer['arm']}' and seed == 0 and row == {example['row']}").iloc[0]
            assert (row["prediction"], row["label"]) == (answer["prediction"], example["label"])
            assert answer["correct"] == (answer["prediction"] == example["label"])


def test_analyses_are_stored_with_the_run(home, monkeypatch):
    first = bk.compare(["plain"], small(), seeds=SEEDS)
    monkeypatch.setattr("biaskit.analyzers._continuity._distances", lambda *_: pytest.fail("measured again"))
    again = bk.compare(["plain"], small(), seeds=SEEDS)
    pd.testing.assert_frame_equal(first.table, again.table)
    pd.testing.assert_frame_equal(
        first.audits["plain", 0]["continuity"].table, again.audits["plain", 0]["continuity"].table
    )


def test_arms_do_not_change_each_others_numbers(home):
    two = {row["metric"]: row for row in headline_of(bk.compare(["aug", "plain"], small(), seeds=SEEDS), "plain")}
    three = {row["metric"]: row for row in headline_of(comparison(), "plain")}
    assert two == three


def headline_of(one, name):
    return [row for row in one.result["headline"] if row["arm"] == name]


def test_headline_of_an_arm_by_the_statistics():
    a = arm("a", 0.4)
    found = {row["metric"]: row for row in headline(a, GROUND)}
    correct = (a.answers == DATA.labels[DATA.rows("test")]).astype(float)
    for metric, rate in (
        ("average_accuracy", stats.arm_rate(correct, None, GROUND.groups)),
        ("flip_rate", stats.arm_rate((a.answers != a.twin_answers).astype(float))),
        ("gap", stats.arm_contrast(correct, contrast(DATA, "color").coefficients, GROUND.groups)),
        ("worst_group_accuracy", stats.arm_worst_group(correct, GROUND.groups, GROUND.splits)),
        ("max_min_gap", stats.arm_max_min_gap(correct, GROUND.groups, GROUND.splits)),
    ):
        assert [found[metric][key] for key in ("low", "high")] == pytest.approx([rate.low, rate.high]), metric
    assert found["worst_group_accuracy"]["half_split"] == pytest.approx(
        stats.arm_worst_group(correct, GROUND.groups, GROUND.splits).estimate
    )
    assert found["gap"]["p"] > 0.01
    assert found["gap"]["noise"] > 0


# Planning


def test_a_plan_is_of_the_spread_alone(home):
    found = plan("plain", "aug", small(), effect=0.05, pilot=3).set_index("metric")
    rows = comparison().differences.set_index(["metric", "arm", "against"])
    assert list(found.index) == ["flip_rate", "average_accuracy"]
    one = bk.compare(["plain", "aug"], small(), seeds=SEEDS)
    judged = one.differences.set_index("metric")
    for metric in found.index:
        assert found.loc[metric, "detectable_3"] == pytest.approx(judged.loc[metric, "detectable"])
        wide = found.loc[metric, ["detectable_3", "detectable_5", "detectable_10", "detectable_20"]].to_numpy(float)
        assert (np.diff(wide) < 0).all()
    assert (found["n"] == 800).all()
    assert len(rows) == 18
    with pytest.raises(SpecError, match="--pilot 1: one seed shows no spread"):
        plan("plain", "aug", small(), pilot=1)
