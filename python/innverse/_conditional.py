"""A conditional invertible network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from ._estimator import PosteriorEstimator
from ._network import CONSTRAINTS, shared_settings
from ._surrogate import course
from ._validation import FloatArray

# Epochs at most, where their number is left open.
_MOST_EPOCHS = 100


class ConditionalINN(PosteriorEstimator):
    """Posterior samples from an invertible network x <-> z whose subnetworks also see y.

    For every y the network is another change of variables between x and a standard normal z, and training
    maximises the density that it gives to the simulations. Any numbers of columns of x and y will do. What is
    linear in the problem is taken out first: the network sees x less its linear regression on y, and starts
    from there. Method: Ardizzone et al., "Guided Image Generation with Conditional Invertible Neural
    Networks", 2019 (arXiv 1907.02392), with the subnetworks' inputs taken as they are.

    With default settings it learns the simulator first, see `surrogate`.

    Parameters
    ----------
    n_estimators : int or None, default=None
        Networks that are trained side by side, from different seeds and with different rows held out, and
        sampled as one mixture with one density: better, and less overconfident, where simulations are few.
        None is 1 with a surrogate, but 2 with fewer than 1,500 rows, and without one 20,000 / rows, at least
        1 and at most 5.
    bounds : sequence of (low, high) or None, default=None
        Where the prior of each column of x ends; None or infinity where it does not, one pair alone for all
        columns. Samples never leave it, `log_prob` accounts for it and is -inf outside. A column between two
        edges is mapped to the real line by the normal quantile of its fraction of the way, one with a single
        edge by the inverse of ln(1 + exp(u)), on the scale that makes the column most nearly normal.
    coupling : {"affine", "spline"}, default="spline"
        What a coupling does to its half of the variables: scale and shift, or these and then a monotone
        rational-quadratic spline on [-4, 4], the identity beyond (Durkan et al. 2019, arXiv 1906.04032).
    n_bins : int, default=6
        Bins of each spline.
    n_blocks : int, default=5
        Blocks of two couplings, one for each half of the variables, each followed by a mixing of all.
    hidden_layer_sizes : sequence of int or None, default=None
        Hidden layers of every subnetwork. None is two of 64 units, and three from 20,000 rows on.
    activation : {"relu", "tanh", "silu", "elu"}, default="relu"
        Between the layers of a subnetwork.
    clamp : float, default=2.0
        Bound on the log scale of a coupling: s = raw / sqrt(1 + (raw / clamp)^2). With more than 8 blocks it
        is 8 / n_blocks of this, so that a deep network stretches no more than a shallow one.
    permutation : {"shuffle", "orthogonal", "learned"}, default="shuffle"
        Mixing after each block: a fixed random permutation, a fixed random orthogonal matrix, or a learned
        linear map that starts as a permutation.
    memory : {"store", "recompute"}, default="store"
        Whether training stores what the backward pass needs, or rebuilds it by running the network backwards:
        then the memory of activations hardly grows with the blocks.
    batch_size : int or "auto", default="auto"
        Rows of a training step; "auto" is the square root of 10 times the rows, at least 50 and at most 1000.
        Fresh pairs from a surrogate come in batches of at least 256.
    max_iter : int or None, default=None
        Epochs at most. None is 100, or with a surrogate up to 60 passes over fresh pairs and then twice 20
        epochs. A number leaves the surrogate out where that is "auto", and limits each of its stages where
        True.
    surrogate : bool or "auto", default="auto"
        Whether to learn the simulator first: small networks for p(x) and p(y | x), several of the latter with
        shares that rows held out give them, or a linear regression where that is as good. Their
        weights, and the posterior's, are averages over about an epoch. The posterior is then trained on
        pairs drawn from them, new ones in every pass, then, at a tenth of the rate, on the simulations and
        some such pairs, and finally, where rows held out gain by it, on the simulations alone. What the
        simulator makes of one x is often simpler than the set of all x behind one y: for a problem with
        symmetric modes this was worth ten times as many simulations. Rows held out, which none of the
        networks sees, choose the best weights of all. "auto" does it where `max_iter` is None and rows
        are held out; `partial_fit` and `warm_start` go on without. Columns with evenly spaced values (counts,
        classes) are spread out over their cells to be learned.
    learning_rate_init : float, default=0.001
        Learning rate of Adam for layers with 128 inputs: wider ones get less in proportion, narrower ones
        more, and with more than 8 blocks less in proportion. It rises to this over the first 3 % of training
        (at least 60 steps, if these are no more than 30 %) and falls to zero over the last 30 %.
    weight_decay : float, default=1e-4
        L2 penalty on the weights at the end of training. It starts at 1000 / rows, if that is more, and falls
        exponentially until the learning rate does: so the rows held out choose its size. 0 means none at all.
        With a surrogate it falls so for the surrogate's networks only, and is constant for the posterior's.
    early_stopping : bool, default=True
        Whether to hold rows out, keep the weights that are best on them, those at the start included, and
        finish where nothing improves.
    validation_fraction : float, default=0.1
        Fraction of the rows held out.
    n_iter_no_change : int, default=20
        Epochs without improvement after which the learning rate falls and training ends; with a surrogate
        each of its stages has its own.
    nan_policy : {"raise", "omit"}, default="raise"
        What to do with training rows that hold NaN or infinity.
    random_state : int, RandomState instance or None, default=None
        Determines initial weights, permutations, order, noise and samples.
    n_jobs : int or None, default=-1
        Threads; -1 means all cores and None means 1, as in scikit-learn. Results do not depend on it.
    verbose : int, default=0
        1 shows a progress bar with the loss and the time left. 2 also draws the losses as they fall, in a
        Jupyter notebook and with the extra `notebook`. An interrupt ends training and keeps the best weights.
    warm_start : bool, default=False
        Whether `fit` goes on from the model that is there.
    adam_betas : tuple of two floats, default=(0.9, 0.99)
        Decay rates of Adam's moments.
    gradient_clamp : float, default=15.0
        Bound of every element of the gradient.

    Attributes
    ----------
    history_ : dict of str to list
        "epoch", "train_loss", "validation_loss" (NaN where nothing is held out) and the mean of each loss
        term in that epoch; the mean over the networks that still trained. With a surrogate, passes over fresh
        pairs, then epochs over the simulations with such pairs and without.
    n_iter_ : int
        Epochs trained.
    n_features_in_ : int
        Columns of x.
    feature_names_in_ : ndarray of str
        Names of the columns of x, where they had names.
    target_names_in_ : ndarray of str
        Names of the columns of y, where they had names.
    verdict_ : Verdict or None
        How the posterior does on the rows held out, see `report`; None where there were none.
    calibration_ : CalibrationError or None
        Its calibration.
    n_estimators_ : int
        Networks trained.
    latent_dim_, total_dim_ : int
        Both the columns of x.

    Examples
    --------
    >>> from innverse import ConditionalINN
    >>> from innverse.problems import InverseKinematics
    >>> x, y = InverseKinematics().sample(1000, random_state=0)
    >>> model = ConditionalINN(max_iter=2, random_state=0).fit(x, y)
    >>> model.posterior(y[0], n=5).shape
    (5, 4)
    >>> model.log_prob(x[:3], y[:3]).shape
    (3,)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **CONSTRAINTS,
        "batch_size": [*CONSTRAINTS["batch_size"], StrOptions({"auto"})],
        "hidden_layer_sizes": [*CONSTRAINTS["hidden_layer_sizes"], None],
        "max_iter": [*CONSTRAINTS["max_iter"], None],
        "surrogate": ["boolean", StrOptions({"auto"})],
    }

    def __init__(
        self,
        *,
        n_estimators: int | None = None,
        bounds: Any = None,
        coupling: str = "spline",
        n_bins: int = 6,
        n_blocks: int = 5,
        hidden_layer_sizes: Sequence[int] | None = None,
        activation: str = "relu",
        clamp: float = 2.0,
        permutation: str = "shuffle",
        memory: str = "store",
        batch_size: int | str = "auto",
        max_iter: int | None = None,
        surrogate: bool | str = "auto",
        learning_rate_init: float = 1e-3,
        weight_decay: float = 1e-4,
        early_stopping: bool = True,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 20,
        nan_policy: str = "raise",
        random_state: Any = None,
        n_jobs: int | None = -1,
        verbose: int = 0,
        warm_start: bool = False,
        adam_betas: Sequence[float] = (0.9, 0.99),
        gradient_clamp: float = 15.0,
    ):
        self.n_estimators = n_estimators
        self.bounds = bounds
        self.coupling = coupling
        self.n_bins = n_bins
        self.n_blocks = n_blocks
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.clamp = clamp
        self.permutation = permutation
        self.memory = memory
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.surrogate = surrogate
        self.learning_rate_init = learning_rate_init
        self.weight_decay = weight_decay
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.nan_policy = nan_policy
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.warm_start = warm_start
        self.adam_betas = adam_betas
        self.gradient_clamp = gradient_clamp

    def _settings(self, dx: int, dy: int) -> dict[str, Any]:
        settings = shared_settings(self, dx, max_iter=_MOST_EPOCHS) | {"falling_penalty": True}
        # There is neither y nor padding among the network's columns, so nothing to put noise on.
        noise = {"y_noise": 1.0, "first_y_noise": 1.0, "padding_noise": 1.0}
        return settings | {"latent_dim": None, "total_dim": None, "bidirectional": None, "likelihood": noise}

    def _surrogate_course(self, rows: int) -> dict[str, Any] | None:
        if self.surrogate == "auto":
            wanted = self.max_iter is None and self.early_stopping
        else:
            wanted = bool(self.surrogate)
        if wanted and not self.early_stopping:
            raise ValueError(
                "surrogate=True needs early_stopping=True: rows held out tell how far to believe it"
            )
        return course(rows, self.max_iter) if wanted else None

    def latent(self, x: Any, y: Any) -> FloatArray:
        """Return the latent variables that belong to x, seen with y.

        Parameters
        ----------
        x : array-like of shape (n, dx)
            Parameters.
        y : array-like of shape (n, dy)
            Their observations.

        Returns
        -------
        z : ndarray of shape (n, dx)
            Standard normal where the model is right; of an ensemble, those of its first network.
        """
        check_is_fitted(self)
        x_table, y_table = self._pairs(x, y, "latent")
        return self._model.latent(x_table, y_table, self._threads())
