import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from biaskit import builders
from biaskit.builders._patch import _Patch
from biaskit.builders._planting import _counts, assign, with_labels
from biaskit.builders._texture import _Texture
from biaskit.data import CORE, SPURIOUS, Source
from biaskit.errors import SpecError
from biaskit.images import ArrayImages

#: Those that plant in the images of a source.
NAMES = [name for name in builders.__all__ if name not in ("shapes", "pose_shapes")]


def rng(seed=0):
    return np.random.default_rng(seed)


def pixels(data, row):
    """One image as (H, W, C)."""
    return data.images.gather(torch.tensor([row]))[0].permute(1, 2, 0).numpy()


def mask(data, row):
    return data.masks.gather(torch.tensor([row]))[0, 0].numpy()


def of(data, split, **values):
    """The first row of a split with these values."""
    picked = data.table["split"] == split
    for name, value in values.items():
        picked &= data.table[name] == value
    return int(np.flatnonzero(picked)[0])


def even(gray, image, **options):
    """Both values for both labels in both splits."""
    labels = [0, 1] * 8
    return gray(image, labels, ["train"] * 8 + ["test"] * 8, **options)


# ------------------------------------------------------------------------------------------- formulas by hand


def test_background_of_gray_images(gray):
    # red (1, v, v), blue (v, v, 1)
    data = builders.background_color(even(gray, [[0, 51], [128, 255]]), rng(), train=(0.5, 0.5), test=(0.5, 0.5))
    red, blue = pixels(data, of(data, "train", color="red")), pixels(data, of(data, "train", color="blue"))
    assert red.tolist() == [[[255, 0, 0], [255, 51, 51]], [[255, 128, 128], [255, 255, 255]]]
    assert blue.tolist() == [[[0, 0, 255], [51, 51, 255]], [[128, 128, 255], [255, 255, 255]]]


def test_background_of_any_color_on_colored_images(gray):
    # x + (1 - v) b: with v = 0.2 and b = (128, 64, 32), 51 + 0.8 * (128, 64, 32) = (153.4, 102.2, 76.6);
    # (51, 0, 0) has v = 0.2 too, and (255, 0, 0) has v = 1 and stays.
    image = [[[0, 0, 0], [51, 51, 51], [51, 0, 0], [255, 0, 0]]]
    data = builders.background_color(
        even(gray, image), rng(), values=("#804020", "black"), train=(0.5, 0.5), test=(0.5, 0.5)
    )
    painted = pixels(data, of(data, "train", color="#804020"))
    assert painted.tolist() == [[[128, 64, 32], [153, 102, 77], [153, 51, 26], [255, 0, 0]]]
    assert pixels(data, of(data, "train", color="black")).tolist() == image


def test_foreground(gray):
    image = [[[100, 100, 100], [200, 100, 50], [0, 0, 0]]]
    data = builders.foreground_color(even(gray, image), rng(), values=("orange", "purple"), train=(0.5,), test=(0.5,))
    # orange (1, 0.5, 0), purple (0.5, 0, 1)
    assert pixels(data, of(data, "test", color="orange")).tolist() == [[[100, 50, 0], [200, 50, 0], [0, 0, 0]]]
    assert pixels(data, of(data, "test", color="purple")).tolist() == [[[50, 0, 100], [100, 0, 50], [0, 0, 0]]]


@pytest.mark.parametrize(
    ("count", "side", "corners"),
    [
        (2, 8, [(0, 0), (7, 7)]),
        (4, 8, [(0, 0), (0, 7), (7, 7), (7, 0)]),
        # A third of the way round is a third down the right edge: 7 / 3 = 2.3; and 2.3 from the left at the bottom.
        (3, 8, [(0, 0), (2, 7), (7, 2)]),
        # 15 % of 28 is 4.2, so 4 pixels, and the last corner begins at 24.
        (2, 28, [(0, 0), (24, 24)]),
    ],
)
def test_places_of_the_patch(count, side, corners):
    marks = _Patch(count, torch.ones(1, 3), 0.15).place(side, side)
    width = 1 if side == 8 else 4
    for mark, (top, left) in zip(marks[:, 0], corners, strict=True):
        expected = torch.zeros(side, side, dtype=torch.bool)
        expected[top : top + width, left : left + width] = True
        assert torch.equal(mark, expected)


