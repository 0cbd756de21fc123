"""Models made elsewhere: found, fitted to a data set, and everything assumed of them told."""

from __future__ import annotations

import hashlib
import pickle
import sys
import zipfile
from pathlib import Path
from urllib.error import URLError

import _foreign_models as models
import numpy as np
import pytest
import torch
from _shared import at_home, shared_home, small
from safetensors.torch import save_file
from torch import nn
from torchvision import models as zoo

import biaskit as bk
from biaskit import testing
from biaskit._audit import audit_result
from biaskit.errors import DataError, MissingExtra, SpecError, UnknownName, UnsupportedModel
from biaskit.foreign import preparation
from biaskit.foreign._files import kind_of
from biaskit.foreign._found import Found
from biaskit.foreign._labels import label_places
from biaskit.foreign._pixels import InBatches, OnPixels, Preparation
from biaskit.registry import names
from biaskit.telling.chance import chance
from biaskit.telling.sentences import verdict

TINY = testing.tiny()
PIXELS = TINY.images.gather(torch.arange(len(TINY))).float().div_(255.0)
#: What every factory here of the label answers, right or left.
WANTED = torch.from_numpy(TINY.labels)


def opened(spec, dataset=TINY, **options):
    return bk.open_model(spec, dataset=dataset, **options)


def answers(model, images=PIXELS):
    with torch.no_grad():
        return model.module(images)


def accuracy(model, data=TINY, **options):
    return audit_result(bk.audit(model, data, analyzers=["group_accuracy"], device="cpu", **options))["headline"][1]


def said(model, text):
    """Whether one of the assumptions holds a text."""
    return any(text in one for one in model.assumptions)


# factories


def test_a_factory():
    model = opened("_foreign_models:two")
    assert torch.equal(answers(model), models.two()(PIXELS))
    assert (model.name, model.run) == ("_foreign_models:two", None)
    assert model.assumptions == (
        "the model is as _foreign_models:two gives it; no --weights were named",
        "images go in as they are, 8 x 8 pixels; --size N resizes them",
        "pixels go in as numbers from 0 to 1, without normalization; --mean and --std give one",
        "the model's outputs are the labels in this order: left, right; "
        "if not, say so with --labels map.csv (columns model,label)",
    )
    assert accuracy(model)["value"] == 1.0


def test_a_factory_in_the_current_folder(tmp_path, monkeypatch):
    (tmp_path / "my_own_model.py").write_text(
        "import torch.nn as nn\nnet = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))\n"
    )
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    assert opened("my_own_model:net").name == "my_own_model:net"
    assert sys.path == before


def test_a_factory_is_deterministic():
    """A model without weights is drawn at random, always the same."""
    spec = "torch.nn:LazyLinear"
    with pytest.raises(UnsupportedModel, match="is called without arguments"):
        opened(spec)
    first, second = (opened("_foreign_models:three", labels={0: "left", 1: "right"}) for _ in range(2))
    assert first.digest == second.digest


@pytest.mark.parametrize(
    ("spec", "error", "message"),
    [
        ("_foreign_models:too", UnsupportedModel, "AttributeError: module '_foreign_models' has no attribute 'too'"),
        ("no_such_package.net:make", UnsupportedModel, "ModuleNotFoundError: No module named 'no_such_package'"),
        ("_foreign_models:not_a_module", UnsupportedModel, "gives a int; expected a torch nn.Module"),
        ("_foreign_models:needs_an_argument", UnsupportedModel, "missing 1 required positional argument: 'width'"),
        ("sys:path", UnsupportedModel, "sys:path is a list; expected a function that gives the model"),
        ("_foreign_models:pair", UnsupportedModel, r"gives a tuple of \(4, 2\), \(4,\); give a module whose output"),
        ("_foreign_models:named", UnsupportedModel, "gives a dict with logits, loss; give a module"),
        ("_foreign_models:numbers", UnsupportedModel, "gives torch.int64 of shape .*, which are no logits"),
        ("_foreign_models:maps", UnsupportedModel, r"outputs of shape \(4, 2, 1, 1\) for 4 images"),
        ("_foreign_models:one", DataError, "the data has 2 labels .left, right., the model one output; a model of two"),
        ("_foreign_models:three", DataError, "the data has 2 labels .left, right., the model 3 outputs; name the"),
        ("_foreign_models:elsewhere", UnsupportedModel, "gives its outputs on meta for images on cpu"),
        ("_foreign_models:leaves", UnsupportedModel, r"leaves\(\) failed: SystemExit: 3"),
        ("resnet18", SpecError, "'resnet18' names no model; .* did you mean torchvision:resnet18?"),
        ("nothing", SpecError, "'nothing' names no model; expected a run's folder"),
        ("gone/model.pt2", SpecError, "no file or folder gone/model.pt2"),
        ("torchvision:resnet81", UnknownName, "no torchvision model 'resnet81'; nearest: resnet"),
        ("torchvision:resnet18@V3", SpecError, "resnet18 has the weights IMAGENET1K_V1"),
    ],
)
def test_what_is_no_model_is_said(spec, error, message):
    with pytest.raises(error, match=message):
        opened(spec)


