"""``bk.build`` and ``bk.load``: from a card to a Dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

import biaskit
from biaskit.builders._planting import limited, settle, unplanted, with_labels
from biaskit.data import TWIN, Dataset, Source
from biaskit.disk import open_dataset, plain
from biaskit.errors import DataError, SpecError, UnknownName, nearest
from biaskit.home import home
from biaskit.layouts import open_folder
from biaskit.registry import bind, find
from biaskit.rng import numpy_generator
from biaskit.specs import (
    Component,
    DatasetCard,
    Labels,
    apply_override,
    card_keys,
    card_names,
    card_path,
    has_key,
    load_card,
    parse_override,
    read_toml,
)

__all__ = ["bind_component", "build", "default_folder", "load"]

DEFAULT = "colordigits"


def build(
    card: str,
    *,
    source: str | None = None,
    root: str | Path | None = None,
    set: Sequence[str] = (),
    seed: int = 0,
) -> Dataset:
    """Build a data set from a card: read the source or draw the images, plant the shortcuts, add twins and masks.

    Parameters
    ----------
    card : str
        The name of a shipped card, or the path of a TOML file.
    source : str, optional
        Another source for the same card; its exact counts are computed anew. A card that draws its own images takes
        none.
    root : path, optional
        Where the source's files are, before ``BIASKIT_DATA`` and ``BIASKIT_HOME``.
    set : sequence of str
        Changes to the card: ``"builder.0.train=[0.9, 0.1]"``.
    seed : int
        Draws the attributes, twins and label noise. The same card and seed give the same bytes.

    Returns
    -------
    Dataset

    Raises
    ------
    UnknownName, SpecError, DataError

    Examples
    --------
    >>> data = build("colordigits")
    >>> data.splits, data.images.shape
    (('train', 'test', 'twin'), (3, 16, 16))
    """
    path = card_path("dataset", card)
    where = path.name
    content = read_toml(path)
    if source and "source" not in content:
        raise SpecError(f"--source {source}: {where} has no source to replace, its first builder draws the images")
    given = {**content, "source": {"name": source}} if source else content
    spec: DatasetCard = load_card("dataset", given, where)
    bound = _bound(spec, where)
    for text in set:
        arm, key, value = parse_override(text)
        if arm not in ("", "data"):
            raise SpecError(f"--set {text!r}: a build has no arm {arm!r}; write {key}=...")
        # `limit` is empty unless the card limits something; its keys are the splits.
        if not (has_key(bound, key) or key.startswith("limit.")):
            close = nearest(key, card_keys(bound))
            hint = f"did you mean {close[0]}?" if close else f"see: biaskit show {spec.name}"
            raise SpecError(f"--set {key}: {where} has no such key; {hint}")
        given = apply_override(given, key, value)
        spec = load_card("dataset", given, where)
        bound = _bound(spec, where)
    changed = bool(set) or source is not None

    current: Source | Dataset | None = None
    if spec.source is not None:
        current = _source(spec, spec.source, root, seed, where)
    for number, component in enumerate(spec.builder):
        builder = find("builder", component.name)
        options = bind(builder, component.options, f"{where}: builder.{number}")
        try:
            current = builder(current, numpy_generator(seed, "builder", number), **options)
        except SpecError as error:
            raise SpecError(f"{where}: builder.{number}: {error}") from None
    assert current is not None
    if isinstance(current, Source):
        current = unplanted(current)
    counts = realized_counts(current)
    if spec.counts and not changed:
        _assert_counts(spec.counts, counts, where)
    card_out = {
        **bound,
        "biaskit": biaskit.__version__,
        "seed": seed,
        "set": list(set),
        "counts": counts,
    }
    return settle(current.replace(card=card_out))


def _source(spec: DatasetCard, component: Component, root: str | Path | None, seed: int, where: str) -> Source:
    """The card's source, with its labels changed and its rows limited as the card says."""
    function = find("source", component.name)
    found: Source = function(Path(root) if root else None, **bind(function, component.options, f"{where}: source"))
    labels = spec.labels
    try:
        found = with_labels(
            found,
            numpy_generator(seed, "labels"),
            merge=labels.merge,
            noise=labels.noise,
            noise_splits=labels.noise_splits,
        )
    except SpecError as error:
        raise SpecError(f"{where}: {error}") from None
    return limited(found, spec.limit, numpy_generator(seed, "limit"), where)


def draws_images(builder: Callable[..., Any]) -> bool:
    """Whether a builder draws its own images: it says so with ``source: None``."""
    return get_type_hints(builder).get("source") is type(None)


