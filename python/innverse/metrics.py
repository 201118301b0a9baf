"""How good posterior samples are, whatever made them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._validation import as_table, check_same_rows
from .problems import Problem
from .problems._base import RandomStateLike, as_generator, check_count

__all__ = ["CalibrationError", "calibration_error", "mmd", "resimulation_error"]

FloatArray: TypeAlias = NDArray[np.float64]

# Widths of the kernels of `mmd`: those with which the toy of Ardizzone et al. 2019 is trained.
_KERNEL_WIDTHS = (0.05, 0.2, 0.9)
# Entries of a matrix of distances held at once: 8 MB.
_BLOCK_ENTRIES = 1_000_000
# Rows that a simulator or a model is asked for at once.
_ROWS_AT_ONCE = 200_000
# Confidences that the calibration error looks at, and draws per observation, by default.
_CONFIDENCES = 100
_CALIBRATION_DRAWS = 1000
# Seeds handed to models are below this.
_SEED_BOUND = 2**31


class HasPosterior(Protocol):
    """An estimator that draws from a posterior."""

    def posterior(self, y: Any, n: int = ..., random_state: Any = ...) -> Any:
        """Draw parameters for each observation."""


def mmd(x: ArrayLike, y: ArrayLike, kernels: float | Sequence[float] = _KERNEL_WIDTHS) -> float:
    """Squared maximum mean discrepancy between two samples.

    The biased estimate with inverse multiquadratic kernels, summed over widths h::

        mmd^2  =  mean k(x_i, x_j) + mean k(y_i, y_j) - 2 mean k(x_i, y_j)
        k(a, b)  =  sum over h of  h^2 / (h^2 + |a - b|^2)

    where the means run over all pairs, a point with itself included. It is 0 for identical samples only, up
    to rounding. Two samples of one distribution, of sizes n and m, do not reach 0: they are expected to give
    ``(1/n + 1/m) (number of widths - E k(a, b))``. Compare with a second sample of the truth.

    Distances are taken as they are: bring columns of different units to one scale before.

    Parameters
    ----------
    x : array-like of shape (n, d)
        The first sample; one dimension means one column.
    y : array-like of shape (m, d)
        The second sample.
    kernels : float or sequence of float, default=(0.05, 0.2, 0.9)
        Widths h of the kernels, in the units of x and y.

    Returns
    -------
    mmd2 : float
        The squared discrepancy, at least 0 and less than twice the number of widths.

    Raises
    ------
    ValueError, TypeError
        Where the samples are no tables of finite numbers with the same columns, or a width is not positive.

    References
    ----------
    A. Gretton et al., "A Kernel Two-Sample Test", JMLR 13, 723 (2012), equation 5.

    Examples
    --------
    >>> from innverse.metrics import mmd
    >>> round(mmd([0.0], [1.0], kernels=1.0), 3)
    1.0
    """
    x_table, y_table = as_table(x, "x"), as_table(y, "y")
    if x_table.shape[1] != y_table.shape[1]:
        raise ValueError(
            f"y must have as many columns as x, got {y_table.shape[1]} columns of y and "
            f"{x_table.shape[1]} of x"
        )
    squares = _positive_numbers("kernels", kernels) ** 2
    within = _mean_kernel(x_table, x_table, squares) + _mean_kernel(y_table, y_table, squares)
    return max(within - 2.0 * _mean_kernel(x_table, y_table, squares), 0.0)


def _mean_kernel(x: FloatArray, y: FloatArray, squares: FloatArray) -> float:
    """Mean of the kernel over all pairs of rows, block by block."""
    rows = max(_BLOCK_ENTRIES // len(y), 1)
    total = 0.0
    for start in range(0, len(x), rows):
        block = x[start : start + rows]
        # Column by column: differences are exact, and nothing three-dimensional is made.
        distances = np.zeros((len(block), len(y)))
        for ours, theirs in zip(block.T, y.T, strict=True):
            distances += np.subtract.outer(ours, theirs) ** 2
        total += sum(float(np.sum(square / (square + distances))) for square in squares)
    return total / (len(x) * len(y))


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
    draws = _as_samples("samples", samples)
    observations = _floats("y", y)
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
    for start in range(0, m * n, _ROWS_AT_ONCE):
        rows = np.arange(start, min(start + _ROWS_AT_ONCE, m * n))
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


@dataclass(frozen=True, eq=False)
class CalibrationError:
    """How often the truth lies within credible intervals, against how often it should.

    Attributes
    ----------
    confidences : ndarray of shape (k,)
        Probabilities q of the credible intervals.
    inliers : ndarray of shape (k, dx)
        Share of the observations whose true parameter lies within its central interval of probability q.
    """

    confidences: FloatArray
    inliers: FloatArray

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
    n: int = _CALIBRATION_DRAWS,
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
    levels = _confidences(confidences)
    if hasattr(model_or_samples, "posterior"):
        low, high = _model_intervals(model_or_samples, truth, y, check_count("n", n), random_state)
    else:
        low, high = _intervals(_as_samples("model_or_samples", model_or_samples, m=len(truth)), truth)
    inliers = np.empty((len(levels), truth.shape[1]))
    for row, half in enumerate(levels / 2.0):
        covered = np.minimum(high, 0.5 + half) - np.maximum(low, 0.5 - half)
        inliers[row] = np.mean(np.maximum(covered, 0.0) / (high - low), axis=0)
    return CalibrationError(levels, inliers)


def _model_intervals(
    model: Any, truth: FloatArray, y: ArrayLike | None, n: int, random_state: RandomStateLike
) -> tuple[FloatArray, FloatArray]:
    """Quantiles that the truth may have among draws from a model, a few observations at a time."""
    if y is None:
        raise ValueError("y must hold the observations where model_or_samples is a model, got None")
    table = as_table(y, "y")
    check_same_rows(truth, table)
    rng = as_generator(random_state)
    rows = max(_ROWS_AT_ONCE // n, 1)
    parts = []
    for start in range(0, len(table), rows):
        some = slice(start, start + rows)
        draws = model.posterior(table[some], n=n, random_state=int(rng.integers(_SEED_BOUND)))
        # One observation of one column may come back as that of a single observation.
        draws = np.asarray(draws, dtype=np.float64).reshape(len(table[some]), n, -1)
        parts.append(_intervals(draws, truth[some]))
    lows, highs = zip(*parts, strict=True)
    return np.concatenate(lows), np.concatenate(highs)


def _intervals(samples: FloatArray, truth: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Lower and upper end of the quantiles that the truth may have among the samples: (m, dx) each."""
    if samples.shape[0] != len(truth) or samples.shape[2] != truth.shape[1]:
        raise ValueError(
            f"model_or_samples must give shape (m, n, dx) with m and dx as in x, got shape {samples.shape} "
            f"for x of shape {truth.shape}"
        )
    n = samples.shape[1]
    below = np.sum(samples < truth[:, np.newaxis, :], axis=1)
    not_above = np.sum(samples <= truth[:, np.newaxis, :], axis=1)
    return below / (n + 1.0), (not_above + 1.0) / (n + 1.0)


