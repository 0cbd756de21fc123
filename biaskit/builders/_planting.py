"""What every builder shares: who gets which value, twins, and painting in batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from pydantic import Field
from torch import Tensor

from biaskit.data import CORE, RESERVED, SPURIOUS, TWIN, Dataset, Source, coded
from biaskit.errors import SpecError
from biaskit.images import IN_MEMORY, ArrayImages, EncodedImages, Images, as_array

__all__ = ["Named", "Paint", "Regime", "Share", "Shares", "assign", "plant"]

#: A name that makes a column of the table.
Named = Annotated[str, Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Shares = Annotated[tuple[Share, ...], Field(min_length=1)]
Regime = Literal["shift", "correlated"]


class Paint(Protocol):
    """How one builder draws its values.

    ``value`` is the brightness of the untouched image (the V of HSV), (B, 1, H, W); ``codes`` the attribute value of
    each image, ``phase`` one uniform number each, which a twin shares with its image.
    """

    #: Whether a pixel becomes what its own value and code say, wherever it lies and whatever the phase.
    pointwise: ClassVar[bool]

    def __call__(self, images: Tensor, value: Tensor, codes: Tensor, phase: Tensor) -> Tensor: ...

    def marks(self, value: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels of the shortcut, and pixels it hides: two boolean (B, 1, H, W)."""
        ...


@dataclass(frozen=True)
class _Layer:
    paint: Paint
    codes: Tensor
    phase: Tensor


@dataclass(frozen=True)
class Rendered:
    """Images painted when they are asked for: base image ``rows[i]`` with every layer's value of row i."""

    base: Images
    rows: Tensor
    layers: tuple[_Layer, ...]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def shape(self) -> tuple[int, int, int]:
        return (3, *self.base.shape[1:])

    def gather(self, index: Tensor) -> Tensor:
        index = index.cpu()
        base = self.base.gather(self.rows[index])
        if self.shades is not None:
            return self.shades.look_up(base, index, self.shades.colors)
        codes, phases = [one.codes[index] for one in self.layers], [one.phase[index] for one in self.layers]
        return _painted(base, self.layers, codes, phases)

    @cached_property
    def shades(self) -> _Shades | None:
        """What every pair of gray pixels becomes, where paints look at nothing but the pixel; None elsewhere."""
        channels, height, width = self.base.shape
        if channels != 1 or width % 2 or not all(layer.paint.pointwise for layer in self.layers):
            return None
        counts = [int(layer.codes.max()) + 1 for layer in self.layers]
        combinations = int(np.prod(counts, dtype=np.int64))
        if combinations * 2**17 > len(self) * height * width:
            return None
        each = torch.unravel_index(torch.arange(combinations), tuple(counts)) if counts else ()
        pairs = torch.arange(2**16, dtype=torch.int32).to(torch.uint16).view(torch.uint8).view(1, 1, 2**16, 2)
        pairs = pairs.expand(combinations, 1, 2**16, 2)
        combination = torch.zeros(len(self), dtype=torch.long)
        for layer, count in zip(self.layers, counts, strict=True):
            combination = combination * count + layer.codes
        colors = _painted(pairs, self.layers, each, [torch.zeros(combinations)] * len(counts))
        masks = _marked(pairs, self.layers, each)
        tables = [one.permute(0, 2, 3, 1).reshape(combinations * 2**16, -1).contiguous() for one in (colors, masks)]
        return _Shades(combination * 2**16, *tables)


@dataclass(frozen=True)
class _Shades:
    """A gray set in few colors, by table: the same bytes at a tenth of the time.

    Two pixels at a time: row ``first[i] + p`` of ``colors`` and ``masks`` is what two neighbors in row i become whose
    bytes make the 16-bit number p.
    """

    first: Tensor
    colors: Tensor
    masks: Tensor

    def look_up(self, base: Tensor, index: Tensor, table: Tensor) -> Tensor:
        count, _, height, width = base.shape
        places = base.reshape(count, -1).view(torch.uint16).to(torch.long).add_(self.first[index, None])
        return table.index_select(0, places.flatten()).view(count, height, width, -1).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class RenderedMasks:
    """The masks of :class:`Rendered` images: core is V > 0.5, what a layer hides is taken away from it."""

    images: Rendered

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        return (1, *self.images.base.shape[1:])

    def gather(self, index: Tensor) -> Tensor:
        index = index.cpu()
        images = self.images
        base = images.base.gather(images.rows[index])
        if images.shades is not None:
            return images.shades.look_up(base, index, images.shades.masks)
        return _marked(base, images.layers, [one.codes[index] for one in images.layers])


