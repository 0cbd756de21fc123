"""Studies: the shipped cards, findings with known answers, and one small study from card to folder."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from _shared import answered, at_home, dataset_card, evidence, shared_home, small
from _study_card import study_card
from typer.testing import CliRunner

import biaskit as bk
from biaskit import runs
from biaskit._find_study import find_study
from biaskit._findings import conditions, contrast, distribution, findings, measure
from biaskit._studies import reproduce
from biaskit._study_plan import plan_study
from biaskit.cli import app
from biaskit.errors import DataError, SpecError, UnknownName
from biaskit.evidence import Ground
from biaskit.results import Column, Result
from biaskit.specs import card_names, load_card, read_toml
from biaskit.studycard import Claim, Measure

WU = "wu2021"
PRESETS = ("smoke", "cpu", "gpu")
#: The cpu presets decode whole data sets where these are at hand, which takes as long as forty other tests.
BOUND = ("smoke", pytest.param("cpu", marks=pytest.mark.smoke), "gpu")

# ------------------------------------------------------------------------------------------------ the shipped cards


def test_the_items_of_the_paper():
    card, items = find_study(WU)
    assert [item.name for item in items] == ["table2", "table3", "table4", *(f"fig{n}" for n in range(1, 14))]
    assert set(card.preset) == set(PRESETS)
    assert WU in card_names("study")
    assert all(preset.budget for preset in card.preset.values())


def test_the_published_numbers_are_those_of_the_paper():
    items = {item.name: item.published for item in find_study(WU)[1]}
    assert items["table2"]["clean"] == {"plain": 0.6699, "semcont": 0.6701, "adv": 0.6380, "adv-semcont": 0.5962}
    assert items["table2"]["adversarial"] == {"plain": 0.0934, "semcont": 0.1601, "adv": 0.4430, "adv-semcont": 0.5404}
    assert list(items["table3"]["transfer_svhn"].values()) == [0.9425, 0.9460, 0.9466, 0.9490]
    assert items["table4"]["clean"] == {"plain": 0.9601, "semcont": 0.9754}
    assert not any(published for name, published in items.items() if name.startswith("fig"))


def test_without_a_published_number_an_item_says_so():
    for item in find_study(WU)[1]:
        assert item.published or "no number published" in item.notes[0]


@pytest.mark.parametrize("preset", BOUND)
def test_every_preset_binds(preset):
    # Where the files are not at hand, recipes are bound to the embedded digits: the same checks but for the data.
    try:
        plan = plan_study(WU, preset=preset)
    except DataError:
        plan = plan_study(WU, preset=preset, on=bk.build("colordigits"))
    assert set(plan.analyzers) == {item.name for item in plan.items}
    for role in plan.data:
        semcont = plan.arms[role, "semcont"]
        assert semcont.card["stage"][0]["loss"]["alpha"] == 1.0
    attacked = plan.arms["objects", "adv-semcont"].card["stage"][0]["attack"]
    assert attacked["epsilon"] == pytest.approx(8 / 255)
    if preset == "gpu":
        stage = plan.arms["objects", "plain"].card["stage"][0]
        assert (stage["epochs"], stage["optimizer"]["name"], stage["schedule"]) == (100, "sgd", "cosine")
        assert plan.arms["objects", "adv"].card["model"] == {"name": "resnet18", "stem": "small"}


def test_smoke_needs_no_files_and_shares_its_runs(monkeypatch):
    monkeypatch.delenv("BIASKIT_DATA", raising=False)
    plan = plan_study(WU)
    names = [arm.name for arm, _ in plan.trainings()]
    # One data set, so the colors need no training that the objects have; alpha = 1 of the sweep is semcont.
    assert sorted(names) == sorted(
        ["plain", "aug", "semcont", "adv", "adv-semcont", "aug-nohue", "semcont-nohue"]
        + [f"semcont alpha={value}" for value in ("0", "0.1", "3", "10")]
    )
    assert not any(plan.same.values())


def test_color_mnist_is_no_substitute():
    card, _ = find_study(WU)
    assert [card.preset[name].data["colors"].same for name in PRESETS] == [False, True, True]
    assert [card.preset[name].data["objects"].same for name in PRESETS] == [False, False, True]


def test_conditions_of_the_card_are_conditions_of_the_analyzers():
    """Every measure finds its columns in what the analyzers give on the smallest set."""
    from biaskit._audit import collect, resolve_analyzers

    card, _ = find_study(WU)
    data = small()
    options = {
        "robustness": {"images": 20, "strong_steps": 1, "restarts": 1, "steps": 1, "epsilons": ["2/255"]},
        "continuity": {"images": 40, "views": []},
        "semantic_reliance": {"images": 40, "pictures": 0},
        "attribution": {
            "images": 2, "lime_images": 2, "masks": 8, "steps": 2, "pictures": 0, "cells": 2, "operations": ["hue"],
        },
        "input_gradient": {"images": 20},
    }  # fmt: skip
    with at_home(shared_home()):
        run = bk.train("plain", data)
        audit = bk.audit(run, data, analyzers=resolve_analyzers(options))
    assert not audit.failed
    ground = Ground(data)
    arm = collect("plain", [0], {("plain", 0): audit}, ground)
    for name, what in card.measure.items():
        if what.analyzer == "transfer":
            continue
        curves = [one for item in card.item for one in item.curve if one.measure == name and one.x]
        if curves:
            values = conditions(arm, what, curves[0].x)
            assert values == sorted(values)
            what = what.model_copy(update={"where": {**what.where, curves[0].x: values[-1]}})
        found = measure(arm, what, ground)
        # Seven of sixteen blocks can be moved at 8 x 8 as well; only a condition that is not there leaves no number.
        assert found.n > 0 or "attribution" in what.analyzer, (name, found)


NETWORKS = ("alexnet", "vgg16", "resnet18")


def test_dong_has_every_table_and_figure_with_its_published_numbers():
    card, items = find_study("dong2019")
    assert [item.name for item in items] == ["table1", "table2", "table3", "fig3", "fig4", "fig5"]
    published = {item.name: item.published for item in items}
    assert list(published["table1"]["plug_in_natural"].values()) == [0.0162, 0.0161, 0.0296, 0.0287, 0.0261, 0.0251]
    assert list(published["table1"]["plug_in_adversarial"].values()) == [0.0116, 0.0121, 0.0187, 0.022, 0.0133, 0.0206]
    assert published["table2"]["object_natural"]["vgg16"] == 0.346
    assert published["table2"]["object_adversarial"]["vgg16-adv"] == 0.174
    assert published["table2"]["kept"]["resnet18"] == pytest.approx(12.2 / 57.5, abs=5e-4)
    assert set(card.preset) == set(PRESETS)
    for item in items:
        assert item.published or "no number published" in item.notes[0]


@pytest.mark.parametrize("preset", BOUND)
def test_the_networks_of_dong_are_its_arms(preset):
    try:
        plan = plan_study("dong2019", preset=preset)
    except DataError:
        plan = plan_study("dong2019", preset=preset, on=bk.build("shapes", set=["builder.0.size=32"]))
    item = plan.items[0]
    assert plan.here(item)[-1] == "resnet18-control"
    assert [name in plan.here(item) for name in ("vgg16", "alexnet-adv")] == [preset != "smoke"] * 2
    losses = {arm.name: arm.card["stage"][0]["loss"]["name"] for arm in plan.arms_of(item)}
    assert losses["resnet18"] == losses["resnet18-control"] == "cross_entropy"
    assert {losses[name] for name in plan.here(item) if name.endswith("-adv")} == {"feature_matching"}
    for name in plan.here(item):
        wanted = "resnet_small" if preset != "gpu" and name.startswith("resnet18") else name.partition("-")[0]
        assert plan.arms["objects", name].card["model"]["name"] == wanted
    control, constrained = (
        plan.arms["objects", name].card["stage"][0] for name in ("resnet18-control", "resnet18-adv")
    )
    assert control["attack"] == constrained["attack"]
    assert control["epochs"] == constrained["epochs"]


def test_an_arm_of_a_card_may_have_a_name_and_changes_of_its_own(tmp_path):
    named = ('[[arm]]\nrecipe = "aug"\n', '[[arm]]\nrecipe = "plain"\nname = "long"\nset = ["stage.0.epochs=7"]\n')
    where = study_card(
        tmp_path, dataset_card(shared_home()), named, ('["plain", "semcont"]', '["plain", "long", "semcont"]')
    )
    plan = plan_study(where)
    epochs = {arm.name: arm.card["stage"][0]["epochs"] for arm in plan.arms_of(plan.items[0])}
    assert epochs["long"] == 7 != epochs["plain"]
    changed = plan_study(where, set=["long:stage.0.epochs=3"])
    assert changed.arms["objects", "long"].card["stage"][0]["epochs"] == 3, "the user has the last word"


def test_two_arms_of_one_name_are_an_error(tmp_path):
    twice = ('[[arm]]\nrecipe = "aug"\n', '[[arm]]\nrecipe = "plain"\n')
    with pytest.raises(SpecError, match="two arms are called plain"):
        find_study(study_card(tmp_path, "nowhere.toml", twice))


def test_an_arm_that_a_preset_leaves_out_keeps_its_published_number_and_its_claim(tmp_path):
    left = ('recipe = "semcont"\npaper = "C"\n', 'recipe = "semcont"\npaper = "C"\npresets = ["full"]\n')
    with at_home(shared_home()):
        study = reproduce(f"{study_card(tmp_path, dataset_card(shared_home()), left)}-table1", seeds=1)
    rows = study.table.set_index(["arm", "measure"])
    assert rows.loc[("semcont", "accuracy"), "published"] == 0.75
    assert rows.loc[("semcont", "accuracy"), "reason"] == "not measured in the preset smoke"
    assert set(study.claims["finding"]) == {"inconclusive"}
    assert study.claims["reason"].eq("not measured in the preset smoke").all()


# --------------------------------------------------------------------------------------- numbers with known answers


def scores(values, conditions=None, seeds=3):
    """An arm whose analyzer ``a`` gave these values per seed and image, in the conditions of ``level``."""
    rows = []
    for level, table in ({1: values} if conditions is None else conditions).items():
        for seed, row in enumerate(table):
            rows += [{"seed": seed, "row": i, "level": level, "x": float(v)} for i, v in enumerate(row)]
    samples = pd.DataFrame(rows)
    table = (
        samples.groupby(["seed", "level"], as_index=False)["x"]
        .mean()
        .assign(n=len(values[0]) if values is not None else 1)
    )
    columns = (Column("level", "", key=True), Column("n", ""), Column("x", ""))
    return Result("a", table[["level", "n", "x", "seed"]], columns, samples=samples)


def arm(data, name, results, seeds=3):
    n = len(data.rows("test"))
    answers = (np.arange(seeds * n).reshape(seeds, n) // 3) % 2
    one = evidence(data, name, answers, answers)
    return type(one)(name, tuple(range(seeds)), answers, None, None, results)


LEVEL1 = {"analyzer": "a", "column": "x", "where": {"level": 1}}


def claim(expect, margin=0.0, measure="m", text="a claim"):
    return Claim(claim=text, measure=measure, arm="b", than="a", expect=expect, margin=margin)


def judged(a, b, claims, what=None, seeds=3, looks=1):
    data = answered()
    found = {"a": arm(data, "a", {"a": scores(a)}, seeds), "b": arm(data, "b", {"a": scores(b)}, seeds)}
    measures = {"m": what or Measure(title="x", **LEVEL1)}
    return findings(claims, measures, found, Ground(data), looks=looks)


def units(values):
    """An analyzer that gave a number per seed and condition, and the units it is the mean of."""
    rows = [{"seed": s, "level": k, "n": 8, "x": v} for k, row in values.items() for s, v in enumerate(row)]
    details = [
        {"seed": s, "level": k, "x": v + e} for k, row in values.items() for s, v in enumerate(row) for e in (-0.1, 0.1)
    ]
    columns = (Column("level", "", key=True), Column("n", ""), Column("x", "", better="higher"))
    return Result("a", pd.DataFrame(rows), columns, details=pd.DataFrame(details))


def test_a_number_that_seeds_have_once_is_compared_over_seeds():
    data = answered()
    low, high = [0.2, 0.3, 0.45], [0.4, 0.55, 0.6]
    found = {"a": arm(data, "a", {"a": units({1: low})}), "b": arm(data, "b", {"a": units({1: high})})}
    what, ground = Measure(title="x", **LEVEL1), Ground(data)
    one = measure(found["b"], what, ground)
    assert (one.value, one.n, one.seeds, one.over) == (pytest.approx(np.mean(high)), 8, 3, "seeds")
    other = scipy.stats.ttest_rel(high, low)
    ends = other.confidence_interval()
    d = contrast(what, found["b"], found["a"], ground)
    assert (d.estimate, d.low, d.high, d.p) == pytest.approx((0.2, ends.low, ends.high, other.pvalue))
    assert findings([claim("higher")], {"m": what}, found, ground)[0]["finding"] == "holds"
    broken = {**found, "a": arm(data, "a", {"a": units({1: [0.2, np.nan, 0.45]})})}
    row = findings([claim("higher")], {"m": what}, broken, ground)[0]
    assert (row["finding"], row["reason"]) == ("inconclusive", "a leaves x undefined for 1 of 3 seeds")


def test_what_is_left_is_a_ratio_within_each_seed():
    data = answered()
    one = arm(data, "a", {"a": units({1: [0.5, 0.8, 0.5], 2: [0.25, 0.2, 0.5]})})
    left = Measure(title="x", analyzer="a", column="x", where={"level": 2}, relative_to={"level": 1})
    assert measure(one, left, Ground(data)).value == pytest.approx((0.5 + 0.25 + 1.0) / 3)
    nothing = arm(data, "a", {"a": units({1: [0.5, 0.0, 0.5], 2: [0.25, 0.2, 0.5]})})
    assert measure(nothing, left, Ground(data)).reason == "a leaves x undefined for 1 of 3 seeds"


def test_the_units_of_a_network_as_shares_of_bins():
    data = answered()
    points = distribution(arm(data, "a", {"a": units({1: [0.2, 0.5, 0.7]})}), Measure(title="x", **LEVEL1), 2)
    assert [point["x"] for point in points] == [0.25, 0.75]
    assert [point["y"] for point in points] == pytest.approx([0.5, 0.5]), "of the second seed a unit in each"
    assert points[0]["n"] == 6


@pytest.fixture
def draw():
    rng = np.random.default_rng(0)
    return lambda mean, seeds=3: rng.normal(mean, 1.0, (seeds, 400))


@pytest.mark.parametrize(
    ("shift", "expect", "finding"),
    [
        (+1.0, "higher", "holds"),
        (-1.0, "lower", "holds"),
        (+1.0, "lower", "does not hold"),
        (-1.0, "higher", "does not hold"),
        (0.0, "higher", "inconclusive"),
        (0.0, "lower", "inconclusive"),
    ],
)
def test_a_claim_of_a_direction(draw, shift, expect, finding):
    (found,) = judged(draw(5.0), draw(5.0 + shift), [claim(expect)])
    assert found["finding"] == finding
    assert found["contrast"] == "b - a"
    assert (found["n"], found["seeds"], found["reason"]) == (400, 3, "")
    assert found["low"] < found["estimate"] < found["high"]
    assert found["estimate"] == pytest.approx(shift, abs=0.2)
    assert (found["low"] <= 0 <= found["high"]) == (finding == "inconclusive")


@pytest.mark.parametrize(
    ("shift", "expect", "margin", "finding"),
    [
        (-0.2, "not lower", 1.0, "holds"),  # a loss, but a smaller one than matters
        (-2.0, "not lower", 1.0, "does not hold"),
        (-1.0, "not lower", 1.0, "inconclusive"),
        (+3.0, "not lower", 1.0, "holds"),
        (+0.2, "not higher", 1.0, "holds"),
        (+2.0, "not higher", 1.0, "does not hold"),
        (-3.0, "not higher", 1.0, "holds"),
    ],
)
def test_a_claim_with_a_margin(draw, shift, expect, margin, finding):
    (found,) = judged(draw(5.0), draw(5.0 + shift), [claim(expect, margin)])
    assert found["finding"] == finding
    # What is shown is the difference itself, not the shifted one.
    assert found["estimate"] == pytest.approx(shift, abs=0.2)
    assert found["low"] < found["estimate"] < found["high"]
    assert found["margin"] == margin


@pytest.mark.parametrize("seeds", [1, 2])
def test_fewer_than_three_seeds_are_inconclusive(draw, seeds):
    (found,) = judged(draw(0.0, seeds), draw(50.0, seeds), [claim("higher")], seeds=seeds)
    assert (found["finding"], found["reason"]) == ("inconclusive", "needs 3 seeds")


def test_the_claims_of_an_item_are_one_family(draw):
    a, b = draw(5.0), draw(5.25)
    (alone,) = judged(a, b, [claim("higher")])
    three = judged(a, b, [claim("higher")] * 3)
    assert three[0]["p_holm"] == pytest.approx(min(1.0, 3 * alone["p_holm"]))
    assert three[0]["high"] - three[0]["low"] > alone["high"] - alone["low"]
    for found in (alone, *three):
        assert (found["finding"] == "holds") == (found["low"] > 0)
    again = judged(a, b, [claim("higher")], looks=3)
    assert again[0]["high"] - again[0]["low"] == pytest.approx(three[0]["high"] - three[0]["low"])


def test_no_claim_holds_whose_interval_reaches_zero():
    """Holm's second step would let the weaker of two claims hold; the interval that is shown covers 0."""
    rng = np.random.default_rng(3)
    a, c = rng.normal(0.0, 1.0, (2, 3, 400))
    data = answered()
    found = {
        "a": arm(data, "a", {"a": scores(a), "s": scores(c)}),
        "b": arm(data, "b", {"a": scores(c + 0.16), "s": scores(a + 9.0)}),
    }
    measures = {"m": Measure(title="x", **LEVEL1), "s": Measure(title="y", **{**LEVEL1, "analyzer": "s"})}
    weak, strong = findings([claim("higher"), claim("higher", measure="s")], measures, found, Ground(data))
    assert weak["p_holm"] < 0.05
    assert weak["low"] < 0 < weak["high"]
    assert (weak["finding"], strong["finding"]) == ("inconclusive", "holds")


