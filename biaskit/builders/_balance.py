"""What builders share that draw their own images: values that are known, and each as often as any other."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from biaskit.errors import SpecError, nearest

__all__ = ["balanced", "check_names", "even"]


def check_names(option: str, chosen: tuple[str, ...], known: tuple[str, ...], at_least: int) -> None:
    """Refuse names that are not known, stand twice, or are too few."""
    for name in chosen:
        if name not in known:
            raise SpecError(f"{option}: no {name!r}; {_nearest(name, known)}")
    if len(set(chosen)) != len(chosen) or len(chosen) < at_least:
        needed = "two or more different names" if at_least > 1 else "different names, at least one"
        raise SpecError(f"{option} must be {needed} of {', '.join(known)}; got {', '.join(chosen) or 'none'}")


def _nearest(name: str, known: tuple[str, ...]) -> str:
    close = nearest(name, known)
    return f"nearest: {', '.join(close)}" if close else f"there are {', '.join(known)}"


def even(rows: int, values: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Each value as often as any other, up to one row, in random order."""
    return rng.permutation(np.resize(rng.permutation(values), rows)).astype(np.int64)


def balanced(
    labels: npt.NDArray[np.int64], split: npt.NDArray[np.str_], values: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """A value for every row, each as often as any other in every split and label."""
    codes = np.empty(len(labels), np.int64)
    for part in ("train", "test"):
        for label in range(int(labels.max()) + 1):
            rows = np.flatnonzero((split == part) & (labels == label))
            codes[rows] = even(len(rows), values, rng)
    return codes
