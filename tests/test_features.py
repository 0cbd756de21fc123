"""Inner layers: names, activations, the deepest map, the head, drawing anew; and nothing left behind in the model."""

import json
import warnings

import pytest
import torch
import torchvision
from torch import nn

import biaskit as bk
from biaskit import testing
from biaskit.errors import SpecError, UnknownName, UnsupportedModel
from biaskit.features import deepest_map, features, find_layer, head, layers, redraw
from biaskit.models import resnet18, resnet_small
from biaskit.rng import scoped
from biaskit.subject import Subject


def images(count=2, side=16):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0))


def hooks(model):
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.modules())


class Functional(nn.Module):
    """A model without sub-modules."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3, 2))

    def forward(self, x):
        return x.mean(dim=(2, 3)) @ self.weight


class Breaks(nn.Module):
    def forward(self, x):
        raise RuntimeError("broken on purpose")


# Names


def test_names_are_found_from_their_end():
    model = resnet_small(10)
    assert find_layer(model, "layer3") == "net.layer3"
    assert find_layer(model, "net.layer3.conv1") == "net.layer3.conv1"
    assert find_layer(model, "layer3.conv1") == "net.layer3.conv1"
    assert find_layer(model, "conv1") == "net.conv1", "not net.layer1.conv1, which has more parts"
    assert "net.fc" in layers(model)
    assert "" not in layers(model)


def test_a_part_of_a_word_is_no_name():
    with pytest.raises(UnknownName, match=r"no layer 'ayer3'; nearest: .*features.layers\(model\)"):
        find_layer(resnet_small(10), "ayer3")


def test_two_layers_of_one_ending():
    with pytest.raises(SpecError, match=r"'downsample' may be net.layer2.downsample or net.layer3.downsample"):
        find_layer(resnet_small(10), "downsample")


def test_a_model_without_layers():
    assert layers(Functional()) == ()
    for look in (
        lambda: find_layer(Functional(), "x"),
        lambda: deepest_map(Functional(), images()),
        lambda: head(Functional(), 2, images()),
    ):
        with pytest.raises(UnsupportedModel, match="Functional has no sub-modules"):
            look()
    with pytest.raises(UnsupportedModel, match="no linear layer gives the 2 logits; the linear layers are none"):
        head(Functional(), 2)


# Activations


def test_features_are_what_the_layers_before_give():
    model, x = resnet_small(10).eval(), images()
    net = model.net
    expected = net.layer2(net.layer1(net.relu(net.bn1(net.conv1(model.normalize(x))))))
    torch.testing.assert_close(features(model, x, "layer2"), expected)
    assert hooks(model) == 0


def test_features_of_torchvision_and_of_sequences():
    x = images(side=32)
    whole = torchvision.models.resnet18(num_classes=4).eval()
    torch.testing.assert_close(whole.fc(features(whole, x, "avgpool").flatten(1)), whole(x))
    line = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 5), nn.ReLU(), nn.Linear(5, 2))
    torch.testing.assert_close(features(line, x, "1").relu(), features(line, x, "2"))


def test_what_a_later_layer_does_in_place_is_not_seen():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten())
    x = images()
    assert float(features(model, x, "0").detach().min()) < 0.0
    assert float(features(model, x, "1").detach().min()) == 0.0


def test_the_gradient_passes_and_the_mode_stays():
    model, x = resnet_small(10).train(), images().requires_grad_()
    before = model.net.bn1.num_batches_tracked.item()
    features(model, x, "layer1").square().sum().backward()
    assert float(x.grad.abs().sum()) > 0.0
    assert model.training
    assert model.net.bn1.num_batches_tracked.item() == before + 1, "a pass in train mode is a pass in train mode"


def test_of_a_layer_passed_twice_the_last():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.act = nn.Sequential(nn.Softsign())

        def forward(self, x):
            return self.act(2.0 * self.act(x))

    x = images()
    torch.testing.assert_close(features(Twice(), x, "act"), Twice()(x))


def test_layers_without_an_answer():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.unused, self.lstm = nn.Linear(2, 2), nn.LSTM(3, 2, batch_first=True)

        def forward(self, x):
            return self.lstm(x.flatten(2).transpose(1, 2))[0][:, -1]

    with pytest.raises(UnsupportedModel, match="'unused' is passed by no image"):
        features(Model(), images(), "unused")
    with pytest.raises(UnsupportedModel, match="'lstm' gives a tuple, not a tensor"):
        features(Model(), images(), "lstm")


@pytest.mark.parametrize(
    "look",
    [
        lambda model: features(model, images(), "0"),
        lambda model: deepest_map(model, images()),
        lambda model: head(model, 2, images()),
    ],
)
def test_hooks_are_removed_from_a_model_that_breaks(look):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), Breaks()).train()
    with pytest.raises(RuntimeError, match="broken on purpose"):
        look(model)
    assert hooks(model) == 0
    assert all(module.training for module in model.modules())


# The deepest map


@pytest.mark.parametrize(
    ("model", "side", "expected"),
    [
        (resnet_small(10), 16, "net.layer3"),
        (resnet_small(10), 8, "net.layer2"),
        (resnet18(10), 28, "net.layer2"),
        (resnet18(10), 64, "net.layer3"),
        (resnet18(10, stem="small"), 28, "net.layer4"),
    ],
)
def test_the_deepest_map_of_four_by_four(model, side, expected):
    x = images(side=side)
    found = deepest_map(model, x)
    assert found == expected
    assert min(features(model.eval(), x, found).shape[2:]) >= 4


def test_looking_for_the_map_changes_nothing():
    model = resnet_small(10).train()
    model.net.layer1.eval()
    before, modes = {key: one.clone() for key, one in model.state_dict().items()}, [m.training for m in model.modules()]
    deepest_map(model, images())
    assert all(torch.equal(before[key], one) for key, one in model.state_dict().items())
    assert [m.training for m in model.modules()] == modes
    assert hooks(model) == 0


def test_a_small_map_pooled_to_a_larger_size_is_no_map():
    body = nn.Sequential(nn.Conv2d(3, 4, 4, stride=4), nn.Conv2d(4, 4, 2, stride=2))
    model = nn.Sequential(body, nn.Sequential(nn.AdaptiveAvgPool2d(7)), nn.Flatten(), nn.Linear(4 * 49, 2))
    assert deepest_map(model, images()) == "0.0", "4 x 4, before 2 x 2 and its copy of 7 x 7"


def test_no_map_at_all():
    normalized = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3 * 256, 2))
    with pytest.raises(UnsupportedModel, match="no convolutional layer is passed"):
        deepest_map(normalized, images())
    small = nn.Sequential(nn.Conv2d(3, 4, 8, stride=8), nn.Flatten(), nn.Linear(16, 2))
    with pytest.raises(UnsupportedModel, match=r"at least 4 x 4 for images of 16 x 16: its largest is 2 x 2"):
        deepest_map(small, images())
    assert deepest_map(small, images(), at_least=2) == "0"


# The head


def test_the_head_is_the_layer_that_gives_the_logits():
    assert head(resnet_small(10), 10, images()) == "net.fc"
    assert head(torchvision.models.resnet18(num_classes=7), 7) == "fc"

    class Decoys(nn.Module):
        """Registered last: one that is not passed; passed last: one whose output is not the model's."""

        def __init__(self):
            super().__init__()
            self.true, self.beside, self.idle = nn.Linear(3, 2), nn.Linear(3, 2), nn.Linear(3, 2)

        def forward(self, x):
            logits = self.true(x.mean(dim=(2, 3)))
            self.beside(x.mean(dim=(2, 3)))
            return logits

    assert head(Decoys(), 2, images()) == "true"
    assert head(Decoys(), 2) == "idle", "without images the order of registration decides"


