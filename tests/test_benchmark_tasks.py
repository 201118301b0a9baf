import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, optimize, stats
from scipy.special import expit, logsumexp

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
from grid_tasks import GRID_TASKS
from tasks import TASKS

ALL_TASKS = {**TASKS, **GRID_TASKS}
# Fixed seeds: a test at four standard errors either always holds or always fails.
STANDARD_ERRORS = 4.0
EXACT = ("two_moons", "gaussian_mixture", "gaussian_linear", "gaussian_linear_uniform", *GRID_TASKS)
DIMENSIONS = {
    "two_moons": (2, 2),
    "gaussian_mixture": (2, 2),
    "gaussian_linear": (10, 10),
    "gaussian_linear_uniform": (10, 10),
    "slcp": (5, 8),
    "bernoulli_glm": (10, 10),
    "lotka_volterra": (4, 20),
    "sir": (2, 10),
    "inverse_kinematics": (4, 2),
    "inverse_ballistics": (4, 1),
    "poisson_regression": (3, 10),
    "spectral_line": (3, 20),
    "censored_lifetimes": (2, 8),
    "bearing_and_range": (2, 2),
    "heavy_tails": (1, 6),
    "binomial_share": (1, 3),
}
# Tasks with three parameters: a second or two for each grid.
SPATIAL = ("poisson_regression", "spectral_line")
# Sequential Monte Carlo through an integrator.
INTEGRATED = ("lotka_volterra", "sir")
# Observations in the middle, and where the edge of the prior cuts the posterior.
PLANE = [("two_moons", x) for x in ([0.0, 0.0], [-0.9, 0.3], [-0.3, 0.75])]
PLANE += [("gaussian_mixture", x) for x in ([1.0, -3.0], [9.9, -10.3], [11.0, 0.0])]
# A moderate likelihood, so that draws from the prior can be weighted by it.
SLCP_X = [0.5, -1.0, 2.5, -3.0, -2.0, 1.5, 3.5, 3.0]


def marked_long(names, *slow):
    """Parameters of a test, some of which take too long for every run."""
    return [pytest.param(name, marks=pytest.mark.long if name in slow else ()) for name in names]


def moments(theta):
    """Columns, their squares and products."""
    pairs = np.triu_indices(theta.shape[1])
    return np.concatenate([theta, theta[:, pairs[0]] * theta[:, pairs[1]]], axis=1)


def assert_same_means(a, b, weights=None):
    """Two samples have the same moments up to chance; the second may be weighted."""
    a, b = moments(a), moments(b)
    weights = np.full(len(b), 1.0 / len(b)) if weights is None else weights / weights.sum()
    mean = weights @ b
    error = np.sqrt(a.var(axis=0) / len(a) + weights**2 @ (b - mean) ** 2)
    np.testing.assert_array_less(np.abs(a.mean(axis=0) - mean), STANDARD_ERRORS * error + 1e-12)


def assert_same_quantiles(a, b):
    """The shares of the first sample below quantiles of the second are what they should be, up to chance."""
    levels = np.array([0.05, 0.25, 0.5, 0.75, 0.95])
    for column, other in zip(a.T, b.T, strict=True):
        shares = (column[:, np.newaxis] <= np.quantile(other, levels)).mean(axis=0)
        error = np.sqrt(levels * (1 - levels) * (1 / len(column) + 1 / len(other)))
        np.testing.assert_array_less(np.abs(shares - levels), STANDARD_ERRORS * error)


def metropolis(log_density, start, steps, rng):
    """Plain random walks with a fixed proposal for each coordinate alone: slow, but simple."""
    theta, value = start.copy(), log_density(start)
    scale = start.std(axis=0)
    for step in range(steps):
        column = step % theta.shape[1]
        moved = theta.copy()
        moved[:, column] += scale[column] * rng.standard_normal(len(theta))
        log_moved = log_density(moved)
        better = np.log(rng.random(len(theta))) < log_moved - value
        theta[better], value[better] = moved[better], log_moved[better]
    return theta


