"""Checks of arguments that several metrics share."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._validation import FloatArray
from ..problems._base import check_count


def as_levels(name: str, value: int | ArrayLike) -> FloatArray:
    """Return probabilities between 0 and 1; an integer means so many, evenly spaced."""
    if isinstance(value, Integral) and not isinstance(value, bool):
        count = check_count(name, value)
        return (np.arange(count) + 0.5) / count
    levels = floats(name, value)
    if levels.ndim != 1 or levels.size == 0:
        raise ValueError(f"{name} must be an integer or a list of probabilities, got shape {levels.shape}")
    if not np.all((levels > 0.0) & (levels < 1.0)):
        raise ValueError(
            f"{name} must lie between 0 and 1, got values from {levels.min():g} to {levels.max():g}"
        )
    return levels


def as_samples(name: str, value: ArrayLike, m: int | None = None) -> FloatArray:
    """Return samples with the axis of columns added where there is only one.

    With m, the number of observations, the result has three axes, else two or three.
    """
    samples = floats(name, value)
    if samples.ndim == 1 or (m is not None and samples.ndim == 2):
        samples = samples[..., np.newaxis]
    if samples.ndim not in ((2, 3) if m is None else (3,)):
        needed = "(n, dx) or (m, n, dx)" if m is None else f"(m, n, dx) with m = {m} as in x"
        raise ValueError(f"{name} must have shape {needed}, got shape {np.shape(value)}")
    return samples


def check_same_columns(x: FloatArray, y: FloatArray) -> None:
    """Raise where x and y are not of one space."""
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"y must have as many columns as x, got {y.shape[1]} columns of y and {x.shape[1]} of x"
        )


def floats(name: str, value: Any) -> FloatArray:
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
