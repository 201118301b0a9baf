"""A planar arm on a rail of which only the position of the hand is seen."""

from __future__ import annotations

import numpy as np

from ._base import FloatArray, Problem
from ._sheets import IntArray, draw_from_sheets

# Standard deviation of the rail position, a length, and of the three joint angles, in radians.
_PRIOR_SCALES = (0.25, 0.5, 0.5, 0.5)
# Lengths of the three segments, from the rail to the hand. `_angles_on_sheet` relies on the first two being
# 1/2 and the third 1.
_LENGTHS = (0.5, 0.5, 1.0)
_REACH = sum(_LENGTHS)
# A sheet has three bits of signs of the angles and three of whether an angle is beyond half a turn.
_SHEETS = 2**6
# Keeps logs and roots of numbers in [0, 1] finite where these round to 0.
_TINY = np.finfo(np.float64).tiny
# Prior draws that rejection makes at a time: 32 MB.
_REJECTION_ROWS = 1_000_000


class InverseKinematics(Problem):
    """An arm with three joints on a rail, of which only the position of the hand is seen.

    How must the arm bend for the hand to be there? It starts at height x1 on a vertical rail, and its
    segments have lengths 1/2, 1/2 and 1. Each joint angle counts from the segment before it, the first from
    the horizontal, so that the segments point to ``a1 = x2``, ``a2 = x2 + x3`` and ``a3 = x2 + x3 + x4``.
    The hand is then at::

        y1 =      cos(a1) / 2 + cos(a2) / 2 + cos(a3)
        y2 = x1 + sin(a1) / 2 + sin(a2) / 2 + sin(a3)

    There is no noise. The prior is normal around the arm stretched out at height 0: standard deviation 1/4
    for x1 and 1/2 radian for each angle. Four parameters and two observations leave a surface of
    solutions, often in several pieces. Lengths have no unit.

    Attributes
    ----------
    lengths : ndarray of shape (3,)
        Lengths of the segments, from the rail to the hand.
    prior_scales : ndarray of shape (4,)
        Standard deviation of each parameter; the means are 0.

    Notes
    -----
    The reference posterior draws independently, by rejection from an adaptive envelope; every draw puts the
    hand at y up to rounding. It rests on two facts.

    First, given the angles, the equation of y2 gives x1, and the prior density of x1 becomes a factor.

    Second, with ``u = sin(a / 2)`` for the first two segments and ``u = sqrt(2) sin(a / 2)`` for the third,
    the equation of y1 says ``u1^2 + u2^2 + u3^2 = 2 - y1``: a sphere. The density on it is the prior density
    times the derivative of each angle by its u. Coordinates on the sphere are a3 and the polar angle phi
    of (u1, u2); given a3, ``u1^2 + u2^2 = r^2`` is a circle, and the area element is ``da3 dphi`` up to a
    constant. What is left of the derivatives, ``1 / (cos(a1/2) cos(a2/2))``, grows without bound only where
    phi ends because a segment points straight back; a change of variables takes that away.

    Segments turned by up to a whole turn either way are counted. What lies beyond has at most about a
    millionth of the posterior of any observation.

    Signs are those of the paper below. Ardizzone et al. 2019 write the same arm with other signs of the
    angles, which makes other posteriors: figures for the two cannot be compared.

    References
    ----------
    J. Kruse, L. Ardizzone, C. Rother, U. Koethe, "Benchmarking Invertible Architectures on Inverse
    Problems", 2021, arXiv:2101.10763.

    Examples
    --------
    >>> from innverse.problems import InverseKinematics
    >>> problem = InverseKinematics()
    >>> problem.simulate([[0.0, 0.0, 0.0, 0.0]])
    array([[2., 0.]])
    >>> problem.reference_posterior([1.5, 0.3], n=100, random_state=0).shape
    (100, 4)
    """

    dx = 4
    dy = 2
    x_names = ("rail position [-]", "joint 1 [rad]", "joint 2 [rad]", "joint 3 [rad]")
    y_names = ("hand, across [-]", "hand, up [-]")

    def __init__(self) -> None:
        self.lengths = np.array(_LENGTHS)
        self.prior_scales = np.array(_PRIOR_SCALES)
        self.lengths.flags.writeable = False
        self.prior_scales.flags.writeable = False

    def __repr__(self) -> str:
        return "InverseKinematics()"

    def _sample_prior(self, n: int, rng: np.random.Generator) -> FloatArray:
        return np.asarray(self.prior_scales * rng.standard_normal((n, self.dx)))

    def _simulate(self, x: FloatArray, rng: np.random.Generator) -> FloatArray:
        angles = np.cumsum(x[:, 1:], axis=1)
        across = np.cos(angles) @ self.lengths
        up = np.sin(angles) @ self.lengths
        return np.column_stack([across, x[:, 0] + up])

    def _posterior(self, y: FloatArray, n: int, rng: np.random.Generator) -> FloatArray:
        beyond = np.flatnonzero(np.abs(y[:, 0]) > _REACH)
        if beyond.size:
            raise ValueError(
                f"y must be within reach of the arm, its first column between -{_REACH:g} and {_REACH:g}, "
                f"got {y[beyond[0], 0]:g} in row {beyond[0]}"
            )
        return np.stack([self._posterior_of_one(row, y[row], n, rng) for row in range(len(y))])

    def _posterior_of_one(self, row: int, y: FloatArray, n: int, rng: np.random.Generator) -> FloatArray:
        def log_density(sheet: IntArray, u: FloatArray, v: FloatArray) -> FloatArray:
            angles, log_area = _angles_on_sheet(y[0], sheet, u, v)
            return self._log_prior(self._parameters(y[1], angles)) + log_area

        draws = draw_from_sheets(log_density, _SHEETS, n, rng)
        if draws is None:
            raise ValueError(
                f"y must be a position that the prior makes at all likely, got {y[1]:g} for the second "
                f"column of row {row}: the rail position would lie thousands of standard deviations out"
            )
        return self._parameters(y[1], _angles_on_sheet(y[0], draws.sheet, draws.u, draws.v)[0])

    def _posterior_within(
        self, y: FloatArray, n: int, tolerance: float, rng: np.random.Generator
    ) -> FloatArray:
        """Draw from the prior until n draws land within a distance of y: (n, 4).

        Slow and inexact, but too simple to be wrong: it checks `reference_posterior`.
        """
        kept = np.empty((0, self.dx))
        while len(kept) < n:
            x = self._sample_prior(_REJECTION_ROWS, rng)
            near = np.linalg.norm(self._simulate(x, rng) - y, axis=1) <= tolerance
            kept = np.concatenate([kept, x[near]])
        return kept[:n]

    def _parameters(self, up: float, angles: FloatArray) -> FloatArray:
        """Return the parameters that point the segments so and bring the hand to that height."""
        rail = up - np.sin(angles) @ self.lengths
        return np.column_stack([rail, np.diff(angles, axis=1, prepend=0.0)])

    def _log_prior(self, x: FloatArray) -> FloatArray:
        """Log of the prior density, up to a constant."""
        return np.asarray(-0.5 * ((x / self.prior_scales) ** 2).sum(axis=1))