def test_a_value_ends_where_its_measure_does():
    values = np.array([[0.99, 1.0, 1.0, 0.6]] * 3) - [[0.0], [0.1], [0.2]]
    data = answered()
    one = arm(data, "a", {"a": scores(values)})
    free = measure(one, Measure(title="x", **LEVEL1), Ground(data))
    bound = measure(one, Measure(title="x", limits=(-1.0, 1.0), **LEVEL1), Ground(data))
    assert free.high > 1.0 == bound.high
    assert free.low == bound.low


def test_a_ratio_is_told_as_one():
    rng = np.random.default_rng(1)
    base = np.exp(rng.normal(size=(3, 300)))
    what = Measure(title="DS", ratio=True, **LEVEL1)
    (found,) = judged(base, base * [[0.4], [0.5], [0.625]], [claim("lower")], what)
    assert found["estimate"] == pytest.approx(0.5)
    assert found["contrast"] == "b / a"
    assert (found["unit"], found["finding"]) == ("ratio", "holds")
    assert 0 < found["low"] < 0.5 < found["high"] < 1


def test_what_an_analyzer_does_not_give_is_inconclusive_and_keeps_its_place_in_the_family(draw):
    data = answered()
    found = {"a": arm(data, "a", {"a": scores(draw(0.0))}), "b": arm(data, "b", {"a": scores(draw(1.0))})}
    measures = {"m": Measure(title="x", **LEVEL1), "gone": Measure(title="y", analyzer="b", column="x")}
    first, second = findings([claim("higher"), claim("higher", measure="gone")], measures, found, Ground(data))
    assert first["finding"] == "holds"
    assert (second["finding"], second["reason"]) == ("inconclusive", "b could not run")
    assert np.isnan(second["estimate"])


