"""The procedural set: what the table says is what the pixels, masks and concepts show."""

import math

import numpy as np
import pytest
import torch

import biaskit as bk
from biaskit._build import draws_images
from biaskit.builders import background_color, patch, shapes
from biaskit.builders._shapes_images import COLORS, DRAWS, EXTENT, FINE, PLACE, VALUES, _majority, _sampled
from biaskit.builders._shapes_objects import ACCENTS, JITTER, OBJECTS, parts_of
from biaskit.cli.build import contingency_lines
from biaskit.concepts import CATEGORIES
from biaskit.data import CORE, SPURIOUS
from biaskit.disk import open_dataset, save_dataset, verify
from biaskit.errors import SpecError
from biaskit.images import ArrayImages
from biaskit.specs import load_card

SEEN = ("color", "material", "texture", "scene", "position", "size")


def draw(seed=0, train_images=10, test_images=40, **options):
    return shapes(None, np.random.default_rng(seed), train_images=train_images, test_images=test_images, **options)


def tied(attribute, seed=0, test_images=40, **options):
    count = len(options.get(f"{attribute}s", VALUES[attribute]))
    return draw(seed, test_images=test_images, attribute=attribute, train=(0.9,), test=(1 / count,), **options)


def pixels(data, rows=None):
    return data.images.gather(torch.arange(len(data)) if rows is None else torch.as_tensor(rows, dtype=torch.long))


def marks(data, rows=None):
    return data.masks.gather(torch.arange(len(data)) if rows is None else torch.as_tensor(rows))[:, 0]


def planes(data, rows=None):
    """Planes by category."""
    found = data.concepts.gather(torch.arange(len(data)) if rows is None else torch.as_tensor(rows))
    return dict(zip(CATEGORIES, found.unbind(1), strict=True))


def number(data, category, name):
    """The label number of a concept."""
    labels = list(zip(data.concepts.categories, data.concepts.names, strict=True))
    return 1 + labels.index((category, name))


def covered(data, rows, accents=None):
    """The share of each pixel that the object covers, or its parts in (not in) the object's own color."""
    found = []
    for row in rows:
        label = int(data.images.labels[row])
        counts = _sampled([one.inside for one in data.images._layers(label, torch.tensor([row]))[0]])
        colors = [color for _, color in parts_of(data.images.kinds[label])]
        chosen = [count for count, color in zip(counts, colors, strict=True) if accents in (None, bool(color))]
        found.append(sum(chosen)[0] / FINE**2)
    return torch.stack(found)


# ------------------------------------------------------------------------------------------------------- geometry


def field(size, inside):
    steps = (torch.arange(size * FINE) + 0.5) / FINE
    return inside(steps[None, None, :], steps[None, :, None])


def test_the_area_of_a_circle():
    size, radius = 64, 22.3
    circle = field(size, lambda x, y: ((x - 31.7) ** 2 + (y - 32.4) ** 2).sqrt() - radius)
    (counts,) = _sampled([circle])
    area = math.pi * radius**2
    assert abs(float(counts.sum()) / FINE**2 - area) < 0.003 * area
    assert abs(int((_majority([counts]) > 0).sum()) - area) < 0.01 * area


def test_samples_by_hand():
    # Two pixels in a row: the lower layer takes x < 1.4, the upper one x > 1.2 and y < 0.4. Samples: 1/6, 1/2, 5/6.
    x, y = torch.arange(6)[None, None, :] / 3 + 1 / 6, torch.arange(3)[None, :, None] / 3 + 1 / 6
    lower, upper = x - 1.4 + 0 * y, torch.maximum(1.2 - x, y - 0.4)
    one, two = _sampled([lower, upper])
    # In the second pixel x = 7/6 is the lower's, 9/6 and 11/6 nobody's except in the first row, where they are the
    # upper's.
    assert one.tolist() == [[[9, 3]]]
    assert two.tolist() == [[[0, 2]]]
    assert _majority([one, two]).tolist() == [[[1, 1]]]  # five of nine show the object, three of them the lower layer
    assert _majority([one - 1, two]).tolist() == [[[1, 0]]]  # four of nine do not
    assert _majority([torch.tensor([[[3]]]), torch.tensor([[[3]]])]).tolist() == [[[2]]]  # of two the upper one


