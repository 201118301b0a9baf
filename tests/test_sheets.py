"""Draws from a density on unit squares, against densities that are known."""

import numpy as np
import pytest

from innverse.problems._sheets import draw_from_sheets

STANDARD_ERRORS = 4.0


def on_two_sheets(sheet, u, v):
    """Three times as much on the second sheet: 2 u 3 v^2 there, and 1 on the first."""
    with np.errstate(divide="ignore"):
        return np.where(sheet == 0, 0.0, np.log(3.0 * 6.0 * u * v**2))


def test_a_density_that_is_known():
    n = 40_000
    draws = draw_from_sheets(on_two_sheets, 2, n, np.random.default_rng(0))
    second = draws.sheet == 1
    assert abs(second.mean() - 0.75) < STANDARD_ERRORS * np.sqrt(0.75 * 0.25 / n)
    # Means and variances of u, v on each sheet: uniform, and the two beta distributions (2, 1), (3, 1).
    for which, values, mean, variance in (
        (~second, draws.u, 1 / 2, 1 / 12),
        (~second, draws.v, 1 / 2, 1 / 12),
        (second, draws.u, 2 / 3, 1 / 18),
        (second, draws.v, 3 / 4, 3 / 80),
    ):
        error = np.sqrt(variance / which.sum())
        assert abs(values[which].mean() - mean) < STANDARD_ERRORS * error
    assert np.exp(draws.log_total) == pytest.approx(4.0, rel=0.01)


@pytest.mark.parametrize("scale", [0.1, 1e-3, 1e-5])
def test_a_narrow_peak_is_found_down_its_slopes(scale):
    def log_density(sheet, u, v):
        return 1e6 - 0.5 * (((u - 0.3141) ** 2 + (v - 0.7) ** 2) / scale**2)

    n = 5_000
    draws = draw_from_sheets(log_density, 1, n, np.random.default_rng(1))
    if scale < 0.1:  # else the edges cut the peak
        for values, center in ((draws.u, 0.3141), (draws.v, 0.7)):
            z = (values - center) / scale
            assert abs(z.mean()) < STANDARD_ERRORS / np.sqrt(n)
            assert abs(z.var() - 1) < STANDARD_ERRORS * np.sqrt(2 / n)
        assert draws.log_total - 1e6 == pytest.approx(np.log(2 * np.pi * scale**2), abs=0.02)
    assert np.unique(draws.u).size == n


def test_a_density_of_nothing():
    def log_density(sheet, u, v):
        return np.full(len(u), -np.inf)

    assert draw_from_sheets(log_density, 3, 5, np.random.default_rng(2)) is None
