"""Attacks: closed forms on linear models, torchattacks' own tensors, and what no attack may do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from _record_attacks import FILE, network
from torch import nn
from torch.nn import functional as F

from biaskit.amounts import fraction
from biaskit.attacks import _pgd, fgsm, least_likely, pgd, targeted_l2
from biaskit.attacks._common import evaluating, noise
from biaskit.attacks._least_likely import _published
from biaskit.errors import DataError, SpecError, UnsupportedModel
from biaskit.registry import bind, find, names
from biaskit.studycard import Measure

ATTACKS = tuple(names("attack"))
LINF = ("fgsm", "least_likely", "pgd")


def seed(number=0):
    return torch.Generator().manual_seed(number)


def linear(*rows):
    """Logits ``W x`` without an offset."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(len(rows[0]), len(rows), bias=False)).double()
    net[1].weight.data.copy_(torch.tensor(rows))
    return net


@pytest.fixture(scope="module")
def recorded():
    found = np.load(FILE)
    return {name: torch.from_numpy(found[name]) for name in found.files if found[name].ndim}


@pytest.fixture
def net():
    return network(np.load(FILE))


@pytest.fixture
def images(recorded):
    return recorded["images"]


@pytest.fixture
def labels(recorded):
    return recorded["labels"]


def losses(model, images, labels):
    with torch.no_grad(), evaluating(model):
        return F.cross_entropy(model(images), labels, reduction="none").detach()


def answers(model, images):
    with evaluating(model):
        return model(images).argmax(dim=1)


class Counting(nn.Module):
    """A model that notes how many images each forward pass has."""

    def __init__(self, model):
        super().__init__()
        self.model, self.seen = model, []

    def forward(self, images):
        self.seen.append(len(images))
        return self.model(images)


# Closed forms


@pytest.mark.parametrize("options", [{"step": 0.01, "steps": 20}, {"step": 0.05, "steps": 4, "early_exit": True}])
def test_pgd_takes_from_a_linear_margin_epsilon_times_the_sum_of_weights(options):
    weights = torch.randn(2, 12, generator=seed(), dtype=torch.float64)
    model, fall = linear(*weights.tolist()), 0.1 * (weights[0] - weights[1]).abs().sum()
    images = 0.3 + 0.4 * torch.rand(40, 3, 2, 2, generator=seed(1), dtype=torch.float64)  # nothing is clipped
    truth = answers(model, images)

    def margin(x):
        return (model(x).detach() * torch.tensor([1.0, -1.0])).sum(dim=1) * (1 - 2 * truth)

    before = margin(images)
    after = margin(pgd(model, images, truth, seed(), epsilon=0.1, **options))
    stays = before > fall  # with early exit the others leave as soon as they are wrong
    assert 5 < int(stays.sum()) < 35
    torch.testing.assert_close((before - after)[stays], fall.expand(int(stays.sum())))
    assert bool((after[~stays] <= 0).all())
    if not options.get("early_exit"):
        torch.testing.assert_close(before - after, fall.expand(40))


def test_fgsm_on_a_linear_model():
    model = linear([1.0, -2.0, 0.0], [0.0, 1.0, 0.0], [0.5, 0.0, 0.0])
    image = torch.tensor([0.9, 0.2, 0.5], dtype=torch.float64).reshape(1, 3, 1, 1)
    # The logits are .5, .2 and .45: d CE / dx is W^T (p - y), with y the first label.
    share = torch.tensor([0.5, 0.2, 0.45], dtype=torch.float64).softmax(0)
    slope = model[1].weight.T @ (share - torch.tensor([1.0, 0.0, 0.0]))
    assert slope.sign().tolist() == [-1.0, 1.0, 0.0]
    found = fgsm(model, image, torch.tensor([2]), seed(), epsilon=0.25).flatten()
    torch.testing.assert_close(found, torch.tensor([0.65, 0.45, 0.5], dtype=torch.float64))


def test_least_likely_walks_towards_the_lowest_logit():
    model = linear([1.0, 0.0], [0.0, 0.0], [-1.0, 1.0])
    image = torch.tensor([0.5, 0.2], dtype=torch.float64).reshape(1, 1, 1, 2)
    found = least_likely(model, image, torch.tensor([2]), seed(), epsilon=0.2, step=0.05, steps=3).flatten()
    torch.testing.assert_close(found, torch.tensor([0.35, 0.35], dtype=torch.float64))
    found = least_likely(model, image, torch.tensor([2]), seed(), epsilon=0.2, step=0.05, steps=9).flatten()
    torch.testing.assert_close(found, torch.tensor([0.3, 0.4], dtype=torch.float64))


