import pytest
import torch
import torchvision
from torch import nn

from biaskit import models
from biaskit.errors import SpecError
from biaskit.models._small_maps import SmallMapConv2d
from biaskit.registry import bind, names
from biaskit.rng import scoped


def build(name, classes=10, **options):
    with scoped(0):
        return getattr(models, name)(classes, **options)


EVERY = [
    ("resnet18", {}),
    ("resnet18", {"stem": "small"}),
    ("resnet_small", {}),
    ("resnet_small", {"width": 8}),
]


@pytest.mark.parametrize(("name", "options"), EVERY)
def test_contract(name, options):
    model = build(name, 7, **options)
    x = torch.rand(2, 3, model.min_size, model.min_size)
    before = x.clone()
    assert model(x).shape == (2, 7)
    assert torch.equal(x, before)
    assert model.eval()(x.contiguous(memory_format=torch.channels_last)).shape == (2, 7)
    assert torch.equal(model(x), model(x))
    modules = dict(model.named_modules())
    assert isinstance(modules["net.fc"], nn.Linear)
    assert {"net.layer1", "net.layer2", "net.layer3"} <= set(modules)


@pytest.mark.parametrize(("name", "options"), EVERY)
def test_same_seed_same_weights(name, options):
    first, second = build(name, **options).state_dict(), build(name, **options).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize(("name", "options"), EVERY)
def test_normalization_comes_first_and_is_saved(name, options):
    model = build(name, **options)
    assert next(iter(model.named_children()))[0] == "normalize"
    x = torch.rand(2, 3, 16, 16)
    assert torch.allclose(model.normalize(x), 2 * x - 1, atol=1e-6)
    assert {"normalize.mean", "normalize.std"} <= set(model.state_dict())
    assert not list(model.normalize.parameters())


def test_resnet18_is_torchvisions():
    model = build("resnet18").eval()
    other = torchvision.models.resnet18(num_classes=10).eval()
    other.load_state_dict(model.net.state_dict())
    x = torch.rand(2, 3, 28, 28)
    # Up to rounding: convolutions on maps of 2 x 2 and 1 x 1 are computed as matrix products.
    assert torch.allclose(model(x), other(2 * x - 1), atol=1e-5)
    wider = torch.rand(2, 3, 64, 64)
    assert torch.allclose(model(wider), other(2 * wider - 1), atol=1e-5)


@pytest.mark.parametrize(
    ("name", "options", "other"),
    [("alexnet", {}, "alexnet"), ("vgg16", {}, "vgg16"), ("vgg16", {"batch_norm": True}, "vgg16_bn")],
)
def test_alexnet_and_vgg16_are_torchvisions(name, options, other):
    with torch.device("meta"):  # half a gigabyte each, of which only names and shapes are compared
        model = build(name, 1000, **options)
        theirs = getattr(torchvision.models, other)(num_classes=1000)
    mine = {key: value.shape for key, value in model.net.state_dict().items()}
    assert mine == {key: value.shape for key, value in theirs.state_dict().items()}
    assert str(model.net) == str(theirs)


SMALL = [
    ("alexnet", {"stem": "small"}, 15),
    ("alexnet", {"stem": "narrow"}, 15),
    ("alexnet", {"stem": "small", "batch_norm": True}, 15),
    ("vgg16", {"stem": "small"}, 16),
    ("vgg16", {"stem": "narrow"}, 16),
    ("vgg16", {"stem": "small", "batch_norm": True}, 16),
]


@pytest.mark.parametrize(("name", "options", "smallest"), SMALL)
def test_small_stems_take_small_images(name, options, smallest):
    model = build(name, 7, **options)
    assert model.min_size == smallest
    maps = []
    model.net.features.register_forward_hook(lambda *parts: maps.append(tuple(parts[2].shape[-2:])))
    for side in (smallest, 28, 32, 48):
        x = torch.rand(2, 3, side, side)
        before = x.clone()
        assert model.eval()(x).shape == (2, 7)
        assert torch.equal(x, before)
        assert torch.equal(model(x), model(x))
    expected = {"alexnet": [1, 2, 3, 5], "vgg16": [1, 1, 2, 3]}[name]
    assert maps[::3] == [(one, one) for one in expected]
    with pytest.raises(RuntimeError, match="too small"):
        model(torch.rand(1, 3, smallest - 1, smallest - 1))
    assert isinstance(model.net.classifier[6], nn.Linear)
    again = build(name, 7, **options).state_dict()
    assert all(torch.equal(one, again[key]) for key, one in model.state_dict().items())
    assert bool(torch.allclose(model.normalize(x), 2 * x - 1, atol=1e-6))