def _check_source(spec: DatasetCard, where: str) -> None:
    """A card has a source, or its first builder needs none."""
    first = spec.builder[0].name if spec.builder else ""
    drawn = bool(first) and draws_images(find("builder", first))
    if spec.source is None and not drawn:
        needs = f"the builder {first} plants in" if first else "there is no builder that draws"
        raise SpecError(f"{where}: source is missing: {needs} images; add [source], see: biaskit list sources")
    if spec.source is not None and drawn:
        raise SpecError(f"{where}: source: the builder {first} draws its own images; take [source] out of the card")
    if spec.source is None:
        for key, default in (("labels", Labels()), ("limit", {})):
            if getattr(spec, key) != default:
                raise SpecError(f"{where}: {key} changes what a source gives, and this card has none; take it out")


def load(data: str | Path) -> Dataset:
    """A data set by folder or by name.

    A folder is one that biaskit built, or of a layout that :func:`biaskit.open_data` recognizes, which has options for
    it.

    A name is looked up among the sets built into ``BIASKIT_HOME``, then among the shipped cards, which are built in
    memory: the same card and seed give the same bytes.

    Raises
    ------
    DataError, UnknownName
    """
    path, name = Path(data), str(data)
    if path.is_dir():
        if name.replace("-", "_") in {one.replace("-", "_") for one in card_names("dataset")}:
            raise DataError(f"{name} is a folder here and a shipped data set as well; write ./{name} for the folder")
        return open_folder(path)
    if name.endswith(".toml"):
        return build(name)
    if "/" in name or "\\" in name:
        raise DataError(f"no folder {name}; build a set with: biaskit build NAME --out {name}")
    known = card_names("dataset")
    wanted = next((one for one in known if one.replace("-", "_") == name.replace("-", "_")), None)
    folder = home() / "data" / (wanted or name)
    if (folder / "card.toml").is_file():
        stored = open_dataset(folder)
        if wanted is None or _as_shipped(stored.card, wanted):
            return stored
    if wanted is None:
        raise UnknownName("folder or dataset", name, known)
    return build(wanted)


def as_dataset(data: Dataset | str | Path) -> Dataset:
    """A Dataset as it is, or :func:`load` of a folder or a name."""
    return data if isinstance(data, Dataset) else load(data)


def default_folder(dataset: Dataset) -> Path:
    """Where ``biaskit build`` writes without ``--out``: changed cards get a name of their own."""
    card = dataset.card
    usual = card.get("seed") == 0 and dataset.name in card_names("dataset") and _as_shipped(card, dataset.name)
    return home() / "data" / (dataset.name if usual else f"{dataset.name}-{dataset.fingerprint[:8]}")


def _as_shipped(card: Mapping[str, Any], name: str) -> bool:
    """Whether a built set is of the card shipped under a name: the name alone does not tell, cards change."""
    path = card_path("dataset", name)
    shipped = _bound(load_card("dataset", read_toml(path), path.name), path.name)
    return all(card.get(key) == value for key, value in shipped.items() if key != "counts")


def bind_component(kind: str, component: Component, where: str) -> dict[str, Any]:
    """A component with its options checked and the defaults filled in: ``{"name": ..., option: value}``."""
    return {"name": component.name.replace("-", "_"), **bind(find(kind, component.name), component.options, where)}


def realized_counts(dataset: Dataset) -> dict[str, dict[str, dict[str, int]]]:
    """Rows per split and attribute value, twins left out."""
    counts: dict[str, dict[str, dict[str, int]]] = {}
    for split in (split for split in dataset.splits if split != TWIN):
        part = dataset.table.iloc[dataset.rows(split)]
        counts[split] = {
            name: {str(value): int(n) for value, n in part[name].value_counts(sort=False).items()}
            for name in dataset.attributes
        }
    return counts


def _bound(spec: DatasetCard, where: str) -> dict[str, Any]:
    _check_source(spec, where)
    content = plain(spec.model_dump(mode="json"))
    if spec.source is not None:
        content["source"] = plain(bind_component("source", spec.source, f"{where}: source"))
    content["builder"] = [
        plain(bind_component("builder", one, f"{where}: builder.{number}")) for number, one in enumerate(spec.builder)
    ]
    content["training"]["model"] = plain(bind_component("model", spec.training.model, f"{where}: training.model"))
    bound: dict[str, Any] = content
    return bound


def _assert_counts(stated: Mapping[str, Any], counts: Mapping[str, Any], where: str) -> None:
    for split, attributes in stated.items():
        for attribute, values in attributes.items():
            built = counts.get(split, {}).get(attribute, {})
            for value, n in values.items():
                if built.get(value) != n:
                    raise SpecError(
                        f"{where}: counts.{split}.{attribute}.{value} states {n:,} images, "
                        f"the build has {built.get(value, 0):,}"
                    )
