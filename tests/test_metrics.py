import math
import resource
import sys

import numpy as np
import pytest
from conjugate import Linear, linear_data
from sklearn.exceptions import NotFittedError

from innverse import metrics
from innverse.baselines import RejectionABC
from innverse.metrics import CalibrationError, calibration_error, mmd, resimulation_error
from innverse.problems import InverseKinematics, Problem

WIDTHS = (0.05, 0.2, 0.9)
# Fixed seeds: a test at four standard errors either always holds or always fails, and would fail by chance
# for one seed in 15,000.
STANDARD_ERRORS = 4.0


def kernel(a, b, widths):
    d2 = sum((p - q) ** 2 for p, q in zip(a, b, strict=True))
    return sum(h**2 / (h**2 + d2) for h in widths)


def naive_mmd(x, y, widths):
    def mean(a, b):
        return sum(kernel(p, q, widths) for p in a for q in b) / (len(a) * len(b))

    return mean(x, x) + mean(y, y) - 2 * mean(x, y)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("columns", [1, 3])
def test_mmd_is_its_formula(rng, columns):
    x, y = rng.normal(size=(23, columns)), rng.normal(0.5, 2, size=(31, columns))
    assert mmd(x, y) == pytest.approx(naive_mmd(x, y, WIDTHS), rel=1e-12)
    assert mmd(x, y, kernels=[0.3, 7]) == pytest.approx(naive_mmd(x, y, (0.3, 7)), rel=1e-12)
    assert mmd(x, y, kernels=2) == pytest.approx(naive_mmd(x, y, (2,)), rel=1e-12)


def test_mmd_of_two_points():
    # Two kernels at distance 5, widths 5 and 1: 2 (2 - (1/2 + 1/26)).
    assert mmd([[0, 0]], [[3, 4]], kernels=(5, 1)) == pytest.approx(2 * (2 - 1 / 2 - 1 / 26), rel=1e-15)


def test_mmd_of_equal_samples_is_zero(rng):
    x = rng.normal(size=(50, 2))
    assert mmd(x, x) < 1e-14
    assert mmd(x, x[::-1]) < 1e-14
    assert mmd(x, 1.01 * x) > 1e-8


def test_mmd_does_not_change_with_order_or_shift(rng):
    x, y = rng.normal(size=(40, 2)), rng.normal(size=(30, 2))
    assert mmd(x, y) == pytest.approx(mmd(y[::-1], x), rel=1e-12)
    assert mmd(x + 4, y + 4) == pytest.approx(mmd(x, y), rel=1e-9)
    assert mmd(3 * x, 3 * y, kernels=3 * np.array(WIDTHS)) == pytest.approx(mmd(x, y), rel=1e-12)


def test_mmd_of_samples_of_one_distribution_has_its_expectation(rng):
    n, m, repeats = 40, 25, 300
    values = [mmd(rng.normal(size=(n, 2)), rng.normal(size=(m, 2))) for _ in range(repeats)]
    d2 = np.sum((rng.normal(size=(10**6, 2)) - rng.normal(size=(10**6, 2))) ** 2, axis=1)
    unlike = sum(np.mean(h**2 / (h**2 + d2)) for h in WIDTHS)
    expected = (1 / n + 1 / m) * (len(WIDTHS) - unlike)
    assert abs(np.mean(values) - expected) < STANDARD_ERRORS * np.std(values) / math.sqrt(repeats)


def test_mmd_tells_distributions_apart(rng):
    x, alike, shifted = (rng.normal(mean, 1, size=(500, 2)) for mean in (0, 0, 0.5))
    assert mmd(x, shifted) > 3 * mmd(x, alike)


def peak_bytes():
    # Linux counts kibibytes, macOS bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def test_mmd_needs_no_matrix_of_all_distances(rng):
    n = 20_000
    x, y = rng.normal(size=(2, n, 2)).astype(np.float32)
    before = peak_bytes()
    mmd(x, y, return_gradient=True)
    # One matrix in single precision would take 1.6 GB.
    assert peak_bytes() - before < 4 * n * n / 10


