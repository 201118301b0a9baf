"""Coverage of regions of highest density and of balls, and ranks, of posteriors that are wrong as known."""

import doctest
import importlib
import math
import pkgutil

import numpy as np
import pandas as pd
import pytest
from conjugate import Linear, linear_data
from scipy.stats import chi2, chisquare, ncx2, norm

from innverse import INN, ConditionalINN, metrics
from innverse.baselines import RejectionABC
from innverse.metrics import Coverage, calibration_error, expected_coverage, sbc_ranks, tarp

# Seeds are fixed. A right share is beyond this once in 15,000.
STANDARD_ERRORS = 4.0
# Ranks that are uniform fail a test of it this often, were seeds not fixed; wrong ones must fail for sure.
FALSE_ALARM, CERTAIN = 1e-4, 1e-12
# Above the top one of 300 draws there is little to tell levels apart by.
LEVELS = np.arange(0.05, 0.96, 0.05)
FAR = 1e6


def close(result, expected, m, n):
    """Whether coverage is as expected, within what m observations and n draws can tell."""
    error = np.abs(result.coverage - expected)
    return np.all(error < STANDARD_ERRORS * np.sqrt(expected * (1 - expected) / m) + 2 / n)


def right(result, m):
    q = result.levels
    within = np.abs(result.errors) < STANDARD_ERRORS * np.sqrt(q * (1 - q) / m)
    # A level that is uniform varies by 0.29, its distance from 1/2 by half of that.
    return np.all(within) and abs(result.area) < STANDARD_ERRORS * 0.29 / math.sqrt(m)


@pytest.mark.parametrize("n", [1, 2, 20, 200])
@pytest.mark.parametrize("metric", [expected_coverage, tarp])
def test_a_right_posterior_has_no_error_for_any_number_of_draws(metric, n):
    m = 4_000
    result = metric(Linear(), *linear_data(m), n=n, random_state=1)
    assert isinstance(result, Coverage) and result.levels.shape == result.coverage.shape == (100,)
    assert right(result, m)
    assert result.largest == np.abs(result.coverage - result.levels).max() < 0.04


@pytest.mark.parametrize("n", [1, 2, 5])
def test_ranks_that_are_all_alike_have_no_error(n):
    """A truth in each of the n + 1 gaps between n draws, as if each rank came once."""
    samples, truth = np.tile(np.arange(n, dtype=float), (n + 1, 1)), np.arange(n + 1) - 0.5
    by_density = expected_coverage(samples, truth, truth, log_prob=lambda x, y: -x[:, 0])
    by_distance = tarp(samples, truth, references=np.full(n + 1, -9.0))
    for result in by_density, by_distance:
        np.testing.assert_allclose(result.errors, 0.0, atol=1e-14)
        assert result.area == pytest.approx(0, abs=1e-14)
    np.testing.assert_array_equal(sbc_ranks(samples, truth)[:, 0], np.arange(n + 1))


def test_coverage_by_hand():
    # One draw of three is likelier and nearer to 9 than the truth: it enters between the levels 1/4 and 1/2.
    levels = [0.2, 0.3, 0.5, 0.9]
    samples, truth = [[0.0, 1.0, 2.0]], [1.5]
    by_density = expected_coverage(samples, truth, [0.0], log_prob=lambda x, y: x[:, 0], levels=levels)
    by_distance = tarp(samples, truth, references=[9.0], levels=levels)
    for result in by_density, by_distance:
        np.testing.assert_allclose(result.coverage, [0.0, 0.2, 1.0, 1.0], rtol=1e-14)
        np.testing.assert_allclose(result.errors, [-0.2, -0.1, 0.5, 0.1], rtol=1e-14)
        assert result.largest == pytest.approx(0.5)
    # Uniform on [1/4, 1/2] the level has mean 3/8 and is 1/8 from 1/2.
    assert by_density.area == pytest.approx(1 / 2 - 3 / 8)
    assert by_distance.area == pytest.approx(1 / 4 - 1 / 8)
    # Of [1/4, 3/4] each half is 1/8 from 1/2 in the mean.
    assert tarp([[1.5, 1.0, 2.0]], truth, references=[9.0]).area == pytest.approx(1 / 4 - 1 / 8)
    with pytest.raises(AttributeError):
        result.coverage = None


