"""Eight Gaussian modes of which only a label is seen."""

from __future__ import annotations

from typing import Literal, TypeAlias, TypeVar, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ._base import FloatArray, Problem, check_observations, check_rows

Labels: TypeAlias = Literal["all", "some", "none"]
_Scalar = TypeVar("_Scalar", bound=np.generic)

# The modes are the corners of a regular octagon with sides of length 2: 1 and 1 + sqrt(2), the
# latter to four decimals.
_NEAR, _FAR = 1.0, 2.4142
_CENTERS = (
    (-_FAR, _NEAR),
    (-_NEAR, _FAR),
    (_NEAR, _FAR),
    (_FAR, _NEAR),
    (_FAR, -_NEAR),
    (_NEAR, -_FAR),
    (-_NEAR, -_FAR),
    (-_FAR, -_NEAR),
)
# Standard deviation of every mode along each axis.
_SIGMA = 0.2
# Which label each mode carries, clockwise from the left.
_MODE_LABELS: dict[Labels, tuple[int, ...]] = {
    "all": (0, 1, 2, 3, 4, 5, 6, 7),
    "some": (0, 0, 0, 0, 1, 1, 2, 3),
    "none": (0, 0, 0, 0, 0, 0, 0, 0),
}
# The one-hot code keeps eight columns under every labelling, so that one network fits all three.
_LABEL_COLUMNS = 8