@pytest.mark.parametrize("name", marked_long(DIMENSIONS, *INTEGRATED, *SPATIAL))
def test_tasks_agree_on_their_interface(name):
    task = ALL_TASKS[name]
    assert task.name == name and (task.dx, task.dy) == DIMENSIONS[name]
    theta, x = task.sample(20, 0)
    assert theta.shape == (20, task.dx) and x.shape == (20, task.dy)
    draws = task.reference_posterior(x[0], 30, 1)
    assert draws.shape == (30, task.dx) and len(np.unique(draws[:, 0])) == 30
    np.testing.assert_array_equal(task.sample(20, 0)[1], x)
    np.testing.assert_array_equal(task.sample(20, np.random.default_rng(0))[1], x)
    np.testing.assert_array_equal(task.reference_posterior(x[0], 30, 1), draws)
    if task.bounds is not None:
        assert len(task.bounds) == task.dx
        low, high = np.transpose(task.bounds)
        for points in (draws, *theta):
            assert np.all(points >= low) and np.all(points <= high)
    density = task.log_posterior(draws, x[0])
    assert density.shape == (30,) and np.isfinite(density).all() if name in EXACT else density is None
    with pytest.raises(ValueError, match="x_observed must be"):
        task.reference_posterior(x[:2], 10)


def test_there_is_one_task_of_each_name():
    assert set(ALL_TASKS) == set(DIMENSIONS) and not set(TASKS) & set(GRID_TASKS)


def grid_over(task, x):
    """Midpoints of cells where the posterior may be, and the area of a cell."""
    low, high = (np.array(ends) for ends in zip(*task.bounds, strict=True))
    cells = np.array([1500, 1601])  # unequal: the moons end on diagonals
    if task.name == "gaussian_mixture":  # its narrow part would be lost on a grid over all of the prior
        low, high, cells = np.maximum(np.array(x) - 6, low), np.minimum(np.array(x) + 6, high), cells // 2
    widths = (high - low) / cells
    axes = [np.arange(n) + 0.5 for n in cells]
    return low + widths * np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2), widths.prod()


@pytest.mark.parametrize(("name", "x"), PLANE)
def test_densities_in_the_plane_integrate_to_one_and_match_the_draws(name, x):
    task = TASKS[name]
    grid, area = grid_over(task, x)
    log_density = task.log_posterior(grid, x)
    grid, log_density = grid[log_density > -30], log_density[log_density > -30]
    weights = np.exp(log_density) * area
    assert weights.sum() == pytest.approx(1, abs=2e-3)
    # The draws have the moments of the density, and its mean log.
    draws = task.reference_posterior(x, 20_000, 0)
    seen = np.column_stack([moments(draws), task.log_posterior(draws, x)])
    expected = weights @ np.column_stack([moments(grid), log_density]) / weights.sum()
    error = seen.std(axis=0) / np.sqrt(len(seen))
    np.testing.assert_array_less(np.abs(seen.mean(axis=0) - expected), STANDARD_ERRORS * error + 1e-3)


@pytest.mark.parametrize(("name", "x", "radius"), [(*PLANE[1], 0.015), (*PLANE[3], 0.15)])
def test_references_in_the_plane_are_the_simulations_near_the_observation(name, x, radius):
    task, near = TASKS[name], []
    for seed in range(6):
        theta, simulated = task.sample(1_000_000, seed)
        near.append(theta[np.hypot(*(simulated - x).T) < radius])
    near = np.concatenate(near)
    assert len(near) > 300
    draws = task.reference_posterior(x, 20_000, 0)
    assert_same_quantiles(near, draws)
    assert_same_quantiles(near @ [[1], [1]], draws @ [[1], [1]])