@pytest.mark.parametrize("columns", [1, 3])
@pytest.mark.parametrize("width", [0.5, 0.8, 2.0])
def test_a_wrong_width_has_the_density_coverage_of_the_closed_form(columns, width):
    m, n = 2_000, 300
    result = expected_coverage(Linear(width), *linear_data(m, columns), n=n, levels=LEVELS, random_state=2)
    # The region reaches `width` times as far as it should.
    expected = chi2.cdf(width**2 * chi2.ppf(LEVELS, columns), columns)
    assert close(result, expected, m, n)
    assert np.all(np.sign(result.errors) == np.sign(width - 1))
    if columns == 1:
        np.testing.assert_allclose(expected, 2 * norm.cdf(width * norm.ppf((1 + LEVELS) / 2)) - 1)
        # A draw is likelier than the truth where it has the smaller absolute deviation.
        area = 0.5 - 2 / math.pi * math.atan(1 / width)
        assert result.area == pytest.approx(area, abs=STANDARD_ERRORS * 0.5 / math.sqrt(m))
    assert result.area * (width - 1) > 0


@pytest.mark.parametrize("columns", [1, 3])
def test_a_shift_has_the_density_coverage_of_the_closed_form(columns):
    m, n, shift = 2_000, 300, 1.0
    model = Linear(shift=shift)
    result = expected_coverage(model, *linear_data(m, columns), n=n, levels=LEVELS, random_state=3)
    expected = ncx2.cdf(chi2.ppf(LEVELS, columns), columns, shift**2)
    assert close(result, expected, m, n)
    assert expected.min() > 0 and np.max(LEVELS - expected) > 0.08


@pytest.mark.parametrize(("width", "shift"), [(0.5, 0.0), (2.0, 0.0), (1.0, 0.7)])
def test_balls_around_far_points_have_the_coverage_of_the_closed_form(width, shift):
    m, n = 2_000, 300
    x, y = linear_data(m)
    # Seen from a point far up in the first column, what is nearer has the larger first column.
    points = np.tile([FAR, 0.0], (m, 1))
    model = Linear(width, shift)
    result = tarp(model, x, y, references=points, n=n, levels=LEVELS, random_state=4)
    assert close(result, norm.cdf(width * norm.ppf(LEVELS) - shift), m, n)
    if not shift:
        area = 0.25 - math.atan(1 / width) / math.pi
        assert result.area == pytest.approx(area, abs=STANDARD_ERRORS * 0.25 / math.sqrt(m))
        assert result.area * (width - 1) > 0


def test_balls_around_the_mean_are_regions_of_highest_density():
    x, y = linear_data(400, columns=1)
    model = Linear(0.7)
    by_density = expected_coverage(model, x, y, n=50, random_state=5)
    samples = model.posterior(y, n=50, random_state=5)
    again = expected_coverage(samples, x, y, log_prob=model.log_prob)
    by_distance = tarp(samples, x, references=y / 2)
    np.testing.assert_allclose(by_distance.coverage, again.coverage, rtol=1e-12)
    # Drawn by the metric, from a seed of its own.
    assert np.abs(by_density.coverage - again.coverage).max() < 0.05


@pytest.mark.parametrize(
    ("model", "sign"), [(Linear(0.5), -1), (Linear(2.0), 1), (Linear(shift=1.5), -1)], ids=str
)
def test_balls_around_random_points_show_what_is_wrong(model, sign):
    m = 2_000
    result = tarp(model, *linear_data(m, columns=1), n=100, random_state=6)
    assert sign * result.area > 0.03 and result.largest > 0.1
    assert not right(result, m)


def test_the_prior_is_told_from_the_posterior_by_points_that_depend_on_y_only():
    m, n = 2_000, 100
    x, y = linear_data(m, columns=1)
    prior = np.random.default_rng(7).standard_normal((m, n))
    assert right(tarp(prior, x, random_state=7), m)
    assert not right(tarp(prior, x, references=y / 2), m)
    assert right(tarp(Linear(), x, y, references=y / 2, n=n, random_state=7), m)


