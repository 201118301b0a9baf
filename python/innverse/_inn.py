"""The invertible network of Ardizzone et al. 2019."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, ClassVar, Literal, overload

from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from ._estimator import PosteriorEstimator
from ._frames import default_names, import_pandas, table_frame
from ._network import CONSTRAINTS, POSITIVE, at_least, scales, shared_settings
from ._validation import FloatArray

if TYPE_CHECKING:
    from pandas import DataFrame


class INN(PosteriorEstimator):
    """Posterior samples from one invertible network, [x, padding] <-> [z, padding, y].

    The network learns the forward process x -> y and, in latent variables z, what y loses of x. Run
    backwards with random z, it turns an observation into samples of p(x | y). Trained in both directions
    at once, as in Ardizzone et al., "Analyzing Inverse Problems with Invertible Neural Networks", ICLR
    2019 (arXiv 1808.04730): y supervised, z pushed to a standard normal independent of y and x to its prior
    by maximum mean discrepancy (MMD). Energy scores of the samples for each observation are added to
    the paper's loss: they are least for the true posterior, whether or not x determines y (Gneiting &
    Raftery 2007, JASA 102, 359).

    Parameters
    ----------
    latent_dim : int or None, default=None
        Number of latent variables. None takes what y must lose, dx - dy, where x has more columns than
        y, and dx elsewhere; `innverse.latent_dimension` finds it from the simulations.
    total_dim : int or None, default=None
        Width of the network; None is the smallest, max(dx, dy + latent_dim). A larger one pads both
        sides with zeros.
    objective : {"bidirectional", "likelihood"}, default="bidirectional"
        What training minimises: the paper's sum of losses in both directions, or the negative log density
        by change of variables, ``-log N(z; 0, 1) - log N(y'; y, y_noise^2) - log |det d[z, y'] / dx|``,
        where [z, y'] is what the network makes of x.
    n_estimators : int, default=1
        Networks that are trained side by side, from different seeds and with different rows held out, and
        sampled as one mixture with one density; `predict` is their mean, `latent` that of the first.
    bounds : sequence of (low, high) or None, default=None
        Where the prior of each column of x ends; None or infinity where it does not, one pair alone for all
        columns. Samples never leave it, `log_prob` accounts for it and is -inf outside. A column between two
        edges is mapped to the real line by the normal quantile of its fraction of the way, one with a single
        edge by the inverse of ln(1 + exp(u)), on the scale that makes the column most nearly normal.
    coupling : {"affine", "spline"} or None, default=None
        What a coupling does to its half of the variables: scale and shift, or these and then a monotone
        rational-quadratic spline on [-4, 4], the identity beyond (Durkan et al. 2019, arXiv 1906.04032).
        None is "affine", the paper's, for the bidirectional objective and "spline" for the likelihood.
    n_bins : int, default=6
        Bins of each spline.
    n_blocks : int, default=8
        Blocks of two couplings, one for each half of the variables, each followed by a mixing of all.
    hidden_layer_sizes : sequence of int, default=(128,)
        Hidden layers of every subnetwork.
    activation : {"relu", "tanh", "silu", "elu"} or None, default=None
        Between the layers of a subnetwork. None is "relu" for the bidirectional objective and "silu" for the
        likelihood, whose samples then come nearer to their observation when simulated again.
    clamp : float, default=2.0
        Bound on the log scale of a coupling: s = raw / sqrt(1 + (raw / clamp)^2). With more than 8 blocks it
        is 8 / n_blocks of this, so that a deep network stretches no more than a shallow one.
    permutation : {"shuffle", "orthogonal", "learned"} or None, default=None
        Mixing after each block: a fixed random permutation, a fixed random orthogonal matrix, or a learned
        linear map that starts as a permutation. None is "shuffle" for the bidirectional objective and
        "learned" for the likelihood.
    memory : {"store", "recompute"}, default="store"
        Whether training stores what the backward pass needs, or rebuilds it by running the network backwards:
        then the memory of activations hardly grows with the blocks.
    batch_size : int, default=500
        Rows of a training step.
    max_iter : int, default=100
        Epochs at most.
    learning_rate_init : float, default=0.001
        Learning rate of Adam for layers with 128 inputs: wider ones get less in proportion, narrower ones
        more, and with more than 8 blocks less in proportion. It rises to this over the first 3 % of training
        (at least 60 steps, if these are no more than 30 %) and falls to zero over the last 30 %.
    weight_decay : float, default=2e-5
        L2 penalty on the weights.
    early_stopping : bool, default=True
        Whether to hold rows out, keep the weights that are best on them, and finish where nothing improves.
    validation_fraction : float, default=0.1
        Fraction of the rows held out.
    n_iter_no_change : int, default=20
        Epochs without improvement after which the learning rate falls and training ends.
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
    y_weight, z_weight, x_weight, energy_weight, reconstruction_weight, padding_weight : float
        Weights of the loss terms: squared error of y, MMD on z and y, MMD on x, energy scores of samples for
        each observation (of all columns of x and of each alone) times the root of the squared error of y,
        squared error of x rebuilt from perturbed z and y, mean square of the padding. All but the energy
        scores are the paper's.
    y_noise, z_noise, padding_noise : float
        Standard deviations of the noise in training, in standardised units, at its end. Posterior samples
        are drawn with the same noise on y and on the padding beside it, except where x is padded and the
        objective is bidirectional. A bidirectional fit starts with ten times as much on everything, and ends
        with none on the padding beside x; a likelihood fit starts with 0.5 on y.
        A y_noise of None is 0.01 for the bidirectional objective and 0.02 for the likelihood.
    z_kernels, x_kernels : sequence of float
        Scales C of the kernels C / (C + d^2) that the two MMDs sum.
    adam_betas : tuple of two floats or None, default=None
        Decay rates of Adam's moments. None is (0.8, 0.9) for the bidirectional objective, as in the paper's
        experiments, and (0.9, 0.99) for the likelihood.
    gradient_clamp : float, default=15.0
        Bound of every element of the gradient.

    Attributes
    ----------
    history_ : dict of str to list
        "epoch", "train_loss", "validation_loss" (NaN where nothing is held out) and the weighted mean of each
        loss term in that epoch; the mean over the networks that still trained.
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
        What was chosen.

    Examples
    --------
    >>> from innverse import INN
    >>> from innverse.problems import InverseKinematics
    >>> x, y = InverseKinematics().sample(1000, random_state=0)
    >>> model = INN(max_iter=2, random_state=0).fit(x, y)
    >>> model.posterior(y[0], n=5).shape
    (5, 4)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **CONSTRAINTS,
        "n_estimators": [at_least(Integral, 1)],
        "latent_dim": [at_least(Integral, 1), None],
        "total_dim": [at_least(Integral, 1), None],
        "objective": [StrOptions({"bidirectional", "likelihood"})],
        "y_weight": [at_least(Real, 0)],
        "z_weight": [at_least(Real, 0)],
        "x_weight": [at_least(Real, 0)],
        "energy_weight": [at_least(Real, 0)],
        "reconstruction_weight": [at_least(Real, 0)],
        "padding_weight": [at_least(Real, 0)],
        "y_noise": [POSITIVE, None],
        "coupling": [*CONSTRAINTS["coupling"], None],
        "activation": [*CONSTRAINTS["activation"], None],
        "permutation": [*CONSTRAINTS["permutation"], None],
        "adam_betas": ["array-like", None],
        "z_noise": [at_least(Real, 0)],
        "padding_noise": [POSITIVE],
        "z_kernels": ["array-like"],
        "x_kernels": ["array-like"],
    }

    def __init__(
        self,
        *,
        latent_dim: int | None = None,
        total_dim: int | None = None,
        objective: str = "bidirectional",
        n_estimators: int = 1,
        bounds: Any = None,
        coupling: str | None = None,
        n_bins: int = 6,
        n_blocks: int = 8,
        hidden_layer_sizes: Sequence[int] = (128,),
        activation: str | None = None,
        clamp: float = 2.0,
        permutation: str | None = None,
        memory: str = "store",
        batch_size: int = 500,
        max_iter: int = 100,
        learning_rate_init: float = 1e-3,
        weight_decay: float = 2e-5,
        early_stopping: bool = True,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 20,
        nan_policy: str = "raise",
        random_state: Any = None,
        n_jobs: int | None = -1,
        verbose: int = 0,
        warm_start: bool = False,
        y_weight: float = 100.0,
        z_weight: float = 10.0,
        x_weight: float = 400.0,
        energy_weight: float = 100.0,
        reconstruction_weight: float = 1.0,
        padding_weight: float = 1.0,
        y_noise: float | None = None,
        z_noise: float = 0.01,
        padding_noise: float = 0.005,
        z_kernels: Sequence[float] = (0.0025, 0.04, 0.81),
        x_kernels: Sequence[float] = (0.001, 0.01, 0.25),
        adam_betas: Sequence[float] | None = None,
        gradient_clamp: float = 15.0,
    ):
        self.latent_dim = latent_dim
        self.total_dim = total_dim
        self.objective = objective
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
        self.y_weight = y_weight
        self.z_weight = z_weight
        self.x_weight = x_weight
        self.energy_weight = energy_weight
        self.reconstruction_weight = reconstruction_weight
        self.padding_weight = padding_weight
        self.y_noise = y_noise
        self.z_noise = z_noise
        self.padding_noise = padding_noise
        self.z_kernels = z_kernels
        self.x_kernels = x_kernels
        self.adam_betas = adam_betas
        self.gradient_clamp = gradient_clamp

    def _settings(self, dx: int, dy: int) -> dict[str, Any]:
        """Return the core's settings: the parameters, checked and with the choices made."""
        likelihood = self.objective == "likelihood"
        settings = shared_settings(self, dx, **(LIKELIHOOD if likelihood else BIDIRECTIONAL))
        default_latent = dx - dy if dx > dy else dx
        settings["latent_dim"] = self.latent_dim if self.latent_dim is not None else default_latent
        settings["total_dim"] = self.total_dim
        # Both objectives' parameters are checked, whichever is wanted.
        terms = self._terms(dy)
        noise = {name: terms[name] for name in ("y_noise", "padding_noise")} | {
            "first_y_noise": FIRST_Y_NOISE
        }
        settings["bidirectional"] = None if likelihood else terms
        settings["likelihood"] = noise if likelihood else None
        return settings

    def _terms(self, dy: int) -> dict[str, Any]:
        """Return weights, noise and kernels of the bidirectional objective."""
        terms = {name: getattr(self, name) for name in (*WEIGHTS, "z_noise", "padding_noise")}
        terms["y_noise"] = Y_NOISE[self.objective] if self.y_noise is None else self.y_noise
        terms["z_kernels"] = scales(self.z_kernels, "z_kernels")
        terms["x_kernels"] = scales(self.x_kernels, "x_kernels")
        terms["ramp"] = X_RAMP
        terms["noise_decay"] = NOISE_DECAY
        terms["x_condition"] = X_CONDITION / dy
        return terms

    @overload
    def predict(self, x: Any, *, as_frame: Literal[False] = ...) -> FloatArray: ...

    @overload
    def predict(self, x: Any, *, as_frame: Literal[True]) -> DataFrame: ...

    def predict(self, x: Any, *, as_frame: bool = False) -> FloatArray | DataFrame:
        """Return what the learned forward process makes of x.

        Parameters
        ----------
        x : array-like of shape (n, dx)
            Parameters.
        as_frame : bool, default=False
            Whether to return a DataFrame, which needs the extra `pandas`.

        Returns
        -------
        y : ndarray of shape (n, dy) or DataFrame
            Predicted observations, in the user's units. The DataFrame has the index of x, and columns named
            as in `fit`, or y0, y1, ... where y had no names.
        """
        check_is_fitted(self)
        if as_frame:
            import_pandas()  # before the work
        y = self._model.predict(self._x_table(x), self._threads())
        return table_frame(y, self._y_names or default_names("y", y.shape[1]), x) if as_frame else y

    def latent(self, x: Any, y: Any = None) -> FloatArray:
        """Return the latent variables that belong to x.

        Parameters
        ----------
        x : array-like of shape (n, dx)
            Parameters.
        y : ignored
            Here so that all estimators can be called alike.

        Returns
        -------
        z : ndarray of shape (n, dz)
            Standard normal where the model is right; dz is `latent_dim_`.
        """
        check_is_fitted(self)
        return self._model.latent(self._x_table(x), None, self._threads())


