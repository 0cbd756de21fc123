import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from biaskit.builders import background_color
from biaskit.data import MAX_GROUPS, RESERVED, Dataset, as_pixels, categorical
from biaskit.errors import DataError
from biaskit.images import ArrayImages, as_array, chunks
from biaskit.testing import tiny


def black(count):
    return np.zeros((count, 2, 2), np.uint8)


# ------------------------------------------------------------------------------------------ tables and groups


def test_groups_are_the_full_product_and_empty_ones_stay():
    data = Dataset.from_arrays(
        black(5),
        ["cat", "dog", "dog", "cat", "dog"],
        {"color": ["red", "blue", "red", "red", "red"]},
        split=["train", "train", "test", "test", "test"],
    )
    assert data.groups.to_numpy().tolist() == [
        ["cat", "blue", 0, 0],
        ["cat", "red", 1, 1],
        ["dog", "blue", 1, 0],
        ["dog", "red", 0, 2],
    ]
    assert data.group_ids.tolist() == [1, 2, 3, 1, 3]
    assert (data.classes, data.attributes, data.splits) == (("cat", "dog"), ("color",), ("train", "test"))
    assert data.labels.tolist() == [0, 1, 1, 0, 1]
    assert data.rows("test").tolist() == [2, 3, 4]


def test_the_last_attribute_is_the_fastest():
    values = [(a, b, c) for a in "01" for b in "pqr" for c in "xy"]
    data = Dataset.from_arrays(
        black(12), [a for a, *_ in values], {"b": [b for _, b, _ in values], "c": [c for *_, c in values]}
    )
    assert data.group_shape == (2, 3, 2)
    assert data.group_ids.tolist() == list(range(12))
    assert data.replace(group_by=("c",)).group_ids.tolist() == [0, 1] * 3 + [2, 3] * 3
    assert data.replace(group_by=()).group_ids.tolist() == [0] * 6 + [1] * 6


def test_numbers_sort_by_value_and_become_text():
    data = Dataset.from_arrays(black(3), [10, 9, 2], {"age": np.array([1.5, 10.0, 2.0])})
    assert data.classes == ("2", "9", "10")
    assert list(data.table["age"].cat.categories) == ["1.5", "2.0", "10.0"]


@pytest.mark.parametrize(
    "labels",
    [
        [10, 9, 2],
        np.array([10, 9, 2]),
        list(np.array([10, 9, 2])),
        torch.tensor([10, 9, 2]),
        list(torch.tensor([10, 9, 2])),
        pd.Series([10, 9, 2], index=[7, 8, 9]),
    ],
    ids=["list", "array", "numpy scalars", "tensor", "list of tensors", "series"],
)
def test_numbers_of_any_make_are_the_same_labels(labels):
    # Read as text, "10" would come before "2" and every output of the user's model would mean another class.
    data = Dataset.from_arrays(black(3), labels)
    assert data.classes == ("2", "9", "10")
    assert data.labels.tolist() == [2, 1, 0]


def test_classes_give_the_order_of_the_outputs_and_unused_ones_stay():
    data = Dataset.from_arrays(black(2), ["dog", "cat"], classes=["dog", "bird", "cat"])
    assert data.classes == ("dog", "bird", "cat")
    assert data.labels.tolist() == [0, 2]
    assert data.groups["test"].tolist() == [1, 0, 1]


def test_an_attribute_may_stand_outside_the_groups():
    data = Dataset.from_arrays(black(2), [0, 1], {"a": ["x", "y"], "b": ["p", "q"]}, group_by=["b"])
    assert data.attributes == ("a", "b")
    assert list(data.groups.columns) == ["label", "b", "test"]


def test_exactly_100000_groups_are_allowed_and_more_are_not():
    labels = np.arange(500) % 2
    assert MAX_GROUPS == 100_000
    data = Dataset.from_arrays(black(500), labels, {"a": np.arange(500) % 100, "b": np.arange(500)})
    assert len(data.groups) == 100_000
    with pytest.raises(DataError, match=r"100,200 groups, more than 100,000; leave an attribute out .* 'b' first"):
        Dataset.from_arrays(black(501), np.arange(501) % 2, {"a": np.arange(501) % 100, "b": np.arange(501)})


