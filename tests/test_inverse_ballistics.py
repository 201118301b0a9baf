import math

import numpy as np
import pytest

from innverse.metrics import resimulation_error
from innverse.problems import InverseBallistics, Problem

GRAVITY, DRAG, MASS = 9.81, 0.25, 0.2
# Fixed seeds: a test at four standard errors either always holds or always fails, and would fail by chance
# for one seed in 15,000.
STANDARD_ERRORS = 4.0
# Share of starts on the ground: a standard normal variable below -3.
ON_GROUND = 0.0013498980


@pytest.fixture
def problem():
    return InverseBallistics()


def velocity(angle, v0):
    return v0 * math.cos(math.radians(angle)), v0 * math.sin(math.radians(angle))


def height_at(t, y0, vy):
    decay = math.exp(-DRAG * t / MASS)
    return y0 - MASS / DRAG**2 * ((GRAVITY * MASS + vy * DRAG) * (decay - 1) + GRAVITY * t * DRAG)


def landing_by_bisection(x0, y0, angle, v0):
    """Where the ball comes down, for a throw that rises above the ground."""
    vx, vy = velocity(angle, v0)
    # The top of the flight, or the start where it only falls.
    low = MASS / DRAG * math.log1p(DRAG * vy / (GRAVITY * MASS)) if vy > 0 else 0.0
    high = low + 1e4
    assert height_at(low, y0, vy) > 0 > height_at(high, y0, vy)
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if height_at(middle, y0, vy) > 0 else (low, middle)
    return x0 - vx * MASS / DRAG * (math.exp(-DRAG * low / MASS) - 1)


def landing_by_small_steps(x0, y0, angle, v0, step=1e-3):
    """Integrate Newton's second law by the classical Runge-Kutta method; the last step is interpolated."""

    def derivative(state):
        _, _, vx, vy = state
        return np.array([vx, vy, -DRAG / MASS * vx, -GRAVITY - DRAG / MASS * vy])

    def advanced(state, step):
        a = derivative(state)
        b = derivative(state + step / 2 * a)
        c = derivative(state + step / 2 * b)
        return state + step / 6 * (a + 2 * b + 2 * c + derivative(state + step * c))

    state = np.array([x0, y0, *velocity(angle, v0)])
    while (after := advanced(state, step))[1] > 0:
        state = after
    low, high = 0.0, step
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if advanced(state, middle)[1] > 0 else (low, middle)
    return advanced(state, low)[0]


def test_describes_itself(problem):
    assert isinstance(problem, Problem)
    assert (problem.dx, problem.dy) == (4, 1)
    assert len(set(problem.x_names)) == 4
    assert [name.split()[-1] for name in problem.x_names] == ["[m]", "[m]", "[deg]", "[m/s]"]
    assert problem.y_names == ("impact position [m]",)
    assert (problem.gravity, problem.drag, problem.mass) == (GRAVITY, DRAG, MASS)
    assert repr(problem) == "InverseBallistics()"


@pytest.mark.parametrize("throw", [(0.2, 1.5, 40.0, 12.0), (-0.4, 0.0, 75.0, 20.0), (0.0, 2.0, -30.0, 5.0)])
def test_landing_follows_from_the_equations_of_motion(problem, throw):
    assert problem.simulate([throw])[0, 0] == pytest.approx(landing_by_small_steps(*throw), abs=1e-9)


def test_landing_is_exact_over_the_prior(problem):
    x, y = problem.sample(2_000, random_state=0)
    x = x[(x[:, 1] > 0) | (x[:, 3] > 0)]
    expected = [landing_by_bisection(*row) for row in x]
    np.testing.assert_allclose(problem.simulate(x)[:, 0], expected, rtol=0, atol=1e-13)
    assert y.shape == (2_000, 1)


