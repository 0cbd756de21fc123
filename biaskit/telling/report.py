"""The report: one HTML file that loads nothing and sends nothing, made from ``result.json`` alone."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from biaskit.errors import DataError
from biaskit.telling import data_page, plots, score_page, study_page
from biaskit.telling.analyses import FAILED
from biaskit.telling.gallery import FOLDER, Picture, content, without_pictures
from biaskit.telling.numbers import TYPOGRAPHIC, visible
from biaskit.telling.page import page as gathered
from biaskit.telling.page import upper
from biaskit.telling.stored import read_result

__all__ = ["laid_out", "render", "report", "write_report"]

Row = Mapping[str, Any]

LARGEST = 2_000_000
"""No report is larger, in bytes; pictures that do not fit lie beside it."""
MOST_LINES = 200
"""Lines of a figure of pictures in the page, as pictures or as links; all lie in the folder beside it."""
SHOWN_NOTES = 5
"""Notes of a section that are not folded; those of failed checks never are."""


def write_report(folder: str | Path, *, images: bool = True) -> Path:
    """Write ``report.html`` into a folder of results, and the pictures that do not fit into it beside it.

    Parameters
    ----------
    folder : str or Path
        What ``compare`` or an audit wrote; ``result.json`` in it is all that is read.
    images : bool
        Show pictures; without, the page holds none, and none lies beside it.

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
    result = read_result(folder)
    path = folder / "report.html"
    try:
        page, beside = laid_out(result, images=images)
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, jinja2.UndefinedError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise DataError(f"{source} is not as biaskit wrote it ({reason}); run the comparison again") from error
    _replace_pictures(folder, beside)
    path.write_text(page, encoding="utf-8", newline="\n")
    return path


def _replace_pictures(folder: Path, beside: Mapping[str, bytes]) -> None:
    """Write the pictures beside the page; those of an earlier page go, which may have been made with others."""
    place = folder / FOLDER
    for old in place.glob("*.png"):
        old.unlink()
    if beside:
        place.mkdir(exist_ok=True)
    elif place.is_dir() and not any(place.iterdir()):
        place.rmdir()
    for name, data in beside.items():
        (folder / name).write_bytes(data)


def report(folder: str | Path, *, images: bool = True) -> Path:
    """Write ``report.html`` into a folder of results; see `write_report`."""
    return write_report(folder, images=images)


def render(result: Row, *, images: bool = True) -> str:
    """Make the page of a report alone; see `laid_out`."""
    return laid_out(result, images=images)[0]


def laid_out(result: Row, *, images: bool = True) -> tuple[str, dict[str, bytes]]:
    """Make the report of a result: one self-contained HTML page of at most 2 MB, and what did not fit into it.

    Parameters
    ----------
    result : mapping
        The dictionary of ``result.json``, schema 1.
    images : bool
        Show pictures.

    Returns
    -------
    str
        HTML. Names from the data are escaped; a Content-Security-Policy allows nothing but the page's own
        style, script and embedded images.
    dict of str to bytes
        PNG files by path beside the page, which links to them.

    Raises
    ------
    DataError
        The page stays larger than 2 MB even without pictures.
    """
    result = visible(result if images else without_pictures(result))
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
    kind = result.get("kind")
    own = {"study": study_page.page, "score": score_page.page, "data": data_page.page}
    made, called = (own[kind], kind) if kind in own else (gathered, "report")
    page = made(result)
    ids = {entry[0] for entry in page["glossary"]}
    environment.filters |= {"svg": Markup, "linked": _linker(result, ids), "first_upper": upper, "loud": _loud}
    environment.filters["counted"] = TYPOGRAPHIC.counted
    page |= {
        "known": ids,
        "shown_notes": SHOWN_NOTES,
        "most_lines": MOST_LINES,
        "style": Markup(style),
        "script": Markup(script),
        "style_hash": _sha(style),
        "script_hash": _sha(script),
    }
    return _fitted(environment.get_template(f"{called}.html.j2"), page)


def _fitted(template: jinja2.Template, page: dict[str, Any]) -> tuple[str, dict[str, bytes]]:
    """Render within the limit: as many pictures stand in the page as there is room for, the others lie beside it."""
    every = {one.file: one for one in page["pictures"] if one.image}
    every |= {one.file: one for one in _all(page["galleries"]) if one.image}
    html = template.render(page | {"embedded": frozenset(), "complete": not every})
    room = LARGEST - len(html.encode())
    if room < 0:
        raise DataError(
            f"the report would be {len(html.encode()):,} bytes, more than {LARGEST:,}; compare fewer arms at once"
        )
    embedded: set[str] = set()
    while every:
        embedded = _chosen(page["pictures"], room)
        html = template.render(page | {"embedded": embedded, "complete": len(embedded) == len(every)})
        over = len(html.encode()) - LARGEST
        if over <= 0:
            break
        room -= over
    return html, {file: content(one.image) for file, one in every.items() if file not in embedded}


def _chosen(pictures: Iterable[Picture], room: int) -> set[str]:
    """Choose the pictures that stand in the page, in their order, each if there is still room for it."""
    found = set()
    for one in pictures:
        # A picture takes the place of a link that is about as long as the rest of its tag.
        if one.image and one.file not in found and len(one.image) + len(one.alt) <= room:
            room -= len(one.image) + len(one.alt)
            found.add(one.file)
    return found


def _all(galleries: Iterable[Any]) -> Iterable[Picture]:
    """Every picture of every grid."""
    return (one for grids in galleries for grid in grids for _, line in grid.rows for one in line if one is not None)


def _sha(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _loud(text: str) -> Markup:
    """Escape a sentence and set the words that say that a check failed in bold."""
    return Markup(FAILED.sub(r"<b>\1</b>", str(escape(text)), count=1))


def _linker(result: Row, ids: set[str]) -> Any:
    """Make the filter that escapes a sentence and links each known word to its definition, once."""
    words = {"interval": "interval", "margin": "margin", "paired difference": "paired", "verdicts": "verdict"}
    words |= {"substitute": "substitute", "confidence": "confidence", "integrated gradients": "attribution"}
    words |= {"Cram\u00e9r's V": "v", "looks": "look"}
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