def test_a_tuple_is_named_for_a_plain_module_too():
    with pytest.raises(UnsupportedModel, match=r"gives a tuple of \(1, 2\), \(1,\)"):
        bk.audit(models.pair(), TINY, device="cpu").predictions  # noqa: B018


def test_a_model_that_changes_its_images_in_place():
    # Analyzers go on with the images they gave: the numbers are those of the same model written without it.
    wanted = ["group_accuracy", "attribution", "continuity"]
    found = [
        bk.audit(f"_foreign_models:{name}", TINY, analyzers=wanted, device="cpu")
        for name in ("in_place", "out_of_place")
    ]
    for name in wanted:
        assert found[0][name].table.equals(found[1][name].table), name
    assert found[0].subject.steady
    gray = bk.Dataset.from_arrays(np.zeros((4, 8, 8), np.uint8), list("abab"), split=["test"] * 4)
    assert answers(opened("_foreign_models:in_place", gray), torch.zeros(4, 1, 8, 8)).shape == (4, 2)
    # A plain module is used as it is, with its layers: there it is refused.
    with pytest.raises(UnsupportedModel, match="the model changes its images in place"):
        audit_result(bk.audit(models.in_place(), TINY, device="cpu"))


def test_nan_is_an_error_of_the_audit():
    with pytest.raises(UnsupportedModel, match="NaN or infinite logits for 32 of 32 images"):
        audit_result(bk.audit("_foreign_models:not_numbers", TINY, device="cpu"))


def test_audit_takes_the_words_for_a_model():
    assert accuracy("_foreign_models:two")["value"] == 1.0
    with pytest.raises(UnsupportedModel, match="got int"):
        bk.audit(7, TINY)


# weights


def test_weights_from_files(tmp_path):
    net = models.Convolved()
    with torch.no_grad():
        net.head.weight.neg_()
    state = net.state_dict()
    save_file(state, tmp_path / "w.safetensors")
    torch.save(state, tmp_path / "w.pt")
    torch.save(
        {"epoch": 3, "state_dict": {f"module.{key}": one for key, one in state.items()}}, tmp_path / "nested.pth"
    )
    for name in ("w.safetensors", "w.pt", "nested.pth"):
        model = opened("_foreign_models:two", weights=tmp_path / name)
        assert torch.equal(answers(model), net(PIXELS))
        assert model.assumptions[0] == f"the model is made by _foreign_models:two, its weights are {name}"


def test_weights_that_do_not_fit(tmp_path):
    save_file(models.Convolved(3).state_dict(), tmp_path / "three.safetensors")
    with pytest.raises(UnsupportedModel, match=r"head.bias is \(3,\) in the file and \(2,\) in the model"):
        opened("_foreign_models:two", weights=tmp_path / "three.safetensors")
    save_file({"conv.weight": torch.zeros(2, 3, 8, 8), "other": torch.zeros(1)}, tmp_path / "some.safetensors")
    with pytest.raises(UnsupportedModel, match=r"2 tensors are missing \(first: head.weight\), 1 have no place"):
        opened("_foreign_models:two", weights=tmp_path / "some.safetensors")
    with pytest.raises(DataError, match="no such file"):
        opened("_foreign_models:two", weights=tmp_path / "gone.safetensors")
    (tmp_path / "torn.safetensors").write_bytes(b"\x10\0\0\0")
    with pytest.raises(DataError, match=r"not a readable .safetensors file"):
        opened("_foreign_models:two", weights=tmp_path / "torn.safetensors")
    with pytest.raises(UnsupportedModel, match="holds weights alone; name the network"):
        opened(tmp_path / "three.safetensors")
    with pytest.raises(SpecError, match="has its own; leave --weights out"):
        opened(tmp_path / "three.safetensors", weights=tmp_path / "some.safetensors")


# pickles


