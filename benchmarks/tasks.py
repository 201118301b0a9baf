"""Tasks with known posteriors on which methods of simulation-based inference are commonly compared.

Eight tasks of J.-M. Lueckmann, J. Boelts, D. Greenberg, P. Goncalves, J. Macke, "Benchmarking
Simulation-Based Inference", AISTATS 2021, arXiv:2101.04653, written from their definitions, and two problems
of this package behind the same interface. Parameters are called theta and data x, as there. `TASKS` has one
of each, by name.

Needs numpy, scipy and innverse.problems; the compiled part of innverse is not used. References of
TwoMoons, GaussianMixture, GaussianLinear and GaussianLinearUniform are independent exact draws. For SLCP and
BernoulliGLM each draw is the end of a Markov chain of its own, those of LotkaVolterra and Epidemic are of
sequential Monte Carlo.
"""

import math

import numpy as np
from scipy.special import expit, gammaincc, gammainccinv, log_ndtr, logsumexp, ndtr, ndtri_exp, xlog1py, xlogy
from scipy.stats import norm

from innverse.problems import InverseBallistics, InverseKinematics
from innverse.problems._smc import sample_posterior

ROOT_2 = math.sqrt(2.0)
# A random walk Metropolis does best on a normal posterior with steps of this over the root of the dimension,
# in standard deviations.
WALK_UNIT = 2.38


def box(low, high, columns):
    """Bounds of a uniform prior that is the same for every parameter."""
    return [(low, high)] * columns


class Task:
    """A prior and a simulator, with a reference for the posterior of any observation.

    A subclass sets the attributes and writes `_sample` and `_posterior`. Everywhere ``random_state`` is an
    integer, a numpy Generator or None, and the same integer gives the same numbers.

    Attributes
    ----------
    name : str
        Of the task among others.
    dx, dy : int
        Number of parameters and of data.
    bounds : list of (float, float) or None
        Where the prior of each parameter ends, infinite where it does not; None if none of them has an end.
    """

    name: str
    dx: int
    dy: int
    bounds: list[tuple[float, float]] | None = None

    def __repr__(self):
        return f"<{self.name}: {self.dx} parameters, {self.dy} data>"

    def sample(self, n, random_state=None):
        """Draw parameters from the prior and simulate data.

        Returns
        -------
        theta, x : ndarray of shape (n, dx) and (n, dy)
            Pairs.
        """
        return self._sample(n, np.random.default_rng(random_state))

    def reference_posterior(self, x_observed, n, random_state=None):
        """Draw from the posterior of one observation.

        Parameters
        ----------
        x_observed : array-like of shape (dy,)
            The data.
        n : int
            Number of draws.
        random_state : int, Generator or None
            Source of randomness.

        Returns
        -------
        theta : ndarray of shape (n, dx)
            The draws, in no order.
        """
        return self._posterior(self._checked(x_observed), n, np.random.default_rng(random_state))

    def log_posterior(self, theta, x_observed):
        """Log of the normalised posterior density, or None where it is not known.

        Parameters
        ----------
        theta : array-like of shape (n, dx)
            Parameters.
        x_observed : array-like of shape (dy,)
            The data.

        Returns
        -------
        log_density : ndarray of shape (n,) or None
            Minus infinity outside the prior.
        """
        x = self._checked(x_observed)
        return self._log_posterior(np.asarray(theta, dtype=np.float64).reshape(-1, self.dx), x)

    def _checked(self, x_observed):
        x = np.asarray(x_observed, dtype=np.float64)
        if x.shape != (self.dy,) or not np.isfinite(x).all():
            raise ValueError(f"x_observed must be {self.dy} finite numbers, got an array of shape {x.shape}")
        return x

    def _inside(self, theta):
        low, high = np.transpose(self.bounds)
        return ((theta >= low) & (theta <= high)).all(axis=1)

    def _sample(self, n, rng):
        raise NotImplementedError

    def _posterior(self, x, n, rng):
        raise NotImplementedError

    def _log_posterior(self, theta, x):
        return None