@pytest.mark.parametrize(("levels", "steps"), [(0.1, 1), (1, 1), (2, 2), (4, 5), (8, 10), (16, 20), (32, 36)])
def test_the_published_number_of_steps(levels, steps):
    assert _published(levels / 255) == steps


@pytest.mark.parametrize("confidence", [0.5, 0.9])
def test_targeted_l2_ends_near_the_nearest_image(confidence):
    """Of two labels, ``p(target) = c`` is a hyperplane: the nearest point on it is known."""
    weight = torch.randn(2, 12, generator=seed(3), dtype=torch.float64)
    model = linear(*(10.0 * weight).tolist())
    images = 0.4 + 0.2 * torch.rand(6, 3, 2, 2, generator=seed(1), dtype=torch.float64)
    goal = answers(model, images)[0].item() ^ 1
    images = images[answers(model, images) != goal]
    found = targeted_l2(model, images, torch.zeros(len(images), dtype=torch.int64), seed(), target=goal,
                        confidence=confidence, weight=0.01, rate=0.001, steps=200)  # fmt: skip
    logits = model(images).detach()
    short = np.log(confidence / (1 - confidence)) + logits[:, 1 - goal] - logits[:, goal]
    nearest = short / (10.0 * (weight[0] - weight[1]).norm())
    distance = (found - images).flatten(1).norm(dim=1)
    assert bool((distance >= nearest - 1e-9).all())
    assert float((distance / nearest).max()) < 1.05
    reached = model(found).softmax(1)[:, goal]
    assert bool(((reached >= confidence) & (reached < confidence + 0.05)).all())


# torchattacks


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("pgd", lambda *a: pgd(*a, random_start=False)),
        ("fgsm_true", lambda *a: fgsm(*a, label="true")),
        ("fgsm_predicted", fgsm),
        ("least_likely", lambda *a: least_likely(*a, epsilon=8 / 255, step=1 / 255)),
    ],
)
def test_the_same_tensor_as_torchattacks(recorded, net, images, labels, name, call):
    assert len(set(answers(net, images).tolist())) > 2, "one answer for all would show little"
    assert torch.equal(call(net, images, labels, seed()), recorded[name])


# Balls, boxes, starts


@pytest.mark.parametrize("name", LINF)
def test_the_ball_and_the_box(name, net, labels):
    images = torch.rand(8, 3, 6, 6, generator=seed(), dtype=torch.float64).round(decimals=1)
    images[0], images[1] = 0.0, 1.0
    for epsilon in (0.0, 0.03, 0.7, 1.0):
        found = find("attack", name)(net, images, labels, seed(), epsilon=epsilon)
        assert float(found.min()) >= 0.0
        assert float(found.max()) <= 1.0
        assert float((found - images).abs().max()) <= epsilon + 1e-12
        assert torch.equal(found, images) == (epsilon == 0.0)


@pytest.mark.parametrize("name", ["fgsm", "pgd"])
def test_the_loss_grows_with_epsilon(name, net, images, labels):
    truth = answers(net, images)
    given = {"random_start": False, "step": 1 / 255, "steps": 40} if name == "pgd" else {}
    found = [
        losses(net, find("attack", name)(net, images, truth, seed(), epsilon=level / 255, **given), truth)
        for level in (0, 1, 2, 4, 8, 16)
    ]
    assert bool((torch.stack(found).diff(dim=0) > 0).all())


def test_starts_are_uniform_and_of_the_generator():
    start = noise(torch.full((1, 3, 100, 100), 0.5), 0.1, seed(1)) - 0.5
    assert float(start.abs().max()) <= 0.1 + 1e-7
    assert float(start.mean()) == pytest.approx(0.0, abs=0.002)
    assert float(start.std()) == pytest.approx(0.2 / 12**0.5, rel=0.02)
    assert torch.equal(noise(torch.zeros(1, 1, 2, 2), 0.1, seed(1)).clamp(0, 0), torch.zeros(1, 1, 2, 2))


