"""Priors with edges: samples stay inside, densities know of them, and outliers ruin nothing."""

import numpy as np
import pytest
from scipy.stats import norm, truncnorm

from innverse import INN, ConditionalINN, load

SMALL = dict(n_blocks=3, hidden_layer_sizes=(32,), max_iter=40, random_state=0)
NOISE = 0.3


@pytest.fixture(scope="module")
def uniform():
    """x uniform in a square, y is x with noise: the posterior is a truncated normal."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, size=(10_000, 2))
    return x, x + NOISE * rng.normal(size=x.shape)


@pytest.fixture(scope="module")
def fitted(uniform):
    return ConditionalINN(bounds=(-1, 1), random_state=0).fit(*uniform)


def truncated(y):
    return truncnorm((-1 - y) / NOISE, (1 - y) / NOISE, loc=y, scale=NOISE)


def test_no_sample_is_ever_outside(fitted, uniform):
    samples = fitted.posterior(uniform[1][:200], n=500)
    assert samples.min() >= -1 and samples.max() <= 1
    with pytest.warns(UserWarning, match="outside what the simulations cover"):
        far = fitted.posterior([30.0, -30.0], n=2000)
    assert far.min() >= -1 and far.max() <= 1


@pytest.mark.parametrize("y", [0.0, 0.8])
def test_the_posterior_is_truncated_at_the_edge(fitted, y):
    samples = fitted.posterior([y, y], n=20_000, random_state=1)
    exact = truncated(y)
    quantiles = [0.05, 0.25, 0.5, 0.75, 0.95]
    # About 700 simulations lie within the noise of this observation, which know the outer quantiles to 0.023
    # themselves: three times that.
    for column in samples.T:
        assert np.quantile(column, quantiles) == pytest.approx(exact.ppf(quantiles), abs=0.07)


def test_the_density_integrates_to_one_inside_and_is_zero_outside(fitted):
    # In the coordinates in which a uniform column is normal, the grid needs no care at the edges.
    u = np.linspace(-6, 6, 301)
    points = np.stack(np.meshgrid(u, u), -1).reshape(-1, 2)
    x = 2 * norm.cdf(points) - 1
    log_slope = np.log(2 * norm.pdf(points)).sum(axis=1)
    density = np.exp(fitted.log_prob(x, np.full_like(x, 0.5)) + log_slope)
    assert density.sum() * (u[1] - u[0]) ** 2 == pytest.approx(1, abs=0.005)
    assert fitted.log_prob([[1.01, 0.0], [0.0, -2.0]], np.zeros((2, 2))).tolist() == [-np.inf, -np.inf]
    assert np.isfinite(fitted.log_prob([[1.0, -1.0]], np.zeros((1, 2)))).all()


@pytest.mark.parametrize("estimator", [ConditionalINN, INN])
def test_one_edge_and_edges_of_some_columns(estimator):
    rng = np.random.default_rng(1)
    x = np.c_[5 + rng.exponential(size=1000), -rng.exponential(size=1000), rng.normal(size=1000)]
    y = x[:, :2] + 0.1 * rng.normal(size=(1000, 2))
    settings = {**SMALL, "max_iter": 3}
    model = estimator(**settings, bounds=[(5, None), (-np.inf, 0), None]).fit(x, y)
    samples = model.posterior(y[:50], n=200)
    assert samples[..., 0].min() >= 5 and samples[..., 1].max() <= 0
    assert np.abs(samples[..., 2]).max() > 1


def test_a_saved_model_keeps_its_bounds(fitted, uniform, tmp_path):
    fitted.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert loaded.bounds == (-1, 1)
    assert np.array_equal(loaded.posterior(uniform[1][:5], n=9), fitted.posterior(uniform[1][:5], n=9))
    x, y = (part[:5] for part in uniform)
    assert np.array_equal(loaded.log_prob(x, y), fitted.log_prob(x, y))


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ([(-1, 1)] * 3, r"one pair \(low, high\) for each of the 2 columns"),
        ([(1, -1), None], r"pairs \(low, high\) with low < high, got \(1, -1\)"),
        ([(np.nan, 1), None], "low < high"),
        ([("a", 1), None], "pairs"),
        ([(0, 1, 2), None], "pairs"),
        ([(0, 1), None], r"x must be within its bounds \(0, 1\), got -"),
    ],
)
def test_bounds_that_make_no_sense(uniform, bounds, message):
    with pytest.raises(ValueError, match=message):
        ConditionalINN(**SMALL, bounds=bounds).fit(*uniform)


def test_an_outlier_ruins_nothing(uniform):
    """One simulation a million times farther out than the others (sbi#346)."""
    x, y = (part.copy() for part in uniform)
    clean = ConditionalINN(**SMALL, bounds=(-1, 1)).fit(x, y)
    y[7] = [1e6, -1e6]
    model = ConditionalINN(**SMALL, bounds=(-1, 1)).fit(x, y)
    rng = np.random.default_rng(5)
    test = rng.uniform(-1, 1, size=(1000, 2))
    seen = test + NOISE * rng.normal(size=test.shape)
    difference = np.mean(clean.log_prob(test, seen) - model.log_prob(test, seen))
    assert abs(difference) < 0.05


def test_a_linear_problem_is_nearly_solved_before_training():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(2000, 6))
    y = x @ rng.normal(size=(6, 6)) + 0.5 * rng.normal(size=x.shape)
    model = ConditionalINN(**{**SMALL, "max_iter": 1}).fit(x, y)
    # The regression alone explains x as ordinary least squares does.
    mean = model._model.decode(np.zeros_like(x), y, 1)
    design = np.c_[y, np.ones(len(y))]
    best = design @ np.linalg.lstsq(design, x, rcond=None)[0]
    assert np.mean((mean - x) ** 2) < 1.1 * np.mean((best - x) ** 2)


def test_columns_over_orders_of_magnitude_are_learned_at_every_scale():
    random = np.random.default_rng(0)
    log_x = 3.0 * random.standard_normal((4000, 1))
    y = np.exp(log_x + 0.3 * random.standard_normal((4000, 1)))
    model = ConditionalINN(max_iter=30, n_estimators=1, random_state=0).fit(np.exp(log_x), y)
    # A normal prior and normal noise, in the logarithms. The fit is short; scaled alone, samples of
    # small values would be all over zero.
    precision = 1 / 3.0**2 + 1 / 0.3**2
    for log_y in (-5.0, 0.0, 5.0):
        log_samples = np.log(model.posterior([np.exp(log_y)], n=4000, random_state=0))
        assert abs(log_samples.mean() - log_y / 0.3**2 / precision) < 0.2 * precision**-0.5
        assert log_samples.std() == pytest.approx(precision**-0.5, rel=0.15)
