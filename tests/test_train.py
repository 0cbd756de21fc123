"""Training: determined by its seed, resumed without a trace, stored once, and never silently wrong."""

from __future__ import annotations

import dataclasses
import json
import random

import numpy as np
import pandas as pd
import pytest
import torch
from _shared import at_home, recipe_card, small
from filelock import FileLock
from safetensors import safe_open
from torch import nn

import biaskit as bk
import biaskit._train as loop
import biaskit.recipes
from biaskit import runs
from biaskit.data import Dataset
from biaskit.errors import BiaskitError, SpecError, StoreError
from biaskit.evaluation import evaluate
from biaskit.recipes import bind_arms, code_fingerprint
from biaskit.registry import find

CPU = loop.Machine("cpu", "float32", 1, True)
SEMCONT = '{ name = "semantic_continuity", alpha = 0.1, warmup = 0.5, perturbed_share = 0.5 }'
#: Two stages of two epochs: batch normalization, Adam's and SGD's moments, perturbations and a warm-up to go on with.
TWO_STAGES = """perturbation = { name = "color" }
epochs = 2
clip = 1.0

[[stage]]
loss = { name = "cross_entropy", perturbed_share = 0.3 }
perturbation = { name = "hue", level = 2 }
epochs = 2
optimizer = { name = "sgd", lr = 0.01, momentum = 0.9 }
schedule = "constant"
"""


PGD = '{ name = "pgd", epsilon = "8/255", step = "4/255", steps = 2 }'


@pytest.fixture(autouse=True)
def _home(tmp_path):
    with at_home(tmp_path / "home"):
        yield


def weights(run):
    return run.model.state_dict()


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def fitted(card, seed=0, data=None, **options):
    """A network trained by the loop alone, and its history."""
    data = data or small()
    model = loop.make_model(card["model"], len(data.classes), data.images.shape, seed)
    return model, loop.fit(model, data, card, seed=seed, where=CPU, **options)


# Seeds


def test_the_seed_determines_the_weights():
    card = bind_arms(["semcont"], small())[0].card
    first, again, other = (fitted(card, seed)[0].state_dict() for seed in (0, 0, 1))
    assert equal(first, again)
    assert not equal(first, other)


def test_seed_varies_initialization_order_and_perturbations(monkeypatch):
    seen, draws = [], []

    class Watch(nn.Module):
        needs_perturbation = True

        def forward(self, model, batch):
            seen.append((batch.index.clone(), batch.perturbed.clone(), batch.progress))
            draws.append(batch.generator.initial_seed())
            return model(batch.images).square().mean()

    monkeypatch.setattr(
        loop, "find", lambda kind, name: (lambda *_, **__: Watch()) if kind == "loss" else find(kind, name)
    )
    card = bind_arms(["aug"], small())[0].card
    stage = {**card["stage"][0], "epochs": 2, "batch_size": 300}
    card = {**card, "stage": [stage]}
    for seed in (0, 1):
        fitted(card, seed)
    epochs = [torch.cat([index for index, _, _ in seen[start : start + 4]]) for start in (0, 4, 8, 12)]
    train = small().rows("train")
    for order in epochs:  # every row once, every epoch
        np.testing.assert_array_equal(np.sort(order.numpy()), train)
    assert len({tuple(order.tolist()) for order in epochs}) == 4
    assert [progress for _, _, progress in seen[:8]] == pytest.approx(np.arange(8) / 8)

    assert [len(set(draws[start : start + 4])) for start in (0, 4, 8, 12)] == [1] * 4  # one stream an epoch
    assert len(set(draws)) == 4

    def copies(part):
        return torch.cat([images for _, images, _ in part])[torch.cat([index for index, _, _ in part]).argsort()]

    assert not torch.equal(copies(seen[:4]), copies(seen[4:8]))
    assert not torch.equal(copies(seen[:4]), copies(seen[8:12]))
    inits = [loop.make_model(card["model"], 10, (3, 8, 8), seed).state_dict() for seed in (0, 0, 1)]
    assert equal(inits[0], inits[1])
    assert not equal(inits[0], inits[2])


