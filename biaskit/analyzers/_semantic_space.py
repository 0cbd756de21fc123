"""Where images may move for the semantic analyzers, and the confidence of a model there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from biaskit.data import Dataset
from biaskit.errors import SpecError, UnknownName, UnsupportedModel
from biaskit.semantic import PARAMETERS, Padding, SemanticTransform, Space
from biaskit.subject import Subject

__all__ = ["Confident", "space_of"]


class _Pictures:
    """The images of a data set under a transform of plain images."""

    def __init__(self, dataset: Dataset, transform: SemanticTransform) -> None:
        self._dataset, self._transform = dataset, transform
        self.ranges = transform.ranges
        self.units = {name: PARAMETERS[name].unit for name in transform.names}
        moved = [name for name in transform.names if name in ("rotation", "translate_x", "translate_y", "scale")]
        self.note = f"{' and '.join(moved)}: outside the image lies its {transform.padding}" if moved else ""

    def neutral(self, rows: Tensor) -> Tensor:
        return self._transform.neutral.expand(len(rows), -1)

    def show(self, rows: Tensor, u: Tensor) -> Tensor:
        # A search asks for the same few images at many points.
        distinct, place = torch.unique(rows.cpu(), return_inverse=True)
        images = self._dataset.images.gather(distinct).to(u.device).float().div_(255.0)
        return self._transform(images.expand(-1, 3, -1, -1)[place.to(u.device)], u)


def space_of(
    dataset: Dataset, parameters: Sequence[str], ranges: Mapping[str, tuple[float, float]], padding: Padding
) -> Space:
    """The space of the named parameters: of poses where the data set can be rendered anew, else of plain images.

    Raises
    ------
    UnknownName
        A parameter that this data set does not have.
    SpecError
        Poses and transforms of plain images at once; a range of a parameter that is not asked for.
    """
    foreign = [name for name in ranges if name not in parameters]
    if foreign:
        raise SpecError(f"ranges: {foreign[0]} is not among the parameters {', '.join(parameters)}")
    poses = _poses(dataset)
    asked = [name for name in parameters if poses is not None and name in poses.ranges]
    if asked and len(asked) < len(parameters):
        other = next(name for name in parameters if name not in asked)
        raise SpecError(f"{asked[0]} is rendered and {other} is not; take parameters of one kind")
    if asked:
        space: Space = poses.restricted(parameters, ranges)
        return space
    unknown = [name for name in parameters if name not in PARAMETERS]
    if unknown:
        raise UnknownName("semantic parameter", unknown[0], [*PARAMETERS, *(poses.ranges if poses is not None else ())])
    chosen = {name: ranges.get(name, (PARAMETERS[name].low, PARAMETERS[name].high)) for name in parameters}
    if len(chosen) < len(parameters):
        twice = next(name for name in parameters if list(parameters).count(name) > 1)
        raise SpecError(f"the semantic parameter {twice} stands twice")
    return _Pictures(dataset, SemanticTransform(chosen, padding=padding))


def _poses(dataset: Dataset) -> Any:
    """The poses of a data set whose objects were rendered; None for any other."""
    if any(one.get("name") == "pose_shapes" for one in dataset.card.get("builder", [])):
        from biaskit.builders._pose_shapes import pose_space

        return pose_space(dataset)
    return None


class Confident:
    """The softmax probability of the label, of rows at points: what maps and regions read.

    Parameters
    ----------
    subject : Subject
    space : Space
    rows : int64 Tensor (J,)
        The rows of the data set that jobs are about.
    """

    def __init__(self, subject: Subject, space: Space, rows: Tensor) -> None:
        self._model, self._space = subject.model, space
        self._rows = rows
        self._labels = torch.from_numpy(subject.dataset.labels)[rows].to(subject.device)
        self._channels = subject.dataset.images.shape[0]

    def logits(self, jobs: Tensor, u: Tensor) -> Tensor:
        """Logits (m, K) of jobs (m,) at points (m, n)."""
        images = self._space.show(self._rows[jobs.cpu()], u)[:, : self._channels]
        found: Tensor = self._model(images).float()
        if found.ndim != 2:
            raise UnsupportedModel(f"the model gives outputs of shape {tuple(found.shape[1:])} per image, not logits")
        return found

    def __call__(self, jobs: Tensor, u: Tensor) -> Tensor:
        """The probability of the label, (m,); NaN where the model gives that."""
        shares = self.logits(jobs, u).softmax(dim=1)
        return shares.gather(1, self._labels[jobs.to(shares.device)][:, None])[:, 0]

    def answers(self, jobs: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """The probability of the label, (m,), and whether it is the answer, (m,)."""
        logits = self.logits(jobs, u)
        labels = self._labels[jobs.to(logits.device)]
        shares = logits.softmax(dim=1).gather(1, labels[:, None])[:, 0]
        return shares, (logits.argmax(dim=1) == labels) & logits.isfinite().all(1)
