"""What every estimator of p(x | y) does with its tables, network or not."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import Tags
from sklearn.utils.validation import validate_data

from ._validation import (
    FloatArray,
    as_columns,
    as_observations,
    as_table,
    check_names,
    check_same_rows,
    column_names,
)


class PairsEstimator(BaseEstimator):
    """An estimator that is fitted to rows of x and y, and asked about such rows."""

    n_features_in_: int
    feature_names_in_: NDArray[np.object_]
    target_names_in_: NDArray[np.object_]

    def _remember_columns(self, x: Any, table: FloatArray, *, reset: bool) -> None:
        """Keep number and names of the columns of x, or check them against those kept."""
        x = as_columns(x)
        named = hasattr(x, "columns") or hasattr(x, "__dataframe__")
        validate_data(self, X=x if named else table, reset=reset, skip_check_array=True)

    def _remember_targets(self, y: Any, *, reset: bool) -> None:
        """Keep the names of the columns of y, or check them against those kept."""
        names = column_names(y)
        if not reset:
            check_names("y", names, self._y_names)
        elif names is not None:
            self.target_names_in_ = np.asarray(names, dtype=object)
        elif hasattr(self, "target_names_in_"):
            del self.target_names_in_

    @property
    def _x_names(self) -> list[str] | None:
        """Names of the columns of x, None where they had none."""
        names = getattr(self, "feature_names_in_", None)
        return None if names is None else [str(name) for name in names]

    @property
    def _y_names(self) -> list[str] | None:
        """Names of the columns of y, None where they had none."""
        names = getattr(self, "target_names_in_", None)
        return None if names is None else [str(name) for name in names]

    def _require_target(self, y: Any) -> None:
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None")

    def _x_table(self, x: Any) -> FloatArray:
        table = as_table(x, "x")
        if table.shape[1] != self.n_features_in_:
            hint = " Reshape your data." if np.ndim(x) == 1 else ""
            raise ValueError(
                f"x has {table.shape[1]} features, but {type(self).__name__} is expecting "
                f"{self.n_features_in_} features as input.{hint}"
            )
        self._remember_columns(x, table, reset=False)
        return table

    def _observations(self, y: Any, columns: int) -> tuple[FloatArray, bool]:
        """Return observations of so many columns as rows, and whether it was a single one."""
        return as_observations(y, columns, self._y_names)

    def _pairs(self, x: Any, y: Any, method: str) -> tuple[FloatArray, FloatArray]:
        x_table = self._x_table(x)
        if y is None:
            raise ValueError(f"{method} needs y: y must be the observations of x, got None")
        y_table = as_table(y, "y")
        self._remember_targets(y, reset=False)
        check_same_rows(x_table, y_table)
        return x_table, y_table

    def __sklearn_tags__(self) -> Tags:
        tags: Tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.target_tags.multi_output = True
        tags.target_tags.single_output = False
        # Input is validated; but one dimension means one column here, and no other tag says so. The checks
        # of scikit-learn that this leaves out are run by the tests one by one.
        tags.no_validation = True
        return tags
