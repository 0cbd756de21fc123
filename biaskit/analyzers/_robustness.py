from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field

from biaskit.analyzers._attacked import Bench, Outcome
from biaskit.analyzers._autoattack import ENOUGH_LABELS, autoattack_package
from biaskit.analyzers._autoattack import autoattack as run_autoattack
from biaskit.analyzers._groups import group_columns, grouped
from biaskit.analyzers._robustness_checks import in_255, misuse, percent
from biaskit.attacks._options import Epsilon, checks_options
from biaskit.results import Column, Result
from biaskit.stats import wilson
from biaskit.subject import Subject

__all__ = ["robustness"]

KEYS = (
    Column("attack", "what was done to the images; clean = nothing", key=True),
    Column("epsilon", "how far a pixel may move, of 1", key=True),
    Column("steps", "gradient passes per start", key=True),
    Column("restarts", "random starts per image", key=True),
)
MEASURES = (
    Column("n", "images"),
    Column("accuracy", "share right as they are and under the attack", "share", "higher"),
    Column("low", "95 % Wilson interval, this model and other images"),
    Column("high", "95 % Wilson interval, this model and other images"),
)


@checks_options
def robustness(
    subject: Subject,
    *,
    epsilon: Annotated[Epsilon, Field(gt=0)] = 8 / 255,
    step: Annotated[Epsilon, Field(gt=0)] = 2 / 255,
    steps: Annotated[int, Field(ge=1)] = 10,
    strong_steps: Annotated[int, Field(ge=1)] = 50,
    restarts: Annotated[int, Field(ge=0)] = 2,
    epsilons: tuple[Epsilon, ...] = (1 / 255, 2 / 255, 4 / 255, 8 / 255, 16 / 255),
    images: Annotated[int, Field(ge=1)] = 1000,
    checks: bool = True,
    autoattack: bool = False,
) -> Result:
    """Accuracy under attack, per group, with a stronger attack and the checks that tell robust from hard to attack.

    Every accuracy is a pointwise worst case, ``mean_i 1[F(x_i) = y_i and F(x'_i) = y_i]``: an image counts as right
    only if it is answered right both as it is and under the attack; images already wrong are not attacked. The images
    given back by an attack are shown to the model again, and that answer counts.

    Parameters
    ----------
    subject : Subject
        Needs the model.
    epsilon : float in (0, 1], or a fraction such as "8/255"
        How far a pixel may move, in pixel units.
    step : float in (0, 1], or a fraction
        How far one step moves it; at another epsilon of the curve in proportion.
    steps : int
        Gradient passes of ``pgd``, one random start.
    strong_steps, restarts : int
        Of ``pgd-strong``, which goes on with the images that ``pgd`` left; its accuracy is the worst case of both. No
        restarts leave it out; on a robust model they take most of the time.
    epsilons : tuple of float or fraction
        The curve: ``pgd`` with each of them, from the clean images and not from one another.
    images : int
        Test images looked at, drawn once for all arms and seeds.
    checks : bool
        Run the checks of misuse, whose sentences stand in the notes: at epsilon 128/255 hardly an image stays right;
        accuracy never rises with epsilon; random noise, a single step (``fgsm``) and an attack on another network
        (``transfer``) are no stronger than ``pgd``; every image has a gradient. Where one fails, the attack did not
        find what is there, and its accuracy is no robustness.
    autoattack : bool
        Also the standard AutoAttack, on the images that the attacks before it left: some minutes for 100 images. Needs
        the extra ``autoattack``.

    Returns
    -------
    Result
        ``clean``, ``pgd`` and ``pgd-strong`` over all images and per group, the rest over all. ``samples`` has ``row``,
        ``attack``, ``epsilon`` and ``correct`` per image.

    Raises
    ------
    SpecError
        An epsilon or step outside (0, 1]: with 0 nothing is attacked, and ``clean`` says how many are right then.
    MissingExtra
        AutoAttack without its package.

    References
    ----------
    Wu et al., arXiv 2011.09789, Table 2: ``clean`` and ``pgd`` with the defaults. Madry et al., arXiv 1706.06083.
    Checks after Athalye et al., arXiv 1802.00420, section 3.1, and Carlini et al., arXiv 1902.06705. The group rows and
    the pointwise worst case are ours.

    Examples
    --------
    >>> from biaskit import testing
    >>> subject = Subject(testing.reads("label"), testing.tiny(), device="cpu")
    >>> table = robustness(subject, epsilon="64/255", step="16/255", epsilons=(), checks=False).table
    >>> table[table["label"] == "all"].set_index("attack")["accuracy"].to_dict()
    {'clean': 1.0, 'pgd': 1.0, 'pgd-strong': 1.0}
    """
    if autoattack:
        autoattack_package()  # says what is missing before minutes of other attacks
    bench = Bench(subject, subject.sample(images, "robustness"), step / epsilon)
    outcomes = [bench.clean, bench.climb("pgd", epsilon, steps, per_group=True)]
    notes = []
    if restarts:
        standing = outcomes[-1].correct
        outcomes.append(bench.climb("pgd-strong", epsilon, strong_steps, restarts, standing=standing, per_group=True))
        notes.append(_strong_note(outcomes[1], outcomes[2]))
    others = [bench.climb("pgd", one, steps) for one in sorted(set(epsilons) - {epsilon})]
    outcomes += others
    if checks:
        found, told = misuse(bench, [outcomes[1], *others], steps)
        outcomes += found
        notes = [*told, *notes]
    if autoattack:
        before = outcomes[2 if restarts else 1]
        outcomes.append(_autoattack(bench, before))
        notes.append(_autoattack_note(outcomes[-1], before, len(subject.dataset.classes)))
    columns = (*KEYS, *group_columns(subject.dataset), *MEASURES)
    table = [row for one in outcomes for row in _rows(one, bench)]
    samples = [
        pd.DataFrame({"row": bench.rows, "attack": one.attack, "epsilon": one.epsilon, "correct": one.correct})
        for one in outcomes
    ]
    options: dict[str, Any] = {
        "epsilon": epsilon,
        "step": step,
        "steps": steps,
        "strong_steps": strong_steps,
        "restarts": restarts,
        "epsilons": epsilons,
        "images": images,
        "checks": checks,
        "autoattack": autoattack,
    }
    return Result(
        "robustness",
        pd.DataFrame(table, columns=[column.name for column in columns]),
        columns,
        options,
        pd.concat(samples, ignore_index=True),
        notes=tuple(notes),
    )


