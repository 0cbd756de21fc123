"""What came out of trying to break it: each input gets one clear line, and no number that means nothing."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch
from _shared import small
from torch import nn

import biaskit as bk
from biaskit import runs
from biaskit.errors import BiaskitError, DataError, SpecError, StoreError, UnsupportedModel
from biaskit.home import home

QUICK = ["stage.0.epochs=1", "model.width=4"]


def mine(labels, **attributes):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (len(labels), 8, 8, 3), dtype=np.uint8)
    split = ["train"] * (len(labels) // 2) + ["test"] * (len(labels) - len(labels) // 2)
    return bk.Dataset.from_arrays(images, labels, attributes, split=split)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(lambda: mine(["a"] * 40, place=["in", "out"] * 20), id="one class"),
        pytest.param(lambda: mine(["a", "b"] * 20, place=["in"] * 40), id="one value"),
        pytest.param(lambda: mine(["a", "b"] * 20), id="no attribute"),
        pytest.param(lambda: mine(["a", "b", "b", "a"] * 10, place=["in", "out"] * 20), id="own data"),
    ],
)
def test_a_comparison_of_odd_data_ends_and_is_written(data, tmp_path):
    found = bk.compare(["plain", "aug"], data(), seeds=3, set=QUICK)
    folder = found.save(tmp_path / "out")
    assert (folder / "report.html").is_file()
    assert found.sentence
    json.loads((folder / "result.json").read_text(), parse_constant=pytest.fail)


def test_an_audit_of_one_value_is_written(tmp_path):
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 2))
    assert bk.audit(model, mine(["a", "b"] * 20, place=["in"] * 40)).save(tmp_path / "out").is_dir()


def test_a_network_that_blew_up_is_not_stored(monkeypatch):
    data = small()
    steps = [*QUICK, "stage.0.batch_size=2000", "stage.0.optimizer.name=sgd", "stage.0.optimizer.lr=1e30"]
    with pytest.raises(BiaskitError, match="NaN or infinite"):
        bk.train("plain", data, set=steps)
    assert not list(runs.stored_runs())


def test_stored_predictions_are_read_by_row():
    data = small()
    run = bk.train("plain", data, set=QUICK)
    path = run.folder / "predictions.parquet"
    before = bk.audit(run, data, analyzers="group_accuracy")["group_accuracy"].table
    pd.read_parquet(path).sample(frac=1, random_state=0).to_parquet(path, index=False)
    after = bk.audit(bk.train("plain", data, set=QUICK), data, analyzers="group_accuracy")["group_accuracy"].table
    pd.testing.assert_frame_equal(before, after)
    pd.read_parquet(path).head(10).to_parquet(path, index=False)
    with pytest.raises(StoreError, match="does not fit its data set"):
        bk.audit(bk.train("plain", data, set=QUICK), data)


def test_a_run_without_its_last_file_is_trained_again():
    data = small()
    run = bk.train("plain", data, set=QUICK)
    (run.folder / "analyses").mkdir(exist_ok=True)
    (run.folder / "run.json").unlink()
    assert not bk.train("plain", data, set=QUICK).stored


def test_a_history_without_epochs_is_one_line():
    data = small()
    run = bk.train("plain", data, set=QUICK)
    (run.folder / "history.csv").write_text("stage,epoch,loss,seconds\n")
    with pytest.raises(StoreError, match="not a readable run"):
        bk.train("plain", data, set=QUICK)


def test_counts_of_looks_that_are_no_table():
    home().mkdir(parents=True)
    (home() / "looks.json").write_text("[]")
    with pytest.raises(StoreError, match=r"looks.json cannot be read"):
        bk.compare(["plain", "aug"], small(), seeds=3, set=QUICK)


@pytest.mark.parametrize("name", ["../out", "/tmp/out", "", "a/b"])
def test_a_card_cannot_be_named_like_a_path(name):
    with pytest.raises(SpecError, match="name"):
        bk.build("colordigits", set=[f'name="{name}"'])


@pytest.mark.parametrize("seeds", ["3", 1.5, None, ["a"], 0, [0, 0], [-1]])
def test_seeds_that_are_no_seeds(seeds):
    with pytest.raises(SpecError, match="seeds must be"):
        bk.compare(["plain"], small(), seeds=seeds)


def test_numpy_seeds_are_seeds():
    found = bk.compare("plain", small(), seeds=np.array([0, 1]), set=QUICK)
    assert found.result["seeds"] == [0, 1]
    assert json.dumps(found.result)


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(torch.nn.Linear(7, 2), id="wrong size"),
        pytest.param(type("Two", (torch.nn.Module,), {"forward": lambda self, x: (x, x)})(), id="a tuple"),
    ],
)
def test_a_model_that_does_not_fit_is_a_failed_entry(model):
    found = bk.audit(model, mine(["a", "b"] * 20), analyzers=["group_accuracy"])
    with pytest.raises(DataError, match=r"the model cannot take|the model gives a tuple"):
        found["group_accuracy"]
    assert issubclass(UnsupportedModel, BiaskitError)


def test_a_result_that_was_edited_gets_one_line(tmp_path):
    (tmp_path / "result.json").write_text('{"schema_version": 1, "kind": "comparison", "arms": []}')
    with pytest.raises(DataError, match="is not as biaskit wrote it"):
        bk.report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_a_folder_of_the_name_of_a_shipped_set_is_ambiguous(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "colordigits").mkdir()
    with pytest.raises(DataError, match=r"write \./colordigits for the folder"):
        bk.load("colordigits")


def test_gray_images_of_ones_own_can_be_compared():
    rng = np.random.default_rng(0)
    data = bk.Dataset.from_arrays(rng.random((40, 8, 8)), ["a", "b"] * 20, split=["train"] * 20 + ["test"] * 20)
    assert bk.compare(["plain", "aug"], data, seeds=1, set=QUICK).result["failed"] == []


class NotANumberOnChanges(nn.Module):
    """Answers on 8-bit images, and NaN on any other."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))

    def forward(self, images):
        off = ((images * 255 - (images * 255).round()).abs() > 2e-3).flatten(1).any(dim=1, keepdim=True)
        return self.net(images) + torch.where(off, torch.nan, 0.0)


def test_nan_on_changed_images_is_no_answer():
    rng = np.random.default_rng(0)
    data = bk.Dataset.from_arrays(rng.integers(0, 256, (20, 8, 8, 3)).astype(np.uint8), ["a", "b"] * 10)
    wanted = {"continuity": {"levels": [4]}, "robustness": {"steps": 2, "restarts": 0, "epsilons": [], "checks": False}}
    audit = bk.audit(NotANumberOnChanges(), data, analyzers=wanted)
    assert set(audit.failed) == {"continuity", "robustness"}
    assert all("NaN or infinite logits for" in reason for reason in audit.failed.values())
