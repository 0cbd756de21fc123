"""Attribution maps and scores against what is known: hand examples, closed forms, captum, literal transcriptions."""

import copy
import math
import warnings

import numpy as np
import pytest
import scipy.stats
import torch
from captum._utils.models.linear_model import SkLearnRidge
from captum.attr import IntegratedGradients, LayerGradCam, Lime
from torch import nn
from torch.nn import functional as F

from biaskit import testing
from biaskit.analyzers import _attribution_methods as methods
from biaskit.analyzers import _attribution_pictures as pictures
from biaskit.analyzers import _attribution_scores as scores
from biaskit.analyzers import attribution
from biaskit.data import CORE, Dataset
from biaskit.errors import DataError, SpecError, UnknownName, UnsupportedModel
from biaskit.features import redraw
from biaskit.models import resnet_small
from biaskit.perturbations._photometric import AMOUNTS, change
from biaskit.rng import scoped, torch_generator
from biaskit.subject import Subject

FRAMED = testing.framed()
QUICK = {"lime_images": 4, "masks": 300, "operations": (), "pictures": 0}


def drawn(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def network(seed=0, classes=3):
    """A small network whose logits differ between images."""
    with scoped(seed):
        body = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 6, 3, stride=2, padding=1))
        return nn.Sequential(body, nn.Softplus(), nn.Flatten(), nn.Linear(6 * 16, classes)).eval()


def noise(count=8, masks=True, classes=3, channels=3):
    """A data set of 8 x 8 noise, with the left half as the core."""
    pixels = np.random.default_rng(0).integers(0, 256, (count, 8, 8, channels)).astype(np.uint8)
    data = Dataset.from_arrays(pixels, np.arange(count) % classes)
    if not masks:
        return data
    half = np.zeros((count, 8, 8, 1), np.uint8)
    half[:, :, :4] = CORE
    return data.replace(masks=type(data.images)(half))


def images_of(data, rows=None):
    index = torch.arange(len(data)) if rows is None else torch.as_tensor(rows)
    return data.images.gather(index).float() / 255.0, torch.from_numpy(data.labels)[index]


class Counting(nn.Module):
    """Notes how many images every pass brings."""

    def __init__(self, net):
        super().__init__()
        self.net, self.passes = net, []

    def forward(self, x):
        self.passes.append(len(x))
        return self.net(x)


def table(result, method):
    """The row of a method that is about all images."""
    found = result.table
    return found[(found["method"] == method) & (found["label"] == "all")].iloc[0]


# Integrated gradients


def test_integrated_gradients_of_a_linear_model_are_weight_times_pixel():
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 64, 3))
    x, y = drawn(4, 3, 8, 8), torch.tensor([0, 1, 2, 0])
    expected = (net[1].weight[y].view(4, 3, 8, 8) * x).sum(dim=1).detach()
    torch.testing.assert_close(methods.integrated_gradients(net, x, y, 5), expected, atol=1e-6, rtol=1e-4)


def literal_gradients(net, x, y, m):
    """The formula as it is written, one image and one point of the path at a time."""
    found = torch.zeros_like(x)
    for number in range(len(x)):
        for k in range(1, m + 1):
            point = ((k - 0.5) / m * x[number : number + 1]).requires_grad_()
            (gradient,) = torch.autograd.grad(net(point)[0, y[number]], point)
            found[number] += gradient[0] / m
    return (x * found).sum(dim=1)


def test_integrated_gradients_are_those_of_the_formula_and_of_captum():
    net, (x, y) = network(), images_of(noise(5))
    mine = methods.integrated_gradients(net, x, y, 16)
    torch.testing.assert_close(mine, literal_gradients(net, x, y, 16), atol=1e-6, rtol=1e-4)
    raw = IntegratedGradients(net).attribute(x, target=y, n_steps=16, method="riemann_middle").sum(dim=1)
    torch.testing.assert_close(mine, raw.float(), atol=1e-6, rtol=1e-4)


def test_completeness():
    net, (x, y) = network(), images_of(noise(5))
    with torch.no_grad():
        moved = (net(x) - net(torch.zeros_like(x)))[torch.arange(5), y]
    maps = methods.integrated_gradients(net, x, y, 64)
    torch.testing.assert_close(maps.sum(dim=(1, 2)), moved, atol=1e-3, rtol=0.0)
    exact = maps * (moved / maps.sum(dim=(1, 2)))[:, None, None]
    np.testing.assert_allclose(methods.completeness_error(net, x, y, 1.25 * exact), 0.25, atol=1e-4)
    flat = testing.constant(0, 3)
    assert methods.completeness_error(flat, x, y, torch.zeros(5, 8, 8)).isnan().all(), "nothing to be complete about"


class Step(nn.Module):
    """A logit with a narrow bump on the way from black, which few steps miss."""

    def forward(self, x):
        mean = x.mean(dim=(1, 2, 3))
        return torch.stack([torch.sigmoid(400.0 * (mean - 0.103)), mean], dim=1)


