"""Learning the simulator first: when it is done, what it gives, and that nothing else changes."""

import numpy as np
import pytest
from sklearn.base import clone

from innverse import ConditionalINN

ROWS = 400
FAST = dict(n_blocks=2, hidden_layer_sizes=(16,), random_state=0, n_jobs=2)


def signs(n, seed=0):
    """y is the square of each of two parameters, with noise: four symmetric modes."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, size=(n, 2))
    return x, x**2 + 0.05 * rng.normal(size=(n, 2))


@pytest.fixture(scope="module")
def model():
    return ConditionalINN(bounds=(-1, 1), random_state=0).fit(*signs(ROWS))


def four_readings(n, seed=0):
    """Four readings around a mean, whose spread and slope are parameters too: either sign of both will do."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, size=(n, 3))
    mean, spread, slope = np.split(x, 3, axis=1)
    noise = 0.5 * np.abs(spread) * rng.normal(size=(n, 4))
    return x, mean + noise + 0.1 * slope**2 * np.array([1, -1, 1, -1])


@pytest.mark.slow
def test_it_beats_networks_trained_on_the_simulations_alone():
    bounds = dict(bounds=(-2, 2), random_state=0)
    learned = ConditionalINN(**bounds).fit(*four_readings(1000))
    alone = ConditionalINN(**bounds, surrogate=False).fit(*four_readings(1000))
    x, y = four_readings(4000, seed=1)
    # Three seeds gave 0.44 to 0.50 with a standard error of 0.02.
    assert np.mean(learned.log_prob(x, y) - alone.log_prob(x, y)) > 0.25
    assert learned.n_estimators_ == 2 and alone.n_estimators_ == 5


def test_all_modes_are_found(model):
    y = np.random.default_rng(9).uniform(0.1, 0.9, size=(50, 2))
    samples = model.posterior(y, n=400, random_state=0)
    quadrants = (samples > 0) @ [1, 2]
    shares = np.stack([(quadrants == mode).mean(axis=1) for mode in range(4)])
    # Six seeds gave 0.036 to 0.058; a mode left out makes 0.125.
    assert np.abs(shares - 0.25).mean() < 0.08
    assert shares.min() > 0.01
    assert np.abs(np.abs(samples) - y[:, np.newaxis] ** 0.5).mean() < 0.06


def test_history_goes_on_from_fresh_pairs_to_the_simulations(model):
    history = model.history_
    assert history["epoch"] == list(range(1, model.n_iter_ + 1))
    # Up to 60 passes, up to twice 20 epochs.
    assert 10 < model.n_iter_ <= 100
    assert model.verdict_ is not None


def test_a_number_of_epochs_means_epochs_over_the_simulations():
    x, y = signs(ROWS)
    plain = ConditionalINN(**FAST, n_estimators=1, max_iter=3).fit(x, y)
    assert plain.n_iter_ == 3
    same = ConditionalINN(**FAST, n_estimators=1, max_iter=3, surrogate=False).fit(x, y)
    assert np.array_equal(plain.log_prob(x, y), same.log_prob(x, y))
    # As many passes over fresh pairs, then twice as many epochs.
    assert ConditionalINN(**FAST, max_iter=3, surrogate=True).fit(x, y).n_iter_ == 9


def test_without_rows_held_out_there_is_none():
    x, y = signs(ROWS)
    assert ConditionalINN(**FAST, n_estimators=1, early_stopping=False, max_iter=2).fit(x, y).n_iter_ == 2
    with pytest.raises(ValueError, match="surrogate=True needs early_stopping=True"):
        ConditionalINN(**FAST, surrogate=True, early_stopping=False).fit(x, y)


def test_partial_fit_and_warm_start_go_on_without():
    x, y = signs(ROWS)
    model = ConditionalINN(**FAST, surrogate=True, max_iter=2, warm_start=True).fit(x, y)
    assert model.partial_fit(x, y).n_iter_ == 7
    assert model.fit(x, y).n_iter_ == 9


def test_threads_change_no_bit():
    x, y = signs(ROWS)
    model = ConditionalINN(**FAST, surrogate=True, max_iter=3)
    fits = [clone(model).set_params(n_jobs=jobs).fit(x, y) for jobs in (1, 3)]
    assert np.array_equal(*(fit.log_prob(x, y) for fit in fits))


def test_counts_and_classes_are_no_trouble():
    rng = np.random.default_rng(0)
    # Of 400 the spread would vary by a fifth from seed to seed.
    x = rng.gamma(3.0, size=(1500, 1))
    y = np.column_stack([rng.poisson(3 * x[:, 0]), x[:, 0] > 3])
    model = ConditionalINN(bounds=(0, None), random_state=0, n_blocks=3).fit(x, y)
    samples = model.posterior([9, 0], n=4000, random_state=0)
    # Posterior of the rate: gamma(3 + 9, rate 1 + 3), cut off at 3.
    exact = rng.gamma(12.0, 0.25, size=100_000)
    exact = exact[exact <= 3]
    assert samples.mean() == pytest.approx(exact.mean(), abs=0.1)
    assert samples.std() == pytest.approx(exact.std(), rel=0.2)


@pytest.mark.parametrize("shapes", [(1, 1), (1, 3), (3, 1)])
def test_every_number_of_columns_works(shapes):
    rng = np.random.default_rng(0)
    x, y = (rng.normal(size=(100, columns)) for columns in shapes)
    model = ConditionalINN(**FAST, surrogate=True, max_iter=2).fit(x, y)
    assert np.isfinite(model.posterior(y[:3], n=5)).all()
