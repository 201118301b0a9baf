"""Simulation-based calibration."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._validation import as_table
from ..problems._base import RandomStateLike, as_generator
from ._draws import DRAWS, HasPosterior, posterior_parts
from ._ranks import joined, ranks


def sbc_ranks(
    model_or_samples: HasPosterior | ArrayLike,
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    n: int = DRAWS,
    random_state: RandomStateLike = None,
) -> NDArray[np.int64]:
    """Rank each true parameter among its posterior draws: simulation-based calibration.

    Over many pairs drawn from prior and simulator, the number of draws below the truth is uniform on the
    integers 0 to n if the posterior is right. Look at a histogram for each parameter: a valley says that the
    posterior is too narrow, a hill that it is too wide, a slope that it is shifted. Draws equal to the truth
    are put below or above it at random, which keeps the ranks uniform for discrete parameters.

    Parameters
    ----------
    model_or_samples : estimator or array-like of shape (m, n, dx)
        Something with a method `posterior`, or posterior samples for each of the m observations; (m, n) for
        one parameter. Samples must be independent: thin those of a Markov chain before.
    x : array-like of shape (m, dx)
        True parameters behind each observation. One dimension means one column.
    y : array-like of shape (m, dy), optional
        The observations; needed with a model, not used with samples.
    n : int, default=1000
        Draws for each observation from a model. For a histogram of b equal bins take n so that b divides
        n + 1.
    random_state : int, RandomState, Generator or None, default=None
        Determines the draws from a model, and the order among equals.

    Returns
    -------
    ranks : ndarray of int of shape (m, dx)
        Draws below the truth, 0 to n.

    Raises
    ------
    ValueError, TypeError
        Where shapes do not fit together, numbers are not finite, or y is missing.

    References
    ----------
    S. Talts et al., "Validating Bayesian Inference Algorithms with Simulation-Based Calibration", 2018,
    arXiv:1804.06788.

    Examples
    --------
    >>> from innverse.metrics import sbc_ranks
    >>> sbc_ranks([[0.0, 1.0, 2.0], [3.0, 5.0, 4.0]], x=[0.5, 6.0])
    array([[1],
           [3]])
    """
    truth = as_table(x, "x")
    rng = as_generator(random_state)
    parts = posterior_parts(model_or_samples, truth, y, n, rng)
    below, not_above = joined(ranks(draws, truth[rows]) for rows, draws in parts)
    return rng.integers(below, not_above, endpoint=True)
