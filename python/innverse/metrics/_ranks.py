"""Where the truth stands among draws, so that a right posterior has no error for any number of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .._validation import FloatArray

_Array = TypeVar("_Array", FloatArray, NDArray[np.int64])


def ranks(draws: FloatArray, truth: FloatArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Count the draws below the truth, and those not above it; they differ where draws equal the truth.

    Parameters
    ----------
    draws : ndarray of shape (k, n, ...)
        n draws for each truth.
    truth : ndarray of shape (k, ...)
        What they are compared with.

    Returns
    -------
    below, not_above : ndarray of shape (k, ...)
        Counts between 0 and n.
    """
    own = truth[:, np.newaxis]
    return np.sum(draws < own, axis=1), np.sum(draws <= own, axis=1)


def intervals(draws: FloatArray, truth: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the lower and upper end of the quantiles that the truth may have among the draws.

    With n draws there are n + 1 gaps, and where truth and draws have one distribution it is equally likely
    in each. Equal draws widen the interval by one gap each.

    Parameters
    ----------
    draws : ndarray of shape (k, n, ...)
        n draws for each truth.
    truth : ndarray of shape (k, ...)
        What they are compared with.

    Returns
    -------
    low, high : ndarray of shape (k, ...)
        Between 0 and 1, high above low.
    """
    below, not_above = ranks(draws, truth)
    gaps = draws.shape[1] + 1.0
    return below / gaps, (not_above + 1.0) / gaps


def joined(parts: Iterable[tuple[_Array, _Array]]) -> tuple[_Array, _Array]:
    """Put together what was found for some observations at a time."""
    first, second = zip(*parts, strict=True)
    return np.concatenate(first), np.concatenate(second)
