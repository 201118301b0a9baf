"""The estimator through its public interface."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pandas as pd
import pytest
from conjugate import linear_data
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning

import innverse
from innverse import INN, load
from innverse.problems import InverseKinematics

SMALL = dict(n_blocks=2, hidden_layer_sizes=(32,), batch_size=100, max_iter=3, random_state=0)


def linear(n, seed=0):
    """x of three columns, y a noisy sum and a difference of them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3))
    y = np.stack([x[:, 0] + x[:, 1], x[:, 1] - x[:, 2]], axis=1) + 0.1 * rng.normal(size=(n, 2))
    return x, y


@pytest.fixture(scope="module")
def data():
    return linear(500)


@pytest.fixture(scope="module")
def fitted(data):
    return INN(**SMALL).fit(*data)


def test_import_is_fast():
    code = "import time; t = time.perf_counter(); import innverse; print(time.perf_counter() - t)"
    seconds = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(3)]
    assert min(seconds) < 0.3


def test_all_names_are_there():
    for name in innverse.__all__:
        assert getattr(innverse, name) is not None
        assert name in dir(innverse)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = innverse.nonsense


def test_shapes(fitted, data):
    x, y = data
    assert fitted.posterior(y[0]).shape == (1000, 3)
    assert fitted.posterior(y[0], n=7).shape == (7, 3)
    assert fitted.posterior(y[:1], n=7).shape == (1, 7, 3)
    assert fitted.posterior(y[:4], n=7).shape == (4, 7, 3)
    assert fitted.predict(x).shape == (500, 2)
    assert fitted.latent(x).shape == (500, 1)
    assert fitted.latent(x, y).shape == (500, 1)
    assert fitted.latent_dim_ == 1
    assert fitted.total_dim_ == 3
    for result in (fitted.posterior(y[0]), fitted.predict(x), fitted.latent(x)):
        assert result.dtype == np.float64
        assert np.isfinite(result).all()


def test_history(fitted):
    history = fitted.history_
    assert history["epoch"] == [1, 2, 3]
    terms = ("y", "z", "x", "energy", "reconstruction", "padding")
    assert set(history) == {"epoch", "train_loss", "validation_loss", *terms}
    assert all(len(values) == 3 == fitted.n_iter_ for values in history.values())
    total = np.sum([history[term] for term in terms], axis=0)
    assert np.allclose(total, history["train_loss"], rtol=1e-12)
    assert np.isfinite(history["validation_loss"]).all()