def test_mmd_gradient_is_the_difference_quotient(rng):
    x, y = rng.normal(size=(9, 3)), rng.normal(0.5, 2, size=(37, 3))
    value, gradient = mmd(x, y, (0.5, 2), return_gradient=True)
    assert value == pytest.approx(mmd(x, y, (0.5, 2)), rel=1e-12)
    h = 1e-5
    for i in np.ndindex(x.shape):
        step = np.zeros(x.shape)
        step[i] = h
        quotient = (mmd(x + step, y, (0.5, 2)) - mmd(x - step, y, (0.5, 2))) / (2 * h)
        assert gradient[i] == pytest.approx(quotient, abs=1e-9)


def test_mmd_in_single_precision(rng):
    x, y = rng.normal(size=(200, 3)), rng.normal(0.5, 2, size=(100, 3))
    value, gradient = mmd(x.astype(np.float32), y.astype(np.float32), return_gradient=True)
    wanted, wanted_gradient = mmd(x, y, return_gradient=True)
    assert value == pytest.approx(wanted, abs=2e-6)
    assert gradient.dtype == np.float32 and wanted_gradient.dtype == np.float64
    np.testing.assert_allclose(gradient, wanted_gradient, rtol=0, atol=1e-4 * abs(wanted_gradient).max())
    # One sample alone in single precision: what the other has more is not thrown away.
    assert mmd(x.astype(np.float32), y, return_gradient=True)[1].dtype == np.float64


def test_threads_do_not_change_mmd(rng):
    x, y = rng.normal(size=(2, 500, 4))
    one, two = (mmd(x, y, return_gradient=True, n_jobs=n_jobs) for n_jobs in (1, 2))
    assert one[0] == two[0] and np.array_equal(one[1], two[1])
    assert mmd(x, y, n_jobs=1) == mmd(x, y, n_jobs=2)


@pytest.mark.parametrize(
    ("x", "y", "kernels", "error", "message"),
    [
        (np.zeros((3, 2)), np.zeros((3, 1)), 1, ValueError, "y must have as many columns as x, got 1.*and 2"),
        (np.zeros((3, 2)), np.zeros((0, 2)), 1, ValueError, "y"),
        ([[np.nan]], [[0.0]], 1, ValueError, "x contains NaN"),
        ([[0.0]], [["a"]], 1, ValueError, "y"),
        ([[0.0]], [[0.0]], 0.0, ValueError, "kernels must be positive numbers, got 0.0"),
        ([[0.0]], [[0.0]], (1, -1), ValueError, "kernels must be positive"),
        ([[0.0]], [[0.0]], (), ValueError, "kernels must not be empty"),
        ([[0.0]], [[0.0]], "wide", TypeError, "kernels must hold real numbers"),
    ],
)
def test_bad_input_of_mmd(x, y, kernels, error, message):
    with pytest.raises(error, match=message):
        mmd(x, y, kernels)


def double(x):
    return 2 * x


def test_resimulation_error_by_hand():
    # Simulated 2, 6 against 4: squares 4 and 4; with a second column 0, 2 against 1: 1 and 1.
    samples = [[1.0, 0.0], [3.0, 1.0]]
    assert resimulation_error(double, samples, [4.0, 1.0]) == 2.5
    assert resimulation_error(double, samples, [[4.0, 1.0]]) == 2.5
    # Against 2 and 0: 0, 16 and 0, 4.
    assert resimulation_error(double, [samples, samples], [[4.0, 1.0], [2.0, 0.0]]) == (2.5 + 5) / 2