def test_global_generators_are_left_alone():
    def states():
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()

    before = states()
    first = weights(bk.train("semcont", small()))
    assert states() == before
    random.seed(5)
    np.random.seed(5)
    torch.manual_seed(5)
    runs.clean()
    assert equal(first, weights(bk.train("semcont", small())))


# Going on after an interruption


@pytest.mark.parametrize(("steps", "attacked"), [(3, False), (17, False), (40, False), (60, False), (40, True)])
def test_an_interrupted_run_ends_as_if_it_had_not_been(tmp_path, monkeypatch, steps, attacked):
    stages = TWO_STAGES.replace('perturbation = { name = "color" }', f"attack = {PGD}") if attacked else TWO_STAGES
    recipe = recipe_card(tmp_path, "two", SEMCONT, stages)
    card = bind_arms([recipe], small())[0].card
    whole, history = fitted(card)
    step, count, resume = loop._Stage.step, [0], tmp_path / "state.resume"

    def interrupt(*args):
        count[0] += 1
        if count[0] == steps:
            raise KeyboardInterrupt
        return step(*args)

    with monkeypatch.context() as patch:
        patch.setattr(loop._Stage, "step", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fitted(card, resume=resume)
    assert resume.exists() == (steps > 16)
    count[0] = -10_000
    monkeypatch.setattr(loop._Stage, "step", interrupt)
    resumed, again = fitted(card, resume=resume)
    assert count[0] + 10_000 == 4 * 16 - (steps - 1) // 16 * 16  # 16 steps an epoch; finished epochs are not repeated
    assert equal(whole.state_dict(), resumed.state_dict())
    keys = ("stage", "epoch", "loss")
    assert [[row[key] for key in keys] for row in again] == [[row[key] for key in keys] for row in history]
    assert [(row["stage"], row["epoch"]) for row in history] == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_an_interrupted_call_goes_on_and_leaves_nothing_behind(tmp_path, monkeypatch):
    recipe = recipe_card(tmp_path, "two", SEMCONT, TWO_STAGES)
    whole = bk.train(recipe, small())
    runs.clean()
    save = loop._save_state

    def interrupt(path, state):
        save(path, state)
        if (state["stage"], state["epoch"]) == (0, 1):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "_save_state", interrupt)
        with pytest.raises(KeyboardInterrupt):
            bk.train(recipe, small())
    folder = tmp_path / "home" / "runs"
    assert [path.suffix for path in folder.iterdir()] == [".resume"]
    resumed = bk.train(recipe, small())
    assert equal(weights(whole), weights(resumed))
    assert resumed.fingerprint == whole.fingerprint
    assert [path.name for path in folder.iterdir()] == [whole.fingerprint[:16]]


def test_a_state_that_cannot_be_read_is_one_line(tmp_path):
    card = bind_arms(["plain"], small())[0].card
    for content in (b"", b"PK\x03\x04 torn", b"text"):
        (tmp_path / "x.resume").write_bytes(content)
        with pytest.raises(StoreError, match="remove it to train from the start") as error:
            fitted(card, resume=tmp_path / "x.resume")
        assert "\n" not in str(error.value)


class _Harm:
    def __reduce__(self):
        return print, ("code in a pickle was run",)


def test_no_pickle_is_loaded(tmp_path, capsys):
    torch.save({"stage": 0, "epoch": 0, "model": _Harm()}, tmp_path / "x.resume")
    with pytest.raises(StoreError):
        fitted(bind_arms(["plain"], small())[0].card, resume=tmp_path / "x.resume")
    assert capsys.readouterr().out == ""


# The store