def test_gradients_that_miss_are_computed_again():
    x, y = torch.full((2, 3, 4, 4), 0.5), torch.tensor([0, 1])
    rough = methods.integrated_gradients(Step(), x, y, 16)
    error = methods.completeness_error(Step(), x, y, rough)
    assert error[0] > 0.02 > error[1]
    before = rough.clone()
    fine, left = methods.completed(Step(), x, y, rough, 16)
    assert torch.equal(rough, before)
    torch.testing.assert_close(fine[0], methods.integrated_gradients(Step(), x[:1], y[:1], 64)[0])
    assert torch.equal(fine[1], rough[1])
    assert left[0] < error[0]
    assert left[1] == error[1]


# Grad-CAM


def test_grad_cam_of_two_layers_by_hand():
    # A_0 = red, A_1 = blue; the logit weighs the four places of A_0 by 1..4 and of A_1 by -2: w = (2.5, -2).
    net = nn.Sequential(nn.Conv2d(3, 2, 1, bias=False), nn.Flatten(), nn.Linear(8, 1, bias=False))
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[1.0, 0, 0], [0, 0, 1.0]]).view(2, 3, 1, 1))
        net[2].weight.copy_(torch.tensor([[1.0, 2, 3, 4, -2, -2, -2, -2]]))
    x = torch.zeros(1, 3, 2, 2)
    x[0, 0], x[0, 2] = torch.tensor([[1.0, 0.5], [0.0, 0.4]]), torch.tensor([[0.0, 0.5], [1.0, 0.5]])
    expected = torch.tensor([[[2.5, 0.25], [0.0, 0.0]]])  # relu(2.5 red - 2 blue)
    torch.testing.assert_close(methods.grad_cam(net, x, torch.tensor([0]), "0"), expected)


def test_grad_cam_is_that_of_the_formula_and_of_captum():
    net, (x, y) = network(), images_of(noise(5))
    a = net[0](x).detach().requires_grad_()
    logits = net[3](net[2](net[1](a)))
    (gradient,) = torch.autograd.grad(logits[torch.arange(5), y].sum(), a)
    small = (gradient.mean(dim=(2, 3), keepdim=True) * a).sum(dim=1, keepdim=True).relu().detach()
    expected = F.interpolate(small, (8, 8), mode="bilinear", align_corners=False)[:, 0]
    mine = methods.grad_cam(net, x, y, "0")
    assert float(mine.max()) > 0.0
    torch.testing.assert_close(mine, expected, atol=1e-6, rtol=1e-4)
    raw = LayerGradCam(net, net[0]).attribute(x, target=y, relu_attributions=True)
    torch.testing.assert_close(mine, F.interpolate(raw, (8, 8), mode="bilinear")[:, 0].detach(), atol=1e-6, rtol=1e-4)


def test_frozen_weights_have_maps_all_the_same():
    net, (x, y) = network(), images_of(noise(2))
    expected = methods.grad_cam(net, x, y, "0")
    torch.testing.assert_close(methods.grad_cam(net.requires_grad_(False), x, y, "0"), expected)
    assert not x.requires_grad


def test_a_layer_beside_the_logits_has_no_map():
    class Beside(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 2, 1), nn.Linear(3, 2)

        def forward(self, x):
            self.conv(x.detach())
            return self.head(x.mean(dim=(2, 3)))

    with pytest.raises(UnsupportedModel, match="no gradient of the logits with respect to layer 'conv'"):
        methods.grad_cam(Beside(), drawn(1, 3, 8, 8), torch.tensor([0]), "conv")


# LIME


class Cells(nn.Module):
    """A probability that is linear in the means of the 2 x 2 cells of a 4 x 4 image."""

    def __init__(self, beta):
        super().__init__()
        self.register_buffer("beta", torch.as_tensor(beta).view(1, 1, 2, 2))

    def forward(self, x):
        p = 0.5 + (F.avg_pool2d(x.mean(dim=1, keepdim=True), 2) * self.beta).sum(dim=(1, 2, 3))
        return torch.stack([1.0 - p, p], dim=1).log()


def test_lime_recovers_the_weights_of_a_linear_probability():
    beta, x = torch.tensor([[0.10, -0.05], [0.20, 0.0]]), drawn(1, 3, 4, 4)
    over_mean = F.avg_pool2d(x.mean(dim=1, keepdim=True), 2)[0, 0] - x.mean()
    expected = (beta * over_mean).repeat_interleave(2, 0).repeat_interleave(2, 1)
    found = methods.lime(Cells(beta), x, torch.tensor([1]), [0], masks=200, cells=2)
    torch.testing.assert_close(found[0], expected, atol=1e-5, rtol=1e-3)


def drawn_masks(row, masks, cells):
    return torch.randint(2, (masks, cells * cells), generator=torch_generator(0, "lime", row))