def test_resimulation_error_of_one_column():
    assert resimulation_error(double, [1.0, 3.0], 4.0) == 4
    assert resimulation_error(lambda x: x[:, 0], np.ones((2, 5, 3)), [1.0, 3.0]) == 2
    assert resimulation_error(lambda x: x[:, 0], np.ones((1, 5, 3)), [3.0]) == 4
    assert resimulation_error(double, np.ones((3, 1, 1)), [2.0, 2.0, 5.0]) == 3


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_resimulation_error_in_parts(rng, monkeypatch, rows):
    monkeypatch.setattr(metrics._resimulation, "ROWS_AT_ONCE", rows)
    seen = []

    def simulate(x):
        seen.append(len(x))
        return x[:, :2] ** 2

    samples, y = rng.normal(size=(4, 5, 3)), rng.normal(size=(4, 2))
    expected = np.mean((samples[:, :, :2] ** 2 - y[:, None]) ** 2)
    assert resimulation_error(simulate, samples, y) == pytest.approx(expected, rel=1e-12)
    assert sum(seen) == 20 and max(seen) <= rows


class Noisy(Problem):
    """y is x with noise of standard deviation 3."""

    dx, dy = 1, 1
    x_names, y_names = ("x [-]",), ("y [-]",)

    def _sample_prior(self, n, rng):
        return rng.standard_normal((n, 1))

    def _simulate(self, x, rng):
        return x + 3 * rng.standard_normal(x.shape)

    def _posterior(self, y, n, rng):
        raise NotImplementedError


def test_resimulation_error_of_a_problem_with_noise():
    n = 10_000
    error = resimulation_error(Noisy(), np.full((n, 1), 5.0), 5.0, random_state=1)
    assert abs(error - 9) < STANDARD_ERRORS * 9 * math.sqrt(2 / n)
    assert error == resimulation_error(Noisy(), np.full((n, 1), 5.0), 5.0, random_state=1)
    assert error != resimulation_error(Noisy(), np.full((n, 1), 5.0), 5.0, random_state=2)


def test_resimulation_error_of_exact_and_of_prior_samples():
    problem = InverseKinematics()
    y = np.array([[1.5, 0.5], [1.0, -0.5]])
    assert resimulation_error(problem, problem.reference_posterior(y, 100, 0), y) < 1e-28
    assert resimulation_error(problem, problem.sample_prior(100, 0), y[0]) > 0.1