def test_retained_is_a_ratio_of_means_with_its_linear_error():
    rng = np.random.default_rng(2)
    before = (rng.random((3, 4000)) < 0.8).astype(float)
    after = before * (rng.random((3, 4000)) < 0.5)
    data = answered()
    one = arm(data, "a", {"a": scores(before, {0: before, 1: after})})
    what = Measure(title="kept", analyzer="a", column="x", where={"level": 1}, relative_to={"level": 0})
    found = measure(one, what, Ground(data))
    assert found.value == pytest.approx(np.mean(after.mean(axis=1) / before.mean(axis=1)))
    assert found.over == "seeds and images"
    # One seed: the delta method for a rate of the images that were right, sqrt(p (1 - p) / (n q)).
    alone = arm(data, "a", {"a": scores(before[:1], {0: before[:1], 1: after[:1]})}, seeds=1)
    half = measure(alone, what, Ground(data))
    p, n = after[0].mean() / before[0].mean(), before[0].sum()
    assert (half.high - half.low) / 2 == pytest.approx(1.96 * np.sqrt(p * (1 - p) / n), rel=0.03)


def test_several_conditions_are_averaged_per_image(draw):
    low, high = draw(1.0), draw(3.0)
    data = answered()
    one = arm(data, "a", {"a": scores(low, {1: low, 2: high})})
    what = Measure(title="both", analyzer="a", column="x", where={"level": [1, 2]})
    assert measure(one, what, Ground(data)).value == pytest.approx((low + high).mean() / 2)
    missing = Measure(title="x", analyzer="a", column="x", where={"level": [1, 7]})
    assert np.isnan(measure(one, missing, Ground(data)).value)


