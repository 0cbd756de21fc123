"""Is an accuracy under attack the model's, or the attack's? The checks that tell, each with its sentence."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from biaskit.analyzers._attacked import Attack, Bench, Bools, Outcome
from biaskit.analyzers._substitute import substitute_for
from biaskit.attacks._common import predicted
from biaskit.attacks._fgsm import fgsm
from biaskit.rng import torch_generator
from biaskit.stats import mcnemar

__all__ = ["in_255", "misuse", "percent"]

#: Half of the range of a pixel: almost any image can become almost any other.
LARGE = 128 / 255
#: Share of images that may stay right at the large epsilon, or have no gradient, before a check fails.
TOLERATED = 0.05
#: A weaker attack may fool more images than PGD by chance; beyond this p of an exact paired test it does.
LEVEL = 0.05
#: Images, at most, whose answers the substitute learns.
LEARNED = 2000


@dataclass(frozen=True)
class _Check:
    name: str
    passed: bool
    sentence: str

    def __str__(self) -> str:
        return f"Check {'passed' if self.passed else 'failed'}, {self.name}: {self.sentence}."


def misuse(bench: Bench, curve: Sequence[Outcome], steps: int) -> tuple[list[Outcome], list[str]]:
    """The attacks that the checks need, and the sentences of the checks, the verdict over all of them first.

    Parameters
    ----------
    bench : Bench
    curve : sequence of Outcome
        PGD at several epsilons, the one of the headline first.
    steps : int
        Of PGD.
    """
    headline, right = curve[0], bench.clean.correct
    if not right.any():
        return [], ["No image is answered right as it is: there is nothing to attack, and nothing to check."]
    epsilon = headline.epsilon
    large = bench.climb("large", max(LARGE, epsilon), steps, random_start=False)
    noise = bench.run("noise", _signs(bench, epsilon), right, epsilon=epsilon)
    single = bench.run(
        "fgsm",
        lambda images, labels: fgsm(bench.model, images, labels, _unread(), epsilon=epsilon, label="true"),
        right,
        epsilon=epsilon,
        steps=1,
    )
    transfer, learned, agreed = _through_a_substitute(bench, epsilon, steps)
    checks = [
        _reaches(large, bench.clean),
        _has_gradients(single, right),
        *([_falls(curve)] if len(curve) > 1 else []),
        _weaker("noise", noise, headline, f"random signs of {in_255(epsilon)} leave"),
        _weaker("single step", single, headline, "one step of the whole epsilon (FGSM) leaves"),
        _weaker(
            "transfer",
            transfer,
            headline,
            f"an attack on a substitute that learned the model's answers to {learned:,} images and agrees with it on "
            f"{percent(agreed)} of those attacked leaves",
        ),
    ]
    failed = [check.name for check in checks if not check.passed]
    verdict = (
        f"{len(failed)} of {len(checks)} checks failed ({', '.join(failed)}): do not read the accuracy under attack as "
        "robustness."
        if failed
        else f"All {len(checks)} checks of the attack passed."
    )
    return [noise, single, transfer, large], [verdict, *map(str, checks)]


def in_255(epsilon: float) -> str:
    """An amount as people write it.

    Examples
    --------
    >>> in_255(8 / 255), in_255(0.3)
    ('8/255', '0.3')
    """
    levels = epsilon * 255
    return f"{round(levels)}/255" if abs(levels - round(levels)) < 1e-6 else f"{epsilon:g}"


def percent(share: float) -> str:
    """``0.125`` as ``12.5 %``."""
    return f"{100 * share:.1f} %"


def _reaches(large: Outcome, clean: Outcome) -> _Check:
    passed = large.accuracy <= TOLERATED
    sentence = (
        f"at epsilon {in_255(large.epsilon)}, enough to turn almost any image into another, PGD leaves "
        f"{percent(large.accuracy)} of {len(large.correct):,} images right"
    )
    if not passed and large.accuracy == clean.accuracy:
        sentence += (
            ", as many as without an attack; nothing it does changes an answer: either the model ignores its input or "
            "its gradients are masked"
        )
    elif not passed:
        sentence += "; either the steps are too few or too short, or the gradients are masked"
    return _Check("large epsilon", passed, sentence)


def _has_gradients(single: Outcome, right: Bools) -> _Check:
    # One step along the sign of the gradient moves no pixel of an image whose gradient is zero.
    flat = int((right & ~single.moved).sum())
    passed = flat <= TOLERATED * right.sum()
    sentence = f"the loss has no gradient at {flat:,} of {int(right.sum()):,} images"
    if not passed:
        sentence += ", so no attack that follows it gets anywhere there: the loss is saturated or the graph is cut"
    return _Check("gradient", passed, sentence)


def _falls(curve: Sequence[Outcome]) -> _Check:
    ordered = sorted(curve, key=lambda one: one.epsilon)
    steps = list(itertools.pairwise(ordered))
    risen = [(one, two) for one, two in steps if _fools_more(one.correct, two.correct, LEVEL / len(steps))]
    if risen:
        listed = "; ".join(
            f"from {percent(one.accuracy)} at {in_255(one.epsilon)} to {percent(two.accuracy)} at {in_255(two.epsilon)}"
            for one, two in risen
        )
        return _Check("epsilon curve", False, f"accuracy rises {listed}, though the larger ball holds the smaller")
    listed = ", ".join(f"{percent(one.accuracy)} at {in_255(one.epsilon)}" for one in ordered)
    return _Check("epsilon curve", True, f"accuracy does not rise with epsilon ({listed})")


def _weaker(name: str, other: Outcome, headline: Outcome, words: str) -> _Check:
    passed = not _fools_more(other.correct, headline.correct, LEVEL)
    sentence = f"{words} {percent(other.accuracy)} right, PGD on the model itself {percent(headline.accuracy)}"
    if not passed:
        sentence += "; PGD misses what a weaker attack finds, so its gradients are masked or its steps too few"
    return _Check(name, passed, sentence)


def _fools_more(one: Bools, other: Bools, level: float) -> bool:
    """Whether the first attack leaves fewer images right than the second, by more than chance on these images."""
    only_one, only_other = int((~one & other).sum()), int((one & ~other).sum())
    return only_one > only_other and float(mcnemar(only_one, only_other)) < level


def _signs(bench: Bench, epsilon: float) -> Attack:
    """Noise at a random corner of the box: the strongest that knows nothing of the model."""
    generator = torch_generator(0, "robustness", "noise", device=bench.subject.device)

    def attack(images: Tensor, _: Tensor) -> Tensor:
        drawn = torch.randint(0, 2, images.shape, generator=generator, device=images.device)
        return (images + epsilon * (2.0 * drawn - 1.0)).clamp(0.0, 1.0)

    return attack


def _through_a_substitute(bench: Bench, epsilon: float, steps: int) -> tuple[Outcome, int, float]:
    """PGD on a substitute; how many images it learned from, and the share of the attacked on which it agrees."""
    network, learned = substitute_for(bench.subject, LEARNED)
    outcome = bench.climb("transfer", epsilon, steps, through=network)
    agreed = []
    places = bench.rows[bench.clean.correct]
    for rows, images in bench.subject.batches(places):
        answers = predicted(network, images).cpu().numpy()
        agreed.extend(answers == bench.subject.predictions(rows))
    return outcome, learned, sum(agreed) / len(agreed)


def _unread() -> torch.Generator:
    return torch.Generator()
