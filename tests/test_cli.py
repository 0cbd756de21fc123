"""The commands build, verify, list, show and runs, and how errors look from outside."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import biaskit
from biaskit import _build
from biaskit._find_study import study_names
from biaskit.cli import main
from biaskit.disk import save_dataset
from biaskit.home import home
from biaskit.registry import KINDS, names, plural
from biaskit.specs import CARDS, card_names
from biaskit.testing import tiny

SHIFT = '[[builder]]\nname = "background_color"\ntest = [0.5, 0.5]\n'


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command line here; returns exit code, stdout and stderr."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["biaskit", *(str(word) for word in words)])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        written = capsys.readouterr()
        return code, written.out, written.err

    return call


@pytest.fixture
def refused(run):
    """Run what a user got wrong: exit 2, one line that begins with error, nothing else on either stream."""

    def call(*words):
        code, out, err = run(*words)
        assert code == 2, err
        assert out == ""
        assert err.startswith("error: ")
        assert err.count("\n") == 1
        return err

    return call


# ----------------------------------------------------------------------------------------------------- the root


def test_help_names_every_command(run):
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    for name in ("build", "verify", "train", "compare", "plan", "report", "list", "show", "runs"):
        assert f"\n  {name} " in out
    assert run("-h")[1] == out
    assert "Usage: biaskit" in "".join(run()[1:])


@pytest.mark.parametrize("name", ["build", "verify", "list", "show", "runs"])
def test_help_of_a_command(name, run):
    code, out, err = run(name, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: biaskit {name}")


def test_version(run):
    assert run("--version") == (0, f"biaskit {biaskit.__version__}\n", "")


@pytest.mark.parametrize(
    "words",
    [
        ["bulid"],
        ["build"],
        ["build", "a", "b"],
        ["build", "colordigits", "--sed", "1"],
        ["build", "colordigits", "--seed", "x"],
        ["build", "colordigits", "--seed", "-1"],
        ["build", "colordigits", "--out"],
        ["verify"],
        ["show"],
        ["list", "a", "b"],
        ["runs", "lst"],
    ],
)
def test_usage_errors(words, run):
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert sum(line.lower().startswith("error:") for line in err.splitlines()) == 1
    assert "Traceback" not in err


def test_an_error_of_our_own_shows_its_traceback(run, monkeypatch):
    def broken(*_args, **_options):
        raise ZeroDivisionError("mine")

    monkeypatch.setattr(_build, "build", broken)
    code, _, err = run("build", "colordigits")
    assert code == 70
    assert "Traceback" in err
    assert "ZeroDivisionError: mine" in err
    assert err.splitlines()[-1].startswith("error: this is a fault of biaskit")


def test_ctrl_c(run, monkeypatch):
    def stopped(*_args, **_options):
        raise KeyboardInterrupt

    monkeypatch.setattr(_build, "build", stopped)
    assert run("build", "colordigits") == (130, "", "interrupted\n")


@pytest.mark.skipif(os.name == "nt", reason="pipes of another kind")
def test_a_reader_that_stops_reading():
    """``biaskit list | head -1`` ends without a word."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from biaskit.cli import main; main()", "list"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(biaskit.__file__).parents[1],
    )
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), err) == (141, b"")


# -------------------------------------------------------------------------------------------------------- build


def test_build_writes_a_folder_and_says_what_is_in_it(run, card, tmp_path):
    code, out, err = run("build", card(SHIFT), "--out", tmp_path / "out", "--seed", 3)
    assert code == 0
    lines = out.splitlines()
    assert lines[0].startswith("Built mine: 1,797 images of 8 x 8, from digits, 20 groups, seed 3, in ")
    assert lines[2].split() == ["split", "red", "blue", "total", "Cramer's", "V,", "bias-corrected"]
    assert lines[3].split()[:4] == ["train", "947", "50", "997"]
    assert lines[4].split()[:4] == ["test", "400", "400", "800"]
    assert "a shift set: the color tells nothing about the label" in out
    assert f"data     {tmp_path / 'out'}  card.toml  checksums.json  images.npy  masks.npy  table.parquet" in out
    assert err == f"hint: biaskit compare plain aug semcont --on {tmp_path / 'out'}\n"
    assert run("verify", tmp_path / "out") == (0, f"{tmp_path / 'out'}: every file fits its checksum\n", "")


def test_the_table_of_a_correlated_set(run, card, tmp_path):
    path = card('[[builder]]\nname = "patch"\nregime = "correlated"\ntrain = [1.0]\ntest = [1.0]')
    _, out, _ = run("build", path, "--out", tmp_path / "out")
    # Bergsma's correction of a perfect association of 10 labels with 2 values in 997 images.
    assert f"{((1 - 9 / 996) / (1 - 1 / 996)) ** 0.5:.3f}   p < 0.001" in out
    assert "a correlated set: the patch is the label's own in 1 of train, 1 of test" in out


