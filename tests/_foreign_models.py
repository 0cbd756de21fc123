"""Models as users bring them: factories for ``package.module:factory`` and files, with answers known beforehand."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from biaskit import testing


class Convolved(nn.Module):
    """What :func:`biaskit.testing.reads` reads of the label, from a convolution, an activation and a linear head."""

    def __init__(self, classes: int = 2, dropout: float = 0.0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 8, bias=False)
        self.drop = nn.Dropout(dropout)
        self.head = nn.Linear(2, classes)
        with torch.no_grad():
            self.conv.weight.zero_()
            self.conv.weight[0, 1, :, :4] = self.conv.weight[1, 1, :, 4:] = 1.0 / 32.0
            self.head.weight.copy_(10.0 * torch.eye(classes, 2))
            self.head.bias.zero_()

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.drop(torch.relu(self.conv(images)).flatten(1)))


class Wrapped(nn.Module):
    """A model whose output is something made of its logits."""

    def __init__(self, made) -> None:
        super().__init__()
        self.inner, self.made = testing.reads("label"), made

    def forward(self, images: Tensor):
        return self.made(self.inner(images))


def two() -> nn.Module:
    return Convolved()


def three() -> nn.Module:
    return Convolved(3)


def pair() -> nn.Module:
    return Wrapped(lambda logits: (logits, logits.sum(dim=1)))


def named() -> nn.Module:
    return Wrapped(lambda logits: {"logits": logits, "loss": None})


def numbers() -> nn.Module:
    return Wrapped(lambda logits: logits.argmax(dim=1, keepdim=True))


def maps() -> nn.Module:
    return Wrapped(lambda logits: logits[:, :, None, None])


def one() -> nn.Module:
    return Wrapped(lambda logits: logits[:, 1:])


def not_numbers() -> nn.Module:
    return Wrapped(lambda logits: logits * torch.nan)


def shares() -> nn.Module:
    return Wrapped(lambda logits: logits.softmax(dim=1))


def cut_off() -> nn.Module:
    return Wrapped(lambda logits: logits.detach())


def gray() -> nn.Module:
    """A network for one channel."""
    net = nn.Sequential(nn.Conv2d(1, 2, 8, bias=False), nn.Flatten())
    with torch.no_grad():
        net[0].weight.zero_()
        net[0].weight[0, 0, :, :4] = net[0].weight[1, 0, :, 4:] = 1.0
    return net


def half_derivative() -> nn.Module:
    """A model with a step that has no derivative, and says so in torch's own words."""

    class Step(torch.autograd.Function):
        @staticmethod
        def forward(ctx, images):
            return images.clone()

    return Wrapped(Step.apply)


def needs_an_argument(width: int) -> nn.Module:
    return nn.Linear(width, 2)


def not_a_module() -> int:
    return 7


class Normalized(nn.Module):
    """A convolution behind a normalization that changes the images it is given, as many networks write it, or not."""

    def __init__(self, *, in_place: bool) -> None:
        super().__init__()
        self.inner, self.in_place = Convolved(), in_place

    def forward(self, images: Tensor) -> Tensor:
        return self.inner(images.sub_(0.5).div_(0.25) if self.in_place else (images - 0.5) / 0.25)


def in_place() -> nn.Module:
    return Normalized(in_place=True)


def out_of_place() -> nn.Module:
    return Normalized(in_place=False)


def elsewhere() -> nn.Module:
    return Wrapped(lambda logits: logits.to("meta"))


def leaves() -> nn.Module:
    raise SystemExit(3)
