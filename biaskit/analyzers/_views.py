"""Points in many dimensions as points on a plane, and these as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from biaskit.errors import MissingExtra
from biaskit.rng import scoped

__all__ = ["View", "check_views", "on_a_plane", "scatter"]

View = Literal["pca", "tsne", "umap"]
Points = npt.NDArray[np.float64]
#: Side of a picture, and how much finer it is drawn.
_SIDE, _FINER = 320, 3
_GRAY, _ORANGE, _BLUE = (150, 156, 164), (205, 96, 12), (10, 99, 176)


def check_views(views: Sequence[View]) -> None:
    """Raise MissingExtra now, not after the work, where a view needs a package that is not installed."""
    if "umap" in views:
        _umap()


def on_a_plane(points: Points, view: View) -> Points:
    """Points (n, K) in two dimensions, (n, 2); the same for the same points.

    ``pca``: the two directions of largest variance, each with its largest weight positive. ``tsne``: perplexity 30, or
    a third of the other points where there are fewer than 90. ``umap``: 15 neighbors, or all where there are fewer.

    Examples
    --------
    >>> cross = np.array([[3.0, 4.0, 0.0], [-3.0, -4.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, -1.0]])
    >>> abs(on_a_plane(cross, "pca")).round(6).tolist()
    [[5.0, 0.0], [5.0, 0.0], [0.0, 1.0], [0.0, 1.0]]
    """
    if view == "pca":
        centered = points - points.mean(axis=0)
        axes = np.linalg.svd(centered, full_matrices=False)[2][:2]
        largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=1)[:, None], axis=1)
        found = centered @ (axes * np.where(largest < 0, -1.0, 1.0)).T
        return np.asarray(np.pad(found, ((0, 0), (0, 2 - found.shape[1]))))
    # Both work in float32, whose squares end at 1.8e19; neither minds a shift or a scale.
    points = points - points.mean(axis=0)
    points /= float(np.abs(points).max()) or 1.0
    with scoped(0):
        if view == "tsne":
            from sklearn.manifold import TSNE

            start = "pca" if min(points.shape) >= 2 else "random"
            perplexity = min(30.0, (len(points) - 1) / 3)
            method = TSNE(perplexity=perplexity, init=start, random_state=0)
        else:
            method = _umap().UMAP(n_neighbors=min(15, len(points) - 1), random_state=0, n_jobs=1)
        return np.asarray(method.fit_transform(points.astype(np.float32)), np.float64)


def _umap() -> Any:
    try:
        import umap
    except ImportError as error:
        raise MissingExtra("the view umap needs umap-learn: pip install 'biaskit[umap]'") from error
    return umap


def scatter(plane: Points, copies: int) -> npt.NDArray[np.uint8]:
    """A picture (320, 320, 3) of points on a plane, both axes at one scale.

    The first point is a blue square, the next ``copies`` are orange triangles, all others gray dots.
    """
    side = _SIDE * _FINER
    image = Image.new("RGB", (side, side), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, side - 1, side - 1), outline=(212, 216, 221), width=_FINER)
    low, high = plane.min(axis=0), plane.max(axis=0)
    span = float((high - low).max()) or 1.0
    places = side / 2 + (plane - (low + high) / 2) / span * 0.88 * side
    places[:, 1] = side - places[:, 1]
    for x, y in places[1 + copies :]:
        r = 3 * _FINER
        draw.ellipse((x - r, y - r, x + r, y + r), fill=_GRAY, outline="white")
    # The image is below its copies, larger, so that both show where they coincide.
    (x, y), r = places[0], 7 * _FINER
    draw.rectangle((x - r, y - r, x + r, y + r), fill=_BLUE, outline="white", width=_FINER)
    for x, y in places[1 : 1 + copies]:
        r = 5 * _FINER
        corners = [(x, y - r), (x + r, y + r * 0.8), (x - r, y + r * 0.8)]
        draw.polygon(corners, fill=_ORANGE, outline="white", width=_FINER // 2)
    return np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS))
