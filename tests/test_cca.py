"""Canonical correlations against scikit-learn, LDA and what is known in advance."""

import numpy as np
import pytest
from sklearn.cross_decomposition import CCA

from biaskit.cca import Views, _fisher, correlations
from biaskit.errors import DataError


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def pair(rng, n=2000, p=6, q=4, rho=0.5):
    """Gaussian rows whose first columns correlate by rho, behind invertible maps."""
    x, w = rng.standard_normal((n, p)), rng.standard_normal((n, q))
    w[:, 0] = rho * x[:, 0] + np.sqrt(1 - rho**2) * w[:, 0]
    return x @ rng.standard_normal((p, p)), w @ rng.standard_normal((q, q))


def test_the_first_is_scikit_learns(rng):
    x, w = pair(rng)
    theirs = CCA(n_components=1, scale=False, max_iter=5000, tol=1e-12).fit(x, w)
    a, b = theirs.transform(x, w)
    assert correlations(x, w)[0] == pytest.approx(np.corrcoef(a[:, 0], b[:, 0])[0, 1], abs=1e-6)


def test_a_known_correlation_is_found_and_invertible_maps_do_not_matter(rng):
    x, w = pair(rng, n=20000)
    found = correlations(x, w)
    assert found[0] == pytest.approx(0.5, abs=0.02)
    assert found[1:].max() < 0.05
    other = correlations(x @ rng.standard_normal((6, 6)) + 3.0, w @ rng.standard_normal((4, 4)))
    assert other == pytest.approx(found, abs=1e-9)


def test_any_words_give_what_lda_gives(rng):
    # rho_k = sqrt(lambda_k / (1 + lambda_k)), lambda of S_W^-1 S_B: with independent words nothing depends on them.
    labels = rng.integers(0, 5, 1000)
    x = rng.standard_normal((1000, 8)) + rng.standard_normal((5, 8))[labels]
    means = np.stack([x[labels == k].mean(axis=0) for k in range(5)])
    within = sum(((x[labels == k] - means[k]).T @ (x[labels == k] - means[k])) for k in range(5))
    between = sum(
        (labels == k).sum() * np.outer(means[k] - x.mean(axis=0), means[k] - x.mean(axis=0)) for k in range(5)
    )
    values = np.sort(np.linalg.eigvals(np.linalg.solve(within, between)).real)[::-1][:4]
    expected = np.sqrt(values / (1 + values))
    for words in (np.eye(5), rng.standard_normal((5, 20)), rng.standard_normal((5, 4))):
        assert correlations(x, words[labels])[:4] == pytest.approx(expected, abs=1e-9)


def test_noise_correlates_in_sight_and_not_held_out(rng):
    x, w = rng.standard_normal((500, 50)), rng.standard_normal((500, 9))
    assert correlations(x, w)[0] > 0.35
    views = Views(x, dimensions=32, kappa=0.01, folds=5, generator=np.random.default_rng(1))
    found = views.against(w)
    assert abs(found.first) < 0.12
    assert found.low < 0 < found.high


def test_held_out_finds_what_is_there(rng):
    x, w = pair(rng, n=3000)
    found = Views(x, dimensions=6, kappa=0.0, folds=5, generator=np.random.default_rng(1)).against(w)
    assert found.first == pytest.approx(0.5, abs=0.05)
    assert found.low < 0.5 < found.high
    assert np.abs(found.rho[1:]).max() < 0.1


def test_shrinking_lowers_correlations(rng):
    x, w = pair(rng, n=300)
    assert correlations(x, w, kappa=1.0)[0] < correlations(x, w)[0]


def test_too_few_rows_are_refused(rng):
    with pytest.raises(DataError, match="fewer rows than dimensions"):
        correlations(rng.standard_normal((20, 32)), rng.standard_normal((20, 2)))
    with pytest.raises(DataError, match="too few"):
        Views(rng.standard_normal((50, 64)), dimensions=32, kappa=0.0, folds=5, generator=rng)
    with pytest.raises(DataError, match="no rows in common"):
        correlations(np.zeros((5, 1)), np.zeros((4, 1)))
    with pytest.raises(DataError, match="NaN"):
        correlations(np.full((9, 1), np.nan), np.zeros((9, 1)))


def test_perfect_correlations_have_an_interval(rng):
    words = rng.standard_normal((200, 2))
    found = Views(words, dimensions=2, kappa=0.0, folds=5, generator=rng).against(words)
    assert (found.first, found.low, found.high) == pytest.approx((1.0, 1.0, 1.0), abs=1e-9)
    assert _fisher(1.0 + 1e-15, 100) == pytest.approx((1.0, 1.0))  # rounding carries it beyond 1
    assert np.isnan(_fisher(np.nan, 100)).all()


def test_what_does_not_vary_correlates_with_nothing(rng):
    found = Views(np.ones((100, 3)), dimensions=3, kappa=0.01, folds=5, generator=rng).against(
        rng.standard_normal((100, 2))
    )
    assert np.isnan([found.first, found.mean, found.low, found.high]).all()