def test_right_answers_of_several_conditions_are_counted_not_joined():
    data = answered()
    found = scores(None, {1: [[1, 1, 0, 0]] * 3, 2: [[1, 0, 1, 0]] * 3}, seeds=3)
    truth = dataclasses.replace(found, samples=found.samples.assign(x=found.samples["x"] == 1.0))
    what = Measure(title="kept", analyzer="a", column="x", where={"level": [1, 2]})
    # Right in both, in one, in one, in none: 1, 1/2, 1/2, 0. "Right in any" would be 3/4, halved.
    assert measure(arm(data, "one", {"a": truth}), what, Ground(data)).value == 0.5


def test_a_condition_that_is_not_one(draw):
    data = answered()
    one = arm(data, "a", {"a": scores(draw(0.0), {1: draw(0.0), 2: draw(0.0)})})
    with pytest.raises(SpecError, match="is not one condition of a"):
        measure(one, Measure(title="x", analyzer="a", column="x"), Ground(data))
    with pytest.raises(SpecError, match="a has no column height"):
        measure(one, Measure(title="x", analyzer="a", column="x", where={"height": 1}), Ground(data))
    assert conditions(one, Measure(title="x", analyzer="a", column="x"), "level") == [1, 2]


def test_without_samples_the_interval_is_over_seeds():
    data = answered()
    one = scores(np.arange(12.0).reshape(3, 4))
    bare = arm(data, "a", {"a": Result("a", one.table, one.columns)})
    found = measure(bare, Measure(title="x", **LEVEL1), Ground(data))
    assert (found.value, found.over, found.n, found.seeds) == (5.5, "seeds", 4, 3)
    # Means 1.5, 5.5, 9.5: t(2, .975) x 4 / sqrt(3)
    assert found.high - found.value == pytest.approx(4.302653 * 4 / np.sqrt(3), rel=1e-5)


