"""What the package promises, on data whose answers can be worked out by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch
from biaskit_frames import confidence, frame, smoothed_cross_entropy

import biaskit as bk
from biaskit import testing
from biaskit.registry import find

CARD = Path(__file__).parent.parent / "cards" / "framed-digits.toml"


def source():
    images = bk.ArrayImages(np.zeros((8, 4, 4, 1), np.uint8))
    split = np.array(["train"] * 4 + ["test"] * 4)
    return bk.Source(images, np.array([0, 1] * 4), ("a", "b"), split, "black")


def test_biaskit_finds_what_the_package_brings():
    assert find("builder", "frame") is frame
    assert find("loss", "smoothed-cross-entropy") is smoothed_cross_entropy
    assert find("analyzer", "confidence") is confidence


def test_frames_and_twins():
    data = frame(source(), np.random.default_rng(0), train=0.75)
    assert data.groups[["train", "test", "twin"]].sum().tolist() == [4, 4, 4]
    assert (data.table["frame"][:4] == "red").sum() == 3
    pixels = data.images.gather(torch.arange(len(data)))
    for row in data.rows("test"):
        twin = int(data.table["pair"][row])
        assert data.table["frame"][row] != data.table["frame"][twin]
        assert torch.equal(pixels[row][:, 1:3, 1:3], pixels[twin][:, 1:3, 1:3])
        assert not torch.equal(pixels[row], pixels[twin])


def test_the_same_card_gives_the_same_bytes():
    assert bk.build(str(CARD)).fingerprint == bk.build(str(CARD)).fingerprint


def test_an_option_outside_its_range_is_refused():
    with pytest.raises(bk.SpecError, match=r"framed-digits\.toml: builder\.0\.width"):
        bk.build(str(CARD), set=["builder.0.width=0"])


def test_smoothing_by_hand():
    batch = bk.Batch(
        torch.zeros(1, 3, 1, 1), None, torch.tensor([0]), torch.tensor([0]), torch.tensor([0]), 0.0, torch.Generator()
    )
    logits = torch.tensor([[0.9, 0.1]]).log()
    loss = smoothed_cross_entropy(None, smoothing=0.2)(lambda images: logits, batch)
    assert float(loss) == pytest.approx(-(0.9 * np.log(0.9) + 0.1 * np.log(0.1)), abs=1e-6)


def test_a_constant_model_is_equally_sure_of_every_group():
    found = bk.audit(testing.constant(0), testing.tiny(), analyzers=["confidence"], device="cpu")
    table = found["confidence"].table
    assert table["n"].tolist() == [4, 4, 4, 4]
    assert table["confidence"].tolist() == pytest.approx([np.e / (np.e + 1)] * 4)
