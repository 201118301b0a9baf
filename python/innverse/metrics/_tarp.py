"""Tests of accuracy with random points."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from .._validation import FloatArray, as_table, column_scales
from ..problems._base import RandomStateLike, as_generator
from ._checks import as_levels
from ._curve import LEVELS, Coverage, coverage_at
from ._draws import DRAWS, HasPosterior, posterior_parts
from ._ranks import intervals, joined

_RANDOM = "random"
# Rows below which a box around the truths is a point.
_FEWEST_ROWS = 2


def tarp(
    model_or_samples: HasPosterior | ArrayLike,
    x: ArrayLike,
    y: ArrayLike | None = None,
    *,
    references: str | ArrayLike = _RANDOM,
    n: int = DRAWS,
    levels: int | ArrayLike = LEVELS,
    random_state: RandomStateLike = None,
) -> Coverage:
    """Compare how often the truth lies within balls around random points with how often it should.

    Around a reference point, the region of level q is the ball that holds probability q of the posterior.
    Over many pairs drawn from prior and simulator, the share of truths inside is q if the posterior is right,
    wherever the points are, as long as they are chosen without the truth. No density is needed, and the
    parameters are judged together. Only the right posterior has a right share for every choice of points that
    may depend on y; points that do not, as the random ones, cannot tell it from the prior.

    Distances are Euclidean with each column divided by the standard deviation of the truths. Ranks of the
    truth are treated as in `calibration_error`, so that the expected error of a right posterior is 0 for any
    number of draws. That the truths themselves set this scale, and the box of the random points, adds about
    ``dx / (5 m)`` to it, which is small beside the errors of chance.

    The curve of a posterior that is too narrow lies above the diagonal at low levels and below it at high
    ones, as truths are nearer or farther than the draws too often; one too wide does the opposite. A shift
    away from or towards the points bends the curve to one side.

    Parameters
    ----------
    model_or_samples : estimator or array-like of shape (m, n, dx)
        Something with a method `posterior`, or posterior samples for each of the m observations; (m, n) for
        one parameter.
    x : array-like of shape (m, dx)
        True parameters behind each observation. One dimension means one column.
    y : array-like of shape (m, dy), optional
        The observations; needed with a model, not used with samples.
    references : "random" or array-like of shape (m, dx), default="random"
        A point for each observation. "random" draws them uniformly from the smallest box that holds the
        truths.
    n : int, default=1000
        Draws for each observation from a model.
    levels : int or array-like of shape (k,), default=100
        Probabilities q between 0 and 1; an integer means so many, evenly spaced: 0.005, 0.015, ..., 0.995
        for 100.
    random_state : int, RandomState, Generator or None, default=None
        Determines random points and the draws from a model.

    Returns
    -------
    result : Coverage
        Levels and coverage, with its errors. The area is ``1/4 - E|f - 1/2|`` with f the share of draws
        nearer to the point than the truth: from -1/4, the truth always nearest or farthest, to 1/4, always in
        the middle. With m observations, chance alone makes errors of about ``sqrt(q (1 - q) / m)``.

    Raises
    ------
    ValueError, TypeError
        Where shapes do not fit together, numbers are not finite, y is missing, or a single truth leaves no
        box for random points.

    References
    ----------
    P. Lemos et al., "Sampling-Based Accuracy Testing of Posterior Estimators for General Inference", ICML
    2023, arXiv:2302.03026.

    Examples
    --------
    >>> import numpy as np
    >>> from innverse.metrics import tarp
    >>> rng = np.random.default_rng(0)
    >>> truth, samples = rng.normal(size=(1000, 2)), rng.normal(size=(1000, 50, 2))
    >>> tarp(samples, truth, random_state=0).largest < 0.05
    True
    >>> tarp(samples / 2, truth, random_state=0).area < -0.05
    True
    """
    truth = as_table(x, "x")
    probabilities = as_levels("levels", levels)
    rng = as_generator(random_state)
    points = _reference_points(references, truth, rng)
    scales = column_scales(truth)
    parts = posterior_parts(model_or_samples, truth, y, n, rng)
    low, high = joined(
        intervals(
            _square_distances(draws, points[rows], scales),
            _square_distances(truth[rows, np.newaxis], points[rows], scales)[:, 0],
        )
        for rows, draws in parts
    )
    return Coverage(probabilities, coverage_at(probabilities, low, high), _area(low, high), len(truth))


def _reference_points(references: str | ArrayLike, truth: FloatArray, rng: np.random.Generator) -> FloatArray:
    if isinstance(references, str):
        if references != _RANDOM:
            raise ValueError(f'references must be "{_RANDOM}" or points of shape (m, dx), got {references!r}')
        if len(truth) < _FEWEST_ROWS:
            raise ValueError(
                f'x must have at least {_FEWEST_ROWS} rows where references="{_RANDOM}", got {len(truth)}'
            )
        return rng.uniform(truth.min(axis=0), truth.max(axis=0), size=truth.shape)
    points = as_table(references, "references")
    if points.shape != truth.shape:
        raise ValueError(f"references must have the shape of x, {truth.shape}, got shape {points.shape}")
    return points


def _square_distances(draws: FloatArray, points: FloatArray, scales: FloatArray) -> FloatArray:
    """Squared distances of draws, (k, n, dx), from the point of their observation: (k, n)."""
    squares = np.zeros(draws.shape[:2])
    # Column by column: a truth and a draw that are equal are rounded alike.
    for column, scale in enumerate(scales):
        squares += ((draws[:, :, column] - points[:, column, np.newaxis]) / scale) ** 2
    return squares


def _area(low: FloatArray, high: FloatArray) -> float:
    """Return 1/4 less the mean distance from 1/2 of a number that is uniform between low and high."""
    left, right = low - 0.5, high - 0.5
    distances = (right * np.abs(right) - left * np.abs(left)) / (2.0 * (right - left))
    return 0.25 - float(np.mean(distances))
