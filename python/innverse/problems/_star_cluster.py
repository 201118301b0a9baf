"""A star cluster in its birth cloud, seen by the emission lines of the gas that it ionises."""

from __future__ import annotations

from numbers import Integral

import joblib
import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr
from tqdm.auto import tqdm

from ._base import FloatArray, Problem, check_rows
from ._nebular_lines import nebular_lines
from ._smc import sample_posterior

_X_NAMES = (
    "log cloud mass [Msun]",
    "log star formation efficiency [-]",
    "log density [1/cm3]",
    "age [Myr]",
    "12 + log O/H [-]",
    "log wind boost [-]",
)
# Ends of the uniform prior of each parameter.
_LOW = np.array([5.0, -2.0, 2.0, 0.3, 7.4, 0.0])
_HIGH = np.array([7.0, -0.7, 3.0, 12.0, 8.9, 0.5])
# Parameters may lie outside of the prior by this share of its width, where the model makes sense still.
_MARGIN = 0.5
# Columns of the parameters that move the shell: all but the abundance.
_DYNAMIC = [0, 1, 2, 3, 5]
_AGE, _OXYGEN = 3, 4
# Columns of what the core returns.
_RADIUS, _VELOCITY, _PHOTONS, _ELECTRONS, _LOG_U, _RECOLLAPSES = range(6)
# Error that a step of the integration may have. Over the prior, observations are then within 0.0001 of those
# at 1e-10, a hundredth of the noise and less.
_TOLERANCE = 1e-6
# A line has this width even if the shell stands still, km/s: turbulence and heat.
_LEAST_WIDTH = 10.0
# What may be observed: name, standard deviation of its noise in dex.
_OBSERVABLES = {
    "h_alpha": ("log H-alpha luminosity [erg/s]", 0.1),
    "oii": ("log [OII]/H-beta [-]", 0.1),
    "oiii": ("log [OIII]/H-beta [-]", 0.1),
    "sii": ("log [SII]/H-beta [-]", 0.1),
    "sii_ratio": ("log [SII] 6716/6731 [-]", 0.02),
    "width": ("log line width [km/s]", 0.07),
    "nii": ("log [NII]/H-beta [-]", 0.15),
}
# Rows simulated between two looks at the keyboard, about a tenth of a second on one core.
_CHUNK = 4_096
# Particles of the reference posterior: with several modes, more than the least.
_PARTICLES = 4_000
# Points of a trajectory if none are given.
_TRAJECTORY_POINTS = 500


