import json

import numpy as np
import pytest
import torch

import biaskit as bk
from biaskit import _build, stats
from biaskit._build import default_folder, load, realized_counts
from biaskit.builders import _planting
from biaskit.builders._planting import Rendered
from biaskit.describe import association, contingency, sprite
from biaskit.disk import save_dataset
from biaskit.errors import DataError, SpecError, UnknownName
from biaskit.home import home
from biaskit.images import ArrayImages, as_array
from biaskit.specs import card_names
from biaskit.testing import tiny

SHIFT = '[[builder]]\nname = "background_color"\n'
CORRELATED = '[[builder]]\nname = "foreground_color"\nvalues = ["red", "green"]\nregime = "correlated"\n'

#: Images of each digit in MNIST, as published.
TRAIN = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
TEST = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
COLORS = ("red", "green", "blue", "yellow", "magenta", "cyan", "orange", "purple", "pink", "brown")


# ----------------------------------------------------------------------------------------- the shipped cards


@pytest.fixture(scope="session")
def mnist(data_root):
    """Each shipped card on real MNIST, built once; painted when asked for, so that it takes a second."""
    built = {}

    def get(name):
        if name not in built:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(_planting, "IN_MEMORY", 0)
                built[name] = bk.build(name, root=data_root)
        return built[name]

    return get


def table(data, split, attribute):
    """Rows by label and value."""
    rows = data.rows(split)
    counts = np.zeros((len(data.classes), len(data.table[attribute].cat.categories)), int)
    np.add.at(counts, (data.labels[rows], data.table[attribute].cat.codes.to_numpy()[rows]), 1)
    return counts


def test_every_card_is_tested_here():
    assert set(card_names("dataset")) == {
        "cifar10",
        "cifar10-jpeg",
        "cifar100",
        "colordigits",
        "colordigits-balanced",
        "colordigits-correlated",
        "colordigits-parity",
        "colormnist",
        "colormnist-10",
        "colormnist-balanced",
        "colormnist-correlated",
        "colormnist-irm",
        "digits",
        "mnist",
        "patchmnist",
        "shapes",
        "pose-shapes",
        "pose-shapes-sector",
        "shapes-scene",
        "svhn",
        "texturemnist",
    }


def test_a_card_without_builders_plants_nothing(card):
    path = card("[limit]\ntrain = 100\ntest = 50")
    data = bk.build(path)
    assert data.attributes == ()
    assert data.splits == ("train", "test")
    assert data.masks is None
    # 997 and 800 real digits, about a tenth of them each: every label in its share, up to one row.
    whole = bk.build(path, set=["limit.train=997", "limit.test=800"])
    assert (len(data.rows("train")), len(data.rows("test"))) == (100, 50)
    assert (len(whole.rows("train")), len(whole.rows("test"))) == (997, 800)
    for split, n in (("train", 100), ("test", 50)):
        share = np.bincount(whole.labels[whole.rows(split)]) * n / len(whole.rows(split))
        assert np.abs(np.bincount(data.labels[data.rows(split)]) - share).max() <= 1
    assert bk.build(path).fingerprint == data.fingerprint != bk.build(path, seed=1).fingerprint


def test_any_set_can_be_limited():
    data = bk.build("colordigits", set=["limit.train=200"])
    assert (len(data.rows("train")), len(data.rows("test"))) == (200, 800)
    assert data.table["color"].iloc[data.rows("train")].value_counts().to_dict() == {"red": 190, "blue": 10}


@pytest.mark.smoke
def test_cifar10_jpeg(data_root):
    data = bk.build("cifar10-jpeg", root=data_root)
    assert np.bincount(data.labels[data.rows("train")]).tolist() == [1000] * 10
    assert np.bincount(data.labels[data.rows("test")]).tolist() == [200] * 10
    assert data.images.shape == (3, 32, 32)
    with pytest.raises(DataError, match="no folder nowhere of train"):
        bk.build("cifar10-jpeg", root=data_root, set=['source.folder="nowhere"'])


