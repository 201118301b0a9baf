"""The classifier two-sample test against the best that any classifier can do."""

import math
import subprocess
import sys

import joblib
import numpy as np
import pytest
from scipy.stats import norm

from innverse import metrics
from innverse.metrics import c2st

# Seeds are fixed. A right accuracy is beyond this once in 15,000; a network's shortfall comes on top.
STANDARD_ERRORS = 4.0
SHORTFALL = 0.02


def normals(n, columns=1, shift=0.0, width=1.0, seed=0):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((2, n, columns))
    return x, width * y + shift / math.sqrt(columns)


def tolerance(accuracy, n):
    return STANDARD_ERRORS * math.sqrt(accuracy * (1 - accuracy) / (2 * n))


@pytest.mark.parametrize(("columns", "shift"), [(1, 1.0), (2, 2.0)])
def test_shifted_normals_are_told_apart_as_well_as_possible(columns, shift):
    n = 500
    best = norm.cdf(shift / 2)
    accuracy = c2st(*normals(n, columns, shift))
    assert best - tolerance(best, n) - SHORTFALL < accuracy < best + tolerance(best, n)


def test_normals_of_other_width_are_told_apart_as_well_as_possible():
    n, width = 500, 3.0
    # The densities cross at plus and minus this; no single threshold tells the samples apart.
    crossing = math.sqrt(2 * math.log(width) / (1 - width**-2))
    best = 0.5 + norm.cdf(crossing) - norm.cdf(crossing / width)
    accuracy = c2st(*normals(n, width=width))
    assert best - tolerance(best, n) - SHORTFALL < accuracy < best + tolerance(best, n)


@pytest.mark.parametrize("columns", [1, 2])
def test_samples_of_one_distribution_are_not_told_apart(columns):
    n = 400
    assert abs(c2st(*normals(n, columns, seed=1)) - 0.5) < tolerance(0.5, n)


def test_the_accuracy_does_not_depend_on_threads():
    x, y = normals(40, shift=1.0)
    accuracy = c2st(x, y, folds=2, random_state=3)
    # Threads spare the test the start of processes.
    with joblib.parallel_config("threading"):
        assert c2st(x[:, 0], y[:, 0], folds=2, random_state=3, n_jobs=2) == accuracy


@pytest.fixture
def seen(monkeypatch):
    """What the classifier is given, without training it."""
    given = []
    monkeypatch.setattr(metrics._c2st, "_accuracy", lambda *args: given.append(args) or 0.5)
    return given


def test_random_state_determines_the_seed(seen):
    x, y = normals(5)
    for random_state in (None, None, 3, np.random.default_rng(3), 4):
        c2st(x, y, random_state=random_state)
    default, again, three, generator, four = (seed for *_, seed, _ in seen)
    assert default == again == 1
    assert three == generator != four


def test_units_do_not_matter(seen):
    x, y = normals(50, 2, shift=1.0)
    c2st(x, y)
    # By powers of two, so that nothing is rounded.
    c2st(x * [1024.0, 2**-40], y * [1024.0, 2**-40])
    np.testing.assert_array_equal(seen[0][0], seen[1][0])


def test_the_first_sample_sets_the_scale(seen):
    x, y = normals(50, 2, shift=3.0)
    x, y = np.c_[5 * x + 7, np.ones(50)], np.c_[5 * y + 7, np.full(50, 3.0)]
    c2st(x, y, folds=7)
    rows, labels, folds, *_ = seen[0]
    np.testing.assert_allclose(rows[:50, :2].mean(axis=0), 0, atol=1e-14)
    np.testing.assert_allclose(rows[:50, :2].std(axis=0), 1, rtol=1e-14)
    np.testing.assert_allclose(rows[50:, :2], (y - x.mean(axis=0))[:, :2] / x[:, :2].std(axis=0))
    np.testing.assert_array_equal(rows[:, 2], np.repeat([0, 2], 50))
    np.testing.assert_array_equal(labels, np.repeat([0, 1], 50))
    assert folds == 7


def test_a_column_that_is_constant_in_one_sample_gives_it_away():
    rng = np.random.default_rng(0)
    assert c2st(np.ones(50), 1 + 10 * rng.standard_normal(50), folds=2) > 0.9


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"y": np.zeros((7, 2))}, ValueError, "y must have as many rows as x, .* got 7 rows of y and 6 of x"),
        ({"y": np.zeros((6, 1))}, ValueError, "y must have as many columns as x, got 1 .*and 2"),
        ({"x": np.full((6, 2), np.nan)}, ValueError, "x contains NaN"),
        ({"y": [["a", "b"]] * 6}, ValueError, "y"),
        ({"folds": 1}, ValueError, "folds must be between 2 and .* 6, got 1"),
        ({"folds": 7}, ValueError, "folds must be between 2 and .* 6, got 7"),
        ({"folds": 2.5}, TypeError, "folds must be an integer, got 2.5"),
        ({"random_state": -1}, ValueError, "random_state must be"),
        ({"random_state": "seed"}, TypeError, "random_state must be"),
    ],
)
def test_bad_input_of_c2st(change, error, message):
    x, y = normals(6, 2)
    with pytest.raises(error, match=message):
        c2st(**{"x": x, "y": y, **change})


def test_the_classifier_is_imported_only_when_it_is_used():
    code = "import sys, innverse.metrics; sys.exit('sklearn.neural_network' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
