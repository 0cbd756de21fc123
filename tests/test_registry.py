import importlib.metadata
import inspect
import json
import re
import sys
import types
from typing import Annotated, Literal

import numpy as np
import pytest
import torch
from pydantic import Field

import biaskit as bk
from biaskit import registry
from biaskit.builders import background_color
from biaskit.data import Source
from biaskit.errors import SpecError, UnknownName
from biaskit.images import ArrayImages
from biaskit.registry import KINDS, bind, find, names, options, plural, singular

#: What a function of each kind is called with; everything after it is an option.
CALLED_WITH = {
    "source": ["root"],
    "builder": ["source", "rng"],
    "perturbation": ["images", "generator"],
    "distortion": ["images", "generator"],
    "attack": ["model", "images", "labels", "generator"],
    "loss": ["dataset"],
    "tagger": ["subject"],
    "analyzer": ["subject"],
    "model": ["classes"],
}
EVERY = [(kind, name) for kind in KINDS for name in names(kind)]


# -------------------------------------------------------------------------------------- every registered function


@pytest.mark.parametrize(("kind", "name"), EVERY, ids=lambda one: one)
def test_signature_and_docstring_agree(kind, name):
    function = find(kind, name)
    parameters = inspect.signature(function).parameters
    positional = [key for key, one in parameters.items() if one.kind is one.POSITIONAL_OR_KEYWORD]
    assert positional == CALLED_WITH[kind]
    assert set(parameters) == {*positional, *options(function)}
    text = inspect.getdoc(function)
    summary = text.partition("\n")[0]
    assert summary.endswith(".")
    assert names(kind)[name] == summary[:-1]
    assert function.__name__ == name
    assert function.__module__ == f"{KINDS[kind]}._{name}"

    section = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[^\n]*\n-+$|\Z)", text, re.M | re.S)
    heads = [line.partition(" : ")[0] for line in (section[1] if section else "").splitlines() if line[:1].strip()]
    documented = [key.strip() for head in heads for key in head.split(",")]
    assert documented == list(parameters)


@pytest.mark.parametrize(("kind", "name"), EVERY, ids=lambda one: one)
def test_defaults_fit_their_own_types(kind, name):
    function = find(kind, name)
    stated = {key: default for key, (_, default) in options(function).items() if default not in (..., None)}
    required = [key for key, (_, default) in options(function).items() if default is ...]
    if not required:
        bound = bind(function, json.loads(json.dumps(stated)), "here")
        assert {key: bound[key] for key in stated} == stated
        assert bind(function, {}, "here") == bound
    for key, (hint, _) in options(function).items():
        assert hint is not inspect.Parameter.empty, key


def test_listing_is_complete():
    for kind, package in KINDS.items():
        module = sys.modules[package] if package in sys.modules else __import__(package, fromlist=["x"])
        assert list(names(kind)) == sorted(module.__all__)
        with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
            module.nothing  # noqa: B018


def test_kinds():
    assert plural("loss") == "losses"
    assert plural("study") == "studies"
    assert singular("studies") == singular("study") == "study"
    assert singular("losses") == singular("loss") == "loss"
    assert singular("datasets") == "dataset"
    with pytest.raises(UnknownName, match=r"no kind 'reciepts'; nearest: recipes"):
        singular("reciepts")


# ----------------------------------------------------------------------------------------------------- look-up


def test_hyphen_and_underscore_are_equal():
    assert find("builder", "background-color") is find("builder", "background_color") is background_color


def test_a_name_that_is_not_there():
    with pytest.raises(UnknownName, match=r"^no builder 'foreground'; nearest: foreground_color.*biaskit list build"):
        find("builder", "foreground")
    with pytest.raises(UnknownName, match=r"^no attack 'xyz'; there are fgsm, .*, trades$"):
        find("attack", "xyz")
    with pytest.raises(UnknownName, match=r"^no analyzer 'xyz', nor one of a like name; see: biaskit list analyzers$"):
        find("analyzer", "xyz")


@pytest.fixture
def plugin(monkeypatch):
    """Install a function as if a package had brought it."""
    entries = []
    module = types.ModuleType("a_plugin")
    monkeypatch.setitem(sys.modules, "a_plugin", module)
    monkeypatch.setattr(
        "biaskit.registry._installed", lambda group: tuple(one for one in entries if one.group == group)
    )

    def install(kind, name, function=None, attribute=None):
        attribute = attribute or name.replace("-", "_")
        setattr(module, attribute, function)
        entries.append(importlib.metadata.EntryPoint(name, f"a_plugin:{attribute}", f"biaskit.{plural(kind)}"))

    return install


def test_a_plugin_is_found_and_listed_without_being_imported(plugin, monkeypatch):
    def polka_dots(source, rng, *, dots: int = 3):
        """Not read."""

    plugin("builder", "polka-dots", polka_dots)
    assert find("builder", "polka_dots") is find("builder", "polka-dots") is polka_dots
    monkeypatch.setattr(importlib.metadata.EntryPoint, "load", None)
    assert names("builder")["polka_dots"] == "from a_plugin:polka_dots"
    assert "polka_dots" not in names("loss")
    with pytest.raises(UnknownName, match="nearest: polka_dots"):
        find("builder", "polkadots")


@pytest.mark.parametrize("name", ["background_color", "background-color"])
def test_a_plugin_may_not_take_a_name(name, plugin):
    plugin("builder", name, attribute="mine")
    for look in (lambda: names("builder"), lambda: find("builder", "patch")):
        with pytest.raises(SpecError, match=r"'background_color' is defined twice: by biaskit and by a_plugin:mine"):
            look()
    assert find("loss", "cross_entropy")


