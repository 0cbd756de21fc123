"""Dissection of units: thresholds, masks, intersections, attacked images, planted units of known answers."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import biaskit as bk
from biaskit import testing
from biaskit._audit import _fingerprint
from biaskit.analyzers import _dissection_counts as counting
from biaskit.analyzers._dissection import dissection
from biaskit.analyzers._dissection_counts import Overlap, best_labels, thresholds
from biaskit.analyzers._units import Show, Strongest, map_layer, seen
from biaskit.attacks._least_likely import least_likely
from biaskit.broden import broden_fingerprint
from biaskit.errors import DataError, SpecError, UnknownName, UnsupportedModel
from biaskit.subject import Subject

SIDE = 32


def net(weights, side=SIDE, classes=2):
    """A layer ``0`` of 1 x 1 convolutions over red, green and blue, then a head."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, len(weights), 1, bias=False), nn.Flatten(), nn.Linear(len(weights) * side**2, classes)
    )
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor(weights)[:, :, None, None])
    return model


def labeled(images, planes, names, categories):
    """Test images with concepts."""
    concepts = bk.Concepts(bk.ArrayPlanes(planes.astype(np.uint8)), tuple(names), tuple(categories))
    labels = np.arange(len(images)) % 2
    return bk.Dataset.from_arrays(images, labels, name="made").replace(concepts=concepts)


def natural(result, unit=0):
    return result.details[result.details["images"] == "natural"].set_index("unit").loc[unit]


def random_set(seed=0, n=12, side=8, planes=(16, 16)):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (n, side, side, 3)).astype(np.uint8)
    labels = np.stack([rng.integers(0, 3, (n, *planes)), rng.choice([0, 3, 4], (n, 1, 1)) + np.zeros((n, *planes))], 1)
    return labeled(images, labels, ["a", "b", "c", "d"], ["color", "color", "scene", "scene"])


