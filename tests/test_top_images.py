"""The images that excite units most, and the part of an image that does."""

import numpy as np
import pytest
import torch
from torch import nn

import biaskit as bk
from biaskit import testing
from biaskit.analyzers._occlusion import discrepancy, region, size_for
from biaskit.analyzers._top_images import _chance, top_images
from biaskit.analyzers._unit_pictures import outlined, stacked, strip
from biaskit.attacks._least_likely import least_likely
from biaskit.errors import SpecError
from biaskit.subject import Subject


def net(weights, classes=2, side=8):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, len(weights), 1, bias=False), nn.Flatten(), nn.Linear(len(weights) * side**2, classes)
    )
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor(weights)[:, :, None, None])
    return model


def graded(n=12, side=8):
    """Image i has one pixel of red 10 + i, at (2, 3), and of blue 100 - 4 i; labels a, b, c in turn."""
    images = np.zeros((n, side, side, 3), np.uint8)
    images[:, 2, 3, 0] = 10 + np.arange(n)
    images[:, 2, 3, 2] = 100 - 4 * np.arange(n)
    return bk.Dataset.from_arrays(images, [("a", "b", "c")[i % 3] for i in range(n)])


def test_the_top_images_of_each_unit():
    result = top_images(Subject(net([[1.0, 0, 0], [0, 0, 1.0]], 3), graded()), top=4, epsilon=0.0, pictures=0)
    red, blue = (part for _, part in result.details.groupby("unit"))
    assert red["row"].tolist() == [11, 10, 9, 8]
    assert red["rank"].tolist() == [1, 2, 3, 4]
    assert red["label"].tolist() == ["c", "b", "a", "c"]
    np.testing.assert_allclose(red["activation"], np.asarray([21, 20, 19, 18]) / 255, rtol=1e-6)
    assert blue["row"].tolist() == [0, 1, 2, 3]
    # Red: c twice of 4, blue: a twice of 4; three different labels each.
    assert result.table[["images", "n", "n_dead", "share", "labels"]].values.tolist() == [["natural", 2, 0, 0.5, 3.0]]


def test_attacked_images_are_compared_with_the_label_of_natural_ones():
    data, model = graded(30), net([[1.0, 0, 0], [0, 0, 1.0]], 3)
    given = {"epsilon": "16/255", "step": "4/255", "steps": 3}
    result = top_images(Subject(model, data), top=5, pictures=0, **given)
    images = data.images.gather(torch.arange(30)).float() / 255
    moved = least_likely(model, images, torch.zeros(30).long(), torch.Generator(), **given)
    with torch.no_grad():
        values = model[0](moved).amax(dim=(2, 3)).T
    order = values.sort(dim=1, descending=True, stable=True).indices[:, :5].numpy()
    attacked = result.details[result.details["images"] == "adversarial"]
    np.testing.assert_array_equal(attacked["row"].to_numpy().reshape(2, 5), order)
    # The top of red are rows 29, 28, 27, 26, 25: c b a c b, the first of the two commonest is c; of blue it is a.
    share = np.mean([(data.labels[order[0]] == 2).mean(), (data.labels[order[1]] == 0).mean()])
    table = result.table.set_index("images")
    assert table.loc["adversarial", "share"] == pytest.approx(share)
    assert table.loc["natural", "share"] == 0.4
    assert table.loc["adversarial", "chance"] == pytest.approx(1 / 3)


def test_units_that_never_vary_are_counted_apart():
    result = top_images(Subject(net([[1.0, 0, 0], [0, 0, 0.0]], 3), graded()), top=3)
    assert result.table["n"].tolist() == [1, 1]
    assert result.table["n_dead"].tolist() == [1, 1]
    assert len(result.pictures) == 1
    none = top_images(Subject(net([[0, 0, 0.0]], 3), graded()), top=3).table
    assert none["n"].tolist() == [0, 0]
    assert none[["share", "chance", "labels"]].isna().all(axis=None)


def test_chance_is_what_random_units_get():
    # Two of two labels, half each, 100 images: both alike in 49/99 of the draws, then the share is 1, else 1/2.
    found = _chance("natural", np.arange(100) % 2, np.zeros(3, np.int64), 2)
    assert found == pytest.approx(0.5 + 0.5 * 49 / 99, abs=0.03)


