"""How many latent variables a problem needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import check_random_state

from ._conditional import ConditionalINN
from ._estimator import SEED_BOUND
from ._validation import FloatArray, as_table, check_same_rows

# A direction of x counts as lost where its posterior is wider than this share of its prior: far above
# what a fit blurs (about one per cent), far below what a scientist would call undetermined.
DEFAULT_THRESHOLD = 0.05
# Simulations looked at, and posterior draws for each.
OBSERVATIONS, DRAWS = 200, 10
# Step of the central difference in units of z: its error and that of single precision are both below 1e-3.
STEP = 0.05


@dataclass(frozen=True)
class LatentDimension:
    """What `latent_dimension` found.

    Attributes
    ----------
    recommended : int
        Latent variables that the problem needs.
    width : ndarray of shape (dx,)
        Posterior width in each of dx orthogonal directions, widest first, as a share of the prior's: the
        median over observations.
    quantiles : ndarray of shape (2, dx)
        The same, its 10 % and 90 % quantiles over observations.
    threshold : float
        Directions wider than this count.
    """

    recommended: int
    width: FloatArray
    quantiles: FloatArray
    threshold: float

    def __str__(self) -> str:
        """Return the recommendation and the table."""
        lines = [f"latent_dim = {self.recommended}", "direction  posterior width / prior width  10 % to 90 %"]
        for i, (width, low, high) in enumerate(zip(self.width, *self.quantiles, strict=True)):
            mark = "lost" if width > self.threshold else "determined by y"
            lines.append(f"{i + 1:9d}  {width:27.4f}  {low:.4f} to {high:.4f}  {mark}")
        return "\n".join(lines)


def latent_dimension(
    x: Any,
    y: Any,
    *,
    threshold: float = DEFAULT_THRESHOLD,
    model: ConditionalINN | None = None,
    random_state: Any = 0,
) -> LatentDimension:
    """Find how many latent variables an `INN` needs for these simulations.

    z must hold what y loses of x: as many numbers as there are directions, around any one solution, in
    which x can move without changing y. A conditional network is fitted, whose z has dx columns whatever y
    says; the singular values of its Jacobian dx / dz are the widths of the posterior around each draw, and
    those that are not small are counted. Columns of y that repeat each other therefore count once, and so
    do parameters that matter only together.

    Parameters
    ----------
    x : array-like of shape (n, dx)
        Hidden parameters, one row a simulation.
    y : array-like of shape (n, dy)
        Their observations.
    threshold : float, default=0.05
        Share of the prior's spread above which the posterior's width in a direction counts as lost. Noise in
        y makes every direction a little uncertain; what lies below the threshold is left to y.
    model : ConditionalINN or None, default=None
        An estimator for the fit, such as a larger network; None takes `ConditionalINN` with defaults. One
        that is fitted already is used as it is.
    random_state : int, RandomState instance or None, default=0
        Determines the fit, where `model` is None, and the draws.

    Returns
    -------
    result : LatentDimension
        The recommendation, and the table it rests on; `print` shows both, `innverse.plot.latent_dimension`
        draws them.

    Notes
    -----
    At least one latent variable is recommended. Where y leaves only a choice between separate solutions, such
    as the sign of a square root, one carries it.

    With too few simulations the fit is blurred and finds directions wider than they are, so the number comes
    out rather too large than too small.
    """
    if not 0 < threshold < 1:
        raise ValueError(f"threshold must be between 0 and 1, got {threshold!r}")
    x_table, y_table = as_table(x, "x"), as_table(y, "y")
    check_same_rows(x_table, y_table)
    random = check_random_state(random_state)
    seed = int(random.randint(SEED_BOUND))
    if model is None:
        # The Jacobian is that of one network.
        model = ConditionalINN(n_estimators=1, random_state=seed)
    if not model.__sklearn_is_fitted__():
        model.fit(x_table, y_table)
    rows = random.choice(len(y_table), size=min(OBSERVATIONS, len(y_table)), replace=False)
    widths = _widths(model, x_table.std(axis=0), y_table[rows], random)
    width = np.median(widths, axis=0)
    recommended = max(1, int((width > threshold).sum()))
    return LatentDimension(recommended, width, np.quantile(widths, [0.1, 0.9], axis=0), threshold)


def _widths(
    model: ConditionalINN, spread: FloatArray, y: FloatArray, random: np.random.RandomState
) -> FloatArray:
    """Return singular values of dx / dz, in the prior's spreads: the median over an observation's draws."""
    dz = model.latent_dim_
    y = np.repeat(y, DRAWS, axis=0)
    z = random.normal(size=(len(y), dz))
    columns = []
    for j in range(dz):
        step = np.zeros(dz)
        step[j] = STEP
        ahead, behind = (model._model.decode(z + side * step, y, model._threads()) for side in (1, -1))
        columns.append((ahead - behind) / (2 * STEP))
    jacobian = np.stack(columns, axis=-1) / np.where(spread > 0, spread, 1.0)[:, None]
    singular = np.linalg.svd(jacobian, compute_uv=False)
    widths: FloatArray = np.median(singular.reshape(-1, DRAWS, dz), axis=1)
    return widths