class Coarse(nn.Module):
    """Maps of 4 x 4 from images of 8 x 8."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.body = nn.Conv2d(3, 5, 2, stride=2)
        self.head = nn.Linear(80, 2)

    def forward(self, images):
        return self.head(self.body(images).flatten(1))


# Known answers


@pytest.mark.parametrize("pixels", [1, 2, 3, 20, 60])
def test_a_planted_unit_has_the_closed_form(pixels):
    """A unit that is active on its concept alone, in one strength or another: IoU = min(k / q, q / k)."""
    rng, n, q = np.random.default_rng(0), 200, 0.005
    mask = np.zeros((n, SIDE * SIDE), np.int64)
    for row in mask:
        row[rng.choice(SIDE * SIDE, pixels, replace=False)] = 1
    # mask (1 + u) + (1 - mask) u / 2 in steps of 1 / 2**15: one byte in red, one in green, which counts 1 / 256.
    value = np.where(mask > 0, 32768 + rng.integers(0, 32768, mask.shape), rng.integers(0, 16384, mask.shape))
    images = np.stack([value // 256, value % 256, 0 * value], -1).reshape(n, SIDE, SIDE, 3).astype(np.uint8)
    data = labeled(images, mask.reshape(n, 1, SIDE, SIDE), ["thing"], ["object"])
    result = dissection(Subject(net([[1.0, 1 / 256, 0.0]]), data), epsilon=0.0)
    coverage = pixels / SIDE**2
    # In steps of 1 / 2**15 some 12 pixels tie.
    assert natural(result)["iou"] == pytest.approx(min(coverage / q, q / coverage), rel=0.02)
    assert natural(result)["label"] == "thing"


def test_an_independent_unit_meets_its_concept_by_chance():
    rng, n, q, coverage = np.random.default_rng(1), 200, 0.005, 0.25
    mask = (rng.permuted(np.tile(np.arange(SIDE**2), (n, 1)), axis=1) < coverage * SIDE**2).reshape(n, 1, SIDE, SIDE)
    images = rng.integers(0, 256, (n, SIDE, SIDE, 3)).astype(np.uint8)
    result = dissection(Subject(net([[1.0, 1 / 256, 0.0]]), labeled(images, mask, ["thing"], ["object"])), epsilon=0.0)
    expected = q * coverage / (q + coverage - q * coverage)
    assert natural(result)["iou"] == pytest.approx(expected, rel=0.15)  # 256 pixels in both, give or take 16
    assert not natural(result)["detector"]


def union_example(lite):
    """Three images of 2 x 2: a mask beside the color, one on it, and one on an object where no color is."""
    labels = [[[1, 0], [0, 0]], [[1, 1], [0, 0]], [[2, 2], [2, 2]]]
    masks = [[[0, 0], [1, 1]], [[1, 0], [1, 0]], [[1, 1], [1, 1]]]
    planes = np.asarray(labels, np.uint8)[:, None]
    concepts = bk.Concepts(bk.ArrayPlanes(planes), ("red", "cup", "blue"), ("color", "object", "color"))
    overlap = Overlap(torch.tensor([0.5]), concepts, lite)
    for one, plane in zip(masks, planes, strict=True):  # an image at a time, so that sums are tested too
        overlap.add(torch.tensor(one)[None, None].float(), torch.from_numpy(plane)[None].long())
    return overlap


def test_the_union_counts_masks_where_the_category_is():
    # Red: 1 pixel in both; 3 red pixels; 4 of the mask in the two images with a color, or 2 where it meets one.
    overlap = union_example(lite=False)
    np.testing.assert_allclose(overlap.iou(), [[1 / (4 + 3 - 1), 4 / (4 + 4 - 4), np.nan]])
    np.testing.assert_allclose(union_example(lite=True).iou(), [[1 / (2 + 3 - 1), 1.0, np.nan]])
    assert overlap.images.tolist() == [3]
    assert overlap.labeled.tolist() == [5, 3, 4, 0]


@pytest.mark.parametrize("lite", [False, True])
def test_a_label_in_two_planes_of_a_pixel_counts_once(lite):
    # A door is an object, and here and there a part too: the unit whose mask it is has an IoU of 1, not of 2.
    labels = torch.tensor([[[[1, 1], [0, 2]], [[1, 0], [1, 2]], [[1, 2], [0, 2]]]])
    concepts = bk.Concepts(bk.ArrayPlanes(labels.numpy().astype(np.uint8)), ("door", "wall"), ("object", "object"))
    overlap = Overlap(torch.tensor([0.5]), concepts, lite)
    overlap.add(torch.tensor([[[[1.0, 1.0], [1.0, 0.0]]]]), labels)
    np.testing.assert_allclose(overlap.iou(), [[3 / 3, 1 / (3 + 2 - 1)]])


def test_best_labels_and_their_categories():
    iou = np.asarray([[0.2, np.nan, 0.1], [0.0, np.nan, 0.0], [0.3, np.nan, 0.3]])
    best = best_labels(iou, ("color", "part", "object"), ("color", "object", "part"))
    assert best.label.tolist() == [0, -1, 0]
    assert best.iou.tolist() == [0.2, 0.0, 0.3]
    np.testing.assert_array_equal(best.within, [[0.2, 0.1, np.nan], [0.0, 0.0, np.nan], [0.3, 0.3, np.nan]])


@pytest.mark.parametrize("lite", [False, True])
def test_the_counts_are_those_of_a_loop(lite):
    data, model = random_set(), Coarse()
    subject = Subject(model, data)
    result = dissection(subject, layer="body", quantile=0.1, epsilon=0.0, lite=lite)
    images = data.images.gather(torch.arange(len(data))).float() / 255
    planes = data.concepts.planes.gather(torch.arange(len(data)))
    with torch.no_grad():
        maps = model.body(images)
    for unit in range(5):
        values = maps[:, unit].flatten().sort(descending=True).values
        limit = values[int(0.1 * len(values))]
        assert natural(result, unit)["threshold"] == float(limit)
        masks = F.interpolate(maps[:, unit, None], (16, 16), mode="bilinear")[:, 0] > limit
        found = {}
        for number, category in zip((1, 2, 3, 4), ((1, 2), (1, 2), (3, 4), (3, 4)), strict=True):
            both = area = there = 0
            for mask, plane in zip(masks, planes, strict=True):
                label = (plane == number).any(dim=0)
                of_category = ((plane == category[0]) | (plane == category[1])).any(dim=0)
                both += int((mask & label).sum())
                there += int(label.sum())
                if bool((of_category & mask).any() if lite else of_category.any()):
                    area += int(mask.sum())
            found[number] = both / (area + there - both)
        best = max(found, key=found.get)
        assert natural(result, unit)["label"] == "abcd"[best - 1]
        assert natural(result, unit)["iou"] == pytest.approx(found[best])
        assert natural(result, unit)["n"] == int((maps[:, unit].amax(dim=(1, 2)) > limit).sum())


# Thresholds


def show_of(values):
    """Images whose one unit takes these values (N, side, side), in steps of 1 / 255."""
    images = np.stack([values] * 3, -1).astype(np.uint8)
    return Show(
        net([[1.0, 0.0, 0.0]], side=values.shape[1]), bk.ArrayImages(images), (3, *values.shape[1:]), "0", "cpu"
    )


def test_thresholds_are_exact_whatever_the_batches(monkeypatch):
    values = np.random.default_rng(0).permutation(256).reshape(16, 4, 4)
    show, rows = show_of(values), np.arange(16)
    whole, every = thresholds(show, rows, 0.05)
    assert (round(float(whole) * 255), every) == (255 - 12, 1)  # 12 of 256 are above it
    monkeypatch.setattr("biaskit.analyzers._units.BATCH", 3)
    assert torch.equal(thresholds(show, rows, 0.05)[0], whole)
    # Where not even the strongest may be kept, some images are looked at; the note of the result says so.
    monkeypatch.setattr(counting, "KEPT", 4 * 4)
    limits, every = thresholds(show, rows, 0.05)
    kept = np.sort(values[::every].ravel())[::-1]
    assert every > 1
    assert round(float(limits) * 255) == kept[int(0.05 * kept.size)]
    data = random_set(n=16)
    result = dissection(Subject(net([[1.0, 1.0, 1.0]], side=8), data), epsilon=0.0)
    assert any("thresholds are read off one in" in note for note in result.notes)


def test_too_few_activations_are_refused():
    data = random_set(n=2)
    with pytest.raises(DataError, match=r"quantile 0\.005 of 128 activations per unit .* is none"):
        dissection(Subject(net([[1.0, 0.0, 0.0]], side=8), data))


def test_a_unit_that_never_varies_detects_nothing():
    result = dissection(Subject(net([[0.0, 0.0, 0.0]], side=8), random_set()))
    assert result.details["label"].tolist() == ["", ""]
    assert result.details["n"].tolist() == [0, 0]
    assert result.table["detectors"].tolist() == [0.0] * 6
    assert result.pictures == ()


# The result


def test_the_table_counts_detectors():
    data = testing.tiny(concepts=True)
    # White is the square; red without blue, blue without red; and one that likes both backgrounds.
    model = net([[1.0, 1.0, 1.0], [1.0, -1.0, -1.0], [-1.0, -1.0, 1.0], [1.0, -9.0, 1.0]], side=8)
    result = dissection(Subject(model, data), quantile=0.2, epsilon=0.0)
    table = result.table.set_index("category")
    assert list(table.index) == ["all", "color", "object"]
    assert table["n"].tolist() == [4, 4, 4]
    details = result.details.set_index("unit")
    assert details["label"].tolist()[0] == "square"
    share = {name: (details["detector"] & (details["category"] == name)).mean() for name in ("color", "object")}
    assert table.loc["object", "detectors"] == share["object"]
    assert table.loc["color", "detectors"] == share["color"]
    assert table.loc["all", "detectors"] == pytest.approx(share["color"] + share["object"])
    unique = details[details["detector"]].groupby("category")["label"].nunique()
    assert table.loc["color", "unique"] == unique.get("color", 0)
    assert table.loc["all", "iou"] == pytest.approx(details["iou"].mean())
    strict = dissection(Subject(model, data), quantile=0.2, epsilon=0.0, threshold=0.999).table.set_index("category")
    assert strict.loc["object", ["detectors", "unique"]].tolist() == [0.25, 1.0]  # the square, exactly


def test_the_notes_count_images_and_dead_units():
    data = testing.tiny(concepts=True)
    subject = Subject(net([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]], side=8), data)
    notes = dissection(subject, quantile=0.2, epsilon=0.0, images=9).notes
    assert notes[1:] == ("9 of 16 test images", "1 of 2 units are active in no natural image: their IoU is 0")


def test_a_category_that_no_pixel_has_is_not_defined():
    data = random_set()
    concepts = bk.Concepts(
        data.concepts.planes, ("a", "b", "c", "d", "e"), ("color", "color", "scene", "scene", "part")
    )
    table = dissection(Subject(Coarse(), data.replace(concepts=concepts)), layer="body", quantile=0.1).table
    part = table[table["category"] == "part"]
    assert part[["detectors", "unique", "iou"]].isna().all(axis=None)
    assert part["n"].tolist() == [5, 5]
    assert table[table["category"] != "part"].notna().all(axis=None)


def test_attacked_images_keep_thresholds_and_labels():
    data, model = random_set(n=40), Coarse()
    result = dissection(Subject(model, data), layer="body", quantile=0.1, epsilon="16/255", step="4/255", steps=3)
    kinds = {kind: part.set_index("unit") for kind, part in result.details.groupby("images")}
    pd.testing.assert_series_equal(kinds["natural"]["threshold"], kinds["adversarial"]["threshold"])
    images = data.images.gather(torch.arange(40)).float() / 255
    moved = least_likely(
        model, images, torch.zeros(40).long(), torch.Generator(), epsilon="16/255", step="4/255", steps=3
    )
    overlap = Overlap(torch.tensor(kinds["natural"]["threshold"].to_numpy()), data.concepts, lite=False)
    with torch.no_grad():
        overlap.add(model.body(moved), data.concepts.gather(torch.arange(40)).long())
    np.testing.assert_allclose(kinds["adversarial"]["iou"], overlap.iou().max(axis=1))
    assert not np.allclose(kinds["adversarial"]["iou"], kinds["natural"]["iou"])
    assert set(dissection(Subject(model, data), layer="body", epsilon=0.0, quantile=0.1).table["images"]) == {"natural"}


def test_pictures_show_the_best_detectors():
    data = testing.tiny(concepts=True)
    model = net([[1.0, 1.0, 1.0], [1.0, -1.0, -1.0]], side=8)
    result = dissection(Subject(model, data), quantile=0.2, pictures=1, top=3)
    (picture,) = result.pictures
    assert picture.pixels.dtype == np.uint8
    assert picture.pixels.shape == (96 * 2 + 4, 96 * 3 + 2 * 4, 3)
    assert picture.caption.startswith("unit 0; natural: square (object), IoU 1.00; below, adversarial: ")
    assert result.notes[0] == "the units are the 2 channels of 0, a map of 8 x 8, the deepest of at least 4 x 4"


# Material


def test_a_broden_folder_gives_what_the_data_set_itself_gives(tmp_path):
    data = testing.tiny(concepts=True)
    bk.write_broden(data, tmp_path / "broden")
    subject = Subject(net([[1.0, 1.0, 1.0], [1.0, -1.0, 0.0]], side=8), data)
    own, other = (dissection(subject, quantile=0.2, concepts=one) for one in ("", str(tmp_path / "broden")))
    pd.testing.assert_frame_equal(own.table, other.table)
    pd.testing.assert_frame_equal(own.details, other.details)
    assert other.reads == {str(tmp_path / "broden"): broden_fingerprint(tmp_path / "broden")}
    assert _fingerprint(str(tmp_path / "broden")) == other.reads[str(tmp_path / "broden")]
    assert any("16 of 16 images" in note for note in other.notes)
    fewer = dissection(subject, quantile=0.2, concepts=str(tmp_path / "broden"), images=8)
    assert any("8 of 16 images" in note for note in fewer.notes)


def test_images_of_another_size_are_fitted_to_the_network(tmp_path):
    data = testing.tiny(concepts=True)
    bk.write_broden(data, tmp_path / "broden")
    large = bk.Dataset.from_arrays(np.zeros((4, 16, 16, 3), np.uint8), [0, 1, 0, 1])
    subject = Subject(net([[1.0, 1.0, 1.0]], side=16), large)
    result = dissection(subject, quantile=0.2, concepts=str(tmp_path / "broden"))
    assert any("8 x 8, shown to the network at 16 x 16" in note for note in result.notes)
    assert natural(result)["label"] == "square"


def test_pixels_are_brought_to_the_channels_of_the_network():
    color = torch.tensor([30, 60, 90], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    assert seen(color, (1, 4, 4))[0, 0, 0, 0].item() == pytest.approx(60 / 255)
    assert seen(color[:, :1], (3, 4, 4))[0, :, 0, 0].tolist() == pytest.approx([30 / 255] * 3)


def test_a_data_set_without_concepts_says_what_to_give():
    subject = Subject(net([[1.0, 1.0, 1.0]], side=8), testing.tiny())
    with pytest.raises(
        DataError, match=r"tiny has no concepts to dissect with: take the data set shapes, or give a fo"
    ):
        dissection(subject)
    found = bk.audit(subject.model, testing.tiny(), analyzers=["dissection"], device="cpu")
    assert "dissection" in found.failed


def test_layers_without_a_map_are_refused():
    subject = Subject(net([[1.0, 1.0, 1.0]], side=8), testing.tiny(concepts=True))
    with pytest.raises(UnsupportedModel, match="layer '2' gives 2 per image; units are read from maps"):
        dissection(subject, layer="2")
    with pytest.raises(UnknownName, match="no layer 'conv'"):
        dissection(subject, layer="conv")
    with pytest.raises(SpecError, match="epsilon"):
        dissection(subject, epsilon=8, quantile=0.1)
    assert map_layer(subject, "")[0] == "0"


def test_the_strongest_images_are_kept_over_batches():
    strongest = Strongest(2)
    strongest.add(np.asarray([10, 11]), torch.tensor([[1.0, 5.0], [3.0, 5.0]]))
    strongest.add(np.asarray([12]), torch.tensor([[3.0, 6.0]]))
    assert strongest.rows.tolist() == [[11, 12], [12, 10]]  # of equal ones the first shown
    assert strongest.values.tolist() == [[3.0, 3.0], [6.0, 5.0]]
