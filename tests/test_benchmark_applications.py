"""What the benchmark of the applications decides: whether there are two modes, and what chance alone does."""

import sys
from pathlib import Path

import numpy as np
import pytest

from innverse.metrics import calibration_error

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))
from applications import chance_of_calibration, split_of_modes

LOW, HIGH = 0.3, 12.0
DRAWS = 2000


def modes(first, second, share, spread=0.5):
    """Draws around two ages, a share of them around the first."""
    rng = np.random.default_rng(0)
    younger = rng.random(DRAWS) < share
    return np.clip(np.where(younger, first, second) + spread * rng.normal(size=DRAWS), LOW, HIGH)


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_two_modes_are_split_between_them(share):
    values = modes(3.0, 8.0, share)
    split = split_of_modes(values, LOW, HIGH)
    assert 4.0 < split < 7.0
    assert np.mean(values < split) == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize(
    "values",
    [
        modes(5.0, 5.0, 0.5),
        modes(3.0, 8.0, 0.05),
        modes(4.5, 5.5, 0.5),
        np.random.default_rng(0).uniform(LOW, HIGH, DRAWS),
    ],
    ids=["one", "one of them small", "too near", "uniform"],
)
def test_there_are_not_always_two_modes(values):
    assert split_of_modes(values, LOW, HIGH) is None


def test_chance_is_that_of_a_right_posterior():
    rng = np.random.default_rng(1)
    pairs, parameters = 500, 200
    draws, truth = rng.random((pairs, 99, parameters)), rng.random((pairs, parameters))
    result = calibration_error(draws, truth)
    chance = chance_of_calibration(result.confidences, pairs)
    # Few draws smooth the curve a little; the spread of one parameter is half of its mean.
    assert np.mean(result.median) == pytest.approx(np.mean(chance), rel=0.1)
    assert np.quantile(result.median, 0.95) == pytest.approx(np.quantile(chance, 0.95), rel=0.2)