def test_what_a_run_stores(tmp_path):
    run = bk.train("semcont", small(), seed=3)
    names = {path.name for path in run.folder.iterdir()}
    assert names == {"run.json", "model.safetensors", "history.csv", "predictions.parquet"}
    for path in run.folder.iterdir():  # neither a pickle (0x80) nor a zip of pickles
        assert path.read_bytes()[:2] not in (b"\x80\x02", b"\x80\x04", b"\x80\x05", b"PK")
    about = json.loads((run.folder / "run.json").read_text())
    assert (about["arm"], about["seed"], about["data"]["name"]) == ("semcont", 3, "smalldigits")
    assert about["data"]["fingerprint"] == small().fingerprint == run.data
    assert about["card"]["stage"][0]["loss"]["alpha"] == 0.1
    assert about["card"]["stage"][0]["perturbation"]["levels"] == [1, 2, 3, 4]
    assert about["parameters"] == sum(one.numel() for one in run.model.parameters()) == run.parameters
    with safe_open(run.folder / "model.safetensors", "pt") as stream:
        assert json.loads(stream.metadata()["biaskit"])["classes"] == list(small().classes)


def test_weights_and_predictions_go_together():
    run = bk.train("plain", small())
    table = run.predictions
    rows = np.flatnonzero((small().table["split"] != "train").to_numpy())
    assert list(table.columns) == ["row", "split", "pair", "label", "color", "prediction", "confidence", "logits"]
    np.testing.assert_array_equal(table["row"], rows)
    assert table["label"].tolist() == small().table["label"].iloc[rows].astype(str).tolist()
    stored = np.stack(table["logits"].to_list())
    again = evaluate(run.model, small(), rows, "cpu").numpy()
    np.testing.assert_array_equal(stored, again)
    assert table["prediction"].astype(str).tolist() == [small().classes[one] for one in again.argmax(1)]
    assert list(table["prediction"].cat.categories) == list(small().classes)
    odds = np.exp(again - again.max(1, keepdims=True))
    np.testing.assert_allclose(table["confidence"], (odds / odds.sum(1, keepdims=True)).max(1), rtol=1e-5)


def test_a_finished_run_is_not_trained_twice(monkeypatch):
    first = bk.train("plain", small())
    monkeypatch.setattr(runs, "fit", lambda *_, **__: pytest.fail("trained again"))
    again = bk.train("plain", small())
    assert (first.stored, again.stored) == (False, True)
    assert (first.fingerprint, first.seconds, first.folder) == (again.fingerprint, again.seconds, again.folder)
    assert again.folder.name == again.fingerprint[:16]
    pd.testing.assert_frame_equal(first.history, again.history)
    pd.testing.assert_frame_equal(first.predictions, again.predictions)


def test_a_run_that_two_cards_share_has_the_name_it_is_asked_for_by(tmp_path):
    first = bk.train("plain", small())
    same = bk.train(recipe_card(tmp_path, "mine", more='schedule = "cosine"', summary="as plain"), small())
    assert same.stored
    assert same.folder == first.folder
    assert (same.arm, same.card["name"], same.card["summary"]) == ("mine", "mine", "as plain")


