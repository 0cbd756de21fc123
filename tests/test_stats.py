"""Known answers, edge cases and rules of biaskit.stats; the long-run promises are in test_acceptance."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy import stats as reference
from scipy.stats.contingency import odds_ratio

from biaskit import stats
from biaskit.errors import DataError


def rows(text):
    return np.array([[int(digit) for digit in row] for row in text.split()])


@pytest.fixture
def hand():
    """The example computed by hand: three seeds, one group of eight images."""
    return rows("11100110 11001110 11100100"), rows("11111110 11101110 11110111")


def noisy(seed=0, seeds=5, n=400, p=(0.90, 0.92)):
    """Two arms of independent answers."""
    rng = np.random.default_rng(seed)
    return [(rng.random((seeds, n)) < one).astype(float) for one in p]


# Intervals of rates


def test_rate_intervals_known_answers():
    np.testing.assert_allclose(stats.wilson(45, 50), [0.78640, 0.95652], atol=5e-6)
    np.testing.assert_allclose(stats.clopper_pearson(45, 50), [0.78186, 0.96672], atol=5e-6)
    np.testing.assert_allclose(stats.clopper_pearson(10, 10), [0.69150, 1], atol=5e-6)
    np.testing.assert_allclose(stats.clopper_pearson([0, 1], 1), [[0, 0.025], [0.975, 1]], atol=1e-9)


@pytest.mark.parametrize("level", [0.8, 0.95, 0.999])
@pytest.mark.parametrize(("function", "method"), [(stats.wilson, "wilson"), (stats.clopper_pearson, "exact")])
def test_rate_intervals_agree_with_scipy(function, method, level):
    for k, n in [(0, 7), (3, 10), (10, 10), (495, 500)]:
        expected = reference.binomtest(k, n).proportion_ci(level, method)
        np.testing.assert_allclose(function(k, n, level), expected, atol=1e-12)


def test_rate_intervals_broadcast_and_leave_empty_groups_undefined():
    for function in (stats.wilson, stats.clopper_pearson):
        low, high = function([[0, 5, 10]], [[0], [10]][1])
        assert low.shape == (1, 3)
        low, high = function([0, 3], [0, 3])
        assert np.isnan([low[0], high[0]]).all()
        assert low[1] < 1 == high[1]
        with pytest.raises(DataError, match="11 successes of n = 10"):
            function(11, 10)


def test_newcombe_and_kish_known_answers():
    gap = stats.newcombe(56 / 70, stats.wilson(56, 70), 48 / 80, stats.wilson(48, 80))
    np.testing.assert_allclose(gap, [0.05243, 0.33387], atol=5e-6)
    gap = stats.newcombe(45 / 50, stats.wilson(45, 50), 930 / 950, stats.wilson(930, 950))
    np.testing.assert_allclose(gap, [-0.19279, -0.02132], atol=5e-6)
    assert stats.kish([0.5, 0.5], [50, 950]) == pytest.approx(190)
    assert stats.kish([1, 0], [50, 0]) == 50
    assert stats.kish([0.5, 0.5], [50, 0]) == 0


def test_same_images_twice():
    b, c, n = 12, 5, 200
    p1, p2 = 13 / 202, 6 / 202
    h = 1.959964 * np.sqrt((p1 + p2 - (p1 - p2) ** 2) / 202)
    np.testing.assert_allclose(stats.bonett_price(b, c, n), [p1 - p2 - h, p1 - p2 + h], atol=1e-7)
    assert np.isnan(stats.bonett_price(0, 0, 0)).all()
    for b, c in [(12, 5), (0, 4), (3, 3), (1, 0)]:
        assert stats.mcnemar(b, c) == pytest.approx(reference.binomtest(min(b, c), b + c).pvalue)
    assert stats.mcnemar(0, 0) == 1


# The attribute of one model


def test_standardized_gap_by_hand():
    gap = stats.attribute_gap([[9, 16], [5, 10], [3, 0]], [[10, 20], [10, 20], [3, 0]])
    assert gap.left_out == (2,)
    assert gap.rates.tolist() == pytest.approx([0.7, 0.65])
    assert gap.estimate == pytest.approx(0.05)
    assert gap.n_effective.tolist() == pytest.approx([20, 40])
    ends = [stats.wilson(p * n, n) for p, n in ((0.7, 20), (0.65, 40))]
    np.testing.assert_allclose((gap.low, gap.high), stats.newcombe(0.7, ends[0], 0.65, ends[1]))


def test_standardized_gap_does_not_see_the_mix_of_labels():
    """Pooled, value 0 has 860 of 1,000 right and value 1 has 540; within every label they are alike."""
    n = np.array([[900, 100], [100, 900]])
    correct = n * np.array([[0.9], [0.5]])
    gap = stats.attribute_gap(correct.astype(int), n)
    assert gap.estimate == pytest.approx(0, abs=1e-12)
    assert stats.attribute_test(correct.astype(int), n, np.random.default_rng(0), 199).p == 1


def test_more_than_two_values():
    n = np.full((4, 3), 100)
    correct = np.tile([95, 80, 90], (4, 1))
    gap = stats.attribute_gap(correct, n)
    assert gap.values == (0, 1)
    assert gap.estimate == pytest.approx(0.15)
    assert 0 < gap.low < 0.15 < gap.high
    test = stats.attribute_test(correct, n, np.random.default_rng(0), 999)
    assert test.p == 1 / 1000
    assert test.p_label < 0.05
    assert stats.label_tests(correct, n, np.random.default_rng(0), 999).max() < 0.02


def test_unused_values_are_not_missing_values():
    with_empty = stats.attribute_gap([[45, 0, 930]], [[50, 0, 950]])
    without = stats.attribute_gap([[45, 930]], [[50, 950]])
    assert with_empty.values == (0, 2)
    assert (with_empty.low, with_empty.high) == (without.low, without.high)
    assert np.isnan(with_empty.rates[1])


@pytest.mark.parametrize(
    ("n", "reason"),
    [
        ([[50, 0], [50, 0]], "one attribute value only"),
        ([[50, 0], [0, 50]], "no label has images of every attribute value"),
    ],
)
def test_no_gap_says_why(n, reason):
    gap = stats.attribute_gap(np.zeros((2, 2), int), n)
    test = stats.attribute_test(np.zeros((2, 2), int), n, np.random.default_rng(0))
    assert np.isnan([gap.estimate, gap.low, gap.high, test.p, test.p_label, test.floor]).all()
    assert gap.reason == test.reason == reason


def test_permutation_agrees_with_fisher_on_one_label():
    """One label, two values: |gap| orders the tables by distance, so p is a sum of hypergeometric terms."""
    k, n = np.array([[40, 180]]), np.array([[50, 200]])
    law = reference.hypergeom(250, 220, 50)
    support = np.arange(20, 51)
    gaps = np.abs(support / 50 - (220 - support) / 200)
    exact = law.pmf(support)[gaps >= 0.1 - 1e-12].sum()
    test = stats.attribute_test(k, n, np.random.default_rng(0), 20_000)
    assert test.p == pytest.approx(exact, abs=4 * np.sqrt(exact / 20_000))
    assert test.p == test.p_label
    assert test.floor == pytest.approx((law.pmf(support) * gaps).sum(), rel=0.02)
    fisher = stats.label_tests(k, n, np.random.default_rng(0))
    assert fisher == pytest.approx([reference.fisher_exact([[40, 180], [10, 20]]).pvalue])
    assert odds_ratio([[40, 180], [10, 20]]).statistic < 1


def test_draws_keep_the_margins_and_do_not_depend_on_chunks(monkeypatch):
    from biaskit.stats import _attribute

    n = np.array([[10, 20, 5], [7, 1, 30]])
    k = np.array([[5, 15, 1], [7, 0, 25]])
    for draw in (_attribute._within, _attribute._overall):
        drawn = np.concatenate(list(draw(k, n, 500, np.random.default_rng(0))))
        assert drawn.shape == (500, 2, 3)
        assert (drawn >= 0).all()
        assert (drawn <= n).all()
        assert (drawn.sum((1, 2)) == k.sum()).all()
    within = next(_attribute._within(k, n, 2_000, np.random.default_rng(0)))
    assert (within.sum(2) == k.sum(1)).all()
    np.testing.assert_allclose(within.mean(0), n * (k.sum(1) / n.sum(1))[:, None], atol=0.15)
    monkeypatch.setattr(_attribute, "_CHUNK", 60)
    assert [len(part) for part in _attribute._within(k, n, 25, np.random.default_rng(0))] == [10, 10, 5]


def test_noise_floors():
    rng = np.random.default_rng(0)
    n = np.array([[500, 500], [500, 500]])
    floor = stats.noise_floor([[450, 450], [250, 250]], n, rng, 400)
    assert floor.gap_within == pytest.approx(0.4, abs=0.03), "labels differ by .4 whatever the attribute does"
    assert floor.gap < 0.08
    assert floor.worst == pytest.approx(0.7, abs=0.04)
    assert floor.worst_within == pytest.approx(0.5, abs=0.03)
    small = stats.noise_floor([[45, 1]], [[50, 3]], rng)
    assert small.insufficient == (1,)
    assert small.gap == 0
    assert np.isnan(stats.noise_floor([[1, 1]], [[3, 3]], rng).gap)


# Extremes of one model


def test_worst_group_by_hand():
    k, n = np.array([90, 45, 3, 0]), np.array([100, 50, 3, 0])
    wga = stats.worst_group(k, n, np.random.default_rng(0))
    assert (wga.observed, wga.worst, wga.n) == (0.9, 0, 100)
    assert wga.insufficient == (2,)
    assert wga.low == pytest.approx(0.29240, abs=1e-5), "three of three pull the lower end down"
    upper = [stats.clopper_pearson(k[g], n[g], 1 - 0.05 / 3)[1] for g in range(3)]
    assert wga.high == pytest.approx(min(upper))
    without = stats.worst_group(k, n, np.random.default_rng(0), min_n=10)
    assert without.left_out == (2,)
    assert without.low == pytest.approx(stats.clopper_pearson(45, 50)[0])


def test_max_min_gap_by_hand():
    k, n = np.array([95, 40]), np.array([100, 50])
    gap = stats.max_min_gap(k, n, np.random.default_rng(0))
    assert (gap.observed, gap.best, gap.worst) == (pytest.approx(0.15), 0, 1)
    assert gap.low == pytest.approx(
        max(0, stats.clopper_pearson(95, 100, 1 - 0.0125)[0] - stats.clopper_pearson(40, 50, 1 - 0.0125)[1])
    )
    ends = stats.clopper_pearson(95, 100), stats.clopper_pearson(40, 50)
    assert gap.high == pytest.approx(stats.newcombe(0.95, ends[0], 0.80, ends[1])[1])


@pytest.mark.parametrize("function", [stats.worst_group, stats.max_min_gap])
def test_extremes_without_enough_images(function):
    few = function([3, 2], [5, 5], np.random.default_rng(0))
    assert np.isnan([few.observed, few.estimate]).all()
    assert few.reason == "no group has enough images"
    assert few.low < few.high
    nothing = function([3, 2], [5, 5], np.random.default_rng(0), min_n=10)
    assert np.isnan([nothing.low, nothing.high]).all()
    assert nothing.left_out == (0, 1)


def test_half_split_does_not_depend_on_the_order_of_groups():
    """All groups tie, so the reading is the plain mean whatever comes first."""
    rates = stats._halves.split_counts(
        "worst", np.full((1, 4, 1), 5), np.array([5, 4, 3, 2]).reshape(1, 4, 1), np.full(4, 5), np.full(4, 5)
    )
    worst_in_second = 3
    assert rates[0] == pytest.approx([(14 / 4 / 5 + 1.0) / 2])
    assert rates[1][worst_in_second] == pytest.approx((1 / 4 + 1) / 2)


def test_half_splits_halve_every_group():
    groups = np.array([2, 0, 2, 2, 0, 2, 1, 0, 2])
    splits = stats.half_splits(groups, np.random.default_rng(0), 30)
    for g, half in ((0, 1), (1, 0), (2, 2)):
        assert (splits[:, groups == g].sum(1) == half).all()
    share = splits[:, groups == 2].mean(0)
    assert share.min() > 0.2
    assert share.max() < 0.6


# One arm


def test_arm_rate_by_hand(hand):
    rate = stats.arm_rate(hand[0])
    m = np.array([5, 5, 4]) / 8
    mean = hand[0].mean(0)
    var_image = max(0, mean.var(ddof=1) / 8 - hand[0].var(0, ddof=1).sum() / (3 * 64))
    h2 = 4.302653**2 * m.var(ddof=1) / 3 + 1.959964**2 * var_image
    p = m.mean()
    n = min(p * (1 - p) * 1.959964**2 / h2, 24)
    assert rate.estimate == pytest.approx(p)
    np.testing.assert_allclose((rate.low, rate.high), stats.clopper_pearson(p * n, n), atol=1e-6)


def test_arm_rate_edges():
    perfect = stats.arm_rate(np.ones((5, 10)))
    assert (perfect.low, perfect.high) == pytest.approx(stats.clopper_pearson(10, 10))
    single = stats.arm_rate(np.r_[np.ones(45), np.zeros(5)][None])
    assert (single.low, single.high) == pytest.approx(stats.wilson(45, 50))
    assert np.isnan(single.se_seed)
    weighted = stats.arm_rate(
        [[1, 0, 1, 1, 1, 1]], stats.image_coefficients([0.5, 0.5], [0, 0, 1, 1, 1, 1]), [0, 0, 1, 1, 1, 1]
    )
    assert weighted.estimate == 0.75
    assert (weighted.low, weighted.high) == pytest.approx(stats.wilson(0.75 * 16 / 3, 16 / 3))
    for bad in ([[2, 0]], [[np.nan, 1]], [1, 0]):
        with pytest.raises(DataError):
            stats.arm_rate(bad)
    with pytest.raises(DataError, match="sum to 1"):
        stats.arm_rate([[1, 0]], [1, 1])


def test_gap_of_one_arm_is_the_difference_to_nothing():
    x = noisy()[0]
    groups = np.repeat([0, 1], [100, 300])
    c = stats.image_coefficients([1, -1], groups)
    gap, d = stats.arm_contrast(x, c, groups), stats.difference(np.zeros_like(x), x, c, groups)
    assert (gap.estimate, gap.low, gap.high) == pytest.approx((d.estimate, d.low, d.high))
    one = stats.arm_contrast(x[:1], c, groups)
    ends = [stats.wilson(x[0, groups == g].sum(), (groups == g).sum()) for g in (0, 1)]
    rates = [x[0, groups == g].mean() for g in (0, 1)]
    assert (one.low, one.high) == pytest.approx(stats.newcombe(rates[0], ends[0], rates[1], ends[1]))


def test_extremes_of_one_arm():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(3), [200, 100, 4])
    x = (rng.random((5, 304)) < np.repeat([0.95, 0.7, 0.5], [200, 100, 4])).astype(float)
    splits = stats.half_splits(groups, rng)
    wga, gap = stats.arm_worst_group(x, groups, splits), stats.arm_max_min_gap(x, groups, splits)
    assert wga.observed == pytest.approx(x[:, groups == 1].mean())
    assert wga.estimate == pytest.approx(wga.observed, abs=0.01)
    assert (wga.worst, wga.n, wga.insufficient) == (1, 100, (2,))
    assert wga.low < 0.7 < wga.high
    assert gap.low < 0.25 < gap.high
    assert wga.high == pytest.approx(min(stats.arm_rate(x[:, groups == g], level=1 - 0.05 / 3).high for g in range(3)))
    alone = stats.arm_worst_group(x[:1], groups, splits)
    assert alone.low == pytest.approx(
        min(stats.clopper_pearson(x[0, groups == g].sum(), (groups == g).sum())[0] for g in range(3))
    )


# The difference of two arms


def test_difference_by_hand(hand):
    d = stats.difference(*hand)
    assert d.estimate == pytest.approx(0.25)
    assert d.se_seed**2 == pytest.approx(0.0052083, abs=5e-8)
    assert d.se_image**2 == pytest.approx(0.005), "raw .0069444 less noise .0086806 is under the floor"
    assert d.half_width() == pytest.approx(0.34004, abs=5e-6)
    assert d.p == pytest.approx(0.09289, abs=5e-6)
    assert (d.low, d.high) == pytest.approx((0.25 - 0.34004, 0.25 + 0.34004), abs=1e-5)
    assert d.image_share == pytest.approx(1.959964**2 * 0.005 / 0.34004**2, rel=1e-4)
    assert str(stats.judge([d], ["higher"])[0]) == "inconclusive"


def test_raw_and_noise_by_hand(hand):
    from biaskit.stats._pair import _within_strata, image_variance

    part, one = (hand[1] - hand[0]) / 8, np.zeros(8, int)
    assert _within_strata(part.mean(0), np.full(8, 1 / 8), one) == pytest.approx(0.0069444, abs=5e-8)
    assert part.var(0, ddof=1).sum() / 3 == pytest.approx(0.0086806, abs=5e-8)
    assert image_variance((part,), np.full(8, 1 / 8), one) == 0


def test_sign_and_order():
    a, b = noisy()
    d, back = stats.difference(a, b), stats.difference(b, a)
    assert d.estimate == pytest.approx(b.mean() - a.mean()) == -back.estimate
    assert (d.a, d.b) == pytest.approx((a.mean(), b.mean()))
    assert (d.low, d.high, d.p) == pytest.approx((-back.high, -back.low, back.p))
    shuffled = np.random.default_rng(1).permutation(a.shape[1])
    again = stats.difference(a[::-1][:, shuffled], b[::-1][:, shuffled])
    assert (again.low, again.high, again.p) == pytest.approx((d.low, d.high, d.p))


def test_without_image_variance_it_is_the_t_test():
    """Each image the same within a seed: only seeds vary."""
    m_a, m_b = np.array([0.1, 0.5, 0.3, 0.2]), np.array([0.4, 0.6, 0.9, 0.5])
    a, b = np.tile(m_a[:, None], 50), np.tile(m_b[:, None], 50)
    d = stats.difference(a, b, floor=False)
    assert d.p == pytest.approx(reference.ttest_rel(m_b, m_a).pvalue)
    d = stats.difference(a, b, None, None, "abcd", "efgh", floor=False)
    expected = reference.ttest_ind(m_b, m_a, equal_var=False)
    assert d.p == pytest.approx(expected.pvalue)
    assert d.df == pytest.approx(expected.df)


def test_p_is_where_the_interval_touches_zero():
    for seed in range(5):
        d = stats.difference(*noisy(seed))
        assert d.half_width(d.p) == pytest.approx(abs(d.estimate), rel=1e-6)
        assert (d.p <= 0.05) == (not d.low <= 0 <= d.high)
    far = stats.difference(np.zeros((3, 5000)), np.ones((3, 5000)))
    assert far.p == 1e-12


def test_images_vary_within_groups_only():
    """Groups far apart, images of a group alike: which group an image is in is no chance."""
    groups = np.repeat([0, 1], 50)
    a, b = np.zeros((3, 100)), np.tile(np.repeat([0.0, 1.0], 50), (3, 1))
    pooled = stats.difference(a, b)
    strata = stats.difference(a, b, None, groups)
    assert strata.se_image == pytest.approx(1 / (2**0.5 * 102)), "the floor alone"
    assert pooled.se_image > 5 * strata.se_image


def test_group_of_one_image_borrows_the_pooled_variance():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 4, 21))
    groups = np.repeat([0, 1, 2], [10, 10, 1])
    c = stats.image_coefficients([1 / 3] * 3, groups)
    from biaskit.stats._pair import _within_strata

    v = (b - a).mean(0)
    pooled = (v[:10].var(ddof=1) + v[10:20].var(ddof=1)) / 2
    expected = (v[:10].var(ddof=1) / 10 + v[10:20].var(ddof=1) / 10 + pooled) / 9
    assert _within_strata(v * c, c, groups) == pytest.approx(expected)
    alone = stats.difference(a, b, c, np.arange(21), floor=False)
    assert np.isfinite(alone.high)


def test_which_seeds_meet():
    a, b = noisy(seeds=5)
    same = stats.difference(a, b, None, None, [0, 1, 2, 3, 4], [0, 1, 2, 3, 4])
    assert (same.seeds, same.df, same.pairing) == (5, 4, "paired over 5 common seeds")
    order = [3, 1, 4, 0, 2]
    assert stats.difference(a, b[order], None, None, range(5), order).p == pytest.approx(same.p)
    part = stats.difference(a, b, None, None, range(5), [2, 3, 4, 5, 6])
    assert part.pairing == "paired over 3 common seeds"
    assert part.estimate == pytest.approx(b[:3].mean() - a[2:].mean())
    apart = stats.difference(a, b[:4], None, None, range(5), [3, 4, 5, 6])
    assert apart.pairing == "independent seeds, 5 and 4; 2 in common"
    assert (apart.seeds, apart.seeds_each, len(apart.seed_variances)) == (4, (5, 4), 2)
    assert apart.estimate == pytest.approx(b[:4].mean() - a.mean())
    assert stats.difference(a, b[:3]).pairing == "paired over 3 common seeds"


def test_repeated_seeds_count_once():
    a, b = noisy(seeds=4)
    b[3] = b[1]
    answers = (a, b)
    d = stats.difference(a, b, None, None, [7, 8, 9, 10], [7, 8, 9, 10], predictions=answers)
    assert d.notes == ("arm b: seed 10 has the predictions of seed 8 and was not counted",)
    assert d.seeds == 3
    without = stats.difference(a[:3], b[:3])
    assert (d.estimate, d.p) == pytest.approx((without.estimate, without.p))
    assert stats.difference(a, b).seeds == 4, "equal correctness is no evidence of equal predictions"


def test_identical_arms():
    a, _ = noisy()
    d = stats.difference(a, a)
    assert (d.estimate, d.p, d.identical) == (0, 1, True)
    assert str(stats.judge([d], ["higher"], margin=0.5)[0]) == "inconclusive (identical predictions)"
    perfect, other = np.ones((3, 4000)), np.arange(12_000).reshape(3, 4000)
    d = stats.difference(perfect, perfect, predictions=(other, other + 1))
    assert str(stats.judge([d], ["higher"], margin=0.01)[0]) == "no relevant difference"


def test_seeds_without_spread_still_have_an_interval():
    a, b = np.zeros((4, 50)), np.zeros((4, 50))
    b[:, 0] = 1
    d = stats.difference(a, b)
    assert d.se_seed == 0
    assert d.high - d.low >= 2 * 1.386 / 52


def test_two_single_models():
    a, b = (x[:1] for x in noisy(n=500))
    d = stats.difference(a, b)
    gained, lost = int((b > a).sum()), int((b < a).sum())
    assert d.discordant == (gained, lost, 500)
    assert (d.low, d.high) == pytest.approx(stats.bonett_price(gained, lost, 500))
    assert d.p == pytest.approx(stats.mcnemar(gained, lost))
    assert (d.seeds, d.scope) == (1, "models")
    assert np.isnan(d.se_seed)
    assert str(stats.judge([d], ["higher"])[0]) == "inconclusive (needs 3 seeds)"
    assert np.isnan(stats.smallest_detectable(d))
    groups = np.repeat([0, 1], 250)
    gap = stats.difference(a, b, stats.image_coefficients([1, -1], groups), groups)
    assert gap.discordant is None
    assert gap.low < gap.estimate < gap.high
    part = stats.difference(a, np.repeat(b, 3, 0), None, None, [0], [0, 1, 2])
    assert part.scope == "models"
    assert np.isfinite([part.low, part.high]).all()


def test_two_seeds_have_numbers_but_no_verdict():
    d = stats.difference(*noisy(seeds=2, p=(0.5, 0.9)))
    assert d.df == 1
    assert np.isfinite([d.low, d.high, d.p]).all()
    assert str(stats.judge([d], ["higher"])[0]) == "inconclusive (needs 3 seeds)"


def test_difference_refuses():
    a, b = noisy()
    with pytest.raises(DataError, match="same images; got 400 and 399"):
        stats.difference(a, b[:, 1:])
    with pytest.raises(DataError, match="1 values that are missing"):
        stats.difference(a, np.where(np.arange(b.size).reshape(b.shape) == 7, np.nan, b))
    with pytest.raises(DataError, match="seeds of both arms"):
        stats.difference(a, b, None, None, range(5))
    with pytest.raises(DataError, match="none twice"):
        stats.difference(a, b, None, None, range(5), [0, 1, 2, 3, 3])
    with pytest.raises(DataError, match="one group per image"):
        stats.difference(a, b, None, np.zeros(7))
    with pytest.raises(DataError, match="one finite coefficient per image"):
        stats.difference(a, b, [1.0])
    with pytest.raises(DataError, match="without images"):
        stats.image_coefficients([0.5, 0.5, 0.5], [0, 0, 1])
    assert stats.difference(a[:, :1], b[:, :1], floor=False).reason == "one image has no spread"
    assert np.isfinite(stats.difference(a[:, :1], b[:, :1]).high), "the floor stands in"
    nothing = stats.difference(a, b, np.zeros(400))
    assert nothing.reason == "no images"
    assert str(stats.judge([nothing], ["higher"])[0]) == "inconclusive (no images)"


# Extremes of two arms


def test_worst_group_difference_parts():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(4), [300, 300, 50, 5])
    p = np.repeat([0.95, 0.9, 0.7, 0.0], [300, 300, 50, 5])
    a, b = ((rng.random((4, 655)) < np.minimum(p + shift, 1)).astype(float) for shift in (0, 0.1))
    splits = stats.half_splits(groups, rng)
    d = stats.worst_group_difference(a, b, groups, splits)
    observed = [np.mean([min(row[groups == g].mean() for g in range(3)) for row in x]) for x in (a, b)]
    assert d.bias == pytest.approx(abs(observed[1] - observed[0] - d.estimate))
    assert d.half_width() == pytest.approx(stats.half_width(0.05, d.se_seed**2, d.se_image**2, 3) + d.bias)
    assert (d.low, d.high) == pytest.approx((d.estimate - d.half_width(), d.estimate + d.half_width()))
    assert d.p == pytest.approx(d.p_at(d.estimate))
    assert d.n == 650, "the group of five does not enter"
    gap = stats.max_min_gap_difference(a, b, groups, splits)
    assert gap.low < -0.1 < gap.high
    with pytest.raises(DataError, match="splits are for 655"):
        stats.worst_group_difference(a[:, :10], b[:, :10], groups[:10], splits)


def test_one_certain_group_makes_it_linear():
    """Where every half agrees which group is worst, the worst-group difference is that group's difference."""
    rng = np.random.default_rng(0)
    groups = np.repeat([0, 1], 200)
    a, b = ((rng.random((4, 400)) < np.where(groups == 0, p, 0.99)).astype(float) for p in (0.4, 0.6))
    worst = stats.worst_group_difference(a, b, groups, stats.half_splits(groups, rng))
    linear = stats.difference(a, b, stats.image_coefficients([1, 0], groups), groups)
    assert worst.estimate == pytest.approx(linear.estimate)
    assert worst.bias == pytest.approx(0, abs=1e-12)
    assert (worst.low, worst.high, worst.p) == pytest.approx((linear.low, linear.high, linear.p))


