"""What holds for everything in the registry, third parties' parts included: names, options, shapes, seeds."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pandas as pd
import pytest
import torch
from _shared import batch
from torch import nn

from biaskit import testing
from biaskit._build import draws_images
from biaskit.data import CORE, SPURIOUS, TWIN, Dataset, Source
from biaskit.images import ArrayImages
from biaskit.registry import KINDS, bind, find, names, options, plural, singular
from biaskit.results import Column, Result
from biaskit.rng import scoped
from biaskit.subject import Subject

EVERY = [(kind, name) for kind in KINDS for name in names(kind)]
TINY = testing.tiny(concepts=True)


def each(kind):
    return pytest.mark.parametrize("name", list(names(kind)))


def pixels(data):
    return data.images.gather(torch.arange(len(data)))


# Everything


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_signature_and_docstring_are_one(kind, name):
    function = find(kind, name)
    document = inspect.getdoc(function)
    first = document.partition("\n")[0]
    assert first.endswith(".")
    assert names(kind)[name] == first.rstrip(".")
    for section in ("Parameters", "Returns"):
        assert f"\n{section}\n{'-' * len(section)}\n" in document, f"{name} has no section {section}"
    head = document.split("\nParameters\n")[1].split("\nReturns\n")[0]
    listed = [one for line in re.findall(r"^(\w[\w, ]*?)(?: : .*)?$", head, re.M) for one in line.split(", ")]
    expected = list(inspect.signature(function).parameters)
    assert [one for one in listed if one in expected] == expected, f"{name}: {listed} documented, {expected} taken"


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_every_option_has_a_type_and_most_a_default(kind, name):
    function = find(kind, name)
    for option, (type_, default) in options(function).items():
        assert type_ is not inspect.Parameter.empty, f"{name}.{option}"
        assert default is not ... or kind == "source", f"{name}.{option} must be given"
    required = [option for option, (_, default) in options(function).items() if default is ...]
    if not required:
        bound = bind(function, {}, name)
        again = bind(function, {key: value for key, value in bound.items() if value is not None}, name)
        assert bound == again


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_dashes_and_underscores_are_equal(kind, name):
    assert find(kind, name.replace("_", "-")) is find(kind, name)
    assert singular(plural(kind)) == kind


# Analyzers


class Net(nn.Module):
    """A network with batch normalization and dropout, which evaluation must leave alone."""

    def __init__(self, classes=2):
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten())
            self.head = nn.Linear(4 * 36, classes)

    def forward(self, images):
        return self.head(self.body(images))


def plant_two():
    """Three labels, one of them without test images of one color."""
    labels = np.repeat([0, 1, 2], 12)
    color = np.tile(["red", "blue"], 18)
    color[24:] = "red"
    return Dataset.from_arrays(
        np.random.default_rng(0).integers(0, 256, (36, 8, 8, 3)).astype(np.uint8), labels[:36] % 2, {"color": color}
    )


#: Analyzers that need more labels than the tiny set has, with options for few images.
NOUNS = {"cat": "cat.n.01", "dog": "dog.n.01", "car": "car.n.01", "truck": "truck.n.01"}
OF_WORDS = {
    "class_similarity": {"names": NOUNS, "draws": 99},
    "word_correlation": {"names": NOUNS, "dimensions": 4, "draws": 19},
}


def named(function):
    """`left` and `right` have several meanings each."""
    option = next((one for one in ("synsets", "names") if one in options(function)), None)
    return {option: {"left": "dog.n.01", "right": "cat.n.01"}} if option else {}


def four_nouns():
    labels = [*NOUNS] * 10
    return Dataset.from_arrays(np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3)).astype(np.uint8), labels)


@each("analyzer")
def test_analyzer_contract(name):
    data = four_nouns() if name in OF_WORDS else TINY
    function, model = find("analyzer", name), Net(len(data.classes))
    given = OF_WORDS.get(name) or named(function)
    before = {key: one.clone() for key, one in model.state_dict().items()}
    table, state = data.table.copy(), torch.get_rng_state()
    images = pixels(data).clone()
    result = function(Subject(model, data), **given)
    again = function(Subject(Net(len(data.classes)), data), **given)

    assert isinstance(result, Result)
    assert result.analyzer == name
    assert all(isinstance(column, Column) for column in result.columns)
    assert [column.name for column in result.columns] == list(result.table.columns)
    assert all(column.meaning and column.better in ("higher", "lower", "zero", "") for column in result.columns)
    assert len(result.table)
    assert "n" in result.table.columns
    assert isinstance(result.table.index, pd.RangeIndex)
    assert set(result.options) == set(options(function)), "the bound options are part of the result"
    for low, high in [("low", "high")] if "low" in result.table else []:
        known = result.table.dropna(subset=[low, high])
        assert (known[low] <= known[high]).all()
    # The rows of transfer are those of the data it transfers to; test_transfer.py follows them there.
    if result.samples is not None and name != "transfer":
        assert set(result.samples["row"]) <= set(data.rows("test").tolist())

    pd.testing.assert_frame_equal(result.table, again.table)  # the same model and data: the same numbers
    if result.samples is not None:
        pd.testing.assert_frame_equal(result.samples, again.samples)
    assert all(torch.equal(before[key], one) for key, one in model.state_dict().items())
    assert all(one.grad is None for one in model.parameters())
    pd.testing.assert_frame_equal(data.table, table)
    assert torch.equal(pixels(data), images)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("name", [one for one in names("analyzer") if one.startswith("group")])
def test_all_groups_are_present(name):
    data = plant_two().replace(group_by=("color",))
    table = find("analyzer", name)(Subject(testing.constant(0), data)).table
    assert len(table) == len(data.groups)
    assert (
        table[["label", "color"]].astype(str).to_numpy().tolist() == data.groups[["label", "color"]].to_numpy().tolist()
    )
    assert table["n"].tolist() == data.groups["test"].tolist()


# Perturbations


@each("perturbation")
@pytest.mark.parametrize("sign", ["+", "random"])
def test_perturbation_contract(name, sign):
    function = find("perturbation", name)
    given = {"sign": sign} if "sign" in options(function) else {}
    images = torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    kept, state = images.clone(), torch.get_rng_state()

    def changed(seed):
        return function(images, torch.Generator().manual_seed(seed), **given)

    found = changed(1)
    assert found.shape == images.shape
    assert found.dtype == images.dtype
    assert float(found.min()) >= 0.0
    assert float(found.max()) <= 1.0
    assert torch.equal(images, kept)
    assert not torch.equal(found, images)
    assert torch.equal(found, changed(1))
    if sign == "random" or name == "color":
        assert not torch.equal(found, changed(2))
    assert torch.equal(torch.get_rng_state(), state)
    # One image alone is changed as it is among others where nothing is drawn.
    if sign == "+" and name != "color":
        torch.testing.assert_close(function(images[3:4], torch.Generator(), **given)[0], found[3])


# Distortions


@each("distortion")
def test_distortion_contract(name):
    function = find("distortion", name)
    images = torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    kept, state = images.clone(), torch.get_rng_state()

    def changed(seed):
        return function(images, torch.Generator().manual_seed(seed))

    found = changed(1)
    assert found.shape == images.shape
    assert found.dtype == images.dtype
    assert torch.equal(images, kept)
    assert not torch.equal(found, images)
    assert torch.equal(found, changed(1))
    # What is destroyed is the arrangement: every channel of every image keeps its values.
    assert torch.equal(found.flatten(2).sort(dim=2).values, images.flatten(2).sort(dim=2).values)
    assert torch.equal(torch.get_rng_state(), state)


# Attacks


@each("attack")
def test_attack_contract(name):
    function, model = find("attack", name), Net()
    model.body[1].eval()  # a layer that its owner has frozen
    images = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(6) % 2
    before = {key: one.clone() for key, one in model.state_dict().items()}
    flags = [module.training for module in model.modules()]
    kept, answers, state = images.clone(), labels.clone(), torch.get_rng_state()
    # An untrained network is sure of nothing.
    given = {key: value for key, value in {"epsilon": 0.04, "confidence": 0.6}.items() if key in options(function)}

    def attacked(net):
        return function(net, images, labels, torch.Generator().manual_seed(1), **given)

    found = attacked(model)
    assert found.shape == images.shape
    assert found.dtype == images.dtype
    assert not found.requires_grad
    assert float(found.min()) >= 0.0
    assert float(found.max()) <= 1.0
    assert not torch.equal(found, images)
    if "epsilon" in given:
        assert float((found - images).abs().max()) <= 0.04 + 1e-6
    assert torch.equal(images, kept)
    assert torch.equal(labels, answers)
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in model.modules()] == flags
    assert all(torch.equal(before[key], one) for key, one in model.state_dict().items())
    assert all(one.grad is None for one in model.parameters())
    assert torch.equal(found, attacked(model))
    assert torch.equal(found, attacked(Net().eval())), "dropout and batch statistics took part"


# Losses


@each("loss")
def test_loss_contract(name):
    function = find("loss", name)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2))

    def made():
        loss = function(TINY, **named(function))
        assert isinstance(loss, nn.Module)
        if hasattr(loss, "attach"):
            with scoped(0):  # as the training loop does
                loss.attach(model)
        return loss

    module = made()
    images = torch.rand(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    one = batch(images, images.roll(1, 0), [0, 1] * 4, 0.5)
    kept, state = images.clone(), torch.get_rng_state()
    loss = module(model, one)
    assert loss.shape == ()
    assert torch.isfinite(loss)
    loss.backward()
    assert all(torch.isfinite(p.grad).all() and p.grad.abs().sum() > 0 for p in model.parameters())
    assert torch.equal(images, kept)
    assert torch.equal(made()(model, one), loss)
    assert torch.equal(torch.get_rng_state(), state)


# Taggers


@each("tagger")
def test_tagger_contract(name):
    function, model = find("tagger", name), Net()
    before = {key: one.clone() for key, one in model.state_dict().items()}
    table, state = TINY.table.copy(), torch.get_rng_state()
    found, again = function(Subject(model, TINY)), function(Subject(Net(), TINY))
    assert isinstance(found, pd.Series)
    assert found.name == name
    assert found.index.tolist() == list(range(len(TINY)))
    assert not found.isna().any()
    pd.testing.assert_series_equal(found, again)
    assert all(torch.equal(before[key], one) for key, one in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    pd.testing.assert_frame_equal(TINY.table, table)


# Models


@each("model")
def test_model_contract(name):
    model = find("model", name)(7)
    assert isinstance(model, nn.Module)
    assert isinstance(model.min_size, int)
    side = max(model.min_size, 8)
    found = model.eval()(torch.rand(2, 3, side, side))
    assert found.shape == (2, 7)
    assert found.dtype == torch.float32


# Builders


def source(n=60, classes=3, size=16):
    rng = np.random.default_rng(0)
    shapes = rng.integers(0, 256, (n, size, size, 1)).astype(np.uint8)
    shapes[:, : size // 2] = 0
    split = np.where(np.arange(n) < 2 * n // 3, "train", "test")
    return Source(ArrayImages(shapes), np.arange(n) % classes, tuple("abc"[:classes]), split, "x")


PLANTING = [name for name in names("builder") if not draws_images(find("builder", name))]


@pytest.mark.parametrize("name", [name for name in names("builder") if name not in PLANTING])
def test_drawing_builder_contract(name):
    function = find("builder", name)
    data, again, other = (function(None, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert isinstance(data, Dataset)
    pd.testing.assert_frame_equal(data.table, again.table)
    assert not data.table.equals(other.table)
    some = torch.arange(0, len(data), 97)
    images = data.images.gather(some)
    assert images.dtype == torch.uint8
    assert images.shape == (len(some), *data.images.shape)
    assert torch.equal(images, again.images.gather(some))
    assert not torch.equal(images, other.images.gather(some))
    assert {"train", "test"} <= set(data.splits)


@pytest.mark.parametrize("name", PLANTING)
def test_builder_contract(name):
    function, start = find("builder", name), source()
    kept = start.images.gather(torch.arange(60)).clone(), start.labels.copy()
    data, again, other = (function(start, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert isinstance(data, Dataset)
    assert data.fingerprint == again.fingerprint != other.fingerprint
    assert torch.equal(start.images.gather(torch.arange(60)), kept[0])
    np.testing.assert_array_equal(start.labels, kept[1])

    images, table = pixels(data), data.table
    assert images.dtype == torch.uint8
    assert images.shape == (80, 3, 16, 16)
    np.testing.assert_array_equal(data.labels[:60], start.labels)
    (attribute,) = data.group_by
    codes = table[attribute].cat.codes.to_numpy()
    twins = data.rows(TWIN)
    originals = table["pair"].to_numpy()[twins]
    np.testing.assert_array_equal(originals, data.rows("test"))
    np.testing.assert_array_equal(table["pair"].to_numpy()[originals], twins)
    assert (codes[twins] != codes[originals]).all()
    np.testing.assert_array_equal(data.labels[twins], data.labels[originals])
    assert (table["swapped"].astype(str).to_numpy()[twins] == attribute).all()
    assert (table["pair"].to_numpy()[data.rows("train")] == -1).all()

    assert data.masks is not None
    masks = data.masks.gather(torch.arange(80))
    assert masks.shape == (80, 1, 16, 16)
    assert int(masks.max()) <= CORE | SPURIOUS
    moved = (images[twins] != images[originals]).any(dim=1, keepdim=True)
    assert bool(moved.flatten(1).any(dim=1).all()), "a twin looks different"
    assert bool((moved & (masks[twins] & SPURIOUS > 0)).any()), "what changes is marked as the shortcut"


def test_a_twin_differs_in_one_of_two_shortcuts():
    rng = np.random.default_rng(0)
    one = find("builder", "background_color")(source(), rng, test=(0.5, 0.5))
    data = find("builder", "texture")(one, rng)
    images = pixels(data).int()
    for swapped in data.group_by:
        (twins,) = np.nonzero((data.table["swapped"] == swapped).to_numpy())
        originals = data.table["pair"].to_numpy()[twins]
        if swapped == "color":  # these point at their image, which points at one of its twins
            originals = data.rows("test")
        for name in data.group_by:
            same = data.table[name].cat.codes.to_numpy()
            assert ((same[twins] == same[originals]) == (name != swapped)).all()
        # The stripes of a color twin stand where those of its image do: only red and blue trade places.
        if swapped == "color":
            torch.testing.assert_close(images[twins][:, [2, 1, 0]], images[originals], atol=1, rtol=0)


@each("source")
def test_source_signature(name):
    parameters = list(inspect.signature(find("source", name)).parameters.values())
    assert parameters[0].name == "root"
    assert all(one.kind is one.KEYWORD_ONLY for one in parameters[1:])
