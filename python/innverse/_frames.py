"""Results as tables of pandas, which is imported when one is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ._validation import FloatArray, is_frame, is_series

if TYPE_CHECKING:
    from pandas import DataFrame

# Levels of the index of posterior samples.
OBSERVATION, DRAW = "observation", "draw"


def import_pandas() -> Any:
    """Import pandas, or say how to install it."""
    try:
        import pandas
    except ImportError as error:
        raise ImportError(
            "as_frame=True needs pandas; install it with: pip install 'innverse[pandas]'"
        ) from error
    return pandas


def default_names(letter: str, count: int) -> list[str]:
    """Return names for columns that have none, such as x0, x1."""
    return [f"{letter}{column}" for column in range(count)]


def posterior_frame(samples: FloatArray, names: Sequence[str] | None, y: Any) -> DataFrame:
    """Return posterior samples as a table with a row for each draw.

    Parameters
    ----------
    samples : ndarray of shape (n, dx) or (m, n, dx)
        Draws for one observation, or for m.
    names : sequence of str or None
        Names of the parameters; None gives x0, x1, ...
    y : array-like, DataFrame or Series
        The observations as they were given. Several rows of a table with an index keep it.

    Returns
    -------
    frame : DataFrame
        Its index is "draw" for one observation, and ("observation", "draw") for m. Where that of y has
        several levels, these come before "draw" under their own names.
    """
    pandas = import_pandas()
    n, dx = samples.shape[-2:]
    index = pandas.RangeIndex(n, name=DRAW)
    if samples.ndim == 3:
        observations = y.index if is_frame(y) or is_series(y) else pandas.RangeIndex(len(samples))
        if observations.nlevels == 1:
            observations = observations.rename(OBSERVATION)
        index = _product(pandas, observations, index)
    columns = list(names or default_names("x", dx))
    frame: DataFrame = pandas.DataFrame(samples.reshape(-1, dx), index=index, columns=columns)
    return frame


def _product(pandas: Any, outer: Any, inner: Any) -> Any:
    """Return an index with all of `inner` for each entry of `outer`, whose entries may repeat."""
    repeated = outer.repeat(len(inner))
    levels = [repeated.get_level_values(level) for level in range(outer.nlevels)]
    return pandas.MultiIndex.from_arrays([*levels, np.tile(inner, len(outer))], names=[*outer.names, DRAW])


def table_frame(table: FloatArray, names: Sequence[str], like: Any) -> DataFrame:
    """Return a table with names, and with the index of another that has as many rows, where it has one."""
    index = like.index if is_frame(like) or is_series(like) else None
    frame: DataFrame = import_pandas().DataFrame(table, index=index, columns=list(names))
    return frame
