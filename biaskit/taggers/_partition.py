"""Clusters of points, how many there are, and where further points belong."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from biaskit.representation import Floats, scaling
from biaskit.rng import derive, numpy_generator

__all__ = ["SMALLEST", "Method", "Number", "Partition", "partition"]

Ints = npt.NDArray[np.int64]
Method = Literal["kmeans", "gaussian"]
#: 0: as many as fit best.
Number = Literal[0] | Annotated[int, Field(ge=2)]
#: Points for each cluster that is looked for, at least.
SMALLEST = 10
#: Points of which the silhouette is taken, at most: it compares all pairs.
_JUDGED = 1000
#: Starts of k-means and of the mixture, of which the best is kept.
_STARTS = {"kmeans": 10, "gaussian": 3}


@dataclass(frozen=True, eq=False)
class Partition:
    """A division of a space into clusters, the largest first.

    Attributes
    ----------
    number : int
        How many there are; 1 where the points leave no choice.
    """

    number: int
    _scale: tuple[Floats, Floats] | None = None
    _turn: Any = None
    _model: Any = None
    _order: Ints | None = None

    def assign(self, points: npt.NDArray[np.floating[Any]]) -> Ints:
        """The cluster of each of some points (n, D), 0 the largest of those that it was made from."""
        if self._scale is None or self._order is None or not len(points):
            return np.zeros(len(points), np.int64)
        mean, factor = self._scale
        found: Ints = self._order[self._model.predict(self._turn.transform((points - mean) * factor))]
        return found


def partition(
    points: npt.NDArray[np.floating[Any]],
    *,
    method: Method = "kmeans",
    number: Number = 0,
    most: int = 5,
    components: int = 10,
    purpose: str = "",
) -> Partition:
    """Find clusters: every feature standardized, the first principal components, then k-means or a Gaussian mixture.

    Of several numbers of clusters k-means takes that of the largest mean silhouette, ``(b - a) / max(a, b)`` with the
    mean distances a to the own cluster and b to the next, among 2, 3, ...; the mixture, with a diagonal covariance for
    each component, that of the smallest BIC among 1, 2, .... There is never a cluster more than one per ten points.

    Parameters
    ----------
    points : array (n, D)
    method : {"kmeans", "gaussian"}
    number : int
        Of clusters; 0: at most ``most``, chosen.
    most, components : int
    purpose : str
        Names the stream of random numbers; the same points and purpose give the same clusters.

    Returns
    -------
    Partition

    References
    ----------
    Rousseeuw 1987, J Comput Appl Math 20:53 (silhouette); Schwarz 1978, Ann Stat 6:461 (BIC).

    Examples
    --------
    >>> points = np.repeat([[0.0, 0.0], [0.0, 8.0], [9.0, 0.0]], [30, 20, 10], axis=0)
    >>> found = partition(points + np.random.default_rng(0).normal(size=(60, 2)))
    >>> found.number, found.assign(np.asarray([[0.0, 0.0], [9.0, 0.0]])).tolist()
    (3, [0, 2])
    """
    from sklearn.decomposition import PCA

    if len(points) < 2 * SMALLEST:
        return Partition(1)
    mean, factor = scaling(points)
    standard = (points - mean) * factor
    if not factor.any():
        return Partition(1)
    seed = derive(0, "partition", purpose)
    turn = PCA(min(components, *standard.shape), random_state=seed % 2**32).fit(standard)
    turned = turn.transform(standard)
    # Standardized points are apart by about 1: those that agree to a millionth are one place.
    limit = min(len(points) // SMALLEST, len(np.unique(turned.round(6), axis=0)))
    first = 2 if method == "kmeans" else 1
    wanted = range(first, most + 1) if number == 0 else (number,)
    candidates = sorted({min(one, limit) for one in wanted})
    if candidates[-1] < 2:
        return Partition(1)
    model = _best(turned, method, [one for one in candidates if one >= first], seed)
    codes = model.predict(turned)
    clusters = _clusters(model)
    order = np.empty(clusters, np.int64)
    order[np.argsort(-np.bincount(codes, minlength=clusters), kind="stable")] = np.arange(clusters)
    return Partition(clusters, (mean, factor), turn, model, order)


def _clusters(model: Any) -> int:
    return int(model.get_params()["n_clusters" if "n_clusters" in model.get_params() else "n_components"])


def _best(points: Floats, method: Method, candidates: Sequence[int], seed: int) -> Any:
    """The fitted model of the number of clusters that fits best; of equal ones the smallest."""
    fitted = [_fitted(points, method, number, seed) for number in candidates]
    if len(fitted) == 1:
        return fitted[0]
    if method == "gaussian":
        return min(fitted, key=lambda one: float(one.bic(points)))
    some = numpy_generator(seed, "silhouette").permutation(len(points))[:_JUDGED]
    return max(fitted, key=lambda one: _silhouette(points[some], one.predict(points[some])))


def _fitted(points: Floats, method: Method, number: int, seed: int) -> Any:
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    state, starts = seed % 2**32, _STARTS[method]
    model = (
        KMeans(number, n_init=starts, random_state=state)
        if method == "kmeans"
        else GaussianMixture(number, covariance_type="diag", n_init=starts, random_state=state)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(points)


def _silhouette(points: Floats, codes: Ints) -> float:
    """The mean silhouette; -1 where all points are in one cluster, or each in its own."""
    from sklearn.metrics import silhouette_score

    return float(silhouette_score(points, codes)) if 1 < len(np.unique(codes)) < len(codes) else -1.0