def test_balls_do_not_depend_on_units():
    x, y = linear_data(300)
    samples, units = Linear(0.5).posterior(y, n=20, random_state=8), np.array([2.0**60, 2.0**-60])
    plain, scaled = tarp(samples, x, random_state=9), tarp(samples * units, x * units, random_state=9)
    np.testing.assert_array_equal(plain.coverage, scaled.coverage)
    # A parameter that is known adds nothing.
    known = tarp(
        np.dstack([samples, np.full((300, 20), 4.0)]), np.c_[x, np.full(300, 4.0)], references=y_of(x)
    )
    without = tarp(samples, x, references=y_of(x)[:, :2])
    np.testing.assert_allclose(known.coverage, without.coverage, rtol=1e-12)


def y_of(x):
    return np.c_[x[::-1], np.full(len(x), 4.0)]


def test_equal_densities_and_distances_are_judged_fairly():
    m, n = 3_000, 30
    rng = np.random.default_rng(10)
    truth, samples = rng.integers(3, size=(m, 2)), rng.integers(3, size=(m, n, 2))
    flat = expected_coverage(samples, truth, truth, log_prob=lambda x, y: np.zeros(len(x)))
    np.testing.assert_allclose(flat.errors, 0.0, atol=1e-14)
    stepped = expected_coverage(samples, truth, truth, log_prob=lambda x, y: 1.0 * (x.sum(axis=1) > 2))
    assert right(stepped, m)
    assert right(tarp(samples, truth, references=np.zeros((m, 2))), m)


def test_a_truth_without_density_lies_outside_every_region():
    def log_prob(x, y):
        return np.where(np.abs(x[:, 0]) < 1, 0.0, -np.inf)

    samples = np.random.default_rng(11).uniform(-1, 1, size=(5, 99))
    result = expected_coverage(samples, np.full(5, 2.0), np.zeros(5), log_prob=log_prob, levels=[0.5, 0.99])
    np.testing.assert_array_equal(result.coverage, 0.0)


def counts(ranks, n):
    return np.bincount(ranks, minlength=n + 1)


@pytest.mark.parametrize("n", [1, 9, 19])
def test_ranks_of_a_right_posterior_are_uniform(n):
    m = 5_000
    ranks = sbc_ranks(Linear(), *linear_data(m), n=n, random_state=12)
    assert ranks.shape == (m, 2) and ranks.dtype.kind == "i"
    assert ranks.min() == 0 and ranks.max() == n
    for column in ranks.T:
        assert chisquare(counts(column, n)).pvalue > FALSE_ALARM


@pytest.mark.parametrize("width", [0.6, 1.7])
def test_ranks_of_a_wrong_width_have_the_moments_of_the_closed_form(width):
    m, n = 5_000, 19
    ranks = sbc_ranks(Linear(width), *linear_data(m, columns=1), n=n, random_state=13)[:, 0]
    assert chisquare(counts(ranks, n)).pvalue < CERTAIN
    # Share of pairs of draws that are both below the truth: truth less draw is normal for each, with
    # correlation 1 / (1 + width^2), and the quadrant of two such normals has this probability.
    pairs = ranks * (ranks - 1) / (n * (n - 1))
    expected = 0.25 + math.asin(1 / (1 + width**2)) / (2 * math.pi)
    assert abs(pairs.mean() - expected) < STANDARD_ERRORS * pairs.std() / math.sqrt(m)
    outermost = counts(ranks, n)[[0, -1]].mean() * (n + 1) / m
    assert outermost > 2 if width < 1 else outermost < 0.5


def test_ranks_of_a_shift_have_the_mean_of_the_closed_form():
    m, n, shift = 5_000, 19, 0.5
    ranks = sbc_ranks(Linear(shift=shift), *linear_data(m), n=n, random_state=14)
    shares = ranks.mean(axis=0) / n
    # A draw is below the truth where the difference of two right draws exceeds the shift.
    expected = np.array([norm.cdf(-shift / math.sqrt(2)), 0.5])
    assert np.all(np.abs(shares - expected) < STANDARD_ERRORS * (ranks / n).std(axis=0) / math.sqrt(m))
    assert chisquare(counts(ranks[:, 0], n)).pvalue < CERTAIN
    assert chisquare(counts(ranks[:, 1], n)).pvalue > FALSE_ALARM


