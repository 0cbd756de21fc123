"""The plan of the house: who may import whom, what is public, and what a quick command must not load."""

import ast
import importlib
import json
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import biaskit
from biaskit.registry import KINDS

ROOT = Path(biaskit.__file__).parent

#: From the ground up: a room imports from its own floor and from the floors below, never from above, and never in a
#: circle. ``registry.find`` reaches upwards by name, which is what a registry is for.
FLOORS = [
    {"errors", "amounts", "rng", "home", "results", "policy", "studycard"},
    {"specs", "stats", "images", "features", "representation", "concepts", "cca", "regions"},
    {"metrics", "registry", "data", "telling", "wordnet"},
    {
        "_asked",
        "_find_study",
        "counting",
        "calibration",
        "cells",
        "vision",
        "contrast",
        "describe",
        "perturbations",
        "distortions",
        "models",
        "words",
    },
    {
        "ceiling",
        "duplicates",
        "evaluation",
        "rows",
        "disk",
        "looks",
        "attacks",
        "render",
        "semantic",
        "sources",
        "losses",
    },
    {"builders"},
    {"layouts"},
    {"testing", "_build", "_train", "subject", "evidence", "measures", "broden"},
    {"recipes", "taggers"},
    {"runs", "foreign", "analyzers", "output"},
    {"_assemble", "_examples", "_audit", "_compare", "_differences", "_plan"},
    {
        "_data_audit",
        "_diff",
        "_findings",
        "_gate",
        "_score",
        "_score_reading",
        "_score_tables",
        "_selftest",
        "_sides",
        "_studies",
        "_study_plan",
        "_sweep",
    },
    {"cli"},
]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

#: What tells a finished result in words and pictures knows numbers, and nothing of data sets, models and torch.
TELLING_MAY_USE = {"errors", "stats"}


def modules():
    """Every module with its file."""
    for path in sorted(ROOT.rglob("*.py")):
        parts = ("biaskit", *path.relative_to(ROOT).with_suffix("").parts)
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imported(path):
    """What a file imports when it runs, from anywhere in it; what only a type checker sees is left out."""

    def walk(node):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        for child in ast.iter_child_nodes(node):
            yield from walk(child)

    return set(walk(ast.parse(path.read_text(encoding="utf-8"))))


def room(name):
    """``biaskit.builders._patch`` stands in ``builders``; the package itself has no room."""
    parts = name.split(".")
    return parts[1] if parts[0] == "biaskit" and len(parts) > 1 else ""


ROOMS = {}
for _name, _path in modules():
    if room(_name):
        ROOMS.setdefault(room(_name), set()).update(room(one) for one in imported(_path))


def below(name):
    """The other rooms that one imports from; ``from biaskit import __version__`` names none."""
    # Two doors upwards, opened when they are called: `data.vision()`, and `open_data(name)`, which builds the set.
    doors = {"data": {"vision"}, "layouts": {"_build"}}.get(name, set())
    return {one for one in ROOMS[name] if one in ROOMS} - {name} - doors


def test_every_room_has_a_floor():
    assert set(ROOMS) == set(FLOOR), "give a new room its floor here"


@pytest.mark.parametrize("name", sorted(ROOMS))
def test_imports_point_down(name):
    above = {one for one in below(name) if FLOOR[one] > FLOOR[name]}
    assert not above, f"{name} imports {', '.join(sorted(above))}, from above"


def test_words_and_pictures_know_numbers_alone():
    assert below("telling") <= TELLING_MAY_USE


def test_no_two_rooms_import_each_other():
    finished = set()

    def visit(name, path):
        assert name not in path, f"a circle: {' -> '.join([*path, name])}"
        if name not in finished:
            for other in below(name):
                visit(other, [*path, name])
            finished.add(name)

    for name in ROOMS:
        visit(name, [])


def test_numbers_need_no_torch():
    for name, path in modules():
        if room(name) in ("stats", "metrics", "errors", "specs", "registry", "telling"):
            assert not {one for one in imported(path) if one.split(".")[0] in ("torch", "torchvision")}, name


def test_fabric_stays_in_the_loop_and_click_is_never_imported():
    for name, path in modules():
        found = {one.split(".")[0] for one in imported(path)}
        assert "click" not in found, name
        assert name == "biaskit._train" or not found & {"lightning", "lightning_fabric"}, name


def test_every_public_name_is_there_after_everything_was_imported():
    # A public module `compare` would take the place of the function `compare` as soon as anyone imported it.
    for found in pkgutil.walk_packages([str(ROOT)], "biaskit."):
        importlib.import_module(found.name)
    assert sorted(set(biaskit.__all__)) == sorted(biaskit.__all__) == sorted([*biaskit._HOME, "__version__"])
    for name in biaskit.__all__:
        assert not isinstance(getattr(biaskit, name), type(sys)), name
    for name, module in biaskit._HOME.items():
        assert getattr(biaskit, name) is getattr(sys.modules[module], name)
    assert dir(biaskit) == biaskit.__all__
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        biaskit.nothing  # noqa: B018


@pytest.mark.parametrize("name", [name for name, _ in modules()])
def test_all_names_what_is_there(name):
    module = importlib.import_module(name)
    for one in getattr(module, "__all__", ()):
        assert hasattr(module, one), one


def test_every_module_says_what_it_is():
    for name, path in modules():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        # The file of a registered function holds one thing, and its docstring is that of the function.
        registered = f"biaskit.{room(name)}" in KINDS.values() and path.stem[1:] in names_of(room(name))
        assert ast.get_docstring(tree) or registered, name


def names_of(package):
    return importlib.import_module(f"biaskit.{package}").__all__


def loaded(*words):
    """The modules a command has loaded when it is done, in a process of its own."""
    code = (
        "import json, sys\n"
        f"sys.argv = ['biaskit', *{list(words)!r}]\n"
        "from biaskit.cli import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code\n"
        "print(json.dumps(sorted(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent, timeout=60
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("words", [["--help"], ["--version"], ["list"], ["build", "--help"], ["runs", "--help"]])
def test_quick_commands_load_no_heavy_library(words):
    found = loaded(*words)
    assert "biaskit.cli" in found
    for heavy in ("torch", "numpy", "pandas", "scipy", "sklearn", "PIL", "matplotlib"):
        assert heavy not in found, heavy


def test_importing_biaskit_loads_nothing_of_it():
    code = "import sys, biaskit; print([one for one in sys.modules if one.startswith(('biaskit', 'torch', 'numpy'))])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent)
    assert done.stdout.strip() == "['biaskit']"
