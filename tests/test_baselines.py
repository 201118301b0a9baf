import math

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.utils import estimator_checks

from innverse.baselines import RejectionABC

# Fixed seeds: a test at four standard errors either always holds or always fails, and would fail by chance
# for one seed in 15,000.
STANDARD_ERRORS = 4.0
NOISE = 0.5


def linear_gaussian(n, seed):
    """x ~ N(0, 1) twice; y is their sum and difference with noise, so that x given y is known."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2))
    y = x @ [[1, 1], [1, -1]] + NOISE * rng.normal(size=(n, 2))
    return x, y


def exact_posterior(y):
    """Mean and standard deviation of each x; the two are independent given y."""
    precision = 1 + 2 / NOISE**2
    return np.array([y[0] + y[1], y[0] - y[1]]) / NOISE**2 / precision, precision**-0.5


@pytest.fixture(scope="module")
def fitted():
    return RejectionABC(acceptance=0.004, random_state=0).fit(*linear_gaussian(200_000, 1))


@pytest.mark.parametrize("y", [[0.0, 0.0], [1.0, -0.5], [-1.5, 1.0]])
def test_agrees_with_the_closed_form(fitted, y):
    samples = fitted.posterior(y, n=800)
    mean, deviation = exact_posterior(y)
    # Accepted y lie within about 0.1 of y, a fifth of the noise: the posterior is a little wider.
    error = deviation / math.sqrt(800)
    assert np.all(np.abs(samples.mean(axis=0) - mean) < STANDARD_ERRORS * error + 0.01)
    assert np.all(np.abs(samples.std(axis=0) / deviation - 1) < STANDARD_ERRORS / math.sqrt(1600) + 0.02)
    assert abs(np.corrcoef(samples.T)[0, 1]) < STANDARD_ERRORS / math.sqrt(800)


def test_wider_acceptance_widens_the_posterior():
    x, y = linear_gaussian(5_000, 2)
    widths = [
        RejectionABC(acceptance=share, random_state=0).fit(x, y).posterior([0.0, 0.0]).std()
        for share in (0.02, 0.3, 1.0)
    ]
    assert widths[0] < 0.8 * widths[1] and widths[1] < 0.8 * widths[2]
    assert widths[2] == pytest.approx(1.0, abs=0.1)


def test_accepts_the_nearest_in_standardised_y():
    rng = np.random.default_rng(3)
    x, y = np.arange(500.0)[:, None], rng.normal(size=(500, 3)) * [1e42, 1.0, 1e-9] + [0, 5, 0]
    y = np.column_stack([y, np.full(500, 7.0)])
    model = RejectionABC(acceptance=0.03, random_state=0).fit(x, y)
    assert model.n_accepted_ == 15
    np.testing.assert_allclose(model.y_scale_, [*y[:, :3].std(axis=0), 1.0])
    observed = y[:4] * 1.1
    for row, samples in zip(observed, model.posterior(observed, n=15), strict=True):
        distance = np.linalg.norm((y - row) / model.y_scale_, axis=1)
        np.testing.assert_array_equal(np.sort(samples[:, 0]), np.sort(np.argsort(distance)[:15]))


def test_repeats_only_where_it_must(fitted):
    accepted = fitted.n_accepted_
    assert accepted == 800
    once, thrice = fitted.posterior([0.3, 0.1], n=accepted), fitted.posterior([0.3, 0.1], n=3 * accepted)
    assert len(np.unique(once, axis=0)) == accepted
    unique, counts = np.unique(thrice, axis=0, return_counts=True)
    # Of the accepted, 1 - e^-3 = 95 % are drawn at least once in three times as many draws.
    assert 0.9 * accepted < len(unique) < accepted and counts.max() > 1
    assert set(map(tuple, unique)) <= set(map(tuple, once))


def test_at_least_one_is_accepted():
    x, y = linear_gaussian(20, 4)
    model = RejectionABC(acceptance=1e-9).fit(x, y)
    assert model.n_accepted_ == 1
    np.testing.assert_array_equal(model.posterior(y[3], n=5), np.tile(x[3], (5, 1)))


def test_one_observation_or_many(fitted):
    y = np.array([[0.0, 0.0], [1.0, 1.0], [2.0, -1.0]])
    assert fitted.posterior(y[0]).shape == (1000, 2)
    assert fitted.posterior(y[:1], n=4).shape == (1, 4, 2)
    assert fitted.posterior(y, n=4).shape == (3, 4, 2)
    assert fitted.posterior(pd.DataFrame(y), n=4).shape == (3, 4, 2)


def test_many_observations_are_looked_up_in_parts(fitted, monkeypatch):
    _, y = linear_gaussian(10, 5)
    whole = fitted.posterior(y, n=6, random_state=1)
    monkeypatch.setattr("innverse.baselines._ENTRIES_AT_ONCE", 2_000)
    np.testing.assert_array_equal(fitted.posterior(y, n=6, random_state=1), whole)


def test_one_dimension_is_one_column():
    model = RejectionABC(acceptance=0.5, random_state=0).fit([1, 2, 3, 4], [10, 20, 30, 40])
    assert set(model.posterior(12.0, n=2)[:, 0]) == {1, 2}
    assert model.posterior([12.0, 38.0], n=2).shape == (2, 2, 1)
    assert model.n_features_in_ == 1


def test_draws_are_of_the_seed(fitted):
    y = [0.2, 0.2]
    np.testing.assert_array_equal(fitted.posterior(y, 9), fitted.posterior(y, 9))
    np.testing.assert_array_equal(fitted.posterior(y, 9, 3), fitted.posterior(y, 9, np.int64(3)))
    assert not np.array_equal(fitted.posterior(y, 9, 3), fitted.posterior(y, 9, 4))
    state = np.random.default_rng(0)
    assert not np.array_equal(fitted.posterior(y, 9, state), fitted.posterior(y, 9, state))


def test_score_has_the_value_of_the_closed_form(fitted):
    x, y = linear_gaussian(2_000, 6)
    # The energy score of the true posterior, E|X - X'| / 2 for normal X in two dimensions: sqrt(pi) / 2
    # times its deviation, in standard deviations of x, which are 1.
    best = -math.sqrt(math.pi) / 2 * exact_posterior([0, 0])[1]
    assert fitted.score(x, y) == pytest.approx(best, abs=0.03)
    prior = RejectionABC(acceptance=1.0, random_state=0).fit(*linear_gaussian(1_000, 7))
    assert prior.score(x, y) == pytest.approx(-math.sqrt(math.pi) / 2, abs=0.04)


def test_grid_search_finds_a_narrow_acceptance():
    search = GridSearchCV(RejectionABC(random_state=0), {"acceptance": [0.005, 0.9]}, cv=2)
    search.fit(*linear_gaussian(4_000, 8))
    assert search.best_params_ == {"acceptance": 0.005}


def test_names_of_columns_are_kept():
    x, y = linear_gaussian(50, 9)
    table = pd.DataFrame(x, columns=["mass", "age"])
    model = RejectionABC().fit(table, y)
    assert model.feature_names_in_.tolist() == ["mass", "age"]
    assert np.isfinite(model.score(table, y))
    with pytest.raises(ValueError, match="feature names"):
        model.score(table[["age", "mass"]], y)


def test_parameters_are_only_stored():
    state = np.random.RandomState(0)
    model = RejectionABC(acceptance="much", random_state=state)
    assert model.get_params() == {"acceptance": "much", "random_state": state}
    assert clone(RejectionABC(acceptance=0.5)).acceptance == 0.5
    with pytest.raises(TypeError):
        RejectionABC(0.5)


@estimator_checks.parametrize_with_checks([RejectionABC()])
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


X, Y = linear_gaussian(30, 10)


@pytest.mark.parametrize(
    ("parameters", "x", "y", "message"),
    [
        ({"acceptance": 0}, X, Y, "acceptance"),
        ({"acceptance": 1.5}, X, Y, "acceptance"),
        ({"acceptance": "much"}, X, Y, "acceptance"),
        ({"random_state": "seed"}, X, Y, "random_state"),
        ({}, X, Y[:-1], "x has 30 rows and y has 29"),
        ({}, X, None, "requires y"),
        ({}, np.where(X > 1, np.nan, X), Y, "x contains NaN"),
        ({}, X, np.where(Y > 1, np.inf, Y), "y contains infinity"),
        ({}, X[:0], Y[:0], "x"),
    ],
)
def test_bad_training_data(parameters, x, y, message):
    model = RejectionABC(**parameters)
    with pytest.raises(ValueError, match=message):
        model.fit(x, y)
    with pytest.raises(NotFittedError):
        model.posterior(Y[0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.posterior([0.0]), ValueError, "y must have 2 columns"),
        (lambda m: m.posterior([0.0, np.nan]), ValueError, "y contains NaN"),
        (lambda m: m.posterior([0.0, 0.0], n=0), ValueError, "n must be at least 1"),
        (lambda m: m.posterior([0.0, 0.0], n="9"), TypeError, "n must be an integer"),
        (lambda m: m.posterior([0.0, 0.0], random_state=-1), ValueError, "random_state must be"),
        (lambda m: m.score(X, Y[:3]), ValueError, "x has 30 rows and y has 3"),
        (lambda m: m.score(X[:, :1], Y), ValueError, "x has 1 features, but RejectionABC is expecting 2"),
        (lambda m: m.score(X, None), ValueError, "score needs y"),
    ],
)
def test_bad_arguments(fitted, call, error, message):
    with pytest.raises(error, match=message):
        call(fitted)


def test_a_failed_fit_leaves_the_model_as_it_was():
    model = RejectionABC(random_state=0).fit(X, Y)
    before = model.posterior(Y[:3], n=4)
    with pytest.raises(ValueError):
        model.fit(X[:, :1], Y[:-1])
    np.testing.assert_array_equal(model.posterior(Y[:3], n=4), before)


@pytest.mark.parametrize("method", [lambda m: m.posterior(Y[0]), lambda m: m.score(X, Y)])
def test_unfitted(method):
    with pytest.raises(NotFittedError):
        method(RejectionABC())
