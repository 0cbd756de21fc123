import pytest
from hypothesis import given
from hypothesis import strategies as st

from biaskit import specs
from biaskit.errors import SpecError, UnknownName
from biaskit.specs import (
    CARDS,
    apply_override,
    card_names,
    card_path,
    has_key,
    load_card,
    parse_override,
    read_toml,
)

DATASET = {"version": 1, "summary": "s", "source": {"name": "digits"}, "builder": [{"name": "patch"}]}
RECIPE = {"version": 1, "summary": "s", "stage": [{"loss": {"name": "cross_entropy"}}]}
STUDY = {
    "version": 1,
    "summary": "s",
    "paper": "p",
    "arm": [{"recipe": "plain"}],
    "preset": {"smoke": {"summary": "s", "budget": "b", "data": {"objects": {"card": "colordigits", "label": "l"}}}},
    "item": [{"name": "table1", "title": "t", "about": "a", "data": "objects", "original": "o"}],
}
CONTENT = {"dataset": DATASET, "recipe": RECIPE, "study": STUDY}


@pytest.mark.parametrize("kind", CARDS)
def test_every_shipped_card_is_read_and_says_what_it_is(kind):
    for name, summary in card_names(kind).items():
        path = card_path(kind, name)
        card = load_card(kind, read_toml(path), path.name)
        assert card.name == name
        assert card.summary == summary
        assert summary
        assert card.version == 1
        assert path.read_text(encoding="utf-8").startswith("# ")


def test_a_control_is_a_shipped_recipe():
    for name in card_names("recipe"):
        control = load_card("recipe", read_toml(card_path("recipe", name)), name).control
        assert not control or control in card_names("recipe")


def test_hyphen_and_underscore_are_equal():
    assert card_path("dataset", "colormnist_10") == card_path("dataset", "colormnist-10")
    assert card_path("recipe", "semcont_no_hue".replace("no_h", "noh")).stem == "semcont-nohue"


def test_a_name_that_is_not_there():
    with pytest.raises(UnknownName, match=r"no recipe 'semcot'; nearest: semcont.* \(all: biaskit list recipes\)"):
        card_path("recipe", "semcot")
    with pytest.raises(SpecError, match=r"no file mine.toml; write the path of a recipe card"):
        card_path("recipe", "mine.toml")


def test_defaults():
    card = load_card("dataset", DATASET, "folder/mine.toml")
    assert card.name == "mine"
    assert card.reliance == "flip_rate"
    assert card.labels.noise == 0.0
    assert card.labels.noise_splits == ("train",)
    assert card.training.model.name == "resnet_small"
    assert card.training.optimizer.name == "adam"
    assert load_card("dataset", {**DATASET, "name": "other"}, "mine.toml").name == "other"
    stage = load_card("recipe", RECIPE, "mine.toml").stage[0]
    assert (stage.epochs, stage.schedule, stage.perturbation) == (None, "cosine", None)


def test_options_stand_beside_the_name():
    card = load_card("dataset", {**DATASET, "builder": [{"name": "patch", "size": 0.3}]}, "mine.toml")
    assert card.builder[0].options == {"size": 0.3}


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("dataset", {"sumary": "x"}, r"mine.toml: sumary is no key of a card; did you mean summary\?"),
        ("dataset", {"xyzzy": 1}, r"mine.toml: xyzzy is no key of a card; expected one of builder, "),
        ("dataset", {"training": {"epoch": 3}}, r"mine.toml: training.epoch is no key .* did you mean epochs\?"),
        ("dataset", {"labels": {"noize": 0.1}}, r"mine.toml: labels.noize is no key .* did you mean noise"),
        ("dataset", {"training": {"optimizer": {"qq": 1}}}, r"training.optimizer.qq is no key .* one of lr, momentum"),
        ("recipe", {"stage": [{"loss": {"name": "x"}, "schedul": "x"}]}, r"stage.0.schedul .* did you mean schedule"),
        # A key of the other kind of card is not what was meant.
        ("dataset", {"control": "aug"}, r"control is no key of a card; (did you mean counts|expected one of builder)"),
        ("recipe", {"builder": []}, r"builder is no key of a card; expected one of control, holdout, model, name"),
        ("recipe", {"stage": []}, r"mine.toml: stage: "),
        ("recipe", {"stage": [{}]}, r"mine.toml: stage.0.loss is missing"),
        ("dataset", {"source": {}}, r"mine.toml: source.name is missing"),
        ("dataset", {"source": "digits"}, r"mine.toml: source: "),
        ("dataset", {"version": "1"}, r"mine.toml: version: .*integer; got '1'"),
        ("dataset", {"version": 2}, r"mine.toml: card version 2 is newer than 1, which this biaskit reads; update"),
        ("dataset", {"reliance": "accuracy"}, r"mine.toml: reliance: .*'flip_rate' or 'gap'; got 'accuracy'"),
        ("dataset", {"training": {"epochs": 0}}, r"mine.toml: training.epochs: .*greater than 0; got '0'"),
        ("dataset", {"training": {"epochs": 2.5}}, r"mine.toml: training.epochs: "),
        ("dataset", {"training": {"epochs": True}}, r"mine.toml: training.epochs: "),
        ("dataset", {"training": {"optimizer": {"lr": 0}}}, r"mine.toml: training.optimizer.lr: "),
        ("dataset", {"training": {"optimizer": {"momentum": 1.0}}}, r"mine.toml: training.optimizer.momentum: "),
        ("dataset", {"training": {"optimizer": {"name": "lion"}}}, r"optimizer.name: .*got 'lion'"),
        ("dataset", {"labels": {"noise": -0.1}}, r"mine.toml: labels.noise: "),
        ("dataset", {"counts": {"train": {"color": {"red": 1.5}}}}, r"mine.toml: counts.train.color.red: "),
    ],
)
def test_an_error_names_file_and_key(kind, change, message):
    with pytest.raises(SpecError, match=message):
        load_card(kind, {**CONTENT[kind], **change}, "mine.toml")