@pytest.mark.parametrize("name", ["gaussian_linear", "gaussian_linear_uniform"])
def test_linear_references_are_the_simulations_near_each_datum(name):
    task = TASKS[name]
    theta, simulated = task.sample(200_000, 0)
    observed = np.linspace(-1.2, 1.2, 10) if name.endswith("uniform") else np.linspace(-0.9, 0.9, 10)
    draws = task.reference_posterior(observed, 20_000, 1)
    for column, x in enumerate(observed):  # parameters and data come in pairs that know nothing of the others
        near = np.abs(simulated[:, column] - x) < 0.02
        assert near.sum() > 500
        assert_same_means(theta[near][:, [column]], draws[:, [column]])
        assert_same_quantiles(theta[near][:, [column]], draws[:, [column]])


def test_linear_densities_are_normal_densities():
    rng = np.random.default_rng(0)
    x, theta = rng.uniform(-1.2, 1.2, 10), rng.uniform(-1, 1, (5, 10))
    linear = stats.multivariate_normal(x / 2, 0.05 * np.eye(10)).logpdf(theta)
    np.testing.assert_allclose(TASKS["gaussian_linear"].log_posterior(theta, x), linear)
    scale = np.sqrt(0.1)
    cut = stats.truncnorm((-1 - x) / scale, (1 - x) / scale, x, scale).logpdf(theta).sum(axis=1)
    np.testing.assert_allclose(TASKS["gaussian_linear_uniform"].log_posterior(theta, x), cut)
    theta[0, 3] = 1.01
    assert TASKS["gaussian_linear_uniform"].log_posterior(theta, x)[0] == -np.inf


def test_an_observation_far_from_the_prior_is_still_handled():
    draws = TASKS["gaussian_linear_uniform"].reference_posterior(np.full(10, 20.0), 1000, 0)
    # Near the edge the posterior is exponential, with a mean distance of 0.1 / (20 - 1).
    assert (1 - draws).mean() == pytest.approx(0.1 / 19, rel=0.05) and draws.max() <= 1
    draws = TASKS["gaussian_mixture"].reference_posterior([30.0, 0.0], 1000, 0)
    assert (10 - draws[:, 0]).mean() == pytest.approx(1 / 20, rel=0.1)
    with pytest.raises(ValueError, match="x_observed must be an outcome"):
        TASKS["two_moons"].reference_posterior([2.0, 0.0], 10)


def test_slcp_likelihood_is_that_of_four_normal_points():
    task = TASKS["slcp"]
    rng = np.random.default_rng(0)
    theta = rng.uniform(-3, 3, (4, 5))
    x = np.array(SLCP_X)
    expected = []
    for t1, t2, t3, t4, t5 in theta:
        cross = np.tanh(t5) * t3**2 * t4**2
        normal = stats.multivariate_normal([t1, t2], [[t3**4, cross], [cross, t4**4]])
        expected.append(normal.logpdf(x.reshape(4, 2)).sum())
    actual = task.log_joint(theta, x)
    np.testing.assert_allclose(actual - actual[0], np.array(expected) - expected[0], rtol=1e-9, atol=1e-9)
    theta[0, 2] = 3.01
    assert task.log_joint(theta, x)[0] == -np.inf


def test_slcp_data_have_the_covariance_of_their_parameters():
    theta, x = TASKS["slcp"].sample(200_000, 0)
    z = (x.reshape(-1, 4, 2) - theta[:, np.newaxis, :2]) / theta[:, np.newaxis, 2:4] ** 2
    error = STANDARD_ERRORS / np.sqrt(len(x))
    assert np.abs(z.mean(axis=0)).max() < error
    assert np.abs((z**2).mean(axis=0) - 1).max() < 2 * error
    assert np.abs((z[:, :, 0] * z[:, :, 1] - np.tanh(theta[:, 4:])).mean(axis=0)).max() < 2 * error
    assert np.abs((z[:, :1] * z[:, 1:2]).mean(axis=0)).max() < error * 2


