"""A ball thrown through air, of which only the place where it lands is seen."""

from __future__ import annotations

import math

import numpy as np

from ._base import FloatArray, Problem
from ._sheets import IntArray, draw_from_sheets

# Prior: normal start position and height in metres, angle uniform in degrees, Poisson speed in m/s.
_X0_SCALE = 0.5
_Y0_MEAN, _Y0_SCALE = 1.5, 0.5
_ANGLE_RANGE = (9.0, 81.0)
_V0_MEAN = 15.0
# Standard gravity to two decimals, m/s^2; drag in kg/s; mass in kg.
_GRAVITY, _DRAG, _MASS = 9.81, 0.25, 0.2
# What makes the equations free of units: the time in which drag slows the ball, 0.8 s; the speed at which it
# balances gravity, 7.848 m/s; and the height fallen at that speed in that time, 6.2784 m.
_TIME_SCALE = _MASS / _DRAG
_FALL_SPEED = _GRAVITY * _TIME_SCALE
_FALL_HEIGHT = _FALL_SPEED * _TIME_SCALE
# Newton's method for the impact converges from one side, at worst halving the error each time, which 60
# steps bring down to rounding. It ends when what is left is this many roundings of the terms.
_MAX_NEWTON = 60
_ROUNDINGS = 4.0
# The reference posterior counts speeds up to this: higher ones have a prior probability of 2e-25.
_V0_MAX = 70
# It counts heights up to 8 standard deviations above the mean: 6e-16 of the prior is beyond.
_Y0_MAX = _Y0_MEAN + 8.0 * _Y0_SCALE
# Log of the probability of a start on the ground: the normal height is not positive.
_LOG_ON_GROUND = math.log(0.5 * math.erfc(_Y0_MEAN / _Y0_SCALE / math.sqrt(2.0)))
# An observation is refused whose prior density is below this, in 1/m.
_LEAST_EVIDENCE = 1e-12