# ------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": [0, 1]}, r"labels: 2 values for 3 images"),
        ({"attributes": {"color": ["r"] * 4}}, r"color: 4 values for 3 images"),
        ({"split": ["test"] * 2}, r"split: 2 values for 3 images"),
        ({"labels": [0, 1, None]}, r"labels is empty in 1 rows \(first: row 2\)"),
        ({"labels": np.array([0.0, np.nan, np.nan])}, r"labels is empty in 2 rows \(first: row 1\)"),
        ({"labels": pd.Series(["a", pd.NA, "b"])}, r"labels is empty in 1 rows \(first: row 1\)"),
        ({"attributes": {"color": ["r", float("nan"), "b"]}}, r"color is empty in 1 rows \(first: row 1\)"),
        ({"labels": np.eye(3)}, r"labels: one value per image"),
        ({"labels": [np.zeros(2)] * 3}, r"labels: one value per image"),
        ({"classes": ["0", "1"], "labels": [0, 2, 1]}, r"labels: '2' \(row 1\) is not among 0, 1"),
        ({"classes": ["a", "b", "a"], "labels": list("aba")}, r"written the same"),
        ({"group_by": ["shape"]}, r"groups by 'shape', but the attributes are none"),
        ({"images": np.full((3, 2, 2), np.nan)}, r"float images run from nan to nan; expected \[0, 1\]"),
        ({"images": np.full((3, 2, 2), 1.5)}, r"float images run from 1.5 to 1.5; expected \[0, 1\]"),
        ({"images": np.full((3, 2, 2), -0.1)}, r"run from -0.1 to -0.1"),
        ({"images": np.zeros((3, 2, 2), np.int64)}, r"dtype uint8 or floats"),
        ({"images": np.zeros((3, 2, 2, 2), np.uint8)}, r"1 or 3 channels; got shape \(3, 2, 2, 2\)"),
        ({"images": np.zeros((3, 4), np.uint8)}, r"images need shape"),
        ({"images": np.zeros((0, 2, 2), np.uint8), "labels": []}, r"without images"),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(DataError, match=message):
        Dataset.from_arrays(**{"images": black(3), "labels": [0, 1, 1], **change})


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_an_attribute_may_not_be_called_like_a_column(name):
    with pytest.raises(DataError, match=f"cannot be called '{name}'"):
        Dataset.from_arrays(black(2), [0, 1], {name: ["x", "y"]})


def test_the_table_and_the_images_must_fit():
    data = tiny()
    with pytest.raises(DataError, match=r"48 images but 47 rows"):
        data.replace(table=data.table.iloc[:-1])
    with pytest.raises(DataError, match=r"masks .* do not fit"):
        data.replace(masks=ArrayImages(np.zeros((48, 9, 8, 1), np.uint8)))
    with pytest.raises(DataError, match=r"'color' must be categorical; got object"):
        data.replace(table=data.table.assign(color=data.table["color"].astype(object)))
    with pytest.raises(DataError, match=r"'color' is empty in 24 rows"):
        data.replace(table=data.table.assign(color=data.table["color"].where(data.table["color"] == "red")))
    with pytest.raises(DataError, match=r"no rows in split 'validation'; it has train, test, twin"):
        data.rows("validation")


# --------------------------------------------------------------------------------------------------- pixels


def test_layouts_and_ranges_of_pixels_agree():
    pixels = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    for other in (pixels, pixels.transpose(0, 3, 1, 2), torch.from_numpy(pixels.copy()), pixels / 255.0):
        assert np.array_equal(as_pixels(other), pixels)
    assert as_pixels((pixels / 255.0).astype(np.float32)).dtype == np.uint8
    assert as_pixels(pixels[..., 0]).shape == (2, 4, 5, 1)
    # Rounded to the nearest, not cut off: 0.999 of 255 is 254.745.
    assert as_pixels(np.full((1, 1, 1), 0.999)).item() == 255


class Pairs(torch.utils.data.Dataset):
    def __init__(self, items, classes=None):
        self.items = items
        if classes is not None:
            self.classes = classes

    def __len__(self):
        return len(self.items)

    def __getitem__(self, index):
        return self.items[index]


def square(value=0, size=(2, 2)):
    return Image.new("L", size, value)