def test_colordigits():
    data = bk.build("colordigits")
    assert data.card["counts"] == {
        "train": {"color": {"red": 947, "blue": 50}},
        "test": {"color": {"red": 400, "blue": 400}},
    }
    assert data.images.shape == (3, 16, 16)
    # Painted by table when asked for: the same bytes as held in memory.
    every = torch.arange(len(data))
    assert torch.equal(data.images.gather(every), as_array(data.images).gather(every))
    assert {split: len(data.rows(split)) for split in data.splits} == {"train": 997, "test": 800, "twin": 800}
    assert data.classes == tuple("0123456789")


def test_colordigits_correlated():
    data = bk.build("colordigits-correlated")
    train, test = table(data, "train", "color"), table(data, "test", "color")
    own = np.arange(10) // 5  # 0 to 4 red, 5 to 9 blue
    against = train[np.arange(10), 1 - own]
    assert against.tolist() == [5] * 10
    assert train.sum() == 997
    assert (test == 40).all()
    assert data.classes == tuple("0123456789")


@pytest.mark.parametrize("name", ["colordigits-balanced", "colordigits-parity"])
def test_colordigits_without_the_shortcut(name):
    data, start = bk.build(name), bk.build("colordigits")
    assert data.card["counts"] == {
        "train": {"color": {"red": 499, "blue": 498}},
        "test": {"color": {"red": 400, "blue": 400}},
    }
    # The same digits in the same splits: what was tested on was not trained on before the transfer either.
    rows = np.flatnonzero(data.table["split"] != "twin")
    assert (data.table["split"].astype(str) == start.table["split"].astype(str)).all()
    expected = start.labels[rows] % 2 if name.endswith("parity") else start.labels[rows]
    assert np.array_equal(data.labels[rows], expected)
    assert data.classes == (("even", "odd") if name.endswith("parity") else start.classes)
    # Green shows the digit alone, whatever the color of the background.
    same = torch.from_numpy(rows)
    assert torch.equal(data.images.gather(same)[:, 1], start.images.gather(same)[:, 1])


def test_digits():
    data = bk.build("digits")
    assert (data.attributes, data.images.shape) == ((), (1, 16, 16))
    assert {split: len(data.rows(split)) for split in data.splits} == {"train": 997, "test": 800}


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "svhn"])
def test_sets_as_they_are_published(name, gray, monkeypatch):
    # Their files are too large for a test: another source stands in the place of the one that the card names.
    source = gray(np.zeros((32, 32, 3)), [0, 1, 0, 1], ["train"] * 2 + ["test"] * 2)
    monkeypatch.setattr(f"biaskit.sources._{name}.{name}", lambda root=None: source)
    data = bk.build(name)
    assert (data.attributes, data.images.shape, len(data)) == ((), (3, 32, 32), 4)
    assert data.card["source"] == {"name": name}


def test_mnist(mnist):
    data = mnist("mnist")
    assert (data.attributes, data.images.shape) == ((), (1, 28, 28))
    for split, sizes in (("train", TRAIN), ("test", TEST)):
        assert np.bincount(data.labels[data.rows(split)]).tolist() == sizes


def test_colormnist_balanced(mnist):
    data = mnist("colormnist-balanced")
    assert data.card["counts"] == {
        "train": {"color": {"red": 30_000, "blue": 30_000}},
        "test": {"color": {"red": 5_000, "blue": 5_000}},
    }
    assert np.array_equal(data.labels, mnist("colormnist").labels)


def test_colormnist(mnist):
    data = mnist("colormnist")
    assert data.card["counts"] == {
        "train": {"color": {"red": 57_000, "blue": 3_000}},
        "test": {"color": {"red": 500, "blue": 9_500}},
    }
    assert len(data.rows("twin")) == 10_000
    assert data.images.shape == (3, 28, 28)
    # The color tells nothing about the digit.
    found = association(data)
    assert (found["v"] < 0.03).all()
    assert (found["p"] > 0.01).all()


def test_colormnist_is_the_formula_on_the_real_pixels(mnist, data_root):
    # idx format: 16 bytes of header, then the pixels.
    raw = np.frombuffer((data_root / "MNIST/raw/train-images-idx3-ubyte").read_bytes(), np.uint8, offset=16)
    digits = raw.reshape(-1, 28, 28)
    data = mnist("colormnist")
    for color, full, rest in (("red", 0, (1, 2)), ("blue", 2, (0, 1))):
        rows = np.flatnonzero(data.table["color"][:60_000] == color)[:50]
        images = data.images.gather(torch.from_numpy(rows)).numpy()
        assert (images[:, full] == 255).all()
        for channel in rest:
            assert np.array_equal(images[:, channel], digits[rows])