def test_no_group_is_large_enough():
    a, b = noisy(n=8)
    groups = np.arange(8) % 2
    splits = stats.half_splits(groups, np.random.default_rng(0))
    d = stats.worst_group_difference(a, b, groups, splits)
    assert d.reason == "too few groups have enough images"
    assert np.isnan([d.estimate, d.low, d.high, d.p]).all()


# Distance scores


def test_log_ratio():
    rng = np.random.default_rng(0)
    a = np.exp(rng.normal(size=(4, 300)))
    ratio = stats.log_ratio(a, 0.5 * a * np.exp(rng.normal(0, 0.1, size=(4, 300))))
    assert ratio.ratio == pytest.approx(0.5, rel=0.02)
    assert ratio.low < 0.5 < ratio.high
    assert ratio.mean_a == pytest.approx(a.mean())
    plain = stats.difference(np.log(a), np.log(2 * a), floor=False)
    assert plain.se_image == pytest.approx(0, abs=1e-9), "no floor"
    still = a.copy()
    still[:, :40] = 0
    unchanged = stats.log_ratio(a, still)
    assert np.isnan([unchanged.ratio, unchanged.low, unchanged.high]).all()
    assert unchanged.difference.reason == "the perturbation leaves these images unchanged"
    assert unchanged.at_floor == (0, pytest.approx(40 / 300))
    still[:, 25:40] = 1
    assert np.isfinite(stats.log_ratio(a, still).ratio)
    with pytest.raises(DataError, match="negative"):
        stats.log_ratio(-a, a)


