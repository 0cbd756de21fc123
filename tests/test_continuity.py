"""Continuity: closed forms of a linear model, plain loops over a dozen images, and what its pictures show."""

from __future__ import annotations

import re
import sys

import numpy as np
import pandas as pd
import pytest
import torch
from _shared import evidence
from hypothesis import given
from hypothesis import strategies as st
from sklearn.decomposition import PCA
from torch import nn

import biaskit as bk
from biaskit import testing
from biaskit._audit import audit_result
from biaskit.analyzers import _neighborhoods, continuity
from biaskit.analyzers._neighborhoods import neighborhoods
from biaskit.analyzers._views import on_a_plane, scatter
from biaskit.data import Dataset
from biaskit.errors import DataError, MissingExtra, SpecError
from biaskit.perturbations import brightness, contrast, hue, saturation
from biaskit.subject import Subject

TINY = testing.tiny(per_group=12)
MEASURES = ["ds", "nds", "discontinuity_rate", "nearest"]
BLUE, ORANGE = (10, 99, 176), (205, 96, 12)


class Linear(nn.Module):
    """F(x) = c W x, flattened."""

    def __init__(self, pixels=48, classes=3, scale=1.0, seed=0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(scale * torch.randn(pixels, classes, generator=generator))

    def forward(self, images):
        return images.flatten(1) @ self.weight


class Means(nn.Module):
    """The logits are the mean red, green and blue of an image."""

    def forward(self, images):
        return images.mean(dim=(2, 3))


def unclipped(n=24, low=102, high=150, seed=0):
    """Images that no level of brightness, contrast or saturation clips."""
    pixels = np.random.default_rng(seed).integers(low, high, (n, 4, 4, 3)).astype(np.uint8)
    return Dataset.from_arrays(pixels, np.arange(n) % 3)


def scaled(data):
    return data.images.gather(torch.arange(len(data))).double() / 255


def flat(colors, labels):
    """Images of one color each."""
    colors = np.asarray(colors, np.uint8)[:, None, None]
    return Dataset.from_arrays(np.broadcast_to(colors, (len(colors), 2, 2, 3)).copy(), labels, classes="abc")


# Known answers


def test_levels_of_a_linear_model_are_squares():
    data, model = unclipped(), Linear()
    result = continuity(Subject(model, data))
    table = result.table.pivot(index="perturbation", columns="level", values="ds")
    for operation in ("brightness", "contrast", "saturation"):
        np.testing.assert_allclose(table.loc[operation] / table.loc[operation, 1], [1, 4, 9, 16], rtol=1e-4)
    np.testing.assert_allclose(table.loc["all"], table.drop(index="all").sum(), rtol=1e-9)

    # What a perturbation adds, per unit of strength: 1 to every pixel, x - m, x - g.
    images, weight = scaled(data), model.weight.detach().double()
    gray = (images * torch.tensor([0.2989, 0.587, 0.114]).double().view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
    mean = gray.mean(dim=(2, 3), keepdim=True)
    added = {"brightness": torch.ones_like(images), "contrast": images - mean, "saturation": images - gray}
    for operation, direction in added.items():
        for level in (1, 4):
            amount = 16 / 255 * level if operation == "brightness" else 0.25 * level
            expected = amount**2 * (direction.flatten(1) @ weight).square().sum(dim=1)
            part = result.samples.query("perturbation == @operation and level == @level")
            np.testing.assert_allclose(part["ds"], expected, rtol=1e-3)


def test_hue_of_a_gray_image_moves_nothing():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 4, 4)).astype(np.uint8)
    data = Dataset.from_arrays(np.repeat(pixels[..., None], 3, axis=3), np.arange(9) % 3)
    table = continuity(Subject(Linear(48), data), operations=("hue",)).table
    assert (table[["ds", "nds", "discontinuity_rate"]] == 0.0).all(axis=None)
    assert (table[["median_rank", "nearest"]] == 1.0).all(axis=None)


