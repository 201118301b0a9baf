"""Directions that an observation leaves undetermined."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ._style import PALETTE, legend_below, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .._latent_dim import LatentDimension


def latent_dimension(result: LatentDimension, ax: Axes | None = None) -> Axes:
    """Show in how many directions y leaves x undetermined.

    One point for each direction, widest first, with a bar from the 10 % to the 90 % quantile over
    observations; filled where the direction needs a latent variable.

    Parameters
    ----------
    result : LatentDimension
        What `innverse.latent_dimension` found.
    ax : matplotlib Axes or None
        Where to draw; None makes a new figure.

    Returns
    -------
    ax : matplotlib Axes
        The axes drawn on.
    """
    ax = new_axes() if ax is None else ax
    direction = np.arange(1, len(result.width) + 1)
    ax.vlines(direction, *result.quantiles, color=PALETTE[0], linewidth=2)
    for lost, filling, label in ((True, PALETTE[0], "lost by y"), (False, "white", "determined by y")):
        chosen = (result.width > result.threshold) == lost
        ax.plot(
            direction[chosen],
            result.width[chosen],
            "o",
            color=PALETTE[0],
            markerfacecolor=filling,
            label=label,
        )
    ax.axhline(result.threshold, color="k", linestyle="--", linewidth=1, label="threshold")
    ax.set_yscale("log")
    ax.set_xticks(direction)
    ax.set_xlabel("direction, widest first")
    ax.set_ylabel("posterior width / prior width")
    ax.set_title(f"latent_dim = {result.recommended}")
    legend_below(ax, columns=3)
    return ax
