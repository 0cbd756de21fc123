"""Group DRO, JTT, DFR, LfF and balanced groups: their losses by hand, the rows they see, and what a stage may say."""

from __future__ import annotations

import copy
import dataclasses
import functools
import math

import numpy as np
import pytest
import torch
from _shared import at_home, batch, recipe_card, small
from torch import nn

import biaskit as bk
import biaskit._train as loop
import biaskit.recipes
from biaskit import runs, testing
from biaskit.data import Dataset
from biaskit.errors import BiaskitError, DataError, SpecError, UnsupportedModel
from biaskit.evaluation import evaluate
from biaskit.losses import generalized_cross_entropy, group_dro, lff
from biaskit.recipes import bind_arms, code_fingerprint
from biaskit.registry import bind, find
from biaskit.rng import derive
from biaskit.rows import epoch_order, held_out, stage_rows
from biaskit.subject import Subject
from biaskit.taggers import misclassified

CPU = loop.Machine("cpu", "float32", 1, True)
RECIPES = ("group-balanced", "groupdro", "jtt", "dfr", "lff")


@pytest.fixture(autouse=True)
def _home(tmp_path):
    with at_home(tmp_path / "home"):
        yield


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def fitted(card, seed=0, data=None, where=CPU, **options):
    data = data or small()
    model = loop.make_model(card["model"], len(data.classes), data.images.shape, seed)
    return model, loop.fit(model, data, card, seed=seed, where=where, **options)


def bound(name, *changes, data=None):
    return bind_arms([name], data or small(), changes)[0].card


@pytest.fixture
def watched(monkeypatch):
    """The rows of every step, in the order in which they come: a list per stage."""
    seen = []
    stage_of, step = loop._Stage.of.__func__, loop._Stage.step

    def of(cls, *args):
        seen.append([])
        return stage_of(cls, *args)

    def watch(self, index, *args):
        seen[-1].extend(index.tolist())
        return step(self, index, *args)

    monkeypatch.setattr(loop._Stage, "of", classmethod(of))
    monkeypatch.setattr(loop._Stage, "step", watch)
    return seen


# Losses against a transcription


def groups_of(sizes):
    """A data set with these training rows per group: label 0 on red and blue, then label 1 on red and blue."""
    label = np.repeat([0, 0, 1, 1], sizes)
    color = np.repeat(["red", "blue", "red", "blue"], sizes)
    data = Dataset.from_arrays(np.zeros((len(label) + 4, 2, 2), np.uint8), [*label, 0, 0, 1, 1], {
        "color": ["b" if one == "blue" else "r" for one in color] + ["b", "r", "b", "r"]
    }, split=["train"] * len(label) + ["test"] * 4)  # fmt: skip
    # Categories are sorted: b before r.
    return data


def linear():
    model = nn.Sequential(nn.Flatten(), nn.Linear(3, 2, bias=False)).double()
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([[0.3, -0.8, 0.5], [-0.6, 0.9, 0.2]]))
    return model


