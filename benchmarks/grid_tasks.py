"""Tasks with one to three parameters whose posteriors are integrated on a grid.

No default of the package was chosen on them: they show what a problem of a user's own may expect. Each has
something that is hard on a method: counts of all sizes, parameters with an edge, censored data, an angle that
jumps, heavy tails, a discrete observation. `GRID_TASKS` has one of each, by name.
"""

import numpy as np
from scipy import stats
from scipy.special import logsumexp, ndtr, xlog1py, xlogy
from tasks import Task


class GridTask(Task):
    """A task with independent parameters and an explicit likelihood.

    A subclass sets `priors`, one frozen distribution of scipy for each parameter, and writes `_simulate` and
    `_log_likelihood`, the latter up to a constant that depends on the data alone.

    Notes
    -----
    The posterior is tabulated in normal scores of the prior, on `cells` along each axis. Their box first
    spans the prior and then shrinks to where the density is more than `negligible` of the highest. The cells
    must be fine enough to find the peak in the first round, and to follow what is narrow in a box that stays
    broad. Draws are even within a cell.
    """

    priors: tuple
    # Cells along each axis.
    cells: tuple
    # A normal variable lies beyond with a probability of 2e-9.
    span = 6.0
    negligible = 1e-9
    rounds = 4

    @property
    def dx(self):
        """Number of parameters."""
        return len(self.priors)

    @property
    def bounds(self):
        """Where the prior of each parameter ends; None if none of them has an end."""
        ends = [prior.support() for prior in self.priors]
        return None if np.isinf(ends).all() else ends

    def _sample(self, n, rng):
        theta = np.column_stack([prior.rvs(size=n, random_state=rng) for prior in self.priors])
        return theta, self._simulate(theta, rng).astype(np.float64)

    def _from_normal(self, columns):
        return [prior.ppf(ndtr(u)) for prior, u in zip(self.priors, columns, strict=True)]

    def _grid(self, x):
        """Midpoints of cells in normal scores, the log of prior times likelihood there, and their widths."""
        low, high, cells = np.full(self.dx, -self.span), np.full(self.dx, self.span), np.array(self.cells)
        for _ in range(self.rounds):
            widths = (high - low) / cells
            axes = [low[i] + widths[i] * (np.arange(n) + 0.5) for i, n in enumerate(cells)]
            u, theta = _product(axes), _product(self._from_normal(axes))
            log_prior = _product([stats.norm.logpdf(axis) for axis in axes]).sum(axis=1)
            log_joint = log_prior + self._log_likelihood(theta, x)
            if not np.isfinite(log_joint.max()):
                raise ValueError(f"x_observed must be an outcome of some theta in the prior, got {x}")
            inside = u[log_joint > log_joint.max() + np.log(self.negligible)]
            low, high = inside.min(axis=0) - widths, inside.max(axis=0) + widths
        return u, log_joint, widths

    def _posterior(self, x, n, rng):
        u, log_joint, widths = self._grid(x)
        weights = np.exp(log_joint - log_joint.max())
        picked = rng.choice(len(u), size=n, p=weights / weights.sum())
        offset = widths * (rng.random((n, self.dx)) - 0.5)
        return np.column_stack(self._from_normal((u[picked] + offset).T))

    def _log_posterior(self, theta, x):
        _, log_joint, widths = self._grid(x)
        log_evidence = logsumexp(log_joint) + np.log(widths).sum()
        columns = zip(self.priors, theta.T, strict=True)
        log_prior = sum(prior.logpdf(column) for prior, column in columns)
        inside = np.isfinite(log_prior)
        log_density = np.full(len(theta), -np.inf)
        log_density[inside] = log_prior[inside] + self._log_likelihood(theta[inside], x) - log_evidence
        return log_density

    def _simulate(self, theta, rng):
        raise NotImplementedError

    def _log_likelihood(self, theta, x):
        raise NotImplementedError


def _product(axes):
    """Every combination of the values along the axes: shape (combinations, axes)."""
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))


class CountTask(GridTask):
    """A task whose data are independent Poisson counts; a subclass writes `_rate`: (n, dx) to (n, dy)."""

    def _simulate(self, theta, rng):
        return rng.poisson(self._rate(theta))

    def _log_likelihood(self, theta, x):
        rate = self._rate(theta)
        return (x * np.log(rate) - rate).sum(axis=1)

    def _rate(self, theta):
        raise NotImplementedError


class PoissonRegression(CountTask):
    """Ten counts whose logarithmic rates are linear in three parameters.

    ``theta ~ N(0, I)``, ``x ~ Poisson(exp(1 + design theta / 2))``, with a design drawn once from N(0, 1).
    """

    name = "poisson_regression"
    dy = 10
    priors = (stats.norm(),) * 3
    cells = (60, 60, 60)
    design = np.random.default_rng(5).standard_normal((10, 3))

    def _rate(self, theta):
        return np.exp(1.0 + 0.5 * theta @ self.design.T)


