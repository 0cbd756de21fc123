import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.datasets import VisionDataset
from torchvision.transforms import PILToTensor

from biaskit.data import Dataset
from biaskit.errors import DataError
from biaskit.vision import VisionView

PIXELS = np.arange(6 * 4 * 5 * 3, dtype=np.uint8).reshape(6, 4, 5, 3)


@pytest.fixture
def data():
    return Dataset.from_arrays(
        PIXELS,
        ["cat", "dog", "dog", "cat", "dog", "cat"],
        {"color": ["red", "red", "blue", "blue", "red", "blue"], "size": ["s", "l", "m", "m", "l", "s"]},
        split=["train", "train", "test", "train", "test", "test"],
        group_by=["color"],
    )


def double(label):
    return 2 * label


def test_items(data):
    view = VisionView(data, "test")
    assert isinstance(view, VisionDataset)
    assert len(view) == 3
    image, label = view[1]
    assert isinstance(image, Image.Image)
    assert np.array_equal(np.asarray(image), PIXELS[4])
    assert type(label) is int
    assert label == 1
    assert np.array_equal(np.asarray(view[-1][0]), PIXELS[5])
    assert [label for _, label in view] == [1, 1, 0]
    with pytest.raises(IndexError):
        view[3]


def test_what_torchvision_users_look_for(data):
    view = data.vision("test")
    assert view.classes == ["cat", "dog"]
    assert view.class_to_idx == {"cat": 0, "dog": 1}
    assert view.targets == [1, 1, 0]
    assert "Split: test" in repr(view)
    assert "Number of datapoints: 3" in repr(view)


def test_attributes_and_groups(data):
    view = data.vision("test")
    assert view.attributes.to_dict("list") == {"color": ["blue", "red", "blue"], "size": ["m", "l", "s"]}
    # labels cat, dog; colors blue, red: flat groups 0 cat blue, 1 cat red, 2 dog blue, 3 dog red
    assert view.groups.tolist() == [2, 3, 0]


def test_metadata_has_the_label_last(data):
    view = data.vision("test", return_metadata=True)
    assert view.metadata_fields == ["color", "size", "y"]
    assert view.metadata_array.tolist() == [[0, 1, 1], [1, 0, 1], [0, 2, 0]]
    _, label, metadata = view[0]
    assert label == 1
    assert metadata.dtype == torch.int64
    assert metadata.tolist() == [0, 1, 1]


def test_transforms(data):
    view = data.vision("test", transform=PILToTensor(), target_transform=double)
    image, label = view[0]
    assert torch.equal(image, torch.from_numpy(PIXELS[2]).permute(2, 0, 1))
    assert label == 2
    assert view.targets[0] == 1
    swapped = data.vision("test", transforms=lambda image, label: (label, image))
    assert swapped[0][0] == 1


def test_gray_images():
    gray = Dataset.from_arrays(PIXELS[..., 0], [0, 1, 0, 1, 0, 1])
    image, _ = gray.vision("test")[1]
    assert image.mode == "L"
    assert np.array_equal(np.asarray(image), PIXELS[1, ..., 0])
    assert gray.vision("test", return_metadata=True)[1][2].tolist() == [1]


def test_pickled(data):
    view = data.vision("train", transform=PILToTensor())
    again = pickle.loads(pickle.dumps(view))
    assert torch.equal(again[2][0], view[2][0])
    assert again.groups.tolist() == view.groups.tolist()


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_in_a_data_loader_with_workers(data, start):
    view = data.vision("train", transform=PILToTensor(), return_metadata=True)
    loader = DataLoader(view, batch_size=2, num_workers=1, multiprocessing_context=start)
    batches = list(loader)
    assert torch.equal(
        torch.cat([batch[0] for batch in batches]).permute(0, 2, 3, 1), torch.from_numpy(PIXELS[[0, 1, 3]])
    )
    assert torch.cat([batch[1] for batch in batches]).tolist() == view.targets
    assert torch.equal(torch.cat([batch[2] for batch in batches]), view.metadata_array)


def test_unknown_split(data):
    with pytest.raises(DataError, match="no rows in split 'valid'"):
        data.vision("valid")
