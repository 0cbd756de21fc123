"""The procedures do what they promise: coverage, false verdicts and power, by simulation with fixed seeds.

A range is wide enough for chance and narrow enough that leaving out any part of a procedure falls out of it.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.special import bdtr, bdtrc, expit

from biaskit import stats

SEEDS = (3, 5, 10)
#: mu that gives a true rate under `answers` (r = 0.2)
MU = {0.80: 2.9935, 0.88: 4.1864, 0.90: 4.5693, 0.93: 5.2693, 0.95: 5.8815, 0.97: 6.7411}
MU_95_WIDE = 6.0183  # the same for a true rate of 0.95 at r = 0.8


def answers(rng, sizes, mu_a, mu_b, r=0.2, rho=0.4, seeds=10):
    """Right or wrong of two arms, (seeds, images) each: logit = mu_g + image + image of the arm + seed."""
    n = int(np.sum(sizes))
    image = rng.normal(0, 3, n).astype(np.float32)
    z_a = rng.normal(size=seeds)
    z_b = rho * z_a + np.sqrt(1 - rho**2) * rng.normal(size=seeds)
    arms = []
    for mu, z in ((mu_a, z_a), (mu_b, z_b)):
        own = np.repeat(np.asarray(mu, np.float32), sizes) + image + rng.normal(0, 0.7, n).astype(np.float32)
        logit = own + (r * z[:, None]).astype(np.float32)
        arms.append((rng.random(logit.shape, dtype=np.float32) < expit(logit)).astype(np.float64))
    return arms


def check_within(measured, ranges):
    """Every measured number in its range, all of them named if one is not."""
    measured = np.atleast_1d(measured)
    ok = [low <= value <= high for value, (low, high) in zip(measured, ranges, strict=True)]
    assert all(ok), f"measured {np.round(measured, 4).tolist()}, must lie in {ranges}"


def found_and_covered(rng, sims, sizes, mu_a, mu_b, truth=0.0, coefficients=None, groups=None, **options):
    """Share of verdicts and share of intervals that hold the truth, per number of seeds."""
    found, covered = np.zeros(len(SEEDS)), np.zeros(len(SEEDS))
    for _ in range(sims):
        a, b = answers(rng, sizes, mu_a, mu_b, **options)
        for i, s in enumerate(SEEDS):
            d = stats.difference(a[:s], b[:s], coefficients, groups)
            found[i] += d.p <= 0.05
            covered[i] += d.low <= truth <= d.high
    return found / sims, covered / sims


# A: rate intervals, by enumeration


@pytest.mark.parametrize("n", [10, 50, 500, 9_500])
def test_a_rate_intervals(n):
    p, k = np.linspace(0.80, 0.9995, 2_000), np.arange(n + 1)

    def misses(interval):
        low, high = interval(k, n)
        # Both ends grow with k, so what misses is a tail of the binomial.
        too_high, too_low = np.searchsorted(low, p, side="right"), np.searchsorted(high, p, side="left")
        return bdtrc(too_high - 1.0, n, p) * (too_high > 0) + (too_high == 0), np.where(
            too_low > 0, bdtr(np.maximum(too_low - 1.0, 0), n, p), 0
        )

    over, under = misses(stats.wilson)
    coverage = 1 - over - under
    check_within([coverage.mean(), over.max()], [(0.945, 0.96), (0, 0.032)])
    over, under = misses(stats.clopper_pearson)
    assert (1 - over - under).min() >= 0.95


# B: the attribute of one model


ACCURACY = expit(np.linspace(2.2, 5, 10))[:, None]
LAYOUT = {"equal": np.tile([50, 950], (10, 1)), "turning": np.array([[50, 950], [950, 50]] * 5)}


@pytest.mark.parametrize("layout", LAYOUT)
def test_b1_permutation_null(layout):
    rng, n = np.random.default_rng(11), LAYOUT[layout]
    hits = sum(stats.attribute_test(rng.binomial(n, ACCURACY), n, rng, 499).p <= 0.05 for _ in range(2_000))
    check_within(hits / 2_000, [(0.030, 0.062)])


def test_b2_permutation_power():
    rng, n = np.random.default_rng(12), LAYOUT["equal"]
    p = expit(np.linspace(2.2, 5, 10)[:, None] + [-0.6, 0])
    hits = sum(stats.attribute_test(rng.binomial(n, p), n, rng, 499).p <= 0.05 for _ in range(1_000))
    check_within(hits / 1_000, [(0.76, 0.87)])


@pytest.mark.parametrize(
    ("sizes", "p", "floor"),
    [([100] * 10, 0.9, 0.092), ([50] * 20, 0.9, 0.155), ([50] * 10 + [950] * 10, 0.95, 0.092)],
)
def test_b3_pure_noise_floor(sizes, p, floor):
    rng, n = np.random.default_rng(13), np.array(sizes)[:, None]
    floors = [stats.noise_floor(rng.binomial(n, p), n, rng, draws=99).gap for _ in range(300)]
    check_within(np.mean(floors), [(floor - 0.004, floor + 0.004)])


# C, D: extremes of one model


MIXED = np.array([50] * 10 + [950] * 10)
ONE_BAD = np.array([0.70] + [0.95] * 19)


def test_c_half_split_has_little_bias():
    rng, n = np.random.default_rng(21), np.full(10, 100)
    gaps = [stats.max_min_gap(rng.binomial(n, 0.9), n, rng) for _ in range(1_000)]
    check_within(
        [np.mean([g.estimate for g in gaps]), np.mean([g.observed for g in gaps])],
        [(-0.005, 0.005), (0.088, 0.096)],
    )
    counts = rng.binomial(MIXED, ONE_BAD, (1_000, 20))
    wga = np.mean([stats.worst_group(k, MIXED, rng).estimate for k in counts])
    gap = np.mean([stats.max_min_gap(k, MIXED, rng).estimate for k in counts])
    check_within([wga, gap], [(0.695, 0.717), (0.230, 0.258)])


@pytest.mark.parametrize(
    ("sizes", "p"), [(np.full(20, 50), np.full(20, 0.95)), (MIXED, np.full(20, 0.95)), (MIXED, ONE_BAD)]
)
def test_d_intervals_of_extremes(sizes, p):
    rng, sims = np.random.default_rng(22), 2_000
    wga_hits = gap_hits = claims = 0
    for k in rng.binomial(sizes, p, (sims, 20)):
        wga = stats.worst_group(k, sizes, rng, splits=1)
        gap = stats.max_min_gap(k, sizes, rng, splits=1)
        wga_hits += wga.low <= p.min() <= wga.high
        gap_hits += gap.low <= np.ptp(p) <= gap.high
        claims += gap.low > 0
    check_within([wga_hits / sims, gap_hits / sims], [(0.965, 1), (0.965, 1)])
    if np.ptp(p) == 0:
        assert claims / sims <= 0.005


# E: the rate of an arm


@pytest.mark.parametrize(("n", "rate", "least"), [(50, 0.95, (0.97, 0.94, 0.91)), (950, 0.97, (0.96, 0.945, 0.93))])
def test_e_rate_of_an_arm(n, rate, least):
    rng, covered = np.random.default_rng(31), np.zeros(3)
    for _ in range(500):
        for x in answers(rng, [n], MU[rate], MU[rate], rho=0):
            for i, s in enumerate(SEEDS):
                interval = stats.arm_rate(x[:s])
                covered[i] += interval.low <= rate <= interval.high
    check_within(covered / 1_000, [(low, 1) for low in least])


# F: the difference of two arms


def test_f1_null_many_images():
    found, _ = found_and_covered(np.random.default_rng(41), 1_000, [2_000], MU[0.95], MU[0.95])
    check_within(found, [(0.015, 0.060), (0.022, 0.065), (0.022, 0.065)])


def test_f2_null_few_images():
    found, _ = found_and_covered(np.random.default_rng(42), 1_000, [50], MU[0.95], MU[0.95])
    check_within(found, [(0, 0.025)] * 3)


def test_f3_effect_few_images():
    found, covered = found_and_covered(np.random.default_rng(43), 1_000, [50], MU[0.90], MU[0.97], truth=0.07)
    check_within(covered, [(0.95, 1), (0.94, 1), (0.925, 1)])
    check_within(found, [(0.25, 0.40), (0.60, 0.76), (0.89, 1)])


def test_f4_null_gap():
    groups = np.repeat([0, 1], [100, 1_900])
    mu, c = [MU[0.93], MU[0.97]], stats.image_coefficients([1, -1], groups)
    found, _ = found_and_covered(np.random.default_rng(44), 1_000, [100, 1_900], mu, mu, coefficients=c, groups=groups)
    check_within(found, [(0, 0.05)] * 3)


def test_f5_effect_many_images():
    found, _ = found_and_covered(np.random.default_rng(45), 1_000, [2_000], MU[0.93], MU[0.95])
    check_within(found, [(0.42, 0.56), (0.89, 0.97), (0.99, 1)])


def test_f6_null_unsteady_seeds():
    found, _ = found_and_covered(np.random.default_rng(46), 1_000, [2_000], MU_95_WIDE, MU_95_WIDE, r=0.8)
    check_within(found, [(0.022, 0.070)] * 3)


def test_f7_null_unshared_seeds():
    rng, found = np.random.default_rng(47), np.zeros(3)
    for _ in range(2_000):
        a, b = answers(rng, [2_000], MU[0.95], MU[0.95], rho=0)
        for i, (s, t) in enumerate([(3, 3), (5, 5), (3, 10)]):
            found[i] += stats.difference(a[:s], b[:t], None, None, range(s), range(100, 100 + t)).p <= 0.05
    check_within(found / 2_000, [(0.012, 0.055), (0.02, 0.065), (0.025, 0.075)])


# G: the difference of worst groups


SIZES = np.array([50] * 10 + [300] * 10)


def worst_group_verdicts(rng, rates_a, rates_b, sims=200):
    groups, found = np.repeat(np.arange(20), SIZES), np.zeros(3)
    splits = stats.half_splits(groups, rng)
    mu_a, mu_b = ([MU[rate] for rate in rates] for rates in (rates_a, rates_b))
    for _ in range(sims):
        a, b = answers(rng, SIZES, mu_a, mu_b)
        for i, s in enumerate(SEEDS):
            found[i] += stats.worst_group_difference(a[:s], b[:s], groups, splits).p <= 0.05
    return found / sims


def test_g1_one_bad_group_against_ten_mild_ones():
    found = worst_group_verdicts(np.random.default_rng(51), [0.88] + [0.97] * 19, [0.90] * 10 + [0.97] * 10)
    check_within(found, [(0, 0.07), (0, 0.09), (0, 0.13)])


def test_g2_one_group_repaired():
    found = worst_group_verdicts(np.random.default_rng(52), [0.80] + [0.97] * 19, [0.90] + [0.97] * 19)
    check_within(found, [(0.15, 0.36), (0.40, 0.64), (0.82, 1)])


# H: distance scores


def test_h_log_ratio_null():
    rng, found, n = np.random.default_rng(61), np.zeros(3), 600
    for _ in range(1_000):
        z_a = rng.normal(size=(10, 1))
        z_b = 0.4 * z_a + np.sqrt(1 - 0.4**2) * rng.normal(size=(10, 1))
        image = 1.5 * rng.normal(size=n)
        a, b = (np.exp(0.3 * z + image + 0.4 * rng.normal(size=n) + 0.6 * rng.normal(size=(10, n))) for z in (z_a, z_b))
        for i, s in enumerate(SEEDS):
            found[i] += stats.log_ratio(a[:s], b[:s]).difference.p <= 0.05
    check_within(found / 1_000, [(0.028, 0.072)] * 3)


# J, K: what could have been seen; families


def summary(estimate, variance, seeds, var_image=0.09):
    """A Difference from its numbers, for simulations that need no images."""
    d = stats.Difference(
        estimate=float(estimate), low=np.nan, high=np.nan, p=np.nan, a=0.0, b=float(estimate),
        se_seed=float(np.sqrt(variance / seeds)), se_image=float(np.sqrt(var_image)), df=seeds - 1.0,
        seeds=seeds, seeds_each=(seeds, seeds), n=100, image_share=np.nan, pairing="paired",
        seed_variances=(float(variance),),
    )  # fmt: skip
    return dataclasses.replace(d, p=d.p_at(d.estimate))


@pytest.mark.parametrize("seeds", SEEDS)
def test_j_smallest_detectable_and_equivalence(seeds):
    rng, sims = np.random.default_rng(71), 20_000
    scatter = np.sqrt(1.2) * rng.normal(size=(sims, seeds)) + 0.3 * rng.normal(size=(sims, 1))
    mean, variance = scatter.mean(1), scatter.var(1, ddof=1)
    effect = stats.smallest_detectable(summary(0, 1.2, seeds))
    found = np.abs(mean + effect) >= stats.half_width(0.05, variance / seeds, 0.09, seeds - 1)
    equivalent = 4 - np.abs(mean + 4) >= stats.half_width(0.10, variance / seeds, 0.09, seeds - 1)
    check_within([found.mean(), equivalent.mean()], [(0.78, 0.83), (0, 0.055)])
    for i in range(300):
        d = summary(mean[i] + effect, variance[i], seeds)
        assert (d.p <= 0.05) == found[i]
        assert (stats.tost(dataclasses.replace(d, estimate=mean[i] + 4), 4) <= 0.05) == equivalent[i]


@pytest.mark.parametrize("seeds", SEEDS)
def test_k_family_wise_error(seeds):
    rng, sims = np.random.default_rng(72), 5_000
    mix = np.linalg.cholesky([[1, 0.6], [0.6, 1]])
    common, own = rng.normal(size=(sims, seeds, 1, 2)) @ mix.T, rng.normal(size=(sims, seeds, 3, 2)) @ mix.T
    image = rng.normal(size=(sims, 1, 3, 2)) @ mix.T
    m = np.sqrt(0.4) * common + np.sqrt(0.6) * own + 0.21 * image
    d = np.concatenate([m[:, :, [1, 2]] - m[:, :, [0]], m[:, :, [2]] - m[:, :, [1]]], axis=2).reshape(sims, seeds, 6)
    mean, variance = d.mean(1), d.var(1, ddof=1)
    # Only where one of the six would have a verdict alone can the family have one.
    alone = (np.abs(mean) >= stats.half_width(0.05, variance / seeds, 0.09, seeds - 1)).any(1)
    false = 0
    for i in np.flatnonzero(alone):
        family = [summary(e, v, seeds) for e, v in zip(mean[i], variance[i], strict=True)]
        false += any(verdict.word != "inconclusive" for verdict in stats.judge(family, ["higher"] * 6))
    assert alone.mean() > 0.15
    assert false / sims <= 0.04