class TwoMoons(Task):
    """Two crescents: a rotated and folded plane, seen with noise on a half circle. Task T.8 of the paper.

    ``theta ~ U(-1, 1)^2``. With ``p = (theta1 + theta2) / sqrt(2)`` and ``q = (theta2 - theta1) / sqrt(2)``,
    ``x = (0.25 - |p|, q) + r (cos a, sin a)``, ``a ~ U(-pi/2, pi/2)``, ``r ~ N(0.1, 0.01^2)``.

    Notes
    -----
    Taking noise away from x leaves ``|p|`` and q; both signs of p are equally likely, and theta lies in the
    prior's square where ``|p| + |q| <= sqrt(2)``. Noise is drawn until enough of it leads there. The
    density of the posterior is that of the noise, divided by twice the probability of leading there: an
    integral over r in closed form, and over a by the midpoint rule. A negative r, ten standard deviations
    out, counts as impossible.
    """

    name = "two_moons"
    dx = dy = 2
    bounds = box(-1.0, 1.0, 2)
    offset = 0.25
    radius, radius_scale = 0.1, 0.01
    # A multiple of 4: no angle is then a multiple of pi/4, where a limit on r would not exist.
    n_angles = 4000
    # Fewer of the noise's draws than this leading to the prior means that x is no outcome of the task.
    least_share = 1e-5
    # Noise drawn at a time, at most.
    most_rows = 1_000_000

    def _sample(self, n, rng):
        theta = rng.uniform(*self.bounds[0], size=(n, 2))
        return theta, self._noise(n, rng) + self._centre(theta)

    def _noise(self, n, rng):
        angle = rng.uniform(-np.pi / 2, np.pi / 2, size=n)
        radius = rng.normal(self.radius, self.radius_scale, size=n)
        return radius[:, np.newaxis] * np.column_stack([np.cos(angle), np.sin(angle)])

    def _centre(self, theta):
        p, q = theta[:, 0] + theta[:, 1], theta[:, 1] - theta[:, 0]
        return np.column_stack([self.offset - np.abs(p) / ROOT_2, q / ROOT_2])

    def _posterior(self, x, n, rng):
        share = self._share(x)
        if share < self.least_share:
            raise ValueError(f"x_observed must be an outcome of some theta in the prior, got {x}")
        kept, found = [], 0
        while found < n:
            noise = self._noise(min(int((n - found) / share) + 1, self.most_rows), rng)
            size, q = self.offset + noise[:, 0] - x[0], x[1] - noise[:, 1]
            p = np.where(rng.random(len(noise)) < 0.5, size, -size)
            theta = np.column_stack([p - q, p + q]) / ROOT_2
            kept.append(theta[(size >= 0.0) & self._inside(theta)])
            found += len(kept[-1])
        return np.concatenate(kept)[:n]

    def _log_posterior(self, theta, x):
        noise = x - self._centre(theta)
        radius = np.hypot(*noise.T)
        possible = (noise[:, 0] > 0.0) & self._inside(theta)
        with np.errstate(divide="ignore"):
            log_density = norm.logpdf(radius, self.radius, self.radius_scale) - np.log(np.pi * radius)
            return np.where(possible, log_density, -np.inf) - np.log(2.0 * self._share(x))

    def _share(self, x):
        """Probability that x without noise is where some theta in the prior leads."""
        angle = np.pi * ((np.arange(self.n_angles) + 0.5) / self.n_angles - 0.5)
        cos, sin = np.cos(angle), np.sin(angle)
        # |p| >= 0, |p| + q <= sqrt(2) and |p| - q <= sqrt(2), each as: slope times r at most limit.
        slopes = np.stack([-cos, cos - sin, cos + sin])
        shift = x[0] - self.offset
        limits = np.array([-shift, ROOT_2 + shift - x[1], ROOT_2 + shift + x[1]])
        ends = limits[:, np.newaxis] / slopes
        low = np.where(slopes < 0.0, ends, 0.0).max(axis=0, initial=0.0)
        high = np.where(slopes > 0.0, ends, np.inf).min(axis=0)
        below_high, below_low = (ndtr((end - self.radius) / self.radius_scale) for end in (high, low))
        return np.maximum(below_high - below_low, 0.0).mean()