def test_one_channel_has_no_color_to_change():
    pixels = np.random.default_rng(0).integers(0, 256, (9, 4, 4, 1)).astype(np.uint8)
    data = Dataset.from_arrays(pixels, np.arange(9) % 3)
    found = continuity(Subject(Linear(16), data), levels=(1,))
    assert found.table["perturbation"].tolist() == ["brightness", "contrast", "all"]
    left = [
        "left out: saturation, which leaves gray images as they are",
        "left out: hue, which leaves gray images as they are",
    ]
    assert list(found.notes[:2]) == left
    with pytest.raises(DataError, match="gray images have no color to change: hue"):
        continuity(Subject(Linear(16), data), operations=("hue",))


def test_scale_of_the_logits():
    data = unclipped(low=0, high=256)
    one, three = (continuity(Subject(Linear(scale=scale), data)).table for scale in (1.0, 3.0))
    np.testing.assert_allclose(three["ds"], 9 * one["ds"], rtol=1e-4)
    np.testing.assert_allclose(three["nds"], one["nds"], rtol=1e-4)
    for measure in ("discontinuity_rate", "median_rank", "nearest"):
        np.testing.assert_array_equal(three[measure], one[measure])
    assert one["discontinuity_rate"].between(0.01, 0.99).sum() > 15


@pytest.mark.parametrize("scale", [1e-22, 1e25, 1e37])
def test_ranks_do_not_depend_on_the_scale_of_the_logits(scale):
    """Squares of logits above 1.8e19 or below 1e-22 are no float32."""
    line = torch.tensor([[0.0], [1.0], [3.0]]) * scale
    found = neighborhoods(line, np.zeros(3, int), torch.full((3, 1), 4.0).double() * scale**2)
    assert found.rank[:, 0].tolist() == [2.0, 2.0, 1.0]
    assert found.nearest.tolist() == [1, 0, 1]
    np.testing.assert_allclose(found.distance, np.array([1.0, 1.0, 4.0]) * scale**2, rtol=1e-6)

    # The rank of one of the four copies counts 23 others: all of them would be nearer, or none, were they not numbers.
    data = unclipped(low=0, high=256)
    one, other = (
        continuity(Subject(Linear(scale=factor), data), levels=(1,), views=("pca", "tsne"))
        for factor in (1.0, min(scale, 1e36))
    )
    for measure in ("discontinuity_rate", "median_rank", "nearest"):
        np.testing.assert_array_equal(one.table[measure], other.table[measure])
    np.testing.assert_allclose(one.table["nds"], other.table["nds"], rtol=1e-4)
    assert [picture.figure for picture in one.pictures] == [picture.figure for picture in other.pictures]