def test_the_fingerprint_is_of_everything_that_determines_a_run(monkeypatch):
    arm = bind_arms(["semcont"], small())[0]

    def key(arm=arm, data=None, seed=0, where=CPU):
        return runs.run_fingerprint(arm, data or small(), seed, where)

    before = key()
    changed = small().table.copy()
    changed["color"] = changed["color"].cat.rename_categories(["crimson", "blue"])
    others = {
        "seed": key(seed=1),
        "data": key(data=small().replace(table=changed)),
        "precision": key(where=dataclasses.replace(CPU, precision="bf16")),
        "threads": key(where=dataclasses.replace(CPU, threads=2)),
        "device": key(where=dataclasses.replace(CPU, device="cuda")),
        "deterministic": key(where=dataclasses.replace(CPU, deterministic=False)),
    }
    settings = ["stage.0.loss.alpha=0.2", "stage.0.perturbation.levels=[1]", "stage.0.epochs=2", "model.width=5"]
    settings += ["stage.0.optimizer.lr=0.02", "stage.0.batch_size=65", 'stage.0.schedule="constant"', "stage.0.clip=1"]
    for text in settings:
        others[text] = key(bind_arms(["semcont"], small(), [text])[0])
    attacked, stronger = ([f'stage.0.attack={{name="pgd", epsilon="{level}/255"}}'] for level in (8, 4))
    others["attack"] = key(bind_arms(["plain"], small(), attacked)[0])
    others["epsilon"] = key(bind_arms(["plain"], small(), stronger)[0])
    getsource = biaskit.recipes.inspect.getsource
    for name in ("_train", "losses._pairs", "perturbations._photometric", "models._network"):
        with monkeypatch.context() as patch:
            patch.setattr(
                biaskit.recipes.inspect,
                "getsource",
                lambda module, name=name: getsource(module) + ("#" if module.__name__ == f"biaskit.{name}" else ""),
            )
            others[name] = key()
    monkeypatch.setattr(torch, "__version__", "0.0")
    others["torch"] = key()
    monkeypatch.undo()
    assert len({before, *others.values()}) == 1 + len(others), others
    assert key() == before


def test_the_fingerprint_is_of_nothing_else():
    arm = bind_arms(["semcont"], small())[0]
    words = {**arm.card, "name": "other", "summary": "other words", "paper": "", "control": ""}
    other = dataclasses.replace(arm, name="other", card=words, changes=("x=1",))
    where = dataclasses.replace(CPU, device="cuda:0")
    renamed = small().replace(card={**small().card, "name": "other"})
    assert runs.run_fingerprint(arm, small(), 0, CPU) == runs.run_fingerprint(other, renamed, 0, CPU)
    assert runs.run_fingerprint(arm, small(), 0, where) == runs.run_fingerprint(
        arm, small(), 0, dataclasses.replace(where, device="cuda:1")
    )


def test_code_of_other_methods_does_not_count(monkeypatch):
    plain = bind_arms(["plain"], small())[0].card
    before = code_fingerprint(plain)
    getsource = biaskit.recipes.inspect.getsource
    monkeypatch.setattr(
        biaskit.recipes.inspect, "getsource", lambda one: getsource(one) + ("#" if "continuity" in one.__name__ else "")
    )
    assert code_fingerprint(plain) == before


def test_code_of_an_attack_counts(monkeypatch):
    card = bind_arms(["adv"], small())[0].card
    getsource, codes = biaskit.recipes.inspect.getsource, {code_fingerprint(card)}
    for name in ("_pgd", "_common", "_fgsm"):
        with monkeypatch.context() as patch:
            patch.setattr(
                biaskit.recipes.inspect,
                "getsource",
                lambda one, name=name: getsource(one) + ("#" if one.__name__ == f"biaskit.attacks.{name}" else ""),
            )
            codes.add(code_fingerprint(card))
    assert len(codes) == 3  # fgsm is another method


def test_a_held_lock_is_one_line(tmp_path):
    key = runs.run_fingerprint(bind_arms(["plain"], small())[0], small(), 0, loop.machine("cpu"))
    path = tmp_path / "home" / "runs" / f"{key[:16]}.lock"
    path.parent.mkdir(parents=True)
    with FileLock(path):
        with pytest.raises(StoreError, match="is being trained by another process") as error:
            bk.train("plain", small(), device="cpu")
        assert runs.clean() == (0, 0)
    assert "\n" not in str(error.value)
    assert not bk.train("plain", small(), device="cpu").stored


