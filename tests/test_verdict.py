"""Ensembles, and what a fit says of itself."""

import warnings

import numpy as np
import pytest

from innverse import INN, ConditionalINN, load
from innverse._verdict import SIGNIFICANCE, _chance

SMALL = dict(n_blocks=2, hidden_layer_sizes=(32,), max_iter=15, random_state=0)


def simulate(rows, seed):
    """The first parameter is seen, two only as their sum, the last not at all."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 4))
    seen = np.c_[x[:, 0] + 0.1 * rng.normal(size=rows), x[:, 1] + x[:, 2] + 0.3 * rng.normal(size=rows)]
    return x, seen


@pytest.fixture(scope="module")
def data():
    return simulate(3000, 0)


@pytest.fixture(scope="module")
def ensemble(data):
    return ConditionalINN(**SMALL, n_estimators=3).fit(*data)


def test_the_mixture_has_the_mean_density(ensemble, data):
    x, y = (part[:50] for part in data)
    parts = [ensemble._model.member(i).log_prob(x, y, 1) for i in range(3)]
    assert not np.allclose(parts[0], parts[1])
    assert ensemble.log_prob(x, y) == pytest.approx(np.log(np.mean(np.exp(parts), axis=0)), rel=1e-9)


def test_members_share_the_samples(ensemble, data):
    y = data[1][:1]
    samples = ensemble.posterior(y[0], n=300, random_state=4)
    latents = [ensemble._model.member(i).latent(samples, np.repeat(y, 300, axis=0), 1) for i in range(3)]
    # Each sample is standard normal noise seen through one member; through the others it is a little off.
    assert np.mean([np.var(z) for z in latents]) == pytest.approx(1, abs=0.2)
    with pytest.raises(ValueError, match="below the number of networks, 3"):
        ensemble._model.member(3)


def test_an_ensemble_survives_saving_and_training_on(ensemble, data, tmp_path):
    ensemble.save(tmp_path / "model")
    loaded = load(tmp_path / "model")
    y = data[1][:3]
    assert loaded.n_estimators_ == ensemble.n_estimators_ == 3
    assert np.array_equal(loaded.posterior(y, n=10), ensemble.posterior(y, n=10))
    assert np.array_equal(loaded.log_prob(data[0], data[1]), ensemble.log_prob(data[0], data[1]))
    assert str(loaded.verdict_) == str(ensemble.verdict_)
    loaded.partial_fit(*data)
    assert loaded.n_estimators_ == 3 and loaded.verdict_ is None and loaded.calibration_ is None
    assert not np.array_equal(loaded.posterior(y, n=10), ensemble.posterior(y, n=10))


def test_threads_change_no_bit(data):
    one, two = (
        ConditionalINN(**{**SMALL, "max_iter": 2}, n_estimators=2, n_jobs=jobs).fit(*data) for jobs in (1, 2)
    )
    y = data[1][:20]
    assert np.array_equal(one.posterior(y, n=11), two.posterior(y, n=11))
    assert str(one.verdict_) == str(two.verdict_)


def test_few_simulations_get_more_networks():
    sizes = [
        ConditionalINN(**{**SMALL, "max_iter": 1}).fit(*simulate(n, 1)).n_estimators_ for n in (500, 9000)
    ]
    assert sizes == [5, 2]
    assert INN(**{**SMALL, "max_iter": 1}).fit(*simulate(500, 1)).n_estimators_ == 1


@pytest.mark.parametrize(("rows", "size"), [(300, 2), (1499, 2), (1500, 1)])
def test_with_a_surrogate_fewer_simulations_than_1500_get_two_networks(rows, size):
    model = ConditionalINN(**{**SMALL, "max_iter": 1}, surrogate=True).fit(*simulate(rows, 1))
    assert model.n_estimators_ == size


def test_the_report_says_what_can_be_recovered(ensemble, capsys):
    verdict = ensemble.report()
    printed = capsys.readouterr().out
    assert printed.strip() == str(verdict)
    assert verdict.recoverable.tolist() == [True, True, True, False]
    # Exact: 1 / sqrt(1 - 1 / 1.01) and 1 / sqrt(1 - 1 / 2.09).
    assert verdict.narrowing == pytest.approx([10.05, 1.385, 1.385, 1.0], rel=0.08)
    assert "x3" in printed and printed.count("posterior equals prior") == 1
    assert "as they should" in printed
    assert (verdict.calibration_error < 0.05).all()
    assert ensemble.calibration_.median == pytest.approx(verdict.calibration_error)


def test_a_posterior_that_is_too_narrow_is_called_so(data):
    """Far too much training on far too few simulations, with nothing against it."""
    x, y = simulate(150, 3)
    rng = np.random.default_rng(0)
    y = np.c_[y, rng.normal(size=(150, 6))]
    settings = dict(n_blocks=4, hidden_layer_sizes=(128,), weight_decay=0.0, max_iter=300, random_state=0)
    model = ConditionalINN(**settings, n_estimators=1, validation_fraction=0.5, n_iter_no_change=300)
    model.fit(x, y)
    # The best weights were kept: take those of the end instead, as a run without held-out rows would.
    overfitted = model.set_params(early_stopping=False).fit(x, y)
    from innverse._verdict import judge

    fresh = simulate(400, 9)
    fresh_y = np.c_[fresh[1], rng.normal(size=(400, 6))]
    names = [f"x{i}" for i in range(4)]
    verdict = judge([overfitted._model], [list(range(400))], fresh[0], fresh_y, names, 0, 1)
    assert verdict.coverage.mean() < 0.4
    assert "overconfident" in str(verdict) and "too narrow" in str(verdict)


@pytest.mark.parametrize(
    ("shift", "scale", "least", "most"),
    [(0, 1, 0.0, 0.02), (0, 0.8, 0.95, 1.0), (0, 1.25, 0.95, 1.0), (0.2, 1, 0.8, 1.0)],
)
def test_a_posterior_that_errs_is_found_and_a_right_one_rarely_accused(shift, scale, least, most):
    rng = np.random.default_rng(5)
    columns = 1000
    samples = shift + scale * rng.normal(size=(500, 100, columns))
    accused = np.mean(_chance(samples, rng.normal(size=(500, columns))) < SIGNIFICANCE)
    # One in a hundred right ones, give or take 0.3 %.
    assert least <= accused <= most


def test_without_held_out_rows_there_is_no_report(data):
    model = ConditionalINN(**{**SMALL, "max_iter": 1}, early_stopping=False).fit(*data)
    assert model.verdict_ is None
    with pytest.raises(ValueError, match="report needs rows that were held out"):
        model.report()


def test_a_network_without_a_density_is_judged_by_its_samples():
    x, y = simulate(600, 2)
    model = INN(**SMALL, total_dim=8).fit(x, y)
    assert model.verdict_.coverage is None
    assert "no density" in str(model.verdict_)


def test_observations_outside_the_simulations_are_told(ensemble, data):
    with pytest.warns(UserWarning, match="the observation lies outside what the simulations cover"):
        ensemble.posterior([9.0, 0.0], n=5)
    with pytest.warns(UserWarning, match=r"1 of 20 observations lie .* \(the first in row 4\)"):
        ensemble.posterior(np.r_[data[1][:4], [[0.0, 50.0]], data[1][5:20]], n=5)
    assert ensemble.covers([[9.0, 0.0], [0.0, 0.0]]).tolist() == [False, True]
    assert ensemble.covers([0.0, 0.0]).shape == ()


def test_simulations_are_called_outside_as_rarely_as_stated(ensemble):
    _, y = simulate(20_000, 11)
    false_alarms = 1 - ensemble.covers(y).mean()
    # The threshold is the farthest of about 1350 distances: its own false alarms vary as an exponential does.
    assert false_alarms < 8 / 1350
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ensemble.posterior(y[:1000], n=2)