def test_seed_difference_is_a_paired_t_or_welchs():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=5), rng.normal(0.5, 2, size=5)
    paired = stats.seed_difference(a, b, n=40)
    other = reference.ttest_rel(b, a)
    ends = other.confidence_interval()
    assert (paired.low, paired.high, paired.p) == pytest.approx((ends.low, ends.high, other.pvalue))
    assert (paired.seeds, paired.n, paired.df) == (5, 40, 4)
    apart = stats.seed_difference(a, b[:4], range(5), range(5, 9))
    other = reference.ttest_ind(b[:4], a, equal_var=False)
    ends = other.confidence_interval()
    assert (apart.low, apart.high, apart.p) == pytest.approx((ends.low, ends.high, other.pvalue))
    alone = stats.seed_difference([0.1], [0.2])
    assert np.isnan(alone.estimate)
    assert alone.reason == "one seed says nothing of other seeds"
    with pytest.raises(DataError, match="missing or infinite"):
        stats.seed_difference([0.1, np.nan], [0.2, 0.3])


# Verdicts


def summary(estimate, var_seed=0.04, var_image=0.0, seeds=5, a=0.0, **other):
    """A Difference from its numbers."""
    d = stats.Difference(
        estimate=estimate, low=np.nan, high=np.nan, p=np.nan, a=a, b=a + estimate, se_seed=var_seed**0.5,
        se_image=var_image**0.5, df=seeds - 1.0, seeds=seeds, seeds_each=(seeds, seeds), n=100,
        image_share=np.nan, pairing="", seed_variances=(var_seed * seeds,), **other,
    )  # fmt: skip
    low, high = d.interval()
    return dataclasses.replace(d, low=low, high=high, p=d.p_at(estimate))


