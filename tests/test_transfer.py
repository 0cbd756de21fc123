"""Transfer to other data: a new head on frozen features, fine-tuning, and what is left of a shortcut."""

import shutil
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import biaskit as bk
from biaskit import _audit, testing
from biaskit._train import Machine, fit
from biaskit.analyzers import _targets, _transfer, transfer
from biaskit.data import Dataset
from biaskit.disk import save_dataset
from biaskit.errors import DataError, SpecError, UnknownName, UnsupportedModel
from biaskit.evaluation import evaluate
from biaskit.models import resnet_small
from biaskit.rng import derive, scoped, torch_generator
from biaskit.stats import wilson
from biaskit.subject import Subject

PROBE = {"modes": ("probe",), "untrained": False}


class Reader(nn.Module):
    """Features that a test chooses, then a linear head."""

    def __init__(self, read, width, classes=2):
        super().__init__()
        self.read = read
        with scoped(0):
            self.head = nn.Linear(width, classes)

    def forward(self, images):
        return self.head(self.read(images))


def square(images):
    """Where the white square of `testing.tiny` stands, as one number: green is in the square alone."""
    return (images[:, 1, :, 4:].mean(dim=(1, 2)) - images[:, 1, :, :4].mean(dim=(1, 2)))[:, None]


def background(images):
    return (images[:, 2] - images[:, 0]).mean(dim=(1, 2))[:, None]


def nothing(images):
    return torch.ones(len(images), 3)


class Net(nn.Module):
    """A network that can be trained, with batch normalization."""

    def __init__(self, classes=2):
        super().__init__()
        with scoped(1):
            self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
            self.head = nn.Linear(4 * 36, classes)

    def forward(self, images):
        return self.head(self.body(images))


@pytest.fixture
def stored(tmp_path):
    """Write a data set; returns the name to give to `transfer`."""

    def write(data, name="target"):
        folder = tmp_path / name
        if not folder.exists():
            save_dataset(data, folder)
        return str(folder)

    return write


def tiny(**options):
    return testing.tiny(per_group=8, **options)


# ----------------------------------------------------------------------------------------------------- the probe


@pytest.mark.parametrize(("read", "flips"), [(square, 0.0), (background, 1.0)])
def test_a_probe_finds_what_the_features_hold(read, flips, stored):
    # In train most images on red are left and most on blue are right, in test about as many as not. A feature that
    # holds the background alone answers by it: right where the two agree, and flipped by every swap.
    data = tiny()
    test = data.rows("test")
    agree = data.labels[test] == data.table["color"].cat.codes.to_numpy()[test]
    accuracy = 1.0 if read is square else agree.mean()
    assert 0.3 < agree.mean() < 0.7
    train = data.rows("train")
    side, color = data.labels[train], data.table["color"].cat.codes.to_numpy()[train]
    kept = np.concatenate([train[side == color], train[side != color][:4], data.rows("test"), data.rows("twin")])
    skewed = subset(data, kept)
    found = transfer(Subject(Reader(read, 1), data), to=(stored(skewed),), **PROBE)
    (row,) = found.table.to_dict("records")
    assert (row["accuracy"], row["flip_rate"]) == (accuracy, flips)
    assert (row["n"], row["n_flips"]) == (32, 32)
    assert [row["low"], row["high"]] == pytest.approx(wilson(32 * accuracy, 32))
    assert [row["flip_rate_low"], row["flip_rate_high"]] == pytest.approx(wilson(32 * flips, 32))
    assert np.isnan(row["untrained"])
    assert np.isnan(row["flip_rate_untrained"])


def subset(data, rows):
    """Some rows of a data set, pairs kept."""
    place = np.full(len(data) + 1, -1)
    place[rows] = np.arange(len(rows))
    table = data.table.iloc[rows].reset_index(drop=True)
    table["pair"] = place[table["pair"]]
    pixels = data.images.gather(torch.from_numpy(rows)).permute(0, 2, 3, 1).contiguous()
    return data.replace(images=_targets.ArrayImages(pixels), table=table, masks=None)