class GaussianMixture(Task):
    """The common mean of a wide and a narrow Gaussian. Task T.7 of the paper.

    ``theta ~ U(-10, 10)^2``, ``x ~ N(theta, I) / 2 + N(theta, 0.01 I) / 2``. The posterior is the same
    mixture around x, each part cut off at the prior's square and weighted by what of it lies inside.
    """

    name = "gaussian_mixture"
    dx = dy = 2
    bounds = box(-10.0, 10.0, 2)
    scales = np.array([1.0, 0.1])

    def _sample(self, n, rng):
        theta = rng.uniform(*self.bounds[0], size=(n, 2))
        scale = rng.choice(self.scales, size=(n, 1))
        return theta, theta + scale * rng.standard_normal((n, 2))

    def _log_masses(self, x):
        return _log_mass(x, self.scales[:, np.newaxis], *self.bounds[0]).sum(axis=1)

    def _posterior(self, x, n, rng):
        log_masses = self._log_masses(x)
        scale = rng.choice(self.scales, size=(n, 1), p=np.exp(log_masses - logsumexp(log_masses)))
        return _truncated_normal(np.tile(x, (n, 1)), scale, *self.bounds[0], rng)[0]

    def _log_posterior(self, theta, x):
        parts = norm.logpdf(theta, x, self.scales[:, np.newaxis, np.newaxis]).sum(axis=2)
        log_density = logsumexp(parts, axis=0) - logsumexp(self._log_masses(x))
        return np.where(self._inside(theta), log_density, -np.inf)


class GaussianLinear(Task):
    """A Gaussian mean with a Gaussian prior, in ten dimensions. Task T.1 of the paper.

    ``theta ~ N(0, 0.1 I)``, ``x ~ N(theta, 0.1 I)``: the posterior is ``N(x / 2, 0.05 I)``.
    """

    name = "gaussian_linear"
    dx = dy = 10
    variance = 0.1

    def _sample(self, n, rng):
        theta, noise = math.sqrt(self.variance) * rng.standard_normal((2, n, self.dx))
        return theta, theta + noise

    def _posterior(self, x, n, rng):
        return x / 2.0 + math.sqrt(self.variance / 2.0) * rng.standard_normal((n, self.dx))

    def _log_posterior(self, theta, x):
        return norm.logpdf(theta, x / 2.0, math.sqrt(self.variance / 2.0)).sum(axis=1)


class GaussianLinearUniform(Task):
    """A Gaussian mean with a uniform prior, in ten dimensions. Task T.2 of the paper.

    ``theta ~ U(-1, 1)^10``, ``x ~ N(theta, 0.1 I)``: the posterior is ``N(x, 0.1 I)``, cut off at the
    prior's box.
    """

    name = "gaussian_linear_uniform"
    dx = dy = 10
    bounds = box(-1.0, 1.0, 10)
    scale = math.sqrt(0.1)

    def _sample(self, n, rng):
        theta = rng.uniform(*self.bounds[0], size=(n, self.dx))
        return theta, theta + self.scale * rng.standard_normal((n, self.dy))

    def _posterior(self, x, n, rng):
        return _truncated_normal(np.tile(x, (n, 1)), self.scale, *self.bounds[0], rng)[0]

    def _log_posterior(self, theta, x):
        log_density = norm.logpdf(theta, x, self.scale) - _log_mass(x, self.scale, *self.bounds[0])
        return np.where(self._inside(theta), log_density.sum(axis=1), -np.inf)