def test_a_random_start_counts(net, images, labels):
    first, again, other = (pgd(net, images, labels, seed(number), steps=1) for number in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(*(pgd(net, images, labels, seed(number), random_start=False) for number in (0, 1)))


def test_of_several_restarts_the_highest_loss_is_kept(net, images, labels):
    given = {"epsilon": 0.1, "step": 0.01, "steps": 2}
    generator = seed()
    single = [pgd(net, images, labels, generator, **given) for _ in range(4)]
    heights = torch.stack([losses(net, one, labels) for one in single])
    assert len(set(heights.argmax(dim=0).tolist())) > 1, "the same start is best for every image"
    found = pgd(net, images, labels, seed(), restarts=4, **given)
    best = torch.stack(single)[heights.argmax(dim=0), torch.arange(len(images))]
    assert torch.equal(found, best)


# Early exit


@pytest.mark.parametrize("restarts", [1, 3])
@pytest.mark.parametrize("epsilon", [0.02, 0.05, 0.1, 0.3])
def test_early_exit_finds_as_much(net, epsilon, restarts):
    images = torch.rand(40, 3, 6, 6, generator=seed(), dtype=torch.float64)
    truth = answers(net, images)
    given = {"epsilon": epsilon, "step": epsilon / 4, "steps": 6, "restarts": restarts}
    whole = pgd(net, images, truth, seed(), **given)
    model = Counting(net)
    early = pgd(model, images, truth, seed(), early_exit=True, **given)
    fooled, sooner = answers(net, whole) != truth, answers(net, early) != truth
    assert bool((sooner | ~fooled).all())
    if bool(sooner.any()):
        assert sum(model.seen) < 40 * 7 * restarts
    if restarts == 1:  # what stands to the end has made every step, as without early exit
        torch.testing.assert_close(early[~sooner], whole[~sooner])
    assert float((early - images).abs().max()) <= epsilon + 1e-12


@pytest.mark.parametrize("restarts", [1, 3])
@pytest.mark.parametrize("count", [8, 11, 40])
def test_images_that_leave_make_room_for_others(net, monkeypatch, count, restarts):
    images = torch.rand(40, 3, 6, 6, generator=seed(), dtype=torch.float64)
    truth = answers(net, images)
    given = {"epsilon": 0.02, "step": 0.005, "steps": 6, "restarts": restarts, "early_exit": True}
    at_once = pgd(net, images, truth, seed(), **given)
    assert 5 < int((answers(net, at_once) == truth).sum()) < 35, "some stand and some fall"
    monkeypatch.setattr(_pgd, "BATCH", count)
    model = Counting(net)
    torch.testing.assert_close(pgd(model, images, truth, seed(), **given), at_once)
    assert model.seen[: 40 // count] == [count] * (40 // count), "full while any wait"
    assert max(model.seen) == count


def test_a_shrinking_batch_has_few_sizes():
    sizes = [len(_pgd._filled(torch.arange(number), 256)) for number in range(1, 257)]
    assert all(number <= size < 1.26 * number for number, size in enumerate(sizes, 1))
    assert len(set(sizes)) == 8 + 4 * 5
    filled = _pgd._filled(torch.tensor([7, *range(20, 30)]), 256)
    assert filled.tolist() == [7, *range(20, 30), 7]
    assert len(_pgd._filled(torch.arange(99), 100)) == 100, "never more than the full batch"


def darker_than(edge):
    """Two labels: the second one below a brightness."""
    model = linear([1.0], [-1.0])
    model[1].bias = nn.Parameter(torch.tensor([-edge, edge], dtype=torch.float64))
    return Counting(model)


def test_an_image_leaves_at_its_first_wrong_answer():
    model = darker_than(0.1)
    # Wrong after three steps, after one, from the start, and never.
    images = torch.tensor([0.125, 0.105, 0.0, 0.5], dtype=torch.float64).reshape(4, 1, 1, 1)
    found = pgd(model, images, torch.zeros(4, dtype=torch.int64), seed(), epsilon=0.05, step=0.01, steps=4,
                random_start=False, early_exit=True)  # fmt: skip
    torch.testing.assert_close(found.flatten(), torch.tensor([0.095, 0.095, 0.0, 0.46], dtype=torch.float64))
    assert model.seen == [4, 3, 2, 2, 1]


def test_the_last_step_is_looked_at_before_another_start():
    model = darker_than(0.1)
    image, right = torch.full((1, 1, 1, 1), 0.14, dtype=torch.float64), torch.zeros(1, dtype=torch.int64)
    given = {"epsilon": 0.05, "step": 0.1, "steps": 1, "restarts": 3, "early_exit": True}
    assert float(noise(image, 0.05, seed())) > 0.1, "the start itself must be right"
    assert float(pgd(model, image, right, seed(), **given)) == pytest.approx(0.09)
    assert model.seen == [1, 1]
    model.seen.clear()
    assert float(pgd(model, image + 0.1, right, seed(), **given)) == pytest.approx(0.19)
    assert model.seen == [1, 1] * 3


# What an attack may not do


@pytest.mark.parametrize("name", ["fgsm", "least_likely", "targeted_l2"])
def test_labels_are_not_leaked(name, net, images, labels):
    first, second = (find("attack", name)(net, images, one, seed()) for one in (labels, (labels + 1) % 5))
    assert torch.equal(first, second)
    assert not torch.equal(first, images)


def test_the_true_label_is_there_where_it_is_asked_for(net, images, labels):
    given = {"label": "true"}
    assert not torch.equal(fgsm(net, images, labels, seed(), **given), fgsm(net, images, labels, seed()))
    truth = answers(net, images)
    assert torch.equal(fgsm(net, images, truth, seed(), **given), fgsm(net, images, truth, seed()))


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("fgsm", {}),
        ("least_likely", {}),
        ("pgd", {"random_start": False}),
        ("pgd", {"random_start": False, "early_exit": True}),
        ("targeted_l2", {"weight": 1.0}),
    ],
)
def test_an_image_does_not_depend_on_its_neighbors(name, given, net, images, labels):
    together = find("attack", name)(net, images, labels, seed(), **given)
    alone = [
        find("attack", name)(net, images[row : row + 1], labels[row : row + 1], seed(), **given) for row in range(4)
    ]
    torch.testing.assert_close(together[:4], torch.cat(alone), atol=1e-9, rtol=0)