def test_the_patch_is_measured_by_the_shorter_side(gray):
    image = np.full((6, 20), 7, np.uint8)
    data = builders.patch(even(gray, image), rng(), train=(0.5,), test=(0.5,), size=0.5, color="orange")
    left, right = pixels(data, of(data, "test", patch="left")), pixels(data, of(data, "test", patch="right"))
    assert left[:3, :3].reshape(-1, 3).tolist() == [[255, 128, 0]] * 9
    assert right[3:, 17:].reshape(-1, 3).tolist() == [[255, 128, 0]] * 9
    assert (left == 7).all(axis=2).sum() == (right == 7).all(axis=2).sum() == 6 * 20 - 9


def test_stripes_by_hand():
    # s (1 + sin(2 pi d / 4)) / 2 at d = 0, 1, 2, 3 is s (1/2, 1, 1/2, 0).
    paint = _Texture(2, 4.0, 0.6)
    black, phase = torch.zeros(2, 3, 4, 4), torch.zeros(2)
    across = torch.tensor([0.3, 0.6, 0.3, 0.0])
    horizontal, vertical = paint(black, black[:, :1], torch.tensor([0, 1]), phase)
    assert torch.allclose(horizontal, across[:, None].expand(3, 4, 4), atol=1e-6)
    assert torch.allclose(vertical, across[None, :].expand(3, 4, 4), atol=1e-6)
    # A quarter period later d = 0 is the crest.
    assert torch.allclose(
        paint(black, black[:, :1], torch.tensor([0, 1]), phase + 0.25)[0, 0, :, 0],
        torch.tensor([0.6, 0.3, 0.0, 0.3]),
        atol=1e-6,
    )
    # The stripes fill what is dark: nothing at v = 1, half of them at v = 0.5.
    value = torch.full((1, 1, 4, 4), 0.5)
    half = paint(value.expand(1, 3, 4, 4), value, torch.tensor([0]), torch.zeros(1))
    assert torch.allclose(half[0, 0, :, 0], 0.5 + across / 2, atol=1e-6)


def test_four_stripes_turn_by_45_degrees():
    black = torch.zeros(4, 3, 8, 8)
    painted = _Texture(4, 4.0, 1.0)(black, black[:, :1], torch.arange(4), torch.zeros(4))[:, 0]
    rising, falling = painted[1], painted[3]
    assert torch.allclose(rising[1:, :-1], rising[:-1, 1:], atol=1e-5)  # constant where x + y is
    assert torch.allclose(falling[1:, 1:], falling[:-1, :-1], atol=1e-5)  # constant where x - y is
    assert torch.allclose(painted[2], painted[0].T, atol=1e-5)


# ------------------------------------------------------------------------------------------------- symmetries


def test_red_and_blue_change_places(gray):
    image = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    source = gray(image, [0, 1] * 50, ["train"] * 60 + ["test"] * 40)
    shares = {"train": (0.95, 0.05), "test": (0.05, 0.95)}
    one = builders.background_color(source, rng(), values=("red", "blue"), **shares)
    other = builders.background_color(source, rng(), values=("blue", "red"), **shares)
    every = torch.arange(len(one))
    assert torch.equal(one.images.gather(every), other.images.gather(every).flip(1))
    assert torch.equal(one.masks.gather(every), other.masks.gather(every))
    assert (one.table["color"].cat.codes == other.table["color"].cat.codes).all()
    assert one.groups["train"].tolist() == other.groups["train"].tolist()


def test_mirrored_shares_give_mirrored_counts(gray):
    source = gray([[0]], [0, 1] * 500, ["train"] * 600 + ["test"] * 400)
    counts = {}
    for share in (0.95, 0.05):
        data = builders.background_color(source, rng(), train=(share, 1 - share), test=(1 - share, share))
        rows = data.table[data.table["split"] != "twin"]
        counts[share] = rows.groupby(["split", "color"], observed=False).size().unstack().to_dict()
    assert counts[0.95]["red"] == counts[0.05]["blue"] == {"train": 570, "test": 20, "twin": 0}


# ------------------------------------------------------------------------------------------------------ twins