def test_lime_is_the_weighted_regression_with_hardly_a_ridge():
    net, (x, y) = network(), images_of(noise(3))
    z = drawn_masks(7, 150, 4)
    shown = z.view(-1, 4, 4).repeat_interleave(2, 1).repeat_interleave(2, 2)[:, None].bool()
    mean = x[2].mean(dim=(1, 2)).view(1, 3, 1, 1)
    with torch.no_grad():
        p = net(torch.where(shown, x[2:], mean)).softmax(dim=1)[:, y[2]].double().numpy()
    z = z.double().numpy()
    cosine = z.sum(axis=1) / (np.maximum(np.linalg.norm(z, axis=1), 1e-12) * math.sqrt(16))
    w = np.exp(-((1.0 - cosine) ** 2) / 0.25**2)
    zc, pc = z - np.average(z, axis=0, weights=w), p - np.average(p, weights=w)
    beta = np.linalg.solve(zc.T @ (w[:, None] * zc) + 1e-3 * np.eye(16), zc.T @ (w * pc))
    expected = torch.from_numpy(beta).view(4, 4).repeat_interleave(2, 0).repeat_interleave(2, 1).float()
    found = methods.lime(net, x[2:], y[2:], [7], masks=150, cells=4)[0]
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-3)


def test_lime_is_that_of_captum():
    net, (x, y) = network(), images_of(noise(3))
    masks = iter(drawn_masks(1, 60, 4).split(1))
    raw = Lime(
        lambda images: net(images).softmax(dim=1)[:, y[1]],
        interpretable_model=SkLearnRidge(alpha=1e-3),
        similarity_func=lambda a, b, mask, **_: math.exp(-((1 - math.sqrt(mask.float().mean().item())) ** 2) / 0.0625),
        perturb_func=lambda *_, **__: next(masks),
    ).attribute(
        x[1:2],
        feature_mask=methods.cells_of(8, 8, 4).expand(1, 3, 8, 8),
        baselines=x[1:2].mean(dim=(2, 3), keepdim=True).expand(-1, -1, 8, 8),
        n_samples=60,
    )
    found = methods.lime(net, x[1:2], y[1:2], [1], masks=60, cells=4)
    torch.testing.assert_close(found[0], raw[0, 0].float(), atol=1e-6, rtol=1e-4)


def test_lime_of_a_probability_that_does_not_move_is_zero():
    class Rounding(nn.Module):
        def forward(self, x):
            logits = 1e-6 * (x.mean(dim=(1, 2, 3)) > 0.5)  # a probability of 0.5 or of 0.50000024
            return torch.stack([logits, torch.zeros(len(x))], dim=1)

    x = drawn(1, 3, 8, 8)
    x += 0.5 - x.mean()
    assert not methods.lime(Rounding(), x, torch.tensor([0]), [0], masks=50, cells=4).any()


def test_cells_of_sizes_that_do_not_divide():
    assert methods.cells_of(3, 5, 2).tolist() == [[0, 0, 0, 1, 1], [0, 0, 0, 1, 1], [2, 2, 2, 3, 3]]
    assert methods.cells_of(28, 28, 8).unique().numel() == 64


# All methods


