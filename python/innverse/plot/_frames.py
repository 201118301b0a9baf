"""Posteriors that form, frame by frame."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .._validation import FloatArray, as_columns, as_table
from ..problems._base import check_count
from ._posteriors import columns_of

# Frames of an animation of some seconds; the first with few enough points to count.
_FRAMES = 30
_FIRST = 10


class Frames(NamedTuple):
    """Samples of one posterior at each frame, as `innverse.plot.animate` takes them.

    Attributes
    ----------
    samples : list of ndarray of shape (n, dx)
        One table a frame.
    captions : list of str
        What to write above each.
    names : list of str or None
        Of the parameters, where the data had names.
    """

    samples: list[FloatArray]
    captions: list[str]
    names: list[str] | None


def growing_frames(samples: Any, *, first: int = _FIRST, count: int = _FRAMES) -> Frames:
    """Let a posterior form from more and more of its samples.

    Parameters
    ----------
    samples : array-like of shape (n, dx) or DataFrame
        Samples of one posterior, in random order.
    first : int, default=10
        Samples of the first frame.
    count : int, default=30
        Frames, at most; the last has all samples, and each more than the one before by about the same factor.

    Returns
    -------
    frames : Frames
        For `animate`.

    Raises
    ------
    ValueError, TypeError
        Where there are fewer samples than the first frame needs.

    Examples
    --------
    >>> import numpy as np
    >>> from innverse import plot
    >>> plot.growing_frames(np.zeros((1000, 2)), count=3).captions
    ['10 samples', '100 samples', '1000 samples']
    """
    if np.ndim(as_columns(samples)) != 2:
        raise ValueError(f"samples must have shape (n, dx), got shape {np.shape(samples)}")
    table = as_table(samples, "samples")
    first, count = check_count("first", first), check_count("count", count)
    if first > len(table):
        raise ValueError(f"first must be at most the number of samples, {len(table)}, got {first}")
    sizes = np.unique(np.round(np.geomspace(len(table), first, count)).astype(int))
    return Frames(
        [table[:size] for size in sizes], [f"{size} samples" for size in sizes], columns_of(samples)
    )


def training_frames(
    model: Any,
    x: Any,
    y: Any,
    observation: Any,
    *,
    passes: int = _FRAMES,
    n: int = 1000,
    random_state: int = 0,
) -> Frames:
    """Let a posterior form while a network trains.

    A copy of the model is trained anew with `partial_fit`, one pass over the simulations a frame, at a
    constant learning rate and without what `fit` does beside (no rows held out, no surrogate): it shows how a
    posterior forms, not the posterior of a complete fit. The seed of the draws stays the same, so that each
    point keeps its latent variables and moves only because the network changes.

    Parameters
    ----------
    model : INN or ConditionalINN
        Fitted or not; it is left as it is.
    x : array-like of shape (n, dx)
        Parameters to train on.
    y : array-like of shape (n, dy)
        Their observations.
    observation : array-like of shape (dy,)
        One observation, whose posterior is shown.
    passes : int, default=30
        Passes, and frames.
    n : int, default=1000
        Samples in each frame.
    random_state : int, default=0
        Determines the samples.

    Returns
    -------
    frames : Frames
        For `animate`.

    Raises
    ------
    ValueError, TypeError
        Where model, data or numbers make no sense.

    Examples
    --------
    >>> from innverse import ConditionalINN, plot
    >>> from innverse.problems import InverseKinematics
    >>> x, y = InverseKinematics().sample(500, random_state=0)
    >>> frames = plot.training_frames(ConditionalINN(n_estimators=1), x, y, y[0], passes=2, n=100)
    >>> frames.captions
    ['after pass 1', 'after pass 2']
    """
    from sklearn.base import clone

    if not hasattr(model, "partial_fit"):
        raise TypeError(f"model must have a method partial_fit, got {type(model).__name__}")
    passes, n = check_count("passes", passes), check_count("n", n)
    learner = clone(model)
    samples, captions = [], []
    for done in range(1, passes + 1):
        learner.partial_fit(x, y)
        drawn = learner.posterior(observation, n=n, random_state=random_state)
        if drawn.ndim != 2:
            raise ValueError(f"observation must be one observation, got shape {np.shape(observation)}")
        samples.append(drawn)
        captions.append(f"after pass {done}")
    return Frames(samples, captions, columns_of(x))
