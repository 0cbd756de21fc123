import gzip
import hashlib
import io
import pickle
import shutil
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
import torchvision
from _sources import DATA, check, needs, pixels

from biaskit import sources
from biaskit.errors import DataError, SpecError
from biaskit.home import home
from biaskit.registry import bind, names
from biaskit.sources import _files
from biaskit.sources._idx import read_idx


@pytest.fixture(autouse=True)
def alone(tmp_path_factory, monkeypatch):
    """No files of this machine and no network: what a test needs it puts there."""
    monkeypatch.delenv("BIASKIT_DATA", raising=False)
    monkeypatch.setenv("BIASKIT_HOME", str(tmp_path_factory.mktemp("home")))

    def refused(*_args, **_options):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr(urllib.request, "urlopen", refused)


# --- digits -------------------------------------------------------------------------------------------------


def test_digits():
    source = sources.digits()
    check(source, (1, 16, 16), {"train": 997, "test": 800})
    assert source.classes == tuple("0123456789")
    assert np.bincount(source.labels[source.split == "test"]).tolist() == [80] * 10
    assert source.labels[:10].tolist() == list(range(10))


def test_digits_test_set_is_the_end_of_every_class():
    source = sources.digits()
    for label in range(10):
        of_class = source.split[source.labels == label].tolist()
        assert of_class == ["train"] * (len(of_class) - 80) + ["test"] * 80


def test_digits_at_their_own_size_are_the_embedded_ones():
    from sklearn.datasets import load_digits

    expected = np.rint(load_digits().images * 255 / 16).astype(np.uint8)
    assert np.array_equal(pixels(sources.digits(size=8))[:, 0].numpy(), expected)


def test_digits_enlarged():
    small, large = pixels(sources.digits(size=8))[:, 0].float(), pixels(sources.digits())[:, 0].float()
    assert (large[:, 0, 0] - small[:, 0, 0]).abs().max() <= 0.5
    # between two centers: three quarters of the nearer, one of the farther, in both directions
    edge = 0.75 * small[:, 0, 3] + 0.25 * small[:, 0, 4]
    assert (large[:, 0, 7] - edge).abs().max() <= 1.0
    assert (large.mean((1, 2)) - small.mean((1, 2))).abs().max() < 2.0


def test_digits_smaller_than_themselves():
    with pytest.raises(SpecError, match="size"):
        bind(sources.digits, {"size": 4}, "card: source")


# --- MNIST --------------------------------------------------------------------------------------------------