def test_against_plain_loops():
    rng = np.random.default_rng(1)
    spread = np.linspace(1, 25, 13)[:, None, None, None]  # the first images are nearer to each other
    pixels = np.clip(120 + spread * rng.normal(size=(13, 4, 4, 3)), 0, 255).astype(np.uint8)
    data = Dataset.from_arrays(pixels, [0, 1] * 6 + [2])
    model, operations = Linear(seed=3), (brightness, contrast, saturation, hue)
    result = continuity(Subject(model, data), levels=(3,))

    images, labels = scaled(data).float(), data.labels
    logits = model(images).detach().double().numpy()
    each = {}
    for operation in operations:
        moved = model(operation(images, torch.Generator(), level=3)).detach().double().numpy()
        for i in range(13):
            ds = sum((moved[i, k] - logits[i, k]) ** 2 for k in range(3))
            others = [
                sum((logits[j, k] - logits[i, k]) ** 2 for k in range(3))
                for j in range(13)
                if j != i and labels[j] == labels[i]
            ]
            nearer = sum(other < ds for other in others)
            found = [np.nan] * 4
            if others:
                found = [ds / np.mean(others), nearer / len(others), float(nearer == 0), nearer + 1]
            each[operation.__name__, i] = [ds, *found]
    for i in range(13):
        parts = np.array([each[operation.__name__, i] for operation in operations])
        each["all", i] = [parts[:, 0].sum(), *parts[:, 1:4].mean(axis=0), np.nan]

    table, samples = result.table.set_index("perturbation"), result.samples.set_index(["perturbation", "row"])
    assert samples.index.is_unique
    for name in ("brightness", "contrast", "saturation", "hue", "all"):
        expected = np.array([each[name, i] for i in range(13)])
        np.testing.assert_allclose(samples.loc[name].loc[range(13), MEASURES], expected[:, :4], rtol=1e-4)
        np.testing.assert_allclose(table.loc[name, MEASURES].astype(float), np.nanmean(expected[:, :4], 0), rtol=1e-4)
        assert (table.loc[name, "n"], table.loc[name, "n_neighbors"]) == (13, 12)
        if name != "all":
            assert table.loc[name, "median_rank"] == np.nanmedian(expected[:, 4])
    ranks = [value[4] for (name, _), value in each.items() if name != "all"]
    assert table.loc["all", "median_rank"] == np.nanmedian(ranks)
    assert 0 < table.loc["brightness", "discontinuity_rate"] < 1


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-2, 2), st.integers(-2, 2)), min_size=2, max_size=12),
    st.integers(0, 9),
)
def test_neighborhoods_with_ties_and_repeated_points(points, moved):
    """On a grid many distances are equal: a neighbor as far as the copy is not nearer, and never the image itself."""
    labels, logits = np.array([one[0] for one in points]), torch.tensor([one[1:] for one in points]).float()
    found = neighborhoods(logits, labels, torch.full((len(points), 1), float(moved)))
    for i, (label, *place) in enumerate(points):
        others = {
            j: float((one[1] - place[0]) ** 2 + (one[2] - place[1]) ** 2)
            for j, one in enumerate(points)
            if j != i and one[0] == label
        }
        distances = list(others.values())
        assert found.known[i] == any(distances)
        if any(distances):
            assert found.typical[i] == pytest.approx(np.mean(distances), rel=1e-12)
            assert found.rank[i, 0] == 1 + sum(one < moved for one in distances)
            assert found.rate[i, 0] == pytest.approx(np.mean([one < moved for one in distances]))
            assert others[found.nearest[i]] == min(distances) == pytest.approx(found.distance[i])
        else:
            assert found.nearest[i] == -1
            assert np.isnan([found.typical[i], found.distance[i], found.rank[i, 0], found.rate[i, 0]]).all()


def test_memory_is_bounded_by_portions(monkeypatch):
    data = unclipped(700)  # several batches, the last one smaller
    whole = continuity(Subject(Linear(), data))
    sizes = []
    nearer = _neighborhoods._nearer
    monkeypatch.setattr(_neighborhoods, "_ELEMENTS", 2000)
    monkeypatch.setattr(_neighborhoods, "_nearer", lambda one, copies: sizes.append(one.numel()) or nearer(one, copies))
    portions = continuity(Subject(Linear(), data))
    assert max(sizes) <= 2000
    np.testing.assert_allclose(whole.table[MEASURES], portions.table[MEASURES], rtol=1e-12)
    few = continuity(Subject(Linear(), data), images=40).samples
    both = whole.samples.merge(few, on=["row", "perturbation", "level"], suffixes=("", "_few"))
    np.testing.assert_allclose(both["ds"], both["ds_few"], rtol=1e-3, atol=1e-9)
    assert len(both) == 40 * 5 * 4


def test_a_constant_model_has_no_distance_to_divide_by():
    result = continuity(Subject(testing.constant(1), TINY), views=("pca", "tsne"))
    table = result.table
    np.testing.assert_array_equal(table["ds"], 0.0)
    assert table[["nds", "discontinuity_rate", "median_rank", "nearest"]].isna().all(axis=None)
    assert (table["n_neighbors"].unique().tolist(), table["n"].unique().tolist()) == ([0], [48])
    assert result.pictures == ()
    assert [note.partition(":")[0] for note in result.notes] == [
        "no example of discontinuity",
        "no view of the class left",
    ]


def test_headline_leaves_out_what_a_constant_model_has_not():
    rows = audit_result(bk.audit(testing.constant(1), TINY, device="cpu"))["headline"]
    values = {row["metric"]: row["value"] for row in rows}
    assert "nds" not in values
    assert values["ds"] == 0.0
    assert values["discontinuity_rate"] is None


def test_a_sample_is_the_same_for_every_model():
    data = unclipped(60)
    rows = [continuity(Subject(Linear(seed=seed), data), images=10).samples["row"].unique() for seed in (0, 1)]
    np.testing.assert_array_equal(*rows)
    assert len(rows[0]) == 10
    assert (np.diff(rows[0]) > 0).all()


