from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from pydantic import Field

from biaskit.builders._balance import balanced, check_names, even
from biaskit.builders._planting import Regime, Share, assign
from biaskit.builders._pose_images import AZIMUTH, ELEVATION, PoseImages, PoseMasks, PoseSpace
from biaskit.data import TWIN, Dataset, coded
from biaskit.errors import DataError, SpecError
from biaskit.render import JITTER, OBJECTS
from biaskit.rng import numpy_generator

__all__ = ["pose_shapes", "pose_space"]

_CLASSES = tuple(OBJECTS)
#: Sectors of the azimuth, 45 degrees each, and bands of the elevation.
SECTORS = tuple(f"{low}-{low + 45}" for low in range(0, 360, 45))
BANDS = {"level": (ELEVATION[0], 20.0), "raised": (20.0, 50.0), "above": (50.0, ELEVATION[1])}
Count = Annotated[int, Field(ge=1, le=10_000_000)]


def pose_shapes(
    source: None,
    rng: np.random.Generator,
    *,
    classes: tuple[str, ...] = _CLASSES,
    attribute: Literal["", "sector", "band"] = "",
    regime: Regime = "correlated",
    train: tuple[Share, ...] = (),
    test: tuple[Share, ...] = (),
    own: tuple[str, ...] = (),
    sectors: tuple[str, ...] = SECTORS,
    bands: tuple[str, ...] = tuple(BANDS),
    train_images: Count = 4000,
    test_images: Count = 1000,
    size: Annotated[int, Field(ge=16, le=512)] = 32,
) -> Dataset:
    """Render objects from known poses, some of which training may never see.

    The label is the object; ``sector`` is the eighth of a turn that its azimuth lies in, ``band`` its elevation. Every
    image is an instance with proportions of its own. In test every pose is as likely as any other; training sees the
    sectors and bands it is given, so that the region in which a model can be right is known.

    Parameters
    ----------
    source : None
        Nothing is read: a card with this builder has no ``[source]``.
    rng : numpy Generator
    classes : tuple of str
        Objects, nouns of WordNet: airplane, bench, bottle, chair, cone, cube, cup, doughnut, table, vase. Bottle, cone,
        doughnut and vase look the same from every azimuth.
    attribute : "", "sector" or "band"
        The one that is tied to the label; none if empty.
    regime, train, test, own
        As in `shapes`.
    sectors, bands : tuple of str
        What training sees where nothing is tied: ``"0-45"`` to ``"315-360"`` degrees of azimuth; level (-10 to 20
        degrees), raised (to 50), above (to 90). A tied one keeps all.
    train_images, test_images : int
        Rows of each split, the labels equally often.
    size : int, pixels
        Side of the images.

    Returns
    -------
    Dataset
        With twins of the test images if an attribute is tied: the same instance in another sector or band. Masks: core
        is the object. :func:`biaskit.pose_space` shows the same objects from any pose.

    Raises
    ------
    SpecError
        Unknown classes, sectors or bands, some left out of the tied one, or strengths that do not fit.

    References
    ----------
    In place of the renderings of ShapeNet in Hamdi & Ghanem, ECCV 2020.

    Examples
    --------
    >>> data = pose_shapes(None, np.random.default_rng(0), train_images=20, test_images=10, sectors=("0-45",))
    >>> data.images.shape, sorted(set(data.table["sector"][data.table["split"] == "train"]))
    ((3, 32, 32), ['0-45'])
    """
    if source is not None:
        raise SpecError("pose_shapes renders its own images: it is the first builder of a card, which has no [source]")
    check_names("classes", classes, _CLASSES, at_least=2)
    check_names("sectors", sectors, SECTORS, at_least=1)
    check_names("bands", bands, tuple(BANDS), at_least=1)
    if attribute and not (train and test):
        raise SpecError(f'attribute = "{attribute}" needs strengths: train = [...] and test = [...], each in [0, 1]')
    for key, told in (("train", train), ("test", test), ("own", own)):
        if told and not attribute:
            raise SpecError(f'{key} = {list(told)} ties an attribute to the label; say which: attribute = "sector"')

    values = {"sector": SECTORS, "band": tuple(BANDS)}
    given = {"sector": sectors, "band": bands}
    if attribute and len(given[attribute]) < len(values[attribute]):
        raise SpecError(f"{attribute} is tied to the label, and training sees all of them; leave out {attribute}s")

    split = np.repeat(["train", "test"], [train_images, test_images])
    labels = np.concatenate([even(count, len(classes), rng) for count in (train_images, test_images)])
    codes = {name: balanced(labels, split, len(known), rng) for name, known in values.items()}
    for name, seen in given.items():
        if len(seen) < len(values[name]):
            kept = np.asarray([values[name].index(one) for one in seen])
            drawn = balanced(labels, split, len(kept), rng)
            codes[name] = np.where(split == "train", kept[drawn % len(kept)], codes[name])
    environment = None
    if attribute:
        codes[attribute], environment = assign(
            labels, split, classes, rng, values=values[attribute], regime=regime, train=train, test=test, own=own
        )
    jitter = rng.uniform(-1.0, 1.0, (len(labels), JITTER))
    within = rng.random((len(labels), 2))

    # A twin is the same instance, at the same place within another sector or band.
    tested = np.flatnonzero(split == "test") if attribute else np.empty(0, np.int64)
    rows = np.concatenate([np.arange(len(labels)), tested])
    twins = np.arange(len(labels), len(rows))
    pair = np.full(len(rows), -1, np.int64)
    pair[tested], pair[twins] = twins, tested
    codes = {name: one[rows] for name, one in codes.items()}
    if attribute:
        count = len(values[attribute])
        codes[attribute][twins] = (codes[attribute][twins] + rng.integers(1, count, len(twins))) % count
    poses = np.stack([_azimuth(codes["sector"], within[rows, 0]), _elevation(codes["band"], within[rows, 1])], axis=1)

    table = pd.DataFrame({"label": coded(labels[rows], classes)})
    for name, known in values.items():
        table[name] = coded(codes[name], known)
    if environment is not None:
        table["environment"] = environment.take(rows)
    is_twin = np.arange(len(rows)) >= len(split)
    table["split"] = coded(
        np.where(is_twin, 2, split[rows] == "train"), ["test", "train", *([TWIN] if attribute else [])]
    )
    table["pair"] = pair
    table["swapped"] = coded(is_twin, ["", attribute] if attribute else [""])
    images = PoseImages(
        size,
        classes,
        torch.from_numpy(labels[rows]),
        torch.from_numpy(jitter[rows]).float(),
        torch.from_numpy(poses).float(),
    )
    return Dataset(images, table, group_by=(attribute or "sector",), masks=PoseMasks(images))


