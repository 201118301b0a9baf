"""Posteriors that form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike, NDArray

from .._validation import FloatArray, as_table
from ._animate_marginals import animate_marginals
from ._animate_points import Panel, animate_points
from ._frames import Frames
from ._points import as_groups, as_points
from ._posteriors import Posteriors, as_posteriors, parameter_names

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation


def animate(
    panels: Frames | Sequence[Any] | NDArray[Any],
    titles: Sequence[str] | None = None,
    groups: Sequence[ArrayLike] | None = None,
    reference: Any = None,
    captions: Sequence[str] | None = None,
    names: Any = None,
    interval: float = 100.0,
    truth: Any = None,
) -> FuncAnimation:
    """Animate posteriors that form, over training or over growing numbers of samples.

    One posterior is a sequence of tables, (n, dx), one for each frame, such as `training_frames` and
    `growing_frames` make. With two parameters its samples are points, else each parameter has a histogram
    over its prior. Several posteriors of two parameters can be seen side by side: a sequence of such
    sequences, as lists, not arrays.

    Parameters
    ----------
    panels : Frames, sequence of arrays or DataFrames of shape (n, dx), or sequence of sequences of (n, 2)
        Frames of one posterior, or for each panel its frames; all panels have equally many frames. Where a
        frame has fewer points than another, they are its first ones.
    titles : sequence of str or None
        Title of each panel of points.
    groups : array-like of shape (n,), sequence of these, or None
        Integer group of each point, from 0 to 23, which gives its colour, for one posterior or for each
        panel; n is that of the largest frame.
    reference : array-like of shape (k, dx), sequence of array-like of shape (k, 2), or None
        Samples that lie behind in grey, such as those of the prior, for one posterior or for each panel. They
        set the scale of points; without them the last frame does.
    captions : sequence of str or None
        Text above each frame; None takes those of `Frames`, if any.
    names : sequence of str, Problem, estimator or None
        Of the parameters, see `marginals`.
    interval : float, default=100
        Time between frames, in milliseconds.
    truth : array-like of shape (dx,) or None
        True parameters of one posterior, dotted.

    Returns
    -------
    animation : matplotlib.animation.FuncAnimation
        The animation. Keep it until it is saved: ``animation.save("posterior.gif")`` needs no more than
        pillow, ``animation.save("posterior.mp4")`` needs ffmpeg. As the last line of a notebook's cell it
        is shown inline, with a player.

    Raises
    ------
    ValueError, TypeError
        Where the arguments do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> from innverse import plot
    >>> samples = np.random.default_rng(0).normal(size=(2000, 3))
    >>> animation = plot.animate(plot.growing_frames(samples), names=["a", "b", "c"])  # doctest: +SKIP
    >>> animation.save("posterior.gif")  # doctest: +SKIP
    """
    columns = None
    frames: Any = panels
    if isinstance(panels, Frames):
        captions = panels.captions if captions is None else captions
        frames, columns = panels.samples, panels.names
    if len(frames) and getattr(frames[0], "ndim", 0) == 2:
        tables = _tables(frames)
        given = as_posteriors(frames[-1], reference, truth, names, columns=columns, prior_name="reference")
        return _one_posterior(tables, given, titles, groups, captions, interval)
    if truth is not None:
        raise ValueError("truth must be None where panels holds several posteriors")
    clouds = _clouds(frames)
    shown = _panels(clouds, titles, groups, _behind(reference, len(clouds)))
    return animate_points(
        shown, parameter_names(names, 2), None, _captions(captions, len(clouds[0])), interval
    )


def _one_posterior(
    tables: list[FloatArray],
    given: Posteriors,
    titles: Sequence[str] | None,
    groups: Any,
    captions: Sequence[str] | None,
    interval: float,
) -> FuncAnimation:
    captions = _captions(captions, len(tables))
    if len(given.names) == 2:
        shown = _panels([tables], titles, None if groups is None else [groups], [given.prior])
        return animate_points(shown, given.names, given.truth, captions, interval)
    for name, value in (("titles", titles), ("groups", groups)):
        if value is not None:
            raise ValueError(
                f"{name} must be None where histograms of {len(given.names)} parameters are shown"
            )
    return animate_marginals(tables, given, captions, interval)


def _tables(frames: Sequence[Any]) -> list[FloatArray]:
    tables = [as_table(frame, f"panels[{number}]") for number, frame in enumerate(frames)]
    counts = sorted({table.shape[1] for table in tables})
    if len(counts) > 1:
        raise ValueError(f"panels must hold frames with equally many columns, got {counts}")
    return tables


def _clouds(panels: Sequence[Sequence[ArrayLike]]) -> list[list[FloatArray]]:
    if len(panels) == 0 or len(panels[0]) == 0:
        raise ValueError("panels must hold at least one panel with at least one frame, got none")
    clouds = []
    for i, frames in enumerate(panels):
        _same_length(f"frames of panels[{i}]", frames, "frames of panels[0]", len(panels[0]))
        clouds.append([as_points(f"panels[{i}][{j}]", points) for j, points in enumerate(frames)])
    return clouds


def _panels(
    clouds: Sequence[list[FloatArray]],
    titles: Sequence[str] | None,
    groups: Sequence[ArrayLike] | None,
    behind: Sequence[FloatArray | None],
) -> list[Panel]:
    titles = [""] * len(clouds) if titles is None else titles
    _same_length("titles", titles, "panels", len(clouds))
    if groups is not None:
        _same_length("groups", groups, "panels", len(clouds))
    panels = []
    for i, (title, cloud, grey) in enumerate(zip(titles, clouds, behind, strict=True)):
        group = None if groups is None else groups[i]
        most = max(len(points) for points in cloud)
        panels.append(Panel(title, cloud, as_groups(f"groups[{i}]", group, most), grey))
    return panels


def _behind(reference: Sequence[ArrayLike] | None, count: int) -> list[FloatArray | None]:
    if reference is None:
        return [None] * count
    _same_length("reference", reference, "panels", count)
    return [as_points(f"reference[{i}]", points) for i, points in enumerate(reference)]


def _captions(captions: Sequence[str] | None, count: int) -> Sequence[str]:
    captions = [""] * count if captions is None else captions
    _same_length("captions", captions, "frames", count)
    return captions


def _same_length(name: str, value: Sequence[Any], what: str, count: int) -> None:
    if len(value) != count:
        raise ValueError(f"{name} must be as many as the {what}, {count}, got {len(value)}")
