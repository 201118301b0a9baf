"""Networks trained by likelihood: densities against closed forms; all shapes, mixings and uses of memory."""

import pickle

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from innverse import INN, ConditionalINN, load
from innverse.problems import InverseKinematics

SMALL = dict(n_blocks=3, hidden_layer_sizes=(16,), batch_size=100, max_iter=3, random_state=0)
LIKELIHOOD = dict(objective="likelihood")
NOISE = 0.5
# x of the linear problem has these units.
UNITS = np.array([2.0, 0.1])


def linear(n, seed=0):
    """y is the sum of two standardised parameters, with noise; the posterior is normal and known."""
    rng = np.random.default_rng(seed)
    u = rng.normal(size=(n, 2))
    return u * UNITS, u.sum(axis=1, keepdims=True) + NOISE * rng.normal(size=(n, 1))


def exact(y):
    """Mean and covariance of the posterior of the linear problem."""
    row = np.ones((1, 2))
    covariance = np.linalg.inv(np.eye(2) + row.T @ row / NOISE**2)
    mean = covariance @ row[0] * y / NOISE**2
    return mean * UNITS, covariance * np.outer(UNITS, UNITS)


@pytest.fixture(scope="module")
def conditional():
    return ConditionalINN(max_iter=40, random_state=0).fit(*linear(20_000))


def integral(model, y, low, high, points=300):
    """Integral of exp(log_prob) over a rectangle, by the midpoint rule."""
    axes = [a + (b - a) * (np.arange(points) + 0.5) / points for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    cell = np.prod((np.asarray(high) - low) / points)
    return np.exp(model.log_prob(grid, np.full((len(grid), 1), y))).sum() * cell


@pytest.mark.parametrize("y", [-2.0, 1.0])
def test_the_density_is_the_closed_form(conditional, y):
    mean, covariance = exact(y)
    truth = multivariate_normal(mean, covariance)
    x = truth.rvs(500, random_state=1)
    # The mean of the log ratio is the divergence of the model from the truth.
    assert 0 <= np.mean(truth.logpdf(x) - conditional.log_prob(x, np.full((500, 1), y))) + 0.01 < 0.04
    assert integral(conditional, y, mean - 8 * UNITS, mean + 8 * UNITS) == pytest.approx(1, abs=0.003)


def test_samples_follow_their_density(conditional):
    samples = conditional.posterior([1.0], n=20_000, random_state=3)
    mean, covariance = exact(1.0)
    assert samples.mean(axis=0) == pytest.approx(mean, abs=0.05 * UNITS.max())
    assert np.cov((samples / UNITS).T) == pytest.approx(covariance / np.outer(UNITS, UNITS), abs=0.08)
    z = conditional.latent(samples, np.ones((len(samples), 1)))
    assert z.mean(axis=0) == pytest.approx(0, abs=0.03)
    assert z.std(axis=0) == pytest.approx(1, abs=0.03)


def test_one_network_for_both_has_a_density_that_integrates_to_one():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4000, 2))
    y = x[:, :1] + 0.3 * x[:, 1:] ** 2
    model = INN(**LIKELIHOOD, y_noise=0.1, max_iter=60, random_state=0).fit(x, y)
    assert integral(model, 0.5, [-6, -6], [6, 6], points=800) == pytest.approx(1, abs=0.003)
    # Samples explain their observation as well as the stated noise allows.
    samples = model.posterior([0.5], n=5000, random_state=1)
    again = samples[:, 0] + 0.3 * samples[:, 1] ** 2
    assert np.sqrt(np.mean((again - 0.5) ** 2)) < 3 * 0.1 * y.std()


@pytest.mark.parametrize("permutation", ["shuffle", "orthogonal", "learned"])
@pytest.mark.parametrize(
    ("cls", "settings"),
    [(ConditionalINN, {}), (INN, LIKELIHOOD), (INN, dict(objective="bidirectional"))],
)
@pytest.mark.parametrize(("dx", "dy"), [(1, 1), (1, 3), (3, 1), (2, 2), (2, 4), (5, 2)])
def test_any_numbers_of_columns(cls, settings, permutation, dx, dy, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, dx))
    y = x @ rng.normal(size=(dx, dy)) + 0.1 * rng.normal(size=(200, dy))
    model = cls(**SMALL, **settings, permutation=permutation).fit(x, y)
    samples = model.posterior(y[:2], n=7, random_state=1)
    assert samples.shape == (2, 7, dx)
    assert np.isfinite(samples).all()
    assert model.latent(x, y).shape == (200, model.latent_dim_)
    model.save(tmp_path / "model.inn")
    for copy in (load(tmp_path / "model.inn"), pickle.loads(pickle.dumps(model))):
        assert (copy.posterior(y[:2], n=7, random_state=1) == samples).all()
    if model.total_dim_ == dx:
        assert np.isfinite(model.log_prob(x, y)).all()
    else:
        with pytest.raises(ValueError, match="no density"):
            model.log_prob(x, y)


