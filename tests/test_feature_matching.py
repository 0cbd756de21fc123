"""The consistent loss against a literal transcription of its formula, its gradients, and the recipes that use it."""

from __future__ import annotations

import math
from collections import OrderedDict

import pytest
import torch
from _shared import batch, recipe_card, small
from torch import nn

import biaskit as bk
from biaskit import testing
from biaskit.attacks import pgd
from biaskit.errors import SpecError, UnknownName, UnsupportedModel
from biaskit.losses import cross_entropy, feature_matching
from biaskit.recipes import bind_arms
from biaskit.registry import bind

LABELS = [0, 3, 1, 1]


def network(dtype=torch.float64):
    """A convolution with a ReLU behind it, which works in place, and a head."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            OrderedDict(
                conv=nn.Conv2d(3, 5, 2, bias=False),
                relu=nn.ReLU(inplace=True),
                flat=nn.Flatten(),
                head=nn.Linear(5 * 9, 4),
            )
        ).to(dtype)


def pair(seed=0, dtype=torch.float64):
    drawn = torch.Generator().manual_seed(seed)
    images, copies = torch.rand(2, 4, 3, 4, 4, generator=drawn, dtype=dtype)
    return batch(images, copies, LABELS)


def transcribed(model, batches, alpha, beta):
    """alpha CE(x) + (1 - alpha) CE(x*) + beta |phi(x) - phi(x*)|^2 / (Chw S) of the last batch."""
    follow = 0.0
    for step, one in enumerate(batches, 1):
        inner, copies = (torch.relu(nn.functional.conv2d(x, model.conv.weight)) for x in (one.images, one.perturbed))
        size = (inner**2).sum() / (4 * 45)
        follow += max(0.1, 1 / step) * (size.item() - follow)
    entropies = []
    for x in (inner, copies):
        logits = x.flatten(1) @ model.head.weight.T + model.head.bias
        entropies.append(sum(logits[i].logsumexp(0) - logits[i, k] for i, k in enumerate(LABELS)) / 4)
    distance = sum(((inner[i] - copies[i]) ** 2).sum() / 45 for i in range(4)) / 4
    return alpha * entropies[0] + (1 - alpha) * entropies[1] + beta * distance / follow


@pytest.mark.parametrize("gradient", ["both", "clean", "pair"])
@pytest.mark.parametrize(("alpha", "beta"), [(0.5, 1.0), (1.0, 0.0), (0.0, 3.0), (0.3, 0.1)])
def test_it_is_its_formula(alpha, beta, gradient):
    model, loss = network(), feature_matching(None, alpha=alpha, beta=beta, layer="relu", gradient=gradient)
    batches = [pair(seed) for seed in range(14)]
    for number, one in enumerate(batches, 1):
        found = loss(model, one)
        expected = transcribed(model, batches[:number], alpha, beta)
        assert found.item() == pytest.approx(expected.item(), abs=1e-12)
    if gradient == "both":
        names = [model.conv.weight, model.head.weight, model.head.bias]
        for mine, theirs in zip(*(torch.autograd.grad(one, names) for one in (found, expected)), strict=True):
            torch.testing.assert_close(mine, theirs)


def test_gradients_agree_with_differences():
    model, one = network(), pair()
    loss = feature_matching(None, alpha=0.3, beta=2.0, layer="conv")
    loss.scale.fill_(0.7)
    loss._follow = lambda inner: None  # no gradient passes through the mean, so it is held

    def value(weight):
        return loss(_With(model, {"conv.weight": weight}), one)

    weight = model.conv.weight.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(value, (weight,))


class _With(nn.Module):
    """A model with some of its weights replaced by tensors that are no parameters."""

    def __init__(self, model, weights):
        super().__init__()
        self.model, self.weights = model, weights

    def forward(self, images):
        return torch.func.functional_call(self.model, self.weights, (images,))


@pytest.mark.parametrize("gradient", ["both", "clean", "pair"])
def test_which_branch_receives_the_gradient(gradient):
    model, one = network(), pair()
    weight = model.conv.weight
    loss = feature_matching(None, alpha=1.0, beta=1.0, layer="conv", gradient=gradient)
    plain = cross_entropy(None)(model, one)
    (found,) = torch.autograd.grad(loss(model, one) - plain, weight)
    images, copies = (nn.functional.conv2d(x, weight) for x in (one.images, one.perturbed))
    size = images.detach().square().mean()
    left = images.detach() if gradient == "pair" else images
    right = copies.detach() if gradient == "clean" else copies
    (expected,) = torch.autograd.grad((right - left).square().mean() / size, weight)
    torch.testing.assert_close(found, expected)


def test_beta_has_no_unit():
    """Features ten times as large are no further apart."""
    model, one = network(), pair()

    def distance():
        loss = feature_matching(None, alpha=1.0, beta=1.0, layer="conv")
        return (loss(model, one) - cross_entropy(None)(model, one)).item()

    before = distance()
    with torch.no_grad():
        model.conv.weight.mul_(10.0)
    assert distance() == pytest.approx(before)
    # Independent features of one size are twice as far apart as they are large; the same ones not at all.
    same = batch(one.images, one.images.clone(), LABELS)
    assert feature_matching(None, alpha=1.0)(model, same).item() == pytest.approx(
        cross_entropy(None)(model, same).item()
    )


def test_a_layer_without_activity_adds_nothing():
    model = network()
    nn.init.zeros_(model.conv.weight)
    found = feature_matching(None, alpha=1.0, beta=5.0, layer="relu")(model, pair())
    assert found.item() == pytest.approx(cross_entropy(None)(model, pair()).item())


def test_the_running_mean_is_part_of_a_checkpoint():
    model, loss, other = network(), feature_matching(None, layer="relu"), feature_matching(None, layer="relu")
    for seed in range(3):
        loss(model, pair(seed))
    assert set(loss.state_dict()) == {"scale", "steps"}
    other.load_state_dict(loss.state_dict())
    assert other(model, pair(7)).item() == loss(model, pair(7)).item()
    assert not list(loss.parameters())


def test_the_default_layer_is_the_last_map_and_images_and_copies_share_one_forward():
    model, calls = network(torch.float32), []
    model.conv.register_forward_hook(lambda *parts: calls.append(len(parts[2])))
    model.train()
    loss = feature_matching(None)
    first = loss(model, pair(dtype=torch.float32))
    named = feature_matching(None, layer="relu")(model, pair(dtype=torch.float32))
    assert first.item() == named.item()
    assert calls == [1, 8, 8]  # the first finds the layer
    assert model.training
    loss(model, pair(dtype=torch.float32))
    assert calls[3:] == [8]


def test_weights_keep_their_gradient_under_autocast():
    # Autocast keeps what it has cast: weights cast without a gradient to find the layer would stay without one.
    model = network(torch.float32)
    loss = feature_matching(None)
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(model, pair(dtype=torch.float32))
    assert found.dtype == torch.float32
    found.backward()
    assert all(one.grad is not None and one.grad.abs().sum() > 0 for one in model.parameters())


def test_what_cannot_be_matched():
    with pytest.raises(UnknownName, match="no layer 'rleu'; nearest: relu"):
        feature_matching(None, layer="rleu")(network(), pair())
    with pytest.raises(UnsupportedModel, match="no convolutional layer"):
        feature_matching(None)(nn.Sequential(nn.Flatten(), nn.Linear(48, 4)).double(), pair())
    for options, message in (({"alpha": 1.5}, "less than or equal to 1"), ({"beta": -1}, "greater than or equal to 0")):
        with pytest.raises(SpecError, match=message):
            bind(feature_matching, options, "card: loss")
    assert feature_matching(None).needs_perturbation


def test_the_arms_differ_from_their_controls_in_the_loss_alone():
    data = testing.tiny().replace(card=small().card)
    arms = {one.name: one for one in bind_arms(["adv-fgsm-rs", "consistent", "adv-fgsm", "consistent-paper"], data)}
    for name in ("consistent", "consistent-paper"):
        control = arms[arms[name].control]
        (mine,), (theirs,) = arms[name].card["stage"], control.card["stage"]
        assert {key for key in mine if mine[key] != theirs[key]} == {"loss"}
        assert mine["loss"]["name"] == "feature_matching"
        assert theirs["loss"] == {"name": "cross_entropy", "perturbed_share": 1 - mine["loss"]["alpha"]}
    attack = arms["consistent"].card["stage"][0]["attack"]
    assert attack["steps"] == 1
    assert attack["random_start"]
    assert (attack["epsilon"], attack["step"]) == pytest.approx((8 / 255, 10 / 255))


def test_training_with_it_brings_the_features_together(tmp_path):
    data = small()
    attack = 'attack = { name = "pgd", epsilon = "32/255", step = "40/255", steps = 1 }'
    found = {}
    for beta in (0.0, 30.0):
        card = recipe_card(tmp_path, f"beta{beta:g}", f'{{ name = "feature_matching", beta = {beta} }}', attack)
        run = bk.train(card, data, seed=0)
        loss = feature_matching(data, alpha=1.0, beta=1.0, layer="layer3")
        images = data.images.gather(torch.arange(200)).float() / 255.0
        moved = pgd(run.model, images, torch.as_tensor(data.labels[:200]), torch.Generator(), epsilon=32 / 255)
        one = batch(images, moved, data.labels[:200])
        found[beta] = (loss(run.model, one) - cross_entropy(None)(run.model, one)).item()
        assert math.isfinite(run.history["loss"].iloc[-1])
    assert found[30.0] < 0.5 * found[0.0]