def test_clean_removes_what_is_asked_for():
    run = bk.train("plain", small())
    folder = run.folder.parent
    (folder / "0123456789abcdef.resume").write_bytes(b"12345")
    work = folder / ".fedcba9876543210-x1y2"
    work.mkdir()
    (work / "model.safetensors").write_bytes(b"123")
    with FileLock(folder / "fedcba9876543210.lock"):
        assert runs.clean(unfinished_only=True) == (1, 5)
        assert work.is_dir()
    assert runs.clean(unfinished_only=True) == (1, 3)
    assert [one["arm"] for one in runs.stored_runs()] == ["plain"]
    removed, size = runs.clean()
    assert (removed, size > 1000, list(runs.stored_runs())) == (1, True, [])


def test_a_broken_run_says_what_to_do():
    run = bk.train("plain", small())
    (run.folder / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(StoreError, match="remove the run"):
        _ = dataclasses.replace(run, seed=0).model
    (run.folder / "predictions.parquet").write_bytes(b"torn")
    with pytest.raises(StoreError, match="biaskit runs clean"):
        bk.train("plain", small())


# What can be wrong


def test_a_loss_that_is_not_a_number():
    with pytest.raises(BiaskitError, match=r"plain, seed 2: the loss is (nan|inf) in epoch 1 of stage 0") as error:
        bk.train("plain", small(), seed=2, set=["stage.0.optimizer.lr=1e30", 'stage.0.optimizer.name="sgd"'])
    assert "--set stage.0.optimizer.lr=" in str(error.value)
    assert not list(runs.stored_runs())


def test_images_that_are_too_small():
    data = Dataset.from_arrays(np.zeros((4, 3, 3, 3), np.uint8), [0, 1, 0, 1], split="train")
    with pytest.raises(SpecError, match="resnet_small needs images of at least 4 x 4 pixels, these are 3 x 3"):
        bk.train("plain", data)


def test_a_loss_without_its_perturbation(tmp_path):
    recipe = recipe_card(tmp_path, "mine", SEMCONT)
    with pytest.raises(
        SpecError, match=r"mine: stage.0.loss semantic_continuity compares .* add to the stage"
    ) as error:
        bk.train(recipe, small())
    assert 'perturbation = { name = "color" } or attack = { name = "pgd" }' in str(error.value)


def test_a_stage_with_both_kinds_of_copies(tmp_path):
    both = f'perturbation = {{ name = "color" }}\nattack = {PGD}'
    recipe = recipe_card(tmp_path, "mine", SEMCONT, both)
    words = r"^mine\.toml: stage\.0: a stage has a perturbation or an attack, not both; make them two stages$"
    with pytest.raises(SpecError, match=words):
        bk.train(recipe, small())
    with pytest.raises(SpecError, match="a perturbation or an attack, not both"):
        bind_arms(["aug"], small(), [f"stage.0.attack={PGD}"])


def test_an_epsilon_in_gray_levels_is_refused_before_anything_is_trained():
    message = r'^adv\.toml: stage\.0\.attack\.epsilon: .* write "8/255"; got 8$'
    with pytest.raises(SpecError, match=message):
        bind_arms(["adv"], small(), ["stage.0.attack.epsilon=8"])
    card = bind_arms(["adv"], small(), ["stage.0.attack.epsilon=4/255"])[0].card
    assert card["stage"][0]["attack"]["epsilon"] == 4 / 255


def test_no_training_rows():
    data = small().table.assign(split=pd.Categorical(["test"] * len(small())))
    with pytest.raises(bk.DataError, match="no rows in split 'train'"):
        bk.train("plain", small().replace(table=data))


@pytest.mark.parametrize("device", ["tpu", "cuda:x", "mps" if not torch.backends.mps.is_available() else "none"])
def test_a_device_that_is_not_there(device):
    with pytest.raises(SpecError, match=f"--device {device}"):
        bk.train("plain", small(), device=device)


def test_learning_rate_follows_its_schedule(monkeypatch):
    rates = []
    step = torch.optim.SGD.step

    def spy(self, *args, **kwargs):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.SGD, "step", spy)
    options = ['stage.0.optimizer.name="sgd"', "stage.0.optimizer.lr=0.1", "stage.0.batch_size=250"]
    fitted(bind_arms(["plain"], small(), options)[0].card)
    assert rates == pytest.approx(0.05 * (1 + np.cos(np.pi * np.arange(4) / 4)))
    rates.clear()
    fitted(bind_arms(["plain"], small(), [*options, 'stage.0.schedule="constant"'])[0].card)
    assert rates == pytest.approx([0.1] * 4)


