"""How often credible regions hold the truth, against how often they should."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import FloatArray
from .._verdict import Verdict
from ..metrics import CalibrationError, Coverage, calibration_error
from ..metrics._draws import DRAWS
from ._bands import check_band, curve_band
from ._posteriors import columns_of, parameter_names
from ._style import BAND_COLOUR, LINE_WIDTH, curve_look, legend_beside, new_square_axes, percent
from ._verdicts import as_verdict, verdict_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# What several parameters make as a whole is black, as a total is.
_JOINT = "all together"
_JOINT_LOOK: dict[str, Any] = {"color": "black", "linestyle": "-", "linewidth": 2.0}
_BAND = 0.95


@dataclass(frozen=True, eq=False)
class _Curves:
    """Shares of truths inside, (k,) for each label, at rising levels, (k,), over so many observations."""

    levels: FloatArray
    shares: dict[str, FloatArray]
    rows: int | None


def calibration(
    model_or_result: Any,
    x: Any = None,
    y: Any = None,
    *,
    names: Any = None,
    band: float = _BAND,
    n: int = DRAWS,
    random_state: Any = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw how often credible regions hold the truth, against how often they should.

    A right posterior follows the diagonal. Below it regions are too small, the posterior overconfident; above
    it they are larger than need be. The curves of `tarp` mean something else on both sides of one half, see
    there.

    The grey band is what chance leaves for so many observations. It is simultaneous: the whole curve of a
    right posterior stays inside with probability `band`, each curve for itself.

    Parameters
    ----------
    model_or_result : estimator, Verdict, CalibrationError, Coverage or array-like of shape (m, n, dx)
        A fitted estimator alone shows its `verdict_`: each parameter, and all together, on simulations held
        out of training. With x and y an estimator, or with x posterior samples, are judged by
        `innverse.metrics.calibration_error`. Results of that, of `expected_coverage` and of `tarp` are drawn
        as they are.
    x : array-like of shape (m, dx), optional
        True parameters.
    y : array-like of shape (m, dy), optional
        Their observations, for an estimator.
    names : sequence of str, Problem, estimator or None, default=None
        Of the parameters, see `marginals`.
    band : float, default=0.95
        Probability that a right posterior's curve lies in the band.
    n : int, default=1000
        Draws for each observation from an estimator.
    random_state : int, RandomState, Generator or None, default=None
        Determines these draws.
    ax : matplotlib Axes or None, default=None
        Where to draw; None makes a new figure.

    Returns
    -------
    ax : matplotlib Axes
        The axes drawn on.

    Raises
    ------
    ValueError, TypeError
        Where there is nothing to draw, or the arguments do not fit together.

    Notes
    -----
    The band counts whole observations. Curves of few draws each vary a little less.

    References
    ----------
    T. Säilynoja, P.-C. Bürkner, A. Vehtari, "Graphical test for discrete uniformity and its applications in
    goodness-of-fit evaluation and multiple sample comparison", Statistics and Computing 32, 32 (2022).
    """
    band = check_band(band)
    curves = _curves(model_or_result, x, y, names, n, random_state)
    own_figure = ax is None
    ax = new_square_axes() if ax is None else ax
    if curves.rows is not None:
        low, high = curve_band(curves.levels, curves.rows, band)
        label = f"{percent(band)} band, {curves.rows} cases"
        ax.fill_between(curves.levels, low, high, color=BAND_COLOUR, linewidth=0, label=label)
    ax.plot([0, 1], [0, 1], color="0.4", linewidth=0.8)
    for number, (label, shares) in enumerate(curves.shares.items()):
        look = _JOINT_LOOK if label == _JOINT else {**curve_look(number), "linewidth": LINE_WIDTH}
        ax.plot(curves.levels, shares, **look, label=label)
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    ax.set_aspect("equal")
    ax.set_xlabel("probability of the region")
    ax.set_ylabel("share of truths inside")
    legend_beside(ax, own_figure=own_figure)
    return ax


def _curves(given: Any, x: Any, y: Any, names: Any, n: int, random_state: Any) -> _Curves:
    if x is not None:
        if isinstance(given, (Verdict, CalibrationError, Coverage)):
            raise ValueError(f"x must be None where a {type(given).__name__} is drawn as it is")
        result = calibration_error(given, x, y, n=n, random_state=random_state)
        own = getattr(given, "feature_names_in_", None)
        own = columns_of(x) if own is None else [str(name) for name in own]
        return _of_parameters(result, parameter_names(names, result.inliers.shape[1], own))
    verdict = as_verdict("model_or_result", given)
    if verdict is not None:
        curves = _of_parameters(verdict.calibration, verdict_names(verdict, names))
        if verdict.coverage is not None:
            curves.shares[_JOINT] = verdict.coverage
        return curves
    if isinstance(given, CalibrationError):
        return _of_parameters(given, parameter_names(names, given.inliers.shape[1]))
    if isinstance(given, Coverage):
        order = np.argsort(given.levels)
        return _Curves(given.levels[order], {_JOINT: given.coverage[order]}, given.rows)
    raise TypeError(
        "model_or_result must be a fitted estimator, a result of calibration_error, expected_coverage or "
        f"tarp, or with x posterior samples, got {type(given).__name__}"
    )


def _of_parameters(result: CalibrationError, names: list[str]) -> _Curves:
    order = np.argsort(result.confidences)
    columns = result.inliers[order].T
    return _Curves(result.confidences[order], dict(zip(names, columns, strict=True)), result.rows)
