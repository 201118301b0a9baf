"""Draws by tempered sequential Monte Carlo, against posteriors that are known."""

import numpy as np
import pytest

from innverse.problems import _smc
from innverse.problems._normal_mixture import NormalMixture, choose
from innverse.problems._smc import sample_posterior

# Fixed seeds: a test at four standard errors either always holds or always fails.
STANDARD_ERRORS = 4.0
# Draws share ancestors: errors of means are up to this many times those of independent draws. Measured over
# eight seeds for the linear problems below: 0.9 to 1.3.
DEPENDENCE = 1.5


def linear(dim, columns, noise, seed=1):
    """A linear model with normal noise: log likelihood, mean and covariance of its posterior."""
    rng = np.random.default_rng(seed)
    design = rng.standard_normal((columns, dim))
    y = design @ rng.standard_normal(dim) + noise * rng.standard_normal(columns)
    covariance = np.linalg.inv(np.eye(dim) + design.T @ design / noise**2)

    def log_likelihood(u):
        return -0.5 * ((u @ design.T - y) ** 2).sum(axis=1) / noise**2

    return log_likelihood, covariance @ design.T @ y / noise**2, covariance


def two_modes(u):
    """Four fifths of the likelihood around 1.5 in each direction, a fifth around -1.5."""
    parts = [
        np.log(weight) - 0.5 * ((u - center) ** 2).sum(axis=1) / 0.1**2
        for weight, center in ((0.8, 1.5), (0.2, -1.5))
    ]
    return np.logaddexp(*parts)


def banana(u):
    """The second parameter is seen to be 0.7 less 1.5 times the square of the first, the third to be 1."""
    return -0.5 * ((u[:, 1] + 1.5 * u[:, 0] ** 2 - 0.7) / 0.05) ** 2 - 0.5 * ((u[:, 2] - 1) / 0.1) ** 2


@pytest.mark.parametrize(("dim", "columns", "noise"), [(1, 1, 0.5), (6, 6, 0.1), (13, 8, 0.02)])
def test_linear_posterior(dim, columns, noise):
    log_likelihood, mean, covariance = linear(dim, columns, noise)
    n = 4_000
    draws = sample_posterior(log_likelihood, dim, n, np.random.default_rng(0))
    white = (draws - mean) @ np.linalg.inv(np.linalg.cholesky(covariance)).T
    error = STANDARD_ERRORS * DEPENDENCE / np.sqrt(n)
    assert np.abs(white.mean(axis=0)).max() < error
    moments = white.T @ white / n - np.eye(dim)
    assert np.abs(np.diag(moments)).max() < np.sqrt(2) * error
    assert np.abs(moments - np.diag(np.diag(moments))).max(initial=0) < error


def test_modes_have_their_weights():
    shares = [
        np.mean(sample_posterior(two_modes, 6, 1_000, np.random.default_rng(seed), particles=1)[:, 0] > 0)
        for seed in range(8)
    ]
    # Independent draws would have a standard error of 0.013 each.
    error = DEPENDENCE * np.sqrt(0.8 * 0.2 / 1_000)
    assert abs(np.mean(shares) - 0.8) < STANDARD_ERRORS * error / np.sqrt(len(shares))
    assert np.std(shares) < 2 * error


def test_a_banana_against_quadrature():
    n = 4_000
    draws = sample_posterior(banana, 6, n, np.random.default_rng(1))
    first = np.linspace(-6, 6, 20_001)
    # The second parameter taken out: 0.7 - 1.5 first^2 is normal with the prior's and the noise's variance.
    density = np.exp(-0.5 * first**2 - 0.5 * (0.7 - 1.5 * first**2) ** 2 / (1 + 0.05**2))
    density /= density.sum()
    for function in (lambda x: x, np.abs, np.square, lambda x: x > 0.5):
        values = function(first)
        expected = density @ values
        error = np.sqrt(density @ (values - expected) ** 2 / n)
        assert abs(function(draws[:, 0]).mean() - expected) < STANDARD_ERRORS * DEPENDENCE * error
    third = (draws[:, 2] - 1 / 1.01) / np.sqrt(0.01 / 1.01)
    assert abs(third.mean()) < STANDARD_ERRORS * DEPENDENCE / np.sqrt(n)
    assert abs(draws[:, 3:].var() - 1) < STANDARD_ERRORS * DEPENDENCE * np.sqrt(2 / (3 * n))