@pytest.mark.parametrize(("name", "smallest"), [("alexnet", 63), ("vgg16", 32)])
def test_the_imagenet_stems_say_how_small_images_may_be(name, smallest):
    with torch.device("meta"):
        model = build(name, 3).eval()
        assert model.min_size == smallest
        assert model(torch.rand(1, 3, smallest, smallest)).shape == (1, 3)
        with pytest.raises(RuntimeError, match="too small"):
            model(torch.rand(1, 3, smallest - 1, smallest - 1))


@pytest.mark.parametrize("name", ["alexnet", "vgg16"])
def test_narrow_networks_have_half_of_the_channels(name):
    small, narrow = (
        [one.out_channels for one in build(name, 3, stem=stem).modules() if isinstance(one, nn.Conv2d)]
        for stem in ("small", "narrow")
    )
    assert [2 * one for one in narrow] == small


def test_alexnet_of_the_paper_has_no_batch_normalization():
    with pytest.raises(SpecError, match="torchvision's network has none"):
        build("alexnet", 3, batch_norm=True)


def test_the_signal_does_not_fade_in_the_small_alexnet():
    x = torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with scoped(0), torch.no_grad():
        small, published = build("alexnet", 3, stem="small"), torchvision.models.alexnet(num_classes=3)
        published.features[0] = nn.Conv2d(3, 64, 5, padding=2)
    spread = [net.features(2 * x - 1).std().item() for net in (small.net, published)]
    assert spread[0] > 0.1
    assert spread[0] > 5 * spread[1]


def test_the_layers_of_the_small_vgg16_are_initialized_as_torchvisions():
    weight = build("vgg16", stem="small").net.features[0].weight
    assert weight.std().item() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.1)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (2, 2), (3, 3), (2, 5)])
def test_a_convolution_on_a_small_map_is_the_convolution(size, stride):
    layer = SmallMapConv2d(3, 4, 3, stride=stride, padding=1, bias=False).double()
    other = nn.Conv2d(3, 4, 3, stride=stride, padding=1, bias=False).double()
    other.load_state_dict(layer.state_dict())
    x = torch.rand(2, 3, *size, dtype=torch.double, requires_grad=True)
    results = []
    for one in (layer, other):
        found = one(x)
        gradient, weights = torch.autograd.grad(found.sin().sum(), (x, one.weight))
        results.append((found, gradient, weights))
    for mine, theirs in zip(*results, strict=True):
        assert torch.allclose(mine, theirs)


@pytest.mark.parametrize(
    ("name", "options", "layer", "side"),
    [
        ("resnet18", {}, "layer4", 1),
        ("resnet18", {}, "layer1", 7),
        ("resnet18", {"stem": "small"}, "layer4", 4),
        ("resnet_small", {}, "layer1", 28),
        ("resnet_small", {}, "layer3", 7),
    ],
)
def test_maps_of_a_28_pixel_image(name, options, layer, side):
    model = build(name, **options).eval()
    seen = []
    getattr(model.net, layer).register_forward_hook(lambda *parts: seen.append(parts[2].shape[-2:]))
    model(torch.rand(1, 3, 28, 28))
    assert seen == [(side, side)]


def test_resnet_small_grows_with_its_width():
    count = {width: sum(p.numel() for p in build("resnet_small", width=width).parameters()) for width in (8, 16)}
    assert 3.5 < count[16] / count[8] < 4.0


def test_resnet_small_learns_in_a_few_steps():
    """Left half bright or right half bright: 40 steps are enough."""
    model = build("resnet_small", 2, width=8).to(memory_format=torch.channels_last)
    labels = torch.arange(32) % 2
    x = torch.rand(32, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 0.5
    x[labels == 0, :, :, :8] += 0.3
    x[labels == 1, :, :, 8:] += 0.3
    x[:, :, :8] += 0.1 * labels.view(-1, 1, 1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for _ in range(40):
        loss = nn.functional.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (model.eval()(x).argmax(1) == labels).float().mean() > 0.95


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet18", {"stem": "tiny"}, "stem"),
        ("resnet_small", {"width": 0}, "width"),
        ("resnet18", {"width": 8}, "stem"),
        ("vgg16", {"stem": "tiny"}, "stem"),
        ("alexnet", {"batch_norm": "yes"}, "batch_norm"),
    ],
)
def test_options_that_do_not_exist(name, options, message):
    with pytest.raises(SpecError, match=message):
        bind(getattr(models, name), options, "card: model")


def test_listed():
    assert set(names("model")) == {"alexnet", "inception_small", "resnet18", "resnet_small", "vgg16"}
