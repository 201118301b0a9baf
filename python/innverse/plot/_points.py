"""Clouds of 2-D points, coloured by group: checks, drawing, limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._style import MARKERS, PALETTE, POINT_SIZE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FloatArray: TypeAlias = NDArray[np.float64]
Limits: TypeAlias = tuple[tuple[float, float], tuple[float, float]]

# Room around the points, as a share of their extent.
_MARGIN = 0.1


def as_points(name: str, value: ArrayLike) -> FloatArray:
    """Return points, (n, 2), with at least one."""
    points = np.asarray(value, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
        raise ValueError(f"{name} must have shape (n, 2) with n at least 1, got {points.shape}")
    return points


def as_groups(name: str, value: ArrayLike | None, count: int) -> NDArray[np.intp]:
    """Return a group for each of so many points; None puts all in group 0."""
    if value is None:
        return np.zeros(count, dtype=np.intp)
    groups = np.asarray(value)
    if groups.shape != (count,):
        raise ValueError(f"{name} must have shape ({count},), got {groups.shape}")
    if groups.dtype.kind not in "biu":
        raise TypeError(f"{name} must be integers, got an array of type {groups.dtype}")
    most = len(PALETTE) * len(MARKERS) - 1
    if groups.min() < 0 or groups.max() > most:
        raise ValueError(f"{name} must lie between 0 and {most}, got {groups.min()} to {groups.max()}")
    return groups.astype(np.intp)


def scatter(ax: Axes, points: FloatArray, group: NDArray[np.intp]) -> list[tuple[Any, NDArray[np.intp]]]:
    """Draw points by group; return each collection with the rows of points that it holds."""
    drawn = []
    for number in np.unique(group):
        rows = np.flatnonzero(group == number)
        collection = ax.scatter(
            points[rows, 0],
            points[rows, 1],
            s=POINT_SIZE,
            color=PALETTE[number % len(PALETTE)],
            marker=MARKERS[number // len(PALETTE)],
            linewidths=0,
            # Thousands of points would make a vector file slow to open and print.
            rasterized=True,
        )
        drawn.append((collection, rows))
    return drawn


def limits_of(clouds: Sequence[FloatArray]) -> Limits:
    """Return limits of x and y that hold all finite points, with some room."""
    points = np.concatenate(clouds)
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) == 0:
        return (0.0, 1.0), (0.0, 1.0)
    low, high = points.min(axis=0), points.max(axis=0)
    # A column without extent still needs a scale.
    margin = np.where(high > low, _MARGIN * (high - low), 0.5)
    (x0, y0), (x1, y1) = low - margin, high + margin
    return (float(x0), float(x1)), (float(y0), float(y1))


def frame(ax: Axes, limits: Limits, names: Sequence[str], title: str) -> None:
    """Set limits, names of the axes and title."""
    ax.set_xlim(limits[0])
    ax.set_ylim(limits[1])
    ax.set_xlabel(names[0])
    ax.set_ylabel(names[1])
    ax.set_title(title, fontsize="medium")


def note_outside(ax: Axes, points: FloatArray, limits: Limits) -> None:
    """Write how many points the limits leave out, if any."""
    low, high = np.array(limits).T
    outside = int(np.sum(~((points >= low) & (points <= high)).all(axis=1)))
    if outside:
        note = f"{outside} of {len(points)} outside"
        ax.text(0.98, 0.02, note, transform=ax.transAxes, ha="right", fontsize="x-small")