def test_holm_by_hand():
    assert stats.holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert stats.holm([0.5, 0.9]).tolist() == [1, 1]
    np.testing.assert_allclose(stats.holm([np.nan, 0.01, 0.02]), [np.nan, 0.03, 0.04])
    assert stats.holm([]).tolist() == []


def test_multiplier_table():
    from biaskit.stats._verdicts import _multiplier

    table = {
        1: [5.65, 4.26, 3.76, 3.37, 3.15, 2.95, 2.80],
        2: [8.01, 5.43, 4.58, 3.94, 3.60, 3.31, 3.08],
        6: [13.9, 7.92, 6.17, 4.94, 4.34, 3.84, 3.48],
    }
    for family, expected in table.items():
        measured = [_multiplier(float(df), 0.05 / family, 0.8) for df in (2, 3, 4, 6, 9, 19, 1e6)]
        np.testing.assert_allclose(measured, expected, atol=0.0051, rtol=0.001)
    for seeds, in_sd in zip((3, 5, 10, 20), (3.3, 1.7, 1.0, 0.66), strict=True):
        found = stats.smallest_detectable(summary(0.0, 1 / seeds, seeds=seeds))
        assert found == pytest.approx(in_sd, rel=0.04)


def test_tost():
    d = summary(0.0)
    t = 1.0 / 0.2
    assert stats.tost(d, 1.0) == pytest.approx(reference.t.sf(t, 4))
    d = summary(-0.5)
    assert stats.tost(d, 1.0) == pytest.approx(reference.t.sf(0.5 / 0.2, 4)), "the nearer of both margins decides"
    d = summary(1.5)
    assert stats.tost(d, 1.0) == pytest.approx(reference.t.cdf(0.5 / 0.2, 4))
    with pytest.raises(DataError, match="larger than 0"):
        stats.tost(d, 0)


