"""Posterior samples for many observations, a few observations at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from .._validation import FloatArray, as_table, check_same_rows
from ..problems._base import RandomStateLike, as_generator, check_count
from ._checks import as_samples

# Rows that a simulator or a model is asked for at once.
ROWS_AT_ONCE = 200_000
# Draws for each observation, by default.
DRAWS = 1000
# Seeds handed to models are below this.
SEED_BOUND = 2**31


class HasPosterior(Protocol):
    """An estimator that draws from a posterior."""

    def posterior(self, y: Any, n: int = ..., random_state: Any = ...) -> Any:
        """Draw parameters for each observation."""


def observations(y: ArrayLike | None, truth: FloatArray) -> FloatArray:
    """Return the observations that belong to the rows of truth."""
    if y is None:
        raise ValueError("y must hold the observations that belong to the rows of x, got None")
    table = as_table(y, "y")
    check_same_rows(truth, table)
    return table


def posterior_parts(
    model_or_samples: HasPosterior | ArrayLike,
    truth: FloatArray,
    y: ArrayLike | None,
    n: int,
    random_state: RandomStateLike,
) -> Iterator[tuple[slice, FloatArray]]:
    """Go through posterior samples so that memory does not grow with the number of observations.

    Parameters
    ----------
    model_or_samples : estimator or array-like of shape (m, n, dx)
        What the user gave.
    truth : ndarray of shape (m, dx)
        True parameters.
    y : array-like of shape (m, dy) or None
        The observations, for a model.
    n : int
        Draws for each observation from a model.
    random_state : int, RandomState, Generator or None
        Seeds the draws from a model, each part with a seed of its own.

    Returns
    -------
    parts : iterator of (slice, ndarray of shape (k, n, dx))
        Rows of truth and their samples.
    """
    if hasattr(model_or_samples, "posterior"):
        count = check_count("n", n)
        table = observations(y, truth)
        return _model_parts(model_or_samples, truth, table, count, as_generator(random_state))
    samples = as_samples("model_or_samples", model_or_samples, m=len(truth))
    _check_fit(samples, truth)
    return ((rows, samples[rows]) for rows in _slices(len(truth), samples.shape[1]))


def _model_parts(
    model: Any, truth: FloatArray, table: FloatArray, n: int, rng: np.random.Generator
) -> Iterator[tuple[slice, FloatArray]]:
    for rows in _slices(len(table), n):
        draws = model.posterior(table[rows], n=n, random_state=int(rng.integers(SEED_BOUND)))
        # One observation of one column may come back as that of a single observation.
        draws = np.asarray(draws, dtype=np.float64).reshape(len(table[rows]), n, -1)
        _check_fit(draws, truth[rows])
        if bad := int(np.sum(np.isnan(draws))):
            raise ValueError(f"model_or_samples must draw numbers, got NaN in {bad} of {draws.size} entries")
        yield rows, draws


def _slices(m: int, n: int) -> Iterator[slice]:
    """Cut m observations with n draws each into parts of `ROWS_AT_ONCE` draws."""
    step = max(ROWS_AT_ONCE // n, 1)
    return (slice(start, min(start + step, m)) for start in range(0, m, step))


def _check_fit(samples: FloatArray, truth: FloatArray) -> None:
    if samples.shape[0] != len(truth) or samples.shape[2] != truth.shape[1]:
        raise ValueError(
            f"model_or_samples must give shape (m, n, dx) with m and dx as in x, got shape {samples.shape} "
            f"for x of shape {truth.shape}"
        )