def test_seeds_are_paired_per_perturbation_and_level():
    data = unclipped()
    results = [continuity(Subject(Linear(seed=seed), data)) for seed in (0, 1)]
    samples = [one.samples.assign(seed=seed) for seed, one in enumerate(results)]
    answers = np.zeros((2, len(data)), int)
    arm = evidence(data, "x", answers, answers, continuity=pd.concat(samples, ignore_index=True))
    for name in ("hue", "all"):
        wide = arm.per_image("continuity", "ds", perturbation=name, level=2)
        assert wide.shape == (2, 24)
        means = [one.table.set_index(["perturbation", "level"]).loc[(name, 2), "ds"] for one in results]
        np.testing.assert_allclose(wide.mean(axis=1), means)


# Pictures


def test_triples_are_those_of_the_largest_ratio():
    # Brightness at level 1 adds 16 to red, green and blue: DS = 3 (16/255)^2; the nearest others are d / 255 away.
    reds = [0, 8, 100, 120, 180, 220, 20]
    data = flat([[red, 50, 50] for red in reds], list("aaaaaab"))
    result = continuity(Subject(Means(), data), operations=("brightness",), levels=(2, 1), examples=2, views=())
    found = result.pictures
    # sqrt(3) 16 = 27.7: nearer than that are 0 and 8 (ratio 12), 100 and 120 (1.92); 180 and 220 are 40 apart. Both
    # pairs are each other's nearest, and of each pair one stands for both.
    assert [one.row for one in found] == ["largest ratio, 1", "largest ratio, 2"]
    assert [re.findall(r"image (\d+)", one.caption) for one in found] == [["0", "1"], ["2", "3"]]
    assert {(one.figure, one.column) for one in found} == {("discontinuity", "")}
    assert result.notes == ()
    assert found[0].caption == (
        "original: image 0, a; perturbed: brightness, level 1, DS 0.0118, rank 2; neighbor: image 1, a, DS 0.000984"
    )  # 3 (16/255)^2, (8/255)^2
    height, width, _ = found[0].pixels.shape
    assert (height, width) == (64 + 10 + 4, 3 * 64 + 2 * 4)  # a line of words above three pictures
    middles = found[0].pixels[height - 32, [32, width // 2, width - 32]]
    assert middles.tolist() == [[0, 50, 50], [16, 66, 66], [8, 50, 50]]
    assert (found[0].pixels[:, 65] == 255).all()
    for left in (0, 68, 136):  # each has its word
        assert (found[0].pixels[:10, left : left + 64] < 128).any()


def test_no_triple_is_another_one_mirrored():
    data = unclipped(60, low=0, high=256)
    found = continuity(Subject(Linear(), data), examples=20, views=()).pictures
    pairs = [tuple(re.findall(r"image (\d+)", one.caption)) for one in found]
    assert len(pairs) == len(set(pairs)) > 10
    assert not {(other, one) for one, other in pairs} & set(pairs)


def test_triples_take_the_operation_that_moves_furthest():
    data = flat([[200, 40, 40], [203, 40, 40], [40, 200, 40], [40, 203, 40]], list("aabb"))
    (first, *_) = continuity(Subject(Means(), data), views=()).pictures
    assert "perturbed: hue, level 1," in first.caption
    assert continuity(Subject(Means(), data), views=(), examples=0).pictures == ()


def test_a_smooth_model_has_no_triple_and_says_so():
    data = flat([[0, 0, 0], [200, 0, 0], [0, 200, 0]], list("aaa"))
    result = continuity(Subject(Means(), data), operations=("brightness",), views=())
    assert result.pictures == ()
    assert result.notes == (
        "no example of discontinuity: at level 1 no perturbed copy is further from its image than another image of "
        "the class",
    )


def test_views_show_one_class():
    data = unclipped(30)
    result = continuity(Subject(Linear(), data), views=("pca", "tsne"), view_label="1", examples=0)
    one, other = result.pictures
    assert (one.figure, other.figure) == ("logits, PCA", "logits, t-SNE")
    assert one.row == other.row == "image 1, label 1"
    assert one.caption == (
        "blue square: the image; orange triangles: its 4 copies at level 1; gray: 9 other images labeled 1"
    )
    assert one.pixels.shape == (320, 320, 3)
    assert one.pixels.dtype == np.uint8
    again = continuity(Subject(Linear(), data), views=("pca", "tsne"), view_label="1", examples=0).pictures
    for first, second in zip(result.pictures, again, strict=True):
        np.testing.assert_array_equal(first.pixels, second.pixels)
    first = continuity(Subject(Linear(), data), examples=0).pictures
    assert [picture.row for picture in first] == ["image 0, label 0"]


def test_classes_too_small_for_a_view():
    data = flat([[0, 0, 0], [90, 0, 0], [0, 90, 0], [0, 0, 90]], list("aabc"))
    notes = continuity(Subject(Means(), data)).notes
    assert notes[-1] == "no view of a class: it needs 3 of the images looked at, and no label has so many"
    notes = continuity(Subject(Means(), data), view_label="b").notes
    assert notes[-1] == "no view of a class: it needs 3 of the images looked at, and b has 1"
    with pytest.raises(SpecError, match="view_label: data has no label 'd'; nearest: a, b, c"):
        continuity(Subject(Means(), data), view_label="d")


def test_pca_is_scikit_learns():
    points = np.random.default_rng(0).normal(size=(40, 7)) * np.arange(1, 8)
    found = on_a_plane(points, "pca")
    np.testing.assert_allclose(np.abs(found), np.abs(PCA(2, svd_solver="full").fit_transform(points)), atol=1e-9)
    assert on_a_plane(points[:, :1], "pca")[:, 1].tolist() == [0.0] * 40


def test_tsne_of_few_points_and_the_callers_generator():
    state = np.random.get_state()[1].copy()
    for n in (4, 40, 120):
        points = np.random.default_rng(0).normal(size=(n, 3))
        points[n // 2 :] += 50.0
        found = on_a_plane(points, "tsne")
        assert found.shape == (n, 2)
        np.testing.assert_array_equal(found, on_a_plane(points, "tsne"))
    sides = [np.linalg.norm(found[:60] - found[:60].mean(0), axis=1).max(), np.linalg.norm(found[0] - found[-1])]
    assert sides[0] < sides[1]  # the two clouds stay apart
    np.testing.assert_array_equal(state, np.random.get_state()[1])


def test_umap_is_an_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    subject = Subject(None, TINY, logits=torch.zeros(96, 2))  # it is said before the model is asked for
    with pytest.raises(MissingExtra, match=r"pip install 'biaskit\[umap\]'"):
        continuity(subject, views=("umap",))


def test_umap_keeps_clouds_apart():
    pytest.importorskip("umap", reason="umap-learn is not installed")
    points = np.random.default_rng(0).normal(size=(40, 5))
    points[20:] += 50.0
    found = on_a_plane(points, "umap")
    np.testing.assert_array_equal(found, on_a_plane(points, "umap"))
    assert np.linalg.norm(found[:20].mean(0) - found[20:].mean(0)) > found[:20].std(axis=0).max()


def test_scatter_draws_what_its_caption_says():
    plane = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, 0.5], [-2.0, -1.0]])
    pixels = scatter(plane, 2)

    def place(color):
        rows, columns = np.nonzero((np.abs(pixels.astype(int) - color) <= 15).all(axis=2))
        return columns.mean(), rows.mean(), len(rows)

    x, y, size = place(BLUE)
    assert (x, y) == pytest.approx((159.5, 159.5), abs=1.5)
    assert size == pytest.approx(13 * 13, abs=40)
    x, y, _ = place(ORANGE)  # between (1, 1) and (2, 0.5); up is up
    step = 0.88 * 320 / 4
    assert (x, y) == pytest.approx((159.5 + 1.5 * step, 159.5 - 0.75 * step), abs=3)
    assert (pixels[round(159.5 + 1.0 * step), round(159.5 - 2 * step)] == (150, 156, 164)).all()
    assert scatter(np.zeros((3, 2)), 1).shape == (320, 320, 3)
