"""What to believe of a fitted posterior: how it does on simulations that were held out of its training."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from . import _core
from ._validation import FloatArray

if TYPE_CHECKING:
    from .metrics import CalibrationError

# Rows held out that are looked at, over all networks: 500 show an error of 5 percentage points clearly, and
# take a fraction of the time of a fit.
MOST_ROWS = 500
# Posterior draws for each.
DRAWS = 100
# A deviation that chance makes less often than this is called one.
SIGNIFICANCE = 0.01
# Spreads are compared in units of the prior's; smaller ones are none.
LEAST_SPREAD = 1e-9
# Outliers are moved to this many of them.
FARTHEST = 1e6
# An observation this many times farther out than the farthest usual ones is no chance among any number.
FAR = 3.0
# What is said of a parameter that is not recoverable.
UNRECOVERABLE = "posterior equals prior"
# Levels at which the report shows the coverage.
SHOWN_LEVELS = (0.5, 0.9)
# Lower quantile of the normal distribution at `SIGNIFICANCE`.
_DEVIATIONS = 2.33
# Median of the calibration error of a perfect posterior, times the root of the rows: that of the median over
# q of the absolute value of a Brownian bridge, from 4,000 samples of 500 uniform ranks.
_CHANCE = 0.224


@dataclass(frozen=True, eq=False)
class Verdict:
    """How a posterior does on simulations that were held out of its training.

    Each network of an ensemble is judged on its own rows, which it was not trained on (they only chose the
    epoch whose weights were kept). Their mixture has on average at least as high a log density, and is wider.

    Attributes
    ----------
    names : list of str
        Parameters.
    rows : int
        Simulations held out that were looked at.
    confidences : ndarray of shape (k,)
        Probabilities of central intervals and of regions of highest density.
    inliers : ndarray of shape (k, dx)
        Share of the truths within the central interval of one parameter.
    coverage : ndarray of shape (k,) or None
        Share of the truths within the region of highest density of all parameters; None without a density.
    chance : ndarray of shape (dx,)
        Probability that a right posterior ranks the truths at least as unevenly (Kolmogorov-Smirnov) or as
        near to the middle or the ends (mean distance from it): the smaller of the two, doubled (Bonferroni).
    narrowing : ndarray of shape (dx,)
        Spread of the prior over that of the posterior, which is the root of its mean variance.
    skill : ndarray of shape (dx,)
        1 less the continuous ranked probability score of the posterior over that of the prior: 0 where the
        observation says nothing, 1 where it says everything (Gneiting & Raftery 2007, JASA 102, 359).
    recoverable : ndarray of shape (dx,)
        Whether the posterior is better than the prior beyond chance.
    """

    names: list[str]
    rows: int
    confidences: FloatArray
    inliers: FloatArray
    coverage: FloatArray | None
    chance: FloatArray
    narrowing: FloatArray
    skill: FloatArray
    recoverable: NDArray[np.bool_]

    @property
    def calibration(self) -> CalibrationError:
        """Confidences and inliers, with the errors that they make."""
        from .metrics import CalibrationError

        return CalibrationError(self.confidences, self.inliers, self.rows)

    @property
    def calibration_error(self) -> FloatArray:
        """Median over confidences of the absolute error of the inliers, (dx,)."""
        return self.calibration.median

    def as_dict(self) -> dict[str, Any]:
        """Return plain lists and numbers."""
        return {
            name: value.tolist() if isinstance(value, np.ndarray) else value
            for name, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, kept: dict[str, Any]) -> Verdict:
        """Return what `as_dict` was made of."""
        values: dict[str, Any] = {
            k: np.asarray(v) if isinstance(v, list) and k != "names" else v for k, v in kept.items()
        }
        return cls(**values)

    def word(self, column: int) -> str:
        """Say of one parameter whether it is calibrated, and if not, how it errs."""
        if self.chance[column] >= SIGNIFICANCE:
            return "calibrated"
        # Intervals of the right mean width may still lie in the wrong place.
        return self._named(self.inliers[:, column], "too narrow", "off centre", "too wide")

    @property
    def joint_word(self) -> str:
        """Say of all parameters together whether regions hold the truth as often as they should."""
        if self.coverage is None:
            return "no density, not judged"
        return self._named(self.coverage, "overconfident", "as they should", "wider than need be")

    def _row(self, column: int) -> str:
        known = "" if self.recoverable[column] else f", {UNRECOVERABLE}"
        return (
            f"{self.names[column]:<24.24} {self.narrowing[column]:>9.2f}x {100 * self.skill[column]:>6.1f} % "
            f"{100 * self.calibration_error[column]:>9.1f} %  {self.word(column)}{known}"
        )

    def _named(self, shares: FloatArray, below: str, equal: str, above: str) -> str:
        """Name the mean error of shares, (k,), that should equal the confidences, by its sign."""
        error = float(np.mean(shares - self.confidences))
        # The mean over all levels is that of one uniform number for each row.
        limit = _DEVIATIONS * _mean_error(self.rows)
        return below if error < -limit else above if error > limit else equal

    def _joint(self) -> str:
        if self.coverage is None:
            return f"All parameters together: {self.joint_word}."
        held = np.interp(SHOWN_LEVELS, self.confidences, self.coverage)
        parts = [
            f"{100 * level:.0f} % regions hold {100 * share:.0f} %"
            for level, share in zip(SHOWN_LEVELS, held, strict=True)
        ]
        return f"All parameters together: {', '.join(parts)}: {self.joint_word}."

    def _repr_png_(self) -> bytes | None:
        """Return the picture that a notebook shows beside the report, where matplotlib is installed."""
        from .plot import report

        try:
            from matplotlib.figure import Figure
        except ImportError:
            return None
        picture = BytesIO()
        # No figure of pyplot: a notebook would show that too.
        report(self, figure=Figure(layout="constrained")).savefig(picture, format="png")
        return picture.getvalue()

    def __str__(self) -> str:
        """Return the report, a few lines of text."""
        header = f"{'parameter':<24} {'narrower':>10} {'skill':>8} {'calib. error':>11}"
        rows = [self._row(column) for column in range(len(self.names))]
        chance = 100 * _CHANCE / self.rows**0.5
        return "\n".join(
            [
                f"Judged on {self.rows} simulations held out of training.",
                header,
                *rows,
                self._joint(),
                "Narrower: spread of the prior over that of the posterior. Skill: share of the prior's error "
                "that the observation removes. Chance alone makes calibration errors of about "
                f"{chance:.1f} %.",
            ]
        )


def judge(
    networks: list[_core.Model],
    held_out: list[list[int]],
    x: FloatArray,
    y: FloatArray,
    names: list[str],
    seed: int,
    threads: int,
) -> Verdict | None:
    """Judge each network on the rows that it was not trained on; None where there are none.

    Parameters
    ----------
    networks : list
        The members of an ensemble.
    held_out : list of list of int
        Rows of x and y, for each member.
    x : ndarray of shape (n, dx)
        All parameters.
    y : ndarray of shape (n, dy)
        All observations.
    names : list of str
        Parameters.
    seed : int
        Determines the draws.
    threads : int
        Threads of the core.
    """
    from .metrics import calibration_error

    chosen = [rows[: MOST_ROWS // len(networks)] for rows in held_out]
    if not all(chosen):
        return None
    draws = [
        network.posterior(y[rows], DRAWS, seed + i, threads).reshape(len(rows), DRAWS, -1)
        for i, (network, rows) in enumerate(zip(networks, chosen, strict=True))
    ]
    samples = np.concatenate(draws)
    truth = x[np.concatenate(chosen)]
    central = calibration_error(samples, truth)
    covered = [
        _coverage(network, drawn, x[rows], y[rows], central.confidences, threads)
        for network, drawn, rows in zip(networks, draws, chosen, strict=True)
    ]
    centre, spread = np.median(x, axis=0), networks[0].x_spread()
    samples, truth, x = (_scaled(values, centre, spread) for values in (samples, truth, x))
    deviation = np.sqrt(samples.var(axis=1).mean(axis=0))
    skill, recoverable = _skill(samples, truth, x)
    known = [coverage for coverage in covered if coverage is not None]
    return Verdict(
        names=names,
        rows=len(truth),
        confidences=central.confidences,
        inliers=central.inliers,
        # All networks have as many rows, so that the mean over them is that over the rows.
        coverage=np.mean(known, axis=0) if len(known) == len(covered) else None,
        chance=_chance(samples, truth),
        narrowing=np.maximum(x.std(axis=0), LEAST_SPREAD) / np.maximum(deviation, LEAST_SPREAD),
        skill=skill,
        recoverable=recoverable,
    )


def _scaled(values: FloatArray, centre: FloatArray, spread: FloatArray) -> FloatArray:
    """Return values in units of the spread of the prior, outliers moved near enough to be squared."""
    return np.clip((values - centre) / spread, -FARTHEST, FARTHEST)


def _coverage(
    network: _core.Model, samples: FloatArray, x: FloatArray, y: FloatArray, levels: FloatArray, threads: int
) -> FloatArray | None:
    """Share of the truths within regions of highest density, (k,); None where there is no density."""
    from .metrics import expected_coverage

    def log_prob(x: FloatArray, y: FloatArray) -> FloatArray:
        return network.log_prob(x, y, threads)

    try:
        return expected_coverage(samples, x, y, log_prob=log_prob, levels=levels).coverage
    except ValueError:
        return None


def _chance(samples: FloatArray, truth: FloatArray) -> FloatArray:
    """How probable ranks at least as uneven, or as near to the middle or the ends, are: (dx,).

    The largest distance of a distribution function, Kolmogorov's, sees little of intervals that are too wide
    or too narrow on both sides; the mean distance from the middle sees nothing else.
    """
    from scipy.special import erfc, kolmogorov

    from .metrics._ranks import intervals

    low, high = intervals(samples, truth)
    levels = np.sort((low + high) / 2.0, axis=0)
    m = len(levels)
    steps = np.arange(m)[:, np.newaxis]
    distance = np.maximum((steps + 1) / m - levels, levels - steps / m).max(axis=0)
    # Of a right posterior, twice the distance from the middle is a uniform number for each row.
    deviations = (np.abs(2.0 * levels - 1.0).mean(axis=0) - 0.5) / _mean_error(m)
    uneven, dispersed = kolmogorov(distance * m**0.5), erfc(np.abs(deviations) / 2**0.5)
    return np.asarray(np.minimum(1.0, 2.0 * np.minimum(uneven, dispersed)))


def _mean_error(rows: int) -> float:
    """Spread of the mean of so many uniform numbers, which is nearly normal."""
    return float((1 / 12 / rows) ** 0.5)


def _skill(samples: FloatArray, truth: FloatArray, x: FloatArray) -> tuple[FloatArray, NDArray[np.bool_]]:
    """How much better than the prior each parameter is known, and whether beyond chance."""
    quantiles = (np.arange(samples.shape[1]) + 0.5) / samples.shape[1]
    # Quantiles of the prior and no draws: their mean distance needs no correction.
    prior = np.quantile(x, quantiles, axis=0)
    n = len(quantiles)
    with_prior = _crps(prior[np.newaxis], truth, pairs=n * n)
    with_posterior = _crps(samples, truth, pairs=n * (n - 1))
    gain = with_prior - with_posterior
    mean = np.maximum(with_prior.mean(axis=0), np.finfo(float).tiny)
    error = gain.std(axis=0) / len(gain) ** 0.5
    return gain.mean(axis=0) / mean, gain.mean(axis=0) > _DEVIATIONS * error


def _crps(samples: FloatArray, truth: FloatArray, pairs: int) -> FloatArray:
    """Return the continuous ranked probability score of samples (m or 1, n, dx): (m, dx)."""
    n = samples.shape[1]
    ordered = np.sort(samples, axis=1)
    weights = (2 * np.arange(1, n + 1) - n - 1)[np.newaxis, :, np.newaxis]
    # Half of the mean distance over so many pairs.
    spread = np.sum(weights * ordered, axis=1) / pairs
    return np.asarray(np.mean(np.abs(ordered - truth[:, np.newaxis]), axis=1) - spread)


def warn_of_novel(distances: list[float], false_alarm: float, stacklevel: int) -> None:
    """Warn where more observations lie outside the simulations than chance explains, or one lies far outside.

    Parameters
    ----------
    distances : list of float
        Of each observation; beyond 1 it lies outside.
    false_alarm : float
        How often a simulation does, at most; and how often their number makes this warn.
    stacklevel : int
        As of `warnings.warn`, counted from the caller.
    """
    novel = [distance > 1.0 for distance in distances]
    count = sum(novel)
    if not count:
        return
    from scipy.special import bdtrc

    # One observation alone is as probable as the false alarm itself, up to rounding.
    chance = bdtrc(count - 1, len(novel), false_alarm) > 1.001 * false_alarm
    if chance and max(distances) <= FAR:
        return
    first = novel.index(True)
    where = "the observation lies" if len(novel) == 1 else f"{count} of {len(novel)} observations lie"
    row = "" if len(novel) == 1 else f" (the first in row {first})"
    warnings.warn(
        f"{where} outside what the simulations cover{row}: nothing that the network learned tells what to "
        f"answer there, do not trust these samples. (Simulations are called so in {100 * false_alarm:.2g} % "
        "of the cases.)",
        UserWarning,
        stacklevel=stacklevel + 1,
    )
