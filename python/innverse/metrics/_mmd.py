"""Distance between two samples without a classifier or a density: maximum mean discrepancy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, overload

import joblib
import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from .._validation import FloatArray, as_table
from ._checks import check_same_columns, floats

Gradient: TypeAlias = NDArray[np.floating[Any]]

# Widths of the kernels: those with which the toy of Ardizzone et al. 2019 is trained.
_KERNEL_WIDTHS = (0.05, 0.2, 0.9)


@overload
def mmd(
    x: ArrayLike,
    y: ArrayLike,
    kernels: float | Sequence[float] = ...,
    *,
    return_gradient: Literal[False] = ...,
    n_jobs: int | None = ...,
) -> float: ...
@overload
def mmd(
    x: ArrayLike,
    y: ArrayLike,
    kernels: float | Sequence[float] = ...,
    *,
    return_gradient: Literal[True],
    n_jobs: int | None = ...,
) -> tuple[float, Gradient]: ...
def mmd(
    x: ArrayLike,
    y: ArrayLike,
    kernels: float | Sequence[float] = _KERNEL_WIDTHS,
    *,
    return_gradient: bool = False,
    n_jobs: int | None = -1,
) -> float | tuple[float, Gradient]:
    """Squared maximum mean discrepancy between two samples.

    The biased estimate with inverse multiquadratic kernels, summed over widths h::

        mmd^2  =  mean k(x_i, x_j) + mean k(y_i, y_j) - 2 mean k(x_i, y_j)
        k(a, b)  =  sum over h of  h^2 / (h^2 + |a - b|^2)

    where the means run over all pairs, a point with itself included. It is 0 for identical samples only, up
    to rounding. Two samples of one distribution, of sizes n and m, do not reach 0: they are expected to give
    ``(1/n + 1/m) (number of widths - E k(a, b))``. Compare with a second sample of the truth.

    Time grows with the number of pairs, memory with the number of points.

    Distances are taken as they are: bring columns of different units to one scale before.

    Parameters
    ----------
    x : array-like of shape (n, d)
        The first sample; one dimension means one column.
    y : array-like of shape (m, d)
        The second sample.
    kernels : float or sequence of float, default=(0.05, 0.2, 0.9)
        Widths h of the kernels, in the units of x and y.
    return_gradient : bool, default=False
        Whether to return the gradient, too.
    n_jobs : int or None, default=-1
        Threads; -1 means all cores and None means 1, as in scikit-learn. The result does not depend on it.

    Returns
    -------
    mmd2 : float
        The squared discrepancy, at least 0 and less than twice the number of widths.
    gradient : ndarray of shape (n, d)
        Its derivatives with respect to x, where asked for. Two samples in single precision are compared in
        single precision, which is more than twice as fast and has errors of about 1e-6, and in the gradient
        1e-4 of its largest element; all others in double.

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
    squares = list(_positive_numbers("kernels", kernels) ** 2)
    threads = int(joblib.effective_n_jobs(n_jobs))
    value: float
    gradient: Gradient | None
    if all(getattr(table, "dtype", None) == np.float32 for table in (x, y)):
        single = x_table.astype(np.float32), y_table.astype(np.float32)
        value, gradient = _core.mmd_single(*single, squares, return_gradient, threads)
    else:
        value, gradient = _core.mmd_double(x_table, y_table, squares, return_gradient, threads)
    value = max(value, 0.0)
    return value if gradient is None else (value, gradient)


def _positive_numbers(name: str, value: float | Sequence[float]) -> FloatArray:
    numbers = np.atleast_1d(floats(name, value))
    if numbers.ndim != 1 or not np.all(numbers > 0.0):
        raise ValueError(f"{name} must be positive numbers, got {value!r}")
    return numbers
