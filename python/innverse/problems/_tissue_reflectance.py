"""Light that tissue reflects, of which oxygenation and blood volume are wanted."""

from __future__ import annotations

import math
import warnings
from typing import Any

import joblib
import numpy as np
from scipy.special import ndtr, ndtri
from tqdm.auto import tqdm

from innverse import _core

from ._base import FloatArray, Problem
from ._smc import sample_posterior

# Prior: the colon model published as swirkert/ipcai2016 by the authors' group. Saturation and blood volume
# fraction are uniform; so is anisotropy; reduced scattering at 500 nm is normal, in 1/cm, truncated below;
# the thicknesses of the layers, from the top down, are uniform, in mm.
_SATURATION = (0.0001, 1.0)
_BLOOD_VOLUME = (0.0001, 0.1)
_SCATTERING_MEAN, _SCATTERING_SCALE, _LEAST_SCATTERING = 18.9, 10.2, 2.0
_ANISOTROPY = (0.80, 0.95)
_THICKNESSES = ((0.600, 1.010), (0.415, 0.847), (0.395, 0.603))
_LAYERS = len(_THICKNESSES)
_REFRACTIVE_INDEX = 1.36
# Bands in nm with the molar extinction coefficients of oxygenated and deoxygenated haemoglobin, 1/cm per
# mol/L, from S. Prahl's compilation; 511 nm is the mean of 510 and 512.
_BANDS = (470.0, 480.0, 511.0, 560.0, 580.0, 600.0, 660.0, 700.0)
_OXYGENATED = (33209.2, 26629.2, 20092.8, 32613.2, 50104.0, 3200.0, 319.6, 290.0)
_DEOXYGENATED = (16156.4, 14550.0, 26355.2, 53788.0, 37020.0, 14677.2, 3226.56, 1794.28)
# Haemoglobin in whole blood, g/L, and its molar mass, g/mol.
_HAEMOGLOBIN, _MOLAR_MASS = 120.0, 64500.0
# Scattering falls with wavelength to this power, from 500 nm.
_SCATTERING_POWER, _SCATTERING_BAND = 1.286, 500.0
_MM_PER_CM = 10.0
# Twelve angles leave an error of about a thousandth of the reflectance, a twentieth of the noise.
_ANGLES = 12
# Outside of the prior, x is taken at the edge of what is physical, or of what light transport is solved for:
# saturation; then volume fraction, scattering, anisotropy and thickness of a layer.
_PHYSICAL_SATURATION = (0.0, 1.0)
_PHYSICAL_LAYER = ((0.0, 1.0), (0.0, 1e4), (-0.99, 0.99), (0.0, 100.0))
# Standard normal numbers beyond this have a probability of 0 in double precision, or nearly so.
_FARTHEST = 37.0
# Smaller reflectances are rounding.
_LEAST_REFLECTANCE = 1e-15
# Rows between two looks at signals and updates of the bar: a quarter of a second or less.
_CHUNK = 1000


