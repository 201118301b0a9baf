"""Every bad input is an error that names the argument, what it got and what it needs."""

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from innverse import INN, load

SMALL = dict(n_blocks=2, hidden_layer_sizes=(16,), batch_size=50, max_iter=1, random_state=0)
RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 3)), RNG.normal(size=(60, 2))


def replaced(table, value):
    table = table.copy()
    table[7, 1] = value
    return table


@pytest.fixture(scope="module")
def fitted():
    return INN(**SMALL).fit(X, Y)


@pytest.mark.parametrize(
    ("x", "y", "error", "message"),
    [
        (X, Y[:-1], ValueError, "x has 60 rows and y has 59"),
        (replaced(X, np.nan), Y, ValueError, "x contains NaN"),
        (X, replaced(Y, np.nan), ValueError, "y contains NaN"),
        (replaced(X, np.inf), Y, ValueError, "x contains infinity"),
        (X, replaced(Y, -np.inf), ValueError, "y contains infinity"),
        (X[:0], Y[:0], ValueError, "x"),
        (X[:, :0], Y, ValueError, "0 feature"),
        (X[:1], Y[:1], ValueError, "x must have at least 2 samples"),
        ([["a", "b"]] * 60, Y, ValueError, "x"),
        (pd.DataFrame({"mass": [1.0] * 60, "kind": ["dwarf"] * 60}), Y, ValueError, r"x .*kind"),
        (X + 1j, Y, ValueError, "Complex data not supported"),
        (X[None], Y, ValueError, "dim 3"),
        ([[1.0, 2.0], [3.0]], Y[:2], ValueError, "x"),
        (X, None, ValueError, "y"),
        (None, Y, ValueError, "x"),
        (7.0, Y, ValueError, "x"),
        ("text", Y, ValueError, "x"),
    ],
)
def test_bad_training_data(x, y, error, message):
    model = INN(**SMALL)
    with pytest.raises(error, match=message):
        model.fit(x, y)
    assert not hasattr(model, "n_features_in_")
    with pytest.raises(NotFittedError):
        model.posterior(Y[0])


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("latent_dim", 0),
        ("latent_dim", 1.5),
        ("total_dim", -3),
        ("n_blocks", 0),
        ("n_blocks", "many"),
        ("hidden_layer_sizes", (0,)),
        ("hidden_layer_sizes", (3.5,)),
        ("hidden_layer_sizes", 64),
        ("activation", "sine"),
        ("clamp", 0.0),
        ("clamp", -1.0),
        ("clamp", np.inf),
        ("batch_size", 0),
        ("max_iter", 0),
        ("max_iter", None),
        ("learning_rate_init", 0.0),
        ("learning_rate_init", "fast"),
        ("weight_decay", -1.0),
        ("early_stopping", "yes"),
        ("validation_fraction", 0.0),
        ("validation_fraction", 1.0),
        ("n_iter_no_change", 0),
        ("nan_policy", "ignore"),
        ("random_state", "seed"),
        ("n_jobs", 1.5),
        ("verbose", -1),
        ("warm_start", "no"),
        ("y_weight", -1.0),
        ("y_noise", -0.1),
        ("z_kernels", ()),
        ("x_kernels", (1.0, -1.0)),
        ("adam_betas", (0.9,)),
        ("adam_betas", (0.9, 1.0)),
        ("gradient_clamp", 0.0),
    ],
)
def test_bad_parameters(parameter, value):
    model = INN(**{**SMALL, parameter: value})
    with pytest.raises((ValueError, TypeError), match=parameter):
        model.fit(X, Y)


def test_total_dim_too_small():
    with pytest.raises(ValueError, match=r"total_dim must be at least .* = 4, got 3"):
        INN(**SMALL, latent_dim=2, total_dim=3).fit(X, Y)


def test_a_network_beyond_all_bounds_is_refused():
    with pytest.raises(ValueError, match="hidden_layer_sizes|size"):
        INN(**{**SMALL, "hidden_layer_sizes": (10**9,)}).fit(X, Y)


def test_an_unfitted_model_says_so(tmp_path):
    model = INN()
    calls = [
        lambda: model.posterior(Y[0]),
        lambda: model.predict(X),
        lambda: model.latent(X),
        lambda: model.score(X, Y),
        lambda: model.save(tmp_path / "model"),
    ]
    for call in calls:
        with pytest.raises(NotFittedError):
            call()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda m: m.posterior(Y[0], n=0), ValueError, "n must be at least 1"),
        (lambda m: m.posterior(Y[0], n=2.5), TypeError, "n must be an integer"),
        (lambda m: m.posterior(Y[0], n=True), TypeError, "n must be an integer"),
        (lambda m: m.posterior(Y[0], n=10**16), ValueError, "n must be samples of 1 observations that fit"),
        (lambda m: m.posterior(Y[0], n=2**62), ValueError, "n must be samples"),
        (lambda m: m.posterior([1.0, 2.0, 3.0]), ValueError, "y must have 2 columns"),
        (lambda m: m.posterior(Y[:, :1]), ValueError, "y must have 2 columns"),
        (lambda m: m.posterior([np.nan, 0.0]), ValueError, "y contains NaN"),
        (lambda m: m.posterior(["a", "b"]), ValueError, "y"),
        (lambda m: m.posterior(Y[0], random_state="x"), ValueError, "seed"),
        (lambda m: m.predict(X[:, :2]), ValueError, "x has 2 features, but INN is expecting 3"),
        (lambda m: m.predict(X[0]), ValueError, "Reshape your data"),
        (lambda m: m.latent(replaced(X, np.inf)), ValueError, "x contains infinity"),
        (lambda m: m.score(X, Y[:5]), ValueError, "x has 60 rows and y has 5"),
        (lambda m: m.score(X, None), ValueError, "y"),
    ],
)
def test_bad_arguments(fitted, call, error, message):
    with pytest.raises(error, match=message):
        call(fitted)


