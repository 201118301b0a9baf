"""Clouds of points in motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._validation import FloatArray
from ._animation import animation
from ._points import frame, limits_of, scatter
from ._style import LINE_WIDTH, POINT_SIZE, PRIOR_COLOUR, new_panels

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation
    from matplotlib.axes import Axes


@dataclass(frozen=True, eq=False)
class Panel:
    """What one panel shows.

    Attributes
    ----------
    title : str
        Above it.
    cloud : list of ndarray of shape (n, 2)
        Points of each frame.
    group : ndarray of int of shape (n,)
        Group of each point of the largest frame.
    grey : ndarray of shape (k, 2) or None
        Points behind.
    """

    title: str
    cloud: list[FloatArray]
    group: NDArray[np.intp]
    grey: FloatArray | None


def animate_points(
    panels: list[Panel],
    names: Sequence[str],
    truth: FloatArray | None,
    captions: Sequence[str],
    interval: float,
) -> FuncAnimation:
    """Animate clouds of points, a panel each; see `animate`."""
    axes = new_panels(len(panels))
    points = [_draw_panel(ax, panel, names, truth) for ax, panel in zip(axes, panels, strict=True)]
    heading = axes[0].figure.suptitle(captions[0])

    def draw(number: int) -> list[Any]:
        heading.set_text(captions[number])
        for collections, panel in zip(points, panels, strict=True):
            cloud = panel.cloud[number]
            for collection, rows in collections:
                collection.set_offsets(cloud[rows[rows < len(cloud)]])
        return [heading, *(collection for part in points for collection, _ in part)]

    draw(0)
    return animation(axes[0].figure, draw, len(captions), interval)


def _draw_panel(
    ax: Axes, panel: Panel, names: Sequence[str], truth: FloatArray | None
) -> list[tuple[Any, NDArray[np.intp]]]:
    """Draw all that stays, and the largest frame; return its collections with the rows that each holds."""
    if panel.grey is not None:
        ax.scatter(panel.grey[:, 0], panel.grey[:, 1], s=POINT_SIZE, color=PRIOR_COLOUR, linewidths=0)
    if truth is not None:
        look: dict[str, Any] = {"color": "black", "linestyle": ":", "linewidth": LINE_WIDTH, "zorder": 3}
        ax.axvline(truth[0], **look)
        ax.axhline(truth[1], **look)
    frame(ax, limits_of([panel.cloud[-1] if panel.grey is None else panel.grey]), names, panel.title)
    return scatter(ax, max(panel.cloud, key=len), panel.group)