@pytest.mark.parametrize("name", NAMES)
def test_each_test_image_has_one_twin_that_differs_in_the_attribute_alone(name, gray):
    image = np.arange(144, dtype=np.uint8).reshape(12, 12) + 90
    image[3:9, 3:9] = 255
    image[0, :] = 0
    options = {"regime": "correlated", "train": (0.7,), "test": (0.4,)}
    data = getattr(builders, name)(gray(image, [0, 1, 2] * 10, ["train"] * 12 + ["test"] * 18), rng(), **options)
    table, attribute = data.table, data.attributes[0]
    tested, twins = data.rows("test"), data.rows("twin")
    assert len(data) == 30 + 18
    assert len(twins) == len(tested)
    assert sorted(table["pair"][tested]) == twins.tolist()
    assert (table["pair"].to_numpy()[table["pair"][tested]] == tested).all()
    assert (table["pair"][data.rows("train")] == -1).all()
    assert set(table["swapped"][twins]) == {attribute}
    assert set(table["swapped"][data.rows("train")]) == set(table["swapped"][tested]) == {""}
    pairs = table["pair"].to_numpy()[tested]
    assert (data.labels[tested] == data.labels[pairs]).all()
    assert (table[attribute].to_numpy()[tested] != table[attribute].to_numpy()[pairs]).all()

    one = data.images.gather(torch.from_numpy(tested))
    other = data.images.gather(torch.from_numpy(pairs))
    differs = (one != other).any(dim=1)
    value = torch.from_numpy(image.astype(np.float32) / 255)
    acts = {
        "background_color": value < 1,
        "texture": value < 1,
        "foreground_color": value > 0,
        "patch": _Patch(2, torch.ones(1, 3), 0.15).place(12, 12).any(dim=0)[0],
    }[name]
    assert not differs[:, ~acts].any()
    assert differs.flatten(1).any(dim=1).all()


def test_the_other_values_are_drawn_evenly(gray):
    values = ("red", "green", "blue", "yellow")
    data = builders.background_color(
        gray([[0]], [0, 1] * 6000, ["test"] * 12000), rng(), values=values, train=(0.25,) * 4, test=(0.25,) * 4
    )
    tested = data.rows("test")
    codes = data.table["color"].cat.codes.to_numpy()
    step = (codes[data.table["pair"].to_numpy()[tested]] - codes[tested]) % 4
    counts = np.zeros((4, 4), int)
    np.add.at(counts, (codes[tested], step), 1)
    assert counts[:, 0].tolist() == [0] * 4
    assert chisquare(counts[:, 1:].ravel()).pvalue > 0.001


def test_stripes_of_a_twin_keep_their_phase(gray):
    image = np.zeros((16, 16), np.uint8)
    data = builders.texture(gray(image, [0, 1] * 4, ["test"] * 8), rng(), test=(0.5,))
    for row in data.rows("test"):
        pair = int(data.table["pair"][row])
        assert np.array_equal(pixels(data, int(row))[..., 0], pixels(data, pair)[..., 0].T)


def test_stripes_planted_second_are_those_of_the_pair_too(gray):
    image = np.full((8, 8), 30, np.uint8)
    colored = builders.background_color(gray(image, [0, 1] * 6, ["test"] * 12), rng(), test=(0.5, 0.5))
    data = builders.texture(colored, rng(1), test=(0.5,))
    for twin in data.rows("twin"):
        original = int(data.table["pair"][twin])
        # Neither red nor blue has green: that channel shows the stripes alone.
        same = np.array_equal(pixels(data, int(twin))[..., 1], pixels(data, original)[..., 1])
        assert same == (data.table["swapped"][twin] == "color")


def test_two_shortcuts_and_each_twin_differs_in_one(gray):
    image = np.full((8, 8), 40, np.uint8)
    source = gray(image, [0, 1] * 12, ["train"] * 8 + ["test"] * 16)
    colored = builders.background_color(source, rng(0), train=(0.5, 0.5), test=(0.5, 0.5))
    data = builders.patch(colored, rng(1), train=(0.75,), test=(0.5,))
    table = data.table
    assert data.group_by == ("color", "patch")
    assert data.group_shape == (2, 2, 2)
    assert {split: len(data.rows(split)) for split in data.splits} == {"train": 8, "test": 16, "twin": 32}
    # What the first builder gave stays as it was.
    assert table["color"][:40].tolist() == colored.table["color"].tolist()

    seen = []
    for twin in data.rows("twin"):
        original = int(table["pair"][twin])
        assert table["split"][original] == "test"
        changed = [name for name in ("label", "color", "patch") if table[name][twin] != table[name][original]]
        assert changed == [table["swapped"][twin]]
        seen.append((original, changed[0]))
        differs = (pixels(data, int(twin)) != pixels(data, original)).any(axis=2)
        corners = np.zeros((8, 8), bool)
        corners[0, 0] = corners[7, 7] = True
        white = mask(data, original) == SPURIOUS  # one corner: the background is neither dark nor bright here
        if changed == ["patch"]:
            assert np.array_equal(differs, corners)
        else:
            assert not differs[corners & (pixels(data, original) == 255).all(axis=2)].any()
            assert differs[~corners].all()
        assert white.sum() >= 1
    assert sorted(seen) == sorted((int(row), name) for row in data.rows("test") for name in ("color", "patch"))
    for row in data.rows("test"):
        assert table["pair"][int(table["pair"][row])] == row