@pytest.mark.parametrize(("cls", "settings"), [(ConditionalINN, {}), (INN, LIKELIHOOD), (INN, {})])
def test_recomputing_gives_the_same_model_up_to_rounding(cls, settings):
    x, y = linear(300)
    networks = [cls(**SMALL, **settings, memory=memory).fit(x, y) for memory in ("store", "recompute")]
    # Later epochs drift apart: rounding differences grow with training.
    stored, recomputed = (model.history_["train_loss"][0] for model in networks)
    assert stored == pytest.approx(recomputed, rel=1e-3)


@pytest.mark.parametrize(("cls", "settings"), [(ConditionalINN, {}), (INN, LIKELIHOOD)])
def test_threads_change_no_bit(cls, settings):
    x, y = linear(500)
    one, two = (cls(**SMALL, **settings, n_jobs=n).fit(x, y) for n in (1, 2))
    assert one.history_ == two.history_
    assert (one.posterior(y[:3], random_state=0) == two.posterior(y[:3], random_state=0)).all()
    assert (one.log_prob(x, y) == two.log_prob(x, y)).all()


def test_scale_and_shift_of_x_change_the_density_by_their_factor():
    x, y = linear(400)
    one = ConditionalINN(**SMALL).fit(x, y)
    other = ConditionalINN(**SMALL).fit(4.0 * x, y)
    difference = one.log_prob(x, y) - other.log_prob(4.0 * x, y)
    assert difference == pytest.approx(2 * np.log(4.0), abs=1e-6)


def test_padding_beside_y_has_a_density():
    x, y = linear(400)
    x = np.hstack([x, x[:, :1] ** 2])
    model = INN(**SMALL, **LIKELIHOOD, latent_dim=1).fit(x, y)
    assert (model.latent_dim_, model.total_dim_) == (1, 3)
    assert np.isfinite(model.log_prob(x, y)).all()


def test_bad_input(conditional):
    x, y = linear(10)
    with pytest.raises(ValueError, match="y must be the observations of x, got None"):
        conditional.log_prob(x, None)
    with pytest.raises(ValueError, match="x has 10 rows and y has 9"):
        conditional.log_prob(x, y[:9])
    with pytest.raises(ValueError, match="y"):
        conditional.latent(x, np.ones((10, 2)))
    with pytest.raises(AttributeError):
        conditional.predict(x)
    for name, value in [("permutation", "none"), ("memory", "less"), ("objective", "mmd")]:
        with pytest.raises(ValueError, match=name):
            INN(**{name: value}).fit(x, y)


def test_a_deep_chain_stays_finite_far_outside():
    x, y = linear(2000)
    deep = ConditionalINN(n_blocks=64, hidden_layer_sizes=(16,), max_iter=2, random_state=0).fit(x, y)
    far = x.mean(axis=0) + 10 * x.std(axis=0) * np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    z = deep.latent(far, np.full((4, 1), 10 * y.std()))
    assert np.isfinite(z).all()
    with pytest.warns(UserWarning, match="outside what the simulations cover"):
        assert np.isfinite(deep.posterior([10 * y.std()], n=1000, random_state=0)).all()


def test_another_objective_can_go_on_from_a_model():
    x, y = linear(300)
    x = np.hstack([x, x[:, :1] ** 2])
    model = INN(**SMALL, latent_dim=2, warm_start=True).fit(x, y)
    model.set_params(objective="likelihood", y_noise=0.3).fit(x, y)
    assert len(model.history_["x"]) == len(model.history_["log_determinant"]) == model.n_iter_ == 6
    assert np.isnan(model.history_["x"][-1]) and np.isnan(model.history_["log_determinant"][0])
    # The new noise on y is what samples are drawn with: the learned y of samples varies by it.
    spread = (model.predict(model.posterior(y[0], n=2000, random_state=0)) - y[0]).std() / y.std()
    assert spread == pytest.approx(0.3, rel=0.1)