@pytest.mark.parametrize("name", ATTACKS)
def test_flags_are_restored_one_by_one(name, net, images, labels):
    net.train()
    net[1].eval()  # frozen by its owner
    before = {key: one.clone() for key, one in net.state_dict().items()}
    flags = [module.training for module in net.modules()]
    inside = []
    net[5].register_forward_hook(lambda module, *_: inside.append([one.training for one in net.modules()]))
    trained = find("attack", name)(net, images, labels, seed())
    assert inside
    assert not any(any(one) for one in inside)
    assert [module.training for module in net.modules()] == flags
    assert all(torch.equal(before[key], one) for key, one in net.state_dict().items())
    assert torch.equal(trained, find("attack", name)(net.eval(), images, labels, seed()))


def test_flags_are_restored_after_an_error(images, labels):
    class Broken(nn.Module):
        def forward(self, images):
            raise RuntimeError("no")

    model = Broken()
    with pytest.raises(RuntimeError, match="no"):
        pgd(model, images, labels, seed())
    assert model.training


@pytest.mark.parametrize("name", ATTACKS)
def test_callers_in_any_gradient_mode(name, net, images, labels):
    wanted = find("attack", name)(net, images, labels, seed())
    for parameter in net.parameters():
        parameter.grad = torch.ones_like(parameter)
    with torch.inference_mode():
        given = images.clone(), labels.clone()  # tensors that autograd refuses
        inferred = find("attack", name)(net, *given, seed())
        assert torch.is_inference_mode_enabled()
    with torch.no_grad():
        assert torch.equal(find("attack", name)(net, images, labels, seed()), wanted)
        assert not torch.is_grad_enabled()
    assert torch.equal(inferred, wanted)
    assert not wanted.requires_grad
    assert all(bool((parameter.grad == 1).all()) for parameter in net.parameters())
    net.requires_grad_(False)
    assert torch.equal(find("attack", name)(net, images, labels, seed()), wanted)


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("channels", [1, 2, 4])
def test_any_number_of_channels_and_none_at_all(name, channels):
    model = nn.Sequential(nn.Flatten(), nn.Linear(channels * 9, 4))
    images = torch.rand(5, channels, 3, 3, generator=seed())
    found = find("attack", name)(model, images, torch.tensor([0, 1, 2, 3, 0]), seed())
    assert (found.shape, found.dtype) == (images.shape, torch.float32)
    none = find("attack", name)(model, images[:0], torch.zeros(0, dtype=torch.int64), seed())
    assert none.shape == (0, channels, 3, 3)