def _painted(base: Tensor, layers: Sequence[_Layer], codes: Sequence[Tensor], phases: Sequence[Tensor]) -> Tensor:
    """uint8 images (B, 3, H, W), channels last."""
    images = base.float().div_(255.0).expand(-1, 3, -1, -1)
    value = images.amax(dim=1, keepdim=True)
    for layer, code, phase in zip(layers, codes, phases, strict=True):
        images = layer.paint(images, value, code, phase)
    painted = images.mul(255.0).round_().clamp_(0, 255).to(torch.uint8)
    return painted.contiguous(memory_format=torch.channels_last)


def _marked(base: Tensor, layers: Sequence[_Layer], codes: Sequence[Tensor]) -> Tensor:
    """Masks (B, 1, H, W)."""
    value = base.amax(dim=1, keepdim=True).float().div_(255.0)
    core = value > 0.5
    spurious = torch.zeros_like(core)
    for layer, code in zip(layers, codes, strict=True):
        marked, hidden = layer.paint.marks(value, code)
        core = core & ~hidden
        spurious = spurious | marked
    return core.to(torch.uint8) * CORE + spurious.to(torch.uint8) * SPURIOUS


def plant(
    source: Source | Dataset,
    rng: np.random.Generator,
    paint: Paint,
    *,
    attribute: str,
    values: tuple[str, ...],
    regime: Regime,
    train: tuple[float, ...],
    test: tuple[float, ...],
    own: tuple[str, ...],
) -> Dataset:
    """Give every row a value, add a twin per test row, and paint.

    A second builder over a Dataset adds its layer to every row, twins of the first included, so that one image
    carries two shortcuts and each twin differs in exactly one of them.
    """
    if len(set(values)) != len(values) or len(values) < 2:
        raise SpecError(f"{attribute}: values must be two or more different names; got {', '.join(values)}")
    start = _start(source)
    table, images = start.table, start.images
    assert isinstance(images, Rendered)
    if attribute in RESERVED:
        raise SpecError(f"attribute = {attribute!r}: tables have a column of that name; give it another")
    if attribute in table.columns:
        raise SpecError(f"two builders plant an attribute called {attribute!r}; give one another name")
    split = _texts(table["split"])
    labels = start.labels
    codes, environment = assign(
        labels, split, start.classes, rng, values=values, regime=regime, train=train, test=test, own=own
    )
    pair = table["pair"].to_numpy(np.int64)
    if environment is not None and "environment" in (*table.columns, attribute):
        raise SpecError(f"{attribute}: several strengths for train make a column 'environment'; there is one already")
    twins = split == TWIN
    codes[twins] = codes[pair[twins]]
    phase = rng.random(len(table))
    phase[twins] = phase[pair[twins]]

    tested = np.flatnonzero((split != "train") & ~twins)
    swapped = (codes[tested] + rng.integers(1, len(values), len(tested))) % len(values)
    rows = np.concatenate([np.arange(len(table)), tested])
    grown = table.iloc[rows].reset_index(drop=True)
    new = np.arange(len(table), len(rows))
    codes = np.concatenate([codes, swapped])
    grown[attribute] = coded(codes, values)
    if environment is not None:
        grown["environment"] = environment.take(rows)
    links = grown["pair"].to_numpy(np.int64).copy()
    links[tested] = np.where(links[tested] < 0, new, links[tested])
    links[new] = tested
    grown["pair"] = links
    grown["split"] = _names(np.concatenate([split, [TWIN] * len(tested)]))
    before = _texts(table["swapped"]).astype(object)[rows]
    before[new] = attribute
    kinds = ["", *(name for name in (*start.attributes, attribute) if name in set(before))]
    grown["swapped"] = coded(pd.Index(kinds).get_indexer(before), kinds)
    order = ["label", *start.attributes, attribute, *(["environment"] if environment is not None else [])]
    grown = grown[[*order, "split", "pair", "swapped"]]

    index = torch.from_numpy(rows)
    layers = tuple(_Layer(one.paint, one.codes[index], one.phase[index]) for one in images.layers)
    layer = _Layer(paint, torch.from_numpy(codes), torch.from_numpy(phase[rows]).float())
    painted = Rendered(images.base, images.rows[index], (*layers, layer))
    return start.replace(
        images=painted, table=grown, group_by=(*start.group_by, attribute), masks=RenderedMasks(painted)
    )