def word(d, better="higher", **options):
    return str(stats.judge([d], [better], **options)[0])


def test_rules_in_their_order():
    assert word(summary(2.0)) == "better"
    assert word(summary(2.0), "lower") == "worse"
    assert word(summary(-2.0), "lower") == "better"
    assert word(summary(0.1)) == "inconclusive"
    assert word(summary(2.0, seeds=2)) == "inconclusive (needs 3 seeds)"
    assert word(summary(0.0, seeds=2), margin=50) == "inconclusive (needs 3 seeds)"
    assert word(summary(0.1), margin=2) == "no relevant difference"
    assert word(summary(1.0), margin=5) == "no relevant difference", "asked before better"
    assert word(summary(2.0), margin=0.5) == "better"
    assert word(summary(2.0, identical=True)) == "inconclusive (identical predictions)"


def test_signed_gap():
    assert word(summary(-2.0, a=2.5), "zero") == "better"
    assert word(summary(2.0, a=-2.5), "zero") == "better"
    assert word(summary(2.0, a=0.5), "zero") == "worse"
    assert word(summary(-2.0, a=-0.5), "zero") == "worse"
    assert word(summary(-2.0, a=0.5), "zero") == "inconclusive (the gap changed sign)"
    assert word(summary(2.0, a=0.0), "zero") == "worse"


