"""What every test gets: a BIASKIT_HOME of its own, one torch thread, and the real data where there are any."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from biaskit.data import Source
from biaskit.images import ArrayImages

# Read once: some tests take the variable away for their own time.
DATA = os.environ.get("BIASKIT_DATA", "")

# Workers that share the cores would only wait for each other.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory, monkeypatch):
    """No test sees what another, or the user, has built or trained."""
    monkeypatch.setenv("BIASKIT_HOME", str(tmp_path_factory.mktemp("home") / "biaskit"))


@pytest.fixture(scope="session")
def data_root():
    """The folder of the real data."""
    if not DATA or not (Path(DATA) / "MNIST").is_dir():
        pytest.skip(f"no MNIST below BIASKIT_DATA ({DATA or 'not set'})")
    return Path(DATA)


@pytest.fixture
def gray():
    """A source from gray values: one image per entry of ``labels``, each holding the same pixels."""

    def make(pixels, labels, split, classes=None):
        pixels = np.asarray(pixels, np.uint8)
        images = np.broadcast_to(pixels, (len(labels), *pixels.shape)).copy()
        images = images[..., None] if images.ndim == 3 else images
        known = tuple(str(one) for one in range(max(labels) + 1)) if classes is None else tuple(classes)
        return Source(ArrayImages(images), np.asarray(labels, np.int64), known, np.asarray(split), "gray")

    return make


@pytest.fixture
def card(tmp_path):
    """Write a data set card over the built-in digits at 8 x 8; returns its path."""

    def write(builders, head="", name="mine"):
        path = tmp_path / f"{name}.toml"
        path.write_text(
            f'version = 1\nsummary = "a test"\n{head}\n[source]\nname = "digits"\nsize = 8\n\n{builders}\n',
            encoding="utf-8",
        )
        return str(path)

    return write