def test_ranks_among_equals_are_random():
    m, n = 5_000, 9
    rng = np.random.default_rng(15)
    truth, samples = rng.integers(2, size=(m, 1)), rng.integers(2, size=(m, n, 1))
    ranks = sbc_ranks(samples, truth, random_state=16)[:, 0]
    assert chisquare(counts(ranks, n)).pvalue > FALSE_ALARM
    known = sbc_ranks(np.ones((m, n)), np.ones(m), random_state=17)[:, 0]
    assert chisquare(counts(known, n)).pvalue > FALSE_ALARM
    np.testing.assert_array_equal(known, sbc_ranks(np.ones((m, n)), np.ones(m), random_state=17)[:, 0])
    assert np.any(known != sbc_ranks(np.ones((m, n)), np.ones(m), random_state=18)[:, 0])


def test_ranks_give_the_intervals_of_the_calibration_error():
    x, y = linear_data(500)
    n = 9
    ranks = sbc_ranks(Linear(0.8), x, y, n=n, random_state=19)
    # The central interval of probability 0.4 covers ranks 3 to 6 of 0 to 9.
    inliers = calibration_error(Linear(0.8), x, y, [0.4], n, random_state=19).inliers[0]
    np.testing.assert_allclose(np.mean((ranks >= 3) & (ranks <= 6), axis=0), inliers, rtol=1e-12)


@pytest.mark.parametrize("metric", [expected_coverage, tarp, sbc_ranks])
def test_a_model_is_asked_in_parts_with_a_seed_each(monkeypatch, metric):
    monkeypatch.setattr(metrics._draws, "ROWS_AT_ONCE", 30)
    x, y = linear_data(7)
    model = Linear()
    first = metric(model, x, y, n=10, random_state=20)
    assert [call[:2] for call in model.calls] == [(3, 10), (3, 10), (1, 10)]
    assert len({call[2] for call in model.calls}) == 3
    again = metric(Linear(), x, y, n=10, random_state=20)
    other = metric(Linear(), x, y, n=10, random_state=21)
    values = [result if metric is sbc_ranks else result.coverage for result in (first, again, other)]
    np.testing.assert_array_equal(values[0], values[1])
    assert np.any(values[0] != values[2])


@pytest.mark.parametrize("metric", [expected_coverage, tarp, sbc_ranks])
def test_samples_in_parts_give_the_same(monkeypatch, metric):
    x, y = linear_data(50)
    # Coarse, so that there are ties; the density is exact in them.
    x, samples = x.round(1), Linear(0.5).posterior(y, n=10, random_state=22).round(1)
    options = {"log_prob": lambda x, y: -np.abs(x[:, 0])} if metric is expected_coverage else {}
    whole = metric(samples, x, y, random_state=23, **options)
    monkeypatch.setattr(metrics._draws, "ROWS_AT_ONCE", 30)
    parts = metric(samples, x, y, random_state=23, **options)
    if metric is not sbc_ranks:
        assert whole.area == parts.area
        whole, parts = whole.coverage, parts.coverage
    np.testing.assert_array_equal(whole, parts)


def test_a_density_is_asked_for_few_rows_at_once(monkeypatch):
    monkeypatch.setattr(metrics._coverage, "_ENTRIES_AT_ONCE", 100)
    x, y = linear_data(40, columns=3)
    model, seen = Linear(0.5), []

    def log_prob(x, y):
        seen.append(len(x))
        return model.log_prob(x, y)

    result = expected_coverage(model, x, y, log_prob=log_prob, n=10, random_state=24)
    # Three columns of x and three of y; each truth goes along with its draws.
    assert sum(seen) == 40 * 11 and max(seen) == 100 // 6
    monkeypatch.undo()
    np.testing.assert_array_equal(
        result.coverage, expected_coverage(model, x, y, n=10, random_state=24).coverage
    )


@pytest.fixture(scope="module")
def fitted():
    x, y = linear_data(1_000)
    names = pd.DataFrame(x, columns=["mass", "age"])
    settings = dict(n_blocks=2, hidden_layer_sizes=(8,), max_iter=2, random_state=0)
    return ConditionalINN(**settings).fit(names, y), INN(**settings).fit(x, y), names, y


def test_networks_are_judged(fitted):
    model, without_density, x, y = fitted
    for metric in expected_coverage, tarp:
        assert 0 < metric(model, x[:50], y[:50], n=20, random_state=25).largest < 1
    assert sbc_ranks(model, x[:50], y[:50], n=20, random_state=25).shape == (50, 2)
    with pytest.raises(ValueError, match="no density"):
        expected_coverage(without_density, x[:50].to_numpy(), y[:50], n=20)
    tarp(without_density, x[:50].to_numpy(), y[:50], n=20, random_state=25)