def test_features_that_hold_nothing_give_the_commonest_label(stored):
    # 12 right and 8 left in train, 10 right and 20 left in test: the answer is right, and so a third of the test set.
    labels = ["r"] * 12 + ["l"] * 8 + ["r"] * 10 + ["l"] * 20
    images = np.random.default_rng(0).integers(0, 256, (50, 8, 8, 3)).astype(np.uint8)
    name = stored(Dataset.from_arrays(images, labels, split=["train"] * 20 + ["test"] * 30))
    found = transfer(Subject(Reader(nothing, 3), tiny()), to=(name,), **PROBE)
    (row,) = found.table.to_dict("records")
    assert (row["n"], row["accuracy"]) == (30, pytest.approx(1 / 3))
    # No twins: no flips, and no number for them.
    assert row["n_flips"] == 0
    assert np.isnan([row["flip_rate"], row["flip_rate_low"], row["flip_rate_high"]]).all()
    assert found.samples["flipped"].isna().all()
    assert "the commonest label is 66.7% of test; no twins, so no flips" in found.notes[1]


def test_the_probe_is_logistic_regression_on_standardized_features(stored):
    # Features of very different scales, written in the pixels, and overlapping labels; against the penalized
    # likelihood, minimized by Newton steps.
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 300)
    pixels = np.zeros((300, 8, 8, 3), np.uint8)
    pixels[:, 0, 0] = rng.integers(0, 256, (300, 3))
    pixels[:, 0, 0, 0] = np.clip(rng.normal(100 + 40 * labels, 40), 0, 255)
    name = stored(Dataset.from_arrays(pixels, labels, split=["train"] * 60 + ["test"] * 240))

    def scaled(images):
        return images[:, :, 0, 0] * torch.tensor([0.001, 1.0, 1000.0])

    found = transfer(Subject(Reader(scaled, 3), tiny()), to=(name,), **PROBE)

    x = pixels[:, 0, 0].astype(float)
    x = (x - x[:60].mean(axis=0)) / x[:60].std(axis=0)
    x = np.concatenate([x, np.ones((300, 1))], axis=1)
    w, penalty = np.zeros(4), np.diag([1.0, 1.0, 1.0, 0.0])
    for _ in range(50):
        p = 1 / (1 + np.exp(-x[:60] @ w))
        gradient = x[:60].T @ (p - labels[:60]) + penalty @ w
        w = w - np.linalg.solve((x[:60].T * (p * (1 - p))) @ x[:60] + penalty, gradient)
    expected = (x[60:] @ w > 0) == labels[60:]
    assert 0.55 < expected.mean() < 0.95
    assert found.samples["correct"].tolist() == expected.tolist()


def test_many_labels_where_the_model_had_two(stored):
    labels = np.tile(np.arange(5), 20)
    pixels = np.broadcast_to((labels * 50)[:, None, None, None], (100, 8, 8, 3)).astype(np.uint8)
    name = stored(Dataset.from_arrays(pixels, labels, split=["train"] * 50 + ["test"] * 50))

    def steps(images):
        return (images[:, 0, 0, 0, None] > torch.tensor([0.1, 0.3, 0.5, 0.7])).float()

    subject = Subject(Reader(steps, 4), tiny())
    found = transfer(subject, to=(name,), untrained=False, epochs=30, lr=0.3)
    assert found.table["accuracy"].tolist() == [1.0, 1.0]
    assert subject.model.head.out_features == 2


def test_a_single_label_in_train_is_said(stored):
    images = np.zeros((6, 8, 8, 3), np.uint8)
    name = stored(Dataset.from_arrays(images, list("aaaaab"), split=["train"] * 3 + ["test"] * 3))
    with pytest.raises(DataError, match="the 3 training images drawn have a single label; raise images"):
        transfer(Subject(Net(), tiny()), to=(name,), **PROBE)


# --------------------------------------------------------------------------------------------------- fine-tuning


@pytest.fixture
def trained(monkeypatch):
    """In float32, so that a loop written out gives the same weights; the networks that were fine-tuned."""
    found = []

    def spy(model, *args, **options):
        history = fit(model, *args, **options)
        found.append(model)
        return history

    monkeypatch.setattr(_transfer, "fit", spy)
    monkeypatch.setattr(_transfer, "machine", lambda device: Machine(device, "float32", 1, True))
    return found


