"""Semantic transforms: known pictures, torchvision's own, and gradients in the parameters."""

import pytest
import torch
from torchvision.transforms.functional import InterpolationMode, adjust_contrast, adjust_saturation, rotate

from biaskit.errors import SpecError, UnknownName
from biaskit.semantic import PARAMETERS, SemanticTransform


@pytest.fixture
def images():
    return torch.rand(4, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def at(transform, images, **values):
    return transform(images, transform.unit(values).expand(len(images), -1))


@pytest.mark.parametrize("padding", ["reflection", "border", "zeros"])
def test_the_neutral_point_changes_nothing(images, padding):
    transform = SemanticTransform(list(PARAMETERS), padding=padding)
    assert transform.physical(transform.neutral[None])[0].tolist() == [one.neutral for one in PARAMETERS.values()]
    assert torch.allclose(at(transform, images), images, atol=2e-6)


@pytest.mark.parametrize("degrees", [90, -90, 180])
def test_quarter_turns_are_exact(images, degrees):
    turned = at(SemanticTransform(["rotation"]), images, rotation=degrees)
    assert torch.allclose(turned, torch.rot90(images, degrees // 90, (2, 3)), atol=1e-5)


@pytest.mark.parametrize("padding", ["reflection", "border", "zeros"])
def test_a_whole_turn_comes_round(images, padding):
    turn = SemanticTransform({"rotation": (-180.0, 540.0)}, padding=padding)
    for degrees in (-180.0, 25.0):
        assert torch.allclose(at(turn, images, rotation=degrees), at(turn, images, rotation=degrees + 360), atol=2e-4)


@pytest.mark.parametrize(("height", "width"), [(12, 12), (10, 16)])
@pytest.mark.parametrize("degrees", [17.0, -63.0])
def test_rotation_is_torchvisions(degrees, height, width):
    picture = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(1))
    mine = at(SemanticTransform(["rotation"], padding="zeros"), picture, rotation=degrees)
    assert torch.allclose(mine, rotate(picture, degrees, InterpolationMode.BILINEAR), atol=2e-5)


def test_a_shift_by_whole_pixels(images):
    transform = SemanticTransform(["translate_x", "translate_y"], padding="zeros")
    moved = at(transform, images, translate_x=3 / 12, translate_y=-2 / 12)
    expected = torch.zeros_like(images)
    expected[..., :10, 3:] = images[..., 2:, :9]
    assert torch.allclose(moved, expected, atol=1e-5)


def test_scale_shows_half_of_the_picture_twice_as_large():
    # Brightness grows by 0.1 a pixel to the right; at twice the size by 0.05, and the middle stays.
    ramp = torch.linspace(-0.55, 0.55, 12).add(0.5).clamp(0, 1).expand(1, 3, 12, 12)
    larger = at(SemanticTransform(["scale"]), ramp, scale=1.0)[0, 0, 0]
    assert torch.allclose(larger, torch.linspace(-0.275, 0.275, 12).add(0.5), atol=1e-5)


def test_turned_and_shifted_the_shift_is_in_the_picture_not_in_the_object():
    dot = torch.zeros(1, 3, 13, 13)
    dot[..., 6, 6] = 1.0
    moved = at(SemanticTransform(["rotation", "translate_x"], padding="zeros"), dot, rotation=90.0, translate_x=2 / 13)
    assert moved[0, 0].argmax().item() == 6 * 13 + 8


def test_factors_are_torchvisions(images):
    for name, theirs in (("saturation", adjust_saturation), ("contrast", adjust_contrast)):
        for factor in (0.0, 0.5, 1.7):
            mine = at(SemanticTransform([name]), images, **{name: factor})
            assert torch.allclose(mine, theirs(images, factor), atol=2e-6)


def test_hue_leaves_gray_and_luma_and_comes_round(images):
    transform = SemanticTransform(["hue"], clamp=False)
    gray = images[:, :1].expand(-1, 3, -1, -1)
    assert torch.allclose(at(transform, gray, hue=0.3), gray, atol=2e-3)
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    turned = at(transform, images, hue=0.3)
    assert torch.allclose((turned * luma).sum(1), (images * luma).sum(1), atol=1e-5)
    assert torch.allclose(at(transform, images, hue=-0.5), at(transform, images, hue=0.5), atol=1e-5)
    assert torch.allclose(at(transform, turned, hue=-0.3), images, atol=1e-5)
    assert not torch.allclose(turned, images, atol=0.1)


def test_a_point_per_image(images):
    transform = SemanticTransform(["rotation", "brightness"])
    u = torch.rand(4, 2, generator=torch.Generator().manual_seed(2))
    before = images.clone()
    together = transform(images, u)
    assert torch.equal(images, before)
    for place in range(4):
        alone = transform(images[place : place + 1], u[place : place + 1])
        assert torch.allclose(together[place], alone[0], atol=1e-6)


@pytest.mark.parametrize("name", list(PARAMETERS))
def test_gradients_are_those_of_finite_differences(name):
    # A smooth picture: bilinear resampling has kinks where a position crosses a pixel.
    place = torch.linspace(-1, 1, 24, dtype=torch.float64)
    smooth = torch.stack([0.5 + 0.3 * torch.sin(2 * place[:, None] + k * place[None]) for k in (0.5, 1.0, 1.5)])[None]
    weights = torch.cos(3 * place)[:, None] * (place + 0.3)
    transform = SemanticTransform([name], clamp=False)

    def value(u):
        return (transform(smooth, u)[..., 6:18, 6:18] * weights[6:18, 6:18]).sum()

    u = torch.tensor([[0.53]], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(value(u), u)
    h = 1e-6
    with torch.no_grad():
        expected = (value(u + h) - value(u - h)) / (2 * h)
    assert slope.item() == pytest.approx(expected.item(), rel=1e-4)
    assert abs(slope.item()) > 1e-3


def test_a_clamped_pixel_still_has_a_gradient():
    u = torch.tensor([[1.0]], requires_grad=True)
    bright = SemanticTransform(["brightness"])(torch.ones(1, 3, 2, 2), u)
    assert bright.max().item() == 1.0
    (slope,) = torch.autograd.grad(bright.mean(), u)
    assert slope.item() == pytest.approx(0.5)


def test_what_does_not_exist_is_named(images):
    with pytest.raises(UnknownName, match="nearest: rotation"):
        SemanticTransform(["rotatoin"])
    with pytest.raises(UnknownName, match="nearest: hue"):
        SemanticTransform(["hue"]).unit({"huee": 0.1})
    with pytest.raises(SpecError, match="twice"):
        SemanticTransform(["hue", "hue"])
    with pytest.raises(SpecError, match="choose among rotation"):
        SemanticTransform([])
    with pytest.raises(SpecError, match="expected low < high"):
        SemanticTransform({"hue": (0.5, 0.5)})
    with pytest.raises(SpecError, match="begin at 0"):
        SemanticTransform({"contrast": (-1.0, 1.0)})
    with pytest.raises(SpecError, match="padding 'wrap'"):
        SemanticTransform(["hue"], padding="wrap")
    with pytest.raises(SpecError, match=r"got \(4, 2\)"):
        SemanticTransform(["hue"])(images, torch.zeros(4, 2))
    with pytest.raises(SpecError, match="float images"):
        SemanticTransform(["hue"])(images[:, :1], torch.zeros(4, 1))


def test_no_images_are_no_images(images):
    assert SemanticTransform(list(PARAMETERS))(images[:0], torch.zeros(0, len(PARAMETERS))).shape == (0, 3, 12, 12)


@pytest.mark.parametrize("padding", ["reflection", "border", "zeros"])
@pytest.mark.parametrize("value", [1e30, -1e30, torch.nan, torch.inf])
def test_points_far_outside_crash_nothing(images, padding, value):
    u = torch.full((4, 2), value, requires_grad=True)
    moved = SemanticTransform(["scale", "translate_x"], padding=padding)(images, u)
    moved.nan_to_num().sum().backward()
    assert moved.shape == images.shape