class SLCP(Task):
    """Simple likelihood, complex posterior: four draws from a Gaussian in the plane. Task T.3 of the paper.

    ``theta ~ U(-3, 3)^5``; x is four independent draws from the Gaussian with means theta1 and theta2,
    standard deviations ``s1 = theta3^2`` and ``s2 = theta4^2`` and correlation ``tanh(theta5)``. The
    posterior does not depend on the signs of theta3 and theta4.

    The published program adds 1e-6 to both variances, which tells only where theta3 or theta4 is within a few
    hundredths of 0. Here nothing is added.

    Notes
    -----
    But for one factor, and for the ends of the prior, the posterior is a product of inverse gamma and normal
    densities. `_propose` draws from these, each cut off where the prior ends, and knows the ratio of the
    posterior to its own density. Draws picked in proportion to that ratio have nearly the right
    distribution. They start the chains of a random walk Metropolis, which takes away what error is left and
    parts draws that started at one point. The walk sees the sizes of theta3 and theta4; signs are drawn at
    the end.
    """

    name = "slcp"
    dx, dy = 5, 8
    bounds = box(-3.0, 3.0, 5)
    n_points = 4
    # Proposals are drawn in rounds of so many, until the sum of the ratios is this often the largest one, or
    # at most so many rounds. About one observation in a thousand takes all rounds.
    round_rows, most_rounds = 50_000, 40
    enough_effective = 1000
    # Steps of each chain, and how many chains there are at least: they share the covariance of the proposal.
    n_steps, least_chains = 300, 1000
    # Proposals are this long, in the unit that suits a normal posterior; the short ones are for narrow ends.
    step_sizes = (1.0, 0.3)
    # Keeps the logs of standard deviations finite.
    least_scale = 1e-100

    def _sample(self, n, rng):
        theta = rng.uniform(*self.bounds[0], size=(n, self.dx))
        z = rng.standard_normal((2, n, self.n_points))
        correlation = np.tanh(theta[:, 4:])
        first = theta[:, :1] + theta[:, 2:3] ** 2 * z[0]
        mixed = correlation * z[0] + z[1] / np.cosh(theta[:, 4:])
        second = theta[:, 1:2] + theta[:, 3:4] ** 2 * mixed
        return theta, np.stack([first, second], axis=2).reshape(n, self.dy)

    def log_joint(self, theta, x_observed):
        """Log of prior times likelihood, up to a constant: an unnormalised posterior, shape (n,)."""
        theta = np.asarray(theta, dtype=np.float64).reshape(-1, self.dx)
        x = self._checked(x_observed).reshape(self.n_points, 2)
        mean = x.mean(axis=0)
        (w11, w12), (_, w22) = (x - mean).T @ (x - mean)
        scales = np.maximum(theta[:, 2:4] ** 2, self.least_scale)
        far = (mean - theta[:, :2]) * math.sqrt(self.n_points) / scales
        u11, u22 = np.array([w11, w22])[:, np.newaxis] / scales.T**2 + far.T**2
        u12 = w12 / (scales[:, 0] * scales[:, 1]) + far[:, 0] * far[:, 1]
        # With correlation tanh(t), 1 / (1 - tanh^2) is cosh^2.
        cosh, sinh = np.cosh(theta[:, 4]), np.sinh(theta[:, 4])
        square = (u11 + u22) * cosh**2 - 2.0 * u12 * sinh * cosh
        log_density = -self.n_points * (np.log(scales).sum(axis=1) - np.log(cosh)) - 0.5 * square
        return np.where(self._inside(theta), log_density, -np.inf)

    def _posterior(self, x, n, rng):
        n_chains = max(n, self.least_chains)
        theta = self._start(x, n_chains, rng)
        log_density = self.log_joint(theta, x)
        unit = WALK_UNIT / math.sqrt(self.dx)
        for _ in range(self.n_steps):
            factor = unit * np.linalg.cholesky(np.cov(theta, rowvar=False))
            size = rng.choice(self.step_sizes, size=(n_chains, 1))
            moved = theta + size * (rng.standard_normal((n_chains, self.dx)) @ factor.T)
            moved[:, 2:4] = np.abs(moved[:, 2:4])
            log_moved = self.log_joint(moved, x)
            better = np.log1p(-rng.random(n_chains)) < log_moved - log_density
            theta[better], log_density[better] = moved[better], log_moved[better]
        theta[:, 2:4] *= rng.choice([-1.0, 1.0], size=(n_chains, 2))
        return theta[:n]

    def _start(self, x, n, rng):
        """Draw proposals in proportion to how much likelier the posterior makes them."""
        rounds = []
        for _ in range(self.most_rounds):
            rounds.append(self._propose(x, self.round_rows, rng))
            log_ratio = np.concatenate([ratio for _, ratio in rounds])
            weight = np.exp(log_ratio - log_ratio.max())
            if weight.sum() >= self.enough_effective:
                break
        theta = np.concatenate([theta for theta, _ in rounds])
        return theta[rng.choice(len(theta), size=n, p=weight / weight.sum())]

    def _propose(self, x, n, rng):
        """Draw theta with positive theta3 and theta4, and the log of the posterior over their density.

        Let a be the variance of the first coordinate, b the slope of the second on it and v the variance
        around that line; w, slope and rest are what the data say of them. With the means integrated out, and
        without the ends of the prior, the density of a, b and v is::

            a^(-7/4) v^(-5/2) (v + a b^2)^(-1/4) exp(-w / (2 a) - rest / (2 v) - w (b - slope)^2 / (2 v))

        With ``v^(-1/4)``, which is larger, for the third factor, a is inverse gamma with shape 3/4, v with
        shape 5/4, and b is normal given v. So are the means given all three.
        """
        (low, high), points = self.bounds[0], x.reshape(self.n_points, 2)
        mean = points.mean(axis=0)
        (w, w12), (_, w22) = (points - mean).T @ (points - mean)
        slope, rest, most = w12 / w, w22 - w12**2 / w, high**4
        if rest <= 0.0:
            raise ValueError(f"x_observed must be four points that lie on no line, got {x}")
        a = _inverse_gamma(3 / 4, w / 2.0, most, n, rng)
        v = _inverse_gamma(5 / 4, rest / 2.0, most, n, rng)
        # Neither the correlation nor the second variance is beyond its end while b is below these.
        steepest = np.minimum(np.sinh(high) * np.sqrt(v / a), np.sqrt((most - v) / a))
        b, log_b = _truncated_normal(slope, np.sqrt(v / w), -steepest, steepest, rng)
        first, log_first = _truncated_normal(mean[0], np.sqrt(a / self.n_points), low, high, rng)
        centre = mean[1] + b * (first - mean[0])
        second, log_second = _truncated_normal(centre, np.sqrt(v / self.n_points), low, high, rng)
        variance, angle = v + a * b**2, np.arcsinh(b * np.sqrt(a / v))
        theta = np.column_stack([first, second, a ** (1 / 4), variance ** (1 / 4), angle])
        return np.clip(theta, low, high), log_b + log_first + log_second + np.log(v / variance) / 4