def test_family_and_looks():
    d = summary(0.8, seeds=5)
    assert 0.01 < d.p < 0.02
    assert word(d) == "better"
    verdicts = stats.judge([d] * 6, ["higher"] * 6)
    assert {v.word for v in verdicts} == {"inconclusive"}
    assert verdicts[0].p_holm == pytest.approx(6 * d.p)
    assert (verdicts[0].low, verdicts[0].high) == pytest.approx(d.interval(0.05 / 6))
    assert word(d, looks=5) == "inconclusive"
    assert verdicts[0].smallest_detectable == pytest.approx(stats.smallest_detectable(d, 6))
    strong, weak = summary(3.0), summary(0.8)
    assert [v.word for v in stats.judge([strong, weak], ["higher"] * 2)] == ["better", "better"], "Holm, not Bonferroni"
    assert stats.judge([], []) == []


def test_beyond_the_margin():
    d = summary(2.0)
    assert stats.judge([d], ["higher"], margin=0.5)[0].beyond_margin
    assert not stats.judge([d], ["higher"], margin=1.6)[0].beyond_margin
    assert not stats.judge([d], ["higher"])[0].beyond_margin
    assert stats.judge([summary(-2.0)], ["higher"], margin=[0.5])[0].beyond_margin
    with pytest.raises(DataError, match="1 differences need as many"):
        stats.judge([d], ["higher", "lower"])
    with pytest.raises(DataError, match="looks at least 1"):
        stats.judge([d], ["up"])