def drawn(count, labels, groups, seed=0, index=None):
    images = torch.rand(count, 3, 1, 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    one = batch(images, None, labels)
    index = torch.arange(count) if index is None else torch.as_tensor(index)
    return dataclasses.replace(one, groups=torch.as_tensor(groups), index=index)


def entropy(model, image, label):
    f = [sum(w * v for w, v in zip(row, image, strict=True)) for row in model[1].weight.tolist()]
    return math.log(sum(math.exp(v) for v in f)) - f[label]


def test_weights_of_group_dro_by_hand():
    """Three groups with rows and one without; losses log 2 and log 4 with step 1 double one weight, times four one."""
    data = groups_of([5, 1, 3, 0])
    loss = group_dro(data, step=1.0)
    third = 1 / 3
    assert loss.weights.tolist() == pytest.approx([third, third, 0.0, third])  # blue and red of 0, blue and red of 1
    answers = torch.tensor([[0.0, 0.0], [math.log(3), 0.0]])  # p(label) = 1/2, and 1/4 for label 1

    def model(images):
        return answers

    one = dataclasses.replace(batch(torch.zeros(2, 3, 1, 1), None, [0, 1]), groups=torch.tensor([0, 3]))
    # 2/3, 1/3 and 4/3 of 7/3.
    assert float(loss(model, one)) == pytest.approx((2 * math.log(2) + 4 * math.log(4)) / 7)
    assert loss.weights.tolist() == pytest.approx([2 / 7, 1 / 7, 0.0, 4 / 7])
    # Again: 4, 1 and 16 of 21; the group without training rows stays without weight.
    assert float(loss(model, one)) == pytest.approx((4 * math.log(2) + 16 * math.log(4)) / 21)
    assert loss.weights.tolist() == pytest.approx([4 / 21, 1 / 21, 0.0, 16 / 21])


@pytest.mark.parametrize(("step", "adjustment"), [(0.01, 0.0), (0.5, 0.0), (0.5, 2.0), (0.0, 1.0)])
def test_group_dro_is_its_formula(step, adjustment):
    sizes = [1, 4, 16, 64]  # in the order of the groups: blue before red
    data = groups_of([sizes[1], sizes[0], sizes[3], sizes[2]])
    assert np.bincount(data.group_ids[data.rows("train")]).tolist() == sizes
    loss, model = group_dro(data, step=step, adjustment=adjustment).double(), linear()
    q = [0.25] * 4
    for seed, groups in enumerate([[0, 1, 1, 3, 3, 3], [1, 1, 1, 1, 0, 0], [2, 2, 3, 3, 0, 1]]):
        one = drawn(6, [group // 2 for group in groups], groups, seed)
        images = one.images.flatten(1).tolist()
        means = {
            g: sum(entropy(model, images[i], g // 2) for i in range(6) if groups[i] == g) / groups.count(g)
            for g in set(groups)
        }
        q = [
            q[g] * math.exp(step * (means[g] + adjustment / math.sqrt(sizes[g])) if g in means else 0) for g in range(4)
        ]
        q = [one_q / sum(q) for one_q in q]
        assert loss(model, one).item() == pytest.approx(sum(q[g] * means[g] for g in means), abs=1e-12)
        assert loss.weights.tolist() == pytest.approx(q, abs=1e-12)


def test_the_gradient_of_group_dro_is_that_of_the_weighted_groups():
    data, model = groups_of([3, 3, 3, 3]), linear()
    loss = group_dro(data, step=2.0).double()
    one = drawn(4, [0, 0, 1, 1], [0, 1, 2, 3])
    (found,) = torch.autograd.grad(loss(model, one), model[1].weight)
    each = nn.functional.cross_entropy(model(one.images), one.labels, reduction="none")
    (expected,) = torch.autograd.grad((loss.weights * each).sum(), model[1].weight)
    torch.testing.assert_close(found, expected)


def test_group_dro_saves_its_weights_and_nothing_else():
    assert list(group_dro(groups_of([1, 1, 1, 1])).state_dict()) == ["weights"]
    assert not list(group_dro(groups_of([1, 1, 1, 1])).parameters())


@pytest.mark.parametrize("q", [0.2, 0.7, 1.0])
def test_generalized_cross_entropy_is_its_formula(q):
    model, one = linear(), drawn(5, [0, 1, 1, 0, 1], [0] * 5)
    images = one.images.flatten(1).tolist()
    likely = [math.exp(-entropy(model, images[i], label)) for i, label in enumerate([0, 1, 1, 0, 1])]
    loss = generalized_cross_entropy(None, q=q)(model, one)
    assert loss.item() == pytest.approx(sum((1 - p**q) / q for p in likely) / 5, abs=1e-12)
    # The gradient is that of the cross-entropy, every row times p^q.
    (found,) = torch.autograd.grad(loss, model[1].weight)
    each = nn.functional.cross_entropy(model(one.images), one.labels, reduction="none")
    (expected,) = torch.autograd.grad((torch.tensor(likely).double() ** q * each).mean(), model[1].weight)
    torch.testing.assert_close(found, expected)


def test_the_ends_of_generalized_cross_entropy():
    model, one = linear(), drawn(5, [0, 1, 1, 0, 1], [0] * 5)
    plain = nn.functional.cross_entropy(model(one.images), one.labels)
    assert generalized_cross_entropy(None, q=1e-9)(model, one).item() == pytest.approx(plain.item(), abs=1e-7)
    # Sure of the wrong label: 1 / q and not infinite.
    wrong = generalized_cross_entropy(None, q=0.5)(lambda x: torch.tensor([[0.0, 1e4]]), drawn(1, [0], [0]))
    assert wrong.item() == 2.0


def biased_and_not(data, **options):
    """The loss with a network of its own that is not the one it began with."""
    model = linear()
    loss = lff(data, **options).double()
    loss.attach(model)
    with torch.no_grad():
        loss.biased[1].weight.mul_(torch.tensor([[2.0], [-1.0]]))
    return model, loss


@pytest.mark.parametrize(("q", "decay"), [(0.7, 0.7), (1.0, 0.0), (0.3, 0.9)])
def test_lff_is_its_formula(q, decay):
    data = groups_of([3, 2, 1, 4])
    labels = data.labels.tolist()
    model, loss = biased_and_not(data, q=q, decay=decay)
    kept = [{}, {}]  # row -> running mean, of the biased network and of the other
    for seed, rows in enumerate([[0, 6, 2, 9], [2, 0, 7, 8], [9, 1, 0, 5]]):
        one = drawn(4, [labels[row] for row in rows], [0] * 4, seed, rows)
        images = one.images.flatten(1).tolist()
        losses = [[entropy(net, images[i], labels[row]) for i, row in enumerate(rows)] for net in (loss.biased, model)]
        for mean, found in zip(kept, losses, strict=True):
            for row, value in zip(rows, found, strict=True):
                mean[row] = decay * mean[row] + (1 - decay) * value if row in mean else value
        expected = 0.0
        for i, row in enumerate(rows):
            b, d = (mean[row] / max(mean[k] for k in mean if labels[k] == labels[row]) for mean in kept)
            expected += (1 - math.exp(-losses[0][i]) ** q) / q + b / (b + d) * losses[1][i]
        assert loss(model, one).item() == pytest.approx(expected / 4, abs=1e-12)


def test_each_network_of_lff_has_its_own_gradient():
    data = groups_of([3, 2, 1, 4])
    model, loss = biased_and_not(data)
    one = drawn(4, data.labels[:4], [0] * 4)
    biased = loss.biased[1].weight
    found = torch.autograd.grad(loss(model, one), [biased, model[1].weight])
    (first,) = torch.autograd.grad(generalized_cross_entropy(None)(loss.biased, one), biased)
    losses = [
        nn.functional.cross_entropy(net(one.images), one.labels, reduction="none") for net in (loss.biased, model)
    ]
    b, d = (part.detach() / part.max().item() for part in losses)  # all of one label, seen for the first time
    (second,) = torch.autograd.grad((b / (b + d) * losses[1]).mean(), model[1].weight)
    assert set(data.labels[:4]) == {0}
    torch.testing.assert_close(found[0], first)
    torch.testing.assert_close(found[1], second)


def test_lff_owns_a_network_that_is_trained_and_saved_with_it():
    data, model = groups_of([3, 2, 1, 4]), linear()
    loss = lff(data)
    assert not list(loss.parameters())
    loss.attach(model)
    assert [name for name, _ in loss.named_parameters()] == ["biased.1.weight"]
    assert loss.biased[1].weight is not model[1].weight
    assert torch.equal(loss.biased[1].weight, model[1].weight)
    followed = [f"{one}.{name}" for one in ("biased_losses", "losses") for name in ("mean", "seen")]
    assert set(loss.state_dict()) == {"biased.1.weight", *followed}


def test_lff_gives_weight_to_what_the_biased_network_fails_at():
    """A biased network that reads the background: rows against it weigh more, once the other knows some of each."""
    data = testing.tiny()
    loss = lff(data)
    loss.attach(testing.reads("background"))
    unsure = testing.constant(0)
    train = torch.from_numpy(data.rows("train"))
    images = data.images.gather(train).float() / 255
    labels = torch.from_numpy(data.labels)[train]
    one = dataclasses.replace(batch(images, None, labels), index=train)
    weights = []
    keep = loss.biased_losses.forward
    loss.biased_losses.forward = lambda *args: weights.append(keep(*args)) or weights[-1]
    loss(unsure, one)
    against = labels.numpy() != data.table["color"].cat.codes.to_numpy()[train]
    assert 0 < against.sum() < len(against)
    assert float(weights[0][against].min()) > 100 * float(weights[0][~against].max())


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        (group_dro, {"step": -1}, "step: must be greater than or equal to 0"),
        (group_dro, {"adjustment": -1}, "adjustment: must be greater than or equal to 0"),
        (generalized_cross_entropy, {"q": 0}, "q: must be greater than 0"),
        (lff, {"q": 1.1}, "q: must be less than or equal to 1"),
        (lff, {"decay": 1}, "decay: must be less than 1"),
    ],
)
def test_options_outside_their_range(function, options, message):
    with pytest.raises(SpecError) as error:
        bind(function, options, "card: loss")
    assert message in str(error.value)


@pytest.mark.parametrize("name", ["group_dro", "lff", "generalized_cross_entropy"])
def test_losses_in_bf16_are_finite_and_train(name, tmp_path):
    card = bound(recipe_card(tmp_path, "mine", f'{{ name = "{name}" }}'))
    start = loop.make_model(card["model"], 10, small().images.shape, 0)
    before = {key: one.clone() for key, one in start.named_parameters()}
    history = loop.fit(start, small(), card, seed=0, where=dataclasses.replace(CPU, precision="bf16"))
    assert np.isfinite([row["loss"] for row in history]).all()
    assert all(not torch.equal(before[key], one) for key, one in start.named_parameters())


# Taggers


def test_misclassified_is_known_for_known_models():
    data = testing.tiny()
    codes = data.table["color"].cat.codes.to_numpy()
    wrong = {"label": np.zeros(len(data), bool), "background": data.labels != codes}
    for what, expected in wrong.items():
        found = misclassified(Subject(testing.reads(what), data))
        assert found.dtype == bool
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(misclassified(Subject(testing.constant(1), data)), data.labels == 0)


def test_misclassified_needs_a_model_and_numbers():
    data = testing.tiny()
    stored = Subject(None, data, logits=torch.zeros(len(data) - len(data.rows("train")), 2))
    with pytest.raises(UnsupportedModel, match="needs the model itself"):
        misclassified(stored)
    broken = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    nn.init.constant_(broken[1].weight, math.nan)
    with pytest.raises(UnsupportedModel, match="NaN or infinite logits for 48 of 48 images"):
        misclassified(Subject(broken, data))


# Rows


def test_the_holdout_takes_its_share_of_every_group():
    sizes = [1, 2, 3, 100]
    data = groups_of(sizes)
    for share, expected in ((0.1, [0, 1, 1, 10]), (0.5, [0, 1, 2, 50]), (0.9, [0, 1, 2, 90]), (0.001, [0, 1, 1, 1])):
        held = held_out(data, share, 0)
        assert set(held) <= set(data.rows("train"))
        assert (np.diff(held) > 0).all()
        counts = np.bincount(data.group_ids[held], minlength=4)
        assert counts[[1, 0, 3, 2]].tolist() == expected  # blue before red


def test_the_holdout_is_drawn_by_the_seed_alone():
    data = small()
    held = held_out(data, 0.2, 3)
    np.testing.assert_array_equal(held, held_out(data, 0.2, 3))
    assert set(held) != set(held_out(data, 0.2, 4))
    assert set(held_out(data, 0.1, 3)) <= set(held)
    assert 0.19 < len(held) / len(data.rows("train")) < 0.22
    with pytest.raises(DataError, match="every group has one training row, so none can be held out"):
        held_out(groups_of([1, 1, 1, 1]), 0.5, 0)


def test_the_rows_of_a_stage():
    data = groups_of([2, 2, 2, 2])
    train = data.rows("train")
    held = train[[1, 4]]
    none = np.empty(0, np.int64)
    assert stage_rows(data, {}, none, {}).tolist() == train.tolist()
    assert stage_rows(data, {}, held, {}).tolist() == [row for row in train if row not in held]
    assert stage_rows(data, {"rows": "train"}, held, {}).tolist() == [row for row in train if row not in held]
    assert stage_rows(data, {"rows": "holdout"}, held, {}).tolist() == held.tolist()

    marked, other = torch.zeros(2, len(data), dtype=torch.bool)
    marked[[0, 3]], other[[3, 5]] = True, True
    marked[8:] = True  # test rows, which no stage sees
    found = stage_rows(data, {"upweight": {"a": 3}}, none, {"a": marked})
    assert np.bincount(found).tolist() == [3, 1, 1, 3, 1, 1, 1, 1]
    found = stage_rows(data, {"upweight": {"a": 3, "b": 2}}, none, {"a": marked, "b": other})
    assert np.bincount(found).tolist() == [3, 1, 1, 6, 1, 2, 1, 1]
    found = stage_rows(data, {"upweight": {"a": 3}}, train[[3]], {"a": marked})
    assert np.bincount(found, minlength=8).tolist() == [3, 1, 1, 0, 1, 1, 1, 1]


@pytest.mark.parametrize(("all_", "words"), [(False, "marks none of the 8 rows .* fewer"), (True, "marks all .* more")])
def test_a_tag_that_tells_nothing_apart(all_, words):
    data = groups_of([2, 2, 2, 2])
    marked = torch.ones(len(data), dtype=torch.bool)
    marked[:8] = all_
    with pytest.raises(BiaskitError, match=words) as error:
        stage_rows(data, {"upweight": {"misclassified": 20}}, np.empty(0, np.int64), {"misclassified": marked})
    assert "--set stage.0.epochs=" in str(error.value)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_an_epoch_has_every_row_once():
    rows = torch.tensor([5, 7, 7, 9, 30])
    order = epoch_order(rows, None, generator())
    assert order.sort().values.tolist() == rows.tolist()
    assert torch.equal(order, rows[torch.randperm(5, generator=generator())])


def test_an_epoch_of_groups_draws_each_group_and_each_of_its_rows_alike():
    sizes = {7: 2, 3: 50, 11: 948}
    rows = torch.arange(1000).flip(0) + 4
    groups = torch.cat([torch.full((n,), group) for group, n in sizes.items()])[
        torch.randperm(1000, generator=generator(1))
    ]
    of_row = dict(zip(rows.tolist(), groups.tolist(), strict=True))
    seen = torch.stack([epoch_order(rows, groups, generator(seed)) for seed in range(60)]).flatten().tolist()
    counts = dict.fromkeys(sizes, 0)
    for row in seen:
        counts[of_row[row]] += 1
    # 60,000 draws: 20,000 of each, with a standard deviation of 115.
    assert all(abs(count - 20_000) < 600 for count in counts.values()), counts
    inside = np.bincount([row for row in seen if of_row[row] == 3], minlength=1004)
    inside = inside[inside > 0]
    # 50 rows with 400 draws each, give or take 20.
    assert len(inside) == 50
    assert abs(inside - inside.mean()).max() < 100


# The loop


def test_without_the_new_keys_a_card_is_what_it_was(tmp_path):
    plain = bound("plain")
    assert set(plain["stage"][0]) == {"loss", "epochs", "batch_size", "optimizer", "schedule"}
    assert "holdout" not in plain
    said = 'rows = "train"\nsampling = "rows"\nupweight = {}\ntrainable = "all"\nfresh = false\nschedule = "cosine"'
    assert bound(recipe_card(tmp_path, "mine", more=said))["stage"] == plain["stage"]


def test_the_rows_that_each_stage_sees(watched):
    data = small()
    card = bound("dfr", "stage.0.epochs=2", "stage.1.epochs=3")
    _, history = fitted(card, seed=5)
    held = held_out(data, 0.2, 5)
    train = np.setdiff1d(data.rows("train"), held)
    first, second = watched
    assert np.array_equal(np.sort(first), np.repeat(train, 2))
    assert set(second) <= set(held.tolist())
    assert [row["rows"] for row in history] == [len(train)] * 2 + [len(held)] * 3
    counts = np.bincount(data.group_ids[second], minlength=20)
    there = np.unique(data.group_ids[held])
    assert set(np.flatnonzero(counts)) <= set(there)
    assert abs(counts[there] - len(second) / len(there)).max() < 5 * np.sqrt(len(second) / len(there))


def test_every_arm_of_a_seed_has_the_same_holdout(watched):
    fitted(bound("plain", "holdout=0.2"), seed=5)
    fitted(bound("dfr", "stage.1.epochs=1"), seed=5)
    fitted(bound("plain", "holdout=0.2"), seed=6)
    plain, dfr, _, other = (set(one) for one in watched)
    assert plain == dfr != other


def test_the_groups_of_group_balanced(watched):
    fitted(bound("group-balanced", "stage.0.epochs=4"))
    (seen,) = watched
    counts = np.bincount(small().group_ids[seen], minlength=20)
    assert len(seen) == 4 * len(small().rows("train"))
    assert abs(counts - len(seen) / 20).max() < 5 * np.sqrt(len(seen) / 20)


def test_jtt_repeats_what_the_first_network_gets_wrong(watched):
    data = small()
    changes = ("stage.0.epochs=2", "stage.1.epochs=1", "stage.1.upweight.misclassified=5")
    card = bound("jtt", *changes)
    _, history = fitted(card, seed=1)
    times = np.bincount(watched[1], minlength=len(data))
    first = fitted({**card, "stage": card["stage"][:1]}, seed=1)[0]
    train = data.rows("train")
    wrong = evaluate(first, data, train, "cpu").argmax(1).numpy() != data.labels[train]
    assert 0 < wrong.sum() < len(train)
    assert times[train].tolist() == np.where(wrong, 5, 1).tolist()
    assert times.sum() == history[-1]["rows"] == len(train) + 4 * wrong.sum()


def unchanged(monkeypatch):
    """Let no step change anything."""
    monkeypatch.setattr(loop._Stage, "step", lambda self, index, *_: torch.zeros(()))


def test_a_fresh_network_is_another_one_of_the_same_seed(monkeypatch):
    unchanged(monkeypatch)
    data, card = small(), bound("jtt")
    card = {**card, "stage": [card["stage"][0], {k: v for k, v in card["stage"][1].items() if k != "upweight"}]}
    model = fitted(card, seed=4)[0]
    fresh = loop.make_model(card["model"], 10, data.images.shape, derive(4, "fresh", 1))
    assert equal(model.state_dict(), fresh.state_dict())
    assert not equal(model.state_dict(), loop.make_model(card["model"], 10, data.images.shape, 4).state_dict())
    again = {**card, "stage": [card["stage"][0], {k: v for k, v in card["stage"][1].items() if k != "fresh"}]}
    again["stage"][1].pop("upweight", None)
    assert equal(
        fitted(again, seed=4)[0].state_dict(), loop.make_model(card["model"], 10, data.images.shape, 4).state_dict()
    )


def test_a_fresh_head_is_that_of_a_fresh_network(monkeypatch):
    unchanged(monkeypatch)
    data, card = small(), bound("dfr")
    model = fitted(card, seed=4)[0]
    begun = loop.make_model(card["model"], 10, data.images.shape, 4).state_dict()
    fresh = loop.make_model(card["model"], 10, data.images.shape, derive(4, "fresh", 1)).state_dict()
    for name, one in model.state_dict().items():
        assert torch.equal(one, (fresh if name.startswith("net.fc.") else begun)[name]), name


def test_a_stage_of_the_head_holds_everything_else():
    card = bound("dfr", "stage.1.epochs=2")
    whole = fitted(card)[0].state_dict()
    features = fitted({**card, "stage": card["stage"][:1]})[0].state_dict()
    same = {name for name in whole if torch.equal(whole[name], features[name])}
    assert set(whole) - same == {"net.fc.weight", "net.fc.bias"}  # the statistics of batches stay as well


def test_the_modes_and_flags_of_a_stage_of_the_head(monkeypatch):
    card = bound("dfr", "stage.1.epochs=1")
    seen, step = [], loop._Stage.step

    def watch(self, *args):
        training = {
            name for name, module in self.model.named_modules() if module.training and not list(module.children())
        }
        learning = {name for name, one in self.model.named_parameters() if one.requires_grad}
        trained = sum(len(group["params"]) for group in self.optimizer.param_groups)
        seen.append((training, learning, trained))
        return step(self, *args)

    monkeypatch.setattr(loop._Stage, "step", watch)
    model = fitted(card)[0]
    named = {name for name, _ in model.named_parameters()}
    assert seen[0][1] == named
    assert len(seen[0][0]) > 3
    assert seen[-1] == ({"net.fc"}, {"net.fc.weight", "net.fc.bias"}, 2)
    assert all(one.requires_grad for one in model.parameters())
    assert not model.training


def test_what_its_owner_has_frozen_stays_frozen():
    card = bound("plain")
    model = loop.make_model(card["model"], 10, small().images.shape, 0)
    model.net.conv1.weight.requires_grad_(False)
    before = copy.deepcopy(model.state_dict())
    loop.fit(model, small(), card, seed=0, where=CPU)
    assert not model.net.conv1.weight.requires_grad
    assert torch.equal(model.net.conv1.weight, before["net.conv1.weight"])
    assert not torch.equal(model.net.fc.weight, before["net.fc.weight"])


def test_both_networks_of_lff_learn(monkeypatch):
    found = []
    load = loop._Stage.of.__func__

    def of(cls, *args):
        found.append(load(cls, *args))
        return found[-1]

    monkeypatch.setattr(loop._Stage, "of", classmethod(of))
    card = bound("lff", "stage.0.epochs=2")
    model = fitted(card)[0]
    begun = loop.make_model(card["model"], 10, small().images.shape, 0).state_dict()
    biased = found[0].loss.biased.state_dict()
    assert all(not torch.equal(biased[name], begun[name]) for name, _ in model.named_parameters())
    assert not equal(biased, model.state_dict())
    assert bool(found[0].loss.losses.seen[small().rows("train")].all())
    assert not bool(found[0].loss.losses.seen[small().rows("test")].any())


@functools.cache
def whole_run(name):
    """A short training by a recipe, its card and its history."""
    changes = {"jtt": ["stage.1.epochs=2", "stage.1.upweight.misclassified=2"], "dfr": ["stage.1.epochs=4"]}
    card = bound(name, "stage.0.epochs=2", *changes.get(name, ()))
    return card, *fitted(card)


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_an_interrupted_run_ends_as_if_it_had_not_been(tmp_path, monkeypatch, name, share):
    card, whole, history = whole_run(name)
    last = int(share * sum(-(-row["rows"] // 64) for row in history))
    step, count, resume = loop._Stage.step, [0], tmp_path / "state.resume"

    def interrupt(*args):
        count[0] += 1
        if count[0] == last:
            raise KeyboardInterrupt
        return step(*args)

    with monkeypatch.context() as patch:
        patch.setattr(loop._Stage, "step", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fitted(card, resume=resume)
    resumed, again = fitted(card, resume=resume)
    assert equal(whole.state_dict(), resumed.state_dict())
    keys = ("stage", "epoch", "rows", "loss")
    assert [[row[key] for key in keys] for row in again] == [[row[key] for key in keys] for row in history]


def test_a_tag_outlives_an_interruption_right_after_its_stage(tmp_path, monkeypatch):
    card = bound("jtt", "stage.0.epochs=1", "stage.1.epochs=1", "stage.1.upweight.misclassified=2")
    whole = fitted(card)[0]
    save, resume = loop._save_state, tmp_path / "state.resume"

    def interrupt(path, state):
        save(path, state)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_save_state", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fitted(card, resume=resume)
    assert equal(whole.state_dict(), fitted(card, resume=resume)[0].state_dict())


# What cards may say


def test_what_determines_a_run(tmp_path, monkeypatch):
    def key(card_or_name, *changes):
        return runs.run_fingerprint(bind_arms([card_or_name], small(), changes)[0], small(), 0, CPU)

    keys = [key("plain"), *map(key, RECIPES)]
    keys += [key("plain", change) for change in (
        "holdout=0.1", "holdout=0.2", 'stage.0.trainable="head"', "stage.0.fresh=true",
        'stage.0.tag={name="misclassified"}',
    )]  # fmt: skip
    keys += [key("dfr", "holdout=0.1"), key("jtt", "stage.1.upweight.misclassified=21")]
    assert len(set(keys)) == len(keys)
    assert key("plain", 'stage.0.sampling="rows"') == keys[0]
    assert key("plain", 'stage.0.sampling="groups"') == key("group-balanced")

    card, getsource = bound("jtt"), biaskit.recipes.inspect.getsource
    codes = {code_fingerprint(card)}
    for name in ("taggers._misclassified", "rows", "evaluation"):
        with monkeypatch.context() as patch:
            patch.setattr(
                biaskit.recipes.inspect,
                "getsource",
                lambda one, name=name: getsource(one) + ("#" if one.__name__ == f"biaskit.{name}" else ""),
            )
            codes.add(code_fingerprint(card))
    assert len(codes) == 4


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ('rows = "holdout"', r'^mine\.toml: stage\.0\.rows is "holdout", but nothing is held out; add holdout = 0\.1$'),
        ("upweight = { misclassified = 2 }", r"stage\.0\.upweight\.misclassified: no earlier stage is tagged with it"),
        (
            'tag = { name = "misclassified" }\nupweight = { misclassified = 2 }',
            r"\(tags: none\); add to one of them: tag = ",
        ),
        (
            'tag = { name = "misclassified" }\n[[stage]]\nloss = { name = "cross_entropy" }\nupweight = { wrong = 2 }',
            r'upweight\.wrong: .* \(tags: misclassified\); add .*: tag = \{ name = "wrong" \}$',
        ),
        ("upweight = { misclassified = 0 }", r"mine\.toml: stage\.0\.upweight\.misclassified: .*greater than 0"),
        ('sampling = "classes"', r"mine\.toml: stage\.0\.sampling: .*'rows' or 'groups'"),
        ('trainable = "body"', r"mine\.toml: stage\.0\.trainable: .*'all' or 'head'"),
        ('tag = { name = "misclasified" }', r"no tagger 'misclasified'; nearest: misclassified"),
        ('tag = { name = "misclassified", q = 1 }', r"stage\.0\.tag\.q is no option of misclassified"),
    ],
)
def test_a_card_that_does_not_fit_together(tmp_path, more, message):
    with pytest.raises(BiaskitError, match=message):
        bound(recipe_card(tmp_path, "mine", more=more))


@pytest.mark.parametrize("share", [0, 1, -0.1, "0.5"])
def test_a_holdout_outside_its_range(share):
    with pytest.raises(SpecError, match=r"^dfr\.toml: holdout: "):
        bound("dfr", f"holdout={share!r}")


def test_a_tag_may_be_written_with_dashes(tmp_path):
    second = '[[stage]]\nloss = { name = "cross_entropy" }\nupweight = { much_too_hard = 2 }'
    with pytest.raises(BiaskitError, match="no tagger 'much-too-hard'"):  # and not that no stage tags with it
        bound(recipe_card(tmp_path, "mine", more=f'tag = {{ name = "much-too-hard" }}\n{second}'))


def test_a_tagger_that_sorts_and_does_not_mark(monkeypatch):
    def sorts(subject):
        return misclassified(subject).astype(int)

    monkeypatch.setattr(loop, "find", lambda kind, name: sorts if kind == "tagger" else find(kind, name))
    with pytest.raises(SpecError, match=r"the tagger misclassified does not mark rows, it sorts them \(int64\)"):
        fitted(bound("jtt", "stage.0.epochs=1"))


def test_a_network_without_a_head():
    class Sums(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Conv2d(3, 10, 1)

        def forward(self, images):
            return self.body(images).sum((2, 3))

    model = Sums()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(UnsupportedModel, match="no linear layer gives the 10 logits"):
        loop.fit(model, small(), bound("dfr"), seed=0, where=CPU)
    assert equal(model.state_dict(), before)  # said before the first stage and not after it


# Recipes


@pytest.mark.parametrize("name", RECIPES)
def test_a_shipped_recipe_trains(name):
    short = [f"stage.{number}.epochs=1" for number in range(len(bound(name)["stage"]))]
    run = bk.train(name, small(), set=short)
    assert np.isfinite(run.history["loss"]).all()
    assert np.isfinite(np.stack(run.predictions["logits"].to_list())).all()
    assert run.history["stage"].tolist() == list(range(len(short)))
    assert not equal(run.model.state_dict(), bk.train("plain", small()).model.state_dict())