@pytest.mark.parametrize("method", ["integrated_gradients", "grad_cam", "lime"])
def test_a_map_depends_on_no_other_image(method):
    net, (x, y) = resnet_small(3).eval(), images_of(noise(6))
    explain = {
        "integrated_gradients": lambda a, b, rows: methods.integrated_gradients(net, a, b, 8),
        "grad_cam": lambda a, b, rows: methods.grad_cam(net, a, b, "net.layer2"),
        "lime": lambda a, b, rows: methods.lime(net, a, b, rows, masks=40, cells=4),
    }[method]
    together = explain(x, y, range(6))
    alone = torch.cat([explain(x[one : one + 1], y[one : one + 1], [one]) for one in range(6)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=1e-3)
    assert together.shape == (6, 8, 8)


# Scores


def test_shares_and_pointing_by_hand():
    maps = torch.tensor([[[1.0, -2.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 0.0]], [[1.0, 0.0], [0.0, 0.0]]])
    mask = torch.tensor([[[False, True], [True, False]], [[True, True], [False, False]], [[False, False]] * 2])
    np.testing.assert_allclose(scores.share(maps, mask), [0.5, np.nan, np.nan])
    np.testing.assert_allclose(scores.pointing(maps, mask), [1.0, np.nan, np.nan])


def test_pointing_of_ties_is_their_part_on_the_mask():
    mask = torch.tensor([[[True, False, False, False]]])
    assert scores.pointing(torch.ones(1, 1, 4), mask).tolist() == [0.25]
    assert scores.pointing(torch.tensor([[[3.0, -3.0, 1.0, 0.0]]]), mask).tolist() == [0.5]
    assert scores.pointing(torch.tensor([[[2.0, -3.0, 1.0, 0.0]]]), mask).tolist() == [0.0]


def test_total_variation_and_gini_by_hand():
    board = ((torch.arange(4)[:, None] + torch.arange(4)) % 2).float()[None]
    assert scores.total_variation(board).tolist() == [24 / 16], "every one of the 24 pairs differs by 1"
    assert scores.total_variation(torch.full((1, 4, 4), -3.0)).tolist() == [0.0]
    assert scores.total_variation(-7.0 * board).tolist() == [24 / 16], "whatever its scale"
    assert scores.gini(torch.tensor([[[1.0, 2.0, 3.0, -4.0]]])).tolist() == [0.25]
    for score in (scores.total_variation, scores.gini):
        assert score(torch.zeros(1, 2, 2)).isnan().all()


def test_cosine_and_rank_correlation():
    a, b = drawn(3, 4, 4) - 0.5, drawn(3, 4, 4, seed=1) - 0.5
    b[0], b[1] = -2.0 * a[0], a[1] ** 3
    expected = [
        scipy.stats.spearmanr(one.abs().flatten(), other.abs().flatten()).statistic
        for one, other in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(scores.rank_correlation(a, b), expected, atol=1e-12)
    np.testing.assert_allclose(scores.rank_correlation(a, b)[:2], 1.0, atol=1e-12)
    assert scores.cosine(a, b)[0] == pytest.approx(-1.0)
    assert scores.cosine(a, torch.zeros(3, 4, 4)).isnan().all()
    assert scores.rank_correlation(a, torch.ones(3, 4, 4)).isnan().all()


class White(nn.Module):
    """The probability of label 1 is the mean of the weighted pixels."""

    def __init__(self, weight):
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, x):
        p = (x[:, 0] * self.weight).sum(dim=(1, 2)).clamp(1e-7, 1.0 - 1e-7)
        return torch.stack([1.0 - p, p], dim=1).log()


def test_deletion_and_insertion_by_hand():
    # Pixels 1, 0, 0, 0 with mean 1/4; the model reads the first. Taken away first, p falls from 1 to 1/4 at once and
    # stays; put in first, it jumps to 1. Four steps of one pixel: trapezoids of 1 1/4 1/4 1/4 1/4 and 1/4 1 1 1 1.
    x, y = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]]), torch.tensor([1])
    net = White(torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    best, worst = torch.tensor([[[4.0, 3.0], [2.0, 1.0]]]), torch.tensor([[[-9.0, 3.0], [2.0, 1.0]]])
    deletion, insertion = scores.curves(net, x, y, best, steps=4)
    np.testing.assert_allclose([deletion[0], insertion[0]], [(0.625 + 3 * 0.25) / 4, (0.625 + 3 * 1.0) / 4], atol=1e-6)
    deletion, insertion = scores.curves(net, x, y, worst, steps=4)
    np.testing.assert_allclose([deletion[0], insertion[0]], [(3 * 1.0 + 0.625) / 4, (3 * 0.25 + 0.625) / 4], atol=1e-6)


def test_steps_and_ties_of_the_curves():
    # 6 pixels in 4 steps: 0, 2 (of 1.5), 3, 4 (of 4.5), 6 pixels, at those shares of the image; ties in reading order.
    x = torch.tensor([0.9, 0.0, 0.1, 0.2, 0.0, 0.3]).view(1, 1, 2, 3)
    net, kept = Counting(White(torch.full((2, 3), 1 / 6))), torch.full((6,), 0.25)
    deletion, _ = scores.curves(net, x, torch.tensor([1]), torch.ones(1, 2, 3), steps=4)
    heights = []
    for gone in (0, 2, 3, 4, 6):
        heights.append(float(torch.cat([kept[:gone], x.flatten()[gone:]]).mean()))
    expected = sum(
        (b - a) / 6 * (p + q) / 2 for a, b, p, q in zip((0, 2, 3, 4), (2, 3, 4, 6), heights, heights[1:], strict=False)
    )
    assert float(deletion) == pytest.approx(expected, abs=1e-6)
    assert net.passes == [5, 5]
    assert scores.curves(net, x, torch.tensor([1]), torch.zeros(1, 2, 3), steps=4)[0].isnan().all()


# Models that are known to look at one thing


def coverage(mask, side):
    """The mask averaged over squares of so many pixels."""
    return F.avg_pool2d(mask.float()[None, None], side)


def on_core(values, core):
    return float((values * core).sum() / values.sum())


@pytest.mark.parametrize(("what", "gradient"), [("square", 1.0), ("frame", 0.0)])
def test_what_a_model_looks_at_is_what_the_maps_show(what, gradient):
    core = (FRAMED.masks.gather(torch.tensor([0]))[0, 0] & CORE) > 0
    seen = core if what == "square" else ~core
    grad_cam = on_core(F.interpolate(coverage(seen, 4), (16, 16), mode="bilinear")[0, 0], core)
    lime = on_core(F.interpolate(coverage(seen, 2), (16, 16), mode="nearest")[0, 0], core)
    result = attribution(Subject(testing.looks_at(what), FRAMED), **{**QUICK, "masks": 1000, "lime_images": 8})
    samples = result.samples.set_index("method")["core_share"].groupby("method")
    assert set(samples.get_group("integrated_gradients")) == {gradient}
    np.testing.assert_allclose(samples.get_group("grad_cam").dropna(), grad_cam, atol=1e-6)
    np.testing.assert_allclose(samples.get_group("lime").dropna(), lime, atol=1e-3)
    if what == "square":
        assert (samples.get_group("lime").dropna() >= lime - 1e-3).all()
    # Grad-CAM shows what speaks for the label: the frame does in one half. LIME hides cells in the mean color, which
    # is what an image of one color has everywhere.
    assert table(result, "grad_cam")["n_core"] == (8 if what == "square" else 4)
    assert table(result, "lime")["n_core"] == 4
    assert table(result, "integrated_gradients")["pointing"] == gradient
    assert table(result, "integrated_gradients")["spurious_share"] == 1.0 - gradient
    assert table(result, "integrated_gradients")["core_chance"] == 49 / 256
    chance = table(result, "lime")["core_chance"]
    assert lime > grad_cam > chance if what == "square" else lime < grad_cam < chance


def test_the_models_answer_by_what_they_look_at():
    labels, frames = FRAMED.labels, FRAMED.table["frame"].cat.codes.to_numpy()
    colors = {"square": labels, "frame": 1 - frames}  # sorted: blue is the attribute's code 0, and label 1
    for what, expected in colors.items():
        subject = Subject(testing.looks_at(what), FRAMED)
        np.testing.assert_array_equal(subject.predictions(subject.test()), expected)
        np.testing.assert_allclose(subject.logits.softmax(dim=1).max(dim=1).values, 0.82, atol=1e-5)


# The analyzer


def test_stability_and_randomization_are_what_they_say():
    net, data = network(seed=5), noise(4)
    x, y = images_of(data)
    given = {"methods": ("integrated_gradients",), "steps": 8, "pictures": 0}
    samples = attribution(Subject(net, data), operations=("brightness", "hue"), **given).samples
    maps = methods.integrated_gradients(net, x, y, 8)
    cosines = []
    for operation in ("brightness", "hue"):
        other = methods.integrated_gradients(net, change(x, operation, AMOUNTS[operation][0]), y, 8)
        cosines.append(F.cosine_similarity(maps.flatten(1), other.flatten(1)))
    np.testing.assert_allclose(samples["stability"], torch.stack(cosines).mean(dim=0), atol=1e-5)
    again = copy.deepcopy(net)
    with scoped(0):
        redraw(again)
    other = methods.integrated_gradients(again, x, y, 8)
    expected = [
        scipy.stats.spearmanr(a.abs().flatten(), b.abs().flatten()).statistic for a, b in zip(maps, other, strict=True)
    ]
    np.testing.assert_allclose(samples["randomized"], expected, atol=1e-5)
    alone = attribution(Subject(net, data), operations=(), **given)
    assert alone.samples["stability"].isna().all()
    assert table(alone, "integrated_gradients")["n_stability"] == 0


def test_the_table_is_the_mean_of_the_samples_per_group():
    result = attribution(Subject(resnet_small(2).eval(), FRAMED), **QUICK)
    joined = result.samples.merge(FRAMED.table.reset_index(names="row"), on="row").astype({"label": str, "frame": str})
    assert len(result.table) == 3 * (1 + 4)
    for row in result.table.to_dict("records"):
        part = joined[joined["method"] == row["method"]]
        for key in ("label", "frame"):
            part = part if row[key] == "all" else part[part[key] == row[key]]
        assert row["n"] == len(part)
        for score in ("core_share", "gini", "deletion", "randomized"):
            np.testing.assert_allclose(row[score], part[score].mean(), atol=1e-12)
    row, values = table(result, "integrated_gradients"), result.samples.query("method == 'integrated_gradients'")
    low, high = scipy.stats.t.interval(0.95, 7, values["gini"].mean(), values["gini"].sem())
    np.testing.assert_allclose([row["gini_low"], row["gini_high"]], [low, high])


def test_passes_are_bounded_whatever_the_number_of_images():
    largest = []
    for count in (4, 300):
        net = Counting(nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
        data = noise(count, classes=2)
        subject = Subject(net, data)
        subject.logits  # noqa: B018
        net.passes.clear()
        attribution(subject, images=300, steps=2, masks=600, lime_images=2, operations=("hue",), pictures=0)
        largest.append(max(net.passes))
    assert largest == [256, 256]
    assert methods.pass_size(torch.empty(0, 3, 8, 8)) == 256


def test_a_set_without_masks_has_all_other_scores():
    result = attribution(Subject(network(), noise(6, masks=False)), **QUICK)
    row = table(result, "integrated_gradients")
    assert row["n"] == row["n_map"] == 6
    assert row["n_core"] == row["n_spurious"] == 0
    assert (
        row[["core_share", "core_chance", "pointing", "spurious_share", "spurious_chance", "pointing_low"]].isna().all()
    )
    assert row[["gini", "total_variation", "deletion", "insertion", "randomized", "completeness"]].notna().all()
    assert any("has no masks" in note for note in result.notes)


def test_masks_without_a_shortcut():
    row = table(attribution(Subject(network(), noise(6)), **QUICK), "integrated_gradients")
    assert row["core_chance"] == 0.5
    assert row["n_core"] == 6
    assert row["n_spurious"] == 0
    assert np.isnan(row["spurious_share"])


def test_a_model_without_convolution_has_no_grad_cam():
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    result = attribution(Subject(net, noise(4)), **QUICK)
    row = table(result, "grad_cam")
    assert row["n"] == 0
    assert row[["core_share", "gini", "deletion", "gini_low"]].isna().all()
    assert table(result, "integrated_gradients")["n"] == 4
    assert any("Grad-CAM is not defined: the model has no map" in note for note in result.notes)
    assert "grad_cam" not in set(result.samples["method"])
    with pytest.raises(UnsupportedModel, match="no convolutional layer is passed"):
        attribution(Subject(net, noise(4)), methods=("grad_cam",))


def test_a_map_below_four_by_four_is_never_scored():
    net, subject = resnet_small(3), Subject(resnet_small(3), noise(4))
    result = attribution(subject, methods=("grad_cam",), operations=())
    assert any(
        "Grad-CAM looks at net.layer2, a map of 4 x 4, the deepest of at least 4 x 4" in one for one in result.notes
    )
    with pytest.raises(UnsupportedModel, match=r"'net.layer3' gives 64 x 2 x 2 per image; Grad-CAM needs maps"):
        attribution(subject, methods=("grad_cam",), layer="layer3")
    with pytest.raises(UnsupportedModel, match=r"'net.fc' gives 3 per image"):
        attribution(subject, layer="fc")
    named = attribution(Subject(net, noise(4)), methods=("grad_cam",), layer="layer1", operations=())
    assert any("net.layer1, a map of 8 x 8, as asked for" in note for note in named.notes)
    with pytest.raises(UnknownName, match="no layer 'layer9'"):
        attribution(subject, layer="layer9")
    with pytest.raises(SpecError, match="may be"):
        attribution(subject, layer="downsample")


def test_a_constant_model_has_no_map_and_no_scores():
    result = attribution(Subject(testing.constant(0, 3), noise(6)), **QUICK)
    for method in ("integrated_gradients", "lime"):
        row = table(result, method)
        assert row["n"] == (6 if method != "lime" else 4)
        assert row["n_map"] == row["n_core"] == row["n_randomized"] == 0
        assert row[["core_share", "pointing", "gini", "total_variation", "deletion", "insertion"]].isna().all()
    assert any("completeness of integrated gradients is not defined" in note for note in result.notes)
    assert any("no layer of the model can be drawn anew" in note for note in result.notes)


def test_a_model_that_cannot_be_drawn_anew():
    result = attribution(
        Subject(testing.reads("label"), testing.tiny()), methods=("integrated_gradients",), operations=()
    )
    row = table(result, "integrated_gradients")
    assert row["n_map"] == row["n"] == 16
    assert row["n_randomized"] == 0
    assert np.isnan(row["randomized"])
    assert any("no layer of the model can be drawn anew" in note for note in result.notes)


def test_stored_answers_are_not_enough():
    subject = Subject(None, noise(4), logits=torch.zeros(4, 3))
    with pytest.raises(UnsupportedModel, match="needs the model itself"):
        attribution(subject)


def test_gray_images():
    with scoped(0):
        net = nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)
        )
    result = attribution(
        Subject(net, noise(3, channels=1)), masks=70, lime_images=2, operations=("contrast",), pictures=1
    )
    assert table(result, "integrated_gradients")["n_stability"] == 3
    assert all(one.pixels.shape[2] == 3 for one in result.pictures)