class TissueReflectance(Problem):
    """Light that tissue reflects in eight bands, of which oxygenation and blood volume are wanted.

    A camera sees the colours of the bowel's wall during surgery. Which oxygen saturation, how much blood,
    which scattering explain them? The wall is three layers of its own blood volume fraction v, reduced
    scattering a at 500 nm, anisotropy g and thickness d, with one oxygen saturation s::

        absorption   mu_a = ln(10) c v (s e_HbO2 + (1 - s) e_Hb)    c = 120 g/L / 64500 g/mol
        scattering   mu_s = a (wavelength / 500 nm)^-1.286 / (1 - g)

    where e_HbO2 and e_Hb are the molar extinction coefficients of haemoglobin with and without oxygen.
    Light of normal incidence is scattered by Henyey and Greenstein's phase function; the refractive index is
    1.36, with air above and below. The observation is the natural logarithm of the diffuse reflectance
    (without the reflection by the surface) in each band, with noise ``N(0, sigma^2)``.

    The prior is ``s ~ U(0.0001, 1)``, and in each layer ``v ~ U(0.0001, 0.1)``, ``a ~ N(18.9, 10.2^2)`` above
    2 per cm, ``g ~ U(0.80, 0.95)``, and d uniform between 0.600 and 1.010, 0.415 and 0.847, or 0.395 and
    0.603 mm, from the top down. Saturation is recovered sharply; blood volume and scattering of the top layer
    in part, and correlated, because their ratio counts; thickness hardly and anisotropy not at all.

    Parameters
    ----------
    sigma : float, default=0.02
        Standard deviation of the noise on the log reflectance, above 0: the noise is multiplicative.
    n_jobs : int or None, default=-1
        Number of threads as in scikit-learn: None is 1, -1 all processors. Results do not depend on it.
    verbose : int, default=0
        Whether to show a progress bar over simulations.

    Attributes
    ----------
    wavelengths : ndarray of shape (8,)
        Centres of the bands, nm.
    bounds : tuple of (low, high)
        Where the prior of each parameter ends, infinite where it does not: the `bounds` of an estimator.

    Notes
    -----
    The equation of radiative transfer is solved by adding and doubling, with 12 angles and delta-M scaling.
    That is what Monte Carlo simulations sample, without their noise, and the likelihood is an explicit normal
    distribution, from which sequential Monte Carlo draws the reference posterior.

    `simulate` answers every real row of x. A parameter beyond what is physical is taken at the edge of that,
    with a warning: saturation and blood volume fraction between 0 and 1, scattering between 0 and 10,000 per
    cm, anisotropy between -0.99 and 0.99, thickness between 0 and 100 mm.

    References
    ----------
    L. Ardizzone et al., "Analyzing inverse problems with invertible neural networks", ICLR 2019, medical
    application. Prior and optical properties: S. Wirkert et al., "Robust near real-time estimation of
    physiological parameters from megapixel multispectral images with inverse Monte Carlo and random forest
    regression", International Journal of Computer Assisted Radiology and Surgery 11 (2016), and its code.
    Extinction: S. Prahl, "Tabulated molar extinction coefficient for hemoglobin in water". Adding and
    doubling: S. Prahl, M. van Gemert, A. Welch, "Determining the optical properties of turbid media by using
    the adding-doubling method", Applied Optics 32 (1993).

    Examples
    --------
    >>> from innverse.problems import TissueReflectance
    >>> problem = TissueReflectance()
    >>> x, y = problem.sample(5, random_state=0)
    >>> x.shape, y.shape
    ((5, 13), (5, 8))
    """

    dx = 1 + 4 * _LAYERS
    dy = len(_BANDS)
    x_names = (
        "oxygen saturation [-]",
        *(
            f"{name}, layer {layer} [{unit}]"
            for layer in range(1, _LAYERS + 1)
            for name, unit in (
                ("blood volume fraction", "-"),
                ("reduced scattering at 500 nm", "1/cm"),
                ("anisotropy", "-"),
                ("thickness", "mm"),
            )
        ),
    )
    y_names = tuple(f"log reflectance at {band:.0f} nm [-]" for band in _BANDS)
    bounds = (
        _SATURATION,
        *(
            bounds
            for thickness in _THICKNESSES
            for bounds in (_BLOOD_VOLUME, (_LEAST_SCATTERING, math.inf), _ANISOTROPY, thickness)
        ),
    )

    def __init__(self, *, sigma: float = 0.02, n_jobs: int | None = -1, verbose: int = 0) -> None:
        if isinstance(sigma, bool) or not isinstance(sigma, (int, float, np.integer, np.floating)):
            raise TypeError(f"sigma must be a number, got {sigma!r} of type {type(sigma).__name__}")
        if not 0.0 < sigma < math.inf:
            raise ValueError(f"sigma must be above 0 and finite, got {sigma!r}")
        if n_jobs is not None and (isinstance(n_jobs, bool) or not isinstance(n_jobs, (int, np.integer))):
            raise TypeError(
                f"n_jobs must be an integer or None, got {n_jobs!r} of type {type(n_jobs).__name__}"
            )
        if n_jobs == 0:
            raise ValueError("n_jobs must not be 0")
        self.sigma = float(sigma)
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.wavelengths = np.array(_BANDS)
        self.wavelengths.flags.writeable = False

    def __repr__(self) -> str:
        return f"TissueReflectance(sigma={self.sigma!r})"

    def _sample_prior(self, n: int, rng: np.random.Generator) -> FloatArray:
        return _from_normal(rng.standard_normal((n, self.dx)))

    def _simulate(self, x: FloatArray, rng: np.random.Generator) -> FloatArray:
        physical = _at_edge(x)
        beyond = np.flatnonzero((physical != x).any(axis=1))
        if beyond.size:
            warnings.warn(
                f"x has parameters beyond what is physical in {beyond.size} of {len(x)} rows, first in row "
                f"{beyond[0]}; they are taken at the edge of that",
                stacklevel=3,
            )
        with self._bar(len(x)) as bar:
            mean = self._log_reflectance(physical, bar)
        return mean + self.sigma * rng.standard_normal(mean.shape)

    def _posterior(self, y: FloatArray, n: int, rng: np.random.Generator) -> FloatArray:
        with self._bar(None) as bar:
            return np.stack([self._posterior_of_one(row, y[row], n, rng, bar) for row in range(len(y))])

    def _posterior_of_one(
        self, row: int, y: FloatArray, n: int, rng: np.random.Generator, bar: tqdm[Any]
    ) -> FloatArray:
        def log_likelihood(u: FloatArray) -> FloatArray:
            excess = (y - self._log_reflectance(_from_normal(u), bar)) / self.sigma
            return np.asarray(-0.5 * (excess**2).sum(axis=1))

        return _from_normal(sample_posterior(log_likelihood, self.dx, n, rng, row=row))

    def _log_reflectance(self, x: FloatArray, bar: tqdm[Any]) -> FloatArray:
        """Log of the diffuse reflectance, without noise: (n, 13) to (n, 8)."""
        threads = joblib.effective_n_jobs(self.n_jobs)
        result = np.empty((len(x), self.dy))
        for start in range(0, len(x), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            layers = _optical_properties(x[chunk])
            answers = _core.adding_doubling(*layers, _REFRACTIVE_INDEX, _ANGLES, threads)
            result[chunk] = np.log(np.maximum(answers[:, 0], _LEAST_REFLECTANCE)).reshape(-1, self.dy)
            bar.update(len(result[chunk]))
        return result

    def _bar(self, total: int | None) -> tqdm[Any]:
        return tqdm(total=total, unit=" simulations", unit_scale=True, disable=not self.verbose)


def _from_normal(u: FloatArray) -> FloatArray:
    """Map standard normal numbers to the prior, each column by its quantile function: (n, 13) to (n, 13)."""
    u = np.clip(u, -_FARTHEST, _FARTHEST)
    below, above = ndtr(u), ndtr(-u)
    x = np.empty_like(u)
    for column, (low, high) in enumerate(TissueReflectance.bounds):
        if math.isfinite(high):
            x[:, column] = low + (high - low) * below[:, column]
        else:
            # By what is above, which keeps its digits in the long tail.
            share = ndtr((_SCATTERING_MEAN - low) / _SCATTERING_SCALE)
            x[:, column] = _SCATTERING_MEAN - _SCATTERING_SCALE * ndtri(share * above[:, column])
    # Rounding may lead out by a last bit, and an estimator refuses what is outside of its bounds.
    low, high = np.array(TissueReflectance.bounds).T
    return np.clip(x, low, high)


def _at_edge(x: FloatArray) -> FloatArray:
    """Take parameters that are beyond what is physical at the edge of that."""
    low, high = np.array([_PHYSICAL_SATURATION, *(_PHYSICAL_LAYER * _LAYERS)]).T
    return np.clip(x, low, high)


def _optical_properties(x: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Translate physiology into optics.

    Parameters
    ----------
    x : ndarray of shape (n, 13)
        Physical parameters.

    Returns
    -------
    mu_a, mu_s, g, thickness : ndarray of shape (8 n, 3)
        Absorption and scattering, 1/cm, anisotropy, and thickness, cm, of each layer, a row for each band of
        each row of x.
    """
    saturation = x[:, :1]
    volume, scattering, g, thickness = np.moveaxis(x[:, np.newaxis, 1:].reshape(-1, 1, _LAYERS, 4), -1, 0)
    extinction = saturation * np.array(_OXYGENATED) + (1.0 - saturation) * np.array(_DEOXYGENATED)
    molar = math.log(10.0) * _HAEMOGLOBIN / _MOLAR_MASS
    falls = (np.array(_BANDS) / _SCATTERING_BAND) ** -_SCATTERING_POWER
    mu_a = molar * extinction[:, :, np.newaxis] * volume
    mu_s = falls[:, np.newaxis] * scattering / (1.0 - g)

    def rows(values: FloatArray) -> FloatArray:
        return np.broadcast_to(values, mu_a.shape).reshape(-1, _LAYERS)

    return rows(mu_a), rows(mu_s), rows(g), rows(thickness / _MM_PER_CM)