def settle(dataset: Dataset) -> Dataset:
    """Painted images held in memory where that pays; the rest, and masks, are painted when asked for.

    Larger sets do not fit; and where painting is a look-up in a table it costs no more than copying what was painted
    before, in a third of the memory.
    """
    images = dataset.images
    large = len(images) * int(np.prod(images.shape)) > IN_MEMORY
    if large or isinstance(images, EncodedImages) or (isinstance(images, Rendered) and images.shades is not None):
        return dataset
    return dataset.replace(images=as_array(images))


def _start(source: Source | Dataset) -> Dataset:
    """A source as a Dataset whose images can take layers."""
    if isinstance(source, Dataset):
        if isinstance(source.images, Rendered):
            return source
        if source.masks is not None or source.concepts is not None:
            raise SpecError("the images before this builder have masks or concepts, which it cannot keep; take one out")
        return source.replace(images=Rendered(source.images, torch.arange(len(source)), ()))
    table = pd.DataFrame(
        {
            "label": coded(source.labels, source.classes),
            "split": _names(source.split),
            "pair": np.full(len(source.labels), -1, np.int64),
            "swapped": pd.Categorical([""] * len(source.labels)),
        }
    )
    return Dataset(Rendered(source.images, torch.arange(len(source.images)), ()), table)


def _texts(column: pd.Series[Any]) -> npt.NDArray[np.str_]:
    """The values of a categorical column."""
    return np.asarray(column.cat.categories, dtype=np.str_)[column.cat.codes.to_numpy()]


def _names(values: npt.NDArray[Any]) -> pd.Categorical:
    """A column of names, its categories in order of the alphabet."""
    codes, names = pd.factorize(np.asarray(values, dtype=object), sort=True)
    return coded(codes, [str(name) for name in names])


def assign(
    labels: npt.NDArray[np.int64],
    split: npt.NDArray[np.str_],
    classes: tuple[str, ...],
    rng: np.random.Generator,
    *,
    values: tuple[str, ...],
    regime: Regime,
    train: tuple[float, ...],
    test: tuple[float, ...],
    own: tuple[str, ...] = (),
) -> tuple[npt.NDArray[np.int64], pd.Categorical | None]:
    """Draw the attribute of every row, with exact counts.

    In a *shift* set the attribute is independent of the label: ``train`` and ``test`` give the share of each value,
    met exactly per split by a permutation. In a *correlated* set a row has its label's own value with the given
    strength, met exactly per split and label; the other values share the rest evenly. Several strengths in ``train``
    make as many environments of equal size.

    Returns
    -------
    codes : int64 array (N,)
        Index into ``values``; rows of split ``twin`` are left at -1.
    environment : Categorical or None
    """
    codes = np.full(len(labels), -1, np.int64)
    if regime == "shift":
        if own:
            raise SpecError("own belongs to regime 'correlated'; in a shift set no value belongs to a label")
        for name, shares in (("train", train), ("test", test)):
            rows = np.flatnonzero(split == "train" if name == "train" else (split != "train") & (split != TWIN))
            codes[rows] = rng.permutation(np.repeat(np.arange(len(values)), _counts(len(rows), shares, values, name)))
        return codes, None
    if len(test) != 1:
        raise SpecError(f"regime 'correlated' needs one strength for test; got {list(test)}")
    owner = _owners(classes, values, own)
    environments = np.where(split == "train", "train", "test").astype(object)
    plan = [(np.flatnonzero((split != "train") & (split != TWIN)), test[0])]
    fitted = np.flatnonzero(split == "train")
    if len(train) == 1:
        plan.append((fitted, train[0]))
    else:
        for number, (part, strength) in enumerate(
            zip(np.array_split(rng.permutation(fitted), len(train)), train, strict=True)
        ):
            environments[part] = f"train-{number}"
            plan.append((np.sort(part), strength))
    for rows, strength in plan:
        for label in range(len(classes)):
            mine = rng.permutation(rows[labels[rows] == label])
            aligned = round(strength * len(mine))
            codes[mine[:aligned]] = owner[label]
            others = rng.permutation([code for code in range(len(values)) if code != owner[label]])
            codes[mine[aligned:]] = np.resize(others, len(mine) - aligned)
    if len(train) == 1:
        return codes, None
    return codes, _names(environments)