class BernoulliGLM(Task):
    """A neuron that fires or not, with a linear filter of a stimulus. Task T.5 of the paper.

    In each of 100 time bins ``z_i ~ Bernoulli(sigmoid(beta + f . v_i))``, where v_i are the nine values of
    the stimulus up to bin i, the newest first, 0 before the start. theta is beta and f; x is the number of
    spikes and the sum of the v_i with a spike, ten numbers that say of theta all that z says. They are
    sums, as in the published program, not means.

    ``beta ~ N(0, 2)``, variance 2, and ``f ~ N(0, (F' F)^-1)``, where F takes second differences:
    ``F[i, i - 2] = 1``, ``F[i, i - 1] = -2``, ``F[i, i] = 1 + sqrt((i - 1) / 9)``, i from 1.

    The stimulus is white noise: 100 standard normal numbers from numpy's RandomState(42), the seed of the
    published program.

    Notes
    -----
    The posterior is log-concave. Newton's method finds its mode, and draws from a multivariate t there,
    weighted, tell its mean and covariance. With these another t makes the proposals of an independence
    Metropolis, whose chains start at its draws. If the posterior's density is at most M times that of the t,
    a chain is no further than ``(1 - 1/M)^n_steps`` from the posterior in total variation. In 20,000 draws
    for each of 400 observations from the prior, M was 6 at most, which makes 1e-8. It was 8 without any
    spike, and 25 with one in every bin.
    """

    name = "bernoulli_glm"
    dx = dy = 10
    n_bins, n_lags = 100, 9
    stimulus_seed = 42
    offset_variance = 2.0
    # Degrees of freedom of both t, the scale of the first in that of the Gaussian at the mode, and its draws.
    degrees, widening, pilot_rows = 10.0, 1.1, 4000
    n_steps, rows_at_once = 100, 10_000
    least_acceptance = 0.3
    # Newton's method ends when another step promises to gain less than half of this in log density.
    most_newton, newton_tolerance = 100, 1e-8

    def __init__(self):
        stimulus = np.random.RandomState(self.stimulus_seed).standard_normal(self.n_bins)
        lagged = [
            np.concatenate([np.zeros(lag), stimulus[: self.n_bins - lag]]) for lag in range(self.n_lags)
        ]
        self.design = np.column_stack([np.ones(self.n_bins), *lagged])
        diagonal = 1.0 + np.sqrt(np.arange(self.n_lags) / self.n_lags)
        differences = np.diag(diagonal) - 2.0 * np.eye(self.n_lags, k=-1) + np.eye(self.n_lags, k=-2)
        self.precision = np.zeros((self.dx, self.dx))
        self.precision[0, 0] = 1.0 / self.offset_variance
        self.precision[1:, 1:] = differences.T @ differences

    def _sample(self, n, rng):
        factor = np.linalg.cholesky(np.linalg.inv(self.precision))
        theta = rng.standard_normal((n, self.dx)) @ factor.T
        x = np.empty((n, self.dy))
        for rows in _parts(n, self.rows_at_once):
            spikes = rng.random((len(rows), self.n_bins)) < expit(theta[rows] @ self.design.T)
            x[rows] = spikes @ self.design
        return theta, x

    def log_joint(self, theta, x_observed):
        """Log of prior times likelihood, up to a constant: an unnormalised posterior, shape (n,)."""
        theta = np.asarray(theta, dtype=np.float64).reshape(-1, self.dx)
        drive = theta @ self.design.T
        log_normaliser = (np.maximum(drive, 0.0) + np.log1p(np.exp(-np.abs(drive)))).sum(axis=1)
        log_prior = -0.5 * ((theta @ self.precision) * theta).sum(axis=1)
        return theta @ self._checked(x_observed) - log_normaliser + log_prior

    def _posterior(self, x, n, rng):
        centre, factor = self._fitted(x, rng)
        parts = _parts(n, self.rows_at_once)
        ends = [self._chains(x, centre, factor, len(rows), rng) for rows in parts]
        theta, accepted = (np.concatenate(each) for each in zip(*ends, strict=True))
        if accepted.mean() < self.least_acceptance:
            raise RuntimeError(
                f"only {accepted.mean():.0%} of the proposals were accepted: the draws may not have converged"
            )
        return theta

    def _fitted(self, x, rng):
        """Mean of the posterior, and a triangular factor of its covariance, about."""
        mode, curvature = self._mode(x)
        factor = self.widening * np.linalg.cholesky(np.linalg.inv(curvature))
        theta, log_ratio = self._propose(x, mode, factor, self.pilot_rows, rng)
        weight = np.exp(log_ratio - log_ratio.max())
        covariance = np.cov(theta, rowvar=False, aweights=weight)
        return np.average(theta, axis=0, weights=weight), np.linalg.cholesky(covariance)

    def _chains(self, x, centre, factor, n, rng):
        """Run chains: their ends, and the share of accepted proposals of each."""
        theta, log_ratio = self._propose(x, centre, factor, n, rng)
        accepted = np.zeros(n)
        for _ in range(self.n_steps):
            other, log_other = self._propose(x, centre, factor, n, rng)
            better = np.log1p(-rng.random(n)) < log_other - log_ratio
            theta[better], log_ratio[better] = other[better], log_other[better]
            accepted += better / self.n_steps
        return theta, accepted

    def _propose(self, x, centre, factor, n, rng):
        """Draw from the t, and the log of the posterior over its density."""
        z = rng.standard_normal((n, self.dx))
        z *= np.sqrt(self.degrees / rng.chisquare(self.degrees, size=(n, 1)))
        theta = centre + z @ factor.T
        log_t = -0.5 * (self.degrees + self.dx) * np.log1p((z**2).sum(axis=1) / self.degrees)
        return theta, self.log_joint(theta, x) - log_t

    def _mode(self, x):
        """Find the mode, and the negative second derivative of the log posterior there."""
        mode = np.zeros(self.dx)
        for _ in range(self.most_newton):
            rate = expit(self.design @ mode)
            gradient = x - self.design.T @ rate - self.precision @ mode
            curvature = (self.design.T * (rate * (1.0 - rate))) @ self.design + self.precision
            step = np.linalg.solve(curvature, gradient)
            if gradient @ step < self.newton_tolerance:
                return mode, curvature
            # A full step can be too long far from the mode.
            while self.log_joint(mode + step, x)[0] < self.log_joint(mode, x)[0]:
                step /= 2.0
            mode = mode + step
        raise RuntimeError("Newton's method did not find the mode")


