"""The report: one HTML file that loads nothing and sends nothing, made from ``result.json`` alone."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from biaskit.errors import DataError
from biaskit.telling import plots
from biaskit.telling.numbers import visible
from biaskit.telling.page import page as gathered
from biaskit.telling.page import upper

__all__ = ["render", "report", "write_report"]

Row = Mapping[str, Any]

SCHEMA = 1
"""The newest layout of ``result.json`` this version reads."""
LARGEST = 2_000_000
"""No report is larger, in bytes; example images are left out before anything else."""


def write_report(folder: str | Path) -> Path:
    """Write ``report.html`` into a folder of results.

    Parameters
    ----------
    folder : str or Path
        What ``compare`` or an audit wrote; ``result.json`` in it is all that is read.

    Returns
    -------
    Path
        The report.

    Raises
    ------
    DataError
        There is no readable ``result.json``, or a newer version wrote it.
    """
    folder = Path(folder)
    source = folder / "result.json"
    try:
        result = json.loads(source.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{folder} has no result.json; name the folder that compare wrote (--out)") from None
    except (ValueError, OSError) as error:
        raise DataError(f"{source} cannot be read ({error}); run the comparison again") from None
    version = result.get("schema_version") if isinstance(result, dict) else None
    if not isinstance(version, int):
        raise DataError(f"{source} has no schema_version; it is no result of biaskit")
    if version > SCHEMA:
        raise DataError(
            f"{source} has schema_version {version}, this biaskit reads up to {SCHEMA}; update biaskit, "
            "or run the comparison again with this version"
        )
    path = folder / "report.html"
    try:
        page = render(result)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, jinja2.UndefinedError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise DataError(f"{source} is not as biaskit wrote it ({reason}); run the comparison again") from error
    path.write_text(page, encoding="utf-8", newline="\n")
    return path


def report(folder: str | Path) -> Path:
    """Write ``report.html`` into a folder of results; see `write_report`."""
    return write_report(folder)


def render(result: Row) -> str:
    """Make the report of a result: one self-contained HTML page of at most 2 MB.

    Parameters
    ----------
    result : mapping
        The dictionary of ``result.json``, schema 1.

    Returns
    -------
    str
        HTML. Names from the data are escaped; a Content-Security-Policy allows nothing but the page's own
        style, script and embedded images.

    Raises
    ------
    DataError
        The page stays larger than 2 MB even without example images.
    """
    result = visible(result)
    here = Path(__file__).parent
    style = (here / "report.css").read_text(encoding="utf-8") + plots.chart_css(lambda role: f"var(--{role})")
    script = (here / "report.js").read_text(encoding="utf-8")
    # Escaping is always on, whatever the template is called; undefined names are errors, not blanks.
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    page = gathered(result)
    ids = {entry[0] for entry in page["glossary"]}
    environment.filters |= {"svg": Markup, "linked": _linker(result, ids), "first_upper": upper}
    template = environment.from_string((here / "report.html.j2").read_text(encoding="utf-8"))
    page |= {
        "known": ids,
        "style": Markup(style),
        "script": Markup(script),
        "style_hash": _sha(style),
        "script_hash": _sha(script),
    }
    examples = page["examples"]
    for count in range(len(examples), -1, -1):
        page["examples"] = examples[:count]
        html = template.render(page)
        if len(html.encode()) <= LARGEST:
            return html
        page["twins_caption"] = f"{count - 1} of {len(examples)} examples: this file is kept below 2 MB."
    raise DataError(
        f"the report would be {len(html.encode()):,} bytes, more than {LARGEST:,}; compare fewer arms at once"
    )


def _sha(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _linker(result: Row, ids: set[str]) -> Any:
    """Make the filter that escapes a sentence and links each known word to its definition, once."""
    words = {"interval": "interval", "margin": "margin", "paired difference": "paired", "verdicts": "verdict"}
    words |= {"twin": "twin", "noise floor": "noise"} | {m["title"]: m["name"] for m in result["metrics"]}
    known = {str(escape(word)): id for word, id in words.items() if id in ids and word}
    pattern = re.compile(r"\b(" + "|".join(map(re.escape, sorted(known, key=len, reverse=True))) + r")\b")

    def linked(text: str) -> Markup:
        seen = set()

        def link(match: re.Match[str]) -> str:
            word = match[0]
            if word in seen:
                return word
            seen.add(word)
            id = escape(known[word])
            return f'<a class="t" href="#g-{id}" aria-describedby="d-{id}">{word}</a>'

        return Markup(pattern.sub(link, str(escape(text))))

    return linked
