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
from biaskit.telling import plots, study_page
from biaskit.telling.analyses import FAILED
from biaskit.telling.numbers import TYPOGRAPHIC, visible
from biaskit.telling.page import page as gathered
from biaskit.telling.page import upper

__all__ = ["render", "report", "write_report"]

Row = Mapping[str, Any]

SCHEMA = 1
"""The newest layout of ``result.json`` this version reads."""
LARGEST = 2_000_000
"""No report is larger, in bytes; pictures of analyzers are left out first, then example images."""
MOST_PICTURES = 24
"""Lines of a figure of pictures."""
SHOWN_NOTES = 5
"""Notes of a section that are not folded; those of failed checks never are."""


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
        loader=jinja2.FileSystemLoader(here),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    study = result.get("kind") == "study"
    page = study_page.page(result) if study else gathered(result)
    ids = {entry[0] for entry in page["glossary"]}
    environment.filters |= {"svg": Markup, "linked": _linker(result, ids), "first_upper": upper, "loud": _loud}
    environment.filters["counted"] = TYPOGRAPHIC.counted
    page |= {
        "known": ids,
        "shown_notes": SHOWN_NOTES,
        "style": Markup(style),
        "script": Markup(script),
        "style_hash": _sha(style),
        "script_hash": _sha(script),
    }
    return _fitted(environment.get_template(f"{'study' if study else 'report'}.html.j2"), page)


def _fitted(template: jinja2.Template, page: dict[str, Any]) -> str:
    """Render within the limit: first the pictures of analyzers go, each figure's last line first, then examples."""
    every = [grid for grids in page["galleries"] for grid in grids]
    examples = page["examples"]
    tallest = max((len(grid.rows) for grid in every), default=0)
    tries = [(lines, len(examples)) for lines in range(min(tallest, MOST_PICTURES), -1, -1)]
    tries += [(0, count) for count in range(len(examples) - 1, -1, -1)]
    html = ""
    for lines, count in tries:
        if count < len(examples):
            page["twins_caption"] = f"{count} of {len(examples)} examples: this file is kept below 2 MB."
        html = template.render(page | {"most_pictures": lines, "examples": examples[:count]})
        if len(html.encode()) <= LARGEST:
            return html
    raise DataError(
        f"the report would be {len(html.encode()):,} bytes, more than {LARGEST:,}; compare fewer arms at once"
    )


def _sha(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _loud(text: str) -> Markup:
    """Escape a sentence and set the words that say that a check failed in bold."""
    return Markup(FAILED.sub(r"<b>\1</b>", str(escape(text)), count=1))


def _linker(result: Row, ids: set[str]) -> Any:
    """Make the filter that escapes a sentence and links each known word to its definition, once."""
    words = {"interval": "interval", "margin": "margin", "paired difference": "paired", "verdicts": "verdict"}
    words |= {"substitute": "substitute"}
    words |= {"twin": "twin", "noise floor": "noise"} | {m["title"]: m["name"] for m in result.get("metrics", [])}
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