def test_accuracy_of_some_images_only():
    data = answered()
    ground = Ground(data)
    table = data.table.iloc[ground.test]
    blue = (table["color"] == "blue").to_numpy()
    answers = np.where(blue, ground.labels, 1 - ground.labels)
    one = evidence(data, "a", np.stack([answers] * 3), np.stack([answers] * 3))
    what = Measure(title="x", unit="%", better="higher", metric="average_accuracy", where={"color": "blue"})
    found = measure(one, what, ground)
    assert (found.value, found.n) == (1.0, int(blue.sum()))
    assert measure(one, what.model_copy(update={"where": {}}), ground).value == pytest.approx(0.5)
    nowhere = measure(one, what.model_copy(update={"where": {"weather": "rain"}}), ground)
    assert (np.isnan(nowhere.value), nowhere.reason) == (True, "no test images of this kind")
    assert contrast(what, one, one, ground).estimate == 0.0


# ----------------------------------------------------------------------------------------------- a study as a whole


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    return study_card(tmp_path_factory.mktemp("card"), dataset_card(shared_home()))


@pytest.fixture(scope="module")
def study(card):
    with at_home(shared_home()):
        return reproduce(card)


def test_published_beside_measured(study):
    table = study.table.set_index(["item", "arm", "measure"])
    row = table.loc["table1", "semcont", "accuracy"]
    assert (row["published"], row["published_on"], row["n"], row["seeds"]) == (0.75, "CIFAR-100, one training", 800, 3)
    part = study.predictions.query("split == 'test' and arm == 'semcont'")
    right = (part["prediction"].astype(str) == part["label"].astype(str)).groupby(part["seed"]).mean()
    assert row["value"] == pytest.approx(right.mean())
    assert row["low"] < row["value"] < row["high"]
    left_out = table.loc["table1", "plain", "accuracy elsewhere"]
    assert (left_out["published"], left_out["n"]) == (0.5, 0)
    assert np.isnan(left_out["value"])
    assert left_out["reason"] == "not measured in the preset smoke"
    assert ("table1", "semcont", "accuracy elsewhere") not in table.index


def test_a_substitute_stands_in_the_titles(study, card):
    assert [item["title"] for item in study.result["items"]] == [
        "Table 1: accuracy (small digits for CIFAR-100)",
        "Figure 4: alpha (small digits for CIFAR-100)",
    ]
    assert all(item["substitute"] for item in study.result["items"])
    with at_home(shared_home()):
        same = reproduce(f"{card}-fig4", preset="full")
    assert [item["title"] for item in same.result["items"]] == ["Figure 4: alpha"]
    assert not same.result["items"][0]["substitute"]


def test_the_claims_of_the_study(study):
    claims = study.claims.set_index("claim")
    assert claims.loc["C is more continuous", "finding"] == "holds"
    assert claims.loc["C keeps the accuracy", "finding"] == "holds"
    assert claims.loc["C keeps the accuracy", "published"] == 0.05
    gone = claims.loc["C is better elsewhere"]
    assert (gone["finding"], gone["reason"]) == ("inconclusive", "not measured in the preset smoke")
    assert study.result["claims"] == [claim for item in study.result["items"] for claim in item["claims"]]


def test_curves_and_pictures(study):
    table1, fig4 = study.result["items"]
    assert [(one["arm"], one["x"]) for one in table1["curves"]] == [
        ("plain", 1), ("plain", 2), ("semcont", 1), ("semcont", 2),
    ]  # fmt: skip
    assert [(one["arm"], one["x"]) for one in fig4["curves"]] == [("semcont", 0.0), ("semcont", 1.0)]
    assert {one["figure"] for one in table1["gallery"]} == {"discontinuity"}
    assert fig4["gallery"] == []
    assert table1["analyzers"]["continuity"]["images"] == 60


def test_the_swept_default_is_the_arm_itself(study):
    """Alpha = 1 of the sweep is semcont as the preset sets it: three arms are trained, not four."""
    assert [arm["name"] for arm in study.result["arms"]] == ["plain", "semcont", "semcont alpha=0"]
    assert len(study.result["runs"]) == 9
    rows = study.table.set_index(["item", "arm", "measure"])["value"]
    assert rows["fig4", "semcont alpha=1", "accuracy"] == rows["table1", "semcont", "accuracy"]


def test_a_second_item_takes_the_stored_runs(study, card, monkeypatch):
    monkeypatch.setattr(runs, "fit", lambda *_, **__: pytest.fail("trained again"))
    with at_home(shared_home()):
        again = reproduce(f"{card}-table1", set=["aug:stage.0.epochs=9"])
    assert [item["name"] for item in again.result["items"]] == ["table1"]
    assert again.result["items"][0]["rows"] == study.result["items"][0]["rows"]
    assert again.result["items"][0]["claims"] == study.result["items"][0]["claims"]


def test_two_seeds_find_nothing(card):
    with at_home(shared_home()):
        two = reproduce(f"{card}-table1", seeds=2)
    reasons = set(two.claims["reason"])
    assert set(two.claims["finding"]) == {"inconclusive"}
    assert reasons == {"needs 3 seeds", "not measured in the preset smoke"}


