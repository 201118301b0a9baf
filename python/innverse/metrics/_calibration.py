"""Whether credible intervals of single parameters hold the truth as often as they should."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .._validation import FloatArray, as_table
from ..problems._base import RandomStateLike
from ._checks import as_levels
from ._draws import DRAWS, HasPosterior, posterior_parts
from ._ranks import intervals, joined

# Confidences looked at by default.
_CONFIDENCES = 100


@dataclass(frozen=True, eq=False)
class CalibrationError:
    """How often the truth lies within credible intervals, against how often it should.

    Attributes
    ----------
    confidences : ndarray of shape (k,)
        Probabilities q of the credible intervals.
    inliers : ndarray of shape (k, dx)
        Share of the observations whose true parameter lies within its central interval of probability q.
    rows : int or None
        Number of observations, which says what chance alone does; None where it is not known.
    """

    confidences: FloatArray
    inliers: FloatArray
    rows: int | None = None

    @property
    def errors(self) -> FloatArray:
        """Inliers less confidence, (k, dx): negative where intervals are too narrow."""
        return self.inliers - self.confidences[:, np.newaxis]

    @property
    def median(self) -> FloatArray:
        """Median of the absolute errors over the confidences, for each parameter: (dx,)."""
        return np.asarray(np.median(np.abs(self.errors), axis=0))

    @property
    def overall(self) -> float:
        """Median of the absolute errors over confidences and parameters."""
        return float(np.median(np.abs(self.errors)))


def calibration_error(
    model_or_samples: HasPosterior | ArrayLike,
    x: ArrayLike,
    y: ArrayLike | None = None,
    confidences: int | ArrayLike = _CONFIDENCES,
    n: int = DRAWS,
    random_state: RandomStateLike = None,
) -> CalibrationError:
    """Compare how often the truth lies within credible intervals with how often it should.

    The central interval of probability q runs from quantile ``(1 - q) / 2`` to ``(1 + q) / 2`` of the
    posterior of one parameter. Over many pairs drawn from prior and simulator, the share of true parameters
    inside is q if the posterior is right; the calibration error is the share less q. It can be small for
    a posterior that says little: the prior itself is calibrated.

    Quantiles of n draws are known to 1/n only, so they are not estimated. Instead the truth is ranked
    among the draws. With r draws below it, its own quantile lies between ``r / (n + 1)`` and
    ``(r + 1) / (n + 1)``, and each of these n + 1 intervals is equally likely where the posterior is right.
    An observation counts as inside by the share of its interval that ``[(1 - q) / 2, (1 + q) / 2]`` covers;
    draws equal to the truth widen its interval by ``1 / (n + 1)`` each. The expected error of a right
    posterior is then exactly 0 for any number of draws and for discrete parameters too.

    Parameters
    ----------
    model_or_samples : estimator or array-like of shape (m, n, dx)
        Something with a method `posterior`, or posterior samples for each of the m observations; (m, n) for
        one parameter.
    x : array-like of shape (m, dx)
        True parameters behind each observation. One dimension means one column.
    y : array-like of shape (m, dy), optional
        The observations; needed with a model, not used with samples.
    confidences : int or array-like of shape (k,), default=100
        Probabilities q between 0 and 1; an integer means so many, evenly spaced: 0.005, 0.015, ..., 0.995
        for 100.
    n : int, default=1000
        Draws for each observation from a model. A wrong posterior is told apart at confidences up to about
        ``1 - 2/n``, beyond which its intervals end among the outermost draws.
    random_state : int, RandomState, Generator or None, default=None
        Determines the draws from a model.

    Returns
    -------
    result : CalibrationError
        Confidences and inliers, with the median error of each parameter and over all. With m observations,
        chance alone makes errors of about ``sqrt(q (1 - q) / m)``.

    Raises
    ------
    ValueError, TypeError
        Where shapes do not fit together, numbers are not finite, or y is missing.

    References
    ----------
    L. Ardizzone et al., "Analyzing inverse problems with invertible neural networks", ICLR 2019.
    The treatment of ranks is that of S. Talts et al., "Validating Bayesian Inference Algorithms with
    Simulation-Based Calibration", 2018, arXiv:1804.06788.

    Examples
    --------
    >>> import numpy as np
    >>> from innverse.metrics import calibration_error
    >>> rng = np.random.default_rng(0)
    >>> truth, samples = rng.normal(size=(1000, 2)), rng.normal(size=(1000, 50, 2))
    >>> calibration_error(samples, truth).overall < 0.02
    True
    """
    truth = as_table(x, "x")
    levels = as_levels("confidences", confidences)
    parts = posterior_parts(model_or_samples, truth, y, n, random_state)
    low, high = joined(intervals(draws, truth[rows]) for rows, draws in parts)
    inliers = np.empty((len(levels), truth.shape[1]))
    for row, half in enumerate(levels / 2.0):
        covered = np.minimum(high, 0.5 + half) - np.maximum(low, 0.5 - half)
        inliers[row] = np.mean(np.maximum(covered, 0.0) / (high - low), axis=0)
    return CalibrationError(levels, inliers, len(truth))