def test_colormnist_correlated(mnist):
    data = mnist("colormnist-correlated")
    for split, sizes, strength in (("train", TRAIN, 0.95), ("test", TEST, 0.05)):
        own = np.array([round(strength * n) for n in sizes])
        expected = np.stack([own, sizes - own], axis=1)
        expected[5:] = expected[5:, ::-1]  # blue belongs to 5 to 9
        assert np.array_equal(table(data, split, "color"), expected)
    assert data.card["counts"]["train"] == {"color": {"red": 30_536, "blue": 29_464}}
    assert data.card["counts"]["test"] == {"color": {"red": 4_875, "blue": 5_125}}


def test_colormnist_10(mnist):
    data = mnist("colormnist-10")
    assert tuple(data.table["color"].cat.categories) == COLORS
    for split, sizes, strength in (("train", TRAIN, 0.995), ("test", TEST, 0.1)):
        counts = table(data, split, "color")
        assert counts.sum(axis=1).tolist() == sizes
        assert np.diag(counts).tolist() == [round(strength * n) for n in sizes]
        others = counts[~np.eye(10, dtype=bool)].reshape(10, 9)
        assert (others.max(axis=1) - others.min(axis=1) <= 1).all()


def test_colormnist_irm(mnist, data_root):
    data = mnist("colormnist-irm")
    assert data.classes == ("0-4", "5-9")
    assert (data.attributes, data.group_by) == (("color", "environment"), ("color",))
    labels = [
        np.frombuffer((data_root / f"MNIST/raw/{part}-labels-idx1-ubyte").read_bytes(), np.uint8, offset=8)
        for part in ("train", "t10k")
    ]
    wrong = data.labels[:70_000] != (np.concatenate(labels) >= 5)
    assert (int(wrong[:60_000].sum()), int(wrong[60_000:].sum())) == (15_000, 2_500)  # 25 % exactly

    environments = data.table["environment"].astype(str).to_numpy()
    color = data.table["color"].cat.codes.to_numpy()
    split = data.table["split"].astype(str).to_numpy()
    for name, size, strength in (("train-0", 30_000, 0.9), ("train-1", 30_000, 0.8), ("test", 10_000, 0.1)):
        rows = (environments == name) & (split != "twin")
        assert int(rows.sum()) == size
        for label in (0, 1):
            mine = rows & (data.labels == label)
            assert int((color[mine] == label).sum()) == round(strength * int(mine.sum()))


@pytest.mark.parametrize(
    ("name", "attribute", "values"),
    [("patchmnist", "patch", ("top left", "bottom right")), ("texturemnist", "texture", ("horizontal", "vertical"))],
)
def test_patchmnist_and_texturemnist(name, attribute, values, mnist):
    data = mnist(name)
    assert tuple(data.table[attribute].cat.categories) == values
    for split, sizes, strength in (("train", TRAIN, 0.95), ("test", TEST, 0.5)):
        own = np.array([round(strength * n) for n in sizes])
        expected = np.stack([own, sizes - own], axis=1)
        expected[5:] = expected[5:, ::-1]
        assert np.array_equal(table(data, split, attribute), expected)
    twins = data.rows("twin")
    assert len(twins) == 10_000
    assert (data.table["pair"].to_numpy()[data.table["pair"][twins]] == twins).all()


# ------------------------------------------------------------------------------------------------- same bytes


def test_the_same_card_and_seed_give_the_same_bytes(card, tmp_path):
    path = card(SHIFT + CORRELATED.replace("regime", 'attribute = "ink"\nregime'), "[labels]\nnoise = 0.1")
    sums = []
    for number, seed in enumerate((0, 0, 1)):
        save_dataset(bk.build(path, seed=seed), tmp_path / str(number))
        sums.append(json.loads((tmp_path / str(number) / "checksums.json").read_text()))
    assert sums[0] == sums[1]
    changed = [name for name in sums[0] if sums[0][name] != sums[2][name]]
    # The masks follow from the pixels of the source alone.
    assert changed == ["card.toml", "images.npy", "preview.png", "table.parquet"]