def test_notes_say_how_complete_the_gradients_are():
    notes = attribution(
        Subject(network(), noise(6)), methods=("integrated_gradients",), operations=(), pictures=0
    ).notes
    assert any("in 100% of 6 images, with 64 steps and 256 where these do not suffice" in note for note in notes)


# What is not defined, and what a model does not allow


class Halves(nn.Module):
    """The sum of the left half, and a constant logit: of images with a black left half nothing differs from black."""

    def forward(self, x):
        score = x[..., :4].sum(dim=(1, 2, 3))
        return torch.stack([score, -score], dim=1)


def half_black():
    """Four images, two of them black in the left half."""
    pixels = np.random.default_rng(0).integers(1, 256, (4, 8, 8, 3)).astype(np.uint8)
    pixels[:2, :, :4] = 0
    return Dataset.from_arrays(pixels, [0, 1, 0, 1])


def test_every_score_says_how_many_images_have_it():
    result = attribution(Subject(Halves(), half_black()), methods=("integrated_gradients",), operations=(), pictures=0)
    row, samples = table(result, "integrated_gradients"), result.samples
    assert row["n"] == 4
    for score in ("completeness", "deletion", "insertion"):
        assert row[f"n_{score}"] == samples[score].notna().sum() == 2
        assert row[score] == pytest.approx(samples[score].mean())
    assert row["n_map"] == 2
    assert row["n_stability"] == 0
    assert np.isnan(row["stability"])


