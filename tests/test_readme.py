"""What the README tells people to type: its Python runs, its commands exist, its two set-up lines are what CI runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from biaskit.cli import app
from biaskit.registry import KINDS, names
from biaskit.specs import card_names

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


def test_python_blocks_run_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", TEXT, re.S)
    assert len(blocks) == 2
    namespace: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), namespace)
    assert (tmp_path / "audit" / "report.html").is_file()
    printed = capsys.readouterr().out
    assert "answers change when only the color does" in printed
    assert "outdoors" in printed


def test_two_lines_set_everything_up() -> None:
    lines = [line for line in TEXT.splitlines() if line.startswith("python3 -m venv")]
    assert len(lines) == 2
    assert "biaskit compare plain semcont" in lines[0]
    assert "pytest" in lines[1]


def test_every_command_named_exists() -> None:
    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    known |= {group.name for group in app.registered_groups}
    named = set(re.findall(r"`?biaskit ([a-z]+)", re.sub(r"import biaskit \w+", "", TEXT)))
    named -= {"plants", "and", "carries", "audits"}
    assert {"build", "compare", "list", "show", "plan"} <= named
    assert named <= known


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