class Code:
    """A pickle of this writes a file when it is read."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


def test_pickles_are_read_only_if_they_are_trusted(tmp_path):
    torch.save(models.Convolved(), tmp_path / "whole.pt")
    with pytest.raises(UnsupportedModel, match="may run any code; if you trust whoever made it, say --trust-pickle"):
        opened(tmp_path / "whole.pt")
    model = opened(tmp_path / "whole.pt", trust_pickle=True)
    assert torch.equal(answers(model), models.two()(PIXELS))
    torch.save({"state_dict": {}, "more": Code(tmp_path / "ran")}, tmp_path / "bad.pt")
    (tmp_path / "old.pkl").write_bytes(pickle.dumps(Code(tmp_path / "ran")))
    for name in ("bad.pt", "old.pkl"):
        for options in ({"spec": tmp_path / name}, {"spec": "_foreign_models:two", "weights": tmp_path / name}):
            with pytest.raises((UnsupportedModel, DataError)):
                opened(**options)
    assert not (tmp_path / "ran").exists()


def test_a_state_dict_is_no_model(tmp_path):
    torch.save(models.Convolved().state_dict(), tmp_path / "w.pt")
    with pytest.raises(UnsupportedModel, match=r"holds weights alone; .* with --weights .*w.pt"):
        opened(tmp_path / "w.pt")
    (tmp_path / "notes.txt").write_text("not a model")
    with pytest.raises(SpecError, match="is no model that is known here"):
        opened(tmp_path / "notes.txt")


# programs


def export(path, net=None, *, batch=None, side=8):
    net = models.Convolved().eval() if net is None else net
    shape = {0: torch.export.Dim("batch", min=1, max=4096)} if batch is None else {}
    program = torch.export.export(net, (torch.zeros(batch or 2, 3, side, side),), dynamic_shapes=(shape,))
    torch.export.save(program, path)
    return path


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return export(tmp_path_factory.mktemp("program") / "mine.pt2")


def test_a_program_of_torch_export(program):
    model = opened(program)
    assert torch.allclose(answers(model), models.two()(PIXELS), atol=1e-6)
    assert (model.name, model.assumptions[0]) == ("mine", "mine.pt2 is a program of torch.export")
    found = bk.audit(model, TINY, analyzers=["group_accuracy", "counterfactual_flips", "input_gradient"], device="cpu")
    assert not found.failed
    assert found["input_gradient"].table["n"].gt(0).all()
    assert accuracy(model)["value"] == 1.0


def test_a_program_of_a_fixed_batch_and_size(tmp_path):
    model = opened(export(tmp_path / "three.pt2", batch=3))
    assert torch.allclose(answers(model), models.two()(PIXELS), atol=1e-6)
    with pytest.raises(SpecError, match="three takes images of 8 x 8 alone; leave --size out"):
        opened(tmp_path / "three.pt2", size=16)
    larger = opened(tmp_path / "three.pt2", testing.framed())
    assert said(larger, "images of 16 x 16 pixels are resized to 8 x 8 (bilinear), as the program takes no other")
    assert answers(larger, torch.zeros(5, 3, 16, 16)).shape == (5, 2)


def test_a_program_exported_in_train_mode_is_refused(tmp_path):
    with pytest.raises(UnsupportedModel, match=r"exported in train mode, .* call model.eval\(\) before"):
        opened(export(tmp_path / "drops.pt2", models.Convolved(dropout=0.5).train()))


def rewritten(source, target, change):
    """An archive with one member changed: ``change(name, content)`` gives the new content."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))
    return target


def test_code_in_a_program_is_refused(program, tmp_path):
    with zipfile.ZipFile(program) as archive:
        names = archive.namelist()
        (graph,) = (name for name in names if "/models/" in name)
        (inputs,) = (name for name in names if "sample_inputs" in name)
        config = next(name for name in names if name.endswith("model_weights_config.json"))

    def changed(member, change):
        return rewritten(program, tmp_path / "bad.pt2", lambda name, one: change(one) if name == member else one)

    code = pickle.dumps(Code(tmp_path / "ran"))
    for member, change, message in (
        (inputs, lambda _: code, "is a pickle that holds more than tensors"),
        (
            config,
            lambda one: one.replace(b'"use_pickle": false', b'"use_pickle": true'),
            "names weights that are pickled",
        ),
        (config, lambda one: one.replace(b'"weight_', b'"opaque_obj_'), "is an object, not a tensor"),
        (graph, lambda one: one.replace(b"torch.ops.aten.relu.default", b"torch.os.system"), "no operator of torch"),
        (graph, lambda one: one.replace(b'"Symbol(', b'"exec(chr(120))+Symbol('), "is no arithmetic"),
    ):
        bad = changed(member, change)
        assert bad.read_bytes() != program.read_bytes()
        with pytest.raises(UnsupportedModel, match=message):
            opened(bad)
    assert not (tmp_path / "ran").exists()


