"""Which part of the latent space holds which kind of solution."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from ._points import FloatArray, as_groups, as_points, note_outside, scatter
from ._style import need, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Shares of the standard normal that the circles of a latent map hold.
_CIRCLE_SHARES = (0.5, 0.9)
# Half the width of a latent map: the standard normal has 0.2 % of its mass beyond this radius.
_LATENT_EXTENT = 3.5
# A group with a smaller share of the draws has no name in the picture: it is a few stray points.
_NAMED_SHARE = 0.005


class HasLatent(Protocol):
    """A fitted estimator with a latent space."""

    def posterior(self, y: Any, n: int = ..., random_state: Any = ...) -> Any:
        """Draw parameters for an observation."""

    def latent(self, x: Any, y: Any = ...) -> Any:
        """Find the latent variables of parameters."""


def latent_map(
    model: HasLatent,
    y: ArrayLike,
    groups: Callable[[FloatArray], ArrayLike],
    n: int = 5000,
    random_state: Any = None,
    ax: Axes | None = None,
) -> Axes:
    """Show which part of a 2-D latent space holds which kind of solution.

    Draws from the posterior of one observation, finds the latent variables of the draws, and
    colours them by the kind of solution, as in Ardizzone et al., "Analyzing inverse problems with
    invertible neural networks", ICLR 2019. Two circles hold 50 % and 90 % of the standard normal
    that the latent variables must follow; how many draws lie outside the picture is written in it.
    Numbers name the groups, except those of fewer than 0.5 % of the draws.

    Parameters
    ----------
    model : INN or ConditionalINN
        A fitted estimator with two latent dimensions.
    y : array-like of shape (dy,)
        One observation, in the user's units.
    groups : callable
        Takes x of shape (n, dx) and returns the integer group of each row, from 0 to 23.
    n : int, default=5000
        Number of draws.
    random_state : int, RandomState, Generator or None
        Passed to ``model.posterior``.
    ax : matplotlib Axes or None
        Where to draw; None makes a new figure.

    Returns
    -------
    ax : matplotlib Axes
        The axes drawn on.
    """
    observation = np.asarray(y)
    if observation.ndim > 1:
        raise ValueError(f"y must be one observation, (dy,), got shape {observation.shape}")
    x = np.asarray(model.posterior(observation, n=n, random_state=random_state))
    rows = np.broadcast_to(observation, (len(x), observation.size))
    with warnings.catch_warnings():
        # A model that was fitted to a table with names is asked about arrays here, rightly.
        warnings.filterwarnings("ignore", "X does not have valid feature names", UserWarning)
        latent = model.latent(x, rows)
    z = as_points("the latent space of model", latent)
    group = as_groups("groups(x)", groups(x), len(z))
    ax = new_axes() if ax is None else ax
    scatter(ax, z, group)
    for number, size in zip(*np.unique(group, return_counts=True), strict=True):
        if size >= _NAMED_SHARE * len(z):
            _name_group(ax, z[group == number], str(number))
    for share in _CIRCLE_SHARES:
        _circle(ax, share)
    limits = ((-_LATENT_EXTENT, _LATENT_EXTENT), (-_LATENT_EXTENT, _LATENT_EXTENT))
    ax.set_xlim(limits[0])
    ax.set_ylim(limits[1])
    ax.set_aspect("equal")
    ax.set_xlabel("$z_1$")
    ax.set_ylabel("$z_2$")
    note_outside(ax, z, limits)
    return ax


def _name_group(ax: Axes, points: FloatArray, name: str) -> None:
    """Write the name of a group at its most central member, so that it reads without colour."""
    nearest = ((points - np.median(points, axis=0)) ** 2).sum(axis=1).argmin()
    box = {"boxstyle": "circle,pad=0.2", "facecolor": "white", "edgecolor": "0.3", "linewidth": 0.6}
    x, y = points[nearest]
    if max(abs(x), abs(y)) > _LATENT_EXTENT:
        # A group outside the picture: a name far from it would only make the figure grow.
        return
    ax.text(x, y, name, ha="center", va="center", fontsize="small", bbox=box, zorder=4)


def _circle(ax: Axes, share: float) -> None:
    """Draw the circle that holds a share of the 2-D standard normal.

    The squared radius follows a chi-square law with two degrees of freedom, so the share within
    radius r is 1 - exp(-r^2 / 2).
    """
    radius = np.sqrt(-2.0 * np.log(1.0 - share))
    angle = np.linspace(0.0, 2.0 * np.pi, 181)
    # Seen on black points too.
    edge = need("matplotlib.patheffects").withStroke(linewidth=3.0, foreground="white")
    ax.plot(radius * np.cos(angle), radius * np.sin(angle), "k", linewidth=1.0, path_effects=[edge])
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.85}
    ax.text(0, radius, f"{share:.0%}", ha="center", va="center", fontsize="x-small", bbox=box)
