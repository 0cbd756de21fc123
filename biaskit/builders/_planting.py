"""What every builder shares: who gets which value, twins, and painting in batches."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Annotated, Literal, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from pydantic import Field
from torch import Tensor

from biaskit.data import CORE, SPURIOUS, TWIN, Dataset, Source, categorical, coded
from biaskit.errors import DataError, SpecError
from biaskit.images import IN_MEMORY, Images, as_array

__all__ = ["Paint", "Regime", "Share", "Shares", "assign", "plant"]

Share = Annotated[float, Field(ge=0, le=1)]
Shares = Annotated[tuple[Share, ...], Field(min_length=1)]
Regime = Literal["shift", "correlated"]


class Paint(Protocol):
    """How one builder draws its values.

    ``value`` is the brightness of the untouched image (the V of HSV), (B, 1, H, W); ``codes`` the attribute value of
    each image, ``phase`` one uniform number each, which a twin shares with its image.
    """

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
        images = self.base.gather(self.rows[index]).float().div_(255.0).expand(-1, 3, -1, -1)
        value = images.amax(dim=1, keepdim=True)
        for layer in self.layers:
            images = layer.paint(images, value, layer.codes[index], layer.phase[index])
        painted = images.mul(255.0).round_().clamp_(0, 255).to(torch.uint8)
        return painted.contiguous(memory_format=torch.channels_last)


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
        base = self.images.base.gather(self.images.rows[index])
        value = base.amax(dim=1, keepdim=True).float().div_(255.0)
        core = value > 0.5
        spurious = torch.zeros_like(core)
        for layer in self.images.layers:
            marked, hidden = layer.paint.marks(value, layer.codes[index])
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
    if attribute in table.columns:
        raise SpecError(f"two builders plant an attribute called {attribute!r}; give one another name")
    split: npt.NDArray[np.str_] = np.asarray(table["split"].astype(str), dtype=np.str_)
    labels = start.labels
    codes, environment = assign(
        labels, split, start.classes, rng, values=values, regime=regime, train=train, test=test, own=own
    )
    pair = table["pair"].to_numpy(np.int64)
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
    grown["split"] = categorical("split", np.concatenate([split, [TWIN] * len(tested)]), len(rows))
    before = grown["swapped"].astype(str).to_numpy().copy()
    before[new] = attribute
    grown["swapped"] = pd.Categorical(
        before, categories=["", *(n for n in (*start.attributes, attribute) if n in set(before))]
    )
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
    """Painted images held in memory where they fit; larger sets go on being painted when asked for."""
    images, masks = dataset.images, dataset.masks
    size = len(images) * int(np.prod(images.shape))
    if size > IN_MEMORY or not isinstance(images, Rendered):
        return dataset
    return dataset.replace(images=as_array(images), masks=as_array(masks) if masks is not None else None)


def _start(source: Source | Dataset) -> Dataset:
    """A source as a Dataset whose images can take layers."""
    if isinstance(source, Dataset):
        if isinstance(source.images, Rendered):
            return source
        return source.replace(images=Rendered(source.images, torch.arange(len(source)), ()))
    table = pd.DataFrame(
        {
            "label": coded(source.labels, source.classes),
            "split": categorical("split", source.split, len(source.labels)),
            "pair": np.full(len(source.labels), -1, np.int64),
            "swapped": pd.Categorical([""] * len(source.labels)),
        }
    )
    return Dataset(Rendered(source.images, torch.arange(len(source.images)), ()), table)


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
    return codes, categorical("environment", environments.tolist(), len(labels))


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
        target = {old: index for index, olds in enumerate(merge.values()) for old in olds}
        for old in target:
            if old not in classes:
                raise DataError(f"labels.merge: {source.name} has no class {old!r}; it has {', '.join(classes)}")
        missing = [old for old in classes if old not in target]
        if missing:
            raise DataError(f"labels.merge leaves out the class {missing[0]!r} of {source.name}")
        labels = np.asarray([target[old] for old in classes])[labels]
        classes = tuple(merge)
    labels = labels.copy()
    for split in noise_splits if noise else ():
        rows = np.flatnonzero(source.split == split)
        noisy = rng.permutation(rows)[: round(noise * len(rows))]
        labels[noisy] = (labels[noisy] + rng.integers(1, len(classes), len(noisy))) % len(classes)
    return dataclasses.replace(source, labels=labels, classes=classes)
