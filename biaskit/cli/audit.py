"""``biaskit audit``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from biaskit.cli._common import (
    Analyzers,
    AsJson,
    Attributes,
    Device,
    Drop,
    Images,
    On,
    Out,
    SkipCorrupt,
    Split,
    guarded,
    named,
    say,
    typed,
)

if TYPE_CHECKING:
    from biaskit._audit import Audit
    from biaskit.cli._lines import Line
    from biaskit.foreign._found import Found

__all__ = ["audit", "audit_lines"]


@guarded
def audit(
    model: Annotated[
        str,
        typer.Argument(
            help="A run's folder or its name in biaskit runs list, a checkpoint of ours, torchvision:NAME[@WEIGHTS], "
            "timm:NAME, package.module:factory, or a .pt2, TorchScript or ONNX file."
        ),
    ],
    on: On = None,
    analyzers: Analyzers = None,
    set: Annotated[
        list[str] | None,
        typer.Option("--set", help="What an analyzer does: analyzer.NAME.OPTION=VALUE."),
    ] = None,
    split: Split = None,
    attributes: Attributes = None,
    drop: Drop = False,
    skip_corrupt: SkipCorrupt = False,
    weights: Annotated[
        str | None, typer.Option(help="Weights for the network: .safetensors, or a state dict in .pt.")
    ] = None,
    size: Annotated[
        int | None, typer.Option(min=1, help="Side of the images the model takes. Default: what its weights say.")
    ] = None,
    mean: Annotated[str | None, typer.Option(help="Normalization for pixels from 0 to 1, such as 0.5,0.5,0.5.")] = None,
    std: Annotated[str | None, typer.Option(help="As --mean, what is divided by.")] = None,
    labels: Annotated[
        str | None, typer.Option(help="CSV file with the columns model,label: which of its classes is which label.")
    ] = None,
    trust_pickle: Annotated[
        bool, typer.Option("--trust-pickle", help="Read pickled models, which may run any code.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="What the model is called in the report.")] = None,
    device: Device = None,
    out: Out = None,
    json: AsJson = False,
    images: Images = True,
) -> None:
    """Measure any model on any images: what its answers lean on, group by group."""
    from biaskit._asked import analyzer_options, with_options
    from biaskit._audit import DEFAULT_ANALYZERS, applicable, resolve_analyzers
    from biaskit._audit import audit as run_audit
    from biaskit._build import DEFAULT
    from biaskit._train import machine
    from biaskit.disk import check_replaceable
    from biaskit.errors import SpecError
    from biaskit.foreign import find_model, fit_model
    from biaskit.layouts import open_data
    from biaskit.output import FILES
    from biaskit.telling.numbers import visible

    if out:
        check_replaceable(Path(out), FILES)
    changes, options = analyzer_options(set or ())
    if changes:
        raise SpecError(f"--set {changes[0]}: an audit trains nothing; write analyzer.NAME.OPTION=VALUE")
    wanted = with_options(named(analyzers) or DEFAULT_ANALYZERS, options)
    resolve_analyzers(wanted)
    where = machine(device).device
    numbers = {"mean": _numbers("mean", mean), "std": _numbers("std", std)}
    found = find_model(model, weights=weights, trust_pickle=trust_pickle)
    sizes, read = _sizes(on, found, size)
    data = open_data(
        DEFAULT if on is None else on, split=split, attributes=attributes, drop=drop, skip_corrupt=skip_corrupt, **sizes
    )
    if not analyzers:
        wanted = with_options(applicable(data), options)
    opened = fit_model(found, data, size=size, **numbers, labels=labels, name=name, read=read)
    test = len(data.rows("test"))
    told = visible(f"{opened.name} on {data.name}")
    say(f"{told}: {test:,} test images, {len(data.classes)} labels; {where}", err=True)
    one = run_audit(
        opened,
        data,
        analyzers=wanted,
        device=device,
        command=typed(),
        progress=lambda now: say(f"measuring {now}", err=True),
    )
    folder = Path(out) if out else _default_out(one)
    one.save(folder, images=images)
    _told(one, folder, json=json)


def _sizes(on: str | None, found: Found, size: int | None) -> tuple[dict[str, Any], str]:
    """To what size image files are decoded, where the model takes one size alone, and that in words.

    Files may be of many sizes, and decoding is exact: the pixels are those of torchvision's own transforms. Sets that
    biaskit has built keep theirs; the model resizes.
    """
    wanted = (size, size) if size is not None else found.size
    path = Path(on or "")
    built = on is None or not path.exists() or path.suffix == ".toml" or (path / "card.toml").is_file()
    if built or wanted is None or wanted[0] != wanted[1]:
        return {}, ""
    side, shorter = wanted[0], found.resize if size is None else None
    who = "you say" if size is not None else found.source
    how = "bilinear" if found.interpolation == "bilinear" else f"bilinear, where the weights say {found.interpolation}"
    read = (
        f"images are resized to a shorter side of {shorter or side} pixels ({how}) and cut to the central "
        f"{side} x {side} when they are read, as {who}"
    )
    return {"size": side, "resize": shorter}, read


def _numbers(option: str, text: str | None) -> tuple[float, ...] | None:
    """``0.5`` or ``0.485,0.456,0.406``."""
    from biaskit.errors import SpecError

    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise SpecError(f"--{option} {text!r}: expected a number, or one per channel such as 0.5,0.5,0.5") from None


def _default_out(one: Audit) -> Path:
    from biaskit.recipes import fingerprint

    assert one.foreign is not None
    dataset = one.subject.dataset
    options = {name: result.options for name, result in one.results.items()}
    key = fingerprint([dataset.fingerprint, one.foreign.digest, options])
    name = re.sub(r"[^\w.-]+", "-", f"{one.name}-on-{dataset.name}")[:60]
    return Path(f"biaskit-{name}-{key[:8]}")


def _told(one: Audit, folder: Path, *, json: bool) -> None:
    """The result on stdout, as it was written."""
    import json as reader

    from biaskit.cli._lines import console, files_of, print_lines
    from biaskit.cli._text import hint_lines

    text = (folder / "result.json").read_text(encoding="utf-8")
    if json:
        say(text)
        return
    result = reader.loads(text)
    out, width = console()
    assumed = one.foreign.assumptions if one.foreign is not None else ()
    print_lines(audit_lines(result, assumed, width, files_of(folder)), out)
    err, width = console(err=True)
    print_lines(hint_lines(result, width), err)


def audit_lines(
    result: dict[str, Any], assumed: Sequence[str], width: int | None, files: Sequence[tuple[str, str, str]] = ()
) -> list[Line]:
    """Lay out a finished audit: that it is at chance, if it is, then all that was assumed, then what was found.

    Parameters
    ----------
    result : mapping
        The dictionary of ``result.json``.
    assumed : sequence of str
        What was assumed of the model.
    width : int or None
        Columns of the terminal; None for a pipe, where nothing is wrapped.
    files : sequence of (name, path, meaning)
        What was written, for the last lines.
    """
    from biaskit.cli._lines import line, wrapped
    from biaskit.cli._text import comparison_lines
    from biaskit.telling.chance import chance
    from biaskit.telling.numbers import visible

    # What stands above is not told again among the notes.
    lines = comparison_lines(
        {**result, "notes": [one for one in result.get("notes", []) if one not in assumed]}, width, files
    )
    lead = chance(visible(result))
    first = len(wrapped(lead, width)) if lead else 0
    told = [one for text in assumed for one in wrapped(f"assumed: {visible(text)}", width, indent=9)]
    return [*lines[:first], *told, *([line()] if told else []), *lines[first:]]