MNIST_FILES = [f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")]


@pytest.fixture
def mnist_copy(tmp_path):
    """MNIST's files as links, the labels of the test set as a copy that may be damaged."""
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name in MNIST_FILES:
        (raw / name).symlink_to(Path(DATA, "MNIST", "raw", name))
    damaged = raw / "t10k-labels-idx1-ubyte"
    damaged.unlink()
    shutil.copyfile(Path(DATA, "MNIST", "raw", damaged.name), damaged)
    return damaged


@needs("MNIST/raw")
def test_mnist_is_what_torchvision_reads():
    source = sources.mnist(Path(DATA))
    check(source, (1, 28, 28), {"train": 60000, "test": 10000})
    assert source.classes == tuple("0123456789")
    for train, rows in ((True, slice(0, 60000)), (False, slice(60000, 70000))):
        expected = torchvision.datasets.MNIST(DATA, train=train)
        assert torch.equal(pixels(source, np.arange(70000)[rows])[:, 0], expected.data)
        assert np.array_equal(source.labels[rows], expected.targets.numpy())


@needs("MNIST/raw")
def test_mnist_by_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("BIASKIT_DATA", DATA)
    assert sources.mnist(tmp_path).labels[:5].tolist() == [5, 0, 4, 1, 9]


@needs("MNIST/raw")
def test_mnist_truncated(mnist_copy):
    with mnist_copy.open("r+b") as opened:
        opened.truncate(9000)
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte has 9,000 bytes, expected 10,008"):
        sources.mnist(mnist_copy.parents[2])


@needs("MNIST/raw")
def test_mnist_with_one_flipped_bit(mnist_copy):
    with mnist_copy.open("r+b") as opened:
        opened.seek(5000)
        value = opened.read(1)[0]
        opened.seek(5000)
        opened.write(bytes([value ^ 1]))
    torchvision.datasets.MNIST(str(mnist_copy.parents[2]), train=False)  # which does not notice
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte is altered: expected sha256 ff7bcfd4.*, got "):
        sources.mnist(mnist_copy.parents[2])


@needs("MNIST/raw")
def test_mnist_with_a_missing_file(mnist_copy):
    mnist_copy.unlink()
    with pytest.raises(DataError, match=r"no network .*: MNIST/raw/t10k-labels-idx1-ubyte.gz is missing"):
        sources.mnist(mnist_copy.parents[2])


@pytest.mark.parametrize("name", ["mnist", "fashionmnist", "kmnist", "cifar10", "cifar100", "svhn"])
def test_missing_without_a_network(name, tmp_path, monkeypatch):
    monkeypatch.setenv("BIASKIT_DATA", str(tmp_path / "given"))
    started = time.monotonic()
    with pytest.raises(DataError) as caught:
        getattr(sources, name)(tmp_path / "root")
    message = str(caught.value)
    assert time.monotonic() - started < 3
    assert message.startswith(f"{name} is not in {tmp_path}/root or {tmp_path}/given or {home()}/data")
    assert "no network (Name or service not known)" in message
    assert "set BIASKIT_DATA" in message
    assert "colordigits" in message
    assert not (home() / "data").exists()


def test_a_server_that_keeps_silent(monkeypatch):
    monkeypatch.setattr(_files, "PATIENCE", 0.2)
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_args, **_options: time.sleep(1) or io.BytesIO())
    started = time.monotonic()
    with pytest.raises(DataError, match=r"no network \(no answer within 0.2 s\)"):
        sources.mnist()
    assert time.monotonic() - started < 0.9


# --- the idx format, with files made here -------------------------------------------------------------------


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return gzip.compress(header + array.tobytes(), mtime=0)


def tiny_mnist():
    """A data set class as torchvision's, of 3 + 2 images, that can be downloaded from memory."""
    rng = np.random.default_rng(0)
    arrays = {
        "train-images-idx3-ubyte.gz": rng.integers(0, 256, (3, 28, 28), np.uint8),
        "train-labels-idx1-ubyte.gz": np.array([1, 0, 1], np.uint8),
        "t10k-images-idx3-ubyte.gz": rng.integers(0, 256, (2, 28, 28), np.uint8),
        "t10k-labels-idx1-ubyte.gz": np.array([0, 1], np.uint8),
    }
    contents = {name: idx(array) for name, array in arrays.items()}

    class Tiny:
        mirrors = ("https://example.org/", "https://example.net/")
        resources = tuple((name, hashlib.md5(content).hexdigest()) for name, content in contents.items())
        downloads = 0

        def __init__(self, root, *, download):
            assert download
            Tiny.downloads += 1
            (Path(root) / "Tiny" / "raw").mkdir(parents=True)
            for name, content in contents.items():
                (Path(root) / "Tiny" / "raw" / name).write_bytes(content)

    Tiny.arrays = arrays
    return Tiny


def test_packed_files(tmp_path):
    tiny = tiny_mnist()
    tiny(tmp_path, download=True)
    source = read_idx("tiny", tiny, ("no", "yes"), tmp_path)
    check(source, (1, 28, 28), {"train": 3, "test": 2})
    assert source.labels.tolist() == [1, 0, 1, 0, 1]
    expected = np.concatenate([array for name, array in tiny.arrays.items() if "images" in name])
    assert np.array_equal(pixels(source)[:, 0].numpy(), expected)


def test_download_goes_home_and_is_done_once(tmp_path, monkeypatch):
    tiny = tiny_mnist()
    monkeypatch.setattr(_files, "_silence", lambda urls: "")
    for _ in range(2):
        assert len(read_idx("tiny", tiny, ("no", "yes"), tmp_path).labels) == 5
    assert tiny.downloads == 1
    assert sorted(path.name for path in (home() / "data").iterdir()) == ["Tiny"]