class NaNOnMean(nn.Module):
    """No number where the pixel in the corner is not as it is stored."""

    def forward(self, x):
        corner = x[:, 0, 0, 0]
        score = x.mean(dim=(1, 2, 3)) + torch.where((corner == 1.0) | (corner == 0.0), 0.0, torch.nan)
        return torch.stack([score, -score], dim=1)


def test_a_probability_that_is_no_number_has_no_area():
    x = drawn(1, 3, 4, 4)
    x[:, :, 0, 0] = 1.0
    deletion, insertion = scores.curves(NaNOnMean(), x, torch.tensor([0]), torch.ones(1, 4, 4), steps=4)
    assert deletion.isnan().all()
    assert insertion.isnan().all()
    nan = torch.ones(1, 4, 4)
    nan[0, 1, 1] = torch.nan
    assert scores.curves(testing.constant(), x, torch.tensor([0]), nan, steps=4)[0].isnan().all()


def test_nan_for_hidden_cells_leaves_the_other_methods():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3)).astype(np.uint8)
    pixels[:, 0, 0] = 255
    data = Dataset.from_arrays(pixels, [0, 1, 0, 1])

    class Net(nn.Module):
        """NaN where the corner is hidden; its gradient is taken at dark corners too."""

        def __init__(self):
            super().__init__()
            self.net, self.nan = network(classes=2), NaNOnMean()

        def forward(self, x):
            return self.net(x) + (0.0 if x.requires_grad else 1.0) * (self.nan(x) - self.nan(x.round()))

    result = attribution(Subject(Net(), data), methods=("integrated_gradients", "lime"), **QUICK)
    assert table(result, "integrated_gradients")["n_map"] == 4
    assert table(result, "lime")["n"] == 0
    assert any(note.startswith("LIME is not defined: the model gives NaN or infinite logits") for note in result.notes)