class LognormalTask(Task):
    """A task with independent lognormal parameters; a subclass also writes `_log_likelihood`.

    The posterior is drawn by tempered sequential Monte Carlo.

    Attributes
    ----------
    log_mean, log_spread : array-like of shape (dx,) or float
        Of the logarithms.
    """

    def _from_normal(self, u):
        return np.exp(self.log_mean + self.log_spread * u)

    def _draw_prior(self, n, rng):
        return self._from_normal(rng.standard_normal((n, self.dx)))

    def _posterior(self, x, n, rng):
        def log_likelihood(u):
            return self._log_likelihood(self._from_normal(u), x)

        return self._from_normal(sample_posterior(log_likelihood, self.dx, n, rng))


class LotkaVolterra(LognormalTask):
    """Predators and prey, seen ten times, with multiplicative noise. Task T.10 of the paper.

    ``theta`` is alpha, beta, gamma, delta: independent and lognormal, of log mean -0.125, -3, -0.125, -3 and
    log spread 0.5. From 30 prey X and 1 predator Y, ``dX/dt = alpha X - beta X Y``,
    ``dY/dt = -gamma Y + delta X Y``. x is X at t = 0, 2.1, ..., 18.9 and then Y, each times exp(0.1 z), z
    standard normal. Both are kept above 1e-10, and below 1e4.

    Notes
    -----
    The logarithms are integrated by the classical Runge-Kutta method in steps of 0.021: over 2,000 draws of
    the prior within 0.003 of a twentieth of the step, the noise being 0.1.
    """

    name = "lotka_volterra"
    dx, dy = 4, 20
    bounds = box(0.0, np.inf, 4)
    log_mean, log_spread = np.array([-0.125, -3.0, -0.125, -3.0]), 0.5
    start = (30.0, 1.0)
    times, interval, steps = 10, 2.1, 100
    log_least, log_most = math.log(1e-10), math.log(1e4)
    noise = 0.1

    def _sample(self, n, rng):
        theta = self._draw_prior(n, rng)
        return theta, np.exp(self.log_expected(theta) + self.noise * rng.standard_normal((n, self.dy)))

    def log_expected(self, theta):
        """Log of the data without noise: (n, 4) to (n, 20)."""
        alpha, beta, gamma, delta = np.transpose(theta)
        state = np.repeat(np.log(self.start)[:, np.newaxis], len(theta), axis=1)

        def rate(state):
            prey, predators = np.exp(state)
            return np.stack([alpha - beta * predators, delta * prey - gamma])

        states = _runge_kutta(rate, state, self.interval, self.steps, self.times)
        rows = states.reshape(len(theta), self.dy)
        return np.clip(rows, self.log_least, self.log_most)

    def _log_likelihood(self, theta, x):
        off = np.log(x) - self.log_expected(theta)
        return -0.5 * ((off / self.noise) ** 2).sum(axis=1)