def test_own_data_are_a_substitute(card):
    with at_home(shared_home()):
        own = reproduce(
            f"{card}-table1", preset="full", on=small(), seeds=[0, 1, 2], set=["semcont:stage.0.loss.alpha=1.0"]
        )
    item = own.result["items"][0]
    assert item["substitute"]
    assert item["title"] == "Table 1: accuracy (smalldigits for CIFAR-100)"


def test_a_failed_analyzer_is_told(tmp_path):
    broken = ("views = []", 'view_label = "no such label", views = ["pca"]')
    where = study_card(tmp_path, dataset_card(shared_home()), broken)
    with at_home(shared_home()):
        failed = reproduce(f"{where}-table1")
    item = failed.result["items"][0]
    assert {one["analyzer"] for one in item["failed"]} == {"continuity"}
    assert len(item["failed"]) == 6
    row = next(row for row in item["rows"] if row["measure"] == "DS, level 1")
    assert (row["value"], row["reason"]) == (None, "continuity could not run")
    assert item["claims"][0]["finding"] == "inconclusive"
    assert item["claims"][1]["finding"] == "holds"


def test_the_folder(study, tmp_path):
    folder = study.save(tmp_path / "out")
    assert {one.name for one in folder.iterdir()} == {
        "result.json", "study.md", "predictions.parquet", "tables", "figures", "report.html", "methods.md",
    }  # fmt: skip
    told = json.loads((folder / "result.json").read_text(), parse_constant=pytest.fail)
    assert told == json.loads(json.dumps(study.result))
    assert (told["kind"], told["study"], told["preset"], told["budget"]) == ("study", "paper", "smoke", "seconds")
    text = (folder / "study.md").read_text()
    assert text.startswith("# a paper on small digits (small digits for CIFAR-100)\n")
    assert "## Table 1: accuracy (small digits for CIFAR-100)" in text
    assert "holds on the substitute" in text
    assert "CIFAR-100, one training" in text
    assert "`biaskit reproduce " in text
    assert told["machine"]["system"].split()[0] in text
    assert told["created"][:10] in text
    rows = pd.read_csv(folder / "tables" / "rows.csv")
    assert len(rows) == 9
    assert {one.stem for one in (folder / "tables").glob("*.csv")} == {"rows", "claims", "curves", "runs"}


# ------------------------------------------------------------------------------------------------- names and errors


def test_what_a_name_means(card):
    assert len(find_study(WU)[1]) == 16
    assert [item.name for item in find_study("wu2021-table2")[1]] == ["table2"]
    assert [item.name for item in find_study("wu2021_fig13")[1]] == ["fig13"]
    assert [item.name for item in find_study(f"{card}-fig4")[1]] == ["fig4"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wu2012", "nearest: wu2021"),
        ("wu2021-tabel2", "nearest: wu2021-table2"),
        ("wu2021-fig14", "nearest: wu2021-fig"),
        ("wu2021-", "nearest: wu2021"),
    ],
)
def test_a_name_that_is_not_there(name, message):
    with pytest.raises(UnknownName, match=message) as error:
        find_study(name)
    assert "biaskit list studies" in str(error.value)


def test_a_preset_that_is_not_there():
    with pytest.raises(SpecError, match="--preset smokey: wu2021 has no such preset; did you mean smoke"):
        plan_study(WU, preset="smokey")


def test_data_that_are_not_there(monkeypatch):
    monkeypatch.delenv("BIASKIT_DATA", raising=False)
    monkeypatch.setattr(runs, "fit", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises(DataError, match=r"preset cpu of wu2021 needs CIFAR-10 \(JPEG\): .*BIASKIT_DATA"):
        reproduce("wu2021-table2", preset="cpu")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('arm = "semcont"\nthan', 'arm = "aug"\nthan'), "a claim of table1 names the arm aug; it has plain, semcont"),
        (('measures = ["accuracy", "blue"', 'measures = ["acuracy", "blue"'), "item table1 names the measure acuracy"),
        (('margin = 0.5', ""), "need a margin above 0"),
        (('metric = "average_accuracy"\nwhere', 'column = "x"\nwhere'), "a measure names a metric, or an analyzer"),
        (('presets = ["full"]', 'presets = ["fool"]'), "measure other names the preset fool"),
        (('data = "objects"\noriginal', 'data = "colors"\noriginal'), "has no data for the role colors"),
        (("margin = 0.5", "margins = 0.5"), "did you mean margin"),
        (('analyzers = ["continuity"]', 'analyzers = ["continuty"]'), "continuity, which is not among its .*; near"),
        (('analyzer = "continuity"', 'analyzer = "continuty"'), "continuty, which is not among its .*; nearest"),
        (('analyzers]\ncontinuity', 'analyzers]\ncontinuty'), "smoke.analyzers: no analyzer 'continuty'"),
        (('analyzer = "continuity"\ncolumn = "ds"\nwhere = { perturbation = "hue" }', 'analyzer = "x"\ncolumn = "y"'),
         "item table1 measures x, which is not among its analyzers"),
        (("images = 60", "imagez = 60"), "did you mean images"),
    ],
)  # fmt: skip
def test_a_wrong_card(change, message, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "fit", lambda *_, **__: pytest.fail("trained"))
    with pytest.raises((SpecError, UnknownName), match=message):
        reproduce(study_card(tmp_path, dataset_card(shared_home()), change))