@pytest.mark.parametrize(
    "throw",
    [
        (0.0, 0.0, 9.0, 1e-6),  # hardly leaves the ground
        (0.0, 1e-12, 9.0, 0.0),
        (0.0, 1e4, 45.0, 3e3),  # high and fast
        (0.0, 3.0, -60.0, 20.0),  # down, faster than it would fall
        (0.0, 3.0, -20.0, 1.0),
        (0.0, -1.0, 60.0, 15.0),  # out of a pit
        (0.0, 1.0, 135.0, 10.0),  # to the left
        (0.0, 0.7, 45.0, 7.3),  # no whole number
    ],
)
def test_landing_beyond_the_prior(problem, throw):
    expected = landing_by_bisection(*throw)
    assert problem.simulate([throw])[0, 0] == pytest.approx(expected, rel=1e-9, abs=1e-13)


def test_landing_has_a_closed_form(problem):
    special = pytest.importorskip("scipy.special")
    x = problem.sample_prior(10_000, random_state=1)
    x = x[x[:, 1] > 0]
    slope = np.radians(x[:, 2])
    # In units of m/k and g m/k: h + c (1 - e^-s) = s, solved by s = h + c + W(-c e^-(h + c)).
    height = x[:, 1] / (GRAVITY * (MASS / DRAG) ** 2)
    climb = 1 + x[:, 3] * np.sin(slope) / (GRAVITY * MASS / DRAG)
    time = height + climb + special.lambertw(-climb * np.exp(-height - climb)).real
    landing = x[:, 0] + x[:, 3] * np.cos(slope) * MASS / DRAG * -np.expm1(-time)
    np.testing.assert_allclose(problem.simulate(x)[:, 0], landing, rtol=0, atol=1e-12)


def test_every_throw_has_an_observation(problem):
    stays = [
        (1.0, 2.0, 45.0, 0.0),  # falls straight down
        (1.0, 0.0, 45.0, 0.0),  # lies on the ground
        (1.0, 0.0, 0.0, 9.0),  # along the ground
        (1.0, 0.0, -30.0, 9.0),  # into the ground
        (1.0, -2.0, 45.0, 0.0),  # lies in a pit
        (1.0, -2.0, 45.0, 3.0),  # does not get out of it
        (1.0, -1e-300, -45.0, 30.0),
    ]
    np.testing.assert_array_equal(problem.simulate(stays), np.ones((len(stays), 1)))
    rng = np.random.default_rng(2)
    x = rng.normal(size=(20_000, 4)) * [1, 3, 100, 50]
    assert np.isfinite(problem.simulate(x)).all()


def test_a_negative_speed_is_a_throw_the_other_way(problem):
    x = np.array([[0.5, 1.0, 30.0, 8.0]])
    there = problem.simulate(x * [1, 1, 1, -1])
    np.testing.assert_allclose(there, problem.simulate([[0.5, 1.0, 210.0, 8.0]]), rtol=1e-13)
    assert there < 0.5


def test_prior(problem):
    n = 400_000
    x0, y0, angle, v0 = problem.sample_prior(n, random_state=3).T
    on_ground = y0 == 0
    assert y0.min() == 0 and angle.min() >= 9 and angle.max() <= 81 and v0.min() >= 0
    np.testing.assert_array_equal(v0, np.round(v0))
    for values, mean, variance in (
        (x0, 0, 0.25),
        (x0**2, 0.25, 2 * 0.25**2),
        # Cutting off at 0 adds 0.5 (phi(3) - 3 Phi(-3)) to the mean of the normal height.
        (y0, 1.5 + 0.5 * (0.0044318484 - 3 * ON_GROUND), 0.25),
        (on_ground, ON_GROUND, ON_GROUND),
        (angle, 45, 72**2 / 12),
        (v0, 15, 15),
        ((v0 - 15) ** 2, 15, 15 + 2 * 15**2),
    ):
        assert abs(values.mean() - mean) < STANDARD_ERRORS * np.sqrt(variance / n)


def test_shapes(problem):
    assert problem.reference_posterior(5.0, n=4).shape == (4, 4)
    assert problem.reference_posterior([5.0], n=4).shape == (4, 4)
    assert problem.reference_posterior([[5.0]], n=4).shape == (1, 4, 4)
    assert problem.reference_posterior([5.0, 6.0], n=4).shape == (2, 4, 4)
    assert problem.reference_posterior(5.0).shape == (1000, 4)