def test_a_failed_fit_leaves_the_model_as_it_was(fitted):
    before = fitted.posterior(Y[0], n=20)
    with pytest.raises(ValueError, match="x contains NaN"):
        fitted.fit(replaced(X, np.nan)[:, :2], Y)
    with pytest.raises(ValueError, match="total_dim"):
        fitted.set_params(total_dim=1).fit(X[:, :2], Y)
    fitted.set_params(total_dim=None)
    assert np.array_equal(fitted.posterior(Y[0], n=20), before)
    assert fitted.n_features_in_ == 3


def test_constant_columns_warn(fitted):
    with pytest.warns(UserWarning, match=r"constant column\(s\) in x: \[1\]"):
        model = INN(**SMALL).fit(np.c_[X[:, 0], np.full(60, 3e40)], Y)
    assert np.isfinite(model.posterior(Y[0])).all()
    with pytest.warns(UserWarning, match=r"constant column\(s\) in y: \[0, 1\]"):
        INN(**SMALL).fit(X, np.ones((60, 2)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        INN(**SMALL).fit(X, Y)


def test_rows_with_nan_can_be_omitted():
    x, y = replaced(X, np.nan), Y.copy()
    y[3, 0] = np.inf
    keep = np.setdiff1d(np.arange(60), [3, 7])
    model = INN(**SMALL, nan_policy="omit").fit(x, y)
    same = INN(**SMALL).fit(X[keep], Y[keep])
    assert np.array_equal(model.predict(X), same.predict(X))
    with pytest.raises(ValueError, match="at least 2 samples"):
        INN(**SMALL, nan_policy="omit").fit(np.full_like(X, np.nan), Y)


def test_warm_start_on_other_columns_is_refused(fitted):
    model = INN(**SMALL, warm_start=True).fit(X, Y)
    with pytest.raises(ValueError, match="2 features"):
        model.fit(X[:, :2], Y)
    with pytest.raises(ValueError, match="y has 1 columns, needs 2"):
        model.partial_fit(X, Y[:, :1])


def test_extreme_but_finite_values_do_not_crash():
    x, y = X.copy(), Y.copy()
    x[0, 0], y[0, 0] = 1e300, -1e300
    model = INN(**SMALL).fit(x, y)
    assert np.isfinite(model.posterior(Y[0])).all()


def damaged(content, how):
    if how == "empty":
        return b""
    if how == "truncated":
        return content[: len(content) // 2]
    if how == "text":
        return b"not a model" * 10
    if how == "header":
        return content.replace(b'"innverse"', b'"somebody"')
    if how == "shape":
        return content.replace(b'\\"total\\":3', b'\\"total\\":9')
    return content.replace(b'\\"format_version\\":5', b'\\"format_version\\":9')


@pytest.mark.parametrize("how", ["empty", "truncated", "text", "header", "shape", "later"])
def test_a_file_that_is_no_model(fitted, tmp_path, how):
    path = tmp_path / "model"
    fitted.save(path)
    content = path.read_bytes()
    broken = damaged(content, how)
    assert broken != content
    path.write_bytes(broken)
    with pytest.raises(ValueError, match="cannot read the model"):
        load(path)


def test_flipping_any_byte_of_the_header_never_crashes(fitted, tmp_path):
    path = tmp_path / "model"
    fitted.save(path)
    content = bytearray(path.read_bytes())
    for position in range(0, 2500, 7):
        broken = content.copy()
        broken[position] ^= 0x15
        path.write_bytes(broken)
        try:
            load(path)
        except ValueError:
            pass


def test_files_that_cannot_be_opened(fitted, tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing")
    with pytest.raises(OSError, match="nowhere"):
        fitted.save(tmp_path / "nowhere" / "model")
    with pytest.raises(OSError):
        fitted.save(tmp_path)


def test_a_failed_save_keeps_the_file_that_was_there(fitted, tmp_path):
    path = tmp_path / "model"
    fitted.save(path)
    before = path.read_bytes()
    with pytest.raises(NotFittedError):
        INN().save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["model"]
