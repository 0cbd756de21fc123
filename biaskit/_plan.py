"""``biaskit plan``: from a small pilot to the number of seeds and images that would show a difference."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import pandas as pd

from biaskit import stats
from biaskit._audit import collect
from biaskit._compare import Progress, run_all
from biaskit._differences import linear_difference
from biaskit._train import machine
from biaskit.data import Dataset
from biaskit.errors import SpecError
from biaskit.evidence import Ground
from biaskit.measures import metrics_of
from biaskit.recipes import bind_arms

__all__ = ["IMAGE_SEEDS", "plan"]

#: Seeds for which the number of test images is planned: the default of a comparison.
IMAGE_SEEDS = 5


def plan(
    first: str,
    second: str,
    data: Dataset,
    *,
    effect: float = 0.01,
    pilot: int = 2,
    set: Sequence[str] = (),
    device: str | None = None,
    deterministic: bool = False,
    progress: Callable[[Progress], None] | None = None,
) -> pd.DataFrame:
    """How many seeds, or test images, would show a difference of two recipes with 80 % probability.

    The pilot estimates how much seeds and images scatter; its own difference is neither used nor shown, so that the
    plan does not become a look.

    Parameters
    ----------
    first, second : str
        Recipes.
    data : Dataset
    effect : float
        The difference of rates to find: 0.01 is one point.
    pilot : int
        Seeds of the pilot, at least 2; its runs are stored and used again by ``compare``.
    set, device, deterministic, progress
        As in :func:`biaskit.compare`.

    Returns
    -------
    DataFrame
        A row per verdict metric: metric, title, n, seeds (NaN where no number would do), images (with five
        seeds, NaN likewise), and ``detectable_S``, the smallest difference found with S = 3, 5, 10, 20 seeds.
    """
    if pilot < 2:
        raise SpecError(f"--pilot {pilot}: one seed shows no spread; take 2 or more")
    arms = bind_arms([first, second], data, set)
    seeds = list(range(pilot))
    where = machine(device, deterministic=deterministic)
    _, audits = run_all(arms, data, seeds, {}, where, progress)
    ground = Ground(data)
    a, b = (collect(arm.name, seeds, audits, ground) for arm in arms)
    metrics = [metric for metric in metrics_of(ground) if metric.verdict]
    rows = []
    for metric in metrics:
        d = linear_difference(metric.name, a, b, ground)
        if d is None:
            continue
        needed = stats.seeds_needed(d, effect, len(metrics))
        images = stats.images_needed(_with_seeds(d, IMAGE_SEEDS), effect, len(metrics))
        row = {
            "metric": metric.name,
            "title": metric.title,
            "n": d.n,
            "seeds": float("nan") if needed is None else needed,
            "images": float("nan") if images is None else images,
        }
        for count in (3, 5, 10, 20):
            row[f"detectable_{count}"] = stats.smallest_detectable(_with_seeds(d, count), len(metrics))
        rows.append(row)
    return pd.DataFrame(rows)


def _with_seeds(d: stats.Difference, seeds: int) -> stats.Difference:
    """The same spread, seen over another number of seeds."""
    se_seed = d.se_seed * (d.seeds / seeds) ** 0.5
    return dataclasses.replace(d, seeds=seeds, seeds_each=(seeds, seeds), df=seeds - 1, se_seed=se_seed)