def test_a_head_that_is_not_there():
    changed = nn.Sequential(nn.Flatten(), nn.Linear(3 * 256, 2), nn.LogSoftmax(dim=1))
    with pytest.raises(UnsupportedModel, match=r"gives the 2 logits; the linear layers are 1 \(2 outputs\)"):
        head(changed, 2, images())
    with pytest.raises(UnsupportedModel, match="gives the 3 logits"):
        head(changed, 3)


# TorchScript


def scripted(model, how):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(model) if how == "script" else torch.jit.trace(model, images())


@pytest.mark.parametrize("how", ["script", "trace"])
def test_layers_of_torchscript_cannot_be_looked_at(how):
    line = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 14 * 14, 2))
    model = scripted(line, how)
    for look in (
        lambda: find_layer(model, "0"),
        lambda: features(model, images(), "0"),
        lambda: deepest_map(model, images()),
        lambda: head(model, 2, images()),
    ):
        with pytest.raises(UnsupportedModel, match=r"the model is TorchScript \(.*; give the nn.Module"):
            look()
    assert redraw(model) == 0

    # Around a part in TorchScript everything else can be looked at.
    around = nn.Sequential(nn.Conv2d(3, 3, 1), model, nn.Linear(2, 2))
    assert head(around, 2, images()) == "2"
    assert deepest_map(around, images()) == "0"
    with pytest.raises(UnsupportedModel, match="layer '1' is TorchScript"):
        features(around, images(), "1")
    with pytest.raises(UnsupportedModel, match=r"layer '1\.0' is TorchScript"):
        features(around, images(), "1.0")


# Subjects


class AlwaysDropping(nn.Module):
    def forward(self, x):
        return nn.functional.dropout(x.flatten(1)[:, :2] + 1.0, training=True)


def test_a_model_that_draws_at_random_is_told_apart_and_said(tmp_path):
    data = testing.tiny()
    state = torch.get_rng_state()
    assert not Subject(AlwaysDropping(), data).steady
    assert torch.equal(torch.get_rng_state(), state)
    assert Subject(resnet_small(2), data).steady
    assert Subject(nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(192, 2)), data).steady, "off in eval mode"
    assert Subject(None, data, logits=torch.zeros(32, 2)).steady

    for model, said in ((AlwaysDropping(), True), (resnet_small(2), False)):
        bk.audit(model, data, analyzers=["group_accuracy"], device="cpu").save(tmp_path / str(said))
        notes = json.loads((tmp_path / str(said) / "result.json").read_text()).get("notes", [])
        assert any("different answers to the same images" in note for note in notes) == said


def test_an_exported_program_is_refused():
    program = torch.export.export(nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), (torch.rand(2, 3, 8, 8),)).module()
    with pytest.raises(UnsupportedModel, match="cannot be put in eval mode"):
        bk.audit(program, testing.tiny(), device="cpu")


# Drawn anew


def test_drawn_anew_is_the_same_for_one_seed():
    models = [resnet_small(10), resnet_small(10)]
    for model in models:
        with scoped(3):
            assert redraw(model) == sum(1 for module in model.modules() if hasattr(module, "reset_parameters"))
    first, second = (model.state_dict() for model in models)
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert redraw(Functional()) == 0
