"""Data sets as other tools keep them: read with :func:`open_data`, written with :func:`convert`.

One file per layout holds how it is read and how it is written.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from biaskit.data import Dataset
from biaskit.disk import new_folder, open_dataset
from biaskit.errors import DataError, SpecError, nearest
from biaskit.home import home
from biaskit.images import MOST_SIDE
from biaskit.layouts import _companion, _domainbed, _imagefolder, _lff, _parquet, _wilds
from biaskit.layouts._assemble import assembled
from biaskit.layouts._listing import Listing, named
from biaskit.layouts._tables import read_table, with_attributes
from biaskit.sources._tree import Tree, walk
from biaskit.specs import card_names

__all__ = ["LAYOUTS", "convert", "open_data", "open_folder"]

_MODULES = {
    "imagefolder": _imagefolder,
    "parquet": _parquet,
    "wilds": _wilds,
    "lff": _lff,
    "domainbed": _domainbed,
}
#: The layouts that are read and written.
LAYOUTS = tuple(_MODULES)


def open_data(
    where: str | Path,
    *,
    attributes: str | Path | None = None,
    size: int | None = None,
    resize: int | None = None,
    split: str | None = None,
    label: str | None = None,
    group_by: Sequence[str] | None = None,
    layout: str | None = None,
    drop: bool = False,
    skip_corrupt: bool = False,
) -> Dataset:
    """A data set by name or by folder: built by biaskit, or in a layout of another tool, which is recognized.

    ============ =======================================================================================
    imagefolder  ``SPLIT/CLASS/1.png`` or ``CLASS/1.png``; Hugging Face's ``metadata.csv|jsonl|parquet``
    parquet      ``train-00000-of-00001.parquet`` and others, Hugging Face's columns image and label
    wilds        ``metadata.csv`` with the file, y, split 0, 1, 2, as in WILDS, group_DRO, SubpopBench
    lff          ``5pct/align/3/17_3_0.png``, as in LfF and DisEnt
    domainbed    ``DOMAIN/CLASS/1.png``
    ============ =======================================================================================

    What :func:`convert` wrote comes back as it was: the same fingerprint.

    Parameters
    ----------
    where : str or Path
        A folder, or a name as for :func:`biaskit.load`.
    attributes : path, optional
        A table (csv, tsv, jsonl, parquet) with a column of file names and one column per attribute, checked against
        the images both ways.
    size : int, optional
        Side in pixels: the shorter side is resized (bilinear) and the center is cut out. Without it all images must
        have one size.
    resize : int, optional
        What the shorter side is resized to before the cut; default: ``size``. Networks trained on ImageNet are
        usually tested with ``size=224, resize=256``.
    split : str, optional
        The split that is the test set; beside train the others are left out. Default: test, else val; all images
        where there are no splits.
    label : str, optional
        The column of labels. Default: label or y; without it the folders of classes.
    group_by : sequence of str, optional
        The attributes that, with the label, make the groups. Default: all. Columns of more than 100 different values
        are no attributes unless they are named here.
    layout : str, optional
        One of the above, where the folder would be taken for another.
    drop : bool
        Leave out files without attributes, attributes without a file, and images with an empty cell, instead of an
        error.
    skip_corrupt : bool
        Leave out images that cannot be decoded, instead of an error.

    Returns
    -------
    Dataset
        Images up to 4 GiB are decoded once, larger sets when asked for. ``card["skipped"]`` is file -> reason,
        ``card["left_out"]`` the same for ``drop``, ``card["notes"]`` sentences that say what was taken for what.

    Raises
    ------
    DataError
        No such folder, or one that is no data set; files and tables that do not fit each other, both sides counted and
        named; empty cells; images that cannot be read or are of different sizes.
    SpecError
        Options that do not fit each other or the data, or a layout that does not exist.
    UnknownName
        No data set of that name.

    Examples
    --------
    >>> open_data("colordigits").attributes
    ('color',)
    """
    given = {
        "attributes": attributes,
        "size": size,
        "resize": resize,
        "split": split,
        "label": label,
        "group_by": group_by,
        "layout": layout,
        "drop": drop or None,
        "skip_corrupt": skip_corrupt or None,
    }
    if not str(where).strip():
        raise SpecError("no data set is named: expected a name, or a folder of images")
    path = Path(where).expanduser()
    built = not path.exists() or (path / "card.toml").is_file() or path.suffix == ".toml"
    shipped = str(where).replace("-", "_") in {name.replace("-", "_") for name in card_names("dataset")}
    if built or shipped:
        told = [name for name, value in given.items() if value is not None]
        named_one = path.exists() or shipped or (home() / "data" / str(where) / "card.toml").is_file()
        if told and built and named_one:
            what = f"{where} was built by biaskit" if path.exists() else f"there is no folder {where}"
            raise SpecError(f"{what}; leave {told[0]} out, which is for folders of images")
        # A door upwards: names are those of stored and of shipped sets, which are built when they are asked for.
        from biaskit._build import load

        return load(where)
    if size is None and resize is not None:
        raise SpecError(f"resize={resize} says nothing without size, the side that is cut out")
    if size is not None and (size < 1 or (resize is not None and resize < size)):
        raise SpecError(f"size={size}, resize={resize}: expected 1 <= size <= resize")
    if size is not None and max(size, resize or 0) > MOST_SIDE:
        raise SpecError(f"size={size}, resize={resize}: expected at most {MOST_SIDE:,} pixels")
    if layout is not None:
        _check_layout(layout)
    if path.is_file() and path.suffix != ".parquet":
        raise DataError(f"{where} is a file; give the folder of the images, or a .parquet file that holds them")
    tree = walk(path) if path.is_dir() else Tree(path.parent, (), (path.name,))
    frame = read_table(Path(attributes).expanduser()) if attributes is not None else None
    joined = frame is not None and label in frame
    name = Path(str(attributes)).name
    try:
        listing = _listed(tree, layout, None if joined else label, drop=drop)
    except DataError as error:
        if frame is None or label is None or joined:
            raise
        have = named([str(one) for one in frame.columns], 8)
        raise DataError(f"{error}; {name} has no column {label!r} either, it has {have}") from None
    if frame is not None:
        listing = with_attributes(listing, frame, name, label=label if joined else None, drop=drop)
    return assembled(
        listing, size=size, resize=resize, split=split, group_by=group_by, drop=drop, skip_corrupt=skip_corrupt
    )


def _check_layout(name: str) -> None:
    if name not in LAYOUTS:
        close = nearest(name, LAYOUTS)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(LAYOUTS)}"
        raise SpecError(f"no layout {name!r}; {hint}")


def open_folder(folder: Path) -> Dataset:
    """A data set by its folder, with nothing to say about it: built by biaskit, or in any layout."""
    if (folder / "card.toml").is_file() or not any(folder.iterdir()):
        return open_dataset(folder)
    return open_data(folder)


def _listed(tree: Tree, layout: str | None, label: str | None, *, drop: bool) -> Listing:
    """What the layout of a folder says, as the layout that was named or is recognized."""
    if layout is None and _companion.CARD in tree.others:
        if label is not None:
            raise SpecError(f"{tree.root} was written by biaskit convert and knows its labels; leave label out")
        return _companion.read(tree, drop=drop)
    listing: Listing = _MODULES[layout or _recognized(tree)].read(tree, label=label, drop=drop)
    # Somebody else's columns of these names are not about our twins.
    taken = [name for name in ("pair", "swapped") if name in listing.table]
    notes = [f"the column {name} was left out: results have a column of that name" for name in taken]
    return dataclasses.replace(listing, table=listing.table.drop(columns=taken), notes=(*listing.notes, *notes))


def _recognized(tree: Tree) -> str:
    """The layout of a folder, from the names in it."""
    if _lff.shares(tree):
        return "lff"
    if _wilds.fits(tree):
        return "wilds"
    if _imagefolder.metadata(tree):
        return "imagefolder"
    if _parquet.fits(tree):
        return "parquet"
    if not tree.images:
        raise DataError(
            f"{tree.root} is no data set: it has neither card.toml nor images, parquet files or a metadata.csv; "
            "build one with: biaskit build NAME --out DIR"
        )
    return "domainbed" if _domainbed.fits(tree) else "imagefolder"


def convert(data: Dataset | str | Path, folder: str | Path, *, to: str, attribute: str | None = None) -> Path:
    """Write a data set in the layout of another tool, so that :func:`open_data` reads it back without loss.

    Images are PNG files, which keep every pixel. What a layout has no place for, such as twins and their images, the
    order of categories, masks, stands in ``biaskit.toml`` and files called ``biaskit...`` beside it, which other tools
    do not look at.

    Parameters
    ----------
    data : Dataset, or whatever :func:`open_data` takes
    folder : path
        New, empty, or one that this function wrote; it appears whole or not at all.
    to : str
        imagefolder, parquet, wilds, lff or domainbed; see :func:`open_data`.
    attribute : str, optional
        For lff and domainbed, which have room for one: what makes images aligned, or the domains. Default: the first
        attribute of the groups.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    SpecError
        No layout of that name, or an attribute for one that holds them all.
    DataError
        A data set that the layout cannot hold, such as one without an attribute for lff.
    StoreError
        A folder that holds other files, or a disk that is full.

    Examples
    --------
    >>> import tempfile
    >>> from biaskit.testing import tiny
    >>> with tempfile.TemporaryDirectory() as place:
    ...     written = convert(tiny(), f"{place}/out", to="imagefolder")
    ...     open_data(written).fingerprint == tiny().fingerprint
    True
    """
    _check_layout(to)
    if attribute is not None and to not in ("lff", "domainbed"):
        raise SpecError(f"attribute={attribute}: the layout {to} holds every attribute; leave it out")
    dataset = data if isinstance(data, Dataset) else open_data(data)
    place = Path(folder)
    with new_folder(place, holds=_companion.holds(place)) as work:
        keys = _MODULES[to].write(dataset, work, attribute=attribute)
        _companion.write(dataset, work, to, keys)
    return place
