"""What to believe of a fitted posterior, parameter by parameter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._verdict import SHOWN_LEVELS, SIGNIFICANCE, UNRECOVERABLE, Verdict
from ._bands import binomial_limits
from ._style import BAND_COLOUR, PALETTE, need, percent
from ._verdicts import as_verdict, verdict_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH_INCHES, _ROW_INCHES, _HEAD_INCHES = 9.0, 0.38, 1.5
_JOINT = "all together"
# One marker for each level shown.
_LEVEL_LOOKS = (("o", PALETTE[0]), ("s", PALETTE[5]))
_MARKER_SIZE = 6.0
# Half the height of a row that the band of chance fills.
_HALF_BAND = 0.35
# Room left of the factors of narrowing, as a factor; and length of the logarithmic axis over that to the
# largest, on the right of which a number stands.
_ROOM, _NUMBER_ROOM = 1.2, 1.3
# Powers of ten over which there is room for ticks at 2 and 5, and how many have ticks at most.
_FINE_DECADES, _MOST_POWERS = 3, 7
# Where the words begin, as a share of the width of the axes.
_WORD_PLACE = 1.03


def report(model_or_verdict: Any, *, names: Any = None, figure: Figure | None = None) -> Figure:
    """Draw what to believe of a fitted model, from simulations held out of its training.

    On the left, how many times narrower than the prior the posterior of each parameter is: a hollow marker
    where it is no better than the prior, so that the parameter cannot be recovered. On the right, how often
    the truth lies within central intervals of 50 % and 90 %, and within regions of all parameters together;
    the grey bars are what chance leaves: each holds 99 % of right posteriors (binomial). At the edge the
    words of the report, which come from all levels and not from these two.

    Parameters
    ----------
    model_or_verdict : estimator or Verdict
        A fitted estimator, or what its `report` returned.
    names : sequence of str, Problem, estimator or None, default=None
        Of the parameters, with units; None takes the names of the columns that the model was fitted to.
    figure : matplotlib Figure or None, default=None
        An empty figure to draw on; None makes a new one.

    Returns
    -------
    figure : matplotlib Figure
        With two axes.

    Raises
    ------
    ValueError, TypeError
        Where there is no verdict, or names do not fit.
    """
    verdict = as_verdict("model_or_verdict", model_or_verdict)
    if verdict is None:
        raise TypeError(
            "model_or_verdict must be a fitted estimator or what its report returned, got "
            f"{type(model_or_verdict).__name__}"
        )
    labels = verdict_names(verdict, names)
    together = [] if verdict.coverage is None else [_JOINT]
    if figure is None:
        figure = need("matplotlib.pyplot").figure(layout="constrained")
    rows = np.arange(len(labels) + len(together))
    figure.set_size_inches(_WIDTH_INCHES, _ROW_INCHES * len(rows) + _HEAD_INCHES)
    left, right = figure.subplots(1, 2, sharey=True)
    left.set_yticks(rows, labels + together)
    left.set_ylim(len(rows) - 0.5, -0.5)
    _draw_narrowing(left, verdict)
    _draw_shares(right, verdict)
    figure.suptitle(f"Judged on {verdict.rows} simulations held out of training", fontsize="medium")
    return figure


def _draw_narrowing(ax: Axes, verdict: Verdict) -> None:
    rows = np.arange(len(verdict.names))
    ax.axvline(1.0, color="0.4", linewidth=0.8)
    ax.hlines(rows, 1.0, verdict.narrowing, color=PALETTE[0], linewidth=2)
    for recoverable, filling in ((True, PALETTE[0]), (False, "white")):
        chosen = verdict.recoverable == recoverable
        ax.plot(
            verdict.narrowing[chosen],
            rows[chosen],
            "o",
            color=PALETTE[0],
            markerfacecolor=filling,
            markersize=_MARKER_SIZE,
            label="recoverable" if recoverable else UNRECOVERABLE,
        )
    for row, factor in enumerate(verdict.narrowing):
        ax.annotate(
            f"{factor:.3g}x", (max(factor, 1.0), row), xytext=(8, 0), textcoords="offset points", va="center"
        )
    ax.set_xscale("log")
    _set_limits(ax, float(verdict.narrowing.min()), float(verdict.narrowing.max()))
    ax.set_xlabel("times narrower than the prior")
    _legend(ax)


def _set_limits(ax: Axes, least: float, most: float) -> None:
    """Show all factors and 1 to 2 at least, with ticks at round numbers."""
    low = min(least, 1.0) / _ROOM
    high = low * (max(most, 2.0) / low) ** _NUMBER_ROOM
    first, last = np.floor(np.log10(low)), np.log10(high)
    step = np.ceil((last - first) / _MOST_POWERS)
    steps = (1, 2, 5) if last - first <= _FINE_DECADES else (1,)
    ticks = np.outer(10.0 ** np.arange(first, last, step), steps).ravel()
    ticks = ticks[(ticks >= low) & (ticks <= high)]
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_xticks([], minor=True)
    ax.set_xlim(low, high)


def _draw_shares(ax: Axes, verdict: Verdict) -> None:
    shares, words = verdict.inliers, [verdict.word(column) for column in range(len(verdict.names))]
    if verdict.coverage is not None:
        shares, words = np.column_stack([shares, verdict.coverage]), [*words, verdict.joint_word]
    rows = np.arange(len(words))
    for level, (marker, colour) in zip(SHOWN_LEVELS, _LEVEL_LOOKS, strict=True):
        low, high = (
            100.0 * end for end in binomial_limits(SIGNIFICANCE / 2.0, verdict.rows, np.array(level))
        )
        chance = f"chance, {percent(1.0 - SIGNIFICANCE)}" if level == SHOWN_LEVELS[-1] else None
        ax.barh(rows, high - low, 2 * _HALF_BAND, left=low, color=BAND_COLOUR, label=chance)
        ax.axvline(100.0 * level, color="0.4", linewidth=0.8)
        held = [100.0 * np.interp(level, verdict.confidences, column) for column in shares.T]
        ax.plot(held, rows, marker, color=colour, markersize=_MARKER_SIZE, label=f"{percent(level)} regions")
    for row, word in enumerate(words):
        ax.text(_WORD_PLACE, row, word, transform=ax.get_yaxis_transform(), va="center", fontsize="small")
    ax.tick_params(left=False, labelleft=False)
    ax.set_xlim(0, 100)
    ax.set_xlabel("truths inside [%]")
    _legend(ax)


def _legend(ax: Axes) -> None:
    ax.legend(
        frameon=False,
        fontsize="small",
        ncols=3,
        loc="lower center",
        columnspacing=1,
        bbox_to_anchor=(0.5, 1.0),
    )