class StarCluster(Problem):
    """A young star cluster whose birth cloud is blown away, or falls back and forms stars again.

    How massive was the cloud, how efficiently did it form stars, and how long ago, if its gas shines like
    this? A cloud of mass M and uniform density forms a cluster of mass e M at its centre. Light, winds,
    supernovae and the pressure of ionised gas push the rest of the gas outwards in a thin shell; gravity
    pulls it back. Where gravity wins the shell falls in, and a second cluster forms. What is seen are the
    emission lines of the gas: how bright, how excited, how wide.

    Different histories explain one observation: a young cluster whose shell expands fast, or an older one
    whose cloud has fallen back. Mass and efficiency trade off, and the density hardly shows.

    This is a toy with real physics: gas without dust, from which no ionising photon escapes, in a simple
    balance of ionisation.

    Parameters
    ----------
    nitrogen : bool, default=False
        Whether [NII]/H-beta is observed too; it becomes the last column of y.
    sulfur : bool, default=True
        Whether the two columns of [SII] are observed. Without them there are often two metallicities for
        one strength of the oxygen lines.
    n_jobs : int or None, default=-1
        Threads; -1 means all cores and None means 1, as in scikit-learn. Results do not depend on it.
    verbose : int, default=0
        1 shows a progress bar.

    Attributes
    ----------
    low, high : ndarray of shape (6,)
        Ends of the prior, which is uniform in each parameter.
    bounds : tuple of (low, high)
        The same, for each parameter: the `bounds` of an estimator.
    noise_scales : ndarray of shape (dy,)
        Standard deviation of the normal noise on each column of y, in dex: 0.1 for a line over H-beta and for
        H-alpha, 0.15 for [NII], 0.02 for the ratio of the two lines of [SII], 0.07 for the width.

    Notes
    -----
    Parameters, x: log10 of the mass of the cloud in solar masses, from 5 to 7; log10 of the star formation
    efficiency e, -2 to -0.7; log10 of the hydrogen density n per cm^3, 2 to 3; age in Myr, 0.3 to 12; 12 +
    log O/H, 7.4 to 8.9; log10 of a factor f on the momentum of winds and supernovae, 0 to 0.5.

    The shell starts at a twentieth of the cloud's radius with 5 km/s. With L the luminosity and pdot the
    momentum of winds and supernovae per time, P the pressure of the ionised gas at 8,000 K, in which
    recombinations balance the Q ionising photons per second, and M* the mass of stars::

        d(m v)/dt = L/c + f pdot + 4 pi R^2 P - G m (M* + m/2) / R^2

    The shell's mass m is that of the gas that was within R, at most the cloud's, and never falls. L, Q and
    pdot follow the ages of the stars by a table of Starburst99, linear in their logs. A shell that falls
    below 1 pc ends; of all gas left in the cloud, the share e forms a second cluster, and the rest, at the
    density of before, a new shell; and so on. Light and momentum of all clusters add up. About 10 % of the
    prior has fallen back by its age. The age is that of the first cluster.

    The lines come from the shell's inner side, whose electrons, with those of helium and the ions and at
    8,000 K, balance the pressure of the gas inside and that of L/c + f pdot. Q, its distance and its
    density give the ionisation parameter, held between 10^-4.5 and 10^-1, and that the ratio of O++ to O+,
    10^(1.25 (log U + 2.9)), an assumption. S+ and N+ go with O+. Strengths of lines are fits to atomic
    data, in which the temperature of the electrons falls with the oxygen abundance. The width of a line,
    ``sqrt(v^2 / 3 + (10 km/s)^2)``, does not tell a shell that falls from one that expands.

    Choices where nature leaves none: stars younger than 0.01 Myr shine as at 0.01 Myr, and beyond 11.71 Myr
    the table goes on with its last slope; before age 0 everything is as at age 0. A shell that has left its
    cloud meets no more gas. A parameter may lie outside of its prior by half the prior's width, and
    simulations there are finite; beyond that is an error.

    Ordinary differential equations are solved with an adaptive step, and the moments where a shell turns
    round, leaves its cloud or falls below 1 pc are located. 100,000 simulations take 3 s of one core. The
    reference posterior is drawn by tempered sequential Monte Carlo on the explicit likelihood, in 5 to 20 s
    of one core for each observation; its draws are nearly independent.

    References
    ----------
    Shell: D. Rahner, E. Pellegrini, S. Glover, R. Klessen, "Winds and radiation in unison: a new
    semi-analytic feedback model for cloud dissolution", Monthly Notices of the Royal Astronomical Society
    470 (2017); the second generation of stars: the same, "Forming clusters within clusters: how 30 Doradus
    recollapsed and gave birth again", Monthly Notices Letters 473 (2018). Stars: C. Leitherer et al.,
    "Starburst99: synthesis models for galaxies with active star formation", Astrophysical Journal
    Supplement 123 (1999), solar metallicity. Lines: Y. Izotov et al., "The chemical composition of
    metal-poor emission-line galaxies in the Data Release 3 of the Sloan Digital Sky Survey", Astronomy &
    Astrophysics 448 (2006); R. Sanders et al., Astrophysical Journal 816, 23 (2016). The problem: L.
    Ardizzone et al., "Analyzing inverse problems with invertible neural networks", ICLR 2019, astrophysics;
    simulator, parameters and observables here are other ones.

    Examples
    --------
    >>> from innverse.problems import StarCluster
    >>> problem = StarCluster()
    >>> problem.dx, problem.dy
    (6, 6)
    >>> problem.recollapses([[6.0, -1.0, 2.5, 3.0, 8.2, 0.2], [6.8, -1.8, 2.9, 8.0, 8.2, 0.1]])
    array([0, 1])
    >>> times, radius, velocity = problem.trajectory([6.0, -1.0, 2.5, 3.0, 8.2, 0.2])
    >>> print(f"{radius[-1]:.1f} pc and {velocity[-1]:.1f} km/s after {times[-1]:.0f} Myr")
    45.8 pc and 17.9 km/s after 3 Myr
    """

    dx = 6
    x_names = _X_NAMES
    bounds = tuple(zip(_LOW.tolist(), _HIGH.tolist(), strict=True))

    def __init__(
        self, *, nitrogen: bool = False, sulfur: bool = True, n_jobs: int | None = -1, verbose: int = 0
    ) -> None:
        for name, value in (("nitrogen", nitrogen), ("sulfur", sulfur)):
            if not isinstance(value, (bool, np.bool_)):
                raise TypeError(f"{name} must be True or False, got {value!r} of type {type(value).__name__}")
        if n_jobs is not None and (isinstance(n_jobs, bool) or not isinstance(n_jobs, Integral)):
            raise TypeError(
                f"n_jobs must be an integer or None, got {n_jobs!r} of type {type(n_jobs).__name__}"
            )
        if n_jobs == 0:
            raise ValueError("n_jobs must not be 0; -1 means all cores")
        self.nitrogen = bool(nitrogen)
        self.sulfur = bool(sulfur)
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.low, self.high = _LOW.copy(), _HIGH.copy()
        left_out = set() if self.sulfur else {"sii", "sii_ratio"}
        left_out |= set() if self.nitrogen else {"nii"}
        self._observed = [name for name in _OBSERVABLES if name not in left_out]
        self.dy = len(self._observed)
        self.y_names = tuple(_OBSERVABLES[name][0] for name in self._observed)
        self.noise_scales = np.array([_OBSERVABLES[name][1] for name in self._observed])
        for array in (self.low, self.high, self.noise_scales):
            array.flags.writeable = False

    def __repr__(self) -> str:
        return f"StarCluster(nitrogen={self.nitrogen}, sulfur={self.sulfur})"

    def expected(self, x: ArrayLike) -> FloatArray:
        """Run the forward process without noise.

        Parameters
        ----------
        x : array-like of shape (n, 6)
            Parameters, in the units of `x_names`.

        Returns
        -------
        y : ndarray of shape (n, dy)
            Mean observations, in the units of `y_names`.
        """
        return self._expected(_check_limits(check_rows("x", x, self.dx)))

    def recollapses(self, x: ArrayLike) -> NDArray[np.int64]:
        """Count how often the shell has fallen back and formed another cluster.

        Parameters
        ----------
        x : array-like of shape (n, 6)
            Parameters, in the units of `x_names`.

        Returns
        -------
        count : ndarray of shape (n,)
            Of recollapses up to the age of each row.
        """
        rows = self._shells(_check_limits(check_rows("x", x, self.dx)))
        return rows[:, _RECOLLAPSES].astype(np.int64)

    def trajectory(
        self, x: ArrayLike, times: ArrayLike | None = None
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Follow the shell of one cloud over time.

        Parameters
        ----------
        x : array-like of shape (6,)
            Parameters, in the units of `x_names`.
        times : array-like of shape (k,) or None
            Times in Myr since the first cluster formed; None for 500 from 0 to the age.

        Returns
        -------
        times : ndarray of shape (k,)
            In Myr.
        radius : ndarray of shape (k,)
            Of the shell that is on its way at each time, in pc. After a recollapse that is a new one.
        velocity : ndarray of shape (k,)
            In km/s, negative where the shell falls.
        """
        row = np.asarray(x)
        if row.shape != (self.dx,):
            raise ValueError(f"x must have shape ({self.dx},), one cloud, got shape {row.shape}")
        rows = _check_limits(check_rows("x", row[np.newaxis], self.dx))
        if times is None:
            times = np.linspace(0.0, max(rows[0, _AGE], 0.0), _TRAJECTORY_POINTS)
        ages = check_rows("times", times, 1)[:, 0]
        latest = _limits()[1][_AGE]
        if ages.size and ages.max() > latest:
            raise ValueError(f"times must be at most {latest:g} Myr, got {ages.max():g}")
        rows = np.repeat(rows, len(ages), axis=0)
        rows[:, _AGE] = ages
        shells = self._shells(rows)
        return ages, shells[:, _RADIUS], shells[:, _VELOCITY]

    def _sample_prior(self, n: int, rng: np.random.Generator) -> FloatArray:
        return np.asarray(self.low + (self.high - self.low) * rng.random((n, self.dx)))

    def _simulate(self, x: FloatArray, rng: np.random.Generator) -> FloatArray:
        y = self._expected(_check_limits(x))
        return np.asarray(y + self.noise_scales * rng.standard_normal(y.shape))

    def _posterior(self, y: FloatArray, n: int, rng: np.random.Generator) -> FloatArray:
        samples = np.empty((len(y), n, self.dx))
        for row in tqdm(range(len(y)), unit="observation", disable=not self.verbose):
            samples[row] = self._posterior_of_one(row, y[row], n, rng)
        return samples

    def _posterior_of_one(self, row: int, y: FloatArray, n: int, rng: np.random.Generator) -> FloatArray:
        def parameters(u: FloatArray) -> FloatArray:
            return np.asarray(self.low + (self.high - self.low) * ndtr(u))

        def log_likelihood(u: FloatArray) -> FloatArray:
            with np.errstate(over="ignore"):  # an observation beyond all measure: a likelihood of 0
                misfit = (y - self._expected(parameters(u), quiet=True)) / self.noise_scales
                return np.asarray(-0.5 * np.square(misfit).sum(axis=1))

        particles = sample_posterior(log_likelihood, self.dx, n, rng, row=row, particles=_PARTICLES)
        return parameters(particles)

    def _expected(self, x: FloatArray, quiet: bool = False) -> FloatArray:
        shells = self._shells(x, quiet)
        lines = nebular_lines(shells[:, _PHOTONS], x[:, _OXYGEN], shells[:, _ELECTRONS], shells[:, _LOG_U])
        # A third of the kinetic energy is along the line of sight.
        width = 0.5 * np.log10(shells[:, _VELOCITY] ** 2 / 3.0 + _LEAST_WIDTH**2)
        columns = {**vars(lines), "width": width}
        return np.column_stack([columns[name] for name in self._observed])

    def _shells(self, x: FloatArray, quiet: bool = False) -> FloatArray:
        """Integrate the motion of each row: (n, 6), columns as named at the top."""
        # Here, so that the other problems work without the compiled extension.
        from .. import _core

        threads = int(joblib.effective_n_jobs(self.n_jobs))
        dynamic = np.ascontiguousarray(x[:, _DYNAMIC])
        shells = np.empty((len(x), 6))
        with tqdm(total=len(x), unit="simulation", disable=quiet or not self.verbose) as bar:
            for start in range(0, len(x), _CHUNK):
                rows = slice(start, start + _CHUNK)
                shells[rows] = _core.star_cluster(dynamic[rows], _TOLERANCE, threads)
                bar.update(len(dynamic[rows]))
        return shells


def _limits() -> tuple[FloatArray, FloatArray]:
    """Return the ends of where each parameter may lie."""
    margin = _MARGIN * (_HIGH - _LOW)
    return _LOW - margin, _HIGH + margin


def _check_limits(x: FloatArray) -> FloatArray:
    low, high = _limits()
    bad = np.argwhere((x < low) | (x > high))
    if bad.size:
        row, column = bad[0]
        raise ValueError(
            f"x must lie within half a width of the prior, column {column}, {_X_NAMES[column]}, between "
            f"{low[column]:g} and {high[column]:g}, got {x[row, column]:g} in row {row}"
        )
    return x