def test_more_wanted_than_there_are():
    result = top_images(Subject(net([[1.0, 0, 0]], 3), graded(4)), top=9, epsilon=0.0, pictures=0)
    assert result.details["rank"].tolist() == [1, 2, 3, 4]
    assert "top 4 of 4 images" in result.notes[1]


def test_units_can_be_named():
    subject = Subject(net([[1.0, 0, 0], [0, 0, 1.0], [0, 1.0, 0]], 3), graded())
    assert len(top_images(subject, units=(0, 0), marked=1, epsilon=0.0).pictures) == 1
    named = top_images(subject, units=(0,), marked=2, epsilon=0.0)
    assert [one.caption for one in named.pictures] == ["unit 0; natural: c, b"]
    assert named.pictures[0].pixels.shape == (96, 2 * 96 + 4, 3)
    varied = top_images(subject, pictures=1, marked=2)
    assert varied.pictures[0].caption.startswith("unit 1; ")  # blue varies four times as much
    assert varied.pictures[0].pixels.shape == (2 * 96 + 4, 2 * 96 + 4, 3)
    with pytest.raises(SpecError, match="no unit 3; 0 has units 0 to 2"):
        top_images(subject, units=(3,))
    with pytest.raises(SpecError, match="an occluder of 9 x 9 pixels does not fit images of 8 x 8"):
        top_images(subject, occluder=9)


# The discrepancy map


def test_the_map_of_a_number_read_off_one_pixel():
    """Patches of 3 x 3 at 0, 2, 3 of 6: a pixel gets the share of the patches over it that cover (1, 1)."""
    image = torch.zeros(1, 6, 6)
    found = discrepancy(lambda x: (x[:, 0, 1, 1] > 0).float(), image, torch.Generator().manual_seed(0), 3, 2)
    starts = [0, 2, 3]
    for row in range(6):
        for column in range(6):
            over = [(a, b) for a in starts for b in starts if a <= row < a + 3 and b <= column < b + 3]
            expected = sum(a <= 1 < a + 3 and b <= 1 < b + 3 for a, b in over) / len(over)
            assert found[row, column] == pytest.approx(expected)


def test_the_map_does_not_depend_on_how_many_copies_are_shown_at_a_time(monkeypatch):
    image = torch.rand(3, 12, 12, generator=torch.Generator().manual_seed(1))

    def found():
        return discrepancy(lambda x: x[:, :, 4:9].mean(dim=(1, 2, 3)), image, torch.Generator().manual_seed(0), 5, 2)

    whole = found()
    monkeypatch.setattr("biaskit.analyzers._occlusion._COPIES", 3)
    torch.testing.assert_close(found(), whole)


def test_the_region_is_a_fifth_of_the_pixels():
    values = torch.rand(20, 20, generator=torch.Generator().manual_seed(0))
    kept = region(values, 0.2)
    assert int(kept.sum()) == 80
    assert float(values[kept].min()) >= float(values[~kept].max())
    assert not bool(region(torch.zeros(4, 4), 0.2).any())


def test_the_occluder_fits_the_size():
    assert [size_for(side) for side in (8, 48, 112, 224)] == [(5, 2), (5, 2), (11, 3), (11, 3)]


# Pictures


def test_an_outline_goes_around_the_region():
    mask = torch.zeros(16, 16, dtype=torch.bool)
    mask[4:8, 4:8] = True
    pixels = outlined(torch.ones(3, 16, 16), mask)
    assert pixels[30, 30].tolist() == [255, 255, 255]
    assert pixels[23, 30].tolist() == [230, 120, 0]
    assert pixels[22, 30].tolist() == [0, 0, 0]
    assert pixels[2, 2].tolist() == [140, 140, 140]
    assert outlined(torch.ones(3, 16, 16), ~mask & mask)[0, 0].tolist() == [255, 255, 255]


def test_strips_of_different_length_are_filled_with_white():
    one = np.zeros((4, 4, 3), np.uint8)
    found = stacked([strip([one, one]), strip([one])])
    assert found.shape == (4 + 4 + 4, 4 + 4 + 4, 3)
    assert found[0, 5].tolist() == found[5, 0].tolist() == found[-1, -1].tolist() == [255, 255, 255]


def test_the_same_numbers_on_tiny_twice():
    subject = Subject(testing.reads("label"), testing.tiny())
    with pytest.raises(bk.UnsupportedModel):
        top_images(subject)
