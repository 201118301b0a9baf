"""Turning what users have into float64 tables, with errors that say what is wrong with which argument."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array

FloatArray = NDArray[np.float64]

# A column that varies by this many roundings of its largest entry is constant.
_CONSTANT_ROUNDINGS = 4.0


def as_table(data: Any, name: str, *, allow_nan: bool = False) -> FloatArray:
    """Return rows and columns as contiguous float64.

    Parameters
    ----------
    data : array-like or DataFrame
        One dimension means one column.
    name : str
        The argument's name, for errors.
    allow_nan : bool, default=False
        Whether NaN and infinity may pass.

    Returns
    -------
    table : ndarray of shape (n, columns)

    Raises
    ------
    ValueError, TypeError
        Names the argument, what it got and what it needs.
    """
    _refuse_text(data, name)
    data = as_columns(data)
    try:
        table = check_array(
            data,
            dtype=np.float64,
            order="C",
            ensure_all_finite=not allow_nan,
            input_name=name,
        )
    except (ValueError, TypeError) as error:
        if name in str(error).split():
            raise
        raise type(error)(f"{name}: {error}") from error
    return np.ascontiguousarray(table, dtype=np.float64)


def as_columns(data: Any) -> Any:
    """Make a single column of anything one-dimensional; leave the rest."""
    if hasattr(data, "to_frame"):  # a pandas Series
        return data.to_frame()
    if not hasattr(data, "ndim"):
        try:
            data = np.asarray(data)
        except ValueError:  # ragged: the check of arrays explains it
            return data
    return data.reshape(-1, 1) if getattr(data, "ndim", 2) == 1 and hasattr(data, "reshape") else data


def _refuse_text(data: Any, name: str) -> None:
    dtypes = getattr(data, "dtypes", None)
    if dtypes is None or not hasattr(data, "columns"):
        return
    text = [str(c) for c, dtype in dtypes.items() if dtype.kind not in "biufcO" and not _numeric(dtype)]
    text += [str(c) for c, dtype in dtypes.items() if dtype.kind == "O" and _holds_text(data[c])]
    if text:
        raise ValueError(f"{name} must be numeric, got other values in column(s) {', '.join(text)}")


def _numeric(dtype: Any) -> bool:
    return bool(getattr(dtype, "_is_numeric", False))


def _holds_text(column: Any) -> bool:
    return any(isinstance(value, str) for value in column)


def check_same_rows(x: FloatArray, y: FloatArray) -> None:
    """Raise where x and y do not pair up."""
    if len(x) != len(y):
        raise ValueError(f"x has {len(x)} rows and y has {len(y)}; each row of x needs its row of y")


def finite_rows(x: FloatArray, y: FloatArray) -> NDArray[np.bool_]:
    """Tell which rows are finite in both tables."""
    return np.asarray(np.isfinite(np.hstack([x, y])).all(axis=1))


def column_scales(table: FloatArray) -> FloatArray:
    """Return the standard deviation of each column; 1 where the column is constant."""
    deviation = table.std(axis=0)
    rounding = _CONSTANT_ROUNDINGS * np.finfo(np.float64).eps * np.abs(table).max(axis=0)
    return np.where(deviation <= rounding, 1.0, deviation)


def as_observations(y: Any, columns: int) -> tuple[FloatArray, bool]:
    """Return observations as rows, and whether it was a single one.

    Parameters
    ----------
    y : array-like
        One observation of shape (columns,), or a table of shape (m, columns). Where `columns` is 1, a
        scalar or one number is one observation, and several numbers are several observations.
    columns : int
        Columns of y that the model was fitted to.
    """
    if hasattr(y, "to_frame"):
        y = y.to_numpy()
    array = y if hasattr(y, "columns") else np.asarray(y)
    if array.ndim == 0:
        array = array.reshape(1)
    single = array.ndim == 1 and len(array) == columns
    if single:
        array = array.reshape(1, -1)
    table = as_table(array, "y")
    if table.shape[1] != columns:
        raise ValueError(
            f"y must have {columns} columns, as the y that the model was fitted to, got shape "
            f"{np.shape(y)}. Reshape your data."
        )
    return table, single
