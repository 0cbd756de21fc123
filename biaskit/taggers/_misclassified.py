from __future__ import annotations

import numpy as np
import pandas as pd

from biaskit.evaluation import evaluate
from biaskit.features import finite
from biaskit.subject import Subject

__all__ = ["misclassified"]


def misclassified(subject: Subject) -> pd.Series:
    """Mark the rows whose label the model does not answer.

    ``argmax_k F_k(x) != y``: the error set of Just Train Twice, where a network that was trained for a short time fails
    on the rows that its shortcut does not explain.

    Parameters
    ----------
    subject : Subject
        Every row is asked, the training rows as well: they are what is to be marked.

    Returns
    -------
    Series of bool
        One value per row of the data set, in its order; true is wrong.

    Raises
    ------
    UnsupportedModel
        Stored answers without a model, which are of the rows outside train alone; logits that are no numbers.

    References
    ----------
    Liu et al., Just Train Twice, arXiv 2107.09044, section 4, the error set of the identification model.

    Examples
    --------
    >>> from biaskit import testing
    >>> data = testing.tiny()
    >>> int(misclassified(Subject(testing.reads("label"), data)).sum())
    0
    >>> marked = misclassified(Subject(testing.reads("background"), data))  # left on blue and right on red
    >>> len(marked), int(marked.sum()), int((data.labels != data.table["color"].cat.codes).sum())
    (48, 20, 20)
    """
    data = subject.dataset
    logits = finite(evaluate(subject.model, data, np.arange(len(data)), subject.device), "images")
    return pd.Series(logits.argmax(dim=1).numpy() != data.labels, name="misclassified")
