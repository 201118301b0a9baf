"""Turning what users have into float64 tables, with errors that say what is wrong with which argument."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_array

FloatArray = NDArray[np.float64]

# A column that varies by this many roundings of its largest entry is constant.
_CONSTANT_ROUNDINGS = 4.0
# Kinds of numpy's dtypes that turn into floats but measure nothing on a real scale: complex numbers, dates,
# time spans (whose unit would be lost), text.
_NO_NUMBERS = "cmMSU"


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
    data = as_columns(data)
    if is_frame(data):
        data = _numbers(data, name, allow_nan=allow_nan)
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


def is_frame(data: Any) -> bool:
    """Tell whether this is a DataFrame of pandas, without importing it."""
    return hasattr(data, "iloc") and hasattr(data, "columns")


def is_series(data: Any) -> bool:
    """Tell whether this is a Series of pandas, without importing it."""
    return hasattr(data, "iloc") and hasattr(data, "to_frame")


def as_columns(data: Any) -> Any:
    """Make a single column of anything one-dimensional; leave the rest."""
    if hasattr(data, "to_frame"):  # a Series
        return data.to_frame()
    if not hasattr(data, "ndim") and not hasattr(data, "columns"):
        try:
            data = np.asarray(data)
        except ValueError:  # ragged: the check of arrays explains it
            return data
    return data.reshape(-1, 1) if getattr(data, "ndim", 2) == 1 and hasattr(data, "reshape") else data


def _numbers(frame: Any, name: str, *, allow_nan: bool) -> FloatArray:
    """Return a DataFrame's values, with errors that name the columns; missing values become NaN."""
    if repeated := sorted({str(label) for label in frame.columns[frame.columns.duplicated()]}):
        raise ValueError(f"{name} must have columns of different names, got several of {', '.join(repeated)}")
    table = np.empty(frame.shape)
    refused = []
    for i, column in enumerate(frame.columns):
        values = _column_numbers(frame.iloc[:, i])
        if values is None:
            refused.append(f"{column} ({frame.dtypes.iloc[i]})")
        else:
            table[:, i] = values
    if refused:
        raise ValueError(f"{name} must be numeric, got other values in column(s) {', '.join(refused)}")
    for kind, wrong in (("NaN", np.isnan(table)), ("infinity", np.isinf(table))):
        if not allow_nan and wrong.any():
            columns = ", ".join(str(frame.columns[i]) for i in np.flatnonzero(wrong.any(axis=0)))
            raise ValueError(f"{name} contains {kind} in column(s) {columns}, must be finite")
    return table


def _column_numbers(column: Any) -> FloatArray | None:
    """Return a Series as floats; None where it holds anything but real numbers."""
    if column.dtype.kind in _NO_NUMBERS or any(isinstance(value, str | bytes) for value in _objects(column)):
        return None
    try:
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
    except (TypeError, ValueError, OverflowError):
        return None


def _objects(column: Any) -> Any:
    # Text that spells numbers would pass as numbers.
    return column if column.dtype.kind == "O" else ()


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


def as_observations(y: Any, columns: int, names: Sequence[str] | None = None) -> tuple[FloatArray, bool]:
    """Return observations as rows, and whether it was a single one.

    Parameters
    ----------
    y : array-like, DataFrame or Series
        One observation of shape (columns,), or a table of shape (m, columns). Where `columns` is 1, a
        scalar or one number is one observation, and several numbers are several observations.
    columns : int
        Columns of y that the model was fitted to.
    names : sequence of str or None
        Their names, which those of y must equal where it has some.
    """
    data: Any = y if hasattr(y, "columns") or is_series(y) else np.asarray(y)
    if not hasattr(data, "columns") and data.ndim == 0:
        data = data.reshape(1)
    single = not hasattr(data, "columns") and data.ndim == 1 and len(data) == columns
    if is_series(data):
        # The row of a frame has its columns' names in its index. Of a lone number neither name is sure.
        data = data.to_frame().T if columns > 1 else data.to_frame() if len(data) > 1 else data.to_frame(0)
    elif single:
        data = data.reshape(1, -1)
    check_names("y", column_names(data), names)
    table = as_table(data, "y")
    if table.shape[1] != columns:
        raise ValueError(
            f"y must have {columns} columns, as the y that the model was fitted to, got shape "
            f"{np.shape(y)}. Reshape your data."
        )
    return table, single


def column_names(data: Any) -> list[str] | None:
    """Return the names of the columns, None where they are not all text: a number is no name."""
    names = list(getattr(as_columns(data), "columns", ()))
    return names if names and all(isinstance(name, str) for name in names) else None


def check_names(argument: str, got: Sequence[str] | None, fitted: Sequence[str] | None) -> None:
    """Raise where columns have other names than at fit, or another order; without names all is well."""
    if got is None or fitted is None or list(got) == list(fitted):
        return
    unexpected = [name for name in got if name not in set(fitted)]
    missing = [name for name in fitted if name not in set(got)]
    if unexpected or missing:
        detail = f"got unexpected {unexpected} and lacks {missing}"
    else:
        detail = f"needs the order {list(fitted)}, got {list(got)}"
    raise ValueError(f"{argument} must have the columns of the {argument} that was fitted: {detail}")
