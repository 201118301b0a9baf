"""Choosing what the data decide: how many latent variables a problem needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import train_test_split

from ._inn import INN
from ._validation import FloatArray, as_table, check_same_rows

__all__ = ["LatentDimSearch", "latent_dim_search"]

# Share of the rows that the fits are compared on.
_COMPARISON_SHARE = 0.2
# Rows they are compared on at most: with these the standard error of a mean score is below 2 % of its spread.
_MOST_COMPARED = 4000
# A smaller number is recommended unless a larger one is better by more than this many standard errors.
_STANDARD_ERRORS = 2.0


@dataclass(frozen=True)
class LatentDimSearch:
    """What `latent_dim_search` found.

    Attributes
    ----------
    latent_dim : ndarray of int, shape (k,)
        Numbers of latent variables that were tried.
    score : ndarray of shape (k,)
        Mean score of each on rows held out, minus the energy score in standardised parameters: higher is
        better.
    deficit : ndarray of shape (k,)
        How much each is worse than the best, row by row on the same rows.
    standard_error : ndarray of shape (k,)
        Standard error of that difference; 0 for the best.
    recommended : int
        The smallest number that is not worse than the best by more than two standard errors.
    """

    latent_dim: NDArray[np.intp]
    score: FloatArray
    deficit: FloatArray
    standard_error: FloatArray
    recommended: int

    def __str__(self) -> str:
        """Return the table."""
        lines = ["latent_dim    score   worse by        +-"]
        rows = zip(self.latent_dim, self.score, self.deficit, self.standard_error, strict=True)
        for latent_dim, score, deficit, error in rows:
            mark = "  recommended" if latent_dim == self.recommended else ""
            lines.append(f"{latent_dim:10d} {score:8.4f} {deficit:10.4f} {error:9.4f}{mark}")
        return "\n".join(lines)


def latent_dim_search(
    estimator: INN, x: Any, y: Any, latent_dims: Sequence[int] | None = None, random_state: Any = None
) -> LatentDimSearch:
    """Find how many latent variables the data need, by fits that differ in nothing else.

    With too few, z cannot hold what y loses of x, and posterior samples lie on too thin a set; with more than
    needed, nothing is gained. Each number is fitted to the same rows and scored on the same held-out rows by
    minus the energy score, and the smallest one that is as good as the best is recommended.

    Parameters
    ----------
    estimator : INN
        The estimator whose `latent_dim` is in question; it is cloned and stays as it is.
    x : array-like of shape (n, dx)
        Hidden parameters.
    y : array-like of shape (n, dy)
        Their observations.
    latent_dims : sequence of int or None, default=None
        Numbers to try; None is 1 to dx.
    random_state : int, RandomState instance or None, default=None
        Determines which rows are held out.

    Returns
    -------
    search : LatentDimSearch
        Table and recommendation; `print` shows it, `innverse.plot.latent_dims` draws it.

    Examples
    --------
    >>> import numpy as np
    >>> from innverse import INN
    >>> from innverse.selection import latent_dim_search
    >>> x = np.random.default_rng(0).normal(size=(400, 2))
    >>> search = latent_dim_search(INN(max_iter=2, random_state=0), x, x[:, :1], random_state=0)
    >>> search.latent_dim
    array([1, 2])
    """
    x_table, y_table = as_table(x, "x"), as_table(y, "y")
    check_same_rows(x_table, y_table)
    tried = list(range(1, x_table.shape[1] + 1)) if latent_dims is None else list(latent_dims)
    if not tried:
        raise ValueError("latent_dims must hold at least one number, got none")
    held_out = min(_COMPARISON_SHARE, _MOST_COMPARED / len(x_table))
    parts = train_test_split(x_table, y_table, test_size=held_out, random_state=random_state)
    x_fit, x_compare, y_fit, y_compare = parts
    scores = []
    for latent_dim in tried:
        model = clone(estimator).set_params(latent_dim=latent_dim)
        scores.append(-model.fit(x_fit, y_fit)._energy_scores(x_compare, y_compare))
    return _compared(np.asarray(tried), np.stack(scores))


def _compared(latent_dim: NDArray[np.intp], scores: FloatArray) -> LatentDimSearch:
    """Compare rows of scores with the best of them."""
    means = scores.mean(axis=1)
    differences = scores[means.argmax()] - scores
    deficit = differences.mean(axis=1)
    error = differences.std(axis=1) / np.sqrt(scores.shape[1])
    good = latent_dim[deficit <= _STANDARD_ERRORS * error]
    return LatentDimSearch(latent_dim, means, deficit, error, int(good.min()))