@pytest.mark.parametrize("name", list(OBJECTS))
def test_an_object_fits_its_square_and_shows_every_part(name):
    steps = torch.linspace(-1.3, 1.3, 131)
    numbers = list(torch.from_numpy(np.random.default_rng(0).random((JITTER, 200, 1, 1), np.float32)))
    layers = OBJECTS[name](steps.expand(200, 1, -1), steps[:, None].expand(200, -1, -1), numbers)
    assert [(one.part, one.color) for one in layers] == list(parts_of(name))
    assert len({one.part for one in layers}) >= 2
    assert {one.color for one in layers} <= {"", *ACCENTS}
    assert any(not one.color for one in layers), "a part in the object's own color"
    object_ = torch.stack([one.inside < 0 for one in layers]).any(dim=0)
    outside = torch.maximum(steps[None, :].abs(), steps[:, None].abs()) > 1.001
    assert not object_[:, outside].any()
    top = torch.zeros(200, 131, 131, dtype=torch.long)
    for place, one in enumerate(layers):
        top[(one.inside < 0).expand_as(top)] = place + 1
    for place in range(len(layers)):
        assert ((top == place + 1).flatten(1).sum(dim=1) >= 8).all(), f"{layers[place].part} is hidden"
    assert len({int(one.sum()) for one in object_}) > 50, "objects of a kind differ"


def test_objects_lie_in_the_picture():
    data = draw(test_images=600, sizes=("large",))
    core = marks(data) & CORE > 0
    edge = torch.zeros(48, 48, dtype=torch.bool)
    edge[[0, -1]] = edge[:, [0, -1]] = True
    assert (core & edge).flatten(1).any(dim=1).float().mean() < 0.02
    share = core.flatten(1).float().mean(dim=1)
    assert float(share.min()) > 0.06
    assert float(share.max()) < 0.45


# --------------------------------------------------------------------------------------------------------- counts


def crosstab(data, split, attribute):
    rows = data.rows(split)
    counts = np.zeros((len(data.classes), len(data.table[attribute].cat.categories)), int)
    np.add.at(counts, (data.labels[rows], data.table[attribute].cat.codes.to_numpy()[rows]), 1)
    return counts


