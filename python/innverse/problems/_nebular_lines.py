"""Strengths of the emission lines of ionised gas, from its abundances, density and ionisation parameter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ._base import FloatArray

# Energy of H alpha per ionising photon, erg, at 10,000 K where the Lyman lines are trapped (R. Kennicutt,
# Annual Review of Astronomy and Astrophysics 36 (1998)).
_H_ALPHA_PER_PHOTON = 1.37e-12
# Electron temperature of doubly ionised oxygen, in 10,000 K, from the oxygen abundance (R. Amorin et al.,
# Astronomy & Astrophysics 578, A105 (2015), equation 1 solved for the temperature), held to where gas can be.
_TEMPERATURE_ZERO, _TEMPERATURE_SLOPE = 9.22, 0.89
_TEMPERATURE_RANGE = (0.35, 2.5)
# That of singly ionised oxygen: D. Garnett, Astronomical Journal 103 (1992).
_LOW_SLOPE, _LOW_ZERO = 0.7, 0.3
# log of O++ over O+ is linear in the log of the ionisation parameter: an assumption, of the right size for
# photoionisation by young stars.
_BALANCE_SLOPE, _BALANCE_ZERO = 1.25, 2.9
# Ionisation parameters are held to the range in which such relations make sense.
_LOG_U_RANGE = (-4.5, -1.0)
# Abundances relative to oxygen, in logs: sulfur near solar; nitrogen constant where it is primary, rising
# with oxygen where it is secondary. Taken for S+ / O+ and N+ / O+ too.
_SULFUR = -1.6
_NITROGEN, _NITROGEN_SLOPE, _NITROGEN_KINK = -1.5, 1.3, 8.2


@dataclass(frozen=True)
class _Line:
    """Strength of a pair of lines per ion, relative to H beta.

    12 + log(ion / H) = log(lines / H beta) + constant + inverse / t + log t * logarithm + t * linear
    + log(1 + x * density), t in 10,000 K and x in 10,000 electrons per cm^3 over the root of t. Y. Izotov et
    al., Astronomy & Astrophysics 448 (2006).
    """

    constant: float
    inverse: float
    logarithm: float
    linear: float
    density: float

    def log_ratio(self, abundance: FloatArray, temperature: FloatArray, electrons: FloatArray) -> FloatArray:
        """Log of the lines over H beta for an abundance 12 + log(ion / H)."""
        crowding = 1e-4 * electrons / np.sqrt(temperature)
        return np.asarray(
            abundance
            - self.constant
            - self.inverse / temperature
            - self.logarithm * np.log10(temperature)
            - self.linear * temperature
            - np.log10(1.0 + self.density * crowding)
        )


# [OII] 3726 + 3729, [OIII] 4959 + 5007, [NII] 6548 + 6584, [SII] 6716 + 6731.
_OII = _Line(5.961, 1.676, -0.40, -0.034, 1.35)
_OIII = _Line(6.200, 1.251, -0.55, -0.014, 0.0)
_NII = _Line(6.234, 0.950, -0.42, -0.027, 0.116)
_SII = _Line(5.439, 0.929, -0.28, -0.018, 1.39)
# [SII] 6716 / 6731 is the first where electrons are many, and more by the ratio of the others, in electrons
# per cm^3, where they are few (R. Sanders et al., Astrophysical Journal 816, 23 (2016)).
_SII_LOW, _SII_ABOVE, _SII_BELOW = 0.4315, 2107.0, 627.1


@dataclass(frozen=True)
class NebularLines:
    """Decimal logs of lines, each of shape (n,): the luminosity of H alpha in erg/s, and ratios."""

    h_alpha: FloatArray
    oii: FloatArray
    oiii: FloatArray
    nii: FloatArray
    sii: FloatArray
    sii_ratio: FloatArray


def nebular_lines(
    log_photons: FloatArray, oxygen: FloatArray, log_electrons: FloatArray, log_u: FloatArray
) -> NebularLines:
    """Compute the lines of gas that absorbs all ionising photons.

    Parameters
    ----------
    log_photons : ndarray of shape (n,)
        Decimal log of the ionising photons per second.
    oxygen : ndarray of shape (n,)
        Oxygen abundance 12 + log O/H.
    log_electrons : ndarray of shape (n,)
        Decimal log of the electrons per cm^3.
    log_u : ndarray of shape (n,)
        Decimal log of the ionisation parameter.

    Returns
    -------
    lines : NebularLines
        Finite for finite arguments.
    """
    electrons = 10.0**log_electrons
    high = np.clip((_TEMPERATURE_ZERO - oxygen) / _TEMPERATURE_SLOPE, *_TEMPERATURE_RANGE)
    low = _LOW_SLOPE * high + _LOW_ZERO
    log_balance = _BALANCE_SLOPE * (np.clip(log_u, *_LOG_U_RANGE) + _BALANCE_ZERO)
    log_sum = np.log10(1.0 + 10.0**log_balance)
    single, double = oxygen - log_sum, oxygen + log_balance - log_sum
    nitrogen = _NITROGEN + np.maximum(0.0, _NITROGEN_SLOPE * (oxygen - _NITROGEN_KINK))
    return NebularLines(
        h_alpha=np.asarray(log_photons + np.log10(_H_ALPHA_PER_PHOTON)),
        oii=_OII.log_ratio(single, low, electrons),
        oiii=_OIII.log_ratio(double, high, electrons),
        nii=_NII.log_ratio(single + nitrogen, low, electrons),
        sii=_SII.log_ratio(single + _SULFUR, low, electrons),
        sii_ratio=np.log10(_SII_LOW * (_SII_ABOVE + electrons) / (_SII_BELOW + electrons)),
    )