def _confidences(value: int | ArrayLike) -> FloatArray:
    if isinstance(value, Integral) and not isinstance(value, bool):
        count = check_count("confidences", value)
        return (np.arange(count) + 0.5) / count
    levels = _floats("confidences", value)
    if levels.ndim != 1 or levels.size == 0:
        raise ValueError(
            f"confidences must be an integer or a list of probabilities, got shape {levels.shape}"
        )
    if not np.all((levels > 0.0) & (levels < 1.0)):
        raise ValueError(
            f"confidences must lie between 0 and 1, got values from {levels.min():g} to {levels.max():g}"
        )
    return levels


def _as_samples(name: str, value: ArrayLike, m: int | None = None) -> FloatArray:
    """Return samples with the axis of columns added where there is only one.

    With m, the number of observations, the result has three axes, else two or three.
    """
    samples = _floats(name, value)
    if samples.ndim == 1 or (m is not None and samples.ndim == 2):
        samples = samples[..., np.newaxis]
    if samples.ndim not in ((2, 3) if m is None else (3,)):
        needed = "(n, dx) or (m, n, dx)" if m is None else f"(m, n, dx) with m = {m} as in x"
        raise ValueError(f"{name} must have shape {needed}, got shape {np.shape(value)}")
    return samples


def _positive_numbers(name: str, value: float | Sequence[float]) -> FloatArray:
    numbers = np.atleast_1d(_floats(name, value))
    if numbers.ndim != 1 or not np.all(numbers > 0.0):
        raise ValueError(f"{name} must be positive numbers, got {value!r}")
    return numbers


def _floats(name: str, value: Any) -> FloatArray:
    """Return finite numbers of any shape in float64."""
    try:
        array = np.asarray(value)
        if array.dtype.kind not in "biufO":
            raise TypeError(f"got an array of type {array.dtype}")
        array = array.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name} must hold real numbers: {error}") from error
    if array.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {array.shape}")
    if bad := int(np.sum(~np.isfinite(array))):
        raise ValueError(f"{name} must be finite, got NaN or infinity in {bad} of {array.size} entries")
    return array