@pytest.mark.parametrize("channels", [1, 3])
def test_gray_images_have_no_color_to_be_stable_under(channels):
    gray = np.random.default_rng(0).integers(0, 200, (4, 8, 8, 1)).astype(np.uint8)
    data = Dataset.from_arrays(np.repeat(gray, channels, axis=3), [0, 1, 0, 1])
    with scoped(0):
        net = nn.Sequential(nn.Conv2d(channels, 4, 3, padding=1), nn.Softplus(), nn.Flatten(), nn.Linear(256, 2)).eval()
    given = {"methods": ("integrated_gradients",), "steps": 4, "pictures": 0}
    color = attribution(Subject(net, data), operations=("saturation", "hue"), **given)
    assert table(color, "integrated_gradients")["n_stability"] == 0
    assert np.isnan(table(color, "integrated_gradients")["stability"])
    left = [note for note in color.notes if note.startswith("left out of stability")]
    assert left == [
        f"left out of stability: {one}, which leaves 4 of 4 images as they are" for one in ("saturation", "hue")
    ]
    # Of the others the mean is that of the others alone.
    both = attribution(Subject(net, data), operations=("contrast", "hue"), **given)
    contrast = attribution(Subject(net, data), operations=("contrast",), **given)
    assert table(both, "integrated_gradients")["n_stability"] == 4
    np.testing.assert_array_equal(both.samples["stability"], contrast.samples["stability"])
    assert (contrast.samples["stability"] < 1.0).all()


def test_a_perturbation_counts_for_the_images_it_changes():
    data = noise(4)
    pixels = data.images.gather(torch.arange(4)).permute(0, 2, 3, 1).clone().numpy()
    pixels[1] = pixels[1, :, :, :1]
    mixed = Dataset.from_arrays(pixels, data.labels)
    net = network()
    given = {"methods": ("integrated_gradients",), "steps": 4, "pictures": 0}
    result = attribution(Subject(net, mixed), operations=("brightness", "hue"), **given)
    alone = attribution(Subject(net, mixed), operations=("brightness",), **given)
    assert result.samples["stability"][1] == alone.samples["stability"][1]
    assert result.samples["stability"][0] != alone.samples["stability"][0]
    assert "left out of stability: hue, which leaves 1 of 4 images as they are" in result.notes


class NoGradient(nn.Module):
    """A convolutional network whose forward pass is without gradients."""

    def __init__(self, stop=torch.no_grad):
        super().__init__()
        self.net, self.stop = network(), stop

    def forward(self, x):
        with self.stop():
            return self.net(x).clone()


@pytest.mark.parametrize("stop", [torch.no_grad, torch.inference_mode])
def test_a_model_without_gradients_still_has_lime(stop):
    subject = Subject(NoGradient(stop), noise(4))
    result = attribution(subject, **QUICK)
    for method in ("integrated_gradients", "grad_cam"):
        row = table(result, method)
        assert row["n"] == row["n_map"] == 0
        assert row[["core_share", "gini", "deletion", "randomized"]].isna().all()
    assert table(result, "lime")["n_map"] == 4
    assert any("integrated gradients are not defined: the logits differ" in note for note in result.notes)
    assert any("Grad-CAM is not defined: no gradient of the logits" in note for note in result.notes)
    assert not any("Grad-CAM looks at" in note for note in result.notes)
    for method in ("integrated_gradients", "grad_cam"):
        with pytest.raises(UnsupportedModel, match="gradient"):
            attribution(subject, methods=(method,), operations=())


