"""What changed between two runs or results: card, data, code, and the groups, with answers worked out by hand."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from _shared import at_home, comparison, dataset_card, recipe_card, shared_home, small
from typer.testing import CliRunner

import biaskit as bk
from biaskit import stats, testing
from biaskit._diff import diff
from biaskit.cli import app
from biaskit.cli._text_diff import diff_lines
from biaskit.errors import BiaskitError, DataError
from biaskit.foreign import open_model

CODE = {"biaskit._train": "aa" * 32, "biaskit.losses._cross_entropy": "bb" * 32}


def run_folder(
    folder, answers, *, labels, color, data="d" * 64, seed=0, arm="plain", lr=0.01, code=CODE, names=("a", "b"), **more
):
    """A run as it is stored, with answers that a test makes up."""
    folder.mkdir(parents=True)
    card = {"model": {"name": "resnet_small"}, "stage": [{"loss": {"name": "cross_entropy"}, "optimizer": {"lr": lr}}]}
    where = {"device": "cpu", "precision": "float32", "threads": 1, "deterministic": True}
    about = {
        "arm": arm, "seed": seed, "card": card, "fingerprint": f"{folder.name:0<64}", "seconds": 1.0, "where": where,
        "classes": list(names), "shape": [3, 8, 8], "parameters": 10, "data": {"name": "made", "fingerprint": data},
        "biaskit": "0.1.0", "torch": "2.5", "finished": "2026-01-01T00:00:00Z", **({"code": code} if code else {}),
    } | more  # fmt: skip
    (folder / "run.json").write_text(json.dumps(about))
    (folder / "history.csv").write_text("stage,epoch,loss,seconds\n0,0,0.5,1.0\n")
    n = len(labels)
    frame = pd.DataFrame(
        {
            "row": np.arange(100, 100 + 2 * n), "split": ["test"] * n + ["twin"] * n,
            "label": np.tile(np.asarray(names)[labels], 2), "color": np.tile(np.asarray(["red", "blue"])[color], 2),
            "prediction": np.tile(np.asarray(names)[answers], 2), "confidence": 1.0,
        }
    )  # fmt: skip
    frame["logits"] = list(np.zeros((2 * n, 2), np.float32))
    frame.to_parquet(folder / "predictions.parquet", index=False)
    return folder


LABELS, COLOR = np.repeat([0, 0, 1, 1], 40), np.repeat([0, 1, 0, 1], 40)


def wrong(*rows):
    """Answers that are right but for these rows."""
    answers = LABELS.copy()
    answers[list(rows)] = 1 - answers[list(rows)]
    return answers


def made(folder, answers, **more):
    return run_folder(folder, answers, **{"labels": LABELS, "color": COLOR, **more})


def test_two_models_by_hand(tmp_path):
    a = made(tmp_path / "aaaa", wrong(*range(40, 60), 0))
    b = made(tmp_path / "bbbb", wrong(*range(40, 44), 1), lr=0.02, seed=1)
    found = diff(a, b)
    table = found.groups
    assert table.index.tolist() == [("a", "blue"), ("a", "red"), ("b", "blue"), ("b", "red")]
    row = table.loc[("a", "blue")]
    assert (row["n_a"], row["accuracy_a"], row["accuracy_b"]) == (40, 0.5, 0.9)
    assert row["difference"] == pytest.approx(0.4)
    assert (row["low"], row["high"]) == pytest.approx(tuple(stats.bonett_price(16, 0, 40)))
    assert row["p"] == pytest.approx(float(stats.mcnemar(16, 0)))
    assert row["p_holm"] == pytest.approx(4 * row["p"])
    assert row["change"] == "higher"
    # One image lost, one gained: Bonett-Price around 0.
    red = table.loc[("a", "red")]
    assert (red["difference"], red["p"], red["change"]) == (0.0, 1.0, "")
    assert (red["low"], red["high"]) == pytest.approx(tuple(stats.bonett_price(1, 1, 40)))
    overall = found.result["overall"]
    assert overall["difference"] == pytest.approx(16 / 160)
    assert (overall["low"], overall["high"]) == pytest.approx(tuple(stats.bonett_price(17, 1, 160)))
    assert found.changes.values.tolist() == [["card", "stage.0.optimizer.lr", 0.01, 0.02]]
    text = found.sentences
    assert text[0].startswith(
        "From plain, seed 0 to plain, seed 1, accuracy goes from 86.9 % to 96.9 %: +10.0 points ("
    )
    assert text[0].endswith("; two single models, which say nothing of other seeds.")
    assert text[1] == "Accuracy is higher in 1 of 4 groups: a, blue."
    assert text[2] == "Changed: 1 key of the card; the data and the code are the same."
    assert repr(found).startswith("<Diff: From plain, seed 0")


def test_the_other_way_round(tmp_path):
    a, b = made(tmp_path / "aaaa", wrong(*range(40, 60))), made(tmp_path / "bbbb", wrong(*range(40, 44)))
    forth, back = diff(a, b).groups, diff(b, a).groups
    assert back["difference"].tolist() == (-forth["difference"]).tolist()
    assert back["low"].tolist() == pytest.approx((-forth["high"]).tolist())
    assert back.loc[("a", "blue"), "change"] == "lower"


def test_the_same_run(tmp_path):
    a = made(tmp_path / "aaaa", wrong(3))
    found = diff(a, a)
    assert found.changes.empty
    assert found.groups["p_holm"].tolist() == [1.0] * 4
    assert found.sentences[1] == "In none of 4 groups is a change larger than chance shown."
    assert found.sentences[2] == "The card, the data and the code are the same."


def test_small_groups_are_told_and_not_tested(tmp_path):
    labels, color = np.repeat([0, 0, 1], [30, 5, 30]), np.repeat([0, 1, 0], [30, 5, 30])
    a = made(tmp_path / "aaaa", 1 - labels, labels=labels, color=color)
    b = made(tmp_path / "bbbb", labels, labels=labels, color=color)
    table = diff(a, b).groups
    few, none = table.loc[("a", "blue")], table.loc[("b", "blue")]
    assert (few["note"], few["difference"], few["change"]) == ("insufficient (n=5)", 1.0, "")
    assert np.isnan(few["p_holm"])
    assert few["low"] > 0
    assert (none["n_a"], none["note"]) == (0, "insufficient (n=0)")
    assert np.isnan(none[["accuracy_a", "difference", "low", "p"]].astype(float)).all()
    # Two groups are tested, not four.
    kept = table.loc[("a", "red")]
    assert kept["p_holm"] == pytest.approx(2 * kept["p"])


def test_code_is_told_module_by_module(tmp_path):
    other = {"biaskit._train": "cc" * 32, "biaskit.losses._jtt": "dd" * 32}
    a, b = made(tmp_path / "aaaa", LABELS), made(tmp_path / "bbbb", LABELS, code=other, torch="2.6")
    rows = diff(a, b).changes
    assert rows[rows["part"] == "code"][["key", "a", "b"]].values.tolist() == [
        ["torch", "2.5", "2.6"],
        ["module.biaskit._train", "aa" * 6, "cc" * 6],
        ["module.biaskit.losses._cross_entropy", "bb" * 6, None],
        ["module.biaskit.losses._jtt", None, "dd" * 6],
    ]
    old = made(tmp_path / "cccc", LABELS, code=None)
    assert diff(a, old).changes.empty
    assert "stored without the sources" in " ".join(diff(a, old).result["notes"])


def test_other_images_are_compared_as_other_images(tmp_path):
    a = made(tmp_path / "aaaa", wrong(*range(40, 60)))
    labels = np.concatenate([LABELS, [0] * 8])
    color = np.concatenate([COLOR, [1] * 8])
    b = made(tmp_path / "bbbb", labels, data="e" * 64, labels=labels, color=color)
    found = diff(a, b)
    row = found.groups.loc[("a", "blue")]
    assert (row["n_a"], row["n_b"]) == (40, 48)
    ends = stats.newcombe(1.0, stats.wilson(48, 48), 0.5, stats.wilson(20, 40))
    assert (row["low"], row["high"]) == pytest.approx(ends)
    assert row["change"] == "higher"
    keys = found.changes.set_index("key")
    assert keys.loc["fingerprint", ["a", "b"]].tolist() == ["d" * 64, "e" * 64]
    assert keys.loc["test images.a, blue", ["a", "b"]].tolist() == [40, 48]
    assert "the data differ" in " ".join(found.result["notes"])
    assert not found.result["same_images"]


def test_data_of_one_fingerprint_with_other_images_are_refused(tmp_path):
    a = made(tmp_path / "aaaa", LABELS)
    b = made(tmp_path / "bbbb", LABELS[:-1], labels=LABELS[:-1], color=COLOR[:-1])
    with pytest.raises(DataError, match="same data but hold other test images"):
        diff(a, b)


def test_by_and_attributes(tmp_path):
    a, b = made(tmp_path / "aaaa", LABELS), made(tmp_path / "bbbb", wrong(3))
    assert diff(a, b, by=[]).groups.index.tolist() == [("a",), ("b",)]
    with pytest.raises(DataError, match=r"no attribute 'colour' on both sides; they share color"):
        diff(a, b, by=["colour"])
    with pytest.raises(DataError, match=r"by names an attribute twice: color, color"):
        diff(a, b, by=["color", "color"])


def test_an_attribute_may_be_called_like_a_column(tmp_path):
    sides = []
    for name in ("aaaa", "bbbb"):
        folder = made(tmp_path / name, LABELS)
        frame = pd.read_parquet(folder / "predictions.parquet").rename(columns={"color": "p"})
        frame.to_parquet(folder / "predictions.parquet", index=False)
        sides.append(folder)
    found = diff(*sides)
    assert found.groups.index.names == ["label", "p"]
    assert found.groups["p"].tolist() == [1.0] * 4
    assert found.result["groups"][0]["group"] == {"label": "a", "p": "blue"}


def test_runs_by_name_and_what_is_none(tmp_path):
    home = tmp_path / "home"
    made(home / "runs" / "1234abcd", LABELS)
    made(home / "runs" / "1234eeee", wrong(5))
    with at_home(home):
        assert diff("1234ab", "1234eeee").result["b"]["where"].endswith("1234eeee")
        with pytest.raises(DataError, match="may be any of the runs 1234abcd, 1234eeee"):
            diff("1234", "1234eeee")
        with pytest.raises(DataError, match="no folder and no stored run '1234abce'; nearest: 1234abcd"):
            diff("1234abce", "1234eeee")
        with pytest.raises(DataError, match="neither a run nor a result"):
            diff(str(tmp_path), "1234eeee")
        with pytest.raises(DataError, match="is a run of plain, not of aug"):
            diff("1234ab", "1234eeee", arm="aug")


# ------------------------------------------------------------------------------------ runs and results as they are


def test_stored_runs_of_one_recipe():
    with at_home(shared_home()):
        first, second = (bk.train("plain", small(), seed=seed, device="cpu") for seed in (0, 1))
        found = diff(first, second)
        assert found.changes.empty
        assert found.result["a"]["name"] == "plain, seed 0"
        assert len(found.groups) == 20
        about = json.loads((first.folder / "run.json").read_text())
    assert "biaskit._train" in about["code"]
    assert "biaskit.losses._cross_entropy" in about["code"]
    right = [
        run.predictions.query("split == 'test'").eval("label.astype('str') == prediction.astype('str')")
        for run in (first, second)
    ]
    assert found.result["overall"]["accuracy_a"] == pytest.approx(right[0].mean())
    assert found.result["overall"]["difference"] == pytest.approx(right[1].mean() - right[0].mean())


def test_arms_of_a_comparison_over_seeds(tmp_path):
    with at_home(shared_home()):
        folder = comparison().save(tmp_path / "out")
        found = diff(folder, folder, arm=("plain", "semcont"))
        with pytest.raises(DataError, match="has the arms plain, aug, semcont; say which with --arm plain"):
            diff(folder, folder)
        with pytest.raises(DataError, match="has no arm 'semcnt'"):
            diff(folder, folder, arm="semcnt")
    (row,) = (
        one for one in comparison().result["differences"]
        if (one["metric"], one["arm"], one["against"]) == ("average_accuracy", "semcont", "plain")
    )  # fmt: skip
    overall = found.result["overall"]
    assert overall["difference"] == pytest.approx(row["estimate"])
    assert overall["low"] < overall["difference"] < overall["high"]
    assert found.result["a"]["seeds"] == [0, 1, 2]
    keys = found.changes.query("part == 'card'")["key"].tolist()
    assert "stage.0.loss.name" in keys
    assert not found.changes.query("part == 'data'").size
    # The runs are still stored, so their sources are known.
    assert any(
        key == "module.biaskit.losses._semantic_continuity" for key in found.changes.query("part == 'code'")["key"]
    )
    assert "two single models" not in found.sentences[0]
    groups = {(row["label"], row["color"]): row for row in comparison().result["groups"] if row["arm"] == "plain"}
    for key, row in found.groups.iterrows():
        assert row["accuracy_a"] == pytest.approx(groups[key]["accuracy"])


def test_a_run_against_a_comparison(tmp_path):
    with at_home(shared_home()):
        folder = comparison().save(tmp_path / "out")
        run = bk.train("plain", small(), seed=0, device="cpu")
        found = diff(run, folder, arm=None if len(comparison().result["arms"]) == 1 else ("plain", "plain"))
    assert found.result["same_images"]
    assert found.changes.query("part == 'data'").empty
    assert found.changes.query("part == 'card'").empty


def test_audits_of_two_models(tmp_path):
    data = testing.tiny(per_group=40)
    folders = [
        bk.audit(testing.reads(what), data, analyzers=["group_accuracy"], device="cpu", name=what).save(tmp_path / what)
        for what in ("label", "background")
    ]
    found = diff(*folders)
    table = found.groups
    assert table["difference"].tolist() == [0.0, -1.0, -1.0, 0.0]
    assert table["change"].tolist() == ["", "lower", "lower", ""]
    assert found.sentences[1] == "Accuracy is lower in 2 of 4 groups: left, blue and right, red."


def test_audits_of_other_ways_to_open_a_model_say_what_differs(tmp_path):
    data = testing.tiny(per_group=10)

    def made(name, **how):
        opened = open_model("biaskit.testing:constant", dataset=data, **how)
        return bk.audit(opened, data, analyzers=["group_accuracy"], device="cpu").save(tmp_path / name)

    plain = made("plain")
    for name, how, expected in (
        ("normalized", {"mean": 0.5, "std": 0.25}, {"model.mean": (None, [0.5]), "model.std": (None, [0.25])}),
        (
            "size",
            {"size": 16},
            {"model.size": (list(data.images.shape[1:]), [16, 16]), "model.scaled": (None, [16, 16])},
        ),
        ("labels", {"labels": {0: "right", 1: "left"}}, {"model.labels": None}),
    ):
        rows = diff(plain, made(name, **how)).changes.query("part == 'card'").set_index("key")[["a", "b"]]
        for key, ends in expected.items():
            assert ends is None or tuple(rows.loc[key]) == ends
        others = set(rows.index) - {"model.digest", "model.interpolation"}
        assert others == set(expected)
    # A result that was stored without them still reads, and tells the digest.
    result = json.loads((plain / "result.json").read_text(encoding="utf-8"))
    known = result["arms"][0]["card"]["model"]
    result["arms"][0]["card"]["model"] = {key: known[key] for key in ("name", "digest")}
    (plain / "result.json").write_text(json.dumps(result), encoding="utf-8")
    rows = diff(plain, tmp_path / "normalized").changes.query("part == 'card'").set_index("key")
    assert rows.loc["model.mean", ["a", "b"]].tolist() == [None, [0.5]]


def test_a_changed_recipe_is_named(tmp_path):
    with at_home(shared_home()):
        slow = recipe_card(tmp_path, "slow", more="epochs = 2")
        runs = [bk.train(recipe, small(), device="cpu") for recipe in ("plain", slow)]
        found = diff(*runs)
    changed = found.changes.query("part == 'card'").set_index("key")
    assert changed.loc["stage.0.epochs", ["a", "b"]].tolist() == [1, 2]


def test_other_data_by_its_card(tmp_path):
    """A comparison records what was planted: the diff names it."""
    with at_home(shared_home()):
        folders = []
        for name, share in (("one", "[0.95, 0.05]"), ("two", "[0.5, 0.5]")):
            data = bk.build(dataset_card(tmp_path, train=share))
            folders.append(bk.compare(["plain"], data, seeds=1, analyzers=["group_accuracy"]).save(tmp_path / name))
        found = diff(*folders)
        runs = [bk.train("plain", bk.build(dataset_card(tmp_path, train=one))) for one in ("[0.9, 0.1]", "[0.8, 0.2]")]
    changed = diff(*runs).changes.query("part == 'data'").set_index("key")
    assert changed.loc["card.builder.0.train", ["a", "b"]].tolist() == [[0.9, 0.1], [0.8, 0.2]]
    changed = found.changes.query("part == 'data'").set_index("key")
    assert changed.loc["planted.0.train", ["a", "b"]].tolist() == [[0.95, 0.05], [0.5, 0.5]]
    assert "fingerprint" in changed.index
    assert not found.result["same_images"]


@pytest.mark.parametrize(
    "broken", ["{", "{}", '{"schema_version": 1, "kind": "study"}', '{"schema_version": 1, "kind": "audit", "arms": 3}']
)
def test_results_that_cannot_be_read(broken, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "result.json").write_text(broken)
    a = made(tmp_path / "aaaa", LABELS)
    with pytest.raises(DataError, match=r"cannot be read|no schema_version|is not as biaskit wrote it|holds a study"):
        diff(a, tmp_path / "out")


@pytest.mark.parametrize(("part", "value"), [("arms", []), ("runs", None), ("data", {"label": None})])
def test_a_result_that_was_edited_is_named(part, value, tmp_path):
    labels = np.array(["a", "b"])[LABELS]
    frame = pd.DataFrame({"row": range(160), "split": "test", "label": labels, "color": COLOR, "prediction": labels})
    frame.to_parquet(tmp_path / "predictions.parquet", index=False)
    data = {"fingerprint": "d" * 64, "label": ["a", "b"], "attributes": {"color": ["0", "1"]}, "group_by": ["color"]}
    result = {
        "schema_version": 1, "kind": "audit", "arms": [{"name": "model", "card": {}}], "runs": [], "machine": {},
        "versions": {}, "data": data,
    }  # fmt: skip
    (tmp_path / "result.json").write_text(json.dumps(result))
    assert diff(tmp_path, tmp_path).result["overall"]["difference"] == 0
    changed = {**data, **value} if part == "data" else value
    (tmp_path / "result.json").write_text(json.dumps({**result, part: changed}))
    with pytest.raises(DataError, match=r"is not as biaskit wrote it|has the arms "):
        diff(tmp_path, tmp_path)


def test_a_run_that_was_edited_is_named(tmp_path):
    a = made(tmp_path / "aaaa", LABELS)
    about = json.loads((a / "run.json").read_text())
    for change in ({"data": {"fingerprint": "d"}}, {"where": {}}, {"shape": None}):
        (a / "run.json").write_text(json.dumps(about | change))
        with pytest.raises(BiaskitError):
            diff(a, a)
    (a / "run.json").write_text(json.dumps(about))
    pd.read_parquet(a / "predictions.parquet").drop(columns="split").to_parquet(a / "predictions.parquet")
    with pytest.raises(DataError, match="is not as biaskit wrote it"):
        diff(a, a)


def test_hostile_names_do_not_steer_the_terminal(tmp_path):
    names = ("\x1b[2J", "b")
    a, b = (made(tmp_path / one, answers, names=names) for one, answers in (("aaaa", LABELS), ("bbbb", 1 - LABELS)))
    found = diff(a, b)
    for text in [*found.sentences, *(line.text for line in diff_lines(found.result, None))]:
        assert "\x1b" not in text


# ------------------------------------------------------------------------------------------------ the command


def call(monkeypatch, *words):
    words = [str(word) for word in words]
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.setattr("sys.argv", ["biaskit", *words])
    return CliRunner().invoke(app, words)


def test_the_command(monkeypatch, tmp_path):
    a = made(tmp_path / "aaaa", wrong(*range(40, 60), 0))
    b = made(tmp_path / "bbbb", wrong(*range(40, 44), 1), lr=8 / 255)
    result = call(monkeypatch, "diff", a, b)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("From plain, seed 0 (aaaa) to plain, seed 0 (bbbb), accuracy goes from 86.9 % to 96.9 %")
    assert lines[4].split() == [
        "label",
        "x",
        "color",
        "n",
        "a,",
        "%",
        "b,",
        "%",
        "points",
        "95",
        "%",
        "each",
        "p,",
        "Holm",
    ]
    assert lines[5].split()[:5] == ["all", "160", "86.9", "96.9", "+10.0"]
    assert lines[6].split()[:6] == ["a,", "blue", "40", "50.0", "90.0", "+40.0"]
    assert lines[6].endswith("higher")
    assert any(line.split()[:2] == ["card", "stage.0.optimizer.lr"] for line in lines)
    assert lines[-2].split() == ["a", "plain,", "seed", "0", "(aaaa)", str(a)]
    told = json.loads(call(monkeypatch, "diff", a, b, "--json", "--by", "color").stdout)
    assert told["kind"] == "diff"
    assert told["by"] == ["color"]
    assert len(told["groups"]) == 4


def test_the_command_refuses(monkeypatch, tmp_path):
    a = made(tmp_path / "aaaa", LABELS)
    for words, message in (
        ([a, tmp_path / "nowhere"], "no folder and no stored run"),
        ([a, a, "--arm", "x"], "is a run of plain, not of x"),
        ([a, a, "--arm", "x", "--arm", "y", "--arm", "z"], "one arm, or one for each side"),
    ):
        result = call(monkeypatch, "diff", *words)
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith("error: ")
        assert result.stderr.count("\n") == 1
        assert message in result.stderr
