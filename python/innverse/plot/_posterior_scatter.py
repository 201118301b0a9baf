"""Samples in two dimensions beside the ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._points import as_groups, as_points, frame, limits_of, note_outside, scatter
from ._style import new_panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def posterior_scatter(
    truth: ArrayLike,
    samples: ArrayLike,
    truth_groups: ArrayLike | None = None,
    sample_groups: ArrayLike | None = None,
    names: tuple[str, str] = ("$x_1$", "$x_2$"),
    titles: tuple[str, str] = ("ground truth", "samples"),
    axes: Sequence[Axes] | NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Draw 2-D samples beside the ground truth, on the same scale.

    The scale is that of the ground truth; how many samples lie outside is written in the picture.

    Parameters
    ----------
    truth, samples : array-like of shape (n, 2) and (m, 2)
        Points, in the user's units.
    truth_groups, sample_groups : array-like of shape (n,) and (m,), or None
        Integer group of each point, from 0 to 23, which gives its colour.
    names : tuple of two str
        Names of the axes.
    titles : tuple of two str
        Titles of the two panels.
    axes : sequence of two matplotlib Axes or None
        Where to draw; None makes a new figure.

    Returns
    -------
    axes : ndarray of two matplotlib Axes
        The axes drawn on: ground truth, samples.
    """
    true_points, points = as_points("truth", truth), as_points("samples", samples)
    panels = np.asarray(new_panels(2) if axes is None else axes, dtype=object).ravel()
    if len(panels) != 2:
        raise ValueError(f"axes must be two matplotlib Axes, got {len(panels)}")
    limits = limits_of([true_points])
    for ax, title, shown, name, group in (
        (panels[0], titles[0], true_points, "truth_groups", truth_groups),
        (panels[1], titles[1], points, "sample_groups", sample_groups),
    ):
        scatter(ax, shown, as_groups(name, group, len(shown)))
        frame(ax, limits, names, title)
    note_outside(panels[1], points, limits)
    return panels