@pytest.mark.parametrize("kind", CARDS)
@pytest.mark.parametrize("key", ["version", "summary"])
def test_a_missing_key(kind, key):
    content = {name: value for name, value in CONTENT[kind].items() if name != key}
    with pytest.raises(SpecError, match=f"mine.toml: {key} is missing"):
        load_card(kind, content, "mine.toml")


def test_files_that_are_not_toml(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("version = 1\nsummary = = 1\n", encoding="utf-8")
    with pytest.raises(SpecError, match=r"mine.toml: not TOML: .*line 2"):
        read_toml(path)
    path.write_bytes(b'summary = "\xff"')
    with pytest.raises(SpecError, match=r"mine.toml: not TOML"):
        read_toml(path)
    with pytest.raises(SpecError, match=r"cannot be read: Is a directory"):
        read_toml(tmp_path)


# --------------------------------------------------------------------------------------------------- overrides


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=1", ("", "a", 1)),
        ("a.b = 1.0", ("", "a.b", 1.0)),
        ("arm:a=true", ("arm", "a", True)),
        ("a=resnet18", ("", "a", "resnet18")),
        ('a="1"', ("", "a", "1")),
        ("a=[0.5, 0.5]", ("", "a", [0.5, 0.5])),
        ("a={ name = 'x' }", ("", "a", {"name": "x"})),
        ("a=b=c", ("", "a", "b=c")),
        ("a=http://x:80", ("", "a", "http://x:80")),
        ("a=", ("", "a", "")),
        ("mine.toml:a=1", ("mine.toml", "a", 1)),
    ],
)
def test_parse_override(text, expected):
    assert parse_override(text) == expected


@pytest.mark.parametrize("text", ["", "a", "=1", " =1", "arm:=1"])
def test_what_is_no_override(text):
    with pytest.raises(SpecError, match=r"is not \[ARM:\]KEY=VALUE, for example stage.0.loss.alpha=0.5"):
        parse_override(text)


@given(st.text(alphabet="abc._0", min_size=1), st.one_of(st.integers(-999, 999), st.booleans()))
def test_values_come_back_as_written(key, value):
    written = str(value).lower() if isinstance(value, bool) else str(value)
    assert parse_override(f"{key}={written}") == ("", key, value)


def test_apply_override_changes_a_copy():
    card = {"stage": [{"loss": {"name": "x", "alpha": 1}}, {"loss": {"name": "y"}}]}
    changed = apply_override(card, "stage.1.loss.alpha", 2)
    assert changed == {"stage": [{"loss": {"name": "x", "alpha": 1}}, {"loss": {"name": "y", "alpha": 2}}]}
    assert "alpha" not in card["stage"][1]["loss"]
    assert apply_override(card, "stage.0", 3)["stage"][0] == 3
    assert apply_override({}, "training.optimizer.lr", 0.1) == {"training": {"optimizer": {"lr": 0.1}}}
    assert apply_override({"model": "x"}, "model.name", "y") == {"model": {"name": "y"}}


@pytest.mark.parametrize(
    ("card", "key", "parent"),
    [
        ({}, "operations.0", "operations"),
        ({"a": [1]}, "a.1", "a"),
        ({}, "stage.0.loss.name", "stage"),
        ({"a": [[1], []]}, "a.1.0", "a.1"),
    ],
)
def test_an_entry_of_a_list_that_is_not_written_out(card, key, parent):
    with pytest.raises(SpecError, match=rf"does not write {parent} out; set the whole list: {parent}=\["):
        apply_override(card, key, 1)


def test_has_key():
    card = {"stage": [{"loss": {"alpha": 1}}], "name": "x", "empty": {}}
    for key in ("stage", "stage.0", "stage.0.loss.alpha", "empty"):
        assert has_key(card, key)
    for key in ("stage.1", "stage.x", "stage.-1", "stage.²", "name.0", "name.x", "", "stage.0.loss.alpha.x"):
        assert not has_key(card, key)


# ------------------------------------------------------------------------------------------- where cards stand


def test_cards_of_a_wheel_go_before_those_of_a_checkout(tmp_path, monkeypatch):
    package = tmp_path / "site/biaskit"
    package.mkdir(parents=True)
    monkeypatch.setattr(specs, "__file__", str(package / "specs.py"))
    with pytest.raises(SpecError, match="the shipped recipes are missing from this installation"):
        card_names("recipe")
    # A project that is not biaskit does not count as its checkout.
    (tmp_path / "site/recipes").mkdir()
    (tmp_path / "site/pyproject.toml").write_text('name = "another"')
    with pytest.raises(SpecError, match="missing from this installation"):
        card_names("recipe")
    (tmp_path / "site/pyproject.toml").write_text('[project]\nname = "biaskit"')
    (tmp_path / "site/recipes/checkout.toml").write_text('summary = "a"')
    assert card_names("recipe") == {"checkout": "a"}
    (package / "_shipped/recipes").mkdir(parents=True)
    (package / "_shipped/recipes/wheel.toml").write_text('summary = "b"')
    assert card_names("recipe") == {"wheel": "b"}