def test_a_single_column_may_be_flat():
    x, y = linear_data(200, columns=1)
    model = Linear()
    for metric in expected_coverage, tarp:
        flat = metric(model, x[:, 0], y[:, 0], n=10, random_state=26)
        np.testing.assert_array_equal(flat.coverage, metric(model, x, y, n=10, random_state=26).coverage)
    assert sbc_ranks(model, x[:, 0], y[:, 0], n=10).shape == (200, 1)


class Broken(Linear):
    """Draws NaN now and then."""

    def posterior(self, y, n=1000, random_state=None):
        draws = super().posterior(y, n, random_state)
        draws[0, 0, 0] = np.nan
        return draws


SHARED = [
    ({"y": None}, ValueError, "y must hold the observations"),
    ({"y": np.zeros((3, 2))}, ValueError, "x has 5 rows and y has 3"),
    ({"x": np.full((5, 2), np.nan)}, ValueError, "x contains NaN"),
    ({"n": 0}, ValueError, "n must be at least 1"),
    ({"n": 1.5}, TypeError, "n must be an integer"),
    ({"random_state": -1}, ValueError, "random_state must be"),
    (
        {"model_or_samples": Broken(), "n": 4},
        ValueError,
        "model_or_samples must draw numbers, got NaN in 1 of 40",
    ),
]
SAMPLES = [
    ({"model_or_samples": np.zeros((4, 3, 2))}, ValueError, r"got shape \(4, 3, 2\) for x of shape"),
    ({"model_or_samples": np.zeros((5, 3, 1))}, ValueError, r"got shape \(5, 3, 1\) for x of shape"),
    ({"model_or_samples": np.zeros(5)}, ValueError, "model_or_samples must have shape"),
    ({"model_or_samples": object()}, TypeError, "model_or_samples must hold real numbers"),
    ({"model_or_samples": np.full((5, 3, 2), np.inf)}, ValueError, "model_or_samples must be finite"),
]
LEVEL = [
    ({"levels": 0}, ValueError, "levels must be at least 1"),
    ({"levels": [0.5, 1.0]}, ValueError, "levels must lie between 0 and 1, got .* 0.5 to 1"),
    ({"levels": "many"}, TypeError, "levels must hold real numbers"),
]
DENSITY = [
    ({"model_or_samples": np.zeros((5, 3, 2))}, TypeError, "log_prob must be a function .* got None"),
    ({"model_or_samples": RejectionABC()}, TypeError, "log_prob must be a function .* got None"),
    ({"log_prob": 1.0}, TypeError, "log_prob must be a function of x and y, got 1.0"),
    ({"log_prob": lambda x, y: x, "n": 3}, ValueError, r"log_prob must return shape \(20,\).*got \(20, 2\)"),
    ({"log_prob": lambda x, y: x[:, 0] * np.nan, "n": 3}, ValueError, "got NaN for 20 of 20 rows"),
]
REFERENCES = [
    ({"references": "prior"}, ValueError, "references must be \"random\" or points of shape .* got 'prior'"),
    ({"references": np.zeros((5, 1))}, ValueError, r"references must have the shape of x, \(5, 2\)"),
    ({"references": np.full((5, 2), np.nan)}, ValueError, "references contains NaN"),
    ({"x": np.zeros((1, 2)), "y": np.zeros((1, 2))}, ValueError, "x must have at least 2 rows .* got 1"),
]


@pytest.mark.parametrize(
    ("metric", "case"),
    [(expected_coverage, case) for case in [*SHARED, *LEVEL, *DENSITY]]
    + [(tarp, case) for case in [*SHARED, *LEVEL, *SAMPLES, *REFERENCES]]
    + [(sbc_ranks, case) for case in [*SHARED, *SAMPLES]]
    # Its other cases are among its own tests.
    + [(calibration_error, SHARED[-1])],
)
def test_bad_input(metric, case):
    change, error, message = case
    x, y = linear_data(5)
    with pytest.raises(error, match=message):
        metric(**{"model_or_samples": Linear(), "x": x, "y": y, **change})


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(metrics.__path__)])
def test_examples_hold(name):
    assert doctest.testmod(importlib.import_module(f"innverse.metrics.{name}")).failed == 0
