"""An analyzer: how sure a model is of its answers, group by group."""

from __future__ import annotations

import pandas as pd
from scipy.stats import t as student

from biaskit import Column, Result, Subject

__all__ = ["confidence"]


def confidence(subject: Subject) -> Result:
    """Mean probability of the answer that is given, per group.

    Parameters
    ----------
    subject : Subject
        ``subject.test()`` are the rows that metrics read, ``subject.logits_of(rows)`` their logits, computed once for
        all analyzers.

    Returns
    -------
    Result
        A row per group of the full product; the confidence of a group without images is NaN, not 0.
    """
    dataset, rows = subject.dataset, subject.test()
    sure = subject.logits_of(rows).softmax(dim=1).amax(dim=1).numpy()
    names = ["label", *dataset.group_by]
    table = dataset.groups[names].copy()
    parts = [pd.Series(sure[dataset.group_ids[rows] == group], dtype=float) for group in range(len(table))]
    table["n"] = [len(one) for one in parts]
    table["confidence"] = [one.mean() for one in parts]
    half = [student.ppf(0.975, len(one) - 1) * one.sem() if len(one) > 1 else float("nan") for one in parts]
    table["low"] = (table["confidence"] - half).clip(lower=0)
    table["high"] = (table["confidence"] + half).clip(upper=1)
    columns = (
        Column("label", "the label", key=True),
        *(Column(name, "attribute", key=True) for name in dataset.group_by),
        Column("n", "test images of the group"),
        Column("confidence", "mean probability of the answer that is given", "share"),
        Column("low", "95 % t interval, this model and other images"),
        Column("high", "95 % t interval, this model and other images"),
    )
    return Result("confidence", table, columns)