@pytest.mark.parametrize("y", [-2.0, 0.0, 5.0, 20.0, 35.0])
def test_every_draw_lands_at_y_and_lies_in_the_prior(problem, y):
    samples = problem.reference_posterior(y, n=500, random_state=4)
    assert resimulation_error(problem, samples, y) < 1e-28
    _, y0, angle, v0 = samples.T
    assert y0.min() >= 0 and angle.min() >= 9 and angle.max() <= 81
    np.testing.assert_array_equal(v0, np.round(v0))
    assert len(np.unique(samples, axis=0)) == 500


@pytest.mark.parametrize("y", [0.3, 5.0, 11.0, 17.0])
def test_posterior_agrees_with_rejection_from_the_prior(problem, y):
    """Given the rest, x0 is what is left of y, so that draws are accepted with its prior density."""
    n, rng = 20_000, np.random.default_rng(5)
    samples = problem.reference_posterior(y, n=n, random_state=6)
    x = problem.sample_prior(800_000, random_state=7)
    x[:, :1] = y - (problem.simulate(x) - x[:, :1])
    brute = x[rng.random(len(x)) < np.exp(-0.5 * (x[:, 0] / 0.5) ** 2)]
    assert len(brute) > 1_000
    thresholds = np.quantile(samples, [0.1, 0.5, 0.9], axis=0)
    events = [lambda x, i=i, t=t: x[:, i] > t for row in thresholds for i, t in enumerate(row)]
    events += [lambda x: x[:, 1] == 0, lambda x: (x[:, 2] > 45) & (x[:, 0] > 0)]
    for event in events:
        ours, theirs = event(samples), event(brute)
        share = (ours.sum() + theirs.sum()) / (n + len(brute))
        error = np.sqrt(share * (1 - share) * (1 / n + 1 / len(brute)))
        assert abs(ours.mean() - theirs.mean()) < STANDARD_ERRORS * error


def test_starts_on_the_ground_have_their_share(problem):
    """Left of the start, where they are several times as likely as in the prior."""
    y, n = -1.5, 40_000
    share = np.mean(problem.reference_posterior(y, n=n, random_state=8)[:, 1] == 0)

    def evidence(heights):
        """Density of y, the mean over angles and given heights and the sum over speeds."""
        angles = 9 + 72 * (np.arange(100) + 0.5) / 100
        total = 0.0
        for v0 in range(40):
            probability = math.exp(-15 + v0 * math.log(15) - math.lgamma(v0 + 1))
            y0, angle = (grid.ravel() for grid in np.meshgrid(heights, angles))
            flight = problem.simulate(np.column_stack([0 * y0, y0, angle, v0 + 0 * y0]))
            total += probability * np.mean(np.exp(-0.5 * ((y - flight) / 0.5) ** 2))
        return total

    normal = np.random.default_rng(9).normal(1.5, 0.5, size=1_000)
    ground = ON_GROUND * evidence(np.zeros(1))
    expected = ground / (ground + (1 - ON_GROUND) * evidence(normal[normal > 0]))
    assert expected > 2 * ON_GROUND
    assert abs(share - expected) < STANDARD_ERRORS * np.sqrt(expected / n) + 0.02 * expected


def test_draws_are_of_the_seed(problem):
    first, second = (problem.reference_posterior([3.0, 9.0], 20, 10) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, problem.reference_posterior([3.0, 9.0], 20, 11))


@pytest.mark.parametrize("y", [60.0, -9.0, 1e9, -1e308])
def test_an_observation_without_support_is_refused(problem, y):
    with pytest.raises(ValueError, match=r"y must be a place where a ball may land.*in row 1"):
        problem.reference_posterior([5.0, y])


def test_bad_input(problem):
    with pytest.raises(ValueError, match=r"x must have shape \(n, 4\), got shape \(2, 3\)"):
        problem.simulate(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="y must be finite"):
        problem.reference_posterior(np.nan)
    with pytest.raises(ValueError, match=r"y must have shape"):
        problem.reference_posterior(np.zeros((3, 2)))
