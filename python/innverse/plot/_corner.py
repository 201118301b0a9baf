"""Posteriors of pairs of parameters, with the corner library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._validation import FloatArray
from ._histogram import extent, shared_limits
from ._marginals import draw_prior
from ._posteriors import Posteriors, as_posteriors
from ._style import LINE_WIDTH, PRIOR_LINE_COLOUR, curve_look, need

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Probabilities within the contours: those of the circles of `latent_map`.
_LEVELS = (0.5, 0.9)
# Bins over the widest posterior of a parameter, and at most over all that is shown.
_BINS = 25
_MOST_BINS = 150
# Bins over which the counts in two dimensions are smoothed: less than the noise of a thousand samples,
# and a sixth of the deviation of a normal posterior.
_SMOOTHING = 1.0
# What the user says of the picture as a whole, so that it holds for the prior too.
_SHARED = (
    "fig",
    "range",
    "axes_scale",
    "labels",
    "label_kwargs",
    "labelpad",
    "levels",
    "smooth",
    "max_n_ticks",
    "top_ticks",
    "reverse",
)
# The highest bin of a histogram of the library reaches to one over this of its axes.
_HEADROOM = 1.1
_TRUTH_SIZE = 4.0
# From the corner of the figure to the legend, in sizes of its letters.
_LEGEND_ROOM = 2.0


def corner(samples: Any, prior: Any = None, truth: Any = None, *, names: Any = None, **kwargs: Any) -> Figure:
    """Draw the posterior of each parameter and of each pair, with the corner library.

    Contours hold 50 % and 90 % of the samples. The prior, where it is given, is grey: as high as the
    posterior on the diagonal, dotted contours elsewhere. The truth is a dotted line and a square.

    Parameters
    ----------
    samples : array-like of shape (n, dx), DataFrame, or dict of str to these
        Samples of one posterior, or of several by name.
    prior : array-like of shape (k, dx) or DataFrame, optional
        Samples of the prior; the picture is then as wide as they are.
    truth : array-like of shape (dx,) or Series, optional
        True parameters.
    names : sequence of str, Problem, estimator or None, default=None
        Of the parameters, with units. A problem gives its `x_names`, a fitted estimator its
        `feature_names_in_`; None takes the columns of the first table that has names.
    **kwargs
        Passed to ``corner.corner`` for each posterior, such as ``fig``, ``range``, ``bins``, ``levels``,
        ``smooth``, ``quantiles`` or ``show_titles``, instead of what is chosen here.

    Returns
    -------
    figure : matplotlib Figure
        With dx times dx axes.

    Raises
    ------
    ValueError, TypeError
        Where shapes, columns or names do not fit together, or there are fewer samples than parameters.
    ImportError
        Where the corner library is missing.

    References
    ----------
    D. Foreman-Mackey, "corner.py: Scatterplot matrices in Python", Journal of Open Source Software 1, 24
    (2016).
    """
    given = as_posteriors(samples, prior, truth, names)
    for name, table in given.tables.items():
        if len(table) < table.shape[1]:
            raise ValueError(
                f"samples must have at least as many rows as columns, {table.shape[1]}, got {len(table)} "
                f"rows of {name!r}"
            )
    library = need("corner")
    settings = _settings(given) | kwargs
    if given.prior is not None:
        settings["fig"] = _prior_figure(library, given.prior, settings)
    for number, (name, table) in enumerate(given.tables.items()):
        look = _look(number, alone=len(given.tables) == 1)
        settings["fig"] = library.corner(table, **_merged(look, settings))
        first = _grid(settings["fig"], len(given.names), settings)[0, 0]
        first.plot([], [], **curve_look(number), label=name)
    return _complete(given, settings)


def _settings(given: Posteriors) -> dict[str, Any]:
    """Return what ``corner.corner`` is asked for where the user does not say otherwise."""
    ranges, bins = [], []
    for number in range(len(given.names)):
        posteriors = list(given.column(number).values())
        known = [] if given.prior is None else [given.prior[:, number]]
        low, high = shared_limits([*posteriors, *known])
        widest = max(end - start for start, end in map(extent, posteriors))
        ranges.append((low, high))
        bins.append(int(min(np.ceil(_BINS * (high - low) / widest), _MOST_BINS)) if widest > 0 else _BINS)
    return {
        "range": ranges,
        "bins": bins,
        "labels": given.names,
        "levels": _LEVELS,
        "smooth": _SMOOTHING,
        "max_n_ticks": 4,
    }


def _look(number: int, *, alone: bool) -> dict[str, Any]:
    """Return how one of several posteriors looks; shades and single samples only where it is alone."""
    style = curve_look(number)
    lines = {"linestyle": style["linestyle"], "linewidth": LINE_WIDTH}
    return {
        "color": style["color"],
        "hist_kwargs": {"density": True, **lines},
        "contour_kwargs": {"linestyles": lines["linestyle"], "linewidths": lines["linewidth"]},
        "plot_datapoints": alone,
        "plot_density": alone,
        "no_fill_contours": not alone,
    }


def _merged(look: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Return look and settings as one; where both hold a dictionary, its entries are joined."""
    both = {
        key: {**look[key], **settings[key]}
        for key in look.keys() & settings.keys()
        if isinstance(look[key], dict) and settings[key] is not None
    }
    return {**look, **settings, **both}


