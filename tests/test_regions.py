"""Regions: gradients against finite differences, fixed points in closed form, designed holes, and what goes wrong."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.stats import norm
from scipy.stats import t as student

from biaskit.errors import DataError, SpecError, UnsupportedModel
from biaskit.regions import METHODS, find_regions, srvr
from biaskit.regions._bounds import Settings, descent

DOUBLE = torch.float64


class Multilinear:
    """A random multilinear function of n variables: the trapezoid rule is exact for it."""

    def __init__(self, n, seed=0):
        self.n = n
        self.powers = torch.tensor(list(itertools.product((0.0, 1.0), repeat=n)), dtype=DOUBLE)
        self.weights = torch.randn(2**n, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)

    def __call__(self, u):
        terms = torch.where(self.powers.bool(), u[..., None, :], torch.ones_like(u[..., None, :])).prod(-1)
        return terms @ self.weights

    def integral(self, a, b):
        """The exact integral, term by term: x gives (b^2 - a^2) / 2 and 1 gives b - a."""
        parts = torch.where(self.powers.bool(), (b**2 - a**2) / 2, b - a)
        return parts.prod(-1) @ self.weights

    def evaluate(self, points, slopes):
        at = points.detach().requires_grad_(slopes)
        values = self(at)
        return values.detach(), torch.autograd.grad(values.sum(), at)[0] if slopes else None


def loss(f, a, b, method, *, alpha, beta, lam):
    r = b - a
    rim = alpha * r / 2
    inner, outer = f.integral(a, b), f.integral(a - rim, b + rim)
    price = lam / 2 * (r**2).sum()
    return {
        "naive": -inner + price,
        "trap": -inner + price,
        "level": -(inner - 0.4 * r.prod()),
        "oir_b": outer - 2 * inner,
        "oir_w": beta / alpha * outer - (1 + beta / alpha) * inner,
    }[method]


@pytest.mark.parametrize("n", [1, 2, 3, 4])
@pytest.mark.parametrize("method", METHODS)
def test_every_gradient_is_that_of_finite_differences(method, n):
    f, beta = Multilinear(n, seed=n), 0.3 / (2 * n - 1)
    # OIR_W is the limit of a thin rim.
    alpha = 1e-4 if method == "oir_w" else 0.05
    generator = torch.Generator().manual_seed(10 + n)
    a = torch.rand(n, generator=generator, dtype=DOUBLE)
    b = a + 0.2 + torch.rand(n, generator=generator, dtype=DOUBLE)
    settings = Settings(method, alpha, beta, 0.1, 0.4, 1, False, 16)
    da, db = descent(f.evaluate, a[None], b[None], settings, 0)
    h = 1e-6
    for axis in range(n):
        e = torch.zeros(n, dtype=DOUBLE)
        e[axis] = h
        options = {"alpha": alpha, "beta": beta, "lam": 0.1}
        low = (loss(f, a + e, b, method, **options) - loss(f, a - e, b, method, **options)) / (2 * h)
        up = (loss(f, a, b + e, method, **options) - loss(f, a, b - e, method, **options)) / (2 * h)
        close = 1e-3 if method == "oir_w" else 1e-8
        assert da[0, axis].item() == pytest.approx(low.item(), abs=close)
        assert db[0, axis].item() == pytest.approx(up.item(), abs=close)


def test_face_means_are_integrals_over_the_area_and_the_price_is_not():
    f = Multilinear(3)
    a, b = torch.full((1, 3), 0.1, dtype=DOUBLE), torch.tensor([[0.3, 0.5, 0.9]], dtype=DOUBLE)
    r, area = b - a, torch.tensor([[0.4 * 0.8, 0.2 * 0.8, 0.2 * 0.4]], dtype=DOUBLE)
    for method in METHODS:
        means = descent(f.evaluate, a, b, Settings(method, 0.05, 0.1, 0.0, 0.4, 1, True, 16), 0)
        whole = descent(f.evaluate, a, b, Settings(method, 0.05, 0.1, 0.0, 0.4, 1, False, 16), 0)
        assert torch.allclose(means[0] * area, whole[0], atol=1e-12)
        assert torch.allclose(means[1] * area, whole[1], atol=1e-12)
    priced = descent(f.evaluate, a, b, Settings("naive", 0.05, 0.1, 2.0, 0.4, 1, True, 16), 0)[0]
    free = descent(f.evaluate, a, b, Settings("naive", 0.05, 0.1, 0.0, 0.4, 1, True, 16), 0)[0]
    assert torch.allclose(priced, free - 2.0 * r)


def bump(width, center=0.5):
    return lambda job, u: torch.exp(-((u - center) ** 2).sum(1) / (2 * width**2))


def start(n=1, jobs=1, at=0.5):
    return torch.full((jobs, n), at, dtype=DOUBLE)


def half(found, job=0):
    return ((found.upper - found.lower)[job] / 2).tolist()


def test_level_stops_where_the_bump_has_the_level():
    for level in (0.3, 0.5, 0.8):
        found = find_regions(bump(0.1), start(), level=level)
        assert half(found)[0] == pytest.approx(0.1 * math.sqrt(2 * math.log(1 / level)), abs=1e-4)
        assert found.status == ("found",)


def test_naive_stops_where_the_bump_equals_the_price_of_its_size():
    # In units of the range: f(c) = 2 lam c. methods.md: lam .01, s 30 gives 30.162 on a range of 360.
    found = find_regions(bump(30 / 360), start(), method="naive", lam=0.01 * 360, steps=4000)
    assert half(found)[0] * 360 == pytest.approx(30.162, abs=0.01)
    flat = find_regions(lambda job, u: torch.full_like(u[:, 0], 0.9), start(), method="naive", lam=1.5, steps=4000)
    assert half(flat)[0] == pytest.approx(0.9 / 1.5 / 2, abs=1e-3)


def test_oir_w_with_the_sign_of_the_released_code_stops_at_the_top_of_a_slope():
    s = 0.1
    found = find_regions(bump(s), start(), method="oir_w", beta=0.3, grad_sign=-1, steps=4000)
    assert half(found)[0] == pytest.approx(s * math.sqrt(0.7 / 0.3), abs=1e-3)


def test_as_derived_oir_grows_as_long_as_there_is_confidence():
    found = find_regions(bump(0.05), start(), method="oir_w", beta=0.3, grad_sign=1)
    edge = bump(0.05)(None, found.upper.clamp(max=1)).item()
    assert edge < 0.02


@pytest.mark.parametrize("n", [1, 2, 3, 6])
def test_a_plateau_is_found_in_any_dimension(n):
    def plateau(job, u):
        # 0.9 on [.25, .75]^n with slopes of some hundredths of the range.
        return 0.9 * torch.sigmoid((0.25 - (u - 0.5).abs()) / 0.01).prod(1)

    for method in ("level", "oir_w"):
        found = find_regions(plateau, start(n), method=method, level=0.45)
        assert found.lower[0].tolist() == pytest.approx([0.25] * n, abs=0.05)
        assert found.upper[0].tolist() == pytest.approx([0.75] * n, abs=0.05)
        inside = found.inside(plateau, samples=512)
        assert 0.8 < inside.mean[0] <= 0.9
    if n >= 3:
        paper = find_regions(plateau, start(n), method="naive", face_means=False, steps=200)
        assert paper.volume[0] < 0.01


def test_the_order_of_parameters_does_not_matter():
    tilted = lambda job, u: torch.exp(-((u[:, 0] - 0.5) ** 2) / 0.02 - (u[:, 1] - 0.4) ** 2 / 0.005)  # noqa: E731
    turned = lambda job, u: tilted(job, u.flip(1))  # noqa: E731
    first = find_regions(tilted, torch.tensor([[0.5, 0.45]], dtype=DOUBLE))
    second = find_regions(turned, torch.tensor([[0.45, 0.5]], dtype=DOUBLE))
    assert torch.allclose(first.lower.flip(1), second.lower)
    assert torch.allclose(first.upper.flip(1), second.upper)


def ridge(u):
    """A confidence of three variables that is the same in no two of them, nor on both sides of any."""
    center, width = u.new_tensor([0.5, 0.4, 0.6]), u.new_tensor([0.2, 0.1, 0.3])
    z = (u - center) / width
    return torch.exp(-(z**2).sum(1) / 2 - 0.2 * z[:, 0] * z[:, 1]) * (1 - 0.1 * u[:, 2])


@pytest.mark.parametrize("method", METHODS)
def test_names_and_directions_of_parameters_do_not_matter(method):
    at = torch.tensor([[0.5, 0.45, 0.55]], dtype=DOUBLE)
    options = {"method": method, "steps": 60}
    found = find_regions(lambda job, u: ridge(u), at, **options)
    turn, back = [2, 0, 1], [1, 2, 0]
    other = find_regions(lambda job, u: ridge(u[:, back]), at[:, turn], **options)
    assert torch.allclose(found.lower[:, turn], other.lower, atol=1e-12)
    assert torch.allclose(found.upper[:, turn], other.upper, atol=1e-12)
    mirrored = find_regions(lambda job, u: ridge(1 - u), 1 - at, **options)
    assert torch.allclose(1 - found.upper, mirrored.lower, atol=1e-12)
    assert (found.upper - found.lower).min() > 0.02


@pytest.mark.parametrize("method", METHODS)
def test_units_do_not_matter(method):
    # A bump in degrees, and the same in turns: another range, the same box in its own units.
    low, high = [], []
    for unit in (1.0, 360.0):
        start_at, length = -10.0 / unit, 100.0 / unit

        def bump_in_units(job, u, unit=unit, start_at=start_at, length=length):
            return torch.exp(-(((start_at + length * u) * unit - 35.0) ** 2).sum(1) / 200.0)

        found = find_regions(bump_in_units, start(1, at=0.4), method=method, steps=200)
        low.append((start_at + length * found.lower.item()) * unit)
        high.append((start_at + length * found.upper.item()) * unit)
    assert low[0] == pytest.approx(low[1], abs=1e-9)
    assert high[0] == pytest.approx(high[1], abs=1e-9)


def test_a_constant_fills_the_domain_or_collapses():
    for confidence, status, volume in ((0.7, "found", 1.0), (0.3, "collapsed", 0.0)):
        found = find_regions(lambda job, u, c=confidence: torch.full_like(u[:, 0], c), start(2, 3), level=0.5)
        assert set(found.status) == {status}
        assert found.volume.tolist() == pytest.approx([volume] * 3)


def test_nine_dimensions_take_random_points_of_faces():
    wide = lambda job, u: ((u - 0.5).abs() < 0.3).double().prod(1)  # noqa: E731
    found = find_regions(wide, start(9), steps=150)
    assert found.lower[0].tolist() == pytest.approx([0.2] * 9, abs=0.05)
    with pytest.raises(SpecError, match="512 corners"):
        find_regions(wide, start(9), method="oir_w")


def test_a_designed_hole_is_found():
    # Corners pass by a hole that is smaller than a step and off every diagonal of the box.
    center = torch.tensor([0.62, 0.41], dtype=DOUBLE)
    hole = lambda job, u: 1.0 - ((u - center).abs() < 0.05).double().prod(1)  # noqa: E731
    found = find_regions(hole, torch.tensor([[0.3, 0.3]], dtype=DOUBLE))
    inside = found.inside(hole, samples=1024)
    assert found.volume[0] == pytest.approx(1.0)
    assert inside.holes[0] == pytest.approx(0.01, abs=0.004)
    assert inside.lowest[0] == 0.0
    assert inside.satisfied(0.05, 0.05).tolist() == [True]
    assert inside.satisfied(0.001, 0.05).tolist() == [False]


def test_jobs_of_a_batch_do_not_see_each_other():
    centers = torch.tensor([0.3, 0.5, 0.6], dtype=DOUBLE)
    many = lambda job, u: torch.exp(-((u[:, 0] - centers[job]) ** 2) / 0.02)  # noqa: E731
    together = find_regions(many, centers[:, None], batch=5)
    for place in range(3):
        alone = find_regions(lambda job, u, p=place: many(job + p, u), centers[place : place + 1, None])
        assert torch.allclose(together.lower[place], alone.lower[0])
        assert torch.allclose(together.upper[place], alone.upper[0])


def test_what_cannot_be_searched_says_so():
    def mixed(job, u):
        value = torch.where(job == 0, 0.1, 0.9).double()
        return torch.where((job == 2) & (u[:, 0] > 0.55), torch.nan, value)

    found = find_regions(mixed, start(1, 3), least=0.5)
    assert found.status == ("wrong at the start", "found", "not a number")
    assert found.steps[0] == 0
    assert found.volume[:2].tolist() == [0.0, 1.0]
    assert np.isnan(found.volume[2])
    assert np.isnan(found.inside(mixed).mean[[0, 2]]).all()
    assert found.lower[0].isnan().all()
    whole = find_regions(lambda job, u: torch.full_like(u[:, 0], torch.nan), start())
    assert whole.status == ("not a number",)


def test_a_search_that_is_cut_short_says_so():
    found = find_regions(bump(0.1), start(), steps=5)
    assert found.status == ("unfinished",)
    assert 0 < found.volume[0] < 0.1


def test_without_projection_boxes_leave_the_domain_and_only_what_is_inside_counts():
    found = find_regions(lambda job, u: torch.full_like(u[:, 0], 0.9), start(at=0.9), project=False, steps=100)
    assert found.upper.item() > 1.0
    assert found.volume[0] == pytest.approx(1.0 - found.lower.item())


def test_physical_units_scale_the_search_and_not_the_answer():
    # A hundredth of the rate and of the price on a range of a hundred: the same box.
    shares = find_regions(bump(0.1), start(), method="naive", lam=1.0, rate=0.005)
    degrees = find_regions(
        bump(0.1), start(), method="naive", lam=0.01, rate=0.5, half_width=1.0, lengths=[100.0], project=False
    )
    assert torch.allclose(shares.lower, degrees.lower, atol=1e-9)
    assert degrees.trace.max() < 1


PUBLISHED = {
    "rate": 0.1, "half_width": 1e-5, "alpha": 0.05, "beta": 0.0009, "lam": 0.1, "face_means": False, "project": False,
    "lengths": (360.0, 100.0),
}  # fmt: skip


def test_the_published_setting_grows_from_a_hundred_thousandth_of_a_degree():
    # A constant c: each side grows by 2 rate (c - lam) of itself a step, or shrinks where c is below lam.
    at = torch.tensor([[0.4, 0.5], [0.9, 0.2]])  # single floats, as analyzers give them
    for confidence, growth in ((0.9, 1.16), (0.05, 0.99)):
        found = find_regions(
            lambda job, u, c=confidence: torch.full_like(u[:, 0], c), at, method="naive", steps=90, **PUBLISHED
        )
        side = 2e-5 * growth**90
        grown = side > 1
        assert set(found.status) == {"unfinished" if grown else "collapsed"}
        assert found.steps.tolist() == [90, 90]
        assert found.volume.tolist() == pytest.approx([side**2 / 36000 if grown else 0.0] * 2, rel=1e-3)


def test_a_box_that_runs_away_is_stopped_and_covers_the_domain():
    # Sure of itself everywhere: without projection nothing holds the box, and far out there are no numbers any more.
    sure = lambda job, u: torch.where(u.abs().amax(1) < 100, 0.9, torch.nan)  # noqa: E731
    found = find_regions(sure, torch.tensor([[0.4, 0.5]]), method="naive", **PUBLISHED)
    assert found.status == ("unfinished",)
    assert found.steps[0] < 150
    assert found.volume[0] == 1.0


def test_a_plateau_in_degrees_has_the_side_of_its_height_over_the_price():
    # methods.md: 0.9 over a price of 0.1 is a side of 9, in one dimension, in units of the range.
    found = find_regions(
        lambda job, u: torch.full_like(u[:, 0], 0.9), start(), method="naive", lam=0.1, rate=0.1, half_width=1e-5,
        lengths=[360.0], face_means=False, project=False, steps=2000,
    )  # fmt: skip
    assert half(found)[0] * 2 * 360 == pytest.approx(9.0, abs=0.05)


def test_steps_and_memory_are_bounded():
    seen = []

    def watched(job, u):
        seen.append(len(u))
        return torch.exp(-((u - 0.5) ** 2).sum(1) / 0.02)

    for method in METHODS:
        seen.clear()
        find_regions(watched, start(3, 10), method=method, steps=7, batch=16)
        assert max(seen) <= 16
        corners = 10 * 8 * (2 if method == "oir_b" else 1)
        assert sum(seen) <= 10 + 7 * corners


def test_a_confidence_without_a_gradient_is_refused_where_one_is_read():
    bias = torch.tensor(0.7, requires_grad=True)
    for f in (lambda job, u: torch.full_like(u[:, 0], 0.7), lambda job, u: bias.expand(len(u))):
        for method in ("oir_w", "trap"):
            with pytest.raises(UnsupportedModel, match="take level"):
                find_regions(f, start(2), method=method)
    assert find_regions(lambda job, u: bias.expand(len(u)), start(2)).volume[0] == pytest.approx(1.0)


def test_a_confidence_of_another_shape_is_refused():
    with pytest.raises(DataError, match=r"\(1, 1\)"):
        find_regions(lambda job, u: u[:, :1], start())
    with pytest.raises(DataError, match="a confidence each"):
        find_regions(bump(0.1), start(2)).inside(lambda job, u: u)


def test_a_hole_that_is_not_a_number_is_no_share():
    center = torch.tensor([0.62, 0.41], dtype=DOUBLE)
    broken = lambda job, u: torch.where(((u - center).abs() < 0.05).all(1), torch.nan, 1.0)  # noqa: E731
    found = find_regions(broken, torch.tensor([[0.3, 0.3]], dtype=DOUBLE))
    inside = found.inside(broken, samples=1024)
    assert found.status == ("found",)
    assert np.isnan([inside.holes[0], inside.lowest[0], inside.mean[0]]).all()
    assert inside.satisfied(0.5, 1.0).tolist() == [False]
    with pytest.raises(SpecError, match="a variance needs two"):
        found.inside(broken, samples=1)


def test_the_trace_runs_from_the_first_box_to_the_last():
    found = find_regions(bump(0.1), start(2, 4), steps=300)
    assert found.trace.shape[1:] == (4, 2, 2)
    assert len(found.trace) <= 52
    assert torch.equal(found.trace[-1, :, 0], found.lower)
    assert found.trace[0, 0, 0].tolist() == pytest.approx([0.49, 0.49])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "levle"}, "did you mean level"),
        ({"steps": 0}, "above 0"),
        ({"half_width": 0.7}, "half_width"),
        ({"method": "oir_w", "beta": 2.0}, "beta < 2"),
        ({"level": math.nan}, "level nan"),
        ({"rate": math.inf}, "rate inf"),
        ({"alpha": 0.0}, "alpha above 0"),
        ({"lam": -1.0}, "lam from 0"),
        ({"grad_sign": 0}, "1 or -1"),
        ({"lengths": [math.inf]}, "1 numbers above 0"),
    ],
)
def test_options_out_of_range(options, message):
    with pytest.raises(SpecError, match=message):
        find_regions(bump(0.1), start(), **options)


def test_starts_out_of_the_domain():
    with pytest.raises(DataError, match=r"start 1 is \[1\.5\]"):
        find_regions(bump(0.1), torch.tensor([[0.5], [1.5]]))
    with pytest.raises(DataError, match=r"start 0 is \[nan\]"):
        find_regions(bump(0.1), torch.tensor([[torch.nan]]))
    for strange in (torch.zeros(3), torch.zeros(0, 2), torch.zeros(1, 2, dtype=torch.long)):
        with pytest.raises(DataError, match="shape"):
            find_regions(bump(0.1), strange)


def test_srvr_draws_objects_not_regions():
    rng = np.random.default_rng(0)
    levels = rng.uniform(0.1, 0.5, 10)
    volumes, objects = np.repeat(levels, 8), np.repeat(np.arange(10), 8)
    found = srvr(volumes, objects)
    assert found.value == pytest.approx(levels.mean())
    # Eight copies of a number are one: the interval is about that of a t interval over ten.
    half_width = 2.262 * levels.std(ddof=1) / math.sqrt(10)
    assert (found.high - found.low) / 2 == pytest.approx(half_width, rel=0.15)
    assert srvr(volumes[:8], objects[:8]).objects == 1
    assert np.isnan(srvr(volumes[:72], objects[:72]).low), "nine objects are too few for an interval"
    assert srvr([np.nan, 0.2, 0.4], [0, 1, 2]).undefined == 1
    assert np.isnan(srvr([np.nan], [0]).value)
    with pytest.raises(DataError):
        srvr([0.1, 0.2], [0])


def test_srvr_is_what_drawing_whole_objects_by_hand_gives():
    # Objects with different numbers of regions, undefined ones among them, drawn one by one.
    rng = np.random.default_rng(3)
    objects = np.repeat(np.arange(12), rng.integers(2, 7, 12))
    volumes = rng.uniform(0, 0.3, 12)[objects] + rng.uniform(0, 0.1, len(objects))
    volumes[[0, 9]] = np.nan
    mine = [volumes[objects == one] for one in range(12)]
    drawn = [
        np.mean([np.nanmean(mine[one]) for one in rng.integers(0, 12, 12)])
        for _ in range(3_000)
    ]  # fmt: skip
    tail = norm.cdf(-math.sqrt(12 / 11) * student.ppf(0.975, 11))
    found = srvr(volumes, objects, draws=20_000)
    assert found.value == pytest.approx(np.mean([np.nanmean(one) for one in mine]))
    assert [found.low, found.high] == pytest.approx(np.quantile(drawn, [tail, 1 - tail]).tolist(), abs=6e-3)
    with pytest.raises(SpecError, match="0 draws"):
        srvr(volumes, objects, draws=0)


def test_percentiles_are_taken_further_out_for_few_objects():
    each = np.linspace(0.1, 0.5, 10) ** 2
    means = each[np.random.default_rng(0).integers(0, 10, (2000, 10))].mean(axis=1)
    tail = norm.cdf(-math.sqrt(10 / 9) * student.ppf(0.975, 9))
    found = srvr(each, np.arange(10))
    assert [found.low, found.high] == pytest.approx(np.quantile(means, [tail, 1 - tail]).tolist())
    assert found.low < np.quantile(means, 0.025)


def test_the_interval_of_srvr_covers():
    rng, hits = np.random.default_rng(1), 0
    for _ in range(300):
        levels = np.clip(rng.normal(0.3, 0.1, 10), 0, 1)
        found = srvr(levels, np.arange(10), draws=500, generator=rng)
        hits += found.low <= 0.3 <= found.high
    assert hits / 300 > 0.91
