from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from biaskit.attacks._common import checked, evaluating, gradient, predicted
from biaskit.attacks._options import Epsilon, checks_options

__all__ = ["fgsm"]


@checks_options
def fgsm(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    generator: torch.Generator,
    *,
    epsilon: Epsilon = 8 / 255,
    label: Literal["predicted", "true"] = "predicted",
) -> Tensor:
    """Move every pixel by epsilon in the direction that raises the loss: the fast gradient sign method.

    ``x' = clamp(x + epsilon sign(d CE(F(x), y) / dx), 0, 1)``, one gradient pass. By default y is what the model
    answers to x. With the true label the step itself depends on the label in a way so simple that a network trained on
    such images learns to read it off: its accuracy on them rises above that on clean images ("label leaking").

    Parameters
    ----------
    model : nn.Module
        On [0, 1] pixels; run in eval mode and left as it was.
    images : Tensor (B, C, H, W), float in [0, 1]
    labels : Tensor (B,), integer
        Read only with ``label="true"``.
    generator : torch.Generator
        Not read; every attack has it. With a random start this is ``pgd`` with one step of 1.25 epsilon.
    epsilon : float in [0, 1], or a fraction such as "8/255"
        In pixel units.
    label : {'predicted', 'true'}
        The y of the gradient.

    Returns
    -------
    Tensor (B, C, H, W)
        In [0, 1] and within epsilon of the images, which are unchanged.

    Raises
    ------
    SpecError
        An epsilon outside [0, 1], or another label.
    DataError
        Images that are not float (B, C, H, W) in [0, 1], or labels that do not fit.
    UnsupportedModel
        No finite logits (B, K), or none that autograd leads from to the pixels.

    References
    ----------
    Goodfellow et al., arXiv 1412.6572, section 4. Kurakin et al., Adversarial Machine Learning at Scale, arXiv
    1611.01236, section 4.3: label leaking, and the predicted label against it.

    Examples
    --------
    >>> model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2, bias=False))
    >>> _ = model[1].weight.data.copy_(torch.tensor([[1.0, -3.0], [0.0, 0.0]]))
    >>> x = torch.full((1, 1, 1, 2), 0.5)  # the answer is the second label: its margin grows with -w x, w = (1, -3)
    >>> fgsm(model, x, torch.tensor([0]), torch.Generator(), epsilon=0.1).flatten().tolist()
    [0.6000000238418579, 0.4000000059604645]
    """
    clean, truth = checked(images, labels)
    with evaluating(model):
        targets = predicted(model, clean) if label == "predicted" else truth
        slope = gradient(model, clean, targets)[1]
    return (clean + epsilon * slope.sign()).clamp_(0.0, 1.0)