# Terms of the bidirectional loss.
WEIGHTS = ("y_weight", "z_weight", "x_weight", "energy_weight", "reconstruction_weight", "padding_weight")
# The MMD on x starts at 2 x this of its weight and grows exponentially, as in the paper's code, if from more:
# compared together with their y, samples cannot be trapped in the wrong modes.
X_RAMP = 0.5
# Fraction of the noise that is left at the end of a bidirectional fit.
NOISE_DECAY = 0.1
# Noise on y that a likelihood fit starts with: half of its spread.
FIRST_Y_NOISE = 0.5
# Noise on y that a fit ends with.
Y_NOISE = {"bidirectional": 0.01, "likelihood": 0.02}
# What None means for the network and the optimizer: for the kinematics the likelihood's re-simulation error
# is half as large with silu as with relu, learned mixing beats both others, and splines halve what the MMD
# to the reference has above that of a second reference; the toy's bidirectional fit is better with relu and
# shuffles. The learning rate is the same for both: docs/choices.md, "Which learning rate".
BIDIRECTIONAL = {
    "coupling": "affine",
    "activation": "relu",
    "permutation": "shuffle",
    "adam_betas": (0.8, 0.9),
}
LIKELIHOOD = {
    "coupling": "spline",
    "activation": "silu",
    "permutation": "learned",
    "adam_betas": (0.9, 0.99),
}
# Weight of the mean squared difference of y, over its columns, inside the squared distances of the MMD on x.
X_CONDITION = 1.0