def _angles_on_sheet(
    across: float, sheet: IntArray, u: FloatArray, v: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Find directions of the segments that bring the hand to a distance from the rail.

    Parameters
    ----------
    across : float
        The distance, between -2 and 2.
    sheet : ndarray of shape (k,)
        Bits 0, 1, 2: whether a1, a2, a3 is negative; bits 3, 4, 5: whether it is beyond half a turn.
    u, v : ndarray of shape (k,)
        In [0, 1]. u runs through the sizes that a3 can have, v through phi.

    Returns
    -------
    angles : ndarray of shape (k, 3)
        The directions a1, a2 and a3, between minus and plus a whole turn.
    log_area : ndarray of shape (k,)
        Log of what ``du dv`` is worth, up to a constant that depends on `across` only.
    """
    bits = (sheet[:, np.newaxis] >> np.arange(6)) & 1
    # Squared radius of the sphere, and the sizes of a3 between which a circle is left on it: the circle
    # has a squared radius of at most 2, as u1 and u2 are at most 1.
    square = _REACH - across
    least = 2.0 * np.arcsin(np.sqrt(max(square - 2.0, 0.0) / 2.0))
    most = 2.0 * np.arcsin(np.sqrt(min(square / 2.0, 1.0)))
    size3 = least + (most - least) * u
    radius = np.sqrt(np.clip(square - 2.0 * np.sin(size3 / 2.0) ** 2, 0.0, 2.0))
    # The part of a quarter of the circle on which neither u1 nor u2 is above 1.
    start = np.arccos(1.0 / np.maximum(radius, 1.0))
    length = np.pi / 2.0 - 2.0 * start
    phi = start + length * np.sin(np.pi * v / 2.0) ** 2
    sines = np.minimum(radius * np.stack([np.cos(phi), np.sin(phi)]), 1.0)
    sizes = np.column_stack([*(2.0 * np.arcsin(sines)), size3])
    sizes = np.where(bits[:, 3:], 2.0 * np.pi - sizes, sizes)
    angles = np.where(bits[:, :3], -sizes, sizes)
    cosines = np.maximum((1.0 - sines) * (1.0 + sines), _TINY)
    area = np.maximum(length * np.sin(np.pi * v), _TINY)
    return angles, np.log(area) - 0.5 * np.log(cosines).sum(axis=0)
