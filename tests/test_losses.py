"""Every loss against a literal transcription of its formula, its gradients, and what training with it reaches."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from _shared import batch
from torch import nn

import biaskit._train as loop
from biaskit import testing
from biaskit.data import Dataset
from biaskit.errors import SpecError
from biaskit.losses import cross_entropy, semantic_continuity
from biaskit.registry import bind

X = torch.tensor([[0.2, -0.4, 1.0], [0.5, 0.1, -0.3], [-0.7, 0.8, 0.6], [0.3, 0.3, 0.9]], dtype=torch.float64)
SHIFT = torch.tensor([[0.1, 0.2, -0.1], [0.0, -0.3, 0.2], [0.4, 0.1, 0.1], [-0.2, 0.2, 0.5]], dtype=torch.float64)
LABELS = [0, 3, 1, 1]


def linear(k=4):
    """F = W x on images of one pixel, in float64."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(3, k, bias=False)).double()
    with torch.no_grad():
        model[1].weight.copy_(torch.linspace(-1, 1, 3 * k).view(k, 3).sin())
    return model


def pair(progress=1.0):
    return batch(X.view(-1, 3, 1, 1), (X + SHIFT).view(-1, 3, 1, 1), LABELS, progress)


def transcribed(weight, x, pairs, labels, share, alpha):
    """(1 - s) CE(F(x), y) + s CE(F(x'), y) + alpha mean_i sum_k (F_k(x'_i) - F_k(x_i))^2, in plain loops."""
    total = 0.0
    for one, other, label in zip(x.tolist(), pairs.tolist(), labels, strict=True):
        f = [sum(w * v for w, v in zip(row, one, strict=True)) for row in weight.tolist()]
        g = [sum(w * v for w, v in zip(row, other, strict=True)) for row in weight.tolist()]
        clean = math.log(sum(math.exp(v) for v in f)) - f[label]
        perturbed = math.log(sum(math.exp(v) for v in g)) - g[label]
        distance = sum((b - a) ** 2 for a, b in zip(f, g, strict=True))
        total += (1 - share) * clean + share * perturbed + alpha * distance
    return total / len(labels)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_cross_entropy_is_its_formula(share):
    model = linear()
    expected = transcribed(model[1].weight, X, X + SHIFT, LABELS, share, 0.0)
    assert cross_entropy(None, perturbed_share=share)(model, pair()).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("gradient", ["both", "clean", "pair"])
@pytest.mark.parametrize(("alpha", "share"), [(0.0, 0.0), (1.0, 0.0), (0.1, 0.5), (3.0, 1.0)])
def test_semantic_continuity_is_its_formula(alpha, share, gradient):
    model = linear()
    loss = semantic_continuity(None, alpha=alpha, perturbed_share=share, gradient=gradient)
    expected = transcribed(model[1].weight, X, X + SHIFT, LABELS, share, alpha)
    assert loss(model, pair()).item() == pytest.approx(expected, abs=1e-12)


def test_distance_is_a_sum_over_logits_and_a_mean_over_images():
    def distance(k, images):
        one = batch(torch.zeros(images, 3, 1, 1), torch.ones(images, 3, 1, 1), [0] * images)
        found = semantic_continuity(None, alpha=1.0)(lambda x: x.mean((1, 2, 3)).view(-1, 1).expand(-1, k), one)
        return float(found) - math.log(k)

    # Each of the k logits moves by 1.
    assert [distance(k, images) for k, images in ((2, 1), (10, 1), (10, 7))] == pytest.approx([2, 10, 10], abs=1e-5)


@pytest.mark.parametrize("gradient", ["both", "clean", "pair"])
def test_which_branch_receives_the_gradient(gradient):
    model = linear()
    weight = model[1].weight
    losses = [semantic_continuity(None, alpha=alpha, gradient=gradient)(model, pair()) for alpha in (1.0, 0.0)]
    (found,) = torch.autograd.grad(losses[0] - losses[1], weight)
    # Per image 2 W D D'; without the clean branch 2 W D x'', without that of the copy -2 W D x'.
    right = {"both": SHIFT, "clean": -X, "pair": X + SHIFT}[gradient]
    expected = 2 * weight @ SHIFT.T @ right / len(X)
    torch.testing.assert_close(found, expected.detach())


