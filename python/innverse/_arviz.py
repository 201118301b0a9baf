"""Posterior samples as ArviZ reads them; ArviZ is imported when it is asked for."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ._core import __version__
from ._frames import DRAW, OBSERVATION, default_names
from ._validation import FloatArray, as_table, check_names, column_names, is_frame, is_series
from .metrics._checks import as_samples, floats
from .problems._base import check_count

CHAIN = "chain"
# xarray's trees take this for a path, and netCDF for a group.
_SLASH, _INSTEAD = "/", "per"
# The first major version of ArviZ that returns trees of xarray instead of InferenceData.
_FIRST_WITH_TREES = 1


def to_arviz(
    samples: Any,
    *,
    names: Sequence[str] | None = None,
    y: Any = None,
    y_names: Sequence[str] | None = None,
    prior: Any = None,
    log_prob: ArrayLike | None = None,
    chains: int = 1,
) -> Any:
    """Return posterior samples as the data that ArviZ summarises and plots.

    There is a variable for each parameter, under its name. A slash in it, which neither xarray's trees nor
    netCDF allow, is written as "per": "speed [m/s]" becomes "speed [m per s]", and the name as it was is the
    variable's attribute `long_name`.

    Parameters
    ----------
    samples : ndarray of shape (n, dx) or (m, n, dx), or DataFrame
        What `posterior` returned, for one observation or for m.
    names : sequence of str or None, default=None
        The dx parameters. None takes the columns of a DataFrame, or else x0, x1, ...
    y : array-like of shape (dy,) or (m, dy), DataFrame, Series or None, default=None
        The observations behind the samples: the group `observed_data`.
    y_names : sequence of str or None, default=None
        The dy columns of y. None takes the names that y has, or else y0, y1, ...
    prior : array-like of shape (k, dx), DataFrame or None, default=None
        Draws of the prior, such as the x of the simulations: the group `prior`.
    log_prob : array-like of shape (n,) or (m, n), or None, default=None
        Natural log of the density of each sample: `lp` in the group `sample_stats`.
    chains : int, default=1
        Chains that the samples are split into, as if they came from so many. They are independent draws of
        one posterior, so nothing is there to converge; ArviZ computes r_hat from two chains on.

    Returns
    -------
    data : xarray.DataTree or arviz.InferenceData
        A tree with ArviZ 1.0 and newer, InferenceData before. The variables have the dimensions `chain` and
        `draw`, and those for m observations a third, `observation`, with the labels of the DataFrame or of y.

    Raises
    ------
    ImportError
        Where ArviZ is missing, which the extra `arviz` installs.
    ValueError, TypeError
        Where shapes or names do not fit each other.

    Examples
    --------
    >>> import innverse
    >>> samples = [[0.1, 2.0], [0.3, 2.5], [0.2, 2.2], [0.2, 2.3]]
    >>> data = innverse.to_arviz(samples, names=["mass [g]", "age"], chains=2)
    >>> data.posterior["age"].shape
    (2, 2)
    """
    az = _import_arviz()
    draws, columns, labels = _draws(samples)
    variables = _variables("names", columns if names is None else names, "x", draws.shape[-1])
    chains = _check_chains(chains, draws.shape[-2])
    several = draws.ndim == 3
    if several and labels is None:
        indexed = (is_frame(y) or is_series(y)) and len(y) == len(draws)
        labels = y.index if indexed else range(len(draws))
    groups = {"posterior": _sampled(draws, variables, chains, labels)}
    if log_prob is not None:
        density = _density(log_prob, draws.shape[:-1])
        groups["sample_stats"] = _sampled(density, {"lp": "log p(x | y)"}, chains, labels)
    if prior is not None:
        groups["prior"] = _sampled(_prior(prior, variables), variables, 1, None)
    if y is not None:
        groups["observed_data"] = _observed(y, y_names, labels if several else None)
    return _container(az, groups)


def _check_chains(chains: Any, n: int) -> int:
    """Return the number of chains that n samples are split into, or raise."""
    count = int(check_count("chains", chains))
    if n % count:
        raise ValueError(f"chains must divide the number of samples, {n}, got {count}")
    return count


def _import_arviz() -> Any:
    try:
        with warnings.catch_warnings():
            # What its last releases before 1.0 say of 1.0, once a day, to those who type its names.
            warnings.simplefilter("ignore", FutureWarning)
            import arviz
    except ImportError as error:
        raise ImportError("to_arviz needs ArviZ; install it with: pip install 'innverse[arviz]'") from error
    return arviz


def _draws(samples: Any) -> tuple[FloatArray, list[str] | None, Any]:
    """Return samples (n, dx) or (m, n, dx), names of the parameters and labels of observations, if any."""
    if is_frame(samples):
        table = as_table(samples, "samples")
        names = column_names(samples)
        if samples.index.nlevels == 1:
            return table, names, None
        labels, m = _observations(samples.index)
        return table.reshape(m, -1, table.shape[1]), names, labels
    return as_samples("samples", samples), None, None


def _observations(index: Any) -> tuple[Any, int]:
    """Return the labels of the observations in an index (observation, draw), and their number."""
    draws = index.get_level_values(-1)
    outer = index.droplevel(-1)
    n = draws.nunique()
    m = len(index) // n
    labels = outer[::n]
    whole = len(index) == m * n and np.array_equal(draws, np.tile(draws[:n], m))
    if not (whole and outer.equals(labels.repeat(n))):
        raise ValueError(
            "samples must have the same draws for each observation, one observation after the other, as "
            "posterior returns them; its index differs"
        )
    return labels, m


def _variables(argument: str, names: Sequence[str] | None, letter: str, count: int) -> dict[str, str]:
    """Return the names that a tree can hold, each with the name as it was."""
    originals = default_names(letter, count) if names is None else list(names)
    if len(originals) != count or not all(isinstance(name, str) for name in originals):
        raise ValueError(f"{argument} must be {count} names, one for each column, got {originals}")
    variables = {_without_slash(name): name for name in originals}
    if len(variables) != count:
        raise ValueError(f"{argument} must differ, also once '/' is written as 'per', got {originals}")
    if taken := {CHAIN, DRAW, OBSERVATION} & variables.keys():
        raise ValueError(f"{argument} must not be {sorted(taken)}, which are dimensions, got {originals}")
    return variables


def _without_slash(name: str) -> str:
    parts = [part.strip() for part in name.split(_SLASH)]
    return name if len(parts) == 1 else f" {_INSTEAD} ".join(parts)


def _sampled(draws: FloatArray, variables: dict[str, str], chains: int, labels: Any) -> dict[str, Any]:
    """Return the arguments of a Dataset with a variable for each column of draws, (n, k) or (m, n, k)."""
    *several, n, columns = draws.shape
    split = draws.reshape(*several, chains, n // chains, columns)
    dims = [CHAIN, DRAW]
    coords: dict[str, Any] = {CHAIN: np.arange(chains), DRAW: np.arange(n // chains)}
    if several:
        split = np.moveaxis(split, 0, 2)
        dims.append(OBSERVATION)
        coords[OBSERVATION] = _coordinate(labels)
    return {"data_vars": _columns(split, variables, dims), "coords": coords}


def _observed(y: Any, y_names: Sequence[str] | None, labels: Any) -> dict[str, Any]:
    """Return the arguments of a Dataset with a variable for each column of y, numbers for one observation."""
    rows = 1 if labels is None else len(labels)
    if labels is None and not is_frame(y):
        # The row of a frame has its columns' names in its index.
        y = y.to_frame().T if is_series(y) else np.atleast_2d(np.asarray(y))
    table = as_table(y, "y")
    if len(table) != rows:
        raise ValueError(f"y must have a row for each observation of samples, {rows}, got {len(table)}")
    names = column_names(y) if y_names is None else y_names
    variables = _variables("y_names", names, "y", table.shape[1])
    if labels is None:
        return {"data_vars": _columns(table[0], variables, [])}
    coords = {OBSERVATION: _coordinate(labels)}
    return {"data_vars": _columns(table, variables, [OBSERVATION]), "coords": coords}


def _columns(values: FloatArray, variables: dict[str, str], dims: list[str]) -> dict[str, Any]:
    """Return a variable, as xarray takes it, for each entry of the last axis."""
    return {
        variable: (dims, values[..., i], {"long_name": name})
        for i, (variable, name) in enumerate(variables.items())
    }


def _coordinate(labels: Any) -> Any:
    """Return labels as an array; those of an index with several levels are joined."""
    labels = list(labels)
    return np.asarray([", ".join(map(str, label)) if isinstance(label, tuple) else label for label in labels])


def _density(log_prob: ArrayLike, shape: tuple[int, ...]) -> FloatArray:
    density = floats("log_prob", log_prob)
    if density.shape != shape:
        raise ValueError(f"log_prob must have one number for each sample, shape {shape}, got {density.shape}")
    return density[..., np.newaxis]


def _prior(prior: Any, variables: dict[str, str]) -> FloatArray:
    table = as_table(prior, "prior")
    if table.shape[1] != len(variables):
        raise ValueError(f"prior must have {len(variables)} columns as samples, got {table.shape[1]}")
    check_names("prior", column_names(prior), list(variables.values()))
    return table


def _container(az: Any, groups: dict[str, dict[str, Any]]) -> Any:
    """Return the groups as this version of ArviZ holds them."""
    import xarray

    attrs = {"inference_library": "innverse", "inference_library_version": __version__}
    datasets = {name: xarray.Dataset(**group, attrs=attrs) for name, group in groups.items()}
    if int(az.__version__.split(".")[0]) < _FIRST_WITH_TREES:
        return az.InferenceData(**datasets)
    return xarray.DataTree.from_dict(datasets)