def test_training_learns_and_reports_its_loss():
    card = bind_arms(["plain"], small(), ["stage.0.epochs=4", "model.width=8"])[0].card
    ticks = []
    history = fitted(card, tick=ticks.append)[1]
    assert history[-1]["loss"] < 0.7 * history[0]["loss"]
    assert all(0 < one.done <= 1 and one.images_per_second > 0 and one.epochs == 4 for one in ticks)


# Attacks while training


@pytest.mark.parametrize("name", ["adv", "adv-fgsm", "adv-semcont"])
def test_adversarial_recipes_train(name):
    run = bk.train(name, small(), set=["stage.0.attack.steps=2"] if name != "adv-fgsm" else [])
    assert np.isfinite(run.history["loss"]).all()
    assert not equal(weights(run), weights(bk.train("plain", small())))


def gray():
    """Small digits without a color: one channel."""
    rng = np.random.default_rng(0)
    return Dataset.from_arrays(
        rng.integers(0, 256, (60, 8, 8)).astype(np.uint8), np.arange(60) % 3, split=["train"] * 40 + ["test"] * 20
    )


@pytest.mark.parametrize("data", [small, gray])
def test_what_an_attack_is_given_and_where_it_goes(monkeypatch, data):
    seen, batches = [], []

    def attack(model, images, labels, generator, **options):
        seen.append((model, images.clone(), labels.clone(), generator, [one.training for one in model.modules()]))
        return pgd(model, images, labels, generator, **options)

    class Watch(nn.Module):
        needs_perturbation = True

        def forward(self, model, batch):
            batches.append((batch, [one.training for one in model.modules()]))
            return model(torch.cat([batch.images, batch.perturbed])).square().mean()

    pgd = find("attack", "pgd")
    stand_ins = {"attack": attack, "loss": lambda *_, **__: Watch()}
    monkeypatch.setattr(loop, "find", lambda kind, name: stand_ins.get(kind) or find(kind, name))
    model = fitted(bind_arms(["adv"], data(), ["stage.0.attack.steps=2", "stage.0.epochs=1"])[0].card, data=data())[0]
    assert len(seen) == len(batches) == max(1, -(-len(data().rows("train")) // 64))
    for (network, images, labels, generator, before), (batch, after) in zip(seen, batches, strict=True):
        assert network is model
        assert all(before), "the attack itself chooses eval mode"
        assert all(after), "and gives the flags back before the loss"
        assert generator is batch.generator
        assert images.shape[1] == data().images.shape[0]
        assert torch.equal(images.expand_as(batch.images), batch.images)
        assert torch.equal(labels, batch.labels)
        far = (batch.perturbed - batch.images).abs()
        assert 0 < float(far.max()) <= 8 / 255 + 1e-6
        if data is gray:
            assert torch.equal(batch.perturbed, batch.perturbed[:, :1].expand_as(batch.perturbed))


def test_an_attack_leaves_the_weights_of_bf16_to_the_loss():
    """Autocast keeps the weights that it has cast; in some versions of torch those of an attack were never trained."""
    card = bind_arms(["plain"], small(), ['stage.0.attack={name="fgsm"}', "stage.0.loss.perturbed_share=0.5"])[0].card
    start = loop.make_model(card["model"], 10, small().images.shape, 0)
    before = {name: one.clone() for name, one in start.named_parameters()}
    loop.fit(start, small(), card, seed=0, where=dataclasses.replace(CPU, precision="bf16"))
    assert all(not torch.equal(before[name], one) for name, one in start.named_parameters())
