"""Pictures of training, latent space and posteriors.

matplotlib is imported when a function is called, so the package works without it. Every function
returns the matplotlib object it made, and none shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation
    from matplotlib.axes import Axes

    from ._latent_dim import LatentDimension

__all__ = ["PALETTE", "animate", "history", "latent_dimension", "latent_map", "posterior_scatter"]

FloatArray: TypeAlias = NDArray[np.float64]
Limits: TypeAlias = tuple[tuple[float, float], tuple[float, float]]

# Eight colours told apart with any common colour blindness: M. Okabe and K. Ito, "Color Universal
# Design", 2008. Yellow, the weakest on white paper, comes last.
PALETTE = (
    "#0072B2",  # blue
    "#E69F00",  # orange
    "#009E73",  # bluish green
    "#CC79A7",  # reddish purple
    "#56B4E9",  # sky blue
    "#D55E00",  # vermilion
    "#000000",  # black
    "#F0E442",  # yellow
)
# The second and third eight groups get the same colours with another marker.
_MARKERS = ("o", "^", "s")
_LINE_STYLES = ("-", "--", ":", "-.")
# Shares of the standard normal that the circles of a latent map hold.
_CIRCLE_SHARES = (0.5, 0.9)
# Half the width of a latent map: the standard normal has 0.2 % of its mass beyond this radius.
_LATENT_EXTENT = 3.5
# Room around the points, as a share of their extent.
_MARGIN = 0.1
_POINT_SIZE = 4.0
_PANEL_INCHES = 3.2


class HasHistory(Protocol):
    """A fitted estimator that kept its losses."""

    @property
    def history_(self) -> Mapping[str, Sequence[float]]:
        """Losses, one list each, beside the list ``"epoch"``."""


class HasLatent(Protocol):
    """A fitted estimator with a latent space."""

    def posterior(self, y: Any, n: int = ..., random_state: Any = ...) -> Any:
        """Draw parameters for an observation."""

    def latent(self, x: Any, y: Any = ...) -> Any:
        """Find the latent variables of parameters."""


def history(model_or_history: HasHistory | Mapping[str, Sequence[float]], ax: Axes | None = None) -> Axes:
    """Draw the losses over the epochs.

    The axis of losses is logarithmic where all losses are positive. A loss that was never
    computed, such as the validation loss of a fit without validation, is left out.

    Parameters
    ----------
    model_or_history : estimator or mapping
        A fitted estimator, or its ``history_``: lists of equal length, one of them ``"epoch"``.
    ax : matplotlib Axes or None
        Where to draw; None makes a new figure.

    Returns
    -------
    ax : matplotlib Axes
        The axes drawn on.
    """
    epoch, losses = _losses(model_or_history)
    ax = _new_axes() if ax is None else ax
    totals = {"train_loss": "-", "validation_loss": "--"}
    terms = [name for name in losses if name not in totals]
    for i, name in enumerate(terms):
        ax.plot(
            epoch,
            losses[name],
            color=PALETTE[i % 6],
            linestyle=_LINE_STYLES[i // 6 % len(_LINE_STYLES)],
            linewidth=1.2,
            label=_words(name),
        )
    for name in (name for name in totals if name in losses):
        ax.plot(epoch, losses[name], "k", linestyle=totals[name], linewidth=2, label=_words(name))
    shown = np.concatenate([loss[np.isfinite(loss)] for loss in losses.values()])
    if shown.min() > 0:
        ax.set_yscale("log")
    ax.set_xlabel("epoch")
    ax.set_ylabel("loss")
    # Below the axes: losses leave no corner free.
    ax.legend(frameon=False, fontsize="small", ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.18))
    return ax


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
    ax = _new_axes() if ax is None else ax
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
    ax.legend(frameon=False, fontsize="small", ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.18))
    return ax


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
    z = _points("the latent space of model", model.latent(x, rows))
    group = _groups("groups(x)", groups(x), len(z))
    ax = _new_axes() if ax is None else ax
    _scatter(ax, z, group)
    for number in np.unique(group):
        _name_group(ax, z[group == number], str(number))
    for share in _CIRCLE_SHARES:
        _circle(ax, share)
    limits = ((-_LATENT_EXTENT, _LATENT_EXTENT), (-_LATENT_EXTENT, _LATENT_EXTENT))
    ax.set_xlim(limits[0])
    ax.set_ylim(limits[1])
    ax.set_aspect("equal")
    ax.set_xlabel("$z_1$")
    ax.set_ylabel("$z_2$")
    _note_outside(ax, z, limits)
    return ax


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
    true_points, points = _points("truth", truth), _points("samples", samples)
    panels = np.asarray(_new_panels(2) if axes is None else axes, dtype=object).ravel()
    if len(panels) != 2:
        raise ValueError(f"axes must be two matplotlib Axes, got {len(panels)}")
    limits = _limits([true_points])
    for ax, title, shown, name, group in (
        (panels[0], titles[0], true_points, "truth_groups", truth_groups),
        (panels[1], titles[1], points, "sample_groups", sample_groups),
    ):
        _scatter(ax, shown, _groups(name, group, len(shown)))
        _frame(ax, limits, names, title)
    _note_outside(panels[1], points, limits)
    return panels


def animate(
    panels: Sequence[Sequence[ArrayLike]],
    titles: Sequence[str] | None = None,
    groups: Sequence[ArrayLike] | None = None,
    reference: Sequence[ArrayLike] | None = None,
    captions: Sequence[str] | None = None,
    names: tuple[str, str] = ("$x_1$", "$x_2$"),
    interval: float = 100.0,
) -> FuncAnimation:
    """Animate clouds of 2-D points, such as posteriors that form while a network trains.

    Parameters
    ----------
    panels : sequence of sequences of array-like of shape (n, 2)
        For each panel its frames; all panels have equally many frames, and all frames of a panel
        equally many points.
    titles : sequence of str or None
        Title of each panel.
    groups : sequence of array-like of shape (n,) or None
        For each panel the integer group of each point, from 0 to 23, which gives its colour.
    reference : sequence of array-like of shape (k, 2) or None
        For each panel, points that lie behind in grey and set the scale; without them the last
        frame sets it.
    captions : sequence of str or None
        Text above each frame.
    names : tuple of two str
        Names of the axes.
    interval : float, default=100
        Time between frames, in milliseconds.

    Returns
    -------
    animation : matplotlib.animation.FuncAnimation
        The animation. Keep it until it is saved, for example with
        ``animation.save("posteriors.gif", writer="pillow")``.
    """
    clouds = _clouds(panels)
    n_frames = len(clouds[0])
    titles = [""] * len(clouds) if titles is None else titles
    _same_length("titles", titles, "panels", len(clouds))
    captions = [""] * n_frames if captions is None else captions
    _same_length("captions", captions, "frames", n_frames)
    behind = _behind(reference, len(clouds))
    colours = _panel_groups(groups, clouds)
    axes = _new_panels(len(clouds))
    figure = axes[0].figure
    points = []
    for ax, title, cloud, grey, group in zip(axes, titles, clouds, behind, colours, strict=True):
        if grey is not None:
            ax.scatter(grey[:, 0], grey[:, 1], s=_POINT_SIZE, color="0.85", linewidths=0)
        _frame(ax, _limits([cloud[-1] if grey is None else grey]), names, title)
        points.append(_scatter(ax, cloud[0], group))
    heading = figure.suptitle(captions[0])

    def draw(frame: int) -> list[Any]:
        heading.set_text(captions[frame])
        for collections, cloud in zip(points, clouds, strict=True):
            for collection, rows in collections:
                collection.set_offsets(cloud[frame][rows])
        return [heading, *(collection for part in points for collection, _ in part)]

    animation = _need_matplotlib("animation")
    made: FuncAnimation = animation.FuncAnimation(
        figure, draw, frames=n_frames, interval=interval, blit=False
    )
    return made


def _need_matplotlib(module: str) -> Any:
    """Import a module of matplotlib, or say how to install it."""
    from importlib import import_module

    try:
        return import_module(f"matplotlib.{module}")
    except ImportError as error:
        raise ImportError(
            "innverse.plot needs matplotlib; install it with: pip install 'innverse[plot]'"
        ) from error


def _new_axes() -> Any:
    return _need_matplotlib("pyplot").subplots(layout="constrained")[1]


def _new_panels(count: int) -> NDArray[Any]:
    size = (_PANEL_INCHES * count, _PANEL_INCHES + 0.4)
    figure_and_axes = _need_matplotlib("pyplot").subplots(
        1, count, figsize=size, layout="constrained", squeeze=False
    )
    return np.asarray(figure_and_axes[1][0])


def _losses(
    model_or_history: HasHistory | Mapping[str, Sequence[float]],
) -> tuple[FloatArray, dict[str, FloatArray]]:
    """Return the epochs, and every loss that has at least one finite value."""
    table = getattr(model_or_history, "history_", model_or_history)
    if not isinstance(table, Mapping) or "epoch" not in table:
        raise TypeError(
            "model_or_history must be a fitted estimator or a mapping with the list 'epoch', got "
            f"{type(model_or_history).__name__}"
        )
    arrays = {name: np.asarray(values, dtype=np.float64) for name, values in table.items()}
    epoch = arrays.pop("epoch")
    for name, values in arrays.items():
        if values.shape != epoch.shape:
            raise ValueError(
                f"model_or_history must hold lists of equal length, got {epoch.size} epochs and "
                f"{values.size} values of {name!r}"
            )
    losses = {name: values for name, values in arrays.items() if np.isfinite(values).any()}
    if not losses:
        raise ValueError("model_or_history must hold a finite loss, got none")
    return epoch, losses


def _words(name: str) -> str:
    return name.replace("_", " ")


def _points(name: str, value: ArrayLike) -> FloatArray:
    points = np.asarray(value, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
        raise ValueError(f"{name} must have shape (n, 2) with n at least 1, got {points.shape}")
    return points


def _groups(name: str, value: ArrayLike | None, count: int) -> NDArray[np.intp]:
    if value is None:
        return np.zeros(count, dtype=np.intp)
    groups = np.asarray(value)
    if groups.shape != (count,):
        raise ValueError(f"{name} must have shape ({count},), got {groups.shape}")
    if groups.dtype.kind not in "biu":
        raise TypeError(f"{name} must be integers, got an array of type {groups.dtype}")
    most = len(PALETTE) * len(_MARKERS) - 1
    if groups.min() < 0 or groups.max() > most:
        raise ValueError(f"{name} must lie between 0 and {most}, got {groups.min()} to {groups.max()}")
    return groups.astype(np.intp)


def _scatter(ax: Axes, points: FloatArray, group: NDArray[np.intp]) -> list[tuple[Any, NDArray[np.intp]]]:
    """Draw points by group; return each collection with the rows of points that it holds."""
    drawn = []
    for number in np.unique(group):
        rows = np.flatnonzero(group == number)
        collection = ax.scatter(
            points[rows, 0],
            points[rows, 1],
            s=_POINT_SIZE,
            color=PALETTE[number % len(PALETTE)],
            marker=_MARKERS[number // len(PALETTE)],
            linewidths=0,
            # Thousands of points would make a vector file slow to open and print.
            rasterized=True,
        )
        drawn.append((collection, rows))
    return drawn


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
    ax.plot(radius * np.cos(angle), radius * np.sin(angle), color="black", linewidth=1.0)
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.0, "alpha": 0.85}
    ax.text(0, radius, f"{share:.0%}", ha="center", va="center", fontsize="x-small", bbox=box)


def _limits(clouds: Sequence[FloatArray]) -> Limits:
    points = np.concatenate(clouds)
    points = points[np.isfinite(points).all(axis=1)]
    if len(points) == 0:
        return (0.0, 1.0), (0.0, 1.0)
    low, high = points.min(axis=0), points.max(axis=0)
    # A column without extent still needs a scale.
    margin = np.where(high > low, _MARGIN * (high - low), 0.5)
    (x0, y0), (x1, y1) = low - margin, high + margin
    return (float(x0), float(x1)), (float(y0), float(y1))


def _frame(ax: Axes, limits: Limits, names: tuple[str, str], title: str) -> None:
    ax.set_xlim(limits[0])
    ax.set_ylim(limits[1])
    ax.set_xlabel(names[0])
    ax.set_ylabel(names[1])
    ax.set_title(title, fontsize="medium")


def _note_outside(ax: Axes, points: FloatArray, limits: Limits) -> None:
    low, high = np.array(limits).T
    outside = int(np.sum(~((points >= low) & (points <= high)).all(axis=1)))
    if outside:
        note = f"{outside} of {len(points)} outside"
        ax.text(0.98, 0.02, note, transform=ax.transAxes, ha="right", fontsize="x-small")


def _same_length(name: str, value: Sequence[Any], what: str, count: int) -> None:
    if len(value) != count:
        raise ValueError(f"{name} must be as many as the {what}, {count}, got {len(value)}")


def _clouds(panels: Sequence[Sequence[ArrayLike]]) -> list[list[FloatArray]]:
    if len(panels) == 0 or len(panels[0]) == 0:
        raise ValueError("panels must hold at least one panel with at least one frame, got none")
    clouds = []
    for i, frames in enumerate(panels):
        _same_length(f"frames of panels[{i}]", frames, "frames of panels[0]", len(panels[0]))
        cloud = [_points(f"panels[{i}][{j}]", frame) for j, frame in enumerate(frames)]
        if len({len(frame) for frame in cloud}) > 1:
            sizes = sorted({len(frame) for frame in cloud})
            raise ValueError(f"panels[{i}] must hold frames of equally many points, got {sizes}")
        clouds.append(cloud)
    return clouds


def _behind(reference: Sequence[ArrayLike] | None, count: int) -> list[FloatArray | None]:
    if reference is None:
        return [None] * count
    _same_length("reference", reference, "panels", count)
    return [_points(f"reference[{i}]", points) for i, points in enumerate(reference)]


def _panel_groups(
    groups: Sequence[ArrayLike] | None, clouds: Sequence[Sequence[FloatArray]]
) -> list[NDArray[np.intp]]:
    if groups is None:
        return [_groups("groups", None, len(cloud[0])) for cloud in clouds]
    _same_length("groups", groups, "panels", len(clouds))
    return [
        _groups(f"groups[{i}]", group, len(cloud[0]))
        for i, (group, cloud) in enumerate(zip(groups, clouds, strict=True))
    ]
