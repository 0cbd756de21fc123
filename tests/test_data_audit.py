"""What a data set says before any training: association, ceiling, duplicates, groups that train never saw."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from scipy.stats import chi2_contingency, contingency
from typer.testing import CliRunner

import biaskit as bk
from biaskit import duplicates as twice
from biaskit import stats, testing
from biaskit._audit import audit_result
from biaskit._data_audit import data_audit
from biaskit.ceiling import ceiling
from biaskit.cli import app
from biaskit.data import Dataset
from biaskit.describe import association as described
from biaskit.disk import save_dataset
from biaskit.errors import DataError
from biaskit.images import ArrayImages, EncodedImages
from biaskit.stats import association
from biaskit.telling import data_page
from biaskit.telling.facts import data_facts


def table(labels, attributes, split, pixels=None, **options):
    """A data set whose images do not matter; each is another."""
    count = len(labels)
    if pixels is None:
        pixels = np.random.default_rng(0).integers(0, 256, (count, 4, 4), dtype=np.uint8)
    return Dataset.from_arrays(pixels, labels, attributes, split=split, **options)


def drawn(shares, n, rng):
    shares = np.asarray(shares, float)
    return rng.multinomial(n, shares.ravel()).reshape(shares.shape)


# ------------------------------------------------------------------------------------------------- association


def test_association_by_hand():
    found = association([[30, 10], [10, 30]], np.random.default_rng(0))
    assert found.uncorrected == pytest.approx(0.5)
    # phi2 = 0.25, less 1 / 79; r' - 1 = 1 - 1 / 79.
    assert found.v == pytest.approx(np.sqrt((0.25 - 1 / 79) / (1 - 1 / 79)))
    assert found.n == 80
    assert found.p == pytest.approx(chi2_contingency([[30, 10], [10, 30]], correction=False).pvalue)
    assert found.low < 0.5 < found.high


@pytest.mark.parametrize("counts", [[[30, 12], [7, 30]], [[5, 9, 2], [4, 4, 4]], np.arange(1, 13).reshape(4, 3)])
def test_association_agrees_with_scipy(counts):
    found = association(counts, np.random.default_rng(0), draws=9)
    assert found.uncorrected == pytest.approx(contingency.association(np.asarray(counts), method="cramer"))
    if np.outer(np.sum(counts, 1), np.sum(counts, 0)).min() / np.sum(counts) >= 5:
        assert found.p == pytest.approx(chi2_contingency(counts, correction=False).pvalue)


def test_a_report_and_a_data_audit_give_one_number():
    rng = np.random.default_rng(0)
    data = table(rng.integers(0, 2, 90), {"color": rng.integers(0, 2, 90)}, ["train"] * 60 + ["test"] * 30)
    rows = data_audit(data).association.drop(columns="p_holm")
    pd.testing.assert_frame_equal(described(data), rows)
    assert (rows["v"] < rows["uncorrected"]).all()
    told = audit_result(bk.audit(testing.constant(0), data, analyzers=["group_accuracy"], device="cpu"))
    assert [row["v"] for row in told["data"]["association"]] == rows["v"].tolist()
    facts = dict(data_facts(told["data"]))
    assert facts["Cram\u00e9r's V, train"].startswith("color with the label, bias-corrected: ")
    # What was written before the correction does not claim it.
    old = [{"split": "train", "attribute": "color", "v": 0.2, "p": 0.04, "n": 60}]
    facts = dict(data_facts(told["data"] | {"association": old}))
    assert facts["Cram\u00e9r's V, train"] == "color with the label, uncorrected: 0.200, p 0.04, n 60"
    undefined = [old[0] | {"v": None, "p": None, "reason": "one value only"}]
    facts = dict(data_facts(told["data"] | {"association": undefined}))
    assert facts["Cram\u00e9r's V, train"] == "color with the label: undefined (one value only), n 60"


def test_empty_rows_and_columns_are_left_out():
    full = association([[30, 10], [10, 30]], np.random.default_rng(0))
    assert association([[30, 0, 10], [0, 0, 0], [10, 0, 30]], np.random.default_rng(0)) == full


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ([[5, 7]], "one value only"),
        ([[0, 0], [3, 4]], "one value only"),
        ([[0, 0]], "no images"),
        (np.eye(4, dtype=int), "as many values as images"),
    ],
)
def test_association_that_is_undefined(counts, reason):
    found = association(counts, np.random.default_rng(0))
    assert np.isnan([found.v, found.low, found.high, found.p]).all()
    assert found.reason == reason
    with pytest.raises(DataError, match="table of counts"):
        association([1, 2], np.random.default_rng(0))


def test_one_that_gives_the_other_still_has_an_interval():
    found = association([[50, 0], [0, 50]], np.random.default_rng(0))
    assert found.v == pytest.approx(1.0)
    assert found.high == 1.0
    assert 0.85 < found.low < 0.99
    assert association([[5000, 0], [0, 5000]], np.random.default_rng(0)).low > 0.998


def test_small_tables_have_a_permutation_test():
    # All 10 images of one label have one value: of 252 tables with these margins 2 are as far from independence.
    found = association([[5, 0], [0, 5]], np.random.default_rng(0), draws=9_999)
    assert found.p == pytest.approx(2 / 252, abs=0.004)


@pytest.mark.parametrize(
    ("shares", "n"),
    [
        ([[0.25, 0.25], [0.25, 0.25]], 400),
        ([[0.35, 0.15], [0.15, 0.35]], 400),
        ([[0.475, 0.025], [0.025, 0.475]], 200),
        (np.full((10, 2), 0.05), 1000),
        (np.outer(np.full(10, 0.1), [0.95, 0.05]) + np.outer(np.tile([0.004, -0.004], 5), [1, -1]), 1000),
    ],
)
def test_the_interval_of_v_covers(shares, n):
    """Coverage of the true V over 200 tables; about 0.95, never much below."""
    shares, rng = np.asarray(shares), np.random.default_rng(0)
    expected = np.outer(shares.sum(1), shares.sum(0))
    true = np.sqrt(((shares - expected) ** 2 / expected).sum() / (min(shares.shape) - 1))
    hits = [
        one.low - 1e-12 <= true <= one.high + 1e-12
        for one in (association(drawn(shares, n, rng), rng, draws=199) for _ in range(200))
    ]
    assert np.mean(hits) >= 0.91


def test_p_is_uniform_where_nothing_is_tied():
    rng = np.random.default_rng(1)
    shares = np.outer(np.full(5, 0.2), [0.97, 0.03])
    p = np.array([association(drawn(shares, 100, rng), rng, draws=199).p for _ in range(300)])
    assert (p <= 0.05).mean() <= 0.08


# ----------------------------------------------------------------------------------------------------- ceiling


def told(data, split="test"):
    """The rows of one split by attribute."""
    return {row["attribute"]: row for row in ceiling(data, data.splits) if row["split"] == split}


def planted(strength, n=200):
    own = round(n * (1 + strength) / 2)
    color = np.concatenate([np.arange(n) >= own, np.arange(n) < own]).astype(int)
    labels = np.repeat([0, 1], n)
    return table(np.tile(labels, 2), {"color": np.tile(color, 2)}, ["train"] * 2 * n + ["test"] * 2 * n)


def test_ceiling_by_hand():
    row = told(planted(0.8))["color"]
    assert row["accuracy"] == row["balanced_accuracy"] == pytest.approx(0.9)
    assert row["commonest"] == row["chance"] == 0.5
    assert row["lift"] == pytest.approx(0.4)
    assert (row["low"], row["high"]) == pytest.approx(tuple(stats.wilson(360, 400)))
    # Of the second label 180 are right by the color alone, of the first 20 by the commonest label alone.
    assert (row["lift_low"], row["lift_high"]) == pytest.approx(tuple(stats.bonett_price(180, 20, 400)))
    assert row["p"] == pytest.approx(float(stats.mcnemar(180, 20)))
    assert (row["unseen"], row["fitted"], row["n"]) == (0, "train", 400)
    # On train itself halves are read by each other.
    row = told(planted(0.8), "train")["color"]
    assert (row["accuracy"], row["fitted"]) == (0.9, "the other half")


def test_nothing_to_gain():
    row = told(planted(0.0))["color"]
    assert (row["lift"], row["p"], row["p_holm"]) == (0.0, 1.0, 1.0)


def test_values_that_train_never_had_get_the_commonest_label():
    data = table([0, 0, 1, 0, 1, 1], {"color": list("rrbggg")}, ["train"] * 3 + ["test"] * 3)
    row = told(data)["color"]
    assert row["unseen"] == 3
    assert row["accuracy"] == row["commonest"] == pytest.approx(1 / 3)


def test_several_attributes_alone_and_together():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 2, (2, 800))
    data = table(a ^ b, {"a": a, "b": b}, ["train"] * 400 + ["test"] * 400)
    rows = told(data)
    assert list(rows) == ["a", "b", "a x b"]
    assert rows["a x b"]["accuracy"] == 1.0
    assert rows["a"]["accuracy"] < 0.6
    ps = [row["p"] for row in rows.values()]
    assert [row["p_holm"] for row in rows.values()] == pytest.approx(stats.holm(ps))


def test_rare_labels_show_in_the_balanced_accuracy():
    # 5 % of the images have label 1, all blue; half of the others are blue too: answering 0 is best, and tells nothing.
    labels, color = np.repeat([0, 1], [190, 10]), np.concatenate([np.tile([0, 1], 95), np.ones(10, int)])
    data = table(np.tile(labels, 2), {"color": np.tile(color, 2)}, ["train"] * 200 + ["test"] * 200)
    row = told(data)["color"]
    assert row["lift"] == 0.0
    assert row["balanced_accuracy"] == pytest.approx(0.75)
    assert row["balanced_low"] < 0.75 < row["balanced_high"]


def test_without_train_halves_are_read_by_each_other():
    data = planted(0.8)
    test = Dataset.from_arrays(
        np.zeros((400, 2, 2), np.uint8), data.labels[400:], {"color": data.table["color"].astype(str)[400:]}
    )
    (row,) = ceiling(test, ["test"])
    assert row["fitted"] == "the other half"
    assert row["accuracy"] == pytest.approx(0.9)
    again = ceiling(test, ["test"])[0]
    assert again == row


# -------------------------------------------------------------------------------------------------- duplicates


def brute(thumbnails, others, radius):
    gaps = np.sqrt(((thumbnails[:, None].astype(float) - others[None]) ** 2).mean(2)) / 255
    index = gaps.argmin(1)
    least = gaps[np.arange(len(gaps)), index]
    return np.where(least <= radius, index, -1), np.where(least <= radius, least, np.nan)


@pytest.mark.parametrize("radius", [0.0, 0.01, 0.05, 0.3, 1.0])
@pytest.mark.parametrize(("count", "dim"), [(1, 3), (700, 12), (60, 192)])
def test_nearest_is_that_of_all_pairs(radius, count, dim, monkeypatch):
    monkeypatch.setattr(twice, "_BLOCK", 64)
    monkeypatch.setattr(twice, "_OTHERS", 100)
    rng = np.random.default_rng(dim)
    others = rng.integers(0, 256, (500, dim)).astype(np.uint8)
    near = others[rng.integers(0, 500, count)].astype(int) + rng.integers(-9, 10, (count, dim))
    thumbnails = np.where(rng.random((count, 1)) < 0.5, near.clip(0, 255), rng.integers(0, 256, (count, dim)))
    index, distance = twice.nearest(thumbnails.astype(np.uint8), others, radius)
    wanted, least = brute(thumbnails.astype(np.uint8), others, radius)
    assert (index >= 0).tolist() == (wanted >= 0).tolist()
    assert distance == pytest.approx(least, abs=1e-7, nan_ok=True)


def test_nearest_of_nothing():
    none = np.zeros((0, 4), np.uint8)
    some = np.zeros((2, 4), np.uint8)
    assert twice.nearest(some, none, 0.1)[0].tolist() == [-1, -1]
    assert twice.nearest(none, some, 0.1)[0].tolist() == []
    assert twice.nearest(some, some, 0.1)[1].tolist() == [0.0, 0.0]


def pictures(count, side=64, seed=0):
    """Smooth random pictures."""
    rng = np.random.default_rng(seed)
    small = torch.from_numpy(rng.random((count, 3, 4, 4)).astype(np.float32))
    large = torch.nn.functional.interpolate(small, size=(side, side), mode="bicubic", align_corners=False)
    return large.clamp(0, 1).mul(255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def as_jpeg(pixels, quality=75):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def test_copies_are_found_and_others_are_not():
    """Of 40 test images 5 are in train pixel for pixel, 5 as JPEG, 5 a little brighter, 5 half the size and back."""
    train, test = pictures(200), pictures(40, seed=1)
    test[:5] = train[10:15]
    for place in range(5):
        test[5 + place] = np.asarray(Image.open(io.BytesIO(as_jpeg(train[20 + place]))))
        test[10 + place] = np.clip(train[30 + place].astype(int) + 3, 0, 255)
        shrunk = Image.fromarray(train[40 + place]).resize((32, 32), Image.Resampling.BILINEAR)
        test[15 + place] = np.asarray(shrunk.resize((64, 64), Image.Resampling.BILINEAR))
    labels = np.zeros(240, int)
    labels[200:203] = 1
    data = table(labels, {}, ["train"] * 200 + ["test"] * 40, np.concatenate([train, test]))
    counts, pairs = twice.duplicates(data, ["train", "test"])
    assert counts[-1] == {"split": "test", "other": "train", "n": 40, "exact": 5, "near": 15, "other_label": 3}
    assert pairs["row"].tolist() == list(range(200, 220))
    origin = [*range(10, 15), *range(20, 25), *range(30, 35), *range(40, 45)]
    assert pairs["other_row"].tolist() == origin
    assert pairs["exact"].tolist() == [True] * 5 + [False] * 15
    assert (pairs["distance"][:5] == 0).all()
    assert pairs["distance"].max() <= twice.NEAR
    assert pairs["other_label"].tolist() == ["0"] * 20
    assert twice.duplicates(data, ["train", "test"], near=0.0)[0][-1]["near"] == 0
    drawn = twice.pictures(data, pairs)
    assert len(drawn) == 2 * 12
    assert [one["column"] for one in drawn[:2]] == ["test", "train"]
    # Those that differ most come first.
    told = [float(one["row"].partition("distance ")[2]) for one in drawn[::2]]
    assert told == sorted(told, reverse=True)
    assert told[0] == pytest.approx(pairs["distance"].max(), abs=1e-3)
    equal = twice.pictures(data, pairs[pairs["exact"]])
    assert [one["row"] for one in equal[::2]] == [f"test {row}, equal pixels" for row in range(200, 205)]
    assert equal[0]["image"] == equal[1]["image"]


def test_within_a_split_equal_pixels_are_counted():
    pixels = pictures(3)[[0, 0, 0, 1, 2]]
    counts, pairs = twice.duplicates(table([0, 1, 0, 0, 0], {}, "test", pixels), ["test"])
    assert counts == [{"split": "test", "other": "test", "n": 5, "exact": 2, "near": None, "other_label": 1}]
    assert pairs.empty


def test_three_splits_each_against_those_before():
    pixels = pictures(3)[[0, 1, 0, 1, 2]]
    data = table([0] * 5, {}, ["train", "val", "val", "test", "test"], pixels)
    counts, pairs = twice.duplicates(data, ["train", "val", "test"])
    assert [(one["split"], one["other"], one["exact"]) for one in counts] == [
        ("train", "train", 0), ("val", "val", 0), ("val", "train", 1),
        ("test", "test", 0), ("test", "train", 0), ("test", "val", 1),
    ]  # fmt: skip
    assert pairs[["row", "other_row"]].values.tolist() == [[2, 0], [3, 1]]


def test_encoded_and_gray_images():
    pixels = pictures(4)
    encoded = EncodedImages([as_jpeg(one) for one in pixels], names=list("abcd"))
    found = twice.sketches(encoded, np.arange(4))
    decoded = np.stack([np.asarray(Image.open(io.BytesIO(as_jpeg(one)))) for one in pixels])
    assert np.array_equal(found.digests, twice.sketches(ArrayImages(decoded), np.arange(4)).digests)
    assert found.thumbnails.shape == (4, 192)
    gray = ArrayImages(pixels[..., :1].copy())
    assert twice.sketches(gray, np.array([3, 1])).thumbnails.shape == (2, 64)
    tiny = twice.sketches(ArrayImages(np.zeros((2, 3, 5, 1), np.uint8)), np.arange(2))
    assert tiny.thumbnails.shape == (2, 15)


def test_all_pairs_are_never_held(monkeypatch):
    """Thirty thousand equal thumbnails against as many: no array of the product, and the memory of a block."""
    import tracemalloc

    thumbnails = np.zeros((30_000, 12), np.uint8)
    tracemalloc.start()
    twice.nearest(thumbnails[:2000], thumbnails, 0.1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150e6


def test_the_real_digits_are_each_there_once():
    """The embedded digits are scans: no two are equal, and none is near another."""
    counts, _ = twice.duplicates(bk.build("digits"), ["train", "test"])
    assert [(one["exact"], one["near"]) for one in counts] == [(0, None), (0, None), (0, 0)]


# -------------------------------------------------------------------------------------------------- the audit


@pytest.fixture(scope="module")
def leaky():
    """100 train and 60 test images: color goes with the label, 4 leaks, one group that train never saw."""
    pixels = pictures(160)
    pixels[100:104] = pixels[:4]
    rng = np.random.default_rng(0)
    labels = np.tile([0, 1], 80)
    color = np.where(rng.random(160) < 0.9, labels, 1 - labels)
    color[:100][(labels[:100] == 0)] = 0
    color[100:104] = [1, 0, 1, 0]
    return table(
        labels, {"color": np.array(["red", "blue"])[color], "side": rng.integers(0, 2, 160)},
        ["train"] * 100 + ["test"] * 60, pixels, name="leaky", group_by=("color",),
    )  # fmt: skip


def test_the_whole(leaky):
    found = data_audit(leaky)
    result = found.result
    assert json.loads(json.dumps(result)) == result
    assert (result["kind"], result["schema_version"]) == ("data", 1)
    assert result["data"]["splits"] == {"train": 100, "test": 60}
    assert result["labels"] == [{"label": "0", "train": 50, "test": 30}, {"label": "1", "train": 50, "test": 30}]
    never = [row for row in result["groups"] if row["never_in_train"]]
    assert [(row["label"], row["color"], row["train"]) for row in never] == [("0", "red", 0)] or [
        (row["label"], row["color"], row["train"]) for row in never
    ] == [("0", "blue", 0)]
    assert set(found.association["attribute"]) == {"color", "side"}
    assert found.ceiling[["split", "attribute"]].values.tolist() == [
        ["train", "color"], ["train", "side"], ["test", "color"], ["test", "side"],
    ]  # fmt: skip
    assert found.duplicates.iloc[-1][["exact", "near"]].tolist() == [4, 0]
    assert len(found.pairs) == 4
    text = found.sentences
    assert text[0].startswith("In train, the color goes with the label: Cramer's V 0.")
    assert text[1].startswith("Without a pixel, from the color alone, a classifier is right in ")
    assert text[2].startswith("1 of the 4 groups that are tested was never seen in train: 0, ")
    assert text[3] == "Of 60 test images, 4 pixel for pixel are in train as well."
    assert repr(found).startswith("<DataAudit of leaky: In train, the color")


def test_no_shortcut_no_leak():
    data = table(np.tile([0, 1], 200), {"color": np.repeat([0, 1], 200)}, ["train", "train", "test", "test"] * 100,
                 pictures(400))  # fmt: skip
    text = data_audit(data).sentences
    assert text[0] == "In train, the color does not go with the label by more than chance (n 200)."
    assert text[1] == "Without a pixel, from the color alone, no classifier was seen to beat one answer for all."
    assert text[2] == "Train has seen each of the 4 groups that are tested."
    assert text[3] == "No image is in two splits, not even nearly."


def test_groups_in_a_sentence():
    sets = {
        "Train has seen the 1 group that is tested.": ["red", "red"],
        "1 of the 1 group that is tested was never seen in train: 0, blue.": ["red", "blue"],
    }
    for text, color in sets.items():
        data = bk.Dataset.from_arrays(pictures(2), [0, 0], {"color": color}, split=["train", "test"])
        assert text in data_audit(data).sentences
    data = bk.Dataset.from_arrays(pictures(3), [0, 0, 1], {"color": ["red", "blue", "blue"]},
                                  split=["train", "test", "test"])  # fmt: skip
    assert "2 of the 2 groups that are tested were never seen in train: (0, blue) and (1, blue)." in (
        data_audit(data).sentences
    )


@pytest.mark.parametrize("attributes", [{}, {"color": ["red"] * 8}])
def test_no_attribute_or_one_value(attributes):
    data = table([0, 1] * 4, attributes, ["train"] * 4 + ["test"] * 4, pictures(8))
    found = data_audit(data)
    assert json.dumps(found.result, allow_nan=False)
    assert found.sentences[-1] == "No image is in two splits, not even nearly."
    if attributes:
        assert found.association["v"].isna().all()
        assert set(found.association["reason"]) == {"one value only"}
    else:
        assert found.result["association"] == found.result["ceiling"] == []
        assert found.result["notes"] == [
            "the data have no attribute: nothing is said of shortcuts, and groups are labels"
        ]


def test_one_split_alone():
    found = data_audit(table([0, 1] * 20, {"color": [0, 1] * 20}, "test", pictures(40)))
    assert "from the color alone, a classifier is right in 100.0 % of test (" in " ".join(found.sentences)
    assert "there is no split train" in found.result["notes"][0]
    only = data_audit(table([0, 1] * 20, {"color": [0, 1] * 20}, "train", pictures(40)))
    assert [row["split"] for row in only.result["ceiling"]] == ["train"]
    assert json.dumps(only.result, allow_nan=False)


def test_twins_are_not_copies():
    data = bk.build("colordigits")
    found = data_audit(data)
    assert set(found.duplicates["split"]) == {"train", "test"}
    assert found.result["data"]["splits"] == {"train": 997, "test": 800}
    assert "never seen in train" in " ".join(found.sentences) or "Train has seen" in " ".join(found.sentences)
    assert (
        found.sentences[0] == "In train, the background color does not go with the digit by more than chance (n 997)."
    )


def test_near_is_a_distance():
    with pytest.raises(DataError, match=r"near = 2: .*between 0 and 1"):
        data_audit(table([0, 1], {}, "test"), near=2)


def test_hostile_names_do_not_steer_the_terminal():
    from biaskit.cli._text_data import data_lines

    names = ["\x1b[2J", "b"]
    data = table(np.tile(names, 20), {"at\u202etr": np.tile(names, 20)}, ["train"] * 20 + ["test"] * 20, pictures(40))
    found = data_audit(data)
    for one in [*found.sentences, *(line.text for line in data_lines(found.result, None))]:
        assert "\x1b" not in one
        assert "\u202e" not in one


def test_the_folder(leaky, tmp_path):
    found = data_audit(leaky)
    assert found.save(tmp_path / "out") == tmp_path / "out"
    assert json.loads((tmp_path / "out" / "result.json").read_text()) == found.result
    tables = {path.stem: pd.read_csv(path) for path in (tmp_path / "out" / "tables").glob("*.csv")}
    assert set(tables) == {"labels", "groups", "association", "ceiling", "duplicates", "pairs"}
    assert {path.suffix for path in (tmp_path / "out" / "tables").iterdir()} == {".csv", ".md", ".tex"}
    assert len(tables["pairs"]) == 4
    page = (tmp_path / "out" / "report.html").read_text()
    assert found.sentences[0].replace("Cramer's", "Cram\u00e9r&#39;s") in page
    assert page.count("<img") == 8
    assert (tmp_path / "out" / "figures" / "ceiling.svg").read_text().startswith("<svg")
    groups = (tmp_path / "out" / "tables" / "groups.md").read_text()
    assert "| Seen in train |" in groups
    assert "| never |" in groups
    assert "Cramer" not in page
    every = data_audit(table([0, 1] * 20, {"color": [0, 1] * 20}, "train", pictures(40)))
    made = data_page.typeset(every.result)["groups"]
    assert [head.text for head in made.heads] == ["Label", "color", "train"]
    assert {len(row) for row in made.rows} == {3}
    assert bk.report(tmp_path / "out", images=False).read_text().count("<img") == 0
    found.save(tmp_path / "out")  # a folder of its own kind is replaced
    (tmp_path / "out" / "thesis.tex").write_text("years of work")
    with pytest.raises(bk.StoreError, match="holds other files"):
        found.save(tmp_path / "out")


# ------------------------------------------------------------------------------------------------ the command


def call(monkeypatch, tmp_path, *words):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    words = [str(word) for word in words]
    monkeypatch.setattr("sys.argv", ["biaskit", *words])
    return CliRunner().invoke(app, words)


def test_the_command(leaky, monkeypatch, tmp_path):
    save_dataset(leaky, tmp_path / "leaky")
    result = call(monkeypatch, tmp_path, "data-audit", "leaky")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("In train, the color goes with the label")
    heads = [line.split("  ")[0] for line in lines]
    for head in ("split", "goes with the label", "without a pixel", "there twice"):
        assert head in heads
    (folder,) = tmp_path.glob("biaskit-data-leaky-*")
    assert any(line.startswith("report") and folder.name in line for line in lines)
    stored = json.loads((folder / "result.json").read_text())
    assert stored["command"] == "biaskit data-audit leaky"
    again = call(monkeypatch, tmp_path, "data-audit", "leaky", "--json", "--near", "0", "--out", "here")
    told = json.loads(again.stdout)
    assert told["near"] == 0.0
    assert told == json.loads((tmp_path / "here" / "result.json").read_text())


@pytest.mark.parametrize(
    ("words", "message"),
    [(["nowhere/at/all"], "nowhere/at/all"), (["colordigts"], "nearest: colordigits"), (["."], "")],
)
def test_the_command_refuses(words, message, monkeypatch, tmp_path):
    result = call(monkeypatch, tmp_path, "data-audit", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []
