"""Posterior samples in parts: any number of them needs no more memory than the array they go to."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from . import _core
from ._validation import FloatArray

# Samples drawn at once: enough to keep the threads busy, and a few megabytes of double precision.
ROWS_AT_ONCE = 1 << 17


def draw(
    model: _core.Model,
    y: FloatArray,
    n: int,
    seed: int,
    threads: int,
    *,
    out: NDArray[Any],
    verbose: bool,
) -> None:
    """Fill an array with posterior samples, part by part.

    Parameters
    ----------
    model : Model
        Trained networks.
    y : ndarray of shape (m, dy)
        Observations.
    n : int
        Samples for each of them.
    seed : int
        Determines the samples, whatever the parts are.
    threads : int
        Threads to use.
    out : ndarray of shape (m, n, dx), C-contiguous
        Where they go.
    verbose : bool
        Whether to show a progress bar where there are several parts.
    """
    flat = out.reshape(-1, out.shape[-1])
    hidden = not verbose or len(flat) <= ROWS_AT_ONCE
    with tqdm(total=len(flat), desc="Sampling", unit="samples", unit_scale=True, disable=hidden) as bar:
        for start in range(0, len(flat), ROWS_AT_ONCE):
            stop = min(start + ROWS_AT_ONCE, len(flat))
            flat[start:stop] = model.posterior(y, n, seed, threads, start, stop)
            bar.update(stop - start)


def allocate(shape: tuple[int, ...], n: int) -> FloatArray:
    """Make the array that samples go to, or say that they are too many.

    Parameters
    ----------
    shape : tuple of int
        Its shape.
    n : int
        Samples for each observation, which the error is about.

    Returns
    -------
    out : ndarray
        Not initialised.
    """
    try:
        return np.empty(shape)
    except (MemoryError, ValueError) as error:
        observations = shape[0] if len(shape) > 2 else 1
        raise ValueError(
            f"n must be samples of {observations} observations that fit in memory, got {n}"
        ) from error


def check_out(out: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """Check an array that the user gave for samples.

    Parameters
    ----------
    out : object
        What was given.
    shape : tuple of int
        What its shape must be.

    Returns
    -------
    out : ndarray
        The same.

    Raises
    ------
    TypeError, ValueError
        Where samples can't be written to it as they are.
    """
    if not isinstance(out, np.ndarray) or out.dtype not in (np.float32, np.float64):
        got = f"an array of {out.dtype}" if isinstance(out, np.ndarray) else type(out).__name__
        raise TypeError(f"out must be an array of float32 or float64, got {got}")
    if out.shape != shape:
        raise ValueError(f"out must have the shape {shape}, got {out.shape}")
    if not (out.flags.c_contiguous and out.flags.writeable):
        raise ValueError("out must be C-contiguous and writeable, got one that is not")
    return out
