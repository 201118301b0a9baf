"""Independent draws from a density on a stack of unit squares, by rejection from an adaptive envelope."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ._base import FloatArray

IntArray: TypeAlias = NDArray[np.intp]
# Log density of points, given the sheet that each lies on and its two coordinates in [0, 1].
LogDensity: TypeAlias = Callable[[IntArray, FloatArray, FloatArray], FloatArray]

# Below this, a log density is rounded by 1e-7 and more, and no longer tells points apart.
_LEAST_LOG_DENSITY = -1e9
# Every sheet starts as this many cells along each side.
_COARSE_CELLS = 8
# A cell is cut in four while it holds more than this share of the envelope, ...
_LARGEST_SHARE = 3e-4
# ... at most this often: the smallest cells are 1e-8 wide then.
_MAX_CUTS = 23
# Where the density is looked at along each side of a cell, in widths of the cell: not quite to the edges,
# as a density may be infinite on the edges of a sheet.
_PROBES_ALONG = (0.01, 0.5, 0.99)
_PROBES = np.stack(np.meshgrid(_PROBES_ALONG, _PROBES_ALONG), axis=-1).reshape(-1, 2)
# The log of the envelope of a cell is the largest log density seen in it, plus this, plus this share of its
# spread there, up to a limit: where the density is steep, more may hide between the probes. With these,
# rejection for the problems of this package never saw a density above its envelope in 200,000 proposals.
_HEADROOM = 0.1
_SPREAD_SHARE = 0.25
_MAX_SPREAD = 2.0
# Proposals are drawn in rounds of at least this many.
_MIN_ROUND = 1_000


@dataclass(frozen=True)
class SheetDraws:
    """Draws from a density on sheets.

    Attributes
    ----------
    sheet : ndarray of shape (n,)
        Which sheet each draw lies on.
    u, v : ndarray of shape (n,)
        Where it lies on that sheet, in [0, 1].
    log_total : float
        Natural log of the integral of the density over all sheets, to about a percent.
    """

    sheet: IntArray
    u: FloatArray
    v: FloatArray
    log_total: float


def draw_from_sheets(
    log_density: LogDensity, n_sheets: int, n: int, rng: np.random.Generator
) -> SheetDraws | None:
    """Draw independent points from an unnormalised density on several unit squares.

    Squares are cut into cells, finely where the density is large or changes. In each cell the density
    is bounded by a constant, somewhat more than the largest of nine values in it; a point drawn below that
    envelope is accepted with the ratio of density and envelope. That is exact wherever the envelope
    bounds the density. Should it fail to between the nine points, the part above it is cut off.

    Parameters
    ----------
    log_density : callable
        Takes sheet, u and v, arrays of shape (k,), and returns (k,) natural logs. Features of the density
        must be wider than 1/8 of a side, or show by slopes that far away.
    n_sheets : int
        Number of squares.
    n : int
        Number of draws.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    draws : SheetDraws or None
        None where the density is so small everywhere that its log is no longer accurate.
    """
    cells = _Cells.coarse(log_density, n_sheets)
    for _ in range(_MAX_CUTS):
        if not cells.log_envelope.max() > _LEAST_LOG_DENSITY:
            return None
        heavy = cells.shares() > _LARGEST_SHARE
        if not heavy.any():
            break
        cells = cells.cut(log_density, heavy)
    return _accepted(log_density, cells, n, rng)


@dataclass(frozen=True)
class _Cells:
    """Squares on sheets: which sheet, the lower corner, the width, and the density in it.

    ``log_envelope`` is the log of what bounds the density, ``log_mean`` that of its rough mean.
    """

    sheet: IntArray
    corner: FloatArray
    width: FloatArray
    log_envelope: FloatArray
    log_mean: FloatArray

    @classmethod
    def at(cls, log_density: LogDensity, sheet: IntArray, corner: FloatArray, width: FloatArray) -> _Cells:
        """Look at the density in these cells."""
        points = corner[:, np.newaxis, :] + _PROBES * width[:, np.newaxis, np.newaxis]
        u, v = points.reshape(-1, 2).T
        with np.errstate(over="ignore"):  # the square of a huge number: a density of 0
            values = log_density(np.repeat(sheet, len(_PROBES)), u, v).reshape(len(sheet), len(_PROBES))
        values = np.maximum(values, np.finfo(np.float64).min)
        largest = values.max(axis=1)
        spread = np.minimum(_SPREAD_SHARE * (largest - values.min(axis=1)), _MAX_SPREAD)
        log_mean = np.logaddexp.reduce(values, axis=1) - np.log(len(_PROBES))
        return cls(sheet, corner, width, largest + _HEADROOM + spread, log_mean)

    @classmethod
    def coarse(cls, log_density: LogDensity, n_sheets: int) -> _Cells:
        """Cut every sheet into equal cells."""
        side = np.arange(_COARSE_CELLS) / _COARSE_CELLS
        corner = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
        sheet = np.repeat(np.arange(n_sheets), len(corner))
        width = np.full(len(sheet), 1.0 / _COARSE_CELLS)
        return cls.at(log_density, sheet, np.tile(corner, (n_sheets, 1)), width)

    def cut(self, log_density: LogDensity, which: NDArray[np.bool_]) -> _Cells:
        """Cut the chosen cells in four."""
        half = self.width[which] / 2
        steps = np.array([(0, 0), (0, 1), (1, 0), (1, 1)])
        corner = self.corner[which][:, np.newaxis, :] + steps * half[:, np.newaxis, np.newaxis]
        new = _Cells.at(
            log_density, np.repeat(self.sheet[which], 4), corner.reshape(-1, 2), np.repeat(half, 4)
        )
        kept = ~which
        return _Cells(
            np.concatenate([self.sheet[kept], new.sheet]),
            np.concatenate([self.corner[kept], new.corner]),
            np.concatenate([self.width[kept], new.width]),
            np.concatenate([self.log_envelope[kept], new.log_envelope]),
            np.concatenate([self.log_mean[kept], new.log_mean]),
        )

    def shares(self) -> FloatArray:
        """Share of the envelope's integral that each cell holds."""
        log_mass = self.log_envelope + 2.0 * np.log(self.width)
        mass = np.exp(log_mass - log_mass.max())
        return np.asarray(mass / mass.sum())

    def log_total(self) -> float:
        """Log of the density's integral."""
        return float(np.logaddexp.reduce(self.log_mean + 2.0 * np.log(self.width)))


def _accepted(log_density: LogDensity, cells: _Cells, n: int, rng: np.random.Generator) -> SheetDraws:
    below = np.cumsum(cells.shares())
    sheets, points, found = [], [], 0
    while found < n:
        size = max(2 * (n - found), _MIN_ROUND)
        # Rounding may leave the last sum below 1.
        cell = np.searchsorted(below, below[-1] * rng.random(size), side="right")
        point = cells.corner[cell] + cells.width[cell, np.newaxis] * rng.random((size, 2))
        log_ratio = log_density(cells.sheet[cell], *point.T) - cells.log_envelope[cell]
        good = np.log1p(-rng.random(size)) < log_ratio
        sheets.append(cells.sheet[cell[good]])
        points.append(point[good])
        found += int(good.sum())
    u, v = np.concatenate(points)[:n].T
    return SheetDraws(np.concatenate(sheets)[:n], u, v, cells.log_total())
