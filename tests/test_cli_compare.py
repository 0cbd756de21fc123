"""``train``, ``compare`` and ``plan`` on the command line: what they print, write and return."""

from __future__ import annotations

import json
import re
import shlex

import pandas as pd
import pytest
from _shared import SEEDS, at_home, dataset_card, recipe_card, shared_home, small
from typer.testing import CliRunner

import biaskit as bk
from biaskit import runs
from biaskit._train import Tick
from biaskit.cli import app
from biaskit.errors import BiaskitError


@pytest.fixture
def card():
    return dataset_card(shared_home())


@pytest.fixture
def call(monkeypatch, tmp_path):
    """Run a command in an empty folder; trained runs are shared by all tests of this kind."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")

    def run(*words, home=None):
        monkeypatch.setattr("sys.argv", ["biaskit", *map(str, words)])
        with at_home(home or shared_home()):
            return CliRunner().invoke(app, [str(word) for word in words])

    return run


def lines(text):
    return [line for line in text.splitlines() if line.strip()]


def fails(result, message, code=2):
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    last = lines(result.stderr)[-1]
    assert last.startswith("error: ")
    assert message in last
    assert "Traceback" not in result.stderr


# train


def test_train(call, card, tmp_path):
    result = call("train", "semcont", "--on", card, "--seed", 1, "--set", "stage.0.loss.alpha=0.3", home=tmp_path / "h")
    assert result.exit_code == 0, result.output
    first, second = lines(result.stdout)
    assert re.fullmatch(
        r"semcont, seed 1, on smalldigits: trained in \d+\.\d s; 1 epoch, last loss \d\.\d{4}", first
    ), first
    folder = next(path for path in (tmp_path / "h" / "runs").iterdir() if path.is_dir())
    assert second == f"run      {folder}  run.json  model.safetensors  history.csv  predictions.parquet"
    assert json.loads((folder / "run.json").read_text())["changes"] == ["stage.0.loss.alpha=0.3"]
    again = f"biaskit compare semcont --on {card} --set stage.0.loss.alpha=0.3"
    head, last = lines(result.stderr)
    assert re.fullmatch(
        r"smalldigits \w{8}, 997 train, 800 test; 1 run \(semcont\); resnet_small, 1 epoch, cpu, \w+; seed 1", head
    ), head
    assert last == f"hint: {again} measures it over several seeds"
    again = call("train", "semcont", "--on", card, "--seed", 1, "--set", "stage.0.loss.alpha=0.3", home=tmp_path / "h")
    assert "stored already" in again.stdout


def test_train_without_a_terminal_has_a_line_per_epoch(call, card, monkeypatch, tmp_path):
    def fit(model, data, card, *, tick, **_):
        for epoch in range(3):
            for done in (0.5, 1.0):
                tick(Tick(0, epoch, 3, done, 1234.5, 1.0 / (epoch + done)))
        raise BiaskitError("enough")

    monkeypatch.setattr(runs, "fit", fit)
    result = call("train", "plain", "--on", card, "--set", "stage.0.epochs=3", home=tmp_path / "h")
    head, *told = lines(result.stderr)
    assert "resnet_small, 3 epochs, cpu" in head
    assert told == [
        "epoch 1 of 3   loss 1.000   1,234 images/s",
        "epoch 2 of 3   loss 0.500   1,234 images/s",
        "error: enough",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["plian"], "no recipe 'plian'; nearest: plain"),
        (["plain", "--on", "nowhere/x"], "no folder nowhere/x"),
        (["plain", "--on", "colordigit"], "no folder or dataset 'colordigit'; nearest: colordigits"),
        (["plain", "--set", "stage.0.epochz=1"], "did you mean stage.0.epochs?"),
        (["plain", "--set", "stage.0.epochs"], "is not [ARM:]KEY=VALUE"),
        (["plain", "--device", "tpu"], "--device tpu: expected cpu, cuda or mps"),
        (["gone.toml"], "no file gone.toml"),
    ],
)
def test_train_refuses_in_one_line(call, card, words, message):
    words = words if "--on" in words else [*words, "--on", card]
    fails(call("train", *words), message)


def test_usage_errors_are_usage_errors(call):
    for words in (["train"], ["train", "plain", "--seed", "-1"], ["compare"], ["compare", "plain", "--margin", "x"]):
        result = call(*words)
        assert result.exit_code == 2
        assert "Usage" in result.output


def test_a_recipe_of_ones_own_that_is_wrong(call, card, tmp_path):
    recipe = recipe_card(tmp_path, "mine", '{ name = "cross_entropie" }')
    fails(call("train", recipe, "--on", card), "no loss 'cross_entropie'; nearest: cross_entropy")
    (tmp_path / "torn.toml").write_text("version = [")
    fails(call("train", "torn.toml", "--on", card), "torn.toml: not TOML")


# compare


def test_compare_prints_answer_numbers_notes_and_files_in_this_order(call, card, tmp_path):
    result = call("compare", "plain", "aug", "semcont", "--on", card, "--seeds", SEEDS, "--out", "out")
    assert result.exit_code == 0, result.output
    out = result.stdout
    places = [out.index(text) for text in ("flip rate", "note:", "\nreport ", "\npredictions ", "\nresult ")]
    assert places == sorted(places)
    told = json.loads((tmp_path / "out" / "result.json").read_text())
    assert told["command"] == f"biaskit compare plain aug semcont --on {card} --seeds 3 --out out"
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "result.json", "predictions.parquet", "tables", "figures", "report.html", "methods.md",
    }  # fmt: skip
    value = next(r["value"] for r in told["headline"] if (r["arm"], r["metric"]) == ("plain", "average_accuracy"))
    assert f"{100 * value:.1f}" in out
    err = lines(result.stderr)
    assert re.match(r"smalldigits \w{8}, 997 train, 800 test; .*9 runs", err[0])
    assert len([line for line in err if re.match(r"run +\d of 9   \w+ +seed \d   ", line)]) == 9
    # No number of the test set is seen before the last run has ended.
    assert not any("accuracy" in line or "flip" in line for line in err[:10])


def test_no_images_leaves_no_picture_anywhere(call, card, tmp_path):
    result = call("compare", "plain", "aug", "--on", card, "--seeds", "0,1,2", "--out", "out", "--no-images")
    assert result.exit_code == 0, result.output
    told = (tmp_path / "out" / "result.json").read_text()
    assert "data:image" not in told
    assert len(json.loads(told)["worst"]["examples"]) == 6, "rows and answers stay"
    assert "data:image" not in (tmp_path / "out" / "report.html").read_text()
    result = call("compare", "plain", "aug", "--on", card, "--seeds", "0,1,2", "--out", "out")
    assert "data:image" in (tmp_path / "out" / "report.html").read_text()
    result = call("report", "out", "--no-images")
    assert re.fullmatch(r"report   out/report.html  \d+ kB\n", result.stdout)
    assert "<img" not in (tmp_path / "out" / "report.html").read_text()


def test_compare_as_json(call, card, tmp_path):
    result = call("compare", "plain", "aug", "--on", card, "--seeds", "0,1,2", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout, parse_constant=pytest.fail)
    (folder,) = tmp_path.glob("biaskit-plain-aug-*")
    assert re.fullmatch(r"biaskit-plain-aug-[0-9a-f]{8}", folder.name)
    assert json.loads((folder / "result.json").read_text()) == told
    assert (told["seeds"], len(told["verdicts"])) == ([0, 1, 2], 2)
    assert len(pd.read_parquet(folder / "predictions.parquet")) == 6 * 1600


def test_compare_again_takes_the_stored_runs_and_replaces_its_folder(call, card, monkeypatch):
    words = ("compare", "plain", "aug", "--on", card, "--seeds", SEEDS, "--out", "same")
    first = call(*words)
    monkeypatch.setattr(runs, "fit", lambda *_, **__: pytest.fail("trained again"))
    second = call(*words)
    assert (first.exit_code, second.exit_code) == (0, 0), second.output
    assert second.stderr.count("   stored\n") == 6
    assert first.stdout == second.stdout


def test_compare_with_options_of_analyzers(call, card, tmp_path):
    """The recorded command asks for the same again."""
    words = ["compare", "plain", "--on", card, "--seeds", "1", "--analyzers", "continuity,group_accuracy"]
    changes = ["--set", "analyzer.continuity.images=50", "--set", "analyzer.continuity.levels=[1]"]
    first = call(*words, *changes, "--out", "out")
    assert first.exit_code == 0, first.output
    told = json.loads((tmp_path / "out" / "result.json").read_text())
    options = {one["analyzer"]: one["options"] for one in told["analyses"]}
    assert (options["continuity"]["images"], options["continuity"]["levels"]) == (50, [1])
    assert set(options) == {"continuity", "group_accuracy"}
    assert told["arms"][0]["changes"] == []
    again = call(*shlex.split(told["command"])[1:], "--json")
    assert [one["options"] for one in json.loads(again.stdout)["analyses"]] == list(options.values())
    # Without --analyzers the default ones have the option; from Python the same words are recorded.
    other = call(*words[:6], *changes[:2], "--json")
    defaults = {one["analyzer"]: one["options"] for one in json.loads(other.stdout)["analyses"]}
    assert (defaults["continuity"]["images"], defaults["continuity"]["levels"]) == (50, [1, 2, 3, 4])
    assert {"group_accuracy", "counterfactual_flips"} <= set(defaults)
    with at_home(shared_home()):
        asked = {"continuity": {"images": 50, "levels": [1]}, "group_accuracy": {}}
        found = bk.compare(["plain"], small(), seeds=1, analyzers=asked).result
    assert " ".join(shlex.split(found["command"])[7:]) == (
        "--analyzers continuity,group_accuracy --set analyzer.continuity.images=50 --set analyzer.continuity.levels=[1]"
    )
    assert {one["analyzer"]: one["options"] for one in found["analyses"]} == options


def test_compare_with_a_reference_and_named_analyzers(call, card):
    result = call(
        "compare", "plain", "aug", "semcont", "--on", card, "--seeds", SEEDS, "--reference", "plain",
        "--analyzers", "counterfactual-flips, group_accuracy", "--margin", "0.02", "--json",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert {row["against"] for row in told["differences"]} == {"plain"}
    assert len(told["verdicts"]) == 4
    assert told["continuity"] == []
    assert told["margin"] == 0.02
    assert "nds" not in {row["metric"] for row in told["headline"]}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["plain", "plain"], "the arm plain is named twice"),
        (["plain", "aug", "--seeds", "three"], "--seeds 'three' is neither a number nor a list such as 0,1,2"),
        (["plain", "aug", "--seeds", "0"], "seeds must be"),
        (["plain", "aug", "--reference", "jtt"], "--reference jtt: not among the arms"),
        (["plain", "aug", "--margin", "2"], "--margin 2"),
        (["plain", "aug", "--analyzers", "flips"], "no analyzer 'flips'"),
        (["plain", "aug", "--set", "jtt:stage.0.epochs=1"], "no arm 'jtt'"),
        (["plain", "--set", "analyzer.continuity=5"], "is not analyzer.NAME.OPTION=VALUE"),
        (["plain", "--set", "plain:analyzer.continuity.images=5"], "every arm is measured alike; leave plain: out"),
        (["plain", "--set", "analyzer.continuty.images=5"], "no analyzer 'continuty'; nearest: continuity"),
        (["plain", "--set", "analyzer.continuity.imagez=5"], "did you mean images?"),
        (["plain", "--set", "analyzer.robustness.images=5"], "not among the analyzers asked for (group_accuracy, "),
    ],
)
def test_compare_refuses_in_one_line(call, card, monkeypatch, words, message):
    monkeypatch.setattr(runs, "fit", lambda *_, **__: pytest.fail("trained"))
    fails(call("compare", *words, "--on", card), message)


@pytest.mark.parametrize(
    "words",
    [["compare", "plain"], ["sweep", "plain", "--param", "stage.0.epochs=1,2"], ["reproduce", "wu2021-table1"]],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize("seeds", ["0", "-1", "1,1"])
def test_seeds_are_checked_before_anything_else(call, words, seeds):
    """No data set is looked for, and no number of runs announced."""
    result = call(*words, "--seeds", seeds, "--on", "nowhere")
    fails(result, "seeds must be a number of at least 1")
    assert len(lines(result.stderr)) == 1


def test_compare_leaves_other_files_alone(call, card, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    fails(call("compare", "plain", "--on", card, "--seeds", SEEDS, "--out", "mine"), "holds other files")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_a_fault_of_a_run_is_one_line(call, card):
    result = call("compare", "plain", "--on", card, "--seeds", 1, "--set", "stage.0.optimizer.lr=1e35")
    fails(result, "lower the rate with --set stage.0.optimizer.lr=")


def test_ctrl_c_keeps_what_is_finished(call, card, monkeypatch, tmp_path):
    fit, count = runs.fit, [0]

    def interrupted(*args, **options):
        count[0] += 1
        if count[0] == 3:
            raise KeyboardInterrupt
        return fit(*args, **options)

    words = ("compare", "plain", "aug", "--on", card, "--seeds", 2, "--out", "out", "--analyzers", "group_accuracy")
    with monkeypatch.context() as patch:
        patch.setattr(runs, "fit", interrupted)
        result = call(*words, home=tmp_path / "h")
    assert result.exit_code == 130
    assert lines(result.stderr)[-1] == ("interrupted: 2 of 4 runs are stored; the same command goes on from there")
    assert result.stdout == ""
    assert not (tmp_path / "out").exists()
    again = call(*words, home=tmp_path / "h")
    assert again.exit_code == 0, again.output
    assert again.stderr.count("   stored\n") == 2


def test_an_error_of_our_own_is_not_dressed_up(call, card, monkeypatch):
    monkeypatch.setattr(runs, "fit", lambda *_, **__: 1 / 0)
    result = call("train", "plain", "--on", card, "--seed", 77)
    assert isinstance(result.exception, ZeroDivisionError)


# plan


def test_plan(call, card):
    result = call("plan", "plain", "aug", "--on", card, "--pilot", 3, "--effect", "0.1")
    assert result.exit_code == 0, result.output
    out = lines(result.stdout)
    assert out[0] == "To find a difference of 10 points between plain and aug with 80 % probability:"
    assert out[1].split()[:2] == ["measure", "seeds"]
    assert [line.split("  ")[0] for line in out[2:4]] == ["flip rate", "accuracy"]
    for line in out[2:4]:
        detectable = [float(one) for one in re.search(r"([\d.]+(?:, [\d.]+){3}) points$", line)[1].split(", ")]
        assert detectable == sorted(detectable, reverse=True)
        assert re.search(r" (\d+|none) ", line)
    assert "none = no number would do" in out[4]
    assert len([line for line in lines(result.stderr) if line.startswith("run ")]) == 6
    assert call("plan", "plain", "aug", "--pilot", 1).exit_code == 2
    fails(call("plan", "plain", "plain", "--on", card), "named twice")