def test_a_seed_is_not_a_prefix_of_another(card):
    path = card(SHIFT)
    values = [tuple(bk.build(path, seed=seed).table["color"]) for seed in range(4)]
    assert len(set(values)) == 4


def test_two_shortcuts_are_drawn_apart(card):
    shares = 'regime = "shift"\ntrain = [0.5, 0.5]\ntest = [0.5, 0.5]\n'
    data = bk.build(card(SHIFT + shares + '[[builder]]\nname = "patch"\n' + shares))
    rows = data.table.iloc[data.rows("train")]
    counts = np.zeros((2, 2), int)
    np.add.at(counts, (rows["color"].cat.codes.to_numpy(), rows["patch"].cat.codes.to_numpy()), 1)
    assert stats.association(counts, np.random.default_rng(0), draws=9).p > 0.01


def test_global_generators_are_left_alone(card):
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    bk.build(card(SHIFT, "[labels]\nnoise = 0.1"))
    assert np.array_equal(np.random.get_state()[1], before[0])
    assert torch.equal(torch.get_rng_state(), before[1])


def test_larger_sets_are_painted_when_asked_for_with_the_same_pixels(card, tmp_path, monkeypatch):
    path = card(SHIFT + '[[builder]]\nname = "texture"\n')
    held = bk.build(path)
    assert isinstance(held.images, ArrayImages)
    # Exactly as large as the limit is still held.
    monkeypatch.setattr(_planting, "IN_MEMORY", len(held) * 3 * 8 * 8)
    assert isinstance(bk.build(path).images, ArrayImages)
    monkeypatch.setattr(_planting, "IN_MEMORY", len(held) * 3 * 8 * 8 - 1)
    painted = bk.build(path)
    assert isinstance(painted.images, Rendered)
    assert painted.fingerprint == held.fingerprint
    save_dataset(held, tmp_path / "held")
    save_dataset(painted, tmp_path / "painted")
    assert (tmp_path / "held/checksums.json").read_bytes() == (tmp_path / "painted/checksums.json").read_bytes()


# ------------------------------------------------------------------------------------------ changes to a card


def test_set_and_source_are_bound_and_kept(card):
    path = card(SHIFT, "[counts]\ntrain = { color = { red = 947, blue = 50 } }")
    assert bk.build(path).card["counts"]["train"]["color"] == {"red": 947, "blue": 50}
    data = bk.build(path, set=["builder.0.train=[0.5, 0.5]", "data:source.size=10"], seed=3)
    assert data.images.shape == (3, 10, 10)
    assert data.card["counts"]["train"]["color"] == {"red": 499, "blue": 498}
    assert data.card["set"] == ["builder.0.train=[0.5, 0.5]", "data:source.size=10"]
    assert data.card["seed"] == 3
    assert data.card["builder"][0] == {
        "name": "background_color",
        "attribute": "color",
        "values": ["red", "blue"],
        "regime": "shift",
        "train": [0.5, 0.5],
        "test": [0.05, 0.95],
        "own": [],
    }


def test_another_source_has_counts_of_its_own(card, data_root, monkeypatch):
    monkeypatch.setattr(_planting, "IN_MEMORY", 0)
    data = bk.build("colordigits", source="mnist", root=data_root)
    assert data.card["counts"]["train"] == {"color": {"red": 57_000, "blue": 3_000}}
    assert data.card["source"] == {"name": "mnist"}


def test_counts_are_asserted(card):
    path = card(SHIFT, "[counts]\ntrain = { color = { red = 947, blue = 51 } }")
    with pytest.raises(SpecError, match=r"mine.toml: counts.train.color.blue states 51 images, the build has 50"):
        bk.build(path)