def test_an_undefined_member_stays_in_the_family():
    d = summary(0.8)
    nothing = dataclasses.replace(d, estimate=np.nan, p=np.nan, reason="no images")
    verdicts = stats.judge([d, d, d, nothing], ["higher"] * 4)
    assert verdicts[0].p_holm == pytest.approx(4 * d.p)
    assert str(verdicts[3]) == "inconclusive (no images)"


@pytest.mark.parametrize("verdicts", [1, 6])
def test_seeds_needed_is_where_the_effect_becomes_detectable(verdicts):
    d = stats.difference(*noisy(n=2_000))
    effect = 1.3 * 3.48 * d.se_image
    needed = stats.seeds_needed(d, effect, verdicts)
    variance = d.seed_variances[0]

    def detectable(seeds):
        se = (variance / seeds) ** 0.5
        return stats.smallest_detectable(dataclasses.replace(d, se_seed=se, df=seeds - 1.0), verdicts)

    assert needed > 3
    assert detectable(needed) <= effect < detectable(needed - 1)
    assert stats.seeds_needed(d, -effect, verdicts) == needed
    assert stats.seeds_needed(d, 2.7 * d.se_image, verdicts) is None
    assert stats.seeds_needed(d, 1.0, verdicts) == 3


def test_images_needed():
    d = stats.difference(*noisy(n=2_000))
    seeds_alone = stats.smallest_detectable(dataclasses.replace(d, se_image=0.0))
    effect = float(np.hypot(seeds_alone, 0.5 * (1.96 + 0.842) * d.se_image))
    needed = stats.images_needed(d, effect)
    scaled = dataclasses.replace(d, se_image=d.se_image * (d.n / needed) ** 0.5)
    assert needed == pytest.approx(4 * d.n, rel=0.01)
    assert stats.smallest_detectable(scaled) == pytest.approx(effect, rel=1e-3)
    assert stats.images_needed(d, 0.99 * seeds_alone) is None
    single = stats.difference(*(x[:1] for x in noisy()))
    for function in (stats.images_needed, stats.seeds_needed):
        with pytest.raises(DataError, match="one seed shows no spread"):
            function(single, 0.1)


def test_seeds_needed_for_unshared_seeds():
    a, b = noisy(n=2_000)
    d = stats.difference(a, b, None, None, range(5), range(10, 15))
    needed = stats.seeds_needed(d, 3.5 * d.se_image)
    assert needed > 3
