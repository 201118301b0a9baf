"""What the networks of both estimators share: their parameters' constraints, and settings for the core."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.utils._param_validation import Interval, StrOptions


def at_least(kind: type, low: float) -> Any:
    """Constraint of scikit-learn's kind: a number not below a bound."""
    return Interval(kind, low, None, closed="left")


POSITIVE = Interval(Real, 0, None, closed="neither")

CONSTRAINTS: dict[str, list[Any]] = {
    "n_estimators": [at_least(Integral, 1), None],
    "bounds": ["array-like", None],
    "coupling": [StrOptions({"affine", "spline"})],
    "n_bins": [at_least(Integral, 2)],
    "n_blocks": [at_least(Integral, 1)],
    "hidden_layer_sizes": ["array-like"],
    "activation": [StrOptions({"relu", "tanh", "silu", "elu"})],
    "clamp": [POSITIVE],
    "permutation": [StrOptions({"shuffle", "orthogonal", "learned"})],
    "memory": [StrOptions({"store", "recompute"})],
    "batch_size": [at_least(Integral, 1)],
    "max_iter": [at_least(Integral, 1)],
    "learning_rate_init": [POSITIVE],
    "weight_decay": [at_least(Real, 0)],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [at_least(Integral, 1)],
    "nan_policy": [StrOptions({"raise", "omit"})],
    "random_state": ["random_state"],
    "n_jobs": [Integral, None],
    "verbose": ["verbose"],
    "warm_start": ["boolean"],
    "adam_betas": ["array-like"],
    "gradient_clamp": [POSITIVE],
}

# Parameters that the core takes as they are.
_PLAIN = (
    "coupling n_bins n_blocks activation clamp permutation memory batch_size max_iter learning_rate_init "
    "weight_decay early_stopping validation_fraction n_iter_no_change gradient_clamp"
)

# A batch of "auto" is the square root of so many times the rows, within these limits: more steps where
# simulations are few, and no more gradient noise than its mean where they are many.
_BATCH_FACTOR = 10
_BATCH_LIMITS = (50, 1000)
# Networks of an ensemble whose size is None: as many as share so many rows, within these limits. What one
# network makes of the chance of its simulations matters where they are few.
_ROWS_PER_ENSEMBLE = 20_000
_ENSEMBLE_LIMITS = (1, 5)
# With a surrogate one network has as much to learn from as it could wish for, but the surrogate's own errors
# are those of few simulations: two networks, each with its own, with fewer than so many. With 1,000 that
# gains in log density on every task of benchmarks/tasks.py and takes away overconfidence; with 2,500
# regions become too large.
_TWO_NETWORKS_BELOW = 1500
# From so many simulations on there is more to learn than small networks hold.
MANY = 20_000
# Units of each hidden layer where sizes are None, and how many layers with fewer rows and from `MANY` on.
# benchmarks/quality.py with 100,000 rows of SLCP: a third layer is worth 0.1 in mean log density, more than
# layers twice as wide, for a fifth more time.
_WIDTH, _FEW_LAYERS, _MORE_LAYERS = 64, 2, 3


def batch_size(given: int | str, rows: int) -> int:
    """Return the rows of a step for so many rows of data."""
    if not isinstance(given, str):
        return int(given)
    low, high = _BATCH_LIMITS
    return int(np.clip(round((_BATCH_FACTOR * rows) ** 0.5), low, high))


def ensemble_size(given: int | None, rows: int, alone: bool) -> int:
    """Return the number of networks for so many rows, more of them where these are trained on alone."""
    if given is not None:
        return int(given)
    if alone:
        return int(np.clip(round(_ROWS_PER_ENSEMBLE / rows), *_ENSEMBLE_LIMITS))
    return 2 if rows < _TWO_NETWORKS_BELOW else 1


def hidden_layer_sizes(given: Any, rows: int) -> list[int]:
    """Return the hidden layers of every subnetwork for so many rows."""
    if given is None:
        return [_WIDTH] * (_FEW_LAYERS if rows < MANY else _MORE_LAYERS)
    sizes = list(given)
    if not all(isinstance(size, Integral) and int(size) >= 1 for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be positive integers, got {given!r}")
    return [int(size) for size in sizes]


def shared_settings(estimator: Any, dx: int, **defaults: Any) -> dict[str, Any]:
    """Return the settings of the core that both estimators give, with `defaults` in place of None."""
    given = {name: getattr(estimator, name) for name in (*_PLAIN.split(), "adam_betas")}
    settings = {name: defaults.get(name) if value is None else value for name, value in given.items()}
    settings["beta_1"], settings["beta_2"] = _betas(settings.pop("adam_betas"))
    settings["bounds"] = _bounds(estimator.bounds, dx)
    settings["constant_rate"] = False
    settings["surrogate"] = None
    settings["falling_penalty"] = False
    return settings


def scales(values: Any, name: str) -> list[float]:
    """Check the scales of kernels."""
    numbers = list(values)
    if not numbers or not all(isinstance(scale, Real) and float(scale) > 0 for scale in numbers):
        raise ValueError(f"{name} must be at least one positive number, got {values!r}")
    return [float(scale) for scale in numbers]


def _bounds(values: Any, dx: int) -> list[tuple[float, float]] | None:
    """Return one pair for each column of x, infinite where there is no edge."""
    if values is None:
        return None
    pairs = list(values)
    if len(pairs) == 2 and all(edge is None or isinstance(edge, Real) for edge in pairs):
        pairs = [pairs] * dx  # one pair for all columns
    if len(pairs) != dx:
        raise ValueError(
            f"bounds must have one pair (low, high) for each of the {dx} columns of x, got {len(pairs)} pairs"
        )
    return [_edges(pair) for pair in pairs]


def _edges(pair: Any) -> tuple[float, float]:
    edges = (None, None) if pair is None else tuple(np.asarray(pair, dtype=object).ravel())
    if len(edges) != 2 or not all(edge is None or isinstance(edge, Real) for edge in edges):
        raise ValueError(f"bounds must be pairs (low, high) of numbers or None, got {pair!r}")
    low, high = edges
    return (-np.inf if low is None else float(low), np.inf if high is None else float(high))


def _betas(values: Any) -> tuple[float, float]:
    betas = tuple(values)
    if len(betas) != 2 or not all(isinstance(beta, Real) and 0 <= float(beta) < 1 for beta in betas):
        raise ValueError(f"adam_betas must be two numbers in [0, 1), got {values!r}")
    return float(betas[0]), float(betas[1])
