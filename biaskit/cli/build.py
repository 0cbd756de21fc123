"""``biaskit build``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from biaskit.cli._common import Out, Sets, complete_datasets, guarded, say

__all__ = ["build"]


@guarded
def build(
    name: Annotated[
        str, typer.Argument(help="A data set card by name, or a .toml file.", autocompletion=complete_datasets)
    ],
    source: Annotated[str | None, typer.Option(help="Another source for the same card.")] = None,
    root: Annotated[str | None, typer.Option(help="Where the source's files are.")] = None,
    set: Sets = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws attributes, twins and label noise.")] = 0,
    out: Out = None,
    broden: Annotated[
        str | None, typer.Option(help="Also write the test images and their concepts to a folder in Broden's layout.")
    ] = None,
) -> None:
    """Plant a shortcut in real images and write the data set to a folder."""
    import time

    from biaskit._build import build as build_dataset
    from biaskit._build import default_folder
    from biaskit.disk import FILES, check_replaceable, save_dataset
    from biaskit.telling.numbers import ASCII

    if out:
        check_replaceable(Path(out), FILES)
    started = time.perf_counter()
    dataset = build_dataset(name, source=source, root=root, set=set or (), seed=seed)
    folder = Path(out) if out else default_folder(dataset)
    if broden:
        from biaskit.broden import check_broden, write_broden

        check_broden(dataset, broden)
    save_dataset(dataset, folder)
    if broden:
        write_broden(dataset, broden)
    seconds = time.perf_counter() - started
    size = sum(one.stat().st_size for one in folder.iterdir())
    _, height, width = dataset.images.shape
    count = sum(len(dataset.rows(split)) for split in dataset.splits if split != "twin")
    say(
        f"Built {dataset.name}: {ASCII.counted(count, 'image')} of {height} x {width}, {_origin(dataset.card)}, "
        f"{ASCII.counted(len(dataset.groups), 'group')}, seed {seed}, in {seconds:.1f} s."
    )
    say()
    if dataset.group_by:
        for line in contingency_lines(dataset):
            say(line)
        say()
    say(f"note: {_regime(dataset) or 'nothing is planted'}")
    files = "  ".join(sorted(one.name for one in folder.iterdir() if one.name != "preview.png"))
    say(f"data     {folder}  {files}  {size / 1e6:.0f} MB")
    say(f"preview  {folder / 'preview.png'}  {_shown(dataset)}")
    if broden:
        say(f"broden   {broden}  its {len(dataset.rows('test')):,} test images with segmentations")
    usual = folder == default_folder(dataset) and folder.name == dataset.name
    say(f"hint: biaskit compare plain aug semcont --on {dataset.name if usual else folder}", err=True)


def contingency_lines(dataset: Any) -> list[str]:
    """Images per split and value of each grouping attribute, with Cramer's V, bias-corrected."""
    from biaskit.describe import association

    lines = []
    for attribute in dataset.group_by:
        found = association(dataset)
        values = list(dataset.table[attribute].cat.categories)
        width = max(9, *(len(value) + 2 for value in values))
        lines.append(
            f"{'split':<8}"
            + "".join(f"{value:>{width}}" for value in values)
            + f"{'total':>9}    Cramer's V, bias-corrected"
        )
        for row in found[found["attribute"] == attribute].itertuples():
            part = dataset.table.iloc[dataset.rows(row.split)]
            counts = part[attribute].value_counts(sort=False)
            p = "p < 0.001" if row.p < 0.001 else f"p {row.p:.2f}"
            strength = f"{row.v:>12.3f}   {p}" if row.v == row.v else f"   undefined: {row.reason}"
            lines.append(
                f"{row.split:<8}"
                + "".join(f"{counts[value]:>{width},}" for value in values)
                + f"{row.n:>9,}  {strength}"
            )
    return lines


def _origin(card: Any) -> str:
    return f"from {card['source']['name']}" if "source" in card else f"drawn by {card['builder'][0]['name']}"


def _shown(dataset: Any) -> str:
    if not dataset.group_by:
        return "a few images of each label"
    return "one image of each group" + (", with its twin below" if "twin" in dataset.splits else "")


def _regime(dataset: Any) -> str:
    words = dataset.card.get("words", {})
    said = []
    for one in dataset.card.get("builder", []):
        if "regime" not in one:  # a third party's builder, which may plant in a way of its own
            said.append(f"planted by {one['name']}")
            continue
        if not one["attribute"]:
            continue
        name = words.get(one["attribute"], one["attribute"])
        if one["regime"] == "shift":
            said.append(
                f"a shift set: the {name} tells nothing about the label, only its mix differs between the splits"
            )
        else:
            train, test = (", ".join(f"{strength:.3g}" for strength in one[split]) for split in ("train", "test"))
            said.append(f"a correlated set: the {name} is the label's own in {train} of train, {test} of test")
    return "; ".join(said)