def test_from_torch_reads_pil_tensors_and_arrays_alike():
    rgb = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    for image in (Image.fromarray(rgb), torch.from_numpy(rgb.copy()).permute(2, 0, 1), rgb, rgb / 255.0):
        data = Dataset.from_torch(Pairs([(image, 0), (image, 1)]))
        assert np.array_equal(data.images.gather(torch.tensor([1]))[0].permute(1, 2, 0).numpy(), rgb)


def test_from_torch_names_integers_by_the_data_sets_classes():
    pairs = Pairs([(square(), 1), (square(), torch.tensor(0)), (square(), np.int64(2))], ["10", "2", "1"])
    data = Dataset.from_torch(pairs, {"color": ["r", "b", "r"]}, split="train")
    # Index 1 is the class called "2", not the one called "1".
    assert data.classes == ("10", "2", "1")
    assert data.labels.tolist() == [1, 0, 2]
    assert data.splits == ("train",)


def test_from_torch_takes_the_users_class_names():
    pairs = Pairs([(square(), 1), (square(), 0)])
    assert Dataset.from_torch(pairs).classes == ("0", "1")
    named = Dataset.from_torch(pairs, classes=["cat", "dog"])
    assert (named.classes, named.labels.tolist()) == (("cat", "dog"), [1, 0])
    ordered = Dataset.from_torch(pairs, classes=[1, 0])
    assert (ordered.classes, ordered.labels.tolist()) == (("1", "0"), [0, 1])


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (iter([]), r"no length or no items"),
        (Pairs([]), r"without items"),
        (Pairs([square()]), r"item 0 is Image; expected \(image, label\)"),
        (Pairs([(square(), 0), (square(size=(3, 2)), 1)]), r"image 1 has shape \(2, 3, 1\), image 0 \(2, 2, 1\)"),
        (Pairs([(square(), 2)], ["a", "b"]), r"label 2 has no name: the data set lists 2 classes"),
        (Pairs([(torch.full((3, 2, 2), -2.1), 0)]), r"before any normalization"),
        (Pairs([(Image.new("RGBA", (4, 4)), 0)]), r"1 or 3 channels"),
    ],
)
def test_from_torch_refuses(dataset, message):
    with pytest.raises(DataError, match=message):
        Dataset.from_torch(dataset)


# --------------------------------------------------------------------------------------- fingerprint, images


def test_the_fingerprint_knows_every_part():
    data = tiny()
    same = tiny()
    assert same.fingerprint == data.fingerprint
    assert data.replace(card={"name": "another name"}).fingerprint == data.fingerprint

    pixels = as_array(data.images).gather(torch.arange(len(data))).permute(0, 2, 3, 1).contiguous()
    pixels[-1, -1, -1, -1] ^= 1
    swapped = data.table.copy()
    swapped.loc[[0, 1], "label"] = swapped.loc[[1, 0], "label"].to_numpy()
    wider = data.table.assign(color=data.table["color"].cat.add_categories(["green"]))
    relinked = data.table.assign(pair=data.table["pair"].replace(data.table["pair"].iloc[-1], 0))
    others = [
        data.replace(images=ArrayImages(pixels)),
        data.replace(table=swapped),
        data.replace(table=wider),
        data.replace(table=relinked),
        data.replace(group_by=()),
        data.replace(masks=None),
    ]
    prints = {one.fingerprint for one in others} | {data.fingerprint}
    assert len(prints) == 1 + len(others)


def test_chunks_cover_every_image_once():
    images = ArrayImages(np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1))
    assert [chunk.flatten().tolist() for chunk in chunks(images, 4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_painted_images_are_those_held_in_memory(gray):
    source = gray([[0, 60], [130, 255]], [0, 1] * 6, ["train", "test"] * 6)
    data = background_color(source, np.random.default_rng(0))
    index = torch.tensor([5, 0, 17, 5])
    assert torch.equal(data.images.gather(index), as_array(data.images).gather(index))
    assert torch.equal(data.masks.gather(index), as_array(data.masks).gather(index))
    assert data.images.gather(index).is_contiguous(memory_format=torch.channels_last)


def test_categorical_of_the_same_text_twice():
    with pytest.raises(DataError, match="two categories are written the same"):
        categorical("age", [1, 2], 2, categories=[1, "1", 2])
