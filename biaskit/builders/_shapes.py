from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from biaskit.builders._balance import balanced, check_names, even
from biaskit.builders._planting import Regime, Share, assign
from biaskit.builders._shapes_images import DRAWS, VALUES, ShapesImages, ShapesMasks, concepts_of
from biaskit.builders._shapes_objects import OBJECTS
from biaskit.data import TWIN, Dataset, coded
from biaskit.errors import SpecError

__all__ = ["shapes"]

_CLASSES = tuple(OBJECTS)
Attribute = Literal["", "color", "material", "texture", "scene", "position", "size"]
Count = Annotated[int, Field(ge=1, le=10_000_000)]


def shapes(
    source: None,
    rng: np.random.Generator,
    *,
    classes: tuple[str, ...] = _CLASSES,
    attribute: Attribute = "",
    regime: Regime = "correlated",
    train: tuple[Share, ...] = (),
    test: tuple[Share, ...] = (),
    own: tuple[str, ...] = (),
    train_images: Count = 3600,
    test_images: Count = 1200,
    size: Annotated[int, Field(ge=32, le=512)] = 48,
    colors: tuple[str, ...] = VALUES["color"],
    materials: tuple[str, ...] = VALUES["material"],
    textures: tuple[str, ...] = VALUES["texture"],
    scenes: tuple[str, ...] = VALUES["scene"],
    positions: tuple[str, ...] = VALUES["position"],
    sizes: tuple[str, ...] = VALUES["size"],
) -> Dataset:
    """Draw objects with parts before scenes; what is where is known for every pixel.

    The label is the object. Color, material (how it reflects), texture (the pattern), scene (the background), position
    and size are attributes: each value as often as any other in every split and label, independent of each other,
    except one that may be tied to the label. Shape, proportions, tilt, light and scenery vary besides.

    Parameters
    ----------
    source : None
        Nothing is read: a card with this builder has no ``[source]``.
    rng : numpy Generator
    classes : tuple of str
        Objects, nouns of WordNet: house, tree, car, fish, cup, umbrella, mushroom, sailboat, butterfly, rocket.
    attribute : str
        The one that is tied to the label; none if empty.
    regime : {'shift', 'correlated'}
        How the attribute is tied; see :func:`biaskit.builders.background_color`.
    train, test : tuple of float in [0, 1]
        *shift*: the share of each value. *correlated*: the strength; several for ``train`` make environments. Both are
        needed with ``attribute``, and neither is taken without.
    own : tuple of str
        *correlated*: the value that belongs to each label, in label order; default: labels in equal blocks.
    train_images, test_images : int
        Rows of each split, the labels equally often.
    size : int, pixels, at least 32
        Side of the images.
    colors, materials, textures, scenes, positions, sizes : tuple of str
        The values in use of each attribute; a single one is the same everywhere.

    Returns
    -------
    Dataset
        With twins of the test images (split ``twin``) if an attribute is tied: the same instance, drawn with another
        value. Masks: core is the object; spurious is what shows the tied attribute: the background for the scene, the
        parts in the object's own color for color and texture, the object for the material, no pixel for position and
        size. A pixel belongs to what most of it shows, so at a contour both sides have a share in its color. Concepts:
        a plane each of color, object, material, part, scene and texture.

    Raises
    ------
    SpecError
        Unknown classes or values, fewer than two classes, or strengths that do not fit.

    Examples
    --------
    >>> data = shapes(None, np.random.default_rng(0), train_images=20, test_images=10)
    >>> data.images.shape, data.attributes[:3], data.concepts.names[10:13]
    ((3, 48, 48), ('color', 'material', 'texture'), ('black', 'house', 'tree'))
    """
    if source is not None:
        raise SpecError("shapes draws its own images: it is the first builder of a card, which has no [source]")
    check_names("classes", classes, _CLASSES, at_least=2)
    values = dict(zip(VALUES, (colors, materials, textures, scenes, positions, sizes), strict=True))
    for name, chosen in values.items():
        check_names(f"{name}s", chosen, VALUES[name], at_least=2 if name == attribute else 1)
    if attribute and not (train and test):
        raise SpecError(f'attribute = "{attribute}" needs strengths: train = [...] and test = [...], each in [0, 1]')
    for key, given in (("train", train), ("test", test), ("own", own)):
        if given and not attribute:
            raise SpecError(f'{key} = {list(given)} ties an attribute to the label; say which: attribute = "scene"')

    split = np.repeat(["train", "test"], [train_images, test_images])
    labels = np.concatenate([even(count, len(classes), rng) for count in (train_images, test_images)])
    codes = np.stack([balanced(labels, split, len(chosen), rng) for chosen in values.values()], axis=1)
    column, environment = list(values).index(attribute) if attribute else -1, None
    if attribute:
        codes[:, column], environment = assign(
            labels, split, classes, rng, values=values[attribute], regime=regime, train=train, test=test, own=own
        )
    draws = rng.random((len(labels), DRAWS), dtype=np.float32)

    # A twin is its original with another value: all numbers that the picture is drawn from are the same.
    tested = np.flatnonzero(split == "test") if attribute else np.empty(0, np.int64)
    rows = np.concatenate([np.arange(len(labels)), tested])
    twins = np.arange(len(labels), len(rows))
    pair = np.full(len(rows), -1, np.int64)
    pair[tested], pair[twins] = twins, tested
    labels, codes, draws = labels[rows], codes[rows], draws[rows]
    if attribute:
        count = len(values[attribute])
        codes[twins, column] = (codes[twins, column] + rng.integers(1, count, len(twins))) % count

    table = pd.DataFrame({"label": coded(labels, classes)})
    for number, (name, chosen) in enumerate(values.items()):
        table[name] = coded(codes[:, number], chosen)
    if environment is not None:
        table["environment"] = environment.take(rows)
    is_twin = np.arange(len(rows)) >= len(split)
    kinds = ["test", "train", *([TWIN] if attribute else [])]
    table["split"] = coded(np.where(is_twin, 2, split[rows] == "train"), kinds)
    table["pair"] = pair
    table["swapped"] = coded(is_twin, ["", attribute] if attribute else [""])
    images = ShapesImages.drawn(size, classes, values, labels, codes, draws)
    return Dataset(
        images,
        table,
        group_by=(attribute,) if attribute else (),
        masks=ShapesMasks(images, attribute),
        concepts=concepts_of(images),
    )
