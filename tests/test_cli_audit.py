"""``biaskit audit``: any model on any images; what it prints, writes and returns."""

from __future__ import annotations

import json
import re

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from typer.testing import CliRunner

from biaskit import testing
from biaskit.cli import app
from biaskit.disk import save_dataset


@pytest.fixture
def call(monkeypatch, tmp_path):
    """Run an audit in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")

    def run(*words):
        monkeypatch.setattr("sys.argv", ["biaskit", "audit", *map(str, words)])
        return CliRunner().invoke(app, ["audit", "--device", "cpu", *map(str, words)])

    return run


@pytest.fixture
def tiny(tmp_path):
    save_dataset(testing.tiny(per_group=25), tmp_path / "tiny")
    return tmp_path / "tiny"


@pytest.fixture
def photos(tmp_path):
    """Squares on the left or right as JPEG files of two sizes, with the region of each in a CSV file."""
    rng, rows = np.random.default_rng(0), []
    for place in range(60):
        label, region = ("left", "right")[place % 2], ("africa", "europe")[place // 2 % 2]
        side = 16 if place < 30 else 24
        pixels = rng.integers(0, 60, (side, side, 3), dtype=np.uint8)
        half = slice(0, side // 2) if label == "left" else slice(side // 2, side)
        pixels[:, half, 1] = 230
        (tmp_path / "photos" / label).mkdir(parents=True, exist_ok=True)
        name = f"{label}/{place:02d}.jpg"
        Image.fromarray(pixels).save(tmp_path / "photos" / name, quality=95)
        rows.append({"file_name": name, "region": region})
    pd.DataFrame(rows).to_csv(tmp_path / "attrs.csv", index=False)
    return tmp_path / "photos"


def lines(text):
    return [line for line in text.splitlines() if line.strip()]


def fails(result, message):
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    last = lines(result.stderr)[-1]
    assert last.startswith("error: ")
    assert message in last


def test_an_audit_prints_what_was_assumed_and_what_was_found(call, tiny, tmp_path):
    result = call("_foreign_models:two", "--on", tiny, "--out", "out")
    assert result.exit_code == 0, result.output
    out = lines(result.stdout)
    assert out[0] == "assumed: the model is as _foreign_models:two gives it; no --weights were named"
    assert [line.startswith("assumed: ") for line in out[:5]] == [True, True, True, True, False]
    assert "chance" not in out[4] or "larger than chance" in out[4]
    assert result.stdout.count("in this order: left, right") == 1
    told = json.loads((tmp_path / "out" / "result.json").read_text())
    assert (told["kind"], told["command"]) == ("audit", f"biaskit audit _foreign_models:two --on {tiny} --out out")
    order = "the model's outputs are the labels in this order: left, right"
    assert told["notes"][-1] == f"{order}; if not, say so with --labels map.csv (columns model,label)"
    assert (tmp_path / "out" / "report.html").is_file()
    assert (tmp_path / "out" / "predictions.parquet").is_file()
    err = lines(result.stderr)
    assert err[0] == "_foreign_models:two on tiny: 100 test images, 2 labels; cpu"
    assert err[1:5] == [
        f"measuring {one}" for one in ("group_accuracy", "parity", "counterfactual_flips", "continuity")
    ]


def test_chance_is_said_before_anything_else(call, tiny, tmp_path):
    (tmp_path / "map.csv").write_text("model,label\n0,right\n1,left\n")
    result = call("_foreign_models:two", "--on", tiny, "--labels", "map.csv", "--out", "out")
    assert result.exit_code == 0, result.output
    first, second, *_ = lines(result.stdout)
    assert first.startswith(
        "Accuracy is below chance: 0.0 % [0.0, 3.7] of 100 test images, where always answering left"
    )
    assert second.startswith("assumed: ")
    assert result.stdout.count("below chance") == 1
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Accuracy is below chance" in page


def test_an_audit_as_json(call, tiny, tmp_path):
    result = call(
        "_foreign_models:two", "--on", tiny, "--analyzers", "group_accuracy,continuity",
        "--set", "analyzer.continuity.images=20", "--name", "mine", "--json", "--no-images",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout, parse_constant=pytest.fail)
    assert told["arms"][0]["name"] == "mine"
    assert {one["analyzer"]: one["options"].get("images") for one in told["analyses"]}["continuity"] == 20
    (folder,) = tmp_path.glob("biaskit-mine-on-tiny-*")
    assert re.fullmatch(r"biaskit-mine-on-tiny-[0-9a-f]{8}", folder.name)
    assert json.loads((folder / "result.json").read_text()) == told
    assert "data:image" not in (folder / "result.json").read_text()
    # The same audit again replaces its own folder.
    again = call(
        "_foreign_models:two", "--on", tiny, "--analyzers", "group_accuracy,continuity",
        "--set", "analyzer.continuity.images=20", "--name", "mine",
    )  # fmt: skip
    assert again.exit_code == 0, again.output
    assert list(tmp_path.glob("biaskit-mine-on-tiny-*")) == [folder]


def test_a_folder_of_photos_of_several_sizes(call, photos, tmp_path):
    result = call("_foreign_models:two", "--on", photos, "--attributes", "attrs.csv", "--size", 8, "--out", "out")
    assert result.exit_code == 0, result.output
    assert (
        "resized to a shorter side of 8 pixels (bilinear) and cut to the central 8 x 8 when they are read, as you"
        in (result.stdout)
    )
    told = json.loads((tmp_path / "out" / "result.json").read_text())
    assert told["data"]["attributes"] == {"region": ["africa", "europe"]}
    accuracy = next(row for row in told["headline"] if row["metric"] == "average_accuracy")
    assert (accuracy["value"], accuracy["n"]) == (1.0, 60)
    assert {row["n"] for row in told["groups"]} == {15}


def test_a_corrupt_photo_is_named_or_skipped_and_counted(call, photos, tmp_path):
    (photos / "left" / "00.jpg").write_bytes((photos / "left" / "00.jpg").read_bytes()[:300])
    words = ("_foreign_models:two", "--on", photos, "--attributes", "attrs.csv", "--size", 8, "--out", "out")
    fails(call(*words), "00.jpg")
    result = call(*words, "--skip-corrupt")
    assert result.exit_code == 0, result.output
    told = json.loads((tmp_path / "out" / "result.json").read_text())
    (skipped,) = (note for note in told["notes"] if "skipped" in note)
    assert skipped.startswith("1 image")
    assert "00.jpg" in skipped
    assert sum(row["n"] for row in told["groups"]) == 59


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["_foreign_models:three"], "the data has 2 labels (left, right), the model 3 outputs; name the classes"),
        (["_foreign_models:pair"], "the model gives a tuple of"),
        (["_foreign_models:not_numbers"], "NaN or infinite logits for 200 of 200 images"),
        (["resnet18"], "did you mean torchvision:resnet18?"),
        (["_foreign_models:two", "--mean", "a", "--std", "1"], "--mean 'a': expected a number, or one per channel"),
        (["_foreign_models:two", "--analyzers", "grup_accuracy"], "no analyzer 'grup_accuracy'"),
        (["_foreign_models:two", "--set", "stage.0.epochs=1"], "an audit trains nothing; write analyzer.NAME.OPTION"),
        (["_foreign_models:two", "--set", "analyzer.continuity.imagez=5"], "did you mean images?"),
        (["_foreign_models:two", "--device", "tpu"], "--device tpu"),
        (["_foreign_models:two", "--labels", "gone.csv"], "--labels gone.csv: no such file"),
    ],
)
def test_audit_refuses_in_one_line(call, tiny, words, message):
    fails(call(*words, "--on", tiny), message)


def test_audit_leaves_other_files_alone(call, tiny, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    fails(call("_foreign_models:two", "--on", tiny, "--out", "mine"), "holds other files")


def test_hostile_names_do_not_reach_the_terminal(call, tmp_path):
    data = testing.tiny()
    table = data.table.assign(label=data.table["label"].cat.rename_categories(["\x1b[2Jleft", "right"]))
    save_dataset(data.replace(table=table), tmp_path / "hostile")
    result = call("_foreign_models:two", "--on", tmp_path / "hostile", "--analyzers", "group_accuracy", "--out", "out")
    assert result.exit_code == 0, result.output
    assert "\x1b[2J" not in result.output
    assert "\\x1b[2Jleft" in result.stdout


def test_an_empty_name_is_not_the_default(call):
    found = call("biaskit.testing:constant", "--on", "")
    assert (found.exit_code, found.stderr) == (
        2,
        "error: no data set is named: expected a name, or a folder of images\n",
    )


def test_names_move_no_cursor(call, tmp_path):
    for name in ("\x1b[31mred", "b", "c"):
        (tmp_path / "x" / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(tmp_path / "x" / name / "0.png")
    found = call("biaskit.testing:constant", "--on", tmp_path / "x")
    assert found.exit_code == 2
    assert "the data has 3 labels (\\x1b[31mred, b, c)" in found.stderr
    assert "\x1b" not in found.stderr