def test_fine_tuning_is_the_literal_loop(stored, trained):
    data, model = tiny(), Net()
    model.body[0].requires_grad_(False)  # every layer is trained on, whatever was frozen before
    options = {"epochs": 2, "batch_size": 16, "lr": 0.05}
    found = transfer(Subject(model, data), to=(stored(data),), modes=("finetune",), **options)

    expected = fine_tuned(Net(), data, **options)
    state = trained[0].state_dict()
    for name, weights in expected.state_dict().items():
        torch.testing.assert_close(state[name], weights, msg=name)
    assert not torch.equal(state["body.0.weight"], Net().body[0].weight)
    answers = evaluate(expected, data, data.rows("test"), "cpu").argmax(dim=1).numpy()
    assert found.samples["correct"].tolist() == (answers == data.labels[data.rows("test")]).tolist()


def fine_tuned(model, data, epochs, batch_size, lr):
    """SGD with Nesterov momentum and weight decay, the rate falling by a cosine."""
    with scoped(derive(0, "transfer", "head")):
        model.head = nn.Linear(144, 2)
    weights, rows = list(model.train().parameters()), torch.from_numpy(data.rows("train"))
    speed = [torch.zeros_like(one) for one in weights]
    parts = len(rows) // batch_size
    for epoch in range(epochs):
        order = rows[torch.randperm(len(rows), generator=torch_generator(0, "order", 0, epoch))]
        for part, index in enumerate(order.split(batch_size)):
            logits = model(data.images.gather(index) / 255)
            found = torch.autograd.grad(F.cross_entropy(logits, torch.from_numpy(data.labels)[index]), weights)
            rate = lr / 2 * (1 + np.cos(np.pi * (epoch * parts + part) / (epochs * parts)))
            with torch.no_grad():
                for one, gradient, v in zip(weights, found, speed, strict=True):
                    gradient = gradient + 5e-4 * one
                    v.mul_(0.9).add_(gradient)
                    one.sub_(rate * (gradient + 0.9 * v))
    return model.eval()


def test_training_that_diverges_is_said(stored):
    with pytest.raises(DataError, match=r"fine-tuning on .*target, seed 0: the loss is .*; lower lr = 1e\+09$"):
        transfer(Subject(Net(), tiny()), to=(stored(tiny()),), modes=("finetune",), epochs=5, lr=1e9)


def test_the_model_is_left_as_it_is(stored):
    data, model = tiny(), Net()
    model.head.requires_grad_(False)
    subject = Subject(model, data)
    before = {name: one.clone() for name, one in model.state_dict().items()}
    name, state = stored(data), torch.get_rng_state()
    transfer(subject, to=(name,), epochs=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], one) for name, one in model.state_dict().items())
    assert [one.requires_grad for one in model.parameters()] == [True] * 4 + [False] * 2
    assert not model.training
    assert isinstance(model.head, nn.Linear)


def test_the_untrained_network_is_the_same_for_every_model(stored):
    data, blind = tiny(), Net()
    with torch.no_grad():
        for one in blind.body.parameters():
            one.zero_()
    name = stored(data)
    found = [transfer(Subject(model, data), to=(name,), epochs=1) for model in (Net(), blind)]
    tables = [one.table for one in found]
    for column in ("untrained", "flip_rate_untrained"):
        assert tables[0][column].tolist() == tables[1][column].tolist()
    # Whatever the weights were: here they were all zero, which shows nothing of any image.
    assert (tables[1]["accuracy"][0], tables[1]["untrained"][0]) == (0.5, 1.0)
    assert found[1].samples["correct"][:32].mean() == 0.5


def test_the_untrained_network_is_transferred_once_for_all_runs(stored, trained):
    data = tiny()
    name, given = stored(data), {"epochs": 1}
    models = [resnet_small(2, width=4) for _ in range(2)]
    first, second = (transfer(Subject(model, data), to=(name,), **given) for model in models)
    assert len(trained) == 3, "each model, and once the network that both are when drawn anew"
    for column in ("untrained", "flip_rate_untrained"):
        assert first.table[column].tolist() == second.table[column].tolist()
    assert not any(torch.equal(a, b) for a, b in zip(*(one.parameters() for one in models), strict=True) if a.dim() > 1)

    # What is different in any way is another network, another target or another training.
    other = resnet_small(2, width=4)
    other.net.relu = nn.LeakyReLU(0.2)
    transfer(Subject(other, data), to=(name,), **given)
    assert len(trained) == 5
    transfer(Subject(models[0], data), to=(name,), epochs=1, lr=0.02)
    assert len(trained) == 7
    transfer(Subject(models[0], data), to=(stored(tiny(train=(0.75, 0.25)), "other"),), **given)
    assert len(trained) == 9