@pytest.mark.parametrize(
    ("simulate", "samples", "y", "error", "message"),
    [
        ("double", [1.0], 2.0, TypeError, "problem_or_simulate must be a Problem or a function"),
        (double, np.ones((2, 3, 1)), np.ones((4, 1)), ValueError, r"samples for 2 observation.*\(4, 1\)"),
        (double, np.ones((5, 1)), np.ones((2, 1)), ValueError, r"samples for 1 observation.*\(2, 1\)"),
        (double, np.ones((5, 2)), np.ones(3), ValueError, r"must return shape \(5, 3\).*got shape \(5, 2\)"),
        (lambda x: x[:1], np.ones((5, 2)), np.ones(2), ValueError, "must return shape"),
        (lambda x: x / 0, np.ones((5, 2)), np.ones(2), ValueError, "NaN or infinity for 5 of 5"),
        (double, np.ones((2, 3, 1, 1)), 1.0, ValueError, r"samples must have shape \(n, dx\) or"),
        (double, np.ones((0, 1)), 1.0, ValueError, "samples must not be empty"),
        (double, [np.nan, 1.0], 1.0, ValueError, "samples must be finite, got NaN or infinity in 1 of 2"),
        (double, [1.0], np.inf, ValueError, "y must be finite"),
        (double, ["a"], 1.0, TypeError, "samples must hold real numbers"),
        (double, [[1.0], [1.0, 2.0]], 1.0, ValueError, "samples must hold real numbers"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_bad_input_of_resimulation_error(simulate, samples, y, error, message):
    with pytest.raises(error, match=message):
        resimulation_error(simulate, samples, y)


def two_sided(q):
    """How many standard deviations a central interval of probability q reaches, by bisection."""
    low, high = 0.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if math.erf(middle / math.sqrt(2)) < q else (low, middle)
    return low


@pytest.mark.parametrize("n", [1, 2, 20, 400])
def test_a_right_posterior_is_calibrated_for_any_number_of_draws(n):
    m = 4_000
    x, y = linear_data(m)
    result = calibration_error(Linear(), x, y, n=n, random_state=6)
    q = result.confidences
    assert isinstance(result, CalibrationError)
    assert np.all(np.abs(result.errors) < STANDARD_ERRORS * np.sqrt(q * (1 - q) / m)[:, None])
    assert result.median.shape == (2,) and result.overall < 0.01


@pytest.mark.parametrize("width", [0.5, 2.0])
def test_a_wrong_width_has_the_error_of_the_closed_form(width):
    m, n = 3_000, 300
    x, y = linear_data(m)
    # Not beyond 0.95, where a tail of 300 draws holds too few to tell.
    result = calibration_error(Linear(width), x, y, np.arange(0.05, 0.96, 0.05), n, random_state=7)
    q = result.confidences
    # The interval that is meant to hold q reaches `width` times as far as it should.
    inside = np.array([math.erf(width * two_sided(p) / math.sqrt(2)) for p in q])
    tolerance = STANDARD_ERRORS * np.sqrt(inside * (1 - inside) / m) + 2 / n
    assert np.all(np.abs(result.inliers - inside[:, None]) < tolerance[:, None])
    expected = np.median(np.abs(inside - q))
    np.testing.assert_allclose(result.median, expected, atol=0.02)
    assert result.overall == pytest.approx(expected, abs=0.02)
    assert expected > 0.1


def test_a_shifted_posterior_is_not_calibrated():
    x, y = linear_data(1_000)
    model = Linear()
    samples = model.posterior(y, n=100, random_state=8)
    samples[:, :, 1] += 1.0
    good, bad = calibration_error(samples, x).median
    assert good < 0.02 and bad > 0.1


@pytest.mark.parametrize("n", [1, 2, 5])
def test_ranks_that_are_all_alike_have_no_error(n):
    """A truth in each of the n + 1 gaps between n draws, as if each rank came once."""
    samples = np.tile(np.arange(n, dtype=float), (n + 1, 1))
    result = calibration_error(samples, np.arange(n + 1) - 0.5)
    np.testing.assert_allclose(result.errors, 0.0, atol=1e-14)


def test_inliers_by_hand():
    # One draw of three below the truth: its quantile lies between 1/4 and 1/2. The interval of probability
    # 0.3 is 0.35 to 0.65 and covers 0.15 of that 0.25; that of 0.5 covers all, that of 0.9 too.
    result = calibration_error([[0.0, 1.0, 2.0]], [0.5], confidences=[0.3, 0.5, 0.9])
    np.testing.assert_allclose(result.inliers, [[0.6], [1.0], [1.0]], rtol=1e-14)
    np.testing.assert_allclose(result.errors, [[0.3], [0.5], [0.1]], rtol=1e-14)
    np.testing.assert_allclose(result.median, [0.3], rtol=1e-14)
    assert result.overall == pytest.approx(0.3)


def test_overall_is_the_median_over_everything():
    result = CalibrationError(np.array([0.5]), np.array([[0.5, 0.6, 0.9]]))
    np.testing.assert_allclose(result.median, [0.0, 0.1, 0.4])
    assert result.overall == pytest.approx(0.1)
    with pytest.raises(AttributeError):
        result.inliers = None


def test_discrete_parameters_are_judged_fairly():
    rng = np.random.default_rng(9)
    m = 5_000
    truth, samples = rng.integers(2, size=(m, 1)), rng.integers(2, size=(m, 40, 1))
    result = calibration_error(samples, truth)
    q = result.confidences
    assert np.all(np.abs(result.errors[:, 0]) < STANDARD_ERRORS * np.sqrt(q * (1 - q) / m))
    # A parameter that is known is right at any confidence.
    constant = calibration_error(np.ones((3, 7, 1)), np.ones(3))
    np.testing.assert_allclose(constant.errors, 0.0, atol=1e-14)


def test_confidences_are_evenly_spaced():
    x, y = linear_data(3)
    samples = Linear().posterior(y, n=4)
    np.testing.assert_allclose(calibration_error(samples, x).confidences, (np.arange(100) + 0.5) / 100)
    np.testing.assert_allclose(calibration_error(samples, x, confidences=2).confidences, [0.25, 0.75])
    result = calibration_error(samples, x, confidences=(0.9, 0.5))
    np.testing.assert_array_equal(result.confidences, [0.9, 0.5])
    assert result.inliers.shape == (2, 2)


def test_a_model_is_asked_in_parts_with_a_seed_each(monkeypatch):
    monkeypatch.setattr(metrics._draws, "ROWS_AT_ONCE", 30)
    x, y = linear_data(7)
    model = Linear()
    first = calibration_error(model, x, y, n=10, random_state=10)
    assert [call[:2] for call in model.calls] == [(3, 10), (3, 10), (1, 10)]
    assert len({call[2] for call in model.calls}) == 3
    again = calibration_error(Linear(), x, y, n=10, random_state=10)
    np.testing.assert_array_equal(first.inliers, again.inliers)
    parts = zip((y[:3], y[3:6], y[6:]), model.calls, strict=True)
    draws = [Linear().posterior(part, 10, seed) for part, (*_, seed) in parts]
    np.testing.assert_array_equal(calibration_error(np.concatenate(draws), x).inliers, first.inliers)


def test_calibration_of_an_estimator_with_one_column():
    x, y = linear_data(300, columns=1)
    model = RejectionABC(acceptance=0.1, random_state=0).fit(x[:200], y[:200])
    assert calibration_error(model, x[200:], y[200:], n=50).overall < 0.1
    assert calibration_error(model, x[200:, 0], y[200:, 0], n=50).inliers.shape == (100, 1)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"y": None}, ValueError, "y must hold the observations"),
        ({"y": np.zeros((3, 2))}, ValueError, "x has 5 rows and y has 3"),
        ({"x": np.full((5, 2), np.nan)}, ValueError, "x contains NaN"),
        ({"n": 0}, ValueError, "n must be at least 1"),
        ({"n": 1.5}, TypeError, "n must be an integer"),
        ({"confidences": 0}, ValueError, "confidences must be at least 1"),
        ({"confidences": [0.5, 1.0]}, ValueError, "confidences must lie between 0 and 1, got .* 0.5 to 1"),
        ({"confidences": 0.5}, ValueError, "confidences must be an integer or a list"),
        ({"confidences": []}, ValueError, "confidences must not be empty"),
        ({"confidences": "many"}, TypeError, "confidences must hold real numbers"),
        ({"random_state": -1}, ValueError, "random_state must be"),
        ({"model_or_samples": np.zeros((4, 3, 2))}, ValueError, r"got shape \(4, 3, 2\) for x of shape"),
        ({"model_or_samples": np.zeros((5, 3, 1))}, ValueError, r"got shape \(5, 3, 1\) for x of shape"),
        ({"model_or_samples": np.zeros(5)}, ValueError, "model_or_samples must have shape"),
        ({"model_or_samples": object()}, TypeError, "model_or_samples must hold real numbers"),
        ({"model_or_samples": np.full((5, 3, 2), np.inf)}, ValueError, "model_or_samples must be finite"),
    ],
)
def test_bad_input_of_calibration_error(change, error, message):
    x, y = linear_data(5)
    good = {"model_or_samples": Linear(), "x": x, "y": y}
    with pytest.raises(error, match=message):
        calibration_error(**{**good, **change})


def test_an_unfitted_model_says_so():
    with pytest.raises(NotFittedError):
        calibration_error(RejectionABC(), np.zeros((2, 1)), np.zeros((2, 1)))
