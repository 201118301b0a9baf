import math

import numpy as np
import pytest

from innverse.metrics import mmd, resimulation_error
from innverse.problems import InverseKinematics, Problem

PRIOR_SCALES = np.array([0.25, 0.5, 0.5, 0.5])
# Fixed seeds: a test at four standard errors either always holds or always fails, and would fail by chance
# for one seed in 15,000.
STANDARD_ERRORS = 4.0
# Observations near the middle of the prior, in its tails, with one and with several pieces of solutions.
OBSERVATIONS = np.array([[1.9, 0.3], [1.2, 0.0], [1.0, 1.4], [0.5, -0.6]])


@pytest.fixture
def problem():
    return InverseKinematics()


def hand(x):
    """Position of the hand, segment by segment."""
    across, up, direction = 0.0, x[0], 0.0
    for length, turn in zip((0.5, 0.5, 1.0), x[1:], strict=True):
        direction += turn
        across += length * math.cos(direction)
        up += length * math.sin(direction)
    return across, up


def test_describes_itself(problem):
    assert isinstance(problem, Problem)
    assert (problem.dx, problem.dy) == (4, 2)
    assert len(set(problem.x_names)) == 4 and len(set(problem.y_names)) == 2
    assert all(name.endswith("[rad]") for name in problem.x_names[1:])
    np.testing.assert_array_equal(problem.lengths, [0.5, 0.5, 1.0])
    np.testing.assert_array_equal(problem.prior_scales, PRIOR_SCALES)
    assert repr(problem) == "InverseKinematics()"
    for array in (problem.lengths, problem.prior_scales):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 5


def test_positions_worked_out_by_hand(problem):
    right = math.pi / 2
    x = [
        [0.0, 0.0, 0.0, 0.0],  # stretched out
        [0.3, right, 0.0, 0.0],  # straight up
        [0.0, 0.0, right, 0.0],  # up from the second joint on
        [0.0, 0.0, 0.0, math.pi],  # the last segment back over the first two
        [-0.2, right / 3, right / 3, right / 3],  # segments at 30, 60 and 90 degrees
    ]
    root = math.sqrt(3)
    y = [[2, 0], [0, 2.3], [0.5, 1.5], [0, 0], [(root + 1) / 4, -0.2 + (root + 1) / 4 + 1]]
    np.testing.assert_allclose(problem.simulate(x), y, rtol=0, atol=1e-15)


def test_positions_agree_with_the_arm_built_up(problem):
    x = 3 * problem.sample_prior(100, random_state=0)
    np.testing.assert_allclose(problem.simulate(x), [hand(row) for row in x], rtol=0, atol=1e-14)


def test_there_is_no_noise(problem):
    x, y = problem.sample(50, random_state=1)
    np.testing.assert_array_equal(problem.simulate(x, random_state=2), y)


def test_prior_has_its_moments(problem):
    n = 100_000
    z = problem.sample_prior(n, random_state=3) / PRIOR_SCALES
    assert np.all(np.abs(z.mean(axis=0)) < STANDARD_ERRORS / np.sqrt(n))
    moments = z.T @ z / n - np.eye(4)
    assert np.all(np.abs(moments) < STANDARD_ERRORS * np.sqrt((1 + np.eye(4)) / n))


def test_shapes(problem):
    assert problem.sample_prior(7).shape == (7, 4)
    assert problem.reference_posterior(OBSERVATIONS[0], n=5).shape == (5, 4)
    assert problem.reference_posterior(OBSERVATIONS[:1], n=5).shape == (1, 5, 4)
    assert problem.reference_posterior(OBSERVATIONS, n=5).shape == (4, 5, 4)
    assert problem.reference_posterior(OBSERVATIONS[0]).shape == (1000, 4)


@pytest.mark.parametrize(
    "y",
    [*OBSERVATIONS.tolist(), [2 - 1e-9, 0.1], [1.0, 0.0], [0.0, 0.0], [-1.0, 0.0], [-1.9, 0.2], [1.0, 30.0]],
)
def test_every_draw_brings_the_hand_to_y(problem, y):
    samples = problem.reference_posterior(y, n=200, random_state=4)
    assert resimulation_error(problem, samples, y) < 1e-28
    assert np.unique(samples, axis=0).shape == samples.shape


def test_the_arm_stretched_out_is_the_only_way_to_full_reach(problem):
    samples = problem.reference_posterior([2.0, 0.4], n=20, random_state=5)
    np.testing.assert_allclose(samples, np.tile([0.4, 0, 0, 0], (20, 1)), rtol=0, atol=1e-15)