def test_a_network_that_holds_what_cannot_be_compared_is_transferred_each_time(stored, trained):
    class Local(Net):
        def __init__(self):
            super().__init__()
            self.own = lambda x: x

    for count in (2, 4):
        transfer(Subject(Local(), tiny()), to=(stored(tiny()),), epochs=1)
        assert len(trained) == count


def test_features_that_cannot_be_drawn_anew_have_no_untrained_network(stored):
    found = transfer(Subject(Reader(square, 1), tiny()), to=(stored(tiny()),), modes=("probe",))
    assert found.table[["untrained", "flip_rate_untrained"]].isna().all(axis=None)
    assert found.notes[-1] == "no layer below the head can be drawn anew: no untrained network"


# ------------------------------------------------------------------------------------------------------ the data


def test_sizes_and_channels_are_brought_to_those_of_the_model(stored, monkeypatch):
    # 16 x 12 gray to 8 x 8: columns by 3/2, rows by 2; a flat image stays flat.
    gray = np.zeros((6, 16, 12, 1), np.uint8)
    gray[:] = np.arange(6)[:, None, None, None] * 50
    name = stored(Dataset.from_arrays(gray, [0, 1] * 3, split=["train", "train", "train", "test", "test", "test"]))
    one = _targets.target(name, (3, 8, 8), 1000, 1000)
    assert one.dataset.images.shape == (3, 8, 8)
    pixels = one.dataset.images.gather(torch.arange(6))
    assert torch.equal(pixels, (torch.arange(6) * 50).to(torch.uint8)[:, None, None, None].expand(6, 3, 8, 8))
    assert "resized from 12 x 16 to 8 x 8, gray, repeated for three channels" in one.note
    found = transfer(Subject(Reader(nothing, 3), tiny()), to=(name,), **PROBE)
    assert found.notes[1] == one.note


def test_resizing_takes_all_pixels_into_account():
    # Columns 200, 0, 0, 200, again and again, at a quarter of the size: a tent of 4 pixels a side gives half of its
    # weight to the bright ones. The two nearest pixels alone would be black.
    stripes = torch.zeros(1, 16, 16, 3, dtype=torch.uint8)
    stripes[:, :, ::4] = 200
    stripes[:, :, 3::4] = 200
    images = _targets._resized(_targets.ArrayImages(stripes), np.array([0]), (3, 4, 4))
    inner = images.gather(torch.tensor([0]))[0, :, :, 1:-1].int()
    assert (inner == 100).all()


def test_images_of_the_right_size_stay_as_they_are():
    data = tiny()
    rows = data.rows("test")
    found = _targets._resized(data.images, rows, (3, 8, 8)).gather(torch.arange(len(rows)))
    assert torch.equal(found, data.images.gather(torch.from_numpy(rows)))


def test_at_most_so_many_images_and_the_twins_of_those(stored):
    data = tiny()
    name = stored(data)
    subject = Subject(Reader(background, 1), data)
    found = transfer(subject, to=(name,), modes=("probe",), images=20, test_images=10, untrained=False)
    one = _targets.target(name, (3, 8, 8), 20, 10)
    assert {split: len(one.dataset.rows(split)) for split in one.dataset.splits} == {
        "train": 20,
        "test": 10,
        "twin": 10,
    }
    assert (
        found.notes[1].endswith(
            "20 of 32 train and 10 of 32 test images; the commonest label is 50.0% of test; flips swap color"
        )
        or "20 of 32 train and 10 of 32 test images" in found.notes[1]
    )
    assert found.table["n"].tolist() == found.table["n_flips"].tolist() == [10]
    # Rows count in the target as it is stored; pairs and pixels go with them.
    rows = found.samples["row"].to_numpy()
    assert set(rows) <= set(data.rows("test"))
    assert (np.diff(rows) > 0).all()
    used, test = one.dataset, one.dataset.rows("test")
    assert torch.equal(used.images.gather(torch.from_numpy(test)), data.images.gather(torch.tensor(rows)))
    partner = used.table["pair"].to_numpy()[test]
    stored_partner = data.table["pair"].to_numpy()[rows]
    assert one.rows[partner].tolist() == stored_partner.tolist()
    assert used.table["pair"].to_numpy()[partner].tolist() == test.tolist()


