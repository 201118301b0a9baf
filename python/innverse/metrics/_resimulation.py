"""Whether posterior samples bring the observation back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from .._validation import FloatArray
from ..problems import Problem
from ..problems._base import RandomStateLike, as_generator
from ._checks import as_samples, floats
from ._draws import ROWS_AT_ONCE


def resimulation_error(
    problem_or_simulate: Problem | Callable[[FloatArray], ArrayLike],
    samples: ArrayLike,
    y: ArrayLike,
    random_state: RandomStateLike = None,
) -> float:
    """Mean squared difference between re-simulated samples and the observation they were drawn for.

    Every sample of a posterior should explain the observation, so that the simulator brings it back. The
    mean runs over observations, samples and columns of y, in the squared units of the simulator. It does
    not tell whether the samples are spread as they should be: one good sample repeated scores as well.

    Parameters
    ----------
    problem_or_simulate : Problem or callable
        The simulator: a `Problem`, or a function of x, (k, dx), that returns y, (k, dy).
    samples : array-like of shape (n, dx) or (m, n, dx)
        Posterior samples for one observation or for m. One dimension means one column.
    y : array-like of shape (dy,) or (m, dy)
        The observation or observations. For m observations of one column (m,) will do.
    random_state : int, RandomState, Generator or None, default=None
        Source of the observation noise of a `Problem` that has any; a function gets none.

    Returns
    -------
    error : float
        The mean squared difference. A simulator with noise adds the variance of its noise.

    Raises
    ------
    ValueError, TypeError
        Where the shapes do not fit together, or the simulator returns something else than finite numbers.

    Examples
    --------
    >>> from innverse.metrics import resimulation_error
    >>> resimulation_error(lambda x: 2 * x, samples=[1.0, 3.0], y=4.0)
    4.0
    """
    simulate = _simulator(problem_or_simulate, random_state)
    draws = as_samples("samples", samples)
    observations = floats("y", y)
    if draws.ndim == 2:
        draws = draws[np.newaxis]
    if observations.ndim == 1 and len(draws) == len(observations) > 1:
        observations = observations[:, np.newaxis]
    observations = np.atleast_2d(observations)
    if observations.ndim != 2 or len(observations) != len(draws):
        raise ValueError(
            "y must have one row for each set of samples, got samples for "
            f"{len(draws)} observation(s) and y of shape {np.shape(y)}"
        )
    m, n, columns = draws.shape
    flat = draws.reshape(m * n, columns)
    total = 0.0
    for start in range(0, m * n, ROWS_AT_ONCE):
        rows = np.arange(start, min(start + ROWS_AT_ONCE, m * n))
        simulated = _simulated(simulate, flat[rows], observations.shape[1])
        total += float(np.sum((simulated - observations[rows // n]) ** 2))
    return float(total / (m * n * observations.shape[1]))


def _simulator(
    problem_or_simulate: Problem | Callable[[FloatArray], ArrayLike], random_state: RandomStateLike
) -> Callable[[FloatArray], ArrayLike]:
    rng = as_generator(random_state)
    if isinstance(problem_or_simulate, Problem):
        problem = problem_or_simulate
        return lambda x: problem.simulate(x, random_state=rng)
    if callable(problem_or_simulate):
        return problem_or_simulate
    raise TypeError(
        "problem_or_simulate must be a Problem or a function of x, got "
        f"{problem_or_simulate!r} of type {type(problem_or_simulate).__name__}"
    )


def _simulated(simulate: Callable[[FloatArray], ArrayLike], x: FloatArray, columns: int) -> FloatArray:
    result = np.asarray(simulate(x), dtype=np.float64)
    if result.ndim == 1 and columns == 1:
        result = result[:, np.newaxis]
    if result.shape != (len(x), columns):
        raise ValueError(
            f"problem_or_simulate must return shape ({len(x)}, {columns}), a row for each sample and a "
            f"column for each column of y, got shape {result.shape}"
        )
    if bad := int(np.sum(~np.isfinite(result).all(axis=1))):
        raise ValueError(
            "problem_or_simulate must return finite numbers, got NaN or infinity for "
            f"{bad} of {len(x)} samples"
        )
    return result