# ------------------------------------------------------------------------------------------------------ masks

LEVELS = [0, 63, 64, 127, 128, 255]  # 63/255 < 1/4 < 64/255 and 127/255 < 1/2 < 128/255


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("background_color", [SPURIOUS, SPURIOUS, 0, 0, CORE, CORE]),
        ("texture", [SPURIOUS, SPURIOUS, 0, 0, CORE, CORE]),
        ("foreground_color", [0, 0, 0, 0, CORE | SPURIOUS, CORE | SPURIOUS]),
        ("patch", [SPURIOUS, 0, 0, 0, CORE, CORE]),
    ],
)
def test_masks_by_hand(name, expected, gray):
    options = {"regime": "correlated", "train": (1.0,), "test": (1.0,)}
    data = getattr(builders, name)(gray([LEVELS] * 6, [0, 1], ["train", "test"]), rng(), **options)
    assert data.masks.shape == (1, 6, 6)
    assert mask(data, 0)[0].tolist() == expected


def test_the_patch_hides_the_core(gray):
    white = np.full((8, 8), 255, np.uint8)
    data = builders.patch(gray(white, [0, 1], ["train", "test"]), rng(), train=(1.0,), test=(1.0,), color="black")
    expected = np.full((8, 8), CORE)
    expected[0, 0] = SPURIOUS
    assert np.array_equal(mask(data, 0), expected)


def test_masks_of_two_shortcuts_join(gray):
    options = {"regime": "correlated", "train": (1.0,), "test": (1.0,)}
    source = gray([LEVELS] * 6, [0, 1], ["train", "test"])
    data = builders.patch(builders.background_color(source, rng(), **options), rng(), values=("a", "b"), **options)
    assert mask(data, 0).tolist() == [[2, 2, 0, 0, 1, 1]] * 6
    assert mask(data, of(data, "test", patch="b")).tolist() == [[2, 2, 0, 0, 1, 1]] * 5 + [[2, 2, 0, 0, 1, 2]]
    # Brightness is that of the untouched image: the painted background does not become core.
    assert pixels(data, 0)[5, 0].max() == 255