def test_two_targets_and_two_modes_have_their_own_rows(stored):
    data = tiny()
    names = (stored(data, "first"), stored(tiny(train=(0.75, 0.25)), "second"))
    found = transfer(Subject(Net(), data), to=names, epochs=1, untrained=False)
    keys = [(name, mode) for name in names for mode in ("probe", "finetune")]
    assert list(zip(found.table["target"], found.table["mode"], strict=True)) == keys
    per_condition = found.samples.groupby(["target", "mode"], sort=False)
    assert list(per_condition.groups) == keys
    assert per_condition["row"].nunique().tolist() == [32] * 4
    assert found.table["accuracy"].tolist() == per_condition["correct"].mean().tolist()
    assert found.table["flip_rate"].tolist() == per_condition["flipped"].mean().tolist()


# ---------------------------------------------------------------------------------------------------- refusals


def test_a_model_without_a_linear_head_is_refused(stored):
    convolved = nn.Sequential(nn.Conv2d(3, 2, 8), nn.Flatten())
    for model in (convolved, testing.reads("label")):
        with pytest.raises(UnsupportedModel):
            transfer(Subject(model, tiny()), to=(stored(tiny()),))
    with pytest.raises(UnsupportedModel, match=r"body\.0 is a Conv2d, not an nn.Linear to replace"):
        transfer(Subject(Net(), tiny()), to=(stored(tiny()),), head="body.0")
    with pytest.raises(UnknownName, match="no layer 'haed'"):
        transfer(Subject(Net(), tiny()), to=(stored(tiny()),), head="haed")


def test_a_head_can_be_named(stored):
    class Softened(Reader):
        def forward(self, images):
            return super().forward(images).log_softmax(dim=1)

    subject, name = Subject(Softened(square, 1), tiny()), stored(tiny())
    with pytest.raises(UnsupportedModel, match="no linear layer gives the 2 logits"):
        transfer(subject, to=(name,), **PROBE)
    # The probe reads what goes into the head: of a single number a softmax leaves nothing.
    found = transfer(subject, to=(name,), head="head", **PROBE)
    assert found.table["accuracy"].tolist() == [1.0]
    assert found.options["head"] == "head"


def test_features_that_are_not_finite_are_refused(stored):
    model = Reader(lambda images: square(images) / 0.0, 1)
    with pytest.raises(UnsupportedModel, match="not finite"):
        transfer(Subject(model, tiny()), to=(stored(tiny()),), head="head", **PROBE)


@pytest.mark.parametrize("how", ["script", "trace"])
def test_torchscript_is_refused(stored, how):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = (
            torch.jit.script(Net().eval()) if how == "script" else torch.jit.trace(Net().eval(), torch.rand(2, 3, 8, 8))
        )
    for given in ({}, {"head": "head"}):
        with pytest.raises(UnsupportedModel, match="the model is TorchScript"):
            transfer(Subject(model, tiny()), to=(stored(tiny()),), **given)


def test_a_model_that_cannot_be_trained_on_is_refused(stored):
    class Frozen(Net):
        @torch.no_grad()
        def forward(self, images):
            return super().forward(images)

    name = stored(tiny())
    with pytest.raises(UnsupportedModel, match=r"cannot be trained on: .* does not require grad.*; modes = probe"):
        transfer(Subject(Frozen(), tiny()), to=(name,), epochs=1, untrained=False)
    assert transfer(Subject(Frozen(), tiny()), to=(name,), **PROBE).table["accuracy"].notna().all()


@pytest.mark.parametrize(
    ("given", "option"),
    [
        ({"to": ()}, "to"),
        ({"modes": ()}, "modes"),
        ({"modes": ("probes",)}, "modes.0"),
        ({"epochs": 0}, "epochs"),
        ({"lr": -1.0}, "lr"),
        ({"images": 0}, "images"),
    ],
)
def test_options_outside_their_range(given, option):
    with pytest.raises(SpecError, match=rf"^transfer\.{option}"):
        transfer(Subject(Net(), tiny()), **given)