def test_two_plugins_of_one_name(plugin):
    plugin("builder", "dots", attribute="one")
    plugin("builder", "dots", attribute="two")
    with pytest.raises(SpecError, match=r"'dots' is defined twice: by a_plugin:one and by a_plugin:two .*rename or un"):
        find("builder", "patch")


def test_a_card_of_plugins_is_built(plugin, tmp_path):
    def stripes(root=None, *, count: Annotated[int, Field(ge=4)] = 8):
        images = np.zeros((count, 6, 6, 1), np.uint8)
        split = np.array(["train", "test"] * (count // 2))
        return Source(ArrayImages(images), np.arange(count) // 2 % 2, ("a", "b"), split, "stripes")

    def tint(source, rng, *, hue: Literal["red", "blue"] = "red"):
        other = "blue" if hue == "red" else "red"
        return background_color(source, rng, attribute="tint", values=(hue, other), train=(1.0, 0.0), test=(0.5, 0.5))

    plugin("source", "stripes", stripes)
    plugin("builder", "tint", tint)
    card = tmp_path / "mine.toml"
    card.write_text(
        'version = 1\nsummary = "s"\nsource = { name = "stripes" }\nbuilder = [{ name = "tint", hue = "blue" }]\n'
    )
    data = bk.build(str(card), set=["source.count=12"])
    assert data.card["source"] == {"name": "stripes", "count": 12}
    assert data.card["builder"] == [{"name": "tint", "hue": "blue"}]
    assert data.card["counts"]["train"] == {"tint": {"blue": 6, "red": 0}}
    assert data.images.gather(torch.tensor([0]))[0, :, 0, 0].tolist() == [0, 0, 255]
    with pytest.raises(SpecError, match=r"mine.toml: source.count: .*got 2"):
        bk.build(str(card), set=["source.count=2"])


# ----------------------------------------------------------------------------------------------------- binding


def blur(
    images,
    *,
    radius: Annotated[float, Field(ge=0, le=9)] = 1.0,
    steps: int = 2,
    kind: Literal["box", "gauss"] = "box",
    sizes: tuple[int, ...] = (3,),
    on: bool = True,
    note: str | None = None,
):
    pass


def sharpen(images, *, amount: float):
    pass


DEFAULTS = {"radius": 1.0, "steps": 2, "kind": "box", "sizes": (3,), "on": True, "note": None}


@pytest.mark.parametrize(
    ("given", "bound"),
    [
        ({}, {}),
        ({"radius": 2}, {"radius": 2.0}),  # an integer may stand for a float
        ({"sizes": [1, 2]}, {"sizes": (1, 2)}),  # TOML has arrays, Python tuples
        ({"sizes": (1, 2)}, {"sizes": (1, 2)}),
        ({"sizes": []}, {"sizes": ()}),
        ({"kind": "gauss", "on": False, "note": "x"}, {"kind": "gauss", "on": False, "note": "x"}),
        ({"radius": 0}, {"radius": 0.0}),
        ({"radius": 9.0}, {"radius": 9.0}),
    ],
)
def test_what_is_bound(given, bound):
    found = bind(blur, given, "here")
    assert found == {**DEFAULTS, **bound}
    assert {key: type(value) for key, value in found.items()} == {
        key: type(value) for key, value in {**DEFAULTS, **bound}.items()
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"radios": 1.0}, r"^card.toml: loss.radios is no option of blur; did you mean radius\?$"),
        ({"q": 1}, r"card.toml: loss.q is no option of blur; it has radius, steps, kind, sizes, on, note"),
        ({"radius": "2"}, r"card.toml: loss.radius: .*number; got \"2\""),
        ({"radius": True}, r"card.toml: loss.radius: .*number; got true"),
        ({"radius": 9.5}, r"card.toml: loss.radius: .*less than or equal to 9; got 9.5"),
        ({"radius": -1}, r"card.toml: loss.radius: .*greater than or equal to 0; got -1"),
        ({"radius": float("nan")}, r"card.toml: loss: .*plain TOML values"),
        ({"radius": float("inf")}, r"card.toml: loss: .*plain TOML values"),
        ({"steps": 2.5}, r"card.toml: loss.steps: .*integer"),
        ({"steps": True}, r"card.toml: loss.steps: .*integer; got true"),
        ({"steps": "2"}, r"card.toml: loss.steps: "),
        ({"steps": object()}, r"card.toml: loss: .*plain TOML values"),
        ({"kind": "cube"}, r"card.toml: loss.kind: .*'box' or 'gauss'; got \"cube\""),
        ({"sizes": 3}, r"card.toml: loss.sizes: "),
        ({"sizes": [1, "2"]}, r"card.toml: loss.sizes.1: .*got \"2\""),
        ({"on": 1}, r"card.toml: loss.on: .*boolean; got 1"),
        ({"on": "true"}, r"card.toml: loss.on: "),
        ({"note": 3}, r"card.toml: loss.note: "),
        ({"images": 3}, r"card.toml: loss.images is no option of blur"),
    ],
)
def test_what_is_refused(given, message):
    with pytest.raises(SpecError, match=message):
        bind(blur, given, "card.toml: loss")


def test_a_required_option():
    assert options(sharpen) == {"amount": (float, ...)}
    with pytest.raises(SpecError, match=r"^here.amount: Field required$"):
        bind(sharpen, {}, "here")
    assert bind(sharpen, {"amount": 1}, "here") == {"amount": 1.0}
    assert bind(lambda images: None, {}, "here") == {}
    with pytest.raises(SpecError, match=r"here.x is no option of <lambda>; it has no options"):
        bind(lambda images: None, {"x": 1}, "here")


def test_listing_reads_text_alone(monkeypatch):
    monkeypatch.setattr(registry.importlib, "import_module", None)
    assert names("loss")["cross_entropy"].startswith("Cross-entropy")
