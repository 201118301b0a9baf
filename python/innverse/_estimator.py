"""What all estimators share: validation, naming, sampling, scoring, saving."""

from __future__ import annotations

import json
import warnings
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, overload

import joblib
import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from . import _core
from ._base import PairsEstimator
from ._frames import default_names, import_pandas, posterior_frame
from ._live import Live, stages
from ._network import batch_size, ensemble_size, hidden_layer_sizes
from ._sampling import allocate, check_out, draw
from ._validation import FloatArray, as_table, check_same_rows, finite_rows
from ._verdict import Verdict, judge, warn_of_novel

if TYPE_CHECKING:
    from pandas import DataFrame

    from .metrics import CalibrationError

# Posterior draws per observation that `score` compares with the truth.
SCORE_DRAWS = 100
# Seeds handed to the core are below this.
SEED_BOUND = 2**31
# How the training of a network ends, all epochs done or without improvement.
_AS_PLANNED = ("completed", "stopped")


class PosteriorEstimator(PairsEstimator):
    """An estimator of p(x | y); subclasses say how the core is called."""

    random_state: Any
    n_jobs: int | None
    verbose: int
    warm_start: bool
    nan_policy: str
    max_iter: int | None
    n_estimators: int | None
    hidden_layer_sizes: Sequence[int] | None
    _parameter_constraints: ClassVar[dict[str, list[Any]]]

    # The fitted network, and what is read off it.
    _model: _core.Model
    _y_columns: int
    history_: dict[str, list[float]]
    n_iter_: int
    n_estimators_: int
    verdict_: Verdict | None
    latent_dim_: int
    total_dim_: int

    @abstractmethod
    def _settings(self, dx: int, dy: int) -> dict[str, Any]:
        """Return the core's settings: the parameters, checked and with the choices made."""

    def _surrogate_course(self, rows: int) -> dict[str, Any] | None:
        """Return how a simulator is to be learned first from so many rows, None where none is."""
        return None

    def fit(self, x: Any, y: Any) -> Self:
        """Learn p(x | y) from simulations.

        Parameters
        ----------
        x : array-like of shape (n, dx)
            Hidden parameters, one row a simulation, in any units. One dimension means one column.
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

        Warns
        -----
        ConvergenceWarning
            Where training was interrupted or diverged; the best weights so far are kept.
        UserWarning
            Where a column is constant.
        """
        with self._all_or_nothing():
            going_on = self.warm_start and hasattr(self, "_model")
            return self._fit(x, y, going_on=going_on, overrides={})

    def partial_fit(self, x: Any, y: Any) -> Self:
        """Train for one pass over these rows.

        The first call fixes shape and scaling; later calls go on from there, at a constant learning rate
        and with all loss terms at full weight.

        Parameters
        ----------
        x : array-like of shape (n, dx)
            Hidden parameters.
        y : array-like of shape (n, dy)
            Their observations.

        Returns
        -------
        self : object
            The estimator.
        """
        overrides = {"max_iter": 1, "early_stopping": False, "constant_rate": True}
        with self._all_or_nothing():
            return self._fit(x, y, going_on=hasattr(self, "_model"), overrides=overrides)

    def _fit(self, x: Any, y: Any, *, going_on: bool, overrides: dict[str, Any]) -> Self:
        self._validate_params()
        x_table, y_table = self._training_tables(x, y, reset=not going_on)
        previous = self._model if going_on else None
        rows = len(x_table)
        settings = {**self._settings(x_table.shape[1], y_table.shape[1]), **overrides}
        settings["surrogate"] = None if going_on or overrides else self._surrogate_course(rows)
        alone = settings["surrogate"] is None
        count = previous.size() if previous else ensemble_size(self.n_estimators, rows, alone)
        settings["seeds"] = self._seeds(count)
        settings["batch_size"] = batch_size(settings["batch_size"], rows)
        settings["hidden_layer_sizes"] = hidden_layer_sizes(self.hidden_layer_sizes, rows)
        model, outcomes = self._train(x_table, y_table, settings, previous)
        self._model = model
        self.history_ = _joined(self.history_ if previous else None, _mean_history(outcomes))
        self.n_iter_ = len(self.history_["epoch"])
        _, self._y_columns, self.latent_dim_, self.total_dim_ = model.layout()
        self.n_estimators_ = len(outcomes)
        self.verdict_ = self._judge(outcomes, x_table, y_table)
        _warn_of(outcomes, count)
        return self

    def _train(
        self, x: FloatArray, y: FloatArray, settings: dict[str, Any], previous: _core.Model | None
    ) -> tuple[_core.Model, list[dict[str, Any]]]:
        """Return the networks that are worth keeping and how each fared, after showing how they did."""
        with Live(stages(settings), self.verbose) as live:
            model, outcomes = _core.fit_network(x, y, settings, self._threads(), previous, live.report)
            if all(outcome["ending"] in _AS_PLANNED for outcome in outcomes):
                live.complete()
        return _begun(model, outcomes, previous)

    def _training_tables(self, x: Any, y: Any, *, reset: bool) -> tuple[FloatArray, FloatArray]:
        self._require_target(y)
        omit = self.nan_policy == "omit"
        x_table = as_table(x, "x", allow_nan=omit)
        y_table = as_table(y, "y", allow_nan=omit)
        self._remember_columns(x, x_table, reset=reset)
        self._remember_targets(y, reset=reset)
        check_same_rows(x_table, y_table)
        if omit:
            rows = finite_rows(x_table, y_table)
            x_table, y_table = x_table[rows], y_table[rows]
        for name, table in (("x", x_table), ("y", y_table)):
            if len(table) < 2:
                raise ValueError(f"{name} must have at least 2 samples (rows), got n_samples = {len(table)}")
            if constant := _core.constant_columns(name, table):
                warnings.warn(
                    f"constant column(s) in {name}: {constant}; nothing can be learned from them",
                    UserWarning,
                    stacklevel=4,
                )
        return x_table, y_table

    def _judge(self, outcomes: list[dict[str, Any]], x: FloatArray, y: FloatArray) -> Verdict | None:
        """Return how the networks do on the rows that each was not trained on; None where there are none."""
        members = [self._model.member(i) for i in range(self.n_estimators_)]
        held_out = [outcome["held_out"] for outcome in outcomes]
        names = self._x_names or default_names("x", x.shape[1])
        try:
            return judge(members, held_out, x, y, names, self._seed(self.random_state), self._threads())
        except KeyboardInterrupt:
            # What is trained must not be lost for want of a verdict.
            _warn("The last step of fit was interrupted: the trained model is kept, but verdict_ is None.")
            return None

    @property
    def calibration_(self) -> CalibrationError | None:
        """Held-out calibration: how often the truth lies within credible intervals of each parameter.

        None where no rows were held out (`early_stopping=False`, `partial_fit`).
        """
        check_is_fitted(self)
        return None if self.verdict_ is None else self.verdict_.calibration

    def report(self) -> Verdict:
        """Print what to believe: how the posterior does on simulations held out of training.

        For each parameter how much narrower than the prior it is, what share of the prior's error the
        observation removes, how well calibrated it is, and whether it can be recovered at all.

        Returns
        -------
        verdict : Verdict
            The numbers; `str(verdict)` is what was printed, and `innverse.plot.report` draws it, as a
            notebook does by itself where this is the last line of a cell.

        Raises
        ------
        ValueError
            Where no rows were held out.
        """
        check_is_fitted(self)
        if self.verdict_ is None:
            raise ValueError(
                "report needs rows that were held out of training: fit with early_stopping=True; partial_fit "
                "holds none out"
            )
        print(self.verdict_)
        return self.verdict_

    def covers(self, y: Any) -> NDArray[np.bool_]:
        """Tell which observations lie within what the simulations cover.

        An observation is outside where the simulation nearest to it is farther away than nearly all
        simulations are from those that they are compared with: distances are taken in y with its columns
        scaled and made uncorrelated. Of simulations themselves, 0.1 % are called outside, or 2 / rows where
        there are fewer than 2000 (a conformal test: it holds for any distribution). With fewer than 100 rows
        to train on nothing can be told, and all are called covered.

        Parameters
        ----------
        y : array-like of shape (dy,) or (m, dy)
            One observation, or m of them.

        Returns
        -------
        covered : ndarray of bool of shape () or (m,)
        """
        check_is_fitted(self)
        table, single = self._observations(y, self._y_columns)
        test = self._model.novel(table, self._threads())
        covered = np.asarray(test[0]) <= 1.0 if test else np.ones(len(table), dtype=bool)
        return covered[0] if single else covered

    @overload
    def posterior(
        self,
        y: Any,
        n: int = ...,
        random_state: Any = ...,
        *,
        as_frame: Literal[False] = ...,
        out: NDArray[Any] | None = ...,
    ) -> FloatArray: ...

    @overload
    def posterior(
        self,
        y: Any,
        n: int = ...,
        random_state: Any = ...,
        *,
        as_frame: Literal[True],
        out: NDArray[Any] | None = ...,
    ) -> DataFrame: ...

    def posterior(
        self,
        y: Any,
        n: int = 1000,
        random_state: Any = None,
        *,
        as_frame: bool = False,
        out: NDArray[Any] | None = None,
    ) -> NDArray[Any] | DataFrame:
        """Draw samples of p(x | y).

        Samples are drawn in parts, so that any number of them needs no more memory than the array they go to.
        With ``verbose=1`` a bar shows progress where there are many.

        Parameters
        ----------
        y : array-like of shape (dy,) or (m, dy)
            One observation, or m of them.
        n : int, default=1000
            Samples for each observation.
        random_state : int, RandomState instance or None, default=None
            Determines the samples; None takes the estimator's own `random_state`.
        as_frame : bool, default=False
            Whether to return a DataFrame, which needs the extra `pandas`.
        out : ndarray of float32 or float64 of shape (n, dx) or (m, n, dx), or None
            Where the samples go, such as a `numpy.memmap`; None makes a new array of float64.

        Returns
        -------
        samples : ndarray of shape (n, dx) or (m, n, dx), or DataFrame
            In the units of the x that the model was fitted to; `out`, if that was given. The DataFrame has a
            column for each parameter, named as in `fit`, or x0, x1, ... where x had no names. Its index is
            "draw" for one observation and ("observation", "draw") for m, the observation as in the index of
            y or else its number.

        Raises
        ------
        ValueError, TypeError
            Where y makes no sense, or is a DataFrame whose columns are not those of the fit, in their order,
            or `out` can't take the samples.

        Warns
        -----
        UserWarning
            Where more observations lie outside what the simulations cover than chance explains, see `covers`,
            or one of them far outside. One simulation as y makes it warn in at most 0.1 % of the calls, or
            2 / rows with fewer than 2000 rows to train on.
        """
        check_is_fitted(self)
        n = _positive(n, "n")
        if as_frame:
            import_pandas()  # before the work
        table, single = self._observations(y, self._y_columns)
        seed = self._seed(random_state if random_state is not None else self.random_state)
        dx = self.n_features_in_
        shape = (n, dx) if single else (len(table), n, dx)
        samples = allocate(shape, n) if out is None else check_out(out, shape)
        threads = self._threads()  # once: the number of cores is read from the system
        if test := self._model.novel(table, threads):
            warn_of_novel(*test, stacklevel=2)
        draw(self._model, table, n, seed, threads, out=samples, verbose=bool(self.verbose))
        return posterior_frame(samples, self._x_names, y) if as_frame else samples

    def log_prob(self, x: Any, y: Any) -> FloatArray:
        """Return the natural log of the density that `posterior` draws from.

        Parameters
        ----------
        x : array-like of shape (n, dx)
            Parameters, one row for each row of y.
        y : array-like of shape (n, dy)
            Observations.

        Returns
        -------
        log_prob : ndarray of shape (n,)
            log p(x | y) in the user's units: the density of x, not of standardised x. A column of x with
            whole numbers or classes has none, and what comes out near its values says little.

        Raises
        ------
        ValueError
            Where the x side of the network is padded, as in every `INN` with no more columns of x than of
            y: samples then have no density.
        """
        check_is_fitted(self)
        x_table, y_table = self._pairs(x, y, "log_prob")
        return self._model.log_prob(x_table, y_table, self._threads())

    def score(self, x: Any, y: Any) -> float:
        """Return minus the mean energy score of posterior draws, in standardised parameters.

        The energy score, E|X - x| - E|X - X'| / 2, is a proper scoring rule: it is best for the true
        posterior, and needs no density, so that any two estimators can be compared (Gneiting & Raftery
        2007, JASA 102, 359).

        Parameters
        ----------
        x : array-like of shape (n, dx)
            True parameters.
        y : array-like of shape (n, dy)
            Their observations.

        Returns
        -------
        score : float
            Higher is better; never above 0 on average, and 0 only for single points that are right.
        """
        check_is_fitted(self)
        x_table, y_table = self._pairs(x, y, "score")
        seed = self._seed(self.random_state)
        draws = self._model.posterior(y_table, SCORE_DRAWS, seed, self._threads())
        draws = draws.reshape(len(y_table), SCORE_DRAWS, -1)
        scale = self._model.x_spread().tolist()
        return -float(_core.energy_score(draws, x_table, scale, self._threads()).mean())

    def save(self, path: str | PathLike[str]) -> None:
        """Write the fitted model to one file, whole or not at all.

        The format is safetensors with a JSON header: nothing in it can run code. `innverse.load` gives
        back an estimator with the same posterior, bit for bit.

        Parameters
        ----------
        path : str or path-like
            The file; an existing one is replaced.
        """
        check_is_fitted(self)
        kept = {
            "class": type(self).__name__,
            "params": {k: _plain(v) for k, v in self.get_params(deep=False).items()},
            "history": self.history_,
            "n_features_in": self.n_features_in_,
            "feature_names_in": self._x_names,
            "target_names_in": self._y_names,
            "verdict": self.verdict_.as_dict() if self.verdict_ else None,
        }
        self._model.save(path, json.dumps(kept))

    @classmethod
    def _from_saved(cls, model: _core.Model, kept: dict[str, Any]) -> Self:
        known = cls._get_param_names()
        estimator = cls(**{k: _tuples(v) for k, v in kept["params"].items() if k in known})
        estimator._model = model
        estimator.history_ = kept["history"]
        estimator.n_iter_ = len(kept["history"]["epoch"])
        estimator.n_estimators_ = model.size()
        verdict = kept.get("verdict")
        estimator.verdict_ = Verdict.from_dict(verdict) if verdict else None
        _, estimator._y_columns, estimator.latent_dim_, estimator.total_dim_ = model.layout()
        estimator.n_features_in_ = kept["n_features_in"]
        if kept["feature_names_in"] is not None:
            estimator.feature_names_in_ = np.asarray(kept["feature_names_in"], dtype=object)
        # Files written before there were any have none.
        if kept.get("target_names_in") is not None:
            estimator.target_names_in_ = np.asarray(kept["target_names_in"], dtype=object)
        return estimator

    def _seed(self, random_state: Any) -> int:
        return int(check_random_state(random_state).randint(SEED_BOUND))

    def _seeds(self, count: int) -> list[int]:
        """Return one seed for each network of an ensemble."""
        random = check_random_state(self.random_state)
        return [int(random.randint(SEED_BOUND)) for _ in range(count)]

    def _threads(self) -> int:
        return int(joblib.effective_n_jobs(self.n_jobs))

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Put every attribute back where the body raises."""
        before = dict(vars(self))
        try:
            yield
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_model")


def _mean_history(outcomes: list[dict[str, Any]]) -> dict[str, list[float]]:
    """Return the mean over the networks that still trained in an epoch."""
    histories = [outcome["history"] for outcome in outcomes]
    longest = max(len(history["epoch"]) for history in histories)

    def mean(name: str, epoch: int) -> float:
        return float(np.mean([history[name][epoch] for history in histories if epoch < len(history[name])]))

    columns = {name: [mean(name, epoch) for epoch in range(longest)] for name in histories[0]}
    return {**columns, "epoch": list(range(1, longest + 1))}


def _begun(
    model: _core.Model, outcomes: list[dict[str, Any]], previous: _core.Model | None
) -> tuple[_core.Model, list[dict[str, Any]]]:
    """Return what of a fit to keep: all networks, or where some had not begun the best of the others.

    Raises
    ------
    KeyboardInterrupt, ValueError
        Where there is nothing to keep.
    """
    begun = [i for i, outcome in enumerate(outcomes) if outcome["history"]["epoch"]]
    interrupted = any(outcome["ending"] == "interrupted" for outcome in outcomes)
    # Networks that went on from others are as good as these even before their first epoch.
    if len(begun) == len(outcomes) or (begun and interrupted and previous is not None):
        return model, outcomes
    if not interrupted:
        raise ValueError(
            "the loss was not finite in the first epoch, even with a smaller step: check the data for "
            "extreme values, or choose a smaller learning_rate_init"
        )
    if not begun:
        raise KeyboardInterrupt("interrupted before the first epoch was complete; there is nothing to keep")
    best = min(begun, key=lambda i: outcomes[i]["best_loss"])
    return model.member(best), [outcomes[best]]


def _warn_of(outcomes: list[dict[str, Any]], count: int) -> None:
    """Warn where a network did not end as planned; `count` were to be trained."""
    reasons = {
        "interrupted": "Training was interrupted",
        "diverged": "The loss became infinite, several times with smaller steps",
    }
    kept = "the best weights of each network are kept"
    if len(outcomes) < count:
        kept = f"not all of the {count} networks had begun, and the best one that had is kept"
    for outcome in outcomes:
        if reason := reasons.get(outcome["ending"]):
            if count == 1:
                best = outcome["best_epoch"]
                whose = f"of epoch {best}" if best else "that it began with"
                kept = f"the weights {whose} are kept"
            _warn(f"{reason}; {kept}.")
            return


def _warn(message: str) -> None:
    """Warn whoever called `fit` or `partial_fit`."""
    warnings.warn(message, ConvergenceWarning, stacklevel=5)


def _joined(before: dict[str, list[float]] | None, after: dict[str, list[float]]) -> dict[str, list[float]]:
    """History of a fit that went on from another, with NaN where one of them had no such term."""
    if before is None:
        return after
    epochs = len(before["epoch"])
    after = {**after, "epoch": [epochs + epoch for epoch in after["epoch"]]}
    first, second = ([float("nan")] * len(history["epoch"]) for history in (before, after))
    return {name: before.get(name, first) + after.get(name, second) for name in {**before, **after}}


def _plain(value: Any) -> Any:
    """Return a parameter as JSON can hold it; random generators cannot be kept."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray | tuple | list):
        return [_plain(v) for v in value]
    return value if isinstance(value, str | int | float | bool | None) else None


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def _positive(value: Any, name: str) -> int:
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be at least 1, got {value}")
    return int(value)
