"""``biaskit data-audit``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from biaskit.cli._common import (
    AsJson,
    Attributes,
    Drop,
    Images,
    Out,
    SkipCorrupt,
    Split,
    complete_datasets,
    guarded,
    say,
    typed,
)

__all__ = ["data_audit"]


@guarded
def data_audit(
    data: Annotated[
        str,
        typer.Argument(
            help="A built set, a data set by name, or a folder of images in a layout that audit --on reads.",
            autocompletion=complete_datasets,
        ),
    ],
    split: Split = None,
    attributes: Attributes = None,
    drop: Drop = False,
    skip_corrupt: SkipCorrupt = False,
    size: Annotated[int | None, typer.Option(min=1, help="Side in pixels, where the images differ in size.")] = None,
    near: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Pixels this close, root mean square in [0, 1], are near-duplicates; 0: equal ones alone.",
        ),
    ] = 0.03,
    out: Out = None,
    json: AsJson = False,
    images: Images = True,
) -> None:
    """Before any training: what goes with the label, how far that alone gets, what leaks, which groups are missing."""
    from biaskit._data_audit import data_audit as look
    from biaskit.disk import check_replaceable
    from biaskit.layouts import open_data
    from biaskit.output import FILES

    if out:
        check_replaceable(Path(out), FILES)
    dataset = open_data(data, split=split, attributes=attributes, drop=drop, skip_corrupt=skip_corrupt, size=size)
    found = look(dataset, near=near, command=typed())
    name = re.sub(r"[^\w.-]+", "-", dataset.name)[:60]
    default = Path(f"biaskit-data-{name}-{dataset.fingerprint[:8]}")
    folder = found.save(Path(out) if out else default, images=images)
    if json:
        say((folder / "result.json").read_text(encoding="utf-8"))
        return
    from biaskit.cli._text_data import print_data_audit

    print_data_audit(found.result, folder)