def test_a_split_with_one_value_has_no_association(run, card, tmp_path):
    path = card('[[builder]]\nname = "background_color"\ntrain = [1.0, 0.0]\ntest = [0.5, 0.5]')
    _, out, _ = run("build", path, "--out", tmp_path / "out")
    assert "undefined: one value only" in out


def test_build_without_out_goes_to_home(run, card):
    code, out, _ = run("build", card(SHIFT))
    assert code == 0
    (folder,) = (home() / "data").iterdir()
    assert folder.name.startswith("mine-")
    assert str(folder) in out
    # The same command again replaces the same folder.
    before = (folder / "checksums.json").read_bytes()
    assert run("build", card(SHIFT))[0] == 0
    assert [one.name for one in (home() / "data").iterdir()] == [folder.name]
    assert (folder / "checksums.json").read_bytes() == before


def test_build_of_the_default_is_then_found_by_name(run):
    code, _, err = run("build", "colordigits")
    assert code == 0
    assert err == "hint: biaskit compare plain aug semcont --on colordigits\n"
    assert (home() / "data/colordigits/card.toml").is_file()


def test_build_takes_changes_and_another_source(run, card, tmp_path):
    words = ["--set", "builder.0.train=[0.5, 0.5]", "--set", "source.size=9", "--source", "digits"]
    code, out, _ = run("build", card(SHIFT), *words, "--out", tmp_path / "out")
    assert code == 0
    assert "images of 9 x 9" in out
    assert ["train", "499", "498", "997"] in [line.split()[:4] for line in out.splitlines()]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["colordigts"], "no dataset 'colordigts'; nearest: colordigits"),
        (["nowhere.toml"], "no file nowhere.toml"),
        (["colordigits", "--source", "mnst"], "no source 'mnst'; nearest: mnist"),
        (["colordigits", "--set", "builder.0.train"], "is not [ARM:]KEY=VALUE"),
        (["colordigits", "--set", "builder.0.trian=[1, 0]"], "colordigits.toml has no such key; did you mean"),
        (["colordigits", "--set", "builder.0.train=[0.9, 0.2]"], "colordigits.toml: builder.0: train = [0.9, 0.2]"),
        (["colordigits", "--set", "builder.0.train=[1.5, -0.5]"], "colordigits.toml: builder.0.train.0: "),
        (["colordigits", "--set", "source.size=2"], "colordigits.toml: source.size: "),
        (["colordigits", "--set", "labels.noise_splits.0=test"], "set the whole list: labels.noise_splits=[...]"),
        (["colordigits", "--set", "builder.0.attribute=n"], "tables have a column of that name"),
    ],
)
def test_build_refuses(words, message, refused):
    assert message in refused("build", *words)
    assert not home().exists()


def test_a_message_of_many_lines_becomes_one(refused, tmp_path):
    name = tmp_path / "two\nlines.toml"
    assert "two lines.toml" in refused("build", name)


def test_build_into_places_that_do_not_take_it(refused, card, tmp_path, monkeypatch):
    path = card(SHIFT)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("years of work")
    assert "holds other files" in refused("build", path, "--out", tmp_path / "mine")
    assert "a part of the path is a file" in refused("build", path, "--out", tmp_path / "mine/thesis.tex/out")
    assert "is a file" in refused("build", path, "--out", tmp_path / "mine/thesis.tex")
    assert "the name is too long" in refused("build", path, "--out", tmp_path / ("x" * 300))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert "is the current folder or a mount point" in refused("build", path, "--out", ".")
    assert (tmp_path / "mine/thesis.tex").read_text() == "years of work"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["here", "mine", "mine.toml"]


# ------------------------------------------------------------------------------------------------------- verify


def test_verify_names_the_changed_file(refused, tmp_path):
    save_dataset(tiny(), tmp_path / "out")
    content = bytearray((tmp_path / "out/masks.npy").read_bytes())
    content[-1] ^= 1
    (tmp_path / "out/masks.npy").write_bytes(content)
    assert f"{tmp_path / 'out/masks.npy'} was changed" in refused("verify", tmp_path / "out")
    assert "not a built data set" in refused("verify", tmp_path)
    assert "nowhere is not there" in refused("verify", tmp_path / "nowhere")


# ---------------------------------------------------------------------------------------------------- list, show


def listed(kind):
    """What a list of a kind names, with its summary: of studies also the items."""
    known = card_names(kind) if kind in CARDS else names(kind)
    return {item: text for one in known for item, text in study_names(one).items()} if kind == "study" else known


def test_list_of_everything(run):
    code, out, err = run("list")
    assert (code, err) == (0, "")
    blocks = [block.splitlines() for block in out.strip().split("\n\n")]
    assert [block[0] for block in blocks] == [plural(kind) for kind in [*CARDS, *KINDS]]
    for kind, block in zip([*CARDS, *KINDS], blocks, strict=True):
        known = listed(kind)
        assert [line.split()[0] for line in block[1:]] == list(known)
        assert all(line.endswith(summary) for line, summary in zip(block[1:], known.values(), strict=True))