class SpectralLine(CountTask):
    """Counts in twenty channels: a line of unknown height, place and width on an even background.

    Height lognormal of log mean 3 and log spread 1, place ``U(0, 1)``, width ``U(0.02, 0.3)``, background 5:
    lines from far below the noise to hundreds of counts in a channel, some narrower than that.
    """

    name = "spectral_line"
    dy = 20
    priors = (stats.lognorm(1.0, scale=np.exp(3.0)), stats.uniform(0.0, 1.0), stats.uniform(0.02, 0.28))
    # Where the counts leave the place open, the likelihood still changes from channel to channel.
    cells = (60, 200, 40)
    channels = np.linspace(0.0, 1.0, 20)
    background = 5.0

    def _rate(self, theta):
        height, place, width = np.transpose(theta)[..., np.newaxis]
        return self.background + height * np.exp(-0.5 * ((self.channels - place) / width) ** 2)


class CensoredLifetimes(GridTask):
    """Eight lifetimes, each watched until 1.5 at the longest: any number of them reach that.

    Weibull distributed; the shape is lognormal of log mean 0.3 and log spread 0.5, the scale of log mean 0
    and log spread 0.7.
    """

    name = "censored_lifetimes"
    dy = 8
    priors = (stats.lognorm(0.5, scale=np.exp(0.3)), stats.lognorm(0.7))
    cells = (200, 200)
    watched = 1.5

    def _simulate(self, theta, rng):
        shape, scale = np.transpose(theta)[..., np.newaxis]
        return np.minimum(scale * rng.weibull(shape, size=(len(theta), self.dy)), self.watched)

    def _log_likelihood(self, theta, x):
        shape, scale = np.transpose(theta)[..., np.newaxis]
        log_ratio = np.log(x) - np.log(scale)
        hazard = np.where(x < self.watched, np.log(shape / scale) + (shape - 1.0) * log_ratio, 0.0)
        return (hazard - np.exp(shape * log_ratio)).sum(axis=1)


class BearingAndRange(GridTask):
    """A place in a square, seen from its middle: the bearing jumps by a turn, and nearby all of them meet.

    ``theta ~ U(-1, 1)^2``; x is its angle with normal noise of 0.1, between -pi and pi, and its distance
    times ``exp(0.2 z)``, z standard normal.
    """

    name = "bearing_and_range"
    dy = 2
    priors = (stats.uniform(-1.0, 2.0),) * 2
    cells = (200, 200)
    angle_noise, log_noise = 0.1, 0.2

    @staticmethod
    def _turned(angle):
        return (angle + np.pi) % (2.0 * np.pi) - np.pi

    def _simulate(self, theta, rng):
        noise = rng.standard_normal((2, len(theta)))
        angle = np.arctan2(theta[:, 1], theta[:, 0]) + self.angle_noise * noise[0]
        distance = np.hypot(*theta.T) * np.exp(self.log_noise * noise[1])
        return np.column_stack([self._turned(angle), distance])

    def _log_likelihood(self, theta, x):
        angle = self._turned(x[0] - np.arctan2(theta[:, 1], theta[:, 0])) / self.angle_noise
        distance = np.log(x[1] / np.hypot(*theta.T)) / self.log_noise
        return -0.5 * (angle**2 + distance**2)


class HeavyTails(GridTask):
    """Six measurements of one number, all with heavy tails.

    theta has Student's distribution of 3 degrees of freedom; the six errors that of 2, times 0.5.
    """

    name = "heavy_tails"
    dy = 6
    priors = (stats.t(3.0),)
    cells = (4000,)
    error, freedom = 0.5, 2.0

    def _simulate(self, theta, rng):
        return theta + self.error * rng.standard_t(self.freedom, size=(len(theta), self.dy))

    def _log_likelihood(self, theta, x):
        squares = ((x - theta) / self.error) ** 2
        return -0.5 * (self.freedom + 1.0) * np.log1p(squares / self.freedom).sum(axis=1)


class BinomialShare(GridTask):
    """A share that is uniform on (0, 1), and what is counted of 5, 10 and 20 trials.

    The posterior is a beta distribution.
    """

    name = "binomial_share"
    dy = 3
    priors = (stats.uniform(),)
    cells = (4000,)
    trials = np.array([5, 10, 20])

    def _simulate(self, theta, rng):
        return rng.binomial(self.trials, theta)

    def _log_likelihood(self, theta, x):
        return (xlogy(x, theta) + xlog1py(self.trials - x, -theta)).sum(axis=1)


GRID_TASKS = {
    task.name: task
    for task in (
        PoissonRegression(),
        SpectralLine(),
        CensoredLifetimes(),
        BearingAndRange(),
        HeavyTails(),
        BinomialShare(),
    )
}
