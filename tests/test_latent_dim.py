"""The number of latent variables, on problems where it is known."""

import numpy as np
import pytest

from innverse import ConditionalINN, latent_dimension
from innverse.problems import GaussianModes, InverseBallistics, InverseKinematics

ROWS = 4000


def normal(dx, seed=0):
    return np.random.default_rng(seed).normal(size=(ROWS, dx))


def mixed(x, dy):
    return x @ np.random.default_rng(1).normal(size=(x.shape[1], dy))


def with_noise(y, share):
    return y + share * y.std(axis=0) * np.random.default_rng(2).normal(size=y.shape)


X5 = normal(5)
CASES = {
    "two of five": (X5, mixed(X5, 2), 3),
    "a repeated column of y counts once": (X5, mixed(X5, 2)[:, [0, 1, 1]], 3),
    "a little noise changes nothing": (X5, with_noise(mixed(X5, 2), 0.01), 3),
    "units change nothing": (X5 * [1e30, 1.0, 1e-20, 3.0, 1e6], 1e12 * mixed(X5, 2) + 5.0, 3),
    "a sphere": (normal(3), (normal(3) ** 2).sum(axis=1), 2),
    "only a sign": (normal(1), normal(1) ** 2, 1),
    "nothing is said": (normal(3), normal(2, seed=5), 3),
    # Harder to learn than the others: with fewer simulations the fit blurs what y determines.
    "kinematics": (*InverseKinematics().sample(10_000, random_state=0), 2),
    "ballistics": (*InverseBallistics().sample(ROWS, random_state=0), 3),
    "Gaussian modes": (*GaussianModes(labels="some").sample(ROWS, random_state=0), 2),
}


@pytest.mark.filterwarnings("ignore:constant column")
@pytest.mark.parametrize("name", CASES)
def test_finds_the_known_number(name):
    x, y, wanted = CASES[name]
    result = latent_dimension(x, y)
    assert result.recommended == wanted
    assert result.width.shape == (len(np.atleast_2d(x.T)),)
    assert (np.diff(result.width) <= 0).all()
    assert (result.quantiles[0] <= result.width).all()
    assert (result.width <= result.quantiles[1]).all()


def test_widths_of_a_linear_problem_are_those_of_its_posterior():
    """Of two parameters of which the sum is known up to noise: covariance in closed form."""
    noise = 0.5
    x = normal(2)
    y = x.sum(axis=1) + noise * np.random.default_rng(3).normal(size=ROWS)
    row = np.ones((1, 2))
    covariance = np.linalg.inv(np.eye(2) + row.T @ row / noise**2)
    wanted = np.sqrt(np.linalg.eigvalsh(covariance))[::-1]
    assert np.allclose(latent_dimension(x, y).width, wanted, rtol=0.1)


def test_is_the_same_again_and_prints_its_table():
    x, y, _ = CASES["two of five"]
    model = ConditionalINN(max_iter=3, random_state=0)
    one, two = (latent_dimension(x, y, model=ConditionalINN(max_iter=3, random_state=0)) for _ in range(2))
    assert (one.width == two.width).all()
    assert str(one).startswith(f"latent_dim = {one.recommended}\n")
    assert len(str(one).splitlines()) == 2 + 5
    fitted = model.fit(x, y)
    before = fitted.posterior(y[:2], n=3)
    assert (latent_dimension(x, y, model=fitted).width == one.width).all()
    assert (fitted.posterior(y[:2], n=3) == before).all()


@pytest.mark.parametrize("threshold", [0, 1, -0.1, 2, float("nan")])
def test_a_threshold_is_a_share(threshold):
    with pytest.raises(ValueError, match="threshold must be between 0 and 1"):
        latent_dimension(X5, X5, threshold=threshold)


def test_rows_must_match():
    with pytest.raises(ValueError, match=r"x and y|rows"):
        latent_dimension(X5, X5[:-1])