def test_going_on_never_ends_with_worse_weights():
    x, y = linear(1000)
    model = ConditionalINN(**{**SMALL, "max_iter": 30}, warm_start=True).fit(x, y)
    best = min(model.history_["validation_loss"])
    parts = model.set_params(max_iter=1).fit(x, y).history_["validation_loss"]
    before = ConditionalINN(**{**SMALL, "max_iter": 30}).fit(x, y)
    if parts[-1] > best:
        assert (model.posterior(y[0], random_state=0) == before.posterior(y[0], random_state=0)).all()


def test_early_stopping_works_with_the_noise_on_y():
    x, y = linear(400)
    model = INN(**{**SMALL, **LIKELIHOOD, "max_iter": 400}, n_iter_no_change=5).fit(x, y)
    assert model.n_iter_ < 400


def test_sizes_beyond_reason_are_refused_before_memory_is_asked_for():
    x, y = linear(10)
    for name, value in [("total_dim", 10**6), ("n_blocks", 10**6), ("hidden_layer_sizes", (10**6,))]:
        with pytest.raises(ValueError, match=f"{name} must be at most"):
            INN(**{name: value}, permutation="orthogonal").fit(x, y)


def test_one_step_trains():
    x, y = linear(100)
    # With rows held out the start might be kept: of a linear problem nothing is better.
    step = {**SMALL, "max_iter": 1, "batch_size": 200, "early_stopping": False}
    steps = [ConditionalINN(**step, learning_rate_init=rate).fit(x, y) for rate in (1e-3, 1e-2)]
    assert steps[0].log_prob(x, y) != pytest.approx(steps[1].log_prob(x, y), abs=1e-6)


def errors_of_the_inverse(model, x, y):
    """Check rows of x that went forward and back, as a whole, and return the error of each."""
    if isinstance(model, ConditionalINN):
        back = model._model.decode(model.latent(x, y), y, 1)
    else:
        # The y that belongs to x is what the network itself makes of x.
        back = model._model.decode(model.latent(x), model.predict(x), 1)
    assert np.linalg.norm(back - x) < 1e-5 * np.linalg.norm(x)
    return np.linalg.norm(back - x, axis=1) / np.linalg.norm(x, axis=1)


@pytest.mark.parametrize("objective", ["bidirectional", "likelihood", "conditional"])
def test_inverse_after_forward_of_eight_trained_blocks(objective):
    x, y = InverseKinematics().sample(10_000, random_state=0)
    settings = dict(n_blocks=8, hidden_layer_sizes=(64,), max_iter=10, random_state=0)
    if objective == "conditional":
        model = ConditionalINN(**settings).fit(x, y)
    else:
        # Splines of [z, y] that are far from their optimum can be steep: see the long test.
        model = INN(objective=objective, coupling="affine", **settings).fit(x, y)
    assert np.quantile(errors_of_the_inverse(model, x, y), 0.99) < 1e-5


@pytest.mark.long
def test_inverse_after_forward_of_eight_blocks_of_splines():
    x, y = InverseKinematics().sample(100_000, random_state=0)
    settings = dict(n_blocks=8, hidden_layer_sizes=(128, 128), batch_size=1000, max_iter=40, random_state=0)
    model = INN(objective="likelihood", **settings).fit(x, y)
    x, y = InverseKinematics().sample(5000, random_state=1)
    assert np.quantile(errors_of_the_inverse(model, x, y), 0.99) < 1e-5


@pytest.mark.parametrize("objective", ["bidirectional", "likelihood", "conditional"])
def test_deep_chains_stay_finite_far_outside(objective):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, 6))
    y = x[:, :3] + x[:, 3:] ** 2
    settings = dict(n_blocks=64, hidden_layer_sizes=(16,), max_iter=3, random_state=0)
    model = (
        ConditionalINN(**settings) if objective == "conditional" else INN(objective=objective, **settings)
    ).fit(x, y)
    far = 10 * x.std(axis=0) * rng.choice([-1, 1], size=(20, 6)), 10 * y.std(axis=0) * np.ones((20, 3))
    assert np.isfinite(model.latent(*far)).all()
    with pytest.warns(UserWarning, match="20 of 20 observations lie outside"):
        assert np.isfinite(model.posterior(far[1], n=50)).all()
    assert len(model.history_["epoch"]) == 3