class InverseBallistics(Problem):
    """A ball thrown through air, of which only the place where it lands is seen.

    From where, how high, how steep and how fast was it thrown, if it landed there? It starts at position x0
    and height y0 and flies off with speed v0 at an angle to the horizontal.
    Gravity g and a drag proportional to its speed act on it, so that, with ``e = 1 - exp(-k t / m)``::

        x(t) = x0 + m/k vx e
        y(t) = y0 + m/k^2 (g m + k vy) e - g m/k t

    The observation is x at impact, where y is 0; g = 9.81 m/s^2, k = 0.25 kg/s, m = 0.2 kg.

    The prior is x0 ~ N(0, 0.5^2) m, y0 ~ N(1.5, 0.5^2) m with negative heights set to 0, the angle uniform
    between 9 and 81 degrees, and v0 ~ Poisson(15) m/s, a whole number. One observation leaves much open:
    far and near, flat and steep throws land at the same place.

    Attributes
    ----------
    gravity, drag, mass : float
        g, k and m, in m/s^2, kg/s and kg.

    Notes
    -----
    The time of impact is solved to rounding by Newton's method. The height is a concave function of time, so
    that started after the impact the method approaches it from there without fail.

    Every real row of x has an observation. A ball without speed falls straight down and lands at x0. A ball
    that starts on the ground and moves upwards lands where it comes down again. One that starts on or below
    the ground and never rises above it has not moved: its observation is x0. This takes in all negative
    heights that the throw does not overcome. A negative speed is a throw in the opposite direction.

    There is no noise, but given the other three x0 is what is left of the observation, and its prior density
    becomes their likelihood. The reference posterior draws independently, by rejection from an adaptive
    envelope for each speed and for starts in the air and on the ground (0.13 % of the prior). Speeds above
    70 m/s are left out: no observation that is not refused makes them likely.

    References
    ----------
    J. Kruse, L. Ardizzone, C. Rother, U. Koethe, "Benchmarking Invertible Architectures on Inverse
    Problems", 2021, arXiv:2101.10763.

    Examples
    --------
    >>> from innverse.problems import InverseBallistics
    >>> problem = InverseBallistics()
    >>> problem.simulate([[0.0, 1.5, 45.0, 10.0]]).round(3)
    array([[4.756]])
    >>> problem.reference_posterior(5.0, n=100, random_state=0).shape
    (100, 4)
    """

    dx = 4
    dy = 1
    x_names = ("start position [m]", "start height [m]", "angle [deg]", "speed [m/s]")
    y_names = ("impact position [m]",)
    gravity = _GRAVITY
    drag = _DRAG
    mass = _MASS

    def __repr__(self) -> str:
        return "InverseBallistics()"

    def _sample_prior(self, n: int, rng: np.random.Generator) -> FloatArray:
        x0 = _X0_SCALE * rng.standard_normal(n)
        y0 = np.maximum(_Y0_MEAN + _Y0_SCALE * rng.standard_normal(n), 0.0)
        angle = rng.uniform(*_ANGLE_RANGE, size=n)
        return np.column_stack([x0, y0, angle, rng.poisson(_V0_MEAN, size=n)])

    def _simulate(self, x: FloatArray, rng: np.random.Generator) -> FloatArray:
        return np.asarray(x[:, :1] + _flight(*x[:, 1:].T)[:, np.newaxis])

    def _posterior(self, y: FloatArray, n: int, rng: np.random.Generator) -> FloatArray:
        return np.stack([self._posterior_of_one(row, float(y[row, 0]), n, rng) for row in range(len(y))])

    def _posterior_of_one(self, row: int, y: float, n: int, rng: np.random.Generator) -> FloatArray:
        log_speeds = _log_poisson(_V0_MAX + 1)

        def log_density(sheet: IntArray, u: FloatArray, v: FloatArray) -> FloatArray:
            y0, angle, v0 = _start(sheet, u, v)
            x0 = y - _flight(y0, angle, v0)
            log_height = np.where(
                sheet % 2, _log_normal(y0 - _Y0_MEAN, _Y0_SCALE) + math.log(_Y0_MAX), _LOG_ON_GROUND
            )
            return np.asarray(log_speeds[sheet // 2] + log_height + _log_normal(x0, _X0_SCALE))

        draws = draw_from_sheets(log_density, 2 * len(log_speeds), n, rng)
        if draws is None or draws.log_total < math.log(_LEAST_EVIDENCE):
            raise ValueError(
                "y must be a place where a ball may land under the prior, with a density of at least "
                f"{_LEAST_EVIDENCE:g} per metre, got {y:g} in row {row}"
            )
        y0, angle, v0 = _start(draws.sheet, draws.u, draws.v)
        return np.column_stack([y - _flight(y0, angle, v0), y0, angle, v0])


def _start(sheet: IntArray, u: FloatArray, v: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return height, angle and speed at a point of a sheet.

    Sheet ``2 s`` holds the starts on the ground with speed s, along v only, and ``2 s + 1`` those in the air.
    """
    low, high = _ANGLE_RANGE
    return _Y0_MAX * u * (sheet % 2), low + (high - low) * v, (sheet // 2).astype(np.float64)


def _flight(y0: FloatArray, angle: FloatArray, v0: FloatArray) -> FloatArray:
    """Distance in metres between start and impact.

    Parameters
    ----------
    y0, angle, v0 : ndarray of shape (k,)
        Height in metres, angle in degrees, speed in m/s.

    Returns
    -------
    distance : ndarray of shape (k,)
        Negative where the ball flies to the left.
    """
    slope = np.deg2rad(angle)
    time = _impact(y0 / _FALL_HEIGHT, v0 * np.sin(slope) / _FALL_SPEED)
    return np.asarray(-_TIME_SCALE * v0 * np.cos(slope) * np.expm1(-time))


def _impact(height: FloatArray, climb: FloatArray) -> FloatArray:
    """Last time at which the ball is at height 0.

    Solves ``f(s) = height + (1 + climb) (1 - exp(-s)) - s = 0``. Where ``climb > -1``, f is concave and
    negative at ``s = height + 1 + climb``, from where Newton's method falls towards the last root. Elsewhere
    f is convex and falling, and the method rises towards the only root from 0.

    Parameters
    ----------
    height, climb : ndarray of shape (k,)
        Height and upward speed at the start, in units of `_FALL_HEIGHT` and `_FALL_SPEED`.

    Returns
    -------
    time : ndarray of shape (k,)
        In units of `_TIME_SCALE`, at least 0; 0 where the ball never is above the ground.
    """
    upwards = np.maximum(climb, 0.0)
    flies = height + upwards - np.log1p(upwards) > 0.0
    height, climb = height[flies], climb[flies]
    time = np.where(climb > -1.0, height + 1.0 + climb, 0.0)
    for _ in range(_MAX_NEWTON):
        gone = -np.expm1(-time)
        excess = height + climb * gone - (time - gone)
        slope = climb - (1.0 + climb) * gone
        # At the top of a flight that only touches the ground the slope is 0, and so is the excess.
        time = np.maximum(time - np.divide(excess, slope, out=np.zeros_like(time), where=slope != 0.0), 0.0)
        rounding = np.finfo(np.float64).eps * (height + np.abs(climb) + time)
        if np.all(np.abs(excess) <= _ROUNDINGS * rounding):
            break
    result = np.zeros(flies.shape)
    result[flies] = time
    return result


def _log_poisson(n: int) -> FloatArray:
    """Log probability of the speeds 0 to n - 1."""
    speeds = np.arange(n)
    log_factorial = np.cumsum(np.log(np.maximum(speeds, 1)))
    return np.asarray(speeds * math.log(_V0_MEAN) - _V0_MEAN - log_factorial)


def _log_normal(x: FloatArray, scale: float) -> FloatArray:
    """Log density of a normal variable with mean 0."""
    return np.asarray(-0.5 * (x / scale) ** 2 - math.log(scale * math.sqrt(2.0 * math.pi)))
