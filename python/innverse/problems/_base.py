"""What every problem offers, and the checks of arguments that all of them share."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray: TypeAlias = NDArray[np.float64]
RandomStateLike: TypeAlias = int | np.integer[Any] | np.random.RandomState | np.random.Generator | None


class Problem(ABC):
    """A forward process ``x -> y`` with a prior over x and a reference posterior.

    A subclass sets the four attributes and writes `_sample_prior`, `_simulate` and `_posterior`,
    which receive checked arguments only. Everywhere, the same ``random_state`` gives the same
    numbers.

    Attributes
    ----------
    dx, dy : int
        Number of hidden parameters and of observed quantities.
    x_names, y_names : tuple of str
        Name and unit of each column of x and of y; ``[-]`` marks a quantity without a unit.
    """

    dx: int
    dy: int
    x_names: tuple[str, ...]
    y_names: tuple[str, ...]

    def sample_prior(self, n: int, random_state: RandomStateLike = None) -> FloatArray:
        """Draw parameters from the prior.

        Parameters
        ----------
        n : int
            Number of draws, at least 1.
        random_state : int, RandomState, Generator or None
            Source of randomness; None gives different draws at each call.

        Returns
        -------
        x : ndarray of shape (n, dx)
            Parameters, in the units of `x_names`.
        """
        return self._sample_prior(check_count("n", n), as_generator(random_state))

    def simulate(self, x: ArrayLike, random_state: RandomStateLike = None) -> FloatArray:
        """Run the forward process, observation noise included.

        Parameters
        ----------
        x : array-like of shape (n, dx)
            Parameters, in the units of `x_names`.
        random_state : int, RandomState, Generator or None
            Source of the observation noise, for problems that have any.

        Returns
        -------
        y : ndarray of shape (n, dy)
            Observations, in the units of `y_names`.
        """
        return self._simulate(check_rows("x", x, self.dx), as_generator(random_state))

    def sample(self, n: int, random_state: RandomStateLike = None) -> tuple[FloatArray, FloatArray]:
        """Draw parameters from the prior together with what would be observed.

        Parameters
        ----------
        n : int
            Number of pairs, at least 1.
        random_state : int, RandomState, Generator or None
            Source of randomness.

        Returns
        -------
        x : ndarray of shape (n, dx)
            Parameters, in the units of `x_names`.
        y : ndarray of shape (n, dy)
            Observations, in the units of `y_names`.
        """
        return self._sample(check_count("n", n), as_generator(random_state))

    def reference_posterior(
        self, y: ArrayLike, n: int = 1000, random_state: RandomStateLike = None
    ) -> FloatArray:
        """Draw from the true posterior ``p(x | y)``.

        Parameters
        ----------
        y : array-like of shape (dy,) or (m, dy)
            One observation, or m of them, in the units of `y_names`.
        n : int
            Number of draws for each observation, at least 1.
        random_state : int, RandomState, Generator or None
            Source of randomness.

        Returns
        -------
        samples : ndarray of shape (n, dx) or (m, n, dx)
            Draws in the units of `x_names`; the first shape for a single observation.
        """
        rows, single = check_observations("y", y, self.dy)
        samples = self._posterior(rows, check_count("n", n), as_generator(random_state))
        return samples[0] if single else samples

    @abstractmethod
    def _sample_prior(self, n: int, rng: np.random.Generator) -> FloatArray:
        """Draw n rows of x from the prior."""

    @abstractmethod
    def _simulate(self, x: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Simulate one y for each row of x."""

    @abstractmethod
    def _posterior(self, y: FloatArray, n: int, rng: np.random.Generator) -> FloatArray:
        """Draw n samples of the posterior of each of the m rows of y: (m, n, dx)."""

    def _sample(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        x = self._sample_prior(n, rng)
        return x, self._simulate(x, rng)


def as_generator(random_state: RandomStateLike) -> np.random.Generator:
    """Turn anything scikit-learn takes as ``random_state`` into a generator.

    Parameters
    ----------
    random_state : int, RandomState, Generator or None
        A generator is used as it is, so that it advances. A RandomState advances too: it seeds
        the generator that is returned.

    Returns
    -------
    rng : numpy.random.Generator
        Generator to draw from.
    """
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(0, 2**31 - 1, size=4).tolist())
    if random_state is None:
        return np.random.default_rng()
    if isinstance(random_state, bool) or not isinstance(random_state, (int, np.integer)):
        raise TypeError(
            "random_state must be None, an integer, a numpy RandomState or a numpy Generator, "
            f"got {random_state!r} of type {type(random_state).__name__}"
        )
    if random_state < 0:
        raise ValueError(f"random_state must be at least 0 when it is an integer, got {random_state}")
    return np.random.default_rng(int(random_state))


def check_count(name: str, value: Any) -> int:
    """Return a number of rows as an int, or say what is wrong with it.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    value : object
        What the user gave.

    Returns
    -------
    count : int
        The number, at least 1.
    """
    try:
        count = operator.index(value)
    except TypeError:
        count = None
    if count is None or isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} must be an integer, got {value!r} of type {type(value).__name__}")
    if count < 1:
        raise ValueError(f"{name} must be at least 1, got {count}")
    return count


def check_rows(name: str, value: ArrayLike, columns: int) -> FloatArray:
    """Return a table of finite numbers in float64, or say what is wrong with it.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    value : array-like of shape (n, columns)
        What the user gave; a 1-D array is one column.
    columns : int
        Number of columns needed.

    Returns
    -------
    rows : ndarray of shape (n, columns)
        The same numbers.
    """
    array = _as_floats(name, value)
    if array.ndim == 1 and columns == 1:
        array = array[:, np.newaxis]
    if array.ndim != 2 or array.shape[1] != columns:
        raise ValueError(f"{name} must have shape (n, {columns}), got shape {array.shape}")
    bad = np.flatnonzero(~np.isfinite(array).all(axis=1))
    if bad.size:
        raise ValueError(
            f"{name} must be finite, got NaN or infinity in {bad.size} of {len(array)} rows, "
            f"first in row {bad[0]}"
        )
    return array


def check_observations(name: str, value: ArrayLike, columns: int) -> tuple[FloatArray, bool]:
    """Return observations as rows, and whether the user gave a single one.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    value : array-like of shape (columns,) or (m, columns)
        What the user gave. With one column, a scalar or a single number is one observation and
        a longer 1-D array is as many observations.
    columns : int
        Number of columns needed.

    Returns
    -------
    rows : ndarray of shape (m, columns)
        The observations.
    single : bool
        Whether the answer must drop the axis of observations.
    """
    array = _as_floats(name, value)
    single = array.ndim < 2 and array.size == columns
    if not single and (array.ndim != 2 or array.shape[1] != columns) and columns > 1:
        raise ValueError(
            f"{name} must have shape ({columns},) for one observation or (m, {columns}) for m, "
            f"got shape {array.shape}"
        )
    return check_rows(name, array.reshape(1, columns) if single else array, columns), single


def _as_floats(name: str, value: ArrayLike) -> FloatArray:
    array = np.asarray(value)
    if array.dtype.kind == "O":
        # Tables with columns of several types arrive as objects though each entry is a number.
        try:
            array = array.astype(np.float64)
        except (TypeError, ValueError) as error:
            raise TypeError(f"{name} must hold real numbers: {error}") from error
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, got an array of type {array.dtype}")
    return array.astype(np.float64)
