"""What the README tells people to type: its Python runs, its commands exist, its two set-up lines are what CI runs."""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from biaskit._asked import analyzer_options, with_options
from biaskit._audit import resolve_analyzers
from biaskit.cli import app
from biaskit.data import RESERVED
from biaskit.layouts import LAYOUTS
from biaskit.layouts._listing import FILE_COLUMNS
from biaskit.registry import KINDS, names
from biaskit.specs import card_names

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_python_blocks_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    assert len(blocks) == 3
    namespace: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), namespace)
    assert (tmp_path / "audit" / "report.html").is_file()
    printed = capsys.readouterr().out
    assert "answers change when only the color does" in printed
    assert "outdoors" in printed
    assert "pgd-strong" in printed
    assert "PGD at 8/255: " in printed


def test_options_of_analyzers_are_as_the_readme_writes_them() -> None:
    (command,) = re.findall(r"^biaskit compare .* --analyzers robustness,continuity \\\n.*$", TEXT, re.M)
    words = shlex.split(command.replace("\\\n", " "))
    changes, options = analyzer_options([after for word, after in itertools.pairwise(words) if word == "--set"])
    bound = resolve_analyzers(with_options(words[words.index("--analyzers") + 1].split(","), options))
    assert (changes, list(bound)) == ([], ["robustness", "continuity"])
    assert bound["robustness"]["images"] == 200
    assert bound["robustness"]["epsilons"] == (4 / 255, 8 / 255)


def test_two_lines_set_everything_up() -> None:
    lines = [line for line in TEXT.splitlines() if line.startswith("python3 -m venv")]
    assert len(lines) == 2
    assert "biaskit compare plain semcont" in lines[0]
    assert "pytest" in lines[1]


def test_every_command_named_exists() -> None:
    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    known |= {group.name for group in app.registered_groups}
    named = set(re.findall(r"`?biaskit ([a-z-]+)", re.sub(r"import biaskit \w+", "", TEXT)))
    named -= {"plants", "and", "carries", "audits"}
    assert {"build", "compare", "list", "show", "plan"} <= named
    assert named <= known


def test_the_page_on_own_data_is_linked_and_its_commands_are_understood() -> None:
    assert "(docs/own-data.md)" in TEXT
    page = (ROOT / "docs" / "own-data.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```bash\n(.*?)```", page, re.S)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    group = get_command(app)
    assert isinstance(group, TyperGroup)
    for line in lines:
        first, name, *words = shlex.split(line)
        assert first == "biaskit"
        group.commands[name].make_context(name, words)  # an option that is not there is an error
    assert {shlex.split(line)[1] for line in lines} == {"data-audit", "convert", "compare", "audit", "score"}
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.M)) == set(LAYOUTS)
    assert set(FILE_COLUMNS) | RESERVED <= set(re.findall(r"`([a-z_]+)`", page))


def test_everything_named_in_the_table_is_there() -> None:
    there = {*card_names("dataset"), *card_names("recipe"), *(name for kind in KINDS for name in names(kind))}
    rows = dict(re.findall(r"^\| (data sets|sources|builders|recipes|analyzers) \| (.*?) \|$", TEXT, re.M))
    for kind, row in rows.items():
        found = set(re.findall(r"`([a-z0-9_-]+)`", row))
        assert found <= there, (kind, found - there)
    for kind in ("sources", "builders", "analyzers"):
        assert set(names(kind.removesuffix("s"))) <= set(re.findall(r"`([a-z0-9_-]+)`", rows[kind]))


def test_help_lists_every_command() -> None:
    shown = CliRunner().invoke(app, ["--help"]).output
    for name in ("build", "verify", "train", "compare", "plan", "report", "list", "show", "runs"):
        assert f"\n  {name} " in shown