def slcp_weighted(rows, seed):
    """Draws from the prior, and the likelihood of `SLCP_X`."""
    theta = np.random.default_rng(seed).uniform(-3, 3, (rows, 5))
    log_joint = TASKS["slcp"].log_joint(theta, SLCP_X)
    return theta, np.exp(log_joint - log_joint.max())


def test_slcp_reference_has_the_moments_of_weighted_prior_draws():
    theta, weights = slcp_weighted(500_000, 0)
    assert weights.sum() ** 2 / (weights @ weights) > 1000
    draws = TASKS["slcp"].reference_posterior(SLCP_X, 4000, 1)
    assert_same_means(draws, theta, weights)
    # All four combinations of signs are as likely.
    assert abs((draws[:, 2] * draws[:, 3] > 0).mean() - 0.5) < STANDARD_ERRORS * 0.5 / np.sqrt(4000)


def assert_slcp_agrees_with_long_chains(x, start, steps):
    """Compare with walks that use neither the proposals nor the covariance of the reference."""
    task = TASKS["slcp"]
    draws = task.reference_posterior(x, len(start), 1)
    walked = metropolis(lambda theta: task.log_joint(theta, x), start, steps, np.random.default_rng(3))
    walked[:, 2:4], draws[:, 2:4] = np.abs(walked[:, 2:4]), np.abs(draws[:, 2:4])
    assert_same_means(draws, walked)
    assert_same_quantiles(draws, walked)


def test_slcp_reference_agrees_with_long_chains():
    theta, weights = slcp_weighted(200_000, 4)
    start = theta[np.random.default_rng(2).choice(len(theta), 1000, p=weights / weights.sum())]
    start[:, 2:4] = np.abs(start[:, 2:4])  # its spread sets the length of the steps
    assert_slcp_agrees_with_long_chains(SLCP_X, start, 1500)


@pytest.mark.long
def test_slcp_reference_agrees_with_long_chains_for_observations_of_the_prior():
    # Few draws of the prior are near these posteriors: the walks start near where those of the reference end.
    task, rng = TASKS["slcp"], np.random.default_rng(2)
    for x in task.sample(3, 5)[1]:
        start = task.reference_posterior(x, 2000, 2)
        start[:, 2:4] = np.abs(start[:, 2:4])
        start[:, 2:] *= rng.uniform(0.9, 1.0, (2000, 3))
        assert_slcp_agrees_with_long_chains(x, start, 6000)


def test_glm_prior_and_design_are_as_published():
    task = TASKS["bernoulli_glm"]
    assert task.precision[0, 0] == 0.5 and not task.precision[0, 1:].any()
    f = np.random.default_rng(0).standard_normal(9)
    before = np.concatenate([np.zeros(2), f])
    roughness = [
        (1 + np.sqrt((i - 1) / 9)) * before[i + 1] - 2 * before[i] + before[i - 1] for i in range(1, 10)
    ]
    assert f @ task.precision[1:, 1:] @ f == pytest.approx(np.square(roughness).sum())
    np.testing.assert_array_equal(task.design[:, 0], 1)
    for row in (3, 50):
        lags = [task.design[row - lag, 1] if lag <= row else 0 for lag in range(9)]
        np.testing.assert_array_equal(task.design[row, 1:], lags)


def test_glm_data_are_sums_over_the_bins_with_a_spike():
    task = TASKS["bernoulli_glm"]
    theta, x = task.sample(50_000, 0)
    assert np.all(x[:, 0] == np.round(x[:, 0])) and x[:, 0].min() >= 0 and x[:, 0].max() <= 100
    rate = expit(theta @ task.design.T)
    spread = np.sqrt((rate * (1 - rate)) @ task.design**2)
    z = (x - rate @ task.design) / spread
    assert np.abs(z.mean(axis=0)).max() < STANDARD_ERRORS / np.sqrt(len(z))
    assert np.abs(z.var(axis=0) - 1).max() < 0.05
    covariance = np.linalg.inv(task.precision)
    np.testing.assert_allclose(np.cov(theta, rowvar=False), covariance, atol=0.06 * covariance.max())


