"""docs/plugin: built as a wheel, installed beside biaskit, and run as its README says."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import biaskit as bk
from biaskit.registry import KINDS, plural

pytestmark = pytest.mark.smoke

ROOT = Path(__file__).parent.parent
PLUGIN = ROOT / "docs" / "plugin"
README = (PLUGIN / "README.md").read_text(encoding="utf-8")
#: Runs every line of stdin as one command of biaskit, in one process: loading torch takes longer than most commands.
DRIVER = """
import json, shlex, sys
from typer.testing import CliRunner
from biaskit.cli import app
done = []
for line in sys.stdin:
    words = shlex.split(line)[1:]
    sys.argv = ["biaskit", *words]
    found = CliRunner().invoke(app, words)
    done.append([line.strip(), found.exit_code, found.output])
print(json.dumps(done))
"""


def python(*words, site, **options):
    """Run Python with the installed package before it, as a user's environment would have it."""
    path = os.pathsep.join([str(site), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *map(str, words)],
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
        env=environment,
        **options,
    )


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The package as a wheel, installed into a folder of its own; the copy it was built from; the wheel."""
    pytest.importorskip("hatchling", reason="building the wheel needs hatchling: pip install hatchling")
    pytest.importorskip("pip", reason="installing the wheel needs pip")
    root = tmp_path_factory.mktemp("plugin")
    source = shutil.copytree(PLUGIN, root / "plugin", ignore=shutil.ignore_patterns("__pycache__"))
    offline = ["--no-deps", "--no-index", "--disable-pip-version-check", "--quiet"]
    built = python("-m", "pip", "wheel", *offline, "--no-build-isolation", "-w", root / "wheels", source, site=root)
    assert built.returncode == 0, built.stderr
    (wheel,) = (root / "wheels").glob("*.whl")
    placed = python("-m", "pip", "install", *offline, "--target", root / "site", wheel, site=root)
    assert placed.returncode == 0, placed.stderr
    return root / "site", source, wheel


def test_the_wheel_is_what_its_project_says(installed):
    site, _, wheel = installed
    assert wheel.name == "biaskit_frames-0.1.0-py3-none-any.whl"
    (entries,) = site.glob("*.dist-info/entry_points.txt")
    text = entries.read_text()
    for group in ("builders", "losses", "analyzers"):
        assert f"[biaskit.{group}]" in text
    assert sorted(path.name for path in (site / "biaskit_frames").glob("*.py")) == [
        "__init__.py", "builder.py", "confidence.py", "loss.py",
    ]  # fmt: skip


def test_the_commands_of_its_readme(installed, tmp_path):
    site, source, _ = installed
    (block,) = re.findall(r"```bash\n(.*?)```", README, re.S)
    install, *commands = block.strip().splitlines()
    assert install == "pip install ."
    assert all(command.startswith("biaskit ") for command in commands)
    done = python("-c", DRIVER, site=site, cwd=source, input="\n".join(commands) + "\n")
    assert done.returncode == 0, done.stderr
    ran = json.loads(done.stdout.splitlines()[-1])
    assert [code for _, code, _ in ran] == [0] * len(commands), ran
    told = {shlex.split(line)[1]: text for line, _, text in ran}
    assert "confidence" in told["list"]
    assert "from biaskit-frames" in told["list"]
    assert "Put a red or a blue frame around every image" in told["show"]
    assert re.search(r"width +1 +whole number, at least 1, at most 8", told["show"])
    assert "planted by frame" in told["build"]
    assert told["data-audit"].startswith("In train, the color of the frame does not go with the digit")
    assert "flip rate" in told["compare"]
    result = json.loads((source / "compared" / "result.json").read_text())
    assert result["failed"] == []
    assert [arm["name"] for arm in result["arms"]] == ["plain", "smoothed"]
    (found,) = (one for one in result["analyses"] if one["analyzer"] == "confidence")
    rows = pd.DataFrame(found["rows"])
    assert len(rows) == 2 * 20
    assert rows["confidence"].between(0.1, 1).all()
    # What smoothing is for: less sure than plain training.
    means = rows.groupby("arm")["confidence"].mean()
    assert means["smoothed"] < means["plain"]
    assert "confidence" in (source / "compared" / "report.html").read_text()


def test_its_own_tests_pass(installed):
    site, source, _ = installed
    done = python("-m", "pytest", "-q", "-p", "no:cacheprovider", source / "tests", site=site, cwd=source)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 passed" in done.stdout


def test_without_the_package_its_names_are_unknown():
    with pytest.raises(bk.UnknownName, match="no builder 'frame'; there are "):
        bk.build(str(PLUGIN / "cards" / "framed-digits.toml"))


def test_the_table_of_kinds_is_the_registry():
    told = re.findall(r"^\| (\w+) \| `biaskit\.(\w+)` \|", README, re.M)
    assert told == [(kind, plural(kind)) for kind in KINDS]
