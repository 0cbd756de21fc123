"""From pixels in [0, 1] of the data's size to what a network takes, and from its outputs to one logit per label."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from biaskit.errors import UnsupportedModel
from biaskit.subject import one_tensor

__all__ = ["InBatches", "OnPixels", "Preparation"]

#: Weights of red, green and blue in gray (ITU-R BT.601).
_GRAY = (0.299, 0.587, 0.114)


class Preparation(nn.Module):
    """Resize, cut out the center, gray or three channels, normalize: tensor code on whole batches, differentiable.

    Parameters
    ----------
    scaled : (height, width) or None
        What images are resized to.
    cut : (top, left, height, width) or None
        What is cut out of it.
    interpolation : "bilinear" or "bicubic"
        Antialiased, as Pillow's.
    channels : "as they are", "to gray" or "to three"
    mean, std : sequence of float or None
        One or three numbers each; None: numbers stay from 0 to 1.

    Examples
    --------
    >>> prepare = Preparation((4, 4), (1, 1, 2, 2), mean=(0.5,), std=(0.5,))
    >>> prepare(torch.ones(1, 3, 8, 8))[0, 0].tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """

    mean: Tensor | None
    std: Tensor | None

    def __init__(
        self,
        scaled: tuple[int, int] | None = None,
        cut: tuple[int, int, int, int] | None = None,
        interpolation: str = "bilinear",
        channels: str = "as they are",
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.scaled, self.cut, self.interpolation, self.channels = scaled, cut, interpolation, channels
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, None if values is None else torch.tensor(values).reshape(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        if self.scaled is not None:
            images = F.interpolate(
                images, size=self.scaled, mode=self.interpolation, align_corners=False, antialias=True
            )
            if self.interpolation == "bicubic":
                # Cubic overshoots at edges; 8 bits, for which the weights were made, cut that off.
                images = images.clamp(0.0, 1.0)
        if self.cut is not None:
            top, left, height, width = self.cut
            images = images[..., top : top + height, left : left + width]
        if self.channels == "to gray":
            images = (images * images.new_tensor(_GRAY)[:, None, None]).sum(dim=1, keepdim=True)
        elif self.channels == "to three":
            images = images.repeat(1, 3, 1, 1)
        if self.mean is not None and self.std is not None:
            images = (images - self.mean) / self.std
        return images

    def extra_repr(self) -> str:
        lists = [None if one is None else one.flatten().tolist() for one in (self.mean, self.std)]
        return f"{self.scaled}, {self.cut}, {self.interpolation}, {self.channels}, {lists[0]}, {lists[1]}"


class OnPixels(nn.Module):
    """A network made elsewhere, on the pixels of a data set, with one logit for each of its labels.

    A label that several classes stand for gets their ``logsumexp``: the logit of "any of them". Classes that stand for
    no label are left out, so that its answer is the likeliest of the labels.

    Parameters
    ----------
    net : nn.Module
        On what ``prepare`` gives; outputs (B, K).
    prepare : Preparation
    places : sequence of sequence of int
        For each label the outputs that stand for it.
    outputs : int
        K.
    probabilities : bool
        The outputs are probabilities, so that their logarithm is taken.
    gradients : str
        Why there are no gradients, if it is known.

    Examples
    --------
    >>> model = OnPixels(nn.Flatten(), Preparation(), [[2], [0, 1]], outputs=3)
    >>> model(torch.tensor([[[[0.0, 0.0, 0.5]]]])).exp().tolist()  # two classes of weight 1 each, one of weight e^0.5
    [[1.6487212181091309, 2.0]]
    """

    member: Tensor | None
    absent: Tensor | None

    def __init__(
        self,
        net: nn.Module,
        prepare: nn.Module,
        places: Sequence[Sequence[int]],
        *,
        outputs: int,
        probabilities: bool = False,
        gradients: str = "",
    ) -> None:
        super().__init__()
        self.prepare, self.net = prepare, net
        self.probabilities, self.gradients = probabilities, gradients
        as_it_is = [list(one) for one in places] == [[place] for place in range(outputs)]
        most = max(len(one) for one in places)
        member = torch.tensor([[*one, *[0] * (most - len(one))] for one in places])
        absent = torch.tensor([[False] * len(one) + [True] * (most - len(one)) for one in places])
        self.register_buffer("member", None if as_it_is else member)
        self.register_buffer("absent", None if as_it_is or most == 1 else absent)

    def forward(self, images: Tensor) -> Tensor:
        # A copy, since many networks normalize in place, and analyzers go on with the images they gave.
        answers = one_tensor(self.net(self.prepare(images.clone())))
        if torch.is_grad_enabled() and images.requires_grad and not answers.requires_grad:
            why = self.gradients or "its logits are cut off from the pixels (no_grad, detach, numpy)"
            raise UnsupportedModel(f"the model gives no gradients: {why}")
        answers = answers.float()
        if self.probabilities:
            answers = answers.clamp_min(torch.finfo(answers.dtype).tiny).log()
        if self.member is None:
            return answers
        if self.absent is None:
            return answers[:, self.member[:, 0]]
        return answers[:, self.member].masked_fill(self.absent, -torch.inf).logsumexp(dim=2)


class InBatches(nn.Module):
    """A network that takes exactly so many images at a time; the last batch is filled up with copies.

    Examples
    --------
    >>> InBatches(nn.Flatten(), 2)(torch.arange(3.0).reshape(3, 1, 1, 1)).tolist()
    [[0.0], [1.0], [2.0]]
    """

    def __init__(self, net: nn.Module, batch: int) -> None:
        super().__init__()
        self.net, self.batch = net, batch

    def forward(self, images: Tensor) -> Tensor:
        short = -len(images) % self.batch
        filled = torch.cat([images, images[-1:].expand(short, -1, -1, -1)]) if short else images
        answers = [one_tensor(self.net(part)) for part in torch.split(filled, self.batch)]
        return torch.cat(answers)[: len(images)]