def pose_space(dataset: Dataset) -> PoseSpace:
    """The poses of a data set that ``pose_shapes`` made, from its card alone.

    Raises
    ------
    DataError
        Another builder made it, or its rows are not those of its card any more.

    Examples
    --------
    >>> from biaskit import build
    >>> data = build("pose-shapes", set=["builder.0.train_images=20", "builder.0.test_images=10"])
    >>> space = pose_space(data)
    >>> row = torch.tensor([25])
    >>> again = space.show(row, space.neutral(row)).mul(255).round()
    >>> bool((again - data.images.gather(row)).abs().max() <= 1)
    True
    """
    builders = dataset.card.get("builder", [])
    if len(builders) != 1 or builders[0].get("name") != "pose_shapes":
        raise DataError(f"{dataset.name} was not rendered by pose_shapes alone; its objects cannot be turned")
    images = _images_of(numpy_generator(int(dataset.card.get("seed") or 0), "builder", 0), builders[0])
    if len(images) != len(dataset) or (images.labels.numpy() != dataset.labels).any():
        raise DataError(f"{dataset.name} does not have the rows that its card makes; build it anew")
    return PoseSpace(images, {"azimuth": AZIMUTH, "elevation": ELEVATION})


def _images_of(rng: np.random.Generator, component: Mapping[str, Any]) -> PoseImages:
    """The images that the builder makes with these bound options: nothing is rendered until it is asked for."""
    options: dict[str, Any] = {key: tuple(one) if isinstance(one, list) else one for key, one in component.items()}
    del options["name"]
    found = pose_shapes(None, rng, **options).images
    assert isinstance(found, PoseImages)
    return found


def _azimuth(codes: npt.NDArray[np.int64], within: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Degrees: somewhere in the sector."""
    width = (AZIMUTH[1] - AZIMUTH[0]) / len(SECTORS)
    return np.asarray(AZIMUTH[0] + width * (codes + within))


def _elevation(codes: npt.NDArray[np.int64], within: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Degrees: somewhere in the band."""
    ends = np.asarray(list(BANDS.values()))[codes]
    return np.asarray(ends[:, 0] + (ends[:, 1] - ends[:, 0]) * within)