def test_download_that_breaks_off_leaves_nothing(monkeypatch):
    tiny = tiny_mnist()

    class Broken(tiny):
        def __init__(self, root, *, download):
            super().__init__(root, download=download)
            raise RuntimeError("Error downloading t10k-labels-idx1-ubyte.gz")

    monkeypatch.setattr(_files, "_silence", lambda urls: "")
    with pytest.raises(DataError, match=r"tiny could not be downloaded to .*: Error downloading t10k-labels"):
        read_idx("tiny", Broken, ("no", "yes"), None)
    assert not list((home() / "data").iterdir())


def test_a_refusal_is_an_answer(monkeypatch):
    def refusing(request, timeout):
        raise urllib.error.HTTPError(request.full_url, 403, "Forbidden", {}, io.BytesIO())

    monkeypatch.setattr(urllib.request, "urlopen", refusing)
    assert _files._silence(["https://example.org"]) == ""


def test_home(monkeypatch):
    monkeypatch.setenv("BIASKIT_HOME", "~/there")
    assert home() == Path.home() / "there"


# --- CIFAR and SVHN, with files made here -------------------------------------------------------------------


class OpenedError(Exception):
    """Raised by a pickle that is loaded although it should not be."""

    def __reduce__(self):
        return (_raise, ())


def _raise():
    raise OpenedError


def tiny_cifar(dataset, root, monkeypatch, labels_key):
    folder = root / dataset.base_folder
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    batches = {}

    def write(name, content):
        (folder / name).write_bytes(pickle.dumps(content))
        return hashlib.md5((folder / name).read_bytes()).hexdigest()

    for attribute in ("train_list", "test_list"):
        listed = []
        for name, _ in getattr(dataset, attribute):
            batches[name] = rng.integers(0, 256, (2, 3 * 32 * 32), np.uint8)
            listed.append([name, write(name, {"data": batches[name], labels_key: [0, 1]})])
        monkeypatch.setattr(dataset, attribute, listed)
    md5 = write(dataset.meta["filename"], {dataset.meta["key"]: ["cup", "pen"]})
    monkeypatch.setattr(dataset, "meta", {**dataset.meta, "md5": md5})
    return folder, batches


@pytest.mark.parametrize(
    ("name", "dataset", "labels_key", "train"),
    [
        ("cifar10", torchvision.datasets.CIFAR10, "labels", 10),
        ("cifar100", torchvision.datasets.CIFAR100, "fine_labels", 2),
    ],
)
def test_cifar(name, dataset, labels_key, train, tmp_path, monkeypatch):
    folder, batches = tiny_cifar(dataset, tmp_path, monkeypatch, labels_key)
    source = getattr(sources, name)(tmp_path)
    check(source, (3, 32, 32), {"train": train, "test": 2})
    assert source.classes == ("cup", "pen")
    expected = np.concatenate(list(batches.values())).reshape(-1, 3, 32, 32)
    assert np.array_equal(pixels(source).numpy(), expected)

    altered = folder / next(iter(batches))
    altered.write_bytes(pickle.dumps(OpenedError()))
    with pytest.raises(DataError, match=f"{altered.name} is altered: expected md5"):
        getattr(sources, name)(tmp_path)


def test_svhn(tmp_path, monkeypatch):
    rng = np.random.default_rng(2)
    arrays, listed = {}, dict(torchvision.datasets.SVHN.split_list)
    for split, labels in (("train", [10, 1, 9]), ("test", [2, 10])):
        url, name, _ = listed[split]
        arrays[split] = rng.integers(0, 256, (32, 32, 3, len(labels)), np.uint8)
        scipy.io.savemat(tmp_path / name, {"X": arrays[split], "y": np.array(labels, np.uint8)[:, None]})
        listed[split] = [url, name, hashlib.md5((tmp_path / name).read_bytes()).hexdigest()]
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", listed)
    source = sources.svhn(tmp_path)
    check(source, (3, 32, 32), {"train": 3, "test": 2})
    assert source.labels.tolist() == [0, 1, 9, 2, 0]
    assert np.array_equal(pixels(source, [1])[0].permute(1, 2, 0).numpy(), arrays["train"][..., 1])


def test_listed():
    assert {"digits", "mnist", "folder", "parquet", "cifar10"} <= set(names("source"))