def test_glm_likelihood_in_its_statistics_is_that_of_the_spikes():
    task = TASKS["bernoulli_glm"]
    rng = np.random.default_rng(0)
    theta, spikes = rng.standard_normal((5, 10)), rng.random(100) < 0.4
    rate = expit(theta @ task.design.T)
    log_prior = stats.multivariate_normal(np.zeros(10), np.linalg.inv(task.precision)).logpdf(theta)
    expected = stats.bernoulli(rate).logpmf(spikes).sum(axis=1) + log_prior
    actual = task.log_joint(theta, spikes @ task.design)
    np.testing.assert_allclose(actual - actual[0], expected - expected[0], atol=1e-9)


@pytest.mark.parametrize("spikes", ["some", "none"])
def test_glm_reference_has_the_moments_of_weighted_draws(spikes):
    task = TASKS["bernoulli_glm"]
    x = task.sample(1, 4)[1][0] if spikes == "some" else np.zeros(10)
    best = optimize.minimize(lambda theta: -task.log_joint(theta, x)[0], np.zeros(10))
    proposal = stats.multivariate_t(best.x, 1.5 * best.hess_inv, df=6, seed=5)
    theta = proposal.rvs(30_000)
    log_weight = task.log_joint(theta, x) - proposal.logpdf(theta)
    weights = np.exp(log_weight - logsumexp(log_weight))
    assert 1 / (weights @ weights) > 2000
    assert_same_means(task.reference_posterior(x, 2000, 6), theta, weights)


def test_glm_says_when_its_chains_do_not_move(monkeypatch):
    task = TASKS["bernoulli_glm"]
    monkeypatch.setattr(type(task), "least_acceptance", 0.99)
    with pytest.raises(RuntimeError, match="of the proposals were accepted"):
        task.reference_posterior(task.sample(1, 0)[1][0], 100, 0)


def test_predators_and_prey_move_as_an_adaptive_integration_says():
    task = TASKS["lotka_volterra"]
    theta, x = task.sample(20, 3)
    computed = task.log_expected(theta)
    for row, (alpha, beta, gamma, delta) in enumerate(theta):

        def rate(_, u, alpha=alpha, beta=beta, gamma=gamma, delta=delta):
            return [alpha - beta * np.exp(u[1]), delta * np.exp(u[0]) - gamma]

        times = 2.1 * np.arange(10)
        solved = integrate.solve_ivp(
            rate, (0, times[-1]), np.log([30, 1]), "LSODA", times, rtol=1e-9, atol=1e-9
        )
        expected = np.clip(solved.y, np.log(1e-10), np.log(1e4)).ravel()
        np.testing.assert_allclose(computed[row], expected, atol=3e-3)
    # 400 times the noise, standard normal.
    assert stats.kstest(((np.log(x) - computed) / 0.1).ravel(), "norm").pvalue > 1e-3


def test_an_epidemic_goes_as_an_adaptive_integration_says():
    task = TASKS["sir"]
    theta, x = task.sample(400, 3)
    share = task.share(theta)
    for row, (beta, gamma) in enumerate(theta[:20]):

        def rate(_, u, beta=beta, gamma=gamma):
            infection = beta * u[0] * u[1] / 1e6
            return [-infection, infection - gamma * u[1]]

        times = 17.0 * np.arange(10)
        solved = integrate.solve_ivp(
            rate, (0, times[-1]), [1e6 - 1, 1], "LSODA", times, rtol=1e-10, atol=1e-8
        )
        np.testing.assert_allclose(share[row], solved.y[1] / 1e6, rtol=1e-3)
    # Mean square, in standard deviations, of the counts that are large enough to be normal.
    large = share > 0.02
    off = (x - 1000 * share)[large] / np.sqrt(1000 * share * (1 - share))[large]
    assert np.mean(off**2) == pytest.approx(1, abs=STANDARD_ERRORS * np.sqrt(2 / off.size))
    assert np.all(x[share < 1e-9] == 0)


