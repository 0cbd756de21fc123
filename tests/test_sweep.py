"""Sweeps: one recipe over the values of an option, with the runs of a comparison."""

from __future__ import annotations

import json

import pytest
from _shared import SEEDS, at_home, dataset_card, shared_home, small
from typer.testing import CliRunner

import biaskit as bk
from biaskit import runs
from biaskit._sweep import parse_param, swept_arms
from biaskit.cli import app
from biaskit.errors import SpecError, UnknownName
from biaskit.telling import sweep as telling
from biaskit.telling.numbers import ASCII

ALPHA = "stage.0.loss.alpha"
FAST = ["group_accuracy", "counterfactual_flips"]


@pytest.fixture(scope="module")
def swept():
    with at_home(shared_home()):
        return bk.sweep("semcont", ALPHA, [0.0, 0.1, 3], small(), seeds=SEEDS)


def test_a_row_per_value_and_metric(swept):
    result = swept.result
    told = result["sweep"]
    assert result["kind"] == "sweep"
    assert told["arms"] == ["semcont alpha=0", "semcont alpha=0.1", "semcont alpha=3"]
    assert (told["recipe"], told["param"], told["values"]) == ("semcont", ALPHA, [0.0, 0.1, 3])
    metrics = [row["metric"] for row in told["rows"]]
    for name in ("flip_rate", "average_accuracy", "gap", "worst_group_accuracy", "nds", "ds", "discontinuity_rate"):
        assert metrics.count(name) == 3
    rows = {(row["arm"], row["metric"]): row for row in told["rows"]}
    for head in result["headline"]:
        row = rows[head["arm"], head["metric"]]
        assert row["value"] == told["values"][told["arms"].index(row["arm"])]
        assert [row[key] for key in ("estimate", "low", "high", "n", "seeds")] == [
            head[key] for key in ("value", "low", "high", "n", "seeds")
        ]
        assert row["title"]


def test_every_value_is_compared_with_the_first(swept):
    assert swept.result["reference"] == "semcont alpha=0"
    assert {row["against"] for row in swept.result["differences"]} == {"semcont alpha=0"}
    # Holm over both deciding metrics and both other values.
    assert len(swept.result["verdicts"]) == 4


def test_the_option_reaches_the_card(swept):
    cards = [arm["card"]["stage"][0]["loss"]["alpha"] for arm in swept.result["arms"]]
    assert cards == [0.0, 0.1, 3.0]
    accuracy = [row["estimate"] for row in swept.result["sweep"]["rows"] if row["metric"] == "ds"]
    assert accuracy[2] < accuracy[0]


def test_a_value_equal_to_the_cards_own_shares_its_runs(swept, monkeypatch):
    monkeypatch.setattr(runs, "fit", lambda *_, **__: pytest.fail("trained again"))
    with at_home(shared_home()):
        own = bk.compare(["semcont"], small(), seeds=SEEDS, analyzers=FAST)
    told = {(run["arm"], run["seed"]): run["fingerprint"] for run in swept.result["runs"]}
    assert [run["fingerprint"] for run in own.result["runs"]] == [
        told["semcont alpha=0.1", seed] for seed in range(SEEDS)
    ]


def test_names():
    data = small()
    names = [
        arm.name
        for arm in swept_arms("semcont", "stage.0.perturbation.operations", [["hue"], ["hue", "contrast"]], data)
    ]
    assert names == ["semcont operations=hue", "semcont operations=hue+contrast"]
    names = [arm.name for arm in swept_arms("plain", "model.name", ["resnet_small", "resnet18"], data)]
    assert names == ["plain model=resnet_small", "plain model=resnet18"]
    names = [arm.name for arm in swept_arms("plain", "stage.0.optimizer.lr", [1e-4, 0.01], data)]
    assert names == ["plain lr=0.0001", "plain lr=0.01"]


def test_values_of_the_same_six_digits_have_names_of_their_own():
    """And so have they in the table and the figures."""
    data = small()
    names = [arm.name for arm in swept_arms("semcont", ALPHA, [0.1, 0.1000000001, 1 / 3], data)]
    assert names == ["semcont alpha=0.1", "semcont alpha=0.1000000001", "semcont alpha=0.333333"]
    told = {"sweep": {"param": ALPHA, "values": [0.1, 0.1000000001, 1 / 3, 1]}}
    assert [telling._value(told, v, ASCII) for v in told["sweep"]["values"]] == ["0.1", "0.1000000001", "0.333333", "1"]
    long = [["hue", "contrast", "brightness"] * 3, ["hue", "contrast", "brightness"] * 3 + ["hue"]]
    with pytest.raises(SpecError, match=r"--param .*: \[.*\] and \[.*\] would both be called semcont operations=hue"):
        swept_arms("semcont", "stage.0.perturbation.operations", long, data)


def test_pixel_distances_are_fractions():
    names = [arm.name for arm in swept_arms("adv", "stage.0.attack.epsilon", [4 / 255, "8/255", 0.1], small())]
    assert names == ["adv epsilon=4_255", "adv epsilon=8_255", "adv epsilon=0.1"]
    told = {"sweep": {"param": "stage.0.attack.epsilon", "values": [4 / 255, "8/255"]}}
    assert [telling._value(told, v, ASCII) for v in told["sweep"]["values"]] == ["4/255", "8/255"]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a.b=0,0.1,1e-3", [0, 0.1, 1e-3]),
        ("a.b=true,false", [True, False]),
        ('a.b=["hue"],["hue","contrast"]', [["hue"], ["hue", "contrast"]]),
        ("a.b=small,imagenet", ["small", "imagenet"]),
        ("a.b=1", [1]),
    ],
)
def test_values_are_written_as_in_set(text, values):
    assert parse_param(text) == ("a.b", values)