def test_torchscript(tmp_path):
    torch.jit.script(models.Convolved()).save(str(tmp_path / "scripted.pt"))
    assert kind_of(tmp_path / "scripted.pt") == "torchscript"
    model = opened(tmp_path / "scripted.pt")
    assert torch.allclose(answers(model), models.two()(PIXELS), atol=1e-6)
    found = bk.audit(model, TINY, analyzers=["group_accuracy", "input_gradient"], device="cpu")
    assert not found.failed
    layers = bk.audit(model, testing.tiny(concepts=True), analyzers=["dissection"], device="cpu")
    assert "dissection" in layers.failed


def test_damaged_files_are_one_line(tmp_path, program):
    for name in ("torn.pt2", "torn.pt"):
        (tmp_path / name).write_bytes(program.read_bytes()[:2000])
        with pytest.raises((SpecError, DataError)):
            opened(tmp_path / name)


# ONNX


def as_onnx(path, *, batch="batch", weights=None):
    """The model of ``two`` as an ONNX graph."""
    onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install onnx")
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'biaskit[onnx]'")
    net = models.Convolved()
    tensors = [
        onnx.numpy_helper.from_array(one.detach().numpy(), name)
        for name, one in (("kernel", net.conv.weight), ("head", net.head.weight), ("bias", net.head.bias))
    ]
    nodes = [
        onnx.helper.make_node("Conv", ["images", "kernel"], ["map"]),
        onnx.helper.make_node("Relu", ["map"], ["active"]),
        onnx.helper.make_node("Flatten", ["active"], ["flat"]),
        onnx.helper.make_node("Gemm", ["flat", "head", "bias"], ["logits"], transB=1),
    ]
    kind = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        "two",
        [onnx.helper.make_tensor_value_info("images", kind, [batch, 3, 8, 8])],
        [onnx.helper.make_tensor_value_info("logits", kind, [batch, 2])],
        tensors,
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("batch", ["batch", 3])
def test_onnx_answers_and_has_no_gradients(tmp_path, batch):
    model = opened(as_onnx(tmp_path / "two.onnx", batch=batch))
    assert torch.allclose(answers(model), models.two()(PIXELS), atol=1e-5)
    found = bk.audit(
        model, TINY, analyzers=["group_accuracy", "counterfactual_flips", "continuity", "input_gradient"], device="cpu"
    )
    assert set(found.results) == {"group_accuracy", "counterfactual_flips", "continuity"}
    assert "gives no gradients: ONNX gives answers alone" in found.failed["input_gradient"]
    assert audit_result(found)["headline"][1]["value"] == 1.0


@pytest.mark.parametrize("kind", ["module", pytest.param("onnx", marks=pytest.mark.smoke)])
def test_every_analyzer_on_a_model_without_gradients_and_layers(tmp_path, kind):
    """Each one runs or says why it cannot; none ends the audit."""
    data = testing.tiny(concepts=True)
    model = opened("_foreign_models:cut_off" if kind == "module" else as_onnx(tmp_path / "two.onnx"), data)
    every = [one for one in names("analyzer") if one not in ("transfer", "semantic_reliance")]
    found = bk.audit(model, data, analyzers=every, device="cpu")
    assert {"group_accuracy", "counterfactual_flips", "parity", "continuity"} <= set(found.results)
    assert "the model gives no gradients" in found.failed["input_gradient"]
    assert all(reason for reason in found.failed.values())


def test_what_a_model_raises_on_the_way_back_is_an_entry():
    found = bk.audit(
        "_foreign_models:half_derivative", TINY, analyzers=["group_accuracy", "input_gradient"], device="cpu"
    )
    assert set(found.results) == {"group_accuracy"}
    assert "Error: " in found.failed["input_gradient"]


def test_missing_extras_name_the_command(tmp_path, monkeypatch):
    (tmp_path / "x.onnx").write_bytes(b"")
    for module, spec in (("onnxruntime", tmp_path / "x.onnx"), ("timm", "timm:resnet18")):
        monkeypatch.setitem(sys.modules, module, None)
        extra = "onnx" if module == "onnxruntime" else "timm"
        with pytest.raises(MissingExtra, match=rf"pip install 'biaskit\[{extra}\]'"):
            opened(spec)