@pytest.mark.slow
def test_the_reference_of_an_epidemic_is_that_of_quadrature():
    task = TASKS["sir"]
    x = [0.0, 21.0, 373.0, 85.0, 17.0, 5.0, 0.0, 0.0, 0.0, 0.0]
    axes = np.linspace(0.62, 0.74, 121), np.linspace(0.07, 0.13, 121)
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 2)
    prior = stats.norm(np.log([0.4, 0.125]), [0.5, 0.2]).logpdf(np.log(grid)) - np.log(grid)
    log_density = prior.sum(axis=1) + stats.binom.logpmf(x, 1000, task.share(grid)).sum(axis=1)
    weights = np.exp(log_density - log_density.max())
    # Nothing of it lies beyond the grid.
    assert weights.reshape(121, 121)[[0, -1]].max() < 1e-4
    assert weights.reshape(121, 121)[:, [0, -1]].max() < 1e-4
    draws = task.reference_posterior(x, 10_000, 1)
    mean = weights @ moments(grid) / weights.sum()
    spread = np.sqrt(weights @ (moments(grid) - mean) ** 2 / weights.sum())
    error = spread / np.sqrt(len(draws))
    np.testing.assert_array_less(np.abs(moments(draws).mean(axis=0) - mean), STANDARD_ERRORS * error)


def log_of_likelihoods(name, theta, x):
    """Log likelihoods of parameters, by scipy's distributions."""
    columns = [column[:, np.newaxis] for column in theta.T]
    if name == "poisson_regression":
        return stats.poisson.logpmf(x, np.exp(1 + theta @ GRID_TASKS[name].design.T / 2)).sum(axis=1)
    if name == "spectral_line":
        height, place, width = columns
        shape = stats.norm.pdf(np.linspace(0, 1, 20), place, width) / stats.norm.pdf(0, scale=width)
        return stats.poisson.logpmf(x, 5 + height * shape).sum(axis=1)
    if name == "censored_lifetimes":
        law = stats.weibull_min(columns[0], scale=columns[1])
        return np.where(x < 1.5, law.logpdf(x), law.logsf(1.5)).sum(axis=1)
    if name == "bearing_and_range":
        turns = 2 * np.pi * np.arange(-2, 3)
        angle = np.arctan2(columns[1], columns[0])
        bearing = logsumexp(stats.norm.logpdf(x[..., :1] + turns, angle, 0.1), axis=1)
        return bearing + stats.lognorm.logpdf(x[..., 1], 0.2, scale=np.hypot(*theta.T))
    if name == "heavy_tails":
        return stats.t.logpdf(x, 2, loc=theta, scale=0.5).sum(axis=1)
    return stats.binom.logpmf(x, [5, 10, 20], theta).sum(axis=1)


@pytest.mark.parametrize("name", GRID_TASKS)
def test_simulations_follow_the_likelihood(name):
    # The mean of L(other, x) / L(theta, x) over x ~ L(theta, x) is the integral of L(other, x), which is 1.
    task, n = GRID_TASKS[name], 20_000
    rng = np.random.default_rng(14)
    theta, _ = task.sample(20, rng)
    # Small, or a few values of x would make up the mean.
    step = 0.01 if name == "spectral_line" else 0.03
    for truth, other in zip(theta, theta[::-1], strict=True):
        rows, others = np.tile(truth, (n, 1)), np.tile(truth + step * (other - truth), (n, 1))
        x = task._simulate(rows, rng)
        ratio = np.exp(log_of_likelihoods(name, others, x) - log_of_likelihoods(name, rows, x))
        assert abs(ratio.mean() - 1.0) < STANDARD_ERRORS * ratio.std() / np.sqrt(n)


