"""TRADES and SCARL: losses against literal formulas, bounds on known joints, and gradients in double precision."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd import gradcheck

import biaskit as bk
from biaskit import build
from biaskit._train import machine
from biaskit.attacks import trades as trades_attack
from biaskit.data import Batch
from biaskit.errors import DataError, MissingExtra, UnsupportedModel
from biaskit.losses import scarl, trades
from biaskit.losses._scarl import information, structure
from biaskit.losses._trades import divergence
from biaskit.recipes import bind_arms
from biaskit.runs import run_fingerprint
from biaskit.words import wordnet_vectors

DOUBLE = torch.float64


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def batch(images, perturbed, labels, progress=1.0):
    labels = torch.as_tensor(labels)
    return Batch(images, perturbed, labels, labels, torch.arange(len(labels)), progress, torch.Generator())


def test_trades_is_its_formula(generator):
    images, perturbed = (torch.randn(6, 4, 1, 1, generator=generator, dtype=DOUBLE) for _ in range(2))
    labels = torch.tensor([0, 1, 2, 3, 0, 1])
    expected = 0.0
    for x, other, label in zip(images.flatten(1), perturbed.flatten(1), labels, strict=True):
        p, q = x.softmax(0), other.softmax(0)
        expected += (-p[label].log() + 2.5 * (p * (p.log() - q.log())).sum()) / 6
    found = trades(None, beta=2.5)(nn.Flatten(), batch(images, perturbed, labels))
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)


def test_the_attack_moves_the_answer_more_than_noise(generator):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(27, 8), nn.Tanh(), nn.Linear(8, 3))
    images = torch.rand(16, 3, 3, 3, generator=generator)
    labels = torch.zeros(16, dtype=torch.int64)
    moved = trades_attack(model, images, labels, generator, epsilon=0.05, step=0.02, steps=5)
    assert (moved - images).abs().max() <= 0.05 + 1e-6
    assert moved.min() >= 0
    assert moved.max() <= 1
    noisy = (images + 0.05 * torch.sign(torch.randn(images.shape, generator=generator))).clamp(0, 1)
    with torch.no_grad():
        assert divergence(model(images), model(moved)) > 2 * divergence(model(images), model(noisy))
    # Labels are not read.
    again = trades_attack(model, images, labels + 2, torch.Generator().manual_seed(5), epsilon=0.05, step=0.02, steps=5)
    once = trades_attack(model, images, labels, torch.Generator().manual_seed(5), epsilon=0.05, step=0.02, steps=5)
    assert torch.equal(again, once)


def test_an_attack_without_a_gradient_says_so(generator):
    class Cut(nn.Module):
        def forward(self, images):
            return images.detach().flatten(1)[:, :2]

    with pytest.raises(UnsupportedModel, match="no gradient"):
        trades_attack(Cut(), torch.rand(2, 3, 2, 2), torch.tensor([0, 0]), generator)


def test_the_bound_is_the_information_of_a_known_joint():
    # Four symbols sent through a channel that keeps one with 5/8 and makes each other with 1/8: the true posterior is
    # softmax(v . t) for inner products log 5 and 0, and the bound then is the information itself.
    keep, other = 5 / 8, 1 / 8
    true = math.log(4) + keep * math.log(keep) + 3 * other * math.log(other)
    share, eye = torch.full((4,), 0.25, dtype=DOUBLE), torch.eye(4, dtype=DOUBLE)
    sent = torch.tensor([i for i in range(4) for j in range(4) for _ in range(5 if i == j else 1)])
    seen = torch.tensor([j for i in range(4) for j in range(4) for _ in range(5 if i == j else 1)])
    tau = torch.tensor(1 / math.log(5), dtype=DOUBLE)
    bound = math.log(4) - information(eye[seen], eye, sent, share, tau).item()
    assert bound == pytest.approx(true, abs=1e-12)
    for wrong in (0.3, 3.0):
        assert math.log(4) - information(eye[seen], eye, sent, share, tau * wrong).item() < true
    sure = math.log(4) - information(eye[sent], eye, sent, share, torch.tensor(0.01, dtype=DOUBLE)).item()
    assert sure == pytest.approx(math.log(4), abs=1e-9)


def test_the_prior_is_in_the_posterior():
    words = torch.zeros(2, 3, dtype=DOUBLE)
    share = torch.tensor([0.9, 0.1], dtype=DOUBLE)
    labels = torch.tensor([0] * 9 + [1])
    found = information(torch.zeros(10, 3, dtype=DOUBLE), words, labels, share, torch.tensor(1.0))
    assert found.item() == pytest.approx(-(0.9 * math.log(0.9) + 0.1 * math.log(0.1)))


@pytest.fixture
def words():
    nouns = ["dog.n.01", "cat.n.01", "car.n.01", "truck.n.01", "bird.n.01"]
    return torch.from_numpy(wordnet_vectors(nouns).vectors).double()


def test_structure_is_zero_for_the_words_turned_shifted_and_scaled(words, generator):
    turn, _ = torch.linalg.qr(torch.randn(5, 5, generator=generator, dtype=DOUBLE))
    labels = torch.arange(5).repeat(3)
    views = (3.0 * words @ turn + 7.0)[labels]
    assert structure(views, labels, words).item() == pytest.approx(0.0, abs=1e-12)
    assert structure(views, labels, words[[1, 2, 3, 4, 0]]).item() > 0.1


def test_structure_reads_the_labels_that_are_there_twice(words):
    labels = torch.tensor([0, 0, 2, 2, 3, 3, 4])
    views = words[labels] + 0.01
    views[-1] = -views[-1]  # alone of its label, and far off
    assert structure(views, labels, words).item() == pytest.approx(0.0, abs=1e-12)
    assert structure(views[:4], labels[:4], words).item() == 0.0


def test_gradients(words, generator):
    labels = torch.arange(5).repeat(2)
    views = torch.randn(10, 5, generator=generator, dtype=DOUBLE, requires_grad=True)
    share = torch.full((5,), 0.2, dtype=DOUBLE)
    tau = torch.tensor(0.5, dtype=DOUBLE, requires_grad=True)
    assert gradcheck(lambda v, t: information(v, words, labels, share, t), (views, tau))
    assert gradcheck(lambda v: structure(v, labels, words), (views,))
    first, second = (torch.randn(4, 3, dtype=DOUBLE, requires_grad=True) for _ in range(2))
    assert gradcheck(divergence, (first, second))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(27, 12), nn.ReLU())
        self.net = nn.Linear(12, 10)

    def forward(self, images):
        return self.net(self.body(images))


@pytest.mark.parametrize("source", ["words", "permuted", "random", "one-hot"])
def test_scarl_trains_its_projector_and_the_network(source, generator):
    data = build("colordigits")
    torch.manual_seed(0)
    model, loss = Net(), scarl(data, words=source)
    loss.attach(model)
    assert "log_temperature" in dict(loss.named_parameters())
    images = torch.rand(20, 3, 3, 3, generator=generator)
    labels = torch.arange(20) % 10
    value = loss(model, batch(images, images + 0.01, labels))
    value.backward()
    assert all(one.grad is not None and one.grad.isfinite().all() for one in (*loss.parameters(), *model.parameters()))
    plain = trades(None, perturbed_share=1.0)(model, batch(images, images + 0.01, labels))
    assert value > plain


def test_without_its_terms_scarl_is_trades_on_attacked_images(generator):
    torch.manual_seed(0)
    model, loss = Net(), scarl(build("colordigits"), information=0.0, structure=0.0)
    loss.attach(model)
    images = torch.rand(8, 3, 3, 3, generator=generator)
    one = batch(images, images + 0.01, torch.arange(8))
    assert loss(model, one).item() == pytest.approx(trades(None, perturbed_share=1.0)(model, one).item(), rel=1e-6)


def test_a_temperature_that_left_its_range_comes_back(generator):
    # Beyond the coldest the bound of features that are not sure wants a warmer one, and must be able to get it.
    torch.manual_seed(0)
    model, loss = Net(), scarl(build("colordigits"), structure=0.0)
    loss.attach(model)
    loss.log_temperature.data.fill_(math.log(1e-4))
    images = torch.rand(20, 3, 3, 3, generator=generator)
    loss(model, batch(images, images + 0.01, torch.arange(20) % 10)).backward()
    assert loss.log_temperature.item() == pytest.approx(math.log(0.01))
    assert loss.log_temperature.grad.item() < 0


def test_a_batch_of_one_image_says_what_to_do(generator):
    model, loss = Net(), scarl(build("colordigits"))
    loss.attach(model)
    images = torch.rand(1, 3, 3, 3, generator=generator)
    with pytest.raises(DataError, match="enlarge batch_size"):
        loss(model, batch(images, images, torch.tensor([0])))


def test_scarl_reads_the_vectors_of_a_file(tmp_path):
    digits = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    path = tmp_path / "words.txt"
    path.write_text("".join(f"{word} {number + 1} 1 0\n" for number, word in enumerate(digits)))
    assert scarl(build("colordigits"), vectors=str(path)).words.shape == (10, 3)
    path.rename(tmp_path / "words.kv")
    with pytest.raises(DataError, match="trust_pickle=True"):
        scarl(build("colordigits"), vectors=str(tmp_path / "words.kv"))
    with pytest.raises((DataError, MissingExtra), match="gensim"):
        scarl(build("colordigits"), vectors=str(tmp_path / "words.kv"), trust_pickle=True)


def test_permuted_words_are_the_same_for_every_seed():
    data = build("colordigits")
    first, second = scarl(data, words="permuted"), scarl(data, words="permuted")
    assert torch.equal(first.words, second.words)
    assert not torch.equal(first.words, scarl(data).words)
    assert np.allclose(first.prior.sum(), 1)


def test_a_network_without_a_linear_head():
    with pytest.raises(UnsupportedModel):
        scarl(build("colordigits")).attach(nn.Conv2d(3, 10, 1))


def test_the_bytes_of_a_file_of_vectors_decide_over_a_run(tmp_path):
    data, file, prints = bk.build("colordigits"), tmp_path / "v.txt", []
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    for turn in (1, 2, 1):
        file.write_text(
            "".join(f"{name} {(place * turn) % 10 + 1} {turn} {place}\n" for place, name in enumerate(names))
        )
        arm = bind_arms(["scarl"], data, [f"stage.0.loss.vectors={file}"])[0]
        prints.append(run_fingerprint(arm, data, 0, machine("cpu")))
    assert prints[0] == prints[2] != prints[1]
