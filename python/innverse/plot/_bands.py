"""What chance alone does to shares of a finite number of cases."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._validation import FloatArray

# The width of a band is found from so many simulated sets of cases: its probability is then right to
# 0.3 percentage points at 95 %.
_SIMULATIONS = 4000
# The same band each time.
_SEED = 0
# Simulated probabilities that equal the quantile must not fall outside by rounding.
_ROUNDING = 1e-9


def check_band(band: Any) -> float:
    """Return the probability of a band as a float."""
    if not isinstance(band, Real) or isinstance(band, bool):
        raise TypeError(f"band must be a number, got {band!r} of type {type(band).__name__}")
    probability = float(band)
    if not 0.0 < probability < 1.0:
        raise ValueError(f"band must be between 0 and 1, got {probability:g}")
    return probability


def curve_band(levels: FloatArray, rows: int, band: float) -> tuple[FloatArray, FloatArray]:
    """Return what a calibration curve of a right posterior stays within as a whole.

    The curve is the share of `rows` cases, each uniform between 0 and 1, that lie below each level. The
    band is simultaneous: pointwise binomial intervals, all of one probability, that is chosen so that
    the whole curve lies inside with the probability wanted (Säilynoja, Bürkner & Vehtari 2022, Statistics
    and Computing 32, 32).

    Parameters
    ----------
    levels : ndarray of shape (k,)
        Rising, between 0 and 1.
    rows : int
        Cases.
    band : float
        Probability that the whole curve lies inside.

    Returns
    -------
    low, high : ndarray of shape (k,)
        Shares.
    """
    steps = np.diff(levels, prepend=0.0, append=1.0)
    parts = np.random.default_rng(_SEED).multinomial(rows, steps, size=_SIMULATIONS)
    return _simultaneous(np.cumsum(parts, axis=1)[:, :-1], rows, levels, band)


def histogram_band(shares: FloatArray, rows: int, band: float) -> tuple[FloatArray, FloatArray]:
    """Return what all bins of a histogram stay within together, found as in `curve_band`.

    Parameters
    ----------
    shares : ndarray of shape (b,)
        Probability of each bin.
    rows : int
        Cases.
    band : float
        Probability that all bins lie inside.

    Returns
    -------
    low, high : ndarray of shape (b,)
        Shares.
    """
    counts = np.random.default_rng(_SEED).multinomial(rows, shares, size=_SIMULATIONS)
    return _simultaneous(counts, rows, shares, band)


def _simultaneous(
    counts: NDArray[np.int64], rows: int, probabilities: FloatArray, band: float
) -> tuple[FloatArray, FloatArray]:
    """Return the band that holds a share of the simulated counts, (simulations, k), everywhere at once."""
    from scipy.special import bdtr, bdtrc

    one_sided = np.minimum(bdtr(counts, rows, probabilities), bdtrc(counts - 1, rows, probabilities))
    tail = np.quantile(one_sided.min(axis=1), 1.0 - band) * (1.0 - _ROUNDING)
    return binomial_limits(float(tail), rows, probabilities)


def binomial_limits(tail: float, rows: int, probabilities: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the least and the largest share of cases that are not too improbable.

    Parameters
    ----------
    tail : float
        Least probability of at most the one, and of at least the other, number of cases.
    rows : int
        Cases.
    probabilities : ndarray of shape (k,)
        Of a case to count.

    Returns
    -------
    low, high : ndarray of shape (k,)
        Shares.
    """
    # Those that do not count are binomial too.
    return _least(tail, rows, probabilities) / rows, 1.0 - _least(tail, rows, 1.0 - probabilities) / rows


def _least(tail: float, rows: int, probabilities: FloatArray) -> FloatArray:
    """Return the smallest number that at most so many cases have the probability `tail`, (k,)."""
    from scipy.special import bdtr, bdtrik

    # The inverse is continuous, and at the wrong side of a whole number by rounding; none below zero.
    number = np.ceil(np.nan_to_num(bdtrik(tail, rows, probabilities)))
    less = np.maximum(number - 1.0, 0.0)
    return np.asarray(np.where(bdtr(less, rows, probabilities) >= tail, less, number))