@pytest.mark.long
@pytest.mark.parametrize("name", GRID_TASKS)
def test_finer_cells_change_nothing(name, monkeypatch):
    task = GRID_TASKS[name]
    pairs = list(zip(*task.sample(10, 15), strict=True))
    coarse = [task.log_posterior(theta[np.newaxis], x)[0] for theta, x in pairs]
    monkeypatch.setattr(task, "cells", tuple(3 * n // 2 for n in task.cells))
    fine = [task.log_posterior(theta[np.newaxis], x)[0] for theta, x in pairs]
    np.testing.assert_allclose(coarse, fine, atol=0.01)


def test_a_range_that_is_not_positive_is_no_outcome():
    with pytest.raises(ValueError, match="an outcome of some theta"), np.errstate(all="ignore"):
        GRID_TASKS["bearing_and_range"].reference_posterior([0.0, -1.0], 10)


@pytest.mark.parametrize("name", marked_long(GRID_TASKS, "spectral_line"))
@pytest.mark.parametrize("row", range(3))
def test_grids_agree_with_weighted_draws_of_the_prior(name, row):
    task = GRID_TASKS[name]
    theta, data = task.sample(30, 11)
    weak = np.flatnonzero(data.max(axis=1) < 20)  # a bright line would leave few of the weights
    truth, x = theta[weak[row]], data[weak[row]]
    prior, _ = task.sample(400_000, 12)
    log_weights = log_of_likelihoods(name, prior, x)
    weights = np.exp(log_weights - log_weights.max())
    assert weights.sum() ** 2 / (weights**2).sum() > 500
    assert_same_means(task.reference_posterior(x, 20_000, 13), prior, weights)
    # The density at the truth is prior times likelihood over the mean of the latter.
    evidence, spread = weights.mean(), weights.std() / np.sqrt(len(weights))
    log_prior = sum(law.logpdf(value) for law, value in zip(task.priors, truth, strict=True))
    log_density = log_prior + log_of_likelihoods(name, truth[np.newaxis], x)[0] - log_weights.max()
    found = task.log_posterior(truth[np.newaxis], x)[0]
    assert abs(found - (log_density - np.log(evidence))) < STANDARD_ERRORS * spread / evidence
    outside = np.full((1, task.dx), -1e6)
    assert task.bounds is None or task.log_posterior(outside, x)[0] == -np.inf


def test_the_grid_of_a_share_is_a_beta_distribution():
    x = [0.0, 1.0, 3.0]
    shares = np.array([[1e-3], [0.1], [0.5]])
    exact = stats.beta.logpdf(shares[:, 0], 5, 32)
    np.testing.assert_allclose(GRID_TASKS["binomial_share"].log_posterior(shares, x), exact, atol=1e-6)


# A hundred references of these would take half an hour: their sampler has tests of its own.
RANKED = [name for name in DIMENSIONS if name not in INTEGRATED]


@pytest.mark.slow
@pytest.mark.parametrize("name", marked_long(RANKED, "slcp", *SPATIAL))
def test_parameters_rank_evenly_among_draws_for_their_data(name):
    # If the draws are of the posterior, the rank of the true parameter among them is uniform.
    task, n, draws = ALL_TASKS[name], 100, 99
    theta, x = task.sample(n, 7)
    for column in range(task.dx):
        theta[:, column] += 1e-9 * np.random.default_rng(8).standard_normal(n)  # ties of whole numbers
    ranks = np.empty((n, task.dx))
    for row in range(n):
        reference = task.reference_posterior(x[row], draws, row)
        reference += 1e-9 * np.random.default_rng(row).standard_normal(reference.shape)
        ranks[row] = (reference < theta[row]).mean(axis=0)
    for column in ranks.T:
        assert stats.kstest(column + 0.5 / (draws + 1), "uniform").pvalue > 1e-3
