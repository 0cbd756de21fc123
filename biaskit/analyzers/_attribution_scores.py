"""What an attribution map is worth: where it points, how it is spread, and whether the model follows it.

Maps are float Tensors (B, H, W) on the CPU, masks boolean (B, H, W). Every score is float64 (B,) and NaN where it is
not defined: a map that is zero everywhere or has no numbers, a mask without pixels.
"""

from __future__ import annotations

import torch
from scipy.stats import rankdata
from torch import Tensor, nn

from biaskit.analyzers._attribution_methods import pass_size

__all__ = ["cosine", "curves", "gini", "pointing", "rank_correlation", "share", "total_variation"]


def share(maps: Tensor, mask: Tensor) -> Tensor:
    """The part of ``sum |a|`` that lies on the mask.

    Examples
    --------
    >>> share(torch.tensor([[[3.0, -1.0]]]), torch.tensor([[[True, False]]])).tolist()
    [0.75]
    """
    strength = maps.double().abs()
    found = (strength * mask).sum(dim=(1, 2)) / strength.sum(dim=(1, 2))
    return torch.where(mask.any(dim=2).any(dim=1), found, torch.nan)


def pointing(maps: Tensor, mask: Tensor) -> Tensor:
    """1 where the largest ``|a|`` lies on the mask, 0 where it does not; of tied pixels the part that does.

    A constant map scores the mask's share of the pixels, which is chance.

    References
    ----------
    Zhang et al., Top-down neural attention by excitation backprop, IJCV 2018, section 4.1.

    Examples
    --------
    >>> pointing(torch.tensor([[[3.0, -1.0]], [[1.0, 1.0]]]), torch.tensor([[[True, False]]] * 2)).tolist()
    [1.0, 0.5]
    """
    strength = maps.double().abs()
    highest = strength.amax(dim=(1, 2), keepdim=True)
    top = (strength == highest) & (highest > 0)
    found = (top & mask).sum(dim=(1, 2)) / top.sum(dim=(1, 2)).double()
    return torch.where(mask.any(dim=2).any(dim=1), found, torch.nan)


def total_variation(maps: Tensor) -> Tensor:
    """``sum |m_i - m_j| / (H W)`` over neighbors i, j, down and across, of ``m = |a| / max |a|``: how rough a map is.

    Examples
    --------
    >>> total_variation(torch.tensor([[[2.0, 0.0], [0.0, -1.0]]])).tolist()
    [0.75]
    """
    strength = maps.double().abs()
    m = strength / strength.amax(dim=(1, 2), keepdim=True)
    down, across = m.diff(dim=1).abs().sum(dim=(1, 2)), m.diff(dim=2).abs().sum(dim=(1, 2))
    return (down + across) / (maps.shape[1] * maps.shape[2])


def gini(maps: Tensor) -> Tensor:
    """The Gini index of ``|a|``: 0 where every pixel counts the same, near 1 where one pixel counts alone.

    ``sum_i (2 i - n - 1) a_(i) / (n sum a)`` with a_(i) in ascending order.

    References
    ----------
    Hurley & Rickard, Comparing measures of sparsity, IEEE Trans. Inf. Theory 2009.

    Examples
    --------
    >>> gini(torch.tensor([[[1.0, 1.0], [1.0, 1.0]], [[0.0, 0.0], [-1.0, 0.0]]])).tolist()
    [0.0, 0.75]
    """
    ordered: Tensor = maps.double().abs().flatten(1).sort(dim=1).values
    n = ordered.shape[1]
    places: Tensor = 2.0 * torch.arange(1, n + 1) - n - 1
    return (ordered * places).sum(dim=1) / (n * ordered.sum(dim=1))


def cosine(maps: Tensor, others: Tensor) -> Tensor:
    """``<a, b> / (|a| |b|)`` of two maps: 1 for the same map up to its scale.

    Examples
    --------
    >>> cosine(torch.tensor([[[1.0, 1.0]]]), torch.tensor([[[2.0, 2.0]]])).round(decimals=12).tolist()
    [1.0]
    """
    a, b = maps.double().flatten(1), others.double().flatten(1)
    return (a * b).sum(dim=1) / (a.square().sum(dim=1) * b.square().sum(dim=1)).sqrt()


def rank_correlation(maps: Tensor, others: Tensor) -> Tensor:
    """Spearman's correlation of ``|a|`` and ``|b|`` over pixels, ties at their mean rank.

    Examples
    --------
    >>> a, b = torch.tensor([[[1.0, -2.0, 3.0]]]), torch.tensor([[[10.0, 20.0, 99.0]]])
    >>> rank_correlation(a, b).round(decimals=12).tolist()
    [1.0]
    """
    ranks = [torch.from_numpy(rankdata(one.double().abs().flatten(1).numpy(), axis=1)) for one in (maps, others)]
    a, b = (one - one.mean(dim=1, keepdim=True) for one in ranks)
    return cosine(a[:, None], b[:, None])


@torch.no_grad()
def curves(model: nn.Module, images: Tensor, targets: Tensor, maps: Tensor, steps: int = 32) -> tuple[Tensor, Tensor]:
    """Areas under the probability of the label while pixels are taken away, and while they are put in.

    The pixels with the largest a go first (the strongest evidence for the label, not the largest ``|a|``), tied ones
    in reading order; after k of ``steps`` steps ``round(k H W / steps)`` pixels are gone, or are there. What is not
    there has the image's mean color. The area is the trapezoid rule on the share of pixels, in [0, 1].

    Parameters
    ----------
    model : nn.Module
    images : Tensor (B, C, H, W)
    targets : int64 Tensor (B,)
    maps : Tensor (B, H, W)
    steps : int

    Returns
    -------
    deletion, insertion : Tensor (B,)
        A map that the model follows has a low deletion and a high insertion. NaN also where the model gives no number
        for an image without some of its pixels.

    References
    ----------
    Petsiuk et al., RISE, BMVC 2018, section 4.3; the fill and the number of steps are ours.
    """
    pixels = maps.shape[1] * maps.shape[2]
    order = maps.flatten(1).argsort(dim=1, descending=True, stable=True)
    place = torch.empty_like(order).scatter_(1, order, torch.arange(pixels).expand(len(order), -1))
    counts = torch.tensor([round(step * pixels / steps) for step in range(steps + 1)])
    size, areas = pass_size(images), []
    for image, target, rank, strength in zip(images, targets.tolist(), place, maps, strict=True):
        first = (rank < counts[:, None]).view(-1, 1, *maps.shape[1:]).to(images.device)
        mean = image.mean(dim=(1, 2), keepdim=True)
        for kept in (~first, first):
            answers = [model(torch.where(part, image, mean)).softmax(dim=1)[:, target] for part in kept.split(size)]
            areas.append(torch.trapezoid(torch.cat(answers).double().cpu(), counts.double() / pixels))
        if not (bool(strength.any()) and bool(strength.isfinite().all())):
            areas[-2:] = [torch.tensor(torch.nan, dtype=torch.float64)] * 2
    both = torch.stack(areas).view(-1, 2)
    return both[:, 0], both[:, 1]
