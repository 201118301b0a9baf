"""Distance between two samples without a classifier or a density: maximum mean discrepancy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from .._validation import FloatArray, as_table
from ._checks import check_same_columns, floats

# Widths of the kernels: those with which the toy of Ardizzone et al. 2019 is trained.
_KERNEL_WIDTHS = (0.05, 0.2, 0.9)
# Entries of a matrix of distances held at once: 8 MB.
_BLOCK_ENTRIES = 1_000_000


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
    check_same_columns(x_table, y_table)
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


def _positive_numbers(name: str, value: float | Sequence[float]) -> FloatArray:
    numbers = np.atleast_1d(floats(name, value))
    if numbers.ndim != 1 or not np.all(numbers > 0.0):
        raise ValueError(f"{name} must be positive numbers, got {value!r}")
    return numbers
