"""A real browser, where one is installed, for the tests of reports."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess

import pytest

CHROMIUM = next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium is installed")
WIDTHS = (320, 360, 420, 768, 1024, 1280, 1600, 1920)


def visit(tmp_path, pages):
    """Open pages in frames of several widths; give back what they measure and the console."""
    script = """function (f) { var d = f.contentDocument;
          d.querySelectorAll("details").forEach(function (e) { e.open = true; });
          var links = d.querySelectorAll("a.t");
          if (links.length) { links[0].focus(); }
          return [f.title, d.documentElement.scrollWidth, d.documentElement.clientWidth,
            f.contentWindow.performance.getEntriesByType("resource").length,
            d.querySelectorAll(".sortb").length, d.querySelector("#tip") ? !d.querySelector("#tip").hidden
            : null]; }"""
    return browse(tmp_path, pages, WIDTHS, script)


def browse(tmp_path, pages, widths, script):
    """Open pages in frames, call a function with each, and give back what it returns, and the console."""
    frames = "".join(
        f'<iframe title="{html.escape(name)} {width}" width="{width}" height="900"'
        f' srcdoc="{html.escape(page)}"></iframe>'
        for name, page in pages.items()
        for width in widths
    )
    script = (
        'addEventListener("load", function () { document.body.textContent ='
        f' JSON.stringify(Array.from(document.querySelectorAll("iframe"), {script})); }});'
    )
    host = tmp_path / "host.html"
    host.write_text(f"<!doctype html><meta charset=utf-8><body>{frames}<script>{script}</script>", encoding="utf-8")
    command = [
        CHROMIUM,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--enable-logging=stderr",
        "--window-size=2000,1200",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--dump-dom",
        host.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    found = re.search(r"<body>(\[.*\])</body>", done.stdout, re.DOTALL)
    assert found, done.stderr[-2000:]
    return json.loads(html.unescape(found[1])), [line for line in done.stderr.splitlines() if "CONSOLE" in line]