def _counts(rows: int, shares: tuple[float, ...], values: tuple[str, ...], split: str) -> npt.NDArray[np.int64]:
    """Shares as whole numbers that add up to ``rows``; the largest remainders are rounded up."""
    if len(shares) != len(values) or abs(sum(shares) - 1.0) > 1e-9:
        raise SpecError(f"{split} = {list(shares)} must give one share for each of {', '.join(values)} and add up to 1")
    exact = np.asarray(shares) * rows
    counts = np.floor(exact + 1e-9).astype(np.int64)
    counts[np.argsort(counts - exact, kind="stable")[: rows - int(counts.sum())]] += 1
    return counts


def _owners(classes: tuple[str, ...], values: tuple[str, ...], own: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """The value that belongs to each label: as listed, else the labels in equal blocks."""
    if not own:
        return np.arange(len(classes)) * len(values) // len(classes)
    if len(own) != len(classes):
        raise SpecError(f"own lists {len(own)} values for {len(classes)} labels ({', '.join(classes)})")
    for value in own:
        if value not in values:
            raise SpecError(f"own: {value!r} is not among the values {', '.join(values)}")
    return np.asarray([values.index(value) for value in own])


def with_labels(
    source: Source,
    rng: np.random.Generator,
    *,
    merge: dict[str, list[str]] | None = None,
    noise: float = 0.0,
    noise_splits: tuple[str, ...] = ("train",),
) -> Source:
    """Merge classes and give a share of the rows another label, exactly ``round(noise * n)`` rows of each split."""
    labels, classes = source.labels, source.classes
    if merge:
        merged = [old for olds in merge.values() for old in olds]
        for old in merged:
            if old not in classes:
                raise SpecError(f"labels.merge: {source.name} has no class {old!r}; it has {', '.join(classes)}")
            if merged.count(old) > 1:
                raise SpecError(f"labels.merge names the class {old!r} twice")
        missing = [old for old in classes if old not in merged]
        if missing:
            raise SpecError(f"labels.merge leaves out the class {missing[0]!r} of {source.name}")
        target = {old: index for index, olds in enumerate(merge.values()) for old in olds}
        labels = np.asarray([target[old] for old in classes])[labels]
        classes = tuple(merge)
    labels = labels.copy()
    if noise and len(classes) < 2:
        raise SpecError(f"labels.noise = {noise:g} needs a second class; there is {', '.join(classes)} alone")
    for split in noise_splits if noise else ():
        rows = np.flatnonzero(source.split == split)
        if not len(rows):
            have = ", ".join(np.unique(source.split).tolist())
            raise SpecError(f"labels.noise_splits: {source.name} has no split {split!r}; it has {have}")
        noisy = rng.permutation(rows)[: round(noise * len(rows))]
        labels[noisy] = (labels[noisy] + rng.integers(1, len(classes), len(noisy))) % len(classes)
    return dataclasses.replace(source, labels=labels, classes=classes)


def limited(source: Source, limit: Mapping[str, int], rng: np.random.Generator, where: str) -> Source:
    """At most so many rows of a split, drawn with the labels in their shares; row order is kept."""
    kept = np.ones(len(source.labels), bool)
    for split, most in limit.items():
        rows = np.flatnonzero(source.split == split)
        if not len(rows):
            have = ", ".join(np.unique(source.split).tolist())
            raise SpecError(f"{where}: limit.{split}: {source.name} has no split {split!r}; it has {have}")
        # Rows in the order of a shuffled deal, one of each label in turn, weighted by how many there are: the first
        # `most` of it hold every label in its share, up to one row.
        shuffled = rng.permutation(rows)
        place = np.empty(len(rows))
        for label in np.unique(source.labels[shuffled]):
            mine = source.labels[shuffled] == label
            place[mine] = (np.arange(mine.sum()) + 0.5) / mine.sum()
        kept[shuffled[np.argsort(place, kind="stable")[most:]]] = False
    if kept.all():
        return source
    rows = np.flatnonzero(kept)
    images = ArrayImages(source.images.gather(torch.from_numpy(rows)).permute(0, 2, 3, 1).contiguous().numpy())
    return dataclasses.replace(source, images=images, labels=source.labels[rows], split=source.split[rows])


def unplanted(source: Source) -> Dataset:
    """A source as it is: no attribute, no twins, no masks."""
    return _start(source).replace(images=source.images)
