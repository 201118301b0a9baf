"""What users give as posteriors, prior, truth and names, made into plain tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._validation import FloatArray, as_columns, as_table

# Where a problem and a fitted estimator keep the names of the parameters.
_NAME_ATTRIBUTES = ("x_names", "feature_names_in_")


@dataclass(frozen=True, eq=False)
class Posteriors:
    """Samples of one posterior or several, and what they are compared with.

    Attributes
    ----------
    tables : dict of str to ndarray of shape (n, dx)
        Samples of each posterior.
    prior : ndarray of shape (k, dx) or None
        Samples of the prior.
    truth : ndarray of shape (dx,) or None
        True parameters.
    names : list of str
        Of the parameters.
    """

    tables: dict[str, FloatArray]
    prior: FloatArray | None
    truth: FloatArray | None
    names: list[str]

    def column(self, number: int) -> dict[str, FloatArray]:
        """Return the samples of one parameter for each posterior, (n,)."""
        return {name: table[:, number] for name, table in self.tables.items()}


def as_posteriors(
    samples: Any,
    prior: Any,
    truth: Any,
    names: Any,
    *,
    columns: list[str] | None = None,
    prior_name: str = "prior",
) -> Posteriors:
    """Check what the user gave, and put named columns in the order of the first table that has names.

    Parameters
    ----------
    samples : array-like of shape (n, dx), DataFrame, or mapping of str to these
        Samples of a posterior, or of several by name.
    prior : array-like of shape (k, dx), DataFrame or None
        Samples of the prior.
    truth : array-like of shape (dx,), Series or None
        True parameters.
    names : sequence of str, Problem, estimator or None
        See `parameter_names`.
    columns : list of str or None
        Names of the columns of samples, where the samples themselves have none.
    prior_name : str
        What the argument `prior` is called where the user gave it, for errors.

    Raises
    ------
    ValueError, TypeError
        Where shapes or columns do not fit together.
    """
    given = _by_name(samples)
    called = {label: f"samples[{label!r}]" if isinstance(samples, Mapping) else "samples" for label in given}
    found = filter(None, [columns, *map(columns_of, [*given.values(), prior])])
    order = next(found, _labels(truth))
    tables = {label: _table(called[label], value, order) for label, value in given.items()}
    count = next(iter(tables.values())).shape[1]
    known = None if prior is None else _table(prior_name, prior, order)
    for name, table in zip([*called.values(), prior_name], [*tables.values(), known], strict=True):
        if table is not None and table.shape[1] != count:
            raise ValueError(
                f"{name} must have as many columns as the other samples, {count}, got {table.shape[1]}"
            )
    return Posteriors(tables, known, _truth(truth, count, order), parameter_names(names, count, order))


def parameter_names(names: Any, count: int, columns: list[str] | None = None) -> list[str]:
    """Return a name for each of so many parameters.

    Parameters
    ----------
    names : sequence of str, Problem, estimator or None
        A problem gives its `x_names`, an estimator that was fitted to a table with names its
        `feature_names_in_`. None takes the columns.
    count : int
        Number of parameters.
    columns : list of str or None
        Names that the data came with; without any, the parameters are x1, x2, ...

    Raises
    ------
    ValueError, TypeError
        Where there are not as many names as parameters, or names are no strings.
    """
    found = [getattr(names, attribute, None) for attribute in _NAME_ATTRIBUTES]
    own = next((value for value in found if value is not None), None)
    if own is None and (names is None or hasattr(names, "posterior")):
        own = columns or [f"$x_{{{number}}}$" for number in range(1, count + 1)]
    chosen = names if own is None else own
    if isinstance(chosen, str) or not isinstance(chosen, Iterable):
        raise TypeError(
            f"names must be a list of names, a problem, a fitted estimator or None, got {names!r} of type "
            f"{type(names).__name__}"
        )
    listed = [str(name) for name in chosen]
    if len(listed) != count:
        raise ValueError(f"names must be as many as the parameters, {count}, got {len(listed)}")
    return listed


def columns_of(table: Any) -> list[str] | None:
    """Return the names of the columns of a table, None where it has none or they are numbers."""
    return None if table is None else _strings(getattr(as_columns(table), "columns", None))


def _labels(truth: Any) -> list[str] | None:
    """Return the names that a truth came with: the index of a Series, the columns of a row."""
    labels = getattr(truth, "columns", getattr(truth, "index", None))
    # A list has a method `index`.
    return None if callable(labels) else _strings(labels)


def _strings(labels: Any) -> list[str] | None:
    named = labels is not None and len(labels) and all(isinstance(label, str) for label in labels)
    return list(labels) if named else None


def _by_name(samples: Any) -> dict[str, Any]:
    if not isinstance(samples, Mapping):
        return {"posterior": samples}
    if not samples:
        raise ValueError("samples must hold at least one posterior, got an empty mapping")
    return {str(label): value for label, value in samples.items()}


def _table(name: str, value: Any, order: list[str] | None) -> FloatArray:
    if np.ndim(value) > 2:
        raise ValueError(
            f"{name} must have shape (n, dx), the samples of one posterior, got shape {np.shape(value)}; "
            "choose one observation"
        )
    table = as_table(value, name)
    columns = columns_of(value)
    return table if columns is None or order is None else table[:, _places(name, columns, order)]


def _truth(truth: Any, count: int, order: list[str] | None) -> FloatArray | None:
    if truth is None:
        return None
    values = np.asarray(truth, dtype=np.float64).ravel()
    if values.shape != (count,):
        raise ValueError(f"truth must have shape ({count},), got shape {np.shape(truth)}")
    if not np.isfinite(values).all():
        raise ValueError(f"truth must be finite, got {values}")
    columns = _labels(truth)
    return values if columns is None or order is None else values[_places("truth", columns, order)]


def _places(name: str, columns: list[str], order: list[str]) -> list[int]:
    if sorted(columns) != sorted(order):
        raise ValueError(f"{name} must have the columns of the other samples, {order}, got {columns}")
    return [columns.index(column) for column in order]
