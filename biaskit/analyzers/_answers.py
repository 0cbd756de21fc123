"""The test answers of a subject as the table that the metrics count."""

from __future__ import annotations

from biaskit.data import coded
from biaskit.metrics import GroupCounts, count_groups
from biaskit.subject import Subject

__all__ = ["test_counts"]


def test_counts(subject: Subject) -> GroupCounts:
    """Label x prediction x grouping attributes of the test rows."""
    dataset, rows = subject.dataset, subject.test()
    table = dataset.table.iloc[rows][["label", *dataset.group_by]].copy()
    table["prediction"] = coded(subject.predictions(rows), dataset.classes)
    return count_groups(table, list(dataset.group_by))


test_counts.__test__ = False  # type: ignore[attr-defined]