@pytest.mark.parametrize("kind", [*CARDS, *KINDS])
def test_list_of_a_kind(kind, run):
    code, out, _ = run("list", plural(kind))
    assert code == 0
    assert len(out.splitlines()) == len(listed(kind))
    assert run("list", kind)[1] == out


def test_list_of_a_kind_that_is_none(refused):
    assert "no kind 'model-zoo'; nearest: models" in refused("list", "model-zoo")


@pytest.mark.parametrize("name", [name for kind in CARDS for name in card_names(kind)])
def test_show_a_card(name, run):
    code, out, err = run("show", name)
    assert (code, err) == (0, "")
    assert out.startswith(f"{name}, ")
    assert f"card     {Path(biaskit.__file__).parents[1]}" in out
    assert "biaskit compare" in out or f"biaskit build {name}" in out or f"biaskit reproduce {name}-" in out
    assert run("show", name.replace("-", "_"))[1] == out


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in KINDS for name in names(kind)])
def test_show_a_function(kind, name, run):
    code, out, err = run("show", name)
    assert (code, err) == (0, "")
    assert f"{name}, {kind}\n" in out  # `digits` is a data set and a source: both are shown
    assert names(kind)[name] in out


def test_show_says_defaults_and_ranges(run):
    _, out, _ = run("show", "patch")
    rows = {line.split()[0]: line for line in out.splitlines() if line.split()}
    assert rows["size"].split(None, 2) == ["size", "0.15", "number, above 0, at most 0.5"]
    assert rows["regime"].split(None, 2) == ["regime", "correlated", "shift or correlated"]
    assert "list of (number, at least 0, at most 1)" in rows["train"]
    _, out, _ = run("show", "colormnist")
    assert "counts    train, color: red 57,000, blue 3,000" in out


def test_show_a_file(run, card, tmp_path):
    code, out, _ = run("show", card(SHIFT))
    assert code == 0
    assert out.startswith("mine, dataset, version 1: a test")
    recipe = tmp_path / "fast.toml"
    recipe.write_text('version = 1\nsummary = "s"\n[[stage]]\nloss = { name = "cross_entropy" }\nepochs = 3\n')
    assert "  epochs                   3\n" in run("show", recipe)[1]
    recipe.write_text('version = 1\nsummary = "s"\n[[stage]]\nloss = { name = "cross_entrophy" }\n')
    code, _, err = run("show", recipe)
    assert (code, err.count("\n")) == (2, 1)
    assert err.startswith("error: no loss 'cross_entrophy'; nearest: cross_entropy")


def test_show_of_nothing(refused):
    assert "no entry 'semcnt'; nearest: semcont" in refused("show", "semcnt")
    assert refused("show", "zzz").strip() == "error: no entry 'zzz', nor one of a like name; see: biaskit list"
    assert refused("reproduce", "nope").strip().endswith("'nope', nor one of a like name; see: biaskit list studies")
    assert "no file nowhere.toml" in refused("show", "nowhere.toml")


# --------------------------------------------------------------------------------------------------------- runs


@pytest.fixture
def stored():
    """A finished run and one that was interrupted."""
    done = home() / "runs" / "0123456789abcdef"
    done.mkdir(parents=True)
    about = {"arm": "plain", "seed": 3, "data": {"name": "tiny"}, "seconds": 1.25, "finished": "2026-01-02T03:04:05Z"}
    (done / "run.json").write_text(json.dumps(about))
    (done / "model.safetensors").write_bytes(b"0" * 2_000_000)
    (done.parent / "fedcba9876543210.resume").write_bytes(b"0" * 1_000_000)
    return done


def test_runs_list(run, stored):
    code, out, err = run("runs", "list")
    assert (code, err) == (0, "")
    head, line, total = out.splitlines()
    assert head.split() == ["arm", "seed", "data", "seconds", "MB", "finished", "run"]
    assert line.split() == ["plain", "3", "tiny", "1.2", "2.0", "2026-01-02T03:04:05Z", "0123456789abcdef"]
    assert total == f"1 run, 2 MB in {home() / 'runs'}"


def test_runs_list_of_none(run):
    assert run("runs", "list") == (0, f"no runs in {home() / 'runs'}\n", "")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"arm": "plain"}'])
def test_runs_list_shows_what_it_cannot_read(text, run, stored):
    (stored / "run.json").write_text(text)
    code, out, _ = run("runs", "list")
    assert code == 0
    assert "0123456789abcdef" in out


def test_runs_clean(run, stored):
    code, out, _ = run("runs", "clean", "--unfinished", "--yes")
    assert (code, out) == (0, "removed 1 entries, 1 MB\n")
    assert [one.name for one in stored.parent.iterdir()] == [stored.name]
    assert run("runs", "clean", "--yes")[1] == "removed 1 entries, 2 MB\n"
    assert list(stored.parent.iterdir()) == []
    assert run("runs", "clean", "--yes")[1] == "removed 0 entries, 0 MB\n"