def solutions_with_weights(y, first, second):
    """Solve for the direction of the third segment, given those of the others: solutions and weights.

    The weight is the prior density over the derivative of y1 by what was solved for.
    """
    across = y[0] - 0.5 * np.cos(first) - 0.5 * np.cos(second)
    possible = np.abs(across) < 1
    first, second, across = first[possible], second[possible], across[possible]
    points, weights = [], []
    for sign in (-1, 1):
        for turns in (-1, 0, 1):
            third = sign * np.arccos(across) + 2 * np.pi * turns
            rail = y[1] - 0.5 * np.sin(first) - 0.5 * np.sin(second) - np.sin(third)
            x = np.column_stack([rail, first, second - first, third - second])
            points.append(x)
            weights.append(np.exp(-0.5 * np.sum((x / PRIOR_SCALES) ** 2, axis=1)) / np.abs(np.sin(third)))
    points, weights = np.concatenate(points), np.concatenate(weights)
    visible = weights > 1e-9 * weights.max()
    return points[visible], weights[visible] / weights.sum()


@pytest.mark.parametrize("y", [*OBSERVATIONS.tolist(), [-1.1, 0.3]])
def test_posterior_agrees_with_weighted_solutions(problem, y):
    n = 20_000
    samples = problem.reference_posterior(y, n=n, random_state=6)
    turns = np.random.default_rng(7).uniform(-1, 1, size=(2, 500_000))
    # With the hand in front of the rail, the first two segments hardly ever point more than half a turn away.
    points, weights = solutions_with_weights(y, *(turns * (2 * np.pi if y[0] < 0 else np.pi)))
    # Shares of bounded events: each parameter above thresholds, and pairs of signs.
    thresholds = np.quantile(samples, [0.1, 0.5, 0.9], axis=0)
    events = [lambda x, i=i, t=t: x[:, i] > t for row in thresholds for i, t in enumerate(row)]
    events += [lambda x, i=i: x[:, i] * x[:, i + 1] > 0 for i in range(3)]
    for event in events:
        ours, theirs = event(samples).mean(), weights @ event(points)
        error = np.sqrt(ours * (1 - ours) / n + np.sum((weights * (event(points) - theirs)) ** 2))
        assert abs(ours - theirs) < STANDARD_ERRORS * error
        assert error < 0.03


@pytest.mark.parametrize("y", [[1.9, 0.3], [1.6, -1.1]])
def test_posterior_agrees_with_rejection(problem, y):
    n, tolerance = 1000, 0.03
    exact = problem.reference_posterior(y, n=n, random_state=8)
    near = problem._posterior_within(np.array(y), n, tolerance, np.random.default_rng(9))
    again = problem.reference_posterior(y, n=n, random_state=10)
    assert np.all(np.linalg.norm(problem.simulate(near) - y, axis=1) <= tolerance)
    # The squared MMD of two samples of one distribution varies by less than half around its mean.
    assert mmd(exact, near) < 1.5 * mmd(exact, again)
    spread = exact.std(axis=0)
    difference = np.abs(exact.mean(axis=0) - near.mean(axis=0))
    assert np.all(difference < STANDARD_ERRORS * spread * np.sqrt(2 / n) + tolerance**2)
    # The comparison can fail: the prior is no posterior.
    assert mmd(exact, problem.sample_prior(n, random_state=11)) > 5 * mmd(exact, near)


def test_mirrored_observation_mirrors_the_posterior(problem):
    n = 5_000
    up, down = problem.reference_posterior([[1.4, 0.8], [1.4, -0.8]], n=n, random_state=12)
    error = np.sqrt((up.var(axis=0) + down.var(axis=0)) / n)
    assert np.all(np.abs(up.mean(axis=0) + down.mean(axis=0)) < STANDARD_ERRORS * error)


def test_draws_are_of_the_seed(problem):
    first, second = (problem.reference_posterior(OBSERVATIONS, 20, 13) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, problem.reference_posterior(OBSERVATIONS, 20, 14))


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([2.001, 0.0], r"y must be within reach.*between -2 and 2, got 2.001 in row 0"),
        ([[1.0, 0.0], [-3.0, 0.0]], r"got -3 in row 1"),
        ([1.0, 1e9], r"y must be a position that the prior makes at all likely, got 1e\+09"),
        ([1.0, -1e308], r"y must be a position"),
        ([1.0, 0.0, 0.0], r"y must have shape \(2,\) for one observation or \(m, 2\) for m"),
        ([np.nan, 0.0], "y must be finite"),
    ],
)
def test_bad_observation(problem, y, message):
    with pytest.raises(ValueError, match=message):
        problem.reference_posterior(y)


def test_bad_parameters(problem):
    with pytest.raises(ValueError, match=r"x must have shape \(n, 4\), got shape \(4,\)"):
        problem.simulate(np.zeros(4))