@pytest.mark.parametrize(
    ("builders", "head", "message"),
    [
        (SHIFT + "train = [1.2, -0.2]", "", r"mine.toml: builder.0.train.0: .*less than or equal to 1; got 1.2"),
        (CORRELATED + "train = [-0.1]", "", r"mine.toml: builder.0.train.0: .*greater than or equal to 0"),
        (CORRELATED + "train = []", "", r"mine.toml: builder.0.train: "),
        (SHIFT + "train = [0.5, 0.4]", "", r"mine.toml: builder.0: train = \[0.5, 0.4\] must .* add up to 1"),
        (SHIFT + "test = [0.5]", "", r"mine.toml: builder.0: test = \[0.5\] must give one share for each of red, blue"),
        (SHIFT + 'own = ["red", "blue"]', "", r"mine.toml: builder.0: own belongs to regime 'correlated'"),
        (CORRELATED + 'own = ["red"]', "", r"mine.toml: builder.0: own lists 1 values for 10 labels"),
        (CORRELATED + f"own = {['blue'] * 10}", "", r"mine.toml: builder.0: own: 'blue' is not among the values"),
        (SHIFT + 'regime = "drift"', "", r"mine.toml: builder.0.regime: .*'shift' or 'correlated'; got \"drift\""),
        (SHIFT + 'colour = "red"', "", r"mine.toml: builder.0.colour is no option of background_color"),
        (SHIFT + 'value = ["red"]', "", r"mine.toml: builder.0.value is no option .* did you mean values"),
        (SHIFT + 'values = "red"', "", r"mine.toml: builder.0.values: "),
        (SHIFT + SHIFT, "", r"mine.toml: builder.1: two builders plant an attribute called 'color'"),
        ('[[builder]]\nname = "texture"\nwavelength = 1', "", r"mine.toml: builder.0.wavelength: .*got 1"),
        ('[[builder]]\nname = "patch"\nsize = 0.6', "", r"mine.toml: builder.0.size: .*got 0.6"),
        ('[[builder]]\nname = "patch"\nsize = 0.0', "", r"mine.toml: builder.0.size: "),
        (SHIFT, "[limit]\ntrain = 0", r"mine.toml: limit.train: "),
        (SHIFT, "[limit]\nvalid = 5", r"mine.toml: limit.valid: digits has no split 'valid'; it has test, train"),
        (SHIFT, "[labels]\nnoise = 1.5", r"mine.toml: labels.noise: "),
        (SHIFT, '[labels]\nnoise = 0.1\nnoise_splits = ["trian"]', r"mine.toml: labels.noise_splits: .*'trian'"),
        (SHIFT, '[labels.merge]\na = ["0", "1"]', r"mine.toml: labels.merge leaves out the class '2' of digits"),
        (SHIFT, '[labels.merge]\na = ["0", "ten"]', r"mine.toml: labels.merge: digits has no class 'ten'"),
        (SHIFT, '[labels.merge]\na = ["0", "1"]\nb = ["1"]', r"mine.toml: labels.merge names the class '1' twice"),
        (
            SHIFT,
            f"[labels]\nnoise = 0.1\nmerge = {{ all = {[str(one) for one in range(10)]} }}",
            r"mine.toml: labels.noise = 0.1 needs a second class",
        ),
    ],
)
def test_a_wrong_card_names_file_and_key(builders, head, message, card):
    with pytest.raises(SpecError, match=message):
        bk.build(card(builders, head))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("builder.0.trian=[1, 0]", r"--set builder.0.trian: mine.toml has no such key; did you mean builder.0.train\?"),
        ("builder.1.train=[1, 0]", r"has no such key"),
        ("plain:builder.0.train=[1, 0]", r"a build has no arm 'plain'; write builder.0.train="),
        ("builder.0.train", r"is not \[ARM:\]KEY=VALUE"),
        ("builder.0.train=[2.0, -1.0]", r"mine.toml: builder.0.train.0: "),
        ("builder.0.values.0=green", r"does not write builder.0.values out; set the whole list: builder.0.values="),
        ("labels.noise_splits.0=test", r"does not write labels.noise_splits out"),
        ("builder.0=3", r"mine.toml: builder.0"),
        ("source.size=7", r"mine.toml: source.size: .*greater than or equal to 8; got 7"),
        ("source.size=16.5", r"mine.toml: source.size: .*valid integer"),
        ("training.epochs=0", r"mine.toml: training.epochs: "),
        ("training.model.name=resnet81", r"no model 'resnet81'; nearest: resnet18"),
        ("labels.noise=2026-01-01", r"cards hold plain TOML values"),
    ],
)
def test_a_wrong_change(change, message, card):
    with pytest.raises((SpecError, UnknownName), match=message):
        bk.build(card(SHIFT), set=[change])