@pytest.mark.parametrize(("height", "width"), [(8, 8), (9, 7)])
def test_many_images_are_painted_as_few_are(height, width):
    """Large gray sets in few colors go through a table of pixel pairs; an odd width does not fit it."""
    count = 4200
    gray_values = np.random.default_rng(3).integers(0, 256, (count, height, width, 1), np.uint8)
    split = np.array(["train", "test"] * (count // 2))
    source = Source(ArrayImages(gray_values), np.arange(count) // 2 % 2, ("0", "1"), split, "random")
    data = builders.background_color(source, rng(), train=(0.5, 0.5), test=(0.5, 0.5))
    rows = torch.from_numpy(np.random.default_rng(4).permutation(count)[:500])
    found = data.images.gather(rows).permute(0, 2, 3, 1).numpy()
    value, full = gray_values[rows.numpy()], np.full((500, height, width, 1), 255, np.uint8)
    red = (data.table["color"].to_numpy()[rows.numpy()] == "red")[:, None, None, None]
    expected = np.where(red, np.concatenate([full, value, value], 3), np.concatenate([value, value, full], 3))
    assert np.array_equal(found, expected)
    marks = CORE * (value[..., 0] > 127) + SPURIOUS * (value[..., 0] < 64)
    assert np.array_equal(data.masks.gather(rows)[:, 0].numpy(), marks)


# ------------------------------------------------------------------------------------------------------ counts


def table_of(labels, split, **options):
    classes = tuple(str(one) for one in range(max(labels) + 1))
    codes, environment = assign(np.asarray(labels), np.asarray(split), classes, rng(), **options)
    return codes, environment


def test_correlated_strength_is_exact_in_every_label():
    labels = np.repeat([0, 1, 2], [40, 100, 21])
    split = np.array(["train"] * len(labels), dtype="<U5")
    codes, environment = table_of(
        labels, split, values=("a", "b", "c"), regime="correlated", train=(0.9,), test=(0.5,), own=("c", "a", "b")
    )
    assert environment is None
    counts = [np.bincount(codes[labels == label], minlength=3).tolist() for label in range(3)]
    # 36 of 40, 90 of 100, and 18.9, so 19, of 21; the rest is split evenly between the others.
    assert [counts[0][2], counts[1][0], counts[2][1]] == [36, 90, 19]
    assert sorted(counts[0]) == [2, 2, 36]
    assert sorted(counts[1]) == [5, 5, 90]
    assert sorted(counts[2]) == [1, 1, 19]


def test_which_other_value_gets_the_odd_row_is_drawn():
    labels = np.arange(200).repeat(10)
    codes, _ = table_of(
        labels,
        ["train"] * 2000,
        values=("a", "b", "c"),
        regime="correlated",
        train=(0.9,),
        test=(0.5,),
        own=("a",) * 200,
    )
    counts = np.bincount(codes)
    assert counts[0] == 1800
    assert abs(int(counts[1]) - 100) < 4 * np.sqrt(200) / 2


@pytest.mark.parametrize(("strength", "own"), [(0.0, 0), (1.0, 30)])
def test_correlated_extremes(strength, own):
    codes, _ = table_of(
        [0] * 30 + [1] * 30, ["test"] * 60, values=("a", "b"), regime="correlated", train=(0.5,), test=(strength,)
    )
    assert int((codes[:30] == 0).sum()) == int((codes[30:] == 1).sum()) == own


def test_without_own_labels_share_the_values_in_blocks():
    labels = np.arange(10).repeat(2)
    codes, _ = table_of(labels, ["train"] * 20, values=("red", "blue"), regime="correlated", train=(1.0,), test=(1.0,))
    assert codes.tolist() == [0] * 10 + [1] * 10


def test_shift_tells_nothing_about_the_label():
    labels = np.repeat([0, 1], [6000, 4000])
    codes, _ = table_of(labels, ["train"] * 10000, values=("a", "b"), regime="shift", train=(0.9, 0.1), test=(0.5, 0.5))
    assert np.bincount(codes).tolist() == [9000, 1000]
    # 600 of the rare value are expected with label 0, with a hypergeometric standard deviation of 14.7.
    assert abs(int(((codes == 1) & (labels == 0)).sum()) - 600) < 4 * 14.7


@pytest.mark.parametrize(
    ("rows", "shares", "counts"),
    [
        (60000, (0.95, 0.05), [57000, 3000]),
        (997, (0.95, 0.05), [947, 50]),  # 947.15 and 49.85
        (7, (0.5, 0.25, 0.25), [3, 2, 2]),  # 3.5, 1.75, 1.75: the largest remainders go up
        (10, (1 / 3, 1 / 3, 1 / 3), [4, 3, 3]),
        (5, (1.0, 0.0), [5, 0]),
        (0, (0.5, 0.5), [0, 0]),
    ],
)
def test_shares_as_counts(rows, shares, counts):
    assert _counts(rows, shares, tuple("abc"[: len(shares)]), "train").tolist() == counts


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 100_000), st.lists(st.floats(0, 1), min_size=2, max_size=8))
def test_counts_add_up_and_miss_by_less_than_one(rows, weights):
    total = sum(weights)
    shares = tuple(one / total for one in weights) if total > 1e-6 else (1.0,) + (0.0,) * (len(weights) - 1)
    counts = _counts(rows, shares, tuple(map(str, range(len(shares)))), "train")
    assert counts.sum() == rows
    assert (np.abs(counts - np.asarray(shares) * rows) < 1 + 1e-6).all()


def test_environments(gray):
    source = gray([[200]], [0, 1] * 100, ["train"] * 120 + ["test"] * 80)
    data = builders.foreground_color(source, rng(), train=(0.9, 0.8), test=(0.1,))
    assert data.attributes == ("color", "environment")
    assert data.group_by == ("color",)
    own = data.table["color"].cat.codes == data.labels
    found = own.groupby(data.table["environment"].astype(str)).agg(["size", "sum"])
    halves = found.loc[["train-0", "train-1"]]
    assert halves["size"].tolist() == [60, 60]
    # Labels fall by chance to the two halves, so a strength may miss by half a row of each label.
    assert abs(halves.loc["train-0", "sum"] - 54) <= 1
    assert abs(halves.loc["train-1", "sum"] - 48) <= 1
    tested = data.table["split"] == "test"
    assert (int(tested.sum()), int((own & tested).sum())) == (80, 8)
    assert set(data.table["environment"][data.rows("twin")]) == {"test"}


def test_noise_and_merged_labels_are_exact():
    labels = np.arange(400) % 4
    source = Source(
        ArrayImages(np.zeros((400, 1, 1, 1), np.uint8)), labels, tuple("abcd"), np.repeat(["train", "test"], 200), "x"
    )
    changed = with_labels(source, rng(), noise=0.25)
    wrong = changed.labels != labels
    assert (int(wrong[:200].sum()), int(wrong[200:].sum())) == (50, 0)
    assert set(np.unique((changed.labels - labels)[wrong] % 4)) == {1, 2, 3}

    merged = with_labels(source, rng(), merge={"vowel": ["a"], "rest": ["d", "b", "c"]})
    assert merged.classes == ("vowel", "rest")
    assert merged.labels.tolist() == (labels > 0).astype(int).tolist()
    assert source.labels is labels
    assert labels.tolist() == (np.arange(400) % 4).tolist()

    binary = with_labels(dataclasses.replace(source), rng(), merge={"x": ["a", "b"], "y": ["c", "d"]}, noise=0.5)
    assert int((binary.labels != labels // 2)[:200].sum()) == 100


# ------------------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("background_color", {"train": (0.5, 0.4)}, r"train = \[0.5, 0.4\] must .* add up to 1"),
        ("background_color", {"test": (1.0,)}, r"test = \[1.0\] must give one share for each of red, blue"),
        ("background_color", {"values": ("red",), "train": (1.0,)}, r"two or more different names; got red"),
        ("background_color", {"values": ("red", "red")}, r"two or more different names; got red, red"),
        ("background_color", {"values": ("red", "bleu")}, r"no color 'bleu'; write #rrggbb or one of blue"),
        ("background_color", {"values": ("red", "#12345g")}, r"no color '#12345g'"),
        ("background_color", {"own": ("red", "blue")}, r"own belongs to regime 'correlated'"),
        ("foreground_color", {"own": ("red",)}, r"own lists 1 values for 2 labels \(0, 1\)"),
        ("foreground_color", {"own": ("red", "blue")}, r"own: 'blue' is not among the values red, green"),
        ("foreground_color", {"test": (0.1, 0.2)}, r"needs one strength for test; got \[0.1, 0.2\]"),
        ("patch", {"attribute": "label"}, r"attribute = 'label': tables have a column of that name"),
        ("patch", {"attribute": "row"}, r"attribute = 'row'"),
        ("patch", {"attribute": "environment", "train": (0.9, 0.8)}, r"a column 'environment'; there is one already"),
        ("patch", {"color": "whyte"}, r"no color 'whyte'"),
    ],
)
def test_options_that_do_not_fit(name, options, message, gray):
    with pytest.raises(SpecError, match=message):
        getattr(builders, name)(even(gray, [[0]]), rng(), **options)


def test_two_builders_that_clash(gray):
    colored = builders.foreground_color(even(gray, [[0]]), rng(), train=(0.9, 0.8))
    with pytest.raises(SpecError, match="two builders plant an attribute called 'color'"):
        builders.background_color(colored, rng())
    with pytest.raises(SpecError, match="there is one already"):
        builders.patch(colored, rng(), train=(0.9, 0.8))


@pytest.mark.parametrize("name", NAMES)
def test_building_leaves_its_input_alone(name, gray):
    source = even(gray, np.arange(36, dtype=np.uint8).reshape(6, 6))
    before = source.images.gather(torch.arange(16)).clone()
    options = {"regime": "correlated", "train": (0.9,), "test": (0.5,)}
    first = getattr(builders, name)(source, rng(), **options)
    again = getattr(builders, name)(source, rng(), **options)
    other = getattr(builders, name)(source, rng(1), **options)
    assert torch.equal(source.images.gather(torch.arange(16)), before)
    assert first.fingerprint == again.fingerprint != other.fingerprint
