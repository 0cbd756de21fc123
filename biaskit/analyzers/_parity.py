from __future__ import annotations

import pandas as pd

from biaskit.analyzers._answers import test_counts
from biaskit.errors import DataError
from biaskit.results import Column, Result
from biaskit.subject import Subject

__all__ = ["parity"]

COLUMNS = (
    Column("attribute", "the attribute; all together where there are several", key=True),
    Column("n", "test images"),
    Column("demographic_parity_difference", "largest difference in how often a label is answered", "", "lower"),
    Column("demographic_parity_label", "the label that attains it"),
    Column("equalized_odds_difference", "largest difference in true or false positive rate", "", "lower"),
    Column("equalized_odds_label", "the label that attains it"),
    Column("equal_opportunity_difference", "largest difference in true positive rate", "", "lower"),
    Column("equal_opportunity_label", "the label that attains it"),
)


def parity(subject: Subject) -> Result:
    """Demographic parity, equalized odds and equal opportunity, each label against the rest.

    These measures are binary; for more labels each is taken against the rest and the largest difference is reported
    with its label. A rate without a denominator is NaN and takes part in no difference.

    Parameters
    ----------
    subject : Subject
        On a data set with attributes.

    Returns
    -------
    Result
        One row: over all combinations of the grouping attributes.

    Raises
    ------
    DataError
        The data set has no attribute.

    References
    ----------
    Hardt et al., arXiv 1610.02413; names and definitions of fairlearn.

    Examples
    --------
    >>> from biaskit import testing
    >>> subject = Subject(testing.reads("background"), testing.tiny(), device="cpu")
    >>> parity(subject).table["demographic_parity_difference"].tolist()
    [1.0]
    """
    if not subject.dataset.group_by:
        raise DataError(f"{subject.dataset.name} has no attribute to compare")
    counts = test_counts(subject)
    row: dict[str, object] = {"attribute": " x ".join(subject.dataset.group_by), "n": int(counts.n.sum())}
    for name in ("demographic_parity", "equalized_odds", "equal_opportunity"):
        found = getattr(counts, f"{name}_difference")()
        row[f"{name}_difference"], row[f"{name}_label"] = found.value, found.positive
    return Result("parity", pd.DataFrame([row], columns=[column.name for column in COLUMNS]), COLUMNS)
