"""Posteriors of single parameters over the prior."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from ..problems._base import check_count
from ._histogram import bin_edges, heights, shared_limits
from ._posteriors import Posteriors, as_posteriors
from ._style import LINE_WIDTH, PRIOR_COLOUR, curve_look, grid_for, legend_of_panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Room above the highest bin, as a factor.
_HEADROOM = 1.08
# Of the area under a single posterior.
_FILL_ALPHA = 0.25


def marginals(
    samples: Any,
    prior: Any = None,
    truth: Any = None,
    *,
    names: Any = None,
    bins: int | None = None,
    axes: Sequence[Axes] | NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Draw the posterior of each parameter over its prior, the truth as a dotted line.

    Histograms of posteriors have the same area, so that several can be compared. The prior, in grey, has the
    height of the highest of them: seen beside a posterior that is a hundred times narrower, its shape and
    width would else be lost. Samples far from all others are left out, and their number is written.

    Parameters
    ----------
    samples : array-like of shape (n, dx), DataFrame, or dict of str to these
        Samples of one posterior, or of several by name, such as one of a network and one of MCMC.
    prior : array-like of shape (k, dx) or DataFrame, optional
        Samples of the prior, such as the x that the model was fitted to.
    truth : array-like of shape (dx,) or Series, optional
        True parameters.
    names : sequence of str, Problem, estimator or None, default=None
        Of the parameters, with units. A problem gives its `x_names`, a fitted estimator its
        `feature_names_in_`; None takes the columns of the first table that has names.
    bins : int or None, default=None
        Bins of each histogram; None is twice the cube root of the number of samples (Rice's rule).
    axes : sequence of dx matplotlib Axes or None, default=None
        Where to draw; None makes a new figure.

    Returns
    -------
    axes : ndarray of dx matplotlib Axes
        The axes drawn on, one for each parameter.

    Raises
    ------
    ValueError, TypeError
        Where shapes, columns or names do not fit together, or samples are not finite.

    References
    ----------
    L. Ardizzone et al., "Analyzing inverse problems with invertible neural networks", ICLR 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from innverse import plot
    >>> rng = np.random.default_rng(0)
    >>> prior, posterior = rng.normal(size=(5000, 2)), rng.normal(1, 0.2, size=(1000, 2))
    >>> axes = plot.marginals(posterior, prior=prior, truth=[1, 1], names=["mass [kg]", "speed [m/s]"])
    """
    given = as_posteriors(samples, prior, truth, names)
    bins = None if bins is None else check_count("bins", bins)
    panels = grid_for(len(given.names), axes)
    for number, ax in enumerate(panels):
        _draw_parameter(ax, given, number, bins)
    legend_of_panels(panels, own_figure=axes is None)
    return panels


def _draw_parameter(ax: Axes, given: Posteriors, number: int, bins: int | None) -> None:
    posteriors = given.column(number)
    truth = None if given.truth is None else float(given.truth[number])
    edges = {name: bin_edges(values, bins) for name, values in posteriors.items()}
    curves = {name: heights(values, edges[name]) for name, values in posteriors.items()}
    highest = max(float(curve.max()) for curve in curves.values())
    shown = list(posteriors.values())
    if given.prior is not None:
        shown.append(given.prior[:, number])
        draw_prior(ax, shown[-1], bins, highest)
    for i, (name, curve) in enumerate(curves.items()):
        look = curve_look(i)
        if len(curves) == 1:
            ax.stairs(curve, edges[name], fill=True, color=look["color"], alpha=_FILL_ALPHA)
        ax.stairs(curve, edges[name], **look, linewidth=LINE_WIDTH, label=name)
    limits = shared_limits(shown, truth)
    frame_parameter(ax, limits, highest, given.names[number], truth)
    _note_outside(ax, posteriors, limits)


def draw_prior(ax: Axes, values: Any, bins: int | None, highest: float) -> None:
    """Draw samples of the prior, (k,), in grey, as high as given."""
    edges = bin_edges(values, bins)
    curve = heights(values, edges)
    ax.stairs(curve * (highest / curve.max()), edges, fill=True, color=PRIOR_COLOUR, label="prior")


def frame_parameter(
    ax: Axes, limits: tuple[float, float], highest: float, name: str, truth: float | None
) -> None:
    """Set limits and name of a parameter's axes, and draw the truth; heights have no scale to read."""
    if truth is not None:
        ax.axvline(truth, color="black", linestyle=":", linewidth=LINE_WIDTH, label="truth")
    ax.set_xlim(limits)
    ax.set_ylim(0.0, _HEADROOM * highest)
    ax.set_yticks([])
    ax.spines[["left", "right", "top"]].set_visible(False)
    ax.set_xlabel(name)


def _note_outside(ax: Axes, posteriors: dict[str, Any], limits: tuple[float, float]) -> None:
    """Write for each posterior how many of its samples the limits leave out, if any."""
    notes = []
    for name, values in posteriors.items():
        outside = int(((values < limits[0]) | (values > limits[1])).sum())
        if outside:
            of = f"{name}: " if len(posteriors) > 1 else ""
            notes.append(f"{of}{outside} of {len(values)} outside")
    if notes:
        ax.text(
            0.99, 0.98, "\n".join(notes), transform=ax.transAxes, ha="right", va="top", fontsize="x-small"
        )