def _prior_figure(library: Any, prior: FloatArray, settings: dict[str, Any]) -> Figure:
    """Draw the contours of the prior, (k, dx); its histograms wait for the height of the posteriors'."""
    shared = {name: settings[name] for name in _SHARED if name in settings}
    figure: Figure = library.corner(
        prior,
        **shared,
        bins=_BINS,
        color=PRIOR_LINE_COLOUR,
        contour_kwargs={"linestyles": ":"},
        plot_datapoints=False,
        plot_density=False,
        no_fill_contours=True,
    )
    for ax in _grid(figure, prior.shape[1], settings).diagonal():
        ax.patches[-1].remove()
        ax.relim()
    return figure


def _grid(figure: Figure, count: int, settings: dict[str, Any]) -> NDArray[Any]:
    """Return the axes, (count, count), the first parameter's first whatever the order drawn."""
    axes = np.array(figure.axes, dtype=object).reshape(count, count)
    return axes[::-1, ::-1] if settings.get("reverse") else axes


def _complete(given: Posteriors, settings: dict[str, Any]) -> Figure:
    """Add what the library does not draw: histograms of the prior, a dotted truth, the legend."""
    figure: Figure = settings["fig"]
    axes = _grid(figure, len(given.names), settings)
    for i, ax in enumerate(axes.diagonal()):
        highest = ax.dataLim.y1
        ax.set_ylim(0.0, _HEADROOM * highest)
        if given.prior is not None:
            draw_prior(ax, given.prior[:, i], None, highest)
            ax.patches[-1].set_zorder(0)  # behind what is there
    if given.truth is not None:
        _draw_truth(axes, given.truth)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    if len(labels) > 1:
        # Where there are no panels.
        figure.legend(
            handles,
            labels,
            loc="lower left" if settings.get("reverse") else "upper right",
            borderaxespad=_LEGEND_ROOM,
            frameon=False,
        )
    return figure


def _draw_truth(axes: NDArray[Any], truth: FloatArray) -> None:
    lines: dict[str, Any] = {"color": "black", "linestyle": ":", "linewidth": LINE_WIDTH}
    point = {**lines, "marker": "s", "markersize": _TRUTH_SIZE}
    for i in range(len(truth)):
        axes[i, i].axvline(truth[i], **lines)
        for j in range(i):
            axes[i, j].axvline(truth[j], **lines)
            axes[i, j].axhline(truth[i], **lines)
            axes[i, j].plot(truth[j], truth[i], **point)
    axes[0, 0].plot([], [], **point, label="truth")