class Epidemic(LognormalTask):
    """An epidemic that is sampled ten times: susceptible, infected, recovered. Task T.9 of the paper.

    ``theta`` is the contact rate beta and the recovery rate gamma per day, independent and lognormal, of log
    mean log 0.4 and log 0.125, log spread 0.5 and 0.2. From I = 1 infected of N = 1,000,000,
    ``dS/dt = -beta S I / N``, ``dI/dt = beta S I / N - gamma I``. x is how many of 1,000 people, drawn anew
    every 17 days from day 0 on, are infected: binomial, of chance I / N.

    Notes
    -----
    The logarithms are integrated by the classical Runge-Kutta method in steps of 0.25 days, within a
    thousandth of an adaptive integration.
    """

    name = "sir"
    dx, dy = 2, 10
    bounds = box(0.0, np.inf, 2)
    log_mean, log_spread = np.log([0.4, 0.125]), np.array([0.5, 0.2])
    people, first_infected, seen = 1_000_000, 1, 1000
    times, interval, steps = 10, 17.0, 68

    def _sample(self, n, rng):
        theta = self._draw_prior(n, rng)
        return theta, rng.binomial(self.seen, self.share(theta)).astype(float)

    def share(self, theta):
        """Share of the people infected at the times of the data: (n, 2) to (n, 10)."""
        beta, gamma = np.transpose(theta)
        infected = self.first_infected / self.people
        state = np.repeat(np.log([[1.0 - infected], [infected]]), len(theta), axis=1)

        def rate(state):
            susceptible, infected = np.exp(state)
            return np.stack([-beta * infected, beta * susceptible - gamma])

        states = _runge_kutta(rate, state, self.interval, self.steps, self.times)
        return np.minimum(np.exp(states[:, 1]), 1.0)

    def _log_likelihood(self, theta, x):
        # Relative to that of the best shares there could be.
        return (self._log_binomial(x, self.share(theta)) - self._log_binomial(x, x / self.seen)).sum(axis=1)

    def _log_binomial(self, x, share):
        """Log of the probability of counts, but for the number of ways to draw them."""
        return xlogy(x, share) + xlog1py(self.seen - x, -share)


