"""The renderer: silhouettes by hand, symmetry, gradients, and a data set whose poses come back."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from biaskit import build, pose_space
from biaskit.analyzers import semantic_map
from biaskit.builders import pose_shapes
from biaskit.data import CORE
from biaskit.errors import DataError, SpecError, UnknownName
from biaskit.render import OBJECTS, ROUND, _rays, render
from biaskit.render._rays import DISTANCE, HALF_ANGLE
from biaskit.subject import Subject

PLAIN = torch.zeros(1, 4)


def seen(kind, azimuth=30.0, elevation=20.0, size=48, jitter=PLAIN):
    return render([kind], jitter, torch.tensor([azimuth]), torch.tensor([elevation]), size=size)[0, 0]


def test_the_front_of_a_cube_is_a_square_of_known_size():
    image = seen("cube", 0.0, 0.0, 96)
    # Half a side of 0.3, its front face at distance d - 0.3.
    half = 0.3 / (DISTANCE - 0.3) / math.tan(math.radians(HALF_ANGLE)) * 48
    assert image.sum().item() / 0.5 == pytest.approx((2 * half) ** 2, rel=0.03)
    assert image[48, 48].item() == pytest.approx(0.5, abs=0.01)  # its front is lit by nothing but what is everywhere


def test_from_above_it_is_lit_fully():
    image = seen("cube", 0.0, 90.0, 96)
    assert image[48, 48].item() == pytest.approx(1.0, abs=0.01)
    half = 0.3 / (DISTANCE - 0.3) / math.tan(math.radians(HALF_ANGLE)) * 48
    assert image.sum().item() == pytest.approx((2 * half) ** 2, rel=0.03)


@pytest.mark.parametrize("kind", list(OBJECTS))
def test_every_object_is_there_whole_and_comes_round(kind):
    image = seen(kind)
    assert 0.02 < (image > 0.25).float().mean() < 0.5
    border = torch.cat([image[0], image[-1], image[:, 0], image[:, -1]])
    assert border.max() == 0.0
    assert torch.allclose(seen(kind, 30.0 + 360.0), image, atol=2e-2)
    turned = (seen(kind, 95.0) - image).abs().mean().item()
    assert turned < 5e-3 if kind in ROUND else turned > 5e-3


@pytest.mark.parametrize(("kind", "elevation"), [("doughnut", 25.0), ("doughnut", 60.0)])
def test_gradients_of_contour_and_shading_are_those_of_finite_differences(kind, elevation):
    # Round bodies, whose brightness has no edges within: those move without a gradient.
    jitter = torch.tensor([[0.3, -0.2, 0.1, 0.4]], dtype=torch.float64)
    place = torch.linspace(-1, 1, 64, dtype=torch.float64)
    weights = 1.0 + 0.5 * place[:, None] + 0.3 * place[None]

    def value(azimuth, elevation):
        return (render([kind], jitter, azimuth, elevation, size=64)[0, 0] * weights).sum()

    at = [torch.tensor([one], dtype=torch.float64, requires_grad=True) for one in (40.0, elevation)]
    slopes = [one.item() for one in torch.autograd.grad(value(*at), at)]
    with torch.no_grad():
        expected = [(value(at[0] + d, at[1]) - value(at[0] - d, at[1])).item() / 2 for d in (torch.tensor([1.0]),)] + [
            (value(at[0], at[1] + d) - value(at[0], at[1] - d)).item() / 2 for d in (torch.tensor([1.0]),)
        ]
    assert slopes == pytest.approx(expected, rel=0.3, abs=0.35)


def test_gradients_point_the_way_that_brightness_goes():
    # Over all objects and many poses, edges inside objects included: right more often than not.
    generator, signs = torch.Generator().manual_seed(0), []
    kinds = [kind for kind in OBJECTS for _ in range(4)]
    jitter = torch.rand(len(kinds), 4, generator=generator) * 2 - 1
    azimuth = torch.rand(len(kinds), generator=generator) * 360
    elevation = (torch.rand(len(kinds), generator=generator) * 70).requires_grad_(True)
    weights = torch.linspace(0, 1, 32)[:, None]

    def values(at):
        return (render(kinds, jitter, azimuth, at, size=32)[:, 0] * weights).sum((1, 2))

    (slopes,) = torch.autograd.grad(values(elevation).sum(), elevation)
    with torch.no_grad():
        expected = (values(elevation + 2) - values(elevation - 2)) / 4
    signs = torch.sign(slopes) == torch.sign(expected)
    assert signs.float().mean() > 0.7


def several(each, seed=0):
    """Some of every kind, mixed: kinds, jitter, azimuth, elevation."""
    generator = torch.Generator().manual_seed(seed)
    kinds = list(OBJECTS) * each
    jitter, turn = (torch.rand(len(kinds), n, generator=generator) for n in (4, 2))
    return kinds, jitter * 2 - 1, turn[:, 0] * 360, turn[:, 1] * 100 - 10


def distances(kind, points, jitter):
    """Signed distances (M,) of points (M, 3), each of an instance of its own."""
    solid = OBJECTS[kind]
    return solid.distance(points.T[:, None], solid.lengths(jitter))[0]


@pytest.mark.parametrize("kind", list(OBJECTS))
def test_distances_are_at_most_the_way_to_the_surface(kind):
    # No distance changes by more than one walks: then a ray never steps through a surface.
    generator = torch.Generator().manual_seed(1)
    jitter = (torch.rand(5000, 4, generator=generator, dtype=torch.float64) * 2.2 - 1.1).clamp(-1, 1)
    points = torch.rand(5000, 3, generator=generator, dtype=torch.float64) * 2 - 1
    other = points + torch.randn(5000, 3, generator=generator, dtype=torch.float64) * 0.05
    here, there = distances(kind, points, jitter), distances(kind, other, jitter)
    ratio = (here - there).abs() / (points - other).norm(dim=1)
    if kind == "airplane":  # the distance to its body is a bound, good near the surface alone
        assert (ratio[here.abs() < 0.05] <= 1.3).all()
    else:
        assert (ratio <= 1 + 1e-9).all()
    low, high = (points.new_tensor(side) for side in (OBJECTS[kind].low, OBJECTS[kind].high))
    inside = points[here < 0]
    assert ((inside >= low) & (inside <= high)).all()


def test_a_turned_body_is_the_cylinder_by_hand():
    # The lower part of a bottle: radius 0.15, from -0.5 to 0.1.
    points = torch.tensor([[0.25, 0.0, 0.0], [0.0, -0.6, 0.05], [0.18, -0.54, 0.0], [0.0, -0.2, 0.12]])
    found = distances("bottle", points, torch.zeros(4, 4))
    assert found.tolist() == pytest.approx([0.1, 0.1, 0.05, -0.03], abs=1e-6)


def test_the_box_around_an_object_hides_nothing_of_it(monkeypatch):
    given = several(3)
    images = render(*given, size=32)
    wide = {kind: replace(one, low=(-0.85,) * 3, high=(0.85,) * 3) for kind, one in OBJECTS.items()}
    monkeypatch.setattr(_rays, "OBJECTS", wide)
    assert (render(*given, size=32) - images).abs().max() < 1e-3


def test_an_image_does_not_depend_on_the_others_of_its_batch():
    kinds, *numbers = several(2)
    together = render(kinds, *numbers, size=24)
    for place in range(len(kinds)):
        alone = render(kinds[place : place + 1], *(one[place : place + 1] for one in numbers), size=24)
        assert torch.equal(alone[0], together[place])


def test_parts_thinner_than_a_pixel_have_the_light_of_their_surface():
    # From above, wings are as bright as anything: their upper side, not what lies under it.
    wings = seen("airplane", 0.0, 90.0, 32)
    assert (wings[wings > 0.4] > 0.95).float().mean() > 0.6
    # The wall of a cup hides its lit floor: from the side it has the light of a wall that leans a little down.
    cup = seen("cup", 180.0, 10.0, 32)
    assert cup[14:20, 12:20].flatten().tolist() == pytest.approx([0.5] * 48, abs=1e-3)


@pytest.mark.parametrize(
    ("kind", "rise", "run"), [("bottle", 0.15 - 0.05, 0.06 + 0.1), ("vase", 0.27 - 0.09, 0.22 + 0.12)]
)
def test_no_seam_where_parts_of_a_turned_body_meet(kind, rise, run):
    # The brightest below the top is the slope between belly and neck; a seam would show the upper side of a part.
    image = seen(kind, 0.0, 10.0, 64)
    below = image[24:]
    assert below.max().item() == pytest.approx(0.5 + 0.5 * rise / math.hypot(rise, run), abs=5e-3)


def test_a_pose_that_is_not_a_number_is_no_black_image():
    found = render(["cube", "cone"], torch.zeros(2, 4), torch.tensor([0.0, math.nan]), torch.zeros(2), size=8)
    assert found.isnan().flatten(1).all(1).tolist() == [False, True]
    assert render([], torch.zeros(0, 4), torch.zeros(0), torch.zeros(0), size=8).shape == (0, 3, 8, 8)
    for size in (1, 2, 3):
        assert render(*several(1), size=size).isfinite().all()


def test_numbers_that_do_not_fit():
    with pytest.raises(DataError, match="no object 'pony'"):
        seen("pony")
    with pytest.raises(DataError, match="proportions"):
        render(["cube"], torch.zeros(2, 4), torch.zeros(1), torch.zeros(1), size=16)


@pytest.fixture(scope="module")
def small():
    return build("pose-shapes-sector", set=["builder.0.train_images=40", "builder.0.test_images=40"])


def test_training_sees_its_sectors_and_test_sees_all(small):
    parts = small.table.groupby("split", observed=True)["sector"].unique()
    assert sorted(parts["train"], key=str) == sorted(["0-45", "45-90", "90-135", "135-180"])
    assert len(parts["test"]) == 8
    assert small.group_by == ("sector",)


def test_the_same_objects_come_back_from_the_card(small, tmp_path):
    space = pose_space(small)
    rows = torch.tensor([3, 41, 70])
    again = space.show(rows, space.neutral(rows)).mul(255).round()
    assert (again - small.images.gather(rows)).abs().max() <= 1
    poses = space.images.poses
    low = torch.tensor([float(str(one).split("-")[0]) for one in small.table["sector"]])
    assert ((poses[:, 0] >= low) & (poses[:, 0] < low + 45)).all()
    with pytest.raises(DataError, match="not rendered"):
        pose_space(build("colordigits"))
    fewer = small.replace(images=small.images, table=small.table.iloc[::-1].reset_index(drop=True))
    with pytest.raises(DataError, match="does not have the rows"):
        pose_space(fewer)


def test_poses_out_of_their_domain_are_named(small):
    space = pose_space(small)
    for ranges, message in (
        ({"azimuth": (0.0, math.inf)}, "not finite"),
        ({"azimuth": (90.0, 90.0)}, "low < high"),
        ({"elevation": (0.0, 120.0)}, "over the top"),
    ):
        with pytest.raises(SpecError, match=message):
            space.restricted(["azimuth", "elevation"], ranges)
    with pytest.raises(SpecError, match="elevation stands twice"):
        space.restricted(["azimuth", "elevation", "elevation"], {})
    with pytest.raises(UnknownName, match="nearest: azimuth"):
        space.restricted(["azimut"], {})
    assert space.restricted(["elevation"], {"elevation": (-90.0, 90.0)}).ranges == {"elevation": (-90.0, 90.0)}


def test_masks_are_the_object(small):
    rows = torch.arange(20)
    masks, images = small.masks.gather(rows), small.images.gather(rows)
    assert ((masks[:, 0] == CORE) == (images[:, 0] >= 64)).all()


def test_a_tied_sector_has_twins():
    data = pose_shapes(
        None, np.random.default_rng(0), attribute="sector", train=(0.9,), test=(0.125,), train_images=80, test_images=40
    )
    table = data.table
    twins = np.flatnonzero(table["split"] == "twin")
    assert len(twins) == 40
    before = table["pair"].to_numpy()[twins]
    assert (table["sector"].to_numpy()[twins] != table["sector"].to_numpy()[before]).all()
    assert (table["band"].to_numpy()[twins] == table["band"].to_numpy()[before]).all()
    assert torch.equal(data.images.jitter[twins], data.images.jitter[before])
    assert torch.equal(data.images.poses[twins, 1], data.images.poses[before, 1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sectors": ("0-30",)}, "sectors: no '0-30'"),
        ({"classes": ("cube",)}, "two or more"),
        ({"attribute": "sector"}, "needs strengths"),
        ({"train": (0.5,)}, "ties an attribute"),
        ({"attribute": "sector", "train": (0.9,), "test": (0.125,), "sectors": ("0-45",)}, "leave out sectors"),
    ],
)
def test_options_that_do_not_fit(options, message):
    with pytest.raises(SpecError, match=message):
        pose_shapes(None, np.random.default_rng(0), **options)


def test_maps_of_poses(small):
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 10))
    found = semantic_map(Subject(model, small), parameters=["azimuth", "elevation"], points=3, images=6, pictures=1)
    assert "azimuth from 0 to 360 degrees" in found.notes[0]
    assert found.details["elevation (degrees)"].unique().tolist() == [-10.0, 40.0, 90.0]
    with pytest.raises(SpecError, match="one kind"):
        semantic_map(Subject(model, small), parameters=["azimuth", "hue"])
