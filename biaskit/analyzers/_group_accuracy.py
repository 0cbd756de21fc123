from __future__ import annotations

from biaskit.analyzers._answers import test_counts
from biaskit.results import Column, Result
from biaskit.subject import Subject

__all__ = ["group_accuracy"]


def group_accuracy(subject: Subject) -> Result:
    """Accuracy of every group of label and attributes, with n and interval; empty groups keep their row.

    Parameters
    ----------
    subject : Subject

    Returns
    -------
    Result
        A row per group of the full product. A group without images has NaN, one of fewer than ten the note
        ``insufficient (n=..)``: neither is dropped, and neither is counted as 0 or 1.

    References
    ----------
    Sagawa et al., arXiv 1911.08731, for groups; Wilson 1927, JASA 22:209, for the interval.

    Examples
    --------
    >>> from biaskit import testing
    >>> subject = Subject(testing.reads("background"), testing.tiny(), device="cpu")
    >>> group_accuracy(subject).table[["label", "color", "n", "accuracy"]].values.tolist()
    [['left', 'red', 4, 1.0], ['left', 'blue', 4, 0.0], ['right', 'red', 4, 0.0], ['right', 'blue', 4, 1.0]]
    """
    table = test_counts(subject).accuracy_table()
    columns = (
        Column("label", "the label", key=True),
        *(Column(name, "attribute", key=True) for name in subject.dataset.group_by),
        Column("n", "test images of the group"),
        Column("correct", "of them answered right"),
        Column("accuracy", "share of right answers", "", "higher"),
        Column("low", "95 % Wilson interval, this model and other images"),
        Column("high", "95 % Wilson interval, this model and other images"),
        Column("note", "why a number should not be read as one"),
    )
    return Result("group_accuracy", table, columns)