class ProblemTask(Task):
    """A problem of innverse as a task; its x is theta here and its y is x."""

    def __init__(self, name, problem, bounds):
        self.name, self.problem, self.bounds = name, problem, bounds
        self.dx, self.dy = problem.dx, problem.dy

    def _sample(self, n, rng):
        return self.problem.sample(n, rng)

    def _posterior(self, x, n, rng):
        return self.problem.reference_posterior(x, n, rng)


def _runge_kutta(rate, state, interval, steps, times):
    """Integrate by the classical Runge-Kutta method: (columns, n) to (n, columns, times), start included."""
    seen, h = [state], interval / steps
    for _ in range(times - 1):
        for _ in range(steps):
            first = rate(state)
            second = rate(state + 0.5 * h * first)
            third = rate(state + 0.5 * h * second)
            fourth = rate(state + h * third)
            state = state + h / 6.0 * (first + 2.0 * (second + third) + fourth)
        seen.append(state)
    return np.transpose(seen, (2, 1, 0))


def _tails(mean, scale, low, high):
    """Turn an interval of a normal variable to the lower tail, where its probability is accurate.

    Returns
    -------
    turned, lower, upper : ndarray
        Whether it was turned, and its ends in standard units.
    log_upper, ratio : ndarray
        Log of the probability below the upper end, and the share of that which is below the lower one.
    """
    first, last = (low - mean) / scale, (high - mean) / scale
    turned = first + last > 0.0
    lower, upper = np.where(turned, -last, first), np.where(turned, -first, last)
    log_upper = log_ndtr(upper)
    return turned, lower, upper, log_upper, np.exp(log_ndtr(lower) - log_upper)


def _log_mass(mean, scale, low, high):
    """Log of the probability that a normal variable lies in an interval."""
    *_, log_upper, ratio = _tails(mean, scale, low, high)
    return log_upper + np.log1p(-ratio)


def _truncated_normal(mean, scale, low, high, rng):
    """Draw normal variables given that they lie in an interval, and the log of how probable that was.

    Accurate for an interval far out in a tail, too; one without width has a log probability of -inf.
    """
    turned, lower, upper, log_upper, ratio = _tails(mean, scale, low, high)
    share = 1.0 - rng.random(upper.shape)
    z = np.clip(ndtri_exp(log_upper + np.log(share + (1.0 - share) * ratio)), lower, upper)
    draws = np.clip(mean + scale * np.where(turned, -z, z), low, high)
    with np.errstate(divide="ignore"):
        return draws, log_upper + np.log1p(-ratio)


def _inverse_gamma(shape, scale, most, n, rng):
    """Draw inverse gamma variables given that they are at most a number."""
    share = 1.0 - rng.random(n)
    return np.minimum(scale / gammainccinv(shape, share * gammaincc(shape, scale / most)), most)


def _parts(n, most):
    """Cut n rows in as few parts of at most so many as possible: their indices."""
    return np.array_split(np.arange(n), -(-n // most))


TASKS = {
    task.name: task
    for task in (
        TwoMoons(),
        GaussianMixture(),
        GaussianLinear(),
        GaussianLinearUniform(),
        SLCP(),
        BernoulliGLM(),
        LotkaVolterra(),
        Epidemic(),
        ProblemTask("inverse_kinematics", InverseKinematics(), None),
        # Height in metres, of which 0.13 % of the prior is 0, and angle in degrees; speeds are whole numbers.
        ProblemTask(
            "inverse_ballistics",
            InverseBallistics(),
            [(-np.inf, np.inf), (0.0, np.inf), (9.0, 81.0), (-np.inf, np.inf)],
        ),
    )
}
