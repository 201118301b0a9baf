"""A mixture of normal distributions, fitted to points."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._base import FloatArray

# Rounds of expectation maximisation: the fit shapes proposals, and needs no convergence.
_ROUNDS = 10
# Each covariance is drawn towards that of all points as if by this many points per dimension, so that a
# component with few points has a covariance of full rank.
_SHRINKAGE = 0.5
# Smallest variance along an axis: a set of equal points has a normal distribution still.
_LEAST_VARIANCE = 1e-12


@dataclass(frozen=True)
class NormalMixture:
    """A mixture of k normal distributions in d dimensions.

    Sums run in a fixed order and never through a matrix product of the linear algebra library, whose last
    bits may change with its number of threads.

    Attributes
    ----------
    log_weights : ndarray of shape (k,)
        Natural logs of the weights, which sum to 1.
    means : ndarray of shape (k, d)
        Centres.
    factors : ndarray of shape (k, d, d)
        Lower Cholesky factors of the covariances.
    """

    log_weights: FloatArray
    means: FloatArray
    factors: FloatArray

    @classmethod
    def of_covariances(cls, weights: FloatArray, means: FloatArray, covariances: FloatArray) -> NormalMixture:
        """Make a mixture from its covariances, of shape (k, d, d)."""
        factors = np.asarray(np.linalg.cholesky(covariances), dtype=np.float64)
        return cls(np.log(weights / weights.sum()), means, factors)

    @classmethod
    def fit(cls, points: FloatArray, components: int, rng: np.random.Generator) -> NormalMixture:
        """Fit a mixture by expectation maximisation.

        Parameters
        ----------
        points : ndarray of shape (n, d)
            What to fit to.
        components : int
            Number of components, at most n.
        rng : numpy.random.Generator
            Chooses the points around which the components start, far from each other.

        Returns
        -------
        mixture : NormalMixture
            The fit.
        """
        n, dim = points.shape
        spread = _covariance(np.ones((n, 1)), points, points.mean(axis=0)[np.newaxis])[0] / n
        # Were the points spread evenly, each component would have its share of their volume.
        pull = (spread + _LEAST_VARIANCE * np.eye(dim)) * components ** (-2.0 / dim)
        weights = np.full(components, 1.0 / components)
        means = _scattered(points, components, pull, rng)
        covariances = np.broadcast_to(pull, (components, dim, dim))
        mixture = cls.of_covariances(weights, means, covariances)
        for _ in range(_ROUNDS):
            shares = mixture.shares(points)
            counts = shares.sum(axis=0)
            # A component that has lost all points stays where it is, with no weight to speak of.
            held = counts > np.finfo(np.float64).tiny
            sums = np.einsum("nk,nd->kd", shares, points)
            means = np.where(held[:, np.newaxis], sums / np.where(held, counts, 1.0)[:, np.newaxis], means)
            strength = _SHRINKAGE * dim
            scatter = _covariance(shares, points, means) + strength * pull
            covariances = scatter / (counts + strength)[:, np.newaxis, np.newaxis]
            mixture = cls.of_covariances(np.maximum(counts, 1e-6), means, covariances)
        return mixture

    def with_component(self, weight: float, mean: FloatArray, factor: FloatArray) -> NormalMixture:
        """Add a component of the given weight, the others keeping the rest."""
        return NormalMixture(
            np.append(self.log_weights + math.log1p(-weight), math.log(weight)),
            np.concatenate([self.means, mean[np.newaxis]]),
            np.concatenate([self.factors, factor[np.newaxis]]),
        )

    def log_parts(self, points: FloatArray) -> FloatArray:
        """Log of weight times density of each component at each of n points: (n, k)."""
        dim = points.shape[1]
        log_parts = np.empty((len(points), len(self.means)))
        inverses = np.linalg.inv(self.factors)
        for k, (mean, inverse) in enumerate(zip(self.means, inverses, strict=True)):
            whitened = np.einsum("nj,ij->ni", points - mean, inverse)
            log_parts[:, k] = -0.5 * np.einsum("ni,ni->n", whitened, whitened)
        log_roots = np.log(np.diagonal(self.factors, axis1=1, axis2=2)).sum(axis=1)
        return np.asarray(log_parts + self.log_weights - log_roots - 0.5 * dim * math.log(2.0 * math.pi))

    def log_density(self, points: FloatArray) -> FloatArray:
        """Log of the density at each of n points: (n,)."""
        return np.asarray(np.logaddexp.reduce(self.log_parts(points), axis=1))

    def shares(self, points: FloatArray) -> FloatArray:
        """Probability that each of n points is of each component: (n, k)."""
        log_parts = self.log_parts(points)
        return np.asarray(np.exp(log_parts - np.logaddexp.reduce(log_parts, axis=1)[:, np.newaxis]))

    def steps(self, which: NDArray[np.intp], rng: np.random.Generator) -> FloatArray:
        """Draw a deviation from the mean of each of the named components: (len(which), d)."""
        noise = rng.standard_normal((len(which), self.means.shape[1]))
        return np.asarray(np.einsum("nij,nj->ni", self.factors[which], noise))


def choose(shares: FloatArray, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw a column of each row with the probabilities in it."""
    below = np.cumsum(shares, axis=1)
    height = below[:, -1:] * rng.random((len(shares), 1))
    # The sum may end below the height by rounding.
    return np.asarray(np.minimum((below <= height).sum(axis=1), shares.shape[1] - 1))


def _scattered(
    points: FloatArray, count: int, covariance: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """Choose points far from each other, in units of a covariance: (count, d).

    Each is drawn with a probability proportional to its squared distance from the nearest chosen before
    (D. Arthur, S. Vassilvitskii, "k-means++", SODA 2007).
    """
    inverse = np.linalg.inv(np.linalg.cholesky(covariance))
    whitened = np.einsum("nj,ij->ni", points, inverse)
    chosen = [int(rng.integers(len(points)))]
    nearest = np.full(len(points), np.inf)
    while len(chosen) < count:
        nearest = np.minimum(nearest, ((whitened - whitened[chosen[-1]]) ** 2).sum(axis=1))
        below = np.cumsum(nearest + np.finfo(np.float64).tiny)
        chosen.append(
            min(int(np.searchsorted(below, below[-1] * rng.random(), side="right")), len(points) - 1)
        )
    return points[chosen]


def _covariance(shares: FloatArray, points: FloatArray, means: FloatArray) -> FloatArray:
    """Sum of squares and products around each of k means, weighted by shares (n, k): (k, d, d)."""
    result = np.empty((len(means), points.shape[1], points.shape[1]))
    for k, mean in enumerate(means):
        # Columns first: the sums then run along memory.
        deviation = np.ascontiguousarray((points - mean).T)
        result[k] = np.einsum("in,jn->ij", deviation * shares[:, k], deviation)
    return result