def test_every_value_is_as_frequent_as_any_other():
    data = draw(train_images=240, test_images=123)
    assert data.splits == ("train", "test")
    assert data.group_by == ()
    assert data.attributes == SEEN
    assert set(data.table["pair"]) == {-1}
    assert np.bincount(data.labels[data.rows("train")]).tolist() == [24] * 10
    assert sorted(np.bincount(data.labels[data.rows("test")]).tolist()) == [12] * 7 + [13] * 3
    for attribute in SEEN:
        counts = crosstab(data, "train", attribute)
        if 24 % counts.shape[1] == 0:
            assert (counts == 24 // counts.shape[1]).all()
        else:
            assert counts.max() - counts.min() == 1


def test_attributes_are_independent_of_each_other():
    data = draw(train_images=6000, test_images=10)
    rows = data.rows("train")
    for first in range(6):
        for second in range(first):
            one, other = data.images.codes[rows][:, [first, second]].T
            shape = int(one.max()) + 1, int(other.max()) + 1
            counts = torch.bincount(one * shape[1] + other, minlength=shape[0] * shape[1]).double()
            expected = 6000 / len(counts)
            freedom = (shape[0] - 1) * (shape[1] - 1)
            chi2 = float(((counts - expected) ** 2 / expected).sum())
            assert chi2 < freedom + 5 * math.sqrt(2 * freedom)


def test_a_tied_attribute_has_its_exact_strength():
    data = draw(train_images=600, test_images=200, attribute="scene", train=(0.9,), test=(0.1,))
    assert data.group_by == ("scene",)
    train, test = crosstab(data, "train", "scene"), crosstab(data, "test", "scene")
    assert np.diag(train).tolist() == [54] * 10
    assert (train.sum(axis=1) == 60).all()
    assert train[~np.eye(10, dtype=bool)].max() <= 1
    assert (test == 2).all()
    # The others stay as they were.
    assert (crosstab(data, "train", "texture") == 15).all()


def test_own_values_shift_and_environments():
    options = {"classes": ("car", "tree"), "attribute": "scene", "scenes": ("night", "sea"), "train_images": 100}
    data = draw(**options, own=("sea", "night"), train=(1.0,), test=(0.0,))
    assert crosstab(data, "train", "scene").tolist() == [[0, 50], [50, 0]]
    assert crosstab(data, "test", "scene").tolist() == [[20, 0], [0, 20]]
    data = draw(**options, regime="shift", train=(0.9, 0.1), test=(0.25, 0.75))
    assert crosstab(data, "train", "scene").sum(axis=0).tolist() == [90, 10]
    assert crosstab(data, "test", "scene").sum(axis=0).tolist() == [10, 30]
    data = draw(**options, train=(0.9, 0.8), test=(0.5,))
    assert set(data.table["environment"]) == {"train-0", "train-1", "test"}
    assert data.group_by == ("scene",)


def test_values_in_use():
    single = {"positions": ("right",), "colors": ("blue",), "scenes": ("sea",)}
    data = draw(**single, sizes=("large", "small"), classes=("cup", "car"))
    assert data.classes == ("cup", "car")
    assert list(data.table["size"].cat.categories) == ["large", "small"]
    assert set(data.table["color"]) == {"blue"}
    core = marks(data) & CORE > 0
    # Right of the middle, although right is the only position; larger where the table says so.
    assert (center_x(core) > 24).all()
    area = core.flatten(1).sum(dim=1).float().numpy()
    for name in data.classes:
        mine, large = data.table["label"] == name, data.table["size"] == "large"
        assert area[mine & large].mean() > 1.8 * area[mine & ~large].mean()


# -------------------------------------------------------------------------------------------------------- concepts


def test_planes_agree_with_the_table_and_the_masks():
    data = tied("scene", test_images=100)
    core, found = marks(data) & CORE > 0, planes(data)
    assert data.concepts.used == CATEGORIES
    assert data.concepts.planes.shape == (6, 48, 48)
    for category in ("color", "object", "material", "part"):
        assert torch.equal(found[category] > 0, core), category
    assert (core.flatten(1).sum(dim=1) > 60).all()
    for row in range(len(data)):
        cells = data.table.iloc[row]
        assert (found["scene"][row] == number(data, "scene", cells["scene"])).all(), "the scene is the whole image's"
        assert set(found["object"][row].unique().tolist()) == {0, number(data, "object", cells["label"])}
        assert set(found["material"][row].unique().tolist()) == {0, number(data, "material", cells["material"])}
        assert set(found["texture"][row].unique().tolist()) == {0, number(data, "texture", cells["texture"])}
        parts = parts_of(cells["label"])
        named = {number(data, "part", part) for part, _ in parts}
        shown = set(found["part"][row].unique().tolist()) - {0}
        assert shown <= named
        # Every pixel has the color of its part: the object's own, which is textured, or one that belongs to the part.
        own = number(data, "color", cells["color"])
        coat = found["texture"][row] > 0
        assert (found["color"][row][coat] == own).all()
        accents = {number(data, "color", color) for _, color in parts if color}
        assert set(found["color"][row][core[row] & ~coat].tolist()) <= accents
        coated = {number(data, "part", part) for part, color in parts if not color}
        assert set(found["part"][row][coat].tolist()) <= coated


def test_names_of_the_concepts():
    data = draw(classes=("house", "car"), colors=("red", "white"), textures=("plain",))
    by = {category: [] for category in CATEGORIES}
    for name, category in zip(data.concepts.names, data.concepts.categories, strict=True):
        by[category].append(name)
    assert by["color"] == ["red", "white", "brown", "gray", "black"]
    assert by["object"] == ["house", "car"]
    assert by["part"] == ["chimney", "wall", "roof", "door", "window", "body", "wheel"]
    assert by["texture"] == ["plain"]
    assert len(by["scene"]) == 10
    every = draw()
    assert len(set(every.concepts.names)) == len(every.concepts.names)


def test_an_object_has_the_color_it_is_said_to_have():
    data = draw(test_images=400, materials=("matte",), textures=("plain",))
    images, texture = pixels(data).float() / 255, planes(data)["texture"]
    names, right = list(COLORS), 0
    for row in range(len(data)):
        mean = images[row][:, texture[row] > 0].mean(dim=1)
        known = torch.tensor(list(COLORS.values()))
        # Brightness is that of the light; what remains is the color.
        alike = (known * mean).sum(dim=1) / known.norm(dim=1) / mean.norm()
        right += names[int(alike.argmax())] == data.table["color"][row]
    assert right >= 0.97 * len(data)


def coats(**options):
    """The pixels (3, n) of each object's coat."""
    data = draw(test_images=100, sizes=("large",), **options)
    coat = planes(data)["texture"] > 0
    return [image[:, mine] for image, mine in zip(pixels(data).float() / 255, coat, strict=True)]


def test_textures_and_materials_can_be_told_apart():
    """A pattern makes the coat uneven, a highlight is brighter than the rest of it."""
    uneven = {
        name: float(np.mean([one.std(dim=1).mean() for one in coats(textures=(name,), materials=("matte",))]))
        for name in VALUES["texture"]
    }
    assert all(uneven[name] > 1.3 * uneven["plain"] for name in ("striped", "dotted", "checked")), uneven
    plain = {"textures": ("plain",), "colors": ("blue", "red")}
    highlight = {
        name: float(np.mean([one.amin(dim=0).max() for one in coats(materials=(name,), **plain)]))
        for name in VALUES["material"]
    }
    assert highlight["glossy"] > 1.5 * highlight["matte"], highlight


# ----------------------------------------------------------------------------------------------- twins and masks


@pytest.mark.parametrize("attribute", SEEN)
def test_a_twin_differs_in_the_tied_attribute_alone(attribute):
    data = tied(attribute)
    table, tested, twins = data.table, data.rows("test"), data.rows("twin")
    assert len(twins) == len(tested) == 40
    assert (table["pair"].to_numpy()[tested] == twins).all()
    assert (table["pair"].to_numpy()[twins] == tested).all()
    assert (table["pair"].to_numpy()[data.rows("train")] == -1).all()
    assert set(table["swapped"][twins]) == {attribute}
    assert set(table["swapped"][tested]) == set(table["swapped"][data.rows("train")]) == {""}
    for name in ("label", *SEEN):
        same = table[name].to_numpy()[tested] == table[name].to_numpy()[twins]
        assert same.all() if name != attribute else not same.any()
    differs = (pixels(data, tested) != pixels(data, twins)).any(dim=1)
    assert differs.flatten(1).any(dim=1).all()
    spurious = marks(data, tested) & SPURIOUS > 0
    if attribute in ("position", "size"):
        assert not spurious.any()
        return
    assert torch.equal(marks(data, tested), marks(data, twins))
    inside = differs & spurious
    assert (inside.flatten(1).sum(dim=1) > 0.5 * spurious.flatten(1).sum(dim=1)).float().mean() > 0.9
    # Pixels that have no share in what is swapped stay the same, to the byte.
    whole = covered(data, tested)
    if attribute == "scene":
        assert not differs[whole == 1].any()
    else:
        assert not differs[whole == 0].any()
    if attribute in ("color", "texture"):
        assert not differs[covered(data, tested, accents=True) == 1].any()


@pytest.mark.parametrize(
    ("attribute", "expected"),
    [
        ("", {0, CORE}),
        ("scene", {CORE, SPURIOUS}),
        ("material", {0, CORE | SPURIOUS}),
        ("color", {0, CORE, CORE | SPURIOUS}),
        ("texture", {0, CORE, CORE | SPURIOUS}),
        ("position", {0, CORE}),
        ("size", {0, CORE}),
    ],
)
def test_masks(attribute, expected):
    data = tied(attribute) if attribute else draw()
    found = marks(data)
    assert set(found.unique().tolist()) == expected
    if attribute in ("color", "texture"):
        assert torch.equal(found & SPURIOUS > 0, planes(data)["texture"] > 0)


def center_x(core):
    return (core * (torch.arange(core.shape[2]) + 0.5)).sum(dim=(1, 2)) / core.sum(dim=(1, 2))


def test_position_and_size_are_those_of_the_mask():
    data = tied("position", test_images=60)
    core = marks(data) & CORE > 0
    tested, twins = data.rows("test"), data.rows("twin")
    steps = [PLACE[one] - PLACE[other] for one, other in data.table["position"].to_numpy()[[twins, tested]].T]
    moved = center_x(core[twins]) - center_x(core[tested])
    assert torch.allclose(moved, 48 * torch.tensor(steps), atol=0.6)  # jitter is that of the pair; pixels are whole
    area = core.flatten(1).sum(dim=1).float()
    assert torch.allclose(area[twins] / area[tested], torch.ones(60), atol=0.12)

    data = tied("size", test_images=60)
    area = (marks(data) & CORE > 0).flatten(1).sum(dim=1).float()
    sizes = data.table["size"].to_numpy()
    pairs = zip(data.rows("twin"), data.rows("test"), strict=True)
    expected = torch.tensor([(EXTENT[sizes[twin]] / EXTENT[sizes[original]]) ** 2 for twin, original in pairs])
    found = area[data.rows("twin")] / area[data.rows("test")]
    assert torch.allclose(found / expected, torch.ones(60), atol=0.2)


# ------------------------------------------------------------------------------------------------------ the same


def test_the_same_seed_gives_the_same_bytes():
    one, again, other = (tied("color", seed, test_images=12) for seed in (0, 0, 1))
    assert one.fingerprint == again.fingerprint != other.fingerprint
    assert not torch.equal(pixels(one), pixels(other))


def test_an_image_does_not_depend_on_its_batch():
    data = draw(test_images=40)
    every, seen, named = pixels(data), marks(data), data.concepts.gather(torch.arange(50))
    for rows in ([7], [3, 3, 49], torch.randperm(50, generator=torch.Generator().manual_seed(0))[:31].tolist()):
        assert torch.equal(pixels(data, rows), every[rows])
        assert torch.equal(marks(data, rows), seen[rows])
        assert torch.equal(data.concepts.gather(torch.tensor(rows)), named[rows])
    assert pixels(data, []).shape == (0, 3, 48, 48)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert torch.equal(pixels(data), every)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_images_painted_on_a_device():
    data = draw(test_images=200)
    rows = torch.arange(len(data))
    there = data.images.to("cuda").gather(rows.cuda())
    assert there.is_cuda
    assert int((there.cpu().int() - pixels(data).int()).abs().max()) <= 1


def test_a_set_is_restored_from_its_folder(tmp_path):
    data = tied("texture", test_images=20, size=32, classes=("fish", "rocket", "tree"))
    save_dataset(data.replace(card={"name": "drawn"}), tmp_path / "set")
    verify(tmp_path / "set")
    found = open_dataset(tmp_path / "set")
    assert found.fingerprint == data.fingerprint
    assert torch.equal(pixels(found), pixels(data))
    assert torch.equal(marks(found), marks(data))
    assert found.concepts.names == data.concepts.names
    assert torch.equal(found.concepts.gather(torch.arange(50)), data.concepts.gather(torch.arange(50)))
    assert found.table.equals(data.table)
    assert (tmp_path / "set" / "preview.png").stat().st_size > 1000


def test_what_pixels_show_is_remembered(monkeypatch):
    data = tied("color", test_images=20)
    assert not isinstance(data.images, ArrayImages), "nothing is painted unasked"
    assert data.images.draws.numel() == 50 * DRAWS
    assert (data.images.known == 255).all()
    pixels(data, [4, 2])
    looked = (data.images.known != 255).flatten(1)
    assert looked.all(dim=1).nonzero()[:, 0].tolist() == [2, 4]
    assert looked.any(dim=1).sum() == 2
    found = marks(data), data.concepts.gather(torch.arange(50))
    monkeypatch.setattr("biaskit.builders._shapes_images._REMEMBERED", 0)
    large = tied("color", test_images=20)
    assert large.images.known is None
    assert torch.equal(marks(large), found[0])
    assert torch.equal(large.concepts.gather(torch.arange(50)), found[1])
    assert torch.equal(pixels(large), pixels(data))


# ------------------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": ("house", "hose")}, r"classes: no 'hose'; nearest: house"),
        ({"classes": ("house",)}, r"classes must be two or more different names .* got house"),
        ({"classes": ("car", "car")}, r"classes must be two or more different names"),
        ({"colors": ("read",)}, r"colors: no 'read'; nearest: red"),
        ({"scenes": ()}, r"scenes must be different names, at least one of sky, .* got none"),
        ({"attribute": "scene"}, r'attribute = "scene" needs strengths: train = '),
        ({"train": (0.9,)}, r"train = \[0.9\] ties an attribute to the label; say which"),
        ({"own": ("sea",)}, r"own = \['sea'\] ties an attribute"),
        ({"attribute": "size", "sizes": ("small",), "train": (1.0,), "test": (0.5,)}, r"sizes must be two or more"),
        ({"attribute": "color", "train": (0.9,), "test": (0.5, 0.5)}, r"needs one strength for test"),
        ({"attribute": "size", "train": (0.9,), "test": (0.5,), "own": ("big",) * 10}, r"own: 'big' is not among"),
    ],
)
def test_options_that_do_not_fit(options, message):
    with pytest.raises(SpecError, match=message):
        draw(**options)


