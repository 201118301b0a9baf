"""Histograms in motion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .._validation import FloatArray
from ._animation import animation
from ._histogram import bin_edges, heights, shared_limits
from ._marginals import draw_prior, frame_parameter
from ._posteriors import Posteriors
from ._style import LINE_WIDTH, curve_look, legend_of_panels, new_grid

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation

# Bins over all that is shown, where the last frame is far narrower.
_MOST_BINS = 200


def animate_marginals(
    tables: list[FloatArray], given: Posteriors, captions: Sequence[str], interval: float
) -> FuncAnimation:
    """Animate the histogram of each parameter, with bins as fine as the last frame needs; see `animate`.

    Each frame is as high as the prior: few samples, or a narrow posterior, would else leave the axes.
    """
    axes = new_grid(len(given.names))
    shown = []
    for number, ax in enumerate(axes):
        truth = None if given.truth is None else float(given.truth[number])
        known = [] if given.prior is None else [given.prior[:, number]]
        last = tables[-1][:, number]
        limits = shared_limits([last, *known], truth)
        for values in known:
            draw_prior(ax, values, None, 1.0)
        edges = _edges(last, limits)
        line = ax.stairs(
            np.zeros(len(edges) - 1), edges, **curve_look(0), linewidth=LINE_WIDTH, label="posterior"
        )
        frame_parameter(ax, limits, 1.0, given.names[number], truth)
        shown.append((line, edges))
    # The captions are above.
    legend_of_panels(axes, own_figure=True, place="lower")
    heading = axes[0].figure.suptitle(captions[0])

    def draw(frame: int) -> list[Any]:
        heading.set_text(captions[frame])
        for (line, edges), values in zip(shown, tables[frame].T, strict=True):
            curve = heights(values, edges)
            line.set_data(curve / (curve.max() or 1.0))
        return [heading, *(line for line, _ in shown)]

    draw(0)
    return animation(axes[0].figure, draw, len(tables), interval)


def _edges(values: FloatArray, limits: tuple[float, float]) -> FloatArray:
    """Return edges of bins over all that is shown, as wide as those of the values, (n,), alone."""
    own = bin_edges(values, None)
    count = np.ceil((limits[1] - limits[0]) / (own[1] - own[0]))
    return np.linspace(*limits, int(min(count, _MOST_BINS)) + 1)