def test_gradients_agree_with_differences():
    model = linear()

    def value(weight, loss):
        return loss(lambda images: images.flatten(1) @ weight.T, pair(0.25))

    for loss in (
        cross_entropy(None),
        cross_entropy(None, perturbed_share=0.5),
        semantic_continuity(None, alpha=0.7, warmup=0.5, perturbed_share=0.5),
    ):
        weight = model[1].weight.detach().clone().requires_grad_()
        assert torch.autograd.gradcheck(lambda w, loss=loss: value(w, loss), (weight,))


def test_alpha_grows_over_the_warm_up():
    model = linear()

    def strength(progress, warmup):
        found = semantic_continuity(None, alpha=2.0, warmup=warmup)(model, pair(progress))
        plain = cross_entropy(None)(model, pair(progress))
        full = semantic_continuity(None, alpha=1.0)(model, pair(progress)) - plain
        return ((found - plain) / full).item()

    grown = [strength(progress, 0.2) for progress in (0.0, 0.05, 0.1, 0.2, 0.9)]
    assert grown == pytest.approx([0.0, 0.5, 1.0, 2.0, 2.0])
    assert strength(0.0, 0.0) == pytest.approx(2.0)


def test_images_and_copies_share_one_forward():
    calls = []

    def model(images):
        calls.append(len(images))
        return images.flatten(1)

    for loss in (cross_entropy(None, perturbed_share=0.5), semantic_continuity(None)):
        loss(model, batch(torch.rand(4, 3, 1, 1), torch.rand(4, 3, 1, 1), [0, 1, 2, 0]))
    cross_entropy(None)(model, batch(torch.rand(4, 3, 1, 1), None, [0, 1, 2, 0]))
    assert calls == [8, 8, 4]


def test_logits_in_bf16_are_summed_in_float32():
    one = batch(torch.full((1, 3, 1, 1), 100.0), torch.full((1, 3, 1, 1), 100.5), [0])
    found = semantic_continuity(None, alpha=1.0)(lambda x: x.flatten(1).bfloat16(), one)
    assert found.dtype == torch.float32
    assert float(found) == pytest.approx(math.log(3) + 3 * 0.25)


def test_only_losses_that_compare_need_a_perturbation():
    assert not cross_entropy(None).needs_perturbation
    assert cross_entropy(None, perturbed_share=0.1).needs_perturbation
    assert semantic_continuity(None).needs_perturbation


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (cross_entropy, {"perturbed_share": 1.5}, "perturbed_share: must be less than or equal to 1"),
        (semantic_continuity, {"alpha": -1}, "alpha: must be greater than or equal to 0"),
        (semantic_continuity, {"gradient": "none"}, "gradient: must be 'both', 'clean' or 'pair'"),
        (semantic_continuity, {"alhpa": 1}, "alhpa is no option of semantic_continuity; did you mean alpha?"),
    ],
)
def test_options_outside_their_range(function, options, message):
    with pytest.raises(SpecError, match="card: loss") as error:
        bind(function, options, "card: loss")
    assert message in str(error.value)


class _LeastSquares(nn.Module):
    """Squared error in place of the cross-entropy, beside the continuity term of the loss under test."""

    needs_perturbation = True

    def __init__(self, alpha):
        super().__init__()
        self.whole, self.entropy = semantic_continuity(None, alpha=alpha), cross_entropy(None)

    def forward(self, model, batch):
        target = nn.functional.one_hot(batch.labels, 3).float()
        squared = (model(batch.images) - target).square().sum(dim=1).mean()
        return squared + self.whole(model, batch) - self.entropy(model, batch)