def test_names_that_are_not_there(card):
    with pytest.raises(UnknownName, match="no dataset 'colormnst'; nearest: colormnist"):
        bk.build("colormnst")
    with pytest.raises(UnknownName, match="no source 'digitz'; nearest: digits"):
        bk.build("colordigits", source="digitz")
    with pytest.raises(UnknownName, match="no builder 'pach'; nearest: patch"):
        bk.build(card('[[builder]]\nname = "pach"'))
    with pytest.raises(SpecError, match=r"no file nowhere\.toml"):
        bk.build("nowhere.toml")
    with pytest.raises(UnknownName, match="no folder or dataset 'colordigit'; nearest: colordigits"):
        load("colordigit")
    with pytest.raises(DataError, match="no folder some/where; build a set with"):
        load("some/where")


# ----------------------------------------------------------------------------------------------- where it goes


def test_load_finds_folders_built_sets_and_cards(card, tmp_path):
    path = card(SHIFT)
    built = bk.build(path)
    save_dataset(built, tmp_path / "out")
    assert load(tmp_path / "out").fingerprint == load(str(tmp_path / "out")).fingerprint == built.fingerprint
    assert load(path).fingerprint == built.fingerprint
    # A set of the user's own name is found in BIASKIT_HOME, and a shipped card's if it is of that card as shipped.
    save_dataset(built, home() / "data" / "mine")
    assert load("mine").fingerprint == built.fingerprint
    usual = bk.build("colordigits")
    save_dataset(usual, home() / "data" / "colordigits")
    assert load("colordigits").fingerprint == usual.fingerprint
    save_dataset(built, home() / "data" / "colordigits")
    assert load("colordigits").fingerprint == usual.fingerprint


def test_only_the_card_as_shipped_gets_its_name(card, tmp_path, monkeypatch):
    usual = bk.build("colordigits")
    assert default_folder(usual) == home() / "data" / "colordigits"
    others = [
        bk.build("colordigits", seed=1),
        bk.build("colordigits", set=["builder.0.train=[0.9, 0.1]"]),
        bk.build(card(SHIFT)),
        # A copy with another content and the name of a shipped card must not stand in for it.
        bk.build(card(SHIFT, name="colordigits")),
    ]
    for other in others:
        folder = default_folder(other)
        assert folder.parent == home() / "data"
        assert folder.name == f"{other.name}-{other.fingerprint[:8]}"
    copied = tmp_path / "colordigits.toml"
    copied.write_text(_build.card_path("dataset", "colordigits").read_text(encoding="utf-8"), encoding="utf-8")
    assert default_folder(bk.build(str(copied))) == home() / "data" / "colordigits"


# ------------------------------------------------------------------------------------------------ description


def test_contingency_and_realized_counts():
    data = tiny(per_group=10, train=(0.9, 0.1))
    found = contingency(data)
    assert list(found.columns) == ["split", "label", "color", "n"]
    assert found.groupby("split")["n"].sum().to_dict() == {"train": 40, "test": 40}
    assert realized_counts(data) == {
        "train": {"color": {"red": 36, "blue": 4}},
        "test": {"color": {"red": 20, "blue": 20}},
    }


def test_the_sprite_shows_a_test_image_of_each_group_and_its_twin():
    data = tiny()
    upper, both = sprite(data), sprite(data, twins=True)
    assert upper.shape == (2 * 9 - 1, 2 * 9 - 1, 3)
    assert both.shape == (2 * 17 + 3, 17, 3)
    assert np.array_equal(both[:17], upper)
    # Rows are colors, columns labels; below, each original's twin has the other color.
    assert upper[7, 7].tolist() == [255, 0, 0]
    assert upper[16, 7].tolist() == [0, 0, 255]
    assert both[20 + 7, 7].tolist() == [0, 0, 255]
    tested = data.table[(data.table["split"] == "test") & (data.table["color"] == "red")]
    first = int(tested.index[tested["label"] == "right"][0])
    assert np.array_equal(upper[:8, 9:], data.images.gather(torch.tensor([first]))[0].permute(1, 2, 0).numpy())