@pytest.mark.parametrize("text", ["a.b", "a.b=", "=1,2", "plain:a.b=1,2"])
def test_a_param_that_cannot_be_read(text):
    with pytest.raises(SpecError, match="--param"):
        parse_param(text)


@pytest.mark.parametrize(
    ("recipe", "param", "values", "message"),
    [
        ("semcont", ALPHA, [1.0], "needs two values or more"),
        ("semcont", ALPHA, [0.1, 1.0, 0.1], "are the same training"),
        ("semcont", ALPHA, [1, 1.0], "are the same training"),
        ("semcont", ALPHA, [-1.0, 1.0], "greater than or equal to 0"),
        ("semcont", "stage.0.loss.alfa", [0, 1], "^--param stage.0.loss.alfa=0: .* did you mean stage.0.loss.alpha"),
        ("semcont", "stage.3.loss.alpha", [0, 1], "^--param stage.3.loss.alpha=0: the recipe has no key"),
        ("semcont", ALPHA, [0.0, float("nan")], "^--param stage.0.loss.alpha=nan: .* is finite"),
        ("semcont", ALPHA, [0.0, float("inf")], "^--param stage.0.loss.alpha=inf: .* is finite"),
        ("semcont", "model", [{"name": "resnet_small", "width": float("nan")}, "x"], "^--param model=.* is finite"),
    ],
)
def test_what_cannot_be_swept(recipe, param, values, message):
    with pytest.raises(SpecError, match=message) as error:
        swept_arms(recipe, param, values, small())
    assert "--set" not in str(error.value)


def test_what_is_wrong_with_a_change_is_said_of_the_change():
    with pytest.raises(SpecError, match=r"^--set 'stage.0.epochz=1': no arm has the key"):
        swept_arms("semcont", ALPHA, [0, 1], small(), ["stage.0.epochz=1"])


def test_analyzers_with_options_are_recorded(swept):
    with at_home(shared_home()):
        found = bk.sweep(
            "semcont", ALPHA, [0.0, 3], small(), seeds=1, analyzers={"continuity": {"images": 40, "views": []}},
            set=["analyzer.continuity.levels=[1]"],
        )  # fmt: skip
    words = "--analyzers continuity --set analyzer.continuity.images=40 --set 'analyzer.continuity.views=[]'"
    end = "--set 'analyzer.continuity.levels=[1]' --param stage.0.loss.alpha=0.0,3"
    assert found.result["command"].endswith(f" --seeds 1 {words} {end}")
    (told,) = found.result["analyses"]
    assert (told["options"]["images"], told["options"]["levels"], told["options"]["views"]) == (40, [1], [])


def test_a_recipe_that_is_not_there():
    with pytest.raises(UnknownName, match="nearest: semcont"):
        swept_arms("semcon", ALPHA, [0, 1], small())


# the command


@pytest.fixture
def call(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")

    def run(*words):
        monkeypatch.setattr("sys.argv", ["biaskit", *map(str, words)])
        with at_home(shared_home()):
            return CliRunner().invoke(app, [str(word) for word in words])

    return run


def test_the_command(call, swept, tmp_path):
    card = dataset_card(shared_home())
    words = ["sweep", "semcont", "--param", f"{ALPHA}=0.0,0.1,3", "--on", card, "--seeds", "3"]
    done = call(*words, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout, parse_constant=pytest.fail)
    assert told["sweep"] == json.loads(json.dumps(swept.result["sweep"]))
    assert told["command"] == f"biaskit sweep semcont --param {ALPHA}=0.0,0.1,3 --on {card} --seeds 3"
    (folder,) = tmp_path.glob("biaskit-sweep-semcont-alpha-????????")
    assert {one.name for one in folder.iterdir()} == {
        "result.json", "predictions.parquet", "tables", "figures", "report.html", "methods.md",
    }  # fmt: skip
    assert "sweep.svg" in {one.name for one in (folder / "figures").iterdir()}
    shown = call(*words, "--out", "out")
    assert shown.exit_code == 0, shown.output
    assert "alpha" in shown.stdout
    assert "Traceback" not in shown.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["semcont", "--param", f"{ALPHA}=0,1", "--param", "stage.0.epochs=1,2"], "a sweep changes one option"),
        (["semcont", "--param", f"{ALPHA}=0"], "needs two values or more"),
        (["semcont", "--param", f"{ALPHA}=0,nan"], "--param stage.0.loss.alpha=nan: a value to train with is finite"),
        (["semcont", "--param", "stage.0.loss.alfa=0,1"], "error: --param stage.0.loss.alfa=0: the recipe has no key"),
        (["semcon", "--param", f"{ALPHA}=0,1"], "nearest: semcont"),
        (["semcont", "--param", ALPHA], "is not KEY=VALUE,VALUE"),
    ],
)
def test_the_command_refuses_in_one_line(call, monkeypatch, words, message):
    monkeypatch.setattr(runs, "fit", lambda *_, **__: pytest.fail("trained"))
    done = call("sweep", *words, "--on", dataset_card(shared_home()))
    assert done.exit_code == 2, done.output
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last
