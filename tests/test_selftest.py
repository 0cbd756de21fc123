"""The self-test: what is known beforehand is found, and a measure that is broken on purpose is caught."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

import biaskit as bk
from biaskit import _selftest, testing
from biaskit._selftest import STRENGTHS, selftest
from biaskit.cli import app
from biaskit.telling import selftest as told

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture(scope="module")
def found():
    return selftest(device="cpu")


def values(found, metric):
    return found.table.query("metric == @metric")["value"].tolist()


def test_every_measure_follows_what_is_planted(found):
    assert found.passed
    assert found.failed == []
    assert found.checks["passed"].all()
    assert found.checks["rises"].all()
    assert found.checks["null"].all()
    assert set(found.checks["sweep"]) == {"model", "data"}
    assert repr(found).startswith("<SelfTest: All 13 measures followed what was planted; 11 of them are known")


@pytest.mark.parametrize(
    ("metric", "known"),
    [
        ("flip_rate", [0.0, 0.25, 0.5, 0.75, 1.0]),
        ("gap", [0.0, 0.25, 0.5, 0.75, 1.0]),
        ("worst_group_accuracy", [1.0, 0.75, 0.5, 0.25, 0.0]),
        ("mean_group_accuracy", [1.0, 0.875, 0.75, 0.625, 0.5]),
        ("equalized_odds_difference", [0.0, 0.25, 0.5, 0.75, 1.0]),
        ("spurious_share", [0.0, 0.25, 0.5, 0.75, 1.0]),
        ("ceiling", [0.0, 0.125, 0.25, 0.375, 0.5]),
    ],
)
def test_known_answers(found, metric, known):
    assert values(found, metric) == pytest.approx(known, abs=1e-6)


def test_intervals_hold_the_truth(found):
    rows = found.table.dropna(subset=["low", "high", "expected"])
    rows = rows[rows["metric"] != "ds"]
    assert (rows["low"] <= rows["expected"] + 1e-9).all()
    assert (rows["expected"] <= rows["high"] + 1e-9).all()
    assert len(rows) >= 8 * len(STRENGTHS)


@pytest.mark.parametrize(
    ("metric", "broken", "words"),
    [
        ("flip_rate", [0.1, 0.3, 0.5, 0.75, 1.0], "null"),
        ("nds", [0.0, 0.3, 0.2, 0.75, 1.0], "rises"),
        ("nds", [0.0, 0.0, 0.0, 0.0, 0.0], "rises"),
        ("gap", [0.0, 0.2, 0.5, 0.75, 1.0], "known"),
        ("worst_group_accuracy", [1.0, 0.75, 0.8, 0.25, 0.0], "rises"),
    ],
)
def test_a_broken_measure_is_caught(found, metric, broken, words):
    (measure,) = (one for one in _selftest._MODEL if one.name == metric)
    rows = [dict(row) for row in found.result["rows"] if row["metric"] == metric]
    for row, value in zip(rows, broken, strict=True):
        row |= {"value": value, "low": value, "high": value}
    check = _selftest._check("model", measure, rows)
    assert check[words] is False
    assert not check["passed"]
    result = {**found.result, "checks": [check]}
    assert told.sentence(result) == f"1 of 1 measure did not follow what was planted: {measure.title}."


def test_intervals_decide_over_trained_networks():
    gap = _selftest._TRAINED[1]

    def check(*ends):
        rows = [
            {"sweep": "trained", "metric": "gap", "value": (low + high) / 2, "low": low, "high": high, "expected": None}
            for low, high in ends
        ]
        return _selftest._check("trained", gap, rows)

    assert check((-0.1, 0.1), (-0.05, 0.3), (0.2, 0.6))["passed"]
    assert check((-0.1, 0.1), (-0.12, 0.05), (0.2, 0.6))["passed"]  # lower by no more than chance
    assert check((0.02, 0.1), (0.1, 0.3), (0.2, 0.6))["null"] is False
    assert check((-0.1, 0.1), (0.5, 0.6), (0.2, 0.4))["rises"] is False
    assert check((-0.1, 0.1), (0.0, 0.2), (0.05, 0.3))["rises"] is False  # never clear of where it began
    assert check((-0.1, 0.1), (0.0, 0.2), (0.2, 0.3))["known"] is None


def test_the_graded_images_and_the_model_that_leans():
    data = testing.graded()
    assert data.groups[["label", "color", "test"]].values.tolist() == [
        ["left", "red", 100], ["left", "blue", 100], ["right", "red", 100], ["right", "blue", 100],
    ]  # fmt: skip
    rows, twins = data.rows("test"), data.rows("twin")
    assert data.table["pair"][rows].tolist() == twins.tolist()
    images, others = (data.images.gather(torch.from_numpy(one)) for one in (rows, twins))
    assert torch.equal(images.amin(dim=1), others.amin(dim=1))
    assert torch.equal(images.flip(1), others)
    masks = data.masks.gather(torch.from_numpy(rows))
    assert sorted(set(masks.flatten().tolist())) == [1, 2]
    for share in (0.0, 0.01, 0.37, 1.0):
        model = testing.leans(share)
        one, other = (model(pixels.float() / 255).argmax(dim=1) for pixels in (images, others))
        flipped = (one != other).numpy()
        assert [int(flipped[data.group_ids[rows] == group].sum()) for group in range(4)] == [round(100 * share)] * 4


def test_the_figure(found):
    drawing = found.figure()
    root = ET.fromstring(drawing)
    text = "".join(root.itertext())
    for title in found.checks["title"]:
        assert title in text
    assert "planted strength" in text


@pytest.mark.skipif(not DOCS.is_dir(), reason="a copy without docs/")
def test_the_figure_in_the_docs_shows_every_measure_and_trained_networks():
    text = "".join(ET.fromstring((DOCS / "selftest.svg").read_text(encoding="utf-8")).itertext())
    for sweep, (_, measures) in _selftest.SWEEPS.items():
        for measure in measures:
            assert f"{sweep}: {measure.title}" in text


def call(monkeypatch, found, *words):
    """The command, on what was found before."""
    monkeypatch.setattr("biaskit._selftest.selftest", lambda *, full, device: found)
    monkeypatch.setattr("sys.argv", ["biaskit", "selftest", *words])
    return CliRunner().invoke(app, ["selftest", *words])


def test_the_command(monkeypatch, found, tmp_path):
    result = call(monkeypatch, found, "--device", "cpu", "--figure", str(tmp_path / "curves.svg"))
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("All 13 measures followed what was planted; 11 of them are known beforehand, and agree.")
    assert lines[2].split() == [
        "planted", "0", "0.25", "0.5", "0.75", "1", "null", "at", "0", "rises", "as", "known",
    ]  # fmt: skip
    assert lines[3].split() == ["model:", "flip", "rate,", "%", "0.0", "25.0", "50.0", "75.0", "100.0", *["yes"] * 3]
    assert "networks were not trained: biaskit selftest --full" in lines
    assert (tmp_path / "curves.svg").read_text().startswith("<svg")


def test_the_command_as_json(monkeypatch, found):
    result = call(monkeypatch, found, "--device", "cpu", "--json")
    stored = json.loads(result.stdout)
    assert stored["kind"] == "selftest"
    assert len(stored["rows"]) == 13 * len(STRENGTHS)


def test_a_failure_is_ours(monkeypatch, found):
    broken = {**found.result, "checks": [{**found.result["checks"][0], "rises": False, "passed": False}]}
    result = call(monkeypatch, _selftest.SelfTest(broken))
    assert result.exit_code == 70
    assert "1 of 1 measure did not follow what was planted: flip rate." in result.stdout
    assert "NO" in result.stdout
    assert result.stderr.splitlines() == [
        "error: flip rate (model) did not follow what was planted; please report the lines above"
    ]


def test_a_figure_that_cannot_be_written(monkeypatch, found, tmp_path):
    result = call(monkeypatch, found, "--device", "cpu", "--figure", str(tmp_path))
    assert result.exit_code == 2
    assert "a folder stands where a file belongs" in result.stderr


@pytest.mark.smoke
def test_trained_networks_follow_what_is_planted():
    found = bk.selftest(full=True, device="cpu")
    assert found.passed, found.checks
    trained = found.table.query("sweep == 'trained'")
    assert len(trained) == 2 * len(STRENGTHS)
    flips = trained.query("metric == 'flip_rate'")["value"].to_numpy()
    assert flips[0] < 0.25
    assert flips[-1] > 0.5
    assert np.isfinite(trained[["low", "high"]].to_numpy(float)).all()
