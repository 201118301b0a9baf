"""Colours, line styles and sizes that the pictures share, and the making of figures."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Eight colours told apart with any common colour blindness: M. Okabe and K. Ito, "Color Universal
# Design", 2008. The first four differ in grey too. Yellow, the weakest on white paper, comes last.
PALETTE = (
    "#0072B2",  # blue
    "#E69F00",  # orange
    "#000000",  # black
    "#009E73",  # bluish green
    "#56B4E9",  # sky blue
    "#D55E00",  # vermilion
    "#CC79A7",  # reddish purple
    "#F0E442",  # yellow
)
# The second and third eight groups get the same colours with another marker.
MARKERS = ("o", "^", "s")
LINE_STYLES = ("-", "--", "-.", ":")
# Colours of lines, the darkest first, since they lie on grey: not black, which stands for a truth or a total.
_LINE_COLOURS = tuple(PALETTE[number] for number in (0, 5, 3, 6, 1, 4))
# What was known before, and what chance does, is grey.
PRIOR_COLOUR = "0.86"
PRIOR_LINE_COLOUR = "0.5"
BAND_COLOUR = "0.88"
POINT_SIZE = 4.0
LINE_WIDTH = 1.5
_PANEL_INCHES = 3.2
# Small panels, one a parameter: four side by side fill a notebook's width.
_SMALL_PANEL_INCHES = (2.4, 2.0)
_PANELS_PER_ROW = 4
# A square and a legend beside it.
_SQUARE_INCHES = (6.2, 4.0)
# Room above a grid for one row of the legend.
_LEGEND_INCHES = 0.4


def need(module: str) -> Any:
    """Import a module of an optional library, or say how to install it."""
    try:
        return import_module(module)
    except ImportError as error:
        library = module.split(".")[0]
        raise ImportError(
            f"innverse.plot needs {library}; install it with: pip install 'innverse[plot]'"
        ) from error


def new_axes() -> Any:
    """Return the axes of a new figure."""
    return need("matplotlib.pyplot").subplots(layout="constrained")[1]


def whole_ticks(ax: Axes) -> None:
    """Mark whole numbers only along x; ticks that someone chose, or those of a logarithmic axis, stay."""
    locator = ax.xaxis.get_major_locator()
    if isinstance(locator, need("matplotlib.ticker").MaxNLocator):
        locator.set_params(integer=True, min_n_ticks=1)  # else it falls back on fractions


def new_square_axes() -> Any:
    """Return the axes of a new figure that has room beside a square for a legend."""
    return need("matplotlib.pyplot").subplots(figsize=_SQUARE_INCHES, layout="constrained")[1]


def new_panels(count: int) -> NDArray[Any]:
    """Return the axes of a new figure with so many panels side by side."""
    size = (_PANEL_INCHES * count, _PANEL_INCHES + 0.4)
    figure_and_axes = need("matplotlib.pyplot").subplots(
        1, count, figsize=size, layout="constrained", squeeze=False
    )
    return np.asarray(figure_and_axes[1][0])


def new_grid(count: int) -> NDArray[Any]:
    """Return the axes of a new figure with so many small panels, four in a row: (count,)."""
    columns = min(count, _PANELS_PER_ROW)
    rows = -(-count // columns)
    width, height = _SMALL_PANEL_INCHES
    # A legend or an axis label is wider than a single small panel.
    size = (max(width * columns, 2 * width), height * rows + _LEGEND_INCHES)
    figure_and_axes = need("matplotlib.pyplot").subplots(
        rows, columns, figsize=size, layout="constrained", squeeze=False
    )
    axes = np.asarray(figure_and_axes[1]).ravel()
    for unused in axes[count:]:
        unused.remove()
    return axes[:count]


def grid_for(count: int, axes: Any) -> NDArray[Any]:
    """Return one axes for each of so many parameters: those given, or those of a new figure."""
    if axes is None:
        return new_grid(count)
    panels = np.asarray(axes, dtype=object).ravel()
    if len(panels) != count:
        raise ValueError(f"axes must be one matplotlib Axes for each parameter, {count}, got {len(panels)}")
    return panels


def legend_of_panels(axes: NDArray[Any], *, own_figure: bool, place: str = "upper") -> None:
    """Explain what the first axes show: beyond all panels, or in the first where the figure is the user's."""
    handles, labels = axes[0].get_legend_handles_labels()
    if own_figure:
        look = {"ncols": len(labels), "frameon": False, "fontsize": "small"}
        axes[0].figure.legend(handles, labels, loc=f"outside {place} center", **look)
    else:
        axes[0].legend(handles, labels, frameon=False, fontsize="x-small")


def legend_below(ax: Axes, columns: int) -> None:
    """Explain the curves below the axes: they leave no corner free."""
    ax.legend(frameon=False, fontsize="small", ncols=columns, loc="upper center", bbox_to_anchor=(0.5, -0.18))


def legend_beside(ax: Axes, *, own_figure: bool) -> None:
    """Explain the curves beside the axes, or inside where the figure is the user's."""
    if own_figure:
        ax.figure.legend(loc="outside right upper", frameon=False, fontsize="small")
    else:
        ax.legend(loc="upper left", frameon=False, fontsize="x-small")


def percent(share: float) -> str:
    """Write a share as a percentage."""
    return f"{100.0 * share:.4g} %"


def curve_look(number: int) -> dict[str, Any]:
    """Return colour and line style of a curve; the first 24 differ, neighbours in both."""
    turn, colour = divmod(number, len(_LINE_COLOURS))
    return {
        "color": _LINE_COLOURS[colour],
        "linestyle": LINE_STYLES[(number + turn) % len(LINE_STYLES)],
    }