def test_a_damaged_onnx_file(tmp_path):
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install 'biaskit[onnx]'")
    (tmp_path / "torn.onnx").write_bytes(b"not a graph")
    with pytest.raises(DataError, match="onnxruntime cannot read it"):
        opened(tmp_path / "torn.onnx")


# torchvision and timm

NET = "shufflenet_v2_x0_5"
CLASSES = zoo.get_model_weights(NET).DEFAULT.meta["categories"]


@pytest.fixture(scope="module")
def drawn():
    """Weights as of torchvision, drawn at random: none are downloaded here."""
    torch.manual_seed(0)
    return zoo.get_model(NET, weights=None).state_dict()


@pytest.fixture
def cached(monkeypatch, drawn):
    monkeypatch.setattr(zoo.WeightsEnum, "get_state_dict", lambda *_, **__: drawn)


def animals(names=("goldfish", "great white shark"), side=32):
    pixels = np.random.default_rng(0).integers(0, 256, (6, side, side, 3), dtype=np.uint8)
    return bk.Dataset.from_arrays(pixels, [names[place % len(names)] for place in range(6)], classes=list(names))


@pytest.mark.usefixtures("cached")
def test_torchvision_says_what_its_weights_say():
    data = animals(("Goldfish", "great_white-shark"))
    model = opened(f"torchvision:{NET}", data)
    assert model.assumptions == (
        "the weights are IMAGENET1K_V1 of torchvision",
        "images of 32 x 32 pixels are resized to 256 x 256 (bilinear) and cut to the central 224 x 224, as the weights "
        "IMAGENET1K_V1 say",
        "pixels are normalized by mean 0.485, 0.456, 0.406 and std 0.229, 0.224, 0.225, as the weights "
        "IMAGENET1K_V1 say",
        "the 2 labels are matched by name; the other 998 classes of the model are left out",
    )
    images = data.images.gather(torch.arange(2)).float() / 255
    how = zoo.get_model_weights(NET).DEFAULT.transforms()
    torch.manual_seed(0)
    whole = zoo.get_model(NET, weights=None).eval()
    wanted = whole(how(images))[:, [CLASSES.index("goldfish"), CLASSES.index("great white shark")]]
    assert torch.allclose(answers(model, images), wanted, atol=1e-4)


@pytest.mark.usefixtures("cached")
def test_torchvision_labels_without_a_class_are_an_error():
    with pytest.raises(
        DataError, match=r"called as the labels goldfisch, unicorn .nearest: goldfish.*; name the classes"
    ):
        opened(f"torchvision:{NET}", animals(("goldfisch", "unicorn")))


def test_torchvision_without_a_network(monkeypatch):
    def offline(*_, **__):
        raise URLError("no route to host")

    monkeypatch.setattr(zoo.WeightsEnum, "get_state_dict", offline)
    with pytest.raises(UnsupportedModel, match=r"cannot be downloaded .*no route to host.*; get https://.* --weights"):
        opened(f"torchvision:{NET}", animals())


def test_torchvision_weights_from_a_file(tmp_path, drawn):
    torch.manual_seed(0)
    own = zoo.get_model(NET, weights=None, num_classes=2)
    save_file(own.state_dict(), tmp_path / "own.safetensors")
    model = opened(f"torchvision:{NET}", animals(side=224), weights=tmp_path / "own.safetensors", mean=0.5, std=0.25)
    assert model.assumptions == (
        "the weights are own.safetensors",
        "images go in as they are, 224 x 224 pixels",
        "pixels are normalized by mean 0.5 and std 0.25, as you say",
        "the model's outputs are the labels in this order: goldfish, great white shark; "
        "if not, say so with --labels map.csv (columns model,label)",
    )
    told = opened(f"torchvision:{NET}", animals(), weights=tmp_path / "own.safetensors")
    assert said(told, "as IMAGENET1K_V1 says, which these weights may not be for")
    # Under torchvision's own name a file is those weights, if its digest is the one in the name.
    official = Path(zoo.get_model_weights(NET).DEFAULT.url).name
    torch.save(drawn, tmp_path / official)
    with pytest.raises(DataError, match="is damaged: its digest is not"):
        opened(f"torchvision:{NET}", animals(), weights=tmp_path / official)
    # Named with them, they have their classes.
    torch.save(drawn, tmp_path / "mirror.pth")
    mirrored = opened(f"torchvision:{NET}@IMAGENET1K_V1", animals(), weights=tmp_path / "mirror.pth")
    assert mirrored.assumptions[0] == "the weights are mirror.pth, IMAGENET1K_V1 of torchvision"
    assert said(mirrored, "matched by name")