def test_an_analyzer_that_is_not_there(tmp_path):
    """Whether or not an item measures it, and before anything is built."""
    unused = '[measure.gone]\ntitle = "x"\nanalyzer = "robustnes"\ncolumn = "accuracy"\n\n[[item]]\nname = "table1"'
    path = study_card(tmp_path, "nowhere.toml", ('[[item]]\nname = "table1"', unused))
    with pytest.raises(
        SpecError, match=r"paper.toml: measure.gone.analyzer: no analyzer 'robustnes'; nearest: robustn"
    ):
        find_study(path)
    both = [(f'{key} = {old}', f'{key} = {new}') for key, old, new in (
        ("analyzers", '["continuity"]', '["continuty"]'), ("analyzer", '"continuity"', '"continuty"'),
    )]  # fmt: skip
    with pytest.raises(SpecError, match=r"paper.toml: .*: no analyzer 'continuty'; nearest: continuity"):
        find_study(study_card(tmp_path, "nowhere.toml", *both))


@pytest.mark.parametrize("name", ["torn.toml", "torn.toml-table1", "torn.toml_table1", "torn.tomlx"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('version = 1\nsummary = "s"\npaper = "p"\narm = [{ recipe = "plain" }]\npreset = {}\n', "item is missing"),
        ('version = 1\nitem = [{ title = "t" }]\n', "torn.toml: .* is missing"),
        ("version = 1\nitem = 3\n", "torn.toml: "),
    ],
)
def test_a_card_without_items_or_names(name, text, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("torn.toml").write_text(text)
    with pytest.raises(SpecError, match=message):
        find_study(name)


def test_options_of_analyzers_reach_every_item_that_has_them(card):
    plan = plan_study(card, set=["analyzer.continuity.images=7", "semcont:stage.0.loss.alpha=2.0"])
    assert plan.analyzers["table1"]["continuity"]["images"] == 7
    assert plan.analyzers["table1"]["continuity"]["levels"] == (1, 2), "the preset's own stay"
    assert plan.arms["objects", "semcont"].card["stage"][0]["loss"]["alpha"] == 2.0
    with pytest.raises(
        SpecError, match=r"--set analyzer.robustness: .* does not use the analyzer robustness; it has: con"
    ):
        plan_study(card, set=["analyzer.robustness.images=7"])
    with pytest.raises(SpecError, match=r"analyzer continuity.imagez is no option of continuity; did you mean images"):
        plan_study(card, set=["analyzer.continuity.imagez=7"])


def test_a_fraction_is_a_number():
    given = {"epsilon": "8/255", "at": ["1/4", "top/left"]}
    what = Measure(title="x", analyzer="a", column="b", where=given)
    assert what.where == {"epsilon": 8 / 255, "at": [0.25, "top/left"]}


def test_the_shipped_card_is_checked_like_any_other():
    from biaskit.specs import card_path

    content = read_toml(card_path("study", WU))
    content["item"][0]["claim"][0]["measure"] = "nothing"
    with pytest.raises(SpecError, match="item table2 names the measure nothing, which is not there"):
        load_card("study", content, "wu2021.toml")


# ------------------------------------------------------------------------------------------------------ the command


@pytest.fixture
def call(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "140")

    def run(*words, home=None):
        monkeypatch.setattr("sys.argv", ["biaskit", *map(str, words)])
        with at_home(home or shared_home()):
            return CliRunner().invoke(app, [str(word) for word in words])

    return run


def test_the_command(call, study, card, tmp_path):
    done = call("reproduce", card)
    assert done.exit_code == 0, done.output
    assert "Table 1: accuracy (small digits for CIFAR-100)" in done.stdout
    assert "holds on the substitute" in done.stdout
    assert (tmp_path / "biaskit-paper.toml-smoke" / "study.md").is_file()
    told = call("reproduce", f"{card}-table1", "--json", "--out", "one")
    found = json.loads(told.stdout, parse_constant=pytest.fail)
    assert found["command"] == f"biaskit reproduce {card}-table1 --out one"
    assert [item["name"] for item in found["items"]] == ["table1"]
    assert told.stderr.count("   stored\n") == 6
    head = told.stderr.splitlines()[0]
    assert head.startswith("paper, preset smoke: table1; small digits ")
    assert "6 runs" in head
    assert head.endswith("budget: seconds")


def test_the_command_refuses_in_one_line(call):
    done = call("reproduce", "wu2021-table5")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("error: no study 'wu2021-table5'; nearest: wu2021-table")
    done = call("reproduce", WU, "--preset", "tiny")
    assert done.exit_code == 2
    assert "it has smoke, cpu, gpu" in done.stderr


def test_ctrl_c_keeps_what_is_finished(call, card, monkeypatch, tmp_path):
    fit, count = runs.fit, [0]

    def interrupted(*args, **options):
        count[0] += 1
        if count[0] == 3:
            raise KeyboardInterrupt
        return fit(*args, **options)

    words = ("reproduce", f"{card}-table1", "--out", "out")
    with monkeypatch.context() as patch:
        patch.setattr(runs, "fit", interrupted)
        done = call(*words, home=tmp_path / "h")
    assert done.exit_code == 130
    assert done.stderr.splitlines()[-1] == "interrupted: 2 of 6 runs are stored; the same command goes on from there"
    assert not (tmp_path / "out").exists()


def test_list_and_show(call):
    done = call("list", "studies")
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        name
        for one in ("dong2019", "hamdi2020", "scarl", WU)
        for name in [one, *(f"{one}-{item.name}" for item in find_study(one)[1])]
    ]
    assert re.search(r"wu2021-table2 +Table 2: robust accuracy", done.stdout)
    assert call("list", "study").stdout == done.stdout
    shown = call("show", WU).stdout
    assert shown.startswith("wu2021, study, version 1: ")
    assert "try      biaskit reproduce wu2021-table2" in shown
    for text in ("wu2021-table2", "wu2021-fig13", "smoke", "gpu", "R18ADV+C"):
        assert text in shown
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    at = next(number for number, line in enumerate(lines) if line.startswith("preset cpu 3 seeds; "))
    assert lines[at + 1 : at + 3] == [
        "objects CIFAR-10 (JPEG) (cifar10-jpeg); in place of the paper's",
        "colors colormnist, 30,000 images (colormnist), with limit.train=30000; as in the paper",
    ]


