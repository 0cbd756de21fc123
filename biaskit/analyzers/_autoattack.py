"""AutoAttack from the package pyautoattack, on one batch, with everything it touches put back."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from biaskit.attacks._common import evaluating
from biaskit.errors import MissingExtra
from biaskit.rng import scoped

__all__ = ["ENOUGH_LABELS", "autoattack", "autoattack_package"]

#: Fewer labels have no targeted difference of logits ratio.
ENOUGH_LABELS = 4
TARGETS = 9


def autoattack_package() -> Any:
    """The module ``pyautoattack``.

    Raises
    ------
    MissingExtra
    """
    try:
        return importlib.import_module("pyautoattack")
    except ImportError:
        raise MissingExtra("AutoAttack needs the package pyautoattack: pip install 'biaskit[autoattack]'") from None


def autoattack(model: nn.Module, images: Tensor, labels: Tensor, *, epsilon: float, classes: int) -> Tensor:
    """The worst images that the standard version of AutoAttack finds within epsilon, in the largest norm.

    APGD on cross-entropy, targeted APGD on the difference of logits ratio, targeted FAB, Square with 5,000 queries, one
    after the other, each on the images that still stand. The targets are the nine most likely other labels, or as many
    as there are. Below four labels the ratio is not defined and its attack is left out.

    References
    ----------
    Croce & Hein, arXiv 2003.01690.
    """
    version = "standard" if classes >= ENOUGH_LABELS else "custom"
    attacks = None if version == "standard" else ["apgd-ce", "fab-t", "square"]
    with scoped(0), evaluating(model), _left_as_found(model):
        attack = autoattack_package().AutoAttack(
            model, attacks=attacks, version=version, device=images.device, eps=epsilon, norm="Linf", seed=0
        )
        attack.apgd.n_restarts = attack.fab.n_restarts = 1
        attack.apgd_targeted.n_target_classes = attack.fab.n_target_classes = min(TARGETS, classes - 1)
        # It takes views that images with the channels last do not have.
        found: Tensor = attack.run_standard_evaluation(images.contiguous(), labels, batch_size=len(images))[0]
    return found.detach()


@contextmanager
def _left_as_found(model: nn.Module) -> Iterator[None]:
    """FAB would leave gradients on the parameters, and a check of the package takes away a debugger's trace."""
    frozen, trace = [one for one in model.parameters() if one.requires_grad], sys.gettrace()
    for one in frozen:
        one.requires_grad_(False)
    try:
        yield
    finally:
        for one in frozen:
            one.requires_grad_(True)
        sys.settrace(trace)