def test_torchvision_knows_a_file_by_its_name(tmp_path, monkeypatch, drawn):
    weights = zoo.get_model_weights(NET).DEFAULT
    torch.save(drawn, tmp_path / "raw.pth")
    digest = hashlib.sha256((tmp_path / "raw.pth").read_bytes()).hexdigest()
    file = (tmp_path / "raw.pth").rename(tmp_path / f"net-{digest[:10]}.pth")
    monkeypatch.setattr(weights.value, "url", f"https://example.org/{file.name}")
    assert said(opened(f"torchvision:{NET}", animals(), weights=file), "IMAGENET1K_V1 of torchvision")


def test_timm(tmp_path, monkeypatch):
    timm = pytest.importorskip("timm", reason="timm is not installed: pip install 'biaskit[timm]'")
    torch.manual_seed(0)
    net = timm.create_model("test_resnet", pretrained=False).eval()
    save_file(net.state_dict(), tmp_path / "w.safetensors")
    data = animals([f"class {place}" for place in range(3)], side=160)
    chosen = {str(place): name for place, name in zip((7, 9, 30), data.classes, strict=True)}
    model = opened("timm:test_resnet", data, weights=tmp_path / "w.safetensors", labels=chosen)
    how = timm.data.resolve_model_data_config(net)
    assert said(model, f"mean {', '.join(f'{one:g}' for one in how['mean'])}")
    images = data.images.gather(torch.arange(2)).float() / 255
    mean, std = (torch.tensor(how[key])[:, None, None] for key in ("mean", "std"))
    with torch.no_grad():
        wanted = net((images - mean) / std)[:, [7, 9, 30]]
    assert torch.allclose(answers(model, images), wanted, atol=1e-4)
    with pytest.raises(UnknownName, match="no timm model 'resnet51'"):
        opened("timm:resnet51")
    monkeypatch.setattr(timm, "create_model", lambda *_, **__: (_ for _ in ()).throw(ConnectionError("offline")))
    with pytest.raises(UnsupportedModel, match=r"cannot be downloaded .offline.; get them elsewhere and say --weights"):
        opened("timm:test_resnet")


# our own


def test_runs_and_checkpoints():
    with at_home(shared_home()):
        run = bk.train("plain", small())
        model = opened(run.folder, small())
        assert (model.name, model.run.fingerprint) == ("plain", run.fingerprint)
        assert model.assumptions == (
            "the model is the run plain, seed 0",
            "images go in as they are, 8 x 8 pixels",
            "the 10 labels are the model's classes",
        )
        stored, direct = (bk.audit(one, small(), analyzers=["group_accuracy"], device="cpu") for one in (model, run))
        assert stored["group_accuracy"].table.equals(direct["group_accuracy"].table)
        assert audit_result(stored)["runs"][0]["fingerprint"] == run.fingerprint
        alone = opened(run.folder / "model.safetensors", small())
        assert alone.run is None
        images = small().images.gather(torch.arange(8)).float() / 255
        assert torch.allclose(answers(alone, images), run.model(images), atol=1e-6)
        with pytest.raises(SpecError, match="normalization is a part of this network"):
            opened(run.folder, small(), mean=0.5, std=0.5)
        with pytest.raises(DataError, match="no class of the model is called as the labels left, right"):
            opened(run.folder)
        larger = opened(run.folder, small(), size=16)
        assert larger.run is None
        # By its name in biaskit runs list, as diff takes it.
        assert opened(run.folder.name, small()).run.fingerprint == run.fingerprint
        with pytest.raises(SpecError, match="has its own; leave --weights out"):
            opened(run.folder.name, small(), weights=run.folder / "model.safetensors")
        with pytest.raises(SpecError, match=f"'{run.folder.name[:3]}' names no model"):
            opened(run.folder.name[:3], small())


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(UnsupportedModel, match=r"without a run.json; give a run's folder"):
        opened(tmp_path)


