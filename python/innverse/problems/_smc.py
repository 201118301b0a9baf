"""Draws from a posterior whose likelihood is known, by tempered sequential Monte Carlo."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ._base import FloatArray
from ._normal_mixture import NormalMixture, choose

IntArray: TypeAlias = NDArray[np.intp]
# Natural log of the likelihood of each of k points: (k, dim) to (k,).
LogLikelihood: TypeAlias = Callable[[FloatArray], FloatArray]

# Fewer particles would miss small modes, and would fit the proposals badly: what is taken if nothing is said,
# and the least that can work at all.
_PARTICLES, _MIN_PARTICLES = 2_000, 100
# A power of the likelihood is chosen so that the weights leave this share of the particles effective.
_EFFECTIVE_SHARE = 0.7
# An observation is refused if the log of its evidence falls below this. With a likelihood of 1 where the
# prediction is perfect, and normal noise, the best prediction is then some 14 standard deviations off.
_LEAST_LOG_EVIDENCE = -100.0
# Particles are drawn from the prior this often at most, until enough have a likelihood at all.
_MAX_PRIOR_ROUNDS = 50
# The proposals come from a mixture of this many normal distributions, or fewer if that leaves fewer than this
# many particles per dimension to each, ...
_COMPONENTS = 12
_PARTICLES_PER_DIMENSION = 20
# ... and of the prior, with this weight, which bounds the ratio of posterior and mixture.
_PRIOR_WEIGHT = 0.1
# A family with a smaller share of the particles than this is refilled.
_LEAST_FAMILY = 0.25
# Kinds of moves: along a difference of others, in the length that suits or in full, which leads from mode to
# mode; part of the way to a draw from the mixture, or to it. Shares of the particles that try each.
_WALK, _JUMP, _PARTIAL, _NEW = range(4)
_SHARES = (0.4, 0.1, 0.25, 0.25)
# Optimal length of random steps, in standard deviations times the root of the dimension, and about the share
# of them accepted then (Roberts, Gelman & Gilks 1997).
_WALK_LENGTH = 2.38
_ACCEPTANCE = 0.25
# Particles are moved until each coordinate's correlation with where it started is below this, and at the
# last power below that, plus what chance alone leaves; or this often at most.
_CORRELATION, _LAST_CORRELATION = 0.5, 0.2
_MAX_MOVES, _MAX_LAST_MOVES = 30, 100


def sample_posterior(
    log_likelihood: LogLikelihood,
    dim: int,
    n: int,
    rng: np.random.Generator,
    *,
    row: int = 0,
    particles: int | None = None,
) -> FloatArray:
    """Draw from a posterior with a standard normal prior, modes in their right proportions.

    Particles go from the prior to the posterior through the densities ``prior * likelihood**power``, the
    power rising from 0 to 1 in steps that leave most of the particles effective. At each step the particles
    are resampled in proportion to their weights and then moved, by Markov chains that leave the density of
    that step as it is, until they have forgotten where they started. There are three kinds of moves: to a new
    draw from a mixture of normal distributions fitted to the particles, which may lead to another mode; part
    of the way to such a draw, within a component; and along the difference of two other particles. Lengths
    adapt to a good rate of acceptance.

    Parameters
    ----------
    log_likelihood : callable
        Takes points, shape (k, dim), and returns natural logs of their likelihood, shape (k,), finite or
        minus infinity. It should be about 0 where the prediction is perfect; see Raises.
    dim : int
        Number of parameters. A prior other than the standard normal is for the caller to map from it, by its
        quantile function.
    n : int
        Number of draws.
    rng : numpy.random.Generator
        Source of randomness.
    row : int, default=0
        Row of y that the posterior belongs to, for the error.
    particles : int or None, default=None
        Number of particles, raised to n and to 100 where it is below; None for 2,000. More of them lower the
        error that all draws share, most of all that of the proportions of modes.

    Returns
    -------
    draws : ndarray of shape (n, dim)
        Draws, in no order. They are different particles, dependent only through common ancestors.

    Raises
    ------
    ValueError
        If the evidence, the mean of the likelihood over the prior, is below ``exp(-100)``: the model does not
        produce such an observation. Names y and the row.

    Notes
    -----
    Modes are found if particles of the prior are near them, in the sense that the likelihood rises towards
    them from there; a mode that shows only within a region of a prior probability below about 1 / particles
    may be missed.

    References
    ----------
    P. Del Moral, A. Doucet, A. Jasra, "Sequential Monte Carlo samplers", Journal of the Royal Statistical
    Society B 68 (2006). Choice of powers: A. Jasra, D. Stephens, A. Doucet, T. Tsagaris, "Inference for
    Levy-driven stochastic volatility models via adaptive sequential Monte Carlo", Scandinavian Journal of
    Statistics 38 (2011). Differences: C. ter Braak, "A Markov chain Monte Carlo version of the genetic
    algorithm differential evolution", Statistics and Computing 16 (2006). Partial moves: S. Cotter,
    G. Roberts, A. Stuart, D. White, "MCMC methods for functions", Statistical Science 28 (2013). Prior in the
    mixture: T. Hesterberg, "Weighted average importance sampling and defensive mixture distributions",
    Technometrics 37 (1995). Length of steps: G. Roberts, A. Gelman, W. Gilks, "Weak convergence and optimal
    scaling of random walk Metropolis algorithms", Annals of Applied Probability 7 (1997). Two families that
    move each other: J. Goodman, J. Weare, "Ensemble samplers with affine invariance", Communications in
    Applied Mathematics and Computational Science 5 (2010).
    """
    size = max(_PARTICLES if particles is None else particles, n, _MIN_PARTICLES)
    try:
        state, log_evidence = _Particles.of_prior(log_likelihood, dim, size, rng)
        while state.power < 1.0:
            log_evidence += state.raise_power(rng)
            if not log_evidence > _LEAST_LOG_EVIDENCE:
                raise _NoEvidenceError
            state.move(rng)
    except _NoEvidenceError:
        raise ValueError(
            f"y must be an observation that the model can produce, but that in row {row} has a probability "
            "of effectively zero under the prior"
        ) from None
    return state.points[rng.permutation(size)[:n]]


class _NoEvidenceError(Exception):
    """The likelihood is effectively zero all over the prior."""


class _Particles:
    """Points that follow the density ``prior * likelihood**power``, in two families.

    Proposals for one family are made from the other alone. Were they made from the points that they move,
    they would be likeliest where these happen to be, and points alone in a tail would be lost.

    Attributes
    ----------
    points : ndarray of shape (size, dim)
        Where they are.
    log_likelihood : ndarray of shape (size,)
        There.
    second : ndarray of bool, shape (size,)
        Which points are of the second family: those that descend from the second half.
    power : float
        Of the likelihood.
    """

    def __init__(self, function: LogLikelihood, points: FloatArray, log_likelihood: FloatArray) -> None:
        self.points = points
        self.log_likelihood = log_likelihood
        self.second = np.arange(len(points)) >= len(points) // 2
        self.power = 0.0
        self._function = function
        # Lengths of the moves, in units of `_WALK_LENGTH` and of the way to a new draw; they adapt.
        self._difference_length = 1.0
        self._partial_length = 0.5

    @classmethod
    def of_prior(
        cls, function: LogLikelihood, dim: int, size: int, rng: np.random.Generator
    ) -> tuple[_Particles, float]:
        """Draw from the prior where the likelihood is not 0; also return the log of that part of it."""
        found: list[tuple[FloatArray, FloatArray]] = []
        good, drawn = 0, 0
        while good < size:
            if drawn == _MAX_PRIOR_ROUNDS * size:
                raise _NoEvidenceError
            points = rng.standard_normal((size, dim))
            log_likelihood = function(points)
            finite = np.isfinite(log_likelihood)
            found.append((points[finite], log_likelihood[finite]))
            good, drawn = good + int(finite.sum()), drawn + size
        points, log_likelihood = (np.concatenate(parts)[:size] for parts in zip(*found, strict=True))
        return cls(function, points, log_likelihood), math.log(good / drawn)

    def raise_power(self, rng: np.random.Generator) -> float:
        """Go on to the next power and resample; return the log of the mean weight."""
        step = _step_of_power(self.log_likelihood, 1.0 - self.power)
        log_weights = step * self.log_likelihood
        # Rounding must not keep the last step from ending at 1.
        self.power = 1.0 if step == 1.0 - self.power else self.power + step
        chosen = _resample(log_weights, rng)
        self.points, self.log_likelihood = self.points[chosen], self.log_likelihood[chosen]
        self.second = self.second[chosen]
        if not _LEAST_FAMILY <= self.second.mean() <= 1.0 - _LEAST_FAMILY:
            self.second = rng.permutation(len(chosen)) >= len(chosen) // 2
        return float(np.logaddexp.reduce(log_weights) - math.log(len(log_weights)))

    def move(self, rng: np.random.Generator) -> None:
        """Move all points until they have forgotten where they started."""
        families = np.flatnonzero(~self.second), np.flatnonzero(self.second)
        proposals = [_Proposals(self.points[other], rng) for other in families[::-1]]
        start = self.points.copy()
        last = self.power == 1.0
        wanted = (_LAST_CORRELATION if last else _CORRELATION) + 2.0 / math.sqrt(len(start))
        for _ in range(_MAX_LAST_MOVES if last else _MAX_MOVES):
            for family, other, proposal in zip(families, families[::-1], proposals, strict=True):
                self._move_once(family, self.points[other], proposal, rng)
            if _correlation(start, self.points) < wanted:
                break

    def _move_once(
        self, family: IntArray, others: FloatArray, proposals: _Proposals, rng: np.random.Generator
    ) -> None:
        """Propose one move of each point of a family, and make it or not."""
        points = self.points[family]
        kinds = rng.choice(len(_SHARES), size=len(points), p=_SHARES)
        walk = self._difference_length * _WALK_LENGTH / math.sqrt(2.0 * points.shape[1])
        proposed = np.empty_like(points)
        for kind, propose in (
            (_WALK, lambda points: points + walk * _differences(others, len(points), rng)),
            (_JUMP, lambda points: points + _differences(others, len(points), rng)),
            (_PARTIAL, lambda points: proposals.partial(points, self._partial_length, rng)),
            (_NEW, lambda points: proposals.new(len(points), rng)),
        ):
            proposed[kinds == kind] = propose(points[kinds == kind])
        log_likelihood = self._function(proposed)
        log_ratio = self.power * (log_likelihood - self.log_likelihood[family])
        log_ratio -= 0.5 * np.einsum("ni,ni->n", proposed - points, proposed + points)
        mixed = (kinds == _PARTIAL) | (kinds == _NEW)
        log_mixture = proposals.mixture.log_density
        log_ratio[mixed] -= log_mixture(proposed[mixed]) - log_mixture(points[mixed])
        accepted = np.log1p(-rng.random(len(points))) < log_ratio
        self.points[family[accepted]] = proposed[accepted]
        self.log_likelihood[family[accepted]] = log_likelihood[accepted]
        self._adapt(accepted[kinds == _WALK], accepted[kinds == _PARTIAL])

    def _adapt(self, walks: NDArray[np.bool_], partial: NDArray[np.bool_]) -> None:
        """Lengthen moves of which many were accepted, shorten the others."""
        if walks.size:
            self._difference_length *= math.exp(walks.mean() - _ACCEPTANCE)
        if partial.size:
            length = self._partial_length * math.exp(partial.mean() - _ACCEPTANCE)
            self._partial_length = min(1.0, length)


class _Proposals:
    """A mixture of the prior and normal distributions fitted to points, with moves that leave it as it is.

    A proposal is as likely as its reverse where points follow the mixture.
    """

    def __init__(self, points: FloatArray, rng: np.random.Generator) -> None:
        size, dim = points.shape
        components = max(1, min(_COMPONENTS, size // (_PARTICLES_PER_DIMENSION * dim)))
        fit = NormalMixture.fit(points, components, rng)
        self.mixture = fit.with_component(_PRIOR_WEIGHT, np.zeros(dim), np.eye(dim))

    def new(self, size: int, rng: np.random.Generator) -> FloatArray:
        """Draw from the mixture."""
        which = rng.choice(len(self.mixture.means), size=size, p=np.exp(self.mixture.log_weights))
        return np.asarray(self.mixture.means[which] + self.mixture.steps(which, rng))

    def partial(self, points: FloatArray, length: float, rng: np.random.Generator) -> FloatArray:
        """Preconditioned Crank-Nicolson steps, each in a component that the point may be of.

        Given the component, a step leaves it as it is; drawing the component given the point changes nothing.
        """
        which = choose(self.mixture.shares(points), rng)
        means = self.mixture.means[which]
        kept = math.sqrt(1.0 - length**2)
        return np.asarray(means + kept * (points - means) + length * self.mixture.steps(which, rng))


def _differences(points: FloatArray, size: int, rng: np.random.Generator) -> FloatArray:
    """Differences of random pairs of points."""
    first = rng.integers(len(points), size=size)
    second = (first + rng.integers(1, len(points), size=size)) % len(points)
    return np.asarray(points[first] - points[second])


def _step_of_power(log_likelihood: FloatArray, largest: float) -> float:
    """Find the step, at most the largest, whose weights leave the wanted share of particles effective."""
    log_likelihood = log_likelihood - log_likelihood.max()
    wanted = _EFFECTIVE_SHARE * len(log_likelihood)

    def effective(step: float) -> float:
        weights = np.exp(step * log_likelihood)
        return float(weights.sum() ** 2 / np.einsum("n,n->", weights, weights))

    if effective(largest) >= wanted:
        return largest
    # Bisection of the logarithm: the first step may be smaller than 1 by any number of digits.
    low, high = math.log(np.finfo(np.float64).tiny), math.log(largest)
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if effective(math.exp(middle)) >= wanted else (low, middle)
    return math.exp(low)


def _resample(log_weights: FloatArray, rng: np.random.Generator) -> IntArray:
    """Systematic resampling: each particle appears as often as its weight says, rounded up or down."""
    below = np.cumsum(np.exp(log_weights - log_weights.max()))
    heights = (rng.random() + np.arange(len(below))) / len(below) * below[-1]
    # Rounding may put the last height at the end.
    return np.asarray(np.minimum(np.searchsorted(below, heights, side="right"), len(below) - 1))


def _correlation(start: FloatArray, now: FloatArray) -> float:
    """Largest correlation of a coordinate with where it started, in coordinates that are uncorrelated now."""
    centered = np.ascontiguousarray((now - now.mean(axis=0)).T)
    started = np.ascontiguousarray((start - now.mean(axis=0)).T)
    covariance = np.einsum("in,jn->ij", centered, centered) / len(now)
    inverse = np.linalg.inv(np.linalg.cholesky(covariance + 1e-12 * np.eye(len(covariance))))
    crossed = np.einsum("in,jn->ij", started, centered) / len(now)
    return float(np.einsum("ij,jk,ik->i", inverse, crossed, inverse).max())