def test_it_learns_a_known_posterior():
    """x and y jointly normal: the posterior is known in closed form."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, 2))
    noise = 0.5
    y = x[:, :1] + noise * rng.normal(size=(20_000, 1))
    model = INN(
        n_blocks=4,
        hidden_layer_sizes=(64,),
        batch_size=500,
        max_iter=40,
        total_dim=4,
        latent_dim=2,
        random_state=0,
    ).fit(x, y)
    samples = model.posterior([[-1.0], [1.0]], n=20_000, random_state=0)
    gain = 1.0 / (1.0 + noise**2)
    for observed, draws in zip((-1.0, 1.0), samples, strict=True):
        assert draws.mean(axis=0) == pytest.approx([gain * observed, 0.0], abs=0.12)
        assert draws.std(axis=0) == pytest.approx([np.sqrt(1 - gain), 1.0], rel=0.2)
    assert model.predict([[1.5, 0.3]])[0, 0] == pytest.approx(1.5, abs=0.15)


def test_same_seed_same_bits_on_any_number_of_threads(data):
    x, y = data
    results = []
    for n_jobs in (1, 2, 3):
        model = INN(**SMALL, n_jobs=n_jobs).fit(x, y)
        results.append((model.posterior(y[:3], n=100), model.predict(x), model.history_))
    for other in results[1:]:
        assert np.array_equal(other[0], results[0][0])
        assert np.array_equal(other[1], results[0][1])
        assert other[2] == results[0][2]


def test_other_seed_other_samples(fitted, data):
    y = data[1]
    one = fitted.posterior(y[0], random_state=1)
    assert np.array_equal(one, fitted.posterior(y[0], random_state=1))
    assert not np.array_equal(one, fitted.posterior(y[0], random_state=2))
    assert not np.array_equal(
        fitted.predict(data[0]), INN(**{**SMALL, "random_state": 1}).fit(*data).predict(data[0])
    )


def test_samples_of_one_observation_do_not_depend_on_how_many_are_asked(fitted, data):
    y = data[1]
    assert np.array_equal(fitted.posterior(y[0], n=10), fitted.posterior(y[0], n=50)[:10])


def test_forward_and_back(fitted, data):
    """The network is a bijection: what z and y come from x gives x back."""
    x, _ = data
    assert np.allclose(fitted.latent(x), fitted.latent(x.copy()))
    assert np.corrcoef(fitted.predict(x)[:, 0], x[:, 0] + x[:, 1])[0, 1] > 0.5


@pytest.mark.parametrize("copy", ["save", "pickle"])
def test_a_copy_gives_the_same_bits(fitted, data, tmp_path, copy):
    x, y = data
    if copy == "save":
        fitted.save(tmp_path / "model.inn")
        other = load(tmp_path / "model.inn")
        assert os.listdir(tmp_path) == ["model.inn"]
    else:
        other = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(other.posterior(y[:5], n=50), fitted.posterior(y[:5], n=50))
    assert np.array_equal(other.predict(x), fitted.predict(x))
    assert np.array_equal(other.latent(x), fitted.latent(x))
    assert other.get_params() == fitted.get_params()
    assert other.history_ == fitted.history_
    assert (other.n_iter_, other.n_features_in_, other.latent_dim_) == (3, 3, 1)


def test_pickle_trains_on_as_if_nothing_had_happened(data):
    x, y = data
    model = INN(**SMALL).partial_fit(x, y)
    copy = pickle.loads(pickle.dumps(model))
    assert np.array_equal(model.partial_fit(x, y).predict(x), copy.partial_fit(x, y).predict(x))


def test_pickling_and_cloning_before_fit():
    model = INN(hidden_layer_sizes=(7,), n_blocks=3)
    assert pickle.loads(pickle.dumps(model)).get_params() == model.get_params()
    assert clone(model).get_params() == model.get_params()


def test_names_of_columns_are_kept_and_checked(data, tmp_path):
    x, y = data
    frame = pd.DataFrame(x, columns=["mass", "age", "radius"])
    model = INN(**SMALL).fit(frame, pd.DataFrame(y, columns=["flux", "width"]))
    assert list(model.feature_names_in_) == ["mass", "age", "radius"]
    assert np.array_equal(model.predict(frame), INN(**SMALL).fit(x, y).predict(x))
    model.save(tmp_path / "m")
    assert list(load(tmp_path / "m").feature_names_in_) == ["mass", "age", "radius"]
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame.rename(columns={"age": "time"}))
    assert model.posterior(pd.Series([0.1, 0.2], index=["flux", "width"]), n=3).shape == (3, 3)
    assert model.posterior(pd.DataFrame([[0.1, 0.2]] * 4), n=3).shape == (4, 3, 3)


CONVERSIONS = [
    lambda a: a.astype(np.float32),
    lambda a: a.astype(np.int64),
    lambda a: a.tolist(),
    lambda a: pd.DataFrame(a),
    lambda a: pd.DataFrame(a).astype("Float64"),
    np.asfortranarray,
    lambda a: np.repeat(a, 2, axis=0)[::2],
]


@pytest.mark.parametrize("as_kind", CONVERSIONS)
def test_anything_numpy_or_pandas_gives(data, as_kind):
    x, y = (np.round(4 * part) for part in data)
    model = INN(**SMALL).fit(as_kind(x), as_kind(y))
    assert np.array_equal(model.predict(x), INN(**SMALL).fit(x, y).predict(x))


def test_one_dimension_is_one_column():
    rng = np.random.default_rng(0)
    x = rng.normal(size=300)
    y = x**2
    model = INN(**SMALL).fit(x, y)
    same = INN(**SMALL).fit(x[:, None], y[:, None])
    series = INN(**SMALL).fit(pd.Series(x, name="a"), pd.Series(y))
    for other in (same, series):
        assert np.array_equal(model.posterior(1.0, n=5), other.posterior(1.0, n=5))
    assert model.posterior(1.0, n=5).shape == (5, 1)
    assert model.posterior([1.0], n=5).shape == (5, 1)
    assert model.posterior([1.0, 2.0], n=5).shape == (2, 5, 1)
    assert model.predict(x).shape == (300, 1)


@settings(max_examples=15, deadline=None)
@given(
    dx=st.integers(1, 4),
    dy=st.integers(1, 4),
    latent=st.integers(1, 4),
    padding=st.integers(0, 3),
    rows=st.integers(4, 70),
)
def test_any_dimensions(dx, dy, latent, padding, rows):
    rng = np.random.default_rng(dx + 10 * dy)
    x, y = rng.normal(size=(rows, dx)), rng.normal(size=(rows, dy))
    total = max(dx, dy + latent) + padding
    model = INN(**{**SMALL, "max_iter": 1}, latent_dim=latent, total_dim=total).fit(x, y)
    assert model.posterior(y[:2], n=3).shape == (2, 3, dx)
    assert np.isfinite(model.posterior(y[:2], n=3)).all()
    assert model.predict(x).shape == (rows, dy)
    assert model.latent(x).shape == (rows, latent)
    assert (model.latent_dim_, model.total_dim_) == (latent, total)


@pytest.mark.parametrize(("x_unit", "y_unit"), [(1e42, 1e-30), (1e-9, 1e42), (1e-30, 1e-30), (1e200, 1e-200)])
def test_units_of_any_size(data, x_unit, y_unit):
    """Powers of two times a unit change nothing but the unit."""
    x, y = data
    model = INN(**SMALL).fit(x, y)
    other = INN(**SMALL).fit(x * x_unit, y * y_unit)
    assert np.allclose(
        other.posterior(y[:2] * y_unit, n=20) / x_unit,
        model.posterior(y[:2], n=20),
        rtol=1e-2,
        atol=1e-2,
    )
    assert np.allclose(other.predict(x * x_unit) / y_unit, model.predict(x), rtol=1e-2, atol=1e-2)


def test_warm_start_goes_on(data):
    model = INN(**SMALL, warm_start=True).fit(*data)
    first = model.predict(data[0])
    model.fit(*data)
    assert model.n_iter_ == 6
    assert model.history_["epoch"] == [1, 2, 3, 4, 5, 6]
    assert not np.array_equal(first, model.predict(data[0]))


def test_partial_fit_is_one_pass(data):
    model = INN(**SMALL)
    for epochs in (1, 2, 3):
        model.partial_fit(*data)
        assert model.n_iter_ == epochs
    losses = model.history_["train_loss"]
    assert losses[-1] < losses[0]


def test_early_stopping_keeps_the_best_weights(data):
    model = INN(**{**SMALL, "max_iter": 60, "learning_rate_init": 0.05}, n_iter_no_change=2).fit(*data)
    best = int(np.argmin(model.history_["validation_loss"]))
    again = INN(**{**SMALL, "max_iter": 60, "learning_rate_init": 0.05}, early_stopping=False).fit(*data)
    assert np.isnan(again.history_["validation_loss"]).all()
    assert again.n_iter_ == 60
    assert best < model.n_iter_


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_with_default_settings_the_kinematics_are_learned(seed):
    x, y = InverseKinematics().sample(4000, random_state=0)
    skill = INN(random_state=seed).fit(x, y).verdict_.skill
    # That of 300 exact posteriors is 0.38, 0.38, 0.24 and 0.12, of the prior 0, of fits gone astray less.
    assert (skill[:2] > 0.2).all() and (skill > 0.0).all()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_with_default_settings_noise_on_every_y_is_learned(seed):
    """x does not determine y here, and posteriors must be wide for it."""
    x, y = linear_data(4000, columns=10)
    model = INN(random_state=seed).fit(x[:2000], y[:2000])
    # Of exact posteriors 1.54, of the prior 2.18, and without the energy scores 2.05 to 2.24.
    assert model.score(x[2000:], y[2000:]) > -1.65
    # 0.36 with those of all columns together only.
    assert (model.verdict_.calibration_error < 0.15).all()


def test_score_prefers_the_better_model(data):
    x, y = linear(400, seed=5)
    untrained = INN(**{**SMALL, "max_iter": 1, "learning_rate_init": 1e-9}).fit(*data)
    trained = INN(**{**SMALL, "max_iter": 60}).fit(*data)
    assert trained.score(x, y) > untrained.score(x, y) + 0.1
    assert trained.score(x, y) == trained.score(x, y)


def test_score_is_minus_the_energy_score(fitted):
    x, y = linear(20, seed=6)
    draws = fitted.posterior(y, n=100)
    # Of the rows trained on, which are most of them.
    scale = fitted._model.x_spread()
    assert scale == pytest.approx(np.std(linear(500)[0], axis=0), rel=0.03)
    to_truth = np.linalg.norm((draws - x[:, None]) / scale, axis=-1).mean(axis=1)
    pairs = np.linalg.norm((draws[:, :, None] - draws[:, None]) / scale, axis=-1).sum(axis=(1, 2)) / (
        100 * 99
    )
    assert fitted.score(x, y) == pytest.approx(-(to_truth - pairs / 2).mean(), rel=1e-9)


def test_the_progress_bar_counts_epochs(data, capsys):
    INN(**SMALL, verbose=1).fit(*data)
    shown = capsys.readouterr().err
    assert "3/3" in shown
    assert "loss=" in shown
    INN(**SMALL).fit(*data)
    assert capsys.readouterr().err == ""


def test_the_gil_is_released_while_it_trains(data):
    """Another thread gets to run Python all the time."""
    ticks = []
    done = threading.Event()

    def tick():
        while not done.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.002)

    thread = threading.Thread(target=tick)
    thread.start()
    INN(**{**SMALL, "hidden_layer_sizes": (256,), "max_iter": 60}, n_jobs=1, early_stopping=False).fit(*data)
    done.set()
    thread.join()
    assert len(ticks) > 20
    assert np.median(np.diff(ticks)) < 0.05


def interrupt_after(seconds):
    timer = threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    return timer


def test_an_interrupt_keeps_the_best_model(data):
    model = INN(**{**SMALL, "max_iter": 100_000}, early_stopping=False)
    timer = interrupt_after(1.0)
    start = time.perf_counter()
    with pytest.warns(ConvergenceWarning, match="interrupted; the weights of epoch"):
        model.fit(*data)
    timer.join()
    assert time.perf_counter() - start < 5
    assert 1 <= model.n_iter_ < 100_000
    assert np.isfinite(model.posterior(data[1][0])).all()


def test_an_interrupt_before_the_first_epoch_leaves_everything(data):
    x, y = linear(20_000)
    model = INN(**SMALL).fit(*data)
    before = model.predict(data[0])
    model.set_params(hidden_layer_sizes=(1024, 1024), batch_size=500)
    timer = interrupt_after(0.2)
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y)
    timer.join()
    assert np.array_equal(model.predict(data[0]), before)
    assert model.n_iter_ == 3
