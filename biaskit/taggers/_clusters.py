from __future__ import annotations

from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field

from biaskit.attacks._options import checks_options
from biaskit.data import coded
from biaskit.rng import numpy_generator
from biaskit.subject import Subject
from biaskit.taggers._embedding import Embedding
from biaskit.taggers._partition import Method, Number, Partition, partition

__all__ = ["clusters"]


@checks_options
def clusters(
    subject: Subject,
    *,
    layer: str = "",
    method: Method = "kmeans",
    number: Number = 0,
    most: Annotated[int, Field(ge=2)] = 5,
    components: Annotated[int, Field(ge=1)] = 10,
    images: Annotated[int, Field(ge=1)] = 10_000,
) -> pd.Series:
    """Sort the rows of each label into clusters of what the model makes of them.

    Images of one label that a model tells apart all the same differ in something that is not the label: such as an
    attribute that nobody annotated. Within each label what goes into the model's head is standardized, turned to its
    principal components and clustered.

    Parameters
    ----------
    subject : Subject
        Needs the model.
    layer : str
        Another layer, as in :func:`biaskit.features.find_layer`, of whose maps the mean over positions is taken; or
        ``logits``. Empty: what goes into the last linear layer.
    method : {"kmeans", "gaussian"}
        k-means, or a mixture of Gaussians with diagonal covariances.
    number : int
        Clusters of each label. 0: chosen for each label by the silhouette (k-means, at least 2) or by BIC (gaussian).
    most : int
        Clusters of a label where their number is chosen. There is never more than one for ten images.
    components : int
        Principal components kept.
    images : int
        Training images that clusters are made from, drawn once; without a training split, images of any. All rows are
        sorted into them afterwards, a batch at a time.

    Returns
    -------
    Series of str
        One value per row of the data set, in its order, as a categorical: ``"1"`` is the largest cluster *of the row's
        label*, so that label and value together name a cluster. It can stand in a data set's table as an attribute.

    Raises
    ------
    UnknownName, SpecError
        A layer that is not there, or one of several.
    UnsupportedModel
        Without ``layer``, a model that has no linear layer; a layer that gives no numbers.

    References
    ----------
    Sohoni et al., No Subclass Left Behind, arXiv 2011.12945, section 4.1 (GEORGE): clusters of the features within each
    class, their number by the silhouette. They reduce by UMAP, which is random and an extra; principal components are
    ours.

    Examples
    --------
    >>> from biaskit import testing
    >>> data = testing.tiny(per_group=10)
    >>> found = clusters(Subject(testing.reads("background"), data), layer="logits", number=2)
    >>> left = data.labels == 0
    >>> sorted(set(zip(found[left], data.table["color"][left])))
    [('1', 'red'), ('2', 'blue')]
    """
    dataset = subject.dataset
    embedding = Embedding.of(subject, layer)
    rows = dataset.rows("train") if "train" in dataset.splits else np.arange(len(dataset))
    if len(rows) > images:
        rows = np.sort(numpy_generator(0, "clusters").choice(rows, images, replace=False))
    points, labels = embedding.array(rows), dataset.labels
    parts: list[Partition] = [
        partition(
            points[labels[rows] == label],
            method=method,
            number=number,
            most=most,
            components=components,
            purpose=f"clusters {label}",
        )
        for label in range(len(dataset.classes))
    ]
    codes = np.zeros(len(dataset), np.int64)
    for index, found in embedding.batches(np.arange(len(dataset))):
        for label in np.unique(labels[index]):
            mine = labels[index] == label
            codes[index[mine]] = parts[label].assign(found[mine])
    values = [str(one) for one in range(1, max(part.number for part in parts) + 1)]
    return pd.Series(coded(codes, values), name="clusters")