def test_gray_images_of_a_network_that_takes_both(stored):
    gray = Dataset.from_arrays(np.zeros((4, 8, 8, 1), np.uint8), [0, 1, 0, 1], split=["train"] * 2 + ["test"] * 2)
    model = resnet_small(2, width=4)
    found = transfer(Subject(model, gray), to=(stored(tiny()),), epochs=1, untrained=False)
    assert found.table["accuracy"].notna().all()


def test_a_model_for_gray_images_is_refused(stored):
    data = Dataset.from_arrays(np.zeros((4, 8, 8, 1), np.uint8), [0, 1, 0, 1], split=["train"] * 2 + ["test"] * 2)
    model = nn.Sequential(nn.Conv2d(1, 2, 8), nn.Flatten(), nn.Linear(2, 2))
    with pytest.raises(
        UnsupportedModel, match=r"the model cannot take images \(1, 3, 8, 8\): .*it takes gray images alone: put x.mean"
    ):
        transfer(Subject(model, data), to=(stored(tiny()),))


def test_a_target_that_is_missing_fails_before_anything_is_trained(stored, monkeypatch):
    monkeypatch.setattr(_transfer, "fit", None)
    with pytest.raises(UnknownName, match="no folder or dataset 'nowhere'"):
        transfer(Subject(Net(), tiny()), to=(stored(tiny()), "nowhere"))
    # Stored with a gap the table would be taken for complete later; as a failure it is tried again.
    failed = bk.audit(Net(), tiny(), analyzers={"transfer": {"to": ["nowhere"]}}, device="cpu").failed
    assert "nowhere" in failed["transfer"]


def test_one_thing_twice_is_refused():
    with pytest.raises(SpecError, match="transfer: to = digits, digits names one twice"):
        transfer(Subject(Net(), tiny()), to=("digits", "digits"))
    with pytest.raises(SpecError, match="transfer: modes = probe, probe names one twice"):
        transfer(Subject(Net(), tiny()), modes=("probe", "probe"))


# ---------------------------------------------------------------------------------------------------- the default


def test_the_default_runs_without_a_file_at_hand():
    found = transfer(Subject(Net(), tiny()), images=100, test_images=100, epochs=1)
    assert found.table["target"].tolist() == ["colordigits-parity"] * 2
    assert "resized from 16 x 16 to 8 x 8" in found.notes[1]


def test_a_shortcut_comes_along(stored):
    # A map of green shows the square alone. A map of blue shows it on red only: on blue it is bright all over, so every
    # image there gets one answer, which is another than on red for one of the two labels.
    data = tiny()
    name, found = stored(tiny(train=(0.9, 0.1))), {}
    for reads, channel in (("label", 1), ("color", 2)):
        model = Net()
        with torch.no_grad():
            for one in model.body[0].parameters():
                one.zero_()
            model.body[0].weight[0, channel, 1, 1] = 1.0
        found[reads] = transfer(Subject(model, data), to=(name,), **PROBE).table["flip_rate"][0]
    assert found["label"] == 0.0
    assert found["color"] == 0.5


def test_a_stored_result_counts_only_while_its_targets_are_the_same(tmp_path):
    data = bk.build("colordigits", set=["training.epochs=1"])
    run = bk.train("plain", data, seed=0)
    folder = tmp_path / "target"
    save_dataset(bk.build("digits"), folder)
    wanted = _audit.resolve_analyzers({"transfer": {"to": [str(folder)], "modes": ["probe"], "untrained": False}})

    def once():
        _audit._fingerprint.cache_clear()
        return _audit.analyze_run(run, data, wanted, "cpu")["transfer"].table

    first = once()
    stored = list((run.folder / "analyses").glob("transfer-*.parquet"))
    before = stored[0].stat().st_mtime_ns
    pd.testing.assert_frame_equal(once(), first)
    assert stored[0].stat().st_mtime_ns == before, "read, not computed again"
    shutil.rmtree(folder)
    save_dataset(bk.build("digits", set=["labels.noise=0.5", 'labels.noise_splits=["train", "test"]']), folder)
    assert once()["accuracy"].iloc[0] < first["accuracy"].iloc[0]
    assert stored[0].stat().st_mtime_ns > before
