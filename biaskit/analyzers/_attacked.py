"""Attacks on the test images of a subject, batch by batch, counted as the pointwise worst case."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from biaskit.attacks._common import predicted
from biaskit.attacks._pgd import pgd
from biaskit.errors import DataError
from biaskit.evaluation import EVAL_BATCH
from biaskit.rng import torch_generator
from biaskit.subject import Subject

__all__ = ["Attack", "Bench", "Bools", "Outcome"]

#: Batches that PGD gets at once.
POOL = 4

Bools = npt.NDArray[np.bool_]
#: Images (B, C, H, W) and their labels (B,) to attacked images.
Attack = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What an attack left: per image whether it is right as it is and under the attack.

    Attributes
    ----------
    attack : str
    epsilon : float
    steps, restarts : int
        Gradient passes per start, and starts; 0 where the attack has none.
    correct : bool array (n,)
    moved : bool array (n,)
        Images of which the attack changed a pixel.
    per_group : bool
        Whether groups get rows of their own.
    """

    attack: str
    epsilon: float
    steps: int
    restarts: int
    correct: Bools
    moved: Bools
    per_group: bool = False

    @property
    def accuracy(self) -> float:
        return float(self.correct.mean())


class _Anchored(nn.Module):
    """The model, with logits that hang on the pixels by a thread of weight 0.

    A model that cuts the graph, or reads no pixel, then has a gradient of 0, which the checks tell, where autograd
    would raise an error in the middle.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images.clone())  # it may write over what it is given
        return logits + 0.0 * images.flatten(1).sum(dim=1, keepdim=True)


class Bench:
    """The images under attack, and what the model makes of them.

    Parameters
    ----------
    subject : Subject
    rows : int array (n,)
        Test rows.
    pace : float
        The length of a step, of epsilon.
    """

    def __init__(self, subject: Subject, rows: npt.NDArray[np.int64], pace: float) -> None:
        if not len(rows):
            raise DataError(f"{subject.dataset.name} has no test images to attack")
        self.subject, self.rows, self.pace = subject, rows, pace
        self.labels = subject.dataset.labels[rows]
        self.model = _Anchored(subject.model)
        right = subject.predictions(rows) == self.labels
        self.clean = Outcome("clean", 0.0, 0, 0, right, np.zeros_like(right), per_group=True)

    def run(
        self, name: str, attack: Attack, standing: Bools, *, epsilon: float, steps: int = 0, restarts: int = 0,
        per_group: bool = False, batches: int = 1,
    ) -> Outcome:  # fmt: skip
        """Attack the images that still stand; what an attack gives back is shown to the model again.

        ``batches`` is how many of them an attack gets at once that divides them itself.
        """
        correct, moved = standing.copy(), np.zeros_like(standing)
        places = np.flatnonzero(standing)
        done = 0
        for rows, images in self.subject.batches(self.rows[places], batches * EVAL_BATCH) if len(places) else ():
            here = places[done : done + len(rows)]
            labels = torch.from_numpy(self.labels[here]).to(images.device)
            changed = attack(images, labels)
            answers = torch.cat([predicted(self.model, part) for part in torch.split(changed, EVAL_BATCH)])
            correct[here] = (answers == labels).cpu().numpy()
            moved[here] = (changed != images).flatten(1).any(dim=1).cpu().numpy()
            done += len(rows)
        return Outcome(name, epsilon, steps, restarts, correct, moved, per_group)

    def climb(
        self,
        name: str,
        epsilon: float,
        steps: int,
        restarts: int = 1,
        *,
        standing: Bools | None = None,
        through: nn.Module | None = None,
        random_start: bool = True,
        per_group: bool = False,
    ) -> Outcome:
        """PGD that leaves an image once it is wrong; ``through`` another network if that is given."""
        # A stream of its own for every attack and epsilon: leaving one out moves no other number.
        generator = torch_generator(0, "robustness", name, repr(epsilon), device=self.subject.device)
        model = self.model if through is None else through
        return self.run(
            name,
            lambda images, labels: pgd(
                model,
                images,
                labels,
                generator,
                epsilon=epsilon,
                step=min(1.0, self.pace * epsilon),
                steps=steps,
                restarts=restarts,
                random_start=random_start,
                early_exit=through is None,
            ),
            self.clean.correct if standing is None else standing,
            epsilon=epsilon,
            steps=steps,
            restarts=restarts if random_start else 0,
            per_group=per_group,
            # What leaves early makes room for others.
            batches=POOL if through is None else 1,
        )
