import io
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
import torchvision
from _sources import DATA, check, needs, pixels
from PIL import Image
from torch.utils.data import DataLoader

from biaskit import images, sources
from biaskit.errors import DataError
from biaskit.images import ArrayImages, EncodedImages, as_array

# --- folders ------------------------------------------------------------------------------------------------


def write_image(path, *, color=(10, 20, 30), size=(6, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)


def image_folder(root, splits=("train", "test")):
    for split in splits:
        for place, name in enumerate(("cup", "pen")):
            for number in range(3):
                write_image(root / split / name / f"{number}.png", color=(place, number, 7))
    return root


def test_folder(tmp_path):
    source = sources.folder(image_folder(tmp_path))
    check(source, (3, 4, 6), {"train": 6, "test": 6})
    assert source.classes == ("cup", "pen")
    assert source.labels.tolist() == [0, 0, 0, 1, 1, 1] * 2
    assert pixels(source, [4, 0])[:, :, 0, 0].tolist() == [[1, 1, 7], [0, 0, 7]]
    expected = torchvision.datasets.ImageFolder(tmp_path / "train")
    assert list(source.classes) == expected.classes
    assert source.labels[:6].tolist() == expected.targets


def test_folder_with_a_validation_set(tmp_path):
    image_folder(tmp_path, ("train", "val"))
    with pytest.raises(DataError, match="val_as_test"):
        sources.folder(tmp_path)
    check(sources.folder(tmp_path, val_as_test=True), (3, 4, 6), {"train": 6, "test": 6})


def test_folder_without_a_split(tmp_path):
    for name, count in (("a", 10), ("b", 20), ("c", 2)):
        for number in range(count):
            write_image(tmp_path / name / f"{number}.png")
    with pytest.raises(DataError, match=r"test_share=0\.2"):
        sources.folder(tmp_path)
    source = sources.folder(tmp_path, test_share=0.2)
    check(source, (3, 4, 6), {"train": 25, "test": 7})
    assert np.bincount(source.labels[source.split == "test"]).tolist() == [2, 4, 1]
    assert np.array_equal(source.split, sources.folder(tmp_path, test_share=0.2).split)
    assert not np.array_equal(source.split, sources.folder(tmp_path, test_share=0.2, seed=1).split)
    with pytest.raises(DataError, match="leave test_share out"):
        sources.folder(image_folder(tmp_path / "split"), test_share=0.2)


def test_folder_leaves_other_files_out(tmp_path):
    image_folder(tmp_path)
    (tmp_path / "train" / "cup" / "notes.txt").write_text("no image")
    (tmp_path / "train" / "cup" / "._0.png").write_bytes(b"")
    write_image(tmp_path / "train" / ".cache" / "0.png")
    write_image(tmp_path / "train" / "cup" / "more" / "9.JPG")
    assert len(sources.folder(tmp_path).images) == 13


def test_folder_resized(tmp_path):
    image_folder(tmp_path)
    write_image(tmp_path / "test" / "cup" / "0.png", size=(40, 90))
    source = sources.folder(tmp_path, size=8)
    assert pixels(source).shape == (12, 3, 8, 8)


def test_folder_of_several_sizes(tmp_path):
    write_image(image_folder(tmp_path) / "test" / "pen" / "2.png", size=(5, 4))
    source = sources.folder(tmp_path)
    with pytest.raises(DataError, match=r"pen/2\.png is 5 x 4 pixels, the first image 6 x 4; give size=N"):
        as_array(source.images)


@pytest.mark.parametrize("damage", ["no image at all", "cut"])
def test_folder_with_an_unreadable_image(tmp_path, damage):
    image_folder(tmp_path)
    path = tmp_path / "test" / "cup" / "1.png"
    path.write_bytes(b"no image at all" if damage != "cut" else path.read_bytes()[:45])
    with pytest.raises(DataError, match=r"test/cup/1\.png: not a readable image"):
        pixels(sources.folder(tmp_path))


def test_folder_with_16_bits(tmp_path):
    image_folder(tmp_path)
    Image.fromarray(np.full((4, 6), 40000, np.uint16)).save(tmp_path / "train" / "cup" / "0.png")
    with pytest.raises(DataError, match=r"0\.png has more than 8 bits"):
        sources.folder(tmp_path)


@pytest.mark.parametrize(
    ("remove", "message"),
    [
        ("test/pen", "class pen of .* is in train alone"),
        ("test", "expected both train and test"),
        ("test/cup/*", "test/cup holds no images"),
    ],
)
def test_folder_incomplete(tmp_path, remove, message):
    image_folder(tmp_path)
    for path in tmp_path.glob(remove):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(DataError, match=message):
        sources.folder(tmp_path)


@pytest.mark.parametrize("name", ["folder", "parquet"])
@pytest.mark.parametrize("root", [None, Path("nowhere")])
def test_no_folder(name, root):
    with pytest.raises(DataError, match=f"source {name} needs --root"):
        getattr(sources, name)(root)


# --- parquet ------------------------------------------------------------------------------------------------


def encoded(color, size=(6, 4)):
    stream = io.BytesIO()
    Image.new("RGB", size, color).save(stream, "png")
    return stream.getvalue()


def write_parquet(path, colors, labels, *, names=("cup", "pen"), column="image", struct=True, size=(6, 4)):
    blobs = [encoded(color, size) if isinstance(color, tuple) else color for color in colors]
    images = [{"bytes": blob, "path": f"{row}.png"} for row, blob in enumerate(blobs)] if struct else blobs
    table = pyarrow.table({column: images, "label": labels})
    if names:
        features = {column: {"_type": "Image"}, "label": {"names": list(names), "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({b"huggingface": json.dumps({"info": {"features": features}})})
    pyarrow.parquet.write_table(table, path)


@pytest.mark.parametrize("struct", [True, False])
@pytest.mark.parametrize("held", ["test", "validation"])
def test_parquet(tmp_path, struct, held):
    write_parquet(tmp_path / "train-00001-of-00002.parquet", [(3, 0, 0)], [1], struct=struct)
    write_parquet(tmp_path / "train-00000-of-00002.parquet", [(1, 0, 0), (2, 0, 0)], [0, 1], struct=struct)
    write_parquet(tmp_path / f"{held}.parquet", [(4, 0, 0)], [0], struct=struct)
    source = sources.parquet(tmp_path)
    check(source, (3, 4, 6), {"train": 3, "test": 1})
    assert source.classes == ("cup", "pen")
    assert source.labels.tolist() == [0, 1, 1, 0]
    assert pixels(source)[:, 0, 0, 0].tolist() == [1, 2, 3, 4]


def test_parquet_without_class_names(tmp_path):
    for split in ("train", "test"):
        write_parquet(tmp_path / f"{split}.parquet", [(1, 0, 0), (2, 0, 0)], ["pen", "cup"], names=())
    assert sources.parquet(tmp_path).classes == ("cup", "pen")
    for split in ("train", "test"):
        write_parquet(tmp_path / f"{split}.parquet", [(1, 0, 0), (2, 0, 0)], [10, 9], names=())
    source = sources.parquet(tmp_path)
    assert (source.classes, source.labels.tolist()) == (("9", "10"), [1, 0, 1, 0])


def test_parquet_larger_than_memory_stays_encoded(tmp_path, monkeypatch):
    for split in ("train", "test"):
        write_parquet(tmp_path / f"{split}.parquet", [(1, 0, 0), (2, 0, 0)], [0, 1])
    assert isinstance(sources.parquet(tmp_path, size=2).images, ArrayImages)
    monkeypatch.setattr(images, "IN_MEMORY", 10)
    source = sources.parquet(tmp_path, size=2)
    assert isinstance(source.images, EncodedImages)
    assert pixels(source).shape == (4, 3, 2, 2)


@pytest.mark.parametrize(
    ("train", "options", "message"),
    [
        ({}, {"image": "img"}, r"train\.parquet has no column 'img' but image, label; give image=NAME"),
        ({}, {"label": "y"}, r"train\.parquet has no column 'y' but image, label; give label=NAME"),
        ({}, {"image": "label"}, "column 'label' is int64"),
        ({"labels": [0, 2]}, {}, "label 2 has no name: the metadata lists 2 classes"),
        ({"labels": [0, -1]}, {}, "label -1 has no name"),
        ({"labels": [0, None]}, {}, "column 'label' is empty in 1 rows"),
        ({"labels": [0.5, 1.5]}, {}, "labels are integers or strings"),
        ({"labels": ["a", "b"], "names": ()}, {}, "different classes"),
        ({"colors": [(1, 2, 3), None]}, {}, "column 'image' is empty in 1 rows"),
        ({"colors": [(1, 2, 3), b"no image"]}, {}, r"train\.parquet row 1: not a readable image"),
        ({"colors": [], "labels": pyarrow.array([], pyarrow.int64())}, {}, "'image' is|no rows"),
    ],
)
def test_parquet_that_does_not_fit(tmp_path, train, options, message):
    given = {"colors": [(1, 0, 0), (2, 0, 0)], "labels": [0, 1], **train}
    write_parquet(tmp_path / "train.parquet", **given)
    write_parquet(tmp_path / "test.parquet", [(1, 0, 0)], [0])
    with pytest.raises(DataError, match=message):
        sources.parquet(tmp_path, **options)


def test_parquet_of_several_sizes(tmp_path):
    write_parquet(tmp_path / "train.parquet", [(1, 0, 0)], [0])
    write_parquet(tmp_path / "test.parquet", [(1, 0, 0)], [0], size=(8, 8))
    with pytest.raises(DataError, match=r"test\.parquet row 0 is 8 x 8 pixels, the first image 6 x 4"):
        sources.parquet(tmp_path)


def test_parquet_missing_or_damaged(tmp_path):
    with pytest.raises(DataError, match=r"holds no parquet files; expected train\*\.parquet"):
        sources.parquet(tmp_path)
    for split in ("train", "test"):
        (tmp_path / f"{split}.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(DataError, match=r"train\.parquet is not a readable parquet file"):
        sources.parquet(tmp_path)


@needs("cifar10-jpeg")
def test_parquet_of_cifar10(monkeypatch):
    monkeypatch.setattr(images, "IN_MEMORY", 0)  # decoding all of it takes some seconds
    source = sources.parquet(Path(DATA) / "cifar10-jpeg")
    check(source, (3, 32, 32), {"train": 50000, "test": 10000})
    assert source.classes[:3] == ("airplane", "automobile", "bird")
    assert np.bincount(source.labels).tolist() == [6000] * 10
    assert pixels(source, [0, 59999]).float().mean() > 10


# --- images -------------------------------------------------------------------------------------------------


def test_encoded_images_survive_pickling_and_keep_order(tmp_path):
    paths = [tmp_path / f"{number}.png" for number in range(50)]
    for number, path in enumerate(paths):
        write_image(path, color=(number, 0, 0))
    images = EncodedImages(paths)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    assert torch.equal(images.gather(order)[:, 0, 0, 0], order.to(torch.uint8))
    again = pickle.loads(pickle.dumps(images))
    assert torch.equal(again.gather(order), images.gather(order))
    assert images.gather(order[:0]).shape == (0, 3, 4, 6)


def test_memory_map_is_pickled_by_name(tmp_path):
    array = np.random.default_rng(0).integers(0, 256, (100, 8, 8, 3), np.uint8)
    np.save(tmp_path / "images.npy", array)
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    written = pickle.dumps(ArrayImages(mapped))
    assert len(written) < 2000
    assert np.array_equal(pickle.loads(written).gather(torch.arange(100)).permute(0, 2, 3, 1), array)
    part = pickle.loads(pickle.dumps(ArrayImages(mapped[3:])))
    assert np.array_equal(part.gather(torch.tensor([0]))[0].permute(1, 2, 0), array[3])


def test_encoded_images_in_a_forked_worker(tmp_path):
    """The threads of the parent do not survive the fork; a worker that waited for them would hang."""
    images = EncodedImages([_written(tmp_path / f"{number}.png", number) for number in range(4)])
    images.gather(torch.arange(4))
    loader = DataLoader(_Rows(images), batch_size=4, num_workers=1, multiprocessing_context="fork", timeout=20)
    assert next(iter(loader))[:, 0, 0, 0].tolist() == [0, 1, 2, 3]


def _written(path, number):
    write_image(path, color=(number, 0, 0))
    return path


class _Rows:
    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, row):
        return self.images.gather(torch.tensor([row]))[0]