# pixels


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("shape", [(44, 61), (300, 181), (232, 232)])
def test_pixels_reach_a_network_as_torchvision_brings_them(interpolation, shape):
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms._presets import ImageClassification

    images = torch.rand(2, 3, *shape, generator=torch.Generator().manual_seed(0))
    theirs = ImageClassification(crop_size=64, resize_size=72, interpolation=InterpolationMode(interpolation))
    data = bk.Dataset.from_arrays((images * 255).to(torch.uint8), ["a", "b"])
    found = Found(nn.Identity(), "", "", "", size=(64, 64), resize=72, interpolation=interpolation, source="x")
    found = Found(**{**vars(found), "mean": tuple(theirs.mean), "std": tuple(theirs.std)})
    prepare, _ = preparation(found, data.images.shape)
    ours, wanted = prepare(images), theirs(images)
    assert ours.shape == wanted.shape
    if interpolation == "bilinear":
        assert torch.allclose(ours, wanted, atol=1e-5)
    else:  # cubic overshoots, which 8 bits cut off
        low, high = (prepare.state_dict()[key].flatten() for key in ("mean", "std"))
        ends = [((end - low) / high)[:, None, None] for end in (0.0, 1.0)]
        assert torch.allclose(ours, wanted.clamp(min=ends[0], max=ends[1]), atol=1e-5)


