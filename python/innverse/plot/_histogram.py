"""Histograms of one parameter: where they end, how fine they are, how high."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from .._validation import FloatArray

# What lies farther outside this central share of the samples than half its width is left out of a picture:
# 4.7 standard deviations of a normal distribution, so that a few wild samples do not hide the others.
_CENTRAL = (0.01, 0.99)
# Room at each side, as a share of the width.
_MARGIN = 0.03


def extent(values: FloatArray) -> tuple[float, float]:
    """Return the smallest and the largest of values, (n,), that are no outliers."""
    low, high = np.quantile(values, _CENTRAL)
    room = (high - low) / 2.0
    inside = values[(values >= low - room) & (values <= high + room)]
    return float(inside.min()), float(inside.max())


def shared_limits(samples: Iterable[FloatArray], truth: float | None = None) -> tuple[float, float]:
    """Return limits that hold the extents of all samples and the truth, with some room."""
    ends = [end for values in samples for end in extent(values)]
    if truth is not None:
        ends.append(truth)
    low, high = min(ends), max(ends)
    width = high - low
    # Without extent there is no scale but the value itself.
    margin = _MARGIN * width if width > 0 else abs(low) / 2.0 or 0.5
    return low - margin, high + margin


def bin_edges(values: FloatArray, bins: int | None) -> FloatArray:
    """Return edges of equal bins over the extent of values, (n,).

    None is Rice's rule, twice the cube root of n: it does not widen the bins where modes lie far apart, as
    rules do that look at the spread.
    """
    low, high = extent(values)
    if low == high:
        low, high = shared_limits([values])
    count = int(np.ceil(2.0 * len(values) ** (1.0 / 3.0))) if bins is None else bins
    return np.linspace(low, high, count + 1)


def heights(values: FloatArray, edges: FloatArray) -> FloatArray:
    """Return the density of values, (n,), in each bin; values outside count in n."""
    counts, _ = np.histogram(values, edges)
    return np.asarray(counts / (len(values) * np.diff(edges)))
