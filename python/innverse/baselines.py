"""Simple methods that a network has to beat."""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, overload

import numpy as np
from sklearn.neighbors import NearestNeighbors
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from . import _core
from ._base import PairsEstimator
from ._frames import import_pandas, posterior_frame
from ._validation import FloatArray, as_table, check_same_rows, column_scales
from .problems._base import RandomStateLike, as_generator, check_count

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["RejectionABC"]

# Share of the simulations that is accepted by default.
_ACCEPTANCE = 0.001
# Posterior draws per observation that `score` compares with the truth: as many as the networks use.
_SCORE_DRAWS = 100
_SCORE_THREADS = 1
# Neighbours looked up at once: 8 MB.
_ENTRIES_AT_ONCE = 1_000_000


class RejectionABC(PairsEstimator):
    """Approximate Bayesian computation: the simulations whose y is nearest to the observation.

    All simulations are kept. For an observation, those with the nearest y are accepted, and their x are the
    posterior samples. The distance is Euclidean, with every column of y divided by its standard deviation.

    The samples are exact draws of the posterior given that y fell within the distance reached, not given
    y itself: the posterior comes out too wide, the more so the more columns y has and the fewer simulations
    there are. What it needs is simulations, not training, which makes it a baseline.

    Parameters
    ----------
    acceptance : float, default=0.001
        Share of the simulations that is accepted, rounded up; at least one is.
    random_state : int, RandomState, Generator or None, default=None
        Determines which accepted simulations are drawn.

    Attributes
    ----------
    n_accepted_ : int
        Number of simulations accepted for each observation.
    y_scale_ : ndarray of shape (dy,)
        Standard deviation of each column of y; 1 for a constant column.
    n_features_in_ : int
        Number of columns of x.
    feature_names_in_ : ndarray of shape (dx,)
        Names of the columns of x, where it was a table with names.
    target_names_in_ : ndarray of shape (dy,)
        Names of the columns of y, where it was one.

    References
    ----------
    J. K. Pritchard et al., "Population growth of human Y chromosomes", Mol. Biol. Evol. 16, 1791 (1999);
    for the nearest neighbours, G. Biau, F. Cerou, A. Guyader, "New insights into Approximate Bayesian
    Computation", Ann. Inst. H. Poincare Probab. Statist. 51, 376 (2015).

    Examples
    --------
    >>> from innverse.baselines import RejectionABC
    >>> from innverse.problems import InverseBallistics
    >>> x, y = InverseBallistics().sample(20_000, random_state=0)
    >>> RejectionABC(random_state=0).fit(x, y).posterior(5.0, n=10).shape
    (10, 4)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "acceptance": [Interval(Real, 0, 1, closed="right")],
        "random_state": ["random_state", np.random.Generator],
    }

    n_accepted_: int
    y_scale_: FloatArray

    def __init__(self, *, acceptance: float = _ACCEPTANCE, random_state: RandomStateLike = None):
        self.acceptance = acceptance
        self.random_state = random_state

    def fit(self, x: Any, y: Any) -> Self:
        """Keep the simulations and sort them for the search.

        Parameters
        ----------
        x : array-like of shape (n, dx)
            Hidden parameters, one row a simulation. One dimension means one column.
        y : array-like of shape (n, dy)
            What the simulator made of each row of x.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            Where a parameter or the data make no sense; the estimator is left as it was.
        """
        self._validate_params()
        self._require_target(y)
        x_table, y_table = as_table(x, "x"), as_table(y, "y")
        check_same_rows(x_table, y_table)
        scale = column_scales(y_table)
        neighbors = NearestNeighbors(algorithm="kd_tree").fit(y_table / scale)
        self._remember_columns(x, x_table, reset=True)
        self._remember_targets(y, reset=True)
        self._x = x_table
        self._neighbors = neighbors
        self.y_scale_ = scale
        self.n_accepted_ = max(math.ceil(self.acceptance * len(x_table)), 1)
        return self

    @overload
    def posterior(
        self, y: Any, n: int = ..., random_state: RandomStateLike = ..., *, as_frame: Literal[False] = ...
    ) -> FloatArray: ...

    @overload
    def posterior(
        self, y: Any, n: int = ..., random_state: RandomStateLike = ..., *, as_frame: Literal[True]
    ) -> DataFrame: ...

    def posterior(
        self, y: Any, n: int = 1000, random_state: RandomStateLike = None, *, as_frame: bool = False
    ) -> FloatArray | DataFrame:
        """Draw among the accepted simulations.

        Where n is at most the number accepted, no simulation is drawn twice; else draws are made with
        replacement and repeat.

        Parameters
        ----------
        y : array-like of shape (dy,) or (m, dy)
            One observation, or m of them.
        n : int, default=1000
            Samples for each observation.
        random_state : int, RandomState, Generator or None, default=None
            Determines the samples; None takes the estimator's own `random_state`.
        as_frame : bool, default=False
            Whether to return a DataFrame, which needs the extra `pandas`.

        Returns
        -------
        samples : ndarray of shape (n, dx) or (m, n, dx), or DataFrame
            In the units of the x that the model was fitted to; the DataFrame is that of `INN.posterior`.
        """
        check_is_fitted(self)
        n = check_count("n", n)
        if as_frame:
            import_pandas()  # before the work
        table, single = self._observations(y, len(self.y_scale_))
        rng = as_generator(self.random_state if random_state is None else random_state)
        samples = np.empty((len(table), n, self.n_features_in_))
        rows = max(_ENTRIES_AT_ONCE // self.n_accepted_, 1)
        for start in range(0, len(table), rows):
            some = table[start : start + rows] / self.y_scale_
            accepted = self._neighbors.kneighbors(some, self.n_accepted_, return_distance=False)
            for row, candidates in enumerate(accepted, start=start):
                samples[row] = self._x[rng.choice(candidates, size=n, replace=n > len(candidates))]
        samples = samples[0] if single else samples
        return posterior_frame(samples, self._x_names, y) if as_frame else samples

    def score(self, x: Any, y: Any) -> float:
        """Return minus the mean energy score of posterior draws, in standardised parameters.

        It compares with the `score` of any other estimator that was fitted to the same simulations.

        Parameters
        ----------
        x : array-like of shape (n, dx)
            True parameters.
        y : array-like of shape (n, dy)
            Their observations.

        Returns
        -------
        score : float
            Higher is better.
        """
        check_is_fitted(self)
        x_table, y_table = self._pairs(x, y, "score")
        draws = self.posterior(y_table, _SCORE_DRAWS)
        scores = _core.energy_score(draws, x_table, column_scales(self._x).tolist(), _SCORE_THREADS)
        return -float(np.mean(scores))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_neighbors")