def test_training_reaches_the_closed_form(monkeypatch):
    """min |W X - Y|^2 + alpha |W D|^2 has W* = Y X' (X X' + alpha D D')^-1."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(51, 205, (48, 2, 1, 3)).astype(np.uint8)  # level 1 of saturation clips none of these
    data = Dataset.from_arrays(pixels, rng.integers(0, 3, 48), split="train", classes=[0, 1, 2])
    alpha = 40.0
    find = loop.find
    monkeypatch.setattr(
        loop, "find", lambda kind, name: (lambda dataset: _LeastSquares(alpha)) if kind == "loss" else find(kind, name)
    )

    class Centered(nn.Module):
        def __init__(self):
            super().__init__()
            self.head = nn.Linear(6, 3, bias=False)

        def forward(self, images):
            return self.head(images.flatten(1) - 0.5)

    model = Centered()
    stage = {
        "loss": {"name": "least_squares"},
        "perturbation": {"name": "saturation", "level": 1},
        "epochs": 300,
        "batch_size": 48,
        "optimizer": {"name": "sgd", "lr": 0.5, "momentum": 0.9, "weight_decay": 0.0},
        "schedule": "constant",
    }
    where = loop.Machine("cpu", "float32", 1, True)
    loop.fit(model, data, {"name": "ridge", "stage": [stage]}, seed=0, where=where)

    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).double() / 255
    gray = (images * torch.tensor([0.2989, 0.587, 0.114]).double().view(1, 3, 1, 1)).sum(1, keepdim=True)
    x, shift = (images.flatten(1) - 0.5).T, (0.25 * (images - gray)).flatten(1).T
    y = nn.functional.one_hot(torch.from_numpy(data.labels), 3).double().T
    best = y @ x.T @ torch.linalg.inv(x @ x.T + alpha * shift @ shift.T)
    unconstrained = y @ x.T @ torch.linalg.inv(x @ x.T)
    assert float((best - unconstrained).abs().max()) > 0.1
    torch.testing.assert_close(model.head.weight.detach().double(), best, atol=2e-4, rtol=0)


@pytest.mark.parametrize("gradient", ["both", "clean", "pair"])
def test_each_gradient_has_its_own_fixed_point(gradient):
    """|W X - Y|^2 + alpha |W D|^2 in float64: zero gradient at the closed form, and descent arrives there.

    The term has the gradient 2 alpha W D D' (both), 2 alpha W D X'' (of the copies alone) or -2 alpha W D X' (of the
    images alone), with X'' = X + D, so W* = Y X' (X X' + alpha D R')^-1 with R = D, X'' or -X.
    """
    rng = np.random.default_rng(0)
    x, y = (torch.from_numpy(rng.normal(size=(3, 40))) for _ in range(2))
    shift = 0.3 * torch.from_numpy(rng.normal(size=(3, 40)))
    alpha, right = 2.0, {"both": shift, "clean": -x, "pair": x + shift}[gradient]
    best = y @ x.T @ torch.linalg.inv(x @ x.T + alpha * shift @ right.T)

    loss, entropy = semantic_continuity(None, alpha=alpha, gradient=gradient), cross_entropy(None)
    one = batch(x.T.reshape(-1, 3, 1, 1), (x + shift).T.reshape(-1, 3, 1, 1), [0] * 40)

    def slope(weight):
        def model(images):
            return images.flatten(1) @ weight.T

        weight = weight.clone().requires_grad_()
        squared = (weight @ x - y).square().sum() / 40
        (found,) = torch.autograd.grad(squared + loss(model, one) - entropy(model, one), weight)
        return found

    assert float(slope(best).abs().max()) < 1e-13
    weight = torch.zeros(3, 3, dtype=torch.float64)
    for _ in range(500):
        weight -= 0.1 * slope(weight)
    torch.testing.assert_close(weight, best, atol=1e-10, rtol=0)


def test_losses_have_no_state_of_their_own():
    data = testing.tiny()
    for loss in (cross_entropy(data), semantic_continuity(data)):
        assert not list(loss.parameters())
        assert not loss.state_dict()