def _rows(outcome: Outcome, bench: Bench) -> Iterator[dict[str, Any]]:
    """All images, then every group where the attack is read per group; a group without images has NaN."""
    keys = {
        "attack": outcome.attack,
        "epsilon": outcome.epsilon,
        "steps": outcome.steps,
        "restarts": outcome.restarts,
    }
    for names, mine in grouped(bench.subject.dataset, bench.rows):
        n, right = int(mine.sum()), int(outcome.correct[mine].sum())
        low, high = wilson(right, n)
        accuracy = right / n if n else np.nan
        yield {**keys, **names, "n": n, "accuracy": accuracy, "low": float(low), "high": float(high)}
        if not outcome.per_group:
            return


def _strong_note(pgd: Outcome, strong: Outcome) -> str:
    note = (
        f"At {in_255(pgd.epsilon)}, {pgd.steps} steps from one start leave {percent(pgd.accuracy)} right; "
        f"{strong.steps} more from each of {strong.restarts} starts leave {percent(strong.accuracy)}"
    )
    lost = pgd.accuracy - strong.accuracy
    return f"{note}: the first overstates robustness by {100 * lost:.1f} points." if lost else f"{note}, the same."


def _autoattack(bench: Bench, before: Outcome) -> Outcome:
    epsilon, classes = before.epsilon, len(bench.subject.dataset.classes)
    return bench.run(
        "autoattack",
        lambda images, labels: run_autoattack(bench.model, images, labels, epsilon=epsilon, classes=classes),
        before.correct,
        epsilon=epsilon,
    )


def _autoattack_note(found: Outcome, before: Outcome, classes: int) -> str:
    note = (
        f"AutoAttack at {in_255(found.epsilon)} leaves {percent(found.accuracy)} right, the attacks before it "
        f"{percent(before.accuracy)}."
    )
    if classes < ENOUGH_LABELS:
        note += f" With {classes} labels its targeted APGD is not defined and was left out."
    return note
