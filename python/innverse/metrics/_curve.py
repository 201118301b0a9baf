"""Coverage as a function of the nominal level, as several metrics return it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .._validation import FloatArray

# Levels looked at by default.
LEVELS = 100


@dataclass(frozen=True, eq=False)
class Coverage:
    """How often the truth lies within credible regions, against how often it should.

    Attributes
    ----------
    levels : ndarray of shape (k,)
        Probabilities q that the regions are meant to hold.
    coverage : ndarray of shape (k,)
        Share of the observations whose truth lies within its region of probability q.
    area : float
        Integral of coverage less level over all levels from 0 to 1, from ranks and not from `levels`. From
        `tarp`, errors below the level 1/2 count with the opposite sign. Expected to be 0 for a right
        posterior, below where it is too narrow, above where it is too wide.
    rows : int or None
        Number of observations, which says what chance alone does; None where it is not known.
    """

    levels: FloatArray
    coverage: FloatArray
    area: float
    rows: int | None = None

    @property
    def errors(self) -> FloatArray:
        """Coverage less level, (k,)."""
        return self.coverage - self.levels

    @property
    def largest(self) -> float:
        """Largest absolute error over the levels."""
        return float(np.max(np.abs(self.errors)))


def coverage_at(levels: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """Return the share of observations covered at each level.

    Parameters
    ----------
    levels : ndarray of shape (k,)
        Probabilities.
    low, high : ndarray of shape (m,)
        Ends of the levels at which the truth of an observation may enter its region, all between them
        equally likely: the observation counts by the share of them that has been reached.

    Returns
    -------
    coverage : ndarray of shape (k,)
    """
    # Level by level: memory does not grow with their number.
    return np.array([np.mean(np.clip((q - low) / (high - low), 0.0, 1.0)) for q in levels])
