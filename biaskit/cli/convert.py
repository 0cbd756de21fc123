"""``biaskit convert``."""

from __future__ import annotations

from typing import Annotated

import typer

from biaskit.cli._common import Attributes, Drop, SkipCorrupt, Split, complete_datasets, guarded, say

__all__ = ["convert"]


def _complete_layouts(incomplete: str) -> list[str]:
    from biaskit.layouts import LAYOUTS

    return [name for name in LAYOUTS if name.startswith(incomplete)]


@guarded
def convert(
    data: Annotated[
        str,
        typer.Argument(
            help="A built set, a data set by name, or a folder of images in any of the layouts.",
            autocompletion=complete_datasets,
        ),
    ],
    to: Annotated[
        str, typer.Option(help="imagefolder, parquet, wilds, lff or domainbed.", autocompletion=_complete_layouts)
    ],
    out: Annotated[str, typer.Option(help="Folder to write; it appears whole or not at all.")],
    attribute: Annotated[
        str | None, typer.Option(help="For lff and domainbed: the attribute; default: the first of the groups.")
    ] = None,
    attributes: Attributes = None,
    size: Annotated[
        int | None, typer.Option(min=1, help="Side in pixels: the shorter side is resized, the center cut out.")
    ] = None,
    resize: Annotated[
        int | None, typer.Option(min=1, help="What the shorter side is resized to before the cut; default: --size.")
    ] = None,
    split: Split = None,
    label: Annotated[str | None, typer.Option(help="The column of labels; default: label or y.")] = None,
    group_by: Annotated[
        str | None, typer.Option(help="The attributes that make the groups, with commas; default: all.")
    ] = None,
    layout: Annotated[str | None, typer.Option(help="The layout of DATA, where it would be taken for another.")] = None,
    drop: Drop = False,
    skip_corrupt: SkipCorrupt = False,
) -> None:
    """Write a data set in the layout of another tool, and without loss: biaskit reads it back as it was."""
    import shlex
    from pathlib import Path

    from biaskit.disk import check_replaceable
    from biaskit.layouts import convert as write
    from biaskit.layouts import open_data
    from biaskit.layouts._companion import holds
    from biaskit.telling.numbers import ASCII, visible

    check_replaceable(Path(out), holds(Path(out)))
    dataset = open_data(
        data,
        attributes=attributes,
        size=size,
        resize=resize,
        split=split,
        label=label,
        group_by=[one.strip() for one in group_by.split(",") if one.strip()] if group_by is not None else None,
        layout=layout,
        drop=drop,
        skip_corrupt=skip_corrupt,
    )
    folder = write(dataset, Path(out), to=to, attribute=attribute)
    _, height, width = dataset.images.shape
    splits = ", ".join(f"{len(dataset.rows(one)):,} {one}" for one in dataset.splits)
    say(
        f"Converted {visible(dataset.name)} to {to}: {ASCII.counted(len(dataset), 'image')} of {height} x {width} "
        f"({splits}), {ASCII.counted(len(dataset.groups), 'group')}."
    )
    say()
    for note in dataset.card.get("notes", ()):
        say(visible(f"note: {note}"))
    size_of = sum(one.stat().st_size for one in folder.rglob("*") if one.is_file())
    say(f"data     {folder}  {'  '.join(sorted(one.name for one in folder.iterdir()))}  {size_of / 1e6:.1f} MB")
    say(f"hint: {shlex.join(['biaskit', 'data-audit', str(folder)])} reads it back, and looks at it", err=True)