def torchscript(how):
    """A network as TorchScript."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.script(network()) if how == "script" else torch.jit.trace(network(), torch.rand(2, 3, 8, 8))


@pytest.mark.parametrize("how", ["script", "trace"])
def test_torchscript_has_all_but_grad_cam(how):
    given = {"steps": 8, "operations": (), "pictures": 0, "lime_images": 2, "masks": 70}
    result = attribution(Subject(torchscript(how), noise(4)), **given)
    same = attribution(Subject(network(), noise(4)), **given)
    for method in ("integrated_gradients", "lime"):
        assert table(result, method)["core_share"] == pytest.approx(table(same, method)["core_share"], abs=1e-4)
    assert any("Grad-CAM is not defined: the model is TorchScript" in note for note in result.notes)
    with pytest.raises(UnsupportedModel, match="the model is TorchScript"):
        attribution(Subject(torchscript(how), noise(4)), methods=("grad_cam",))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"images": 0}, "images"),
        ({"methods": ()}, "methods"),
        ({"methods": ("limes",)}, "methods"),
        ({"lime_images": 0}, "lime_images"),
        ({"cells": 0}, "cells"),
        ({"steps": 0}, "steps"),
        ({"operations": ("blur",)}, "operations"),
        ({"masks": 64}, r"masks: 64 masks cannot tell 8 x 8 = 64 cells apart"),
    ],
)
def test_options_outside_their_range(given, words):
    with pytest.raises(SpecError, match=rf"^attribution.{words}"):
        attribution(Subject(network(), noise(4)), **given)


def test_more_cells_than_pixels():
    subject = Subject(network(), noise(4))
    with pytest.raises(DataError, match="9 x 9 cells are more than images of 8 x 8 have pixels; take at most 8"):
        attribution(subject, cells=9)
    assert attribution(subject, methods=("grad_cam",), cells=9, operations=()).options["cells"] == 9


# Pictures


def test_panels_have_the_same_rows_for_every_model():
    found = [
        attribution(Subject(net, FRAMED), **{**QUICK, "pictures": 3, "masks": 70}).pictures
        for net in (testing.looks_at("square"), testing.looks_at("frame"))
    ]
    places = [[(one.figure, one.row, one.column) for one in pictures] for pictures in found]
    assert places[0] == places[1]
    assert {one.figure for one in found[0]} == {"integrated gradients", "grad-cam", "lime"}
    assert {one.column for one in found[0]} == {"image", ""}
    rows = sorted({one.row for one in found[0]})
    assert len(rows) == 3
    assert len({row.partition(": ")[0] for row in rows}) == 3
    assert all(one.pixels.dtype == np.uint8 and min(one.pixels.shape[:2]) >= 64 for one in found[0])
    shared = [{one.row: one.pixels for one in pictures if one.column == "image"} for pictures in found]
    assert all(np.array_equal(shared[0][row], shared[1][row]) for row in rows)
    own = [[one for one in pictures if not one.column] for pictures in found]
    assert not all(np.array_equal(a.pixels, b.pixels) for a, b in zip(*own, strict=True))
    assert next(one.caption for one in own[0] if one.figure == "integrated gradients") == "100% on the core"


def test_the_first_pictures_are_of_different_labels():
    result = attribution(Subject(network(), noise(12)), methods=("integrated_gradients",), operations=(), pictures=4)
    labels = [one.row.partition("label ")[2] for one in result.pictures if one.column == "image"]
    assert labels == ["0", "1", "2", "0"]
    assert not attribution(
        Subject(network(), noise(3)), methods=("integrated_gradients",), operations=(), pictures=0
    ).pictures


def test_colors_say_for_and_against():
    values = torch.tensor([[1.0, -1.0], [0.0, 0.5]])
    red, green, blue = np.moveaxis(pictures.signed(values).astype(int), 2, 0)
    assert red[0, 0] > green[0, 0] > blue[0, 0], "orange speaks for the label"
    assert blue[0, 1] > green[0, 1] > red[0, 1], "blue against it"
    assert red[1, 0] == green[1, 0] == blue[1, 0] == 255, "white says nothing"
    assert red[0, 0] < red[1, 1] <= 255, "half as strong, half as far from white"
    nothing = pictures.signed(torch.tensor([[torch.nan, 1.0]])).astype(int)
    assert nothing[0, 0].tolist() == [255, 255, 255], "what is no number says nothing"
    flat = pictures.heat(torch.zeros(2, 2), torch.full((3, 2, 2), 0.5))
    assert flat.min() == flat.max(), "no color where there is no attribution"
    over = pictures.heat(values, torch.full((3, 2, 2), 0.5)).astype(int)
    assert over[0, 0, 0] > over[0, 0, 2]
    assert over[0, 1, 2] > over[0, 1, 0]