def test_a_likelihood_that_is_zero_in_places():
    """A step: the posterior is the prior above 1 in the first parameter, 16 % of it."""

    def log_likelihood(u):
        return np.where(u[:, 0] > 1.0, 0.0, -np.inf)

    n = 4_000
    draws = sample_posterior(log_likelihood, 3, n, np.random.default_rng(2))
    assert draws[:, 0].min() > 1.0
    # Mean and variance of the normal distribution above 1: 1.5251, 0.1991.
    assert abs(draws[:, 0].mean() - 1.5251) < STANDARD_ERRORS * DEPENDENCE * np.sqrt(0.1991 / n)


@pytest.mark.parametrize(
    ("n", "particles"), [(1, None), (700, None), (5_000, None), (300, 1), (1, 1), (50, 5_000)]
)
def test_draws_are_all_different(n, particles):
    log_likelihood, _, _ = linear(6, 6, 0.1)
    draws = sample_posterior(log_likelihood, 6, n, np.random.default_rng(3), particles=particles)
    assert draws.shape == (n, 6) and draws.dtype == np.float64
    # The last moves end when nothing recalls the start; a particle stays where it was once in thousands.
    assert len(np.unique(draws, axis=0)) >= 0.998 * n


def test_draws_are_of_the_seed():
    log_likelihood, _, _ = linear(6, 6, 0.1)
    first, second, other = (
        sample_posterior(log_likelihood, 6, 20, np.random.default_rng(seed)) for seed in (4, 4, 5)
    )
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    "log_likelihood",
    [
        lambda u: np.full(len(u), -np.inf),
        lambda u: np.full(len(u), -1e6),
        lambda u: -0.5 * ((u[:, 0] - 40.0) / 0.5) ** 2,
        lambda u: -0.5 * ((u[:, 0] - 1e9) / 1e-3) ** 2,
        lambda u: -1e300 * (2.0 + np.tanh(u[:, 0])),
        lambda u: np.where(u[:, 0] > 4.5, 0.0, -np.inf),
    ],
)
def test_an_observation_without_evidence_is_refused(log_likelihood):
    with pytest.raises(ValueError, match=r"y must be an observation that the model can produce.*in row 3"):
        sample_posterior(log_likelihood, 2, 10, np.random.default_rng(6), row=3)


def test_an_unlikely_observation_is_not_refused():
    """Ten standard deviations of the prediction away: the log of the evidence is -50."""
    draws = sample_posterior(lambda u: -0.5 * (u[:, 0] - 14.1) ** 2, 2, 4_000, np.random.default_rng(7))
    assert abs(draws[:, 0].mean() - 7.05) < STANDARD_ERRORS * DEPENDENCE * np.sqrt(0.5 / 4_000)


def test_families_do_not_learn_from_themselves(monkeypatch):
    """Proposals for a family must come from the other one."""
    seen = []

    class Recorded(_smc._Proposals):
        def __init__(self, points, rng):
            seen.append(points)
            super().__init__(points, rng)

    monkeypatch.setattr(_smc, "_Proposals", Recorded)
    log_likelihood, _, _ = linear(2, 2, 0.5)
    state, _ = _smc._Particles.of_prior(log_likelihood, 2, 400, np.random.default_rng(8))
    state.raise_power(np.random.default_rng(9))
    before, second = state.points.copy(), state.second.copy()
    state.move(np.random.default_rng(10))
    np.testing.assert_array_equal(seen[0], before[second])
    np.testing.assert_array_equal(seen[1], before[~second])