class Overwriting(nn.Module):
    """A model that normalizes its input where it lies."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        return self.model(images.sub_(0.5).mul_(2.0))


class Apart(Overwriting):
    """The same without touching its input."""

    def forward(self, images):
        return self.model((images - 0.5) * 2.0)


@pytest.mark.parametrize(
    ("name", "given"),
    [*((name, {}) for name in ATTACKS), ("pgd", {"early_exit": True}), ("pgd", {"restarts": 2})],
)
def test_a_model_may_write_over_its_input(name, given, net, images, labels):
    kept = images.clone()
    found = find("attack", name)(Overwriting(net), images, labels, seed(), **given)
    assert torch.equal(images, kept)
    assert torch.equal(found, find("attack", name)(Apart(net), images, labels, seed(), **given))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: (x.flatten(1)[:, :5], None), "for 8 images the model gives a tuple. Wrap it"),
        (lambda x: {"logits": x.flatten(1)[:, :5]}, "gives a dict"),
        (lambda x: x.flatten(1).sum(1), r"gives shape \(8,\)"),
        (lambda x: x.flatten(1)[:, :1], r"gives shape \(8, 1\)"),
        (lambda x: x.flatten(1)[:4, :5], r"gives shape \(4, 5\)"),
        (lambda x: x, r"gives shape \(8, 3, 6, 6\)"),
        (lambda x: torch.zeros(8, 5), "no gradient at the pixels"),
        (lambda x: torch.zeros(8, 5, requires_grad=True), "no gradient at the pixels"),
        (lambda x: x.detach().flatten(1)[:, :5], "no gradient at the pixels"),
        (lambda x: x.flatten(1)[:, :5].argsort(dim=1), "no gradient at the pixels"),
    ],
)
@pytest.mark.parametrize("name", ATTACKS)
def test_models_without_logits_or_gradient(name, function, message, images, labels):
    class Model(nn.Module):
        def forward(self, images):
            return function(images)

    with pytest.raises(UnsupportedModel, match=message):
        find("attack", name)(Model(), images, labels, seed())


def test_rounding_beyond_the_range_is_no_error(net, images, labels):
    images = (images / images.max()).float()
    above = torch.where(images == 1, torch.nextafter(images, torch.tensor(2.0)), images)
    assert float(above.max()) > 1
    net = net.float()
    for name in ATTACKS:
        found = find("attack", name)(net, above, labels, seed())
        assert torch.equal(found, find("attack", name)(net, images, labels, seed()))


def test_options_of_a_direct_call(net, images, labels):
    wanted = pgd(net, images, labels, seed(), epsilon=0.0625, step=0.015625, steps=3)
    given = {"epsilon": np.float32(0.0625), "step": "4/256", "steps": np.int64(3), "random_start": np.True_}
    assert torch.equal(pgd(net, images, labels, seed(), **given), wanted)
    named = {"model": net, "images": images, "labels": labels, "generator": seed()}
    assert torch.equal(pgd(**named, **given), wanted)
    near = fgsm(net, images, labels, seed(), epsilon=np.float32(8 / 255))
    torch.testing.assert_close(near, fgsm(net, images, labels, seed()), atol=1e-8, rtol=0)


def test_a_fraction_is_one_thing_everywhere():
    assert fraction("8/255") == fraction(" 8 / 255 ") == fraction("8 /255 ") == 8 / 255
    assert fraction("0.5/2") == 0.25
    for text in ("8", "top/left", "8/255/2", "\u0668/255", "1_0/255", "1e3/255", "inf/255", "/255", "8/", ""):
        assert fraction(text) is None
    for text in ("8/0", "0/0.0", "1" * 400 + "/255"):
        with pytest.raises(ValueError, match='is no number; write a fraction such as "8/255"'):
            fraction(text)
    where = {"epsilon": "8 /255 ", "other": "\u0668/255"}
    assert Measure(title="x", analyzer="a", column="b", where=where).where == {**where, "epsilon": 8 / 255}
    with pytest.raises(ValueError, match="8/0 is no number"):
        Measure(title="x", analyzer="a", column="b", where={"epsilon": "8/0"})


# Targets


def test_targets_of_targeted_l2(net, images, labels):
    logits = net.eval()(images).detach()
    for target, wanted in (
        ("least_likely", logits.argmin(dim=1)),
        ("second", logits.argsort(dim=1)[:, -2]),
        (3, torch.full((8,), 3)),
    ):
        found = targeted_l2(net, images, labels, seed(), target=target)
        reached = net(found).detach().softmax(dim=1).gather(1, wanted[:, None]).flatten()
        assert float(reached.min()) >= 0.9
    held = targeted_l2(net, found, labels, seed(), target=3)
    assert torch.equal(held, found), "an image that is there already stays"


def test_a_target_that_cannot_be_reached_returns_the_image():
    model = darker_than(-1.0)  # below -1 is no pixel
    images = torch.rand(3, 1, 1, 1, generator=seed(), dtype=torch.float64)
    images[0] = 0.02
    given = {"target": 1, "steps": 20, "rounds": 3, "rate": 0.1}
    found = targeted_l2(model, images, torch.zeros(3, dtype=torch.int64), seed(), **given)
    assert torch.equal(found, images)
    assert model.seen == [3] * (1 + 60 + 1)  # targets, three rounds, a last look: bounded


def test_a_target_reached_by_the_last_step_counts():
    image = torch.full((1, 1, 1, 1), 0.14, dtype=torch.float64)
    given = {"target": 1, "confidence": 0.5, "steps": 1, "rounds": 1, "rate": 0.1}
    found = targeted_l2(darker_than(0.1), image, torch.zeros(1, dtype=torch.int64), seed(), **given)
    assert float(found) == pytest.approx(0.04)


def test_a_model_that_answers_nan_is_refused():
    class Undefined(nn.Module):
        def forward(self, images):
            return images.flatten(1)[:, :2] * torch.nan

    images = torch.rand(3, 1, 2, 2, generator=seed())
    for attack in (targeted_l2, pgd):
        with pytest.raises(UnsupportedModel, match="NaN or infinite logits for 3 of 3 changed images"):
            attack(Undefined(), images, torch.zeros(3, dtype=torch.int64), seed(), steps=2)
    with pytest.raises(DataError, match="labels from 5 to 5, but the model tells 4 labels apart, 0 to 3"):
        pgd(nn.Flatten(), images, torch.full((3,), 5), seed())


# Bad input


@pytest.mark.parametrize("name", LINF)
@pytest.mark.parametrize(
    ("epsilon", "message"),
    [
        (8, r'epsilon: .* for 8 of 255 gray levels write "8/255"; got 8$'),
        (16.0, 'write "16/255"'),
        (-0.1, 'write "8/255"'),
        (float("nan"), "epsilon: expected a finite number, .*; got nan"),
        (float("inf"), "expected a finite number"),
        (torch.tensor(0.1), "expected a finite number"),
        (True, "expected a number"),
        (None, "expected a number"),
        ("8", "or a fraction such as"),
        ("8/0", 'epsilon: 8/0 is no number; write a fraction such as "8/255"'),
        ("1" * 400 + "/255", "1111 is no number"),
        ("1e400", "or a fraction such as"),
        ("1e400/255", "or a fraction such as"),
        ("-8/255", "or a fraction such as"),
        ("nan/255", "or a fraction such as"),
        ("\u0668/255", "or a fraction such as"),  # a digit of another script
        ("8/x", "or a fraction such as"),
        ("300/255", "pixels are in"),
    ],
)
def test_an_epsilon_that_is_none(name, epsilon, message, net, images, labels):
    with pytest.raises(SpecError, match=message):
        find("attack", name)(net, images, labels, seed(), epsilon=epsilon)


def test_an_epsilon_in_a_card():
    for written in ("8/255", " 8 / 255 ", 8 / 255):
        assert bind(pgd, {"epsilon": written, "step": "2/255"}, "x")["epsilon"] == 8 / 255
    with pytest.raises(SpecError, match=r'^mine: attack\.epsilon: .* write "8/255"; got 8$'):
        bind(pgd, {"epsilon": 8}, "mine: attack")
    with pytest.raises(SpecError, match=r'attack\.step: .* write "2/255"; got 2\.0$'):
        bind(pgd, {"step": 2.0}, "mine: attack")
    for wrong in (True, [8], "eight", -1, {"a": 1}):
        with pytest.raises(SpecError, match=r"attack\.epsilon: (expected a number|pixels are in)"):
            bind(pgd, {"epsilon": wrong}, "mine: attack")
    assert bind(targeted_l2, {"target": 3, "rate": "1/255"}, "x")["target"] == 3
    with pytest.raises(SpecError, match=r"attack\.target"):
        bind(targeted_l2, {"target": "third"}, "mine: attack")


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x * 255, r"in \[0, 1\], these are in \[10, 251\]; divide by 255"),
        (lambda x: x * 2 - 1, "put the normalization inside the model"),
        (lambda x: torch.where(x > 0.5, torch.nan, x), "there is NaN in these"),
        (lambda x: torch.where(x > 0.5, torch.inf, x), "there is inf in these"),
        (lambda x: torch.where(x > 0.5, -torch.inf, x), "there is inf in these"),
        (lambda x: (x / x.max()).float() * (1 + 2e-6), r"these are in \[0\.\d+, 1\.000002\]"),
        (lambda x: (x * 255).byte(), r"float images \(B, C, H, W\) in \[0, 1\], not torch.uint8"),
        (lambda x: x[0], r"of shape \(3, 6, 6\)"),
    ],
)
def test_images_that_are_none(name, change, message, net, images, labels):
    with pytest.raises(DataError, match=message):
        find("attack", name)(net, change(images), labels, seed())


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("change", [lambda y: y[:3], lambda y: y.float(), F.one_hot])
def test_labels_that_are_none(name, change, net, images, labels):
    with pytest.raises(DataError, match="8 images need as many integer labels"):
        find("attack", name)(net, images, change(labels), seed())


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("pgd", {"restarts": 3, "random_start": False}, "pgd.restarts: 3 without a random start are the same one"),
        ("pgd", {"restarts": 0}, "pgd.restarts: .* greater than or equal to 1; got 0"),
        ("pgd", {"steps": 0}, "pgd.steps: .* greater than or equal to 1"),
        ("pgd", {"steps": 2.5}, "pgd.steps: .* integer; got 2.5"),
        ("pgd", {"steps": True}, "pgd.steps: .* integer; got true"),
        ("pgd", {"random_start": 1}, "pgd.random_start: .* boolean"),
        ("pgd", {"early_exit": None}, "pgd.early_exit: .* boolean"),
        ("pgd", {"epsilonn": 0.1}, "pgd.epsilonn is no option of pgd; did you mean epsilon"),
        ("fgsm", {"label": "x"}, "fgsm.label: .*'predicted' or 'true'; got \"x\""),
        ("least_likely", {"steps": 0}, r"least_likely\.steps"),
        ("least_likely", {"steps": "all"}, r"least_likely\.steps"),
        ("targeted_l2", {"steps": 0}, "targeted_l2.steps: .* greater than or equal to 1"),
        ("targeted_l2", {"rounds": 0}, "targeted_l2.rounds: .* greater than or equal to 1"),
        ("targeted_l2", {"target": "third"}, r"targeted_l2\.target"),
        ("targeted_l2", {"target": -1}, r"targeted_l2\.target"),
        ("targeted_l2", {"target": 1.0}, r"targeted_l2\.target"),
        ("targeted_l2", {"confidence": 1.0}, "targeted_l2.confidence: .* less than 1"),
        ("targeted_l2", {"confidence": 0}, "targeted_l2.confidence: .* greater than 0"),
        ("targeted_l2", {"weight": -1}, "targeted_l2.weight: .* greater than 0"),
        ("targeted_l2", {"target": 5}, "target = 5, and the model has the labels 0 to 4"),
        ("targeted_l2", {"rate": 1.5}, 'targeted_l2.rate: .* write "1.5/255"'),
    ],
)
def test_options_that_make_no_sense(name, options, message, net, images, labels):
    with pytest.raises(SpecError, match=message):
        find("attack", name)(net, images, labels, seed(), **options)
