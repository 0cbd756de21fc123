import colorsys
import inspect
import typing

import numpy as np
import pytest
import torch
from torchvision.transforms import functional as reference

from biaskit import perturbations
from biaskit.errors import DataError, SpecError
from biaskit.perturbations import _photometric as photometric
from biaskit.perturbations._photometric import AMOUNTS, change, rotate_hue
from biaskit.registry import bind, names

OPERATIONS = tuple(AMOUNTS)
LEVELS = (1, 2, 3, 4)


def images(count=16, side=12, *, seed=0, bits=True):
    """Images with what trips a color conversion: gray, black, white, equal channels, saturated corners."""
    x = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))
    if bits:
        x = (x * 255).round() / 255
    x[0] = x[0, :1]
    x[1] = 0.0
    x[2] = 1.0
    x[3, 1] = x[3, 0]
    x[4, 2] = x[4, 1]
    x[5, 2] = x[5, 0]
    x[6] = (x[6] > 0.5).float()
    return x.contiguous(memory_format=torch.channels_last)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def apply(operation, x, level, **options):
    return getattr(perturbations, operation)(x, generator(), level=level, **options)


@pytest.mark.parametrize("level", LEVELS)
def test_brightness_adds_sixteen_gray_values_a_level(level):
    x = images()
    assert torch.equal(apply("brightness", x, level), (x + level * 16 / 255).clamp(0, 1))


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("operation", "tolerance"), [("contrast", 1e-6), ("saturation", 0.0), ("hue", 2e-6)], ids=str)
def test_equal_to_torchvision(operation, tolerance, level):
    x = images(bits=level % 2 == 0)
    amount = AMOUNTS[operation][level - 1]
    expected = getattr(reference, f"adjust_{operation}")(x, amount)
    assert (apply(operation, x, level) - expected).abs().max() <= tolerance


@pytest.mark.parametrize("turns", [-0.5, -1 / 3, -0.1, 0.0, 1e-3, 0.25, 1 / 3, 0.5])
def test_hue_is_that_of_hsv(turns):
    """colorsys in double precision, pixel by pixel."""
    x = images(8, 5, bits=False)
    expected = np.empty_like(x.numpy())
    for row, high, wide in np.ndindex(8, 5, 5):
        hue, saturation, value = colorsys.rgb_to_hsv(*x[row, :, high, wide].double().tolist())
        expected[row, :, high, wide] = colorsys.hsv_to_rgb((hue + turns) % 1.0, saturation, value)
    assert np.abs(rotate_hue(x, turns).numpy() - expected).max() < 1e-6


def test_hue_takes_red_to_blue_and_green():
    red = torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1)
    assert torch.allclose(rotate_hue(red, -1 / 3).flatten(), torch.tensor([0.0, 0.0, 1.0]), atol=1e-6)
    assert torch.allclose(rotate_hue(red, 1 / 3).flatten(), torch.tensor([0.0, 1.0, 0.0]), atol=1e-6)


def test_hue_leaves_gray_images_exactly():
    gray = torch.rand(4, 1, 6, 6, generator=generator()).expand(4, 3, 6, 6)
    linear = torch.nn.Linear(3 * 36, 5)
    for level in LEVELS:
        turned = apply("hue", gray, level)
        assert torch.equal(turned, gray)
        assert ((linear(turned.flatten(1)) - linear(gray.flatten(1))) ** 2).sum(1).max() == 0


def test_levels_of_a_linear_model_grow_as_squares():
    """DS of brightness, contrast and saturation goes as 1 : 4 : 9 : 16 where nothing is clamped."""
    x = (0.4 + 0.08 * images(8, 8)[3:]).double()
    weight = torch.randn(4, 192, generator=generator(), dtype=torch.float64)
    for operation in ("brightness", "contrast", "saturation"):
        scores = []
        for level in LEVELS:
            moved = apply(operation, x, level) - x
            scores.append((moved.flatten(1) @ weight.T).square().sum(1))
        ratios = torch.stack(scores) / scores[0]
        assert torch.allclose(ratios, torch.tensor([1.0, 4.0, 9.0, 16.0]).double().view(4, 1), rtol=1e-4)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_one_amount_per_image(operation):
    x = images(8)
    low, high = (0.5, 2.0) if operation in ("contrast", "saturation") else (-0.4, 0.4)
    amounts = torch.linspace(low, high, 8)
    together = change(x, operation, amounts)
    alone = torch.cat([change(x[i : i + 1], operation, float(amounts[i])) for i in range(8)])
    assert (together - alone).abs().max() <= 1e-6


@pytest.mark.parametrize("operation", OPERATIONS)
def test_neutral_amount_changes_nothing(operation):
    x = images()
    assert (change(x, operation, photometric.NEUTRAL[operation]) - x).abs().max() <= 5e-7


@pytest.mark.parametrize("operation", OPERATIONS)
def test_random_sign_goes_both_ways(operation):
    x = images(64)[7:8].expand(64, -1, -1, -1)
    amount = AMOUNTS[operation][1]
    other = 1 / amount if operation in ("contrast", "saturation") else -amount
    drawn = apply(operation, x, 2, sign="random")
    forth, back = change(x[:1], operation, amount), change(x[:1], operation, other)
    is_forth = (drawn - forth).abs().amax((1, 2, 3)) < 1e-6
    is_back = (drawn - back).abs().amax((1, 2, 3)) < 1e-6
    assert (is_forth ^ is_back).all()
    assert 16 < is_forth.sum() < 48