def test_a_family_that_dies_out_is_refilled():
    def log_likelihood(u):
        return -1e3 * np.abs(u[:, 0])

    rng, n = np.random.default_rng(16), 300
    state, _ = _smc._Particles.of_prior(log_likelihood, 2, n, rng)
    # The second family has no part in what is likely.
    state.points[state.second, 0] += 10.0
    state.log_likelihood = log_likelihood(state.points)
    while state.power < 0.1:
        state.raise_power(rng)
        assert 0.25 <= state.second.mean() <= 0.75
        state.move(rng)
    assert np.abs(state.points[:, 0]).max() < 1.0


def test_moves_leave_the_posterior_as_it_is():
    """Points of the posterior stay points of the posterior, also with proposals that fit it badly."""
    log_likelihood, mean, covariance = linear(3, 3, 0.5)
    rng, n = np.random.default_rng(11), 20_000
    factor = np.linalg.cholesky(covariance)
    points = mean + rng.standard_normal((n, 3)) @ factor.T
    state = _smc._Particles(log_likelihood, points.copy(), log_likelihood(points))
    state.power = 1.0
    proposals = _smc._Proposals(rng.standard_normal((500, 3)) ** 3, rng)
    for _ in range(10):
        state._move_once(np.arange(n // 2), state.points[n // 2 :], proposals, rng)
    moved = (state.points[: n // 2] - mean) @ np.linalg.inv(factor).T
    assert np.mean(np.any(state.points != points, axis=1)[: n // 2]) > 0.8
    np.testing.assert_array_equal(state.points[n // 2 :], points[n // 2 :])
    error = STANDARD_ERRORS / np.sqrt(n // 2)
    assert np.abs(moved.mean(axis=0)).max() < error
    assert np.abs((moved**2).mean(axis=0) - 1).max() < np.sqrt(2) * error
    assert np.abs((moved**4).mean(axis=0) - 3).max() < np.sqrt(96) * error


def test_mixture_is_fitted():
    rng, n = np.random.default_rng(12), 6_000
    centers = np.array([[4.0, 0.0], [-4.0, 1.0], [0.0, -5.0]])
    which = rng.choice(3, size=n, p=[0.5, 0.3, 0.2])
    points = centers[which] + rng.standard_normal((n, 2)) * [1.0, 0.3]
    mixture = NormalMixture.fit(points, 3, np.random.default_rng(13))
    # Ten rounds end near the optimum: half a percent of a nat per point from the density of the truth.
    truth = NormalMixture.of_covariances(
        np.array([0.5, 0.3, 0.2]), centers, np.broadcast_to(np.diag([1.0, 0.09]), (3, 2, 2))
    )
    assert mixture.log_density(points).mean() > truth.log_density(points).mean() - 0.005
    assert np.exp(mixture.log_weights).sum() == pytest.approx(1)
    grid = np.stack(np.meshgrid(np.arange(-9, 9, 0.1), np.arange(-8, 4, 0.05)), axis=-1).reshape(-1, 2)
    with_prior = mixture.with_component(0.1, np.zeros(2), np.eye(2))
    for density in (mixture, with_prior):
        assert np.exp(density.log_density(grid)).sum() * 0.005 == pytest.approx(1, abs=1e-3)


def test_mixture_of_equal_points():
    mixture = NormalMixture.fit(np.ones((30, 4)), 3, np.random.default_rng(14))
    assert np.isfinite(mixture.log_density(np.ones((1, 4)))).all()


def test_choice_follows_its_probabilities():
    shares = np.tile([0.1, 0.0, 0.6, 0.3], (10_000, 1))
    counts = np.bincount(choose(shares, np.random.default_rng(15)), minlength=4)
    assert counts[1] == 0
    np.testing.assert_array_less(np.abs(counts - 1e4 * shares[0]), 4 * np.sqrt(1e4 * 0.25))