def test_show_an_item(call, card):
    shown = call("show", "wu2021-table2")
    assert shown.exit_code == 0
    lines = [" ".join(line.split()) for line in shown.stdout.splitlines()]
    assert lines[0] == "wu2021-table2, item of wu2021: Table 2: robust accuracy"
    for line in (
        "original CIFAR-100",
        "arms plain, aug, semcont, adv, adv-semcont",
        "measured robustness, input_gradient",
        "objects CIFAR-100 (cifar100); as in the paper",
        "measure clean accuracy, %; published on CIFAR-100, ResNet-18, one training: plain 66.99, semcont 67.01, "
        "adv 63.8, adv-semcont 59.62",
        "claim the constraint keeps the clean accuracy, within 2 points: semcont - plain, clean accuracy: expected not "
        "lower by more than 2 points",
        "try biaskit reproduce wu2021-table2",
    ):
        assert line in lines, line
    assert not [line for line in lines if line.startswith("colors")], "no data of other items"
    assert call("show", "wu2021_table2").stdout == shown.stdout
    assert "semcont with stage.0.loss.alpha = 0.0, 1.0" in call("show", f"{card}-fig4").stdout
    assert f"try      biaskit reproduce {card}-fig4" in call("show", f"{card}-fig4").stdout
    wrong = call("show", "wu2021-tabel2")
    assert (wrong.exit_code, wrong.stdout) == (2, "")
    assert "no entry 'wu2021-tabel2'; nearest: wu2021-table2" in wrong.stderr


# ------------------------------------------------------------------------------------------------------------- smoke


def whole_study(call, tmp_path, name):
    """Every item of a shipped card, as a user runs it; one set of runs for all."""
    done = call("reproduce", name, "--preset", "smoke", "--out", "out", home=tmp_path / "h")
    assert done.exit_code == 0, done.output
    told = json.loads((tmp_path / "out" / "result.json").read_text(), parse_constant=pytest.fail)
    assert [item["name"] for item in told["items"]] == [item.name for item in find_study(name)[1]]
    assert not [one for item in told["items"] for one in item["failed"]]
    assert all(item["substitute"] for item in told["items"])
    for item in told["items"]:
        missing = [row for row in item["rows"] if row["value"] is None and "not measured" not in row["reason"]]
        assert not missing, missing
        assert item["rows"] or item["gallery"], item["name"]
        for one in item["curves"]:
            assert one["y"] is not None, one
    for one in told["claims"]:
        assert one["estimate"] is not None or "not measured" in one["reason"], one
    pictures = {item["name"] for item in told["items"] if item["gallery"]}
    return told, pictures, {one["claim"]: one["finding"] for one in told["claims"]}


@pytest.mark.smoke
def test_all_of_wu2021_on_the_embedded_digits(call, tmp_path):
    told, pictures, found = whole_study(call, tmp_path, WU)
    assert len(told["runs"]) == 11 * 3
    assert pictures == {"fig1", "fig2", "fig5", "fig7", "fig9", "fig11", "fig12", "fig13"}
    # What any build of the method must show: the constraint lowers the distance it punishes, alpha by alpha.
    assert found["a constraint of alpha = 1 lowers DS"] == "holds"
    again = call("reproduce", "wu2021-table2", "--out", "again", home=tmp_path / "h")
    assert again.stderr.count("   stored\n") == 15


@pytest.mark.smoke
def test_all_of_dong2019_on_drawn_shapes(call, tmp_path):
    told, pictures, _ = whole_study(call, tmp_path, "dong2019")
    assert len(told["runs"]) == 3 * 3
    assert pictures == {"fig3", "fig4"}
    assert len(told["claims"]) == 23
    measured = {(row["arm"], row["measure"]): row["value"] for row in told["items"][2]["rows"]}
    # They learn what the objects are, else nothing could be said of their units.
    assert all(value > 0.5 for (_, what), value in measured.items() if what == "clean accuracy" and value is not None)


def test_two_items_of_one_name_and_an_arm_that_is_not_there():
    text = read_toml(Path(bk.__file__).parents[1] / "studies" / "wu2021.toml")
    text["item"].append(text["item"][0])
    with pytest.raises(SpecError, match="two items are called table2"):
        load_card("study", text, "mine.toml")
    with pytest.raises(SpecError, match="no arm 'nope' in wu2021; it has adv, adv-semcont, aug"):
        plan_study("wu2021-fig1", set=["nope:stage.0.epochs=1"])


@pytest.mark.parametrize(
    ("study", "item", "measure", "arm", "value"),
    [
        ("hamdi2020", "table1", "srvr_oir_b", "resnet18", 0.1758),
        ("hamdi2020", "table1", "clean", "inception", 0.7745),
        ("scarl", "table", "pgd", "scarl", 0.5424),
        ("scarl", "table", "clean", "trades", 0.8241),
    ],
)
def test_published_numbers_of_rates_are_shares(study, item, measure, arm, value):
    card, items = find_study(study)
    assert card.measure[measure].unit == "%"
    assert next(one for one in items if one.name == item).published[measure][arm] == value


@pytest.mark.smoke
def test_all_of_hamdi2020_on_rendered_objects(call, tmp_path):
    told, pictures, _ = whole_study(call, tmp_path, "hamdi2020")
    assert len(told["runs"]) == 4 * 3
    assert pictures == {"maps"}
    assert len(told["claims"]) == 8


@pytest.mark.smoke
def test_all_of_scarl_on_drawn_shapes(call, tmp_path):
    told, pictures, _ = whole_study(call, tmp_path, "scarl")
    assert len(told["runs"]) == 8 * 3
    assert pictures == {"fig2"}
    assert len(told["claims"]) == 10