def draws(x, seed=0, **options):
    """What ``color`` drew for every image: found by comparing with each operation at each level."""
    changed = perturbations.color(x, generator(seed), **options)
    candidates = {(operation, level): apply(operation, x, level) for operation in OPERATIONS for level in LEVELS}
    found = []
    for row in range(len(x)):
        errors = {key: float((candidates[key][row] - changed[row]).abs().max()) for key in candidates}
        best = min(errors, key=errors.get)
        assert errors[best] <= 1e-6
        found.append(best)
    return found


def test_color_gives_each_image_one_operation_at_one_level():
    # one image without clamped or gray pixels, so that every draw can be told from the others
    x = (0.3 + 0.2 * torch.rand(1, 3, 6, 6, generator=generator(3))).expand(1600, -1, -1, -1)
    found = draws(x.contiguous(memory_format=torch.channels_last))
    counts = [found.count((operation, level)) for operation in OPERATIONS for level in LEVELS]
    assert sum((count - 100) ** 2 / 100 for count in counts) < 37.7  # chi-square, 15 degrees of freedom, p = 0.001


def test_color_keeps_to_the_operations_and_levels_asked_for():
    x = (0.3 + 0.2 * torch.rand(60, 3, 6, 6, generator=generator(4))).contiguous(memory_format=torch.channels_last)
    found = draws(x, operations=("contrast", "saturation"), levels=(2, 4))
    assert {operation for operation, _ in found} == {"contrast", "saturation"}
    assert {level for _, level in found} == {2, 4}


def test_color_is_determined_by_its_generator():
    x = images(40)
    first = perturbations.color(x, generator(5))
    assert torch.equal(first, perturbations.color(x, generator(5)))
    assert not torch.equal(first, perturbations.color(x, generator(6)))
    state = torch.get_rng_state()
    perturbations.color(x, generator(5), sign="random")
    assert torch.equal(state, torch.get_rng_state())


def test_the_two_ways_to_mix_operations_agree():
    """One pass over all rows, as on a GPU, against rows sorted by operation, as on a CPU."""
    x = images(64)
    picked = torch.randint(4, (64,), generator=generator())
    amounts = photometric.draw_amounts(picked, generator(), OPERATIONS, LEVELS, "random")
    sorted_rows = photometric.by_rows(x, OPERATIONS, picked, amounts)
    assert (sorted_rows - photometric.in_one_pass(x, OPERATIONS, picked, amounts)).abs().max() <= 1e-6


@pytest.mark.parametrize("name", names("perturbation"))
@pytest.mark.parametrize("count", [0, 1, 9])
@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
def test_contract(name, count, layout):
    x = images(9)[:count].contiguous(memory_format=layout)
    before = x.clone()
    changed = getattr(perturbations, name)(x, generator())
    assert torch.equal(x, before)
    assert changed.shape == x.shape
    assert changed.dtype == torch.float32
    assert changed.untyped_storage().data_ptr() != x.untyped_storage().data_ptr() or count == 0
    assert count == 0 or (changed.min() >= 0 and changed.max() <= 1)
    if layout is torch.channels_last and count:
        assert changed.is_contiguous(memory_format=torch.channels_last)


def test_large_images_are_done_in_parts(monkeypatch):
    x = images(9)
    turns, factors = torch.linspace(-0.5, 0.5, 9), torch.linspace(0.5, 2.0, 9)
    whole = rotate_hue(x, turns), change(x, "saturation", factors)
    monkeypatch.setattr(photometric, "_PASS", 2 * 12 * 12)
    assert torch.equal(rotate_hue(x, turns), whole[0])
    assert torch.equal(change(x, "saturation", factors), whole[1])


@pytest.mark.parametrize(
    "wrong",
    [torch.zeros(2, 1, 4, 4), torch.zeros(3, 4, 4), torch.zeros(2, 3, 4, 4, dtype=torch.uint8)],
    ids=["gray", "no batch", "uint8"],
)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_images_of_the_wrong_kind(wrong, operation):
    with pytest.raises(DataError, match=r"needs float images \(B, 3, H, W\)"):
        apply(operation, wrong, 1)


def test_amounts_that_do_not_fit():
    with pytest.raises(DataError, match="16 images need one amount each"):
        change(images(16), "hue", torch.zeros(3))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("hue", {"level": 5}, "level"),
        ("hue", {"sign": "-"}, "sign"),
        ("color", {"operations": []}, "operations"),
        ("color", {"operations": ["sharpness"]}, "operations"),
        ("color", {"levels": [0]}, "levels"),
        ("color", {"level": 1}, "did you mean levels"),
    ],
)
def test_options_outside_the_table(name, options, message):
    with pytest.raises(SpecError, match=message):
        bind(getattr(perturbations, name), options, "card: perturbation")


def test_options_of_a_card_are_bound():
    bound = bind(perturbations.color, {"operations": ["hue"], "levels": [1, 3]}, "card: perturbation")
    assert bound == {"operations": ("hue",), "levels": (1, 3), "sign": "+"}


@pytest.mark.parametrize("name", names("perturbation"))
def test_docstring_names_every_parameter(name):
    function = getattr(perturbations, name)
    documented = inspect.getdoc(function)
    for parameter in inspect.signature(function).parameters:
        assert f"\n{parameter} : " in documented
    assert typing.get_type_hints(function)["return"] is torch.Tensor


@pytest.mark.gpu
@pytest.mark.parametrize("name", names("perturbation"))
def test_same_on_a_gpu(name):
    x = images(64)
    options = {"levels": (2,), "operations": ("hue",)} if name == "color" else {"level": 2}
    here = getattr(perturbations, name)(x, generator(), **options)
    there = getattr(perturbations, name)(x.cuda(), torch.Generator("cuda").manual_seed(0), **options)
    assert (here - there.cpu()).abs().max() <= 2e-6