def test_it_needs_no_source_and_others_do(gray):
    with pytest.raises(SpecError, match="shapes draws its own images"):
        shapes(gray([[0]], [0, 1], ["train", "test"]), np.random.default_rng(0))
    assert draws_images(shapes)
    assert not draws_images(patch)
    with pytest.raises(SpecError, match="have masks or concepts, which it cannot keep"):
        patch(draw(), np.random.default_rng(0))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"mine.toml: source is missing: there is no builder that draws images; add \[source\]"),
        ('[[builder]]\nname = "patch"', r"mine.toml: source is missing: the builder patch plants in images"),
        (
            '[source]\nname = "digits"\n[[builder]]\nname = "shapes"',
            r"mine.toml: source: the builder shapes draws its own images; take \[source\] out",
        ),
        ('[labels]\nnoise = 0.1\n[[builder]]\nname = "shapes"', r"mine.toml: labels changes what a source gives"),
        ('[limit]\ntrain = 5\n[[builder]]\nname = "shapes"', r"mine.toml: limit changes what a source gives"),
        ('[[builder]]\nname = "shapes"\nsize = 16', r"mine.toml: builder.0.size: .* 32; got 16"),
        ('[[builder]]\nname = "shapes"\nattribute = "hue"', r"mine.toml: builder.0.attribute: "),
        ('[[builder]]\nname = "shapes"\nclasses = ["cup", "cap"]', r"mine.toml: builder.0: classes: no 'cap'"),
        (
            '[[builder]]\nname = "shapes"\n[[builder]]\nname = "patch"',
            r"builder.1: the images before this",
        ),
    ],
)
def test_cards_that_do_not_fit(text, message, tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(f'version = 1\nsummary = "a test"\n{text}\n', encoding="utf-8")
    with pytest.raises(SpecError, match=message):
        bk.build(str(path))


def test_another_source_for_a_card_without_one():
    with pytest.raises(SpecError, match=r"--source digits: shapes.toml has no source to replace"):
        bk.build("shapes", source="digits")


# ----------------------------------------------------------------------------------------------------------- cards

SMALL = ["builder.0.train_images=120", "builder.0.test_images=40"]


def test_the_cards():
    data = bk.build("shapes", set=SMALL)
    assert isinstance(data.images, ArrayImages), "images in memory are painted once"
    assert "source" not in data.card
    assert data.group_by == ()
    assert contingency_lines(data) == []
    data = bk.build("shapes-scene", set=SMALL)
    assert data.card["builder"][0]["attribute"] == "scene"
    assert len(data.groups) == 100
    lines = contingency_lines(data)
    assert lines[0].split()[:4] == ["split", "sky", "meadow", "sea"]
    assert len(lines) == 3


@pytest.mark.parametrize("name", ["shapes", "shapes-scene"])
def test_counts_stated_in_the_cards(name):
    """As the table is built, without painting: the counts hold for any seed."""
    from biaskit._build import realized_counts
    from biaskit.specs import card_path, read_toml

    card = load_card("dataset", read_toml(card_path("dataset", name)), name)
    options = {key: tuple(one) if isinstance(one, list) else one for key, one in card.builder[0].options.items()}
    for seed in (0, 5):
        counts = realized_counts(shapes(None, np.random.default_rng(seed), **options))
        for split, attributes in card.counts.items():
            for attribute, stated in attributes.items():
                assert counts[split][attribute] == stated
    assert {"train", "test"} == set(card.counts)


def test_a_second_builder_still_plants_in_what_has_no_masks(gray):
    source = gray([[0]], [0, 1] * 4, ["train", "test"] * 4)
    rng = np.random.default_rng(0)
    data = patch(background_color(source, rng), rng)
    assert data.group_by == ("color", "patch")
