"""Whether a model does better than no model at all: what an audit says before anything else."""

from __future__ import annotations

from collections import Counter

from biaskit.telling.numbers import ASCII, Numbers
from biaskit.telling.words import ACCURACY, Result, headline

__all__ = ["chance"]


#: What to do about it where a model was opened with assumptions.
_REMEDY = " Before all else, check what is assumed of the model and its labels (--labels)."


def chance(result: Result, numbers: Numbers = ASCII, *, of: str = "test image", remedy: str = _REMEDY) -> str | None:
    """Say that a model is no better than always answering the most frequent label; None where it is.

    That is so where the 95 % interval of its accuracy contains the share of that label among the test images, or lies
    below it.

    Parameters
    ----------
    result : mapping
        The result of an audit or a score.
    numbers : Numbers
        How numbers are written.
    of, remedy : str
        What was answered, in the singular; and a last sentence.

    Returns
    -------
    str or None

    Examples
    --------
    >>> row = {"arm": "m", "metric": "average_accuracy", "value": 0.5, "low": 0.28, "high": 0.72}
    >>> groups = [{"label": "cat", "n": 12}, {"label": "dog", "n": 8}]
    >>> chance({"arms": [{"name": "m"}], "headline": [row], "groups": groups})[:45]
    'Accuracy is not above chance: 50.0 % [28.0, 7'
    """
    row = headline(result, ACCURACY, result["arms"][0]["name"])
    sizes: Counter[str] = Counter()
    for group in result["groups"]:
        sizes[group["label"]] += group["n"]
    if row is None or row["low"] is None or not sizes.total():
        return None
    label, most = sizes.most_common(1)[0]
    share = most / sizes.total()
    if row["low"] > share:
        return None
    value, low, high = numbers.of(row["value"], "%", low=row["low"], high=row["high"])
    what = "below chance" if row["high"] < share else "not above chance"
    return (
        f"Accuracy is {what}: {value} % [{low}, {high}] of {numbers.counted(sizes.total(), of)}, where "
        f"always answering {label} is right for {numbers.percent(share)}.{remedy}"
    )