def test_channels():
    data = bk.Dataset.from_arrays(
        np.asarray([[[0] * 4 + [255] * 4] * 8, [[255] * 4 + [0] * 4] * 8], np.uint8), ["b", "a"]
    )
    colored = opened("_foreign_models:two", data)
    assert said(colored, "gray images are repeated in the three channels")
    assert answers(colored, data.images.gather(torch.arange(2)).float() / 255).argmax(dim=1).tolist() == [1, 0]
    gray = opened("_foreign_models:gray")
    assert said(gray, "colors become gray (0.299 red + 0.587 green + 0.114 blue)")
    weighted = (PIXELS * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(dim=1, keepdim=True)
    assert torch.allclose(answers(gray), models.gray()(weighted), atol=1e-5)


def test_size_and_normalization_of_ones_own():
    model = opened("_foreign_models:two", testing.framed(), size=8, mean=(0.5, 0.25, 0.0), std=(1.0, 0.5, 0.25))
    assert said(model, "images of 16 x 16 pixels are resized to 8 x 8 (bilinear), as you say")
    prepared = model.module.prepare(torch.ones(1, 3, 16, 16))
    assert torch.allclose(prepared[0, :, 0, 0], torch.tensor([0.5, 1.5, 4.0]))
    assert prepared.shape == (1, 3, 8, 8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mean": 0.5}, "--std is missing: normalization needs both"),
        ({"std": (0.5, 0.5, 0.5)}, "--mean is missing"),
        ({"mean": 123.7, "std": 58.4}, "pixels run from 0 to 1 here"),
        ({"mean": 0.5, "std": 0.0}, "--std 0"),
        ({"mean": (0.5, 0.5), "std": (0.5, 0.5)}, "2 numbers; expected one, or one for each channel"),
        ({"size": 0}, "expected a side in pixels"),
        ({"size": 100_000}, "expected a side in pixels, 1 to 4,096"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(SpecError, match=message):
        opened("_foreign_models:two", **options)


def test_images_that_a_model_cannot_take():
    with pytest.raises(
        UnsupportedModel, match=r"cannot take float images \(4, 3, 16, 16\): .*; --size N gives it others"
    ):
        opened("_foreign_models:two", testing.framed())


def test_batches_are_filled_up():
    sizes = []

    class Counts(nn.Module):
        def forward(self, images):
            sizes.append(len(images))
            return images.flatten(1)

    images = torch.arange(7.0).reshape(7, 1, 1, 1)
    assert torch.equal(InBatches(Counts(), 3)(images), images.flatten(1))
    assert sizes == [3, 3, 3]


# labels


def test_a_map_of_labels(tmp_path):
    """Classes of one label are joined by logsumexp: the logit of any of them."""
    (tmp_path / "map.csv").write_text("\ufeffmodel, label\n0,left\n2,left\n1,right\n", encoding="utf-8")
    model = opened("_foreign_models:three", labels=tmp_path / "map.csv")
    plain = models.three()(PIXELS)
    wanted = torch.stack([(plain[:, 0].exp() + plain[:, 2].exp()).log(), plain[:, 1]], dim=1)
    assert torch.allclose(answers(model), wanted, atol=1e-5)
    assert said(
        model, "3 of the model's 3 classes stand for the 2 labels (left: 2; their logits are joined by logsumexp)"
    )
    one = opened("_foreign_models:three", labels={"1": "right", "2": "left"})
    assert torch.equal(answers(one), plain[:, [2, 1]])
    assert said(
        one, "2 of the model's 3 classes stand for the 2 labels, as labels says; the other class of the model is"
    )


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("model,label\n0,left\n", "map.csv names no class for the label right"),
        ("model,label\n0,left\n1,rihgt\n", "'rihgt' is no label of the data; nearest: right"),
        ("model,label\n0,left\n7,right\n", "class 7, but the model's outputs are 0 to 2"),
        ("model,label\n0,left\n0,right\n", "the class '0' stands for 'left' and for 'right'"),
        ("model,label\n0,left\ncat,right\n", "the model has no class 'cat'; its classes have no names here"),
        ("class,label\n0,left\n", "needs the columns model,label, each once; it has class, label"),
        ("model,label,label\n0,left,right\n", "each once; it has model, label, label"),
        ("model,label\n0,left,\n1,right,\n", "more cells than its head has names"),
        ("model,label\n0,left\n1,\n", "line 3: a class and a label are needed"),
        ("", "No columns to parse"),
    ],
)
def test_maps_that_cannot_be(tmp_path, rows, message):
    (tmp_path / "map.csv").write_text(rows)
    with pytest.raises(DataError, match=message):
        opened("_foreign_models:three", labels=tmp_path / "map.csv")
    with pytest.raises(DataError, match="no such file"):
        opened("_foreign_models:three", labels=tmp_path / "gone.csv")


def test_names_go_before_numbers():
    with pytest.raises(DataError, match="'crane' may be the classes 0, 2 of the model, which have the same name; name"):
        label_places(["crane", "dog"], 3, ["crane", "dog", "crane"])
    assert label_places(["a", "b"], 3, ["2", "1", "0"], [("0", "a"), ("1", "b")], "m")[0] == [[2], [1]]
    with pytest.raises(DataError, match="both read as the class 'Big Cat'"):
        label_places(["big cat", "big-cat"], 2, ["Big Cat", "dog"])


def test_probabilities_are_told_and_their_logarithm_taken():
    model = opened("_foreign_models:shares")
    assert said(model, "the outputs are probabilities")
    assert torch.allclose(answers(model).softmax(dim=1), testing.reads("label")(PIXELS).softmax(dim=1), atol=1e-6)
    assert not said(opened("_foreign_models:two"), "probabilities")


def test_gradients_pass_through_what_is_put_around_a_model():
    net = OnPixels(nn.Flatten(), Preparation((2, 2), None, mean=(0.5,), std=(0.5,)), [[0, 1], [2]], outputs=12)
    images = torch.rand(2, 3, 4, 4, requires_grad=True)
    (found,) = torch.autograd.grad(net(images)[:, 0].sum(), images)
    assert found[:, 0].abs().sum() > 0
    assert found[:, 2].abs().sum() == 0


# the digest, and chance


def test_the_digest_tells_models_apart(tmp_path):
    base = opened("_foreign_models:two").digest
    assert base == opened("_foreign_models:two", name="other").digest
    with torch.no_grad():
        net = models.Convolved()
        net.head.bias.add_(1e-6)
    save_file(net.state_dict(), tmp_path / "w.safetensors")
    others = [
        opened("_foreign_models:two", weights=tmp_path / "w.safetensors"),
        opened("_foreign_models:two", mean=0.5, std=0.5),
        opened("_foreign_models:two", labels={0: "right", 1: "left"}),
    ]
    assert len({base, *(one.digest for one in others)}) == 4
    card = audit_result(bk.audit(opened("_foreign_models:two"), TINY, analyzers=["group_accuracy"]))["arms"][0]
    facts = card["card"]["model"]
    assert (facts["name"], facts["digest"], facts["kind"]) == ("_foreign_models:two", base, "factory")
    assert ("mean" in facts, facts["size"]) == (False, list(TINY.images.shape[1:]))


def test_chance_is_said_first():
    def told(model, data=TINY):
        return audit_result(bk.audit(model, data, analyzers=["group_accuracy"], device="cpu"))

    swapped = opened("_foreign_models:two", labels={0: "right", 1: "left"})
    below = told(swapped)
    first = verdict(below)[0]
    assert first == chance(below)
    assert first.startswith(
        "Accuracy is below chance: 0.0 % [0.0, 19.4] of 16 test images, where always answering left"
    )
    assert below["notes"] == list(swapped.assumptions)
    assert chance(told(testing.constant(1))).startswith("Accuracy is not above chance: 50.0 %")
    assert chance(told("_foreign_models:two")) is None
    # Where nine in ten are of one label, a model that always answers it is right often, and still no better than none.
    data = bk.Dataset.from_arrays(np.zeros((100, 8, 8, 3), np.uint8), ["left"] * 90 + ["right"] * 10)
    assert "always answering left is right for 90.0 %" in chance(told(testing.constant(0), data))