class GaussianModes(Problem):
    """The toy problem of the paper: a point in the plane, seen only by the label of its mode.

    The prior is an equal mixture of eight round Gaussians, ``sigma`` 0.2, at the corners of an
    octagon with sides of length 2 (ten sigma). The observation is the label of the mode that the
    point was drawn from, one-hot in eight columns. Several modes may share a label; the posterior
    for a label is then the equal mixture of its modes, in closed form.

    Parameters
    ----------
    labels : {"all", "some", "none"}, default="all"
        How much the label tells: ``"all"``, each mode has its own; ``"some"``, four modes share
        the first label, two the second, and two have their own; ``"none"``, all eight share one.

    Attributes
    ----------
    centers : ndarray of shape (8, 2)
        Centre of each mode.
    sigma : float
        Standard deviation of each mode along each axis.
    mode_labels : ndarray of shape (8,)
        Label of each mode.
    observations : ndarray of shape (k, 8)
        One noise-free observation for each of the k labels in use, in the order of the labels.

    Notes
    -----
    `sample` gives a point the label of the mode it was drawn from, as the paper does. `simulate`
    sees only the point, and gives the label of the nearest mode. The two differ where a point
    crosses halfway, 5 sigma, to a neighbour: fewer than 6 points in ten million.

    References
    ----------
    L. Ardizzone et al., "Analyzing inverse problems with invertible neural networks", ICLR 2019,
    artificial data. Centres, sigma and labels are those of the demonstration "toy_8-modes" that
    its authors published with FrEIA.

    Examples
    --------
    >>> from innverse.problems import GaussianModes
    >>> problem = GaussianModes(labels="some")
    >>> x, y = problem.sample(5, random_state=0)
    >>> x.shape, y.shape
    ((5, 2), (5, 8))
    """

    dx = 2
    dy = _LABEL_COLUMNS
    x_names = ("x1 [-]", "x2 [-]")
    y_names = tuple(f"label {label} [-]" for label in range(_LABEL_COLUMNS))

    def __init__(self, labels: Labels = "all") -> None:
        if not isinstance(labels, str):
            raise TypeError(
                f"labels must be one of {get_args(Labels)}, got {labels!r} of type {type(labels).__name__}"
            )
        if labels not in _MODE_LABELS:
            raise ValueError(f"labels must be one of {get_args(Labels)}, got {labels!r}")
        self.labels = labels
        self.sigma = _SIGMA
        self.centers = _read_only(np.array(_CENTERS))
        self.mode_labels = _read_only(np.array(_MODE_LABELS[labels]))
        self.observations = _read_only(_one_hot(np.unique(self.mode_labels)))

    def __repr__(self) -> str:
        return f"GaussianModes(labels={self.labels!r})"

    def nearest_mode(self, x: ArrayLike) -> NDArray[np.intp]:
        """Find the mode whose centre is nearest.

        Parameters
        ----------
        x : array-like of shape (n, 2)
            Points.

        Returns
        -------
        mode : ndarray of shape (n,)
            Index into `centers`.
        """
        distances = self._squared_distances(check_rows("x", x, self.dx))
        return np.asarray(distances.argmin(axis=1))

    def log_prior(self, x: ArrayLike) -> FloatArray:
        """Natural log of the prior density.

        Parameters
        ----------
        x : array-like of shape (n, 2)
            Points.

        Returns
        -------
        log_density : ndarray of shape (n,)
            Log of a density per unit area.
        """
        log_modes = self._log_modes(check_rows("x", x, self.dx))
        return _log_mean(log_modes, np.ones_like(log_modes, dtype=bool))

    def log_posterior(self, x: ArrayLike, y: ArrayLike) -> FloatArray:
        """Natural log of the exact posterior density ``p(x | y)``.

        Parameters
        ----------
        x : array-like of shape (n, 2)
            Points.
        y : array-like of shape (8,) or (n, 8)
            One observation for all points, or one for each.

        Returns
        -------
        log_density : ndarray of shape (n,)
            Log of a density per unit area.
        """
        points = check_rows("x", x, self.dx)
        rows, single = check_observations("y", y, self.dy)
        if not single and len(rows) != len(points):
            raise ValueError(
                f"y must be one observation or have as many rows as x, got {len(rows)} rows of y "
                f"and {len(points)} of x"
            )
        members = self._members(rows)
        return _log_mean(self._log_modes(points), np.broadcast_to(members, (len(points), len(self.centers))))

    def _sample_prior(self, n: int, rng: np.random.Generator) -> FloatArray:
        return self._sample(n, rng)[0]

    def _sample(self, n: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        mode = rng.integers(len(self.centers), size=n)
        return self._around(mode, rng), _one_hot(self.mode_labels[mode])

    def _simulate(self, x: FloatArray, rng: np.random.Generator) -> FloatArray:
        return _one_hot(self.mode_labels[self.nearest_mode(x)])

    def _posterior(self, y: FloatArray, n: int, rng: np.random.Generator) -> FloatArray:
        members = self._members(y)
        modes = np.stack([rng.choice(np.flatnonzero(row), size=n) for row in members])
        return self._around(modes, rng)

    def _around(self, mode: NDArray[np.intp], rng: np.random.Generator) -> FloatArray:
        """Draw a point from each of the given modes."""
        noise = rng.standard_normal((*mode.shape, self.dx))
        return np.asarray(self.centers[mode] + self.sigma * noise)

    def _members(self, y: FloatArray) -> NDArray[np.bool_]:
        """Tell which modes carry the label of each row of y: (m, 8).

        The label is the largest entry, so that noise on y does no harm.
        """
        members = y.argmax(axis=1)[:, np.newaxis] == self.mode_labels
        unused = np.flatnonzero(~members.any(axis=1))
        if unused.size:
            raise ValueError(
                f"y must hold a label that some mode carries; with labels={self.labels!r} these "
                f"are {np.unique(self.mode_labels).tolist()}, got label {y[unused[0]].argmax()} "
                f"in row {unused[0]}"
            )
        return np.asarray(members)

    def _log_modes(self, x: FloatArray) -> FloatArray:
        """Log density of each mode at each point: (n, 8)."""
        log_norm = np.log(2.0 * np.pi * self.sigma**2)
        return np.asarray(-0.5 * self._squared_distances(x) / self.sigma**2 - log_norm)

    def _squared_distances(self, x: FloatArray) -> FloatArray:
        return np.asarray(((x[:, np.newaxis, :] - self.centers) ** 2).sum(axis=2))


def _one_hot(label: NDArray[np.intp]) -> FloatArray:
    return np.asarray(np.eye(_LABEL_COLUMNS)[label])


def _log_mean(log_modes: FloatArray, members: NDArray[np.bool_]) -> FloatArray:
    """Log of the mean density of the modes that are members, row by row."""
    log_sum = np.logaddexp.reduce(np.where(members, log_modes, -np.inf), axis=1)
    return np.asarray(log_sum - np.log(members.sum(axis=1)))


def _read_only(array: NDArray[_Scalar]) -> NDArray[_Scalar]:
    array.flags.writeable = False
    return array
