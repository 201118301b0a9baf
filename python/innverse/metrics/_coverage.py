"""Whether regions of highest density hold the truth as often as they should."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from .._validation import FloatArray, as_table
from ..problems._base import RandomStateLike
from ._checks import as_levels
from ._curve import LEVELS, Coverage, coverage_at
from ._draws import DRAWS, HasPosterior, observations, posterior_parts
from ._ranks import intervals, joined

LogProb: TypeAlias = Callable[[FloatArray, FloatArray], ArrayLike]

# Entries of x and y that a density is asked for at once: 32 MB.
_ENTRIES_AT_ONCE = 4_000_000


def expected_coverage(
    model_or_samples: HasPosterior | ArrayLike,
    x: ArrayLike,
    y: ArrayLike,
    *,
    log_prob: LogProb | None = None,
    n: int = DRAWS,
    levels: int | ArrayLike = LEVELS,
    random_state: RandomStateLike = None,
) -> Coverage:
    """Compare how often the truth lies within regions of highest posterior density with how often it should.

    The region of level q is where the density is highest, as much of it as holds probability q. All
    parameters are judged together, so that wrong correlations and wrong shapes show, which intervals of
    single parameters miss. Over many pairs drawn from prior and simulator, the share of truths inside is q
    if the posterior is right. Less says that the posterior is overconfident, more that it is wider than it
    need be. A right share proves little: the prior itself has it, and so may a posterior whose errors cancel
    over observations.

    The truth lies at the level that draws with a higher density make up. With r of n draws above it that is
    between ``r / (n + 1)`` and ``(r + 1) / (n + 1)``, each of the n + 1 intervals equally likely where the
    posterior is right, and the observation counts by the share of its interval below q; draws of equal
    density widen it by ``1 / (n + 1)`` each. The expected error of a right posterior is then exactly 0 for
    any number of draws.

    Parameters
    ----------
    model_or_samples : estimator or array-like of shape (m, n, dx)
        Something with methods `posterior` and `log_prob`, or posterior samples for each of the m
        observations; (m, n) for one parameter.
    x : array-like of shape (m, dx)
        True parameters behind each observation. One dimension means one column.
    y : array-like of shape (m, dy)
        The observations.
    log_prob : callable or None, default=None
        Log density: a function of x, (k, dx), and y, (k, dy), row by row, that returns (k,). It need not be
        normalised, and -inf is allowed. None takes the method of the model; samples need it.
    n : int, default=1000
        Draws for each observation from a model. A wrong posterior is told apart at levels up to about
        ``1 - 1/n``.
    levels : int or array-like of shape (k,), default=100
        Probabilities q between 0 and 1; an integer means so many, evenly spaced: 0.005, 0.015, ..., 0.995
        for 100.
    random_state : int, RandomState, Generator or None, default=None
        Determines the draws from a model.

    Returns
    -------
    result : Coverage
        Levels and coverage, with its errors: negative where the posterior is overconfident. With m
        observations, chance alone makes errors of about ``sqrt(q (1 - q) / m)``.

    Raises
    ------
    ValueError, TypeError
        Where shapes do not fit together, numbers are not finite, or there is no density. What `log_prob`
        raises comes through.

    References
    ----------
    J. Hermans et al., "A Crisis In Simulation-Based Inference? Beware, Your Posterior Approximations Can Be
    Unfaithful", TMLR 2022, arXiv:2110.06581.
    B. K. Miller et al., "Truncated Marginal Neural Ratio Estimation", NeurIPS 2021, arXiv:2107.01214.

    Examples
    --------
    >>> import numpy as np
    >>> from innverse.metrics import expected_coverage
    >>> rng = np.random.default_rng(0)
    >>> truth, samples = rng.normal(size=(1000, 2)), rng.normal(size=(1000, 50, 2))
    >>> log_prob = lambda x, y: -np.sum(x**2, axis=1) / 2
    >>> expected_coverage(samples, truth, np.zeros(1000), log_prob=log_prob).largest < 0.05
    True
    >>> narrow = expected_coverage(samples / 2, truth, np.zeros(1000), log_prob=log_prob)
    >>> narrow.area < -0.2
    True
    """
    truth = as_table(x, "x")
    probabilities = as_levels("levels", levels)
    density = _density(model_or_samples, log_prob)
    table = observations(y, truth)
    parts = posterior_parts(model_or_samples, truth, table, n, random_state)
    low, high = joined(
        intervals(*_improbability(density, draws, truth[rows], table[rows])) for rows, draws in parts
    )
    # The integral over q of the share of [low, high] below q is 1 - (low + high) / 2.
    area = 0.5 - float(np.mean(low + high)) / 2.0
    return Coverage(probabilities, coverage_at(probabilities, low, high), area, len(truth))


def _density(model_or_samples: Any, log_prob: LogProb | None) -> LogProb:
    if log_prob is None:
        log_prob = getattr(model_or_samples, "log_prob", None)
        if log_prob is None:
            raise TypeError(
                "log_prob must be a function of x and y where model_or_samples has no such method, got None"
            )
    if not callable(log_prob):
        raise TypeError(f"log_prob must be a function of x and y, got {log_prob!r}")
    return log_prob


def _improbability(
    density: LogProb, draws: FloatArray, truth: FloatArray, table: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return minus the log density of draws, (k, n), and of the truth, (k,)."""
    k, n, columns = draws.shape
    # The truth is evaluated as one more draw, so that equal densities are rounded alike.
    points = np.concatenate([truth[:, np.newaxis], draws], axis=1).reshape(k * (n + 1), columns)
    values = np.empty(len(points))
    step = max(_ENTRIES_AT_ONCE // (columns + table.shape[1]), 1)
    for start in range(0, len(points), step):
        rows = np.arange(start, min(start + step, len(points)))
        values[rows] = _log_densities(density, points[rows], table[rows // (n + 1)])
    densities = values.reshape(k, n + 1)
    return -densities[:, 1:], -densities[:, 0]


def _log_densities(density: LogProb, x: FloatArray, y: FloatArray) -> FloatArray:
    with warnings.catch_warnings():
        # A model that was fitted to a table with names is asked about arrays here, rightly.
        warnings.filterwarnings("ignore", "X does not have valid feature names", UserWarning)
        values = np.asarray(density(x, y), dtype=np.float64)
    if values.shape != (len(x),):
        raise ValueError(f"log_prob must return shape ({len(x)},), a number per row, got {values.shape}")
    if bad := int(np.sum(np.isnan(values))):
        raise ValueError(f"log_prob must return numbers, got NaN for {bad} of {len(x)} rows")
    return values
