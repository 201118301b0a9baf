"""Distance between two samples as a classifier sees it."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._validation import FloatArray, as_table, column_scales
from ..problems._base import RandomStateLike, as_generator, check_count
from ._checks import check_same_columns
from ._draws import SEED_BOUND

# The classifier of Lueckmann et al. 2021: units of each hidden layer for every column, most passes over the
# data, folds, and the seed of the authors' code.
_UNITS_PER_COLUMN = 10
_HIDDEN_LAYERS = 2
_MAX_ITER = 10_000
_FOLDS = 5
_SEED = 1
# Cross-validation trains on all folds but one.
_FEWEST_FOLDS = 2


def c2st(
    x: ArrayLike,
    y: ArrayLike,
    *,
    folds: int = _FOLDS,
    random_state: RandomStateLike = None,
    n_jobs: int | None = None,
) -> float:
    """How often a classifier tells two samples apart: classifier two-sample test.

    A neural network learns which sample a row comes from and is tested on rows that it has not seen. The
    result is the share it gets right: 0.5 where the samples cannot be told apart, 1 where they always can,
    half of one plus the total variation distance for a perfect classifier. The network, with two hidden
    layers of ten units per column, is that of the benchmark of Lueckmann et al., so that numbers compare
    with those published, for samples of the same size: larger samples train a better classifier.

    Both samples are shifted and scaled with mean and standard deviation of x, column by column; a column
    that is constant in x is only shifted.

    Parameters
    ----------
    x : array-like of shape (n, d)
        The first sample, such as a reference posterior; one dimension means one column.
    y : array-like of shape (n, d)
        The second sample, of the same size: with unequal sizes a classifier that always names the larger
        sample is right more than half of the time, and 0.5 means nothing.
    folds : int, default=5
        Parts that the shuffled rows are cut into; each is tested once, by a network trained on the others.
    random_state : int, RandomState, Generator or None, default=None
        Determines folds, initial weights and order of training. None takes the seed of the benchmark's
        code, always the same.
    n_jobs : int or None, default=None
        Folds trained at once, as in scikit-learn. The result does not depend on it.

    Returns
    -------
    accuracy : float
        Share of unseen rows put into the right sample, mean over folds. Chance alone makes it differ by about
        ``1 / sqrt(8 n)``; a classifier that learned noise falls below 0.5 as easily as above.

    Raises
    ------
    ValueError, TypeError
        Where the samples are no tables of finite numbers with the same shape, or there are fewer rows in
        each than folds.

    References
    ----------
    D. Lopez-Paz, M. Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017, arXiv:1610.06545.
    J.-M. Lueckmann et al., "Benchmarking Simulation-Based Inference", AISTATS 2021, arXiv:2101.04653.

    Examples
    --------
    >>> import numpy as np
    >>> from innverse.metrics import c2st
    >>> x = np.random.default_rng(0).normal(size=(50, 1))
    >>> c2st(x, x + 10)
    1.0
    """
    x_table, y_table = as_table(x, "x"), as_table(y, "y")
    check_same_columns(x_table, y_table)
    if len(x_table) != len(y_table):
        raise ValueError(
            "y must have as many rows as x, so that 0.5 is chance, got "
            f"{len(y_table)} rows of y and {len(x_table)} of x; draw that many of the larger sample"
        )
    parts = check_count("folds", folds)
    if not _FEWEST_FOLDS <= parts <= len(x_table):
        raise ValueError(
            f"folds must be between {_FEWEST_FOLDS} and the number of rows of x, {len(x_table)}, got {parts}"
        )
    seed = _SEED if random_state is None else int(as_generator(random_state).integers(SEED_BOUND))
    rows = (np.concatenate([x_table, y_table]) - x_table.mean(axis=0)) / column_scales(x_table)
    return _accuracy(rows, np.repeat([0, 1], len(x_table)), parts, seed, n_jobs)


def _accuracy(
    rows: FloatArray, labels: NDArray[np.int64], folds: int, seed: int, n_jobs: int | None
) -> float:
    # Not at the top: these take longer to import than all the rest.
    from sklearn.model_selection import KFold, cross_val_score
    from sklearn.neural_network import MLPClassifier

    classifier = MLPClassifier(
        hidden_layer_sizes=(_UNITS_PER_COLUMN * rows.shape[1],) * _HIDDEN_LAYERS,
        activation="relu",
        solver="adam",
        max_iter=_MAX_ITER,
        random_state=seed,
    )
    splits = KFold(folds, shuffle=True, random_state=seed)
    scores = cross_val_score(
        classifier, rows, labels, cv=splits, scoring="accuracy", n_jobs=n_jobs, error_score="raise"
    )
    return float(np.mean(scores))
